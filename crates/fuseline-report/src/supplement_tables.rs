//! The tables of what a report shows beside the findings, as texts: each form of the report writes
//! them its own way.

use crate::data::{Point, ReliabilityCurve, ReportData, Routing};
use crate::figures;
use crate::format::{count, p_number, percent, points, points_interval, size_pp};
use crate::numbers::Unit;
use crate::supplements::{Calibration, DataAudit, Repeated, Subgroup};

/// Heading of the repetitions.
pub const REPEATS: &str = "Spread over repetitions";
/// Heading of the subgroups.
pub const SUBGROUPS: &str = "Gaps by subgroup";
/// Heading of the calibration.
pub const CALIBRATION: &str = "Calibration of the fused probabilities";
/// Heading of the audit.
pub const AUDIT: &str = "Audit of the data";
/// Heading of the routers.
const ROUTING: &str = "Headroom and what a learned router reaches";

const ABOUT_AUDIT: &str = "Faults that make results wrong however they are computed. An error is one \
    by which test examples, or their labels, may be known while training; a warning is to be read \
    with the results.";
const ABOUT_ROUTING: &str = "Balanced accuracies in per cent. The oracle is right where any expert \
    is, and out of reach: nobody knows which one. A router learns whom to believe from labels of \
    test rows of other groups, so it is a bound and no condition; what it gains over the one that \
    does not see quality is what this quality is worth to a choice between these experts. A fusion \
    rule may beat a router, since it can mix experts. Regret: the share of examples where an expert \
    is right and the fused decision is not.";
const ABOUT_MECHANISMS: &str = "The gap with its interval, and raw p, under the joint scheme and under \
    those that leave part of quality in place.";
const ABOUT_RELIABILITY: &str = "The share of examples whose expert is right, in bins of equal count \
    from the lowest to the highest quality.";

/// One table with what is said of it.
pub struct SupplementTable {
    /// Heading of its section.
    pub heading: &'static str,
    /// Explanation of its columns, where no figure has one; may be empty.
    pub about: &'static str,
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

/// The tables for forms of the report that show no figures: those of what the report was given, and
/// those of what figures show else.
pub fn tables_for_text(data: &ReportData) -> Vec<SupplementTable> {
    // Of one bin there is no curve.
    let curves = data.reliability.iter().filter(|curve| curve.bins.len() >= 2);
    let curves: Vec<&ReliabilityCurve> = curves.collect();
    let reliability = (!curves.is_empty()).then(|| reliability(&curves));
    let drawn = mechanisms(data).into_iter().chain(reliability);
    drawn.chain(tables(data)).collect()
}

/// The tables of what the report was given.
pub fn tables(data: &ReportData) -> Vec<SupplementTable> {
    let given = &data.supplements;
    let tables = [
        (!data.routing.is_empty()).then(|| routing(&data.routing)),
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
        about: "",
        words: String::new(),
        rows: cells.collect(),
        texts: heads.chain(texts.iter().copied()).map(str::to_owned).collect(),
        numbers: numbers.iter().map(|text| (*text).to_owned()).collect(),
        notes: Vec::new(),
    }
}

fn routing(routing: &[Routing]) -> SupplementTable {
    let numbers = [
        "fused",
        "best expert",
        "router without quality",
        "router",
        "quality to the router (pp)",
        "oracle",
        "regret",
    ];
    let rows = routing.iter().map(|of| {
        let worth = of.router.zip(of.router_without_quality).map(|(with, without)| with - without);
        let cells = vec![
            percent(of.fused),
            percent(of.best_expert),
            percent(of.router_without_quality),
            percent(of.router),
            points(worth),
            percent(of.oracle),
            percent(of.regret),
        ];
        (&of.point, cells)
    });
    SupplementTable { about: ABOUT_ROUTING, ..of_points(ROUTING, &[], &numbers, rows) }
}

/// The gap of each condition under each scheme that was run.
fn mechanisms(data: &ReportData) -> Option<SupplementTable> {
    let unit = Unit::of_report(data);
    let schemes = figures::scheme_names(data);
    if schemes.is_empty() {
        return None;
    }
    let elsewhere = |point: &Point| -> Point {
        point.iter().filter(|(axis, _)| axis != "scheme").cloned().collect()
    };
    let mut conditions: Vec<(Point, Vec<String>)> = Vec::new();
    for row in &data.findings {
        let scheme = row.value_of("scheme");
        let Some(place) = schemes.iter().position(|of| scheme == Some(*of)) else { continue };
        let point = elsewhere(&row.point);
        let known = conditions.iter().position(|(known, _)| *known == point);
        let known = known.unwrap_or_else(|| {
            conditions.push((point, vec!["–".to_owned(); schemes.len()]));
            conditions.len() - 1
        });
        let gap = without_unit(unit.interval(row.gap, row.gap_low, row.gap_high));
        conditions[known].1[place] = format!("{gap}, p {}", p_number(row.p_value));
    }
    let rows = conditions.iter().map(|(point, cells)| (point, cells.clone()));
    let table = of_points(figures::WHAT_FOR, &[], &schemes, rows);
    Some(SupplementTable { about: ABOUT_MECHANISMS, ..table })
}

fn reliability(curves: &[&ReliabilityCurve]) -> SupplementTable {
    let bins = curves.iter().map(|curve| curve.bins.len()).max().unwrap_or(0);
    let heads: Vec<String> = (1..=bins).map(|bin| format!("bin {bin}")).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let rows = curves.iter().map(|curve| {
        let accuracy = |bin: usize| percent(curve.bins.get(bin).map(|of| of.accuracy));
        let cells = std::iter::once(curve.modality.clone()).chain((0..bins).map(accuracy));
        (&curve.point, cells.collect())
    });
    let table = of_points("Reliability curves", &["modality"], &heads, rows);
    SupplementTable { about: ABOUT_RELIABILITY, ..table }
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
        about: ABOUT_AUDIT,
        notes: more.chain(open).collect(),
        ..of_points(AUDIT, &heads, &[], rows)
    }
}
