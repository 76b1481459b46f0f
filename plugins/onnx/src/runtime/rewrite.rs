//! Operators in the terms of those that can be run.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::graph::{attribute, constant};

/// Writes operators as several plain ones: `Scaler` is (x - offset) * scale; `Imputer` puts values
/// in the place of one that stands for what is missing; `Binarizer` is 1 above a threshold and else
/// 0; `ArrayFeatureExtractor` picks columns. A `GRU` of one feature, which the runtime cannot run,
/// is given a second one without weight.
pub(super) fn expand(graph: &mut GraphProto) {
    for (at, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
        let floats = |name: &str| attribute(&node, name).map(|of| of.floats.clone());
        let float = |name: &str| attribute(&node, name).map(|of| of.f).unwrap_or_default();
        let steps = match (node.op_type.as_str(), &node.input[..]) {
            ("Scaler", [x]) => {
                let mut steps = Steps::new(at, x);
                for (op, name) in [("Sub", "offset"), ("Mul", "scale")] {
                    if let Some(values) = floats(name) {
                        let values = steps.row(values);
                        steps.step(op, |x| vec![x, values]);
                    }
                }
                steps
            }
            ("Imputer", [x]) if floats("imputed_value_floats").is_some() => {
                let replaced = float("replaced_value_float");
                let mut steps = Steps::new(at, x);
                let values = steps.row(floats("imputed_value_floats").unwrap_or_default());
                let input = x.clone();
                if replaced.is_nan() {
                    steps.step("IsNaN", |x| vec![x]);
                } else {
                    let replaced = steps.row(vec![replaced]);
                    steps.step("Equal", |x| vec![x, replaced]);
                }
                steps.step("Where", |is_missing| vec![is_missing, values, input]);
                steps
            }
            ("Binarizer", [x]) => {
                let mut steps = Steps::new(at, x);
                let [threshold, one, zero] =
                    [float("threshold"), 1.0, 0.0].map(|value| steps.row(vec![value]));
                steps.step("Greater", |x| vec![x, threshold]);
                steps.step("Where", |is_above| vec![is_above, one, zero]);
                steps
            }
            ("ArrayFeatureExtractor", [x, places]) => {
                let mut steps = Steps::new(at, places);
                let flat = steps.constant(TensorProto {
                    dims: vec![1],
                    data_type: DataType::Int64 as i32,
                    int64_data: vec![-1],
                    ..TensorProto::default()
                });
                steps.step("Reshape", |places| vec![places, flat]);
                let x = x.clone();
                steps.step("Gather", |places| vec![x, places]).push(whole_number("axis", -1));
                steps
            }
            ("GRU", [x, w, ..]) if takes_one_feature(graph, w) => {
                let (input, widened) = widen(at, x, w);
                graph.node.extend(widened);
                let mut node = node;
                node.input.splice(..2, input);
                graph.node.push(node);
                continue;
            }
            _ => {
                graph.node.push(node);
                continue;
            }
        };
        let (last, constants, nodes) = (steps.last, steps.constants, steps.nodes);
        graph.initializer.extend(constants);
        graph.node.extend(nodes);
        graph.node.push(NodeProto {
            name: node.name,
            op_type: "Identity".to_owned(),
            input: vec![last],
            output: node.output,
            ..NodeProto::default()
        });
    }
}

/// True if the weights of the input of a recurrent node are those of one feature.
fn takes_one_feature(graph: &GraphProto, weights: &str) -> bool {
    constant(graph, weights).is_some_and(|tensor| tensor.dims.last() == Some(&1))
}

/// The input and the weights of a recurrent node with one feature more, whose weights are 0.
fn widen(at: usize, input: &str, weights: &str) -> ([String; 2], [NodeProto; 3]) {
    let name = |part: &str| format!("fuseline.{at}.{part}");
    let node = |op: &str, of: [&str; 2], to: &str| NodeProto {
        name: to.to_owned(),
        op_type: op.to_owned(),
        input: of.map(str::to_owned).to_vec(),
        output: vec![to.to_owned()],
        ..NodeProto::default()
    };
    let [twice, zero, wide] = ["input", "zero", "weights"].map(name);
    let mut nodes = [
        node("Concat", [input, input], &twice),
        node("Sub", [weights, weights], &zero),
        node("Concat", [weights, &zero], &wide),
    ];
    for concat in nodes.iter_mut().filter(|node| node.op_type == "Concat") {
        concat.attribute.push(whole_number("axis", 2));
    }
    ([twice, wide], nodes)
}

/// An attribute that is a whole number.
fn whole_number(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: value,
        r#type: AttributeType::Int as i32,
        ..AttributeProto::default()
    }
}

/// Plain operators in the place of one.
struct Steps {
    prefix: String,
    constants: Vec<TensorProto>,
    nodes: Vec<NodeProto>,
    /// The result of the last one.
    last: String,
}

impl Steps {
    fn new(at: usize, input: &str) -> Self {
        let prefix = format!("fuseline.{at}");
        Self { prefix, constants: Vec::new(), nodes: Vec::new(), last: input.to_owned() }
    }

    /// Adds a constant, and gives its name.
    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = format!("{}.constant{}", self.prefix, self.constants.len());
        self.constants.push(TensorProto { name: name.clone(), ..tensor });
        name
    }

    /// Adds a row of numbers.
    fn row(&mut self, values: Vec<f32>) -> String {
        self.constant(TensorProto {
            dims: vec![1, values.len().try_into().unwrap_or(i64::MAX)],
            data_type: DataType::Float as i32,
            float_data: values,
            ..TensorProto::default()
        })
    }

    /// Adds an operator on the last result.
    fn step(
        &mut self,
        op: &str,
        inputs: impl FnOnce(String) -> Vec<String>,
    ) -> &mut Vec<AttributeProto> {
        let name = format!("{}.{}", self.prefix, self.nodes.len());
        let input = inputs(std::mem::replace(&mut self.last, name.clone()));
        let node = NodeProto {
            name: name.clone(),
            op_type: op.to_owned(),
            input,
            output: vec![name],
            ..NodeProto::default()
        };
        let index = self.nodes.len();
        self.nodes.push(node);
        &mut self.nodes[index].attribute
    }
}

/// Writes the default fill value of `ConstantOfShape` explicitly: 0 in single precision, in
/// all graphs.
pub(super) fn state_fillers(graph: &mut GraphProto) {
    for node in &mut graph.node {
        if node.op_type == "ConstantOfShape" && attribute(node, "value").is_none() {
            let zero = TensorProto {
                dims: vec![1],
                data_type: DataType::Float as i32,
                float_data: vec![0.0],
                ..TensorProto::default()
            };
            node.attribute.push(AttributeProto {
                name: "value".to_owned(),
                t: Some(zero),
                r#type: AttributeType::Tensor as i32,
                ..AttributeProto::default()
            });
        }
        for attribute in &mut node.attribute {
            attribute.g.iter_mut().chain(&mut attribute.graphs).for_each(state_fillers);
        }
    }
}

/// Numbers the classes of classifiers, whose names are read elsewhere.
pub(super) fn number_labels(graph: &mut GraphProto) {
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
