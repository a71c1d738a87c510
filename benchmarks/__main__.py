"""Speed and memory of drift_lab beside others, each in a process of its own, in turn, on the same files.

python -m benchmarks [ROWSxCOLUMNS ...] [--rounds N]   (make bench)

Prints the tables of the sizes it measured, keeps their figures in benchmarks/results, one file for each size, and
writes benchmarks/speed.md and speed.svg from all that are there; without sizes, all of them, and accuracy.md and
data_in.md.
"""
import argparse
import tempfile
from pathlib import Path

from benchmarks import data_in
from benchmarks.accuracy import table
from benchmarks.peers import CACHE
from benchmarks.processes import Limits
from benchmarks.results import Size, load
from benchmarks.speed import measure_size
from benchmarks.tables import page, size_table, target_table
from benchmarks.targets import targets

HERE = Path(__file__).parent
SIZES = ("100000x20", "1000000x20", "5000000x20", "50000000x20", "1000000x50", "100000x1000")


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=Size.of, metavar="ROWSxCOLUMNS", help=f"default: {' '.join(SIZES)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", choices=("auto", "all", "none"), default="auto", help="auto: up to a million rows")
    parser.add_argument("--minutes", type=float, default=20.0, help="limit of one process")
    parser.add_argument("--gib", type=float, default=16.0, help="limit of one process's memory")
    parser.add_argument("--folder", type=Path, default=HERE, help="where results/, speed.md and speed.svg are written")
    return parser.parse_args()


def write_page(folder: Path) -> None:
    "speed.md and its picture from all sizes that were measured so far."
    from benchmarks.picture import figure, write_svg

    results = load(folder / "results")
    text = page(results, targets(results))
    if write_svg(figure(results), folder / "speed.svg"):
        text += "\n![CPU seconds against rows](speed.svg)\n"
    else:
        text += "\n(No picture: it is drawn by chromium, which is not installed.)\n"
    (folder / "speed.md").write_text(text)


def main() -> None:
    given = asked()
    CACHE.mkdir(parents=True, exist_ok=True)
    for size in given.sizes or map(Size.of, SIZES):
        with tempfile.TemporaryDirectory(dir=CACHE) as data:  # not /tmp, which may be in memory: tables take gigabytes
            made = measure_size(size, given.rounds, given.peers, Limits(given.minutes * 60, given.gib), Path(data),
                                given.folder / "results")
        print(f"\n{size.words}\n\n{size_table(made)}\n", flush=True)
        write_page(given.folder)
    print(target_table(targets(load(given.folder / "results"))))
    if not given.sizes:
        with tempfile.TemporaryDirectory(dir=CACHE) as data:
            text = table(1_000_000, Path(data))
        print(f"\n{text}")
        (given.folder / "accuracy.md").write_text(f"# Accuracy\n\n{text}\n")
        data_in.write_page(1_000_000, given.rounds, given.folder)


if __name__ == "__main__":
    main()
