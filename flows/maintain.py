"""Keep the store's tables small and quick: one Prefect flow, safe beside writers, and idempotent."""
from drift_lab.flows.tasks import worth_another_try  # first: it prepares the state before Prefect is imported

from prefect import flow, task  # isort: skip

from drift_lab.store import TABLES, tidy


@task(retries=2, retry_delay_seconds=5, retry_condition_fn=worth_another_try)
def tidy_table(table: str, keep_days: int | None) -> dict[str, int]:
    "Delete what is too old, join small files, and remove those that nobody needs any more."
    return tidy(table, keep_days)


@flow(name="maintain")
def maintain(keep_days: int | None = None) -> dict[str, dict[str, int]]:
    "Tidy every table of the store. Rows older than `keep_days` days are deleted; without it all stay."
    return {table: tidy_table(table, keep_days) for table in TABLES}
