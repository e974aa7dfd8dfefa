"""How many requests went over the wire for a call to a cloud: the column ``requests`` of the call history."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # With a default of the database's own: a process of the version before may write beside us during an upgrade.
    op.add_column("call", sa.Column("requests", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("call", "requests")
