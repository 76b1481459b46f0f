//! Does a plugin keep the ABI's promises? One line a check.
//!
//! Each check has a worker of its own, so that a crash in one says nothing about the next. What a
//! check finds is what the plugin did on made-up rows: a pass is evidence, not proof.

mod contract;
mod models;
mod predictions;
pub(crate) mod probe;
mod rows;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::batch::{Batch, BatchColumns};
use crate::conditions::Sandbox;
use crate::descriptor::{Count, Descriptor};
use crate::error::HostError;
use crate::image::{Image, Source};
use crate::isolation::Isolation;
use crate::library::{PluginFile, PluginForm, PluginLibrary};
use crate::model::output_law;
use crate::params::Params;
use crate::rule::{Fault, LoadFile, LoadSource, OpenedModel, Permuted, Rule, looped};
use crate::stop::StopSignal;
use crate::worker::{Layers, TimeText, WorkerSettings};

/// Results of all checks of a file.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The file.
    pub file: PathBuf,
    /// The sandbox that its processes ran in.
    pub sandbox: Sandbox,
    /// Names of the layers of the sandbox that this system lacks.
    pub missing_layers: Vec<&'static str>,
    /// In the order in which they ran.
    pub checks: Vec<Check>,
}

/// Result of one check.
#[derive(Clone, Debug)]
pub struct Check {
    /// The promise, in words.
    pub promise: &'static str,
    /// Verdict on the promise.
    pub verdict: Verdict,
}

/// Verdict on a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept, as far as checked.
    Pass,
    /// It is broken, and how.
    Fail(String),
    /// It was not checked, and why.
    Skipped(String),
}

impl CheckReport {
    /// True if no promise is broken.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| !matches!(check.verdict, Verdict::Fail(_)))
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        let checks: Vec<_> = self
            .checks
            .iter()
            .map(|check| {
                let (verdict, reason) = match &check.verdict {
                    Verdict::Pass => ("pass", None),
                    Verdict::Fail(reason) => ("fail", Some(reason)),
                    Verdict::Skipped(reason) => ("skipped", Some(reason)),
                };
                json!({ "promise": check.promise, "verdict": verdict, "reason": reason })
            })
            .collect();
        json!({
            "file": self.file.display().to_string(),
            "passed": self.passed(),
            "sandbox": self.sandbox,
            "missing_layers": self.missing_layers,
            "checks": checks,
        })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Pass => write!(f, "pass     {}", self.promise),
            Verdict::Fail(reason) => write!(f, "FAIL     {}: {reason}", self.promise),
            Verdict::Skipped(reason) => write!(f, "skipped  {}: {reason}", self.promise),
        }
    }
}

/// Inputs of the checks, where the rule's defaults do not suffice.
#[derive(Clone, Debug)]
pub struct Given {
    /// Parameters.
    pub params: Map<String, Value>,
    /// Files of a model that was fitted elsewhere: the rule loads it, and is not fitted.
    pub files: Vec<LoadFile>,
    /// The names of the modalities; as many as the rule asks for, or 3, when there are none.
    pub modalities: Vec<String>,
    /// The names of the classes; as many as the rule asks for, or 2, when there are none.
    pub classes: Vec<String>,
    /// Time limit of all checks together; a call may take a fifth of it.
    pub timeout: Duration,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            params: Map::new(),
            files: Vec::new(),
            modalities: Vec::new(),
            classes: Vec::new(),
            timeout: Duration::from_secs(300),
        }
    }
}

/// Checks a file; `settings` say how workers are started, and in which sandbox.
pub fn check(path: &Path, given: &Given, settings: &WorkerSettings) -> CheckReport {
    let sandbox = settings.limits.sandbox;
    let missing_layers = match sandbox {
        Sandbox::Off => Vec::new(),
        Sandbox::Strict | Sandbox::Default => Layers::available().missing().collect(),
    };
    let checks = run_checks(path, given, settings);
    CheckReport { file: path.to_owned(), sandbox, missing_layers, checks }
}

fn run_checks(path: &Path, given: &Given, settings: &WorkerSettings) -> Vec<Check> {
    let mut checks = Vec::new();
    let file = match PluginFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            let verdict = Verdict::Fail(error.to_string());
            checks.push(Check { promise: "the tag is readable without loading the file", verdict });
            return checks;
        }
    };
    checks.push(Check {
        promise: "the tag is readable without loading the file",
        verdict: Verdict::Pass,
    });
    let unreadable = |error: std::io::Error| HostError::Unreadable {
        path: file.path.clone(),
        reason: error.to_string(),
    };
    let image = Source::read(&file.path)
        .map_err(unreadable)
        .and_then(|source| Image::new(&source, file.digest, settings.python.as_ref()));
    let image = match image {
        Ok(image) => image,
        Err(error) => {
            let verdict = Verdict::Fail(error.to_string());
            checks.push(Check { promise: contract::LOADS, verdict });
            return checks;
        }
    };
    let subject = Subject {
        file,
        image,
        settings: settings.clone(),
        given: given.clone(),
        deadline: Instant::now() + given.timeout,
        descriptor: OnceLock::new(),
    };
    for (promise, body) in contract::CHECKS.iter().chain(models::CHECKS).chain(predictions::CHECKS)
    {
        let verdict = match body(&subject) {
            Ok(()) => Verdict::Pass,
            Err(Broken::Promise(reason)) => Verdict::Fail(reason),
            Err(Broken::Nothing(reason)) => Verdict::Skipped(reason),
        };
        let unusable = *promise == contract::LOADS && matches!(verdict, Verdict::Fail(_));
        checks.push(Check { promise, verdict });
        if unusable {
            // Every other check would say the same again.
            break;
        }
    }
    checks
}

/// A check: its promise, and how it is tried.
type Try = (&'static str, fn(&Subject) -> Result<(), Broken>);

/// Reason why a check did not pass.
enum Broken {
    /// The promise is broken.
    Promise(String),
    /// Nothing was checked.
    Nothing(String),
}

impl From<HostError> for Broken {
    fn from(error: HostError) -> Self {
        Self::Promise(error.to_string())
    }
}

fn broken<T>(reason: impl Into<String>) -> Result<T, Broken> {
    Err(Broken::Promise(reason.into()))
}

fn skipped<T>(reason: impl Into<String>) -> Result<T, Broken> {
    Err(Broken::Nothing(reason.into()))
}

fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken::Promise(reason())) }
}

/// The plugin that is checked.
struct Subject {
    file: PluginFile,
    image: Image,
    settings: WorkerSettings,
    given: Given,
    /// When the time of all checks is over.
    deadline: Instant,
    /// The rule's own words, once a worker has read them.
    descriptor: OnceLock<Descriptor>,
}

impl Subject {
    /// Description of the rule by itself. That every process says the same is a check of its own.
    fn descriptor(&self) -> Result<&Descriptor, Broken> {
        match self.descriptor.get() {
            Some(descriptor) => Ok(descriptor),
            None => {
                let descriptor = self.fresh()?.descriptor().clone();
                Ok(self.descriptor.get_or_init(|| descriptor))
            }
        }
    }

    /// Settings of the next worker: a rule that never answers costs the time of a few calls.
    fn worker_settings(&self) -> Result<WorkerSettings, Broken> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return skipped(format!(
                "the {} for all checks are over; --timeout gives more",
                TimeText(self.given.timeout)
            ));
        }
        let mut settings = self.settings.clone();
        let limits = &mut settings.limits;
        limits.call = left.min(self.given.timeout / 5);
        limits.origins.call = Some("a fifth of --timeout".to_owned());
        if limits.load > left {
            limits.load = left;
            limits.origins.load = Some("what is left of --timeout".to_owned());
        }
        Ok(settings)
    }

    /// The rule in a worker of its own.
    fn fresh(&self) -> Result<Rule, Broken> {
        let settings = self.worker_settings()?;
        let library = PluginLibrary::new(Vec::new()).with_worker_settings(settings);
        Ok(library.load(&self.file, Isolation::Worker)?)
    }

    /// Number of modalities and of classes that it is asked about.
    fn shape(&self) -> Result<(usize, usize), Broken> {
        let Descriptor { accepts, limits, .. } = self.descriptor()?;
        let count = |names: &[String], asked: Count, limit: usize, most: usize| match asked {
            _ if !names.is_empty() => names.len(),
            Count::Exactly(number) => number,
            Count::AtLeast(least) => least.max(most).min(limit),
            Count::Any => most.min(limit),
        };
        Ok((
            count(&self.given.modalities, accepts.modalities, limits.modalities, 3),
            count(&self.given.classes, accepts.classes, limits.classes, 2),
        ))
    }

    /// Made-up rows of that shape.
    fn rows(&self, rows: usize, missing: bool, seed: u64) -> Result<rows::Rows, Broken> {
        let (modalities, classes) = self.shape()?;
        let mut made = rows::Rows::new(rows, modalities, classes, missing, seed);
        if !self.given.modalities.is_empty() {
            made.modalities.clone_from(&self.given.modalities);
        }
        if !self.given.classes.is_empty() {
            made.classes.clone_from(&self.given.classes);
        }
        Ok(made)
    }

    /// The rule's defaults, and what was given. Required parameters, which only a person can give,
    /// end the check.
    fn params(&self, rule: &Rule) -> Result<Params, Broken> {
        rule.params(&self.given.params).or_else(|problems| {
            let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
            skipped(format!("parameters: {}", texts.join("; ")))
        })
    }

    /// A model: of the files that were given, or fitted on rows.
    fn model(&self, rule: &Rule, rows: &rows::Rows) -> Result<Vec<u8>, Broken> {
        let params = self.params(rule)?;
        if self.given.files.is_empty() {
            self.must_fit()?;
            return Ok(rule.fit(&rows.training(), &params, 1, &StopSignal::new())?.model);
        }
        let source = LoadSource {
            modalities: &rows.modalities,
            classes: &rows.classes,
            files: &self.given.files,
        };
        Ok(rule.load(&source, &params, &StopSignal::new())?.model)
    }

    /// Ends a check that fits where nothing is fitted.
    fn must_fit(&self) -> Result<(), Broken> {
        match (self.given.files.is_empty(), self.descriptor()?.capabilities.fits) {
            (false, _) => skipped("the model is loaded and not fitted"),
            (true, false) => {
                skipped("it only loads models: give the files of one, --files NAME=FILE")
            }
            (true, true) => Ok(()),
        }
    }

    fn is_script(&self) -> bool {
        self.file.form == PluginForm::Script
    }

    /// A probe that runs inside a worker's process, beside the plugin.
    fn probe(&self, name: &str) -> Result<(), Broken> {
        if self.is_script() {
            return skipped("a script has no C functions");
        }
        if FITTING.contains(&name) || name.starts_with(probe::FIT_THREADS) {
            self.must_fit()?;
        }
        match probe::in_worker(&self.image, &self.worker_settings()?, name) {
            probe::Answer::Pass => Ok(()),
            probe::Answer::Fail(reason) => broken(reason),
            probe::Answer::Skipped(reason) => skipped(reason),
        }
    }
}

/// A model as the rule gives it: rows are asked in the order in which they stand, and nothing is
/// asked again.
struct BareModel {
    rule: Rule,
    opened: Arc<dyn OpenedModel>,
}

impl BareModel {
    fn open(rule: &Rule, model: &[u8]) -> Result<Self, HostError> {
        let opened = rule.open_once(model, &StopSignal::new())?;
        Ok(Self { rule: rule.clone(), opened })
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<f64>, HostError> {
        self.asked(batch, 1, |out| self.opened.predict(batch, out, &StopSignal::new()))
    }

    fn predict_permuted(
        &self,
        batch: &Batch,
        permuted: Permuted<'_>,
    ) -> Result<Vec<f64>, HostError> {
        self.asked(batch, permuted.permutations, |out| {
            self.opened.predict_permuted(batch, permuted, out, &StopSignal::new())
        })
    }

    /// Reference for permuted prediction: a loop of predict.
    fn looped(&self, batch: &Batch, permuted: Permuted<'_>) -> Result<Vec<f64>, HostError> {
        self.asked(batch, permuted.permutations, |out| {
            looped(&*self.opened, batch, permuted, out, &StopSignal::new())
        })
    }

    fn asked(
        &self,
        batch: &Batch,
        times: usize,
        ask: impl FnOnce(&mut [f64]) -> Result<(), Fault>,
    ) -> Result<Vec<f64>, HostError> {
        self.rule.descriptor().takes(batch)?;
        let id = &self.rule.file().id;
        let mut out = vec![f64::NAN; times * batch.rows() * batch.classes().len()];
        ask(&mut out).map_err(|fault| fault.into_error(id, "predict"))?;
        output_law(id, &out, batch, |row| row)?;
        Ok(out)
    }
}

/// Probes that fit a model in their own process.
const FITTING: [&str; 6] = ["locale", "leaks", "threads", "guarded", "state", "traces"];

impl rows::Rows {
    /// A batch to predict, whatever its values.
    #[expect(clippy::expect_used, reason = "the lengths are right by construction")]
    pub fn batch(&self) -> Batch {
        Batch::unchecked(&self.modalities, &self.classes, self.columns()).expect("lengths that fit")
    }

    /// A batch to fit on.
    #[expect(clippy::expect_used, reason = "the lengths and labels are right by construction")]
    pub fn training(&self) -> Batch {
        self.batch().with_labels(&self.label, &self.weight).expect("labels that fit")
    }
}

/// Checks how a worker or a plugin refuses wrong input: in words, with its process alive.
fn refusal<T>(result: Result<T, HostError>, what: &str) -> Result<(), Broken> {
    match result {
        Ok(_) => broken(format!("{what} is taken without an error")),
        Err(HostError::Rule { .. } | HostError::Batch(_)) => Ok(()),
        Err(error) => broken(format!("{what}: {error}")),
    }
}
