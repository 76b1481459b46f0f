//! `audit.data`: faults of the data, before anybody believes what was computed from them.

use fuseline_artifact::{ArtifactKind, Audit};
use fuseline_engine::{
    CheckSite, Inputs, KeyWriter, Outputs, Ports, Problem, RowFlow, StageError, StageKind,
    UnreadOption,
};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::collector::Collector;
use super::{
    Study, balance, constant_quality, duplicates, fold_association, similar_ids, tells_label,
};

/// Messages that a caution or an error gives in full.
const MAX_TOLD: usize = 3;

/// Looks for faults of the data that make results wrong however they are computed: copies of an
/// example on both sides of a split, folds that are no fair parts of the cohort, inputs that say
/// the label, quality that says class or group, ids that may be one.
///
/// What arrives is examined: with `folds` copies count that a split parts, without them those of
/// different groups. An audit reads the labels of all rows, so that nothing that learns can be
/// given what it found. Each check is made so that clean data give a fault in less than one of a
/// thousand studies, but for `fold_association`, whose level is an option.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataAudit {
    /// Consequence of faults: `warn` is a caution with their number, `error` stops the run.
    #[serde(default)]
    on: On,
    /// The checks to make; all when left out.
    #[serde(default)]
    #[schemars(length(min = 1))]
    checks: Option<Vec<Check>>,
    /// Root of the mean squared difference of standardised features up to which two examples are
    /// near copies; 0.05 when left out. Where chance would come as near, less is used, which is
    /// the threshold in the table.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    near: Option<f64>,
    /// AUROC above which one feature, quality or probability tells a class alone; 0.99 when left
    /// out.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.5, "exclusiveMaximum" = 1.0))]
    auroc: Option<f64>,
    /// Level of all tests of folds against label and metadata together (Holm); 0.01 when left out.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    level: Option<f64>,
    /// Least Cramér's V or eta of such an association; 0.1 when left out.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    least_effect: Option<f64>,
    /// Least share of groups in which quality has one value; 0.9 when left out.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    constant_share: Option<f64>,
    /// Test examples of the largest fold for each of the smallest from which folds are unequal; 3
    /// when left out.
    #[serde(default)]
    #[schemars(range(min = 1.0))]
    fold_size_ratio: Option<f64>,
    /// Share of a fold's test examples above which one group fills it; 0.5 when left out.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    group_share: Option<f64>,
    /// Least test examples of each class in each fold; 1 when left out.
    #[serde(default)]
    least_in_class: Option<u32>,
    /// Most faults that are listed of one check and input; the others are counted. 100 when left
    /// out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    max_rows: Option<u32>,
}

/// Consequence of a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// A caution with the number of faults.
    #[default]
    Warn,
    /// The run stops.
    Error,
}

/// A check of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Two examples with equal features that a split may part.
    Duplicate,
    /// Two examples with nearly equal features that a split may part.
    NearDuplicate,
    /// A group that stands in several folds.
    GroupInFolds,
    /// Folds that differ in label, size of the groups or metadata.
    FoldAssociation,
    /// A feature, quality or probability that tells a class alone.
    TellsLabel,
    /// A feature that has one value for each group.
    TellsGroup,
    /// Quality of one value, overall, within a class or within groups.
    ConstantQuality,
    /// Example_ids or groups that differ by their writing alone.
    SimilarIds,
    /// Folds that lack a class, are of unequal size or are filled by one group.
    Balance,
}

impl Check {
    /// Its name in options and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::NearDuplicate => "near_duplicate",
            Self::GroupInFolds => "group_in_folds",
            Self::FoldAssociation => "fold_association",
            Self::TellsLabel => "tells_label",
            Self::TellsGroup => "tells_group",
            Self::ConstantQuality => "constant_quality",
            Self::SimilarIds => "similar_ids",
            Self::Balance => "balance",
        }
    }
}

impl DataAudit {
    pub(super) fn checks(&self, check: Check) -> bool {
        self.checks.as_ref().is_none_or(|checks| checks.contains(&check))
    }

    pub(super) fn near(&self) -> f64 {
        self.near.unwrap_or(0.05)
    }

    pub(super) fn auroc(&self) -> f64 {
        self.auroc.unwrap_or(0.99)
    }

    pub(super) fn level(&self) -> f64 {
        self.level.unwrap_or(0.01)
    }

    pub(super) fn least_effect(&self) -> f64 {
        self.least_effect.unwrap_or(0.1)
    }

    pub(super) fn constant_share(&self) -> f64 {
        self.constant_share.unwrap_or(0.9)
    }

    pub(super) fn fold_size_ratio(&self) -> f64 {
        self.fold_size_ratio.unwrap_or(3.0)
    }

    pub(super) fn group_share(&self) -> f64 {
        self.group_share.unwrap_or(0.5)
    }

    pub(super) fn least_in_class(&self) -> usize {
        self.least_in_class.unwrap_or(1) as usize
    }

    fn max_rows(&self) -> usize {
        self.max_rows.unwrap_or(100) as usize
    }
}

impl StageKind for DataAudit {
    const NAME: &'static str = "audit.data";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str =
        "Faults of the data: copies across folds, unfair folds, inputs that say the label.";

    fn ports() -> Ports {
        Ports::new()
            .one("cohort", ArtifactKind::Cohort, Role::Neutral, "The examples.")
            .many("folds", ArtifactKind::Folds, Role::Neutral, "The splits.")
            .optional()
            .many("features", ArtifactKind::Features, Role::Neutral, "Features of the modalities.")
            .optional()
            .many("metadata", ArtifactKind::Metadata, Role::Neutral, "Such as sex or site.")
            .optional()
            .many("quality", ArtifactKind::Quality, Role::Neutral, "Quality of test rows.")
            .optional()
            .many("evidence", ArtifactKind::Evidence, Role::Neutral, "Evidence of test rows.")
            .optional()
            .output("audit", ArtifactKind::Audit, "One row a fault.")
    }

    fn key(&self, key: &mut KeyWriter<'_>) {
        let Self {
            on,
            checks,
            near: _,
            auroc: _,
            level: _,
            least_effect: _,
            constant_share: _,
            fold_size_ratio: _,
            group_share: _,
            least_in_class: _,
            max_rows: _,
        } = self;
        key.field("on", on);
        key.field("checks", checks);
        key.field("near", &self.near());
        key.field("auroc", &self.auroc());
        key.field("level", &self.level());
        key.field("least_effect", &self.least_effect());
        key.field("constant_share", &self.constant_share());
        key.field("fold_size_ratio", &self.fold_size_ratio());
        key.field("group_share", &self.group_share());
        key.field("least_in_class", &self.least_in_class());
        key.field("max_rows", &self.max_rows());
        key.seed();
    }

    fn without_effect(&self, _inputs: &[&str]) -> Vec<UnreadOption> {
        let thresholds = [
            ("near", Check::NearDuplicate),
            ("auroc", Check::TellsLabel),
            ("level", Check::FoldAssociation),
            ("least_effect", Check::FoldAssociation),
            ("constant_share", Check::ConstantQuality),
            ("fold_size_ratio", Check::Balance),
            ("group_share", Check::Balance),
            ("least_in_class", Check::Balance),
        ];
        let Some(checks) = &self.checks else { return Vec::new() };
        let idle = thresholds.into_iter().filter(|(_, of)| !checks.contains(of));
        idle.map(|(option, _)| (option, "`checks` leaves the check out that it is of")).collect()
    }

    fn check(&self, site: &mut CheckSite<'_>) {
        if self.checks.as_ref().is_some_and(Vec::is_empty) {
            site.report(Problem::new("checks", "no check is named").hint("leave it out for all"));
        }
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        // It reads the labels of all rows, those that are tested among them.
        let all = flow.all_inputs();
        let told = all.holds.clone();
        flow.give("audit", all.taught(&told)).control = true;
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let study = Study::read(inputs)?;
        let mut found = Collector::new(self.max_rows());
        duplicates::check(&study, self, &mut found);
        inputs.keep_going()?;
        fold_association::check(&study, self, inputs.seed(), &mut found);
        inputs.keep_going()?;
        if self.checks(Check::TellsLabel) || self.checks(Check::TellsGroup) {
            tells_label::check(&study, self, &mut found);
        }
        inputs.keep_going()?;
        if self.checks(Check::ConstantQuality) {
            constant_quality::check(&study, self, &mut found);
        }
        if self.checks(Check::SimilarIds) {
            similar_ids::check(&study, &mut found);
        }
        if self.checks(Check::Balance) {
            balance::check(&study, self, &mut found);
        }
        let audit = found.finish();
        if audit.found > 0 {
            let text = told(&audit);
            match self.on {
                On::Warn => outputs.caution(text),
                On::Error => {
                    return Err(StageError::data(text).at("on").hint(
                        "mend the data; `on: warn` goes on and lists every fault in a table, and \
                         `checks` says which faults count",
                    ));
                }
            }
        }
        outputs.put("audit", audit)
    }
}

/// Number of faults, and the first of them.
fn told(audit: &Audit) -> String {
    let first: Vec<&str> =
        audit.rows.iter().take(MAX_TOLD).map(|fault| fault.message.as_str()).collect();
    let more = match audit.found - first.len() as u64 {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    let faults = if audit.found == 1 { "fault" } else { "faults" };
    format!("the data have {} {faults}: {}{more}", audit.found, first.join("; "))
}

#[cfg(test)]
mod tests;
