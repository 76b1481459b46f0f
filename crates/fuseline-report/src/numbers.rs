//! Measures of a report: balanced accuracy, or an error or a correlation of labels that are numbers.
//!
//! Readings, controls and sentences are those of classes; units, methods and columns are of the
//! metric. Equivalence is claimed nowhere: an error has no largest value, so that no bound holds
//! where nothing varied.

use fuseline_artifact::Finding;
use serde::{Deserialize, Serialize};

use crate::data::{FindingRow, ReportData, Settings};
use crate::format::{NONE, capital, finite, percent, plain, points, points_interval, points_pp};

/// Metric of predicted numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Mean absolute error.
    Mae,
    /// Root of the mean squared error.
    Rmse,
    /// Pearson's correlation of prediction and label.
    Pearson,
    /// Lin's concordance correlation coefficient.
    Concordance,
    /// Mean of a score of each example, which the caller computed.
    Score,
}

impl Metric {
    /// The metric of a name, as settings have it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "mae" => Self::Mae,
            "rmse" => Self::Rmse,
            "pearson" => Self::Pearson,
            "concordance" => Self::Concordance,
            "score" => Self::Score,
            _ => return None,
        })
    }

    /// Its name with its unit.
    pub fn in_words(self) -> String {
        format!("{} ({})", self.noun(), self.unit())
    }

    /// A few letters for the head of a column.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Mae => "MAE",
            Self::Rmse => "RMSE",
            Self::Pearson => "Pearson",
            Self::Concordance => "CCC",
            Self::Score => "score",
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Mae => "mean absolute error",
            Self::Rmse => "root mean squared error",
            Self::Pearson => "Pearson correlation of prediction and label",
            Self::Concordance => "concordance correlation coefficient",
            Self::Score => "mean score",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Mae | Self::Rmse => "in the unit of the label",
            Self::Pearson | Self::Concordance => "without a unit, at most 1",
            Self::Score => "in the unit of the score",
        }
    }

    /// True if more is better.
    const fn more_is_better(self) -> bool {
        !matches!(self, Self::Mae | Self::Rmse)
    }

    /// Direction in which it goes when breaking quality hurts.
    const fn worsens(self) -> &'static str {
        if self.more_is_better() { "falls" } else { "rises" }
    }

    /// Definition of the gap.
    const fn gap(self) -> &'static str {
        if self.more_is_better() {
            "its value under Clean-Q minus its mean under Broken-Q"
        } else {
            "its mean under Broken-Q minus its value under Clean-Q"
        }
    }
}

/// Values of the metric in one row of the findings, in its own unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricRow {
    /// Under Clean-Q.
    pub clean: Option<f64>,
    /// Its mean under Broken-Q.
    pub broken: Option<f64>,
    /// That of the same rule refitted without quality.
    pub without_quality: Option<f64>,
    /// Gain of that, positive where quality helps.
    pub gain: Option<f64>,
    /// That of the best expert alone.
    pub best_unimodal: Option<f64>,
    /// That of the closest expert, example by example.
    pub oracle: Option<f64>,
    /// Mean of |prediction - that of Clean-Q|, with its interval.
    pub shift: Option<f64>,
    /// Lower end.
    pub shift_low: Option<f64>,
    /// Upper end.
    pub shift_high: Option<f64>,
}

impl MetricRow {
    /// The values of a finding, if its label is a number.
    #[must_use]
    pub fn from_finding(row: &Finding, metric: Option<&str>) -> Option<Self> {
        let metric = metric.and_then(Metric::named)?;
        let of = row.metric.as_ref()?;
        let gain = of.without_quality.map(|without| match metric.more_is_better() {
            true => of.clean - without,
            false => without - of.clean,
        });
        Some(Self {
            clean: finite(Some(of.clean)),
            broken: finite(Some(of.broken)),
            without_quality: finite(of.without_quality),
            gain: finite(gain),
            best_unimodal: finite(of.best_unimodal),
            oracle: finite(of.oracle),
            shift: finite(of.prediction_shift),
            shift_low: finite(of.prediction_shift_low),
            shift_high: finite(of.prediction_shift_high),
        })
    }
}

/// Form of the values of a report: per cent and percentage points, or a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Accuracies in per cent, differences in percentage points.
    Points,
    /// A metric with so many decimals.
    Metric(Metric, usize),
}

impl Unit {
    /// The unit of all values of a report: four digits of the largest.
    pub fn of_report(data: &ReportData) -> Self {
        let Some(metric) = data.settings.metric else { return Self::Points };
        let values = data.findings.iter().filter_map(|row| row.metric.as_ref());
        let largest = values
            .flat_map(|of| [of.clean, of.broken])
            .flatten()
            .fold(0.0_f64, |top, value| top.max(value.abs()));
        // By division, which rounds alike everywhere.
        let (mut decimals, mut value) = (3_usize, largest);
        while value >= 10.0 && decimals > 0 {
            (decimals, value) = (decimals - 1, value / 10.0);
        }
        while value > 0.0 && value < 1.0 && decimals < 9 {
            (decimals, value) = (decimals + 1, value * 10.0);
        }
        Self::Metric(metric, decimals)
    }

    /// A value, such as "71.4 %" or "0.8123".
    pub fn value(self, value: Option<f64>) -> String {
        match self {
            Self::Points => percent(value),
            Self::Metric(_, decimals) => finite(value)
                .map_or_else(|| NONE.to_owned(), |value| number(value, decimals).replace('-', "−")),
        }
    }

    /// A difference with its sign, without the unit.
    pub fn difference(self, value: Option<f64>) -> String {
        match self {
            Self::Points => points(value),
            Self::Metric(_, decimals) => signed(value, decimals),
        }
    }

    /// A difference with its sign and, of points, the unit.
    pub fn difference_unit(self, value: Option<f64>) -> String {
        match self {
            Self::Points => points_pp(value),
            Self::Metric(..) => self.difference(value),
        }
    }

    /// A size without a sign.
    pub fn size(self, value: f64) -> String {
        self.difference_unit(Some(value.abs())).trim_start_matches('+').to_owned()
    }

    /// A difference with its interval.
    pub fn interval(self, value: Option<f64>, low: Option<f64>, high: Option<f64>) -> String {
        match self {
            Self::Points => points_interval(value, low, high),
            Self::Metric(..) => match (finite(low), finite(high)) {
                (Some(_), Some(_)) => format!(
                    "{} [{}, {}]",
                    self.difference(value),
                    self.difference(low),
                    self.difference(high)
                ),
                _ => self.difference(value),
            },
        }
    }

    /// Head of a column or axis of gaps.
    pub fn gap_head(self) -> String {
        match self {
            Self::Points => "gap [interval], pp".to_owned(),
            Self::Metric(metric, _) => format!("gap [interval], {}", metric.short()),
        }
    }

    /// Title of an axis of gaps.
    pub fn gap_axis(self) -> String {
        match self {
            Self::Points => "permutation gap in percentage points".to_owned(),
            Self::Metric(metric, _) => {
                format!("permutation gap of the {}, {}", metric.noun(), metric.unit())
            }
        }
    }

    /// Title of an axis of values under Broken-Q.
    pub fn broken_axis(self) -> String {
        match self {
            Self::Points => "balanced accuracy under Broken-Q (%)".to_owned(),
            Self::Metric(metric, _) => format!("{} under Broken-Q", metric.short()),
        }
    }

    /// Name of what was measured, within a sentence.
    pub fn measure(self) -> String {
        match self {
            Self::Points => "accuracy".to_owned(),
            Self::Metric(metric, _) => format!("the {}", metric.noun()),
        }
    }

    /// Direction in which it goes when breaking quality hurts.
    pub const fn worsens(self) -> &'static str {
        match self {
            Self::Points => "falls",
            Self::Metric(metric, _) => metric.worsens(),
        }
    }

    /// The gap, within a sentence.
    pub fn gap(self) -> String {
        match self {
            Self::Points => "gap".to_owned(),
            Self::Metric(metric, _) => format!("gap of the {}", metric.noun()),
        }
    }

    /// Definition of the gap.
    pub fn gap_definition(self) -> String {
        match self {
            Self::Points => "balanced accuracy under Clean-Q minus its mean under Broken-Q, in \
                             percentage points (pp)"
                .to_owned(),
            Self::Metric(metric, _) => format!(
                "one of the {} ({}, {}): {}, positive where breaking quality hurts",
                metric.noun(),
                metric.short(),
                metric.unit(),
                metric.gap()
            ),
        }
    }

    /// An answer of the rule, which a permutation may change.
    pub const fn answer(self) -> &'static str {
        match self {
            Self::Points => "decision",
            Self::Metric(..) => "prediction",
        }
    }

    /// Name of what was measured, as a sentence begins.
    pub fn subject(self) -> String {
        match self {
            Self::Points => "Balanced accuracy".to_owned(),
            Self::Metric(metric, _) => capital(metric.noun()),
        }
    }

    /// True if one value does as well as another, or better.
    pub fn is_as_good(self, value: f64, other: f64) -> bool {
        match self {
            Self::Metric(metric, _) if !metric.more_is_better() => value <= other + 1e-12,
            _ => value >= other - 1e-12,
        }
    }
}

fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(size) if size.chars().all(|c| matches!(c, '0' | '.')) => size.to_owned(),
        _ => text,
    }
}

fn signed(value: Option<f64>, decimals: usize) -> String {
    let Some(value) = finite(value) else { return NONE.to_owned() };
    if value.abs() <= 1e-12 {
        return "0".to_owned();
    }
    let sign = if value < 0.0 { '−' } else { '+' };
    format!("{sign}{:.decimals$}", value.abs())
}

/// Sentences of the methods that speak of the metric, in place of those of accuracies.
pub fn methods(data: &ReportData, metric: Metric) -> Vec<String> {
    let settings = &data.settings;
    let mut sentences = vec![format!(
        "The label is a number. The permutation gap is one of the {}, {}: {}, pooled over all test \
         examples; it is positive where breaking quality hurts.",
        metric.noun(),
        metric.unit(),
        metric.gap()
    )];
    sentences.push(format!(
        "p-values are one-sided, (b + 1) / (m + 1) with b of m permutations that do at least as \
         well as Clean-Q; {} The significance level is {}.",
        crate::methods::adjustment(data),
        settings.alpha
    ));
    sentences.push(format!(
        "Intervals ({}) are {} of {} bootstrap resamples of groups, both values from the same \
         resample{}. Equivalence is not claimed: an error has no largest value, so that no bound \
         holds where the sample shows no difference.",
        percent(Some(settings.confidence)).replace(".0", ""),
        match settings.interval.as_str() {
            "bca" => "bias-corrected and accelerated percentiles",
            _ => "percentiles",
        },
        crate::format::count(settings.bootstrap_resamples),
        match metric {
            Metric::Mae | Metric::Score => "",
            _ => {
                ", that under Broken-Q from means of each example's moments over the permutations, \
                 centred at the gap"
            }
        }
    ));
    let is_measured =
        data.findings.iter().any(|row| row.metric.as_ref().is_some_and(|of| of.gain.is_some()));
    if is_measured {
        sentences.push(format!(
            "The gain is that of the {} under Clean-Q over {}, positive where quality helps, with an \
             interval from resamples that both share.",
            metric.noun(),
            settings.reference()
        ));
    }
    sentences
}

/// Text of a row in a column, and its value to sort by.
pub type Cell = (String, Option<f64>);

/// A column of the table of findings: its heading, its meaning, its text and value to sort by.
pub struct MetricColumn {
    /// Heading.
    pub heading: String,
    /// Meaning.
    pub meaning: &'static str,
    /// Text and value of a row.
    pub cell: Box<dyn Fn(&FindingRow) -> Cell>,
}

/// Columns of a table of findings, but for the axes and counts.
pub fn columns(metric: Metric, unit: Unit, settings: &Settings) -> Vec<MetricColumn> {
    fn column(
        heading: impl Into<String>,
        meaning: &'static str,
        cell: impl Fn(&FindingRow) -> (String, Option<f64>) + 'static,
    ) -> MetricColumn {
        MetricColumn { heading: heading.into(), meaning, cell: Box::new(cell) }
    }
    let value = move |heading: String, meaning, of: fn(&MetricRow) -> Option<f64>| {
        column(heading, meaning, move |row| {
            let value = row.metric.as_ref().and_then(of);
            (unit.value(value), value)
        })
    };
    let short = metric.short();
    vec![
        column(
            format!("gap ({short})"),
            "permutation gap, positive where breaking quality hurts",
            move |row| (unit.interval(row.gap, row.gap_low, row.gap_high), row.gap),
        ),
        column("p raw", "one-sided permutation p-value, before adjustment", |row| {
            (crate::format::p_number(row.p_value), row.p_value)
        }),
        column("p error", "standard error of p from drawing permutations", |row| {
            (
                row.p_error.map_or_else(|| NONE.to_owned(), |error| format!("{error:.4}")),
                row.p_error,
            )
        }),
        column("p adjusted", "adjusted for the family of tests", |row| {
            (crate::format::p_number(row.p_adjusted), row.p_adjusted)
        }),
        value(format!("{short} Clean-Q"), "with quality as measured", |of| of.clean),
        value(format!("{short} Broken-Q"), "its mean with quality permuted", |of| of.broken),
        value(format!("{short} {}", settings.reference_heading()), settings.reference(), |of| {
            of.without_quality
        }),
        column(format!("gain ({short})"), "over that, positive where quality helps", move |row| {
            (unit.interval(row.gain(), row.gain_low, row.gain_high), row.gain())
        }),
        value(
            format!("{short} best expert"),
            "the best single expert, chosen on these rows",
            |of| of.best_unimodal,
        ),
        value(format!("{short} oracle"), "the closest expert of each example: optimistic", |of| {
            of.oracle
        }),
        column("critical", "a larger gap would have p at the level", move |row| {
            (unit.difference(row.detectable_gap), row.detectable_gap)
        }),
        column("80 % power", "the gap that the test would detect with 80 % power", move |row| {
            (unit.difference(row.detectable_gap_80), row.detectable_gap_80)
        }),
        column("null sd", "standard deviation of the metric over permutations", move |row| {
            (unit.difference(row.null_sd).trim_start_matches('+').to_owned(), row.null_sd)
        }),
        value("shift".to_owned(), "mean of |prediction - that of Clean-Q|", |of| of.shift),
        column("quality moved", "share of examples whose quality a permutation changes", |row| {
            (percent(row.moved_share), row.moved_share)
        }),
        column("alignment", "of the modality where quality ranks best by closeness", |row| {
            let each = row.alignment.iter().filter_map(|(_, value)| finite(*value));
            let most = each.max_by(f64::total_cmp);
            (plain(most), most)
        }),
        column("quality from evidence", "largest R2 of a quality given the evidence", |row| {
            let each = row.quality_from_evidence.iter().filter_map(|(_, r2)| finite(*r2));
            let most = each.max_by(f64::total_cmp);
            (plain(most), most)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_model_has_no_reference_without_quality() {
        let settings = Settings { frozen: true, ..Settings::default() };
        let columns = columns(Metric::Mae, Unit::Points, &settings);
        assert!(columns.iter().any(|column| column.heading == "MAE neutral quality"));
        let said = |column: &MetricColumn| format!("{} {}", column.heading, column.meaning);
        assert!(columns.iter().all(|column| !said(column).contains("without quality")));
    }
}
