//! Conditions under which the rules and programs of a run's actions are executed, for its record.

use std::collections::BTreeSet;

use fuseline_host::worker::Layers;
use fuseline_host::{Interpreter, Isolation, PassedVariables, Sandbox};
use fuseline_workflow::StageIndex;
use serde::{Deserialize, Serialize};

use crate::conditions;
use crate::plan::Plan;

/// Conditions under which the rules and programs of a run's actions are executed. Results that the
/// cache had already were made under those of the run that made them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// The fusion rules, each once for each isolation and sandbox.
    pub rules: Vec<RuleEnvironment>,
    /// Layers of the sandbox that the system lacks, when rules should be confined by them.
    pub missing_layers: Vec<String>,
    /// The interpreters of Python rules and programs.
    pub python: Vec<PythonEnvironment>,
}

/// Conditions of a fusion rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RuleEnvironment {
    /// Its id.
    pub id: String,
    /// Its isolation.
    pub isolation: Isolation,
    /// Its sandbox; none in this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// The first stage that uses it so.
    #[serde(skip)]
    stage: StageIndex,
}

/// A Python interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonEnvironment {
    /// The program.
    pub program: String,
    /// Its version, where it tells it.
    pub version: Option<String>,
    /// Source of the setting: a file and its line, `VIRTUAL_ENV`, or `PATH`.
    pub named_by: String,
}

impl Environment {
    /// The conditions of the actions that a plan wants; the versions of interpreters are not asked.
    pub(crate) fn of_plan(plan: &Plan<'_>) -> Self {
        let (mut rules, mut python) = (BTreeSet::new(), BTreeSet::<&Interpreter>::new());
        for (number, planned) in plan.stages.iter_enumerated().filter(|(_, of)| of.wanted) {
            python.extend(planned.variants.iter().filter_map(|of| of.interpreter.as_ref()));
            let ids = planned.variants.iter().filter_map(|of| Some(&of.rule.as_ref()?.id));
            let ids: BTreeSet<&String> = ids.collect();
            if ids.is_empty() {
                continue;
            }
            let execution = &plan.workflow.stages[number].execution;
            let stated = conditions::isolation(plan.workflow, execution);
            let isolation = plan.isolation.or(stated).unwrap_or_default();
            let conditions = conditions::conditions(plan.workflow, execution);
            rules.extend(ids.into_iter().cloned().map(|id| {
                let sandbox = (isolation == Isolation::Worker).then(|| conditions.sandbox_of(&id));
                RuleEnvironment { id, isolation, sandbox, stage: number }
            }));
        }
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.dedup_by(|one, other| {
            (&one.id, one.isolation, one.sandbox) == (&other.id, other.isolation, other.sandbox)
        });
        let python = python.into_iter().map(|interpreter| PythonEnvironment {
            program: interpreter.program.display().to_string(),
            version: None,
            named_by: interpreter.named_by.clone(),
        });
        let mut environment = Self { rules, missing_layers: Vec::new(), python: python.collect() };
        if environment.confined_stage().is_some() {
            let missing = Layers::available().missing();
            environment.missing_layers = missing.map(str::to_owned).collect();
        }
        environment
    }

    /// The first stage whose rules should be confined.
    pub(crate) fn confined_stage(&self) -> Option<StageIndex> {
        let is_confined =
            |of: &&RuleEnvironment| of.sandbox.is_some_and(|sandbox| sandbox != Sandbox::Off);
        self.rules.iter().filter(is_confined).map(|of| of.stage).min()
    }

    /// A line for each interpreter that did not take part `before`, in the last run, where another
    /// did: what is reused was made with that.
    pub fn words_on_interpreters(&self, before: &Self) -> Vec<String> {
        let Some(gone) = before.python.iter().find(|of| !self.uses(&of.program)) else {
            return Vec::new();
        };
        let words = |of: &PythonEnvironment| {
            format!(
                "the Python interpreter is {} ({}) and was {}: actions are reused where no version \
                 that they reported differs; a program that does not report what it imports \
                 (package fuseline, or reads.json) runs again with another `revision`",
                of.program, of.named_by, gone.program
            )
        };
        self.python.iter().filter(|of| !before.uses(&of.program)).map(words).collect()
    }

    /// True if an interpreter takes part.
    fn uses(&self, program: &str) -> bool {
        self.python.iter().any(|of| of.program == program)
    }

    /// True if no rule and no interpreter takes part.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// One line for each rule, interpreter and missing layer.
    pub fn lines(&self) -> Vec<String> {
        let rules =
            self.rules.iter().map(|RuleEnvironment { id, isolation, sandbox, .. }| {
                match (isolation, sandbox) {
                    (Isolation::Worker, Some(sandbox)) => {
                        format!("{id}: worker, sandbox {sandbox}")
                    }
                    (Isolation::Worker, None) => format!("{id}: worker"),
                    (Isolation::InProcess, _) => format!("{id}: in-process"),
                }
            });
        let python = self.python.iter().map(|of| {
            let version = of.version.as_deref().unwrap_or("of unknown version");
            format!("Python {version}: {} ({})", of.program, of.named_by)
        });
        let missing = self.missing_layers.iter();
        let missing = missing.map(|layer| format!("{layer} is missing on this system"));
        rules.chain(python).chain(missing).collect()
    }
}

impl Plan<'_> {
    /// The variables of the environment that its rules and programs see, as they are now.
    pub fn passed_variables(&self) -> PassedVariables {
        conditions::all_passed(self.workflow)
    }

    /// The conditions of the actions that it wants, with the versions of interpreters, which are
    /// asked for them.
    pub fn environment(&self) -> Environment {
        let mut environment = Environment::of_plan(self);
        for of in &mut environment.python {
            let interpreter =
                Interpreter { program: of.program.clone().into(), named_by: of.named_by.clone() };
            of.version = interpreter.version().ok();
        }
        environment
    }
}
