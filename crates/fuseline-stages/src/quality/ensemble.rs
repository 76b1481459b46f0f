//! Ensembles of experts on halves of the training groups, for the members of the family that read
//! how much such experts agree.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::{Cohort, Evidence, Features};
use fuseline_engine::{Inputs, Outputs, StageError, StageKind};
use fuseline_learn::logistic::{Logistic, Options};
use fuseline_learn::standardise::Preprocessor;
use fuseline_learn::weights;
use fuseline_stats::streams::Stream;
use rayon::prelude::*;

use crate::expert::{all_classes, caution_of};
use crate::quality::ensemble_variance::EnsembleVariance;
use crate::quality::raw_rows;
use crate::rows::{Matrix, cohort_rows};

/// Ports that an ensemble needs, besides the evidence.
pub(super) const PORTS: [&str; 4] = ["evidence_train", "evidence_test", "features", "cohort"];

/// Options of an ensemble: see [`EnsembleVariance`].
#[derive(Clone, Copy)]
pub(super) struct EnsembleOptions<'o> {
    /// Number of experts; even.
    pub members: u32,
    /// Weight of the losses against the penalty.
    pub c: f64,
    /// Columns that do not count.
    pub exclude: &'o [String],
}

/// Names of the options that an ensemble alone reads.
pub(super) const OPTIONS: [&str; 3] = ["members", "c", "exclude"];

/// Default number of members.
pub(super) fn members() -> u32 {
    20
}

/// Default weight of the losses.
pub(super) fn c() -> f64 {
    1.0
}

/// Fitted experts, two for each split of the training groups into halves.
pub(super) struct Ensemble {
    features: Features,
    matrix: Matrix,
    cohort: Cohort,
    members: Vec<Member>,
    /// On which side of each split every group is.
    sides: BTreeMap<String, Vec<bool>>,
}

impl Ensemble {
    /// Fits on the training evidence's rows of the inputs `features` and `cohort`. The same seed
    /// gives the same ensemble to every kind that asks.
    pub fn fit(
        inputs: &Inputs<'_>,
        outputs: &mut Outputs,
        options: &EnsembleOptions<'_>,
    ) -> Result<Self, StageError> {
        let features: Features = inputs.one("features")?;
        let cohort: Cohort = inputs.one("cohort")?;
        let training: Evidence = inputs.one("evidence_train")?;
        let matrix = Matrix::from_features(&features, options.exclude)?;
        let rows =
            raw_rows(&training, &features)?.into_iter().zip(cohort_rows(&training, &cohort)?);
        let rows: Vec<(usize, usize)> = rows.collect();
        let sides = sides(options.members, inputs.seed(), &training.modality, &cohort, &rows);
        let members = (0..options.members as usize)
            .into_par_iter()
            .map(|member| {
                inputs.keep_going()?;
                let own = |row: usize| sides[&cohort.group[row]][member / 2] == (member % 2 == 1);
                let fit: Vec<_> = rows.iter().copied().filter(|&(_, row)| own(row)).collect();
                Member::fit(&matrix, &cohort, &fit, options.c)
            })
            .collect::<Result<Vec<Member>, StageError>>()?;
        let shortfalls = members.iter().filter_map(|member| member.model.not_converged());
        let what = format!("of {} members of modality {}", members.len(), training.modality);
        caution_of(outputs, &what, shortfalls);
        let sides = sides.into_iter().map(|(group, sides)| (group.to_owned(), sides)).collect();
        Ok(Self { features, matrix, cohort, members, sides })
    }

    /// What `of` makes of each row's class probabilities by the members that are asked about it:
    /// one of each split.
    pub fn each_row(
        &self,
        evidence: &Evidence,
        of: impl Fn(&[&[f64]]) -> f64,
    ) -> Result<Vec<f64>, StageError> {
        let raw = raw_rows(evidence, &self.features)?;
        let asked = self.matrix.gather(raw.into_iter());
        let answers = self
            .members
            .iter()
            .map(|member| member.ask(asked.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        let classes = self.cohort.classes.len();
        let rows = cohort_rows(evidence, &self.cohort)?.into_iter().enumerate();
        Ok(rows
            .map(|(at, row)| {
                let side = &self.sides[&self.cohort.group[row]];
                let unseen = answers.iter().enumerate();
                let unseen = unseen.filter(|(member, _)| side[member / 2] != (member % 2 == 1));
                let unseen: Vec<&[f64]> =
                    unseen.map(|(_, answer)| &answer[at * classes..][..classes]).collect();
                of(&unseen)
            })
            .collect())
    }
}

/// A fitted expert.
struct Member {
    scale: Preprocessor,
    model: Logistic,
}

impl Member {
    fn ask(&self, mut rows: Vec<f64>) -> Result<Vec<f64>, StageError> {
        let failed = |error: &dyn std::error::Error| StageError::failed(error.to_string());
        self.scale.apply(&mut rows).map_err(|error| failed(&error))?;
        self.model.predict_proba(&rows).map_err(|error| failed(&error))
    }

    /// Fits on rows of (features, cohort).
    fn fit(
        matrix: &Matrix,
        cohort: &Cohort,
        rows: &[(usize, usize)],
        c: f64,
    ) -> Result<Self, StageError> {
        let failed = |error: &dyn std::error::Error| StageError::failed(error.to_string());
        let labels: Vec<u32> = rows.iter().map(|&(_, row)| cohort.label[row]).collect();
        all_classes(&labels, &cohort.classes).map_err(|class| {
            StageError::data(format!(
                "a half of the training groups has no example of class {class}"
            ))
            .hint("the ensemble needs more groups; use fewer folds")
        })?;
        let mut fit = matrix.gather(rows.iter().map(|&(row, _)| row));
        let scale = Preprocessor::fit(&fit, matrix.width()).map_err(|error| failed(&error))?;
        scale.apply(&mut fit).map_err(|error| failed(&error))?;
        let classes = cohort.classes.len();
        let weights = weights::balanced(&labels, classes).map_err(|error| failed(&error))?;
        let options = Options { c, ..Options::default() };
        let model = Logistic::fit(&fit, matrix.width(), &labels, &weights, classes, &options)
            .map_err(|error| failed(&error))?;
        Ok(Self { scale, model })
    }
}

/// On which side of each split every group is: the training groups in halves, any other as
/// drawn for itself.
fn sides<'c>(
    members: u32,
    seed: u64,
    modality: &str,
    cohort: &'c Cohort,
    rows: &[(usize, usize)],
) -> BTreeMap<&'c str, Vec<bool>> {
    let groups: BTreeSet<&str> = rows.iter().map(|&(_, row)| &cohort.group[row]).collect();
    let mut sides: BTreeMap<&str, Vec<bool>> =
        groups.iter().map(|group| (*group, Vec::new())).collect();
    let stream = Stream::new(seed, EnsembleVariance::NAME).with(modality.as_bytes());
    for split in 0..members / 2 {
        let mut shuffled: Vec<&str> = groups.iter().copied().collect();
        stream.clone().with_u64(split.into()).shuffle(&mut shuffled);
        for (at, group) in shuffled.iter().enumerate() {
            if let Some(sides) = sides.get_mut(group) {
                sides.push(at % 2 == 1);
            }
        }
    }
    for group in cohort.group.iter() {
        sides.entry(group).or_insert_with(|| {
            let mut stream = stream.clone().with(b"not fitted on").with(group.as_bytes());
            (0..members / 2).map(|_| stream.below(2) == 1).collect()
        });
    }
    sides
}
