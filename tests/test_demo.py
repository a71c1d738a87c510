"""The whole way through, by the command that a newcomer types: what it says, what it leaves, and what it does twice."""
import json
import re
import sqlite3
from pathlib import Path

import polars as pl
import pytest
from conftest import ROOT, command

SHARED = ROOT.parent / "shared" / "data"
TABLES = {"bike_sharing/bike_hourly": ("cnt", "timestamp", ("casual", "registered")),
          "electricity_nsw/electricity_nsw": ("class", None, ()),
          "employment_ma/employment_ma": ("employed", None, ())}


def runs_of(home: Path) -> list[dict]:
    "MLflow's runs, the oldest first, with their tags and artifacts: read from its store, as any other program would."
    with sqlite3.connect(home / "state" / "mlflow.db") as store:
        store.row_factory = sqlite3.Row
        rows = list(map(dict, store.execute("select run_uuid, status, artifact_uri from runs order by start_time")))
        for row in rows:
            tags = store.execute("select key, value from tags where run_uuid = ?", (row["run_uuid"],))
            row["tags"] = dict(tags.fetchall())
            folder = Path(row["artifact_uri"].removeprefix("file://"))
            row["artifacts"] = {path.name: path for path in folder.rglob("*") if path.is_file()}
    return rows


def test_it_says_what_was_done_and_found(demo):
    _, done = demo
    assert done.returncode == 0, done.stderr
    steps = ("read", "contract", "split", "features", "trained", "evaluated", "registered", "windows", "checked")
    at = [done.stderr.index(f"  {step} ") for step in steps]
    assert at == sorted(at)
    assert "Traceback" not in done.stderr and "WARNING" not in done.stderr
    for change in ("covariate shift", "new category", "missing burst", "concept change"):
        assert f"found   {change}" in done.stdout, done.stdout
    for place in ("report.html", "mlflow ui", "drift-lab dashboard", "drift-lab serve models:/loans@champion"):
        assert place in done.stdout


def test_all_of_a_run_is_in_mlflow(demo):
    home, _ = demo
    training, monitoring = runs_of(home)[:2]
    assert training["status"] == monitoring["status"] == "FINISHED"
    assert {"train.ipynb", "train.html"} <= set(training["artifacts"])
    wanted = {"drift_report.ipynb", "drift_report.html", "report.json", "report.html", "evidently.html"}
    assert wanted <= set(monitoring["artifacts"])
    tags = monitoring["tags"]
    assert tags["monitor"] == "loans" and tags["model_version"] == "models:/loans/1" and tags["verdict"] == "harm"
    assert re.fullmatch(r"2026-\d\d-\d\d to 2026-06-29", tags["window"])
    report = json.loads(monitoring["artifacts"]["report.json"].read_text())
    assert report["schema"] == "drift_lab.report/1" and report["verdict"]["state"] == "harm"
    executed = json.loads(monitoring["artifacts"]["drift_report.ipynb"].read_text())
    errors = [out for cell in executed["cells"] for out in cell.get("outputs", ()) if out["output_type"] == "error"]
    assert executed["cells"] and not errors


def test_the_page_of_the_run_holds_no_code_and_asks_nobody(demo):
    home, _ = demo
    page = runs_of(home)[1]["artifacts"]["report.html"].read_text()
    assert "harm" in page and "<script" not in page and "http" not in page.replace("http://www.w3.org", "")


def test_everything_it_wrote_is_in_the_state_folder(demo):
    home, _ = demo
    assert {path.name for path in home.iterdir()} <= {"state", ".cache", ".config"}, list(home.iterdir())
    assert not list((home / "state").rglob("*.partial"))


def test_a_second_run_uses_the_champion_and_adds_one_run(demo):
    home, _ = demo
    before = runs_of(home)
    judged = pl.read_delta(str(home / "state" / "store" / "verdicts")).height
    again = command(home, "demo", "--rows", "12000")
    assert again.returncode == 0 and "so it is used again" in again.stderr
    after = runs_of(home)
    assert len(after) == len(before) + 1 and after[-1]["tags"]["drift_lab.step"] == "monitor"
    assert pl.read_delta(str(home / "state" / "store" / "verdicts")).height == judged  # the same windows count once


@pytest.mark.parametrize("arguments, said", [
    (("--data", "nope.parquet", "--target", "y"), "nope.parquet: no such file"),
    (("--data", "one.parquet", "--target", "z"), "no column 'z'"),
    (("--data", "one.parquet", "--target", "y"), "y: the target has one value"),
    (("--data", "empty.parquet", "--target", "y"), "empty.parquet: no rows"),
    (("--data", "one.parquet"), "--target"),
    (("--data", "one.parquet", "--target", "y", "--time", "x"), "x is numeric, not a date"),
    (("--rows", "3"), "rows: 3 are too few"),
])
def test_bad_input_is_one_line_and_leaves_no_run(tmp_path, arguments, said):
    pl.DataFrame({"x": range(100), "y": [1] * 100}).write_parquet(tmp_path / "one.parquet")
    pl.DataFrame(schema={"x": pl.Int64, "y": pl.Int64}).write_parquet(tmp_path / "empty.parquet")
    done = command(tmp_path, "demo", *arguments)
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and line.startswith("drift-lab: ") and said in line, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "state" / "mlflow.db").exists()


THERE = [name for name in TABLES if (SHARED / f"{name}.parquet").exists()]
if THERE:  # they are no part of the repository

    @pytest.mark.parametrize("table", THERE)
    def test_real_tables(tmp_path, table):
        target, time, leaks = TABLES[table]
        done = command(tmp_path, "demo", "--data", SHARED / f"{table}.parquet", "--target", target,
                       *(("--time", time) if time else ()))
        assert done.returncode == 0, done.stderr
        for name in leaks:
            assert name in next(line for line in done.stderr.splitlines() if "left out" in line)
        report = json.loads(runs_of(tmp_path)[-1]["artifacts"]["report.json"].read_text())
        states = [part["verdict"]["state"] for part in report["parts"]]
        if target == "employed":  # people in group quarters stand together in two of twelve parts, and so in no other
            ks = {row["window"]: row["score"] for row in report["results"]
                  if (row["column"], row["method"]) == ("RELP", "ks")}
            assert sum(score > 0.25 for score in ks.values()) == 2 and sum(score < 0.1 for score in ks.values()) == 10
            assert {row["column"] for row in report["results"] if row["drifted"]} & {"AGEP", "SEX", "RAC1P"} <= {"AGEP"}
        else:  # two years of growth, and two markets joined: both hurt
            assert states.count("harm") >= 6
