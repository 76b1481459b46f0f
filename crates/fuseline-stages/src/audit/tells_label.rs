//! Features, qualities and evidence that tell the label alone, and features that are the group.

use fuseline_artifact::Severity;
use fuseline_stats::clustering::{design_effect, intraclass_correlation};
use fuseline_stats::normal;

use super::collector::{Collector, fault};
use super::data::{Check, DataAudit};
use super::{Scores, Study, Table};
use crate::expert::giveaway::{is_group, separation};

/// The chance of one false alarm among all columns of an input, were they noise.
const FALSE_ALARM: f64 = 1e-3;

/// One column of an input, of the examples where it was observed.
struct Column<'a> {
    /// True of evidence, which is meant to tell the label.
    is_evidence: bool,
    source: &'a str,
    /// Its name, if it has one.
    name: Option<&'a str>,
    /// Rows of the cohort.
    rows: Vec<u32>,
    values: Vec<f64>,
    /// Number of columns and classes that are tried together.
    tests: f64,
}

/// Looks for inputs that tell a class from the others by themselves.
pub(super) fn check(study: &Study, options: &DataAudit, found: &mut Collector) {
    let classes = study.cohort.classes.len() as f64;
    let tells = options.checks(Check::TellsLabel);
    let names = options.checks(Check::TellsGroup);
    for table in &study.features {
        for column in 0..table.features.columns.len() {
            let column = feature(table, column, classes);
            if tells {
                found.examined(Check::TellsLabel, &table.name);
                tells_label(study, options, &column, found);
            }
            if names {
                found.examined(Check::TellsGroup, &table.name);
                tells_group(study, &column, found);
            }
        }
    }
    if !tells {
        return;
    }
    for (is_evidence, all) in [(false, &study.quality), (true, &study.evidence)] {
        for scores in all {
            found.examined(Check::TellsLabel, &scores.name);
            for column in 0..scores.columns.len() {
                let column = Column { is_evidence, ..score(scores, column, classes) };
                tells_label(study, options, &column, found);
            }
        }
    }
}

fn feature(table: &Table, column: usize, classes: f64) -> Column<'_> {
    let values =
        (0..table.rows.len()).map(|place| (table.rows[place].0, table.value(place, column)));
    let (rows, values) = values.filter(|(_, value)| !value.is_nan()).unzip();
    Column {
        is_evidence: false,
        source: &table.name,
        name: Some(&table.features.columns[column].0),
        rows,
        values,
        tests: table.features.columns.len() as f64 * classes,
    }
}

fn score(scores: &Scores, column: usize, classes: f64) -> Column<'_> {
    let width = scores.columns.len();
    let values = scores.rows.iter().zip(scores.values.chunks_exact(width));
    let values = values.map(|(row, values)| (*row, values[column]));
    let (rows, values) = values.filter(|(_, value)| value.is_finite()).unzip();
    Column {
        is_evidence: false,
        source: &scores.name,
        name: Some(scores.columns[column].as_str()).filter(|name| !name.is_empty()),
        rows,
        values,
        tests: width as f64 * classes,
    }
}

fn tells_label(study: &Study, options: &DataAudit, column: &Column<'_>, found: &mut Collector) {
    let labels: Vec<u32> =
        column.rows.iter().map(|&row| study.cohort.label[row as usize]).collect();
    let rows: Vec<(f64, u32)> = column.values.iter().copied().zip(labels).collect();
    // The opposite of two classes says the same.
    let classes = match study.cohort.classes.len() {
        2 => 1..2,
        classes => 0..classes as u32,
    };
    let best = classes
        .filter_map(|class| Some((separation(&rows, class)?, class)))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((auroc, class)) = best.filter(|(auroc, _)| *auroc > options.auroc()) else { return };
    let p_value = (chance(study, column, &rows, auroc, class) * column.tests).min(1.0);
    if p_value > FALSE_ALARM {
        return;
    }
    let name = &study.cohort.classes[class as usize];
    let what = column.name.map_or_else(String::new, |name| format!("{name} of "));
    let (severity, remedy) = match column.is_evidence {
        true => (
            Severity::Warning,
            "the task is that easy, or its expert has seen these examples or their label",
        ),
        false => (Severity::Error, "what is the label in another form is to be left out"),
    };
    let message = format!(
        "{what}{} tells {name} from the others alone (AUROC {auroc:.3}): {remedy}",
        column.source
    );
    let mut fault = fault(Check::TellsLabel, severity, column.source, "auroc", message);
    fault.column = column.name.map(str::to_owned);
    (fault.value, fault.threshold) = (Some(auroc), Some(options.auroc()));
    fault.p_value = Some(p_value);
    found.add(fault);
}

/// Two-sided p-value of an AUROC by the normal approximation of the rank sum (too large in its
/// tails, where it is asked for), as if there were as many fewer rows as those of a group are
/// alike.
fn chance(study: &Study, column: &Column<'_>, rows: &[(f64, u32)], auroc: f64, class: u32) -> f64 {
    let group: Vec<u32> = column.rows.iter().map(|&row| study.group[row as usize]).collect();
    let is_class: Vec<f64> =
        rows.iter().map(|(_, label)| f64::from(u8::from(*label == class))).collect();
    let alike = |values: &[f64]| intraclass_correlation(values, &group).unwrap_or(0.0);
    let effect = design_effect(alike(&column.values), alike(&is_class), &group);
    let members = is_class.iter().sum::<f64>() / effect;
    let others = is_class.len() as f64 / effect - members;
    let deviation = ((members + others + 1.0) / (12.0 * members * others)).sqrt();
    2.0 * normal::cdf(-(auroc - 0.5) / deviation)
}

fn tells_group(study: &Study, column: &Column<'_>, found: &mut Collector) {
    let group: Vec<u32> = column.rows.iter().map(|&row| study.group[row as usize]).collect();
    if !is_group(&column.values, &group, study.groups) {
        return;
    }
    let name = column.name.unwrap_or_default();
    let message = format!(
        "{name} of {} has one value for each group and another in each: it says whose example it \
         is",
        column.source
    );
    let mut fault = fault(Check::TellsGroup, Severity::Warning, column.source, "groups", message);
    fault.column = Some(name.to_owned());
    fault.value = Some(study.groups as f64);
    found.add(fault);
}
