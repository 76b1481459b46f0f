//! Rules as Python wheels: one file that `pip install` puts where the command looks for rules.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fuseline_host::{Descriptor, PluginFile, PluginForm};
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::deliver;
use crate::error::Error;

/// The oldest C library that a wheel names: that of manylinux2014.
const OLDEST_GLIBC: (u16, u16) = (2, 17);

/// Libraries that every system has that takes manylinux wheels (PEP 600, for what rules link to).
const SYSTEM_LIBRARIES: [&str; 10] = [
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// Writes the wheel of a rule into a folder; equal files give equal bytes. Gives its path.
///
/// The rule stands under `share/fuseline/rules`, a script in a folder of its own there, where the
/// command looks in the environment that the wheel is installed in. The tag is true: the platform
/// and the C library that the file needs.
/// Errors when it needs libraries that not every system has, and when its version is none that
/// Python knows.
pub fn rule_wheel(
    file: &PluginFile,
    descriptor: &Descriptor,
    folder: &Path,
) -> Result<PathBuf, Error> {
    let unreadable = |error: std::io::Error| {
        Error::failed(format!("cannot read {}: {error}", file.path.display()))
    };
    // A name of a distribution, in which a hyphen would part it from its version.
    let name = file.short_name().replace('-', "_");
    let version = python_version(&descriptor.version)?;
    let parts = file.parts().map_err(unreadable)?;
    let tag = match file.form {
        PluginForm::Script => "py3-none-any".to_owned(),
        PluginForm::Library => format!("py3-none-{}", platform(file, &parts)?),
    };
    let dist = format!("{name}-{version}.dist-info");
    let mut data = format!("{name}-{version}.data/data/share/fuseline/rules");
    if file.form == PluginForm::Script {
        // Two of them may bring a file of one name, and each its own version of it.
        data = format!("{data}/{name}");
    }
    let mut wheel = Wheel::new();
    for (at, bytes) in &parts {
        wheel.add(&format!("{data}/{}", at.display()), bytes, 0o755)?;
    }
    let requires = match file.form {
        PluginForm::Script => "Requires-Dist: numpy\n",
        PluginForm::Library => "",
    };
    let metadata = format!(
        "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {}\nLicense: \
         {}\n{requires}\n{}, a fusion rule for fuseline: `rule: {}`.\n",
        one_line(&descriptor.summary),
        one_line(&descriptor.licence),
        one_line(&descriptor.name),
        descriptor.id,
    );
    wheel.add(&format!("{dist}/METADATA"), metadata.as_bytes(), 0o644)?;
    let said = format!(
        "Wheel-Version: 1.0\nGenerator: fuseline\nRoot-Is-Purelib: {}\nTag: {tag}\n",
        file.form == PluginForm::Script
    );
    wheel.add(&format!("{dist}/WHEEL"), said.as_bytes(), 0o644)?;
    let bytes = wheel.finish(&format!("{dist}/RECORD"))?;
    let path = folder.join(format!("{name}-{version}-{tag}.whl"));
    deliver::bytes(&path, &bytes)?;
    Ok(path)
}

/// A version as Python writes it: digits between dots, with a pre-release of semantic versions as
/// one.
fn python_version(version: &str) -> Result<String, Error> {
    let refused = || {
        Error::request(format!("{version} is no version that Python packages can have"))
            .with_hint("give the rule a version such as 1.0.0 or 1.0.0-rc.1".to_owned())
    };
    let (release, before) = version.split_once('-').unwrap_or((version, ""));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !release.split('.').all(digits) {
        return Err(refused());
    }
    if before.is_empty() {
        return Ok(release.to_owned());
    }
    let (word, number) = before.split_once('.').unwrap_or((before, "0"));
    let short = match word {
        "alpha" | "a" => "a",
        "beta" | "b" => "b",
        "rc" => "rc",
        _ => return Err(refused()),
    };
    if digits(number) { Ok(format!("{release}{short}{number}")) } else { Err(refused()) }
}

/// The platform tag of a library, read from it.
fn platform(file: &PluginFile, parts: &[(PathBuf, Vec<u8>)]) -> Result<String, Error> {
    let architecture = std::env::consts::ARCH;
    if cfg!(target_os = "macos") {
        let architecture = if architecture == "aarch64" { "arm64" } else { architecture };
        return Ok(format!("macosx_11_0_{architecture}"));
    }
    let bytes = parts.first().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
    let needs = fuseline_host::library_needs(bytes).map_err(|reason| {
        Error::failed(format!("cannot tell what {} needs: {reason}", file.path.display()))
    })?;
    let others: Vec<&str> = needs
        .libraries
        .iter()
        .map(String::as_str)
        .filter(|name| !SYSTEM_LIBRARIES.contains(name))
        .collect();
    if !others.is_empty() {
        return Err(Error::request(format!(
            "{} needs {}, which not every system has",
            file.path.display(),
            others.join(", ")
        ))
        .with_hint("link them statically, or give the rule away as source".to_owned()));
    }
    let (major, minor) = needs.glibc.unwrap_or(OLDEST_GLIBC).max(OLDEST_GLIBC);
    Ok(format!("manylinux_{major}_{minor}_{architecture}"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A wheel that is being written.
struct Wheel {
    zip: ZipWriter<Cursor<Vec<u8>>>,
    /// Each file with the digest of its content and its length.
    record: String,
}

impl Wheel {
    fn new() -> Self {
        Self { zip: ZipWriter::new(Cursor::new(Vec::new())), record: String::new() }
    }

    fn add(&mut self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
        self.record += &format!("{name},sha256={digest},{}\n", bytes.len());
        self.put(name, bytes, mode)
    }

    /// Without a clock: the first moment that zip knows.
    fn put(&mut self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(mode);
        self.zip.start_file(name, options).map_err(Error::failed)?;
        self.zip.write_all(bytes).map_err(Error::failed)
    }

    fn finish(mut self, record: &str) -> Result<Vec<u8>, Error> {
        self.record += &format!("{record},,\n");
        let text = std::mem::take(&mut self.record);
        self.put(record, text.as_bytes(), 0o644)?;
        Ok(self.zip.finish().map_err(Error::failed)?.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_stands_in_a_folder_of_its_own_with_the_kit_that_it_imports() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let file = PluginFile::read(&root.join("plugins/examples/python/forest.py")).unwrap();
        let descriptor = serde_json::json!({
            "id": file.id, "name": "forest", "version": "1.0.0", "licence": "MIT",
            "summary": "a forest", "params": {},
            "limits": { "modalities": 8, "classes": 20 },
            "capabilities": { "uses_quality": true, "row_independent": true,
                "accepts_missing": true, "accepts_embeddings": false },
        });
        let descriptor = serde_json::from_value(descriptor).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let wheel = rule_wheel(&file, &descriptor, folder.path()).unwrap();
        assert!(wheel.ends_with("forest-1.0.0-py3-none-any.whl"), "{}", wheel.display());
        let zip = zip::ZipArchive::new(std::fs::File::open(&wheel).unwrap()).unwrap();
        for name in ["forest.py", "fuseline_rule.py"] {
            let path = format!("forest-1.0.0.data/data/share/fuseline/rules/forest/{name}");
            assert!(zip.file_names().any(|found| found == path), "{path}");
        }
    }

    #[test]
    fn versions_are_those_of_python() {
        let of = |version| python_version(version).unwrap();
        assert_eq!(
            ["1.0.0", "0.2", "1.0.0-rc.1", "2.0.0-alpha"].map(of),
            ["1.0.0", "0.2", "1.0.0rc1", "2.0.0a0"]
        );
        for wrong in ["", "one", "1..0", "1.0-nightly", "1.0.0-rc.x"] {
            assert!(python_version(wrong).is_err(), "{wrong}");
        }
    }
}
