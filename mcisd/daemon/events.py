"""Making events: one place that gives them an id, a time and a sentence for people."""

from mcisd.aio.clock import Clock
from mcisd.model.events import Event, mcis_subject, vm_subject
from mcisd.model.ids import new_id
from mcisd.model.records import Mcis, Vm


class EventMaker:
    """Stamps events with the clock's time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def make(self, kind: str, subject: str, text: str, /, **data: object) -> Event:
        """An event of type ``kind`` about ``subject``; ``text`` is one plain sentence."""
        return Event(new_id("ev"), kind, subject, self._clock.now(), {"text": text, **data})

    def vm(self, kind: str, vm: Vm, text: str, /, **data: object) -> Event:
        facts = {"vm": vm.name, "infraSvc": vm.mcis_name, "nameSpace": vm.ns, "state": vm.state.value}
        return self.make(kind, vm_subject(vm.ns, vm.mcis_name, vm.name), text, **facts, **data)

    def mcis(self, kind: str, mcis: Mcis, text: str, /, **data: object) -> Event:
        facts = {"infraSvc": mcis.name, "nameSpace": mcis.ns}
        return self.make(kind, mcis_subject(mcis.ns, mcis.name), text, **facts, **data)
