//! Fusion rules of third parties: from `plugin new` to a finding, and the errors of a bad one.
//! `docs/plugins.md` documents the same.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use fuseline_artifact::{Artifact, ArtifactKind};
use fuseline_tests::{Lab, Ran, has_python, root};

#[test]
fn a_rule_is_given_away_as_a_wheel_and_found_where_it_is_installed() {
    if !has_python("pip, venv") {
        return;
    }
    let lab = lab();
    let rule = fuseline_tests::fuseline().with_file_name("libfuseline_rule_mean.so");
    let rule = rule.to_str().expect("UTF-8");
    let made = lab.run(["plugin", "wheel", rule, "--out", "new/dist"]);
    made.success();
    let text = made.stdout();
    let name = text.lines().last().expect("its name").trim_start_matches("./");
    assert!(
        name.starts_with("new/dist/mean-") && name.contains("-py3-none-manylinux_2_"),
        "{name}"
    );
    let first = lab.read(name);
    lab.run(["plugin", "wheel", rule, "--out", "new/dist"]).success();
    assert!(lab.read(name) == first, "equal files give equal bytes");
    let environment = lab.path("environment");
    let environment = environment.to_str().expect("UTF-8");
    finish(Command::new("python3").args(["-m", "venv", environment]));
    finish(
        Command::new(lab.path("environment/bin/pip"))
            .args(["install", "--quiet", "--no-index"])
            .arg(lab.path(name)),
    );
    let mut list = lab.command(["plugin", "list", "--why"]);
    let listed = list.env("VIRTUAL_ENV", environment).output().expect("it can be started");
    let text = String::from_utf8(listed.stdout).expect("UTF-8");
    let folder = format!("{environment}/share/fuseline/rules (VIRTUAL_ENV)");
    assert!(text.contains(&folder), "{text}");
    assert!(text.contains("libfuseline_rule_mean.so: a copy of"), "{text}");
}

#[test]
fn installed_scripts_bring_their_kits_in_folders_of_their_own() {
    let lab = lab();
    for name in ["one", "two"] {
        let folder = format!("environment/share/fuseline/rules/{name}");
        lab.run(["plugin", "new", name, "--lang", "python"]).success();
        std::fs::create_dir_all(lab.path(&folder)).expect("it can be made");
        std::fs::rename(lab.path(name), lab.path(&folder)).expect("it can be moved");
    }
    let mut list = lab.command(["plugin", "list", "--why"]);
    let listed = list.env("VIRTUAL_ENV", lab.path("environment")).output();
    let text = String::from_utf8(listed.expect("it can be started").stdout).expect("UTF-8");
    for name in ["one", "two"] {
        assert!(text.contains(&format!("org.example.{name} {name}.py: used")), "{text}");
    }
}

/// A small simulated study with the rules `mean` and `my_rule`.
fn lab() -> Lab {
    let study = std::fs::read_to_string(root().join("tests/cases/plugins/study.yaml"));
    Lab::with_workflow(&study.expect("the study is there"))
}

fn finish(command: &mut Command) {
    let output = command.output().expect("it can be started");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {words}");
}

/// The command that the first lines of a new rule in C give, into a folder of its own.
fn compile(lab: &Lab) {
    let source = String::from_utf8(lab.read("my_rule/my_rule.c")).expect("UTF-8");
    let line = source.lines().find(|line| line.contains("cc -std")).expect("it says how");
    let mut words = line.trim_start_matches(" *").split_whitespace();
    let compiler = words.next().expect("a compiler");
    let folder = lab.path("my_rule");
    // Written to a new file, as a linker does: no process has the old file's pages mapped.
    let _ = std::fs::remove_file(folder.join("my_rule.so"));
    finish(Command::new(compiler).args(words).arg("-lm").current_dir(folder));
}

fn new_rule(lab: &Lab, language: &str) {
    lab.run(["plugin", "new", "my_rule", "--lang", language]).success();
}

fn run(lab: &Lab, more: &[&str]) -> Ran {
    let mut arguments = vec!["run", "workflow.yaml", "--plugin-path", "my_rule"];
    arguments.extend(["--format", "json", "--keep-going"]);
    arguments.extend(more);
    lab.run(arguments)
}

/// The check passes, the study runs, and the new rule has a finding with a balanced accuracy that
/// it earned. Returns the output of the check.
fn check_and_run(lab: &Lab, plugin: &Path) -> String {
    let checked = lab.run(["plugin".as_ref(), "check".as_ref(), plugin.as_os_str()]);
    checked.success();
    assert!(checked.stdout().ends_with("Every promise that could be checked is kept.\n"));
    assert!(!checked.stdout().contains("FAIL"), "{}", checked.stdout());

    assert_eq!(run(lab, &[]).json()["status"], "ok");
    let bytes = lab.read("results/plugins/findings.parquet");
    let artifact = Artifact::decode(ArtifactKind::Findings, None, bytes).expect("whole");
    let table = artifact.table(ArtifactKind::Findings).expect("a table");
    let column = |name: &str| table.column_by_name(name).expect("the column is there");
    let rules = cast(column("rule"), &DataType::Utf8).expect("text");
    let rules: Vec<_> = rules.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    assert_eq!(rules, ["mean", "my_rule"]);
    let accuracies = column("ba_clean").as_primitive::<Float64Type>();
    assert!(accuracies.value(1) > 0.6, "{accuracies:?}");
    assert_eq!(run(lab, &[]).json()["executed"], 0, "the plugin's digest is in the key");
    checked.stdout()
}

/// Compares the check in the guide with its real output; rewrites it where `FUSELINE_BLESS` is set.
fn hold_guide(said: &str) {
    let path = root().join("docs/plugins.md");
    let guide = std::fs::read_to_string(&path).expect("the guide is there");
    let (before, rest) = guide.split_once("compiled as it is:\n\n```text\n").expect("it is shown");
    let (shown, after) = rest.split_once("```\n").expect("it ends");
    if std::env::var_os("FUSELINE_BLESS").is_some() {
        let text = format!("{before}compiled as it is:\n\n```text\n{said}```\n{after}");
        std::fs::write(&path, text).expect("the guide can be written");
        return;
    }
    assert_eq!(shown, said, "docs/plugins.md is stale: run this with FUSELINE_BLESS=1");
}

#[test]
fn a_rule_in_c_comes_from_a_template_to_a_finding_as_the_guide_shows() {
    let lab = lab();
    new_rule(&lab, "c");
    compile(&lab);
    hold_guide(&check_and_run(&lab, &lab.path("my_rule/my_rule.so")));
}

#[test]
fn a_rule_in_rust_comes_from_a_template_to_a_finding() {
    let lab = lab();
    new_rule(&lab, "rust");
    // Where the tests of the host build new rules, too: what those are made of is built once.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffold");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--target-dir"]).arg(&target);
    finish(cargo.current_dir(lab.path("my_rule")));
    let plugin = lab.path("my_rule/libmy_rule.so");
    std::fs::copy(target.join("debug/libmy_rule.so"), &plugin).expect("cargo has built it");
    check_and_run(&lab, &plugin);
}

#[test]
fn a_rule_in_python_comes_from_a_template_to_a_finding() {
    if !has_python("numpy, pyarrow") {
        return;
    }
    let lab = lab();
    new_rule(&lab, "python");
    check_and_run(&lab, &lab.path("my_rule/my_rule.py"));
}

/// A new rule in C that does something else when it is asked to fit, in a study of one fold.
fn bad(in_fit: &str) -> Lab {
    let lab = lab();
    lab.edit("workflow.yaml", "fold: ${{ range(3) }}", "fold: [0]");
    new_rule(&lab, "c");
    lab.edit("my_rule/my_rule.c", "#include <math.h>", "#include <math.h>\n#include <stdio.h>");
    lab.edit("my_rule/my_rule.c", "  (void)seed;", &format!("  (void)seed; {in_fit}"));
    compile(&lab);
    lab
}

/// One action of fifteen fails, the three that need it are not reached, the others are done, and
/// this is said.
fn costs_one_action(lab: &Lab, words: &[&str]) {
    let ran = run(lab, &[]);
    ran.exits(1);
    let summary: serde_json::Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    assert_eq!(summary["failed"], 1, "{summary}");
    assert_eq!(summary["skipped"], 3, "{summary}");
    assert_eq!(summary["executed"], 12, "{summary}");
    let failure = &summary["diagnostics"][0];
    assert!(failure["line"].is_u64() && failure["message"].is_string(), "{summary}");
    let said = ran.stderr().replace("\n  │ ", " ");
    assert!(said.contains("fusion[fold=0,rule=my_rule]"), "{said}");
    assert!(said.contains("workflow.yaml:"), "{said}");
    for words in words {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[test]
fn a_crash_costs_one_action() {
    costs_one_action(
        &bad("fputs(\"about to fall\\n\", stderr); *(volatile int *)8 = 1;"),
        &[
            "org.example.my_rule failed to fit: its process was killed by SIGSEGV (invalid memory \
             access)",
            "stderr: about to fall",
        ],
    );
}

#[test]
fn an_exit_costs_one_action() {
    costs_one_action(&bad("exit(0);"), &["its process exited with code 0 before it answered"]);
}

#[test]
fn a_rule_that_prints_costs_one_action() {
    costs_one_action(
        &bad("puts(\"hello\"); fflush(stdout);"),
        &["it wrote to standard output: \"hello\""],
    );
}

#[test]
fn endless_allocation_costs_one_action() {
    costs_one_action(
        &bad("for (;;) if (malloc(1 << 30) == NULL) { fputs(\"no memory\\n\", stderr); abort(); }"),
        &["killed by SIGABRT", "it may use 4096 MiB of memory", "stderr: no memory"],
    );
}

#[test]
fn an_endless_loop_costs_one_action_and_its_timeout() {
    let lab = bad("for (;;) {}");
    lab.edit("workflow.yaml", "    uses: fusion.fit", "    uses: fusion.fit\n    timeout: 1s");
    let begun = Instant::now();
    costs_one_action(&lab, &["it took longer than its timeout of 1 s"]);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn what_a_rule_warns_of_is_a_caution_of_the_run_wherever_the_rule_runs() {
    // The template in C takes no notice of its host; this one keeps it, and says the same line
    // twice.
    let lab = lab();
    lab.edit("workflow.yaml", "fold: ${{ range(3) }}", "fold: [0]");
    new_rule(&lab, "c");
    let file = "my_rule/my_rule.c";
    lab.edit(file, "static int32_t fit(", "static const fsl_host *here;\nstatic int32_t fit(");
    lab.edit(file, "  (void)host;", "  here = host;");
    let say = r#"here->log(here, 1, fsl_str("the gate did not converge"));"#;
    lab.edit(file, "  (void)seed;", &format!("  (void)seed; {say} {say}"));
    compile(&lab);
    for isolation in ["worker", "in-process"] {
        let ran = run(&lab, &["--isolation", isolation, "--cache", isolation]);
        assert_eq!(ran.json()["status"], "ok");
        let said = ran.stderr();
        let words = "the rule my_rule says: the gate did not converge";
        assert_eq!(said.matches(words).count(), 1, "{isolation}: {said}");
    }
}

#[test]
fn what_a_rule_in_python_warns_of_is_a_caution_of_the_run() {
    if !has_python("numpy, pyarrow") {
        return;
    }
    let lab = lab();
    lab.edit("workflow.yaml", "fold: ${{ range(3) }}", "fold: [0]");
    new_rule(&lab, "python");
    lab.edit(
        "my_rule/my_rule.py",
        "    def fit(self, batch, params, seed):\n",
        "    def fit(self, batch, params, seed):\n        self.warn(\"stopped early\")\n",
    );
    let ran = run(&lab, &[]);
    assert_eq!(ran.json()["status"], "ok");
    assert!(ran.stderr().contains("the rule my_rule says: stopped early"), "{}", ran.stderr());
}

/// The digest that the lock has for the new rule.
fn locked(lab: &Lab) -> String {
    let lock: serde_json::Value =
        serde_json::from_slice(&lab.read("fuseline.lock")).expect("the lock is JSON");
    let mut plugins = lock["plugins"].as_array().expect("a list").iter();
    let own = plugins.find(|of| of["id"] == "org.example.my_rule").expect("it is locked");
    own["digest"].as_str().expect("text").to_owned()
}

#[test]
fn a_changed_plugin_is_refused_with_both_digests_until_it_is_locked_again() {
    let lab = lab();
    new_rule(&lab, "c");
    compile(&lab);
    lab.run(["plugin", "lock", "--plugin-path", "my_rule"]).success();
    assert_eq!(run(&lab, &[]).json()["status"], "ok");
    let old = locked(&lab);

    lab.edit("my_rule/my_rule.c", "\\\"version\\\":\\\"1.0.0\\\"", "\\\"version\\\":\\\"1.0.1\\\"");
    compile(&lab);
    let ran = run(&lab, &[]);
    ran.exits(2);
    let said: String = ran.stderr().split_whitespace().filter(|word| *word != "│").collect();
    assert!(said.contains(&old), "{}", ran.stderr());
    assert!(ran.stderr().contains("fuseline::locked_plugin"), "{}", ran.stderr());

    lab.run(["plugin", "lock", "--plugin-path", "my_rule"]).success();
    let new = locked(&lab);
    assert_ne!(old, new);
    assert!(said.contains(&new), "{}", ran.stderr());
    assert_eq!(run(&lab, &[]).json()["status"], "ok");
}

#[test]
fn a_run_in_which_nothing_changed_starts_no_worker() {
    let lab = lab();
    new_rule(&lab, "c");
    compile(&lab);
    let log = ["--log", "fuseline_host=debug"];
    let first = run(&lab, &log);
    assert_eq!(first.json()["status"], "ok");
    assert!(first.stderr().contains("a worker starts"), "{}", first.stderr());
    let second = run(&lab, &log);
    assert_eq!(second.json()["executed"], 0);
    assert!(!second.stderr().contains("a worker starts"), "{}", second.stderr());

    // A memo of another file says nothing about this one.
    lab.edit("my_rule/my_rule.c", "\\\"version\\\":\\\"1.0.0\\\"", "\\\"version\\\":\\\"1.0.1\\\"");
    compile(&lab);
    let third = run(&lab, &log);
    assert_ne!(third.json()["executed"], 0);
    // A memo that is damaged is as good as none, for a run that plans.
    let mut memo = lab.read("cache/workflows/plugins.memo");
    let middle = memo.len() / 2;
    memo[middle] ^= 1;
    lab.write("cache/workflows/plugins.memo", memo);
    let fourth = run(&lab, &[&log[..], &["--max-actions", "1000"]].concat());
    assert_eq!(fourth.json()["executed"], 0);
    assert!(fourth.stderr().contains("a worker starts"), "{}", fourth.stderr());
}

#[test]
fn a_folder_that_is_not_there_is_refused() {
    let listed = lab().run(["plugin", "list", "--plugin-path", "my_rul"]);
    listed.exits(2);
    assert!(listed.stderr().contains("there is no folder my_rul"), "{}", listed.stderr());
}

#[test]
fn params_that_the_rule_does_not_have_are_refused_at_their_place() {
    let lab = lab();
    new_rule(&lab, "c");
    compile(&lab);
    lab.edit(
        "workflow.yaml",
        "    with: { rule: \"${{ rule }}\" }",
        "    with: { rule: my_rule, params: { smoothing: 2 } }",
    );
    let checked = lab.run(["check", "workflow.yaml", "--plugin-path", "my_rule"]);
    checked.exits(2);
    assert!(checked.stderr().contains("smoothing"), "{}", checked.stderr());
}

#[test]
fn a_param_that_the_rule_refuses_is_named_with_where_it_was_set() {
    let lab = lab();
    lab.edit("workflow.yaml", "[mean, my_rule]", "[attention, lr]");
    lab.edit("workflow.yaml", "axes:", "params: { penalty: 1.0 }\naxes:");
    lab.edit(
        "workflow.yaml",
        "rule: \"${{ rule }}\"",
        "rule: \"${{ rule }}\", params: { penalty: \"${{ params.penalty }}\" }",
    );
    let checked = lab.run(["check", "workflow.yaml", "--set", "penalty=-1"]);
    let said = checked.exits(2).stderr();
    assert!(said.contains("`params.penalty` of the rule attention: -1"), "{said}");
    assert!(said.contains("--set:1:9: `params.penalty` has its value from here"), "{said}");
}

/// Files in the plugin's folder that are no plugins are reported, and do no harm.
#[test]
fn a_file_that_is_no_library_is_said_and_does_no_harm() {
    let lab = lab();
    new_rule(&lab, "c");
    compile(&lab);
    lab.write("my_rule/broken.so", "not a library");
    let listed = lab.run(["plugin", "list", "--plugin-path", "my_rule"]);
    listed.success();
    assert!(listed.stdout().contains("org.example.my_rule"), "{}", listed.stdout());
    assert!(listed.stderr().contains("broken.so"), "{}", listed.stderr());
    assert_eq!(run(&lab, &[]).json()["status"], "ok");
    let path = lab.path("my_rule/broken.so");
    let checked = lab.run(["plugin".as_ref(), "check".as_ref(), path.as_os_str()]);
    checked.exits(1);
    assert!(checked.stdout().contains("it is not a shared library"), "{}", checked.stdout());
}
