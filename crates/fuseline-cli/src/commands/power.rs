//! `fuseline power`: what a study could find, before it is made.

use fuseline_stats::binomial::clopper_pearson;
use fuseline_stats::power::{Design, Power, detectable, power};
use rayon::prelude::*;
use serde_json::json;

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::print;

/// AUROCs of quality for the expert being right that are tried.
const ALIGNMENTS: [f64; 8] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9];

/// Arguments of `power`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline power --classes 317,53
  fuseline power --classes 60,60 --modalities 2 --accuracy 0.65 --alignment 0.6 --format json

Each study is simulated: experts that see the label through noise, quality that is higher where the
expert is right, the rule weighted_mean, joint permutations. A rule that reads more out of quality
finds more, experts that err together less; examples of a group that are alike count for fewer.")]
pub struct Args {
    /// Tested examples of each class
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', required = true)]
    pub classes: Vec<u32>,
    /// Number of modalities
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub modalities: usize,
    /// Balanced accuracy of each expert alone
    #[arg(long, default_value_t = 0.7, value_name = "SHARE")]
    pub accuracy: f64,
    /// AUROC of quality for the expert being right; several from none to strong when left out
    #[arg(long, value_name = "AUROC,...", value_delimiter = ',')]
    pub alignment: Vec<f64>,
    /// Permutations of each simulated study
    #[arg(long, default_value_t = 199, value_name = "N")]
    pub permutations: u32,
    /// Number of studies simulated at each alignment
    #[arg(long, default_value_t = 400, value_name = "N")]
    pub studies: u32,
    /// Level of the test, of one condition by itself
    #[arg(long, default_value_t = 0.05, value_name = "SHARE")]
    pub alpha: f64,
    /// Seed of the studies
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Output format of the table
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let design = Design {
        class_sizes: args.classes.clone(),
        modalities: args.modalities,
        accuracy: args.accuracy,
        permutations: args.permutations,
    };
    if !(args.alpha > 0.0 && args.alpha < 1.0) || args.studies == 0 {
        return Err(Failure::wrong("--alpha lies between 0 and 1, and --studies is 1 or more"));
    }
    if f64::from(args.permutations) + 1.0 < 1.0 / args.alpha - 1e-9 {
        return Err(Failure::wrong(format!(
            "{} permutations give no p-value as small as {}",
            args.permutations, args.alpha
        )));
    }
    let alignments = match args.alignment.as_slice() {
        [] => ALIGNMENTS.to_vec(),
        given => given.to_vec(),
    };
    let found: Vec<Power> = alignments
        .into_par_iter()
        .map(|alignment| power(&design, alignment, args.alpha, args.studies, args.seed))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::wrong(error.to_string()))?;
    let detectable = detectable(&found, 0.8);
    if args.format == Format::Json {
        let rows: Vec<_> = found
            .iter()
            .map(|of| {
                let (low, high) = interval(of);
                json!({
                    "alignment": of.alignment, "studies": of.studies, "power": share(of),
                    "power_low": low, "power_high": high, "gap": of.gap, "gap_sd": of.gap_sd,
                    "ba_clean": of.accuracy,
                })
            })
            .collect();
        print::json(&json!({
            "classes": args.classes, "modalities": args.modalities, "accuracy": args.accuracy,
            "alpha": args.alpha, "permutations": args.permutations, "rows": rows,
            "gap_at_80_percent_power": detectable,
        }));
        return Ok(Exit::Done);
    }
    let mut text = format!(
        "{} examples ({}), {} modalities, experts at {:.0} % balanced accuracy; {} studies each\n\n\
         alignment       gap  power  (95 %)\n",
        args.classes.iter().sum::<u32>(),
        args.classes.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
        args.modalities,
        100.0 * args.accuracy,
        args.studies,
    );
    for of in &found {
        let (low, high) = interval(of);
        text += &format!(
            "    {:.2}   {:5.1} pp  {:3.0} %  ({:.0} to {:.0})\n",
            of.alignment,
            100.0 * of.gap,
            100.0 * share(of),
            100.0 * low,
            100.0 * high
        );
    }
    text += &match detectable {
        Some(gap) => format!("\nA gap of {:.1} pp is found in 80 % of studies.\n", 100.0 * gap),
        None => "\nNone of these alignments is found in 80 % of studies.\n".to_owned(),
    };
    print::result(text);
    Ok(Exit::Done)
}

fn share(of: &Power) -> f64 {
    f64::from(of.rejected) / f64::from(of.studies)
}

fn interval(of: &Power) -> (f64, f64) {
    clopper_pearson(of.rejected.into(), of.studies.into(), 0.95)
}
