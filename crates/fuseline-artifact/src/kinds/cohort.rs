//! The examples under study.

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::{CLASSES, EXAMPLE_ID, VALUE};
use crate::schema::{Column, ColumnType, KindSchema, MetadataKey, MetadataType, TARGET};
use crate::texts::Texts;

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Cohort,
    version: 1,
    columns: &[
        EXAMPLE_ID,
        Column::full(
            "group",
            ColumnType::Utf8,
            "what belongs together and is never split, such as a person",
        ),
        Column::full("label", ColumnType::Categories, "the class of the example"),
    ],
    metadata: &[CLASSES],
    optional_metadata: &[MetadataKey {
        key: ORDINAL,
        of: MetadataType::Boolean,
        help: "true where the classes have an order, that of `classes`",
    }],
};

const ORDINAL: &str = "ordinal";

pub(crate) static REGRESSION: KindSchema = KindSchema {
    columns: &[
        EXAMPLE_ID,
        Column::full(
            "group",
            ColumnType::Utf8,
            "what belongs together and is never split, such as a person",
        ),
        Column::full("label", ColumnType::Float64, "the number to predict"),
    ],
    metadata: &[TARGET],
    optional_metadata: &[],
    ..SCHEMA
};

/// The examples under study. The order of their rows is the order of everything after.
#[derive(Debug, Clone, PartialEq)]
pub struct Cohort {
    /// The example of each row.
    pub example_id: Texts,
    /// Its group.
    pub group: Texts,
    /// The index of its class.
    pub label: Vec<u32>,
    /// The names of the classes.
    pub classes: Vec<String>,
}

impl Cohort {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.example_id.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.example_id.is_empty()
    }

    /// True if the label is a number, which [`AnyCohort::values`] holds.
    pub fn is_regression(&self) -> bool {
        self.classes == [VALUE]
    }
}

impl Typed for Cohort {
    const KIND: ArtifactKind = ArtifactKind::Cohort;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        AnyCohort { cohort: self, values: None, is_ordinal: false }.into_artifact()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let classes = columns.names("classes")?;
        Ok(Self {
            example_id: columns.example_ids()?,
            group: columns.texts("group")?,
            label: columns.class_indices("label", &classes)?,
            classes,
        })
    }
}

/// The examples under study, whether the label is a class or a number.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyCohort {
    /// The examples; where the label is a number, all of the one class [`VALUE`].
    pub cohort: Cohort,
    /// The number to predict of each example; finite. None where the label is a class.
    pub values: Option<Vec<f64>>,
    /// True if the classes have an order, that of their names.
    pub is_ordinal: bool,
}

impl AnyCohort {
    /// Examples whose label is a number.
    pub fn of_values(example_id: Texts, group: Texts, values: Vec<f64>) -> Self {
        let (label, classes) = (vec![0; values.len()], vec![VALUE.to_owned()]);
        let cohort = Cohort { example_id, group, label, classes };
        Self { cohort, values: Some(values), is_ordinal: false }
    }
}

impl Typed for AnyCohort {
    const KIND: ArtifactKind = ArtifactKind::Cohort;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let Self { cohort, values, is_ordinal } = self;
        let builder = Builder::new(Self::KIND, cohort.len())
            .example_ids(&cohort.example_id)
            .texts("group", &cohort.group);
        match values {
            Some(values) => builder.regression().finite("label", &values),
            None => builder
                .classes("label", &cohort.label, &cohort.classes)
                .class_names(&cohort.classes)
                .optional_metadata(ORDINAL, is_ordinal.then_some(true)),
        }
        .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read_any(artifact, Self::KIND)?;
        if !columns.is_regression() {
            return Ok(Self {
                cohort: Cohort::from_artifact(artifact)?,
                values: None,
                is_ordinal: columns.parse_optional(ORDINAL, "true or false")?.unwrap_or(false),
            });
        }
        let values = columns.floats("label")?.values().to_vec();
        Ok(Self::of_values(columns.example_ids()?, columns.texts("group")?, values))
    }
}
