"""Rules in Python: their methods without the command, and through it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import fuseline

CASES = Path(__file__).parents[2] / "tests" / "cases" / "loaded"


class Gate(fuseline.Rule):
    """A gate that was trained elsewhere."""

    id = "org.example.gate"
    accepts = {"modalities": 2, "classes": "at least 2"}

    def load(self, files, params):
        return Path(files["weights"]).read_bytes()

    def open(self, model):
        return np.frombuffer(model).reshape(2, -1)

    def predict(self, model, batch):
        slope, offset = model
        evidence, quality = batch.where_available()
        weight = np.exp(quality * slope + offset) * batch.available
        return (weight[:, :, None] * evidence).sum(axis=1) / weight.sum(axis=1)[:, None]


def test_a_rule_is_called_without_the_command(tmp_path):
    weights = tmp_path / "gate.bin"
    weights.write_bytes(np.array([1.0, 2.0, 0.0, 0.0]).tobytes())
    rule = Gate()
    model = rule.open(rule.load({"weights": str(weights)}, {}))
    evidence = np.array([[[0.2, 0.8], [0.6, 0.4]], [[0.5, 0.5], [0.9, 0.1]]])
    batch = fuseline.Batch.from_arrays(evidence, [[0.0, 1.0], [1.0, 1.0]], available=[[1, 1], [0, 1]])
    said = rule.predict(model, batch)
    first = np.exp([0.0, 2.0])
    np.testing.assert_allclose(said[0], first @ evidence[0] / first.sum())
    np.testing.assert_allclose(said[1], evidence[1, 1])
    described = rule.descriptor()
    assert described["accepts"] == {"modalities": "exactly 2", "classes": "at least 2"}
    assert described["capabilities"]["loads"] and not described["capabilities"]["fits"]
    with pytest.raises(fuseline.RuleError, match="not fitted"):
        rule.fit(batch, {}, 0)


def test_a_rule_of_the_package_is_loaded_by_a_workflow(tmp_path):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, 80)
    tables = {name: ["id,rest,stress"] for name in ("audio", "video")}
    data = ["id,person,label,q_audio,q_video"]
    for row in range(80):
        quality = rng.uniform(size=2)
        data.append(f"r{row:02},s{row // 4},{['rest', 'stress'][label[row]]},{quality[0]},{quality[1]}")
        for place, table in enumerate(tables.values()):
            right = 0.9 if quality[place] > 0.5 else 0.2
            stress = right if label[row] else 1 - right
            table.append(f"r{row:02},{1 - stress},{stress}")
    for name, lines in {"data": data, **tables}.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "gate.bin").write_bytes(np.array([3.0, 3.0, 0.0, 0.0]).tobytes())
    rule = (CASES / "gate.py").read_text().replace("import fuseline_rule as fuseline", "import fuseline")
    (tmp_path / "gate.py").write_text(rule)
    os.chmod(tmp_path / "gate.py", 0o755)
    workflow = tmp_path / "workflow.yaml"
    shutil.copy(CASES / "workflow.yaml", workflow)
    workflow.write_text(workflow.read_text().replace("rule: linear_gate", "rule: gate"))
    run = fuseline.run(workflow, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)
    assert run.status == "ok"
    assert run["finding"]["gap"][0] > 0.02
