//! Provenance of the findings: params, digests, plugins, models, stages.

use super::{Section, caption, scrolling, section};
use crate::data::{ReportData, RunUsed};
use crate::figures;
use crate::format::{counted, listed, point_values, size};
use crate::markup::{Element, element};

/// Longer lists are left out on paper: digests are not retyped, and the file has them.
const ROWS_ON_PAPER: usize = 40;

/// Rows of a list, each its cells.
type Rows = Vec<Vec<String>>;

/// The section: the drawing of the stages in sight, lists folded.
pub fn provenance(data: &ReportData) -> Section {
    let origin = &data.provenance;
    let mut part = section("Provenance");
    let stages = figures::graph(data);
    for figure in &stages.figures {
        part =
            part.child(caption(&stages.caption)).child(scrolling(&figure.title, figure.inline()));
    }
    let asked = [
        ("workflow".to_owned(), data.asked.workflow.clone()),
        ("workflow digest".to_owned(), origin.workflow_digest.clone()),
        ("fuseline".to_owned(), origin.fuseline_version.clone()),
        ("seed".to_owned(), data.asked.seed.to_string()),
    ];
    let pairs = asked.into_iter().chain(data.asked.params.iter().cloned());
    let plugins: Rows = origin
        .plugins
        .iter()
        .map(|plugin| {
            let version = if plugin.version.is_empty() { "–" } else { plugin.version.as_str() };
            vec![plugin.id.clone(), version.to_owned(), plugin.digest.clone()]
        })
        .collect();
    let models: Rows = origin
        .models
        .iter()
        .map(|model| vec![point_values(&model.point), model.digest.clone()])
        .collect();
    let inputs: Rows =
        origin.inputs.iter().map(|(name, digest)| vec![name.clone(), digest.clone()]).collect();
    let files: Rows = origin
        .all_files()
        .iter()
        .map(|file| {
            let size = file.size.map_or_else(|| "folder".to_owned(), size);
            let readers = listed(&file.stages);
            vec![file.name.clone(), file.role.clone(), readers, size, file.digest.clone()]
        })
        .collect();
    if let Some(run) = &origin.run {
        part = part.child(caption(&run_in_words(run)));
    }
    let environment: Rows = origin.environment.iter().map(|line| vec![line.clone()]).collect();
    let asked: Rows = pairs.map(|(name, value)| vec![name, value]).collect();
    let read = ["file", "part", "read by", "size", "digest"];
    let [files_read, sources, rules, frozen] = [
        format!("{} read", counted(files.len(), "file")),
        counted(inputs.len(), "source artifact"),
        counted(plugins.len(), "plugin"),
        counted(models.len(), "frozen model"),
    ];
    let lists: [(&str, &[&str], Rows); 6] = [
        ("Rules and programs", &["ran under"], environment),
        ("What was asked", &["name", "value"], asked),
        (&files_read, &read, files),
        (&sources, &["artifact", "digest"], inputs),
        (&rules, &["fusion rule", "version", "digest"], plugins),
        (&frozen, &["point", "digest"], models),
    ];
    let lists = lists.into_iter().filter(|(.., rows)| !rows.is_empty());
    part.children(lists.map(|(heading, columns, rows)| folded(heading, columns, rows)))
}

/// When the run was, how long it took, and where.
fn run_in_words(run: &RunUsed) -> String {
    let machine = match run.machine.as_str() {
        "" => String::new(),
        machine => format!(", on {machine}"),
    };
    format!(
        "Run {} began at {} and took {:.1} seconds{machine}; {} of its {} actions were executed.",
        run.id, run.started, run.seconds, run.executed, run.actions
    )
}

fn folded(heading: &str, columns: &[&str], rows: Rows) -> Element {
    let heads = columns.iter().map(|column| element("th").attr("scope", "col").text(*column));
    let long = rows.len() > ROWS_ON_PAPER;
    let lines = rows
        .into_iter()
        .map(|row| element("tr").children(row.into_iter().map(|text| element("td").text(text))));
    let details = if long { element("details").class("long") } else { element("details") };
    details.child(element("summary").text(heading)).child(scrolling(
        heading,
        element("table")
            .class("plain")
            .child(element("thead").child(element("tr").children(heads)))
            .child(element("tbody").children(lines)),
    ))
}
