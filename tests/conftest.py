"""What tests share: a home that is thrown away, this environment's commands, and a demo that was run once."""
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[1]


def environment(home: Path) -> dict[str, str]:
    "The environment of a command whose every file goes under `home`."
    ours = {name: value for name, value in os.environ.items()
            if not name.startswith(("MLFLOW_", "PREFECT_", "JUPYTER_", "DRIFT_LAB_", "IPYTHON"))}
    return ours | {"HOME": str(home), "DRIFT_LAB_HOME": str(home / "state"), "PATH": f"{BIN}:{os.environ['PATH']}",
                   "OMP_NUM_THREADS": "2"}


def command(home: Path, *arguments: object, **more: str) -> subprocess.CompletedProcess:
    "Run `drift-lab` with its state under `home`."
    return subprocess.run([BIN / "drift-lab", *map(str, arguments)], env=environment(home) | more, cwd=home,
                          capture_output=True, text=True, timeout=600)


def python(home: Path, code: str, **more: str) -> subprocess.CompletedProcess:
    "Run Python with its state under `home`."
    return subprocess.run([sys.executable, "-c", code], env=environment(home) | more, cwd=home, capture_output=True,
                          text=True, timeout=600)


@pytest.fixture(scope="session")
def free_port():
    "A port that nobody listens on, each time another."
    def port() -> int:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    "A home in which the demo ran once, and what it said."
    home = tmp_path_factory.mktemp("demo")
    return home, command(home, "demo", "--rows", "12000")
