//! The tables of bad plugins in `docs/plugins.md`.
#![expect(clippy::unwrap_used, reason = "a helper of a test ends the test")]

use std::path::Path;

/// Holds the table behind a marker to these rows; writes it where `FUSELINE_BLESS` is set.
pub fn hold(marker: &str, head: [&str; 2], rows: &[[String; 2]]) {
    let mut table = format!("\n| {} | {} |\n|---|---|\n", head[0], head[1]);
    for [name, words] in rows {
        table += &format!("| {name} | {} |\n", words.trim());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plugins.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(&format!("<!-- {marker}")).unwrap();
    let begin = begin + text[begin..].find("-->\n").unwrap() + 4;
    let end = begin + text[begin..].find("<!-- end -->").unwrap();
    let wanted = format!("{table}\n");
    if std::env::var_os("FUSELINE_BLESS").is_some() {
        std::fs::write(&path, format!("{}{wanted}{}", &text[..begin], &text[end..])).unwrap();
        return;
    }
    assert_eq!(
        &text[begin..end],
        wanted,
        "docs/plugins.md is stale: run this with FUSELINE_BLESS=1"
    );
}
