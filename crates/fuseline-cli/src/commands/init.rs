//! `fuseline init`: a new experiment that runs at once.

use std::path::{Path, PathBuf};

use crate::commands::schema;
use crate::exit::{Exit, Failure};
use crate::print;

/// Workflow of a new experiment, on made-up data, which needs no file.
const WORKFLOW: &str = include_str!("../../../../workflows/quickstart.yaml");
const README: &str = include_str!("init/README.md");
const IGNORED: &str = "/cache/\n/results/\n";

/// Arguments of `init`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline init my-study
  fuseline init                                        in this folder")]
pub struct Args {
    /// The folder to start in; made when it is not there
    #[arg(default_value = ".")]
    pub folder: PathBuf,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let folder = &args.folder;
    let name = name_of(folder);
    let schema = schema::text();
    let files = [
        ("workflow.yaml", workflow(&name)),
        ("workflow.schema.json", schema),
        ("README.md", README.replace("NAME", &name)),
        (".gitignore", IGNORED.to_owned()),
    ];
    if let Some((there, _)) = files.iter().find(|(file, _)| folder.join(file).exists()) {
        return Err(Failure::wrong(format!("{} is there already", folder.join(there).display()))
            .hint("start in an empty folder, or in one of another name"));
    }
    let failed = |error: std::io::Error| {
        Failure::wrong(format!("cannot write into {}: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (file, text) in &files {
        std::fs::write(folder.join(file), text).map_err(failed)?;
        print::result(folder.join(file).display().to_string());
    }
    let run = match folder.as_path() == Path::new(".") {
        true => "fuseline run workflow.yaml".to_owned(),
        false => format!("cd {} && fuseline run workflow.yaml", folder.display()),
    };
    print::note(format!("A new experiment. Run it:\n\n    {run}"));
    Ok(Exit::Done)
}

/// The folder's name as the name of a workflow.
fn name_of(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let name: String = name.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    let name = name.trim_start_matches(|first: char| !first.is_ascii_alphabetic());
    if name.is_empty() { "experiment".to_owned() } else { name.to_owned() }
}

fn workflow(name: &str) -> String {
    WORKFLOW
        .replace("$schema=../schemas/workflow.schema.json", "$schema=workflow.schema.json")
        .replace("fuseline run workflows/quickstart.yaml", "fuseline run workflow.yaml")
        .replacen("name: quickstart", &format!("name: {name}"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_is_made_its_own() {
        let text = workflow("mine");
        assert!(text.starts_with("# yaml-language-server: $schema=workflow.schema.json\n"));
        assert!(text.contains("\nname: mine\n"));
        assert!(!text.contains("quickstart") && !text.contains("workflows/"), "{text}");
    }

    #[test]
    fn a_name_is_made_of_any_folder() {
        for (folder, name) in [
            ("My Study", "my-study"),
            ("2026 pilot", "pilot"),
            ("é", "experiment"),
            ("/", "experiment"),
        ] {
            assert_eq!(name_of(Path::new(folder)), name);
        }
    }
}
