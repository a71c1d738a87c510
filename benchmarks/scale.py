"""What a row, a sum and a share cost, from which docs/scale.md says how long a billion rows take.

python -m benchmarks.scale [ROWS ...]: prints a table of each, and then what Prefect and Dask add.
"""
import argparse
import datetime
import os
import pickle
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from pathlib import Path

from benchmarks.data import write_pair
from drift_lab.profiles import Bins, Profile, Run, Task, count_piece, profile
from drift_lab.sources import read
from drift_lab.tables import PIECE_ROWS
from drift_lab.windows import Cuts, Key

ROUNDS = 5
BILLION = 1_000_000_000
WORKERS = 16


def least_cpu(work: Callable[[], object]) -> float:
    "CPU seconds of this process, the least of some rounds: others on the machine can only add to it."
    taken = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


def table(
    rows: int,  # some millions, so that there are pieces to add
    folder: Path,
) -> str:
    "Measured costs of counting, sending and adding, and what they come to for a billion rows; as Markdown."
    from drift_lab.flows.scale import SHARES

    reference, current = write_pair(folder, rows)
    like, tasks = profile(reference), []

    def one_by_one(given: list[Task]) -> Iterator[dict[Key, Profile]]:
        tasks[:] = given
        return (task() for task in given)

    counting = least_cpu(lambda: profile(current, like=like, run=one_by_one))
    opened = read(current)
    pieces = [count_piece(opened, piece, Bins.of(like), Cuts())[None, None] for piece in opened.pieces]
    adding = least_cpu(lambda: [reduce(add, pieces) for _ in range(100)]) / 100 / (len(pieces) - 1)
    came = [pickle.dumps(piece, protocol=5) for piece in pieces]  # each by itself, as from a worker
    opening = least_cpu(lambda: [pickle.loads(piece) for piece in came]) / len(came)
    many, groups = BILLION / PIECE_ROWS, len(tasks) / len(pieces)
    share = tasks[: round(many * groups / SHARES)]  # sent together; what they have in common goes once
    sent = len(pickle.dumps(share, protocol=5)) / len(share) * groups
    back, values = sum(map(len, came)) / len(came), rows * len(like.columns)
    return "\n".join([
        f"| {rows:,} rows x {len(like.columns)} columns, {len(pieces)} pieces | measured | 1e9 rows, extrapolated |",
        "| --- | ---: | ---: |",
        f"| counting, CPU ns a value | {counting / values * 1e9:.1f} | |",
        f"| counting, CPU us a row | {counting / rows * 1e6:.2f} | {counting / rows * BILLION:,.0f} CPU s; "
        f"on {WORKERS} workers {counting / rows * BILLION / WORKERS:,.0f} s |",
        f"| a task's bytes, kB a piece | {sent / 1e3:.0f} | {sent * many / 1e9:.2f} GB |",
        f"| its answer, pickled, kB a piece | {back / 1e3:.0f} | {back * many / 1e9:.2f} GB |",
        f"| unpickling it, CPU ms a piece | {opening * 1e3:.2f} | {opening * many:.1f} s |",
        f"| adding it (`+`), CPU ms a piece | {adding * 1e3:.2f} | {adding * many:.1f} s |"])


def cost_of_a_share(
    least: int = 80,
    most: int = 240,  # shares; no more than SHARES, so that each is one task
) -> tuple[float, float]:  # CPU seconds of the client and its scheduler, wall seconds with two workers
    "What Prefect and Dask take for a share in which nothing is counted, beyond what a run takes once."
    from drift_lab.flows.scale import on_cluster

    def grown(run: Run) -> tuple[float, float]:
        spent = []
        for shares in (least, least, most):  # the first time the workers import what they need
            cpu, wall = time.process_time(), time.perf_counter()
            assert len(list(run([dict] * shares))) == shares
            spent.append((time.process_time() - cpu, time.perf_counter() - wall))
        return tuple((more - less) / (most - least) for less, more in zip(*spent[1:], strict=True))

    return on_cluster(2, grown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", type=float, default=[1e6, 5e6])
    for rows in parser.parse_args().rows:
        with tempfile.TemporaryDirectory() as folder:
            print(table(int(rows), Path(folder)), end="\n\n", flush=True)
    cpu, wall = cost_of_a_share()
    print(f"A share: {cpu * 1e3:.0f} ms CPU of the client and scheduler, {wall * 1e3:.0f} ms wall with 2 workers.")
    print(f"{datetime.date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}.")


if __name__ == "__main__":
    main()
