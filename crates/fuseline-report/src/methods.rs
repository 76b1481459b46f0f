//! The methods paragraph, from what was run, and the command that runs it again.

use crate::data::{Control, FindingRow, ReportData};
use crate::format::{count, finite, listed, percent, size_pp};
use crate::verdict::scheme;

/// The question that every report answers.
pub const QUESTION: &str = "Does the fused decision use quality?";

/// Sentences to paste into a paper.
pub fn methods(data: &ReportData) -> Vec<String> {
    let settings = &data.settings;
    let mut sentences = vec![cohort(data)];
    sentences.extend(conditions(data));
    sentences.push(format!(
        "Experts and fusion rules were fitted on training folds and then held frozen; quality was permuted across test \
         examples ({} {}, {} permutations), while evidence and availability stayed fixed.",
        listed(&schemes(data)),
        if schemes(data).len() == 1 { "scheme" } else { "schemes" },
        span(data, |row| row.n_permutations)
    ));
    sentences.push(
        "The permutation gap is the balanced accuracy under quality as measured (Clean-Q) minus its mean under permuted \
         quality (Broken-Q), both pooled over test folds."
            .to_owned(),
    );
    sentences.push(format!(
        "p-values are one-sided, (b + 1) / (m + 1) with b of m permutations at least as accurate as Clean-Q; {} The \
         significance level is {}.",
        adjustment(&settings.adjust),
        settings.alpha
    ));
    sentences.push(format!(
        "Intervals ({}) are percentiles of {} bootstrap resamples of groups, both accuracies from the same resample.",
        percent(Some(settings.confidence)).replace(".0", ""),
        count(settings.bootstrap_resamples)
    ));
    sentences.push(match finite(settings.equivalence_margin) {
        Some(margin) => format!(
            "Absence of dependence is claimed only where the whole interval lies within ±{}.",
            size_pp(margin)
        ),
        None => "No equivalence margin was stated, so absence of dependence is claimed nowhere."
            .to_owned(),
    });
    if data.findings.iter().any(|row| row.ba_without_quality.is_some()) {
        sentences.push(
            "Each rule was also refitted without quality; the gain is the balanced accuracy under Clean-Q minus that of \
             the refitted rule."
                .to_owned(),
        );
    }
    sentences.push(format!(
        "Calculated with fuseline {}, seed {}.",
        data.provenance.fuseline_version, data.asked.seed
    ));
    sentences
}

fn cohort(data: &ReportData) -> String {
    let examples = span(data, |row| row.n_examples);
    let groups = span(data, |row| row.n_groups);
    let modalities = match data.modalities.as_slice() {
        [] => String::new(),
        [one] => format!(" with one modality ({one})"),
        several => format!(" with {} modalities ({})", several.len(), listed(several)),
    };
    format!("The diagnostic was run on {examples} test examples of {groups} groups{modalities}.")
}

fn conditions(data: &ReportData) -> Vec<String> {
    let axes: Vec<String> = data
        .axes
        .iter()
        .map(|axis| {
            let mut values: Vec<String> = Vec::new();
            for value in data.findings.iter().filter_map(|row| row.value_of(axis)) {
                if !values.iter().any(|known| known == value) {
                    values.push(value.to_owned());
                }
            }
            let shown = if values.len() > 12 {
                format!("{} values", values.len())
            } else {
                listed(&values)
            };
            format!("{axis} ({shown})")
        })
        .collect();
    if axes.is_empty() {
        return Vec::new();
    }
    let of = |control: Control| data.findings.iter().filter(|row| row.control == control).count();
    vec![format!(
        "Conditions crossed {}: {} native, {} positive and {} negative controls.",
        listed(&axes),
        of(Control::Native),
        of(Control::Positive),
        of(Control::Negative)
    )]
}

fn schemes(data: &ReportData) -> Vec<String> {
    let mut schemes: Vec<String> = Vec::new();
    for row in &data.findings {
        let name = scheme(row, &data.settings).to_owned();
        if !schemes.contains(&name) {
            schemes.push(name);
        }
    }
    if schemes.is_empty() { vec![data.settings.scheme.clone()] } else { schemes }
}

/// One count, or the lowest and highest of several.
pub fn span(data: &ReportData, value: impl Fn(&FindingRow) -> u64) -> String {
    let low = data.findings.iter().map(&value).min().unwrap_or(0);
    let high = data.findings.iter().map(&value).max().unwrap_or(0);
    if low == high { count(low) } else { format!("{} to {}", count(low), count(high)) }
}

fn adjustment(adjust: &str) -> String {
    match adjust {
        "holm" => "they are adjusted for the family of tests by Holm's method.".to_owned(),
        "benjamini_hochberg" => {
            "they are adjusted for the false discovery rate by the method of Benjamini and Hochberg.".to_owned()
        }
        "none" => "they are not adjusted for multiple testing.".to_owned(),
        other => format!("they are adjusted for the family of tests by the method {other}."),
    }
}

/// The command that runs the workflow again with the same params.
pub fn command(data: &ReportData) -> String {
    let file = data.asked.file.clone().unwrap_or_else(|| format!("{}.yaml", data.asked.workflow));
    let mut command = format!("fuseline run {}", quoted(&file));
    for (name, value) in &data.asked.params {
        command.push_str(&format!(" \\\n  --set {}", quoted(&format!("{name}={value}"))));
    }
    command
}

/// Text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:@+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_survives_a_shell() {
        let mut data = ReportData::default();
        data.asked.workflow = "my study".to_owned();
        data.asked.params =
            vec![("data".to_owned(), "it's here".to_owned()), ("folds".to_owned(), "5".to_owned())];
        assert_eq!(
            command(&data),
            "fuseline run 'my study.yaml' \\\n  --set 'data=it'\\''s here' \\\n  --set folds=5"
        );
    }
}
