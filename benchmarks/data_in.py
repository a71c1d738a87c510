"""What it costs to read tables and to hold them against a contract, beside bare readers of the same.

python -m benchmarks.data_in [--rows ROWS] [--rounds N]: prints a table, and writes benchmarks/data_in.md.
"""
import argparse
import datetime
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import polars as pl

from benchmarks.data import write_pair
from benchmarks.peers import CACHE
from benchmarks.processes import Limits
from benchmarks.results import Run
from benchmarks.speed import Contestant, machine, measure
from drift_lab import learn_contract

COLUMNS = 20
MOST = 150  # MiB above imports
GROUPS = (  # title, who, the targets: ours, the fastest of these, how many times its CPU at most
    ("Parquet held against its contract", (
        Contestant("check", "**drift_lab, `check`**", "check_contract", ("contract", "parquet")),
        Contestant("scan", "DuckDB, bare scan", "duckdb_scan", ("parquet",))), 1.5),
    ("CSV", (
        Contestant("csv", "**drift_lab, `read`**", "csv_read", ("csv",)),
        Contestant("csv-duckdb", "DuckDB, `read_csv`", "csv_duckdb", ("csv",)),
        Contestant("csv-polars", "Polars, `read_csv`", "csv_polars", ("csv",)),
        Contestant("csv-polars-streaming", "Polars, `scan_csv`, streaming", "csv_polars_streaming", ("csv",))), 1.2),
    ("PostgreSQL", (
        Contestant("postgres", "**drift_lab, `read`**", "postgres_read", ("postgres",)),
        Contestant("postgres-adbc", "ADBC, bare fetch", "postgres_adbc", ("postgres",))), 1.2),
)


@contextmanager
def postgres(rows: pl.LazyFrame) -> Iterator[str]:
    "A server of our own with these rows in it; their address."
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from adbc_driver_postgresql import dbapi
    from postgres_server import Server

    folder = Path(tempfile.mkdtemp())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        server = Server(folder, port)
        try:
            with dbapi.connect(server.url()) as connection, connection.cursor() as cursor:
                for part in rows.collect_batches(chunk_size=200_000, engine="streaming"):
                    cursor.adbc_ingest("bench", part.to_arrow(), mode="create_append")
                connection.commit()
            yield server.url("table=bench")
        finally:
            server.run("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


def written(rows: int, folder: Path) -> dict[str, Path]:
    "The files: five times the rows in Parquet."
    parquet, _ = write_pair(folder, 5 * rows, COLUMNS)
    contract, csv = folder / "contract.toml", folder / "table.csv"
    contract.write_text(learn_contract(parquet).to_toml())
    pl.scan_parquet(parquet).head(rows).sink_csv(csv)
    return {"parquet": parquet, "contract": contract, "csv": csv}


def measured(files: dict, rounds: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {}
    for turn in range(rounds):
        for contestant in (one for _, group, _ in GROUPS for one in group):
            print(f"round {turn + 1} of {rounds}: {contestant.name}", file=sys.stderr, flush=True)
            runs.setdefault(contestant.name, []).append(measure(contestant, files, Limits())[0])
    return runs


def table(rows: int, rounds: int, folder: Path) -> str:
    files = written(rows, folder)
    with postgres(pl.scan_parquet(files["parquet"]).head(rows)) as address:
        runs = measured(files | {"postgres": address}, rounds)
    of = {name: Run(*(median(getattr(run, key) for run in some) for key in Run.__dataclass_fields__))
          for name, some in runs.items()}
    lines = [f"{datetime.date.today()}, {machine()}; {rounds} rounds, medians; {COLUMNS} columns, {5 * rows:,} rows of "
             f"Parquet, {rows:,} of CSV and PostgreSQL. CPU and wall seconds without imports, peak memory above them."]
    for title, group, most in GROUPS:
        lines += ["", f"## {title}", "", "| | CPU s | wall s | peak MiB |", "| --- | --- | --- | --- |"]
        lines += [f"| {one.title} | {of[one.name].cpu:.2f} | {of[one.name].wall:.2f} | {of[one.name].above:.0f} |"
                  for one in group]
        ours, others = of[group[0].name], [of[one.name] for one in group[1:]]
        for key, word in (("cpu", "CPU"), ("wall", "wall")):
            ratio = getattr(ours, key) / min(getattr(other, key) for other in others)
            lines.append(("\n" if key == "cpu" else "")
                         + f"- {word}: {ratio:.2f}x the fastest ({most}x wanted: {_met(ratio <= most)})")
        lines.append(f"- Peak: {ours.above:.0f} MiB ({MOST} wanted: {_met(ours.above <= MOST)})")
    return "\n".join(lines)


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def write_page(rows: int, rounds: int, place: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        text = table(rows, rounds, Path(folder))
    print(text)
    (place / "data_in.md").write_text(f"# Data in\n\n{text}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    write_page(given.rows, given.rounds, Path(__file__).parent)
