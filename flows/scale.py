"""Count a table's pieces on a Dask cluster, as one Prefect flow: the same profile, from more machines."""
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import drift_lab.flows.tasks  # noqa: F401  first: it prepares the state before Prefect is imported

from distributed import KilledWorker  # isort: skip
from prefect import flow, task
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_dask import DaskTaskRunner

from drift_lab.errors import RunError, SettingsError, SourceError, first_line
from drift_lab.flows.server import PrefectServer
from drift_lab.profiles import Profile, Task
from drift_lab.windows import Key

T = TypeVar("T")
SHARES = 256  # of a table: some for every worker, and few enough, as Prefect takes its time for each whatever is in it
AT_ONCE = 1000  # tasks of a share at most, whose answers wait together in a worker's memory: some 60 MB


@task(retries=2, retry_delay_seconds=1)
def count_share(packed: bytes) -> list[dict[Key, Profile]]:  # in the tasks' order
    "Some pieces, counted where this runs; they are not added up here, since sums of doubles depend on the order."
    return [count() for count in pickle.loads(packed)]


def on_workers(tasks: list[Task]) -> Iterator[dict[Key, Profile]]:
    """Within a flow: run tasks on its cluster; the results come in the order of the tasks.

    Raises SourceError for a table that cannot be read from elsewhere, RunError."""
    size = min(AT_ONCE, -(-len(tasks) // SHARES)) or 1
    # bytes: what Prefect and Dask would search, value by value, for results of other tasks, is nothing to them
    shares = [_packed(tasks[at : at + size]) for at in range(0, len(tasks), size)]
    waiting = deque(count_share.submit(share) for share in shares)
    while waiting:  # each is let go of when it was added, so that neither side holds all of them
        try:
            found = waiting.popleft().result()
        except KilledWorker:  # Dask has given it to one after another
            raise RunError("workers died over the same pieces, one after another; have they enough memory? "
                           "Dask's logs say more") from None
        yield from found


def _packed(tasks: list[Task]) -> bytes:
    try:
        return pickle.dumps(tasks, protocol=5)
    except (pickle.PicklingError, AttributeError, TypeError):  # it holds an open connection, or rows in memory
        name = tasks[0].args[0].name
        raise SourceError(f"{name}: other machines cannot read this; write it to Parquet files that they see") from None


def on_cluster(
    cluster: str | int,  # address of a Dask scheduler, or how many worker processes to start here
    work: Callable[..., T],  # takes `run`: `profile` or `compare`
    *arguments: Any,
    **options: Any,
) -> T:
    """What `work(*arguments, **options)` gives, counted on a cluster: `on_cluster(4, compare, "a.parquet", "b.pq")`.

    Raises SettingsError where no scheduler answers, and what `work` raises."""
    if isinstance(cluster, int):  # processes, as a worker that dies takes its process with it
        local = {"n_workers": cluster, "threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0"}
        runner = DaskTaskRunner(cluster_kwargs=local)
    else:
        runner = DaskTaskRunner(address=cluster, client_kwargs={"timeout": 10})

    # made here and not above: a flow's parameters are stored as JSON, which these may not be
    @flow(name="scale", task_runner=runner)
    def counted() -> T:
        try:
            FlowRunContext.get().task_runner.client  # noqa: B018  connects
        except (OSError, ValueError) as e:
            raise SettingsError(f"no Dask scheduler answers at {cluster} ({first_line(e)})") from None
        return work(*arguments, run=on_workers, **options)

    with _server():
        return counted()


@contextmanager
def _server() -> Iterator[None]:
    "The user's Prefect server, or one for as long as this takes; without, each worker would start its own."
    with ExitStack() as stack:
        if not PREFECT_API_URL.value():
            server = stack.enter_context(PrefectServer())
            server.wait()
            stack.enter_context(temporary_settings({PREFECT_API_URL: os.environ["PREFECT_API_URL"]}))
        try:
            yield
        finally:
            EventsWorker.drain_all(timeout=10, at_exit=False)  # what the server was not told yet
