//! Facts of the plan about the inputs of a stage: its modality, the examples that it tests,
//! the findings behind it.
//!
//! Nothing here reads an artifact. Where only the run can tell, such as behind a program, the
//! answer is `None`, and what would have to be known is not checked.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_engine::{ActionId, PlanSite, PlannedAction, StageError, StageKind, codes};
use fuseline_workflow::{Diagnostic, Fix, Place};

use crate::diagnose::family::Family;
use crate::diagnose::permute_quality::PermuteQuality;
use crate::diagnose::summarize::Summarize;
use crate::expert::none::NoExpert;
use crate::fusion::fit::Fit;
use crate::fusion::load::Load;
use crate::intervene::outage::Outage;
use crate::pattern::closest;

/// True if an action makes evidence.
pub(crate) fn is_expert(action: PlannedAction<'_>) -> bool {
    action.kind_name().starts_with("expert.")
}

/// The input of an action through which its evidence comes, unless it is an expert that makes it.
fn evidence_port(action: PlannedAction<'_>) -> Option<&'static str> {
    match action.kind_name() {
        Outage::NAME | PermuteQuality::NAME => Some("evidence"),
        kind if kind.starts_with("quality.") => Some("evidence_test"),
        _ => None,
    }
}

/// The modality of the evidence or of the quality that an action gives.
pub(crate) fn modality(action: PlannedAction<'_>) -> Option<&str> {
    if is_expert(action) {
        let given = action.option("modality").and_then(|name| name.as_str());
        return Some(given.or_else(|| action.label("modality")).unwrap_or("default"));
    }
    modality(action.inputs(evidence_port(action)?).next()?)
}

/// The modalities of what arrives at an input, in order.
pub(crate) fn modalities<'p>(action: PlannedAction<'p>, port: &str) -> Option<Vec<&'p str>> {
    action.inputs(port).map(modality).collect()
}

/// The modalities of a model, where a stage of this workflow fits or loads it.
fn model_modalities(model: PlannedAction<'_>) -> Option<Vec<&str>> {
    match model.kind_name() {
        Fit::NAME => modalities(model, "evidence"),
        Load::NAME => {
            model.option("modalities")?.as_array()?.iter().map(|of| of.as_str()).collect()
        }
        _ => None,
    }
}

/// The fold that what an action gives was tested in, with the action that made the split.
pub(crate) fn tested_fold(action: PlannedAction<'_>) -> Option<(ActionId, i64)> {
    if is_expert(action) {
        let split = action.inputs("folds").next()?;
        return Some((split.id(), action.option("test_fold")?.as_i64()?));
    }
    tested_fold(action.inputs(evidence_port(action)?).next()?)
}

/// The actions that make the findings that arrive at an input, also by way of families.
pub(crate) fn findings<'p>(
    action: PlannedAction<'p>,
    port: &str,
) -> Option<Vec<PlannedAction<'p>>> {
    let mut all = Vec::new();
    for from in action.inputs(port) {
        match from.kind_name() {
            Summarize::NAME => all.push(from),
            Family::NAME => all.extend(findings(from, "findings")?),
            _ => return None,
        }
    }
    Some(all)
}

/// A place on some axes in words: `rule lr, fold 0`.
pub(crate) fn place_words<'p>(place: impl IntoIterator<Item = (&'p String, &'p String)>) -> String {
    let each = place.into_iter().map(|(axis, label)| format!("{axis} {label}"));
    each.collect::<Vec<_>>().join(", ")
}

/// Names as a list in backticks.
pub(crate) fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// The diagnostic of an unknown name with the name that was likely meant, or all of them.
pub(crate) fn suggest_name<S: AsRef<str>>(
    mistake: Diagnostic,
    wanted: &str,
    known: &[S],
    what: &str,
) -> Diagnostic {
    let known = || known.iter().map(AsRef::as_ref);
    match closest(wanted, known()) {
        Some(name) => {
            let fix = Fix::word(wanted, name, &mistake.place);
            mistake.hint(format!("did you mean `{name}`?")).fix(fix)
        }
        None if known().next().is_none() => mistake.hint(format!("there are no {what}")),
        None => mistake.hint(format!("{what} are {}", listed(known()))),
    }
}

/// The mistake of naming an axis that the findings do not have. `axes`: those that they have.
pub(crate) fn unknown_axis(axis: &str, place: &Place, axes: &[&str]) -> Diagnostic {
    let message = format!("the findings have no axis `{axis}`");
    let mistake = Diagnostic::error(fuseline_workflow::codes::UNKNOWN_AXIS, place, message);
    suggest_name(mistake, axis, axes, "their axes")
}

/// Index of an axis among those of findings.
pub(crate) fn axis_of(axes: &[String], axis: &str) -> Result<usize, StageError> {
    axes.iter().position(|name| name == axis).ok_or_else(|| {
        StageError::data(format!("the findings have no axis {axis}"))
            .hint(format!("their axes are {}", axes.join(", ")))
    })
}

/// True if an axis is one of folds, by its name.
pub(crate) fn is_fold_axis(name: &str) -> bool {
    name.to_ascii_lowercase().contains("fold")
}

/// Reports names of an option that are no modality of the plan.
pub(crate) fn check_modality_names(site: &mut PlanSite<'_>, option: &str, names: &[String]) {
    let Some(action) = site.first().filter(|_| !names.is_empty()) else { return };
    let mut known = BTreeSet::new();
    for action in site.all_actions() {
        match action.kind_name() {
            // Only the program knows of which modality its evidence is.
            "command" => return,
            kind if kind.starts_with("expert.") => known.extend(modality(action)),
            _ => {}
        }
    }
    let points = site.axis("modality").into_iter().flat_map(|axis| &axis.points);
    known.extend(points.map(|point| point.label.as_str()));
    let known: Vec<&str> = known.into_iter().collect();
    for (number, name) in names.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let place = action.option_place(&format!("{option}.{number}"));
            let message = format!("`{option}` names the modality `{name}`, which there is not");
            let mistake = Diagnostic::error(codes::MODALITIES, &place, message);
            site.report(suggest_name(mistake, name, &known, "the modalities"));
        }
    }
}

/// Reports axes that have the name of a column of the same table.
pub(crate) fn check_axis_names<'c>(
    site: &mut PlanSite<'_>,
    axes: &[&str],
    table: &str,
    help: impl Fn(&str) -> Option<&'c str>,
) {
    for name in axes {
        let (Some(axis), Some(help)) = (site.axis(name), help(name)) else { continue };
        let message = format!("the axis `{name}` has the name of a column of {table}");
        let words = format!(
            "the axes become columns of {table}, which have `{name}` already ({help}): rename the \
             axis"
        );
        site.report(Diagnostic::error(codes::RESERVED_AXIS, &axis.place, message).hint(words));
    }
}

/// Reports the first input at which several tests of the same examples arrive, where one test of
/// each is pooled.
pub(crate) fn check_pooled(site: &mut PlanSite<'_>, ports: &[&str]) {
    for port in ports {
        let of_modalities = ["evidence", "quality"].contains(port);
        for action in site.distinct(&[port]) {
            let mut seen = BTreeMap::new();
            for from in action.inputs(port) {
                let Some(fold) = tested_fold(from) else { break };
                let modality = if of_modalities { modality(from) } else { None };
                if let Some(other) = seen.insert((fold, modality), from) {
                    if let Some(diagnostic) = tested_twice(action, port, other, from) {
                        site.report(diagnostic);
                    }
                    return;
                }
            }
        }
    }
}

/// The mistake that two actions arrive that test the same examples; none where the expert's
/// `test_fold` is constant, which is said of it.
fn tested_twice(
    action: PlannedAction<'_>,
    port: &str,
    one: PlannedAction<'_>,
    other: PlannedAction<'_>,
) -> Option<Diagnostic> {
    let stage = action.stage_name();
    let differ: Vec<&str> = one
        .point()
        .filter(|(axis, label)| other.label(axis).is_some_and(|other| other != *label))
        .map(|(axis, _)| axis)
        .collect();
    let fold = differ.iter().find(|axis| is_fold_axis(axis));
    if let Some(fold) = fold
        && expert(one).is_some_and(|expert| expert.label(fold).is_some())
    {
        return None;
    }
    let (what, hint) = match (&differ[..], fold) {
        ([], _) if one == other => {
            (format!("`{}` arrives twice", one.name()), "name it once".to_owned())
        }
        ([], _) => (
            format!("`{}` and `{}` are of the same", one.name(), other.name()),
            "give each a stage of its own".to_owned(),
        ),
        (_, Some(fold)) => (
            format!("`{}` differs in `{fold}` alone", one.stage_name()),
            format!("let the experts run over `{fold}`, with `test_fold: ${{{{ {fold} }}}}`"),
        ),
        (axes, None) => (
            format!("`{}` differs in {}", one.stage_name(), listed(axes)),
            format!("add {} to `over` of `{stage}`, or pick one point", listed(axes)),
        ),
    };
    let message =
        format!("`{stage}` pools one test of each example, and several arrive at `{port}`: {what}");
    let mut diagnostic =
        Diagnostic::error(codes::TESTED_TWICE, action.input_place(port), message).hint(hint);
    if let Some(over) = action.over_place() {
        diagnostic = diagnostic.related(over, format!("the axes of `{stage}`"));
    }
    Some(diagnostic)
}

/// Actions by their numbers.
type Actions<'p> = BTreeMap<ActionId, PlannedAction<'p>>;

/// The inputs of an action at a port.
fn arriving<'p>(action: PlannedAction<'p>, port: &str) -> Actions<'p> {
    action.inputs(port).map(|of| (of.id(), of)).collect()
}

/// The first action of one side that the other lacks.
fn first_other<'p>(one: &Actions<'p>, other: &Actions<'p>) -> Option<PlannedAction<'p>> {
    one.iter().find(|(id, _)| !other.contains_key(id)).map(|(_, action)| *action)
}

/// Reports effects of another test than what arrives at `tested`, and warns of evidence and quality
/// that the test was not asked with.
pub(crate) fn check_same_test(site: &mut PlanSite<'_>, tested: &str) {
    for port in ["effects", "evidence", "quality"] {
        if port == tested {
            continue;
        }
        for action in site.distinct(&[tested, port]) {
            let given = arriving(action, port);
            let own: Actions<'_> = match port {
                "effects" => arriving(action, tested),
                _ => action.inputs(tested).flat_map(|test| arriving(test, port)).collect(),
            };
            if own.is_empty() || given.is_empty() {
                continue;
            }
            let Some(other) = first_other(&given, &own).or_else(|| first_other(&own, &given))
            else {
                continue;
            };
            site.report(match port {
                "effects" => {
                    let message = format!(
                        "`{}` takes effects and {tested} of several tests: `{}` is behind one of \
                         them alone",
                        action.stage_name(),
                        other.name()
                    );
                    let hint = "take both from the same stage at the same points";
                    Diagnostic::error(codes::OTHER_TEST, action.input_place(port), message)
                        .hint(hint.to_owned())
                }
                _ => asked_with_other(action, port, other),
            });
            break;
        }
    }
}

/// Reports permutations of other tests than those behind the findings of a report, and warns of
/// evidence, quality and cohorts that those tests were not asked with.
pub(crate) fn check_reported(site: &mut PlanSite<'_>) {
    for action in site.distinct(&["findings", "permutations", "evidence", "quality", "cohort"]) {
        let Some(findings) = findings(action, "findings") else { continue };
        let tests: Vec<_> = findings.iter().flat_map(|of| of.inputs("permutations")).collect();
        let own = tests.iter().map(|test| (test.id(), *test)).collect();
        if let Some(other) = first_other(&arriving(action, "permutations"), &own) {
            let message = format!(
                "`{}` takes permutations of other tests than its findings: `{}` is behind none of \
                 them",
                action.stage_name(),
                other.name()
            );
            let hint = "take the permutations that the stages of the findings take";
            let place = action.input_place("permutations");
            let diagnostic = Diagnostic::error(codes::OTHER_TEST, place, message);
            site.report(diagnostic.hint(hint.to_owned()));
            return;
        }
        for port in ["evidence", "quality", "cohort"] {
            let own: Actions<'_> = tests.iter().flat_map(|test| arriving(*test, port)).collect();
            let given = arriving(action, port);
            if !own.is_empty()
                && let Some(other) = first_other(&given, &own)
            {
                site.report(asked_with_other(action, port, other));
                return;
            }
        }
    }
}

/// The warning that a stage takes at an input what its test was not asked with.
fn asked_with_other(action: PlannedAction<'_>, port: &str, other: PlannedAction<'_>) -> Diagnostic {
    let message = format!(
        "`{}` takes other {port} than the test was asked with: `{}` is behind one of them alone",
        action.stage_name(),
        other.name()
    );
    Diagnostic::warning(codes::OTHER_TEST, action.input_place(port), message)
        .hint(format!("take at `{port}` what the test takes there"))
}

/// Warns of a model that is asked about evidence of other experts than those that gave the evidence
/// that it was fitted on, where both give evidence for both sides of a split.
pub(crate) fn check_same_experts(site: &mut PlanSite<'_>) {
    for action in site.distinct(&["model", "evidence"]) {
        let asked = fitted_experts(action);
        let models = action.inputs("model").filter(|model| model.kind_name() == Fit::NAME);
        let fitted: BTreeSet<&str> = models.flat_map(fitted_experts).collect();
        let Some(other) = asked.difference(&fitted).next().filter(|_| !fitted.is_empty()) else {
            continue;
        };
        let message = format!(
            "`{}` asks a model about evidence of `{other}` that was fitted on evidence of {}",
            action.stage_name(),
            listed(&fitted)
        );
        let hint = "take the evidence of the same experts where the model is fitted and where it is \
            asked";
        site.report(
            Diagnostic::warning(codes::OTHER_EXPERTS, action.input_place("evidence"), message)
                .hint(hint.to_owned()),
        );
        return;
    }
}

/// The stages of the experts behind the evidence of an action that are told of a split, so that each
/// gives evidence for both its sides.
fn fitted_experts(action: PlannedAction<'_>) -> BTreeSet<&str> {
    let experts = action.inputs("evidence").filter_map(expert);
    experts.filter(|of| of.inputs("folds").next().is_some()).map(|of| of.stage_name()).collect()
}

/// The expert behind what an action gives.
fn expert(action: PlannedAction<'_>) -> Option<PlannedAction<'_>> {
    match is_expert(action) {
        true => Some(action),
        false => expert(action.inputs(evidence_port(action)?).next()?),
    }
}

/// Reports a modality without an expert where the stage needs what experts say at an input.
pub(crate) fn check_experts(site: &mut PlanSite<'_>, port: &str) {
    for action in site.distinct(&[port]) {
        let is_unrated = |from: &PlannedAction<'_>| {
            expert(*from).is_some_and(|of| of.kind_name() == NoExpert::NAME)
        };
        let Some(from) = action.inputs(port).find(is_unrated) else { continue };
        let message = format!(
            "`{}` needs evidence, and the modality `{}` has no expert",
            action.stage_name(),
            modality(from).unwrap_or("default")
        );
        let hint = "give the modality an expert in place of expert.none, or leave the stage out";
        site.report(
            Diagnostic::error(codes::MODALITIES, action.input_place(port), message)
                .hint(hint.to_owned()),
        );
        return;
    }
}

/// Reports evidence and quality that cannot be fused: a modality that comes twice, one that comes
/// without the other, or others than the model was fitted on. Where that comes of a leak, such as
/// of folds that arrive together, the leak is said.
pub(crate) fn check_fusion(site: &mut PlanSite<'_>) {
    for action in site.distinct(&["evidence", "quality"]) {
        let (Some(evidence), Some(quality)) =
            (modalities(action, "evidence"), modalities(action, "quality"))
        else {
            continue;
        };
        let mistake = |port: &str, message: String, hint: &str| {
            Diagnostic::error(codes::MODALITIES, action.input_place(port), message)
                .hint(hint.to_owned())
        };
        for (port, names) in [("evidence", &evidence), ("quality", &quality)] {
            let first = (1..names.len()).find_map(|at| {
                let earlier = names[..at].iter().position(|name| *name == names[at])?;
                Some((earlier, at))
            });
            if let Some((earlier, later)) = first {
                let arriving: Vec<_> = action.inputs(port).collect();
                let message = format!(
                    "`{}` fuses one {port} of each modality, and both {} and {} are of `{}`",
                    action.stage_name(),
                    arriving[earlier].name(),
                    arriving[later].name(),
                    names[later]
                );
                site.report_what_may_follow(mistake(
                    port,
                    message,
                    "run the stage over every axis but `modality`; experts that stand beside each \
                     other have names: `with: { modality: ... }`",
                ));
                return;
            }
        }
        let lacks = |names: &[&str], others: &[&str]| {
            names.iter().find(|name| !others.contains(name)).map(|name| (*name).to_owned())
        };
        let mut found = None;
        if let Some(name) = lacks(&evidence, &quality) {
            let message = format!("there is evidence of modality `{name}` and no quality");
            found = Some(mistake("quality", message, "let the quality of every modality arrive"));
        } else if let Some(name) = lacks(&quality, &evidence) {
            let message = format!("there is quality of modality `{name}` and no evidence");
            found = Some(mistake("evidence", message, "let the evidence of every modality arrive"));
        } else if let Some(model) = action.inputs("model").next()
            && let Some(fitted) = model_modalities(model)
            && (fitted.len() != evidence.len() || lacks(&fitted, &evidence).is_some())
            && (1..fitted.len()).all(|at| !fitted[..at].contains(&fitted[at]))
        {
            let message = format!(
                "the model has the modalities {} and is asked about {}",
                listed(fitted),
                listed(evidence)
            );
            let hint = "let evidence of the same modalities arrive where the model is made and \
                where it is asked";
            site.report_what_may_follow(mistake("evidence", message, hint));
            return;
        }
        if let Some(diagnostic) = found {
            site.report_what_may_follow(diagnostic);
            return;
        }
    }
}
