//! `fusion.*`: fitting a fusion rule, and asking the frozen model.

use fuseline_artifact::Model;
use fuseline_engine::{Inputs, Outputs, RowFlow, RowState, StageError, Trace, codes};
use fuseline_host::{Batch, OpenModel, Rule, Sandbox};

use crate::batch::Fusable;

pub(crate) mod embeddings;
pub mod fit;
pub mod load;
pub mod predict;
mod rule;

/// Opens a model with the very plugin that fitted it.
pub(crate) fn open(inputs: &Inputs<'_>, model: &Model) -> Result<OpenModel, StageError> {
    let services = inputs.services();
    let file = services.plugins.find_by_digest(&model.plugin_id, &model.plugin_digest)?;
    let rule = inputs.load_rule(&file)?;
    Ok(rule.open_until(&model.bytes, &crate::stop::signal(inputs))?)
}

/// Difference of two answers that comes of rounding alone, of a network in single precision that
/// computes rows together, in another order.
const ROUNDING: f64 = 1e-5;

/// Opens a model and gives the rows that it is asked about.
///
/// Where a modality has no expert, the model is shown to ignore evidence: asked with two kinds of
/// it, in workers that no result comes from, it must answer alike: to the last bit, or up to
/// rounding where it says that its rows depend on each other.
pub(crate) fn open_for(
    inputs: &Inputs<'_>,
    model: &Model,
    fusable: &Fusable,
) -> Result<(OpenModel, Batch), StageError> {
    let batch = fusable.batch()?;
    let absent = fusable.without_expert();
    if !absent.is_empty() {
        let other = fusable.batch_of_other_evidence()?;
        let asked = open(inputs, model)?;
        let tolerance = match asked.rule().descriptor().capabilities.row_independent {
            true => 0.0,
            false => ROUNDING,
        };
        let (one, other) = (asked.predict(&batch)?, asked.predict(&other)?);
        if one.iter().zip(&other).any(|(one, other)| (one - other).abs() > tolerance) {
            return Err(StageError::data(format!(
                "{} answers by the evidence of {}, which has no expert",
                model.plugin_id,
                absent.join(", ")
            ))
            .hint(
                "give the modality an expert in place of expert.none, or load a model that takes \
                 quality and embeddings alone",
            ));
        }
    }
    Ok((open(inputs, model)?, batch))
}

/// A caution where a rule runs without a sandbox.
pub(crate) fn caution(rule: &Rule, outputs: &mut Outputs) {
    if rule.sandbox() == Some(Sandbox::Off) {
        let id = &rule.descriptor().id;
        outputs.caution(format!(
            "{id} ran without a sandbox (`sandbox: off`): it could read and write what the user can"
        ));
    }
}

/// The leakage guard of every stage that applies a model to evidence and quality. `reads_labels`:
/// the stage reads the labels of the rows it asks about on purpose, and its output is marked as
/// that of a control.
pub(crate) fn applied(flow: &mut RowFlow<'_>, outputs: &[&'static str], reads_labels: bool) {
    flow.apply("model", "evidence");
    flow.apply("model", "quality");
    flow.same_rows("evidence", "quality");
    flow.no_control("evidence");
    flow.no_control("embeddings");
    flow.apply_beside("model", "embeddings", "evidence");
    let [model, evidence, quality, embedded] =
        ["model", "evidence", "quality", "embeddings"].map(|port| flow.input(port));
    if model.control && !quality.control {
        flow.leak(
            codes::LEAK_CONTROL,
            "model",
            "asks a model that was fitted with a control under a quality that is none: the point \
             would count as native"
                .to_owned(),
            "match the quality: the model and the quality it is asked under come from the same \
             point",
            Trace::Control,
        );
    }
    let asked = RowState::together([&model, &evidence, &quality, &embedded].into_iter());
    let control = model.control || quality.control || reads_labels;
    for output in outputs {
        let state = RowState { holds: evidence.holds.clone(), control, ..asked.clone() };
        flow.give(output, if reads_labels { state.taught(&evidence.holds) } else { state });
    }
}

/// Puts the modalities into the order of the model's inputs; an error when it has other modalities
/// or classes than it is asked about.
pub(crate) fn bind(model: &Model, fusable: &mut Fusable) -> Result<(), StageError> {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    let differ = |what: &str, fitted: &[String], asked: &[String]| {
        StageError::data(format!(
            "the model has the {what} {} and is asked about {}",
            fitted.join(", "),
            asked.join(", ")
        ))
    };
    if sorted(&model.modalities) != sorted(&fusable.modalities) {
        return Err(differ("modalities", &model.modalities, &fusable.modalities));
    }
    if model.classes != fusable.classes {
        return Err(differ("classes", &model.classes, &fusable.classes));
    }
    fusable.reorder_modalities(&model.modalities);
    Ok(())
}

#[cfg(test)]
mod tests;
