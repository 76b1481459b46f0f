//! An ONNX file as a function of one row.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex, Once, PoisonError};

use fuseline_onnx::{Description, Input, OnnxError};
use tracing::subscriber::{NoSubscriber, with_default};
use tract_onnx::Onnx;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::{
    Datum, DatumType, Framework, InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable,
    IntoTensor, OutletId, TValue, TVec, Tensor, TractError, TractResult, TypedRunnableModel, tvec,
};
use tract_onnx::tract_hir::infer::Factoid;

use super::branches::inline_decided;
use super::graph::{all_graphs, origin, producer, prune, tensors, text};
use super::input::{Declared, type_of};
use super::{Ask, OnnxModel, graph, labels, nodes, rewrite};

/// Reads a model for `classes` classes; `input` and `output` name those that are wanted.
pub(crate) fn load(
    file: &str,
    bytes: Vec<u8>,
    classes: usize,
    input: Option<&str>,
    output: Option<&str>,
) -> Result<OnnxModel, OnnxError> {
    let mut onnx = tract_onnx::onnx();
    // Shapes of values are inferred for one row, whatever batch the file says.
    onnx.ignore_value_info = true;
    let mut proto = guarded(file, || Ok(onnx.proto_model_for_read(&mut bytes.as_slice())))?
        .map_err(|error| wrong(file, format!("cannot be read as ONNX: {error}")))?;
    drop(bytes);
    nodes::check_opset(file, &proto)?;
    let mut main = proto.graph.take().ok_or_else(|| wrong(file, "holds no graph".to_owned()))?;
    let output = choose_output(&main, file, output)?;
    let is_half =
        main.output.iter().any(|of| of.name == output && elem_type(of) == Some(DataType::Float16));
    proto.graph = Some(main);
    let class_names = labels::class_names(&proto, &output, classes);
    main = proto.graph.take().unwrap_or_default();

    // The outputs wanted are those that a `ZipMap` names.
    let zipped = producer(&main, &output).filter(|(node, _)| node.op_type == "ZipMap");
    let output = zipped.and_then(|(node, _)| node.input.first().cloned()).unwrap_or(output);
    main.output = vec![ValueInfoProto { name: output.clone(), ..ValueInfoProto::default() }];
    let all_inputs = keep_inputs(&mut main, file, input)?;
    prune(&mut main, [output.clone()]);
    let ends_in = last_link(&main, &output);
    rewrite::expand(&mut main);
    nodes::check_nodes(file, &proto, &main, &onnx)?;
    check_weights(file, &main)?;
    rewrite::number_labels(&mut main);
    rewrite::state_fillers(&mut main);
    graph::copy_constants_inside(&mut main);
    if main.input.is_empty() {
        return Err(wrong(file, format!("gives the output {output} whatever its input is"))
            .at("output")
            .hint(format!("its inputs are {}", all_inputs.join(", "))));
    }
    let declared = main
        .input
        .iter()
        .map(|input| Declared::read(input, file))
        .collect::<Result<Vec<_>, _>>()?;
    let unused_inputs =
        all_inputs.into_iter().filter(|name| declared.iter().all(|of| of.name != *name)).collect();
    let inputs = declared
        .iter()
        .map(|input| Input {
            name: input.name.clone(),
            width: input.width(),
            sizes: input.row_sizes().to_vec(),
            is_whole: matches!(input.of, DatumType::I64 | DatumType::I32),
        })
        .collect();
    let file = file.to_owned();
    proto.graph = Some(main);
    let tolerance = if is_half { 1e-2 } else { 1e-4 };
    let prepare =
        move |widths: &[usize]| prepare(&file, &onnx, proto, (&declared, widths), tolerance);
    let description = Description { inputs, unused_inputs, class_names, ends_in, tolerance };
    Ok(OnnxModel { description, prepare: Box::new(prepare) })
}

/// An error of the file.
fn wrong(file: &str, what: String) -> OnnxError {
    OnnxError::new(format!("{file} {what}")).at("path")
}

/// Makes the model ready to predict one row, given the number of features of each input.
fn prepare(
    file: &str,
    onnx: &Onnx,
    proto: ModelProto,
    (declared, widths): (&[Declared], &[usize]),
    tolerance: f64,
) -> Result<Ask, OnnxError> {
    let mut parts: Parts = Vec::with_capacity(declared.len());
    for (input, &width) in declared.iter().zip(widths) {
        parts.push((input.of, input.shape_of_row(file, width)?));
    }
    let zeros: Vec<f64> = vec![0.0; widths.iter().sum()];
    let typed = |mut proto: ModelProto, parts: &Parts| {
        let inputs = proto.graph.iter_mut().flat_map(|graph| &mut graph.input);
        for (input, (declared, (_, shape))) in inputs.zip(declared.iter().zip(parts)) {
            input.r#type = Some(type_of(declared.elem_type, shape));
        }
        inline_decided(onnx, &mut proto)?;
        let mut model = onnx.model_for_proto_model(&proto)?;
        infer(&mut model)?;
        model.into_typed()
    };
    let mut beside = None;
    if declared.iter().all(Declared::takes_any_rows) {
        let of_two =
            |(of, shape): &(DatumType, Vec<usize>)| (*of, [&[2][..], &shape[1..]].concat());
        let parts: Parts = parts.iter().map(of_two).collect();
        // Some models take one row alone, whatever their file says.
        let model = guarded(file, || typed(proto.clone(), &parts)?.into_runnable()).ok();
        beside = model.map(|model| Beside { model, parts, tolerance, first: None });
    }
    let beside = Mutex::new(beside);
    let model = guarded(file, || {
        let plain = typed(proto, &parts)?;
        // The runtime cannot run some models after its own optimisation.
        let optimised = plain.clone().into_optimized().and_then(|model| model.into_runnable());
        match optimised {
            Ok(model) if model.run(tensors_of(&parts, &zeros)?).is_ok() => Ok(model),
            _ => plain.into_runnable(),
        }
    })?;
    let file = file.to_owned();
    Ok(Box::new(move |row| {
        let answer = guarded(&file, || answer(&model, &parts, row))?.1;
        let mut asked = beside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(beside) = asked.as_mut()
            && beside.is_settled(&file, row, &answer)?
        {
            *asked = None;
        }
        Ok(answer)
    }))
}

/// The types and shapes of a model's inputs.
type Parts = Vec<(DatumType, Vec<usize>)>;

/// The shape and the values of a model's answer.
fn answer(
    model: &Arc<TypedRunnableModel>,
    parts: &Parts,
    values: &[f64],
) -> TractResult<(Vec<usize>, Vec<f64>)> {
    let answer = model.run(tensors_of(parts, values)?)?.remove(0).into_tensor();
    let values = answer.cast_to::<f64>()?;
    let values = values.to_plain_array_view::<f64>()?.iter().copied().collect();
    Ok((answer.shape().to_vec(), values))
}

/// A model for two rows at once. It is asked about the first two that differ: one that reads the
/// batch, such as its mean, says of a row alone what it says nowhere else.
struct Beside {
    model: Arc<TypedRunnableModel>,
    parts: Parts,
    tolerance: f64,
    /// A row and the answer to it alone.
    first: Option<(Vec<f64>, Vec<f64>)>,
}

impl Beside {
    /// Refuses the model if its answer to the first row is another one beside this row; false where
    /// there are no two rows yet.
    fn is_settled(&mut self, file: &str, row: &[f64], own: &[f64]) -> Result<bool, OnnxError> {
        let (first, alone) = self.first.get_or_insert_with(|| (row.to_vec(), own.to_vec()));
        if first == row {
            return Ok(false);
        }
        let (mut both, mut start) = (Vec::with_capacity(2 * row.len()), 0);
        for (_, shape) in &self.parts {
            let end = start + shape[1..].iter().product::<usize>();
            both.extend_from_slice(&first[start..end]);
            both.extend_from_slice(&row[start..end]);
            start = end;
        }
        let Ok((shape, values)) = guarded(file, || answer(&self.model, &self.parts, &both)) else {
            return Ok(true);
        };
        let width = alone.len();
        if shape.first() != Some(&2) || values.len() != 2 * width || own.len() != width {
            return Ok(true);
        }
        let bound = alone.iter().fold(1.0_f64, |bound, value| bound.max(value.abs()));
        let tolerance = self.tolerance * bound;
        let is_near = |(a, b): (&f64, &f64)| a.is_nan() || (a - b).abs() <= tolerance;
        // An output of two classes may have a column for each row.
        let column: Vec<f64> = values.iter().copied().step_by(2).collect();
        if alone.iter().zip(&values).all(is_near) || alone.iter().zip(&column).all(is_near) {
            return Ok(true);
        }
        Err(wrong(
            file,
            format!(
                "answers {alone:?} to a row alone and {:?} to it beside another: it reads the \
                 batch",
                &values[..width]
            ),
        )
        .hint(
            "export it with means and scales of its training rows as constants, and with \
             normalisation in evaluation mode (model.eval())",
        ))
    }
}

/// The inputs of a model, from the concatenated values of a row.
fn tensors_of(parts: &[(DatumType, Vec<usize>)], row: &[f64]) -> TractResult<TVec<TValue>> {
    let mut given = tvec!();
    let mut rest = row;
    for (of, shape) in parts {
        let (values, behind) = rest.split_at(shape.iter().product());
        rest = behind;
        given.push(Tensor::from_shape(shape, values)?.cast_to_dt(*of)?.into_owned().into());
    }
    Ok(given)
}

/// Infers the shapes of all values. No node is carried out, not even one of constants, of which the
/// result would be huge.
pub(super) fn infer(model: &mut InferenceModel) -> TractResult<()> {
    for id in model.eval_order()? {
        let (inputs, outputs) = model.node_facts(id)?;
        let inputs: Vec<InferenceFact> = inputs.into_iter().cloned().collect();
        let outputs: Vec<InferenceFact> = outputs.into_iter().cloned().collect();
        let facts = || (inputs.iter().collect(), outputs.iter().collect());
        let node = model.node_mut(id);
        let (given, made) = facts();
        let Ok((_, made, _)) = node.op.infer_facts(given, made, tvec!()) else { break };
        check_size(&node.name, &made)?;
        check_range(&node.name, &node.op.name(), &inputs)?;
        let (given, made) = facts();
        let Ok((_, made, _)) = node.op.infer(given, made, tvec!()) else { break };
        for (slot, (fact, known)) in made.into_iter().zip(&outputs).enumerate() {
            model.set_outlet_fact(OutletId::new(id, slot), known.unify(&fact)?)?;
        }
    }
    model.analyse(false)?;
    let sizes = model
        .nodes()
        .iter()
        .map(|node| check_size(&node.name, node.outputs.iter().map(|output| &output.fact)));
    sizes.collect()
}

fn check_size<'f>(
    node: &str,
    facts: impl IntoIterator<Item = &'f InferenceFact>,
) -> TractResult<()> {
    for shape in facts.into_iter().filter_map(|fact| fact.shape.concretize()) {
        let sizes = shape.iter().filter_map(|size| size.to_i64().ok());
        let size = sizes.fold(1_i64, i64::saturating_mul);
        if size > MAX_ELEMENTS {
            return Err(TractError::msg(format!(
                "node {node} makes {size} numbers of a row, and {MAX_ELEMENTS} are the most"
            )));
        }
    }
    Ok(())
}

/// The size of a `Range`, which hangs on the values of its inputs.
fn check_range(node: &str, op: &str, inputs: &[InferenceFact]) -> TractResult<()> {
    if op != "Range" {
        return Ok(());
    }
    let value = |fact: &InferenceFact| scalar::<f64>(&*fact.value.concretize()?);
    let values: Option<Vec<f64>> = inputs.iter().map(value).collect();
    match values.as_deref() {
        Some([start, limit, step]) if (limit - start) / step > MAX_ELEMENTS as f64 => {
            Err(TractError::msg(format!(
                "node {node} counts from {start} to {limit}, and {MAX_ELEMENTS} numbers are the \
                 most"
            )))
        }
        _ => Ok(()),
    }
}

/// The value of a tensor of one number.
pub(super) fn scalar<T: Datum + Copy>(tensor: &Tensor) -> Option<T> {
    // The runtime reads beyond one of none.
    (tensor.len() == 1).then(|| tensor.cast_to_scalar::<T>().ok()).flatten()
}

/// The most numbers that a node may make of one row: 2 GB of doubles.
const MAX_ELEMENTS: i64 = 1 << 28;

/// Calls the ONNX runtime, and turns its errors and panics into an error of the file;
/// its own messages are neither printed nor logged.
fn guarded<T>(file: &str, work: impl FnOnce() -> TractResult<T>) -> Result<T, OnnxError> {
    thread_local! {
        static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                usual(panic);
            }
        }));
    });
    IS_GUARDED.set(true);
    let done = catch_unwind(AssertUnwindSafe(|| with_default(NoSubscriber::new(), work)));
    IS_GUARDED.set(false);
    let why = match done {
        Ok(Ok(result)) => return Ok(result),
        Ok(Err(error)) => {
            let first = error.to_string();
            let cause = error.root_cause().to_string();
            if first == cause {
                short(&first)
            } else {
                format!("{}: {}", short(&first), short(&cause))
            }
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("the ONNX runtime breaks off: {}", short(text.unwrap_or("without a word")))
        }
    };
    Err(wrong(file, format!("cannot be run here: {why}")).hint(nodes::BARE))
}

/// The first line of a text, of which no more than a few words matter.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line.to_owned(),
    }
}

/// Refuses weights that are not in the file, or not as dense tensors.
fn check_weights(file: &str, main: &GraphProto) -> Result<(), OnnxError> {
    for graph in all_graphs(main) {
        let apart = tensors(graph)
            .find(|tensor| tensor.data_location == Some(1) || !tensor.external_data.is_empty());
        if let Some(apart) = apart {
            let place = apart.external_data.iter().find(|entry| entry.key == "location");
            let place = place.map_or("another file", |entry| &entry.value);
            return Err(wrong(file, format!("keeps the weights {} in {place}", apart.name)).hint(
                "save it as one file: torch.onnx.export(..., external_data=False), or \
                 onnx.save(onnx.load(path), path)",
            ));
        }
        if let Some(sparse) = graph.sparse_initializer.first() {
            let name = sparse.values.as_ref().map_or("", |values| &values.name);
            return Err(wrong(file, format!("has the sparse weights {name}, which are not read"))
                .hint("export it with dense weights"));
        }
    }
    Ok(())
}

/// The node that makes probabilities of scores at the end of a graph, when there is one: its type
/// and name.
fn last_link(graph: &GraphProto, output: &str) -> Option<String> {
    let (node, _) = origin(graph, output)?;
    let is_link = match node.op_type.as_str() {
        "Softmax" | "Sigmoid" => true,
        "LinearClassifier" | "TreeEnsembleClassifier" => {
            matches!(text(node, "post_transform"), "SOFTMAX" | "LOGISTIC" | "SOFTMAX_ZERO")
        }
        _ => false,
    };
    is_link.then(|| format!("{} {}", node.op_type, graph::node_name(node)))
}

/// The name of the wanted output, or of the only one that may be probabilities.
fn choose_output(
    graph: &GraphProto,
    file: &str,
    wanted: Option<&str>,
) -> Result<String, OnnxError> {
    let names: Vec<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
    let hint = format!("its outputs are {}", names.join(", "));
    let may_be: Vec<&str> = graph
        .output
        .iter()
        .filter(|output| may_be_probabilities(output))
        .map(|output| output.name.as_str())
        .collect();
    let what = match (wanted, &may_be[..]) {
        (Some(wanted), _) if may_be.contains(&wanted) => return Ok(wanted.to_owned()),
        (Some(wanted), _) if names.contains(&wanted) => {
            format!("the output {wanted} of {file} holds labels, not probabilities")
        }
        (Some(wanted), _) => format!("{file} has no output {wanted}"),
        (None, [only]) => return Ok((*only).to_owned()),
        (None, _) => format!("{file} has {} outputs that may be probabilities", may_be.len()),
    };
    Err(OnnxError::new(what).at("output").hint(hint))
}

/// True if an output holds floating-point numbers, or does not state its type.
fn may_be_probabilities(output: &ValueInfoProto) -> bool {
    matches!(elem_type(output), None | Some(DataType::Float | DataType::Double | DataType::Float16))
}

/// Element type of an output that is a tensor.
fn elem_type(output: &ValueInfoProto) -> Option<DataType> {
    let type_proto::Value::TensorType(tensor) = output.r#type.as_ref()?.value.as_ref()?;
    DataType::try_from(tensor.elem_type).ok()
}

/// Leaves the inputs that are no weights, or the wanted one of them; gives the names of all.
fn keep_inputs(
    graph: &mut GraphProto,
    file: &str,
    wanted: Option<&str>,
) -> Result<Vec<String>, OnnxError> {
    let weights: BTreeSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    graph.input.retain(|input| !weights.contains(input.name.as_str()));
    let names: Vec<String> = graph.input.iter().map(|input| input.name.clone()).collect();
    if let Some(wanted) = wanted
        && !names.iter().any(|name| name == wanted)
    {
        return Err(OnnxError::new(format!("{file} has no input {wanted}"))
            .at("input")
            .hint(format!("its inputs are {}", names.join(", "))));
    }
    Ok(names)
}
