"Profiles: counts that are right, that add up in any order, and that come back as they were stored."

import gzip
import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import reduce
from itertools import pairwise
from operator import add

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_lab import profile
from drift_lab.columns import NumericProfile, cells_of, count_numeric, quantile_edges, values_of
from drift_lab.contract import Column, Contract
from drift_lab.errors import ContractError, SettingsError, SourceError
from drift_lab.sources import read
from drift_lab.stored import profile_from_json, profile_to_json
from drift_lab.tables import BATCH_ROWS

steadily = settings(derandomize=True, deadline=None, database=None, max_examples=60)
numbers = st.lists(st.one_of(st.none(), st.floats(width=64), st.integers(-9, 9).map(float)), max_size=60)
names = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "b", "Å", "a,b", "<i>"])), max_size=60)
X = Contract((Column("x", "numeric"), Column("k", "categorical")))


def same(a, b, rel: float = 1e-9) -> bool:
    "Counts equal, moments equal but for the last digits."
    if not isinstance(a, NumericProfile):
        return (a.rows, a.missing, a.counts) == (b.rows, b.missing, b.counts)
    close = all(math.isclose(p, q, rel_tol=rel, abs_tol=1e-12) or (math.isnan(p) and math.isnan(q)) or p == q
                for p, q in ((a.mean, b.mean), (a.deviation, b.deviation), (a.low, b.low), (a.high, b.high)))
    return close and (a.rows, a.missing, a.infinite) == (b.rows, b.missing, b.infinite) and bool(
        (a.counts == b.counts).all()) and np.array_equal(a.edges, b.edges) and np.allclose(a.sums, b.sums, rtol=rel)


def table(x, k=None) -> pa.Table:
    return pa.table({"x": pa.array(x, pa.float64()), "k": pa.array(k or [None] * len(x), pa.string())})


BASE = profile(table([float(i % 17) / 2 for i in range(300)], ["a", "b", "c"] * 100), contract=X)


@steadily
@given(numbers, st.data())
def test_any_partition_in_any_order_gives_the_same(x, data):
    x = [v if v is None or abs(v) < 1e9 or not math.isfinite(v) else v % 1e6 for v in x]
    k = data.draw(st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "new"])), min_size=len(x), max_size=len(x)))
    whole = profile(table(x, k), like=BASE)
    cuts = sorted({0, len(x), *data.draw(st.lists(st.integers(0, len(x)), max_size=4))})
    parts = [profile(table(x[a:b], k[a:b]), like=BASE) for a, b in pairwise(cuts)] or [whole]
    for order in (parts, data.draw(st.permutations(parts))):
        added = reduce(add, order)
        assert added.rows == whole.rows
        assert same(added.columns["x"], whole.columns["x"], 1e-6) and same(added.columns["k"], whole.columns["k"])


@steadily
@given(numbers, numbers, numbers)
def test_adding_is_associative_and_commutative_on_counts(a, b, c):
    p, q, r = (profile(table(side), like=BASE).columns["x"] for side in (a, b, c))
    left, right, other = (p + q) + r, p + (q + r), r + q + p
    for sum_ in (right, other):
        assert (left.counts == sum_.counts).all()
        assert (left.rows, left.missing, left.infinite) == (sum_.rows, sum_.missing, sum_.infinite)


@steadily
@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.integers(-5, 5).map(float)), min_size=1, max_size=200))
def test_counts_are_numpys_and_nothing_is_lost(x):
    column = profile(table(x), contract=X).columns["x"]
    inside = np.histogram(x, column.edges)[0]
    assert column.counts[0] == 0 and column.counts.sum() == len(x)
    assert column.counts[1:-1].tolist() == (inside if len(inside) == len(column.counts) - 2 else None).tolist()
    assert (np.diff(column.edges) > 0).all()
    assert column.mean == pytest.approx(np.mean(x), rel=1e-9, abs=1e-9)
    assert column.deviation == pytest.approx(np.linalg.norm(np.array(x) - np.mean(x)), rel=1e-7, abs=1e-6)


@steadily
@given(names)
def test_levels_are_counted_as_polars_counts_them(k):
    column = profile(table([0.0] * len(k), k), like=BASE).columns["k"]
    expected = dict(pl.Series(k, dtype=pl.String).drop_nulls().value_counts().iter_rows())
    assert column.counts == expected and column.missing == k.count(None) and column.rows == len(k)


def test_moments_survive_a_huge_offset():
    x = 1e9 + 1e-3 * np.random.default_rng(0).normal(size=3 * BATCH_ROWS)
    column = profile(pa.table({"x": x})).columns["x"]
    assert column.sd == pytest.approx(np.std(x - 1e9, ddof=1), rel=1e-6)


@pytest.mark.parametrize("values", [
    [-(2**63), 2**63 - 1], [2**63 - 1] * 5, [2**62 + i for i in range(40)], [-(2**63)] * 3])
def test_integers_of_64_bits_are_counted_without_loss(values):
    column = count_numeric("x", "numeric", pa.array(values, pa.int64()),
                           cells_of(quantile_edges(np.array(values, np.int64))))
    assert column.counts.sum() == len(values) and np.isfinite(column.sums).all()
    if len(set(values)) == 40:
        assert column.counts[1:-1].tolist() == [1] * 40
    assert (column.sums[1:] >= 0).all() and column.deviation >= 0


@steadily
@given(st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1, 1)), min_size=1, max_size=60),
       st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1, 1)), min_size=1, max_size=60))
def test_bins_are_those_of_a_search(edges, x):
    edges, x = np.unique(edges), np.array([*x, *edges, *np.nextafter(edges, -np.inf)])
    x = x[np.isfinite(x)]
    assert (cells_of(edges).bins_of(x) == np.searchsorted(edges, x, side="right")).all()


@steadily
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60), st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_bins_of_whole_numbers_are_those_of_a_search(edges, x):
    edges, x = np.unique(edges), np.array([*x, *edges, 2**63 - 1, -(2**63)], np.int64)
    assert (cells_of(edges).bins_of(x) == np.searchsorted(edges, x, side="right")).all()


@pytest.mark.parametrize("numbers", [
    pa.array([1.5, None, math.nan, -math.inf, 0, 0, 0, 1e300, -1e300, 2.5] * 30),
    pa.array([2**63 - 1, -(2**63), 0, None, 5, 5, 6] * 30, pa.int64()),
    pa.array(1e9 + 1e-3 * np.random.default_rng(0).normal(size=200_000))])
def test_sorted_or_looked_up_the_counts_are_the_same(monkeypatch, numbers):
    cells = cells_of(quantile_edges(values_of(numbers)))
    found = []
    for sorts in (True, False):
        monkeypatch.setattr("drift_lab.columns.SORTS", sorts)
        found.append(count_numeric("x", "numeric", numbers, cells))
    assert same(*found) and found[0].size == len(values_of(numbers))


def test_a_tied_quantile_has_a_bin_of_its_own():
    x = np.array([0.0] * 600 + list(range(1, 401)), float)
    edges = quantile_edges(x)
    at = np.searchsorted(edges, 0.0)
    assert edges[at] == 0 and edges[at + 1] == np.nextafter(0, 1)
    whole = quantile_edges(np.array([3] * 50 + [7] * 50))
    assert whole.tolist() == [3, 4, 7, 8]
    assert quantile_edges(np.array([5.0])).tolist() == [5.0, np.nextafter(5.0, 6)]
    assert len(quantile_edges(np.array([]))) == 0


STORED = {
    "bool": (pa.array([True, False, None, True]), "categorical", {"true": 2, "false": 1}),
    "text": (pa.array(["", "a", None, "a"]), "categorical", {"": 1, "a": 2}),
    "large text": (pa.array(["x", "a", None, "a"], pa.large_string()), "categorical", {"x": 1, "a": 2}),
    "dictionary": (pa.array(["", "a", None, "a"]).dictionary_encode(), "categorical", {"": 1, "a": 2}),
    "codes": (pa.array([1, 2, None, 2]), "categorical", {"1": 1, "2": 2}),
    "all null": (pa.array([None] * 4, pa.null()), "categorical", {}),
    "int8": (pa.array([1, 2, None, 2], pa.int8()), "numeric", 3),
    "uint64": (pa.array([1, 2**63, None, 2], pa.uint64()), "numeric", 3),
    "float32": (pa.array([0.1, float("nan"), None, 2], pa.float32()), "numeric", 2),
    "float16": (pa.array(np.array([0.5, 1, 2, 3], np.float16)), "numeric", 4),
    "decimal": (pa.array([Decimal("1.25"), Decimal("-3.5"), None, Decimal(0)]), "numeric", 3),
    "null numbers": (pa.array([None] * 4, pa.float64()), "numeric", 0),
    "date": (pa.array([date(2026, 1, 1), date(1969, 12, 31), None, date(2026, 1, 2)]), "datetime", 3),
    "datetime": (pa.array([datetime(2026, 1, 1)] * 3 + [None], pa.timestamp("ns")), "datetime", 3),
    "zone": (pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 4, pa.timestamp("ms", "Europe/Oslo")), "datetime", 4),
}


@pytest.mark.parametrize("case", STORED)
def test_every_storage_type_is_counted(case):
    values, kind, expected = STORED[case]
    contract = Contract((Column("x", kind),))
    made = profile(pa.table({"x": values}), contract=contract)
    column = made.columns["x"]
    assert column.rows == 4 and column.size == (sum(expected.values()) if kind == "categorical" else expected)
    assert column.missing == 4 - column.size
    assert not isinstance(expected, dict) or column.counts == expected
    again = profile_from_json(profile_to_json(made))
    assert same(again.columns["x"], column)


@pytest.mark.parametrize("levels", [30, 9_000, 60_000])
def test_a_profile_like_another_adds_up_with_it(levels):
    rng = np.random.default_rng(levels)
    before, after = (pl.DataFrame({"x": pl.Series(rng.integers(0, levels, 90_000)).cast(pl.String)}) for _ in range(2))
    contract = Contract((Column("x", "categorical"),))
    sooner = profile(before, contract=contract)
    both = (sooner + profile(after, like=sooner)).columns["x"]
    expected = dict(pl.concat([before, after])["x"].value_counts().iter_rows())
    assert both.rows == 180_000 and both.counts == {level: expected[level] for level in both.counts}
    assert both.other == sum(rows for level, rows in expected.items() if level not in both.counts)
    assert bool(both.other) == (levels > 20_000)


def test_missing_and_infinite_are_counted_apart():
    column = profile(pa.table({"x": [1.0, None, math.nan, math.inf, -math.inf, 2.0]}),
                     contract=Contract((Column("x", "numeric"),))).columns["x"]
    assert (column.rows, column.missing, column.infinite, column.size) == (6, 2, 2, 2)
    assert (column.low, column.high, column.mean) == (1, 2, 1.5)


# stored


def test_a_stored_profile_comes_back_equal(frame):
    made = profile(frame)
    text = profile_to_json(made)
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    again = profile_from_json(text)
    assert (again.name, again.rows, again.start, again.end, again.contract) == (
        made.name, made.rows, made.start, made.end, made.contract)
    assert all(same(again.columns[name], made.columns[name], 1e-15) for name in made.columns)
    assert made.start == datetime(2026, 1, 1) and again.start == made.start


def test_fifty_columns_are_small():
    rng = np.random.default_rng(0)
    assert len(profile_to_json(profile(pa.table({f"c{i}": rng.normal(size=3000) for i in range(50)})))) < 1_000_000


@pytest.mark.parametrize(("text", "said"), [
    ("", "not a stored profile"), ("[1, 2]", "not a stored profile"), ("PAR1", "not a stored profile"),
    ('{"schema": "drift_lab.profile/1"}', "profile the source anew"), ("{}", "profile the source anew"),
    ('{"schema": "drift_lab.report/1"}', "profile the source anew"), ('{"schema": "drift_lab.profile/2"}', "damaged")])
def test_what_is_no_profile_is_named(text, said):
    with pytest.raises(ContractError, match=f"p.json: .*{said}"):
        profile_from_json(text, "p.json")


def test_a_damaged_profile_is_named(frame):
    content = json.loads(profile_to_json(profile(frame)))
    numeric = next(column for column in content["columns"] if column["kind"] == "numeric")
    numeric["counts"] = numeric["counts"][:-9]
    with pytest.raises(ContractError, match="damaged"):
        profile_from_json(json.dumps(content))


def test_profiles_that_do_not_belong_together_cannot_be_added():
    one, other = (profile(table([1.0, 2.0, at], ["a"] * 3), contract=X) for at in (3.0, 9.0))
    with pytest.raises(SettingsError, match="different bins"):
        one + other
    with pytest.raises(SettingsError, match="different columns"):
        one + profile(pa.table({"y": [1.0]}), contract=Contract((Column("y", "numeric"),)))


# sources


@pytest.fixture
def frame() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    n = 500
    return pl.DataFrame({
        "day": [datetime(2026, 1, 1) + timedelta(hours=i) for i in range(n)],
        "temp": np.round(rng.normal(20, 5, n), 3), "rides": rng.poisson(8, n),
        "bike": rng.choice(["city, small", 'the "road"', "cargo"], n), "wet": rng.random(n) < 0.3,
    }).with_columns(pl.when(pl.lit(rng.random(n) > 0.05)).then("temp"))


def written(frame: pl.DataFrame, folder) -> dict:
    frame.write_parquet(folder / "a.parquet", row_group_size=97)
    frame.write_csv(folder / "a.csv")
    frame.write_csv(folder / "a.tsv", separator="\t")
    frame.write_csv(folder / "semicolon.csv", separator=";")
    (folder / "z.csv.gz").write_bytes(gzip.compress((folder / "a.csv").read_bytes()))
    feather.write_feather(frame.to_arrow(), folder / "a.arrow")
    (folder / "parts").mkdir()
    for i, at in enumerate(range(0, 500, 130)):
        frame[at : at + 130].write_parquet(folder / "parts" / f"{i}.parquet")
        frame[at : at + 130].write_csv(folder / "parts" / f"{i}.csv")
    return {
        "csv": folder / "a.csv", "tsv": folder / "a.tsv", "semicolon": folder / "semicolon.csv",
        "gz": folder / "z.csv.gz", "arrow file": folder / "a.arrow",
        "glob": str(folder / "parts" / "*.parquet"), "glob of csv": str(folder / "parts" / "*.csv"),
        "polars": frame, "lazy": frame.lazy(), "pandas": frame.to_pandas(), "arrow": frame.to_arrow(),
        "batch": frame.to_arrow().combine_chunks().to_batches()[0], "duckdb": duckdb.sql("select * from frame"),
        "table": read(frame),
    }


def test_every_source_gives_the_same_profile(frame, tmp_path):
    sources = written(frame, tmp_path)
    base = profile(tmp_path / "a.parquet")
    assert base.contract.time == "day" and set(base.columns) == {"temp", "rides", "bike", "wet"}
    for name, source in sources.items():
        for made in (profile(source), profile(source, like=base)):
            assert made.rows == 500 and made.contract.columns == base.contract.columns, name
            assert (made.start, made.end) == (base.start, base.end), name
            for column in base.columns:
                assert same(made.columns[column], base.columns[column]), (name, column)


def test_a_folder_of_parquet_is_a_table(frame, tmp_path):
    for i, at in enumerate(range(0, 500, 130)):
        frame[at : at + 130].write_parquet(tmp_path / f"{i}.parquet")
    assert profile(tmp_path).rows == 500


def test_many_batches_are_as_one(tmp_path):
    x = np.random.default_rng(1).normal(size=3 * BATCH_ROWS + 17)
    pl.DataFrame({"x": x, "k": np.where(x > 0, "up", "down")}).write_parquet(tmp_path / "a.parquet")
    base = profile(tmp_path / "a.parquet")
    column = base.columns["x"]
    assert column.counts.sum() == len(x) and column.counts[1:-1].tolist() == np.histogram(x, column.edges)[0].tolist()
    assert column.mean == pytest.approx(x.mean(), abs=1e-12) and column.sd == pytest.approx(x.std(ddof=1), rel=1e-12)
    assert base.columns["k"].counts == {"up": int((x > 0).sum()), "down": int((x <= 0).sum())}


def test_files_of_one_table_may_differ_in_width(tmp_path):
    pq.write_table(pa.table({"x": pa.array([1, 2], pa.int32()), "k": pa.array(["a", "b"])}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"x": [2.5, 3], "k": pa.array(["a", "c"], pa.large_string())}), tmp_path / "2.parquet")
    made = profile(str(tmp_path / "*.parquet"), contract=X)
    assert made.columns["x"].mean == pytest.approx(8.5 / 4) and made.columns["k"].counts == {"a": 2, "b": 1, "c": 1}
    assert read(str(tmp_path / "*.parquet")).frame().height == 4


@pytest.mark.parametrize(("files", "said"), [
    ({"a.parquet": {"x": [1]}, "b.parquet": {"y": [1]}}, "columns differ"),
    ({"a.parquet": {"x": [1]}, "b.parquet": {"x": ["one"]}}, "x is stored as .*string"),
    ({"a.csv": {"x": [1], "y": [2]}, "b.csv": {"x": [1], "z": [2]}}, "line of names differs"),
])
def test_files_that_are_not_one_table_are_named(files, said, tmp_path):
    for name, columns in files.items():
        frame = pl.DataFrame(columns)
        frame.write_parquet(tmp_path / name) if name.endswith("parquet") else frame.write_csv(tmp_path / name)
    with pytest.raises(SourceError, match=said):
        profile(str(tmp_path / "*.*"))


def test_pandas_trouble_is_named():
    import pandas as pd

    with pytest.raises(SourceError, match="mixed"):
        profile(pd.DataFrame({"mixed": [1, "one", None]}))
    with pytest.raises(SourceError, match="[Dd]uplicate"):
        profile(pd.DataFrame([[1, 2]], columns=["a", "a"]))
