use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn key() -> ActionKey {
    ActionKey::from(Digest::hash(b"key"))
}

fn record() -> ActionRecord {
    ActionRecord {
        outputs: vec![
            OutputRecord {
                port: "main".to_owned(),
                kind: "evidence".to_owned(),
                digest: Digest::hash(b"object"),
                size: 6,
                media_type: None,
            },
            OutputRecord {
                port: "page".to_owned(),
                kind: "report".to_owned(),
                digest: Digest::hash(b"page"),
                size: 1 << 40,
                media_type: Some("text/html".to_owned()),
            },
        ],
        key_text: vec![
            ("with.seed".to_owned(), "1".to_owned()),
            ("größe".to_owned(), String::new()),
        ],
        seconds: 0.25,
    }
}

#[test]
fn a_record_comes_back_as_it_was() {
    for record in [record(), ActionRecord::default()] {
        assert_eq!(ActionRecord::decode(&key(), &record.encode(&key())), Ok(record));
    }
}

#[test]
fn a_record_keeps_its_bytes_from_version_to_version() {
    assert_eq!(
        Digest::hash(record().encode(&key())).to_string(),
        "f225e780866420e76b4da5ff5e2d1d98b1aecad7eddaf321ddb5e6c65f70cf5e",
        "a change of the encoding needs a new format of the cache"
    );
}

#[test]
fn a_record_under_another_key_is_refused() {
    let other = ActionKey::from(Digest::hash(b"other"));
    assert_eq!(ActionRecord::decode(&other, &record().encode(&key())), Err(BadRecord::Checksum));
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_record_is_found() {
    let bytes = record().encode(&key());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(ActionRecord::decode(&key(), &flipped).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(ActionRecord::decode(&key(), &bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = [&bytes[..], b"\0"].concat();
    assert!(ActionRecord::decode(&key(), &longer).is_err());
}

/// Bytes with a right checksum, so that the checks behind it are reached.
fn sealed(body: &[u8]) -> Vec<u8> {
    let body = [MAGIC, body].concat();
    let checksum = checksum(&key(), &body);
    [&body[..], &checksum].concat()
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = ActionRecord::decode(&key(), &bytes);
        let _ = ActionRecord::decode(&key(), &sealed(&bytes));
    }

    #[test]
    fn a_false_length_is_an_error_and_reserves_nothing(at in 0usize..200, length in any::<u64>()) {
        let whole = record().encode(&key());
        let mut body = whole[MAGIC.len()..whole.len() - CHECKSUM].to_vec();
        let at = at.min(body.len() - 8);
        body[at..at + 8].copy_from_slice(&length.to_le_bytes());
        // A record that can still be read must be the one that was written: one record, one
        // encoding.
        if let Ok(read) = ActionRecord::decode(&key(), &sealed(&body)) {
            prop_assert_eq!(&read.encode(&key())[MAGIC.len()..whole.len() - CHECKSUM], &body[..]);
        }
    }

    #[test]
    fn any_record_comes_back(fields in vec((".*", ".*"), 0..8), seconds in -1e9f64..1e9, size in any::<u64>()) {
        let outputs = fields.iter().map(|(port, kind)| OutputRecord {
            port: port.clone(),
            kind: kind.clone(),
            digest: Digest::hash(port),
            size,
            media_type: (!kind.is_empty()).then(|| kind.clone()),
        });
        let record = ActionRecord { outputs: outputs.collect(), key_text: fields.clone(), seconds };
        prop_assert_eq!(ActionRecord::decode(&key(), &record.encode(&key())), Ok(record));
    }
}
