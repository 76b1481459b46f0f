//! Parts of a report beside the findings, for what its stage is given: repetitions, subgroups,
//! calibration, the audit of the data.

use serde::{Deserialize, Serialize};

use crate::data::Point;

/// Results beside the findings; each may be empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supplements {
    /// Findings over splits or seeds, one a condition.
    pub repeats: Vec<Repeated>,
    /// Gaps by class and by metadata.
    pub subgroups: Vec<Subgroup>,
    /// Calibration of the fused probabilities, one a condition.
    pub calibration: Vec<Calibration>,
    /// Faults of the data, one a cohort.
    pub audits: Vec<DataAudit>,
}

/// A condition over repetitions of the study. Gaps are fractions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repeated {
    /// The condition, without the axes of the repetitions.
    pub point: Point,
    /// Number of repetitions.
    pub repetitions: u64,
    /// Mean of the gaps.
    pub mean: Option<f64>,
    /// Standard deviation of the gaps.
    pub sd: Option<f64>,
    /// Standard deviation of one gap over other people, from its interval.
    pub sampling_sd: Option<f64>,
    /// Standard deviation from both sources.
    pub total_sd: Option<f64>,
    /// Least gap.
    pub least: Option<f64>,
    /// Largest gap.
    pub most: Option<f64>,
    /// Lower end of the interval of the mean by the corrected resampled t-test.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// p-value of that test.
    pub p_value: Option<f64>,
    /// Share of repetitions whose own p-value is at most the level.
    pub share_at_level: Option<f64>,
    /// Name and gap of each repetition, where the findings have it.
    pub gaps: Vec<(String, f64)>,
}

/// The gap of one subgroup. Gaps are fractions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subgroup {
    /// The condition.
    pub point: Point,
    /// The column that parts the examples, or `class`.
    pub by: String,
    /// Its value.
    pub value: String,
    /// Tested examples.
    pub examples: u64,
    /// Their groups.
    pub groups: u64,
    /// The gap with its interval.
    pub gap: [Option<f64>; 3],
    /// The interval that holds together with those of all subgroups.
    pub gap_adjusted: [Option<f64>; 2],
    /// p-value, raw and adjusted over all subgroups.
    pub p_value: [Option<f64>; 2],
    /// The gap less that of the other examples, with its interval.
    pub difference: [Option<f64>; 3],
    /// p-value of the difference, raw and adjusted.
    pub difference_p_value: [Option<f64>; 2],
    /// Reason why nothing is tested.
    pub not_testable: Option<String>,
}

/// Calibration of the fused probabilities of one condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calibration {
    /// The condition.
    pub point: Point,
    /// Expected calibration error under Clean-Q.
    pub clean: Option<f64>,
    /// Its mean under Broken-Q.
    pub broken: Option<f64>,
    /// Its standard deviation over permutations.
    pub broken_sd: Option<f64>,
    /// p-value that Clean-Q is no better calibrated.
    pub p_value: Option<f64>,
    /// Bins under Clean-Q, lowest confidence first.
    pub clean_bins: Vec<ConfidenceBin>,
    /// Bins under Broken-Q, means over the permutations.
    pub broken_bins: Vec<ConfidenceBin>,
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceBin {
    /// Mean probability of the decision.
    pub confidence: f64,
    /// Share of examples that are decided rightly.
    pub accuracy: f64,
    /// Number of examples.
    pub examples: f64,
}

/// Faults of the data of one cohort.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataAudit {
    /// The point of the cohort.
    pub point: Point,
    /// Number of faults, listed or not.
    pub found: u64,
    /// Number of examinations.
    pub examined: u64,
    /// Inputs that could not be examined, with the reason.
    pub not_examined: Vec<String>,
    /// Faults beyond the rows.
    pub not_listed: Vec<String>,
    /// The faults.
    pub faults: Vec<DataFault>,
}

/// One fault of the data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFault {
    /// `error` or `warning`.
    pub severity: String,
    /// The check that found it.
    pub check: String,
    /// The input that it is about.
    pub source: String,
    /// The measure with its value and the value from which it counts.
    pub measured: String,
    /// The fault in words.
    pub message: String,
}
