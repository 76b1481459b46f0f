//! The documentation as a site: the pages of the project as they are, by mdBook.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// Parts of the book with their topics in `docs`, in the order of reading. Pages that are not here
/// follow in a last part.
const PARTS: [(&str, &[&str]); 4] = [
    ("Write a study", &["language", "editors", "artifacts", "command", "experts", "plugins"]),
    ("Ask a question", &["method", "cautions", "report", "frozen-models", "python"]),
    ("Run it", &["settings", "cluster", "remote", "ui", "performance"]),
    ("When something is wrong", &["faults", "trust"]),
];

const INSIDE: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

const CONFIG: &str = "\
[book]
title = \"fuseline\"
language = \"en\"
src = \"src\"

[output.html]
no-section-label = true
";

const MISSING: &str = "\
the book is made by mdbook, and there is none on the PATH: `cargo install mdbook --locked` builds \
it, and its releases have it built. The book's source is ready in ";

/// Folders and files that pages link to, beside Markdown.
const LINKED: [&str; 6] =
    ["examples", "plugins", "workflows", "schemas", "bench", "crates/fuseline-abi/include"];

/// Writes the book's source to `target/book` and lets mdBook make `target/book/html`.
pub fn make(root: &Path, target: &Path) -> Result<(), Box<dyn Error>> {
    let book = target.join("book");
    let source = book.join("src");
    if source.exists() {
        fs::remove_dir_all(&source)?;
    }
    let mut pages = Vec::new();
    copy(root, &source, Path::new("docs"), &mut pages)?;
    for name in ["README.md"].iter().chain(&INSIDE) {
        fs::copy(root.join(name), source.join(name))?;
    }
    for folder in LINKED {
        copy(root, &source, Path::new(folder), &mut Vec::new())?;
    }
    // The sources that pages name.
    for file in ["crates/fuseline-engine/src/files.rs"] {
        let place = source.join(file);
        fs::create_dir_all(place.parent().ok_or("a file has a folder")?)?;
        fs::copy(root.join(file), place)?;
    }
    fs::write(source.join("SUMMARY.md"), summary(root, &pages)?)?;
    fs::write(book.join("book.toml"), CONFIG)?;
    if Command::new("mdbook").arg("--version").output().is_err() {
        return Err(format!("{MISSING}{}", book.display()).into());
    }
    run(Command::new("mdbook").arg("build").arg(&book).arg("--dest-dir").arg(book.join("html")))?;
    #[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
    {
        println!("The book: {}", book.join("html/index.html").display());
    }
    Ok(())
}

/// Copies what git knows of a folder; `pages` gets its Markdown files.
fn copy(
    root: &Path,
    source: &Path,
    folder: &Path,
    pages: &mut Vec<PathBuf>,
) -> Result<(), Box<dyn Error>> {
    let listed =
        Command::new("git").current_dir(root).args(["ls-files", "--"]).arg(folder).output()?;
    for name in String::from_utf8(listed.stdout)?.lines() {
        let place = source.join(name);
        fs::create_dir_all(place.parent().ok_or("a file has a folder")?)?;
        fs::copy(root.join(name), &place)?;
        if name.ends_with(".md") {
            pages.push(name.into());
        }
    }
    Ok(())
}

/// The table of contents: the parts, and what no part names at the end.
fn summary(root: &Path, pages: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    let mut text = "# Summary\n\n[fuseline](README.md)\n".to_owned();
    let mut named = Vec::new();
    for (part, topics) in PARTS {
        text += &format!("\n# {part}\n\n");
        for page in topics.iter().map(|topic| Path::new("docs").join(format!("{topic}.md"))) {
            text += &entry(root, &page)?;
            named.push(page);
        }
    }
    text += "\n# Inside\n\n";
    let rest = pages.iter().filter(|page| !named.contains(page));
    for page in INSIDE.map(PathBuf::from).iter().chain(rest) {
        text += &entry(root, page)?;
    }
    Ok(text)
}

/// A line of the table of contents: the title of a page, and its path.
fn entry(root: &Path, page: &Path) -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string(root.join(page))?;
    let title = text.lines().find_map(|line| line.strip_prefix("# "));
    let title = title.ok_or_else(|| format!("{} has no title", page.display()))?;
    Ok(format!("- [{title}]({})\n", page.display()))
}
