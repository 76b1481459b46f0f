//! `report.table`: the tables of many points as one.

use fuseline_artifact::{ArtifactKind, Report};
use fuseline_engine::{
    Inputs, KeyWriter, Labelled, Outputs, Ports, RowFlow, StageError, StageKind,
};
use fuseline_workflow::Role;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::table::Table;

/// Puts the tables of all points below one another; the axes come first, as columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinTables {}

impl StageKind for JoinTables {
    const NAME: &'static str = "report.table";
    const REVISION: u32 = 1;
    const SUMMARY: &'static str = "The tables of many points as one CSV, with the axes as columns.";

    fn ports() -> Ports {
        Ports::new()
            .many(
                "tables",
                ArtifactKind::Report,
                Role::Neutral,
                "CSV of diagnose.metrics and its kin.",
            )
            .output("table", ArtifactKind::Report, "One CSV.")
    }

    fn key(&self, _: &mut KeyWriter<'_>) {
        let Self {} = self;
    }

    fn rows(&self, flow: &mut RowFlow<'_>) {
        let all = flow.all_inputs();
        flow.give("table", all);
    }

    fn run(&self, inputs: &Inputs<'_>, outputs: &mut Outputs) -> Result<(), StageError> {
        let tables: Vec<Labelled<Report>> = inputs.many("tables")?;
        let failed =
            |error: csv::Error| StageError::data(format!("a table cannot be read: {error}"));
        let mut joined: Option<(Vec<String>, Table)> = None;
        for Labelled { point, artifact } in &tables {
            let mut reader = csv::Reader::from_reader(artifact.bytes.as_slice());
            let axes = point.iter().map(|(axis, _)| axis.clone());
            let own: Vec<String> =
                axes.chain(reader.headers().map_err(failed)?.iter().map(str::to_owned)).collect();
            let (columns, table) = match &mut joined {
                Some(joined) => joined,
                none => none.insert((own.clone(), Table::new(&own)?)),
            };
            if *columns != own {
                return Err(StageError::data(format!(
                    "the tables do not have the same columns: {} and {}",
                    columns.join(", "),
                    own.join(", ")
                )));
            }
            for record in reader.records() {
                let record = record.map_err(failed)?;
                table.row(point.iter().map(|(_, label)| label.as_str()).chain(record.iter()))?;
            }
        }
        let (_, table) =
            joined.ok_or_else(|| StageError::failed("nothing arrived at input tables"))?;
        outputs.put("table", table.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{message, run};

    fn join(tables: &[(&str, &str)]) -> Result<String, StageError> {
        let outputs = run::<JoinTables>(json!({}), 1, &[], |mut inputs| {
            for (rule, text) in tables {
                let point = vec![("rule".to_owned(), (*rule).to_owned())];
                let bytes = text.as_bytes().to_vec();
                let table = Report { media_type: "text/csv".to_owned(), bytes };
                inputs = inputs.artifact("tables", point, table)?;
            }
            Ok(inputs)
        })?;
        Ok(String::from_utf8(outputs.get::<Report>("table")?.bytes).unwrap())
    }

    #[test]
    fn rows_keep_their_order_behind_the_labels_of_their_point() {
        let joined = join(&[("lr", "a,b\n1,2\n3,4\n"), ("a,b", "a,b\n5,\"6,7\"\n")]).unwrap();
        assert_eq!(joined, "rule,a,b\nlr,1,2\nlr,3,4\n\"a,b\",5,\"6,7\"\n");
    }

    #[test]
    fn tables_of_other_columns_are_refused() {
        let error = join(&[("lr", "a\n1\n"), ("moe", "b\n1\n")]).unwrap_err();
        let expected = "the tables do not have the same columns: rule, a and rule, b";
        assert_eq!(message(&error), expected);
    }
}
