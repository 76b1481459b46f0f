//! `quality.ensemble_variance`: how much experts fitted on half of the groups agree.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::{Cohort, Control, Evidence, Features};
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_learn::logistic::{Logistic, Options};
use fuseline_learn::standardise::Preprocessor;
use fuseline_learn::weights;
use fuseline_stats::streams::Stream;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::expert::{all_classes, caution_of};
use crate::quality::{Source, put, raw_rows};
use crate::rows::{Matrix, cohort_rows};

/// Quality is minus the variance of the class probabilities across an ensemble of logistic experts,
/// averaged over classes.
///
/// The training groups are split in halves at random, `members / 2` times, and an expert is fitted
/// on each half. A row is asked of one member of each split, so that variances of training and of
/// test rows are of as many members that were fitted alike: a training row of the one that its
/// group did not shape, a test row of one that is drawn for its group. It is not evidence-derived:
/// two examples of equal evidence may have different variances.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnsembleVariance {
    /// Number of experts; even.
    #[serde(default = "twenty")]
    #[schemars(range(min = 4), extend("multipleOf" = 2))]
    members: u32,
    /// Weight of the losses against the penalty, as of `expert.logistic`.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    c: f64,
    /// Columns that do not count.
    #[serde(default)]
    exclude: Vec<String>,
}

fn twenty() -> u32 {
    20
}

fn one() -> f64 {
    1.0
}

impl StageKind for EnsembleVariance {
    const NAME: &'static str = "quality.ensemble_variance";
    const REVISION: u32 = 2; // 2: test rows are asked of one member a split, as training rows are.
    const SUMMARY: &'static str =
        "How much experts that were fitted on different halves of the training groups agree.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "features", "cohort"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { members, c, exclude } = self;
        key.field("members", members);
        key.field("c", c);
        key.field("exclude", exclude);
        key.seed();
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        crate::upstream::check_experts(site, "evidence_test");
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::fitted_rows(flow, "features");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let features: Features = inputs.one("features")?;
        let cohort: Cohort = inputs.one("cohort")?;
        let training: Evidence = inputs.one("evidence_train")?;
        let matrix = Matrix::from_features(&features, &self.exclude)?;
        let rows =
            raw_rows(&training, &features)?.into_iter().zip(cohort_rows(&training, &cohort)?);
        let rows: Vec<(usize, usize)> = rows.collect();
        let sides = self.sides(inputs.seed(), &training.modality, &cohort, &rows);
        let members = (0..self.members as usize)
            .into_par_iter()
            .map(|member| {
                inputs.keep_going()?;
                let own = |row: usize| sides[&cohort.group[row]][member / 2] == (member % 2 == 1);
                let fit: Vec<_> = rows.iter().copied().filter(|&(_, row)| own(row)).collect();
                self.fit(&matrix, &cohort, &fit)
            })
            .collect::<Result<Vec<Member>, StageError>>()?;
        let shortfalls = members.iter().filter_map(|member| member.model.not_converged());
        let what = format!("of {} members of modality {}", members.len(), training.modality);
        caution_of(outputs, &what, shortfalls);
        let source =
            Source { name: "ensemble_variance", control: Control::Native, evidence_derived: false };
        put::<Evidence>(inputs, outputs, &source, |evidence| {
            let raw = raw_rows(evidence, &features)?;
            let asked = matrix.gather(raw.into_iter());
            let answers = members
                .iter()
                .map(|member| member.ask(asked.clone()))
                .collect::<Result<Vec<_>, _>>()?;
            let classes = cohort.classes.len();
            let rows = cohort_rows(evidence, &cohort)?.into_iter().enumerate();
            Ok(rows
                .map(|(at, row)| {
                    let side = &sides[&cohort.group[row]];
                    let unseen = answers.iter().enumerate();
                    let unseen = unseen.filter(|(member, _)| side[member / 2] != (member % 2 == 1));
                    let unseen: Vec<&[f64]> =
                        unseen.map(|(_, answer)| &answer[at * classes..][..classes]).collect();
                    -variance(&unseen)
                })
                .collect())
        })
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
}

impl EnsembleVariance {
    /// On which side of each split every group is: the training groups in halves, any other as
    /// drawn for itself.
    fn sides<'c>(
        &self,
        seed: u64,
        modality: &str,
        cohort: &'c Cohort,
        rows: &[(usize, usize)],
    ) -> BTreeMap<&'c str, Vec<bool>> {
        let groups: BTreeSet<&str> = rows.iter().map(|&(_, row)| &cohort.group[row]).collect();
        let mut sides: BTreeMap<&str, Vec<bool>> =
            groups.iter().map(|group| (*group, Vec::new())).collect();
        let stream = Stream::new(seed, Self::NAME).with(modality.as_bytes());
        for split in 0..self.members / 2 {
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
                (0..self.members / 2).map(|_| stream.below(2) == 1).collect()
            });
        }
        sides
    }

    /// Fits on rows of (features, cohort).
    fn fit(
        &self,
        matrix: &Matrix,
        cohort: &Cohort,
        rows: &[(usize, usize)],
    ) -> Result<Member, StageError> {
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
        let options = Options { c: self.c, ..Options::default() };
        let model = Logistic::fit(&fit, matrix.width(), &labels, &weights, classes, &options)
            .map_err(|error| failed(&error))?;
        Ok(Member { scale, model })
    }
}

/// The variance of each class's probability across members, divisor members - 1, averaged over
/// classes.
fn variance(answers: &[&[f64]]) -> f64 {
    let count = answers.len() as f64;
    let classes = answers.first().map_or(0, |answer| answer.len());
    let of = |class: usize| {
        let mean = answers.iter().map(|answer| answer[class]).sum::<f64>() / count;
        let squares = answers.iter().map(|answer| (answer[class] - mean) * (answer[class] - mean));
        squares.sum::<f64>() / (count - 1.0)
    };
    (0..classes).map(of).sum::<f64>() / classes as f64
}
