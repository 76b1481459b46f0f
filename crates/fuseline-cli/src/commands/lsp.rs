//! `fuseline lsp`: the language server, over standard input and output.

use crate::exit::{Exit, Failure};

/// Arguments of `lsp`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline lsp                                         editors start it: docs/editors.md has \
  their lines")]
pub struct Args {
    /// Speak over standard input and output, as is done in any case: some editors say so
    #[arg(long)]
    stdio: bool,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    // There is no other way to speak.
    let Args { stdio: _ } = args;
    fuseline_lsp::serve_stdio().map_err(Failure::failed)?;
    Ok(Exit::Done)
}
