//! Regression of quality on the evidence, fitted on a fusion rule's training rows.

use fuseline_artifact::{ArtifactKind, Cohort};
use fuseline_engine::{CheckSite, Inputs, Ports, Problem, RowFlow, StageError};
use fuseline_stats::quality_regression::{EvidenceRows, QualityRegression};
use fuseline_workflow::Role;

use crate::batch::{Fusable, each_evidence};
use crate::diagnose::permute_quality::Scheme;

/// The port of training evidence.
pub(crate) const EVIDENCE: &str = "evidence_train";
/// The port of training quality.
pub(crate) const QUALITY: &str = "quality_train";

/// Adds the ports of training rows.
pub(crate) fn ports(ports: Ports) -> Ports {
    ports
        .many(
            EVIDENCE,
            ArtifactKind::Evidence,
            Role::Fit,
            "Evidence of the rule's training rows, one a modality; for conditional_residual.",
        )
        .optional()
        .many(
            QUALITY,
            ArtifactKind::Quality,
            Role::Fit,
            "Quality of the same rows, one a modality; for conditional_residual.",
        )
        .optional()
}

/// Reports a scheme that needs training rows and is given none.
pub(crate) fn check(site: &mut CheckSite<'_>, scheme: Scheme) {
    let lacks = [EVIDENCE, QUALITY].into_iter().find(|port| !site.inputs.contains(port));
    if let (Scheme::ConditionalResidual, Some(port)) = (scheme, lacks) {
        let message = format!(
            "the scheme conditional_residual fits a regression of quality on evidence, and the \
             stage has no input {port}"
        );
        let hint = "give it what the rule was fitted on, such as `evidence_train: expert.train` \
            and `quality_train: quality.train`";
        site.report(Problem::new("scheme", message).hint(hint));
    }
}

/// Row flow for the leakage guard: the regression is fitted on training rows and applied to
/// test rows.
pub(crate) fn rows(flow: &mut RowFlow<'_>) {
    let [evidence, quality, tested] =
        [EVIDENCE, QUALITY, "evidence"].map(|port| flow.input(port).holds);
    flow.fit(EVIDENCE, &evidence);
    flow.fit(QUALITY, &quality);
    flow.same_rows(EVIDENCE, QUALITY);
    flow.no_control(EVIDENCE);
    // That test rows are fitted on is said already.
    if !evidence.hold_test_rows() && evidence.overlaps(&tested) {
        flow.apply_own(&evidence, "evidence", &tested);
    }
}

/// Fits the regression for the modalities of `asked`; none where the stage is given no training
/// rows.
pub(crate) fn fit(
    inputs: &Inputs<'_>,
    cohort: &Cohort,
    asked: &Fusable,
) -> Result<QualityRegression, StageError> {
    let training = Fusable::join(each_evidence(inputs, EVIDENCE), inputs.each(QUALITY), cohort)?;
    if training.modalities != asked.modalities {
        return Err(StageError::data(format!(
            "the training evidence has the modalities {} and the test evidence {}",
            training.modalities.join(", "),
            asked.modalities.join(", ")
        )));
    }
    for of in [&training, asked] {
        if let Some(modality) = of.without_expert().first() {
            return Err(StageError::data(format!(
                "the scheme conditional_residual needs evidence, and modality {modality} has no \
                 expert"
            ))
            .at("scheme"));
        }
    }
    let mut is_asked = vec![false; cohort.len()];
    asked.rows.iter().for_each(|&row| is_asked[row] = true);
    if let Some(&row) = training.rows.iter().find(|&&row| is_asked[row]) {
        return Err(StageError::data(format!(
            "example {} is among the training rows and among those that are tested",
            &cohort.example_id[row]
        ))
        .hint("match the fold: training rows and test rows come from the same split"));
    }
    let available = available(&training);
    QualityRegression::fit(&evidence_rows(&training, &available), &training.quality)
        .map_err(|error| StageError::data(error.to_string()))
}

/// Expected quality of some rows given the evidence: rows x modalities.
pub(crate) fn expected(
    fitted: &QualityRegression,
    asked: &Fusable,
) -> Result<Vec<f64>, StageError> {
    let available = available(asked);
    fitted.predict(&evidence_rows(asked, &available)).map_err(|error| {
        StageError::data(error.to_string())
            .hint("each modality needs training examples: use other folds, or leave it out")
    })
}

fn available(of: &Fusable) -> Vec<bool> {
    of.available.iter().map(|&there| there == 1).collect()
}

fn evidence_rows<'a>(of: &'a Fusable, available: &'a [bool]) -> EvidenceRows<'a> {
    EvidenceRows {
        modalities: of.modalities.len(),
        classes: of.classes.len(),
        available,
        evidence: &of.evidence,
    }
}
