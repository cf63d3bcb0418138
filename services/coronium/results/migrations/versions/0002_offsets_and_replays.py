"""How far Kafka is in the tables, and what became of redriven records.

A database that had results before has no offsets yet: the service reads everything that Kafka still holds once more,
which changes nothing that is stored.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "stored_offsets",
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name="pk_stored_offsets"),
    )
    op.create_table(
        "redriven",
        sa.Column("source_topic", sa.String(), nullable=False),
        sa.Column("source_partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("by_results", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("source_topic", "source_partition", "source_offset", "by_results", name="pk_redriven"),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("redriven", "stored_offsets"):
        op.drop_table(table)
