//! The calibration table of `docs/method.md`:
//! `cargo run -p fuseline-stats --example calibration [SEEDS [what-for]]`.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::unwrap_used, reason = "the simulated studies are well formed")]

mod study;

use fuseline_stats::permutation::Scheme;
use study::{Design, Quality, Rejections, coverage, rejections, true_gap};

/// The five schemes that decompose a gap.
const SCHEMES: [Scheme; 5] = [
    Scheme::Joint,
    Scheme::WithinClass,
    Scheme::WithinCorrect,
    Scheme::Conditional,
    Scheme::ConditionalResidual,
];

/// Results of each scheme for qualities of known nature.
fn what_for(base: Design, seeds: u64) {
    println!("What quality is used for, {seeds} seeds, 199 permutations: p <= 0.05, mean gap\n");
    let names: Vec<&str> = SCHEMES.iter().map(|scheme| scheme.name()).collect();
    println!("| quality | R2 given the evidence | {} |", names.join(" | "));
    println!("|---|---|{}", "---|".repeat(names.len()));
    for (name, quality, cue) in [
        ("noise", Quality::Aligned(0.0), 0.1),
        ("reliability: 1 where the expert is right", Quality::Aligned(1.0), 0.0),
        ("the same, a rule that looks for a cue too", Quality::Aligned(1.0), 0.1),
        ("class cue of 0.5", Quality::ClassCue(0.5), 0.1),
        ("margin", Quality::Margin, 0.0),
        ("noise and 0.35 of the margin", Quality::NoisyMargin(0.35), 0.0),
        ("noise and 0.7 of the margin", Quality::NoisyMargin(0.7), 0.0),
    ] {
        let design = Design { quality, cue, ..base };
        let r2: f64 = (0..100)
            .map(|seed| study::Study::draw(&design, seed).r2().iter().sum::<f64>() / 300.0)
            .sum();
        let cells: Vec<String> = SCHEMES
            .iter()
            .map(|&scheme| {
                let found = rejections(&design, scheme, 199, seeds, &[0.05]);
                let share = 100.0 * found.counts[0] as f64 / seeds as f64;
                format!("{share:.1} %, {:+.1} pp", 100.0 * found.gap)
            })
            .collect();
        println!("| {name} | {r2:.2} | {} |", cells.join(" | "));
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let seeds = args.next().and_then(|seeds| seeds.parse().ok()).unwrap_or(2000);
    let percent = |count: u64| format!("{:.1} %", 100.0 * count as f64 / seeds as f64);
    let base = Design {
        examples: 200,
        groups: 40,
        clustering: 0.2,
        quality: Quality::Aligned(0.0),
        label_by_group: false,
        cue: 0.0,
    };

    what_for(base, seeds);
    if args.next().as_deref() == Some("what-for") {
        return;
    }

    println!("\nType-I error, {seeds} seeds, 200 examples in 40 groups, 199 permutations\n");
    println!("| quality | labels | scheme | p <= 0.05 | p <= 0.10 | 0.05, ties at random | 0.10 |");
    println!("|---|---|---|---|---|---|---|");
    let (noise, half) = (Quality::Aligned(0.0), Quality::Clustered(0.5));
    for (name, quality, label_by_group, scheme) in [
        ("noise", noise, false, Scheme::Joint),
        ("noise", noise, false, Scheme::PerModality),
        ("noise", noise, false, Scheme::WithinGroup),
        ("noise", noise, false, Scheme::Conditional),
        ("noise, half of its variance between groups", half, false, Scheme::Joint),
        ("noise, half of its variance between groups", half, false, Scheme::WithinGroup),
        ("noise, half of its variance between groups", half, true, Scheme::Joint),
        ("noise, half of its variance between groups", half, true, Scheme::WithinGroup),
        ("the expert's own margin", Quality::Margin, false, Scheme::Joint),
        ("the expert's own margin", Quality::Margin, false, Scheme::Conditional),
    ] {
        let design = Design { quality, label_by_group, ..base };
        let Rejections { counts, randomised, .. } =
            rejections(&design, scheme, 199, seeds, &[0.05, 0.10]);
        let (labels, scheme) =
            (if label_by_group { "by group" } else { "by example" }, scheme.name());
        println!(
            "| {name} | {labels} | {scheme} | {} | {} | {:.1} % | {:.1} % |",
            percent(counts[0]),
            percent(counts[1]),
            100.0 * randomised[0] / seeds as f64,
            100.0 * randomised[1] / seeds as f64
        );
    }

    let sizes = [100, 200, 400, 800];
    println!("\nPower at p <= 0.05, joint, 5 examples a group\n");
    println!(
        "| alpha | true gap | n = 100 | n = 200 | n = 400 | n = 800 |\n|---|---|---|---|---|---|"
    );
    for alpha in [0.0, 0.25, 0.5, 1.0, 2.0] {
        let design = Design { quality: Quality::Aligned(alpha), ..base };
        let cells: Vec<String> = sizes
            .iter()
            .map(|&examples| {
                let design = Design { examples, groups: examples / 5, ..design };
                percent(rejections(&design, Scheme::Joint, 199, seeds / 2, &[0.05]).counts[0] * 2)
            })
            .collect();
        println!("| {alpha} | {:.3} | {} |", true_gap(&design), cells.join(" | "));
    }

    println!("\nIntervals of confidence 0.95, 5 examples a group, 1000 resamples of groups\n");
    println!(
        "| alpha | groups | true gap | percentile | BCa | equivalence at a margin of the true gap |"
    );
    println!("|---|---|---|---|---|---|");
    for alpha in [0.0, 1.0] {
        let design = Design { quality: Quality::Aligned(alpha), ..base };
        let truth = if alpha == 0.0 { 0.0 } else { true_gap(&design) };
        for groups in [10, 20, 40, 80] {
            let design = Design { examples: 5 * groups, groups, ..design };
            let found = coverage(&design, truth, seeds, 0.95);
            let wrong = if alpha == 0.0 { "-".to_owned() } else { percent(found.equivalent) };
            println!(
                "| {alpha} | {groups} | {:.3} | {} | {} | {wrong} |",
                found.truth,
                percent(found.holds[0]),
                percent(found.holds[1])
            );
        }
    }
}
