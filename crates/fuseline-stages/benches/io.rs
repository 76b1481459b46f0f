//! Reading and writing artifacts, beside what the disk and blake3 alone take for the same bytes.
//!
//! `cargo bench -p fuseline-stages --bench io -- --rows 1000000 --columns 64 --folder FOLDER`
//! prints one JSON line: the median seconds of `--repeats` turns, in each of which every part is
//! measured once after the other. Without arguments, as `cargo test` calls it, a small table goes
//! through all of it once and its bytes are compared.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails fails aloud")]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

use arrow::array::Float64Array;
use fuseline_artifact::{Artifact, ArtifactError, ArtifactKind, Digest, Features, Typed};
use fuseline_cache::Cache;
use serde_json::{Map, json};

/// Bytes read or written at once, here as in the cache.
const PART: usize = 1 << 20;

/// Numbers without a pattern, so that no bit of them is foreseen.
fn features(rows: usize, columns: usize) -> Artifact {
    let mut state = 1_u64;
    let mut column = || {
        let value = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64
        };
        (0..rows).map(value).collect::<Float64Array>()
    };
    let columns = (0..columns).map(|at| (format!("x{at}"), column())).collect();
    let example_id = (0..rows).map(|row| format!("s{row:07}")).collect();
    Features { example_id, columns }.into_artifact().unwrap()
}

/// Reads as `cat FILE > /dev/null` does.
fn read(path: &Path) -> u64 {
    let (mut file, mut part, mut bytes) = (File::open(path).unwrap(), vec![0; PART], 0);
    loop {
        match file.read(&mut part).unwrap() {
            0 => return bytes,
            read => bytes += read as u64,
        }
    }
}

/// Writes as `dd bs=1M` does.
fn write(path: &Path, bytes: &[u8]) -> File {
    let mut file = File::create(path).unwrap();
    bytes.chunks(PART).for_each(|part| file.write_all(part).unwrap());
    file
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let number = |name, default| option(name).map_or(default, |text: &str| text.parse().unwrap());
    let asked = option("--rows").is_some();
    let (rows, columns) = (number("--rows", 20_000), number("--columns", 16));
    let repeats = if asked { number("--repeats", 5) } else { 1 };
    let parent = option("--folder").map_or_else(std::env::temp_dir, Into::into);

    let artifact = features(rows, columns);
    let bytes = artifact.encode().unwrap();
    let mut seconds = Map::new();
    for _ in 0..repeats {
        let folder = tempfile::tempdir_in(&parent).unwrap();
        let cache = Cache::open(folder.path().join("cache")).unwrap();
        let raw = folder.path().join("raw");
        let mut time = |what: &str, run: &mut dyn FnMut()| {
            let started = Instant::now();
            run();
            let times = seconds.entry(what).or_insert_with(|| json!([])).as_array_mut().unwrap();
            times.push(started.elapsed().as_secs_f64().into());
        };
        // The work to be timed.
        time("encode", &mut || artifact.write(io::sink()).unwrap());
        let mut digest = Digest::hash(b"");
        time("hash", &mut || digest = Digest::hash(&bytes));
        let mut file = None;
        time("write", &mut || file = Some(write(&raw, &bytes)));
        time("flush", &mut || file.take().unwrap().sync_all().unwrap());
        // All of it, as a run does it.
        let mut put = None;
        time("put", &mut || {
            put = Some(cache.put_object_of(|object| artifact.write(object)).unwrap().unwrap());
        });
        time("put flush", &mut || {
            // The cache flushes for a record; here it is told so.
            File::open(cache.folder()).unwrap().sync_all().unwrap();
            cache.flush().unwrap();
        });
        assert_eq!(put, Some((digest, bytes.len() as u64)));

        // With all bytes in memory, and then written.
        let whole = Cache::open(folder.path().join("whole")).unwrap();
        time("put whole", &mut || {
            assert_eq!(whole.put_object(&artifact.encode().unwrap()).unwrap(), digest);
        });
        time("read", &mut || assert_eq!(read(&raw), bytes.len() as u64));
        let given = bytes::Bytes::from(bytes.clone());
        time("decode", &mut || {
            drop(Artifact::decode(ArtifactKind::Features, None, given.clone()).unwrap());
        });
        drop(given);
        let get = |columns: Option<&[&str]>| -> Result<Artifact, ArtifactError> {
            let read = cache.read_object(&digest, |object| {
                Artifact::read(ArtifactKind::Features, None, columns, object)
            });
            read.unwrap().unwrap()
        };
        time("get", &mut || drop(get(None).unwrap()));
        time("get whole", &mut || {
            let bytes = cache.get_object(&digest).unwrap().unwrap();
            drop(Artifact::decode(ArtifactKind::Features, None, bytes).unwrap());
        });
        time("get ids", &mut || drop(get(Some(&["example_id"])).unwrap()));
        time("get two columns", &mut || drop(get(Some(&["example_id", "x1"])).unwrap()));
        if !asked {
            assert!(get(None).unwrap() == artifact, "what is read is what was written");
            assert_eq!(fs::read(&raw).unwrap(), bytes);
        }
    }
    if asked {
        for times in seconds.values_mut() {
            let mut sorted: Vec<f64> = serde_json::from_value(times.clone()).unwrap();
            sorted.sort_by(f64::total_cmp);
            *times = sorted[sorted.len() / 2].into();
        }
        println!(
            "{}",
            json!({ "rows": rows, "columns": columns, "bytes": bytes.len(), "seconds": seconds })
        );
    }
}
