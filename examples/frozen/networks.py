"""Three small multimodal networks in numpy, of the shapes that the literature trains in torch.

`gated`: each modality decides, and a gate weights the decisions. `attention`: one query attends over the modalities' hidden
states, with quality as a bias of its logits. Both take a reliability signal of each modality as an input. `energy`: each
modality decides, and its weight is the energy of its own logits (as in quality-aware multimodal fusion, Zhang et al. 2023): the
signal is computed inside, so that it has to be tapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

import numpy as np

KINDS = ("gated", "attention", "energy")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    power = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)


def energy(logits: np.ndarray) -> np.ndarray:
    """Minus the free energy of logits (..., classes): large where a modality is sure."""
    top = logits.max(axis=-1)
    return top + np.log(np.exp(logits - top[..., None]).sum(axis=-1))


@dataclass(frozen=True)
class Network:
    """A trained network. `weights`: mean_M, sd_M, a_M (features, hidden), a0_M for each modality M, and what it shares."""

    kind: str
    modalities: tuple[str, ...]
    weights: dict[str, np.ndarray]

    @classmethod
    def load(cls, path: str | IO[bytes]) -> Network:
        """Reads what `save` wrote."""
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        kind, modalities = str(arrays.pop("kind")), tuple(map(str, arrays.pop("modalities")))
        return cls(kind, modalities, arrays)

    def save(self, path: str) -> None:
        """Writes an npz file."""
        np.savez(path, kind=self.kind, modalities=list(self.modalities), **self.weights)

    def hidden(self, features: dict[str, np.ndarray]) -> np.ndarray:
        """Hidden states (rows, modalities, hidden) of features {modality: (rows, columns)}; missing values count as the mean."""
        w, each = self.weights, []
        for m in self.modalities:
            x = (np.where(np.isfinite(features[m]), features[m], w[f"mean_{m}"]) - w[f"mean_{m}"]) / w[f"sd_{m}"]
            # Not `@`: what BLAS adds up in which order hangs on the number of rows.
            each.append(np.tanh(np.einsum("nc,cd->nd", x, w[f"a_{m}"]) + w[f"a0_{m}"]))
        return np.stack(each, axis=1)

    def decisions(self, hidden: np.ndarray) -> np.ndarray:
        """Each modality's own logits (rows, modalities, classes); of the attention network none."""
        return np.einsum("nmd,mdk->nmk", hidden, self.weights["b"]) + self.weights["b0"]

    def signal(self, features: dict[str, np.ndarray]) -> np.ndarray:
        """The reliability that the network `energy` computes inside (rows, modalities): what a tap records."""
        return energy(self.decisions(self.hidden(features)))

    def predict(self, features: dict[str, np.ndarray], quality: np.ndarray) -> np.ndarray:
        """Probabilities (rows, classes) under quality (rows, modalities)."""
        hidden = self.hidden(features)
        if self.kind == "energy":
            weight = softmax(quality)
            return (weight[:, :, None] * softmax(self.decisions(hidden))).sum(axis=1)
        w = self.weights
        score = np.einsum("nmd,md->nm", hidden, w["r"]) + w["k"] * (quality - w["centre"]) / w["spread"] + w["c"]
        weight = softmax(score)
        if self.kind == "gated":
            return (weight[:, :, None] * softmax(self.decisions(hidden))).sum(axis=1)
        return softmax(np.einsum("nd,dk->nk", (weight[:, :, None] * hidden).sum(axis=1), w["v"]) + w["v0"])


def train(
    kind: str, features: dict[str, np.ndarray], quality: np.ndarray, label: np.ndarray, *, hidden: int = 8, epochs: int = 400, seed: int = 1
) -> Network:
    """Trains a network by Adam on the balanced cross-entropy: features {modality: (rows, columns)}, quality (rows, modalities),
    label (rows,) from 0. The same arguments give the same weights."""
    random = np.random.default_rng(seed)
    modalities, classes = tuple(features), int(label.max()) + 1
    w: dict[str, np.ndarray] = {"centre": quality.mean(axis=0), "spread": quality.std(axis=0) + 1e-9}
    inputs = {}
    for m, x in features.items():
        x = np.where(np.isfinite(x), x, np.nan)
        w[f"mean_{m}"], w[f"sd_{m}"] = np.nanmean(x, axis=0), np.nanstd(x, axis=0) + 1e-9
        inputs[m] = (np.where(np.isnan(x), w[f"mean_{m}"], x) - w[f"mean_{m}"]) / w[f"sd_{m}"]
        w[f"a_{m}"] = random.normal(scale=x.shape[1] ** -0.5, size=(x.shape[1], hidden))
        w[f"a0_{m}"] = np.zeros(hidden)
    w["r"], w["k"], w["c"] = np.zeros((len(modalities), hidden)), np.ones(len(modalities)), np.zeros(len(modalities))
    w["b"], w["b0"] = random.normal(scale=0.3, size=(len(modalities), hidden, classes)), np.zeros((len(modalities), classes))
    w["v"], w["v0"] = random.normal(scale=0.3, size=(hidden, classes)), np.zeros(classes)
    q = (quality - w["centre"]) / w["spread"]
    weight = (1 / np.bincount(label))[label]
    weight /= weight.sum()
    truth = np.eye(classes)[label]
    learnt = [name for name in w if name.partition("_")[0] not in ("mean", "sd", "centre", "spread")]
    first, second = ({name: np.zeros_like(w[name]) for name in learnt} for _ in range(2))
    for step in range(1, epochs + 1):
        gradient = _gradient(kind, w, inputs, q, truth, weight)
        for name in learnt:
            g = gradient.get(name, 0.0) + 1e-3 * w[name]
            first[name] += 0.1 * (g - first[name])
            second[name] += 0.001 * (g * g - second[name])
            w[name] = w[name] - 0.02 * (first[name] / (1 - 0.9**step)) / (np.sqrt(second[name] / (1 - 0.999**step)) + 1e-8)
    return Network(kind, modalities, w)


def _gradient(kind, w, inputs, q, truth, weight):
    """Gradient of the weighted cross-entropy."""
    hidden = np.stack([np.tanh(x @ w[f"a_{m}"] + w[f"a0_{m}"]) for m, x in inputs.items()], axis=1)
    g: dict[str, np.ndarray] = {}
    if kind == "attention":
        share = softmax(np.einsum("nmd,md->nm", hidden, w["r"]) + w["k"] * q + w["c"])
        mixed = (share[:, :, None] * hidden).sum(axis=1)
        d = weight[:, None] * (softmax(mixed @ w["v"] + w["v0"]) - truth)
        g["v"], g["v0"] = mixed.T @ d, d.sum(axis=0)
        back = d @ w["v"].T
        d_share, d_hidden = np.einsum("nd,nmd->nm", back, hidden), share[:, :, None] * back[:, None]
    else:
        logits = np.einsum("nmd,mdk->nmk", hidden, w["b"]) + w["b0"]
        own = softmax(logits)
        if kind == "energy":
            share = softmax(energy(logits))
        else:
            share = softmax(np.einsum("nmd,md->nm", hidden, w["r"]) + w["k"] * q + w["c"])
        p = (share[:, :, None] * own).sum(axis=1)
        d = -weight[:, None] * truth / np.maximum(p, 1e-12)
        d_share = (d[:, None] * own).sum(axis=2)
        d_own = share[:, :, None] * d[:, None]
        d_logits = own * (d_own - (d_own * own).sum(axis=2, keepdims=True))
        if kind == "energy":
            d_score = share * (d_share - (d_share * share).sum(axis=1, keepdims=True))
            d_logits += d_score[:, :, None] * own
        g["b"], g["b0"] = np.einsum("nmd,nmk->mdk", hidden, d_logits), d_logits.sum(axis=0)
        d_hidden = np.einsum("nmk,mdk->nmd", d_logits, w["b"])
    if kind != "energy":
        d_score = share * (d_share - (d_share * share).sum(axis=1, keepdims=True))
        g["r"], g["k"], g["c"] = np.einsum("nm,nmd->md", d_score, hidden), (d_score * q).sum(axis=0), d_score.sum(axis=0)
        d_hidden = d_hidden + d_score[:, :, None] * w["r"]
    d_hidden = d_hidden * (1 - hidden**2)
    for place, (m, x) in enumerate(inputs.items()):
        g[f"a_{m}"], g[f"a0_{m}"] = x.T @ d_hidden[:, place], d_hidden[:, place].sum(axis=0)
    return g
