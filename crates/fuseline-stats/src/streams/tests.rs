use super::*;

#[test]
fn parts_do_not_run_together() {
    let first = |stream: Stream| stream.clone().next_u64();
    let of = |parts: &[&[u8]]| {
        first(parts.iter().fold(Stream::new(1, "x"), |stream, part| stream.with(part)))
    };
    let draws = [
        of(&[b"ab", b"c"]),
        of(&[b"a", b"bc"]),
        of(&[b"abc"]),
        of(&[b"abc", b""]),
        of(&[]),
        of(&[b""]),
    ];
    for (i, a) in draws.iter().enumerate() {
        assert!(draws[..i].iter().all(|b| a != b), "{draws:?}");
    }
    assert_ne!(first(Stream::new(1, "x")), first(Stream::new(2, "x")));
    assert_ne!(first(Stream::new(1, "x")), first(Stream::new(1, "y")));
}

#[test]
fn a_child_does_not_see_what_its_parent_drew() {
    let mut parent = Stream::new(3, "parent");
    let before = parent.clone().with(b"child").next_u64();
    parent.next_u64();
    assert_eq!(parent.clone().with(b"child").next_u64(), before);
    let mut copy = parent.clone();
    assert_eq!(copy.next_u64(), parent.next_u64(), "a copy goes on where the original is");
}

#[test]
fn uniforms_and_normals_have_their_moments() {
    let mut stream = Stream::new(4, "moments");
    let moments = |draws: Vec<f64>| {
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let square = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        (mean, square)
    };
    let uniform: Vec<f64> = (0..100_000).map(|_| stream.uniform()).collect();
    assert!(uniform.iter().all(|x| (0.0..1.0).contains(x)));
    let (mean, square) = moments(uniform);
    assert!((mean - 0.5).abs() < 0.004 && (square - 1.0 / 12.0).abs() < 0.001); // over four sigma
    let (mean, square) = moments((0..100_000).map(|_| stream.normal()).collect());
    assert!(mean.abs() < 0.014 && (square - 1.0).abs() < 0.02);
}

#[test]
fn every_order_of_four_is_as_likely_as_any_other() {
    let mut stream = Stream::new(5, "orders");
    let mut seen = std::collections::BTreeMap::<[u8; 4], f64>::new();
    let draws = 24_000.0;
    for _ in 0..24_000 {
        let mut items = [0, 1, 2, 3];
        stream.shuffle(&mut items);
        *seen.entry(items).or_default() += 1.0;
    }
    assert_eq!(seen.len(), 24);
    let chi_square: f64 =
        seen.values().map(|count| (count - draws / 24.0).powi(2) / (draws / 24.0)).sum();
    assert!(chi_square < 49.7, "{chi_square}"); // the 0.999 quantile at 23 degrees of freedom
}

#[test]
fn below_one_and_below_nothing_is_zero() {
    let mut stream = Stream::new(6, "edge");
    assert_eq!((stream.below(1), stream.below(0)), (0, 0));
}
