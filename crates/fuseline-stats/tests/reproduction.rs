//! Streams and permutations beside `tests/fixtures/streams.py`, which draws them from their
//! definition alone.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be read fails the test")]

use std::collections::BTreeMap;
use std::path::Path;

use fuseline_stats::permutation::{Permuter, Rows, Scheme};
use fuseline_stats::streams::Stream;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    raw: Vec<String>,
    uniform: Vec<f64>,
    normal: Vec<f64>,
    below: Vec<String>,
    limits: Vec<String>,
    available: Vec<Vec<bool>>,
    group: Vec<u32>,
    whole: Vec<u32>,
    stratum: Vec<u32>,
    permutations: BTreeMap<String, Vec<Vec<Vec<u32>>>>,
}

fn fixture() -> Fixture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/streams.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn bits_are_those_of_chacha20_under_the_blake3_of_the_parts() {
    let mut stream = Stream::new(20_260_624, "test").with(b"").with(b"one").with_u64(2);
    for expected in fixture().raw {
        assert_eq!(stream.next_u64().to_string(), expected);
    }
}

#[test]
fn numbers_are_drawn_as_documented() {
    let fixture = fixture();
    let mut stream = Stream::new(1, "drawn");
    for expected in fixture.uniform {
        assert_eq!(stream.uniform(), expected);
    }
    for expected in fixture.normal {
        let found = stream.normal(); // the C library's log and cos may differ from libm in the last place
        assert!((found - expected).abs() <= 1e-15 * expected.abs().max(1.0), "{found} {expected}");
    }
    let mut below = fixture.below.iter();
    for limit in fixture.limits {
        for _ in 0..3 {
            let found = stream.below(limit.parse().unwrap()).to_string();
            assert_eq!(&found, below.next().unwrap(), "below {limit}");
        }
    }
}

#[test]
fn permutations_are_those_that_the_documentation_defines() {
    let fixture = fixture();
    let available = fixture.available.concat();
    let rows = Rows {
        modalities: 3,
        available: &available,
        group: Some(&fixture.group),
        stratum: Some(&fixture.stratum),
        digest: b"the digest of the rows",
    };
    for scheme in Scheme::ALL {
        let group = if scheme == Scheme::WholeGroups { &fixture.whole } else { &fixture.group };
        let rows = Rows { group: Some(group), ..rows };
        let permuter = Permuter::new(scheme, &rows, 7).unwrap();
        for (number, expected) in [0, 1, 999].into_iter().zip(&fixture.permutations[scheme.name()])
        {
            assert_eq!(permuter.draw(number), expected.concat(), "{} {number}", scheme.name());
        }
    }
}
