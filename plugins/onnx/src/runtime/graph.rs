//! Reading of an ONNX graph: nodes, constants, and dependencies.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

/// The attribute of a node.
pub(super) fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

/// The text of an attribute; empty where there is none.
pub(super) fn text<'n>(node: &'n NodeProto, name: &str) -> &'n str {
    attribute(node, name).and_then(|of| std::str::from_utf8(&of.s).ok()).unwrap_or_default()
}

/// The name of a node, or of its first result where it has none.
pub(super) fn node_name(node: &NodeProto) -> &str {
    match node.output.first() {
        Some(first) if node.name.is_empty() => first,
        _ => &node.name,
    }
}

/// The graphs inside a node: branches and bodies.
pub(super) fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// A graph and the graphs inside it.
pub(super) fn all_graphs(graph: &GraphProto) -> Vec<&GraphProto> {
    let mut graphs = vec![graph];
    graphs.extend(graph.node.iter().flat_map(subgraphs).flat_map(all_graphs));
    graphs
}

/// The tensors that are written in a graph, but for those of the graphs inside it.
pub(super) fn tensors(graph: &GraphProto) -> impl Iterator<Item = &TensorProto> {
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let inside = attributes.flat_map(|attribute| attribute.t.iter().chain(&attribute.tensors));
    graph.initializer.iter().chain(inside)
}

/// The node that makes a value, and which of its results the value is.
pub(super) fn producer<'g>(graph: &'g GraphProto, value: &str) -> Option<(&'g NodeProto, usize)> {
    graph.node.iter().find_map(|node| {
        let result = node.output.iter().position(|output| output == value)?;
        Some((node, result))
    })
}

/// The producer of a value, past nodes that leave its numbers unchanged.
pub(super) fn origin<'g>(graph: &'g GraphProto, value: &str) -> Option<(&'g NodeProto, usize)> {
    const TRANSPARENT: [&str; 8] =
        ["Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Dropout", "ZipMap"];
    let mut found = producer(graph, value)?;
    // A value is made by a node once: a longer walk is a cycle.
    for _ in 0..graph.node.len() {
        let (node, 0) = found else { break };
        if !TRANSPARENT.contains(&node.op_type.as_str()) {
            break;
        }
        match node.input.first().and_then(|input| producer(graph, input)) {
            Some(before) => found = before,
            None => break,
        }
    }
    Some(found)
}

/// A tensor that does not depend on the input: an initializer, or the value of a node `Constant`.
pub(super) fn constant<'g>(graph: &'g GraphProto, value: &str) -> Option<&'g TensorProto> {
    graph.initializer.iter().find(|tensor| tensor.name == value).or_else(|| {
        let (node, _) = producer(graph, value)?;
        if node.op_type != "Constant" {
            return None;
        }
        attribute(node, "value")?.t.as_ref()
    })
}

/// The whole numbers or truth values of a tensor; none where it holds something else.
pub(super) fn integers(tensor: &TensorProto) -> Vec<i64> {
    let wide: Vec<i64> = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Int64) => tensor.int64_data.clone(),
        Ok(DataType::Int32 | DataType::Bool) => {
            tensor.int32_data.iter().copied().map(i64::from).collect()
        }
        _ => return Vec::new(),
    };
    if !wide.is_empty() {
        return wide;
    }
    let raw = &tensor.raw_data;
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Int64) => raw.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
        Ok(DataType::Int32) => {
            raw.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect()
        }
        _ => raw.iter().map(|byte| (*byte).into()).collect(),
    }
}

/// Texts of bytes.
pub(super) fn texts(bytes: &[Vec<u8>]) -> Vec<String> {
    bytes.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// Inputs of a node: its own, and those that the graphs inside it take from outside.
pub(super) fn needs(node: &NodeProto) -> BTreeSet<String> {
    let mut needed: BTreeSet<String> =
        node.input.iter().filter(|name| !name.is_empty()).cloned().collect();
    needed.extend(subgraphs(node).flat_map(taken_from_outside));
    needed
}

/// The values that a graph inside a node takes from the graphs around it.
fn taken_from_outside(graph: &GraphProto) -> BTreeSet<String> {
    let mut taken: BTreeSet<String> = graph.node.iter().flat_map(needs).collect();
    taken.extend(graph.output.iter().map(|output| output.name.clone()));
    let inside = graph.node.iter().flat_map(|node| &node.output);
    let inside = inside.chain(graph.input.iter().map(|input| &input.name));
    for name in inside.chain(graph.initializer.iter().map(|tensor| &tensor.name)) {
        taken.remove(name);
    }
    taken
}

/// Leaves the nodes and constants that some values need.
pub(super) fn prune(graph: &mut GraphProto, values: impl IntoIterator<Item = String>) {
    let mut needed: BTreeSet<String> = values.into_iter().collect();
    // Nodes come after those whose results they take.
    let mut nodes = std::mem::take(&mut graph.node);
    nodes.reverse();
    nodes.retain(|node| {
        let is_needed = node.output.iter().any(|name| needed.contains(name));
        if is_needed {
            needed.extend(needs(node));
        }
        is_needed
    });
    nodes.reverse();
    graph.node = nodes;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
    graph.input.retain(|input| needed.contains(&input.name));
}

/// Copies the constants that graphs inside nodes take from outside into them, where the shape of a
/// result may hang on them.
pub(super) fn copy_constants_inside(graph: &mut GraphProto) {
    copy_constants(graph, &BTreeMap::new());
}

fn copy_constants(graph: &mut GraphProto, outside: &BTreeMap<String, TensorProto>) {
    let mut known = BTreeMap::new();
    for name in taken_from_outside(graph) {
        if let Some(tensor) = outside.get(&name) {
            graph.initializer.push(tensor.clone());
        }
    }
    if graph.node.iter().any(|node| subgraphs(node).next().is_some()) {
        let wanted: BTreeSet<String> =
            graph.node.iter().flat_map(subgraphs).flat_map(taken_from_outside).collect();
        for name in wanted {
            if let Some(tensor) = constant(graph, &name) {
                known.insert(name.clone(), TensorProto { name, ..tensor.clone() });
            }
        }
    }
    for node in &mut graph.node {
        for attribute in &mut node.attribute {
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                copy_constants(inner, &known);
            }
        }
    }
}
