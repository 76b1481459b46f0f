use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::UNIX_EPOCH;

use super::*;

struct Source {
    folder: tempfile::TempDir,
    files: FileDigests,
}

impl Source {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("data.csv"), text).unwrap();
        // On any filesystem.
        let files = FileDigests { is_trusted: |_| true, ..FileDigests::default() };
        Self { folder, files }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data.csv")
    }

    /// The digest so long after the file changed, as a later run with the same memo would find it.
    fn digest_after(&self, seconds: u64) -> Digest {
        let metadata = fs::metadata(self.path()).unwrap();
        let changed = metadata.mtime().max(metadata.ctime()).cast_unsigned();
        self.files
            .look_up(&self.path(), UNIX_EPOCH + Duration::from_secs(changed + seconds))
            .unwrap()
    }

    fn remembered(&self) -> usize {
        self.files.memo().entries.len()
    }

    /// Falsifies the memo, so that its use shows.
    fn falsify(&self) {
        for entry in self.files.memo().entries.values_mut() {
            entry.digest = Digest::hash("the memo was believed");
        }
    }
}

#[test]
fn a_file_that_changed_lately_is_not_remembered() {
    let source = Source::new("one");
    for seconds in [0, 1, SETTLED.as_secs()] {
        assert_eq!(source.digest_after(seconds), Digest::hash("one"));
        assert_eq!(source.remembered(), 0, "{seconds} s after it was written");
    }
}

#[test]
fn a_file_that_was_left_alone_is_not_read_again() {
    let source = Source::new("one");
    assert_eq!(source.digest_after(120), Digest::hash("one"));
    assert_eq!(source.remembered(), 1);
    source.falsify();
    assert_eq!(source.digest_after(240), Digest::hash("the memo was believed"));
}

#[test]
fn where_times_of_change_cannot_be_relied_on_a_file_is_read_every_time() {
    let mut source = Source::new("one");
    source.digest_after(120);
    source.falsify();
    source.files.is_trusted = |_| false;
    assert_eq!(source.digest_after(240), Digest::hash("one"), "what is remembered is not believed");
    source.files.memo().entries.clear();
    source.digest_after(240);
    assert_eq!(source.remembered(), 0, "and nothing is remembered");
}

#[test]
fn an_edit_of_the_same_size_is_seen_even_when_its_time_is_set_back() {
    let source = Source::new("one");
    source.digest_after(120);
    source.falsify();
    let before = fs::metadata(source.path()).unwrap().modified().unwrap();
    fs::write(source.path(), "two").unwrap();
    File::options().append(true).open(source.path()).unwrap().set_modified(before).unwrap();
    assert_eq!(fs::metadata(source.path()).unwrap().modified().unwrap(), before);
    assert_eq!(source.digest_after(240), Digest::hash("two"));
}

#[test]
fn another_file_under_the_same_name_is_seen() {
    let source = Source::new("one");
    source.digest_after(120);
    source.falsify();
    let other = source.folder.path().join("other");
    fs::write(&other, "two").unwrap();
    fs::rename(&other, source.path()).unwrap();
    assert_eq!(source.digest_after(240), Digest::hash("two"));
}

#[test]
fn with_a_clock_that_was_set_back_nothing_is_remembered() {
    let source = Source::new("one");
    assert_eq!(source.files.look_up(&source.path(), UNIX_EPOCH).unwrap(), Digest::hash("one"));
    assert_eq!(source.remembered(), 0);
}

#[test]
fn the_memo_outlives_the_run_and_a_flipped_bit_in_it_empties_it() {
    let source = Source::new("one");
    source.digest_after(120);
    let cache = Cache::open(source.folder.path().join("cache")).unwrap();
    source.files.remember(&cache).unwrap();
    assert_eq!(FileDigests::remembered(&cache).memo().entries, source.files.memo().entries);
    let bytes = cache.read_memo(MEMO).unwrap().unwrap();
    for bit in (0..bytes.len() * 8).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        cache.write_memo(MEMO, &flipped).unwrap();
        assert!(FileDigests::remembered(&cache).memo().entries.is_empty(), "bit {bit}");
    }
}

#[test]
fn a_folder_counts_by_the_names_and_the_bytes_of_its_data_files() {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let digest = || FileDigests::default().digest(folder.path()).unwrap();
    write("site=b/1", "one");
    write("site=a/2", "two");
    let first = digest();
    write("_SUCCESS", "");
    write("_temporary/3", "three");
    write(".1.crc", "checksum");
    assert_eq!(digest(), first, "what begins with _ or . is no data");
    write("site=a/2", "TWO");
    let edited = digest();
    write("site=c/3", "three");
    let grown = digest();
    fs::rename(folder.path().join("site=c/3"), folder.path().join("site=c/4")).unwrap();
    let all = BTreeMap::from([(first, 0), (edited, 1), (grown, 2), (digest(), 3)]);
    assert_eq!(all.len(), 4, "an edit, a new file and a new name are each another folder");
}
