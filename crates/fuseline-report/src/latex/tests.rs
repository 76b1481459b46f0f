use std::process::Command;

use super::*;
use crate::fixture;

#[test]
fn controls_come_first_and_every_finding_has_its_line() {
    insta::assert_snapshot!(latex(&fixture::stressid()));
}

#[test]
fn every_report_compiles_where_latex_is_installed() {
    if Command::new("pdflatex").arg("--version").output().is_err() {
        eprintln!("skipped: pdflatex is not installed");
        return;
    }
    for (name, data) in fixture::gallery() {
        let folder =
            std::env::temp_dir().join(format!("fuseline-latex-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // User text may hold a character that no font has: LaTeX then leaves a gap and a warning.
        let document = format!(
            "\\documentclass{{article}}\\usepackage[T1]{{fontenc}}\\usepackage{{booktabs,longtable}}\n\
             \\DeclareUnicodeCharacter{{FFFD}}{{?}}\\begin{{document}}\n{}\\end{{document}}\n",
            latex(&data)
        );
        std::fs::write(folder.join("report.tex"), document).unwrap();
        let run = Command::new("pdflatex")
            .args(["-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "report.tex"])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stdout));
        let log = String::from_utf8_lossy(&run.stdout);
        assert!(name == "awkward" || !log.contains("Overfull"), "{name}: {log}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
