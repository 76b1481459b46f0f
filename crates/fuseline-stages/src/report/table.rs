//! `report.table`: the tables of many points as one.

use fuseline_artifact::{AnyTable, ArtifactError, ArtifactKind};
use fuseline_engine::{
    Inputs, KeyWriter, Labelled, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

/// Puts the tables of all points below one another; the axes come first, as columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinTables {}

impl StageKind for JoinTables {
    const NAME: &'static str = "report.table";
    const REVISION: u32 = 2; // tables are artifacts of kind table
    const SUMMARY: &'static str = "The tables of many points as one, with the axes as columns.";

    fn ports() -> Ports {
        Ports::new()
            .many(
                "tables",
                ArtifactKind::Table,
                Role::Neutral,
                "Tables of diagnose.metrics and its kin.",
            )
            .output("table", ArtifactKind::Table, "One table.")
    }

    fn key(&self, _: &mut KeyWriter<'_>) {
        let Self {} = self;
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let all = flow.all_inputs();
        flow.give("table", all);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let tables: Vec<Labelled<AnyTable>> = inputs.many("tables")?;
        let failed = |error: ArtifactError| StageError::data(error.to_string());
        let mut joined: Option<AnyTable> = None;
        for Labelled { point, artifact } in tables {
            let table = artifact.at(&point).map_err(failed)?;
            joined = Some(match joined {
                None => table,
                Some(joined) if joined.columns() == table.columns() => {
                    joined.append(&table).map_err(failed)?
                }
                Some(joined) => {
                    return Err(StageError::data(format!(
                        "the tables do not have the same columns: {} and {}",
                        joined.columns().join(", "),
                        table.columns().join(", ")
                    )));
                }
            });
        }
        let table = joined.ok_or_else(|| StageError::failed("nothing arrived at input tables"))?;
        outputs.put("table", table)
    }
}

#[cfg(test)]
mod tests {
    use fuseline_artifact::{RepeatRow, RoutingRow, Table, Typed};
    use fuseline_engine::Outputs;
    use serde_json::json;

    use super::*;
    use crate::testing::{message, run};

    fn routing(axes: &[&str], rows: &[(&[&str], &str, f64)]) -> Table<RoutingRow> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let row = |(point, measure, value): &(&[&str], &str, f64)| {
            let measure = (*measure).to_owned();
            (texts(point), RoutingRow { measure, modality: None, value: Some(*value) })
        };
        Table { axes: texts(axes), rows: rows.iter().map(row).collect() }
    }

    fn join<T: Typed>(axis: &str, tables: Vec<(&str, T)>) -> Result<Outputs, StageError> {
        run::<JoinTables>(json!({}), 1, &[], |mut inputs| {
            for (label, table) in tables {
                let point = vec![(axis.to_owned(), label.to_owned())];
                inputs = inputs.artifact("tables", point, table)?;
            }
            Ok(inputs)
        })
    }

    #[test]
    fn rows_keep_their_order_behind_the_labels_of_their_point() {
        let lr = routing(&["fold"], &[(&["0"], "b", 1.0), (&["1"], "a", 2.0)]);
        let other = routing(&["fold"], &[(&["0"], "b", 3.0)]);
        let outputs = join("rule", vec![("lr", lr), ("a,b", other)]).unwrap();
        let joined: Table<RoutingRow> = outputs.get("table").unwrap();
        let expected = routing(
            &["rule", "fold"],
            &[(&["lr", "0"], "b", 1.0), (&["lr", "1"], "a", 2.0), (&["a,b", "0"], "b", 3.0)],
        );
        assert_eq!(joined, expected);
    }

    #[test]
    fn an_axis_that_a_column_says_already_is_not_said_twice() {
        let outputs = join("measure", vec![("a", routing(&[], &[(&[], "a", 1.0)]))]).unwrap();
        let same: Table<RoutingRow> = outputs.get("table").unwrap();
        assert_eq!(same, routing(&[], &[(&[], "a", 1.0)]));
        let outputs = join("measure", vec![("b", routing(&[], &[(&[], "a", 1.0)]))]).unwrap();
        let other: Table<RoutingRow> = outputs.get("table").unwrap();
        assert_eq!(other, routing(&["axis_measure"], &[(&["b"], "a", 1.0)]));
    }

    #[test]
    fn tables_of_other_columns_are_refused() {
        let tables = vec![("lr", routing(&[], &[])), ("moe", routing(&["fold"], &[]))];
        let error = join("rule", tables).err().unwrap();
        let expected = "the tables do not have the same columns: rule, measure, modality, value \
                        and rule, fold, measure, modality, value";
        assert_eq!(message(&error), expected);
    }

    #[test]
    fn a_table_of_another_form_is_refused_by_name() {
        let outputs = join("rule", vec![("lr", routing(&[], &[(&[], "a", 1.0)]))]).unwrap();
        let error = outputs.get::<Table<RepeatRow>>("table").unwrap_err();
        let expected = "a table repeats is expected and a table routing was given";
        assert!(error.message.contains(expected), "{}", error.message);
    }
}
