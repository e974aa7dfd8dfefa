"""Processes of the installation, and who does what only one may do: the tables ``node`` and ``lease``."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
# table → its one column to find by
TABLES = {"node": "name", "lease": "owner"}


def upgrade() -> None:
    for name, column in TABLES.items():
        op.create_table(
            name,
            sa.Column("uid", TEXT, primary_key=True),
            sa.Column("version", sa.Integer, nullable=False),
            sa.Column("created_at", sa.Double, nullable=False),
            sa.Column(column, TEXT, nullable=False),
            sa.Column("doc", sa.JSON, nullable=False),
        )
        op.create_index(f"ix_{name}_{column}", name, [column])


def downgrade() -> None:
    for name in TABLES:
        op.drop_table(name)
