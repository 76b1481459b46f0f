//! `expert.*`: unimodal classifiers, and regressions, that give evidence.
//!
//! Shared by all experts: which rows they are fitted on and which they predict.
//! A member of the family brings only its way to fit and predict.

use fuseline_artifact::{AnyEvidence, ArtifactKind, Cohort, Evidence, Features, Texts};
use fuseline_engine::kind::Problem;
use fuseline_engine::{CheckSite, Inputs, Outputs, Ports, RowFlow, RowState, Rows, StageError};
use fuseline_learn::convergence::NotConverged;
use fuseline_learn::weights;
use fuseline_workflow::Role;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::calibration::{Calibrating, Calibration, Scale};
use crate::guard::fold_apart;
use crate::join::{JoinOptions, Loss, Source, find_mismatch};
use crate::rows::{Finder, Matrix, absent, fold_of_rows};
use crate::split::{fold_by_rank, some_tested};

mod calibration;
mod class_names;
mod external;
pub(crate) mod giveaway;
pub mod gradient_boosting;
pub mod linear_svm;
pub mod logistic;
pub mod none;
mod numbers;
pub mod onnx;
pub mod precomputed;
pub mod random_forest;
pub mod ridge;

/// Class weights of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// So that the classes count alike.
    #[default]
    Balanced,
    /// All rows alike.
    None,
}

impl ClassWeight {
    fn weights(self, labels: &[u32], classes: usize) -> Result<Vec<f64>, StageError> {
        match self {
            Self::Balanced => weights::balanced(labels, classes).map_err(failed),
            Self::None => Ok(vec![1.0; labels.len()]),
        }
    }
}

/// The ports of every expert that is fitted.
pub(crate) fn ports() -> Ports {
    ports_of(true, false)
}

const FOLDS: &str = "The fold in which each example is tested.";

/// The ports of every expert that is not fitted here, whether or not it reads the features.
pub(crate) fn external_ports(reads_features: bool) -> Ports {
    ports_of(reads_features, true)
}

fn ports_of(reads_features: bool, are_folds_optional: bool) -> Ports {
    let ports = Ports::new().one(
        "features",
        ArtifactKind::Features,
        Role::Fit,
        "The features of one modality.",
    );
    let ports = if reads_features { ports } else { ports.unread() };
    let ports = ports
        .one("cohort", ArtifactKind::Cohort, Role::Fit, "The examples with group and label.")
        .one("folds", ArtifactKind::Folds, Role::Neutral, FOLDS);
    let ports = if are_folds_optional { ports.optional() } else { ports };
    ports
        .output(
            "train",
            ArtifactKind::Evidence,
            "Evidence of the training rows, each from experts fitted without its group.",
        )
        .output("test", ArtifactKind::Evidence, "Evidence of the test rows.")
        .reads_point()
}

/// Over how many folds training rows are divided, unless the workflow says otherwise.
pub(crate) fn inner_folds() -> u32 {
    4
}

/// Input of every expert.
pub(crate) struct Setup<'a> {
    pub test_fold: i32,
    pub inner_folds: u32,
    /// The modality's name, when the workflow gives one.
    pub modality: Option<&'a str>,
    /// Columns of the features that the expert must not see.
    pub exclude: &'a [String],
    pub class_weight: ClassWeight,
    pub calibration: Calibration,
    /// Scale of the learner's output.
    pub scale: Scale,
    /// True if the learner gives logits beside its scores, and the evidence keeps them.
    pub logits: bool,
}

impl Setup<'_> {
    /// Reports what the options' schema does not see.
    pub fn check(&self, site: &mut CheckSite<'_>) {
        if self.calibration != Calibration::None && self.inner_folds < 3 {
            let message =
                "calibration needs three inner folds: to fit, to calibrate and to be asked";
            site.report(Problem::new("inner_folds", message));
        }
    }
}

/// Rows to fit on: features row-major with missing values as NaN.
pub(crate) struct Training<'a> {
    pub features: Vec<f64>,
    pub width: usize,
    pub labels: &'a [u32],
    pub weights: &'a [f64],
    pub classes: usize,
    /// The inner folds that are left out: a name for this fit among the others of the stage.
    pub left_out: &'a [u32],
}

/// Numbers of the rows that a fitted expert was asked about, n by classes.
pub(crate) struct Answer {
    pub scores: Vec<f64>,
    /// Logits, n by classes, where they are to be kept.
    pub logits: Vec<f64>,
    /// Shortfall of the fit.
    pub not_converged: Option<NotConverged>,
}

impl Answer {
    /// The answer of a learner that searches for no minimum.
    pub fn exact(scores: Vec<f64>) -> Self {
        Self { scores, logits: Vec::new(), not_converged: None }
    }
}

/// Gathers the rows that a fitted expert is asked about, so that they need no room while it is
/// fitted.
pub(crate) type Ask<'a> = &'a dyn Fn() -> Vec<f64>;

/// Error of a learner: a failure of the work, not of the data.
pub(crate) fn failed(error: impl std::error::Error) -> StageError {
    StageError::failed(error.to_string())
}

/// The leakage guard of every expert: it is fitted on the training rows of its fold, out of fold
/// for those themselves.
pub(crate) fn rows(flow: &mut RowFlow<'_>, test_fold: i32) {
    let fold = flow.fold("folds", test_fold.into());
    let train = Rows::train(fold);
    flow.fit("features", &train);
    flow.read_labels("cohort");
    flow.no_control("features");
    let made = RowState { in_fold: false, ..flow.input("features") }.taught(&train);
    flow.give("train", RowState { holds: train, ..made.clone() });
    flow.give("test", RowState { holds: Rows::test(fold), ..made });
}

/// The name of the modality at hand: as given, or the label of the axis `modality`, or `default`.
pub(crate) fn modality(given: Option<&str>, inputs: &Inputs<'_>) -> String {
    given.or_else(|| inputs.label("modality")).unwrap_or("default").to_owned()
}

/// Fits and predicts out of fold for the training rows, and once more on all of them for the test
/// rows.
///
/// The inner folds are those of the sorted groups of all training rows of the cohort, so that they
/// are the same for every modality. An example that is absent from the features gets no evidence. A
/// calibration is fitted on out-of-fold evidence: for the test rows on that of all training rows,
/// for an inner fold on that of the other inner folds, from experts that have not seen the inner
/// fold either.
pub(crate) fn run(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    setup: &Setup<'_>,
    predict: impl Fn(Training<'_>, Ask<'_>) -> Result<Answer, StageError> + Sync,
) -> Result<(), StageError> {
    let Prepared { cohort, rows, matrix, modality } =
        prepare(inputs, outputs, setup, inputs.one("cohort")?)?;
    let Cohort { example_id, group, label, classes: class_names } = cohort;
    drop(group);
    let classes = class_names.len();

    let answer = |left_out: &Vec<u32>| -> Result<Answer, StageError> {
        inputs.keep_going()?;
        let fit = rows.train.iter().filter(|row| !left_out.contains(&row.inner));
        // Nothing left out: fitted on all training rows, asked about the test rows.
        let asked = if left_out.is_empty() { &rows.test } else { &rows.train };
        let asked = asked.iter().filter(|row| left_out.is_empty() || left_out.contains(&row.inner));
        if asked.clone().next().is_none() {
            return Ok(Answer::exact(Vec::new()));
        }
        let labels: Vec<u32> = fit.clone().map(|row| label[row.cohort as usize]).collect();
        all_classes(&labels, &class_names).map_err(|class| {
            let place = match left_out[..] {
                [] => format!("fold {}", setup.test_fold),
                [inner] => format!("fold {}, inner fold {inner}", setup.test_fold),
                _ => format!("fold {}, inner folds {left_out:?}", setup.test_fold),
            };
            let class =
                if labels.is_empty() { String::new() } else { format!(" of class {class}") };
            StageError::data(format!(
                "no training example{class} in {place} of modality {modality}"
            ))
            .hint("use fewer folds, or fewer inner_folds, or split.stratified_group_kfold")
        })?;
        let training = Training {
            features: matrix.gather(fit.map(|row| row.features as usize)),
            width: matrix.width(),
            labels: &labels,
            weights: &setup.class_weight.weights(&labels, classes)?,
            classes,
            left_out,
        };
        predict(training, &|| matrix.gather(asked.clone().map(|row| row.features as usize)))
    };
    let mut parts: Vec<Vec<u32>> = vec![vec![]];
    parts.extend((0..setup.inner_folds).map(|inner| vec![inner]));
    if setup.calibration != Calibration::None {
        parts.extend((0..setup.inner_folds).flat_map(|a| (0..a).map(move |b| vec![b, a])));
    }
    let mut answers = parts.par_iter().map(answer).collect::<Result<Vec<_>, StageError>>()?;
    let place = format!("modality {modality} in fold {}", setup.test_fold);
    let shortfalls = answers.iter().filter_map(|answer| answer.not_converged);
    caution_of(outputs, &format!("of {} fits of {place}", answers.len()), shortfalls);

    let mut test = std::mem::take(&mut answers[0].scores);
    let test_logits = std::mem::take(&mut answers[0].logits);
    // Puts what was said without some inner folds in the places of their rows, or of those among
    // them.
    let put = |part: usize, said: &[f64], evidence: &mut [f64], among: &dyn Fn(&Row) -> bool| {
        let rows = rows.train.iter().zip(evidence.chunks_exact_mut(classes));
        let asked = rows.filter(|(row, _)| parts[part].contains(&row.inner));
        for ((row, place), said) in asked.zip(said.chunks_exact(classes)) {
            if among(row) {
                place.copy_from_slice(said);
            }
        }
    };
    let mut train = vec![0.0; rows.train.len() * classes];
    let single = setup.inner_folds as usize;
    (1..=single).for_each(|part| put(part, &answers[part].scores, &mut train, &|_| true));
    let [train_logits, test_logits] = if setup.logits {
        let mut train = vec![0.0; rows.train.len() * classes];
        (1..=single).for_each(|part| put(part, &answers[part].logits, &mut train, &|_| true));
        [Some(train), Some(test_logits)]
    } else {
        [None, None]
    };
    let labels: Vec<u32> = rows.train.iter().map(|row| label[row.cohort as usize]).collect();
    let shortfalls = Calibrating {
        calibration: setup.calibration,
        scale: setup.scale,
        class_weight: setup.class_weight,
        rows: &rows.train,
        labels: &labels,
        class_names: &class_names,
        inner_folds: setup.inner_folds,
    }
    .calibrate(&mut train, &mut test, |inner, evidence| {
        for part in (single + 1..parts.len()).filter(|&part| parts[part].contains(&inner)) {
            put(part, &answers[part].scores, evidence, &|row| row.inner != inner);
        }
    })?;
    caution_of(outputs, &format!("calibrations of {place}"), shortfalls.into_iter());
    let inner_fold = Some(inner_fold(&rows.train));
    for (port, rows, probabilities, logits, inner_fold) in [
        ("train", &rows.train, train, train_logits, inner_fold),
        ("test", &rows.test, test, test_logits, None),
    ] {
        let evidence = Evidence {
            modality: modality.clone(),
            classes: class_names.clone(),
            example_id: ids(&example_id, rows),
            probabilities: probabilities.into(),
            inner_fold,
            logits: logits.map(Into::into),
        };
        outputs.put(port, evidence)?;
    }
    Ok(())
}

/// Rows of an expert on both sides of the split, and its features.
struct Prepared {
    cohort: Cohort,
    rows: Sides,
    matrix: Matrix,
    modality: String,
}

/// Reads folds and features of an expert, and checks that there is something to fit on.
fn prepare(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    setup: &Setup<'_>,
    cohort: Cohort,
) -> Result<Prepared, StageError> {
    let fold = fold_of_rows(&cohort, &inputs.one("folds")?)?;
    let features: Features = inputs.one("features")?;
    let mut place = Finder::new(&features.example_id);
    let found = |row: usize| place.find(&cohort.example_id[row]);
    let rows = Sides::new(&cohort, &fold, setup.test_fold, setup.inner_folds, found)?;
    let modality = modality(setup.modality, inputs);
    misspelt(&cohort, &features, &modality, outputs)?;
    if rows.train.is_empty() && !rows.test.is_empty() {
        return Err(no_training_rows(&modality, setup.test_fold, rows.test.len()));
    }
    if rows.train.is_empty() {
        let first = |ids: &Texts| ids.get(0).unwrap_or("none").to_owned();
        return Err(StageError::data("no training example of the cohort is in the features")
            .at_input("features")
            .hint(format!(
                "compare the example_ids: the cohort has {}, such as {}; the features have {}, \
                 such as {}",
                cohort.example_id.len(),
                first(&cohort.example_id),
                features.example_id.len(),
                first(&features.example_id),
            )));
    }
    let matrix = Matrix::from_features(&features, setup.exclude)?;
    if matrix.width() == 0 {
        return Err(StageError::data("no feature is left to fit on")
            .at("exclude")
            .hint(format!("all {} features are excluded", features.columns.len())));
    }
    giveaway::caution(&features, setup.exclude, &rows.train, &cohort, &modality, outputs);
    Ok(Prepared { cohort, rows, matrix, modality })
}

/// Says that solvers stopped before their tolerance, and how far the worst of them came.
pub(crate) fn caution_of(
    outputs: &mut Outputs,
    what: &str,
    shortfalls: impl Iterator<Item = NotConverged> + Clone,
) {
    let count = shortfalls.clone().count();
    let excess = |shortfall: &NotConverged| shortfall.gradient / shortfall.wanted;
    if let Some(worst) = shortfalls.max_by(|a, b| excess(a).total_cmp(&excess(b))) {
        outputs.caution(format!("{count} {what} did not converge: in the worst {worst}"));
    }
}

/// Error when only test rows have a modality.
fn no_training_rows(modality: &str, test_fold: i32, tested: usize) -> StageError {
    StageError::data(format!("no training example of modality {modality} in fold {test_fold}"))
        .hint(format!(
            "all {tested} examples of the cohort that have it are tested there; use other folds, \
             or leave the modality out"
        ))
}

/// Says which examples the features seem to have under another id. That others are absent is how a
/// modality is unavailable.
fn misspelt(
    cohort: &Cohort,
    features: &Features,
    modality: &str,
    outputs: &mut Outputs,
) -> Result<(), StageError> {
    let lost = absent(&cohort.example_id, &features.example_id);
    if lost.is_empty() {
        return Ok(());
    }
    let unused = absent(&features.example_id, &cohort.example_id);
    let sources =
        [Source::new("the cohort", lost.iter().copied()), Source::new("the features", unused)];
    let Some(mismatch) = find_mismatch(&sources) else { return Ok(()) };
    let (kept, of) = (cohort.len() - lost.len(), cohort.len());
    let what = format!(
        "the features of modality {modality} lack {} of the {of} examples, which count as \
         unavailable there",
        lost.len()
    );
    let loss = Loss { what, lost, kept, of, by_design: true, mismatch: Some(mismatch) };
    JoinOptions::default().judge(loss, outputs)
}

/// A row of the cohort that the modality has too.
struct Row {
    cohort: u32,
    /// Row of its features.
    features: u32,
    /// The inner fold; of no meaning for a test row.
    inner: u32,
}

/// The example_ids of some rows.
fn ids(example_id: &Texts, rows: &[Row]) -> Texts {
    example_id.take(rows.iter().map(|row| row.cohort as usize))
}

/// The inner fold of each of some training rows.
fn inner_fold(rows: &[Row]) -> Vec<u32> {
    rows.iter().map(|row| row.inner).collect()
}

/// The rows on each side of the split that the modality has.
#[derive(Default)]
struct Sides {
    train: Vec<Row>,
    test: Vec<Row>,
    /// Number of training and of test rows, whether or not the modality has them.
    all: (usize, usize),
}

impl Sides {
    /// `fold`: that of each row of the cohort. `found` gives the row of the features for a row of
    /// the cohort. Training rows are divided into `inner_folds`, unless that is 0.
    fn new(
        cohort: &Cohort,
        fold: &[i32],
        test_fold: i32,
        inner_folds: u32,
        mut found: impl FnMut(usize) -> Option<usize>,
    ) -> Result<Self, StageError> {
        let rows =
            |test: bool| (0..fold.len()).filter(move |&row| (fold[row] == test_fold) == test);
        let all = (rows(false).count(), rows(true).count());
        some_tested(test_fold, fold)?;
        fold_apart(cohort, fold, test_fold)?;
        let inner = match inner_folds {
            0 => vec![0; all.0],
            _ => divide_by_group(&cohort.group.take(rows(false)), inner_folds)?,
        };
        let mut sides = Self { all, ..Self::default() };
        let mut inner = inner.into_iter();
        for (row, &of) in fold.iter().enumerate() {
            let tested = of == test_fold;
            let inner = if tested { 0 } else { inner.next().unwrap_or_default() };
            if let Some(features) = found(row) {
                let side = if tested { &mut sides.test } else { &mut sides.train };
                // Tables have fewer rows than there are numbers of 32 bits.
                side.push(Row { cohort: row as u32, features: features as u32, inner });
            }
        }
        Ok(sides)
    }
}

/// The inner fold of each training row, given its group.
pub(crate) fn divide_by_group(group: &Texts, inner_folds: u32) -> Result<Vec<u32>, StageError> {
    fold_by_rank(group, inner_folds, |_| ()).map_err(|groups| {
        StageError::data(format!(
            "{inner_folds} inner folds of {groups} training groups: some would be empty"
        ))
        .at("inner_folds")
        .hint(match groups {
            0 | 1 => "rows of one group alone cannot be divided".to_owned(),
            _ => format!("at most {groups} inner folds are possible"),
        })
    })
}

/// An error with the class's name when a class has no row.
pub(crate) fn all_classes<'c>(labels: &[u32], classes: &'c [String]) -> Result<(), &'c str> {
    let mut seen = vec![false; classes.len()];
    for &label in labels {
        seen[label as usize] = true;
    }
    match seen.iter().position(|seen| !seen) {
        Some(class) => Err(&classes[class]),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
