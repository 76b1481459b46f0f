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
