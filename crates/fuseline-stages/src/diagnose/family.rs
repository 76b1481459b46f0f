//! `diagnose.family`: what can only be said of all findings together.

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::{ArtifactKind, Control, Finding, Findings, GroupCounts};
use fuseline_engine::kind::Problem;
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Labelled, Outputs, PlanSite, PlannedAction, Ports, RowFlow,
    StageError, StageKind, codes,
};
use fuseline_stats::bootstrap::{ClassSums, Interval};
use fuseline_stats::multiple;
use fuseline_stats::permutation::Intervention;
use fuseline_workflow::{Diagnostic, Place, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnose::permute_quality::PermuteQuality;
use crate::diagnose::summarize::{Resampling, Summarize, sums_interval};
use crate::quality;
use crate::upstream::{self, axis_of, listed, unknown_axis};

mod numbers;

/// Collects findings and adds what needs all of them.
///
/// Rows of a rule that does not read quality, rows that are equal in every number to one before
/// them, and repetitions of a condition are shown and counted in no family: the column
/// `not_counted` says why.
///
/// Native conditions, positive controls and negative controls are three families, and p-values are
/// adjusted within each: a control asks whether the test works and not the study's question, so
/// adding a control must not change what is said of the native conditions. Findings under several
/// permutation schemes may meet here when an axis tells them apart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Adjustment of p-values for multiple testing.
    #[serde(default)]
    adjust: Adjust,
    /// A gap counts as none when its whole bound (`bound_low` to `bound_high`) lies within plus or
    /// minus this, as a fraction (0.02 is 2 percentage points), below 1. With a confidence of 1 -
    /// 2a this is two one-sided tests at level a, of each condition by itself. Nothing is called
    /// equivalent when it is left out, or where it is not testable.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    equivalence_margin: Option<f64>,
    /// Axes that part the findings into families of their own, such as `[scheme]`: p-values are
    /// adjusted within each of their labels. Left out, one family holds every label. Say it before
    /// looking at the results.
    #[serde(default)]
    #[schemars(extend("format" = "axis"))]
    families: Vec<String>,
    /// Axes whose labels are repetitions of one condition, such as other splits or seeds: the first
    /// label is counted, the others are shown.
    #[serde(default)]
    #[schemars(extend("format" = "axis"))]
    repeats: Vec<String>,
    /// The axis and its label that mean working without quality, such as `{ quality: constant }`:
    /// each finding then gets the balanced accuracy of the same rule refitted so.
    #[serde(default)]
    #[schemars(extend("format" = "axis", "minProperties" = 1, "maxProperties" = 1))]
    without_quality: Option<BTreeMap<String, String>>,
}

/// Adjustment of p-values for multiple testing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Adjust {
    /// Holm: bounds the chance of one or more false alarms.
    #[default]
    Holm,
    /// Benjamini-Hochberg: bounds the expected share of false alarms among the alarms.
    BenjaminiHochberg,
    /// Not at all.
    None,
}

impl Adjust {
    fn name(self) -> &'static str {
        match self {
            Self::Holm => "holm",
            Self::BenjaminiHochberg => "benjamini_hochberg",
            Self::None => "none",
        }
    }
}

impl StageKind for Family {
    const NAME: &'static str = "diagnose.family";
    // 3: says what stands for working without quality. 4: counts a condition once, claims by
    // bounds, intervals of gains; findings without a p-value are in no family, those of schemes
    // that read labels in one of their own.
    const REVISION: u32 = 4;
    const TAKES_NUMBERS: bool = true;
    const SUMMARY: &'static str = "All findings in one table: adjusted p-values, equivalence, and \
        the same rule without quality.";

    fn ports() -> Ports {
        Ports::new()
            .many("findings", ArtifactKind::Findings, Role::Neutral, "The findings of every point.")
            .output(
                "findings",
                ArtifactKind::Findings,
                "All rows, in the declared order of the axes.",
            )
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { adjust, equivalence_margin, families, repeats, without_quality } = self;
        key.field("adjust", adjust);
        key.field("equivalence_margin", equivalence_margin);
        key.field("families", families);
        key.field("repeats", repeats);
        key.seed();
        key.field("without_quality", without_quality);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.without_quality.as_ref().is_some_and(|reference| reference.len() != 1) {
            site.report(Problem::new("without_quality", "one axis with one label is needed"));
        }
        if let Some(margin) = self.equivalence_margin.filter(|margin| *margin >= 1.0) {
            let message = format!(
                "`equivalence_margin` is a fraction below 1, and {margin} is {} percentage points",
                100.0 * margin
            );
            site.report(Problem::new("equivalence_margin", message).hint(MARGIN));
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        self.check_margin(site);
        self.check_numbers(site);
        for action in site.distinct(&["findings"]) {
            let Some(findings) = upstream::findings(action, "findings") else { return };
            if let Some(diagnostic) = mixed(action, &findings) {
                site.report(diagnostic);
                return;
            }
            self.check_axes(site, action, &findings);
            self.check_permutations(site, &findings);
        }
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let all = flow.all_inputs();
        flow.give("findings", all);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let (mut all, counts) = collect(inputs.many("findings")?)?;
        if self.equivalence_margin.is_some() && all.metric().is_some() {
            return Err(StageError::data(NO_EQUIVALENCE).at("equivalence_margin").hint(LEAVE_OUT));
        }
        self.count_once(&mut all)?;
        self.adjust(&mut all)?;
        if let Some(margin) = self.equivalence_margin {
            for row in &mut all.rows {
                let within = -margin < row.bound_low && row.bound_high < margin;
                row.equivalent = Some(within && row.not_testable.is_none());
            }
        }
        if let Some((axis, label)) = self.without_quality.iter().flatten().next() {
            match all.metric() {
                Some(_) => numbers::compare_without_quality(&mut all, axis, label, inputs.seed())?,
                None => compare_without_quality(&mut all, &counts, axis, label, inputs.seed())?,
            }
            all.settings.push(format!("without_quality={axis} {label}"));
        }
        all.settings.push(format!("adjust={}", self.adjust.name()));
        if !self.families.is_empty() {
            all.settings.push(format!("families={}", self.families.join(",")));
        }
        if !self.repeats.is_empty() {
            all.settings.push(format!("repeats={}", self.repeats.join(",")));
        }
        if let Some(margin) = self.equivalence_margin {
            all.settings.push(format!("equivalence_margin={margin}"));
        }
        numbers::forget_groups(&mut all);
        outputs.put("findings", all)
    }
}

/// Native conditions of a plan whose p-values are adjusted together.
pub(crate) struct PlannedFamily<'p> {
    pub findings: Vec<PlannedAction<'p>>,
    /// The most permutations of one of them.
    pub permutations: u32,
    /// The least p-value that these can give.
    pub least: f64,
    /// The action that draws them.
    pub permute: PlannedAction<'p>,
    /// The level of the tests.
    pub alpha: f64,
}

/// Explanation of the unit of a margin.
const MARGIN: &str = "0.02 is 2 percentage points";

const NO_EQUIVALENCE: &str = "equivalence is not claimed where the label is a number: an error has \
     no largest value, so that no bound of the gap holds where the sample shows no difference";
const LEAVE_OUT: &str = "leave equivalence_margin out, and read the interval of the gap";

/// A margin of this size is rarely meant as a fraction.
const LARGE_MARGIN: f64 = 0.1;

impl Family {
    /// Warns of a margin that is likely meant in per cent.
    fn check_margin(&self, site: &mut PlanSite<'_>) {
        let Some(margin) = self.equivalence_margin else { return };
        if !(LARGE_MARGIN..1.0).contains(&margin) {
            return;
        }
        let Some(action) = site.first() else { return };
        let message = format!(
            "`equivalence_margin` is a fraction: {margin} calls a gap of {} percentage points none",
            100.0 * margin
        );
        let place = action.option_place("equivalence_margin");
        site.report(
            Diagnostic::warning(fuseline_workflow::codes::OPTION_VALUE, &place, message)
                .hint(MARGIN.to_owned()),
        );
    }

    /// Reports a margin where the label is a number.
    fn check_numbers(&self, site: &mut PlanSite<'_>) {
        let action = site.actions().find(|action| site.is_regression(*action));
        if let (Some(_), Some(action)) = (self.equivalence_margin, action) {
            let place = action.option_place("equivalence_margin");
            site.report(
                Diagnostic::error(codes::REGRESSION, &place, NO_EQUIVALENCE)
                    .hint(LEAVE_OUT.to_owned()),
            );
        }
    }

    /// Reports axes and labels of options that the findings do not have.
    fn check_axes(
        &self,
        site: &mut PlanSite<'_>,
        action: PlannedAction<'_>,
        findings: &[PlannedAction<'_>],
    ) {
        let Some(first) = findings.first() else { return };
        let axes: Vec<&str> = first.point().map(|(axis, _)| axis).collect();
        let unknown_axis = |axis: &str, place: &Place| unknown_axis(axis, place, &axes);
        for (option, named) in [("families", &self.families), ("repeats", &self.repeats)] {
            for (number, axis) in named.iter().enumerate() {
                if !axes.contains(&axis.as_str()) {
                    let place = action.option_place(&format!("{option}.{number}"));
                    site.report(unknown_axis(axis, &place));
                }
            }
        }
        let Some((axis, label)) = self.without_quality.iter().flatten().next() else { return };
        let option = format!("without_quality.{axis}");
        if !axes.contains(&axis.as_str()) {
            let diagnostic = unknown_axis(axis, &action.option_key_place(&option));
            match site.axis(axis) {
                // The stage that makes the findings may be what lacks the axis.
                Some(_) => site.report_what_may_follow(diagnostic),
                None => site.report(diagnostic),
            }
            return;
        }
        let labels: BTreeSet<&str> = findings.iter().filter_map(|of| of.label(axis)).collect();
        if !labels.contains(label.as_str()) {
            let labels: Vec<&str> = labels.into_iter().collect();
            let message = format!("no finding has `{label}` on the axis `{axis}`");
            let code = fuseline_workflow::codes::UNKNOWN_POINT;
            let mistake = Diagnostic::error(code, &action.option_place(&option), message);
            site.report(upstream::suggest_name(mistake, label, &labels, "its labels"));
        }
    }

    /// Warns of permutations that are too few for any adjusted p-value to reach the level.
    fn check_permutations(&self, site: &mut PlanSite<'_>, findings: &[PlannedAction<'_>]) {
        if self.adjust != Adjust::Holm {
            return;
        }
        for PlannedFamily { findings: family, permutations, least, permute, alpha } in
            self.planned_families(findings)
        {
            let adjusted = (least * family.len() as f64).min(1.0);
            // A level that one finding cannot reach is said of it.
            if adjusted > alpha + 1e-12 && least <= alpha {
                let message = format!(
                    "{permutations} permutations give no p-value below {least:.4}, and Holm's \
                     method over {} findings none below {adjusted:.3}: the level is {alpha}",
                    family.len()
                );
                let needed = (family.len() as f64 / alpha - 1e-9).ceil() - 1.0;
                site.report(
                    Diagnostic::warning(
                        codes::FEW_PERMUTATIONS,
                        &permute.option_place("permutations"),
                        message,
                    )
                    .hint(format!(
                        "draw at least {needed} permutations, or part the findings by `families`, \
                         or adjust them by benjamini_hochberg"
                    )),
                );
                return;
            }
        }
    }

    /// The families of native conditions that a plan tests.
    pub(crate) fn planned_families<'p>(
        &self,
        findings: &[PlannedAction<'p>],
    ) -> Vec<PlannedFamily<'p>> {
        let mut families = BTreeMap::<Vec<&str>, Vec<PlannedAction<'p>>>::new();
        for finding in findings.iter().filter(|finding| !quality::is_control(**finding)) {
            let labels = self.families.iter().filter_map(|axis| finding.label(axis)).collect();
            families.entry(labels).or_default().push(*finding);
        }
        let planned = families.into_values().filter_map(|findings| {
            let drawn = findings.iter().filter_map(|finding| {
                let permute = finding.inputs("permutations").next()?;
                let (permutations, least) = permute.options::<PermuteQuality>()?.least_p_value()?;
                Some((permutations, least, permute))
            });
            let (permutations, least, permute) = drawn.min_by(|a, b| a.1.total_cmp(&b.1))?;
            let alpha = findings[0].options::<Summarize>()?.alpha();
            Some(PlannedFamily { findings, permutations, least, permute, alpha })
        });
        planned.collect()
    }

    /// Adjustment of p-values.
    pub(crate) fn adjust_name(&self) -> &'static str {
        self.adjust.name()
    }

    /// Says of each row that is no condition of its own why it is not counted.
    fn count_once(&self, all: &mut Findings) -> Result<(), StageError> {
        let repeats = self
            .repeats
            .iter()
            .map(|axis| axis_of(&all.axes, axis).map_err(|error| error.at("repeats")))
            .collect::<Result<Vec<usize>, _>>()?;
        let scheme = all.axes.iter().position(|axis| axis == "scheme");
        let first: Vec<Option<String>> = repeats
            .iter()
            .map(|&axis| all.rows.first().map(|row| row.point[axis].clone()))
            .collect();
        let mut seen = BTreeMap::<String, String>::new();
        for row in &mut all.rows {
            let again = repeats.iter().zip(&first);
            let again = again.filter(|(axis, first)| first.as_ref() != Some(&row.point[**axis]));
            let labels: Vec<&str> = again.map(|(axis, _)| row.point[*axis].as_str()).collect();
            if row.reads_quality == Some(false) {
                row.not_counted = Some("the rule does not read quality".to_owned());
            } else if !labels.is_empty() {
                row.not_counted = Some(format!("a repetition: {}", labels.join(", ")));
            } else {
                // All that was measured, to the last bit; two schemes are two questions even where
                // nothing moved.
                let point = scheme.map(|axis| row.point[axis].clone()).into_iter().collect();
                let measured = format!("{:?}", Finding { point, ..row.clone() });
                match seen.get(&measured) {
                    Some(same) => {
                        row.not_counted = Some(format!("equal in every number to {same}"))
                    }
                    None => {
                        seen.insert(measured, row.point.join(", "));
                    }
                }
            }
        }
        Ok(())
    }

    fn adjust(&self, all: &mut Findings) -> Result<(), StageError> {
        let parting = self
            .families
            .iter()
            .map(|axis| axis_of(&all.axes, axis).map_err(|error| error.at("families")))
            .collect::<Result<Vec<usize>, _>>()?;
        let mut families = BTreeMap::<(Control, bool, Vec<&str>), Vec<usize>>::new();
        // A finding without a p-value is no test, and in no family.
        let counted = |row: &Finding| row.not_counted.is_none() && !row.p_value.is_nan();
        let rows = all.rows.iter().enumerate().filter(|(_, row)| counted(row));
        for (number, row) in rows {
            let labels = parting.iter().map(|&axis| row.point[axis].as_str()).collect();
            families.entry((row.control, reads_labels(all, row), labels)).or_default().push(number);
        }
        let families: Vec<Vec<usize>> = families.into_values().collect();
        for family in families {
            let p_values: Vec<f64> = family.iter().map(|&row| all.rows[row].p_value).collect();
            let adjusted = match self.adjust {
                Adjust::Holm => multiple::holm(&p_values),
                Adjust::BenjaminiHochberg => multiple::benjamini_hochberg(&p_values),
                Adjust::None => Ok(p_values),
            }
            .map_err(|error| StageError::failed(error.to_string()))?;
            for (row, adjusted) in family.into_iter().zip(adjusted) {
                all.rows[row].p_adjusted = Some(adjusted);
            }
        }
        Ok(())
    }
}

/// True if a finding's scheme reads labels of the rows that are tested, as far as an axis `scheme`
/// or the settings tell: it says what a gap is made of, and the set that it is adjusted with must
/// not depend on that.
fn reads_labels(all: &Findings, row: &Finding) -> bool {
    let axis = all.axes.iter().position(|axis| axis == "scheme");
    let setting = || all.settings.iter().find_map(|text| text.strip_prefix("scheme="));
    let scheme = axis.map(|axis| row.point[axis].as_str()).or_else(setting);
    let named = scheme.and_then(Intervention::named);
    matches!(named, Some(Intervention::Permutation(scheme)) if scheme.reads_labels())
}

/// The problem of findings that cannot be in one table.
fn mixed(action: PlannedAction<'_>, findings: &[PlannedAction<'_>]) -> Option<Diagnostic> {
    let first = *findings.first()?;
    let axes = |of: PlannedAction<'_>| of.point().map(|(axis, _)| axis.to_owned()).collect();
    let of_first: (Vec<String>, _, _) =
        (axes(first), modalities_of(first), first.options::<Summarize>());
    let mut points = BTreeMap::new();
    for &other in findings {
        let mixed = |what: String, hint: String| {
            let message = format!("the findings cannot stand in one table: {what}");
            let place = action.input_place("findings");
            Some(Diagnostic::error(codes::MIXED_FINDINGS, place, message).hint(hint))
        };
        let other_axes: Vec<String> = axes(other);
        if other_axes != of_first.0 {
            let named = |axes: &[String]| match axes {
                [] => "no axis".to_owned(),
                axes => listed(axes),
            };
            return mixed(
                format!(
                    "{} has {} and {} has {}",
                    first.name(),
                    named(&of_first.0),
                    other.name(),
                    named(&other_axes)
                ),
                "let them run over the same axes, or give each a family of its own".to_owned(),
            );
        }
        if let (Some(one), Some(names)) = (&of_first.1, modalities_of(other))
            && *one != names
        {
            let differs = of_first.0.iter().any(|axis| axis == "modality");
            return mixed(
                format!(
                    "{} is of {} and {} of {}",
                    first.name(),
                    listed(one),
                    other.name(),
                    listed(&names)
                ),
                match differs {
                    true => format!(
                        "give each modality a family of its own, `over: [modality]` in `{}`, or \
                         let `{}` gather `modality`",
                        action.stage_name(),
                        first.stage_name()
                    ),
                    false => "give the findings of each set of modalities a family of their own"
                        .to_owned(),
                },
            );
        }
        if other.stage_name() != first.stage_name()
            && let (Some(one), Some(options)) = (&of_first.2, other.options::<Summarize>())
            && !one.is_tested_as(&options)
        {
            return mixed(
                format!("{} and {} have other options", first.name(), other.name()),
                "give both the same bootstrap, confidence, interval and alpha".to_owned(),
            );
        }
        let labels: Vec<&str> = other.point().map(|(_, label)| label).collect();
        if let Some(twin) = points.insert(labels, other) {
            return mixed(
                format!("{} and {} are of the same point", twin.name(), other.name()),
                "let an axis tell them apart, or give each a family of its own".to_owned(),
            );
        }
    }
    None
}

/// The modalities of a finding, in the order in which it tells of them.
fn modalities_of(finding: PlannedAction<'_>) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    for name in upstream::modalities(finding, "evidence")? {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Some(names)
}

/// Counts of each row by group and class, where its table brought them.
type Counts = Vec<Option<GroupCounts>>;

/// One table of all rows, and their counts; an error when the tables do not have the same columns,
/// or a point comes twice.
fn collect(tables: Vec<Labelled<Findings>>) -> Result<(Findings, Counts), StageError> {
    let mut tables = tables.into_iter().map(|labelled| labelled.artifact);
    let Some(mut all) = tables.next() else {
        return Err(StageError::failed("nothing arrived at input findings"));
    };
    let counts_of = |table: &mut Findings| -> Counts {
        let counts = table.group_counts.take().filter(|_| table.rows.len() == 1);
        std::iter::repeat_n(counts, table.rows.len()).collect()
    };
    let mut counts = counts_of(&mut all);
    for mut table in tables {
        counts.extend(counts_of(&mut table));
        pool_scheme(&mut all.settings, &mut table.settings);
        for (what, first, other) in [
            ("axes", &all.axes, &table.axes),
            ("modalities", &all.modalities, &table.modalities),
            ("settings", &all.settings, &table.settings),
        ] {
            if first != other {
                return Err(StageError::data(format!(
                    "the findings do not have the same {what}: {} and {}",
                    first.join(", "),
                    other.join(", ")
                )));
            }
        }
        all.rows.extend(table.rows);
    }
    let mut seen = BTreeMap::new();
    for (number, row) in all.rows.iter().enumerate() {
        if seen.insert(&row.point, number).is_some() {
            return Err(StageError::data(format!("two findings are of {}", row.point.join(", "))));
        }
    }
    Ok((all, counts))
}

/// Findings of several schemes meet in one table: its settings then name them all, and an axis
/// tells which row is of which.
fn pool_scheme(all: &mut [String], other: &mut [String]) {
    let of = |settings: &[String]| settings.iter().position(|text| text.starts_with("scheme="));
    if let (Some(known), Some(new)) = (of(all), of(other)) {
        let scheme = other[new].trim_start_matches("scheme=").to_owned();
        let schemes = all[known].trim_start_matches("scheme=");
        if schemes.split(',').all(|known| known != scheme) {
            all[known] = format!("scheme={schemes},{scheme}");
        }
        other[new].clone_from(&all[known]);
    }
}

/// Gives each row the Clean-Q balanced accuracy of the row that differs in the reference label
/// alone, and the interval of the difference from resamples of groups that both share. The
/// reference gets its own; a row whose reference was not run gets none.
fn compare_without_quality(
    all: &mut Findings,
    counts: &Counts,
    axis: &str,
    label: &str,
    seed: u64,
) -> Result<(), StageError> {
    let option = format!("without_quality.{axis}");
    let at = axis_of(&all.axes, axis).map_err(|error| error.at("without_quality"))?;
    let reference: BTreeMap<Vec<String>, (usize, f64)> = all
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.point[at] == label)
        .map(|(number, row)| (row.point.clone(), (number, row.ba_clean)))
        .collect();
    let of = Resampling::from_settings(&all.settings, seed);
    if reference.is_empty() {
        let mut labels: Vec<&str> = all.rows.iter().map(|row| row.point[at].as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        return Err(StageError::data(format!("no finding has {axis} {label}"))
            .at(option)
            .hint(format!("its labels are {}", labels.join(", "))));
    }
    for (number, row) in all.rows.iter_mut().enumerate() {
        let mut point = row.point.clone();
        label.clone_into(&mut point[at]);
        let Some(&(without, accuracy)) = reference.get(&point) else { continue };
        row.ba_without_quality = Some(accuracy);
        if without == number {
            continue;
        }
        if let (Some(with), Some(without)) = (&counts[number], &counts[without])
            && let Some(interval) = gain_interval(with, without, &of)?
        {
            (row.gain_low, row.gain_high) = (Some(interval.low), Some(interval.high));
        }
    }
    Ok(())
}

/// Interval of the difference of two balanced accuracies; none where they are not of the same
/// examples.
fn gain_interval(
    with: &GroupCounts,
    without: &GroupCounts,
    of: &Resampling,
) -> Result<Option<Interval>, StageError> {
    if with.tested != without.tested || with.rows != without.rows {
        return Ok(None);
    }
    let sums = |of: &GroupCounts| {
        ClassSums::from_counts(of.classes, &of.rows, &of.correct)
            .map_err(|error| StageError::data(error.to_string()))
    };
    sums_interval(&sums(with)?, &sums(without)?, of).map(Some)
}

#[cfg(test)]
mod tests;
