//! Stage kinds: options, ports, key, run.

use std::borrow::Cow;
use std::sync::Arc;

use fuseline_artifact::ArtifactKind;
use fuseline_host::{Conditions, Interpreter, Isolation};
use fuseline_workflow::{
    Arity, Catalogue, Code, IndexVec, InputPort, KindIndex, KindSpec, OptionsSchema, OutputPort,
    Role,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::StageError;
use crate::inputs::{Inputs, Outputs};
use crate::key::KeyWriter;
use crate::plan_check::PlanSite;
use crate::row_flow::RowFlow;
use crate::services::Services;

/// An option without effect, and the reason.
pub type UnreadOption = (&'static str, &'static str);

/// A stage kind: the type holds the options that a workflow writes under `with:`.
///
/// Doc comments on its fields are the reference that users read; `deny_unknown_fields` is expected.
pub trait StageKind: DeserializeOwned + JsonSchema + Send + Sync + Sized + 'static {
    /// The name that a workflow's `uses:` gives, `family.member`.
    const NAME: &'static str;
    /// Raised when equal inputs may give different bytes than before, with the reason.
    const REVISION: u32;
    /// One sentence for the reference.
    const SUMMARY: &'static str;
    /// True if the kind works where the label is a number (`regression: true`). A kind that does
    /// not say so is refused behind such a cohort before anything runs.
    const TAKES_NUMBERS: bool = false;

    /// The typed inputs and outputs.
    fn ports() -> Ports;

    /// Writes every option into the key. Destructure `self`, so that a new option does not compile
    /// until it is keyed.
    fn key(&self, key: &mut KeyWriter<'_>);

    /// True if the options leave an optional input unread: it then enters neither the key nor what
    /// the action is given.
    fn leaves_unread(&self, _port: &str) -> bool {
        false
    }

    /// Options that have no effect as the others are and with these inputs, each with the reason.
    /// One that is written, and that no action of a stage reads, is a warning.
    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        Vec::new()
    }

    /// Checks beyond the JSON Schema of the options: a pattern that does not compile, parameters
    /// that a rule refuses.
    fn check(&self, _site: &mut CheckSite<'_>) {}

    /// True if the label of the cohort that the stage gives is a number.
    fn gives_numbers(&self) -> bool {
        false
    }

    /// Checks of a stage's actions that need the whole plan: what arrives from where, over which
    /// axes. What would fail while running, for reasons that the plan knows, is reported here.
    fn check_plan(&self, _site: &mut PlanSite<'_>) {}

    /// The outputs, of a kind whose stages declare their own ports ([`Ports::declared`]), in the
    /// order written.
    fn declared_outputs(&self) -> Option<Vec<(String, ArtifactKind)>> {
        None
    }

    /// Says what is done with the rows of each input of role fit or apply, and for each output
    /// which rows it holds and what shaped them.
    fn rows(&self, flow: &mut RowFlow<'_>);

    /// Does the work: a function of the inputs, the options and what the key names, and of nothing
    /// else.
    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError>;
}

/// Something wrong with an option that the options' JSON Schema does not see.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The option, as a dotted path under `with:`.
    pub option: String,
    /// A stable code, `fuseline::…`.
    pub code: Code,
    /// A lower-case fragment.
    pub message: String,
    /// Remedy, if one is known.
    pub hint: Option<String>,
    /// True if the option's name is wrong, not its value.
    pub at_key: bool,
    /// The word written and the one that was likely meant.
    pub meant: Option<Box<(String, String)>>,
}

impl Problem {
    /// A problem of the general code for options.
    pub fn new(option: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            option: option.into(),
            code: fuseline_workflow::codes::OPTION_VALUE,
            message: message.into(),
            hint: None,
            at_key: false,
            meant: None,
        }
    }

    /// Sets a more specific code.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Context of [`StageKind::check`], which collects its problems.
pub struct CheckSite<'a> {
    /// Services from outside.
    pub services: &'a Services,
    /// The inputs that the stage names.
    pub inputs: &'a [&'a str],
    /// Isolation of its rules.
    pub isolation: Isolation,
    /// Conditions of its rules and programs.
    pub conditions: Cow<'a, Conditions>,
    /// The interpreter that it uses, once the check has found one.
    pub interpreter: Option<Interpreter>,
    /// Problems found so far.
    pub problems: Vec<Problem>,
}

impl<'a> CheckSite<'a> {
    /// A check without problems so far, of a stage that states no conditions.
    pub fn new(services: &'a Services, inputs: &'a [&'a str]) -> Self {
        Self {
            services,
            inputs,
            isolation: services.isolation.unwrap_or_default(),
            conditions: Cow::default(),
            interpreter: None,
            problems: Vec::new(),
        }
    }

    /// Reports a problem.
    pub fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

/// The inputs and outputs of a stage kind.
#[derive(Default)]
pub struct Ports {
    inputs: Vec<InputPort>,
    outputs: Vec<OutputPort>,
    reads_point: bool,
    reads_provenance: bool,
    declared: bool,
}

impl Ports {
    /// No ports yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn input(
        mut self,
        name: &str,
        artifact: ArtifactKind,
        arity: Arity,
        role: Role,
        doc: &str,
    ) -> Self {
        self.inputs.push(InputPort {
            name: name.to_owned(),
            artifact: artifact.name().to_owned(),
            arity,
            required: true,
            read: true,
            role,
            doc: doc.to_owned(),
        });
        self
    }

    /// An input of exactly one artifact.
    #[must_use]
    pub fn one(self, name: &str, artifact: ArtifactKind, role: Role, doc: &str) -> Self {
        self.input(name, artifact, Arity::One, role, doc)
    }

    /// An input that gathers one or more artifacts.
    #[must_use]
    pub fn many(self, name: &str, artifact: ArtifactKind, role: Role, doc: &str) -> Self {
        self.input(name, artifact, Arity::Many, role, doc)
    }

    /// The last input may be left out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        if let Some(port) = self.inputs.last_mut() {
            port.required = false;
        }
        self
    }

    /// The last input belongs to the family, but this kind does not read it: it enters neither key
    /// nor leakage analysis.
    #[must_use]
    pub fn unread(mut self) -> Self {
        if let Some(port) = self.inputs.last_mut() {
            port.read = false;
            port.required = false;
        }
        self
    }

    /// An output. `main` is what a bare stage name means.
    #[must_use]
    pub fn output(mut self, name: &str, artifact: ArtifactKind, doc: &str) -> Self {
        self.outputs.push(OutputPort {
            name: name.to_owned(),
            artifact: artifact.name().to_owned(),
            doc: doc.to_owned(),
        });
        self
    }

    /// Each stage declares its own ports, under `inputs` and `outputs` of its options.
    #[must_use]
    pub fn declared(mut self) -> Self {
        self.declared = true;
        self
    }

    /// The stage asks at which point of its axes it stands; the point is then part of its key.
    #[must_use]
    pub fn reads_point(mut self) -> Self {
        self.reads_point = true;
        self
    }

    /// The stage asks where its inputs come from; what it is told is then part of its key.
    #[must_use]
    pub fn reads_provenance(mut self) -> Self {
        self.reads_provenance = true;
        self
    }
}

/// A stage with its options read.
pub trait PreparedStage: Send + Sync {
    /// See [`StageKind::leaves_unread`].
    fn leaves_unread(&self, port: &str) -> bool;
    /// See [`StageKind::key`].
    fn key(&self, key: &mut KeyWriter<'_>);
    /// See [`StageKind::declared_outputs`].
    fn declared_outputs(&self) -> Option<Vec<(String, ArtifactKind)>>;
    /// See [`StageKind::TAKES_NUMBERS`].
    fn takes_numbers(&self) -> bool;
    /// See [`StageKind::gives_numbers`].
    fn gives_numbers(&self) -> bool;
    /// See [`StageKind::without_effect`].
    fn without_effect(&self, inputs: &[&str]) -> Vec<UnreadOption>;
    /// See [`StageKind::check`].
    fn check(&self, site: &mut CheckSite<'_>);
    /// See [`StageKind::check_plan`].
    fn check_plan(&self, site: &mut PlanSite<'_>);
    /// See [`StageKind::rows`].
    fn rows(&self, flow: &mut RowFlow<'_>);
    /// See [`StageKind::run`].
    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError>;
}

impl<K: StageKind> PreparedStage for K {
    fn leaves_unread(&self, port: &str) -> bool {
        StageKind::leaves_unread(self, port)
    }
    fn key(&self, key: &mut KeyWriter<'_>) {
        StageKind::key(self, key);
    }
    fn declared_outputs(&self) -> Option<Vec<(String, ArtifactKind)>> {
        StageKind::declared_outputs(self)
    }
    fn takes_numbers(&self) -> bool {
        K::TAKES_NUMBERS
    }
    fn gives_numbers(&self) -> bool {
        StageKind::gives_numbers(self)
    }
    fn without_effect(&self, inputs: &[&str]) -> Vec<UnreadOption> {
        StageKind::without_effect(self, inputs)
    }
    fn check(&self, site: &mut CheckSite<'_>) {
        StageKind::check(self, site);
    }
    fn check_plan(&self, site: &mut PlanSite<'_>) {
        StageKind::check_plan(self, site);
    }
    fn rows(&self, flow: &mut RowFlow<'_>) {
        StageKind::rows(self, flow);
    }
    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        StageKind::run(self, inputs, outputs)
    }
}

type Prepare = fn(&Map<String, Value>) -> Result<Arc<dyn PreparedStage>, Problem>;

/// A stage kind as the engine holds it: its description and how to read its options.
pub struct Kind {
    pub(crate) spec: KindSpec,
    pub(crate) reads_point: bool,
    pub(crate) reads_provenance: bool,
    pub(crate) prepare: Prepare,
}

impl Kind {
    /// The stage kind that a type describes.
    pub fn new<K: StageKind>() -> Self {
        let ports = K::ports();
        Self {
            spec: KindSpec {
                name: K::NAME.to_owned(),
                revision: K::REVISION,
                summary: K::SUMMARY.to_owned(),
                inputs: ports.inputs,
                outputs: ports.outputs.into(),
                options: OptionsSchema::from_fn(|| schemars::schema_for!(K).to_value()),
                declared_ports: ports.declared,
            },
            reads_point: ports.reads_point,
            reads_provenance: ports.reads_provenance,
            prepare: |options| {
                if let Ok(stage) = K::deserialize(options) {
                    return Ok(Arc::new(stage));
                }
                // Once more, to say where it went wrong.
                match serde_path_to_error::deserialize::<_, K>(options) {
                    Ok(stage) => Ok(Arc::new(stage)),
                    Err(error) => {
                        Err(Problem::new(error.path().to_string(), error.into_inner().to_string()))
                    }
                }
            },
        }
    }
}

impl Kind {
    /// Specification of the kind for the workflow language.
    pub fn spec(&self) -> &KindSpec {
        &self.spec
    }

    /// A stage of this kind with its options, as a workflow gives them.
    pub fn prepare(&self, options: &Map<String, Value>) -> Result<Arc<dyn PreparedStage>, Problem> {
        (self.prepare)(options)
    }

    /// The output ports with their artifact kinds, unless stages of this kind declare their own.
    pub(crate) fn output_ports(&self) -> Vec<(String, ArtifactKind)> {
        // Ports are declared with artifact kinds, so every name is that of one.
        let ports = self.spec.outputs.iter();
        ports.filter_map(|port| Some((port.name.clone(), port.artifact.parse().ok()?))).collect()
    }
}

/// The stage kinds of one program, in the order of the catalogue.
pub struct Kinds {
    kinds: IndexVec<KindIndex, Kind>,
    catalogue: Catalogue,
}

impl Kinds {
    /// Collects stage kinds; names are expected to differ.
    pub fn new(kinds: Vec<Kind>) -> Self {
        let catalogue = Catalogue::new(kinds.iter().map(|kind| kind.spec.clone()).collect());
        Self { kinds: kinds.into(), catalogue }
    }

    /// Specifications of the kinds for the workflow language.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// All kinds, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter()
    }

    /// The kind of a name.
    pub(crate) fn named(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.spec.name == name)
    }

    pub(crate) fn get(&self, index: KindIndex) -> &Kind {
        &self.kinds[index]
    }
}
