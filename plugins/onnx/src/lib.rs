//! The fusion rule `onnx`: a fusion model that was trained elsewhere and exported to ONNX.
//!
//! It is not fitted: `fusion.load` gives it the file `model`, and `inputs` says what each input of
//! the model takes, for M modalities and K classes: `evidence` (M x K values of a row,
//! modality-major), `available` (M), `quality` (M), or `embedding_MODALITY` (the columns of that
//! embedding). The shape of an input is the file's: (rows, M, K) and (rows, M * K) are the same
//! values. Where a modality is unavailable its values are 0. The model predicts one row at a
//! time, so that the answer for a row depends on nothing else. Its output holds a value for each
//! class, or one, of the second of two classes; `softmax` makes probabilities of logits.
//!
//! It also answers `expert.onnx`, which asks for the outputs of a model for rows of features: the
//! runtime is built, shipped and confined once.
//!
//! Source: Open Neural Network Exchange, <https://onnx.ai>; carried out by tract.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use fuseline_onnx::{
    ARE_SHARES, Description, Input, OnnxError, are_places, may_be_logits, probabilities,
    softmax_twice,
};
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, LoadModel, LoadSource, ModelReader, ModelWriter, Param, Params,
    RuleError, Shape, TrainingBatch, export_fusion_rule,
};

mod expert;
mod runtime;

use runtime::{Ask, OnnxModel};

/// Rows between two questions whether the call shall end.
const ROWS_BETWEEN_STOPS: usize = 64;

/// A loaded model.
pub struct Onnx {
    file: OnnxFile,
    shape: Shape,
    /// Made at the first question: only then the widths of embeddings are known.
    ready: OnceLock<Result<Ready, OnnxError>>,
}

/// A model's file and its inputs and outputs.
struct OnnxFile {
    name: String,
    bytes: Vec<u8>,
    /// Empty where the file has only one that may be probabilities.
    output: String,
    softmax: bool,
    /// Source of each input of the model.
    inputs: BTreeMap<String, Source>,
}

/// Source of an input of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Evidence,
    Available,
    Quality,
    /// Of the modality in this place.
    Embedding(usize),
}

/// A model that is ready to predict.
struct Ready {
    inputs: Vec<Input>,
    sources: Vec<Source>,
    widths: Vec<usize>,
    ask: Ask,
    tolerance: f64,
}

fn rule_error(error: OnnxError) -> RuleError {
    let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    RuleError::data(format!("{}{hint}", error.message))
}

impl OnnxFile {
    fn open(&self, shape: &Shape) -> Result<OnnxModel, OnnxError> {
        let output = Some(self.output.as_str()).filter(|output| !output.is_empty());
        let classes = shape.classes.len();
        runtime::load(&self.name, self.bytes.clone(), classes, None, output)
    }

    /// Refuses a model whose inputs are not those that are named, or that quality does not reach.
    fn check(&self, model: &Description, shape: &Shape) -> Result<(), RuleError> {
        let name = &self.name;
        let names: Vec<&str> = model.inputs.iter().map(|input| input.name.as_str()).collect();
        let listed = names.join(", ");
        if let Some(unknown) = self
            .inputs
            .keys()
            .find(|input| !names.contains(&input.as_str()) && !model.unused_inputs.contains(input))
        {
            let message = format!("{name} has no input {unknown}; its inputs are {listed}");
            return Err(RuleError::param("inputs", message));
        }
        if let Some(missing) = names.iter().find(|input| !self.inputs.contains_key(**input)) {
            return Err(RuleError::param(
                "inputs",
                format!(
                    "it does not say what the input {missing} of {name} takes: evidence, \
                     available, quality or embedding_MODALITY"
                ),
            ));
        }
        let reaches =
            |source: &Source| names.iter().any(|input| self.inputs.get(*input) == Some(source));
        if !reaches(&Source::Quality) {
            return Err(RuleError::param(
                "inputs",
                format!(
                    "no input that the output of {name} depends on takes quality, so that nothing \
                     can be asked of its use"
                ),
            ));
        }
        let (modalities, classes) = (shape.modalities.len(), shape.classes.len());
        let evidence = |input: &&Input| self.inputs.get(&input.name) == Some(&Source::Evidence);
        for input in model.inputs.iter().filter(evidence) {
            let [first, second] = input.sizes[..] else { continue };
            // (rows, 1, M * K) holds the values flat.
            let is_flat = first == Some(1) || second == Some(1);
            let fits = |size: Option<usize>, own: usize| size.is_none_or(|size| size == own);
            if !(is_flat || fits(first, modalities) && fits(second, classes)) {
                let size = |size: Option<usize>| size.map_or("open".to_owned(), |n| n.to_string());
                return Err(RuleError::data(format!(
                    "the input {} of {name} is (rows, {}, {}), and evidence is (rows, modalities, \
                     classes), here (rows, {modalities}, {classes}): where the model takes classes \
                     first, exchange the two before it is exported",
                    input.name,
                    size(first),
                    size(second)
                )));
            }
        }
        if let (Some(link), true) = (&model.ends_in, self.softmax) {
            return Err(rule_error(softmax_twice(name, &format!("it ends in the node {link}"))));
        }
        // Numbers of places name nothing.
        let named = model.class_names.iter().find(|names| !are_places(names));
        if let Some(named) = named.filter(|named| **named != shape.classes) {
            return Err(RuleError::data(format!(
                "{name} gives its classes in the order {}, and they are {} here",
                named.join(", "),
                shape.classes.join(", ")
            )));
        }
        Ok(())
    }

    fn prepare(&self, shape: &Shape, batch: &Batch<'_>) -> Result<Ready, OnnxError> {
        let OnnxModel { description, prepare } = self.open(shape)?;
        let Description { inputs, tolerance, .. } = description;
        let sources: Vec<Source> =
            inputs.iter().filter_map(|input| self.inputs.get(&input.name).cloned()).collect();
        let (modalities, classes) = (shape.modalities.len(), shape.classes.len());
        let width = |source: &Source| match source {
            Source::Evidence => Ok(modalities * classes),
            Source::Available | Source::Quality => Ok(modalities),
            Source::Embedding(modality) => {
                batch.embedding(*modality).map(|(width, _)| width).ok_or_else(|| {
                    let name = &shape.modalities[*modality];
                    OnnxError::new(format!(
                        "{} takes the embedding of {name}, and there is none",
                        self.name
                    ))
                    .hint(
                        "give the input embeddings where the model is loaded and where it is asked",
                    )
                })
            }
        };
        let widths = sources.iter().map(width).collect::<Result<Vec<usize>, _>>()?;
        let ask = prepare(&widths)?;
        Ok(Ready { inputs, sources, widths, ask, tolerance })
    }
}

impl Ready {
    /// The values of a row, input after input; 0 where a modality
    /// is unavailable.
    fn values(&self, batch: &Batch<'_>, row: usize) -> Result<Vec<f64>, OnnxError> {
        let mut values = Vec::with_capacity(self.widths.iter().sum());
        let modalities = batch.modalities();
        for (input, source) in self.inputs.iter().zip(&self.sources) {
            let start = values.len();
            match source {
                Source::Embedding(modality) => {
                    let (width, all) = batch.embedding(*modality).unwrap_or_default();
                    let own = &all[row * width..][..width];
                    let is_there = batch.is_available(row, *modality);
                    values.extend(own.iter().map(|&value| if is_there { value } else { 0.0 }));
                }
                of => {
                    for modality in 0..modalities {
                        let is_there = batch.is_available(row, modality);
                        let zero = |value: f64| if is_there { value } else { 0.0 };
                        match of {
                            Source::Evidence => values
                                .extend(batch.evidence_of(row, modality).iter().copied().map(zero)),
                            Source::Quality => {
                                values.push(zero(batch.quality()[row * modalities + modality]));
                            }
                            _ => values.push(f64::from(u8::from(is_there))),
                        }
                    }
                }
            }
            if let Some(value) = values[start..].iter().find(|value| value.fract() != 0.0)
                && input.is_whole
            {
                return Err(OnnxError::new(format!(
                    "the input {} takes whole numbers, and is given {value}",
                    input.name
                ))
                .hint("export the model with an input of floating-point numbers"));
            }
        }
        Ok(values)
    }
}

impl FusionRule for Onnx {
    const ID: &'static str = "org.fuseline.onnx";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "ONNX model",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "A fusion model that was trained elsewhere and exported to ONNX: its file is `model`.",
        )
        .param(Param::mapping(
            "inputs",
            "what each input of the model takes: evidence, available, quality or \
             embedding_MODALITY",
        ))
        .param(Param::text(
            "output",
            "",
            "the output; needed only when several may be probabilities",
        ))
        .param(Param::boolean("softmax", false, "whether the output is logits"))
        .accepts_embeddings(true)
        .fits(false)
        .loads(true)
    }

    fn fit(_: &TrainingBatch<'_>, _: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        Err(RuleError::unsupported("this rule is not fitted: fusion.load gives it a model's file"))
    }

    fn write(&self, model: &mut ModelWriter) {
        let OnnxFile { name, bytes, output, softmax, inputs } = &self.file;
        model.str(name);
        model.str(output);
        model.u32(u32::from(*softmax));
        model.u32(inputs.len() as u32);
        for (input, source) in inputs {
            model.str(input);
            model.str(&source.name(&self.shape));
        }
        model.bytes(bytes);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        let (name, output) = (model.str()?.to_owned(), model.str()?.to_owned());
        let softmax = model.u32()? != 0;
        let mut inputs = BTreeMap::new();
        for _ in 0..model.u32()? {
            let input = model.str()?.to_owned();
            inputs.insert(input, Source::from_name(model.str()?, shape)?);
        }
        let bytes = model.bytes()?.to_vec();
        let file = OnnxFile { name, bytes, output, softmax, inputs };
        Ok(Self { file, shape: shape.clone(), ready: OnceLock::new() })
    }

    fn predict(&self, batch: &Batch<'_>, out: &mut [f64]) -> Result<(), RuleError> {
        let ready = self.ready.get_or_init(|| self.file.prepare(&self.shape, batch));
        let ready = ready.as_ref().map_err(|error| rule_error(error.clone()))?;
        let classes = &self.shape.classes;
        let OnnxFile { name, softmax, .. } = &self.file;
        let mut are_logits = false;
        for (row, out) in out.chunks_exact_mut(classes.len()).enumerate() {
            if row.is_multiple_of(ROWS_BETWEEN_STOPS) {
                batch.go_on()?;
            }
            let given = ready.values(batch, row).and_then(|values| {
                let answer = (ready.ask)(&values)?;
                are_logits |= may_be_logits(&answer, ready.tolerance);
                probabilities((name, "for a row"), answer, classes, *softmax, ready.tolerance)
            });
            out.copy_from_slice(&given.map_err(|error| rule_error(error).at_row(row))?);
        }
        // One row of logits may look like probabilities.
        if *softmax && !are_logits && out.len() > classes.len() {
            return Err(rule_error(softmax_twice(name, ARE_SHARES)));
        }
        Ok(())
    }
}

impl LoadModel for Onnx {
    fn load(source: &LoadSource<'_>, params: &Params<'_>) -> Result<Self, RuleError> {
        let file = source.file("model")?;
        if let Some(other) = source.files().iter().find(|file| file.name != "model") {
            return Err(RuleError::data(format!(
                "{} is no file of an ONNX model: it is all in one, `model`",
                other.name
            )));
        }
        let shape = source.shape().clone();
        let file = OnnxFile {
            name: file.file_name.to_owned(),
            bytes: file.bytes.to_vec(),
            output: params.str("output")?.to_owned(),
            softmax: params.bool("softmax")?,
            inputs: named_inputs(params.json(), &shape)?,
        };
        file.check(&file.open(&shape).map_err(rule_error)?.description, &shape)?;
        Ok(Self { file, shape, ready: OnceLock::new() })
    }
}

/// The parameter `inputs`.
fn named_inputs(json: &str, shape: &Shape) -> Result<BTreeMap<String, Source>, RuleError> {
    let params: serde_json::Value =
        serde_json::from_str(json).map_err(|error| RuleError::internal(error.to_string()))?;
    let inputs = params["inputs"].as_object().into_iter().flatten();
    inputs
        .map(|(input, source)| {
            let source = source.as_str().ok_or_else(|| {
                RuleError::param(format!("inputs.{input}"), "text is meant, such as quality")
            })?;
            Ok((input.clone(), Source::from_name(source, shape)?))
        })
        .collect()
}

impl Source {
    fn from_name(name: &str, shape: &Shape) -> Result<Self, RuleError> {
        match name {
            "evidence" => Ok(Self::Evidence),
            "available" => Ok(Self::Available),
            "quality" => Ok(Self::Quality),
            _ => name
                .strip_prefix("embedding_")
                .and_then(|wanted| shape.modalities.iter().position(|name| name == wanted))
                .map(Self::Embedding)
                .ok_or_else(|| {
                    RuleError::param(
                        "inputs",
                        format!(
                            "{name} is neither evidence, available, quality, nor embedding_ with \
                             one of {}",
                            shape.modalities.join(", ")
                        ),
                    )
                }),
        }
    }

    fn name(&self, shape: &Shape) -> String {
        match self {
            Self::Evidence => "evidence".to_owned(),
            Self::Available => "available".to_owned(),
            Self::Quality => "quality".to_owned(),
            Self::Embedding(modality) => format!("embedding_{}", shape.modalities[*modality]),
        }
    }
}

export_fusion_rule!(Onnx, load, query);
