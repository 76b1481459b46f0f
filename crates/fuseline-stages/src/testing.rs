//! Shared by the tests of stage kinds: small artifacts, and running a kind on artifacts in memory.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use arrow::util::display::array_value_to_string;
use fuseline_artifact::{AnyTable, Cohort, Evidence, Quality};
use fuseline_engine::services::FileDigests;
use fuseline_engine::{Inputs, InputsBuilder, Kind, Outputs, Services, StageError, StageKind};
use fuseline_host::{Isolation, PluginLibrary};
use serde_json::Value;

/// Services with the fusion rules in the folder of the test's executable, which are read once: their
/// files are a hundred megabytes.
pub(crate) fn services() -> Services {
    static RULES: OnceLock<PluginLibrary> = OnceLock::new();
    let rules = RULES.get_or_init(|| {
        let executable = std::env::current_exe().unwrap();
        PluginLibrary::new(vec![executable.parent().unwrap().to_owned()])
    });
    Services {
        plugins: rules.clone(),
        isolation: Some(Isolation::InProcess),
        files: FileDigests::default(),
        shared: Default::default(),
    }
}

/// Runs a stage kind with options as a workflow gives them.
pub(crate) fn run<K: StageKind>(
    options: Value,
    seed: u64,
    point: &[(&str, &str)],
    give: impl for<'a> FnOnce(InputsBuilder<'a>) -> Result<InputsBuilder<'a>, StageError>,
) -> Result<Outputs, StageError> {
    let stage: K = serde_json::from_value(options).unwrap();
    let services = services();
    let point =
        point.iter().map(|(axis, label)| ((*axis).to_owned(), (*label).to_owned())).collect();
    let kind = Kind::new::<K>();
    let inputs = InputsBuilder::new(&services, seed).ports_of(kind.spec()).point(point);
    let inputs: Inputs<'_> = give(inputs)?.build();
    let mut outputs = Outputs::default();
    stage.run(&inputs, &mut outputs)?;
    Ok(outputs)
}

/// The rows of the output `table`, as texts by column; a missing value is empty.
pub(crate) fn cells(outputs: &Outputs) -> Vec<BTreeMap<String, String>> {
    let table: AnyTable = outputs.get("table").unwrap();
    let batch = table.batch();
    let cell = |row, column: usize| array_value_to_string(batch.column(column), row).unwrap();
    let names = table.columns();
    let row = |row| {
        names.iter().enumerate().map(|(place, name)| (name.clone(), cell(row, place))).collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

/// A cohort of rows (example_id, group, label) with the classes `rest` and `stress`.
pub(crate) fn cohort(rows: &[(String, String, u32)]) -> Cohort {
    Cohort {
        example_id: rows.iter().map(|(id, _, _)| id.clone()).collect(),
        group: rows.iter().map(|(_, group, _)| group.clone()).collect(),
        label: rows.iter().map(|(_, _, label)| *label).collect(),
        classes: vec!["rest".to_owned(), "stress".to_owned()],
    }
}

/// Evidence of two classes: example_id and the probability of the second.
pub(crate) fn evidence(modality: &str, rows: &[(&str, f64)]) -> Evidence {
    Evidence {
        modality: modality.to_owned(),
        classes: vec!["rest".to_owned(), "stress".to_owned()],
        example_id: rows.iter().map(|(id, _)| (*id).to_owned()).collect(),
        probabilities: rows.iter().flat_map(|(_, stress)| [1.0 - stress, *stress]).collect(),
        inner_fold: None,
        logits: None,
    }
}

/// Native quality.
pub(crate) fn quality(modality: &str, rows: &[(&str, f64)]) -> Quality {
    Quality {
        modality: modality.to_owned(),
        source: "made up".to_owned(),
        control: fuseline_artifact::Control::Native,
        evidence_derived: false,
        example_id: rows.iter().map(|(id, _)| (*id).to_owned()).collect(),
        quality: rows.iter().map(|(_, quality)| *quality).collect(),
    }
}

/// The message of an error, with its hint.
pub(crate) fn message(error: &StageError) -> String {
    match &error.hint {
        Some(hint) => format!("{}; {hint}", error.message),
        None => error.message.clone(),
    }
}
