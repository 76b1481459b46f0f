//! `diagnose.compare`: does one rule, or one quality, depend more on quality than another?

use std::collections::{BTreeMap, BTreeSet};

use fuseline_artifact::{ArtifactKind, Cohort, CompareRow, ExampleEffects, Permutations, Table};
use fuseline_engine::{
    Inputs, KeyWriter, Labelled, Outputs, PlanSite, Point, Ports, RowFlow, StageError, StageKind,
};
use fuseline_stats::bootstrap::{ClassSums, Interval, cluster_bootstrap};
use fuseline_stats::multiple;
use fuseline_stats::permutation_test::{permutation_test, two_sided};
use fuseline_stats::streams::Stream;
use fuseline_workflow::{Diagnostic, Role};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnose::experts::Tested;
use crate::diagnose::summarize::has_p_value;
use crate::table::finite;
use crate::{pool, upstream};

/// Compares the permutation gaps, and the Clean-Q balanced accuracies, of every two labels of an
/// axis, all else equal.
///
/// Both sides saw the same permutations and are resampled together, so what is compared is paired.
/// The interval is of the difference of the two gaps, from resamples of groups. The p-value is the
/// two-sided permutation value of the difference under the hypothesis that neither side uses
/// quality; where both do, read the interval. P-values are adjusted by Holm over the table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The axis whose labels are compared, such as `rule`.
    #[schemars(extend("format" = "axis"))]
    axis: String,
    /// Axes that are pooled.
    #[serde(default = "fold")]
    #[schemars(extend("format" = "axis"))]
    pool: Vec<String>,
    /// Resamples of whole groups for the intervals.
    #[serde(default = "two_thousand")]
    #[schemars(range(min = 2, max = 10_000_000))]
    bootstrap: u32,
    /// Confidence of the intervals.
    #[serde(default = "ninety_five")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    confidence: f64,
}

fn fold() -> Vec<String> {
    vec!["fold".to_owned()]
}

fn two_thousand() -> u32 {
    2000
}

fn ninety_five() -> f64 {
    0.95
}

impl StageKind for Compare {
    const NAME: &'static str = "diagnose.compare";
    const REVISION: u32 = 4; // no p-value of derangements; its table is an artifact of kind table; effects of the same test
    const SUMMARY: &'static str =
        "Pairs of rules, or of qualities, compared under the same permutations and resamples.";

    fn ports() -> Ports {
        Ports::new()
            .many(
                "permutations",
                ArtifactKind::Permutations,
                Role::Neutral,
                "Counts of all points and folds.",
            )
            .many(
                "effects",
                ArtifactKind::ExampleEffects,
                Role::Neutral,
                "Effects of all points and folds.",
            )
            .one(
                "cohort",
                ArtifactKind::Cohort,
                Role::Neutral,
                "The examples with group and label.",
            )
            .output("table", ArtifactKind::Table, "One row a pair.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { axis, pool, bootstrap, confidence } = self;
        key.field("axis", axis);
        key.field("pool", pool);
        key.field("bootstrap", bootstrap);
        key.field("confidence", confidence);
        key.seed();
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_same_test(site, "permutations");
        let Some(action) = site.first() else { return };
        let mut axes = site.gathered("permutations");
        let labels: BTreeSet<&str> =
            action.inputs("permutations").filter_map(|of| of.label(&self.axis)).collect();
        let place = action.option_place("axis");
        let axis = &self.axis;
        if !axes.contains(&axis.as_str()) {
            let message = format!("the permutations that arrive have no axis `{axis}`");
            let code = fuseline_workflow::codes::UNKNOWN_AXIS;
            let mistake = Diagnostic::error(code, &place, message);
            let what = "the axes that arrive together";
            site.report(upstream::suggest_name(mistake, axis, &axes, what));
            return;
        }
        if labels.len() == 1 {
            let message = format!("there is one point of `{axis}`, and nothing to compare it with");
            site.report(
                Diagnostic::error(fuseline_workflow::codes::OPTION_VALUE, &place, message)
                    .hint("compare an axis of two or more points".to_owned()),
            );
        }
        axes.retain(|name| name != axis && !self.pool.iter().any(|pooled| pooled == name));
        upstream::check_axis_names(site, &axes, "the rows of the table", |axis| {
            CompareRow::COLUMNS.contains(&axis).then_some("a column of each pair")
        });
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let all = flow.all_inputs();
        flow.give("table", all);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let conditions = self.conditions(inputs, &cohort)?;
        let mut rows = Vec::new();
        for (at, first) in conditions.iter().enumerate() {
            for second in &conditions[at + 1..] {
                if first.others(&self.axis) == second.others(&self.axis) {
                    inputs.keep_going()?;
                    rows.push((first, second, self.pair(first, second, &cohort, inputs.seed())?));
                }
            }
        }
        if rows.is_empty() {
            return Err(StageError::data(format!(
                "no two points differ in the axis {} alone",
                self.axis
            ))
            .at("axis"));
        }
        // A pair without a p-value is no test, and not among those that are adjusted together.
        let p_values = rows.iter().map(|(_, _, pair)| pair.p_value).filter(|p| !p.is_nan());
        let mut tested = multiple::holm(&p_values.collect::<Vec<f64>>())
            .map_err(|error| StageError::failed(error.to_string()))?
            .into_iter();
        let adjusted = rows.iter().map(|(_, _, pair)| match pair.p_value.is_nan() {
            true => f64::NAN,
            false => tested.next().unwrap_or(f64::NAN),
        });
        let adjusted: Vec<f64> = adjusted.collect();
        let others = conditions[0].others(&self.axis);
        let axes = others.iter().map(|(axis, _)| axis.clone()).collect();
        let rows = rows.iter().zip(adjusted).map(|((first, second, pair), adjusted)| {
            let others = first.others(&self.axis).into_iter();
            let row = CompareRow {
                first: first.label(&self.axis),
                second: second.label(&self.axis),
                gap_first: finite(first.gap),
                gap_second: finite(second.gap),
                difference: finite(first.gap - second.gap),
                low: finite(pair.gap.low),
                high: finite(pair.gap.high),
                p_value: finite(pair.p_value),
                p_adjusted: finite(adjusted),
                ba_first: finite(first.counts.clean),
                ba_second: finite(second.counts.clean),
                ba_difference: finite(first.counts.clean - second.counts.clean),
                ba_low: finite(pair.clean.low),
                ba_high: finite(pair.clean.high),
            };
            (others.map(|(_, label)| label.clone()).collect(), row)
        });
        outputs.put("table", Table { axes, rows: rows.collect() })
    }
}

/// One point, pooled.
struct Condition {
    point: Point,
    counts: pool::Pooled,
    /// The row of the cohort of each tested example, with whether it is right under Clean-Q and how
    /// often under Broken-Q.
    tested: BTreeMap<usize, [f64; 2]>,
    gap: f64,
}

impl Condition {
    fn others(&self, axis: &str) -> Vec<&(String, String)> {
        self.point.iter().filter(|(name, _)| name != axis).collect()
    }

    fn label(&self, axis: &str) -> String {
        let found = self.point.iter().find(|(name, _)| name == axis);
        found.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// Two conditions compared.
struct Pair {
    p_value: f64,
    gap: Interval,
    clean: Interval,
}

impl Compare {
    /// The points in the order in which they arrived, without the pooled axes.
    fn conditions(
        &self,
        inputs: &Inputs<'_>,
        cohort: &Cohort,
    ) -> Result<Vec<Condition>, StageError> {
        let permutations: Vec<Labelled<Permutations>> = inputs.many("permutations")?;
        let mut effects: Vec<Labelled<ExampleEffects>> = inputs.many("effects")?;
        let here = |point: &Point| -> Point {
            point.iter().filter(|(axis, _)| !self.pool.contains(axis)).cloned().collect()
        };
        let mut points: Vec<Point> = Vec::new();
        for labelled in &permutations {
            let point = here(&labelled.point);
            if !point.iter().any(|(axis, _)| *axis == self.axis) {
                return Err(StageError::data(format!(
                    "the permutations have no axis {}",
                    self.axis
                ))
                .at("axis"));
            }
            if !points.contains(&point) {
                points.push(point);
            }
        }
        points
            .into_iter()
            .map(|point| {
                let parts = permutations.iter().filter(|labelled| here(&labelled.point) == point);
                let counts = pool::Pooled::gather(parts.map(|labelled| &labelled.artifact))?;
                let (own, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut effects)
                    .into_iter()
                    .partition(|labelled| here(&labelled.point) == point);
                effects = rest;
                let found = Tested::gather(own.into_iter().map(Ok), cohort, Some(&counts))?;
                let right = found.clean.iter().map(|right| f64::from(u8::from(*right)));
                let each = right.zip(&found.broken).map(|(clean, broken)| [clean, *broken]);
                let tested = found.rows.iter().copied().zip(each).collect();
                let gap = permutation_test(counts.clean, &counts.broken)
                    .map_err(|error| StageError::data(error.to_string()))?
                    .gap;
                Ok(Condition { point, counts, tested, gap })
            })
            .collect()
    }

    fn pair(
        &self,
        first: &Condition,
        second: &Condition,
        cohort: &Cohort,
        seed: u64,
    ) -> Result<Pair, StageError> {
        let failed = |error: &dyn std::error::Error| StageError::data(error.to_string());
        if !first.tested.keys().eq(second.tested.keys())
            || first.counts.broken.len() != second.counts.broken.len()
        {
            return Err(StageError::data(format!(
                "{} and {} were not tested on the same examples with the same permutations",
                first.label(&self.axis),
                second.label(&self.axis)
            )));
        }
        let both = first.counts.broken.iter().zip(&second.counts.broken);
        let differences: Vec<f64> = both.map(|(first, second)| first - second).collect();
        let p_value = match has_p_value(&first.counts.scheme) {
            true => two_sided(first.counts.clean - second.counts.clean, &differences)
                .map_err(|error| failed(&error))?,
            false => f64::NAN,
        };

        let mut numbers: BTreeMap<&str, u32> =
            first.tested.keys().map(|&row| (&cohort.group[row], 0)).collect();
        for (number, of) in (0..).zip(numbers.values_mut()) {
            *of = number;
        }
        let group: Vec<u32> = first.tested.keys().map(|&row| numbers[&cohort.group[row]]).collect();
        let labels: Vec<u32> = first.tested.keys().map(|&row| cohort.label[row]).collect();
        let sums = |of: &Condition, side: usize| {
            let correct: Vec<f64> = of.tested.values().map(|each| each[side]).collect();
            ClassSums::from_rows(&group, numbers.len(), &labels, cohort.classes.len(), &correct)
                .map_err(|error| failed(&error))
        };
        let (clean, broken) =
            ([sums(first, 0)?, sums(second, 0)?], [sums(first, 1)?, sums(second, 1)?]);
        let stream = Stream::new(seed, Self::NAME);
        let resampled = cluster_bootstrap(
            numbers.len(),
            self.bootstrap as usize,
            &stream,
            2,
            |times, values| {
                let difference = |sides: &[ClassSums; 2]| {
                    sides[0].balanced_accuracy(times) - sides[1].balanced_accuracy(times)
                };
                values[1] = difference(&clean);
                values[0] = values[1] - difference(&broken);
            },
        )
        .map_err(|error| failed(&error))?;
        let [gap, clean] = resampled.as_slice() else {
            return Err(StageError::failed("the bootstrap gave no statistics"));
        };
        let of = |resampled: &fuseline_stats::bootstrap::Resampled| {
            resampled.percentile(self.confidence).map_err(|error| failed(&error))
        };
        Ok(Pair { p_value, gap: of(gap)?, clean: of(clean)? })
    }
}
