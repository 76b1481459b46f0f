//! `fuseline.lock`: which plugins a study was made with.

use std::collections::BTreeMap;
use std::path::Path;

use fuseline_artifact::Digest;
use serde::{Deserialize, Serialize};

use crate::error::HostError;
use crate::library::{PluginFile, PluginForm};

/// The version of the file's layout.
const LAYOUT: u32 = 2;
/// The platform of a script, which is the same file everywhere.
const ANY_PLATFORM: &str = "any";

/// The plugins that may be used, by id, version and platform, each with the digest that its file
/// must have.
///
/// A rule that the lock does not name may be used as it is. One that it names for other platforms
/// alone may not: what it is here, nobody has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// Sorted.
    plugins: Vec<LockedPlugin>,
}

/// One plugin of a lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPlugin {
    /// Its id.
    pub id: String,
    /// Platform of its file, as `linux-x86_64`; `any` of a script, and in a lock of layout 1.
    pub platform: String,
    /// Version that it stated; empty in a lock of layout 1.
    pub version: String,
    /// Digest of its file.
    pub digest: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutOne {
    #[serde(rename = "fuseline_lock")]
    _layout: u32,
    plugins: BTreeMap<String, Digest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutTwo {
    #[serde(rename = "fuseline_lock")]
    _layout: u32,
    plugins: Vec<LockedPlugin>,
}

/// The platform that a file is for.
fn platform(file: &PluginFile) -> String {
    match file.form {
        PluginForm::Script => ANY_PLATFORM.to_owned(),
        PluginForm::Library => platform_here(),
    }
}

fn platform_here() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

impl Lock {
    /// The lock of these plugins, each with the version that it states; those that `before` pins
    /// for other platforms stay.
    pub fn pin<'f>(
        files: impl IntoIterator<Item = (&'f PluginFile, String)>,
        before: Option<Self>,
    ) -> Self {
        let here = [platform_here(), ANY_PLATFORM.to_owned()];
        let mut plugins = before.unwrap_or_default().plugins;
        plugins.retain(|of| !here.contains(&of.platform));
        plugins.extend(files.into_iter().map(|(file, version)| LockedPlugin {
            id: file.id.clone(),
            platform: platform(file),
            version,
            digest: file.digest,
        }));
        plugins.sort();
        plugins.dedup();
        Self { plugins }
    }

    /// Reads a lock file; none when there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>, HostError> {
        #[derive(Deserialize)]
        struct Layout {
            fuseline_lock: u32,
        }
        let unreadable = |reason: String| HostError::Unreadable { path: path.to_owned(), reason };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let damaged = |error: serde_json::Error| unreadable(error.to_string());
        let Layout { fuseline_lock: layout } = serde_json::from_str(&text).map_err(damaged)?;
        let mut plugins = match layout {
            1 => {
                let LayoutOne { plugins, .. } = serde_json::from_str(&text).map_err(damaged)?;
                let plugins = plugins.into_iter().map(|(id, digest)| LockedPlugin {
                    id,
                    platform: ANY_PLATFORM.to_owned(),
                    version: String::new(),
                    digest,
                });
                plugins.collect()
            }
            LAYOUT => {
                let LayoutTwo { plugins, .. } = serde_json::from_str(&text).map_err(damaged)?;
                plugins
            }
            other => return Err(unreadable(format!("its layout {other} is not {LAYOUT}"))),
        };
        plugins.sort();
        Ok(Some(Self { plugins }))
    }

    /// The text of the lock file: one line a plugin, sorted, so that a change is one line of a diff.
    pub fn text(&self) -> String {
        let lines: Vec<_> = self
            .plugins
            .iter()
            .map(|LockedPlugin { id, platform, version, digest }| {
                // Texts always serialise.
                let version = serde_json::to_string(version).unwrap_or_default();
                format!(
                    "    {{ \"id\": \"{id}\", \"platform\": \"{platform}\", \"version\": \
                     {version}, \"digest\": \"{digest}\" }}"
                )
            })
            .collect();
        format!(
            "{{\n  \"fuseline_lock\": {LAYOUT},\n  \"plugins\": [\n{}\n  ]\n}}\n",
            lines.join(",\n")
        )
    }

    /// An error when the lock names other digests for this plugin on its platform, or names it for
    /// other platforms alone.
    pub fn admits(&self, file: &PluginFile) -> Result<(), HostError> {
        let named: Vec<_> = self.plugins.iter().filter(|of| of.id == file.id).collect();
        let platform = platform(file);
        let mut here =
            named.iter().filter(|of| of.platform == platform || of.platform == ANY_PLATFORM);
        match (here.clone().any(|of| of.digest == file.digest), here.next_back()) {
            (true, _) => Ok(()),
            (false, Some(locked)) => Err(HostError::Locked {
                id: file.id.clone(),
                version: locked.version.clone(),
                path: file.path.clone(),
                locked: Box::new(locked.digest),
                found: file.digest,
            }),
            (false, None) if named.is_empty() => Ok(()),
            (false, None) => Err(HostError::LockedElsewhere {
                id: file.id.clone(),
                path: file.path.clone(),
                platform,
                platforms: named.iter().map(|of| of.platform.clone()).collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: &str, form: PluginForm, content: &str) -> PluginFile {
        let (path, digest) = ("/rules/case".into(), Digest::hash(content));
        PluginFile { path, id: id.to_owned(), abi: (1, 0), form, digest }
    }

    fn read(text: &str) -> Lock {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fuseline.lock");
        std::fs::write(&path, text).unwrap();
        Lock::read(&path).unwrap().unwrap()
    }

    #[test]
    fn a_lock_is_by_id_version_and_platform() {
        let one = file("org.a.one", PluginForm::Library, "here");
        let script = file("org.a.two", PluginForm::Script, "script");
        let pinned = Lock::pin([(&one, "1.0".to_owned()), (&script, "2.0".to_owned())], None);
        assert_eq!(read(&pinned.text()), pinned);
        pinned.admits(&one).unwrap();
        let error = pinned.admits(&file("org.a.one", PluginForm::Library, "other")).unwrap_err();
        assert!(error.to_string().contains("org.a.one 1.0 is locked"), "{error}");
        pinned.admits(&file("org.a.three", PluginForm::Library, "unnamed")).unwrap();

        // The same rule, pinned on another platform: it is unknown here until it is pinned, and
        // pinning it keeps what the other platform has.
        let elsewhere = pinned.text().replace(&platform_here(), "plan9-mips");
        let elsewhere = read(&elsewhere);
        let error = elsewhere.admits(&one).unwrap_err().to_string();
        assert!(error.contains("plan9-mips"), "{error}");
        elsewhere.admits(&script).unwrap();
        let both = Lock::pin([(&one, "1.1".to_owned())], Some(elsewhere));
        both.admits(&one).unwrap();
        assert_eq!(both.plugins.len(), 2, "the script is on this path no more: {both:?}");
        assert!(both.text().contains("plan9-mips"));
    }

    #[test]
    fn a_lock_of_the_first_layout_is_obeyed() {
        let one = file("org.a.one", PluginForm::Library, "here");
        let lock = |digest: Digest| {
            read(&format!(r#"{{"fuseline_lock": 1, "plugins": {{"org.a.one": "{digest}"}}}}"#))
        };
        lock(one.digest).admits(&one).unwrap();
        assert!(lock(Digest::hash("another")).admits(&one).is_err());
    }
}
