"""Results and targets as Markdown."""
from collections.abc import Iterator

from benchmarks.results import Result, Run
from benchmarks.speed import CONTESTANTS, ONCE_ABOVE, PEERS_UP_TO, Contestant
from benchmarks.targets import Target

HEAD = ("| {} | CPU s | of DuckDB's scan | wall s | peak above imports, MiB | whole process, wall s | its peak, MiB | "
        "runs |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")


def page(results: list[Result], found: list[Target]) -> str:
    "The whole of speed.md but its picture."
    parts = ["# Speed", INTRODUCTION, "## Targets", target_table(found)]
    for result in results:
        parts += [f"## {result.size.words}", size_table(result)]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = f"""\
`make bench` wrote this page. Each line is the median of processes of their own, run in turn, round after round, on the
same Parquet files (70 % numeric columns, 30 % categorical, 2 % missing; row groups of 250,000). CPU seconds (all
threads), wall time and the peak are those of reading and computing, imports not counted, but for the columns "whole
process". A peak includes what of a file is mapped into memory. The multiple is of DuckDB's scan of the same files in
the same run. Whoever took over {ONCE_ABOVE:g} s ran once. The others take part up to {PEERS_UP_TO:,} rows
(`make bench ARGS="5000000x20 --peers all"` has them all)."""


def size_table(result: Result) -> str:
    "Two tables, of one file and of both, and how they came about."
    lines = [f"{result.date}; {result.machine}; rounds: {result.rounds}."]
    for both, title in ((False, "current file"), (True, "both files")):
        lines += ["", HEAD.format(title), *_lines(result, both)]
    versions = sorted(set(result.versions.values()))
    return "\n".join([*lines, "", f"Versions: {', '.join(versions)}."])


def _lines(result: Result, both: bool) -> Iterator[str]:
    scan = result.of("duckdb-both" if both else "duckdb-current")
    for contestant in CONTESTANTS:
        if contestant.both != both:
            continue
        run, trouble = result.of(contestant.name), result.troubles.get(contestant.name, "").replace("|", "/")
        if run:
            runs = f"{len(result.runs[contestant.name])}{f', then {trouble}' if trouble else ''}"
            yield _line(contestant, run, scan, runs)
        elif trouble:
            yield f"| {contestant.title} | {trouble} | | | | | | 0 |"


def _line(contestant: Contestant, run: Run, scan: Run | None, runs: str) -> str:
    multiple = f"{run.cpu / scan.cpu:.2f} x" if scan else ""
    above = "" if run.above is None else f"{run.above:,.0f}"
    return (f"| {contestant.title} | {run.cpu:.2f} | {multiple} | {run.wall:.2f} | {above} | {run.process_wall:.2f} | "
            f"{run.process_peak:,.0f} | {runs} |")


def target_table(found: list[Target]) -> str:
    lines = ["| target | size | wanted | measured | |", "| --- | --- | ---: | ---: | --- |"]
    for target in found:
        sign, said = "<=" if target.most else ">=", "met" if target.met else "**missed**"
        digits = 0 if target.unit == "MiB" else 2
        lines.append(f"| {target.what} | {target.size} | {sign} {target.wanted:g} {target.unit} | "
                     f"{target.measured:,.{digits}f} {target.unit} | {said} |")
    return "\n".join(lines)
