//! `expert.onnx`: a model that was fitted elsewhere and is frozen.

use std::path::PathBuf;

use fuseline_artifact::{Cohort, Features};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ClassWeight;
use super::calibration::Calibration;
use super::external::External;
use crate::fitted_on::FittedOn;
use crate::load::table::file_name;
use crate::rows::{Finder, Matrix, no_column};

#[cfg(feature = "onnx")]
mod model;

/// Asks a frozen model for its class probabilities: an ONNX file, as PyTorch, scikit-learn and others export it.
///
/// The model takes a matrix of examples by features, in single precision, and gives a value for each class, or for two
/// classes one value, of the second. It is asked about one example at a time, so that the evidence of an example depends
/// on nothing else. The file's content is part of the key. Only what leads to the output is run: `ZipMap` is passed over,
/// `Scaler` is carried out. An example that is absent from the features gets no evidence. A fuseline that was
/// built without the feature `onnx`, on by default, knows this kind and refuses to run it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnnxExpert {
    /// The model; all its weights in this one file.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// The fold whose examples are tested.
    test_fold: i32,
    /// The input of the model; needed only when it has several.
    #[serde(default)]
    input: Option<String>,
    /// The output of the model; needed only when several hold numbers that may be probabilities.
    #[serde(default)]
    output: Option<String>,
    /// Whether the output is logits, of which the softmax is taken; of one output for two classes, the logistic function.
    #[serde(default)]
    softmax: bool,
    /// The features in the order in which the model takes them; all in the order of their file when left out.
    #[serde(default)]
    columns: Option<Vec<String>>,
    /// Columns that the model does not take.
    #[serde(default)]
    exclude: Vec<String>,
    /// The classes in the order in which the model gives them; that of the cohort when left out.
    #[serde(default)]
    classes: Option<Vec<String>>,
    /// What becomes of a missing or infinite value.
    #[serde(default)]
    missing: Missing,
    /// The examples that the model has seen.
    #[serde(default)]
    fitted_on: FittedOn,
    /// How evidence is calibrated: on training rows alone, for the test rows on all of them, for each inner fold of them on
    /// the others.
    #[serde(default)]
    calibration: Calibration,
    /// Over how many folds the training rows are divided for their calibration.
    #[serde(default = "super::inner_folds")]
    #[schemars(range(min = 2))]
    inner_folds: u32,
    /// How rows are weighted for the calibration.
    #[serde(default)]
    class_weight: ClassWeight,
    /// Name of the modality; the label of the axis `modality` when left out.
    #[serde(default)]
    modality: Option<String>,
}

/// What a model is given for a value that is missing or infinite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Missing {
    /// It is an error.
    #[default]
    Error,
    /// 0.
    Zero,
    /// NaN, for a model that knows missing values.
    Nan,
}

impl StageKind for OnnxExpert {
    const NAME: &'static str = "expert.onnx";
    const REVISION: u32 = 2; // 2: training evidence says its inner folds, where it is calibrated.
    const SUMMARY: &'static str =
        "A frozen model in ONNX, exported from PyTorch, scikit-learn or others.";

    fn ports() -> Ports {
        super::ports()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self {
            path,
            test_fold,
            input,
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
        key.file("path", path);
        key.field("test_fold", test_fold);
        key.field("input", input);
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

    fn check(&self, site: &mut CheckSite<'_>) {
        if !cfg!(feature = "onnx") {
            site.report(Problem::new("path", "this fuseline was built without ONNX").hint(BUILD));
        }
        if self.columns.is_some() && !self.exclude.is_empty() {
            let message =
                "columns says which features the model takes, so that nothing is left to exclude";
            site.report(Problem::new("exclude", message));
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
        let order = self.class_order(&cohort)?;
        let matrix = self.matrix(&features)?;
        let mut place = Finder::new(&features.example_id);
        let mut model = load(self, &file, inputs.read_file(&self.path)?, matrix.width())?;
        let mut found = Vec::with_capacity(cohort.len());
        for id in cohort.example_id.iter() {
            let Some(row) = place.find(id) else {
                found.push(None);
                continue;
            };
            inputs.keep_going()?;
            let values = self.finite(&features, &matrix, row, id)?;
            let given = model(&values)?;
            found.push(Some(self.probabilities(&given, &order, &cohort, &file, id)?));
        }
        self.external().put(inputs, outputs, &cohort, &found, |rows, side| {
            StageError::data(format!(
                "the features have none of the {rows} {side} examples of fold {}",
                self.test_fold
            ))
            .hint("compare the example_ids of the features and the cohort")
        })
    }
}

/// How to get a fuseline that has this kind.
const BUILD: &str = "build it without --no-default-features: cargo build --release -p fuseline-cli (Rust 1.91 or newer)";

/// A model, ready to be asked about one row.
type Ask = Box<dyn FnMut(&[f32]) -> Result<Vec<f32>, StageError>>;

#[cfg(feature = "onnx")]
fn load(expert: &OnnxExpert, file: &str, bytes: Vec<u8>, width: usize) -> Result<Ask, StageError> {
    model::load(file, bytes, width, expert.input.as_deref(), expert.output.as_deref())
}

#[cfg(not(feature = "onnx"))]
fn load(_: &OnnxExpert, _: &str, _: Vec<u8>, _: usize) -> Result<Ask, StageError> {
    Err(StageError::data("this fuseline was built without ONNX").at("path").hint(BUILD))
}

impl OnnxExpert {
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

    /// Where the model gives each class of the cohort.
    fn class_order(&self, cohort: &Cohort) -> Result<Vec<usize>, StageError> {
        let Some(given) = &self.classes else { return Ok((0..cohort.classes.len()).collect()) };
        let mut sorted = [given.clone(), cohort.classes.clone()];
        sorted.iter_mut().for_each(|names| names.sort());
        if sorted[0] != sorted[1] {
            return Err(StageError::data(format!(
                "the model's classes {} are not those of the cohort: {}",
                given.join(", "),
                cohort.classes.join(", ")
            ))
            .at("classes"));
        }
        let place = |class| given.iter().position(|name| name == class).unwrap_or_default();
        Ok(cohort.classes.iter().map(place).collect())
    }

    /// The features as the model takes them.
    fn matrix(&self, features: &Features) -> Result<Matrix, StageError> {
        let Some(columns) = &self.columns else { return Matrix::of(features, &self.exclude) };
        let mut chosen = Vec::with_capacity(columns.len());
        for wanted in columns {
            let found = features.columns.iter().find(|(name, _)| name == wanted);
            chosen.push(found.ok_or_else(|| no_column(features, wanted).at("columns"))?.clone());
        }
        Matrix::of(&Features { example_id: features.example_id.clone(), columns: chosen }, &[])
    }

    /// A row in single precision, what is missing as the option says.
    fn finite(
        &self,
        features: &Features,
        matrix: &Matrix,
        row: usize,
        id: &str,
    ) -> Result<Vec<f32>, StageError> {
        let each = |(at, &value): (usize, &f64)| {
            #[expect(clippy::cast_possible_truncation, reason = "models take single precision")]
            let narrow = value as f32;
            match self.missing {
                _ if narrow.is_finite() => Ok(narrow),
                Missing::Zero => Ok(0.0),
                Missing::Nan => Ok(f32::NAN),
                Missing::Error => {
                    let column = match &self.columns {
                        Some(columns) => columns[at].as_str(),
                        None => features
                            .columns
                            .iter()
                            .map(|(name, _)| name.as_str())
                            .filter(|name| !self.exclude.iter().any(|excluded| excluded == name))
                            .nth(at)
                            .unwrap_or_default(),
                    };
                    Err(StageError::data(format!(
                        "feature {column} of example {id} is missing or not finite, which the model was not made for"
                    ))
                    .at("missing")
                    .hint("missing: zero gives the model 0, missing: nan gives it NaN"))
                }
            }
        };
        matrix.row(row).iter().enumerate().map(each).collect()
    }

    /// The probabilities of the cohort's classes.
    fn probabilities(
        &self,
        given: &[f32],
        order: &[usize],
        cohort: &Cohort,
        file: &str,
        id: &str,
    ) -> Result<Vec<f64>, StageError> {
        let mut given: Vec<f64> = given.iter().map(|&value| f64::from(value)).collect();
        if let ([one], 2) = (&given[..], order.len()) {
            given = if self.softmax { vec![0.0, *one] } else { vec![1.0 - one, *one] };
        }
        if given.len() != order.len() {
            return Err(StageError::data(format!(
                "{file} gives {} values for {} classes: {}",
                given.len(),
                order.len(),
                cohort.classes.join(", ")
            ))
            .at("output"));
        }
        if self.softmax {
            fuseline_learn::link::softmax(&mut given);
        }
        let sum: f64 = given.iter().sum();
        // Single precision: an output of softmax may be off by some units in its last place.
        if !given.iter().all(|p| (-1e-5..=1.0 + 1e-5).contains(p)) || (sum - 1.0).abs() > 1e-4 {
            return Err(StageError::data(format!(
                "{file} gives {given:?} for example {id}, which are no probabilities: each must lie in 0 to 1 and all sum to 1"
            ))
            .at("output")
            .hint("softmax: true makes probabilities of logits; output names another output"));
        }
        given.iter_mut().for_each(|p| *p = p.clamp(0.0, 1.0));
        let sum: f64 = given.iter().sum();
        Ok(order.iter().map(|&class| given[class] / sum).collect())
    }
}

#[cfg(test)]
mod tests;
