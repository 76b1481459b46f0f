#!/usr/bin/env python3
# FUSELINE-FUSION protocol=1 id=org.example.forest
"""forest: scikit-learn's random forest on evidence, availability and quality.

The model is the training rows with the parameters and the seed: a forest grown from them again is the same forest, so that the bytes are
the same each time and need no pickle.
"""

import io

import fuseline_rule as fr
import numpy as np
from sklearn.ensemble import RandomForestClassifier


# Trees of scikit-learn compare single precision: a quality beyond it is an error there.
LARGEST = float(np.finfo(np.float32).max)


def design(batch):
    evidence, quality = batch.where_available()
    quality = np.clip(quality, -LARGEST, LARGEST)
    return np.hstack([evidence.reshape(batch.rows, -1), batch.available.astype(float), quality])


class Forest(fr.Rule):
    id = "org.example.forest"
    name, version, licence = "random forest", "1.0.0", "MIT OR Apache-2.0"
    summary = "A random forest on evidence, availability and quality."
    # A model is grown when it is opened: as many as that takes seconds for, not minutes.
    limits = {"modalities": 8, "classes": 20}
    params = {
        "type": "object",
        "properties": {
            "trees": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 100},
            "min_rows_per_leaf": {"type": "integer", "minimum": 1, "default": 5},
        },
        "additionalProperties": False,
    }

    def fit(self, batch, params, seed):
        file = io.BytesIO()
        arrays = {
            "x": design(batch),
            "label": batch.label,
            "weight": batch.weight,
            "names": np.array(["/".join(batch.modalities), "/".join(batch.classes)]),
            "settings": np.array([params["trees"], params["min_rows_per_leaf"], seed % 2**32], dtype="u8"),
        }
        for name in sorted(arrays):
            np.save(file, arrays[name], allow_pickle=False)
        return file.getvalue()

    def open(self, model):
        file = io.BytesIO(model)
        names = ["label", "names", "settings", "weight", "x"]
        arrays = {name: np.load(file, allow_pickle=False) for name in names}
        trees, leaf, seed = (int(value) for value in arrays["settings"])
        forest = RandomForestClassifier(n_estimators=trees, min_samples_leaf=leaf, random_state=seed, n_jobs=1)
        forest.fit(arrays["x"], arrays["label"], sample_weight=arrays["weight"])
        return forest, [str(name) for name in arrays["names"]]

    def predict(self, model, batch):
        forest, names = model
        if names != ["/".join(batch.modalities), "/".join(batch.classes)]:
            raise fr.RuleError("the model was fitted with other modalities or classes")
        out = np.zeros((batch.rows, len(batch.classes)))
        if batch.rows > 0:
            out[:, forest.classes_] = forest.predict_proba(design(batch))
        return out


if __name__ == "__main__":
    fr.run(Forest())
