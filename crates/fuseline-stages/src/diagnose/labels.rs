//! `diagnose.labels`: the finding of a multi-label study, the mean over its labels.

use fuseline_artifact::{
    ArtifactKind, Cohort, ExampleEffects, Finding, Findings, GroupCounts, Permutations,
};
use fuseline_engine::{
    Inputs, KeyWriter, Labelled, Outputs, PlanSite, Point, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::bootstrap::Interval;
use fuseline_stats::permutation_test::{detectable_gap, gap_with_power, permutation_test};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnose::experts::Tested;
use crate::diagnose::intervals::{Intervals, RowEffects};
use crate::diagnose::moved::Moved;
use crate::diagnose::summarize::{POWER, Resampling, Rows, has_p_value, tested_digest};
use crate::pool::Pooled;
use crate::upstream;

/// Mean over the labels of a multi-label study: one finding a point, from a study of each label.
///
/// The labels are an axis, and each has its own cohort, experts and rules. Balanced accuracies, and
/// what else a finding measures, are means over the labels. The p-value is one of that mean:
/// permutation j exchanges the qualities of the same examples for every label, so that each gives one
/// mean. All labels must therefore be tested on the same examples in the same folds, and have as many
/// classes. Intervals resample groups, with all labels of their examples.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// The axis of the labels.
    #[serde(default = "label")]
    #[schemars(extend("format" = "axis"))]
    axis: String,
}

fn label() -> String {
    "label".to_owned()
}

/// Schemes that permute alike whatever the labels and the evidence.
const SCHEMES: [&str; 4] = ["joint", "per_modality", "within_group", "whole_groups"];

impl StageKind for Labels {
    const NAME: &'static str = "diagnose.labels";
    // 2: the gap with 80 % power of a statistic of few values. 3: effects of the same test.
    // 4: what is said of quality is said of that of all labels.
    const REVISION: u32 = 4;
    const SUMMARY: &'static str = "Mean over the labels of a multi-label study, with its test.";

    fn ports() -> Ports {
        Ports::new()
            .many(
                "findings",
                ArtifactKind::Findings,
                Role::Neutral,
                "The finding of each label, of diagnose.summarize.",
            )
            .many(
                "permutations",
                ArtifactKind::Permutations,
                Role::Neutral,
                "Counts, one a label and fold.",
            )
            .many(
                "effects",
                ArtifactKind::ExampleEffects,
                Role::Neutral,
                "Effects, one a label and fold.",
            )
            .many(
                "cohort",
                ArtifactKind::Cohort,
                Role::Neutral,
                "The examples with group and label, one a label.",
            )
            .output("findings", ArtifactKind::Findings, "One row.")
            .reads_point()
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { axis } = self;
        key.field("axis", axis);
        key.seed();
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_same_test(site, "permutations");
        let Some(action) = site.first() else { return };
        let gathered = site.gathered("permutations");
        if !gathered.contains(&self.axis.as_str()) {
            let place = action.option_place("axis");
            site.report(upstream::unknown_axis(&self.axis, &place, &gathered));
        }
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let all = flow.all_inputs();
        flow.give("findings", all);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let names = self.names(&inputs.many::<Cohort>("cohort")?)?;
        let permutations: Vec<Labelled<Permutations>> = inputs.many("permutations")?;
        let effects: Vec<Labelled<ExampleEffects>> = inputs.many("effects")?;
        let mut tables: Vec<Labelled<Findings>> = inputs.many("findings")?;
        let cohorts: Vec<Labelled<Cohort>> = inputs.many("cohort")?;
        let mut of_labels = Vec::new();
        for name in &names {
            let is_own = |point: &Point| self.label_of(point) == Some(name.as_str());
            let own = permutations.iter().filter(|of| is_own(&of.point));
            let own_effects: Vec<_> = effects.iter().filter(|of| is_own(&of.point)).collect();
            let cohort = cohorts.iter().find(|of| is_own(&of.point));
            let table = tables.iter_mut().find(|of| is_own(&of.point));
            let (Some(cohort), Some(table)) = (cohort, table) else {
                return Err(StageError::data(format!("label {name} has no finding")));
            };
            let pooled = Pooled::gather(own.map(|of| &of.artifact))?;
            let folds = own_effects.iter().map(|of| of.artifact.example_id.iter().collect());
            let folds: Vec<Vec<&str>> = folds.collect();
            let gathered = own_effects.iter().map(|of| Ok((*of).clone()));
            let tested = Tested::gather(gathered, &cohort.artifact, Some(&pooled))?;
            let [finding] = table.artifact.rows.as_slice() else {
                return Err(StageError::data(format!(
                    "the findings of label {name} have {} rows, and one of diagnose.summarize is \
                     expected",
                    table.artifact.rows.len()
                )));
            };
            let finding = finding.clone();
            of_labels.push(OfLabel {
                name,
                pooled,
                folds,
                tested,
                cohort: &cohort.artifact,
                finding,
            });
        }
        check(&of_labels)?;
        let Some(first) = tables.into_iter().next() else {
            return Err(StageError::failed("nothing arrived at input findings"));
        };
        let mut settings = first.artifact.settings;
        let of = Resampling::from_settings(&settings, inputs.seed());
        let alpha = settings.iter().find_map(|setting| setting.strip_prefix("alpha="));
        let alpha = alpha.and_then(|alpha| alpha.parse().ok()).unwrap_or(0.05);
        let (finding, counts) = mean(&of_labels, &of, alpha)?;
        settings.push(format!("labels={}", names.join(",")));
        let place = inputs.point();
        outputs.put(
            "findings",
            Findings {
                axes: place.iter().map(|(axis, _)| axis.clone()).collect(),
                modalities: first.artifact.modalities,
                settings,
                group_counts: Some(counts),
                rows: vec![Finding {
                    point: place.iter().map(|(_, label)| label.clone()).collect(),
                    ..finding
                }],
            },
        )
    }
}

/// What the study of one label gave.
struct OfLabel<'a> {
    name: &'a str,
    pooled: Pooled,
    /// The examples tested in each fold.
    folds: Vec<Vec<&'a str>>,
    tested: Tested,
    cohort: &'a Cohort,
    finding: Finding,
}

impl Labels {
    fn label_of<'p>(&self, point: &'p Point) -> Option<&'p str> {
        point.iter().find(|(axis, _)| *axis == self.axis).map(|(_, label)| label.as_str())
    }

    /// The labels, in the order of their axis.
    fn names(&self, cohorts: &[Labelled<Cohort>]) -> Result<Vec<String>, StageError> {
        let mut names = Vec::<String>::new();
        for cohort in cohorts {
            let Some(name) = self.label_of(&cohort.point) else {
                return Err(StageError::data(format!("a cohort is of no {}", self.axis))
                    .hint("each label has a cohort of its own: let the stage run over the axis"));
            };
            if names.iter().any(|known| known == name) {
                return Err(StageError::data(format!("two cohorts are of {} {name}", self.axis)));
            }
            names.push(name.to_owned());
        }
        Ok(names)
    }
}

/// An error where the labels cannot be averaged: other examples, folds, schemes or classes.
fn check(labels: &[OfLabel<'_>]) -> Result<(), StageError> {
    let Some((first, others)) = labels.split_first() else {
        return Err(StageError::failed("nothing arrived at input cohort"));
    };
    let scheme = first.pooled.scheme.as_str();
    if !SCHEMES.contains(&scheme) {
        return Err(StageError::data(format!(
            "the scheme {scheme} permutes by the label or the evidence, which differ from label to \
             label: there is no permutation of them all"
        ))
        .hint(format!("the schemes that permute alike are {}", SCHEMES.join(", "))));
    }
    for other in others {
        let differ = |what: &str, hint: &str| {
            let (one, other) = (first.name, other.name);
            Err(StageError::data(format!("the labels {one} and {other} {what}")).hint(hint))
        };
        if other.folds != first.folds {
            return differ(
                "are not tested on the same examples in the same folds",
                "give every example each label, and split without looking at them: \
                 split.group_kfold does",
            );
        }
        if other.pooled.scheme != scheme || other.pooled.broken.len() != first.pooled.broken.len() {
            return differ("are permuted in other ways", "give both the same options");
        }
        if other.cohort.classes.len() != first.cohort.classes.len() {
            return differ(
                &format!(
                    "have {} and {} classes",
                    first.cohort.classes.len(),
                    other.cohort.classes.len()
                ),
                "a mean over labels is one of studies that have as many classes",
            );
        }
        if other.finding.control != first.finding.control {
            return differ("are controls and native conditions", "average one sort");
        }
    }
    for of in labels {
        let classes = (0..).zip(&of.cohort.classes);
        let is_tested =
            |class: u32| of.tested.rows.iter().any(|row| of.cohort.label[*row] == class);
        if let Some((_, class)) = classes.into_iter().find(|(class, _)| !is_tested(*class)) {
            return Err(StageError::data(format!(
                "no tested example is {class} in label {}",
                of.name
            ))
            .hint("leave the label out: it says nothing there"));
        }
    }
    Ok(())
}

/// The finding of the mean, and its counts. Labels with as many classes have one mean over labels
/// and classes, so that the classes of all labels side by side are one study, in which an example has
/// a row a label.
fn mean(
    labels: &[OfLabel<'_>],
    of: &Resampling,
    alpha: f64,
) -> Result<(Finding, GroupCounts), StageError> {
    let failed = |error: &dyn std::error::Error| StageError::data(error.to_string());
    let first = &labels[0];
    let count = labels.len() as f64;
    let average =
        |value: &dyn Fn(&OfLabel<'_>) -> f64| labels.iter().map(value).sum::<f64>() / count;
    let broken: Vec<f64> = (0..first.pooled.broken.len())
        .map(|permutation| average(&|of| of.pooled.broken[permutation]))
        .collect();
    let test = permutation_test(average(&|of| of.pooled.clean), &broken);
    let test = test.map_err(|error| failed(&error))?;
    let is_test = has_p_value(&first.pooled.scheme);
    let p_value = if is_test { test.p_value } else { f64::NAN };
    let detectable = detectable_gap(&broken, alpha).map_err(|error| failed(&error))?;
    let powered = gap_with_power(&broken, alpha, POWER).map_err(|error| failed(&error))?;

    let (own_group, groups) = first.tested.groups(first.cohort);
    let classes = first.cohort.classes.len();
    let (mut group, mut class, mut right) = (Vec::new(), Vec::new(), Vec::new());
    let (mut broken_right, mut flips, mut shift) = (Vec::new(), Vec::new(), Vec::new());
    for (number, of) in (0_u32..).zip(labels) {
        group.extend_from_slice(&own_group);
        let own = of.tested.rows.iter().map(|&row| of.cohort.label[row]);
        class.extend(own.map(|class| number * classes as u32 + class));
        right.extend(of.tested.clean.iter().map(|right| f64::from(u8::from(*right))));
        broken_right.extend_from_slice(&of.tested.broken);
        flips.extend_from_slice(&of.tested.flips);
        shift.extend_from_slice(&of.tested.shift);
    }
    let classes = classes * labels.len();
    let rows = Rows { group: &group, groups, labels: &class, classes };
    let effects = RowEffects { clean: &right, broken: &broken_right, flips: &flips, shift: &shift };
    let Intervals { gap, bound, flips, shift } = Intervals::new(&rows, &effects, of)?;
    let shares = labels.iter().filter_map(|of| of.pooled.moved.map(Moved::share));
    let scale = shares.fold(1.0, f64::min);
    let bound = Interval { low: bound.low / scale, high: bound.high / scale, ..bound };

    let mut counts = GroupCounts {
        tested: tested_digest(first.cohort, &first.tested.rows),
        classes,
        rows: vec![0; groups * classes],
        correct: vec![0; groups * classes],
    };
    for (row, right) in right.iter().enumerate() {
        let cell = group[row] as usize * classes + class[row] as usize;
        counts.rows[cell] += 1;
        counts.correct[cell] += u32::from(*right == 1.0);
    }
    let each = |value: &dyn Fn(&Finding) -> &[Option<f64>], pick: fn(&[f64]) -> f64| {
        let modalities = value(&first.finding).len();
        let of = |modality: usize| {
            let found = labels.iter().filter_map(|of| *value(&of.finding).get(modality)?);
            let found: Vec<f64> = found.collect();
            (!found.is_empty()).then(|| pick(&found))
        };
        (0..modalities).map(of).collect::<Vec<_>>()
    };
    let most = |value: &dyn Fn(&Finding) -> Option<f64>| {
        labels.iter().filter_map(|of| value(&of.finding)).max_by(f64::total_cmp)
    };
    let finding = Finding {
        control: first.finding.control,
        evidence_derived: labels.iter().any(|of| of.finding.evidence_derived),
        n_examples: first.finding.n_examples,
        n_groups: groups as i64,
        n_permutations: test.permutations as i64,
        ba_clean: test.clean,
        ba_broken: test.broken,
        gap: test.gap,
        gap_low: gap.low,
        gap_high: gap.high,
        p_value,
        flip_rate: average(&|of| of.finding.flip_rate),
        probability_shift: average(&|of| of.finding.probability_shift),
        null_sd: test.null_sd.unwrap_or(f64::NAN),
        detectable_gap: if is_test { detectable.unwrap_or(f64::INFINITY) } else { f64::NAN },
        ba_best_unimodal: average(&|of| of.finding.ba_best_unimodal),
        ba_oracle: average(&|of| of.finding.ba_oracle),
        headroom: average(&|of| of.finding.headroom),
        reads_quality: first.pooled.reads_quality,
        moved_share: labels
            .iter()
            .map(|of| of.finding.moved_share)
            .sum::<Option<f64>>()
            .map(|sum| sum / count),
        not_testable: labels.iter().find_map(|of| of.finding.not_testable.clone()),
        bound_low: bound.low,
        bound_high: bound.high,
        p_error: (p_value * (1.0 - p_value) / (test.permutations as f64 + 1.0)).sqrt(),
        detectable_gap_80: if is_test { powered.unwrap_or(f64::INFINITY) } else { f64::NAN },
        flip_low: flips.low,
        flip_high: flips.high,
        shift_low: shift.low,
        shift_high: shift.high,
        quality_sketch: first.finding.quality_sketch.clone(),
        label_icc: most(&|of| of.label_icc),
        error_icc: most(&|of| of.error_icc),
        design_effect: most(&|of| of.design_effect),
        p_doubt: labels.iter().find_map(|of| of.finding.p_doubt.clone()),
        alignment: each(&|of| &of.alignment, |values| {
            values.iter().sum::<f64>() / values.len() as f64
        }),
        quality_from_evidence: each(&|of| &of.quality_from_evidence, greatest),
        quality_label_auroc: each(&|of| &of.quality_label_auroc, |values| {
            let far = |value: &&f64| (**value - 0.5).abs();
            let farthest = values.iter().max_by(|one, other| far(one).total_cmp(&far(other)));
            farthest.copied().unwrap_or(f64::NAN)
        }),
        quality_icc: each(&|of| &of.quality_icc, greatest),
        ..Finding::default()
    };
    Ok((finding, counts))
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
