//! `diagnose.repeats`: what several splits, or seeds, of one study say together.

use std::collections::BTreeMap;

use fuseline_artifact::{ArtifactKind, Finding, Findings, Folds};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Labelled, Outputs, PlanSite, Ports, Problem, RowFlow, StageError,
    StageKind,
};
use fuseline_stats::normal;
use fuseline_stats::repeats::{corrected_resampled_t, standard_deviation};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::table::{Table, number};
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
    #[schemars(length(min = 1))]
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

/// The columns of the table, behind the axes.
const COLUMNS: [&str; 15] = [
    "repetitions",
    "gap_mean",
    "gap_sd",
    "gap_min",
    "gap_max",
    "sampling_sd",
    "total_sd",
    "test_to_train",
    "gap_low",
    "gap_high",
    "p_value",
    "share_p_at_level",
    "share_equivalent",
    "ba_clean_mean",
    "ba_clean_sd",
];

impl StageKind for Repeats {
    const NAME: &'static str = "diagnose.repeats";
    const REVISION: u32 = 1;
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
            .output("table", ArtifactKind::Report, "CSV: one row a condition.")
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
            COLUMNS.contains(&axis).then_some("a column of each condition")
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
        let (axes, conditions) = self.conditions(tables)?;
        let mut table = Table::new(axes.iter().map(String::as_str).chain(COLUMNS))?;
        let mut unchanged = Vec::new();
        for (point, rows) in &conditions {
            let numbers = self.numbers(rows, ratio);
            if rows.len() > 1 && rows.iter().all(|row| equal(row, &rows[0])) {
                unchanged.push(point.join(", "));
            }
            table.row(point.iter().cloned().chain(numbers.map(number)))?;
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
        outputs.put("table", table.finish()?)
    }
}

/// Conditions in the order in which they arrived, with the findings of their repetitions.
type Conditions = Vec<(Vec<String>, Vec<Finding>)>;

impl Repeats {
    /// The axes that are left, and the findings at each of their points.
    fn conditions(
        &self,
        tables: Vec<Labelled<Findings>>,
    ) -> Result<(Vec<String>, Conditions), StageError> {
        let mut axes: Option<Vec<String>> = None;
        let mut at = BTreeMap::<Vec<String>, usize>::new();
        let mut conditions = Conditions::new();
        for Labelled { artifact: table, .. } in tables {
            let known = axes.get_or_insert_with(|| table.axes.clone());
            if *known != table.axes {
                return Err(StageError::data("the findings do not have the same axes"));
            }
            for repeated in &self.axes {
                upstream::axis_of(&table.axes, repeated).map_err(|error| error.at("axes"))?;
            }
            for row in table.rows {
                let labels = row.point.iter().zip(&table.axes);
                let point: Vec<String> = labels
                    .filter(|(_, axis)| !self.axes.contains(axis))
                    .map(|(label, _)| label.clone())
                    .collect();
                let place = *at.entry(point.clone()).or_insert_with(|| {
                    conditions.push((point, Vec::new()));
                    conditions.len() - 1
                });
                conditions[place].1.push(row);
            }
        }
        let mut axes = axes.unwrap_or_default();
        axes.retain(|axis| !self.axes.contains(axis));
        Ok((axes, conditions))
    }

    fn numbers(&self, rows: &[Finding], test_to_train: Option<f64>) -> [f64; COLUMNS.len()] {
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
        let of_test =
            |of: fn(&fuseline_stats::repeats::Repeated) -> f64| test.as_ref().map_or(f64::NAN, of);
        let p_values = rows.iter().map(|row| row.p_value).filter(|p| !p.is_nan());
        let at_level = share(p_values.map(|p| p <= self.level));
        [
            count,
            mean(&gaps),
            spread(&gaps),
            gaps.iter().copied().fold(f64::INFINITY, f64::min),
            gaps.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            sampling.sqrt(),
            (sampling + spread(&gaps).powi(2)).sqrt(),
            test_to_train.unwrap_or(f64::NAN),
            of_test(|of| of.low),
            of_test(|of| of.high),
            of_test(|of| of.p_value),
            at_level,
            share(rows.iter().filter_map(|row| row.equivalent)),
            mean(&clean),
            spread(&clean),
        ]
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
    use fuseline_artifact::Report;
    use serde_json::json;

    use super::*;
    use crate::testing::run;

    /// The header, the row, and what is cautioned.
    struct Summary {
        head: Vec<String>,
        row: Vec<String>,
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
        let text = String::from_utf8(outputs.get::<Report>("table")?.bytes).unwrap();
        let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<String>>();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        Ok(Summary {
            head: cells(lines[0]),
            row: cells(lines[1]),
            cautions: outputs.cautions().to_vec(),
        })
    }

    #[test]
    fn both_sources_of_variation_stand_side_by_side_and_the_mean_is_tested_as_one_data_set() {
        let gaps = [0.02, 0.05, -0.01, 0.04, 0.03];
        let Summary { head, row, cautions } = summarised(json!({}), &gaps, true).unwrap();
        let value = |name: &str| -> f64 {
            row[head.iter().position(|column| column == name).unwrap()].parse().unwrap()
        };
        let close = |name: &str, expected: f64| {
            assert!((value(name) - expected).abs() < 1e-9, "{name}: {} {expected}", value(name));
        };
        assert_eq!((head[0].as_str(), row[0].as_str(), value("repetitions")), ("rule", "lr", 5.0));
        close("gap_mean", 0.026);
        close("gap_sd", 0.023_021_728_866);
        close("sampling_sd", 0.0196 / 1.959_963_984_540_054);
        close(
            "total_sd",
            (0.023_021_728_866_442_68_f64.powi(2) + (0.0196 / 1.959_963_984_540_054_f64).powi(2))
                .sqrt(),
        );
        close("test_to_train", 0.25);
        close("p_value", 0.083_776_610_739);
        close("share_p_at_level", 0.4);
        assert_eq!(cautions, [] as [String; 0]);
    }

    #[test]
    fn without_splits_nothing_is_tested_and_an_axis_that_changes_nothing_is_told() {
        let Summary { head, row, cautions } = summarised(json!({}), &[0.02; 3], false).unwrap();
        let at = head.iter().position(|column| column == "p_value").unwrap();
        assert_eq!(row[at], "");
        assert!(cautions[0].contains("change nothing: all repetitions of lr are equal"));
        let error = summarised(json!({ "axes": ["seed"] }), &[0.02], false).err().unwrap();
        assert_eq!(error.message, "the findings have no axis seed");
    }
}
