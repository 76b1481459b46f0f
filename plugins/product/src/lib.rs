//! The fusion rule `product`: a product of the experts.
//!
//! For an example with evidence P_mk of modality m for class k, over the available modalities:
//!
//! p_k = prod_m P_mk / sum_k' prod_m P_mk'
//!
//! It is Bayes' rule for experts that err independently of each other given the class, and for
//! classes that are equally likely before anything is seen. An expert that all but excludes a class
//! all but decides, so evidence below 1e-12 counts as 1e-12. Where no modality is available, all
//! classes are equally likely. Quality is not read, so the permutation gap of this rule is
//! exactly 0. Nothing is fitted.
//!
//! Source: Hinton, "Training products of experts by minimizing contrastive divergence", Neural
//! Computation 14(8), 2002; the product rule with equal priors of Kittler, Hatef, Duin and Matas,
//! "On combining classifiers", IEEE TPAMI 20(3), 1998.

use fuseline_plugin::{
    Batch, Descriptor, FusionRule, ModelReader, ModelWriter, Params, PermutedPredict, Quality,
    RuleError, Shape, TrainingBatch, export_fusion_rule,
};

/// Evidence below this counts as this.
const LEAST: f64 = 1e-12;

/// The rule; it has nothing to remember.
#[derive(Debug)]
pub struct Product;

impl FusionRule for Product {
    const ID: &'static str = "org.fuseline.product";

    fn descriptor() -> Descriptor {
        Descriptor::new(
            "product of experts",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_LICENSE"),
            "The product of the evidence of the available modalities, as of independent experts.",
        )
        .uses_quality(false)
    }

    fn fit(_: &TrainingBatch<'_>, _: &Params<'_>, _: u64) -> Result<Self, RuleError> {
        Ok(Self)
    }

    fn write(&self, _: &mut ModelWriter) {}

    fn read(_: &mut ModelReader<'_>, _: &Shape) -> Result<Self, RuleError> {
        Ok(Self)
    }

    fn predict(&self, batch: &Batch<'_>, probabilities: &mut [f64]) -> Result<(), RuleError> {
        for (row, out) in probabilities.chunks_exact_mut(batch.classes()).enumerate() {
            out.fill(0.0);
            for modality in
                (0..batch.modalities()).filter(|&modality| batch.is_available(row, modality))
            {
                for (sum, probability) in out.iter_mut().zip(batch.evidence_of(row, modality)) {
                    *sum += libm::log(probability.max(LEAST));
                }
            }
            let top = out.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            out.iter_mut().for_each(|sum| *sum = libm::exp(*sum - top));
            let total: f64 = out.iter().sum();
            out.iter_mut().for_each(|probability| *probability /= total);
        }
        Ok(())
    }
}

impl PermutedPredict for Product {
    fn predict_permuted(
        &self,
        batch: &Batch<'_>,
        quality: &Quality<'_>,
        probabilities: &mut [f64],
    ) -> Result<(), RuleError> {
        quality.predict_once(self, batch, probabilities)
    }
}

export_fusion_rule!(Product, permuted_predict);
