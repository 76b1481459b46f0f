//! Inputs and outputs of a stage.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fuseline_artifact::{Artifact, ArtifactKind, Digest, Features, Typed};
use fuseline_host::{Conditions, Isolation, PluginFile, Rule, Sourced};
use fuseline_workflow::KindSpec;
use serde::{Deserialize, Serialize};

use crate::cautions::ActionCautions;
use crate::discovered::ReadFile;
use crate::error::{Class, StageError};
use crate::files::{FileDigests, open_regular};
use crate::files_read::FileRead;
use crate::services::Services;

/// One choice of values: axis and label, in the order of the stage's axes.
pub type Point = Vec<(String, String)>;

/// An artifact of a gathering port, with the coordinates that were gathered.
#[derive(Debug, Clone)]
pub struct Labelled<T> {
    /// The gathered axes and their labels.
    pub point: Point,
    /// The artifact.
    pub artifact: T,
}

/// Reads an artifact when a stage asks for it: all of it, or at least these columns.
type Load<'a> =
    Box<dyn Fn(Option<&[&str]>) -> Result<Arc<Artifact>, StageError> + Send + Sync + 'a>;

struct Member<'a> {
    port: String,
    point: Point,
    load: Load<'a>,
}

/// Origin of everything upstream of a stage, for reports.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of fuseline.
    pub fuseline_version: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Name of its file, without the folder: where it lies is not part of a result.
    pub file: String,
    /// Its description.
    pub description: Option<String>,
    /// Digest of what the workflow says, comments and layout aside.
    pub workflow_digest: String,
    /// The seed.
    pub seed: u64,
    /// Parameters as resolved. Paths are relative to the workflow's folder, or last components
    /// alone where they lie elsewhere, since where a file lies is not part of a result.
    pub params: Vec<(String, String)>,
    /// Names of the parameters that are last components alone.
    #[serde(default)]
    pub shortened: Vec<String>,
    /// Axes with their labels.
    pub axes: Vec<(String, Vec<String>)>,
    /// Stages upstream: name, stage kind, number of actions.
    pub stages: Vec<(String, String, usize)>,
    /// Edges between stages, producer first.
    pub edges: Vec<(String, String)>,
    /// The axes of each of the stages, in their order.
    #[serde(default)]
    pub stage_axes: Vec<Vec<String>>,
    /// Edges between ports: producing stage, its output, reading stage, its input.
    #[serde(default)]
    pub ports: Vec<(String, String, String, String)>,
    /// Files that the actions upstream read. Their paths are names alone, since where a file lies
    /// is not part of a result.
    #[serde(default)]
    pub files: Vec<FileRead>,
    /// Artifacts that came from outside: stage and point, digest.
    pub sources: Vec<(String, String)>,
    /// Plugins that took part: id, digest; each once.
    pub plugins: Vec<(String, String)>,
    /// Cautions of the actions upstream. A key names their objects; an executor reads the texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cautions: Vec<ActionCautions>,
}

/// Inputs of a stage. Data from outside comes in only through here.
pub struct Inputs<'a> {
    members: Vec<Member<'a>>,
    /// The ports that the stage kind reads; any where its stages declare their own.
    ports: Option<Vec<&'a str>>,
    point: Point,
    seed: u64,
    services: &'a Services,
    files: Vec<(PathBuf, Digest)>,
    provenance: Option<Arc<Provenance>>,
    stop: Option<Arc<AtomicBool>>,
    isolation: Option<Isolation>,
    keep_failed: Option<PathBuf>,
    conditions: Conditions,
}

impl Inputs<'_> {
    /// Folder in which the folder of a program that failed is kept; it is removed when there is
    /// none.
    pub fn keep_failed(&self) -> Option<&Path> {
        self.keep_failed.as_deref()
    }

    /// The artifact of a port that takes exactly one.
    pub fn one<T: Typed>(&self, port: &str) -> Result<T, StageError> {
        self.optional(port)?
            .ok_or_else(|| StageError::failed(format!("nothing arrived at input {port}")))
    }

    /// The artifact of a port that may be left out.
    pub fn optional<T: Typed>(&self, port: &str) -> Result<Option<T>, StageError> {
        self.declared(port)?;
        let mut found = self.members.iter().filter(|member| member.port == port);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(member), None) => Ok(Some(T::from_artifact(&*(member.load)(None)?)?)),
            (Some(_), Some(_)) => {
                Err(StageError::failed(format!("more than one artifact arrived at input {port}")))
            }
        }
    }

    /// The artifacts of a gathering port, in the declared order of the gathered axes.
    pub fn many<T: Typed>(&self, port: &str) -> Result<Vec<Labelled<T>>, StageError> {
        self.each(port).collect()
    }

    /// The artifacts of [`Inputs::many`] one after the other, each read when it is asked for.
    pub fn each<T: Typed>(
        &self,
        port: &str,
    ) -> impl Iterator<Item = Result<Labelled<T>, StageError>> {
        self.read(port, None, |artifact| Ok(T::from_artifact(&artifact)?))
    }

    /// The features of a port with these columns alone, as far as they have them, and their
    /// example_ids: the others of large ones are not read. A small artifact may come with all of
    /// its columns.
    pub fn columns(
        &self,
        port: &str,
        columns: &[&str],
    ) -> Result<Vec<Labelled<Features>>, StageError> {
        let columns: Vec<&str> = [&["example_id"], columns].concat();
        self.read(port, Some(&columns), |artifact| Ok(Features::from_artifact(&artifact)?))
            .collect()
    }

    /// The artifacts of a port as they are, whatever their kind.
    pub fn raw(&self, port: &str) -> Result<Vec<Labelled<Arc<Artifact>>>, StageError> {
        self.read(port, None, Ok).collect()
    }

    fn read<T>(
        &self,
        port: &str,
        columns: Option<&[&str]>,
        read: impl Fn(Arc<Artifact>) -> Result<T, StageError>,
    ) -> impl Iterator<Item = Result<Labelled<T>, StageError>> {
        let members = self.members.iter().filter(move |member| member.port == port);
        let artifacts = members.map(move |member| {
            let artifact = read((member.load)(columns)?)?;
            Ok(Labelled { point: member.point.clone(), artifact })
        });
        self.declared(port).err().map(Err).into_iter().chain(artifacts)
    }

    /// An error for a port that the kind does not declare: the key and the leakage check know
    /// nothing of it.
    fn declared(&self, port: &str) -> Result<(), StageError> {
        match &self.ports {
            Some(ports) if !ports.contains(&port) => Err(StageError::failed(format!(
                "the stage asks for the input {port}, which its kind does not read"
            ))),
            _ => Ok(()),
        }
    }

    /// The label of the stage's own point on an axis. Only kinds whose ports say `reads_point` see
    /// their point.
    pub fn label(&self, axis: &str) -> Option<&str> {
        self.point.iter().find(|(name, _)| name == axis).map(|(_, label)| label.as_str())
    }

    /// The stage's own point. Empty unless the kind's ports say `reads_point`.
    pub fn point(&self) -> &Point {
        &self.point
    }

    /// The seed of the stage, or of the workflow. A kind that asks must write it into its key.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Services from outside: fusion rules and their isolation.
    pub fn services(&self) -> &Services {
        self.services
    }

    /// Isolation of fusion rules: the invocation takes precedence over the stage.
    pub fn isolation(&self) -> Isolation {
        self.services.isolation.or(self.isolation).unwrap_or_default()
    }

    /// Conditions under which rules and programs run.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Loads a fusion rule, isolated and under the conditions of the stage.
    pub fn load_rule(&self, file: &PluginFile) -> Result<Rule, StageError> {
        Ok(self.services.plugins.load_under(file, self.isolation(), &self.conditions)?)
    }

    /// Origin of the inputs. Only kinds whose ports say `reads_provenance` get it.
    pub fn provenance(&self) -> Option<&Provenance> {
        self.provenance.as_deref()
    }

    /// The bytes of a file that the key names; an error when they are no longer those that were
    /// keyed, or take more memory than the stage may use.
    pub fn read_file(&self, path: &Path) -> Result<Vec<u8>, StageError> {
        let keyed = self.keyed(path)?;
        let mut file = open_regular(path).map_err(|error| unreadable(path, &error))?;
        let length = file.metadata().map_or(0, |looks| looks.len());
        if let Some(limit) = &self.conditions.memory {
            fits_memory(limit, &path.display().to_string(), length)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
        if Digest::hash(&bytes) == keyed { Ok(bytes) } else { Err(changed(path)) }
    }

    /// Result of `read` on a file that the key names, without holding all of it.
    ///
    /// Afterwards the file is hashed and its time looked at. When it is no longer what was keyed,
    /// or somebody wrote to it meanwhile, that is the error, whatever `read` made of it.
    pub fn through_file<T>(
        &self,
        path: &Path,
        read: impl FnOnce(File) -> Result<T, StageError>,
    ) -> Result<T, StageError> {
        let keyed = self.keyed(path)?;
        let unreadable = |error: io::Error| unreadable(path, &error);
        let mut file = open_regular(path).map_err(unreadable)?;
        let looks = || file.metadata().and_then(|looks| Ok((looks.len(), looks.modified()?)));
        let before = looks().map_err(unreadable)?;
        let made = read(file.try_clone().map_err(unreadable)?);
        let after = looks().map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        if before != after || Digest::of_reader(&file).map_err(unreadable)? != keyed {
            return Err(changed(path));
        }
        made
    }

    /// An error when a file that the key names is no longer what was keyed, for who lets a program
    /// read them; all but those of which it was given copies.
    pub fn check_files(&self, copied: &[PathBuf]) -> Result<(), StageError> {
        let files = FileDigests::default();
        let mut read = self.files.iter().filter(|(path, _)| !copied.contains(path));
        let changed_file = read.find(|(path, digest)| !files.is_unchanged(path, digest));
        changed_file.map_or(Ok(()), |(path, _)| Err(changed(path)))
    }

    /// The files of a folder that the key names, in the order of their paths; none when the path is
    /// that of a file.
    pub fn parts(&self, folder: &Path) -> Vec<&Path> {
        let keyed = self.files.iter().map(|(keyed, _)| keyed.as_path());
        let mut parts: Vec<_> =
            keyed.filter(|keyed| *keyed != folder && keyed.starts_with(folder)).collect();
        parts.sort();
        parts
    }

    fn keyed(&self, path: &Path) -> Result<Digest, StageError> {
        let keyed = self.files.iter().find(|(keyed, _)| keyed == path);
        keyed
            .map(|(_, digest)| *digest)
            .ok_or_else(|| StageError::failed(format!("{} is not part of the key", path.display())))
    }

    /// The flag that is raised when the run is to stop; long work checks it now and then.
    pub fn stop_flag(&self) -> Option<&Arc<AtomicBool>> {
        self.stop.as_ref()
    }

    /// An error once the run is to stop.
    pub fn keep_going(&self) -> Result<(), StageError> {
        match &self.stop {
            Some(stop) if stop.load(Ordering::Relaxed) => {
                Err(StageError { class: Class::Cancelled, ..StageError::failed("interrupted") })
            }
            _ => Ok(()),
        }
    }
}

/// An error when `what` takes more bytes of memory than a limit, before any of them is reserved.
pub fn fits_memory(limit: &Sourced<u64>, what: &str, bytes: u64) -> Result<(), StageError> {
    if bytes <= limit.value {
        return Ok(());
    }
    let text = |bytes: u64| match bytes {
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
        1_000_000.. => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{bytes} bytes"),
    };
    Err(StageError::data(format!(
        "{what} would take {} of memory, and {} may be used ({})",
        text(bytes),
        text(limit.value),
        limit.origin
    ))
    .at("path")
    .hint("raise the limit, or read less of the file"))
}

fn unreadable(path: &Path, error: &io::Error) -> StageError {
    StageError::data(format!("cannot read {}: {error}", path.display()))
}

fn changed(path: &Path) -> StageError {
    StageError::data(format!("{} changed while the run was under way", path.display()))
        .hint("run again when nothing writes to it")
}

/// Puts [`Inputs`] together: the engine from the cache, a test from artifacts in memory.
pub struct InputsBuilder<'a>(Inputs<'a>);

impl<'a> InputsBuilder<'a> {
    /// Inputs with nothing at any port.
    pub fn new(services: &'a Services, seed: u64) -> Self {
        Self(Inputs {
            members: Vec::new(),
            ports: None,
            point: Point::new(),
            seed,
            services,
            files: Vec::new(),
            provenance: None,
            stop: None,
            isolation: None,
            keep_failed: None,
            conditions: Conditions::default(),
        })
    }

    /// Folder in which the folder of a program that failed is kept.
    #[must_use]
    pub fn keep_failed(mut self, folder: Option<PathBuf>) -> Self {
        self.0.keep_failed = folder;
        self
    }

    /// An artifact at a port, read when asked for. `load` is told which columns are needed, where
    /// not all are.
    #[must_use]
    pub fn lazy(
        mut self,
        port: &str,
        point: Point,
        load: impl Fn(Option<&[&str]>) -> Result<Arc<Artifact>, StageError> + Send + Sync + 'a,
    ) -> Self {
        self.0.members.push(Member { port: port.to_owned(), point, load: Box::new(load) });
        self
    }

    /// An artifact at a port.
    pub fn artifact(
        self,
        port: &str,
        point: Point,
        artifact: impl Typed,
    ) -> Result<Self, StageError> {
        let artifact = Arc::new(artifact.into_artifact()?);
        Ok(self.lazy(port, point, move |_| Ok(artifact.clone())))
    }

    /// The ports that may be asked for: those that a stage kind declares and reads.
    #[must_use]
    pub fn ports_of(mut self, spec: &'a KindSpec) -> Self {
        let read = spec.inputs.iter().filter(|port| port.read).map(|port| port.name.as_str());
        self.0.ports = (!spec.declared_ports).then(|| read.collect());
        self
    }

    /// The stage's own point.
    #[must_use]
    pub fn point(mut self, point: Point) -> Self {
        self.0.point = point;
        self
    }

    /// The files that the key names, with their digests.
    #[must_use]
    pub fn files(mut self, files: Vec<(PathBuf, Digest)>) -> Self {
        self.0.files = files;
        self
    }

    /// Sets the origin of the inputs.
    #[must_use]
    pub fn provenance(mut self, provenance: Arc<Provenance>) -> Self {
        self.0.provenance = Some(provenance);
        self
    }

    /// Sets the isolation of fusion rules that the stage asks for.
    #[must_use]
    pub fn isolation(mut self, isolation: Option<Isolation>) -> Self {
        self.0.isolation = isolation;
        self
    }

    /// Sets the conditions of rules and programs that the stage asks for.
    #[must_use]
    pub fn conditions(mut self, conditions: Conditions) -> Self {
        self.0.conditions = conditions;
        self
    }

    /// The flag that is raised when the run is to stop.
    #[must_use]
    pub fn stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.0.stop = Some(stop);
        self
    }

    /// The inputs.
    pub fn build(self) -> Inputs<'a> {
        self.0
    }
}

/// Outputs of a stage: one artifact a port, and cautions.
#[derive(Default)]
pub struct Outputs {
    artifacts: Vec<(String, Artifact)>,
    cautions: Vec<String>,
    read: Vec<ReadFile>,
}

impl Outputs {
    /// Adds a caution: the action succeeds, and whoever reads its results must know this. A full
    /// sentence in lower case without a full stop; equal inputs give equal cautions, and a text
    /// that holds no more of an action than it must is reported once for all that share it.
    pub fn caution(&mut self, text: impl Into<String>) {
        self.cautions.push(text.into());
    }

    /// Adds files that the action was found to have read, beyond those that its key names: it is
    /// executed again when the content of one changes.
    pub fn discover(&mut self, read: impl IntoIterator<Item = ReadFile>) {
        self.read.extend(read);
    }

    /// The files that it was found to have read so far.
    pub fn discovered(&self) -> &[ReadFile] {
        &self.read
    }

    /// The cautions so far.
    pub fn cautions(&self) -> &[String] {
        &self.cautions
    }

    /// Gives the artifact of an output port.
    pub fn put(&mut self, port: &str, artifact: impl Typed) -> Result<(), StageError> {
        self.put_raw(port, artifact.into_artifact()?)
    }

    /// Gives an artifact of any kind; it is checked against the port's kind and that kind's schema
    /// when it is kept.
    pub fn put_raw(&mut self, port: &str, artifact: Artifact) -> Result<(), StageError> {
        if self.artifacts.iter().any(|(name, _)| name == port) {
            return Err(StageError::failed(format!("output {port} was given twice")));
        }
        self.artifacts.push((port.to_owned(), artifact));
        Ok(())
    }

    /// The artifact of a port, as a test wants to see it.
    pub fn get<T: Typed>(&self, port: &str) -> Result<T, StageError> {
        let (_, artifact) = self
            .artifacts
            .iter()
            .find(|(name, _)| name == port)
            .ok_or_else(|| StageError::failed(format!("output {port} was not given")))?;
        Ok(T::from_artifact(artifact)?)
    }

    /// The artifacts in the order of the declared ports; an error when one is missing, unknown or
    /// of another kind.
    pub(crate) fn in_order(
        mut self,
        declared: &[(String, ArtifactKind)],
    ) -> Result<Vec<Artifact>, StageError> {
        let ordered = declared
            .iter()
            .map(|(port, kind)| {
                let at =
                    self.artifacts.iter().position(|(name, _)| name == port).ok_or_else(|| {
                        StageError::failed(format!("output {port} was not given"))
                    })?;
                let (_, artifact) = self.artifacts.swap_remove(at);
                if artifact.kind != *kind {
                    return Err(StageError::failed(format!(
                        "output {port} should be {} and is {}",
                        kind.name(),
                        artifact.kind.name()
                    )));
                }
                Ok(artifact)
            })
            .collect::<Result<Vec<_>, _>>()?;
        match self.artifacts.first() {
            Some((port, _)) => Err(StageError::failed(format!("there is no output {port}"))),
            None => Ok(ordered),
        }
    }
}

#[cfg(test)]
mod tests;
