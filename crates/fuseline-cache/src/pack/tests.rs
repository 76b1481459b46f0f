use std::fs;
use std::io::Write;

use tempfile::TempDir;

use super::*;
use crate::faulty::{Fault, FaultyStore};
use crate::placement::Shelf;
use crate::store::LocalStore;
use crate::tests::forms::{self, packed_entry, segments, write_in_place};
use crate::tests::{age, execute, is_cached, key, output_of};
use crate::{Cache, CacheError, GcOptions};

const SHELVES: [Shelf; 2] = [Shelf::Objects, Shelf::Actions];
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

fn open_packs(folder: &TempDir) -> Packs {
    Packs::new(folder.path(), Arc::new(LocalStore::default()))
}

fn append(packs: &Packs, bytes: &[u8]) -> Digest {
    let digest = Digest::hash(bytes);
    packs.append(EntryKind::Live, &digest, bytes).unwrap();
    digest
}

fn read(packs: &Packs, digest: &Digest) -> Option<Bytes> {
    packs.find(digest, EntryKind::Live).unwrap().map(|packed| packed.read().unwrap())
}

/// The only segment of a folder of packs.
fn segment_of(packs: &Packs) -> PathBuf {
    let mut paths = fs::read_dir(packs.folder()).unwrap().map(|entry| entry.unwrap().path());
    let path = paths.next().unwrap();
    assert!(paths.next().is_none());
    path
}

#[test]
fn what_is_appended_is_found_by_others_at_once_and_after_the_end_of_its_writer() {
    let folder = TempDir::new().unwrap();
    let (writer, reader) = (open_packs(&folder), open_packs(&folder));
    assert_eq!(read(&reader, &Digest::hash(b"0")), None);
    for number in 0..200 {
        let bytes = format!("{number}").repeat(number);
        let digest = append(&writer, bytes.as_bytes());
        for packs in [&writer, &reader] {
            assert_eq!(read(packs, &digest).unwrap(), bytes.as_bytes(), "{number}");
        }
    }
    drop(writer);
    let later = open_packs(&folder);
    for packs in [&reader, &later] {
        for number in 0..200 {
            let bytes = format!("{number}").repeat(number);
            assert_eq!(read(packs, &Digest::hash(&bytes)).unwrap(), bytes.as_bytes());
        }
    }
    assert!(later.segment_files().unwrap().iter().all(|file| file.is_sealed));
}

#[test]
fn two_that_append_at_once_have_segments_of_their_own_and_find_all() {
    let folder = TempDir::new().unwrap();
    std::thread::scope(|scope| {
        for process in 0..2 {
            let folder = &folder;
            scope.spawn(move || {
                let packs = open_packs(folder);
                for number in 0..300 {
                    append(&packs, format!("{process} {number}").as_bytes());
                    append(&packs, format!("both {number}").as_bytes());
                }
            });
        }
    });
    let packs = open_packs(&folder);
    for number in 0..300 {
        for name in ["0", "1", "both"] {
            let bytes = format!("{name} {number}");
            assert_eq!(read(&packs, &Digest::hash(&bytes)).unwrap(), bytes.as_bytes());
        }
    }
}

#[test]
fn a_torn_tail_of_any_length_is_ignored_and_what_is_before_it_counts() {
    let folder = TempDir::new().unwrap();
    let writer = open_packs(&folder);
    let digests: Vec<_> =
        ["one", "two", "three"].map(|text| append(&writer, text.as_bytes())).into();
    let path = segment_of(&writer);
    let ends: Vec<u64> = digests
        .iter()
        .map(|digest| writer.find(digest, EntryKind::Live).unwrap().unwrap().entry.end())
        .collect();
    let unsealed = fs::read(&path).unwrap();
    writer.seal();
    let sealed = fs::read(&path).unwrap();
    for whole in [&unsealed, &sealed] {
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let packs = open_packs(&folder);
            for (digest, end) in digests.iter().zip(&ends) {
                let is_whole = *end <= length as u64;
                assert_eq!(read(&packs, digest).is_some(), is_whole, "{length} bytes");
            }
        }
    }
    // What comes behind a torn tail later is found, too: in a segment of its own.
    fs::write(&path, &unsealed[..unsealed.len() - 1]).unwrap();
    let packs = open_packs(&folder);
    assert_eq!(read(&packs, &digests[2]), None);
    append(&packs, b"three");
    assert!(read(&open_packs(&folder), &digests[2]).is_some());
}

#[test]
fn an_entry_that_is_seen_before_all_of_it_is_there_is_found_when_it_is() {
    let folder = TempDir::new().unwrap();
    let writer = open_packs(&folder);
    append(&writer, b"one");
    let digest = append(&writer, b"two");
    let path = segment_of(&writer);
    let whole = fs::read(&path).unwrap();
    let half = whole.len() - 30;
    fs::write(&path, &whole[..half]).unwrap();
    let reader = open_packs(&folder);
    assert_eq!(read(&reader, &digest), None);
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    file.write_all(&whole[half..]).unwrap();
    assert_eq!(read(&reader, &digest).unwrap(), &b"two"[..]);
}

#[test]
fn digests_that_begin_alike_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let packs = open_packs(&folder);
    let digest = |last: u8| {
        let mut digest = [7; 32];
        digest[31] = last;
        Digest::from(digest)
    };
    for last in 0..200 {
        packs.append(EntryKind::Live, &digest(last), &[last]).unwrap();
    }
    assert!((0..200).all(|last| read(&packs, &digest(last)).unwrap() == [last][..]));
    assert_eq!(read(&packs, &digest(200)), None);
    // One kind is not taken for another.
    assert!(packs.find(&digest(1), EntryKind::Faded).unwrap().is_none());
}

#[test]
fn what_is_planted_among_the_segments_is_no_segment() {
    let folder = TempDir::new().unwrap();
    let packs = open_packs(&folder);
    let digest = append(&packs, b"one");
    let plant = |name: &str, bytes: &[u8]| fs::write(packs.folder().join(name), bytes).unwrap();
    plant("empty.pack", b"");
    plant("nonsense.pack", &[0xff; 5_000]);
    plant("sealed.pack", &[&[0xff; 200][..], b"fuseline sealed\n"].concat());
    let huge = fs::File::create(packs.folder().join("huge.pack")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let pipe = packs.folder().join("pipe.pack");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    fs::create_dir(packs.folder().join("folder.pack")).unwrap();
    let reader = open_packs(&folder);
    assert_eq!(read(&reader, &digest).unwrap(), &b"one"[..]);
    assert_eq!(read(&reader, &Digest::hash(b"two")), None);
}

/// A cache of some actions in packs.
fn packed_cache(names: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    for name in names {
        execute(&cache, name).unwrap();
    }
    assert_eq!(cache.status().unwrap().packs, 2);
    folder
}

#[test]
fn every_flipped_byte_of_a_pack_is_found_or_harmless() {
    forms::packed(|| {
        let folder = TempDir::new().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let texts = ["first", "second"];
        let put = |cache: &Cache, text: &str| {
            let digest = cache.put_object(text.as_bytes()).unwrap();
            let output = crate::OutputRecord {
                port: "main".to_owned(),
                kind: "evidence".to_owned(),
                digest,
                size: text.len() as u64,
                media_type: None,
            };
            let record = crate::ActionRecord { outputs: vec![output], ..Default::default() };
            cache.put_action(&key(text), &record).unwrap();
            digest
        };
        texts.iter().for_each(|text| _ = put(&cache, text));
        let all = || SHELVES.iter().flat_map(|shelf| segments(&cache, *shelf)).collect::<Vec<_>>();
        let originals = all();
        for sealed in [false, true] {
            if sealed {
                SHELVES.iter().for_each(|shelf| cache.packs(*shelf).seal());
            }
            for shelf in SHELVES {
                let [path] = &segments(&cache, shelf)[..] else { panic!("one segment each") };
                let whole = fs::read(path).unwrap();
                for at in 0..whole.len() {
                    let mut flipped = whole.clone();
                    flipped[at] ^= 1 << (at % 8);
                    write_in_place(path, &flipped);
                    let damaged = Cache::open(folder.path()).unwrap();
                    for text in texts {
                        let digest = Digest::hash(text);
                        // What comes back is right, whichever byte it was.
                        if let Some(record) = damaged.get_action(&key(text)).unwrap() {
                            assert_eq!(record.outputs[0].digest, digest, "byte {at}");
                        }
                        match damaged.get_object(&digest) {
                            Ok(None) | Err(CacheError::Damaged { .. }) => {}
                            Ok(Some(bytes)) => assert_eq!(bytes, text, "byte {at}"),
                            Err(error) => panic!("byte {at}: {error}"),
                        }
                        // And what was lost is made again.
                        put(&damaged, text);
                        assert!(damaged.get_action(&key(text)).unwrap().is_some(), "byte {at}");
                        let made = damaged.get_object(&digest).unwrap();
                        assert_eq!(made.unwrap(), text, "byte {at}");
                    }
                    drop(damaged);
                    // What it wrote goes, so that the next byte is the only damage again.
                    let made = all().into_iter().filter(|path| !originals.contains(path));
                    made.for_each(|path| fs::remove_file(path).unwrap());
                    write_in_place(path, &whole);
                }
            }
        }
    });
}

#[test]
fn a_flipped_byte_of_a_payload_is_named_by_verify() {
    forms::packed(|| {
        let folder = packed_cache(&["one", "two"]);
        let cache = Cache::open(folder.path()).unwrap();
        for (shelf, digest) in [
            (Shelf::Objects, Digest::hash(output_of("one"))),
            (Shelf::Actions, *key("two").digest()),
        ] {
            let packed = packed_entry(&cache, shelf, &digest).unwrap();
            let path = cache.packs(shelf).path(&packed.segment);
            let mut bytes = fs::read(&path).unwrap();
            bytes[packed.entry.payload() as usize + 20] ^= 8;
            write_in_place(&path, &bytes);
        }
        let report = cache.verify().unwrap();
        assert_eq!(report.damaged_objects[0].digest, Digest::hash(output_of("one")));
        assert_eq!(report.damaged_records[0].digest, *key("two").digest());
        assert_eq!(cache.status().unwrap().damaged, 2);
        // Another process sees that they count no more.
        let other = Cache::open(folder.path()).unwrap();
        assert!(!is_cached(&other, "one") && !is_cached(&other, "two"));
        ["one", "two"].iter().for_each(|name| _ = execute(&other, name).unwrap());
        assert!(cache.verify().unwrap().is_sound());
        assert!(is_cached(&cache, "one") && is_cached(&cache, "two"));
    });
}

#[test]
fn many_small_actions_leave_few_files() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let format = || fs::read_to_string(folder.path().join("format")).unwrap();
    for number in 0..250 {
        execute(&cache, &format!("action {number}")).unwrap();
    }
    assert_eq!(cache.status().unwrap().packs, 0, "a study of this size is files alone");
    assert!(format().contains(":1"));
    for number in 250..3_000 {
        execute(&cache, &format!("action {number}")).unwrap();
    }
    let status = cache.status().unwrap();
    assert_eq!((status.objects, status.records), (3_000, 3_000));
    assert!(format().contains(":2"), "an older command refuses it");
    // Segments of these tests are of 32 KiB.
    let segments = (status.object_bytes + status.record_bytes + 6_000 * 48) / SEGMENT_BYTES + 2;
    assert!(status.packs as u64 <= segments, "{} packs, {segments} expected", status.packs);
    let others = count_files(folder.path()) - status.packs;
    assert!(others < 10, "{others} files beside the packs");
    assert!(cache.verify().unwrap().is_sound());
    drop(cache);
    let cache = Cache::open(folder.path()).unwrap();
    assert!((0..3_000).all(|number| is_cached(&cache, &format!("action {number}"))));
    // A process that does little more writes some files, and one that does much writes packs again.
    (0..5).for_each(|number| _ = execute(&cache, &format!("more {number}")).unwrap());
    assert_eq!(cache.status().unwrap().packs, status.packs);
    (0..50).for_each(|number| _ = execute(&cache, &format!("much {number}")).unwrap());
    assert!(cache.status().unwrap().packs > status.packs);
    assert!(count_files(folder.path()) - cache.status().unwrap().packs < 10);
}

fn count_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { count_files(&path) } else { 1 }).sum()
}

#[test]
fn a_reader_goes_on_while_packs_are_written_anew_and_removed() {
    forms::packed(|| {
        let folder = packed_cache(&["kept", "dropped"]);
        age(folder.path(), MONTH);
        let reader = Cache::open(folder.path()).unwrap();
        let digest = |name: &str| Digest::hash(output_of(name));
        assert!(reader.has_object(&digest("kept"), output_of("kept").len() as u64));
        let collector = Cache::open(folder.path()).unwrap();
        let before = segments(&collector, Shelf::Objects);
        let pins = vec![*key("kept").digest()];
        let report = collector.gc(&GcOptions { keep_runs: 0, pins, ..Default::default() }).unwrap();
        assert_eq!((report.objects, report.records, report.kept_objects), (1, 1, 1));
        let after = segments(&collector, Shelf::Objects);
        assert_eq!(after.len(), 1);
        assert_ne!(before, after);
        let modified = fs::metadata(&after[0]).unwrap().modified().unwrap();
        assert!(modified.elapsed().unwrap() > MONTH / 2, "it is as old as what it is made of");
        for cache in [&reader, &collector, &Cache::open(folder.path()).unwrap()] {
            let bytes = cache.get_object(&digest("kept")).unwrap();
            assert_eq!(bytes.unwrap(), output_of("kept"));
            assert!(is_cached(cache, "kept"));
        }
        let later = Cache::open(folder.path()).unwrap();
        assert!(!is_cached(&later, "dropped"));
        assert_eq!(later.get_object(&digest("dropped")).unwrap(), None);
        assert!(later.verify().unwrap().is_sound());
        age(folder.path(), MONTH);
        let gone = later.gc(&GcOptions { keep_runs: 0, ..Default::default() }).unwrap();
        assert_eq!((gone.objects, gone.records), (1, 1));
        assert!(segments(&later, Shelf::Objects).is_empty());
    });
}

#[test]
fn a_record_in_a_pack_that_was_read_of_late_keeps_its_segment() {
    forms::packed(|| {
        let folder = packed_cache(&["one", "two"]);
        age(folder.path(), MONTH);
        let cache = Cache::open(folder.path()).unwrap();
        assert!(is_cached(&cache, "one"));
        cache.gc(&GcOptions { keep_runs: 0, ..Default::default() }).unwrap();
        assert!(is_cached(&cache, "one") && is_cached(&cache, "two"));
    });
}

#[test]
fn what_a_killed_collection_has_renamed_can_be_read_and_comes_back() {
    forms::packed(|| {
        let folder = packed_cache(&["one"]);
        let cache = Cache::open(folder.path()).unwrap();
        for shelf in SHELVES {
            for path in segments(&cache, shelf) {
                fs::rename(&path, with_end(&path, DOOMED)).unwrap();
            }
        }
        let digest = Digest::hash(output_of("one"));
        assert_eq!(cache.get_object(&digest).unwrap().unwrap(), output_of("one"));
        assert!(!is_cached(&cache, "one"), "nobody is to rely on it");
        cache.gc(&GcOptions::default()).unwrap();
        assert!(is_cached(&cache, "one"));
    });
}

#[test]
fn what_a_collection_renames_while_it_is_looked_for_is_found() {
    forms::packed(|| {
        let folder = packed_cache(&["one"]);
        let digest = Digest::hash(output_of("one"));
        for times in 0..5 {
            let store = Arc::new(FaultyStore::new(Fault::MovedWhileListed { times }));
            let cache = Cache::open_on(store, folder.path()).unwrap();
            let read = cache.get_object(&digest).unwrap();
            assert_eq!(read.unwrap(), output_of("one"), "{times} times");
        }
    });
}

#[test]
fn old_small_and_unsealed_segments_become_one() {
    forms::packed(|| {
        let folder = TempDir::new().unwrap();
        for number in 0..12 {
            execute(&Cache::open(folder.path()).unwrap(), &number.to_string()).unwrap();
        }
        let cache = Cache::open(folder.path()).unwrap();
        // One is not sealed, as after a kill, and has a torn tail.
        let torn = &segments(&cache, Shelf::Objects)[3];
        let bytes = fs::read(torn).unwrap();
        fs::write(torn, &bytes[..bytes.len() - 30]).unwrap();
        let pins: Vec<Digest> = (0..12).map(|number| *key(&number.to_string()).digest()).collect();
        age(folder.path(), MONTH);
        let report = cache.gc(&GcOptions { keep_runs: 0, pins, ..Default::default() }).unwrap();
        assert_eq!((report.objects, report.records), (0, 0));
        for shelf in SHELVES {
            assert_eq!(segments(&cache, shelf).len(), 1);
        }
        assert!((0..12).all(|number| is_cached(&cache, &number.to_string())));
        assert!(cache.verify().unwrap().is_sound());
    });
}

#[test]
fn a_collection_takes_old_files_into_packs_when_they_are_many() {
    let folder = TempDir::new().unwrap();
    let names: Vec<String> = (0..400).map(|number| number.to_string()).collect();
    for some in names.chunks(100) {
        // Each a process that writes few.
        let cache = Cache::open(folder.path()).unwrap();
        some.iter().for_each(|name| _ = execute(&cache, name).unwrap());
    }
    age(folder.path(), MONTH);
    let cache = Cache::open(folder.path()).unwrap();
    let pins: Vec<Digest> = names.iter().map(|name| *key(name).digest()).collect();
    let options = GcOptions { keep_runs: 0, pins, ..Default::default() };
    cache.gc(&GcOptions { dry_run: true, ..options.clone() }).unwrap();
    assert_eq!(cache.status().unwrap().packs, 0);
    cache.gc(&options).unwrap();
    let status = cache.status().unwrap();
    assert_eq!((status.objects, status.records), (400, 400));
    assert!(count_files(folder.path()) < 40, "{} files", count_files(folder.path()));
    assert!(names.iter().all(|name| is_cached(&cache, name)));
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn jobs_beyond_the_first_are_in_packs_and_found_alike() {
    let folder = TempDir::new().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let run = cache.new_run("1").unwrap();
    let jobs = cache.jobs("1").unwrap();
    jobs.create_folder().unwrap();
    let text = |number: usize| format!("job {number}").repeat(20);
    let key_of = |number: usize| key(&format!("job {number}"));
    for number in 0..500 {
        jobs.put(&key_of(number), text(number).as_bytes()).unwrap();
        jobs.put(&key_of(number), b"written once").unwrap();
    }
    assert!(count_files(&run) < 30, "{} files", count_files(&run));
    let other = Cache::open(folder.path()).unwrap().jobs("1").unwrap();
    for number in 0..500 {
        assert_eq!(other.get(&key_of(number)).unwrap().unwrap(), text(number).as_bytes());
    }
    assert_eq!(other.get(&key("no job")).unwrap(), None);
    assert_eq!(other.all().unwrap().len(), 500);
}
