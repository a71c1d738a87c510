"""What is measured: one function for each, which imports what it needs and returns the work to be timed.

python contestants.py NAME FILE [FILE]   (with the Python of the environment it needs; prints one line of JSON)

The file imports nothing of ours by itself: it runs in the environments of others, too. CPU seconds are those of this
process, all threads; the peak is what came on top of what was resident after the imports, in MiB.
"""
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version

Work = Callable[[], object]
THREADS = 2  # for those that can be told; the same for all


def against_stored(kept: str, current: str) -> Work:
    # first, since it chooses how NumPy sorts and Arrow allocates
    from drift_lab import compare, load_profile  # noqa: I001

    import pyarrow.parquet  # noqa: F401  (imported by what reads a file)

    return lambda: compare(load_profile(kept), current).results


def both(reference: str, current: str) -> Work:
    from drift_lab import compare  # noqa: I001

    import pyarrow.parquet  # noqa: F401

    return lambda: compare(reference, current).results


def decode(*paths: str) -> Work:
    "Parquet decoding and nothing else; texts stay codes of a dictionary."
    import pyarrow
    import pyarrow.parquet as pq

    pyarrow.set_cpu_count(THREADS)

    def work() -> None:
        for path in paths:
            texts = [field.name for field in pq.read_schema(path) if field.name.startswith("cat")]
            for _ in pq.ParquetFile(path, read_dictionary=texts, pre_buffer=False).iter_batches(65536):
                pass

    return work


def duckdb_scan(*paths: str) -> Work:
    "The sum of each number and the ends of each text."
    import duckdb

    def work() -> list:
        found, connection = [], duckdb.connect()
        connection.execute(f"SET threads={THREADS}")
        for path in paths:
            columns = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()
            asked = ", ".join(f'min("{name}"), max("{name}")' if kind == "VARCHAR" else f'sum("{name}")'
                              for name, kind, *_ in columns)
            found.append(connection.execute(f"SELECT {asked} FROM read_parquet('{path}')").fetchone())
        return found

    return work


def polars_scan(*paths: str) -> Work:
    "The same in Polars' streaming engine."
    import polars as pl

    def work() -> list:
        numbers, texts = pl.selectors.numeric(), pl.selectors.string()
        asked = numbers.sum(), texts.min().name.suffix("_min"), texts.max().name.suffix("_max")
        return [pl.scan_parquet(path).select(*asked).collect(engine="streaming").row(0) for path in paths]

    return work


def frouros_psi(*paths: str) -> Work:
    from frouros.detectors.data_drift import PSI

    def work() -> list:
        reference, current = frames(paths)
        return [detected(PSI, reference[name], current[name], float)[0].distance for name in numeric(reference)]

    return imported_pandas(work)


def frouros_ks_chi2(*paths: str) -> Work:
    from frouros.detectors.data_drift import ChiSquareTest, KSTest

    def work() -> list:
        reference, current = frames(paths)
        numbers = [detected(KSTest, reference[name], current[name], float) for name in numeric(reference)]
        return numbers + [detected(ChiSquareTest, reference[name], current[name], object)
                          for name in categorical(reference)]

    return imported_pandas(work)


def detected(detector: type, reference: object, current: object, kind: type) -> tuple:
    "Frouros' answer for one column; it takes no missing values."
    fitted = detector()
    fitted.fit(X=reference.dropna().to_numpy(kind))
    return fitted.compare(X=current.dropna().to_numpy(kind))


def alibi_ks(*paths: str) -> Work:
    import numpy as np
    from alibi_detect.cd import KSDrift

    def matrix(frame: object) -> object:
        columns = numeric(frame)
        made = np.empty((len(frame), len(columns)), dtype=np.float32)
        for k, name in enumerate(columns):
            made[:, k] = frame[name].fillna(0)
        return made

    def work() -> dict:
        reference, current = frames(paths)
        return KSDrift(matrix(reference), p_val=0.05).predict(matrix(current))

    return imported_pandas(work)


def deepchecks(*paths: str) -> Work:
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.checks import FeatureDrift

    def work() -> object:
        reference, current = (Dataset(frame, cat_features=categorical(frame), label=None) for frame in frames(paths))
        return FeatureDrift().add_condition_drift_score_less_than().run(reference, current).value

    return imported_pandas(work)


def nannyml(*paths: str) -> Work:
    import nannyml as nml

    def work() -> object:
        reference, current = frames(paths)
        calculator = nml.UnivariateDriftCalculator(column_names=list(reference.columns), chunk_number=10)
        calculator.fit(reference)
        return calculator.calculate(current).to_df()

    return imported_pandas(work)


def evidently_values(*paths: str) -> Work:
    from evidently.metrics import ValueDrift

    return evidently(paths, lambda names: [ValueDrift(column=name) for name in names])


def evidently_preset(*paths: str) -> Work:
    from evidently.presets import DataDriftPreset

    return evidently(paths, lambda names: [DataDriftPreset()])


def evidently(paths: tuple[str, ...], metrics: Callable[[list[str]], list]) -> Work:
    from evidently import DataDefinition, Dataset, Report

    def work() -> dict:
        frames_ = frames(paths)
        numbers, names = numeric(frames_[0]), categorical(frames_[0])
        kinds = DataDefinition(numerical_columns=numbers, categorical_columns=names)
        reference, current = (Dataset.from_pandas(frame, data_definition=kinds) for frame in frames_)
        return Report(metrics(numbers + names)).run(current, reference).dict()

    return imported_pandas(work)


def whylogs(*paths: str) -> Work:
    import whylogs as why
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    def work() -> dict:
        reference, current = (why.log(frame).view() for frame in frames(paths))
        return calculate_drift_scores(target_view=current, reference_view=reference, with_thresholds=True)

    return imported_pandas(work)


def imported_pandas(work: Work) -> Work:
    "The peers take pandas frames, and importing pandas and its reader is not their work either."
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    return work


def check_contract(contract: str, path: str) -> Work:
    from drift_lab import check, load_contract  # noqa: I001

    import pyarrow.parquet  # noqa: F401

    rules = load_contract(contract)

    def work() -> None:
        checked = check(path, rules)
        assert checked.state == "ok", checked

    return work


def csv_read(path: str) -> Work:
    from drift_lab import read  # noqa: I001

    import pyarrow.csv  # noqa: F401

    return lambda: sum(batch.num_rows for batch in read(path).batches())


def csv_duckdb(path: str) -> Work:
    import duckdb
    import pyarrow  # noqa: F401

    def work() -> int:
        connection = duckdb.connect()
        connection.execute(f"SET threads={THREADS}")
        return sum(batch.num_rows for batch in connection.read_csv(path).to_arrow_reader(65536))

    return work


def csv_polars(path: str) -> Work:
    import polars as pl

    return lambda: pl.read_csv(path).height


def csv_polars_streaming(path: str) -> Work:
    import polars as pl

    return lambda: sum(part.height for part in pl.scan_csv(path).collect_batches(engine="streaming"))


def postgres_read(url: str) -> Work:
    import adbc_driver_postgresql  # noqa: F401

    from drift_lab import read

    return lambda: sum(batch.num_rows for batch in read(url).batches())


def postgres_adbc(url: str) -> Work:
    from adbc_driver_postgresql import dbapi

    def work() -> int:
        address, _, table = url.partition("?table=")
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            return sum(batch.num_rows for batch in cursor.fetch_record_batch())

    return work


def frames(paths: tuple[str, ...]) -> list:
    import pandas

    return [pandas.read_parquet(path) for path in paths]


def numeric(frame: object) -> list[str]:
    return [name for name in frame.columns if name.startswith("num")]


def categorical(frame: object) -> list[str]:
    return [name for name in frame.columns if name.startswith("cat")]


WORKS = {work.__name__: work for work in (
    against_stored, both, decode, duckdb_scan, polars_scan, frouros_psi, frouros_ks_chi2, alibi_ks, deepchecks, nannyml,
    evidently_values, evidently_preset, whylogs, check_contract, csv_read, csv_duckdb, csv_polars, csv_polars_streaming,
    postgres_read, postgres_adbc)}
PACKAGES = {"against_stored": "drift_lab", "both": "drift_lab", "decode": "pyarrow", "duckdb_scan": "duckdb",
            "polars_scan": "polars", "alibi_ks": "alibi-detect", "check_contract": "drift_lab", "csv_read": "drift_lab",
            "csv_duckdb": "duckdb", "csv_polars": "polars", "csv_polars_streaming": "polars",
            "postgres_read": "drift_lab", "postgres_adbc": "adbc-driver-postgresql"}  # others begin with it


def memory(key: str) -> float:
    "MiB, from what Linux says of this process; getrusage would count what its parent had, too."
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) / 1024


def main(name: str, *paths: str) -> None:
    warnings.filterwarnings("ignore")
    work = WORKS[name](*paths)
    with open("/proc/self/clear_refs", "w") as reset:  # the peak so far is that of the imports
        reset.write("5")
    base, wall, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    package = PACKAGES.get(name, name.split("_")[0])
    print(json.dumps({"cpu": cpu, "wall": wall, "above": memory("VmHWM") - base,
                      "version": f"{package} {version(package)}"}))


if __name__ == "__main__":
    main(*sys.argv[1:])
