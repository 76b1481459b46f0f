//! Does the fused decision use quality? The answer of all findings together.

use crate::controls::{Check, Status, checks};
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{counted, finite, listed, percent, point_values, points, points_pp, size_pp};
use crate::made_of::{made_of, reads_labels};
use crate::numbers::Unit;
use crate::uses::{Use, terms, uses};
use crate::verdict::{Reading, Verdict, could_turn, gain_sign, is_adjusted, scheme, verdict};

/// Opening answer of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// One short sentence.
    pub headline: String,
    /// The class that colours it, as of a [`Reading`].
    pub tone: &'static str,
    /// The rules that use a quality, the largest gap first.
    pub uses: Vec<Use>,
    /// The tests, and the meaning of the words.
    pub terms: String,
    /// Evidence for it: one full sentence a reading that occurs, then cautions.
    pub sentences: Vec<String>,
    /// Number of native conditions with each reading that occurs, strongest first.
    pub counts: Vec<(Reading, usize)>,
    /// Do the controls say that the test works?
    pub checks: [Check; 2],
    /// One verdict a finding, in their order.
    pub verdicts: Vec<Verdict>,
}

/// Native conditions that are counted, with their readings.
pub(crate) fn native_readings<'d>(
    data: &'d ReportData,
    verdicts: &[Verdict],
) -> Vec<(&'d FindingRow, Reading)> {
    data.findings
        .iter()
        .zip(verdicts)
        .filter(|(row, _)| row.control == Control::Native && row.is_counted())
        // A control that reads labels of test rows says what a gap is made of, and is no condition.
        .filter(|(row, _)| !reads_labels(scheme(row, &data.settings)))
        .map(|(row, verdict)| (row, verdict.reading))
        .collect()
}

/// Number of conditions of each reading that occurs.
pub(crate) fn count_readings(native: &[(&FindingRow, Reading)]) -> Vec<(Reading, usize)> {
    Reading::NATIVE
        .into_iter()
        .map(|reading| (reading, native.iter().filter(|(_, found)| *found == reading).count()))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Reads all findings.
pub fn answer(data: &ReportData) -> Answer {
    if let Some(metric) = data.settings.metric {
        return crate::numbers::answer(data, metric);
    }
    let verdicts: Vec<Verdict> = data.findings.iter().map(|row| verdict(row, data)).collect();
    let checks = checks(data, &verdicts);
    let native = native_readings(data, &verdicts);
    let counts = count_readings(&native);
    let (headline, tone) = headline(data, &counts, native.len());
    let uses = uses(data, &verdicts);
    // A rule with a sentence of its own needs none among others.
    let each = uses.iter().filter(|of| !of.is_group);
    let each: Vec<usize> = each.filter_map(|of| of.finding).collect();
    let is_told = |row: &FindingRow| each.iter().any(|&place| data.findings[place] == *row);
    let all_told = |reading: Reading| {
        let mut rows = native.iter().filter(|(_, found)| *found == reading);
        reading != Reading::EvidenceDerived && rows.all(|(row, _)| is_told(row))
    };
    let mut sentences: Vec<String> = counts
        .iter()
        .filter(|(reading, _)| !all_told(*reading))
        .map(|(reading, count)| sentence(*reading, *count, &native, data))
        .collect();
    sentences.extend(decisions(&native));
    sentences.extend(gains(&native, data));
    sentences.extend(made_of(data, |row| !is_told(row)));
    sentences.extend(not_counted(data));
    sentences.extend(cautions(&checks, &counts, &native, data));
    let terms = terms(data, native.len());
    Answer { headline, tone, uses, terms, sentences, counts, checks, verdicts }
}

/// Headline where gaps were found whose tests may reject too often.
pub(crate) const DOUBTED: &str = "Not shown: the p-value of every gap found may be too small.";

fn headline(
    data: &ReportData,
    counts: &[(Reading, usize)],
    total: usize,
) -> (String, &'static str) {
    let of = |reading: Reading| {
        counts.iter().find(|(found, _)| *found == reading).map_or(0, |(_, count)| *count)
    };
    let gains = of(Reading::WithGain);
    let depends = gains + of(Reading::Dependence) + of(Reading::WithLoss);
    let within = of(Reading::WithinMargin);
    let none = of(Reading::NoDependence) + within;
    let flagged = of(Reading::EvidenceDerived);
    let doubted = of(Reading::InDoubt);
    let conditions = counted(total, "native condition");
    if data.settings.frozen {
        return match counts.first().map(|(reading, _)| *reading) {
            Some(Reading::WithGain) => ("Yes, with a gain.".to_owned(), "yes"),
            Some(Reading::Dependence) => ("Yes; a gain is not shown.".to_owned(), "yes"),
            Some(Reading::WithLoss) => ("Yes, but at a loss.".to_owned(), "caution"),
            Some(Reading::InDoubt) => (DOUBTED.to_owned(), "caution"),
            Some(Reading::Harm) => ("Quality seems to do harm.".to_owned(), "caution"),
            Some(Reading::WithinMargin) => {
                ("Decisions may change, accuracy by less than the margin.".to_owned(), "no")
            }
            Some(Reading::NoDependence) => ("No.".to_owned(), "no"),
            Some(Reading::Untested) if data.settings.scheme == "derangement" => {
                ("An effect size, no test.".to_owned(), "open")
            }
            Some(Reading::NotTestable | Reading::Untested) | None => {
                let reason = data.findings.iter().find_map(|row| row.not_testable.as_deref());
                let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                (format!("Not testable{reason}."), "open")
            }
            _ => ("The data cannot tell.".to_owned(), "open"),
        };
    }
    if data.findings.is_empty() {
        ("There are no findings.".to_owned(), "open")
    } else if total == 0 && data.findings.iter().any(|row| row.control == Control::Native) {
        ("Not testable: no rule that was run reads quality.".to_owned(), "open")
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
        let gain = match gains {
            _ if native_without_interval(data) => "no interval of the gain was measured".to_owned(),
            0 => format!("a gain over {} is shown in none", data.settings.reference()),
            gains => format!("a gain over {} is shown in {gains}", data.settings.reference()),
        };
        (
            format!("Yes, {part}: accuracy falls when quality is permuted; {gain}."),
            if gains == 0 && of(Reading::Dependence) == 0 { "caution" } else { "yes" },
        )
    } else if flagged > 0 {
        (
            "Not shown: the gaps found are of qualities that follow from the evidence, at least in \
             part."
                .to_owned(),
            "caution",
        )
    } else if doubted > 0 {
        (DOUBTED.to_owned(), "caution")
    } else if of(Reading::NotTestable) == total {
        (format!("Not testable, in {}.", every(total)), "open")
    } else if none == total && within > 0 {
        (format!("Accuracy by less than the margin, in {}.", every(total)), "no")
    } else if none == total {
        (format!("No, in {}.", every(total)), "no")
    } else if none > within {
        (format!("No, in {} of {conditions}; the others stay open.", none - within), "open")
    } else if within > 0 {
        (
            format!(
                "Accuracy by less than the margin in {within} of {conditions}; the others stay \
                 open."
            ),
            "open",
        )
    } else if native_decisions_change(data) {
        (
            "The data cannot tell whether accuracy depends on quality; decisions change."
                .to_owned(),
            "open",
        )
    } else {
        ("The data cannot tell.".to_owned(), "open")
    }
}

/// True if a permutation changes a decision in any native condition that is counted.
fn native_decisions_change(data: &ReportData) -> bool {
    let native = |row: &&FindingRow| row.control == Control::Native && row.is_counted();
    data.findings.iter().filter(native).any(|row| row.flip_rate.is_some_and(|rate| rate > 0.0))
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
    let conditions = format!("{}{}", counted(count, "condition"), named(&rows, native.len()));
    let margin = data
        .settings
        .equivalence_margin
        .map_or_else(|| "the stated margin".to_owned(), |margin| format!("±{}", size_pp(margin)));
    match reading {
        Reading::WithGain | Reading::Dependence | Reading::WithLoss => format!(
            "{conditions}: balanced accuracy falls by {} when quality is permuted{}.",
            range(&rows, |row| row.gap),
            match reading {
                _ if rows.iter().any(|row| row.gain().is_none()) => String::new(),
                Reading::WithGain => format!(
                    ", and lies {} above {}, the interval above 0",
                    range(&rows, FindingRow::gain),
                    data.settings.reference()
                ),
                Reading::WithLoss => format!(
                    ", yet {} does better by {}, the interval of the gain below 0",
                    data.settings.reference(),
                    range(&rows, |row| row.gain().map(|gain| -gain))
                ),
                _ => format!(
                    "; against {} it is {}, {}",
                    data.settings.reference(),
                    signed_range(&rows, FindingRow::gain),
                    if rows.iter().all(|row| gain_sign(row).is_some()) {
                        "which is not told from 0"
                    } else {
                        "without an interval"
                    }
                ),
            }
        ),
        Reading::EvidenceDerived => format!(
            "{conditions}: a gap of {}, but of a quality that follows from the evidence, at least \
             in part. A plain permutation makes pairs of evidence and quality that cannot occur, \
             so this is not yet reliance on reliability.",
            range(&rows, |row| row.gap)
        ),
        Reading::InDoubt => format!(
            "{conditions}: a gap of {}, but a p-value that may be too small. {}",
            range(&rows, |row| row.gap),
            reasons(rows.iter().filter_map(|row| row.p_doubt.as_deref()))
        ),
        Reading::Harm => format!(
            "{conditions}: the interval lies below 0, as if quality did harm. The one-sided test \
             does not test for this, and the interval is not adjusted for the number of \
             conditions."
        ),
        Reading::CannotTell => format!(
            "{conditions}: the data cannot tell. No gap {}; {}{}.",
            if rows.iter().any(|row| is_adjusted(row, &data.settings)) {
                "passes the level once p-values are adjusted"
            } else {
                "passes the level"
            },
            if data.settings.equivalence_margin.is_some() {
                format!("gaps beyond {margin} are not ruled out")
            } else {
                "no margin was stated, so the absence of a gap was not tested".to_owned()
            },
            critical_range(&rows, data)
        ),
        Reading::NotTestable => format!(
            "{conditions}: not testable. {}",
            reasons(rows.iter().filter_map(|row| row.not_testable.as_deref()))
        ),
        Reading::WithinMargin => format!(
            "{conditions}: accuracy changes by less than {margin}, while decisions change or a \
             gap was detected."
        ),
        Reading::NoDependence => format!(
            "{conditions}: no dependence. Accuracy changes by less than {margin}, and fewer \
             decisions than that change."
        ),
        _ if rows.iter().all(|row| scheme(row, &data.settings) == "derangement") => format!(
            "{conditions}: an effect size without a p-value, a gap of {} where no example keeps \
             its quality. The joint scheme tests.",
            range(&rows, |row| row.gap)
        ),
        _ => format!("{conditions}: not tested."),
    }
}

/// The points of some rows in brackets, unless they are all there are, or a crowd.
pub(crate) fn named(rows: &[&FindingRow], all: usize) -> String {
    if rows.len() == all || rows.is_empty() {
        return String::new();
    }
    let mut names: Vec<String> = rows.iter().take(3).map(|row| point_values(&row.point)).collect();
    if rows.len() > 3 {
        names.push(format!("{} more", rows.len() - 3));
    }
    format!(" ({})", names.join("; "))
}

/// The critical values of several tests, and what they would detect with 80 % power.
fn critical_range(rows: &[&FindingRow], data: &ReportData) -> String {
    let moving: Vec<&FindingRow> = rows
        .iter()
        .filter(|row| finite(row.detectable_gap).is_some_and(|gap| gap > 1e-12))
        .copied()
        .collect();
    if moving.is_empty() {
        return String::new();
    }
    let before = if moving.iter().any(|row| is_adjusted(row, &data.settings)) {
        " before adjustment"
    } else {
        ""
    };
    let power = if moving.iter().all(|row| finite(row.detectable_gap_80).is_some()) {
        format!(
            ", and true gaps of {} would be detected with 80\u{a0}% power",
            range(&moving, |row| row.detectable_gap_80)
        )
    } else {
        String::new()
    };
    format!(
        ". The critical value of the gap{before} is {}{power}",
        range(&moving, |row| row.detectable_gap)
    )
}

/// Reasons, each once, as sentences.
pub(crate) fn reasons<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut each: Vec<&str> = Vec::new();
    for reason in reasons {
        if !each.contains(&reason) {
            each.push(reason);
        }
    }
    let more = each.len().saturating_sub(3);
    each.truncate(3);
    let mut text: Vec<String> = each.into_iter().map(sentence_case).collect();
    if more > 0 {
        text.push(format!("{} more.", counted(more, "reason")));
    }
    text.join(" ")
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// Number of decisions that change, over all native conditions.
fn decisions(native: &[(&FindingRow, Reading)]) -> Option<String> {
    let rows: Vec<&FindingRow> = native
        .iter()
        .map(|(row, _)| *row)
        .filter(|row| finite(row.flip_rate).is_some() && finite(row.flip_high).is_some())
        .collect();
    let least = rows.iter().filter_map(|row| row.flip_rate).fold(f64::INFINITY, f64::min);
    let most = rows.iter().max_by(|one, other| {
        one.flip_rate.unwrap_or(0.0).total_cmp(&other.flip_rate.unwrap_or(0.0))
    })?;
    let interval =
        format!("[{}, {}]", percent(most.flip_low), percent(most.flip_high)).replace("\u{a0}%", "");
    let alike = percent(Some(least)) == percent(most.flip_rate);
    Some(if alike {
        format!("Decisions: a permutation changes {} of them {interval}.", percent(most.flip_rate))
    } else {
        format!(
            "Decisions: a permutation changes {} to {} of them, the largest share {interval}.",
            percent(Some(least)).replace("\u{a0}%", ""),
            percent(most.flip_rate)
        )
    })
}

/// Sentence on the gains: if they have intervals, and on which side of 0.
pub(crate) fn gains(native: &[(&FindingRow, Reading)], data: &ReportData) -> Option<String> {
    if let [(row, _)] = native {
        let (unit, reference) = (Unit::of_report(data), data.settings.reference());
        let side = match gain_sign(row)? {
            std::cmp::Ordering::Greater => "which is above 0",
            std::cmp::Ordering::Less => "which is below 0",
            std::cmp::Ordering::Equal => "which is not told from 0",
        };
        let gain = unit.interval(row.gain(), row.gain_low, row.gain_high);
        return Some(format!("Gain over {reference}: {gain}, {side}."));
    }
    let signs: Vec<std::cmp::Ordering> =
        native.iter().filter_map(|(row, _)| gain_sign(row)).collect();
    let count = |wanted: std::cmp::Ordering| signs.iter().filter(|sign| **sign == wanted).count();
    (!signs.is_empty()).then(|| {
        format!(
            "Gain over {}: above 0 in {}, below 0 in {}, not told from 0 in {} of {}.",
            data.settings.reference(),
            count(std::cmp::Ordering::Greater),
            count(std::cmp::Ordering::Less),
            count(std::cmp::Ordering::Equal),
            counted(signs.len(), "condition")
        )
    })
}

/// Why rows are shown and not counted.
pub(crate) fn not_counted(data: &ReportData) -> Option<String> {
    let of = |begins: &str| {
        let said = data.findings.iter().filter_map(|row| row.not_counted.as_deref());
        said.filter(|reason| reason.starts_with(begins)).count()
    };
    let parts: Vec<String> = [
        (of("the rule does not"), "of rules that do not read quality"),
        (of("equal"), "equal to one that is counted"),
        (of("a repetition"), "repetitions"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let all = data.findings.iter().filter(|row| !row.is_counted()).count();
    (all > 0).then(|| {
        format!(
            "{} shown and counted nowhere: {}.",
            if all == 1 { "1 row is".to_owned() } else { format!("{all} rows are") },
            listed(&parts)
        )
    })
}

/// True if no native condition has an interval of its gain.
fn native_without_interval(data: &ReportData) -> bool {
    let native = data.findings.iter().filter(|row| row.control == Control::Native);
    native.clone().all(|row| gain_sign(row).is_none())
}

/// "+0.4 pp", or "-0.4 to +1.2 pp" over several rows.
fn signed_range(rows: &[&FindingRow], value: impl Fn(&FindingRow) -> Option<f64>) -> String {
    let values: Vec<f64> = rows.iter().filter_map(|row| value(row)).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low == high {
        points_pp(Some(high))
    } else {
        format!("{} to {}", points(Some(low)), points_pp(Some(high)))
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

pub(crate) fn cautions(
    checks: &[Check; 2],
    counts: &[(Reading, usize)],
    native: &[(&FindingRow, Reading)],
    data: &ReportData,
) -> Vec<String> {
    let [positive, negative] = checks;
    let mut cautions = Vec::new();
    let open = counts.iter().any(|(reading, _)| *reading == Reading::CannotTell);
    if positive.status == Status::Failed && open {
        cautions.push(
            "The positive control was not detected either: where nothing was found, the test may \
             be unable to find anything."
                .to_owned(),
        );
    }
    if negative.status == Status::Failed {
        cautions.push(
            "The negative control raised alarms: gaps may be found here where there are none."
                .to_owned(),
        );
    }
    let turned: Vec<String> = data
        .findings
        .iter()
        .filter(|row| row.is_counted() && could_turn(row, &data.settings))
        .map(|row| point_values(&row.point))
        .collect();
    if !turned.is_empty() {
        let shown = if turned.len() > 4 {
            format!("{} and {} more", turned[..3].join("; "), turned.len() - 3)
        } else {
            turned.join("; ")
        };
        cautions.push(format!(
            "Other permutations could turn the test of {}: the level lies within two Monte-Carlo \
             standard errors of its p-value. Draw more ({shown}).",
            counted(turned.len(), "condition")
        ));
    }
    let claims =
        [Reading::WithGain, Reading::WithLoss, Reading::WithinMargin, Reading::NoDependence];
    if native.len() > 1 && counts.iter().any(|(reading, _)| claims.contains(reading)) {
        let margins = match data.settings.metric {
            None => ", accuracy within the margin, no dependence",
            Some(_) => "",
        };
        cautions.push(format!(
            "Claims from intervals (a gain or loss{margins}) \
             hold for each condition by itself and are not adjusted for there being {}.",
            native.len()
        ));
    }
    cautions.extend(several_families(native, data));
    let tested = |row: &&FindingRow| scheme(row, &data.settings) != "constant";
    if data.findings.iter().filter(tested).any(|row| out_of_reach(row, data.settings.alpha)) {
        cautions.push(
            "Too few permutations: even the smallest p-value that they allow stays above the \
             level once it is adjusted. Run more."
                .to_owned(),
        );
    }
    cautions.extend(one_class(&data.one_class));
    let unadjusted = data
        .findings
        .iter()
        .filter(|row| row.p_value.is_some() && row.is_counted())
        .filter(|row| row.p_adjusted.is_none() || data.settings.adjust == "none")
        .count();
    if unadjusted > 1 {
        cautions.push(format!(
            "p-values are not adjusted for the number of tests: of {unadjusted}, about {:.0} \
             would fall below {} by chance alone.",
            (unadjusted as f64 * data.settings.alpha).max(1.0),
            data.settings.alpha
        ));
    }
    cautions
}

/// That several families have no common control of error, and how many they are.
fn several_families(native: &[(&FindingRow, Reading)], data: &ReportData) -> Option<String> {
    let mut families: Vec<Vec<Option<&str>>> = Vec::new();
    for (row, _) in native {
        let labels = data.settings.families.iter().map(|axis| row.value_of(axis)).collect();
        if !families.contains(&labels) {
            families.push(labels);
        }
    }
    (families.len() > 1 && data.settings.adjust != "none").then(|| {
        format!(
            "p-values are adjusted within each of {} families of native conditions and not over \
             them: chances of a false claim add up over the families.",
            families.len()
        )
    })
}

/// Explanation for parts of the test that hold one class only.
fn one_class(parts: &[(String, String)]) -> Option<String> {
    let named: Vec<String> =
        parts.iter().take(4).map(|(part, class)| format!("{part} ({class})")).collect();
    let which = match parts.len().saturating_sub(named.len()) {
        _ if parts.is_empty() => return None,
        0 => listed(&named),
        more => format!("{} and {more} more", named.join(", ")),
    };
    Some(format!(
        "The test examples are all of one class in {which}: permutations stay within such a part, \
         so that quality stays with its class there, and what a rule makes of quality that tells \
         the class is not seen."
    ))
}

/// True if no permutation did as well as Clean-Q, and yet the adjusted p-value does not reach the
/// level.
fn out_of_reach(row: &FindingRow, alpha: f64) -> bool {
    let least = 1.0 / (row.n_permutations as f64 + 1.0);
    row.n_permutations > 0
        && row.p_value.is_some_and(|p| p <= least + 1e-12)
        && row.p_adjusted.is_some_and(|p| p > alpha)
}
