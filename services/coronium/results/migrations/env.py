"""Run by Alembic: applies the revisions over the connection that `upgrade` hands in."""

from alembic import context

from coronium.results.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
context.run_migrations()
