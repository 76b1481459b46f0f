//! `fuseline schema`: the JSON Schema of workflow files.

use crate::exit::{Exit, Failure};
use crate::print;

pub fn run() -> Result<Exit, Failure> {
    let kinds = fuseline_stages::kinds();
    let schema = fuseline_workflow::schema::workflow_schema(kinds.catalogue());
    print::result(format!("{schema:#}"));
    Ok(Exit::Done)
}
