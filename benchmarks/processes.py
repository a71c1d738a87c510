"""A process under a limit of time and of memory, and what it took as a whole (Linux)."""
import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOOK = 0.02  # seconds between two looks at its memory


@dataclass(frozen=True)
class Limits:
    seconds: float = 1200.0
    gib: float = 16.0


@dataclass(frozen=True)
class Done:
    "What a process said, and what it took from its start to its end."
    output: str
    wall: float  # seconds
    cpu: float  # seconds, user and system
    peak: float  # MiB, as of the last look


class OverLimit(Exception):
    "The process was ended at a limit; says which."


class Failed(Exception):
    "The process ended by itself with an error; says its last line."


def run(
    command: Sequence[str | Path],
    limits: Limits,
    environment: dict[str, str],
    answers: Sequence[int] = (0,),  # exit codes that are answers and not errors
) -> Done:
    "Run a command to its end. Raises OverLimit or Failed."
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as troubles:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=troubles, stdin=subprocess.DEVNULL)
        over, peak = _watch(process, limits, began)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        troubles.seek(0)
        error = troubles.read().strip()
        if over:
            raise OverLimit(over)
        if process.returncode not in answers:
            if process.returncode == -9 or "MemoryError" in error[-2000:]:  # -9: the system ended it
                raise OverLimit("out of memory")
            raise Failed((error.splitlines() or [f"exit code {process.returncode}"])[-1][:200])
        return Done(said.read(), wall, used.ru_utime + used.ru_stime, peak)


def _watch(process: subprocess.Popen, limits: Limits, began: float) -> tuple[str, float]:
    "Look until it has ended, or end it; which limit it was, and the highest memory seen."
    over, peak, handle = "", 0.0, os.pidfd_open(process.pid)
    try:
        # the handle can be read once the process has ended, so waiting on it adds nothing to the wall time
        while not select.select([handle], [], [], LOOK)[0]:
            now, peak = _memory(process.pid, peak)
            if time.perf_counter() - began > limits.seconds:
                over = f"over {limits.seconds / 60:g} min"
            elif now > limits.gib * 1024:
                over = f"out of memory (over {limits.gib:g} GiB)"
            if over:
                process.kill()
                break
    except BaseException:  # stopped from the keyboard: what was started ends, too
        process.kill()
        raise
    finally:
        os.close(handle)
    return over, peak


def _memory(pid: int, before: float) -> tuple[float, float]:
    "MiB resident now, and at most so far; a process that is just ending has none."
    found = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+)", Path(f"/proc/{pid}/status").read_text()))
    return int(found.get("VmRSS", 0)) / 1024, max(before, int(found.get("VmHWM", 0)) / 1024)
