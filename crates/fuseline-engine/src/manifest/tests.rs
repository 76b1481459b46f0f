use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn manifest() -> Manifest {
    Manifest {
        format: MANIFEST_FORMAT,
        run: "0001-2".to_owned(),
        status: "ok".to_owned(),
        started_at: 1_800_000_000,
        counts: None,
        seconds: 0.1 + 0.2,
        machine: None,
        files: Vec::new(),
        peak_memory: Some(1 << 40),
        undelivered: Some("cannot write report.html".to_owned()),
        remote: Some(serde_json::json!({ "remote": "s3://lab", "requests": { "get": 3 } })),
        fuseline_version: "0.1.0".to_owned(),
        workflow: "small".to_owned(),
        workflow_digest: Digest::hash("workflow"),
        params: [("folds".to_owned(), 5.into())].into_iter().collect(),
        seed: u64::MAX,
        plugins: vec![("org.fuseline.lr".to_owned(), Digest::hash("plugin"))],
        environment: Environment {
            missing_layers: vec!["landlock".to_owned()],
            ..Environment::default()
        },
        stages: IndexVec::from(vec![ManifestStage {
            name: "fusion".to_owned(),
            outputs: vec![("main".to_owned(), "model".to_owned())],
        }]),
        cautions: vec![Caution {
            actions: vec!["fusion[fold=0]".to_owned()],
            text: "it did not converge".to_owned(),
        }],
        actions: vec![ManifestAction {
            stage: StageIndex(0),
            action: "fusion[fold=0]".to_owned(),
            state: "done".to_owned(),
            key: Some(ActionKey::from(Digest::hash("key"))),
            outputs: vec![Digest::hash("model")],
            reason: Some("never executed".to_owned()),
            attempts: None,
            seconds: Some(0.25),
            cpu_seconds: None,
            memory: Some(8 << 30),
            error: None,
        }],
    }
}

fn bytes() -> Vec<u8> {
    serde_json::to_vec(&manifest()).unwrap()
}

#[test]
fn a_manifest_comes_back_as_it_was() {
    assert_eq!(Manifest::decode("0001-2", &bytes()).unwrap(), manifest());
}

#[test]
fn a_manifest_of_another_form_is_refused_in_words() {
    let text = String::from_utf8(bytes()).unwrap();
    let newer = text.replacen(&format!("\"format\":{MANIFEST_FORMAT}"), "\"format\":99", 1);
    let error = Manifest::decode("0001-2", newer.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("has form 99"), "{error}");
}

#[test]
fn every_truncation_of_a_manifest_is_an_error() {
    let bytes = bytes();
    for length in 0..bytes.len() {
        assert!(Manifest::decode("0001-2", &bytes[..length]).is_err(), "{length} bytes");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Manifest::decode("run", &bytes);
    }

    #[test]
    fn numbers_come_back_to_their_last_bit(bits in vec(any::<u64>(), 1..40)) {
        let numbers = bits.into_iter().map(f64::from_bits).filter(|number| number.is_finite());
        let numbers: Vec<f64> = numbers.collect();
        let mut manifest = manifest();
        manifest.seconds = numbers.first().copied().unwrap_or_default();
        manifest.params = [("c".to_owned(), numbers.into())].into_iter().collect();
        let bytes = serde_json::to_vec(&manifest).unwrap();
        prop_assert_eq!(Manifest::decode("0001-2", &bytes).unwrap(), manifest);
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_manifest_and_never_a_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut changed = bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        let _ = Manifest::decode("run", &changed);
    }
}
