//! A stage at every point of its axes: options are evaluated once for each combination of the axes
//! they mention.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::WrittenStage;
use super::compiled::compile;
use super::edits::add_axes;
use super::points::{filter, points};
use super::variants::{VariantMaker, check_skeleton, constant_environment, resolve_kind};
use crate::catalogue::Catalogue;
use crate::codes;
use crate::diagnostic::{Diagnostic, Fix};
use crate::expression::{AxisView, ParamView, Points, Scope, Template, Type, Work};
use crate::files::Files;
use crate::index::{AxisIndex, IndexVec, KindIndex, ParamIndex, PointIndex, VariantIndex};
use crate::limits::Limits;
use crate::workflow::{Actions, Axis, DeclaredPorts, Variant};

/// Inputs that all stages share.
pub(crate) struct World<'a> {
    pub catalogue: &'a Catalogue,
    pub limits: &'a Limits,
    pub files: &'a Files,
    pub params: &'a IndexVec<ParamIndex, ParamView>,
    pub values: &'a IndexVec<ParamIndex, Option<Value>>,
    pub axes: &'a IndexVec<AxisIndex, Axis>,
    pub views: &'a IndexVec<AxisIndex, (String, AxisView)>,
}

/// Result of expanding one stage. Parts with mistakes, all reported, are left out.
#[derive(Debug, Default)]
pub(crate) struct Expanded {
    /// `None` when its points are not known.
    pub actions: Option<Actions>,
    /// Those that could be made; `None` for others.
    pub variants: IndexVec<VariantIndex, Option<Variant>>,
    /// The distinct kinds, as far as known.
    pub kinds: Vec<KindIndex>,
    /// The ports that the stage declares for itself, by kind.
    pub declared: BTreeMap<KindIndex, Arc<DeclaredPorts>>,
}

/// Advice on the key `seed` of a stage.
pub(super) const SEED_HINT: &str = "seed: 1, or seed: ${{ seed }} over an axis `seed`";

/// Adds the axes on which the values of nested ones depend.
pub(super) fn add_outer_axes(
    mentioned: &mut BTreeSet<AxisIndex>,
    over: &[AxisIndex],
    axes: &IndexVec<AxisIndex, Axis>,
) {
    let nested = mentioned.iter().filter_map(|axis| axes[*axis].within.as_ref());
    let outer: Vec<AxisIndex> =
        nested.map(|within| within.axis).filter(|axis| over.contains(axis)).collect();
    mentioned.extend(outer);
}

/// The mistake of reading a nested axis whose values differ under the points of an axis that the
/// stage does not run over.
fn ambiguous_axis(
    stage: &WrittenStage,
    over: &[AxisIndex],
    mentioned: &BTreeSet<AxisIndex>,
    world: &World<'_>,
) -> Option<Diagnostic> {
    let place = stage.over_place.as_ref()?;
    mentioned.iter().find_map(|axis| {
        let axis = &world.axes[*axis];
        let within = axis.within.as_ref().filter(|within| !over.contains(&within.axis))?;
        let differs = |((_, point), value): (&(PointIndex, PointIndex), &Value)| {
            axis.points.get(*point).is_some_and(|point| point.value != *value)
        };
        if !within.values.iter().any(differs) {
            return None;
        }
        let outer = world.axes[within.axis].name.as_str();
        let message = format!(
            "a point of `{}` has other values under each point of `{outer}`, over which `{}` does \
             not run",
            axis.name, stage.name
        );
        Some(
            Diagnostic::error(codes::AXIS_FIELDS, place, message)
                .hint(format!("add `{outer}` to `over`"))
                .related(&axis.place, format!("it is within `{outer}`"))
                .fix(add_axes(stage, &[outer])),
        )
    })
}

/// Expands one stage. `actions_left` bounds the actions of the whole workflow.
pub(crate) fn expand(
    stage: &WrittenStage,
    world: &World<'_>,
    used: &mut BTreeSet<ParamIndex>,
    work: &mut Work,
    actions_left: &mut usize,
    found: &mut Vec<Diagnostic>,
) -> Expanded {
    let over = stage.over.as_deref().unwrap_or_default();
    let known = Points { axes: world.axes, files: world.files, file: stage.name_place.file };
    let mut scope = Scope {
        params: world.params,
        axes: world.views,
        over: Some(over),
        points: Some(known),
        used: &mut *used,
    };
    if stage.over.is_none() {
        // Names cannot be judged, but params are used all the same, and literals can be wrong.
        let all: Vec<_> = world.axes.keys().collect();
        scope.over = Some(&all);
        let mut unheard = Vec::new();
        let with = stage.with.as_deref();
        let seed = stage.seed.as_ref();
        for node in [stage.uses.as_ref(), with, stage.filter.as_ref(), seed].into_iter().flatten() {
            compile(node, &mut scope, world.files, &mut unheard);
        }
        return Expanded::default();
    }
    let before = found.len();
    let uses = stage.uses.as_ref().and_then(|node| {
        let template = Template::read(node, &mut scope, world.files, found)?;
        Some((template, node))
    });
    let with = stage.with.as_ref().map(|node| compile(node, &mut scope, world.files, found));
    let filter = stage.filter.as_ref().map(|node| filter(node, &mut scope, world.files, found));
    let seed = stage.seed.as_ref().map(|node| {
        if node.is_yes_or_no() {
            let mistake = node.not_a("`seed`", "a whole number from 0");
            found.push(mistake.hint(SEED_HINT.to_owned()));
            return None;
        }
        let template = Template::read(node, &mut scope, world.files, found)?;
        if !template.gives.may_be(&Type::Int) {
            let given = template.gives.words();
            let message = format!("`seed` must be a whole number from 0, not {given}");
            found.push(
                Diagnostic::error(codes::EXPRESSION_TYPE, &node.place, message)
                    .hint(SEED_HINT.to_owned()),
            );
            return None;
        }
        Some((template, node))
    });
    for diagnostic in &mut found[before..] {
        if let Some(axis) = diagnostic.fix.as_ref().and_then(Fix::missing_axis) {
            diagnostic.fix = add_axes(stage, &[world.axes[axis].name.as_str()]);
        }
    }
    let known = over.iter().all(|axis| !world.axes[*axis].points.is_empty());
    let mut expanded = Expanded::default();
    let Some((uses, uses_node)) = uses else { return expanded };
    if uses.is_constant()
        && let Some(kind) =
            resolve_kind(&uses, uses_node, world, &mut constant_environment(world, work), found)
    {
        expanded.kinds.push(kind);
    }
    let points = match &filter {
        Some(None) => None,
        _ if !known => None,
        Some(Some(filter)) => points(stage, Some(filter), world, work, actions_left, found),
        None => points(stage, None, world, work, actions_left, found),
    };
    let Some(points) = points else {
        check_skeleton(stage, &expanded.kinds, world, found);
        return expanded;
    };
    // Options that could not be read leave the kinds and the joins to be checked.
    let (with, readable) = match with {
        Some(None) => (None, false),
        Some(with) => (with, true),
        None => (None, !stage.misshapen.with),
    };
    // A seed with a mistake is reported, and hides nothing else.
    let seed = seed.flatten();
    let seed = seed.as_ref().map(|(template, node)| (template, *node));
    let mut maker =
        VariantMaker::new(stage, world, (&uses, uses_node), with.as_ref(), seed, readable);
    let mut mentioned = uses.axes.clone();
    if let Some(with) = &with {
        with.mentions(&mut mentioned);
    }
    mentioned.extend(seed.iter().flat_map(|(template, _)| &template.axes));
    if let Some(mistake) = ambiguous_axis(stage, over, &mentioned, world) {
        found.push(mistake);
        return expanded;
    }
    add_outer_axes(&mut mentioned, over, world.axes);
    let (variants, of_action) = maker.variants(&points, over, &mentioned, work);
    maker.report(variants.len(), found);
    expanded.kinds = maker.kinds.into_iter().collect();
    expanded.declared = maker.declared;
    if !readable {
        check_skeleton(stage, &expanded.kinds, world, found);
    }
    expanded.actions = Some(Actions { axes: over.len(), coords: points, variants: of_action });
    expanded.variants = variants;
    expanded
}
