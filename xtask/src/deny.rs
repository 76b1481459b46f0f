//! `cargo xtask deny`: licences, sources, bans and duplicate versions of all dependencies.
//!
//! It holds what `deny.toml` says, in the form of cargo-deny, which takes longer to build than all
//! the checks of a change take. Nobody is asked: cargo itself knows all of it, and the registry is
//! needed only for crates of other platforms that were never fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// The only source of dependencies.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The oldest Rust that the project promises to be built by.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A dependency, as `cargo metadata` tells of it.
struct Package {
    name: String,
    version: String,
    license: String,
    source: String,
    /// The oldest Rust that it is for, if it says.
    rust: String,
}

/// The rules of `deny.toml`.
struct Rules {
    licenses: BTreeSet<String>,
    /// Names of crates, each with the reason.
    banned: BTreeMap<String, String>,
    /// Older versions, as name@version.
    skipped: BTreeSet<String>,
}

/// Holds every dependency in the lock file against `deny.toml`; an error names all that is wrong.
pub fn check(root: &Path, mut cargo: Command) -> Result<(), Box<dyn Error>> {
    let rules = Rules::read(&std::fs::read_to_string(root.join("deny.toml"))?)?;
    let ran =
        cargo.args(["metadata", "--format-version", "1", "--all-features", "--locked"]).output()?;
    if !ran.status.success() {
        return Err(String::from_utf8_lossy(&ran.stderr).into_owned().into());
    }
    let packages = packages(&serde_json::from_slice(&ran.stdout)?);
    let mut wrong = rules.problems(&packages);
    wrong.extend(packages.iter().filter(|of| part(&of.rust) > part(OLDEST_RUST)).map(
        |Package { name, version, rust, .. }| {
            format!("{name} {version} needs Rust {rust}, and {OLDEST_RUST} is promised")
        },
    ));
    #[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
    {
        println!("{} dependencies, {} problems", packages.len(), wrong.len());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// The numbers of a version, for comparison.
fn part(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|number| number.parse().ok()).collect()
}

/// The packages that come from elsewhere.
fn packages(metadata: &Value) -> Vec<Package> {
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let all = metadata["packages"].as_array().into_iter().flatten();
    let foreign = all.filter(|package| !package["source"].is_null());
    foreign
        .map(|package| Package {
            name: text(package, "name"),
            version: text(package, "version"),
            license: text(package, "license"),
            source: text(package, "source"),
            rust: text(package, "rust_version"),
        })
        .collect()
}

impl Rules {
    fn read(text: &str) -> Result<Self, Box<dyn Error>> {
        let file = DeTable::parse(text)?;
        let (allowed, banned) =
            (list(file.get_ref(), "licenses", "allow")?, list(file.get_ref(), "bans", "deny")?);
        let names = texts(&banned, "crate")?.into_iter();
        Ok(Self {
            licenses: allowed.iter().filter_map(|of| of.as_str().map(str::to_owned)).collect(),
            banned: names.zip(texts(&banned, "reason")?).collect(),
            skipped: texts(&list(file.get_ref(), "bans", "skip")?, "crate")?.into_iter().collect(),
        })
    }

    fn problems(&self, packages: &[Package]) -> Vec<String> {
        let mut problems = Vec::new();
        let mut versions = BTreeMap::<&str, Vec<&str>>::new();
        for Package { name, version, license, source, .. } in packages {
            versions.entry(name).or_default().push(version);
            if source != REGISTRY {
                problems.push(format!("{name} {version} comes from {source}"));
            }
            if !self.allows(license) {
                problems.push(format!("{name} {version} has the licence {license:?}"));
            }
            if let Some(reason) = self.banned.get(name) {
                problems.push(format!("{name} is banned: {reason}"));
            }
        }
        let mut unused = self.skipped.clone();
        for (name, versions) in versions {
            let is_skipped = |version: &&&str| self.skipped.contains(&format!("{name}@{version}"));
            let skipped = versions.iter().filter(is_skipped).count();
            for version in &versions {
                unused.remove(&format!("{name}@{version}"));
            }
            if versions.len() - skipped > 1 {
                problems.push(format!("{name} is there in versions {}", versions.join(", ")));
            } else if skipped > 0 && versions.len() == skipped {
                problems
                    .push(format!("{name} is skipped in all versions: the last is no older one"));
            }
        }
        problems.extend(unused.iter().map(|skipped| format!("nobody asks for {skipped} any more")));
        problems
    }

    /// True if an SPDX expression can be satisfied by allowed licences. `/` is the old word for OR.
    fn allows(&self, expression: &str) -> bool {
        let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut words = words.as_slice();
        let is_allowed = self.any_of(&mut words);
        is_allowed && words.is_empty()
    }

    /// The value of alternatives at the head of the words, which are consumed.
    fn any_of(&self, words: &mut &[&str]) -> bool {
        let mut is_allowed = self.all_of(words);
        while let ["OR", rest @ ..] = *words {
            *words = rest;
            is_allowed |= self.all_of(words);
        }
        is_allowed
    }

    fn all_of(&self, words: &mut &[&str]) -> bool {
        let mut is_allowed = self.one(words);
        while let ["AND", rest @ ..] = *words {
            *words = rest;
            is_allowed &= self.one(words);
        }
        is_allowed
    }

    fn one(&self, words: &mut &[&str]) -> bool {
        match *words {
            ["(", rest @ ..] => {
                *words = rest;
                let is_allowed = self.any_of(words);
                if let [")", rest @ ..] = *words {
                    *words = rest;
                    return is_allowed;
                }
                false
            }
            [license, "WITH", exception, rest @ ..] => {
                *words = rest;
                self.licenses.contains(&format!("{license} WITH {exception}"))
            }
            [license, rest @ ..] => {
                *words = rest;
                self.licenses.contains(*license)
            }
            [] => false,
        }
    }
}

/// The items of a list in a section.
fn list<'t, 'i>(
    file: &'t DeTable<'i>,
    section: &str,
    key: &str,
) -> Result<Vec<&'t DeValue<'i>>, String> {
    let table = entry(file, section).and_then(DeValue::as_table);
    let list = table.and_then(|table| entry(table, key)).and_then(DeValue::as_array);
    let list = list.ok_or_else(|| format!("deny.toml has no list {section}.{key}"))?;
    Ok(list.iter().map(|item| item.get_ref()).collect())
}

/// The text of one key of each item.
fn texts(items: &[&DeValue<'_>], key: &str) -> Result<Vec<String>, String> {
    let text = |item: &&DeValue<'_>| {
        let text = item.as_table().and_then(|table| entry(table, key)?.as_str());
        text.map(str::to_owned).ok_or_else(|| format!("an entry of deny.toml has no {key}"))
    };
    items.iter().map(text).collect()
}

fn entry<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t DeValue<'i>> {
    let found = table.iter().find(|(name, _)| **name.get_ref() == *key);
    found.map(|(_, value)| value.get_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let text = r#"
            [licenses]
            allow = ["MIT", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"]
            [bans]
            deny = [{ crate = "left-pad", reason = "three lines" }]
            skip = [{ crate = "old@1.0.0", reason = "someone" }]
        "#;
        Rules::read(text).unwrap()
    }

    fn package(name: &str, version: &str, license: &str) -> Package {
        let [name, version, license, source] =
            [name, version, license, REGISTRY].map(str::to_owned);
        Package { name, version, license, source, rust: String::new() }
    }

    #[test]
    fn an_expression_of_licences_is_read_as_spdx_means_it() {
        let rules = rules();
        for (expression, is_allowed) in [
            ("MIT", true),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0/MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("(GPL-3.0 OR MIT) AND Unicode-3.0", true),
            ("GPL-3.0 OR MIT AND GPL-2.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("(MIT", false),
            ("MIT)", false),
            ("", false),
        ] {
            assert_eq!(rules.allows(expression), is_allowed, "{expression}");
        }
    }

    #[test]
    fn bans_second_versions_and_skips_without_use_are_told() {
        let fine = [package("old", "1.0.0", "MIT"), package("old", "2.0.0", "MIT")];
        assert_eq!(rules().problems(&fine), [""; 0]);
        let wrong = [
            package("left-pad", "1.0.0", "MIT"),
            package("new", "1.0.0", "MIT"),
            package("new", "2.0.0", "GPL-3.0"),
        ];
        let expected = [
            "left-pad is banned: three lines",
            "new 2.0.0 has the licence \"GPL-3.0\"",
            "new is there in versions 1.0.0, 2.0.0",
            "nobody asks for old@1.0.0 any more",
        ];
        assert_eq!(rules().problems(&wrong), expected);
        let elsewhere =
            Package { source: "git+https://x".to_owned(), ..package("a", "1.0.0", "MIT") };
        let problems = rules().problems(&[elsewhere]);
        assert_eq!(problems[0], "a 1.0.0 comes from git+https://x");
    }
}
