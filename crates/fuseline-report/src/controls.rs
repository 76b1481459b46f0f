//! Do the controls say that the test works?

use crate::arrange::numeric;
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{counted, listed, point_values};
use crate::verdict::{Reading, Verdict, asks};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Passed,
    /// To be kept in mind.
    Caution,
    /// The findings below it are in doubt.
    Failed,
    /// The control was not run.
    Absent,
}

impl Status {
    /// The word, which is also the class that colours it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Caution => "caution",
            Self::Failed => "failed",
            Self::Absent => "absent",
        }
    }
}

/// One check of the test itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The question.
    pub title: &'static str,
    /// How it came out.
    pub status: Status,
    /// The answer in full sentences.
    pub words: String,
}

/// The checks, positive control first. `verdicts` are those of the findings, in their order.
pub fn checks(data: &ReportData, verdicts: &[Verdict]) -> [Check; 2] {
    let of = |control: Control| -> Vec<(&FindingRow, &Verdict)> {
        data.findings.iter().zip(verdicts).filter(|(row, _)| asks(row) == control).collect()
    };
    [positive(&of(Control::Positive)), negative(&of(Control::Negative), data.settings.alpha)]
}

type Rows<'a> = [(&'a FindingRow, &'a Verdict)];

fn count(rows: &Rows, reading: Reading) -> usize {
    rows.iter().filter(|(_, verdict)| verdict.reading == reading).count()
}

/// Names the points with a reading, but never a crowd of them.
fn named(rows: &Rows, wanted: impl Fn(&Verdict) -> bool) -> String {
    let mut names: Vec<String> =
        rows.iter().filter(|(_, v)| wanted(v)).map(|(row, _)| point_values(&row.point)).collect();
    if names.len() > 6 {
        let more = names.len() - 5;
        names.truncate(5);
        names.push(format!("{more} more"));
    }
    listed(&names)
}

/// The axes that give the strength of a positive control.
const STRENGTH: [&str; 2] = ["alpha", "strength"];

/// Of a control at several strengths, the rows at the strongest and its name: a weak one may well go unseen.
fn strongest<'a>(rows: &Rows<'a>) -> (Vec<(&'a FindingRow, &'a Verdict)>, Option<String>) {
    let axis = STRENGTH.into_iter().find(|axis| {
        rows.iter().all(|(row, _)| numeric(row, axis).is_some())
            && rows.iter().any(|(row, _)| {
                numeric(row, axis) != rows.first().and_then(|(first, _)| numeric(first, axis))
            })
    });
    let Some(axis) = axis else { return (rows.to_vec(), None) };
    let most =
        rows.iter().filter_map(|(row, _)| numeric(row, axis)).fold(f64::NEG_INFINITY, f64::max);
    let kept: Vec<_> =
        rows.iter().filter(|(row, _)| numeric(row, axis) == Some(most)).copied().collect();
    let label = kept.first().and_then(|(row, _)| row.value_of(axis)).unwrap_or_default();
    let label = format!("{axis} {label}");
    (kept, Some(label))
}

fn positive(rows: &Rows) -> Check {
    let title = "Positive control: is quality seen where it matters?";
    if rows.is_empty() {
        let words =
            "No positive control was run. Where nothing is found below, this test is not known to \
                     find anything."
                .to_owned();
        return Check { title, status: Status::Absent, words };
    }
    let (rows, strength) = strongest(rows);
    let rows = rows.as_slice();
    let (detected, missed) = (count(rows, Reading::Detected), count(rows, Reading::Missed));
    let (unmoved, leaks) =
        (count(rows, Reading::Unmoved), rows.iter().filter(|(_, v)| v.beats_oracle).count());
    let tried = detected + missed;
    let mut words = match (detected, missed) {
        (0, 0) => {
            "The positive control moved no decision, so the test is not known to find anything."
                .to_owned()
        }
        (0, 1) => "Not detected in the one condition that reacts to quality.".to_owned(),
        (0, _) => format!("Not detected in any of the {missed} conditions that react to quality."),
        (_, 0) => format!("Detected in {}.", all_of(tried)),
        _ => format!(
            "Detected in {detected} of {}; missed by {}.",
            counted(tried, "condition"),
            named(rows, |v| v.reading == Reading::Missed)
        ),
    };
    if let Some(strength) = strength {
        words =
            format!("At its strongest ({strength}): {}{}", words[..1].to_lowercase(), &words[1..]);
    }
    if unmoved > 0 && tried > 0 {
        words.push_str(&format!(
            " Not one decision changed for {}: {} to quality.",
            named(rows, |v| v.reading == Reading::Unmoved),
            if unmoved == 1 { "it does not react" } else { "these do not react" }
        ));
    }
    if leaks > 0 {
        words.push_str(&format!(
            " The control leaks the label: {} {} the oracle, which shows more than a choice between experts.",
            named(rows, |v| v.beats_oracle),
            if leaks == 1 { "beats" } else { "beat" }
        ));
    }
    let status = match (detected, missed, leaks) {
        (0, ..) => Status::Failed,
        (_, 0, 0) => Status::Passed,
        _ => Status::Caution,
    };
    Check { title, status, words }
}

fn negative(rows: &Rows, alpha: f64) -> Check {
    let title = "Negative control: is the test quiet where there is nothing?";
    if rows.is_empty() {
        let words =
            "No negative control was run, so the rate of false alarms is not checked.".to_owned();
        return Check { title, status: Status::Absent, words };
    }
    let (quiet, alarms) = (count(rows, Reading::Quiet), count(rows, Reading::Alarm));
    let unmoved = count(rows, Reading::Unmoved);
    let tried = quiet + alarms;
    let mut words = match (quiet, alarms) {
        (0, 0) => {
            "The negative controls moved no decision, so they could not have raised an alarm."
                .to_owned()
        }
        (_, 0) => format!("Quiet in {}.", all_of(tried)),
        _ => format!(
            "{} in {}: {}.",
            if alarms == 1 { "An alarm".to_owned() } else { format!("{alarms} alarms") },
            counted(tried, "condition"),
            named(rows, |v| v.reading == Reading::Alarm)
        ),
    };
    // Upward, so that a single alarm among a few conditions does not count as a failure.
    let by_chance = alpha * tried as f64;
    let expected = format!("{by_chance:.2}");
    let expected = expected.trim_end_matches('0').trim_end_matches('.');
    let status = if tried == 0 {
        Status::Caution
    } else if alarms == 0 {
        Status::Passed
    } else if alarms <= by_chance.ceil() as usize {
        words.push_str(&format!(
            " Chance alone gives {expected} on average at this level, so this may well be chance."
        ));
        Status::Caution
    } else {
        // They are not independent: a draw of noise is the same for every rule.
        words.push_str(&format!(
            " Chance alone gives {expected} on average at this level. Controls that share a draw of noise raise alarms \
             together, so these may be one event and not several: vary the seed, and until then read every gap below \
             with caution."
        ));
        Status::Failed
    };
    if unmoved > 0 && tried > 0 {
        words.push_str(&format!(
            " In {} no decision changed, so no alarm was possible.",
            counted(unmoved, "further condition")
        ));
    }
    Check { title, status, words }
}

fn all_of(count: usize) -> String {
    match count {
        1 => "the one condition that reacts to quality".to_owned(),
        2 => "both conditions that react to quality".to_owned(),
        _ => format!("all {count} conditions that react to quality"),
    }
}
