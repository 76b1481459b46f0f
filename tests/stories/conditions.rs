//! Conditions under which rules and programs run: limits, interpreter, sandbox, required layers,
//! and that all of them end with the run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fuseline_tests::{Lab, Ran, fuseline, has_python, root};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const SMALL: &str = include_str!("../cases/small.yaml");

/// A study of one fold with the rule `case`, which `hooks` (in C, see `tests/cases/rules/rule.h`)
/// change.
fn c_lab(hooks: &str) -> Lab {
    let lab = study();
    compile(&lab, hooks, "rules/case.so");
    lab
}

fn study() -> Lab {
    let text = SMALL.replace("fold: [0, 1]", "fold: [0]").replace("[margin, constant]", "[margin]");
    let text = text.replace(", without_quality: { quality: constant }", "");
    Lab::with_workflow(&text.replace("[mean, lr]", "[org.plugins.case]"))
}

/// Compiles a rule that `hooks` change.
pub(crate) fn compile(lab: &Lab, hooks: &str, library: &str) {
    lab.write("case.c", format!("{hooks}\n#include \"rule.h\"\n"));
    let path = lab.path(library);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-w", "-D_GNU_SOURCE", "-I"])
        .arg(root().join("crates/fuseline-abi/include"))
        .arg("-I")
        .arg(root().join("tests/cases/rules"))
        .arg(lab.path("case.c"))
        .arg("-o")
        .arg(path)
        .arg("-lm")
        .output()
        .expect("a C compiler is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The same study with a rule in Python whose fit does something first; `None` without Python.
fn python_lab(in_fit: &str) -> Option<Lab> {
    if !has_python("numpy, pyarrow") {
        return None;
    }
    let lab = study();
    let rule = std::fs::read_to_string(root().join("tests/cases/rules/p_sound.py"));
    let indented = in_fit.replace('\n', "\n        ");
    let rule = rule.expect("it is there").replace("#FIT", &indented);
    lab.write("rules/case.py", rule);
    let kit = std::fs::read(root().join("plugins/examples/python/fuseline_rule.py"));
    lab.write("rules/fuseline_rule.py", kit.expect("it is there"));
    Some(lab)
}

fn fit(lab: &Lab, more: &[&str]) -> Ran {
    let arguments = ["run", "workflow.yaml", "--plugin-path", "rules", "--only", "fusion"];
    lab.run([&arguments[..], more].concat())
}

/// A text without the spaces at which lines are broken.
fn joined(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '│').collect()
}

/// Expects words on standard error, wherever its lines are broken.
#[track_caller]
pub(crate) fn says(ran: &Ran, words: &str) {
    assert!(joined(&ran.stderr()).contains(&joined(words)), "{words}: {}", ran.stderr());
}

fn manifest(lab: &Lab) -> Value {
    lab.run(["runs", "show", "latest", "--format", "json"]).json()
}

/// Puts a line behind the name of the workflow, or of a stage.
fn add_line(lab: &Lab, behind: &str, line: &str) {
    lab.edit("workflow.yaml", behind, &format!("{behind}\n{line}"));
}

#[test]
fn a_limit_is_that_of_the_stage_over_the_workflow_over_the_settings_and_its_message_names_it() {
    let lab = c_lab("#define BEFORE_FIT { usleep(700000); }");
    lab.write("fuseline.toml", "[limits]\ncall = \"100ms\"\n");
    let fails = |words: &str| {
        let ran = fit(&lab, &[]);
        ran.exits(1);
        says(&ran, words);
    };
    fails("it did not answer within 0.1 s (`limits.call`, fuseline.toml:2)");
    add_line(&lab, "name: small", "limits: { call: 200ms }");
    fails("it did not answer within 0.2 s (`limits.call`, workflow.yaml:4)");

    // A node that executes the action knows the limit, too.
    let actions = manifest(&lab)["actions"].clone();
    let failed = actions.as_array().expect("a list").iter().find(|of| of["state"] == "failed");
    let key = failed.expect("it failed")["key"].as_str().expect("a key").to_owned();
    let exec = lab.run(["exec", &key, "--cache", "cache", "--plugin-path", "rules"]);
    exec.exits(1);
    says(&exec, "(`limits.call`, workflow.yaml:4)");

    add_line(&lab, "    uses: fusion.fit", "    limits: { call: 1 min }");
    fit(&lab, &[]).success();
    // No limit is part of a key.
    lab.edit("workflow.yaml", "    limits: { call: 1 min }", "");
    let again = fit(&lab, &["--format", "json"]).json();
    assert_eq!(again["executed"], 0, "{again}");
}

#[test]
fn a_rule_that_takes_other_modalities_is_an_error_before_anything_runs() {
    let Some(lab) = python_lab("pass") else { return };
    lab.edit(
        "rules/case.py",
        "uses_quality = False",
        "uses_quality = False\n    accepts = {'modalities': 5}",
    );
    let ran = fit(&lab, &[]);
    ran.exits(2);
    says(&ran, "org.plugins.case takes exactly 5 modalities, and is given");
    assert!(!lab.path("cache").exists() || !lab.path("cache/actions").exists());
}

#[test]
fn limits_of_memory_and_loading_are_named_where_they_are_set() {
    let lab = c_lab(
        "#define BEFORE_FIT { char *p = malloc(700u << 20); if (!p) return fsl_fail(err, \
         FSL_ERR_OUT_OF_MEMORY, -1, \"\", \"no room\"); memset(p, 1, 700u << 20); free(p); }",
    );
    add_line(&lab, "    uses: fusion.fit", "    limits:\n      memory: 512 MiB");
    let ran = fit(&lab, &[]);
    ran.exits(1);
    let words = "out of memory: no room; it may use 512 MiB of memory: `limits.memory`, \
                 workflow.yaml:38";
    says(&ran, words);
    lab.edit("workflow.yaml", "memory: 512 MiB", "memory: 2 GB");
    fit(&lab, &[]).success();
    lab.edit("workflow.yaml", "memory: 2 GB", "memory: 4 KiB");
    let ran = fit(&lab, &["--cache", "small"]);
    ran.exits(2);
    says(&ran, "it may use 4096 B of memory: `limits.memory`, workflow.yaml:38");

    // Loading happens before anything runs.
    let lab = c_lab("#define BEFORE_INIT { usleep(900000); }");
    add_line(&lab, "name: small", "limits: { load: 0.2 s }");
    let ran = fit(&lab, &[]);
    ran.exits(2);
    let words = "failed to load: it did not answer within 0.2 s (`limits.load`, workflow.yaml:4)";
    says(&ran, words);
    lab.edit("workflow.yaml", "load: 0.2 s", "load: 1 min");
    fit(&lab, &[]).success();
}

#[test]
fn what_loaders_read_stays_within_a_limit() {
    let Some(_) = fuseline_tests::python("numpy", ["-c", ""]) else { return };
    let lab = Lab::new();
    let make = "import numpy as np, sys; np.savez_compressed(sys.argv[1], id=np.array(['a','b']), \
                features=np.zeros((2, 2_000_000)))";
    let big = lab.path("big.npz");
    fuseline_tests::python("numpy", ["-c", make, big.to_str().expect("UTF-8")]);
    lab.write("big.jsonl", format!("{{\"id\": \"a\", \"x\": {}}}\n", "1".repeat(200_000)));
    let workflow = |kind: &str, with: &str| {
        lab.write(
            "workflow.yaml",
            format!(
                "fuseline: 1\nname: big\nstages:\n  f: {{ uses: {kind}, with: {with} }}\noutputs: \
                 {{ f.parquet: f }}\n"
            ),
        );
    };
    workflow("load.npz", "{ path: big.npz, id: { array: id }, features: { array: features } }");
    let ran = lab.run(["run", "workflow.yaml", "--memory", "16MB"]);
    ran.exits(2);
    let words = "array features of big.npz would take 32.0 MB";
    says(&ran, words);
    says(&ran, "16.0 MB may be used (`--memory`)");
    lab.write("fuseline.toml", "[limits]\nmemory = \"20 MB\"\n");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    says(&ran, "(`limits.memory`, fuseline.toml:2)");
    workflow("load.jsonl", "{ path: big.jsonl, id: { column: id } }, limits: { memory: 100 kB }");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(2);
    says(&ran, "big.jsonl would take");
    says(&ran, "(`limits.memory`, workflow.yaml:4)");
}

/// A program that says which environment its interpreter belongs to.
const WHICH: &str = "fuseline: 1
name: which
stages:
  which:
    uses: command
    with:
      run: [python3, -c, \"import sys; open('outputs/main', 'w').write(sys.prefix)\"]
      outputs: { main: { artifact: report, media_type: text/plain } }
outputs: { which.txt: which }
";

fn environment(lab: &Lab, name: &str) {
    let made = Command::new("python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(lab.path(name))
        .output()
        .expect("Python is there");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn the_interpreter_is_that_of_the_workflow_over_the_settings_over_the_environment() {
    if !has_python("venv") {
        return;
    }
    let lab = Lab::with_workflow(WHICH);
    for name in ["one", "two", "three"] {
        environment(&lab, name);
    }
    let mut number = 0;
    let mut prefix = |variable: Option<&str>| {
        number += 1;
        // The interpreter is no part of a key.
        let cache = format!("cache{number}");
        let mut command = lab.command(["run", "workflow.yaml", "--cache", &cache]);
        command.env_remove("VIRTUAL_ENV");
        command.envs(variable.map(|name| ("VIRTUAL_ENV", lab.path(name))));
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(lab.read("results/which/which.txt")).expect("UTF-8")
    };
    let folder = |name: &str| lab.path(name).display().to_string();
    assert_ne!(prefix(None), folder("three"));
    assert_eq!(prefix(Some("three")), folder("three"));
    lab.write("fuseline.toml", "python = \"two/bin/python3\"\n");
    assert_eq!(prefix(Some("three")), folder("two"));
    add_line(&lab, "name: which", "python: ./one");
    assert_eq!(prefix(Some("three")), folder("one"));

    // It stands in the record, with its version, and in the settings, with its source.
    let cache = "cache4";
    let shown = lab.run(["runs", "show", "latest", "--format", "json", "--cache", cache]).json();
    let python = &shown["environment"]["python"][0];
    assert_eq!(python["program"], lab.path("one/bin/python3").display().to_string());
    assert!(python["version"].as_str().is_some_and(|of| of.starts_with("3.")), "{python}");
    assert_eq!(python["named_by"], "`python`, workflow.yaml:3");
    let shown = lab.run(["runs", "show", "latest", "--cache", cache]).stdout();
    assert!(shown.contains("Python 3.") && shown.contains("one/bin/python3"), "{shown}");
    let config = lab.run(["config"]).stdout();
    let row = config.lines().find(|line| line.starts_with("python ")).expect("it is shown");
    assert!(row.contains("two/bin/python3") && row.ends_with("fuseline.toml:1"), "{row}");

    // One that is not there is refused before anything runs, and no other takes its place.
    lab.edit("workflow.yaml", "python: ./one", "python: ./none");
    let ran = lab.run(["run", "workflow.yaml", "--cache", "cache5"]);
    ran.exits(2);
    says(&ran, "there is no Python interpreter");
    says(&ran, "(`python`, workflow.yaml:3)");
    assert!(!lab.path("cache5").exists());
}

#[test]
fn an_interpreter_chosen_anew_is_told_and_its_version_counts_for_a_program_that_reports_nothing() {
    if !has_python("venv") {
        return;
    }
    let lab = Lab::with_workflow(WHICH);
    for name in ["one", "two"] {
        environment(&lab, name);
    }
    let run = |name: &str| {
        let mut command = lab.command(["run", "workflow.yaml"]);
        let ran = command.env("VIRTUAL_ENV", lab.path(name)).output();
        Ran(ran.expect("it can be started"))
    };
    let words = "the Python interpreter is";
    let first = run("one");
    first.success();
    assert!(!first.stderr().contains(words), "{}", first.stderr());
    let other = run("two");
    other.success();
    says(&other, words);
    says(&other, &format!("and was {}", lab.path("one/bin/python3").display()));
    assert!(!run("two").stderr().contains(words));

    // An interpreter of another version.
    std::fs::remove_file(lab.path("two/bin/python3")).expect("it is there");
    lab.write(
        "two/bin/python3",
        "#!/bin/sh\nif [ \"$1\" = -I ]; then echo 3.99.0; else printf 3.99 > outputs/main; fi\n",
    );
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(lab.path("two/bin/python3"), executable).expect("it is there");
    run("two").success();
    assert_eq!(lab.read("results/which/which.txt"), b"3.99");
}

/// A program that uses the distribution `gatekit` and says so, as the kit in Python does.
const USES: &str = r#"fuseline: 1
name: uses
stages:
  uses:
    uses: command
    with:
      run: [python3, -c, "import gatekit, json, os, sys\nread = [sys.executable, gatekit.metadata, sys.prefix + '/pyvenv.cfg']\njson.dump([{'path': os.path.realpath(path)} for path in read], open('reads.json', 'w'))\nopen('outputs/main', 'w').write('done')"]
      outputs: { main: { artifact: report, media_type: text/plain } }
outputs: { uses.txt: uses }
"#;

/// An environment with a version of the distribution `gatekit`.
fn with_gatekit(lab: &Lab, name: &str, version: &str) {
    environment(lab, name);
    let lib = lab.path(name).join("lib");
    let folder = std::fs::read_dir(lib).expect("it has a lib").flatten().next();
    let folder = folder.expect("of one version").path().join("site-packages");
    let info = folder.join(format!("gatekit-{version}.dist-info"));
    std::fs::create_dir(&info).expect("it can be made");
    let metadata = info.join("METADATA");
    std::fs::write(&metadata, format!("Name: gatekit\nVersion: {version}\n")).expect("written");
    let text = format!("metadata = {:?}\n", metadata.display().to_string());
    std::fs::write(folder.join("gatekit.py"), text).expect("written");
}

#[test]
fn an_interpreter_chosen_anew_runs_again_what_used_another_version_and_nothing_else() {
    if !has_python("venv") {
        return;
    }
    let lab = Lab::with_workflow(USES);
    with_gatekit(&lab, "one", "1.0");
    with_gatekit(&lab, "same", "1.0");
    with_gatekit(&lab, "newer", "1.1");
    let run = |lab: &Lab, environment: &str, what: &str| {
        let mut command = lab.command([what, "workflow.yaml", "--format", "json"]);
        let output = command.env("VIRTUAL_ENV", lab.path(environment)).output();
        Ran(output.expect("it can be started"))
    };
    let executed = |lab: &Lab, name: &str| run(lab, name, "run").json()["executed"].clone();
    assert_eq!(executed(&lab, "one"), 1);
    assert_eq!(executed(&lab, "one"), 0);
    assert_eq!(executed(&lab, "same"), 0);
    let plan = run(&lab, "newer", "plan").json();
    assert_eq!(plan["actions"][0]["reason"], "gatekit is 1.1 and was 1.0", "{plan}");
    assert_eq!(executed(&lab, "newer"), 1);
    assert_eq!(executed(&lab, "newer"), 0);

    // Another machine: the same versions, and none of the paths.
    let other = Lab::with_workflow(USES);
    with_gatekit(&other, "elsewhere", "1.1");
    std::fs::rename(lab.path("cache"), other.path("cache")).expect("it can be moved");
    drop(lab);
    assert_eq!(executed(&other, "elsewhere"), 0);
    assert_eq!(executed(&other, "elsewhere"), 0);
}

#[test]
fn a_module_that_is_missing_names_the_interpreter_and_how_to_choose_another() {
    let Some(lab) = python_lab("pass") else { return };
    // An environment without numpy.
    environment(&lab, "bare");
    add_line(&lab, "name: small", "python: bare/bin/python3");
    let ran = fit(&lab, &[]);
    ran.exits(2);
    let bare = lab.path("bare/bin/python3").display().to_string();
    let words = |ran: &Ran| {
        for part in ["ModuleNotFoundError", &bare, "(`python`, workflow.yaml:4)", "`python: PATH`"]
        {
            says(ran, part);
        }
    };
    words(&ran);
    let program = WHICH.replace("import sys;", "import numpy, sys;");
    lab.write("workflow.yaml", program.replace("stages:", "python: bare/bin/python3\nstages:"));
    lab.edit("workflow.yaml", "name: which\n", "name: which\n\n");
    let ran = lab.run(["run", "workflow.yaml"]);
    ran.exits(1);
    words(&ran);
    // Without it the interpreter on PATH has all that is needed.
    let Some(lab) = python_lab("pass") else { return };
    fit(&lab, &[]).success();
    let rules = manifest(&lab)["environment"].clone();
    assert_eq!(rules["rules"][0]["id"], "org.plugins.case");
    assert_eq!(rules["rules"][0]["sandbox"], "default");
    assert!(rules["python"][0]["version"].is_string(), "{rules}");
}

/// Acts of ordinary Python: temporary files, caches of compiled code, processes and memory that
/// they share.
const ORDINARY: &str = "import multiprocessing, multiprocessing.shared_memory, tempfile
with tempfile.NamedTemporaryFile() as file:
    file.write(b'x' * 100000)
cache = os.environ['NUMBA_CACHE_DIR']
open(os.path.join(cache, 'compiled'), 'w').write('x')
context = multiprocessing.get_context('fork')
with context.Pool(2) as pool:
    assert pool.map(abs, range(-20, 0)) == list(range(20, 0, -1))
queue = context.Queue()
child = context.Process(target=queue.put, args=(7,))
child.start()
assert queue.get() == 7
child.join()
memory = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
memory.buf[0] = 3
memory.close()
memory.unlink()
lock = context.Lock()
with lock:
    pass
assert not [name for name in os.listdir('/dev/shm') if not name.startswith('sem.')]";

#[test]
fn ordinary_python_works_in_the_default_sandbox_and_leaves_nothing() {
    let Some(lab) = python_lab(ORDINARY) else { return };
    std::fs::create_dir(lab.path("tmp")).expect("it can be made");
    let run = |more: &[&str]| {
        let arguments = ["run", "workflow.yaml", "--plugin-path", "rules", "--only", "fusion"];
        let mut command = lab.command([&arguments[..], more].concat());
        Ran(command.env("TMPDIR", lab.path("tmp")).output().expect("it runs"))
    };
    run(&[]).success();
    let left: Vec<_> = std::fs::read_dir(lab.path("tmp")).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");

    add_line(&lab, "name: small", "sandbox: strict");
    let ran = run(&["--cache", "strict"]);
    ran.exits(1);
    says(&ran, "_get_default_tempdir");
}

#[test]
fn a_rule_without_a_sandbox_is_a_caution_of_the_run_and_of_its_report() {
    let Some(lab) = python_lab("open('/tmp/fuseline-conditions-was-here', 'w').close()") else {
        return;
    };
    let mark = Path::new("/tmp/fuseline-conditions-was-here");
    let _ = std::fs::remove_file(mark);
    fit(&lab, &[]).exits(1);
    assert!(!mark.exists());
    // For this rule alone, by the last part of its id.
    add_line(&lab, "name: small", "sandbox: { case: off, \"*\": strict }");
    let ran = lab.run(["run", "workflow.yaml", "--plugin-path", "rules"]);
    ran.success();
    assert!(mark.exists());
    std::fs::remove_file(mark).expect("it is there");
    says(&ran, "org.plugins.case ran without a sandbox");
    let report = String::from_utf8(lab.read("results/small/report.html")).expect("UTF-8");
    assert!(report.contains("ran without a sandbox"), "the report does not say it");
    let manifest = manifest(&lab);
    assert_eq!(manifest["environment"]["rules"][0]["sandbox"], "off", "{manifest}");
    let shown = lab.run(["runs", "show", "latest"]).stdout();
    assert!(shown.contains("org.plugins.case: worker, sandbox off"), "{shown}");
}

/// A program that takes Landlock away from what it starts, as an old kernel or a container does.
const OLD_KERNEL: &str = r#"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int n, char **words) {
  struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 444, 0, 2),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 446, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 38),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = { sizeof code / sizeof *code, code };
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) {
    perror("prctl");
    return 99;
  }
  execv(words[1], words + 1);
  perror("execv");
  return 98;
}
"#;

#[test]
fn a_kernel_without_a_required_layer_is_refused_and_without_another_it_is_said() {
    let lab = c_lab("");
    lab.write("old.c", OLD_KERNEL);
    let old = lab.path("old");
    let made = Command::new("cc").arg(lab.path("old.c")).arg("-o").arg(&old).output();
    assert!(made.expect("a C compiler is needed").status.success());
    let run = |command: &str| {
        let program = fuseline().display().to_string();
        let mut arguments = vec![program.as_str(), command, "workflow.yaml"];
        arguments.extend(["--plugin-path", "rules"]);
        let plain = lab.command([""; 0]);
        let mut started = Command::new(&old);
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => started.env(name, value),
                None => started.env_remove(name),
            };
        }
        Ran(started.args(arguments).current_dir(lab.path("")).output().expect("it runs"))
    };
    let checked = run("check");
    checked.success();
    let warning = "this system has no landlock";
    says(&checked, warning);
    let ran = run("run");
    ran.success();
    says(&ran, warning);
    assert_eq!(manifest(&lab)["environment"]["missing_layers"], serde_json::json!(["landlock"]));

    add_line(&lab, "name: small", "isolation: { require: [landlock, seccomp] }");
    std::fs::remove_dir_all(lab.path("cache")).expect("it is there");
    for command in ["check", "run"] {
        let refused = run(command);
        refused.exits(2);
        let words = "this system has no landlock, and `isolation` requires it";
        says(&refused, words);
        says(&refused, "workflow.yaml:4:24");
    }
    assert!(!lab.path("cache").exists(), "nothing ran");
    let checked = lab.run(["plugin", "check", "rules/case.so", "--sandbox", "strict"]);
    assert!(checked.stdout().contains("ran with sandbox strict."), "{}", checked.stdout());

    // With the layers the run goes on; a rule that gives them up is refused.
    lab.run(["run", "workflow.yaml", "--plugin-path", "rules"]).success();
    let arguments = ["run", "workflow.yaml", "--plugin-path", "rules", "--isolation", "in-process"];
    let refused = lab.run(arguments);
    refused.exits(2);
    says(&refused, "runs in this process");
    add_line(&lab, "name: small", "sandbox: off");
    let refused = lab.run(["check", "workflow.yaml", "--plugin-path", "rules"]);
    refused.exits(2);
    says(&refused, "runs without a sandbox");
}

#[test]
fn a_file_with_the_id_of_a_rule_in_the_box_counts_when_the_workflow_names_it() {
    let lab = c_lab("#define ID \"org.fuseline.mean\"");
    lab.edit("workflow.yaml", "[org.plugins.case]", "[mean]");
    let refused = fit(&lab, &[]);
    refused.exits(2);
    says(&refused, "is ambiguous");
    says(&refused, "`plugins: { ID: ./file }`");
    let locked = lab.run(["plugin", "lock", "--plugin-path", "rules"]);
    locked.exits(2);
    says(&locked, "org.fuseline.mean is ambiguous");

    add_line(&lab, "name: small", "plugins: { org.fuseline.mean: rules/case.so }");
    let own = |ran: Ran| {
        ran.success();
        let manifest = manifest(&lab);
        let plugins = manifest["plugins"].as_array().expect("a list").clone();
        assert_eq!(plugins.len(), 1, "{plugins:?}");
        plugins[0][1].as_str().expect("a digest").to_owned()
    };
    let named = own(lab.run(["run", "workflow.yaml", "--only", "fusion"]));
    // The lock is that of the workflow, however its path is spelt, and pins the file that is named.
    std::fs::create_dir(lab.path("elsewhere")).expect("it can be made");
    for (number, path) in ["workflow.yaml", "./elsewhere/../workflow.yaml"].iter().enumerate() {
        let locked = lab.run(["plugin", "lock", path]);
        locked.success();
        assert!(locked.stdout().starts_with("fuseline.lock pins"), "{}", locked.stdout());
        let lock: Value = serde_json::from_slice(&lab.read("fuseline.lock")).expect("JSON");
        let mut plugins = lock["plugins"].as_array().expect("a list").iter();
        let mean = plugins.find(|of| of["id"] == "org.fuseline.mean").expect("it is pinned");
        assert_eq!(mean["digest"], named, "{number}");
        assert_eq!(mean["version"], "1.0.0");
        assert_eq!(mean["platform"], format!("linux-{}", std::env::consts::ARCH));
    }
    assert_eq!(own(lab.run(["run", "workflow.yaml", "--only", "fusion"])), named);
    compile(&lab, "#define ID \"org.fuseline.mean\"\n#define NAME \"other\"", "rules/case.so");
    let refused = lab.run(["run", "workflow.yaml", "--only", "fusion"]);
    refused.exits(2);
    says(&refused, "is locked to the digest");

    std::fs::remove_file(lab.path("fuseline.lock")).expect("it is there");
    lab.edit("workflow.yaml", "org.fuseline.mean: rules", "org.fuseline.lr: rules");
    lab.edit("workflow.yaml", "rule: [mean]", "rule: [lr]");
    let refused = lab.run(["run", "workflow.yaml", "--only", "fusion"]);
    refused.exits(2);
    let words = "calls itself org.fuseline.mean, and the workflow names it org.fuseline.lr";
    says(&refused, words);
}

#[test]
fn memory_counts_that_of_all_processes_and_what_they_share_once() {
    // 300 MiB that four processes share are 300 MiB.
    let shared = "import mmap
memory = mmap.mmap(-1, 300 << 20)
for at in range(0, 300 << 20, 4096):
    memory[at] = 1
for child in range(3):
    if os.fork() == 0:
        sum(memory[at] for at in range(0, 300 << 20, 4096))
        time.sleep(1)
        os._exit(0)
for child in range(3):
    os.wait()";
    let Some(lab) = python_lab(shared) else { return };
    add_line(&lab, "name: small", "limits: { memory: 900 MB }");
    fit(&lab, &[]).success();
    // 300 MiB in each of four are not.
    let own = shared.replace(
        "sum(memory[at] for at in range(0, 300 << 20, 4096))",
        "held = bytes(300 << 20).replace(b'\\0', b'1')",
    );
    let Some(lab) = python_lab(&own) else { return };
    add_line(&lab, "name: small", "limits: { memory: 900 MB }");
    let ran = fit(&lab, &[]);
    ran.exits(1);
    let words = "of memory, and it may use 858 MiB of memory: `limits.memory`, workflow.yaml:4";
    says(&ran, words);
}

/// A workflow of one program, whose output is a text.
fn program(script: &str) -> String {
    format!(
        "fuseline: 1\nname: slow\nstages:\n  c:\n    uses: command\n    with:\n      run: [sh, -c, \
         \"{script}\"]\n      outputs: {{ main: {{ artifact: report, media_type: text/plain }} \
         }}\noutputs: {{ a.txt: c }}\n"
    )
}

#[test]
fn a_program_is_bounded_in_memory_as_a_rule_is() {
    // `tail` holds a line without end.
    let holds = "(head -c 100000000 /dev/zero; sleep 3) | tail -n 1 >/dev/null";
    let one = holds.replace("100000000", "300000000").replace("sleep 3", "true");
    let three = format!("for i in 1 2 3; do {holds} & done; wait");
    let words = "it may use 190 MiB of memory: `limits.memory`, workflow.yaml:3";
    // One process is refused more, or is seen with what it has, whichever comes first.
    // Three are within the bound each: what is over it is that of all.
    let (refused, seen) = ("ended with exit code", "sh was ended: it uses");
    for (script, either) in [(one, [refused, seen]), (three, [seen, seen])] {
        let lab = Lab::with_workflow(&program(&format!("{script} && touch outputs/main.txt")));
        add_line(&lab, "name: slow", "limits: { memory: 200 MB }");
        let ran = lab.run(["run", "workflow.yaml"]);
        ran.exits(1);
        says(&ran, words);
        let said = joined(&ran.stderr());
        assert!(either.iter().any(|text| said.contains(&joined(text))), "{said}");
    }
    let lab = Lab::with_workflow(&program("echo fits >outputs/main"));
    add_line(&lab, "name: slow", "limits: { memory: 200 MB }");
    lab.run(["run", "workflow.yaml"]).success();
}

#[test]
fn a_variable_of_the_environment_is_seen_where_it_is_listed_and_counts_by_value() {
    let lab = Lab::with_workflow(&program("printf 'case:%s' \\\"$CASE\\\" >outputs/main"));
    let run = |value: Option<&str>, command: &str| {
        let mut with = lab.command([command, "workflow.yaml", "--format", "json"]);
        match value {
            Some(value) => with.env("CASE", value),
            None => with.env_remove("CASE"),
        };
        Ran(with.output().expect("it starts"))
    };
    let expect = |value: Option<&str>, executed: u32, output: &str| {
        let ran = run(value, "run");
        assert_eq!(ran.success().json()["executed"], executed, "{value:?}");
        assert_eq!(lab.read("results/slow/a.txt"), output.as_bytes(), "{value:?}");
    };
    expect(Some("1"), 1, "case:");
    expect(Some("2"), 0, "case:");
    add_line(&lab, "name: slow", "env: [CASE]");
    expect(Some("1"), 1, "case:1");
    expect(Some("1"), 0, "case:1");
    let plan = run(Some("2"), "plan").stdout();
    assert!(plan.contains("env.CASE"), "{plan}");
    expect(Some("2"), 1, "case:2");
    expect(None, 1, "case:");
    expect(Some("1"), 0, "case:1");
    lab.edit("workflow.yaml", "env: [CASE]", "");
    add_line(&lab, "    uses: command", "    env: [CASE]");
    expect(Some("2"), 0, "case:2");
    lab.edit("workflow.yaml", "env: [CASE]", "env: [2CASE]");
    says(&lab.run(["check", "workflow.yaml"]), "`2CASE` must be the name of a variable");
}

#[test]
fn a_rule_sees_of_the_environment_what_the_workflow_passes() {
    let script = python_lab("raise fr.RuleError('CASE is ' + str(os.environ.get('CASE')))");
    let library = c_lab(
        "#define BEFORE_FIT { char said[99]; snprintf(said, 99, \"CASE is %s\", getenv(\"CASE\") ? \
         getenv(\"CASE\") : \"None\"); return fsl_fail(err, FSL_ERR_DATA, -1, \"\", said); }",
    );
    for lab in [Some(library), script].into_iter().flatten() {
        let said = || {
            let arguments = ["run", "workflow.yaml", "--plugin-path", "rules", "--only", "fusion"];
            Ran(lab.command(arguments).env("CASE", "seen").output().expect("it starts"))
        };
        says(&said(), "CASE is None");
        add_line(&lab, "name: small", "env: [CASE]");
        says(&said(), "CASE is seen");
    }
}

/// A run of one program, which leaves another behind in a session of its own.
struct Started {
    lab: Lab,
    run: std::process::Child,
    /// Words by which the processes are known.
    mark: String,
}

impl Started {
    fn new(program: &str) -> Self {
        let mark = format!("{}.{}", 3000 + std::process::id() % 1000, unique());
        let lab = Lab::with_workflow(&self::program(&program.replace("MARK", &mark)));
        std::fs::create_dir(lab.path("tmp")).expect("it can be made");
        let mut command = lab.command(["run", "workflow.yaml"]);
        command.env("TMPDIR", lab.path("tmp"));
        let run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        Self { lab, run, mark }
    }

    /// Processes whose command line holds the mark.
    fn processes(&self) -> usize {
        let held = |entry: std::fs::DirEntry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.starts_with("sleep ") && line.contains(&self.mark)
        };
        let entries = std::fs::read_dir("/proc").expect("Linux").flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
            .map(held)
            .filter(|held| *held)
            .count()
    }

    fn folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.lab.path("tmp")).expect("a folder").flatten();
        entries.map(|entry| entry.path()).collect()
    }

    #[track_caller]
    fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let found = (self.processes(), self.folders());
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {found:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn unique() -> u32 {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(125);
    NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn programs_and_their_folders_end_with_a_run_however_it_ends() {
    let signals: [&[Signal]; 4] = [
        &[Signal::INT, Signal::INT],
        &[Signal::HUP, Signal::HUP],
        &[Signal::TERM, Signal::TERM],
        &[Signal::KILL],
    ];
    let started: Vec<_> = signals
        .into_iter()
        .map(|signals| (Started::new("setsid sleep MARK & sleep MARK"), signals))
        .collect();
    for (mut started, signals) in started {
        started.wait_until("both have begun", |of| of.processes() == 2);
        assert!(!started.folders().is_empty());
        let process = Pid::from_child(&started.run);
        for signal in signals {
            kill_process(process, *signal).expect("it goes on");
            std::thread::sleep(Duration::from_millis(300));
        }
        started.run.wait().expect("it ends");
        started.wait_until("nothing is left", |of| of.processes() == 0 && of.folders().is_empty());
    }
    // Processes that a program leaves behind end with it, though it ends well.
    let mut started = Started::new("setsid sleep MARK & echo x > outputs/main");
    assert!(started.run.wait().expect("it ends").success());
    started.wait_until("nothing is left", |of| of.processes() == 0 && of.folders().is_empty());
}

#[test]
fn scripts_and_their_folders_end_with_a_run_that_is_killed() {
    let mark = format!("{}.{}", 4000 + std::process::id() % 1000, unique());
    let Some(lab) = python_lab(&format!("subprocess.run(['sleep', '{mark}'])")) else { return };
    std::fs::create_dir(lab.path("tmp")).expect("it can be made");
    let arguments = ["run", "workflow.yaml", "--plugin-path", "rules", "--only", "fusion"];
    let mut command = lab.command(arguments);
    command.env("TMPDIR", lab.path("tmp")).stdout(Stdio::null()).stderr(Stdio::null());
    let run = command.spawn().expect("it starts");
    let mut started = Started { lab, run, mark };
    started.wait_until("it has begun", |of| of.processes() == 1);
    started.run.kill().expect("it goes on");
    started.run.wait().expect("it ends");
    started.wait_until("nothing is left", |of| of.processes() == 0 && of.folders().is_empty());
}
