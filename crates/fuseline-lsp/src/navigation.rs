//! Definition, references and renaming of a name.

use std::collections::BTreeMap;

use lsp_types as lsp;

use crate::project::{Occurrence, Symbol};
use crate::server::View;
use crate::source::Source;
use crate::syntax::{Spot, locate};
use crate::uri;

fn location(
    view: &View<'_>,
    file: &Source,
    span: &std::ops::Range<usize>,
) -> Option<lsp::Location> {
    Some(lsp::Location::new(uri::from_path(&file.path)?, file.range(span, view.encoding)))
}

/// Definition of the name at a byte; for an included file, the file.
pub(crate) fn definition(view: &View<'_>, offset: usize) -> Option<lsp::GotoDefinitionResponse> {
    let source = view.source();
    let found = locate(&source.root, offset);
    if let (["include"], Spot::Value(node)) = (found.keys().as_slice(), found.spot) {
        let folder = source.path.parent()?;
        let path = fuseline_workflow::absolute(folder, std::path::Path::new(&node.scalar()?.text));
        let file = view.project.files.iter().find(|file| file.path == path)?;
        return Some(lsp::GotoDefinitionResponse::Scalar(location(view, file, &(0..0))?));
    }
    let symbol = view.project.symbol_at(view.file, offset)?.symbol;
    let all = view.project.occurrences();
    let mut definitions: Vec<_> =
        all.iter().filter(|found| found.is_definition && found.symbol == symbol).collect();
    // Every point of an axis defines its fields; the first is where to look.
    if matches!(symbol, Symbol::Field(..)) {
        definitions.truncate(1);
    }
    let locations = definitions
        .iter()
        .filter_map(|found| location(view, &view.project.files[found.file], &found.span));
    Some(lsp::GotoDefinitionResponse::Array(locations.collect()))
}

/// Every place where the name at a byte is used.
pub(crate) fn references(
    view: &View<'_>,
    offset: usize,
    with_definition: bool,
) -> Vec<lsp::Location> {
    let Some(symbol) = view.project.symbol_at(view.file, offset) else { return Vec::new() };
    let all = view.project.occurrences().into_iter();
    all.filter(|found| found.symbol == symbol.symbol && (with_definition || !found.is_definition))
        .filter_map(|found| location(view, &view.project.files[found.file], &found.span))
        .collect()
}

/// Every place in the same file where the name at a byte is used.
pub(crate) fn highlights(view: &View<'_>, offset: usize) -> Vec<lsp::DocumentHighlight> {
    let Some(symbol) = view.project.symbol_at(view.file, offset) else { return Vec::new() };
    let all = view.project.occurrences().into_iter();
    all.filter(|found| found.symbol == symbol.symbol && found.file == view.file)
        .map(|found| lsp::DocumentHighlight {
            range: view.range(&found.span),
            kind: Some(match found.is_definition {
                true => lsp::DocumentHighlightKind::WRITE,
                false => lsp::DocumentHighlightKind::READ,
            }),
        })
        .collect()
}

/// The name at a byte, when it can be changed: it is defined in the workflow.
pub(crate) fn prepare_rename(view: &View<'_>, offset: usize) -> Option<lsp::PrepareRenameResponse> {
    let found = renamed(view, offset)?;
    Some(lsp::PrepareRenameResponse::RangeWithPlaceholder {
        range: view.range(&found.span),
        placeholder: view.source().text[found.span].to_owned(),
    })
}

fn renamed(view: &View<'_>, offset: usize) -> Option<Occurrence> {
    let found = view.project.symbol_at(view.file, offset)?;
    let is_name = match &found.symbol {
        Symbol::Param(_) | Symbol::Axis(_) | Symbol::Stage(_) | Symbol::Field(..) => true,
        // A point's label may name a kind, a rule or a file.
        Symbol::Point(..) => false,
    };
    let all = view.project.occurrences();
    let is_defined = all.iter().any(|other| other.is_definition && other.symbol == found.symbol);
    (is_name && is_defined).then_some(found)
}

/// Words that an expression reads otherwise.
const RESERVED: [&str; 11] =
    ["params", "and", "or", "not", "in", "if", "else", "true", "false", "null", "label"];

/// Renames every occurrence of a name, in all files of all workflows that the file belongs to.
pub(crate) fn rename(
    views: &[View<'_>],
    position: lsp::Position,
    name: &str,
) -> Result<lsp::WorkspaceEdit, String> {
    let mut changes: BTreeMap<String, (lsp::Uri, Vec<lsp::TextEdit>)> = BTreeMap::new();
    for view in views {
        let offset = view.source().offset(position, view.encoding);
        let Some(found) = renamed(view, offset) else { continue };
        let all = view.project.occurrences();
        check_name(&found.symbol, name, &all)?;
        for found in all.into_iter().filter(|other| other.symbol == found.symbol) {
            let file = &view.project.files[found.file];
            let Some(uri) = uri::from_path(&file.path) else { continue };
            let edit = lsp::TextEdit::new(file.range(&found.span, view.encoding), name.to_owned());
            let (_, edits) =
                changes.entry(uri.as_str().to_owned()).or_insert_with(|| (uri, Vec::new()));
            if !edits.contains(&edit) {
                edits.push(edit);
            }
        }
    }
    if changes.is_empty() {
        return Err("there is no stage, axis, param or field here".to_owned());
    }
    let edits = changes.into_values().map(|(uri, edits)| lsp::TextDocumentEdit {
        text_document: lsp::OptionalVersionedTextDocumentIdentifier { uri, version: None },
        edits: edits.into_iter().map(lsp::OneOf::Left).collect(),
    });
    Ok(lsp::WorkspaceEdit {
        document_changes: Some(lsp::DocumentChanges::Edits(edits.collect())),
        ..lsp::WorkspaceEdit::default()
    })
}

/// Refuses a name that cannot be one, or that something else has.
fn check_name(symbol: &Symbol, name: &str, all: &[Occurrence]) -> Result<(), String> {
    let dashes = matches!(symbol, Symbol::Stage(_));
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || (dashes && c == '-');
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !starts || !name.chars().all(is_letter) {
        let dash = if dashes { ", `_` and `-`" } else { " and `_`" };
        return Err(format!("a name starts with a letter and goes on with letters, digits{dash}"));
    }
    if !dashes && RESERVED.contains(&name) {
        return Err(format!("`{name}` has a meaning of its own in expressions"));
    }
    let (what, wanted) = match symbol {
        Symbol::Param(_) => ("a param", Symbol::Param(name.to_owned())),
        Symbol::Axis(_) => ("an axis", Symbol::Axis(name.to_owned())),
        Symbol::Stage(_) => ("a stage", Symbol::Stage(name.to_owned())),
        Symbol::Field(axis, _) => ("a field", Symbol::Field(axis.clone(), name.to_owned())),
        Symbol::Point(..) => return Ok(()),
    };
    let is_taken = all.iter().any(|other| other.is_definition && other.symbol == wanted);
    match is_taken && wanted != *symbol {
        true => Err(format!("there is {what} `{name}` already")),
        false => Ok(()),
    }
}
