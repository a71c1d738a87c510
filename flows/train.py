"""Train a monitor's model and register it as champion: one Prefect flow around one notebook."""
from pathlib import Path

from drift_lab.flows.tasks import keep_contract, run_template  # first: it prepares the state before Prefect is imported

from prefect import flow, task  # isort: skip

from drift_lab.registry import find_reusable, find_version, tracking
from drift_lab.runs import hash_of_settings, hash_of_source, logged_run
from drift_lab.settings import load_settings


@task
def reusable(settings: str, name: str) -> str | None:
    "The champion's address, if it was trained on these data with these settings."
    chosen = load_settings(settings)[name]
    return find_reusable(chosen.model_name, hash_of_source(chosen.source), hash_of_settings(chosen))


@flow(name="train")
def train(settings: str, name: str) -> tuple[str, bool]:
    "Train, evaluate and register, unless neither data nor settings changed. The champion's address; whether it is new."
    chosen = load_settings(settings)[name]
    if champion := reusable(settings, name):
        return champion, False
    with logged_run(f"train {name}", {"monitor": name, "drift_lab.step": "train"}) as (run, folder):
        keep_contract(chosen, folder)
        run_template("train.ipynb", {"settings": str(Path(settings).resolve()), "monitor": name, "run": run}, folder)
    return f"models:/{chosen.model_name}/{find_version(tracking(), chosen.model_name).version}", True
