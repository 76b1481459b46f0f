//! `fuseline plan`: what would run, what is cached, and why.

use std::collections::BTreeMap;

use fuseline::{ActionPreview, Plan, cache_if_exists, inspect};
use serde_json::{Map, Value, json};

use crate::args::{CacheArgs, Format, RemoteArgs, WorkflowArgs};
use crate::exit::{Exit, Failure};
use crate::{print, remote, render};

/// Arguments of `plan`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fuseline plan workflow.yaml
  fuseline plan workflow.yaml --set permutations=500   what a change would cost
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
    /// Output format of the plan
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

pub fn run(args: &Args) -> Result<Exit, Failure> {
    let mut study = args.workflow.study().open()?;
    // An error of the cache comes after those of the workflow.
    let cache = cache_if_exists(args.cache.folder_for(args.workflow.folder())?);
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
    let previews = inspect(&plan, cache.as_ref())?.actions;
    remote::finish(remote.as_deref());
    match args.format {
        Format::Json => {
            let actions: Vec<_> = previews.iter().map(|preview| action(&plan, preview)).collect();
            print::json(&json!({ "actions": actions }));
        }
        Format::Human => print::result(table(&plan, &previews)),
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
