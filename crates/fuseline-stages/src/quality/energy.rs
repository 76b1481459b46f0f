//! `quality.energy`: minus the energy of the expert's logits.

use fuseline_artifact::Control;
use fuseline_engine::{
    Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::evidence::negative_energy;
use schemars::JsonSchema;
use serde::Deserialize;

use super::logits;
use crate::quality::{Source, put};

/// Quality is T ln sum_k exp(l_k / T) of the logits l, minus their energy: on the scale of the
/// logits, unbounded, more is more reliable (Liu, Wang, Owens and Li, "Energy-based
/// out-of-distribution detection", NeurIPS 2020).
///
/// Evidence needs its logits: `logits: true` at the expert. The same probabilities follow from
/// logits that are all larger by a constant, and that constant is what energy adds to them. Where an
/// expert's logits sum to 0 there is none, and energy is a function of its probabilities: so for
/// `expert.logistic`, and for `expert.gradient_boosting` of two classes. The quality is marked as
/// evidence-derived exactly where the logits of all rows sum to 0.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Energy {
    /// Temperature T.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    temperature: f64,
}

fn one() -> f64 {
    1.0
}

impl StageKind for Energy {
    const NAME: &'static str = "quality.energy";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "Minus the energy of the logits: T ln sum exp(l / T).";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { temperature } = self;
        key.field("temperature", temperature);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        logits::check_kept(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        super::rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let evidence_derived = logits::are_centred(inputs)?;
        let source = Source { name: "energy", control: Control::Native, evidence_derived };
        put(inputs, outputs, &source, |evidence| {
            let rows = logits::logit_rows(evidence)?;
            Ok(rows.map(|row| negative_energy(row, self.temperature)).collect())
        })
    }
}
