//! `fuseline check`: every diagnostic, before anything runs.

use fuseline_engine::Depth;
use serde_json::json;

use crate::args::{Check, CheckFormat};
use crate::exit::{Exit, Failure};
use crate::session::{Session, errors};
use crate::{print, render, sarif};

pub fn run(args: &Check) -> Result<Exit, Failure> {
    let session = Session::open(&args.workflow)?;
    let (plan, diagnostics) = session.try_plan(Depth::Check, &[])?;
    match args.format {
        CheckFormat::Sarif => {
            print::result(sarif::log(&diagnostics, &session.checked.files));
        }
        CheckFormat::Json => {
            let found: Vec<_> = diagnostics
                .iter()
                .map(|found| render::json(found, &session.checked.files))
                .collect();
            print::json(&json!({ "ok": plan.is_some(), "diagnostics": found }));
        }
        CheckFormat::Human => {
            render::diagnostics(&diagnostics, &session.checked.files);
            let workflow = args.workflow.workflow.display();
            match &plan {
                Some(plan) => print::result(format!(
                    "{workflow} is fine: {} stages, {} actions.",
                    plan.workflow().stages.len(),
                    plan.len()
                )),
                None => print::note(format!("{workflow} has {}.", errors(&diagnostics))),
            }
        }
    }
    Ok(if plan.is_some() { Exit::Done } else { Exit::Wrong })
}
