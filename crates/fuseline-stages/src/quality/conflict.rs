//! `quality.conflict`: how much a modality's expert contradicts the others.

use fuseline_artifact::{Control, Evidence};
use fuseline_engine::{
    Inputs, KeyWriter, Labelled, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::evidence::{dempster_conflict, jensen_shannon};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quality::{Source, each_row, put_sides};
use crate::rows::Finder;

/// Quality is minus the mean conflict of the modality's evidence with that of each other modality
/// that is there: from -1 to 0, more is more reliable; 0 where no other is there.
///
/// `jensen_shannon` is the Jensen-Shannon divergence of two distributions in bits (Lin,
/// "Divergence measures based on the Shannon entropy", IEEE Trans. Information Theory 37(1), 1991),
/// 0 where they are equal; `dempster` is the mass that Dempster's rule puts on the empty set, 1 -
/// sum_k p_k q_k (Shafer, "A Mathematical Theory of Evidence", Princeton 1976), above 0 also for two
/// equal distributions unless they are certain.
///
/// `all_train` and `all_test` bring the evidence of all modalities of one fold, as in `all_train:
/// expert.train[modality=audio|video]`; the modality's own is left out. It is a function of the
/// evidence of all modalities, which the diagnostic holds fixed, and marked as evidence-derived.
/// Nothing is fitted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conflict {
    /// Conflict of two distributions.
    #[serde(default)]
    measure: Measure,
}

/// Conflict of two distributions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Measure {
    /// The Jensen-Shannon divergence, in bits.
    #[default]
    JensenShannon,
    /// 1 - sum_k p_k q_k.
    Dempster,
}

impl StageKind for Conflict {
    const NAME: &'static str = "quality.conflict";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "Minus the mean conflict with the evidence of the others.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "all_train", "all_test"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { measure } = self;
        key.field("measure", measure);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        crate::upstream::check_experts(site, "evidence_test");
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows_beside(flow, "all_train", "all_test");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let source = Source { name: "conflict", control: Control::Native, evidence_derived: true };
        let measure = match self.measure {
            Measure::JensenShannon => jensen_shannon,
            Measure::Dempster => dempster_conflict,
        };
        put_sides::<Evidence>(inputs, outputs, &source, |side, evidence| {
            let port = format!("all_{side}");
            let all: Vec<Labelled<Evidence>> = inputs.many(&port)?;
            let all = all.into_iter().map(|labelled| labelled.artifact);
            let others: Vec<Evidence> =
                all.filter(|other| other.modality != evidence.modality).collect();
            super::some_others(others.len(), &port, &evidence.modality)?;
            if let Some(other) = others.iter().find(|other| other.classes != evidence.classes) {
                return Err(StageError::data(format!(
                    "modalities {} and {} have other classes",
                    evidence.modality, other.modality
                )));
            }
            Ok(mean_conflict(evidence, &others, measure))
        })
    }
}

/// Minus the mean conflict of each row with the other modalities that have it.
fn mean_conflict(
    evidence: &Evidence,
    others: &[Evidence],
    measure: fn(&[f64], &[f64]) -> f64,
) -> Vec<f64> {
    let classes = evidence.classes.len();
    let mut finders: Vec<_> = others.iter().map(|other| Finder::new(&other.example_id)).collect();
    let rows = evidence.example_id.iter().zip(each_row(evidence));
    rows.map(|(id, own)| {
        let (mut sum, mut count) = (0.0, 0_u32);
        for (finder, other) in finders.iter_mut().zip(others) {
            if let Some(row) = finder.find(id) {
                sum += measure(own, &other.probabilities[row * classes..][..classes]);
                count += 1;
            }
        }
        -sum / f64::from(count.max(1))
    })
    .collect()
}
