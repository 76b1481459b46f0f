//! The report as Markdown: the answer, the table, the methods, and where it comes from.

use fuseline_artifact::is_unseen;

use crate::answer::answer;
use crate::data::ReportData;
use crate::format::{p_number, points, size};
use crate::methods::{command, command_place, methods, question};
use crate::numbers::Unit;
use crate::page::title;
use crate::supplement_tables::{SupplementTable, tables_for_text};

/// Writes the report as GitHub-flavoured Markdown, without figures.
#[must_use]
pub fn markdown(data: &ReportData) -> String {
    let (answer, unit) = (answer(data), Unit::of_report(data));
    let mut out = format!("# {}\n\n", escape(title(data)));
    if let Some(description) = &data.asked.description {
        out.push_str(&format!("{}\n\n", escape(description)));
    }
    out.push_str(&format!("**{}** {}\n\n", question(data), escape(&answer.headline)));
    for of in &answer.uses {
        out.push_str(&format!("- **{}**{}\n", escape(&of.who), escape(&of.words)));
    }
    if !answer.uses.is_empty() {
        out.push('\n');
    }
    out.push_str(&format!("{}\n\n", escape(&answer.terms)));
    for sentence in &answer.sentences {
        out.push_str(&format!("- {}\n", escape(sentence)));
    }
    out.push_str("\n## Controls\n\n");
    for check in &answer.checks {
        out.push_str(&format!(
            "- **{}** ({}) {}\n",
            check.title,
            check.status.word(),
            escape(&check.words)
        ));
    }
    if !data.cautions.is_empty() {
        out.push_str("\n## Cautions\n\n");
        for caution in &data.cautions {
            let (origin, text) = (escape(&caution.origin()), escape(&caution.text));
            out.push_str(&format!("- **{origin}**: {text}\n"));
        }
    }
    if !data.findings.is_empty() {
        out.push_str("\n## Findings\n\n");
        let heads = data.axes.iter().map(String::as_str).chain([
            "control",
            "verdict",
            "gap",
            "p raw",
            "p adjusted",
            "Clean-Q",
            "Broken-Q",
            if unit == Unit::Points { "gain (pp)" } else { "gain" },
            if unit == Unit::Points { "headroom (pp)" } else { "oracle" },
        ]);
        let heads: Vec<String> = heads.map(escape).collect();
        out.push_str(&table_row(&heads));
        let numbers = 7;
        let rules: Vec<String> = (0..heads.len())
            .map(|place| if place + numbers < heads.len() { "---" } else { "---:" }.to_owned())
            .collect();
        out.push_str(&table_row(&rules));
        for (row, verdict) in data.findings.iter().zip(&answer.verdicts) {
            let axes = data.axes.iter().map(|axis| escape(row.value_of(axis).unwrap_or("–")));
            let (clean, broken, last) = match &row.metric {
                Some(of) => (of.clean, of.broken, unit.value(of.oracle)),
                None => (row.ba_clean, row.ba_broken, points(row.headroom)),
            };
            let values = [
                row.control.name().to_owned(),
                format!("{} {}", verdict.reading.sign(), verdict.reading.label()),
                unit.interval(row.gap, row.gap_low, row.gap_high),
                p_number(row.p_value),
                p_number(row.p_adjusted),
                unit.value(clean),
                unit.value(broken),
                unit.difference(row.gain()),
                last,
            ];
            let cells: Vec<String> = axes.chain(values.iter().map(|value| escape(value))).collect();
            out.push_str(&table_row(&cells));
        }
    }
    for table in tables_for_text(data) {
        out.push_str(&supplement(&table));
    }
    out.push_str(&format!("\n## Methods\n\n{}\n", escape(&methods(data).join(" "))));
    out.push_str(&provenance(data));
    out
}

fn provenance(data: &ReportData) -> String {
    let origin = &data.provenance;
    let mut out = "\n## Provenance\n\n".to_owned();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            out.push_str(&format!("- {}: {}\n", escape(name), code(value)));
        }
    };
    line("workflow", &origin.workflow_digest);
    for (name, digest) in &origin.inputs {
        line(&format!("artifact {name}"), digest);
    }
    for file in &origin.files {
        let size = file.size.map_or_else(|| "folder".to_owned(), size);
        line(&format!("file {} ({}, {size})", file.name, file.role), &file.digest);
    }
    for plugin in &origin.plugins {
        line(&format!("plugin {} {}", plugin.id, plugin.version), &plugin.digest);
    }
    out.push_str("\n## How to reproduce\n\n");
    out.push_str(&format!("{}\n\n", escape(&command_place(data))));
    let command = command(data);
    // A fence that the command does not hold.
    let mut fence = "```".to_owned();
    while command.contains(&fence) {
        fence.push('`');
    }
    out.push_str(&format!("{fence}sh\n{command}\n{fence}\n"));
    out
}

fn supplement(table: &SupplementTable) -> String {
    let mut out = format!("\n## {}\n\n", table.heading);
    for words in [table.about, &table.words] {
        if !words.is_empty() {
            out.push_str(&format!("{}\n\n", escape(words)));
        }
    }
    if !table.rows.is_empty() {
        let heads = table.texts.iter().chain(&table.numbers).map(|text| escape(text));
        out.push_str(&table_row(&heads.collect::<Vec<String>>()));
        let rules = table.texts.iter().map(|_| "---").chain(table.numbers.iter().map(|_| "---:"));
        out.push_str(&table_row(&rules.map(str::to_owned).collect::<Vec<String>>()));
        for cells in &table.rows {
            out.push_str(&table_row(&cells.iter().map(|text| escape(text)).collect::<Vec<_>>()));
        }
    }
    if !table.notes.is_empty() {
        out.push('\n');
        table.notes.iter().for_each(|note| out.push_str(&format!("- {}\n", escape(note))));
    }
    out
}

fn table_row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Text that Markdown reads as text, on one line.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' => {
                out.push('\\');
                out.push(character);
            }
            unseen if is_unseen(unseen) => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// Text as a code span, whatever backticks it holds; not within a table.
pub fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect();
    let mut fence = "`".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    if fence.len() == 1 { format!("`{text}`") } else { format!("{fence} {text} {fence}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_answer_the_table_and_the_methods_are_in_it() {
        insta::assert_snapshot!(markdown(&fixture::stressid()));
    }

    #[test]
    fn names_stay_text_and_table_rows_keep_their_cells() {
        let text = markdown(&fixture::awkward());
        let (prose, _) = text.split_once("## How to reproduce").unwrap();
        assert!(!prose.contains("<script>"));
        let (findings, beside) = text.split_once("## Spread over repetitions").unwrap();
        let in_a_row = |row: &str| {
            row.match_indices('|').filter(|(at, _)| !row[..*at].ends_with('\\')).count()
        };
        for table in beside.split("\n\n").filter(|part| part.starts_with("| ")) {
            let bars: Vec<usize> = table.lines().map(in_a_row).collect();
            assert!(bars.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        }
        let rows: Vec<&str> = findings.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(rows.len(), 2 + 3);
        for row in rows {
            assert_eq!(in_a_row(row), 2 + 9 + 1, "{row}");
        }
    }
}
