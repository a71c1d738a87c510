"CSV as it really comes: what is wrong is named with its line, what is unusual is read right and said."

import csv
import gzip
import io
import itertools
import math
import os
import pickle
import random
import re
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from multiprocessing import get_context

import polars as pl
import pyarrow as pa
import pytest
from conftest import command, python
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drift_lab import compare, profile, read
from drift_lab.errors import SourceError
from drift_lab.textrows import SEGMENT

ROWS = b"1,2\n" * 1_500_000  # some segments, most of them not looked at before they are read
AT = 3_400_001  # a row in the middle that no look falls on


def rows_of(path, **options) -> list[tuple]:
    return read(path, **options).frame().rows()


def late(row: bytes) -> bytes:
    "Two columns of whole numbers with another row in the middle, on line 850002."
    return b"temp,hum\n" + ROWS[: AT - 1] + row + b"\n" + ROWS[AT - 1 :]


# what cannot be read is named: the file, the line, the reason

BROKEN = {
    "empty.csv": (b"", "empty.csv: empty; a table needs a line of column names"),
    "blank.csv": (b"\n\n", "blank.csv: empty; a table needs a line of column names"),
    "only_mark.csv": (b"\xef\xbb\xbf", "only_mark.csv: empty"),
    "short.csv": (b"temp,hum\n1,2\n3\n4,5\n", "short.csv line 3 has 1 of 2 fields: '3'"),
    "long.csv": (b"temp,hum\n1,2\n\n3,4,5\n", "long.csv line 4 has 3 of 2 fields: '3,4,5'"),
    "after_a_field_of_two_lines.csv": (b'temp,hum\n"1\n2",2\n3\n', "line 4 has 1 of 2 fields"),
    "open.csv": (b'temp,hum\n1,"2\n3,4\n', "open.csv line 2: a quote is opened and not closed"),
    "goes_on.csv": (b'temp,hum\n1,2\n3,"4"x\n', "goes_on.csv line 3: a quote is opened and not closed, or text"),
    "closed_by_the_next.csv": (b'temp,hum\n1,"a\n2,"b"\n3,"c"\n', "closed_by_the_next.csv line 2: a quote"),
    "nul.csv": (b"temp,hum\n1,2\n3,\0\n", "nul.csv line 3: hum holds a NUL byte"),
    "zeros.csv": (b"temp,hum\n1,2\n" + bytes(5000), "zeros.csv line 3 has 1 of 2 fields"),
    "twice.csv": (b"temp,temp\n1,2\n", "twice.csv: two columns are called 'temp'"),
    "mixed.csv": ("temp,bike\n1,Æ\n".encode() + "2,Æ\n".encode("latin-1"),
                  "mixed.csv line 3: the byte 0xc6 is not UTF-8"),
    "odd.csv": ("temp,hum\n1,2\n".encode("utf-16")[:-1], "odd.csv line 2: the byte 0x0a is not UTF-16-LE"),
    "cut.csv.gz": (gzip.compress(b"temp,hum\n" + ROWS)[:-9], "cut.csv.gz: cannot be read (Truncated compressed"),
    "no.csv.gz": (b"temp,hum\n1,2\n", "no.csv.gz: cannot be read (zlib inflate failed"),
    "no.csv.zst": (b"temp,hum\n1,2\n", "no.csv.zst: cannot be read (ZSTD decompress failed"),
    "day.csv": (b"temp,day\n1,2026-02-28\n2,2026-02-30\n", "day.csv line 3: day is '2026-02-30', and dates elsewhere"),
    "one_word.csv": (b"temp,hum\n" + b"1,2\n" * 300 + b"warm,2\n1.5,2\n", "one_word.csv line 302: temp is 'warm', and"),
    "one_comma.csv": (b"temp;hum\n" + b"1.5;2\n" * 300 + b"1,5;2\n", "one_comma.csv line 302: temp is '1,5', and"),
    "late_short.csv": (late(b"1"), "late_short.csv line 850002 has 1 of 2 fields: '1'"),
    "late_long.csv": (late(b"1,2,3"), "late_long.csv line 850002 has 3 of 2 fields"),
    "late_word.csv": (late(b"warm,2"), "late_word.csv line 850002: temp is 'warm', and whole numbers elsewhere"),
    "late_id.csv": (late(b"12345678901234567890,2"), "line 850002: temp is '12345678901234567890', and whole numbers"),
    "late_hour.csv": (b"day,n\n" + b"2026-11-25,1\n" * 300_000 + b"2026-11-26 10:30,1\n" + b"2026-11-25,1\n" * 200_000,
                      "late_hour.csv line 300002: day is '2026-11-26 10:30', and dates elsewhere"),
    "late_open.csv": (late(b'1,"2'), "late_open.csv line 850002: a quote is opened and not closed"),
    "late_latin.csv": (late(b"1,\xe9"), "late_latin.csv line 850002: the byte 0xe9 is not UTF-8"),
    "late_nul.csv": (late(b"1,\0"), "late_nul.csv line 850002: hum holds a NUL byte"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(name, tmp_path):
    content, said = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        for _ in read(tmp_path / name).batches():
            pass
    assert said in str(caught.value) and "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("name", ["empty.csv", "short.csv", "open.csv", "nul.csv", "twice.csv", "mixed.csv",
                                  "cut.csv.gz", "late_word.csv"])
def test_the_command_line_says_it_in_one_line(name, tmp_path):
    content, said = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "ref.csv").write_bytes(b"temp,hum\n" + b"1,2\n2,1\n" * 20)
    for arguments in (("profile", name), ("compare", name, "ref.csv"), ("compare", "ref.csv", name)):
        done = command(tmp_path, *arguments)
        assert done.returncode == 2 and not done.stdout, done
        lines = done.stderr.strip().splitlines()
        assert said in lines[-1] and len(lines) == 1, lines


def test_what_is_no_file_or_not_ours_is_named(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "ref.csv").write_bytes(b"temp\n1\n")
    with pytest.raises(SourceError, match="folder.csv: a folder without"):
        read(tmp_path / "folder.csv")
    with pytest.raises(SourceError, match="ref.cvs: no such file; did you mean 'ref.csv'"):
        read(tmp_path / "ref.cvs")
    secret = tmp_path / "secret.csv"
    secret.write_bytes(b"temp\n1\n")
    secret.chmod(0)
    tmp_path.chmod(0o755)
    code = ("import os\nimport drift_lab.delimited\nos.geteuid() or os.setuid(65534)\n"  # root may read everything
            "drift_lab.delimited.delimited_table('secret', ['secret.csv'])")
    assert "SourceError: secret.csv: cannot be read (Permission denied)" in python(tmp_path, code).stderr


# what is unusual is read right, and said


def test_encodings_and_separators_are_said(tmp_path):
    text, want = "Stadt{0}Größe\nKöln{0}1\n“Bonn”{0}2\n", [("Köln", 1), ("“Bonn”", 2)]
    for (encoding, shown), (separator, spoken) in itertools.product(
            {"utf-8": "", "utf-8-sig": "", "utf-16": "as utf-16-le", "utf-16-be": "as utf-16-be",
             "cp1252": "as cp1252"}.items(),
            {",": "", ";": "separated by ';'", "\t": "separated by tab", "|": "separated by '|'"}.items()):
        file = tmp_path / "a.csv"
        mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
        file.write_bytes(mark + text.format(separator).encode(encoding))
        table = read(file, "a")
        assert table.schema.names == ["Stadt", "Größe"] and table.frame().rows() == want, (encoding, separator)
        ways = ", ".join(filter(None, (shown, spoken)))
        assert table.notes == ((f"a: read {ways}",) if ways else ())


def test_packed_files_are_read_as_they_are(tmp_path):
    content = b"temp\thum\n1\t2.5\n"
    for name, packed in {"a.tsv": content, "a.tsv.gz": gzip.compress(content[:9]) + gzip.compress(content[9:]),
                         "A.TSV.ZST": pa.compress(content, "zstd", asbytes=True),
                         "b.csv.zst": pa.compress(content, "zstd", asbytes=True)}.items():
        (tmp_path / name).write_bytes(packed)
        assert rows_of(tmp_path / name) == [(1, 2.5)], name


def test_line_ends_may_be_mixed(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'a,b\r\n1,x\n2,"y\r\nz"\r3,\r\n\r\n4,w')
    assert rows_of(tmp_path / "a.csv") == [(1, "x"), (2, "y\r\nz"), (3, None), (4, "w")]
    (tmp_path / "b.csv").write_bytes(b"a,b\r1,x\r2,y\r" * 1 + b"3,z\r" * SEGMENT)
    table = read(tmp_path / "b.csv").frame()
    assert table.height == SEGMENT + 2 and table["a"].sum() == 3 * SEGMENT + 3


def test_a_last_line_without_an_end_is_said(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n3,4")
    table = read(tmp_path / "a.csv", "a")
    assert table.notes == ("a: its last line has no line end; if that is news, the file was cut there",)
    assert table.frame().rows() == [(1, 2), (3, 4)]


def test_notes_reach_the_report_and_the_command_line(tmp_path):
    made = random.Random(0)
    numbers = [round(made.gauss(20, 5), 2) for _ in range(400)]
    lines = [f"{x};Köln\n".replace(".", ",") for x in numbers]
    (tmp_path / "a.csv").write_text("".join(["Grad;Ort\n", *lines]), "cp1252")
    pl.DataFrame({"Grad": numbers, "Ort": "Köln"}).write_parquet(tmp_path / "ref.parquet")
    said = "read as cp1252, separated by ';', with decimal commas"
    report = compare(tmp_path / "ref.parquet", tmp_path / "a.csv")
    assert report.verdict.state == "ok" and any(said in note for note in report.notes)
    assert said in repr(report)
    assert f"a.csv: {said}" in command(tmp_path, "compare", "ref.parquet", "a.csv").stdout
    done = command(tmp_path, "profile", "a.csv", "-o", "p.json")
    assert done.returncode == 0 and f"note: a.csv: {said}" in " ".join(done.stderr.split())


DECIMALS = {
    "a;b\n1,5;x\n2;y\n": ([1.5, 2.0], "double", True),
    "a;b\n1,5;1.5\n2;2\n": (["1,5", "2"], "string", False),  # two conventions in one file
    "a;b\n1.234,5;x\n": (["1.234,5"], "string", False),
    'a,b\n"1,5",x\n': (["1,5"], "string", False),  # thousands, most likely
    "a\tb\n-,5\tx\n": ([-0.5], "double", True),
}


@pytest.mark.parametrize("text", DECIMALS)
def test_decimal_commas(text, tmp_path):
    values, type_, spoken = DECIMALS[text]
    (tmp_path / "a.csv").write_text(text)
    table = read(tmp_path / "a.csv")
    assert table.frame()["a"].to_list() == values and str(table.schema.field("a").type) == type_
    assert any("decimal commas" in note for note in table.notes) == spoken


def test_a_text_decimal_is_told_by_the_contract(tmp_path):
    (tmp_path / "a.csv").write_text("temp,hum\n" + "1.5,2\n2.5,3\n" * 30)
    (tmp_path / "b.csv").write_text("temp,hum\n" + '"1,5",2\n"2,5",3\n' * 30)
    done = command(tmp_path, "compare", "a.csv", "b.csv")
    assert done.returncode == 2 and "temp was numeric and is now stored as string" in done.stderr


TYPES = {
    "00123 4": (["00123", "4"], "string"), "0 -7": ([0, -7], "int64"), "1_000 0x10": (["1_000", "0x10"], "string"),
    "9223372036854775807 -9223372036854775808": ([2**63 - 1, -(2**63)], "int64"),
    "9223372036854775808 1": (["9223372036854775808", "1"], "string"),
    "1 2.5": ([1.0, 2.5], "double"), "1e3 .5": ([1000.0, 0.5], "double"),
    "inf -Infinity": ([math.inf, -math.inf], "double"),
    "NA 3": ([None, 3], "int64"), "n/a NULL": ([None, None], "double"), "NA Oslo": (["NA", "Oslo"], "string"),
    "null true FALSE": ([None, True, False], "bool"), "yes no": (["yes", "no"], "string"),
    "2026-11-25 2026-11-26": ([date(2026, 11, 25), date(2026, 11, 26)], "date32[day]"),
    "2026-11-25 2026-11-26T10:00": ([datetime(2026, 11, 25), datetime(2026, 11, 26, 10)], "timestamp[us]"),
    "2026-11-25T10:00:00.000000000 2026-11-25": ([datetime(2026, 11, 25, 10), datetime(2026, 11, 25)], "timestamp[ns]"),
    "2026-11-25T10:00:00.123456000+01:00 2026-11-25T10:00Z":
        ([datetime(2026, 11, 25, 9, 0, 0, 123456, tzinfo=UTC), datetime(2026, 11, 25, 10, tzinfo=UTC)],
         "timestamp[ns, tz=UTC]"),
    "25/11/2026": (["25/11/2026"], "string"),
    # the hour that comes twice, and the one that never comes
    "2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00 2026-03-29T01:59:59.5Z 2026-03-29T03:00+0200":
        ([datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
          datetime(2026, 3, 29, 1, 59, 59, 500_000, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)],
         "timestamp[us, tz=UTC]"),
    "2026-10-25T02:30:00+02:00 2026-10-25T02:30:00": (["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00"], "string"),
}


@pytest.mark.parametrize("values", TYPES)
def test_types(values, tmp_path):
    want, type_ = TYPES[values]
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{value},\n" for value in values.split()))
    table = read(tmp_path / "a.csv")
    assert str(table.schema.field("x").type) == type_ and table.frame()["x"].to_list() == want
    assert table.frame()["y"].to_list() == [None] * len(want)


def test_a_type_that_widens_late_is_followed(tmp_path):
    (tmp_path / "a.csv").write_bytes(late(b"1.5,NA"))
    frame = read(tmp_path / "a.csv").frame()
    assert frame.height == 1_500_001 and frame["temp"].sum() == 1_500_001.5 and frame["hum"].null_count() == 1
    assert frame["temp"][850_000] == 1.5
    (tmp_path / "b.csv").write_bytes(b"temp,hum\n" + b"1.0,2\n" * 1000)
    assert profile(tmp_path / "a.csv", like=profile(tmp_path / "b.csv")).rows == 1_500_001


def test_a_column_that_is_empty_where_it_was_looked_at(tmp_path):
    body = b"1,,\n" * 1_000_000
    (tmp_path / "a.csv").write_bytes(b"a,b,c\n" + body[:1_500_000] + b"1,2.5,\n" + body[1_500_000:])
    table = read(tmp_path / "a.csv")
    assert [str(type_) for type_ in table.schema.types] == ["int64", "double", "string"]
    assert table.frame()["b"].drop_nulls().to_list() == [2.5] and table.frame()["c"].null_count() == 1_000_001


def test_header_only_one_column_and_names(tmp_path):
    for content, names, rows in ((b"a,b\n", ["a", "b"], []), (b"a,b", ["a", "b"], []),
                                 (b'a\n1\n""\n2\n', ["a"], [(1,), (None,), (2,)]),
                                 (b",b,\n1,2,3\n", ["column 1", "b", "column 3"], [(1, 2, 3)]),
                                 (b'"a\nb","c""d",A,a\n1,2,3,4\n', ["a\nb", 'c"d', "A", "a"], [(1, 2, 3, 4)])):
        (tmp_path / "a.csv").write_bytes(content)
        table = read(tmp_path / "a.csv", "a")
        assert table.schema.names == names and table.frame().rows() == rows
        assert [note for note in table.notes if "name" in note] == (
            ["a: without a name in the file: column 1, column 3"] if "column 1" in names else [])
    (tmp_path / "a.csv").write_bytes(b"a,b\n")
    (tmp_path / "b.csv").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(SourceError, match="a.csv: no rows"):
        compare(tmp_path / "b.csv", tmp_path / "a.csv")


def test_two_thousand_columns(tmp_path):
    names = [f"c{i}" for i in range(2000)]
    with (tmp_path / "a.csv").open("w") as file:
        file.write(",".join(names) + "\n")
        for row in range(300):
            file.write(",".join(str(row * 7919 * (i + 1) % 1009) for i in range(2000)) + "\n")
    frame = read(tmp_path / "a.csv", columns=["c1999", "c3"]).frame()
    assert frame.columns == ["c1999", "c3"] and frame["c3"].to_list() == [
        row * 7919 * 4 % 1009 for row in range(300)]
    assert len(profile(tmp_path / "a.csv").columns) > 1990


def test_thousands_of_files(tmp_path):
    for i in range(2000):
        (tmp_path / f"{i:04}.csv").write_text(f"day,n\n2026-11-25,{i}\n")
    table = read(str(tmp_path / "*.csv"))
    assert len(table.pieces) == 2000 and table.frame()["n"].to_list() == list(range(2000))
    assert profile(str(tmp_path / "*.csv"), columns=["n"]).columns["n"].mean == 999.5
    (tmp_path / "1234.csv").write_text("n,day\n1,2026-11-25\n")
    with pytest.raises(SourceError, match=r"1234.csv: its line of names differs from that of .*0000.csv"):
        read(str(tmp_path / "*.csv"))
    (tmp_path / "1234.csv").write_bytes(b"day;n\n2026-11-25;1\n")
    assert [note.split("/")[-1] for note in read(str(tmp_path / "*.csv")).notes] == ["1234.csv: read separated by ';'"]


def test_names_are_taken_as_they_are(tmp_path):
    (tmp_path / "a1.csv").write_bytes(b"n\n99\n")
    (tmp_path / "sub").mkdir()
    for i, name in enumerate(["a[1].csv", "a*.csv", "a?.csv", "it's; drop table x --.csv", 'say "a".csv',
                              "100%s%20.csv", "sub/../b.csv", "Ærø ☂.csv", "x=1.csv", "{a,b}.csv"]):
        (tmp_path / name).write_text(f'"n; ""x""","a.b [*] %s"\n{i},2\n{i + 1},3\n')
        table = read(tmp_path / name, where={'n; "x"': (i + 1, None)}, columns=["a.b [*] %s"])
        assert table.frame().rows() == [(3,)], name


def test_a_piece_travels_and_is_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("day,n\n2026-11-25,1\n2026-11-26,2\n")
    packed = pickle.dumps(read("a.csv", where={"day": ("2026-11-26", None)}))
    monkeypatch.chdir("/")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(_sum, packed).result() == _sum(packed) == 2
    table = pickle.loads(packed)
    assert [sum(batch.num_rows for batch in table.batches(["n"])) for _ in range(2)] == [1, 1]


def _sum(packed: bytes) -> int:
    return pickle.loads(packed).frame()["n"].sum()


def test_reading_stops_with_its_reader(tmp_path):
    import threading

    (tmp_path / "a.csv").write_bytes(b"temp,hum\n" + ROWS)
    before = threading.active_count()
    batches = read(tmp_path / "a.csv").batches(rows=10)
    assert next(batches).num_rows == 10
    batches.close()
    assert threading.active_count() == before


def test_memory_stays_whatever_the_size(tmp_path):
    line = b"0.123456789,-1.5e-3,20260,level_07,\"a, b\",2026-11-25T10:00:00\n"
    code = ("import sys, pyarrow.csv\nfrom drift_lab.sources import read\n"
            "def peak(): return int(next(x for x in open('/proc/self/status') if 'VmHWM' in x).split()[1]) / 1024\n"
            "before = peak()\nprint(sum(b.num_rows for b in read(sys.argv[1]).batches()), peak() - before)")
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"a,b,c,d,e,t\n")
        for _ in range(50):
            file.write(line * 80_000)
    rows, peak = python(tmp_path, code.replace("sys.argv[1]", repr(str(tmp_path / "a.csv")))).stdout.split()
    assert int(rows) == 4_000_000 and float(peak) < 150, peak
    assert os.listdir(tmp_path) == ["a.csv"]


# any table comes back as it was, however it is written; and a cut is noticed


def texts(terminator: str) -> st.SearchStrategy[str]:
    # a lone \r is quoted by Python's writer only where it ends lines with it
    bad = "\0\r" if terminator == "\n" else "\0"
    some = st.text(st.characters(exclude_categories={"Cs"}, exclude_characters=bad), max_size=12)
    return some | st.sampled_from(['say "hi"', "a,b;c|d\te", "two\nlines", "NA", "1,5", "007", "ß", " x "])


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")
BOTH = re.compile(rb"[\xc2-\xf4][\x80-\xbf]")  # letters of cp1252 that UTF-8 has too, as others


@st.composite
def written(draw):
    "A table of text, whole numbers, numbers and nulls, and the bytes of a file of it."
    terminator = draw(st.sampled_from(["\n", "\r\n"]))
    encoding = draw(st.sampled_from(ENCODINGS))
    separator = draw(st.sampled_from(",;\t|"))
    text = texts(terminator)
    if encoding == "cp1252":
        text = text.map(lambda t: t.encode("cp1252", "ignore").decode("cp1252"))
    kinds = {"t": text.filter(lambda t: t != ""), "i": st.integers(-(2**63), 2**63 - 1),
             "f": st.floats(allow_nan=False)}
    names = draw(st.lists(st.sampled_from(["t", "i", "f"]), min_size=2, max_size=5))
    height = draw(st.integers(1, 8))
    columns = [draw(st.lists(st.none() | kinds[kind], min_size=height, max_size=height)) for kind in names]
    for kind, column in zip(names, columns, strict=True):
        if kind == "t":
            column[0] = "ö is text"  # else it may look like something that it is not
        elif kind == "f" and not any(type(value) is float for value in column):
            column[0] = 0.5
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, lineterminator=terminator)
    writer.writerow([f"{kind}{i}" for i, kind in enumerate(names)])
    writer.writerows(zip(*columns, strict=True))
    return list(zip(*columns, strict=True)), out.getvalue(), encoding


@settings(max_examples=150, deadline=None)
@given(written())
def test_what_was_written_is_read(tmp_path_factory, made):
    rows, text, encoding = made
    assume(encoding != "cp1252" or not BOTH.search(text.encode(encoding)))
    file = tmp_path_factory.mktemp("h") / "a.csv"
    file.write_bytes(text.encode(encoding))
    assert rows_of(file) == rows


@settings(max_examples=150, deadline=None)
@given(written(), st.data())
def test_a_cut_is_noticed(tmp_path_factory, made, data):
    rows, text, encoding = made
    whole = text.encode(encoding)
    at = data.draw(st.integers(1, len(whole) - 1))
    file = tmp_path_factory.mktemp("h") / "a.csv"
    file.write_bytes(whole[:at])
    try:
        table = read(file)
        found = table.frame().rows()
    except SourceError:
        return  # noticed
    if any(re.search("line end", note) for note in table.notes):
        return  # said
    # cut at a line's end: then these are rows of it, in text or in numbers
    assert len(found) < len(rows) or found == rows
    assert [str(row[0]) for row in found if isinstance(row[0], str)] == [
        str(row[0]) for row, got in zip(rows, found, strict=False) if isinstance(got[0], str)]


def test_quotes_across_segments(tmp_path):
    "Fields of many lines and with quotes, so many that segments end in the middle of them."
    made = random.Random(1)
    rows = [(i, made.choice(['a\nb"c"', "x,y\r\nz", "plain", 'TV 42" set', "\n\n\n"]) * made.randrange(1, 9), i / 4)
            for i in range(200_000)]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("i", "t", "f"), *rows])
    assert rows_of(tmp_path / "a.csv") == rows


def test_a_lone_quote_is_a_character(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'a,b\nTV 42",1\n5" pipe,2\n"x ""y""",3\n' * 1)
    assert rows_of(tmp_path / "a.csv") == [('TV 42"', 1), ('5" pipe', 2), ('x "y"', 3)]



@pytest.mark.parametrize("rows", [1_000, 100_001, 700_003])
def test_only_a_last_line_without_an_end_is_said_to_have_none(tmp_path, rows):
    text = "a,b\n" + "".join(f"{i},{i % 7}\n" for i in range(rows))
    (tmp_path / "a.csv").write_text(text)
    assert read(tmp_path / "a.csv").notes == ()
    (tmp_path / "a.csv").write_text(text[:-1])
    assert "its last line has no line end" in read(tmp_path / "a.csv").notes[0]
