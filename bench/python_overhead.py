"""What the engine adds to a model's own time, and a rule in Python beside numpy alone.

    python bench/python_overhead.py [ROWS] [PERMUTATIONS]        FUSELINE_BINARY names the command

1. A callable that takes 1 ms a question, by waiting: the diagnosis beside as many calls in a loop.
2. A vectorised callable in numpy, as fuseline asks it, beside the same code called once on the stacked array.
3. The same code as a fusion rule in Python in a workflow: all that the run takes beyond a run of one permutation, beside the same.
All of one process, the least of several runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fuseline

ROWS, PERMUTATIONS = (int(value) for value in [*sys.argv[1:], "2000", "1000"][:2]) if len(sys.argv) != 2 else (int(sys.argv[1]), 1000)
REPEATS = 3


def study() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    y = random.integers(0, 2, ROWS)
    quality = random.random((ROWS, 3))
    score = (2 * y[:, None] - 1) * quality * 2 + random.normal(size=(ROWS, 3))
    stress = 1 / (1 + np.exp(-score))
    groups = np.arange(ROWS) // 10
    return y, quality, np.stack([1 - stress, stress], axis=-1), groups


Y, QUALITY, EVIDENCE, GROUPS = study()


def weighted(quality: np.ndarray) -> np.ndarray:
    """(..., rows, 3) to (..., rows, 2)."""
    weights = np.exp(2 * quality)
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("...nm,nmk->...nk", weights, EVIDENCE)


def least(measure) -> float:
    return min(measure() for _ in range(REPEATS))


def timed(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def diagnose(predict, **more) -> None:
    fuseline.diagnose(predict, quality=QUALITY, y=Y, groups=GROUPS, permutations=PERMUTATIONS, seed=1, **more)


def waiting() -> tuple[float, float]:
    answer = weighted(QUALITY)
    spent = [0.0]

    def predict(quality: np.ndarray) -> np.ndarray:
        began = time.perf_counter()
        while time.perf_counter() - began < 0.001:
            pass
        spent[0] += time.perf_counter() - began
        return answer

    def once() -> float:
        spent[0] = 0.0
        whole = timed(lambda: diagnose(predict))
        own.append(spent[0])
        return whole

    own: list[float] = []
    best = least(once)
    return best, min(own)


def stacked() -> float:
    random = np.random.default_rng(2)
    permuted = np.stack([QUALITY[random.permutation(ROWS)] for _ in range(PERMUTATIONS)])
    return least(lambda: timed(lambda: weighted(permuted)))


RULE = """#!/usr/bin/env python3
# FUSELINE-FUSION protocol=1 id=org.example.weighted
import fuseline
import numpy as np


class Weighted(fuseline.Rule):
    id = "org.example.weighted"
    name, version, licence, summary = "weighted", "1.0.0", "MIT", "Weighs by the exponential of quality."

    def fit(self, batch, params, seed):
        return b"x"

    def open(self, model):
        return model

    def predict(self, model, batch):
        weights = np.exp(2 * batch.quality)
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.einsum("nm,nmk->nk", weights, batch.evidence)


if __name__ == "__main__":
    Weighted().serve()
"""

WORKFLOW = """fuseline: 1
name: overhead
seed: 1
params: { permutations: 1 }
axes: { modality: [a, b, c], fold: [0, 1] }
stages:
  cohort: { uses: simulate.cohort, with: { examples: ROWS, groups: GROUPS, classes: [rest, stress] } }
  features: { uses: simulate.features, over: [modality], inputs: { cohort: cohort } }
  folds: { uses: split.group_kfold, inputs: { cohort: cohort }, with: { folds: 2 } }
  expert:
    uses: expert.logistic
    over: [modality, fold]
    inputs: { features: features, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", inner_folds: 2, exclude: [quality] }
  quality:
    uses: quality.column
    over: [modality, fold]
    inputs: { evidence_train: expert.train, evidence_test: expert.test, features: features }
  fusion:
    uses: fusion.fit
    over: [fold]
    inputs: { evidence: expert.train, quality: quality.train, cohort: cohort }
    with: { rule: org.example.weighted }
  permute:
    uses: diagnose.permute_quality
    over: [fold]
    inputs: { model: fusion, evidence: expert.test, quality: quality.test, cohort: cohort }
    with: { permutations: "${{ params.permutations }}" }
"""


def in_a_workflow() -> float:
    """Seconds of the action that permutes, one fold of ROWS test rows, less those of one permutation."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules").mkdir()
        (folder / "rules" / "weighted.py").write_text(RULE)
        os.chmod(folder / "rules" / "weighted.py", 0o755)
        text = WORKFLOW.replace("GROUPS", str(ROWS // 5)).replace("ROWS", str(2 * ROWS))
        (folder / "workflow.yaml").write_text(text)

        def seconds(permutations: int) -> float:
            command = [fuseline.find_binary(), "run", "workflow.yaml", "--plugin-path", "rules", "--cache", "cache", "-j", "1"]
            command += ["--set", f"permutations={permutations}", "--format", "json"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            shown = [fuseline.find_binary(), "runs", "show", "latest", "--cache", "cache", "--format", "json"]
            manifest = json.loads(subprocess.run(shown, cwd=folder, check=True, capture_output=True).stdout)
            of = [a["seconds"] for a in manifest["actions"] if a["action"].startswith("permute") and a["state"] == "done"]
            assert len(of) == 2, manifest
            return min(of)

        seconds(2)
        return min(seconds(PERMUTATIONS + more) for more in range(REPEATS)) - min(seconds(3 + more) for more in range(REPEATS))


def main() -> None:
    print(f"{ROWS} rows x {PERMUTATIONS} permutations, {Path(fuseline.find_binary())}")
    whole, own = waiting()
    print(f"callable of 1 ms: {whole:.3f} s, the model's own {own:.3f} s: overhead {100 * (whole / own - 1):.1f} %")
    bare = stacked()
    one = least(lambda: timed(lambda: diagnose(weighted)))
    vectorised = least(lambda: timed(lambda: diagnose(weighted, vectorized=True)))
    print(f"numpy on the stacked array: {bare:.3f} s")
    print(f"callable: {one:.3f} s ({one / bare:.2f} times), vectorised: {vectorised:.3f} s ({vectorised / bare:.2f} times)")
    rule = in_a_workflow()
    print(f"rule in Python: {rule:.3f} s ({rule / bare:.2f} times)")


if __name__ == "__main__":
    main()
