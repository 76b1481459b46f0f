//! One small artifact of each kind, for tests.

use arrow::array::{Float64Array, StringArray};

use crate::*;

pub fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub fn features() -> Features {
    Features {
        example_id: Texts::from_iter(["a", "b", "c"]),
        columns: vec![
            ("pitch.mean".to_owned(), Float64Array::from(vec![Some(1.5), None, Some(-0.0)])),
            ("energy".to_owned(), Float64Array::from(vec![f64::INFINITY, 2.0, 1e-300])),
        ],
    }
}

pub fn cohort() -> Cohort {
    Cohort {
        example_id: Texts::from_iter(["a", "b", "c"]),
        group: Texts::from_iter(["one", "two", "two"]),
        label: vec![2, 0, 2],
        classes: strings(&["rest", "never seen", "stress"]),
    }
}

pub fn folds() -> Folds {
    Folds { example_id: Texts::from_iter(["a", "b", "c"]), fold: vec![0, 1, 1] }
}

pub fn evidence() -> Evidence {
    Evidence {
        modality: "audio".to_owned(),
        classes: strings(&["rest", "stress"]),
        example_id: Texts::from_iter(["a", "c"]),
        probabilities: vec![0.25, 0.75, 0.5, 0.5].into(),
        inner_fold: None,
        logits: None,
    }
}

pub fn quality() -> Quality {
    Quality {
        modality: "audio".to_owned(),
        source: "margin".to_owned(),
        control: Control::Native,
        evidence_derived: true,
        example_id: Texts::from_iter(["a", "c"]),
        quality: vec![0.5, 0.0].into(),
    }
}

pub fn model() -> Model {
    Model {
        plugin_id: "lr".to_owned(),
        plugin_version: "1.2.3".to_owned(),
        plugin_digest: Digest::hash(b"plugin"),
        rows_digest: Digest::hash(b"rows"),
        fitted_on: FittedOn::examples(["a", "c"]),
        modalities: strings(&["audio", "video"]),
        classes: strings(&["rest", "stress"]),
        embeddings: vec![EmbeddingScale {
            modality: "audio".to_owned(),
            columns: strings(&["pitch", "jitter"]),
            excluded: strings(&["quality"]),
            mean: vec![0.1, -3.0],
            scale: vec![1.0, 0.3],
            raw: false,
        }],
        bytes: vec![0, 255, 1, 0],
    }
}

pub fn predictions() -> Predictions {
    Predictions {
        classes: strings(&["rest", "stress"]),
        example_id: Texts::from_iter(["a", "c"]),
        probabilities: vec![0.25, 0.75, 0.5, 0.5].into(),
        decision: vec![1, 0],
    }
}

pub fn permutations() -> Permutations {
    Permutations {
        classes: strings(&["rest", "stress"]),
        model_digest: Digest::hash(b"model"),
        plugin_id: "lr".to_owned(),
        scheme: "joint".to_owned(),
        reads_quality: Some(true),
        quality_moved: Some(20.25),
        quality_movable: None,
        permutation: vec![-1, -1, 0, 0],
        class: vec![0, 1, 0, 1],
        n: vec![10, 12, 10, 12],
        correct: vec![7, 9, 6, 9],
    }
}

pub fn example_effects() -> ExampleEffects {
    ExampleEffects {
        permutations: 100,
        example_id: Texts::from_iter(["a", "c"]),
        clean_correct: vec![true, false],
        broken_correct: vec![80, 20],
        flips: vec![20, 20],
        probability_shift: vec![0.125, 0.0625],
    }
}

pub fn findings() -> Findings {
    let first = Finding {
        point: strings(&["lr", "margin"]),
        evidence_derived: true,
        n_examples: 22,
        n_groups: 5,
        n_permutations: 100,
        ba_clean: 0.75,
        ba_broken: 0.5,
        gap: 0.25,
        p_value: 1.0 / 101.0,
        alignment: vec![Some(0.625), None],
        quality_from_evidence: vec![Some(-0.25), None],
        quality_label_auroc: vec![Some(0.75), None],
        label_icc: Some(0.5),
        error_icc: None,
        design_effect: Some(1.25),
        p_doubt: None,
        quality_icc: vec![Some(0.25), None],
        ..Finding::default()
    };
    let second = Finding {
        point: strings(&["moe", "margin"]),
        control: Control::Positive,
        ba_without_quality: Some(0.5),
        p_adjusted: Some(0.5),
        equivalent: Some(false),
        reads_quality: Some(false),
        not_counted: Some("the rule does not read quality".to_owned()),
        ..first.clone()
    };
    Findings {
        axes: strings(&["rule", "quality"]),
        modalities: strings(&["audio", "video"]),
        settings: strings(&["adjust=holm", "alpha=0.05"]),
        group_counts: Some(GroupCounts {
            tested: Digest::hash(b"rows").to_string(),
            classes: 2,
            rows: vec![10, 1, 0, 11],
            correct: vec![9, 0, 0, 11],
        }),
        rows: vec![first, second],
    }
}

pub fn metadata() -> Metadata {
    Metadata {
        example_id: Texts::from_iter(["a", "c"]),
        columns: vec![
            ("sex".to_owned(), StringArray::from(vec![Some("f"), None])),
            ("site".to_owned(), StringArray::from(vec!["north", ""])),
        ],
    }
}

pub fn audit() -> Audit {
    Audit {
        found: 2,
        examined: strings(&["duplicate: features audio"]),
        not_examined: strings(&["near_duplicate: features audio: too few examples"]),
        not_listed: strings(&["duplicate: features audio: 1 more"]),
        rows: vec![Fault {
            check: "duplicate".to_owned(),
            severity: Severity::Error,
            source: "features audio".to_owned(),
            column: None,
            first_example_id: Some("a".to_owned()),
            second_example_id: Some("c".to_owned()),
            statistic: "distance".to_owned(),
            value: Some(0.0),
            threshold: None,
            p_value: None,
            message: "a and c are copies".to_owned(),
        }],
    }
}

/// The artifacts of a study whose label is a number.
pub fn regression() -> Vec<Artifact> {
    let ids = || Texts::from_iter(["a", "b", "c"]);
    let sums = |n| PermutationSums {
        n,
        absolute_error: 1.5,
        squared_error: 1.25,
        label: -0.5,
        prediction: 0.25,
        label_squared: 2.0,
        prediction_squared: 1.0,
        product: 0.75,
    };
    let groups = Texts::from_iter(["one", "two", "two"]);
    let cohort = AnyCohort::of_values(ids(), groups, vec![0.5, -1.25, 3.0]);
    let rows = Evidence {
        classes: vec![VALUE.to_owned()],
        probabilities: vec![-0.5, 2.25].into(),
        inner_fold: Some(vec![0, 1]),
        logits: None,
        ..evidence()
    };
    let evidence = AnyEvidence(rows.into());
    let permutations = AnyPermutations::Regression(RegressionPermutations {
        origin: 0.75,
        model_digest: Digest::hash(b"model"),
        plugin_id: "lr".to_owned(),
        scheme: "joint".to_owned(),
        reads_quality: Some(true),
        quality_moved: Some(2.5),
        quality_movable: None,
        permutation: vec![-1, 0],
        sums: vec![sums(3), sums(3)],
    });
    let effects = RegressionEffects {
        permutations: 1,
        example_id: ids(),
        clean_prediction: vec![0.5, -1.0, 2.0],
        broken_prediction: vec![0.25, -1.5, 2.0],
        broken_absolute_error: vec![0.25, 0.25, 1.0],
        broken_squared_error: vec![0.0625, 0.0625, 1.0],
        prediction_shift: vec![0.25, 0.5, 0.0],
    };
    let predictions = RegressionPredictions { example_id: ids(), prediction: vec![0.5, -1.0, 2.0] };
    let mut findings = findings();
    findings.rows.truncate(1);
    findings.settings.push("metric=mae".to_owned());
    findings.group_counts = None;
    findings.rows[0].ba_clean = f64::NAN;
    findings.rows[0].metric = Some(MetricValues {
        clean: 0.5,
        broken: 0.75,
        without_quality: None,
        best_unimodal: Some(1.0),
        oracle: None,
        prediction_shift: Some(0.25),
        prediction_shift_low: Some(0.125),
        prediction_shift_high: None,
        groups: Some(GroupSums { tested: "rows".to_owned(), groups: vec![sums(1), sums(2)] }),
    });
    let all = [
        cohort.into_artifact(),
        evidence.into_artifact(),
        permutations.into_artifact(),
        effects.into_artifact(),
        predictions.into_artifact(),
        findings.into_artifact(),
    ];
    all.into_iter().collect::<Result<_, _>>().unwrap()
}

pub fn table() -> Table<RepeatRow> {
    let row = RepeatRow {
        repetitions: 10,
        gap_mean: Some(0.25),
        p_value: Some(0.0078125),
        ..RepeatRow::default()
    };
    Table { axes: strings(&["rule"]), rows: vec![(strings(&["lr"]), row)] }
}

pub fn report() -> Report {
    Report { media_type: "text/html".to_owned(), bytes: b"<!doctype html>".to_vec() }
}

/// One of each kind.
pub fn all() -> Vec<Artifact> {
    let all = [
        features().into_artifact(),
        cohort().into_artifact(),
        folds().into_artifact(),
        evidence().into_artifact(),
        quality().into_artifact(),
        model().into_artifact(),
        predictions().into_artifact(),
        permutations().into_artifact(),
        example_effects().into_artifact(),
        findings().into_artifact(),
        metadata().into_artifact(),
        audit().into_artifact(),
        table().into_artifact(),
        report().into_artifact(),
    ];
    all.into_iter().collect::<Result<_, _>>().unwrap()
}
