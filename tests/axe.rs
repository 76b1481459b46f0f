//! axe-core on a page: what it says of those who hear a page, or use it by the keyboard.
//!
//! The script (MPL 2.0) is no part of the project: npm puts it into `target/axe`, once.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::devtools::Page;
use crate::{Need, root, skip};

/// The version whose rules are asked.
const VERSION: &str = "4.10.3";

/// The text of axe-core; `None`, with a notice, where neither it nor npm can be had.
#[track_caller]
pub fn axe() -> Option<String> {
    let folder = root().join("target/axe");
    let script = |folder: &PathBuf| folder.join("node_modules/axe-core/axe.min.js");
    if !script(&folder).is_file() {
        // Several tests may come at once: each installs for itself, and the first one stays.
        let own = root().join(format!("target/axe.{}", std::process::id()));
        let installed = std::fs::create_dir_all(&own).is_ok()
            && Command::new("npm")
                .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
                .arg(&own)
                .arg(format!("axe-core@{VERSION}"))
                .output()
                .is_ok_and(|ran| ran.status.success());
        if installed && std::fs::rename(&own, &folder).is_err() && !script(&folder).is_file() {
            // The folder that was there is no installation.
            let _ = std::fs::remove_dir_all(&folder);
            let _ = std::fs::rename(&own, &folder);
        }
        let _ = std::fs::remove_dir_all(&own);
    }
    let text = std::fs::read_to_string(script(&folder)).ok();
    if text.is_none() {
        skip(Need::Browser, "npm cannot install axe-core into target/axe");
    }
    text
}

/// Violations that axe-core finds on a page, one a line: rule, element and what to do. `script`:
/// what [`axe`] gives.
pub fn violations(page: &mut Page<'_>, script: &str) -> String {
    violations_of(page, script, "")
}

/// Those of its rules about colours, which are all that another scheme of colours may break.
pub fn violations_of_colours(page: &mut Page<'_>, script: &str) -> String {
    violations_of(page, script, ", runOnly: ['color-contrast', 'link-in-text-block']")
}

fn violations_of(page: &mut Page<'_>, script: &str, rules: &str) -> String {
    page.evaluate(&format!("{script};0"));
    let options = format!("{{ resultTypes: ['violations']{rules} }}");
    let found = page.evaluate(&format!(
        "axe.run(document, {options}).then(found => found.violations.map(of =>
           of.nodes.slice(0, 5).map(node => of.id + ' ' + node.target.join(' ') + ': ' +
             node.failureSummary.replace(/\\s+/g, ' ').slice(0, 300)).join('\\n')).join('\\n'))",
    ));
    match found {
        Value::String(text) => text,
        other => panic!("axe-core gave {other}"),
    }
}
