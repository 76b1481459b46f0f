//! Files that a run read, each with the digest and size of its content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fuseline_artifact::Digest;
use fuseline_workflow::{IndexVec, StageIndex, VariantIndex};
use serde::{Deserialize, Serialize};

use crate::discovered::DiscoveredFile;
use crate::files::FileDigests;
use crate::plan::{ActionId, Plan};

/// Part that a file has in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    /// The workflow's own file.
    Workflow,
    /// A file that the workflow includes.
    Include,
    /// A file of parameters.
    Params,
    /// The file that pins the digests of fusion rules.
    Lock,
    /// Data, labels, evidence, checkpoints and scripts: what the key of an action names.
    Input,
    /// A file that a program was found to have read: modules, an interpreter, what tells the
    /// version of a library.
    Discovered,
    /// A fusion rule.
    Rule,
    /// The program of fuseline itself.
    Program,
}

impl FileRole {
    /// The word for it in manifests and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::Include => "include",
            Self::Params => "params",
            Self::Lock => "lock",
            Self::Input => "input",
            Self::Discovered => "discovered",
            Self::Rule => "rule",
            Self::Program => "program",
        }
    }
}

/// A file that a run read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileRead {
    /// Part that it has in the run.
    pub role: FileRole,
    /// Path relative to the workflow's folder, with slashes, where it lies in that folder; absolute
    /// otherwise.
    pub path: String,
    /// Digest of its content; of a folder, of the names and digests of its files.
    pub digest: Digest,
    /// Length in bytes; `None` of a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The stages that read it, in the order of the workflow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<String>,
}

impl FileRead {
    /// Describes a file. `folder`: that of the workflow.
    pub fn new(role: FileRole, path: &Path, digest: Digest, folder: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        let size = metadata.filter(std::fs::Metadata::is_file).map(|of| of.len());
        Self { role, path: relative_path(path, folder), digest, size, stages: Vec::new() }
    }

    /// Last component of its path where it lies outside of the workflow's folder: where a file lies
    /// is not part of a result.
    #[must_use]
    pub fn portable_name(&self) -> &str {
        let path = Path::new(&self.path);
        match path.is_absolute() {
            true => path.file_name().and_then(|name| name.to_str()).unwrap_or(&self.path),
            false => &self.path,
        }
    }
}

/// Path of a file relative to a folder that holds it, or absolute.
fn relative_path(path: &Path, folder: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (path, folder) = (absolute(path), absolute(folder));
    match path.strip_prefix(&folder) {
        Ok(inside) if !inside.as_os_str().is_empty() => {
            let parts = inside.components().map(|part| part.as_os_str().to_string_lossy());
            parts.collect::<Vec<_>>().join("/")
        }
        _ => path.display().to_string(),
    }
}

/// The files that some of a plan's actions read, by role and path. `discovered`: what actions were
/// found to have read. What is named and not there is left out.
pub(crate) fn files_of_actions(
    plan: &Plan<'_>,
    includes: impl Fn(ActionId) -> bool,
    discovered: &BTreeMap<ActionId, Vec<DiscoveredFile>>,
) -> Vec<FileRead> {
    let workflow = plan.workflow;
    let mut stages_of: BTreeMap<(FileRole, &PathBuf, Digest), Vec<StageIndex>> = BTreeMap::new();
    let mut note = |role, path, digest, stage| {
        let stages = stages_of.entry((role, path, digest)).or_default();
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
    };
    for (number, stage) in workflow.stages.iter_enumerated() {
        let mut seen: IndexVec<VariantIndex, _> = vec![false; stage.variants.len()].into();
        for action in plan.actions_of(number).filter(|&action| includes(action)) {
            let variant = stage.actions.variant(plan.stage_of(action).1);
            if !std::mem::replace(&mut seen[variant], true) {
                for (path, digest) in &plan.stages[number].variants[variant].files {
                    if *digest != FileDigests::absent() {
                        note(FileRole::Input, path, *digest, number);
                    }
                }
            }
            for file in discovered.get(&action).into_iter().flatten() {
                note(FileRole::Discovered, &file.path, file.digest, number);
            }
        }
    }
    let folder = workflow.path.parent().unwrap_or(Path::new("."));
    let files = stages_of.into_iter().map(|((role, path, digest), stages)| FileRead {
        stages: stages.into_iter().map(|stage| workflow.stages[stage].name.clone()).collect(),
        ..FileRead::new(role, path, digest, folder)
    });
    let mut files: Vec<FileRead> = files.collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_relative_inside_of_the_workflows_folder_and_absolute_outside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("study/data")).unwrap();
        std::fs::write(folder.path().join("study/data/a b.csv"), "id\n").unwrap();
        std::fs::write(folder.path().join("gate.npz"), "w").unwrap();
        let study = folder.path().join("study");
        let read = |path: &Path| FileRead::new(FileRole::Input, path, Digest::hash("x"), &study);
        let inside = read(&study.join("data/a b.csv"));
        assert_eq!((inside.path.as_str(), inside.size), ("data/a b.csv", Some(3)));
        assert_eq!(inside.portable_name(), "data/a b.csv");
        let outside = read(&folder.path().join("gate.npz"));
        assert_eq!(outside.path, folder.path().join("gate.npz").display().to_string());
        assert_eq!(outside.portable_name(), "gate.npz");
        assert_eq!(read(&study).size, None, "a folder has no size");
        assert_eq!(read(&study.join("gone")).size, None);
    }
}
