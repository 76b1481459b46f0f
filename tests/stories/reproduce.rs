//! A past run again from nothing, and its report within another page.

use fuseline_tests::Lab;

fn small() -> Lab {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    Lab::with_workflow(
        &std::fs::read_to_string(root.join("cases/small.yaml")).expect("the workflow"),
    )
}

#[test]
fn a_run_is_reproduced_byte_by_byte_in_a_cache_of_its_own() {
    let lab = small();
    lab.run(["run", "workflow.yaml", "--seed", "7"]).success();
    let before = lab.run(["cache", "status", "--format", "json"]).json();
    let found = lab.run(["reproduce", "--format", "json"]).json();
    assert_eq!(
        (&found["same"], &found["actions_differing"]),
        (&true.into(), &serde_json::json!([]))
    );
    assert!(found["actions_same"].as_u64().expect("a number") > 0);
    assert!(!found["outputs"].as_array().expect("a list").is_empty());
    let words = lab.run(["reproduce", "latest"]);
    assert!(
        words.success().stdout().contains("Reproduced: the outputs of all"),
        "{}",
        words.stdout()
    );
    // Neither run was kept, and nothing was added.
    assert_eq!(lab.run(["cache", "status", "--format", "json"]).json(), before);
}

#[test]
fn what_differs_is_named_and_what_cannot_be_compared_is_refused() {
    let lab = Lab::with_workflow(
        "fuseline: 1
name: study
seed: 1
stages:
  draw:
    uses: command
    with:
      run: [sh, -c, \"date +%s%N > outputs/main\"]
      outputs: { main: { artifact: report, media_type: text/plain } }
outputs: { draw.txt: draw }
",
    );
    lab.run(["run", "workflow.yaml"]).success();
    let found = lab.run(["reproduce", "--format", "json"]);
    assert_eq!(found.code(), 1, "{}", found.stderr());
    assert!(found.stdout().contains("\"same\":false") && found.stdout().contains("draw"));
    lab.edit("workflow.yaml", "seed: 1", "seed: 2");
    let refused = lab.run(["reproduce"]);
    assert!(
        refused.exits(2).stderr().contains("is not the workflow of run"),
        "{}",
        refused.stderr()
    );
    let absent = lab.run(["reproduce", "--workflow", "other.yaml"]).exits(2).stderr();
    assert!(absent.contains("there is no other.yaml, the workflow of run"), "{absent}");
    assert!(absent.contains("name the file with --workflow"), "{absent}");
}
