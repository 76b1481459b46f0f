//! Stages: as written, and expanded.

mod compiled;
pub(crate) mod edits;
pub(crate) mod execution;
pub(crate) mod expand;
pub(crate) mod join;
mod points;
pub(crate) mod ports;
mod resolve;
mod variants;

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::document::{Definition, MAX_UNKNOWN, is_misspelt, missing_key};
use crate::files::{Files, Place};
use crate::index::{AxisIndex, IndexVec, KindIndex};
use crate::names;
use crate::reference::{self, Reference};
use crate::workflow::Execution;
use crate::yaml::{Data, Entry, Node};

pub(crate) const KEYS: [&str; 15] = [
    "uses",
    "description",
    "over",
    "where",
    "seed",
    "inputs",
    "with",
    "retries",
    "timeout",
    "resources",
    "cache",
    "isolation",
    "sandbox",
    "limits",
    "env",
];

/// A stage as written, its parts understood one by one.
#[derive(Debug)]
pub(crate) struct WrittenStage {
    pub name: String,
    pub name_place: Place,
    pub included: bool,
    pub folder: PathBuf,
    pub description: Option<String>,
    pub uses: Option<Node>,
    /// The axes in declared order; `None` when `over:` has a mistake.
    pub over: Option<Vec<AxisIndex>>,
    pub over_place: Option<Place>,
    pub filter: Option<Node>,
    pub seed: Option<Node>,
    pub inputs: Vec<WrittenInput>,
    /// True if there is a section `inputs`, whatever its content.
    pub has_inputs: bool,
    /// Sections `inputs` and `with` that are no mapping or misspelt, which has been reported.
    pub misshapen: Misshapen,
    /// Unknown keys; a suggestion needs the stage's kind.
    pub strangers: Vec<Stranger>,
    pub with: Option<Arc<Node>>,
    /// The key `with`, the place of missing options.
    pub with_key: Option<Place>,
    pub execution: Execution,
}

/// Sections of a stage that could not be read.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Misshapen {
    pub inputs: bool,
    pub with: bool,
}

/// A key that a stage does not have.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub key: String,
    pub place: Place,
    /// True if a mapping with `uses` stands under it: a stage.
    pub is_stage: bool,
}

/// An input as written. References that were not understood have been reported and are not here.
#[derive(Debug)]
pub(crate) struct WrittenInput {
    pub port: String,
    pub place: Place,
    pub references: Vec<Reference>,
    /// True if the value is a list of references.
    pub listed: bool,
}

/// Reads a stage as written; `axes` are the names of all axes.
pub(crate) fn read(
    definition: Definition,
    axes: &IndexVec<AxisIndex, String>,
    files: &Files,
    found: &mut Vec<Diagnostic>,
) -> WrittenStage {
    let mut stage = WrittenStage {
        name: definition.name,
        name_place: definition.name_place,
        included: definition.included,
        folder: definition.folder,
        description: None,
        uses: None,
        over: Some(Vec::new()),
        over_place: None,
        filter: None,
        seed: None,
        inputs: Vec::new(),
        misshapen: Misshapen::default(),
        strangers: Vec::new(),
        has_inputs: has_key(&definition.value, "inputs"),
        with: None,
        with_key: None,
        execution: Execution::default(),
    };
    let what = format!("the stage `{}`", names::short(&stage.name));
    if definition.value.is_null() {
        found.push(missing_key(&what, "uses", &stage.name_place));
        return stage;
    }
    let entries = match definition.value {
        Node { data: Data::Mapping(entries), .. } => entries,
        other => {
            found.push(other.not_a(&what, "a mapping"));
            return stage;
        }
    };
    let strangers = entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str()));
    stage.strangers = strangers
        .map(|entry| Stranger {
            key: entry.key.clone(),
            place: entry.key_place.clone(),
            is_stage: has_key(&entry.value, "uses"),
        })
        .collect();
    let is_misspelt = |key: &str| {
        !entries.iter().any(|entry| entry.key == key) && is_misspelt(key, &entries, &KEYS)
    };
    stage.misshapen = Misshapen { inputs: is_misspelt("inputs"), with: is_misspelt("with") };
    if is_misspelt("over") {
        stage.over = None;
    }
    if !entries.iter().any(|entry| entry.key == "uses") && !is_misspelt("uses") {
        let hint = "`uses` names a stage kind; `fuseline stages` lists them".to_owned();
        found.push(missing_key(&what, "uses", &stage.name_place).hint(hint));
    }
    for Entry { key, key_place, value } in entries {
        match key.as_str() {
            "uses" => stage.uses = value.text("`uses`", found).is_some().then_some(value),
            "description" => {
                stage.description = value.text("`description`", found).map(str::to_owned);
            }
            "over" if !value.is_null() => {
                stage.over = over(&value, axes, found);
                stage.over_place = Some(value.place);
            }
            "where" if !value.is_null() => stage.filter = Some(value),
            "seed" => match value.scalar() {
                Some(_) => stage.seed = Some(value),
                None => found.push(value.not_a("`seed`", "a whole number from 0")),
            },
            "inputs" if !value.is_null() => {
                stage.misshapen.inputs = !matches!(value.data, Data::Mapping(_));
                stage.inputs = inputs(&value, files, found);
            }
            "with" => {
                stage.with_key = Some(key_place);
                if !value.is_null() {
                    match value.mapping("`with`", found) {
                        Some(_) => stage.with = Some(Arc::new(value)),
                        None => stage.misshapen.with = true,
                    }
                }
            }
            "retries" => execution::retries(&value, &mut stage.execution, found),
            "timeout" => execution::timeout(&value, &mut stage.execution, found),
            "resources" => execution::resources(&value, &mut stage.execution, found),
            "cache" => execution::cache(&value, &mut stage.execution, found),
            "isolation" => {
                let (mode, required) = execution::isolation(&value, found);
                stage.execution.isolation = mode;
                stage.execution.required_layers = required;
            }
            "sandbox" => stage.execution.sandbox = execution::sandbox(&value, found),
            "limits" => stage.execution.limits = execution::limits(&value, files, found),
            "env" => {
                stage.execution.passed_variables = execution::passed_variables(&value, found);
            }
            _ => {}
        }
    }
    stage
}

/// Reports the keys that a stage does not have: options of its kind, stages with too much
/// indentation, and slips of spelling.
pub(crate) fn strangers(
    stage: &WrittenStage,
    kinds: &[KindIndex],
    catalogue: &Catalogue,
    found: &mut Vec<Diagnostic>,
) {
    let kinds = || kinds.iter().map(|kind| &catalogue.kinds()[*kind]);
    for Stranger { key, place, is_stage } in stage.strangers.iter().take(MAX_UNKNOWN) {
        let name = names::short(key);
        let unknown = |message: String| Diagnostic::error(codes::UNKNOWN_KEY, place, message);
        let taker = kinds().find(|kind| kind.has_option(key));
        found.push(match taker {
            _ if *is_stage => {
                unknown(format!("the stage `{name}` stands inside of the stage `{}`", stage.name))
                    .hint(format!("indent it as `{}` is", stage.name))
            }
            Some(kind) => unknown(format!("a stage has no key `{name}`"))
                .hint(format!("it is an option of `{}`: write it under `with`", kind.name)),
            None => unknown(format!("a stage has no key `{name}`")).suggest(key, "key", KEYS),
        });
    }
    if let Some(next) = stage.strangers.get(MAX_UNKNOWN) {
        let message = format!("and {} more such keys", stage.strangers.len() - MAX_UNKNOWN);
        found.push(Diagnostic::error(codes::UNKNOWN_KEY, &next.place, message));
    }
}

pub(crate) fn has_key(node: &Node, key: &str) -> bool {
    matches!(&node.data, Data::Mapping(entries) if entries.iter().any(|entry| entry.key == key))
}

fn over(
    node: &Node,
    axes: &IndexVec<AxisIndex, String>,
    found: &mut Vec<Diagnostic>,
) -> Option<Vec<AxisIndex>> {
    let items = node.sequence("`over`", found)?;
    let is_given =
        |axis: &str| items.iter().any(|item| item.text("", &mut Vec::new()) == Some(axis));
    let mut over: Vec<(AxisIndex, &Place)> = Vec::new();
    let mut whole = true;
    for item in items {
        let Some(name) = item.text("an axis", found) else {
            whole = false;
            continue;
        };
        let Some(axis) = axes.position(|axis| axis == name) else {
            whole = false;
            let parts: Vec<&str> = name.split_whitespace().collect();
            if parts.len() > 1 && parts.iter().all(|part| axes.raw.iter().any(|axis| axis == part))
            {
                let message = format!("a comma is missing in `{}`", names::short(name));
                found.push(
                    Diagnostic::error(codes::UNKNOWN_AXIS, &item.place, message)
                        .write(&parts.join(", ")),
                );
                continue;
            }
            let message = format!("there is no axis `{}`", names::short(name));
            found.push(
                Diagnostic::error(codes::UNKNOWN_AXIS, &item.place, message)
                    .hint("declare it under `axes:`".to_owned())
                    .suggest(
                        name,
                        "axis",
                        axes.iter().map(String::as_str).filter(|axis| !is_given(axis)),
                    ),
            );
            continue;
        };
        match over.iter().find(|(known, _)| *known == axis) {
            Some((_, first)) => found.push(
                Diagnostic::error(
                    codes::DUPLICATE_KEY,
                    &item.place,
                    format!("the axis `{name}` is given twice"),
                )
                .related(first, "first given here"),
            ),
            None => over.push((axis, &item.place)),
        }
    }
    let mut over: Vec<_> = over.into_iter().map(|(axis, _)| axis).collect();
    // The order of `over` has no meaning: points run in declared order of the axes.
    over.sort_unstable();
    whole.then_some(over)
}

/// The port of an entry such as `cohort:cohort` or `cohort=cohort`, which YAML takes for a key
/// without a value, and the entry as it must be written.
fn run_together(entry: &Entry) -> Option<(&str, String)> {
    let (port, reference) = entry.key.split_once([':', '=', ' '])?;
    let reference = reference.trim_start_matches([':', '=', ' ']);
    let is_meant = entry.value.is_null() && names::is_name(port) && !reference.is_empty();
    is_meant.then(|| (port, format!("{port}: {reference}")))
}

fn inputs(node: &Node, files: &Files, found: &mut Vec<Diagnostic>) -> Vec<WrittenInput> {
    let before = found.len();
    let entries = node.mapping("`inputs`", found).unwrap_or_default();
    for mistake in &mut found[before..] {
        let advice = "say which input each output fills: `inputs: { cohort: cohort }`";
        mistake.hint.get_or_insert_with(|| advice.to_owned());
    }
    let input = |entry: &Entry| {
        if let Some((port, right)) = run_together(entry) {
            let message = format!("the input `{port}` and what fills it are parted by `: `");
            found.push(
                Diagnostic::error(codes::UNKNOWN_PORT, &entry.key_place, message).write(&right),
            );
            let (port, place) = (port.to_owned(), entry.key_place.clone());
            return WrittenInput { port, place, references: Vec::new(), listed: false };
        }
        let items = match &entry.value.data {
            Data::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(&entry.value),
        };
        if items.is_empty() {
            let message = format!("the input `{}` is an empty list", names::short(&entry.key));
            found.push(
                Diagnostic::error(codes::MISSING_INPUT, &entry.value.place, message)
                    .hint("name a stage, or leave the input out".to_owned()),
            );
        }
        WrittenInput {
            port: entry.key.clone(),
            place: entry.key_place.clone(),
            references: items
                .iter()
                .filter_map(|item| reference::read(item, files, found))
                .collect(),
            listed: items.len() > 1,
        }
    };
    entries.iter().map(input).collect()
}
