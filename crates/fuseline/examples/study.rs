//! Runs a study and reads its findings:
//! `cargo run -p fuseline --example study -- WORKFLOW PLUGINS`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::path::PathBuf;
use std::process::ExitCode;

use fuseline::{Error, Event, Form, RunOptions, RunProgress, Study, open_cache, worker};

fn main() -> ExitCode {
    // Fusion rules run in copies of this program.
    if let Some(code) = worker::run_if_asked() {
        return code;
    }
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let workflow = arguments.next().unwrap_or_else(|| "workflows/quickstart.yaml".into());
    let plugins = arguments.next().unwrap_or_else(|| "target/debug".into());
    match run(&Study::new(workflow).plugin_path(plugins), &RunOptions::default()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a study and gives its findings as JSON.
pub fn run(study: &Study, options: &RunOptions) -> Result<String, Error> {
    let summary = study.run(options, &mut |progress| {
        if let RunProgress::Event(Event::Finished { action, seconds, .. }) = progress {
            eprintln!("{action}: {seconds:.2} s");
        }
    })?;
    let cache = open_cache(&options.cache)?;
    let findings = study.open()?.artifacts(&cache, "findings")?.table()?;
    eprintln!("{} of {} actions executed", summary.executed, summary.actions);
    println!("{}", findings.human(20, 8, Some(100)).text);
    Ok(String::from_utf8_lossy(&findings.write(Form::Json)?).into_owned())
}
