"""Ordinal and multi-label studies by pandas and scikit-learn: python3 by_hand.py ordinal|labels OUT"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, mean_absolute_error

what, out = sys.argv[1], Path(sys.argv[2])
read = lambda name: pd.read_csv(out / f"{name}.csv")  # noqa: E731


def close(what, found, expected, tolerance=1e-12):
    assert abs(found - expected) <= tolerance, f"{what}: {found} is not {expected}"


if what == "ordinal":
    cohort = read("cohort").set_index("example_id")
    said = pd.concat([read("predict0"), read("predict1")]).set_index("example_id")
    names = ["low", "mid", "high"]
    label = cohort.label.map(names.index)
    columns = [name for name in said.columns if name.startswith("p") and name != "prediction"]
    probabilities = said[columns].to_numpy(float) if len(columns) == 3 else np.array([eval(x) for x in said.probabilities])
    decision = pd.Series(probabilities.argmax(axis=1), index=said.index)
    label = label.loc[said.index]
    table = read("metrics").set_index("metric").clean
    close("balanced accuracy", table.balanced_accuracy, balanced_accuracy_score(label, decision))
    close("mean distance", table.rank_mae, mean_absolute_error(label, decision))
    close("kappa", table.quadratic_kappa, cohen_kappa_score(label, decision, weights="quadratic"))
else:
    mean = read("findings").set_index("quality").loc["column"]
    labels = ["happy", "angry", "tired"]
    each = pd.DataFrame([read(label).iloc[0] for label in labels])
    for column in ["ba_clean", "ba_broken", "gap", "ba_oracle", "ba_best_unimodal", "headroom", "flip_rate", "alignment_voice"]:
        close(column, mean[column], each[column].mean())
    values = []
    for label in labels:
        counts = pd.concat([read(f"{label}{fold}") for fold in (0, 1)]).groupby(["permutation", "class"])[["n", "correct"]].sum()
        values.append((counts.correct / counts.n).groupby("permutation").mean())
    values = pd.concat(values, axis=1).mean(axis=1)
    clean, broken = values.loc[-1], values.loc[0:]
    assert len(broken) == 199
    close("p", mean.p_value, (np.sum(broken >= clean - 1e-12) + 1) / 200)
    close("gap", mean.gap, clean - broken.mean())
    assert mean.gap_low < mean.gap < mean.gap_high and mean.bound_low <= mean.gap_low and mean.bound_high >= mean.gap_high
    assert mean.gain_low <= mean.ba_clean - mean.ba_without_quality <= mean.gain_high
print("equal")
