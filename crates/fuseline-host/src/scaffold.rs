//! New rules that pass the plugin check as they are, for their authors to change.

use std::path::{Path, PathBuf};
use std::{fs, io};

use thiserror::Error;

/// The languages in which a rule can be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A crate that uses the kit.
    Rust,
    /// One file and the header.
    C,
    /// One script and the SDK's file.
    Python,
}

/// Error of starting a plugin.
#[derive(Debug, Error)]
pub enum ScaffoldError {
    /// The name cannot be part of an id.
    #[error("{0:?} is no name for a rule: a letter, then letters, digits and _, all lower-case")]
    Name(String),
    /// Something is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The operating system refused.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

const HEADER: &str = include_str!("../../fuseline-abi/include/fuseline_fusion.h");
/// Version script that the linkers of C++, Fortran and Go need so that a library exports no more
/// than the ABI's two symbols.
const VERSION_SCRIPT: &str = "{
  global: fuseline_fusion_init; fuseline_fusion_tag;
  local: *;
};
";
const C_RULE: &str = include_str!("../../../plugins/examples/c/best_modality.c");
/// The file that a rule in Python imports: `fuseline_rule.py`.
pub const PYTHON_SDK: &str = include_str!("../../../python/fuseline/_rule.py");
const PYTHON_RULE: &str = include_str!("scaffold/rule.py.txt");
const RUST_RULE: &str = include_str!("scaffold/rule.rs.txt");
const RUST_MANIFEST: &str = include_str!("scaffold/cargo.toml.txt");

/// Makes the folder `name` inside `parent` with a rule `org.example.NAME`, and gives the files, the
/// one to edit first.
///
/// `kit`: where the crate fuseline-plugin lies, for Rust.
pub fn new_rule(
    parent: &Path,
    name: &str,
    language: Language,
    kit: &Path,
) -> Result<Vec<PathBuf>, ScaffoldError> {
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_name {
        return Err(ScaffoldError::Name(name.to_owned()));
    }
    let folder = parent.join(name);
    if folder.exists() {
        return Err(ScaffoldError::Exists(folder));
    }
    let type_name: String = name
        .split('_')
        .map(|part| {
            let (first, rest) = part.split_at(part.len().min(1));
            first.to_uppercase() + rest
        })
        .collect();
    let fill = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{Name}}", &type_name)
            .replace("{{kit}}", &kit.display().to_string())
    };
    let files = match language {
        Language::Rust => vec![
            ("src/lib.rs".to_owned(), fill(RUST_RULE)),
            ("Cargo.toml".to_owned(), fill(RUST_MANIFEST)),
        ],
        Language::C => vec![
            (
                format!("{name}.c"),
                C_RULE
                    .replace("-I crates/fuseline-abi/include ", "")
                    .replace("best_modality", name),
            ),
            ("fuseline_fusion.h".to_owned(), HEADER.to_owned()),
            (format!("{name}.map"), VERSION_SCRIPT.to_owned()),
        ],
        Language::Python => vec![
            (format!("{name}.py"), fill(PYTHON_RULE)),
            ("fuseline_rule.py".to_owned(), PYTHON_SDK.to_owned()),
        ],
    };
    let mut made = Vec::new();
    for (file, text) in files {
        let path = folder.join(file);
        write(&path, &text)
            .map_err(|source| ScaffoldError::Write { path: path.clone(), source })?;
        made.push(path);
    }
    Ok(made)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)?;
    if text.starts_with("#!") {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
