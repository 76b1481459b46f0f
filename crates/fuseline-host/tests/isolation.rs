//! Rules in a process of their own.
#![expect(clippy::unwrap_used, reason = "a helper of a test ends the test")]

mod common;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{Numbers, RULES, Rows, defaults, file, rule, shuffled};
use fuseline_host::worker::{WORKER_ARGUMENT, WorkerLimits, WorkerProgram};
use fuseline_host::{HostError, Isolation, PluginLibrary, Rule, RuleCode, StopSignal};

/// A built-in rule in a worker of its own: what one test does to it, no other meets.
fn isolated(name: &str) -> Rule {
    let program = WorkerProgram {
        program: env!("CARGO_BIN_EXE_fuseline-plugin-worker").into(),
        arguments: vec![WORKER_ARGUMENT.into()],
    };
    let file = file(name);
    let library =
        PluginLibrary::new(vec![file.path.clone()]).with_workers(program, WorkerLimits::default());
    library.load(&file, Isolation::Worker).unwrap()
}

#[test]
fn a_worker_gives_the_same_bytes_as_this_process() {
    for name in RULES {
        let (here, there) = (rule(name), isolated(name));
        assert_eq!(here.descriptor(), there.descriptor());
        let rows = Rows::new(120, 3, 2, true, 41);
        let params = defaults(&here);
        let fitted = here.fit(&rows.training(), &params, 1, &StopSignal::new()).unwrap();
        assert_eq!(
            there.fit(&rows.training(), &params, 1, &StopSignal::new()).unwrap(),
            fitted,
            "{name}"
        );
        let model = fitted.model;
        let (here, there) = (here.open(&model).unwrap(), there.open(&model).unwrap());
        assert_eq!(here.has_fast_path(), there.has_fast_path());
        let test = Rows::new(70, 3, 2, true, 43).batch();
        assert_eq!(here.predict(&test).unwrap(), there.predict(&test).unwrap(), "{name}");
        let mut numbers = Numbers::new(3);
        let index: Vec<u32> = (0..4).flat_map(|_| shuffled(70, &mut numbers)).collect();
        let (mut one, mut other) = (vec![0.0; 560], vec![1.0; 560]);
        here.predict_permuted(&test, &index, 4, 1, u64::MAX, &mut one).unwrap();
        there.predict_permuted(&test, &index, 4, 1, u64::MAX, &mut other).unwrap();
        assert_eq!(one, other, "{name}");
    }
}

#[test]
fn one_worker_serves_several_models_and_batches() {
    let rule = isolated("lr");
    let params = defaults(&rule);
    let models: Vec<_> = (0..3)
        .map(|seed| {
            let rows = Rows::new(60, 2, 2, true, seed);
            rule.open(&rule.fit(&rows.training(), &params, 1, &StopSignal::new()).unwrap().model)
                .unwrap()
        })
        .collect();
    let batches: Vec<_> = (10..12).map(|seed| Rows::new(30, 2, 2, true, seed).batch()).collect();
    let first: Vec<_> = models
        .iter()
        .flat_map(|model| batches.iter().map(|batch| model.predict(batch).unwrap()))
        .collect();
    let again: Vec<_> = models
        .iter()
        .flat_map(|model| batches.iter().map(|batch| model.predict(batch).unwrap()))
        .collect();
    assert_eq!(first, again);
    assert_ne!(first[0], first[2]);
}

#[test]
fn calls_from_many_threads_are_served_by_many_workers() {
    let rule = isolated("weighted_mean");
    let rows = Rows::new(60, 3, 2, true, 9);
    let model = rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new()).unwrap().model;
    let model = Arc::new(rule.open(&model).unwrap());
    let expected = model.predict(&rows.batch()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(model.predict(&rows.batch()).unwrap(), expected);
                }
            });
        }
    });
}

#[test]
fn an_error_of_the_rule_leaves_the_worker_alive() {
    let rule = isolated("hgb");
    let error = rule.open(b"rubbish").unwrap_err();
    assert!(matches!(error, HostError::Rule { error, .. } if error.code == RuleCode::Data));
    let rows = Rows::new(60, 2, 2, true, 9);
    let model = rule.fit(&rows.training(), &defaults(&rule), 1, &StopSignal::new()).unwrap().model;
    rule.open(&model).unwrap().predict(&rows.batch()).unwrap();
}

#[test]
fn a_stop_ends_a_running_fit_long_before_its_end() {
    let rule = isolated("hgb");
    let mut given = serde_json::Map::new();
    given.insert("rounds".to_owned(), 10_000.into());
    given.insert("min_rows_per_leaf".to_owned(), 1.into());
    let params = rule.params(&given).unwrap();
    let rows = Rows::new(4000, 3, 4, true, 1).training();
    let stop = StopSignal::new();
    let (sender, stopped) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            sender.send(Instant::now()).unwrap();
            stop.stop();
        });
        let error = rule.fit(&rows, &params, 1, &stop).unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        // Such a fit takes minutes; that a stop takes less than a second is not for a busy machine.
        let took = stopped.recv().unwrap().elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}");
    });
}

#[test]
fn a_rule_whose_file_is_replaced_while_it_is_in_use_is_refused_with_both_digests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rule.so");
    let [mean, other] = ["mean", "weighted_mean"].map(|name| rule(name).file().clone());
    std::fs::copy(&mean.path, &path).unwrap();
    let program = WorkerProgram {
        program: env!("CARGO_BIN_EXE_fuseline-plugin-worker").into(),
        arguments: vec![WORKER_ARGUMENT.into()],
    };
    let library = PluginLibrary::new(vec![folder.path().to_owned()])
        .with_workers(program, WorkerLimits::default());
    let loaded = library.load(&library.find("mean").unwrap(), Isolation::Worker).unwrap();
    let rows = Rows::new(40, 3, 2, true, 5);
    let fit = || loaded.fit(&rows.training(), &defaults(&loaded), 1, &StopSignal::new());
    let before = fit().unwrap();

    std::fs::remove_file(&path).unwrap();
    std::fs::copy(&other.path, &path).unwrap();
    for error in [fit().unwrap_err(), loaded.open(&before.model).unwrap_err()] {
        match error {
            HostError::DigestChanged { expected, found, .. } => {
                assert_eq!((expected, found), (mean.digest, other.digest));
            }
            other => panic!("{other}"),
        }
    }
    // The same bytes are the same rule, and what runs are the bytes that were hashed.
    std::fs::remove_file(&path).unwrap();
    std::fs::copy(&mean.path, &path).unwrap();
    assert_eq!(fit().unwrap(), before);
}

#[test]
fn a_library_is_read_whole_when_its_rule_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let [mean, lr] = ["mean", "lr"].map(|name| rule(name).file().clone());
    let paths = ["lr.so", "mean.so"].map(|name| folder.path().join(name));
    std::fs::copy(&lr.path, &paths[0]).unwrap();
    std::fs::copy(&mean.path, &paths[1]).unwrap();
    let library = PluginLibrary::new(vec![folder.path().to_owned()]);
    assert!(library.searched().is_none());
    library.ensure_distinct().unwrap();
    let ids: Vec<_> = library.ids().map(|(id, _)| id).collect();
    assert_eq!(ids, ["org.fuseline.lr", "org.fuseline.mean"]);
    assert!(library.find("absent").is_err());
    let known = || {
        let digests = library.searched_digests(|_| None).unwrap();
        digests.into_iter().map(|(_, digest)| digest).collect::<Vec<_>>()
    };
    assert_eq!(known(), [None, None]);
    assert_eq!(library.find("mean").unwrap().digest, mean.digest);
    assert_eq!(known(), [None, Some(mean.digest)]);

    // What was not read has become another rule.
    let told = |digest| library.searched_digests(|_| Some(digest)).unwrap()[0].1;
    assert_eq!(told(lr.digest), Some(lr.digest));
    std::fs::copy(&mean.path, &paths[0]).unwrap();
    assert_eq!(told(mean.digest), None);
    assert!(library.find("lr").is_err());
    assert_eq!(library.find_by_path(&paths[1]).unwrap().id, mean.id);
}

#[test]
fn two_files_with_one_id_are_an_error_and_copies_of_one_file_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let mean = rule("mean").file().path.clone();
    for copy in ["a", "b"] {
        std::fs::create_dir(folder.path().join(copy)).unwrap();
        std::fs::copy(&mean, folder.path().join(copy).join("rule.so")).unwrap();
    }
    let search = ["a", "b"].map(|copy| folder.path().join(copy)).to_vec();
    let library = PluginLibrary::new(search.clone());
    library.ensure_distinct().unwrap();
    library.find("org.fuseline.mean").unwrap();

    // Another build of it: bytes behind the end of a library change nothing but its digest.
    let mut other = std::fs::read(&mean).unwrap();
    other.push(0);
    std::fs::write(folder.path().join("b/rule.so"), other).unwrap();
    let library = PluginLibrary::new(search);
    for error in [
        library.find("org.fuseline.mean").unwrap_err(),
        library.find("mean").unwrap_err(),
        library.ensure_distinct().unwrap_err(),
    ] {
        assert!(matches!(&error, HostError::AmbiguousRule { .. }), "{error}");
        assert!(error.to_string().contains("a/rule.so"), "{error}");
        assert!(error.to_string().contains("b/rule.so"), "{error}");
    }
}
