//! What one finding shows, and no more.
//!
//! **Invariant:** "no dependence" is only read where the whole interval lies within a stated margin; without
//! that, a test that found nothing leaves the question open.

use crate::arrange::numeric;
use crate::data::{Control, FindingRow, ReportData, Settings};
use crate::format::{finite, gap, p_value, points_pp, size_pp};

/// The reading of one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    /// Dependence, and better than the same rule refitted without quality (or never refitted).
    Dependence,
    /// Dependence, but no better than the same rule refitted without quality.
    WithoutBenefit,
    /// A gap of a quality that is a function of the evidence, under a permutation that ignores this.
    EvidenceDerived,
    /// The interval lies below 0, as if quality did harm.
    Harm,
    /// Nothing found, and too little data to say that there is nothing.
    CannotTell,
    /// Found, but the interval lies within the margin.
    WithinMargin,
    /// The interval lies within the margin.
    NoDependence,
    /// There is no gap or no p-value.
    Untested,
    /// A positive control that the test saw.
    Detected,
    /// A positive control that the test did not see.
    Missed,
    /// A control under which no decision changed: the rule does not react to quality.
    Unmoved,
    /// A negative control that raised no alarm.
    Quiet,
    /// A negative control that did.
    Alarm,
}

impl Reading {
    /// Every reading of a native condition, strongest first.
    pub const NATIVE: [Self; 8] = [
        Self::Dependence,
        Self::WithoutBenefit,
        Self::EvidenceDerived,
        Self::Harm,
        Self::CannotTell,
        Self::WithinMargin,
        Self::NoDependence,
        Self::Untested,
    ];

    /// Two or three words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Dependence => "dependence",
            Self::WithoutBenefit => "dependence without benefit",
            Self::EvidenceDerived => "evidence-derived gap",
            Self::Harm => "interval below 0",
            Self::CannotTell => "cannot tell",
            Self::WithinMargin => "dependence within the margin",
            Self::NoDependence => "no dependence",
            Self::Untested => "not tested",
            Self::Detected => "detected",
            Self::Missed => "not detected",
            Self::Unmoved => "no decision changed",
            Self::Quiet => "quiet",
            Self::Alarm => "alarm",
        }
    }

    /// A sign that does not rely on colour.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Dependence => "▲",
            Self::WithoutBenefit => "△",
            Self::EvidenceDerived => "◇",
            Self::Harm => "▼",
            Self::CannotTell => "?",
            Self::WithinMargin => "≈",
            Self::NoDependence => "=",
            Self::Untested => "–",
            Self::Detected | Self::Quiet => "✓",
            Self::Missed => "✗",
            Self::Unmoved => "○",
            Self::Alarm => "!",
        }
    }

    /// The class that colours it.
    pub const fn tone(self) -> &'static str {
        match self {
            Self::Dependence => "yes",
            Self::WithoutBenefit | Self::EvidenceDerived => "caution",
            Self::Harm | Self::Missed | Self::Alarm => "bad",
            Self::CannotTell | Self::Untested | Self::Unmoved => "open",
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
    /// Whether the fused decision does better than the oracle.
    pub beats_oracle: bool,
    /// One or more full sentences.
    pub words: String,
}

/// Whether the permutation test rejects at the stated level.
pub fn significant(row: &FindingRow, settings: &Settings) -> bool {
    finite(row.deciding_p()).is_some_and(|p| p <= settings.alpha)
        && finite(row.gap).is_some_and(|gap| gap > 0.0)
}

/// Whether no permutation changed a single decision.
pub fn unmoved(row: &FindingRow) -> bool {
    // A mean of equal numbers may be off by the last bits.
    row.gap.is_some_and(|gap| gap.abs() <= 1e-12) && row.flip_rate == Some(0.0)
}

/// The permutation scheme of a row.
pub fn scheme<'a>(row: &'a FindingRow, settings: &'a Settings) -> &'a str {
    row.value_of("scheme").unwrap_or(&settings.scheme)
}

/// What a finding asks. A positive control of strength 0 is noise: like a negative one it asks whether the test is quiet.
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
            " The fused decision beats the oracle: the control leaks the label, and the rule may read more \
             from it than which expert is right.",
        );
    } else if beats_oracle {
        words.push_str(
            " The fused decision beats the oracle, so the rule does more than choose between experts.",
        );
    }
    Verdict { reading, beats_oracle, words }
}

fn read(row: &FindingRow, settings: &Settings) -> Reading {
    if finite(row.gap).is_none() || finite(row.p_value.or(row.p_adjusted)).is_none() {
        return Reading::Untested;
    }
    match asks(row) {
        Control::Positive if unmoved(row) => Reading::Unmoved,
        Control::Positive if significant(row, settings) => Reading::Detected,
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
    match (significant(row, settings), row.equivalent == Some(true)) {
        (true, true) => Reading::WithinMargin,
        (false, true) => Reading::NoDependence,
        (true, false) if row.evidence_derived && scheme(row, settings) != "conditional" => {
            Reading::EvidenceDerived
        }
        (true, false) if finite(row.gain()).is_some_and(|gain| gain <= 0.0) => {
            Reading::WithoutBenefit
        }
        (true, false) => Reading::Dependence,
        (false, false) if finite(row.gap_high).is_some_and(|high| high < 0.0) => Reading::Harm,
        (false, false) => Reading::CannotTell,
    }
}

fn words(row: &FindingRow, reading: Reading, data: &ReportData) -> String {
    let settings = &data.settings;
    let tested = format!("gap {}, {}", gap(row), decided(row));
    let margin = settings
        .equivalence_margin
        .map_or_else(|| "the stated margin".to_owned(), |margin| format!("±{}", size_pp(margin)));
    match reading {
        Reading::Untested => {
            "Not tested: the findings hold no gap or no p-value for this point.".to_owned()
        }
        Reading::Dependence => format!(
            "The decision depends on quality ({tested}).{}{}",
            conditional_note(row, settings),
            gain_words(row, settings)
        ),
        Reading::WithoutBenefit => format!(
            "Dependence without benefit: permuting quality costs accuracy ({tested}), yet {} is no worse ({} against \
             it).{}",
            settings.reference(),
            points_pp(row.gain()),
            conditional_note(row, settings)
        ),
        Reading::EvidenceDerived => format!(
            "The gap ({}, {}) is not yet reliance on reliability: this quality is computed from the evidence, so a \
             plain permutation makes pairs of evidence and quality that cannot occur. {}{}",
            gap(row),
            decided(row),
            conditional_words(row, data),
            finite(row.gain()).map_or_else(String::new, |gain| {
                format!(" Against {}: {}.", settings.reference(), points_pp(Some(gain)))
            })
        ),
        Reading::Harm => format!(
            "The interval lies below 0, as if quality did harm ({tested}); the one-sided test does not test for \
             this, and the interval is not adjusted for the number of conditions."
        ),
        Reading::CannotTell => format!("The data cannot tell ({tested}).{}", power_words(row)),
        Reading::WithinMargin => format!(
            "The decision depends on quality, but by less than the margin: the interval lies within {margin} ({tested})."
        ),
        Reading::NoDependence if unmoved(row) => {
            format!("No dependence: not one decision changed under any permutation ({tested}).")
        }
        Reading::NoDependence => {
            format!("No dependence: the interval lies within {margin} ({tested}).")
        }
        Reading::Detected => format!("The test detects this control ({tested})."),
        Reading::Missed => {
            format!("The test does not detect this control ({tested}).{}", power_words(row))
        }
        Reading::Unmoved => {
            "Not one decision changed under any permutation: here the rule does not react to quality.".to_owned()
        }
        Reading::Quiet => format!("Quiet, as it should be ({tested})."),
        Reading::Alarm => format!(
            "An alarm where there is nothing to find (gap {}, {} before adjustment).",
            gap(row),
            p_value(row.p_value)
        ),
    }
}

/// The p-value that decides, and whether it is an adjusted one: the interval beside it is not.
fn decided(row: &FindingRow) -> String {
    let kind = if row.p_adjusted.is_some() { "adjusted " } else { "" };
    format!("{kind}{}", p_value(row.deciding_p()))
}

/// What the conditional scheme adds to the reading of an evidence-derived quality.
fn conditional_note(row: &FindingRow, settings: &Settings) -> &'static str {
    if row.evidence_derived && scheme(row, settings) == "conditional" {
        " Quality was permuted among examples of like confidence only."
    } else {
        ""
    }
}

fn gain_words(row: &FindingRow, settings: &Settings) -> String {
    match finite(row.gain()) {
        None => " The rule was not refitted without quality, so this does not say whether using it helps.".to_owned(),
        Some(gain) => {
            let within = settings.equivalence_margin.is_some_and(|margin| gain < margin);
            format!(
                " It gains {} over {}{}.",
                points_pp(Some(gain)),
                settings.reference(),
                if within {
                    ", less than the margin; the gain has no interval"
                } else {
                    "; the gain has no interval"
                }
            )
        }
    }
}

fn power_words(row: &FindingRow) -> String {
    finite(row.detectable_gap).map_or_else(String::new, |gap| {
        format!(
            " The smallest gap that this test could have detected{} is {}.",
            // It is calculated from the null distribution of this row alone.
            if row.p_adjusted.is_some() { " before adjustment" } else { "" },
            size_pp(gap)
        )
    })
}

fn conditional_words(row: &FindingRow, data: &ReportData) -> String {
    match conditional_partner(row, data) {
        None => {
            "A permutation under the conditional scheme, which was not run here, could tell more."
                .to_owned()
        }
        Some(partner) if significant(partner, &data.settings) => format!(
            "The gap stays when quality is permuted among examples of like confidence (conditional: {}, {}).",
            gap(partner),
            decided(partner)
        ),
        Some(partner) => format!(
            "It is not detected when quality is permuted among examples of like confidence (conditional: {}, {}).",
            gap(partner),
            decided(partner)
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
