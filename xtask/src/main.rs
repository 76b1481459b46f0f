//! The project's own tasks: `cargo xtask demo` and `cargo xtask test`.

mod book;
mod soak;
mod words;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
usage: cargo xtask TASK

tasks:
  demo    build everything, plugins included, run workflows/quickstart.yaml and say where the \
  report is
  test    build everything and run all the tests
  wheel   build everything for distribution and put it into a Python wheel under target/wheels
  soak    build everything, kill runs at random moments, beside collections, executions and other \
  runs, damage the cache in between, and compare every byte: [KILLS, default 200] [SEED]
  book    the documentation as a site under target/book/html, by mdBook
  words   how plainly the source is written: openings of comments, long lines, names
  ci      formatting, clippy, documentation, then test: what a change must pass
";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "demo" => demo(),
        "test" => test(),
        "wheel" => wheel(),
        "soak" => soak(),
        "book" => root().and_then(|root| book::make(&root, &target()?)),
        "words" => root().and_then(|root| words::measure(&root)),
        "ci" => ci(),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "this is the task runner's one place to say what failed"
            )]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<(), Box<dyn Error>> {
    let root = root()?;
    // The build of the tests, in which numerics are optimised: it takes a quarter of the time of a
    // release.
    run(cargo(&root).args(["build", "--workspace"]))?;
    let fuseline = target()?.join("debug").join("fuseline");
    run(Command::new(&fuseline).current_dir(&root).args(["run", "workflows/quickstart.yaml"]))?;
    #[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
    {
        println!("\nThe report: {}", root.join("results/quickstart/report.html").display());
        println!("The command: {}", fuseline.display());
    }
    Ok(())
}

fn test() -> Result<(), Box<dyn Error>> {
    let root = root()?;
    // The end-to-end tests run the real command with real plugins, which `cargo test` alone would
    // not build.
    run(cargo(&root).args(["build", "--workspace"]))?;
    run(cargo(&root).args(["test", "--workspace"]))?;
    python(&root)
}

/// The tests of the Python package, with the command that was built; skipped, with a notice, where
/// Python lacks what they need.
fn python(root: &Path) -> Result<(), Box<dyn Error>> {
    let there = Command::new("python3").args(["-c", "import numpy, pytest"]).output();
    if !there.is_ok_and(|ran| ran.status.success()) {
        let required = std::env::var("FUSELINE_REQUIRE").unwrap_or_default();
        if required.split(',').any(|name| name == "python") {
            return Err(
                "FUSELINE_REQUIRE names python, and there is none with numpy and pytest".into()
            );
        }
        #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
        {
            eprintln!(
                "skipped: the Python package, since there is no python3 with numpy and pytest"
            );
        }
        return Ok(());
    }
    run(Command::new("python3")
        .current_dir(root.join("python"))
        .env("FUSELINE_BINARY", target()?.join("debug/fuseline"))
        .env("PYTHONPATH", root.join("python"))
        .args(["-m", "pytest", "--quiet", "tests"]))
}

/// The command and its rules as a wheel.
fn wheel() -> Result<(), Box<dyn Error>> {
    let root = root()?;
    run(Command::new("python3").current_dir(&root).args([
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--wheel-dir",
        "target/wheels",
        ".",
    ]))
}

fn soak() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(2);
    let kills = numbers.next().map_or(Ok(200), |number| number.parse())?;
    let seed = numbers.next().map_or(Ok(20_260_624), |number| number.parse())?;
    run(cargo(&root()?).args(["build", "--workspace"]))?;
    soak::run(kills, seed)
}

fn ci() -> Result<(), Box<dyn Error>> {
    let root = root()?;
    run(cargo(&root).args(["fmt", "--all", "--check"]))?;
    run(cargo(&root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo(&root).env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))?;
    test()
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command
        .status()
        .map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}").into()) }
}

fn root() -> Result<PathBuf, Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().ok_or("the task runner has no parent folder")?.to_owned())
}

/// The target folder: found from the path of this program in `target/debug`.
fn target() -> Result<PathBuf, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    Ok(program.ancestors().nth(2).ok_or("the task runner lies in no target folder")?.to_owned())
}
