//! Stated reliability of a modality.

use std::fmt;
use std::str::FromStr;

use arrow::array::Float64Array;
use arrow::buffer::ScalarBuffer;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::EXAMPLE_ID;
use crate::schema::{Column, ColumnType, KindSchema, MetadataKey, MetadataType};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Quality,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column::full(
            "quality",
            ColumnType::Float64,
            "how reliable the modality is said to be; more is better",
        ),
    ],
    metadata: &[
        MetadataKey { key: "modality", of: MetadataType::Text, help: "the modality it is said of" },
        MetadataKey {
            key: "source",
            of: MetadataType::Text,
            help: "what estimated it, such as margin",
        },
        MetadataKey {
            key: "control",
            of: MetadataType::Word(Control::WORDS),
            help: "an estimate, or a control that is known to help or not to",
        },
        MetadataKey {
            key: "evidence_derived",
            of: MetadataType::Boolean,
            help: "whether it is a function of the evidence, so that a permutation of it makes \
                pairs that cannot occur",
        },
    ],
    optional_metadata: &[],
};

/// Nature of a quality: an estimate or a control.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// An estimate, as a system would use it.
    #[default]
    Native,
    /// A control known to indicate which expert is right.
    Positive,
    /// A control known to carry no information.
    Negative,
}

/// A text that names no control.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a control: native, positive or negative is expected")]
pub struct UnknownControl(String);

impl Control {
    const WORDS: &'static [&'static str] = &["native", "positive", "negative"];

    /// Its word in metadata and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Control {
    type Err = UnknownControl;

    fn from_str(text: &str) -> Result<Self, UnknownControl> {
        let found = [Self::Native, Self::Positive, Self::Negative].into_iter();
        found
            .into_iter()
            .find(|control| control.name() == text)
            .ok_or_else(|| UnknownControl(text.to_owned()))
    }
}

/// Stated reliability of a modality, per example.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    /// The modality that it describes.
    pub modality: String,
    /// Its estimator, such as `margin`.
    pub source: String,
    /// Its nature: an estimate or a control.
    pub control: Control,
    /// True if it is a function of the evidence.
    pub evidence_derived: bool,
    /// The example of each row.
    pub example_id: Texts,
    /// Its quality; more is better.
    pub quality: ScalarBuffer<f64>,
}

impl Typed for Quality {
    const KIND: ArtifactKind = ArtifactKind::Quality;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        Builder::new(Self::KIND, self.example_id.len())
            .metadata("modality", self.modality)
            .metadata("source", self.source)
            .metadata("control", self.control)
            .metadata("evidence_derived", self.evidence_derived)
            .example_ids(&self.example_id)
            .column("quality", Float64Array::new(self.quality, None))
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        Ok(Self {
            modality: columns.text("modality")?.to_owned(),
            source: columns.text("source")?.to_owned(),
            control: columns.parse("control", "native, positive or negative")?,
            evidence_derived: columns.parse("evidence_derived", "true or false")?,
            example_id: columns.example_ids()?,
            quality: columns.floats("quality")?.values().clone(),
        })
    }
}
