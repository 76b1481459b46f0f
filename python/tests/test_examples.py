"""The examples of frozen networks: trained, asked and run, and a notebook executed and looked at in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fuseline

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "frozen"))


def test_the_networks_are_trained_by_their_gradients():
    """Backpropagation by hand against differences."""
    import networks
    from data import simulated

    study = simulated(rows=40, columns=3)
    label, q = study.label, (study.quality - 1) / 3
    truth, weight = np.eye(2)[label], np.full(40, 1 / 40)
    random = np.random.default_rng(1)
    for kind in networks.KINDS:
        trained = networks.train(kind, study.features, study.quality, label, hidden=4, epochs=3)
        w = {name: random.normal(scale=0.5, size=value.shape) for name, value in trained.weights.items()}
        plain = {name: (np.zeros if "mean" in name or name == "centre" else np.ones)(w[name].shape) for name in w}
        w.update({name: plain[name] for name in w if name.startswith(("mean", "sd", "centre", "spread"))})
        network = networks.Network(kind, trained.modalities, w)

        def loss():
            asked = network.signal(study.features) if kind == "energy" else q
            return -(weight * np.log(network.predict(study.features, asked)[np.arange(40), label])).sum()

        gradient = networks._gradient(kind, w, study.features, q, truth, weight)
        assert len(gradient) >= 6
        for name, value in gradient.items():
            place = tuple(random.integers(0, size) for size in value.shape)
            before, step = w[name][place], 1e-6
            w[name][place] = before + step
            above = loss()
            w[name][place] = before - step
            below = loss()
            w[name][place] = before
            assert abs((above - below) / (2 * step) - value[place]) < 1e-6, (kind, name)


def test_a_trained_network_is_asked_and_loaded_by_a_workflow_alike(tmp_path):
    pytest.importorskip("pyarrow")
    frozen = tmp_path / "frozen"
    shutil.copytree(EXAMPLES / "frozen", frozen, ignore=shutil.ignore_patterns("__pycache__"))
    asked = subprocess.run(
        [sys.executable, "ask.py", "attention", "--export", "exported", "--permutations", "300"],
        cwd=frozen,
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stderr
    assert "Yes, with a gain." in asked.stdout
    data = {"data": frozen / "exported", "permutations": 300}
    run = fuseline.run(frozen / "study.yaml", set=data, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)
    gap = run.findings["gap"][0]
    assert f"gap={100 * gap:+.1f} pp" in asked.stdout and gap > 0.1

    from data import simulated
    from networks import Network

    network, study = Network.load(str(frozen / "exported" / "network.npz")), simulated()
    features, quality, label = study.part(study.tested)
    result = fuseline.diagnose(
        lambda q: network.predict(features, q),
        quality=quality,
        y=np.array(study.classes)[label],
        groups=study.group[study.tested],
        ids=study.ids[study.tested],
        permutations=300,
    )
    assert result.gap == gap and result.p_value == run.findings["p_value"][0]
    assert result.gain == result.ba_clean - run.findings["ba_without_quality"][0]


PROBE = """
<script>
const errors = [];
window.addEventListener("error", event => errors.push(String(event.message)));
window.addEventListener("load", () => {
  const cells = document.querySelectorAll(".fuseline-report");
  const outside = [...document.querySelectorAll("body, h1, h2, p, pre, code, table, svg, div")]
    .filter(element => !element.closest(".fuseline-report") && !element.querySelector(".fuseline-report"));
  const looks = () => JSON.stringify(outside.map(element => {
    const style = getComputedStyle(element);
    return [style.color, style.font, style.margin, style.padding, style.backgroundColor, style.display, style.maxWidth];
  }));
  const seen = [...cells].map(cell => {
    const box = cell.getBoundingClientRect();
    return { width: box.width, height: box.height, figures: cell.querySelectorAll("svg").length, text: cell.innerText.slice(0, 4000) };
  });
  const before = looks();
  cells.forEach(cell => cell.remove());
  const found = { seen, outside: outside.length, same: before === looks(), errors };
  document.body.textContent = "FOUND " + JSON.stringify(found) + " END";
});
</script>
"""


def test_the_notebook_runs_and_its_output_is_seen_and_leaves_the_page_alone(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbconvert = pytest.importorskip("nbconvert")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(EXAMPLES / "notebook" / "diagnose.ipynb", as_version=4)
    from nbconvert.preprocessors import ExecutePreprocessor

    ExecutePreprocessor(timeout=300).preprocess(notebook, {"metadata": {"path": str(EXAMPLES / "notebook")}})
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stdout"
    )
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stderr")
    assert "2000 permutations in" in said, "progress is shown in a notebook"
    assert "Yes, with a gain." in printed and printed.count("p = 0.0005") == 3

    browser = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if browser is None:
        pytest.skip("there is no Chromium to look at the output with")
    body, _ = nbconvert.HTMLExporter(template_name="basic").from_notebook_node(notebook)
    page = tmp_path / "notebook.html"
    page.write_text(f"<!DOCTYPE html><meta charset='utf-8'><body>{body}{PROBE}</body>", encoding="utf-8")
    looked = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=5000"),
            *("--window-size=1000,900", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = json.loads(html.unescape(re.search("FOUND (.*) END", looked.stdout, re.DOTALL)[1]))
    assert found["errors"] == [] and "CONSOLE" not in looked.stderr, looked.stderr
    assert found["same"] and found["outside"] > 10, "the fragment changes how the page around it looks"
    (cell,) = found["seen"]
    assert cell["width"] > 500 and cell["height"] > 300 and cell["figures"] >= 1
    assert "A gated network" in cell["text"] and "Yes, with a gain" in cell["text"]
