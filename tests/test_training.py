"Features, training, leaks and realised performance, on made and on real tables."
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind
from sklearn.metrics import log_loss, roc_auc_score

from drift_lab.contract import Column, Contract
from drift_lab.errors import ContractError
from drift_lab.features import fit_features, model_input
from drift_lab.inference import infer_contract
from drift_lab.leaks import find_leaks
from drift_lab.performance import judge_performance, realised
from drift_lab.simulation import simulate
from drift_lab.sources import read
from drift_lab.training import LossSummary, area_under_roc, evaluate, log_losses, task_of, train

# file, target, time, leaks, metric, at least, at most: what a plain forest reaches on the last quarter of half the rows
TABLES = [
    ("simulated", "default", "time", set(), "roc_auc", 0.76, 0.84),
    ("bike_sharing/bike_hourly.parquet", "cnt", "timestamp", {"casual", "registered"}, "r2", 0.75, 0.95),
    ("bike_sharing/bike_daily.parquet", "cnt", "timestamp", {"casual", "registered"}, "r2", 0.0, 0.9),
    ("electricity_nsw/electricity_nsw.parquet", "class", "timestamp", set(), "roc_auc", 0.75, 0.95),
    ("employment_ma/employment_ma.parquet", "employed", None, set(), "roc_auc", 0.88, 0.93),
    ("adult/adult.parquet", "class", None, set(), "roc_auc", 0.90, 0.95),
    ("california_housing/california_housing.parquet", "median_house_value", None, set(), "r2", 0.5, 0.85),
    ("weather_bellevue/weather_bellevue.parquet", "target", None, set(), "roc_auc", 0.75, 0.92),
]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"  # beside the repository, where there is such a folder


@pytest.fixture(scope="module")
def loans() -> tuple[pl.DataFrame, Contract]:
    frame = simulate(8000, seed=2).frame
    return frame, infer_contract(read(frame), target="default", time="time")


@pytest.mark.parametrize("case", [case for case in TABLES if case[0] == "simulated" or (DATA / case[0]).exists()],
                         ids=lambda case: case[0])
def test_whole_tables(case):
    path, target, time, leaking, metric, least, most = case
    table = read(simulate(20_000).frame if path == "simulated" else DATA / path)
    contract = infer_contract(table, target=target, time=time)
    frame = table.frame()
    frame = frame.head(frame.height // 2)
    leaks = find_leaks(frame, contract)
    assert {name for leak in leaks for name in leak.columns} == leaking
    assert all(name in leak.why for leak in leaks for name in leak.columns)
    trained = train(frame, contract.with_roles(dict.fromkeys(leaking, "leak")))
    assert least < trained.metrics[metric] < most
    assert not leaking & set(trained.example.columns) and target not in trained.example.columns


def test_the_same_rows_give_the_same_model(loans):
    frame, contract = loans
    first, second = train(frame, contract), train(frame.sample(fraction=1, shuffle=True, seed=1), contract)
    assert first.metrics == second.metrics and first.losses == second.losses  # order is by time, however rows come
    fed = model_input(frame, contract)
    assert (first.model.predict_proba(fed) == second.model.predict_proba(fed)).all()


def test_measured_on_the_last_quarter_only(loans):
    frame, contract = loans
    trained = train(frame, contract)
    last = frame.tail(2000)
    assert (trained.rows_train, trained.rows_holdout) == (6000, 2000)
    chance = trained.model.predict_proba(model_input(last, contract))
    assert trained.metrics["log_loss"] == pytest.approx(log_loss(last["default"], chance), abs=1e-12)
    spoilt = pl.concat([frame.head(6000), last.with_columns(default=(1 - pl.col("default")).cast(pl.Int8))])
    other = train(spoilt, contract).model.predict_proba(model_input(last, contract))
    assert (other == chance).all()  # the labels of the last quarter are never learnt from


def test_labels_stored_in_another_type_are_the_same_labels(loans):
    frame, contract = loans
    trained = train(frame, contract)
    stored = [frame["default"], frame["default"].cast(pl.Float64), frame["default"].cast(pl.Int64)]
    done = [realised(trained.model, frame.with_columns(default=column), contract, "binary") for column in stored]
    assert done[0] == done[1] == done[2]
    some = frame.with_columns(default=pl.when(pl.int_range(pl.len()) % 4 == 0).then("default"))
    assert realised(trained.model, some, contract, "binary").rows == 2000
    assert realised(trained.model, some.with_columns(default=pl.lit(None, pl.Int8)), contract, "binary") is None


@pytest.mark.parametrize("column", ["text", "boolean", "integers", "dictionary"])
def test_targets_of_any_type(column):
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    y = x + rng.normal(size=400) > 0
    frame = pl.DataFrame({"x": x, "text": np.where(y, "UP", "DOWN"), "boolean": y, "integers": y + 5})
    frame = frame.with_columns(dictionary=pl.col("text").cast(pl.Categorical)).select("x", y=column)
    kind = "numeric" if column == "integers" else "categorical"
    trained = train(frame, Contract((Column("x", "numeric"), Column("y", kind, "target"))))
    assert trained.task == "binary" and trained.metrics["roc_auc"] > 0.75
    assert trained.classes == {"boolean": (False, True), "integers": (5, 6)}.get(column, ("DOWN", "UP"))


def test_many_classes_and_one_that_training_never_saw():
    rng = np.random.default_rng(0)
    x = rng.normal(size=800)
    frame = pl.DataFrame({"x": x, "y": np.select([x < -0.5, x < 0.5], ["low", "middle"], "high")})
    frame[799, "y"] = "new"
    contract = Contract((Column("x", "numeric"), Column("y", "categorical", "target")))
    trained = train(frame, contract)
    assert trained.task == "multiclass" and trained.classes == ("high", "low", "middle")
    assert trained.metrics["accuracy"] > 0.95 and np.isfinite(trained.metrics["log_loss"])


@pytest.mark.parametrize(("frame", "says"), [
    (pl.DataFrame({"x": range(100), "y": ["a"] * 100}), "y: the target has one value, 'a', in all 100 labelled rows"),
    (pl.DataFrame({"x": range(100), "y": [None] * 100}), "y: the target is missing in all 100 rows"),
    (pl.DataFrame({"x": range(20), "y": ["a", "b"] * 10}), "y: 20 labelled rows are too few"),
    (pl.DataFrame({"x": range(100), "y": ["a"] * 90 + ["b"] * 10}), "first three quarters of the rows hold only 'a'"),
    (pl.DataFrame({"y": ["a", "b"] * 50}), "no column 'x', which the model needs"),
    (pl.DataFrame({"x": ["?"] * 100, "y": ["a", "b"] * 50}), "x was numeric and is now stored as String"),
    (pl.DataFrame({"x": range(100)}), "no column 'y', the target"),
])
def test_what_cannot_be_learnt_is_named_in_one_line(frame, says):
    contract = Contract((Column("x", "numeric"), Column("y", "categorical", "target")))
    with pytest.raises(ContractError) as caught:
        train(frame, contract)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_no_target_and_no_features():
    with pytest.raises(ContractError, match="no target: name the column"):
        task_of(pl.DataFrame({"x": [1]}), Contract((Column("x", "numeric"),)))
    with pytest.raises(ContractError, match="no feature column is left"):
        train(pl.DataFrame({"y": [0, 1] * 50}), Contract((Column("y", "numeric", "target"),)))


def test_awkward_columns():
    rng = np.random.default_rng(0)
    n = 300
    x = rng.normal(size=n)
    frame = pl.DataFrame({
        "x": x, "void": [None] * n, "null_text": pl.Series([None] * n, dtype=pl.String), "constant": [1.0] * n,
        "infinite": np.where(x > 2, np.inf, x), "decimal": pl.Series(x.round(2)).cast(pl.Decimal(10, 2)),
        "zoned": pl.Series([None] * n, dtype=pl.Datetime("us", "Europe/Berlin")),
        "day": pl.date_range(pl.date(2025, 1, 1), pl.date(2025, 1, 1) + pl.duration(days=n - 1), eager=True),
        "many": [f"k{k}" for k in rng.integers(0, 2000, n)], "a b-c[0]<": rng.choice(["<", "ü", ""], n), "y": x > 0,
    })
    kinds = {"void": "categorical", "null_text": "categorical", "zoned": "datetime", "day": "datetime",
             "many": "categorical", "a b-c[0]<": "categorical", "y": "categorical"}
    contract = Contract(tuple(Column(name, kinds.get(name, "numeric"), "target" if name == "y" else "feature")
                              for name in frame.columns))
    trained = train(frame, contract)
    assert trained.metrics["roc_auc"] > 0.95
    assert {leak.columns for leak in find_leaks(frame, contract)} == {("x",), ("infinite",), ("decimal",)}


@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "c", "never seen", ""])), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_one_hot_rows_hold_at_most_one(values):
    contract = Contract((Column("c", "categorical"),))
    features = fit_features(pl.DataFrame({"c": ["a", "b", "c", None]}), contract)
    matrix = features.transform(model_input(pl.DataFrame({"c": pl.Series(values, dtype=pl.String)}), contract))
    assert matrix.sum(axis=1).tolist() == [float(value in ("a", "b", "c")) for value in values]


losses = st.lists(st.floats(0, 1e6), max_size=20).map(np.array)


@given(losses, losses, losses)
@settings(deadline=None)
def test_summaries_merge_in_any_order(a, b, c):
    parts = [LossSummary.of(part) for part in (a, b, c)]
    whole = LossSummary.of(np.concatenate((a, b, c)))
    for merged in (parts[0] + parts[1] + parts[2], parts[2] + (parts[0] + parts[1])):
        assert merged.n == whole.n
        assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9)
        assert merged.m2 == pytest.approx(whole.m2, rel=1e-6, abs=1e-3)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60))
@settings(deadline=None)
def test_area_under_roc_is_scikit_learns(pairs):
    positive, scores = np.array([p for p, _ in pairs]), np.array([float(s) for _, s in pairs])
    if 0 < positive.sum() < len(pairs):
        assert area_under_roc(positive, scores) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_log_losses_are_scikit_learns():
    rng = np.random.default_rng(0)
    chance = rng.dirichlet(np.ones(3), 500)
    labels = rng.choice(["a", "b", "c"], 500)
    ours = log_losses(labels, np.array(["a", "b", "c"]), chance).mean()
    assert ours == pytest.approx(log_loss(labels, chance, labels=["a", "b", "c"]), abs=1e-12)


@pytest.mark.parametrize("n", [30, 90, 5000])
def test_harm_by_welch(n):
    rng = np.random.default_rng(n)
    before, after = rng.exponential(1, 3 * n), rng.exponential(1.3, n)
    harm = judge_performance(LossSummary.of(before), LossSummary.of(after), alpha=0.05)
    theirs = ttest_ind(after, before, equal_var=False, alternative="greater")
    assert harm.p_value == pytest.approx(theirs.pvalue, abs=2e-3)
    assert harm.harmed == (harm.rise > 0.1 * before.mean() and theirs.pvalue < 0.05)


def test_harm_is_rarely_called_where_nothing_changed():
    rng = np.random.default_rng(0)
    calls = [judge_performance(LossSummary.of(rng.exponential(1, 4000)), LossSummary.of(rng.exponential(1, 200)), 0.05)
             for _ in range(1000)]
    assert 0.03 < np.mean([harm.harmed for harm in calls]) < 0.08


def test_leaks_that_are_there_and_honest_columns_that_are_not(loans):
    frame, contract = loans
    assert find_leaks(frame, contract) == ()
    leaky = frame.with_columns(
        paid=pl.col("default") == 0, fee=pl.col("default") * 25.0 + pl.int_range(pl.len()) % 2,
        called=pl.when(pl.col("default") == 1).then(1.0), nearly=pl.col("credit_score") - 100 * pl.col("default"))
    contract = infer_contract(read(leaky), target="default", time="time")
    assert {name for leak in find_leaks(leaky, contract) for name in leak.columns} == {"paid", "fee", "called"}


def test_sums_are_found_among_collinear_columns():
    rng = np.random.default_rng(0)
    a, b = rng.lognormal(0, 1, (2, 500))
    frame = pl.DataFrame({"a": a, "b": b, "twice_c": rng.normal(size=500)}).with_columns(
        c=pl.col("twice_c") / 2, y=2 * pl.col("a") - pl.col("b") + 3)
    leaks = find_leaks(frame, infer_contract(read(frame), target="y"))
    assert [leak.columns for leak in leaks] == [("a", "b")] and "2 x a - b gives y exactly" in leaks[0].why


def test_undefined_metrics_are_left_out(loans):
    frame, contract = loans
    trained = train(frame, contract)
    done = evaluate(trained.model, frame.filter(pl.col("default") == 1), contract, "binary")
    assert set(done.metrics) == {"accuracy", "log_loss"}


def test_performance_is_light_to_import():
    heavy = ("sklearn", "pandas", "mlflow", "scipy", "threadpoolctl")
    code = f"import sys, drift_lab.performance; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
