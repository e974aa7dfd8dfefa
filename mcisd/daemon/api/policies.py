"""Policies of an MCIS, and what they did."""

from mcisd.daemon.api.routing import Call, Route
from mcisd.daemon.api.schemas.alarms import PolicyInfo, PolicyRequest, PolicyRunInfo
from mcisd.daemon.mcis.rows import need_mcis
from mcisd.model.alarms import AlarmRule, Policy, PolicyAction, PolicyRun
from mcisd.model.errors import ConflictError, InputError, NotFoundError
from mcisd.model.ids import new_id
from mcisd.model.records import Connection
from mcisd.store.base import Transaction


async def create_policy(call: Call) -> PolicyInfo:
    body = call.body_as(PolicyRequest)
    ns, infra = call.path["ns"], call.path["infra"]
    async with call.services.store.transaction() as tx:
        await need_mcis(tx, ns, infra)
        await _check(tx, ns, infra, body)
        if await tx.first(Policy, ns=ns, mcis=infra, name=body.name) is not None:
            raise ConflictError(f"the name {body.name!r} is taken", field="name", remedy="choose another name")
        row = await tx.insert(
            Policy(
                uid=new_id("po"),
                ns=ns,
                mcis=infra,
                name=body.name,
                rule=body.rule,
                action=body.action,
                connection=body.conn_config_name,
                spec=body.spec_id,
                image=body.image_id,
                count=body.count,
                command=body.command,
                cooldown_s=body.cooldown_s,
                minimum=body.minimum,
                maximum=body.maximum,
                dry_run=body.dry_run,
                enabled=body.enabled,
            )
        )
    return _shown(row)


async def _check(tx: Transaction, ns: str, infra: str, body: PolicyRequest) -> None:
    if body.minimum > body.maximum:
        raise InputError("minimum is above maximum", field="minimum", remedy="swap them")
    if body.action is PolicyAction.COMMAND and not body.command:
        raise InputError("action command needs a command", field="command", remedy="give one")
    if body.action in (PolicyAction.SCALE_OUT, PolicyAction.SCALE_IN) and not body.rule:
        raise InputError(f"action {body.action} needs an alarm rule", field="rule", remedy="name one of the thresholds")
    if body.rule and await tx.first(AlarmRule, ns=ns, mcis=infra, name=body.rule) is None:
        raise InputError(
            f"infra {infra} has no threshold named {body.rule!r}", field="rule", remedy="set the threshold first"
        )
    if body.conn_config_name and await tx.first(Connection, name=body.conn_config_name) is None:
        raise InputError(
            f"there is no connection {body.conn_config_name!r}", field="connConfigName", remedy="create it first"
        )


async def list_policies(call: Call) -> list[PolicyInfo]:
    ns, infra = call.path["ns"], call.path["infra"]
    async with call.services.store.reading() as tx:
        await need_mcis(tx, ns, infra)
        return [_shown(row) for row in await tx.find(Policy, ns=ns, mcis=infra, order="name")]


async def get_policy(call: Call) -> PolicyInfo:
    async with call.services.store.reading() as tx:
        return _shown(await _need(tx, call))


async def delete_policy(call: Call) -> None:
    async with call.services.store.transaction() as tx:
        await tx.delete(await _need(tx, call))


async def list_runs(call: Call) -> list[PolicyRunInfo]:
    async with call.services.store.reading() as tx:
        policy = await _need(tx, call)
        rows = await tx.find(PolicyRun, policy=policy.uid, descending=True, limit=500)
    return [
        PolicyRunInfo(
            policy=row.policy_name, time=row.created_at, outcome=row.outcome, reason=row.reason, operation=row.operation
        )
        for row in rows
    ]


async def _need(tx: Transaction, call: Call) -> Policy:
    ns, infra, name = call.path["ns"], call.path["infra"], call.path["policy"]
    await need_mcis(tx, ns, infra)
    found = await tx.first(Policy, ns=ns, mcis=infra, name=name)
    if found is None:
        raise NotFoundError(f"infra {infra} has no policy {name!r}", field="policyId", remedy="list them first")
    return found


def _shown(row: Policy) -> PolicyInfo:
    return PolicyInfo(
        name=row.name,
        rule=row.rule,
        action=row.action,
        conn_config_name=row.connection,
        spec_id=row.spec,
        image_id=row.image,
        count=row.count,
        command=row.command,
        cooldown_s=row.cooldown_s,
        minimum=row.minimum,
        maximum=row.maximum,
        dry_run=row.dry_run,
        enabled=row.enabled,
        last_run_at=row.last_run_at,
    )


BASE = "/ns/{ns}/infra/{infra}/policies"
ROUTES = [
    Route(
        "POST",
        BASE,
        "CreatePolicy",
        "Condition → action",
        create_policy,
        body=PolicyRequest,
        result=PolicyInfo,
        status=201,
    ),
    Route("GET", BASE, "ListPolicy", "Policies of an infra", list_policies, result=PolicyInfo, many=True),
    Route("GET", f"{BASE}/{{policy}}", "GetPolicy", "One policy", get_policy, result=PolicyInfo),
    Route("DELETE", f"{BASE}/{{policy}}", "DeletePolicy", "Delete a policy", delete_policy, status=204),
    Route(
        "GET",
        f"{BASE}/{{policy}}/runs",
        "ListPolicyRun",
        "What it decided, newest first",
        list_runs,
        result=PolicyRunInfo,
        many=True,
    ),
]
