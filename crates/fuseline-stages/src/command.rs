//! `command`: a program in any language, exchanging Parquet by path.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use fuseline_artifact::ArtifactKind;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, Problem, RowFlow, StageError, StageKind, codes,
};
use fuseline_host::{CHOOSE_INTERPRETER, Interpreter};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::join::JoinOptions;

mod conform;
mod process;
mod rows;
mod task;

/// Runs a program in a fresh folder: it reads `task.json` and the Parquet files that it names, and
/// writes the Parquet files that it names.
///
/// The program is given the rows that the roles of its inputs permit and no others, so that it
/// cannot learn from rows that it must not see: with `test_fold`, an input of role `fit` holds the
/// training rows alone, and one of role `apply` the test rows alone. An input of role `neutral` is
/// whole, and is taken to shape everything that the program gives. A program without labels among
/// its inputs (a cohort, or what was made of labels) cannot tell them: it may rate the rows that it
/// looks at, and nothing that test rows shaped may be fitted on. Nothing of the environment is
/// visible but PATH, settings that make numeric libraries use one thread, and what `env` says;
/// relative paths see only what `files` names. A file that `run`, `params` or `env` names by an
/// absolute path, such as the value of a path param, is part of the key by its content, and so is a
/// folder that a path param names. A program may say which other files it has read, in
/// `reads.json`: `[{"path": "/absolute/path", "size": 6, "modified_ns": 1}]`, size and time of
/// change left out or as they were when it read them. When one of them changes, the action is
/// executed again. Functions of the Python package say it by themselves: of modules that they
/// import, files that they open, versions of installed distributions and the interpreter. What a
/// program opens beyond that is not seen.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments, such as `[python3, expert.py]`. No shell is in between.
    /// `python3` and `python` mean the interpreter that `python` of the workflow or of the settings
    /// names, else that of `VIRTUAL_ENV`, else `python3` on PATH.
    #[schemars(length(min = 1))]
    run: Vec<String>,
    /// Files that the program needs, itself included when it is a script. They are copied into its
    /// folder under their own names, and their content is part of the key.
    #[serde(default)]
    #[schemars(with = "Vec<FilePath>")]
    files: Vec<PathBuf>,
    /// The inputs, by name, as under the stage's `inputs:`.
    #[serde(default)]
    inputs: Declared<InputPort>,
    /// The outputs, by name. `main` is what a bare stage name means.
    outputs: Declared<OutputPort>,
    /// The fold whose rows are tested; the inputs then hold an artifact of kind folds.
    #[serde(default)]
    test_fold: Option<i32>,
    /// Parameters of the program, as JSON, under `params` of `task.json`.
    #[serde(default)]
    params: Map<String, Value>,
    /// Least share of the rows of its input that an output that says `rows_of` must have.
    #[serde(default)]
    join: JoinOptions,
    /// Environment variables.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Raise it when the program may answer differently though no file of `files` changed: another
    /// interpreter, another version of a library.
    #[serde(default = "one")]
    revision: u32,
}

/// A path, for the schema: `files` are made absolute as every path is.
#[derive(JsonSchema)]
#[serde(transparent)]
pub(crate) struct FilePath(
    #[schemars(extend("format" = "path"))]
    #[expect(dead_code, reason = "only its schema is used")]
    String,
);

fn one() -> u32 {
    1
}

/// An input that the stage declares.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct InputPort {
    /// Its artifact kind.
    #[schemars(with = "String", extend("enum" = artifact_kinds()))]
    artifact: ArtifactKind,
    /// Use of the rows by the program: `fit` learns from them, `apply` answers each row by
    /// itself, `neutral` may do anything.
    #[serde(default)]
    role: InputRole,
    /// True if the input gathers several artifacts.
    #[serde(default)]
    many: bool,
}

/// Use of the rows of an input by a program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum InputRole {
    /// It learns from them.
    Fit,
    /// It answers each of them by itself, with what it learnt or without.
    Apply,
    /// Anything.
    #[default]
    Neutral,
}

/// An output that the stage declares.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OutputPort {
    /// Its artifact kind.
    #[schemars(with = "String", extend("enum" = artifact_kinds()))]
    artifact: ArtifactKind,
    /// The input whose rows it holds, or some of them; those of all inputs together when left out.
    #[serde(default)]
    rows_of: Option<String>,
    /// True if the output for a row comes from a fit without that row, though the program has its
    /// label. A program without labels need not say so.
    #[serde(default)]
    out_of_fold: bool,
    /// Metadata of the whole table, such as `modality` of evidence. Entries that follow from the
    /// inputs may be left out.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// Of a report: what its bytes are, such as `text/html`.
    #[serde(default)]
    media_type: Option<String>,
}

fn artifact_kinds() -> Vec<&'static str> {
    ArtifactKind::ALL.iter().map(|kind| kind.name()).collect()
}

/// Ports by name, in the order written.
#[derive(Debug, Clone)]
struct Declared<T>(Vec<(String, T)>);

impl<T> Default for Declared<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Declared<T> {
    fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, port)| port)
    }
}

impl<T: Serialize> Serialize for Declared<T> {
    /// A list, since the order of ports is part of what they are.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Declared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Declared<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to ports")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Declared<T>, A::Error> {
                let mut ports = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    ports.push(entry);
                }
                Ok(Declared(ports))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Declared<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}s", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

impl StageKind for Command {
    const NAME: &'static str = "command";
    /// 2: programs are set to use one thread, as rules are.
    const REVISION: u32 = 2;
    const SUMMARY: &'static str = "A program in any language, exchanging Parquet files.";

    fn ports() -> Ports {
        Ports::new().declared().reads_point()
    }

    fn declared_outputs(&self) -> Option<Vec<(String, ArtifactKind)>> {
        let ports = self.outputs.0.iter();
        Some(ports.map(|(name, port)| (name.clone(), port.artifact)).collect())
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { run, files, inputs, outputs, test_fold, params, join, env, revision } = self;
        key.texts("run", run);
        for (number, file) in files.iter().enumerate() {
            key.field(&format!("files.{number}.name"), &name_of(file));
            key.file(&format!("files.{number}"), file);
        }
        key.field("inputs", inputs);
        key.field("outputs", outputs);
        key.field("test_fold", test_fold);
        key.texts("params", params);
        // Programs may take long: a missing statement is no reason to run one again.
        if *join != JoinOptions::default() {
            key.field("join", join);
        }
        key.texts("env", env);
        key.field("revision", revision);
        key.seed();
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.run.first().is_some_and(|program| Interpreter::is_meant_by(program)) {
            let stated = site.services.plugins.stated_python(&site.conditions);
            match Interpreter::find(stated) {
                Ok(interpreter) => site.interpreter = Some(interpreter),
                Err(error) => {
                    let problem = Problem::new("run", error.to_string());
                    site.report(problem.code(codes::MISSING_INTERPRETER).hint(CHOOSE_INTERPRETER))
                }
            }
        }
        let folds = self.inputs.0.iter().filter(|(_, port)| port.artifact == ArtifactKind::Folds);
        match (self.test_fold, folds.count()) {
            (Some(_), 0) => site.report(
                Problem::new("test_fold", "`test_fold` needs an input of kind folds")
                    .hint("declare it: `folds: { artifact: folds }`"),
            ),
            (Some(_), 2..) => {
                site.report(Problem::new("inputs", "only one input may be of kind folds"));
            }
            _ => {}
        }
        if self.outputs.0.is_empty() {
            site.report(Problem::new("outputs", "at least one output is needed"));
        }
        for (name, port) in &self.outputs.0 {
            let at = |option: &str| format!("outputs.{name}.{option}");
            if let Some(of) = &port.rows_of
                && self.inputs.get(of).is_none()
            {
                let names: Vec<_> = self.inputs.0.iter().map(|(name, _)| name.as_str()).collect();
                site.report(
                    Problem::new(at("rows_of"), format!("there is no input `{of}`"))
                        .hint(format!("the inputs are {}", names.join(", "))),
                );
            }
            if port.artifact == ArtifactKind::Model {
                site.report(Problem::new(at("artifact"), "a program cannot give a model").hint(
                    "a model belongs to the plugin that fitted it; give evidence, quality or \
                     predictions",
                ));
            }
            if (port.artifact == ArtifactKind::Report) != port.media_type.is_some() {
                site.report(Problem::new(
                    at("media_type"),
                    "a report needs a `media_type`, and nothing else has one",
                ));
            }
        }
        let mut names =
            BTreeSet::from(["task.json", "inputs", "outputs", task::READS].map(str::to_owned));
        for (number, file) in self.files.iter().enumerate() {
            let name = name_of(file);
            if !names.insert(name.clone()) {
                let message = format!("the name {name} is taken in the program's folder");
                site.report(Problem::new(format!("files.{number}"), message));
            }
        }
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        rows::follow(self, flow);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        task::run(self, inputs, outputs)
    }
}

impl Command {
    fn folds_port(&self) -> Option<&str> {
        let mut ports = self.inputs.0.iter();
        ports.find(|(_, port)| port.artifact == ArtifactKind::Folds).map(|(name, _)| name.as_str())
    }
}

/// True if rows of this kind are examples.
fn is_per_example(kind: ArtifactKind) -> bool {
    kind.schema().is_some_and(|schema| {
        schema
            .columns
            .iter()
            .any(|column| matches!(column.name, fuseline_artifact::ColumnName::Is("example_id")))
    })
}

/// The last part of a path.
fn name_of(file: &std::path::Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
