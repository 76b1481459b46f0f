#!/usr/bin/env python3
# FUSELINE-FUSION protocol=1 id=org.example.gate
"""A gate that was trained elsewhere."""
import io
import fuseline_rule as fuseline
import numpy as np

class Gate(fuseline.Rule):
    id = "org.example.gate"
    name, version, licence, summary = "gate", "1.0.0", "MIT", "A softmax gate on quality."
    accepts = {"modalities": 2}

    def load(self, files, params):
        slope, offset = np.fromfile(files["weights"], dtype="<f8").reshape(2, -1)
        model = io.BytesIO()
        np.savez(model, slope=slope, offset=offset)
        return model.getvalue()

    def open(self, model):
        with np.load(io.BytesIO(model)) as f:
            return f["slope"], f["offset"]

    def predict(self, model, batch):
        w, b = model
        logit = batch.quality * w + b
        e = np.exp(logit - logit.max(axis=1, keepdims=True))
        gate = e / e.sum(axis=1, keepdims=True)
        return (gate[:, :, None] * batch.evidence).sum(axis=1)

if __name__ == "__main__":
    Gate().serve()
