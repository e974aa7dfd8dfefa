"""Run by Alembic: migrations on the connection the program hands over, in its transaction."""

from alembic import context

from mcisd.store.metadata.mapping import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
