//! `fuseline.toml`: sources of settings, the effect of each, and reports of mistakes in it.

use fuseline_tests::{Lab, root};
use serde_json::Value;

const SMALL: &str = include_str!("../cases/small.yaml");

fn lab() -> Lab {
    Lab::with_workflow(SMALL)
}

/// The value and the source of a setting.
#[track_caller]
fn setting(config: &Value, name: &str) -> (Value, String) {
    let rows = config["settings"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    (row["value"].clone(), row["source"].as_str().expect("text").to_owned())
}

#[test]
fn a_flag_wins_over_the_environment_over_the_nearest_file_over_that_of_the_user() {
    let lab = lab();
    let config = |arguments: &[&str], variable: Option<&str>| {
        let mut command = lab.command([&["config", "--format", "json"], arguments].concat());
        command.envs(variable.map(|cache| ("FUSELINE_CACHE", cache)));
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let folder = lab.path("").canonicalize().expect("it is there");
    let cache = |name: &str| Value::from(folder.join(name).display().to_string());

    assert_eq!(setting(&config(&[], None), "cache.path"), ("cache".into(), "default".to_owned()));
    lab.write(
        "user-config/fuseline/fuseline.toml",
        "[cache]\npath = \"../../of-user\"\nmode = \"write\"\n",
    );
    let user = folder.join("user-config/fuseline/fuseline.toml");
    let found = config(&[], None);
    assert_eq!(setting(&found, "cache.path").0, cache("of-user"));
    assert!(setting(&found, "cache.path").1.ends_with("fuseline.toml:2"), "{found}");

    lab.write("fuseline.toml", "\n[cache]\npath = \"of-project\"\n");
    let found = config(&[], None);
    assert_eq!(setting(&found, "cache.path"), (cache("of-project"), "fuseline.toml:3".to_owned()));
    assert_eq!(setting(&found, "cache.mode").0, "write", "what only the user's file says stays");
    assert_eq!(found["files"][1], user.display().to_string());

    let found = config(&[], Some("of-variable"));
    let of_variable = ("of-variable".into(), "FUSELINE_CACHE".to_owned());
    assert_eq!(setting(&found, "cache.path"), of_variable);
    let found = config(&["--cache", "of-flag"], Some("of-variable"));
    assert_eq!(setting(&found, "cache.path"), ("of-flag".into(), "--cache".to_owned()));

    // Every command finds the same cache.
    lab.run(["run", "workflow.yaml"]).success();
    assert!(lab.path("of-project/format").exists());
    assert!(!lab.path("cache").exists());
    let runs = lab.run(["runs", "list", "--format", "json"]).json();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(1));
    let plan = lab.run(["plan", "workflow.yaml", "--format", "json"]).json();
    let actions = plan["actions"].as_array().expect("a list");
    assert!(actions.iter().all(|action| action["status"] == "cached"), "{plan}");
}

#[test]
fn the_nearest_file_is_that_of_the_workflow_and_one_may_be_named_instead() {
    let lab = Lab::new();
    lab.write("studies/one/workflow.yaml", SMALL);
    lab.write("studies/fuseline.toml", "[cache]\npath = \"shared\"\n");
    lab.run(["run", "studies/one/workflow.yaml"]).success();
    assert!(lab.path("studies/shared/format").exists());
    lab.write("other.toml", "[cache]\npath = \"elsewhere\"\n");
    let mut command = lab.command(["run", "studies/one/workflow.yaml"]);
    let output = command.env("FUSELINE_SETTINGS", "other.toml").output().expect("it runs");
    assert!(output.status.success());
    assert!(lab.path("elsewhere/format").exists());
    let mut command = lab.command(["config"]);
    let output = command.env("FUSELINE_SETTINGS", "missing.toml").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("missing.toml"), "{said}");
}

#[test]
fn a_mistake_in_the_settings_is_shown_in_its_line_and_nothing_runs() {
    let lab = lab();
    lab.write("fuseline.toml", "[cache]\npaht = \"cache\"\n[limits]\ncall = \"soon\"\n");
    let run = lab.run(["run", "workflow.yaml"]);
    run.exits(2);
    let said = run.stderr();
    for part in ["fuseline.toml:2:1", "did you mean `path`?", "fuseline.toml:4:8", "2 errors"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!lab.path("cache").exists());
    for command in [&["config"][..], &["cache", "status"], &["check", "workflow.yaml"]] {
        lab.run(command).exits(2);
    }
}

#[test]
fn limits_of_the_settings_bound_rules() {
    let lab = lab();
    lab.write("fuseline.toml", "[limits]\nmemory = \"4 KiB\"\n");
    let run = lab.run(["run", "workflow.yaml"]);
    assert_ne!(run.code(), 0, "no rule does with a page: {}", run.stderr());
    assert!(run.stderr().contains("`limits.memory`"), "{}", run.stderr());
    lab.write("fuseline.toml", "[limits]\nload = \"30s\"\nmemory = \"2 GiB\"\ncall = \"10min\"\n");
    lab.run(["run", "workflow.yaml"]).success();
}

#[test]
fn the_plugin_path_of_the_settings_comes_after_that_of_the_workflow() {
    let lab = lab();
    lab.write("fuseline.toml", "plugin_path = [\"rules\"]\n");
    lab.write("rules/broken_rule.so", b"\x7fELF no library");
    let list = lab.run(["plugin", "list", "--format", "json"]).json();
    assert!(list["broken"].to_string().contains("broken_rule"), "{list}");
}

#[test]
fn the_schema_of_the_settings_in_the_tree_is_the_one_that_is_printed() {
    let path = root().join("schemas/settings.schema.json");
    let printed = Lab::new().run(["schema", "--settings"]).success().stdout();
    if std::env::var_os("FUSELINE_UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &printed).expect("the schema can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == printed, "it is stale: run this test with FUSELINE_UPDATE_SCHEMAS=1");
}

#[test]
fn the_reference_of_the_settings_names_each_and_is_itself_a_file_of_settings() {
    let text = std::fs::read_to_string(root().join("docs/settings.md")).expect("it is there");
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let example = example.expect("it has an example");
    let lab = Lab::new();
    lab.write("fuseline.toml", example);
    let config = lab.run(["config", "--format", "json"]).json();
    for row in config["settings"].as_array().expect("a list") {
        let source = row["source"].as_str().expect("text");
        assert_ne!(source, "default", "docs/settings.md does not show {}", row["name"]);
    }
}
