"""The dashboard as its readers have it: `drift-lab dashboard`, a real Voila and a real browser."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import expect, sync_playwright

from drift_lab.monitor import baseline_of, check_windows, later_windows
from drift_lab.reports import Report
from drift_lab.settings import MonitorSettings
from drift_lab.store import append, verdict_rows, verdicts

NOW = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
PLOTS = ".js-plotly-plot"


def fill(folder, monkeypatch):
    "A shop's six weeks, three of them reference; in the last, customers are older and pay by a new way."
    monkeypatch.setenv("DRIFT_LAB_HOME", str(folder / "state"))
    rng = np.random.default_rng(1)
    day = np.repeat(np.arange(42), 200)
    late = day >= 35
    table = pl.DataFrame({
        "day": [date(2026, 6, 1) + timedelta(int(d)) for d in day], "age": rng.normal(40, 9, len(day)) + 12 * late,
        "price": rng.gamma(2, 10, len(day)),
        "paid": np.where(late & (rng.random(len(day)) < 0.3), "<b>phone</b>", rng.choice(["card", "cash"], len(day)))})
    table.write_parquet(folder / "shop.parquet")
    asked = MonitorSettings(name="shop", source=str(folder / "shop.parquet"), time="day", every="1w")
    baseline, watched = baseline_of(asked)
    check_windows(later_windows(watched, asked), baseline, asked, run="", now=NOW)


def add(name, change):
    "Another monitor, made of the shop's: `change` gets a window's number and report, and says state and reason."
    rows = []
    for i, row in enumerate(verdicts("shop").iter_rows(named=True)):
        content = json.loads(row["report"])
        state, reason = change(i, content)
        content["verdict"] = {"state": state, "reason": reason, "evidence": []}
        Report.from_json(json.dumps(content))
        rows.append({**row, "monitor": name, "state": state, "reason": reason, "report": json.dumps(content)})
    append("verdicts", verdict_rows(*rows), name)


def add_labelled():
    "A monitor whose model does worse in its last window."
    def change(i, content):
        loss = 0.5 if i == 2 else 0.3
        content["model"] = "models:/loans/1"
        content["performance"] = {"windows": [{
            "window": content["current"]["name"], "labels": 100, "rise": loss - 0.3, "limit": 0.1, "p_value": 0.001,
            "harmed": i == 2, "reference_loss": 0.3, "current_loss": loss, "metrics": {}}]}
        return ("harm", "the model's loss rose from 0.3 to 0.5, limit +0.1") if i == 2 else ("ok", "fine")

    add("loans", change)


def add_segmented():
    "A monitor of two shops, which went through the same."
    def change(i, content):
        for key in ("results", "histograms", "parts"):
            content[key] = [{**each, "segment": f"site={site}"} for site in ("north", "south") for each in content[key]]
        return content["verdict"]["state"], content["verdict"]["reason"]

    add("shops", change)


def start(folder, *arguments):
    "`drift-lab dashboard` in a folder of its own, with nothing of the user's."
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON", "DRIFT_LAB"))}
    home = folder / "home"
    home.mkdir(exist_ok=True)
    environment |= {"HOME": str(home), "DRIFT_LAB_HOME": str(folder / "state"), "TMPDIR": str(home)}
    return subprocess.Popen([str(Path(sys.executable).parent / "drift-lab"), "dashboard", *arguments], env=environment,
                            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def served(folder):
    "The address of a dashboard, which then ends as Ctrl-C ends it: at once, quietly, and with its kernels."
    process = start(folder, "--port", "0")
    try:
        line = process.stdout.readline()
        assert line.startswith("dashboard: http://127.0.0.1:"), line + process.stderr.read()
        yield line.split()[1]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=30)
    assert list((folder / "home").iterdir()) == []  # all state is in the state folder
    assert kernels_of(folder) == []


def kernels_of(folder):
    "Command lines of processes that were given a file in this folder."
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if "ipykernel" in (said := entry.read_text()) and str(folder) in said:
                found.append(said)
        except OSError:
            pass  # it has ended
    return found


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    if not program:
        pytest.fail("the package chromium is missing; `make system` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, address, width=1280):
    "A page, which asks nobody but this machine and has no errors."
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    asked, troubles = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: said.type == "error" and troubles.append(said.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("response", lambda answer: answer.status >= 400 and troubles.append(f"{answer.status} {answer.url}"))
    try:
        page.goto(address)
        yield page
    finally:
        page.close(run_before_unload=True)  # as a reader does; Voila then ends the kernel
    assert troubles == []
    here = address.partition("?")[0]
    assert [url for url in asked if not url.startswith((here, here.replace("http", "ws"), "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    "The dashboard of three monitors: one plain, one with labels, one with segments."
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as monkeypatch:
        fill(folder, monkeypatch)
        add_labelled()
        add_segmented()
        with served(folder) as address:
            yield address


def traces(page, plot):
    "What a figure shows: names and places of its traces."
    return page.locator(PLOTS).nth(plot).evaluate("e => e.data.map(t => [t.name, Array.from(t.x), t.type])")


def shows(page, plot, what):
    "Wait until this is true of a figure `e`."
    figure = f"document.querySelectorAll('{PLOTS}')[{plot}]"
    page.wait_for_function(f"() => {{ const e = {figure}; return e && e.data && {what} }}")


def test_a_reader_sees_the_verdict_what_moved_and_what_it_looked_like(browser, shop):
    with opened(browser, shop + "?monitor=shop") as page:
        expect(page).to_have_title("drift_lab")
        expect(page.get_by_role("heading", level=1)).to_have_text("The data have moved")
        expect(page.get_by_role("status")).to_contain_text("Latest window 2026-07-06")
        expect(page.locator(PLOTS)).to_have_count(3)  # windows, heat map, distributions: no labels, so no loss
        expect(page.locator("main")).to_contain_text("No labels are known")
        expect(page.get_by_label("Segment")).to_have_count(0)
        assert page.locator(".jp-InputArea-editor, .jp-InputPrompt").count() == 0  # no trace of a notebook
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

        column, scores = page.get_by_label("Column"), page.locator(".dl-scores")
        names = [label.split()[0] for label in column.locator("option").all_text_contents()]
        assert set(names[:2]) == {"age", "paid"}
        column.select_option(index=names.index("price"))
        expect(scores).to_contain_text("price within its limits")
        shows(page, 2, "e.data.length > 1 && !e.data[1].x.includes('&lt;b&gt;phone&lt;/b&gt;')")
        numeric = traces(page, 2)
        column.select_option(index=names.index("paid"))
        expect(scores).to_contain_text("paid moved")
        shows(page, 2, "e.data[1].x.includes('&lt;b&gt;phone&lt;/b&gt;')")
        levels = traces(page, 2)
        assert levels != numeric and levels[1][0].startswith("2026-07-06")


def test_a_click_in_the_heat_map_chooses_column_and_window(browser, shop):
    with opened(browser, shop + "?monitor=shop") as page:
        heat = page.locator(PLOTS).nth(1)
        heat.locator(".hm").wait_for()
        heat.scroll_into_view_if_needed()
        place = heat.evaluate("""e => {
            const box = e.getBoundingClientRect(), {xaxis, yaxis} = e._fullLayout;
            return [box.left + xaxis._offset + xaxis.c2p(0),
                    box.top + yaxis._offset + yaxis.c2p(Array.from(e.data[0].y).indexOf('price'))]}""")
        page.mouse.move(*place)
        page.mouse.click(*place)
        expect(page.locator(".dl-scores")).to_contain_text("price")
        assert page.get_by_label("Window").locator("option:checked").text_content().startswith("2026-06-22")
        shows(page, 2, "e.data[1].name.startsWith('2026-06-22')")


def test_the_worst_monitor_comes_first_and_another_can_be_chosen_on_a_telephone(browser, shop):
    with opened(browser, shop, width=420) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("The model does worse than when it was approved")
        expect(page.locator(PLOTS)).to_have_count(4)
        shows(page, 1, "e.data.length == 3")
        names = [name for name, *_ in traces(page, 1)]
        assert names == ["limit of harm", "when approved", "in the window"]
        assert page.evaluate("document.documentElement.scrollWidth") == 420
        page.get_by_label("Monitor").select_option("shops")
        expect(page.get_by_role("heading", level=1)).to_have_text("The data have moved")
        expect(page.locator(PLOTS)).to_have_count(3)
        shows(page, 2, "e.data[1].name == '2026-07-06, site=north'")
        page.get_by_label("Segment").select_option("site=south")
        shows(page, 2, "e.data[1].name == '2026-07-06, site=south'")


def test_no_reader_can_choose_a_template_that_asks_for_icons_elsewhere(browser, shop):
    with opened(browser, shop + "?template=lab") as page:
        expect(page.locator(PLOTS)).to_have_count(4)


def test_an_empty_store_says_what_fills_it_and_later_verdicts_are_there_at_once(browser, tmp_path, monkeypatch):
    with served(tmp_path) as address:
        with opened(browser, address) as page:
            expect(page.get_by_role("heading", level=2)).to_have_text("No verdicts yet")
            expect(page.locator(".dl-empty")).to_contain_text("drift-lab demo")
            fill(tmp_path, monkeypatch)
            page.get_by_role("button", name="Refresh").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("The data have moved")
            expect(page.locator(PLOTS)).to_have_count(3)
            deadline = time.monotonic() + 30
            while len(kernels_of(tmp_path)) < 2 and time.monotonic() < deadline:  # the next warm one is on its way
                time.sleep(0.2)
            add_labelled()
        with opened(browser, address) as page:
            expect(page.get_by_role("heading", level=1)).to_have_text("The model does worse than when it was approved")


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(tmp_path, "--port", str(port))
        out, err = process.communicate(timeout=30)
    assert process.returncode == 2 and out == ""
    assert err.count("\n") == 1 and f"--port {port}" in err and "Address already in use" in err


def test_the_wheel_carries_all_that_the_page_is_made_of():
    root = Path(__file__).parents[1]
    ask = ("import json, setuptools; from distutils.core import run_setup; "
           "print(json.dumps(run_setup('setup.py', stop_after='init').package_data['drift_lab.dashboards']))")
    said = subprocess.run([sys.executable, "-c", ask], cwd=root, capture_output=True, text=True, check=True).stdout
    carried = {file for pattern in json.loads(said) for file in (root / "dashboards").glob(pattern)}
    files = {file for file in (root / "dashboards" / "voila").rglob("*") if file.is_file()}
    assert files and files | {root / "dashboards" / "drift.ipynb"} <= carried
