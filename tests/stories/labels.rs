//! Labels of axes with spaces, quotes, signs of LaTeX, HTML and CSV, and letters of other scripts,
//! from the workflow to the page, the table, the paper and its figures.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use fuseline_tests::{Lab, Need, skip};

const QUALITIES: [&str; 3] =
    ["as_measured, 90 % #1 & \"more\"", "none ~ ^ $x$ {y} \\z", "日本 | näıve – ½"];
const RULES: [&str; 2] = ["mean of all_", "lr & <script>"];
const MODALITIES: [&str; 2] = ["skin_conductance [µS] & 100 %", "\"quoted\" <b>#1</b>, it's\\n"];

/// The text of a PDF, white space apart.
fn text_of_pdf(path: &Path) -> Option<String> {
    let Ok(ran) = Command::new("pdftotext").arg(path).arg("-").output() else {
        skip(Need::Latex, "there is no pdftotext");
        return None;
    };
    assert!(ran.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).expect("UTF-8");
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn in_html(text: &str) -> String {
    [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")]
        .iter()
        .fold(text.to_owned(), |text, (sign, name)| text.replace(sign, name))
}

#[test]
fn a_label_may_hold_any_sign_and_arrives_everywhere_as_it_is() {
    let lab = Lab::with_workflow(include_str!("data/labels.yaml"));
    lab.run(["run", "workflow.yaml", "--out", "out"]).success();
    lab.run(["report", "--out", "again"]).success();

    let page = String::from_utf8(lab.read("out/report.html")).expect("UTF-8");
    assert_eq!(page.matches("<script").count(), 1, "no label is a script");
    for label in QUALITIES.iter().chain(&RULES).chain(&MODALITIES) {
        assert!(page.contains(&in_html(label)), "{label} is not in the page");
    }

    let table = lab.read("out/findings.csv");
    let mut table = csv::Reader::from_reader(table.as_slice());
    let heads = table.headers().expect("a heading").clone();
    for modality in MODALITIES {
        let column = format!("alignment_{modality}");
        assert!(heads.iter().any(|head| head == column), "{column} is not in {heads:?}");
    }
    let rows: Vec<(String, String)> = table
        .records()
        .map(|row| row.expect("as many cells as columns"))
        .map(|row| (row[0].to_owned(), row[1].to_owned()))
        .collect();
    let expected = QUALITIES.iter().flat_map(|quality| RULES.map(|rule| (*quality, rule)));
    let expected: BTreeSet<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    assert_eq!(rows.len(), expected.len());
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), expected);

    let mut nulls = 0;
    for entry in std::fs::read_dir(lab.path("again/figures")).expect("a folder") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        assert!(name.chars().all(plain), "{name}");
        if path.extension().is_some_and(|end| end == "pdf") {
            nulls += usize::from(name.starts_with("null-"));
            text_of_pdf(&path);
        }
    }
    // One a point, but for points whose distribution is one value.
    assert!((1..=expected.len()).contains(&nulls), "{nulls}");
    if let Some(text) = text_of_pdf(&lab.path("again/figures/gaps.pdf")) {
        // The fonts that every reader of PDF has hold no Japanese.
        for label in [QUALITIES[0], QUALITIES[1], "| näıve – ½", RULES[0], RULES[1]] {
            assert!(text.contains(label), "{label} is not in {text}");
        }
    }
}

#[test]
fn a_paper_with_labels_of_any_sign_compiles_and_prints_them() {
    let lab = Lab::with_workflow(include_str!("data/labels.yaml"));
    lab.run(["run", "workflow.yaml", "--out", "out"]).success();
    lab.run(["report", "--figures", "paper", "--format", "pdf"]).success();
    lab.write("paper/report.tex", lab.read("out/report.tex"));
    lab.write(
        "paper/paper.tex",
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs,graphicx}\\begin{document}\n\
         \\input{report}\\includegraphics[width=\\linewidth]{gaps.pdf}\\end{document}\n",
    );
    let ran = Command::new("pdflatex")
        .args(["-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "paper.tex"])
        .current_dir(lab.path("paper"))
        .output();
    let Ok(ran) = ran else { return skip(Need::Latex, "there is no pdflatex") };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    if let Some(text) = text_of_pdf(&lab.path("paper/paper.pdf")) {
        for label in [QUALITIES[0], QUALITIES[1], RULES[0], RULES[1], MODALITIES[0]] {
            assert!(text.contains(label), "{label} is not in {text}");
        }
    }
}
