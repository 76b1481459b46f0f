//! The tutorial in the README, followed to the letter.

use std::fs;
use std::process::Command;

use fuseline_tests::{Lab, fuseline, has_python, root};

/// A block of code with the comment above it.
struct Block {
    comment: String,
    language: String,
    text: String,
}

fn blocks(section: &str) -> Vec<Block> {
    let (mut blocks, mut comment, mut open): (Vec<Block>, String, Option<Block>) =
        Default::default();
    for line in section.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let (comment, language) = (std::mem::take(&mut comment), language.to_owned());
                open = Some(Block { comment, language, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {
                if let Some(text) = line.strip_prefix("<!-- ") {
                    comment = text.trim_end_matches(" -->").to_owned();
                }
            }
        }
    }
    blocks
}

#[test]
fn a_newcomer_can_follow_the_tutorial() {
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let (_, section) = readme.split_once("\n## Write your own experiment\n").expect("the tutorial");
    let section = section.split("\n## ").next().expect("a part");
    let lab = Lab::new();
    for file in ["voice.csv", "face.csv"] {
        let path = root().join("examples/tutorial").join(file);
        lab.write(&format!("examples/tutorial/{file}"), fs::read(path).expect("the data"));
    }
    let program = fuseline();
    let folder = program.parent().expect("it lies in a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("a PATH"));
    let blocks = blocks(section);
    for Block { comment, language, text } in &blocks {
        if let Some(file) = comment.strip_prefix("file: ") {
            lab.write(file, text);
            continue;
        }
        assert_eq!(language, "sh", "only files and commands are expected: {text}");
        let (code, says) = match comment.strip_prefix("exit: ") {
            Some(wanted) => {
                let (code, says) = wanted.split_once(", says: ").expect("exit: N, says: TEXT");
                (code.parse().expect("a number"), says)
            }
            None => (0, ""),
        };
        let ran = Command::new("sh")
            .args(["-e", "-c", text])
            .current_dir(lab.path(""))
            .env("PATH", &path)
            .env_remove("FUSELINE_CACHE")
            .output()
            .expect("there is a shell");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(code), "{text}{said}");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(says), "{says:?} is not in {said}");
    }
    assert!(blocks.len() >= 6, "{} blocks", blocks.len());
    assert!(lab.path("results/my-study/finding.parquet").exists());
    assert!(lab.path("graph.svg").exists());
    // The first workflow that `init` writes runs at once, too.
    lab.run(["init", "my-next-study"]).success();
    let workflow = "my-next-study/workflow.yaml";
    lab.run(["run", workflow, "--set", "permutations=20", "--set", "examples=120"]).success();
    assert!(lab.path("results/my-next-study/report.html").exists());
}

/// Writes the files of a page and runs its commands; gives what the commands said.
fn follow(lab: &Lab, page: &str) -> String {
    let program = fuseline();
    let folder = program.parent().expect("it lies in a folder");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").expect("a PATH"));
    let mut told = String::new();
    for Block { comment, language, text } in blocks(page) {
        match comment.strip_prefix("file: ") {
            Some(file) => lab.write(file, text),
            None if language == "sh" => {
                let mut shell = Command::new("sh");
                shell.args(["-e", "-c", &text]).current_dir(lab.path("")).env("PATH", &path);
                let ran = shell.output().expect("there is a shell");
                assert!(ran.status.success(), "{text}{}", String::from_utf8_lossy(&ran.stderr));
                told += &String::from_utf8_lossy(&ran.stdout);
                told += &String::from_utf8_lossy(&ran.stderr);
            }
            None => {}
        }
    }
    told
}

#[test]
fn the_example_of_a_program_runs_and_what_it_read_is_an_input() {
    if !has_python("pyarrow") {
        return;
    }
    let page = fs::read_to_string(root().join("docs/command.md")).expect("there is a page");
    let (_, example) = page.split_once("\n## A whole example\n").expect("the example");
    let lab = Lab::new();
    let told = follow(&lab, example);
    assert!(lab.path("results/program/finding.parquet").exists());
    assert!(told.contains("limit.txt, which it had read, changed"), "{told}");
    // The page names every option of the kind and every key of the task.
    let reference = lab.run(["stages", "command"]).success().stdout();
    let options = reference.lines().filter_map(|line| {
        let line = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
        line.split_once(": ").map(|(name, _)| name.to_owned())
    });
    for option in options.chain(["point", "seed", "reads.json", "FUSELINE_TASK"].map(str::to_owned))
    {
        assert!(page.contains(&format!("`{option}`")), "docs/command.md lacks {option}");
    }
}

#[test]
fn the_reference_of_the_language_runs_and_names_every_key_and_function() {
    let page = fs::read_to_string(root().join("docs/language.md")).expect("there is a page");
    let lab = Lab::new();
    follow(&lab, &page);
    assert!(lab.path("results/study/noise.parquet").exists());
    // The axes of the page, each in a workflow of its own.
    let axes: Vec<Block> =
        blocks(&page).into_iter().filter(|block| block.comment == "axes").collect();
    assert_eq!(axes.len(), 2);
    for (Block { text, .. }, (over, actions)) in
        axes.iter().zip([("setting", 2), ("train, test", 3)])
    {
        lab.write(
            "axes.yaml",
            format!(
                "fuseline: 1\nname: axes\nparams: {{ depths: [1, 2] }}\n{text}stages:\n  cohort: {{ \
                 uses: simulate.cohort, over: [{over}], with: {{ examples: 60, groups: 12 }} }}\n"
            ),
        );
        let plan = lab.run(["plan", "axes.yaml", "--format", "json"]).json();
        assert_eq!(plan["actions"].as_array().map(Vec::len), Some(actions), "{text}");
    }
    for function in fuseline_workflow::functions() {
        let row = format!("| `{}` | {} |", function.signature, function.doc);
        assert!(page.contains(&row), "docs/language.md lacks {row}");
    }
    let schema = lab.run(["schema"]).json();
    let keys = |of: &serde_json::Value| -> Vec<String> {
        of["properties"].as_object().expect("an object").keys().cloned().collect()
    };
    for key in keys(&schema).into_iter().chain(keys(&schema["$defs"]["stage"])) {
        assert!(page.contains(&format!("| `{key}` |")), "docs/language.md lacks {key}");
    }
    assert!(lab.run(["check", "study.yaml"]).success().stderr().is_empty());
}
