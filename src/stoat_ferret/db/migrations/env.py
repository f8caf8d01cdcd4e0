"""Alembic's environment: runs on the connection, and in the transaction, that `migrate.upgrade` hands over."""

from alembic import context

from stoat_ferret.db.job_tables import job_records
from stoat_ferret.db.tables import catalogue

connection = context.config.attributes["connection"]
metadata = {"library": catalogue, "jobs": job_records}[context.config.attributes["tree"]]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
