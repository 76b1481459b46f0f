//! Nodes of an ONNX graph that are not run: those that draw random numbers, those of a model in
//! training, and those that the runtime would compute otherwise than ONNX specifies.

use tract_onnx::Onnx;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use super::graph::{all_graphs, attribute, constant, integers, node_name, text};
use fuseline_onnx::OnnxError;

/// Advice for a model that cannot be run.
pub(super) const BARE: &str = "export the bare estimator without what surrounds it, or bring its \
    probabilities in by expert.precomputed";

/// The versions of ONNX's operator set whose operators were compared with onnxruntime.
const OPSETS: std::ops::RangeInclusive<i64> = 9..=28;

/// Refuses a model of an operator set that was not compared with onnxruntime.
pub(super) fn check_opset(file: &str, model: &ModelProto) -> Result<(), OnnxError> {
    let is_default = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let import = model.opset_import.iter().find(|import| is_default(&import.domain));
    // A classifier of scikit-learn may have no node of ONNX proper.
    if nodes.clone().all(|node| !is_default(&node.domain)) {
        return Ok(());
    }
    let version = import.map_or(0, |import| import.version);
    if OPSETS.contains(&version) {
        return Ok(());
    }
    Err(OnnxError::new(format!(
        "{file} is written in version {version} of ONNX's operators, where {} to {} are read",
        OPSETS.start(),
        OPSETS.end()
    ))
    .at("path")
    .hint(
        "export it in version 17: opset_version=17 or target_opset=17, or onnx.version_converter",
    ))
}

/// Refuses a graph with a node that cannot be run as ONNX means it.
pub(super) fn check_nodes(
    file: &str,
    model: &ModelProto,
    graph: &GraphProto,
    onnx: &Onnx,
) -> Result<(), OnnxError> {
    for inner in all_graphs(graph) {
        for node in &inner.node {
            let value = |name: &str| constant(inner, name).or_else(|| constant(graph, name));
            let is_function = model.functions.iter().any(|function| {
                function.name.as_deref() == Some(&node.op_type)
                    && function.domain.as_deref().unwrap_or_default() == node.domain
            });
            let (why, hint) = if is_function {
                ("is a function of the file", INLINE)
            } else if let Some(wrong) = unfaithful(node, value) {
                wrong
            } else if !onnx.op_register.0.contains_key(&node.op_type) {
                ("cannot be run here", unknown(&node.op_type))
            } else {
                continue;
            };
            return Err(OnnxError::new(format!(
                "{file} has the node {} of type {}, which {why}",
                node_name(node),
                node.op_type
            ))
            .at("path")
            .hint(hint));
        }
    }
    Ok(())
}

const INLINE: &str =
    "put what functions do in their place: onnx.inliner.inline_local_functions(onnx.load(path))";

const UNOPTIMISED: &str =
    "give the file that was exported, not what onnxruntime saved of it when it had optimised it";

const EVAL: &str = "export the model as it is used, not as it is trained: model.eval() before \
    torch.onnx.export, \
     without training=...";

/// Advice about an operator that is not known.
fn unknown(op: &str) -> &'static str {
    match op {
        "SVMClassifier" | "SVMRegressor" => {
            "a support vector machine of scikit-learn can be fitted here by expert.linear_svm, or \
             its probabilities \
             brought in by expert.precomputed"
        }
        _ => BARE,
    }
}

/// Reason why a node would not compute what ONNX specifies, with advice.
fn unfaithful<'v>(
    node: &NodeProto,
    value: impl Fn(&str) -> Option<&'v TensorProto>,
) -> Option<(&'static str, &'static str)> {
    let flag = |name: &str| attribute(node, name).is_some_and(|of| of.i != 0);
    let is_true = |input: usize| {
        let tensor = node.input.get(input).and_then(|name| value(name));
        tensor.is_some_and(|tensor| integers(tensor) == [1])
    };
    let allows = |known: &[&str]| node.attribute.iter().all(|of| known.contains(&of.name.as_str()));
    match (node.domain.as_str(), node.op_type.as_str()) {
        (
            _,
            "RandomUniform" | "RandomUniformLike" | "RandomNormal" | "RandomNormalLike"
            | "Multinomial" | "Bernoulli",
        ) => Some(("draws random numbers: it would give other evidence each time", EVAL)),
        (_, "Dropout") if is_true(2) => {
            Some(("is in training mode: it would give other evidence each time", EVAL))
        }
        (_, "BatchNormalization") if flag("training_mode") => Some((
            "is in training mode: it would standardise an example by that example alone",
            EVAL,
        )),
        (_, "LSTM" | "GRU" | "RNN") => recurrent(node).map(|why| (why, BARE)),
        (_, "Transpose") if !is_permutation(node) => {
            Some(("has a perm that is no permutation", super::DAMAGED))
        }
        (_, "SpaceToDepth") if text(node, "mode") == "CRD" => {
            Some(("has the mode CRD, which cannot be run here", BARE))
        }
        (_, "Swish") if attribute(node, "alpha").is_some_and(|alpha| alpha.f != 1.0) => {
            Some(("has a factor alpha, which cannot be run here", BARE))
        }
        (_, "Attention") => {
            let plain = allows(&["is_causal", "scale", "q_num_heads", "kv_num_heads"])
                && node.input.iter().skip(4).all(String::is_empty);
            (!plain).then_some((
                "has options or inputs beyond query, key, value and mask, which cannot be run here",
                "export it in version 17 of ONNX's operators, where attention is made of plain \
                 ones: opset_version=17",
            ))
        }
        ("" | "ai.onnx" | "ai.onnx.ml", _) => None,
        ("com.microsoft", "Gelu" | "FastGelu" | "BiasGelu" | "QuickGelu") => None,
        ("com.microsoft", _) => {
            Some(("is an operator of onnxruntime alone and cannot be run here", UNOPTIMISED))
        }
        _ => Some(("is of a domain of its own, not of ONNX, and cannot be run here", INLINE)),
    }
}

/// True if the axes of a `Transpose` are all axes, each once.
fn is_permutation(node: &NodeProto) -> bool {
    let axes = attribute(node, "perm").map_or(&[][..], |perm| &perm.ints);
    (0..axes.len()).all(|axis| axes.iter().any(|of| usize::try_from(*of) == Ok(axis)))
}

/// Reason why a recurrent node would not compute what ONNX specifies.
fn recurrent(node: &NodeProto) -> Option<&'static str> {
    let of_one_direction: &[&str] = match node.op_type.as_str() {
        "LSTM" => &["sigmoid", "tanh", "tanh"],
        "GRU" => &["sigmoid", "tanh"],
        _ => &["tanh"],
    };
    let activations = attribute(node, "activations").map_or(&[][..], |of| &of.strings);
    let are_usual = activations.iter().enumerate().all(|(place, activation)| {
        let usual = of_one_direction[place % of_one_direction.len()];
        activation.eq_ignore_ascii_case(usual.as_bytes())
    });
    if text(node, "direction") == "reverse" {
        return Some("runs backwards alone, which cannot be done here");
    }
    if !are_usual {
        return Some("has other activations than sigmoid and tanh, which cannot be run here");
    }
    let extra = ["clip", "input_forget", "activation_alpha", "activation_beta"];
    extra
        .iter()
        .any(|name| attribute(node, name).is_some_and(|of| of.f != 0.0 || of.i != 0))
        .then_some("clips its states or couples its gates, which cannot be run here")
}
