use std::sync::Arc;

use fuseline_artifact::{Digest, RepeatRow, RoutingRow, Table, Texts};
use fuseline_engine::{InputsBuilder, Outputs, Provenance};

use super::*;
use crate::report::figure::Figure;
use crate::report::latex::Latex;
use crate::report::markdown::Markdown;
use crate::testing::services;

fn findings() -> Findings {
    let row = |rule: &str, gap: f64, ba_broken: f64| Finding {
        point: vec![rule.to_owned()],
        n_permutations: 2,
        ba_clean: 0.5,
        ba_broken,
        gap,
        p_value: 1.0 / 3.0,
        null_sd: f64::NAN,
        detectable_gap: f64::INFINITY,
        alignment: vec![Some(0.5)],
        quality_from_evidence: vec![Some(0.25)],
        quality_label_auroc: vec![Some(0.75)],
        quality_icc: vec![None],
        ..Finding::default()
    };
    Findings {
        axes: vec!["rule".to_owned()],
        modalities: vec!["audio".to_owned()],
        group_counts: None,
        settings: ["scheme=joint", "alpha=0.1", "bootstrap=50", "confidence=0.9", "adjust=none"]
            .map(str::to_owned)
            .into(),
        rows: vec![row("lr", 0.25, 0.1875), row("moe", 0.0, 0.0)],
    }
}

/// Permutations of a rule in a fold: two of four right under Clean-Q, `broken` of them after.
fn permutations(rule: &str, fold: &str, broken: i64) -> Labelled<Permutations> {
    let point = [("rule", rule), ("fold", fold)];
    Labelled {
        point: point.map(|(axis, label)| (axis.to_owned(), label.to_owned())).into(),
        artifact: Permutations {
            classes: vec!["rest".to_owned(), "stress".to_owned()],
            model_digest: Digest::hash(rule.as_bytes()),
            plugin_id: "org.example.rule".to_owned(),
            scheme: "joint".to_owned(),
            reads_quality: None,
            quality_moved: None,
            quality_movable: None,
            permutation: vec![-1, -1, 0, 0, 1, 1],
            class: vec![0, 1, 0, 1, 0, 1],
            n: vec![2; 6],
            correct: vec![1, 1, broken, 0, 0, 0],
        },
    }
}

#[test]
fn null_distributions_pool_the_folds_of_their_own_finding() {
    let parts =
        [permutations("lr", "0", 1), permutations("lr", "1", 2), permutations("moe", "0", 0)];
    let nulls = nulls(&findings(), &parts).unwrap();
    assert_eq!(nulls.len(), 2);
    assert_eq!(nulls[0].point, [("rule".to_owned(), "lr".to_owned())]);
    // lr: 3 of 4 rest and no stress right in permutation 0.
    assert_eq!((nulls[0].clean, &nulls[0].broken[..]), (0.5, &[0.375, 0.0][..]));
    assert_eq!(nulls[1].broken, [0.0, 0.0]);
}

#[test]
fn permutations_of_another_test_or_of_some_of_its_folds_are_refused() {
    for parts in [vec![permutations("lr", "0", 1)], vec![permutations("lr", "0", 2)]] {
        let error = nulls(&findings(), &parts).unwrap_err();
        assert!(error.message.contains("not those of the finding at rule lr"), "{error:?}");
    }
}

#[test]
fn settings_are_those_that_the_findings_carry() {
    let settings = settings(&findings(), &[]);
    assert_eq!((settings.adjust.as_str(), settings.alpha), ("none", 0.1));
    assert_eq!((settings.bootstrap_resamples, settings.confidence), (50, 0.9));
    assert_eq!((settings.permutations, settings.equivalence_margin), (2, None));
}

#[test]
fn a_fold_that_tests_one_class_is_a_caution() {
    let of_rest = |rule: &str| {
        let mut part = permutations(rule, "1", 2);
        part.artifact.n = vec![2, 0, 2, 0, 2, 0];
        part
    };
    let parts = [permutations("lr", "0", 1), of_rest("lr"), of_rest("moe")];
    let one_class = curves::one_class(&findings(), &parts);
    assert_eq!(one_class, [("fold 1".to_owned(), "rest".to_owned())]);
    let said = |one_class: Vec<(String, String)>| {
        let rows = vec![report::FindingRow::default()];
        report::markdown(&ReportData { findings: rows, one_class, ..ReportData::default() })
    };
    assert!(
        said(one_class.clone()).contains("all of one class in fold 1 (rest): permutations stay")
    );
    assert!(
        said(vec![one_class[0].clone(); 9]).contains("fold 1 (rest), fold 1 (rest) and 5 more")
    );
    assert!(!said(Vec::new()).contains("of one class"));
}

/// The report in the form of another stage kind.
fn run_as<K: StageKind>(inputs: &Inputs<'_>) -> Report {
    run_with::<K>("{}", inputs).unwrap()
}

fn run_with<K: StageKind>(options: &str, inputs: &Inputs<'_>) -> Result<Report, StageError> {
    let kind: K = serde_json::from_str(options).unwrap();
    let mut outputs = Outputs::default();
    kind.run(inputs, &mut outputs)?;
    Ok(outputs.get("report").unwrap())
}

#[test]
fn the_report_names_what_was_asked_and_where_it_comes_from() {
    let services = services();
    let provenance = Provenance {
        workflow: "outage-study".to_owned(),
        plugins: vec![("org.example.rule".to_owned(), "0123abcd".to_owned())],
        ..Provenance::default()
    };
    let mut inputs = InputsBuilder::new(&services, 1)
        .provenance(Arc::new(provenance))
        .artifact("findings", vec![], findings())
        .unwrap();
    for of in [permutations("lr", "0", 1), permutations("lr", "1", 2)] {
        inputs = inputs.artifact("permutations", of.point, of.artifact).unwrap();
    }
    let inputs = inputs.build();
    let mut outputs = Outputs::default();
    Html { title: None }.run(&inputs, &mut outputs).unwrap();
    let report: Report = outputs.get("report").unwrap();
    for (kind, media_type, title) in [
        (run_as::<Markdown> as fn(&Inputs<'_>) -> Report, "text/markdown", "# outage-study"),
        (run_as::<Latex>, "text/x-tex", "% outage-study"),
    ] {
        let other = kind(&inputs);
        assert_eq!(other.media_type, media_type);
        let text = String::from_utf8(other.bytes).unwrap();
        assert!(text.starts_with(title) && text.contains("moe"), "{text}");
    }
    assert_eq!(report.media_type, "text/html");
    let html = String::from_utf8(report.bytes).unwrap();
    for text in ["outage-study", "org.example.rule", "0123abcd", "moe"] {
        assert!(html.contains(text), "{text} is missing");
    }
    assert!(!html.contains("NaN") && !html.contains("inf "));

    let figure = |options: &str| run_with::<Figure>(options, &inputs);
    let pdf = figure(r#"{"figure": "gaps"}"#).unwrap();
    assert_eq!((pdf.media_type.as_str(), &pdf.bytes[..5]), ("application/pdf", &b"%PDF-"[..]));
    let svg = figure(r#"{"figure": "null-lr", "format": "svg"}"#).unwrap();
    assert_eq!(svg.media_type, "image/svg+xml");
    assert!(String::from_utf8(svg.bytes).unwrap().contains("Null distribution: lr"));
    let error = figure(r#"{"figure": "gasp"}"#).unwrap_err();
    assert_eq!(error.option.as_deref(), Some("figure"));
    assert_eq!(error.hint.as_deref(), Some("did you mean gaps?"));
}

#[test]
fn values_that_the_features_lack_are_counted_as_they_are() {
    let services = services();
    let features = Features {
        example_id: Texts::from_iter(vec!["a", "b", "c"]),
        columns: vec![
            ("f0".to_owned(), vec![Some(1.0), None, Some(f64::INFINITY)].into()),
            ("f1".to_owned(), vec![None, None, Some(2.0)].into()),
        ],
    };
    let point = vec![("modality".to_owned(), "audio".to_owned())];
    let inputs =
        InputsBuilder::new(&services, 1).artifact("features", point, features).unwrap().build();
    let found = observed(&inputs).unwrap();
    let expected =
        report::Observed { modality: "audio".to_owned(), values: 6, missing: 3, not_finite: 1 };
    assert_eq!(found, [expected]);
}

#[test]
fn tables_of_routing_are_read_by_measure_and_others_are_refused() {
    let services = services();
    let rows = [
        ("ba_fused", None, Some(0.7)),
        ("ba_oracle", None, Some(0.9)),
        ("ba_router", None, None),
        ("headroom", None, Some(0.2)),
        ("routing_regret", None, Some(0.25)),
        ("ba_unimodal", Some("audio"), Some(0.5)),
        ("ba_unimodal", Some("video"), Some(0.6)),
    ];
    let rows = rows.map(|(measure, modality, value)| {
        let modality = modality.map(str::to_owned);
        (Vec::new(), RoutingRow { measure: measure.to_owned(), modality, value })
    });
    let table = Table { axes: Vec::new(), rows: rows.to_vec() };
    let point = || vec![("rule".to_owned(), "lr".to_owned())];
    let inputs = InputsBuilder::new(&services, 1).artifact("routing", point(), table).unwrap();
    let expected = report::Routing {
        point: point(),
        fused: Some(0.7),
        best_expert: Some(0.6),
        oracle: Some(0.9),
        regret: Some(0.25),
        ..report::Routing::default()
    };
    assert_eq!(curves::routing(&inputs.build()).unwrap(), [expected]);
    let other = Table::<RepeatRow> { axes: Vec::new(), rows: Vec::new() };
    let inputs = InputsBuilder::new(&services, 1).artifact("routing", point(), other).unwrap();
    let error = curves::routing(&inputs.build()).unwrap_err().to_string();
    assert!(error.contains("a table routing is expected"), "{error}");
}
