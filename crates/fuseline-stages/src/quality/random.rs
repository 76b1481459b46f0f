//! `quality.random`: noise, the negative control.

use fuseline_artifact::Control;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::scale::{Measured, Scale};
use crate::quality::{Source, key_draw, noise, put_rows};

/// Quality is standard normal noise: the negative control.
///
/// Each example has its own stream, drawn from the seed, the modality and the example_id, so that
/// its noise is the same in every fold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {
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

impl Random {
    fn scale(&self) -> Scale<'_> {
        Scale { measured: self.r#match, column: self.match_column.as_deref() }
    }
}

impl StageKind for Random {
    const NAME: &'static str = "quality.random";
    const REVISION: u32 = 1;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "Standard normal noise: the negative control.";

    fn ports() -> Ports {
        super::ports_with(&["evidence_train", "evidence_test"], &["features"])
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { draw, r#match: _, match_column: _ } = self;
        key_draw(key, *draw);
        self.scale().key(key);
        key.seed();
    }

    fn leaves_unread(&self, port: &str) -> bool {
        port == "features" && self.r#match.is_none()
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        self.scale().check(site);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        match self.r#match {
            Some(_) => super::fitted_rows(flow, "features"),
            None => super::rows(flow),
        }
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let source = Source { name: "random", control: Control::Negative, evidence_derived: false };
        let mut quantiles = None;
        put_rows(inputs, outputs, &source, |evidence| {
            let control = noise(inputs.seed(), Self::NAME, self.draw, evidence).collect();
            self.scale().apply(inputs, evidence, control, &mut quantiles)
        })
    }
}
