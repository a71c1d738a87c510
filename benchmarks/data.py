"""Two tables of one layout, of which every other column of the second has drifted mildly, written piece by piece.

70 % numeric columns of five shapes and 30 % categorical ones of 2 to 1,000 levels, 2 % missing in each. A piece is a
row group, drawn with a seed of its own, so that neither the rows nor the columns of a size need fit into memory.
"""
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

SHAPES = {"normal": 1.0, "lognormal": 2.16, "student_t2": 1.8, "zeroinf": 0.714, "poisson": 8**0.5}  # sd, or a scale
LEVELS = (2, 5, 12, 50, 200, 1000)
PIECE = 250_000  # rows of a row group
MISSING = 0.02


def layout(columns: int) -> dict[str, str | int]:
    "Name -> the shape of a numeric column or the levels of a categorical one."
    numeric, shapes = round(columns * 0.7), list(SHAPES)
    made: dict[str, str | int] = {f"num_{k:02d}_{shapes[k % 5]}": shapes[k % 5] for k in range(numeric)}
    return made | {f"cat_{k:02d}_{LEVELS[k % 6]}": LEVELS[k % 6] for k in range(columns - numeric)}


def numbers(rng: np.random.Generator, shape: str, rows: int, drifted: bool) -> np.ndarray:
    "A numeric column; drifted: a tenth of a standard deviation higher."
    move = 0.1 * SHAPES[shape] if drifted else 0.0
    if shape == "normal":
        return rng.standard_normal(rows) + move
    if shape == "lognormal":
        return rng.lognormal(0.0, 1.0, rows) + move
    if shape == "student_t2":
        return rng.standard_t(2, rows) + move
    if shape == "zeroinf":  # the 30 % that are not zero grow, and with them the mean by `move`
        return np.where(rng.random(rows) < 0.7, 0.0, rng.exponential(1.0, rows) * (1 + move / 0.3))
    return rng.poisson(8.0 + move, rows)


def names(rng: np.random.Generator, levels: int, rows: int, drifted: bool) -> pl.Series:
    "A categorical column of falling shares; drifted: every other level 15 % more frequent."
    share = 1.0 / np.arange(1, levels + 1) ** 0.8 * (1 + (0.15 if drifted else 0) * (-1.0) ** np.arange(levels))
    upto = np.cumsum(share)
    codes = np.searchsorted(upto, rng.random(rows) * upto[-1], side="right").clip(0, levels - 1)
    return pl.Series([f"level_{k:04d}" for k in range(levels)])[codes.astype(np.int32)]


def piece(seed: tuple[int, int], rows: int, columns: int, drifting: bool) -> pl.DataFrame:
    "One row group; the seed is (side, piece)."
    rng, made = np.random.default_rng(seed), []
    for k, (name, kind) in enumerate(layout(columns).items()):
        drifted, here = drifting and k % 2 == 1, pl.Series(rng.random(rows) >= MISSING)
        column = (names(rng, kind, rows, drifted) if isinstance(kind, int)
                  else pl.Series(numbers(rng, kind, rows, drifted)))
        made.append(pl.select(pl.when(here).then(column).alias(name)).to_series())
    return pl.DataFrame(made)


def write(path: Path, side: int, rows: int, columns: int) -> None:
    "One table, a row group at a time."
    def pieces(*_: object) -> Iterator[pl.DataFrame]:
        for k, start in enumerate(range(0, rows, PIECE)):
            yield piece((side, k), min(PIECE, rows - start), columns, drifting=side == 1)

    schema = piece((side, 0), 1, columns, drifting=False).schema
    register_io_source(pieces, schema=schema).sink_parquet(path, compression="snappy", row_group_size=PIECE)


def write_pair(folder: Path, rows: int, columns: int = 20) -> tuple[Path, Path]:
    "The reference and the current table in `folder`."
    paths = folder / f"reference_{rows}x{columns}.parquet", folder / f"current_{rows}x{columns}.parquet"
    for side, path in enumerate(paths):
        write(path, side, rows, columns)
    return paths
