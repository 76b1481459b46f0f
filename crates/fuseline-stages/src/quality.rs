//! `quality.*`: how reliable each modality is said to be, example by example.
//!
//! All members share their ports, so that `uses: quality.${{ quality }}` checks; each reads only what it needs.

use fuseline_artifact::{ArtifactKind, Control, Evidence, Features, Quality};
use fuseline_engine::{Inputs, Outputs, Ports, RowFlow, StageError};
use fuseline_stats::streams::Stream;
use fuseline_workflow::Role;

use crate::rows::rows_among;

pub mod aligned;
pub mod column;
pub mod conformal_set_size;
pub mod constant;
pub mod ensemble_variance;
pub mod entropy;
pub mod in_distribution;
pub mod mahalanobis;
pub mod margin;
pub mod missingness;
pub mod random;

/// The ports of the family. Those not among `reads` are declared and not read.
pub(crate) fn ports(reads: &[&str]) -> Ports {
    let family = [
        ("evidence_train", ArtifactKind::Evidence, Role::Fit, "Evidence of the training rows."),
        ("evidence_test", ArtifactKind::Evidence, Role::Apply, "Evidence of the test rows."),
        ("features", ArtifactKind::Features, Role::Neutral, "The features of the modality."),
        ("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples with their labels."),
        ("folds", ArtifactKind::Folds, Role::Neutral, "The fold in which each example is tested."),
    ];
    let mut ports = Ports::new();
    for (name, artifact, role, doc) in family {
        ports = ports.one(name, artifact, role, doc);
        if !reads.contains(&name) {
            ports = ports.unread();
        }
    }
    ports.output("train", ArtifactKind::Quality, "Quality of the training rows.").output(
        "test",
        ArtifactKind::Quality,
        "Quality of the test rows.",
    )
}

/// The outputs hold the rows of the evidence, and were shaped by what shaped it.
pub(crate) fn rows(flow: &mut RowFlow<'_>) {
    flow.pass("evidence_train", "train");
    flow.pass("evidence_test", "test");
}

/// As [`rows`], and what arrives at `port` is fitted on, on the training rows.
pub(crate) fn fitted_rows(flow: &mut RowFlow<'_>, port: &str) {
    let fitted = flow.input("evidence_train").holds;
    flow.fit(port, &fitted);
    for (input, output) in [("evidence_train", "train"), ("evidence_test", "test")] {
        let state = flow.pass(input, output);
        *state = std::mem::take(state).taught(&fitted);
    }
}

/// What every member says of itself.
pub(crate) struct Source {
    /// The last part of the kind's name.
    pub name: &'static str,
    /// Whether this is a condition to study or a control.
    pub control: Control,
    /// Whether quality is a function of the evidence alone: a plain permutation then makes pairs that cannot occur.
    pub evidence_derived: bool,
}

/// Gives the quality of the training and of the test rows.
pub(crate) fn put(
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
    source: &Source,
    quality: impl Fn(&Evidence) -> Result<Vec<f64>, StageError>,
) -> Result<(), StageError> {
    for (input, output) in [("evidence_train", "train"), ("evidence_test", "test")] {
        let evidence: Evidence = inputs.one(input)?;
        let quality = quality(&evidence)?;
        outputs.put(
            output,
            Quality {
                modality: evidence.modality,
                source: source.name.to_owned(),
                control: source.control,
                evidence_derived: source.evidence_derived,
                example_id: evidence.example_id,
                quality: quality.into(),
            },
        )?;
    }
    Ok(())
}

/// The probabilities of each row.
pub(crate) fn each_row(evidence: &Evidence) -> std::slice::ChunksExact<'_, f64> {
    evidence.probabilities.chunks_exact(evidence.classes.len())
}

/// The row of the features in which each row of evidence stands.
pub(crate) fn raw_rows(evidence: &Evidence, features: &Features) -> Result<Vec<usize>, StageError> {
    rows_among(evidence, &features.example_id, "features")
        .map_err(|error| error.hint("give the features that the expert was given"))
}

/// Standard normal noise of each row. It is drawn per example, so that an example's noise is the same in every fold and
/// whatever other examples there are.
pub(crate) fn noise<'e>(
    seed: u64,
    purpose: &'static str,
    evidence: &'e Evidence,
) -> impl Iterator<Item = f64> + 'e {
    evidence.example_id.iter().map(move |id| {
        Stream::new(seed, purpose).with(evidence.modality.as_bytes()).with(id.as_bytes()).normal()
    })
}

#[cfg(test)]
mod tests;
