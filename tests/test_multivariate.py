"Methods of whole rows: their summaries add up, agree with NumPy and NannyML, and see what no single column shows."

import json
import math
from functools import partial
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_lab import compare, profile
from drift_lab.errors import ContractError, DriftLabError, SettingsError
from drift_lab.joint import CoMoments, RowMeans, Vectors, Waves, summarise
from drift_lab.methods import METHODS
from drift_lab.multivariate import JOINT, Sides, auc, correlation, cross_fitted_auc, mmd, pca_reconstruction
from drift_lab.reports import Report
from drift_lab.sources import read
from drift_lab.tables import in_threads
from drift_lab.windows import Cuts

ALL = tuple(JOINT)
steadily = settings(derandomize=True, deadline=None, database=None, max_examples=12)


def rides(rows: int, seed: int, turn: float = 1.0) -> pl.DataFrame:
    "Weather, what it feels like and a bike; `turn=-1` turns how the first two go together, and nothing else."
    rng = np.random.default_rng(seed)
    temp, noise = rng.normal(size=(2, rows))
    return pl.DataFrame({"temp": 20 + 5 * temp, "feels": 18 + 3 * (turn * 0.8 * temp + 0.6 * noise),
                         "wind": rng.lognormal(size=rows), "bike": rng.choice(["city", "road", "cargo"], rows)})


def sides(reference: pl.DataFrame, current: pl.DataFrame) -> Sides:
    base = profile(reference)
    return Sides(read(reference), read(current), base, tuple(base.columns))


def scores(report: Report) -> dict[str, float]:
    return {r.method: r.score for r in report.results}


# sums


@given(st.lists(st.integers(0, 400), max_size=4), st.integers(0, 5))
@steadily
def test_waves_add_up_whatever_the_parts(cuts, seed):
    rows = rides(400, seed).with_columns(pl.col("wind").replace(pl.col("wind").first(), None)).to_arrow()
    base = profile(rows)
    batch = rows.combine_chunks().to_batches()[0]
    waves = Waves.of(Vectors.of(base, tuple(base.columns)), batch, np.random.default_rng(seed))
    parts = [RowMeans.of(waves(batch.slice(at, to - at))) for at, to in pairwise(sorted({0, *cuts, 400}))]
    whole = RowMeans.of(waves(batch))
    for order in (parts, parts[::-1]):
        total = sum(order[1:], order[0])
        assert total.rows == 400 and np.abs(total.means - whole.means).max() < 1e-12


def test_mmd_does_not_depend_on_how_files_are_cut(tmp_path):
    before, after = rides(20_000, 1), rides(12_000, 2, -1)
    found = []
    for rows in (12_000, 1_000, 777):
        after.write_parquet(tmp_path / "c.parquet", row_group_size=rows)
        for at in range(0, 12_000, 5_000):
            after.slice(at, 5_000).write_parquet(tmp_path / f"part{at:06}.parquet", row_group_size=rows)
        found += [scores(compare(before, tmp_path / "c.parquet", methods=["mmd", "correlation", "pca_reconstruction"])),
                  scores(compare(before, str(tmp_path / "part*.parquet"),
                                 methods=["mmd", "correlation", "pca_reconstruction"]))]
    for other in found[1:]:
        assert other == pytest.approx(found[0], abs=1e-12, rel=1e-12)


@given(st.lists(st.integers(0, 300), max_size=4), st.sampled_from([0.0, 1e9, -1e6]))
@steadily
def test_correlations_are_numpys_in_any_parts(cuts, offset):
    x = np.random.default_rng(1).normal(size=(300, 4)) @ np.random.default_rng(2).normal(size=(4, 4)) + offset
    parts = [CoMoments.of(x[at:to]) for at, to in pairwise(sorted({0, *cuts, 300}))]
    expected = np.corrcoef((x - x.mean(axis=0)).T)
    for order in (parts, parts[::-1]):
        assert np.abs(sum(order[1:], order[0]).correlations - expected).max() < 1e-7 + 1e-16 * abs(offset)


def test_correlation_is_the_difference_of_numpys():
    before, after = rides(3000, 1), rides(2000, 2, 0.5)
    found = correlation(sides(before, after))[None, None]
    was, now = (np.corrcoef(table["temp"], table["feels"])[0, 1] for table in (before, after))
    assert found.column == "temp, feels" and found.score == pytest.approx(abs(now - was), abs=1e-12)


# NannyML


def nannyml_tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    i = np.arange(4000)
    a, b = np.sin(i * 0.7919), np.cos(i * 1.2347)  # no random numbers: the same with every version of NumPy
    bikes = np.array(["city", "road", "cargo", "city", "road", "city", "city"])[(i * i + i // 3) % 7]
    table = pl.DataFrame({"a": a, "b": a + 0.5 * b, "c": bikes, "d": np.where((i // 2 + i // 5) % 3 > 0, "yes", "no"),
                          "e": 1e6 + 100 * b * a, "f": np.full(4000, 3.0)})
    table = table.with_columns(a=pl.Series(a).set(pl.Series(i % 11 == 0), None),
                               c=pl.Series(bikes).set(pl.Series(i % 13 == 0), None))
    later = table[2500:].with_columns(b=-pl.col("b"))
    return table[:2500], later.with_columns(c=later["c"].set(pl.Series(np.arange(1500) % 17 == 0), "tandem"))


def test_pca_reconstruction_is_nannymls():
    """What nannyml 0.13.1 says of the same two tables: in an environment of its own, with scikit-learn and pandas,
    DataReconstructionDriftCalculator(column_names=list("abcdef"), chunk_number=1).fit(reference).calculate(current)
    on pandas frames with None for what is missing, and the same with chunk_size=500."""
    reference, current = nannyml_tables()
    whole = pca_reconstruction(sides(reference, current))[None, None]
    assert whole.score == pytest.approx(1.5912213210687993, abs=1e-6)
    assert pca_reconstruction(sides(reference, reference))[None, None].score == pytest.approx(
        0.9234652933361754, abs=1e-6)
    for at, expected in enumerate((1.5914881377668557, 1.5881629262803385, 1.5940128991592033)):
        chunk = current[500 * at : 500 * at + 500]
        assert compare(reference, chunk, methods=["pca_reconstruction"]).results[0].score == pytest.approx(
            expected, abs=1e-6)


# what they see


def test_a_turned_correlation_is_seen_by_whole_rows_only():
    before, after = rides(4000, 1), rides(3000, 2, -1)
    assert compare(before, after, methods=list(METHODS)).verdict.state == "ok"
    report = compare(before, after, methods=ALL)
    assert {r.method for r in report.results if r.drifted} == set(ALL) and report.verdict.state == "drift"
    assert "temp, feels" in report.verdict.reason
    assert all(r.p_value < 1e-6 for r in report.results)
    assert any("from 0.80 to -0.8" in note for note in report.notes)


def test_nothing_is_seen_where_nothing_changed():
    report = compare(rides(4000, 1), rides(3000, 2), methods=[*ALL, "ks"])
    assert report.verdict.state == "ok" and not any(r.drifted for r in report.results)
    assert "how columns go together did not change" in report.verdict.reason


@pytest.mark.parametrize("name", ["correlation", "mmd", "pca_reconstruction"])
def test_p_values_of_unchanged_tables_are_uniform(name):
    "With a skewed column, and columns that hardly go together: where naive nulls fail."
    found = []
    for seed in range(80):
        pair = sides(rides(800, 2 * seed), rides(500, 2 * seed + 1))
        finding = JOINT[name].find(pair)[None, None]
        found.append(finding.null.sf(finding.score))
    for level in (0.05, 0.2):
        few = 3.3 * math.sqrt(level * (1 - level) / 80)  # chance of 1 in 1000 to be above
        assert np.mean(np.array(found) <= level) <= level + few, (name, level, np.mean(np.array(found) <= level))


def test_the_interval_covers_one_half_where_nothing_changed():
    inside, low = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        area, error, chance = cross_fitted_auc(rng.normal(size=(300, 3)), rng.normal(size=(250, 3)), [False] * 3, rng)
        inside += abs(area - 0.5) <= 1.96 * error
        low += (area - 0.5) / chance > 1.645
    assert inside >= 51, inside  # 57 expected; fewer than 51 has a chance of 1 in 200
    assert low <= 8, low  # 3 expected


def test_auc_is_scikit_learns():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(3)
    before, after = rng.normal(size=200).round(1), rng.normal(0.3, 1, 150).round(1)
    expected = roc_auc_score(np.repeat([0, 1], [200, 150]), np.concatenate([before, after]))
    assert auc(before, after)[0] == pytest.approx(expected, abs=1e-12)


def test_mmd_grows_with_a_shift_and_is_zero_against_itself():
    before = rides(3000, 1)
    found = [mmd(sides(before, before.with_columns(pl.col("temp") + 5 * by)))[None, None].score
             for by in (0, 0.25, 0.5, 1, 2)]
    assert found[0] < 1e-20 and all(a < b for a, b in pairwise(found))


def test_missing_values_that_were_there_are_a_change():
    before, after = rides(3000, 1), rides(2000, 2)
    gaps = after.with_columns(wind=after["wind"].set(pl.Series(np.arange(2000) % 3 == 0), None))
    report = compare(before, gaps, methods=["mmd", "domain_classifier"])
    assert all(r.drifted for r in report.results)


# in a comparison


def test_they_are_listed_and_never_run_by_default():
    assert not {r.method for r in compare(rides(500, 1), rides(500, 2)).results} & set(ALL)
    assert all(len(m.source) > 5 and m.doc.endswith(".") and "limit" in m.doc.lower() for m in JOINT.values())
    assert not set(JOINT) & set(METHODS)


def test_a_report_holds_them(tmp_path):
    report = compare(rides(800, 1), rides(700, 2, -1), methods=[*ALL, "ks"])
    assert set(report.frame.filter(kind="joint")["method"]) == set(ALL)
    assert set(report.frame.filter(kind="joint")["column"]) == {"all columns", "temp, feels"}
    again = Report.from_json(report.to_json())
    assert again.frame.equals(report.frame) and "NaN" not in json.dumps(json.loads(report.to_json()))
    page = report.save_html(tmp_path / "r.html").read_text("utf-8")
    assert all(name in page for name in ALL) and "95 % interval" in page
    assert "all columns" in repr(report) and "temp, feels" in repr(report)
    report.figure()


def test_windows_and_segments():
    before = rides(4000, 1).with_columns(place=pl.Series(["north", "south"] * 2000))
    after = rides(4000, 2).with_columns(
        place=pl.Series(["north", "south"] * 2000),
        day=pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 1) + pl.duration(hours=3999), "1h",
                              eager=True))
    late = (pl.col("day") >= pl.datetime(2026, 4, 1)) & (pl.col("place") == "south")
    after = after.with_columns(feels=pl.when(late).then(36 - pl.col("feels")).otherwise("feels"))
    report = compare(before, after, time="day", every="1q", by=["place"], methods=[*ALL, "ks"])
    turned = [part for part in report.parts if part.window >= "2026-04" and part.segment == "place=south"]
    assert {(p.window, p.segment) for p in report.parts if p.verdict.state == "drift"} == {
        (p.window, p.segment) for p in turned if p.rows > 100}
    assert len([r for r in report.results if r.method == "mmd"]) == len(report.parts)
    alone = compare(before.filter(place="south"), after.filter(pl.col("place") == "south"), time="day", every="1q",
                    columns=["temp", "feels", "wind", "bike"], methods=["correlation"])
    here = {r.window: r.score for r in report.results if r.method == "correlation" and r.segment == "place=south"}
    assert here == pytest.approx({r.window: r.score for r in alone.results}, abs=1e-9)


def test_a_seed_fixes_what_is_left_to_chance():
    before, after = rides(900, 1), rides(900, 2, 0.8)
    first, again, other = (scores(compare(before, after, methods=ALL, seed=seed)) for seed in (1, 1, 2))
    assert first == again and first["mmd"] != other["mmd"]
    assert first["correlation"] == other["correlation"]


@pytest.mark.parametrize("name", ALL)
def test_a_stored_profile_has_no_rows(name):
    table = rides(300, 1)
    for pair in ((profile(table), table), (table, profile(table))):
        with pytest.raises(SettingsError, match=f"{name}: the (reference|current) is a stored profile"):
            compare(*pair, methods=[name])


def test_an_unknown_name_is_answered_with_all_names():
    with pytest.raises(SettingsError, match="did you mean 'mmd'"):
        compare(rides(100, 1), rides(100, 2), methods=["mmdd"])


# bad input


def strange(rows: int, seed: int) -> pl.DataFrame:
    "Gaps, constants, infinities, huge and tiny numbers."
    table, rng = rides(rows, seed), np.random.default_rng(seed + 100)
    return table.with_columns(
        wind=table["wind"].set(pl.Series(rng.random(rows) < 0.3), None), constant=pl.lit(3.0), one=pl.lit("same"),
        wild=pl.Series(np.where(rng.random(rows) < 0.01, np.inf, rng.normal(size=rows))),
        huge=pl.Series(1e300 * rng.normal(size=rows)), tiny=pl.Series(1e-310 * rng.normal(size=rows)),
        nothing=pl.lit(None, pl.Float64), whole=pl.Series(rng.integers(2**62, 2**63 - 1, rows)),
        bike=table["bike"].set(pl.Series(rng.random(rows) < 0.1), None))


def test_strange_columns_yield_numbers():
    report = compare(strange(900, 1), strange(800, 2), methods=ALL)
    assert {r.method for r in report.results} == set(ALL)
    for r in report.results:
        assert math.isfinite(r.score) and math.isfinite(r.limit), r
        assert not r.drifted, r


@pytest.mark.parametrize("name", ALL)
def test_a_single_row_is_too_little_and_says_so(name):
    report = compare(rides(500, 1), rides(1, 2), methods=[name])
    assert report.verdict.state == "not_enough_data" and not report.results
    assert any("fewer than 30 rows" in note for note in report.notes)


@pytest.mark.parametrize("name", ALL)
def test_a_column_missing_on_one_side_is_left_out_and_named(name):
    before, after = rides(500, 1), rides(400, 2).drop("wind")
    report = compare(before, after, methods=[name])
    assert any("wind is missing" in note for note in report.notes)
    assert scores(report) == pytest.approx(scores(compare(before.drop("wind"), after, methods=[name])), abs=1e-12)


def test_correlation_needs_two_columns_of_numbers():
    with pytest.raises(SettingsError, match="at least two columns of numbers"):
        compare(rides(100, 1), rides(100, 2), columns=["temp", "bike"], methods=["correlation"])


def test_constants_and_nothing_at_all():
    same = pl.DataFrame({"a": [1.0] * 100, "b": [2.0] * 100})
    report = compare(same, same, methods=["mmd", "pca_reconstruction", "correlation"])
    assert not any(r.drifted for r in report.results)
    assert any("correlation: nothing to compare" in note for note in report.notes)
    moved = compare(same, same.with_columns(a=pl.lit(5.0)), methods=["mmd", "pca_reconstruction"])
    assert all(r.drifted for r in moved.results), moved.results
    empty = pl.DataFrame({"a": [None] * 100}, schema={"a": pl.Float64})
    with pytest.raises(ContractError, match="no compared column has a value"):
        compare(empty, empty, methods=["mmd"])


@given(st.lists(st.floats(width=32) | st.none(), min_size=40, max_size=60), st.integers(0, 3))
@steadily
def test_whatever_a_column_holds_there_is_a_number_or_one_error(values, seed):
    rng = np.random.default_rng(seed)
    before = pl.DataFrame({"x": values, "y": rng.normal(size=len(values))}, schema={"x": pl.Float64, "y": pl.Float64})
    try:
        report = compare(before, before.reverse(), methods=["mmd", "pca_reconstruction", "correlation"])
    except DriftLabError as e:
        assert "\n" not in str(e)
        return
    assert all(math.isfinite(r.score) and not r.drifted for r in report.results)


def test_memory_does_not_hold_the_table():
    "Waves of a block are all that is made of a batch at once."
    rows = pa.table({"x": np.arange(100_000.0).tolist()})
    most = []

    def count(batch, rng):
        most.append(batch.num_rows)
        return RowMeans(batch.num_rows, np.zeros(1))

    whole = summarise(read(rows), ("x",), Cuts(), partial(count), in_threads)[None, None]
    assert whole.rows == 100_000 and max(most) <= 4096


def test_data_simulated_with_a_seed_like_ours_are_drawn_from_at_random():
    before = pl.DataFrame({"x": np.random.default_rng((0, 0)).random(40_000)})
    after = pl.DataFrame({"x": np.random.default_rng(5).random(40_000)})
    assert compare(before, after, methods=["domain_classifier"]).verdict.state == "ok"


def test_a_column_that_has_next_to_no_values_is_no_error():
    x = np.random.default_rng(6).normal(size=(2, 9000))
    before, after = (pl.DataFrame({"x": side, "rare": [1.0, 2.0] + [None] * 8998}) for side in x)
    report = compare(before, after, methods=["domain_classifier", "mmd", "correlation", "pca_reconstruction"])
    assert report.verdict.state == "ok" and all(math.isfinite(r.score) for r in report.results)
