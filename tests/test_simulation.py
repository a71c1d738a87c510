"The simulated table: reproducible, realistic, and changed where it says so and nowhere else."
import hashlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp

from drift_lab import simulation
from drift_lab.simulation import CHANGES, Change, false_alarms, score_changes, simulate, week_start

QUIET_WEEKS = (13, 14, 17, 20, 22)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return simulate(60_000, seed=4).frame


def in_week(frame: pl.DataFrame, number: int) -> pl.DataFrame:
    return frame.filter(pl.col("time").is_between(week_start(number), week_start(number + 1), closed="left"))


def p_value(reference: pl.Series, current: pl.Series) -> float:
    "Of no difference, by SciPy."
    if reference.dtype.is_float() or reference.dtype in (pl.Int32, pl.Int64):
        return ks_2samp(reference.drop_nulls(), current.drop_nulls()).pvalue
    levels = sorted({*reference.drop_nulls().unique(), *current.drop_nulls().unique()})
    counts = [[(side == level).sum() for level in levels] for side in (reference, current)]
    return chi2_contingency(np.array(counts)).pvalue


@given(rows=st.integers(500, 3000), seed=st.integers(0, 2**63))
@settings(max_examples=20, deadline=None)
def test_any_size_and_seed(rows, seed):
    frame = simulate(rows, seed).frame
    assert frame.height == rows
    assert frame["time"].is_sorted()
    assert frame["time"].min() >= week_start(0) and frame["time"].max() < week_start(26)
    assert frame["application_id"].n_unique() == rows
    assert set(frame["default"].unique()) == {0, 1}


def test_same_seed_same_bytes():
    digest = [hashlib.sha256(simulate(5000, 3).frame.write_csv().encode()).hexdigest() for _ in range(2)]
    assert digest[0] == digest[1]
    assert digest[0] != hashlib.sha256(simulate(5000, 4).frame.write_csv().encode()).hexdigest()


@pytest.mark.parametrize("number", QUIET_WEEKS)
def test_quiet_weeks_are_like_the_reference(frame, number):
    reference = frame.filter(pl.col("time") < week_start(13))
    columns = [name for name in frame.columns if name not in ("time", "application_id")]
    ps = {name: p_value(reference[name], in_week(frame, number)[name]) for name in columns}
    assert min(ps.values()) > 1e-4, ps  # 60 such p-values in all: the smallest honest one is about 1/60


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.kind)
def test_a_change_moves_its_columns_and_no_other(frame, change):
    reference = frame.filter(pl.col("time") < week_start(13))
    during = frame.filter(pl.col("time").is_between(change.start, change.end, closed="left"))
    for name in frame.columns:
        if name in ("time", "application_id"):
            continue
        moved = p_value(reference[name], during[name]) < 1e-4
        lost = abs(during[name].null_count() / during.height - reference[name].null_count() / reference.height) > 0.1
        assert (moved or lost) == (name in change.columns), name


def test_the_concept_change_turns_the_truth_around(frame):
    def risk_of_low_score(part: pl.DataFrame) -> float:
        return part.filter(pl.col("credit_score") < 600)["default"].mean() - part["default"].mean()

    before, after = frame.filter(pl.col("time") < week_start(13)), frame.filter(pl.col("time") >= week_start(23))
    assert abs(before["default"].mean() - after["default"].mean()) < 0.02
    assert risk_of_low_score(before) > 0.15 and risk_of_low_score(after) < 0.05


def test_every_change_can_be_found_and_missed():
    found = [(c.start, c.end, name, "drift") for c in CHANGES for name in c.columns]
    found.append((CHANGES[3].start, CHANGES[3].end, None, "harm"))
    assert [hit for _, hit, _ in score_changes(CHANGES, iter(found))] == [True] * 4
    silent = [(*f[:3], "ok") for f in found]
    assert [hit for _, hit, _ in score_changes(CHANGES, silent)] == [False] * 4
    assert [said for _, _, said in score_changes(CHANGES, [])] == ["no window looked at this time"] * 4
    assert false_alarms(CHANGES, found) == ()


def test_a_window_that_only_touches_a_change_does_not_count():
    change = Change("covariate_shift", ("x",), week_start(15), week_start(16), "")
    beside = [(week_start(14), week_start(15), "x", "drift"), (week_start(16), week_start(17), "x", "drift")]
    assert [hit for _, hit, _ in score_changes((change,), beside)] == [False]
    assert len(false_alarms((change,), beside)) == 2


def test_named_constants_fit_the_table(frame):
    assert {simulation.TIME, simulation.TARGET} <= set(frame.columns)
