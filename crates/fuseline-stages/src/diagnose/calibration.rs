//! `diagnose.calibration`: does the test keep its level, and what does it find, over many simulated
//! studies?

use std::collections::BTreeMap;

use fuseline_artifact::{ArtifactKind, CalibrationRow, Finding, Findings, Permutations, Table};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Labelled, Outputs, PlanSite, Ports, Problem, RowFlow, StageError,
    StageKind,
};
use fuseline_stats::binomial::clopper_pearson;
use fuseline_stats::permutation_test::randomised_rejection;
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnose::by_point::ByPoint;
use crate::pool::Pooled;
use crate::table::finite;
use crate::upstream;

/// Counts over replicates of a simulated study how often the unadjusted p-value is at most each
/// level.
///
/// Under a null, where quality has nothing to do with what is right, that is the type-I error;
/// elsewhere it is the power. Each share comes with its exact 95 % binomial interval (Clopper and
/// Pearson), the mean gap, and the share of the replicates whose interval holds that mean, which
/// stands for the true gap.
///
/// With `permutations`, `share_randomised` says what the share would be if values that tie with
/// Clean-Q were ordered at random and not all counted against it: under a null that is the level,
/// and what the share lacks to it are the ties.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The axis of the replicates.
    #[serde(default = "replicate")]
    #[schemars(extend("format" = "axis"))]
    replicates: String,
    /// Levels of the test.
    #[serde(default = "levels")]
    #[schemars(length(min = 1))]
    levels: Vec<f64>,
}

fn replicate() -> String {
    "replicate".to_owned()
}

fn levels() -> Vec<f64> {
    vec![0.05, 0.1]
}

impl StageKind for Calibration {
    const NAME: &'static str = "diagnose.calibration";
    // 2: the share with ties ordered at random. 3: its table is an artifact of kind table.
    const REVISION: u32 = 3;
    const SUMMARY: &'static str =
        "Type-I error, power and coverage over replicates of a simulated study.";

    fn ports() -> Ports {
        Ports::new()
            .many(
                "findings",
                ArtifactKind::Findings,
                Role::Neutral,
                "The findings of every replicate.",
            )
            .many(
                "permutations",
                ArtifactKind::Permutations,
                Role::Neutral,
                "The permutation counts behind the findings, to tell ties from a wrong level.",
            )
            .optional()
            .output("table", ArtifactKind::Table, "One row a point and level.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { replicates, levels } = self;
        key.field("replicates", replicates);
        key.field("levels", levels);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.levels.iter().any(|level| !(*level > 0.0 && *level < 1.0)) {
            site.report(Problem::new("levels", "a level lies between 0 and 1"));
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        let Some(action) = site.first() else { return };
        let Some(findings) = upstream::findings(action, "findings") else { return };
        let Some(first) = findings.first() else { return };
        let mut axes: Vec<&str> = first.point().map(|(axis, _)| axis).collect();
        if !axes.contains(&self.replicates.as_str()) {
            let place = action.option_place("replicates");
            site.report(upstream::unknown_axis(&self.replicates, &place, &axes));
            return;
        }
        axes.retain(|axis| *axis != self.replicates);
        upstream::check_axis_names(site, &axes, "the rows of the table", |axis| {
            CalibrationRow::COLUMNS.contains(&axis).then_some("a column of each point")
        });
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let all = flow.all_inputs();
        flow.give("table", all);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let tables: Vec<Labelled<Findings>> = inputs.many("findings")?;
        let permutations: Vec<Labelled<Permutations>> = inputs.many("permutations")?;
        let all_axes = tables.first().map(|table| table.artifact.axes.clone()).unwrap_or_default();
        let counts = Counts::group(&all_axes, &permutations);
        let without = std::slice::from_ref(&self.replicates);
        let ByPoint { axes, points } = ByPoint::group(tables, without, "replicates")?;
        let mut table = Table { axes, rows: Vec::new() };
        for (place, rows) in points {
            let rows: Vec<Replicate> = rows
                .into_iter()
                .map(|found| {
                    if found.p_value.is_nan() {
                        return Err(StageError::data(format!(
                            "the finding of {} has no p-value, so that nothing can be counted",
                            found.point.join(", ")
                        ))
                        .hint("a derangement is no valid test: permute by another scheme"));
                    }
                    let pooled = counts.pooled(&found.point)?;
                    Ok(Replicate { found, pooled })
                })
                .collect::<Result<_, StageError>>()?;
            let count = rows.len() as f64;
            let mean = rows.iter().map(|row| row.found.gap).sum::<f64>() / count;
            let holds = rows
                .iter()
                .filter(|Replicate { found, .. }| found.gap_low <= mean && mean <= found.gap_high)
                .count();
            for &level in &self.levels {
                let rejected = rows.iter().filter(|row| row.found.p_value <= level).count();
                let randomised = rows
                    .iter()
                    .map(|row| {
                        row.pooled.as_ref().map_or(Ok(f64::NAN), |of| {
                            randomised_rejection(of.clean, &of.broken, level)
                        })
                    })
                    .sum::<Result<f64, _>>()
                    .map_err(|error| StageError::data(error.to_string()))?;
                let (low, high) = clopper_pearson(rejected as u64, rows.len() as u64, 0.95);
                let row = CalibrationRow {
                    level,
                    replicates: rows.len() as i64,
                    rejected: rejected as i64,
                    share: finite(rejected as f64 / count),
                    share_low: finite(low),
                    share_high: finite(high),
                    mean_gap: finite(mean),
                    interval_holds_mean: finite(holds as f64 / count),
                    share_randomised: finite(randomised / count),
                };
                table.rows.push((place.clone(), row));
            }
        }
        outputs.put("table", table)
    }
}

/// One study.
struct Replicate {
    found: Finding,
    pooled: Option<Pooled>,
}

/// Permutation counts by the point of their finding: without the axes that findings do not have.
struct Counts<'p> {
    of: BTreeMap<Vec<&'p str>, Vec<&'p Permutations>>,
}

impl<'p> Counts<'p> {
    fn group(axes: &[String], permutations: &'p [Labelled<Permutations>]) -> Self {
        let mut of = BTreeMap::<_, Vec<_>>::new();
        for Labelled { point, artifact } in permutations {
            let label = |axis: &String| point.iter().find(|(name, _)| name == axis);
            let place = axes.iter().filter_map(label).map(|(_, label)| label.as_str()).collect();
            of.entry(place).or_default().push(artifact);
        }
        Self { of }
    }

    fn pooled(&self, point: &[String]) -> Result<Option<Pooled>, StageError> {
        if self.of.is_empty() {
            return Ok(None);
        }
        let place: Vec<&str> = point.iter().map(String::as_str).collect();
        let parts = self.of.get(&place).ok_or_else(|| {
            StageError::data(format!(
                "no permutations arrived of the finding at {}",
                point.join(", ")
            ))
        })?;
        Pooled::gather(parts.iter().copied()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{message, run};

    type Counted = Table<CalibrationRow>;

    fn table(options: serde_json::Value) -> Result<Counted, StageError> {
        let finding = |replicate: usize, effect: &str, p_value: f64| Findings {
            axes: vec!["replicate".to_owned(), "effect".to_owned()],
            modalities: Vec::new(),
            settings: Vec::new(),
            group_counts: None,
            rows: vec![Finding {
                point: vec![replicate.to_string(), effect.to_owned()],
                p_value,
                gap: p_value,
                gap_low: 0.2,
                gap_high: 0.6,
                ..Finding::default()
            }],
        };
        let outputs = run::<Calibration>(options, 1, &[], |mut inputs| {
            for (replicate, p_value) in [0.05, 0.06, 0.5, 0.9].into_iter().enumerate() {
                inputs = inputs
                    .artifact("findings", vec![], finding(replicate, "none", p_value))?
                    .artifact("findings", vec![], finding(replicate, "large", 0.01))?;
            }
            Ok(inputs)
        })?;
        outputs.get("table")
    }

    #[test]
    fn shares_are_counted_by_point_and_level_and_a_p_value_at_the_level_rejects() {
        let table = table(json!({ "levels": [0.05] })).unwrap();
        assert_eq!(table.axes, ["effect"]);
        let [(none, of_none), (large, of_large)] = table.rows.as_slice() else {
            panic!("{:?}", table.rows)
        };
        assert_eq!((none[0].as_str(), large[0].as_str()), ("none", "large"));
        assert_eq!((of_none.level, of_none.replicates, of_none.rejected), (0.05, 4, 1));
        assert_eq!((of_large.level, of_large.replicates, of_large.rejected), (0.05, 4, 4));
        assert_eq!((of_none.share, of_large.share), (Some(0.25), Some(1.0)));
        // The mean gap of the first, 0.3775, lies within all intervals; that of the second, 0.01,
        // in none.
        let held = (of_none.interval_holds_mean, of_large.interval_holds_mean);
        assert_eq!(held, (Some(1.0), Some(0.0)));
        assert_eq!((of_none.share_randomised, of_large.share_randomised), (None, None));
    }

    #[test]
    fn ties_are_told_apart_from_a_wrong_level() {
        let point = |fold: &str| {
            vec![("replicate".to_owned(), "7".to_owned()), ("fold".to_owned(), fold.to_owned())]
        };
        // Two folds of one row a class; pooled balanced accuracies: Clean-Q 1, Broken-Q 1, 1, 0.75,
        // 0.75.
        let counts = |fold: &str, correct: [i64; 5]| Permutations {
            classes: vec!["rest".to_owned(), "stress".to_owned()],
            model_digest: fuseline_artifact::Digest::hash(fold.as_bytes()),
            plugin_id: "lr".to_owned(),
            scheme: "joint".to_owned(),
            reads_quality: None,
            quality_moved: None,
            quality_movable: None,
            permutation: (-1..4).flat_map(|row| [row, row]).collect(),
            class: [0, 1].repeat(5),
            n: vec![1; 10],
            correct: correct.iter().flat_map(|right| [1, *right]).collect(),
        };
        let finding = Findings {
            axes: vec!["replicate".to_owned()],
            modalities: Vec::new(),
            settings: Vec::new(),
            group_counts: None,
            rows: vec![Finding { point: vec!["7".to_owned()], p_value: 0.6, ..Finding::default() }],
        };
        let outputs = run::<Calibration>(json!({ "levels": [0.2, 0.4] }), 1, &[], |inputs| {
            inputs
                .artifact("findings", vec![], finding)?
                .artifact("permutations", point("0"), counts("0", [1, 1, 1, 0, 1]))?
                .artifact("permutations", point("1"), counts("1", [1, 1, 1, 1, 0]))
        });
        let table: Counted = outputs.unwrap().get("table").unwrap();
        let shares: Vec<_> = table.rows.iter().map(|(_, row)| row.share_randomised).collect();
        assert_eq!(shares, [Some(1.0 / 3.0), Some(2.0 / 3.0)]);
    }

    #[test]
    fn an_axis_that_is_not_there_is_named() {
        let error = table(json!({ "replicates": "seed" })).unwrap_err();
        assert_eq!(
            message(&error),
            "the findings have no axis seed; their axes are replicate, effect"
        );
    }
}
