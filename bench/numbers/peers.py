"""The permutation loop as a careful user writes it with numpy and scikit-learn: naive, and vectorised where numpy can.

Prints one JSON line a rule and way: the least time a permutation of `--repeats` runs. One thread: set OMP_NUM_THREADS=1.
"""

import argparse
import json
import time

import numpy as np
from scipy.special import softmax
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MODALITIES = 3


def study(rows, classes, seed):
    rng = np.random.default_rng(seed)
    label = np.arange(rows) % classes
    reliability = rng.random((rows, MODALITIES))
    scores = 0.05 + rng.random((rows, MODALITIES, classes))
    scores[np.arange(rows), :, label] += 3 * reliability
    evidence = scores / scores.sum(2, keepdims=True)
    return evidence, np.ones((rows, MODALITIES)), reliability + 0.1 * rng.random((rows, MODALITIES)), label


def design(p, a, q):
    rows = len(p)
    return np.hstack([p.reshape(rows, -1), a, q, (p * q[..., None]).reshape(rows, -1)])


class WeightedMean:
    def fit(self, p, a, q, y):
        self.mean, self.sd = q.mean(0), q.std(0)
        return self

    def predict_proba(self, p, a, q):
        w = softmax(np.where(a > 0, (q - self.mean) / self.sd, -np.inf), axis=1)
        return (w[..., None] * p).sum(1)

    def permuted(self, p, a, q, index):
        """index: permutations by rows."""
        w = np.exp((q - self.mean) / self.sd)[index] * a
        return np.einsum("jim,imk->jik", w / w.sum(2, keepdims=True), p)


class Lr:
    def fit(self, p, a, q, y):
        self.model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(design(p, a, q), y)
        return self

    def predict_proba(self, p, a, q):
        return self.model.predict_proba(design(p, a, q))

    def permuted(self, p, a, q, index):
        rows, modalities, classes = p.shape
        scaler, lr = self.model
        w = lr.coef_ / scaler.scale_
        b = lr.intercept_ - w @ scaler.mean_
        k = modalities * classes
        base = b + np.hstack([p.reshape(rows, -1), a]) @ w[:, : k + modalities].T
        slope = w[:, k + modalities : k + 2 * modalities].T[None] + np.einsum(
            "imk,bmk->imb", p, w[:, k + 2 * modalities :].reshape(-1, modalities, classes))
        score = base[None] + np.einsum("jim,imb->jib", q[index], slope)
        if classes == 2:
            one = 1 / (1 + np.exp(-score))
            return np.concatenate([1 - one, one], axis=2)
        return softmax(score, axis=2)


class Moe:
    """A gate of random weights: predicting costs the same whatever they are."""

    def fit(self, p, a, q, y):
        x = np.hstack([q, p.reshape(len(p), -1)])
        self.mean, self.sd = x.mean(0), x.std(0)
        self.w = np.random.default_rng(3).normal(size=(p.shape[1], x.shape[1]))
        return self

    def predict_proba(self, p, a, q):
        x = (np.hstack([q, p.reshape(len(p), -1)]) - self.mean) / self.sd
        w = softmax(np.where(a > 0, x @ self.w.T, -np.inf), axis=1)
        return (w[..., None] * p).sum(1)

    def permuted(self, p, a, q, index):
        m = p.shape[1]
        fixed = ((p.reshape(len(p), -1) - self.mean[m:]) / self.sd[m:]) @ self.w[:, m:].T
        own = ((q - self.mean[:m]) / self.sd[:m]) @ self.w[:, :m].T
        w = softmax(fixed[None] + own[index], axis=2)
        return np.einsum("jim,imk->jik", w, p)


class Hgb:
    def fit(self, p, a, q, y):
        self.model = HistGradientBoostingClassifier(max_iter=50, early_stopping=False).fit(design(p, a, q), y)
        return self

    def predict_proba(self, p, a, q):
        return self.model.predict_proba(design(p, a, q))


RULES = {"weighted_mean": WeightedMean, "lr": Lr, "moe": Moe, "hgb": Hgb}


def naive(model, p, a, q, y, permutations):
    rng = np.random.default_rng(4)
    clean = model.predict_proba(p, a, q).argmax(1)
    for _ in range(permutations):
        probabilities = model.predict_proba(p, a, q[rng.permutation(len(p))])
        decision = probabilities.argmax(1)
        balanced_accuracy_score(y, decision)
        (decision != clean).sum()


def vectorised(model, p, a, q, y, permutations, block):
    rng = np.random.default_rng(4)
    clean = model.predict_proba(p, a, q).argmax(1)
    shares = np.array([(y == k) / (y == k).sum() for k in range(p.shape[2])]).sum(0) / p.shape[2]
    for start in range(0, permutations, block):
        size = min(block, permutations - start)
        index = rng.permuted(np.tile(np.arange(len(p)), (size, 1)), axis=1)
        decision = model.permuted(p, a, q, index).argmax(2)
        ((decision == y) * shares).sum(1)
        (decision != clean).sum(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=370)
    parser.add_argument("--classes", type=int, default=2)
    parser.add_argument("--rules", default="weighted_mean,lr,moe,hgb")
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    train = study(min(max(args.rows, 60), 400 * args.classes), args.classes, 1)
    test = study(args.rows, args.classes, 2)
    for rule in args.rules.split(","):
        model = RULES[rule]().fit(*train)
        ways = {"naive": lambda: naive(model, *test, args.permutations)}
        if hasattr(model, "permuted"):
            block = max(1, 2_000_000 // (args.rows * args.classes))
            ways["vectorised"] = lambda: vectorised(model, *test, args.permutations, block)
        for way, run in ways.items():
            least = float("inf")
            for _ in range(args.repeats):
                started = time.perf_counter()
                run()
                least = min(least, time.perf_counter() - started)
            print(json.dumps({
                "rule": rule, "way": way, "rows": args.rows, "classes": args.classes, "permutations": args.permutations,
                "seconds": least, "rows_per_second": args.rows * args.permutations / least}), flush=True)


if __name__ == "__main__":
    main()
