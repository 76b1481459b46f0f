//! Does the fused decision use quality? The answer of all findings together.

use crate::controls::{Check, Status, checks};
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{counted, listed, points_pp, size_pp};
use crate::verdict::{Reading, Verdict, verdict};

/// What the report says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One short sentence.
    pub headline: String,
    /// The class that colours it, as of a [`Reading`].
    pub tone: &'static str,
    /// What stands behind it: one full sentence a reading that occurs, then cautions.
    pub sentences: Vec<String>,
    /// How many native conditions have each reading that occurs, strongest first.
    pub counts: Vec<(Reading, usize)>,
    /// Do the controls say that the test works?
    pub checks: [Check; 2],
    /// One verdict a finding, in their order.
    pub verdicts: Vec<Verdict>,
}

/// Reads all findings.
pub fn answer(data: &ReportData) -> Answer {
    let verdicts: Vec<Verdict> = data.findings.iter().map(|row| verdict(row, data)).collect();
    let checks = checks(data, &verdicts);
    let native: Vec<(&FindingRow, Reading)> = data
        .findings
        .iter()
        .zip(&verdicts)
        .filter(|(row, _)| row.control == Control::Native)
        .map(|(row, verdict)| (row, verdict.reading))
        .collect();
    let counts: Vec<(Reading, usize)> = Reading::NATIVE
        .into_iter()
        .map(|reading| (reading, native.iter().filter(|(_, found)| *found == reading).count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    let (headline, tone) = headline(data, &counts, native.len());
    let mut sentences: Vec<String> =
        counts.iter().map(|(reading, count)| sentence(*reading, *count, &native, data)).collect();
    sentences.extend(cautions(&checks, &counts, data));
    Answer { headline, tone, sentences, counts, checks, verdicts }
}

fn headline(
    data: &ReportData,
    counts: &[(Reading, usize)],
    total: usize,
) -> (String, &'static str) {
    let of = |reading: Reading| {
        counts.iter().find(|(found, _)| *found == reading).map_or(0, |(_, count)| *count)
    };
    let depends = of(Reading::Dependence) + of(Reading::WithoutBenefit);
    let within = of(Reading::WithinMargin);
    let none = of(Reading::NoDependence) + within;
    let flagged = of(Reading::EvidenceDerived);
    let conditions = counted(total, "native condition");
    if data.settings.frozen {
        return match counts.first().map(|(reading, _)| *reading) {
            Some(Reading::Dependence) => ("Yes.".to_owned(), "yes"),
            Some(Reading::WithoutBenefit) => ("Yes, but without benefit.".to_owned(), "caution"),
            Some(Reading::Harm) => ("Quality seems to do harm.".to_owned(), "caution"),
            Some(Reading::WithinMargin) => ("Yes, but by less than the margin.".to_owned(), "no"),
            Some(Reading::NoDependence) => ("No.".to_owned(), "no"),
            Some(Reading::Untested) | None => ("Not testable.".to_owned(), "open"),
            _ => ("The data cannot tell.".to_owned(), "open"),
        };
    }
    if data.findings.is_empty() {
        ("There are no findings.".to_owned(), "open")
    } else if total == 0 {
        ("Only controls were run: no answer about a native quality.".to_owned(), "open")
    } else if of(Reading::Untested) == total {
        ("Not tested.".to_owned(), "open")
    } else if depends > 0 {
        let part = if depends == total {
            format!("in {}", every(total))
        } else {
            format!("in {depends} of {conditions}")
        };
        if of(Reading::Dependence) == 0 {
            (format!("Yes, {part}, but without benefit."), "caution")
        } else {
            (format!("Yes, {part}."), "yes")
        }
    } else if flagged > 0 {
        (
            "Not shown: the gaps found are of qualities computed from the evidence.".to_owned(),
            "caution",
        )
    } else if within == total {
        (format!("Yes, but by less than the margin, in {}.", every(total)), "no")
    } else if none == total && within > 0 {
        (format!("By no more than the margin, in {}.", every(total)), "no")
    } else if none == total {
        (format!("No, in {}.", every(total)), "no")
    } else if none > within {
        (format!("No, in {} of {conditions}; the others stay open.", none - within), "open")
    } else if within > 0 {
        (
            format!("By less than the margin in {within} of {conditions}; the others stay open."),
            "open",
        )
    } else {
        ("The data cannot tell.".to_owned(), "open")
    }
}

fn every(total: usize) -> String {
    match total {
        1 => "the one native condition".to_owned(),
        2 => "both native conditions".to_owned(),
        _ => format!("all {total} native conditions"),
    }
}

fn sentence(
    reading: Reading,
    count: usize,
    native: &[(&FindingRow, Reading)],
    data: &ReportData,
) -> String {
    let rows: Vec<&FindingRow> =
        native.iter().filter(|(_, found)| *found == reading).map(|(row, _)| *row).collect();
    let conditions = counted(count, "condition");
    let margin = data
        .settings
        .equivalence_margin
        .map_or_else(|| "the stated margin".to_owned(), |margin| format!("±{}", size_pp(margin)));
    match reading {
        Reading::Dependence => format!(
            "{conditions}: balanced accuracy falls by {} when quality is permuted{}.",
            range(&rows, |row| row.gap),
            if rows.iter().all(|row| row.gain().is_some()) {
                format!(
                    ", and lies {} above {}",
                    range(&rows, FindingRow::gain),
                    data.settings.reference()
                )
            } else {
                String::new()
            }
        ),
        Reading::WithoutBenefit => format!(
            "{conditions}: dependence without benefit. Permuting quality costs {}, yet {} does as well or better.",
            range(&rows, |row| row.gap),
            data.settings.reference()
        ),
        Reading::EvidenceDerived => format!(
            "{conditions}: a gap of {}, but of a quality computed from the evidence itself. A plain permutation makes \
             pairs of evidence and quality that cannot occur, so this is not yet reliance on reliability.",
            range(&rows, |row| row.gap)
        ),
        Reading::Harm => format!(
            "{conditions}: the interval lies below 0, as if quality did harm. The one-sided test does not test for \
             this, and the interval is not adjusted for the number of conditions."
        ),
        Reading::CannotTell => format!(
            "{conditions}: the data cannot tell. No gap was detected; {}{}.",
            if data.settings.equivalence_margin.is_some() {
                format!("the interval reaches beyond {margin}, so none is ruled out")
            } else {
                "no margin was stated, so its absence was not tested".to_owned()
            },
            if rows.iter().all(|row| row.detectable_gap.is_some()) {
                format!(
                    ". The smallest gap that could have been detected{} is {}",
                    if rows.iter().any(|row| row.p_adjusted.is_some()) {
                        " before adjustment"
                    } else {
                        ""
                    },
                    range(&rows, |row| row.detectable_gap)
                )
            } else {
                String::new()
            }
        ),
        Reading::WithinMargin => {
            format!("{conditions}: a gap was detected, but its interval lies within {margin}.")
        }
        Reading::NoDependence => {
            format!("{conditions}: no dependence. The gap's interval lies within {margin}.")
        }
        _ => format!("{conditions}: not tested."),
    }
}

/// "2.3 pp", or "1.2 to 4.1 pp" over several rows.
fn range(rows: &[&FindingRow], value: impl Fn(&FindingRow) -> Option<f64>) -> String {
    let values: Vec<f64> = rows.iter().filter_map(|row| value(row)).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let plain = |value: f64| points_pp(Some(value)).trim_start_matches('+').to_owned();
    let (low, high) = (plain(low), plain(high));
    if low == high { high } else { format!("{} to {high}", low.trim_end_matches("\u{a0}pp")) }
}

fn cautions(checks: &[Check; 2], counts: &[(Reading, usize)], data: &ReportData) -> Vec<String> {
    let [positive, negative] = checks;
    let mut cautions = Vec::new();
    let open = counts.iter().any(|(reading, _)| *reading == Reading::CannotTell);
    if positive.status == Status::Failed && open {
        cautions.push(
            "The positive control was not detected either: where nothing was found, the test may be unable to find \
             anything."
                .to_owned(),
        );
    }
    if negative.status == Status::Failed {
        cautions.push(
            "The negative control raised alarms: gaps may be found here where there are none."
                .to_owned(),
        );
    }
    if data.findings.iter().any(|row| out_of_reach(row, data.settings.alpha)) {
        cautions.push(
            "Too few permutations: even the smallest p-value that they allow stays above the level once it is adjusted. \
             Run more."
                .to_owned(),
        );
    }
    cautions.extend(one_class(&data.one_class));
    let unadjusted = data
        .findings
        .iter()
        .filter(|row| row.p_value.is_some() && row.p_adjusted.is_none())
        .count();
    if unadjusted > 1 {
        cautions.push(format!(
            "p-values are not adjusted for the number of tests: of {unadjusted}, about {:.0} would fall below {} by \
             chance alone.",
            (unadjusted as f64 * data.settings.alpha).max(1.0),
            data.settings.alpha
        ));
    }
    cautions
}

/// What it means that parts of the test hold one class only.
fn one_class(parts: &[(String, String)]) -> Option<String> {
    let named: Vec<String> =
        parts.iter().take(4).map(|(part, class)| format!("{part} ({class})")).collect();
    let which = match parts.len().saturating_sub(named.len()) {
        _ if parts.is_empty() => return None,
        0 => listed(&named),
        more => format!("{} and {more} more", named.join(", ")),
    };
    Some(format!(
        "The test examples are all of one class in {which}: permutations stay within such a part, so that quality stays with \
         its class there, and what a rule makes of quality that tells the class is not seen."
    ))
}

/// Whether no permutation did as well as Clean-Q, and yet the adjusted p-value does not reach the level.
fn out_of_reach(row: &FindingRow, alpha: f64) -> bool {
    let least = 1.0 / (row.n_permutations as f64 + 1.0);
    row.n_permutations > 0
        && row.p_value.is_some_and(|p| p <= least + 1e-12)
        && row.p_adjusted.is_some_and(|p| p > alpha)
}
