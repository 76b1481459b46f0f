"""A network that takes embeddings and quality and has no experts: every door, against a loop by hand in numpy."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fuseline
from test_diagnose import balanced_accuracy

MODALITIES = ["text", "audio"]
RULE = """#!/usr/bin/env python3
# FUSELINE-FUSION protocol=1 id=org.example.net
import fuseline
import numpy as np


class Net(fuseline.Rule):
    id = "org.example.net"
    name, version, licence, summary = "net", "1.0.0", "MIT", "A gated network, trained elsewhere."
    accepts = {"modalities": 2, "classes": 2}
    accepts_embeddings = True

    def load(self, files, params):
        return np.load(files["weights"])["w"].astype("<f8").tobytes()

    def open(self, model):
        return np.frombuffer(model, dtype="<f8").reshape(2, -1)

    def predict(self, w, batch):
        x = np.stack([batch.embedding(name) for name in batch.modalities], axis=1)
        gate = 1 / (1 + np.exp(4 - 8 * batch.quality))
        logit = (gate * (x * w).sum(axis=2)).sum(axis=1)
        p = 1 / (1 + np.exp(-logit))
        return np.stack([1 - p, p], axis=1)


if __name__ == "__main__":
    Net().serve()
"""
WORKFLOW = """
fuseline: 1
name: end-to-end
seed: 9
axes: { modality: [audio, text] }
plugins: [.]
stages:
  table:
    uses: load.csv
    over: [modality]
    with: { path: "${{ modality }}.csv", id: { column: id } }
  embedding:
    uses: load.csv
    over: [modality]
    with: { path: "${{ modality }}.csv", id: { column: id }, columns: { include: [x0, x1, x2] } }
  cohort:
    uses: cohort.define
    inputs: { features: table }
    with: { table: { path: data.csv, id: { column: id } }, group: { column: person }, label: { column: label } }
  expert:
    uses: expert.none
    over: [modality]
    inputs: { features: table, cohort: cohort }
  quality:
    uses: quality.column
    over: [modality]
    inputs: { evidence_train: expert.train, evidence_test: expert.test, features: table }
    with: { column: q }
  model:
    uses: fusion.load
    inputs: { cohort: cohort, embeddings: embedding }
    with: { rule: net, files: { weights: net.npz }, modalities: [text, audio], fitted_on: external }
  permute:
    uses: diagnose.permute_quality
    inputs: { model: model, evidence: expert.test, quality: quality.test, embeddings: embedding, cohort: cohort }
    with: { permutations: 150 }
  finding:
    uses: diagnose.summarize
    inputs: { permutations: permute.permutations, effects: permute.effects, evidence: expert.test, quality: quality.test, cohort: cohort }
  report:
    uses: report.html
    inputs: { findings: finding, permutations: permute.permutations }
outputs: { finding.csv: finding, report.html: report }
"""


def study(folder: Path, rows: int = 120):
    """Embeddings of which one is noise in each row, and quality that tells which."""
    random = np.random.default_rng(17)
    y = random.integers(0, 2, rows)
    sound = random.integers(0, 2, rows)
    w = np.array([[1.5, -1.0, 0.5], [1.0, 0.5, -1.5]])
    x = random.normal(size=(rows, 2, 3))
    for m in range(2):
        x[:, m] += np.where(sound == m, 2 * y - 1, 0)[:, None] * np.sign(w[m])
    quality = (sound[:, None] == np.arange(2)) * 0.7 + 0.3 * random.random((rows, 2))
    ids = [f"r{row:03}" for row in range(rows)]
    groups = [f"s{row // 5:02}" for row in range(rows)]
    names = np.array(["rest", "stress"])[y]
    lines = ["id,person,label", *map(",".join, zip(ids, groups, names, strict=True))]
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    for m, name in enumerate(MODALITIES):
        numbers = np.column_stack([x[:, m], quality[:, m]])
        lines = [",".join([ids[row], *map(repr, map(float, numbers[row]))]) for row in range(rows)]
        (folder / f"{name}.csv").write_text("id,x0,x1,x2,q\n" + "\n".join(lines) + "\n")
    np.savez(folder / "net.npz", w=w)
    (folder / "net.py").write_text(RULE)
    os.chmod(folder / "net.py", 0o755)
    (folder / "workflow.yaml").write_text(WORKFLOW)

    def predict(q):
        gate = 1 / (1 + np.exp(4 - 8 * q))
        p = 1 / (1 + np.exp(-(gate * (x * w).sum(axis=2)).sum(axis=1)))
        return np.stack([1 - p, p], axis=1)

    return predict, quality, names, groups, ids


def test_a_network_without_experts_is_asked_with_test_rows_alone(tmp_path):
    pytest.importorskip("pyarrow")
    predict, quality, y, groups, ids = study(tmp_path)
    workflow = tmp_path / "workflow.yaml"
    run = fuseline.run(workflow, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)
    finding = run["finding"]
    asked = []

    def recorded(q):
        asked.append(q.copy())
        return predict(q)

    result = fuseline.diagnose(
        recorded, quality=quality, y=y, groups=groups, ids=ids, modalities=MODALITIES, permutations=150, seed=9
    )
    assert finding["gap"][0] == result.gap > 0.05
    assert finding["p_value"][0] == result.p_value
    label = (y == "stress").astype(int)
    broken = [balanced_accuracy(label, predict(q).argmax(axis=1)) for q in asked[1:-3]]
    assert len(broken) == 150 and len(set(broken)) > 3
    clean = balanced_accuracy(label, predict(quality).argmax(axis=1))
    assert abs(finding["gap"][0] - (clean - np.mean(broken))) < 1e-12

    # What would need experts is left out, and that is said.
    assert result.headroom is None
    for column in ["headroom", "ba_oracle", "ba_best_unimodal", "alignment_text", "quality_from_evidence_audio"]:
        assert finding[column][0] is None or np.isnan(finding[column][0]), column
    assert np.isfinite(finding["quality_label_auroc_text"][0])
    said = "without an expert for audio, text, the best expert, the oracle, headroom and alignment are left out"
    assert said in str(run.cautions)
    assert said in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    "change, words",
    [
        (("rule: net,", "rule: gate,"), "answers by the evidence of text, audio, which has no expert"),
        (("quality.column", "quality.margin"), "`quality` needs evidence, and the modality `audio` has no expert"),
        (("permutations: 150", "permutations: 150, scheme: conditional"), "`permute` needs evidence, and the modality `audio`"),
        ((", columns: { include: [x0, x1, x2] }", ""), "column q of the embedding of modality .* is the quality itself"),
    ],
)
def test_what_needs_an_expert_is_refused_in_words(tmp_path, change, words):
    pytest.importorskip("pyarrow")
    study(tmp_path)
    gate = RULE.replace("org.example.net", "org.example.gate").replace(
        "return np.stack([1 - p, p], axis=1)", "return batch.evidence.mean(axis=1)"
    )
    (tmp_path / "gate.py").write_text(gate)
    os.chmod(tmp_path / "gate.py", 0o755)
    workflow = tmp_path / "workflow.yaml"
    text = WORKFLOW.replace(*change)
    if "margin" in change[1]:
        text = text.replace(", features: table }\n    with: { column: q }", " }")
    workflow.write_text(text)
    with pytest.raises(fuseline.FuselineError, match=words):
        fuseline.run(workflow, cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)


def test_channels_of_a_modality_move_together_through_files_and_a_callable(tmp_path):
    """Quality (rows, modalities, channels): a loop by hand, the callable and the files agree to the last bit."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    random = np.random.default_rng(2)
    rows, names = 60, ["audio", "video"]
    y = np.array(["rest", "stress"])[random.integers(0, 2, rows)]
    x = random.normal(size=(rows, 2)) + (y == "stress")[:, None]
    quality = random.random((rows, 2, 3))
    ids = [f"e{row:02}" for row in range(rows)]

    def predict(q, own=slice(None)):
        logit = (x[own] * q.prod(axis=2) * 8).sum(axis=1) - 1
        p = 1 / (1 + np.exp(-logit))
        return np.stack([1 - p, p], axis=1)

    asked = []

    def recorded(q):
        asked.append(q.copy())
        return predict(q)

    options = dict(quality=quality, y=y, groups=ids, ids=ids, modalities=names, permutations=80, seed=3)
    result = fuseline.diagnose(recorded, **options)
    label = (y == "stress").astype(int)
    for q in asked[1:-3]:
        assert sorted(map(tuple, q.reshape(rows, -1))) == sorted(map(tuple, quality.reshape(rows, -1)))
    broken = [balanced_accuracy(label, predict(q).argmax(axis=1)) for q in asked[1:-3]]
    np.testing.assert_allclose(result.broken, broken, atol=1e-15)
    assert abs(result.gap - (balanced_accuracy(label, predict(quality).argmax(axis=1)) - np.mean(broken))) < 1e-12

    def table(name, **columns):
        parquet.write_table(pyarrow.table({"example_id": ids, **columns}), tmp_path / name)
        return str(tmp_path / name)

    def command(*arguments):
        ran = subprocess.run([fuseline.find_binary(), "diagnose", *arguments], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr

    columns = {f"{name}.{c}": quality[:, m, c] for m, name in enumerate(names) for c in range(3)}
    files = ["--quality", table("q.parquet", **columns), "--labels", table("y.parquet", label=y)]
    files += ["--groups", table("g.parquet", group=ids), "--permutations", "80", "--seed", "3"]
    command("ask", *files, "-o", str(tmp_path / "ask"))
    place = {name: row for row, name in enumerate(ids)}
    (tmp_path / "told").mkdir()
    for part in sorted((tmp_path / "ask").glob("part-*.parquet")):
        question = parquet.read_table(part)
        q = np.stack([question[name].to_numpy() for name in columns], axis=1).reshape(-1, 2, 3)
        p = predict(q, np.array([place[name] for name in question["example_id"].to_pylist()]))
        told = {"question": question["question"], "example_id": question["example_id"], "rest": p[:, 0], "stress": p[:, 1]}
        parquet.write_table(pyarrow.table(told), tmp_path / "told" / part.name)
    command("tell", str(tmp_path / "ask"), "--predictions", str(tmp_path / "told"), "-o", str(tmp_path / "out"))
    import json

    found = json.loads((tmp_path / "out" / "finding.json").read_text())
    assert found["broken"] == list(result.broken) and found["gap"] == result.gap
    assert found["headroom"] is None
