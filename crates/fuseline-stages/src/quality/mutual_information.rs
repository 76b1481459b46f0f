//! `quality.mutual_information`: how much members of an ensemble, or passes of a network, disagree.

use std::collections::BTreeMap;

use fuseline_artifact::{Control, Evidence, Features};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, Problem, RowFlow, StageError,
    StageKind, UnreadOption,
};
use fuseline_stats::evidence::mutual_information;
use schemars::JsonSchema;
use serde::Deserialize;

use super::ensemble::{self, Ensemble, EnsembleOptions};
use crate::pattern::Pattern;
use crate::quality::{Source, put, raw_rows};
use crate::rows::Matrix;

/// Quality is minus the mutual information between the class and the member, H(mean_j p_j) - mean_j
/// H(p_j) in nats: from -ln K to 0, more is more reliable (Houlsby, Huszár, Ghahramani and Lengyel,
/// "Bayesian active learning for classification and preference learning", arXiv 1112.5745; of
/// dropout passes Gal, Islam and Ghahramani, "Deep Bayesian active learning with image data", ICML
/// 2017).
///
/// The members are those of `quality.ensemble_variance`, experts on halves of the training groups,
/// none of which saw the group of a training row that it is asked about. With `passes` they are
/// columns of the features instead: class probabilities of several passes of a network with dropout,
/// or of several networks. Those of training rows should come from networks that did not see these
/// rows: else a fusion rule learns from surer passes than it is asked about. It is not
/// evidence-derived: examples of equal evidence may differ in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MutualInformation {
    /// Columns of the features with the class probabilities of several passes: a pattern whose
    /// first group is the pass and whose second group is the class, as in `^mc([0-9]+)_(.+)$`.
    /// Nothing is fitted then.
    #[serde(default)]
    passes: Option<Pattern>,
    /// Number of experts; even.
    #[serde(default = "ensemble::members")]
    #[schemars(range(min = 4, max = 10_000), extend("multipleOf" = 2))]
    members: u32,
    /// Weight of the losses against the penalty, as of `expert.logistic`.
    #[serde(default = "ensemble::c")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    c: f64,
    /// Columns that the ensemble's experts do not see.
    #[serde(default)]
    exclude: Vec<String>,
}

/// By how much the probabilities of a pass may leave 0 to 1, and their sum 1.
const ROUNDING: f64 = 1e-4;

impl StageKind for MutualInformation {
    const NAME: &'static str = "quality.mutual_information";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "Minus the mutual information of class and member, of an ensemble or of dropout passes.";

    fn ports() -> Ports {
        super::ports_with(&["evidence_train", "evidence_test", "features"], &["cohort"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { passes, members, c, exclude } = self;
        key.field("passes", passes);
        if passes.is_none() {
            key.field("members", members);
            key.field("c", c);
            key.field("exclude", exclude);
            key.seed();
        }
    }

    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        match self.passes {
            Some(_) => ensemble::OPTIONS
                .map(|option| (option, "with `passes` no ensemble is fitted"))
                .into(),
            None => Vec::new(),
        }
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        match &self.passes {
            Some(pattern) if pattern.groups() < 2 => {
                let message = "the pattern needs two groups: the pass and the class";
                site.report(Problem::new("passes", message).hint("as in `^mc([0-9]+)_(.+)$`"));
            }
            None if !site.inputs.contains(&"cohort") => {
                let message = "an ensemble is fitted, and nothing arrives at input cohort";
                site.report(Problem::new("passes", message).hint("give it the cohort, or passes"));
            }
            _ => {}
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        crate::upstream::check_experts(site, "evidence_test");
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        match self.passes {
            Some(_) => super::rows(flow),
            None => super::fitted_rows(flow, "features"),
        }
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let Self { passes, members, c, exclude } = self;
        let source = Source {
            name: "mutual_information",
            control: Control::Native,
            evidence_derived: false,
        };
        let Some(pattern) = passes else {
            let options = EnsembleOptions { members: *members, c: *c, exclude };
            let ensemble = Ensemble::fit(inputs, outputs, &options)?;
            return put(inputs, outputs, &source, |evidence| {
                ensemble.each_row(evidence, |members| -mutual_information(members))
            });
        };
        let features: Features = inputs.one("features")?;
        put(inputs, outputs, &source, |evidence| of_passes(evidence, &features, pattern))
    }
}

/// The quality of each row of evidence, from the passes that columns of the features hold.
fn of_passes(
    evidence: &Evidence,
    features: &Features,
    pattern: &Pattern,
) -> Result<Vec<f64>, StageError> {
    let passes = pass_columns(evidence, features, pattern)?;
    let matrix = Matrix::from_features(features, &[])?;
    let rows = raw_rows(evidence, features)?.into_iter().zip(evidence.example_id.iter());
    rows.map(|(row, id)| {
        let row = matrix.row(row);
        let of_pass = |columns: &Vec<usize>| columns.iter().map(|&column| row[column]).collect();
        let members: Vec<Vec<f64>> = passes.values().map(of_pass).collect();
        for (member, pass) in members.iter().zip(passes.keys()) {
            let range = -ROUNDING..=1.0 + ROUNDING;
            let sum: f64 = member.iter().sum();
            if !((sum - 1.0).abs() <= ROUNDING && member.iter().all(|p| range.contains(p))) {
                return Err(StageError::data(format!(
                    "{member:?} of pass {pass} for example {id} are no probabilities: each must \
                     lie in 0 to 1, and all sum to 1"
                ))
                .at("passes"));
            }
        }
        let members: Vec<&[f64]> = members.iter().map(Vec::as_slice).collect();
        Ok(-mutual_information(&members))
    })
    .collect()
}

/// For each pass the column of each class, in the order of the classes.
fn pass_columns<'f>(
    evidence: &Evidence,
    features: &'f Features,
    pattern: &Pattern,
) -> Result<BTreeMap<&'f str, Vec<usize>>, StageError> {
    let classes = &evidence.classes;
    let mut found = BTreeMap::<&str, Vec<Option<usize>>>::new();
    for (column, (name, _)) in features.columns.iter().enumerate() {
        let Some((pass, class)) = pattern.first_two_groups(name) else { continue };
        let class = classes.iter().position(|known| known == class).ok_or_else(|| {
            StageError::data(format!("column {name} is of class {class}, which there is not"))
                .at("passes")
                .hint(format!("the classes are {}", classes.join(", ")))
        })?;
        found.entry(pass).or_insert_with(|| vec![None; classes.len()])[class] = Some(column);
    }
    if found.len() < 2 {
        return Err(StageError::data(format!(
            "the features of modality {} have columns of {} passes, and disagreement needs two",
            evidence.modality,
            found.len()
        ))
        .at("passes"));
    }
    let complete = |(pass, columns): (&'f str, Vec<Option<usize>>)| {
        if let Some(lacking) = columns.iter().position(Option::is_none) {
            let message = format!("pass {pass} has no column of class {}", classes[lacking]);
            return Err(StageError::data(message).at("passes"));
        }
        Ok((pass, columns.into_iter().flatten().collect()))
    };
    found.into_iter().map(complete).collect()
}
