//! `fuseline man`: manual pages, from the same source as `--help`.

use std::path::PathBuf;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::args;
use crate::exit::{Exit, Failure};
use crate::print;

/// Arguments of `man`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline man | man -l -
  fuseline man --out ~/.local/share/man/man1")]
pub struct Args {
    /// Write a page for every command into a folder, instead of printing that of fuseline
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let command = args::Args::command();
    let Some(folder) = &args.out else {
        print::data(String::from_utf8_lossy(&page(&command)?));
        return Ok(Exit::Done);
    };
    let mut command = command.disable_help_subcommand(true);
    command.build();
    for (name, command) in pages("fuseline", &command) {
        let path = folder.join(format!("{name}.1"));
        fuseline::write_file(&path, &page(&command.display_name(name))?)?;
        print::result(path.display().to_string());
    }
    Ok(Exit::Done)
}

/// A command and all below it, with the names of their pages.
fn pages(name: &str, command: &Command) -> Vec<(String, Command)> {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    let below = below.flat_map(|below| pages(&format!("{name}-{}", below.get_name()), below));
    std::iter::once((name.to_owned(), command.clone())).chain(below).collect()
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| Failure::failed(format!("cannot write a manual page: {error}")))?;
    // The renderer leaves an empty date out, and what made the page then stands in its place.
    let title = command.get_display_name().unwrap_or("fuseline");
    let lines = String::from_utf8_lossy(&page).into_owned();
    let lines = lines.lines().map(|line| match line.starts_with(".TH ") {
        true => {
            format!(".TH {title} 1 \"\" \"fuseline {}\" \"fuseline\"\n", env!("CARGO_PKG_VERSION"))
        }
        false => format!("{line}\n"),
    });
    Ok(lines.collect::<String>().into_bytes())
}
