//! Checks of a plan before anything runs, besides leaks: which actions a stage has, what arrives at
//! them, and whether that can work.
//!
//! A stage kind looks at its actions through [`PlanSite`] and reports what would otherwise fail, or
//! say nothing, while running. Checks that hold for every kind are made here.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::ArtifactKind;
use fuseline_host::worker::Layers;
use fuseline_host::{Conditions, Isolation, short_name};
use fuseline_workflow::{
    ActionIndex, Axis, AxisIndex, Diagnostic, GroupIndex, Groups, IndexVec, InputSource, Place,
    PointIndex, Stage, StageIndex, Variant, WorkflowOutput,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::environment::Environment;
use crate::kind::{PreparedStage, StageKind};
use crate::plan::{ActionId, NodeId, Plan, Producer};
use crate::provenance::action_label;
use crate::services::Services;
use crate::{codes, conditions};

/// The port at which kinds take the examples with their labels.
const COHORT: &str = "cohort";

/// What the labels of a cohort make.
const OF_LABELS: [ArtifactKind; 5] = [
    ArtifactKind::Evidence,
    ArtifactKind::Quality,
    ArtifactKind::Model,
    ArtifactKind::Permutations,
    ArtifactKind::ExampleEffects,
];

/// One action of a plan, as a stage kind may look at it.
#[derive(Clone, Copy)]
pub struct PlannedAction<'p> {
    plan: &'p Plan<'p>,
    stage: StageIndex,
    /// Its index within its stage.
    index: ActionIndex,
}

impl PartialEq for PlannedAction<'_> {
    /// Actions of one plan are compared.
    fn eq(&self, other: &Self) -> bool {
        (self.stage, self.index) == (other.stage, other.index)
    }
}

impl<'p> PlannedAction<'p> {
    fn written(&self) -> &'p Stage {
        &self.plan.workflow.stages[self.stage]
    }

    fn variant(&self) -> &'p Variant {
        let stage = self.written();
        &stage.variants[stage.actions.variant(self.index)]
    }

    /// The action's number in its plan.
    pub fn id(&self) -> ActionId {
        self.plan.action_of(self.stage, self.index)
    }

    /// The name of its stage.
    pub fn stage_name(&self) -> &'p str {
        &self.written().name
    }

    /// The name of its stage kind.
    pub fn kind_name(&self) -> &'p str {
        &self.plan.kinds.get(self.variant().kind).spec.name
    }

    /// `stage[axis=label,axis=label]`.
    pub fn name(&self) -> String {
        action_label(self.stage_name(), &self.plan.point(self.id()))
    }

    /// Its axes, each with the label at which it stands.
    pub fn point(&self) -> impl Iterator<Item = (&'p str, &'p str)> + use<'p> {
        let coordinates = self.plan.coordinates(self.written(), self.index);
        coordinates.map(|(_, axis, label)| (axis, label))
    }

    /// Its label on an axis.
    pub fn label(&self, axis: &str) -> Option<&'p str> {
        self.point().find(|(name, _)| *name == axis).map(|(_, label)| label)
    }

    /// An option, as the workflow gives it.
    pub fn option(&self, name: &str) -> Option<&'p Value> {
        self.variant().options.get(name)
    }

    /// Its options, with what the kind fills in; `None` when it is of another kind.
    pub fn options<K: StageKind + DeserializeOwned>(&self) -> Option<K> {
        (self.kind_name() == K::NAME).then(|| K::deserialize(&*self.variant().options).ok())?
    }

    /// Actions that arrive at an input, in order; none if the kind does not read it.
    pub fn inputs(&self, port: &str) -> impl Iterator<Item = Self> + use<'p> {
        let Self { plan, stage, index } = *self;
        let input = self.written().inputs.position(|input| input.port == port);
        let producers = input.map(|input| plan.producers(stage, index, input));
        let action = move |of: Producer<'_>| Self { plan, stage: of.source.stage, index: of.index };
        producers.into_iter().flatten().map(action)
    }

    /// Place of an option's value, or of the nearest option around it.
    pub fn option_place(&self, option: &str) -> Place {
        self.variant().places.place(option)
    }

    /// Place of an option's name, or of the nearest option around it.
    pub fn option_key_place(&self, option: &str) -> Place {
        self.variant().places.key_place(option)
    }

    /// Place of an input's name, or else of the stage's.
    pub fn input_place(&self, port: &str) -> &'p Place {
        let stage = self.written();
        let input = stage.inputs.iter().find(|input| input.port == port);
        input.map_or(&stage.places.name, |input| &input.place)
    }

    /// Place of the stage's axes, if it has any.
    pub fn over_place(&self) -> Option<&'p Place> {
        self.written().places.over.as_ref()
    }

    /// The sets of actions that arrive at some inputs: the same numbers where the same actions do.
    fn arrivals(&self, ports: &[&str]) -> Vec<Option<GroupIndex>> {
        let inputs =
            self.written().inputs.iter().filter(|input| ports.contains(&input.port.as_str()));
        inputs.flat_map(|input| &input.sources).map(|source| source.group_of[self.index]).collect()
    }
}

impl<'a> Plan<'a> {
    /// True if the label of a cohort that a stage gives is a number (`regression: true`).
    pub fn gives_numbers(&self, stage: StageIndex) -> bool {
        self.stages[stage].variants.iter().any(|variant| variant.stage.gives_numbers())
    }

    /// One of its actions, with what arrives at it.
    pub fn action<'p>(&'p self, action: ActionId) -> PlannedAction<'p>
    where
        'a: 'p,
    {
        let (stage, index) = self.stage_of(action);
        PlannedAction { plan: self, stage, index }
    }
}

/// View of the plan for one stage kind, and receiver of its reports.
pub struct PlanSite<'p> {
    /// Services from outside.
    pub services: &'p Services,
    plan: &'p Plan<'p>,
    stage: StageIndex,
    /// The actions of the stage that have the options at hand.
    actions: &'p [ActionIndex],
    /// For each action whether its label is a number; empty where none is.
    numbers: &'p IndexVec<ActionId, bool>,
    found: Found,
}

impl<'p> PlanSite<'p> {
    /// The actions of the stage that have the options at hand.
    pub fn actions(&self) -> impl Iterator<Item = PlannedAction<'p>> + use<'p> {
        let Self { plan, stage, actions, .. } = *self;
        actions.iter().map(move |&index| PlannedAction { plan, stage, index })
    }

    /// Conditions of the rules of the stage: isolation, and conditions that the workflow states.
    pub fn conditions(&self) -> (Isolation, Conditions) {
        let Self { services, plan, stage, .. } = self;
        let execution = &plan.workflow.stages[*stage].execution;
        let stated = conditions::isolation(plan.workflow, execution);
        let isolation = services.isolation.or(stated).unwrap_or_default();
        (isolation, conditions::conditions(plan.workflow, execution))
    }

    /// The first of them.
    pub fn first(&self) -> Option<PlannedAction<'p>> {
        self.actions().next()
    }

    /// One of these actions for each different set of actions that arrives at some inputs.
    pub fn distinct(&self, ports: &[&str]) -> Vec<PlannedAction<'p>> {
        let mut seen = BTreeSet::new();
        self.actions().filter(|action| seen.insert(action.arrivals(ports))).collect()
    }

    /// True if the label behind an action is a number (`regression: true`).
    pub fn is_regression(&self, action: PlannedAction<'p>) -> bool {
        self.numbers.get(action.id()).is_some_and(|is| *is)
    }

    /// All actions of the plan.
    pub fn all_actions(&self) -> impl Iterator<Item = PlannedAction<'p>> + use<'p> {
        let plan = self.plan;
        plan.workflow.stages.iter_enumerated().flat_map(move |(stage, of)| {
            of.actions.keys().map(move |index| PlannedAction { plan, stage, index })
        })
    }

    /// The actions that read an output of this stage, each with the input by which they do.
    pub fn readers(&self) -> impl Iterator<Item = (PlannedAction<'p>, &'p str)> + use<'p> {
        let (plan, read) = (self.plan, self.stage);
        plan.workflow.stages.iter_enumerated().flat_map(move |(stage, of)| {
            let reads = of.inputs.iter().filter_map(move |input| {
                let source = input.sources.iter().find(|source| source.stage == read)?;
                Some((input.port.as_str(), source))
            });
            reads.flat_map(move |(port, source)| {
                let groups = source.group_of.iter_enumerated();
                let reading = groups.filter(|(_, group)| group.is_some());
                reading.map(move |(index, _)| (PlannedAction { plan, stage, index }, port))
            })
        })
    }

    /// The names of the axes along which an input gathers.
    pub fn gathered(&self, port: &str) -> Vec<&'p str> {
        let inputs = self.plan.workflow.stages[self.stage].inputs.iter();
        let sources = inputs.filter(|input| input.port == port).flat_map(|input| &input.sources);
        let mut axes: Vec<AxisIndex> =
            sources.flat_map(|source| source.gathered_axes.iter().copied()).collect();
        axes.sort_unstable();
        axes.dedup();
        axes.into_iter().map(|axis| self.plan.workflow.axes[axis].name.as_str()).collect()
    }

    /// The axis of a name.
    pub fn axis(&self, name: &str) -> Option<&'p Axis> {
        self.plan.workflow.axes.iter().find(|axis| axis.name == name)
    }

    /// Reports a kind that takes classes alone behind a cohort whose label is a number, and returns
    /// false then.
    fn check_numbers(&mut self, stage: &dyn PreparedStage) -> bool {
        if stage.takes_numbers() || self.numbers.is_empty() {
            return true;
        }
        let Some(action) = self.actions().find(|action| self.is_regression(*action)) else {
            return true;
        };
        let message = format!(
            "`{}` is of kind {}, which takes classes, and the label is a number (regression: true)",
            action.stage_name(),
            action.kind_name()
        );
        let place = &action.written().places.name;
        self.report(
            Diagnostic::error(codes::REGRESSION, place, message).hint(
                "`fuseline explain regression` lists the kinds that take a number; threshold or \
             quantile in the label cut it into classes for the others"
                    .to_owned(),
            ),
        );
        false
    }

    /// Reports a mistake, or something that is likely not meant.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.found.diagnostics.push(diagnostic);
    }

    /// Reports a mistake that may follow from another, and is reported where nothing else is wrong.
    pub fn report_what_may_follow(&mut self, diagnostic: Diagnostic) {
        self.found.may_follow.push(diagnostic);
    }
}

/// Diagnostics found in a plan.
#[derive(Default)]
pub(crate) struct Found {
    pub diagnostics: Vec<Diagnostic>,
    /// To be said where nothing else is wrong.
    pub may_follow: Vec<Diagnostic>,
    /// Warnings that a reader of the results must know, by stage.
    pub doubts: Vec<(StageIndex, String)>,
}

/// Runs the checks of every stage kind on the plan, and those that hold for all kinds.
pub(crate) fn check(plan: &Plan<'_>, services: &Services) -> Found {
    let mut found = Found::default();
    let numbers = numbers(plan);
    for (stage, planned) in plan.stages.iter_enumerated() {
        let before = found.diagnostics.len();
        let by_variant = actions_by_variant(&plan.workflow.stages[stage]);
        for (variant, of) in planned.variants.iter().enumerate() {
            let actions = by_variant.get(variant.into());
            let mut site = PlanSite { services, plan, stage, actions, numbers: &numbers, found };
            // A kind that cannot have the label has no other mistake worth a look.
            if site.check_numbers(&*of.stage) {
                of.stage.check_plan(&mut site);
            }
            found = site.found;
        }
        found.diagnostics.extend(other_cohort(plan, stage, &found.doubts));
        found.diagnostics.extend(options_without_effect(plan, stage));
        // An input at the wrong point is said once.
        if found.diagnostics.len() == before {
            found.diagnostics.extend(axes_without_effect(plan, stage));
        }
        let own = found.diagnostics.iter().skip(before);
        let of_results = own.filter(|of| !of.is_error() && codes::OF_RESULTS.contains(&of.code));
        found.doubts.extend(of_results.map(|of| (stage, of.message.clone())));
    }
    found.diagnostics.extend(plan.workflow.outputs.iter().filter_map(|output| form(plan, output)));
    found.diagnostics.extend(layers(plan));
    found.diagnostics.extend(sandboxes_of_no_rule(plan));
    found
}

/// The actions of a stage by the variant that they have.
fn actions_by_variant(stage: &Stage) -> Groups {
    let variant = |action| Some(usize::from(stage.actions.variant(action)).into());
    Groups::collect(stage.variants.len(), stage.actions.keys().map(variant))
}

/// Errors for required layers of the sandbox that this system lacks, and a warning for others that
/// would confine the rules of the plan.
fn layers(plan: &Plan<'_>) -> Vec<Diagnostic> {
    let workflow = plan.workflow;
    let missing: Vec<&str> = Layers::available().missing().collect();
    let of_stages = workflow.stages.iter().zip(&plan.stages).filter(|(_, of)| of.wanted);
    let of_stages = of_stages.flat_map(|(stage, _)| &stage.execution.required_layers);
    let required: Vec<_> = workflow.required_layers.iter().chain(of_stages).collect();
    let refused = required.iter().filter(|(layer, _)| missing.contains(layer));
    let mut found: Vec<_> = refused
        .map(|(layer, place)| {
            let message = format!("this system has no {layer}, and `isolation` requires it");
            Diagnostic::error(codes::MISSING_LAYER, place, message).hint(
                "run it on a newer kernel, or where nothing takes the layer away; without \
                 `require` the run goes on with a warning"
                    .to_owned(),
            )
        })
        .collect();
    let is_required = |layer: &&str| required.iter().any(|(name, _)| name == layer);
    let others: Vec<&str> = missing.iter().copied().filter(|layer| !is_required(layer)).collect();
    let confined = Environment::of_plan(plan).confined_stage();
    if let (Some(stage), false) = (confined, others.is_empty()) {
        let message = format!(
            "this system has no {}: fusion rules are confined less",
            others.join(" and no ")
        );
        let place = &workflow.stages[stage].places.name;
        found.push(Diagnostic::warning(codes::MISSING_LAYER, place, message).hint(
            "`isolation: { require: [...] }` refuses to run where a layer is missing".to_owned(),
        ));
    }
    found
}

/// Warnings for names under `sandbox` that no rule of the plan has: the rule that was meant has
/// another sandbox.
fn sandboxes_of_no_rule(plan: &Plan<'_>) -> Vec<Diagnostic> {
    let variants = plan.stages.iter().flat_map(|stage| &stage.variants);
    let rules: BTreeSet<&str> =
        variants.filter_map(|of| Some(of.rule.as_ref()?.id.as_str())).collect();
    let is_used = |name: &str| rules.iter().any(|id| *id == name || short_name(id) == name);
    let unused = plan.workflow.sandboxes.iter().filter(|(name, ..)| !is_used(name));
    let rules: Vec<&str> = rules.iter().copied().collect();
    unused
        .map(|(name, _, place)| {
            let message = format!("`sandbox` names {name}, and no stage has a rule of that name");
            Diagnostic::warning(codes::UNKNOWN_RULE, place, message).hint(match &rules[..] {
                [] => "no stage has a rule".to_owned(),
                rules => format!("the rules are {}", rules.join(", ")),
            })
        })
        .collect()
}

/// For each action whether a cohort upstream of it, or its own, has a label that is a number; empty
/// where none has.
fn numbers(plan: &Plan<'_>) -> IndexVec<ActionId, bool> {
    let gives = |of: &crate::plan::PlannedVariant| of.stage.gives_numbers();
    if !plan.stages.keys().any(|stage| plan.gives_numbers(stage)) {
        return IndexVec::new();
    }
    let mut marked: IndexVec<NodeId, _> = vec![false; plan.graph.node_count()].into();
    let mut stack: Vec<NodeId> = plan
        .actions()
        .filter(|&action| {
            let (stage, index) = plan.stage_of(action);
            gives(plan.variant(stage, index))
        })
        .map(NodeId::from)
        .collect();
    while let Some(node) = stack.pop() {
        if !std::mem::replace(&mut marked[node], true) {
            stack.extend(plan.dependents(node));
        }
    }
    marked.raw.truncate(plan.len());
    marked.raw.into()
}

/// A warning for a table that is given out under the name of another form.
fn form(plan: &Plan<'_>, output: &WorkflowOutput) -> Option<Diagnostic> {
    let (_, kind) = &plan.stages[output.stage].outputs[output.output];
    let ending = output.file.extension()?.to_str()?;
    if kind.schema().is_none() || ["parquet", "csv", "json"].contains(&ending) {
        return None;
    }
    let file = output.file.display();
    let message = format!("`{file}` would hold Parquet: its name says another form, `.{ending}`");
    let hint = "end the name with .parquet, or with .csv or .json for a table in that form";
    let place = &output.place;
    Some(Diagnostic::warning(codes::OUTPUT_FORM, place, message).hint(hint.to_owned()))
}

/// A warning where a stage reads a cohort, and what arrives beside it was made with another: labels
/// of two studies.
fn other_cohort(
    plan: &Plan<'_>,
    stage: StageIndex,
    doubts: &[(StageIndex, String)],
) -> Option<Diagnostic> {
    let written = &plan.workflow.stages[stage];
    let is_of_labels = |source: &InputSource| {
        let (_, kind) = &plan.stages[source.stage].outputs[source.output];
        OF_LABELS.contains(kind)
            && plan.workflow.stages[source.stage].inputs.iter().any(|of| of.port == COHORT)
    };
    let told = written.inputs.iter().filter(|input| input.sources.iter().any(is_of_labels));
    let ports: Vec<&str> = told.map(|input| input.port.as_str()).collect();
    if ports.is_empty() || !written.inputs.iter().any(|input| input.port == COHORT) {
        return None;
    }
    let is_in_doubt = |from: &PlannedAction<'_>| doubts.iter().any(|(of, _)| *of == from.stage);
    let mut seen = BTreeSet::new();
    for index in written.actions.keys() {
        let action = PlannedAction { plan, stage, index };
        for &port in &ports {
            if !seen.insert((port, action.arrivals(&[COHORT, port]))) {
                continue;
            }
            let own: Vec<_> = action.inputs(COHORT).collect();
            let Some(first) = own.first() else { continue };
            for from in action.inputs(port).filter(|from| !is_in_doubt(from)) {
                let Some(other) = from.inputs(COHORT).find(|of| !own.contains(of)) else {
                    continue;
                };
                let message = format!(
                    "`{}` takes `{}` and, at `{port}`, what `{}` made with `{}`: the labels of two \
                     cohorts",
                    written.name,
                    first.name(),
                    from.stage_name(),
                    other.name()
                );
                return Some(
                    Diagnostic::warning(codes::OTHER_COHORT, action.input_place(COHORT), message)
                        .hint("take the same cohort at all of them".to_owned()),
                );
            }
        }
    }
    None
}

/// A warning for each axis of a stage along which its actions do not differ as its axes say: an input
/// takes some points of the axis for all of them, or options and inputs are the same.
fn axes_without_effect(plan: &Plan<'_>, number: StageIndex) -> Vec<Diagnostic> {
    let stage = &plan.workflow.stages[number];
    let picked: Vec<_> = (0..stage.over.len())
        .filter_map(|place| Some((stage.over[place], picked(plan, stage, stage.over[place])?)))
        .collect();
    let is_picked = |axis| picked.iter().any(|(known, _)| *known == axis);
    let same = same_along(plan, number).into_iter().filter(|(axis, _)| !is_picked(*axis));
    same.chain(picked.iter().cloned()).map(|(_, diagnostic)| diagnostic).collect()
}

/// A warning where a stage runs over an axis and takes what arrives at an input at some points of
/// the axis alone: usually an experiment that was copied.
fn picked(plan: &Plan<'_>, stage: &Stage, axis: AxisIndex) -> Option<Diagnostic> {
    let workflow = plan.workflow;
    let takes_some = |source: &&InputSource| {
        let producer = &workflow.stages[source.stage];
        let Some(place) = producer.over.iter().position(|of| *of == axis) else { return false };
        if !source.gathered_axes.contains(&axis) {
            return false;
        }
        let points = |actions: &mut dyn Iterator<Item = ActionIndex>| -> BTreeSet<PointIndex> {
            actions.map(|action| producer.actions.coords(action)[place]).collect()
        };
        let first = source.group_of.iter().flatten().next();
        let members = first.map_or(&[][..], |group| source.groups.get(*group));
        let taken = points(&mut members.iter().copied());
        taken.len() < points(&mut producer.actions.keys()).len()
    };
    let source = stage.inputs.iter().flat_map(|input| &input.sources).find(takes_some)?;
    let (name, axis) = (&stage.name, &workflow.axes[axis].name);
    let message = format!(
        "`{name}` runs over `{axis}`, and takes `{}` at the same of its points for every `{axis}`",
        workflow.stages[source.stage].name
    );
    Some(Diagnostic::warning(codes::AXIS_WITHOUT_EFFECT, &source.place, message).hint(format!(
        "leave the selection of `{axis}` out, so that each takes its own, or take `{axis}` out of \
         `over`"
    )))
}

/// A warning for each option of a stage that is written, and that none of its actions reads.
fn options_without_effect(plan: &Plan<'_>, number: StageIndex) -> Vec<Diagnostic> {
    let stage = &plan.workflow.stages[number];
    let inputs: Vec<&str> = stage.inputs.iter().map(|input| input.port.as_str()).collect();
    let variants = || stage.variants.iter().zip(&plan.stages[number].variants);
    // Hardly any stage has one: then no option is looked at.
    let mut unread = BTreeMap::new();
    for (variant, planned) in variants() {
        for (option, reason) in planned.stage.without_effect(&inputs) {
            if variant.options.contains_key(option) {
                unread.insert(option, (reason, variant));
            }
        }
    }
    unread.retain(|option, _| {
        variants().all(|(variant, planned)| {
            !variant.options.contains_key(*option)
                || planned.stage.without_effect(&inputs).iter().any(|(name, _)| name == option)
        })
    });
    let warning = |(option, (reason, variant)): (&str, (&str, &Variant))| {
        let place = variant.places.key_place(option);
        let message = format!("`{option}` has no effect: {reason}");
        Diagnostic::warning(codes::OPTION_WITHOUT_EFFECT, &place, message)
            .hint("leave it out".to_owned())
    };
    unread.into_iter().map(warning).collect()
}

/// A warning for each axis of a stage along which all its actions are the same: same options, same
/// inputs.
fn same_along(plan: &Plan<'_>, number: StageIndex) -> Vec<(AxisIndex, Diagnostic)> {
    let stage = &plan.workflow.stages[number];
    if plan.stages[number].variants.iter().any(|variant| plan.kinds.get(variant.kind).reads_point) {
        return Vec::new();
    }
    let without_effect = |place: usize| {
        let axis = stage.over[place];
        let matches = |source: &InputSource| {
            let over = &plan.workflow.stages[source.stage].over;
            over.contains(&axis) && !source.gathered_axes.contains(&axis)
        };
        if stage.inputs.iter().flat_map(|input| &input.sources).any(matches) {
            return false;
        }
        stage.variants.len() == 1 || has_one_variant_along(stage, place)
    };
    let several = |place: &usize| {
        let mut coords = stage.actions.keys().map(|action| stage.actions.coords(action)[*place]);
        let first = coords.next();
        coords.any(|coord| Some(coord) != first)
    };
    (0..stage.over.len())
        .filter(several)
        .filter(|&place| without_effect(place))
        .map(|place| {
            let axis = &plan.workflow.axes[stage.over[place]].name;
            let message = format!(
                "`{}` runs over `{axis}`, and nothing of it depends on `{axis}`: its actions \
                 along it are all the same",
                stage.name
            );
            let over = stage.places.over.as_ref().unwrap_or(&stage.places.name);
            let warning = Diagnostic::warning(codes::AXIS_WITHOUT_EFFECT, over, message)
                .hint(format!("use it, as in `${{{{ {axis} }}}}`, or take `{axis}` out of `over`"));
            (stage.over[place], warning)
        })
        .collect()
}

/// True if actions that differ along one axis alone have the same options. `place`: which of the
/// stage's axes.
fn has_one_variant_along(stage: &Stage, place: usize) -> bool {
    let mut variant_of = BTreeMap::new();
    stage.actions.keys().all(|action| {
        let mut others = stage.actions.coords(action).to_vec();
        others[place] = PointIndex::default();
        let variant = stage.actions.variant(action);
        *variant_of.entry(others).or_insert(variant) == variant
    })
}
