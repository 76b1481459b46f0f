//! The tables of what a report shows beside the findings, as texts: each form of the report writes
//! them its own way.

use crate::data::{Point, ReportData};
use crate::format::{count, p_number, percent, points, points_interval, size_pp};
use crate::supplements::{Calibration, DataAudit, Repeated, Subgroup};

/// Heading of the repetitions.
pub const REPEATS: &str = "Spread over repetitions";
/// Heading of the subgroups.
pub const SUBGROUPS: &str = "Gaps by subgroup";
/// Heading of the calibration.
pub const CALIBRATION: &str = "Calibration of the fused probabilities";
/// Heading of the audit.
pub const AUDIT: &str = "Audit of the data";

/// One table with what is said of it.
pub struct SupplementTable {
    /// Heading of its section.
    pub heading: &'static str,
    /// A sentence above it; may be empty.
    pub words: String,
    /// Headings of the columns of texts.
    pub texts: Vec<String>,
    /// Headings of the columns of numbers, which follow.
    pub numbers: Vec<String>,
    /// The cells of each row: texts, then numbers.
    pub rows: Vec<Vec<String>>,
    /// Lines below it.
    pub notes: Vec<String>,
}

/// The tables of what the report was given.
pub fn tables(data: &ReportData) -> Vec<SupplementTable> {
    let given = &data.supplements;
    let tables = [
        (!given.repeats.is_empty()).then(|| repeats(&given.repeats)),
        (!given.subgroups.is_empty()).then(|| subgroups(&given.subgroups)),
        (!given.calibration.is_empty()).then(|| calibration(&given.calibration)),
        (!given.audits.is_empty()).then(|| audit(&given.audits)),
    ];
    tables.into_iter().flatten().collect()
}

/// A table of points: their labels come first, `all` where they have none.
fn of_points<'p>(
    heading: &'static str,
    texts: &[&str],
    numbers: &[&str],
    rows: impl Iterator<Item = (&'p Point, Vec<String>)>,
) -> SupplementTable {
    let rows: Vec<(&Point, Vec<String>)> = rows.collect();
    let axes: Vec<&str> = rows
        .first()
        .map_or_else(Vec::new, |(point, _)| point.iter().map(|of| of.0.as_str()).collect());
    let is_one = axes.is_empty() && texts.is_empty();
    let heads = axes.iter().copied().chain(is_one.then_some("study"));
    let cells = rows.iter().map(|(point, cells)| {
        let label = |axis: &&str| {
            let label = point.iter().find(|(known, _)| known == axis);
            label.map_or_else(|| "–".to_owned(), |(_, label)| label.clone())
        };
        let labels = axes.iter().map(label).chain(is_one.then(|| "all".to_owned()));
        labels.chain(cells.iter().cloned()).collect()
    });
    SupplementTable {
        heading,
        words: String::new(),
        rows: cells.collect(),
        texts: heads.chain(texts.iter().copied()).map(str::to_owned).collect(),
        numbers: numbers.iter().map(|text| (*text).to_owned()).collect(),
        notes: Vec::new(),
    }
}

fn without_unit(text: String) -> String {
    text.replace("\u{a0}pp", "")
}

fn size(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| without_unit(size_pp(value)))
}

fn repeats(repeats: &[Repeated]) -> SupplementTable {
    let numbers = [
        "repetitions",
        "mean gap (pp) [corrected interval]",
        "p corrected",
        "least",
        "most",
        "sd between repetitions",
        "sd over people",
        "sd of both",
        "raw p at the level in",
    ];
    let rows = repeats.iter().map(|of| {
        let cells = vec![
            count(of.repetitions),
            without_unit(points_interval(of.mean, of.low, of.high)),
            p_number(of.p_value),
            points(of.least),
            points(of.most),
            size(of.sd),
            size(of.sampling_sd),
            size(of.total_sd),
            percent(of.share_at_level),
        ];
        (&of.point, cells)
    });
    of_points(REPEATS, &[], &numbers, rows)
}

fn subgroups(subgroups: &[Subgroup]) -> SupplementTable {
    let numbers = [
        "examples",
        "groups",
        "gap (pp) [interval]",
        "p raw",
        "p adjusted",
        "difference from the others (pp) [interval]",
        "p raw",
        "p adjusted",
    ];
    let rows = subgroups.iter().map(|of| {
        let [gap, low, high] = of.gap;
        let [difference, less, more] = of.difference;
        let cells = vec![
            of.by.clone(),
            of.value.clone(),
            of.not_testable.clone().unwrap_or_else(|| "–".to_owned()),
            count(of.examples),
            count(of.groups),
            without_unit(points_interval(gap, low, high)),
            p_number(of.p_value[0]),
            p_number(of.p_value[1]),
            without_unit(points_interval(difference, less, more)),
            p_number(of.difference_p_value[0]),
            p_number(of.difference_p_value[1]),
        ];
        (&of.point, cells)
    });
    of_points(SUBGROUPS, &["by", "value", "not testable"], &numbers, rows)
}

fn calibration(calibration: &[Calibration]) -> SupplementTable {
    let numbers = [
        "calibration error, Clean-Q",
        "Broken-Q",
        "sd over permutations",
        "rise when permuted (pp)",
        "p raw",
    ];
    let rows = calibration.iter().map(|of| {
        let rise = of.broken.zip(of.clean).map(|(broken, clean)| broken - clean);
        let cells = vec![
            percent(of.clean),
            percent(of.broken),
            size(of.broken_sd),
            points(rise),
            p_number(of.p_value),
        ];
        (&of.point, cells)
    });
    of_points(CALIBRATION, &[], &numbers, rows)
}

fn audit(audits: &[DataAudit]) -> SupplementTable {
    let found: u64 = audits.iter().map(|of| of.found).sum();
    let examined = count(audits.iter().map(|of| of.examined).sum());
    let rows = audits.iter().flat_map(|of| of.faults.iter().map(move |fault| (&of.point, fault)));
    let rows = rows.map(|(point, fault)| {
        let cells = [&fault.severity, &fault.check, &fault.source, &fault.message, &fault.measured];
        (point, cells.map(Clone::clone).to_vec())
    });
    let heads = ["severity", "check", "input", "fault", "measured"];
    let more = audits.iter().flat_map(|of| &of.not_listed);
    let more = more.map(|text| format!("Not listed: {text}"));
    let open = audits.iter().flat_map(|of| &of.not_examined);
    let open = open.map(|text| format!("Not examined: {text}"));
    SupplementTable {
        words: match found {
            0 => format!("No fault was found in {examined} examinations of the data."),
            1 => format!("1 fault was found in {examined} examinations of the data."),
            _ => format!(
                "{} faults were found in {examined} examinations of the data.",
                count(found)
            ),
        },
        notes: more.chain(open).collect(),
        ..of_points(AUDIT, &heads, &[], rows)
    }
}
