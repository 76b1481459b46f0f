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


def test_complex_predictions_are_refused_rather_than_cut():
    class Spectral(fuseline.Rule):
        id = "org.example.spectral"

        def fit(self, batch, params, seed):
            return b""

        def open(self, model):
            return None

        def predict(self, model, batch):
            return np.full((batch.rows, 2), 0.5 + 0.1j)

    batch = fuseline.Batch.from_arrays([[[0.2, 0.8]]], [[1.0]], label=[0])
    with pytest.raises(fuseline.RuleError, match="complex numbers"):
        Spectral().answers(batch, training=batch)


def test_masked_predictions_and_classes_in_another_order_are_refused():
    class Given(fuseline.Rule):
        id = "org.example.given"
        params = {"type": "object"}

        def fit(self, batch, params, seed):
            return b""

        def open(self, model):
            return None

        def predict(self, model, batch):
            return given

    batch = fuseline.Batch.from_arrays([[[0.2, 0.8]]], [[1.0]], label=[0], classes=["rest", "stress"])
    masked = np.ma.masked_array([[0.2, 0.8]], mask=[[True, True]])
    table = np.array([[0.8, 0.2]]).view(type("Table", (np.ndarray,), {"columns": ["p_stress", "p_rest"]}))
    for given, words in [(masked, "masked values"), (table, "columns p_stress, p_rest, and the classes are rest")]:
        with pytest.raises(fuseline.RuleError, match=words):
            Given().answers(batch, training=batch)


def test_a_rule_is_held_against_what_the_command_refuses(tmp_path):
    weights = tmp_path / "gate.bin"
    weights.write_bytes(np.array([1.0, 2.0, 0.0, 0.0]).tobytes())
    evidence = np.array([[[0.2, 0.8], [0.6, 0.4]], [[0.5, 0.5], [0.9, 0.1]], [[0.3, 0.7], [0.5, 0.5]]])
    batch = fuseline.Batch.from_arrays(evidence, [[0.0, 1.0], [1.0, 1.0], [0.5, 0.2]], modalities=["audio", "video"])
    files = {"weights": weights}
    said = Gate().answers(batch, files=files)
    np.testing.assert_array_equal(said, Gate().predict(Gate().open(weights.read_bytes()), batch))
    np.testing.assert_array_equal(Gate().answers(batch.take([2, 0]), files=files), said[[2, 0]])

    class Ranks(Gate):
        def predict(self, model, batch):
            rank = (1 + np.arange(batch.rows)) / (1 + batch.rows)
            return np.stack([rank, 1 - rank], axis=1)

    class Unscaled(Gate):
        def predict(self, model, batch):
            return 2 * super().predict(model, batch)

    class Fickle(Gate):
        made = 0

        def load(self, files, params):
            self.made += 1
            return super().load(files, params) + bytes(16 * self.made)

    for rule, words in [
        (Ranks(), "in another order of rows"),
        (Unscaled(), "no probabilities that sum to 1"),
        (Fickle(), "other bytes"),
    ]:
        with pytest.raises(fuseline.RuleError, match=words):
            rule.answers(batch, files=files)
    with pytest.raises(fuseline.RuleError, match="give the files of a model"):
        Gate().answers(batch)
    unrated = fuseline.Batch.from_arrays(None, [[0.0, 1.0]], classes=["rest", "stress"])
    assert unrated.evidence.shape == (1, 2, 2) and (unrated.evidence == 0.5).all()


def workflow_with_gate(tmp_path):
    """A workflow that loads the gate of the cases, with its data."""
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
    return workflow


def test_a_rule_of_the_package_is_loaded_by_a_workflow(tmp_path):
    pytest.importorskip("pyarrow")
    workflow = workflow_with_gate(tmp_path)
    run = fuseline.run(workflow, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)
    assert run.status == "ok"
    assert run["finding"]["gap"][0] > 0.02


def test_what_a_rule_read_is_an_input(tmp_path, monkeypatch):
    """A module from elsewhere, a file beside it, the version of a distribution: what used it runs again, and says why."""
    pytest.importorskip("pyarrow")
    workflow = workflow_with_gate(tmp_path)
    modules, installed = tmp_path / "modules", tmp_path / "installed"
    modules.mkdir()
    (modules / "sharpness.py").write_text("factor = 1.0\n")
    (modules / "gate.json").write_text('{"bias": 0.0}')
    (installed / "gatekit").mkdir(parents=True)
    (installed / "gatekit" / "__init__.py").write_text("")
    info = installed / "gate_kit-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gate-kit\nVersion: 1.0\n")
    (info / "RECORD").write_text("gatekit/__init__.py,,\n")
    rule = tmp_path / "gate.py"
    text = rule.read_text().replace("import numpy as np\n", f"""import gatekit
import json
import numpy as np
import sharpness
from pathlib import Path
bias = json.loads(Path({str(modules / "gate.json")!r}).read_text())["bias"]
""")
    rule.write_text(text.replace("batch.quality * w + b", "batch.quality * w * sharpness.factor + b + bias"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(modules), str(installed)]))

    def run():
        return fuseline.run(workflow, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)

    def reasons():
        plan = fuseline.plan(workflow, cache=tmp_path / "cache")
        return {action.stage: action.reason for action in plan.actions if action.reason and "had read" in action.reason}

    assert run()["finding"]["gap"][0] > 0.02
    assert run().executed == 0 and reasons() == {}
    for file, text in [
        (modules / "sharpness.py", "factor = 0.0\n"),
        (modules / "gate.json", '{"bias": 0.5}'),
        (info / "METADATA", "Metadata-Version: 2.1\nName: gate-kit\nVersion: 1.1\n"),
    ]:
        file.write_text(text)
        # The model, and all that asks it.
        assert reasons()["model"] == f"{file}, which it had read, changed"
        second = run()
        assert second.executed >= 3
        assert run().executed == 0
    assert second["finding"]["gap"][0] == 0
    # Content counts, and no time.
    os.utime(modules / "sharpness.py")
    assert run().executed == 0 and reasons() == {}
