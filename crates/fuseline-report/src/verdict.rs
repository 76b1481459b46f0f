//! Reading of one finding, limited to what it shows.
//!
//! Three answers are kept apart: whether *decisions* change, whether *accuracy* depends on quality,
//! and whether that is a *gain* over working without it. **Invariant:** "no dependence" is only
//! read where accuracy and decisions are both shown to change by less than a stated margin; without
//! that, a test that found nothing leaves the question open.

use crate::arrange::numeric;
use crate::data::{Control, FindingRow, ReportData, Settings};
use crate::format::{capital, finite, p_value, percent, points, size_pp};
use crate::made_of::reads_labels;
use crate::numbers::Unit;

/// The reading of one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Accuracy depends on quality, and the interval of the gain lies above 0.
    WithGain,
    /// Accuracy depends on quality; whether that is a gain is not shown.
    Dependence,
    /// Accuracy depends on quality, and the interval of the gain lies below 0.
    WithLoss,
    /// A gap of a quality that is a function of the evidence, under a permutation that ignores
    /// this.
    EvidenceDerived,
    /// A gap whose p-value may be too small: groups are alike, or qualities related.
    InDoubt,
    /// The interval lies below 0, as if quality did harm.
    Harm,
    /// Nothing found, and too little data to say that there is nothing.
    CannotTell,
    /// Nothing found, and nothing could have been: quality did not move, or too little.
    NotTestable,
    /// Decisions change, or a gap was found, and accuracy changes by less than the margin.
    WithinMargin,
    /// Accuracy and decisions change by less than the margin.
    NoDependence,
    /// Shown, and counted nowhere.
    NotCounted,
    /// There is no gap or no p-value.
    Untested,
    /// A positive control that the test saw.
    Detected,
    /// A positive control that the test did not see.
    Missed,
    /// A positive control whose gap vanishes under a scheme that leaves part of quality in place.
    HeldBack,
    /// A control under which no decision changed: the rule does not react to quality.
    Unmoved,
    /// A negative control that raised no alarm.
    Quiet,
    /// A negative control that did.
    Alarm,
}

impl Reading {
    /// Every reading of a native condition, strongest first.
    pub const NATIVE: [Self; 11] = [
        Self::WithGain,
        Self::Dependence,
        Self::WithLoss,
        Self::EvidenceDerived,
        Self::InDoubt,
        Self::Harm,
        Self::CannotTell,
        Self::NotTestable,
        Self::WithinMargin,
        Self::NoDependence,
        Self::Untested,
    ];

    /// Two or three words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::WithGain => "dependence with gain",
            Self::Dependence => "dependence",
            Self::WithLoss => "dependence at a loss",
            Self::EvidenceDerived => "evidence-derived gap",
            Self::InDoubt => "p-value in doubt",
            Self::Harm => "interval below 0",
            Self::CannotTell => "cannot tell",
            Self::NotTestable => "not testable",
            Self::NotCounted => "not counted",
            Self::WithinMargin => "accuracy within the margin",
            Self::NoDependence => "no dependence",
            Self::Untested => "not tested",
            Self::Detected => "detected",
            Self::Missed => "not detected",
            Self::HeldBack => "gap vanishes",
            Self::Unmoved => "nothing changed",
            Self::Quiet => "quiet",
            Self::Alarm => "alarm",
        }
    }

    /// A sign that does not rely on colour.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::WithGain => "▲",
            Self::Dependence => "△",
            Self::WithLoss => "▽",
            Self::EvidenceDerived | Self::InDoubt => "◇",
            Self::Harm => "▼",
            Self::CannotTell => "?",
            Self::WithinMargin => "≈",
            Self::NoDependence => "=",
            Self::Untested | Self::NotTestable => "–",
            Self::NotCounted => "·",
            Self::Detected | Self::Quiet => "✓",
            Self::Missed => "✗",
            Self::HeldBack | Self::Unmoved => "○",
            Self::Alarm => "!",
        }
    }

    /// The class that colours it.
    pub const fn tone(self) -> &'static str {
        match self {
            Self::WithGain | Self::Dependence => "yes",
            Self::WithLoss | Self::EvidenceDerived | Self::InDoubt => "caution",
            Self::Harm | Self::Missed | Self::Alarm => "bad",
            Self::CannotTell
            | Self::NotTestable
            | Self::NotCounted
            | Self::Untested
            | Self::HeldBack
            | Self::Unmoved => "open",
            Self::WithinMargin | Self::NoDependence => "no",
            Self::Detected | Self::Quiet => "good",
        }
    }
}

/// A finding's reading with its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The reading.
    pub reading: Reading,
    /// True if the fused decision does better than the oracle.
    pub beats_oracle: bool,
    /// One or more full sentences.
    pub words: String,
}

/// True if the permutation test rejects at the stated level: for native conditions after
/// adjustment, where there is one.
pub fn significant(row: &FindingRow, settings: &Settings) -> bool {
    finite(row.deciding_p()).is_some_and(|p| p <= settings.alpha)
        && finite(row.gap).is_some_and(|gap| gap > 0.0)
}

/// True if no permutation changed a single decision, or prediction of a number.
pub fn unmoved(row: &FindingRow) -> bool {
    // A mean of equal numbers may be off by the last bits.
    let moved = match &row.metric {
        Some(metric) => metric.shift,
        None => row.flip_rate,
    };
    row.gap.is_some_and(|gap| gap.abs() <= 1e-12) && moved == Some(0.0)
}

/// Sign of the gain over working without quality: its interval lies above 0, below 0, or neither.
pub fn gain_sign(row: &FindingRow) -> Option<std::cmp::Ordering> {
    let (low, high) = (finite(row.gain_low)?, finite(row.gain_high)?);
    Some(if low > 0.0 {
        std::cmp::Ordering::Greater
    } else if high < 0.0 {
        std::cmp::Ordering::Less
    } else {
        std::cmp::Ordering::Equal
    })
}

/// True if other permutations could change the outcome of the test: the level lies within two
/// Monte-Carlo standard errors of its p-value.
pub fn could_turn(row: &FindingRow, settings: &Settings) -> bool {
    let (Some(p), Some(error), Some(deciding)) =
        (finite(row.p_value), finite(row.p_error), finite(row.deciding_p()))
    else {
        return false;
    };
    // Adjusting multiplies, so it multiplies the error as well.
    let factor = if p > 0.0 { deciding / p } else { 1.0 };
    let (low, high) = (factor * (p - 2.0 * error), factor * (p + 2.0 * error));
    error > 0.0 && deciding < 1.0 && (low..high).contains(&settings.alpha)
}

/// The permutation scheme of a row.
pub fn scheme<'a>(row: &'a FindingRow, settings: &'a Settings) -> &'a str {
    row.value_of("scheme").unwrap_or(&settings.scheme)
}

/// Control that a finding is read as. A positive control of strength 0 is noise and is read as a
/// negative one.
pub fn asks(row: &FindingRow) -> Control {
    match row.control {
        Control::Positive if numeric(row, "alpha") == Some(0.0) => Control::Negative,
        control => control,
    }
}

/// Reads one finding; the others are consulted for the same point under the conditional scheme.
pub fn verdict(row: &FindingRow, data: &ReportData) -> Verdict {
    let settings = &data.settings;
    let beats_oracle = matches!(
        (finite(row.ba_clean), finite(row.ba_oracle)),
        (Some(clean), Some(oracle)) if clean > oracle + 1e-12
    );
    let reading = read(row, settings);
    let mut words = words(row, reading, data);
    if beats_oracle && row.control == Control::Positive {
        words.push_str(
            " The fused decision beats the oracle: the control leaks the label, and the rule may \
             read more from it than which expert is right.",
        );
    } else if beats_oracle {
        words.push_str(
            " The fused decision beats the oracle, so the rule does more than choose between \
             experts.",
        );
    }
    Verdict { reading, beats_oracle, words }
}

pub(crate) fn read(row: &FindingRow, settings: &Settings) -> Reading {
    if !row.is_counted() {
        return Reading::NotCounted;
    }
    if row.control == Control::Native && row.not_testable.is_some() && !significant(row, settings) {
        return Reading::NotTestable;
    }
    if finite(row.gap).is_none() || finite(row.p_value.or(row.p_adjusted)).is_none() {
        return Reading::Untested;
    }
    match asks(row) {
        Control::Positive if unmoved(row) => Reading::Unmoved,
        Control::Positive if significant(row, settings) => Reading::Detected,
        Control::Positive if reads_labels(scheme(row, settings)) => Reading::HeldBack,
        Control::Positive => Reading::Missed,
        Control::Negative if unmoved(row) => Reading::Unmoved,
        // Unadjusted: an adjustment would make it easier for this check to pass.
        Control::Negative
            if row.p_value.or(row.p_adjusted).is_some_and(|p| p <= settings.alpha) =>
        {
            Reading::Alarm
        }
        Control::Negative => Reading::Quiet,
        Control::Native => read_native(row, settings),
    }
}

fn read_native(row: &FindingRow, settings: &Settings) -> Reading {
    if row.equivalent == Some(true) {
        return if decisions_stay(row, settings) {
            Reading::NoDependence
        } else {
            Reading::WithinMargin
        };
    }
    if significant(row, settings) {
        if row.evidence_derived && !scheme(row, settings).starts_with("conditional") {
            return Reading::EvidenceDerived;
        }
        if row.p_doubt.is_some() {
            return Reading::InDoubt;
        }
        return match gain_sign(row) {
            Some(std::cmp::Ordering::Greater) => Reading::WithGain,
            Some(std::cmp::Ordering::Less) => Reading::WithLoss,
            _ => Reading::Dependence,
        };
    }
    if finite(row.gap_high).is_some_and(|high| high < 0.0) {
        return Reading::Harm;
    }
    Reading::CannotTell
}

/// True if decisions, too, are shown to change by less than the margin, and nothing was found: the
/// p-value is that of this condition alone, so that the reading does not depend on how many others
/// there are.
fn decisions_stay(row: &FindingRow, settings: &Settings) -> bool {
    let below = |margin: f64| finite(row.flip_high).is_some_and(|high| high < margin);
    let found = finite(row.p_value).is_some_and(|p| p <= settings.alpha)
        || finite(row.gap_low).is_some_and(|low| low > 0.0);
    settings.equivalence_margin.is_some_and(below) && !found
}

fn words(row: &FindingRow, reading: Reading, data: &ReportData) -> String {
    let (settings, unit) = (&data.settings, Unit::of_report(data));
    let gap = unit.interval(row.gap, row.gap_low, row.gap_high);
    let tested = format!("{} {gap}, {}", unit.gap(), decided(row, data));
    let margin = settings
        .equivalence_margin
        .map_or_else(|| "the stated margin".to_owned(), |margin| format!("±{}", size_pp(margin)));
    let mut words = match reading {
        Reading::NotCounted => {
            let reason = row.not_counted.as_deref().unwrap_or("no condition of its own");
            format!("Counted in no family, headline or badge: {reason} ({tested}).")
        }
        Reading::NotTestable => {
            let reason = row.not_testable.as_deref().unwrap_or("quality does not move");
            format!("Not testable: {reason} ({tested}). A gap near 0 says nothing here.")
        }
        Reading::Untested
            if finite(row.gap).is_some() && scheme(row, settings) == "derangement" =>
        {
            format!(
                "An effect size, no test: the {} is {gap} where no example keeps its quality. \
                 Derangements give no valid p-value; the joint scheme does.",
                unit.gap()
            )
        }
        Reading::Untested => {
            "Not tested: the findings hold no gap or no p-value for this point.".to_owned()
        }
        Reading::WithGain | Reading::Dependence | Reading::WithLoss => format!(
            "{} depends on quality ({tested}).{}{}{}",
            capital(&unit.measure()),
            change_words(row, unit),
            conditional_note(row, settings),
            gain_words(row, settings, unit)
        ),
        Reading::EvidenceDerived => format!(
            "The {} ({gap}, {}) is not yet reliance on reliability: {} the evidence, so a \
             plain permutation makes pairs of evidence and quality that cannot occur. {}{}",
            unit.gap(),
            decided(row, data),
            told_by_evidence(row),
            conditional_words(row, data, unit),
            gain_words(row, settings, unit)
        ),
        Reading::InDoubt => format!(
            "The {} ({gap}, {}) is not shown to be dependence: {}.{}",
            unit.gap(),
            decided(row, data),
            row.p_doubt.as_deref().unwrap_or("the p-value may be too small"),
            change_words(row, unit)
        ),
        Reading::Harm => format!(
            "The interval lies below 0, as if quality did harm ({tested}); the one-sided test \
             does not test for this, and the interval is not adjusted for the number of \
             conditions."
        ),
        Reading::CannotTell => format!(
            "The data cannot tell ({tested}).{}{}",
            change_words(row, unit),
            power_words(row, settings, unit)
        ),
        Reading::WithinMargin => format!(
            "Accuracy changes by less than the margin: the bound{} lies within {margin} \
             ({tested}).{}",
            bound_words(row),
            change_words(row, unit)
        ),
        Reading::NoDependence => format!(
            "No dependence: accuracy changes by less than {margin}{} and fewer decisions than \
             that change ({tested}).{}",
            bound_words(row),
            change_words(row, unit)
        ),
        Reading::Detected => format!("The test detects this control ({tested})."),
        Reading::HeldBack => format!(
            "No gap is detected ({tested}) where {} keep their quality among themselves: the \
             control works through that, or is weak.",
            match scheme(row, settings) {
                "within_class" => "examples of one label",
                _ => "examples whose experts are right alike",
            }
        ),
        Reading::Missed => {
            format!(
                "The test does not detect this control ({tested}).{}",
                power_words(row, settings, unit)
            )
        }
        Reading::Unmoved => {
            let why = row.not_testable.as_ref().map_or_else(
                || "here the rule does not react to quality".to_owned(),
                |reason| reason.clone(),
            );
            format!("Not one {} changed under any permutation: {why}.", unit.answer())
        }
        Reading::Quiet => format!("Quiet, as it should be ({tested})."),
        Reading::Alarm => format!(
            "An alarm where there is nothing to find ({} {gap}, raw {}).",
            unit.gap(),
            p_value(row.p_value)
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

/// The p-value that decides, and whether it is adjusted, how, and over how many tests: the interval
/// beside it is not.
pub fn decided(row: &FindingRow, data: &ReportData) -> String {
    let adjusted = is_adjusted(row, &data.settings) && row.p_adjusted.is_some();
    if !adjusted || !row.is_counted() {
        return format!("raw {}", p_value(row.deciding_p()));
    }
    let how = match data.settings.adjust.as_str() {
        "holm" => "Holm",
        "benjamini_hochberg" => "Benjamini-Hochberg",
        other => other,
    };
    let tests = match family_size(row, data) {
        1 => "1 test".to_owned(),
        tests => format!("{tests} tests"),
    };
    format!("{how}-adjusted {} over {tests}", p_value(row.deciding_p()))
}

/// Number of tests that the p-value of a row was adjusted for: those of its family that are
/// counted.
pub fn family_size(row: &FindingRow, data: &ReportData) -> usize {
    let labels = |row: &FindingRow| -> Vec<Option<String>> {
        let axes = data.settings.families.iter();
        axes.map(|axis| row.value_of(axis).map(str::to_owned)).collect()
    };
    let reads = |row: &FindingRow| reads_labels(scheme(row, &data.settings));
    let is_same = |other: &&FindingRow| {
        other.control == row.control
            && other.p_adjusted.is_some()
            && other.is_counted()
            && reads(other) == reads(row)
            && labels(other) == labels(row)
    };
    data.findings.iter().filter(is_same).count()
}

/// True if the p-value that decides is one that was adjusted for others.
pub fn is_adjusted(row: &FindingRow, settings: &Settings) -> bool {
    row.control == Control::Native && settings.adjust != "none"
}

/// Sentence on the share of decisions that change, or on the shift of predictions.
fn change_words(row: &FindingRow, unit: Unit) -> String {
    let shift = row.metric.as_ref().and_then(|of| Some((of, finite(of.shift)?)));
    if let Some((of, shift)) = shift {
        let interval = match (of.shift_low, of.shift_high) {
            (Some(low), Some(high)) => format!(" [{}, {}]", unit.size(low), unit.size(high)),
            _ => String::new(),
        };
        let shift = unit.size(shift);
        return format!(" A permutation moves a prediction by {shift}{interval} on average.");
    }
    match (finite(row.flip_rate), finite(row.flip_low), finite(row.flip_high)) {
        (Some(rate), Some(low), Some(high)) => format!(
            " A permutation changes {} of decisions [{}, {}].",
            percent(Some(rate)),
            percent(Some(low)),
            percent(Some(high))
        ),
        _ => String::new(),
    }
}

/// The interval that a claim of equivalence rests on.
fn bound_words(row: &FindingRow) -> String {
    match (finite(row.bound_low), finite(row.bound_high)) {
        (low @ Some(_), high @ Some(_)) => format!(" [{}, {}]", points(low), points(high)),
        _ => String::new(),
    }
}

/// Words on the share of quality that the evidence explains, ending before "the evidence".
pub fn told_by_evidence(row: &FindingRow) -> String {
    let of = |(name, r2): &(String, Option<f64>)| Some((name.clone(), finite(*r2)?));
    let each = row.quality_from_evidence.iter().filter_map(of);
    match each.max_by(|one, other| one.1.total_cmp(&other.1)) {
        Some((name, r2)) => {
            format!("{} of the variance of this quality ({name}) follows from", percent(Some(r2)))
        }
        None => "this quality is computed from".to_owned(),
    }
}

/// The reason to doubt a p-value, in short.
pub fn doubt(row: &FindingRow) -> String {
    let reason = row.p_doubt.as_deref().unwrap_or_default();
    let (reason, _) = reason.split_once(':').unwrap_or((reason, ""));
    format!("{reason}, so that this p-value may be too small")
}

/// Note of a scheme that leaves what the evidence tells of quality in place, on a quality that the
/// evidence tells.
fn conditional_note(row: &FindingRow, settings: &Settings) -> &'static str {
    match scheme(row, settings) {
        "conditional" if row.evidence_derived => {
            " Quality was permuted among examples of like confidence only."
        }
        "conditional_residual" if row.evidence_derived => {
            " Only what the evidence does not tell of quality was permuted."
        }
        _ => "",
    }
}

fn gain_words(row: &FindingRow, settings: &Settings, unit: Unit) -> String {
    let Some(gain) = finite(row.gain()) else {
        return match settings.frozen || settings.loaded {
            true => {
                " The model was not asked without quality, so this does not say whether using it \
                 helps."
            }
            false => {
                " The rule was not refitted without quality, so this does not say whether using \
                 it helps."
            }
        }
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

/// Words on the effect that the test could have detected; empty where no permutation changes
/// what was measured.
fn power_words(row: &FindingRow, settings: &Settings, unit: Unit) -> String {
    let Some(critical) = finite(row.detectable_gap).filter(|gap| *gap > 1e-12) else {
        return String::new();
    };
    let before = if is_adjusted(row, settings) && row.p_adjusted.is_some() {
        // They are calculated from the null distribution of this row alone.
        " before adjustment"
    } else {
        ""
    };
    let power = finite(row.detectable_gap_80).map_or_else(String::new, |gap| {
        format!(", and a true gap of {} would be detected with 80\u{a0}% power", unit.size(gap))
    });
    format!(" The critical value{before} is {}{power}.", unit.size(critical))
}

fn conditional_words(row: &FindingRow, data: &ReportData, unit: Unit) -> String {
    let gap = |of: &FindingRow| unit.interval(of.gap, of.gap_low, of.gap_high);
    match conditional_partner(row, data) {
        None if unit != Unit::Points => {
            "The scheme conditional_residual leaves in place what the evidence tells.".to_owned()
        }
        None => {
            "A permutation under the conditional scheme, which was not run here, could tell more."
                .to_owned()
        }
        Some(partner) if significant(partner, &data.settings) => format!(
            "The gap stays when quality is permuted among examples of like confidence \
             (conditional: {}, {}).",
            gap(partner),
            decided(partner, data)
        ),
        Some(partner) => format!(
            "It is not detected when quality is permuted among examples of like confidence \
             (conditional: {}, {}).",
            gap(partner),
            decided(partner, data)
        ),
    }
}

/// The row at the same point but under the conditional scheme.
pub fn conditional_partner<'a>(row: &FindingRow, data: &'a ReportData) -> Option<&'a FindingRow> {
    row.value_of("scheme")?;
    let elsewhere = |point: &crate::data::Point| -> Vec<(String, String)> {
        point.iter().filter(|(axis, _)| axis != "scheme").cloned().collect()
    };
    let here = elsewhere(&row.point);
    data.findings.iter().find(|other| {
        other.value_of("scheme") == Some("conditional") && elsewhere(&other.point) == here
    })
}

#[cfg(test)]
mod tests;
