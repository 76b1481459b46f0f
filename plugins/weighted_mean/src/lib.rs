//! The fusion rule `weighted_mean`: a mean over the available modalities, weighted by their
//! quality.
//!
//! Quality is standardised per modality, z_m = (Q_m - mean_m) / sd_m, with mean and population
//! standard deviation over the training rows in which the modality is available; a standard
//! deviation of at most 1e-12 max(1, |mean_m|) counts as 1. With evidence P_mk:
//!
//! w_m = exp(z_m) / sum over available m' of exp(z_m'),  p_k = sum_m w_m P_mk
//!
//! If no modality is available, p is the weighted share of each class in the training rows. Where
//! the label is a number, P_m is the number that an expert expects, and p their weighted mean.
//!
//! Source: quality-weighted late fusion, e.g. Poh and Kittler, "A unified framework for biometric
//! expert fusion incorporating quality measures", IEEE TPAMI 34(1), 2012; the softmax makes the
//! weights positive on any scale of quality.

use fuseline_plugin::tiles::{Lane, Tile, TiledRule};
use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Params, PermutedPredict, Quality,
    RuleError, Shape, StandardQuality, TrainingBatch, export_fusion_rule,
};

/// Standardisation of quality, and the prediction for rows without any modality.
#[derive(Debug)]
pub struct WeightedMean {
    quality: StandardQuality,
    prior: Vec<f64>,
}

impl FusionRule for WeightedMean {
    const ID: &'static str = "org.fuseline.weighted_mean";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "weighted mean",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "The mean of the evidence, weighted by a softmax of the standardised quality.",
        )
        .regression(true)
    }

    fn fit(batch: &TrainingBatch<'_>, _: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        Ok(Self { quality: StandardQuality::fit(batch), prior: batch.prior() })
    }

    fn write(&self, model: &mut ModelWriter) {
        self.quality.write(model);
        model.f64s(&self.prior);
    }

    fn read(model: &mut ModelReader<'_>, shape: &Shape) -> Result<Self, RuleError> {
        Ok(Self {
            quality: StandardQuality::read(model, shape.modalities.len())?,
            prior: model.f64s(shape.classes.len())?,
        })
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        self.predict_permuted(batch, &Quality::as_measured(), probabilities)
    }
}

impl TiledRule for WeightedMean {
    type Terms = ();

    fn terms(&self, _: &Tile) {}

    #[inline(always)]
    fn predict_tile(
        &self,
        tile: &Tile,
        (): &mut (),
        quality: &mut [Lane],
        probabilities: &mut [Lane],
    ) {
        tile.mix(quality, probabilities);
    }

    fn prior(&self) -> &[f64] {
        &self.prior
    }

    fn moving(&self, batch: &Batch<'_>) -> Vec<f64> {
        self.quality.standardise(batch)
    }
}

export_fusion_rule!(WeightedMean, permuted_predict);
