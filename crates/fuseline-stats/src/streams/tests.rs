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
    let mut shuffler = stream.shuffler();
    orders_are_alike(|items| stream.shuffle(items));
    orders_are_alike(|items| shuffler.shuffle(items));
}

fn orders_are_alike(mut shuffle: impl FnMut(&mut [u32; 4])) {
    let mut seen = std::collections::BTreeMap::<[u32; 4], f64>::new();
    let draws = 24_000.0;
    for _ in 0..24_000 {
        let mut items = [0, 1, 2, 3];
        shuffle(&mut items);
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

#[test]
fn a_shuffler_draws_below_limits_without_bias() {
    let mut shuffler = Stream::new(7, "limits").shuffler();
    // A third of the words is refused at 3 * 2^30, none at 2^32: a bias would show in the thirds,
    // the halves.
    for (limit, parts) in [(3_u64 << 30, 3), (1 << 32, 2), (5, 5), (1, 1)] {
        let mut counts = vec![0.0; parts as usize];
        for _ in 0..30_000 {
            counts[(shuffler.below(limit) as u64 / (limit / parts)) as usize] += 1.0;
        }
        let expected = 30_000.0 / parts as f64;
        for count in counts {
            let sd = (expected * (1.0 - 1.0 / parts as f64)).sqrt();
            assert!((count - expected).abs() <= 4.5 * sd, "{limit}: {count} of {expected}");
        }
    }
}
