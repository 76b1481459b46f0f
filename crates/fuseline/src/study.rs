//! A workflow file with everything that its reading depends on.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuseline_artifact::Digest;
use fuseline_cache::Cache;
use fuseline_engine::{Depth, Kinds, Plan, Services, open_regular};
use fuseline_host::Isolation;
use fuseline_workflow::{
    Checked, Diagnostic, Files, Limits, Overrides, ParamsFile, Place, Source, StageIndex, Workflow,
    absolute, codes,
};

use crate::error::{Error, Mistakes};
use crate::open_context::OpenContext;
use crate::plugin_path::{RulePath, nearest_lock, plugin_path};
use crate::settings::LoadedSettings;
use crate::suggest;

/// A workflow file, its parameters and its plugin path: everything that decides what a run
/// computes.
///
/// Making one reads nothing; [`Study::open`] does.
#[derive(Debug, Clone)]
pub struct Study {
    pub(crate) path: PathBuf,
    pub(crate) set: Vec<(String, String)>,
    pub(crate) seed: Option<u64>,
    pub(crate) params: Option<PathBuf>,
    pub(crate) plugin_path: Vec<PathBuf>,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) max_actions: usize,
    /// Texts that take the place of files, by absolute path.
    pub(crate) unsaved: BTreeMap<PathBuf, Arc<str>>,
}

impl Study {
    /// The most actions that a plan may have unless [`Study::max_actions`] says otherwise.
    pub const MAX_ACTIONS: usize = 250_000;

    /// The study of a workflow file.
    pub fn new(workflow: impl Into<PathBuf>) -> Self {
        Self {
            path: workflow.into(),
            set: Vec::new(),
            seed: None,
            params: None,
            plugin_path: Vec::new(),
            isolation: None,
            max_actions: Self::MAX_ACTIONS,
            unsaved: BTreeMap::new(),
        }
    }

    /// Sets a parameter, written as on a command line: its value is read as the param's type.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.set.push((name.into(), value.into()));
        self
    }

    /// Draws from this seed in place of the workflow's; a stage with a seed of its own keeps that.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Reads parameters from a YAML file; those of [`Study::set`] win.
    #[must_use]
    pub fn params_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.params = Some(file.into());
        self
    }

    /// Searches a folder for fusion rules before all others.
    #[must_use]
    pub fn plugin_path(mut self, folder: impl Into<PathBuf>) -> Self {
        self.plugin_path.push(folder.into());
        self
    }

    /// Isolates fusion rules so, whatever the workflow says.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Refuses a plan with more actions than this.
    #[must_use]
    pub fn max_actions(mut self, actions: usize) -> Self {
        self.max_actions = actions;
        self
    }

    /// Takes a text for the content of a file, which is then not read: what an editor has not
    /// saved, or what came from standard input. `file` is absolute; it may be the workflow, a file
    /// that it includes, or the params file.
    #[must_use]
    pub fn unsaved(mut self, file: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        self.unsaved.insert(file.into(), text.into());
        self
    }

    /// The workflow file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads and checks the workflow. Mistakes in it are no error yet: see [`OpenStudy::check`].
    pub fn open(&self) -> Result<OpenStudy, Error> {
        self.open_in(&OpenContext::default())
    }

    /// As [`Study::open`], for programs that open studies again and again.
    pub fn open_in(&self, context: &OpenContext) -> Result<OpenStudy, Error> {
        let kinds = context.kinds();
        let working_dir = working_dir()?;
        let limits = Limits { max_actions: self.max_actions, ..Limits::default() };
        let texts_read = RefCell::new(Vec::new());
        let note = |path: &Path, text: &str| {
            texts_read.borrow_mut().push((path.to_owned(), Digest::hash(text)));
        };
        let load = |path: &Path| {
            let text = match self.unsaved.get(path) {
                Some(text) => Ok(text.to_string()),
                None => read_included(path),
            };
            text.inspect(|text| note(path, text))
        };
        let checked = self.read_texts(&working_dir)?.map_or_else(
            |unreadable| *unreadable,
            |(text, params_file)| {
                note(&self.path, &text);
                params_file.iter().for_each(|file| note(&file.path, &file.text));
                let (set, seed) = (self.set.clone(), self.seed);
                let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
                let home = home.map(PathBuf::from);
                let overrides = Overrides { set, seed, params_file, working_dir, home };
                let source = Source { path: &self.path, text: &text };
                fuseline_workflow::check(source, kinds.catalogue(), &overrides, &limits, &load)
            },
        );
        let workflow = checked.workflow.as_ref();
        let declared = workflow.map_or(&[][..], |workflow| &workflow.plugins);
        let named = workflow.map_or_else(Vec::new, |workflow| workflow.rule_files.clone());
        let mut texts_read = texts_read.into_inner();
        let lock = nearest_lock(self.folder());
        // A lock that cannot be read is an error when the services are made, right below.
        if let Some(lock) = &lock
            && let Ok(bytes) = std::fs::read(lock)
        {
            texts_read.push((lock.clone(), Digest::hash(bytes)));
        }
        let loaded = self.settings()?;
        let search = plugin_path(&self.plugin_path, declared, &loaded.settings)?;
        let path = RulePath { search, named };
        let services = context.services(path, self.isolation, lock.as_deref(), &loaded)?;
        Ok(OpenStudy { kinds, checked, services, texts_read })
    }

    /// The settings that are in force for the workflow.
    pub fn settings(&self) -> Result<LoadedSettings, Error> {
        LoadedSettings::load(self.folder())
    }

    /// The folder of the workflow file.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The texts of the workflow and of the params file.
    fn read_texts(&self, working_dir: &Path) -> Result<Text<(String, Option<ParamsFile>)>, Error> {
        let read = |path: &Path| match self.unsaved.get(&absolute(working_dir, path)) {
            Some(text) => Ok(Ok(text.to_string())),
            None => read_text(path),
        };
        let workflow = read(&self.path)?;
        let Some(path) = &self.params else {
            return Ok(workflow.map(|workflow| (workflow, None)));
        };
        let params = read(path)?.map(|text| ParamsFile { path: path.clone(), text });
        Ok(workflow.and_then(|workflow| Ok((workflow, Some(params?)))))
    }
}

/// A study whose workflow has been read and checked by the language; it may still have mistakes.
pub struct OpenStudy {
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) checked: Checked,
    pub(crate) services: Services,
    /// Every file that was read for the workflow, with the digest of its content.
    pub(crate) texts_read: Vec<(PathBuf, Digest)>,
}

/// Everything that a check finds.
pub struct Check<'s> {
    /// The plan; none when there are errors.
    pub plan: Option<Plan<'s>>,
    /// Errors and warnings, by place.
    pub diagnostics: Vec<Diagnostic>,
}

impl OpenStudy {
    /// The workflow, unless the language found mistakes in it.
    pub fn workflow(&self) -> Option<&Workflow> {
        self.checked.workflow.as_ref()
    }

    /// The workflow, given away.
    pub fn into_workflow(self) -> Option<Workflow> {
        self.checked.workflow
    }

    /// Ids of the fusion rules on its plugin path, those that can be read, and their files; no code
    /// of theirs runs.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.services.plugins.ids()
    }

    /// The stage kinds that it is read with.
    pub fn kinds(&self) -> &Arc<Kinds> {
        &self.kinds
    }

    /// The texts that diagnostics point into.
    pub fn files(&self) -> &Files {
        &self.checked.files
    }

    /// Uses what earlier runs on a cache found out of files and plugins, so that planning reads no
    /// unchanged file again and starts no worker.
    pub fn use_memos(&mut self, cache: &Cache) {
        self.services.recall(cache);
    }

    /// Finds every mistake without reading source files through.
    pub fn check(&self) -> Check<'_> {
        self.build(Depth::Check, &[])
    }

    /// The plan of a workflow without mistakes. `only`: stages to restrict it to, with what they
    /// need; all stages when empty.
    pub fn plan<'s>(&'s self, only: &[String]) -> Result<Plan<'s>, Error> {
        self.require_plan(Depth::Key, only)
    }

    /// The plan without keys: no source file is read through, and nothing of it can be looked up.
    pub fn plan_without_keys(&self) -> Result<Plan<'_>, Error> {
        self.require_plan(Depth::Check, &[])
    }

    /// The warnings of the workflow and of a plan of it, by place.
    pub fn warnings(&self, plan: &Plan<'_>) -> Vec<Diagnostic> {
        self.sorted(plan.warnings().to_vec())
    }

    fn require_plan<'s>(&'s self, depth: Depth, only: &[String]) -> Result<Plan<'s>, Error> {
        let only = match self.workflow() {
            Some(workflow) => find_stages(workflow, only)?,
            None => Vec::new(),
        };
        let Check { plan, diagnostics } = self.build(depth, &only);
        plan.ok_or_else(|| {
            let files = self.files().clone();
            Error::Workflow(Box::new(Mistakes { diagnostics, files }))
        })
    }

    fn build(&self, depth: Depth, only: &[StageIndex]) -> Check<'_> {
        let Some(workflow) = self.workflow() else {
            return Check { plan: None, diagnostics: self.checked.diagnostics.clone() };
        };
        match Plan::build(workflow, &self.kinds, &self.services, depth, only) {
            Ok(plan) => {
                let diagnostics = self.warnings(&plan);
                Check { plan: Some(plan), diagnostics }
            }
            Err(found) => Check { plan: None, diagnostics: self.sorted(found) },
        }
    }

    /// Diagnostics together with those of the language, by place, each once.
    fn sorted(&self, more: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut diagnostics = [self.checked.diagnostics.clone(), more].concat();
        self.checked.settle(&mut diagnostics);
        diagnostics
    }
}

/// The numbers of stages by their names.
fn find_stages(workflow: &Workflow, names: &[String]) -> Result<Vec<StageIndex>, Error> {
    names
        .iter()
        .map(|name| {
            workflow.stages.position(|stage| stage.name == *name).ok_or_else(|| {
                let names = workflow.stages.iter().map(|stage| stage.name.as_str());
                Error::request(format!("there is no stage {name}"))
                    .with_hint(suggest::hint(name, "stage", names))
            })
        })
        .collect()
}

/// A text, or the diagnostic of a file that is no text.
type Text<T> = Result<T, Box<Checked>>;

/// The text of a file that a workflow includes.
fn read_included(path: &Path) -> io::Result<String> {
    let bytes = open_regular(path).and_then(read_bounded)?;
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

/// All bytes of a file, unless they are more than the language reads.
fn read_bounded(file: std::fs::File) -> io::Result<Vec<u8>> {
    let max = Limits::default().max_text;
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > max {
        true => {
            Err(io::Error::other(format!("it has more than {max} bytes, and no more are read")))
        }
        false => Ok(bytes),
    }
}

/// The text of a file, or a diagnostic at its first byte that is not UTF-8.
fn read_text(path: &Path) -> Result<Text<String>, Error> {
    // A pipe is read as it comes, once.
    let bytes = std::fs::File::open(path)
        .and_then(read_bounded)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let mut files = Files::default();
        let file = files.add(path, String::from_utf8_lossy(error.as_bytes()));
        let place = Place::new(file, offset..offset + char::REPLACEMENT_CHARACTER.len_utf8());
        let message = format!("the file is not UTF-8: byte {offset} does not fit");
        let mistake = Diagnostic::error(codes::YAML_SYNTAX, &place, message);
        Box::new(Checked::unreadable(mistake.hint("save it as UTF-8".to_owned()), files))
    }))
}

/// The working directory, to which relative paths of a request are relative.
pub(crate) fn working_dir() -> Result<PathBuf, Error> {
    std::env::current_dir()
        .map_err(|error| Error::request(format!("there is no working directory: {error}")))
}
