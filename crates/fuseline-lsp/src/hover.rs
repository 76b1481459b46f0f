//! Hover text of the item at the cursor.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use fuseline::{markdown_code as code, markdown_text};
use fuseline_workflow::{Arity, AxisIndex, KindSpec, Role, Stage, Workflow, functions};
use lsp_types as lsp;
use serde_json::Value;

use crate::completion::{outputs_of, port_in_words};
use crate::project::{Project, StageView, outer_axis};
use crate::schema_walk as schema;
use crate::server::View;
use crate::source::{Reference, Word, expression_names};
use crate::syntax::{Entry, Location, Node, Scalar, Spot, Step, locate};

/// Maximum number of listed values of an option, and of listed options of a kind.
const MAX_LISTED: usize = 12;

/// Words about what is at a byte of the view's file.
pub(crate) fn hover(view: &View<'_>, offset: usize) -> Option<lsp::Hover> {
    let source = view.source();
    let location = locate(&source.root, offset);
    let (text, span) = match location.spot {
        Spot::Key => {
            let Some(Step::Entry(_, entry)) = location.steps.last() else { return None };
            (key(view, &location, entry)?, entry.key_span.clone())
        }
        Spot::Value(node) => {
            let scalar = node.scalar()?;
            let expression = expression_names(scalar).into_iter().find(|name| {
                name.name.covers(offset)
                    || name.field.as_ref().is_some_and(|field| field.covers(offset))
            });
            match expression {
                Some(name) => {
                    let end = name.field.as_ref().map_or(name.name.span.end, |f| f.span.end);
                    let field = name.field.as_ref().map(|field| field.text);
                    let text = expression_name(view, name.name.text, field, name.is_call)?;
                    let values = resolved(view, &location).unwrap_or_default();
                    (text + &values, name.name.span.start..end)
                }
                None => (value(view, &location, scalar, offset)?, node.span.clone()),
            }
        }
    };
    Some(lsp::Hover {
        contents: lsp::HoverContents::Markup(lsp::MarkupContent {
            kind: lsp::MarkupKind::Markdown,
            value: text,
        }),
        range: Some(view.range(&span)),
    })
}

/// A name of the workflow or of data as Markdown: one that is none, since it is being written or is
/// hostile, is text and no markup.
fn shown(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_-.,= ".contains(letter);
    if text.chars().all(is_plain) { text.to_owned() } else { markdown_text(text) }
}

fn key(view: &View<'_>, location: &Location<'_>, entry: &Entry) -> Option<String> {
    let keys = location.keys();
    let project = &view.project;
    match keys.as_slice() {
        ["stages", stage] => Some(stage_doc(view, project.stage(stage)?)),
        ["params", _] => Some(param_doc(entry)),
        ["axes", axis] => Some(axis_doc(project, axis)),
        ["stages", stage, "inputs", port] => {
            let stage = project.stage(stage)?;
            let kinds = project.kinds(stage, view.kinds.catalogue());
            let port = kinds.iter().flat_map(|kind| &kind.inputs).find(|own| own.name == *port)?;
            let mut text = format!("**{}**: {}", port.name, port_in_words(port));
            match port.role {
                Role::Fit => text += ", fitted on",
                Role::Apply => text += ", applied to",
                Role::Neutral => {}
            }
            text += &format!("\n\n{}", port.doc);
            if let Some(arriving) = arriving(project, stage.name(), &port.name) {
                text += &format!("\n\n{arriving}");
            }
            Some(text)
        }
        ["stages", stage, "with", inner @ ..] if !inner.is_empty() => {
            let stage = project.stage(stage)?;
            let mut text = None;
            for kind in project.kinds(stage, view.kinds.catalogue()) {
                let root: &Value = &kind.options;
                if let Some(schema) = schema::at(root, inner).into_iter().next() {
                    let name = inner.last().unwrap_or(&"");
                    let words = schema::type_in_words(root, schema);
                    text = Some(format!("**{name}**: {words}\n\n{}", option_doc(root, schema)));
                    break;
                }
            }
            let values = resolved(view, location).unwrap_or_default();
            Some(text? + &values)
        }
        path => {
            let schemas = schema::at(view.schema, path);
            let doc = schemas.iter().find_map(|one| schema::description(view.schema, one))?;
            Some(format!("**{}**: {doc}", path.last()?))
        }
    }
}

fn value(
    view: &View<'_>,
    location: &Location<'_>,
    scalar: &Scalar,
    offset: usize,
) -> Option<String> {
    let keys = location.keys();
    let project = &view.project;
    let catalogue = view.kinds.catalogue();
    match keys.as_slice() {
        ["stages", _, "uses"] => {
            let kinds = project.kinds_of(&scalar.text, catalogue);
            match kinds.as_slice() {
                [] => None,
                [kind] => Some(kind_doc(kind)),
                kinds => {
                    let mut text = String::from("One of these, by the point:\n\n");
                    for kind in kinds {
                        let _ = writeln!(text, "- `{}`: {}", kind.name, kind.summary);
                    }
                    Some(text + "\n" + &ports_doc(kinds))
                }
            }
        }
        ["stages", _, "over"] => Some(axis_doc(project, &scalar.text)),
        ["stages", _, "inputs", _] | ["outputs", _] => {
            let reference = Reference::read(scalar);
            let stage = project.stage(reference.stage.text)?;
            let covers = |word: &Word<'_>| word.covers(offset);
            if let Some((axis, labels)) = reference
                .selections
                .iter()
                .find(|(axis, labels)| covers(axis) || labels.iter().any(covers))
            {
                let label = labels.iter().find(|label| covers(label));
                return Some(match label {
                    Some(label) => {
                        format!("the point {} of the axis {}", code(label.text), shown(axis.text))
                    }
                    None => axis_doc(project, axis.text),
                });
            }
            let mut text = stage_doc(view, stage);
            let outputs = outputs_of(project, stage, catalogue);
            let port = reference.port.as_ref().map_or("main", |port| port.text);
            if let Some(output) = outputs.iter().find(|own| own.name == port || outputs.len() == 1)
            {
                text = format!(
                    "{}: **{}** {}\n\n---\n\n{text}",
                    code(&scalar.text),
                    output.artifact,
                    output.doc
                );
            }
            if let ["stages", consumer, "inputs", port] = keys.as_slice()
                && let Some(arriving) = arriving(project, consumer, port)
            {
                text += &format!("\n\n{arriving}");
            }
            Some(text)
        }
        ["stages", _, "with", ..] => {
            let rule = project.rules.iter().find(|rule| {
                keys.last() == Some(&"rule") && (rule.name == scalar.text || rule.id == scalar.text)
            });
            if let Some(rule) = rule {
                return Some(format!(
                    "the fusion rule **{}**\n\n{}",
                    shown(&rule.id),
                    code(&rule.file)
                ));
            }
            resolved(view, location)
        }
        ["axes", axis] => {
            Some(format!("a point of the axis **{}**\n\n{}", shown(axis), axis_doc(project, axis)))
        }
        _ => None,
    }
}

/// A name in an expression.
fn expression_name(
    view: &View<'_>,
    name: &str,
    field: Option<&str>,
    is_call: bool,
) -> Option<String> {
    let project = &view.project;
    match (name, field) {
        ("params", Some(param)) => {
            Some(param_doc(project.param(param)?) + &param_value(project, param))
        }
        ("params", None) => Some("all params; `params.name` is one of them".to_owned()),
        (name, None) if is_call => {
            let function = functions().find(|function| function.name == name)?;
            Some(format!("```\n{}\n```\n\n{}", function.signature, function.doc))
        }
        (axis, None) => project.axis(axis).map(|_| axis_doc(project, axis)),
        (axis, Some(field)) => {
            project.axis(axis)?;
            let (field_name, axis_name) = (shown(field), shown(axis));
            let mut text = format!("the field **{field_name}** of the points of {axis_name}\n\n");
            for (point, value) in project.field_values(axis, field).into_iter().take(MAX_LISTED) {
                let _ = writeln!(text, "- {}: {}", shown(&point), code(&value.text));
            }
            Some(text)
        }
    }
}

/// Value of a param in the last check.
fn param_value(project: &Project, param: &str) -> String {
    let params = project.checked.iter().flat_map(|workflow| &workflow.params);
    let value = params.clone().find(|(name, _)| name == param).map(|(_, value)| value);
    value.map_or_else(String::new, |value| format!("\n\nNow: {}", code(&value.to_string())))
}

/// A stage kind at length.
pub(crate) fn kind_doc(kind: &KindSpec) -> String {
    let mut text = format!("**{}**\n\n{}\n\n{}", kind.name, kind.summary, ports_doc(&[kind]));
    let root: &Value = &kind.options;
    let keys = schema::keys(root, &[root]);
    if !keys.is_empty() {
        text += "\n*Options*\n\n";
    }
    for key in &keys {
        let need = if key.required { ", required" } else { "" };
        let words = schema::type_in_words(root, key.schema);
        let doc = schema::description(root, key.schema).unwrap_or_default();
        let doc = doc.lines().next().unwrap_or_default();
        let _ = writeln!(text, "- `{}`: {words}{need}. {doc}", key.name);
    }
    text
}

/// The ports of kinds of one family: what some of them read, and what all give.
fn ports_doc(kinds: &[&KindSpec]) -> String {
    let mut text = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for port in kinds.iter().flat_map(|kind| &kind.inputs) {
        if seen.contains(&port.name.as_str()) {
            continue;
        }
        seen.push(&port.name);
        let readers: Vec<_> = kinds
            .iter()
            .filter(|kind| kind.inputs.iter().any(|own| own.name == port.name && own.read))
            .map(|kind| kind.name.as_str())
            .collect();
        if readers.is_empty() {
            continue;
        }
        if text.is_empty() {
            text += "*Inputs*\n\n";
        }
        let many = if port.arity == Arity::Many { ", one or more" } else { "" };
        let optional = if port.required { "" } else { ", optional" };
        let only = match readers.len() == kinds.len() {
            true => String::new(),
            false => format!(" (read by {})", readers.join(", ")),
        };
        let _ = writeln!(
            text,
            "- `{}`: {}{many}{optional}{only}. {}",
            port.name, port.artifact, port.doc
        );
    }
    let outputs = kinds.first().map(|kind| kind.outputs.raw.as_slice()).unwrap_or_default();
    if !outputs.is_empty() {
        text += "\n*Outputs*\n\n";
    }
    for output in outputs {
        let _ = writeln!(text, "- `{}`: {}. {}", output.name, output.artifact, output.doc);
    }
    text
}

/// The words of an option with its bounds and default.
pub(crate) fn option_doc(root: &Value, option: &Value) -> String {
    let doc = schema::description(root, option).unwrap_or_default().to_owned();
    let bounds = schema::bounds_in_words(root, option);
    match bounds.is_empty() {
        true => doc,
        false => format!("{doc}\n\n{}.", bounds.join(", ")),
    }
}

/// A param as it is declared.
pub(crate) fn param_doc(param: &Entry) -> String {
    let declared = |key: &str| param.value.get(key).and_then(Node::scalar).map(|s| s.text.as_str());
    let mut text = format!("the param **{}**", shown(&param.key));
    if let Some(kind) = declared("type") {
        text += &format!(", {}", shown(kind));
    }
    let default = declared("default").or_else(|| param.value.scalar().map(|s| s.text.as_str()));
    match default {
        Some(default) => text += &format!(", {} by default", code(default)),
        None if param.value.items().is_empty() => text += ", to be set",
        None => {}
    }
    if let Some(help) = declared("help") {
        text += &format!("\n\n{}", markdown_text(help));
    }
    text
}

/// An axis with its points, and the stages that run over it.
pub(crate) fn axis_doc(project: &Project, axis: &str) -> String {
    let labels = project.labels(axis);
    let mut text = format!("the axis **{}**", shown(axis));
    if let Some(outer) = project.axis(axis).and_then(outer_axis) {
        text += &format!(", within {}", shown(&outer.text));
    }
    if !labels.is_empty() {
        let points = labels.iter().take(MAX_LISTED).map(|label| shown(label));
        let points = points.collect::<Vec<_>>().join(", ");
        let more = labels.len().saturating_sub(MAX_LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text += &format!(", {} points: {points}{more}", labels.len());
    }
    let fields = project.fields(axis);
    if !fields.is_empty() {
        let fields: Vec<String> = fields.iter().map(|field| shown(field)).collect();
        text += &format!("\n\nFields: {}", fields.join(", "));
    }
    let runs = |stage: &StageView<'_>| stage.over().iter().any(|own| own.text == axis);
    let stages: Vec<_> = project.stages().filter(runs).map(|stage| stage.name()).collect();
    if !stages.is_empty() {
        text += &format!("\n\nStages over it: {}", stages.join(", "));
    }
    text
}

fn checked_stage<'p>(project: &'p Project, name: &str) -> Option<(&'p Workflow, &'p Stage)> {
    let workflow = project.checked.as_deref()?;
    Some((workflow, workflow.stages.iter().find(|stage| stage.name == name)?))
}

/// A stage: its kinds, its axes and how many actions that makes, and what it gives.
fn stage_doc(view: &View<'_>, stage: StageView<'_>) -> String {
    let project = &view.project;
    let kinds = project.kinds(stage, view.kinds.catalogue());
    let names: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name)).collect();
    let mut text = format!("the stage **{}**: {}", shown(stage.name()), names.join(", "));
    if let Some(description) = stage.entry.value.get("description").and_then(Node::scalar) {
        text += &format!("\n\n{}", markdown_text(&description.text));
    }
    let over: Vec<_> = stage
        .over()
        .iter()
        .map(|axis| format!("{} ({})", shown(axis.text), project.labels(axis.text).len()))
        .collect();
    let actions = checked_stage(project, stage.name()).map(|(_, stage)| stage.actions.len());
    let actions = match actions {
        Some(1) => ": 1 action".to_owned(),
        Some(actions) => format!(": {actions} actions"),
        None => String::new(),
    };
    match over.is_empty() {
        true => text += &format!("\n\nOver no axis{actions}"),
        false => text += &format!("\n\nOver {}{actions}", over.join(", ")),
    }
    let outputs = outputs_of(project, stage, view.kinds.catalogue());
    let outputs: Vec<_> =
        outputs.iter().map(|output| format!("`{}` {}", output.name, output.artifact)).collect();
    if !outputs.is_empty() {
        text += &format!("\n\nGives {}", outputs.join(", "));
    }
    if let [kind] = kinds.as_slice() {
        text += &format!("\n\n{}", kind.summary);
    }
    text
}

/// Join of the producers of an input: which axes are matched, which arrive together, and how
/// many artifacts.
fn arriving(project: &Project, stage: &str, port: &str) -> Option<String> {
    let (workflow, stage) = checked_stage(project, stage)?;
    let input = stage.inputs.iter().find(|input| input.port == port)?;
    let mut lines = Vec::new();
    for source in &input.sources {
        let producer = &workflow.stages[source.stage];
        let name = |axis: &AxisIndex| workflow.axes[*axis].name.as_str();
        let gathered: Vec<_> = source.gathered_axes.iter().map(name).collect();
        let matched: Vec<_> = producer
            .over
            .iter()
            .filter(|axis| !source.gathered_axes.contains(axis))
            .map(name)
            .collect();
        let broadcast: Vec<_> =
            stage.over.iter().filter(|axis| !producer.over.contains(axis)).map(name).collect();
        let sizes: BTreeSet<usize> =
            source.group_of.iter().flatten().map(|group| source.groups.get(*group).len()).collect();
        let mut words = Vec::new();
        for (axes, what) in [
            (matched, "matched along"),
            (gathered, "gathered along"),
            (broadcast, "the same for every"),
        ] {
            if !axes.is_empty() {
                words.push(format!("{what} {}", axes.join(", ")));
            }
        }
        let count = match (sizes.first(), sizes.last()) {
            (Some(1), Some(1)) => "one artifact an action".to_owned(),
            (Some(low), Some(high)) if low == high => format!("{low} artifacts an action"),
            (Some(low), Some(high)) => format!("{low} to {high} artifacts an action"),
            _ => "not read".to_owned(),
        };
        words.push(count);
        lines.push(format!("From `{}`: {}", producer.name, words.join("; ")));
    }
    (!lines.is_empty()).then(|| lines.join("\n\n"))
}

/// The values that an option with an expression takes over the points of its stage.
fn resolved(view: &View<'_>, location: &Location<'_>) -> Option<String> {
    let mut path = location.steps.iter().map(|step| match step {
        Step::Entry(_, entry) => entry.key.clone(),
        Step::Item(at) => at.to_string(),
    });
    let (section, name, with) = (path.next()?, path.next()?, path.next()?);
    if section != "stages" || !["with", "uses"].contains(&with.as_str()) {
        return None;
    }
    let inner: Vec<String> = path.collect();
    let (workflow, stage) = checked_stage(&view.project, &name)?;
    // The points of the first action of each value.
    let mut values: Vec<(String, String, usize)> = Vec::new();
    for action in stage.actions.keys() {
        let variant = &stage.variants[stage.actions.variant(action)];
        let value = match with.as_str() {
            "uses" => view.kinds.catalogue().kinds().get(variant.kind)?.name.clone(),
            _ => {
                let mut value = variant.options.get(inner.first()?)?;
                for key in &inner[1..] {
                    value = match value {
                        Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
                        value => value.get(key)?,
                    };
                }
                value.to_string()
            }
        };
        let is_full = values.len() > MAX_LISTED;
        match values.iter_mut().find(|(known, ..)| *known == value) {
            Some((.., count)) => *count += 1,
            None if is_full => break,
            None => {
                let axes = stage.over.iter().zip(stage.actions.coords(action));
                let point: Vec<_> = axes
                    .map(|(axis, coord)| {
                        let axis = &workflow.axes[*axis];
                        format!("{}={}", axis.name, axis.points[*coord].label)
                    })
                    .collect();
                values.push((value, point.join(", "), 1));
            }
        }
    }
    let mut text = String::from("\n\nNow:\n\n");
    match values.as_slice() {
        [] => return None,
        [(value, ..)] => return Some(format!("\n\nNow: {}", code(value))),
        values => {
            for (value, point, count) in values.iter().take(MAX_LISTED) {
                let more =
                    if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
                let _ = writeln!(text, "- {} at {}{more}", code(value), shown(point));
            }
            if values.len() > MAX_LISTED {
                text += "- …\n";
            }
        }
    }
    Some(text)
}
