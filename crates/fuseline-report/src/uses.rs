//! Statements of which rule uses which quality, by how much, how certain that is, and by which
//! mechanism.

use crate::answer::range;
use crate::data::{FindingRow, ReportData};
use crate::format::{counted, finite, listed, value_label};
use crate::made_of::{mechanism, reads_labels, stays_given_evidence};
use crate::methods::span;
use crate::numbers::Unit;
use crate::verdict::{Reading, Verdict, decided, doubt, scheme, told_by_evidence};

/// More conditions than this are grouped.
const EACH: usize = 6;
/// Groups that are named.
const GROUPS: usize = 8;

/// One statement of which rule uses which quality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// User and used quality, in few words.
    pub who: String,
    /// The rest of the sentence, from its colon on.
    pub words: String,
    /// The finding that it is about, by its place; of a group the one with the largest gap.
    pub finding: Option<usize>,
    /// True if it is about several findings.
    pub is_group: bool,
}

impl Use {
    /// The sentence.
    pub fn sentence(&self) -> String {
        format!("{}{}", self.who, self.words)
    }
}

/// One statement a native condition in which a gap was detected, the largest gap first; with many,
/// one a rule.
pub fn uses(data: &ReportData, verdicts: &[Verdict], unit: Unit) -> Vec<Use> {
    let mut found: Vec<(usize, &FindingRow, Reading)> = data
        .findings
        .iter()
        .zip(verdicts)
        .enumerate()
        .filter(|(_, (_, verdict))| is_use(verdict.reading))
        .map(|(place, (row, verdict))| (place, row, verdict.reading))
        .filter(|(_, row, _)| !reads_labels(scheme(row, &data.settings)))
        .filter(|(_, row, _)| is_joint(row, data) || !joint_is_there(row, data))
        .collect();
    found.sort_by(|a, b| b.1.gap.unwrap_or(0.0).total_cmp(&a.1.gap.unwrap_or(0.0)));
    if found.len() <= EACH {
        return found
            .iter()
            .map(|&(place, row, reading)| each(place, row, reading, data, unit))
            .collect();
    }
    let mut groups: Vec<(String, Vec<(&FindingRow, Reading)>)> = Vec::new();
    for &(_, row, reading) in &found {
        let rule = subject(row, data);
        match groups.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, rows)) => rows.push((row, reading)),
            None => groups.push((rule, vec![(row, reading)])),
        }
    }
    let more = groups.len().saturating_sub(GROUPS);
    let mut uses: Vec<Use> =
        groups.iter().take(GROUPS).map(|(rule, rows)| group(rule, rows, data, unit)).collect();
    if more > 0 {
        uses.push(Use {
            who: counted(more, "more rule"),
            words: ": a gap in at least one condition, as the table says.".to_owned(),
            finding: None,
            is_group: true,
        });
    }
    uses
}

/// True if a reading says that accuracy falls when quality is permuted.
const fn is_use(reading: Reading) -> bool {
    use Reading::{Dependence, EvidenceDerived, InDoubt, WithGain, WithLoss};
    matches!(reading, WithGain | Dependence | WithLoss | EvidenceDerived | InDoubt)
}

pub(crate) fn is_joint(row: &FindingRow, data: &ReportData) -> bool {
    scheme(row, &data.settings) == "joint"
}

/// True if the same point was tested under the joint scheme, whose statement covers the others.
pub(crate) fn joint_is_there(row: &FindingRow, data: &ReportData) -> bool {
    let others = |other: &&FindingRow| {
        let here = row.point.iter().filter(|(axis, _)| axis != "scheme");
        other.value_of("scheme") == Some("joint")
            && here.eq(other.point.iter().filter(|(axis, _)| axis != "scheme"))
    };
    row.value_of("scheme").is_some() && data.findings.iter().any(|other| others(&other))
}

fn each(place: usize, row: &FindingRow, reading: Reading, data: &ReportData, unit: Unit) -> Use {
    // A gap of a quality that the evidence tells is not yet use of it, unless it stays when that is
    // left in place.
    let is_open = reading == Reading::EvidenceDerived && !stays_given_evidence(row, data);
    let is_doubted = reading == Reading::InDoubt;
    let verb = if is_open || is_doubted { "changes with" } else { "uses" };
    let rest = elsewhere(row);
    let rest = if rest.is_empty() { rest } else { format!(" ({rest})") };
    let interval = interval(row.gap_low, row.gap_high, unit);
    let mut words = format!(
        ": {} {} by {}{interval} when it is permuted, {}",
        unit.measure(),
        unit.worsens(),
        unit.size(row.gap.unwrap_or(0.0)),
        decided(row, data)
    );
    if let Some(gain) = finite(row.gain()).filter(|_| says_gain(reading)) {
        let (size, reference) = (unit.size(gain), data.settings.reference());
        let (low, high) = (row.gain_low, row.gain_high);
        words += &match reading {
            Reading::WithGain => {
                format!("; a gain of {size}{} over {reference}", self::interval(low, high, unit))
            }
            Reading::WithLoss => {
                let minus = |end: Option<f64>| end.map(|end| -end);
                let loss = self::interval(minus(high), minus(low), unit);
                format!("; a loss of {size}{loss} against {reference}")
            }
            _ if low.is_none() => format!("; no gain over {reference} is shown"),
            _ => {
                let gain = unit.interval(Some(gain), low, high);
                format!("; no gain over {reference} is shown ({gain})")
            }
        };
    }
    if is_doubted {
        words += &format!("; {}", doubt(row));
    } else if let Some(mechanism) = mechanism(row, data, unit) {
        words += &format!("; {mechanism}");
    } else if is_open {
        let told = told_by_evidence(row);
        words += &format!("; {told} the evidence, so this is not yet reliance on reliability");
    }
    words.push('.');
    let who = format!("{} {verb} {}{rest}", subject(row, data), object(row));
    Use { who, words, finding: Some(place), is_group: false }
}

/// True if the statement of one condition says its gain.
pub(crate) const fn says_gain(reading: Reading) -> bool {
    matches!(reading, Reading::WithGain | Reading::WithLoss | Reading::Dependence)
}

/// " [1.2, 3.4]"; empty where an end is none.
fn interval(low: Option<f64>, high: Option<f64>, unit: Unit) -> String {
    let (Some(_), Some(_)) = (finite(low), finite(high)) else { return String::new() };
    let [low, high] = [low, high].map(|end| unit.difference(end));
    format!(" [{}, {}]", low.trim_start_matches('+'), high.trim_start_matches('+'))
}

/// `rows`: those of a rule with a gap, the largest first.
fn group(rule: &str, rows: &[(&FindingRow, Reading)], data: &ReportData, unit: Unit) -> Use {
    let of_rule = data.findings.iter().zip(data.findings.iter().map(|row| subject(row, data)));
    let all = of_rule
        .filter(|(row, name)| {
            name == rule
                && row.control == crate::data::Control::Native
                && row.is_counted()
                && !reads_labels(scheme(row, &data.settings))
        })
        .count();
    let most = rows.first().map(|(row, _)| *row);
    let gaps: Vec<&FindingRow> = rows.iter().map(|(row, _)| *row).collect();
    let most_with = most.map_or_else(String::new, |row| {
        let rest = elsewhere(row);
        let rest = if rest.is_empty() { rest } else { format!(" ({rest})") };
        let least = if rows.len() == 1 { "with" } else { "most with" };
        format!(", {least} {}{rest}", object(row))
    });
    let is_open = |(row, reading): &&(&FindingRow, Reading)| {
        *reading == Reading::EvidenceDerived && !stays_given_evidence(row, data)
    };
    let open = rows.iter().filter(is_open).count();
    let doubted = rows.iter().filter(|(_, reading)| *reading == Reading::InDoubt).count();
    let verb = if open + doubted == rows.len() { "changes with" } else { "uses" };
    let mut but = String::new();
    match open {
        0 => {}
        open if open == rows.len() => {
            but += "; what it changes with follows from the evidence, at least in part, so this is \
                    not yet reliance on reliability";
        }
        open => but += &format!("; in {open} of them quality follows from the evidence"),
    }
    match doubted {
        0 => {}
        doubted if doubted == rows.len() => but += "; the p-values may be too small",
        doubted => but += &format!("; in {doubted} of them the p-value may be too small"),
    }
    // The least certain of them.
    let p = |row: &FindingRow| row.deciding_p().unwrap_or(1.0);
    let least = gaps.iter().max_by(|one, other| p(one).total_cmp(&p(other)));
    let decided = least.map_or_else(String::new, |row| match rows.len() {
        1 => format!(", {}", decided(row, data)),
        _ => format!(", each {}", at_most(row, data)),
    });
    let part = match rows.len() {
        1 if all == 1 => "its one condition".to_owned(),
        count if count == all => format!("all {all} conditions"),
        count => format!("{count} of {all} conditions"),
    };
    Use {
        who: format!("{rule} {verb} quality in {part}"),
        words: format!(
            ": {} {} by {} when it is permuted{most_with}{decided}{but}.",
            unit.measure(),
            unit.worsens(),
            range(&gaps, unit, |row| row.gap)
        ),
        finding: most.and_then(|most| data.findings.iter().position(|row| row == most)),
        is_group: true,
    }
}

/// The p-value that decides of the least certain of several rows.
fn at_most(row: &FindingRow, data: &ReportData) -> String {
    decided(row, data).replace("p\u{a0}=\u{a0}", "p\u{a0}≤\u{a0}")
}

/// The rule, or the model, as a sentence begins.
fn subject(row: &FindingRow, data: &ReportData) -> String {
    match row.value_of("rule") {
        Some(rule) => rule.to_owned(),
        None if data.settings.frozen || data.settings.loaded => "The model".to_owned(),
        None => "The rule".to_owned(),
    }
}

/// The quality.
fn object(row: &FindingRow) -> String {
    row.value_of("quality").map_or_else(|| "quality".to_owned(), str::to_owned)
}

/// The values of the other axes.
fn elsewhere(row: &FindingRow) -> String {
    let named = ["rule", "quality", "scheme"];
    let rest = row.point.iter().filter(|(axis, _)| !named.contains(&axis.as_str()));
    rest.map(|(axis, value)| value_label(axis, value)).collect::<Vec<_>>().join(" · ")
}

/// Number and kind of the distinct native conditions, and the meaning of the words of a report.
pub fn terms(data: &ReportData, native: usize, unit: Unit) -> String {
    let conditions = match native {
        _ if data.settings.frozen => "The model is asked as it is.".to_owned(),
        0 => "No native condition was tested.".to_owned(),
        1 => "One native condition was tested.".to_owned(),
        many => format!("{many} distinct native conditions were tested{}.", axes(data)),
    };
    let labels = match data.settings.labels.as_slice() {
        [] => String::new(),
        labels => format!(" Every accuracy is the mean over the labels {}.", listed(labels)),
    };
    let native = match data.settings.frozen {
        true => "",
        false => {
            " Native is a quality that was measured or estimated, none that was made as a control."
        }
    };
    format!(
        "{conditions}{}{labels}{native} Clean-Q is quality as it came, Broken-Q the same values \
         permuted across test examples; the gap is {}, with its {} interval in brackets.{}{}",
        size_of_test(data),
        unit.gap_definition(),
        crate::format::percent(Some(data.settings.confidence)).replace(".0", ""),
        neutral(data),
        mechanism_not_examined(data)
    )
}

/// Test examples, groups and permutations.
fn size_of_test(data: &ReportData) -> String {
    if data.findings.iter().all(|row| row.n_examples == 0) {
        return String::new();
    }
    format!(
        " Tested on {} of {} by {}.",
        counted(span(data, |row| row.n_examples), "example"),
        counted(span(data, |row| row.n_groups), "group"),
        counted(span(data, |row| row.n_permutations), "permutation")
    )
}

/// Definition of neutral quality, where a gain over it is shown.
fn neutral(data: &ReportData) -> &'static str {
    let is_shown = data.settings.frozen && data.findings.iter().any(|row| row.gain().is_some());
    match is_shown {
        true => " Neutral quality is its mean over these examples, unless a value was given.",
        false => "",
    }
}

/// The schemes that would tell what a gap works through, where none of them was run.
fn mechanism_not_examined(data: &ReportData) -> &'static str {
    const TELL: [&str; 4] =
        ["within_correct", "within_class", "conditional_residual", "conditional"];
    let settings = &data.settings;
    let tells = |row: &FindingRow| TELL.contains(&scheme(row, settings));
    if data.findings.is_empty() || data.findings.iter().any(tells) {
        ""
    } else if settings.metric.is_some() && settings.frozen {
        " What quality is used for was not examined."
    } else if settings.metric.is_some() {
        " What quality is used for was not examined: the scheme conditional_residual would tell."
    } else if settings.frozen {
        " What quality is used for was not examined: the schemes within_correct and within_class \
         would tell."
    } else {
        " What quality is used for was not examined: the schemes within_correct, within_class and \
         conditional_residual would tell."
    }
}

/// The axes of the native conditions with their values.
fn axes(data: &ReportData) -> String {
    let native = |row: &&FindingRow| {
        row.control == crate::data::Control::Native
            && row.is_counted()
            && !reads_labels(scheme(row, &data.settings))
    };
    let mut parts = Vec::new();
    for axis in &data.axes {
        let mut values: Vec<&str> = Vec::new();
        for value in data.findings.iter().filter(native).filter_map(|row| row.value_of(axis)) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        match values.len() {
            0 => {}
            n if n <= 4 => parts.push(format!("{axis} {}", values.join(", "))),
            n => parts.push(format!("{n} values of {axis}")),
        }
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::answer;
    use crate::data::{Control, Settings};

    fn row(rule: &str, quality: &str, scheme: &str, gap: f64, p: f64) -> FindingRow {
        let point = [("rule", rule), ("quality", quality), ("scheme", scheme)];
        FindingRow {
            point: point.map(|(axis, value)| (axis.to_owned(), value.to_owned())).into(),
            gap: Some(gap),
            gap_low: Some(gap - 0.034),
            gap_high: Some(gap + 0.034),
            p_value: Some(p),
            p_adjusted: Some(p),
            flip_rate: Some(0.1),
            ..FindingRow::default()
        }
    }

    fn report(findings: Vec<FindingRow>) -> ReportData {
        let axes = ["rule", "quality", "scheme"].map(str::to_owned).into();
        ReportData { findings, axes, ..ReportData::default() }
    }

    fn said(data: &ReportData) -> Vec<String> {
        let uses = answer(data).uses;
        uses.iter().map(|of| of.sentence().replace('\u{a0}', " ")).collect()
    }

    #[test]
    fn a_rule_a_quality_how_much_how_sure_and_through_what() {
        let data = report(vec![
            row("lr", "margin", "joint", 0.073, 0.01),
            FindingRow {
                equivalent: Some(true),
                ..row("lr", "margin", "within_correct", 0.004, 0.4)
            },
            row("lr", "margin", "within_class", 0.07, 0.01),
            row("mean", "margin", "joint", 0.001, 0.9),
        ]);
        assert_eq!(
            said(&data),
            ["lr uses margin: accuracy falls by 7.3 pp [3.9, 10.7] when it is permuted, \
                Holm-adjusted p = 0.010 over 2 tests; only 0.4 pp among examples whose experts \
                are right alike: it works through which expert is right."]
        );
    }

    #[test]
    fn many_conditions_are_grouped_by_rule_and_none_is_lost() {
        let mut findings = Vec::new();
        for rule in 0..20 {
            for quality in 0..25 {
                let p = if rule < 10 { 0.001 } else { 0.9 };
                let gap = 0.01 + 0.001 * f64::from(quality);
                findings.push(row(&format!("r{rule}"), &format!("q{quality}"), "joint", gap, p));
            }
        }
        let said = said(&report(findings));
        assert_eq!(said.len(), GROUPS + 1);
        assert_eq!(
            said[0],
            "r0 uses quality in all 25 conditions: accuracy falls by 1.0 to 3.4 pp when it is \
             permuted, most with q24, each Holm-adjusted p ≤ 0.001 over 500 tests."
        );
        assert!(said[GROUPS].starts_with("2 more rules: a gap"), "{said:?}");
    }

    #[test]
    fn a_model_that_was_trained_elsewhere_is_no_rule_and_controls_are_no_use() {
        let mut model = row("", "", "joint", 0.05, 0.001);
        model.point.clear();
        let control =
            FindingRow { control: Control::Positive, ..row("lr", "aligned", "joint", 0.3, 0.001) };
        let settings = Settings { frozen: true, adjust: "none".to_owned(), ..Settings::default() };
        let data = ReportData { settings, ..report(vec![model, control]) };
        let said = said(&data);
        assert_eq!(said.len(), 1);
        assert!(
            said[0].starts_with("The model uses quality: accuracy falls by 5.0 pp"),
            "{said:?}"
        );
        assert!(said[0].contains("raw p = 0.001") && !said[0].contains("fitted"), "{said:?}");
    }
}
