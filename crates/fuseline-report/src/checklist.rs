//! Reporting checklists, filled in with what a run has recorded.
//!
//! REFORMS (Kapoor and others, Science Advances 10, 2024), the paper checklist of NeurIPS (2025) and
//! TRIPOD+AI (Collins and others, BMJ 385, 2024). Their items are named by their numbers and in few
//! words of ours: the authors read the originals. An answer is what the run recorded and where it
//! stands; whatever else an item asks is marked as the authors' to fill in. **Invariant:** nothing
//! is answered that was not recorded.

mod facts;
mod neurips;
mod reforms;
mod tripod_ai;

use crate::data::ReportData;
use crate::latex;
use crate::markdown;
use crate::page::title;
use facts::{Fact, Facts};

/// A reporting checklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checklist {
    /// Recommendations for machine-learning-based science: 32 items in eight modules.
    Reforms,
    /// The paper checklist of NeurIPS: 16 questions.
    Neurips,
    /// Reporting of prediction models that use regression or machine learning: 27 items.
    TripodAi,
}

/// An item of a checklist.
struct Item {
    /// Its number in the checklist.
    number: &'static str,
    /// Its subject in few words.
    name: &'static str,
    /// Heading under which it stands.
    section: &'static str,
    /// Facts that the run recorded.
    facts: Vec<Fact>,
    /// Part that is left to the authors; empty: nothing that a run could not tell.
    left: &'static str,
}

impl Item {
    /// Answer of the run to the item, in words; none where it has none.
    fn status(&self) -> Option<&'static str> {
        let words = if self.left.is_empty() { "recorded" } else { "recorded in part" };
        (!self.facts.is_empty()).then_some(words)
    }

    /// Part that the authors are to fill in, if any; empty: all of the item.
    fn left(&self) -> Option<&'static str> {
        (self.facts.is_empty() || !self.left.is_empty()).then_some(self.left)
    }
}

/// Items under their headings, as they are written down.
#[derive(Default)]
struct Items {
    section: &'static str,
    all: Vec<Item>,
}

impl Items {
    /// Begins a section.
    fn section(&mut self, heading: &'static str) {
        self.section = heading;
    }

    /// Adds an item of which a run records these facts, and leaves something to the authors.
    fn add(
        &mut self,
        number: &'static str,
        name: &'static str,
        facts: impl IntoIterator<Item = Fact>,
        left: &'static str,
    ) {
        let (section, facts) = (self.section, facts.into_iter().collect());
        self.all.push(Item { number, name, section, facts, left });
    }

    /// Adds an item that no run records anything of.
    fn authors(&mut self, number: &'static str, name: &'static str) {
        self.add(number, name, None, "");
    }
}

impl Checklist {
    /// Its name.
    const fn name(self) -> &'static str {
        match self {
            Self::Reforms => "REFORMS",
            Self::Neurips => "NeurIPS paper checklist",
            Self::TripodAi => "TRIPOD+AI",
        }
    }

    /// Address of the full text of its items.
    const fn source(self) -> &'static str {
        match self {
            Self::Reforms => "https://reforms.cs.princeton.edu",
            Self::Neurips => "https://neurips.cc/public/guides/PaperChecklist",
            Self::TripodAi => "https://www.tripod-statement.org",
        }
    }

    fn items(self, data: &ReportData) -> Vec<Item> {
        let facts = Facts { data };
        match self {
            Self::Reforms => reforms::items(&facts),
            Self::Neurips => neurips::items(&facts),
            Self::TripodAi => tripod_ai::items(&facts),
        }
    }

    /// Opening paragraph.
    fn opening(self, data: &ReportData, items: &[Item]) -> String {
        let recorded = items.iter().filter(|item| !item.facts.is_empty()).count();
        let whole = items.iter().filter(|item| item.left().is_none()).count();
        let run = match &data.provenance.run {
            Some(run) => format!(" of run {}", run.id),
            None => String::new(),
        };
        let answers = match self {
            Self::Neurips => {
                " Yes, no or not applicable is the authors' to say: a run knows nothing of the \
                 paper."
            }
            _ => "",
        };
        format!(
            "Filled in from the record{run} by fuseline {}: {recorded} of {} items have something \
             recorded, {whole} of them all that a run can tell. Items are named in short; their \
             full text is at {}.{answers}",
            data.provenance.fuseline_version,
            items.len(),
            self.source()
        )
    }
}

/// A checklist as GitHub-flavoured Markdown. What the authors are to fill in is a task that is not
/// done.
#[must_use]
pub fn checklist_markdown(data: &ReportData, checklist: Checklist) -> String {
    let items = checklist.items(data);
    let escape = markdown::escape;
    let mut out = format!("# {}: {}\n\n", escape(checklist.name()), escape(title(data)));
    out.push_str(&format!("{}\n", escape(&checklist.opening(data, &items))));
    let mut section = "";
    for item in &items {
        if item.section != section {
            section = item.section;
            out.push_str(&format!("\n## {}\n", escape(section)));
        }
        let status = item.status().map_or_else(String::new, |status| format!(" ({status})"));
        out.push_str(&format!("\n**{}** {}{status}\n\n", item.number, item.name));
        if checklist == Checklist::Neurips {
            out.push_str("- [ ] Answer: yes, no or not applicable\n");
        }
        for fact in &item.facts {
            out.push_str(&format!("- {} *({})*\n", escape(&fact.text), escape(fact.place)));
        }
        if let Some(left) = item.left() {
            let left = if left.is_empty() { String::new() } else { format!(": {}", escape(left)) };
            out.push_str(&format!("- [ ] To be filled in by the authors{left}\n"));
        }
    }
    out
}

/// A checklist as LaTeX to `\input`; the first lines name the packages that it needs.
///
/// That of NeurIPS uses the commands of its style file, and stands without it too.
#[must_use]
pub fn checklist_latex(data: &ReportData, checklist: Checklist) -> String {
    let items = checklist.items(data);
    let escape = latex::escape;
    let mut out = format!(
        "% {}: {}\n% In the preamble: \\usepackage[T1]{{fontenc}}\n\n",
        checklist.name(),
        latex::comment(title(data))
    );
    let head = out.len();
    if checklist == Checklist::Neurips {
        out.push_str("\\providecommand{\\answerTODO}[1][]{\\textbf{[TODO]}}\n");
    }
    out.push_str(
        "\\providecommand{\\fuselineauthors}[1]{\\textbf{To be filled in by the authors.} #1}\n\n",
    );
    out.push_str(&format!("\\section*{{{}}}\n\n", escape(checklist.name())));
    out.push_str(&format!("{}\n", escape(&checklist.opening(data, &items))));
    let mut section = "";
    for item in &items {
        if item.section != section {
            if !section.is_empty() {
                out.push_str("\\end{description}\n");
            }
            section = item.section;
            out.push_str(&format!("\n\\subsection*{{{}}}\n", escape(section)));
            out.push_str("\\begin{description}\n");
        }
        out.push_str(&format!("\\item[{}] {}", item.number, escape(item.name)));
        if let Some(status) = item.status() {
            out.push_str(&format!(" (\\emph{{{status}}})"));
        }
        if checklist == Checklist::Neurips {
            out.push_str("\\\\ Answer: \\answerTODO{}");
        }
        out.push('\n');
        if !item.facts.is_empty() {
            out.push_str("  \\begin{itemize}\n");
            for fact in &item.facts {
                out.push_str(&format!(
                    "  \\item {} (\\emph{{{}}})\n",
                    escape(&fact.text),
                    escape(fact.place)
                ));
            }
            out.push_str("  \\end{itemize}\n");
        }
        if let Some(left) = item.left() {
            out.push_str(&format!("  \\fuselineauthors{{{}}}\n", escape(left)));
        }
    }
    out.push_str("\\end{description}\n");
    if out.contains("\\fuselineletter") {
        out.insert_str(head, latex::LETTER);
    }
    out
}

#[cfg(test)]
mod tests;
