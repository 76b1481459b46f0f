//! From a reference to the stage, the output and the points that it names.

use super::WrittenStage;
use super::expand::{Expanded, World};
use crate::catalogue::OutputPort;
use crate::codes;
use crate::diagnostic::{Diagnostic, Fix};
use crate::index::{AxisIndex, IndexVec, OutputIndex, PointIndex, StageIndex, WrittenStageIndex};
use crate::names::{self, NameMap};
use crate::reference::Reference;

/// All stages as far as they are understood, in the order written.
pub(crate) struct Stages<'a> {
    pub written: &'a IndexVec<WrittenStageIndex, WrittenStage>,
    pub expanded: &'a IndexVec<WrittenStageIndex, Expanded>,
    pub by_name: &'a NameMap<&'a str, WrittenStageIndex>,
    /// Their indices in the workflow.
    pub indices: &'a IndexVec<WrittenStageIndex, StageIndex>,
}

/// A reference whose stage, output and points exist.
pub(crate) struct Resolved<'a> {
    pub stage: WrittenStageIndex,
    pub output: OutputIndex,
    pub port: &'a OutputPort,
    /// The points that a selection leaves, by axis.
    pub selected: Vec<(AxisIndex, Vec<PointIndex>)>,
}

impl<'a> Stages<'a> {
    /// The stage that a reference names; reports it when there is none.
    pub fn stage(
        &self,
        reference: &Reference,
        found: &mut Vec<Diagnostic>,
    ) -> Option<WrittenStageIndex> {
        let stage = self.by_name.get(reference.stage.as_str()).copied();
        if stage.is_none() {
            let names = self.written.iter().map(|stage| stage.name.as_str());
            let message = format!("there is no stage `{}`", reference.stage);
            let unknown = Diagnostic::error(codes::UNKNOWN_STAGE, &reference.stage_place, message);
            let dotted = reference
                .stage
                .split_once('-')
                .filter(|(stage, _)| self.by_name.contains_key(stage) && reference.port.is_none());
            found.push(match dotted {
                Some((stage, port)) => unknown.write(&format!("{stage}.{port}")),
                None => unknown.suggest(&reference.stage, "stage", names),
            });
        }
        stage
    }

    /// Resolves a reference; `None` when it has a mistake or its stage is not understood.
    pub fn resolve(
        &self,
        reference: &Reference,
        world: &World<'a>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Resolved<'a>> {
        let stage = self.stage(reference, found)?;
        let selected = self.selected(reference, stage, world, found);
        let outputs = self.expanded[stage].outputs(world.catalogue)?;
        let output = match &reference.port {
            Some((name, place)) => {
                let output = outputs.position(|port| port.name == *name);
                if output.is_none() {
                    let message = format!("the stage `{}` has no output `{name}`", reference.stage);
                    let names = outputs.iter().map(|port| port.name.as_str());
                    found.push(
                        Diagnostic::error(codes::UNKNOWN_OUTPUT, place, message)
                            .suggest(name, "output", names),
                    );
                }
                output?
            }
            None if outputs.len() == 1 => OutputIndex::default(),
            None => {
                let main = outputs.position(|port| port.name == "main");
                if main.is_none() {
                    let message = match outputs.len() {
                        0 => format!("the stage `{}` has no output", reference.stage),
                        _ => format!("the stage `{}` has several outputs", reference.stage),
                    };
                    let full: Vec<_> = outputs
                        .iter()
                        .map(|port| format!("{}.{}", reference.stage, port.name))
                        .collect();
                    let hint =
                        (!full.is_empty()).then(|| format!("say which: {}", names::list(&full)));
                    found.push(
                        Diagnostic::error(codes::UNKNOWN_OUTPUT, &reference.stage_place, message)
                            .hint(hint),
                    );
                }
                main?
            }
        };
        Some(Resolved { stage, output, port: &outputs[output], selected: selected? })
    }

    /// The points of a selection.
    fn selected(
        &self,
        reference: &Reference,
        stage: WrittenStageIndex,
        world: &World<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Vec<(AxisIndex, Vec<PointIndex>)>> {
        let over = self.written[stage].over.as_deref()?;
        let mut selected = Vec::new();
        let mut whole = true;
        for selection in &reference.selections {
            let name = &selection.axis;
            let Some(axis) = over.iter().copied().find(|axis| world.axes[*axis].name == *name)
            else {
                whole = false;
                let exists = world.axes.iter().any(|axis| axis.name == *name);
                let message = match exists {
                    true => format!("the stage `{}` does not run over `{name}`", reference.stage),
                    false => format!("there is no axis `{name}`"),
                };
                let mistake =
                    Diagnostic::error(codes::UNKNOWN_AXIS, &selection.axis_place, message);
                let uses = self.written[stage].uses.as_ref();
                found.push(if exists {
                    mistake
                        .hint(format!("remove this choice, or let that stage run over `{name}`"))
                        .fix(uses.map(|uses| Fix::selected(&uses.place)))
                } else {
                    let names = over.iter().map(|axis| world.axes[*axis].name.as_str());
                    mistake.suggest(name, "axis", names)
                });
                continue;
            };
            let points = &world.axes[axis].points;
            if points.is_empty() {
                whole = false;
                continue;
            }
            let mut chosen = Vec::new();
            for (label, place) in &selection.labels {
                match points.position(|point| point.label == *label) {
                    Some(point) => chosen.push(point),
                    None => {
                        whole = false;
                        let message =
                            format!("the axis `{name}` has no point `{}`", names::short(label));
                        let labels = points.iter().map(|point| point.label.as_str());
                        found.push(
                            Diagnostic::error(codes::UNKNOWN_POINT, place, message)
                                .suggest(label, "point", labels),
                        );
                    }
                }
            }
            chosen.sort_unstable();
            chosen.dedup();
            selected.push((axis, chosen));
        }
        whole.then_some(selected)
    }
}
