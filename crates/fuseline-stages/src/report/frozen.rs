//! Report of the diagnostic of a model that was fitted elsewhere.

use fuseline_report as report;
use fuseline_stats::metrics::NumberMetric;
use fuseline_stats::quality_regression::EVIDENCE_DERIVED_R2;

use crate::diagnose::frozen::{Diagnosis, Settings};

/// Report data of one diagnosis.
pub fn data(title: &str, diagnosis: &Diagnosis, settings: &Settings) -> report::ReportData {
    let of = |what: &str, text: &String| report::Caution {
        actions: vec![what.to_owned()],
        text: text.clone(),
    };
    let untestable = diagnosis.not_testable.iter().map(|text| of("not testable", text));
    let doubt = diagnosis.p_doubt.iter().map(|text| of("p-value", text));
    let cautions =
        untestable.chain(doubt).chain(diagnosis.cautions.iter().map(|text| of("answers", text)));
    report::ReportData {
        title: title.to_owned(),
        asked: report::Asked {
            workflow: "Frozen model".to_owned(),
            seed: diagnosis.seed,
            ..report::Asked::default()
        },
        modalities: diagnosis.alignment.iter().map(|(name, _)| name.clone()).collect(),
        findings: vec![row(diagnosis)],
        nulls: vec![report::NullDistribution {
            point: report::Point::new(),
            clean: diagnosis.metric.as_ref().map_or(diagnosis.ba_clean, |of| of.clean),
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
            metric: diagnosis
                .metric
                .as_ref()
                .and_then(|of| report::Metric::named(NumberMetric::from(of.name).name())),
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

/// `None` for what is no number.
fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

/// The one finding.
fn row(of: &Diagnosis) -> report::FindingRow {
    report::FindingRow {
        n_examples: of.n_examples as u64,
        n_groups: of.n_groups as u64,
        n_permutations: of.n_permutations as u64,
        ba_clean: finite(of.ba_clean),
        ba_broken: finite(of.ba_broken),
        ba_without_quality: finite(of.ba_neutral),
        gap: Some(of.gap),
        gap_low: Some(of.interval[0]),
        gap_high: Some(of.interval[1]),
        p_value: Some(of.p_value).filter(|p| !p.is_nan()),
        flip_rate: finite(of.flip_rate),
        probability_shift: finite(of.probability_shift),
        null_sd: of.null_sd,
        detectable_gap: of.detectable_gap,
        equivalent: of.equivalent,
        not_testable: of.not_testable.clone(),
        p_doubt: of.p_doubt.clone(),
        bound_low: finite(of.bound[0]),
        bound_high: finite(of.bound[1]),
        p_error: Some(of.p_error),
        detectable_gap_80: of.detectable_gap_80,
        flip_low: finite(of.flip_interval[0]),
        flip_high: finite(of.flip_interval[1]),
        shift_low: finite(of.shift_interval[0]),
        shift_high: finite(of.shift_interval[1]),
        gain_low: Some(of.gain_interval[0]),
        gain_high: Some(of.gain_interval[1]),
        ba_best_unimodal: of.ba_best_unimodal,
        ba_oracle: of.ba_oracle,
        headroom: of.headroom,
        alignment: of.alignment.clone(),
        evidence_derived: of
            .quality_from_evidence
            .iter()
            .any(|(_, r2)| r2.is_some_and(|r2| r2 >= EVIDENCE_DERIVED_R2)),
        quality_from_evidence: of.quality_from_evidence.clone(),
        metric: of.metric.as_ref().map(|metric| report::MetricRow {
            clean: Some(metric.clean),
            broken: Some(metric.broken),
            without_quality: Some(metric.neutral),
            gain: Some(of.gain),
            shift: Some(metric.shift),
            shift_low: Some(metric.shift_interval[0]),
            shift_high: Some(metric.shift_interval[1]),
            ..report::MetricRow::default()
        }),
        ..report::FindingRow::default()
    }
}
