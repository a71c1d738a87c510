"`drift-lab` as a shell or a script meets it: what is on stdout, what on stderr, and the exit code."

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from drift_lab import Report, compare
from drift_lab.errors import DriftLabError, SettingsError
from drift_lab.methods import METHODS
from drift_lab.settings import load_settings
from drift_lab.stored import profile_from_json

COMMAND = Path(sys.executable).with_name("drift-lab")
COMMANDS = ("compare", "profile", "methods", "demo", "train", "monitor", "serve")


def run(*arguments, cwd: Path, code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run([COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120,
                          env={"HOME": str(cwd), "PATH": "/usr/bin:/bin", "COLUMNS": "200"})
    assert done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def refused(*arguments, cwd: Path) -> str:
    "What a bad input is told: one line on stderr, exit code 2, nothing on stdout, nothing written."
    before = sorted(cwd.rglob("*"))
    done = run(*arguments, cwd=cwd, code=2)
    assert done.stdout == "" and sorted(cwd.rglob("*")) == before
    assert "Traceback" not in done.stderr
    line, end, rest = done.stderr.partition("\n")
    assert end and not rest and line.startswith("drift-lab: "), done.stderr
    return line


def strict(text: str) -> dict:
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def rides(rows: int, seed: int, shift: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame({
        "when": [datetime(2026, 1, 1) + timedelta(hours=i) for i in range(rows)],
        "temp": rng.normal(20 + shift, 5, rows), "hum": rng.beta(4, 2, rows),
        "bike": rng.choice(["city", "road", "cargo"], rows, p=[0.6, 0.3, 0.1]), "wet": rng.random(rows) < 0.3})


@pytest.fixture
def folder(tmp_path) -> Path:
    rides(1500, 1).write_parquet(tmp_path / "ref.parquet")
    rides(1200, 2, 4).write_parquet(tmp_path / "moved.parquet")
    rides(1200, 3).write_parquet(tmp_path / "still.parquet")
    return tmp_path


# what is printed


def test_json_is_strict_and_all_there_is(folder):
    done = run("compare", "ref.parquet", "moved.parquet", "--json", cwd=folder)
    content = strict(done.stdout)
    assert done.stderr == "" and done.stdout.count("\n") == 1
    assert content["schema"] == "drift_lab.report/1"
    assert content["verdict"]["state"] == "drift" and "temp" in content["verdict"]["reason"]
    assert content["reference"] == {"name": "ref.parquet", "rows": 1500, "start": "2026-01-01T00:00:00",
                                    "end": "2026-03-04T11:00:00"}
    assert content["current"]["rows"] == 1200
    keys = ["window", "segment", "column", "kind", "method", "score", "unit", "p_value", "limit", "drifted",
            "error_bound"]
    assert content["results"] and all(list(row) == keys for row in content["results"])
    report = Report.from_json(done.stdout)
    assert strict(report.to_json()) == content
    assert report.frame.to_dicts() == content["results"]


def test_the_command_and_the_call_agree(folder):
    told = Report.from_json(run("compare", "ref.parquet", "moved.parquet", "--json", cwd=folder).stdout)
    called = compare(str(folder / "ref.parquet"), folder / "moved.parquet")
    assert told.verdict == called.verdict
    for one, other in zip(told.results, called.results, strict=True):  # sums may differ in their last digit
        one, other = asdict(one), asdict(other)
        for key in ("score", "limit", "p_value", "error_bound"):
            assert one.pop(key) == pytest.approx(other.pop(key), rel=1e-9), key
        assert one == other


def test_people_get_a_table(folder):
    done = run("compare", "ref.parquet", "moved.parquet", cwd=folder)
    first, *rest = done.stdout.splitlines()
    assert first.split() == ["drift", *"1 of 4 columns moved: temp (moved.parquet against ref.parquet)".split()]
    assert rest[0].split()[0] == "temp" and "!" in rest[0] and "\x1b" not in done.stdout
    assert "not judged" in done.stdout and "when" in done.stdout


@pytest.mark.parametrize(("current", "options", "code"), [
    ("moved", (), 0), ("moved", ("--fail-on", "drift"), 3), ("moved", ("--fail-on", "harm"), 0),
    ("still", ("--fail-on", "drift"), 0), ("moved", ("--json", "--fail-on", "drift"), 3)])
def test_exit_codes(folder, current, options, code):
    run("compare", "ref.parquet", f"{current}.parquet", *options, cwd=folder, code=code)


def test_options_of_compare(folder):
    def results(*options):
        return strict(run("compare", "ref.parquet", "moved.parquet", "--json", *options, cwd=folder).stdout)["results"]

    some = results("--methods", "ks, chi2", "--columns", "temp,bike")
    assert {(row["column"], row["method"]) for row in some} == {("temp", "ks"), ("bike", "chi2")}
    weeks = results("--time", "when", "--every", "1w", "--methods", "ks")
    assert sorted({row["window"] for row in weeks})[:2] == ["2025-12-29", "2026-01-05"]
    assert {row["window"] for row in results("--time", "when", "--methods", "ks")} > set()
    parts = results("--by", "bike,wet", "--columns", "temp")
    bikes = ("city", "road", "cargo")
    assert {row["segment"] for row in parts} == {f"bike={b}, wet={w}" for b in bikes for w in ("true", "false")}
    exact = results("--exact", "--methods", "ks,wasserstein,energy", "--columns", "temp")
    assert len(exact) == 3 and all(row["error_bound"] == 0 for row in exact)
    assert {row["method"] for row in results("--methods", ",".join(METHODS))} == set(METHODS)


def test_html_is_written_whole(folder):
    run("compare", "ref.parquet", "moved.parquet", "--html", "a report.html", cwd=folder)
    assert sorted(path.name for path in folder.iterdir() if "report" in path.name) == ["a report.html"]
    assert "1 of 4 columns moved" in (folder / "a report.html").read_text("utf-8")


def test_profiles_are_kept_and_used(folder):
    run("profile", "ref.parquet", "-o", "ref.json", cwd=folder)
    base = profile_from_json((folder / "ref.json").read_text("utf-8"))
    strict((folder / "ref.json").read_text("utf-8"))
    assert base.rows == 1500
    run("profile", "moved.parquet", "--like", "ref.json", "--output", "moved.json", cwd=folder)
    printed = run("profile", "ref.parquet", cwd=folder).stdout
    assert profile_from_json(printed).columns["temp"].counts.tolist() == base.columns["temp"].counts.tolist()
    direct = Report.from_json(run("compare", "ref.parquet", "moved.parquet", "--json", cwd=folder).stdout)
    for sides in (("ref.json", "moved.parquet"), ("ref.json", "moved.json"), ("ref.parquet", "moved.json")):
        stored = Report.from_json(run("compare", *sides, "--json", cwd=folder).stdout)
        assert stored.results == direct.results, sides


def test_globs_and_paths_with_spaces(folder):
    (folder / "a folder").mkdir()
    for i, part in enumerate(np.array_split(np.arange(1200), 3)):
        rides(1200, 2, 4)[part.tolist()].write_parquet(folder / "a folder" / f"part {i}.parquet")
    whole = strict(run("compare", "ref.parquet", "moved.parquet", "--json", cwd=folder).stdout)
    parts = strict(run("compare", "ref.parquet", "a folder/part *.parquet", "--json", cwd=folder).stdout)
    for one, other in zip(parts["results"], whole["results"], strict=True):
        for key, close in (("score", 1e-9), ("limit", 1e-9), ("error_bound", 1e-9), ("p_value", 1e-6)):
            assert one.pop(key) == pytest.approx(other.pop(key), rel=close), key
        assert one == other


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, tmp_path):
    assert "Example: drift-lab " + command in run(command, "--help", cwd=tmp_path).stdout


def test_methods_are_listed(tmp_path):
    listed = run("methods", cwd=tmp_path).stdout
    assert all(name in listed for name in METHODS)


# bad input: one line that says what to do


def test_debug_shows_where(folder):
    assert "Traceback" in run("compare", "no.parquet", "ref.parquet", "--debug", cwd=folder, code=2).stderr
    assert "no.parquet: no such file" in refused("compare", "no.parquet", "ref.parquet", cwd=folder)


def test_usage(folder):
    assert "CUR" in refused("compare", "ref.parquet", cwd=folder)
    assert "--jsn" in refused("compare", "ref.parquet", "ref.parquet", "--jsn", cwd=folder)
    assert "comprae" in refused("comprae", cwd=folder)
    assert "drift" in refused("compare", "ref.parquet", "ref.parquet", "--fail-on", "ok", cwd=folder)


BAD = {
    "missing.parquet": (None, "no such file"),
    "truncated.parquet": (b"PAR1" + b"\0" * 300, "is the file whole"),
    "empty.parquet": (b"", "is the file whole"),
    "empty.csv": (b"", "empty; a table needs a line of column names"),
    "header.csv": (b"when,temp,hum,bike,wet\n", "no rows"),
    "ragged.csv": (b"temp,hum\n1,2\n3\n4,5\n", "ragged.csv line 3 has 1 of 2 fields"),
    "late.csv": (b"temp,hum\n" + b"1,2\n" * 30000 + b"1,2,3\n", "line 30002 has 3 of 2 fields"),
    "words.csv": (b"temp,hum\n" + b"1,2\n" * 30000 + b"warm,3\n",
                  "words.csv line 30002: temp is 'warm', and whole numbers elsewhere"),
    "twice.csv": (b"temp,temp\n1,2\n", "two columns are called 'temp'"),
    "latin.csv": ("temp,bike\n1,Æ\n".encode() + "2,Æ\n".encode("latin-1"),
                  "latin.csv line 3: the byte 0xc6 is not UTF-8"),
    "cut.csv.gz": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "cut.csv.gz"),
    "text.xlsx": (b"PK", "not a format known by its ending"),
    "other.csv": (b"a,b\n1,2\n2,1\n1,1\n", "shares no columns"),
    "text.csv": (b"temp,hum\nwarm,1\ncold,2\n", "temp was numeric and is now stored as string"),
    "numbers.csv": (b"temp,bike\n20,1\n21,2\n", "bike was text, such as 'cargo', and is now stored as int64"),
    "no.json": (b'{"a": 1}', "profile the source anew"),
    "broken.json": (b"{", "not a stored profile"),
    "old.json": (b'{"schema": "drift_lab.profile/0"}', "profile the source anew"),
    "a folder": ("folder", "a folder without files of a known ending"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_named(name, folder):
    content, said = BAD[name]
    if content == "folder":
        (folder / name).mkdir()
    elif content is not None:
        (folder / name).write_bytes(content)
    line = refused("compare", "ref.parquet", name, "--html", "r.html", cwd=folder)
    assert name in line and said in line
    if name not in ("other.csv", "text.csv", "numbers.csv", "late.csv", "words.csv"):
        with pytest.raises(DriftLabError, match=re.escape(said)) as caught:
            compare(folder / name, folder / "ref.parquet")
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_cut_in_the_middle_is_named(folder):
    whole = (folder / "ref.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    assert "cut.parquet" in refused("compare", "ref.parquet", "cut.parquet", cwd=folder)
    damaged = bytearray(whole)
    damaged[4:-4000] = b"\xff" * (len(whole) - 4004)
    (folder / "damaged.parquet").write_bytes(damaged)
    assert "damaged.parquet" in refused("compare", "ref.parquet", "damaged.parquet", cwd=folder)


def test_a_table_without_rows(folder):
    rides(0, 1).write_parquet(folder / "none.parquet")
    assert "none.parquet: no rows" in refused("compare", "ref.parquet", "none.parquet", cwd=folder)
    assert "none.parquet: no rows" in refused("compare", "none.parquet", "ref.parquet", cwd=folder)


@pytest.mark.parametrize(("options", "said"), [
    (("--columns", "tmep"), "did you mean 'temp'?"), (("--methods", "kz"), "did you mean 'ks'?"),
    (("--methods", "nonsense"), "wasserstein"), (("--time", "wen"), "did you mean 'when'?"),
    (("--time", "temp"), "date"),
    (("--time", "when", "--every", "weekly"), "such as 1w"), (("--every", "1w"), "windows need a clock"),
    (("--by", "biek"), "did you mean 'bike'?"), (("--html", "no/such/r.html"), "no/such/r.html: cannot be written"),
    (("--html", "ref.parquet/r.html"), "cannot be written"), (("--html", "."), "cannot be written"),
    (("--html", "x" * 300), "cannot be written")])
def test_a_bad_option_is_named(options, said, folder):
    assert said in refused("compare", "ref.parquet", "still.parquet", *options, cwd=folder)


def test_a_stored_profile_cannot_do_all(folder):
    run("profile", "ref.parquet", "-o", "ref.json", cwd=folder)
    for said, *arguments in (("exact: the reference is a stored profile", "ref.json", "still.parquet", "--exact"),
                             ("by: the current is a stored profile", "ref.parquet", "ref.json", "--by", "bike"),
                             ("by: the reference is a stored profile", "ref.json", "still.parquet", "--by", "bike")):
        assert said in refused("compare", *arguments, cwd=folder)


# column names that want to be something else


NAMES = ['a,b', 'say "hi"', "two\nlines", "<script>alert(1)</script>", "Ærø ☂", "a.b", "[red]x",
         "<img src=x onerror=alert(2)>"]


class Tags(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.seen: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_column_names_are_only_names(ending, tmp_path):
    rng = np.random.default_rng(0)
    frames = [pl.DataFrame({**{name: rng.normal(shift, 1, 300) for name in NAMES},
                            "level <b>": rng.choice(["<script>alert(3)</script>", "'\"&"], 300)}) for shift in (0, 2)]
    for name, frame in zip(("a", "b"), frames, strict=True):
        getattr(frame, f"write_{ending}")(tmp_path / f"{name}.{ending}")
    done = run("compare", f"a.{ending}", f"b.{ending}", "--html", "r.html", "--json", cwd=tmp_path)
    assert {row["column"] for row in strict(done.stdout)["results"]} == {*NAMES, "level <b>"}
    page = (tmp_path / "r.html").read_text("utf-8")
    tags = Tags(page).seen
    assert not {tag for tag, _ in tags} & {"script", "img", "b", "i"}
    assert not [attribute for _, attributes in tags for attribute in attributes if attribute.startswith("on")]
    shown = run("compare", f"a.{ending}", f"b.{ending}", cwd=tmp_path).stdout
    assert "two lines" in shown and "[red]x" in shown
    one = strict(run("compare", f"a.{ending}", f"b.{ending}", "--columns", '"a,b"', "--json", cwd=tmp_path).stdout)
    assert {row["column"] for row in one["results"]} == {"a,b"}
    assert repr(compare(tmp_path / f"a.{ending}", tmp_path / f"b.{ending}")).splitlines()[0].startswith("drift: 8 of 9")


def test_a_thousand_columns(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        x = {f"c{i}": rng.normal(size=300) for i in range(1000)}
        pl.DataFrame(x).write_parquet(tmp_path / f"{name}.parquet")
    done = run("compare", "a.parquet", "b.parquet", "--json", "--html", "r.html", cwd=tmp_path)
    content = strict(done.stdout)
    assert len({row["column"] for row in content["results"]}) == 1000 and content["verdict"]["state"] == "ok"


# settings


@pytest.mark.parametrize(("text", "said"), [
    ("[monitor.bike\n", "cannot be read as TOML"), ("", "no monitor"), ("x = 1\n", r"unknown section \[x\]"),
    ("[monitor.bike]\n", "source"),
    ('[monitor.bike]\nsource = "a"\nevry = "1w"\n', r"\[monitor.bike\] evry.*did you mean 'every'"),
    ('[monitor.bike]\nsource = "a"\nevery = "weekly"\n', r"\[monitor.bike\] every: 'weekly'"),
    ('[monitor.bike]\nsource = 3\n', r"\[monitor.bike\] source"),
    ('[monitor.bike]\nsource = "a"\nname = "b"\n', r"\[monitor.bike\] name"),
    ('[monitor.bike]\nsource = "a"\ncolumns.x.kind = "number"\n', r"\[monitor.bike\] columns.x.kind"),
    ('[monitor.bike]\nsource = "a"\ncolumns.x.knd = "numeric"\n', r"columns.x.knd.*did you mean 'kind'"),
    ('[monitor."a b"]\nsource = "a"\n', r"\[monitor.a b\] name")])
def test_settings_errors_name_file_monitor_and_key(text, said, tmp_path):
    (tmp_path / "monitors.toml").write_text(text)
    with pytest.raises(SettingsError, match=f"monitors.toml: .*{said}") as caught:
        load_settings(tmp_path / "monitors.toml")
    assert "\n" not in str(caught.value)


def test_missing_settings_are_named(tmp_path):
    for path in ("no.toml", "."):
        with pytest.raises(SettingsError, match="settings|TOML"):
            load_settings(tmp_path / path)
    (tmp_path / "latin.toml").write_bytes("# é".encode("latin-1"))
    with pytest.raises(SettingsError, match="latin.toml"):
        load_settings(tmp_path / "latin.toml")


def test_a_reader_who_leaves_is_no_error(folder):
    rng = np.random.default_rng(0)
    pl.DataFrame({f"c{i}": rng.normal(size=60) for i in range(1500)}).write_parquet(folder / "wide.parquet")
    for form in ([], ["--json"]):
        with subprocess.Popen([COMMAND, "compare", "wide.parquet", "wide.parquet", *form], cwd=folder, text=True,
                              env={"HOME": str(folder), "PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as job:
            assert job.stdout.read(20)
            job.stdout.close()
            said = job.stderr.read()
            assert (said, job.wait(60)) == ("", 141)


def test_what_takes_a_while_shows_progress_at_a_terminal_and_nowhere_else(folder):
    code = """
import time
from drift_lab.terminal import progress
with progress("counting") as run:
    assert list(run([lambda: 1, lambda: time.sleep(WAIT) or 2])) == [1, 2]
print("done")
"""
    for wait, terminal, shown in ((1.6, True, True), (0, True, False), (1.6, False, False)):
        ours, theirs = os.openpty()
        done = subprocess.run([sys.executable, "-c", code.replace("WAIT", str(wait))], cwd=folder, text=True,
                              env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "TERM": "xterm"}, timeout=60,
                              stdout=subprocess.PIPE, stderr=theirs if terminal else subprocess.PIPE)
        os.write(theirs, b".")  # so that there is something to read
        said = os.read(ours, 100_000).decode() + (done.stderr or "")
        os.close(ours), os.close(theirs)
        assert done.stdout == "done\n" and ("counting" in said) == shown, (wait, terminal, said)
