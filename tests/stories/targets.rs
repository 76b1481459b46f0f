//! Labels with an order, and several labels an example, from the column to the table.

use fuseline_tests::{Lab, python, root};

fn noise(at: u32) -> f64 {
    f64::from((at * 7919 + 131) % 1009) / 504.5 - 1.0
}

/// Eighty examples of twenty people; every label follows both modalities, the better the higher
/// their quality.
fn lab(workflow: &str) -> Lab {
    let lab = Lab::with_workflow(workflow);
    let mut labels = "id,who,severity,happy,angry,tired\n".to_owned();
    let mut tables = ["id,a,b,c,quality\n".to_owned(), "id,a,b,c,quality\n".to_owned()];
    for row in 0..80_u32 {
        let truth = [0, 1, 2].map(|label| noise(row * 31 + 7 * label));
        let severity = match truth[0] {
            low if low < -0.3 => "low",
            mid if mid < 0.3 => "mid",
            _ => "high",
        };
        let [happy, angry, tired] = truth.map(|value| u8::from(value > 0.0));
        let who = row / 4;
        labels.push_str(&format!("e{row:02},p{who:02},{severity},{happy},{angry},{tired}\n"));
        for (modality, table) in tables.iter_mut().enumerate() {
            let draw = |at: u32| noise(row * 53 + at + 501 * modality as u32);
            let quality = 1.0 + draw(1);
            let seen = [0, 1, 2]
                .map(|label| truth[label as usize] + (2.2 - quality) * draw(11 + 3 * label));
            let [a, b, c] = seen;
            table.push_str(&format!("e{row:02},{a:.5},{b:.5},{c:.5},{quality:.5}\n"));
        }
    }
    lab.write("labels.csv", labels);
    let [voice, face] = tables;
    lab.write("voice.csv", voice);
    lab.write("face.csv", face);
    lab
}

fn equals_scikit_learn(lab: &Lab, what: &str) {
    let script = root().join("tests/stories/targets/by_hand.py");
    let arguments = [script, what.into(), lab.path("out")];
    let Some(said) = python("numpy, pandas, sklearn", arguments) else { return };
    assert_eq!(said.trim(), "equal");
}

#[test]
fn classes_with_an_order_are_measured_by_their_distance() {
    let workflow = include_str!("targets/ordinal.yaml");
    let study = lab(workflow);
    study.run(["run", "workflow.yaml", "--out", "out"]).success();
    equals_scikit_learn(&study, "ordinal");
    let both = workflow.replace("[low, mid, high] }", "[low, mid], regression: true }");
    let said = lab(&both).run(["check", "workflow.yaml"]).exits(2).stderr();
    assert!(said.contains("regression predicts the number itself"), "{said}");
    let twice = workflow.replace("[low, mid, high]", "[low, mid, low]");
    let said = lab(&twice).run(["check", "workflow.yaml"]).exits(2).stderr();
    assert!(said.contains("a class is named twice"), "{said}");
}

#[test]
fn the_mean_over_labels_has_a_test_of_its_own() {
    let workflow = include_str!("targets/multi_label.yaml");
    let study = lab(workflow);
    study.run(["run", "workflow.yaml", "--out", "out"]).success();
    equals_scikit_learn(&study, "labels");
    let text = String::from_utf8(study.read("out/report.md")).expect("UTF-8");
    assert!(text.contains("the mean over 3 labels (happy, angry and tired)"), "{text}");
    let without = workflow.replace("scheme: joint", "scheme: within_class");
    let said = lab(&without).run(["run", "workflow.yaml"]).exits(2).stderr();
    assert!(said.contains("there is no permutation of them all"), "{said}");
}

#[test]
fn the_mean_over_labels_does_not_hang_on_which_label_comes_first() {
    let workflow = include_str!("targets/multi_label.yaml")
        .replace("quality: [column, constant]", "quality: [conformal_set_size, constant]")
        .replace("quality=column", "quality=conformal_set_size")
        .replace("expert.test, features: features }", "expert.test, cohort: cohort }");
    let cells = |order: &str| {
        let study = lab(&workflow.replace("[happy, angry, tired]", order));
        study.run(["run", "workflow.yaml", "--out", "out"]).success();
        let table = study.read("out/findings.csv");
        let mut table = csv::Reader::from_reader(table.as_slice());
        let heads = table.headers().expect("a heading").clone();
        let row = table.records().next().expect("a row").expect("as many cells");
        let numbers = heads.iter().zip(&row).filter_map(|(head, cell)| {
            cell.parse().ok().map(|number: f64| (head.to_owned(), number))
        });
        numbers.collect::<Vec<_>>()
    };
    let (one, other) = (cells("[happy, angry, tired]"), cells("[tired, angry, happy]"));
    assert!(one.iter().any(|(head, _)| head == "quality_icc_voice"), "{one:?}");
    assert_eq!(one.len(), other.len());
    for ((head, one), (_, other)) in one.iter().zip(&other) {
        assert!((one - other).abs() < 1e-9, "{head}: {one} and {other}");
    }
}

#[test]
fn what_cannot_be_averaged_is_refused_in_words() {
    let workflow = include_str!("targets/multi_label.yaml");
    let study = lab(workflow);
    let labels = String::from_utf8(study.read("labels.csv")).expect("UTF-8");
    let holes: String = labels
        .lines()
        .map(|line| match line.strip_prefix("e07,") {
            Some(_) => "e07,p01,low,0,,1\n".to_owned(),
            None => format!("{line}\n"),
        })
        .collect();
    study.write("labels.csv", holes);
    let said = study.run(["run", "workflow.yaml"]).exits(2).stderr();
    let words = "are not tested on the same examples in the same folds";
    assert!(said.contains(words), "{said}");
    let other = workflow.replace(
        "  mean:\n    uses: diagnose.labels",
        "  mean:\n    uses: diagnose.labels\n    with: { axis: emotion }",
    );
    let said = lab(&other).run(["check", "workflow.yaml"]).exits(2).stderr();
    assert!(said.contains("emotion"), "{said}");
}
