//! `diagnose.reliability`: are the fused probabilities as right as they say, with quality as
//! measured and permuted?

use fuseline_artifact::{ArtifactKind, Cohort, ReliabilityRow, Table};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, PlanSite, Ports, RowFlow, StageError, StageKind,
    UnreadOption,
};
use fuseline_stats::metrics::decisions;
use fuseline_stats::permutation::Intervention;
use fuseline_stats::permutation_test::permutation_test;
use fuseline_stats::reliability::{ConfidenceBin, confidence_bins, expected_calibration_error};
use fuseline_stats::repeats::standard_deviation;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnose::metrics::{self, Metrics, labels, measure_each, reads};
use crate::diagnose::permute_quality::Scheme;
use crate::table::finite;

/// Calibration of the fused probabilities under Clean-Q and Broken-Q: the expected calibration
/// error and the bins of the reliability diagram, of the pooled predictions of all folds.
///
/// The confidence of an example is the probability of its decision; bins are of equal width. A rule
/// that uses quality well is less sure where quality is low, and loses that when quality is
/// permuted. One that is too unsure throughout has a smaller error as its decisions get worse: read
/// the diagram beside the number. The rows without a bin are of all examples: `ece` with its mean
/// and standard deviation over the permutations (`broken`), and the one-sided p-value that Clean-Q
/// is no better calibrated (`clean`). Bins of Broken-Q are means over the permutations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reliability {
    /// Number of permutations.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1, max = 10_000_000))]
    permutations: u32,
    /// Permutation scheme of quality.
    #[serde(default)]
    scheme: Scheme,
    /// Only for `conditional`: into how many bins each expert's confidence is cut.
    #[serde(default = "three")]
    #[schemars(range(min = 1))]
    strata: u32,
    /// Number of bins of confidence.
    #[serde(default = "ten")]
    #[schemars(range(min = 2, max = 1_000))]
    bins: u32,
}

fn thousand() -> u32 {
    1000
}

fn three() -> u32 {
    3
}

fn ten() -> u32 {
    10
}

impl StageKind for Reliability {
    const NAME: &'static str = "diagnose.reliability";
    const REVISION: u32 = 3; // its table is an artifact of kind table; every fold has its model
    const SUMMARY: &'static str =
        "Calibration error and reliability of fused probabilities under Clean-Q and Broken-Q.";

    fn ports() -> Ports {
        metrics::ports_of_all_folds().output(
            "table",
            ArtifactKind::Table,
            "One row a condition and bin.",
        )
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self { permutations, scheme, strata, bins } = self;
        key.field("permutations", permutations);
        key.field("scheme", scheme);
        key.field("strata", strata);
        key.field("bins", bins);
        key.seed();
    }

    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        self.scheme.without_effect("strata")
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        metrics::check_scheme(site, self.scheme, Self::NAME);
    }

    fn check_plan(&self, site: &mut PlanSite<'_>) {
        metrics::check_folds(site, self.scheme);
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        metrics::rows_of_all_folds(flow, self.scheme);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let cohort: Cohort = inputs.one("cohort")?;
        let permuting = Metrics::new(self.permutations, self.scheme, self.strata);
        let folds = permuting.folds(inputs, &cohort)?;
        let labels = labels(&folds);
        let classes = cohort.classes.len();
        let (clean, broken) = measure_each(inputs, &folds, classes, |probabilities| {
            self.bins(probabilities, &labels, classes)
        })?;
        outputs.discover(reads(&folds));
        let errors: Vec<f64> = broken.iter().map(|bins| expected_calibration_error(bins)).collect();
        let error = expected_calibration_error(&clean);
        // Less is better.
        let opposite: Vec<f64> = errors.iter().map(|error| -error).collect();
        let test = permutation_test(-error, &opposite)
            .map_err(|error| StageError::data(error.to_string()))?;
        let is_test = Intervention::from(self.scheme).has_p_value();
        let p_value = if is_test { test.p_value } else { f64::NAN };
        let spread = standard_deviation(&errors).unwrap_or(f64::NAN);
        let mut rows = Vec::new();
        let pooled = mean(&broken);
        for (condition, bins, numbers) in [
            ("clean", &clean, [error, f64::NAN, p_value]),
            ("broken", &pooled, [-test.broken, spread, f64::NAN]),
        ] {
            let all = bins.iter().copied().fold(ConfidenceBin::default(), add);
            let [ece, ece_sd, p_value] = numbers.map(finite);
            rows.push(ReliabilityRow { ece, ece_sd, p_value, ..row(condition, &all) });
            let width = 1.0 / bins.len() as f64;
            for (place, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0.0) {
                let [bin_low, bin_high] = [place, place + 1].map(|end| finite(end as f64 * width));
                rows.push(ReliabilityRow { bin_low, bin_high, ..row(condition, bin) });
            }
        }
        let rows = rows.into_iter().map(|row| (Vec::new(), row)).collect();
        outputs.put("table", Table { axes: Vec::new(), rows })
    }
}

impl Reliability {
    /// Bins of rows x classes.
    fn bins(
        &self,
        probabilities: &[f64],
        labels: &[u32],
        classes: usize,
    ) -> Result<Vec<ConfidenceBin>, StageError> {
        let failed =
            |error: fuseline_stats::metrics::MetricError| StageError::data(error.to_string());
        let decided = decisions(probabilities, classes).map_err(failed)?;
        let rows = probabilities.chunks_exact(classes).zip(&decided);
        let confidence: Vec<f64> = rows.map(|(row, decided)| row[*decided as usize]).collect();
        let right: Vec<bool> =
            decided.iter().zip(labels).map(|(decided, label)| decided == label).collect();
        confidence_bins(&confidence, &right, self.bins as usize).map_err(failed)
    }
}

fn add(one: ConfidenceBin, other: ConfidenceBin) -> ConfidenceBin {
    ConfidenceBin {
        rows: one.rows + other.rows,
        confidence: one.confidence + other.confidence,
        right: one.right + other.right,
    }
}

/// Bins of an average permutation.
fn mean(broken: &[Vec<ConfidenceBin>]) -> Vec<ConfidenceBin> {
    let count = broken.len() as f64;
    let bins = broken.first().map_or(0, Vec::len);
    (0..bins)
        .map(|place| {
            let sum = broken.iter().map(|bins| bins[place]).fold(ConfidenceBin::default(), add);
            ConfidenceBin {
                rows: sum.rows / count,
                confidence: sum.confidence / count,
                right: sum.right / count,
            }
        })
        .collect()
}

/// A row of some examples.
fn row(condition: &str, bin: &ConfidenceBin) -> ReliabilityRow {
    ReliabilityRow {
        condition: condition.to_owned(),
        examples: finite(bin.rows),
        confidence: finite(bin.confidence / bin.rows),
        accuracy: finite(bin.right / bin.rows),
        ..ReliabilityRow::default()
    }
}
