//! Tables that a report is given beside its findings: repetitions, subgroups, calibration, audits.

use std::collections::BTreeMap;

use fuseline_artifact::{ArtifactKind, Audit, Fault, Findings, Report};
use fuseline_engine::{Inputs, Labelled, Point, Ports, StageError};
use fuseline_report::supplements::{
    Calibration, ConfidenceBin, DataAudit, DataFault, Repeated, Subgroup, Supplements,
};
use fuseline_workflow::Role;

use crate::table::cell_text;

/// Adds the ports of the tables.
pub(crate) fn ports(ports: Ports) -> Ports {
    let tables = [
        ("repeats", "Tables of diagnose.repeats, for the spread over splits and seeds."),
        ("subgroups", "Tables of diagnose.subgroups, for gaps by class and by metadata."),
        ("reliability", "Tables of diagnose.reliability, for the calibration of probabilities."),
    ];
    let ports = tables.into_iter().fold(ports, |ports, (name, doc)| {
        ports.many(name, ArtifactKind::Report, Role::Neutral, doc).optional()
    });
    ports
        .many("audit", ArtifactKind::Audit, Role::Neutral, "Faults of the data, of audit.data.")
        .optional()
}

/// What arrived at these ports.
pub(crate) fn read(inputs: &Inputs<'_>, findings: &Findings) -> Result<Supplements, StageError> {
    let audits: Vec<Labelled<Audit>> = inputs.many("audit")?;
    Ok(Supplements {
        repeats: rows(inputs, "repeats", "repetitions")?
            .into_iter()
            .map(|row| repeated(&row, findings))
            .collect(),
        subgroups: rows(inputs, "subgroups", "by")?.iter().map(subgroup).collect(),
        calibration: calibration(rows(inputs, "reliability", "condition")?),
        audits: audits.into_iter().map(audit).collect(),
    })
}

/// A row of a table: its point, and its cells by column.
struct Row {
    point: Point,
    cells: BTreeMap<String, String>,
}

impl Row {
    fn text(&self, column: &str) -> String {
        self.cells.get(column).cloned().unwrap_or_default()
    }

    fn number(&self, column: &str) -> Option<f64> {
        self.cells.get(column)?.parse().ok()
    }

    fn count(&self, column: &str) -> u64 {
        self.cells.get(column).and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}

/// The rows of the tables at a port; the columns before `first` are axes, after those over which
/// the tables were gathered.
fn rows(inputs: &Inputs<'_>, port: &str, first: &str) -> Result<Vec<Row>, StageError> {
    let tables: Vec<Labelled<Report>> = inputs.many(port)?;
    let mut rows = Vec::new();
    for Labelled { point, artifact } in tables {
        let failed = |what: String| {
            let kind = match port {
                "reliability" => "diagnose.reliability",
                "subgroups" => "diagnose.subgroups",
                _ => "diagnose.repeats",
            };
            StageError::data(format!("a table on port {port} is not one of {kind}: {what}"))
        };
        let mut reader = csv::Reader::from_reader(artifact.bytes.as_slice());
        let head = reader.headers().map_err(|error| failed(error.to_string()))?.clone();
        let axes = head.iter().position(|column| column == first);
        let axes = axes.ok_or_else(|| failed(format!("it has no column {first}")))?;
        for record in reader.records() {
            let record = record.map_err(|error| failed(error.to_string()))?;
            let mut cells = head.iter().map(cell_text).zip(record.iter().map(cell_text));
            let own = cells.by_ref().take(axes);
            let own = own.map(|(axis, label)| (axis.to_owned(), label.to_owned()));
            let point = point.iter().cloned().chain(own).collect();
            let cells = cells.map(|(column, cell)| (column.to_owned(), cell.to_owned()));
            rows.push(Row { point, cells: cells.collect() });
        }
    }
    Ok(rows)
}

fn repeated(row: &Row, findings: &Findings) -> Repeated {
    let is_here = |of: &&fuseline_artifact::Finding| {
        row.point.iter().all(|(axis, label)| {
            let place = findings.axes.iter().position(|known| known == axis);
            place.is_some_and(|place| of.point[place] == *label)
        })
    };
    // The axes that the condition has not are those of the repetitions.
    let name = |of: &fuseline_artifact::Finding| {
        let more = findings.axes.iter().zip(&of.point);
        let more = more.filter(|(axis, _)| row.point.iter().all(|(known, _)| known != *axis));
        more.map(|(axis, label)| format!("{axis} {label}")).collect::<Vec<_>>().join(", ")
    };
    let gaps: Vec<(String, f64)> =
        findings.rows.iter().filter(is_here).map(|of| (name(of), of.gap)).collect();
    let repetitions = row.count("repetitions");
    Repeated {
        point: row.point.clone(),
        repetitions,
        mean: row.number("gap_mean"),
        sd: row.number("gap_sd"),
        sampling_sd: row.number("sampling_sd"),
        total_sd: row.number("total_sd"),
        least: row.number("gap_min"),
        most: row.number("gap_max"),
        low: row.number("gap_low"),
        high: row.number("gap_high"),
        p_value: row.number("p_value"),
        share_at_level: row.number("share_p_at_level"),
        // Findings that are not those of the table say nothing of it.
        gaps: if gaps.len() as u64 == repetitions { gaps } else { Vec::new() },
    }
}

fn subgroup(row: &Row) -> Subgroup {
    let number = |column| row.number(column);
    Subgroup {
        point: row.point.clone(),
        by: row.text("by"),
        value: row.text("value"),
        examples: row.count("examples"),
        groups: row.count("groups"),
        gap: ["gap", "gap_low", "gap_high"].map(number),
        gap_adjusted: ["gap_low_adjusted", "gap_high_adjusted"].map(number),
        p_value: ["p_value", "p_adjusted"].map(number),
        difference: ["difference", "difference_low", "difference_high"].map(number),
        difference_p_value: ["difference_p_value", "difference_p_adjusted"].map(number),
        not_testable: Some(row.text("not_testable")).filter(|reason| !reason.is_empty()),
    }
}

fn calibration(rows: Vec<Row>) -> Vec<Calibration> {
    let mut conditions: Vec<Calibration> = Vec::new();
    for row in rows {
        let place = conditions.iter().position(|of| of.point == row.point).unwrap_or_else(|| {
            conditions.push(Calibration { point: row.point.clone(), ..Calibration::default() });
            conditions.len() - 1
        });
        let of = &mut conditions[place];
        let is_clean = row.text("condition") == "clean";
        if row.number("bin_low").is_none() {
            match is_clean {
                true => (of.clean, of.p_value) = (row.number("ece"), row.number("p_value")),
                false => (of.broken, of.broken_sd) = (row.number("ece"), row.number("ece_sd")),
            }
            continue;
        }
        let cells = ["confidence", "accuracy", "examples"].map(|column| row.number(column));
        if let [Some(confidence), Some(accuracy), Some(examples)] = cells {
            let bins = if is_clean { &mut of.clean_bins } else { &mut of.broken_bins };
            bins.push(ConfidenceBin { confidence, accuracy, examples });
        }
    }
    conditions
}

fn audit(Labelled { point, artifact }: Labelled<Audit>) -> DataAudit {
    DataAudit {
        point,
        found: artifact.found,
        examined: artifact.examined.len() as u64,
        not_examined: artifact.not_examined,
        not_listed: artifact.not_listed,
        faults: artifact.rows.into_iter().map(fault).collect(),
    }
}

fn fault(of: Fault) -> DataFault {
    let number = |value: f64| format!("{value:.4}");
    let mut measured = of.statistic;
    if let Some(value) = of.value {
        measured += &format!(" {}", number(value));
    }
    if let Some(threshold) = of.threshold {
        measured += &format!(" (threshold {})", number(threshold));
    }
    if let Some(p_value) = of.p_value {
        measured += &format!(", p {}", number(p_value));
    }
    DataFault {
        severity: of.severity.name().to_owned(),
        check: of.check,
        source: of.source,
        measured,
        message: of.message,
    }
}

#[cfg(test)]
mod tests {
    use fuseline_engine::InputsBuilder;

    use super::*;
    use crate::testing::services;

    fn csv(text: &str) -> Report {
        Report { media_type: "text/csv".to_owned(), bytes: text.as_bytes().to_vec() }
    }

    fn point(axis: &str, label: &str) -> Point {
        vec![(axis.to_owned(), label.to_owned())]
    }

    #[test]
    fn tables_are_read_by_their_columns_and_repetitions_are_found_among_the_findings() {
        let services = services();
        let finding = |rule: &str, repeat: usize, gap: f64| fuseline_artifact::Finding {
            point: vec![rule.to_owned(), repeat.to_string()],
            gap,
            ..fuseline_artifact::Finding::default()
        };
        let findings = Findings {
            axes: vec!["rule".to_owned(), "repeat".to_owned()],
            modalities: Vec::new(),
            settings: Vec::new(),
            group_counts: None,
            rows: vec![finding("lr", 0, 0.02), finding("moe", 0, 0.5), finding("lr", 1, 0.08)],
        };
        let repeats = "rule,repetitions,gap_mean,gap_low,gap_high,p_value\nlr,2,0.05,,0.1,0.2\n";
        let subgroups = "rule,by,value,examples,groups,gap,p_adjusted,not_testable\n\
                         lr,sex,f,20,4,0.1,,\"4 groups, and 5 are needed\"\n";
        let reliability = "condition,bin_low,bin_high,examples,confidence,accuracy,ece,ece_sd,\
                           p_value\nclean,,,10,0.8,0.7,0.1,,0.01\nclean,0.7,0.8,10,0.75,0.7,,,\n\
                           broken,,,10,0.8,0.6,0.2,0.02,\n";
        let inputs = InputsBuilder::new(&services, 1)
            .artifact("repeats", Point::new(), csv(repeats))
            .and_then(|inputs| inputs.artifact("subgroups", Point::new(), csv(subgroups)))
            .and_then(|inputs| {
                inputs.artifact("reliability", point("rule", "lr"), csv(reliability))
            });
        let inputs = inputs.unwrap().build();
        let found = read(&inputs, &findings).unwrap();
        let [repeated] = found.repeats.as_slice() else { panic!("{:?}", found.repeats) };
        assert_eq!((repeated.mean, repeated.low, repeated.high), (Some(0.05), None, Some(0.1)));
        let gaps = [("repeat 0".to_owned(), 0.02), ("repeat 1".to_owned(), 0.08)];
        assert_eq!(repeated.gaps, gaps);
        let [subgroup] = found.subgroups.as_slice() else { panic!("{:?}", found.subgroups) };
        assert_eq!(subgroup.not_testable.as_deref(), Some("4 groups, and 5 are needed"));
        let [of] = found.calibration.as_slice() else { panic!("{:?}", found.calibration) };
        assert_eq!(of.point, point("rule", "lr"));
        assert_eq!((of.clean, of.broken, of.broken_sd), (Some(0.1), Some(0.2), Some(0.02)));
        assert_eq!((of.p_value, of.clean_bins.len()), (Some(0.01), 1));
        let wrong = InputsBuilder::new(&services, 1)
            .artifact("repeats", Point::new(), csv("a,b\n1,2\n"))
            .unwrap()
            .build();
        let error = read(&wrong, &findings).unwrap_err();
        assert_eq!(
            error.message,
            "a table on port repeats is not one of diagnose.repeats: it has no column repetitions"
        );
    }
}
