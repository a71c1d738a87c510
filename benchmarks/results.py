"""What was measured: one JSON file for each size, so that measuring one size leaves the others as they are."""
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median


@dataclass(frozen=True, order=True)
class Size:
    rows: int
    columns: int

    @classmethod
    def of(cls, text: str) -> "Size":
        "100000x20, or 100_000 x 20; the number of columns is 20 where it is not said. Raises ValueError."
        found = re.fullmatch(r"([\d_,]+)\s*(?:x\s*([\d_,]+))?", text.strip())
        if not found:
            raise ValueError(f"{text!r} is not a size; it is ROWSxCOLUMNS, such as 100000x20")
        return cls(*(int(re.sub("[_,]", "", part or "20")) for part in found.groups()))

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}"

    @property
    def words(self) -> str:
        return f"{self.rows:,} rows x {self.columns:,} columns"


@dataclass(frozen=True)
class Run:
    "One process. Its imports are not counted but in the last two; where only the whole was measured, all are of it."
    cpu: float  # seconds
    wall: float  # seconds
    above: float | None  # MiB, highest above what was there after the imports; none: only the whole was measured
    process_wall: float  # seconds, imports and all
    process_peak: float  # MiB


@dataclass(frozen=True)
class Result:
    "The runs of one size; a trouble is why a contestant has none, or no more."
    size: Size
    date: str
    machine: str
    rounds: int
    runs: dict[str, list[Run]] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> Run | None:
        "Medians over the rounds, or None where it did not run through."
        runs = self.runs.get(name)
        if not runs:
            return None
        columns = ([getattr(run, key) for run in runs] for key in Run.__dataclass_fields__)
        return Run(*(None if None in column else median(column) for column in columns))


def save(result: Result, folder: Path) -> Path:
    path = folder / f"{result.size}.json"
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(result), indent=1, sort_keys=True) + "\n")
    part.replace(path)  # in one step: a run that is stopped leaves what was there
    return path


def load(folder: Path) -> list[Result]:
    "All sizes that were measured, from small to large."
    return sorted((_result_of(json.loads(path.read_text())) for path in folder.glob("*.json")),
                  key=lambda result: (result.size.columns != 20, result.size))


def _result_of(content: dict) -> Result:
    size = Size(**content.pop("size"))
    runs: dict[str, Sequence[dict]] = content.pop("runs")
    return Result(size=size, runs={name: [Run(**run) for run in some] for name, some in runs.items()}, **content)
