//! From arguments to a checked workflow.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use fuseline_artifact::Digest;
use fuseline_engine::{Depth, Kinds, Plan, Services};
use fuseline_workflow::{
    Checked, Diagnostic, Files, Limits, Overrides, ParamsFile, Place, Source, Workflow, codes,
};

use crate::args::WorkflowArgs;
use crate::exit::Failure;
use crate::{plugins, render, suggest};

/// A workflow file that has been read and checked by the language; it may still have mistakes.
pub struct Session {
    /// The stage kinds.
    pub kinds: Kinds,
    /// What the language found.
    pub checked: Checked,
    /// Fusion rules and files.
    pub services: Services,
    /// Every file that the language read, with the digest of what it read.
    pub read: Vec<(PathBuf, Digest)>,
    /// Whether warnings are shown.
    pub shows_warnings: bool,
}

impl Session {
    /// Reads and checks the workflow that the arguments name.
    pub fn open(args: &WorkflowArgs) -> Result<Self, Failure> {
        let kinds = fuseline_stages::kinds();
        let working_dir = std::env::current_dir()
            .map_err(|error| Failure::wrong(format!("there is no working directory: {error}")))?;
        let limits = Limits { max_actions: args.max_actions, ..Limits::default() };
        let read = RefCell::new(Vec::new());
        let note = |path: &Path, text: &str| {
            read.borrow_mut().push((path.to_owned(), Digest::of(text)));
        };
        let load = |path: &Path| std::fs::read_to_string(path).inspect(|text| note(path, text));
        let checked = texts(args)?.map_or_else(
            |unreadable| *unreadable,
            |(text, params_file)| {
                note(&args.workflow, &text);
                params_file.iter().for_each(|file| note(&file.path, &file.text));
                let overrides = Overrides { set: args.set.clone(), params_file, working_dir };
                let source = Source { path: &args.workflow, text: &text };
                fuseline_workflow::check(source, kinds.catalogue(), &overrides, &limits, &load)
            },
        );
        let declared = checked.workflow.as_ref().map_or(&[][..], |workflow| &workflow.plugins);
        let isolation = args.isolation.map(Into::into);
        let folder = args.workflow.parent().unwrap_or(Path::new("."));
        let mut read = read.into_inner();
        let lock = plugins::nearest_lock(folder);
        // One that cannot be read is told of when it is needed, right below.
        if let Some(lock) = &lock
            && let Ok(bytes) = std::fs::read(lock)
        {
            read.push((lock.clone(), Digest::of(bytes)));
        }
        let path = plugins::path(&args.plugin_path, declared)?;
        let services = plugins::services(path, isolation, lock.as_deref())?;
        Ok(Self { kinds, checked, services, read, shows_warnings: true })
    }

    /// The plan of a workflow without mistakes; warnings are shown. With mistakes, all of them are shown and it ends.
    pub fn plan<'s>(&'s self, depth: Depth, only: &[String]) -> Result<Plan<'s>, Failure> {
        let (plan, diagnostics) = self.try_plan(depth, only)?;
        if plan.is_none() || self.shows_warnings {
            render::diagnostics(&diagnostics, &self.checked.files);
        }
        plan.ok_or_else(|| Failure::wrong(format!("the workflow has {}", errors(&diagnostics))))
    }

    /// The plan, unless there are mistakes, and everything that was found, sorted by place.
    pub fn try_plan<'s>(
        &'s self,
        depth: Depth,
        only: &[String],
    ) -> Result<(Option<Plan<'s>>, Vec<Diagnostic>), Failure> {
        let mut diagnostics = self.checked.diagnostics.clone();
        let Some(workflow) = &self.checked.workflow else { return Ok((None, diagnostics)) };
        let only = stages_named(workflow, only)?;
        match Plan::build(workflow, &self.kinds, &self.services, depth, &only) {
            Ok(plan) => {
                diagnostics.extend(plan.warnings().iter().cloned());
                self.checked.settle(&mut diagnostics);
                Ok((Some(plan), diagnostics))
            }
            Err(found) => {
                diagnostics.extend(found);
                self.checked.settle(&mut diagnostics);
                Ok((None, diagnostics))
            }
        }
    }
}

/// How many errors there are, in words.
pub fn errors(found: &[Diagnostic]) -> String {
    match found.iter().filter(|found| found.is_error()).count() {
        1 => "1 error".to_owned(),
        n => format!("{n} errors"),
    }
}

/// Stages by name, as `--only` gives them.
fn stages_named(workflow: &Workflow, names: &[String]) -> Result<Vec<usize>, Failure> {
    names
        .iter()
        .map(|name| {
            let names = || workflow.stages.iter().map(|stage| stage.name.as_str());
            names().position(|known| known == name).ok_or_else(|| {
                let failure = Failure::wrong(format!("there is no stage {name}"));
                Failure { hint: suggest::hint(name, "stage", names()), ..failure }
            })
        })
        .collect()
}

/// What the files of the arguments say, or what is found when one of them is no text.
type Read<T> = Result<T, Box<Checked>>;

/// The texts of the workflow and of the params file.
fn texts(args: &WorkflowArgs) -> Result<Read<(String, Option<ParamsFile>)>, Failure> {
    let workflow = text(&args.workflow)?;
    let Some(path) = &args.params else { return Ok(workflow.map(|workflow| (workflow, None))) };
    let params = text(path)?.map(|text| ParamsFile { path: path.clone(), text });
    Ok(workflow.and_then(|workflow| Ok((workflow, Some(params?)))))
}

/// The text of a file, or its first byte that is none, at its place.
fn text(path: &Path) -> Result<Read<String>, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::wrong(format!("cannot read {}: {error}", path.display())))?;
    Ok(String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let mut files = Files::default();
        let file = files.add(path, String::from_utf8_lossy(error.as_bytes()));
        let place = Place::new(file, at..at + char::REPLACEMENT_CHARACTER.len_utf8());
        let message = format!("the file is not UTF-8: byte {at} does not fit");
        let mistake = Diagnostic::error(codes::YAML_SYNTAX, &place, message);
        Box::new(Checked::unreadable(mistake.hint("save it as UTF-8".to_owned()), files))
    }))
}
