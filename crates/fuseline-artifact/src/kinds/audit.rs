//! Faults of the data that an audit found.

use arrow::array::{Array, Float64Array, StringArray};

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::schema::{Column, ColumnName, ColumnType, KindSchema, MetadataKey, MetadataType};
use crate::texts::Texts;

/// A column that may lack values.
const fn nullable(name: &'static str, of: ColumnType, help: &'static str) -> Column {
    Column { name: ColumnName::Is(name), of, nullable: true, help }
}

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Audit,
    version: 1,
    columns: &[
        Column::full("check", ColumnType::Utf8, "the check that found it"),
        Column::full(
            "severity",
            ColumnType::Utf8,
            "error where test rows may be known while training, else warning",
        ),
        Column::full("source", ColumnType::Utf8, "the input and modality that it is about"),
        nullable("column", ColumnType::Utf8, "the feature, metadata column, class or group"),
        nullable("first_example_id", ColumnType::Utf8, "the example, or the first of two"),
        nullable("second_example_id", ColumnType::Utf8, "the second of two examples"),
        Column::full("statistic", ColumnType::Utf8, "what was measured"),
        nullable("value", ColumnType::Float64, "its value"),
        nullable("threshold", ColumnType::Float64, "the value from which it counts"),
        nullable("p_value", ColumnType::Float64, "p-value, adjusted over the tests of the check"),
        Column::full("message", ColumnType::Utf8, "the fault in words"),
    ],
    metadata: &[
        MetadataKey {
            key: "found",
            of: MetadataType::Count,
            help: "how many faults were found, listed or not",
        },
        MetadataKey {
            key: "examined",
            of: MetadataType::Names,
            help: "what was examined: check and source",
        },
        MetadataKey {
            key: "not_examined",
            of: MetadataType::Names,
            help: "what could not be examined, with the reason",
        },
        MetadataKey {
            key: "not_listed",
            of: MetadataType::Names,
            help: "faults beyond the rows: check, source and number",
        },
    ],
    optional_metadata: &[],
};

/// Weight of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Test rows may be known while training, or an input says the label.
    Error,
    /// Results are to be read with it.
    Warning,
}

impl Severity {
    /// Its name in the column `severity`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Error, Self::Warning].into_iter().find(|severity| severity.name() == name)
    }
}

/// One fault of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The check that found it.
    pub check: String,
    /// Its weight.
    pub severity: Severity,
    /// The input and modality that it is about.
    pub source: String,
    /// The feature, metadata column, class or group.
    pub column: Option<String>,
    /// The example, or the first of two.
    pub first_example_id: Option<String>,
    /// The second of two examples.
    pub second_example_id: Option<String>,
    /// Name of the measure.
    pub statistic: String,
    /// Its value.
    pub value: Option<f64>,
    /// The value from which it counts.
    pub threshold: Option<f64>,
    /// p-value, adjusted over the tests of the check.
    pub p_value: Option<f64>,
    /// The fault in words.
    pub message: String,
}

/// Faults of the data of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Number of faults, listed or not.
    pub found: u64,
    /// Examined inputs: check and source.
    pub examined: Vec<String>,
    /// Inputs that could not be examined, with the reason.
    pub not_examined: Vec<String>,
    /// Faults beyond the rows: check, source and number.
    pub not_listed: Vec<String>,
    /// The faults.
    pub rows: Vec<Fault>,
}

impl Typed for Audit {
    const KIND: ArtifactKind = ArtifactKind::Audit;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let rows = &self.rows;
        let full = |of: fn(&Fault) -> &str| rows.iter().map(of).collect::<Texts>();
        let texts = |of: fn(&Fault) -> Option<&str>| rows.iter().map(of).collect::<StringArray>();
        let numbers = |of: fn(&Fault) -> Option<f64>| rows.iter().map(of).collect::<Float64Array>();
        Builder::new(Self::KIND, rows.len())
            .metadata("found", self.found)
            .names("examined", &self.examined)
            .names("not_examined", &self.not_examined)
            .names("not_listed", &self.not_listed)
            .texts("check", &full(|row| &row.check))
            .texts("severity", &full(|row| row.severity.name()))
            .texts("source", &full(|row| &row.source))
            .column("column", texts(|row| row.column.as_deref()))
            .column("first_example_id", texts(|row| row.first_example_id.as_deref()))
            .column("second_example_id", texts(|row| row.second_example_id.as_deref()))
            .texts("statistic", &full(|row| &row.statistic))
            .column("value", numbers(|row| row.value))
            .column("threshold", numbers(|row| row.threshold))
            .column("p_value", numbers(|row| row.p_value))
            .texts("message", &full(|row| &row.message))
            .build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let full = |name: &str| columns.texts(name);
        let (check, severity, source) = (full("check")?, full("severity")?, full("source")?);
        let (statistic, message) = (full("statistic")?, full("message")?);
        let optional = |name: &str| -> Result<Vec<Option<String>>, ArtifactError> {
            Ok(full(name)?.array().iter().map(|text| text.map(str::to_owned)).collect())
        };
        let (column, first, second) =
            (optional("column")?, optional("first_example_id")?, optional("second_example_id")?);
        let (value, threshold, p_value) =
            (columns.floats("value")?, columns.floats("threshold")?, columns.floats("p_value")?);
        let number = |of: &Float64Array, row: usize| of.is_valid(row).then(|| of.value(row));
        let rows = (0..columns.rows()).map(|row| {
            Ok(Fault {
                check: check[row].to_owned(),
                severity: Severity::named(&severity[row]).ok_or_else(|| ArtifactError::Value {
                    kind: Self::KIND,
                    column: "severity".to_owned(),
                    row,
                    value: severity[row].to_owned(),
                    expected: "error or warning",
                })?,
                source: source[row].to_owned(),
                column: column[row].clone(),
                first_example_id: first[row].clone(),
                second_example_id: second[row].clone(),
                statistic: statistic[row].to_owned(),
                value: number(value, row),
                threshold: number(threshold, row),
                p_value: number(p_value, row),
                message: message[row].to_owned(),
            })
        });
        Ok(Self {
            found: columns.parse("found", "a whole number")?,
            examined: columns.names("examined")?,
            not_examined: columns.names("not_examined")?,
            not_listed: columns.names("not_listed")?,
            rows: rows.collect::<Result<_, ArtifactError>>()?,
        })
    }
}
