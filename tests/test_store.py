"The store under load, faults and time: nothing lost, nothing twice, one line where it cannot be; labels of every kind."
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
import duckdb
import polars as pl
import pytest
from conftest import BIN, command, environment, python
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_lab import check, read
from drift_lab.contract import Column, Contract
from drift_lab.errors import ContractError, SettingsError, SourceError
from drift_lab.labels import add_labels, labelled, record_predictions
from drift_lab.monitor import watch
from drift_lab.settings import load_settings
from drift_lab.store import append, dataset, known_keys, quarantine, store_folder, table, tidy

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory, free_port):
    "A server of S3, as a process of its own."
    port = free_port()
    moto = subprocess.Popen([BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=environment(tmp_path_factory.mktemp("moto")))
    deadline = time.monotonic() + 60
    while True:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as way:
            try:
                way.request("GET", "/")
                way.getresponse()
                break
            except OSError:
                assert moto.poll() is None and time.monotonic() < deadline, "the server of S3 did not start"
                time.sleep(0.05)  # until it answers
    yield f"http://127.0.0.1:{port}"
    moto.terminate()
    moto.wait(30)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    "An empty store on the disk, in a folder whose name is not plain."
    monkeypatch.setenv("DRIFT_LAB_STORE", str(tmp_path / "Läden & more" / "store"))
    return tmp_path


@pytest.fixture
def bucket(server, tmp_path, monkeypatch):
    "An empty store on S3."
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    said = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "hush",
            "AWS_REGION": "us-east-1", "HOME": str(tmp_path)}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    name = f"store-{tmp_path.name.strip('_').replace('_', '-').lower()}"
    boto3.client("s3", endpoint_url=server).create_bucket(Bucket=name)
    monkeypatch.setenv("DRIFT_LAB_STORE", f"s3://{name}/of/drift")
    return tmp_path


@pytest.fixture(params=["folder", "bucket"])
def store(request):
    return request.getfixturevalue(request.param)


WRITER = """
import sys
import polars as pl
from drift_lab.store import append
for key in sys.argv[1:]:
    new = append("verdicts", pl.DataFrame({"key": [key] * 3, "n": [0, 1, 2], "pad": ["x" * 10_000] * 3}), key)
    print(key, int(new), flush=True)
"""


def writer(home, keys) -> subprocess.Popen:
    "A process that appends three rows for each key."
    more = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return subprocess.Popen([sys.executable, "-c", WRITER, *keys], stdout=subprocess.PIPE, text=True,
                            env=environment(home) | more | {"DRIFT_LAB_STORE": store_folder()})


def rows_of(keys) -> list:
    return sorted((key, n) for key in keys for n in range(3))


def written() -> list:
    return sorted(table("verdicts").select("key", "n").collect().rows())


# writers


def test_many_writers_lose_nothing_and_write_nothing_twice(store):
    "Six processes with thirty keys each; each key is offered by two of them, and to an empty store."
    groups = [[f"group {g}/key {k}" for k in range(15)] for g in range(6)]
    writers = [writer(store, groups[w] + groups[(w + 1) % 6][::-1]) for w in range(6)]
    said = [line.rsplit(" ", 1) for w in writers for line in w.communicate(timeout=300)[0].splitlines()]
    assert [w.returncode for w in writers] == [0] * 6
    keys = [key for group in groups for key in group]
    assert written() == rows_of(keys)
    assert sorted(key for key, new in said if new == "1") == sorted(keys)  # each was new to one of its two writers
    assert len(said) == 180 and known_keys("verdicts", [*keys, "other"]) == set(keys)


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_writer_that_is_killed_leaves_a_table_and_its_retry_writes_once(store, after):
    keys = [f"key {k}" for k in range(12)]
    killed = writer(store, keys)
    lines = [killed.stdout.readline() for _ in range(after)]  # then it is somewhere in the next
    if not after:
        killed.stdout.close()  # it falls over its first word, with its first rows written
    killed.kill()
    killed.wait(30)
    assert len(lines) == after
    try:
        there = written()
    except SourceError:  # killed before there was a table
        there = []
    assert there == rows_of(sorted({key for key, _ in there})) and len(there) >= 3 * after
    retry = writer(store, keys)
    retry.communicate(timeout=120)
    assert retry.returncode == 0 and written() == rows_of(keys)


# what a table takes


def test_columns_may_be_added_and_writers_that_do_not_know_them_go_on(store):
    append("predictions", pl.DataFrame({"id": ["1"], "n": [1]}), "old")
    append("predictions", pl.DataFrame({"n": [2], "id": ["2"], "score": [0.5], "day": [date(2026, 1, 1)]}), "new")
    append("predictions", pl.DataFrame({"id": ["3"], "n": [3]}), "older writer")
    append("predictions", pl.DataFrame({"id": ["4"], "n": pl.Series([4], dtype=pl.UInt8), "score": [1]}), "narrower")
    expected = [("1", 1, None, None), ("2", 2, 0.5, date(2026, 1, 1)), ("3", 3, None, None), ("4", 4, 1.0, None)]
    frame = table("predictions").sort("id").collect()
    assert frame.columns == ["id", "n", "score", "day"] and frame.rows() == expected
    asked = duckdb.from_arrow(dataset("predictions")).aggregate("count(*), sum(score), max(day)")
    assert asked.fetchall() == [(4, 1.5, date(2026, 1, 1))]
    assert table("predictions").filter(pl.col("n") > 2).select("id").collect().sort("id")["id"].to_list() == ["3", "4"]


CHANGED = {
    "halves into whole numbers": ({"n": [1.5]}, "n is Int64 and came as Float64"),
    "text into whole numbers": ({"n": ["5"]}, "n is Int64 and came as String"),
    "too large": ({"n": pl.Series([2**64 - 1], dtype=pl.UInt64)}, "18446744073709551615"),
    "only the case differs": ({"N": [1]}, "Duplicate field name"),
    "a clock without a zone": ({"at": [datetime(2026, 1, 1)]}, "at is Datetime.*and came as"),
    "no type of Delta's": ({"lasted": [timedelta(1)]}, "no type that can be stored and came as Duration"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_what_does_not_fit_is_refused_in_one_line(folder, case):
    append("predictions", pl.DataFrame({"n": [1], "at": [NOW]}), "first")
    rows, said = CHANGED[case]
    with pytest.raises(SettingsError, match=said) as e:
        append("predictions", pl.DataFrame(rows), "second")
    assert "\n" not in str(e.value)
    assert table("predictions").collect().height == 1 and not known_keys("predictions", ["second"])


def test_values_come_back_as_they_went_in(folder):
    rows = pl.DataFrame({
        "small": pl.Series([255], dtype=pl.UInt8), "kind": pl.Series(["a"], dtype=pl.Categorical),
        "nothing": pl.Series([None], dtype=pl.Null), "list": [[1, 2]], "nan": [float("nan")], "a b,;{}()=\n": [1],
        "zone": pl.Series([NOW]).dt.convert_time_zone("Europe/Oslo"), "naive": [datetime(2026, 1, 1)]})
    append("predictions", rows, "all")
    append("predictions", rows.with_columns(nothing=pl.lit("now")), "later")
    back = table("predictions").sort("nothing", nulls_last=False).collect()
    assert back["nothing"].to_list() == [None, "now"]
    assert back["small"].to_list() == [255, 255] and back["kind"].to_list() == ["a", "a"]
    assert back["zone"].to_list() == [NOW, NOW] and back["naive"][0] == datetime(2026, 1, 1)
    assert back["list"].to_list() == [[1, 2]] * 2 and back["nan"].is_nan().all() and back["a b,;{}()=\n"].sum() == 2


# where it cannot be


def refused(done: subprocess.CompletedProcess, *words: str) -> None:
    lines = done.stderr.splitlines()
    assert done.returncode == 2 and len(lines) == 1 and lines[0].startswith("drift-lab: "), (done.returncode, lines)
    assert all(word in lines[0] for word in words), lines
    assert "hush" not in done.stderr


@pytest.fixture
def outcomes(tmp_path):
    (tmp_path / "outcomes.csv").write_text("id,label\n1,yes\n2,no\n")
    return tmp_path / "outcomes.csv"


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)  # what a full disk does, at a known place
from drift_lab.cli import main
sys.argv = ["drift-lab", *sys.argv[2:]]
main()
"""


@pytest.mark.parametrize("size", [0, 300, 20_000])
def test_a_full_disk_is_one_line_and_nothing_is_half_written(folder, outcomes, size):
    append("labels", pl.DataFrame({"id": ["0"], "label": ["yes"], "at": [NOW], "source": ["before"]}), "before")
    files = sorted(path for path in folder.rglob("store/**/*") if path.is_file())
    done = subprocess.run([sys.executable, "-c", LIMITED, str(size), "labels", "add", str(outcomes)],
                          env=environment(folder) | {"DRIFT_LAB_STORE": store_folder()}, capture_output=True, text=True)
    refused(done, "labels: cannot be written (File too large)")
    assert sorted(path for path in folder.rglob("store/**/*") if path.is_file()) == files
    assert add_labels(outcomes).added == 2 and table("labels").collect().height == 3


READER = """
import os, sys
from drift_lab.cli import main
file, *places = sys.argv[1:]
for place in places:
    os.environ["DRIFT_LAB_STORE"], sys.argv = place, ["drift-lab", "labels", "add", file]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    if os.getuid() == 0:  # from here on somebody who may not do everything; all is imported
        os.setgroups([])
        os.setuid(65534)
"""


def test_no_permission_is_one_line(outcomes):
    "A user who may read the store, but not write into it."
    with tempfile.TemporaryDirectory(prefix="drift_lab-") as home:  # pytest's own folders are closed to others
        home = Path(home)
        home.chmod(0o755)
        (home / "outcomes.csv").write_text(outcomes.read_text())
        (home / "closed").mkdir(0o555)
        done = subprocess.run([sys.executable, "-c", READER, home / "outcomes.csv", home / "open", home / "closed"],
                              env=environment(home), capture_output=True, text=True)
        refused(done, "closed/labels: cannot be written (Permission denied)")
        assert not list((home / "closed").iterdir()) and list((home / "open").iterdir())


PLACES = {
    "a percent sign": ("of %41", "with % in its name"), "a bracket": ("[x]", "with [ in its name"),
    "a password": ("s3://me:hush@bucket/x", "credentials"),
    "another kind": ("gs://bucket/x", "neither a folder nor s3://"),
    "a file in the way": ("outcomes.csv", "cannot be written (Not a directory)"),
}


@pytest.mark.parametrize("case", PLACES)
def test_a_store_that_cannot_be_is_refused(tmp_path, outcomes, case):
    place, said = PLACES[case]
    refused(command(tmp_path, "labels", "add", outcomes, DRIFT_LAB_STORE=place), said)


def test_a_bucket_that_is_not_there_and_a_server_that_is_gone(bucket, outcomes, free_port):
    absent = command(bucket, "labels", "add", outcomes, DRIFT_LAB_STORE="s3://no-such-bucket/x")
    refused(absent, "no bucket of this name")
    gone = f"http://127.0.0.1:{free_port()}"
    lost = command(bucket, "labels", "add", outcomes, DRIFT_LAB_STORE=store_folder(), AWS_ENDPOINT_URL=gone)
    refused(lost, gone, "cannot be reached")
    append("labels", pl.DataFrame({"id": ["0"]}), "one")
    with pytest.raises(SourceError, match="no table 'label'; did you mean 'labels'"):
        table("label")
    with pytest.raises(SourceError, match="no table 'verdicts'; nothing was written to it yet"):
        dataset("verdicts")


# upkeep


def test_upkeep_beside_a_writer_loses_nothing(store):
    append("verdicts", pl.DataFrame({"key": ["old"], "n": [0], "at": [NOW - timedelta(days=100)]}), "old")
    append("verdicts", pl.DataFrame({"key": ["new"], "n": [0], "at": [NOW - timedelta(days=99)]}), "new")
    keys = [f"key {k}" for k in range(40)]
    busy, joined, deleted = [writer(store, keys[:20]), writer(store, keys[20:])], 0, 0
    while any(w.poll() is None for w in busy):
        done = tidy("verdicts", keep_days=99, now=NOW)
        joined, deleted = joined + done["files joined"], deleted + done["rows deleted"]
    assert [w.returncode for w in busy] == [0, 0]
    assert written() == sorted([*rows_of(keys), ("new", 0)]) and deleted == 1 and joined > 2  # no `at`: it stays
    again = [tidy("verdicts", keep_days=99, now=NOW) for _ in range(2)][1]
    assert again == {"rows deleted": 0, "files joined": 0, "files removed": 0}
    assert known_keys("verdicts", [*keys, "old"]) == {*keys, "old"}  # deleted rows do not come back
    [w.stdout.close() for w in busy]


def test_times_as_text_expire_too_and_files_nobody_needs_go_after_a_week(folder):
    ages = {"old": timedelta(days=31), "new": timedelta(days=29)}
    for key, age in ages.items():
        append("verdicts", pl.DataFrame({"window": [key], "at": [(NOW - age).isoformat()]}), key)
    place = next(folder.rglob("verdicts"))
    orphan, young = place / "part-of-a-killed-writer.parquet", place / "part-of-a-writer-at-work.parquet"
    orphan.touch(), young.touch()
    os.utime(orphan, (time.time() - 8 * 86400,) * 2)
    assert tidy("verdicts", 30, NOW) == {"rows deleted": 1, "files joined": 0, "files removed": 1}
    assert young.exists() and not orphan.exists()
    assert table("verdicts").collect()["window"].to_list() == ["new"]
    assert tidy("predictions", 30) == {"rows deleted": 0, "files joined": 0, "files removed": 0}  # there is none


def test_the_command_tidies_every_table(tmp_path):
    code = """
import polars as pl
from datetime import datetime, timedelta, UTC
from drift_lab.store import append
for days in (1, 2, 40):
    append("labels", pl.DataFrame({"id": [str(days)], "at": [datetime.now(UTC) - timedelta(days=days)]}), str(days))
"""
    assert python(tmp_path, code).returncode == 0
    done = command(tmp_path, "maintain", "--keep-days", "30")
    assert done.returncode == 0, done.stderr
    assert "labels: 1 rows deleted, 2 files joined, 0 files removed\n" in done.stdout
    assert "verdicts: 0 rows deleted, 0 files joined, 0 files removed\n" in done.stdout
    assert pl.read_delta(str(tmp_path / "state" / "store" / "labels"))["id"].sort().to_list() == ["1", "2"]


# quarantine


def test_rows_set_aside_are_kept_once_also_when_their_table_grows(store):
    contract = Contract((Column("bike", "categorical", levels=("city", "road"), policy="quarantine"),
                         Column("temp", "numeric", high=45.0, policy="quarantine")))
    rides = pl.DataFrame({"bike": ["city", "hover", None, "jet"], "temp": [99.0, 4.0, 5.0, 77.0]})

    def aside(frame: pl.DataFrame) -> int:
        source = read(frame, "rides")
        return quarantine(source, check(source, contract), "rides", "run 1", NOW)

    assert aside(rides[2:3]) == 0
    assert [aside(rides), aside(rides)] == [3, 0]
    assert aside(pl.concat([rides, rides])) == 3
    kept = table("quarantine").sort("row").collect()
    assert kept["row"].to_list() == [0, 1, 3, 4, 5, 7]
    assert kept["reason"].to_list()[:3] == ["temp: range", "bike: level", "bike: level; temp: range"]
    assert set(kept["at"]) == {NOW} and set(kept["run"]) == {"run 1"}
    assert json.loads(kept["values"][2]) == {"bike": "jet", "temp": "77.0"}


CONTRACT = """schema = "drift_lab.contract/2"
[columns]
day = { kind = "datetime", role = "time" }
bike = { kind = "categorical", levels = ["city", "road"], policy = "quarantine" }
temp = { kind = "numeric", range = { most = 45.0 } }
"""


def test_a_monitor_holds_its_table_against_a_contract(tmp_path, monkeypatch):
    days = pl.datetime_range(datetime(2026, 1, 1), datetime(2026, 2, 25, 23), "1h", eager=True)
    rides = pl.DataFrame({"day": days, "bike": ["city", "road"] * 672, "temp": [float(i % 30) for i in range(1344)]})
    rides[5, "bike"], rides[1300, "bike"], rides[7, "temp"] = "hover", "jet", 99.0
    rides.write_parquet(tmp_path / "rides.parquet")
    (tmp_path / "agreed.toml").write_text(CONTRACT)
    (tmp_path / "settings.toml").write_text("""[monitor.rides]
source = "rides.parquet"
time = "day"
every = "1w"
contract = "agreed.toml"
""")
    done = command(tmp_path, "monitor", "settings.toml", "--once")
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("DRIFT_LAB_STORE", str(tmp_path / "state" / "store"))
    watch(load_settings(tmp_path / "settings.toml")["rides"], run="the next")
    kept = pl.read_delta(str(tmp_path / "state" / "store" / "quarantine")).sort("row")
    assert kept["row"].to_list() == [5, 1300] and kept["reason"].to_list() == ["bike: level"] * 2
    assert "the next" not in kept["run"]  # both were there already
    newest = Path(done.stdout.split("report: ")[1].splitlines()[0]).parent
    assert (newest / "contract.toml").read_text() == CONTRACT
    report = json.loads((newest / "report.json").read_text())
    assert report["notes"][0] == "2 of 1,344 rows were set aside" and "warn: temp has to be" in report["notes"][2]
    assert sum(part["rows"] for part in report["parts"]) == 31 * 24 - 1  # from 26 January, a Monday
    (tmp_path / "agreed.toml").write_text(CONTRACT.replace("temp", "warmth"))
    lost = command(tmp_path, "monitor", "settings.toml", "--once")
    assert lost.returncode == 2 and "warmth is missing" in lost.stderr and "Traceback" not in lost.stderr


# labels


def predicted(ids, key="one"):
    record_predictions(pl.DataFrame({"id": ids, "model": "m", "version": 1, "at": NOW, "prediction": 0.5}), key)


def test_labels_of_every_kind_are_counted(store):
    predicted([1, 2, 3, 4])
    file = store / "outcomes.csv"
    file.write_text("loan,failed,x\n1,0,a\n2,1,b\n2,1,c\n3,0,d\n3,1,e\n,1,f\n4,,g\n77,0,h\n")
    done = add_labels(file, "loan", "failed")
    assert (done.rows, done.added, done.known) == (8, 4, 0)
    assert done.found == {"corrected": 0, "missing": 2, "unknown": 1, "duplicates": 1, "conflicts": 1}
    assert done.examples == {"missing": ["row 5", "row 6"], "unknown": ["77"], "duplicates": ["2: 2 times"],
                             "conflicts": ["3: 0, 1; 1 counts, the last"]}
    assert (again := add_labels(file, "loan", "failed")).added == 0 and again.known == 4
    assert table("labels").collect().height == 4
    joined = labelled().sort("id").select("id", "prediction", "label")
    assert joined.rows() == [("1", 0.5, 0), ("2", 0.5, 1), ("3", 0.5, 1)]
    back = [add_labels(pl.DataFrame({"loan": [1], "failed": [label]}), "loan", "failed") for label in (1, 0, 1)]
    assert [b.found["corrected"] for b in back] == [1, 1, 1]  # corrected, and back, and again
    assert labelled("m").sort("id")["label"].to_list() == [1, 1, 1] and labelled("other").is_empty()
    assert back[0].examples["corrected"] == ["1: 0 is now 1"]


def test_predictions_need_their_columns_and_a_later_version_may_have_halves(folder):
    predicted([1])
    made = pl.DataFrame({"id": ["2"], "model": "m", "version": [2], "at": [NOW], "prediction": ["yes"], "age": [40]})
    assert record_predictions(made, "two") and not record_predictions(made, "two")
    assert record_predictions(made.with_columns(age=40.5), "three")
    assert table("predictions").select("prediction", "age").sort("age").collect().rows() == [
        ("0.5", None), ("yes", 40.0), ("yes", 40.5)]
    with pytest.raises(ContractError, match="predictions: no column 'model'"):
        record_predictions(made.drop("model"), "four")
    with pytest.raises(SourceError, match="no column 'outcome'"):
        add_labels(made, "id", "outcome")


files = st.lists(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", None])), max_size=6), max_size=6)


@settings(max_examples=25, deadline=None)
@given(files)
def test_what_counts_is_the_last_word_on_each_id(given_files):
    "Against a dictionary, which knows nothing of tables."
    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFT_LAB_STORE", home)
        predicted([0, 1, 2, 3, 4])
        known, appended = {}, 0
        for file in given_files:
            said = {str(id): label for id, label in file if label}
            new = {id: label for id, label in said.items() if known.get(id) != label}
            done = add_labels(pl.DataFrame(file, schema={"id": pl.Int64, "label": pl.String}, orient="row"))
            assert (done.added, done.known, done.found["corrected"]) == (
                len(new), len(said) - len(new), sum(id in known for id in new))
            known, appended = known | new, appended + len(new)
        assert dict(labelled().select("id", "label").rows()) == known
        assert (table("labels").collect().height if appended else 0) == appended


def test_labels_on_the_command_line(tmp_path, outcomes):
    done = command(tmp_path, "labels", "add", outcomes)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "  added         2\n  already known 0\n" in done.stdout and "  unknown       2  (1; 2)\n" in done.stdout
    done = command(tmp_path, "labels", "add", outcomes, "--json")
    told = json.loads(done.stdout)
    assert (told["schema"], told["added"], told["known"], told["found"]["unknown"]) == ("drift_lab.labels/1", 0, 2, 2)
    refused(command(tmp_path, "labels", "add", outcomes, "--label", "outcome"), "no column 'outcome'")
    refused(command(tmp_path, "labels", "add", "nothing.csv"), "nothing.csv: no such file")
    refused(command(tmp_path, "labels"), "Missing command")
