//! Decomposition of a gap: the joint scheme beside those that leave part of quality in place.

use crate::data::{Control, FindingRow, ReportData, Settings};
use crate::format::{finite, point_values};
use crate::numbers::Unit;
use crate::verdict::{scheme, significant, unmoved};

/// The schemes that say what a gap is made of, each with what a gap that vanishes under it works
/// through.
///
/// First the residuals: where nothing is left to exchange, the others say nothing of it.
const MECHANISMS: [(&str, &str); 3] = [
    (
        "conditional_residual",
        "In the evidence already: the gap vanishes when only what the evidence does not tell of \
         quality is exchanged (conditional_residual)",
    ),
    (
        "within_correct",
        "Works through which expert is right (reliability): the gap vanishes among examples whose \
         experts are right alike (within_correct)",
    ),
    (
        "within_class",
        "Works through the label itself (class cue): the gap vanishes among examples of one label \
         (within_class)",
    ),
];

/// The same in short: among which examples quality is exchanged, and what a gap that vanishes then
/// works through.
const IN_SHORT: [(&str, &str, &str); 3] = [
    (
        "conditional_residual",
        "with what the evidence tells of quality left in place",
        "it was in the evidence already",
    ),
    (
        "within_correct",
        "among examples whose experts are right alike",
        "it works through which expert is right",
    ),
    ("within_class", "among examples of one label", "it works through the label itself"),
];

/// State of a gap under another scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remains {
    /// It is shown to lie within the margin, or there was nothing to exchange.
    Nothing,
    /// It is not detected, and not shown to be none.
    Undetected,
    /// It is detected.
    Gap,
}

/// True if a scheme reads labels of the rows that are tested: its result is about a gap, and no
/// condition of the study.
pub fn reads_labels(scheme: &str) -> bool {
    ["within_class", "within_correct"].contains(&scheme)
}

/// Decomposition of the gap of one detected condition, in words; none where the schemes that would
/// tell were not run.
pub fn mechanism(row: &FindingRow, data: &ReportData, unit: Unit) -> Option<String> {
    let mut parts = Vec::new();
    let mut kept = Vec::new();
    for (name, among, works) in IN_SHORT {
        let Some(partner) = partner(row, name, data) else { continue };
        let gap = unit.difference_unit(partner.gap);
        let gap = gap.trim_start_matches('+');
        if explains(row, name, partner, data) {
            let open = match remains(partner, &data.settings) {
                Remains::Undetected => ", which is not shown to be none",
                _ => "",
            };
            parts.push(format!("{gap} {among}{open}: {works}"));
        } else if !(unmoved(partner) && name != "conditional_residual") {
            kept.push(format!("{gap} {among}"));
        }
    }
    match (parts.is_empty(), kept.is_empty()) {
        (false, _) => Some(format!("only {}", parts.join("; "))),
        (true, false) => {
            let verdict = match kept.len() {
                1 => "that alone does not explain it",
                _ => "none of these alone explains it",
            };
            Some(format!("still {}: {verdict}", kept.join(", ")))
        }
        (true, true) => None,
    }
}

/// True if a gap stays when only the part of quality that the evidence does not tell is exchanged,
/// or quality among examples of like confidence.
pub fn stays_given_evidence(row: &FindingRow, data: &ReportData) -> bool {
    let stays = |name| partner(row, name, data).is_some_and(|of| significant(of, &data.settings));
    stays("conditional_residual") || stays("conditional")
}

/// True if a gap vanishes under another scheme, in a way that explains it.
fn explains(row: &FindingRow, name: &str, partner: &FindingRow, data: &ReportData) -> bool {
    let is_residual = name == "conditional_residual";
    // Where no decision changes, examples may have had nothing to exchange: that says something of
    // residuals alone.
    let says = !unmoved(partner) || is_residual;
    let is_free = is_residual || !explained_by_evidence(row, data);
    says && is_free && remains(partner, &data.settings) != Remains::Gap
}

/// One sentence for each way in which detected gaps of some rows work, with the conditions and what
/// their gaps fall to; nothing where the schemes that would tell were not run.
pub fn made_of(data: &ReportData, is_asked: impl Fn(&FindingRow) -> bool) -> Vec<String> {
    let (settings, unit) = (&data.settings, Unit::of_report(data));
    let detected: Vec<&FindingRow> = data
        .findings
        .iter()
        .filter(|row| is_asked(row))
        .filter(|row| row.control != Control::Negative && scheme(row, settings) == "joint")
        .filter(|row| significant(row, settings))
        .collect();
    let mut explained = vec![false; detected.len()];
    let mut sentences = Vec::new();
    for (name, works) in MECHANISMS {
        let mut conditions = Vec::new();
        for (row, explained) in detected.iter().zip(&mut explained) {
            let Some(partner) = partner(row, name, data) else { continue };
            if !explains(row, name, partner, data) {
                continue;
            }
            *explained = true;
            let open = if remains(partner, settings) == Remains::Undetected {
                ", not shown to be none"
            } else {
                ""
            };
            conditions.push(format!(
                "{} ({} to {}{open})",
                point_values(&elsewhere(row)),
                unit.difference_unit(row.gap),
                unit.difference_unit(partner.gap)
            ));
        }
        if !conditions.is_empty() {
            sentences.push(format!("{works}: {}.", conditions.join(", ")));
        }
    }
    let kept = detected.iter().zip(&explained).filter_map(|(row, explained)| {
        let others: Vec<String> = MECHANISMS
            .iter()
            .filter_map(|(name, _)| Some((name, partner(row, name, data)?)))
            .map(|(name, partner)| format!("{name} {}", unit.difference_unit(partner.gap)))
            .collect();
        (!explained && !others.is_empty()).then(|| {
            let gap = unit.difference_unit(row.gap);
            format!("{} ({gap}; {})", point_values(&elsewhere(row)), others.join(", "))
        })
    });
    let kept: Vec<String> = kept.collect();
    if !kept.is_empty() {
        sentences.push(format!(
            "Not explained by one scheme alone, the gap stays under each that was run: {}.",
            kept.join(", ")
        ));
    }
    sentences
}

fn explained_by_evidence(row: &FindingRow, data: &ReportData) -> bool {
    partner(row, "conditional_residual", data)
        .is_some_and(|partner| remains(partner, &data.settings) == Remains::Nothing)
}

fn remains(row: &FindingRow, settings: &Settings) -> Remains {
    match (significant(row, settings), row.equivalent == Some(true) || unmoved(row)) {
        (true, _) => Remains::Gap,
        (false, true) => Remains::Nothing,
        (false, false) => Remains::Undetected,
    }
}

/// The point without its scheme.
fn elsewhere(row: &FindingRow) -> crate::data::Point {
    row.point.iter().filter(|(axis, _)| axis != "scheme").cloned().collect()
}

/// The row at the same point under another scheme, where it was tested.
fn partner<'a>(row: &FindingRow, name: &str, data: &'a ReportData) -> Option<&'a FindingRow> {
    let here = elsewhere(row);
    data.findings.iter().find(|other| {
        other.value_of("scheme") == Some(name)
            && finite(other.gap).is_some()
            && finite(other.p_value).is_some()
            && elsewhere(other) == here
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(quality: &str, scheme: &str, gap: f64, p: f64, equivalent: bool) -> FindingRow {
        FindingRow {
            point: [("quality", quality), ("scheme", scheme)]
                .map(|(axis, value)| (axis.to_owned(), value.to_owned()))
                .into(),
            gap: Some(gap),
            p_value: Some(p),
            equivalent: Some(equivalent),
            flip_rate: Some(0.1),
            ..FindingRow::default()
        }
    }

    fn said(findings: Vec<FindingRow>) -> Vec<String> {
        let said = made_of(&ReportData { findings, ..ReportData::default() }, |_| true);
        said.into_iter().map(|text| text.replace('\u{a0}', " ")).collect()
    }

    #[test]
    fn a_gap_is_made_of_what_it_vanishes_with() {
        let mut sentences = said(vec![
            row("aligned", "joint", 0.12, 0.001, false),
            row("aligned", "within_correct", 0.002, 0.4, true),
            row("aligned", "within_class", 0.11, 0.001, false),
            row("cue", "joint", 0.3, 0.001, false),
            row("cue", "within_correct", 0.28, 0.001, false),
            row("cue", "within_class", 0.01, 0.2, false),
            row("both", "joint", 0.2, 0.001, false),
            row("both", "within_correct", 0.1, 0.001, false),
            row("nothing", "joint", 0.001, 0.5, true),
            row("nothing", "within_class", 0.001, 0.5, true),
        ]);
        assert!(sentences[0].starts_with("Works through which expert is right (reliability)"));
        assert!(sentences[0].ends_with("(within_correct): aligned (+12.0 pp to +0.2 pp)."));
        assert!(sentences[1].starts_with("Works through the label itself (class cue)"));
        assert!(sentences[1].ends_with("cue (+30.0 pp to +1.0 pp, not shown to be none)."));
        assert!(sentences[2].starts_with("Not explained by one scheme alone"));
        assert!(sentences[2].ends_with("both (+20.0 pp; within_correct +10.0 pp)."));
        assert_eq!(sentences.drain(..).count(), 3);
    }

    #[test]
    fn what_was_in_the_evidence_is_neither_reliability_nor_a_cue() {
        let unmoved = FindingRow {
            flip_rate: Some(0.0),
            ..row("margin", "conditional_residual", 0.0, 1.0, false)
        };
        let sentences = said(vec![
            row("margin", "joint", 0.05, 0.001, false),
            row("margin", "within_correct", -0.01, 0.9, false),
            unmoved,
        ]);
        assert_eq!(sentences.len(), 1);
        assert!(sentences[0].starts_with("In the evidence already"), "{sentences:?}");
        assert!(sentences[0].ends_with("margin (+5.0 pp to 0 pp)."), "{sentences:?}");
    }

    #[test]
    fn nothing_is_said_where_only_the_joint_scheme_was_run() {
        assert_eq!(said(vec![row("snr", "joint", 0.12, 0.001, false)]), [""; 0]);
    }
}
