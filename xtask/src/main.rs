//! The project's own tasks: `cargo xtask demo` and `cargo xtask test`.

mod book;
mod deny;
mod outputs;
mod programs;
mod soak;
mod words;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use programs::Job;

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
  outputs digests of all that the shipped workflows make, to be compared before and after a \
  change: [DATA, the folder with stressid and mosei] [PERMUTATIONS]
  deny    licences, sources, bans and duplicate versions of all dependencies, as deny.toml says, \
  offline
  words   how plainly the source is written: openings of comments, long lines, names
  ci      dependencies, formatting, clippy, documentation, then test: what a change must pass
";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "demo" => demo(),
        "test" => test(),
        "wheel" => wheel(),
        "soak" => soak(),
        "book" => root().and_then(|root| book::make(&root, &target()?)),
        "outputs" => outputs(),
        "deny" => root().and_then(|root| deny::check(&root, cargo(&root))),
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
    // release. Without the runtime of ONNX, which is a quarter of that.
    run(cargo(&root).args(["build", "--workspace", "--exclude", "fuseline-rule-onnx"]))?;
    let fuseline = target()?.join("debug").join("fuseline");
    run(Command::new(&fuseline).current_dir(&root).args(["run", "workflows/quickstart.yaml"]))?;
    #[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
    {
        println!("\nThe report: {}", root.join("results/quickstart/report.html").display());
        println!("The command: {}", fuseline.display());
    }
    Ok(())
}

/// The jobs that take longest, and are begun first.
const LONG: [&str; 4] = ["tests/stories/cluster", STORIES, PYTHON, "fuseline-host/check"];
const STORIES: &str = "tests/stories";
const PYTHON: &str = "python";

fn test() -> Result<(), Box<dyn Error>> {
    let root = root()?;
    // The end-to-end tests run the real command with real plugins, which `cargo test` alone would
    // not build.
    run(cargo(&root).args(["build", "--workspace"]))?;
    let mut jobs = Vec::new();
    for job in programs::build(cargo(&root))? {
        match job.name() {
            STORIES => jobs.extend(job.split("cluster")),
            _ => jobs.push(job),
        }
    }
    // The longest first, beside which the others fit.
    jobs.extend(python(&root)?);
    jobs.extend(vscode(&root)?);
    jobs.sort_by_key(|job| LONG.iter().position(|name| *name == job.name()).unwrap_or(LONG.len()));
    let mut documentation = cargo(&root);
    documentation.args(["test", "--quiet", "--workspace", "--doc"]);
    jobs.push(Job::new("documentation", vec![documentation]));
    let folder = target()?.join("test-output");
    std::fs::create_dir_all(&folder)?;
    programs::run(jobs, &folder)
}

/// The tests of the extension for VS Code against the command that was built, and its package;
/// skipped, with a notice, where there is no npm.
fn vscode(root: &Path) -> Result<Option<Job>, Box<dyn Error>> {
    if Command::new("npm").arg("--version").output().is_err() {
        skip("editor", "the extension for VS Code", "npm")?;
        return Ok(None);
    }
    let command = target()?.join("debug/fuseline");
    let npm = |arguments: &str| {
        let mut npm = Command::new("npm");
        npm.current_dir(root.join("editors/vscode")).env("FUSELINE", &command);
        npm.args(arguments.split(' '));
        npm
    };
    let programs = [
        "ci --no-audit --no-fund --loglevel=error",
        "run --silent check",
        "test --silent",
        "run --silent package",
    ];
    Ok(Some(Job::new("editors/vscode", programs.map(npm).into())))
}

/// Says that tests are left out, unless `FUSELINE_REQUIRE` names them.
fn skip(name: &str, tests: &str, missing: &str) -> Result<(), Box<dyn Error>> {
    let required = std::env::var("FUSELINE_REQUIRE").unwrap_or_default();
    if required.split(',').any(|required| required == name) {
        return Err(format!("FUSELINE_REQUIRE names {name}, and there is no {missing}").into());
    }
    #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
    {
        eprintln!("skipped: {tests}, since there is no {missing}");
    }
    Ok(())
}

/// The tests of the Python package, with the command that was built; skipped, with a notice, where
/// Python lacks what they need.
fn python(root: &Path) -> Result<Option<Job>, Box<dyn Error>> {
    let there = Command::new("python3").args(["-c", "import numpy, pytest"]).output();
    if !there.is_ok_and(|ran| ran.status.success()) {
        skip("python", "the Python package", "python3 with numpy and pytest")?;
        return Ok(None);
    }
    let folder = root.join("python");
    let binary = target()?.join("debug/fuseline");
    let tests = |python: &str, tests: &str| {
        let mut pytest = Command::new(python);
        pytest.current_dir(&folder).env("FUSELINE_BINARY", &binary).env("PYTHONPATH", &folder);
        pytest.args(["-m", "pytest", "--quiet", tests]);
        pytest
    };
    let mut programs = vec![tests("python3", "tests")];
    // The torch of PyPI is 6 GB; Debian's goes with the system's Python.
    let has_torch = |python: &&str| {
        let there = Command::new(python).args(["-c", "import torch, pytest"]).output();
        there.is_ok_and(|ran| ran.status.success())
    };
    match ["python3", "/usr/bin/python3"].iter().find(|python| has_torch(python)) {
        // It is tested with the others.
        Some(&"python3") => {}
        Some(python) => programs.push(tests(python, "tests/test_torch.py")),
        None => skip("torch", "models of torch", "python3 with torch and pytest")?,
    }
    Ok(Some(Job::new(PYTHON, programs)))
}

/// The command and its rules as a wheel, and the size of each of its parts.
fn wheel() -> Result<(), Box<dyn Error>> {
    let root = root()?;
    let python = || {
        let mut python = Command::new("python3");
        python.current_dir(&root);
        python
    };
    let wheel = "-m pip wheel --no-deps --wheel-dir target/wheels .";
    run(python().env("FUSELINE_WHEEL_PACK", "1").args(wheel.split(' ')))?;
    run(python().args(["-c", SIZES]))
}

/// Prints the parts of the newest wheel, in MB as they are and as they are packed; fails where it
/// is larger than a wheel of fuseline may be.
const SIZES: &str = r#"
import pathlib, sys, zipfile
wheels = pathlib.Path("target/wheels").glob("fuseline-*.whl")
wheel = max(wheels, key=lambda path: path.stat().st_mtime)
for part in sorted(zipfile.ZipFile(wheel).infolist(), key=lambda part: -part.compress_size):
    print(f"{part.file_size / 1e6:8.2f} {part.compress_size / 1e6:8.2f}  {part.filename}")
size = wheel.stat().st_size / 1e6
print(f"{size:17.2f}  {wheel}")
sys.exit("the wheel is larger than 25 MB" if size > 25 else 0)
"#;

fn soak() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(2);
    let kills = numbers.next().map_or(Ok(200), |number| number.parse())?;
    let seed = numbers.next().map_or(Ok(20_260_624), |number| number.parse())?;
    run(cargo(&root()?).args(["build", "--workspace"]))?;
    soak::run(kills, seed)
}

fn outputs() -> Result<(), Box<dyn Error>> {
    let [data, permutations] = [2, 3].map(|place| std::env::args().nth(place));
    outputs::list(&root()?, data.as_deref(), permutations.as_deref())
}

fn ci() -> Result<(), Box<dyn Error>> {
    let root = root()?;
    deny::check(&root, cargo(&root))?;
    run(cargo(&root).args(["fmt", "--all", "--check"]))?;
    run(cargo(&root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    run(cargo(&root).args(["check", "--workspace", "--no-default-features"]))?;
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
