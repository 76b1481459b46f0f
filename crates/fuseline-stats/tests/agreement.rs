//! Each statistic beside scipy, scikit-learn or statsmodels, on the fixture that
//! `tests/fixtures/make.py` wrote.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]
#![expect(clippy::print_stdout, reason = "the distances are read with --nocapture")]

use std::path::Path;

use fuseline_stats::bootstrap::Resampled;
use fuseline_stats::headroom::Experts;
use fuseline_stats::permutation_test::permutation_test;
use fuseline_stats::quality_regression::{EvidenceRows, QualityRegression, out_of_fold_r2};
use fuseline_stats::{evidence, metrics, multiple, normal, quantile};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    classification: Vec<Classification>,
    ranks: Ranks,
    normal: Normal,
    multiple: Multiple,
    permutation: Permutation,
    bootstrap: Bootstrap,
    quantiles: Quantiles,
}

fn reference() -> Reference {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reference.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Compares in units of max(1, |expected|).
#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let off = |(found, expected): (&f64, &f64)| (found - expected).abs() / expected.abs().max(1.0);
    let distance = found
        .iter()
        .zip(expected)
        .map(off)
        .fold(0.0, |top: f64, next| if next > top || next.is_nan() { next } else { top });
    println!("{what}: {distance:.1e}");
    assert!(distance <= tolerance, "{what}: off by {distance:e}, {tolerance:e} is allowed");
}

#[derive(Deserialize)]
struct Classification {
    classes: usize,
    probabilities: Vec<f64>,
    labels: Vec<u32>,
    decisions: Vec<u32>,
    recalls: Vec<f64>,
    accuracy: f64,
    balanced_accuracy: f64,
    macro_f1: f64,
    log_loss: f64,
    brier: f64,
    auroc: f64,
    entropy: Vec<f64>,
}

#[test]
fn metrics_of_classification_agree_with_scikit_learn() {
    for case in reference().classification {
        let (p, labels, classes) = (&case.probabilities, &case.labels, case.classes);
        assert_eq!(metrics::decisions(p, classes).unwrap(), case.decisions);
        let confusion =
            metrics::Confusion::from_decisions(labels, &case.decisions, classes).unwrap();
        let recalls: Vec<f64> = metrics::recalls(&confusion.rows(), &confusion.correct())
            .unwrap()
            .into_iter()
            .flatten()
            .collect();
        assert_close("recalls", &recalls, &case.recalls, 1e-15);
        let found = [
            confusion.accuracy().unwrap(),
            confusion.balanced_accuracy().unwrap(),
            confusion.macro_f1().unwrap(),
            metrics::log_loss(p, labels).unwrap(),
            metrics::brier(p, labels).unwrap(),
            metrics::auroc_one_against_rest(p, labels, classes).unwrap(),
        ];
        let expected = [
            case.accuracy,
            case.balanced_accuracy,
            case.macro_f1,
            case.log_loss,
            case.brier,
            case.auroc,
        ];
        let what = "accuracy, balanced accuracy, macro F1, log loss, Brier, AUROC";
        assert_close(what, &found, &expected, 1e-14);
        let certainty: Vec<f64> = p.chunks(classes).map(evidence::certainty).collect();
        assert_close("certainty", &certainty, &case.entropy, 1e-14);
    }
}

#[derive(Deserialize)]
struct Ranks {
    x: Vec<f64>,
    y: Vec<f64>,
    positive: Vec<bool>,
    ranks: Vec<f64>,
    spearman: f64,
    auroc: f64,
}

#[test]
fn metrics_of_rankings_agree_with_scipy_and_scikit_learn() {
    let case = reference().ranks;
    assert_eq!(metrics::mid_ranks(&case.x).unwrap(), case.ranks);
    let found = metrics::spearman(&case.x, &case.y).unwrap();
    assert_close("Spearman", &[found], &[case.spearman], 1e-14);
    let found = metrics::auroc(&case.x, &case.positive).unwrap();
    assert_close("AUROC", &[found], &[case.auroc], 1e-14);
}

#[derive(Deserialize)]
struct Normal {
    x: Vec<f64>,
    cdf: Vec<f64>,
    share: Vec<f64>,
    quantile: Vec<f64>,
}

#[test]
fn the_normal_distribution_agrees_with_scipy_into_the_tails() {
    let case = reference().normal;
    for (x, expected) in case.x.iter().zip(&case.cdf) {
        assert_close("cdf, relative", &[normal::cdf(*x) / expected], &[1.0], 1e-13);
    }
    let found: Vec<f64> = case.share.iter().map(|share| normal::quantile(*share)).collect();
    assert_close("quantile", &found, &case.quantile, 1e-14);
}

#[derive(Deserialize)]
struct Multiple {
    p: Vec<f64>,
    holm: Vec<f64>,
    benjamini_hochberg: Vec<f64>,
}

#[test]
fn adjusted_p_values_agree_with_statsmodels() {
    let case = reference().multiple;
    assert_close("Holm", &multiple::holm(&case.p).unwrap(), &case.holm, 1e-15);
    let found = multiple::benjamini_hochberg(&case.p).unwrap();
    assert_close("Benjamini-Hochberg", &found, &case.benjamini_hochberg, 1e-15);
}

#[derive(Deserialize)]
struct Permutation {
    clean: f64,
    broken: Vec<f64>,
    p_value: f64,
    null_sd: f64,
    mean: f64,
}

#[test]
fn the_permutation_test_agrees_with_scipy() {
    let case = reference().permutation;
    let found = permutation_test(case.clean, &case.broken).unwrap();
    let expected = [case.p_value, case.null_sd, case.mean, case.clean - case.mean];
    let found = [found.p_value, found.null_sd.unwrap(), found.broken, found.gap];
    assert_close("p, sd, mean, gap", &found, &expected, 1e-14);
}

#[derive(Deserialize)]
struct Bootstrap {
    values: Vec<f64>,
    estimate: f64,
    without_group: Vec<f64>,
    #[serde(rename = "percentile_0.90")]
    percentile_90: [f64; 2],
    #[serde(rename = "percentile_0.95")]
    percentile_95: [f64; 2],
    #[serde(rename = "BCa_0.90")]
    bca_90: [f64; 2],
    #[serde(rename = "BCa_0.95")]
    bca_95: [f64; 2],
}

#[test]
fn bootstrap_intervals_agree_with_scipy() {
    let case = reference().bootstrap;
    let resampled = Resampled { estimate: case.estimate, values: case.values };
    for (confidence, percentile, bca) in
        [(0.90, case.percentile_90, case.bca_90), (0.95, case.percentile_95, case.bca_95)]
    {
        let found = resampled.percentile(confidence).unwrap();
        assert_close("percentile", &[found.low, found.high], &percentile, 1e-14);
        let found = resampled.bca(&case.without_group, confidence).unwrap();
        assert_close("BCa", &[found.low, found.high], &bca, 1e-12);
        assert_ne!(percentile, bca);
    }
}

#[derive(Deserialize)]
struct Quantiles {
    sorted: Vec<f64>,
    share: Vec<f64>,
    quantile: Vec<f64>,
}

#[test]
fn quantiles_agree_with_numpy() {
    let case = reference().quantiles;
    let found: Vec<f64> =
        case.share.iter().map(|share| quantile::of_sorted(&case.sorted, *share).unwrap()).collect();
    assert_close("quantiles", &found, &case.quantile, 1e-15);
}

#[derive(Deserialize)]
struct QualityCase {
    modalities: usize,
    classes: usize,
    available: Vec<bool>,
    evidence: Vec<f64>,
    quality: Vec<f64>,
    fold: Vec<u32>,
    labels: Vec<u32>,
    penalty: Vec<f64>,
    expected: Vec<f64>,
    r2: Vec<f64>,
    label_auroc: Vec<f64>,
}

#[test]
fn the_regression_of_quality_on_evidence_agrees_with_scikit_learn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/quality_regression.json");
    let cases: Vec<QualityCase> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let rows = EvidenceRows {
            modalities: case.modalities,
            classes: case.classes,
            available: &case.available,
            evidence: &case.evidence,
        };
        let fitted = QualityRegression::fit(&rows, &case.quality).unwrap();
        assert_eq!(fitted.penalties(), case.penalty.iter().copied().map(Some).collect::<Vec<_>>());
        assert_close("expected quality", &fitted.predict(&rows).unwrap(), &case.expected, 1e-8);
        let r2: Vec<f64> = out_of_fold_r2(&rows, &case.quality, &case.fold)
            .unwrap()
            .into_iter()
            .flatten()
            .collect();
        assert_close("R2 of quality given the evidence", &r2, &case.r2, 1e-8);
        let experts = Experts {
            modalities: case.modalities,
            available: &case.available,
            correct: &vec![true; case.available.len()],
            labels: &case.labels,
            classes: case.classes,
        };
        let aurocs: Vec<f64> =
            experts.label_auroc(&case.quality).unwrap().into_iter().flatten().collect();
        assert_close("AUROC of quality for the label", &aurocs, &case.label_auroc, 1e-12);
    }
}
