"""The environments of the others: one each, for they do not agree on versions, made by uv when first needed.

They are kept in .drift_lab/benchmarks, which is in no commit; what is pinned beside a peer is what it needs to start.
"""
import os
import subprocess
import sys
from pathlib import Path

from bootstrap import find_uv

CACHE = Path(__file__).resolve().parents[1] / ".drift_lab" / "benchmarks"
REQUIREMENTS = {
    "frouros": ["frouros==0.9.0", "pyarrow", "pandas"],
    "alibi": ["alibi-detect==0.13", "pyarrow<20", "pandas"],  # wants numpy 1.26, under which newer pyarrow fails
    "deepchecks": ["deepchecks==0.19.1", "setuptools<81", "scikit-learn<1.6", "numpy<2", "pandas<2.3", "scipy<1.14",
                   "category_encoders<2.7", "pyarrow<20"],
    "nannyml": ["nannyml==0.13.1", "statsmodels", "pyarrow"],  # imports statsmodels and does not declare it
    "evidently": ["evidently==0.7.23", "pandas<3.1", "pyarrow"],
    "whylogs": ["whylogs[viz]==1.6.4", "pyarrow", "pandas<3"],
}
QUIET = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "true",
         "DEEPCHECKS_DISABLE_LATEST": "true"}


class NotInstalled(Exception):
    "A peer's environment could not be made; says what the installer said."


def python_of(
    peer: str,  # a key of REQUIREMENTS, or "" for our own environment
    cache: Path = CACHE,
) -> Path:
    "The Python of an environment, which is made if it is not there. Raises NotInstalled."
    if not peer:
        return Path(sys.executable)
    folder, wanted = cache / peer, "\n".join([sys.version, *REQUIREMENTS[peer]])
    python, stamp = folder / "bin" / "python", folder / "made-from.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making the environment of {peer}", file=sys.stderr, flush=True)
        uv = find_uv()
        call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        call([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *REQUIREMENTS[peer]])
        stamp.write_text(wanted)  # last, so that an environment without it is not complete
    return python


def call(command: list[str]) -> None:
    index = os.environ.get("PIP_INDEX_URL")  # uv does not read pip's settings
    named = {"UV_DEFAULT_INDEX": index} if index and not os.environ.get("UV_INDEX_URL") else {}
    done = subprocess.run(command, env=named | os.environ, capture_output=True, text=True)
    if done.returncode:
        raise NotInstalled(" ".join(done.stderr.split())[-300:])
