"""Every kind of record the metadata store keeps: one table each. A new kind is added here and in a migration."""

from mcisd.model import alarms, records

KINDS: tuple[type[records.Record], ...] = (
    records.Setting,
    records.CloudDriverRecord,
    records.Credential,
    records.Region,
    records.Connection,
    records.Namespace,
    records.Resource,
    records.Mcis,
    records.Vm,
    records.Operation,
    records.Call,
    records.Node,
    records.Lease,
    alarms.AlarmRule,
    alarms.AlarmState,
    alarms.Message,
    alarms.Channel,
    alarms.Policy,
    alarms.PolicyRun,
)
