#!/usr/bin/env python3
"""How often "no dependence" is claimed where the true gap equals the margin: each such claim is false.

Every study is drawn from a population whose gap is known and asked of the real command through `fuseline.diagnose`. A claim
by the bootstrap alone is the rule of before: its interval lies within the margin. A claim by the bound is what is said now.

    bench/claims/equivalence.py --studies 1000 --fuseline target/release/fuseline

Needs numpy. `--check` draws a few studies and fails where the share of false claims by the bound lies above 2.5 % by more than
its Monte-Carlo error.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

import fuseline  # noqa: E402

LEVEL = 0.025


@dataclass(frozen=True)
class Design:
    """A population: sensor 1 is strong where it works, sensor 2 is weak, quality flags where sensor 1 fails."""

    name: str
    rows: tuple[int, int]  # examples a class
    groups: int  # 0: each example its own
    failing: float  # share of examples whose sensor 1 fails
    by_group: bool = False  # whole groups fail
    only_second_class: bool = False
    reads: bool = True  # whether the rule reads quality


def draw(design: Design, rng: np.random.Generator, scale: int = 1):
    """Labels, groups, evidence of both sensors (probability of class 1) and the flag."""
    y = np.repeat([0, 1], [n * scale for n in design.rows])
    n = len(y)
    count = design.groups * scale if design.groups else n
    group = rng.permutation(n) % count if design.groups else np.arange(n)
    if design.by_group:
        failing = (rng.random(count) < design.failing)[group]
    else:
        failing = rng.random(n) < design.failing
    if design.only_second_class:
        failing &= y == 1
    side = 2.0 * y - 1.0
    strong = 1 / (1 + np.exp(-(side * 2.0 + rng.normal(size=n))))
    # A sensor that fails says the wrong class, and is sure of it.
    strong = np.where(failing, 1 / (1 + np.exp(side * 4.0)), strong)
    weak = 1 / (1 + np.exp(-(side * 1.0 + rng.normal(size=n))))
    return y, group, np.stack([strong, weak], axis=1), failing.astype(float)


def decide(design: Design, evidence, flag):
    """Believes the weak sensor where the strong one is flagged."""
    trusted = np.where(flag > 0.5, evidence[:, 1], evidence[:, 0])
    return ((trusted if design.reads else evidence[:, 0]) > 0.5).astype(int)


def balanced_accuracy(y, decision) -> float:
    return float(np.mean([np.mean(decision[y == k] == k) for k in (0, 1)]))


def true_gap(design: Design) -> float:
    """Of a study so large that its sampling error does not matter."""
    rng = np.random.default_rng(0)
    scale = max(1, 400_000 // sum(design.rows))
    y, _, evidence, flag = draw(design, rng, scale)
    clean = balanced_accuracy(y, decide(design, evidence, flag))
    broken = [balanced_accuracy(y, decide(design, evidence, rng.permutation(flag))) for _ in range(20)]
    return clean - float(np.mean(broken))


DESIGNS = [
    Design("rare flags, 40 examples", (20, 20), 0, 0.035),
    Design("rare flags, 400 examples", (200, 200), 0, 0.01),
    Design("rare flags, 2,000 examples", (1000, 1000), 0, 0.01),
    Design("10 groups of 20, failing by example", (100, 100), 10, 0.05),
    Design("10 groups of 20, whole groups fail", (100, 100), 10, 0.05, by_group=True),
    Design("60 groups, classes of 317 and 53", (317, 53), 60, 0.02),
    Design("classes of 317 and 53, the smaller fails", (317, 53), 0, 0.03, only_second_class=True),
]
NULLS = [
    Design("no gap, 2,000 examples", (1000, 1000), 0, 0.05, reads=False),
    Design("no gap, 600 groups of 5", (1500, 1500), 600, 0.05, reads=False),
]


def claims(design: Design, margin: float, studies: int, permutations: int) -> tuple[int, int, int]:
    """Claims by the bootstrap alone, claims by the bound, and studies that are not testable."""
    counts = [0, 0, 0]
    for seed in range(studies):
        y, group, evidence, flag = draw(design, np.random.default_rng(seed + 1))
        quality = np.stack([flag, np.zeros_like(flag)], axis=1)

        def predict(asked):
            return decide(design, evidence, asked[:, 0])

        result = fuseline.diagnose(
            predict,
            quality=quality,
            y=y,
            groups=[str(name) for name in group],
            permutations=permutations,
            seed=seed,
            equivalence_margin=margin,
            progress=False,
        )
        low, high = result.interval
        counts[0] += -margin < low and high < margin
        counts[1] += bool(result.equivalent)
        counts[2] += result.not_testable is not None
    return counts[0], counts[1], counts[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=199)
    parser.add_argument("--check", action="store_true", help="a few studies of two designs")
    parser.add_argument("--only", default="", help="designs whose name has this")
    parser.add_argument("--fuseline", help="the command; else the one that the package finds")
    options = parser.parse_args()
    if options.fuseline:
        os.environ["FUSELINE_BINARY"] = options.fuseline
    designs = [DESIGNS[0], DESIGNS[3]] if options.check else DESIGNS + NULLS
    designs = [design for design in designs if options.only in design.name]
    studies = 20 if options.check else options.studies
    limit = LEVEL + 3 * (LEVEL * (1 - LEVEL) / studies) ** 0.5
    print(f"{studies} studies each, {options.permutations} permutations\n")
    print("| study | margin (true gap) | claimed by the bootstrap alone | claimed by the bound | not testable |")
    print("|---|---|---|---|---|")
    wrong = False
    for design in designs:
        margin = true_gap(design) if design.reads else 0.02
        found = claims(design, margin, studies, options.permutations)
        shares = [100 * count / studies for count in found]
        truth = f"{100 * margin:.1f} pp" if design.reads else f"{100 * margin:.1f} pp (0)"
        print(f"| {design.name} | {truth} | {shares[0]:.1f} % | {shares[1]:.1f} % | {shares[2]:.1f} % |", flush=True)
        wrong |= design.reads and found[1] / studies > limit
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
