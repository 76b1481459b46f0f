use std::fs;
use std::io::Cursor;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::layout::with_end;
use crate::placement::Shelf;
use crate::tests::forms::{Harm, harm};
use crate::tests::{age, execute, is_cached, key, object_path, output_of, record_path};
use crate::{ActionRecord, GcOptions};

const LONG: Duration = Duration::from_secs(30 * 24 * 3600);

fn made(record: &ActionRecord) -> Vec<Made> {
    record.outputs.iter().map(|output| Made { digest: output.digest, size: output.size }).collect()
}

/// A cache with actions, and a workflow `w` whose index names them.
fn indexed(names: &[&str]) -> (TempDir, Cache) {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let index = names.iter().map(|name| (key(name), made(&execute(&cache, name).unwrap())));
    cache.write_index(Path::new("w"), &Index::default(), &index.collect(), &[], &[]).unwrap();
    (folder, cache)
}

fn no_grace() -> GcOptions {
    GcOptions { keep_runs: 0, grace: Duration::ZERO, ..GcOptions::default() }
}

#[test]
fn an_index_gives_what_the_records_say_and_knows_no_other_action() {
    let (_folder, cache) = indexed(&["a", "b", "c"]);
    let index = cache.index(Path::new("w"));
    for name in ["a", "b", "c"] {
        let record = cache.get_action(&key(name)).unwrap().unwrap();
        assert_eq!(index.get(&key(name)), Some(&made(&record)[..]), "{name}");
    }
    assert_eq!(index.get(&key("d")), None);
    assert!(cache.index(Path::new("another workflow")).is_empty());
}

#[test]
fn an_action_whose_object_is_missing_or_of_another_length_is_not_in_the_index() {
    let (_folder, cache) = indexed(&["a", "b", "c"]);
    fs::remove_file(object_path(&cache, "a")).unwrap();
    fs::write(object_path(&cache, "b"), "shorter").unwrap();
    let index = cache.index(Path::new("w"));
    assert_eq!(index.get(&key("a")), None);
    assert_eq!(index.get(&key("b")), None);
    assert!(index.get(&key("c")).is_some());
}

#[test]
fn many_objects_are_asked_for_on_several_threads_and_each_gets_its_own_answer() {
    let names: Vec<String> =
        (0..3 * FILES_FOR_A_THREAD).map(|number| format!("action {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_folder, cache) = indexed(&names);
    for name in names.iter().step_by(7) {
        harm(&cache, Shelf::Objects, &Digest::hash(output_of(name)), Harm::Remove);
    }
    let index = cache.index(Path::new("w"));
    for (number, name) in names.iter().enumerate() {
        assert_eq!(index.get(&key(name)).is_none(), number % 7 == 0, "{name}");
    }
}

/// The index and the attachment that a file of these bytes has, unless one is not sound.
fn decode(bytes: &[u8]) -> Option<(Index, Vec<u8>)> {
    let (index, mut attachment) = Index::decode(Box::new(Cursor::new(bytes.to_vec()))).unwrap()?;
    let mut attached = Vec::new();
    attachment.copy(0..attachment.size(), &mut attached).unwrap();
    attachment.is_sound().unwrap().then_some((index, attached))
}

#[test]
fn every_truncation_and_every_flipped_bit_of_an_index_is_found() {
    let (_folder, cache) = indexed(&["a", "b"]);
    let before = cache.index(Path::new("w"));
    let attachment = [Bytes::from_static(b"attached")];
    cache.write_index(Path::new("w"), &before, &before, b"note", &attachment).unwrap();
    let whole = fs::read(cache.index_path(Path::new("w"))).unwrap();
    assert!(decode(&whole).is_some());
    for length in 0..whole.len() {
        assert_eq!(decode(&whole[..length]), None, "cut to {length} bytes");
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(&bytes), None, "bit {bit}");
        fs::write(cache.index_path(Path::new("w")), &bytes).unwrap();
        assert_eq!(cache.damaged_indexes().unwrap().len(), 1, "bit {bit}");
    }
    fs::write(cache.index_path(Path::new("w")), &whole[..whole.len() / 2]).unwrap();
    assert!(cache.index(Path::new("w")).is_empty());
    fs::write(cache.index_path(Path::new("w")), &whole).unwrap();
    assert!(cache.damaged_indexes().unwrap().is_empty());
}

proptest! {
    #[test]
    fn reading_an_index_never_panics_and_what_was_written_comes_back(
        actions in proptest::collection::btree_map(any::<[u8; 32]>(), proptest::collection::vec((any::<[u8; 32]>(), any::<u64>()), 0..4), 0..20),
        garbage in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let index: Index = actions
            .into_iter()
            .map(|(key, outputs)| {
                let outputs = outputs.into_iter().map(|(digest, size)| Made { digest: digest.into(), size });
                (ActionKey::from(Digest::from(key)), outputs.collect())
            })
            .collect();
        for key in index.iter().map(|(key, _)| *key).collect::<Vec<_>>() {
            let at = index.entries.iter().position(|entry| entry.key == key);
            prop_assert_eq!(index.find(&key), at);
        }
        let (note, attachment) = (Bytes::from_static(b"note"), [Bytes::from(garbage.clone())]);
        let written = [index.encode(&note, &attachment), garbage.clone()].concat();
        prop_assert_eq!(decode(&written), Some((Index { note, ..index }, garbage.clone())));
        decode(&[MAGIC, &garbage].concat());
        // With right lengths before it and the right checksum behind it, so that what reads the
        // entries is reached.
        let lengths = [garbage.len() as u64, 0, 0].map(u64::to_le_bytes);
        let body = [MAGIC, lengths.as_flattened(), &[0; DIGEST], &garbage].concat();
        decode(&[&*body, Digest::hash(&body).as_bytes()].concat());
    }
}

#[test]
fn what_a_run_found_in_the_index_is_not_collected_while_it_lives() {
    let (folder, cache) = indexed(&["a", "b"]);
    execute(&cache, "in no index").unwrap();
    age(folder.path(), LONG);
    let run = Cache::open(folder.path()).unwrap();
    run.new_run("1").unwrap();
    assert!(run.index(Path::new("w")).get(&key("a")).is_some());
    let report = cache.gc(&no_grace()).unwrap();
    assert_eq!((report.records, report.objects), (1, 1), "{report:?}");
    assert!(is_cached(&cache, "a") && is_cached(&cache, "b") && !is_cached(&cache, "in no index"));
}

#[test]
fn an_index_that_nobody_used_lately_keeps_nothing_and_goes() {
    let (folder, cache) = indexed(&["a", "b"]);
    age(folder.path(), LONG);
    let dry = cache.gc(&GcOptions { dry_run: true, ..GcOptions::default() }).unwrap();
    assert!(cache.index_path(Path::new("w")).exists(), "a dry run removes nothing");
    let report = cache.gc(&GcOptions::default()).unwrap();
    assert_eq!((report.records, report.objects), (2, 2));
    assert_eq!(report, dry);
    assert!(!cache.index_path(Path::new("w")).exists());
    assert!(cache.index(Path::new("w")).is_empty());
}

#[test]
fn what_a_killed_collection_left_of_an_index_goes_with_the_next() {
    let (_folder, cache) = indexed(&["a"]);
    let left = with_end(&cache.index_path(Path::new("w")), DOOMED);
    fs::rename(cache.index_path(Path::new("w")), &left).unwrap();
    assert!(cache.index(Path::new("w")).is_empty());
    cache.gc(&GcOptions::default()).unwrap();
    assert!(!left.exists());
}

#[test]
fn records_that_the_next_index_leaves_out_were_used_until_then() {
    let (folder, cache) = indexed(&["a", "b"]);
    age(folder.path(), LONG);
    let before = cache.index(Path::new("w"));
    let only_b = [(key("b"), before.get(&key("b")).unwrap().to_vec())].into_iter().collect();
    cache.write_index(Path::new("w"), &before, &only_b, &[], &[]).unwrap();
    let young = |name| {
        let modified = fs::metadata(record_path(&cache, name)).unwrap().modified().unwrap();
        modified.elapsed().is_ok_and(|age| age < Duration::from_secs(3600))
    };
    assert!(young("a") && !young("b"));
    cache.gc(&GcOptions { keep_runs: 0, ..GcOptions::default() }).unwrap();
    assert!(is_cached(&cache, "a") && is_cached(&cache, "b"));
}

#[test]
fn after_a_damaged_record_no_index_speaks_for_it() {
    let (_folder, cache) = indexed(&["a", "b"]);
    assert!(cache.verify().unwrap().is_sound());
    assert!(cache.index(Path::new("w")).get(&key("a")).is_some(), "a sound cache keeps its index");
    fs::write(record_path(&cache, "a"), "no record").unwrap();
    assert_eq!(cache.verify().unwrap().damaged_records.len(), 1);
    assert_eq!(cache.index(Path::new("w")).get(&key("a")), None);
}

#[test]
fn a_note_is_found_with_the_index_as_long_as_all_objects_are_there() {
    let (_folder, cache) = indexed(&["a", "b"]);
    let before = cache.index(Path::new("w"));
    assert_eq!(before.note(), b"");
    let parts = [&b"one"[..], b"", b"two"].map(Bytes::from_static);
    cache.write_index(Path::new("w"), &before, &before, b"note", &parts).unwrap();
    let (index, attachment) = cache.index_as_written(Path::new("w"));
    assert_eq!(index.note(), b"note");
    let mut attachment = attachment.unwrap();
    assert!(attachment.holds(&parts) && !attachment.holds(&parts[1..]));
    assert!(attachment.is_sound().unwrap());
    cache.new_run("1").unwrap();
    cache.write_run_file_with("1", "file", &[b"head "], &mut attachment, 1..6).unwrap();
    assert_eq!(cache.read_run_file("1", "file").unwrap().unwrap(), b"head netwo");
    assert!(cache.write_run_file_with("1", "beyond", &[], &mut attachment, 0..1000).is_err());
    assert_eq!(cache.read_run_file("1", "beyond").unwrap(), None);
    assert!(index.iter().eq(before.iter()));
    fs::remove_file(object_path(&cache, "a")).unwrap();
    assert_eq!(cache.index(Path::new("w")).note(), b"");
}

#[test]
fn an_index_with_other_actions_has_what_is_kept_and_the_others_before_its_own() {
    let index_of = |names: &[&str], size: u64| -> Index {
        let made = |name: &&str| Made { digest: Digest::hash(name), size };
        names.iter().map(|name| (key(name), vec![made(name)])).collect()
    };
    let own = index_of(&["a", "b", "c", "d", "e"], 1);
    let others = index_of(&["b", "f", "g"], 2);
    let dropped = own.find(&key("d")).unwrap();
    let both = own.with(&others, |at| at != dropped);
    let sizes = |name: &str| both.get(&key(name)).map(|made| made[0].size);
    assert_eq!(["a", "b", "c", "d", "e"].map(sizes), [Some(1), Some(2), Some(1), None, Some(1)]);
    assert_eq!((["f", "g"].map(sizes), both.len()), ([Some(2); 2], 6));
    assert_eq!(decode(&both.encode(&[], &[])), Some((both, Vec::new())));
}
