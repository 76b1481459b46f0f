//! One row of results a point.
//!
//! [`findings_columns!`](crate::findings_columns) is the one definition of the columns: schema,
//! struct and codec come from it here, the row of a report in `fuseline-report`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, PrimitiveArray, StringArray};
use arrow::datatypes::ArrowPrimitiveType;
use serde::{Deserialize, Serialize};

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::quality::Control;
use crate::schema::{Column, ColumnName, ColumnType, KindSchema, MetadataKey, MetadataType};

/// Calls a macro with the columns of findings that follow the axes, in their order.
///
/// `columns`: name, type of a value, help. A type that is an `Option` may be missing.
/// `by_modality`: the same of columns that there are once a modality, each an `Option<f64>`; their
/// names begin with the name given.
#[macro_export]
macro_rules! findings_columns {
    ($callback:ident) => {
        $callback! {
            columns {
                control: Control, "native, positive or negative: what the quality is";
                evidence_derived: bool,
                    "whether the evidence tells of the quality: R2 of at least 0.05 in a modality";
                n_examples: i64, "test examples, pooled over the folds";
                n_groups: i64, "their groups";
                n_permutations: i64, "permutations drawn";
                ba_clean: f64, "balanced accuracy under Clean-Q";
                ba_broken: f64, "its mean under Broken-Q";
                ba_without_quality: Option<f64>, "that of the same rule refitted without quality";
                gap: f64, "ba_clean - ba_broken: the permutation gap";
                gap_low: f64, "lower end of its interval";
                gap_high: f64, "upper end of its interval";
                p_value: f64,
                    "one-sided permutation p-value; not a number where the scheme is no valid test";
                p_adjusted: Option<f64>, "p_value adjusted over the family";
                flip_rate: f64, "share of decisions that a permutation changes";
                probability_shift: f64, "mean total-variation distance from Clean-Q";
                null_sd: f64, "standard deviation of balanced accuracy under Broken-Q";
                detectable_gap: f64, "the smallest gap that the test could have found";
                equivalent: Option<bool>, "whether the gap is shown to lie within the margin";
                ba_best_unimodal: f64,
                    "of the best expert, chosen on training evidence, or else on test rows: optimistic";
                ba_oracle: f64,
                    "of the per-example oracle over modalities, which reads labels: optimistic";
                headroom: f64, "ba_oracle - ba_clean";
                reads_quality: Option<bool>, "whether the rule declares that it reads quality";
                moved_share: Option<f64>,
                    "share of the examples whose quality a permutation changes, on average";
                not_testable: Option<String>,
                    "why the absence of dependence cannot be tested here, if it cannot";
                not_counted: Option<String>,
                    "why the row is counted in no family, headline or badge, if it is not";
                bound_low: f64,
                    "lower end of the interval held against the margin: bootstrap or exact, the wider";
                bound_high: f64, "its upper end";
                p_error: f64, "standard error that p_value has from drawing permutations";
                detectable_gap_80: f64, "the gap that the test would detect with 80 % power";
                flip_low: f64, "lower end of the interval of flip_rate";
                flip_high: f64, "its upper end";
                shift_low: f64, "lower end of the interval of probability_shift";
                shift_high: f64, "its upper end";
                gain_low: Option<f64>,
                    "lower end of the interval of ba_clean - ba_without_quality";
                gain_high: Option<f64>, "its upper end";
                quality_sketch: Option<String>,
                    "minimal hashes of the qualities tested: rows that share one are of one draw";
                label_icc: Option<f64>,
                    "intraclass correlation of labels in groups, the largest over classes";
                error_icc: Option<f64>,
                    "intraclass correlation in groups of Clean-Q decisions being right";
                design_effect: Option<f64>,
                    "factor by which exchanging rows one by one overstates the number of examples";
            }
            by_modality {
                alignment, "alignment_",
                    "one column a modality: AUROC of its quality for its expert being right";
                quality_from_evidence, "quality_from_evidence_",
                    "one column a modality: R2 of its quality given the evidence, out of fold";
                quality_label_auroc, "quality_label_auroc_",
                    "one column a modality: AUROC of its quality for the class it tells apart best";
                quality_icc, "quality_icc_",
                    "one column a modality: intraclass correlation of its quality within groups";
            }
        }
    };
}

macro_rules! define_findings {
    (
        columns { $($name:ident: $type:ty, $help:literal;)* }
        by_modality { $($many:ident, $prefix:literal, $many_help:literal;)* }
    ) => {
        pub(crate) static SCHEMA: KindSchema = KindSchema {
            kind: ArtifactKind::Findings,
            version: 2, // what is counted, what is testable, and bounds
            columns: &[
                Column {
                    name: ColumnName::Begins(""),
                    of: ColumnType::Utf8,
                    nullable: false,
                    help: "one column an axis: the row's point on it",
                },
                $(Column {
                    name: ColumnName::Is(stringify!($name)),
                    of: <$type as Value>::TYPE,
                    nullable: <$type as Value>::NULLABLE,
                    help: $help,
                },)*
                $(Column {
                    name: ColumnName::Begins($prefix),
                    of: ColumnType::Float64,
                    nullable: true,
                    help: $many_help,
                },)*
            ],
            metadata: METADATA,
            optional_metadata: &[MetadataKey {
                key: "group_counts",
                of: MetadataType::Text,
                help: "rows and right decisions under Clean-Q by group and class, as JSON",
            }],
        };

        /// The results at one point.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Finding {
            /// The point: a value for each axis of the findings.
            pub point: Vec<String>,
            $(#[doc = concat!($help, ".")] pub $name: $type,)*
            $(#[doc = concat!($many_help, ".")] pub $many: Vec<Option<f64>>,)*
        }

        /// Adds the columns of all rows after those of the axes.
        fn encode(findings: &Findings, mut builder: Builder) -> Result<Builder, ArtifactError> {
            let rows = &findings.rows;
            $(builder = builder.column(
                stringify!($name),
                Value::into_array(rows.iter().map(|row| &row.$name)),
            );)*
            $(
                for row in rows {
                    let found = row.$many.len();
                    findings.check_width(stringify!($many), findings.modalities.len(), found)?;
                }
                for (place, modality) in findings.modalities.iter().enumerate() {
                    builder = builder.column(
                        &format!("{}{modality}", $prefix),
                        Value::into_array(rows.iter().map(|row| &row.$many[place])),
                    );
                }
            )*
            Ok(builder)
        }

        /// Reads the columns of all rows. `points`: those rows but for their axes.
        fn decode(
            columns: &Columns<'_>,
            modalities: &[String],
            mut rows: Vec<Finding>,
        ) -> Result<Vec<Finding>, ArtifactError> {
            $(
                let values = <$type as Value>::from_columns(columns, stringify!($name))?;
                rows.iter_mut().zip(values).for_each(|(row, value)| row.$name = value);
            )*
            $(
                for modality in modalities {
                    let name = format!("{}{modality}", $prefix);
                    let values = Option::<f64>::from_columns(columns, &name)?;
                    rows.iter_mut().zip(values).for_each(|(row, value)| row.$many.push(value));
                }
            )*
            Ok(rows)
        }
    };
}

findings_columns!(define_findings);

const METADATA: &[MetadataKey] = &[
    MetadataKey {
        key: "axes",
        of: MetadataType::Names,
        help: "the axes, in the order of their columns",
    },
    MetadataKey {
        key: "modalities",
        of: MetadataType::Names,
        help: "the modalities, in the order of their columns",
    },
    MetadataKey {
        key: "settings",
        of: MetadataType::Names,
        help: "how the findings were tested, each as name=value",
    },
];

/// One row of results a point.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The axes of the points.
    pub axes: Vec<String>,
    /// The modalities whose alignment is given.
    pub modalities: Vec<String>,
    /// Settings of the tests of the findings, each as `name=value`.
    pub settings: Vec<String>,
    /// Counts for paired comparisons of two findings, in a table of one finding.
    pub group_counts: Option<GroupCounts>,
    /// The rows.
    pub rows: Vec<Finding>,
}

/// Rows and right decisions under Clean-Q by group and class: groups x classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupCounts {
    /// Digest of the examples tested: only findings of the same examples can be paired.
    pub tested: String,
    /// Number of classes.
    pub classes: usize,
    /// Rows.
    pub rows: Vec<u32>,
    /// Rows decided right.
    pub correct: Vec<u32>,
}

impl Typed for Findings {
    const KIND: ArtifactKind = ArtifactKind::Findings;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let Self { axes, modalities, settings, group_counts, rows } = &self;
        let group_counts =
            group_counts.as_ref().map(serde_json::to_string).transpose().map_err(|error| {
                ArtifactError::Metadata {
                    kind: Self::KIND,
                    key: "group_counts".to_owned(),
                    value: error.to_string(),
                    expected: "counts",
                }
            })?;
        for row in rows {
            self.check_width("point", axes.len(), row.point.len())?;
        }
        let mut builder = Builder::new(Self::KIND, rows.len())
            .names("axes", axes)
            .names("modalities", modalities)
            .names("settings", settings)
            .optional_metadata("group_counts", group_counts);
        for (place, axis) in axes.iter().enumerate() {
            builder = builder.texts(axis, &rows.iter().map(|row| &row.point[place]).collect());
        }
        encode(&self, builder)?.build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let axes = columns.names("axes")?;
        let modalities = columns.names("modalities")?;
        let settings = columns.names("settings")?;
        let labels = axes.iter().map(|axis| columns.texts(axis)).collect::<Result<Vec<_>, _>>()?;
        let points = (0..columns.rows()).map(|row| Finding {
            point: labels.iter().map(|labels| labels[row].to_owned()).collect(),
            ..Finding::default()
        });
        let rows = decode(&columns, &modalities, points.collect())?;
        let group_counts = columns.parse_json("group_counts", "counts by group and class")?;
        Ok(Self { axes, modalities, settings, group_counts, rows })
    }
}

impl Findings {
    fn check_width(
        &self,
        column: &str,
        expected: usize,
        found: usize,
    ) -> Result<(), ArtifactError> {
        if expected == found {
            return Ok(());
        }
        let (kind, column) = (Self::KIND, column.to_owned());
        Err(ArtifactError::ColumnLength { kind, column, expected, found })
    }
}

/// A value of a column.
trait Value: Sized {
    const TYPE: ColumnType;
    const NULLABLE: bool = false;

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef
    where
        Self: 'v;

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError>;
}

fn required<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Vec<T::Native> {
    array.values().to_vec()
}

impl Value for i64 {
    const TYPE: ColumnType = ColumnType::Int64;

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(values.copied()))
    }

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError> {
        Ok(required(columns.ints64(name)?))
    }
}

impl Value for f64 {
    const TYPE: ColumnType = ColumnType::Float64;

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(values.copied()))
    }

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError> {
        Ok(required(columns.floats(name)?))
    }
}

impl Value for Option<f64> {
    const TYPE: ColumnType = ColumnType::Float64;
    const NULLABLE: bool = true;

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef {
        Arc::new(values.copied().collect::<Float64Array>())
    }

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError> {
        Ok(columns.floats(name)?.iter().collect())
    }
}

impl Value for bool {
    const TYPE: ColumnType = ColumnType::Boolean;

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef {
        Arc::new(values.copied().map(Some).collect::<BooleanArray>())
    }

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError> {
        Ok(columns.booleans(name)?.values().iter().collect())
    }
}

impl Value for Option<bool> {
    const TYPE: ColumnType = ColumnType::Boolean;
    const NULLABLE: bool = true;

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef {
        Arc::new(values.copied().collect::<BooleanArray>())
    }

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError> {
        Ok(columns.booleans(name)?.iter().collect())
    }
}

impl Value for Option<String> {
    const TYPE: ColumnType = ColumnType::Utf8;
    const NULLABLE: bool = true;

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef {
        Arc::new(values.map(Option::as_deref).collect::<StringArray>())
    }

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError> {
        let texts = columns.texts(name)?;
        Ok(texts.array().iter().map(|text| text.map(str::to_owned)).collect())
    }
}

impl Value for Control {
    const TYPE: ColumnType = ColumnType::Utf8;

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values.map(|control| control.name())))
    }

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError> {
        let words = columns.texts(name)?;
        let read = |(row, word): (usize, &str)| {
            word.parse().map_err(|_| ArtifactError::Value {
                kind: ArtifactKind::Findings,
                column: name.to_owned(),
                row,
                value: word.to_owned(),
                expected: "native, positive or negative",
            })
        };
        words.iter().enumerate().map(read).collect()
    }
}
