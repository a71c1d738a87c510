"""CPU seconds against rows, on two logarithmic axes, as an SVG that a browser makes of a Plotly figure."""
import html
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import unquote

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.offline import get_plotlyjs

from benchmarks.results import Result
from benchmarks.speed import TITLES

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SHOWN = ("ours-current", "decode-current", "duckdb-current", "ours-both", "frouros-psi", "alibi-ks", "frouros-ks-chi2",
         "deepchecks", "nannyml", "evidently-values", "whylogs", "evidently-preset")


def figure(results: list[Result]) -> go.Figure:
    "A line for each contestant, over the sizes of 20 columns."
    made, chosen = go.Figure(), [result for result in results if result.size.columns == 20]
    for name in SHOWN:
        points = [(result.size.rows, run.cpu) for result in chosen if (run := result.of(name))]
        if not points:
            continue
        ours = name.startswith("ours")
        files = "current file" if name.endswith("current") else "both files"
        title = re.sub(r"[*`]| \(.*\)", "", TITLES[name])
        made.add_scatter(x=[rows for rows, _ in points], y=[cpu for _, cpu in points], name=f"{title}, {files}",
                         mode="lines+markers", line={"width": 4 if ours else 1.5, "dash": None if ours else "dot"})
    made.update_xaxes(title="rows (20 columns)", type="log", exponentformat="power", dtick=1)
    made.update_yaxes(title="CPU seconds of reading and computing", type="log", dtick=1)
    return made.update_layout(template="plotly_white", colorway=qualitative.Dark24, title="Cost grows with the rows")


def write_svg(made: go.Figure, path: Path) -> bool:
    "False where there is no browser to draw it."
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return False
    page = (f"<html><body><script>{get_plotlyjs()}</script><script>Plotly.toImage({made.to_json()}, {{format: 'svg', "
            "width: 1000, height: 600}).then(address => document.body.innerText = address)</script></body></html>")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "figure.html"
        source.write_text(page)
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
             "--virtual-time-budget=20000", "--dump-dom", source.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r"data:image/svg\+xml,([^<]+)", done.stdout)
    if not found:
        raise RuntimeError(f"{browser} did not draw the figure: {done.stderr[-300:]}")
    path.write_text(unquote(html.unescape(found[1])) + "\n")
    return True
