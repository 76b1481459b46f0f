//! Data as people have it: every format that is loaded, labels from a table, and the study of
//! CMU-MOSEI.

use std::fs;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use fuseline_artifact::{Artifact, ArtifactKind};
use fuseline_tests::{Lab, real_data, root};

/// Forty examples of twenty people in five formats: the same numbers each time, which tell the
/// classes apart but for noise.
fn formats() -> Lab {
    let lab = Lab::new();
    let (mut csv, mut long, mut jsonl, mut labels, mut evidence) = (
        "id,a,b\n".to_owned(),
        "id\tname\tvalue\n".to_owned(),
        String::new(),
        "id,who,mood\n".to_owned(),
        "id,calm,tense\n".to_owned(),
    );
    for row in 0..40 {
        let tense = row % 2;
        let (a, b) = (tense * 3 + row * 7 % 5, row * 11 % 13);
        csv.push_str(&format!("e{row:02},{a},{b}\n"));
        long.push_str(&format!("e{row:02}\ta\t{a}\ne{row:02}\tb\t{b}\n"));
        jsonl.push_str(&format!("{{\"id\": \"e{row:02}\", \"v\": [{a}, {b}]}}\n"));
        labels.push_str(&format!("e{row:02},p{},{}\n", row / 2, ["fine", "upset"][tense]));
        evidence.push_str(&format!(
            "e{row:02},{},{}\n",
            0.75 - 0.5 * tense as f64,
            0.25 + 0.5 * tense as f64
        ));
    }
    for (file, text) in [
        ("wide.csv", csv),
        ("long.tsv", long),
        ("lines.jsonl", jsonl),
        ("labels.csv", labels),
        ("evidence.csv", evidence),
    ] {
        lab.write(file, text);
    }
    lab.write("workflow.yaml", WORKFLOW);
    lab
}

const WORKFLOW: &str = r#"
fuseline: 1
name: formats
axes:
  fold: ${{ range(4) }}
stages:
  wide:
    uses: load.csv
    with: { path: wide.csv, id: { column: id } }
  long:
    uses: load.csv
    with: { path: long.tsv, delimiter: "\t", id: { column: id }, long: { name: name, value: value } }
  lines:
    uses: load.jsonl
    with: { path: lines.jsonl, id: { column: id } }
  cohort:
    uses: cohort.define
    inputs: { features: [wide, long, lines] }
    with:
      table: { path: labels.csv, id: { column: id } }
      group: { column: who }
      label: { column: mood, classes: { calm: [fine], tense: [upset] } }
  folds:
    uses: split.stratified_group_kfold
    inputs: { cohort: cohort }
    with: { folds: 4 }
  trees:
    uses: expert.gradient_boosting
    over: [fold]
    inputs: { features: wide, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", modality: trees, min_rows_per_leaf: 2, calibration: isotonic }
  forest:
    uses: expert.random_forest
    over: [fold]
    inputs: { features: long, cohort: cohort, folds: folds }
    with: { test_fold: "${{ fold }}", modality: forest, trees: 20 }
  elsewhere:
    uses: expert.precomputed
    over: [fold]
    inputs: { cohort: cohort, folds: folds }
    with: { path: evidence.csv, id: { column: id }, probabilities: [calm, tense], test_fold: "${{ fold }}", modality: elsewhere }
outputs:
  wide.parquet: wide
  long.parquet: long
  lines.parquet: lines
  cohort.parquet: cohort
  elsewhere.parquet: elsewhere.test[fold=0]
  trees.parquet: trees.test[fold=0]
  forest.parquet: forest.test[fold=0]
"#;

#[test]
fn wide_long_and_line_formats_give_the_same_features_and_every_expert_runs_on_them() {
    let lab = formats();
    lab.run(["run", "workflow.yaml"]).success();
    let columns = |name: &str| {
        let bytes = lab.read(&format!("results/formats/{name}.parquet"));
        let artifact =
            Artifact::decode(ArtifactKind::Features, None, bytes).expect("features are whole");
        artifact.table(ArtifactKind::Features).expect("features are a table").columns().to_vec()
    };
    assert_eq!(columns("wide"), columns("long"));
    assert_eq!(columns("wide"), columns("lines"));
}

#[test]
fn a_duplicate_id_and_a_table_of_other_examples_are_faults_of_the_input() {
    let lab = formats();
    lab.edit("wide.csv", "e01,", "e00,");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    assert!(ran.stderr().contains("lines 2 and 3 of wide.csv are both e00"), "{}", ran.stderr());

    let lab = formats();
    lab.write("labels.csv", "id,who,mood\nx,p,fine\n");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    assert!(
        ran.stderr().contains("no example of the features is in labels.csv"),
        "{}",
        ran.stderr()
    );
}

/// Writes another text of a file, or edits one: file, old text (all of it when empty), new text.
type Change = (&'static str, &'static str, &'static str);

#[test]
fn whatever_is_wrong_with_the_data_is_said_with_its_place_and_what_to_do() {
    const MOOD: &str = "label: { column: mood, classes: { calm: [fine], tense: [upset] } }";
    const WIDE: &str = "path: wide.csv, id: { column: id } }";
    // The change, the message, and the advice.
    let cases: &[(&[Change], &str, &str)] = &[
        (
            &[("lines.jsonl", "\"e", "\"x")],
            "no example is in every modality",
            "input 3 has 40, such as x00",
        ),
        (&[("wide.csv", "", "")], "wide.csv is empty", "each example is a line"),
        (
            &[("wide.csv", "", "id,a,b\n")],
            "wide.csv holds no row",
            "names 3 columns, and nothing follows",
        ),
        (
            &[("labels.csv", "", "id,who,mood\n")],
            "labels.csv holds no row",
            "each example is a row",
        ),
        (
            &[("wide.csv", "", "id,a\ne00,\ne01,NA\n")],
            "none of the 2 rows of wide.csv has a value",
            "at least one",
        ),
        (
            &[("wide.csv", "e03,", "e03,x")],
            "in line 5, column 2 (a) of wide.csv is not a number",
            "exclude: [a]",
        ),
        (
            &[("wide.csv", "", "id;a\ne00;1\n")],
            "wide.csv has no column id",
            "write delimiter: \";\"",
        ),
        (
            &[(
                "workflow.yaml",
                "\", id: { column: id }, long: { name: name, value: value }",
                "\", id: { column: id }",
            )],
            "lines 2 and 3 of long.tsv are both e00",
            "reads one feature a row",
        ),
        (
            &[(
                "workflow.yaml",
                WIDE,
                "path: wide.csv, id: { column: id }, long: { name: name, value: a } }",
            )],
            "wide.csv has no column name",
            "without long, each row holds all features",
        ),
        (
            &[("workflow.yaml", WIDE, "path: wide.csv, id: { column: id, pattern: \"^(s.)\" } }")],
            "matches none of the 40 ids of wide.csv, such as \"e00\" in line 2",
            "its first group",
        ),
        (
            &[("workflow.yaml", WIDE, "path: wide.csv, id: { column: id, pattern: \"^(e0.)\" } }")],
            "does not match 30 of the 40 ids of wide.csv, such as \"e10\" in line 12",
            "its first group",
        ),
        (
            &[(
                "workflow.yaml",
                MOOD,
                "label: { pattern: \"_(.+)\", classes: { calm: [fine], tense: [upset] } }",
            )],
            "the pattern _(.+) matches none of the 40 example_ids, such as \"e00\"",
            "its first group",
        ),
        (
            &[(
                "workflow.yaml",
                "group: { column: who }",
                "group: { column: who, pattern: \"^(p1.)\" }",
            )],
            "does not match 20 of the 40 texts of column who",
            "its first group",
        ),
        (
            &[("workflow.yaml", MOOD, "label: { column: mood }"), ("labels.csv", "upset", "fine")],
            "all 40 examples with a label have the label fine",
            "two classes are needed",
        ),
        (
            &[("workflow.yaml", "[upset]", "[upset], mad: [angry]")],
            "no example is of class mad",
            "fine (20), upset (20)",
        ),
        (
            &[(
                "workflow.yaml",
                MOOD,
                "label: { column: mood, threshold: { at: [1], classes: [a, b] } }",
            )],
            "\"fine\" in line 2, column 3 (mood) of labels.csv is not a number",
            "for texts write classes",
        ),
        (
            &[(
                "workflow.yaml",
                MOOD,
                "label: { column: mood, threshold: { at: [6, 3], classes: [a, b, c] } }",
            )],
            "the cuts must ascend",
            "write [3.0, 6.0]",
        ),
        (
            &[
                (
                    "workflow.yaml",
                    MOOD,
                    "label: { column: mood, threshold: { at: [90], classes: [a, b] } }",
                ),
                ("labels.csv", "fine", "1"),
                ("labels.csv", "upset", "2"),
            ],
            "no example is of class b",
            "the 40 numbers lie in 1 to 2",
        ),
        (
            &[("workflow.yaml", "with: { folds: 4 }", "with: { folds: 30 }")],
            "30 folds of 20 groups",
            "at most 20 folds",
        ),
        (
            &[
                ("workflow.yaml", "group: { column: who }", "group: { column: mood }"),
                ("workflow.yaml", "range(4)", "range(2)"),
                ("workflow.yaml", "with: { folds: 4 }", "with: { folds: 2 }"),
            ],
            "are tested in fold",
            "a class in one group alone cannot be learned",
        ),
        (
            &[("workflow.yaml", "min_rows_per_leaf: 2", "inner_folds: 40, min_rows_per_leaf: 2")],
            "40 inner folds of 15 training groups",
            "at most 15 inner folds",
        ),
        (
            &[
                ("workflow.yaml", WIDE, "path: wide.csv, id: { column: id }, non_finite: error }"),
                ("wide.csv", "e03,", "e03,inf,1\ne98,"),
            ],
            "inf in line 5, column 2 (a) of wide.csv",
            "non_finite: missing",
        ),
        (
            &[("lines.jsonl", "{\"id\": \"e39\"", "{\"id\": \"e39")],
            "line 40 of lines.jsonl is no JSON object",
            "such as",
        ),
        (
            &[("lines.jsonl", "", "{\"id\": \"e00\", \"v\": [1, 2]}\n{\"id\": \"e0")],
            "line 2 of lines.jsonl is no JSON object: EOF",
            "is the file cut short?",
        ),
        (
            &[
                ("workflow.yaml", WIDE, "path: f.parquet, id: { column: id } }"),
                (
                    "workflow.yaml",
                    "load.csv\n    with: { path: f",
                    "load.parquet\n    with: { path: f",
                ),
                ("f.parquet", "", "PAR1\u{15} and no more"),
            ],
            "f.parquet cannot be read as Parquet",
            "cut short",
        ),
        (
            &[
                ("workflow.yaml", WIDE, "path: f.npz, id: { array: i }, features: { array: x } }"),
                ("workflow.yaml", "load.csv\n    with: { path: f", "load.npz\n    with: { path: f"),
                ("f.npz", "", "PK\u{3}\u{4} and no more"),
            ],
            "f.npz cannot be read as npz",
            "cut short",
        ),
    ];
    for (changes, said, advised) in cases {
        let lab = formats();
        for (file, old, new) in *changes {
            match *old {
                "" => lab.write(file, new),
                old => lab.edit(file, old, new),
            };
        }
        let ran = lab.run(["run", "workflow.yaml"]);
        ran.exits(2);
        let stderr = ran.stderr();
        let words = stderr.split_whitespace().filter(|word| *word != "│");
        let words = words.collect::<Vec<_>>().join(" ");
        for text in [said, advised] {
            assert!(words.contains(text), "{changes:?} does not say {text}: {}", ran.stderr());
        }
        assert!(!words.contains("`fuseline explain data` says more"), "{}", ran.stderr());
    }
}

#[test]
fn a_misspelt_column_is_told_where_it_is_written_and_what_is_near_it() {
    // The change, the place of its value, and the advice.
    let cases: [(Change, &str, &str); 3] = [
        (
            ("workflow.yaml", "min_rows_per_leaf: 2", "exclude: [wide], min_rows_per_leaf: 2"),
            "[wide], min_rows",
            "its columns begin a, b",
        ),
        (
            ("workflow.yaml", "id: { column: id } }\n  cohort", "id: { column: ID } }\n  cohort"),
            "ID } }\n  cohort",
            "did you mean id",
        ),
        (
            ("workflow.yaml", "path: wide.csv", "path: wied.csv"),
            "wied.csv",
            "did you mean `wide.csv`?",
        ),
    ];
    for ((file, old, new), place, advised) in cases {
        let lab = formats();
        lab.edit(file, old, new);
        let text = String::from_utf8(lab.read(file)).expect("it is text");
        let before = &text[..text.find(place).expect("it is there")];
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let place = format!("{file}:{}:{column}]", before.matches('\n').count() + 1);
        let ran = lab.run(["run", file]);
        let said = ran.exits(2).stderr();
        assert!(said.contains(&place) && said.contains(advised), "{place} {advised}: {said}");
    }
    let lab = formats();
    let (old, new) = ("lines.jsonl, id: { column: id }", "columns: { include: [vetcor] }");
    lab.edit("workflow.yaml", old, &format!("{old}, {new}"));
    lab.write("lines.jsonl", "{\"id\": \"e00\", \"vector\": [1, 2]}\n");
    let ran = lab.run(["run", "workflow.yaml"]);
    assert!(ran.exits(2).stderr().contains("did you mean vector"), "{}", ran.stderr());
}

#[test]
fn a_misspelt_program_is_told_with_the_one_that_is_near_it() {
    let lab = Lab::new();
    lab.write(
        "workflow.yaml",
        "fuseline: 1\nname: program\nstages:\n  made:\n    uses: command\n    with:\n      run: \
         [mkdri, a]\n      outputs: { main: { artifact: report, media_type: text/plain } }\n\
         outputs:\n  made.txt: made\n",
    );
    let ran = lab.run(["run", "workflow.yaml"]);
    let said = ran.exits(2).stderr();
    assert!(said.contains("workflow.yaml:7:12]"), "{said}");
    assert!(said.contains("did you mean mkdir?"), "{said}");
}

fn findings(lab: &Lab) -> RecordBatch {
    let bytes = lab.read("results/mosei/findings.parquet");
    let artifact =
        Artifact::decode(ArtifactKind::Findings, None, bytes).expect("findings are whole");
    artifact.table(ArtifactKind::Findings).expect("findings are a table").clone()
}

#[test]
fn the_study_of_mosei_gives_the_numbers_of_an_independent_calculation() {
    let Some(data) = real_data("mosei") else { return };
    let lab = Lab::new();
    let workflow = root().join("workflows/mosei.yaml");
    // One rule and quality: what is compared does not depend on the others, nor on the number of
    // permutations.
    let text = fs::read_to_string(workflow).expect("the workflow is there");
    let text = text.replace("rule: [mean, weighted_mean, lr, hgb, moe]", "rule: [mean]").replace(
        "quality: [margin, entropy, in_distribution, constant, aligned, random]",
        "quality: [margin, constant]",
    );
    lab.write("mosei.yaml", text);
    let data = format!("data={}", data.display());
    lab.run(["run", "mosei.yaml", "--set", &data, "--set", "permutations=19"]).success();
    let table = findings(&lab);
    // scikit-learn 1.9 and scipy 1.17, written from the definitions: tests/stories/data/mosei.py.
    for (column, expected) in [
        ("ba_clean", 0.698_475_886_634_951_6),
        ("ba_best_unimodal", 0.669_242_931_153_743),
        ("ba_oracle", 0.924_057_840_078_676_1),
    ] {
        let found = table.column_by_name(column).expect("the column is there");
        let found = found.as_primitive::<Float64Type>().value(0);
        assert!((found - expected).abs() < 1e-9, "{column}: {found}, expected {expected}");
    }
}
