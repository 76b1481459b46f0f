use std::fmt::Debug;

use arrow::array::Array;
use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::samples;
use crate::sequence::Held;
use crate::texts::Texts;

fn comes_back<T: Typed + Clone + PartialEq + Debug>(value: T) {
    let artifact = value.clone().into_artifact().unwrap();
    assert_eq!(artifact.kind, T::KIND);
    let bytes = artifact.encode().unwrap();
    let read = Artifact::decode(T::KIND, artifact.media_type(), bytes).unwrap();
    assert_eq!(T::from_artifact(&read).unwrap(), value);
    assert_eq!(T::from_artifact(&artifact).unwrap(), value);
}

#[test]
fn every_kind_comes_back_from_its_bytes_as_it_was() {
    comes_back(samples::features());
    comes_back(samples::cohort());
    comes_back(samples::folds());
    comes_back(samples::evidence());
    comes_back(crate::Evidence { inner_fold: Some(vec![1, 0]), ..samples::evidence() });
    let logits = vec![-0.5, 0.5, f64::NEG_INFINITY, 2.0];
    comes_back(crate::Evidence { logits: Some(logits.into()), ..samples::evidence() });
    comes_back(samples::quality());
    comes_back(samples::model());
    comes_back(samples::predictions());
    comes_back(samples::permutations());
    comes_back(samples::example_effects());
    comes_back(samples::findings());
    comes_back(samples::metadata());
    comes_back(samples::audit());
    comes_back(samples::table());
    comes_back(samples::report());
}

#[test]
fn tables_without_rows_come_back_too() {
    let mut features = samples::features();
    let none = || Texts::from_iter([""; 0]);
    features.example_id = none();
    features.columns.iter_mut().for_each(|(_, values)| *values = values.slice(0, 0));
    comes_back(features);
    let mut evidence = samples::evidence();
    evidence.example_id = none();
    evidence.probabilities = Vec::new().into();
    comes_back(evidence);
    let mut cohort = samples::cohort();
    (cohort.example_id, cohort.group) = (none(), none());
    cohort.label.clear();
    comes_back(cohort);
    comes_back(crate::Findings { rows: Vec::new(), ..samples::findings() });
}

#[test]
fn the_same_artifact_is_the_same_bytes_in_every_version() {
    // A change here invalidates every cache: raise the version of the kind, and say so in the
    // change log.
    let digests: Vec<_> = samples::all()
        .iter()
        .map(|artifact| {
            format!("{} {}", artifact.kind, Digest::hash(artifact.encode().unwrap()).short())
        })
        .collect();
    assert_eq!(
        digests,
        [
            "features bf3a6a11213b",
            "cohort ddba71604266",
            "folds 1c97edf86448",
            "evidence 940ee860d0c3",
            "quality 79db22a9f7c1",
            "model 7b26586399d2",
            "predictions dc721af431a5",
            "permutations 0275e880d977",
            "example_effects e650bae020b7",
            "findings a5f6159f2245",
            "metadata e0466f04c847",
            "audit 47b0ed7352a2",
            "table 1e69148a26cb",
            "report ef21ec989d95",
        ]
    );
}

#[test]
fn bytes_of_another_kind_are_refused_by_name() {
    let cohort = samples::cohort().into_artifact().unwrap();
    let error = Artifact::decode(ArtifactKind::Folds, None, cohort.encode().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "folds are expected and cohort were given");
    let error = crate::Folds::from_artifact(&cohort).unwrap_err();
    assert_eq!(error.to_string(), "folds are expected and cohort were given");
}

#[test]
fn values_that_a_kind_does_not_allow_are_refused_with_their_place() {
    let refused = |artifact: Result<Artifact, ArtifactError>, message: &str| {
        assert_eq!(artifact.unwrap_err().to_string(), message);
    };
    let mut cohort = samples::cohort();
    cohort.label[1] = 3;
    refused(
        cohort.into_artifact(),
        "row 1 of cohort has 3 in column label, where the index of a class is expected",
    );
    let mut cohort = samples::cohort();
    cohort.example_id = Texts::from_iter(["a", "b", "a"]);
    refused(cohort.into_artifact(), "cohort have example_id a twice");
    let mut cohort = samples::cohort();
    cohort.classes[1] = "rest".to_owned();
    refused(
        cohort.into_artifact(),
        "metadata classes of cohort is \"[\\\"rest\\\",\\\"rest\\\",\\\"stress\\\"]\", where a \
         list of distinct names is expected",
    );
    let mut folds = samples::folds();
    folds.fold.pop();
    refused(folds.into_artifact(), "column fold of folds has 2 values for 3 rows");
    for bad in [f64::NAN, f64::INFINITY, -0.5] {
        let mut evidence = samples::evidence();
        evidence.probabilities = vec![0.25, 0.75, 0.5, bad].into();
        refused(
            evidence.into_artifact(),
            &format!(
                "row 1 of evidence has {bad} in column probabilities, where a finite number that \
                 is not negative is expected"
            ),
        );
    }
    let mut evidence = samples::evidence();
    evidence.classes.clear();
    evidence.probabilities = Vec::new().into();
    refused(
        evidence.into_artifact(),
        "metadata classes of evidence is \"[]\", where at least one class is expected",
    );
    let mut findings = samples::findings();
    findings.rows[1].alignment.pop();
    refused(findings.into_artifact(), "column alignment of findings has 1 values for 2 rows");
    let mut findings = samples::findings();
    findings.axes[0] = "gap".to_owned();
    refused(findings.into_artifact(), "findings have two columns gap");
}

#[test]
fn every_truncation_of_a_file_is_an_error() {
    for artifact in samples::all().iter().filter(|artifact| artifact.media_type().is_none()) {
        let bytes = artifact.encode().unwrap();
        for length in 0..bytes.len() {
            let cut = bytes[..length].to_vec();
            let schema = artifact.kind.schema().unwrap();
            let read = encoding::read(schema, None, &mut Held::new(cut.clone()));
            assert!(read.is_err(), "{length} of {}, column by column", artifact.kind);
            assert!(
                Artifact::decode(artifact.kind, None, cut).is_err(),
                "{length} of {}",
                artifact.kind
            );
        }
    }
}

/// Reads bytes as an artifact and as its struct. Anything but a panic will do.
fn read_all(kind: ArtifactKind, bytes: &[u8]) {
    if let Some(schema) = kind.schema() {
        drop(encoding::read(schema, None, &mut Held::new(bytes.to_vec())));
    }
    let Ok(artifact) = Artifact::decode(kind, None, bytes.to_vec()) else { return };
    match kind {
        ArtifactKind::Features => drop(crate::Features::from_artifact(&artifact)),
        ArtifactKind::Cohort => drop(crate::Cohort::from_artifact(&artifact)),
        ArtifactKind::Folds => drop(crate::Folds::from_artifact(&artifact)),
        ArtifactKind::Evidence => drop(crate::Evidence::from_artifact(&artifact)),
        ArtifactKind::Quality => drop(crate::Quality::from_artifact(&artifact)),
        ArtifactKind::Model => drop(crate::Model::from_artifact(&artifact)),
        ArtifactKind::Predictions => drop(crate::Predictions::from_artifact(&artifact)),
        ArtifactKind::Permutations => drop(crate::Permutations::from_artifact(&artifact)),
        ArtifactKind::ExampleEffects => drop(crate::ExampleEffects::from_artifact(&artifact)),
        ArtifactKind::Findings => drop(crate::Findings::from_artifact(&artifact)),
        ArtifactKind::Metadata => drop(crate::Metadata::from_artifact(&artifact)),
        ArtifactKind::Audit => drop(crate::Audit::from_artifact(&artifact)),
        ArtifactKind::Table => {
            drop(crate::Table::<crate::RepeatRow>::from_artifact(&artifact));
            drop(crate::AnyTable::from_artifact(&artifact));
        }
        ArtifactKind::Report => drop(crate::Report::from_artifact(&artifact)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_damage_to_a_file_is_a_panic(
        kind in 0usize..14,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let artifact = &samples::all()[kind];
        let mut bytes = artifact.encode().unwrap();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_all(artifact.kind, &bytes);
    }

    #[test]
    fn any_numbers_come_back_bit_for_bit_but_for_the_bits_of_nan(
        bits in proptest::collection::vec(proptest::option::of(any::<u64>()), 0..50),
    ) {
        let values: arrow::array::Float64Array =
            bits.iter().map(|bits| bits.map(f64::from_bits)).collect();
        let features = crate::Features {
            example_id: (0..bits.len()).map(|row| format!("{row:03}")).collect(),
            columns: vec![("x".to_owned(), values)],
        };
        let bytes = features.into_artifact().unwrap().encode().unwrap();
        let read = Artifact::decode(ArtifactKind::Features, None, bytes).unwrap();
        let read = crate::Features::from_artifact(&read).unwrap();
        for (read, written) in read.columns[0].1.iter().zip(bits) {
            let expected = written.map(f64::from_bits).map(|value| {
                if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
            });
            prop_assert_eq!(read.map(f64::to_bits), expected);
        }
    }
}

#[test]
fn artifacts_of_a_label_that_is_a_number_come_back_and_are_not_read_as_classes() {
    fn again<T: Typed>(artifact: &Artifact) -> Artifact {
        let bytes = artifact.encode().unwrap();
        let read = Artifact::decode(artifact.kind, None, bytes).unwrap();
        T::from_artifact(&read).unwrap().into_artifact().unwrap()
    }
    let all = samples::regression();
    let [cohort, evidence, permutations, effects, predictions, findings] = &all[..] else {
        panic!("six samples are expected");
    };
    assert_eq!(&again::<crate::AnyCohort>(cohort), cohort);
    assert_eq!(&again::<crate::AnyEvidence>(evidence), evidence);
    assert_eq!(&again::<crate::AnyPermutations>(permutations), permutations);
    assert_eq!(&again::<crate::RegressionEffects>(effects), effects);
    assert_eq!(&again::<crate::RegressionPredictions>(predictions), predictions);
    assert_eq!(&again::<crate::Findings>(findings), findings);
    let refused = crate::Cohort::from_artifact(cohort).unwrap_err().to_string();
    assert!(refused.starts_with("the label is a number (regression: true)"), "{refused}");
    assert!(crate::Evidence::from_artifact(evidence).is_err());
    assert!(crate::Permutations::from_artifact(permutations).is_err());
    assert!(crate::ExampleEffects::from_artifact(effects).is_err());
    assert!(crate::Predictions::from_artifact(predictions).is_err());
    // The other way round too, and classes through the readers of both.
    let classes = samples::cohort().into_artifact().unwrap();
    assert_eq!(again::<crate::AnyCohort>(&classes), classes);
    let counts = samples::permutations().into_artifact().unwrap();
    assert_eq!(again::<crate::AnyPermutations>(&counts), counts);
    assert!(crate::RegressionPermutations::from_artifact(&counts).is_err());
    // Values that do not apply are null.
    let table = findings.table(ArtifactKind::Findings).unwrap();
    assert_eq!(table.column_by_name("ba_clean").unwrap().null_count(), 1);
    assert_eq!(table.column_by_name("gap").unwrap().null_count(), 0);
}
