//! Examples that the modalities share.

use fuseline_artifact::Features;
use fuseline_engine::{Labelled, Outputs, StageError};

use super::define::Require;
use crate::join::{JoinOptions, Loss, Mismatch, Source, find_mismatch};

/// The example_ids to keep, in code-point order.
pub(super) fn join_modalities<'f>(
    features: &'f [Labelled<Features>],
    require: Require,
    join: &JoinOptions,
    outputs: &mut Outputs,
) -> Result<Vec<&'f str>, StageError> {
    let needed = match require {
        Require::Complete => features.len(),
        Require::Any => 1,
    };
    let names: Vec<_> = (1..).zip(features).map(|(nth, of)| name(nth, of)).collect();
    // The examples of each modality that another lacks.
    let mut partial: Vec<_> = names.iter().map(|name| Source::new(name, [])).collect();
    let (mut kept, mut lost, mut shared) = (Vec::new(), Vec::new(), 0);
    let mut rest: Vec<_> =
        features.iter().map(|of| of.artifact.example_id.sorted().peekable()).collect();
    let mut is_in = Vec::with_capacity(features.len());
    while let Some(id) = rest.iter_mut().filter_map(|ids| ids.peek().copied()).min() {
        is_in.clear();
        is_in.extend(rest.iter_mut().map(|ids| ids.next_if_eq(&id).is_some()));
        let modalities = is_in.iter().filter(|is_in| **is_in).count();
        let list = if modalities >= needed { &mut kept } else { &mut lost };
        list.push(id);
        if modalities < features.len() {
            let sources = partial.iter_mut().zip(&is_in).filter(|(_, is_in)| **is_in);
            sources.for_each(|(source, _)| source.ids.push(id));
        }
        shared += usize::from(modalities > 1);
    }
    let of = kept.len() + lost.len();
    tracing::info!(kept = kept.len(), of, "joined examples");
    let mismatch = find_mismatch(&partial);
    if kept.is_empty() {
        return Err(nothing_shared(features, &names, mismatch));
    }
    // A modality may be absent by design, whatever is required: what stops is ids that seem to be
    // misspelt.
    let loss = match (require, mismatch) {
        (Require::Any, None) => return Ok(kept),
        (Require::Complete, _) if lost.is_empty() => return Ok(kept),
        (Require::Complete, mismatch) => {
            let lacking = features
                .iter()
                .zip(&names)
                .map(|(modality, name)| (of - modality.artifact.example_id.len(), name));
            let lacking = lacking.filter(|(lacking, _)| *lacking > 0);
            let lacking: Vec<_> =
                lacking.map(|(lacking, name)| format!("{name} lacks {lacking}")).collect();
            let what = format!(
                "{} of the {of} examples are left out since require: complete asks for every \
                 modality ({})",
                lost.len(),
                lacking.join(", ")
            );
            Loss { what, kept: kept.len(), of, lost, by_design: true, mismatch }
        }
        (Require::Any, Some(found)) => {
            let what = format!(
                "{} of the {of} examples seem to be among them twice, under two ids",
                found.pairs
            );
            let of = shared + found.pairs;
            let mismatch = Some(found);
            Loss { what, kept: shared, of, lost: Vec::new(), by_design: true, mismatch }
        }
    };
    join.judge(loss, outputs)?;
    Ok(kept)
}

/// The name of a modality: its point, or else its index among the inputs.
fn name(nth: usize, modality: &Labelled<Features>) -> String {
    let labels: Vec<_> = modality.point.iter().map(|(_, label)| &**label).collect();
    if labels.is_empty() { format!("input {nth}") } else { labels.join(" ") }
}

fn nothing_shared(
    features: &[Labelled<Features>],
    names: &[String],
    mismatch: Option<Mismatch>,
) -> StageError {
    let each = features.iter().zip(names).map(|(modality, name)| {
        let ids = &modality.artifact.example_id;
        format!("{name} has {}, such as {}", ids.len(), ids.get(0).unwrap_or("none"))
    });
    let each: Vec<_> = each.collect();
    let message = "no example is in every modality";
    let (message, cure) = match mismatch {
        Some(found) => (format!("{message}; {found}"), found.hint()),
        None => {
            (message.to_owned(), "id.pattern of a loader takes the part that they share".to_owned())
        }
    };
    StageError::data(message)
        .at("require")
        .hint(format!("compare the example_ids: {}; {cure}", each.join("; ")))
}
