//! The texts of open files, and of those on disk that belong to them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use fuseline_workflow::absolute;
use lsp_types as lsp;

use crate::position::{Encoding, LineStarts};
use crate::source::Source;

/// A file that a client has open.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub uri: lsp::Uri,
    pub version: i32,
    pub source: Arc<Source>,
    /// True if it is a workflow or a part of one: once it was, it stays so while it is open.
    pub is_workflow: bool,
}

/// A file on disk, as it was when it was last looked at.
#[derive(Debug)]
struct OnDisk {
    modified: Option<SystemTime>,
    source: Arc<Source>,
}

/// Maximum number of folder entries, and depth, searched for workflows that include others.
const MAX_ENTRIES: usize = 5_000;
const MAX_FOLDERS_DEEP: usize = 6;
/// Longer files are not read in that search.
const MAX_SEARCHED_BYTES: u64 = 1 << 20;

/// Open files by path, and what is known of the disk.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    open: BTreeMap<PathBuf, Document>,
    disk: BTreeMap<PathBuf, OnDisk>,
    /// Workflows on disk that include other files.
    including: BTreeSet<PathBuf>,
}

/// The text after a change that a client reports.
fn change(text: &str, change: lsp::TextDocumentContentChangeEvent, encoding: Encoding) -> String {
    let Some(range) = change.range else { return change.text };
    let lines = LineStarts::new(text);
    let start = lines.offset(text, range.start, encoding);
    let end = lines.offset(text, range.end, encoding).max(start);
    [&text[..start], &change.text, &text[end..]].concat()
}

impl Documents {
    pub fn open(&mut self, path: PathBuf, item: lsp::TextDocumentItem) {
        let source = Arc::new(Source::new(path.clone(), item.text));
        let is_workflow = item.language_id == "fuseline" || source.is_workflow();
        let (uri, version) = (item.uri, item.version);
        self.open.insert(path, Document { uri, version, source, is_workflow });
    }

    /// Applies changes, in order.
    pub fn change(
        &mut self,
        path: &Path,
        version: i32,
        changes: Vec<lsp::TextDocumentContentChangeEvent>,
        encoding: Encoding,
    ) {
        let Some(document) = self.open.get_mut(path) else { return };
        let mut text = document.source.text.to_string();
        for one in changes {
            text = change(&text, one, encoding);
        }
        document.version = version;
        document.source = Arc::new(Source::new(path.to_owned(), text));
        document.is_workflow |= document.source.is_workflow();
    }

    pub fn close(&mut self, path: &Path) -> Option<Document> {
        self.open.remove(path)
    }

    pub fn get(&self, path: &Path) -> Option<&Document> {
        self.open.get(path)
    }

    /// The open files.
    pub fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Document)> {
        self.open.iter()
    }

    /// The texts of open files.
    pub fn texts(&self) -> impl Iterator<Item = (PathBuf, Arc<str>)> {
        self.open.iter().map(|(path, document)| (path.clone(), Arc::clone(&document.source.text)))
    }

    /// A file: as it is open, or else as it is on disk.
    pub fn source(&mut self, path: &Path) -> Option<Arc<Source>> {
        if let Some(document) = self.open.get(path) {
            return Some(Arc::clone(&document.source));
        }
        let metadata = std::fs::metadata(path).ok()?;
        let modified = metadata.modified().ok();
        if let Some(known) = self.disk.get(path).filter(|known| known.modified == modified) {
            return Some(Arc::clone(&known.source));
        }
        if !metadata.is_file() || metadata.len() > MAX_SEARCHED_BYTES {
            return None;
        }
        let source = Arc::new(Source::new(path.to_owned(), std::fs::read_to_string(path).ok()?));
        self.disk.insert(path.to_owned(), OnDisk { modified, source: Arc::clone(&source) });
        Some(source)
    }

    /// The files that a file includes.
    fn included(source: &Source) -> Vec<PathBuf> {
        let folder = source.path.parent().unwrap_or(Path::new(""));
        source.includes().map(|file| absolute(folder, Path::new(&file.text))).collect()
    }

    /// A file and all that it includes, itself first.
    pub fn with_included(&mut self, root: &Path) -> Vec<Arc<Source>> {
        let mut files: Vec<Arc<Source>> = Vec::new();
        let mut next = vec![root.to_owned()];
        while let Some(path) = next.pop() {
            if files.iter().any(|known| known.path == path) {
                continue;
            }
            if let Some(source) = self.source(&path) {
                next.extend(Self::included(&source).into_iter().rev());
                files.push(source);
            }
        }
        files
    }

    /// The workflows that include a file, directly or by way of others; the file itself when none
    /// does.
    pub fn roots_of(&mut self, path: &Path) -> Vec<PathBuf> {
        let known: BTreeSet<PathBuf> =
            self.including.iter().chain(self.open.keys()).cloned().collect();
        let includes: Vec<(PathBuf, Vec<PathBuf>)> = known
            .into_iter()
            .filter_map(|path| {
                let source = self.source(&path)?;
                Some((path, Self::included(&source)))
            })
            .collect();
        let mut roots = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut next = vec![path.to_owned()];
        while let Some(path) = next.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let parents = includes.iter().filter(|(_, files)| files.contains(&path));
            let parents: Vec<_> = parents.map(|(parent, _)| parent.clone()).collect();
            match parents.is_empty() {
                true => _ = roots.insert(path),
                false => next.extend(parents),
            }
        }
        // Files that include each other have none above them.
        if roots.is_empty() {
            roots.insert(path.to_owned());
        }
        roots.into_iter().collect()
    }

    /// Searches folders for workflows that include other files.
    pub fn search(&mut self, folders: &[PathBuf]) {
        self.including.clear();
        let mut left = MAX_ENTRIES;
        let mut next: Vec<(PathBuf, usize)> =
            folders.iter().map(|folder| (folder.clone(), 0)).collect();
        while let Some((folder, depth)) = next.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                left = left.saturating_sub(1);
                if left == 0 {
                    return;
                }
                let (path, name) = (entry.path(), entry.file_name());
                let name = name.to_string_lossy();
                let Ok(kind) = entry.file_type() else { continue };
                let is_passed = name.starts_with('.')
                    || ["target", "node_modules", "cache", "results"].contains(&name.as_ref());
                if kind.is_dir() && !is_passed && depth < MAX_FOLDERS_DEEP {
                    next.push((path, depth + 1));
                } else if kind.is_file() && (name.ends_with(".yaml") || name.ends_with(".yml")) {
                    self.note(&path);
                }
            }
        }
    }

    /// Looks whether a file on disk includes others.
    pub fn note(&mut self, path: &Path) {
        let includes = self.source(path).is_some_and(|source| source.includes().next().is_some());
        match includes {
            true => _ = self.including.insert(path.to_owned()),
            false => _ = self.including.remove(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_applied_one_after_the_other_in_code_units() {
        let edit = |line, from, to, text: &str| lsp::TextDocumentContentChangeEvent {
            range: Some(lsp::Range::new(
                lsp::Position::new(line, from),
                lsp::Position::new(line, to),
            )),
            range_length: None,
            text: text.to_owned(),
        };
        let path = Path::new("/w.yaml");
        let mut documents = Documents::default();
        documents.open(
            path.to_owned(),
            lsp::TextDocumentItem {
                uri: crate::uri::from_path(path).expect("an address"),
                language_id: "yaml".to_owned(),
                version: 1,
                text: "a: 𝔘b\nc: d\n".to_owned(),
            },
        );
        let changes = vec![edit(0, 5, 6, "xy"), edit(1, 3, 4, ""), edit(1, 3, 99, "z\n")];
        documents.change(path, 2, changes, Encoding::Utf16);
        let document = documents.get(path).expect("it is open");
        assert_eq!((&*document.source.text, document.version), ("a: 𝔘xy\nc: z\n\n", 2));
    }
}
