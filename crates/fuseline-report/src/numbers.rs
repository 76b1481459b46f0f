//! The report where the label is a number: an error or a correlation in place of accuracies.
//!
//! Readings and controls are those of classes; words, units and columns are of the metric. Equivalence
//! is claimed nowhere: an error has no largest value, so that no bound holds where nothing varied.

use fuseline_artifact::Finding;
use serde::{Deserialize, Serialize};

use crate::answer::{
    Answer, DOUBTED, cautions, count_readings, gains, named, native_readings, not_counted, reasons,
};
use crate::controls::checks;
use crate::data::{Control, FindingRow, ReportData, Settings};
use crate::format::{
    NONE, counted, finite, p_value, percent, plain, points, points_interval, points_pp,
};
use crate::made_of::stays_given_evidence;
use crate::uses::{
    Use, axes, elsewhere, is_joint, joint_is_there, mechanism_not_examined, neutral, object,
    size_of_test, subject,
};
use crate::verdict::{
    Reading, Verdict, could_turn, decided, doubt, gain_sign, is_adjusted, read, told_by_evidence,
};

/// More conditions than this are not named one by one.
const EACH: usize = 6;

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
    fn size(self, value: f64) -> String {
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

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

/// Reads all findings.
pub fn answer(data: &ReportData, metric: Metric) -> Answer {
    let unit = Unit::of_report(data);
    let verdicts: Vec<Verdict> =
        data.findings.iter().map(|row| verdict(row, data, metric, unit)).collect();
    let checks = checks(data, &verdicts);
    let native = native_readings(data, &verdicts);
    let counts = count_readings(&native);
    let (headline, tone) = headline(data, metric, &counts, native.len());
    let uses = uses(data, &verdicts, metric, unit);
    let told: Vec<usize> = uses.iter().filter_map(|of| of.finding).collect();
    let is_told = |row: &FindingRow| told.iter().any(|&place| data.findings[place] == *row);
    let mut sentences: Vec<String> = counts
        .iter()
        .filter_map(|(reading, count)| {
            let rows: Vec<&FindingRow> =
                native.iter().filter(|(_, found)| found == reading).map(|(row, _)| *row).collect();
            let all_told =
                *reading != Reading::EvidenceDerived && rows.iter().all(|row| is_told(row));
            (!all_told).then(|| sentence(*reading, *count, &rows, native.len(), data, metric, unit))
        })
        .collect();
    sentences.extend(shifts(&native, unit));
    sentences.extend(gains(&native, data));
    sentences.extend(not_counted(data));
    sentences.extend(cautions(&checks, &counts, &native, data));
    let terms = terms(data, metric, native.len());
    Answer { headline, tone, uses, terms, sentences, counts, checks, verdicts }
}

fn headline(
    data: &ReportData,
    metric: Metric,
    counts: &[(Reading, usize)],
    total: usize,
) -> (String, &'static str) {
    let of = |reading: Reading| {
        counts.iter().find(|(found, _)| *found == reading).map_or(0, |(_, count)| *count)
    };
    let gains = of(Reading::WithGain);
    let depends = gains + of(Reading::Dependence) + of(Reading::WithLoss);
    let what = format!("the {} {} when quality is permuted", metric.noun(), metric.worsens());
    let words = |text: String, tone| (text, tone);
    if data.findings.is_empty() {
        return words("There are no findings.".to_owned(), "open");
    }
    if total == 0 {
        let native = data.findings.iter().any(|row| row.control == Control::Native);
        return match native {
            true => words("Not testable: no rule that was run reads quality.".to_owned(), "open"),
            false => words(
                "Only controls were run: no answer about a native quality.".to_owned(),
                "open",
            ),
        };
    }
    if of(Reading::Untested) == total {
        return match data.settings.scheme.as_str() {
            "derangement" => words("An effect size, no test.".to_owned(), "open"),
            _ => words("Not tested.".to_owned(), "open"),
        };
    }
    if depends > 0 {
        let part = match (total, depends == total) {
            (1, _) => String::new(),
            (_, true) => format!(", in all {total} native conditions"),
            (_, false) => format!(", in {depends} of {}", counted(total, "native condition")),
        };
        let reference = data.settings.reference();
        let gain = match (gains, of(Reading::WithLoss)) {
            (0, losses) if losses == depends => format!("yet at a loss against {reference}"),
            (0, _) => format!("a gain over {reference} is not shown"),
            (gains, _) if total == 1 && gains == 1 => format!("with a gain over {reference}"),
            (gains, _) => format!("a gain over {reference} is shown in {gains}"),
        };
        let tone = if gains == 0 && of(Reading::Dependence) == 0 { "caution" } else { "yes" };
        return words(format!("Yes{part}: {what}; {gain}."), tone);
    }
    if of(Reading::EvidenceDerived) > 0 {
        return words(
            "Not shown: the gaps found are of qualities that follow from the evidence.".to_owned(),
            "caution",
        );
    }
    if of(Reading::InDoubt) > 0 {
        return words(DOUBTED.to_owned(), "caution");
    }
    if of(Reading::Harm) > 0 && of(Reading::Harm) == total {
        return words("Quality seems to do harm.".to_owned(), "caution");
    }
    if of(Reading::NotTestable) == total {
        let reason = data.findings.iter().find_map(|row| row.not_testable.as_deref());
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        return words(format!("Not testable{reason}."), "open");
    }
    words(format!("The data cannot tell whether the {} depends on quality.", metric.noun()), "open")
}

/// Reads one finding.
fn verdict(row: &FindingRow, data: &ReportData, metric: Metric, unit: Unit) -> Verdict {
    let reading = read(row, &data.settings);
    Verdict { reading, beats_oracle: false, words: words(row, reading, data, metric, unit) }
}

fn words(
    row: &FindingRow,
    reading: Reading,
    data: &ReportData,
    metric: Metric,
    unit: Unit,
) -> String {
    let settings = &data.settings;
    let gap = unit.interval(row.gap, row.gap_low, row.gap_high);
    let tested = format!("gap of the {} {gap}, {}", metric.noun(), decided(row, data));
    let mut words = match reading {
        Reading::NotCounted => {
            let reason = row.not_counted.as_deref().unwrap_or("no condition of its own");
            format!("Counted in no family, headline or badge: {reason} ({tested}).")
        }
        Reading::NotTestable => {
            let reason = row.not_testable.as_deref().unwrap_or("quality does not move");
            format!("Not testable: {reason} ({tested}). A gap near 0 says nothing here.")
        }
        Reading::Untested if finite(row.gap).is_some() => {
            format!("An effect size, no test ({tested}).")
        }
        Reading::Untested => {
            "Not tested: the findings hold no gap or no p-value for this point.".to_owned()
        }
        Reading::WithGain | Reading::Dependence | Reading::WithLoss => format!(
            "The {} depends on quality ({tested}).{}{}",
            metric.noun(),
            shift_words(row, unit),
            gain_words(row, settings, unit)
        ),
        Reading::EvidenceDerived => format!(
            "The gap ({tested}) is not yet reliance on reliability: {} the evidence, so a plain \
             permutation makes pairs of evidence and quality that cannot occur. \
             conditional_residual leaves in place what the evidence tells.{}",
            told_by_evidence(row),
            gain_words(row, settings, unit)
        ),
        Reading::InDoubt => format!(
            "The gap ({tested}) is not shown to be dependence: {}.{}",
            row.p_doubt.as_deref().unwrap_or("the p-value may be too small"),
            shift_words(row, unit)
        ),
        Reading::Harm => format!(
            "The interval lies below 0, as if quality did harm ({tested}); the one-sided test does \
             not test for this, and the interval is not adjusted for the number of conditions."
        ),
        Reading::Detected => format!("The test detects this control ({tested})."),
        Reading::Missed => {
            format!(
                "The test does not detect this control ({tested}).{}",
                power_words(row, settings, unit)
            )
        }
        Reading::HeldBack => format!("No gap is detected under this scheme ({tested})."),
        Reading::Unmoved => {
            let why = row
                .not_testable
                .clone()
                .unwrap_or_else(|| "here the rule does not react to quality".to_owned());
            format!("Not one prediction changed under any permutation: {why}.")
        }
        Reading::Quiet => format!("Quiet, as it should be ({tested})."),
        Reading::Alarm => format!(
            "An alarm where there is nothing to find (gap of the {} {gap}, raw {}).",
            metric.noun(),
            p_value(row.p_value)
        ),
        Reading::CannotTell | Reading::WithinMargin | Reading::NoDependence => format!(
            "The data cannot tell ({tested}).{}{}",
            shift_words(row, unit),
            power_words(row, settings, unit)
        ),
    };
    if could_turn(row, settings) && row.is_counted() {
        words.push_str(&format!(
            " Other permutations could turn this: the p-value before adjustment, {}, has a \
             Monte-Carlo standard error of {:.4}.",
            p_value(row.p_value),
            row.p_error.unwrap_or_default()
        ));
    }
    words
}

fn shift_words(row: &FindingRow, unit: Unit) -> String {
    let Some(of) = &row.metric else { return String::new() };
    let Some(shift) = of.shift else { return String::new() };
    let interval = match (of.shift_low, of.shift_high) {
        (Some(low), Some(high)) => format!(" [{}, {}]", unit.size(low), unit.size(high)),
        _ => String::new(),
    };
    format!(" A permutation moves a prediction by {}{interval} on average.", unit.size(shift))
}

fn gain_words(row: &FindingRow, settings: &Settings, unit: Unit) -> String {
    let Some(gain) = finite(row.gain()) else {
        return " It was not asked without quality, so this does not say whether using it helps."
            .to_owned();
    };
    format!(
        " Gain over {}: {}, {}.",
        settings.reference(),
        unit.interval(Some(gain), row.gain_low, row.gain_high),
        match gain_sign(row) {
            Some(std::cmp::Ordering::Greater) => "which is above 0",
            Some(std::cmp::Ordering::Less) => "which is a loss",
            Some(std::cmp::Ordering::Equal) => "so that neither gain nor loss is shown",
            None => "without an interval, so that no gain is shown",
        }
    )
}

fn power_words(row: &FindingRow, settings: &Settings, unit: Unit) -> String {
    let Some(critical) = finite(row.detectable_gap).filter(|gap| *gap > 1e-12) else {
        return String::new();
    };
    let adjusted = is_adjusted(row, settings) && row.p_adjusted.is_some();
    let before = if adjusted { " before adjustment" } else { "" };
    let power = finite(row.detectable_gap_80).map_or_else(String::new, |gap| {
        format!(", and a true gap of {} would be detected with 80\u{a0}% power", unit.size(gap))
    });
    format!(" The critical value{before} is {}{power}.", unit.size(critical))
}

/// One statement a native condition in which a gap was detected, the largest gap first.
fn uses(data: &ReportData, verdicts: &[Verdict], metric: Metric, unit: Unit) -> Vec<Use> {
    use Reading::{Dependence, EvidenceDerived, InDoubt, WithGain, WithLoss};
    let mut found: Vec<(usize, &FindingRow, Reading)> = data
        .findings
        .iter()
        .zip(verdicts)
        .enumerate()
        .map(|(place, (row, verdict))| (place, row, verdict.reading))
        .filter(|(_, _, reading)| {
            matches!(reading, WithGain | Dependence | WithLoss | EvidenceDerived | InDoubt)
        })
        .filter(|(_, row, _)| is_joint(row, data) || !joint_is_there(row, data))
        .collect();
    found.sort_by(|a, b| b.1.gap.unwrap_or(0.0).total_cmp(&a.1.gap.unwrap_or(0.0)));
    let more = found.len().saturating_sub(EACH);
    let each = |&(place, row, reading): &(usize, &FindingRow, Reading)| {
        // A gap of a quality that the evidence tells is not yet use of it, unless it stays when that
        // is left in place.
        let stays = reading == EvidenceDerived && stays_given_evidence(row, data);
        let is_open = reading == EvidenceDerived && !stays;
        let verb = if is_open || reading == InDoubt { "changes with" } else { "uses" };
        let rest = elsewhere(row);
        let rest = if rest.is_empty() { rest } else { format!(" ({rest})") };
        let interval = match (finite(row.gap_low), finite(row.gap_high)) {
            (Some(_), Some(_)) => {
                let [low, high] = [row.gap_low, row.gap_high].map(|end| unit.difference(end));
                format!(" [{}, {}]", low.trim_start_matches('+'), high.trim_start_matches('+'))
            }
            _ => String::new(),
        };
        let mut words = format!(
            ": the {} {} by {}{interval} when it is permuted, {}",
            metric.noun(),
            metric.worsens(),
            unit.size(row.gap.unwrap_or(0.0)),
            decided(row, data)
        );
        let gain = finite(row.gain()).map(|gain| (unit.size(gain), data.settings.reference()));
        match (reading, gain) {
            (WithGain, Some((gain, reference))) => {
                words += &format!("; a gain of {gain} over {reference}");
            }
            (WithLoss, Some((gain, reference))) => {
                words += &format!("; a loss of {gain} against {reference}");
            }
            (Dependence, Some((_, reference))) => {
                words += &format!("; no gain over {reference} is shown");
            }
            (InDoubt, _) => words += &format!("; {}", doubt(row)),
            (EvidenceDerived, _) if stays => {
                words += "; it stays when what the evidence tells of quality is left in place";
            }
            (EvidenceDerived, _) => {
                let told = told_by_evidence(row);
                words +=
                    &format!("; {told} the evidence, so this is not yet reliance on reliability");
            }
            _ => {}
        }
        words.push('.');
        let who = format!("{} {verb} {}{rest}", subject(row, data), object(row));
        Use { who, words, finding: Some(place), is_group: false }
    };
    let mut uses: Vec<Use> = found.iter().take(EACH).map(each).collect();
    if more > 0 {
        uses.push(Use {
            who: format!("{} more", counted(more, "condition")),
            words: ": the table has each.".to_owned(),
            finding: None,
            is_group: true,
        });
    }
    uses
}

fn sentence(
    reading: Reading,
    count: usize,
    rows: &[&FindingRow],
    native: usize,
    data: &ReportData,
    metric: Metric,
    unit: Unit,
) -> String {
    let conditions = format!("{}{}", counted(count, "condition"), named(rows, native));
    let range = |value: &dyn Fn(&FindingRow) -> Option<f64>| {
        let values: Vec<f64> = rows.iter().filter_map(|row| value(row)).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let [low, high] = [low, high].map(|end| unit.difference(Some(end)));
        if low == high { high } else { format!("{low} to {high}") }
    };
    match reading {
        Reading::WithGain | Reading::Dependence | Reading::WithLoss => {
            let gain = match rows.iter().any(|row| row.gain().is_none()) {
                true => String::new(),
                false => format!(
                    "; the gain over {} is {}",
                    data.settings.reference(),
                    range(&FindingRow::gain)
                ),
            };
            format!(
                "{conditions}: the {} {} when quality is permuted, a gap of {}{gain}.",
                metric.noun(),
                metric.worsens(),
                range(&|row| row.gap)
            )
        }
        Reading::EvidenceDerived => format!(
            "{conditions}: a gap of {}, but of a quality that follows from the evidence, at least in \
             part. A plain permutation makes pairs of evidence and quality that cannot occur, so \
             this is not yet reliance on reliability.",
            range(&|row| row.gap)
        ),
        Reading::InDoubt => format!(
            "{conditions}: a gap of {}, but a p-value that may be too small. {}",
            range(&|row| row.gap),
            reasons(rows.iter().filter_map(|row| row.p_doubt.as_deref()))
        ),
        Reading::Harm => format!(
            "{conditions}: the interval lies below 0, as if quality did harm. The one-sided test \
             does not test for this."
        ),
        Reading::NotTestable => {
            let reason = rows.iter().find_map(|row| row.not_testable.as_deref());
            format!(
                "{conditions}: not testable. {}.",
                capital(reason.unwrap_or("quality is one value"))
            )
        }
        Reading::Untested => {
            format!("{conditions}: no p-value, a gap of {}.", range(&|row| row.gap))
        }
        _ => format!(
            "{conditions}: the data cannot tell. No gap passes the level; equivalence is not claimed \
             where the label is a number. The critical value of the gap is {}.",
            range(&|row| row.detectable_gap)
        ),
    }
}

/// Mean shifts of predictions over all native conditions.
fn shifts(native: &[(&FindingRow, Reading)], unit: Unit) -> Option<String> {
    let shift = |row: &FindingRow| row.metric.as_ref().and_then(|of| of.shift);
    let values: Vec<f64> = native.iter().filter_map(|(row, _)| shift(row)).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let [low, high] = [low, high].map(|end| unit.size(end));
    (!values.is_empty()).then(|| {
        let range = if low == high { high } else { format!("{low} to {high}") };
        format!("Predictions: a permutation moves one by {range} on average.")
    })
}

fn terms(data: &ReportData, metric: Metric, native: usize) -> String {
    let conditions = match native {
        _ if data.settings.frozen => "The model is asked as it is.".to_owned(),
        0 => "No native condition was tested.".to_owned(),
        1 => "One native condition was tested.".to_owned(),
        many => format!("{many} distinct native conditions were tested{}.", axes(data)),
    };
    let native = match data.settings.frozen {
        true => "",
        false => {
            " Native is a quality that was measured or estimated, none that was made as a control."
        }
    };
    format!(
        "{conditions}{}{native} Clean-Q is quality as it came, Broken-Q the same values permuted \
         across test examples; the gap is one of the {} ({}, {}): {}, positive where breaking \
         quality hurts, with its {} interval in brackets.{}{}",
        size_of_test(data),
        metric.noun(),
        metric.short(),
        metric.unit(),
        metric.gap(),
        percent(Some(data.settings.confidence)).replace(".0", ""),
        neutral(data),
        mechanism_not_examined(data)
    )
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
pub fn columns(metric: Metric, unit: Unit) -> Vec<MetricColumn> {
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
        value(format!("{short} without quality"), "that of the reference without quality", |of| {
            of.without_quality
        }),
        column(
            format!("gain ({short})"),
            "over the reference without quality, positive where quality helps",
            move |row| (unit.interval(row.gain(), row.gain_low, row.gain_high), row.gain()),
        ),
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
