//! Completions at the cursor.

use std::ops::Range;
use std::sync::Arc;

use fuseline_workflow::{Arity, Catalogue, InputPort, KindSpec, OutputPort, functions};
use lsp_types as lsp;
use serde_json::Value;

use crate::cursor::{Cursor, MARK, Target};
use crate::hover;
use crate::project::{Project, StageView, WITHIN, ZIP, outer_axis};
use crate::schema_walk as schema;
use crate::server::View;
use crate::syntax::{Entry, Node};

/// All completions at a byte of the view's file.
pub(crate) fn complete(view: &View<'_>, offset: usize, snippets: bool) -> Vec<lsp::CompletionItem> {
    let source = view.source();
    let Some(cursor) = Cursor::at(source.path.clone(), &source.text, offset) else {
        return Vec::new();
    };
    // The project as if the mark stood in its text: stages that are half written are there, too.
    let mut project = view.project.clone();
    let marked = crate::source::Source::new(source.path.clone(), &*cursor.source.text);
    project.files[view.file] = Arc::new(marked);
    let mut completer = Completer {
        view,
        project: &project,
        catalogue: view.kinds.catalogue(),
        cursor: &cursor,
        snippets,
        items: Vec::new(),
    };
    completer.complete();
    completer.items
}

/// Sort order of an item: required, fitting, possible, the rest.
#[derive(Debug, Clone, Copy)]
enum Rank {
    Needed,
    Fits,
    Possible,
    Rare,
}

struct Completer<'a> {
    view: &'a View<'a>,
    project: &'a Project,
    catalogue: &'a Catalogue,
    cursor: &'a Cursor,
    snippets: bool,
    items: Vec<lsp::CompletionItem>,
}

/// Completion offer, before it has a range.
struct Offer<'o> {
    label: &'o str,
    /// Inserted text; the label when left out.
    text: Option<String>,
    kind: lsp::CompletionItemKind,
    detail: Option<String>,
    doc: Option<String>,
    rank: Rank,
}

impl<'o> Offer<'o> {
    fn new(label: &'o str, kind: lsp::CompletionItemKind) -> Self {
        Self { label, text: None, kind, detail: None, doc: None, rank: Rank::Possible }
    }

    fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    fn doc(mut self, doc: impl Into<Option<String>>) -> Self {
        self.doc = doc.into();
        self
    }

    fn rank(mut self, rank: Rank) -> Self {
        self.rank = rank;
        self
    }
}

impl<'a> Completer<'a> {
    /// Offers something in the place of a range of bytes.
    fn offer_at(&mut self, range: Range<usize>, offer: Offer<'_>) {
        // What is being written is no name.
        if offer.label.contains(MARK) {
            return;
        }
        let text = offer.text.unwrap_or_else(|| offer.label.to_owned());
        let range = self.view.range(&range);
        let number = self.items.len();
        let is_snippet = self.snippets && text.contains("$0");
        let text = if is_snippet { text } else { text.replace("$0", "") };
        self.items.push(lsp::CompletionItem {
            label: offer.label.to_owned(),
            kind: Some(offer.kind),
            detail: offer.detail,
            documentation: offer.doc.map(|value| {
                lsp::Documentation::MarkupContent(lsp::MarkupContent {
                    kind: lsp::MarkupKind::Markdown,
                    value,
                })
            }),
            sort_text: Some(format!("{}{number:05}", offer.rank as u8)),
            filter_text: Some(offer.label.to_owned()),
            insert_text_format: Some(match is_snippet {
                true => lsp::InsertTextFormat::SNIPPET,
                false => lsp::InsertTextFormat::PLAIN_TEXT,
            }),
            text_edit: Some(lsp::CompletionTextEdit::Edit(lsp::TextEdit::new(range, text))),
            ..lsp::CompletionItem::default()
        });
    }

    /// Offers something in the place of the word at the cursor.
    fn offer(&mut self, offer: Offer<'_>) {
        self.offer_at(self.cursor.word.clone(), offer);
    }

    fn complete(&mut self) {
        let path: Vec<&str> = self.cursor.path.iter().map(String::as_str).collect();
        match &self.cursor.target {
            Target::Expression { before } => self.expression(&path, before),
            Target::Key { others, has_colon } => self.keys(&path, others, *has_colon),
            Target::Value { own_line: true, items: None, .. } if self.takes_keys(&path) => {
                self.keys(&path, &[], false);
            }
            Target::Value { items, quoted, .. } => {
                self.values(&path, items.as_deref(), *quoted);
            }
        }
    }

    /// True if the value at a path is a mapping.
    fn takes_keys(&self, path: &[&str]) -> bool {
        match path {
            [] | ["stages" | "params" | "axes" | "outputs"] | ["stages" | "axes", _] => true,
            ["stages", _, "inputs" | "with" | "resources"] => true,
            ["stages", stage, "with", "inputs"] if self.declares_ports(stage) => true,
            ["stages", stage, "with", inner @ ..] => {
                let schemas = self.option_schemas(stage, inner);
                schemas.iter().any(|(root, schema)| !schema::keys(root, &[*schema]).is_empty())
            }
            ["axes", _, _] | ["params", _] => true,
            _ => false,
        }
    }

    fn stage(&self, name: &str) -> Option<StageView<'a>> {
        self.project.stage(name)
    }

    fn kinds(&self, stage: &str) -> Vec<&'a KindSpec> {
        self.stage(stage).map(|stage| self.project.kinds(stage, self.catalogue)).unwrap_or_default()
    }

    /// True if the stage says itself which inputs it has.
    fn declares_ports(&self, stage: &str) -> bool {
        self.kinds(stage).iter().any(|kind| kind.declared_ports)
    }

    /// The inputs that a stage declares among its options.
    fn declared_inputs(&self, stage: &str) -> Vec<Entry> {
        let with = self.stage(stage).filter(|_| self.declares_ports(stage));
        let inputs = with.and_then(|stage| stage.with()?.get("inputs"));
        inputs.map(|inputs| inputs.entries().to_vec()).unwrap_or_default()
    }

    // Keys.

    fn keys(&mut self, path: &[&str], others: &[String], has_colon: bool) {
        let is_free = |name: &str| !others.iter().any(|other| other == name);
        match path {
            ["stages", stage, "inputs"] => self.ports(stage, others, has_colon),
            ["stages", stage, "with", inner @ ..] => {
                self.option_keys(stage, inner, others, has_colon);
            }
            ["axes", axis] => self.axis_keys(axis, others, has_colon),
            ["axes", _, ZIP] => {}
            ["axes", axis, point] | ["axes", axis, _, point] => {
                let fields = self.project.fields(axis);
                for field in fields.iter().filter(|field| is_free(field)) {
                    let mut values = self.project.field_values(axis, field).into_iter();
                    let example = values.find(|(other, _)| other != point);
                    let detail = example.map(|(_, value)| format!("such as {}", value.text));
                    let offer = Offer::new(field, lsp::CompletionItemKind::FIELD)
                        .text(self.key_text(field, "", has_colon))
                        .detail(detail.unwrap_or_default())
                        .rank(Rank::Needed);
                    self.offer(offer);
                }
            }
            ["outputs"] => {
                for (file, kind) in [("report.html", "report"), ("findings.parquet", "findings")] {
                    if is_free(file) {
                        let text = self.key_text(file, "", has_colon);
                        let offer = Offer::new(file, lsp::CompletionItemKind::FILE)
                            .text(text)
                            .detail(format!("a file, from an output of kind {kind}"));
                        self.offer(offer);
                    }
                }
            }
            // Names of one's own.
            ["stages" | "params" | "axes"] => {}
            path => {
                let root = self.view.schema;
                let schemas = self.workflow_schemas(path);
                let keys = schema::keys(root, &schemas);
                for key in keys.iter().filter(|key| is_free(key.name)) {
                    let rank = if key.required { Rank::Needed } else { Rank::Possible };
                    let text = self.key_text(key.name, self.value_start(path, key.name), has_colon);
                    let doc = schema::description(root, key.schema).map(str::to_owned);
                    let offer = Offer::new(key.name, lsp::CompletionItemKind::PROPERTY)
                        .text(text)
                        .doc(doc)
                        .rank(rank);
                    self.offer(offer);
                }
            }
        }
    }

    /// Start of most values of a key of the language.
    fn value_start(&self, path: &[&str], key: &str) -> &'static str {
        match (path, key) {
            ([], "fuseline") => "1",
            (["stages", _], "over") => "[$0]",
            (["stages", _], "inputs" | "with") => "{ $0 }",
            (["stages", _], "where") => "${{ $0 }}",
            _ => "",
        }
    }

    /// A key with its colon, unless there is one already.
    fn key_text(&self, key: &str, value: &str, has_colon: bool) -> String {
        match has_colon {
            true => key.to_owned(),
            // Braces and dollars mean something in a snippet.
            false if value.contains("$0") && value.contains("${{") => match self.snippets {
                true => format!("{key}: \\${{{{ $0 \\}}}}"),
                false => format!("{key}: ${{{{  }}}}"),
            },
            false if value.contains("$0") => match self.snippets {
                true => format!("{key}: {}", value.replace('}', "\\}")),
                false => format!("{key}: {}", value.replace("$0", "")),
            },
            false => format!("{key}: {value}"),
        }
    }

    /// The input ports of the stage's kinds, those that are needed first.
    fn ports(&mut self, stage: &str, others: &[String], has_colon: bool) {
        let kinds = self.kinds(stage);
        let mut seen: Vec<String> = others.to_vec();
        for kind in &kinds {
            for port in &kind.inputs {
                if seen.contains(&port.name) {
                    continue;
                }
                seen.push(port.name.clone());
                let fitting = self.outputs_of_kind(&port.artifact, stage);
                let best = best_fit(&port.name, &fitting).unwrap_or_default();
                let is_needed = kinds.iter().any(|kind| {
                    kind.inputs.iter().any(|own| own.name == port.name && own.required && own.read)
                });
                let rank = if is_needed { Rank::Needed } else { Rank::Possible };
                let text = self.key_text(&port.name, &best, has_colon);
                let offer = Offer::new(&port.name, lsp::CompletionItemKind::FIELD)
                    .text(text)
                    .detail(port_in_words(port))
                    .doc(Some(port.doc.clone()))
                    .rank(rank);
                self.offer(offer);
            }
        }
        for port in self.declared_inputs(stage) {
            if !seen.contains(&port.key) {
                let artifact = port.value.get("artifact").and_then(Node::scalar);
                let artifact = artifact.map(|scalar| scalar.text.clone()).unwrap_or_default();
                let fitting = self.outputs_of_kind(&artifact, stage);
                let best = best_fit(&port.key, &fitting).unwrap_or_default();
                let offer = Offer::new(&port.key, lsp::CompletionItemKind::FIELD)
                    .text(self.key_text(&port.key, &best, has_colon))
                    .detail(artifact)
                    .rank(Rank::Needed);
                self.offer(offer);
            }
        }
    }

    /// The schemas of the options at a path under `with`, each with the root that its references
    /// are relative to.
    fn option_schemas(&self, stage: &str, path: &[&str]) -> Vec<(&'a Value, &'a Value)> {
        let mut found = Vec::new();
        for kind in self.kinds(stage) {
            let root: &'a Value = &kind.options;
            found.extend(schema::at(root, path).into_iter().map(|schema| (root, schema)));
        }
        found
    }

    fn names_axes(&self, stage: &str, path: &[&str]) -> bool {
        let schemas = self.option_schemas(stage, path);
        schemas.iter().any(|(root, schema)| schema::names_axes(root, schema))
    }

    /// Keys of an axis: points of the one it is within, or what makes it such.
    fn axis_keys(&mut self, axis: &str, others: &[String], has_colon: bool) {
        match self.project.axis(axis).and_then(outer_axis).map(|outer| outer.text.clone()) {
            Some(outer) => {
                let labels = self.project.labels(&outer);
                for label in labels.iter().filter(|label| !others.contains(label)) {
                    let offer = Offer::new(label, lsp::CompletionItemKind::ENUM_MEMBER)
                        .text(self.key_text(label, "", has_colon))
                        .detail(format!("a point of {outer}"))
                        .rank(Rank::Needed);
                    self.offer(offer);
                }
            }
            None => {
                // Points with fields are keys, and what may be one is the same.
                let before = self.items.len();
                self.points(axis, others, false);
                for item in self.items.iter_mut().skip(before).filter(|_| !has_colon) {
                    if let Some(lsp::CompletionTextEdit::Edit(edit)) = &mut item.text_edit {
                        edit.new_text += ": {}";
                    }
                }
                let ways = [
                    (WITHIN, "each point of another axis has points of its own"),
                    (ZIP, "points that take one element of each of several lists"),
                ];
                for (key, detail) in ways.into_iter().filter(|_| others.is_empty()) {
                    let offer = Offer::new(key, lsp::CompletionItemKind::PROPERTY)
                        .text(self.key_text(key, "", has_colon))
                        .detail(detail)
                        .rank(Rank::Rare);
                    self.offer(offer);
                }
            }
        }
    }

    fn option_keys(&mut self, stage: &str, path: &[&str], others: &[String], has_colon: bool) {
        if let ["without_quality"] = path {
            let axes: Vec<_> = self.project.axes().map(|(_, axis)| axis.key.clone()).collect();
            for axis in axes.iter().filter(|axis| !others.contains(axis)) {
                let text = self.key_text(axis, "", has_colon);
                self.offer(
                    Offer::new(axis, lsp::CompletionItemKind::ENUM).text(text).detail("axis"),
                );
            }
            return;
        }
        if path == ["inputs"] && self.declares_ports(stage) {
            let given = self.stage(stage).map(|stage| stage.inputs()).unwrap_or_default();
            for port in given.iter().filter(|port| !others.contains(&port.key)) {
                let text = self.key_text(&port.key, "", has_colon);
                self.offer(
                    Offer::new(&port.key, lsp::CompletionItemKind::FIELD)
                        .text(text)
                        .detail("an input of the stage")
                        .rank(Rank::Needed),
                );
            }
        }
        let kinds = self.kinds(stage).len();
        let mut seen: Vec<String> = others.to_vec();
        for (root, schema) in self.option_schemas(stage, path) {
            for key in schema::keys(root, &[schema]) {
                if seen.iter().any(|known| known == key.name) {
                    continue;
                }
                seen.push(key.name.to_owned());
                let rank = if key.required { Rank::Needed } else { Rank::Possible };
                let detail = match key.required {
                    true => format!("{}, required", schema::type_in_words(root, key.schema)),
                    false => schema::type_in_words(root, key.schema),
                };
                let mut doc = hover::option_doc(root, key.schema);
                if kinds > 1 {
                    let of = self.members_with_option(stage, path, key.name);
                    doc += &format!("\n\nOf {of}.");
                }
                let offer = Offer::new(key.name, lsp::CompletionItemKind::PROPERTY)
                    .text(self.key_text(key.name, "", has_colon))
                    .detail(detail)
                    .doc(Some(doc))
                    .rank(rank);
                self.offer(offer);
            }
        }
    }

    /// The kinds of a stage that take an option, in words.
    fn members_with_option(&self, stage: &str, path: &[&str], option: &str) -> String {
        let kinds = self.kinds(stage);
        let takes = |kind: &&&KindSpec| {
            let root: &Value = &kind.options;
            let schemas = schema::at(root, path);
            schema::keys(root, &schemas).iter().any(|key| key.name == option)
        };
        let takers: Vec<_> = kinds.iter().filter(takes).map(|kind| kind.name.as_str()).collect();
        match takers.len() == kinds.len() {
            true => "all members".to_owned(),
            false => takers.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        }
    }

    /// The parts of the workflow's schema at a path.
    fn workflow_schemas(&self, path: &[&str]) -> Vec<&'a Value> {
        schema::at(self.view.schema, path)
    }

    // Values.

    fn values(&mut self, path: &[&str], items: Option<&[String]>, quoted: bool) {
        match path {
            ["stages", stage, "uses"] => self.stage_kinds(stage, quoted),
            ["stages", _, "over"] => {
                let axes: Vec<_> = self.project.axes().map(|(_, axis)| axis.key.clone()).collect();
                let given = items.unwrap_or_default();
                for axis in axes.iter().filter(|axis| !given.contains(axis)) {
                    let doc = self.axis_doc(axis);
                    self.offer(Offer::new(axis, lsp::CompletionItemKind::ENUM).doc(Some(doc)));
                }
            }
            ["stages", stage, "inputs", port] => self.references(Some(stage), Some(port)),
            ["outputs", _] => self.references(None, None),
            ["stages", stage, "with", inner @ ..] => {
                self.option_values(stage, inner, items, quoted);
            }
            ["axes", axis, WITHIN] => {
                let axes: Vec<_> = self.project.axes().map(|(_, axis)| axis.key.clone()).collect();
                for other in axes.iter().filter(|other| other != axis) {
                    let doc = self.axis_doc(other);
                    self.offer(Offer::new(other, lsp::CompletionItemKind::ENUM).doc(Some(doc)));
                }
            }
            ["axes", axis] | ["axes", axis, _] if items.is_some() => {
                self.points(axis, items.unwrap_or_default(), quoted);
            }
            ["include"] => self.files(items.unwrap_or_default()),
            path => {
                let root = self.view.schema;
                let mut schemas = self.workflow_schemas(path);
                if items.is_some() {
                    schemas = schema::items(root, &schemas);
                }
                for choice in schema::choices(root, &schemas) {
                    self.choice(choice.value, choice.doc, quoted);
                }
            }
        }
    }

    fn choice(&mut self, value: &Value, doc: Option<&str>, quoted: bool) {
        let text = match value {
            Value::String(text) => text.clone(),
            _ if quoted => return,
            other => other.to_string(),
        };
        let offer = Offer::new(&text, lsp::CompletionItemKind::ENUM_MEMBER)
            .doc(doc.map(str::to_owned))
            .rank(Rank::Fits);
        self.offer(offer);
    }

    fn stage_kinds(&mut self, stage: &str, quoted: bool) {
        // Within `"quality.${{ quality }}"` the expression is not completed here.
        let over: Vec<String> = self
            .stage(stage)
            .map(|stage| stage.over().iter().map(|axis| axis.text.to_owned()).collect())
            .unwrap_or_default();
        let axes: Vec<_> = self.project.axes().map(|(_, axis)| axis.key.clone()).collect();
        for axis in &axes {
            let labels = self.project.labels(axis);
            let mut families: Vec<&str> =
                self.catalogue.kinds().iter().map(KindSpec::family).collect();
            families.sort_unstable();
            families.dedup();
            for family in families {
                let is_member =
                    |label: &String| self.catalogue.get(&format!("{family}.{label}")).is_some();
                if labels.is_empty() || !labels.iter().all(is_member) {
                    continue;
                }
                let whole = format!("{family}.${{{{ {axis} }}}}");
                let text = if quoted { whole.clone() } else { format!("\"{whole}\"") };
                let detail = match over.contains(axis) {
                    true => format!("the members that the axis {axis} names"),
                    false => format!("the members that the axis {axis} names; add it to `over`"),
                };
                let rank = if over.contains(axis) { Rank::Needed } else { Rank::Rare };
                let offer = Offer::new(&whole, lsp::CompletionItemKind::CLASS)
                    .text(text)
                    .detail(detail)
                    .doc(Some(format!("Members: {}", labels.join(", "))))
                    .rank(rank);
                self.offer(offer);
            }
        }
        let names: Vec<String> = self.catalogue.names().map(str::to_owned).collect();
        for name in &names {
            let Some(kind) = self.catalogue.get(name) else { continue };
            let offer = Offer::new(name, lsp::CompletionItemKind::CLASS)
                .detail(signature(kind))
                .doc(Some(hover::kind_doc(kind)))
                .rank(Rank::Fits);
            self.offer(offer);
        }
    }

    /// Outputs of an artifact kind that stages other than one give, as references.
    fn outputs_of_kind(&self, artifact: &str, stage: &str) -> Vec<String> {
        self.all_outputs(Some(stage))
            .into_iter()
            .filter(|(_, output)| output.artifact == artifact)
            .map(|(reference, _)| reference)
            .collect()
    }

    /// Every output of every stage but one, as references.
    fn all_outputs(&self, but: Option<&str>) -> Vec<(String, OutputPort)> {
        let mut outputs = Vec::new();
        for stage in self.project.stages().filter(|stage| Some(stage.name()) != but) {
            let own = outputs_of(self.project, stage, self.catalogue);
            for output in &own {
                let is_whole = own.len() == 1 || output.name == "main";
                let reference = match is_whole {
                    true => stage.name().to_owned(),
                    false => format!("{}.{}", stage.name(), output.name),
                };
                outputs.push((reference, output.clone()));
            }
        }
        outputs
    }

    fn references(&mut self, stage: Option<&str>, port: Option<&str>) {
        let typed = self.cursor.typed.clone();
        if let Some(bracket) = typed.find('[') {
            self.selection(&typed[..bracket], &typed[bracket + 1..], stage);
            return;
        }
        let artifact = stage.zip(port).and_then(|(stage, port)| {
            let kinds = self.kinds(stage);
            let ports = kinds.iter().flat_map(|kind| &kind.inputs);
            ports.clone().find(|own| own.name == port).map(|own| own.artifact.clone())
        });
        let outputs = self.all_outputs(stage);
        let fitting: Vec<String> = outputs
            .iter()
            .filter(|(_, output)| Some(&output.artifact) == artifact.as_ref())
            .map(|(reference, _)| reference.clone())
            .collect();
        let best = port.and_then(|port| best_fit(port, &fitting));
        for (reference, output) in &outputs {
            let fits = artifact.as_ref().is_none_or(|artifact| output.artifact == *artifact);
            // Names that do not fit are left out where others do.
            if !fits && !fitting.is_empty() {
                continue;
            }
            let rank = match (fits, best.as_ref() == Some(reference)) {
                (_, true) => Rank::Needed,
                (true, _) => Rank::Fits,
                (false, _) => Rank::Rare,
            };
            let offer = Offer::new(reference, lsp::CompletionItemKind::REFERENCE)
                .detail(output.artifact.clone())
                .doc(Some(output.doc.clone()))
                .rank(rank);
            self.offer(offer);
        }
    }

    /// Axes and points within the brackets of a reference.
    fn selection(&mut self, output: &str, inside: &str, consumer: Option<&str>) {
        let name = output.split('.').next().unwrap_or_default().trim();
        let Some(producer) = self.stage(name) else { return };
        let last = inside.rsplit(',').next().unwrap_or_default();
        let end = self.cursor.word.start + self.cursor.typed.len();
        match last.split_once('=') {
            Some((axis, labels)) => {
                let typed = labels.rsplit('|').next().unwrap_or_default().trim_start();
                for label in self.project.labels(axis.trim()) {
                    let offer = Offer::new(&label, lsp::CompletionItemKind::ENUM_MEMBER)
                        .detail(format!("a point of {}", axis.trim()));
                    self.offer_at(end - typed.len()..end, offer);
                }
            }
            None => {
                let typed = last.trim_start();
                let shared: Vec<String> = consumer
                    .and_then(|consumer| self.stage(consumer))
                    .map(|stage| stage.over().iter().map(|axis| axis.text.to_owned()).collect())
                    .unwrap_or_default();
                for axis in producer.over() {
                    let is_shared = shared.iter().any(|known| known == axis.text);
                    let offer = Offer::new(axis.text, lsp::CompletionItemKind::ENUM)
                        .text(format!("{}=", axis.text))
                        .rank(if is_shared { Rank::Rare } else { Rank::Fits });
                    self.offer_at(end - typed.len()..end, offer);
                }
            }
        }
    }

    fn option_values(
        &mut self,
        stage: &str,
        path: &[&str],
        items: Option<&[String]>,
        quoted: bool,
    ) {
        match path {
            ["rule"] => self.rules(&[]),
            ["outputs", _, "rows_of"] => {
                for port in self.declared_inputs(stage) {
                    self.offer(Offer::new(&port.key, lsp::CompletionItemKind::FIELD));
                }
            }
            ["without_quality", axis] => {
                for label in self.project.labels(axis) {
                    self.offer(Offer::new(&label, lsp::CompletionItemKind::ENUM_MEMBER));
                }
            }
            [_] if self.names_axes(stage, path) => {
                let axes: Vec<_> = self.project.axes().map(|(_, axis)| axis.key.clone()).collect();
                let given = items.unwrap_or_default();
                for axis in axes.iter().filter(|axis| !given.contains(axis)) {
                    self.offer(Offer::new(axis, lsp::CompletionItemKind::ENUM).detail("axis"));
                }
            }
            _ => {}
        }
        let mut seen: Vec<&Value> = Vec::new();
        let mut default: Option<&Value> = None;
        for (root, schema) in self.option_schemas(stage, path) {
            let schemas = match items.is_some() {
                true => schema::items(root, &[schema]),
                false => vec![schema],
            };
            for choice in schema::choices(root, &schemas) {
                if !seen.contains(&choice.value) {
                    seen.push(choice.value);
                    self.choice(choice.value, choice.doc, quoted);
                }
            }
            default = default.or(schema.get("default"));
        }
        if let Some(default) = default.filter(|value| value.is_number() && !quoted) {
            let text = default.to_string();
            let offer = Offer::new(&text, lsp::CompletionItemKind::VALUE).detail("the default");
            self.offer(offer);
        }
        self.whole_expressions(stage, quoted);
    }

    /// Params and the axes of the stage, each as an expression that is the whole value.
    fn whole_expressions(&mut self, stage: &str, quoted: bool) {
        let mut names: Vec<String> =
            self.project.params().map(|(_, param)| format!("params.{}", param.key)).collect();
        for axis in self.stage(stage).map(|stage| stage.over()).unwrap_or_default() {
            let fields = self.project.fields(axis.text);
            match fields.is_empty() {
                true => names.push(axis.text.to_owned()),
                false => names.extend(fields.iter().map(|field| format!("{}.{field}", axis.text))),
            }
        }
        for name in names {
            let whole = format!("${{{{ {name} }}}}");
            // Within braces an expression must be quoted.
            let text = match quoted || !self.cursor.in_flow {
                true => whole.clone(),
                false => format!("\"{whole}\""),
            };
            let offer =
                Offer::new(&whole, lsp::CompletionItemKind::VARIABLE).text(text).rank(Rank::Rare);
            self.offer(offer);
        }
    }

    fn rules(&mut self, given: &[String]) {
        let rules = Arc::clone(&self.project.rules);
        let mut seen: Vec<&str> = given.iter().map(String::as_str).collect();
        for rule in rules.iter() {
            if !seen.contains(&rule.name.as_str()) {
                seen.push(&rule.name);
                let offer = Offer::new(&rule.name, lsp::CompletionItemKind::MODULE)
                    .detail(rule.id.clone())
                    .doc(Some(rule.file.clone()))
                    .rank(Rank::Fits);
                self.offer(offer);
            }
        }
    }

    /// Points of an axis: what the stages that use the axis take there.
    fn points(&mut self, axis: &str, given: &[String], quoted: bool) {
        let expression = |text: &str| -> Option<Range<usize>> {
            let parts = crate::source::expressions(text);
            let [only] = parts.as_slice() else { return None };
            (text[only.clone()].trim() == axis).then(|| only.clone())
        };
        let stages: Vec<StageView<'_>> = self.project.stages().collect();
        for stage in stages {
            if let Some(uses) = stage.uses()
                && let Some(span) = expression(&uses.text)
            {
                let family = &uses.text[..span.start - 3];
                let names: Vec<String> = self.catalogue.names().map(str::to_owned).collect();
                for name in names.iter().filter(|_| !family.is_empty()) {
                    let Some(member) = name.strip_prefix(family) else { continue };
                    let Some(kind) = self.catalogue.get(name) else { continue };
                    if !given.iter().any(|known| known == member) {
                        let offer = Offer::new(member, lsp::CompletionItemKind::ENUM_MEMBER)
                            .detail(name.clone())
                            .doc(Some(hover::kind_doc(kind)))
                            .rank(Rank::Fits);
                        self.offer(offer);
                    }
                }
            }
            for option in stage.with().map(Node::entries).unwrap_or_default() {
                let is_whole = option.value.scalar().is_some_and(|scalar| {
                    expression(&scalar.text).is_some() && scalar.text.starts_with("${{")
                });
                if !is_whole {
                    continue;
                }
                if option.key == "rule" {
                    self.rules(given);
                    continue;
                }
                for (root, schema) in self.option_schemas(stage.name(), &[&option.key]) {
                    for choice in schema::choices(root, &[schema]) {
                        let text = choice.value.as_str().map(str::to_owned);
                        let text = text.unwrap_or_else(|| choice.value.to_string());
                        if !given.contains(&text) {
                            self.choice(choice.value, choice.doc, quoted);
                        }
                    }
                }
            }
        }
        let mut seen = Vec::new();
        self.items.retain(|item| {
            let is_new = !seen.contains(&item.label);
            seen.push(item.label.clone());
            is_new
        });
    }

    /// Workflow files beside this one.
    fn files(&mut self, given: &[String]) {
        let own = self.view.source().path.clone();
        let Some(folder) = own.parent() else { return };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(1_000);
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path() != own)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
            .filter(|name| !given.contains(name))
            .collect();
        names.sort();
        for name in &names {
            self.offer(Offer::new(name, lsp::CompletionItemKind::FILE));
        }
    }

    // Expressions.

    /// Points of the axis that a text in an expression is compared with: `rule == "`.
    fn compared_points(&mut self, before: &str, typed: &str) {
        let compared = before.trim_end();
        let compared = match compared.rfind('[') {
            Some(list) if !compared[list..].contains(']') => compared[..list].trim_end(),
            _ => compared,
        };
        let operators = ["==", "!=", " not in", " in"];
        let Some(base) = operators.iter().find_map(|one| compared.strip_suffix(one)) else {
            return;
        };
        let base = base.trim_end();
        let axis = &base[base.trim_end_matches(is_name).len()..];
        let end = self.cursor.word.start + self.cursor.typed.len();
        let range = end - typed.len()..end + self.rest_of_name();
        for label in self.project.labels(axis) {
            let offer = Offer::new(&label, lsp::CompletionItemKind::ENUM_MEMBER)
                .detail(format!("a point of {axis}"));
            self.offer_at(range.clone(), offer);
        }
    }

    fn expression(&mut self, path: &[&str], before: &str) {
        if let Some(quote) = open_quote(before) {
            return self.compared_points(&before[..quote], &before[quote + 1..]);
        }
        let word_start = before.trim_end_matches(is_name).len();
        let typed = &before[word_start..];
        let end = self.cursor.word.start + self.cursor.typed.len();
        let range = end - typed.len()..end + self.rest_of_name();
        let head = &before[..word_start];
        let visible: Vec<String> = match path {
            ["stages", stage, ..] => self
                .stage(stage)
                .map(|stage| stage.over().iter().map(|axis| axis.text.to_owned()).collect())
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        if let Some(base) = head.strip_suffix('.') {
            let base = &base[base.trim_end_matches(is_name).len()..];
            if base == "params" {
                let params: Vec<(String, String)> = self
                    .project
                    .params()
                    .map(|(_, param)| (param.key.clone(), hover::param_doc(param)))
                    .collect();
                for (name, doc) in &params {
                    let offer = Offer::new(name, lsp::CompletionItemKind::VARIABLE)
                        .doc(Some(doc.clone()))
                        .rank(Rank::Fits);
                    self.offer_at(range.clone(), offer);
                }
            } else {
                let fields = self.project.fields(base);
                for field in fields.iter().map(String::as_str).chain(["label"]) {
                    let offer = Offer::new(field, lsp::CompletionItemKind::FIELD)
                        .detail(format!("a field of the points of {base}"))
                        .rank(if field == "label" { Rank::Possible } else { Rank::Fits });
                    self.offer_at(range.clone(), offer);
                }
            }
            return;
        }
        for axis in &visible {
            let doc = self.axis_doc(axis);
            let offer = Offer::new(axis, lsp::CompletionItemKind::ENUM)
                .detail("axis")
                .doc(Some(doc))
                .rank(Rank::Needed);
            self.offer_at(range.clone(), offer);
        }
        let params: Vec<(String, String)> = self
            .project
            .params()
            .map(|(_, param)| (format!("params.{}", param.key), hover::param_doc(param)))
            .collect();
        for (name, doc) in &params {
            let offer = Offer::new(name, lsp::CompletionItemKind::VARIABLE)
                .doc(Some(doc.clone()))
                .rank(Rank::Fits);
            self.offer_at(range.clone(), offer);
        }
        for function in functions() {
            let text = match self.snippets {
                true => format!("{}($0)", function.name),
                false => format!("{}(", function.name),
            };
            let offer = Offer::new(function.name, lsp::CompletionItemKind::FUNCTION)
                .text(text)
                .detail(function.signature)
                .doc(Some(function.doc.to_owned()));
            self.offer_at(range.clone(), offer);
        }
    }

    /// Bytes of the name that follow the cursor.
    fn rest_of_name(&self) -> usize {
        let end = self.cursor.word.start + self.cursor.typed.len();
        let behind = self.view.source().text.get(end..).unwrap_or_default();
        behind.len() - behind.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len()
    }

    fn axis_doc(&self, axis: &str) -> String {
        hover::axis_doc(self.project, axis)
    }
}

/// True of the letters of names in expressions.
fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The byte of the quote of a text that an expression begins and does not end.
fn open_quote(expression: &str) -> Option<usize> {
    let mut open: Option<(usize, char)> = None;
    for (at, letter) in expression.char_indices() {
        open = match open {
            None if matches!(letter, '"' | '\'') => Some((at, letter)),
            Some((_, quote)) if letter == quote => None,
            other => other,
        };
    }
    open.map(|(at, _)| at)
}

/// The outputs of a stage: those of its kind, or those that it declares.
pub(crate) fn outputs_of(
    project: &Project,
    stage: StageView<'_>,
    catalogue: &Catalogue,
) -> Vec<OutputPort> {
    let kinds = project.kinds(stage, catalogue);
    let Some(kind) = kinds.first() else { return Vec::new() };
    if !kind.declared_ports {
        return kind.outputs.to_vec();
    }
    let declared = stage.with().and_then(|with| with.get("outputs"));
    let port = |entry: &Entry| {
        let artifact = entry.value.get("artifact").and_then(Node::scalar);
        let artifact = artifact.map(|scalar| scalar.text.clone()).unwrap_or_default();
        OutputPort { name: entry.key.clone(), artifact, doc: String::new() }
    };
    declared.map(|declared| declared.entries().iter().map(port).collect()).unwrap_or_default()
}

/// The output that a port most likely takes: one with its name, or one whose port its name ends
/// with; the only one else.
fn best_fit(port: &str, fitting: &[String]) -> Option<String> {
    if let [only] = fitting {
        return Some(only.clone());
    }
    let alike = |reference: &&String| {
        let (stage, output) = reference.split_once('.').unwrap_or((reference, ""));
        stage == port || (!output.is_empty() && port.ends_with(output))
    };
    let mut alike = fitting.iter().filter(alike);
    match (alike.next(), alike.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => None,
    }
}

/// An input port in a few words.
pub(crate) fn port_in_words(port: &InputPort) -> String {
    let many = if port.arity == Arity::Many { ", one or more" } else { "" };
    let need = match (port.read, port.required) {
        (false, _) => ", not read",
        (true, true) => "",
        (true, false) => ", optional",
    };
    format!("{}{many}{need}", port.artifact)
}

/// A kind in one line: what it takes and what it gives.
pub(crate) fn signature(kind: &KindSpec) -> String {
    let inputs = kind.inputs.iter().filter(|port| port.read && port.required);
    let inputs: Vec<_> = inputs.map(|port| port.name.as_str()).collect();
    let outputs: Vec<_> = kind.outputs.iter().map(|port| port.artifact.as_str()).collect();
    match (inputs.is_empty(), outputs.is_empty()) {
        (_, true) => kind.summary.clone(),
        (true, _) => outputs.join(", "),
        (false, _) => format!("{} -> {}", inputs.join(", "), outputs.join(", ")),
    }
}
