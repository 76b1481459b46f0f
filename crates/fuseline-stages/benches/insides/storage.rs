//! Artifacts and objects.

use std::path::Path;

use arrow::array::Float64Array;
use criterion::{Criterion, Throughput};
use fuseline_artifact::{Artifact, ArtifactKind, Digest, Features, Texts, Typed};
use fuseline_cache::{ActionKey, Cache, Index, Made};

use crate::{Numbers, sizes};

const WIDTH: usize = 16;

fn features(rows: usize) -> Features {
    let mut numbers = Numbers(1);
    let mut column = || (0..rows).map(|_| numbers.value()).collect::<Float64Array>();
    Features {
        example_id: Texts::from_iter((0..rows).map(|row| format!("s{row:07}"))),
        columns: (0..WIDTH).map(|at| (format!("x{at}"), column())).collect(),
    }
}

pub fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let mut group = criterion.benchmark_group("artifact");
    for &rows in sizes(&[100, 1_000, 100_000]) {
        let artifact = features(rows).into_artifact().unwrap();
        let bytes = artifact.encode().unwrap();
        let digest = cache.put_object(&bytes).unwrap();
        let read = |columns: Option<&[&str]>| {
            let read = cache.read_object(&digest, |object| {
                Artifact::read(ArtifactKind::Features, None, columns, object)
            });
            read.unwrap().unwrap().unwrap()
        };
        assert_eq!(read(None), artifact);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("digest {rows}"), |bencher| {
            bencher.iter(|| Digest::hash(&bytes));
        });
        group.bench_function(format!("encode {rows}"), |bencher| {
            bencher.iter(|| artifact.encode().unwrap());
        });
        group.bench_function(format!("decode {rows}"), |bencher| {
            bencher.iter(|| Artifact::decode(ArtifactKind::Features, None, bytes.clone()).unwrap());
        });
        group.bench_function(format!("read, hashed {rows}"), |bencher| {
            bencher.iter(|| read(None));
        });
        group.bench_function(format!("read two columns, hashed {rows}"), |bencher| {
            bencher.iter(|| read(Some(&["example_id", "x3"])));
        });
    }
    group.finish();

    let workflow = Path::new("bench");
    let mut group = criterion.benchmark_group("index");
    for &actions in sizes(&[100, 10_000]) {
        let key = |number: usize| ActionKey::from(Digest::hash(number.to_le_bytes()));
        let made = |number: usize| {
            let bytes = number.to_le_bytes();
            vec![Made { digest: cache.put_object(&bytes).unwrap(), size: bytes.len() as u64 }]
        };
        let index: Index = (0..actions).map(|number| (key(number), made(number))).collect();
        cache.write_index(workflow, &Index::default(), &index, &[], &[]).unwrap();
        assert!(cache.index(workflow).iter().eq(index.iter()));
        group.throughput(Throughput::Elements(actions as u64));
        group.bench_function(format!("read and ask for objects {actions}"), |bencher| {
            bencher.iter(|| cache.index(workflow));
        });
        let keys: Vec<_> = (0..actions).map(key).collect();
        group.bench_function(format!("look up {actions}"), |bencher| {
            bencher.iter(|| keys.iter().filter_map(|key| index.get(key)).count());
        });
    }
    group.finish();
}
