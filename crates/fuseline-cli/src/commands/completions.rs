//! `fuseline completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;

use crate::args::{Args, Completions};
use crate::exit::{Exit, Failure};
use crate::print;

pub fn run(args: &Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "fuseline", &mut script);
    print::result(String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
