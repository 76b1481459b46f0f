//! The findings and what is shown beside them as booktabs tables, and the methods paragraph, for a
//! paper.

use fuseline_artifact::is_unseen;

use crate::answer::{Answer, answer};
use crate::arrange::{arrange, column_label};
use crate::data::{Control, FindingRow, ReportData};
use crate::format::{p_number, percent};
use crate::methods::methods;
use crate::numbers::Unit;
use crate::page::title;
use crate::supplement_tables::{SupplementTable, tables_for_text};
use crate::verdict::is_adjusted;

/// More rows than this do not fit one page.
const ROWS_ON_A_PAGE: usize = 45;
/// Bytes from which on a cell of text is broken into lines.
const LONG_CELL: usize = 40;

/// A letter that few fonts of LaTeX have: XeLaTeX and LuaLaTeX are given it, pdfLaTeX its number.
pub const LETTER: &str =
    "\\protected\\def\\fuselineletter#1#2{\\ifdefined\\Umathchar#1\\else\\texttt{U+#2}\\fi}\n\n";

/// Writes the findings and the methods as LaTeX to `\input`; the first lines name the packages it
/// needs.
#[must_use]
pub fn latex(data: &ReportData) -> String {
    let long = data.findings.len() > ROWS_ON_A_PAGE;
    let supplements = tables_for_text(data);
    let mut out = format!(
        "% {}\n% In the preamble: \\usepackage[T1]{{fontenc}}\\usepackage{{booktabs{}{}}}\n\
         % The figures that `fuseline report` writes: \
         \\includegraphics[width=\\linewidth]{{figures/gaps.pdf}} (graphicx)\n\n",
        comment(title(data)),
        if long { ",longtable" } else { "" },
        if supplements.is_empty() { "" } else { ",graphicx" }
    );
    let head = out.len();
    if !data.cautions.is_empty() {
        out.push_str("\\paragraph{Cautions}\n\\begin{itemize}\n");
        for caution in &data.cautions {
            let (origin, text) = (escape(&caution.origin()), escape(&caution.text));
            out.push_str(&format!("\\item \\emph{{{origin}}}: {text}\n"));
        }
        out.push_str("\\end{itemize}\n\n");
    }
    if !data.findings.is_empty() {
        out.push_str(&table(data, &answer(data), long));
    }
    supplements.iter().for_each(|table| out.push_str(&supplement(table)));
    out.push_str(&format!("\n{}\n", escape(&methods(data).join(" "))));
    if out.contains("\\fuselineletter") {
        out.insert_str(head, LETTER);
    }
    out
}

/// One table beside the findings, a page at a time and where it stands, since there may be more than
/// LaTeX lets float: as wide as it is, or as the line.
fn supplement(table: &SupplementTable) -> String {
    let mut out = format!("\n\\paragraph{{{}}}\n", escape(table.heading));
    for words in [table.about, &table.words] {
        if !words.is_empty() {
            out.push_str(&format!("{}\n", escape(words)));
        }
    }
    let is_long = |column: usize| {
        table.rows.iter().any(|cells| cells.get(column).is_some_and(|cell| cell.len() > LONG_CELL))
    };
    let texts = (0..table.texts.len()).map(|column| if is_long(column) { "p{5cm}" } else { "l" });
    let numbers = table.numbers.iter().map(|_| "r");
    let columns: String = texts.chain(numbers).collect();
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
        format!("{} \\\\\n", cells.join(" & "))
    };
    let heads: Vec<String> = table.texts.iter().chain(&table.numbers).cloned().collect();
    for rows in table.rows.chunks(ROWS_ON_A_PAGE) {
        let body: String = rows.iter().map(|cells| line(cells)).collect();
        out.push_str(&format!(
            "\\begin{{center}}\n\\small\\setlength{{\\tabcolsep}}{{3pt}}\n\
             \\setbox0=\\hbox{{\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\\toprule\n{}\
             \\midrule\n{body}\\bottomrule\n\\end{{tabular}}}}%\n\
             \\ifdim\\wd0>\\linewidth\\resizebox{{\\linewidth}}{{!}}{{\\box0}}\\else\\box0\\fi\n\
             \\end{{center}}\n",
            line(&heads),
        ));
    }
    if !table.notes.is_empty() {
        out.push_str("\\begin{itemize}\n");
        table.notes.iter().for_each(|note| out.push_str(&format!("\\item {}\n", escape(note))));
        out.push_str("\\end{itemize}\n");
    }
    out
}

fn table(data: &ReportData, answer: &Answer, long: bool) -> String {
    let unit = Unit::of_report(data);
    let (short, value, gap) = match data.settings.metric {
        None => (
            "BA",
            "balanced accuracy in per cent".to_owned(),
            "permutation gap in percentage points".to_owned(),
        ),
        Some(metric) => (metric.short(), metric.in_words(), unit.gap_axis()),
    };
    let caption = format!(
        "{} {short}: {} under Clean-Q; w/o: of {}; gap: {} with its {} interval; $p$: one-sided, \
         {}.",
        escape(&answer.headline),
        escape(&value),
        data.settings.reference(),
        escape(&gap),
        escape(&percent(Some(data.settings.confidence)).replace(".0", "")),
        match (
            data.findings.iter().any(|row| is_adjusted(row, &data.settings)),
            data.findings.iter().any(|row| row.control != Control::Native),
        ) {
            (true, true) => "adjusted for native conditions, not for controls",
            (true, false) => "adjusted",
            (false, _) => "not adjusted",
        }
    );
    let head =
        format!("\\toprule\n & {short} & w/o & gap & interval & $p$ & verdict \\\\\n\\midrule\n");
    let columns = "{@{}lrrrlrl@{}}";
    let body = body(data, answer);
    if long {
        format!(
            "{{\\small\\setlength{{\\tabcolsep}}{{3pt}}\n\\begin{{longtable}}{columns}\n\
             \\caption{{{caption}}}\\\\\n{head}\\endfirsthead\n{head}\\endhead\n\\bottomrule\n\\endfoot\n{body}\\end{{longtable}}}}\n"
        )
    } else {
        format!(
            "\\begin{{table}}[t]\n\\centering\\small\\setlength{{\\tabcolsep}}{{3pt}}\n\
             \\caption{{{caption}}}\n\\begin{{tabular}}{columns}\n{head}{body}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
        )
    }
}

/// The rows in the groups of the report's figures, controls first.
fn body(data: &ReportData, answer: &Answer) -> String {
    let mut out = String::new();
    for (place, group) in arrange(data).groups.iter().enumerate() {
        if place > 0 {
            out.push_str("\\addlinespace\n");
        }
        let control = match group.control {
            Control::Native => "",
            Control::Positive => " (positive control)",
            Control::Negative => " (negative control)",
        };
        out.push_str(&format!(
            "\\multicolumn{{7}}{{@{{}}l}}{{\\emph{{{}{control}}}}} \\\\\n",
            escape(if group.label.is_empty() { "all" } else { &group.label })
        ));
        for index in &group.rows {
            if let (Some(row), Some(verdict)) =
                (data.findings.get(*index), answer.verdicts.get(*index))
            {
                out.push_str(&line(row, verdict.reading.label(), data));
            }
        }
    }
    out
}

fn line(row: &FindingRow, label: &str, data: &ReportData) -> String {
    let unit = Unit::of_report(data);
    let interval = match (row.gap_low, row.gap_high) {
        (Some(_), Some(_)) => {
            format!("[{}, {}]", unit.difference(row.gap_low), unit.difference(row.gap_high))
        }
        _ => String::new(),
    };
    let [clean, without] = match &row.metric {
        Some(metric) => [metric.clean, metric.without_quality],
        None => [row.ba_clean, row.ba_without_quality],
    };
    let cells = [
        format!("\\quad {}", escape(&column_label(row, data))),
        escape(unit.value(clean).trim_end_matches("\u{a0}%")),
        escape(unit.value(without).trim_end_matches("\u{a0}%")),
        escape(&unit.difference(row.gap)),
        escape(&interval),
        escape(&p_number(row.deciding_p())),
        escape(label),
    ];
    format!("{} \\\\\n", cells.join(" & "))
}

/// Text that LaTeX sets as it is.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => {
                out.push('\\');
                out.push(character);
            }
            '^' => out.push_str("\\textasciicircum{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '<' => out.push_str("$<$"),
            '>' => out.push_str("$>$"),
            '±' => out.push_str("$\\pm$"),
            '×' => out.push_str("$\\times$"),
            '≤' => out.push_str("$\\le$"),
            '≥' => out.push_str("$\\ge$"),
            '≈' => out.push_str("$\\approx$"),
            '→' => out.push_str("$\\to$"),
            '·' => out.push_str("$\\cdot$"),
            // A bracket after a line's end would be read as its option.
            '[' => out.push_str("{[}"),
            ']' => out.push_str("{]}"),
            '"' => out.push_str("\\textquotedbl{}"),
            '−' => out.push_str("$-$"),
            '–' => out.push_str("--"),
            '\u{a0}' => out.push('~'),
            '\u{202f}' => out.push_str("\\,"),
            '`' => out.push_str("\\textasciigrave{}"),
            '|' => out.push_str("\\textbar{}"),
            unseen if is_unseen(unseen) => out.push(' '),
            // Characters that the encoding T1 has.
            latin
                if latin < '\u{80}'
                    || ('¡'..='ž').contains(&latin) && !"ĦħĸĿŀŉŦŧſ".contains(latin) =>
            {
                out.push(latin)
            }
            other => match greek(other) {
                Some(name) => out.push_str(&format!("$\\{name}$")),
                None => out
                    .push_str(&format!("\\fuselineletter{{{other}}}{{{:04X}}}", u32::from(other))),
            },
        }
    }
    out
}

/// The command of mathematics for a Greek letter.
fn greek(letter: char) -> Option<&'static str> {
    const SMALL: [&str; 25] = [
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
        "lambda", "mu", "nu", "xi", "omicron", "pi", "rho", "varsigma", "sigma", "tau", "upsilon",
        "phi", "chi", "psi", "omega",
    ];
    match letter {
        'ο' => None,
        'α'..='ω' => SMALL.get(letter as usize - 'α' as usize).copied(),
        'Γ' => Some("Gamma"),
        'Δ' => Some("Delta"),
        'Θ' => Some("Theta"),
        'Λ' => Some("Lambda"),
        'Ξ' => Some("Xi"),
        'Π' => Some("Pi"),
        'Σ' => Some("Sigma"),
        'Φ' => Some("Phi"),
        'Ψ' => Some("Psi"),
        'Ω' => Some("Omega"),
        _ => None,
    }
}

/// Text that stays within a comment.
pub fn comment(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
