"""benchmarks/: tables of the right shape, processes within limits, sizes side by side, targets as calculated by hand.

No time that was measured here is held against anything: other tests run beside these.
"""
import math
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from benchmarks import contestants, data, peers, speed
from benchmarks.processes import Failed, Limits, OverLimit, run
from benchmarks.results import Result, Run, Size, load, save
from benchmarks.tables import page, size_table, target_table
from benchmarks.targets import targets

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("text, rows, columns", [("100000x20", 100_000, 20), ("1_000_000 x 50", 1_000_000, 50),
                                                 ("100,000x1,000", 100_000, 1000), ("5000", 5000, 20)])
def test_a_size_is_said_as_rows_and_columns(text, rows, columns):
    assert Size.of(text) == Size(rows, columns)
    assert Size.of(str(Size.of(text))) == Size.of(text)


@pytest.mark.parametrize("text", ["", "x20", "1e6x20", "many", "10x20x30", "-5"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="ROWSxCOLUMNS"):
        Size.of(text)


def test_tables_are_written_in_row_groups_with_every_other_column_of_the_second_drifted(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "PIECE", 8_000)
    paths = data.write_pair(tmp_path, 20_000, 30)
    for path in paths:
        metadata = pq.ParquetFile(path).metadata
        assert [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)] == [8_000, 8_000, 4_000]
    reference, current = map(pl.read_parquet, paths)
    assert reference.columns == current.columns == list(data.layout(30))
    assert [name[:3] for name in reference.columns] == 21 * ["num"] + 9 * ["cat"]
    # 600,000 cells of which 2 % are missing: 12,000, give or take four times sqrt(600,000 x 0.02 x 0.98) = 108
    assert abs(sum(reference.null_count().row(0)) - 12_000) < 4 * 108.4
    # the standard error of a difference of two means of 19,600 normal values is 0.0101
    moved = current["num_05_normal"].mean() - reference["num_05_normal"].mean()
    assert abs(moved - 0.1) < 4 * 0.0101
    kept = current["num_00_normal"].mean() - reference["num_00_normal"].mean()
    assert abs(kept) < 4 * 0.0101
    # two levels of weights 1 and 2^-0.8 = 0.574: shares 0.635, 0.365; tilted 1.15 and 0.488: 0.702
    column = pl.col("cat_00_2").drop_nulls().eq("level_0000").mean()
    assert abs(reference.select(column).item() - 0.635) < 0.015
    assert data.layout(30)["cat_00_2"] == 2
    assert abs(current.select(column).item() - 0.702) < 0.015, "column 21 of 30 is an odd one"


def test_pieces_differ_and_come_out_the_same_each_time():
    one, again, other = (data.piece(seed, 100, 20, drifting=False) for seed in ((0, 0), (0, 0), (0, 1)))
    assert one.equals(again)
    assert not one.equals(other)


def test_a_process_is_measured_from_its_start_to_its_end():
    code = "import sys; held = bytearray(b'x') * (64 << 20); import time; time.sleep(0.3); print('done')"
    done = run([sys.executable, "-c", code], Limits(), {})
    assert done.output == "done\n"
    assert done.wall >= 0.3
    assert done.peak >= 64


def test_a_process_is_ended_at_its_limits():
    with pytest.raises(OverLimit, match=r"over 0\.005 min"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], Limits(seconds=0.3), {})
    hungry = "import time; held = bytearray(b'x') * (200 << 20); time.sleep(60)"
    with pytest.raises(OverLimit, match=r"out of memory \(over 0\.1 GiB\)"):
        run([sys.executable, "-c", hungry], Limits(gib=0.1), {})
    with pytest.raises(OverLimit, match="out of memory"):
        run([sys.executable, "-c", "raise MemoryError"], Limits(), {})


def test_a_process_that_fails_says_why():
    with pytest.raises(Failed, match="ValueError: no such column"):
        run([sys.executable, "-c", "raise ValueError('no such column')"], Limits(), {})
    with pytest.raises(Failed, match="exit code 3"):
        run([sys.executable, "-c", "raise SystemExit(3)"], Limits(), {})
    assert run([sys.executable, "-c", "raise SystemExit(1)"], Limits(), {}, answers=(0, 1)).output == ""


def test_every_contestant_has_its_function_its_environment_and_a_name_of_its_own():
    assert len(speed.TITLES) == len(speed.CONTESTANTS)
    for contestant in speed.CONTESTANTS:
        assert not contestant.function or contestant.function in contestants.WORKS, contestant
        assert not contestant.peer or contestant.peer in peers.REQUIREMENTS, contestant
    assert {contestant.peer for contestant in speed.CONTESTANTS} - {""} == set(peers.REQUIREMENTS)


def test_others_take_part_up_to_a_million_rows_unless_asked_otherwise():
    some, million, more = ([c.name for c in speed.taking_part(Size(rows, 20), "auto")]
                           for rows in (100_000, 1_000_000, 5_000_000))
    assert some == million == list(speed.TITLES)
    assert "evidently-preset" not in more and "duckdb-current" in more
    assert len(speed.taking_part(Size(5_000_000, 20), "all")) == len(speed.CONTESTANTS)
    assert [c.name for c in speed.taking_part(Size(1000, 20), "none")] == more


def test_a_peer_that_cannot_be_installed_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(peers.REQUIREMENTS, "gone", [f"gone @ file://{tmp_path}/nothing.whl"])
    with pytest.raises(peers.NotInstalled, match="nothing.whl"):
        peers.python_of("gone", tmp_path)
    assert not (tmp_path / "gone" / "made-from.txt").exists()


def result(size: str, **cpu: float) -> Result:
    "A result of one round, in which a wall time is half of the CPU time and memory is 50 MiB."
    return Result(Size.of(size), "2026-01-01", "a machine", 1,
                  {name.replace("_", "-"): [Run(value, value / 2, 50.0, value / 2 + 1, 150.0)]
                   for name, value in cpu.items()})


def test_medians_are_those_of_each_figure_by_itself():
    runs = [Run(1.0, 9.0, 5.0, 1.0, 1.0), Run(2.0, 8.0, 6.0, 1.0, 1.0), Run(9.0, 1.0, 7.0, 1.0, 3.0)]
    of = Result(Size(1, 1), "", "", 3, {"one": runs}).of("one")
    assert of == Run(2.0, 8.0, 6.0, 1.0, 1.0)
    assert Result(Size(1, 1), "", "", 3, {}).of("one") is None
    whole = Run(1.0, 1.0, None, 1.0, 1.0)
    assert Result(Size(1, 1), "", "", 1, {"whole": [whole]}).of("whole") == whole


def test_measuring_a_size_again_replaces_it_and_leaves_the_others(tmp_path):
    for size in ("1000000x50", "5000000x20", "100000x20"):
        save(result(size, duckdb_current=1.0), tmp_path)
    save(result("100000x20", duckdb_current=3.0), tmp_path)
    loaded = load(tmp_path)
    assert [str(one.size) for one in loaded] == ["100000x20", "5000000x20", "1000000x50"]
    assert [one.of("duckdb-current").cpu for one in loaded] == [3.0, 1.0, 1.0]
    assert loaded[1] == result("5000000x20", duckdb_current=1.0)


def test_targets_are_ratios_as_calculated_by_hand():
    found = {target.what: target for target in targets([result(
        "1000000x20", ours_current=0.3, duckdb_current=0.5, decode_current=0.15, ours_both=0.6, ours_command=1.0,
        frouros_psi=1.8, alibi_ks=3.6, evidently_preset=77.0)])}
    expected = {  # what is measured, whether that is enough
        "CPU of DuckDB's scan, current file against a stored profile": (0.6, True),  # 0.3 / 0.5 <= 0.75
        "CPU of pure decoding, the same (stretch)": (2.0, False),  # 0.3 / 0.15 > 1.5
        "wall time of DuckDB's scan, the same": (0.6, True),  # 0.15 / 0.25 <= 1
        "peak memory above imports, current file": (50.0, True),
        "peak memory above imports, both files": (50.0, True),
        "`drift-lab compare REF CUR`, whole process": (1.5, True),  # 1.0 / 2 + 1 <= 1.5
        "CPU of frouros' PSI over ours, two files": (3.0, True),  # 1.8 / 0.6 >= 2.5
        "CPU of alibi-detect's KS over ours, two files": (6.0, False),  # 3.6 / 0.6 < 7
        "CPU of Evidently's preset over ours, two files": (77 / 0.6, True),  # 128.3 >= 125
        "wall time of Evidently's preset over ours, whole processes": (39.5 / 1.5, False),  # 26.3 < 40
    }
    assert found.keys() == expected.keys()
    for what, (measured, met) in expected.items():
        assert math.isclose(found[what].measured, measured), what
        assert found[what].met is met, what


def test_growth_is_the_cost_of_a_row_and_of_a_column_from_size_to_size():
    found = [(target.what, target.size, target.measured, target.met) for target in targets([
        result("1000000x20", ours_current=0.5), result("5000000x20", ours_current=2.5),
        result("50000000x20", ours_current=50.0), result("1000000x50", ours_current=1.0),
        result("100000x1000", ours_current=3.0)])]
    assert found[-3:] == [
        ("CPU per row, over that of 1,000,000 rows", "5,000,000 rows x 20 columns", 1.0, True),  # 5 x for 5 x
        ("CPU per row, over that of 5,000,000 rows", "50,000,000 rows x 20 columns", 2.0, False),  # 20 x for 10 x
        ("CPU per column, over that of 20 columns", "1,000,000 rows x 50 columns", 0.8, True),  # 2 x for 2.5 x
    ]


def test_a_thousand_columns_may_take_more_memory():
    wanted = {target.size: target.wanted for target in targets([result("100000x20", ours_both=1.0),
                                                                result("100000x1000", ours_both=1.0)])
              if target.unit == "MiB"}
    assert wanted == {"100,000 rows x 20 columns": 100.0, "100,000 rows x 1,000 columns": 500.0}


def test_the_page_has_a_table_of_each_size_and_says_what_did_not_run_through():
    one = result("1000000x20", duckdb_both=0.5, ours_both=0.6, whylogs=34.0)
    one.troubles.update({"evidently-preset": "over 20 min", "whylogs": "out of memory", "deepchecks": "a | b"})
    lines = size_table(one).splitlines()
    assert "| **drift_lab, all default methods** | 0.60 | 1.20 x | 0.30 | 50 | 1.30 | 150 | 1 |" in lines
    assert "| whylogs | 34.00 | 68.00 x | 17.00 | 50 | 18.00 | 150 | 1, then out of memory |" in lines
    assert "| Evidently, data drift preset | over 20 min | | | | | | 0 |" in lines
    assert "| deepchecks (samples 100,000 rows) | a / b | | | | | | 0 |" in lines
    assert not any("NannyML" in line for line in lines), "what was not measured has no line"
    both = [one, result("100000x20", duckdb_current=1.0, ours_current=1.0)]
    whole = page(both, targets(both))
    assert "## 1,000,000 rows x 20 columns" in whole and "## 100,000 rows x 20 columns" in whole
    assert "| <= 0.75 x | 1.00 x | **missed** |" in target_table(targets(both))


def test_one_size_is_measured_end_to_end_without_the_others(tmp_path):
    save(result("100000x20", duckdb_current=1.0), tmp_path / "results")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "2000x20", "--rounds", "1", "--peers", "none", "--folder", tmp_path],
        cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    sizes = {str(one.size): one for one in load(tmp_path / "results")}
    assert set(sizes) == {"2000x20", "100000x20"}
    measured = sizes["2000x20"]
    assert not measured.troubles
    assert set(measured.runs) == {c.name for c in speed.CONTESTANTS if not c.peer}
    assert all(len(runs) == 1 and runs[0].cpu >= 0 for runs in measured.runs.values())
    assert "| CPU of DuckDB's scan, current file against a stored profile | 2,000 rows x 20 columns |" in done.stdout
    written = (tmp_path / "speed.md").read_text()
    assert "## 2,000 rows x 20 columns" in written and "## 100,000 rows x 20 columns" in written
    assert (tmp_path / "speed.svg").read_text().startswith("<svg")
    assert str(peers.CACHE.relative_to(ROOT)).startswith(".drift_lab"), "which git ignores"
