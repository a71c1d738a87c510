"The registry on a real MLflow store in a folder of its own: what goes in comes out, and nothing half-done looks whole."
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from drift_lab.contract import Column, Contract, load_contract
from drift_lab.errors import RegistryError
from drift_lab.features import model_input
from drift_lab.inference import infer_contract
from drift_lab.profiles import profile
from drift_lab.registry import find_reusable, load_champion, register, tracking
from drift_lab.simulation import simulate
from drift_lab.sources import read
from drift_lab.stored import profile_to_json
from drift_lab.training import Trained, train


@pytest.fixture
def state(tmp_path, monkeypatch) -> Path:
    "An empty state folder, which no other test has pointed MLflow away from."
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DRIFT_LAB_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'state' / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state"


@pytest.fixture(scope="module")
def loans() -> tuple[Trained, Contract, pl.DataFrame]:
    frame = simulate(2000, seed=5).frame
    contract = infer_contract(read(frame), target="default", time="time")
    return train(frame, contract), contract, frame


def put(loans, name="loans", **tags):
    trained, contract, frame = loans
    return register(trained, contract, profile(frame, contract=contract), name=name, tags=tags)


def test_round_trip(state, loans):
    trained, contract, frame = loans
    put(loans, data_hash="d", settings_hash="s")
    champion = load_champion("models:/loans@champion")
    fed = model_input(frame, contract)
    assert (champion.model.predict_proba(fed) == trained.model.predict_proba(fed)).all()
    assert (champion.contract, champion.losses, champion.metrics) == (contract, trained.losses, trained.metrics)
    assert (champion.task, champion.classes, champion.version) == ("binary", (0, 1), 1)
    assert profile_to_json(champion.profile) == profile_to_json(profile(frame, contract=contract))
    assert sorted(path.name for path in state.iterdir()) == ["artifacts", "mlflow.db", "mlflow.lock"]
    assert not (state.parent / "mlruns").exists()


def test_everything_is_found_from_the_version_alone(state, loans):
    import mlflow

    put(loans)
    folder = Path(mlflow.artifacts.download_artifacts("models:/loans@champion"))
    assert json.loads((folder / "extra_files" / "contract.json").read_text())["schema"] == "drift_lab.contract/2"
    assert load_contract(folder / "extra_files" / "contract.toml") == load_champion("loans").contract
    assert json.loads((folder / "extra_files" / "training.json").read_text())["task"] == "binary"
    assert json.loads((folder / "extra_files" / "reference_profile.json").read_text())["rows"] == 2000


@pytest.mark.parametrize("kind", ["regression with dates", "three classes", "boolean"])
def test_every_kind_of_model_survives(state, kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    frame = pl.DataFrame({"x": x, "day": pl.date_range(pl.date(2026, 1, 1), pl.date(2026, 7, 19), eager=True),
                          "town": [f"t{n % 30}" for n in range(200)]})
    y = {"regression with dates": x * 2.5, "three classes": np.select([x < -0.5, x < 0.5], ["a", "b"], "c"),
         "boolean": x > 0}[kind]
    frame = frame.with_columns(y=pl.Series(y))
    contract = Contract((Column("x", "numeric"), Column("day", "datetime"), Column("town", "categorical"),
                         Column("y", "numeric" if "regression" in kind else "categorical", "target")))
    trained = train(frame, contract)
    register(trained, contract, profile(frame, contract=contract), name="any")
    champion, fed = load_champion("any"), model_input(frame, contract)
    assert (champion.model.predict(fed) == trained.model.predict(fed)).all()
    assert champion.classes == trained.classes and champion.task == trained.task


def test_a_version_for_each_training_and_the_alias_on_the_last(state, loans):
    assert [put(loans).version for _ in range(2)] == [1, 2]
    assert load_champion("models:/loans@champion").version == 2
    assert load_champion("models:/loans/1").version == 1


def test_what_is_not_there_is_answered_with_what_is(state, loans):
    with pytest.raises(RegistryError, match="no model 'loans'; There are: none"):
        load_champion("models:/loans@champion")
    put(loans)
    for uri, says in {"models:/laons@champion": "did you mean 'loans'", "models:/loans/9": "versions 1 and @champion",
                      "models:/loans@best": "versions 1 and @champion", "runs:/1/2/3": "not a model's address",
                      "": "not a model's address"}.items():
        with pytest.raises(RegistryError) as caught:
            load_champion(uri)
        assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_failed_registration_leaves_a_failed_run_and_the_old_champion(state, loans):
    trained, contract, frame = loans
    put(loans)
    broken = replace(trained, metrics={"accuracy": float("nan")})  # not JSON: fails after the run has begun
    with pytest.raises(ValueError, match="JSON"):
        register(broken, contract, profile(frame, contract=contract), name="loans")
    strange = replace(trained, model=os.getcwd)
    with pytest.raises(RegistryError, match="not trusted"):
        register(strange, contract, profile(frame, contract=contract), name="loans")
    client = tracking()
    runs = client.search_runs([client.get_experiment_by_name("drift_lab").experiment_id])
    assert sorted(run.info.status for run in runs)[-1] == "FINISHED" and load_champion("loans").version == 1
    assert [run.info.status for run in runs].count("FINISHED") == 1


def test_a_name_that_cannot_be(state, loans):
    with pytest.raises(RegistryError, match="cannot be a model's name"):
        put(loans, name="a/b")


def test_registering_inside_a_run_uses_that_run(state, loans):
    import mlflow

    tracking()
    with mlflow.start_run() as run:
        assert put(loans).run_id == run.info.run_id
        assert mlflow.active_run() is not None  # its owner ends it
    assert load_champion("loans").run_id == run.info.run_id


def test_reuse_needs_equal_hashes_and_whole_files(state, loans):
    assert find_reusable("loans", "d", "s") is None
    put(loans, data_hash="d", settings_hash="s")
    assert find_reusable("loans", "d", "s") == "models:/loans/1"
    assert find_reusable("loans", "d", "other") is None and find_reusable("loans", "other", "s") is None
    shutil.rmtree(state / "artifacts")
    assert find_reusable("loans", "d", "s") is None
    with pytest.raises(RegistryError, match="train it anew|did not register it"):
        load_champion("loans")


def test_a_model_that_others_registered_is_refused_by_name(state):
    import mlflow
    from sklearn.linear_model import LinearRegression

    client = tracking()
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(LinearRegression().fit([[0.0], [1.0]], [0, 1]), name="model",
                                        pip_requirements=["scikit-learn"])
    client.create_registered_model("theirs")
    client.create_model_version("theirs", f"models:/{info.model_id}", model_id=info.model_id)
    client.set_registered_model_alias("theirs", "champion", "1")
    with pytest.raises(RegistryError, match="has no contract.json.*drift_lab did not register it"):
        load_champion("theirs")


def test_a_swapped_model_file_runs_no_code(state, loans):
    from sklearn.preprocessing import FunctionTransformer
    from skops.io import dump

    put(loans)
    (file,) = state.rglob("model.skops")
    dump(FunctionTransformer(os.getcwd), file)
    with pytest.raises(RegistryError, match="posix.getcwd, which is not trusted"):
        load_champion("loans")


def test_processes_that_meet_a_fresh_store_at_once(state):
    code = ("from drift_lab.registry import tracking\n"
            "print(tracking().get_experiment_by_name('drift_lab').experiment_id)")
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(3)]
    done = [(*process.communicate(timeout=120), process.returncode) for process in started]
    assert [code for *_, code in done] == [0] * 3, done
    assert len({out for out, *_ in done}) == 1
