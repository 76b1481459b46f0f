//! Logits of the evidence, for the members of the family that read them.

use fuseline_artifact::Evidence;
use fuseline_engine::{Inputs, PlanSite, StageError, codes};
use fuseline_workflow::Diagnostic;

use crate::upstream::is_expert;

/// By how much the logits of a row may sum to something else than 0, beside the sum of their sizes.
const ROUNDING: f64 = 1e-6;

const HINT: &str = "say `logits: true` at expert.logistic, expert.gradient_boosting or \
                    expert.precomputed, or `softmax: true` at an expert.onnx that ends in logits";

/// Reports experts that keep no logits, where the evidence comes from them directly.
pub(super) fn check_kept(site: &mut PlanSite<'_>) {
    for action in site.distinct(&["evidence_train"]) {
        for expert in action.inputs("evidence_train").filter(|producer| is_expert(*producer)) {
            let option = if expert.kind_name() == "expert.onnx" { "softmax" } else { "logits" };
            if expert.option(option).and_then(|keeps| keeps.as_bool()) != Some(true) {
                let message = format!(
                    "`{}` is computed from logits, and the evidence of `{}` has none",
                    action.kind_name(),
                    expert.stage_name()
                );
                let place = action.input_place("evidence_train");
                site.report(
                    Diagnostic::error(codes::NO_LOGITS, place, message).hint(HINT.to_owned()),
                );
                return;
            }
        }
    }
}

/// The logits of each row. Errors where the evidence has none, or where they are log probabilities,
/// whose energy is 0 by construction.
pub(super) fn logit_rows(
    evidence: &Evidence,
) -> Result<std::slice::ChunksExact<'_, f64>, StageError> {
    let modality = &evidence.modality;
    let logits = evidence.logits.as_ref().ok_or_else(|| {
        StageError::data(format!(
            "the evidence of modality {modality} has no logits, and probabilities alone do not \
             tell them: their energy is 0 by construction"
        ))
        .hint(HINT)
    })?;
    let rows = logits.chunks_exact(evidence.classes.len());
    let is_distribution =
        |row: &[f64]| (row.iter().map(|logit| libm::exp(*logit)).sum::<f64>() - 1.0).abs() < 1e-9;
    if rows.len() > 0 && rows.clone().all(is_distribution) {
        return Err(StageError::data(format!(
            "the logits of modality {modality} are log probabilities, whose energy is 0 by \
             construction"
        ))
        .hint("give what the model computes before its softmax"));
    }
    Ok(rows)
}

/// True if the logits of each row sum to 0, as those of a logistic regression do: they are the log
/// probabilities less their mean then, a function of the evidence before its calibration.
pub(super) fn are_centred(inputs: &Inputs<'_>) -> Result<bool, StageError> {
    for port in ["evidence_train", "evidence_test"] {
        let evidence: Evidence = inputs.one(port)?;
        let is_centred = |row: &[f64]| {
            let size: f64 = row.iter().map(|logit| logit.abs()).sum();
            row.iter().sum::<f64>().abs() <= ROUNDING * size.max(1.0)
        };
        if !logit_rows(&evidence)?.all(is_centred) {
            return Ok(false);
        }
    }
    Ok(true)
}
