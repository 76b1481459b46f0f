#!/usr/bin/env python3
# FUSELINE-FUSION protocol=1 id=org.example.network
"""The networks of this folder as a fusion rule, for fusion.load."""

import io

import fuseline
import numpy as np

from networks import Network


class TrainedNetwork(fuseline.Rule):
    id = "org.example.network"
    name, version, licence = "trained network", "1.0.0", "MIT OR Apache-2.0"
    summary = "A network on embeddings and quality that was trained elsewhere."
    accepts = {"modalities": "at least 2"}
    accepts_missing = False
    accepts_embeddings = True

    def load(self, files, params):
        network = Network.load(files["weights"])
        if list(network.modalities) != list(self.modalities):
            raise fuseline.RuleError(f"the network takes {', '.join(network.modalities)}, in this order")
        with open(files["weights"], "rb") as file:
            return file.read()

    def open(self, model):
        return Network.load(io.BytesIO(model))

    def predict(self, network, batch):
        features = {name: batch.embedding(name) for name in batch.modalities}
        return np.ascontiguousarray(network.predict(features, batch.quality))


if __name__ == "__main__":
    TrainedNetwork().serve()
