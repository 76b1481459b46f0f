//! Branches of an ONNX graph that are decided before the model runs.

use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use tract_onnx::prelude::{Framework, InferenceModelExt, TractResult};

use super::graph::{attribute, constant, integers, prune};
use super::model::{infer, scalar};

/// Puts the branch that is taken in the place of each `If` whose condition hangs on shapes and
/// constants alone: the branches of exporters often have different ranks, and the one that is not
/// taken need not be one that can be run.
pub(super) fn inline_decided(onnx: &Onnx, proto: &mut ModelProto) -> TractResult<()> {
    // A branch that is put in the place of its node may hold such nodes itself.
    let mut undecided = 0;
    loop {
        let Some(graph) = &proto.graph else { return Ok(()) };
        let mut ifs = graph.node.iter().enumerate().filter(|(_, node)| node.op_type == "If");
        let Some((place, node)) = ifs.nth(undecided) else { return Ok(()) };
        let decided = node.input.first().and_then(|condition| decide(onnx, proto, condition));
        let name = match decided {
            Some(true) => "then_branch",
            Some(false) => "else_branch",
            None => {
                undecided += 1;
                continue;
            }
        };
        let branch = attribute(node, name).and_then(|branch| branch.g.clone());
        match (branch, &mut proto.graph) {
            (Some(branch), Some(graph)) => inline(graph, place, branch),
            _ => undecided += 1,
        }
    }
}

/// The value of a condition, where it is the same for all rows.
fn decide(onnx: &Onnx, proto: &ModelProto, condition: &str) -> Option<bool> {
    let graph = proto.graph.as_ref()?;
    if let Some(tensor) = constant(graph, condition) {
        return integers(tensor).first().map(|truth| *truth != 0);
    }
    let mut part = proto.clone();
    let graph = part.graph.as_mut()?;
    graph.output = vec![ValueInfoProto { name: condition.to_owned(), ..ValueInfoProto::default() }];
    prune(graph, [condition.to_owned()]);
    let mut model = onnx.model_for_proto_model(&part).ok()?;
    infer(&mut model).ok()?;
    let model = model.into_typed().ok()?.into_decluttered().ok()?;
    scalar::<bool>(&*model.output_fact(0).ok()?.konst.clone()?)
}

/// Puts the nodes of a branch in the place of a node.
fn inline(graph: &mut GraphProto, place: usize, branch: GraphProto) {
    let outputs = std::mem::take(&mut graph.node[place].output);
    let results = branch.output.iter().zip(outputs).map(|(from, to)| NodeProto {
        name: format!("{to}.taken"),
        op_type: "Identity".to_owned(),
        input: vec![from.name.clone()],
        output: vec![to],
        ..NodeProto::default()
    });
    let nodes: Vec<NodeProto> = branch.node.into_iter().chain(results).collect();
    graph.node.splice(place..=place, nodes);
    for tensor in branch.initializer {
        if graph.initializer.iter().all(|known| known.name != tensor.name) {
            graph.initializer.push(tensor);
        }
    }
}
