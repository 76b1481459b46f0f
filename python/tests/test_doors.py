"""The same question through every door: Python, files and a workflow give the same permutations and numbers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fuseline
from fuseline._binary import find_binary
from test_diagnose import gate, study

WORKFLOW = """
fuseline: 1
name: doors
seed: 11
axes: { modality: [audio, video], fold: [0, 1] }
stages:
  cohort: { uses: simulate.cohort, with: { examples: 160, groups: 20, classes: [rest, stress] } }
  features: { uses: simulate.features, over: [modality], inputs: { cohort: cohort }, with: { strength: 1.0, fidelity: 0.9 } }
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
    with: { rule: weighted_mean }
  permute:
    uses: diagnose.permute_quality
    over: [fold]
    inputs: { model: fusion, evidence: expert.test, quality: quality.test, cohort: cohort }
    with: { permutations: 120 }
outputs: { p.parquet: "permute.permutations[fold=0]", q.parquet: "permute.permutations[fold=1]" }
"""


def test_a_workflow_and_a_callable_see_the_same_permutations(tmp_path):
    pytest.importorskip("pyarrow")
    file = tmp_path / "doors.yaml"
    file.write_text(WORKFLOW)
    run = fuseline.run(file, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)
    modalities = ["audio", "video"]
    at = [{"modality": m, "fold": 0} for m in modalities]
    cohort = {row["example_id"]: row for row in run["cohort"].rows()}
    test = [run["quality.test", point] for point in at]
    train = [run["quality.train", point] for point in at]
    ids = [str(name) for name in test[0]["example_id"]]
    quality = np.stack([table["quality"] for table in test], axis=1)
    evidence = np.stack(
        [np.array(run["expert.test", point].to_arrow()["probabilities"].to_pylist()) for point in at], axis=1
    )
    mean = np.array([table["quality"].mean() for table in train])
    sd = np.array([table["quality"].std() for table in train])

    def weighted_mean(q):
        weights = np.exp((q - mean) / sd)
        return ((weights / weights.sum(axis=1, keepdims=True))[:, :, None] * evidence).sum(axis=1)

    y = np.array([cohort[name]["label"] for name in ids])
    result = fuseline.diagnose(
        weighted_mean,
        quality=quality,
        y=y,
        ids=ids,
        groups=[cohort[name]["group"] for name in ids],
        classes=["rest", "stress"],
        modalities=modalities,
        evidence=evidence,
        permutations=120,
        seed=11,
    )
    counts: dict[int, list[float]] = {}
    for row in run["permute.permutations", {"fold": 0}].rows():
        counts.setdefault(row["permutation"], []).append(row["correct"] / row["n"])
    accuracy = {number: sum(recalls) / len(recalls) for number, recalls in counts.items()}
    assert result.ba_clean == accuracy[-1]
    assert list(result.broken) == [accuracy[number] for number in range(120)]
    assert len(set(result.broken)) > 3
    effects = run["permute.effects", {"fold": 0}]
    assert result.flip_rate == pytest.approx(effects["flips"].sum() / (120 * len(ids)), abs=1e-15)
    assert result.probability_shift == pytest.approx(effects["probability_shift"].mean(), rel=1e-9)


def test_files_and_a_callable_give_the_same_numbers(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    y, evidence, quality, groups = study(80)
    ids = [f"e{row:03}" for row in range(80)]
    names = np.array(["rest", "stress"])[y]

    def table(path, **columns):
        parquet.write_table(pyarrow.table({"example_id": ids, **columns}), tmp_path / path)
        return str(tmp_path / path)

    arguments = [
        *("--quality", table("q.parquet", audio=quality[:, 0], video=quality[:, 1])),
        *("--labels", table("y.parquet", label=names)),
        *("--groups", table("g.parquet", group=groups)),
        *("--permutations", "300", "--seed", "4", "--equivalence-margin", "0.02"),
    ]
    for m, modality in enumerate(["audio", "video"]):
        path = table(f"{modality}.parquet", rest=evidence[:, m, 0], stress=evidence[:, m, 1])
        arguments += ["--evidence", f"{modality}={path}"]

    def command(*arguments):
        ran = subprocess.run([fuseline.find_binary(), "diagnose", *arguments], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    command("ask", *arguments, "-o", str(tmp_path / "ask"))
    predict = gate(evidence)
    place = {name: row for row, name in enumerate(ids)}
    parts = sorted((tmp_path / "ask").glob("part-*.parquet"))
    assert len(parts) > 3
    (tmp_path / "told").mkdir()
    for part in parts:
        asked = parquet.read_table(part)
        q = np.stack([asked["audio"].to_numpy(), asked["video"].to_numpy()], axis=1)
        rows = np.array([place[name] for name in asked["example_id"].to_pylist()])
        p = gate(evidence[rows])(q)
        told = pyarrow.table(
            {"question": asked["question"], "example_id": asked["example_id"], "rest": p[:, 0], "stress": p[:, 1]}
        )
        parquet.write_table(told, tmp_path / "told" / part.name)
    text = command("tell", str(tmp_path / "ask"), "--predictions", str(tmp_path / "told"), "-o", str(tmp_path / "out"))
    assert "Yes, with a gain." in text
    import json

    found = json.loads((tmp_path / "out" / "finding.json").read_text())
    result = fuseline.diagnose(
        predict,
        quality=quality,
        y=names,
        groups=groups,
        ids=ids,
        evidence=evidence,
        modalities=["audio", "video"],
        permutations=300,
        seed=4,
        equivalence_margin=0.02,
    )
    expected = {name: value for name, value in result.values.items() if name not in ("report", "fragment")}
    assert found == expected
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!DOCTYPE html>")
    ran = subprocess.run(
        [fuseline.find_binary(), "diagnose", "tell", str(tmp_path / "ask"), "--predictions", str(tmp_path / "told" / parts[0].name), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2 and "has no prediction for question" in ran.stderr


def refusal(**change):
    """What the command says of a header that is sound but for this."""
    header = {
        "protocol": 1, "title": "", "example_id": None, "group": None, "label": [0, 1], "classes": ["a", "b"],
        "modalities": ["m"], "channels": 1, "evidence": False, "seconds": None, "settings": {},
    }  # fmt: skip
    said = json.dumps(header | change).encode() + b"\n" + bytes([1, 1]) + np.array([0.1, 0.2]).tobytes()
    served = subprocess.run([find_binary(), "diagnose", "serve"], input=said, capture_output=True)
    return json.loads(served.stdout)["error"]["message"]


def test_a_budget_below_0_is_refused_by_the_protocol():
    assert refusal(seconds=-1.0) == "seconds: a number from 0 on, and -1 is not"


@pytest.mark.parametrize("settings, message", [
    ({"bootstrap": 2**32 - 1}, "`bootstrap` must be at most 10000000, not 4294967295"),
    ({"permutations": 0}, "`permutations` must be at least 1, not 0"),
    ({"confidence": 2}, "`confidence` must be less than 1, not 2.0"),
])  # fmt: skip
def test_settings_out_of_their_bounds_are_refused_before_a_question(settings, message):
    assert refusal(settings=settings) == message


def test_a_program_in_another_language_gets_the_same_numbers(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    y, evidence, quality, _ = study()
    names = ["audio", "video"]
    asked = {"classes": ["0", "1"], "modalities": names, "label": y.tolist()}
    asked |= {"quality": quality.tolist(), "evidence": evidence.tolist()}
    settings = {"permutations": 300, "seed": 4, "scheme": "per_modality"}
    for name, values in [("study", asked), ("settings", settings)]:
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    client = Path(__file__).parents[2] / "examples/javascript/diagnose.mjs"
    ran = subprocess.run(
        [node, client, "study.json", "settings.json"],
        cwd=tmp_path,
        env={**os.environ, "FUSELINE": str(find_binary())},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr

    def predict(quality):
        return (quality[:, :, None] * evidence).sum(axis=1) / quality.sum(axis=1, keepdims=True)

    result = fuseline.diagnose(predict, quality=quality, y=y, evidence=evidence, modalities=names, **settings)
    numbers = [
        {name: value for name, value in values.items() if name not in ("report", "fragment")}
        for values in (json.loads(ran.stdout), result.values)
    ]
    assert numbers[0] == numbers[1]
