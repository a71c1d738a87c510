"The prediction service as its users meet it: a registered model behind a real port, a browser and a fuzzer before it."
import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from mlflow.models import infer_signature
from playwright.sync_api import sync_playwright
from prometheus_client.parser import text_string_to_metric_families
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from drift_lab.payloads import Served
from drift_lab.serving import app_of

BIN = Path(sys.executable).parent
PATIENCE = 60  # seconds after which something that should have happened is taken to hang

REGISTER = """
import json, sys
from drift_lab.inference import infer_contract
from drift_lab.features import model_input
from drift_lab.profiles import profile
from drift_lab.registry import register
from drift_lab.simulation import simulate
from drift_lab.sources import read
from drift_lab.training import train

frame = simulate(2000, seed=5).frame
contract = infer_contract(read(frame), target="default", time="time")
champion = register(train(frame, contract), contract, profile(frame, contract=contract), name="loans")
rows = json.loads(frame.select(contract.features).write_json())
for row in rows:
    row["owns_home"] = {True: "true", False: "false"}[row["owns_home"]]
fed = model_input(frame, contract)
print(json.dumps({"rows": rows, "chances": champion.model.predict_proba(fed).tolist()}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("serving")


def environment(home: Path) -> dict[str, str]:
    ours = ("DRIFT_LAB_", "MLFLOW_", "PREFECT_", "JUPYTER_", "OMP_")
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return theirs | {"HOME": str(home), "DRIFT_LAB_HOME": str(home / "state")}


@pytest.fixture(scope="module")
def loans(home) -> dict:
    "A model in the registry; the rows it was trained on as JSON, and what it says of them when it is asked directly."
    done = subprocess.run([sys.executable, "-c", REGISTER], env=environment(home), cwd=home, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def start(home: Path, port: int = 0) -> tuple[subprocess.Popen, str]:
    "`drift-lab serve` on a free port, once it says that it serves; and its address."
    process = subprocess.Popen([BIN / "drift-lab", "serve", "models:/loans@champion", "--port", str(port)],
                               env=environment(home), cwd=home, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate(timeout=PATIENCE)[1])
    address = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
    assert line == f"loans version 1 is served at {address} ; try it at {address}/docs ; Ctrl-C ends it\n"
    return process, address


def stop(process: subprocess.Popen, by: int = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(by)
    _, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, errors


@pytest.fixture(scope="module")
def service(home, loans):
    process, address = start(home)
    try:
        with httpx.Client(base_url=address, timeout=PATIENCE) as client:
            yield client
    finally:
        code, errors = stop(process)
    assert code == 0
    # a fuzzer sends what is no HTTP at all, and uvicorn says so; all else that is asked below leaves no word
    assert set(errors.splitlines()) <= {"WARNING:  Invalid HTTP request received."}


def test_a_started_service_is_alive_and_ready(service):
    name = {"name": "loans", "version": "1"}
    assert service.get("/health/live").json() == {"status": "alive", "model": name}
    assert service.get("/health/ready").json() == {"status": "ready", "model": name}
    assert service.get("/").headers["location"] == "/docs"


def test_it_says_what_the_model_says(service, loans):
    answer = service.post("/predict", json={"rows": loans["rows"]})
    assert answer.status_code == 200
    found = answer.json()
    assert found["classes"] == [0, 1] and found["model"] == {"name": "loans", "version": "1"}
    assert found["probabilities"] == loans["chances"]  # nulls in the rows included, to the last bit
    assert found["predictions"] == [int(chance[1] > 0.5) for chance in loans["chances"]]
    assert any(None in row.values() for row in loans["rows"])


def test_many_callers_get_each_their_own(service, loans):
    def ask(i):
        return service.post("/predict", json={"rows": loans["rows"][i:i + 5]}).json()["probabilities"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(64))) == [loans["chances"][i:i + 5] for i in range(64)]


def test_the_documented_example_can_be_sent(service):
    document = service.get("/openapi.json").json()
    operation = document["paths"]["/predict"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["examples"]["seen"]["value"]
    answer = service.post("/predict", json=example)
    assert answer.status_code == 200 and len(answer.json()["predictions"]) == len(example["rows"])
    assert document["info"]["title"] == "loans" and "predicts **default**" in document["info"]["description"]
    row = document["components"]["schemas"]["Row"]
    assert row["additionalProperties"] is False and set(row["required"]) == set(example["rows"][0])


@pytest.mark.parametrize(("body", "status", "said"), [
    ({"rows": [{"agee": 3}]}, 422, "row 0, agee: no such column; did you mean 'age'?"),
    ({"rows": [{"age": "30"}]}, 422, "row 0, age: Input should be a valid number"),
    ({"rows": [{"job": 7}]}, 422, "row 0, job: Input should be a valid string; put numbers"),
    ({"rows": [{"age": float("nan")}]}, 422, "row 0, age: Input should be a finite number"),
    ({"rows": [{"age": float("inf")}]}, 422, "row 0, age: Input should be a finite number"),
    ({"rows": [{}, {"\ud800": 1}]}, 422, "row 0, age: Field required"),
    ({"rows": []}, 422, "rows: send 1 to 10,000 in one request"),
    ({"rows": [{"age": 1}] * 10_001}, 422, "rows: send 1 to 10,000 in one request"),
    ({"rows": {"age": 1}}, 422, "rows: Input should be a valid list"),
    ({"rows": [None]}, 422, "row 0: no JSON object"),
    ([1], 422, "no JSON object"),
    ({"rows": [{"age": 1}], "row": 1}, 422, "row: no such key"),
    ({"rows": [{f"k{i}": i for i in range(200_000)}]}, 422, "row 0: 200,011 keys"),
    (b'{"rows": [', 422, "the body is no JSON (position "),
    (b"", 422, "body: Field required"),
    (b"\xff\xfe{", 400, "There was an error parsing the body"),
    (b"[" * 200_000, 400, "There was an error parsing the body"),
    (b" " * 2**25, 413, "the body is larger than "),
], ids=lambda value: value[:30] if isinstance(value, str) else "")
def test_a_bad_body_is_refused_by_name(service, loans, body, status, said):
    if isinstance(body, dict) and isinstance(body["rows"], list) and body["rows"] and body["rows"][0]:
        body["rows"] = [loans["rows"][0] | row for row in body["rows"]]
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = service.post("/predict", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    detail = answer.json()["detail"]
    assert said in detail and "\n" not in detail and len(detail) < 500


def test_a_body_without_a_length_is_bounded_too(service):
    answer = service.post("/predict", content=(b" " * 2**16 for _ in range(2**9)))
    assert answer.status_code == 413


def samples(service: httpx.Client) -> dict:
    families = text_string_to_metric_families(service.get("/metrics").text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_metrics_can_be_read_and_count(service, loans):
    before = samples(service)
    service.post("/predict", json={"rows": loans["rows"][:7]})
    service.post("/predict", json={"rows": []})
    for i in range(3):
        service.get(f"/no/such/{i}")
    after = samples(service)
    count = {key: after[key] - before.get(key, 0) for key in after}
    assert after["drift_lab_model_info", "loans", "1"] == 1
    assert count["drift_lab_predicted_rows_total",] == 7
    assert count["drift_lab_http_requests_total", "/predict", "200"] == 1
    assert count["drift_lab_http_requests_total", "/predict", "422"] == 1
    assert count["drift_lab_http_requests_total", "other", "404"] == 3  # one series, whatever was asked for
    assert count["drift_lab_http_request_duration_seconds_count", "/predict"] == 2
    assert not any("/no/such" in str(key) for key in after)
    modern = service.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert modern.text.endswith("# EOF\n")


def test_the_page_works_in_a_browser_and_asks_nobody_else(service, tmp_path):
    asked, complaints = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 1400})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{service.base_url}/docs")
        page.click("#operations-prediction-predict_rows .opblock-summary-control")
        page.click(".try-out__btn")
        page.click(".execute")
        page.wait_for_selector(".live-responses-table .highlight-code")
        answer = page.inner_text(".live-responses-table")
        headline = page.inner_text(".info")
        page.screenshot(path=tmp_path / "docs.png", full_page=True)
        browser.close()
    assert "loans" in headline and "predicts default" in headline
    assert '"probabilities"' in answer and "200" in answer
    assert complaints == []
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {
        urlsplit(str(service.base_url)).netloc}


def test_a_fuzzer_finds_no_answer_that_the_document_does_not_promise(service, tmp_path):
    # a body that is too long may be refused for its bytes before its rows are counted
    (tmp_path / "schemathesis.toml").write_text(
        "[checks.negative_data_rejection]\nexpected-statuses = [400, 404, 405, 406, 413, 422]\n")
    command = [BIN / "schemathesis", "--no-color", "run", f"{service.base_url}/openapi.json", "--seed=1",
               "--max-examples=25", "--phases=examples,coverage,fuzzing", "--generation-database=none",
               "--suppress-health-check=all"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:]


def test_a_taken_port_is_one_line_and_control_c_ends_it(home, loans):
    process, address = start(home)
    try:
        port = urlsplit(address).port
        with pytest.raises(AssertionError, match=rf"^drift-lab: 127\.0\.0\.1:{port}: cannot listen there .*--port"):
            start(home, port)
    finally:
        code, errors = stop(process, signal.SIGINT)
    assert (code, errors) == (0, "")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


@pytest.mark.parametrize("model", ["models:/lonas@champion", "s3://loans"])
def test_no_such_model_is_one_line_and_2(home, loans, model):
    done = subprocess.run([BIN / "drift-lab", "serve", model, "--port", "0"], env=environment(home), cwd=home,
                          capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"drift-lab: {model}: ") and done.stderr.count("\n") == 1


def test_threads_are_bounded_before_scikit_learn_is_imported():
    code = "import sys, drift_lab.serving; sys.exit(bool({'sklearn', 'mlflow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode == 0


# What the registry's own models do not show: every type of MLflow's, and a model that fails.

def every_type(rows: int = 40) -> Served:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "a double": rng.normal(size=rows), "class": rng.normal(size=rows).astype("float32"), "c0": np.arange(rows),
        "model_config": np.arange(rows, dtype="int32"), "тип": rng.choice(["x", "y"], rows),
        "_flag": rng.random(rows) < 0.5, "when": pd.date_range("2011-01-01", periods=rows, freq="h"),
        "gaps": np.where(rng.random(rows) < 0.5, np.nan, 1.0),
    })
    seconds = FunctionTransformer(lambda dates: (dates - pd.Timestamp(0)) / pd.Timedelta(1, "s"))
    columns = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["тип"]), (seconds, ["when"]),
        ("passthrough", ["a double", "class", "c0", "model_config", "_flag", "gaps"]))
    model = make_pipeline(columns, HistGradientBoostingRegressor(max_iter=5)).fit(frame, frame["a double"] * 3)
    return Served("types", "7", "triple", model, infer_signature(frame), frame)


def test_every_type_of_a_signature_goes_through():
    served = every_type()
    with TestClient(app_of(served)) as client:
        document = client.get("/openapi.json").json()
        operation = document["paths"]["/predict"]["post"]
        row = operation["requestBody"]["content"]["application/json"]["examples"]["seen"]["value"]["rows"][0]
        least = {name: value for name, value in row.items() if name != "gaps"}
        answer = client.post("/predict", json={"rows": [row, least, least | {"gaps": None, "c0": 3.0}]}).json()
        bad = {"class": 1e39, "c0": 2**63, "model_config": 0.5, "тип": "x" * 10_001, "_flag": 1, "when": "yesterday",
               "gaps": "1"}
        refused = {name: client.post("/predict", json={"rows": [row | {name: value}]}).json()["errors"]
                   for name, value in bad.items()}
        in_zone = client.post("/predict", json={"rows": [row | {"when": "2011-01-01T02:00:00+02:00"}]}).json()
    assert answer["classes"] is None and answer["probabilities"] is None and len(answer["predictions"]) == 3
    assert answer["predictions"][0] == served.model.predict(pd.DataFrame([row]).astype(served.example.dtypes))[0]
    assert in_zone["predictions"] == answer["predictions"][:1]
    assert {name: [error["column"] for error in errors] for name, errors in refused.items()} == {
        name: [name] for name in bad}


class Broken:
    "A model that fails on text it does not like, and cannot count beyond 100."

    def predict(self, frame):
        if (frame["word"] == "secret").any():
            raise RuntimeError("secret\nis not allowed")
        return np.where(frame["amount"] > 100, np.inf, frame["amount"])


@pytest.mark.parametrize(("row", "kind"), [
    ({"word": "secret", "amount": 1.0}, "RuntimeError"), ({"word": "fine", "amount": 101.0}, "ValidationError")])
def test_a_model_that_fails_is_500_in_one_line_and_a_traceback_in_the_log(row, kind, caplog):
    frame = pd.DataFrame({"word": ["fine"], "amount": [1.0]})
    with TestClient(app_of(Served("broken", "1", "sum", Broken(), infer_signature(frame), frame))) as client:
        answer = client.post("/predict", json={"rows": [row]})
        assert client.post("/predict", json={"rows": [{"word": "fine", "amount": 1}]}).json()["predictions"] == [1.0]
        assert 'drift_lab_http_requests_total{path="/predict",status="500"} 1.0' in client.get("/metrics").text
    assert answer.status_code == 500
    assert answer.json() == {"detail": f"broken 1 could not predict these rows ({kind}); the service's log says why"}
    assert "Traceback" in caplog.text and kind in caplog.text


def test_an_app_that_has_not_started_or_has_ended_is_not_ready():
    app = app_of(every_type())
    with TestClient(app) as client:
        assert client.get("/health/ready").status_code == 200
    for path, ask in (("/health/ready", TestClient(app).get), ("/health/live", TestClient(app).get)):
        assert ask(path).status_code == (503 if path == "/health/ready" else 200)
