"""Alarm thresholds of an MCIS: the user's, or the system's defaults."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mcisd.daemon.mcis.rows import need_mcis
from mcisd.model.alarms import AlarmRule, Channel, Comparison, Severity
from mcisd.model.errors import ConflictError, InputError
from mcisd.model.ids import new_id
from mcisd.store.base import MetadataStore, Transaction

METRIC_PARTS = {"measurement": "metric", "field_name": "metric"}
"""Fields of a rule that are one field of a request."""
Validate = Callable[[AlarmRule], AlarmRule]


def system_defaults(ns: str, mcis: str) -> list[AlarmRule]:
    """What every MCIS is judged by until its user says otherwise."""

    def rule(name: str, metric: str, threshold: float, recovery: float, for_s: float, **more: object) -> AlarmRule:
        measurement, field_name = metric.split(".")
        made = AlarmRule(
            uid=new_id("ar"), ns=ns, mcis=mcis, name=name, measurement=measurement, field_name=field_name,
            comparison=Comparison.GT, threshold=threshold, recovery=recovery, for_s=for_s,
        )  # fmt: skip
        return replace(made, **more)  # type: ignore[arg-type]  # replace itself checks the names

    return [
        rule("cpu-high", "cpu.usage_active", 90.0, 80.0, 60.0, tags={"cpu": "cpu-total"}),
        rule("memory-high", "mem.used_percent", 90.0, 85.0, 60.0),
        rule("disk-full", "disk.used_percent", 90.0, 85.0, 60.0, severity=Severity.CRITICAL),
        AlarmRule(uid=new_id("ar"), ns=ns, mcis=mcis, name="silent", no_data_s=30.0, severity=Severity.CRITICAL),
    ]


@dataclass(slots=True)
class Thresholds:
    """Set, get and reset; every change is told to the alarm engine by ``changed``."""

    store: MetadataStore
    validate: Validate
    changed: Callable[[], None]
    defaults: bool = True

    async def get(self, ns: str, infra: str) -> list[AlarmRule]:
        """The rules in force, by name."""
        async with self.store.reading() as tx:
            await need_mcis(tx, ns, infra)
            return await tx.find(AlarmRule, ns=ns, mcis=infra, order="name")

    async def set(self, ns: str, infra: str, rules: list[AlarmRule]) -> list[AlarmRule]:
        """Replace the rules. A rule that stays the same but for its values keeps its uid, and so its state."""
        names = [rule.name for rule in rules]
        for index, rule in enumerate(rules):
            _check(self.validate, rule, index)
            if names.index(rule.name) != index:
                raise ConflictError(
                    f"threshold name {rule.name!r} is there twice",
                    field=f"thresholds[{index}].name",
                    remedy="give each its own name",
                )
        async with self.store.transaction() as tx:
            await need_mcis(tx, ns, infra)
            await _check_channels(tx, rules)
            stored = await self._replace(tx, ns, infra, rules)
        self.changed()
        return stored

    async def reset(self, ns: str, infra: str) -> list[AlarmRule]:
        """Back to the system defaults."""
        async with self.store.transaction() as tx:
            await need_mcis(tx, ns, infra)
            stored = await self._replace(tx, ns, infra, system_defaults(ns, infra) if self.defaults else [])
        self.changed()
        return stored

    async def _replace(self, tx: Transaction, ns: str, infra: str, rules: list[AlarmRule]) -> list[AlarmRule]:
        old = {rule.name: rule for rule in await tx.find(AlarmRule, ns=ns, mcis=infra)}
        stored = []
        for rule in rules:
            known = old.pop(rule.name, None)
            if known is None:
                stored.append(await tx.insert(rule))
            else:
                same = replace(rule, uid=known.uid, version=known.version, created_at=known.created_at)
                stored.append(known if same == known else await tx.update(same))
        for gone in old.values():
            await tx.delete(gone)
        return sorted(stored, key=lambda rule: rule.name)


def _check(validate: Validate, rule: AlarmRule, index: int) -> None:
    try:
        validate(rule)
    except InputError as error:
        name = METRIC_PARTS.get(error.field or "", _camel(error.field or ""))
        error.field = f"thresholds[{index}].{name}" if name else f"thresholds[{index}]"
        raise


def _camel(name: str) -> str:
    """The name of a rule's field as requests spell it."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


async def _check_channels(tx: Transaction, rules: list[AlarmRule]) -> None:
    known = {channel.name for channel in await tx.find(Channel)}
    for index, rule in enumerate(rules):
        for name in rule.channels:
            if name not in known:
                raise InputError(
                    f"there is no channel {name!r}",
                    field=f"thresholds[{index}].channels",
                    remedy="create it with POST /api/v1/channels",
                )
