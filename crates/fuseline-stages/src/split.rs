//! `split.*`: which examples are tested in which fold.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::{ArtifactKind, Cohort, Folds, Texts};
use fuseline_engine::{Outputs, PlanSite, PlannedAction, Ports, RowFlow, Rows, StageError, codes};
use fuseline_workflow::{Diagnostic, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::upstream::{is_expert, is_fold_axis};

pub mod group_kfold;
pub mod leave_one_group_out;
pub mod predefined;
pub mod stratified_group_kfold;

/// The fold of an example that no fold tests: a training example in each of them.
pub(crate) const NEVER_TESTED: i32 = -1;

/// Treatment of a fold that tests examples of one class alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OneClass {
    /// It is refused: quality would be permuted within that class alone.
    #[default]
    Error,
    /// It is taken as it is, with a caution: its examples are pooled with those of the other folds.
    Allow,
}

/// The ports of every split.
fn ports() -> Ports {
    Ports::new()
        .one("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples and their groups.")
        .output("folds", ArtifactKind::Folds, "The fold in which each example is tested.")
}

/// A split divides the rows of the cohort and learns nothing from them.
fn rows(flow: &mut RowFlow<'_>) {
    let cohort = flow.input("cohort");
    flow.output("folds", cohort.holds, Rows::none());
}

/// Gives the folds of a cohort. `fold`: that of each of its rows.
///
/// Errors when a fold leaves a class without a training example, or tests one class alone where
/// that is not allowed. A fold that lacks a class is a caution. None of that is asked where the
/// label is a number.
fn put(
    outputs: &mut Outputs,
    cohort: Cohort,
    fold: Vec<i32>,
    one_class: OneClass,
) -> Result<(), StageError> {
    if cohort.is_regression() {
        return outputs.put("folds", Folds { example_id: cohort.example_id, fold });
    }
    let classes = cohort.classes.len();
    let mut tested = BTreeMap::<i32, Vec<usize>>::new();
    let mut whole = vec![0_usize; classes];
    for (&fold, &label) in fold.iter().zip(&cohort.label) {
        whole[label as usize] += 1;
        if fold != NEVER_TESTED {
            tested.entry(fold).or_insert_with(|| vec![0; classes])[label as usize] += 1;
        }
    }
    let mut lacking = Vec::new();
    let mut of_one_class = Vec::new();
    for (&fold, tested) in &tested {
        let present: Vec<usize> = (0..classes).filter(|&class| tested[class] > 0).collect();
        if let Some(&class) = present.iter().find(|&&class| tested[class] == whole[class]) {
            return Err(StageError::data(format!(
                "all examples of class {} are tested in fold {fold}: none is left to train on",
                cohort.classes[class]
            ))
            .hint(
                "split.stratified_group_kfold spreads the classes; a class in one group alone \
                 cannot be learned",
            ));
        }
        match present[..] {
            [class] => of_one_class.push((fold, class, tested[class])),
            _ => lacking.extend(
                (0..classes)
                    .filter(|&class| tested[class] == 0 && whole[class] > 0)
                    .map(|class| (fold, class)),
            ),
        }
    }
    if let Some(&(fold, class, examples)) = of_one_class.first() {
        let more = match of_one_class.len() - 1 {
            0 => String::new(),
            1 => ", and 1 more fold tests one class alone".to_owned(),
            more => format!(", and {more} more folds test one class alone"),
        };
        let class = &cohort.classes[class];
        let what = match examples {
            1 => format!("fold {fold} tests 1 example, of class {class}{more}"),
            _ => format!("fold {fold} tests {examples} examples, all of class {class}{more}"),
        };
        match one_class {
            OneClass::Error => return Err(one_class_error(&what)),
            OneClass::Allow => outputs.caution(format!(
                "{what}: quality is permuted within such a fold, so that it stays with its class"
            )),
        }
    }
    if let Some(&(fold, class)) = lacking.first() {
        let (ranks, groups) = cohort.group.ranks();
        let mut has = vec![false; groups];
        let rows = ranks.iter().zip(&cohort.label).filter(|(_, label)| **label as usize == class);
        rows.for_each(|(&group, _)| has[group as usize] = true);
        let having = has.iter().filter(|has| **has).count();
        let more = match lacking.len() - 1 {
            0 => String::new(),
            1 => "; so is 1 more pair of fold and class".to_owned(),
            more => format!("; so are {more} more pairs of fold and class"),
        };
        outputs.caution(format!(
            "fold {fold} tests no example of class {}, which {having} of {groups} groups have, in \
             {} folds{more}",
            cohort.classes[class],
            tested.len()
        ));
    }
    outputs.put("folds", Folds { example_id: cohort.example_id, fold })
}

fn one_class_error(what: &str) -> StageError {
    StageError::data(what).hint(
        "use fewer folds, or split.stratified_group_kfold, which spreads the classes; where each \
         group has one class, one_class: allow takes such folds as they are and pools them",
    )
}

/// Error when there are fewer groups than folds.
fn too_few_groups(folds: u32, groups: usize) -> StageError {
    let empty = match (groups, folds as usize - 1) {
        (first, last) if first == last => format!("fold {first}"),
        (first, last) if first + 1 == last => format!("folds {first} and {last}"),
        (first, last) => format!("folds {first} to {last}"),
    };
    StageError::data(format!(
        "{folds} folds of {groups} groups: {empty} would be empty, since no group is ever split"
    ))
    .at("folds")
    .hint(format!("at most {groups} folds are possible"))
}

/// An error when a fold tests no example. `fold`: that of each row of the cohort.
pub(crate) fn some_tested(test_fold: i32, fold: &[i32]) -> Result<(), StageError> {
    if test_fold != NEVER_TESTED && fold.contains(&test_fold) {
        return Ok(());
    }
    let mut folds: Vec<i32> = fold.iter().copied().filter(|fold| *fold != NEVER_TESTED).collect();
    folds.sort_unstable();
    folds.dedup();
    let hint = match folds[..] {
        [] => "the split tests no example at all".to_owned(),
        [only] => format!("the only fold is {only}"),
        [0, .., last] if last as usize == folds.len() - 1 => format!("the folds are 0 to {last}"),
        [first, .., last] if (last - first) as usize == folds.len() - 1 => format!(
            "the folds are {first} to {last}: let the axis be range({first}, {}), or say first: \
             {first} where the folds are read",
            last + 1
        ),
        _ => {
            let folds: Vec<String> = folds.iter().map(i32::to_string).collect();
            format!("the folds are {}", folds.join(", "))
        }
    };
    Err(StageError::data(format!("no example is tested in fold {test_fold}"))
        .at("test_fold")
        .hint(hint))
}

/// Reports stages that test in folds that a split does not make, or in the same one at every point;
/// and folds that none tests. `folds`: how many the split makes, and the option that says so, where
/// that is known.
fn check_folds(site: &mut PlanSite<'_>, folds: Option<(u32, &str)>) {
    let Some(split) = site.first() else { return };
    let own: BTreeSet<_> = site.actions().map(|action| action.id()).collect();
    let tests: Vec<(PlannedAction<'_>, i64)> = site
        .readers()
        .filter(|(reader, port)| reader.inputs(port).any(|of| own.contains(&of.id())))
        .filter_map(|(reader, _)| Some((reader, reader.option("test_fold")?.as_i64()?)))
        .collect();
    let by_stage = || tests.chunk_by(|(one, _), (other, _)| one.stage_name() == other.stage_name());
    let constant: Vec<_> = by_stage().filter_map(constant_fold).collect();
    if !constant.is_empty() {
        constant.into_iter().for_each(|diagnostic| site.report(diagnostic));
        return;
    }
    let (Some((folds, option)), false) = (folds, tests.is_empty()) else { return };
    let is_made = |fold: i64| (0..i64::from(folds)).contains(&fold);
    let makes = match folds {
        1 => format!("`{}` makes fold 0 alone", split.stage_name()),
        _ => format!("`{}` makes {folds} folds, 0 to {}", split.stage_name(), folds - 1),
    };
    let made_here = split.option_place(option);
    let mut unknown = BTreeMap::<_, BTreeSet<i64>>::new();
    for tests in by_stage() {
        let of = tests.iter().map(|(_, fold)| *fold).filter(|fold| !is_made(*fold));
        let of: BTreeSet<i64> = of.collect();
        if !of.is_empty() {
            unknown.entry(axis_of(tests)).or_default().extend(of);
        }
    }
    for (axis, of) in &unknown {
        let nothing = format!("nothing is tested in {}", numbered("fold", of));
        let axis = axis.and_then(|name| site.axis(name));
        let (place, message, hint) = match axis {
            Some(axis) => (
                axis.place.clone(),
                format!("{makes}, and {nothing}, which the axis `{}` runs over", axis.name),
                format!("folds count from 0: `{}: ${{{{ range({folds}) }}}}`", axis.name),
            ),
            None => {
                let at = tests.iter().find(|(_, fold)| !is_made(*fold)).unwrap_or(&tests[0]);
                let hint = "folds count from 0".to_owned();
                (at.0.option_place("test_fold"), format!("{makes}, and {nothing}"), hint)
            }
        };
        let made_here = (&made_here, format!("{folds} folds are made here"));
        site.report(
            Diagnostic::error(codes::UNKNOWN_FOLD, &place, message)
                .hint(hint)
                .related(made_here.0, made_here.1),
        );
    }
    // A study of one fold that is written as such is a choice.
    let axis = by_stage().find(|tests| is_expert(tests[0].0)).and_then(axis_of);
    let Some(axis) = axis.and_then(|name| site.axis(name)).filter(|_| unknown.is_empty()) else {
        return;
    };
    let tested: BTreeSet<i64> = tests.iter().map(|(_, fold)| *fold).collect();
    let untested: BTreeSet<i64> =
        (0..i64::from(folds)).filter(|fold| !tested.contains(fold)).collect();
    if !untested.is_empty() {
        let message = format!(
            "{makes}, and the axis `{}` leaves {} out: the examples there are trained on and \
             never tested",
            axis.name,
            numbered("fold", &untested)
        );
        site.report(
            Diagnostic::warning(codes::UNTESTED_FOLD, &axis.place, message)
                .hint(format!("`{}: ${{{{ range({folds}) }}}}` tests all", axis.name))
                .related(&made_here, format!("{folds} folds are made here")),
        );
    }
}

/// The axis whose label is the fold that each action of a stage tests.
fn axis_of<'p>(tests: &[(PlannedAction<'p>, i64)]) -> Option<&'p str> {
    let (first, _) = tests.first()?;
    let mut axes = first.point().map(|(axis, _)| axis);
    axes.find(|axis| {
        tests.iter().all(|(reader, fold)| reader.label(axis) == Some(fold.to_string().as_str()))
    })
}

/// The mistake of a stage that runs over an axis of folds and tests the same one at every point.
fn constant_fold(tests: &[(PlannedAction<'_>, i64)]) -> Option<Diagnostic> {
    let (first, fold) = tests.first()?;
    if tests.iter().any(|(_, other)| other != fold) {
        return None;
    }
    let (axis, label) = first.point().find(|(axis, _)| is_fold_axis(axis))?;
    if tests.iter().all(|(action, _)| action.label(axis) == Some(label)) {
        return None;
    }
    let message = format!(
        "`test_fold` is {fold} at every point of `{axis}`, which `{}` runs over",
        first.stage_name()
    );
    Some(
        Diagnostic::error(codes::CONSTANT_FOLD, &first.option_place("test_fold"), message)
            .hint(format!("write `test_fold: ${{{{ {axis} }}}}`, or take `{axis}` out of `over`")),
    )
}

/// `fold 4`, or `folds 3, 4, ...`.
fn numbered(what: &str, numbers: &BTreeSet<i64>) -> String {
    let mut shown: Vec<String> = numbers.iter().take(6).map(i64::to_string).collect();
    if numbers.len() > shown.len() {
        shown.push("...".to_owned());
    }
    let plural = if numbers.len() == 1 { "" } else { "s" };
    format!("{what}{plural} {}", shown.join(", "))
}

/// The fold of each row: groups sorted by code point, the group of rank r in fold r mod `folds`.
/// `reorder` may put the ranks in another order first.
///
/// Errors with the number of groups when there are fewer of them than folds.
pub(crate) fn fold_by_rank(
    group: &Texts,
    folds: u32,
    reorder: impl FnOnce(&mut [u32]),
) -> Result<Vec<u32>, usize> {
    let (ranks, groups) = group.ranks();
    if groups < folds as usize {
        return Err(groups);
    }
    let mut ranked: Vec<u32> = (0..groups as u32).collect();
    reorder(&mut ranked);
    let mut fold_of = vec![0; groups];
    for (rank, fold) in ranked.into_iter().zip((0..folds).cycle()) {
        fold_of[rank as usize] = fold;
    }
    Ok(ranks.into_iter().map(|rank| fold_of[rank as usize]).collect())
}
