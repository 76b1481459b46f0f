//! The survey of rules and qualities: `workflows/trusted_fusion.yaml`.

use arrow::array::AsArray;
use fuseline_tests::{Lab, real_data, root};

use crate::study::{findings, numbers, words};

#[test]
fn the_surveys_check_clean() {
    let lab = Lab::new();
    for (workflow, data) in [("trusted_fusion", "stressid"), ("trusted_fusion_mosei", "mosei")] {
        let Some(data) = real_data(data) else { return };
        let path = root().join(format!("workflows/{workflow}.yaml"));
        let data = format!("data={}", data.display());
        let checked = lab.run(["check", path.to_str().expect("UTF-8"), "--set", &data]);
        checked.success();
        assert!(!checked.stderr().contains("warning"), "{}", checked.stderr());
    }
}

#[test]
fn rules_and_qualities_of_the_shelf_give_findings_on_stressid() {
    let Some(data) = real_data("stressid") else { return };
    let lab = Lab::new();
    let path = root().join("workflows/trusted_fusion.yaml");
    let data = format!("data={}", data.display());
    let mut arguments = vec!["run", path.to_str().expect("UTF-8"), "--set", &data];
    // Two folds and few permutations: who reads what does not depend on how many there are.
    arguments.extend(["--set", "folds=2", "--set", "permutations=49"]);
    arguments.extend(["--set", "rules=[mean, switch, trust_discount, tmc, rcml, qmf, pdf]"]);
    let qualities = "qualities=[energy, evidential, max_probability, mutual_information, tcp, knn, \
                     conflict, relative, constant]";
    arguments.extend(["--set", qualities, "--format", "json"]);
    let ran = lab.run(arguments).json();
    assert_eq!(ran["status"], "ok");
    let table = findings(lab.read("results/trusted_fusion/findings.parquet"));
    assert_eq!(table.num_rows(), 6 * 9 + 1, "six rules at nine qualities, and the mean once");

    let (rules, qualities) = (words(&table, "rule"), words(&table, "quality"));
    let (shift, best, oracle) = (
        numbers(&table, "probability_shift"),
        numbers(&table, "ba_best_unimodal"),
        numbers(&table, "ba_oracle"),
    );
    for row in 0..table.num_rows() {
        let still = rules[row] == "mean" || qualities[row] == "constant";
        assert_eq!(shift[row] == 0.0, still, "{} at {}", rules[row], qualities[row]);
        // One choice of experts for all, and no better than the oracle.
        assert!(best[row] == best[0] && best[row] < oracle[row]);
    }
    // Without quality no modality is before another.
    let clean = numbers(&table, "ba_clean");
    let without = |rule: &str| {
        (0..rules.len()).find(|row| rules[*row] == rule && qualities[*row] == "constant")
    };
    assert_eq!(without("switch").map(|row| clean[row]), without("mean").map(|row| clean[row]));
    let derived = table.column_by_name("evidence_derived").expect("the column is there");
    let derived = derived.as_boolean();
    for (row, quality) in qualities.iter().enumerate() {
        if ["energy", "max_probability"].contains(&&**quality) {
            assert!(derived.value(row), "{quality} is a function of the evidence");
        }
    }
}

#[test]
fn the_reference_of_a_quality_says_what_is_computed_from_whom_and_which_way_is_better() {
    let lab = Lab::new();
    for (kind, formula, source) in [
        ("energy", "T ln sum_k exp(l_k / T)", "Liu, Wang, Owens and Li"),
        ("max_probability", "max_k p_k", "Hendrycks"),
        ("tcp", "p_y", "Corbière"),
        ("evidential", "u = K / S", "Sensoy"),
        ("knn", "k-th nearest", "Sun, Ming, Zhu and Li"),
        ("mutual_information", "H(mean_j p_j)", "Houlsby"),
        ("conflict", "Jensen-Shannon", "Shafer"),
        (
            "relative",
            "less the mean of that quality over the other",
            "Cao, Xia, Ding, Zhang and Hu",
        ),
    ] {
        let text = lab.run(["stages", &format!("quality.{kind}")]).success().stdout();
        for said in [formula, source, "reliable", "evidence-derived"] {
            assert!(text.contains(said), "quality.{kind} does not say {said}: {text}");
        }
    }
}
