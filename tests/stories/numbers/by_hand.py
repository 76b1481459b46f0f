"""The study of numbers by numpy, scipy and scikit-learn, and through the callable door: python3 by_hand.py FOLDER OUT PACKAGE BINARY"""

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, sys.argv[3])
os.environ["FUSELINE_BINARY"] = sys.argv[4]
import fuseline  # noqa: E402

MODALITIES = ["voice", "face"]
read = lambda name: pd.read_parquet(out / f"{name}.parquet")  # noqa: E731


def close(what, found, expected, tolerance=1e-9):
    distance = np.max(np.abs(np.asarray(found, float) - np.asarray(expected, float)))
    assert distance <= tolerance, f"{what}: off by {distance:.3g}"


labels = pd.read_csv(folder / "labels.csv", index_col="id")
labels = labels[labels.score.notna()]
features = {m: pd.read_csv(folder / f"{m}.csv", index_col="id") for m in MODALITIES}
ids = sorted(set(labels.index) & (set(features["voice"].index) | set(features["face"].index)))
cohort = read("cohort").set_index("example_id")
assert list(cohort.index) == ids and cohort.label.dtype == np.float64
close("labels", cohort.label, labels.score.loc[ids], 0)
y, group = cohort.label.to_numpy(), cohort.group.to_numpy()

# Groups by rank: those of even rank are tested. Inner folds: the same over the sorted groups of the training rows.
rank = {name: at for at, name in enumerate(sorted(set(group)))}
test = np.array([rank[name] % 2 == 0 for name in group])
train_rank = {name: at for at, name in enumerate(sorted(set(group[~test])))}
inner = np.array([train_rank.get(name, -1) % 3 for name in group])


def ridge(x, rows, ask):
    mean = np.nanmean(x[rows], axis=0)
    filled = np.where(np.isnan(x), mean, x)
    scaler = StandardScaler().fit(filled[rows])
    return Ridge(alpha=2.0, solver="svd").fit(scaler.transform(filled[rows]), y[rows]).predict(scaler.transform(filled[ask]))


evidence, quality, there = [], [], []
for m in MODALITIES:
    table = features[m].reindex(ids)
    has = np.array([name in features[m].index for name in ids])
    x = table.drop(columns="quality").to_numpy(float)
    said = np.full(len(ids), np.nan)
    said[test & has] = ridge(x, ~test & has, test & has)
    for fold in range(3):
        own = ~test & has & (inner == fold)
        said[own] = ridge(x, ~test & has & (inner != fold), own)
    for side, rows in [("train", ~test & has), ("test", test & has)]:
        given = read(f"{side}_{m}").set_index("example_id")
        assert list(given.index) == [ids[i] for i in np.flatnonzero(rows)]
        close(f"{side} {m}", given.prediction, said[rows])
    evidence.append(said)
    quality.append(table.quality.to_numpy(float))
    there.append(has)
P, Q, A = (np.stack(of, axis=1) for of in (evidence, quality, there))
train = ~test & A.any(axis=1)

# The rules.
level = np.array([Q[train & A[:, m], m].mean() for m in range(2)])
spread = np.array([Q[train & A[:, m], m].std() for m in range(2)])


def weighted_mean(q, rows):
    z = np.where(A[rows], (q - level) / spread, -np.inf)
    w = np.exp(z - z.max(axis=1, keepdims=True))
    return (w * np.where(A[rows], P[rows], 0)).sum(axis=1) / w.sum(axis=1)


def design(q, rows):
    a = A[rows].astype(float)
    p, q = np.where(A[rows], P[rows] - y[train].mean(), 0), np.where(A[rows], q, 0)
    return np.hstack([p, a, q, p * q])


scaler = StandardScaler().fit(design(Q[train], train))
fitted = Ridge(alpha=1.0, solver="svd").fit(scaler.transform(design(Q[train], train)), y[train])
lr = lambda q, rows: fitted.predict(scaler.transform(design(q, rows)))  # noqa: E731
tested = test & A.any(axis=1)
mean = np.nanmean(np.where(A, P, np.nan), axis=1)[tested]
for name, expected in [("mean", mean), ("weighted_mean", weighted_mean(Q[tested], tested)), ("lr", lr(Q[tested], tested))]:
    given = read(f"predict_{name}").set_index("example_id")
    assert list(given.index) == [ids[i] for i in np.flatnonzero(tested)]
    close(name, given.prediction, expected)


# The metrics, and the gap under the very permutations of the engine: the callable sees each of them.
def concordance(p, t):
    return 2 * np.mean((p - p.mean()) * (t - t.mean())) / (p.var() + t.var() + (p.mean() - t.mean()) ** 2)


metrics = {
    "mae": (lambda p, t: np.mean(np.abs(p - t)), -1),
    "rmse": (lambda p, t: np.sqrt(np.mean((p - t) ** 2)), -1),
    "pearson": (lambda p, t: pearsonr(p, t)[0], 1),
    "concordance": (concordance, 1),
}
t = y[tested]
names = [ids[i] for i in np.flatnonzero(tested)]
for rule, predict, files in [
    ("weighted_mean", weighted_mean, {name: f"finding_{name}" for name in metrics}),
    ("lr", lr, {"mae": "finding_lr"}),
]:
    for name, file in files.items():
        metric, sign = metrics[name]
        asked = []

        def model(q):
            asked.append(metric(predict(q, tested), t))
            return predict(q, tested)

        r = fuseline.diagnose(
            model, quality=np.where(A[tested], Q[tested], np.nan), available=A[tested], y=t, groups=list(group[tested]),
            ids=names, score=name, permutations=199, seed=7, progress=False, tolerance=1e-12)
        clean, broken = asked[0], np.array(asked[1:200])
        gap = sign * (clean - broken.mean())
        better = np.sum(sign * broken >= sign * clean - 1e-12)
        finding = read(file).iloc[0]
        assert finding.metric == name and pd.isna(finding.ba_clean) and pd.isna(finding.flip_rate)
        close(f"{rule} {name} clean", [finding.metric_clean, r.metric["clean"]], clean, 1e-10)
        close(f"{rule} {name} broken", [finding.metric_broken, r.metric["broken"]], broken.mean(), 1e-10)
        close(f"{rule} {name} each", r.broken, broken, 1e-10)
        close(f"{rule} {name} gap", [finding.gap, r.gap], gap, 1e-10)
        close(f"{rule} {name} p", [finding.p_value, r.p_value], (better + 1) / 200, 0)
        close(f"{rule} {name} interval", [finding.gap_low, finding.gap_high], r.interval, 1e-9)
        assert r.interval[0] <= r.gap <= r.interval[1]
        assert "balanced accuracy" not in r.verdict + r.report(), r.verdict
        for m, name in enumerate(MODALITIES):
            rows = tested & A[:, m]
            near, q = -np.abs(P[rows, m] - y[rows]), Q[rows, m]
            more = near[:, None] > near[None, :]
            wins = (q[:, None] > q[None, :]) + 0.5 * (q[:, None] == q[None, :])
            close(f"alignment {name}", finding[f"alignment_{name}"], wins[more].mean())
still = read("finding_mean").iloc[0]
assert still.gap == 0 and still.p_value == 1 and still.prediction_shift == 0 and not still.reads_quality

# A score of the user's own, of each example: the same as the metric that it is.
model = lambda q: weighted_mean(q, tested)  # noqa: E731
given = dict(quality=np.where(A[tested], Q[tested], np.nan), available=A[tested], y=t, groups=list(group[tested]), ids=names,
             permutations=99, seed=7, progress=False)
own = fuseline.diagnose(model, score=lambda y, p: -np.abs(y - p), **given)
mae = fuseline.diagnose(model, score="mae", **given)
close("own score", [own.gap, *own.interval, own.p_value], [mae.gap, *mae.interval, mae.p_value], 1e-12)
assert "mean score" in own.verdict and "score" in repr(own), own.verdict
for wrong, words in [
    (dict(score="r2"), "a function or one of mae"),
    (dict(score="mae", equivalence_margin=0.1), "equivalence is not claimed"),
    (dict(score="mae", scheme="within_class"), "one of classes"),
    (dict(score=lambda y, p: 0.0), "scores has shape"),
    (dict(), "takes numbers"),
]:
    try:
        fuseline.diagnose(model, **{**given, **wrong})
    except fuseline.FuselineError as error:
        assert words in str(error), (words, str(error))
    else:
        raise SystemExit(f"{wrong} was taken")
print("equal")
