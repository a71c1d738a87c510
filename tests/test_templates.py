"""Templates and dashboards run as they are, on a small world made here; and they refuse what is not theirs."""
import shutil
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT, environment

from drift_lab.errors import SettingsError
from drift_lab.runs import check_parameters
from drift_lab.simulation import simulate

TEMPLATES = sorted((ROOT / "flows" / "notebooks").glob("*.ipynb"))
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.ipynb"))
ASSIGNED = ("train.ipynb", "drift_report.ipynb")


def test_every_template_is_known_here():
    assert {path.name for path in TEMPLATES} == set(ASSIGNED) and DASHBOARDS


@pytest.mark.parametrize("path", [*TEMPLATES, *DASHBOARDS], ids=lambda path: path.name)
def test_committed_without_outputs_or_definitions(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            starts = [line.split(" ")[0] for line in cell.source.splitlines()]
            assert "def" not in starts and "class" not in starts, cell.source


def test_they_run_as_they_are(tmp_path):
    world = tmp_path / "notebooks"
    (world / "small").mkdir(parents=True)
    for path in (*TEMPLATES, *DASHBOARDS):
        shutil.copy(path, world)
    simulate(1500, seed=2).frame.write_parquet(world / "small" / "small.parquet")
    (world / "small" / "settings.toml").write_text(
        '[monitor.small]\nsource = "small.parquet"\ntime = "time"\nevery = "4w"\ntarget = "default"\n')
    # train first: the report watches what it registers, and the dashboard shows what the report judged
    order = [*ASSIGNED, *(path.name for path in DASHBOARDS)]
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--nbval-lax",
                           "--nbval-cell-timeout=300", "--nbval-current-env", *order], cwd=world,
                          env=environment(tmp_path), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_wrong_parameters_are_refused(path):
    given = {"settings": "s.toml", "monitor": "m", "run": ""}
    if path.name == "drift_report.ipynb":
        given["folder"] = "f"
    check_parameters(path, given)
    with pytest.raises(SettingsError, match="no parameter 'setings'; did you mean 'settings'"):
        check_parameters(path, given | {"setings": "x"})
    with pytest.raises(SettingsError, match="parameter 'monitor' is missing"):
        check_parameters(path, {name: value for name, value in given.items() if name != "monitor"})
    with pytest.raises(SettingsError, match="is not of type str"):
        check_parameters(path, given | {"monitor": 3})
