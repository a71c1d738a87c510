"""How far scores from profiles are from those of all values, and how far they say they might be.

python -m benchmarks.accuracy [ROWS]: prints a table of every method that has a definition on samples.
"""
import argparse
import tempfile
from pathlib import Path

import polars as pl

from benchmarks.data import write_pair
from drift_lab import METHODS, compare
from drift_lab.methods import Method
from drift_lab.profiles import Profile, profile

TARGETS = {"ks": 1.5e-4, "wasserstein": 1e-3}  # greatest measured error; Wasserstein's in reference sd


def scale(method: Method, column: str, reference: Profile) -> float:
    "What scores are divided by, to compare columns: the reference's sd for what is in a column's own unit."
    sd = reference.columns[column].sd
    return {"value": sd, "root value": sd**0.5}.get(method.unit, 1.0)


def rows_of(reference: Path, current: Path) -> pl.DataFrame:
    "One row per numeric column and method: both scores, the measured error and its bound."
    import drift_lab.comparison  # noqa: F401  (registers the methods)

    names = [method.name for method in METHODS.values() if method.exact]
    before = profile(reference)
    columns = [name for name, column in before.columns.items() if column.kind == "numeric"]
    fast, exact = (compare(reference, current, methods=names, columns=columns, exact=e).results for e in (False, True))
    found = []
    for profiled, true in zip(fast, exact, strict=True):
        unit = scale(METHODS[true.method], true.column, before)
        found.append({"column": true.column, "method": true.method, "profile score": profiled.score / unit,
                      "exact score": true.score / unit, "measured error": abs(profiled.score - true.score) / unit,
                      "bound": profiled.error_bound / unit})
    return pl.DataFrame(found)


def markdown(frame: pl.DataFrame) -> list[str]:
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + " --- |" * frame.width]
    for row in frame.iter_rows():
        lines.append("| " + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    return lines


def table(rows: int, folder: Path) -> str:
    "Every column and method, then the worst of each method, as Markdown."
    found = rows_of(*write_pair(folder, rows))
    worst = found.group_by("method", maintain_order=True).agg(pl.col("measured error", "bound").max())
    worst = worst.with_columns(target=pl.col("method").map_elements(
        lambda name: f"<= {TARGETS[name]:.2g}" if name in TARGETS else "", return_dtype=pl.String))
    return "\n".join([
        f"Scores from profiles beside those of all values, {rows:,} rows on either side. Wasserstein is in standard "
        "deviations of the reference, energy in their root.", "", *markdown(found), "", "The worst of each method:", "",
        *markdown(worst)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    with tempfile.TemporaryDirectory() as made:
        print(table(parser.parse_args().rows, Path(made)))
