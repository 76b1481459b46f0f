//! The metadata of a run as a Research Object Crate, RO-Crate 1.1 with the profiles of Workflow Run
//! Crate 0.5.

use std::path::{Path, PathBuf};

use fuseline_engine::Manifest;
use serde_json::{Value, json};

use crate::error::Error;
use crate::run_context::RunContext;

/// The file that says what the crate is about.
pub const README: &str = "README.md";

const CONTEXT: &str = "https://w3id.org/ro/crate/1.1/context";
/// The profiles that the crate follows, with their names and versions.
const PROFILES: [(&str, &str, &str); 3] = [
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"),
];
const BIOSCHEMAS: &str = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE";
const FUSELINE: &str = "#fuseline";
const LANGUAGE: &str = "#workflow-language";

/// The text of `ro-crate-metadata.json`. `files`: what the crate holds, with sizes in bytes.
pub fn metadata(
    manifest: &Manifest,
    context: &RunContext,
    license: Option<&str>,
    files: &[(PathBuf, u64)],
) -> Result<String, Error> {
    let workflow = context
        .texts
        .first()
        .map(|(name, _)| id(&Path::new("workflow").join(name)))
        .ok_or_else(|| Error::failed("the run's context holds no workflow"))?;
    let ended = stamp(manifest.started_at + manifest.seconds.ceil() as u64);
    let params: Vec<Value> =
        manifest.params.iter().map(|(name, value)| parameter(name, value)).collect();
    let formal: Vec<Value> = manifest.params.keys().map(|name| formal_parameter(name)).collect();
    let plugins: Vec<Value> = manifest.plugins.iter().map(plugin).collect();
    let parts = files.iter().map(|(path, _)| json!({ "@id": id(path) }));
    let results = files.iter().filter(|(path, _)| !path.starts_with("workflow"));
    let results = results.map(|(path, _)| json!({ "@id": id(path) }));
    let about = context
        .provenance
        .description
        .clone()
        .unwrap_or_else(|| format!("Results of the fuseline workflow {}", manifest.workflow));
    let mut graph = vec![
        json!({
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": [
                { "@id": "https://w3id.org/ro/crate/1.1" },
                { "@id": PROFILES[2].0 },
            ],
            "about": { "@id": "./" },
        }),
        json!({
            "@id": "./",
            "@type": "Dataset",
            "name": format!("{}, run {}", manifest.workflow, manifest.run),
            "description": about,
            "datePublished": ended,
            "license": license_of(license),
            "conformsTo": PROFILES.map(|(profile, ..)| json!({ "@id": profile })),
            "mainEntity": { "@id": workflow },
            "hasPart": parts.collect::<Vec<_>>(),
            "mentions": { "@id": "#run" },
        }),
        json!({
            "@id": workflow,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
            "name": manifest.workflow,
            "description": about,
            "conformsTo": { "@id": BIOSCHEMAS },
            "encodingFormat": "application/yaml",
            "version": manifest.workflow_digest.to_string(),
            "programmingLanguage": { "@id": LANGUAGE },
            "license": license_of(license),
            "input": formal.iter().map(reference).collect::<Vec<_>>(),
        }),
        json!({
            "@id": LANGUAGE,
            "@type": "ComputerLanguage",
            "name": "fuseline workflow language",
            "alternateName": "fuseline",
            "version": "1",
            "url": { "@id": "https://yaml.org/spec/1.2.2/" },
        }),
        json!({
            "@id": FUSELINE,
            "@type": "SoftwareApplication",
            "name": "fuseline",
            "softwareVersion": manifest.fuseline_version,
            "softwareRequirements": plugins.iter().map(reference).collect::<Vec<_>>(),
        }),
        json!({
            "@id": "#run",
            "@type": "CreateAction",
            "name": format!("Run {} of {}", manifest.run, manifest.workflow),
            "description": format!("{} actions: {} executed, {} cached; seed {}",
                manifest.actions.len(), manifest.count("done"), manifest.count("cached"), manifest.seed),
            "startTime": stamp(manifest.started_at),
            "endTime": ended,
            "actionStatus": { "@id": match manifest.status.as_str() {
                "ok" => "http://schema.org/CompletedActionStatus",
                _ => "http://schema.org/FailedActionStatus",
            }},
            "instrument": { "@id": workflow },
            "object": params.iter().map(reference).collect::<Vec<_>>(),
            "result": results.collect::<Vec<_>>(),
        }),
    ];
    if let Some(url) = license.filter(|license| is_url(license)) {
        graph.push(json!({
            "@id": url, "@type": "CreativeWork", "name": url, "description": "The licence of the \
                results",
        }));
    }
    graph.extend(PROFILES.map(|(profile, name, version)| {
        json!({ "@id": profile, "@type": "CreativeWork", "name": name, "version": version })
    }));
    let others = files.iter().filter(|(path, _)| id(path) != workflow);
    graph.extend(others.map(|(path, size)| file(path, *size)));
    graph.extend(params);
    graph.extend(formal);
    graph.extend(plugins);
    let text = json!({ "@context": CONTEXT, "@graph": graph });
    Ok(format!("{text:#}\n"))
}

fn reference(entity: &Value) -> Value {
    json!({ "@id": entity["@id"] })
}

fn parameter(name: &str, value: &Value) -> Value {
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    // The path of a folder on the machine of the run is private.
    let last = Path::new(&value).is_absolute().then(|| Path::new(&value).file_name()).flatten();
    json!({
        "@id": format!("#value-{}", escaped(name)),
        "@type": "PropertyValue",
        "name": name,
        "value": last.map_or(value.clone(), |last| last.to_string_lossy().into_owned()),
        "exampleOfWork": { "@id": format!("#param-{}", escaped(name)) },
    })
}

fn formal_parameter(name: &str) -> Value {
    json!({
        "@id": format!("#param-{}", escaped(name)),
        "@type": "FormalParameter",
        "name": name,
        "additionalType": "Text",
        "workExample": { "@id": format!("#value-{}", escaped(name)) },
    })
}

fn plugin((id, digest): &(String, fuseline_artifact::Digest)) -> Value {
    json!({
        "@id": format!("#plugin-{}", escaped(id)),
        "@type": "SoftwareApplication",
        "name": id,
        "description": "A fusion rule, loaded as a plugin",
        "identifier": format!("blake3:{digest}"),
        "softwareVersion": digest.to_string(),
    })
}

fn file(path: &Path, size: u64) -> Value {
    let shown = path.display().to_string();
    let (format, about) = match path.extension().and_then(|end| end.to_str()) {
        Some("html") => ("text/html", "The report"),
        Some("md") => ("text/markdown", "What was found, in words, and how"),
        Some("tex") => ("text/x-tex", "The findings as a LaTeX table, and the methods"),
        Some("svg") => ("image/svg+xml", "A figure of the report"),
        Some("pdf") => ("application/pdf", "A figure of the report"),
        Some("parquet") => ("application/vnd.apache.parquet", "A table"),
        Some("csv") => ("text/csv", "A table"),
        Some("yaml" | "yml") => ("application/yaml", "A part of the workflow"),
        Some("json") if shown == "manifest.json" => {
            ("application/json", "What the run did, action by action")
        }
        Some("json") => ("application/json", "A table"),
        _ => ("application/octet-stream", "An output of the workflow"),
    };
    let mut file = json!({
        "@id": id(path),
        "@type": "File",
        "name": shown,
        "description": about,
        "encodingFormat": format,
        "contentSize": size.to_string(),
    });
    if shown == README {
        file["about"] = json!({ "@id": "./" });
    }
    file
}

/// Without a licence nobody may use the results, and a deposit should say so.
fn license_of(license: Option<&str>) -> Value {
    match license {
        Some(url) if is_url(url) => json!({ "@id": url }),
        Some(text) => text.into(),
        None => "No licence is stated: ask the authors before reuse.".into(),
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// A path as the identifier of a file: relative, with slashes, escaped as in an address.
fn id(path: &Path) -> String {
    let parts = path.components().map(|part| escaped(&part.as_os_str().to_string_lossy()));
    parts.collect::<Vec<_>>().join("/")
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let bytes = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    bytes.collect()
}

/// A time as ISO 8601 writes it.
fn stamp(seconds: u64) -> String {
    crate::utc_text(seconds).replace(' ', "T")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_of_files_are_addresses() {
        assert_eq!(id(Path::new("outputs/a b/ä.csv")), "outputs/a%20b/%C3%A4.csv");
        assert_eq!(stamp(951_782_399), "2000-02-28T23:59:59Z");
    }
}
