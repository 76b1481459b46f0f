//! Labels that are numbers: from the column to the report, beside numpy, scipy and scikit-learn.

use fuseline_tests::{Lab, fuseline, python, real_data, root};

/// Sixty examples of twenty people in two modalities, some of which are missing; the score follows
/// both, the better the higher their quality.
fn data(lab: &Lab) {
    let noise = |at: u32| f64::from((at * 7919 + 131) % 1009) / 504.5 - 1.0;
    let mut labels = "id,who,score\n".to_owned();
    let mut tables = ["id,a,b,quality\n".to_owned(), "id,a,b,c,quality\n".to_owned()];
    for row in 0..120_u32 {
        let score = 2.0 + 3.0 * noise(row * 3 + 1);
        let text = if row == 17 { String::new() } else { format!("{score:.4}") };
        labels.push_str(&format!("e{row:03},p{:02},{text}\n", row / 3));
        for (modality, table) in tables.iter_mut().enumerate() {
            let draw = |at: u32| noise(row * 29 + at + 400 * modality as u32);
            if (row + modality as u32).is_multiple_of(11) {
                continue;
            }
            let quality = 1.0 + draw(1);
            let spread = 0.2 + 2.0 * (2.0 - quality);
            let mut line = format!("e{row:03}");
            for at in 0..2 + modality as u32 {
                if (row + at).is_multiple_of(13) {
                    line.push(',');
                } else {
                    line.push_str(&format!(",{:.5}", score + spread * draw(2 + at)));
                }
            }
            table.push_str(&format!("{line},{quality:.5}\n"));
        }
    }
    lab.write("labels.csv", labels);
    let [voice, face] = tables;
    lab.write("voice.csv", voice);
    lab.write("face.csv", face);
}

#[test]
fn a_study_of_numbers_equals_numpy_scikit_learn_and_the_callable_door() {
    let lab = Lab::with_workflow(include_str!("numbers/study.yaml"));
    data(&lab);
    let said = lab.run(["run", "workflow.yaml", "--out", "out"]).success().stderr();
    assert!(said.contains("1 of 120 examples have no label in labels.csv"), "{said}");
    let script = root().join("tests/stories/numbers/by_hand.py");
    let package = root().join("python");
    let arguments = [script, lab.path("."), lab.path("out"), package, fuseline()];
    let Some(said) = python("numpy, scipy, sklearn, pandas, pyarrow", arguments) else { return };
    assert_eq!(said.trim(), "equal");
}

#[test]
fn the_unit_and_the_origin_of_a_label_decide_nothing_but_the_unit() {
    let (stages, _) = include_str!("numbers/study.yaml").split_once("outputs:").expect("outputs");
    let workflow =
        ["mean", "weighted_mean", "lr"].iter().fold(format!("{stages}outputs:\n"), |text, rule| {
            format!("{text}  {rule}.csv: finding[rule={rule},measured=pearson]\n")
        });
    let findings = |change: &dyn Fn(f64) -> f64| {
        let lab = Lab::with_workflow(&workflow);
        data(&lab);
        let labels = String::from_utf8(lab.read("labels.csv")).expect("UTF-8");
        let changed = labels.lines().map(|line| match line.rsplit_once(',') {
            Some((row, score)) if score.parse::<f64>().is_ok() => {
                format!("{row},{}\n", change(score.parse().expect("a number")))
            }
            _ => format!("{line}\n"),
        });
        lab.write("labels.csv", changed.collect::<String>());
        lab.run(["run", "workflow.yaml", "--out", "out"]).success();
        ["mean", "weighted_mean", "lr"].map(|rule| {
            let table = lab.read(&format!("out/{rule}.csv"));
            let mut table = csv::Reader::from_reader(table.as_slice());
            let heads = table.headers().expect("a heading").clone();
            let row = table.records().next().expect("a row").expect("as many cells");
            ["metric_clean", "metric_broken", "gap_low", "gap_high", "p_value"].map(|column| {
                let place = heads.iter().position(|head| head == column).expect("a column");
                row[place].parse::<f64>().expect("a number")
            })
        })
    };
    let as_it_is = findings(&|score| score);
    let elsewhere = findings(&|score| 4.0 * score + 1000.0);
    for (one, other) in as_it_is.iter().flatten().zip(elsewhere.iter().flatten()) {
        assert!((one - other).abs() < 1e-6, "{as_it_is:?} and {elsewhere:?}");
    }
}

#[test]
fn a_column_of_numbers_is_never_silently_a_class_each() {
    let (stages, _) = include_str!("numbers/study.yaml").split_once("  folds:\n").expect("folds");
    let stages = stages.replace(", regression: true", "");
    let axes = ["  fold: [0]\n", "  rule: [mean, weighted_mean, lr]\n"];
    let stages = axes.iter().fold(stages, |text, axis| text.replace(axis, ""));
    let stages = stages.replace("  measured: [mae, rmse, pearson, concordance]\n", "");
    let stages = stages.replace("params: { permutations: 199 }\n", "");
    let lab = Lab::with_workflow(&format!("{stages}outputs: {{ cohort.csv: cohort }}\n"));
    data(&lab);
    let said = lab.run(["run", "workflow.yaml"]).exits(2).stderr();
    for words in ["different numbers", "each would be a class of its own", "regression: true"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_takes_classes_alone_is_refused_before_anything_runs() {
    let refused = |change: &dyn Fn(&str) -> String, words: &[&str]| {
        let lab = Lab::with_workflow(&change(include_str!("numbers/study.yaml")));
        data(&lab);
        let said = lab.run(["check", "workflow.yaml"]).exits(2).stderr();
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in words {
            assert!(said.contains(words), "{words}: {said}");
        }
    };
    let with = |from: &'static str, to: &'static str| move |text: &str| text.replace(from, to);
    refused(
        &with("rule: [mean, weighted_mean, lr]", "rule: [mean, weighted_mean, lr, moe]"),
        &[
            "the rule org.fuseline.moe takes classes, and the label is a number",
            "weighted_mean and lr",
        ],
    );
    refused(
        &with("uses: quality.column", "uses: quality.margin"),
        &["`quality` is of kind quality.margin"],
    );
    refused(
        &with("uses: split.group_kfold", "uses: split.stratified_group_kfold"),
        &["`folds` is of kind split.stratified_group_kfold, which takes classes"],
    );
    refused(
        &with(
            "with: { permutations: \"${{ params.permutations }}\" }",
            "with: { permutations: \"${{ params.permutations }}\", scheme: within_class }",
        ),
        &["the scheme within_class is one of classes", "no strata of equal label"],
    );
    refused(
        &with(
            "label: { column: score, regression: true }",
            "label: { column: score, regression: true, quantile: { at: [0.5], classes: [low, high] } }",
        ),
        &["regression predicts the number itself"],
    );
    refused(
        &|text| text.replace("measured", "metric"),
        &["the axis `metric` has the name of a column of the findings"],
    );
    // The other way round.
    refused(
        &with("regression: true", "quantile: { at: [0.5], classes: [low, high] }"),
        &[
            "`expert` predicts a number, and the label of its cohort is a class",
            "`metric` is one of predicted numbers",
        ],
    );
}

#[test]
fn an_audit_of_numbers_is_refused_before_anything_runs() {
    let lab = Lab::with_workflow(include_str!("numbers/study.yaml"));
    data(&lab);
    let said = lab.run(["audit", "workflow.yaml"]).exits(2).stderr();
    for words in ["an audit examines classes", "threshold or quantile"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("actions"), "{said}");
}

#[test]
fn the_report_speaks_of_the_metric_and_never_of_accuracies() {
    let lab = Lab::new();
    let workflow = root().join("workflows/regression.yaml");
    let path = workflow.to_str().expect("UTF-8");
    let sets = ["--set", "permutations=99", "--set", "examples=240", "--set", "folds=2"];
    let run = |more: &[&str]| {
        let mut arguments = vec!["run", path, "--out", "out"];
        arguments.extend(sets);
        arguments.extend(more);
        lab.run(arguments)
    };
    let ran = run(&[]);
    let said = ran.success().stdout() + &ran.stderr();
    assert!(said.contains("the mean absolute error rises"), "{said}");
    for file in ["report.html", "report.tex", "report.md"] {
        let text = String::from_utf8(lab.read(&format!("out/{file}"))).expect("UTF-8");
        assert!(text.contains("mean absolute error"), "{file}");
        assert!(text.contains("in the unit of the label"), "{file}");
        for words in
            ["balanced accuracy", "Balanced accuracy", "percentage points", "\u{a0}pp", " decision"]
        {
            assert!(!text.contains(words), "{file} says {words}");
        }
    }
    // Another metric: what was fitted and permuted is taken from the cache.
    let again = run(&["--set", "metric=concordance", "--format", "json"]).json();
    assert_eq!(again["status"], "ok");
    let executed = again["executed"].as_u64().expect("a number");
    assert!(executed <= 48 + 4, "{executed}");
    let text = String::from_utf8(lab.read("out/report.html")).expect("UTF-8");
    assert!(text.contains("concordance correlation coefficient falls"));
}

#[test]
fn the_score_of_mosei_is_predicted_as_it_is() {
    let Some(data) = real_data("mosei") else { return };
    let lab = Lab::new();
    let workflow = root().join("workflows/mosei_score.yaml");
    let data = format!("data={}", data.display());
    let path = workflow.to_str().expect("UTF-8");
    let ran = lab.run(["plan", path, "--set", &data, "--format", "json"]).json();
    assert!(ran["actions"].as_array().expect("a list").len() > 100);
}
