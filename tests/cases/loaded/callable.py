"""Asks the gate of `gate.py` through a workflow and as a callable: FOLDER COMMAND."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

folder, command = Path(sys.argv[1]), sys.argv[2]
os.environ["FUSELINE_BINARY"] = command
sys.path.insert(0, str(Path(__file__).parents[3] / "python"))
import fuseline  # noqa: E402

subprocess.run([command, "run", "workflow.yaml", "--quiet", "--out", "out"], cwd=folder, check=True)
permutations = pd.read_parquet(folder / "out/permutations.parquet")
recalls = permutations.correct / permutations.n
accuracy = recalls.groupby(permutations.permutation).mean()
clean, broken = accuracy[accuracy.index < 0].to_numpy(), accuracy[accuracy.index >= 0].to_numpy()

data = pd.read_csv(folder / "data.csv")
names = ["audio", "video"]
evidence = np.stack([pd.read_csv(folder / f"{name}.csv")[["rest", "stress"]].to_numpy() for name in names], axis=1)
slope, offset = np.fromfile(folder / "gate.bin", dtype="<f8").reshape(2, -1)


def predict(quality):
    logit = quality * slope + offset
    weight = np.exp(logit - logit.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    return (weight[:, :, None] * evidence).sum(axis=1)


result = fuseline.diagnose(
    predict, quality=data[[f"q_{name}" for name in names]].to_numpy(), y=data.label, groups=data.person, ids=data.id,
    evidence=evidence, modalities=names, permutations=99, seed=5,
)
finding = pd.read_csv(folder / "out/finding.csv").iloc[0]
assert (np.asarray(result.broken) == broken).all(), "balanced accuracy under each permutation"
assert result.gap == finding.gap and result.p_value == finding.p_value, (result.gap, finding.gap)
assert clean[0] == finding.ba_clean
print("equal to the last bit")
