//! The test programs of the workspace, and what else is tested by programs, several at once.
//!
//! `cargo test` runs one program after the other, and many of them end with one long test, for
//! which the other processors wait.

use std::collections::VecDeque;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Programs that are run one after the other, until one fails.
pub struct Job {
    name: String,
    programs: Vec<Command>,
}

impl Job {
    /// Programs by a name of their own.
    pub fn new(name: impl Into<String>, programs: Vec<Command>) -> Self {
        Self { name: name.into(), programs }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Two jobs in place of a test program: its tests of one module, and the others.
    pub fn split(mut self, module: &str) -> [Self; 2] {
        let tests = format!("{module}::");
        let mut of_module = Self::new(format!("{}/{module}", self.name), Vec::new());
        for others in &mut self.programs {
            let mut program = Command::new(others.get_program());
            program.envs(others.get_envs().filter_map(|(name, value)| Some((name, value?))));
            program.current_dir(others.get_current_dir().unwrap_or(Path::new(".")));
            program.arg(&tests);
            of_module.programs.push(program);
            others.args(["--skip", &tests]);
        }
        [of_module, self]
    }
}

/// Builds the test programs and gives a job for each; `cargo`: in the root folder.
pub fn build(mut cargo: Command) -> Result<Vec<Job>, Box<dyn Error>> {
    let output = cargo
        .args(["test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the tests cannot be built: {}", output.status).into());
    }
    let mut jobs = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines().filter(|line| line.starts_with('{')) {
        let message: Value = serde_json::from_str(line)?;
        let Some(program) = message["executable"].as_str() else { continue };
        let manifest = message["manifest_path"].as_str().map(PathBuf::from).unwrap_or_default();
        let (true, Some(package)) = (message["profile"]["test"] == true, manifest.parent()) else {
            continue;
        };
        // As cargo starts it.
        let mut command = Command::new(program);
        command.current_dir(package).env("CARGO_MANIFEST_DIR", package);
        command.env("CARGO", cargo.get_program());
        let crate_name = package.file_name().unwrap_or_default().to_string_lossy();
        let target = message["target"]["name"].as_str().unwrap_or_default();
        jobs.push(Job::new(format!("{crate_name}/{target}"), vec![command]));
    }
    if jobs.is_empty() {
        return Err("cargo has named no test program".into());
    }
    Ok(jobs)
}

/// Runs jobs, one more at once than there are processors, since the first waits for the engines of
/// clusters most of its time, and shows the output of each when it has ended. An error names those
/// that failed.
///
/// `folder`: for their output, which exists.
pub fn run(jobs: Vec<Job>, folder: &Path) -> Result<(), Box<dyn Error>> {
    let at_once = std::thread::available_parallelism().map_or(2, usize::from).max(2) + 1;
    let waiting = Mutex::new(jobs.into_iter().enumerate().collect::<VecDeque<_>>());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((number, job)) = next else { return };
                    let name = job.name.clone();
                    let (text, is_sound) = match run_job(job, &folder.join(number.to_string())) {
                        Ok(ended) => ended,
                        Err(error) => (format!("{error}\n"), false),
                    };
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    show(&name, &text);
                    if !is_sound {
                        failed.push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", ")).into()) }
}

/// Runs a job with its output in a file; the output, and whether all went well.
fn run_job(job: Job, file: &Path) -> Result<(String, bool), Box<dyn Error>> {
    let mut output = std::fs::File::create(file)?;
    let mut is_sound = true;
    for mut program in job.programs {
        let stderr = output.try_clone()?;
        program.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(stderr);
        let status = program.status().map_err(|error| format!("{program:?}: {error}"))?;
        is_sound = status.success();
        if !is_sound {
            use std::io::Write as _;
            writeln!(output, "{program:?} failed: {status}")?;
            break;
        }
    }
    let text = String::from_utf8_lossy(&std::fs::read(file)?).into_owned();
    std::fs::remove_file(file)?;
    Ok((text, is_sound))
}

/// Shows what a job has said, under its name.
fn show(name: &str, text: &str) {
    #[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
    {
        println!("     Running {name}\n{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, scripts: &[&str]) -> Job {
        let shell = |script: &&str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        Job::new(name, scripts.iter().map(shell).collect())
    }

    #[test]
    fn a_crate_whose_tests_are_not_built_has_none() {
        let mut looked = 0;
        for folder in ["crates", "plugins"].map(|folder| fuseline_tests::root().join(folder)) {
            for package in std::fs::read_dir(folder).unwrap() {
                let package = package.unwrap().path();
                let Ok(text) = std::fs::read_to_string(package.join("Cargo.toml")) else {
                    continue;
                };
                let lib = text.split_once("[lib]").map_or("", |(_, after)| after);
                let lib = lib.split_once("\n[").map_or(lib, |(lib, _)| lib);
                let is_off = |key: &str| lib.lines().any(|line| line == format!("{key} = false"));
                let sources = fuseline_tests::files_below(&package.join("src"));
                for file in sources.iter().filter(|file| file.extension() == Some("rs".as_ref())) {
                    let text = std::fs::read_to_string(file).unwrap();
                    let has = |start: &str| text.lines().any(|line| line.trim().starts_with(start));
                    let name = file.display();
                    assert!(!is_off("test") || !has("#[test]"), "{name}: its tests are not run");
                    let example = ["/// ```", "//! ```"].iter().any(|start| has(start));
                    assert!(!is_off("doctest") || !example, "{name}: its examples are not run");
                    looked += 1;
                }
            }
        }
        assert!(looked > 400, "{looked} files");
    }

    #[test]
    fn a_job_that_is_split_runs_every_test_once() {
        let mut program = Command::new("tests");
        program.current_dir("/").env("A", "b");
        let jobs = Job::new("all", vec![program]).split("slow");
        let shown = jobs.map(|job| (job.name, format!("{:?}", job.programs)));
        let expected = [
            ("all/slow", r#"[cd "/" && A="b" "tests" "slow::"]"#),
            ("all", r#"[cd "/" && A="b" "tests" "--skip" "slow::"]"#),
        ];
        assert_eq!(shown, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn all_jobs_are_run_and_those_that_fail_are_named() {
        let folder = std::env::temp_dir().join(format!("fuseline-jobs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = folder.join("made");
        let touch = format!("echo x >> {}", made.display());
        let jobs = vec![
            shell("first", &[&touch, "exit 3", &touch]),
            shell("second", &[&touch]),
            shell("third", &[&touch, &touch]),
            Job::new("fourth", vec![Command::new(folder.join("absent"))]),
        ];
        let error = run(jobs, &folder).unwrap_err().to_string();
        let mut names: Vec<_> = error.strip_prefix("failed: ").unwrap().split(", ").collect();
        names.sort_unstable();
        assert_eq!(names, ["first", "fourth"]);
        assert_eq!(std::fs::read_to_string(&made).unwrap(), "x\n".repeat(4));
        run(vec![shell("second", &[&touch])], &folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
