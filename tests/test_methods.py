"Every registered method, held to what a drift score has to be. A new method is covered by being registered."

import math
import textwrap
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import drift_lab.comparison  # noqa: F401  (registers the methods)
import drift_lab.shares
from drift_lab import compare, profile
from drift_lab.contract import Column, Contract
from drift_lab.errors import SettingsError
from drift_lab.levels import CategoricalProfile, _order
from drift_lab.methods import METHODS, evaluate
from drift_lab.shares import FLOOR
from drift_lab.tables import SAMPLE_ROWS

PAIRS = [pytest.param(m, kind, id=f"{m.name}-{kind}") for m in METHODS.values() for kind in m.kinds]
EXACT = [pytest.param(m, id=m.name) for m in METHODS.values() if m.exact]
ALL = list(METHODS)
OURS = [name for name in ALL if not METHODS[name].needs_values]
steadily = settings(derandomize=True, deadline=None, database=None, max_examples=60)


def made(kind: str, rows: int, seed: int, shift: float = 0.0) -> pl.Series:
    "A column with 2 % missing; `shift` moves its values, its levels and its missing share."
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    if kind == "numeric":
        values = pl.Series("x", 20 + 5 * (x + shift))
    elif kind == "datetime":
        values = pl.Series("x", (datetime(2026, 1, 1).timestamp() + 86400 * (x + shift)) * 1e6).cast(pl.Int64)
        values = values.cast(pl.Datetime("us"))
    else:
        levels = np.array(["city", "road", "cargo", "new"])
        weights = np.array([0.5, 0.3, 0.2, 0.0]) + np.array([-0.1, -0.03, 0.03, 0.1]) * shift
        values = pl.Series("x", levels[rng.choice(4, rows, p=weights / weights.sum())])
    return values.set(pl.Series(rng.random(rows) < 0.02 * (1 + shift)), None)


def one_column(values: pl.Series) -> Contract:
    "A contract that says what `x` is, so that no short column is taken for a clock or an id."
    kind = "numeric" if values.dtype.is_numeric() else "datetime" if values.dtype.is_temporal() else "categorical"
    return Contract((Column("x", kind),))


def columns(reference: pl.Series, current: pl.Series):
    "Both as column profiles over the reference's bins."
    base = profile(reference.alias("x").to_frame(), contract=one_column(reference))
    return base.columns["x"], profile(current.alias("x").to_frame(), like=base).columns["x"]


def finite(series: pl.Series) -> np.ndarray:
    values = series.drop_nulls().cast(pl.Float64).to_numpy()
    return values[np.isfinite(values)]


def score(method, reference: pl.Series, current: pl.Series, like: pl.Series | None = None) -> float:
    "A method's score of two columns, over the bins of the first unless it is said whose."
    base = profile((reference if like is None else like).to_frame(), contract=one_column(reference))
    sides = [profile(side.to_frame(), like=base).columns["x"] for side in (reference, current)]
    if not method.needs_values:
        return method.score(*sides)
    values = (None, None) if sides[0].kind == "categorical" else (finite(reference), finite(current))
    return method.score(*sides, *values)


# what is known about a method


@pytest.mark.parametrize("method", [pytest.param(m, id=m.name) for m in METHODS.values()])
def test_a_method_says_what_it_is(method):
    assert len(method.source) > 5 and len(method.doc) > 20 and method.doc.endswith(".")
    assert method.kinds and method.unit
    assert "limit" in method.doc.lower(), "the definition names the usual limit"


# the common checks


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_zero_against_itself(method, kind):
    series = made(kind, 3000, 1)
    one, same = columns(series, series)
    # where a share is taken from 1, what is left is rounded, and its root is larger
    assert score(method, series, series) <= 1e-7 + (method.error(one, same) if method.error else 0)
    values = None if kind == "categorical" else (finite(series), finite(series))
    result = evaluate(method, one, same, 0.05, values)
    assert not result.drifted and (result.p_value is None or result.p_value > 0.3)


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_grows_with_a_growing_shift(method, kind):
    scores = [score(method, made(kind, 4000, 1), made(kind, 4000, 1, shift))
              for shift in (0, 0.25, 0.5, 1, 2, 3)]
    assert all(later >= earlier - 1e-12 for earlier, later in zip(scores, scores[1:], strict=False)), scores
    assert scores[-1] > scores[0]


@pytest.mark.parametrize(("method", "kind"), PAIRS)
def test_the_order_of_rows_does_not_matter(method, kind):
    before, after = made(kind, 2000, 1), made(kind, 3000, 2, 0.3)
    scores = [score(method, before, rows)
              for rows in (after, after.sort(), after.shuffle(seed=3))]
    assert scores[1:] == pytest.approx(scores[:1] * 2, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("method", "kind"), [pair for pair in PAIRS if not pair.values[0].needs_values])
def test_parts_add_up_to_the_whole(method, kind):
    before, after = made(kind, 2000, 1), made(kind, 3000, 2, 0.3)
    base = profile(before.to_frame(), contract=one_column(before))
    whole = profile(after.to_frame(), like=base).columns["x"]
    parts = [profile(after[a:b].to_frame(), like=base).columns["x"] for a, b in ((0, 1), (1, 900), (900, 3000))]
    added = parts[2] + parts[0] + parts[1]
    assert method.score(base.columns["x"], added) == pytest.approx(method.score(base.columns["x"], whole), rel=1e-9)


@pytest.mark.parametrize("kind", ["numeric", "datetime", "categorical"])
def test_p_values_fall_as_scores_grow(kind):
    one, other = columns(made(kind, 400, 1), made(kind, 700, 2))
    for method in (m for m in METHODS.values() if kind in m.kinds and m.null):
        null = method.null(one, other)
        tail = [null.sf(score) for score in np.linspace(0, 5 * max(method.score(one, other), 1e-3), 60)]
        assert all(0 <= p <= 1 for p in tail), method.name
        assert all(b <= a + 1e-9 for a, b in zip(tail, tail[1:], strict=False)), method.name


def numbers(*values):
    return pl.Series("x", values, dtype=pl.Float64)


RNG = np.random.default_rng(7)
HOSTILE = {
    "constant": (numbers(*[5.0] * 50), numbers(*[5.0] * 30)),
    "constants that differ": (numbers(*[5.0] * 50), numbers(*[6.0] * 30)),
    "constant reference": (numbers(*[5.0] * 50), pl.Series("x", RNG.normal(size=40))),
    "constant window": (pl.Series("x", RNG.normal(size=40)), numbers(*[5.0] * 50)),
    "one row each": (numbers(1.0), numbers(2.0)),
    "one row against many": (pl.Series("x", RNG.normal(size=400)), numbers(0.3)),
    "many against one row": (numbers(0.3), pl.Series("x", RNG.normal(size=400))),
    "disjoint": (pl.Series("x", RNG.normal(size=200)), pl.Series("x", RNG.normal(size=200) + 1e6)),
    "empty bins": (pl.Series("x", RNG.normal(size=2000)), pl.Series("x", RNG.choice([-1.0, 1.0], 500))),
    "offset": (pl.Series("x", 1e9 + 1e-3 * RNG.normal(size=300)), pl.Series("x", 1e9 + 2e-3 * RNG.normal(size=300))),
    "tiny": (pl.Series("x", 1e-300 * RNG.normal(size=300)), pl.Series("x", 1e-300 * RNG.normal(size=300))),
    "denormal": (numbers(*[5e-324, 0.0, 1e-323] * 20), numbers(*[5e-324, 1.5e-323] * 20)),
    "huge": (pl.Series("x", 1e200 * RNG.normal(size=300)), pl.Series("x", 1e200 * RNG.normal(size=300))),
    "sentinel": (pl.Series("x", RNG.normal(size=300)), numbers(*RNG.normal(size=300), 1.7976931348623157e308)),
    "beyond 2^53": (pl.Series("x", RNG.integers(2**62, 2**62 + 50, 300)),
                    pl.Series("x", RNG.integers(2**62, 2**62 + 9, 90))),
    "all integers": (pl.Series("x", RNG.integers(-(2**63), 2**63 - 1, 300)),
                     pl.Series("x", [-(2**63), 2**63 - 1] * 40, dtype=pl.Int64)),
    "not numbers": (numbers(1, 2, 3, math.nan, math.inf, -math.inf, None), numbers(1, 2, math.nan, math.inf)),
    "all missing": (numbers(1, 2, 3), numbers(None, None)),
    "missing before": (numbers(None, None, math.nan), numbers(1, 2, 3)),
    "no type": (numbers(1, 2, 3), pl.Series("x", [None, None])),
    "integers, then decimals": (pl.Series("x", RNG.integers(0, 9, 300)), pl.Series("x", RNG.normal(4, 3, 300))),
    "decimals, then integers": (pl.Series("x", RNG.normal(4, 3, 300)), pl.Series("x", RNG.integers(0, 9, 300))),
    "names": (pl.Series("x", ["a", "b", ""] * 30), pl.Series("x", ["b", "c", None] * 30)),
    "disjoint names": (pl.Series("x", list("abc") * 30), pl.Series("x", list("def") * 30)),
    "one name": (pl.Series("x", ["a"] * 30), pl.Series("x", ["a"] * 20)),
    "all different": (pl.Series("x", list("ab") * 9 + list(map(str, range(300)))),
                      pl.Series("x", list(map(str, range(600, 900))))),
    "names missing": (pl.Series("x", ["a"] * 30), pl.Series("x", [None] * 20, dtype=pl.String)),
    "true or false": (pl.Series("x", [True, False, None] * 30), pl.Series("x", [False] * 30)),
    "one date": (pl.Series("x", [datetime(2026, 1, 1)] * 5), pl.Series("x", [datetime(2026, 1, 2)] * 5)),
}


@pytest.mark.parametrize("exact", [False, True], ids=["profiles", "exact"])
@pytest.mark.parametrize("case", HOSTILE)
def test_every_number_is_finite(case, exact):
    reference, current = (side.to_frame() for side in HOSTILE[case])
    report = compare(reference, current, methods=OURS, exact=exact, contract=one_column(reference["x"]))
    assert report.results, "something is said about it"
    for result in report.results:
        assert math.isfinite(result.score) and result.score >= 0, result
        assert math.isfinite(result.limit) and result.limit >= 0, result
        assert math.isfinite(result.error_bound) and result.error_bound >= 0, result
        assert result.p_value is None or 0 <= result.p_value <= 1, result
    again = type(report).from_json(report.to_json())
    assert again.results == report.results


@pytest.mark.parametrize("case", HOSTILE)
def test_other_tools_definitions_give_a_number_or_say_why_not(case):
    reference, current = (side.to_frame() for side in HOSTILE[case])
    for name in (name for name in ALL if name not in OURS):
        try:
            report = compare(reference, current, methods=["missing", name], contract=one_column(reference["x"]))
        except SettingsError as error:
            assert str(error).startswith("x: no ") and "bins over" in str(error)
            continue
        assert all(math.isfinite(result.score) and result.score >= 0 for result in report.results), (name, report)


def test_infinities_are_left_out_and_named():
    before, after = numbers(*range(50), math.inf), numbers(*range(50), -math.inf, math.nan)
    report = compare(before.to_frame(), after.to_frame(), contract=one_column(before))
    assert any("infinite values left out" in note and "1 in reference" in note for note in report.notes)
    assert report.frame.filter(pl.col("method") == "ks")["score"].item() == 0
    assert report.frame.filter(pl.col("method") == "missing")["score"].item() == pytest.approx(2 / 52 - 1 / 51)


# against SciPy, by its own words

SCIPY = {
    "ks": lambda x, y: stats.ks_2samp(x, y, method="asymp").statistic,
    "wasserstein": stats.wasserstein_distance,
    "energy": stats.energy_distance,
    "cramer_von_mises": lambda x, y: stats.cramervonmises_2samp(x, y, method="asymptotic").statistic,
    "mann_whitney": lambda x, y: abs(2 * stats.mannwhitneyu(x, y, method="asymptotic").statistic / len(x) / len(y) - 1),
    "t_test": lambda x, y: abs(stats.ttest_ind(x, y, equal_var=False).statistic),
}


@pytest.mark.parametrize("method", EXACT)
def test_exact_equals_scipy(method):
    rng = np.random.default_rng(5)
    samples = [
        (rng.normal(size=400), rng.normal(0.2, 1.1, size=700)),
        (rng.lognormal(size=311), rng.lognormal(0.1, 1.3, size=57)),
        (rng.integers(0, 5, 400), rng.integers(1, 6, 300)),
        (np.where(rng.random(500) < 0.7, 0, rng.exponential(9, 500)), rng.exponential(3, 90)),
        (1e9 + 1e-3 * rng.normal(size=200), 1e9 + 1e-3 * rng.normal(0.5, 1, size=200)),
        (rng.standard_cauchy(300), rng.standard_cauchy(300) + 1),
        (np.array([1.0, 2.0]), np.array([1.5, 9.0, 9.0])),
    ]
    for x, y in samples:
        report = compare(pl.DataFrame({"x": x}), pl.DataFrame({"x": y}), methods=[method.name], exact=True,
                         contract=one_column(numbers()))
        assert report.results[0].score == pytest.approx(SCIPY[method.name](x, y), rel=1e-9)
        assert report.results[0].error_bound == 0


@steadily
@given(st.lists(st.integers(0, 40), min_size=2, max_size=12), st.data())
def test_chi2_equals_scipy(counts, data):
    others = data.draw(st.lists(st.integers(0, 40), min_size=len(counts), max_size=len(counts)))
    table = np.array([counts, others])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return
    sides = [pl.Series("x", np.repeat([f"level {i}" for i in range(table.shape[1])], row)) for row in table]
    expected = stats.chi2_contingency(table, correction=False).statistic
    assert METHODS["chi2"].score(*columns(*sides)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_p_values_agree_with_scipy():
    rng = np.random.default_rng(11)
    x, y = pl.Series("x", rng.normal(size=900)), pl.Series("x", rng.normal(0.08, 1, size=1100))
    a, b = x.to_numpy(), y.to_numpy()
    expected = {"t_test": stats.ttest_ind(a, b, equal_var=False).pvalue, "ks": stats.ks_2samp(a, b).pvalue,
                "mann_whitney": stats.mannwhitneyu(a, b).pvalue,
                "cramer_von_mises": stats.cramervonmises_2samp(a, b).pvalue}
    report = compare(x.to_frame(), y.to_frame(), methods=list(expected), exact=True)
    for result in report.results:
        assert result.p_value == pytest.approx(expected[result.method], rel=0.08), result.method
    levels = [pl.Series("x", rng.choice(list("abcde"), 800)) for _ in range(2)]
    table = [[side.to_list().count(level) for level in "abcde"] for side in levels]
    result = compare(*(side.to_frame() for side in levels), methods=["chi2"]).results[0]
    assert result.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, rel=0.02)


# against Evidently, by its own functions, on frames as it gets them

MEASURES = ("psi", "kl_divergence", "jensen_shannon", "hellinger", "wasserstein")


def evidently_score(name: str, before: pl.Series, after: pl.Series) -> float:
    from evidently.legacy.calculations import stattests
    from evidently.legacy.core import ColumnType

    test = {"kl_divergence": stattests.kl_div_stat_test, "psi": stattests.psi_stat_test,
            "jensen_shannon": stattests.jensenshannon_stat_test, "hellinger": stattests.hellinger_stat_test,
            "wasserstein": stattests.wasserstein_stat_test}[name]
    kind = ColumnType.Numerical if before.dtype.is_numeric() else ColumnType.Categorical
    function = stattests.get_stattest(before.to_pandas(), after.to_pandas(), kind.value, test)
    clean = (side.to_pandas().replace([-np.inf, np.inf], np.nan).dropna() for side in (before, after))
    return float(function(*clean, kind, 0.1).drift_score)


def gaps_in(rng: np.random.Generator, values) -> pl.Series:
    series = pl.Series("x", values)
    return series.set(pl.Series(rng.random(len(series)) < 0.03), None)


def tables_of_other_tools() -> dict[str, tuple[pl.Series, pl.Series]]:
    rng = np.random.default_rng(17)
    whole = [pl.Series("x", rng.integers(low, low + 22, 90_000)) for low in (0, 1)]
    return {
        "normal": (gaps_in(rng, rng.normal(size=4000)), gaps_in(rng, rng.normal(0.2, 1.1, 3000))),
        "not numbers": (numbers(*rng.normal(size=300), math.inf, math.nan), numbers(*rng.normal(size=200), -math.inf)),
        "skewed": (gaps_in(rng, rng.lognormal(size=4000)), gaps_in(rng, rng.lognormal(0.1, 1.2, 9000))),
        "disjoint": (pl.Series("x", rng.normal(size=500)), pl.Series("x", rng.normal(9, 1, 400))),
        "few values": (pl.Series("x", rng.poisson(4, 3000)), pl.Series("x", rng.poisson(5, 3000))),
        "whole": tuple(whole),
        "whole, some missing": (gaps_in(rng, whole[0]), whole[1]),
        "constant": (numbers(*[2.0] * 40), numbers(*[2.0] * 20, 3.0)),
        "names": (gaps_in(rng, rng.choice(list("abcd"), 900)), gaps_in(rng, rng.choice(list("bcdef"), 700))),
        "rare name": (pl.Series("x", ["a"] * 20_000 + ["b"]), pl.Series("x", ["a"] * 20_000 + ["c"] * 3)),
    }


@pytest.mark.parametrize("case", tables_of_other_tools())
def test_evidentlys_definitions_are_evidentlys(case):
    before, after = tables_of_other_tools()[case]
    kind = one_column(before).column("x").kind
    names = [name for name in MEASURES if kind in METHODS[f"{name}:evidently"].kinds]
    report = compare(before.to_frame(), after.to_frame(), methods=[f"{name}:evidently" for name in names],
                     contract=one_column(before))
    assert len(report.results) == len(names) >= 4
    for name, result in zip(names, report.results, strict=True):
        assert result.score == pytest.approx(evidently_score(name, before, after), rel=1e-9, abs=1e-12), name
        assert result.limit == 0.1 and result.p_value is None


def test_evidentlys_and_nannymls_definitions_work_by_window_and_segment():
    rng = np.random.default_rng(4)
    frame = pl.DataFrame({"x": rng.normal(size=3000), "part": rng.choice(["p", "q"], 3000)})
    later = frame.with_columns(pl.col("x") * 1.3)
    report = compare(frame, later, methods=["psi:evidently", "hellinger:nannyml", "ks"], columns=["x"], by="part")
    for result in (result for result in report.results if result.method == "psi:evidently"):
        part = pl.col("part") == result.segment.removeprefix("part=")
        expected = evidently_score("psi", frame.filter(part)["x"], later.filter(part)["x"])
        assert result.score == pytest.approx(expected, rel=1e-9)
    assert any(result.error_bound > 0 for result in report.results if result.method == "ks"), "still from the profile"


# against NannyML 0.13.1 on NumPy 2.4.6, computed once with its own classes, since it cannot be installed beside ours:
#     method = MethodFactory.create(key, kind, chunker=SizeBasedChunker(10**7), threshold=ConstantThreshold(upper=0.1))
#     method.fit(pd.Series(x, name="x")).calculate(pd.Series(y, name="x"))
# with key "jensen_shannon", "hellinger", "kolmogorov_smirnov", "wasserstein", "chi2", "l_infinity"

NANNYML = {
    "normal": {"jensen_shannon:nannyml": 0.1021422833414945, "hellinger:nannyml": 0.08918751844222907,
               "ks:nannyml": 0.09016666666666667, "wasserstein:nannyml": 0.18259971843026213},
    "whole": {"jensen_shannon:nannyml": 0.19784172556103705, "hellinger:nannyml": 0.16672627816016422,
              "ks:nannyml": 0.17466666666666666, "wasserstein:nannyml": 0.9905},
    "large": {"jensen_shannon:nannyml": 0.07036291892196679, "hellinger:nannyml": 0.06285615141735906,
              "ks:nannyml": 0.04714013258711669, "wasserstein:nannyml": 0.5062996650243043},
    "two levels": {"jensen_shannon:nannyml": 0.07668009188599655, "hellinger:nannyml": 0.06386253967139928,
                   "chi2:nannyml": 10.548484848484849, "l_infinity": 0.09000000000000002,
                   "jensen_shannon": 0.07668009188599655, "hellinger": 0.06386253967139928},
    "new levels": {"jensen_shannon:nannyml": 0.5618186720819859, "hellinger:nannyml": 0.5600887176579652,
                   "chi2:nannyml": 522.2796882793973, "l_infinity": 0.24, "chi2": 522.2796882793973},
}


@pytest.mark.parametrize("case", NANNYML)
def test_nannymls_definitions_are_nannymls(case):
    rng = np.random.RandomState(43)  # the generator whose numbers NumPy never changes
    large = rng.lognormal(size=12_000), np.append(rng.lognormal(0.1, 1.1, 5_000), [-3.0, -2.5, 900.0])
    x, y = {
        "normal": (rng.normal(size=3000), rng.normal(0.2, 1.1, 2_000)),
        "whole": (rng.poisson(4, 3_000), rng.poisson(5, 2_000)),
        "large": large,
        "two levels": (np.repeat(["a", "b"], [420, 580]), np.repeat(["a", "b"], [255, 245])),
        "new levels": (rng.choice(list("abcd"), 900), rng.choice(list("bcdef"), 700)),
    }[case]
    report = compare(pl.DataFrame({"x": x}), pl.DataFrame({"x": y}), methods=list(NANNYML[case]),
                     contract=one_column(pl.Series("x", x)))
    assert {result.method: result.score for result in report.results} == pytest.approx(NANNYML[case], rel=1e-9)


def test_what_needs_the_rows_says_so_of_a_stored_profile(tmp_path):
    frame = pl.DataFrame({"x": RNG.normal(size=300), "bike": RNG.choice(["city", "road"], 300)})
    stored = profile(frame, name="kept")
    for sides in ((stored, frame), (frame, profile(frame, like=stored, name="kept"))):
        with pytest.raises(SettingsError, match="x: psi:evidently needs the rows, which the profile kept does not"):
            compare(*sides, methods=["psi:evidently"])
    assert compare(stored, frame, methods=["psi:evidently"], columns=["bike"]).results[0].score == 0  # from its counts


def test_other_tools_definitions_do_not_guess_at_levels_that_were_not_counted():
    frame = pl.DataFrame({"name": [f"name {i}" for i in range(30_000)]})
    base = profile(frame, contract=Contract((Column("name", "categorical"),)))
    with pytest.raises(SettingsError, match="name: more levels than a profile counts"):
        compare(base, frame, methods=["psi:evidently"])


# the measures of shares, by their textbook definitions on NumPy's deciles


def by_the_book(r: np.ndarray, c: np.ndarray) -> dict[str, float]:
    floored = np.maximum(r, FLOOR), np.maximum(c, FLOOR)
    return {
        "psi": ((floored[1] - floored[0]) * np.log(floored[1] / floored[0])).sum(),
        "kl_divergence": stats.entropy(c, floored[0] / floored[0].sum()) - math.log(floored[0].sum()),
        "jensen_shannon": math.sqrt(sum(stats.entropy(p, (r + c) / 2, base=2) for p in (r, c)) / 2),
        "hellinger": math.sqrt(max(0.0, 1 - np.sqrt(r * c).sum())),
        "total_variation": np.maximum(c - r, 0).sum(),
        "l_infinity": np.abs(c - r).max(),
    }


@pytest.mark.parametrize("seed", range(4))
def test_measures_of_shares_on_numpys_deciles(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=5000), rng.normal(0.3, 1.2, size=3000)
    cuts = [-np.inf, *np.quantile(x, np.arange(1, 10) / 10), np.inf]
    r, c = (np.histogram(side, cuts)[0] / len(side) for side in (x, y))
    sides = columns(pl.Series("x", x), pl.Series("x", y))
    for name, expected in by_the_book(r, c).items():
        # a decile is one row here and the mean of two rows there, so a row may stand on the other side of it
        assert METHODS[name].score(*sides) == pytest.approx(expected, rel=0.02), name


@steadily
@given(st.lists(st.integers(0, 500), min_size=2, max_size=9), st.lists(st.integers(0, 500), min_size=9, max_size=9))
def test_measures_of_shares_of_levels(counts, others):
    others = others[: len(counts)]
    if not sum(counts) or not sum(others):
        return
    sides = columns(*(pl.Series("x", [f"level {i}" for i, n in enumerate(side) for _ in range(n)])
                      for side in (counts, others)))
    r, c = (np.array(side) / sum(side) for side in (counts, others))
    for name, expected in by_the_book(r, c).items():
        assert METHODS[name].score(*sides) == pytest.approx(expected, rel=1e-9, abs=2e-8), name


# what is not counted level by level, or hidden by binning, is within the bound


def with_fewer_counts(column: CategoricalProfile, levels: int, named: frozenset[str]) -> CategoricalProfile:
    "As if a profile counted no more levels than this beside the named ones."
    kept = sorted((level for level in column.counts if level not in named), key=_order)[:levels]
    counts = {level: rows for level, rows in column.counts.items() if level in named or level in kept}
    return replace(column, counts=counts, named=named, other=column.size - sum(counts.values()))


@pytest.mark.parametrize("method", [pytest.param(METHODS[name], id=name) for name in OURS
                                    if "categorical" in METHODS[name].kinds and METHODS[name].error])
@settings(steadily, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 30, 600]), st.sampled_from([0.3, 1.0, 3.0]), st.booleans())
def test_levels_that_were_not_counted_are_within_the_bound(method, seed, levels, spread, disjoint):
    rng = np.random.default_rng(seed)
    rows = rng.lognormal(0, spread, (2, levels)).astype(int) * (rng.random((2, levels)) < 0.7)
    if disjoint:
        rows[1] *= rows[0] == 0
    rows[:, 0] += 1
    whole = [CategoricalProfile("x", "categorical", int(side.sum()), 0,
                                {f"level {i}": n for i, n in enumerate(side.tolist()) if n}) for side in rows]
    few = with_fewer_counts(whole[0], int(rng.integers(1, levels + 1)), frozenset())
    few = few, with_fewer_counts(whole[1], int(rng.integers(1, levels + 1)), frozenset(few.counts))
    gap = abs(method.score(*few) - method.score(*whole))
    assert gap <= method.error(*few) + 1e-9 * max(1.0, method.score(*whole))
    assert method.error(*whole) == 0 and method.score(*few) >= 0



@st.composite
def samples(draw):
    """Two samples, and one whose quantiles are the bins: ties, atoms, whole numbers, constants, outliers, values out of
    range, NaN and infinite ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def one():
        n = draw(st.sampled_from([1, 2, 7, 60, 900, 4000]))
        x = rng.normal(draw(st.sampled_from([0, 0, 0.3, 5])), draw(st.sampled_from([1, 0.2, 3])), n)
        shape = draw(st.sampled_from(["normal", "whole", "atom", "ties", "heavy", "offset", "constant", "holes"]))
        if shape == "whole":
            return np.round(4 * x).astype(np.int64)
        if shape == "atom":
            return np.where(rng.random(n) < 0.6, 0.0, np.exp(x))
        if shape == "ties":
            return np.round(x, 1)
        if shape == "heavy":
            return np.append(x, [1e6, -1e4][: draw(st.integers(0, 2))])
        if shape == "constant":
            return np.full(n, np.round(x[0]))
        if shape == "holes":
            return np.concatenate([x, [math.nan] * (n // 9), [math.inf, -math.inf]])
        return 1e9 + 1e-3 * x if shape == "offset" else x

    return one(), one(), one()


@pytest.mark.parametrize("method", EXACT)
@settings(steadily, max_examples=150)
@given(samples())
def test_measured_error_is_within_the_bound(method, drawn):
    bins, x, y = (pl.DataFrame({"x": side}) for side in drawn)
    base = profile(bins, contract=one_column(bins["x"]))
    reference, current = (profile(side, like=base).columns["x"] for side in (x, y))
    drawn = [side[np.isfinite(side)] for side in drawn]
    score = method.score(reference, current)
    exact = method.exact(drawn[1], drawn[2])
    bound = method.error(reference, current) if method.error else 0.0
    slack = 1e-9 * max(1.0, abs(exact)) if method.name != "energy" else 1e-6 * max(1.0, abs(exact))
    assert abs(score - exact) <= bound + slack + rounding(method, drawn), (score, exact, bound)


def rounding(method, drawn) -> float:
    "What float64 itself loses where values stand far from zero."
    far = max(float(np.abs(side).max()) for side in drawn) * 2**-52
    spread = max(min(float(np.ptp(side)) for side in drawn[1:]), 1e-9)
    return {"value": far, "root value": math.sqrt(far), "statistic": far / spread * 1e6}.get(method.unit, 0.0)


@pytest.mark.parametrize("kind", ["numeric", "datetime"])
def test_the_bound_of_a_reference_larger_than_the_sample_of_its_edges(kind):
    before, after = made(kind, int(SAMPLE_ROWS * 2.5), 1), made(kind, 30_000, 2, 0.1)
    reference, current = columns(before, after)
    assert reference.counts[0] + reference.counts[-1] > 0, "rows outside the range of the sample"
    unit = 1e-6 if kind == "datetime" else 1.0
    x, y = finite(before) * unit, finite(after) * unit
    for method in METHODS.values():
        if method.exact and kind in method.kinds:
            gap = abs(method.score(reference, current) - method.exact(x, y))
            assert gap <= (method.error(reference, current) if method.error else 1e-9) + 1e-6, method.name


# when nothing has changed


def unchanged(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    x = {
        "normal": rng.normal(size=rows),
        "lognormal": rng.lognormal(size=rows),
        "zeros": np.where(rng.random(rows) < 0.6, 0.0, rng.exponential(3, rows)),
        "whole": rng.poisson(4, rows),
        "five": rng.choice(list("abcde"), rows, p=[0.4, 0.3, 0.2, 0.08, 0.02]),
        "fifty": np.array([f"level {i}" for i in range(50)])[rng.integers(0, 50, rows)],
        "zipf": np.array([f"name {min(i, 400)}" for i in rng.zipf(1.6, rows)]),
    }
    return pl.DataFrame(x).with_columns(pl.when(pl.lit(rng.random(rows) > 0.02)).then(pl.all()))


REPETITIONS = 400


@pytest.fixture(scope="module")
def p_values() -> dict[str, list[float]]:
    rng, found = np.random.default_rng(2026), {}
    for _ in range(REPETITIONS):
        known = [name for name in ALL if METHODS[name].null]
        for result in compare(unchanged(rng, 300), unchanged(rng, 500), methods=known).results:
            found.setdefault(f"{result.method}", {}).setdefault(result.column, []).append(result.p_value)
    return found


def at_most(share: float, repetitions: int) -> float:
    "The share plus three standard errors of a simulation."
    return share + 3 * math.sqrt(share * (1 - share) / repetitions)


@pytest.mark.parametrize("name", [name for name in ALL if METHODS[name].null])  # a method may have none
def test_p_values_hold_what_they_promise(name, p_values):
    for column, values in p_values[name].items():
        assert len(values) == REPETITIONS
        assert np.mean(np.array(values) <= 0.05) <= at_most(0.05, REPETITIONS), column
        assert np.mean(np.array(values) <= 0.005) <= at_most(0.005, REPETITIONS), column


@pytest.mark.parametrize(("n", "m", "repetitions"), [(300, 500, 300), (2000, 1, 200), (2000, 4, 200), (2000, 30, 200),
                                                     (40, 2000, 200), (5000, 5000, 100)])
def test_the_verdict_raises_few_false_alarms(n, m, repetitions):
    rng = np.random.default_rng(99)
    drifted = sum(compare(unchanged(rng, n), unchanged(rng, m)).verdict.state == "drift" for _ in range(repetitions))
    assert drifted / repetitions <= at_most(0.05, repetitions)


def test_a_change_is_seen_where_there_is_one():
    rng, seen = np.random.default_rng(3), {"normal": 0, "five": 0, "missing": 0}
    for _ in range(40):
        before, after = unchanged(rng, 2000), unchanged(rng, 2000)
        moved = after.with_columns(
            normal=pl.col("normal") + 0.5,
            five=pl.when(pl.lit(rng.random(2000) < 0.15)).then(pl.lit("e")).otherwise("five"),
            whole=pl.when(pl.lit(rng.random(2000) > 0.1)).then("whole"))
        columns_ = set(compare(before, moved).frame.filter("drifted")["column"])
        for name, column in (("normal", "normal"), ("five", "five"), ("missing", "whole")):
            seen[name] += column in columns_
    assert min(seen.values()) >= 38, seen


def test_dates_are_in_seconds():
    days = [datetime(2026, 1, 1) + timedelta(hours=h * 7 % 997) for h in range(500)]
    later = [day + timedelta(days=2) for day in days]
    for exact in (False, True):
        report = compare(pl.DataFrame({"x": days}), pl.DataFrame({"x": later}), methods=["wasserstein"], exact=exact)
        assert report.results[0].score == pytest.approx(2 * 86400) and report.results[0].unit == "seconds"


def test_a_column_of_many_levels_has_sound_limits_and_p_values():
    rng = np.random.default_rng(0)
    before, same, other = (pl.DataFrame({"x": pl.Series(rng.integers(low, low + 60_000, 60_000)).cast(pl.String)})
                           for low in (0, 0, 30_000))
    contract = Contract((Column("x", "categorical"),))
    names = [name for name in OURS if "categorical" in METHODS[name].kinds]
    for result in compare(before, same, methods=names, contract=contract).results:
        assert not result.drifted and result.limit < 1e6, result
        assert result.p_value is None or result.p_value > 0.001, result
    found = {r.method: r for r in compare(before, other, methods=names, contract=contract).results}
    new = 1 - other["x"].is_in(before["x"].unique().to_list()).mean()
    assert abs(found["new_level"].score - new) <= found["new_level"].error_bound < 1
    assert found["jensen_shannon"].drifted


@pytest.mark.parametrize("draw", [
    pytest.param(lambda rng, n: rng.integers(0, 100_000, n), id="uniform"),
    pytest.param(lambda rng, n: np.minimum(1000 * rng.pareto(0.5, n), 1e9).astype(int), id="pareto"),
    pytest.param(lambda rng, n: np.where(rng.random(n) < 0.5, rng.integers(0, 300, n), rng.integers(0, 50_000, n)),
                 id="mixture")])
def test_a_column_of_too_many_levels_to_count_keeps_its_false_alarm_rate(draw):
    "The reference's sample chooses which levels are counted, and must not choose which are compared."
    repetitions, alarms = 40, 0
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        before, same = (pl.DataFrame({"x": pl.Series(draw(rng, n)).cast(pl.String)}) for n in (70_000, 30_000))
        report = compare(before, same, methods=["chi2"], contract=Contract((Column("x", "categorical"),)))
        assert "more than 10,000 categories" in " ".join(report.notes)
        alarms += report.results[0].p_value < 0.05
    assert alarms / repetitions <= at_most(0.05, repetitions)


@pytest.mark.parametrize(("low", "high"), [(0, 40_000), (200_000, 400_000)])
def test_levels_that_vanish_or_are_all_new_are_drift_also_where_few_are_counted(low, high):
    rng = np.random.default_rng(7)
    before, after = (pl.DataFrame({"x": pl.Series(rng.integers(*ends, 200_000)).cast(pl.String)})
                     for ends in ((0, 200_000), (low, high)))
    contract = Contract((Column("x", "categorical"),))
    report = compare(before, after, contract=contract)
    assert report.verdict.state == "drift" and {r.method for r in report.results if r.drifted} >= {"chi2"}
    assert "(±" in repr(report)
    assert compare(before, after, contract=contract, exact=True).verdict.state == "drift"


def test_the_method_in_contributing_passes_what_every_method_has_to():
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text("utf-8")
    code = textwrap.dedent(page.split("   ```python\n")[1].split("   ```\n")[0])
    names = vars(drift_lab.shares).copy()
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    method = METHODS.pop("triangular")
    rng = np.random.default_rng(0)
    before, same, far = (pl.Series("x", rng.integers(low, low + 60_000, 60_000)).cast(pl.String)
                         for low in (0, 0, 60_000))
    few, others = (pl.Series("x", rng.normal(0, 1, 300)) for _ in range(2))
    for sides, moved in (((few, others), False), ((few, others + 2), True), ((before, same), False),
                         ((before, far), True)):
        result = evaluate(method, *columns(*sides), 0.01)
        assert result.drifted == moved and result.p_value is not None, result
    assert method.score(*columns(few, few)) == 0


def test_exact_counts_every_level():
    rng = np.random.default_rng(5)
    before, after = (pl.DataFrame({"x": pl.Series(rng.integers(0, 40_000, 60_000)).cast(pl.String),
                                   "half": rng.choice(["a", "b"], 60_000)}) for _ in range(2))
    rows = before["x"].value_counts(name="r").join(after["x"].value_counts(name="c"), on="x", how="full",
                                                   coalesce=True).fill_null(0)
    expected = stats.chi2_contingency(rows.select("r", "c").to_numpy().T, correction=False).statistic
    report = compare(before, after, methods=["chi2"], columns=["x"], exact=True)
    assert report.results[0].score == pytest.approx(expected, rel=1e-9) and report.results[0].error_bound == 0
    assert not report.notes
    inside = before.filter(half="a")["x"].value_counts(name="r").join(
        after.filter(half="a")["x"].value_counts(name="c"), on="x", how="full", coalesce=True).fill_null(0)
    expected = stats.chi2_contingency(inside.select("r", "c").to_numpy().T, correction=False).statistic
    of_a = compare(before, after, methods=["chi2"], columns=["x"], exact=True, by=["half"]).results[0]
    assert of_a.segment == "half=a" and of_a.score == pytest.approx(expected, rel=1e-9)
    assert "x is missing" in " ".join(compare(before, after.drop("x"), exact=True).notes)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_values_that_became_infinite_are_drift(share):
    x = np.random.default_rng(6).normal(size=4000)
    broken = np.where(np.arange(4000) < share * 4000, np.inf, x)
    report = compare(pl.DataFrame({"x": x}), pl.DataFrame({"x": broken}))
    assert report.verdict.state == "drift" and report.frame.filter(method="missing")["score"].item() == share
    assert f"{share * 4000:,.0f} in current" in " ".join(report.notes)


def test_alpha_is_shared_by_all_that_is_judged_together():
    rng = np.random.default_rng(8)
    before, after = rng.normal(size=(2, 120))
    alone = compare(pl.DataFrame({"a": before}), pl.DataFrame({"a": after}), methods=["ks"])
    wide = {f"c{i}": rng.normal(size=120) for i in range(40)}
    together = compare(pl.DataFrame({"a": before, **wide}), pl.DataFrame({"a": after, **wide}), methods=["ks"])
    assert together.frame.filter(pl.col("column") == "a")["limit"].item() > alone.results[0].limit


def test_a_column_of_another_type_is_still_counted_right():
    reference, current = columns(pl.Series("x", range(100)), pl.Series("x", np.arange(100) + 0.5))
    exact = METHODS["ks"].exact(np.arange(100), np.arange(100) + 0.5)
    assert abs(METHODS["ks"].score(reference, current) - exact) <= METHODS["ks"].error(reference, current) + 1e-12
    floats = pa.table({"x": pa.array([1.0, 2.0, float("nan"), None])})
    codes = profile(floats, contract=Contract((Column("x", "categorical"),))).columns["x"]
    assert codes.counts == {"1": 1, "2": 1} and codes.missing == 2
