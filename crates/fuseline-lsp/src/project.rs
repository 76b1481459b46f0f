//! The files of one workflow together: what is defined in them, and where it is named.

use std::ops::Range;
use std::sync::Arc;

use fuseline_workflow::{Catalogue, KindSpec, Workflow};

use crate::schema_walk;
use crate::source::{Reference, Source, Word, expression_names, expressions};
use crate::syntax::{Data, Entry, Node, Scalar};

/// A workflow and the files that it includes, directly and by way of others.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The workflow first.
    pub files: Vec<Arc<Source>>,
    /// Checked workflow, from the last time that it had no error.
    pub checked: Option<Arc<Workflow>>,
    /// The fusion rules on its plugin path.
    pub rules: Arc<[RuleName]>,
}

/// A fusion rule, as a workflow may name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleName {
    pub name: String,
    pub id: String,
    pub file: String,
}

/// Something that has a name in a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Symbol {
    Param(String),
    Axis(String),
    Stage(String),
    /// A field of the points of an axis.
    Field(String, String),
    /// A point of an axis.
    Point(String, String),
}

/// A place where something is named.
#[derive(Debug, Clone)]
pub(crate) struct Occurrence {
    /// The file, as an index into the project's.
    pub file: usize,
    pub symbol: Symbol,
    pub span: Range<usize>,
    pub is_definition: bool,
}

/// Keys of an axis whose points are within those of another, or take one element of several lists.
pub(crate) const WITHIN: &str = "within";
pub(crate) const ZIP: &str = "zip";

/// The axis that an axis is within, as written.
pub(crate) fn outer_axis(axis: &Entry) -> Option<&Scalar> {
    axis.value.get(WITHIN)?.scalar()
}

/// The entries of an axis that are points with fields, those within other points included.
fn point_entries(axis: &Entry) -> Vec<&Entry> {
    let entries = axis.value.entries().iter();
    match outer_axis(axis) {
        Some(_) => entries
            .filter(|entry| entry.key != WITHIN)
            .flat_map(|entry| entry.value.entries())
            .collect(),
        None => entries.collect(),
    }
}

/// The lists of a zipped axis, each the values of a field.
fn zipped(axis: &Entry) -> Option<&[Entry]> {
    match axis.value.entries() {
        [only] if only.key == ZIP => Some(only.value.entries()),
        _ => None,
    }
}

/// The labels of points without fields, if all of them are written.
fn written_labels(node: &Node) -> Option<Vec<String>> {
    let has_expression = |scalar: &Scalar| scalar.text.contains("${{");
    match &node.data {
        Data::Mapping(mapping) => {
            Some(mapping.entries.iter().map(|point| point.key.clone()).collect())
        }
        Data::Sequence(items) => items
            .iter()
            .map(|item| item.scalar().filter(|scalar| !has_expression(scalar)))
            .map(|scalar| scalar.map(|scalar| scalar.text.clone()))
            .collect(),
        _ => None,
    }
}

/// A stage as far as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StageView<'p> {
    pub entry: &'p Entry,
}

impl<'p> StageView<'p> {
    pub fn name(&self) -> &'p str {
        &self.entry.key
    }

    pub fn uses(&self) -> Option<&'p Scalar> {
        self.entry.value.get("uses")?.scalar()
    }

    /// The axes as written.
    pub fn over(&self) -> Vec<Word<'p>> {
        let items = self.entry.value.get("over").map(Node::items).unwrap_or_default();
        items.iter().filter_map(Node::scalar).map(Word::whole).collect()
    }

    pub fn inputs(&self) -> &'p [Entry] {
        self.entry.value.get("inputs").map(Node::entries).unwrap_or_default()
    }

    pub fn with(&self) -> Option<&'p Node> {
        self.entry.value.get("with")
    }
}

/// The references of one input.
pub(crate) fn references(value: &Node) -> Vec<&Scalar> {
    match &value.data {
        Data::Scalar(scalar) => vec![scalar],
        Data::Sequence(items) => items.iter().filter_map(Node::scalar).collect(),
        _ => Vec::new(),
    }
}

impl Project {
    fn section<'p>(&'p self, name: &'p str) -> impl Iterator<Item = (usize, &'p Entry)> {
        let files = self.files.iter().enumerate();
        files.flat_map(move |(at, file)| file.section(name).iter().map(move |entry| (at, entry)))
    }

    pub fn params(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.section("params")
    }

    pub fn axes(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.section("axes")
    }

    /// The stages, however much of them is written.
    pub fn stages(&self) -> impl Iterator<Item = StageView<'_>> {
        self.section("stages").map(|(_, entry)| StageView { entry })
    }

    pub fn stage(&self, name: &str) -> Option<StageView<'_>> {
        self.stages().find(|stage| stage.name() == name)
    }

    pub fn axis(&self, name: &str) -> Option<&Entry> {
        self.axes().map(|(_, entry)| entry).find(|entry| entry.key == name)
    }

    pub fn param(&self, name: &str) -> Option<&Entry> {
        self.params().map(|(_, entry)| entry).find(|entry| entry.key == name)
    }

    /// The labels of an axis: as written, or as the checker last knew them.
    pub fn labels(&self, axis: &str) -> Vec<String> {
        if let Some(entry) = self.axis(axis) {
            let written = match (zipped(entry), outer_axis(entry)) {
                (Some(_), _) => None,
                (None, Some(_)) => {
                    let entries = entry.value.entries().iter();
                    let lists = entries.filter(|entry| entry.key != WITHIN);
                    let lists: Option<Vec<_>> =
                        lists.map(|entry| written_labels(&entry.value)).collect();
                    lists.map(|lists| distinct(lists.concat()))
                }
                (None, None) => written_labels(&entry.value),
            };
            if let Some(labels) = written {
                return labels;
            }
        }
        let axes = self.checked.iter().flat_map(|workflow| &workflow.axes);
        let points = axes.filter(|known| known.name == axis).flat_map(|axis| &axis.points);
        points.map(|point| point.label.clone()).collect()
    }

    /// The fields of the points of an axis, in the order of the first point that has them.
    pub fn fields(&self, axis: &str) -> Vec<String> {
        let Some(entry) = self.axis(axis) else { return Vec::new() };
        if let Some(lists) = zipped(entry) {
            return lists.iter().map(|list| list.key.clone()).collect();
        }
        let points = point_entries(entry).into_iter();
        distinct(points.flat_map(|point| point.value.entries()).map(|field| field.key.clone()))
    }

    /// The values of a field of an axis's points as they are written, each with its point.
    pub fn field_values(&self, axis: &str, field: &str) -> Vec<(String, &Scalar)> {
        let Some(entry) = self.axis(axis) else { return Vec::new() };
        if let Some(lists) = zipped(entry) {
            let list = lists.iter().find(|list| list.key == field);
            let items = list.map(|list| list.value.items()).unwrap_or_default();
            let items = items.iter().filter_map(Node::scalar).enumerate();
            return items.map(|(place, value)| (format!("point {}", place + 1), value)).collect();
        }
        let points = point_entries(entry).into_iter();
        points
            .filter_map(|point| Some((point.key.clone(), point.value.get(field)?.scalar()?)))
            .collect()
    }

    /// The kinds that a stage uses: one, or those that an expression in `uses` may give.
    pub fn kinds<'c>(&self, stage: StageView<'_>, catalogue: &'c Catalogue) -> Vec<&'c KindSpec> {
        stage.uses().map(|uses| self.kinds_of(&uses.text, catalogue)).unwrap_or_default()
    }

    /// The kinds that a text behind `uses` names.
    pub fn kinds_of<'c>(&self, uses: &str, catalogue: &'c Catalogue) -> Vec<&'c KindSpec> {
        let parts = expressions(uses);
        let Some(first) = parts.first() else { return catalogue.get(uses).into_iter().collect() };
        if let [only] = parts.as_slice() {
            let (before, behind) =
                (&uses[..only.start - 3], &uses[(only.end + 2).min(uses.len())..]);
            let values = self.values_of(uses[only.clone()].trim());
            let names = values.iter().map(|value| format!("{before}{value}{behind}"));
            let found: Vec<_> = names.filter_map(|name| catalogue.get(&name)).collect();
            if !found.is_empty() {
                return found;
            }
        }
        // The axis gives a value that is not known: every member of the family may be meant.
        let prefix = &uses[..first.start - 3];
        let kinds = catalogue.names().filter(|name| !prefix.is_empty() && name.starts_with(prefix));
        kinds.filter_map(|name| catalogue.get(name)).collect()
    }

    /// The values that a name in an expression takes over the points of its axis, each once.
    fn values_of(&self, expression: &str) -> Vec<String> {
        let values = match expression.split_once('.') {
            Some(("params", param)) => {
                let value = self.param(param).map(|entry| &entry.value);
                let value = value.map(|value| value.get("default").unwrap_or(value));
                value.and_then(Node::scalar).map(|scalar| scalar.text.clone()).into_iter().collect()
            }
            Some((axis, field)) => {
                let values = self.field_values(axis, field).into_iter();
                values.map(|(_, value)| value.text.clone()).collect()
            }
            None => self.labels(expression),
        };
        distinct(values)
    }

    /// Every place where something is named, file by file.
    pub fn occurrences(&self, catalogue: &Catalogue) -> Vec<Occurrence> {
        let mut found = Occurrences { project: self, catalogue, file: 0, found: Vec::new() };
        for file in 0..self.files.len() {
            found.file = file;
            found.read(&self.files[file]);
        }
        found.found
    }

    /// Symbol at a byte of a file.
    pub fn symbol_at(
        &self,
        catalogue: &Catalogue,
        file: usize,
        offset: usize,
    ) -> Option<Occurrence> {
        let all = self.occurrences(catalogue);
        let mut here = all.into_iter().filter(|found| {
            found.file == file && found.span.start <= offset && offset <= found.span.end
        });
        // Of two that touch, the one that begins here is meant.
        let first = here.next()?;
        Some(here.next_back().unwrap_or(first))
    }
}

/// Each of some texts once, in the order in which they come.
fn distinct(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

struct Occurrences<'p> {
    project: &'p Project,
    catalogue: &'p Catalogue,
    file: usize,
    found: Vec<Occurrence>,
}

impl Occurrences<'_> {
    fn add(&mut self, symbol: Symbol, span: Range<usize>, is_definition: bool) {
        if !span.is_empty() {
            self.found.push(Occurrence { file: self.file, symbol, span, is_definition });
        }
    }

    fn name(&mut self, symbol: fn(String) -> Symbol, word: &Word<'_>, is_definition: bool) {
        self.add(symbol(word.text.to_owned()), word.span.clone(), is_definition);
    }

    fn read(&mut self, source: &Source) {
        for entry in source.section("params") {
            self.name(Symbol::Param, &Word::key(entry), true);
        }
        for entry in source.section("axes") {
            self.name(Symbol::Axis, &Word::key(entry), true);
            self.points(entry);
        }
        for entry in source.section("stages") {
            self.name(Symbol::Stage, &Word::key(entry), true);
            self.stage(StageView { entry });
        }
        for output in source.section("outputs") {
            references(&output.value).into_iter().for_each(|scalar| self.reference(scalar));
        }
        source.root.for_each_scalar(&mut |scalar| self.expressions(scalar));
    }

    fn points(&mut self, axis: &Entry) {
        if let Some(lists) = zipped(axis) {
            for list in lists {
                let word = Word::key(list);
                let symbol = Symbol::Field(axis.key.clone(), word.text.to_owned());
                self.add(symbol, word.span, true);
            }
            return;
        }
        let Some(outer) = outer_axis(axis) else {
            self.points_of(&axis.key, &axis.value);
            return;
        };
        self.name(Symbol::Axis, &Word::whole(outer), false);
        for entry in axis.value.entries().iter().filter(|entry| entry.key != WITHIN) {
            let word = Word::key(entry);
            self.add(Symbol::Point(outer.text.clone(), word.text.to_owned()), word.span, false);
            self.points_of(&axis.key, &entry.value);
        }
    }

    /// The points that are written in one place.
    fn points_of(&mut self, name: &str, points: &Node) {
        let point = |label: &str| Symbol::Point(name.to_owned(), label.to_owned());
        match &points.data {
            Data::Mapping(mapping) => {
                for entry in &mapping.entries {
                    let word = Word::key(entry);
                    self.add(point(word.text), word.span, true);
                    for field in entry.value.entries() {
                        let word = Word::key(field);
                        let symbol = Symbol::Field(name.to_owned(), word.text.to_owned());
                        self.add(symbol, word.span, true);
                    }
                }
            }
            Data::Sequence(items) => {
                for scalar in items.iter().filter_map(Node::scalar) {
                    if !scalar.text.contains("${{") {
                        let word = Word::whole(scalar);
                        self.add(point(word.text), word.span, true);
                    }
                }
            }
            _ => {}
        }
    }

    fn stage(&mut self, stage: StageView<'_>) {
        for axis in stage.over() {
            self.name(Symbol::Axis, &axis, false);
        }
        for input in stage.inputs() {
            references(&input.value).into_iter().for_each(|scalar| self.reference(scalar));
        }
        let options = stage.with().map(Node::entries).unwrap_or_default();
        let kinds = self.project.kinds(stage, self.catalogue);
        let names_axes = |option: &&Entry| {
            kinds.iter().any(|kind| {
                let schemas = schema_walk::at(&kind.options, &[&option.key]);
                schemas.iter().any(|schema| schema_walk::names_axes(&kind.options, schema))
            })
        };
        for option in options.iter().filter(names_axes) {
            for scalar in references(&option.value) {
                if self.project.axis(&scalar.text).is_some() {
                    self.name(Symbol::Axis, &Word::whole(scalar), false);
                }
            }
            for entry in option.value.entries() {
                self.name(Symbol::Axis, &Word::key(entry), false);
                if let Some(label) = entry.value.scalar() {
                    let symbol = Symbol::Point(entry.key.clone(), label.text.clone());
                    self.add(symbol, Word::whole(label).span, false);
                }
            }
        }
    }

    fn reference(&mut self, scalar: &Scalar) {
        let reference = Reference::read(scalar);
        self.name(Symbol::Stage, &reference.stage, false);
        for (axis, labels) in &reference.selections {
            self.name(Symbol::Axis, axis, false);
            for label in labels {
                let symbol = Symbol::Point(axis.text.to_owned(), label.text.to_owned());
                self.add(symbol, label.span.clone(), false);
            }
        }
    }

    fn expressions(&mut self, scalar: &Scalar) {
        for found in expression_names(scalar).into_iter().filter(|found| !found.is_call) {
            match &found.field {
                Some(field) if found.name.text == "params" => {
                    self.name(Symbol::Param, field, false);
                }
                field if self.project.axis(found.name.text).is_some() => {
                    self.name(Symbol::Axis, &found.name, false);
                    if let Some(field) = field {
                        let axis = found.name.text.to_owned();
                        let symbol = Symbol::Field(axis, field.text.to_owned());
                        self.add(symbol, field.span.clone(), false);
                    }
                }
                _ => {}
            }
        }
    }
}
