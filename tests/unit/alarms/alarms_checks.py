"""What must be true of a store after any number of judges wrote to it."""

from collections import defaultdict

from mcisd.model.alarms import AlarmPhase, AlarmState, Message, MessageKind
from tests.unit.alarms.alarms_store import MemoryStore


def stored(store: MemoryStore) -> dict[str, AlarmState]:
    rows = store.rows.get(AlarmState, {}).values()
    return {row.uid: row for row in rows if isinstance(row, AlarmState)}


def check_messages(store: MemoryStore) -> None:
    states = stored(store)
    firing = {row.episode for row in states.values() if row.phase is AlarmPhase.FIRING}
    told: defaultdict[str, list[str]] = defaultdict(list)
    for row in store.rows.get(Message, {}).values():
        assert isinstance(row, Message)
        told[row.uid.partition(":")[0]].append(row.kind)
    for episode, kinds in told.items():
        ended = [] if episode in firing else [MessageKind.RESOLVED]
        assert sorted(kinds) == [MessageKind.FIRING, *ended]
    assert firing <= told.keys()


def check_events(store: MemoryStore) -> None:
    phases: defaultdict[str, str] = defaultdict(lambda: "resolved")
    before = {"firing": ("resolved", "pending", "cleared"), "resolved": ("firing",)}
    before |= {"pending": ("resolved", "cleared"), "cleared": ("pending",)}
    for event in store.events:
        subject, kind = f"{event.data['ruleUid']}:{event.data['subject']}", event.type.removeprefix("alarm.")
        assert phases[subject] in before[kind]
        phases[subject] = kind
