//! The parts of a file: for the outline, and to be folded.

use std::ops::Range;

use lsp_types as lsp;

use crate::project::StageView;
use crate::server::View;
use crate::syntax::{Data, Entry, Node};

/// The sections and what is defined in them.
pub(crate) fn symbols(view: &View<'_>) -> Vec<lsp::DocumentSymbol> {
    let kinds = [
        ("params", lsp::SymbolKind::VARIABLE),
        ("axes", lsp::SymbolKind::ENUM),
        ("stages", lsp::SymbolKind::FUNCTION),
        ("outputs", lsp::SymbolKind::FILE),
    ];
    let section = |entry: &Entry| {
        let kind = kinds.iter().find(|(name, _)| *name == entry.key);
        let children = kind.map(|(_, kind)| {
            entry.value.entries().iter().map(|child| symbol(view, child, *kind, None)).collect()
        });
        let kind = match kind {
            Some(_) => lsp::SymbolKind::NAMESPACE,
            None => lsp::SymbolKind::PROPERTY,
        };
        symbol(view, entry, kind, children)
    };
    view.source().root.entries().iter().filter(|entry| !entry.key.is_empty()).map(section).collect()
}

fn symbol(
    view: &View<'_>,
    entry: &Entry,
    kind: lsp::SymbolKind,
    children: Option<Vec<lsp::DocumentSymbol>>,
) -> lsp::DocumentSymbol {
    let detail = match &entry.value.data {
        Data::Scalar(scalar) => scalar.text.lines().next().map(str::to_owned),
        _ => StageView { entry }.uses().map(|uses| uses.text.clone()),
    };
    #[expect(deprecated, reason = "the struct has the field, and no default")]
    lsp::DocumentSymbol {
        // An empty name is refused by clients.
        name: if entry.key.is_empty() { "?".to_owned() } else { entry.key.clone() },
        detail,
        kind,
        tags: None,
        deprecated: None,
        range: view.range(&entry.extent()),
        selection_range: view.range(&entry.key_span),
        children,
    }
}

/// Ranges over several lines: entries of mappings, and comments.
pub(crate) fn folding(view: &View<'_>) -> Vec<lsp::FoldingRange> {
    let source = view.source();
    let mut ranges = Vec::new();
    let mut add = |span: &Range<usize>, kind: Option<lsp::FoldingRangeKind>| {
        let range = view.range(span);
        if range.end.line > range.start.line {
            ranges.push(lsp::FoldingRange {
                start_line: range.start.line,
                end_line: range.end.line,
                kind,
                ..lsp::FoldingRange::default()
            });
        }
    };
    fold(&source.root, &mut |span| add(span, None));
    let mut start = 0;
    let mut comment: Option<Range<usize>> = None;
    for line in source.text.split_inclusive('\n') {
        let content = line.trim_start();
        let end = start + line.trim_end().len();
        comment = match (comment.take(), content.starts_with('#')) {
            (Some(span), true) => Some(span.start..end),
            (None, true) => Some(start + line.len() - content.len()..end),
            (Some(span), false) => {
                add(&span, Some(lsp::FoldingRangeKind::Comment));
                None
            }
            (None, false) => None,
        };
        start += line.len();
    }
    if let Some(span) = comment {
        add(&span, Some(lsp::FoldingRangeKind::Comment));
    }
    ranges.sort_by_key(|range| (range.start_line, std::cmp::Reverse(range.end_line)));
    ranges.dedup_by_key(|range| range.start_line);
    ranges
}

fn fold(node: &Node, add: &mut dyn FnMut(&Range<usize>)) {
    for entry in node.entries() {
        add(&entry.extent());
        fold(&entry.value, add);
    }
    for item in node.items() {
        add(&item.span);
        fold(item, add);
    }
}
