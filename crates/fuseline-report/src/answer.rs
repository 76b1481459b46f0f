//! Does the fused decision use quality? The answer of all findings together.

use crate::controls::{Check, Status, checks};
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{
    capital, counted, finite, listed, percent, point_values, size_pp, value_label,
};
use crate::made_of::{made_of, reads_labels};
use crate::numbers::Unit;
use crate::supplements::Repeated;
use crate::uses::{Use, says_gain, terms, uses};
use crate::verdict::{
    Reading, Verdict, could_turn, family_size, gain_sign, is_adjusted, scheme, verdict,
};

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

/// More findings of schemes that read labels are in the table alone.
const MAX_LABEL_SCHEME_SENTENCES: usize = 6;

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
    let unit = Unit::of_report(data);
    let verdicts: Vec<Verdict> = data.findings.iter().map(|row| verdict(row, data)).collect();
    let checks = checks(data, &verdicts);
    let native = native_readings(data, &verdicts);
    let counts = count_readings(&native);
    let (headline, tone) = headline(data, &counts, native.len(), unit);
    let uses = uses(data, &verdicts, unit);
    // A rule with a sentence of its own needs none among others.
    let each = uses.iter().filter(|of| !of.is_group);
    let each: Vec<usize> = each.filter_map(|of| of.finding).collect();
    let is_told = |row: &FindingRow| each.iter().any(|&place| data.findings[place] == *row);
    let all_told = |reading: Reading| {
        let mut rows = native.iter().filter(|(_, found)| *found == reading);
        reading != Reading::EvidenceDerived && rows.all(|(row, _)| is_told(row))
    };
    let mut sentences = Vec::from_iter(too_few_permutations(data));
    let readings = counts.iter().filter(|(reading, _)| !all_told(*reading));
    sentences.extend(readings.filter_map(|(reading, _)| sentence(*reading, &native, data, unit)));
    if native.is_empty() {
        sentences.extend(label_scheme_sentences(data, &verdicts));
    }
    sentences.extend(decisions(&native));
    sentences.extend(shifts(&native, unit));
    if !native.iter().all(|(row, reading)| says_gain(*reading) && is_told(row)) {
        sentences.extend(gains(&native, data));
    }
    sentences.extend(made_of(data, |row| !is_told(row)));
    sentences.extend(over_repetitions(data, unit));
    sentences.extend(not_counted(data));
    sentences.extend(cautions(&checks, &counts, &native, data));
    let terms = terms(data, native.len(), unit);
    Answer { headline, tone, uses, terms, sentences, counts, checks, verdicts }
}

/// States that the permutations cannot show anything, whatever the data are, and how many would.
fn too_few_permutations(data: &ReportData) -> Option<String> {
    let alpha = data.settings.alpha;
    let tested = data.findings.iter().filter(|row| scheme(row, &data.settings) != "constant");
    let short = tested.filter(|row| out_of_reach(row, alpha));
    // Whatever the other p-values are, the smallest is multiplied by the number of tests at most.
    let tests = short.map(|row| match is_adjusted(row, &data.settings) {
        true => family_size(row, data).max(1),
        false => 1,
    });
    let enough = (tests.max()? as f64 / alpha).floor();
    Some(format!(
        "Too few permutations: even the smallest p-value that they allow stays above the level \
         once it is adjusted. Run {enough} or more."
    ))
}

/// True if a native condition has the smallest p-value that its permutations allow, and that is
/// above the level once it is adjusted.
fn native_out_of_reach(data: &ReportData) -> bool {
    let mut native =
        data.findings.iter().filter(|row| row.control == Control::Native && row.is_counted());
    native.any(|row| out_of_reach(row, data.settings.alpha))
}

fn headline(
    data: &ReportData,
    counts: &[(Reading, usize)],
    total: usize,
    unit: Unit,
) -> (String, &'static str) {
    let of = |reading: Reading| {
        counts.iter().find(|(found, _)| *found == reading).map_or(0, |(_, count)| *count)
    };
    let (gains, losses) = (of(Reading::WithGain), of(Reading::WithLoss));
    let depends = gains + losses + of(Reading::Dependence);
    let within = of(Reading::WithinMargin);
    let none = of(Reading::NoDependence);
    // Which of the conditions: nothing where there is but one.
    let part = |count: usize| match (count == total, total) {
        (_, 1) => String::new(),
        (true, 2) => ", in both native conditions".to_owned(),
        (true, _) => format!(", in all {total} native conditions"),
        (false, _) => format!(", in {count} of {total} native conditions"),
    };
    if data.findings.is_empty() {
        ("There are no findings.".to_owned(), "open")
    } else if total == 0 {
        (headline_without_condition(data), "open")
    } else if of(Reading::Untested) == total {
        let text = match data.settings.scheme.as_str() {
            "derangement" => "An effect size, no test.",
            _ => "Not tested.",
        };
        (text.to_owned(), "open")
    } else if depends > 0 {
        let tone = if losses == depends { "caution" } else { "yes" };
        let reference = data.settings.reference();
        let what = format!("{} {} when quality is permuted", unit.measure(), unit.worsens());
        let text = match (gains, losses) {
            (1, _) if data.settings.frozen => "Yes, with a gain.".to_owned(),
            (_, 1) if data.settings.frozen => "Yes, but at a loss.".to_owned(),
            _ if data.settings.frozen => "Yes; a gain is not shown.".to_owned(),
            _ if native_without_interval(data) => {
                format!("Yes{}: {what}; no interval of the gain was measured.", part(depends))
            }
            (1, _) if total == 1 => format!("Yes: {what}, with a gain over {reference}."),
            (0, losses) if losses == depends => {
                format!("Yes{}: {what}, yet at a loss against {reference}.", part(depends))
            }
            (0, _) => {
                let none = if total == 1 { "not shown" } else { "shown in none" };
                format!("Yes{}: {what}; a gain over {reference} is {none}.", part(depends))
            }
            (gains, _) => format!(
                "Yes{}: {what}; a gain over {reference} is shown in {}.",
                part(depends),
                if gains == total { "each".to_owned() } else { gains.to_string() }
            ),
        };
        (text, tone)
    } else if of(Reading::EvidenceDerived) + of(Reading::InDoubt) > 0 {
        let derived = "of a quality that follows from the evidence, at least in part";
        let text = match (of(Reading::EvidenceDerived), of(Reading::InDoubt)) {
            (1, 0) => format!("the gap found is {derived}"),
            (_, 0) => format!("each gap found is {derived}"),
            (0, 1) => "the p-value of the gap found may be too small".to_owned(),
            (0, _) => "the p-value of every gap found may be too small".to_owned(),
            _ => format!("each gap found is {derived}, or its p-value may be too small"),
        };
        (format!("Not shown: {text}."), "caution")
    } else if of(Reading::Harm) == total {
        (format!("Quality seems to do harm{}.", part(total)), "caution")
    } else if of(Reading::NotTestable) == total {
        let mut native = data.findings.iter().filter(|row| row.control == Control::Native);
        let reason = native.find_map(|row| row.not_testable.as_deref());
        let text = match reason.filter(|_| total == 1) {
            Some(reason) => format!("Not testable: {reason}."),
            None => format!("Not testable{}.", part(total)),
        };
        (text, "open")
    } else if none == total && total == 1 {
        ("No: accuracy and decisions change by less than the margin.".to_owned(), "no")
    } else if none == total {
        (format!("No{}.", part(total)), "no")
    } else if none + within == total {
        let text = "Decisions may change, accuracy by less than the margin";
        (format!("{text}{}.", part(total)), "no")
    } else if none + within > 0 {
        let open = match total - none - within {
            1 => "the other stays open",
            _ => "the others stay open",
        };
        let text = match (none, within) {
            (0, within) => format!(
                "{} changes by less than the margin{}",
                capital(&unit.measure()),
                part(within)
            ),
            (none, 0) => format!("No{}", part(none)),
            (none, within) => format!(
                "No{}; {} changes by less than the margin in {within} more",
                part(none),
                unit.measure()
            ),
        };
        (format!("{text}; {open}."), "open")
    } else if native_out_of_reach(data) {
        let text =
            format!("Too few permutations to tell whether {} depends on quality.", unit.measure());
        (text, "open")
    } else if native_answers_change(data) {
        let text = format!(
            "The data cannot tell whether {} depends on quality; {}s change.",
            unit.measure(),
            unit.answer()
        );
        (text, "open")
    } else {
        ("The data cannot tell.".to_owned(), "open")
    }
}

/// Headline where no native condition is counted.
fn headline_without_condition(data: &ReportData) -> String {
    let native = |row: &&FindingRow| row.control == Control::Native;
    let schemes = || data.findings.iter().filter(native).map(|row| scheme(row, &data.settings));
    match schemes().find(|scheme| reads_labels(scheme)) {
        Some(scheme) => format!(
            "No answer by itself: {scheme} tells what a gap under joint is made of, and joint was \
             not run."
        ),
        None if schemes().next().is_some() => {
            "Not testable: no rule that was run reads quality.".to_owned()
        }
        None => "Only controls were run: no answer about a native quality.".to_owned(),
    }
}

/// The findings of schemes that read labels of test rows, where there are no others.
fn label_scheme_sentences(data: &ReportData, verdicts: &[Verdict]) -> Vec<String> {
    let rows = data.findings.iter().zip(verdicts);
    let rows = rows.filter(|(row, _)| row.control == Control::Native && row.is_counted());
    let rows = rows.filter(|(row, _)| reads_labels(scheme(row, &data.settings)));
    rows.take(MAX_LABEL_SCHEME_SENTENCES)
        .map(|(row, verdict)| match row.point.is_empty() {
            true => verdict.words.clone(),
            false => format!("{}: {}", point_values(&row.point), verdict.words),
        })
        .collect()
}

/// True if a permutation changes a decision or a prediction in any native condition that is
/// counted.
fn native_answers_change(data: &ReportData) -> bool {
    let native = |row: &&FindingRow| row.control == Control::Native && row.is_counted();
    let changes = |row: &FindingRow| match &row.metric {
        Some(metric) => metric.shift.is_some_and(|shift| shift > 0.0),
        None => row.flip_rate.is_some_and(|rate| rate > 0.0),
    };
    data.findings.iter().filter(native).any(changes)
}

/// One sentence on the conditions of a reading; none where the headline says it of the only one.
fn sentence(
    reading: Reading,
    native: &[(&FindingRow, Reading)],
    data: &ReportData,
    unit: Unit,
) -> Option<String> {
    let rows: Vec<&FindingRow> =
        native.iter().filter(|(_, found)| *found == reading).map(|(row, _)| *row).collect();
    let is_only = native.len() == 1;
    let margin = data
        .settings
        .equivalence_margin
        .map_or_else(|| "the stated margin".to_owned(), |margin| format!("±{}", size_pp(margin)));
    let (measure, reference) = (unit.measure(), data.settings.reference());
    let gap = range(&rows, unit, |row| row.gap);
    let body = match reading {
        Reading::WithGain | Reading::Dependence | Reading::WithLoss => {
            let gain = || signed_range(&rows, unit, FindingRow::gain);
            let gain = match reading {
                _ if rows.iter().any(|row| row.gain().is_none()) => String::new(),
                Reading::WithGain => {
                    format!("; the gain over {reference} is {}, its interval above 0", gain())
                }
                Reading::WithLoss => {
                    format!("; the gain over {reference} is {}, its interval below 0", gain())
                }
                _ if rows.iter().all(|row| gain_sign(row).is_some()) => {
                    format!("; the gain over {reference} is {}, not told from 0", gain())
                }
                _ => format!("; the gain over {reference} is {}, without an interval", gain()),
            };
            format!("{measure} {} by {gap} when quality is permuted{gain}.", unit.worsens())
        }
        Reading::EvidenceDerived => format!(
            "a gap of {gap}, but of a quality that follows from the evidence, at least in part. A \
             plain permutation makes pairs of evidence and quality that cannot occur, so this is \
             not yet reliance on reliability."
        ),
        Reading::InDoubt => format!(
            "a gap of {gap}, but a p-value that may be too small. {}",
            reasons(rows.iter().filter_map(|row| row.p_doubt.as_deref()))
        ),
        Reading::Harm => format!(
            "the interval lies below 0, as if quality did harm. The one-sided test does not test \
             for this{}.",
            match native.len() {
                1 => "",
                _ => ", and the interval is not adjusted for the number of conditions",
            }
        ),
        Reading::CannotTell => format!(
            "{}no gap {}; {}{}.",
            if is_only { "" } else { "the data cannot tell: " },
            if rows.iter().any(|row| is_adjusted(row, &data.settings)) {
                "passes the level once p-values are adjusted"
            } else {
                "passes the level"
            },
            match (data.settings.equivalence_margin, data.settings.metric) {
                (_, Some(_)) => "equivalence is not claimed where the label is a number".to_owned(),
                (Some(_), None) => format!("gaps beyond {margin} are not ruled out"),
                (None, None) =>
                    "no margin was stated, so the absence of a gap was not tested".to_owned(),
            },
            critical_range(&rows, data, unit)
        ),
        Reading::NotTestable if is_only => return None,
        Reading::NotTestable => format!(
            "not testable. {}",
            reasons(rows.iter().filter_map(|row| row.not_testable.as_deref()))
        ),
        Reading::WithinMargin => format!(
            "{measure} changes by less than {margin}, while decisions change or a gap was detected."
        ),
        Reading::NoDependence => format!(
            "{}{measure} changes by less than {margin}, and fewer decisions than that change.",
            if is_only { "" } else { "no dependence: " }
        ),
        _ if rows.iter().all(|row| scheme(row, &data.settings) == "derangement") => format!(
            "an effect size without a p-value, a gap of {gap} where no example keeps its quality. \
             The joint scheme tests."
        ),
        _ if is_only => return None,
        _ => "not tested.".to_owned(),
    };
    Some(match is_only {
        true => capital(&body),
        false => {
            format!("{}{}: {body}", counted(rows.len(), "condition"), named(&rows, native.len()))
        }
    })
}

/// The points of some rows in brackets, unless they are all there are, or a crowd.
fn named(rows: &[&FindingRow], all: usize) -> String {
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
fn critical_range(rows: &[&FindingRow], data: &ReportData, unit: Unit) -> String {
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
            ", and {} of {} would be detected with 80\u{a0}% power",
            if moving.len() == 1 { "a true gap" } else { "true gaps" },
            range(&moving, unit, |row| row.detectable_gap_80)
        )
    } else {
        String::new()
    };
    format!(
        ". The critical value of the gap{before} is {}{power}",
        range(&moving, unit, |row| row.detectable_gap)
    )
}

/// Reasons, each once, as sentences.
fn reasons<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut each: Vec<&str> = Vec::new();
    for reason in reasons {
        if !each.contains(&reason) {
            each.push(reason);
        }
    }
    let more = each.len().saturating_sub(3);
    each.truncate(3);
    let mut text: Vec<String> =
        each.into_iter().map(|reason| format!("{}.", capital(reason))).collect();
    if more > 0 {
        text.push(format!("{} more.", counted(more, "reason")));
    }
    text.join(" ")
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

/// Mean shifts of predictions over all native conditions.
fn shifts(native: &[(&FindingRow, Reading)], unit: Unit) -> Option<String> {
    let shift = |row: &FindingRow| row.metric.as_ref()?.shift;
    let rows: Vec<&FindingRow> =
        native.iter().map(|(row, _)| *row).filter(|row| shift(row).is_some()).collect();
    (!rows.is_empty()).then(|| {
        let moved = range(&rows, unit, shift);
        format!("Predictions: a permutation moves one by {moved} on average.")
    })
}

/// Sentence on the gains: if they have intervals, and on which side of 0.
fn gains(native: &[(&FindingRow, Reading)], data: &ReportData) -> Option<String> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let signs = native.iter().filter_map(|(row, _)| Some((*row, gain_sign(row)?)));
    let signs: Vec<(&FindingRow, std::cmp::Ordering)> = signs.collect();
    let side = |sign| match sign {
        Greater => "above 0",
        Less => "below 0",
        Equal => "not told from 0",
    };
    let reference = data.settings.reference();
    let count = |wanted| signs.iter().filter(|(_, sign)| *sign == wanted).count();
    let mut parts = [Greater, Less, Equal].map(|sign| (sign, count(sign))).to_vec();
    parts.retain(|(_, count)| *count > 0);
    let measured = if signs.len() < native.len() { " with an interval" } else { "" };
    match (signs.as_slice(), parts.as_slice()) {
        ([], _) => None,
        ([(row, sign)], _) => {
            let gain = Unit::of_report(data).interval(row.gain(), row.gain_low, row.gain_high);
            let place = named(&[*row], native.len());
            Some(format!("Gain over {reference}{place}: {gain}, which is {}.", side(*sign)))
        }
        (signs, [(sign, _)]) => {
            let all = match signs.len() {
                2 => "both conditions".to_owned(),
                all => format!("all {all} conditions"),
            };
            Some(format!("Gain over {reference}: {} in {all}{measured}.", side(*sign)))
        }
        (signs, parts) => {
            let parts: Vec<String> =
                parts.iter().map(|(sign, count)| format!("{} in {count}", side(*sign))).collect();
            Some(format!(
                "Gain over {reference}: {} of {} conditions{measured}.",
                listed(&parts),
                signs.len()
            ))
        }
    }
}

/// Spread of the native conditions over repetitions: the verdicts are of one of them each.
fn over_repetitions(data: &ReportData, unit: Unit) -> Option<String> {
    let native = data.findings.iter().filter(|row| row.control == Control::Native);
    let is_native = |of: &&Repeated| {
        let mut native = native.clone();
        native.any(|row| of.point.iter().all(|(axis, value)| row.value_of(axis) == Some(value)))
    };
    let repeated: Vec<&Repeated> = data.supplements.repeats.iter().filter(is_native).collect();
    let counts = || repeated.iter().map(|of| of.repetitions);
    let most = counts().max()?;
    let up_to = if counts().all(|count| count == most) { "" } else { "up to " };
    let leaves_out_0 = |of: &&&Repeated| {
        of.low.is_some_and(|low| low > 0.0) || of.high.is_some_and(|high| high < 0.0)
    };
    let whose = match data.findings.iter().any(FindingRow::is_repetition) {
        true => " The verdicts are of the first repetition.",
        false => "",
    };
    Some(format!(
        "Over {up_to}{most} repetitions of the study the mean gap is {}; its interval, which knows that \
         repetitions share their examples and is not adjusted for the number of conditions, leaves \
         out 0 in {} of {}.{whose}",
        signed_range_of(repeated.iter().map(|of| of.mean), unit),
        repeated.iter().filter(leaves_out_0).count(),
        counted(repeated.len(), "condition"),
    ))
}

/// Why rows are shown and not counted.
fn not_counted(data: &ReportData) -> Option<String> {
    let of = |begins: &str| {
        let said = data.findings.iter().filter_map(|row| row.not_counted.as_deref());
        said.filter(|reason| reason.starts_with(begins)).count()
    };
    let parts: Vec<String> = [
        (of("the rule does not"), "of rules that do not read quality"),
        (of("equal"), "equal to one that is counted"),
        (data.findings.iter().filter(|row| row.is_repetition()).count(), "repetitions"),
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
fn signed_range(
    rows: &[&FindingRow],
    unit: Unit,
    value: impl Fn(&FindingRow) -> Option<f64>,
) -> String {
    signed_range_of(rows.iter().map(|row| value(row)), unit)
}

fn signed_range_of(values: impl Iterator<Item = Option<f64>>, unit: Unit) -> String {
    let values: Vec<f64> = values.filter_map(finite).collect();
    let low = values.iter().copied().reduce(f64::min);
    let high = values.iter().copied().reduce(f64::max);
    let least = unit.difference(low);
    match least == unit.difference(high) {
        true => unit.difference_unit(high),
        false => format!("{least} to {}", unit.difference_unit(high)),
    }
}

/// "2.3 pp", or "1.2 to 4.1 pp" over several rows.
pub(crate) fn range(
    rows: &[&FindingRow],
    unit: Unit,
    value: impl Fn(&FindingRow) -> Option<f64>,
) -> String {
    signed_range(rows, unit, value).replace('+', "")
}

fn cautions(
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
    let counted_rows = data.findings.iter().filter(|row| row.is_counted());
    let turned: Vec<&FindingRow> =
        counted_rows.clone().filter(|row| could_turn(row, &data.settings)).collect();
    if !turned.is_empty() {
        let (test, of) = match (turned.len(), counted_rows.count()) {
            (1, 1) => ("the test".to_owned(), "its p-value"),
            (1, all) => (format!("the test of 1 condition{}", named(&turned, all)), "its p-value"),
            (count, all) => {
                let place = named(&turned, all);
                (format!("the tests of {count} conditions{place}"), "their p-values")
            }
        };
        cautions.push(format!(
            "Other permutations could turn {test}: the level lies within two Monte-Carlo standard \
             errors of {of}. Draw more."
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
    let place =
        |(part, class): &(String, String)| format!("{part} ({})", value_label("class", class));
    let named: Vec<String> = parts.iter().take(4).map(place).collect();
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
