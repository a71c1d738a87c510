"""Makes .venv out of requirements.lock with nothing but a bare python3, and does nothing where it is up to date.

    python3 bootstrap.py                        make or mend the environment (`make` does this before each target)
    python3 bootstrap.py lock [uv's options]    resolve settings.ini anew into requirements.lock (`make lock`)

The installing is uv's: the one on the PATH or else one fetched from the package index into .venv/bin. Neither pip nor
ensurepip is needed, which Debian's python3 lacks. The syntax stays within Python 3.6, so that an older interpreter
can read this file as far as the line that says which versions will do.
"""
import base64
import fcntl
import hashlib
import html
import http.client
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path
from subprocess import DEVNULL, PIPE
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import Request, urlopen

SUPPORTED = ((3, 13), (3, 12), (3, 11))  # as settings.ini and setup.py have it; the first one found is taken
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "made-from.txt"  # written last, so an environment without it is not complete
MADE_FROM = ("requirements.lock", "settings.ini", "setup.py")


def say(line):
    print("drift_lab: " + line, file=sys.stderr, flush=True)


def stop(line, code=1):
    say(line)
    raise SystemExit(code)


def supported_python():
    "The newest supported Python on the PATH that starts (a pyenv shim may not), or None."
    for version in SUPPORTED:
        for folder in os.get_exec_path():
            found = shutil.which(f"python{version[0]}.{version[1]}", path=folder)
            check = f"import sys, venv; sys.exit(sys.version_info[:2] != {version})"
            if found and subprocess.run([found, "-c", check], stderr=DEVNULL).returncode == 0:
                return found
    return None


def stamp():
    "What the environment is made of: first what only a new one can change, last what uv can bring up to date."
    digest = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in MADE_FROM))
    major, minor = sys.version_info[:2]
    return f"Python {major}.{minor} in {ROOT}\n{' '.join(MADE_FROM)} {digest.hexdigest()}\n"


def this_platform():
    "This machine in the words of wheel tags: family, newest version of it that runs here, processor."
    family, release = "macosx", platform.mac_ver()[0]
    if sys.platform != "darwin":
        libc, release = platform.libc_ver()
        family, release = ("manylinux", release) if libc == "glibc" else ("musllinux", "1.99")
    return family, tuple(int(part) for part in release.split(".")[:2]), platform.machine()


def choose_wheel(page, family, newest, machine):
    "(address, sha256) of the newest release of uv for a platform, from a page of a package index (PEP 503), or None."
    choices = []
    for attributes, name in re.findall(r"<a\s([^>]*)>\s*([^<]*?)\s*</a>", page):
        wheel = re.match(r"uv-([\d.]+)-py3-none-(.+)\.whl$", name)
        address = re.search(r"""href=["']([^"']+)#sha256=([0-9a-f]{64})["']""", attributes)
        if not wheel or not address or "data-yanked" in attributes:
            continue
        for tag in re.findall(rf"\b{family}_(\d+)_(\d+)_{machine}(?:\.|$)", wheel.group(2)):
            needed = tuple(map(int, tag))
            if needed <= newest:
                release = tuple(map(int, wheel.group(1).split(".")))
                choices.append((release, needed, html.unescape(address.group(1)), address.group(2)))
    return max(choices)[2:] if choices else None


def fetch(address):
    "The bytes at an address; a user and password in it are sent, and never shown."
    parts = urlsplit(address)
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = Request(shown)
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        stop(f"cannot fetch {shown} ({error}): look at the network, name your package index in UV_DEFAULT_INDEX, "
             "or put uv on the PATH")


def unpack_uv(wheel, sha256, target):
    "Take the program out of a wheel whose checksum holds, and put it in place in one step."
    if hashlib.sha256(wheel).hexdigest() != sha256:
        stop("the uv wheel does not have the sha256 that the package index gives for it: nothing was installed")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        part = target.with_name("uv.part")
        part.write_bytes(archive.read(member))
    part.chmod(0o755)
    part.replace(target)


def find_uv():
    "The path of a uv that starts: from the PATH, or .venv's own, fetched where it is not there yet."
    on_path, own = shutil.which("uv"), VENV / "bin" / "uv"
    if on_path and subprocess.run([on_path, "--version"], stdout=DEVNULL, stderr=DEVNULL).returncode == 0:
        return on_path
    if not own.exists():
        # a named index, "company=https://...", is uv's way of writing it
        index = re.sub(r"^[\w.-]+=", "", os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or "")
        page = urljoin((index or "https://pypi.org/simple").rstrip("/") + "/", "uv/")
        if os.environ.get("UV_OFFLINE"):
            stop("uv is not on the PATH, and UV_OFFLINE forbids fetching it: install uv, or unset UV_OFFLINE")
        say("fetching uv, which installs the rest (about 25 MB)")
        wheel = choose_wheel(fetch(page).decode(), *this_platform())
        if wheel is None:
            stop(f"the package index has no uv for this machine, {this_platform()}: put uv on the PATH")
        own.parent.mkdir(parents=True, exist_ok=True)
        unpack_uv(fetch(urljoin(page, wheel[0])), wheel[1], own)
    return str(own)


def run(uv, *arguments):
    "Run uv; on a terminal it shows its own progress, elsewhere only what went wrong, as one line."
    shown = sys.stderr.isatty()
    done = subprocess.run([uv, *arguments], cwd=str(ROOT), stderr=None if shown else PIPE)
    if done.returncode:
        said = "see above" if shown else " ".join(done.stderr.decode(errors="replace").split())
        stop(f"uv {arguments[0]} failed ({said}): put right what it names, and run the same command again")


def install():
    "Bring .venv in line with the lock: in place where it was complete, otherwise from nothing."
    began, wanted, had = time.monotonic(), stamp(), STAMP.read_text() if STAMP.exists() else ""
    if had == wanted and PYTHON.exists():
        return
    if had.splitlines()[:1] == wanted.splitlines()[:1] and PYTHON.exists():
        STAMP.unlink()
    else:
        say(f"making .venv with Python {platform.python_version()} ({sys.executable})")
        venv.create(str(VENV), clear=True, symlinks=True)
    uv = find_uv()
    say("installing what requirements.lock pins into .venv: seconds once it is cached, else some minutes")
    run(uv, "pip", "sync", "--python", str(PYTHON), "requirements.lock")
    run(uv, "pip", "install", "--python", str(PYTHON), "--no-deps", "--no-build-isolation", "--editable", ".")
    STAMP.write_text(wanted)
    say(f"the environment is ready after {time.monotonic() - began:.0f} s")


def main(arguments):
    if sys.version_info[:2] not in SUPPORTED:
        other = supported_python()
        if other is None:
            stop(f"Python {platform.python_version()} ({sys.executable}) will not do: drift_lab runs on 3.11, 3.12 and "
                 "3.13; install one of them, or name it with PYTHON=/path/to/python", code=2)
        os.execv(other, [other, str(Path(__file__).resolve()), *arguments])
    index = os.environ.get("PIP_INDEX_URL")
    if index and not os.environ.get("UV_INDEX_URL"):
        os.environ.setdefault("UV_DEFAULT_INDEX", index)  # uv does not read pip's settings
    with open(__file__) as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # of two that start at once, the second finds the work done
        if arguments[:1] == ["lock"]:
            run(find_uv(), "pip", "compile", "--universal", "--python-version", "3.11", "--all-extras", "--quiet",
                "--custom-compile-command", "make lock", *arguments[1:], "setup.py", "-o", "requirements.lock")
        elif not arguments:
            install()
        else:
            stop(f"{' '.join(arguments)}: not understood; it is `bootstrap.py` or `bootstrap.py lock`", code=2)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        stop("interrupted; the same command starts again", code=130)
    except OSError as error:
        stop(str(error))
