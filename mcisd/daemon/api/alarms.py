"""Alarm thresholds, alarms, channels, messages."""

import asyncio
from typing import Annotated

from pydantic import Field

from mcisd.daemon.api.routing import Call, Route
from mcisd.daemon.api.schemas.alarms import (
    AlarmInfo,
    ChannelInfo,
    ChannelRequest,
    MessageInfo,
    ThresholdBody,
    ThresholdsInfo,
    ThresholdsRequest,
)
from mcisd.daemon.api.schemas.base import Model
from mcisd.daemon.federation import need
from mcisd.model.alarms import AlarmPhase, AlarmRule, AlarmState, Channel, Message, MessageState
from mcisd.model.errors import ConflictError, InputError, InUseError
from mcisd.model.ids import new_id

NO_DATA = "nodata"


class AlarmQuery(Model):
    ns: Annotated[str, Field(max_length=63)] = ""
    infra: Annotated[str, Field(max_length=63)] = ""
    phase: AlarmPhase | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 500


class MessageQuery(Model):
    state: MessageState | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 200


async def set_thresholds(call: Call) -> ThresholdsInfo:
    body = call.body_as(ThresholdsRequest)
    ns, infra = call.path["ns"], call.path["infra"]
    rules = [_rule(ns, infra, item) for item in body.thresholds]
    return _shown(await call.services.thresholds.set(ns, infra, rules))


async def get_thresholds(call: Call) -> ThresholdsInfo:
    return _shown(await call.services.thresholds.get(call.path["ns"], call.path["infra"]))


async def reset_thresholds(call: Call) -> ThresholdsInfo:
    return _shown(await call.services.thresholds.reset(call.path["ns"], call.path["infra"]))


def _rule(ns: str, infra: str, item: ThresholdBody) -> AlarmRule:
    measurement, _, field_name = ("", "", "") if item.metric == NO_DATA else item.metric.partition(".")
    tags = dict(item.tags)
    if measurement == "cpu" and not tags:
        # One value per VM is what people mean; a rule per core says so by its tags.
        tags = {"cpu": "cpu-total"}
    return AlarmRule(
        uid=new_id("ar"),
        ns=ns,
        mcis=infra,
        name=item.name or item.metric.replace(".", "-").replace("_", "-").lower(),
        level=item.level,
        vm=item.vm,
        measurement=measurement,
        field_name=field_name,
        tags=tags,
        aggregation=item.aggregation,
        window_s=item.window_s,
        comparison=item.comparison,
        threshold=item.threshold,
        recovery=item.recovery,
        for_s=item.for_s,
        no_data_s=item.no_data_s or (30.0 if item.metric == NO_DATA else 0.0),
        severity=item.severity,
        labels=item.labels,
        channels=tuple(item.channels),
        enabled=item.enabled,
    )


def _shown(rules: list[AlarmRule]) -> ThresholdsInfo:
    return ThresholdsInfo(
        thresholds=[
            ThresholdBody(
                name=rule.name,
                metric=f"{rule.measurement}.{rule.field_name}" if rule.measurement else NO_DATA,
                tags=rule.tags,
                level=rule.level,
                vm=rule.vm,
                comparison=rule.comparison,
                threshold=rule.threshold,
                recovery=rule.recovery,
                for_s=rule.for_s,
                aggregation=rule.aggregation,
                window_s=rule.window_s,
                no_data_s=rule.no_data_s,
                severity=rule.severity,
                labels=rule.labels,
                channels=list(rule.channels),
                enabled=rule.enabled,
            )
            for rule in rules
        ]
    )


async def list_alarms(call: Call) -> list[AlarmInfo]:
    """Those pending, firing, or resolved at some time; newest change first."""
    query = call.query_as(AlarmQuery)
    async with call.services.store.reading() as tx:
        rules = {rule.uid: rule for rule in await tx.find(AlarmRule)}
        states = await tx.find(AlarmState, descending=True)
    shown = [
        _alarm(state, rules.get(state.rule)) for state in states if state.episode or state.phase is not AlarmPhase.OK
    ]
    if query.ns:
        shown = [alarm for alarm in shown if alarm.name_space == query.ns]
    if query.phase:
        shown = [alarm for alarm in shown if alarm.phase == query.phase.value]
    if query.infra:
        shown = [alarm for alarm in shown if alarm.infra_svc == query.infra]
    return sorted(shown, key=lambda alarm: alarm.since, reverse=True)[: query.limit]


def _alarm(state: AlarmState, rule: AlarmRule | None) -> AlarmInfo:
    infra, _, vm = state.subject_name.partition("/")
    return AlarmInfo(
        rule=rule.name if rule else state.rule,
        infra_svc=rule.mcis if rule else infra,
        name_space=state.ns,
        subject=vm or infra,
        severity=rule.severity.value if rule else "",
        phase=state.phase.value,
        since=state.since,
        value=state.value,
        threshold=rule.threshold if rule and not rule.no_data_s else None,
        fired_at=state.fired_at,
        resolved_at=state.resolved_at,
        episode=state.episode,
    )


async def create_channel(call: Call) -> ChannelInfo:
    body = call.body_as(ChannelRequest)
    scheme = await asyncio.to_thread(call.services.channel_scheme, body.url)  # the first look loads apprise
    if not scheme:
        raise InputError("url is not a channel that messages can be sent to", field="url", remedy="see docs/alarms.md")
    sealed = call.services.vault.seal(body.url, f"channel:{body.name}")
    async with call.services.store.transaction() as tx:
        if await tx.first(Channel, name=body.name) is not None:
            raise ConflictError(f"the name {body.name!r} is taken", field="name", remedy="choose another name")
        row = await tx.insert(Channel(uid=new_id("ch"), name=body.name, scheme=scheme, sealed=sealed))
    return ChannelInfo.model_validate(row, extra="ignore")


async def list_channels(call: Call) -> list[ChannelInfo]:
    async with call.services.store.reading() as tx:
        return [ChannelInfo.model_validate(row, extra="ignore") for row in await tx.find(Channel, order="name")]


async def delete_channel(call: Call) -> None:
    name = call.path["channel"]
    async with call.services.store.transaction() as tx:
        row = await need(tx, Channel, name, "channel", "name")
        for rule in await tx.find(AlarmRule):
            if name in rule.channels:
                raise InUseError(
                    f"channel {name} is used by threshold {rule.name} of infra {rule.mcis}",
                    field="name",
                    remedy="take it out of that threshold first",
                )
        await tx.delete(row)


async def test_channel(call: Call) -> None:
    async with call.services.store.reading() as tx:
        row = await need(tx, Channel, call.path["channel"], "channel", "name")
    await call.services.test_channel(row)


async def list_messages(call: Call) -> list[MessageInfo]:
    query = call.query_as(MessageQuery)
    where = {"state": query.state.value} if query.state else {}
    async with call.services.store.reading() as tx:
        rows = await tx.find(Message, descending=True, limit=query.limit, **where)
    return [
        MessageInfo(
            id=row.uid,
            channel=row.channel,
            kind=row.kind.value,
            title=row.title,
            state=row.state.value,
            attempts=row.attempts,
            created_at=row.created_at,
            sent_at=row.sent_at,
            error=row.error,
        )
        for row in rows
    ]


THRESHOLDS = "/ns/{ns}/infra/{infra}/alarmThresholds"
ROUTES = [
    Route(
        "PUT",
        THRESHOLDS,
        "SetInfraSvcAlarmThresholdValue",
        "Replace the alarm thresholds",
        set_thresholds,
        body=ThresholdsRequest,
        result=ThresholdsInfo,
    ),
    Route(
        "GET",
        THRESHOLDS,
        "GetInfraSvcAlarmThresholdValue",
        "The alarm thresholds in force",
        get_thresholds,
        result=ThresholdsInfo,
    ),
    Route(
        "DELETE",
        THRESHOLDS,
        "ResetInfraSvcAlarmThresholdValue",
        "Back to the system defaults",
        reset_thresholds,
        result=ThresholdsInfo,
    ),
    Route("GET", "/alarms", "ListAlarm", "Alarms", list_alarms, query=AlarmQuery, result=AlarmInfo, many=True),
    Route(
        "POST",
        "/channels",
        "CreateChannel",
        "Add a channel for messages",
        create_channel,
        body=ChannelRequest,
        result=ChannelInfo,
        status=201,
    ),
    Route(
        "GET", "/channels", "ListChannel", "Channels, without their URLs", list_channels, result=ChannelInfo, many=True
    ),
    Route("DELETE", "/channels/{channel}", "DeleteChannel", "Delete a channel", delete_channel, status=204),
    Route("POST", "/channels/{channel}/test", "TestChannel", "Send a test message now", test_channel, status=204),
    Route(
        "GET",
        "/messages",
        "ListMessage",
        "Messages, newest first",
        list_messages,
        query=MessageQuery,
        result=MessageInfo,
        many=True,
    ),
]
