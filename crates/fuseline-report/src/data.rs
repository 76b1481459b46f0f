//! Data of a report.
//!
//! Plain structs, filled in from the artifacts by the caller. A value that was not measured is
//! `None` (or an empty list), and the report then leaves out what would have needed it.

pub use fuseline_artifact::Control;
use fuseline_artifact::{Finding, Findings, findings_columns};
use serde::{Deserialize, Serialize};

use crate::format::finite;
use crate::numbers::{Metric, MetricRow};
use crate::supplements::Supplements;

/// Names the values that the axes have at one place, in the order of the axes.
pub type Point = Vec<(String, String)>;

/// Everything that one report shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// Title of the report; empty: the workflow's name.
    #[serde(default)]
    pub title: String,
    /// The workflow with its params and seed.
    pub asked: Asked,
    /// Names of the axes that the findings vary along, in the declared order.
    pub axes: Vec<String>,
    /// Names of the modalities, in the declared order.
    pub modalities: Vec<String>,
    /// One row a point.
    pub findings: Vec<FindingRow>,
    /// Null distributions, for all points, some, or none.
    #[serde(default)]
    pub nulls: Vec<NullDistribution>,
    /// Settings of the tests.
    pub settings: Settings,
    /// Provenance of the findings.
    pub provenance: Provenance,
    /// Cautions about the numbers; may be empty.
    #[serde(default)]
    pub cautions: Vec<Caution>,
    /// Accuracy of each expert at each level of quality; may be empty.
    #[serde(default)]
    pub reliability: Vec<ReliabilityCurve>,
    /// Gap by fold, group or other unit; may be empty.
    #[serde(default)]
    pub spreads: Vec<Spread>,
    /// Parts of the test, such as folds, whose examples are all of one class, each with the class;
    /// may be empty.
    #[serde(default)]
    pub one_class: Vec<(String, String)>,
    /// Number of feature values that each modality lacks; may be empty.
    #[serde(default)]
    pub observed: Vec<Observed>,
    /// Accuracy attainable by choosing between experts, one a point; may be empty.
    #[serde(default)]
    pub routing: Vec<Routing>,
    /// Repetitions, subgroups, calibration and the audit of the data; may be empty.
    #[serde(default)]
    pub supplements: Supplements,
    /// Number of examples of each class in the cohort; may be empty.
    #[serde(default)]
    pub classes: Vec<(String, u64)>,
}

/// Caution of an upstream action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caution {
    /// The stages with their points, first one first.
    pub actions: Vec<String>,
    /// Text of the caution.
    pub text: String,
}

impl Caution {
    /// The first action, and how many more say the same.
    #[must_use]
    pub fn origin(&self) -> String {
        match self.actions.as_slice() {
            [first, more @ ..] if !more.is_empty() => format!("{first} and {} more", more.len()),
            actions => actions.concat(),
        }
    }
}

/// Balanced accuracies of one fused decision and of choices between its experts, as fractions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Routing {
    /// The point, as in the findings.
    pub point: Point,
    /// Of the fused decision under Clean-Q.
    pub fused: Option<f64>,
    /// Of the best single expert.
    pub best_expert: Option<f64>,
    /// Of a router that learns from evidence and quality which expert to choose.
    pub router: Option<f64>,
    /// Of a router that learns from evidence alone.
    pub router_without_quality: Option<f64>,
    /// Of the oracle.
    pub oracle: Option<f64>,
    /// Share of examples where an expert is right and the fused decision is not.
    pub regret: Option<f64>,
}

/// Completeness of the features of one modality.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The modality, or the stage's point.
    pub modality: String,
    /// Its values: examples by features.
    pub values: u64,
    /// Number of missing values, including those that loading made missing.
    pub missing: u64,
    /// Number of values that are kept and not finite.
    pub not_finite: u64,
}

/// The workflow that was run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Name of the workflow.
    pub workflow: String,
    /// Its description.
    #[serde(default)]
    pub description: Option<String>,
    /// Path of the workflow's file as the user would type it; `None`: the name with `.yaml`.
    #[serde(default)]
    pub file: Option<String>,
    /// Every param with its value, as text.
    pub params: Vec<(String, String)>,
    /// The workflow's seed.
    pub seed: u64,
    /// Names of params of which only the last component of a path is known.
    #[serde(default)]
    pub shortened: Vec<String>,
    /// Folders that must be searched for fusion rules besides the usual ones, as far as they are
    /// known.
    #[serde(default)]
    pub plugin_path: Vec<String>,
}

/// Value of the findings as a report shows it: a number that is not finite is not there.
pub trait Shown {
    /// The type that a report holds.
    type Form;

    /// The value, as a report holds it.
    fn shown(&self) -> Self::Form;
}

macro_rules! shown {
    ($($type:ty as $form:ty: $value:ident => $shown:expr;)*) => {
        $(impl Shown for $type {
            type Form = $form;

            fn shown(&self) -> $form {
                let $value = self;
                $shown
            }
        })*
    };
}

shown! {
    Control as Control: control => *control;
    bool as bool: flag => *flag;
    i64 as u64: count => count.unsigned_abs();
    f64 as Option<f64>: number => finite(Some(*number));
    Option<f64> as Option<f64>: number => finite(*number);
    Option<bool> as Option<bool>: flag => *flag;
    Option<String> as Option<String>: text => text.clone();
}

macro_rules! define_finding_row {
    (
        columns { $($name:ident: $type:ty, $help:literal;)* }
        by_modality { $($many:ident, $prefix:literal, $many_help:literal;)* }
    ) => {
        /// One row of the findings. Accuracies, gaps and rates are fractions, not per cent.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct FindingRow {
            /// The axis values, in the order of [`ReportData::axes`].
            pub point: Point,
            $(#[doc = concat!($help, ".")] pub $name: <$type as Shown>::Form,)*
            $(#[doc = concat!($many_help, ".")] pub $many: Vec<(String, Option<f64>)>,)*
            /// Values of the metric, where the label is a number.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub metric: Option<MetricRow>,
        }

        impl FindingRow {
            /// A row of the findings, with the names of its axes and modalities.
            #[must_use]
            pub fn from_finding(findings: &Findings, row: &Finding) -> Self {
                let by_modality = |values: &[Option<f64>]| {
                    findings.modalities.iter().cloned().zip(values.iter().copied()).collect()
                };
                Self {
                    point: findings.axes.iter().cloned().zip(row.point.iter().cloned()).collect(),
                    $($name: row.$name.shown(),)*
                    $($many: by_modality(&row.$many),)*
                    metric: MetricRow::from_finding(row, findings.metric()),
                }
            }
        }
    };
}

findings_columns!(define_finding_row);

impl FindingRow {
    /// Balanced accuracy gained over the same rule refitted without quality; where the label is a
    /// number, what its metric gains.
    #[must_use]
    pub fn gain(&self) -> Option<f64> {
        if let Some(metric) = &self.metric {
            return metric.gain;
        }
        Some(self.ba_clean? - self.ba_without_quality?)
    }

    /// The p-value that decides: the adjusted one where there is one, but for any control the
    /// unadjusted one.
    #[must_use]
    pub fn deciding_p(&self) -> Option<f64> {
        match self.control {
            Control::Native => self.p_adjusted.or(self.p_value),
            Control::Positive | Control::Negative => self.p_value.or(self.p_adjusted),
        }
    }

    /// True if the row is a condition that families, headline and badges count.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        self.not_counted.is_none()
    }

    /// True if the row repeats another with other splits or seeds.
    #[must_use]
    pub fn is_repetition(&self) -> bool {
        self.not_counted.as_deref().is_some_and(|reason| reason.starts_with("a repetition"))
    }

    /// The value of one axis at this row.
    #[must_use]
    pub fn value_of(&self, axis: &str) -> Option<&str> {
        self.point.iter().find(|(name, _)| name == axis).map(|(_, value)| value.as_str())
    }
}

/// Balanced accuracy under every permutation at one point.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NullDistribution {
    /// The point, as in the findings.
    pub point: Point,
    /// Balanced accuracy under Clean-Q.
    pub clean: f64,
    /// Balanced accuracy under Broken-Q, one value a permutation.
    pub broken: Vec<f64>,
}

/// Settings of the tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Adjustment for the family of tests: `holm`, `benjamini_hochberg` or `none`.
    pub adjust: String,
    /// Axes whose values part the findings into families of tests, besides the control.
    pub families: Vec<String>,
    /// The axis and the value that mean working without quality; `None` where no rule was refitted
    /// so.
    pub without_quality: Option<(String, String)>,
    /// A gap within plus or minus this counts as none; `None`: none was stated.
    pub equivalence_margin: Option<f64>,
    /// Significance level.
    pub alpha: f64,
    /// Permutations asked for.
    pub permutations: u64,
    /// Permutation scheme; a findings axis named `scheme` takes precedence.
    pub scheme: String,
    /// Resamples of the cluster bootstrap.
    pub bootstrap_resamples: u64,
    /// Coverage of the intervals.
    pub confidence: f64,
    /// Share of the examples that a joint permutation changes below which the absence of dependence
    /// is not testable.
    pub least_moved_share: Option<f64>,
    /// True if the best expert was chosen on training evidence, fold by fold, and not on the tested
    /// examples.
    pub best_on_training: bool,
    /// Kind of interval computed from the resamples: `percentile` or `bca`.
    pub interval: String,
    /// True if the model was fitted elsewhere: nothing was fitted or refitted, and "without
    /// quality" is quality held at its mean or at a stated neutral value.
    pub frozen: bool,
    /// True if the workflow loads models that were trained elsewhere, and fits none: nothing was
    /// refitted without quality.
    pub loaded: bool,
    /// True if the quality that stands for "without quality" is held at its mean.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Metric of the findings, where the label is a number; balanced accuracy else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// The labels of a multi-label study, over which every value is a mean.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

impl Settings {
    /// Reference of the gain, in few words.
    #[must_use]
    pub const fn short_reference(&self) -> &'static str {
        if self.frozen {
            "quality held neutral"
        } else if self.loaded {
            "quality that says nothing"
        } else {
            "the rule without quality"
        }
    }

    /// Head of the column of the reference of the gain.
    #[must_use]
    pub const fn reference_heading(&self) -> &'static str {
        if self.frozen || self.held { "neutral quality" } else { "without quality" }
    }

    /// Reference of the gain.
    #[must_use]
    pub const fn reference(&self) -> &'static str {
        if self.frozen {
            "the same model with quality held neutral"
        } else if self.held {
            "the same model with quality held at its mean"
        } else if self.loaded {
            "the same model given quality that says nothing"
        } else {
            "the same rule refitted without quality"
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            adjust: "holm".to_owned(),
            families: Vec::new(),
            without_quality: None,
            equivalence_margin: None,
            alpha: 0.05,
            permutations: 1000,
            scheme: "joint".to_owned(),
            bootstrap_resamples: 2000,
            confidence: 0.95,
            least_moved_share: None,
            best_on_training: false,
            interval: "percentile".to_owned(),
            frozen: false,
            loaded: false,
            held: false,
            metric: None,
            labels: Vec::new(),
        }
    }
}

/// Provenance of the findings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Version of fuseline.
    pub fuseline_version: String,
    /// Digest of the workflow.
    pub workflow_digest: String,
    /// Input data: what it is, and its digest.
    pub inputs: Vec<(String, String)>,
    /// Fusion rules that were loaded.
    pub plugins: Vec<PluginUsed>,
    /// Conditions of rules and programs, one line each, where the record of the run is at hand: a
    /// report that a run makes does not depend on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// Models that were fitted and then held frozen.
    pub models: Vec<ModelUsed>,
    /// Stages of the workflow, in the order of its file.
    pub stages: Vec<StageRun>,
    /// Edges between stages, by name: producer, consumer.
    pub edges: Vec<(String, String)>,
    /// The same between ports, where they are known.
    pub ports: Vec<PortEdge>,
    /// Files that what is reported was made of.
    pub files: Vec<FileUsed>,
    /// All files that the run read, where the report is about one.
    pub files_of_run: Vec<FileUsed>,
    /// The run, where the report is about one.
    pub run: Option<RunUsed>,
}

impl Provenance {
    /// All files of the run, else those that what is reported was made of.
    pub(crate) fn all_files(&self) -> &[FileUsed] {
        if self.files_of_run.is_empty() { &self.files } else { &self.files_of_run }
    }
}

/// An output that a stage reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortEdge {
    /// The stage that makes it.
    pub from: String,
    /// The output port.
    pub output: String,
    /// The stage that reads it.
    pub to: String,
    /// The input port.
    pub input: String,
}

/// A file that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileUsed {
    /// Part that it has in the run: `input`, `discovered`, `rule`, `workflow`, ...
    pub role: String,
    /// Its name, or its path relative to the workflow's folder.
    pub name: String,
    /// Digest of its content.
    pub digest: String,
    /// Length in bytes; `None` of a folder.
    pub size: Option<u64>,
    /// The stages that read it.
    pub stages: Vec<String>,
}

/// Time that a run took, and its machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunUsed {
    /// Its id.
    pub id: String,
    /// When it began, in words.
    pub started: String,
    /// Duration in seconds.
    pub seconds: f64,
    /// Processor time of the executed actions in seconds, where it is known.
    pub cpu_seconds: Option<f64>,
    /// Number of its actions.
    pub actions: u64,
    /// Number of those that it executed; the others were reused.
    pub executed: u64,
    /// The most memory that its process had at once, in bytes.
    pub peak_memory: Option<u64>,
    /// The machine, in words; empty: it was not recorded.
    pub machine: String,
}

/// A fusion rule's shared library.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginUsed {
    /// Id of the fusion rule.
    pub id: String,
    /// Version that the plugin states.
    pub version: String,
    /// Digest of the file.
    pub digest: String,
}

/// One frozen model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUsed {
    /// The point that it was fitted at.
    pub point: Point,
    /// Digest of its bytes.
    pub digest: String,
}

/// One stage of the workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRun {
    /// Its name.
    pub name: String,
    /// Its stage kind.
    pub kind: String,
    /// Names of its axes.
    #[serde(default)]
    pub axes: Vec<String>,
    /// Number of its actions.
    pub actions: u64,
    /// Number of them that were executed in the run shown; `None` where the report is not about a
    /// run.
    #[serde(default)]
    pub executed: Option<u64>,
}

/// Accuracy of the expert of one modality at each level of quality.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityCurve {
    /// The point, usually the quality.
    pub point: Point,
    /// The modality.
    pub modality: String,
    /// Bins of equal count, lowest quality first.
    pub bins: Vec<ReliabilityBin>,
}

/// One bin of a [`ReliabilityCurve`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Mean quality in the bin.
    pub quality: f64,
    /// Share of examples in the bin whose expert is right.
    pub accuracy: f64,
    /// Examples in the bin.
    pub n: u64,
}

/// Gap by unit of one sort at one point.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The point, as in the findings.
    pub point: Point,
    /// Sort of the units: `fold`, `subject`, ...
    pub unit: String,
    /// Name of each unit with its gap.
    pub gaps: Vec<(String, f64)>,
}
