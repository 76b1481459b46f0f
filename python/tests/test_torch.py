"""The tap on a torch model; runs only where torch is."""

import pathlib
import sys

import numpy as np
import pytest

import fuseline

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.confidence = torch.nn.ModuleDict({m: torch.nn.Linear(4, 1) for m in ("audio", "text")})
        self.head = torch.nn.ModuleDict({m: torch.nn.Linear(4, 3) for m in ("audio", "text")})

    def forward(self, audio, text):
        inputs = {"audio": audio, "text": text}
        weights = torch.softmax(torch.cat([self.confidence[m](x) for m, x in inputs.items()], 1), 1)
        logits = torch.stack([self.head[m](x) for m, x in inputs.items()], 1)
        return (weights[:, :, None] * logits).sum(1)


def test_a_tap_permutes_over_the_whole_test_set():
    from fuseline.torch import tap

    torch.manual_seed(0)
    net = Net().eval()
    audio, text = torch.randn(50, 4), torch.randn(50, 4)
    y = net(audio, text).argmax(1).numpy()
    loader = [(audio[a : a + 16], text[a : a + 16], y[a : a + 16]) for a in range(0, 50, 16)]
    tapped = tap(net, {"audio": "confidence.audio", "text": "confidence.text"}, loader)
    np.testing.assert_allclose(tapped(tapped.quality).argmax(1), y)
    order = np.random.default_rng(0).permutation(50)
    with torch.no_grad():
        scores = torch.cat([net.confidence["audio"](audio), net.confidence["text"](text)], 1)[order]
        logits = torch.stack([net.head["audio"](audio), net.head["text"](text)], 1)
        by_hand = torch.softmax((torch.softmax(scores, 1)[:, :, None] * logits).sum(1).double(), 1)
    np.testing.assert_allclose(tapped(tapped.quality[order]), by_hand.numpy(), atol=1e-6)
    asked = fuseline.Diagnosis(quality=tapped.quality, y=y, permutations=50, seed=3)
    gates = torch.cat([net.confidence["audio"](audio), net.confidence["text"](text)], 1).detach()
    accuracies = []
    for ask in asked:
        weights = torch.softmax(torch.from_numpy(ask.quality[:, :, 0]).to(gates.dtype), 1)
        decided = (weights[:, :, None] * logits).sum(1).argmax(1).numpy()
        if ask.kind == "broken":
            accuracies.append(np.mean([(decided[y == k] == k).mean() for k in np.unique(y)]))
        asked.tell(ask, decided)
    result = fuseline.diagnose(tapped, quality=tapped.quality, y=y, permutations=50, seed=3)
    # The model answers by itself what the loop by hand does.
    np.testing.assert_allclose(result.broken, accuracies, atol=1e-12)
    assert result.gap == asked.result().gap == pytest.approx(1 - np.mean(accuracies))


class Small(torch.nn.Module):
    """A gate before a head; `inside` lies between them, `shape` is put on the logits."""

    def __init__(self, inside=None, shape=lambda logits: logits, classes=3):
        super().__init__()
        self.gate = torch.nn.Linear(4, 2)
        self.inside = torch.nn.Identity() if inside is None else inside
        self.head = torch.nn.Linear(2, classes)
        self.shape = shape

    def forward(self, x):
        return self.shape(self.head(self.inside(self.gate(x))))


def batches(rows=40, size=16):
    torch.manual_seed(1)
    x = torch.randn(rows, 4)
    return [(x[a : a + size], None) for a in range(0, rows, size)]


def test_a_batch_that_is_asked_otherwise_is_said_so():
    from fuseline.torch import tap

    net = Net().eval()
    loader = [(torch.zeros(8, 4), torch.zeros(8, 4))]
    modules = {"audio": "confidence.audio", "text": "confidence.text"}
    with pytest.raises(fuseline.FuselineError, match=r"all of a batch but its last, the labels.*forward=lambda"):
        tap(net, modules, loader)
    assert tap(net, modules, loader, forward=lambda model, batch: model(*batch)).modalities == ["audio", "text"]


def tapped(net, loader=None, modules=None, **options):
    from fuseline.torch import tap

    return tap(net, {"all": "gate"} if modules is None else modules, batches() if loader is None else loader, **options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tapped(Small().train()), "in training mode, where"),
        (lambda: tapped(partly(torch.nn.Dropout(0.5))), "in its module inside"),
        (lambda: tapped(partly(torch.nn.BatchNorm1d(2))), "in its module inside"),
        (lambda: tapped(Small().eval(), modules={"a": "gate", "b": "gate"}), "name one module"),
        (lambda: tapped(Small().eval(), modules={"a": "gates.gate"}), "did you mean gate"),
        (lambda: tapped(Small().eval(), loader=(batch for batch in batches())), "no generator"),
        (lambda: tapped(Small().eval(), loader=shuffled()), "another order each time"),
        (lambda: tapped(Small(shape=lambda z: z.softmax(-1)).eval()), "probabilities already"),
        (lambda: tapped(Small(shape=torch.sigmoid, classes=1).eval()), "of the second of two classes alone"),
        (lambda: tapped(Small(shape=lambda z: {"logits": z}).eval()), "which part"),
    ],
)
def test_what_cannot_be_tapped_is_refused_in_words(make, words):
    with pytest.raises(fuseline.FuselineError, match=words):
        make()


def partly(module):
    """A model of which one module was left in training mode."""
    net = Small(inside=module).eval()
    module.train()
    return net


def shuffled():
    x = torch.cat([x for x, _ in batches()])
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x), batch_size=16, shuffle=True)


def test_one_logit_a_row_is_the_second_class():
    net = Small(classes=1).eval()
    x = torch.cat([x for x, _ in batches()])
    probe = tapped(net)
    p = torch.sigmoid(net(x).double()).detach().numpy()[:, 0]
    np.testing.assert_allclose(probe(probe.quality), np.stack([1 - p, p], 1), atol=1e-6)
    # And where it is a number, it is told as one.
    numbers = tapped(net, softmax=False)
    result = fuseline.diagnose(
        numbers, quality=numbers.quality, y=net(x).detach().numpy()[:, 0], score="mae", permutations=20
    )
    assert result.gap > 0


def test_what_is_written_into_the_output_of_a_gate_leaves_its_record_alone():
    torch.manual_seed(0)
    net = Small(inside=InPlace()).eval()
    x = torch.cat([x for x, _ in batches()])
    probe = tapped(net)
    np.testing.assert_allclose(probe.quality[:, 0], net.gate(x).detach().numpy(), atol=1e-6)


class InPlace(torch.nn.Module):
    def forward(self, x):
        return x.sigmoid_()


@pytest.mark.parametrize(
    ("module", "words"),
    [(torch.nn.Dropout(0.5), "not frozen"), (torch.nn.BatchNorm1d(2), "depends on the quality of others")],
)
def test_a_model_that_is_not_frozen_is_found_by_the_callable(module, words):
    """Dropout left on, and normalisation that reads the batch."""
    net = partly(module)
    head = torch.nn.Sequential(net.inside, net.head)
    quality = np.random.default_rng(0).normal(size=(60, 2))

    def predict(q):
        return head(torch.from_numpy(q).float()).softmax(-1).detach().numpy()

    with pytest.raises(fuseline.FuselineError, match=words):
        fuseline.diagnose(predict, quality=quality, y=np.arange(60) % 3, permutations=20)


RULE = (pathlib.Path(__file__).parents[2] / "docs/frozen-models.md").read_text()
RULE = RULE[RULE.index("#!/usr/bin/env python3") :].split("```")[0]

PACKAGE = """
import torch


class Gate(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Linear(2, 2)

    def forward(self, evidence, quality):
        weights = torch.softmax(self.weight(quality.float()), 1)
        return (weights[:, :, None] * evidence.float()).sum(1)
"""

WORKFLOW = """
fuseline: 1
name: torch
seed: 1
python: PYTHON
axes: { modality: [text, audio] }
plugins: [.]
stages:
  table:
    uses: load.csv
    over: [modality]
    with: { path: data.csv, id: { column: id }, columns: { include: ["q${{ modality }}"] } }
  cohort:
    uses: cohort.define
    inputs: { features: table }
    with: { table: { path: data.csv, id: { column: id } }, label: { column: label } }
  expert:
    uses: expert.precomputed
    over: [modality]
    inputs: { cohort: cohort }
    with: { path: "${{ modality }}.csv", id: { column: id }, probabilities: [calm, tense] }
  quality:
    uses: quality.column
    over: [modality]
    inputs: { evidence_train: expert.train, evidence_test: expert.test, features: table }
    with: { column: "q${{ modality }}" }
  model:
    uses: fusion.load
    inputs: { cohort: cohort }
    with: { rule: my_gate, files: { weights: gate.pt }, modalities: [text, audio], fitted_on: external }
  permute:
    uses: diagnose.permute_quality
    inputs: { model: model, evidence: expert.test, quality: quality.test, cohort: cohort }
    with: { permutations: 200 }
  finding:
    uses: diagnose.summarize
    inputs: { permutations: permute.permutations, effects: permute.effects, evidence: expert.test, quality: quality.test, cohort: cohort }
outputs: { finding.csv: finding }
"""


def test_the_rule_of_the_documentation_loads_a_checkpoint_in_a_workflow(tmp_path, monkeypatch):
    """In a worker and its sandbox: the same answers as the model has here."""
    rng = np.random.default_rng(2)
    (tmp_path / "my_package.py").write_text(PACKAGE)
    (tmp_path / "my_gate.py").write_text(RULE)
    (tmp_path / "my_gate.py").chmod(0o755)
    monkeypatch.syspath_prepend(tmp_path)
    from my_package import Gate

    gate = Gate().eval()
    with torch.no_grad():
        gate.weight.weight.copy_(3 * torch.eye(2))
    torch.save(gate.state_dict(), tmp_path / "gate.pt")
    rows = 60
    label = np.arange(rows) % 2
    quality = rng.uniform(size=(rows, 2))
    lines, tables = ["id,label,qtext,qaudio"], {"text": ["id,calm,tense"], "audio": ["id,calm,tense"]}
    evidence = np.empty((rows, 2, 2))
    for row in range(rows):
        lines.append(f"r{row:03},{['calm', 'tense'][label[row]]},{float(quality[row, 0])!r},{float(quality[row, 1])!r}")
        for place, table in enumerate(tables.values()):
            right = 0.9 if quality[row, place] > 0.5 else 0.2
            tense = right if label[row] else 1 - right
            evidence[row, place] = 1 - tense, tense
            table.append(f"r{row:03},{1 - tense!r},{tense!r}")
    (tmp_path / "data.csv").write_text("\n".join(lines) + "\n")
    for name, table in tables.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(table) + "\n")
    (tmp_path / "study.yaml").write_text(WORKFLOW.replace("PYTHON", sys.executable))
    run = fuseline.run(tmp_path / "study.yaml", cache=tmp_path / "cache", out=tmp_path / "out", quiet=True)

    def predict(q):
        with torch.no_grad():
            return gate(torch.from_numpy(evidence), torch.from_numpy(q)).numpy()

    names = [f"r{row:03}" for row in range(rows)]
    here = fuseline.diagnose(predict, quality=quality, y=label, ids=names, permutations=200, seed=1)
    assert run["finding"]["gap"][0] == pytest.approx(here.gap, abs=1e-12)
    assert run["finding"]["p_value"][0] == here.p_value
    assert here.gap > 0.02
