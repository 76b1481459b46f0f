//! Writes the reports of the tests into a folder, to be looked at:
//! `cargo run --example gallery -- FOLDER`.

#![expect(clippy::unwrap_used, reason = "made-up data of the tests, known to be whole")]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/gallery".to_owned());
    let folder = std::path::Path::new(&folder);
    for (name, data) in fixture::gallery() {
        std::fs::create_dir_all(folder.join(name))?;
        std::fs::write(folder.join(name).join("report.html"), fuseline_report::html(&data))?;
        std::fs::write(folder.join(name).join("report.md"), fuseline_report::markdown(&data))?;
        std::fs::write(folder.join(name).join("report.tex"), fuseline_report::latex(&data))?;
        for figure in fuseline_report::figures(&data) {
            let path = folder.join(name).join(&figure.name);
            std::fs::write(path.with_extension("svg"), figure.svg())?;
            std::fs::write(path.with_extension("pdf"), figure.pdf())?;
        }
    }
    Ok(())
}
