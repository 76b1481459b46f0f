use std::fmt::Debug;

use super::*;
use crate::samples;

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
    comes_back(samples::quality());
    comes_back(samples::model());
    comes_back(samples::predictions());
    comes_back(samples::permutations());
    comes_back(samples::example_effects());
    comes_back(samples::findings());
    comes_back(samples::report());
}
