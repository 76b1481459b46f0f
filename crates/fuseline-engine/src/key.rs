//! Parts of an action's key.
//!
//! The encoding is specified, with test vectors, in `docs/design/action-key.md`. One walk writes
//! both the digest and the fields that `fuseline plan` compares to say what changed.

mod paths;

use std::path::{Path, PathBuf};

use fuseline_artifact::{ArtifactKind, Digest};
use fuseline_cache::ActionKey;
use fuseline_host::{HostError, PassedVariables};
use fuseline_workflow::suggest_file;
use serde::Serialize;

use crate::codes;
use crate::files::{FileDigests, data_files};
use crate::kind::{Kind, Problem};
use crate::plan::PlannedRule;
use crate::services::Services;
use paths::{NamedPath, take_paths};

/// The first bytes of every key's encoding: raised when the encoding changes, so that no old key
/// can match.
pub const ENCODING: &[u8] = b"fuseline action key 1\n";

/// One field of a key: a dotted name and its value as text.
pub type Field = (String, String);

/// Appends one text of a field: the pieces that it is made of, behind the length of all.
pub(crate) fn encode_text(bytes: &mut Vec<u8>, pieces: &[&str]) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    bytes.extend((length as u64).to_le_bytes());
    pieces.iter().for_each(|piece| bytes.extend(piece.as_bytes()));
}

/// Appends one field: both texts, each behind its length.
pub(crate) fn encode_field(bytes: &mut Vec<u8>, name: &str, value: &str) {
    encode_text(bytes, &[name]);
    encode_text(bytes, &[value]);
}

/// The fields of an encoding, without what every key begins with. Both texts of each are UTF-8.
pub(crate) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut text = move || {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (text, rest) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
        bytes = rest;
        Some(text)
    };
    std::iter::from_fn(move || Some((text()?, text()?)))
}

/// The same, as text.
pub(crate) fn owned_fields(bytes: &[u8]) -> Vec<Field> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields(bytes).map(|(name, value)| (text(name), text(value))).collect()
}

/// The key that a list of fields gives.
pub(crate) fn key_of(fields: &[Field]) -> ActionKey {
    let mut bytes = ENCODING.to_vec();
    fields.iter().for_each(|(name, value)| encode_field(&mut bytes, name, value));
    ActionKey::from(Digest::hash(bytes))
}

/// Writer through which a stage kind keys all that its results depend on, besides its inputs.
pub struct KeyWriter<'a> {
    services: &'a Services,
    seed: u64,
    /// The values of the workflow's path params.
    path_params: &'a [PathBuf],
    /// The variables that its rules and programs are passed.
    passed: &'a PassedVariables,
    /// True if it starts a rule or a program.
    starts_processes: bool,
    /// Look at files but do not read them through: enough to check a workflow, not to key an
    /// action.
    existence_only: bool,
    bytes: Vec<u8>,
    files: Vec<(PathBuf, Digest)>,
    rule: Option<Box<PlannedRule>>,
    problems: Vec<Problem>,
}

impl<'a> KeyWriter<'a> {
    /// A writer for one choice of options. `bytes`: buffer in which the fields are encoded.
    pub(crate) fn new(
        kind: &Kind,
        services: &'a Services,
        seed: u64,
        path_params: &'a [PathBuf],
        passed: &'a PassedVariables,
        existence_only: bool,
        mut bytes: Vec<u8>,
    ) -> Self {
        bytes.clear();
        // A model is asked by the rule that made it.
        let starts_processes =
            kind.spec.inputs.iter().any(|port| port.artifact == ArtifactKind::Model.name());
        let (files, rule, problems) = Default::default();
        let mut writer = Self {
            services,
            seed,
            path_params,
            passed,
            starts_processes,
            existence_only,
            bytes,
            files,
            rule,
            problems,
        };
        writer.put("kind", &kind.spec.name);
        writer.put("revision", &kind.spec.revision.to_string());
        writer
    }

    /// An option, as its JSON text.
    pub fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        encode_text(&mut self.bytes, &["with.", name]);
        // The length is put in its place when it is known.
        let at = self.bytes.len();
        self.bytes.extend([0; 8]);
        match serde_json::to_writer(&mut self.bytes, value) {
            Ok(()) => {
                let length = (self.bytes.len() - at - 8) as u64;
                self.bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
            }
            Err(error) => self.problems.push(Problem::new(name, error.to_string())),
        }
    }

    /// An option whose texts a program is given, such as its arguments: a file that they name by an
    /// absolute path, and a folder that a path param names, count by their content. Where they lie
    /// does not count.
    pub fn texts<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.starts_processes = true;
        let mut value = match serde_json::to_value(value) {
            Ok(value) => value,
            Err(error) => return self.problems.push(Problem::new(name, error.to_string())),
        };
        let mut named = Vec::new();
        take_paths(&mut value, self.path_params, &mut named);
        self.field(name, &value);
        let mut number = 0;
        for path in named {
            match path {
                // A missing file is reported as for any file.
                NamedPath::File(path) | NamedPath::Missing(path) => {
                    self.file(&format!("{name}.{number}"), &path);
                }
                NamedPath::Folder(path) => self.tree(&format!("{name}.{number}"), &path),
                NamedPath::Absent(path) => {
                    self.files.push((path, FileDigests::absent()));
                    continue;
                }
            }
            number += 1;
        }
    }

    /// A folder with all that is in it: content and names count.
    fn tree(&mut self, name: &str, folder: &Path) {
        if self.existence_only {
            return;
        }
        match self.services.files.tree_digest(folder) {
            Ok(digest) => {
                self.with(name, &["folder ", &digest.to_hex()]);
                self.files.push((folder.to_owned(), digest));
            }
            Err(error) => {
                let message = format!("cannot read the folder {}: {error}", folder.display());
                self.problems.push(Problem::new(name, message).code(codes::MISSING_FILE));
            }
        }
    }

    fn put(&mut self, name: &str, value: &str) {
        encode_field(&mut self.bytes, name, value);
    }

    fn with(&mut self, name: &str, value: &[&str]) {
        encode_text(&mut self.bytes, &["with.", name]);
        encode_text(&mut self.bytes, value);
    }

    /// A file that the stage reads: its content counts, its path does not.
    pub fn file(&mut self, name: &str, path: &Path) {
        let digest = if self.existence_only {
            self.services.files.exists(path).map(|()| Digest::hash(b""))
        } else {
            self.services.files.digest(path)
        };
        match digest {
            Ok(digest) => {
                self.with(name, &["file ", &digest.to_hex()]);
                self.files.push((path.to_owned(), digest));
            }
            Err(error) => {
                let cannot = format!("cannot read {}: {error}", path.display());
                // Whatever else is looked for there, the folder is what is missing.
                let message = missing_folder(path)
                    .map_or(cannot, |folder| format!("there is no folder {}", folder.display()));
                let hint = match near(path) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => {
                        "a relative path in the workflow is relative to the workflow's folder, \
                             one given with --set to the working directory"
                            .to_owned()
                    }
                };
                let problem = Problem::new(name, message).code(codes::MISSING_FILE);
                self.problems.push(problem.hint(hint));
            }
        }
    }

    /// A file as [`KeyWriter::file`] takes it, or a folder whose data files make one table: their
    /// content and their names within the folder count.
    pub fn file_or_folder(&mut self, name: &str, path: &Path) {
        if !path.is_dir() {
            return self.file(name, path);
        }
        let files = match data_files(path) {
            Ok(files) if !files.is_empty() => files,
            Ok(_) => {
                let message = format!("the folder {} holds no file", path.display());
                return self.problems.push(Problem::new(name, message).code(codes::MISSING_FILE));
            }
            Err(error) => {
                let message = format!("cannot read the folder {}: {error}", path.display());
                return self.problems.push(Problem::new(name, message).code(codes::MISSING_FILE));
            }
        };
        if self.existence_only {
            return files.iter().for_each(|file| self.file(name, file));
        }
        // The digest of the folder stands among the files too, so that one that is added later is
        // seen.
        let digests: std::io::Result<Vec<_>> = files
            .into_iter()
            .chain([path.to_owned()])
            .map(|path| Ok((path.clone(), self.services.files.digest(&path)?)))
            .collect();
        match digests {
            Ok(files) => {
                if let Some((_, digest)) = files.last() {
                    self.with(name, &["folder ", &digest.to_hex()]);
                }
                self.files.extend(files);
            }
            Err(error) => {
                let message = format!("cannot read the folder {}: {error}", path.display());
                self.problems.push(Problem::new(name, message).code(codes::MISSING_FILE));
            }
        }
    }

    /// A fusion rule, by name: the digest of its plugin counts.
    pub fn rule(&mut self, name: &str, rule: &str) {
        self.starts_processes = true;
        match self.services.plugins.find(rule) {
            Ok(file) => {
                self.with(name, &[&file.id]);
                self.put("plugin", &file.digest.to_string());
                let rule = PlannedRule { id: file.id.clone(), digest: file.digest };
                self.rule = Some(Box::new(rule));
            }
            Err(error) => {
                let (code, hint) = match error {
                    HostError::Locked { .. } => (
                        codes::LOCKED_PLUGIN,
                        "put the file back that was locked, or accept this one with `fuseline \
                         plugin lock`",
                    ),
                    HostError::LockedElsewhere { .. } => (
                        codes::LOCKED_PLUGIN,
                        "`fuseline plugin lock` adds the digest of this platform to the lock",
                    ),
                    HostError::AmbiguousRule { .. } => (
                        codes::UNKNOWN_RULE,
                        "take one file off the plugin path, or say in the workflow which one is \
                         meant: `plugins: { ID: ./file }`",
                    ),
                    HostError::OtherId { .. } => {
                        (codes::UNKNOWN_RULE, "name it under `plugins` by the id that it has")
                    }
                    HostError::RuleByFile { .. } => (
                        codes::UNKNOWN_RULE,
                        "`fuseline plugin inspect FILE` says its id; its folder belongs under \
                         `plugins`: `plugins: [./folder]`",
                    ),
                    _ => (
                        codes::UNKNOWN_RULE,
                        "`fuseline plugin list` shows the rules on the plugin path; add a folder \
                         with --plugin-path",
                    ),
                };
                let mut problem = Problem::new(name, error.to_string()).code(code).hint(hint);
                if let HostError::UnknownRule { rule, suggestion: Some(meant), .. } = error {
                    problem.meant = Some(Box::new((rule, meant)));
                }
                self.problems.push(problem);
            }
        }
    }

    /// The variables of the environment that are passed, for a kind that asks a rule which it does
    /// not name here.
    pub fn environment(&mut self) {
        self.starts_processes = true;
    }

    /// The seed of the stage or of the workflow, for a kind that draws random numbers.
    pub fn seed(&mut self) {
        self.put("seed", &self.seed.to_string());
    }

    pub(crate) fn finish(mut self) -> KeyPart {
        if self.starts_processes {
            for (name, value) in self.passed {
                let text = value.as_ref().map_or("not set", |value| value);
                encode_text(&mut self.bytes, &["env.", name]);
                encode_text(&mut self.bytes, &[if value.is_some() { "is " } else { "" }, text]);
            }
        }
        let Self { bytes, files, rule, problems, .. } = self;
        KeyPart { bytes, files, rule, problems }
    }
}

/// The outermost folder around a file that is not there.
fn missing_folder(path: &Path) -> Option<&Path> {
    let folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
    folders.take_while(|folder| !folder.exists()).last()
}

/// The name beside a missing file or folder that was likely meant.
fn near(path: &Path) -> Option<String> {
    let missing = missing_folder(path).unwrap_or(path);
    let names = std::fs::read_dir(missing.parent()?).ok()?.filter_map(Result::ok);
    let names: Vec<String> =
        names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let near = suggest_file(missing.file_name()?.to_str()?, names.iter().map(String::as_str));
    near.map(str::to_owned)
}

/// The part of a key that all actions with the same options share.
pub(crate) struct KeyPart {
    /// Its fields, encoded.
    pub bytes: Vec<u8>,
    pub files: Vec<(PathBuf, Digest)>,
    pub rule: Option<Box<PlannedRule>>,
    pub problems: Vec<Problem>,
}

#[cfg(test)]
mod tests;
