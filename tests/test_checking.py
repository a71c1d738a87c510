"A table held against its contract: all that is wrong at once, with the rows; what is set aside is not lost."

import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from conftest import command
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_lab import check, infer_contract, learn_contract, load_contract, read
from drift_lab.contract import POLICY, Column, Contract, _contract_of
from drift_lab.errors import ContractError, SettingsError
from drift_lab.inference import doubles
from drift_lab.quarantine import passed, rows_set_aside

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def run(*arguments, cwd: Path, code: int) -> subprocess.CompletedProcess:
    done = command(cwd, *arguments)
    assert done.returncode == code and "Traceback" not in done.stderr, (done.returncode, done.stdout, done.stderr)
    return done


# contracts as files


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def contracts(draw):
    columns = []
    for name in draw(st.lists(names, min_size=1, max_size=6, unique=True)):
        kind = draw(st.sampled_from(["numeric", "categorical", "datetime"]))
        low, high = sorted(draw(st.tuples(*[st.one_of(st.integers(-10**18, 10**18), st.floats(-1e300, 1e300))] * 2)))
        times = sorted(draw(st.tuples(*[st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))] * 2)))
        ends = {"numeric": (low, high), "datetime": tuple(t.isoformat() for t in times)}.get(kind, (None, None))
        ends = tuple(end if draw(st.booleans()) else None for end in ends)
        levels = tuple(draw(st.lists(names, min_size=1, max_size=3))) if kind == "categorical" else None
        columns.append(Column(name, kind, draw(st.sampled_from(["feature", "time", "id"])), draw(st.booleans()), *ends,
                              levels, draw(st.sampled_from([None, "warn", "quarantine"]))))
    fresh = "3d" if any((c.kind, c.role) == ("datetime", "time") for c in columns) else None
    return Contract(tuple(columns), (columns[0].name,), draw(st.sampled_from([None, 5])), None, fresh,
                    POLICY | {"range": "quarantine", "rows": "warn"})


@settings(max_examples=200, deadline=None)
@given(contracts())
def test_a_contract_comes_back_from_both_forms(contract):
    assert Contract.from_json(contract.to_json()) == contract
    assert _contract_of(tomllib.loads(contract.to_toml()), "c") == contract


@pytest.mark.parametrize(("edit", "said"), [
    (("key = [\"ride\"]", "rows = { least = \"x\" }"), "rows.least"),
    (("kind = \"numeric\"", "kind = \"number\""), "columns.ride.kind"),
    (("least = 0.0", "least = \"low\""), "columns.temp.range: 'low' is no numeric value"),
    (("least = 0.0", "least = 90"), "least 90 is above most 50.0"),
    (("fresh = \"2d\"", "fresh = \"two days\""), "fresh: 'two days' is no step of time"),
    (("key = [\"ride\"]", "key = [\"rid\"]"), "key: no column 'rid'; did you mean 'ride'?"),
    (("rows = \"error\"", "rows = \"quarantine\""), "policy.rows: no single row breaks it"),
    (("null = \"warn\"", "nul = \"warn\""), "policy.nul"),
    (("nullable = false", "nulable = false"), "nulable"),
    (("drift_lab.contract/2", "drift_lab.contract/9"), "version 'drift_lab.contract/9' is not"),
    (("[policy]", "[policy"), "cannot be read as TOML"),
])
def test_a_mistyped_contract_is_one_line_that_names_the_file_and_the_key(tmp_path, edit, said):
    contract = Contract((Column("ride", "numeric", "id"), Column("at", "datetime", "time"),
                         Column("temp", "numeric", nullable=False, low=0.0, high=50.0)), ("ride",), fresh="2d")
    text = contract.to_toml()
    assert edit[0] in text
    (tmp_path / "c.toml").write_text(text)
    assert load_contract(tmp_path / "c.toml") == contract
    (tmp_path / "c.toml").write_text(text.replace(*edit))
    with pytest.raises(ContractError) as e:
        load_contract(tmp_path / "c.toml")
    assert "c.toml: " in str(e.value) and said in str(e.value) and "\n" not in str(e.value)


def test_the_first_form_of_a_contract_is_still_read():
    text = json.dumps({"schema": "drift_lab.contract/1", "columns": [
        {"name": "x", "kind": "numeric", "role": "target", "nullable": True}]})
    assert Contract.from_json(text) == Contract((Column("x", "numeric", "target"),))


def test_the_contract_in_the_docs_is_one():
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text("utf-8")
    contract = _contract_of(tomllib.loads(page.split("```toml\n")[1].split("```")[0]), "docs")
    assert contract.policy_of("range", "amount") == "quarantine" and contract.policy_of("level", "country") == "warn"
    assert contract.policy_of("key") == POLICY["key"] and all(f"`{rule}`" in page for rule in POLICY)


# what a check finds


def rides(rows: int) -> pl.DataFrame:
    rng = np.random.default_rng(rows)
    return pl.DataFrame({
        "ride": np.arange(rows), "at": [datetime(2026, 11, 1) + timedelta(minutes=i) for i in range(rows)],
        "temp": rng.uniform(0, 30, rows), "bike": rng.choice(["city", "road"], rows), "wet": rng.random(rows) < 0.2,
        "size": rng.integers(1, 6, rows)})


STRICT = Contract((
    Column("ride", "numeric", "id", nullable=False), Column("at", "datetime", "time", low="2026-01-01"),
    Column("temp", "numeric", nullable=False, low=-10.0, high=45.0),
    Column("bike", "categorical", levels=("city", "road")),
    Column("wet", "categorical"), Column("size", "categorical", levels=("1", "2", "3", "4", "5"))), key=("ride",))


def broken_at(row: int, rows: int, **values: object) -> pl.DataFrame:
    return rides(rows).with_columns(**{
        name: pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value, dtype=rides(1)[name].dtype)).otherwise(name)
        for name, value in values.items()})


@pytest.mark.parametrize("how", ["frame", "lazy", "parquet", "row groups", "csv"])
def test_row_numbers_are_those_of_the_source_whatever_it_is(tmp_path, how):
    rows = 600_000 if how in ("frame", "row groups") else 3_000  # more than a piece
    frame = broken_at(rows - 7, rows, temp=99.0, bike="hover", size=9)
    frame = frame.with_columns(temp=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("temp"))
    if how in ("parquet", "row groups"):
        frame.write_parquet(tmp_path / "r.parquet", row_group_size=100_000)
    elif how == "csv":
        frame.write_csv(tmp_path / "r.csv")
    source = {"frame": frame, "lazy": frame.lazy(), "csv": tmp_path / "r.csv"}.get(how, tmp_path / "r.parquet")
    checked = check(source, STRICT, now=NOW)
    assert {(v.column, v.rule, v.rows, v.examples) for v in checked.violations} == {
        ("temp", "null", 1, ((3, "None"),)), ("temp", "range", 1, ((rows - 7, "99.0"),)),
        ("bike", "level", 1, ((rows - 7, "hover"),)), ("size", "level", 1, ((rows - 7, "9"),))}
    assert checked.rows == rows and checked.state == "warn"


def test_a_clean_table_is_ok_and_loads_no_validator():
    code = ("import sys; sys.path.insert(0, 'tests'); import test_checking as t; from drift_lab import check\n"
            "checked = check(t.rides(5000), t.STRICT)\n"
            "assert checked.state == 'ok' and checked.violations == (), checked\n"
            "assert 'pandera' not in sys.modules and 'duckdb' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1], timeout=120)


def test_columns_that_are_missing_renamed_new_reordered_or_of_another_kind_are_said_together():
    frame = rides(50).rename({"bike": "bikes"}).with_columns(temp=pl.col("temp").round(1).cast(pl.String))
    frame = frame.with_columns(temp=pl.when(pl.int_range(pl.len()) == 12).then(pl.lit("1,5")).otherwise("temp"))
    checked = check(frame.select(reversed(frame.columns)), STRICT)
    found = {(v.column, v.rule): v for v in checked.violations}
    assert set(found) == {("temp", "kind"), ("bike", "missing"), ("bikes", "new")} and checked.state == "error"
    wrong = found["temp", "kind"]
    assert wrong.message.endswith("see row 12 (1,5)") and wrong.examples == ((12, "1,5"),)
    assert "did you mean 'bikes'?" in found["bike", "missing"].message
    assert check(rides(50).select(reversed(STRICT.names)), STRICT).state == "ok"


def test_too_few_rows_and_rows_that_are_too_old():
    limits = replace(STRICT, least_rows=100, most_rows=1000, fresh="2d")
    assert check(rides(500), limits, now=datetime(2026, 11, 2, tzinfo=UTC)).state == "ok"
    few = check(rides(99), limits, now=datetime(2026, 11, 9, tzinfo=UTC))
    assert [v.rule for v in few.violations] == ["rows", "fresh"] and "at least 100" in few.violations[0].message
    assert "2026-11-01 01:38:00" in few.violations[1].message and "2026-11-07 00:00" in few.violations[1].message
    assert [v.rule for v in check(rides(1001), limits, now=NOW - timedelta(days=24)).violations] == ["rows"]
    assert [v.rule for v in check(rides(0), limits, now=NOW).violations] == ["rows", "fresh"]


def test_a_file_with_names_alone_has_no_rows_and_that_is_all(tmp_path):
    (tmp_path / "head.csv").write_text(",".join(STRICT.names) + "\n")
    assert [(v.rule, v.message) for v in check(tmp_path / "head.csv", STRICT).violations] == [("rows", "no rows")]


def test_stretches_that_cannot_be_are_refused():
    for ends, said in ((("2026-11-03", "2026-11-02"), "is not before"), (3, "is no pair of start and end"),
                       (("soon", None), "is not on the scale of at")):
        with pytest.raises(SettingsError, match=said):
            read(rides(9), where={"at": ends})


def test_nan_is_missing_and_an_infinite_value_is_out_of_range():
    frame = pl.DataFrame({"x": [1.0, float("nan"), None, float("inf"), float("-inf")]})
    rules = Contract((Column("x", "numeric", nullable=False, low=0.0, high=9.0),))
    assert {(v.rule, v.rows, tuple(row for row, _ in v.examples)) for v in check(frame, rules).violations} == {
        ("null", 2, (1, 2)), ("range", 2, (3, 4))}


def test_clocks_in_other_zones_and_units_are_held_against_one_range():
    limit = Contract((Column("at", "datetime", "time", low="2026-03-29T01:30", high="2026-03-29T02:30"),))
    utc = [datetime(2026, 3, 29, h, 30, tzinfo=UTC) for h in range(5)]
    for unit in ("ms", "us", "ns"):
        column = pl.Series("at", utc, pl.Datetime(unit, "UTC"))
        for zone in ("UTC", "Europe/Berlin"):  # where the clocks go forward between the second and the third
            frame = pl.DataFrame({"at": column.dt.convert_time_zone(zone)})
            assert [v.rows for v in check(frame, limit).violations] == [3], (unit, zone)
    days = pl.DataFrame({"at": pl.Series([datetime(2026, 3, d) for d in (28, 29, 30)]).cast(pl.Date)})
    assert [row for v in check(days, limit).violations for row, _ in v.examples] == [0, 1, 2]


# keys


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=80), st.booleans(), st.integers(1, 40))
def test_doubles_are_what_polars_says(values, as_text, at_once):
    frame = pl.DataFrame({"id": pl.Series(values, dtype=pl.Int64), "b": [i % 3 for i in range(len(values))]})
    frame = frame.with_columns(pl.col("id").cast(pl.String)) if as_text else frame
    batches = frame.to_arrow().to_batches(max_chunksize=at_once)
    for key in (("id",), ("id", "b")):
        expected = frame.with_row_index().filter(pl.all_horizontal(pl.col(key).is_not_null()) & ~pl.struct(
            key).is_first_distinct())["index"].to_list()
        source = pa.Table.from_batches(batches, frame.to_arrow().schema)
        assert doubles(read(source), key)[0].tolist() == expected


def test_ids_that_repeat_far_apart_are_found(tmp_path):
    frame = rides(700_000).with_columns(ride=pl.when(pl.int_range(pl.len()) == 650_000).then(17).otherwise("ride"))
    frame.write_parquet(tmp_path / "r.parquet", row_group_size=50_000)
    found = check(tmp_path / "r.parquet", replace(STRICT, policy=POLICY | {"key": "quarantine"}))
    assert [(v.column, v.rule, v.examples) for v in found.violations] == [("ride", "key", ((650_000, "17"),))]
    assert found.set_aside.tolist() == [650_000]


# rows set aside


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_rows_pass_or_are_set_aside_and_none_is_lost(seed, rows, share):
    rng = np.random.default_rng(seed)
    frame = rides(rows).with_columns(temp=pl.Series(np.where(rng.random(rows) < share, 99.0, 20.0)),
                                     bike=pl.Series(np.where(rng.random(rows) < share / 2, "hover", "city")))
    source = pa.Table.from_batches(frame.to_arrow().to_batches(max_chunksize=int(rng.integers(1, 90))))
    policies = replace(STRICT, policy=POLICY | {"range": "quarantine", "level": "quarantine"})
    checked = check(source, policies)
    stays = passed(read(source), checked).frame().cast(frame.schema)
    bad = (frame["temp"] > 45) | (frame["bike"] == "hover")
    assert stays.equals(frame.filter(~bad)) and checked.set_aside.tolist() == bad.arg_true().to_list()
    out = list(rows_set_aside(read(source), checked))
    assert sum(map(len, out)) == bad.sum()
    if out:
        out = pl.concat(out)
        assert [json.loads(text)["ride"] for text in out["values"]] == frame.filter(bad)["ride"].cast(str).to_list()
        first = out.row(0, named=True)
        temp, bike = frame["temp"][first["row"]], frame["bike"][first["row"]]
        why = ["temp: range"] * (temp > 45) + ["bike: level"] * (bike == "hover")
        assert sorted(first["reason"].split("; ")) == sorted(why)


def test_values_set_aside_keep_what_json_has_no_word_for():
    frame = pl.DataFrame({"x": [float("nan"), float("inf"), 1.5], "raw": [b"\xff\x00", b"a", None],
                          "many": [[1, 2], [], None], "at": [datetime(2026, 1, 2, 3, 4, 5, 6)] * 3, "bad": ["z"] * 3})
    rules = Contract((Column("bad", "categorical", levels=("a",), policy="quarantine"),))
    out = pl.concat(rows_set_aside(read(frame), check(frame, rules)))
    rows = [json.loads(text) for text in out["values"]]
    assert [row["x"] for row in rows] == ["NaN", "inf", "1.5"] and [row["raw"] for row in rows] == ["ff00", "61", None]
    assert rows[0]["many"] == [1, 2] and rows[0]["at"].startswith("2026-01-02 03:04:05.000006")


# learning


def test_a_reference_keeps_the_contract_that_was_learnt_from_it(tmp_path):
    frame = rides(4000).with_columns(
        temp=pl.when(pl.int_range(pl.len()) % 9 == 0).then(None).otherwise("temp"), empty=pl.lit(None, pl.Float64),
        cost=pl.Series(np.arange(4000) % 50 + 0.25).cast(pl.Decimal(10, 2)), far=pl.lit(1e300) * pl.col("size"))
    learnt = learn_contract(frame, time="at")
    (tmp_path / "c.toml").write_text(learnt.to_toml())
    again = load_contract(tmp_path / "c.toml")
    assert again == learnt and check(frame, again).state == "ok"
    assert learnt.key == ("ride",) and learnt.column("temp").nullable and not learnt.column("bike").nullable
    assert learnt.column("bike").levels == ("city", "road") and learnt.column("size").low == 0
    plain = infer_contract(read(frame), time="at")
    assert [(c.name, c.kind, c.role) for c in learnt.columns] == [(c.name, c.kind, c.role) for c in plain.columns]


# the command


def test_the_commands_learn_and_check(tmp_path):
    rides(2000).write_parquet(tmp_path / "ref.parquet")
    broken_at(5, 2000, temp=-999.0).write_parquet(tmp_path / "cur.parquet")
    rides(2000).drop("temp").write_parquet(tmp_path / "less.parquet")
    run("contract", "ref.parquet", "-o", "c.toml", "--time", "at", cwd=tmp_path, code=0)
    assert "no violations" in run("check", "ref.parquet", "--contract", "c.toml", cwd=tmp_path, code=0).stdout
    said = run("check", "cur.parquet", "--contract", "c.toml", cwd=tmp_path, code=0).stdout
    assert "warn" in said and "row 5 (-999.0)" in said
    gone = run("check", "less.parquet", "--contract", "c.toml", cwd=tmp_path, code=2)
    assert "temp is missing" in gone.stdout
    kept = (tmp_path / "c.toml").read_text()
    said = run("contract", "less.parquet", "-o", "c.toml", cwd=tmp_path, code=2).stderr
    assert "--force writes over it" in said and (tmp_path / "c.toml").read_text() == kept
    assert check(tmp_path / "ref.parquet", tmp_path / "c.toml").state == "ok"
    content = json.loads(run("check", "cur.parquet", "--contract", "c.toml", "--json", cwd=tmp_path, code=0).stdout)
    assert content["schema"] == "drift_lab.check/1" and content["state"] == "warn" and content["rows"] == 2000
    assert [(v["column"], v["rule"], v["rows"], v["examples"]) for v in content["violations"]] == [
        ("temp", "range", 1, [[5, "-999.0"]])]
    for arguments in (("check", "cur.parquet", "--contract", "no.toml"), ("contract", "no.parquet"),
                      ("check", "no.parquet", "--contract", "c.toml")):
        assert run(*arguments, cwd=tmp_path, code=2).stderr.count("\n") == 1
