//! Another locale, with a decimal comma: numbers that go through text come out otherwise.

use std::ffi::CStr;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Bench, Finding, ensure};

/// Answer of the probe on systems without such a locale.
pub(super) const NONE: &str = "no locale with a decimal comma is installed";

/// Sets a locale that writes a comma where C writes a point.
fn set_comma_locale() -> bool {
    let names: [&CStr; 7] = [
        c"comma",
        c"de_DE.UTF-8",
        c"de_DE.utf8",
        c"fr_FR.UTF-8",
        c"fr_FR.utf8",
        c"pt_BR.UTF-8",
        c"ru_RU.UTF-8",
    ];
    names.iter().any(|name| {
        // SAFETY: a NUL-terminated name; this process has no other threads that read the locale
        // now.
        !unsafe { libc::setlocale(libc::LC_ALL, name.as_ptr()) }.is_null()
    })
}

pub(super) fn probe(file: &Path) -> Result<(), Finding> {
    let bench = Bench::new(file)?;
    let batch = bench.rows(1).training();
    let model = bench.fit(&batch)?;
    if !set_comma_locale() {
        return Err(Finding::Nothing(NONE.to_owned()));
    }
    ensure(bench.fit(&batch)? == model, "the model's bytes differ")?;
    bench.predict(&model, &batch)?;
    Ok(())
}

/// Makes such a locale, where the C library brings `localedef`; `LOCPATH` finds it in the folder.
pub(super) fn made() -> Option<TempDir> {
    const SOURCE: &str =
        "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\ngrouping 3;3\nEND LC_NUMERIC\n";
    let folder = tempfile::tempdir().ok()?;
    let source = folder.path().join("source");
    std::fs::write(&source, SOURCE).ok()?;
    let locale = folder.path().join("comma");
    // Its exit code speaks of the categories that are left as they are.
    Command::new("localedef")
        .args(["--no-archive", "--force", "--inputfile"])
        .args([&source, &locale])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    locale.join("LC_NUMERIC").exists().then_some(folder)
}
