"""Writes gate.onnx: a softmax over quality weights the evidence of each modality. Needs the package onnx."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def constant(name, values, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


nodes = [
    helper.make_node("Mul", ["q", "slope"], ["logit"]),
    helper.make_node("Sub", ["a", "one"], ["missing"]),  # 0 where the modality is there, -1 where it is not
    helper.make_node("Mul", ["missing", "far"], ["penalty"]),
    helper.make_node("Add", ["logit", "penalty"], ["masked"]),
    helper.make_node("Softmax", ["masked"], ["weight"], axis=1),
    helper.make_node("Unsqueeze", ["weight", "last"], ["column"]),
    helper.make_node("Mul", ["column", "probs"], ["weighted"]),
    helper.make_node("ReduceSum", ["weighted", "middle"], ["p"], keepdims=0),
]
inputs = [
    helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["rows", 2, 2]),  # rows, modalities, classes
    helper.make_tensor_value_info("q", TensorProto.FLOAT, ["rows", 2]),
    helper.make_tensor_value_info("a", TensorProto.FLOAT, ["rows", 2]),
]
outputs = [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["rows", 2])]
weights = [
    constant("slope", [2.0, 2.0]),
    constant("one", 1),
    constant("far", 1e9),
    constant("last", [2], np.int64),
    constant("middle", [1], np.int64),
]
graph = helper.make_graph(nodes, "gate", inputs, outputs, weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "gate.onnx")
