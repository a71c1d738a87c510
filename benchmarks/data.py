"""Two tables of one layout, of which every other column of the second has drifted mildly.

14 numeric columns of five shapes and 6 categorical ones of 2 to 1,000 levels, 2 % missing in each.
"""
from pathlib import Path

import numpy as np
import polars as pl

SHAPES = ("normal", "lognormal", "student_t2", "zeroinf", "poisson")
LEVELS = (2, 5, 12, 50, 200, 1000)


def numbers(rng: np.random.Generator, shape: str, rows: int, drifted: bool) -> np.ndarray:
    "A numeric column; drifted: a tenth of a standard deviation higher."
    move = 0.1 if drifted else 0.0
    if shape == "normal":
        return rng.standard_normal(rows) + move
    if shape == "lognormal":
        return rng.lognormal(0.0, 1.0, rows) + 2.16 * move
    if shape == "student_t2":
        return rng.standard_t(2, rows) + 1.8 * move
    if shape == "zeroinf":
        return np.where(rng.random(rows) < 0.7, 0.0, rng.exponential(1.0, rows) * (1 + 2.4 * move))
    return rng.poisson(8.0 + 2.83 * move, rows)


def names(rng: np.random.Generator, levels: int, rows: int, drifted: bool) -> pl.Series:
    "A categorical column of falling shares; drifted: every other level 15 % more frequent."
    share = 1.0 / np.arange(1, levels + 1) ** 0.8 * (1 + (0.15 if drifted else 0) * (-1.0) ** np.arange(levels))
    code = rng.choice(levels, rows, p=share / share.sum())
    return pl.Series([f"level_{k:04d}" for k in range(levels)])[code]


def write_pair(folder: Path, rows: int) -> tuple[Path, Path]:
    "reference.parquet and current.parquet in `folder`."
    paths = []
    for seed, side in enumerate(("reference", "current")):
        rng, columns = np.random.default_rng(seed), {}
        for k in range(20):
            drifted = side == "current" and k % 2 == 1
            column = (pl.Series(numbers(rng, SHAPES[k % 5], rows, drifted)) if k < 14
                      else names(rng, LEVELS[k - 14], rows, drifted))
            name = f"num_{k:02d}_{SHAPES[k % 5]}" if k < 14 else f"cat_{k:02d}_{LEVELS[k - 14]}"
            columns[name] = pl.select(pl.when(pl.Series(rng.random(rows) >= 0.02)).then(column)).to_series()
        paths.append(folder / f"{side}.parquet")
        pl.DataFrame(columns).write_parquet(paths[-1], compression="snappy", row_group_size=250_000)
    return paths[0], paths[1]
