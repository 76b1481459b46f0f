//! The permutation engine: how many rows a second a frozen rule is asked about under permuted quality.
//!
//! `cargo bench -p fuseline-stages --bench permute -- --rows 370 --classes 2 --rules lr,moe --permutations 1000 --threads 1`
//! prints one JSON line a rule: the least time of `--repeats` runs of `diagnose.permute_quality`, drawing, prediction, the
//! output law, counting and the proof that the model is frozen included. Without arguments, as `cargo test` calls it, every
//! rule runs once on a few rows, and its counts are compared between one thread and two.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that fails fails aloud")]

use std::process::ExitCode;
use std::time::Instant;

use fuseline_artifact::{Cohort, Control, Evidence, ExampleEffects, Model, Permutations, Quality};
use fuseline_engine::{FileDigests, InputsBuilder, Outputs, Services, StageError, StageKind};
use fuseline_host::{Isolation, PluginLibrary};
use fuseline_stages::diagnose::permute_quality::PermuteQuality;
use fuseline_stages::fusion::fit::Fit;
use serde_json::{Value, json};

const MODALITIES: usize = 3;
const RULES: &str =
    "mean,weighted_mean,lr,moe,hgb,product,max_confidence,dempster_shafer,attention";

/// Numbers that look random and are the same everywhere (SplitMix64).
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
        let example_id: Vec<String> = (0..rows).map(|row| format!("{name}{row:07}")).collect();
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
                probabilities,
            });
            quality.push(Quality {
                modality: format!("modality{modality}"),
                source: "made up".to_owned(),
                control: Control::Native,
                evidence_derived: false,
                example_id: example_id.clone(),
                quality: values,
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
