//! Ports of a stage, and the check that it is given the inputs that it needs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::edits::add_input;
use super::expand::{Expanded, World};
use super::{WrittenInput, WrittenStage, strangers};
use crate::catalogue::{Arity, Catalogue, InputPort, OutputPort, Role};
use crate::codes;
use crate::diagnostic::{Diagnostic, Fix};
use crate::index::{IndexVec, KindIndex, OutputIndex, WrittenStageIndex};
use crate::names;
use crate::workflow::{DeclaredPorts, OptionPlaces};

/// Reads the ports that a stage declares in its options:
/// `inputs: { name: { artifact, role, many } }` and `outputs: { name: { artifact } }`. The options
/// have been checked against their schema.
pub(crate) fn declared(
    options: &Map<String, Value>,
    catalogue: &Catalogue,
    places: &OptionPlaces,
    found: &mut Vec<Diagnostic>,
) -> DeclaredPorts {
    let artifacts = catalogue.artifacts();
    // One without an artifact kind, or of another form, has been reported with the options.
    let mut read = |section: &str| {
        let ports = options.get(section).and_then(Value::as_object).into_iter().flatten();
        let mut list = Vec::new();
        for (name, port) in ports {
            let artifact = port.get("artifact").and_then(Value::as_str);
            let path = format!("{section}.{name}");
            if !names::is_name(name) {
                let message = format!("`{}` cannot name a port", names::short(name));
                found.push(Diagnostic::error(codes::BAD_NAME, &places.key_place(&path), message));
            }
            if let Some(artifact) = artifact
                && !artifacts.is_empty()
                && !artifacts.contains(&artifact)
            {
                let place = places.place(&format!("{path}.artifact"));
                let message = format!("there is no artifact kind `{}`", names::short(artifact));
                found.push(Diagnostic::error(codes::OPTION_VALUE, &place, message).suggest(
                    artifact,
                    "artifact kind",
                    artifacts.iter().copied(),
                ));
            }
            list.push((name.clone(), artifact.unwrap_or_default().to_owned(), port.clone()));
        }
        list
    };
    let inputs = read("inputs").into_iter().map(|(name, artifact, port)| {
        let role = match port.get("role").and_then(Value::as_str) {
            Some("fit") => Role::Fit,
            Some("apply") => Role::Apply,
            _ => Role::Neutral,
        };
        let many = port.get("many").and_then(Value::as_bool).unwrap_or(false);
        let arity = if many { Arity::Many } else { Arity::One };
        let doc = String::new();
        InputPort { name, artifact, arity, required: true, read: true, role, doc }
    });
    let inputs = inputs.collect();
    let outputs = read("outputs").into_iter().map(|(name, artifact, _)| {
        let doc = String::new();
        OutputPort { name, artifact, doc }
    });
    DeclaredPorts { inputs, outputs: outputs.collect() }
}

impl Expanded {
    /// The inputs of one of the stage's kinds; `None` when they depend on options with mistakes.
    pub fn inputs<'a>(
        &'a self,
        kind: KindIndex,
        catalogue: &'a Catalogue,
    ) -> Option<&'a [InputPort]> {
        let spec = &catalogue.kinds()[kind];
        match spec.declared_ports {
            true => self.declared.get(&kind).map(|ports| ports.inputs.as_slice()),
            false => Some(&spec.inputs),
        }
    }

    fn outputs_of<'a>(
        &'a self,
        kind: KindIndex,
        catalogue: &'a Catalogue,
    ) -> Option<&'a IndexVec<OutputIndex, OutputPort>> {
        let spec = &catalogue.kinds()[kind];
        match spec.declared_ports {
            true => self.declared.get(&kind).map(|ports| &ports.outputs),
            false => Some(&spec.outputs),
        }
    }

    /// The outputs that all kinds of the stage share; `None` when they are not known.
    pub fn outputs<'a>(
        &'a self,
        catalogue: &'a Catalogue,
    ) -> Option<&'a IndexVec<OutputIndex, OutputPort>> {
        self.outputs_of(*self.kinds.first()?, catalogue)
    }
}

/// Advice on an input that a stage is given and does not declare.
fn declare_input(name: &str, declared: &[InputPort]) -> String {
    let names: Vec<_> = declared.iter().map(|port| port.name.as_str()).collect();
    let declared = match names.is_empty() {
        true => "no input is declared".to_owned(),
        false => format!("declared so far: {}", names::list(&names)),
    };
    let name = names::short(name);
    format!(
        "declare it under `with: inputs`, such as `{name}: {{ artifact: features }}`; {declared}"
    )
}

/// The one input that a stage needs and is not given, of the artifact kind that another input is
/// given: its name is likely wrong.
fn only_lacking<'p>(
    input: &WrittenInput,
    stage: &WrittenStage,
    ports: &'p [InputPort],
    stages: &IndexVec<WrittenStageIndex, WrittenStage>,
    all: &IndexVec<WrittenStageIndex, Expanded>,
    catalogue: &Catalogue,
) -> Option<&'p str> {
    let [reference] = input.references.as_slice() else { return None };
    let producer = stages.position(|stage| stage.name == reference.stage)?;
    let outputs = all[producer].outputs(catalogue)?;
    let output = match &reference.port {
        Some((name, _)) => outputs.iter().find(|output| output.name == *name)?,
        None => outputs.iter().next()?,
    };
    let is_given = |port: &InputPort| stage.inputs.iter().any(|input| input.port == port.name);
    let mut lacking = ports.iter().filter(|port| {
        port.required && port.read && !is_given(port) && port.artifact == output.artifact
    });
    let (port, None) = (lacking.next()?, lacking.next()) else { return None };
    Some(&port.name)
}

/// Checks that the kinds of a stage share their outputs, and that each gets its inputs.
pub(crate) fn check(
    stage: WrittenStageIndex,
    stages: &IndexVec<WrittenStageIndex, WrittenStage>,
    all: &IndexVec<WrittenStageIndex, Expanded>,
    world: &World<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let (stage, expanded, catalogue) = (&stages[stage], &all[stage], world.catalogue);
    strangers(stage, &expanded.kinds, catalogue, found);
    let name = |kind: KindIndex| catalogue.kinds()[kind].name.as_str();
    let uses = stage.uses.as_ref().map_or(&stage.name_place, |node| &node.place);
    if let Some(&first) = expanded.kinds.first() {
        for &other in &expanded.kinds[1..] {
            let (a, b) =
                (expanded.outputs_of(first, catalogue), expanded.outputs_of(other, catalogue));
            let (Some(a), Some(b)) = (a, b) else { continue };
            let same = a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| a.name == b.name && a.artifact == b.artifact);
            if !same {
                let message =
                    format!("`{}` and `{}` have different outputs", name(first), name(other));
                found.push(Diagnostic::error(codes::MIXED_KINDS, uses, message).hint(
                    "one stage uses kinds of one family; give each family its own stage".to_owned(),
                ));
                break;
            }
        }
    }
    // Problems that several kinds of one stage share are reported once, for the first.
    let mut said = BTreeMap::new();
    let before = found.len();
    for &kind in &expanded.kinds {
        let Some(ports) = expanded.inputs(kind, catalogue) else { continue };
        for input in &stage.inputs {
            if !ports.iter().any(|port| port.name == input.port)
                && said.insert(("unknown", input.port.clone()), ()).is_none()
            {
                let message =
                    format!("`{}` has no input `{}`", name(kind), names::short(&input.port));
                let names = ports.iter().map(|port| port.name.as_str());
                let unknown = Diagnostic::error(codes::UNKNOWN_PORT, &input.place, message)
                    .hint("it has no inputs".to_owned())
                    .suggest(&input.port, "input", names);
                let is_declared = catalogue.kinds()[kind].declared_ports;
                let lacking = || only_lacking(input, stage, ports, stages, all, catalogue);
                found.push(match unknown.fix {
                    None if is_declared => unknown.hint(declare_input(&input.port, ports)),
                    None => match lacking() {
                        Some(port) => unknown
                            .hint(format!("did you mean `{port}`?"))
                            .fix(Fix::word(&input.port, port, &input.place)),
                        None => unknown,
                    },
                    Some(_) => unknown,
                });
            }
        }
        // An input that is misspelt is not missing, too.
        let meant: Vec<_> = found[before..]
            .iter()
            .filter_map(|found| found.fix.as_ref().map(|fix| fix.text.clone()))
            .collect();
        let needed = ports.iter().filter(|port| {
            port.required && port.read && !stage.misshapen.inputs && !meant.contains(&port.name)
        });
        for port in needed {
            if !stage.inputs.iter().any(|input| input.port == port.name)
                && said.insert(("missing", port.name.clone()), ()).is_none()
            {
                let message = format!("`{}` needs the input `{}`", name(kind), port.name);
                let many = if port.arity == Arity::Many { ", one or more" } else { "" };
                let doc =
                    if port.doc.is_empty() { String::new() } else { format!(": {}", port.doc) };
                found.push(
                    Diagnostic::error(codes::MISSING_INPUT, &stage.name_place, message)
                        .hint(format!("it takes {}{many}{doc}", port.artifact))
                        .fix(add_input(stage, port, stages, all, catalogue, world.files)),
                );
            }
        }
    }
}
