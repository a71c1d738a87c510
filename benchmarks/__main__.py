"""Speed and memory of drift_lab beside others, each in a process of its own, in turn, on the same files.

python -m benchmarks [ROWS] [--rounds N]   (make bench): prints a table and writes benchmarks/speed.md
"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.data import write_pair

HERE = Path(__file__).parent
START = """
import json, re, sys, time
reference, current, kept = sys.argv[1:4]
def peak():  # of this program alone; getrusage would count what its parent had, too
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
"""
END = """
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": peak(), "base": base}))
"""
CLOCK = """
base = peak()
wall, cpu = time.perf_counter(), time.process_time()
"""
SCAN = """
for path in (reference, current):
    names = [d[0] for d in duckdb.sql(f"select * from '{path}' limit 0").description]
    sums = ", ".join(f'min("{n}"), max("{n}")' if n.startswith("cat") else f'sum("{n}")' for n in names)
    duckdb.sql(f"select {sums} from '{path}'").fetchall()
"""
PRESET = """
sides = []
for path in (reference, current):
    frame = pandas.read_parquet(path)
    names = list(frame.columns)
    kinds = DataDefinition(numerical_columns=[n for n in names if n.startswith("num")],
                           categorical_columns=[n for n in names if n.startswith("cat")])
    sides.append(Dataset.from_pandas(frame, data_definition=kinds))
Report([DataDriftPreset()]).run(sides[1], sides[0]).dict()
"""
EVIDENTLY = ("import pandas; from evidently import DataDefinition, Dataset, Report; "
             "from evidently.presets import DataDriftPreset")
RUNS = {  # name -> imports, what is measured
    "DuckDB, bare scan of both files": ("import duckdb; duckdb.sql('set threads = 2')", SCAN),
    "drift_lab, current file against a stored profile": (
        "import polars; from drift_lab import compare, load_profile", "compare(load_profile(kept), current).frame"),
    "drift_lab, both files": (
        "import polars; from drift_lab import compare", "compare(reference, current).frame"),
    "Evidently, data drift preset": (EVIDENTLY, PRESET),
}


def measure(imports: str, work: str, *paths: Path) -> dict[str, float]:
    "Run code in a fresh process; seconds and MiB, imports not counted."
    code = START + imports + CLOCK + work + END
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, *map(str, paths)], capture_output=True,
                          text=True, check=True, env=os.environ | {"DO_NOT_TRACK": "1"})
    return json.loads(done.stdout.splitlines()[-1])


def table(rows: int, rounds: int, folder: Path) -> str:
    "Medians over rounds, as Markdown."
    reference, current = write_pair(folder, rows)
    kept = folder / "reference.json"
    from drift_lab.profiles import profile, profile_to_json

    kept.write_text(profile_to_json(profile(reference)))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in RUNS}
    for turn in range(rounds):
        for name, (imports, work) in RUNS.items():
            print(f"round {turn + 1} of {rounds}: {name}", file=sys.stderr)
            found[name].append(measure(imports, work, reference, current, kept))
    scan = statistics.median(run["cpu"] for run in found["DuckDB, bare scan of both files"])
    lines = ["| | CPU s | of the scan | wall s | peak above imports, MiB |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, runs in found.items():
        cpu, wall = (statistics.median(run[key] for run in runs) for key in ("cpu", "wall"))
        above = statistics.median(run["peak"] - run["base"] for run in runs)
        lines.append(f"| {name} | {cpu:.2f} | {cpu / scan:.1f} x | {wall:.2f} | {above:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=float, default=1e6)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = table(int(given.rows), given.rounds, Path(folder))
    said = (f"{int(given.rows):,} rows x 20 columns, two Parquet files; medians of {given.rounds} rounds in turn; "
            f"{datetime.date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}.\n\n{made}\n")
    print(said)
    (HERE / "speed.md").write_text(f"# Speed\n\n{said}")


if __name__ == "__main__":
    main()
