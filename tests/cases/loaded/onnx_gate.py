"""Exports a gate to ONNX and compares what fuseline makes of it with onnxruntime: FOLDER COMMAND."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

folder, command = Path(sys.argv[1]), sys.argv[2]
names, classes = ["audio", "video"], ["rest", "stress"]


def number(name, values):
    return numpy_helper.from_array(np.asarray(values, dtype=np.float32), name)


axes = numpy_helper.from_array(np.array([2]), "axes")
middle = numpy_helper.from_array(np.array([1]), "middle")
nodes = [
    helper.make_node("Mul", ["q", "slope"], ["scaled"]),
    helper.make_node("Add", ["scaled", "offset"], ["logit"]),
    helper.make_node("Sub", ["a", "one"], ["missing"]),
    helper.make_node("Mul", ["missing", "far"], ["penalty"]),
    helper.make_node("Add", ["logit", "penalty"], ["masked"]),
    helper.make_node("Softmax", ["masked"], ["weight"], axis=1),
    helper.make_node("Unsqueeze", ["weight", "axes"], ["column"]),
    helper.make_node("Mul", ["column", "probs"], ["weighted"]),
    helper.make_node("ReduceSum", ["weighted", "middle"], ["p"], keepdims=0),
]
inputs = [
    helper.make_tensor_value_info("q", TensorProto.FLOAT, ["rows", 2]),
    helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["rows", 2, 2]),
    helper.make_tensor_value_info("a", TensorProto.FLOAT, ["rows", 2]),
]
outputs = [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["rows", 2])]
weights = [number("slope", [1.7, 2.3]), number("offset", [0.1, -0.2]), number("one", 1), number("far", 1e9), axes, middle]
graph = helper.make_graph(nodes, "gate", inputs, outputs, weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "gate.onnx")

subprocess.run([command, "run", "workflow.yaml", "--quiet", "--out", "out"], cwd=folder, check=True)
said = pd.read_parquet(folder / "out/predictions.parquet").set_index("example_id")

data = pd.read_csv(folder / "data.csv").set_index("id")
tables = [pd.read_csv(folder / f"{name}.csv").set_index("id").reindex(data.index) for name in names]
available = np.stack([table.rest.notna().to_numpy() for table in tables], axis=1)
evidence = np.where(available[:, :, None], np.stack([table[classes].to_numpy() for table in tables], axis=1), 0)
quality = np.where(available, data[[f"q_{name}" for name in names]].to_numpy(), 0)
assert not available.all(), "some modalities are unavailable"
session = onnxruntime.InferenceSession(folder / "gate.onnx")
given = {"q": quality, "probs": evidence, "a": available}
(expected,) = session.run(["p"], {name: values.astype(np.float32) for name, values in given.items()})
expected = pd.DataFrame(expected, index=data.index).loc[said.index].to_numpy(dtype=float)
difference = np.abs(np.stack(said.probabilities) - expected / expected.sum(axis=1, keepdims=True)).max()
assert difference < 1e-6, difference

# Gates that are refused: of whole numbers, of the batch's mean quality, of classes before modalities.
cast = helper.make_node("Cast", ["whole"], ["q"], to=TensorProto.FLOAT)
mean = helper.make_node("ReduceMean", ["given"], ["mean"], axes=[0], keepdims=1)
centred = helper.make_node("Sub", ["given", "mean"], ["q"])
whole = helper.make_tensor_value_info("whole", TensorProto.INT64, ["rows", 2])
given = helper.make_tensor_value_info("given", TensorProto.FLOAT, ["rows", 2])
turned = helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["rows", 3, 2])
for name, before, own in [
    ("whole", [cast], [whole, *inputs[1:]]),
    ("batch", [mean, centred], [given, *inputs[1:]]),
    ("turned", [], [inputs[0], turned, inputs[2]]),
]:
    graph = helper.make_graph([*before, *nodes], "gate", own, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / f"{name}.onnx")
print("equal to onnxruntime")
