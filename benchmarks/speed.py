"""Who is measured, and the measuring: each in a process of its own, in turn, round after round, on the same files."""
import datetime
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.data import write_pair
from benchmarks.peers import CACHE, QUIET, NotInstalled, python_of
from benchmarks.processes import Failed, Limits, OverLimit, run
from benchmarks.results import Result, Run, Size, save

SCRIPT = Path(__file__).with_name("contestants.py")
PEERS_UP_TO = 1_000_000  # rows, unless all are asked for: above, most take minutes and many GiB
ONCE_ABOVE = 60.0  # seconds: a contestant that takes longer runs in the first round only


@dataclass(frozen=True)
class Contestant:
    "A function of contestants.py on some files, in an environment ('' is ours)."
    name: str
    title: str
    function: str  # '' is the command `drift-lab compare`
    files: tuple[str, ...]
    peer: str = ""

    @property
    def both(self) -> bool:
        return "reference" in self.files


CURRENT, BOTH = ("current",), ("reference", "current")
CONTESTANTS = (
    Contestant("duckdb-current", "DuckDB, bare scan", "duckdb_scan", CURRENT),
    Contestant("polars-current", "Polars, bare scan", "polars_scan", CURRENT),
    Contestant("decode-current", "pure decoding (pyarrow)", "decode", CURRENT),
    Contestant("ours-current", "**drift_lab, against a stored profile**", "against_stored", ("kept", "current")),
    Contestant("duckdb-both", "DuckDB, bare scan", "duckdb_scan", BOTH),
    Contestant("polars-both", "Polars, bare scan", "polars_scan", BOTH),
    Contestant("decode-both", "pure decoding (pyarrow)", "decode", BOTH),
    Contestant("ours-both", "**drift_lab, all default methods**", "both", BOTH),
    Contestant("ours-command", "**`drift-lab compare REF CUR`**, imports counted", "", BOTH),
    Contestant("frouros-psi", "frouros, PSI (numeric columns only)", "frouros_psi", BOTH, "frouros"),
    Contestant("alibi-ks", "alibi-detect, KS (numeric columns only)", "alibi_ks", BOTH, "alibi"),
    Contestant("frouros-ks-chi2", "frouros, KS and chi2", "frouros_ks_chi2", BOTH, "frouros"),
    Contestant("deepchecks", "deepchecks (samples 100,000 rows)", "deepchecks", BOTH, "deepchecks"),
    Contestant("nannyml", "NannyML, univariate drift", "nannyml", BOTH, "nannyml"),
    Contestant("evidently-values", "Evidently, values only", "evidently_values", BOTH, "evidently"),
    Contestant("whylogs", "whylogs", "whylogs", BOTH, "whylogs"),
    Contestant("evidently-preset", "Evidently, data drift preset", "evidently_preset", BOTH, "evidently"),
)
TITLES = {contestant.name: contestant.title for contestant in CONTESTANTS}


def taking_part(size: Size, peers: Literal["auto", "all", "none"]) -> list[Contestant]:
    "Ours and the scans always, the others up to a size."
    others = peers == "all" or (peers == "auto" and size.rows <= PEERS_UP_TO)
    return [contestant for contestant in CONTESTANTS if others or not contestant.peer]


def machine() -> str:
    "Processor, cores, memory and Python, in a line."
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), {gib:.0f} GiB, "
            f"{platform.system()}, Python {platform.python_version()}")


def keep_profile(reference: Path) -> Path:
    "The reference's profile beside it, as it is stored."
    from drift_lab.profiles import profile
    from drift_lab.stored import profile_to_json

    kept = reference.with_suffix(".json")
    kept.write_text(profile_to_json(profile(reference)))
    return kept


def measure(contestant: Contestant, files: dict[str, Path], limits: Limits) -> tuple[Run, str]:
    "One process of it, and the version it says. Raises NotInstalled, OverLimit or Failed."
    home = CACHE / "home"  # what some keep there, such as a cache of fonts, is made once
    home.mkdir(parents=True, exist_ok=True)
    environment = os.environ | QUIET | {"HOME": str(home), "DRIFT_LAB_HOME": str(home / "drift_lab"),
                                        "POLARS_MAX_THREADS": "2"}
    paths = [files[name] for name in contestant.files]
    if not contestant.function:
        command = [Path(sys.executable).with_name("drift-lab"), "compare", *paths]
        done = run(command, limits, environment, answers=(0, 1))  # 1 is that there is drift
        return Run(done.cpu, done.wall, None, done.wall, done.peak), ""
    command = [python_of(contestant.peer), "-P", SCRIPT, contestant.function, *paths]
    done = run(command, limits, environment)
    said = json.loads(done.output.splitlines()[-1])
    return Run(said["cpu"], said["wall"], said["above"], done.wall, done.peak), said["version"]


def measure_size(
    size: Size,
    rounds: int,
    peers: Literal["auto", "all", "none"],
    limits: Limits,
    data: Path,  # where the two tables are written
    results: Path,  # where the figures are kept, as they stand after each round
) -> Result:
    "All contestants in turn, round after round."
    print(f"{size.words}: writing two tables", file=sys.stderr, flush=True)
    reference, current = write_pair(data, size.rows, size.columns)
    files = {"reference": reference, "current": current, "kept": keep_profile(reference)}
    result = Result(size, str(datetime.date.today()), machine(), rounds)
    left = taking_part(size, peers)
    for turn in range(rounds):
        for contestant in list(left):
            print(f"{size.words}, round {turn + 1} of {rounds}: {contestant.name}", file=sys.stderr, flush=True)
            try:
                found, version = measure(contestant, files, limits)
            except (NotInstalled, OverLimit, Failed) as trouble:
                result.troubles[contestant.name] = f"{_SAYS[type(trouble)]}{trouble}"
                left.remove(contestant)
                continue
            result.runs.setdefault(contestant.name, []).append(found)
            if version:
                result.versions[contestant.name] = version
            if found.process_wall > ONCE_ABOVE and contestant.peer:
                left.remove(contestant)
        save(result, results)
    for path in files.values():
        path.unlink()
    return result


_SAYS = {NotInstalled: "does not install here: ", OverLimit: "", Failed: "failed: "}
