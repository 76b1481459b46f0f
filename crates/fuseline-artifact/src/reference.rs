//! The reference of artifact kinds as Markdown, from the schemas that every write is held against.

use crate::kind::ArtifactKind;
use crate::schema::{Column, ColumnName, KindSchema, MetadataKey, MetadataType};

/// A section for each artifact kind: meaning, version, columns and metadata, as Markdown.
pub fn reference() -> String {
    let sections = ArtifactKind::ALL.map(|kind| match kind.schema() {
        Some(schema) => section(schema),
        None => format!("## {kind}\n\n{}\n", kind.summary()),
    });
    sections.join("\n")
}

fn section(schema: &KindSchema) -> String {
    let KindSchema { kind, version, .. } = schema;
    let summary = kind.summary();
    let mut text = format!("## {kind}\n\n{summary} Version {version}.\n\n{}", columns(schema));
    if schema.metadata_entries().next().is_some() {
        text += "\n| metadata | value | meaning |\n|---|---|---|\n";
    }
    for (MetadataKey { key, of, help }, required) in schema.metadata_entries() {
        let value = match of {
            MetadataType::Word(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            of => of.expected().to_owned(),
        };
        let optional = if required { "" } else { "; may be left out" };
        text += &format!("| `{key}` | {value}{optional} | {} |\n", cell(help));
    }
    let forms = schema.variants().filter(|_| *kind == ArtifactKind::Table);
    for (name, form) in forms {
        text += &format!("\nThe form `{name}`:\n\n{}", columns(form));
    }
    text
}

/// The columns of a schema as a table.
fn columns(schema: &KindSchema) -> String {
    let mut text = "| column | type | meaning |\n|---|---|---|\n".to_owned();
    for Column { name, of, nullable, help } in schema.columns {
        let optional =
            if matches!(name, ColumnName::Optional(_)) { ", may be left out" } else { "" };
        let name = match name {
            ColumnName::Is(name) | ColumnName::Optional(name) => format!("`{name}`"),
            ColumnName::Begins("") => "any names".to_owned(),
            ColumnName::Begins(prefix) => format!("`{prefix}…`"),
        };
        let missing = if *nullable { ", may be missing" } else { "" };
        text += &format!("| {name} | `{}`{missing}{optional} | {} |\n", of.name(), cell(help));
    }
    text
}

/// A text within a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The line of the page behind which everything is generated.
    const MARK: &str = "<!-- Generated from the schemas: what follows is not edited by hand. -->\n";

    #[test]
    fn the_page_of_artifacts_is_that_of_the_schemas() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/artifacts.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (head, tail) = page.split_once(MARK).expect("the page has the mark");
        let right = format!("\n{}", reference());
        if std::env::var_os("FUSELINE_UPDATE_SCHEMAS").is_some() {
            std::fs::write(&path, format!("{head}{MARK}{right}")).unwrap();
            return;
        }
        assert!(tail == right, "docs/artifacts.md is stale: FUSELINE_UPDATE_SCHEMAS=1 renews it");
        for kind in ArtifactKind::ALL {
            assert!(head.contains(&format!("[{kind}](#{kind})")), "its list lacks {kind}");
        }
    }
}
