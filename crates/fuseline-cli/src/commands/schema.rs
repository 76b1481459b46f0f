//! `fuseline schema`: the JSON Schema of workflow files.

use crate::exit::{Exit, Failure};
use crate::print;

pub fn run() -> Result<Exit, Failure> {
    print::data(text());
    Ok(Exit::Done)
}

/// The schema, with every stage kind of this program.
pub fn text() -> String {
    let kinds = fuseline_stages::kinds();
    format!("{:#}\n", fuseline_workflow::schema::workflow_schema(kinds.catalogue()))
}
