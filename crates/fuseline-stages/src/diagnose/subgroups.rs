//! `diagnose.subgroups`: whom the dependence on quality concerns, by class and by metadata.

use std::collections::BTreeMap;

use fuseline_artifact::{ArtifactKind, Cohort, ExampleEffects, Metadata, SubgroupRow, Table};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Labelled, Outputs, PlanSite, Point, Ports, Problem, RowFlow,
    StageError, StageKind,
};
use fuseline_stats::bootstrap::{ClassSums, Interval, cluster_bootstrap};
use fuseline_stats::multiple::holm;
use fuseline_stats::repeats::standard_deviation;
use fuseline_stats::streams::Stream;
use fuseline_stats::student;
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnose::experts::Tested;
use crate::pattern::closest;
use crate::rows::Finder;
use crate::table::finite;
use crate::upstream;

/// Effects of the folds at one point.
type EffectsAt = (Point, Vec<Labelled<ExampleEffects>>);

/// Name by which a workflow means the classes in `by`.
const CLASS: &str = "class";

/// The permutation gap of each class and of each value of metadata, such as sex or site.
///
/// The gap of a class is the fall of its recall; that of another subgroup the fall of balanced
/// accuracy over the classes that it has. A subgroup with too few examples or groups, or in which
/// no permutation changes a decision, is not testable, with the reason. Intervals are of resamples
/// of whole groups; p-values are two-sided, of the gap over its resampled standard deviation on
/// Student's t with one degree less than there are groups, and adjusted by Holm over all subgroups
/// of all conditions, as the intervals `*_adjusted` are by Bonferroni. `difference` is the gap less
/// that of the other examples, which is what a claim that subgroups differ needs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subgroups {
    /// Columns of the metadata, and `class` for the classes.
    #[serde(default = "class")]
    #[schemars(length(min = 1))]
    by: Vec<String>,
    /// Axes that are pooled.
    #[serde(default = "fold")]
    #[schemars(extend("format" = "axis"))]
    pool: Vec<String>,
    /// Least tested examples of each class that a subgroup has.
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    least_examples: u32,
    /// Least groups of a subgroup.
    #[serde(default = "five")]
    #[schemars(range(min = 2))]
    least_groups: u32,
    /// Resamples of whole groups.
    #[serde(default = "two_thousand")]
    #[schemars(range(min = 2, max = 10_000_000))]
    bootstrap: u32,
    /// Confidence of the intervals.
    #[serde(default = "ninety_five")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    confidence: f64,
}

fn class() -> Vec<String> {
    vec![CLASS.to_owned()]
}

fn fold() -> Vec<String> {
    vec!["fold".to_owned()]
}

fn ten() -> u32 {
    10
}

fn five() -> u32 {
    5
}

fn two_thousand() -> u32 {
    2000
}

fn ninety_five() -> f64 {
    0.95
}

/// Distinct values from which a column is no division into subgroups.
const MOST_VALUES: usize = 50;

impl StageKind for Subgroups {
    const NAME: &'static str = "diagnose.subgroups";
    const REVISION: u32 = 2; // its table is an artifact of kind table
    const SUMMARY: &'static str = "The permutation gap by class and by metadata, such as sex.";

    fn ports() -> Ports {
        Ports::new()
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
            .many("metadata", ArtifactKind::Metadata, Role::Neutral, "Columns such as sex or site.")
            .optional()
            .output("table", ArtifactKind::Table, "One row a condition and subgroup.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { by, pool, least_examples, least_groups, bootstrap, confidence } = self;
        key.field("by", by);
        key.field("pool", pool);
        key.field("least_examples", least_examples);
        key.field("least_groups", least_groups);
        key.field("bootstrap", bootstrap);
        key.field("confidence", confidence);
        key.seed();
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.by.is_empty() {
            site.report(Problem::new("by", "nothing says which subgroups there are"));
        }
        let metadata = self.by.iter().position(|by| by != CLASS);
        if let Some(number) = metadata.filter(|_| !site.inputs.contains(&"metadata")) {
            let by = &self.by[number];
            let message = format!("there is no metadata to take the column `{by}` from");
            site.report(
                Problem::new(format!("by.{number}"), message)
                    .hint("give it the output of a stage cohort.metadata as `metadata`"),
            );
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        upstream::check_same_test(site, "effects");
        let mut axes = site.gathered("effects");
        axes.retain(|name| !self.pool.iter().any(|pooled| pooled == name));
        upstream::check_axis_names(site, &axes, "the rows of the table", |axis| {
            SubgroupRow::COLUMNS.contains(&axis).then_some("a column of each subgroup")
        });
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let all = flow.all_inputs();
        flow.give("table", all);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let metadata: Vec<Labelled<Metadata>> = inputs.many("metadata")?;
        let metadata: Vec<&Metadata> = metadata.iter().map(|of| &of.artifact).collect();
        let divisions = self.divisions(&cohort, &metadata)?;
        let mut cells = Vec::new();
        for (point, effects) in self.conditions(inputs)? {
            inputs.keep_going()?;
            let tested = Tested::gather(effects.into_iter().map(Ok), &cohort, None)?;
            for division in &divisions {
                for value in 0..division.values.len() {
                    cells.push(Cell {
                        point: point.clone(),
                        by: division.by.clone(),
                        value: division.values[value].clone(),
                        measured: self.measure(&cohort, &tested, division, value, inputs.seed())?,
                    });
                }
            }
        }
        outputs.put("table", self.table(cells))
    }
}

/// A division of the cohort into subgroups.
struct Division {
    by: String,
    /// Names of the subgroups.
    values: Vec<String>,
    /// The subgroup of each row of the cohort, where it is known.
    of_row: Vec<Option<u32>>,
}

/// One subgroup of one condition.
struct Cell {
    point: Point,
    by: String,
    value: String,
    measured: Measured,
}

/// Numbers of a subgroup.
struct Measured {
    examples: usize,
    groups: usize,
    /// The gap and how it differs from that of the others, or why they are not tested.
    tested: Result<[Estimate; 2], String>,
    /// The gap where nothing else can be said.
    gap: Option<f64>,
}

/// A number with its uncertainty.
#[derive(Clone, Copy)]
struct Estimate {
    value: f64,
    interval: Interval,
    /// Standard deviation over resamples.
    deviation: f64,
    degrees: f64,
}

impl Estimate {
    fn p_value(&self) -> f64 {
        2.0 * student::upper_tail((self.value / self.deviation).abs(), self.degrees)
    }

    /// The interval of a confidence, on Student's t.
    fn interval(&self, confidence: f64) -> [f64; 2] {
        let half = student::quantile(0.5 + confidence / 2.0, self.degrees) * self.deviation;
        [self.value - half, self.value + half]
    }
}

impl Subgroups {
    /// Effects by point, in the order in which they arrived, without the pooled axes.
    fn conditions(&self, inputs: &Inputs<'_>) -> Result<Vec<EffectsAt>, StageError> {
        let mut conditions: Vec<(Point, Vec<Labelled<ExampleEffects>>)> = Vec::new();
        for labelled in inputs.each::<ExampleEffects>("effects") {
            let labelled = labelled?;
            let here = labelled.point.iter().filter(|(axis, _)| !self.pool.contains(axis));
            let here: Point = here.cloned().collect();
            match conditions.iter_mut().find(|(point, _)| *point == here) {
                Some((_, effects)) => effects.push(labelled),
                None => conditions.push((here, vec![labelled])),
            }
        }
        Ok(conditions)
    }

    fn divisions(
        &self,
        cohort: &Cohort,
        metadata: &[&Metadata],
    ) -> Result<Vec<Division>, StageError> {
        let division = |(number, by): (usize, &String)| {
            if by == CLASS {
                return Ok(Division {
                    by: by.clone(),
                    values: cohort.classes.clone(),
                    of_row: cohort.label.iter().map(|class| Some(*class)).collect(),
                });
            }
            let option = format!("by.{number}");
            let all =
                || metadata.iter().flat_map(|of| of.columns.iter().map(move |column| (of, column)));
            let found = all().find(|(_, (name, _))| name == by);
            let Some((metadata, (_, column))) = found else {
                let names: Vec<&str> = all().map(|(_, (name, _))| name.as_str()).collect();
                let hint = match closest(by, names.iter().copied()) {
                    Some(name) => format!("did you mean {name}?"),
                    None => format!("its columns are {}", names.join(", ")),
                };
                let message = format!("the metadata have no column {by}");
                return Err(StageError::data(message).at(option).hint(hint));
            };
            let texts: Vec<Option<&str>> = column.iter().collect();
            let mut place = Finder::new(&metadata.example_id);
            let text = |id: &str| place.find(id).and_then(|row| texts[row]);
            let texts: Vec<Option<&str>> = cohort.example_id.iter().map(text).collect();
            let mut values: Vec<&str> = texts.iter().flatten().copied().collect();
            values.sort_unstable();
            values.dedup();
            if values.len() > MOST_VALUES {
                let message = format!("column {by} has {} different values", values.len());
                return Err(StageError::data(message)
                    .at(option)
                    .hint("write ranges or categories into a column of their own"));
            }
            let code = |text: &Option<&str>| {
                let place = values.binary_search(&(*text)?).ok()?;
                u32::try_from(place).ok()
            };
            Ok(Division {
                by: by.clone(),
                of_row: texts.iter().map(code).collect(),
                values: values.into_iter().map(str::to_owned).collect(),
            })
        };
        self.by.iter().enumerate().map(division).collect()
    }

    fn measure(
        &self,
        cohort: &Cohort,
        tested: &Tested,
        division: &Division,
        value: usize,
        seed: u64,
    ) -> Result<Measured, StageError> {
        let (group, groups) = tested.groups(cohort);
        let is_member =
            |row: usize| division.of_row[tested.rows[row]].map(|of| of as usize == value);
        let rows = |wanted: bool| -> Vec<usize> {
            (0..tested.rows.len()).filter(|row| is_member(*row) == Some(wanted)).collect()
        };
        let (own, others) = (rows(true), rows(false));
        let own_groups = distinct_groups(&own, &group);
        let mut measured = Measured {
            examples: own.len(),
            groups: own_groups,
            tested: Err(String::new()),
            gap: None,
        };
        if own.is_empty() {
            measured.tested = Err("no example of it was tested".to_owned());
            return Ok(measured);
        }
        let sums = |rows: &[usize], values: &[f64]| {
            let of = |pick: &dyn Fn(usize) -> u32| rows.iter().map(|row| pick(*row)).collect();
            let groups_of: Vec<u32> = of(&|row| group[row]);
            let labels: Vec<u32> = of(&|row| cohort.label[tested.rows[row]]);
            let values: Vec<f64> = rows.iter().map(|row| values[*row]).collect();
            ClassSums::from_rows(&groups_of, groups, &labels, cohort.classes.len(), &values)
                .map_err(|error| StageError::data(error.to_string()))
        };
        // Balanced accuracy of what is lost is the difference of both: it is linear in the rows.
        let lost: Vec<f64> = (tested.clean.iter().zip(&tested.broken))
            .map(|(clean, broken)| f64::from(u8::from(*clean)) - broken)
            .collect();
        let own_sums = sums(&own, &lost)?;
        let all = vec![1; groups];
        measured.gap = Some(own_sums.balanced_accuracy(&all));
        if let Some(reason) = self.too_few(cohort, tested, &own, own_groups) {
            measured.tested = Err(reason);
            return Ok(measured);
        }
        if own.iter().all(|row| tested.flips[*row] == 0.0) {
            measured.tested = Err("no permutation changes a decision of it".to_owned());
            return Ok(measured);
        }
        let other_sums = sums(&others, &lost)?;
        let has_others = distinct_groups(&others, &group) >= self.least_groups as usize;
        let (gap, other_gap) =
            (own_sums.balanced_accuracy(&all), other_sums.balanced_accuracy(&all));
        let difference = gap - other_gap;
        let stream = Stream::new(seed, Self::NAME);
        let resampled =
            cluster_bootstrap(groups, self.bootstrap as usize, &stream, 2, |times, values| {
                // A resample without any of a subgroup's groups says nothing of it.
                let known = |value: f64, whole: f64| if value.is_nan() { whole } else { value };
                values[0] = known(own_sums.balanced_accuracy(times), gap);
                values[1] = match has_others {
                    true => known(values[0] - other_sums.balanced_accuracy(times), difference),
                    false => 0.0,
                };
            })
            .map_err(|error| StageError::data(error.to_string()))?;
        let estimate = |of: &fuseline_stats::bootstrap::Resampled, value, is_known: bool| {
            let interval = of
                .percentile(self.confidence)
                .map_err(|error| StageError::data(error.to_string()))?;
            let nothing = Interval { low: f64::NAN, high: f64::NAN, ..interval };
            Ok::<Estimate, StageError>(Estimate {
                value: if is_known { value } else { f64::NAN },
                interval: if is_known { interval } else { nothing },
                deviation: standard_deviation(&of.values).unwrap_or(f64::NAN),
                degrees: (own_groups - 1) as f64,
            })
        };
        let [own, less] = resampled.as_slice() else {
            return Err(StageError::failed("the bootstrap gave other statistics"));
        };
        measured.tested = Ok([estimate(own, gap, true)?, estimate(less, difference, has_others)?]);
        Ok(measured)
    }

    /// The reason why a subgroup is too small to be tested.
    fn too_few(
        &self,
        cohort: &Cohort,
        tested: &Tested,
        own: &[usize],
        groups: usize,
    ) -> Option<String> {
        let mut of_class = vec![0_u32; cohort.classes.len()];
        own.iter().for_each(|row| of_class[cohort.label[tested.rows[*row]] as usize] += 1);
        let present = cohort.classes.iter().zip(&of_class).filter(|(_, rows)| **rows > 0);
        if let Some((class, rows)) = present.min_by_key(|(_, rows)| **rows)
            && *rows < self.least_examples
        {
            let least = self.least_examples;
            return Some(format!("{rows} examples of {class}, and {least} are needed"));
        }
        (groups < self.least_groups as usize)
            .then(|| format!("{groups} groups, and {} are needed", self.least_groups))
    }

    fn table(&self, cells: Vec<Cell>) -> Table<SubgroupRow> {
        let point = cells.first().map_or(&[][..], |cell| &cell.point);
        let axes = point.iter().map(|(axis, _)| axis.clone()).collect();
        let estimates: Vec<[Estimate; 2]> =
            cells.iter().filter_map(|cell| cell.measured.tested.clone().ok()).collect();
        let adjusted = [0, 1].map(|which| adjust(&estimates, which));
        let mut number_of_tested = 0;
        let rows = cells.into_iter().map(|Cell { point, by, value, measured }| {
            let mut row = SubgroupRow {
                by,
                value,
                examples: measured.examples as i64,
                groups: measured.groups as i64,
                ..SubgroupRow::default()
            };
            match measured.tested {
                Err(reason) => {
                    row.gap = measured.gap.and_then(finite);
                    row.not_testable = Some(reason);
                }
                Ok([gap, difference]) => {
                    let [of_gap, of_difference] = &adjusted;
                    [
                        row.gap,
                        row.gap_low,
                        row.gap_high,
                        row.gap_low_adjusted,
                        row.gap_high_adjusted,
                        row.p_value,
                        row.p_adjusted,
                    ] = self.numbers(&gap, of_gap, number_of_tested);
                    [
                        row.difference,
                        row.difference_low,
                        row.difference_high,
                        row.difference_low_adjusted,
                        row.difference_high_adjusted,
                        row.difference_p_value,
                        row.difference_p_adjusted,
                    ] = self.numbers(&difference, of_difference, number_of_tested);
                    number_of_tested += 1;
                }
            }
            (point.into_iter().map(|(_, label)| label).collect(), row)
        });
        Table { axes, rows: rows.collect() }
    }

    /// Value, interval, interval that holds with all others, p-value and adjusted p-value of the
    /// estimate that is the `place`th of those whose p-values are adjusted together.
    fn numbers(&self, estimate: &Estimate, adjusted: &[f64], place: usize) -> [Option<f64>; 7] {
        // One of as many intervals that hold together.
        let tests = adjusted.iter().filter(|p| !p.is_nan()).count().max(1) as f64;
        let [low, high] = estimate.interval(1.0 - (1.0 - self.confidence) / tests);
        let Interval { low: own_low, high: own_high, .. } = estimate.interval;
        let p_value = estimate.p_value();
        [estimate.value, own_low, own_high, low, high, p_value, adjusted[place]].map(finite)
    }
}

/// P-values of one of the two questions, adjusted by Holm; NaN where there is none.
fn adjust(estimates: &[[Estimate; 2]], which: usize) -> Vec<f64> {
    let raw: Vec<f64> = estimates.iter().map(|of| of[which].p_value()).collect();
    let tested: Vec<f64> = raw.iter().copied().filter(|p| !p.is_nan()).collect();
    let mut adjusted = holm(&tested).unwrap_or_default().into_iter();
    let next = |p: f64| if p.is_nan() { f64::NAN } else { adjusted.next().unwrap_or(f64::NAN) };
    raw.into_iter().map(next).collect()
}

fn distinct_groups(rows: &[usize], group: &[u32]) -> usize {
    let groups: BTreeMap<u32, ()> = rows.iter().map(|row| (group[*row], ())).collect();
    groups.len()
}

#[cfg(test)]
mod tests;
