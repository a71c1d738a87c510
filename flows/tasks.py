"""What the flows share: a notebook as a Prefect task, and the contract that it holds tables against."""
import shutil
import sys
from pathlib import Path

from drift_lab.settings import MonitorSettings, prepare_state

prepare_state()  # before Prefect is imported: it reads its folders then

from prefect import task  # noqa: E402

from drift_lab.errors import DriftLabError  # noqa: E402
from drift_lab.runs import run_notebook, save_page  # noqa: E402

NOTEBOOKS = Path(__file__).parent / "notebooks"


def worth_another_try(task, run, state) -> bool:
    "A wrong column name does not get better by trying again; a dead kernel may."
    try:
        state.result()
    except DriftLabError as e:
        return e.exit_code == 1
    except Exception:
        return True
    return False


def keep_contract(settings: MonitorSettings, folder: Path) -> None:
    "Put a monitor's contract among a run's artifacts, as it was then."
    if settings.contract and Path(settings.contract).is_file():  # where it is not, the notebook says so
        shutil.copyfile(settings.contract, folder / "contract.toml")


@task(retries=1, retry_delay_seconds=2, retry_condition_fn=worth_another_try)
def run_template(
    template: str,  # file name in flows/notebooks
    parameters: dict[str, str],
    folder: Path,  # the executed notebook and its page go here, also where a cell fails
) -> None:
    "Run a template; what it prints goes to the error stream as it comes."
    executed = folder / template
    try:
        run_notebook(NOTEBOOKS / template, parameters, executed, progress=sys.stderr)
    finally:
        if executed.exists():
            save_page(executed, executed.with_suffix(".html"))
