"Reports: what they hold, how they read, and that windows and segments are what separate comparisons would be."

import json
import subprocess
import sys
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from drift_lab import Report, compare, profile
from drift_lab.errors import ContractError, SettingsError

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
TABLES = sorted(DATA.glob("*/*.parquet"))
VOID = {"meta", "br", "hr", "img", "input", "link", "line", "rect", "polyline"}


def rides(rows: int, seed: int, shift: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    region = rng.choice(["north", "south"], rows)
    return pl.DataFrame({
        "when": [datetime(2026, 1, 1) + timedelta(hours=i) for i in range(rows)], "region": region,
        "temp": rng.normal(np.where(region == "north", 5, 25) + shift, 5, rows), "rides": rng.poisson(8, rows),
        "bike": rng.choice(["city", "road"], rows), "wet": rng.random(rows) < 0.3,
    }).with_columns(pl.when(pl.lit(rng.random(rows) > 0.03)).then("rides"))


@pytest.fixture(scope="module")
def report() -> Report:
    return compare(rides(2000, 1), rides(1500, 2, 4))


def test_the_frame(report):
    assert dict(report.frame.schema) == {
        "window": pl.String, "segment": pl.String, "column": pl.String, "kind": pl.String, "method": pl.String,
        "score": pl.Float64, "unit": pl.String, "p_value": pl.Float64, "limit": pl.Float64, "drifted": pl.Boolean,
        "error_bound": pl.Float64}
    assert report.frame.height == len(report.results) == report.frame.unique(["column", "method"]).height
    assert report.frame.filter("drifted")["column"].unique().to_list() == ["temp"]
    assert (report.frame["drifted"] == (report.frame["score"] > report.frame["limit"])).all()
    assert set(report.frame.filter(pl.col("column") == "wet")["kind"]) == {"categorical"}


def test_json_round_trip(report):
    text = report.to_json()
    content = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert list(content)[:5] == ["schema", "verdict", "reference", "current", "results"]
    again = Report.from_json(text)
    assert again == report and again.to_json() == text and again.frame.equals(report.frame)
    for bad, said in (("x", "not a stored report"), ("[]", "not a stored report"),
                      ('{"schema": "drift_lab.report/2"}', "compare again")):
        with pytest.raises(ContractError, match=said):
            Report.from_json(bad)


class Page(HTMLParser):
    "Tags open and close in order; addresses are collected."

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for key, value in attrs if key in ("src", "href", "srcset", "action", "data")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        while self.open and self.open[-1] in ("li", "td", "tr", "th", "p") and self.open[-1] != tag:
            self.open.pop()
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("kind", ["page", "notebook"])
def test_html_stands_alone_and_is_well_formed(report, kind, tmp_path):
    text = report.save_html(tmp_path / "r.html").read_text("utf-8") if kind == "page" else report._repr_html_()
    page = Page(text)
    assert page.open == [] or set(page.open) <= {"html", "body"}
    assert page.addresses == [] and "script" not in page.tags and "http" not in text and "@import" not in text
    assert page.tags.count("svg") == len({r.column for r in report.results}) * (2 if kind == "page" else 1)
    assert "1 of 5 columns moved: temp" in page.text and "1,500 rows" in page.text
    assert not list(tmp_path.glob(".*"))


def test_figures(report):
    figure = report.figure("temp")
    assert [trace.name for trace in figure.data] == ["frame", "frame"]
    assert "temp" in figure.layout.title.text and "ks" in figure.layout.title.text
    for trace in (*figure.data, *report.figure("bike").data):
        assert sum(trace.y) == pytest.approx(1, abs=1e-3)
    assert sorted(report.figure("bike").data[0].x) == ["city", "road"]
    assert list(report.figure().data[0].y)[-1] == "temp", "what moved most is at the top"
    with pytest.raises(SettingsError, match="did you mean 'temp'"):
        report.figure("tmep")


def test_whole_numbers_have_a_bar_each():
    reports = compare(pl.DataFrame({"x": [1, 2, 2, 3] * 50}), pl.DataFrame({"x": [4, 2, 2, 3] * 50}))
    figure = reports.figure("x")
    assert [list(trace.x) for trace in figure.data] == [[1, 2, 3, 4]] * 2
    assert [list(trace.y) for trace in figure.data] == [[0.25, 0.5, 0.25, 0], [0, 0.5, 0.25, 0.25]]


def test_nothing_moved():
    still = compare(rides(2000, 1), rides(1500, 2))
    assert still.verdict.state == "ok" and not still.verdict.evidence
    assert still.verdict.reason == "none of 5 columns moved"
    assert "!" not in repr(still).replace("!=", "") and not still.frame["drifted"].any()
    assert repr(still).startswith("ok: none of 5 columns moved")
    assert "not judged, since a clock always moves: when" in still.notes


def scores(report: Report, window=None, segment=None) -> dict:
    return {(r.column, r.method): (r.score, r.p_value, r.error_bound) for r in report.results
            if (r.window, r.segment) == (window, segment)}


@pytest.mark.parametrize("exact", [False, True], ids=["profiles", "exact"])
def test_windows_are_separate_comparisons(exact):
    before, after = rides(2000, 1), rides(1500, 2, 2)
    report = compare(before, after, time="when", every="1mo", exact=exact)
    months = after.with_columns(month=pl.col("when").dt.strftime("%Y-%m"))
    assert [part.window for part in report.parts] == ["2026-01", "2026-02", "2026-03"]
    for part in report.parts:
        alone = compare(before, months.filter(month=part.window).drop("month"), exact=exact)
        assert part.rows == alone.current.rows
        assert scores(report, part.window).keys() == scores(alone).keys()
        for key, numbers in scores(alone).items():
            assert scores(report, part.window)[key] == pytest.approx(numbers, rel=1e-9, abs=1e-12), key


@pytest.mark.parametrize("exact", [False, True], ids=["profiles", "exact"])
def test_segments_are_separate_comparisons(exact):
    before, after = rides(2000, 1), rides(1500, 2, 2)
    report = compare(before, after, by=["region", "wet"], exact=exact)
    base = profile(before)
    assert len(report.parts) == 4 and not {r.column for r in report.results} & {"region", "wet"}
    for part in report.parts:
        where = dict(pair.split("=") for pair in part.segment.split(", "))
        inside = (pl.col("region") == where["region"]) & (pl.col("wet") == (where["wet"] == "true"))
        one, other = (profile(side.filter(inside), like=base) for side in (before, after))
        alone = scores(compare(one, other))
        for key, (score, p_value, _) in scores(report, None, part.segment).items():
            if not exact:
                assert (score, p_value) == pytest.approx(alone[key][:2]), key
            else:
                assert abs(score - alone[key][0]) <= alone[key][2] + 1e-9, key


def test_segments_that_differ_but_did_not_change_are_quiet():
    "North is cold and south is warm, before and after: no news."
    report = compare(rides(3000, 1), rides(3000, 2), by="region")
    assert [part.verdict.state for part in report.parts] == ["ok", "ok"]
    new = compare(rides(3000, 1), rides(3000, 2).with_columns(region=pl.lit("west")), by="region")
    assert new.parts[0].verdict.state == "not_enough_data" and "region=west" in new.verdict.reason
    with pytest.raises(SettingsError, match="by: the reference is a stored profile"):
        compare(profile(rides(3000, 1)), rides(3000, 2), by="region")


def test_windows_and_segments_at_once():
    after = rides(1500, 2).with_columns(when=pl.when(pl.int_range(1500) % 50 > 0).then("when"))
    report = compare(rides(2000, 1), after, time="when", every="1mo", by="region", methods=["ks"])
    assert {part.window for part in report.parts} == {"2026-01", "2026-02", "2026-03", "no time"}
    assert sum(part.rows for part in report.parts) == 1500 == report.current.rows
    assert "2026-02" in repr(report) and Report.from_json(report.to_json()) == report


def test_what_is_missing_or_new_is_said():
    report = compare(rides(500, 1), rides(500, 2).rename({"temp": "temperature"}))
    assert any("temp is missing" in note for note in report.notes)
    assert report.verdict.state == "drift" and "temp" in report.moved  # a column that is gone is all missing
    assert any("not in the reference: temperature" in note for note in report.notes)
    empty = compare(rides(500, 1), rides(500, 2).with_columns(temp=pl.lit(None)))
    assert any(note.startswith("temp: no values") for note in empty.notes)
    found = empty.frame.filter(pl.col("column") == "temp")
    assert found["method"].to_list() == ["missing"] and found["drifted"].item() and empty.verdict.state == "drift"


def test_a_report_is_the_same_twice(report):
    assert compare(rides(2000, 1), rides(1500, 2, 4)) == report
    code = ("import sys; sys.path.insert(0, 'tests'); import test_reports as t\n"
            "print(t.compare(t.rides(2000, 1), t.rides(1500, 2, 4)).to_json())")
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True,
                          env={"PYTHONHASHSEED": "7", "HOME": "/nonexistent"})
    assert done.stdout.strip() == report.to_json()


# real tables


if TABLES:  # they are no part of the repository

    @pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
    def test_real_tables(path, tmp_path):
        frame = pl.read_parquet(path)
        half = frame.height // 2
        report = compare(frame[:half], frame[half:])
        assert report.verdict.state in ("ok", "drift") and report.results
        assert all(np.isfinite([r.score, r.limit, r.error_bound]).all() for r in report.results)
        assert Report.from_json(report.to_json()) == report
        judged = {r.column for r in report.results}
        always = {"timestamp", "instant", "dteday", "yr"} & set(frame.columns)
        moving = {c for c in always if frame[:half][c].n_unique() > 1}
        assert not judged & moving, "clocks and ids always move"
        Page(report.save_html(tmp_path / "r.html").read_text("utf-8"))
        expected = {"bike_hourly": {"cnt", "registered"}, "electricity_nsw": {"vicprice", "vicdemand", "transfer"}}
        assert expected.get(path.stem, set()) <= set(report.frame.filter("drifted")["column"])
        same = compare(frame, frame)
        assert same.verdict.state == "ok" and max(r.score - r.error_bound for r in same.results) < 1e-6


def test_a_clock_with_a_time_zone_beside_one_without_is_named():
    naive = pl.DataFrame({"seen": pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 2, 1), "1h", eager=True)
                          .sample(fraction=1, shuffle=True, seed=0)})
    zoned = naive.with_columns(pl.col("seen").dt.replace_time_zone("Europe/Oslo"))
    report = compare(naive, zoned)
    assert [note for note in report.notes if note.startswith("seen: in Europe/Oslo in one table")]
    assert not [note for note in compare(zoned, zoned).notes if "time zone" in note]


def test_segments_by_a_column_of_numbers_are_refused():
    frame = pl.DataFrame({"x": np.arange(10_500) % 7, "temp": np.random.default_rng(0).normal(size=10_500)})
    with pytest.raises(SettingsError, match="more than 10,000 windows and segments by temp; cut by something coarser"):
        compare(frame, frame, by="temp")


def test_a_single_method_may_be_named_by_a_string():
    frame = pl.DataFrame({"x": np.random.default_rng(0).normal(size=500)})
    assert [result.method for result in compare(frame, frame, methods="ks").results] == ["ks"]


def test_a_range_that_is_no_double_is_named():
    wide = pl.DataFrame({"x": np.random.default_rng(0).uniform(-1, 1, 500) * 1.7e308})
    with pytest.raises(ContractError, match=r"x reaches from -1\.\d+e\+308 to 1\.\d+e\+308, further than"):
        compare(wide, wide)
    half = wide.with_columns(pl.col("x") / 4)
    assert compare(half, half).verdict.state == "ok"
