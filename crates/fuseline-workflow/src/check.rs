//! From text to a checked workflow, or to everything that is wrong with it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::axes;
use crate::catalogue::Catalogue;
use crate::codes;
use crate::definitions;
use crate::diagnostic::{self, Code, Diagnostic};
use crate::digest::digest;
use crate::document::{self, Document, absolute};
use crate::expression::{Environment, NO_POINT, ParamView, Scope, Template, Work, has_expression};
use crate::files::{Files, Place};
use crate::given::{self, Given};
use crate::index::{AxisIndex, IndexVec, ParamIndex, StageIndex, WrittenStageIndex};
use crate::limits::Limits;
use crate::names::{self, NameMap};
use crate::order;
use crate::outputs;
use crate::params;
use crate::stage::execution;
use crate::stage::expand::{World, expand};
use crate::stage::join::Stages;
use crate::stage::{self, ports};
use crate::workflow::{Sourced, Stage, StagePlaces, Workflow, WorkflowOutput};
use crate::yaml::Node;

/// A workflow file.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its path, absolute or relative to the working directory.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a str,
}

/// Values given from outside of the workflow file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--set` arguments, in order: name and text. The last one of a name counts.
    pub set: Vec<(String, String)>,
    /// Seed in place of the workflow's.
    pub seed: Option<u64>,
    /// A file of params; `--set` overrides it.
    pub params_file: Option<ParamsFile>,
    /// The folder that relative paths of the command line are relative to; absolute.
    pub working_dir: PathBuf,
    /// The user's home folder, which `~/` of a path on the command line stands for.
    pub home: Option<PathBuf>,
}

/// A YAML file that maps params to values.
#[derive(Debug, Clone)]
pub struct ParamsFile {
    /// Its path.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Result of checking a workflow.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The workflow, exactly when no diagnostic is an error.
    pub workflow: Option<Workflow>,
    /// Everything that was found, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that diagnostics point into.
    pub files: Files,
    /// The places that expressions take values from.
    given: Vec<Given>,
}

impl Checked {
    /// The result for a file of which nothing can be read.
    pub fn unreadable(mistake: Diagnostic, files: Files) -> Self {
        Self { workflow: None, diagnostics: vec![mistake], files, given: Vec::new() }
    }

    /// Makes a list of diagnostics of this workflow ready to be shown: points to the values of the
    /// params that expressions mention, gives each a hint, sorts by place, and drops what is said
    /// twice.
    pub fn settle(&self, diagnostics: &mut Vec<Diagnostic>) {
        given::trace(&self.given, &self.files, diagnostics);
        diagnostic::sort(diagnostics, &self.files, &self.given);
        given::keep_first_of_params(&self.given, diagnostics);
    }
}

/// Checks a workflow and expands it. `loader` reads the files that `include:` names; nothing else
/// is read.
pub fn check(
    source: Source<'_>,
    catalogue: &Catalogue,
    overrides: &Overrides,
    limits: &Limits,
    loader: &dyn Fn(&Path) -> io::Result<String>,
) -> Checked {
    let mut files = Files::default();
    let mut found = Vec::new();
    let file = files.add(source.path, source.text);
    let path = absolute(&overrides.working_dir, source.path);
    let reader = document::Reader::new(&mut files, limits, loader, &mut found);
    let mut given = Vec::new();
    let mut workflow = reader.read(file, &path).and_then(|document| {
        let params = params::read(&document.params, overrides, limits, &mut files, &mut found);
        given = given::params(&params);
        let checker =
            Checker { document, path, params: params.into(), catalogue, limits, files: &files };
        let workflow = checker.check(&mut given, &mut found)?;
        // Mistakes in the seed of the file stay mistakes.
        Some(Workflow { seed: overrides.seed.unwrap_or(workflow.seed), ..workflow })
    });
    if found.iter().any(Diagnostic::is_error) {
        workflow = None;
    }
    let mut checked = Checked { workflow, diagnostics: Vec::new(), files, given };
    checked.settle(&mut found);
    checked.diagnostics = found;
    checked
}

struct Checker<'a> {
    document: Document,
    path: PathBuf,
    params: IndexVec<ParamIndex, params::Param>,
    catalogue: &'a Catalogue,
    limits: &'a Limits,
    files: &'a Files,
}

impl Checker<'_> {
    /// The workflow, if nothing that it consists of has a mistake.
    fn check(mut self, sources: &mut Vec<Given>, found: &mut Vec<Diagnostic>) -> Option<Workflow> {
        let digest = digest(&self.document);
        let definitions = std::mem::take(&mut self.document.stages);
        let Self { document, path, params, catalogue, limits, files } = &self;
        let views = params::views(params);
        let values: IndexVec<_, _> = params.iter().map(|param| param.value.clone()).collect();
        let mut used = BTreeSet::new();
        let mut work = Work::new(limits.max_work(), limits.max_list());

        let context = axes::Given { params: &views, values: &values, limits, files };
        let (axes, axis_views) = axes::read(&document.axes, &context, &mut used, &mut work, found);
        sources.extend(given::axes(&document.axes.raw));
        let axis_names: IndexVec<_, _> = axes.iter().map(|axis| axis.name.clone()).collect();
        let written: IndexVec<WrittenStageIndex, _> = definitions
            .into_iter()
            .map(|definition| stage::read(definition, &axis_names, files, found))
            .collect();

        let by_name: NameMap<_, _> =
            written.iter_enumerated().map(|(index, stage)| (stage.name.as_str(), index)).collect();
        let edges = order::edges(&written, &by_name);
        let before = found.len();
        order::cycles(&written, &edges, found);
        let cyclic = found.len() > before;
        let cycle_edges: Vec<Place> = found[before..].iter().flat_map(order::edge_places).collect();
        let order = order::topological(written.len(), &edges);
        let mut indices: IndexVec<WrittenStageIndex, _> =
            vec![StageIndex::default(); written.len()].into();
        for (index, stage) in order.iter_enumerated() {
            indices[*stage] = index;
        }

        let world = World {
            catalogue,
            limits,
            files,
            params: &views,
            values: &values,
            axes: &axes,
            views: &axis_views,
        };
        let mut actions_left = limits.max_actions;
        let expanded: IndexVec<WrittenStageIndex, _> = written
            .iter()
            .map(|stage| expand(stage, &world, &mut used, &mut work, &mut actions_left, found))
            .collect();
        for stage in written.keys() {
            ports::check(stage, &written, &expanded, &world, found);
        }
        let stages =
            Stages { written: &written, expanded: &expanded, by_name: &by_name, indices: &indices };
        let joined: IndexVec<WrittenStageIndex, _> =
            written.keys().map(|stage| stages.join(stage, &world, found)).collect();

        let mut given_out = Vec::new();
        let mut targets = Vec::new();
        for output in outputs::read(document.outputs.as_deref().unwrap_or_default(), files, found) {
            let Some(resolved) = stages.resolve(&output.reference, &world, found) else {
                targets.extend(by_name.get(output.reference.stage.as_str()));
                continue;
            };
            targets.push(resolved.stage);
            let action = stages.single(&output.reference, &resolved, &world, found);
            if let (Some(file), Some(action)) = (output.file, action) {
                given_out.push(WorkflowOutput {
                    file,
                    stage: indices[resolved.stage],
                    output: resolved.output,
                    action,
                    place: output.reference.place,
                });
            }
        }

        let mut root =
            Root { views: &views, values: &values, used: &mut used, work: &mut work, files };
        let name = document.name.as_ref().and_then(|node| workflow_name(node, found));
        let description =
            document.description.as_ref().and_then(|node| node.text("`description`", found));
        let seed = document.seed.as_ref().map_or(Some(0), |node| root.seed(node, found));
        let plugins: Vec<_> = document
            .plugins
            .iter()
            .filter_map(|(node, folder)| root.path(node, folder, found))
            .collect();
        let rule_files: Vec<_> = document
            .rule_files
            .iter()
            .filter_map(|(entry, folder)| {
                Some((entry.key.clone(), root.path(&entry.value, folder, found)?))
            })
            .collect();
        let python =
            document.python.as_ref().and_then(|(node, folder)| root.python(node, folder, found));
        let (isolation, required_layers) = document
            .isolation
            .as_ref()
            .map_or_else(Default::default, |node| execution::isolation(node, found));
        let (sandbox, sandboxes) = document
            .sandbox
            .as_ref()
            .map_or_else(Default::default, |node| execution::sandboxes(node, found));
        let process_limits = document
            .limits
            .as_ref()
            .map_or_else(Default::default, |node| execution::limits(node, files, found));
        let passed_variables = document
            .env
            .as_ref()
            .map_or_else(Default::default, |node| execution::passed_variables(node, found));

        // A definition that could not be read is not reported as missing at its uses, and neither
        // is a stage that stands inside of another.
        let inner: BTreeSet<&str> = written
            .iter()
            .flat_map(|stage| &stage.strangers)
            .filter(|stranger| stranger.is_stage)
            .map(|stranger| stranger.key.as_str())
            .collect();
        // A wrong edge of a cycle is the mistake, whatever it closes; where none is, nothing but
        // the cycle is wrong with its edges.
        let input_of = |edge: &Place| {
            let mut inputs = written.iter().flat_map(|stage| &stage.inputs);
            inputs.find(|input| input.references.iter().any(|one| one.place == *edge))
        };
        let wrong_edges: Vec<Place> = cycle_edges
            .iter()
            .filter(|edge| {
                let key = input_of(edge).map(|input| &input.place);
                found.iter().any(|found| match found.code {
                    codes::PORT_TYPE => found.place == **edge,
                    codes::UNKNOWN_PORT => Some(&found.place) == key,
                    _ => false,
                })
            })
            .cloned()
            .collect();
        let misshapen = |section: &str| document.misshapen.contains(&section);
        found.retain(|found| match found.code {
            codes::UNKNOWN_PARAM => !misshapen("params"),
            codes::UNKNOWN_AXIS | codes::UNKNOWN_NAME => !misshapen("axes"),
            codes::UNKNOWN_STAGE => {
                !misshapen("stages") && !inner.contains(files.slice(&found.place))
            }
            codes::CYCLE => !order::edge_places(found).any(|edge| wrong_edges.contains(&edge)),
            codes::PORT_TYPE | codes::UNKNOWN_PORT => true,
            _ => !cycle_edges.contains(&found.place),
        });

        if found.iter().any(definitions::is_unknown_name) {
            definitions::blame(&self.lonely(&used, &written, &edges, &targets), found);
        }
        if !cyclic && !misshapen("stages") {
            self.unused(&used, &written, &edges, &targets, found);
        }
        if cyclic || found.iter().any(Diagnostic::is_error) {
            return None;
        }

        let mut parts: IndexVec<WrittenStageIndex, _> =
            written.into_iter().zip(expanded).zip(joined).map(Some).collect();
        let mut ordered = Vec::with_capacity(order.len());
        for stage in order {
            let ((written, expanded), inputs) = parts[stage].take()?;
            let outputs = expanded.outputs(catalogue)?.clone();
            ordered.push(Stage {
                name: written.name,
                description: written.description,
                over: written.over?,
                actions: expanded.actions?,
                variants: expanded.variants.into_iter().collect::<Option<_>>()?,
                inputs,
                outputs,
                execution: written.execution,
                places: StagePlaces {
                    name: written.name_place,
                    uses: written.uses?.place,
                    over: written.over_place,
                    filter: written.filter.map(|node| node.place),
                },
            });
        }
        Some(Workflow {
            name: name?,
            description: description.map(str::to_owned),
            seed: seed?,
            params: params
                .iter()
                .map(|param| Some((param.name.clone(), param.value.clone()?)))
                .collect::<Option<_>>()?,
            path_params: params.iter().filter_map(params::Param::path).collect(),
            axes,
            stages: ordered.into(),
            outputs: given_out,
            plugins,
            rule_files,
            isolation,
            required_layers,
            sandbox,
            sandboxes,
            limits: process_limits,
            python,
            passed_variables,
            digest,
            path: path.clone(),
        })
    }

    /// Definitions that nothing uses by their names.
    fn lonely<'c>(
        &'c self,
        used: &BTreeSet<ParamIndex>,
        written: &'c IndexVec<WrittenStageIndex, stage::WrittenStage>,
        edges: &[order::Edge<'_>],
        targets: &[WrittenStageIndex],
    ) -> Vec<definitions::Lonely<'c>> {
        let params = self.params.iter_enumerated().filter(|(index, _)| !used.contains(index));
        let params = params.map(|(_, param)| ("param", param.name.as_str(), &param.place));
        let axes = self.document.axes.iter_enumerated();
        let axes = axes.filter(|(index, _)| !is_run_over(*index, written));
        let axes = axes.map(|(_, axis)| ("axis", axis.name.as_str(), &axis.name_place));
        let read: BTreeSet<_> =
            targets.iter().chain(edges.iter().map(|(producer, ..)| producer)).collect();
        let stages = written.iter_enumerated().filter(|(index, _)| !read.contains(index));
        let stages = stages.map(|(_, stage)| ("stage", stage.name.as_str(), &stage.name_place));
        params.chain(axes).chain(stages).collect()
    }

    /// Warns of parts without effect. Pieces of an included file may stay unused: they are there
    /// for others too.
    fn unused(
        &self,
        used: &BTreeSet<ParamIndex>,
        written: &IndexVec<WrittenStageIndex, stage::WrittenStage>,
        edges: &[order::Edge<'_>],
        targets: &[WrittenStageIndex],
        found: &mut Vec<Diagnostic>,
    ) {
        // A misspelt or unreadable part may have been meant to use it.
        let hidden = |codes: &[Code], found: &[Diagnostic]| {
            found.iter().any(|found| codes.contains(&found.code))
        };
        let names = [
            codes::UNKNOWN_PARAM,
            codes::UNKNOWN_NAME,
            codes::EXPRESSION_SYNTAX,
            codes::EXPRESSION_PLACE,
            codes::UNKNOWN_KEY,
        ];
        let params_hidden = hidden(&names, found);
        let axes_hidden = written.iter().any(|stage| stage.over.is_none())
            || hidden(&[codes::UNKNOWN_KEY, codes::BAD_NAME], found);
        let references =
            [codes::UNKNOWN_STAGE, codes::REFERENCE_SYNTAX, codes::UNKNOWN_KEY, codes::WRONG_SHAPE];
        let stages_hidden = hidden(&references, found);
        for (index, param) in self.params.iter_enumerated() {
            let sound = param.value.is_some() && !params_hidden;
            if sound && !param.included && !used.contains(&index) {
                let message = format!("nothing uses the param `{}`", param.name);
                found.push(
                    Diagnostic::warning(codes::UNUSED_PARAM, &param.place, message).hint(format!(
                        "use it as `${{{{ params.{} }}}}`, or remove it",
                        param.name
                    )),
                );
            }
        }
        for (index, axis) in self.document.axes.iter().enumerate() {
            let runs = is_run_over(index.into(), written);
            let mut others = self.document.axes.iter().filter_map(axes::outer_name);
            let is_outer = others.any(|outer| outer == axis.name);
            if !axes_hidden && !axis.included && !runs && !is_outer {
                let message = format!("no stage runs over the axis `{}`", axis.name);
                found.push(
                    Diagnostic::warning(codes::UNUSED_AXIS, &axis.name_place, message)
                        .hint("name it in the `over` of a stage, or remove it".to_owned()),
                );
            }
        }
        if self.document.outputs.is_none() || stages_hidden {
            return;
        }
        let leads = order::leads_to(targets, written.len(), edges);
        for (stage, leads) in written.iter().zip(leads) {
            if !leads && !stage.included {
                let message = format!("no output comes from the stage `{}`", stage.name);
                found.push(
                    Diagnostic::warning(codes::UNUSED_STAGE, &stage.name_place, message)
                        .hint("name it in `inputs` or `outputs`, or remove it".to_owned()),
                );
            }
        }
    }
}

/// True if a stage runs over an axis.
fn is_run_over(
    axis: AxisIndex,
    written: &IndexVec<WrittenStageIndex, stage::WrittenStage>,
) -> bool {
    written.iter().any(|stage| stage.over.as_ref().is_some_and(|over| over.contains(&axis)))
}

fn workflow_name<'n>(node: &'n Node, found: &mut Vec<Diagnostic>) -> Option<String> {
    let text: &'n str = node.text("`name`", found)?;
    if names::is_name(text) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` cannot name a workflow", names::short(text));
    found.push(
        Diagnostic::error(codes::BAD_NAME, &node.place, message).hint(
            "start with a letter; go on with letters, digits, `_` and `-`: it names a folder"
                .to_owned(),
        ),
    );
    None
}

/// Values outside of stages, which see params alone.
struct Root<'a> {
    views: &'a IndexVec<ParamIndex, ParamView>,
    values: &'a IndexVec<ParamIndex, Option<Value>>,
    used: &'a mut BTreeSet<ParamIndex>,
    work: &'a mut Work,
    files: &'a Files,
}

impl Root<'_> {
    fn value(&mut self, node: &Node, found: &mut Vec<Diagnostic>) -> Option<Value> {
        if !node.scalar().is_some_and(|scalar| has_expression(&scalar.text)) {
            return node.to_value(found);
        }
        let mut scope = Scope {
            params: self.views,
            axes: &IndexVec::new(),
            over: None,
            points: None,
            used: self.used,
        };
        let template = Template::read(node, &mut scope, self.files, found)?;
        let mut environment = Environment {
            params: self.values,
            axes: &IndexVec::new(),
            coords: &NO_POINT,
            work: self.work,
        };
        match template.evaluate(&mut environment) {
            Ok(value) => Some(value),
            Err(mistake) => {
                found.push(mistake.diagnostic(node, self.files));
                None
            }
        }
    }

    fn seed(&mut self, node: &Node, found: &mut Vec<Diagnostic>) -> Option<u64> {
        let value = match node.is_yes_or_no() {
            true => Value::Null,
            false => self.value(node, found)?,
        };
        let seed = value.as_u64();
        if seed.is_none() {
            let mistake = node.not_a("`seed`", "a whole number from 0");
            let written = value.as_str().map(str::trim).filter(|text| text.parse::<u64>().is_ok());
            found.push(match written {
                Some(number) => mistake.write(number),
                None => mistake,
            });
        }
        seed
    }

    /// The interpreter that is named: a path is relative to the folder, a bare name stays.
    fn python(
        &mut self,
        node: &Node,
        folder: &Path,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Sourced<PathBuf>> {
        match self.value(node, found)? {
            Value::String(text) if !text.is_empty() => {
                let value = match text.contains('/') || text.starts_with('.') {
                    true => absolute(folder, Path::new(&text)),
                    false => PathBuf::from(text),
                };
                Some(Sourced { value, origin: self.files.origin(&node.place) })
            }
            _ => {
                found.push(node.not_a("`python`", "the path of an interpreter"));
                None
            }
        }
    }

    fn path(&mut self, node: &Node, folder: &Path, found: &mut Vec<Diagnostic>) -> Option<PathBuf> {
        match self.value(node, found)? {
            Value::String(text) if !text.is_empty() => Some(absolute(folder, Path::new(&text))),
            _ => {
                found.push(node.not_a("a plugin", "a path"));
                None
            }
        }
    }
}
