//! A digest of the content of a workflow, independent of its layout.

use serde_json::Value;

use crate::document::Document;
use crate::yaml::{Data, Node, plain_value};

/// Raised when the canonical form changes.
const FORM: &[u8] = b"fuseline workflow 1\n";

/// blake3 of the canonical form of all sections, included ones as if they were written in place.
///
/// The order of axes and their points matters, and so does the order within an option, because both
/// reach results. The order of params, stages, ports, outputs and of the keys of a stage or an
/// option list does not.
pub(crate) fn digest(document: &Document) -> [u8; 32] {
    let mut form = Form::default();
    form.bytes(FORM);
    let single = [
        ("name", &document.name),
        ("description", &document.description),
        ("seed", &document.seed),
        ("isolation", &document.isolation),
    ];
    for (name, node) in single {
        form.text(name);
        match node {
            Some(node) => form.node(node, 0),
            None => form.mark(b'-'),
        }
    }
    for (name, section, sorted_levels) in [
        ("params", &document.params, 1),
        ("axes", &document.axes.raw, 0),
        ("stages", &document.stages, 2),
    ] {
        let mut items: Vec<_> = section.iter().collect();
        if name != "axes" {
            items.sort_by(|a, b| a.name.cmp(&b.name));
        }
        form.text(name);
        form.count(b'm', items.len());
        for item in items {
            form.text(&item.name);
            form.node(&item.value, sorted_levels);
        }
    }
    form.text("outputs");
    let mut outputs: Vec<_> = document.outputs.iter().flatten().collect();
    outputs.sort_by(|a, b| a.key.cmp(&b.key));
    form.count(if document.outputs.is_some() { b'm' } else { b'-' }, outputs.len());
    for output in outputs {
        form.text(&output.key);
        form.node(&output.value, 0);
    }
    form.text("plugins");
    form.count(b'l', document.plugins.len());
    for (plugin, _) in &document.plugins {
        form.node(plugin, 0);
    }
    // Keys that an earlier version did not have are no part of the form where they are left out.
    let later = [
        ("sandbox", document.sandbox.as_ref()),
        ("limits", document.limits.as_ref()),
        ("python", document.python.as_ref().map(|(node, _)| node)),
        ("env", document.env.as_ref()),
    ];
    for (name, node) in later.into_iter().filter_map(|(name, node)| Some((name, node?))) {
        form.text(name);
        form.node(node, 1);
    }
    for (entry, _) in &document.rule_files {
        form.text(&entry.key);
        form.node(&entry.value, 0);
    }
    form.finish()
}

/// Bytes that are hashed at once.
const PART: usize = 1 << 14;

#[derive(Default)]
struct Form {
    hasher: blake3::Hasher,
    /// Bytes that are not hashed yet: values are short, and hashing each would take longer than to
    /// read it.
    part: Vec<u8>,
    /// Buffer for values in JSON.
    json: Vec<u8>,
}

impl Form {
    fn bytes(&mut self, bytes: &[u8]) {
        if self.part.len() + bytes.len() > PART {
            self.hasher.update(&self.part);
            self.part.clear();
        }
        self.part.extend_from_slice(bytes);
    }

    fn finish(mut self) -> [u8; 32] {
        *self.hasher.update(&self.part).finalize().as_bytes()
    }

    fn mark(&mut self, mark: u8) {
        self.bytes(&[mark]);
    }

    fn count(&mut self, mark: u8, count: usize) {
        self.mark(mark);
        self.bytes(&(count as u64).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(b't', text.len());
        self.bytes(text.as_bytes());
    }

    /// A value as its text in JSON.
    fn value(&mut self, value: &Value) {
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        // Nothing of a value fails to be written to memory.
        let _ = serde_json::to_writer(&mut json, value);
        self.mark(b'v');
        self.count(b't', json.len());
        self.bytes(&json);
        self.json = json;
    }

    /// A value; the keys of this number of outer levels of mappings are sorted.
    fn node(&mut self, node: &Node, sorted_levels: usize) {
        match &node.data {
            Data::Scalar(scalar) => match plain_value(scalar) {
                Ok(value) => self.value(&value),
                Err(_) => self.text(&scalar.text),
            },
            Data::Sequence(items) => {
                self.count(b'l', items.len());
                for item in items {
                    self.node(item, 0);
                }
            }
            Data::Mapping(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                if sorted_levels > 0 {
                    entries.sort_by(|a, b| a.key.cmp(&b.key));
                }
                self.count(b'm', entries.len());
                for entry in entries {
                    self.text(&entry.key);
                    self.node(&entry.value, sorted_levels.saturating_sub(1));
                }
            }
        }
    }
}
