//! Every file that a run read: texts, what its actions read, rules, and the program itself.

use std::path::Path;

use fuseline_engine::{FileRead, FileRole, Outcome, Plan, PlannedRule};

use crate::plugin_path::LOCK_FILE;
use crate::study::{OpenStudy, Study};

/// The files that a run read, by role and path.
pub(crate) fn source_files(
    study: &Study,
    open: &OpenStudy,
    plan: &Plan<'_>,
    outcome: &Outcome,
) -> Vec<FileRead> {
    let workflow = &plan.workflow().path;
    let folder = workflow.parent().unwrap_or(Path::new("."));
    let describe = |role, path: &Path, digest| FileRead::new(role, path, digest, folder);
    let texts = open.texts_read.iter().map(|(path, digest)| {
        let role = if *path == study.path {
            FileRole::Workflow
        } else if study.params.as_ref() == Some(path) {
            FileRole::Params
        } else if path.file_name().is_some_and(|name| name == LOCK_FILE) {
            FileRole::Lock
        } else {
            FileRole::Include
        };
        describe(role, path, *digest)
    });
    let mut files: Vec<FileRead> = texts.collect();
    files.extend(outcome.files_read(plan));
    for PlannedRule { id, digest } in plan.rules() {
        // One that is gone by now was there when the plan was made, and its digest is in the
        // manifest beside its id.
        if let Ok(rule) = open.services.plugins.find_by_digest(id, digest) {
            files.push(describe(FileRole::Rule, &rule.path, *digest));
        }
    }
    if let Ok(program) = std::env::current_exe()
        && let Ok(digest) = open.services.files.digest(&program)
    {
        files.push(describe(FileRole::Program, &program, digest));
    }
    files.sort();
    files.dedup();
    files
}
