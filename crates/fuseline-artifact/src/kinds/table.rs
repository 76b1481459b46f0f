//! Tables of results that are no findings, each of a declared form.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::findings::{AXES, Value};
use crate::schema::{Column, ColumnName, ColumnType, KindSchema, MetadataKey, MetadataType};

/// Key of the metadata that names the form.
pub(crate) const FORM_KEY: &str = "table";

const FORM: MetadataKey = MetadataKey {
    key: FORM_KEY,
    of: MetadataType::Word(&FORM_NAMES),
    help: "the form, which says the columns behind those of the axes",
};

/// The columns of the axes, before all others.
const LABELS: Column = Column {
    name: ColumnName::Begins(""),
    of: ColumnType::Utf8,
    nullable: false,
    help: "a column for each axis, with the label of the point",
};

const fn schema(columns: &'static [Column]) -> KindSchema {
    KindSchema {
        kind: ArtifactKind::Table,
        // One for all forms: a file is held against it before its form is known.
        version: 1,
        columns,
        metadata: &[FORM, AXES],
        optional_metadata: &[],
    }
}

/// The schema of a table whose form is not known.
pub(crate) static SCHEMA: KindSchema = schema(&[LABELS]);

/// A table of results: rows of one form, with the point of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Table<Row> {
    /// The axes of the points.
    pub axes: Vec<String>,
    /// The labels of each row's point, one an axis, and its values.
    pub rows: Vec<(Vec<String>, Row)>,
}

impl<Row> Table<Row> {
    /// The rows, each with the coordinates of its point.
    pub fn into_points(self) -> impl Iterator<Item = (Vec<(String, String)>, Row)> {
        let Self { axes, rows } = self;
        rows.into_iter().map(move |(labels, row)| (axes.iter().cloned().zip(labels).collect(), row))
    }
}

/// Makes the struct, schema and codec of each form from one list of its columns.
macro_rules! forms {
    ($(
        $(#[doc = $doc:literal])+
        $form:ident = $name:literal { $($column:ident: $type:ty = $help:literal,)+ }
    )+) => {
        const FORM_NAMES: [&str; [$($name),+].len()] = [$($name),+];

        /// The forms by name, with their schemas.
        pub(crate) static FORMS: [(&str, KindSchema); FORM_NAMES.len()] = [$((
            $name,
            schema(&[LABELS, $(Column {
                name: ColumnName::Is(stringify!($column)),
                of: <$type as Value>::TYPE,
                nullable: <$type as Value>::NULLABLE,
                help: $help,
            }),+]),
        )),+];

        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, PartialEq, Default)]
            pub struct $form {
                $(#[doc = $help] pub $column: $type,)+
            }

            impl $form {
                /// The columns behind those of the axes.
                pub const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),+];
            }

            impl Typed for Table<$form> {
                const KIND: ArtifactKind = ArtifactKind::Table;

                fn into_artifact(self) -> Result<Artifact, ArtifactError> {
                    let rows = &self.rows;
                    let mut builder = Builder::new(Self::KIND, rows.len())
                        .metadata(FORM_KEY, $name)
                        .names(AXES.key, &self.axes);
                    if let Some((point, _)) =
                        rows.iter().find(|(point, _)| point.len() != self.axes.len())
                    {
                        return Err(ArtifactError::ColumnLength {
                            kind: Self::KIND,
                            column: AXES.key.to_owned(),
                            expected: self.axes.len(),
                            found: point.len(),
                        });
                    }
                    for (place, axis) in self.axes.iter().enumerate() {
                        builder = builder
                            .texts(axis, &rows.iter().map(|(point, _)| &point[place]).collect());
                    }
                    $(builder = builder.column(
                        stringify!($column),
                        <$type as Value>::into_array(rows.iter().map(|(_, row)| &row.$column)),
                    );)+
                    builder.build()
                }

                fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
                    let columns = Columns::read(artifact, Self::KIND)?;
                    let form = columns.text(FORM_KEY)?;
                    if form != $name {
                        let found = form.to_owned();
                        return Err(ArtifactError::TableForm { expected: $name, found });
                    }
                    let axes = leading_columns(&columns, $form::COLUMNS.len())?;
                    let points = columns.points(&axes)?.into_iter();
                    let mut rows: Vec<_> = points.map(|point| (point, $form::default())).collect();
                    $(
                        let values = <$type as Value>::from_columns(&columns, stringify!($column))?;
                        for ((_, row), value) in rows.iter_mut().zip(values) {
                            row.$column = value;
                        }
                    )+
                    Ok(Self { axes, rows })
                }
            }
        )+
    };
}

forms! {
    /// The share of simulated studies that a test calls significant, at one level.
    CalibrationRow = "calibration" {
        level: f64 = "level of the test",
        replicates: i64 = "simulated studies",
        rejected: i64 = "those whose p-value is at most the level",
        share: Option<f64> = "their share",
        share_low: Option<f64> = "lower end of its 95 % interval",
        share_high: Option<f64> = "upper end of its 95 % interval",
        mean_gap: Option<f64> = "mean gap of the studies",
        interval_holds_mean: Option<f64> = "share of studies whose interval holds the mean gap",
        share_randomised: Option<f64> = "the share if ties were ordered at random",
    }
    /// Two labels of an axis compared.
    CompareRow = "compare" {
        first: String = "the first label",
        second: String = "the second label",
        gap_first: Option<f64> = "permutation gap of the first",
        gap_second: Option<f64> = "permutation gap of the second",
        difference: Option<f64> = "the first gap minus the second",
        low: Option<f64> = "lower end of its interval",
        high: Option<f64> = "upper end of its interval",
        p_value: Option<f64> = "two-sided permutation value of the difference",
        p_adjusted: Option<f64> = "the same, adjusted by Holm over the table",
        ba_first: Option<f64> = "balanced accuracy of the first under Clean-Q",
        ba_second: Option<f64> = "balanced accuracy of the second under Clean-Q",
        ba_difference: Option<f64> = "the first minus the second",
        ba_low: Option<f64> = "lower end of its interval",
        ba_high: Option<f64> = "upper end of its interval",
    }
    /// A measure of the fused probabilities.
    MetricRow = "metrics" {
        metric: String = "the measure",
        better: String = "which values are better: higher or lower",
        clean: Option<f64> = "its value under Clean-Q",
        broken: Option<f64> = "its mean under Broken-Q",
        gap: Option<f64> = "how much worse the mean is than the value",
        null_sd: Option<f64> = "standard deviation over the permutations",
        p_value: Option<f64> = "permutation p-value",
        permutations: i64 = "number of permutations",
        scheme: String = "how quality was permuted",
    }
    /// The calibration of a condition, of all its examples or of a bin of confidence.
    ReliabilityRow = "reliability" {
        condition: String = "clean or broken",
        bin_low: Option<f64> = "lower end of the bin; missing for all examples",
        bin_high: Option<f64> = "upper end of the bin; missing for all examples",
        examples: Option<f64> = "examples of the bin, on average over permutations",
        confidence: Option<f64> = "their mean confidence",
        accuracy: Option<f64> = "the share that is decided right",
        ece: Option<f64> = "expected calibration error, of all examples",
        ece_sd: Option<f64> = "its standard deviation over the permutations",
        p_value: Option<f64> = "permutation p-value of the error under Clean-Q",
    }
    /// The findings of a condition over splits or seeds.
    RepeatRow = "repeats" {
        repetitions: i64 = "findings of the condition",
        gap_mean: Option<f64> = "mean of the gap",
        gap_sd: Option<f64> = "its standard deviation over repetitions",
        gap_min: Option<f64> = "the least gap",
        gap_max: Option<f64> = "the greatest gap",
        sampling_sd: Option<f64> = "standard deviation by the examples, from the intervals",
        total_sd: Option<f64> = "of both together",
        test_to_train: Option<f64> = "tested examples for each that is trained on",
        gap_low: Option<f64> = "lower end of the interval of the corrected t-test",
        gap_high: Option<f64> = "upper end of the interval of the corrected t-test",
        p_value: Option<f64> = "p-value of the corrected resampled t-test",
        share_p_at_level: Option<f64> = "share of repetitions whose p-value is at most the level",
        share_equivalent: Option<f64> = "share of repetitions that are equivalent",
        ba_clean_mean: Option<f64> = "mean balanced accuracy under Clean-Q",
        ba_clean_sd: Option<f64> = "its standard deviation over repetitions",
    }
    /// A measure of how well evidence can be routed by quality.
    RoutingRow = "routing" {
        measure: String = "the measure",
        modality: Option<String> = "the modality that it is of; missing where it is of all",
        value: Option<f64> = "its value",
    }
    /// The permutation gap of one subgroup under one condition.
    SubgroupRow = "subgroups" {
        by: String = "class, or the column of metadata",
        value: String = "the class, or the value of the column",
        examples: i64 = "tested examples of the subgroup",
        groups: i64 = "groups that they belong to",
        gap: Option<f64> = "permutation gap of the subgroup",
        gap_low: Option<f64> = "lower end of its interval",
        gap_high: Option<f64> = "upper end of its interval",
        gap_low_adjusted: Option<f64> = "lower end of the interval that holds with all others",
        gap_high_adjusted: Option<f64> = "upper end of the interval that holds with all others",
        p_value: Option<f64> = "p-value of the gap",
        p_adjusted: Option<f64> = "the same, adjusted by Holm over the table",
        difference: Option<f64> = "its gap minus that of the other examples",
        difference_low: Option<f64> = "lower end of its interval",
        difference_high: Option<f64> = "upper end of its interval",
        difference_low_adjusted: Option<f64> = "lower end of the interval that holds with all others",
        difference_high_adjusted: Option<f64> = "upper end of the interval that holds with all others",
        difference_p_value: Option<f64> = "p-value of the difference",
        difference_p_adjusted: Option<f64> = "the same, adjusted by Holm over the table",
        not_testable: Option<String> = "why it was not tested",
    }
}

/// The axes, which must be what the columns before those of the form are called.
fn leading_columns(columns: &Columns<'_>, others: usize) -> Result<Vec<String>, ArtifactError> {
    let axes = columns.names(AXES.key)?;
    let fields = columns.table.schema_ref().fields();
    let leading = fields[..fields.len() - others].iter().map(|field| field.name());
    if leading.eq(&axes) {
        return Ok(axes);
    }
    Err(ArtifactError::Metadata {
        kind: ArtifactKind::Table,
        key: AXES.key.to_owned(),
        value: columns.text(AXES.key)?.to_owned(),
        expected: "the names of the columns before those of the form",
    })
}

/// A table of any form.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyTable {
    form: String,
    axes: Vec<String>,
    batch: RecordBatch,
}

impl AnyTable {
    /// Name of the form.
    pub fn form(&self) -> &str {
        &self.form
    }

    /// All columns, those of the axes first.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The names of all columns.
    pub fn columns(&self) -> Vec<String> {
        self.batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// The table with columns for the coordinates of a point before all others, where no column
    /// says them already. Where a column of the same name says something else it is `axis_NAME`.
    pub fn at(self, point: &[(String, String)]) -> Result<Self, ArtifactError> {
        let rows = self.batch.num_rows();
        let (mut axes, mut arrays): (Vec<String>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
        for (axis, label) in point {
            let labels = StringArray::from(vec![label.as_str(); rows]);
            axes.push(match self.batch.column_by_name(axis) {
                None => axis.clone(),
                Some(column) if column.as_string_opt::<i32>() == Some(&labels) => continue,
                Some(_) => format!("axis_{axis}"),
            });
            arrays.push(Arc::new(labels));
        }
        let own = self.batch.schema_ref().fields().iter().map(|field| field.as_ref().clone());
        let fields = axes.iter().map(|axis| Field::new(axis, DataType::Utf8, false)).chain(own);
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        arrays.extend(self.batch.columns().iter().cloned());
        axes.extend(self.axes);
        Ok(Self { form: self.form, axes, batch: RecordBatch::try_new(schema, arrays)? })
    }

    /// This table with the rows of another of the same columns below its own.
    pub fn append(self, other: &Self) -> Result<Self, ArtifactError> {
        let schema = self.batch.schema();
        let batch = concat_batches(&schema, [&self.batch, &other.batch])?;
        Ok(Self { batch, ..self })
    }
}

impl Typed for AnyTable {
    const KIND: ArtifactKind = ArtifactKind::Table;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let builder = Builder::new(Self::KIND, self.batch.num_rows())
            .metadata(FORM_KEY, self.form)
            .names(AXES.key, &self.axes);
        let columns = self.batch.schema_ref().fields().iter().zip(self.batch.columns());
        let add = |builder: Builder, (field, array): (&Arc<Field>, &ArrayRef)| {
            builder.column(field.name(), array.clone())
        };
        columns.fold(builder, add).build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::read(artifact, Self::KIND)?;
        let form = columns.text(FORM_KEY)?.to_owned();
        let others = SCHEMA.for_metadata(&artifact.metadata).columns.len() - 1;
        let axes = leading_columns(&columns, others)?;
        Ok(Self { form, axes, batch: columns.table })
    }
}
