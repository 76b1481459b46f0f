"""Trains a network, freezes it, and asks whether its decisions use the reliability signal.

    python ask.py gated                        # simulated data: seconds
    python ask.py attention --stressid FOLDER  # the feature files of StressID
    python ask.py energy                       # the signal is computed inside
    python ask.py gated --export exported      # and what study.yaml takes
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import fuseline
from data import Study, simulated, stressid
from networks import KINDS, Network, train


def ask(network: Network, study: Study, permutations: int) -> fuseline.Result:
    """Asks a frozen network about the test rows of a study."""
    rows = study.tested
    features, quality, label = study.part(rows)
    if network.kind == "energy":
        quality = network.signal(features)
    return fuseline.diagnose(
        lambda q: network.predict(features, q),
        quality=quality,
        y=np.array(study.classes)[label],
        groups=study.group[rows],
        ids=study.ids[rows],
        modalities=network.modalities,
        permutations=permutations,
        equivalence_margin=0.02,
        title=f"The network {network.kind}",
    )


def export(network: Network, study: Study, folder: Path) -> None:
    """Writes `network.npz`, `examples.csv` and a table a modality: its features, and its quality in the column `quality`."""
    folder.mkdir(parents=True, exist_ok=True)
    network.save(str(folder / "network.npz"))
    rows = study.tested
    features, quality, label = study.part(rows)
    names = np.array(study.classes)[label]
    write(folder / "examples.csv", ["id", "group", "label"], zip(study.ids[rows], study.group[rows], names, strict=True))
    for place, (modality, x) in enumerate(features.items()):
        header = ["id", *(f"x{column}" for column in range(x.shape[1])), "quality"]
        numbers = np.column_stack([x, quality[:, place]]).tolist()
        write(folder / f"{modality}.csv", header, ([name, *row] for name, row in zip(study.ids[rows], numbers, strict=True)))


def write(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    """Writes a CSV file; numbers come back to their last bit."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=KINDS)
    parser.add_argument("--stressid", help="folder with the feature files of StressID")
    parser.add_argument("--permutations", type=int, default=2000)
    parser.add_argument("--export", type=Path, help="folder for the checkpoint and the test rows, for study.yaml")
    parser.add_argument("--report", help="file for the report, .html")
    options = parser.parse_args()
    study = stressid(options.stressid) if options.stressid else simulated()
    network = train(options.network, *study.part(~study.tested))
    if options.export:
        export(network, study, options.export)
    result = ask(network, study, options.permutations)
    print(result)
    if options.report:
        result.report(options.report)


if __name__ == "__main__":
    main()
