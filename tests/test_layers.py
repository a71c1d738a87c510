"The house's plan, held against what stands: imports go to a lower number, and a comparison imports nothing heavy."

import json
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import drift_lab

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
HEAVY = ("prefect", "mlflow", "evidently", "papermill", "sklearn", "pandera", "scipy", "scipy.stats", "pandas",
         "plotly", "fastapi", "duckdb", "polars", "numpy.ma")


def cells(path: Path, kind: str) -> list[str]:
    content = json.loads(path.read_text("utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def module_of(path: Path) -> str:
    "The name after `#| default_exp`."
    found = re.findall(r"^#\|\s*default_exp\s+(\S+)", "\n".join(cells(path, "code")), re.M)
    assert len(found) == 1, f"{path.name} says once which module it is"
    return found[0]


def number_of(path: Path) -> int:
    return int(path.name[:2])


NUMBERS = {module_of(path): number_of(path) for path in NOTEBOOKS}


def imported(source: str) -> set[str]:
    "Our modules that a piece of source imports."
    names = set(re.findall(r"\b(?:from|import) drift_lab\.(\w+)", source))
    for line in re.findall(r"\bfrom drift_lab import \(?([\w, \n]+)\)?", source):
        words = {word.split()[0] for word in line.split(",") if word.strip()}
        names |= {drift_lab.PUBLIC.get(word, word) for word in words}
    return names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_imports_go_to_a_lower_number(path):
    exported = "\n".join(cell for cell in cells(path, "code") if re.match(r"#\|\s*export", cell))
    names = imported(exported) - {"__version__"}
    if number_of(path) >= 60:
        names -= {"flows"}  # the demo and the command line start flows by name
    for name in names:
        assert name in NUMBERS, f"{path.name} imports drift_lab.{name}, which no notebook exports"
        assert NUMBERS[name] < number_of(path), f"{path.name} imports {name}, notebook {NUMBERS[name]}"
    assert "import *" not in exported


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_subtitle_says_the_layer(path):
    title, _, rest = cells(path, "markdown")[0].partition("\n")
    assert title.startswith("# ") and re.match(rf">\s*Layer {number_of(path) // 10}: \S", rest.strip()), path.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_of_a_size_that_can_be_read(path):
    exported = [cell for cell in cells(path, "code") if re.match(r"#\|\s*export", cell)]
    assert len(json.loads(path.read_text("utf-8"))["cells"]) <= 60
    assert sum(len(cell.splitlines()) for cell in exported) <= 340, "split it by concept"


def test_one_notebook_one_number_one_module():
    assert len(NUMBERS) == len(NOTEBOOKS)
    numbers = [number_of(path) for path in NOTEBOOKS]
    assert len(set(numbers)) == len(numbers)
    there = {path.stem for path in (ROOT / "drift_lab").glob("*.py")} - {"_modidx"}
    assert there == set(NUMBERS)


def test_no_module_shares_a_public_name():
    assert not set(drift_lab.PUBLIC) & set(NUMBERS)
    assert set(drift_lab.PUBLIC.values()) <= set(NUMBERS)
    for name in drift_lab.PUBLIC:
        assert getattr(drift_lab, name) is not None and name in dir(drift_lab)
    with pytest.raises(AttributeError, match="it has"):
        drift_lab.no_such_name  # noqa: B018


@pytest.mark.parametrize("folder", ["flows", "dashboards"])
def test_flows_and_dashboards_never_import_each_other(folder):
    other = {"flows": "dashboards", "dashboards": "flows"}[folder]
    files = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".ipynb")]
    assert files
    for path in files:
        source = path.read_text("utf-8") if path.suffix == ".py" else "\n".join(cells(path, "code"))
        assert not re.search(rf"\b(from|import)\s+(drift_lab\.)?{other}\b", source), path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_package_never_imports_a_dashboard(path):
    assert not re.search(r"\b(from|import)\s+(drift_lab\.)?dashboards\b", "\n".join(cells(path, "code")))


def test_the_readme_names_every_notebook():
    text = (ROOT / "README.md").read_text("utf-8")
    missing = [path.stem for path in NOTEBOOKS if path.stem not in text]
    assert not missing, f"README.md lacks {missing}"


def loaded_after(code: str, *names: str) -> list[str]:
    "Which of these modules a fresh interpreter holds after running the code."
    code += f"\nimport sys; print('LOADED', *[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.rpartition("LOADED")[2].split()


def test_importing_the_package_loads_nothing():
    assert loaded_after("import drift_lab", "numpy", "pyarrow", "pydantic", *HEAVY) == []


@pytest.fixture
def tables(tmp_path):
    for name in ("a", "b"):
        pl.DataFrame({"x": [0.5 * (i * 7919 % 1009) for i in range(1000)], "kind": ["p", "q", "r", "q"] * 250,
                      "day": pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 2, 11, 15), "1h", eager=True)
                      .cast(pl.Datetime("ns"))}).write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def run_main(*arguments: str) -> str:
    return ("import sys\nfrom drift_lab.cli import main\n"
            f"sys.argv = ['drift-lab', *{list(map(str, arguments))!r}]\n"
            "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code")


def test_compare_loads_nothing_heavy(tables):
    code = run_main("compare", tables / "a.parquet", tables / "b.parquet", "--html", tables / "r.html")
    assert loaded_after(code, *HEAVY) == []
    assert loaded_after(code.replace("'compare'", "'compare', '--json'"), *HEAVY) == []


def test_windows_and_segments_load_polars_at_most(tables):
    cuts = ("--time", "day", "--every", "1w", "--by", "kind")
    code = run_main("compare", tables / "a.parquet", tables / "b.parquet", *cuts)
    assert loaded_after(code, *HEAVY) == ["polars"]


def test_profile_loads_nothing_heavy(tables):
    assert loaded_after(run_main("profile", tables / "a.parquet", "-o", tables / "p.json"), *HEAVY) == []
