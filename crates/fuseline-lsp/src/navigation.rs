//! Definition, references and renaming of a name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lsp_types as lsp;

use crate::position::Encoding;
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
        let path = fuseline_workflow::absolute(folder, Path::new(&node.scalar()?.text));
        let file = view.project.files.iter().find(|file| file.path == path)?;
        return Some(lsp::GotoDefinitionResponse::Scalar(location(view, file, &(0..0))?));
    }
    let symbol = view.symbol_at(offset)?.symbol;
    let all = view.occurrences();
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
    let Some(symbol) = view.symbol_at(offset) else { return Vec::new() };
    let all = view.occurrences().into_iter();
    all.filter(|found| found.symbol == symbol.symbol && (with_definition || !found.is_definition))
        .filter_map(|found| location(view, &view.project.files[found.file], &found.span))
        .collect()
}

/// Every place in the same file where the name at a byte is used.
pub(crate) fn highlights(view: &View<'_>, offset: usize) -> Vec<lsp::DocumentHighlight> {
    let Some(symbol) = view.symbol_at(offset) else { return Vec::new() };
    let all = view.occurrences().into_iter();
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
    let found = view.symbol_at(offset)?;
    let is_name = match &found.symbol {
        Symbol::Param(_) | Symbol::Axis(_) | Symbol::Stage(_) | Symbol::Field(..) => true,
        // A point's label may name a kind, a rule or a file.
        Symbol::Point(..) => false,
    };
    let all = view.occurrences();
    let is_defined = all.iter().any(|other| other.is_definition && other.symbol == found.symbol);
    (is_name && is_defined).then_some(found)
}

/// Words that an expression reads otherwise.
const RESERVED: [&str; 11] =
    ["params", "and", "or", "not", "in", "if", "else", "true", "false", "null", "label"];

/// A renaming: the edit for the client, and the texts of the changed files after it.
pub(crate) struct Renaming {
    pub edit: lsp::WorkspaceEdit,
    pub texts: Vec<(PathBuf, Arc<str>)>,
}

/// A file, and the bytes in it at which a name stands.
type Places<'f> = (&'f Source, BTreeSet<(usize, usize)>);

/// Renames every occurrence of a name, in all files of all workflows that the file belongs to.
pub(crate) fn rename(
    views: &[View<'_>],
    position: lsp::Position,
    name: &str,
) -> Result<Renaming, String> {
    let mut changes: BTreeMap<&Path, Places<'_>> = BTreeMap::new();
    let mut encoding = Encoding::Utf16;
    for view in views {
        let offset = view.source().offset(position, view.encoding);
        let Some(found) = renamed(view, offset) else { continue };
        let all = view.occurrences();
        check_name(&found.symbol, name, &all)?;
        encoding = view.encoding;
        for found in all.into_iter().filter(|other| other.symbol == found.symbol) {
            let file = &view.project.files[found.file];
            let (_, spans) = changes.entry(&file.path).or_insert_with(|| (file, BTreeSet::new()));
            spans.insert((found.span.start, found.span.end));
        }
    }
    if changes.is_empty() {
        return Err("there is no stage, axis, param or field here".to_owned());
    }
    let (mut edits, mut texts) = (Vec::new(), Vec::new());
    for (path, (file, spans)) in changes {
        let Some(uri) = uri::from_path(path) else { continue };
        let mut text = file.text.to_string();
        spans.iter().rev().for_each(|(start, end)| text.replace_range(*start..*end, name));
        texts.push((path.to_owned(), text.into()));
        let edit = |(start, end)| {
            let range = file.range(&(start..end), encoding);
            lsp::OneOf::Left(lsp::TextEdit::new(range, name.to_owned()))
        };
        edits.push(lsp::TextDocumentEdit {
            text_document: lsp::OptionalVersionedTextDocumentIdentifier { uri, version: None },
            edits: spans.into_iter().map(edit).collect(),
        });
    }
    let edit = lsp::WorkspaceEdit {
        document_changes: Some(lsp::DocumentChanges::Edits(edits)),
        ..lsp::WorkspaceEdit::default()
    };
    Ok(Renaming { edit, texts })
}

/// The axis whose points say of which modality experts, features and programs are.
const MODALITY: &str = "modality";

/// Refuses a name that cannot be one, that something else has, or that has a meaning of its own.
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
    if is_taken && wanted != *symbol {
        return Err(format!("there is {what} `{name}` already"));
    }
    if *symbol == Symbol::Axis(MODALITY.to_owned()) && name != MODALITY {
        return Err(format!(
            "the axis `{MODALITY}` is known by its name: its points say of which modality experts, \
             features and programs are; under another name they would be of none"
        ));
    }
    Ok(())
}
