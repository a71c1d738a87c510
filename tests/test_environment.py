"""bootstrap.py, the lock and the wheel: what `make` relies on before anything of ours can be imported."""
import ast
import base64
import hashlib
import importlib.metadata
import os
import runpy
import shutil
import subprocess
import sys
import threading
import zipfile
from configparser import ConfigParser
from email import message_from_string
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import drift_lab

ROOT = Path(__file__).parents[1]
BOOTSTRAP = runpy.run_path(str(ROOT / "bootstrap.py"))
# stands in for a Python that is too old: there may be none on this machine
OLD = "import runpy, sys; sys.version_info = (3, 10, 13); del sys.argv[0]; runpy.run_path(sys.argv[0], {}, '__main__')"


@pytest.fixture
def workspace(tmp_path):
    "What bootstrap.py needs to make an environment, in a folder of its own."
    folder = tmp_path / "workspace"
    folder.mkdir()
    for name in ("bootstrap.py", "settings.ini", "setup.py"):
        shutil.copy(ROOT / name, folder)
    (folder / "requirements.lock").write_text("one==1\n")
    return folder


def run(workspace, *arguments, path="", python=(sys.executable,), **settings):
    "Run a workspace's bootstrap.py with nothing on the PATH but what is said, and no setting but what is said."
    environment = {"PATH": str(path) or str(workspace / "nothing"), "HOME": str(workspace), **settings}
    command = [*python, str(workspace / "bootstrap.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def script(file, text):
    "An executable shell script."
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n" + text)
    file.chmod(0o755)
    return file


def test_an_old_python_can_read_bootstrap_and_is_told_in_one_line_which_versions_will_do(workspace):
    ast.parse((ROOT / "bootstrap.py").read_text(), feature_version=(3, 6))
    done = run(workspace, python=(sys.executable, "-c", OLD))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert all(f"{major}.{minor}" in done.stderr for major, minor in BOOTSTRAP["SUPPORTED"])
    assert not (workspace / ".venv").exists()


def test_an_old_python_gives_way_to_a_supported_one_that_starts(workspace, tmp_path):
    name = "python{}.{}".format(*sys.version_info)
    script(tmp_path / "shims" / name, "exit 127\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / name).symlink_to(sys._base_executable)
    done = run(workspace, "frob", python=(sys.executable, "-c", OLD), path=f"{tmp_path / 'shims'}:{tmp_path / 'bin'}")
    assert (done.returncode, done.stderr) == (
        2, "drift_lab: frob: not understood; it is `bootstrap.py` or `bootstrap.py lock`\n")


def page(*names, yanked=()):
    "A package index's page in the form of PEP 503, each file with its own checksum."
    return "\n".join(
        f'<a href="../../f/{name}#sha256={hashlib.sha256(name.encode()).hexdigest()}" data-requires-python="&gt;=3.8"'
        f'{" data-yanked" if name in yanked else ""}>{name}</a><br/>' for name in names)


@pytest.mark.parametrize(("platform", "chosen"), [
    (("manylinux", (2, 36), "x86_64"), "uv-0.9.10-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
    (("manylinux", (2, 36), "aarch64"),
     "uv-0.9.10-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl"),
    (("musllinux", (1, 99), "aarch64"),
     "uv-0.9.10-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl"),
    (("musllinux", (1, 99), "x86_64"), "uv-0.9.9-py3-none-musllinux_1_1_x86_64.whl"),
    (("macosx", (14, 2), "arm64"), "uv-0.9.9-py3-none-macosx_11_0_arm64.whl"),
    (("macosx", (10, 9), "arm64"), None),
    (("manylinux", (2, 36), "s390x"), None),
])
def test_the_newest_uv_that_runs_here_is_chosen(platform, chosen):
    withdrawn = "uv-0.9.11-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    index = page(
        "uv-0.9.10-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "uv-0.9.10-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        "uv-0.9.12rc1-py3-none-manylinux_2_17_x86_64.whl", "uv-0.9.12-py3-none-manylinux_2_40_x86_64.whl", withdrawn,
        "uv-0.9.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "uv-0.9.9-py3-none-musllinux_1_1_x86_64.whl", "uv-0.9.9-py3-none-macosx_11_0_arm64.whl",
        "uv-0.9.9-py3-none-win_amd64.whl", "uv-0.9.9.tar.gz", yanked=(withdrawn,))
    expected = chosen and (f"../../f/{chosen}", hashlib.sha256(chosen.encode()).hexdigest())
    assert BOOTSTRAP["choose_wheel"](index, *platform) == expected


@pytest.fixture
def index(tmp_path):
    "A package index on this machine that asks for a password and has one wheel of a uv that writes down its arguments."
    family, (major, minor), machine = BOOTSTRAP["this_platform"]()
    wheel = f"uv-1.2.3-py3-none-{family}_{min(major, 99)}_{min(minor, 99)}_{machine}.whl"
    with zipfile.ZipFile(tmp_path / wheel, "w") as archive:
        archive.writestr("uv-1.2.3.data/scripts/uv", '#!/bin/sh\necho "$@" >> said\n')
    data = (tmp_path / wheel).read_bytes()
    right = hashlib.sha256(data).hexdigest()
    answers = {f"/{which}/uv/": f'<a href="../../{wheel}#sha256={sha256}">{wheel}</a>'.encode()
               for which, sha256 in (("simple", right), ("forged", right[::-1]))} | {f"/{wheel}": data}

    class Index(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.headers["Authorization"] == "Basic " + base64.b64encode(b"me:s@cret").decode()
            self.send_response(200 if known and self.path in answers else 403)
            self.end_headers()
            self.wfile.write(answers[self.path] if known and self.path in answers else b"")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield f"http://me:s%40cret@127.0.0.1:{server.server_port}"
        server.shutdown()


def test_uv_is_fetched_from_the_index_that_is_named(workspace, index):
    done = run(workspace, "lock", "--upgrade", PIP_INDEX_URL=f"{index}/simple")
    assert done.returncode == 0, done.stderr
    assert (workspace / "said").read_text().startswith("pip compile --universal")
    assert "--upgrade setup.py -o requirements.lock" in (workspace / "said").read_text()
    assert os.access(workspace / ".venv" / "bin" / "uv", os.X_OK)


@pytest.mark.parametrize(("which", "says"), [("forged", "sha256"), ("absent", "127.0.0.1")])
def test_an_index_that_is_wrong_gives_one_line_without_the_password(workspace, index, which, says):
    done = run(workspace, "lock", UV_DEFAULT_INDEX=f"company={index}/{which}")
    fetching, problem = done.stderr.splitlines()
    assert done.returncode == 1
    assert says in problem and "cret" not in done.stderr
    assert not list((workspace / ".venv").glob("bin/uv*"))


def test_an_environment_is_made_once_mended_when_it_broke_off_and_renewed_with_the_lock(workspace, tmp_path):
    # a uv that breaks off in its second step while there is a file named broken
    script(tmp_path / "bin" / "uv", '[ "$2" = install ] && [ -f broken ] && { echo "no\n  disk" >&2; exit 1; }\n'
                                    '[ "$1" = pip ] && echo "$2" >> said\nexit 0\n')
    steps = workspace / "said"
    (workspace / "broken").touch()
    broken = run(workspace, path=tmp_path / "bin")
    assert broken.returncode == 1
    assert "(no disk)" in broken.stderr.splitlines()[-1]
    left = workspace / ".venv" / "left-behind"
    left.touch()

    (workspace / "broken").unlink()
    mended = run(workspace, path=tmp_path / "bin")
    assert mended.returncode == 0, mended.stderr
    assert not left.exists()  # begun anew, whatever state it was in
    assert steps.read_text().split() == ["sync", "sync", "install"]

    left.touch()
    again = run(workspace, path=tmp_path / "bin")
    assert (again.returncode, again.stderr) == (0, "")
    assert steps.read_text().split() == ["sync", "sync", "install"]

    (workspace / "requirements.lock").write_text("one==2\n")
    assert run(workspace, path=tmp_path / "bin").returncode == 0
    assert left.exists()  # brought up to date in place
    assert steps.read_text().split() == ["sync", "sync", "install", "sync", "install"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    "Our wheel, built by setuptools from a copy of what goes into it."
    tree = tmp_path_factory.mktemp("tree")
    for name in ("settings.ini", "setup.py", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, tree)
    for name in ("drift_lab", "flows", "dashboards"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tree)], cwd=tree, check=True, capture_output=True)
    with zipfile.ZipFile(next(tree.glob("*.whl"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel):
    "What the wheel says of itself."
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_string(wheel.read(name).decode())


def test_the_wheel_carries_flows_templates_and_dashboards(wheel):
    held = set(wheel.namelist())
    for folder in ("flows", "dashboards"):
        ours = [file for file in (ROOT / folder).rglob("*") if file.suffix in {".py", ".ipynb"}]
        ours = [file.relative_to(ROOT) for file in ours if not any(part.startswith(".") for part in file.parts[-2:])]
        assert {f"drift_lab/{file}" for file in ours} <= held


def test_the_version_has_one_source(metadata):
    settings = ConfigParser(delimiters=["="], interpolation=None)
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    version = settings["DEFAULT"]["version"]
    installed = importlib.metadata.distribution("drift_lab").version
    assert version == metadata["Version"] == drift_lab.__version__ == installed


def test_bootstrap_and_setup_agree_on_the_supported_pythons(metadata):
    allowed = SpecifierSet(metadata["Requires-Python"])
    assert {(3, minor) for minor in range(40) if allowed.contains(f"3.{minor}.5")} == set(BOOTSTRAP["SUPPORTED"])


def requirements(metadata, extra):
    "The requirements that an extra adds, without the marker that says so; '' is the plain package."
    every = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    return {str(need).split(";")[0].strip() for need in every
            if (need.marker.evaluate({"extra": extra}) if need.marker else extra == "")}


def test_all_is_every_extra_but_dev(metadata):
    extras = set(metadata.get_all("Provides-Extra"))
    assert {"train", "flows", "serve", "dashboards", "dev", "all"} <= extras
    rest = [requirements(metadata, extra) for extra in extras - {"all", "dev"}]
    assert requirements(metadata, "all") == set().union(*rest)


def test_the_lock_pins_every_requirement_within_its_bounds(metadata):
    pins = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and line[0] not in " #":
            pin = Requirement(line)
            pins.setdefault(canonicalize_name(pin.name), []).append(next(iter(pin.specifier)).version)
    for line in metadata.get_all("Requires-Dist"):
        need = Requirement(line)
        assert pins.get(canonicalize_name(need.name)), f"{need.name} is not in requirements.lock: run `make lock`"
        assert all(need.specifier.contains(version) for version in pins[canonicalize_name(need.name)]), line


def test_make_help_names_every_command():
    listed = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    named = [line.split()[1] for line in listed.splitlines()]
    assert {"demo", "test", "lab", "system", "help", "lock", "check", "export"} <= set(named)
    assert all(len(line.split()) > 3 and len(line) <= 120 for line in listed.splitlines())
