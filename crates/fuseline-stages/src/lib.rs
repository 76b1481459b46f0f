//! The built-in stage kinds, one file each.
//!
//! Knows what loading, splitting, experts, quality, fusion, the diagnostic, reports and simulations
//! do with artifacts. Knows nothing of YAML, caches or plans: the engine calls a kind with its
//! inputs and keeps what comes out. Start at [`kinds`]. **Invariant:** a kind reads nothing but its
//! inputs, its options and what its key names.

pub mod audit;
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
        Kind::new::<load::csv::LoadCsv>(),
        Kind::new::<load::parquet::LoadParquet>(),
        Kind::new::<load::jsonl::LoadJsonl>(),
        Kind::new::<load::npz::LoadNpz>(),
        Kind::new::<load::csd::LoadCsd>(),
        Kind::new::<simulate::cohort::SimulateCohort>(),
        Kind::new::<simulate::features::SimulateFeatures>(),
        Kind::new::<cohort::define::DefineCohort>(),
        Kind::new::<cohort::metadata::CohortMetadata>(),
        Kind::new::<split::group_kfold::GroupKFold>(),
        Kind::new::<split::stratified_group_kfold::StratifiedGroupKFold>(),
        Kind::new::<split::leave_one_group_out::LeaveOneGroupOut>(),
        Kind::new::<split::predefined::Predefined>(),
        Kind::new::<intervene::degrade::Degrade>(),
        Kind::new::<intervene::outage::Outage>(),
        Kind::new::<expert::logistic::LogisticExpert>(),
        Kind::new::<expert::linear_svm::LinearSvmExpert>(),
        Kind::new::<expert::gradient_boosting::BoostingExpert>(),
        Kind::new::<expert::random_forest::ForestExpert>(),
        Kind::new::<expert::ridge::RidgeExpert>(),
        Kind::new::<expert::precomputed::PrecomputedExpert>(),
        Kind::new::<expert::onnx::OnnxExpert>(),
        Kind::new::<expert::none::NoExpert>(),
        Kind::new::<quality::margin::Margin>(),
        Kind::new::<quality::entropy::Entropy>(),
        Kind::new::<quality::missingness::Missingness>(),
        Kind::new::<quality::in_distribution::InDistribution>(),
        Kind::new::<quality::mahalanobis::Mahalanobis>(),
        Kind::new::<quality::ensemble_variance::EnsembleVariance>(),
        Kind::new::<quality::conformal_set_size::ConformalSetSize>(),
        Kind::new::<quality::max_probability::MaxProbability>(),
        Kind::new::<quality::energy::Energy>(),
        Kind::new::<quality::evidential::Evidential>(),
        Kind::new::<quality::mutual_information::MutualInformation>(),
        Kind::new::<quality::tcp::Tcp>(),
        Kind::new::<quality::knn::Knn>(),
        Kind::new::<quality::conflict::Conflict>(),
        Kind::new::<quality::relative::Relative>(),
        Kind::new::<quality::column::QualityColumn>(),
        Kind::new::<quality::constant::Constant>(),
        Kind::new::<quality::held::Held>(),
        Kind::new::<quality::aligned::Aligned>(),
        Kind::new::<quality::class_cue::ClassCue>(),
        Kind::new::<quality::random::Random>(),
        Kind::new::<fusion::fit::Fit>(),
        Kind::new::<fusion::load::Load>(),
        Kind::new::<fusion::predict::Predict>(),
        Kind::new::<diagnose::permute_quality::PermuteQuality>(),
        Kind::new::<diagnose::summarize::Summarize>(),
        Kind::new::<diagnose::family::Family>(),
        Kind::new::<diagnose::calibration::Calibration>(),
        Kind::new::<diagnose::compare::Compare>(),
        Kind::new::<diagnose::labels::Labels>(),
        Kind::new::<diagnose::repeats::Repeats>(),
        Kind::new::<diagnose::subgroups::Subgroups>(),
        Kind::new::<diagnose::reliability::Reliability>(),
        Kind::new::<diagnose::metrics::Metrics>(),
        Kind::new::<diagnose::routing::Routing>(),
        Kind::new::<audit::data::DataAudit>(),
        Kind::new::<report::table::JoinTables>(),
        Kind::new::<report::html::Html>(),
        Kind::new::<report::markdown::Markdown>(),
        Kind::new::<report::latex::Latex>(),
        Kind::new::<report::figure::Figure>(),
        Kind::new::<command::Command>(),
    ])
}

#[cfg(test)]
mod tests;
