//! `quality.relative`: a modality's quality beside that of the others.

use fuseline_artifact::{Control, Evidence, OptionalEvidence, Quality};
use fuseline_engine::{
    Inputs, KeyWriter, Labelled, Outputs, Ports, RowFlow, StageError, StageKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::quality::{Source, put_sides};
use crate::rows::Finder;

/// Quality is another quality of the modality less the mean of that quality over the other
/// modalities that are there: in the units of that quality, above 0 where the modality is more
/// reliable than the others; 0 where no other is there.
///
/// A modality counts by how it compares with the others of the same example, as in the relative
/// calibration of Cao, Xia, Ding, Zhang and Hu, "Predictive dynamic fusion", ICML 2024, which takes
/// a ratio of distances from uniform probabilities; a difference is defined for qualities of any
/// sign. `qualities_train` and `qualities_test` bring that quality of all modalities of one fold, as
/// in `qualities_train: margin.train[modality=audio|video]`, by one estimator that is no control. It
/// is evidence-derived where that quality is. Nothing is fitted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relative {}

impl StageKind for Relative {
    const NAME: &'static str = "quality.relative";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "Another quality less its mean over the other modalities.";

    fn ports() -> Ports {
        super::ports(&["evidence_train", "evidence_test", "qualities_train", "qualities_test"])
    }

    fn key(&self, _: &mut KeyWriter<'_>) {
        let Self {} = self;
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        flow.no_control("qualities_train");
        flow.no_control("qualities_test");
        super::rows_beside(flow, "qualities_train", "qualities_test");
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let qualities = |port: &str| -> Result<Vec<Quality>, StageError> {
            let all: Vec<Labelled<Quality>> = inputs.many(port)?;
            Ok(all.into_iter().map(|labelled| labelled.artifact).collect())
        };
        let both = [qualities("qualities_train")?, qualities("qualities_test")?];
        one_estimator(both.iter().flatten())?;
        let evidence_derived = both.iter().flatten().all(|quality| quality.evidence_derived);
        let source = Source { name: "relative", control: Control::Native, evidence_derived };
        put_sides::<OptionalEvidence>(inputs, outputs, &source, |side, evidence| {
            let port = format!("qualities_{side}");
            compare(evidence, &qualities(&port)?, &port)
        })
    }
}

/// For each row of evidence the quality of its modality less the mean of the others'.
fn compare(evidence: &Evidence, all: &[Quality], port: &str) -> Result<Vec<f64>, StageError> {
    let modality = &evidence.modality;
    let (own, others): (Vec<&Quality>, Vec<&Quality>) =
        all.iter().partition(|quality| quality.modality == *modality);
    super::some_others(others.len(), port, modality)?;
    let [own] = own[..] else {
        return Err(StageError::data(format!(
            "{} qualities of modality {modality} arrive at {port}, and one is wanted",
            own.len()
        ))
        .hint("select all modalities, its own too, of one fold: `[modality=a|b]`"));
    };
    let mut finder = Finder::new(&own.example_id);
    let mut finders: Vec<_> =
        others.iter().map(|other| (Finder::new(&other.example_id), other)).collect();
    let quality = evidence.example_id.iter().map(|id| {
        let row = finder.find(id).ok_or_else(|| {
            StageError::data(format!(
                "example {id} has evidence of modality {modality} and no quality at {port}"
            ))
        })?;
        let (mut sum, mut count) = (0.0, 0_u32);
        for (finder, other) in &mut finders {
            if let Some(row) = finder.find(id) {
                sum += other.quality[row];
                count += 1;
            }
        }
        Ok(if count > 0 { own.quality[row] - sum / f64::from(count) } else { 0.0 })
    });
    quality.collect()
}

/// Errors when qualities are of several estimators, or of a control.
fn one_estimator<'q>(mut all: impl Iterator<Item = &'q Quality>) -> Result<(), StageError> {
    let Some(first) = all.next() else { return Ok(()) };
    if first.control != Control::Native {
        return Err(StageError::data(format!(
            "the quality by {} is a control, and what is made of one would pass for an estimate",
            first.source
        )));
    }
    match all.find(|other| other.source != first.source) {
        Some(other) => Err(StageError::data(format!(
            "qualities by {} and by {} have no common scale",
            first.source, other.source
        ))
        .hint("compare the modalities by one estimator")),
        None => Ok(()),
    }
}
