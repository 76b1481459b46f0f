"""Ten classes and a hold-out, beside scikit-learn and scipy: every rule in the box on the quarters of handwritten digits.

    python bench/study/digits.py export FOLDER [--images 1797]      # the data as CSV, for any tool
    python bench/study/digits.py --fuseline target/release/fuseline # exports, runs digits.yaml, and compares

Compares the balanced accuracy under Clean-Q of each rule and quality with an independent calculation, which must agree to
1e-9, and the gap and its p-value with what the exported permutations give. `--check` does so at the smallest size. The data
are those of `sklearn.datasets.load_digits`: 1,797 images of 8 x 8 pixels from 0 to 16, made harder by noise of standard
deviation 6; each quarter is a modality, and every fourth image is held out. The rules are those of
crates/fuseline-host/tests/fixtures/rules.py, which shares no code with fuseline.
"""

import argparse
import csv
import os
import pathlib
import subprocess
import sys
import tempfile

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "crates/fuseline-host/tests/fixtures"))
from rules import rules, tiny

QUARTERS = {
    "upper_left": np.s_[:, :4, :4], "upper_right": np.s_[:, :4, 4:],
    "lower_left": np.s_[:, 4:, :4], "lower_right": np.s_[:, 4:, 4:],
}
FOLDS, INNER_FOLDS, SEED = 4, 4, 7


def load(images):
    """Features of each modality, and labels; image i has the id that is i-th in order."""
    digits = load_digits()
    pixels = np.round(digits.images + np.random.default_rng(SEED).normal(0, 6, digits.images.shape), 2)
    pixels, label = pixels[:images], digits.target[:images]
    return {name: pixels[part].reshape(len(pixels), -1) for name, part in QUARTERS.items()}, label


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def export(folder, images):
    features, label = load(images)
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"image{number:04}" for number in range(len(label))]
    for name, x in features.items():
        columns = [f"p{number:02}" for number in range(x.shape[1])]
        write(folder / f"{name}.csv", ["image", *columns], ([i, *row] for i, row in zip(ids, x.tolist())))
    write(folder / "labels.csv", ["image", "digit"], zip(ids, label.tolist()))


def scaled(fit, *others):
    """The rows, each feature with the mean and the population standard deviation of the fitting rows."""
    mean, sd = fit.mean(0), fit.std(0)
    return [(x - mean) / tiny(sd, mean) for x in (fit, *others)]


def expert(fit, label, ask):
    fit, ask = scaled(fit, ask)
    model = LogisticRegression(class_weight="balanced", solver="newton-cholesky", tol=1e-10, max_iter=1000)
    return model.fit(fit, label).predict_proba(ask)


def in_distribution(fit, _, ask):
    return -np.abs(scaled(fit, ask)[1]).mean(1)


def out_of_fold(fitted, x, label, inner):
    """What `fitted` says of each training row, fitted on the other inner folds."""
    parts = [fitted(x[inner != k], label[inner != k], x[inner == k]) for k in range(INNER_FOLDS)]
    out = np.empty((len(x), *parts[0].shape[1:]))
    for k, part in enumerate(parts):
        out[inner == k] = part
    return out


def reference(images):
    """Balanced accuracy by (rule, quality)."""
    features, label = load(images)
    held = np.arange(len(label)) % FOLDS == 0
    train, inner = label[~held], np.arange((~held).sum()) % INNER_FOLDS

    def sides(fitted):
        """For the training rows, and for those that are held out: rows x modalities (x classes)."""
        own = [x[~held] for x in features.values()], [x[held] for x in features.values()]
        fit = np.stack([out_of_fold(fitted, x, train, inner) for x in own[0]], 1)
        return fit, np.stack([fitted(x, train, ask) for x, ask in zip(*own)], 1)

    def top_two(p):
        p = np.sort(p, axis=2)
        return p[..., -1] - p[..., -2]

    evidence = sides(expert)
    qualities = {
        "margin": [top_two(p) for p in evidence],
        "entropy": [1 + (p * np.log(p)).sum(2) / np.log(p.shape[2]) for p in evidence],
        "in_distribution": sides(in_distribution),
    }
    weight = len(train) / (10 * np.bincount(train)[train])
    found = {}
    for name, quality in qualities.items():
        both = [(p, np.ones(q.shape, bool), q, y) for p, q, y in zip(evidence, quality, (train, label[held]))]
        for rule, p in rules(*both, weight, np.flatnonzero(~held), SEED).items():
            found[rule.removesuffix(" calibration=temperature"), name] = balanced_accuracy_score(label[held], p.argmax(1))
    return found


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def balanced_accuracies(rows):
    """By permutation, from counts by class."""
    recalls = {}
    for row in rows:
        if int(row["n"]) > 0:
            recalls.setdefault(int(row["permutation"]), []).append(int(row["correct"]) / int(row["n"]))
    return {permutation: float(np.mean(values)) for permutation, values in recalls.items()}


def compare(fuseline, images, permutations, folder):
    export(folder / "data", images)
    settings = ["--set", f"data={folder / 'data'}", "--set", f"permutations={permutations}", "--cache", folder / "cache"]
    workflow = ROOT / "bench/study/digits.yaml"
    subprocess.run([fuseline, "run", workflow, *settings, "--out", folder / "out", "--quiet"], check=True)
    expected, worst = reference(images), {"ba_clean": 0.0, "gap": 0.0, "p_value": 0.0}
    print(f"{'rule':<16} {'quality':<16} {'ba_clean':>9} {'expected':>9} {'gap':>9} {'p':>7}")
    findings = table(folder / "out/findings.csv")
    assert len(findings) == 48, f"{len(findings)} findings of 16 rules and 3 qualities"
    for row in findings:
        point = f"rule={row['rule']}, quality={row['quality']}"
        shown = folder / "permutations.csv"
        artifact = f"permute.permutations[{point}]"
        subprocess.run([fuseline, "show", workflow, artifact, *settings, "--export", shown], check=True, capture_output=True)
        broken = balanced_accuracies(table(shown))
        clean = broken.pop(-1)
        assert len(broken) == permutations, f"{point}: {len(broken)} permutations"
        drawn = np.array([broken[j] for j in range(permutations)])
        again = {
            "ba_clean": expected[row["rule"], row["quality"]],
            "gap": clean - drawn.mean(),
            "p_value": ((drawn >= clean - 1e-12).sum() + 1) / (permutations + 1),
        }
        for column, value in again.items():
            worst[column] = max(worst[column], abs(value - float(row[column])))
        numbers = float(row["ba_clean"]), again["ba_clean"], float(row["gap"]), float(row["p_value"])
        print(f"{row['rule']:<16} {row['quality']:<16} {numbers[0]:9.6f} {numbers[1]:9.6f} {numbers[2]:9.6f} {numbers[3]:7.4f}")
    print(f"{len(findings)} points compared; largest differences:", ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
    if max(worst.values()) > 1e-9:
        raise SystemExit("these are not the same numbers")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["export"], help="write the data and stop")
    parser.add_argument("folder", nargs="?", type=pathlib.Path, help="where to write it")
    parser.add_argument("--fuseline", type=pathlib.Path, default=ROOT / "target/release/fuseline")
    parser.add_argument("--images", type=int, default=1797)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--check", action="store_true", help="200 images and 19 permutations")
    args = parser.parse_args()
    if args.what:
        return export(args.folder or parser.error("export where?"), args.images)
    size = (200, 19) if args.check else (args.images, args.permutations)
    with tempfile.TemporaryDirectory() as folder:
        compare(args.fuseline, *size, pathlib.Path(folder))


if __name__ == "__main__":
    main()
