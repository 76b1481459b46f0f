#!/usr/bin/env python3
"""Share of simulated studies in which a wrong claim is made, through the real command: claim x study x share.

Studies are drawn from populations whose truth is known and run as points of one axis (`studies.yaml`); what each report claims is
read from it. Beside the share stand its Monte-Carlo error and the share of earlier versions.

    bench/claims/claims.py --studies 1000 --fuseline target/release/fuseline

Needs numpy, and scipy for the last table. `--only TEXT` runs the claims whose name has the text. `--check` draws a few studies of
each claim and fails where a share lies above its limit by more than three Monte-Carlo errors.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from math import erf
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

import fuseline  # noqa: E402
from fuseline._binary import find_binary  # noqa: E402

Floats = NDArray[np.float64]
#: Training examples that a rule standardises quality on.
TRAINING = 60
#: Permutations of a check at most: p-values that are adjusted over 12 conditions reach the level.
CHECKED = 299


@dataclass
class Study:
    """One study: evidence is the probability of class 1 of each modality; NaN where it is missing."""

    label: NDArray[np.int64]
    group: NDArray[np.int64]
    evidence: Floats
    quality: Floats
    #: Further qualities, each as the one above.
    more: tuple[Floats, ...] = ()


# --------------------------------------------------------------------------- populations


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def evidence(rng: Generator, label: NDArray[np.int64], strength: Iterable[float]) -> Floats:
    """Independent experts that see the label through unit noise."""
    side = 2.0 * label - 1.0
    return np.stack([sigmoid(side * s + rng.normal(size=len(label))) for s in strength], axis=1)


def classes(counts: tuple[int, ...]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(counts)), counts)


@dataclass(frozen=True)
class Flags:
    """Sensor 1 is strong where it works and surely wrong where it fails, which its quality says; sensor 2 is weak."""

    rows: tuple[int, int]  # examples a class
    failing: float  # share of the examples, or groups, that fail
    groups: int = 0  # 0: each example its own
    by_group: bool = False
    second_class_only: bool = False
    useless: bool = False  # both sensors say the same: no gap

    def __call__(self, rng: Generator, scale: int = 1) -> Study:
        label = classes(tuple(n * scale for n in self.rows))
        n, count = len(label), self.groups * scale or sum(self.rows) * scale
        group = rng.permutation(n) % count if self.groups else np.arange(n)
        failing = (rng.random(count) < self.failing)[group] if self.by_group else rng.random(n) < self.failing
        if self.second_class_only:
            failing &= label == 1
        strong, weak = evidence(rng, label, (2.0, 1.0)).T
        if self.useless:
            weak = strong
        else:
            strong = np.where(failing, sigmoid(-4.0 * (2.0 * label - 1.0)), strong)
        quality = np.stack([1.0 - failing, np.full(n, 0.5)], axis=1)
        return Study(label, group, np.stack([strong, weak], axis=1), quality)


@dataclass(frozen=True)
class Aligned:
    """Experts of some strengths; quality is normal and higher by `alpha` where its expert is right."""

    rows: tuple[int, int] = (100, 100)
    strength: tuple[float, ...] = (0.9, 0.9)
    alpha: float = 0.0
    margin: float = 0.0  # of quality, that is the expert's own certainty
    related: float = 0.0  # correlation of the qualities of an example
    groups: int = 0
    between: float = 0.0  # share of the variance of quality, and of errors, between groups
    labels_by_group: bool = False

    def __call__(self, rng: Generator, scale: int = 1) -> Study:
        label = classes(tuple(n * scale for n in self.rows))
        n, count = len(label), self.groups * scale or sum(self.rows) * scale
        if self.labels_by_group:
            group = np.arange(n) * count // n
        else:
            group = rng.permutation(n) % count if self.groups else np.arange(n)
        shape = (n, len(self.strength))

        def noise(related: float = 0.0) -> Floats:
            common = np.sqrt(self.between) * rng.normal(size=(count, shape[1]))[group]
            shared = np.sqrt(related) * rng.normal(size=(n, 1))
            own = np.sqrt(1 - related) * rng.normal(size=shape)
            return common + np.sqrt(1 - self.between) * (shared + own)

        side = (2.0 * label - 1.0)[:, None]
        p = sigmoid(side * np.array(self.strength) + noise())
        right = (p > 0.5) == (label == 1)[:, None]
        certain = np.abs(2 * p - 1)
        certain = (certain - certain.mean(axis=0)) / certain.std(axis=0)
        return Study(label, group, p, noise(self.related) + self.alpha * right + self.margin * certain)


def standard(study: Study) -> Floats:
    sd = study.quality.std(axis=0)
    return (study.quality - study.quality.mean(axis=0)) / np.where(sd <= 1e-12, 1.0, sd)


def decide(rule: str, p: Floats, z: Floats) -> NDArray[np.int64]:
    """What the rules of the box decide, for populations."""
    if rule == "switch":
        chosen = np.take_along_axis(p, z.argmax(axis=1)[:, None], axis=1)[:, 0]
    else:
        weight = np.exp(z)
        chosen = (p * weight / weight.sum(axis=1, keepdims=True)).sum(axis=1)
    return (chosen > 0.5).astype(np.int64)


def balanced_accuracy(label: NDArray[np.int64], decision: NDArray[np.int64]) -> float:
    return float(np.mean([np.mean(decision[label == k] == k) for k in np.unique(label)]))


def truth(draw: Callable[..., Study], rule: str = "switch") -> tuple[float, float]:
    """Gap and gain of a study so large that its sampling error does not matter."""
    rng = np.random.default_rng(0)
    study = draw(rng, max(1, 200_000 // len(draw(rng).label)))
    z = standard(study)

    def accuracy(quality: Floats) -> float:
        return balanced_accuracy(study.label, decide(rule, study.evidence, quality))

    broken = [accuracy(z[rng.permutation(len(z))]) for _ in range(5)]
    return accuracy(z) - float(np.mean(broken)), accuracy(z) - accuracy(np.zeros_like(z))


# --------------------------------------------------------------------------- running


COLUMN = "{ column: { kind: column }, constant: { kind: constant } }"
GAIN = ", without_quality: { quality: constant }"


@dataclass(frozen=True)
class Run:
    """How the studies of a claim are run."""

    rules: tuple[str, ...] = ("switch",)
    quality: str = COLUMN
    option: str = ""  # of the stage `quality`
    gain: bool = False  # whether the rule is run without quality, too
    scheme: str = "joint"
    bins: int = 3
    permutations: int = 199
    margin: float = 0.02
    adjust: str = "holm"
    seed: int = 1


@dataclass
class Report:
    """What a report says, and the table of findings that it is of."""

    text: str
    findings: list[dict[str, str]]

    @property
    def headline(self) -> str:
        found = re.search(r"^\*\*.*?\*\* (.*)$", self.text, re.MULTILINE)
        assert found is not None, self.text
        return found[1]

    def readings(self, quality: str = "column", rule: str = "") -> list[str]:
        """The verdicts of the rows of a quality, such as "no dependence"."""
        _, table = self.text.split("## Findings", 1)
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| ")]
        head = rows[0]
        place = {name: head.index(name) for name in ("rule", "quality", "verdict")}
        kept = [row for row in rows[2:] if len(row) == len(head) and row[place["quality"]].startswith(quality)]
        return [row[place["verdict"]].split(" ", 1)[1] for row in kept if rule in row[place["rule"]]]

    @property
    def negative_control(self) -> str:
        """Badge of the negative control."""
        found = re.search(r"^- \*\*Negative control.*?\*\* \((\w+)\)", self.text, re.MULTILINE)
        assert found is not None, self.text
        return found[1]

    def column(self, name: str, quality: str = "column") -> list[float]:
        return [float(row[name]) for row in self.findings if row["quality"].startswith(quality) and row[name]]


def write(study: Study, training: Study, folder: Path) -> None:
    """The tables of a study, with training examples of the same population that are groups of their own."""
    folder.mkdir(parents=True)
    both = [(-1, training, "t"), (0, study, "e")]
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "label", "group", "fold"])
        for fold, of, letter in both:
            rows = zip(of.label.tolist(), of.group.tolist())
            table.writerows([f"{letter}{row:05}", label, f"{letter}{group}", fold] for row, (label, group) in enumerate(rows))
    for modality in range(study.evidence.shape[1]):
        with (folder / f"m{modality + 1}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["id", "p_rest", "p_stress", "quality", *(f"quality{k}" for k in range(2, 2 + len(study.more)))])
            for _, of, letter in both:
                qualities = np.stack([each[:, modality] for each in (of.quality, *of.more)], axis=1).tolist()
                for row, (p, quality) in enumerate(zip(of.evidence[:, modality].tolist(), qualities)):
                    if p == p:
                        table.writerow([f"{letter}{row:05}", 1 - p, p, *quality])


def draw_all(draw: Callable[[Generator], Study], studies: int, folder: Path) -> int:
    """Writes the studies; the number of modalities."""
    study = None
    for number in range(1, studies + 1):
        rng = np.random.default_rng(number)
        study, training = draw(rng), draw(rng)
        keep = rng.permutation(len(training.label))[:TRAINING]
        columns = (getattr(training, name)[keep] for name in ("label", "group", "evidence", "quality"))
        part = Study(*columns, tuple(each[keep] for each in training.more))
        write(study, part, folder / str(number))
    assert study is not None
    return study.evidence.shape[1]


def run(how: Run, data: Path, studies: int, modalities: int, work: Path) -> list[Report]:
    """Runs all studies as one workflow, and reads their reports."""
    text = (ROOT / "bench/claims/studies.yaml").read_text()
    text = text.replace(COLUMN, how.quality).replace("with: {} ", f"with: {{ {how.option} }} ")
    if not how.gain:
        text = text.replace(", constant: { kind: constant }", "").replace(GAIN, "")
    for number in range(1, studies + 1):
        text += f'  "{number}.md": "report[study={number}]"\n  "{number}.csv": "findings[study={number}]"\n'
    work.mkdir(exist_ok=True)
    (work / "studies.yaml").write_text(text)
    names = ", ".join(f"m{m + 1}" for m in range(modalities))
    sets = {
        "data": data,
        "studies": studies,
        "modalities": f"[{names}]",
        "rules": f"[{', '.join(how.rules)}]",
        "scheme": how.scheme,
        "bins": how.bins,
        "permutations": how.permutations,
        "margin": how.margin,
        "adjust": how.adjust,
    }
    command = [os.environ["FUSELINE_BINARY"], "run", str(work / "studies.yaml"), "--quiet", "--seed", str(how.seed)]
    command += ["--out", str(work / "out"), "--cache", str(work / "cache")]
    command += [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    reports = []
    for number in range(1, studies + 1):
        with (work / "out" / f"{number}.csv").open(newline="") as file:
            findings = list(csv.DictReader(file))
        reports.append(Report((work / "out" / f"{number}.md").read_text(), findings))
    return reports


# --------------------------------------------------------------------------- claims


def dependence(report: Report) -> bool:
    return any(reading.startswith("dependence") for reading in report.readings())


def none(report: Report) -> bool:
    """No dependence, or accuracy within the margin."""
    return any(reading in ("no dependence", "accuracy within the margin") for reading in report.readings())


def rejected(report: Report) -> bool:
    return any(p <= 0.05 for p in report.column("p_value"))


def without_bound(margin: float) -> Callable[[Report], bool]:
    """The claim of none from the interval of the bootstrap alone."""

    def claims(report: Report) -> bool:
        ends = zip(report.column("gap_low"), report.column("gap_high"))
        return any(-margin < low and high < margin for low, high in ends)

    return claims


def evidence_derived(report: Report) -> bool:
    return any(reading == "evidence-derived gap" for reading in report.readings())


def with_gain(report: Report) -> bool:
    return any(reading == "dependence with gain" for reading in report.readings())


def by_sign(report: Report) -> float:
    """A gain by the sign of its point estimate, where a gap was found."""
    gains = zip(report.column("ba_clean"), report.column("ba_without_quality"))
    return float(any(clean > without for clean, without in gains)) if rejected(report) else float("nan")


def best_expert(strength: float) -> Callable[[Report], float]:
    """How far the best expert that is reported lies above what each of equal experts reaches."""

    def above(report: Report) -> float:
        return 100 * (report.column("ba_best_unimodal")[0] - normal(strength))

    return above


def normal(x: float) -> float:
    return 0.5 * (1 + erf(x / 2**0.5))


@dataclass(frozen=True)
class Missed:
    """Twelve qualities that each miss some of the failures of `flags`."""

    flags: Flags
    qualities: int = 12

    def __call__(self, rng: Generator, scale: int = 1) -> Study:
        study = self.flags(rng, scale)
        each = []
        for _ in range(self.qualities):
            quality = study.quality.copy()
            quality[rng.random(len(quality)) < 0.3, 0] = 1.0
            each.append(quality)
        return replace(study, quality=each[0], more=tuple(each[1:]))


@dataclass(frozen=True)
class Noises:
    """Several qualities beside each other: that of `first`, and noise."""

    first: Aligned
    qualities: int = 4

    def __call__(self, rng: Generator, scale: int = 1) -> Study:
        study = self.first(rng, scale)
        return replace(study, more=tuple(rng.normal(size=study.quality.shape) for _ in range(self.qualities - 1)))


@dataclass(frozen=True)
class Patterns:
    """Noise where every pattern of available modalities has two examples."""

    modalities: int = 4

    def __call__(self, rng: Generator, scale: int = 1) -> Study:
        patterns = [p for p in range(1, 2**self.modalities)]
        study = Aligned((len(patterns), len(patterns)), (0.9,) * self.modalities)(rng)
        there = np.array([[p >> m & 1 for m in range(self.modalities)] for p in patterns * 2], dtype=bool)
        return replace(study, evidence=np.where(there, study.evidence, np.nan))


@dataclass(frozen=True)
class Claim:
    """A claim about studies of one population."""

    item: str
    study: str
    claim: str
    draw: Callable[..., Study]
    holds: Callable[[Report], bool | float]
    how: Run = field(default_factory=Run)
    before: str = ""  # the share in earlier versions
    limit: float | None = 0.05  # the share that it may have; none of what is printed beside it
    part: float = 1.0  # of the studies that are asked for


WEIGHTED = Run(rules=("weighted_mean",))
GAINED = replace(WEIGHTED, gain=True)
NOISE = "{ " + ", ".join(f"noise{n}: {{ kind: random, draw: {n} }}" for n in range(1, 19)) + ", constant: { kind: constant } }"


def columns(run: Run, count: int) -> Run:
    """The same with so many measured qualities."""
    each = [f"column{n}: {{ kind: column, column: quality{n if n > 1 else ''} }}" for n in range(1, count + 1)]
    quality = "{ " + ", ".join([*each, "constant: { kind: constant }"]) + " }"
    return replace(run, quality=quality, option='column: "${{ quality.column }}"')


CONTROLS = Run(rules=("weighted_mean",), quality=NOISE, option='draw: "${{ quality.draw }}"')
#: Quality that is worth less than none: the rule weighs by its noise, too.
LOSS = Aligned(alpha=0.48)
#: Examples of a group have quality, errors and label in common.
CLUSTERED = Aligned(groups=20, between=0.95, labels_by_group=True)


def claims() -> list[Claim]:
    """All of them, by the item that each is of."""
    persons = Flags((100, 100), 0.2, groups=10, by_group=True)
    five_bins = Aligned((150, 150), (0.9, 0.9, 0.9), alpha=1.0)
    gap, _ = truth(Flags((20, 20), 0.035))
    found = [
        Claim("level", "noise, 200 examples", "dependence", Aligned(), dependence, WEIGHTED),
        Claim("1 none", f"sensor fails in 3.5 % of 40 (gap {100 * gap:.1f} pp)", "no dependence", Flags((20, 20), 0.035), none,
              before="47 %", limit=0.025),
        Claim("1 none", f"within_group, a value a group (gap {100 * truth(persons)[0]:.1f} pp)", "no dependence", persons, none,
              Run(scheme="within_group"), "100 %", 0.0),
        Claim("1 none", "quality of one value", "no dependence", Flags((100, 100), 0.0), none, before="100 %", limit=0.0),
        Claim("1 none", f"conditional, 5 bins (gap {100 * truth(five_bins, 'mean')[0]:.1f} pp)", "no dependence", five_bins, none,
              replace(WEIGHTED, scheme="conditional", bins=5), "39 %", 0.025),
        Claim("2 derangement", "noise, 2 examples a stratum", "p <= .05", Patterns(), rejected,
              replace(WEIGHTED, scheme="derangement"), "50 %"),
        Claim("3 per_modality", "noise, modalities correlate at .9", "dependence", Aligned(related=0.9), dependence,
              replace(WEIGHTED, scheme="per_modality"), "13 %"),
        Claim("3 per_modality", "the same", "p <= .05", Aligned(related=0.9), rejected,
              replace(WEIGHTED, scheme="per_modality"), limit=None),
        Claim("4 groups", "noise alike in groups, joint", "dependence", CLUSTERED, dependence, WEIGHTED, "19.5 %"),
        Claim("4 groups", "the same", "p <= .05", CLUSTERED, rejected, WEIGHTED, limit=None),
        Claim("4 groups", "the same, whole_groups", "dependence", CLUSTERED, dependence,
              replace(WEIGHTED, scheme="whole_groups"), "-"),
        Claim("5 family", "mean beside weighted_mean", "mean is counted", Aligned(alpha=0.5),
              lambda report: any(reading != "not counted" for reading in report.readings(rule="mean")[:1]),
              Run(rules=("mean", "weighted_mean")), "100 %", 0.0),
        Claim("6 badge", "18 draws of noise", "negative control failed", Aligned(alpha=0.5),
              lambda report: report.negative_control == "failed", CONTROLS, "23 %", 0.01, 0.25),
        Claim("8 gain", f"true gain {100 * truth(LOSS, 'mean')[1]:+.1f} pp", "dependence with gain", LOSS, with_gain, GAINED, "-", 0.025),
        Claim("8 gain", "the same", "by the sign, where p <= .05", LOSS, by_sign, GAINED, "64 %", None),
        Claim("10 best expert", "3 equal experts, 317 and 53", "pp above the truth", Aligned((317, 53), (0.9,) * 3),
              best_expert(0.9), WEIGHTED, "+3.0 pp", None),
        Claim("10 best expert", "10 equal experts, 60 and 60", "pp above the truth", Aligned((60, 60), (0.9,) * 10),
              best_expert(0.9), WEIGHTED, "+6.8 pp", None, 0.25),
        Claim("11 derived", "noise and 0.7 of the margin", "dependence", Aligned(margin=0.7), dependence, WEIGHTED, "76 %"),
        Claim("11 derived", "the same", "evidence-derived gap", Aligned(margin=0.7), evidence_derived, WEIGHTED, "-", None),
    ]
    return found + families() + equivalence()


def families() -> list[Claim]:
    """Twelve conditions at once, 4 qualities by 3 rules: the share of studies in which any claim is false."""
    # 199 permutations could not reach the level once p-values are adjusted over 12.
    how = columns(Run(rules=("weighted_mean", "switch", "lr"), permutations=999), 4)

    def of_noise(report: Report) -> bool:
        return any(reading.startswith("dependence") for n in (2, 3, 4) for reading in report.readings(f"column{n}"))

    def of_quality(report: Report) -> bool:
        return any(reading.startswith("dependence") for reading in report.readings("column1"))

    mixed = Noises(Aligned(alpha=1.5))
    return [
        Claim("12 conditions", "4 qualities of noise, 3 rules", "dependence, in any", Noises(Aligned()), dependence, how, "-", 0.05, 0.5),
        Claim("12 conditions", "one quality aligned, 3 of noise, 3 rules", "dependence, in any of noise", mixed, of_noise, how, "-", 0.05, 0.5),
        Claim("12 conditions", "the same", "dependence, in any of the aligned", mixed, of_quality, how, "-", None, 0.5),
    ]


def equivalence() -> list[Claim]:
    """Margins as large as the true gap: every claim of none is false, and at most 2.5 % may be made."""
    designs: dict[str, tuple[Callable[..., Study], float]] = {
        "rare flags (3.5 %), 40 examples": (Flags((20, 20), 0.035), 1),
        "rare flags (1 %), 400 examples": (Flags((200, 200), 0.01), 1),
        "rare flags (1 %), 2,000 examples": (Flags((1000, 1000), 0.01), 0.2),
        "10 groups of 20, 5 % of examples fail": (Flags((100, 100), 0.05, groups=10), 1),
        "10 groups of 20, 5 % of groups fail": (Flags((100, 100), 0.05, groups=10, by_group=True), 1),
        "60 groups, classes of 317 and 53, 2 % fail": (Flags((317, 53), 0.02, groups=60), 1),
        "classes of 317 and 53, 3 % of the smaller fail": (Flags((317, 53), 0.03, second_class_only=True), 1),
        "12 qualities, any of them": (Missed(Flags((200, 200), 0.02)), 0.25),
        "6 qualities, 2 rules, any of 12": (Missed(Flags((200, 200), 0.02), 6), 0.25),
    }
    found = []
    for name, (draw, part) in designs.items():
        rules = ("switch", "weighted_mean") if "2 rules" in name else ("switch",)
        # No condition has a smaller gap than this.
        gap = min(truth(draw, rule)[0] for rule in rules)
        how = Run(rules=rules, margin=round(gap, 5))
        if isinstance(draw, Missed):
            how = columns(how, draw.qualities)
        study = f"{name}; gap = margin = {100 * gap:.1f} pp"
        found.append(Claim("equivalence", study, "no dependence", draw, none, how, "-", 0.025, part))
        found.append(Claim("equivalence", "the same", "by the bootstrap alone", draw, without_bound(gap), how, "-", None, part))
    nothing = Flags((1000, 1000), 0.05, useless=True)
    found.append(Claim("equivalence", "no gap, 2,000 examples (true)", "no dependence", nothing, none, Run(), "-", None, 0.2))
    return found


# --------------------------------------------------------------------------- several runs of one study, and numbers


def flips(studies: int, work: Path, fewer: int = 1) -> list[tuple[str, str, str, str, float, float, int]]:
    """Verdicts that other permutations turn: all, and those that no report warned of. `fewer`: divides their number."""
    draw, rows = Aligned(alpha=0.5), []
    for permutations, before in ((1000 // fewer, "25 %"), (10_000 // fewer, "0 %")):
        folder = work / f"flips{permutations}"
        width = draw_all(draw, studies, folder / "data")
        how = replace(WEIGHTED, permutations=permutations)
        runs = [run(replace(how, seed=seed), folder / "data", studies, width, folder / str(seed)) for seed in (1, 2)]
        pairs = [(one, other) for one, other in zip(*runs)]
        turned = [dependence(one) != dependence(other) for one, other in pairs]
        warned = [any("Other permutations could turn" in report.text for report in pair) for pair in pairs]
        study = f"power of a half, {permutations:,} permutations"
        rows.append(("7 flips", study, "another seed turns it", before, *share(turned)))
        unwarned = [turn and not warn for turn, warn in zip(turned, warned)]
        rows.append(("7 flips", "the same", "and no report warned", "-", *share(unwarned)))
    return rows


def power(studies: int, work: Path) -> list[tuple[str, str, str, str, float, float, int]]:
    """Share of studies that find a gap as large as the critical value, and as large as the gap with 80 % power."""
    rows = []
    for column, alpha, before in (("detectable_gap", CRITICAL, "58 %"), ("detectable_gap_80", POWERED, "-")):
        draw = Aligned(alpha=alpha)
        folder = work / column
        width = draw_all(draw, studies, folder / "data")
        reports = run(WEIGHTED, folder / "data", studies, width, folder)
        stated = float(np.mean([report.column(column)[0] for report in reports]))
        gap, _ = truth(draw, "mean")
        study = f"true gap {100 * gap:.1f} pp, {column} {100 * stated:.1f} pp on average"
        rows.append(("9 power", study, "p <= .05", before, *share([rejected(report) for report in reports])))
    return rows


def numbers(studies: int) -> tuple[float, float, float]:
    """p-values of a model of numbers under the null: distance from uniform, its p, and the share at .05."""
    from scipy.stats import kstest

    found = []
    for seed in range(1, studies + 1):
        rng = np.random.default_rng(seed)
        label = rng.normal(size=80)
        experts = label[:, None] + rng.normal(size=(80, 2))

        def predict(quality: Floats) -> Floats:
            weight = np.exp(quality)
            fused: Floats = (experts * weight / weight.sum(axis=1, keepdims=True)).sum(axis=1)
            return fused

        noise = rng.normal(size=(80, 2))
        result = fuseline.diagnose(predict, quality=noise, y=label, score="mae", permutations=199, seed=seed, progress=False)
        found.append(result.p_value)
    # p is a multiple of 1 / 200: uniform on those, so that half a step is taken off.
    test = kstest(np.array(found) - 0.0025, "uniform")
    return float(test.statistic), float(test.pvalue), float(np.mean(np.array(found) <= 0.05))


def share(holds: list[bool] | list[float]) -> tuple[float, float, int]:
    """Mean, its Monte-Carlo error, and of how many studies; those of which nothing can be said are left out."""
    values = np.array(holds, dtype=float)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return float("nan"), float("nan"), 0
    return float(values.mean()), float(values.std() / len(values) ** 0.5), len(values)


#: Alignments at which the true gap is as large as what studies state on average.
CRITICAL, POWERED = 0.45, 0.77


def line(row: tuple[str, str, str, str, float, float, int], points: bool = False) -> str:
    item, study, claim, before, mean, error, studies = row
    if points:
        now = f"{mean:+.2f} ± {error:.2f} pp"
    elif error > 0:
        now = f"{100 * mean:.1f} ± {100 * error:.1f} %"
    else:
        # What was met in none of n studies is met in fewer than 3 / n, with 95 % confidence.
        now = f"{100 * mean:.0f} % ({'below' if mean == 0 else 'above'} {abs(100 * mean - 300 / studies):.1f} %)"
    return f"| {item} | {study} | {claim} | {before or '-'} | {now} | {studies} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--check", action="store_true", help="a few studies of each claim")
    parser.add_argument("--only", default="", help="claims whose item, study or claim has this")
    parser.add_argument("--fuseline", help="the command; else the one that the package finds")
    options = parser.parse_args()
    os.environ["FUSELINE_BINARY"] = options.fuseline or find_binary()
    studies = 4 if options.check else options.studies
    print("| item | study | claim | before | now | studies |\n|---|---|---|---|---|---|")
    failed = []
    with tempfile.TemporaryDirectory(prefix="fuseline-claims-") as root:
        last: tuple[object, list[Report]] = (None, [])
        for number, claim in enumerate(claims()):
            if options.check:
                claim = replace(claim, how=replace(claim.how, permutations=min(claim.how.permutations, CHECKED)))
            if options.only not in f"{claim.item} {claim.study} {claim.claim}" and claim.study != "the same":
                continue
            count = max(4, round(studies * claim.part))
            if last[0] != (claim.draw, claim.how):
                if claim.study == "the same":
                    continue
                work = Path(root) / str(number)
                width = draw_all(claim.draw, count, work / "data")
                last = ((claim.draw, claim.how), run(claim.how, work / "data", count, width, work))
                # A thousand studies with their caches take some gigabytes.
                shutil.rmtree(work)
            found = share([claim.holds(report) for report in last[1]])
            row = (claim.item, claim.study, claim.claim, claim.before, *found)
            print(line(row, points=claim.claim.startswith("pp")), flush=True)
            limit = claim.limit
            if limit is not None and found[0] > limit + 3 * (limit * (1 - limit) / count) ** 0.5:
                failed.append(line(row))
        if options.only in "7 flips":
            print("\n".join(line(row) for row in flips(studies, Path(root), 10 if options.check else 1)), flush=True)
        if options.only in "9 power":
            print("\n".join(line(row) for row in power(studies, Path(root))), flush=True)
    if options.only in "numbers":
        distance, p, level = numbers(studies)
        print(f"\np of numbers under the null, {studies} studies: Kolmogorov-Smirnov {distance:.3f} (p {p:.2f}), {100 * level:.1f} % at .05")
        if p < 0.001:
            failed.append("p of numbers under the null is not uniform")
    print("".join(f"\nabove its limit: {row}" for row in failed), end="")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
