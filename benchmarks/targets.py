"""What the project promises of its speed, held against what was measured: always as ratios within one run."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.results import Result, Run, Size

MAIN = Size(1_000_000, 20)  # the size that the promises about others are made for


@dataclass(frozen=True)
class Target:
    "Measured against wanted; `most`: the wanted figure may not be passed, else it has to be reached."
    what: str
    size: str
    measured: float
    wanted: float
    unit: str = "x"
    most: bool = True
    stretch: bool = False  # hoped for and not promised

    @property
    def met(self) -> bool:
        return self.measured <= self.wanted if self.most else self.measured >= self.wanted


def targets(results: list[Result]) -> list[Target]:
    "All that can be said from the sizes that were measured."
    by_size = {result.size: result for result in results}
    found = [target for result in results for target in _of_one(result)]
    if MAIN in by_size:
        found += _beside_peers(by_size[MAIN])
    return found + list(_growth(results))


def _ratio(over: Run | None, under: Run | None, key: str) -> float | None:
    return getattr(over, key) / getattr(under, key) if over and under else None


def _of_one(result: Result) -> Iterator[Target]:
    "Against the scans, and memory, at every size."
    ours, scan, decode = (result.of(name) for name in ("ours-current", "duckdb-current", "decode-current"))
    size = result.size.words
    for what, under, key, wanted, stretch in (
        ("CPU of DuckDB's scan, current file against a stored profile", scan, "cpu", 0.75, False),
        ("CPU of pure decoding, the same (stretch)", decode, "cpu", 1.5, True),
        ("wall time of DuckDB's scan, the same", scan, "wall", 1.0, False),
    ):
        ratio = _ratio(ours, under, key)
        if ratio is not None:
            yield Target(what, size, ratio, wanted, stretch=stretch)
    most = 500.0 if result.size.columns >= 1000 else 100.0
    for name, what in (("ours-current", "current file"), ("ours-both", "both files")):
        run = result.of(name)
        if run and run.above is not None:
            yield Target(f"peak memory above imports, {what}", size, run.above, most, "MiB")


def _beside_peers(result: Result) -> Iterator[Target]:
    size, both, command = result.size.words, result.of("ours-both"), result.of("ours-command")
    if command:
        yield Target("`drift-lab compare REF CUR`, whole process", size, command.process_wall, 1.5, "s")
    for name, title, wanted in (("frouros-psi", "frouros' PSI", 2.5), ("alibi-ks", "alibi-detect's KS", 7.0),
                                ("evidently-preset", "Evidently's preset", 125.0)):
        ratio = _ratio(result.of(name), both, "cpu")
        if ratio is not None:
            yield Target(f"CPU of {title} over ours, two files", size, ratio, wanted, most=False)
    ratio = _ratio(result.of("evidently-preset"), command, "process_wall")
    if ratio is not None:
        yield Target("wall time of Evidently's preset over ours, whole processes", size, ratio, 40.0, most=False)


def _growth(results: list[Result]) -> Iterator[Target]:
    "From one size to the next, in rows or in columns: how much more a row, or a column, costs there."
    linear = 1.2
    alike: tuple[tuple[str, Callable[[Size], int], Callable[[Size], int]], ...] = (
        ("row", lambda size: size.columns, lambda size: size.rows),
        ("column", lambda size: size.rows, lambda size: size.columns))
    for word, fixed, growing in alike:
        ordered = sorted(results, key=lambda result: (fixed(result.size), growing(result.size)))
        for small, large in pairwise(ordered):
            ratio = _ratio(large.of("ours-current"), small.of("ours-current"), "cpu")
            if fixed(small.size) == fixed(large.size) and ratio is not None:
                yield Target(f"CPU per {word}, over that of {growing(small.size):,} {word}s", large.size.words,
                             ratio * growing(small.size) / growing(large.size), linear)
