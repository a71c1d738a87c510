"""The flows as production runs them: against a Prefect server, with failures that must be told as such."""
import json
import subprocess
import time
import urllib.request

import polars as pl
import pytest
from conftest import BIN, command, environment, python
from test_demo import runs_of

from drift_lab.simulation import simulate

SETTINGS = """[monitor.small]
source = "small.parquet"
time = "time"
every = "4w"
target = "default"

[monitor.plain]
source = "small.parquet"
time = "time"
every = "4w"
columns.default.role = "segment"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory, free_port):
    "A real Prefect server, stopped by its process id."
    home, port = tmp_path_factory.mktemp("server"), free_port()
    process = subprocess.Popen([BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
                               env=environment(home) | {"PREFECT_HOME": str(home / "prefect"), "DO_NOT_TRACK": "1",
                                                        "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/api"
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5)
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the Prefect server did not start"
            time.sleep(0.3)
    yield url
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def world(tmp_path_factory, server):
    "A home with a small table, its settings, and a champion that was trained by the flow."
    home = tmp_path_factory.mktemp("world")
    simulate(3000, seed=1).frame.write_parquet(home / "small.parquet")
    (home / "settings.toml").write_text(SETTINGS)
    trained = command(home, "train", "settings.toml", "--monitor", "small", PREFECT_API_URL=server)
    assert trained.returncode == 0 and trained.stdout == "small: models:/small/1\n", trained.stderr
    return home


def flow_runs(server: str) -> list[dict]:
    request = urllib.request.Request(f"{server}/flow_runs/filter", json.dumps({"sort": "START_TIME_ASC"}).encode(),
                                     {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=30))


def test_monitoring_shows_on_the_server(world, server):
    done = command(world, "monitor", "settings.toml", "--monitor", "small", "--once", PREFECT_API_URL=server)
    assert done.returncode == 0, done.stderr
    assert "report: " in done.stdout and "verdict" in done.stdout
    assert [run["state_type"] for run in flow_runs(server)][:2] == ["COMPLETED", "COMPLETED"]
    assert runs_of(world)[-1]["status"] == "FINISHED"


def test_a_monitor_without_a_target_needs_no_model(world, server):
    done = command(world, "monitor", "settings.toml", "--monitor", "plain", "--once", "--fail-on", "drift",
                   PREFECT_API_URL=server)
    assert done.returncode in (0, 3), done.stderr
    state = runs_of(world)[-1]["tags"]["verdict"]
    assert done.returncode == (3 if state in ("drift", "harm") else 0) and state != "harm"


def test_training_again_on_the_same_data_keeps_the_champion(world, server):
    done = command(world, "train", "settings.toml", "--monitor", "small", PREFECT_API_URL=server)
    assert done.returncode == 0 and done.stdout == "small: models:/small/1 (data and settings unchanged)\n", done.stderr


def test_a_failed_notebook_is_logged_and_its_run_marked(world, server, tmp_path):
    frame = pl.read_parquet(world / "small.parquet")
    frame.drop("age").write_parquet(tmp_path / "small.parquet")
    (tmp_path / "settings.toml").write_text(SETTINGS)
    done = command(world, "monitor", tmp_path / "settings.toml", "--monitor", "small", "--once", PREFECT_API_URL=server)
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "age is missing" in line and "Traceback" not in done.stderr, done.stderr
    failed = runs_of(world)[-1]
    assert failed["status"] == "FAILED" and "age is missing" in failed["tags"]["drift_lab.error"]
    assert {"drift_report.ipynb", "drift_report.html"} <= set(failed["artifacts"])
    assert "report.json" not in failed["artifacts"]
    assert flow_runs(server)[-1]["state_type"] == "FAILED"


def test_no_model_to_watch(tmp_path):
    simulate(600).frame.write_parquet(tmp_path / "small.parquet")
    (tmp_path / "settings.toml").write_text(SETTINGS)
    done = command(tmp_path, "monitor", "settings.toml", "--monitor", "small", "--once")
    assert done.returncode == 2 and "no model 'small'" in done.stderr and "Traceback" not in done.stderr


def test_a_killed_kernel_is_a_failure(tmp_path):
    code = """
import nbformat
from pathlib import Path
from drift_lab.errors import RunError
from drift_lab.runs import logged_run, run_notebook
cells = [nbformat.v4.new_code_cell("n: int = 1", metadata={"tags": ["parameters"]}),
         nbformat.v4.new_code_cell("import os\\nos.kill(os.getpid(), 9)"), nbformat.v4.new_code_cell("print('never')")]
kernel = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), "killed.ipynb")
try:
    with logged_run("killed", {}) as (run, folder):
        run_notebook(Path("killed.ipynb"), {"n": 1}, folder / "killed.ipynb")
except RunError as e:
    print(e)
"""
    done = python(tmp_path, code)
    assert "its kernel died" in done.stdout, done.stderr
    run = runs_of(tmp_path)[-1]
    assert run["status"] == "FAILED" and "killed.ipynb" in run["artifacts"]
