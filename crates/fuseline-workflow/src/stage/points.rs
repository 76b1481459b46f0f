//! The points of a stage: all combinations of its axes that `where:` keeps.

use std::collections::BTreeSet;

use super::WrittenStage;
use super::expand::{World, add_outer_axes};
use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::expression::{Environment, Mistake, Scope, Template, Type, Work, has_expression};
use crate::files::Files;
use crate::index::{AxisIndex, IndexVec, PointIndex};
use crate::workflow::{Axis, Within};
use crate::yaml::{Node, Style, describe};

/// A `where:` that was understood.
pub(super) struct Filter<'n> {
    template: Template,
    node: &'n Node,
}

pub(super) fn filter<'n>(
    node: &'n Node,
    scope: &mut Scope<'_>,
    files: &Files,
    found: &mut Vec<Diagnostic>,
) -> Option<Filter<'n>> {
    if !node.scalar().is_some_and(|scalar| has_expression(&scalar.text)) {
        let mistake = node.not_a("`where`", "an expression");
        found.push(match node.scalar().filter(|scalar| scalar.style == Style::Plain) {
            Some(scalar) => mistake.write(&format!("${{{{ {} }}}}", scalar.text)),
            None => mistake.hint("where: ${{ fold < 3 }}".to_owned()),
        });
        return None;
    }
    let template = Template::read(node, scope, files, found)?;
    if !template.gives.may_be(&Type::Bool) {
        let message = format!("`where` must be true or false, not {}", template.gives.words());
        found.push(Diagnostic::error(codes::EXPRESSION_TYPE, &node.place, message));
        return None;
    }
    Some(Filter { template, node })
}

/// The coordinates of all points that `where:` keeps, in declared order.
pub(super) fn points(
    stage: &WrittenStage,
    filter: Option<&Filter<'_>>,
    world: &World<'_>,
    work: &mut Work,
    actions_left: &mut usize,
    found: &mut Vec<Diagnostic>,
) -> Option<Vec<PointIndex>> {
    let over = stage.over.as_deref().unwrap_or_default();
    let lengths: Vec<_> = over.iter().map(|axis| world.axes[*axis].points.len()).collect();
    let all = lengths.iter().try_fold(1_usize, |all, length| all.checked_mul(*length));
    let max = world.limits.max_actions;
    let over_place = stage.over_place.as_ref().unwrap_or(&stage.name_place);
    let too_many = |count: Option<usize>, whole: &str| {
        let size = count.map_or("too many".to_owned(), |count| count.to_string());
        let message = format!("{whole} {size} actions; at most {max} are allowed");
        let hint = match count {
            Some(count) => format!("raise the limit with --max-actions {count}"),
            None => "run over fewer axes, or over fewer points".to_owned(),
        };
        Diagnostic::error(codes::LIMIT, over_place, message).hint(hint)
    };
    let Some(count) = all.filter(|all| *all <= max) else {
        let name = &stage.name;
        found.push(too_many(all, &format!("the stage `{name}` has, before `where`,")));
        return None;
    };
    let mut coords = Vec::with_capacity(count * over.len());
    // Places in `over` of each nested axis and the one that it is in.
    let nested: Vec<(usize, usize, &Within)> = over
        .iter()
        .enumerate()
        .filter_map(|(inner, axis)| {
            let within = world.axes[*axis].within.as_ref()?;
            let outer = over.iter().position(|axis| *axis == within.axis)?;
            Some((outer, inner, within))
        })
        .collect();
    let mut verdicts = filter.map(|filter| {
        let mut mentioned = filter.template.axes.clone();
        add_outer_axes(&mut mentioned, over, world.axes);
        let table = Table::new(over, &mentioned, world.axes);
        let size = table.size;
        (filter, table, vec![None::<bool>; size])
    });
    let mut point = vec![PointIndex::default(); over.len()];
    let mut by_axis = IndexVec::from(vec![None; world.axes.len()]);
    let mut kept_points = 0;
    for _ in 0..count {
        let mut kept =
            nested.iter().all(|(outer, inner, within)| within.has(point[*outer], point[*inner]));
        if kept && let Some((filter, table, verdicts)) = &mut verdicts {
            let slot = table.slot(&point);
            kept = match verdicts[slot] {
                Some(kept) => kept,
                None => {
                    for (axis, coord) in over.iter().zip(&point) {
                        by_axis[*axis] = Some(*coord);
                    }
                    let mut environment = Environment {
                        params: world.values,
                        axes: world.axes,
                        coords: &by_axis,
                        work,
                    };
                    let value = filter.template.evaluate(&mut environment).and_then(|value| {
                        value.as_bool().ok_or_else(|| {
                            let text = filter.node.scalar().map_or(0, |scalar| scalar.text.len());
                            let message =
                                format!("`where` must be true or false, not {}", describe(&value));
                            Mistake::new(codes::EXPRESSION_TYPE, &(0..text), message)
                        })
                    });
                    match value {
                        Ok(kept) => *verdicts[slot].insert(kept),
                        Err(mistake) => {
                            let at = written_point(over, &point, world.axes, None);
                            let mut diagnostic = mistake.diagnostic(filter.node, world.files);
                            diagnostic.label = (!at.is_empty()).then(|| format!("at {at}"));
                            found.push(diagnostic);
                            return None;
                        }
                    }
                }
            };
        }
        if kept {
            coords.extend_from_slice(&point);
            kept_points += 1;
        }
        for (coord, length) in point.iter_mut().zip(&lengths).rev() {
            let next = usize::from(*coord) + 1;
            if next < *length {
                *coord = next.into();
                break;
            }
            *coord = PointIndex::default();
        }
    }
    if kept_points == 0 {
        let place = filter.map_or(over_place, |filter| &filter.node.place);
        // A point that is not there is why.
        let is_cause = |known: &&mut Diagnostic| {
            known.code == codes::UNKNOWN_POINT && place.contains(&known.place)
        };
        if let Some(cause) = found.iter_mut().find(is_cause) {
            cause.severity = Severity::Error;
            cause.label = Some(format!("`where` leaves no point of the stage `{}`", stage.name));
            return None;
        }
        let message = match filter {
            Some(_) => format!("`where` leaves no point of the stage `{}`", stage.name),
            None => format!("the axes of the stage `{}` have no point together", stage.name),
        };
        found.push(Diagnostic::error(codes::NO_ACTIONS, place, message));
        return None;
    }
    match actions_left.checked_sub(kept_points) {
        Some(left) => *actions_left = left,
        None => {
            let whole = "with this stage the workflow has";
            found.push(too_many(Some(max - *actions_left + kept_points), whole));
            *actions_left = 0;
            return None;
        }
    }
    Some(coords)
}

/// A dense numbering of the combinations of some of a stage's axes.
pub(super) struct Table {
    /// Stride of each axis of `over`; 0 for an axis that does not count.
    strides: Vec<usize>,
    pub size: usize,
}

impl Table {
    pub fn new(
        over: &[AxisIndex],
        counted: &BTreeSet<AxisIndex>,
        axes: &IndexVec<AxisIndex, Axis>,
    ) -> Self {
        let mut size = 1;
        let mut strides = vec![0; over.len()];
        for (stride, axis) in strides.iter_mut().zip(over).rev() {
            if counted.contains(axis) {
                *stride = size;
                size *= axes[*axis].points.len();
            }
        }
        Self { strides, size }
    }

    pub fn slot(&self, point: &[PointIndex]) -> usize {
        self.strides.iter().zip(point).map(|(stride, coord)| stride * usize::from(*coord)).sum()
    }
}

/// A point in words, `axis=label, axis=label`; of all axes, or of some.
pub(super) fn written_point(
    over: &[AxisIndex],
    point: &[PointIndex],
    axes: &IndexVec<AxisIndex, Axis>,
    only: Option<&BTreeSet<AxisIndex>>,
) -> String {
    let named =
        over.iter().zip(point).filter(|(axis, _)| only.is_none_or(|only| only.contains(axis)));
    let words: Vec<_> = named
        .map(|(axis, coord)| {
            let axis = &axes[*axis];
            let label = axis.points.get(*coord).map_or("?", |point| point.label.as_str());
            format!("{}={label}", axis.name)
        })
        .collect();
    words.join(", ")
}
