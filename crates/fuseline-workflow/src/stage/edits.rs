//! Changes of a stage's text that correct it: an added axis, an added input.

use super::WrittenStage;
use super::expand::Expanded;
use crate::catalogue::{Catalogue, InputPort};
use crate::diagnostic::Fix;
use crate::files::{Files, Place};
use crate::index::{IndexVec, WrittenStageIndex};

/// The indentation of a place that is the first on its line.
fn indent<'f>(place: &Place, files: &'f Files) -> Option<&'f str> {
    let before = files.text(place.file).get(..place.span.start)?;
    let line = &before[before.rfind('\n').map_or(0, |newline| newline + 1)..];
    line.trim().is_empty().then_some(line)
}

/// The empty place after another.
fn behind(place: &Place) -> Place {
    Place::new(place.file, place.span.end..place.span.end)
}

/// Inserts a key after the `uses` of a stage: on a line of its own, or within the braces of the
/// stage.
fn new_key(uses: &Place, title: String, key: &str, files: &Files) -> Option<Fix> {
    let before = files.text(uses.file).get(..uses.span.start)?;
    let line = &before[before.rfind('\n').map_or(0, |newline| newline + 1)..];
    let blanks = &line[..line.len() - line.trim_start().len()];
    let text = match line.trim_start().starts_with("uses") {
        true => format!("\n{blanks}{key}"),
        false => format!(", {key}"),
    };
    Some(Fix::new(title, behind(uses), text))
}

/// Lets a stage run over more axes.
pub(super) fn add_axes(stage: &WrittenStage, axes: &[&str]) -> Option<Fix> {
    let uses = &stage.uses.as_ref()?.place;
    Some(Fix::extend_over(uses, stage.over_place.as_ref(), axes))
}

/// Adds axes to the `over` of a stage, which has none where it runs over no axis.
pub(crate) fn extend_over(
    title: String,
    uses: &Place,
    over: Option<&Place>,
    axes: &[String],
    files: &Files,
) -> Option<Fix> {
    let listed = axes.join(", ");
    let Some(place) = over else {
        return new_key(uses, title, &format!("over: [{listed}]"), files);
    };
    let written = files.slice(place);
    if let Some(inner) = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let end = place.span.start + 1 + inner.trim_end().len();
        let text = if inner.trim().is_empty() { listed } else { format!(", {listed}") };
        return Some(Fix::new(title, Place::new(place.file, end..end), text));
    }
    let blanks = indent(place, files)?;
    let text: String = axes.iter().map(|axis| format!("\n{blanks}- {axis}")).collect();
    Some(Fix::new(title, behind(place), text))
}

/// Gives a stage an input that it needs, where one output of another stage is likely the one that
/// is meant.
pub(super) fn add_input(
    stage: &WrittenStage,
    port: &InputPort,
    stages: &IndexVec<WrittenStageIndex, WrittenStage>,
    expanded: &IndexVec<WrittenStageIndex, Expanded>,
    catalogue: &Catalogue,
    files: &Files,
) -> Option<Fix> {
    let mut fitting = Vec::new();
    for (other, expanded) in
        stages.iter().zip(expanded).filter(|(other, _)| other.name != stage.name)
    {
        let Some(outputs) = expanded.outputs(catalogue) else { continue };
        for output in outputs.iter().filter(|output| output.artifact == port.artifact) {
            let whole = outputs.len() == 1 || output.name == "main";
            let reference = match whole {
                true => other.name.clone(),
                false => format!("{}.{}", other.name, output.name),
            };
            let alike = other.name == port.name || port.name.ends_with(output.name.as_str());
            fitting.push((alike, reference));
        }
    }
    let alike = fitting.iter().filter(|(alike, _)| *alike).count();
    fitting.retain(|(is_alike, _)| *is_alike || alike == 0);
    let [(_, reference)] = fitting.as_slice() else { return None };
    let input = format!("{}: {reference}", port.name);
    let title = format!("add the input `{input}`");
    let Some(last) = stage.inputs.last() else {
        return match stage.has_inputs {
            true => None,
            false => new_key(
                &stage.uses.as_ref()?.place,
                title,
                &format!("inputs: {{ {input} }}"),
                files,
            ),
        };
    };
    // The closing bracket follows a list of references.
    let given = last.references.last().filter(|_| !last.listed)?;
    let text = match indent(&last.place, files) {
        Some(blanks) => format!("\n{blanks}{input}"),
        None => format!(", {input}"),
    };
    Some(Fix::new(title, behind(&given.place), text))
}
