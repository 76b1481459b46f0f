//! The kinds of artifacts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kinds;
use crate::schema::KindSchema;

/// Kind of an artifact. Ports are typed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// One modality's raw features.
    Features,
    /// The examples under study, with group and label.
    Cohort,
    /// The fold that tests each example.
    Folds,
    /// An expert's class probabilities.
    Evidence,
    /// Stated reliability of a modality, per example.
    Quality,
    /// A fitted fusion rule.
    Model,
    /// Fused class probabilities and decisions.
    Predictions,
    /// Counts of right decisions under every permutation of quality.
    Permutations,
    /// Effect of permuting quality on each example.
    ExampleEffects,
    /// One row of results a point.
    Findings,
    /// Metadata of the examples, such as sex or site.
    Metadata,
    /// Faults of the data.
    Audit,
    /// A table of results of a declared form.
    Table,
    /// A document for people.
    Report,
}

/// A text that names no artifact kind.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no artifact kind {0}")]
pub struct UnknownKind(String);

impl ArtifactKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::Features,
        Self::Cohort,
        Self::Folds,
        Self::Evidence,
        Self::Quality,
        Self::Model,
        Self::Predictions,
        Self::Permutations,
        Self::ExampleEffects,
        Self::Findings,
        Self::Metadata,
        Self::Audit,
        Self::Table,
        Self::Report,
    ];

    /// Its name in workflows, metadata and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Cohort => "cohort",
            Self::Folds => "folds",
            Self::Evidence => "evidence",
            Self::Quality => "quality",
            Self::Model => "model",
            Self::Predictions => "predictions",
            Self::Permutations => "permutations",
            Self::ExampleEffects => "example_effects",
            Self::Findings => "findings",
            Self::Metadata => "metadata",
            Self::Audit => "audit",
            Self::Table => "table",
            Self::Report => "report",
        }
    }

    /// Its content in a sentence, for the reference.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Features => {
                "One modality's raw features. An example without a row does not have the modality."
            }
            Self::Cohort => {
                "The examples under study, with group and label. The order of its rows is the \
                 order of everything after."
            }
            Self::Folds => "The fold in which each example is tested.",
            Self::Evidence => "The class probabilities that one expert gives each example.",
            Self::Quality => "The stated reliability of one modality, for each example.",
            Self::Model => "A fusion rule that was fitted, or a model that came as files: frozen.",
            Self::Predictions => "Fused class probabilities and decisions.",
            Self::Permutations => {
                "Right decisions of every class under every permutation of quality, as counts, so \
                 that folds pool exactly."
            }
            Self::ExampleEffects => "The effect of permuting quality on each test example.",
            Self::Findings => {
                "One row a point of the axes: the permutation gap and all that is said of it."
            }
            Self::Metadata => {
                "Metadata of the examples, such as sex or site, for subgroups and audits."
            }
            Self::Audit => "Faults of the data that an audit found, one row each.",
            Self::Table => {
                "Results beside the findings: comparisons, measures, repetitions. The form says \
                 the columns behind those of the axes."
            }
            Self::Report => "A document for people: bytes with a media type, and no table.",
        }
    }

    /// The schema of its table; `None` for a report, which is a document.
    pub fn schema(self) -> Option<&'static KindSchema> {
        match self {
            Self::Features => Some(&kinds::features::SCHEMA),
            Self::Cohort => Some(&kinds::cohort::SCHEMA),
            Self::Folds => Some(&kinds::folds::SCHEMA),
            Self::Evidence => Some(&kinds::evidence::SCHEMA),
            Self::Quality => Some(&kinds::quality::SCHEMA),
            Self::Model => Some(&kinds::model::SCHEMA),
            Self::Predictions => Some(&kinds::predictions::SCHEMA),
            Self::Permutations => Some(&kinds::permutations::SCHEMA),
            Self::ExampleEffects => Some(&kinds::example_effects::SCHEMA),
            Self::Findings => Some(&kinds::findings::SCHEMA),
            Self::Metadata => Some(&kinds::metadata::SCHEMA),
            Self::Audit => Some(&kinds::audit::SCHEMA),
            Self::Table => Some(&kinds::table::SCHEMA),
            Self::Report => None,
        }
    }

    /// The schema of its table where the label is a number, if that is another one.
    pub fn regression_schema(self) -> Option<&'static KindSchema> {
        match self {
            Self::Cohort => Some(&kinds::cohort::REGRESSION),
            Self::Evidence => Some(&kinds::evidence::REGRESSION),
            Self::Predictions => Some(&kinds::predictions::REGRESSION),
            Self::Permutations => Some(&kinds::permutations::REGRESSION),
            Self::ExampleEffects => Some(&kinds::example_effects::REGRESSION),
            Self::Findings => Some(&kinds::findings::REGRESSION),
            Self::Features
            | Self::Folds
            | Self::Quality
            | Self::Model
            | Self::Metadata
            | Self::Audit
            | Self::Table
            | Self::Report => None,
        }
    }

    /// The version of its schema, raised whenever a reader of the last one could be misled.
    pub fn version(self) -> u32 {
        self.schema().map_or(1, |schema| schema.version)
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ArtifactKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_name_in_text_in_json_and_in_its_schema() {
        for kind in ArtifactKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("{:?}", kind.name()));
            assert!(kind.schema().is_none_or(|schema| schema.kind == kind));
            assert_eq!(kind.schema().is_none(), kind == ArtifactKind::Report);
        }
        assert!("Features".parse::<ArtifactKind>().is_err());
    }
}
