//! `fuseline schema`: the JSON Schema of workflow files, or of files of settings.

use fuseline::settings_schema;

use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `schema`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline schema > workflow.schema.json
  fuseline schema --settings > settings.schema.json")]
pub struct Args {
    /// Print that of fuseline.toml
    #[arg(long)]
    pub settings: bool,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    print::data(match args.settings {
        true => format!("{:#}\n", settings_schema()),
        false => text(),
    });
    Ok(Exit::Done)
}

/// The schema of workflow files, with every stage kind of this program.
pub fn text() -> String {
    let kinds = fuseline_stages::kinds();
    format!("{:#}\n", fuseline_workflow::schema::workflow_schema(kinds.catalogue()))
}
