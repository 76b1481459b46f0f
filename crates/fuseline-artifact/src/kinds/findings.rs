//! One row of results a point.

use arrow::array::{Array, BooleanArray, Float64Array, Int64Array};

use crate::artifact::{Artifact, Typed};
use crate::columns::{Builder, Columns};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;
use crate::kinds::quality::Control;
use crate::schema::{Column, ColumnName, ColumnType, KindSchema, MetadataKey, MetadataType};

pub(crate) static SCHEMA: KindSchema = KindSchema {
    kind: ArtifactKind::Findings,
    version: 1,
    columns: &[
        Column {
            name: ColumnName::Begins(""),
            of: ColumnType::Utf8,
            nullable: false,
            help: "one column an axis: the row's point on it",
        },
        Column::full(
            "control",
            ColumnType::Utf8,
            "native, positive or negative: what the quality is",
        ),
        Column::full(
            "evidence_derived",
            ColumnType::Boolean,
            "whether the quality is a function of the evidence",
        ),
        Column::full("n_examples", ColumnType::Int64, "test examples, pooled over the folds"),
        Column::full("n_groups", ColumnType::Int64, "their groups"),
        Column::full("n_permutations", ColumnType::Int64, "permutations drawn"),
        Column::full("ba_clean", ColumnType::Float64, "balanced accuracy under Clean-Q"),
        Column::full("ba_broken", ColumnType::Float64, "its mean under Broken-Q"),
        Column::sparse(
            "ba_without_quality",
            ColumnType::Float64,
            "that of the same rule refitted without quality",
        ),
        Column::full("gap", ColumnType::Float64, "ba_clean - ba_broken: the permutation gap"),
        Column::full("gap_low", ColumnType::Float64, "lower end of its interval"),
        Column::full("gap_high", ColumnType::Float64, "upper end of its interval"),
        Column::full("p_value", ColumnType::Float64, "one-sided permutation p-value"),
        Column::sparse("p_adjusted", ColumnType::Float64, "p_value adjusted over the family"),
        Column::full(
            "flip_rate",
            ColumnType::Float64,
            "share of decisions that a permutation changes",
        ),
        Column::full(
            "probability_shift",
            ColumnType::Float64,
            "mean total-variation distance from Clean-Q",
        ),
        Column::full(
            "null_sd",
            ColumnType::Float64,
            "standard deviation of balanced accuracy under Broken-Q",
        ),
        Column::full(
            "detectable_gap",
            ColumnType::Float64,
            "the smallest gap that the test could have found",
        ),
        Column::sparse(
            "equivalent",
            ColumnType::Boolean,
            "whether the gap is shown to lie within the margin",
        ),
        Column::full(
            "ba_best_unimodal",
            ColumnType::Float64,
            "balanced accuracy of the best expert alone",
        ),
        Column::full(
            "ba_oracle",
            ColumnType::Float64,
            "that of the per-example oracle over modalities",
        ),
        Column::full("headroom", ColumnType::Float64, "ba_oracle - ba_clean"),
        Column {
            name: ColumnName::Begins("alignment_"),
            of: ColumnType::Float64,
            nullable: true,
            help: "one column a modality: AUROC of its quality for its expert being right",
        },
    ],
    metadata: &[
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
    ],
    optional_metadata: &[],
};

/// One row of results a point.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The axes of the points.
    pub axes: Vec<String>,
    /// The modalities whose alignment is given.
    pub modalities: Vec<String>,
    /// How the findings were tested, each as `name=value`.
    pub settings: Vec<String>,
    /// The rows.
    pub rows: Vec<Finding>,
}

/// The results at one point.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Finding {
    /// The point: a value for each axis of the findings.
    pub point: Vec<String>,
    /// What the quality is: an estimate or a control.
    pub control: Control,
    /// Whether the quality is a function of the evidence.
    pub evidence_derived: bool,
    /// Test examples, pooled over the folds.
    pub n_examples: i64,
    /// Their groups.
    pub n_groups: i64,
    /// Permutations drawn.
    pub n_permutations: i64,
    /// Balanced accuracy under Clean-Q.
    pub ba_clean: f64,
    /// Its mean under Broken-Q.
    pub ba_broken: f64,
    /// That of the same rule refitted without quality, if it was.
    pub ba_without_quality: Option<f64>,
    /// The permutation gap.
    pub gap: f64,
    /// Lower end of its interval.
    pub gap_low: f64,
    /// Upper end of its interval.
    pub gap_high: f64,
    /// One-sided permutation p-value.
    pub p_value: f64,
    /// The p-value adjusted over the family, once there is one.
    pub p_adjusted: Option<f64>,
    /// Share of decisions that a permutation changes.
    pub flip_rate: f64,
    /// Mean total-variation distance of the probabilities from those of Clean-Q.
    pub probability_shift: f64,
    /// Standard deviation of balanced accuracy under Broken-Q.
    pub null_sd: f64,
    /// The smallest gap that the test could have found.
    pub detectable_gap: f64,
    /// Whether the gap is shown to lie within the margin, once one was stated.
    pub equivalent: Option<bool>,
    /// Balanced accuracy of the best expert alone.
    pub ba_best_unimodal: f64,
    /// That of the per-example oracle over modalities.
    pub ba_oracle: f64,
    /// What the oracle has over the fused decision.
    pub headroom: f64,
    /// For each modality of the findings, how well its quality predicts that its expert is right.
    pub alignment: Vec<Option<f64>>,
}

impl Typed for Findings {
    const KIND: ArtifactKind = ArtifactKind::Findings;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let Self { axes, modalities, settings, rows } = &self;
        for row in rows {
            self.check_width("point", axes.len(), row.point.len())?;
            self.check_width("alignment", modalities.len(), row.alignment.len())?;
        }
        let mut builder = Builder::new(Self::KIND, rows.len())
            .names("axes", axes)
            .names("modalities", modalities)
            .names("settings", settings);
        for (at, axis) in axes.iter().enumerate() {
            builder = builder.texts(axis, &rows.iter().map(|row| &row.point[at]).collect());
        }
        let controls = rows.iter().map(|row| row.control.name()).collect();
        builder = builder
            .texts("control", &controls)
            .column(
                "evidence_derived",
                self.map::<BooleanArray, _>(|row| Some(row.evidence_derived)),
            )
            .column("n_examples", self.map::<Int64Array, _>(|row| Some(row.n_examples)))
            .column("n_groups", self.map::<Int64Array, _>(|row| Some(row.n_groups)))
            .column("n_permutations", self.map::<Int64Array, _>(|row| Some(row.n_permutations)))
            .column("ba_clean", self.floats(|row| Some(row.ba_clean)))
            .column("ba_broken", self.floats(|row| Some(row.ba_broken)))
            .column("ba_without_quality", self.floats(|row| row.ba_without_quality))
            .column("gap", self.floats(|row| Some(row.gap)))
            .column("gap_low", self.floats(|row| Some(row.gap_low)))
            .column("gap_high", self.floats(|row| Some(row.gap_high)))
            .column("p_value", self.floats(|row| Some(row.p_value)))
            .column("p_adjusted", self.floats(|row| row.p_adjusted))
            .column("flip_rate", self.floats(|row| Some(row.flip_rate)))
            .column("probability_shift", self.floats(|row| Some(row.probability_shift)))
            .column("null_sd", self.floats(|row| Some(row.null_sd)))
            .column("detectable_gap", self.floats(|row| Some(row.detectable_gap)))
            .column("equivalent", self.map::<BooleanArray, _>(|row| row.equivalent))
            .column("ba_best_unimodal", self.floats(|row| Some(row.ba_best_unimodal)))
            .column("ba_oracle", self.floats(|row| Some(row.ba_oracle)))
            .column("headroom", self.floats(|row| Some(row.headroom)));
        for (at, modality) in modalities.iter().enumerate() {
            let name = format!("alignment_{modality}");
            builder = builder.column(&name, self.floats(|row| row.alignment[at]));
        }
        builder.build()
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        let columns = Columns::of(artifact, Self::KIND)?;
        let axes = columns.names("axes")?;
        let modalities = columns.names("modalities")?;
        let settings = columns.names("settings")?;
        let points = axes.iter().map(|axis| columns.texts(axis)).collect::<Result<Vec<_>, _>>()?;
        let alignments = modalities
            .iter()
            .map(|modality| columns.floats(&format!("alignment_{modality}")))
            .collect::<Result<Vec<_>, _>>()?;
        let controls = columns.texts("control")?;
        let booleans = |name| columns.booleans(name);
        let counts = |name| columns.ints64(name);
        let floats = |name| columns.floats(name);
        let evidence_derived = booleans("evidence_derived")?;
        let (n_examples, n_groups) = (counts("n_examples")?, counts("n_groups")?);
        let n_permutations = counts("n_permutations")?;
        let (ba_clean, ba_broken) = (floats("ba_clean")?, floats("ba_broken")?);
        let ba_without_quality = floats("ba_without_quality")?;
        let (gap, gap_low, gap_high) = (floats("gap")?, floats("gap_low")?, floats("gap_high")?);
        let (p_value, p_adjusted) = (floats("p_value")?, floats("p_adjusted")?);
        let (flip_rate, shift) = (floats("flip_rate")?, floats("probability_shift")?);
        let (null_sd, detectable_gap) = (floats("null_sd")?, floats("detectable_gap")?);
        let equivalent = booleans("equivalent")?;
        let (best, oracle) = (floats("ba_best_unimodal")?, floats("ba_oracle")?);
        let headroom = floats("headroom")?;
        let rows = (0..columns.rows()).map(|row| {
            let control = controls[row].parse().map_err(|_| ArtifactError::Value {
                kind: Self::KIND,
                column: "control".to_owned(),
                row,
                value: controls[row].to_owned(),
                expected: "native, positive or negative",
            })?;
            Ok(Finding {
                point: points.iter().map(|labels| labels[row].to_owned()).collect(),
                control,
                evidence_derived: evidence_derived.value(row),
                n_examples: n_examples.value(row),
                n_groups: n_groups.value(row),
                n_permutations: n_permutations.value(row),
                ba_clean: ba_clean.value(row),
                ba_broken: ba_broken.value(row),
                ba_without_quality: optional(ba_without_quality, row),
                gap: gap.value(row),
                gap_low: gap_low.value(row),
                gap_high: gap_high.value(row),
                p_value: p_value.value(row),
                p_adjusted: optional(p_adjusted, row),
                flip_rate: flip_rate.value(row),
                probability_shift: shift.value(row),
                null_sd: null_sd.value(row),
                detectable_gap: detectable_gap.value(row),
                equivalent: equivalent.is_valid(row).then(|| equivalent.value(row)),
                ba_best_unimodal: best.value(row),
                ba_oracle: oracle.value(row),
                headroom: headroom.value(row),
                alignment: alignments.iter().map(|values| optional(values, row)).collect(),
            })
        });
        let rows = rows.collect::<Result<_, ArtifactError>>()?;
        Ok(Self { axes, modalities, settings, rows })
    }
}

impl Findings {
    fn map<A: FromIterator<Option<T>>, T>(&self, value: impl Fn(&Finding) -> Option<T>) -> A {
        self.rows.iter().map(value).collect()
    }

    fn floats(&self, value: impl Fn(&Finding) -> Option<f64>) -> Float64Array {
        self.map(value)
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

fn optional(values: &Float64Array, row: usize) -> Option<f64> {
    values.is_valid(row).then(|| values.value(row))
}
