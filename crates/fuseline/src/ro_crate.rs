//! The metadata of a run as a Research Object Crate, RO-Crate 1.1 with the profiles of Workflow Run
//! Crate 0.5, Provenance Run Crate among them.

mod tool_runs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fuseline_artifact::Digest;
use fuseline_cache::Cache;
use fuseline_engine::{FileRead, Manifest, PythonEnvironment};
use serde_json::{Value, json};

use crate::error::Error;
use crate::report::machine_in_words;
use crate::run_context::RunContext;
use crate::run_graph::RunGraph;
use tool_runs::{Context, engine_run, tool_runs, usage};

/// The file that says what the crate is about.
pub const README: &str = "README.md";

/// The vocabularies of RO-Crate and of Workflow Run Crate.
const CONTEXT: [&str; 2] =
    ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"];
const WORKFLOW_CRATE: &str = "https://w3id.org/workflowhub/workflow-ro-crate/1.0";
/// The profiles that the crate follows, with their names and versions.
const PROFILES: [(&str, &str, &str); 4] = [
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    (WORKFLOW_CRATE, "Workflow RO-Crate", "1.0"),
];
const BIOSCHEMAS: &str = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE";
const FUSELINE: &str = "#fuseline";
const LANGUAGE: &str = "#workflow-language";

/// Statements of a deposit about itself, which no run records.
#[derive(Debug, Clone, Default)]
pub struct DepositOptions {
    /// The licence: an address, or words.
    pub license: Option<String>,
    /// The person who ran it: a name, the address of an ORCID record, or `NAME <ADDRESS>`.
    pub author: Option<String>,
}

/// The text of `ro-crate-metadata.json`. `manifest`: without the folders of the machine. `files`:
/// what the crate holds, with sizes in bytes.
pub fn metadata(
    cache: &Cache,
    manifest: &Manifest,
    context: &RunContext,
    about_deposit: &DepositOptions,
    files: &[(PathBuf, u64)],
) -> Result<String, Error> {
    let license = about_deposit.license.as_deref();
    let author = about_deposit.author.as_deref().map(person);
    let graph_of_run = RunGraph::read(cache, &manifest.run)?.unwrap_or_default();
    let read: Vec<Value> = manifest.files.iter().enumerate().map(file_read).collect();
    let mut files_read: BTreeMap<Digest, Value> = BTreeMap::new();
    for (file, entity) in manifest.files.iter().zip(&read) {
        files_read.entry(file.digest).or_insert_with(|| entity.clone());
    }
    let mut delivered: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    for output in &context.outputs {
        let path = id(&Path::new("outputs").join(&output.file));
        delivered.entry(output.digest).or_default().push(path);
    }
    let runs = tool_runs(&Context {
        cache,
        run: manifest,
        graph: &graph_of_run,
        agent: author.as_ref(),
        delivered: &delivered,
        files_read: &files_read,
    });
    let output_parameters: Vec<Value> = context
        .outputs
        .iter()
        .map(|output| {
            json!({
                "@id": format!("#output-{}", escaped(&output.file)),
                "@type": "FormalParameter",
                "name": output.file,
                "additionalType": "File",
            })
        })
        .collect();
    let workflow = context
        .texts
        .first()
        .map(|(name, _)| id(&Path::new("workflow").join(name)))
        .ok_or_else(|| Error::failed("the run's context holds no workflow"))?;
    let ended = instant(manifest.started_at, (manifest.seconds * 1000.0).ceil() as u64);
    let params: Vec<Value> =
        manifest.params.iter().map(|(name, value)| parameter(name, value)).collect();
    let formal: Vec<Value> = manifest.params.keys().map(|name| formal_parameter(name)).collect();
    let interpreters = manifest.environment.python.iter().enumerate().map(interpreter);
    let plugins: Vec<Value> = manifest.plugins.iter().map(plugin).chain(interpreters).collect();
    let parts = files.iter().map(|(path, _)| json!({ "@id": id(path) }));
    let results = files.iter().filter(|(path, _)| !path.starts_with("workflow"));
    let results = results.map(|(path, _)| json!({ "@id": id(path) }));
    let mut used = vec![usage("#run-wall", "wall-time", manifest.seconds, "SEC")];
    if let Some(bytes) = manifest.peak_memory {
        used.push(usage("#run-memory", "peak-memory", bytes, "BYTE"));
    }
    let about = context
        .provenance
        .description
        .clone()
        .unwrap_or_else(|| format!("Results of the fuseline workflow {}", manifest.workflow));
    let mentions = [json!({ "@id": "#run" }), json!({ "@id": "#engine-run" })];
    let mentions: Vec<Value> = mentions.into_iter().chain(runs.actions.iter().cloned()).collect();
    let mut graph = vec![
        json!({
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": [
                { "@id": "https://w3id.org/ro/crate/1.1" },
                { "@id": WORKFLOW_CRATE },
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
            "mentions": mentions,
        }),
        json!({
            "@id": workflow,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": manifest.workflow,
            "description": about,
            "conformsTo": { "@id": BIOSCHEMAS },
            "encodingFormat": "application/yaml",
            "version": manifest.workflow_digest.to_string(),
            "programmingLanguage": { "@id": LANGUAGE },
            "license": license_of(license),
            "input": formal.iter().map(reference).collect::<Vec<_>>(),
            "output": output_parameters.iter().map(reference).collect::<Vec<_>>(),
            "hasPart": runs.tools,
            "step": runs.steps,
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
            "description": format!(
                "{} actions: {} executed, {} cached; seed {}",
                manifest.actions.len(),
                manifest.count("done"),
                manifest.count("cached"),
                manifest.seed
            ),
            "startTime": instant(manifest.started_at, 0),
            "endTime": ended,
            "actionStatus": status(manifest.status == "ok"),
            "instrument": { "@id": workflow },
            "object": params.iter().chain(&read).map(reference).collect::<Vec<_>>(),
            "result": results.collect::<Vec<_>>(),
            "resourceUsage": used.iter().map(reference).collect::<Vec<_>>(),
        }),
        engine_run(manifest, &runs, author.as_ref(), &ended),
    ];
    if let Some(author) = &author {
        for id in ["./", "#run"] {
            let property = if id == "./" { "author" } else { "agent" };
            if let Some(entity) = graph.iter_mut().find(|entity| entity["@id"] == id) {
                entity[property] = reference(author);
            }
        }
    }
    if let Some(machine) = &manifest.machine
        && let Some(engine) = graph.iter_mut().find(|entity| entity["@id"] == FUSELINE)
    {
        engine["operatingSystem"] = machine.system.clone().into();
        engine["processorRequirements"] = machine_in_words(machine).into();
    }
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
    graph.extend(others.map(|(path, size)| {
        let mut entity = file(path, *size);
        if let Ok(output) = path.strip_prefix("outputs") {
            let output = escaped(&output.display().to_string());
            entity["exampleOfWork"] = json!({ "@id": format!("#output-{output}") });
        }
        entity
    }));
    graph.extend(author);
    graph.extend(params);
    graph.extend(formal);
    graph.extend(plugins);
    graph.extend(read);
    graph.extend(used);
    graph.extend(output_parameters);
    graph.extend(runs.entities);
    let text = json!({ "@context": CONTEXT, "@graph": graph });
    Ok(format!("{text:#}\n"))
}

fn reference(entity: &Value) -> Value {
    json!({ "@id": entity["@id"] })
}

fn parameter(name: &str, value: &Value) -> Value {
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    json!({
        "@id": format!("#value-{}", escaped(name)),
        "@type": "PropertyValue",
        "name": name,
        "value": value,
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

fn plugin((id, digest): &(String, Digest)) -> Value {
    json!({
        "@id": format!("#plugin-{}", escaped(id)),
        "@type": "SoftwareApplication",
        "name": id,
        "description": "A fusion rule, loaded as a plugin",
        "identifier": format!("blake3:{digest}"),
        "softwareVersion": digest.to_string(),
    })
}

/// An interpreter of Python rules and programs.
fn interpreter((number, python): (usize, &PythonEnvironment)) -> Value {
    let mut entity = json!({
        "@id": format!("#python-{number}"),
        "@type": "SoftwareApplication",
        "name": python.program,
        "description": "An interpreter of Python rules and programs",
    });
    if let Some(version) = &python.version {
        entity["softwareVersion"] = version.clone().into();
    }
    entity
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

/// A file that was read, which is not part of the crate: its name and its content's digest.
fn file_read((number, file): (usize, &FileRead)) -> Value {
    let mut entity = json!({
        "@id": format!("#file-{number}"),
        "@type": "CreativeWork",
        "name": file.portable_name(),
        "description": format!("A file that the run read ({})", file.role.name()),
        "identifier": format!("blake3:{}", file.digest),
    });
    if let Some(size) = file.size {
        entity["size"] = size.to_string().into();
    }
    entity
}

/// The person who ran it, as `NAME`, as an address, or as `NAME <ADDRESS>`.
fn person(text: &str) -> Value {
    let (name, address) = match text.trim().strip_suffix('>').and_then(|text| text.split_once('<'))
    {
        Some((name, address)) => (name.trim(), Some(address.trim())),
        None => (text.trim(), Some(text.trim()).filter(|text| is_url(text))),
    };
    let address = address.filter(|address| is_url(address));
    json!({ "@id": address.unwrap_or("#author"), "@type": "Person", "name": name })
}

/// The status of an action that ended well, or did not.
fn status(is_ok: bool) -> Value {
    let name = if is_ok { "CompletedActionStatus" } else { "FailedActionStatus" };
    json!({ "@id": format!("http://schema.org/{name}") })
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

/// A time as ISO 8601 writes it: seconds since 1970, and milliseconds after that.
fn instant(seconds: u64, milliseconds: u64) -> String {
    let text = crate::utc_text(seconds.saturating_add(milliseconds / 1000)).replace(' ', "T");
    text.replace('Z', &format!(".{:03}Z", milliseconds % 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest of nothing.
    pub fn manifest() -> Manifest {
        let text = json!({
            "format": 2, "run": "1", "status": "ok", "started_at": 0, "seconds": 1.0,
            "peak_memory": null, "fuseline_version": "0.1.0", "workflow": "w",
            "workflow_digest": Digest::hash("w").to_string(), "params": {}, "seed": 1,
            "plugins": [], "stages": [], "actions": [],
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_person_is_named_by_words_an_address_or_both() {
        let of = |text: &str| {
            let person = person(text);
            (person["name"].clone(), person["@id"].clone())
        };
        let orcid = "https://orcid.org/0000-0002-1825-0097";
        assert_eq!(of("J. Carberry"), ("J. Carberry".into(), "#author".into()));
        assert_eq!(of(orcid), (orcid.into(), orcid.into()));
        assert_eq!(of(&format!("J. Carberry <{orcid}>")), ("J. Carberry".into(), orcid.into()));
    }

    #[test]
    fn identifiers_of_files_are_addresses() {
        assert_eq!(id(Path::new("outputs/a b/ä.csv")), "outputs/a%20b/%C3%A4.csv");
        assert_eq!(instant(951_782_399, 0), "2000-02-28T23:59:59.000Z");
        assert_eq!(instant(951_782_398, 1_027), "2000-02-28T23:59:59.027Z");
    }
}
