//! `fuseline init`: a new experiment that runs at once, from a template or for tables that are there.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::commands::schema;
use crate::exit::{Exit, Failure};
use crate::print;

mod from;

/// Workflow of a new experiment, on made-up data, which needs no file.
const WORKFLOW: &str = include_str!("../../../../workflows/quickstart.yaml");
const README: &str = include_str!("init/README.md");
const IGNORED: &str = "/cache/\n/results/\n";

/// Arguments of `init`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline init my-study
  fuseline init                                        in this folder
  fuseline init my-study --template frozen-onnx
  fuseline init my-study --from voice.csv --from face.csv --label condition --group person")]
pub struct Args {
    /// The folder to start in; made when it is not there
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// The kind of experiment
    #[arg(long, value_enum, default_value_t = Template::Study, conflicts_with = "from")]
    pub template: Template,
    /// Write a workflow for this CSV file, a row an example; once for each modality
    #[arg(long, value_name = "FILE", requires = "label")]
    pub from: Vec<PathBuf>,
    /// The column with the label
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub label: Option<String>,
    /// The column with the example_id [default: the first whose values all differ]
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub id: Option<String>,
    /// The column that says who belongs together, such as the person [default: nobody]
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub group: Option<String>,
    /// The column with a quality that was measured [default: `quality`, where it is there]
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub quality: Option<String>,
}

/// An experiment to begin with.
#[derive(Debug, ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// The diagnostic on made-up data, with controls and a report
    Study,
    /// A fusion model that was exported to ONNX
    FrozenOnnx,
    /// A fusion model behind a few lines of Python
    FrozenPython,
    /// CSV files of your own, one a modality
    BringCsv,
    /// The same study on many divisions into folds
    Sweep,
    /// A sweep with the settings of a cluster
    Cluster,
}

/// A file of a new experiment: its name, and its content.
type NewFile = (&'static str, Vec<u8>);

impl Template {
    /// The workflow, in which NAME stands for its name.
    fn workflow(self) -> String {
        match self {
            Self::Study => WORKFLOW
                .replace("$schema=../schemas/workflow.schema.json", "$schema=workflow.schema.json")
                .replace("fuseline run workflows/quickstart.yaml", "fuseline run workflow.yaml")
                .replacen("name: quickstart", "name: NAME", 1),
            Self::FrozenOnnx => include_str!("init/frozen-onnx.yaml").to_owned(),
            Self::FrozenPython => include_str!("init/frozen-python.yaml").to_owned(),
            Self::BringCsv => include_str!("init/bring-csv.yaml").to_owned(),
            Self::Sweep | Self::Cluster => include_str!("init/sweep.yaml").to_owned(),
        }
    }

    /// The files beside the workflow.
    fn files(self) -> Vec<NewFile> {
        match self {
            Self::Study | Self::Sweep => Vec::new(),
            Self::FrozenOnnx => vec![
                ("gate.onnx", include_bytes!("init/gate.onnx").to_vec()),
                ("export_gate.py", include_bytes!("init/export_gate.py").to_vec()),
            ],
            Self::FrozenPython => vec![
                ("gate.py", include_bytes!("init/gate.py").to_vec()),
                ("fuseline_rule.py", fuseline_host::scaffold::PYTHON_SDK.as_bytes().to_vec()),
                ("weights.json", include_bytes!("init/weights.json").to_vec()),
            ],
            Self::BringCsv => vec![
                (
                    "data/voice.csv",
                    include_bytes!("../../../../examples/tutorial/voice.csv").to_vec(),
                ),
                (
                    "data/face.csv",
                    include_bytes!("../../../../examples/tutorial/face.csv").to_vec(),
                ),
            ],
            Self::Cluster => {
                vec![("fuseline.toml", include_bytes!("init/fuseline.toml").to_vec())]
            }
        }
    }
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let folder = &args.folder;
    let name = name_of(folder);
    let (workflow, more, found) = match &args.label {
        Some(label) => {
            let Args { from, id, group, quality, .. } = args;
            let (id, group, quality) = (id.as_deref(), group.as_deref(), quality.as_deref());
            let wanted = from::Wanted { files: from, label, id, group, quality };
            let (workflow, found) = from::workflow(&wanted, folder)?;
            (workflow, Vec::new(), found)
        }
        None => (args.template.workflow(), args.template.files(), String::new()),
    };
    let mut files = vec![
        (
            "workflow.yaml",
            workflow.replacen("name: NAME", &format!("name: {name}"), 1).into_bytes(),
        ),
        ("workflow.schema.json", schema::text().into_bytes()),
        ("README.md", README.replace("NAME", &name).into_bytes()),
        (".gitignore", IGNORED.as_bytes().to_vec()),
    ];
    files.extend(more);
    if let Some((there, _)) = files.iter().find(|(file, _)| folder.join(file).exists()) {
        return Err(Failure::wrong(format!("{} is there already", folder.join(there).display()))
            .hint("start in an empty folder, or in one of another name"));
    }
    for (file, bytes) in &files {
        let path = folder.join(file);
        write(&path, bytes).map_err(|error| {
            Failure::wrong(format!("cannot write into {}: {error}", folder.display()))
        })?;
        print::result(path.display().to_string());
    }
    let run = match folder.as_path() == Path::new(".") {
        true => "fuseline run workflow.yaml".to_owned(),
        false => format!("cd {} && fuseline run workflow.yaml", folder.display()),
    };
    print::note(format!("{found}A new experiment. Run it:\n\n    {run}"));
    Ok(Exit::Done)
}

/// Writes a file; a script can be executed.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)?;
    if bytes.starts_with(b"#!") {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_waits_for_its_name_and_names_its_schema() {
        for template in Template::value_variants() {
            let text = template.workflow();
            assert!(text.starts_with("# yaml-language-server: $schema=workflow.schema.json\n"));
            assert_eq!(text.matches("NAME").count(), 1, "{template:?}");
            assert!(text.contains("\nname: NAME\n"), "{template:?}");
            assert!(!text.contains("quickstart") && !text.contains("workflows/"), "{text}");
        }
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
