"PostgreSQL as a source, against a server that is started here: types, names, errors, lost connections."

import json
import pickle
import re
import shutil
import socket
import tempfile
import threading
from datetime import UTC, date, datetime, time
from pathlib import Path
from urllib.parse import quote

import adbc_driver_postgresql.dbapi
import numpy as np
import pyarrow as pa
import pytest
from conftest import command, python
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import SECRET, Server

from drift_lab import postgres
from drift_lab.errors import SettingsError, SourceError
from drift_lab.monitor import watch
from drift_lab.postgres import identifier, literal
from drift_lab.runs import hash_of_source
from drift_lab.settings import load_settings
from drift_lab.sources import read


@pytest.fixture(scope="module")
def server(free_port):
    folder = Path(tempfile.mkdtemp())
    try:
        server = Server(folder, free_port())
        yield server
        server.run("pg_ctl", "stop", "-m", "fast")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def events(server):
    "100,000 rows in the order of their key."
    server.do("create table events (id int primary key, x float8, word text)",
              "insert into events select i, i * 7919 % 1009 / 2.0, 'word ' || i % 7 from generate_series(1, 100000) i",
              "analyze events")
    return server.url("table=events")


def query(server: Server, sql: str, **more: str) -> str:
    return server.url(f"query={quote(sql)}", **more)


def rows(url: str, **more) -> list[dict]:
    table = read(url, **more)
    return pa.Table.from_batches(list(table.batches()), table.schema).to_pylist()


def refused(url: str, **more) -> str:
    "What reading says, in one line that holds no password."
    with pytest.raises(SourceError) as said:
        list(read(url, **more).batches())
    assert "\n" not in str(said.value) and SECRET not in str(said.value) and quote(SECRET) not in str(said.value)
    return str(said.value)


# --- types

VALUES = {  # type -> (in SQL, in Arrow)
    "bool": ("true", True), "int2": ("-32768", -32768), "int4": ("7", 7), "int8": ("9223372036854775807", 2**63 - 1),
    "float4": ("0.5", 0.5), "float8": ("'-Infinity'", float("-inf")),
    "numeric": ("123456789012345678901234567890", 123456789012345678901234567890.0), "numeric(10,2)": ("-0.25", -0.25),
    "money": ("12.5", 12.5), "text": ("E'a\\'b;\\n\"ö'", "a'b;\n\"ö"), "varchar(3)": ("'ab'", "ab"),
    "char(4)": ("'ab'", "ab"), "name": ("'n'", "n"), '"char"': ("'c'", "c"), "bytea": ("'\\x00ff'", b"\x00\xff"),
    "date": ("'2026-02-03'", date(2026, 2, 3)), "time": ("'10:11:12.5'", time(10, 11, 12, 500_000)),
    "timestamp": ("'2026-02-03 04:05:06.789'", datetime(2026, 2, 3, 4, 5, 6, 789_000)),
    "timestamptz": ("'2026-02-03 04:05+02'", datetime(2026, 2, 3, 2, 5, tzinfo=UTC)),
    "interval": ("'1 day 00:00:01.5'", 86_401.5), "timetz": ("'10:00+02'", "10:00:00+02"),
    "uuid": ("'00000000-0000-0000-0000-00000000000a'", "00000000-0000-0000-0000-00000000000a"),
    "json": ("'{\"a\": 1}'", '{"a": 1}'), "jsonb": ("'{\"a\":1}'", '{"a": 1}'), "inet": ("'10.0.0.1'", "10.0.0.1/32"),
    "cidr": ("'10.0.0.0/8'", "10.0.0.0/8"), "macaddr": ("'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    "int4range": ("'[1,5)'", "[1,5)"), "int4multirange": ("'{[1,5)}'", "{[1,5)}"), "bit(3)": ("B'101'", "101"),
    "point": ("'(1,2)'", "(1,2)"), "xml": ("'<a/>'", "<a/>"), "tsvector": ("'a b'", "'a' 'b'"),
    "oid": ("4000000000", 4_000_000_000), "pg_lsn": ("'16/B374D848'", "16/B374D848"), "mood": ("'so so'", "so so"),
    "positive": ("3", 3), "pair": ("(1, 'x')", "(1,x)"), "int4[]": ("'{1,NULL}'", [1, None]),
    "float8[]": ("'{0.5}'", [0.5]), "text[]": ("'{a,NULL}'", ["a", None]), "numeric[]": ("'{0.5,NaN}'", [0.5, "nan"]),
    "mood[]": ("'{sad}'", ["sad"]), "timestamp[]": ("'{infinity}'", ["infinity"]),
    "bytea[]": ("'{\"\\\\x01\"}'", [b"\x01"]),
    "uuid[]": ("'{00000000-0000-0000-0000-00000000000a}'", ["00000000-0000-0000-0000-00000000000a"]),
    "date[]": ("'{}'", []), "positive[]": ("'{1}'", [1]), "bool[]": ("'{t}'", [True]),
}


@pytest.fixture(scope="module")
def kinds(server):
    columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(VALUES))
    values = ", ".join(value for value, _ in VALUES.values())
    server.do("create type mood as enum ('sad', 'so so')", "create domain positive as int check (value > 0)",
              "create type pair as (a int, b text)", f"create table kinds ({columns})",
              f"insert into kinds values ({values})",
              f"insert into kinds values ({', '.join('null' for _ in VALUES)})",
              "alter role ann set timezone = 'Asia/Tokyo'")
    yield server.url("table=kinds")
    server.do("alter role ann reset timezone")


def test_every_type_comes_as_arrow_has_it(kinds):
    first, second = rows(kinds)
    found = {kind: [str(item) if item != item else item for item in value] if isinstance(value, list) else value
             for kind, value in zip(VALUES, first.values(), strict=True)}
    assert found == {kind: value for kind, (_, value) in VALUES.items()}
    assert set(second.values()) == {None}
    assert not any(isinstance(type_, pa.BaseExtensionType) for type_ in read(kinds).schema.types)


def test_nan_and_infinity_are_never_garbage(server):
    sql = """values
    (float8 'NaN', numeric 'NaN', timestamp 'infinity', timestamptz '-infinity', date 'infinity'),
    (float8 'Infinity', numeric 'Infinity', timestamp '0044-03-15 BC', timestamptz 'epoch', date '-infinity')"""
    table = pa.Table.from_batches(list(read(query(server, sql)).batches()))
    assert [str(value) for value in table["column1"].to_pylist() + table["column2"].to_pylist()] == ["nan", "inf"] * 2
    ides = np.datetime64("-0043-03-15", "us").astype(int)
    assert table["column3"].cast(pa.int64()).to_pylist() == [None, ides]
    assert table["column4"].to_pylist() == [None, datetime(1970, 1, 1, tzinfo=UTC)]
    assert table["column5"].to_pylist() == [None, None]


def test_a_number_that_no_double_holds_is_named(server):
    assert "is out of range for type double precision" in refused(query(server, "select 1e400::numeric as n"))


def test_a_database_in_another_encoding(server):
    server.do("create database latin encoding 'LATIN1' locale 'C' template template0")
    server.do("create table orte (\"größe\" int, ort text)", "insert into orte values (1, 'Zürich')", database="latin")
    assert rows(server.url("table=orte", database="latin")) == [{"größe": 1, "ort": "Zürich"}]


def test_nothing_to_read(server, tmp_path):
    server.do("create table empty (a int, b text)")
    for url in (server.url("table=empty"), query(server, "select 1 as a, 'x' as b where false")):
        table = read(url)
        assert table.schema == pa.schema({"a": pa.int32(), "b": pa.string()}) and list(table.batches()) == []
    done = command(tmp_path, "profile", server.url("table=empty"))
    assert done.returncode == 2 and "?table=empty: no rows; nothing can be learnt" in done.stderr


def test_1600_columns(server):
    names = [f"c{i}" for i in range(1600)]
    server.do(f"create table wide ({', '.join(f'{name} bool' for name in names)})", "insert into wide values (true)")
    assert rows(server.url("table=wide")) == [{"c0": True} | dict.fromkeys(names[1:])]


# --- names and SQL

NAMES = ['my "events"; drop table x', "50%", "a.b", "Größe ∑", "select", "UPPER", "it's", "a\\b", "../x", "q"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_as_they_are(server, name):
    server.do(f"create schema if not exists {identifier(name)}",
              f"create table {identifier(name)}.{identifier(name)} ({identifier(name)} int, other int)",
              f"create table {identifier(name)} ({identifier(name)} int primary key)",
              f"insert into {identifier(name)} values (1), (2)")
    assert rows(server.url(f"table={quote(name)}"), where={name: (2, None)}, columns=[name]) == [{name: 2}]
    for table in (f"{name}.{name}", f"{identifier(name)}.{identifier(name)}"):
        assert read(server.url(f"table={quote(table)}")).schema.names == [name, "other"]


def test_a_view_and_a_partitioned_table(server, events):
    server.do("create view few as select id, x from events where id <= 3",
              "create table parted (a int) partition by range (a)",
              "create table part1 partition of parted for values from (0) to (10)",
              "insert into parted values (1), (2)")
    assert rows(server.url("table=few")) == [{"id": 1, "x": 428.0}, {"id": 2, "x": 351.5}, {"id": 3, "x": 275.0}]
    assert rows(server.url("table=public.parted")) == [{"a": 1}, {"a": 2}]
    assert rows(server.url("table=Few"))[0]["id"] == 1


def test_a_literal_is_its_value(server):
    connections = [adbc_driver_postgresql.dbapi.connect(server.url(
        f"options={quote(f'-c standard_conforming_strings={strict} -c timezone=Asia/Tokyo')}"), autocommit=True)
        for strict in ("on", "off")]
    texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))

    @settings(deadline=None)
    @given(texts | st.text("\\'\"E;-$\n") | st.floats() | st.integers(-2**63 + 1, 2**63 - 1) | st.datetimes()
           | st.datetimes(timezones=st.just(UTC)) | st.dates())
    def same(value):
        for connection in connections:
            with connection.cursor() as cursor:
                cursor.execute(f"select {literal(value)} as v")
                (found,) = cursor.fetchone()
            assert found == value or (found != found and value != value)

    same()
    for connection in connections:
        connection.close()


def test_stretches_stay_on_the_server(server, events):
    where = {"id": (1, 5), "x": (None, "370.5")}  # 7919, 15838, 23757 and 31676 leave 856, 703, 550 and 397 by 1009
    assert [row["id"] for row in rows(events, where=where)] == [2, 3, 4]
    for condition in ('q."id" >= 1', 'q."id" < 5', """q."x" < '370.5'::float8"""):
        assert condition in repr(read(events, where=where).pieces).replace("\\", "")
    sql = """select timestamptz '2026-01-01 00:00+00' + i * interval '1 day' as ts, date '2026-01-01' + i as d,
             i * 0.1 as n from generate_series(0, 9) i"""
    some = {"ts": ("2026-01-03T00:00", "2026-01-06"), "d": ("2026-01-04", None)}
    assert [row["d"].day for row in rows(query(server, sql), where=some)] == [4, 5]
    assert len(rows(query(server, sql), where={"n": (0.1, 0.3)})) == 2
    with pytest.raises(SettingsError, match="'soon' is not on the scale of ts"):
        read(query(server, sql), where={"ts": ("soon", None)})


def test_only_the_columns_that_are_asked_for(server):
    url = query(server, "select 1 as a, 1 / (i - 1) as b from generate_series(1, 1) i")
    assert rows(url, columns=["a"]) == [{"a": 1}]
    assert "division by zero" in refused(url)


# --- errors


def test_errors_are_one_line_with_what_to_do(server, events, free_port):
    server.do("create role bob login password 'b'", "create table private (a int)")
    for url, said in {
        server.url("table=t", port=free_port()): "Connection refused; does the server run there?",
        server.url("table=t", password="wrong"): 'password authentication failed for user "ann"; set PGPASSWORD',
        server.url("table=t", password=""): "no password supplied; set PGPASSWORD",
        server.url("table=t", database="postgers"): "\"postgers\" does not exist; did you mean 'postgres'?",
        server.url("table=evnts"): "no table 'evnts'; did you mean 'events'?",
        server.url("table=nowhere.events"): "no table 'nowhere.events'; did you mean 'events'?",
        server.url("table=events&key=di"): "no column 'di' for a key; did you mean 'id'?",
        server.url("table=events&key=x"): "x is read as double, which is no key",
        server.url("table=events&key=word"): "the key word has word 0 twice",
        server.url("table=private", user="bob", password="b"): "permission denied for table private; the user needs",
        server.url("tabel=events"): "'tabel' in the URL is no option; did you mean 'table'?",
        server.url("table=events&query=select"): "say either table=NAME or query=SELECT",
        server.url("table=events&sslmode=maybe"): 'invalid sslmode value: "maybe"',
        query(server, "selct 1"): "syntax error at or near \"selct\" (character 1); the query has to be one SELECT",
        query(server, "select * from evnts"): "\"evnts\" does not exist (character 15); did you mean 'events'?",
        query(server, "select wodr from events"): 'Perhaps you meant to reference the column "events.word"',
        query(server, "select 1 as a, 2 as a"): "two columns are called 'a'; rename one",
        query(server, "select"): "no columns",
        query(server, "select 1; select 2"): "cannot insert multiple commands",
        query(server, "insert into events values (-1)"): "is no SELECT",
        query(server, "with gone as (delete from events returning *) select * from gone"): "is no SELECT",
        query(server, "select 1) as q; delete from events; select (1"): "syntax error",
        query(server, "create table other (a int)"): "is no SELECT",
        query(server, "select * from events for update"): "in a read-only transaction; nothing but reading is",
        query(server, "select 1 / (90000 - id) as a from events"): "division by zero",
    }.items():
        line = refused(url)
        assert said in line and line.startswith("postgresql://"), line
    assert server.do("select count(*) from events") == [(100_000,)]
    assert "did you mean 'word'" in refused(events, columns=["wrd"])


def test_the_command_line(server, events, tmp_path):
    other = query(server, "select id, x + 30000 as x, word from events")
    done = command(tmp_path, "profile", events, "-o", "p.json")
    assert (done.returncode, done.stdout) == (0, "") and "100,000 rows" in done.stderr
    done = command(tmp_path, "compare", events, other, "--json")
    assert done.returncode == 0 and '"drift"' in done.stdout, done.stderr
    assert command(tmp_path, "compare", "p.json", other, "--fail-on", "drift").returncode == 3
    secrets = (SECRET, quote(SECRET), quote(SECRET, safe=""))
    assert not any(secret in text for secret in secrets for text in (done.stdout, (tmp_path / "p.json").read_text()))
    for url in (server.url("table=evnts"), server.url("table=t", password="hunter/2")):
        done = command(tmp_path, "compare", url, url)
        assert done.returncode == 2 and done.stdout == ""
        assert not any(word in done.stderr for word in ("Traceback", "hunter", "cr\\et", "cr%5Cet")), done.stderr


def test_the_password_comes_from_the_usual_places(server, events, tmp_path):
    bare = server.url("table=events", password="")
    assert command(tmp_path, "profile", bare, "-o", "p.json", PGPASSWORD=SECRET).returncode == 0
    line = SECRET.replace("\\", "\\\\").replace(":", "\\:")
    (tmp_path / ".pgpass").write_text(f"127.0.0.1:{server.port}:*:ann:{line}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    assert command(tmp_path, "profile", bare, "-o", "p.json").returncode == 0


def test_the_password_is_shown_nowhere(server, events):
    table = read(events, where={"id": (1, 3)})
    for text in (repr(table), repr(table.pieces), repr(pickle.loads(pickle.dumps(table)).pieces), table.name):
        assert "s3'cr" not in text and "s3%27cr" not in text
    assert table.name == server.url("table=events").replace(quote(SECRET, safe=""), "***")
    assert pickle.loads(pickle.dumps(table)).frame().height == 2


def test_a_missing_extra_is_one_line(tmp_path, server):
    code = "import sys; sys.modules['adbc_driver_postgresql'] = None\nfrom drift_lab.sources import read\n"
    done = python(tmp_path, code + f"read({server.url('table=events')!r})")
    assert done.stderr.splitlines()[-1].endswith('needs more packages: pip install "drift_lab[sources]"')


def test_a_table_that_is_changed_while_it_is_read(server):
    server.do("create table moving (a int, b int)", "insert into moving values (1, 2)")
    table = read(server.url("table=moving"))
    server.do("alter table moving alter a type text")
    with pytest.raises(SourceError, match="its columns were changed while it was read; run again"):
        table.frame()
    server.do("alter table moving drop a")
    with pytest.raises(SourceError, match="column q.a does not exist"):
        table.frame()
    assert table.frame(["b"])["b"].to_list() == [2]


def test_times_before_christ_are_a_key_too(server):
    server.do("create table ages (at timestamp primary key)",
              "insert into ages values ('0044-03-15 BC'), ('2026-01-01'), ('infinity')")
    for asked in ("table=ages", "table=ages&key=at"):
        batches = list(read(server.url(asked)).batches())
        assert [batch["at"].null_count for batch in batches] == [1] and batches[0].num_rows == 3


# --- lost connections


@pytest.fixture
def proxy(server):
    "A way to the server that breaks off each connection after some bytes, as often as it is told."
    ways = []

    def through(*limits: int, then: int | None = 1 << 62) -> int:  # none: closed for good
        listener = socket.create_server(("127.0.0.1", 0))
        ways.append(listener)

        def passed(source: socket.socket, target: socket.socket, most: int) -> None:
            try:
                while most > 0 and (data := source.recv(65536)):
                    target.sendall(data[:most])
                    most -= len(data)
            except OSError:
                pass  # the other direction broke off
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

        def serve() -> None:
            left = list(limits)
            while left or then is not None:
                try:
                    client, _ = listener.accept()
                except OSError:  # closed by the test
                    return
                # the driver opens two connections, the first only to learn of types
                most = left.pop(0) if left else then
                upstream = socket.create_connection(("127.0.0.1", server.port))
                for source, target, n in ((client, upstream, 1 << 62), (upstream, client, most)):
                    threading.Thread(target=passed, args=(source, target, n), daemon=True).start()
            listener.close()

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    yield through
    for listener in ways:
        listener.close()


ALL = 1 << 62
OPENING = (ALL, ALL)


@pytest.fixture(scope="module")
def long(server):
    "Rows that take a few batches: 600,000, about 90 bytes each."
    server.do("create table long (id text primary key, n int, pad text)",
              "insert into long select 'k' || to_char(i, 'FM000000'), i, repeat('x', 60) "
              "from generate_series(1, 600000) i", "analyze long", "create view unkeyed as select * from long")
    return list(range(1, 600_001))


def numbers(batches) -> list[int]:
    return [n for batch in batches for n in batch["n"].to_pylist()]


@pytest.mark.parametrize("asked", ["table=long", "table=unkeyed&key=n", "table=unkeyed&key=id"])
def test_reading_goes_on_after_the_last_key(server, long, proxy, asked):
    # cut in the rows, in the handshake, and in the rows again
    port = proxy(*OPENING, ALL, 25_000_000, ALL, 100, ALL, 25_000_000)
    assert numbers(read(server.url(asked, port=port)).batches()) == long


def test_reading_goes_on_over_a_restart_of_the_server(server, long):
    batches = read(server.url("table=long")).batches()
    got = numbers([next(batches)])
    assert 0 < len(got) < 300_000
    server.run("pg_ctl", "restart", "-w", "-m", "immediate", "-l", f"{server.folder}/log")
    assert got + numbers(batches) == long


def test_what_is_lost_before_the_first_row_is_asked_for_again(server, long, proxy):
    port = proxy(*OPENING, ALL, 20_000)
    assert sorted(numbers(read(server.url("table=unkeyed", port=port)).batches())) == long


def test_a_server_that_went_away_is_told_with_the_rows(server, long, proxy):
    port = proxy(*OPENING, ALL, 25_000_000)
    said = refused_later(server.url("table=unkeyed", port=port))
    assert re.search(r"the server went away after [1-9]\d\d,\d{3} rows \(server closed the connection unexpectedly\); "
                     "run again, or add &key=COLUMN", said), said


def test_a_server_that_does_not_come_back(server, long, proxy, monkeypatch):
    monkeypatch.setattr(postgres, "WAITS", (0.01, 0.02))
    said = refused_later(server.url("table=long", port=proxy(*OPENING, ALL, 25_000_000, then=None)))
    assert re.search(r"after [1-9]\d\d,\d{3} rows and did not come back in 2 tries \(.*refused", said), said


def refused_later(url: str) -> str:
    table = read(url)
    with pytest.raises(SourceError) as said:
        list(table.batches())
    assert "\n" not in str(said.value) and SECRET not in str(said.value)
    return str(said.value)


def test_a_reading_that_is_left_closes_its_connection(server, long):
    batches = read(server.url("table=long")).batches()
    next(batches)
    ours = "from pg_stat_activity where application_name = 'drift_lab'"
    assert server.do(f"select count(*) {ours}") == [(1,)]
    batches.close()
    while server.do(f"select count(*) {ours}") != [(0,)]:  # ends by the timeout of the statement below
        assert server.do("select clock_timestamp() - query_start < interval '30 s' " + ours) != [(False,)]


def test_rows_lie_in_order_or_are_not_put_into_it(server, long):
    server.do("create table mixed as select md5(n::text)::uuid as id, n, pad from long",
              "alter table mixed add primary key (id)", "analyze mixed")
    for name, key in (("long", "key='id'"), ("mixed", "key=None")):
        assert key in repr(read(server.url(f"table={name}")).pieces)
    assert sorted(numbers(read(server.url("table=mixed")).batches())) == long
    assert numbers(read(server.url("table=mixed&key=n")).batches()) == long


def test_memory_does_not_grow_with_the_rows(server, long, tmp_path):
    peak = "int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024"
    code = f"""
from drift_lab.sources import read
before = {peak}
table = read({query(server, "select a.*, i from unkeyed a, generate_series(1, 4) i")!r})
assert sum(batch.num_rows for batch in table.batches()) == 2_400_000
print({peak} - before)"""
    done = python(tmp_path, code)
    assert float(done.stdout) < 150, done.stderr


def test_a_monitor_watches_a_table_of_the_server(server, tmp_path):
    server.do("create table watched (at timestamp, x float8)",
              "insert into watched select timestamp '2026-01-01' + i * interval '1 hour', i % 97 "
              "from generate_series(0, 2399) i")
    url = server.url("table=watched")
    (tmp_path / "m.toml").write_text(f"[monitor.m]\nsource = {json.dumps(url)}\ntime = 'at'\nevery = '1w'\n")
    chosen = load_settings(tmp_path / "m.toml")["m"]
    watched = watch(chosen)
    assert watched.reference.frame.height + watched.later.height == 2400 and watched.contract.time == "at"
    before = hash_of_source(url)
    assert hash_of_source(url) == before
    server.do("update watched set x = x + 1 where x = 5")
    assert hash_of_source(url) != before
    done = command(tmp_path, "monitor", "m.toml", "--once")
    assert done.returncode == 0, done.stderr
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "m.toml"]
    words = {SECRET.encode(), quote(SECRET, safe="").encode()}
    assert left and not [path for path in left if any(word in path.read_bytes() for word in words)]
