"""workflows/stressid.yaml as a careful user writes it with scikit-learn, on one thread.

    python bench/study/stressid.py FOLDER_WITH_THE_CSV_FILES [--permutations 1000] [--findings findings.parquet] [--qualities mahalanobis ...]

Prints one JSON line a phase with its seconds, then the balanced accuracy under Clean-Q and the permutation gap of each rule and
quality. `--qualities` asks for others than the workflow's. With `--findings`, the table of fuseline's run, it also compares: Clean-Q must agree to 1e-9 wherever quality is not noise
(`aligned` and `random` draw from other generators). Written for numpy 2, pandas 2 and scikit-learn 1.6 or later; it shares no code
with fuseline.
"""

import argparse
import json
import os
import pathlib
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FILES = {
    "physio": ("all_physiological_features.csv", 0),
    "video": ("video11tasks_aus_gaze_mean_std.csv", 0),
    "audio": ("HCfeatures.csv", None),
}
STRESS = {"Counting1", "Counting2", "Counting3", "Math", "Speaking", "Stroop"}
QUALITIES = ["margin", "entropy", "in_distribution", "constant", "aligned", "random"]
NOISE = {"aligned", "random"}


def fold_of(group, k):
    rank = {name: r for r, name in enumerate(sorted(set(group)))}
    return np.array([rank[name] % k for name in group])


class Scaler(StandardScaler):
    """A column that is constant but for rounding counts as constant."""

    def fit(self, x, y=None, sample_weight=None):
        super().fit(x, y, sample_weight)
        sd = np.sqrt(self.var_)
        self.scale_ = np.where(sd <= 1e-12 * np.maximum(1, np.abs(self.mean_)), 1.0, sd)
        return self


def logistic(*steps):
    return make_pipeline(*steps, LogisticRegression(class_weight="balanced", solver="newton-cholesky", tol=1e-10, max_iter=1000))


def weights(label):
    return len(label) / (2 * np.bincount(label)[label])


class Mean:
    def fit(self, p, q, y):
        return self

    def predict_proba(self, p, q):
        return p.mean(1)


class WeightedMean:
    def fit(self, p, q, y):
        self.scaler = Scaler().fit(q)
        return self

    def predict_proba(self, p, q):
        return (softmax(self.scaler.transform(q), axis=1)[..., None] * p).sum(1)


def design(p, q):
    """[P, A, Q, P * Q]."""
    rows = len(p)
    return np.hstack([p.reshape(rows, -1), np.ones_like(q), q, (p * q[..., None]).reshape(rows, -1)])


class Lr:
    def fit(self, p, q, y):
        self.model = logistic(Scaler()).fit(design(p, q), y)
        return self

    def predict_proba(self, p, q):
        return self.model.predict_proba(design(p, q))


class Hgb:
    def fit(self, p, q, y):
        self.model = HistGradientBoostingClassifier(max_iter=50, early_stopping=False, class_weight="balanced")
        self.model.fit(design(p, q), y)
        return self

    def predict_proba(self, p, q):
        return self.model.predict_proba(design(p, q))


class Moe:
    def fit(self, p, q, y):
        self.scaler = Scaler()
        x = self.scaler.fit_transform(self.inputs(p, q))
        m, s = p.shape[1], weights(y)
        mine = p[np.arange(len(y)), :, y]

        def loss(theta):
            gate = theta.reshape(m, -1)
            w = softmax(x @ gate[:, :-1].T + gate[:, -1], axis=1)
            right = np.maximum((w * mine).sum(1), 1e-300)
            slope = -s[:, None] * w * (mine / right[:, None] - 1)
            gradient = np.hstack([slope.T @ x, slope.sum(0)[:, None]])
            return -(s * np.log(right)).sum() + (theta @ theta) / 2, gradient.ravel() + theta

        options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9}
        start = np.zeros(m * (x.shape[1] + 1))
        self.gate = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x.reshape(m, -1)
        return self

    def inputs(self, p, q):
        return np.hstack([q, p.reshape(len(p), -1)])

    def predict_proba(self, p, q):
        x = self.scaler.transform(self.inputs(p, q))
        return (softmax(x @ self.gate[:, :-1].T + self.gate[:, -1], axis=1)[..., None] * p).sum(1)


RULES = {"mean": Mean, "weighted_mean": WeightedMean, "lr": Lr, "hgb": Hgb, "moe": Moe}


def load(folder):
    tables = {}
    for modality, (file, header) in FILES.items():
        table = pd.read_csv(folder / file, header=header, index_col=0)
        table.index = table.index.str.removesuffix(".wav")
        tables[modality] = table
    ids = sorted(set.intersection(*(set(table.index) for table in tables.values())))
    ids = [i for i in ids if i.split("_")[1] in STRESS or i.split("_")[1] == "Reading"]
    label = np.array([i.split("_")[1] in STRESS for i in ids], dtype=int)
    group = np.array([i.split("_")[0] for i in ids])
    features = []
    for table in tables.values():
        x = table.loc[ids].to_numpy(float)
        x[~np.isfinite(x)] = np.nan
        features.append(x)
    return features, label, group


def experts(features, label, inner, test):
    """Out-of-fold evidence of the training rows and evidence of the test rows: rows x modalities x 2 each."""
    train_p, test_p = [], []
    for x in features:
        x_train, y_train = x[~test], label[~test]
        out = np.empty((len(y_train), 2))
        for fold in range(4):
            ask = inner == fold
            out[ask] = logistic(SimpleImputer(keep_empty_features=True), Scaler()).fit(x_train[~ask], y_train[~ask]).predict_proba(x_train[ask])
        train_p.append(out)
        test_p.append(logistic(SimpleImputer(keep_empty_features=True), Scaler()).fit(x_train, y_train).predict_proba(x[test]))
    return np.stack(train_p, 1), np.stack(test_p, 1)


def in_distribution(x, fit):
    scaler = Scaler().fit(SimpleImputer(keep_empty_features=True).fit_transform(fit))
    return -np.nanmean(np.abs((x - scaler.mean_) / scaler.scale_), axis=1)


def mahalanobis(x, fit):
    scaler = make_pipeline(SimpleImputer(keep_empty_features=True), Scaler()).fit(fit)
    own = scaler.transform(fit)
    apart = scaler.transform(x) - own.mean(0)
    root = np.linalg.cholesky(LedoitWolf().fit(own).covariance_)
    return -np.linalg.norm(np.linalg.solve(root, apart.T), axis=0) / np.sqrt(x.shape[1])


FITTED = {"in_distribution": in_distribution, "mahalanobis": mahalanobis}


def out_of_fold(estimate, x, inner):
    """Quality of training rows by an estimator that was fitted on the other inner folds."""
    out = np.empty(len(x))
    for fold in np.unique(inner):
        ask = inner == fold
        out[ask] = estimate(x[ask], x[~ask])
    return out


def quality(name, p, y, features, fit, inner, rng):
    """Rows x modalities. `features`, `fit`: those of the rows, and of the training rows, by modality. `inner`: the inner folds
    of training rows, none for test rows."""
    if name == "margin":
        return np.abs(p[..., 0] - p[..., 1])
    if name == "entropy":
        return 1 + (p * np.log(np.maximum(p, 1e-300))).sum(2) / np.log(2)
    if name in FITTED:
        estimate = FITTED[name]
        if inner is not None:
            return np.stack([out_of_fold(estimate, x, inner) for x in features], 1)
        return np.stack([estimate(x, own) for x, own in zip(features, fit)], 1)
    if name == "constant":
        return np.ones(p.shape[:2])
    if name == "aligned":
        return (p.argmax(2) == y[:, None]) + 0.25 * rng.normal(size=p.shape[:2])
    return rng.normal(size=p.shape[:2])


def gap_interval(clean, broken, y, group, rng, resamples=2000):
    """95 % of resamples of groups. `clean`: right or not; `broken`: share of permutations in which a row is right."""
    names, at = np.unique(group, return_inverse=True)
    sums = np.zeros((len(names), 2, 3))
    for k in (0, 1):
        own = y == k
        for column, values in enumerate((np.ones(len(y)), clean, broken)):
            np.add.at(sums[:, k, column], at[own], values[own])
    count = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    total = np.einsum("rg,gkc->rkc", count, sums)
    gaps = ((total[..., 1] - total[..., 2]) / total[..., 0]).mean(1)
    return np.percentile(gaps[np.isfinite(gaps)], [2.5, 97.5])


def holm(p):
    order = np.argsort(p)
    adjusted = np.maximum.accumulate((len(p) - np.arange(len(p))) * np.asarray(p)[order])
    out = np.empty(len(p))
    out[order] = np.minimum(adjusted, 1)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--findings", type=pathlib.Path)
    parser.add_argument("--qualities", nargs="+", default=QUALITIES)
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    seconds, began = {}, time.perf_counter()

    def phase(name, since):
        seconds[name] = seconds.get(name, 0) + time.perf_counter() - since
        return time.perf_counter()

    now = began
    features, label, group = load(args.folder)
    now = phase("load", now)
    fold, rng = fold_of(group, 5), np.random.default_rng(20260624)
    inner = [fold_of(group[fold != k], 4) for k in range(5)]
    evidence = [experts(features, label, inner[k], fold == k) for k in range(5)]
    now = phase("fit experts", now)
    findings, permutations = [], [[rng.permutation((fold == k).sum()) for _ in range(args.permutations)] for k in range(5)]
    for name in args.qualities:
        now = time.perf_counter()
        qualities = []
        for k, (train_p, test_p) in enumerate(evidence):
            test = fold == k
            fit = [x[~test] for x in features]
            qualities.append((quality(name, train_p, label[~test], fit, fit, inner[k], rng),
                              quality(name, test_p, label[test], [x[test] for x in features], fit, None, rng)))
        now = phase("qualities", now)
        for rule, kind in RULES.items():
            clean, right, pooled = np.empty(len(label), int), np.zeros(len(label)), np.zeros((args.permutations, 2))
            for k, (train_p, test_p) in enumerate(evidence):
                test = fold == k
                now = time.perf_counter()
                model = kind().fit(train_p, qualities[k][0], label[~test])
                now = phase("fit rules", now)
                q, y = qualities[k][1], label[test]
                clean[test] = model.predict_proba(test_p, q).argmax(1)
                share = np.zeros(len(y))
                for j, order in enumerate(permutations[k]):
                    hit = model.predict_proba(test_p, q[order]).argmax(1) == y
                    share += hit
                    pooled[j] += np.bincount(y, hit, 2)
                right[test] = share / args.permutations
                now = phase("permute", now)
            ba = balanced_accuracy_score(label, clean)
            broken = (pooled / np.bincount(label)).mean(1)
            low, high = gap_interval((clean == label).astype(float), right, label, group, rng)
            p = ((broken >= ba - 1e-12).sum() + 1) / (args.permutations + 1)
            findings.append({"rule": rule, "quality": name, "ba_clean": ba, "ba_broken": broken.mean(), "gap": ba - broken.mean(),
                             "gap_low": low, "gap_high": high, "p_value": p})
            now = phase("bootstrap", now)
    table = pd.DataFrame(findings)
    table["p_adjusted"] = holm(table.p_value)
    oracle = np.concatenate([(e[1].argmax(2) == label[fold == k][:, None]).any(1) for k, e in enumerate(evidence)])
    pooled_label = np.concatenate([label[fold == k] for k in range(5)])
    table["headroom"] = recall_score(pooled_label, np.where(oracle, pooled_label, 1 - pooled_label), average="macro") - table.ba_clean
    if args.out:
        args.out.write_text(table.to_html())
    phase("report", now)
    for name, value in seconds.items():
        print(json.dumps({"phase": name, "seconds": round(value, 4)}))
    print(json.dumps({"phase": "all", "seconds": round(time.perf_counter() - began, 4)}))
    print(table.to_string())
    if args.findings:
        theirs = pd.read_parquet(args.findings).set_index(["rule", "quality"])
        ours = table.set_index(["rule", "quality"])
        theirs.index = theirs.index.set_levels([level.astype(str) for level in theirs.index.levels])
        same = [key for key in ours.index if key[1] not in NOISE]
        difference = (ours.ba_clean - theirs.ba_clean).reindex(same).abs()
        print(f"Clean-Q: {len(same)} points compared, largest difference {difference.max():.3g}")
        if not difference.max() <= 1e-9:
            print(difference[~(difference <= 1e-9)].to_string())
            sys.exit(1)


if __name__ == "__main__":
    main()
