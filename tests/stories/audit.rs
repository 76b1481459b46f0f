//! Faults of the data, subgroups, calibration and repetitions, and what a study could find: from
//! the command to the report.

use fuseline_tests::{Lab, real_data, root};
use serde_json::Value;

const WORKFLOW: &str = r#"
fuseline: 1
name: examined
seed: 3
params: { permutations: 40 }
axes:
  modality: { a: { file: a.csv }, b: { file: b.csv } }
  split: [0, 1]
  fold: [0, 1]
  rule: [weighted_mean, mean]
stages:
  features:
    uses: load.csv
    over: [modality]
    with: { path: "${{ modality.file }}", id: { column: id } }
  cohort:
    uses: cohort.define
    inputs: { features: features }
    with:
      group: { pattern: "^([^_]+)_" }
      label: { pattern: "_(rest|stress)", classes: { rest: [rest], stress: [stress] } }
  metadata:
    uses: cohort.metadata
    inputs: { cohort: cohort }
    with: { path: people.csv, id: { column: who }, by: group, columns: [sex] }
  folds:
    uses: split.group_kfold
    over: [split]
    inputs: { cohort: cohort }
    with: { folds: 2, shuffle: true, repeat: "${{ split }}" }
  expert:
    uses: expert.logistic
    over: [split, modality, fold]
    inputs: { features: features, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", inner_folds: 2, exclude: [snr] }
  quality:
    uses: quality.column
    over: [split, modality, fold]
    inputs: { evidence_train: expert.train, evidence_test: expert.test, features: features, cohort: cohort }
    with: { column: snr }
  audit:
    uses: audit.data
    inputs: { cohort: cohort, folds: folds, features: features, metadata: metadata, quality: quality.test, evidence: expert.test }
    with: { on: warn }
  fusion:
    uses: fusion.fit
    over: [split, rule, fold]
    inputs: { evidence: expert.train, quality: quality.train, cohort: cohort }
    with: { rule: "${{ rule }}" }
  permute:
    uses: diagnose.permute_quality
    over: [split, rule, fold]
    inputs: { model: fusion, evidence: expert.test, quality: quality.test, cohort: cohort }
    with: { permutations: "${{ params.permutations }}" }
  finding:
    uses: diagnose.summarize
    over: [split, rule]
    inputs: { permutations: permute.permutations, effects: permute.effects, evidence: expert.test, quality: quality.test, cohort: cohort }
  findings:
    uses: diagnose.family
    inputs: { findings: finding }
    with: { repeats: [split] }
  repeats:
    uses: diagnose.repeats
    inputs: { findings: findings, folds: folds }
    with: { axes: [split] }
  subgroups:
    uses: diagnose.subgroups
    inputs: { effects: "permute.effects[split=0]", cohort: cohort, metadata: metadata }
    with: { by: [class, sex] }
  reliability:
    uses: diagnose.reliability
    over: [rule]
    inputs: { model: "fusion[split=0]", evidence: "expert.test[split=0]", quality: "quality.test[split=0]", cohort: cohort }
    with: { permutations: 40 }
  report:
    uses: report.html
    inputs: { findings: findings, audit: audit, repeats: repeats, subgroups: subgroups, reliability: reliability }
outputs:
  report.html: report
  audit.parquet: audit
  audit.csv: audit
  subgroups.csv: subgroups
"#;

/// Numbers between 0 and 1 that look drawn at random and are the same everywhere.
fn noise(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    f64::from((*state >> 40) as u32) / f64::from(1_u32 << 24)
}

/// A folder with 160 recordings of 20 people; where the signal is noisy, `snr` says so.
fn lab() -> Lab {
    let lab = Lab::with_workflow(WORKFLOW);
    let mut state = 11;
    for file in ["a.csv", "b.csv"] {
        let mut text = "id,f0,f1,f2,f3,snr\n".to_owned();
        for person in 0..20 {
            for take in 0..8 {
                let (class, label) = if take % 2 == 0 { ("rest", 0.0) } else { ("stress", 1.0) };
                let snr = noise(&mut state);
                text += &format!("s{person:02}_{class}_{take}");
                for _ in 0..4 {
                    let value = 1.2 * snr * label + noise(&mut state);
                    text += &format!(",{value:.6}");
                }
                text += &format!(",{snr:.6}\n");
            }
        }
        lab.write(file, text);
    }
    let people = (0..20).map(|person| format!("s{person:02},{}\n", ["f", "m"][person % 2]));
    lab.write("people.csv", format!("who,sex\n{}", people.collect::<String>()));
    lab
}

/// Gives a recording the features of another, of another person.
fn plant_a_copy(lab: &Lab) {
    let text = String::from_utf8(lab.read("a.csv")).expect("it is text");
    let lines: Vec<&str> = text.lines().collect();
    let (_, features) = lines[1].split_once(',').expect("it has cells");
    let copied = lines.iter().map(|line| match line.starts_with("s07_stress_3,") {
        true => format!("s07_stress_3,{features}\n"),
        false => format!("{line}\n"),
    });
    lab.write("a.csv", copied.collect::<String>());
}

#[test]
fn what_a_report_is_given_beside_its_findings_it_shows() {
    let lab = lab();
    let ran = lab.run(["run", "workflow.yaml", "--format", "json"]).json();
    assert_eq!(ran["status"], "ok", "{ran}");
    let page = String::from_utf8(lab.read("results/examined/report.html")).expect("it is text");
    for text in [
        "Spread over repetitions",
        "Gaps by subgroup",
        "by sex",
        "Calibration of the fused probabilities",
        "Clean-Q, error",
        "No fault was found in",
        "no permutation changes a decision of it",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let table = String::from_utf8(lab.read("results/examined/subgroups.csv")).expect("it is text");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..6], ["split", "rule", "by", "value", "examples", "groups"]);
    assert_eq!(rows[1][..6], ["0", "weighted_mean", "class", "rest", "80", "20"]);
    assert_eq!(rows[3][..6], ["0", "weighted_mean", "sex", "f", "80", "10"]);
    assert_eq!(rows.len(), 1 + 2 * 4);
    let faults = String::from_utf8(lab.read("results/examined/audit.csv")).expect("it is text");
    assert_eq!(faults.lines().count(), 1, "{faults}");
}

#[test]
fn a_copy_across_folds_is_a_caution_or_an_error_and_the_command_finds_it_without_a_stage() {
    let lab = lab();
    let clean = lab.run(["audit", "workflow.yaml", "--data-only", "--on", "error"]);
    assert!(clean.success().stdout().starts_with("0 faults in "), "{}", clean.stdout());
    let runs = lab.run(["runs", "list", "--format", "json"]).json();
    lab.run(["audit", "workflow.yaml", "--data-only"]).success();
    let again = lab.run(["runs", "list", "--format", "json"]).json();
    assert_eq!(runs, again, "what is in the cache is not run again");

    plant_a_copy(&lab);
    let found = lab.run(["audit", "workflow.yaml", "--data-only", "--on", "error"]);
    let text = found.exits(2).stdout();
    assert!(
        text.starts_with("error[duplicate]: s00_rest_0 and s07_stress_3 have equal features"),
        "{text}"
    );
    assert!(text.contains("one is rest and the other stress"), "{text}");
    let json = lab.run(["audit", "workflow.yaml", "--data-only", "--format", "json"]).json();
    let fault = &json["faults"][0];
    assert_eq!((&json["found"], &fault["check"]), (&Value::from(1), &Value::from("duplicate")));
    assert_eq!(fault["second_example_id"], "s07_stress_3");
    let export = ["--checks", "duplicate", "--export", "faults.csv"];
    let export = ["audit", "workflow.yaml", "--data-only"].into_iter().chain(export);
    lab.run(export).success();
    let table = String::from_utf8(lab.read("faults.csv")).expect("it is text");
    assert!(table.lines().nth(1).expect("a row").starts_with("duplicate,error,features a,"));

    let ran = lab.run(["run", "workflow.yaml", "--only", "audit", "--format", "json"]).json();
    let cautions = ran["cautions"].to_string();
    assert!(cautions.contains("the data have 1 fault: s00_rest_0 and s07_stress_3"), "{cautions}");
    lab.edit("workflow.yaml", "on: warn", "on: error");
    let stopped = lab.run(["run", "workflow.yaml", "--only", "audit"]);
    let text = stopped.exits(2).stderr();
    assert!(text.contains("the data have 1 fault") && text.contains("on: warn"), "{text}");
    let wrong = lab.run(["audit", "workflow.yaml", "--checks", "copies"]);
    assert!(wrong.exits(2).stderr().contains("unknown variant `copies`"), "{}", wrong.stderr());
}

#[test]
fn a_plan_says_what_the_study_could_find_when_it_is_asked() {
    let lab = lab();
    let before = lab.run(["plan", "workflow.yaml", "--power"]).success().stdout();
    assert!(before.contains("The size of the study is not known: cohort is not in the cache"));
    lab.run(["run", "workflow.yaml", "--only", "folds"]).success();
    let text = lab.run(["plan", "workflow.yaml", "--power"]).success().stdout();
    for expected in [
        "Power of findings: 4 native conditions, 40 permutations, level 0.05.",
        "The least p-value is 0.0244, 0.0976 after holm: the level is out of reach, whatever the gap.",
        "160 tested examples (rest 80, stress 80) of 20 groups, 2 modalities.",
        "Found in 80 % of studies: ",
    ] {
        assert!(text.contains(expected), "{expected} of {text}");
    }
    let json = lab.run(["plan", "workflow.yaml", "--power", "--format", "json"]).json();
    let power = &json["power"][0];
    let gap = |name: &str| power[name].as_f64().expect("a number");
    let (alone, strict) = (gap("gap_at_80_percent_power"), gap("gap_at_80_percent_power_adjusted"));
    assert!(0.01 < alone && alone < strict && strict < 0.3, "{alone} {strict}");
    assert_eq!(power["level_reachable"], false);
    assert_eq!(power["classes"]["stress"], 80);
    let plain = lab.run(["plan", "workflow.yaml", "--format", "json"]).json();
    assert!(plain.get("power").is_none());
}

#[test]
fn the_real_studies_have_no_fault() {
    let Some(data) = real_data("stressid") else { return };
    let lab = Lab::new();
    let workflow = root().join("workflows/stressid.yaml");
    let (workflow, data) = (workflow.display().to_string(), format!("data={}", data.display()));
    let arguments = ["audit", &workflow, "--set", &data, "--data-only", "--format", "json"];
    let found = lab.run(arguments).json();
    assert_eq!(found["faults"], Value::Array(Vec::new()), "{found}");
    assert_eq!(found["not_examined"], Value::Array(Vec::new()), "{found}");
}
