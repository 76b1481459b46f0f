//! `fuseline plan`: what would run, what is cached, and why.

use std::collections::BTreeMap;

use fuseline_cache::Cache;
use fuseline_engine::{Depth, Foreseen, foresee, remembered};
use serde_json::{Map, Value, json};

use crate::args::{Format, Plan};
use crate::commands::cache::recall;
use crate::exit::{Exit, Failure};
use crate::print;
use crate::session::Session;

pub fn run(args: &Plan) -> Result<Exit, Failure> {
    let mut session = Session::open(&args.workflow)?;
    recall(&mut session.services, &args.cache);
    let plan = session.plan(Depth::Key, &args.only)?;
    let cache = Cache::open(&args.cache.cache)?;
    let name = &plan.workflow().name;
    let foreseen = foresee(&plan, &cache, &|| remembered(&cache, name))?;
    match args.format {
        Format::Json => {
            let actions: Vec<_> = foreseen.iter().map(|of| action(&plan, of)).collect();
            print::json(&json!({ "actions": actions }));
        }
        Format::Human => print::result(table(&plan, &foreseen)),
    }
    Ok(Exit::Done)
}

fn action(plan: &fuseline_engine::Plan<'_>, of: &Foreseen) -> Value {
    let (stage, _) = plan.stage_of(of.action);
    let point: Map<String, Value> =
        plan.point(of.action).into_iter().map(|(axis, label)| (axis, label.into())).collect();
    json!({
        "stage": plan.workflow().stages[stage].name,
        "point": point,
        "status": if of.cached { "cached" } else { "run" },
        "reason": of.reason,
    })
}

/// A line a stage, and under it a line for each reason to run.
fn table(plan: &fuseline_engine::Plan<'_>, foreseen: &[Foreseen]) -> String {
    let mut text = String::new();
    let width = plan.workflow().stages.iter().map(|stage| stage.name.len()).max().unwrap_or(0);
    let mut total = (0, 0);
    let number = |of: &Foreseen| plan.stage_of(of.action).0;
    // They stand in the plan's order, stage by stage.
    for of_stage in foreseen.chunk_by(|a, b| number(a) == number(b)) {
        let stage = &plan.workflow().stages[number(&of_stage[0])];
        let cached = of_stage.iter().filter(|of| of.cached).count();
        let run = of_stage.len() - cached;
        total = (total.0 + cached, total.1 + run);
        text += &format!("{:width$}  {cached:>6} cached  {run:>6} to run\n", stage.name);
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for of in of_stage.iter().filter(|of| !of.cached) {
            *reasons.entry(&of.reason).or_default() += 1;
        }
        for (reason, actions) in reasons {
            text += &format!("{:width$}  {actions:>6} because: {reason}\n", "");
        }
    }
    text += &format!("{} cached, {} to run.\n", total.0, total.1);
    text
}
