//! Code actions that fix a problem, for every diagnostic that has a fix.

use lsp_types as lsp;
use serde::Deserialize;

use crate::diagnostics::SOURCE;

/// Fix carried by a diagnostic of this server.
#[derive(Deserialize)]
struct Fix {
    title: String,
    uri: lsp::Uri,
    range: lsp::Range,
    text: String,
}

/// The fixes of the diagnostics that a client asks about.
pub(crate) fn actions(params: &lsp::CodeActionParams) -> Vec<lsp::CodeActionOrCommand> {
    let is_wanted = params.context.only.as_ref().is_none_or(|only| {
        only.iter().any(|kind| kind.as_str().is_empty() || "quickfix".starts_with(kind.as_str()))
    });
    let own = params
        .context
        .diagnostics
        .iter()
        .filter(|found| is_wanted && found.source.as_deref() == Some(SOURCE));
    own.filter_map(action).collect()
}

fn action(found: &lsp::Diagnostic) -> Option<lsp::CodeActionOrCommand> {
    let fix = Fix::deserialize(found.data.as_ref()?.get("fix")?).ok()?;
    let edit = lsp::TextDocumentEdit {
        text_document: lsp::OptionalVersionedTextDocumentIdentifier { uri: fix.uri, version: None },
        edits: vec![lsp::OneOf::Left(lsp::TextEdit::new(fix.range, fix.text))],
    };
    let mut title = fix.title;
    if let Some(first) = title.get(..1) {
        title = first.to_uppercase() + &title[1..];
    }
    Some(lsp::CodeActionOrCommand::CodeAction(lsp::CodeAction {
        title,
        kind: Some(lsp::CodeActionKind::QUICKFIX),
        diagnostics: Some(vec![found.clone()]),
        edit: Some(lsp::WorkspaceEdit {
            document_changes: Some(lsp::DocumentChanges::Edits(vec![edit])),
            ..lsp::WorkspaceEdit::default()
        }),
        is_preferred: Some(true),
        ..lsp::CodeAction::default()
    }))
}
