//! Do the controls say that the test works?

use fuseline_stats::binomial::at_least;

use crate::arrange::numeric;
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{counted, listed, percent, point_values};
use crate::numbers::Unit;
use crate::uses::{is_joint, joint_is_there};
use crate::verdict::{Reading, Verdict, asks};

/// Outcome of a check.
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
    /// Outcome.
    pub status: Status,
    /// The answer in full sentences.
    pub words: String,
}

/// The checks, positive control first. `verdicts` are those of the findings, in their order.
pub fn checks(data: &ReportData, verdicts: &[Verdict]) -> [Check; 2] {
    let of = |control: Control| -> Vec<(&FindingRow, &Verdict)> {
        let rows = data.findings.iter().zip(verdicts).filter(|(row, _)| row.is_counted());
        rows.filter(|(row, _)| asks(row) == control).collect()
    };
    let what = Unit::of_report(data).answer();
    // Schemes that leave part of quality in place say what a control works through.
    let mut seen = of(Control::Positive);
    seen.retain(|(row, _)| is_joint(row, data) || !joint_is_there(row, data));
    [positive(&seen, what), negative(&of(Control::Negative), data.settings.alpha, what)]
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

/// Of a control at several strengths, the rows at the strongest and its name: a weak one may well
/// go unseen.
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

/// `what`: a decision or a prediction.
fn positive(rows: &Rows, what: &str) -> Check {
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
        (0, 0) => format!(
            "The positive control moved no {what}, so the test is not known to find anything."
        ),
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
            " Not one {what} changed for {}: {} to quality.",
            named(rows, |v| v.reading == Reading::Unmoved),
            if unmoved == 1 { "it does not react" } else { "these do not react" }
        ));
    }
    if leaks > 0 {
        words.push_str(&format!(
            " The control leaks the label: {} {} the oracle, which shows more than a choice \
             between experts.",
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

fn negative(rows: &Rows, alpha: f64, what: &str) -> Check {
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
            format!("The negative control moved no {what}, so it could not have raised an alarm.")
        }
        (_, 0) => format!("Quiet in {}.", all_of(tried)),
        (0, 1) => format!("An alarm in {}.", all_of(tried)),
        _ => format!(
            "Alarms in {alarms} of {}: {}.",
            counted(tried, "condition"),
            named(rows, |v| v.reading == Reading::Alarm)
        ),
    };
    let draws = Draws::count(rows, alpha);
    let status = match (tried, alarms) {
        (0, _) => Status::Caution,
        (_, 0) => Status::Passed,
        _ => {
            words.push_str(&draws.words());
            draws.status()
        }
    };
    if unmoved > 0 && tried > 0 {
        words.push_str(&format!(
            " In {} no {what} changed, so no alarm was possible.",
            counted(unmoved, "further condition")
        ));
    }
    Check { title, status, words }
}

/// Tail probability at which a number of alarms is kept in mind, and at which it puts the findings
/// in doubt.
const UNUSUAL: f64 = 0.05;
const DOUBTFUL: f64 = 0.01;

/// Distinct draws of noise, each one test: conditions of one draw raise alarms together.
struct Draws {
    count: usize,
    /// Those whose smallest p-value, times the number of conditions of the draw, is at most the
    /// level.
    alarms: usize,
    /// Chance of as many alarms or more from a calibrated test.
    tail: f64,
}

impl Draws {
    fn count(rows: &Rows, alpha: f64) -> Self {
        let tried = rows
            .iter()
            .filter(|(_, verdict)| matches!(verdict.reading, Reading::Quiet | Reading::Alarm));
        // The minimal hashes of a draw's qualities, with the smallest p-value and the number of its
        // conditions.
        let mut draws: Vec<(Vec<&str>, f64, usize)> = Vec::new();
        for (row, _) in tried {
            let hashes: Vec<&str> =
                row.quality_sketch.iter().flat_map(|sketch| sketch.split(' ')).collect();
            let p = row.p_value.or(row.p_adjusted).unwrap_or(1.0);
            let same =
                draws.iter_mut().find(|(known, ..)| hashes.iter().any(|h| known.contains(h)));
            match same {
                Some((known, least, conditions)) => {
                    known.extend(hashes);
                    *least = least.min(p);
                    *conditions += 1;
                }
                None => draws.push((hashes, p, 1)),
            }
        }
        let alarms = draws.iter().filter(|(_, p, of)| p * *of as f64 <= alpha).count();
        let tail = at_least(alarms as u64, draws.len() as u64, alpha);
        Self { count: draws.len(), alarms, tail }
    }

    fn status(&self) -> Status {
        match self.tail {
            tail if tail <= DOUBTFUL => Status::Failed,
            tail if tail <= UNUSUAL => Status::Caution,
            _ => Status::Passed,
        }
    }

    fn words(&self) -> String {
        let Self { count, alarms, tail } = self;
        let draws = match count {
            1 => "The controls are one draw of noise".to_owned(),
            count => format!("The controls are {count} distinct draws of noise"),
        };
        let adjusted = match (count, alarms) {
            (1, 0) => ", which raises no alarm".to_owned(),
            (1, _) => ", which raises an alarm".to_owned(),
            (_, 0) => ", of which none raises an alarm".to_owned(),
            (_, 1) => ", of which 1 raises an alarm".to_owned(),
            (_, alarms) => format!(", of which {alarms} raise an alarm"),
        };
        let expected = match alarms {
            0 => String::new(),
            _ => format!(
                ": a calibrated test gives as many or more in {} of studies",
                percent(Some(*tail))
            ),
        };
        format!(
            " {draws}{adjusted} once p-values are adjusted for the conditions that share \
             {}{expected}.",
            if *count == 1 { "it" } else { "a draw" }
        ) + match self.status() {
            Status::Failed => " Read every gap below with caution, and vary the seed.",
            Status::Caution => " That is unusual: vary the seed.",
            _ => "",
        }
    }
}

fn all_of(count: usize) -> String {
    match count {
        1 => "the one condition that reacts to quality".to_owned(),
        2 => "both conditions that react to quality".to_owned(),
        _ => format!("all {count} conditions that react to quality"),
    }
}
