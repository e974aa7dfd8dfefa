"""The first schema: a table for each kind of record, and the event outbox.

It says what it makes by itself, not by way of the record classes: those go on changing, this must not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Ordered by code point on both databases, whatever the locale.
TEXT, FLAG = sa.String().with_variant(sa.String(collation="C"), "postgresql"), sa.Boolean()
Columns = tuple[tuple[str, sa.String | sa.Boolean], ...]

# table → typed columns, unique combination, indexed columns
TABLES: dict[str, tuple[Columns, tuple[str, ...], tuple[str, ...]]] = {
    "setting": ((), (), ()),
    "cloud_driver": ((("name", TEXT),), ("name",), ()),
    "credential": ((("name", TEXT),), ("name",), ()),
    "region": ((("name", TEXT),), ("name",), ()),
    "connection": (
        (("name", TEXT), ("driver", TEXT), ("credential", TEXT), ("region", TEXT)),
        ("name",),
        ("driver", "credential", "region"),
    ),
    "namespace": ((("name", TEXT),), ("name",), ()),
    "resource": (
        (("ns", TEXT), ("kind", TEXT), ("name", TEXT), ("connection", TEXT), ("state", TEXT)),
        ("ns", "kind", "name"),
        ("kind", "name", "connection", "state"),
    ),
    "mcis": ((("ns", TEXT), ("name", TEXT)), ("ns", "name"), ("name",)),
    "vm": (
        (
            ("mcis", TEXT),
            ("ns", TEXT),
            ("name", TEXT),
            ("connection", TEXT),
            ("state", TEXT),
            ("operation", TEXT),
            ("dirty", FLAG),
            ("agent", TEXT),
        ),
        ("mcis", "name"),
        ("ns", "name", "connection", "state", "operation", "dirty", "agent"),
    ),
    "operation": (
        (("ns", TEXT), ("mcis", TEXT), ("state", TEXT), ("key", TEXT)),
        ("key",),
        ("ns", "mcis", "state"),
    ),
    "call": ((("connection", TEXT),), (), ("connection", "created_at")),
    "alarm_rule": (
        (("ns", TEXT), ("mcis", TEXT), ("name", TEXT), ("enabled", FLAG)),
        ("ns", "mcis", "name"),
        ("mcis", "name", "enabled"),
    ),
    "alarm_state": (
        (("rule", TEXT), ("subject", TEXT), ("phase", TEXT), ("ns", TEXT), ("mcis", TEXT)),
        (),
        ("rule", "subject", "phase", "ns", "mcis"),
    ),
    "alarm_message": (
        (("state", TEXT), ("channel", TEXT), ("rule", TEXT)),
        (),
        ("state", "channel", "rule"),
    ),
    "channel": ((("name", TEXT),), ("name",), ()),
    "policy": (
        (("ns", TEXT), ("mcis", TEXT), ("name", TEXT), ("enabled", FLAG)),
        ("ns", "mcis", "name"),
        ("mcis", "name", "enabled"),
    ),
    "policy_run": ((("policy", TEXT), ("trigger", TEXT)), ("policy", "trigger"), ("created_at", "trigger")),
}
NULLABLE = {("operation", "key")}


def upgrade() -> None:
    for name, (columns, unique, indexed) in TABLES.items():
        op.create_table(
            name,
            sa.Column("uid", TEXT, primary_key=True),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("created_at", sa.Double, nullable=False),
            *(sa.Column(column, kind, nullable=(name, column) in NULLABLE) for column, kind in columns),
            sa.Column("doc", sa.JSON, nullable=False),
            *([sa.UniqueConstraint(*unique, name=f"uq_{name}_{'_'.join(unique)}")] if unique else []),
        )
        for column in indexed:
            op.create_index(f"ix_{name}_{column}", name, [column])
    op.create_table(
        "event",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("time", sa.Double, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_event_time", "event", ["time"])


def downgrade() -> None:
    for name in (*TABLES, "event"):
        op.drop_table(name)
