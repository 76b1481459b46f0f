//! `expert.onnx`: a model that was fitted elsewhere and is frozen.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fuseline_artifact::{Cohort, Features};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind, UnreadOption,
};
use fuseline_learn::link;
use fuseline_onnx::{
    ARE_SHARES, Description, OnnxError, Question, may_be_logits, probabilities, softmax_twice,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::class_order::class_order;
use self::features::select;
use self::library::Model;
use super::ClassWeight;
use super::calibration::Calibration;
use super::external::External;
use crate::fitted_on::FittedOn;
use crate::load::format::refuse_known;
use crate::load::table::file_name;
use crate::rows::Finder;

mod class_order;
mod features;
mod library;

/// Asks a frozen model for its class probabilities: an ONNX file, as PyTorch, scikit-learn and
/// others export it.
///
/// The model takes a matrix of examples by features, and gives a value for each class, or for two
/// classes one value, of the second. Class names that the file holds (in its classifier, its label
/// output or its metadata) bind its outputs to the classes of the cohort; where it holds none, the
/// order counts. It is asked about one example at a time, so that the evidence of an example
/// depends on nothing else. The file's content is part of the key. Only what leads to the output is
/// run; `ZipMap` is passed over, `Scaler` is carried out, and nodes that draw random numbers are
/// refused. An example that is absent from the features gets no evidence. The model runs in a process
/// of its own, by the library of the fusion rule `onnx`, in that rule's sandbox and limits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnnxExpert {
    /// The model; all its weights in this one file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// The fold whose examples are tested; without it, and without folds, all of the cohort: the
    /// test rows of a frozen model, with nothing to train on.
    #[serde(default)]
    test_fold: Option<i32>,
    /// The input of the model that takes the features, where it has several.
    #[serde(default)]
    input: Option<String>,
    /// The features that each input of a model with several takes, in the order in which it takes
    /// them. It may be left out where each takes one feature and is called as that feature is.
    #[serde(default)]
    inputs: Option<BTreeMap<String, Vec<String>>>,
    /// The output of the model; needed only when several hold numbers that may be probabilities.
    #[serde(default)]
    output: Option<String>,
    /// True if the output is logits, of which the softmax is taken; of one output for two classes,
    /// the logistic function. An error where the output is probabilities already. The evidence
    /// keeps the logits, for `quality.energy` and `quality.evidential`; those of one output z are
    /// -z/2 and z/2.
    #[serde(default)]
    softmax: bool,
    /// The features in the order in which the model takes them; all in the order of their file when
    /// left out. An input of more than two dimensions takes them row by row.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// Columns that the model does not take.
    #[serde(default)]
    exclude: Vec<String>,
    /// The classes in the order in which the model gives them; when left out, those that the file
    /// names, or else those of the cohort in order.
    #[serde(default)]
    classes: Option<Vec<String>>,
    /// Replacement of a missing or infinite value.
    #[serde(default)]
    missing: Missing,
    /// The examples that the model has seen.
    #[serde(default)]
    fitted_on: FittedOn,
    /// Calibration of the evidence: fitted on training rows alone, for the test rows on all of
    /// them, for each inner fold of them on the others.
    #[serde(default)]
    calibration: Calibration,
    /// Over how many folds the training rows are divided for their calibration.
    #[serde(default = "super::inner_folds")]
    #[schemars(range(min = 2))]
    inner_folds: u32,
    /// Class weights of the rows for the calibration.
    #[serde(default)]
    class_weight: ClassWeight,
    /// Name of the modality; the label of the axis `modality` when left out.
    #[serde(default)]
    modality: Option<String>,
}

/// Value that a model is given for one that is missing or infinite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Missing {
    /// It is an error.
    #[default]
    Error,
    /// 0.
    Zero,
    /// NaN, for a model that handles missing values.
    Nan,
}

impl StageKind for OnnxExpert {
    const NAME: &'static str = "expert.onnx";
    // 2: outputs are bound to classes by the names that the file holds; training evidence says its
    // inner folds, where it is calibrated. 3: evidence keeps logits. 4: no softmax of percentages.
    const REVISION: u32 = 4;
    const SUMMARY: &'static str =
        "A frozen model in ONNX, exported from PyTorch, scikit-learn or others.";

    fn ports() -> Ports {
        super::external_ports(true)
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self {
            path,
            test_fold,
            input,
            inputs,
            output,
            softmax,
            columns,
            exclude,
            classes,
            missing,
            fitted_on,
            calibration,
            inner_folds,
            class_weight,
            modality,
        } = self;
        key.environment();
        key.file("path", path);
        key.field("test_fold", test_fold);
        key.field("input", input);
        key.field("inputs", inputs);
        key.field("output", output);
        key.field("softmax", softmax);
        key.field("columns", columns);
        key.field("exclude", exclude);
        key.field("classes", classes);
        key.field("missing", missing);
        fitted_on.key(key);
        key.field("calibration", calibration);
        if *calibration != Calibration::None {
            key.field("inner_folds", inner_folds);
            key.field("class_weight", class_weight);
        }
        key.field("modality", modality);
    }

    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        self.calibration.without_effect()
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.check_library(site);
        if self.columns.is_some() && !self.exclude.is_empty() {
            let message =
                "columns says which features the model takes, so that nothing is left to exclude";
            site.report(Problem::new("exclude", message));
        }
        let others = [
            ("columns", self.columns.is_some()),
            ("exclude", !self.exclude.is_empty()),
            ("input", self.input.is_some()),
        ];
        for (option, _) in others.iter().filter(|(_, given)| *given && self.inputs.is_some()) {
            let message = "inputs says which features each input of the model takes";
            site.report(Problem::new(*option, message).hint("leave one of the two out"));
        }
        self.external().check(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        self.external().rows(flow, Some("features"));
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let features: Features = inputs.one("features")?;
        let cohort: Cohort = inputs.one("cohort")?;
        let file = file_name(&self.path);
        let question = Question {
            file: file.clone(),
            classes: cohort.classes.len(),
            input: self.input.clone(),
            output: self.output.clone(),
            widths: None,
        };
        let bytes = inputs.read_file(&self.path)?;
        refuse_known(&file, &bytes)?;
        let model = Model::new(inputs, outputs, question, bytes)?;
        let Description { inputs: parts, unused_inputs, class_names, ends_in, tolerance } =
            model.describe()?;
        let (order, caution) =
            class_order(self.classes.as_deref(), &cohort.classes, &class_names, &file)?;
        if let (Some(link), true) = (ends_in, self.softmax) {
            let why = format!("it ends in the node {link}");
            return Err(stage_error(softmax_twice(&file, &why)));
        }
        let given = self.given(&features, &parts, &unused_inputs, &file)?;
        let widths: Vec<usize> = given.iter().map(|(_, names)| names.len()).collect();
        let columns: Vec<(&str, bool)> = given
            .iter()
            .flat_map(|(input, names)| names.iter().map(|name| (*name, input.is_whole)))
            .collect();
        let matrix = select(&features, columns.iter().map(|(name, _)| *name))?;
        let mut finder = Finder::new(&features.example_id);
        let rows: Vec<Option<usize>> = cohort.example_id.iter().map(|id| finder.find(id)).collect();
        let mut values = Vec::new();
        for (id, row) in cohort.example_id.iter().zip(&rows) {
            let Some(row) = row else { continue };
            values.extend(self.values(&matrix.row(*row), &columns, id)?);
        }
        let mut answers = model.predict(&widths, &values)?.into_iter();
        let mut found = Vec::with_capacity(cohort.len());
        let mut logits = Vec::with_capacity(if self.softmax { cohort.len() } else { 0 });
        let mut are_logits = false;
        for (id, row) in cohort.example_id.iter().zip(&rows) {
            let Some(answer) = row.and_then(|_| answers.next()) else {
                found.push(None);
                logits.push(None);
                continue;
            };
            are_logits |= may_be_logits(&answer, tolerance);
            let row = format!("for example {id}");
            let own = self.softmax.then(|| link::logits(&answer, answer.len()));
            let given =
                probabilities((&file, &row), answer, &cohort.classes, self.softmax, tolerance)
                    .map_err(stage_error)?;
            let in_order = |given: &[f64]| order.iter().map(|&class| given[class]).collect();
            found.push(Some(in_order(&given)));
            logits.push(own.map(|own| in_order(&own)));
        }
        if self.softmax && !are_logits && found.iter().any(Option::is_some) {
            return Err(stage_error(softmax_twice(&file, ARE_SHARES)));
        }
        if let Some(caution) = caution {
            outputs.caution(caution);
        }
        let logits = self.softmax.then_some(&logits[..]);
        self.external().put(inputs, outputs, &cohort, &found, logits, |rows, side| {
            StageError::data(format!("the features have none of the {rows} {side}"))
                .hint("compare the example_ids of the features and the cohort")
        })
    }
}

/// An error of a model, as one of the stage.
fn stage_error(error: OnnxError) -> StageError {
    let stage = StageError::data(error.message).at(error.setting);
    match error.hint {
        Some(hint) => stage.hint(hint),
        None => stage,
    }
}

impl OnnxExpert {
    /// Reports that nothing is there to run models with, or that it would run without layers of the
    /// sandbox that are required.
    fn check_library(&self, site: &mut CheckSite<'_>) {
        let found = library::find(site.services)
            .and_then(|library| Ok(site.conditions.ensure_layers(&library, site.isolation)?));
        if let Err(error) = found {
            let mut problem = Problem::new("path", error.message);
            problem.hint = error.hint;
            site.report(problem);
        }
    }

    fn external(&self) -> External<'_> {
        External {
            test_fold: self.test_fold,
            fitted_on: Some(&self.fitted_on),
            modality: self.modality.as_deref(),
            calibration: self.calibration,
            inner_folds: self.inner_folds,
            class_weight: self.class_weight,
        }
    }
}

#[cfg(test)]
mod tests;
