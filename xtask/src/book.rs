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
    ("When something is wrong", &["audit", "faults", "trust"]),
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
const LINKED: [&str; 5] =
    ["examples", "plugins", "workflows", "schemas", "crates/fuseline-abi/include"];

/// Writes the book's source to `target/book` and lets mdBook make `target/book/html`.
pub fn make(root: &Path, target: &Path) -> Result<(), Box<dyn Error>> {
    let book = target.join("book");
    let source = book.join("src");
    if source.exists() {
        fs::remove_dir_all(&source)?;
    }
    let mut pages = Vec::new();
    for folder in ["docs", "bench"] {
        copy(root, &source, Path::new(folder), &mut pages)?;
    }
    for name in ["README.md"].iter().chain(&INSIDE) {
        fs::copy(root.join(name), source.join(name))?;
    }
    for folder in LINKED {
        copy(root, &source, Path::new(folder), &mut Vec::new())?;
    }
    // The source that a page names.
    let file = "crates/fuseline-engine/src/files.rs";
    let place = source.join(file);
    fs::create_dir_all(place.parent().ok_or("a file has a folder")?)?;
    fs::copy(root.join(file), place)?;
    fs::write(source.join("SUMMARY.md"), summary(root, &pages)?)?;
    fs::write(book.join("book.toml"), CONFIG)?;
    if Command::new("mdbook").arg("--version").output().is_err() {
        return Err(format!("{MISSING}{}", book.display()).into());
    }
    let site = book.join("html");
    run(Command::new("mdbook").arg("build").arg(&book).arg("--dest-dir").arg(&site))?;
    // The first page has another name here than the links to it say.
    fs::copy(site.join("index.html"), site.join("README.html"))?;
    let mut broken = Vec::new();
    find_broken_links(&site, &mut broken)?;
    if !broken.is_empty() {
        return Err(format!("links of the book that lead nowhere:\n{}", broken.join("\n")).into());
    }
    #[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
    {
        println!("The book: {}", site.join("index.html").display());
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

/// Collects the relative links of all pages below a folder whose files are not there.
fn find_broken_links(folder: &Path, broken: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_broken_links(&path, broken)?;
            continue;
        }
        // The others are navigation, and the page that a server shows for what is not there.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.ends_with(".html") || ["print.html", "toc.html", "404.html"].contains(&&*name) {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let page = text.split_once("<main").map_or("", |(_, page)| page);
        let page = page.split("</main>").next().unwrap_or_default();
        for link in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let is_local = !file.is_empty() && !file.contains(':');
            if is_local && !folder.join(file).is_file() {
                broken.push(format!("{}: {link}", path.display()));
            }
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
