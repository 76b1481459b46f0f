#!/usr/bin/env python3
# FUSELINE-FUSION protocol=1 id=org.example.gate
"""A gate that was trained elsewhere: put your model in its place."""

import json

import fuseline_rule as fr  # the file beside this one; where the package fuseline is installed, fuseline.Rule is the same class
import numpy as np


class Gate(fr.Rule):
    id = "org.example.gate"
    name, version, licence = "gate", "1.0.0", "MIT"
    summary = "Weights each modality by a softmax over its quality."
    uses_quality = True

    def load(self, files, params):  # paths; the bytes that are returned are what is frozen
        with open(files["weights"], "rb") as file:
            return file.read()

    def open(self, model):
        return json.loads(model)

    def predict(self, gate, batch):  # -> probabilities (rows, classes)
        evidence, quality = batch.where_available()  # (rows, modalities, classes), (rows, modalities)
        logits = np.where(batch.available, quality * gate["slope"] + gate["offset"], -np.inf)
        weight = np.exp(logits - logits.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        return (weight[:, :, None] * evidence).sum(axis=1)


if __name__ == "__main__":
    fr.run(Gate())
