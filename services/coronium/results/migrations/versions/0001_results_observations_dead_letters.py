"""Results, the observations they were fitted to, and dead letters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_bytewise = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_instant = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    changes = op.create_table(
        "changes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_changes"),
    )
    op.bulk_insert(changes, [{"name": "results", "number": 0}])
    op.create_table(
        "results",
        sa.Column("result_id", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("target", _bytewise, nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("observed_at", _instant),
        sa.Column("received_at", _instant),
        sa.Column("fitted_at", _instant, nullable=False),
        sa.Column("stored_at", _instant, nullable=False),
        sa.Column("rung", sa.String(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("log_temperature", sa.Double()),
        sa.Column("log_density", sa.Double()),
        sa.Column("log_emission_measure", sa.Double()),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("superseded_by", sa.String()),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("result_id", name="pk_results"),
        sa.UniqueConstraint("position", name="uq_results_position"),
        sa.UniqueConstraint("sequence", name="uq_results_sequence"),
    )
    for columns in (
        ["target", "kind"],
        ["instrument"],
        ["observed_at"],
        ["fitted_at"],
        ["log_temperature", "log_density"],
        ["stored_at"],
        ["superseded_by"],
    ):
        op.create_index(f"ix_results_{'_'.join(columns)}", "results", columns)
    op.create_table(
        "result_epochs",
        sa.Column("result_id", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["result_id"], ["results.result_id"], name="fk_result_epochs_result_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("result_id", "fingerprint", name="pk_result_epochs"),
    )
    op.create_index("ix_result_epochs_fingerprint", "result_epochs", ["fingerprint"])
    op.create_table(
        "observations",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("target", _bytewise, nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("observed_at", _instant),
        sa.Column("received_at", _instant),
        sa.Column("stored_at", _instant, nullable=False),
        sa.Column("signal_to_noise", sa.Double()),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_observations"),
    )
    op.create_index("ix_observations_target", "observations", ["target"])
    op.create_table(
        "dead_letters",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("source_topic", sa.String(), nullable=False),
        sa.Column("source_partition", sa.Integer(), nullable=False),
        sa.Column("source_offset", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failed_at", _instant, nullable=False),
        sa.Column("stored_at", _instant, nullable=False),
        sa.Column("fingerprint", sa.String()),
        sa.Column("resolved_by", sa.String()),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_dead_letters"),
        sa.UniqueConstraint(
            "stage",
            "source_topic",
            "source_partition",
            "source_offset",
            name="uq_dead_letters_source",
        ),
    )
    op.create_index("ix_dead_letters_fingerprint", "dead_letters", ["fingerprint"])


def downgrade() -> None:
    """Drop the tables."""
    for table in ("dead_letters", "observations", "result_epochs", "results", "changes"):
        op.drop_table(table)
