//! Links the command at a fixed address on Linux with glibc, and lists the pages that `fuseline
//! docs` prints.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folder of the pages.
const DOCS: &str = "../../docs";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    // Code that may be loaded anywhere has addresses that are put right at every start: 92,000 of
    // them, which took half of the time of `fuseline --version`. Elsewhere than on Linux with
    // glibc, systems want it so.
    let is = |name, value| env::var(name).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
        // Generic code of many types is often the same: once is enough. Rust brings the linker that
        // can do so on this platform.
        if is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("PROFILE", "release") {
            println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        }
    }
    // A folder is looked at with all that is in it, so that a new page is seen.
    println!("cargo::rerun-if-changed={DOCS}");
    let docs = Path::new(DOCS).canonicalize()?;
    let mut pages = Vec::new();
    find_pages(&docs, "", &mut pages)?;
    pages.sort();
    let pages = pages.iter().map(|(topic, path)| format!("({topic:?}, include_str!({path:?})),\n"));
    let out = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    fs::write(out.join("pages.rs"), format!("&[\n{}]", pages.collect::<String>()))
}

/// Collects the Markdown files below a folder, each with its topic: `design/cache` of
/// `design/cache.md`.
fn find_pages(folder: &Path, prefix: &str, pages: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            find_pages(&path, &format!("{prefix}{name}/"), pages)?;
        } else if path.extension().is_some_and(|ending| ending == "md") {
            pages.push((format!("{prefix}{name}"), path.clone()));
        }
    }
    Ok(())
}
