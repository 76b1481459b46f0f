use super::*;
use crate::diagnose::summarize::below_chance;

/// A model over two modalities and two classes: the evidence of class 1, weighted by quality.
struct Gate<'a> {
    examples: &'a Examples,
    /// Added to every answer after the first: a model that is not frozen.
    drift: f64,
    asked: usize,
    uses_quality: bool,
}

impl<'a> Gate<'a> {
    fn new(examples: &'a Examples) -> Self {
        Self { examples, drift: 0.0, asked: 0, uses_quality: true }
    }

    fn row(&self, row: usize, quality: [f64; 2]) -> [f64; 2] {
        let evidence = self.examples.evidence.as_ref().unwrap();
        let weights =
            if self.uses_quality { quality.map(|q| libm::exp(2.0 * q)) } else { [1.0; 2] };
        let sum = weights[0] + weights[1];
        let one = (0..2).map(|m| weights[m] * evidence[(row * 2 + m) * 2 + 1]).sum::<f64>() / sum;
        [1.0 - one, one]
    }
}

impl Answerer for Gate<'_> {
    fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError> {
        let rows = self.examples.label.len();
        let quality = |row: usize, m: usize| self.examples.quality[row * 2 + m];
        let mut answer = Vec::new();
        match question {
            Question::Clean => (0..rows).for_each(|row| {
                answer.extend(self.row(row, [quality(row, 0), quality(row, 1)]));
            }),
            Question::Neutral => (0..rows).for_each(|row| answer.extend(self.row(row, [0.5; 2]))),
            Question::Broken { index, columns, .. } | Question::Mixed { index, columns } => {
                for permutation in index.chunks_exact(columns * rows) {
                    for row in 0..rows {
                        let of = |m: usize| permutation[(m % columns) * rows + row] as usize;
                        answer.extend(self.row(row, [quality(of(0), 0), quality(of(1), 1)]));
                    }
                }
            }
        }
        if self.asked > 0 {
            answer[0] += self.drift;
            answer[1] -= self.drift;
        }
        self.asked += 1;
        Ok(answer)
    }
}

/// Examples in which one modality of the two is right, and quality tells which.
fn examples(rows: usize) -> Examples {
    let mut state = 7_u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut of = Examples {
        classes: vec!["rest".to_owned(), "stress".to_owned()],
        value: None,
        modalities: vec!["audio".to_owned(), "video".to_owned()],
        available: vec![true; rows * 2],
        channels: 1,
        evidence: Some(Vec::new()),
        ..Examples::default()
    };
    for row in 0..rows {
        let (label, right) = ((uniform() < 0.5) as u32, (uniform() < 0.5) as usize);
        of.example_id.push(format!("{:03}", (row * 37) % rows));
        of.group.push(format!("g{}", row % 20));
        of.label.push(label);
        for m in 0..2 {
            let truth = if m == right { label } else { 1 - label };
            let p = 0.55 + 0.4 * uniform();
            let one = if truth == 1 { p } else { 1.0 - p };
            of.evidence.as_mut().unwrap().extend([1.0 - one, one]);
            of.quality.push(if m == right { 1.0 } else { 0.0 } + 0.2 * uniform());
        }
    }
    of
}

fn settings() -> Settings {
    Settings { permutations: 300, equivalence_margin: Some(0.02), ..Settings::default() }
}

#[test]
fn a_model_that_follows_quality_has_a_gap_and_one_that_does_not_has_none() {
    let examples = examples(200);
    let found = diagnose(&examples, &settings(), &mut Gate::new(&examples)).unwrap();
    assert!(found.gap > 0.2 && found.interval[0] > 0.1, "{found:?}");
    assert!((found.p_value - 1.0 / 301.0).abs() < 1e-12);
    assert!(found.gain > 0.2 && found.gain_interval[0] > 0.1);
    assert!(found.ba_oracle > Some(0.99) && found.headroom.is_some());
    assert!(found.alignment.iter().all(|(_, auroc)| *auroc > Some(0.95)));
    assert_eq!((found.share_movable, found.not_testable), (1.0, None));

    let mut blind = Gate { uses_quality: false, ..Gate::new(&examples) };
    let found = diagnose(&examples, &settings(), &mut blind).unwrap();
    assert_eq!((found.gap, found.flip_rate, found.p_value), (0.0, 0.0, 1.0));
}

#[test]
fn the_order_of_the_rows_changes_nothing() {
    let examples = examples(60);
    let found = diagnose(&examples, &settings(), &mut Gate::new(&examples)).unwrap();
    let mut turned = examples.clone();
    turned.example_id.reverse();
    turned.group.reverse();
    turned.label.reverse();
    let turn = |values: &[f64], width: usize| -> Vec<f64> {
        values.chunks_exact(width).rev().flatten().copied().collect()
    };
    turned.quality = turn(&examples.quality, 2);
    turned.evidence = examples.evidence.as_ref().map(|values| turn(values, 4));
    let again = diagnose(&turned, &settings(), &mut Gate::new(&turned)).unwrap();
    assert_eq!(format!("{found:?}"), format!("{again:?}"));
}

#[test]
fn a_tolerance_below_0_is_no_model_that_is_not_frozen() {
    let examples = examples(40);
    for tolerance in [-1.0, f64::NAN] {
        let settings = Settings { tolerance, ..settings() };
        let error = diagnose(&examples, &settings, &mut Gate::new(&examples)).unwrap_err();
        assert!(error.message.starts_with("`tolerance` must be "), "{error:?}");
    }
}

#[test]
fn a_limit_of_time_begins_with_small_blocks_and_gives_the_same_numbers() {
    struct Timed<'a>(Gate<'a>, Vec<u32>);
    impl Answerer for Timed<'_> {
        fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError> {
            if let Question::Broken { count, .. } = question {
                self.1.push(*count);
            }
            self.0.answer(question)
        }
        fn is_timed(&self) -> bool {
            true
        }
    }
    let examples = examples(40);
    let mut timed = Timed(Gate::new(&examples), Vec::new());
    let found = diagnose(&examples, &settings(), &mut timed).unwrap();
    let untimed = diagnose(&examples, &settings(), &mut Gate::new(&examples)).unwrap();
    assert_eq!(format!("{found:?}"), format!("{untimed:?}"));
    assert_eq!((&timed.1[..6], timed.1.iter().sum()), (&[1, 2, 3, 4, 5, 6][..], 300));
}

#[test]
fn a_model_that_answers_otherwise_at_the_end_is_not_frozen() {
    let examples = examples(40);
    let mut drifting = Gate { drift: 1e-9, ..Gate::new(&examples) };
    let error = diagnose(&examples, &settings(), &mut drifting).unwrap_err();
    assert!(error.message.starts_with("the model is not frozen"), "{}", error.message);
    assert!(error.message.contains("example 000"), "{}", error.message);
    let tolerant = Settings { tolerance: 1e-8, ..settings() };
    let mut drifting = Gate { drift: 1e-9, ..Gate::new(&examples) };
    let found = diagnose(&examples, &tolerant, &mut drifting).unwrap();
    assert!(found.largest_drift > 0.0 && found.largest_drift < 1e-8);
}

/// A model that takes the mean quality of the batch off first, as normalisation does that was not
/// put into evaluation mode.
struct Centred<'a>(Gate<'a>);

impl Answerer for Centred<'_> {
    fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError> {
        let examples = self.0.examples;
        let rows: u32 = examples.label.len().try_into().unwrap();
        let own: Vec<u32> = (0..rows).collect();
        let index = match question {
            Question::Broken { index, .. } | Question::Mixed { index, .. } => index,
            Question::Clean | Question::Neutral => own.as_slice(),
        };
        let mut answer = Vec::new();
        for permutation in index.chunks_exact(rows as usize) {
            let quality = |row: u32| [0, 1].map(|m| examples.quality[row as usize * 2 + m]);
            let mean = [0, 1].map(|m| {
                permutation.iter().map(|&row| quality(row)[m]).sum::<f64>() / f64::from(rows)
            });
            for (row, &other) in permutation.iter().enumerate() {
                let quality = quality(other);
                answer.extend(self.0.row(row, [0, 1].map(|m| quality[m] - mean[m])));
            }
        }
        Ok(answer)
    }
}

#[test]
fn a_model_that_normalises_over_the_batch_is_refused() {
    let examples = examples(40);
    let error = diagnose(&examples, &settings(), &mut Centred(Gate::new(&examples))).unwrap_err();
    assert!(error.message.contains("depends on the quality of others"), "{}", error.message);
    let tolerant = Settings { tolerance: 1.0, ..settings() };
    diagnose(&examples, &tolerant, &mut Centred(Gate::new(&examples))).unwrap();
}

#[test]
fn quality_of_one_value_is_not_testable() {
    let mut examples = examples(40);
    examples.quality.fill(0.5);
    let found = diagnose(&examples, &settings(), &mut Gate::new(&examples)).unwrap();
    assert!(found.not_testable.is_some_and(|reason| reason.contains("one value")));

    let mut alone = self::examples(40);
    alone.group.clone_from(&alone.example_id);
    let within = Settings { scheme: Scheme::WithinGroup, ..settings() };
    let found = diagnose(&alone, &within, &mut Gate::new(&alone)).unwrap();
    assert!(found.not_testable.is_some_and(|reason| reason.contains("alone")));
}

#[test]
fn what_a_scheme_leaves_in_place_is_not_tested() {
    // One example of 200 has another quality: it changes for two examples on average.
    let mut rare = examples(200);
    rare.quality.fill(1.0);
    rare.quality[0] = 0.0;
    let found = diagnose(&rare, &settings(), &mut Gate::new(&rare)).unwrap();
    let reason = found.not_testable.unwrap_or_default();
    assert!(reason.contains("2.0 examples on average, too few"), "{reason}");
    assert_ne!(found.equivalent, Some(true));

    // Bins so fine that most examples have no partner.
    let examples = examples(200);
    let fine = Settings { scheme: Scheme::Conditional, bins: 20, ..settings() };
    let mut blind = Gate { uses_quality: false, ..Gate::new(&examples) };
    let found = diagnose(&examples, &fine, &mut blind).unwrap();
    let reason = found.not_testable.unwrap_or_default();
    assert!(reason.contains("where a joint permutation changes"), "{reason}");
    assert_ne!(found.equivalent, Some(true));

    // What moved, and did not matter, bounds the others as well: the bound is wider by as much.
    let coarse = Settings { bins: 5, ..fine };
    let dense = diagnose(&examples, &coarse, &mut blind).unwrap();
    let joint = diagnose(&examples, &settings(), &mut blind).unwrap();
    let share = dense.share_changed / joint.share_changed;
    assert!(share < 0.99, "{share}");
    assert!((dense.bound[1] * share - joint.bound[1]).abs() < 1e-9, "{dense:?}");
}

#[test]
fn a_p_value_of_groups_that_are_alike_is_in_doubt() {
    let mut examples = examples(200);
    let found = diagnose(&examples, &settings(), &mut Gate::new(&examples)).unwrap();
    assert_eq!(found.p_doubt, None);
    // A quality and a label for each group.
    for row in 0..200 {
        examples.label[row] = (row % 20 % 2) as u32;
        examples.quality[2 * row] = (row % 20) as f64 / 20.0;
        examples.quality[2 * row + 1] = (row % 20) as f64 / 20.0;
    }
    let found = diagnose(&examples, &settings(), &mut Gate::new(&examples)).unwrap();
    assert!(found.p_doubt.is_some_and(|reason| reason.contains("`whole_groups` exchanges groups")));
    let whole = Settings { scheme: Scheme::WholeGroups, ..settings() };
    let found = diagnose(&examples, &whole, &mut Gate::new(&examples)).unwrap();
    assert_eq!(found.p_doubt, None);
    let each = Settings { scheme: Scheme::PerModality, ..settings() };
    for row in 0..200 {
        examples.group[row] = format!("g{row}");
    }
    let found = diagnose(&examples, &each, &mut Gate::new(&examples)).unwrap();
    assert!(found.p_doubt.is_some_and(|reason| reason.contains("are related (Spearman 1.00)")));
}

#[test]
fn accuracy_below_that_of_guesses_is_cautioned_of() {
    let examples = examples(200);
    let found = diagnose(&examples, &settings(), &mut Gate::new(&examples)).unwrap();
    assert_eq!(found.cautions, [""; 0]);
    let mut turned = examples.clone();
    turned.label.iter_mut().for_each(|label| *label = 1 - *label);
    let found = diagnose(&turned, &settings(), &mut Gate::new(&turned)).unwrap();
    assert!(found.cautions[0].contains("where guesses have 0.50"), "{:?}", found.cautions);
    // Of few examples, chance explains much.
    assert_eq!(below_chance(&[false; 4], &[0, 0, 1, 1], 2), None);
    assert_eq!(below_chance(&[false; 9], &[0, 0, 0, 1, 1, 1, 2, 2, 2], 3), None);
}

#[test]
fn decisions_that_the_order_of_classes_makes_are_cautioned_of() {
    let mut examples = examples(200);
    examples.evidence.as_mut().unwrap()[..20 * 4].fill(0.5);
    let found = diagnose(&examples, &settings(), &mut Gate::new(&examples)).unwrap();
    assert!(found.cautions[0].starts_with("20 of 200 decisions"), "{:?}", found.cautions);
}

#[test]
fn a_sequential_test_stops_early_only_where_there_is_nothing() {
    let examples = examples(200);
    let many = Settings { permutations: 5000, stop: Stop::Sequential, ..settings() };
    let mut blind = Gate { uses_quality: false, ..Gate::new(&examples) };
    let found = diagnose(&examples, &many, &mut blind).unwrap();
    assert!(found.n_permutations < 200, "{}", found.n_permutations);
    assert_eq!(found.p_value, 1.0);
    let found = diagnose(&examples, &many, &mut Gate::new(&examples)).unwrap();
    assert_eq!(found.n_permutations, 5000);
}

#[test]
fn answers_that_are_no_probabilities_are_refused() {
    struct Logits(usize);
    impl Answerer for Logits {
        fn answer(&mut self, _: &Question<'_>) -> Result<Vec<f64>, StageError> {
            Ok([2.0, -1.0].repeat(self.0))
        }
    }
    let examples = examples(10);
    let error = diagnose(&examples, &settings(), &mut Logits(10)).unwrap_err();
    assert!(error.message.contains("no probabilities"), "{}", error.message);
    let error = diagnose(&examples, &settings(), &mut Logits(9)).unwrap_err();
    assert!(error.message.contains("18 values"), "{}", error.message);
}

/// A model of numbers: two modalities say the label with noise of a size that quality tells, or
/// does not, and the answer weights them by quality.
struct Numbers {
    said: Vec<f64>,
    quality: Vec<f64>,
}

impl Numbers {
    fn row(&self, row: usize, quality: [f64; 2]) -> f64 {
        let weights = quality.map(|q| libm::exp(2.0 * q));
        let sum = weights[0] + weights[1];
        (0..2).map(|m| weights[m] * self.said[row * 2 + m]).sum::<f64>() / sum
    }
}

impl Answerer for Numbers {
    fn answer(&mut self, question: &Question<'_>) -> Result<Vec<f64>, StageError> {
        let rows = self.said.len() / 2;
        let own = |row: usize| [self.quality[row * 2], self.quality[row * 2 + 1]];
        Ok(match question {
            Question::Clean => (0..rows).map(|row| self.row(row, own(row))).collect(),
            Question::Neutral => (0..rows).map(|row| self.row(row, [0.0; 2])).collect(),
            Question::Broken { index, .. } | Question::Mixed { index, .. } => {
                let rows = index.iter().zip((0..rows).cycle());
                rows.map(|(from, row)| self.row(row, own(*from as usize))).collect()
            }
        })
    }
}

/// A study of numbers whose quality tells the size of the noise, or nothing.
fn numbers(rows: usize, tells: bool, seed: u64) -> (Examples, Numbers) {
    use fuseline_stats::streams::Stream;
    let mut draw = Stream::new(seed, "numbers");
    let (mut value, mut said, mut quality) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        let label = draw.normal();
        value.push(label);
        for _ in 0..2 {
            let latent = draw.normal();
            let other = draw.normal();
            said.push(label + libm::exp(-latent) * draw.normal());
            quality.push(if tells { latent } else { other });
        }
    }
    let example_id: Vec<String> = (0..rows).map(|row| format!("e{row:04}")).collect();
    let examples = Examples {
        group: example_id.clone(),
        example_id,
        label: vec![0; rows],
        classes: vec!["value".to_owned()],
        value: Some(value),
        modalities: vec!["a".to_owned(), "b".to_owned()],
        available: vec![true; rows * 2],
        quality: quality.clone(),
        channels: 1,
        evidence: None,
    };
    (examples, Numbers { said, quality })
}

#[test]
fn p_values_of_numbers_are_uniform_under_the_null() {
    let studies = 300;
    let mut p: Vec<f64> = (0..studies)
        .map(|seed| {
            let (examples, mut model) = numbers(40, false, seed);
            let settings = Settings {
                permutations: 99,
                bootstrap: 2,
                seed,
                metric: Some([Metric::Mae, Metric::Concordance][seed as usize % 2]),
                ..Settings::default()
            };
            diagnose(&examples, &settings, &mut model).unwrap().p_value
        })
        .collect();
    p.sort_by(f64::total_cmp);
    // Kolmogorov and Smirnov, with p on its grid of 0.01: 1.63 is the 1 % point.
    let distance = p.iter().zip(1..).fold(0.0_f64, |worst, (p, rank)| {
        let below = f64::from(rank) / studies as f64;
        worst.max((below - p).abs())
    });
    assert!(distance < 1.63 / (studies as f64).sqrt() + 0.01, "{distance}");
}

#[test]
fn a_gap_of_numbers_is_positive_where_breaking_quality_hurts_whatever_the_metric() {
    let (examples, _) = numbers(300, true, 5);
    for metric in [Metric::Mae, Metric::Rmse, Metric::Pearson, Metric::Concordance] {
        let (_, mut model) = numbers(300, true, 5);
        let settings = Settings {
            permutations: 199,
            bootstrap: 500,
            metric: Some(metric),
            ..Settings::default()
        };
        let found = diagnose(&examples, &settings, &mut model).unwrap();
        let of = found.metric.as_ref().unwrap();
        assert!(found.gap > 0.0 && found.p_value <= 0.01, "{metric:?} {found:?}");
        assert!(found.interval[0] > 0.0 && found.interval[0] < found.gap);
        assert!(found.gap < found.interval[1] && found.gain > 0.0);
        assert!(found.ba_clean.is_nan() && found.flip_rate.is_nan() && of.shift > 0.0);
        let more = matches!(metric, Metric::Pearson | Metric::Concordance);
        assert_eq!(more, of.clean > of.broken);
    }
    let (mut evidence, mut model) = numbers(40, true, 1);
    evidence.evidence = Some(vec![0.0; 80]);
    let settings = Settings { metric: Some(Metric::Mae), ..Settings::default() };
    assert!(diagnose(&evidence, &settings, &mut model).is_err());
    // Numbers without a metric, and a metric without numbers.
    let (examples, mut model) = numbers(40, true, 1);
    assert!(diagnose(&examples, &Settings::default(), &mut model).is_err());
    let none = Examples { value: None, ..examples };
    assert!(diagnose(&none, &settings, &mut model).is_err());
}
