//! `quality.aligned`: quality that depends on the expert's correctness, the positive control.

use fuseline_artifact::{AnyCohort, Evidence};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::PositiveControl;
use crate::quality::scale::{Measured, Scale};
use crate::rows::decision;

/// Quality is `alpha` where the expert is right and 0 where it is wrong, plus normal noise of sd
/// 0.25: the positive control.
///
/// Where the label is a number, quality is `alpha` times minus the expert's absolute error, in
/// standard deviations of the labels of the cohort, plus the same noise.
///
/// It reads the labels of the test rows, so nothing that it shapes may be read as a native
/// condition. It is not marked as evidence-derived: given the evidence it still varies with the
/// label.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aligned {
    /// Strength with which quality follows the expert's correctness; 0 is noise alone.
    #[serde(default = "full")]
    alpha: f64,
    /// The modalities whose quality follows the truth; that of the others is noise alone. All of
    /// them when left out.
    #[serde(default)]
    modalities: Option<Vec<String>>,
    /// Which of several draws of the noise this is: an axis over it repeats the control with other
    /// noise.
    #[serde(default)]
    draw: u32,
    /// Scale of the control: with `quality.column` it takes the values of that column of the
    /// features, matched by rank on the training rows (on the test rows where there are no others),
    /// so that a model that was fitted elsewhere is asked on the scale that it knows.
    #[serde(default)]
    r#match: Option<Measured>,
    /// Only with `match`: the column, called quality when left out.
    #[serde(default)]
    match_column: Option<String>,
}

fn full() -> f64 {
    1.0
}

impl Aligned {
    fn control(&self) -> PositiveControl<'_> {
        let Self { alpha, modalities, draw, r#match, match_column } = self;
        PositiveControl {
            name: "aligned",
            kind: Self::NAME,
            alpha: *alpha,
            modalities: modalities.as_deref(),
            draw: *draw,
            scale: Scale { measured: *r#match, column: match_column.as_deref() },
        }
    }
}

impl StageKind for Aligned {
    const NAME: &'static str = "quality.aligned";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str =
        "Whether the expert is right, plus noise: the positive control, which reads labels.";

    fn ports() -> Ports {
        super::ports_with(&["evidence_train", "evidence_test", "cohort"], &["features"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        self.control().key(key);
    }

    fn leaves_unread(&self, port: &str) -> bool {
        port == "features" && self.r#match.is_none()
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.control().check(site);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        self.control().check_plan(site);
        crate::upstream::check_experts(site, "evidence_test");
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        self.control().rows(flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let AnyCohort { cohort, values, .. } = inputs.one("cohort")?;
        let Some(values) = values else {
            return self.control().put::<Evidence>(inputs, outputs, |probabilities, label, _| {
                f64::from(u8::from(decision(probabilities) == label as usize))
            });
        };
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let sd = (squares / count).sqrt();
        self.control().put_numbers(inputs, outputs, &cohort, &values, |expected, label| {
            -(expected - label).abs() / sd
        })
    }
}
