"""The data that the examples train and test on: simulated, or the features of StressID."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Study:
    """Rows of the same examples: features {modality: (rows, columns)}, quality (rows, modalities), label (rows,) as class
    numbers, group and ids (rows,), and which rows are tested. A group is either trained on or tested."""

    features: dict[str, np.ndarray]
    quality: np.ndarray
    label: np.ndarray
    classes: tuple[str, ...]
    group: np.ndarray
    ids: np.ndarray
    tested: np.ndarray

    def part(self, rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Features, quality and labels of some rows."""
        return {m: x[rows] for m, x in self.features.items()}, self.quality[rows], self.label[rows]


def simulated(rows: int = 600, columns: int = 6, seed: int = 7) -> Study:
    """Voice and face of which one is noise in each row, and a measured quality (as a signal-to-noise ratio) that tells which."""
    random = np.random.default_rng(seed)
    label, sound = random.integers(0, 2, rows), random.integers(0, 2, rows)
    features, quality = {}, np.empty((rows, 2))
    for m, name in enumerate(["voice", "face"]):
        features[name] = random.normal(size=(rows, columns))
        features[name][:, :3] += np.where(sound == m, 1.2 * (2 * label - 1), 0.0)[:, None]
        quality[:, m] = 6.0 * (sound == m) + random.normal(scale=2.0, size=rows)
    group = np.arange(rows) // 10
    ids = np.array([f"r{row:04}" for row in range(rows)])
    return Study(features, quality, label, ("rest", "stress"), np.array([f"s{g:02}" for g in group]), ids, group % 3 == 0)


def stressid(folder: str | Path) -> Study:
    """The three feature files of StressID, examples that all of them have. Quality: minus the mean |z| of an example's features
    among those of the training rows, which is what quality.in_distribution is."""
    files = {"physio": "all_physiological_features.csv", "video": "video11tasks_aus_gaze_mean_std.csv", "audio": "HCfeatures.csv"}
    tables = {m: _table(Path(folder) / file, m != "audio") for m, file in files.items()}
    wanted = "Reading|Counting1|Counting2|Counting3|Math|Speaking|Stroop"
    ids = sorted(set.intersection(*map(set, tables.values())))
    found = [(name, match[1], match[2]) for name in ids if (match := re.match(rf"^([^_]+)_({wanted})$", name))]
    names = [name for name, *_ in found]
    group = np.array([person for _, person, _ in found])
    label = np.array([int(task != "Reading") for *_, task in found])
    features = {m: np.array([table[name] for name in names]) for m, table in tables.items()}
    people = sorted(set(group))
    tested = np.isin(group, people[::3])
    quality = np.stack([_in_distribution(x, ~tested) for x in features.values()], axis=1)
    return Study(features, quality, label, ("rest", "stress"), group, np.array(names), tested)


def _table(path: Path, header: bool) -> dict[str, list[float]]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1 if header else 0 :]
    return {re.sub("[.]wav$", "", row[0]): [_number(cell) for cell in row[1:]] for row in rows}


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _in_distribution(x: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    x = np.where(np.isfinite(x), x, np.nan)
    z = (x - np.nanmean(x[fitted], axis=0)) / (np.nanstd(x[fitted], axis=0) + 1e-9)
    return -np.nanmean(np.abs(z), axis=1)
