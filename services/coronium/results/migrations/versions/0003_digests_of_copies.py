"""What closes a dead letter has the digest of the record inside it.

Of the copies that were stored before, no digest is known: their rows go. They have closed every letter that was there;
one that arrives after them stays open, and a replay closes it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table anew, with the digest in its key."""
    _make("digest")


def downgrade() -> None:
    """Make the table anew, as it was."""
    _make()


def _make(*more: str) -> None:
    op.drop_table("redriven")
    op.create_table(
        "redriven",
        sa.Column("source_topic", sa.String(), nullable=False),
        sa.Column("source_partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("by_results", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in more),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "source_topic", "source_partition", "source_offset", "by_results", *more, name="pk_redriven"
        ),
    )
