"""Stages as functions."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import fuseline

PACKAGE = Path(__file__).parents[1]
PROGRAM = """
import fuseline

@fuseline.stage(inputs={"evidence": "evidence"}, outputs={"main": "quality"})
def certainty(evidence, task):
    p = evidence["probabilities"]
    return {"example_id": evidence["example_id"], "quality": p.max(axis=1) * task.params["scale"]}

if __name__ == "__main__":
    certainty.run()
"""
WORKFLOW = """
fuseline: 1
name: stage
stages:
  cohort: { uses: simulate.cohort, with: { examples: 60, groups: 12 } }
  features: { uses: simulate.features, inputs: { cohort: cohort }, with: { modality: audio, features: 3, strength: 1.0 } }
  folds: { uses: split.group_kfold, inputs: { cohort: cohort }, with: { folds: 3 } }
  expert:
    uses: expert.logistic
    inputs: { features: features, cohort: cohort, folds: folds }
    with: { test_fold: 0, inner_folds: 3, modality: audio }
  quality:
    uses: command
    inputs: { evidence: expert.test }
    with:
      run: [PYTHON, certainty.py]
      files: [certainty.py]
      inputs: { evidence: { artifact: evidence, role: apply } }
      outputs: { main: { artifact: quality, rows_of: evidence } }
      params: { scale: 2 }
      env: { PYTHONPATH: PACKAGE }
outputs: { quality.parquet: quality, evidence.parquet: expert.test }
"""


def test_a_function_is_a_stage(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "certainty.py").write_text(PROGRAM)
    workflow = tmp_path / "workflow.yaml"
    workflow.write_text(WORKFLOW.replace("PYTHON,", f"{sys.executable},").replace("PACKAGE", str(PACKAGE)))
    run = fuseline.run(workflow, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)
    evidence = run["expert.test"]
    certain = np.maximum(evidence["probabilities_rest"], evidence["probabilities_stress"])
    np.testing.assert_array_equal(run["quality"]["quality"], 2 * certain)

    text = workflow.read_text().replace("evidence: { artifact: evidence, role", "evidence: { artifact: predictions, role")
    workflow.write_text(text.replace("artifact: quality, rows_of: evidence", "artifact: quality"))
    with pytest.raises(fuseline.FuselineError):
        fuseline.run(workflow, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)


def test_a_stage_is_called_as_its_function_and_says_where_it_belongs(tmp_path):
    @fuseline.stage()
    def double(features):
        return 2 * features

    assert double(3) == 6
    with pytest.raises(fuseline.FuselineError, match="uses: command"):
        double.run(tmp_path)


DISCOVERING = """
import numpy
import fuseline
from helper import scale

@fuseline.stage()
def certainty(evidence):
    weight = numpy.load({checkpoint!r})[0]
    return {{"example_id": evidence["example_id"], "quality": evidence["probabilities"].max(axis=1) * scale * weight}}

if __name__ == "__main__":
    certainty.run()
"""


def test_what_a_function_read_is_an_input(tmp_path):
    """A module, a checkpoint: what used it runs again when it changes, and says why."""
    pytest.importorskip("pyarrow")
    modules = tmp_path / "modules"
    modules.mkdir()
    module, checkpoint = modules / "helper.py", tmp_path / "gate.npy"
    module.write_text("scale = 2\n")
    np.save(checkpoint, np.ones(3))
    (tmp_path / "certainty.py").write_text(DISCOVERING.format(checkpoint=str(checkpoint)))
    workflow = tmp_path / "workflow.yaml"
    path = f"'{PACKAGE}:{modules}'"
    workflow.write_text(WORKFLOW.replace("PYTHON,", f"{sys.executable},").replace("PACKAGE", path))

    def run():
        return fuseline.run(workflow, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)

    def reasons():
        plan = fuseline.plan(workflow, cache=tmp_path / "cache")
        return [action.reason for action in plan.actions if action.status != "cached"]

    first = run()
    assert first.executed == 5
    before = np.array(first["quality"]["quality"])
    assert run().executed == 0 and reasons() == []
    module.write_text("scale = 3\n")
    assert reasons() == [f"{module}, which it had read, changed"]
    second = run()
    assert second.executed == 1
    np.testing.assert_array_equal(2 * second["quality"]["quality"], 3 * before)
    assert run().executed == 0
    np.save(checkpoint, 2 * np.ones(3))
    assert reasons() == [f"{checkpoint}, which it had read, changed"]
    assert run().executed == 1
    checkpoint.unlink()
    assert reasons() == [f"{checkpoint}, which it had read, is gone"]
    with pytest.raises(fuseline.FuselineError):
        run()
