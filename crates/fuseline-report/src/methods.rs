//! The methods paragraph, from what was run, and the command that runs it again.

use fuseline_artifact::is_unseen;

use crate::data::{Control, FindingRow, ReportData};
use crate::format::{count, counted, finite, listed, percent, size_pp};
use crate::verdict::{asks, scheme};

/// The question that every report answers.
pub fn question(data: &ReportData) -> &'static str {
    match data.settings.metric {
        None => "Does the fused decision use quality?",
        Some(_) => "Does the fused prediction use quality?",
    }
}

/// Sentences to paste into a paper.
pub fn methods(data: &ReportData) -> Vec<String> {
    sentences(data).all.into_iter().map(|(_, sentence)| sentence).collect()
}

/// The sentences about one topic.
pub fn methods_about(data: &ReportData, topic: Topic) -> Vec<String> {
    let all = sentences(data).all.into_iter();
    all.filter(|(of, _)| *of == topic).map(|(_, sentence)| sentence).collect()
}

/// Topic of a sentence of the methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Examples, groups and modalities.
    Cohort,
    /// Values that are missing or not finite.
    Missing,
    /// The conditions that were crossed.
    Conditions,
    /// Training data of experts and rules, and how quality was permuted.
    Intervention,
    /// The effect that is measured.
    Gap,
    /// The test, its adjustment and its level.
    Test,
    /// Intervals.
    Interval,
    /// The claim of absence.
    Equivalence,
    /// The gain over a decision without quality.
    Gain,
    /// Version and seed.
    Software,
}

/// Sentences, each with the topic that was set before it.
struct Sentences {
    topic: Topic,
    all: Vec<(Topic, String)>,
}

impl Sentences {
    fn push(&mut self, sentence: String) {
        self.all.push((self.topic, sentence));
    }

    fn extend(&mut self, sentences: impl IntoIterator<Item = String>) {
        sentences.into_iter().for_each(|sentence| self.push(sentence));
    }
}

fn sentences(data: &ReportData) -> Sentences {
    let settings = &data.settings;
    let mut sentences = Sentences { topic: Topic::Cohort, all: Vec::new() };
    sentences.push(cohort(data));
    sentences.topic = Topic::Missing;
    sentences.extend(observed(data));
    sentences.topic = Topic::Conditions;
    sentences.extend(conditions(data));
    sentences.topic = Topic::Intervention;
    sentences.push(format!(
        "{}; {} times, quality was permuted while {} stayed fixed.",
        match settings.frozen {
            true => "The model was trained elsewhere and is frozen: asked first and last with the \
                same quality, it answers alike"
                .to_owned(),
            false => format!("{} and then held frozen", fitted(data)),
        },
        span(data, |row| row.n_permutations),
        if sees_embeddings(data) {
            "evidence, availability and, where a rule sees them, embeddings"
        } else {
            "evidence and availability"
        },
    ));
    sentences.extend(moved(data));
    sentences.extend(intervened(data));
    sentences.extend(schemes(data).iter().map(|name| format!("{}.", in_words(name))));
    match settings.metric {
        Some(metric) => {
            let topics = [Topic::Gap, Topic::Test, Topic::Interval];
            let topics = topics.into_iter().chain(std::iter::repeat(Topic::Gain));
            sentences.all.extend(topics.zip(crate::numbers::methods(data, metric)));
        }
        None => of_accuracy(data, &mut sentences),
    }
    sentences.topic = Topic::Software;
    sentences.push(format!(
        "Calculated with fuseline {}, seed {}.",
        data.provenance.fuseline_version, data.asked.seed
    ));
    sentences
}

/// Gap of accuracy: its definition, its test, and what stands beside it.
fn of_accuracy(data: &ReportData, sentences: &mut Sentences) {
    let settings = &data.settings;
    sentences.topic = Topic::Gap;
    sentences.push(
        "The permutation gap is the balanced accuracy under quality as measured (Clean-Q) minus \
         its mean under permuted quality (Broken-Q), both pooled over all test examples."
            .to_owned(),
    );
    if !settings.labels.is_empty() {
        sentences.push(format!(
            "Every balanced accuracy is the mean over {} labels ({}), each with experts and rules \
             of its own; a permutation exchanges the qualities of the same examples for all of them.",
            settings.labels.len(),
            listed(&settings.labels)
        ));
    }
    sentences.topic = Topic::Test;
    sentences.push(format!(
        "p-values are one-sided, (b + 1) / (m + 1) with b of m permutations at least as accurate \
         as Clean-Q; {} The significance level is {}.",
        adjustment(data),
        settings.alpha
    ));
    sentences.topic = Topic::Interval;
    sentences.push(format!(
        "Intervals ({}) are {} of {} bootstrap resamples of groups, both accuracies from the same \
         resample.",
        percent(Some(settings.confidence)).replace(".0", ""),
        match settings.interval.as_str() {
            "bca" => "bias-corrected and accelerated percentiles",
            _ => "percentiles",
        },
        count(settings.bootstrap_resamples)
    ));
    sentences.topic = Topic::Equivalence;
    sentences.push(match finite(settings.equivalence_margin) {
        Some(margin) => format!(
            "Absence of dependence is claimed only where the wider of this interval and a bound \
             that supposes, in each class, one more group of average size at either extreme (the \
             exact interval of Clopper and Pearson where a decision is right or wrong) lies \
             within ±{}; of each condition by itself, not adjusted for their number.",
            size_pp(margin)
        ),
        None => "No equivalence margin was stated, so absence of dependence is claimed nowhere."
            .to_owned(),
    });
    sentences.topic = Topic::Gain;
    if settings.loaded
        && !settings.held
        && data.findings.iter().any(|row| row.ba_without_quality.is_some())
    {
        sentences.push(
            "The gain is the balanced accuracy under Clean-Q minus that of the same model given \
             quality that says nothing, with an interval from resamples that both share."
                .to_owned(),
        );
    } else if settings.frozen
        || settings.held && data.findings.iter().any(|row| row.ba_without_quality.is_some())
    {
        sentences.push(
            "The gain is the balanced accuracy under Clean-Q minus that of the same model with \
             quality held neutral (at its mean over the tested examples, unless a value was given), \
             with an interval from resamples that both share."
                .to_owned(),
        );
    } else if data.findings.iter().any(|row| row.ba_without_quality.is_some()) {
        let stands_for = settings
            .without_quality
            .as_ref()
            .map_or_else(String::new, |(axis, value)| format!(" ({axis} {value} stands for that)"));
        sentences.push(format!(
            "Each rule was also refitted without quality{stands_for}; the gain is the balanced \
             accuracy under Clean-Q minus that of the refitted rule, with an interval from \
             resamples that both share."
        ));
    }
}

/// For how many examples quality really changed.
fn moved(data: &ReportData) -> Option<String> {
    let native = |row: &&FindingRow| row.is_counted() && row.control == Control::Native;
    let shares = || data.findings.iter().filter(native).filter_map(|row| row.moved_share);
    let low = shares().fold(f64::INFINITY, f64::min);
    let high = shares().fold(f64::NEG_INFINITY, f64::max);
    let (low_text, high_text) = (percent(Some(low)), percent(Some(high)));
    (low <= high).then(|| {
        format!(
            "In native conditions a permutation changed the quality of {} of the examples{}.",
            if low_text == high_text {
                high_text
            } else {
                format!("{} to {high_text}", low_text.trim_end_matches("\u{a0}%"))
            },
            data.settings.least_moved_share.map_or_else(String::new, |share| format!(
                "; where that is less than {} of those that a joint permutation changes, the \
                 absence of dependence is called not testable",
                percent(Some(share)).replace(".0", "")
            ))
        )
    })
}

/// Sentence that outages and degradations affect test examples alone, and where their severity is
/// given.
fn intervened(data: &ReportData) -> Option<String> {
    any_stage(data, "intervene.").then(|| {
        "Outages and degradations hit test examples alone: experts and rules are those of the \
         intact study, and kind and severity are axes of the findings or options of the workflow."
            .to_owned()
    })
}

fn cohort(data: &ReportData) -> String {
    let examples = span(data, |row| row.n_examples);
    let groups = span(data, |row| row.n_groups);
    let modalities = match data.modalities.as_slice() {
        [] => String::new(),
        [one] => format!(" with one modality ({one})"),
        several => format!(" with {} modalities ({})", several.len(), listed(several)),
    };
    let simulated = if any_stage(data, "simulate.") { "simulated " } else { "" };
    format!(
        "The permutation diagnostic of Moon et al. (arXiv 2606.26473) was run on {examples} \
         {simulated}test examples of {groups} groups{modalities}."
    )
}

/// True if a stage is of a kind that begins so.
fn any_stage(data: &ReportData, kind: &str) -> bool {
    data.provenance.stages.iter().any(|stage| stage.kind.starts_with(kind))
}

/// True if a fusion rule is fitted on features, too.
fn sees_embeddings(data: &ReportData) -> bool {
    let is = |name: &str, kinds: &[&str]| {
        data.provenance
            .stages
            .iter()
            .any(|of| of.name == name && kinds.iter().any(|kind| of.kind.starts_with(kind)))
    };
    data.provenance.edges.iter().any(|(producer, consumer)| {
        is(consumer, &["fusion.fit"])
            && is(producer, &["load.", "simulate.features", "intervene.degrade"])
    })
}

/// Sentences on the models that were fitted, and their training data.
fn fitted(data: &ReportData) -> String {
    let is_expert = |kind: &str| kind.starts_with("expert.") && kind != "expert.none";
    let experts = data.provenance.stages.iter().filter(|stage| is_expert(&stage.kind));
    let elsewhere = experts.clone().count() > 0
        && experts.clone().all(|stage| stage.kind == "expert.precomputed");
    if data.settings.loaded {
        return "Fusion models were trained elsewhere, loaded,".to_owned();
    }
    let what = if elsewhere {
        "Evidence came from experts that were fitted elsewhere; fusion rules were fitted on its \
         training part"
    } else {
        "Experts and fusion rules were fitted on training examples alone"
    };
    let folds =
        data.spreads.iter().find(|spread| spread.unit == "fold").map(|spread| spread.gaps.len());
    match folds {
        Some(folds)
            if [
                "split.group_kfold",
                "split.stratified_group_kfold",
                "split.leave_one_group_out",
            ]
            .iter()
            .any(|kind| any_stage(data, kind)) =>
        {
            format!(
                "{what}, in cross-validation over {folds} folds that keep the examples of a group \
                 together,"
            )
        }
        _ => what.to_owned(),
    }
}

/// Number of feature values that are missing or not finite, and their treatment.
fn observed(data: &ReportData) -> Option<String> {
    if data.observed.is_empty() {
        return None;
    }
    if data.observed.iter().all(|of| of.missing + of.not_finite == 0) {
        return Some("No feature value is missing or not finite.".to_owned());
    }
    let each: Vec<String> = data
        .observed
        .iter()
        .map(|of| {
            format!(
                "{} lacks {} of {} ({}) and has {} that are not finite",
                of.modality,
                count(of.missing),
                count(of.values),
                percent(Some(of.missing as f64 / of.values.max(1) as f64)),
                count(of.not_finite)
            )
        })
        .collect();
    Some(format!(
        "Of the feature values, {}; experts fitted here put the mean of their fitting rows in \
         place of both.",
        listed(&each)
    ))
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
    let of = |(control, noun): (Control, &str)| {
        let rows = || data.findings.iter().filter(move |row| row.control == control);
        let silent = rows().filter(|row| asks(row) != control).count();
        let of_their_own = rows().filter(|row| row.is_counted()).count();
        let is_part = (1..rows().count()).contains(&of_their_own);
        let notes = [
            (silent, "at alpha 0, which is noise"),
            (if is_part { of_their_own } else { 0 }, "counted"),
        ];
        let notes = notes.into_iter().filter(|(number, _)| *number > 0);
        let notes: Vec<String> = notes.map(|(n, what)| format!("{n} of them {what}")).collect();
        match (rows().count(), notes.is_empty()) {
            (0, _) => None,
            (many, true) => Some(counted(many, noun)),
            (many, false) => Some(format!("{} ({})", counted(many, noun), notes.join("; "))),
        }
    };
    let kinds = [
        (Control::Native, "native condition"),
        (Control::Positive, "positive control"),
        (Control::Negative, "negative control"),
    ];
    let counts: Vec<String> = kinds.into_iter().filter_map(of).collect();
    vec![format!("Conditions crossed {}: {}.", listed(&axes), listed(&counts))]
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

/// Effect of a permutation scheme, as in its documentation.
fn in_words(scheme: &str) -> String {
    let what = match scheme {
        "joint" => {
            "the qualities of an example moved together, among examples with the same available \
             modalities"
        }
        "per_modality" => {
            "each modality's quality moved on its own, among the examples that have the modality"
        }
        "within_group" => "the qualities of an example moved together, within groups only",
        "whole_groups" => {
            "groups took the qualities of other groups of as many examples with the same \
             available modalities, all at once"
        }
        "conditional" => {
            "the qualities of an example moved together, among examples of like confidence only"
        }
        "derangement" => {
            "the qualities of an example moved together, and no example kept its own where there \
             was another to take: an effect size, without a p-value"
        }
        "within_class" => {
            "the qualities of an example moved together, among examples of the same label only; \
             this reads labels of test examples and says what a gap is made of"
        }
        "within_correct" => {
            "the qualities of an example moved together, among examples whose experts are right \
             in the same modalities only; this reads labels of test examples and says what a gap \
             is made of"
        }
        "conditional_residual" => {
            "what evidence and availability do not tell of an example's qualities moved together: \
             the residuals of a ridge regression that was fitted on the rule's training examples"
        }
        "modality_swap" => {
            "the available modalities of each example exchanged their qualities in a random order"
        }
        "constant" => "every example took the mean quality of its modality",
        _ => return format!("The permutation scheme was {scheme}"),
    };
    format!("Under the {scheme} scheme, {what}")
}

pub(crate) fn adjustment(data: &ReportData) -> String {
    let how = match data.settings.adjust.as_str() {
        "holm" => "they are adjusted by Holm's method".to_owned(),
        "benjamini_hochberg" => {
            "they are adjusted for the false discovery rate by the method of Benjamini and Hochberg"
                .to_owned()
        }
        "none" => return "they are not adjusted for multiple testing.".to_owned(),
        other => format!("they are adjusted by the method {other}"),
    };
    let mut parts = Vec::new();
    let controls = |control| data.findings.iter().any(|row| row.control == control);
    if [Control::Native, Control::Positive, Control::Negative]
        .into_iter()
        .filter(|c| controls(*c))
        .count()
        > 1
    {
        parts.push(
            "native conditions, positive controls and negative controls being families of their \
             own; controls are judged by p-values before adjustment"
                .to_owned(),
        );
    }
    if !data.settings.families.is_empty() {
        parts.push(format!("within each {}", listed(&data.settings.families)));
    }
    if parts.is_empty() { format!("{how}.") } else { format!("{how}, {}.", parts.join(", ")) }
}

/// The command that runs the workflow again with the same params.
pub fn command(data: &ReportData) -> String {
    let file = data.asked.file.clone().unwrap_or_else(|| format!("{}.yaml", data.asked.workflow));
    let mut command = format!("fuseline run {}", shell_word(&file));
    for (name, value) in &data.asked.params {
        let value = match data.asked.shortened.contains(name) {
            true => format!("PATH/TO/{value}"),
            false => value.clone(),
        };
        command.push_str(&format!(" \\\n  --set {}", shell_word(&format!("{name}={value}"))));
    }
    for folder in &data.asked.plugin_path {
        command.push_str(&format!(" \\\n  --plugin-path {}", shell_word(folder)));
    }
    if !data.asked.workflow.is_empty() && has_workflow(data) {
        command.push_str(&format!(" \\\n  --seed {}", data.asked.seed));
    }
    command
}

/// True if the report is about a workflow: that of one frozen model is about a call.
fn has_workflow(data: &ReportData) -> bool {
    !data.provenance.stages.is_empty()
}

/// Folder in which the command runs, and what must be put in for it to do so.
pub fn command_place(data: &ReportData) -> String {
    let mut place = "In the workflow's folder:".to_owned();
    if !data.asked.shortened.is_empty() {
        place = format!(
            "In the workflow's folder, with the path of {} put in (`fuseline report` prints the \
             command with its paths):",
            listed(&data.asked.shortened)
        );
    }
    place
}

/// Text as one word of a POSIX shell.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:@+%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else if text.chars().any(is_unseen) {
        // What would do something to a terminal, in the notation of POSIX 2024.
        let letter = |c: char| match c {
            '\'' | '\\' => format!("\\{c}"),
            c if is_unseen(c) && c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
            c if is_unseen(c) => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        };
        format!("$'{}'", text.chars().map(letter).collect::<String>())
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Spread, StageRun};

    #[test]
    fn the_methods_say_what_was_run_and_nothing_else() {
        let mut data = ReportData::default();
        let row = |control, scheme: &str| FindingRow {
            control,
            point: vec![("scheme".to_owned(), scheme.to_owned())],
            ba_without_quality: Some(0.5),
            ..FindingRow::default()
        };
        data.axes = vec!["scheme".to_owned()];
        data.findings =
            vec![row(Control::Positive, "joint"), row(Control::Negative, "modality_swap")];
        data.settings.families = vec!["scheme".to_owned()];
        data.settings.without_quality = Some(("alpha".to_owned(), "0.0".to_owned()));
        let text = methods(&data).join(" ");
        for said in [
            "Experts and fusion rules were fitted on training examples alone and then held frozen",
            "1 positive control and 1 negative control.",
            "Under the modality_swap scheme, the available modalities of each example exchanged",
            "by p-values before adjustment, within each scheme.",
            "without quality (alpha 0.0 stands for that)",
        ] {
            assert!(text.contains(said), "{said} is not in {text}");
        }
        for not_so in ["simulated", "folds", "native condition,", "elsewhere"] {
            assert!(!text.contains(not_so), "{not_so} is in {text}");
        }

        let stage = |kind: &str| StageRun { kind: kind.to_owned(), ..StageRun::default() };
        data.provenance.stages =
            ["simulate.cohort", "split.group_kfold", "expert.precomputed"].map(stage).into();
        data.spreads = vec![Spread {
            unit: "fold".to_owned(),
            gaps: ["0", "1", "2"].map(|fold| (fold.to_owned(), 0.0)).into(),
            ..Spread::default()
        }];
        data.findings.truncate(1);
        data.settings.adjust = "none".to_owned();
        let text = methods(&data).join(" ");
        for said in [
            "simulated test examples",
            "Evidence came from experts that were fitted elsewhere",
            "over 3 folds",
            "they are not adjusted for multiple testing.",
        ] {
            assert!(text.contains(said), "{said} is not in {text}");
        }
    }

    #[test]
    fn intervals_and_embeddings_are_named_where_they_are() {
        let mut data = ReportData::default();
        let text = methods(&data).join(" ");
        assert!(text.contains("are percentiles of 2000") && !text.contains("embeddings"), "{text}");
        data.settings.interval = "bca".to_owned();
        let stage = |(name, kind): (&str, &str)| StageRun {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..StageRun::default()
        };
        data.provenance.stages = [("x", "load.csv"), ("fusion", "fusion.fit")].map(stage).into();
        data.provenance.edges = vec![("x".to_owned(), "fusion".to_owned())];
        let text = methods(&data).join(" ");
        assert!(text.contains("are bias-corrected and accelerated percentiles of 2000"), "{text}");
        assert!(text.contains("where a rule sees them, embeddings stayed fixed"), "{text}");
    }

    #[test]
    fn a_positive_control_of_strength_0_is_counted_as_noise() {
        let row = |alpha: &str| FindingRow {
            control: Control::Positive,
            point: vec![("alpha".to_owned(), alpha.to_owned())],
            ..FindingRow::default()
        };
        let data = ReportData {
            axes: vec!["alpha".to_owned()],
            findings: vec![row("0.0"), row("1.0")],
            ..ReportData::default()
        };
        assert_eq!(
            conditions(&data),
            ["Conditions crossed alpha (0.0 and 1.0): 2 positive controls (1 of them at alpha 0, \
                which is noise)."]
        );
    }

    #[test]
    fn what_the_features_lack_is_counted_by_modality() {
        let of = |modality: &str, missing, not_finite| crate::data::Observed {
            modality: modality.to_owned(),
            values: 2000,
            missing,
            not_finite,
        };
        let mut data = ReportData::default();
        assert_eq!(observed(&data), None);
        data.observed = vec![of("audio", 0, 0)];
        assert_eq!(observed(&data).as_deref(), Some("No feature value is missing or not finite."));
        data.observed.push(of("video", 30, 2));
        assert_eq!(
            observed(&data).as_deref(),
            Some(
                "Of the feature values, audio lacks 0 of 2000 (0.0\u{a0}%) and has 0 that are not \
                 finite and video lacks 30 of 2000 (1.5\u{a0}%) and has 2 that are not finite; \
                 experts fitted here put the mean of their fitting rows in place of both."
            )
        );
    }

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
