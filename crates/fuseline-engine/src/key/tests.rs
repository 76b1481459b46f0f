use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The written encoding, which other implementations follow.
const WRITTEN: &str = include_str!("../../../../docs/design/action-key.md");

/// The test vectors of the written encoding: fields and the key that they give.
fn vectors() -> Vec<(Vec<Field>, String)> {
    let (_, text) = WRITTEN.split_once("## Test vectors").expect("there is a section of vectors");
    let block = text.split("```").nth(1).expect("it has a block");
    let mut vectors = Vec::new();
    let mut fields = Vec::new();
    for line in block.lines().filter(|line| line.contains('=')) {
        let (name, value) = line.split_once('=').expect("a line is NAME=VALUE");
        if name == "key" {
            vectors.push((std::mem::take(&mut fields), value.to_owned()));
        } else {
            fields.push((name.to_owned(), value.to_owned()));
        }
    }
    assert!(fields.is_empty(), "every vector ends with its key");
    vectors
}

#[test]
fn the_written_vectors_are_what_the_code_computes() {
    let vectors = vectors();
    assert!(vectors.len() >= 4);
    for (fields, key) in vectors {
        assert_eq!(key_of(&fields).to_string(), key, "{fields:?}");
    }
}

#[test]
fn the_written_name_of_the_encoding_is_that_of_the_code() {
    let name = std::str::from_utf8(ENCODING).expect("it is text").trim_end();
    assert!(WRITTEN.contains(&format!("`{name}\\n`")));
}

/// All that is fed to the hasher for some fields.
fn encoding_of(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    fields.iter().for_each(|(name, value)| encode_field(&mut bytes, name, value));
    bytes
}

proptest! {
    // An encoding that can be read back in one way only cannot be that of two lists.
    #[test]
    fn no_two_lists_of_fields_have_one_encoding(fields in vec((".{0,12}", ".{0,12}"), 0..6)) {
        prop_assert_eq!(owned_fields(&encoding_of(&fields)), fields);
    }

    #[test]
    fn text_moved_from_one_field_to_the_next_changes_the_key(a in ".{0,6}", b in ".{1,6}", c in ".{0,6}") {
        let one = [(a.clone(), format!("{b}{c}"))];
        let other = [(format!("{a}{b}"), c)];
        prop_assert_ne!(key_of(&one), key_of(&other));
    }

    #[test]
    fn the_encoding_is_what_the_key_hashes(fields in vec((".{0,12}", ".{0,12}"), 0..6)) {
        let whole = [ENCODING, &encoding_of(&fields)].concat();
        prop_assert_eq!(key_of(&fields), ActionKey::from(Digest::hash(whole)));
    }
}

/// The fields of a key that `write` writes for a kind that takes a model, or for one that does not,
/// and the names of the files that it looked at.
fn written(takes_model: bool, write: impl Fn(&mut KeyWriter<'_>)) -> (Vec<Field>, Vec<PathBuf>) {
    let services = Services {
        plugins: fuseline_host::PluginLibrary::new(Vec::new()),
        isolation: None,
        files: Default::default(),
        shared: Default::default(),
    };
    let mut kind = Kind::new::<crate::leakage::tests::Says>();
    if takes_model {
        ArtifactKind::Model.name().clone_into(&mut kind.spec.inputs[0].artifact);
    }
    let passed = [("SET".to_owned(), Some("x".to_owned())), ("UNSET".to_owned(), None)].into();
    let old = b"of another key".to_vec();
    let mut writer = KeyWriter::new(&kind, &services, 7, &[], &passed, false, old);
    write(&mut writer);
    let part = writer.finish();
    (owned_fields(&part.bytes), part.files.into_iter().map(|(path, _)| path).collect())
}

fn field(name: &str, value: &str) -> Field {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_key_names_the_kind_its_revision_the_options_and_the_seed_and_nothing_of_a_key_before() {
    let (fields, _) = written(false, |key| {
        key.field("k", &[1, 2]);
        key.seed();
    });
    let all = [("kind", "test.says"), ("revision", "1"), ("with.k", "[1,2]"), ("seed", "7")];
    assert_eq!(fields, all.map(|(name, value)| field(name, value)));
}

#[test]
fn variables_count_where_a_rule_or_a_program_is_started_and_unset_is_no_value() {
    let variables = [field("env.SET", "is x"), field("env.UNSET", "not set")];
    assert_eq!(written(true, |_| {}).0[2..], variables);
    assert_eq!(written(false, |key| key.environment()).0[2..], variables);
    assert_eq!(written(false, |_| {}).0.len(), 2);
}

#[test]
fn files_in_texts_count_by_content_and_in_order_and_an_absent_one_is_remembered() {
    let folder = tempfile::tempdir().expect("there is a folder");
    let path = |name: &str| folder.path().join(name);
    for name in ["a", "b"] {
        std::fs::write(path(name), name).expect("it is written");
    }
    let (fields, mut files) = written(false, |key| {
        key.texts("args", &[path("a"), path("none"), path("b")]);
    });
    let names: Vec<_> = fields[2..5].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["with.args", "with.args.0", "with.args.1"]);
    assert_eq!(fields[3].1, ["file ", &Digest::hash(b"a").to_hex()].concat());
    files.sort();
    assert_eq!(files, [path("a"), path("b"), path("none")]);
}

#[test]
fn a_folder_of_data_counts_as_one_and_each_of_its_files_is_remembered() {
    let folder = tempfile::tempdir().expect("there is a folder");
    let file = folder.path().join("a.csv");
    std::fs::write(&file, "x").expect("it is written");
    let (fields, files) = written(false, |key| key.file_or_folder("path", folder.path()));
    assert_eq!(fields[2].0, "with.path");
    assert!(fields[2].1.starts_with("folder "));
    assert_eq!(files, [file.clone(), folder.path().to_owned()]);
    let (fields, _) = written(false, |key| key.file_or_folder("path", &file));
    assert!(fields[2].1.starts_with("file "));
}
