//! The diagnostic on made-up studies whose truth is known.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use fuseline_artifact::in_one;
use fuseline_tests::{Lab, root};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Runs a workflow of the box; its results are in `out`.
fn run(workflow: &str, sets: &[&str]) -> Lab {
    run_part(workflow, &[], sets)
}

/// The same with other lines: `edits` says which become which. Axes are cut to the points that are
/// looked at, since findings of a point do not depend on the others.
fn run_part(workflow: &str, edits: &[(&str, &str)], sets: &[&str]) -> Lab {
    let text = std::fs::read_to_string(root().join("workflows").join(workflow));
    let lab = Lab::with_workflow(&text.expect("the workflow is there"));
    edits.iter().for_each(|(line, other)| lab.edit("workflow.yaml", line, other));
    let mut arguments = vec!["run", "workflow.yaml", "--out", "out", "--quiet"];
    arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
    lab.run(arguments).success();
    lab
}

/// A findings table: texts of the axes and numbers of the rest, by column.
struct Findings(RecordBatch);

impl Findings {
    fn read(lab: &Lab) -> Self {
        // As other programs read it: axes of numbers are numbers.
        let file = std::fs::File::open(lab.path("out/findings.parquet")).expect("findings");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        Self(in_one(reader.build().expect("Parquet")).expect("findings are whole"))
    }

    fn text(&self, column: &str, row: usize) -> String {
        let column = self.0.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
        let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).expect("text");
        column.as_string::<i32>().value(row).to_owned()
    }

    fn number(&self, column: &str, row: usize) -> f64 {
        let column = self.0.column_by_name(column).unwrap_or_else(|| panic!("no column {column}"));
        column.as_primitive::<Float64Type>().value(row)
    }

    /// The row of a point.
    fn at(&self, point: &[(&str, &str)]) -> usize {
        let number = |text: &str| text.parse::<f64>().ok();
        let is_label = |text: String, label: &str| {
            text == label || number(&text).is_some_and(|value| Some(value) == number(label))
        };
        let is_at =
            |row: &usize, (axis, label): &(&str, &str)| is_label(self.text(axis, *row), label);
        let here = |row: &usize| point.iter().all(|place| is_at(row, place));
        let mut rows = (0..self.0.num_rows()).filter(here);
        let row = rows.next().unwrap_or_else(|| panic!("no finding at {point:?}"));
        assert!(rows.next().is_none(), "several findings at {point:?}");
        row
    }
}

/// The rows of a CSV without quoted cells, by column.
fn csv(lab: &Lab, file: &str) -> Vec<BTreeMap<String, String>> {
    let text = String::from_utf8(lab.read(file)).expect("UTF-8");
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let columns: Vec<String> = lines.next().expect("a header").collect();
    lines.map(|line| columns.iter().cloned().zip(line).collect()).collect()
}

#[test]
fn the_tables_beside_the_findings_agree_with_them() {
    let lab = run("quickstart.yaml", &["permutations=60", "examples=240"]);
    let findings = Findings::read(&lab);
    let number = |row: &BTreeMap<String, String>, column: &str| -> f64 {
        row[column].parse().unwrap_or_else(|_| panic!("{column}: {}", row[column]))
    };
    let finding = |row: &BTreeMap<String, String>| {
        let point = ["fidelity", "quality", "rule"].map(|axis| (axis, row[axis].as_str()));
        findings.at(&point)
    };
    let metrics = csv(&lab, "out/metrics.csv");
    assert_eq!(metrics.len(), 32 * 5);
    for row in metrics.iter().filter(|row| row["metric"] == "balanced_accuracy") {
        for (column, of) in
            [("clean", "ba_clean"), ("broken", "ba_broken"), ("gap", "gap"), ("p_value", "p_value")]
        {
            let expected = findings.number(of, finding(row));
            assert!((number(row, column) - expected).abs() < 1e-12, "{column} of {row:?}");
        }
    }
    // Quality that is worth something lowers log loss and Brier score, and their gaps say so with
    // the sign of the others.
    let used = metrics.iter().filter(|row| {
        row["fidelity"] == "0.9" && row["quality"] == "column" && row["rule"] == "weighted_mean"
    });
    for row in used {
        assert!(number(row, "gap") > 0.0 && number(row, "p_value") < 0.05, "{row:?}");
        let lower = row["better"] == "lower";
        assert_eq!(number(row, "clean") < number(row, "broken"), lower, "{row:?}");
    }
    let routing = csv(&lab, "out/routing.csv");
    let measure = |name: &str, fidelity: &str| {
        let row = routing.iter().find(|row| {
            row["measure"] == name
                && row["fidelity"] == fidelity
                && row["quality"] == "column"
                && row["rule"] == "mean"
        });
        number(row.unwrap_or_else(|| panic!("no {name}")), "value")
    };
    let router = measure("ba_router", "0.9");
    assert!(router < measure("ba_oracle", "0.9"), "a learned router is no oracle: {router}");
    let without = measure("ba_router_without_quality", "0.9");
    assert!(router > without + 0.02, "a router sees worth in this quality: {router}, {without}");
    let blind = measure("ba_router", "0.0") - measure("ba_router_without_quality", "0.0");
    assert!(blind < 0.02, "and none in noise: {blind}");
    for row in &routing {
        let at = finding(row);
        let expected = match row["measure"].as_str() {
            "ba_fused" => findings.number("ba_clean", at),
            "ba_oracle" => findings.number("ba_oracle", at),
            "headroom" => findings.number("headroom", at),
            "alignment_auroc" if row["quality"] != "constant" => {
                findings.number(&format!("alignment_{}", row["modality"]), at)
            }
            _ => continue,
        };
        assert!((number(row, "value") - expected).abs() < 1e-12, "{row:?}");
    }
    let rules = csv(&lab, "out/rules.csv");
    assert_eq!(rules.len(), 2 * 4 * 6, "four rules make six pairs at every quality and fidelity");
    for row in &rules {
        let gap = |rule: &str| {
            let point =
                [("fidelity", &*row["fidelity"]), ("quality", &*row["quality"]), ("rule", rule)];
            findings.number("gap", findings.at(&point))
        };
        let expected = gap(&row["first"]) - gap(&row["second"]);
        assert!((number(row, "difference") - expected).abs() < 1e-12, "{row:?}");
        assert!(number(row, "low") <= expected && expected <= number(row, "high"), "{row:?}");
    }
}

#[test]
fn the_dose_response_rises_under_both_schemes_side_by_side() {
    let lab = run_part(
        "dose_response.yaml",
        &[("alpha: [0.0, 0.1, 0.25, 0.5, 1.0]", "alpha: [0.0, 1.0]")],
        &["permutations=60", "examples=240"],
    );
    let findings = Findings::read(&lab);
    for scheme in ["joint", "conditional"] {
        let gap = |told: &str, alpha: &str, rule: &str| {
            let point = [("told", told), ("alpha", alpha), ("scheme", scheme), ("rule", rule)];
            findings.number("gap", findings.at(&point))
        };
        for rule in ["weighted_mean", "lr", "moe"] {
            assert!(
                gap("every", "1.0", rule) > gap("every", "0.0", rule) + 0.03,
                "{rule} {scheme}"
            );
            // Not so `lr`: one quality that knows the label tells it all that three do.
            let weights = rule != "lr";
            assert!(
                !weights || gap("every", "1.0", rule) > gap("audio", "1.0", rule) + 0.01,
                "{rule} {scheme}"
            );
        }
        assert!(gap("every", "1.0", "mean").abs() < 1e-12, "the mean does not look at quality");
    }
}

#[test]
fn what_quality_is_used_for_is_told_by_the_scheme_that_takes_the_gap_away() {
    let lab = run_part(
        "what_for.yaml",
        &[("rule: [weighted_mean, lr]", "rule: [lr]")],
        &["permutations=60", "examples=240"],
    );
    let findings = Findings::read(&lab);
    let of = |column: &str, quality: &str, scheme: &str| {
        let point = [("quality", quality), ("scheme", scheme), ("rule", "lr")];
        findings.number(column, findings.at(&point))
    };
    let gap = |quality: &str, scheme: &str| of("gap", quality, scheme);
    // The expert that is right.
    let joint = gap("aligned", "joint");
    assert!(joint > 0.08 && gap("aligned", "within_class") > 0.7 * joint, "{joint}");
    assert!(gap("aligned", "within_correct") < 0.2 * joint);
    assert!(gap("column", "within_correct") < 0.6 * gap("column", "joint"));
    // The label.
    let joint = gap("class_cue", "joint");
    assert!(joint > 0.2 && gap("class_cue", "within_correct") > 0.7 * joint, "{joint}");
    assert!(gap("class_cue", "within_class").abs() < 0.02);
    // The evidence again: nothing is left to exchange.
    assert!(gap("margin", "conditional_residual").abs() < 1e-12);
    assert_eq!(of("flip_rate", "margin", "conditional_residual"), 0.0);
    // And it is measured, in whichever scheme.
    let [margin, random] = ["margin", "random"]
        .map(|quality| of("quality_from_evidence_physio", quality, "within_class"));
    assert!(margin > 0.999 && random < 0.05, "{margin} and {random}");
    let [cue, random] =
        ["class_cue", "random"].map(|quality| of("quality_label_auroc_audio", quality, "joint"));
    assert!(cue > 0.99 && (random - 0.5).abs() < 0.15, "{cue} and {random}");
}

#[test]
fn residuals_without_training_rows_are_refused_in_words() {
    let path = root().join("workflows/dose_response.yaml");
    let text = std::fs::read_to_string(path).expect("the workflow is there");
    let lab = Lab::with_workflow(
        &text.replace("scheme: [joint, conditional]", "scheme: [joint, conditional_residual]"),
    );
    let checked = lab.run(["check", "workflow.yaml"]);
    assert_eq!(checked.code(), 2);
    let said = checked.stderr();
    assert!(said.contains("the stage has no input evidence_train"), "{said}");
    assert!(said.contains("evidence_train: expert.train"), "{said}");
}

/// A quality that is measured and the one that says nothing.
const QUALITIES: &str = "quality: [column, constant]";

#[test]
fn outages_and_degradations_cross_and_each_costs_accuracy_on_the_same_examples() {
    let lab = run_part(
        "outage.yaml",
        &[
            ("quality: [column, in_distribution, constant, random, aligned]", QUALITIES),
            ("rule: [mean, weighted_mean, lr, moe]", "rule: [mean, moe]"),
        ],
        &["permutations=20", "examples=240", "folds=2", "severity=8.0", "rate=0.6"],
    );
    let findings = Findings::read(&lab);
    assert_eq!(findings.0.num_rows(), 3 * 4 * 2 * 2);
    let accuracy = |outage: &str, degradation: &str| {
        let point = [
            ("outage", outage),
            ("degradation", degradation),
            ("quality", "constant"),
            ("rule", "mean"),
        ];
        let row = findings.at(&point);
        let examples = findings.0.column_by_name("n_examples").expect("a column");
        let examples = examples.as_primitive::<arrow::datatypes::Int64Type>().value(row);
        assert_eq!(examples, 240, "one modality is always spared, so all are tested");
        findings.number("ba_clean", row)
    };
    let intact = accuracy("none", "none");
    for hit in [accuracy("random", "none"), accuracy("none", "noise"), accuracy("burst", "drift")] {
        assert!(hit < intact - 0.03, "{hit} is not well below {intact}");
    }
}

#[test]
fn outage_and_degradation_in_steps_make_a_map_whose_corner_is_worst() {
    let lab = run_part(
        "outage_grid.yaml",
        &[
            ("rate: [0.0, 0.2, 0.4, 0.6]", "rate: [0.0, 0.3, 0.6]"),
            ("severity: [0.0, 1.0, 2.0, 4.0]", "severity: [0.0, 2.0, 4.0]"),
            ("quality: [column, in_distribution, constant, random, aligned]", QUALITIES),
            ("rule: [weighted_mean, lr, moe]", "rule: [weighted_mean]"),
        ],
        &["permutations=40", "examples=240", "folds=2"],
    );
    let findings = Findings::read(&lab);
    let of = |rate: &str, severity: &str, column: &str| {
        let point = [
            ("rate", rate),
            ("severity", severity),
            ("quality", "column"),
            ("rule", "weighted_mean"),
        ];
        findings.number(column, findings.at(&point))
    };
    let intact = of("0.0", "0.0", "ba_clean");
    for (rate, severity) in [("0.6", "0.0"), ("0.0", "4.0"), ("0.6", "4.0")] {
        assert!(of(rate, severity, "ba_clean") < intact - 0.03, "{rate}, {severity}");
    }
    // With one modality left there is nothing to weigh: quality is worth less.
    assert!(of("0.6", "4.0", "gap") < of("0.0", "0.0", "gap") - 0.02);
    let report = String::from_utf8(lab.read("out/report.html")).expect("UTF-8");
    assert!(report.contains("Two interventions at once"), "the report has the map");
}

/// Runs part of a workflow of the box on StressID; `None`, with a notice, where the features are not
/// there.
fn run_on_stressid(workflow: &str, edits: &[(&str, &str)], permutations: &str) -> Option<Findings> {
    let data = format!("data={}", fuseline_tests::real_data("stressid")?.display());
    let lab = run_part(workflow, edits, &[&data, permutations]);
    Some(Findings::read(&lab))
}

#[test]
fn outages_as_they_occur_on_stressid_leave_every_control_visible() {
    let edits = [
        ("    dropout: { by: dropout, severity: 0.5 }\n", ""),
        (
            "quality: [margin, in_distribution, constant, random, aligned]",
            "quality: [in_distribution, constant, aligned]",
        ),
    ];
    let findings = run_on_stressid("outage_stressid.yaml", &edits, "permutations=99");
    let Some(findings) = findings else { return };
    assert_eq!(findings.0.num_rows(), 3 * 2 * 3 * 3);
    let of = |outage: &str, quality: &str, rule: &str, column: &str| {
        let point =
            [("outage", outage), ("degradation", "none"), ("quality", quality), ("rule", rule)];
        findings.number(column, findings.at(&point))
    };
    for outage in ["none", "random", "natural"] {
        for rule in ["weighted_mean", "lr"] {
            assert!(of(outage, "aligned", rule, "p_value") <= 0.05, "{outage} {rule}");
            assert!(of(outage, "aligned", rule, "gap") > 0.05, "{outage} {rule}");
            assert_eq!(of(outage, "constant", rule, "gap"), 0.0, "{outage} {rule}");
        }
    }
    // Whoever is left to choose from less has less to gain.
    let oracle = |outage: &str| of(outage, "constant", "mean", "ba_oracle");
    assert!(oracle("random") < oracle("none") - 0.03, "{}", oracle("random"));
}

#[test]
fn the_gap_of_a_margin_on_stressid_goes_among_examples_of_like_confidence() {
    let edits = [
        (
            "quality: [margin, entropy, in_distribution, constant, aligned, random]",
            "quality: [margin, constant, aligned]",
        ),
        ("scheme: [joint, conditional, within_group]", "scheme: [joint, conditional]"),
        ("rule: [weighted_mean, lr, moe]", "rule: [lr]"),
    ];
    let findings = run_on_stressid("stressid_schemes.yaml", &edits, "permutations=199");
    let Some(findings) = findings else { return };
    let of = |scheme: &str, quality: &str, column: &str| {
        let point = [("scheme", scheme), ("quality", quality), ("rule", "lr")];
        findings.number(column, findings.at(&point))
    };
    assert!(of("joint", "margin", "gap") > 0.05 && of("joint", "margin", "p_value") <= 0.01);
    assert!(of("conditional", "margin", "gap") < 0.02, "it was of pairs, not of reliability");
    // The positive control stays: the stricter scheme still sees.
    assert!(of("conditional", "aligned", "p_value") <= 0.01);
    // Dependence is not benefit: beside each gap stands the same rule without quality.
    let gain = of("joint", "margin", "ba_clean") - of("joint", "margin", "ba_without_quality");
    assert!(gain < of("joint", "margin", "gap") - 0.03, "a gain of {gain}");
    // A perfect control leaks the label: beyond any choice among the experts.
    assert!(of("joint", "aligned", "ba_clean") > of("joint", "aligned", "ba_oracle"));
}

#[test]
fn every_scheme_is_a_label_of_an_axis() {
    let text = String::from_utf8(
        std::fs::read(root().join("workflows/dose_response.yaml")).expect("the workflow is there"),
    )
    .expect("UTF-8");
    let schemes =
        "[joint, per_modality, within_group, conditional, derangement, modality_swap, constant]";
    let text = text
        .replace("scheme: [joint, conditional]", &format!("scheme: {schemes}"))
        .replace("alpha: [0.0, 0.1, 0.25, 0.5, 1.0]", "alpha: [0.0, 1.0]")
        .replace("rule: [mean, weighted_mean, lr, moe]", "rule: [weighted_mean]");
    let lab = Lab::with_workflow(&text);
    let sets = ["--set", "permutations=60", "--set", "examples=240", "--out", "out", "--quiet"];
    lab.run([&["run", "workflow.yaml"][..], &sets].concat()).success();
    let findings = Findings::read(&lab);
    for scheme in schemes.trim_matches(['[', ']']).split(", ") {
        let point = [("told", "every"), ("alpha", "1.0"), ("scheme", scheme)];
        let row = findings.at(&point);
        assert!(findings.number("gap", row) > 0.0, "{scheme}");
        let p = findings.number("p_value", row);
        if scheme == "derangement" {
            assert!(p.is_nan(), "derangements are no valid test: {p}");
            assert!(findings.number("detectable_gap", row).is_nan());
        } else if scheme == "constant" {
            assert!(p >= 0.5, "one outcome cannot be significant: {p}");
        } else {
            assert!(p < 0.05, "{scheme}: {p}");
        }
    }
}

#[test]
fn the_validation_counts_rejections_over_replicates() {
    let lab = run("validation.yaml", &["replicates=12", "permutations=39"]);
    let table = csv(&lab, "out/calibration.csv");
    let share = |fidelity: &str, level: &str| -> f64 {
        let row = table
            .iter()
            .find(|row| row["fidelity"] == fidelity && row["level"] == level)
            .expect("the point is there");
        assert_eq!(row["replicates"], "12");
        row["share"].parse().expect("a number")
    };
    assert!(share("1.0", "0.05") > share("0.0", "0.05") + 0.3, "power against level");
    assert!(share("0.0", "0.05") <= share("0.0", "0.1"));
    for row in &table {
        let share = |column: &str| -> f64 { row[column].parse().expect("a number") };
        assert!(share("share_randomised") >= share("share") - 1e-12, "ties only cost: {row:?}");
    }
}

#[test]
fn the_whole_path_keeps_its_level_on_nulls() {
    // Experts, a fitted rule, permutations and findings, 150 times; the large table is in
    // docs/method.md.
    let lab = Lab::new();
    let path = root().join("workflows/validation.yaml");
    let text = std::fs::read_to_string(path).expect("the workflow is there");
    lab.write("workflow.yaml", text.replace("fidelity: [0.0, 0.5, 1.0]", "fidelity: [0.0]"));
    let sets = ["--set", "replicates=150", "--set", "permutations=79", "--set", "examples=72"];
    lab.run(["run", "workflow.yaml", "--out", "out", "--quiet"].iter().chain(&sets)).success();
    for row in csv(&lab, "out/calibration.csv") {
        let number = |column: &str| -> f64 { row[column].parse().expect("a number") };
        let level = number("level");
        let half = 3.29 * (level * (1.0 - level) / 150.0).sqrt();
        assert!((number("share") - level).abs() <= half, "within the binomial interval: {row:?}");
        let randomised = number("share_randomised");
        assert!((randomised - level).abs() <= half, "and so without the ties: {row:?}");
        assert!(number("interval_holds_mean") > 0.8, "{row:?}");
    }
}

#[test]
fn a_model_that_was_selected_on_an_axis_of_its_own_is_asked_about_the_evidence_of_its_fold() {
    let chosen = concat!(
        "  chosen:\n    uses: diagnose.reliability\n    inputs: { ",
        "model: \"fusion[rule=lr, split=0]\", ",
        "evidence: \"expert.test[split=0]\", quality: \"quality.test[split=0]\", ",
        "cohort: cohort }\n",
        "    with: { permutations: \"${{ params.permutations }}\" }\n  calibration:\n"
    );
    let edits = [
        ("  calibration:\n", chosen),
        ("  calibration.csv: calibration", "  calibration.csv: calibration\n  chosen.csv: chosen"),
    ];
    let lab = run_part("audit.yaml", &edits, &["examples=160", "splits=2", "permutations=19"]);
    let text = |name: &str| String::from_utf8(lab.read(name)).expect("UTF-8");
    let of_all = text("out/calibration.csv");
    let of_lr: Vec<&str> = of_all.lines().filter_map(|line| line.strip_prefix("lr,")).collect();
    let chosen = text("out/chosen.csv");
    assert!(of_lr.len() > 4, "{of_all}");
    assert_eq!(chosen.lines().skip(1).collect::<Vec<_>>(), of_lr);
}
