//! An ONNX file as a function of one row.

use std::collections::BTreeSet;

use fuseline_engine::StageError;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::{
    DatumExt, Framework, InferenceModelExt, IntoRunnable, IntoTensor, Tensor, tvec,
};

use super::Ask;

/// Reads a model that takes rows of `width` features.
pub(super) fn load(
    file: &str,
    bytes: Vec<u8>,
    width: usize,
    input: Option<&str>,
    output: Option<&str>,
) -> Result<Ask, StageError> {
    let wrong = |what: String| StageError::data(format!("{file} {what}")).at("path");
    let onnx = tract_onnx::onnx();
    let mut proto = onnx
        .proto_model_for_read(&mut bytes.as_slice())
        .map_err(|error| wrong(format!("cannot be read as ONNX: {error}")))?;
    let graph = proto.graph.as_mut().ok_or_else(|| wrong("holds no graph".to_owned()))?;
    pass_over_zip_maps(graph);
    carry_out_scalers(graph);
    number_labels(graph);
    keep_one_output(graph, file, output)?;
    keep_one_input(graph, file, input, width)?;
    for node in &graph.node {
        if !onnx.op_register.0.contains_key(&node.op_type) {
            return Err(unsupported(file, node));
        }
    }
    if let Some(apart) = graph.initializer.iter().find(|tensor| tensor.data_location == Some(1)) {
        return Err(wrong(format!("keeps the weights {} in another file", apart.name)).hint(
            "save it as one file: torch.onnx.export(..., external_data=False) or onnx.save(model, path)",
        ));
    }
    let fails = |error: tract_onnx::prelude::TractError| {
        wrong(format!("cannot be run here: {error:#}")).hint(BARE)
    };
    let model = onnx
        .model_for_proto_model(&proto)
        .and_then(|model| model.with_input_fact(0, f32::fact([1, width]).into()))
        .and_then(InferenceModelExt::into_optimized)
        .and_then(|model| model.into_runnable())
        .map_err(fails)?;
    let file = file.to_owned();
    Ok(Box::new(move |row| {
        let asked =
            Tensor::from_shape(&[1, row.len()], row).map(|row| model.run(tvec!(row.into())));
        let given = asked.and_then(|given| {
            let given = given?.remove(0).into_tensor();
            let given = given.cast_to::<f32>()?;
            Ok(given.to_plain_array_view::<f32>()?.iter().copied().collect())
        });
        given.map_err(|error| StageError::failed(format!("{file} cannot be run: {error:#}")))
    }))
}

/// A `ZipMap` names probabilities by their class, and what it names is what is wanted.
fn pass_over_zip_maps(graph: &mut GraphProto) {
    let (maps, nodes) =
        std::mem::take(&mut graph.node).into_iter().partition(|node| node.op_type == "ZipMap");
    graph.node = nodes;
    for map in maps as Vec<NodeProto> {
        let (Some(from), Some(to)) = (map.input.first(), map.output.first()) else { continue };
        let renamed = graph.node.iter_mut().flat_map(|node| &mut node.output);
        renamed.filter(|name| *name == from).for_each(|name| name.clone_from(to));
        for output in graph.output.iter_mut().filter(|output| output.name == *to) {
            // No longer a sequence of maps; what it is now follows from the graph.
            output.r#type = None;
        }
    }
}

/// A `Scaler` is (x - offset) * scale.
fn carry_out_scalers(graph: &mut GraphProto) {
    let mut nodes = Vec::with_capacity(graph.node.len());
    for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        if node.op_type != "Scaler" {
            nodes.push(node);
            continue;
        }
        let mut from = node.input.clone();
        for (op, attribute) in [("Sub", "offset"), ("Mul", "scale")] {
            let Some(values) = node.attribute.iter().find(|found| found.name == attribute) else {
                continue;
            };
            let name = format!("fuseline.scaler{at}.{attribute}");
            graph.initializer.push(TensorProto {
                name: name.clone(),
                dims: vec![1, values.floats.len().try_into().unwrap_or(i64::MAX)],
                data_type: DataType::Float as i32,
                float_data: values.floats.clone(),
                ..TensorProto::default()
            });
            let result = format!("{name}.result");
            nodes.push(NodeProto {
                name: format!("{name}.node"),
                op_type: op.to_owned(),
                input: vec![from.swap_remove(0), name],
                output: vec![result.clone()],
                ..NodeProto::default()
            });
            from = vec![result];
        }
        nodes.push(NodeProto {
            name: node.name,
            op_type: "Identity".to_owned(),
            input: from,
            output: node.output,
            ..NodeProto::default()
        });
    }
    graph.node = nodes;
}

/// Classes go by their place, whatever their names.
fn number_labels(graph: &mut GraphProto) {
    for node in &mut graph.node {
        let ints = match node.op_type.as_str() {
            "TreeEnsembleClassifier" => "classlabels_int64s",
            "LinearClassifier" => "classlabels_ints",
            _ => continue,
        };
        let names = node.attribute.iter_mut().filter(|found| found.name == "classlabels_strings");
        for labels in names.filter(|labels| !labels.strings.is_empty()) {
            labels.ints = (0..).zip(&labels.strings).map(|(place, _)| place).collect();
            labels.strings.clear();
            ints.clone_into(&mut labels.name);
            labels.set_type(AttributeType::Ints);
        }
    }
}

/// Leaves the wanted output, and the nodes that it needs.
fn keep_one_output(
    graph: &mut GraphProto,
    file: &str,
    output: Option<&str>,
) -> Result<(), StageError> {
    let names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    let wanted: Vec<&str> = match output {
        Some(output) => names.iter().copied().filter(|name| *name == output).collect(),
        None => graph
            .output
            .iter()
            .filter(|output| may_be_probabilities(output))
            .map(|output| output.name.as_str())
            .collect(),
    };
    let [wanted] = wanted[..] else {
        let what = match output {
            Some(output) => format!("{file} has no output {output}"),
            None => format!("{file} has {} outputs that may be probabilities", wanted.len()),
        };
        let hint = format!("its outputs are {}", names.join(", "));
        return Err(StageError::data(what).at("output").hint(hint));
    };
    let mut needed = BTreeSet::from([wanted.to_owned()]);
    let wanted = wanted.to_owned();
    graph.output.retain(|output| output.name == wanted);
    // Nodes come after those whose results they take.
    let mut nodes: Vec<NodeProto> = std::mem::take(&mut graph.node)
        .into_iter()
        .rev()
        .filter(|node| {
            let takes_part = node.output.iter().any(|name| needed.contains(name));
            if takes_part {
                needed.extend(node.input.iter().cloned());
            }
            takes_part
        })
        .collect();
    nodes.reverse();
    graph.node = nodes;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
    Ok(())
}

/// Whether an output holds numbers with a point; of some it is not said.
fn may_be_probabilities(output: &ValueInfoProto) -> bool {
    match output.r#type.as_ref().and_then(|of| of.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => {
            [DataType::Float, DataType::Double, DataType::Float16]
                .iter()
                .any(|of| *of as i32 == tensor.elem_type)
        }
        None => true,
    }
}

/// Leaves the wanted input, which must take rows of `width` features.
fn keep_one_input(
    graph: &mut GraphProto,
    file: &str,
    input: Option<&str>,
    width: usize,
) -> Result<(), StageError> {
    let weights: BTreeSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    graph.input.retain(|input| !weights.contains(input.name.as_str()));
    let names: Vec<String> = graph.input.iter().map(|input| input.name.clone()).collect();
    let error = |what: String| StageError::data(what).at("input");
    let hint = format!("its inputs are {}", names.join(", "));
    if let Some(wanted) = input
        && !names.iter().any(|name| name == wanted)
    {
        return Err(error(format!("{file} has no input {wanted}")).hint(hint));
    }
    graph.input.retain(|one| input.is_none_or(|wanted| one.name == wanted));
    let [only] = &graph.input[..] else {
        return Err(error(format!(
            "{file} has {} inputs where one matrix of features is given",
            names.len()
        ))
        .hint(hint));
    };
    let Some(type_proto::Value::TensorType(tensor)) =
        only.r#type.as_ref().and_then(|of| of.value.as_ref())
    else {
        return Ok(());
    };
    if tensor.elem_type != DataType::Float as i32 {
        return Err(error(format!("the input {} of {file} is not in single precision", only.name))
            .hint("export it with FloatTensorType, or after model.float()"));
    }
    let Some(shape) = &tensor.shape else { return Ok(()) };
    let fixed: Vec<Option<i64>> = shape
        .dim
        .iter()
        .map(|dim| match dim.value {
            Some(dimension::Value::DimValue(size)) => Some(size),
            _ => None,
        })
        .collect();
    match fixed[..] {
        [None | Some(1), None] => Ok(()),
        [None | Some(1), Some(size)] if usize::try_from(size) == Ok(width) => Ok(()),
        [None | Some(1), Some(size)] => Err(error(format!(
            "{file} takes {size} features and is given {width}"
        ))
        .hint("columns: [...] says which, in the model's order; exclude: [...] leaves some out")),
        [Some(rows), _] => Err(error(format!("{file} takes {rows} rows at a time"))
            .hint("export it for one row, or with a first dimension that is left open")),
        _ => Err(error(format!(
            "{file} takes input of {} dimensions where 2 are given: examples and features",
            fixed.len()
        ))),
    }
}

/// What helps where a model cannot be run.
const BARE: &str = "export the bare estimator without what surrounds it, or bring its probabilities in by expert.precomputed";

/// What to say of a node that cannot be run here.
fn unsupported(file: &str, node: &NodeProto) -> StageError {
    let name = if node.name.is_empty() { node.output.join(", ") } else { node.name.clone() };
    let hint = match node.op_type.as_str() {
        "SVMClassifier" | "SVMRegressor" => {
            "a support vector machine of scikit-learn can be fitted here by expert.linear_svm, or its probabilities \
             brought in by expert.precomputed"
        }
        _ => BARE,
    };
    StageError::data(format!(
        "{file} has the node {name} of type {}, which cannot be run here",
        node.op_type
    ))
    .at("path")
    .hint(hint)
}
