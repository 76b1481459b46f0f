//! The description of stage kinds that the language works from.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use crate::index::{IndexVec, KindIndex, OutputIndex};
use crate::{names, options};

/// Number of artifacts that an input port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// Exactly one.
    One,
    /// One or more; an axis that only the producer has is gathered.
    Many,
}

/// Use that a stage kind makes of the rows of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It learns from them.
    Fit,
    /// It applies something learnt to them.
    Apply,
    /// Neither.
    Neutral,
}

/// A typed input of a stage kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPort {
    /// The key under `inputs:`.
    pub name: String,
    /// The artifact kind that it takes.
    pub artifact: String,
    /// One artifact, or many.
    pub arity: Arity,
    /// True if a stage must give it.
    pub required: bool,
    /// True if this kind reads it; a port of its family that it does not read makes no edge.
    pub read: bool,
    /// Use that the kind makes of its rows.
    pub role: Role,
    /// A sentence for the reference.
    pub doc: String,
}

/// A typed output of a stage kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPort {
    /// The name in `stage.name`; a bare stage name means `main`.
    pub name: String,
    /// The artifact kind that it gives.
    pub artifact: String,
    /// A sentence for the reference.
    pub doc: String,
}

/// The JSON Schema (draft 2020-12) of a kind's options. It is made on first use: a
/// workflow has few of the kinds, and their schemas took as long as all else that a small run does
/// before it plans.
#[derive(Clone)]
pub struct OptionsSchema(Arc<LazyLock<Made, Make>>);

type Make = Box<dyn FnOnce() -> Made + Send>;

/// A schema, with cached answers to frequent queries about all of it.
struct Made {
    schema: Value,
    has_paths: bool,
}

impl OptionsSchema {
    /// The schema that a function gives when it is called.
    pub fn from_fn(make: impl FnOnce() -> Value + Send + 'static) -> Self {
        let make = || {
            let schema = make();
            Made { has_paths: options::has_paths(&schema), schema }
        };
        Self(Arc::new(LazyLock::new(Box::new(make))))
    }

    /// True if any option is a path.
    pub(crate) fn has_paths(&self) -> bool {
        self.0.has_paths
    }
}

impl Deref for OptionsSchema {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0.schema
    }
}

impl fmt::Debug for OptionsSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for OptionsSchema {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// A stage kind, as far as the language is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct KindSpec {
    /// The name that `uses:` gives, `family.member`.
    pub name: String,
    /// Raised when equal inputs may give different bytes than before.
    pub revision: u32,
    /// One sentence for the reference.
    pub summary: String,
    /// The inputs, in order.
    pub inputs: Vec<InputPort>,
    /// The outputs, in order.
    pub outputs: IndexVec<OutputIndex, OutputPort>,
    /// The options allowed under `with:`.
    pub options: OptionsSchema,
    /// True if a stage declares its own ports, under `inputs` and `outputs` of its `with:`.
    pub declared_ports: bool,
}

impl KindSpec {
    /// True if there is an option of this name.
    pub(crate) fn has_option(&self, name: &str) -> bool {
        self.options.get("properties").is_some_and(|options| options.get(name).is_some())
    }

    /// The names of the options.
    pub(crate) fn option_names(&self) -> impl Iterator<Item = &str> {
        let options = self.options.get("properties").and_then(Value::as_object);
        options.into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// The part of the name before the first dot.
    pub fn family(&self) -> &str {
        self.name.split_once('.').map_or(self.name.as_str(), |(family, _)| family)
    }
}

/// The stage kinds of one program. Their order is kept: a kind's index identifies it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalogue {
    kinds: IndexVec<KindIndex, KindSpec>,
    by_name: BTreeMap<String, KindIndex>,
}

impl Catalogue {
    /// Collects stage kinds; of two with one name, the later is found by name.
    pub fn new(kinds: Vec<KindSpec>) -> Self {
        let kinds = IndexVec::from(kinds);
        let by_name = kinds.iter_enumerated().map(|(index, kind)| (kind.name.clone(), index));
        Self { by_name: by_name.collect(), kinds }
    }

    /// All kinds, in order.
    pub fn kinds(&self) -> &IndexVec<KindIndex, KindSpec> {
        &self.kinds
    }

    /// A kind by name.
    pub fn get(&self, name: &str) -> Option<&KindSpec> {
        self.index(name).map(|index| &self.kinds[index])
    }

    /// The index of a kind.
    pub fn index(&self, name: &str) -> Option<KindIndex> {
        self.by_name.get(name).copied()
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The name that was likely meant.
    pub fn suggest(&self, name: &str) -> Option<&str> {
        let (family, written) = name.split_once('.').unwrap_or(("", name));
        // The letters of a family that is right are no likeness.
        let members = || {
            self.names()
                .filter_map(|kind| Some((kind, kind.strip_prefix(family)?.strip_prefix('.')?)))
        };
        if members().next().is_none() {
            return names::suggest(name, self.names());
        }
        let near = names::suggest(written, members().map(|(_, member)| member))?;
        members().find(|(_, member)| *member == near).map(|(kind, _)| kind)
    }

    /// The kinds of one family, sorted by name.
    pub fn family<'a>(&'a self, family: &'a str) -> impl Iterator<Item = &'a KindSpec> {
        self.by_name.values().map(|index| &self.kinds[*index]).filter(move |k| k.family() == family)
    }

    /// The artifact kinds that any port speaks of, sorted.
    pub(crate) fn artifacts(&self) -> Vec<&str> {
        let inputs = self.kinds.iter().flat_map(|kind| &kind.inputs).map(|port| &port.artifact);
        let outputs = self.kinds.iter().flat_map(|kind| &kind.outputs).map(|port| &port.artifact);
        let mut artifacts: Vec<_> = inputs.chain(outputs).map(String::as_str).collect();
        artifacts.sort_unstable();
        artifacts.dedup();
        artifacts
    }
}
