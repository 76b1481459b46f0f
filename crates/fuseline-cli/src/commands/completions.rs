//! `fuseline completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args;
use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `completions`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline completions bash > ~/.local/share/bash-completion/completions/fuseline
  fuseline completions zsh > ~/.zfunc/_fuseline
  fuseline completions fish > ~/.config/fish/completions/fuseline.fish")]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::Args::command(), "fuseline", &mut script);
    print::data(String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
