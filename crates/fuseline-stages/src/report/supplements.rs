//! Tables that a report is given beside its findings: repetitions, subgroups, calibration, audits.

use fuseline_artifact::{
    ArtifactKind, Audit, Fault, Finding, Findings, ReliabilityRow, RepeatRow, SubgroupRow, Table,
    Typed,
};
use fuseline_engine::{Inputs, Labelled, Point, Ports, StageError};
use fuseline_report::supplements::{
    Calibration, ConfidenceBin, DataAudit, DataFault, Repeated, Subgroup, Supplements,
};
use fuseline_workflow::Role;

use crate::upstream::place_words;

/// Adds the ports of the tables.
pub(crate) fn ports(ports: Ports) -> Ports {
    let tables = [
        ("repeats", "Tables of diagnose.repeats, for the spread over splits and seeds."),
        ("subgroups", "Tables of diagnose.subgroups, for gaps by class and by metadata."),
        ("reliability", "Tables of diagnose.reliability, for the calibration of probabilities."),
    ];
    let ports = tables.into_iter().fold(ports, |ports, (name, doc)| {
        ports.many(name, ArtifactKind::Table, Role::Neutral, doc).optional()
    });
    ports
        .many("audit", ArtifactKind::Audit, Role::Neutral, "Faults of the data, of audit.data.")
        .optional()
}

/// Reads the tables that arrived at these ports.
pub(crate) fn read(inputs: &Inputs<'_>, findings: &Findings) -> Result<Supplements, StageError> {
    let audits: Vec<Labelled<Audit>> = inputs.many("audit")?;
    Ok(Supplements {
        repeats: rows(inputs, "repeats")?
            .into_iter()
            .map(|(point, row)| repeated(point, &row, findings))
            .collect(),
        subgroups: rows(inputs, "subgroups")?.into_iter().map(subgroup).collect(),
        calibration: calibration(rows(inputs, "reliability")?),
        audits: audits.into_iter().map(audit).collect(),
    })
}

/// The rows of the tables at a port, each with the point of its table and its own.
pub(super) fn rows<Row>(inputs: &Inputs<'_>, port: &str) -> Result<Vec<(Point, Row)>, StageError>
where
    Table<Row>: Typed,
{
    let tables: Vec<Labelled<Table<Row>>> = inputs.many(port)?;
    let rows = tables.into_iter().flat_map(|Labelled { point, artifact }| {
        artifact.into_points().map(move |(own, row)| ([point.clone(), own].concat(), row))
    });
    Ok(rows.collect())
}

fn repeated(point: Point, row: &RepeatRow, findings: &Findings) -> Repeated {
    let is_here = |of: &&Finding| {
        point.iter().all(|(axis, label)| {
            let place = findings.axes.iter().position(|known| known == axis);
            place.is_some_and(|place| of.point[place] == *label)
        })
    };
    // The axes that the condition has not are those of the repetitions.
    let name = |of: &Finding| {
        let more = findings.axes.iter().zip(&of.point);
        let more = more.filter(|(axis, _)| point.iter().all(|(known, _)| known != *axis));
        place_words(more)
    };
    let gaps: Vec<(String, f64)> =
        findings.rows.iter().filter(is_here).map(|of| (name(of), of.gap)).collect();
    let repetitions = row.repetitions as u64;
    Repeated {
        repetitions,
        mean: row.gap_mean,
        sd: row.gap_sd,
        sampling_sd: row.sampling_sd,
        total_sd: row.total_sd,
        least: row.gap_min,
        most: row.gap_max,
        low: row.gap_low,
        high: row.gap_high,
        p_value: row.p_value,
        share_at_level: row.share_p_at_level,
        // Findings that are not those of the table say nothing of it.
        gaps: if gaps.len() as u64 == repetitions { gaps } else { Vec::new() },
        point,
    }
}

fn subgroup((point, row): (Point, SubgroupRow)) -> Subgroup {
    Subgroup {
        point,
        by: row.by,
        value: row.value,
        examples: row.examples as u64,
        groups: row.groups as u64,
        gap: [row.gap, row.gap_low, row.gap_high],
        gap_adjusted: [row.gap_low_adjusted, row.gap_high_adjusted],
        p_value: [row.p_value, row.p_adjusted],
        difference: [row.difference, row.difference_low, row.difference_high],
        difference_p_value: [row.difference_p_value, row.difference_p_adjusted],
        not_testable: row.not_testable,
    }
}

fn calibration(rows: Vec<(Point, ReliabilityRow)>) -> Vec<Calibration> {
    let mut conditions: Vec<Calibration> = Vec::new();
    for (point, row) in rows {
        let place = conditions.iter().position(|of| of.point == point).unwrap_or_else(|| {
            conditions.push(Calibration { point, ..Calibration::default() });
            conditions.len() - 1
        });
        let of = &mut conditions[place];
        let is_clean = row.condition == "clean";
        if row.bin_low.is_none() {
            match is_clean {
                true => (of.clean, of.p_value) = (row.ece, row.p_value),
                false => (of.broken, of.broken_sd) = (row.ece, row.ece_sd),
            }
            continue;
        }
        if let (Some(confidence), Some(accuracy), Some(examples)) =
            (row.confidence, row.accuracy, row.examples)
        {
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

    fn point(axis: &str, label: &str) -> Point {
        vec![(axis.to_owned(), label.to_owned())]
    }

    #[test]
    fn tables_are_read_by_their_columns_and_repetitions_are_found_among_the_findings() {
        let services = services();
        let finding = |rule: &str, repeat: usize, gap: f64| Finding {
            point: vec![rule.to_owned(), repeat.to_string()],
            gap,
            ..Finding::default()
        };
        let findings = Findings {
            axes: vec!["rule".to_owned(), "repeat".to_owned()],
            modalities: Vec::new(),
            settings: Vec::new(),
            group_counts: None,
            rows: vec![finding("lr", 0, 0.02), finding("moe", 0, 0.5), finding("lr", 1, 0.08)],
        };
        let of_lr = || (vec!["rule".to_owned()], vec!["lr".to_owned()]);
        let (axes, labels) = of_lr();
        let repeated = RepeatRow {
            repetitions: 2,
            gap_mean: Some(0.05),
            gap_high: Some(0.1),
            p_value: Some(0.2),
            ..RepeatRow::default()
        };
        let repeats = Table { axes, rows: vec![(labels, repeated)] };
        let (axes, labels) = of_lr();
        let subgroup = SubgroupRow {
            by: "sex".to_owned(),
            value: "f".to_owned(),
            examples: 20,
            groups: 4,
            gap: Some(0.1),
            not_testable: Some("4 groups, and 5 are needed".to_owned()),
            ..SubgroupRow::default()
        };
        let subgroups = Table { axes, rows: vec![(labels, subgroup)] };
        let all = |condition: &str, ece: f64, ece_sd: Option<f64>, p_value: Option<f64>| {
            let (condition, ece) = (condition.to_owned(), Some(ece));
            ReliabilityRow { condition, ece, ece_sd, p_value, ..ReliabilityRow::default() }
        };
        let bin = ReliabilityRow {
            condition: "clean".to_owned(),
            bin_low: Some(0.7),
            bin_high: Some(0.8),
            examples: Some(10.0),
            confidence: Some(0.75),
            accuracy: Some(0.7),
            ..ReliabilityRow::default()
        };
        let rows = [all("clean", 0.1, None, Some(0.01)), bin, all("broken", 0.2, Some(0.02), None)];
        let rows = rows.into_iter().map(|row| (Vec::new(), row)).collect();
        let reliability = Table { axes: Vec::new(), rows };
        let inputs = InputsBuilder::new(&services, 1)
            .artifact("repeats", Point::new(), repeats.clone())
            .and_then(|inputs| inputs.artifact("subgroups", Point::new(), subgroups))
            .and_then(|inputs| inputs.artifact("reliability", point("rule", "lr"), reliability));
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
            .artifact("subgroups", Point::new(), repeats)
            .unwrap()
            .build();
        let error = read(&wrong, &findings).unwrap_err();
        let expected = "a table subgroups is expected and a table repeats was given";
        assert!(error.message.contains(expected), "{}", error.message);
    }
}
