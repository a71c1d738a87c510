"""Judge the later windows of a monitor's table and leave a report: one Prefect flow around one notebook."""
from datetime import UTC, datetime
from pathlib import Path

from drift_lab.flows.tasks import keep_contract, run_template  # first: it prepares the state before Prefect is imported

from prefect import flow, task  # isort: skip

from drift_lab.alerts import send_alerts
from drift_lab.registry import tracking
from drift_lab.reports import Report
from drift_lab.runs import logged_run
from drift_lab.settings import load_settings


@task
def tag_run(run: str, report: Report) -> None:
    "Say on the MLflow run what was judged, and what came out."
    client = tracking()
    labels = list(dict.fromkeys(part.window for part in report.parts))
    windows = labels[0] if len(labels) == 1 else f"{labels[0]} to {labels[-1]}"
    model = {"model_version": report.model} if report.model else {}
    for key, value in ({"window": windows, "verdict": report.verdict.state} | model).items():
        client.set_tag(run, key, value)
    for state in {part.verdict.state for part in report.parts}:
        client.log_metric(run, f"windows_{state}", sum(part.verdict.state == state for part in report.parts))


@task(retries=2, retry_delay_seconds=5)
def alert(settings: str, name: str, report: Report) -> int:
    "Tell people of windows that they were not told of yet."
    return send_alerts(report, load_settings(settings)[name], datetime.now(UTC))


@flow(name="monitor")
def monitor(settings: str, name: str) -> tuple[Report, Path]:
    "Check every window after the reference; report, pages and executed notebook are artifacts of one MLflow run."
    with logged_run(f"monitor {name}", {"monitor": name, "drift_lab.step": "monitor"}) as (run, folder):
        parameters = {"settings": str(Path(settings).resolve()), "monitor": name, "folder": str(folder), "run": run}
        keep_contract(load_settings(settings)[name], folder)
        run_template("drift_report.ipynb", parameters, folder)
        report = Report.from_json((folder / "report.json").read_text("utf-8"))
        tag_run(run, report)
    alert(settings, name, report)  # a message that cannot be sent fails the flow, but the report is there
    return report, folder
