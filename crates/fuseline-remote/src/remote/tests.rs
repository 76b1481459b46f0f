use std::path::{Path, PathBuf};

use fuseline_cache::OutputRecord;
use tempfile::TempDir;

use crate::report::Requests;

use super::*;

/// A machine with a cache of its own.
struct Machine {
    folder: TempDir,
    remote: RemoteSettings,
}

impl Machine {
    fn new(remote: &Path, mode: RemoteMode) -> Self {
        let remote = RemoteSettings { mode, ..RemoteSettings::new(RemoteAddress::folder(remote)) };
        Self { folder: tempfile::tempdir().unwrap(), remote }
    }

    fn cache(&self) -> Cache {
        Cache::open(self.folder.path()).unwrap()
    }

    fn connect(&self, workflow: &str) -> (Cache, Arc<RemoteCache>) {
        let remote = RemoteCache::connect(&self.remote, self.cache()).unwrap().unwrap();
        remote.set_workflow(workflow);
        let remote = Arc::new(remote);
        (self.cache().with_remote(remote.clone()), remote)
    }

    /// Executes some actions of a workflow.
    fn run(&self, workflow: &str, actions: std::ops::Range<usize>) -> RemoteReport {
        let (cache, remote) = self.connect(workflow);
        for number in actions {
            let key = key(number);
            if cache.get_action(&key).unwrap().is_none() {
                let bytes = bytes(number);
                let output = OutputRecord {
                    port: "out".to_owned(),
                    kind: "table".to_owned(),
                    digest: cache.put_object(&bytes).unwrap(),
                    size: bytes.len() as u64,
                    media_type: None,
                };
                let record = ActionRecord { outputs: vec![output], ..ActionRecord::default() };
                cache.put_action(&key, &record).unwrap();
                cache.note_executed(&key);
            }
        }
        remote.finish(&Arc::default())
    }

    /// Pushes some actions: how many were there, and how many actions and objects were sent.
    fn push(&self, workflow: &str, actions: std::ops::Range<usize>) -> (u64, u64, u64) {
        let (_cache, remote) = self.connect(workflow);
        let transfer = remote.push(&actions.map(key).collect());
        let report = remote.finish(&Arc::default());
        (transfer.known, report.actions_sent, report.objects_sent)
    }
}

fn key(number: usize) -> ActionKey {
    ActionKey::from(Digest::hash(format!("key {number}")))
}

/// Every tenth object is sent in parts, and every fifth is asked for first.
fn bytes(number: usize) -> Vec<u8> {
    let length = match number % 10 {
        0 => 20 << 10,
        5 => 5 << 10,
        _ => 10,
    };
    format!("object {number} ").into_bytes().into_iter().cycle().take(length).collect()
}

fn shared() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("remote");
    (folder, path)
}

#[test]
fn what_one_machine_executes_another_finds() {
    let (_folder, path) = shared();
    let sent = Machine::new(&path, RemoteMode::Write).run("w", 0..30);
    assert_eq!((sent.actions_sent, sent.objects_sent, sent.packs_sent), (30, 30, 1));
    assert_eq!((sent.actions_not_sent, sent.warning), (0, None));
    let reader = Machine::new(&path, RemoteMode::Read);
    let (cache, remote) = reader.connect("w");
    for number in 0..30 {
        let record = cache.get_action(&key(number)).unwrap().unwrap();
        assert!(cache.has_object(&record.outputs[0].digest, record.outputs[0].size));
        assert!(!cache.has_local_object(&record.outputs[0].digest, record.outputs[0].size));
    }
    for number in 0..10 {
        let bytes = bytes(number);
        assert_eq!(cache.get_object(&Digest::hash(&bytes)).unwrap().unwrap(), bytes);
    }
    let report = remote.finish(&Arc::default());
    assert_eq!((report.actions_found, report.objects_received), (30, 10));
    assert_eq!(report.requests, Requests { list: 1, head: 0, get: 11, put: 0 });
    // Contents that have wholly arrived are as if made here; of the rest this cache claims nothing.
    let own = reader.cache();
    let is_known = |number| own.get_action(&key(number)).unwrap().is_some();
    assert!((0..10).all(is_known) && !(10..30).any(is_known));
    assert!(own.verify().unwrap().is_sound());
}

#[test]
fn many_runs_leave_few_packs_to_read() {
    let (_folder, path) = shared();
    let writer = Machine::new(&path, RemoteMode::Write);
    for run in 0..40 {
        writer.run("w", run * 3..run * 3 + 3);
    }
    // One that has seen none of it reads all of it.
    let (cache, remote) = Machine::new(&path, RemoteMode::Read).connect("w");
    assert!((0..120).all(|number| cache.get_action(&key(number)).unwrap().is_some()));
    let report = remote.finish(&Arc::default());
    assert!(report.packs_received < 16, "{report:?}");
    assert_eq!(report.requests.list, 1);
    // One that has seen some of it keeps no more than that.
    let (_, remote) = writer.connect("w");
    assert!(remote.find_action(&key(999)).is_none());
    let kept = writer.cache().remote_files(&remote.shared.folder).unwrap();
    assert!(kept.len() < 16, "{kept:?}");
}

#[test]
fn what_another_workflow_has_executed_is_found_after_what_its_own_has() {
    let (_folder, path) = shared();
    let writer = Machine::new(&path, RemoteMode::Write);
    writer.run("one", 0..3);
    writer.run("two", 3..6);
    let (cache, remote) = Machine::new(&path, RemoteMode::Read).connect("two");
    assert!(cache.get_action(&key(4)).unwrap().is_some());
    assert_eq!(remote.shared.report().requests.get, 1);
    assert!(cache.get_action(&key(1)).unwrap().is_some());
    assert_eq!(remote.shared.report().requests.get, 2);
    assert!(cache.get_action(&key(9)).unwrap().is_none());
    assert_eq!(
        remote.shared.report().requests,
        Requests { list: 2, get: 2, ..Requests::default() }
    );
}

#[test]
fn what_did_not_come_is_not_asked_for_again() {
    let (_folder, path) = shared();
    Machine::new(&path, RemoteMode::Write).run("w", 0..3);
    std::fs::remove_dir_all(path.join("v1/objects")).unwrap();
    let (cache, remote) = Machine::new(&path, RemoteMode::Read).connect("w");
    let record = cache.get_action(&key(1)).unwrap().unwrap();
    let output = &record.outputs[0];
    assert!(cache.has_object(&output.digest, output.size));
    for _ in 0..3 {
        assert!(cache.get_object(&output.digest).unwrap().is_none());
        assert!(!cache.has_object(&output.digest, output.size));
    }
    let report = remote.finish(&Arc::default());
    assert_eq!((report.requests.get, report.objects_gone), (2, 1));
    assert!(report.warning.unwrap().contains("that are gone: 1"));
}

#[test]
fn a_run_that_is_told_to_stop_leaves_the_rest_for_a_push() {
    let (_folder, path) = shared();
    let machine = Machine::new(&path, RemoteMode::Write);
    machine.run("w", 0..1);
    let (cache, remote) = machine.connect("w");
    remote.shared.uploads.close(Arc::new(AtomicBool::new(true)));
    cache.note_executed(&key(0));
    let report = remote.finish(&Arc::new(AtomicBool::new(true)));
    assert_eq!((report.actions_sent, report.actions_not_sent), (0, 1));
    assert!(report.warning.unwrap().contains("fuseline cache push"));
}

#[test]
fn a_push_sends_again_what_the_remote_has_lost() {
    let (_folder, path) = shared();
    let machine = Machine::new(&path, RemoteMode::Write);
    machine.run("w", 0..3);
    let push = || {
        let (known, sent, _) = machine.push("w", 0..3);
        (known, sent)
    };
    assert_eq!(push(), (3, 0));
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(push(), (0, 3));
    assert_eq!(push(), (3, 0));
}

#[test]
fn a_push_sends_again_objects_that_are_gone_or_cut_while_their_records_stay() {
    let (_folder, path) = shared();
    let machine = Machine::new(&path, RemoteMode::Write);
    machine.run("w", 0..12);
    let push = || machine.push("w", 0..12);
    assert_eq!(push(), (12, 0, 0));
    let object = |number| path.join(object_path(&Digest::hash(bytes(number))));
    // Those of 0 and 10 are sent in parts, and that of 5 is asked for first.
    for gone in [0, 1] {
        std::fs::remove_file(object(gone)).unwrap();
    }
    for cut in [2, 5, 10] {
        std::fs::write(object(cut), "").unwrap();
    }
    assert_eq!(push(), (7, 5, 5));
    assert_eq!(push(), (12, 0, 0));
    let report = Machine::new(&path, RemoteMode::Read).run("w", 0..12);
    assert_eq!((report.actions_found, report.warning), (12, None));
}

#[test]
fn what_a_full_disk_left_of_a_remote_is_written_over() {
    let (_folder, path) = shared();
    Machine::new(&path, RemoteMode::Write).run("w", 0..3);
    let files = |name: &str| {
        let folders = std::fs::read_dir(path.join("v1").join(name)).unwrap();
        let folders = folders.map(|folder| folder.unwrap().path());
        folders
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|file| file.unwrap().path())
            .collect::<Vec<_>>()
    };
    let sizes = |name: &str| {
        let size = |file: &_| std::fs::metadata(file).unwrap().len();
        files(name).iter().map(size).collect::<Vec<_>>()
    };
    let before = sizes("objects");
    for file in ["objects", "packs"].map(files).concat() {
        std::fs::write(file, "").unwrap();
    }
    let report = Machine::new(&path, RemoteMode::Write).run("w", 0..3);
    assert_eq!((report.actions_sent, report.objects_sent), (3, 3));
    assert_eq!(sizes("objects"), before);
    // Records hold times, by which the second pack may be another than the first.
    assert!(sizes("packs").iter().any(|size| *size > 0));
}

#[test]
fn folders_that_are_made_in_a_shared_folder_have_its_rights() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = shared();
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o2775)).unwrap();
    Machine::new(&path, RemoteMode::Write).run("w", 0..3);
    for folder in ["v1", "v1/objects", "v1/packs"] {
        let mode = std::fs::metadata(path.join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o2775, "{folder}: {mode:o}");
    }
}
