"""What the system is told before the story: VMs with tokens, rules and a channel. In: a store and a vault. Out: rows.

The rows are written through the store port, not through the API, as no cloud is behind these VMs.
"""

import time
from dataclasses import dataclass

from mcisd.daemon.agents.doorkeeper import new_token
from mcisd.daemon.vault import Vault
from mcisd.model.alarms import Aggregation, AlarmRule, Channel, RuleLevel
from mcisd.model.ids import new_id
from mcisd.model.records import Mcis, Namespace, Vm
from mcisd.model.states import AgentState, Goal, VmState
from mcisd.store.base import MetadataStore
from mcisd.store.secrets import SecretBox

NS, INFRA, CHANNEL = "lab", "herd", "hook"
PER_VM, PER_MCIS, SILENT = "vm-alarm", "infra-alarm", "silent"


@dataclass(frozen=True, slots=True)
class SimVm:
    """One VM as the swarm must know it. ``token`` is the agent's secret."""

    number: int
    vm: str
    token: str


@dataclass(frozen=True, slots=True)
class Truth:
    """``mcis`` and ``rules`` (name → uid) name what messages are about."""

    vms: list[SimVm]
    mcis: str
    rules: dict[str, str]


def vault_of(settings_key: SecretBox) -> Vault:
    return Vault(settings_key)


async def tell(store: MetadataStore, vault: Vault, count: int, webhook: str, *, no_data_s: float = 0.0) -> Truth:
    """Write everything in one transaction. ``no_data_s`` > 0 adds a rule about silent VMs."""
    mcis = Mcis(uid=new_id("mi"), ns=NS, name=INFRA)
    vms: list[SimVm] = []
    rows: list[Vm] = []
    for number in range(1, count + 1):
        token, hashed = new_token()
        row = Vm(
            uid=new_id("vm"), mcis=mcis.uid, mcis_name=INFRA, ns=NS, name=f"n{number}", connection="none",
            provider="lab", region="here", goal=Goal.RUNNING, state=VmState.RUNNING, pending=None, dirty=False,
            agent=AgentState.INSTALLING, agent_token_hash=hashed, started_at=time.time(),
        )  # fmt: skip
        rows.append(row)
        vms.append(SimVm(number, row.uid, token))
    rules = _rules(no_data_s)
    async with store.transaction() as tx:
        await tx.insert(Namespace(uid=new_id("ns"), name=NS))
        await tx.insert(mcis)
        await tx.insert_all(rows)
        await tx.insert(Channel(uid=new_id("ch"), name=CHANNEL, scheme="json",
                                sealed=vault.seal(webhook, f"channel:{CHANNEL}")))  # fmt: skip
        await tx.insert_all(rules)
        tx.hint("rules")
    return Truth(vms, mcis.uid, {rule.name: rule.uid for rule in rules})


def _rules(no_data_s: float) -> list[AlarmRule]:
    def rule(name: str, level: RuleLevel, how: Aggregation) -> AlarmRule:
        return AlarmRule(
            uid=new_id("ar"), ns=NS, mcis=INFRA, name=name, level=level, measurement="lab", field_name="alarm",
            aggregation=how, threshold=50.0, channels=(CHANNEL,),
        )  # fmt: skip

    rules = [rule(PER_VM, RuleLevel.VM, Aggregation.LAST), rule(PER_MCIS, RuleLevel.MCIS, Aggregation.MAX)]
    if no_data_s:
        silent = AlarmRule(uid=new_id("ar"), ns=NS, mcis=INFRA, name=SILENT, no_data_s=no_data_s, channels=(CHANNEL,))
        rules.append(silent)
    return rules
