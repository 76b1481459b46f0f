//! Artifacts of a study, by the names that a workflow uses for them. Executes nothing.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use fuseline_artifact::{Artifact, ArtifactKind, Digest, Payload};
use fuseline_cache::Cache;
use fuseline_engine::{ActionId, Plan, Point, inspect};
use fuseline_workflow::{OutputIndex, StageIndex, Workflow};

use crate::error::Error;
use crate::selection::Selection;
use crate::study::OpenStudy;
use crate::table::{Form, Table};
use crate::{deliver, suggest};

/// Artifacts that were found in a cache: one output of a stage, at some of its points.
#[derive(Debug)]
pub struct Artifacts<'c> {
    cache: &'c Cache,
    selection: Selection,
    /// The text that selected them.
    name: String,
    kind: ArtifactKind,
    /// The axes of the stage.
    axes: Vec<String>,
    found: Vec<(Point, Digest)>,
    /// The number of actions of the stage.
    actions: usize,
}

/// Artifacts of a study that were selected, and not yet looked for.
pub struct Selected<'s> {
    plan: Plan<'s>,
    name: String,
    selection: Selection,
    stage: StageIndex,
    output: OutputIndex,
    actions: Vec<ActionId>,
}

impl OpenStudy {
    /// The artifacts that a name selects, from a cache that holds all of them; see
    /// [`OpenStudy::select`].
    pub fn artifacts<'c>(&self, cache: &'c Cache, name: &str) -> Result<Artifacts<'c>, Error> {
        self.select(name)?.find(cache)
    }

    /// Selects artifacts by `STAGE`, `STAGE.PORT`, or either with points, as in
    /// `fusion[rule=lr|moe, fold=0]`.
    pub fn select(&self, name: &str) -> Result<Selected<'_>, Error> {
        let wrong = |problem: &str| Error::request(format!("{name}: {problem}"));
        let selection: Selection = name.parse().map_err(|problem: String| {
            let hint = "such as findings, permute.effects or 'fusion[rule=lr|moe, fold=0]'";
            wrong(&problem).with_hint(hint.to_owned())
        })?;
        if let Some(workflow) = self.workflow() {
            resolve(&selection, workflow)?;
        }
        let plan = self.plan(std::slice::from_ref(&selection.stage))?;
        let (stage, output) = resolve(&selection, plan.workflow())?;
        let is_selected = |action: &ActionId| selection.takes(&plan.point(*action));
        let actions: Vec<ActionId> = plan.actions_of(stage).filter(is_selected).collect();
        if actions.is_empty() {
            return Err(wrong("the stage has no action at such a point"));
        }
        Ok(Selected { plan, name: name.to_owned(), selection, stage, output, actions })
    }
}

impl<'s> Selected<'s> {
    /// The plan of the stage that was selected, with all that it needs.
    pub fn plan(&self) -> &Plan<'s> {
        &self.plan
    }

    /// Finds the artifacts in a cache. An error when it does not hold all of them.
    pub fn find(self, cache: &Cache) -> Result<Artifacts<'_>, Error> {
        let Self { plan, name, selection, stage, output, actions } = self;
        let planned = &plan.workflow().stages[stage];
        let kind = planned.outputs[output].artifact.parse().map_err(Error::failed)?;
        let inspection = inspect(&plan, Some(cache))?;
        let found = actions.iter().map(|&action| {
            let digest = inspection.output(action, output);
            let digest = digest.ok_or_else(|| not_cached(&plan, stage, action))?;
            Ok((plan.point(action), digest))
        });
        let found = found.collect::<Result<_, Error>>()?;
        let axes = planned.over.iter().map(|&axis| plan.workflow().axes[axis].name.clone());
        let (axes, actions) = (axes.collect(), planned.actions.len());
        Ok(Artifacts { cache, name, selection, kind, axes, found, actions })
    }
}

impl Artifacts<'_> {
    /// Their kind.
    pub fn kind(&self) -> ArtifactKind {
        self.kind
    }

    /// Their number, and that of the stage's actions.
    pub fn counts(&self) -> (usize, usize) {
        (self.found.len(), self.actions)
    }

    /// The bytes of a single document; none for tables and for several documents.
    pub fn document(&self) -> Result<Option<Bytes>, Error> {
        let [(_, digest)] = self.found.as_slice() else { return Ok(None) };
        let artifact = deliver::artifact(self.cache, self.kind, digest)?;
        Ok(match artifact.payload {
            Payload::Bytes { bytes, .. } => Some(bytes),
            Payload::Table(_) => None,
        })
    }

    /// One table of all artifacts, with a column for each axis that the selection leaves open.
    pub fn table(&self) -> Result<Table, Error> {
        self.stack(Table::from_artifact)
    }

    /// Writes the artifacts to a file, in the form that its name asks for; a document goes as it
    /// is.
    pub fn export(&self, path: &Path) -> Result<(), Error> {
        let form = Form::from_path(path);
        if let ([(_, digest)], Some(Form::Parquet)) = (self.found.as_slice(), form) {
            // An artifact is Parquet as it is.
            return deliver::object(self.cache, digest, path, None);
        }
        if let Some(bytes) = self.document()? {
            return deliver::bytes(path, &bytes);
        }
        let table = match form {
            // Several artifacts keep their types.
            Some(Form::Parquet) => self.stack(|artifact| Ok(Table::typed(artifact)))?,
            _ => self.table()?,
        };
        let form = form.ok_or_else(|| {
            Error::request(format!("{} says no form", path.display()))
                .with_hint("end its name with .csv, .json or .parquet".to_owned())
        })?;
        deliver::table_to(&table, form, path)
    }

    fn stack(
        &self,
        read: impl Fn(&Artifact) -> Result<Option<Table>, crate::table::TableError>,
    ) -> Result<Table, Error> {
        let wrong = |problem: &str| Error::request(format!("{}: {problem}", self.name));
        let mut tables = Vec::with_capacity(self.found.len());
        for (point, digest) in &self.found {
            let artifact = deliver::artifact(self.cache, self.kind, digest)?;
            let mut point = point.clone();
            point.retain(|(axis, _)| !self.selection.pins(axis));
            let table = read(&artifact)?.ok_or_else(|| match self.found.len() {
                1 => wrong("it is a document, not a table"),
                _ => wrong("these are several documents")
                    .with_hint("pick one with [axis=point, ...]".to_owned()),
            })?;
            tables.push(table.at(&point)?);
        }
        Table::stack(tables)?.ok_or_else(|| {
            let axes = self.axes.join(", ");
            wrong("the tables at these points have different columns")
                .with_hint(format!("pick points with [axis=point]; its axes are {axes}"))
        })
    }
}

/// The stage and its output that a selection names; its axes and points must exist too.
fn resolve(selection: &Selection, workflow: &Workflow) -> Result<(StageIndex, OutputIndex), Error> {
    let unknown = |sort: &str, name: &str, hint: Option<String>| {
        Error::request(format!("there is no {sort} {name}")).with_hint(hint)
    };
    let name = &selection.stage;
    let number = workflow.stages.position(|stage| stage.name == *name).ok_or_else(|| {
        let names = workflow.stages.iter().map(|stage| stage.name.as_str());
        unknown("stage", name, suggest::hint(name, "stage", names))
    })?;
    let stage = &workflow.stages[number];
    let ports = || stage.outputs.iter().map(|port| port.name.as_str());
    let output = match (&selection.port, stage.outputs.len()) {
        (Some(port), _) => {
            stage.outputs.position(|known| known.name == *port).ok_or_else(|| {
                let sort = format!("output of {name} called");
                unknown(&sort, port, suggest::hint(port, "output", ports()))
            })?
        }
        (None, 1) => OutputIndex::default(),
        (None, _) => stage.outputs.position(|port| port.name == "main").ok_or_else(|| {
            let ports: Vec<_> = ports().map(|port| format!("{name}.{port}")).collect();
            Error::request(format!("{name} has several outputs"))
                .with_hint(format!("name one: {}", ports.join(", ")))
        })?,
    };
    for (axis, labels) in &selection.points {
        let axes = || stage.over.iter().map(|&axis| &workflow.axes[axis]);
        let known = axes().find(|known| known.name == *axis).ok_or_else(|| {
            let names = axes().map(|axis| axis.name.as_str());
            unknown(&format!("axis of {name} called"), axis, suggest::hint(axis, "axis", names))
        })?;
        for label in labels {
            let points = || known.points.iter().map(|point| point.label.as_str());
            if !points().any(|point| point == label) {
                let sort = format!("point of {axis} called");
                return Err(unknown(&sort, label, suggest::hint(label, "point", points())));
            }
        }
    }
    Ok((number, output))
}

/// The error of an action that the cache does not hold. A stage that says `cache: false`, or one
/// that reads from such a stage, is made by every run and found by none.
fn not_cached(plan: &Plan<'_>, stage: StageIndex, action: ActionId) -> Error {
    let stages = &plan.workflow().stages;
    let name = &stages[stage].name;
    let mut above = vec![stage];
    let mut seen = BTreeSet::new();
    while let Some(next) = above.pop() {
        if seen.insert(next) {
            let sources = stages[next].inputs.iter().flat_map(|input| &input.sources);
            above.extend(sources.map(|source| source.stage));
        }
    }
    // The stage itself first, then the farthest up of the others.
    let uncached =
        Some(&stage).into_iter().chain(&seen).find(|stage| !stages[**stage].execution.cache);
    let action = plan.action_label(action);
    match uncached {
        Some(&uncached) if uncached == stage => {
            Error::request(format!("{action} is never kept: its stage says `cache: false`"))
                .with_hint(format!(
                    "leave `cache: false` out and run once, or let every run write it: \
                     `outputs: {{ {name}.parquet: {name} }}`"
                ))
        }
        Some(&uncached) => {
            let above = &stages[uncached].name;
            Error::request(format!(
                "{action} cannot be looked up: it depends on {above}, and {above} says `cache: \
                 false`"
            ))
            .with_hint(
                "leave `cache: false` out there and run once, or name it under `outputs:`"
                    .to_owned(),
            )
        }
        None => Error::NotCached { action, stage: name.clone() },
    }
}
