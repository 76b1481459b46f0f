//! Conditions under which the rules and programs of a stage run: the stage over the workflow. What
//! neither states, the settings of the machine that executes it say.

use fuseline_host::{Conditions, LimitOverrides, PassedVariables, Sandbox, Sourced};
use fuseline_workflow::{self as workflow, Execution, Workflow};

/// The conditions of a stage.
pub(crate) fn conditions(workflow: &Workflow, execution: &Execution) -> Conditions {
    let (over, under) = (&execution.limits, &workflow.limits);
    let mut required_layers: Vec<String> = workflow
        .required_layers
        .iter()
        .chain(&execution.required_layers)
        .map(|(layer, _)| (*layer).to_owned())
        .collect();
    required_layers.sort();
    required_layers.dedup();
    let sandboxes = workflow.sandboxes.iter();
    Conditions {
        sandbox: execution.sandbox.or(workflow.sandbox).map(host_sandbox),
        sandboxes: sandboxes.map(|(rule, of, _)| (rule.clone(), host_sandbox(*of))).collect(),
        limits: LimitOverrides {
            memory: over.memory.as_ref().or(under.memory.as_ref()).map(sourced),
            load: over.load.as_ref().or(under.load.as_ref()).map(sourced),
            call: over.call.as_ref().or(under.call.as_ref()).map(sourced),
        },
        memory: over.memory.as_ref().or(under.memory.as_ref()).map(|of| Sourced {
            value: of.value,
            origin: format!("`limits.memory`, {}", of.origin),
        }),
        python: workflow.python.as_ref().map(sourced),
        passed: passed(workflow, execution),
        required_layers,
    }
}

/// The variables that the workflow and the stage pass, as they are now. A value that is no text
/// could not be keyed, and is not passed.
fn passed(workflow: &Workflow, execution: &Execution) -> PassedVariables {
    let names = workflow.passed_variables.iter().chain(&execution.passed_variables);
    names.map(|name| (name.clone(), std::env::var(name).ok())).collect()
}

/// The variables that any stage of a workflow passes, as they are now.
pub(crate) fn all_passed(workflow: &Workflow) -> PassedVariables {
    workflow.stages.iter().flat_map(|stage| passed(workflow, &stage.execution)).collect()
}

pub(crate) fn sourced<T: Clone>(of: &workflow::Sourced<T>) -> Sourced<T> {
    Sourced { value: of.value.clone(), origin: of.origin.clone() }
}

fn host_sandbox(sandbox: workflow::Sandbox) -> Sandbox {
    match sandbox {
        workflow::Sandbox::Strict => Sandbox::Strict,
        workflow::Sandbox::Default => Sandbox::Default,
        workflow::Sandbox::Off => Sandbox::Off,
    }
}

/// The isolation of the rules of a stage, where it or the workflow states it.
pub(crate) fn isolation(
    workflow: &Workflow,
    execution: &Execution,
) -> Option<fuseline_host::Isolation> {
    execution.isolation.or(workflow.isolation).map(|isolation| match isolation {
        workflow::Isolation::Worker => fuseline_host::Isolation::Worker,
        workflow::Isolation::InProcess => fuseline_host::Isolation::InProcess,
    })
}
