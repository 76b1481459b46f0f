//! `diagnose.repeats`: what several splits, or seeds, of one study say together.

use std::collections::BTreeMap;

use fuseline_artifact::{ArtifactKind, Finding, Findings, Folds, RepeatRow, Table};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Labelled, Outputs, PlanSite, Ports, Problem, RowFlow, StageError,
    StageKind,
};
use fuseline_stats::normal;
use fuseline_stats::repeats::{Repeated, corrected_resampled_t, standard_deviation};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnose::by_point::ByPoint;
use crate::table::finite;
use crate::upstream;

/// Summarises findings over axes that repeat a study, such as other splits: one split can say 1.5
/// percentage points and another 11.7.
///
/// A row says how far the gaps of a condition lie apart (`gap_sd`, over the repetitions), how sure
/// one of them is (`sampling_sd`, from its interval over groups) and both together (`total_sd`:
/// what one study of one split should be believed by). Repetitions of one data set are not
/// independent, so that the interval and the p-value of the mean are those of the corrected
/// resampled t-test (Nadeau and Bengio 2003); they need the input `folds`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeats {
    /// The axes whose labels are repetitions.
    #[serde(default = "repeat")]
    #[schemars(length(min = 1), extend("format" = "axis"))]
    axes: Vec<String>,
    /// Level at which unadjusted p-values of the repetitions are counted.
    #[serde(default = "five_percent")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    level: f64,
    /// Confidence of the interval of the mean, and of the findings' own intervals.
    #[serde(default = "ninety_five")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    confidence: f64,
}

fn repeat() -> Vec<String> {
    vec!["repeat".to_owned()]
}

fn five_percent() -> f64 {
    0.05
}

fn ninety_five() -> f64 {
    0.95
}

impl StageKind for Repeats {
    const NAME: &'static str = "diagnose.repeats";
    const REVISION: u32 = 2; // its table is an artifact of kind table
    const SUMMARY: &'static str =
        "Findings over splits or seeds: mean, spread, and the corrected resampled t-test.";

    fn ports() -> Ports {
        Ports::new()
            .many(
                "findings",
                ArtifactKind::Findings,
                Role::Neutral,
                "The findings of every repetition, of a family or of single points.",
            )
            .many(
                "folds",
                ArtifactKind::Folds,
                Role::Neutral,
                "The splits, for how many examples are tested for each that is trained on.",
            )
            .optional()
            .output("table", ArtifactKind::Table, "One row a condition.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { axes, level, confidence } = self;
        key.field("axes", axes);
        key.field("level", level);
        key.field("confidence", confidence);
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.axes.is_empty() {
            site.report(Problem::new("axes", "at least one axis is needed"));
        }
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        let Some(action) = site.first() else { return };
        let Some(findings) = upstream::findings(action, "findings") else { return };
        let Some(first) = findings.first() else { return };
        let mut axes: Vec<&str> = first.point().map(|(axis, _)| axis).collect();
        for (at, axis) in self.axes.iter().enumerate() {
            if !axes.contains(&axis.as_str()) {
                let place = match action.option("axes") {
                    Some(_) => action.option_place(&format!("axes.{at}")),
                    None => action.option_place("axes"),
                };
                site.report(upstream::unknown_axis(axis, &place, &axes));
                return;
            }
        }
        axes.retain(|axis| !self.axes.iter().any(|repeated| repeated == axis));
        upstream::check_axis_names(site, &axes, "the rows of the table", |axis| {
            RepeatRow::COLUMNS.contains(&axis).then_some("a column of each condition")
        });
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let all = flow.all_inputs();
        flow.give("table", all);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let tables: Vec<Labelled<Findings>> = inputs.many("findings")?;
        let folds: Vec<Labelled<Folds>> = inputs.many("folds")?;
        let ratio = test_to_train(folds.iter().map(|labelled| &labelled.artifact));
        let ByPoint { axes, points } = ByPoint::group(tables, &self.axes, "axes")?;
        let mut table = Table { axes, rows: Vec::new() };
        let mut unchanged = Vec::new();
        for (point, rows) in points {
            let row = self.row(&rows, ratio);
            if rows.len() > 1 && rows.iter().all(|row| equal(row, &rows[0])) {
                unchanged.push(point.join(", "));
            }
            table.rows.push((point, row));
        }
        if let Some((first, others)) = unchanged.split_first() {
            let others = match others.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            outputs.caution(format!(
                "{} change nothing: all repetitions of {first}{others} are equal, so that they \
                 say no more than one",
                upstream::listed(&self.axes)
            ));
        }
        outputs.put("table", table)
    }
}

impl Repeats {
    fn row(&self, rows: &[Finding], test_to_train: Option<f64>) -> RepeatRow {
        let count = rows.len() as f64;
        let column = |of: fn(&Finding) -> f64| rows.iter().map(of).collect::<Vec<f64>>();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / count;
        let (gaps, clean) = (column(|row| row.gap), column(|row| row.ba_clean));
        let spread = |values: &[f64]| standard_deviation(values).unwrap_or(f64::NAN);
        // As wide as a normal interval of this standard deviation.
        let width = 2.0 * normal::quantile(0.5 + self.confidence / 2.0);
        let variances: Vec<f64> =
            rows.iter().map(|row| ((row.gap_high - row.gap_low) / width).powi(2)).collect();
        let sampling = mean(&variances);
        let test = test_to_train.and_then(|of| corrected_resampled_t(&gaps, of, self.confidence));
        let of_test = |of: fn(&Repeated) -> f64| test.as_ref().map(of).and_then(finite);
        let p_values = rows.iter().map(|row| row.p_value).filter(|p| !p.is_nan());
        let at_level = share(p_values.map(|p| p <= self.level));
        RepeatRow {
            repetitions: rows.len() as i64,
            gap_mean: finite(mean(&gaps)),
            gap_sd: finite(spread(&gaps)),
            gap_min: finite(gaps.iter().copied().fold(f64::INFINITY, f64::min)),
            gap_max: finite(gaps.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            sampling_sd: finite(sampling.sqrt()),
            total_sd: finite((sampling + spread(&gaps).powi(2)).sqrt()),
            test_to_train: test_to_train.and_then(finite),
            gap_low: of_test(|of| of.low),
            gap_high: of_test(|of| of.high),
            p_value: of_test(|of| of.p_value),
            share_p_at_level: finite(at_level),
            share_equivalent: finite(share(rows.iter().filter_map(|row| row.equivalent))),
            ba_clean_mean: finite(mean(&clean)),
            ba_clean_sd: finite(spread(&clean)),
        }
    }
}

/// The share of what holds; not a number of nothing.
fn share(of: impl Iterator<Item = bool>) -> f64 {
    let (mut holds, mut all) = (0.0, 0.0);
    for each in of {
        holds += f64::from(u8::from(each));
        all += 1.0;
    }
    holds / all
}

/// True if two findings have bit-identical measurements.
fn equal(one: &Finding, other: &Finding) -> bool {
    let measured = |of: &Finding| {
        [of.gap, of.ba_clean, of.ba_broken, of.flip_rate, of.probability_shift].map(f64::to_bits)
    };
    measured(one) == measured(other)
}

/// Tested examples for each that is trained on, on average over the folds of all splits; none
/// without splits.
fn test_to_train<'f>(splits: impl Iterator<Item = &'f Folds>) -> Option<f64> {
    let mut ratios = Vec::new();
    for split in splits {
        let mut tested = BTreeMap::<i32, usize>::new();
        for fold in split.fold.iter().filter(|fold| **fold >= 0) {
            *tested.entry(*fold).or_default() += 1;
        }
        let rows = split.fold.len();
        ratios.extend(tested.values().map(|&tested| tested as f64 / (rows - tested) as f64));
    }
    (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::run;

    /// The row of the only condition, and what is cautioned.
    struct Summary {
        point: Vec<(String, String)>,
        row: RepeatRow,
        cautions: Vec<String>,
    }

    fn summarised(
        options: serde_json::Value,
        gaps: &[f64],
        splits: bool,
    ) -> Result<Summary, StageError> {
        let finding = |repeat: usize, gap: f64| Findings {
            axes: vec!["rule".to_owned(), "repeat".to_owned()],
            modalities: Vec::new(),
            settings: Vec::new(),
            group_counts: None,
            rows: vec![Finding {
                point: vec!["lr".to_owned(), repeat.to_string()],
                p_value: 0.04 + repeat as f64 / 100.0,
                gap,
                gap_low: gap - 0.0196,
                gap_high: gap + 0.0196,
                ba_clean: 0.7,
                ..Finding::default()
            }],
        };
        let outputs = run::<Repeats>(options, 1, &[], |mut inputs| {
            for (repeat, &gap) in gaps.iter().enumerate() {
                inputs = inputs.artifact("findings", vec![], finding(repeat, gap))?;
            }
            if splits {
                let fold = (0..10).map(|row| row % 5).collect();
                let example_id = (0..10).map(|row| row.to_string()).collect();
                inputs = inputs.artifact("folds", vec![], Folds { example_id, fold })?;
            }
            Ok(inputs)
        })?;
        let table: Table<RepeatRow> = outputs.get("table")?;
        assert_eq!(table.rows.len(), 1, "{table:?}");
        let (point, row) = table.into_points().next().unwrap();
        Ok(Summary { point, row, cautions: outputs.cautions().to_vec() })
    }

    #[test]
    fn both_sources_of_variation_stand_side_by_side_and_the_mean_is_tested_as_one_data_set() {
        let gaps = [0.02, 0.05, -0.01, 0.04, 0.03];
        let Summary { point, row, cautions } = summarised(json!({}), &gaps, true).unwrap();
        let close = |found: Option<f64>, expected: f64| {
            assert!((found.unwrap() - expected).abs() < 1e-9, "{found:?} {expected}");
        };
        assert_eq!(point, [("rule".to_owned(), "lr".to_owned())]);
        assert_eq!(row.repetitions, 5);
        close(row.gap_mean, 0.026);
        close(row.gap_sd, 0.023_021_728_866);
        close(row.sampling_sd, 0.0196 / 1.959_963_984_540_054);
        close(
            row.total_sd,
            (0.023_021_728_866_442_68_f64.powi(2) + (0.0196 / 1.959_963_984_540_054_f64).powi(2))
                .sqrt(),
        );
        close(row.test_to_train, 0.25);
        close(row.p_value, 0.083_776_610_739);
        close(row.share_p_at_level, 0.4);
        assert_eq!(cautions, [] as [String; 0]);
    }

    #[test]
    fn without_splits_nothing_is_tested_and_an_axis_that_changes_nothing_is_told() {
        let Summary { row, cautions, .. } = summarised(json!({}), &[0.02; 3], false).unwrap();
        assert_eq!(row.p_value, None);
        assert!(cautions[0].contains("change nothing: all repetitions of lr are equal"));
        let error = summarised(json!({ "axes": ["seed"] }), &[0.02], false).err().unwrap();
        assert_eq!(error.message, "the findings have no axis seed");
    }
}
