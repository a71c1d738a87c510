"""A Prefect server for as long as a command runs, where the user has none: started early, to be ready when needed.

Without it every flow would start one inside Prefect's client, which loads the server twice, one after the other.
"""
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from drift_lab.errors import RunError

PATIENCE = 120  # seconds
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class PrefectServer:
    "Starts a server unless PREFECT_API_URL names one; `wait()` before the first flow."

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "PrefectServer":
        if "PREFECT_API_URL" in os.environ:
            return self
        if find_spec("prefect") is None:
            raise ModuleNotFoundError("No module named 'prefect'", name="prefect")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [Path(sys.executable).parent / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port),
             "--no-services"], env=os.environ | {"PREFECT_UI_ENABLED": "0", "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None)
        os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
        return self

    def wait(self) -> None:
        "Until the server answers. Raises RunError if it ends or does not answer in time."
        deadline = time.monotonic() + PATIENCE
        while self.process:
            try:
                urllib.request.urlopen(os.environ["PREFECT_API_URL"] + "/health", timeout=5)
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RunError("the Prefect server did not start; `prefect server start` says why") from None
                time.sleep(0.1)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process:
            del os.environ["PREFECT_API_URL"]
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def _end_with_parent() -> None:
    "In the child: the kernel ends it when its parent is gone, also by kill -9."
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
