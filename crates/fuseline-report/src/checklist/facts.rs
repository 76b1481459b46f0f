//! Facts that a run recorded, each with the place where it stands.

use crate::answer::answer;
use crate::data::{Control, FileUsed, ReportData};
use crate::format::{count, counted, listed, size};
use crate::made_of::reads_labels;
use crate::methods::{Topic, command, command_place, methods_about, shell_word};
use crate::verdict::scheme;

/// A recorded fact.
pub struct Fact {
    /// The fact, as one or several sentences.
    pub text: String,
    /// Its place among the files of the run.
    pub place: &'static str,
}

const MANIFEST: &str = "manifest.json";
const WORKFLOW: &str = "the workflow's file";
const FINDINGS: &str = "findings.csv";
const METHODS: &str = "report.html, Methods";
const PROVENANCE: &str = "report.html, Provenance";

/// Names that are listed before the rest is counted.
const MAX_LISTED: usize = 12;
/// Letters of a digest that are shown: the manifest has them all.
const DIGEST_LETTERS: usize = 12;

/// Facts of one run.
pub struct Facts<'a> {
    pub data: &'a ReportData,
}

impl Facts<'_> {
    fn fact(text: impl Into<String>, place: &'static str) -> Option<Fact> {
        let text = text.into();
        (!text.is_empty()).then_some(Fact { text, place })
    }

    fn methods(&self, topic: Topic) -> Option<Fact> {
        Self::fact(methods_about(self.data, topic).join(" "), METHODS)
    }

    /// The stages whose kind begins with one of some words, as `name (kind)`.
    fn stages(&self, kinds: &[&str]) -> Vec<String> {
        let stages = self.data.provenance.stages.iter();
        let of = stages.filter(|stage| kinds.iter().any(|kind| stage.kind.starts_with(kind)));
        of.map(|stage| format!("{} ({})", stage.name, stage.kind)).collect()
    }

    fn has(&self, kinds: &[&str]) -> bool {
        !self.stages(kinds).is_empty()
    }

    fn files(&self, roles: &[&str]) -> Vec<&FileUsed> {
        let files = self.data.provenance.all_files().iter();
        files.filter(|file| roles.contains(&file.role.as_str())).collect()
    }

    /// The data that were read, or that they were simulated.
    pub fn input_files(&self) -> Option<Fact> {
        let files = self.files(&["input"]);
        if files.is_empty() {
            let simulated = self.stages(&["simulate."]);
            let text = match simulated.is_empty() {
                true => return None,
                false => format!(
                    "The data are simulated by the workflow, in {}, from seed {}.",
                    listed(&simulated),
                    self.data.asked.seed
                ),
            };
            return Self::fact(text, WORKFLOW);
        }
        Self::fact(
            format!("{} read: {}.", are(files.len(), "file"), file_list(&files)),
            "manifest.json, files; digests are BLAKE3, shortened here",
        )
    }

    /// Programs and rules, with their versions and digests.
    pub fn code(&self) -> Vec<Fact> {
        let origin = &self.data.provenance;
        let mut facts = vec![Fact {
            text: format!(
                "fuseline {}; workflow {} with digest {}.",
                origin.fuseline_version,
                self.data.asked.workflow,
                short(&origin.workflow_digest)
            ),
            place: MANIFEST,
        }];
        let rules: Vec<String> = origin
            .plugins
            .iter()
            .map(|rule| format!("{} {} ({})", rule.id, rule.version, short(&rule.digest)))
            .collect();
        if !rules.is_empty() {
            let text = format!("Fusion rules: {}.", listed(&rules));
            facts.push(Fact { text, place: "manifest.json, plugins" });
        }
        let programs = self.files(&["discovered"]);
        if !programs.is_empty() {
            let text = format!(
                "Programs of the workflow were found to have read {}.",
                file_list(&programs)
            );
            facts.push(Fact { text, place: "manifest.json, files" });
        }
        facts
    }

    /// The machine, and what the run took.
    pub fn compute(&self) -> Vec<Fact> {
        let Some(run) = &self.data.provenance.run else { return Vec::new() };
        let mut facts = Vec::new();
        if !run.machine.is_empty() {
            let text = format!("The run was coordinated on {}.", run.machine);
            facts.push(Fact { text, place: "manifest.json, machine" });
        }
        let mut text = format!(
            "It began at {} and took {}; {} of its {} actions were executed",
            run.started,
            duration(run.seconds),
            count(run.executed),
            count(run.actions)
        );
        if let Some(seconds) = run.cpu_seconds {
            text.push_str(&format!(", in {} of processor time", duration(seconds)));
        }
        if run.executed < run.actions {
            text.push_str(
                ", and the others were reused from earlier runs, whose time is not in it",
            );
        }
        if let Some(bytes) = run.peak_memory {
            text.push_str(&format!("; its process had at most {} of memory", size(bytes)));
        }
        text.push('.');
        facts.push(Fact { text, place: "manifest.json, seconds and actions" });
        facts
    }

    /// The commands that run it again and compare.
    pub fn reproduction(&self) -> Vec<Fact> {
        let line = command(self.data).replace(" \\\n  ", " ");
        let place = command_place(self.data);
        let mut facts =
            vec![Fact { text: format!("{place} {line}"), place: "report.md, How to reproduce" }];
        if let Some(run) = &self.data.provenance.run {
            let text = format!(
                "`fuseline reproduce {}` runs it again from nothing and compares every output of \
                 every action byte by byte.",
                shell_word(&run.id)
            );
            facts.push(Fact { text: text.replace('`', "\""), place: MANIFEST });
        }
        facts
    }

    /// The seed, and what hangs on it.
    pub fn seeds(&self) -> Option<Fact> {
        Self::fact(
            format!(
                "Everything random is drawn from seed {}; the same inputs, rules and seed give the \
                 same bytes.",
                self.data.asked.seed
            ),
            "manifest.json, seed",
        )
    }

    /// Numbers of examples, groups and modalities.
    pub fn sample(&self) -> Option<Fact> {
        let text = methods_about(self.data, Topic::Cohort).join(" ");
        (!self.data.findings.is_empty())
            .then(|| Self::fact(text, "findings.csv, n_examples and n_groups"))?
    }

    /// Classes of the outcome with their frequencies.
    pub fn classes(&self) -> Option<Fact> {
        let total: u64 = self.data.classes.iter().map(|(_, examples)| examples).sum();
        if total == 0 {
            return None;
        }
        let each = self.data.classes.iter().map(|(name, examples)| {
            let share = 100.0 * *examples as f64 / total as f64;
            format!("{name}: {} ({share:.1} %)", count(*examples))
        });
        let each: Vec<String> = each.collect();
        Self::fact(
            format!("Classes of the outcome in the cohort: {}.", each.join(", ")),
            "the artifact of the cohort's stage",
        )
    }

    /// Missing values.
    pub fn missing(&self) -> Option<Fact> {
        self.methods(Topic::Missing)
    }

    /// Cautions of stages about the data and their numbers.
    pub fn cautions(&self) -> Vec<Fact> {
        let cautions = &self.data.cautions;
        let place = "manifest.json, cautions";
        if cautions.is_empty() {
            let text = "No stage had a caution: none about rows that a join lost, values that \
                        could not be read, features that give the label away, or fits that did not \
                        converge.";
            return Self::fact(text, place).into_iter().collect();
        }
        let mut facts: Vec<Fact> = cautions
            .iter()
            .take(MAX_LISTED)
            .map(|caution| Fact {
                text: format!("Caution of {}: {}", caution.origin(), caution.text),
                place,
            })
            .collect();
        if let Some(more) = cautions.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
            facts.push(Fact { text: format!("{} more.", counted(more, "caution")), place });
        }
        facts
    }

    /// The stages before the experts.
    pub fn preparation(&self) -> Option<Fact> {
        let kinds = ["load.", "simulate.", "cohort.", "intervene.", "command", "join.", "quality."];
        let stages = self.stages(&kinds);
        (!stages.is_empty()).then(|| {
            Self::fact(
                format!(
                    "Stages that read, select and transform data: {}. Their options are in the \
                     workflow, and the figure of the stages shows the flow.",
                    listed(&stages)
                ),
                "report.html, Provenance; figures/stages.pdf",
            )
        })?
    }

    /// Experts and fusion rules.
    pub fn models(&self) -> Option<Fact> {
        let stages = self.stages(&["expert.", "fusion."]);
        let rules: Vec<String> =
            self.data.provenance.plugins.iter().map(|rule| rule.id.clone()).collect();
        let rules = match rules.is_empty() {
            true => String::new(),
            false => format!(" Fusion rules: {}.", listed(&rules)),
        };
        let models = &self.data.provenance.models;
        let frozen = match models.len() {
            0 => String::new(),
            many => format!(
                " {} by the digest of {} bytes.",
                if many == 1 {
                    "1 model was held frozen, and is named".to_owned()
                } else {
                    format!("{} models were held frozen, and are named", count(many as u64))
                },
                if many == 1 { "its" } else { "their" }
            ),
        };
        (!stages.is_empty()).then(|| {
            Self::fact(
                format!("Stages with models: {}.{rules}{frozen}", listed(&stages)),
                PROVENANCE,
            )
        })?
    }

    /// Options of the models.
    pub fn hyperparameters(&self) -> Vec<Fact> {
        let params: Vec<String> = self
            .data
            .asked
            .params
            .iter()
            .take(MAX_LISTED)
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        let mut facts = Vec::new();
        if !params.is_empty() {
            let text = format!("Parameters of the workflow: {}.", listed(&params));
            facts.push(Fact { text, place: "manifest.json, params" });
        }
        if self.has(&["expert.", "fusion."]) {
            let text = "Every option of experts and rules is in the workflow, or is the default \
                        that `fuseline stages KIND` names.";
            facts.push(Fact { text: text.replace('`', "\""), place: WORKFLOW });
        }
        facts
    }

    /// Division into training and test rows.
    pub fn split(&self) -> Vec<Fact> {
        let splits = self.stages(&["split."]);
        let mut facts = Vec::new();
        if !splits.is_empty() {
            let text = format!("Rows are divided by {}.", listed(&splits));
            facts.push(Fact { text, place: WORKFLOW });
        }
        facts.extend(self.methods(Topic::Intervention));
        facts
    }

    /// Checks against leakage, and what was let through by declaration.
    pub fn leakage(&self) -> Vec<Fact> {
        let mut facts = vec![Fact {
            text: "The leakage guard passed: before anything ran, on the rows that each artifact \
                   holds and that shaped it, and while running, on the real examples and groups. \
                   Fitting on test rows, applying a model to rows that shaped it, and a group on \
                   both sides of a split each stop a run."
                .to_owned(),
            place: WORKFLOW,
        }];
        let elsewhere = self.stages(&["expert.precomputed", "expert.onnx", "fusion.load"]);
        if !elsewhere.is_empty() {
            let text = format!(
                "Models of {} were fitted elsewhere: that no test row was among their training \
                 rows is as the workflow declares it.",
                listed(&elsewhere)
            );
            facts.push(Fact { text, place: WORKFLOW });
        }
        facts
    }

    /// Conditions that read labels of test rows by design.
    pub fn label_readers(&self) -> Option<Fact> {
        let findings = &self.data.findings;
        let positive = findings.iter().filter(|row| row.control == Control::Positive).count();
        let schemes =
            findings.iter().filter(|row| reads_labels(scheme(row, &self.data.settings))).count();
        let mut parts = Vec::new();
        if positive > 0 {
            parts.push(counted(positive, "positive control"));
        }
        if schemes > 0 {
            parts.push(format!("{} under schemes that hold labels fixed", counted(schemes, "row")));
        }
        let text = match parts.is_empty() {
            true => "No condition reads labels of test rows.".to_owned(),
            false => format!(
                "Labels of test rows are read by design, and marked so, in {}; what they shape \
                 reaches no native condition.",
                listed(&parts)
            ),
        };
        (!findings.is_empty()).then(|| Self::fact(text, "findings.csv, control"))?
    }

    /// The measure.
    pub fn metrics(&self) -> Vec<Fact> {
        [Topic::Gap, Topic::Gain].into_iter().filter_map(|topic| self.methods(topic)).collect()
    }

    /// Intervals.
    pub fn intervals(&self) -> Option<Fact> {
        self.methods(Topic::Interval)
    }

    /// Tests, their adjustment, and the claim of absence.
    pub fn tests(&self) -> Vec<Fact> {
        [Topic::Test, Topic::Equivalence]
            .into_iter()
            .filter_map(|topic| self.methods(topic))
            .collect()
    }

    /// Conditions, none of which is left out.
    pub fn conditions(&self) -> Vec<Fact> {
        let rows = self.data.findings.len();
        let all = format!("All {} of the workflow are reported.", counted(rows, "condition"));
        let all = (rows > 1).then_some(Fact { text: all, place: FINDINGS });
        self.methods(Topic::Conditions).into_iter().chain(all).collect()
    }

    /// Reference that decisions are compared with.
    pub fn baselines(&self) -> Vec<Fact> {
        let findings = &self.data.findings;
        let mut parts = Vec::new();
        if findings.iter().any(|row| row.ba_without_quality.is_some()) {
            parts.push(self.data.settings.reference().to_owned());
        }
        if findings.iter().any(|row| row.ba_best_unimodal.is_some()) {
            parts.push("the best single expert".to_owned());
        }
        if findings.iter().any(|row| row.ba_oracle.is_some()) {
            parts.push("an oracle that chooses between the experts".to_owned());
        }
        if findings.iter().any(|row| row.control == Control::Negative) {
            parts.push("negative controls".to_owned());
        }
        if findings.iter().any(|row| row.control == Control::Positive) {
            parts.push("positive controls".to_owned());
        }
        let text = match parts.is_empty() {
            true => String::new(),
            false => format!("Decisions are compared with {}.", listed(&parts)),
        };
        Self::fact(text, FINDINGS).into_iter().collect()
    }

    /// The answer of the report.
    pub fn answer(&self) -> Option<Fact> {
        let answer = answer(self.data);
        let uses = answer.uses.iter().map(crate::uses::Use::sentence);
        let text: Vec<String> =
            std::iter::once(answer.headline.clone()).chain(uses.take(MAX_LISTED)).collect();
        (!self.data.findings.is_empty())
            .then(|| Self::fact(text.join(" "), "report.html, first screen"))?
    }

    /// Gaps by fold or group.
    pub fn spreads(&self) -> Option<Fact> {
        let mut units: Vec<String> = Vec::new();
        for spread in &self.data.spreads {
            if !units.contains(&spread.unit) {
                units.push(spread.unit.clone());
            }
        }
        let text = match units.is_empty() {
            true => String::new(),
            false => format!("Gaps are shown for each {}.", listed(&units)),
        };
        Self::fact(text, "report.html, Spread")
    }
}

/// Files with sizes, digests and readers, as many as a reader takes in.
fn file_list(files: &[&FileUsed]) -> String {
    let shown = files.iter().take(MAX_LISTED).map(|file| {
        let size = file.size.map_or_else(|| "folder".to_owned(), size);
        format!("{} ({size}, {})", file.name, short(&file.digest))
    });
    let mut shown: Vec<String> = shown.collect();
    if files.len() > MAX_LISTED {
        shown.push(format!("{} more", files.len() - MAX_LISTED));
    }
    listed(&shown)
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGEST_LETTERS).collect()
}

fn are(number: usize, noun: &str) -> String {
    format!("{} {}", counted(number, noun), if number == 1 { "was" } else { "were" })
}

/// Seconds in a unit that people read.
fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 7200.0 => format!("{:.1} hours", seconds / 3600.0),
        seconds if seconds >= 120.0 => format!("{:.1} minutes", seconds / 60.0),
        seconds => format!("{seconds:.1} seconds"),
    }
}
