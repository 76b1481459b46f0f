use std::io::{Read, Write};

use fuseline_artifact::Report;
use fuseline_host::PluginLibrary;
use fuseline_workflow::{Arity, InputPort, OptionsSchema, Role};

use super::*;
use crate::files::FileDigests;

/// Result of `read` on a file with these bytes, which was keyed with others when they are given.
fn through(
    bytes: &[u8],
    keyed: Option<&[u8]>,
    read: impl FnOnce(File, &Path) -> Result<String, StageError>,
) -> Result<String, StageError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source");
    std::fs::write(&path, bytes).unwrap();
    let plugins = PluginLibrary::new(Vec::new());
    let services = Services {
        plugins,
        isolation: None,
        files: FileDigests::default(),
        shared: Default::default(),
    };
    let keyed = Digest::hash(keyed.unwrap_or(bytes));
    let inputs = InputsBuilder::new(&services, 1).files(vec![(path.clone(), keyed)]).build();
    inputs.through_file(&path, |file| read(file, &path))
}

fn all(mut file: File, _: &Path) -> Result<String, StageError> {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    Ok(text)
}

#[test]
fn what_is_made_of_a_file_counts_only_when_its_bytes_are_those_that_were_keyed() {
    assert_eq!(through(b"rows", None, all).unwrap(), "rows");
    assert_eq!(through(b"rows", None, |_, _| Ok("some".to_owned())).unwrap(), "some");
    let error = through(b"rows", Some(b"other rows"), all).unwrap_err();
    assert!(error.message.ends_with("changed while the run was under way"), "{}", error.message);
    // That somebody writes to it explains more than what was read of it meanwhile.
    let error = through(b"rows", None, |_, path| {
        File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
        Err(StageError::data("half a row"))
    });
    let error = error.unwrap_err();
    assert!(error.message.ends_with("changed while the run was under way"), "{}", error.message);
    let error = through(b"rows", None, |_, _| Err(StageError::data("no rows"))).unwrap_err();
    assert_eq!(error.message, "no rows");
}

#[test]
fn an_input_that_the_kind_does_not_read_is_an_error_and_not_an_empty_one() {
    let port = |name: &str, read| InputPort {
        name: name.to_owned(),
        artifact: "report".to_owned(),
        arity: Arity::Many,
        required: false,
        read,
        role: Role::Neutral,
        doc: String::new(),
    };
    let mut spec = KindSpec {
        name: "test.reads".to_owned(),
        revision: 1,
        summary: String::new(),
        inputs: vec![port("read", true), port("unread", false)],
        outputs: Vec::new().into(),
        options: OptionsSchema::from_fn(|| serde_json::Value::Null),
        declared_ports: false,
    };
    let plugins = PluginLibrary::new(Vec::new());
    let services = Services {
        plugins,
        isolation: None,
        files: FileDigests::default(),
        shared: Default::default(),
    };
    let asked = |spec: &KindSpec, port: &str| {
        let inputs = InputsBuilder::new(&services, 1).ports_of(spec).build();
        let (one, many) = (inputs.optional::<Report>(port), inputs.many::<Report>(port));
        assert_eq!(one.is_ok(), many.is_ok());
        one.map(|found| found.is_some()).map_err(|error| error.message)
    };
    assert_eq!(asked(&spec, "read"), Ok(false));
    for port in ["unread", "other"] {
        let message = format!("the stage asks for the input {port}, which its kind does not read");
        assert_eq!(asked(&spec, port), Err(message));
    }
    spec.declared_ports = true;
    assert_eq!(asked(&spec, "other"), Ok(false), "its stages declare their own");
}
