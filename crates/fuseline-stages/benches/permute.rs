//! The permutation engine: how many rows a second a frozen rule is asked about under permuted
//! quality.
//!
//! `cargo bench -p fuseline-stages --bench permute -- --rows 370 --classes 2 --rules lr,moe --permutations 1000 --threads 1`
//! prints one JSON line a rule: the least time of `--repeats` runs of `diagnose.permute_quality`,
//! drawing, prediction, the output law, counting and the proof that the model is frozen included.
//! `--machine` prints what the processor does at best, for the bound that `bench/numbers/table.py`
//! computes. Without arguments, as `cargo test` calls it, every rule runs once on a few rows, and
//! its counts are compared between one thread and two.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails fails aloud")]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use fuseline_artifact::{
    Cohort, Control, Evidence, ExampleEffects, Model, Permutations, Quality, Texts,
};
use fuseline_engine::{FileDigests, InputsBuilder, Outputs, Services, StageError, StageKind};
use fuseline_host::{Isolation, PluginLibrary};
use fuseline_plugin::vector::wide;
use fuseline_stages::diagnose::permute_quality::PermuteQuality;
use fuseline_stages::fusion::fit::Fit;
use fuseline_stats::permutation::{Permuter, Rows, Scheme};
use serde_json::{Value, json};

const MODALITIES: usize = 3;
const RULES: &str =
    "mean,weighted_mean,lr,moe,hgb,product,max_confidence,dempster_shafer,attention";

/// Pseudo-random numbers, the same on every machine (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Examples whose experts are the better the higher their quality.
struct Study {
    cohort: Cohort,
    evidence: Vec<Evidence>,
    quality: Vec<Quality>,
}

impl Study {
    fn new(name: &str, rows: usize, classes: usize, seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let example_id: Texts = (0..rows).map(|row| format!("{name}{row:07}")).collect();
        let label: Vec<u32> = (0..rows).map(|row| (row % classes) as u32).collect();
        let class_names: Vec<String> = (0..classes).map(|class| format!("class{class}")).collect();
        let (mut evidence, mut quality) = (Vec::new(), Vec::new());
        for modality in 0..MODALITIES {
            let (mut probabilities, mut values) = (Vec::new(), Vec::new());
            for &label in &label {
                let reliability = numbers.uniform();
                let start = probabilities.len();
                for class in 0..classes {
                    let knows = if class == label as usize { 3.0 * reliability } else { 0.0 };
                    probabilities.push(0.05 + numbers.uniform() + knows);
                }
                let total: f64 = probabilities[start..].iter().sum();
                probabilities[start..].iter_mut().for_each(|p| *p /= total);
                values.push(reliability + 0.1 * numbers.uniform());
            }
            evidence.push(Evidence {
                modality: format!("modality{modality}"),
                classes: class_names.clone(),
                example_id: example_id.clone(),
                probabilities: probabilities.into(),
                inner_fold: None,
                logits: None,
            });
            quality.push(Quality {
                modality: format!("modality{modality}"),
                source: "made up".to_owned(),
                control: Control::Native,
                evidence_derived: false,
                example_id: example_id.clone(),
                quality: values.into(),
            });
        }
        let group = (0..rows).map(|row| format!("{name} group {:06}", row / 7)).collect();
        Self {
            cohort: Cohort { example_id, group, label, classes: class_names },
            evidence,
            quality,
        }
    }

    fn give<'a>(&self, mut inputs: InputsBuilder<'a>) -> Result<InputsBuilder<'a>, StageError> {
        inputs = inputs.artifact("cohort", vec![], self.cohort.clone())?;
        for (evidence, quality) in self.evidence.iter().zip(&self.quality) {
            inputs = inputs.artifact("evidence", vec![], evidence.clone())?.artifact(
                "quality",
                vec![],
                quality.clone(),
            )?;
        }
        Ok(inputs)
    }
}

fn stage<K: StageKind>(options: Value) -> K {
    serde_json::from_value(options).unwrap()
}

fn fit(services: &Services, study: &Study, rule: &str) -> Model {
    let inputs = study.give(InputsBuilder::new(services, 1)).unwrap().build();
    let mut outputs = Outputs::default();
    stage::<Fit>(json!({ "rule": rule })).run(&inputs, &mut outputs).unwrap();
    outputs.get("model").unwrap()
}

fn permute(
    services: &Services,
    study: &Study,
    model: &Model,
    permutations: u32,
    threads: usize,
) -> (f64, Permutations, ExampleEffects) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let inputs = study.give(InputsBuilder::new(services, 1)).unwrap();
    let inputs = inputs.artifact("model", vec![], model.clone()).unwrap().build();
    let kind: PermuteQuality = stage(json!({ "permutations": permutations }));
    let mut outputs = Outputs::default();
    let started = Instant::now();
    pool.install(|| kind.run(&inputs, &mut outputs)).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    (seconds, outputs.get("permutations").unwrap(), outputs.get("effects").unwrap())
}

/// The least nanoseconds a unit of what is repeated for a fifth of a second.
fn least(units: usize, mut work: impl FnMut()) -> f64 {
    let (begun, mut least) = (Instant::now(), f64::INFINITY);
    while begun.elapsed().as_millis() < 200 {
        let started = Instant::now();
        work();
        least = least.min(started.elapsed().as_secs_f64());
    }
    least * 1e9 / units as f64
}

/// Best times of this processor, in nanoseconds: a cycle, a sum or product among many in
/// vectors, drawing a row of a permutation, reading and writing 8 bytes that are near (1 MiB) and
/// far (32 MiB).
fn machine(rows: usize) -> Value {
    const STEPS: usize = 4096;
    let cycle = least(4 * STEPS, || {
        // Each step waits for the product, three cycles, and the difference, one, of the step
        // before.
        let state = (0..STEPS).fold(black_box(1_u64), |state, _| {
            state.wrapping_mul(0x5851_F42D_4C95_7F2D) ^ (state >> 7)
        });
        black_box(state);
    });
    let mut lanes = [1.0_f64; 64];
    let operation = least(2 * 64 * STEPS, || {
        let lanes = black_box(&mut lanes);
        wide(
            #[inline(always)]
            || {
                let mut own = *lanes;
                for _ in 0..STEPS {
                    own.iter_mut().for_each(|lane| *lane = *lane * 0.999 + 0.001);
                }
                *lanes = own;
            },
        );
    });
    let available = vec![true; rows];
    let of = Rows { modalities: 1, available: &available, group: None, stratum: None, digest: b"" };
    let permuter = Permuter::new(Scheme::Joint, &of, 1).unwrap();
    let mut index = vec![0; rows];
    let times = 100_000_usize.div_ceil(rows);
    let draw = least(times * rows, || {
        (0..times as u64).for_each(|number| permuter.draw_into(number, black_box(&mut index)));
    });
    let memory = |bytes: usize| {
        let mut words = vec![0_u64; bytes / 8];
        let write = least(words.len(), || black_box(&mut words).fill(1));
        let read = least(words.len(), || {
            let sum = |words: &[u64]| words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
            black_box(wide(
                #[inline(always)]
                || sum(black_box(&words)),
            ));
        });
        (read, write)
    };
    let (near, far) = (memory(1 << 20), memory(1 << 25));
    json!({
        "machine": { "cycle": cycle, "operation": operation, "read_near": near.0, "write_near": near.1,
            "read_far": far.0, "write_far": far.1 },
        "rows": rows, "draw": draw,
    })
}

fn main() -> ExitCode {
    if let Some(end) = fuseline_host::worker::run_if_asked() {
        return end;
    }
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let number =
        |name: &str, default: usize| option(name).map_or(default, |text| text.parse().unwrap());
    let asked = option("--rows").is_some();
    let (rows, classes) = (number("--rows", 60), number("--classes", 2));
    let (permutations, repeats) = (number("--permutations", 20) as u32, number("--repeats", 3));
    if arguments.iter().any(|argument| argument == "--machine") {
        println!("{}", machine(rows));
        return ExitCode::SUCCESS;
    }
    let isolation = if arguments.iter().any(|argument| argument == "--worker") {
        Isolation::Worker
    } else {
        Isolation::InProcess
    };
    let beside = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let services = Services {
        plugins: PluginLibrary::new(vec![option("--plugins").map_or(beside, Into::into)]),
        isolation: Some(isolation),
        files: FileDigests::default(),
        shared: Default::default(),
    };
    let train = Study::new("train", rows.clamp(60, 400 * classes), classes, 1);
    let test = Study::new("test", rows, classes, 2);
    for rule in option("--rules").unwrap_or(RULES).split(',') {
        let model = fit(&services, &train, rule);
        let run = |threads| permute(&services, &test, &model, permutations, threads);
        if !asked {
            let (one, two) = (run(1), run(2));
            assert_eq!((one.1, one.2), (two.1, two.2), "{rule}: two threads count otherwise");
            continue;
        }
        let threads = number("--threads", 1);
        let least = (0..repeats).map(|_| run(threads).0).fold(f64::INFINITY, f64::min);
        let line = json!({
            "rule": rule, "rows": rows, "classes": classes, "permutations": permutations,
            "threads": threads, "seconds": least,
            "rows_per_second": rows as f64 * f64::from(permutations) / least,
        });
        println!("{line}");
    }
    ExitCode::SUCCESS
}
