//! Writes the reports of the tests into a folder, to be looked at: `cargo run --example gallery -- FOLDER`.

#[path = "../tests/fixture/mod.rs"]
mod fixture;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/gallery".to_owned());
    let folder = std::path::Path::new(&folder);
    for (name, data) in fixture::gallery() {
        std::fs::create_dir_all(folder.join(name))?;
        std::fs::write(folder.join(name).join("report.html"), fuseline_report::html(&data))?;
        for (figure, svg) in fuseline_report::figures(&data) {
            std::fs::write(folder.join(name).join(format!("{figure}.svg")), svg)?;
        }
    }
    Ok(())
}
