"Files in a bucket, over a real server of S3 and a road to it that can be made bad; folders that say columns; Delta."
import glob
import http.client
import http.server
import json
import os
import pickle
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import boto3
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pytest
from conftest import BIN, command, environment, python
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_lab import read
from drift_lab.errors import SettingsError, SourceError
from drift_lab.places import files_of, local_copy

ROWS = pl.DataFrame({"x": [0.5 * (i * 7919 % 1009) for i in range(4000)], "n": range(4000),
                     "kind": [("p", "q", "r", None)[i % 4] for i in range(4000)],
                     "day": [date(2026, 1, 1) + timedelta(days=i // 1000) for i in range(4000)]})


class Road(http.server.ThreadingHTTPServer):
    "To a server, with every request written down; `fault` may answer in its place."

    daemon_threads = True

    def __init__(self, port: int):
        super().__init__(("127.0.0.1", 0), Traveller)
        self.port, self.fault, self.log, self.lock = port, None, [], threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        "Who asks may hang up: that is what some of these tests are about."


class Traveller(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def passed_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.log.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        if self.server.fault and self.server.fault(self):
            return
        self.answer(*self.asked(body))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = passed_on

    def asked(self, body: bytes = b"") -> tuple[int, list, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)) as way:
            way.request(self.command, self.path, body, dict(self.headers))
            answer = way.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def answer(self, status: int, headers: list, body: bytes, part: slice = slice(None)):
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        told = next((value for name, value in headers if name.lower() == "content-length"), str(len(body)))
        self.send_header("Content-Length", told if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[part])

    def refuse(self, status: int, code: str) -> bool:
        said = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.answer(status, [("Content-Type", "application/xml")], said)
        return True

    def hang_up(self) -> bool:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
        return True

    def log_message(self, *words):
        pass


def started(port: int, home: Path) -> subprocess.Popen:
    server = subprocess.Popen([BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)], env=environment(home),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as way:
            try:
                way.request("GET", "/")
                way.getresponse()
                return server
            except OSError:
                time.sleep(0.05)  # until it answers
    server.kill()
    raise AssertionError("the server of S3 did not start")


@pytest.fixture(scope="module")
def server(tmp_path_factory, free_port):
    "A server of S3, and the road to it."
    port = free_port()
    moto = started(port, tmp_path_factory.mktemp("moto"))
    road = Road(port)
    threading.Thread(target=road.serve_forever, daemon=True).start()
    yield road
    road.shutdown()
    road.server_close()
    moto.send_signal(signal.SIGTERM)
    moto.wait(30)


@pytest.fixture
def s3(server, monkeypatch, tmp_path):
    "The road to an empty server, with the environment that leads there."
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in surroundings(server.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as way:
        way.request("POST", "/moto-api/reset")
        assert way.getresponse().status == 200
    store(server).create_bucket(Bucket="events")
    server.fault, server.log = None, []
    yield server
    server.fault = None


def surroundings(url: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush-hush",
            "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


def store(road: Road):
    "Another client, past the road."
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{road.port}", region_name="us-east-1",
                        aws_access_key_id="k", aws_secret_access_key="s")


def put(road: Road, key: str, frame: pl.DataFrame, tmp_path: Path, bucket: str = "events", **options) -> bytes:
    at = tmp_path / "made"
    writers = {".csv": lambda: frame.write_csv(at),
               ".arrow": lambda: frame.write_ipc(at, compat_level=pl.CompatLevel.oldest(), **options)}
    writers.get(Path(key).suffix, lambda: frame.write_parquet(at, **options))()
    store(road).put_object(Bucket=bucket, Key=key, Body=at.read_bytes())
    return at.read_bytes()


def same(source, frame: pl.DataFrame, **options) -> bool:
    "Does a source hold a frame, in any order of rows?"
    found = read(source, **options).frame()
    found = found.cast({name: type_ for name, type_ in frame.schema.items() if found.schema[name] != type_})
    keys = frame.columns
    assert found.columns == keys and len(found) == len(frame)
    return found.sort(keys).equals(frame.sort(keys))


def one_line(done: subprocess.CompletedProcess, *words: str) -> None:
    "The command refused in a line that says so, and no credential."
    said = " ".join(done.stderr.split())
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert all(word in said for word in words), said
    assert "Traceback" not in said and "hush" not in said and len(done.stderr.strip().splitlines()) <= 4, done.stderr


# --- what is read ---


def test_one_file_in_pieces_as_it_was_written(s3, tmp_path):
    put(s3, "a.parquet", ROWS, tmp_path, row_group_size=500)
    assert same("s3://events/a.parquet", ROWS)
    assert same("s3://events/a.parquet", ROWS.select("kind", "x"), columns=["kind", "x"])
    table = read("s3://events/a.parquet")
    assert (table.name, table.rows) == ("s3://events/a.parquet", 4000)
    again = [pickle.loads(pickle.dumps(piece)) for piece in table.pieces]  # as it travels to a worker
    assert b"hush" not in pickle.dumps(table.pieces) and b"AKIA" not in pickle.dumps(table.pieces)
    assert sum(batch.num_rows for piece in again for batch in piece.open(["x"], 1000)) == 4000


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_patterns_and_folders_of_each_format(s3, tmp_path, form):
    for i in range(4):
        put(s3, f"run/part-{i}.{form}", ROWS[1000 * i : 1000 * (i + 1)], tmp_path)
    store(s3).put_object(Bucket="events", Key="run/_SUCCESS", Body=b"")
    store(s3).put_object(Bucket="events", Key="run/.part.parquet.crc", Body=b"no table")
    store(s3).put_object(Bucket="events", Key="run/deep/", Body=b"")  # a folder's mark, as consoles make it
    store(s3).put_object(Bucket="events", Key="runner/part-9.parquet", Body=b"of another folder")
    for source in ("run", "run/", f"run/*.{form}", f"run/part-[0-3].{form}", f"r?n/part-*.{form}",
                   f"**/part-[!9].{form}"):
        assert same(f"s3://events/{source}", ROWS), source
    assert len(read(f"s3://events/run/part-[01].{form}").frame()) == 2000


def test_a_pattern_does_not_list_the_folders_it_leaves_out(s3, tmp_path):
    for day in range(1, 6):
        put(s3, f"events/dt=2026-01-0{day}/part.parquet", ROWS[:10], tmp_path)
    s3.log.clear()
    assert read("s3://events/events/dt=2026-01-0[12]/*.parquet").rows == 20
    listed = [line for line in s3.log if "list-type=2" in line]
    assert any("dt%3D2026-01-01" in line for line in listed) and not any("dt%3D2026-01-03" in line for line in listed)


def test_a_listing_of_many_pages_is_whole(s3):
    client = store(s3)
    for i in range(1100):  # a page of a listing has 1,000
        client.put_object(Bucket="events", Key=f"many/{i:04}.parquet", Body=b"not read here")
    assert len(files_of("s3://events/many", "many")) == 1100


NAMES = ["a b", "100%", "a%20b", "a%2Fb", "a+b", "quo'te", 'quo"te', "semi;colon", "Tromsø/雪", "h#sh", "que?stion",
         "st*r", "br[ack]et", "back\\slash", "a=b", "comma,", "x&y", "~tilde", "a@b:c", "tab\tin", "...", "a..b"]


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_taken_literally(s3, tmp_path, name):
    put(s3, f"{name}.parquet", ROWS, tmp_path)
    put(s3, "st-r.parquet", ROWS[:1], tmp_path)  # what the name would match as a pattern
    assert same(f"s3://events/{name}.parquet", ROWS)
    assert same(f"s3://events/{glob.escape(name)}.p*", ROWS)
    assert read(f"s3://events/{name}.parquet").name == " ".join(f"s3://events/{name}.parquet".split(chr(9)))


def test_a_key_that_http_would_resolve_is_refused_and_never_read(s3, tmp_path):
    put(s3, "secret.parquet", ROWS, tmp_path)
    put(s3, "a/../secret.parquet", ROWS[:1], tmp_path)
    for key in ("a/../secret.parquet", "./secret.parquet", "..", "a//b.parquet", "/secret.parquet", "a/./b/"):
        with pytest.raises(SourceError, match="cannot be"):
            read(f"s3://events/{key}")
    with pytest.raises(SourceError, match="cannot be asked for literally"):
        read("s3://events/a")
    assert not any(line.startswith("GET /events/secret") for line in s3.log)


@given(url=st.text(st.sampled_from("abc:@/?%.*[] é'\";"), max_size=12))
@settings(max_examples=200, deadline=None)
def test_any_address_is_a_place_or_one_clear_line(url):
    from drift_lab.places import place_of
    try:
        place = place_of(f"s3://{url}")
    except SourceError as e:
        assert "\n" not in str(e)
    else:
        assert f"s3://{url}".rstrip("/") == place.shown and ".." not in place.path.split("/")


# --- columns that folders say ---


@pytest.mark.parametrize("where", ["here", "s3"])
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_folders_say_columns(s3, tmp_path, where, form):
    data = ROWS.drop("day").with_columns(dt=ROWS["day"], city=pl.Series(["Troms ø", "1/2", "x%20", None] * 1000),
                                         year=pl.lit(2026, pl.Int64))
    for (day, city), part in data.group_by("dt", "city"):
        named = "__HIVE_DEFAULT_PARTITION__" if city is None else quote(city, safe="")
        key = f"t/dt={day}/city={named}/year=2026/part.{form}"
        kept = part.drop("dt", "city", "year")
        if where == "s3":
            put(s3, key, kept, tmp_path)
        else:
            (tmp_path / key).parent.mkdir(parents=True)
            kept.write_parquet(tmp_path / key)
            if form == "arrow":
                kept.write_ipc(tmp_path / key, compat_level=pl.CompatLevel.oldest())
    root = "s3://events/t" if where == "s3" else str(tmp_path / "t")
    expected = data.select("x", "n", "kind", "dt", "city", "year")
    table = read(root)
    assert table.schema.field("dt").type == pa.date32() and table.schema.field("year").type == pa.int64()
    for source in (root, f"{root}/dt=*/", f"{root}/dt=2026-*/*/*/*.{form}")[: 1 if form == "arrow" else 3]:
        assert same(source, expected), source
    assert same(root, expected.select("city", "x"), columns=["city", "x"])
    assert same(root, expected.select("dt"), columns=["dt"])
    day2 = expected.filter(pl.col("dt") == date(2026, 1, 2))
    assert same(root, day2, where={"dt": ("2026-01-02", "2026-01-03")})
    assert same(f"{root}/dt=2026-01-02", day2.drop("dt")), "what is written out is no column"
    if form == "parquet":  # four cities, and one day of four
        assert [len(read(root, where=where).pieces) for where in ({}, {"dt": ("2026-01-02", "2026-01-03")})] == [16, 4]


def test_a_files_own_column_goes_before_its_folders(tmp_path):
    for day in (1, 2):
        (tmp_path / f"n={day}").mkdir()
        ROWS[:5].write_parquet(tmp_path / f"n={day}" / "a.parquet")
    assert read(tmp_path).frame()["n"].to_list() == [0, 1, 2, 3, 4] * 2


def test_folders_that_say_different_columns_are_named(tmp_path):
    for folder in ("a=1/b=2", "a=1"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        ROWS[:5].write_parquet(tmp_path / folder / "x.parquet")
    with pytest.raises(SourceError, match="read them apart"):
        read(tmp_path)


def test_a_folder_of_two_formats_is_not_read_in_part(tmp_path):
    ROWS.write_parquet(tmp_path / "a.parquet")
    ROWS.write_csv(tmp_path / "b.csv")
    with pytest.raises(SourceError, match=r"more than one format \(\.csv, \.parquet\)"):
        read(tmp_path)
    assert read(f"{tmp_path}/*.parquet").rows == 4000


def test_pieces_of_files_with_parts_travel(tmp_path):
    for day in (1, 2):
        (tmp_path / f"dt=2026-01-0{day}").mkdir()
        ROWS[:5].write_parquet(tmp_path / f"dt=2026-01-0{day}" / "a.parquet")
    pieces = pickle.loads(pickle.dumps(read(tmp_path).pieces))
    assert [batch.column("dt")[0].as_py() for piece in pieces for batch in piece.open(["dt"], 10)] == [
        date(2026, 1, 1), date(2026, 1, 2)]


# --- what goes wrong ---


def test_what_is_not_there_is_named_with_what_is(s3, tmp_path):
    put(s3, "run/jan.parquet", ROWS, tmp_path)
    put(s3, "run/feb.parquet", ROWS, tmp_path)
    for source, words in {"run/jam.parquet": "no such file; did you mean 'jan.parquet'",
                          "run/*.pq": "no such file; There are: feb.parquet, jan.parquet",
                          "nothing/": "no such file", "runs/*": "no such file"}.items():
        with pytest.raises(SourceError, match="^s3://events/") as e:
            read(f"s3://events/{source}")
        assert words in str(e.value)
    for source in ("s3://nowhere/a.parquet", "s3://nowhere", "s3://nowhere/", "s3://nowhere/*.parquet"):
        with pytest.raises(SourceError, match="^s3://nowhere.*has no bucket of this name"):
            read(source)
    for source in ("s3://", "s3:///a.parquet", "s3://a'; drop/x", "s3://../etc/passwd", "s3://tromsø/a", "s3://a%20b/c"):
        with pytest.raises(SourceError, match="cannot be the name of a bucket"):
            read(source)
    with pytest.raises(SourceError, match="gs:// is not read"):
        read("gs://bucket/a.parquet")
    one_line(command(tmp_path, "profile", "s3://events/run/jam.parquet"), "did you mean 'jan.parquet'")
    done = command(tmp_path, "compare", "s3://nowhere/a.parquet", "s3://events/run/jan.parquet")
    one_line(done, "s3://nowhere/a.parquet: ", "has no bucket of this name")


def test_an_empty_bucket_and_a_folder_of_nothing_known(s3):
    with pytest.raises(SourceError, match="without files of a known ending"):
        read("s3://events")
    store(s3).put_object(Bucket="events", Key="docs/read.me", Body=b"hello")
    with pytest.raises(SourceError, match=r"without files of a known ending; there are: \.parquet"):
        read("s3://events/docs")
    with pytest.raises(SourceError, match="not a format known by its ending"):
        read("s3://events/docs/read.me")


SECRETS = ["s3://AKIA123:hush-hush@events/a.parquet", "s3://AKIA123:hush/hush@events/a.parquet", "s3://hush@events/a",
           "s3://events/a.parquet?access_key=AKIA&secret_key=hush", "delta:s3://AKIA:hush@events/t",
           "s3://events/a?X-Amz-Signature=hush"]


@pytest.mark.parametrize("url", SECRETS)
def test_a_password_in_an_address_is_refused_and_not_repeated(s3, tmp_path, url):
    with pytest.raises(SourceError, match="credentials do not belong") as e:
        read(url)
    assert "hush" not in str(e.value) and "AKIA1" not in str(e.value)
    done = command(tmp_path, "profile", url)
    assert done.returncode == 2 and "hush" not in done.stdout + done.stderr


@pytest.mark.parametrize("code, words", [("InvalidAccessKeyId", "does not accept the credentials"),
                                         ("SignatureDoesNotMatch", "does not accept the credentials"),
                                         ("ExpiredToken", "does not accept the credentials"),
                                         ("AccessDenied", "access denied")])
@pytest.mark.parametrize("source", ["s3://events/a.parquet", "s3://events/*.parquet", "delta:s3://events/t",
                                    "s3://events"])
def test_no_way_in_is_said_by_its_reason(s3, tmp_path, code, words, source):
    put(s3, "a.parquet", ROWS, tmp_path)
    s3.fault = lambda at: at.refuse(403, code)
    with pytest.raises(SourceError, match=words) as e:
        read(source)
    assert str(e.value).startswith(source.removeprefix("delta:").split("*")[0].rstrip("/")) or source in str(e.value)
    if source == "s3://events/a.parquet":
        one_line(command(tmp_path, "profile", source), f"{source}:", *words.split())


def test_a_bucket_in_another_region(s3):
    s3.fault = lambda at: at.refuse(301, "PermanentRedirect")
    with pytest.raises(SourceError, match="another region; set AWS_REGION"):
        read("s3://events/a.parquet")


def test_a_public_bucket_is_read_without_a_signature(s3, tmp_path, monkeypatch):
    put(s3, "a.parquet", ROWS, tmp_path)
    store(s3).put_object_acl(Bucket="events", Key="a.parquet", ACL="public-read")
    store(s3).put_bucket_acl(Bucket="events", ACL="public-read")
    signed = []
    s3.fault = lambda at: signed.append("Authorization" in at.headers)
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert same("s3://events/a.parquet", ROWS)
    assert signed and not any(signed)


def test_credentials_of_a_profile(s3, tmp_path, monkeypatch):
    put(s3, "a.parquet", ROWS, tmp_path)
    store_delta(s3, "t", ROWS)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / ".aws").mkdir()
    said = "[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = hush\n"
    (tmp_path / ".aws" / "credentials").write_text(said)
    used = []
    s3.fault = lambda at: used.append(at.headers["Authorization"])
    code = ("from drift_lab import read\n"
            "assert read('s3://events/a.parquet').rows == 4000 and read('delta:s3://events/t').rows == 4000")
    done = python(tmp_path, code, AWS_PROFILE="other")
    assert done.returncode == 0, done.stderr
    assert used and all("AKIAOTHER" in header for header in used)


@pytest.mark.parametrize("variable, value", [("AWS_ENDPOINT_URL", "localhost:9000"), ("AWS_MAX_ATTEMPTS", "many"),
                                             ("AWS_ENDPOINT_URL", "http://me:hush@localhost:9000")])
def test_a_variable_that_cannot_be_is_named(s3, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: ") as e:
        read("s3://events/a.parquet")
    assert "hush" not in str(e.value)


def test_failures_are_tried_again_and_read_whole(s3, tmp_path):
    put(s3, "a.parquet", ROWS, tmp_path, row_group_size=500)
    store_delta(s3, "t", ROWS)
    for source in ("s3://events/a.parquet", "s3://events/*.parquet", "delta:s3://events/t"):
        seen = {}

        def twice_each(at, seen=seen):  # the first two of each of the first requests
            key = (at.command, at.path, at.headers.get("Range"))
            if key not in seen and len(seen) == 4:
                return False
            seen[key] = seen.get(key, 0) + 1
            return seen[key] <= 2 and at.refuse(*((500, "InternalError") if seen[key] == 1 else (503, "SlowDown")))

        s3.fault = twice_each
        assert same(source, ROWS)
        assert len(seen) >= 3 and all(times >= 3 for times in seen.values())


def test_a_server_that_only_fails(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    s3.fault = lambda at: at.refuse(500, "InternalError")
    one_line(command(tmp_path, "profile", "s3://events/a.parquet"), "s3://events/a.parquet:", "fails each time")
    assert 2 <= len(s3.log) <= 6


def is_data(at) -> bool:
    return at.command == "GET" and "Range" in at.headers


def cut(at) -> bool:
    "Half of what was promised."
    status, headers, body = at.asked()
    at.answer(status, headers, body, slice(len(body) // 2))
    return at.hang_up()


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_a_body_cut_half_way_is_asked_for_again(s3, tmp_path, form):
    put(s3, f"a.{form}", ROWS, tmp_path)
    before = [0]

    def once_in_two(at):
        before[0] += is_data(at)
        return is_data(at) and before[0] % 2 and cut(at)

    s3.fault = once_in_two
    assert same(f"s3://events/a.{form}", ROWS)
    assert before[0] >= 2


@pytest.mark.parametrize("form", ["parquet", "csv", "arrow"])
def test_a_body_that_is_always_cut_is_one_line(s3, tmp_path, monkeypatch, form):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    put(s3, f"a.{form}", ROWS, tmp_path)
    s3.fault = lambda at: is_data(at) and cut(at)
    with pytest.raises(SourceError, match="broke off in the middle"):
        read(f"s3://events/a.{form}").frame()
    one_line(command(tmp_path, "profile", f"s3://events/a.{form}"), f"s3://events/a.{form}:", "broke off in the middle")


def test_a_slow_server_is_waited_for(s3, tmp_path):
    put(s3, "a.parquet", ROWS, tmp_path)

    def slowly(at):
        if not is_data(at):
            return False
        status, headers, body = at.asked()
        at.answer(status, headers, body, slice(0))
        for i in range(8):
            time.sleep(0.1)  # the fault itself
            at.wfile.write(body[len(body) * i // 8 : len(body) * (i + 1) // 8])
            at.wfile.flush()
        return True

    s3.fault = slowly
    assert same("s3://events/a.parquet", ROWS)


def test_a_server_that_says_nothing(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    over = threading.Event()
    s3.fault = lambda at: over.wait(120)
    one_line(command(tmp_path, "profile", "s3://events/*.parquet"), "says nothing")
    over.set()


def test_nobody_listens(s3, tmp_path, free_port, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    for source in ("s3://events/a.parquet", "s3://events", "delta:s3://events/t"):
        one_line(command(tmp_path, "compare", source, source), "cannot be reached, or went away")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://no-such-host.invalid")
    one_line(command(tmp_path, "profile", "s3://events/a.parquet"), "https://no-such-host.invalid cannot be reached")


def test_a_server_that_stops_half_way(s3, tmp_path, free_port, monkeypatch):
    frame = pl.DataFrame({f"x{i}": [float(i * k % 1009) for k in range(200_000)] for i in range(4)})
    port = free_port()
    own = started(port, tmp_path / "other")
    road = Road(port)
    threading.Thread(target=road.serve_forever, daemon=True).start()
    try:
        store(road).create_bucket(Bucket="events")
        put(road, "a.parquet", frame, tmp_path, row_group_size=10_000)
        monkeypatch.setenv("AWS_ENDPOINT_URL", road.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")

        def stopped_at_the_tenth(at):
            if sum("bytes=" in line for line in road.log) >= 10:
                own.kill()
                own.wait(30)
                return at.hang_up()
            return False

        road.fault = stopped_at_the_tenth
        one_line(command(tmp_path, "profile", "s3://events/a.parquet"), "s3://events/a.parquet:", "cannot be reached")
    finally:
        own.kill()
        own.wait(30)
        road.shutdown()
        road.server_close()


def test_a_file_that_goes_while_it_is_read(s3, tmp_path):
    put(s3, "a.parquet", ROWS, tmp_path)
    table = read("s3://events/a.parquet")
    store(s3).delete_object(Bucket="events", Key="a.parquet")
    with pytest.raises(SourceError, match="^s3://events/a.parquet: no such file any more"):
        table.frame()


def test_what_is_broken_in_the_bucket_is_named_as_here(s3, tmp_path):
    whole = put(s3, "a.parquet", ROWS, tmp_path)
    store(s3).put_object(Bucket="events", Key="cut.parquet", Body=whole[: len(whole) // 2])
    store(s3).put_object(Bucket="events", Key="empty.parquet", Body=b"")
    store(s3).put_object(Bucket="events", Key="ragged.csv", Body=b"a,b\n1,2\n3\n4,5\n")
    for key in ("cut.parquet", "empty.parquet"):
        one_line(command(tmp_path, "profile", f"s3://events/{key}"), f"s3://events/{key}: cannot be read as Parquet")
    one_line(command(tmp_path, "profile", "s3://events/ragged.csv"), "s3://events/ragged.csv")
    put(s3, "two/a.parquet", ROWS, tmp_path)
    put(s3, "two/b.parquet", ROWS.drop("x"), tmp_path)
    with pytest.raises(SourceError, match="^s3://events/two/b.parquet: columns differ from s3://.*/two/a.parquet: x"):
        read("s3://events/two")


def test_copies_go_when_they_are_not_needed(s3, tmp_path, monkeypatch):
    put(s3, "a.csv", ROWS, tmp_path)
    folder = tmp_path / "copies"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    table = read("s3://events/a.csv")
    assert len(table.frame()) == len(table.frame()) == 4000
    del table
    assert list(folder.iterdir()) == []
    with local_copy(files_of("s3://events/a.csv", "a")[0]) as path:
        assert path.startswith(str(folder)) and len(pl.read_csv(path)) == 4000
    assert list(folder.iterdir()) == []


def test_the_commands_say_of_a_bucket_what_they_say_of_files(s3, tmp_path):
    put(s3, "was/dt=2026-01-01/a.parquet", ROWS[:2000], tmp_path)
    put(s3, "now/dt=2026-02-01/a.parquet", ROWS[2000:], tmp_path)
    ROWS[:2000].write_parquet(tmp_path / "was.parquet")
    ROWS[2000:].write_parquet(tmp_path / "now.parquet")
    there = command(tmp_path, "compare", "s3://events/was/dt=2026-01-01/", "s3://events/now/dt=2026-02-01/", "--json")
    here = command(tmp_path, "compare", tmp_path / "was.parquet", tmp_path / "now.parquet", "--json")
    assert there.returncode == here.returncode == 0, there.stderr
    assert json.loads(there.stdout)["results"] == json.loads(here.stdout)["results"]
    done = command(tmp_path, "profile", "s3://events/now/", "-o", tmp_path / "p.json")
    assert done.returncode == 0 and (tmp_path / "p.json").exists(), done.stderr


def test_a_file_in_a_bucket_is_not_held_whole(s3, tmp_path):
    row = pl.int_range(1_200_000, dtype=pl.Int64)
    frame = pl.select(*((row * (7919 + i) % 1_000_003).cast(pl.Float64).alias(f"x{i}") for i in range(10)))
    body = put(s3, "big.parquet", frame, tmp_path, row_group_size=60_000, compression="uncompressed", statistics=False)
    store(s3).put_object(Bucket="events", Key="small.parquet", Body=b"")
    put(s3, "small.parquet", frame[:1000], tmp_path)
    code = ("import resource\nfrom drift_lab import read\nrows = 0\n"
            "for batch in read('s3://events/NAME.parquet').batches():\n    rows += batch.num_rows\n"
            "print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)")
    peaks = {}
    for name, rows in (("small", 1000), ("big", 1_200_000)):
        done = python(tmp_path, code.replace("NAME", name))
        assert done.returncode == 0 and done.stdout.split()[0] == str(rows), done.stderr
        peaks[name] = int(done.stdout.split()[1]) / 1024
    assert len(body) > 90 << 20
    assert peaks["big"] - peaks["small"] < 70, peaks


# --- Delta ---


def store_delta(road: Road, key: str, frame: pl.DataFrame, **options) -> None:
    write_deltalake(f"s3://events/{key}", frame.to_arrow(), storage_options={
        "aws_endpoint_url": f"http://127.0.0.1:{road.port}", "aws_allow_http": "true", "aws_region": "us-east-1",
        "aws_access_key_id": "k", "aws_secret_access_key": "s"}, **options)


@pytest.mark.parametrize("where", ["here", "s3"])
def test_versions_of_a_delta_table(s3, tmp_path, where):
    root = str(tmp_path / "lake") if where == "here" else "s3://events/lake"

    def write(frame, **options):
        if where == "here":
            write_deltalake(root, frame.to_arrow(), **options)
        else:
            store_delta(s3, "lake", frame, **options)

    write(ROWS[:1000], partition_by=["day"])
    write(ROWS[1000:2000], mode="append")
    write(ROWS[2000:3000].with_columns(more=pl.lit(1.5)), mode="append", schema_mode="merge")
    expected = [ROWS[:1000], ROWS[:2000], pl.concat([ROWS[:2000], ROWS[2000:3000].with_columns(more=pl.lit(1.5))],
                                                    how="diagonal")]
    for version, frame in enumerate(expected):
        assert same(f"delta:{root}?version={version}", frame), version
    for source in (f"delta:{root}", f"delta://{root}", root, f"{root}/"):
        assert same(source, expected[2]), source
        assert read(source).rows == 3000
    assert same(root, expected[2].select("day", "more"), columns=["day", "more"])
    second = expected[2].filter(pl.col("day") == date(2026, 1, 2))
    assert same(root, second, where={"day": ("2026-01-02", "2026-01-03")})
    assert same(root, expected[2].filter(pl.col("n") >= 2500), where={"n": (2500, None)})
    for version, words in (("9", "version 9 of the Delta table"), ("soon", "'soon' is no version")):
        with pytest.raises(SourceError, match=words):
            read(f"delta:{root}?version={version}")
    with pytest.raises(SourceError, match="is no Delta table"):
        read(f"delta:{root}/nothing")
    write(ROWS[:10], mode="overwrite", schema_mode="overwrite")
    assert read(root).rows == 10 and read(f"delta:{root}?version=2").rows == 3000
    pieces = pickle.loads(pickle.dumps(read(f"delta:{root}?version=2").pieces))
    assert sum(batch.num_rows for piece in pieces for batch in piece.open(["kind", "more", "x"], 500)) == 3000
    one_line(command(tmp_path, "profile", f"delta:{root}?version=9"), "version 9")
    assert command(tmp_path, "compare", f"delta:{root}?version=0", root).returncode == 0


def test_odd_values_and_folders_of_a_delta_table(s3, tmp_path):
    frame = pl.DataFrame({"x": [1, 2, 3, 4], "p": ["a b", "é/x%25", None, "100%"]})
    write_deltalake(tmp_path / "made", frame.to_arrow(), partition_by=["p"])
    for path in (tmp_path / "made").rglob("*"):
        if path.is_file():
            key = f"la ke 'é+;/{path.relative_to(tmp_path / 'made')}"
            store(s3).put_object(Bucket="events", Key=key, Body=path.read_bytes())
    (tmp_path / "made").rename(tmp_path / "la ke 'é+;")
    for root in (tmp_path / "la ke 'é+;", "s3://events/la ke 'é+;"):
        assert same(root, frame) and same(f"delta:{root}", frame), root
    for root in (tmp_path / "la%20ke 'é+;", "s3://events/la%20ke 'é+;"):  # deltalake would read the log of `la ke`
        with pytest.raises(SourceError, match="rename it"):
            read(f"delta:{root}")


def test_a_stretch_opens_no_file_of_a_delta_table_that_is_outside(s3, tmp_path):
    times = pl.datetime_range(datetime(2026, 1, 1), datetime(2026, 1, 1, 0, 0, 9), "1s", eager=True, time_zone="UTC")
    for i in range(10):
        row = pl.DataFrame({"at": times[i : i + 1] + timedelta(microseconds=123_456), "i": [i]})
        store_delta(s3, "t", row, mode="append")
    table = read("delta:s3://events/t", where={"at": ("2026-01-01T00:00:03.123456", "2026-01-01T00:00:05")})
    assert len(table.pieces) == 2 and sorted(table.frame()["i"]) == [3, 4]
    empty = read("delta:s3://events/t", where={"at": ("2027-01-01", None)})
    assert len(empty.frame()) == 0 and empty.schema.names == ["at", "i"]


def test_a_delta_table_that_holds_nothing(tmp_path):
    write_deltalake(tmp_path / "t", ROWS[:5].to_arrow())
    DeltaTable(tmp_path / "t").delete()
    assert read(tmp_path / "t").rows == 0 and read(tmp_path / "t").frame().columns == ROWS.columns


def test_a_delta_table_is_never_read_as_loose_files(s3, tmp_path):
    write_deltalake(tmp_path / "lake" / "t", ROWS[:5].to_arrow())
    write_deltalake(tmp_path / "lake" / "t", ROWS[:3].to_arrow(), mode="overwrite")
    with pytest.raises(SourceError, match="holds a Delta table; read that by itself: delta:.*/lake/t"):
        read(tmp_path / "lake")
    assert read(tmp_path / "lake" / "t").rows == 3
    shutil.rmtree(tmp_path / "lake" / "t" / "_delta_log")
    assert read(tmp_path / "lake" / "t").rows == 8, "by then it is a folder of files"


def without_row_3() -> str:
    "A deletion vector as the protocol has it: a magic number, one Roaring bitmap of its portable form, in Z85."
    bitmap = struct.pack("<IIHHIH", 12346, 1, 0, 0, 16, 3)  # no runs, one container, its key, values - 1, offset, value
    told = (struct.pack("<IQI", 1681511377, 1, 0) + bitmap).ljust(36, b"\0")
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    return "".join(digits[word // 85**i % 85] for word in struct.unpack(">9I", told) for i in (4, 3, 2, 1, 0))


@pytest.mark.parametrize("what", ["deletion vectors", "mapped columns"])
def test_a_delta_table_that_needs_more_is_refused(tmp_path, what):
    write_deltalake(tmp_path / "t", ROWS[:5].to_arrow())
    log = tmp_path / "t" / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    feature = {"deletion vectors": "deletionVectors", "mapped columns": "columnMapping"}[what]
    for line in lines:
        if "protocol" in line:
            line["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [feature],
                                "writerFeatures": [feature]}
        if "metaData" in line and feature == "columnMapping":
            line["metaData"]["configuration"] = {"delta.columnMapping.mode": "name",
                                                 "delta.columnMapping.maxColumnId": "4"}
            schema = json.loads(line["metaData"]["schemaString"])
            for i, field in enumerate(schema["fields"]):
                field["metadata"] = {"delta.columnMapping.id": i + 1, "delta.columnMapping.physicalName": field["name"]}
            line["metaData"]["schemaString"] = json.dumps(schema)
        if "add" in line and feature == "deletionVectors":
            line["add"]["deletionVector"] = {"storageType": "i", "sizeInBytes": 34, "cardinality": 1,
                                             "pathOrInlineDv": without_row_3()}
    log.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(SourceError, match=what):
        read(tmp_path / "t")


def test_a_file_of_a_delta_table_that_is_gone(tmp_path):
    write_deltalake(tmp_path / "t", ROWS[:5].to_arrow())
    next((tmp_path / "t").glob("*.parquet")).unlink()
    one_line(command(tmp_path, "profile", tmp_path / "t"), "parquet")
