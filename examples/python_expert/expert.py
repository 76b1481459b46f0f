"""A unimodal expert in Python: Gaussian naive Bayes, out of fold for the rows that it learns from.

fuseline starts it in a folder of its own, as `python3 expert.py`. `task.json` says where the inputs are and where the
outputs go. It needs numpy and pyarrow.
"""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

task = json.load(open("task.json"))


def read(name):
    return pq.read_table(task["inputs"][name]["path"])


def matrix(table):
    """Example_ids and features; a missing value is NaN."""
    columns = [name for name in table.column_names if name not in ("example_id", *task["params"]["exclude"])]
    return table["example_id"].to_pylist(), np.column_stack([table[name].to_numpy() for name in columns])


def fit(x, y, classes):
    """Mean and variance of every feature in every class. What it learns, it learns from these rows alone."""
    rows = [x[y == name] for name in classes]
    smooth = task["params"]["smoothing"]
    return np.array([r.mean(0) for r in rows]), np.array([r.var(0) + smooth for r in rows])


def predict(model, x):
    mean, var = model
    log = -0.5 * (np.log(2 * np.pi * var)[None] + (x[:, None, :] - mean[None]) ** 2 / var[None]).sum(-1)
    p = np.exp(log - log.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def write(name, ids, p, classes):
    """One row an example, one column a class: fuseline makes evidence of it."""
    columns = {"example_id": pa.array(ids), **{c: pa.array(p[:, k]) for k, c in enumerate(classes)}}
    pq.write_table(pa.table(columns), task["outputs"][name]["path"])


cohort = read("cohort")  # role fit: the training rows alone, so the labels of test rows are not here to be seen
classes = json.loads(task["inputs"]["cohort"]["metadata"]["classes"])
label = dict(zip(cohort["example_id"].to_pylist(), cohort["label"].to_pylist()))
group = dict(zip(cohort["example_id"].to_pylist(), cohort["group"].to_pylist()))

ids, x = matrix(read("train"))
y = np.array([label[i] for i in ids])
groups = sorted({group[i] for i in ids})
inner = np.array([groups.index(group[i]) % task["params"]["inner_folds"] for i in ids])
out_of_fold = np.empty((len(ids), len(classes)))
for k in range(task["params"]["inner_folds"]):
    out_of_fold[inner == k] = predict(fit(x[inner != k], y[inner != k], classes), x[inner == k])
write("train", ids, out_of_fold, classes)

test_ids, test_x = matrix(read("test"))
write("test", test_ids, predict(fit(x, y, classes), test_x), classes)
