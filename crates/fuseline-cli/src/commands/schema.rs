//! `fuseline schema`: the JSON Schema of workflow files, or of files of settings; the columns of an
//! artifact kind.

use fuseline::settings_schema;
use fuseline_artifact::ArtifactKind;

use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `schema`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline schema > workflow.schema.json
  fuseline schema --settings > settings.schema.json
  fuseline schema --artifact table                     columns and metadata, as JSON")]
pub struct Args {
    /// Print that of fuseline.toml
    #[arg(long)]
    pub settings: bool,
    /// Print the columns and metadata of an artifact kind, such as findings
    #[arg(long, value_name = "KIND", conflicts_with = "settings")]
    pub artifact: Option<ArtifactKind>,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    print::data(match args.artifact {
        Some(kind) => {
            let schema = kind
                .schema()
                .ok_or_else(|| Failure::wrong(format!("{kind} is a document, without columns")))?;
            format!("{:#}\n", schema.to_json())
        }
        None if args.settings => format!("{:#}\n", settings_schema()),
        None => text(),
    });
    Ok(Exit::Done)
}

/// The schema of workflow files, with every stage kind of this program.
pub fn text() -> String {
    let kinds = fuseline_stages::kinds();
    format!("{:#}\n", fuseline_workflow::schema::workflow_schema(kinds.catalogue()))
}
