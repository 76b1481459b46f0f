//! One run of a program: what it is given, and what it gives back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use fuseline_artifact::{
    Artifact, ArtifactKind, Cohort, Folds, INNER_FOLD, Payload, Report, Typed,
};
use fuseline_engine::{Inputs, Labelled, Outputs, ReadFile, StageError, codes, open_regular};
use fuseline_host::outside_of;
use serde_json::{Map, Value, json};

use super::conform::{self, Known};
use super::{Command, InputRole, is_per_example, name_of, process};
use crate::guard::fold_apart;
use crate::join::{Loss, Source, find_mismatch};
use crate::rows::fold_of_rows;
use crate::split::some_tested;

/// File in which a program lists the files that it has read.
pub(super) const READS: &str = "reads.json";

/// Artifact of an input, restricted to what the program may see.
struct Given<'a> {
    name: &'a str,
    artifacts: Vec<Labelled<Artifact>>,
}

/// The error of a folder that cannot be made or written to.
fn no_folder(error: std::io::Error) -> StageError {
    StageError::failed(format!("the program's folder cannot be made: {error}"))
}

/// Runs the program in a folder of its own, which is removed then, or kept for people where it
/// failed and they want to look at it.
pub(super) fn run(
    stage: &Command,
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
) -> Result<(), StageError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("fuseline-");
    let folder = match inputs.keep_failed() {
        Some(keep) => {
            std::fs::create_dir_all(keep).map_err(no_folder)?;
            builder.tempdir_in(keep)
        }
        None => builder.tempdir(),
    };
    let folder = folder.map_err(no_folder)?;
    run_in(folder.path(), stage, inputs, outputs).map_err(|error| match inputs.keep_failed() {
        Some(_) => {
            let kept = folder.keep();
            let message = format!(
                "{}\nits folder is kept, with task.json, inputs and all that it wrote: {}",
                error.message,
                kept.display()
            );
            StageError { message, ..error }
        }
        None => error,
    })
}

fn run_in(
    folder: &Path,
    stage: &Command,
    inputs: &Inputs<'_>,
    outputs: &mut Outputs,
) -> Result<(), StageError> {
    let io = no_folder;
    for name in ["inputs", "outputs"] {
        std::fs::create_dir(folder.join(name)).map_err(io)?;
    }
    for file in &stage.files {
        let copy = folder.join(name_of(file));
        std::fs::write(&copy, inputs.read_file(file)?).map_err(io)?;
        // A script stays executable.
        let permissions = std::fs::metadata(file).map_err(io)?.permissions();
        std::fs::set_permissions(&copy, permissions).map_err(io)?;
    }
    let given = given(stage, inputs)?;
    let task = task(stage, inputs, &given, folder)?;
    std::fs::write(folder.join("task.json"), format!("{task:#}\n")).map_err(io)?;
    let interpreter = process::run(&stage.run, folder, &stage.env, inputs)?;
    // Files that it read where they lie were as the key says.
    inputs.check_files(&stage.files)?;
    outputs.discover(reads(folder)?);
    // Its version counts, whether the program tells of it or not.
    let program = interpreter.and_then(|of| of.program.canonicalize().ok());
    outputs.discover(program.map(|path| ReadFile { path, size: None, modified_ns: None }));

    let known = Known::gather(given.iter().flat_map(|given| &given.artifacts), inputs.point());
    for (name, port) in &stage.outputs.0 {
        let path = folder.join(output_path(name, port.artifact));
        let bytes = read_regular(&path).map_err(|error| {
            StageError::failed(format!(
                "the program ended and did not write output {name}: {error}"
            ))
            .at(format!("outputs.{name}"))
            .hint(format!("write it to {}", output_path(name, port.artifact)))
        })?;
        if let Some(media_type) = &port.media_type {
            outputs.put(name, Report { media_type: media_type.clone(), bytes })?;
            continue;
        }
        let at = |error: StageError| error.at(format!("outputs.{name}"));
        let artifact = conform::read(port.artifact, bytes, &port.metadata, &known)
            .map_err(|error| at(prefixed(name, error)))?;
        if is_per_example(port.artifact) {
            only_declared(stage, name, &artifact, &given, outputs).map_err(at)?;
        }
        outputs.put_raw(name, artifact)?;
    }
    Ok(())
}

/// Reads what the program wrote, unless it is a pipe or a device, which has no end.
fn read_regular(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files that the program reports as read; those of its own folder are copies that the key
/// covers.
fn reads(folder: &Path) -> Result<Vec<ReadFile>, StageError> {
    let path = folder.join(READS);
    let bytes = match read_regular(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes.map_err(|error| StageError::failed(format!("{READS}: {error}")))?,
    };
    let refused = |problem: String| {
        StageError::failed(format!("the program wrote a {READS} that is not understood: {problem}"))
            .at("run")
            .hint("a list of files that it has read: [{\"path\": \"/absolute/path\"}]")
    };
    let read: Vec<ReadFile> =
        serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
    outside_of(folder, read).map_err(refused)
}

fn prefixed(name: &str, error: StageError) -> StageError {
    StageError { message: format!("output {name}: {}", error.message), ..error }
}

/// Reads the inputs and cuts each to the rows that its role permits.
fn given<'a>(stage: &'a Command, inputs: &Inputs<'_>) -> Result<Vec<Given<'a>>, StageError> {
    let fold_of: Option<BTreeMap<String, i32>> = match (stage.folds_port(), stage.test_fold) {
        (Some(port), Some(test)) => {
            let folds: Folds = inputs.one(port)?;
            sides_apart(stage, inputs, &folds, test)?;
            Some(folds.example_id.iter().map(str::to_owned).zip(folds.fold).collect())
        }
        _ => None,
    };
    let permitted = |role: InputRole, id: &str| match (&fold_of, role) {
        (Some(fold_of), InputRole::Fit) => {
            fold_of.get(id).is_some_and(|fold| Some(*fold) != stage.test_fold)
        }
        (Some(fold_of), InputRole::Apply) => {
            fold_of.get(id).is_some_and(|fold| Some(*fold) == stage.test_fold)
        }
        _ => true,
    };
    let read = |name: &'a str, port: &super::InputPort| {
        let mut artifacts = Vec::new();
        for Labelled { point, artifact } in inputs.raw(name)? {
            let mut artifact = Arc::unwrap_or_clone(artifact);
            if let Payload::Table(table) = &artifact.payload
                && is_per_example(artifact.kind)
            {
                let kept: BooleanArray =
                    ids(table)?.iter().map(|id| Some(permitted(port.role, id?))).collect();
                let table = filter_record_batch(table, &kept)
                    .map_err(|error| StageError::failed(error.to_string()))?;
                if table.num_rows() < kept.len() {
                    artifact.metadata.remove(INNER_FOLD);
                }
                if table.num_rows() == 0 {
                    let role = if port.role == InputRole::Fit { "training" } else { "test" };
                    return Err(StageError::data(format!("input {name} has no {role} row"))
                        .at(format!("inputs.{name}")));
                }
                artifact.payload = Payload::Table(table);
            }
            artifacts.push(Labelled { point, artifact });
        }
        Ok(Given { name, artifacts })
    };
    stage.inputs.0.iter().map(|(name, port)| read(name, port)).collect()
}

/// An error when a group of a cohort among the inputs is on both sides of the fold.
fn sides_apart(
    stage: &Command,
    inputs: &Inputs<'_>,
    folds: &Folds,
    test: i32,
) -> Result<(), StageError> {
    let cohorts = stage.inputs.0.iter().filter(|(_, port)| port.artifact == ArtifactKind::Cohort);
    for (name, _) in cohorts {
        for cohort in inputs.many::<Cohort>(name)? {
            let cohort = cohort.artifact;
            let fold = fold_of_rows(&cohort, folds)?;
            some_tested(test, &fold)?;
            fold_apart(&cohort, &fold, test)?;
        }
    }
    Ok(())
}

/// Writes the inputs and says where they are.
fn task(
    stage: &Command,
    inputs: &Inputs<'_>,
    given: &[Given<'_>],
    folder: &Path,
) -> Result<Value, StageError> {
    let mut told = Map::new();
    for (port, given) in stage.inputs.0.iter().map(|(_, port)| port).zip(given) {
        let mut each = Vec::new();
        for (number, Labelled { point, artifact }) in given.artifacts.iter().enumerate() {
            let suffix = if artifact.media_type().is_some() { "" } else { ".parquet" };
            let path = match port.many {
                true => format!("inputs/{}.{number}{suffix}", given.name),
                false => format!("inputs/{}{suffix}", given.name),
            };
            std::fs::write(folder.join(&path), artifact.encode()?).map_err(|error| {
                StageError::failed(format!("input {} cannot be written: {error}", given.name))
            })?;
            let point: Map<String, Value> =
                point.iter().map(|(axis, label)| (axis.clone(), label.clone().into())).collect();
            let metadata: Map<String, Value> = artifact
                .metadata
                .iter()
                .map(|(key, value)| (key.clone(), value.clone().into()))
                .collect();
            each.push(json!({
                "path": path, "artifact": port.artifact, "point": point, "metadata": metadata,
            }));
        }
        let value = if port.many { Value::Array(each) } else { each.pop().unwrap_or_default() };
        told.insert(given.name.to_owned(), value);
    }
    let outputs: Map<String, Value> = stage
        .outputs
        .0
        .iter()
        .map(|(name, port)| {
            let path = output_path(name, port.artifact);
            (name.clone(), json!({ "path": path, "artifact": port.artifact }))
        })
        .collect();
    let point: Map<String, Value> =
        inputs.point().iter().map(|(axis, label)| (axis.clone(), label.clone().into())).collect();
    Ok(json!({
        "inputs": told,
        "outputs": outputs,
        "params": stage.params,
        "test_fold": stage.test_fold,
        "point": point,
        "seed": inputs.seed(),
    }))
}

fn output_path(name: &str, kind: ArtifactKind) -> String {
    match kind {
        ArtifactKind::Report => format!("outputs/{name}"),
        _ => format!("outputs/{name}.parquet"),
    }
}

/// An error when an output holds a row twice, or one that its stage does not declare. Rows that it
/// does not hold are a caution.
fn only_declared(
    stage: &Command,
    name: &str,
    artifact: &Artifact,
    given: &[Given<'_>],
    outputs: &mut Outputs,
) -> Result<(), StageError> {
    let Payload::Table(table) = &artifact.payload else { return Ok(()) };
    let rows_of = stage.outputs.get(name).and_then(|port| port.rows_of.as_deref());
    let mut declared = BTreeSet::new();
    let mut any = false;
    for given in given.iter().filter(|given| rows_of.is_none_or(|of| of == given.name)) {
        for Labelled { artifact, .. } in &given.artifacts {
            if let Payload::Table(table) = &artifact.payload
                && is_per_example(artifact.kind)
            {
                any = true;
                declared.extend(ids(table)?.iter().flatten().map(str::to_owned));
            }
        }
    }
    let mut seen = BTreeSet::new();
    for id in ids(table)?.iter().flatten() {
        if !seen.insert(id) {
            return Err(StageError::data(format!(
                "output {name} has example {id} in more than one row"
            ))
            .code(&codes::LEAK_DUPLICATE_EXAMPLE)
            .hint("give each example one row, and different examples different example_ids"));
        }
        // A program without inputs of examples makes them.
        if any && !declared.contains(id) {
            let of = rows_of.map_or_else(|| "any input".to_owned(), |of| format!("input {of}"));
            let message = format!(
                "output {name} has example {id}, which is not in what {of} gave the program"
            );
            let written: BTreeSet<&str> = ids(table)?.iter().flatten().collect();
            let missing = declared.iter().map(String::as_str).filter(|id| !written.contains(id));
            let foreign = written.iter().copied().filter(|id| !declared.contains(*id));
            let sources = [Source::new("the output", foreign), Source::new(&of, missing)];
            let (message, hint) = match find_mismatch(&sources) {
                Some(found) => (format!("{message}; {found}"), "write ids as they were given"),
                None => (message, "give the rows that `rows_of` declares and no others"),
            };
            return Err(StageError::data(message).code(&codes::LEAK_UNDECLARED_ROWS).hint(hint));
        }
    }
    let lost: Vec<&str> =
        declared.iter().map(String::as_str).filter(|id| !seen.contains(id)).collect();
    let (Some(rows_of), false) = (rows_of, lost.is_empty()) else { return Ok(()) };
    let (kept, of) = (seen.len(), declared.len());
    let what =
        format!("output {name} lacks {} of the {of} examples of input {rows_of}", lost.len());
    let loss = Loss { what, lost, kept, of, by_design: true, mismatch: None };
    stage.join.judge(loss, outputs)
}

fn ids(table: &RecordBatch) -> Result<&StringArray, StageError> {
    let column = table.column_by_name("example_id");
    column
        .filter(|column| column.data_type() == &arrow::datatypes::DataType::Utf8)
        .map(|column| column.as_string::<i32>())
        .ok_or_else(|| StageError::failed("a table of examples has no column example_id"))
}

/// Reads an artifact through its type, which checks its values.
pub(super) fn check_values(artifact: &Artifact) -> Result<(), StageError> {
    fn check<T: Typed>(artifact: &Artifact) -> Result<(), StageError> {
        T::from_artifact(artifact).map(drop).map_err(|error| StageError::data(error.to_string()))
    }
    match artifact.kind {
        ArtifactKind::Features => check::<fuseline_artifact::Features>(artifact),
        ArtifactKind::Cohort => check::<Cohort>(artifact),
        ArtifactKind::Folds => check::<Folds>(artifact),
        ArtifactKind::Evidence => check::<fuseline_artifact::OptionalEvidence>(artifact),
        ArtifactKind::Quality => check::<fuseline_artifact::Quality>(artifact),
        ArtifactKind::Predictions => check::<fuseline_artifact::Predictions>(artifact),
        ArtifactKind::Permutations => check::<fuseline_artifact::Permutations>(artifact),
        ArtifactKind::ExampleEffects => check::<fuseline_artifact::ExampleEffects>(artifact),
        ArtifactKind::Findings => check::<fuseline_artifact::Findings>(artifact),
        ArtifactKind::Metadata => check::<fuseline_artifact::Metadata>(artifact),
        ArtifactKind::Audit => check::<fuseline_artifact::Audit>(artifact),
        ArtifactKind::Table => check::<fuseline_artifact::AnyTable>(artifact),
        ArtifactKind::Model | ArtifactKind::Report => Ok(()),
    }
}
