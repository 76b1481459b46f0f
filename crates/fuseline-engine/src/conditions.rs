//! Conditions under which the rules and programs of a stage run: the stage over the workflow. What
//! neither states, the settings of the machine that executes it say.

use fuseline_host::{Conditions, LimitOverrides, Sandbox, Sourced};
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
        sandboxes: sandboxes.map(|(rule, of)| (rule.clone(), host_sandbox(*of))).collect(),
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
        required_layers,
    }
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
