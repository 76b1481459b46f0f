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
use crate::kinds::permutations::PermutationSums;
use crate::kinds::quality::Control;
use crate::schema::{
    Column, ColumnName, ColumnType, KindSchema, MetadataKey, MetadataType, TARGET,
};

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
                p_doubt: Option<String>,
                    "why p_value may be too small: groups alike, or qualities related, if it may";
            }
            by_modality {
                alignment, "alignment_",
                    "one column a modality: AUROC of its quality for its expert being right, of numbers for coming closer";
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
            metadata: &[AXES, MODALITIES, SETTINGS],
            optional_metadata: &[MetadataKey {
                key: "group_counts",
                of: MetadataType::Text,
                help: "rows and right decisions under Clean-Q by group and class, as JSON",
            }],
        };

        pub(crate) static REGRESSION: KindSchema = KindSchema {
            columns: &[
                Column {
                    name: ColumnName::Begins(""),
                    of: ColumnType::Utf8,
                    nullable: false,
                    help: "one column an axis: the row's point on it",
                },
                Column::full("metric", ColumnType::Utf8, "mae, rmse, pearson or concordance"),
                Column::full("metric_clean", ColumnType::Float64, "the metric under Clean-Q"),
                Column::full("metric_broken", ColumnType::Float64, "its mean under Broken-Q"),
                maybe("metric_without_quality", "that of the same rule refitted without quality"),
                maybe("metric_best_unimodal", "that of the best expert alone"),
                maybe("metric_oracle", "that of the expert that is closest, example by example"),
                maybe("prediction_shift", "mean of |prediction - that of Clean-Q|"),
                maybe("prediction_shift_low", "lower end of its interval"),
                maybe("prediction_shift_high", "its upper end"),
                $(Column {
                    name: ColumnName::Is(stringify!($name)),
                    of: <$type as Value>::TYPE,
                    nullable: <$type as Value>::NULLABLE || <$type as Value>::MAY_BE_UNDEFINED,
                    help: $help,
                },)*
                $(Column {
                    name: ColumnName::Begins($prefix),
                    of: ColumnType::Float64,
                    nullable: true,
                    help: $many_help,
                },)*
            ],
            metadata: &[TARGET, AXES, MODALITIES, SETTINGS],
            optional_metadata: &[MetadataKey {
                key: "group_sums",
                of: MetadataType::Text,
                help: "sums of errors under Clean-Q by group, as JSON",
            }],
            ..SCHEMA
        };

        /// The results at one point.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Finding {
            /// The point: a value for each axis of the findings.
            pub point: Vec<String>,
            $(#[doc = concat!($help, ".")] pub $name: $type,)*
            $(#[doc = concat!($many_help, ".")] pub $many: Vec<Option<f64>>,)*
            /// Measured metric where the label is a number. The balanced accuracies, flips and
            /// shares of probability are then not numbers, and the gap is one of the metric.
            pub metric: Option<MetricValues>,
        }

        /// Adds the columns of all rows after those of the axes.
        fn encode(findings: &Findings, mut builder: Builder) -> Result<Builder, ArtifactError> {
            let rows = &findings.rows;
            let is_regression = findings.metric().is_some();
            $(builder = builder.column(
                stringify!($name),
                Value::into_column(rows.iter().map(|row| &row.$name), is_regression),
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

pub(crate) const AXES: MetadataKey = MetadataKey {
    key: "axes",
    of: MetadataType::Names,
    help: "the axes, in the order of their columns",
};
const MODALITIES: MetadataKey = MetadataKey {
    key: "modalities",
    of: MetadataType::Names,
    help: "the modalities, in the order of their columns",
};
const SETTINGS: MetadataKey = MetadataKey {
    key: "settings",
    of: MetadataType::Names,
    help: "how the findings were tested, each as name=value",
};

const fn maybe(name: &'static str, help: &'static str) -> Column {
    Column { name: ColumnName::Is(name), of: ColumnType::Float64, nullable: true, help }
}

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

/// A metric of numbers at one point, in its own unit: less of an error is better.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricValues {
    /// Under Clean-Q.
    pub clean: f64,
    /// Its mean under Broken-Q.
    pub broken: f64,
    /// That of the same rule refitted without quality.
    pub without_quality: Option<f64>,
    /// That of the best expert alone, where every example has it.
    pub best_unimodal: Option<f64>,
    /// That of the expert that is closest, example by example.
    pub oracle: Option<f64>,
    /// Mean of |prediction - that of Clean-Q| over examples and permutations.
    pub prediction_shift: Option<f64>,
    /// Lower end of its interval.
    pub prediction_shift_low: Option<f64>,
    /// Upper end of its interval.
    pub prediction_shift_high: Option<f64>,
    /// Sums by group for paired comparisons of two findings, in a table of one finding.
    pub groups: Option<GroupSums>,
}

/// Sums of errors under Clean-Q by group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSums {
    /// Digest of the examples tested: only findings of the same examples can be paired.
    pub tested: String,
    /// Sums of each group.
    pub groups: Vec<PermutationSums>,
}

impl Typed for Findings {
    const KIND: ArtifactKind = ArtifactKind::Findings;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let Self { axes, modalities, settings, group_counts, rows } = &self;
        let group_counts = group_counts.as_ref().map(as_json).transpose()?;
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
        if let Some(metric) = self.metric() {
            builder = self.encode_metric(metric, builder)?;
        }
        encode(&self, builder)?.build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read_any(artifact, Self::KIND)?;
        let axes = columns.names("axes")?;
        let modalities = columns.names("modalities")?;
        let settings = columns.names("settings")?;
        let points = columns.points(&axes)?.into_iter();
        let rows = points.map(|point| Finding { point, ..Finding::default() });
        let mut rows = decode(&columns, &modalities, rows.collect())?;
        if columns.is_regression() {
            decode_metric(&columns, &mut rows)?;
        }
        let group_counts = columns.parse_json("group_counts", "counts by group and class")?;
        Ok(Self { axes, modalities, settings, group_counts, rows })
    }
}

fn as_json(value: &impl Serialize) -> Result<String, ArtifactError> {
    serde_json::to_string(value).map_err(|error| ArtifactError::Metadata {
        kind: ArtifactKind::Findings,
        key: "groups".to_owned(),
        value: error.to_string(),
        expected: "counts or sums by group",
    })
}

/// Reads the columns of the metric into all rows.
fn decode_metric(columns: &Columns<'_>, rows: &mut [Finding]) -> Result<(), ArtifactError> {
    let floats = |name: &str| Option::<f64>::from_columns(columns, name);
    let (clean, broken) = (floats("metric_clean")?, floats("metric_broken")?);
    let without_quality = floats("metric_without_quality")?;
    let (best, oracle) = (floats("metric_best_unimodal")?, floats("metric_oracle")?);
    let shift = floats("prediction_shift")?;
    let (low, high) = (floats("prediction_shift_low")?, floats("prediction_shift_high")?);
    let mut groups: Option<GroupSums> = columns.parse_json("group_sums", "sums by group")?;
    for (row, finding) in rows.iter_mut().enumerate() {
        finding.metric = Some(MetricValues {
            clean: clean[row].unwrap_or(f64::NAN),
            broken: broken[row].unwrap_or(f64::NAN),
            without_quality: without_quality[row],
            best_unimodal: best[row],
            oracle: oracle[row],
            prediction_shift: shift[row],
            prediction_shift_low: low[row],
            prediction_shift_high: high[row],
            groups: groups.take(),
        });
    }
    Ok(())
}

impl Findings {
    /// The metric of a study whose label is a number, as its settings name it.
    pub fn metric(&self) -> Option<&str> {
        self.settings.iter().find_map(|setting| setting.strip_prefix("metric="))
    }

    /// Adds the columns of the metric, after those of the axes.
    fn encode_metric(&self, metric: &str, builder: Builder) -> Result<Builder, ArtifactError> {
        let values = || self.rows.iter().map(|row| row.metric.as_ref());
        let floats = |of: &dyn Fn(&MetricValues) -> Option<f64>| -> Float64Array {
            values().map(|metric| metric.and_then(of).filter(|value| value.is_finite())).collect()
        };
        let groups = match &self.rows[..] {
            [row] => row.metric.as_ref().and_then(|metric| metric.groups.as_ref()),
            _ => None,
        };
        Ok(builder
            .regression()
            .optional_metadata("group_sums", groups.map(as_json).transpose()?)
            .column("metric", StringArray::from_iter_values(self.rows.iter().map(|_| metric)))
            .column("metric_clean", floats(&|of| Some(of.clean)))
            .column("metric_broken", floats(&|of| Some(of.broken)))
            .column("metric_without_quality", floats(&|of| of.without_quality))
            .column("metric_best_unimodal", floats(&|of| of.best_unimodal))
            .column("metric_oracle", floats(&|of| of.oracle))
            .column("prediction_shift", floats(&|of| of.prediction_shift))
            .column("prediction_shift_low", floats(&|of| of.prediction_shift_low))
            .column("prediction_shift_high", floats(&|of| of.prediction_shift_high)))
    }

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
pub(crate) trait Value: Sized {
    const TYPE: ColumnType;
    const NULLABLE: bool = false;
    /// True if the value may be one that is not defined where the label is a number.
    const MAY_BE_UNDEFINED: bool = false;

    /// As [`Value::into_array`]; of a study whose label is a number, what is not defined is null.
    fn into_column<'v>(values: impl Iterator<Item = &'v Self>, _is_regression: bool) -> ArrayRef
    where
        Self: 'v,
    {
        Self::into_array(values)
    }

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
    const MAY_BE_UNDEFINED: bool = true;

    fn into_column<'v>(values: impl Iterator<Item = &'v Self>, is_regression: bool) -> ArrayRef {
        if !is_regression {
            return Self::into_array(values);
        }
        let defined = values.map(|value| value.is_finite().then_some(*value));
        Arc::new(defined.collect::<Float64Array>())
    }

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(values.copied()))
    }

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError> {
        Ok(columns.floats(name)?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
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

impl Value for String {
    const TYPE: ColumnType = ColumnType::Utf8;

    fn into_array<'v>(values: impl Iterator<Item = &'v Self>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values))
    }

    fn from_columns(columns: &Columns<'_>, name: &str) -> Result<Vec<Self>, ArtifactError> {
        Ok(columns.texts(name)?.iter().map(str::to_owned).collect())
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
