//! `fuseline plan`: what would run, what is cached, and why.

use std::collections::BTreeMap;

use fuseline::{
    ActionPreview, EXPERT_ACCURACY, Plan, StudyPower, cache_if_exists, counted, inspect,
    study_power,
};
use serde_json::{Map, Value, json};

use crate::args::{CacheArgs, Format, RemoteArgs, WorkflowArgs};
use crate::exit::{Exit, Failure};
use crate::{print, remote, render};

/// Arguments of `plan`.
#[derive(clap::Args)]
#[command(after_help = "\
Parameters that are not given are those of the last run of the workflow.

Examples:
  fuseline plan workflow.yaml
  fuseline plan workflow.yaml --set permutations=500   what a change would cost
  fuseline plan workflow.yaml --power                  what the study could find, by simulation
  fuseline plan workflow.yaml --format json | jq '.actions[] | select(.status == \"run\")'")]
pub struct Args {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Plan only these stages and what they need
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Read every source file, also those whose times say that they did not change
    #[arg(long)]
    pub rehash: bool,
    /// Say also what the study could find: the reachable level, and the gap found in 80 % of
    /// simulated studies of its size
    #[arg(long)]
    pub power: bool,
    /// Output format of the plan
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    // An error of the cache comes after those of the workflow.
    let cache = cache_if_exists(args.cache.folder_for(args.workflow.folder())?);
    let mut study = args.workflow.open_as_last_run(cache.as_ref().ok().and_then(Option::as_ref))?;
    let settings = args.remote.settings_for(args.workflow.folder())?;
    let cache = cache
        .map_err(Failure::from)
        .and_then(|cache| remote::with_stand_in(cache, settings.as_ref()));
    if let (Ok((Some(cache), _)), false) = (&cache, args.rehash) {
        study.use_memos(cache);
    }
    let plan = study.plan(&args.only)?;
    render::diagnostics(&study.warnings(&plan), study.files());
    let (cache, _stand_in) = cache?;
    let (cache, remote) = remote::attach(cache, settings.as_ref(), &plan.workflow().name)?;
    let inspection = inspect(&plan, cache.as_ref())?;
    let power = match args.power {
        true => Some(study_power(&plan, &inspection, cache.as_ref())?),
        false => None,
    };
    let previews = inspection.actions;
    remote::finish(remote.as_deref());
    match args.format {
        Format::Json => {
            let actions: Vec<_> = previews.iter().map(|preview| action(&plan, preview)).collect();
            let mut json = json!({ "actions": actions });
            if let Some(power) = &power {
                json["power"] = power.iter().map(power_json).collect();
            }
            print::json(&json);
        }
        Format::Human => {
            print::result(table(&plan, &previews));
            match power.as_deref() {
                None => {}
                Some([]) => print::result("Power: the workflow has no finding, and no test.\n"),
                Some(power) => power.iter().for_each(|of| print::result(power_words(of))),
            }
        }
    }
    Ok(Exit::Done)
}

fn action(plan: &Plan<'_>, preview: &ActionPreview) -> Value {
    let (stage, _) = plan.stage_of(preview.action);
    let point: Map<String, Value> =
        plan.point(preview.action).into_iter().map(|(axis, label)| (axis, label.into())).collect();
    json!({
        "stage": plan.workflow().stages[stage].name,
        "point": point,
        "status": if preview.is_cached() { "cached" } else { "run" },
        "reason": preview.reason(),
    })
}

/// A line a stage, and under it a line for each reason to run.
fn table(plan: &Plan<'_>, previews: &[ActionPreview]) -> String {
    let mut text = String::new();
    let width = plan.workflow().stages.iter().map(|stage| stage.name.len()).max().unwrap_or(0);
    let mut total = (0, 0);
    let number = |preview: &ActionPreview| plan.stage_of(preview.action).0;
    // They stand in the plan's order, stage by stage.
    for of_stage in previews.chunk_by(|a, b| number(a) == number(b)) {
        let stage = &plan.workflow().stages[number(&of_stage[0])];
        let cached = of_stage.iter().filter(|preview| preview.is_cached()).count();
        let run = of_stage.len() - cached;
        total = (total.0 + cached, total.1 + run);
        text += &format!("{:width$}  {cached:>6} cached  {run:>6} to run\n", stage.name);
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in of_stage.iter().filter_map(|preview| preview.miss.as_deref()) {
            *reasons.entry(reason).or_default() += 1;
        }
        for (reason, actions) in reasons {
            text += &format!("{:width$}  {actions:>6} because: {reason}\n", "");
        }
    }
    text += &format!("{} cached, {} to run.\n", total.0, total.1);
    text
}

fn power_json(of: &StudyPower) -> Value {
    let tests = &of.tests;
    let size = of.size.as_ref().ok();
    let classes: Option<Map<String, Value>> = size.map(|size| {
        size.classes.iter().map(|(class, rows)| (class.clone(), json!(rows))).collect()
    });
    json!({
        "tests": tests.name,
        "conditions": tests.conditions,
        "adjust": tests.adjust,
        "alpha": tests.alpha,
        "permutations": tests.permutations,
        "least_p_value": tests.least_p,
        "least_p_adjusted": of.least_adjusted(),
        "level_reachable": of.is_reachable(),
        "modalities": tests.modalities,
        "examples": size.map(|size| size.classes.iter().map(|(_, rows)| rows).sum::<u32>()),
        "classes": classes,
        "groups": size.map(|size| size.groups),
        "label_icc": size.and_then(|size| size.label_icc),
        "unknown": of.size.as_ref().err(),
        "accuracy": EXPERT_ACCURACY,
        "studies": of.found.map(|found| found.studies),
        "examples_simulated": of.found.map(|found| found.examples),
        "gap_at_80_percent_power": of.found.and_then(|found| found.alone),
        "gap_at_80_percent_power_adjusted": of.found.and_then(|found| found.adjusted),
    })
}

/// Labels of a group that correlate from here on make a group count for few examples.
const ALIKE: f64 = 0.1;

fn power_words(of: &StudyPower) -> String {
    let tests = &of.tests;
    let conditions = match tests.conditions {
        1 => "1 native condition".to_owned(),
        conditions => format!("{conditions} native conditions"),
    };
    let adjusted = match tests.adjust {
        "none" => String::new(),
        adjust => format!(", {:.4} after {adjust}", of.least_adjusted()),
    };
    let mut text = format!(
        "\nPower of {}: {conditions}, {}, level {}.\n  The least p-value is {:.4}\
         {adjusted}: the level is {}.\n",
        tests.name,
        counted(tests.permutations, "permutation"),
        tests.alpha,
        tests.least_p,
        if of.is_reachable() { "within reach" } else { "out of reach, whatever the gap" },
    );
    let size = match &of.size {
        Err(reason) => return text + &format!("  The size of the study is not known: {reason}.\n"),
        Ok(size) => size,
    };
    let classes: Vec<String> =
        size.classes.iter().map(|(class, rows)| format!("{class} {rows}")).collect();
    text += &format!(
        "  {} tested examples ({}) of {}, {}.\n",
        size.classes.iter().map(|(_, rows)| rows).sum::<u32>(),
        classes.join(", "),
        counted(size.groups, "group"),
        match tests.modalities {
            1 => "1 modality".to_owned(),
            modalities => format!("{modalities} modalities"),
        },
    );
    let points = |gap: Option<f64>| match gap {
        Some(gap) => format!("{:.1} pp", 100.0 * gap),
        None => "no gap that was simulated".to_owned(),
    };
    match of.found {
        None => text += "  Two classes are needed to simulate studies.\n",
        Some(found) => {
            let strict = match (tests.adjust, tests.conditions) {
                ("none", _) | (_, 1) => String::new(),
                (_, conditions) => format!(
                    ", {} at the level that the smallest p-value of {conditions} must reach",
                    points(found.adjusted)
                ),
            };
            text += &format!(
                "  Found in 80 % of studies: {} by itself{strict}.\n  {} simulated studies at each \
                 of 8 alignments of quality, experts at {:.0} % balanced accuracy, rule \
                 weighted_mean; `fuseline power` asks otherwise.\n",
                points(found.alone),
                found.studies,
                100.0 * EXPERT_ACCURACY,
            );
        }
    }
    if let Some(icc) = size.label_icc.filter(|icc| *icc >= ALIKE) {
        text += &format!(
            "  Labels of a group are alike (intraclass correlation {icc:.2}): where quality is, \
             too, examples of a group count for fewer, and the gap must be larger.\n"
        );
    }
    text
}
