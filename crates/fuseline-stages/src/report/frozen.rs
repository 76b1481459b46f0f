//! Report of the diagnostic of a model that was fitted elsewhere.

use fuseline_report as report;

use crate::diagnose::frozen::{Diagnosis, Settings};

/// Report data of one diagnosis.
pub fn data(title: &str, diagnosis: &Diagnosis, settings: &Settings) -> report::ReportData {
    let cautions = diagnosis.not_testable.iter().map(|reason| report::Caution {
        actions: vec!["not testable".to_owned()],
        text: reason.clone(),
    });
    report::ReportData {
        title: title.to_owned(),
        asked: report::Asked {
            workflow: "diagnose".to_owned(),
            seed: diagnosis.seed,
            ..report::Asked::default()
        },
        modalities: diagnosis.alignment.iter().map(|(name, _)| name.clone()).collect(),
        findings: vec![row(diagnosis)],
        nulls: vec![report::NullDistribution {
            point: report::Point::new(),
            clean: diagnosis.ba_clean,
            broken: diagnosis.broken.clone(),
        }],
        settings: report::Settings {
            adjust: "none".to_owned(),
            equivalence_margin: settings.equivalence_margin,
            alpha: settings.alpha,
            permutations: diagnosis.n_permutations as u64,
            scheme: diagnosis.scheme.clone(),
            bootstrap_resamples: settings.bootstrap.into(),
            confidence: settings.confidence,
            frozen: true,
            ..report::Settings::default()
        },
        provenance: report::Provenance {
            fuseline_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..report::Provenance::default()
        },
        cautions: cautions.collect(),
        ..report::ReportData::default()
    }
}

/// The one finding.
fn row(of: &Diagnosis) -> report::FindingRow {
    report::FindingRow {
        n_examples: of.n_examples as u64,
        n_groups: of.n_groups as u64,
        n_permutations: of.n_permutations as u64,
        ba_clean: Some(of.ba_clean),
        ba_broken: Some(of.ba_broken),
        ba_without_quality: Some(of.ba_neutral),
        gap: Some(of.gap),
        gap_low: Some(of.interval[0]),
        gap_high: Some(of.interval[1]),
        p_value: Some(of.p_value).filter(|p| !p.is_nan()),
        flip_rate: Some(of.flip_rate),
        probability_shift: Some(of.probability_shift),
        null_sd: of.null_sd,
        detectable_gap: of.detectable_gap,
        equivalent: of.equivalent,
        not_testable: of.not_testable.clone(),
        bound_low: Some(of.bound[0]),
        bound_high: Some(of.bound[1]),
        p_error: Some(of.p_error),
        detectable_gap_80: of.detectable_gap_80,
        flip_low: Some(of.flip_interval[0]),
        flip_high: Some(of.flip_interval[1]),
        shift_low: Some(of.shift_interval[0]),
        shift_high: Some(of.shift_interval[1]),
        gain_low: Some(of.gain_interval[0]),
        gain_high: Some(of.gain_interval[1]),
        ba_best_unimodal: of.ba_best_unimodal,
        ba_oracle: of.ba_oracle,
        headroom: of.headroom,
        alignment: of.alignment.clone(),
        ..report::FindingRow::default()
    }
}
