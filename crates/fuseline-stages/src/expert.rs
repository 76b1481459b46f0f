//! `expert.*`: unimodal classifiers that give evidence.
//!
//! What all experts share lives here: which rows they are fitted on and which they are asked about. A member of the
//! family brings only its way to fit and predict.

use fuseline_artifact::{ArtifactKind, Cohort, Evidence, Features, Folds};
use fuseline_engine::{Inputs, Outputs, Ports, RowFlow, Rows, StageError};
use fuseline_workflow::Role;
use rayon::prelude::*;

use crate::guard::groups_apart;
use crate::rows::{Matrix, fold_of_rows, row_of};
use crate::split::fold_by_rank;

pub mod logistic;

/// The ports of every expert.
pub(crate) fn ports() -> Ports {
    Ports::new()
        .one("features", ArtifactKind::Features, Role::Fit, "The features of one modality.")
        .one("cohort", ArtifactKind::Cohort, Role::Fit, "The examples with group and label.")
        .one(
            "folds",
            ArtifactKind::Folds,
            Role::Neutral,
            "The fold in which each example is tested.",
        )
        .output(
            "train",
            ArtifactKind::Evidence,
            "Evidence of the training rows, each from experts fitted without its group.",
        )
        .output("test", ArtifactKind::Evidence, "Evidence of the test rows.")
        .reads_point()
}

/// What every expert is told.
pub(crate) struct Setup<'a> {
    pub test_fold: i32,
    pub inner_folds: u32,
    /// The modality's name, when the workflow gives one.
    pub modality: Option<&'a str>,
    /// Columns of the features that the expert must not see.
    pub exclude: &'a [String],
}

/// Rows to fit on: features row-major with missing values as NaN.
pub(crate) struct Training<'a> {
    pub features: Vec<f64>,
    pub width: usize,
    pub labels: &'a [u32],
    pub classes: usize,
}

/// The leakage guard of every expert: it is fitted on the training rows of its fold, out of fold for those themselves.
pub(crate) fn rows(flow: &mut RowFlow<'_>, test_fold: i32) {
    let fold = flow.fold("folds", test_fold.into());
    flow.fit("features", Rows::Train(fold));
    flow.no_control("features");
    let shaped_by = flow.input("features").shaped_by.union(Rows::Train(fold));
    flow.output("train", Rows::Train(fold), shaped_by);
    flow.output("test", Rows::Test(fold), shaped_by);
}

/// The name of the modality at hand: as given, or the label of the axis `modality`, or `default`.
pub(crate) fn modality(given: Option<&str>, inputs: &Inputs<'_>) -> String {
    given.or_else(|| inputs.label("modality")).unwrap_or("default").to_owned()
}

/// Fits and predicts out of fold for the training rows, and once more on all of them for the test rows.
///
/// The inner folds are those of the sorted groups of all training rows of the cohort, so that they are the same for every
/// modality. An example that is absent from the features gets no evidence.
pub(crate) fn run(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    setup: &Setup<'_>,
    predict: impl Fn(&Training<'_>, Vec<f64>) -> Result<Vec<f64>, StageError> + Sync,
) -> Result<(), StageError> {
    let features: Features = inputs.one("features")?;
    let cohort: Cohort = inputs.one("cohort")?;
    let rows = Sides::new(&features, &cohort, &inputs.one("folds")?, setup)?;
    let matrix = Matrix::of(&features, setup.exclude)?;
    if matrix.width == 0 {
        return Err(StageError::data("no feature is left to fit on").at("exclude"));
    }
    let modality = modality(setup.modality, inputs);

    // The last part is the whole: fitted on all training rows, asked about the test rows.
    let parts: Vec<_> = (0..=setup.inner_folds).collect();
    let answers = parts
        .par_iter()
        .map(|&part| {
            inputs.keep_going()?;
            let (fit, ask): (Vec<_>, Vec<_>) = if part == setup.inner_folds {
                (rows.train.iter().collect(), rows.test.iter().collect())
            } else {
                rows.train.iter().partition(|row| row.inner != part)
            };
            let ask: Vec<usize> = ask.iter().map(|row| row.features).collect();
            if ask.is_empty() {
                return Ok(Vec::new());
            }
            let labels: Vec<u32> = fit.iter().map(|row| cohort.label[row.cohort]).collect();
            all_classes(&labels, &cohort.classes).map_err(|class| {
                let place = if part == setup.inner_folds {
                    format!("fold {}", setup.test_fold)
                } else {
                    format!("fold {}, inner fold {part}", setup.test_fold)
                };
                StageError::data(format!(
                    "no training example of class {class} in {place} of modality {modality}"
                ))
                .hint("use fewer folds, or fewer inner_folds")
            })?;
            let fit: Vec<usize> = fit.iter().map(|row| row.features).collect();
            let training = Training {
                features: matrix.gather(&fit),
                width: matrix.width,
                labels: &labels,
                classes: cohort.classes.len(),
            };
            predict(&training, matrix.gather(&ask))
        })
        .collect::<Result<Vec<_>, StageError>>()?;

    let classes = cohort.classes.len();
    let evidence = |rows: &[Row], probabilities| Evidence {
        modality: modality.clone(),
        classes: cohort.classes.clone(),
        example_id: rows.iter().map(|row| cohort.example_id[row.cohort].clone()).collect(),
        probabilities,
    };
    let mut next: Vec<_> = answers.iter().map(|answer| answer.chunks_exact(classes)).collect();
    let mut train = Vec::with_capacity(rows.train.len() * classes);
    for row in &rows.train {
        train.extend(next[row.inner as usize].next().into_iter().flatten());
    }
    outputs.put("train", evidence(&rows.train, train))?;
    let test = answers.last().cloned().unwrap_or_default();
    outputs.put("test", evidence(&rows.test, test))
}

/// A row of the cohort that the features have too.
struct Row {
    cohort: usize,
    features: usize,
    /// The inner fold; of no meaning for a test row.
    inner: u32,
}

struct Sides {
    train: Vec<Row>,
    test: Vec<Row>,
}

impl Sides {
    fn new(
        features: &Features,
        cohort: &Cohort,
        folds: &Folds,
        setup: &Setup<'_>,
    ) -> Result<Self, StageError> {
        let fold = fold_of_rows(cohort, folds)?;
        let (test, train): (Vec<usize>, Vec<usize>) =
            (0..fold.len()).partition(|&row| fold[row] == setup.test_fold);
        if test.is_empty() {
            let last = fold.iter().max().copied().unwrap_or_default();
            return Err(StageError::data(format!(
                "no example is tested in fold {}",
                setup.test_fold
            ))
            .at("test_fold")
            .hint(format!("the folds are 0 to {last}")));
        }
        groups_apart(cohort, &train, &test)?;
        let groups = train.iter().map(|&row| cohort.group[row].as_str());
        let inner = fold_by_rank(groups, setup.inner_folds, |_| ()).map_err(|groups| {
            StageError::data(format!(
                "{} inner folds of {groups} training groups: some would be empty",
                setup.inner_folds
            ))
            .at("inner_folds")
        })?;
        let place = row_of(features.example_id.iter().flatten());
        let present = |row: usize, inner: u32| {
            let features = *place.get(cohort.example_id[row].as_str())?;
            Some(Row { cohort: row, features, inner })
        };
        let rows = Self {
            train: train
                .iter()
                .zip(inner)
                .filter_map(|(&row, inner)| present(row, inner))
                .collect(),
            test: test.iter().filter_map(|&row| present(row, 0)).collect(),
        };
        if rows.train.is_empty() {
            return Err(StageError::data("no training example of the cohort is in the features")
                .hint("compare the example_ids of the two"));
        }
        Ok(rows)
    }
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
