//! The built-in stage kinds, one file each.
//!
//! Knows what loading, splitting, experts, quality, fusion, the diagnostic, reports and simulations
//! do with artifacts. Knows nothing of YAML, caches or plans: the engine calls a kind with its
//! inputs and keeps what comes out. Start at [`kinds`]. **Invariant:** a kind reads nothing but its
//! inputs, its options and what its key names.

mod batch;
pub mod cohort;
pub mod command;
pub mod diagnose;
pub mod expert;
mod fitted_on;
pub mod fusion;
mod guard;
pub mod intervene;
mod join;
pub mod load;
mod pattern;
mod pool;
pub mod quality;
pub mod report;
mod rows;
pub mod simulate;
pub mod split;
mod stop;
mod table;
#[cfg(test)]
mod testing;
mod upstream;

use fuseline_engine::{Kind, Kinds};

/// Every built-in stage kind, in the order of the reference.
pub fn kinds() -> Kinds {
    Kinds::new(vec![
        Kind::of::<load::csv::LoadCsv>(),
        Kind::of::<load::parquet::LoadParquet>(),
        Kind::of::<load::jsonl::LoadJsonl>(),
        Kind::of::<load::npz::LoadNpz>(),
        Kind::of::<load::csd::LoadCsd>(),
        Kind::of::<simulate::cohort::SimulateCohort>(),
        Kind::of::<simulate::features::SimulateFeatures>(),
        Kind::of::<cohort::define::DefineCohort>(),
        Kind::of::<split::group_kfold::GroupKFold>(),
        Kind::of::<split::stratified_group_kfold::StratifiedGroupKFold>(),
        Kind::of::<split::leave_one_group_out::LeaveOneGroupOut>(),
        Kind::of::<split::predefined::Predefined>(),
        Kind::of::<intervene::degrade::Degrade>(),
        Kind::of::<intervene::outage::Outage>(),
        Kind::of::<expert::logistic::LogisticExpert>(),
        Kind::of::<expert::linear_svm::LinearSvmExpert>(),
        Kind::of::<expert::gradient_boosting::BoostingExpert>(),
        Kind::of::<expert::random_forest::ForestExpert>(),
        Kind::of::<expert::precomputed::PrecomputedExpert>(),
        Kind::of::<expert::onnx::OnnxExpert>(),
        Kind::of::<quality::margin::Margin>(),
        Kind::of::<quality::entropy::Entropy>(),
        Kind::of::<quality::missingness::Missingness>(),
        Kind::of::<quality::in_distribution::InDistribution>(),
        Kind::of::<quality::mahalanobis::Mahalanobis>(),
        Kind::of::<quality::ensemble_variance::EnsembleVariance>(),
        Kind::of::<quality::conformal_set_size::ConformalSetSize>(),
        Kind::of::<quality::column::QualityColumn>(),
        Kind::of::<quality::constant::Constant>(),
        Kind::of::<quality::aligned::Aligned>(),
        Kind::of::<quality::class_cue::ClassCue>(),
        Kind::of::<quality::random::Random>(),
        Kind::of::<fusion::fit::Fit>(),
        Kind::of::<fusion::load::Load>(),
        Kind::of::<fusion::predict::Predict>(),
        Kind::of::<diagnose::permute_quality::PermuteQuality>(),
        Kind::of::<diagnose::summarize::Summarize>(),
        Kind::of::<diagnose::family::Family>(),
        Kind::of::<diagnose::calibration::Calibration>(),
        Kind::of::<diagnose::compare::Compare>(),
        Kind::of::<diagnose::repeats::Repeats>(),
        Kind::of::<diagnose::metrics::Metrics>(),
        Kind::of::<diagnose::routing::Routing>(),
        Kind::of::<report::table::JoinTables>(),
        Kind::of::<report::html::Html>(),
        Kind::of::<report::markdown::Markdown>(),
        Kind::of::<report::latex::Latex>(),
        Kind::of::<report::figure::Figure>(),
        Kind::of::<command::Command>(),
    ])
}

#[cfg(test)]
mod tests;
