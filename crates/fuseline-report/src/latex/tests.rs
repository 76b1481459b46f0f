use std::process::Command;

use fuseline_tests::{Need, skip};

use super::*;
use crate::fixture;

#[test]
fn native_conditions_come_first_and_every_finding_has_its_line() {
    insta::assert_snapshot!(latex(&fixture::stressid()));
}

/// Compiles a document; none where the program is not installed.
fn compiled(program: &str, folder: &std::path::Path, body: &str) -> Option<String> {
    let document = format!(
        "\\documentclass{{article}}\\usepackage[T1]{{fontenc}}\\usepackage{{booktabs,longtable,graphicx}}\n\
         \\begin{{document}}\n{body}\\end{{document}}\n"
    );
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("paper.tex"), document).unwrap();
    let run = Command::new(program)
        .args(["-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "paper.tex"])
        .current_dir(folder)
        .output();
    let Ok(run) = run else {
        skip(Need::Latex, &format!("{program} is not installed"));
        return None;
    };
    let log = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{program} in {}: {log}", folder.display());
    Some(log)
}

#[test]
fn every_report_compiles_with_all_its_figures_where_latex_is_installed() {
    for (name, data) in fixture::gallery() {
        let folder =
            std::env::temp_dir().join(format!("fuseline-latex-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut body = latex(&data);
        for figure in crate::figures(&data) {
            let file = format!("{}.pdf", figure.name);
            std::fs::write(folder.join(&file), figure.pdf()).unwrap();
            body += &format!(
                "\n\\noindent\\includegraphics[width=\\linewidth,height=9cm,keepaspectratio]{{{file}}}\n"
            );
        }
        if let Some(log) = compiled("pdflatex", &folder, &body) {
            for wrong in ["Overfull", "PDF inclusion", "pdfTeX warning"] {
                assert!(name == "awkward" || !log.contains(wrong), "{name}: {log}");
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn any_letter_can_stand_in_a_name() {
    let printable = (' '..='~').chain('\u{a0}'..='\u{17f}').chain("αωΩΔ情Жא€≤→🙂\u{301}".chars());
    let all: String = printable.collect();
    let mut data = fixture::dose();
    let letters: Vec<char> = all.chars().collect();
    data.axes = letters.chunks(40).map(|part| part.iter().collect()).collect();
    for row in &mut data.findings {
        row.point = data.axes.iter().map(|axis| (axis.clone(), format!("[{axis}]"))).collect();
    }
    let folder = std::env::temp_dir().join(format!("fuseline-letters-{}", std::process::id()));
    for program in ["pdflatex", "lualatex"] {
        compiled(program, &folder, &latex(&data));
    }
    let _ = std::fs::remove_dir_all(&folder);
    let written = escape("50 %_&#{}^~\\$ α情 \u{1}`'");
    assert_eq!(
        written,
        "50 \\%\\_\\&\\#\\{\\}\\textasciicircum{}\\textasciitilde{}\\textbackslash{}\\$ \
         $\\alpha$\\fuselineletter{情}{60C5}  \\textasciigrave{}'"
    );
}
