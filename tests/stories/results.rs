//! Looking at results: show, export, reports of past runs, deposits.

use std::io::Read as _;
use std::process::{Command, Stdio};

use fuseline_tests::{Lab, Need, Ran, files_below, python, root, skip};
use serde_json::Value;

/// A small simulated study with every form of output.
fn lab() -> Lab {
    let text = std::fs::read_to_string(root().join("workflows/quickstart.yaml")).expect("readable");
    let lab = Lab::with_workflow(&text);
    for (all, few) in [
        ("fidelity: [0.9, 0.0]", "fidelity: [0.9]"),
        ("quality: [column, constant, aligned, random]", "quality: [column, constant]"),
        ("rule: [mean, weighted_mean, lr, moe]", "rule: [mean, lr]"),
        ("folds: 4", "folds: 2"),
    ] {
        lab.edit("workflow.yaml", all, few);
    }
    lab.edit(
        "workflow.yaml",
        "outputs:\n",
        "outputs:\n  findings.csv: findings\n  findings.json: findings\n  report.md: \
         markdown\n  report.tex: latex\n",
    );
    let report = "  report:\n    uses: report.html\n";
    let text = String::from_utf8(lab.read("workflow.yaml")).expect("UTF-8");
    let (_, stage) = text.split_once(report).expect("the quickstart has a report");
    let inputs = stage.split("\n\n").next().expect("with inputs");
    let others = ["markdown", "latex"]
        .map(|form| format!("  {form}:\n    uses: report.{form}\n{inputs}\n"))
        .concat();
    lab.edit("workflow.yaml", report, &format!("{others}{report}"));
    lab
}

/// Runs it with few permutations.
fn run(lab: &Lab) -> Value {
    lab.run(["run", "workflow.yaml", "--set", "permutations=19", "--format", "json"]).json()
}

/// Runs a command about the same workflow.
fn show(lab: &Lab, more: &[&str]) -> Ran {
    let mut arguments = vec!["show", "workflow.yaml", "--set", "permutations=19"];
    arguments.extend(more);
    lab.run(arguments)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn findings_come_as_parquet_csv_and_json_with_the_same_numbers() {
    let lab = lab();
    let name = run(&lab)["outputs"]["findings.csv"].as_str().expect("a path").to_owned();
    let folder = name.strip_suffix("/findings.csv").expect("in the folder of results");
    let rows: Value =
        serde_json::from_slice(&lab.read(&format!("{folder}/findings.json"))).expect("JSON");
    let csv = text(lab.read(&name));
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let gap = names.iter().position(|name| *name == "gap").expect("a gap");
    let rows = rows.as_array().expect("a list");
    assert!(!rows.is_empty());
    for (line, row) in lines.by_ref().zip(rows) {
        let cell: f64 = line.split(',').nth(gap).expect("a cell").parse().expect("a number");
        // The reader of JSON in this test is exact to the last place but one.
        let other = row["gap"].as_f64().expect("a number");
        assert!((cell - other).abs() <= 1e-15 * cell.abs().max(1e-3), "{cell} and {other}");
    }
    assert_eq!(lines.next(), None);
    assert!(text(lab.read(&format!("{folder}/report.md"))).starts_with("# "));
    assert!(text(lab.read(&format!("{folder}/report.tex"))).contains("\\toprule"));
}

#[test]
fn an_artifact_is_shown_exported_and_never_computed() {
    let lab = lab();
    show(&lab, &["findings"]).exits(2);
    run(&lab);
    let human = show(&lab, &["findings", "--rows", "0"]);
    let json = show(&lab, &["findings", "--format", "json"]).json();
    let rows = json.as_array().expect("a list").len();
    assert_eq!(human.success().stdout().lines().count(), 1 + rows);
    show(&lab, &["findings", "--export", "out/f.parquet"]).success();
    show(&lab, &["findings", "--export", "out/f.csv"]).success();
    assert!(lab.read("out/f.parquet").starts_with(b"PAR1"));
    assert_eq!(text(lab.read("out/f.csv")).lines().count(), 1 + rows);
    assert!(show(&lab, &["report"]).success().stdout().starts_with("<!DOCTYPE html>"));
    show(&lab, &["findings", "--export", "out/f.xlsx"]).exits(2);

    // Artifacts of another parameter were never made, and are not made now.
    let other = lab.run(["show", "workflow.yaml", "findings", "--set", "permutations=20"]);
    let said = other.exits(2).stderr();
    assert!(said.contains("findings is not in the cache"), "{said}");
    assert!(
        said.contains("`fuseline run workflow.yaml --set permutations=20 --only findings`"),
        "{said}"
    );
    let runs = lab.run(["runs", "list", "--format", "json"]).json();
    assert_eq!(runs["runs"].as_array().expect("a list").len(), 1);
}

#[test]
fn a_mistyped_name_is_answered_with_what_was_meant() {
    let lab = lab();
    run(&lab);
    for (written, meant) in [
        ("findngs", "`findings`"),
        ("expert.tset[fold=0]", "`test`"),
        ("expert.test[fld=0]", "`fold`"),
    ] {
        let answer = show(&lab, &[written]);
        assert!(answer.exits(2).stderr().contains(meant), "{written}: {}", answer.stderr());
    }
    let only = lab.run(["run", "workflow.yaml", "--only", "cohrt"]);
    assert!(only.exits(2).stderr().contains("did you mean `cohort`?"), "{}", only.stderr());
    let command = lab.run(["shwo", "workflow.yaml"]);
    assert!(command.exits(2).stderr().contains("'show'"), "{}", command.stderr());
}

#[test]
fn the_report_of_a_past_run_is_written_again_without_its_workflow() {
    let lab = lab();
    run(&lab);
    let first = lab.run(["show", "workflow.yaml", "--set", "permutations=19", "report"]).stdout();
    std::fs::remove_file(lab.path("workflow.yaml")).expect("it was there");
    let before = lab.run(["cache", "status", "--format", "json"]).json();
    lab.run(["report", "latest", "--out", "again"]).success();
    assert_eq!(lab.run(["cache", "status", "--format", "json"]).json(), before);
    let again = text(lab.read("again/report.html"));
    // All but what only a past run can say: how much of each stage was executed, and the file's
    // name.
    let answer = |html: &str| {
        let (_, from) = html.split_once("<h1").expect("a title");
        from.split_once("Provenance</h2>").expect("provenance").0.to_owned()
    };
    assert_eq!(answer(&again), answer(&first));
    assert!(again.contains("workflow.yaml"));
    let written = [
        "report.md",
        "report.tex",
        "figures/gaps.svg",
        "figures/gaps.pdf",
        "findings.csv",
        "findings.json",
    ];
    for file in written {
        assert!(!lab.read(&format!("again/{file}")).is_empty(), "{file}");
    }
    lab.run(["report", "9"]).exits(2);
}

#[test]
fn figures_come_alone_from_a_past_run_and_as_outputs_of_a_workflow() {
    let lab = lab();
    lab.edit(
        "workflow.yaml",
        "  report.md: markdown\n",
        "  report.md: markdown\n  gaps.pdf: figure\n",
    );
    lab.edit(
        "workflow.yaml",
        "  markdown:\n    uses: report.markdown\n",
        "  figure:\n    uses: report.figure\n    inputs: { findings: findings }\n    with: { \
         figure: gaps }\n\n  markdown:\n    uses: report.markdown\n",
    );
    let path = run(&lab)["outputs"]["gaps.pdf"].as_str().expect("a path").to_owned();
    assert!(lab.read(&path).starts_with(b"%PDF-1."));
    lab.run(["report", "--figures", "paper", "--format", "pdf"]).success();
    assert_eq!(lab.read("paper/gaps.pdf"), lab.read(&path));
    for entry in std::fs::read_dir(lab.path("paper")).expect("a folder") {
        let path = entry.expect("readable").path();
        assert!(path.extension().is_some_and(|end| end == "pdf"), "{}", path.display());
    }
    lab.run(["report", "--figures", "slides", "--format", "png"]).success();
    assert!(lab.read("slides/gaps.png").starts_with(b"\x89PNG\r\n"));
    assert_eq!(
        lab.path("slides").read_dir().expect("a folder").count(),
        lab.path("paper").read_dir().expect("a folder").count()
    );
    lab.edit("workflow.yaml", "{ figure: gaps }", "{ figure: gasp }");
    let failed = lab.run(["run", "workflow.yaml", "--set", "permutations=19", "--only", "figure"]);
    assert!(failed.exits(2).stderr().contains("did you mean gaps?"), "{}", failed.stderr());

    // The stage's own table, as it is, in a paper with that figure.
    let tex = path.replace("gaps.pdf", "report.tex");
    let paper = "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs,graphicx}\\begin{document}\n\
                 \\input{report}\\includegraphics[width=\\linewidth]{gaps.pdf}\\end{document}\n";
    lab.write("paper/report.tex", lab.read(&tex));
    lab.write("paper/paper.tex", paper);
    let ran = Command::new("pdflatex")
        .args(["-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "paper.tex"])
        .current_dir(lab.path("paper"))
        .output();
    match ran {
        Ok(ran) => assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout)),
        Err(_) => skip(Need::Latex, "there is no pdflatex"),
    }
}

#[test]
fn reports_of_several_findings_have_a_folder_each_and_can_be_chosen() {
    let lab = lab();
    let text = text(lab.read("workflow.yaml"));
    let (_, stage) = text.split_once("    uses: diagnose.family\n").expect("a family");
    let family =
        stage.split("\n\n").next().expect("with inputs").replace("adjust: holm", "adjust: none");
    assert!(family.contains("adjust: none"), "{family}");
    lab.edit(
        "workflow.yaml",
        "  markdown:\n    uses: report.markdown\n",
        &format!(
            "  plain:\n    uses: diagnose.family\n{family}\n\n  second:\n    uses: \
             report.html\n    inputs: {{ findings: plain }}\n\n  markdown:\n    uses: \
             report.markdown\n"
        ),
    );
    lab.edit(
        "workflow.yaml",
        "  report.md: markdown\n",
        "  report.md: markdown\n  second.html: second\n",
    );
    run(&lab);
    lab.run(["report", "--out", "all"]).success();
    let said = |path: &str| String::from_utf8(lab.read(path)).expect("UTF-8");
    let of_first = std::fs::read_dir(lab.path("all")).expect("a folder").count();
    assert_eq!(of_first, 2, "HTML, Markdown and LaTeX of the same findings are one report");
    assert!(said("all/second/report.md").contains("not adjusted"));
    lab.run(["report", "--stage", "second", "--out", "one"]).success();
    assert_eq!(said("one/report.md"), said("all/second/report.md"));
    let wrong = lab.run(["report", "--stage", "secnd", "--out", "none"]);
    assert!(wrong.exits(2).stderr().contains("did you mean `second`?"), "{}", wrong.stderr());
}

#[test]
fn a_stage_that_is_never_cached_is_not_found_and_the_answer_says_why() {
    let lab = lab();
    lab.edit(
        "workflow.yaml",
        "    uses: diagnose.family\n",
        "    uses: diagnose.family\n    cache: false\n",
    );
    run(&lab);
    for (name, why) in [
        ("findings", "is never kept: its stage says `cache: false`"),
        ("report", "depends on findings, and findings says `cache: false`"),
    ] {
        let answer = show(&lab, &[name]);
        assert!(answer.exits(2).stderr().contains(why), "{}", answer.stderr());
    }
    show(&lab, &["cohort"]).success();
}

#[test]
fn pandas_and_duckdb_read_every_form_of_an_export_alike() {
    const READ: &str = "
import sys, duckdb, pandas as pd
parquet, csv, json = (f'{sys.argv[1]}/f.{end}' for end in ('parquet', 'csv', 'json'))
frames = [pd.read_parquet(parquet), pd.read_csv(csv), pd.read_json(json, dtype=False), \
duckdb.sql(f\"from '{parquet}'\").df(),
          duckdb.sql(f\"from read_csv('{csv}')\").df(), duckdb.sql(f\"from \
          read_json('{json}')\").df()]
first = frames[0]
numbers = [c for c in first if first[c].dtype == 'float64']
assert 'gap' in numbers and len(numbers) > 15
for frame in frames:
    assert list(frame.columns) == list(first.columns), frame.columns
    assert (frame['rule'] == first['rule']).all()
    pd.testing.assert_frame_equal(frame[numbers].astype('float64'), first[numbers], rtol=1e-14)
print(len(first))";
    let lab = lab();
    run(&lab);
    for end in ["parquet", "csv", "json"] {
        show(&lab, &["findings", "--export", &format!("out/f.{end}")]).success();
    }
    let rows = python(
        "duckdb, pandas, pyarrow",
        ["-c".as_ref(), READ.as_ref(), lab.path("out").as_os_str()],
    );
    assert!(rows.is_none_or(|rows| rows.trim() == "4"), "two rules at two qualities");
}

#[test]
fn a_deposit_describes_every_file_that_it_holds_and_no_other() {
    let lab = lab();
    run(&lab);
    lab.run(["report", "--ro-crate", "deposit", "--license", "CC-BY-4.0"]).success();
    let metadata: Value =
        serde_json::from_slice(&lab.read("deposit/ro-crate-metadata.json")).expect("JSON");
    let graph = metadata["@graph"].as_array().expect("a graph");
    let entity = |id: &str| graph.iter().find(|entity| entity["@id"] == id);
    let folder = lab.path("deposit");
    let held = files_below(&folder).into_iter().map(|path| {
        let relative = path.strip_prefix(&folder).expect("below");
        relative.to_str().expect("UTF-8").to_owned()
    });
    let mut held: Vec<String> = held.collect();
    held.retain(|path| path != "ro-crate-metadata.json");
    held.sort();
    let root = entity("./").expect("the root");
    assert_eq!(root["license"], "CC-BY-4.0");
    let parts = root["hasPart"].as_array().expect("parts").iter();
    let mut parts: Vec<_> = parts.map(|part| part["@id"].as_str().expect("an id")).collect();
    parts.sort_unstable();
    assert_eq!(parts, held);
    for path in &held {
        let size = entity(path).expect("described")["contentSize"].as_str().map(str::to_owned);
        // The workflow's own entity is about more than its bytes.
        let expected = lab.read(&format!("deposit/{path}")).len().to_string();
        assert!(size.is_none_or(|size| size == expected), "{path}");
    }
    // Nothing is referred to that is not described, but for the outside.
    let mut ids = Vec::new();
    collect(&metadata["@graph"], &mut ids);
    for id in ids.iter().filter(|id| !id.starts_with("http")) {
        assert!(entity(id).is_some(), "{id} is not described");
    }
    assert_eq!(entity("#run").expect("the run")["endTime"].as_str().map(str::len), Some(24));
}

/// Every `@id` that is a reference.
fn collect(value: &Value, ids: &mut Vec<String>) {
    match value {
        Value::Object(object) if object.len() == 1 && object.contains_key("@id") => {
            ids.push(object["@id"].as_str().expect("a text").to_owned());
        }
        Value::Object(object) => object.values().for_each(|value| collect(value, ids)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, ids)),
        _ => {}
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let lab = lab();
    let mut child = lab
        .command(["schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // One byte of a text that is longer than a pipe holds.
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut [0]).expect("it writes");
    drop(stdout);
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn quiet_says_nothing_verbose_says_every_action_and_no_pipe_gets_colours() {
    let lab = lab();
    let with = |more: &str| {
        let arguments =
            ["run", "workflow.yaml", "--set", "permutations=19", "--only", "cohort", more];
        lab.run(arguments)
    };
    let verbose = with("--verbose");
    assert!(verbose.success().stderr().contains("cohort: started"), "{}", verbose.stderr());
    let quiet = with("--quiet");
    assert_eq!((quiet.success().stdout(), quiet.stderr()), (String::new(), String::new()));
    let faulty = lab.run(["run", "workflow.yaml", "--set", "nothing=1"]);
    assert!(!faulty.exits(2).stderr().contains('\u{1b}'));
    assert!(faulty.stderr().contains("has 1 error\n"), "{}", faulty.stderr());
}

#[test]
fn shells_and_manuals_know_every_command() {
    let lab = Lab::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = lab.run(["completions", shell]);
        for word in ["show", "ro-crate", "export"] {
            assert!(script.success().stdout().contains(word), "{shell} does not know {word}");
        }
    }
    let pages = lab.run(["man", "--out", "man1"]);
    let pages = pages.success().stdout();
    assert!(pages.contains("man1/fuseline-runs-diff.1"), "{pages}");
    for page in pages.lines() {
        let page = text(lab.read(page));
        assert!(page.contains(".TH fuseline") && page.contains("SYNOPSIS"), "{page}");
    }
    // The programs that they are for read them without a complaint, where they are there.
    let reads = |program: &str, arguments: &[&str]| match Command::new(program)
        .args(arguments)
        .current_dir(lab.path(""))
        .output()
    {
        Ok(ran) => {
            let complaints = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success() && complaints.is_empty(), "{program}: {complaints}");
        }
        Err(_) => skip(Need::Shells, &format!("there is no {program}")),
    };
    for shell in ["bash", "zsh", "fish"] {
        lab.write(shell, lab.run(["completions", shell]).stdout());
        reads(shell, &["-n", shell]);
    }
    reads("man", &["--warnings", "-E", "UTF-8", "-l", "man1/fuseline-report.1"]);
}

#[test]
fn outputs_are_never_written_over_what_the_run_reads() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: over\nstages:\n  f:\n    uses: load.csv\n    with: { path: d.csv, id: \
         { column: id } }\noutputs:\n  d.csv: f\n",
    );
    lab.write("d.csv", "id,a\nx,1\ny,2\n");
    let before = lab.read("d.csv");
    let ran = lab.run(["run", "workflow.yaml", "--out", "."]);
    assert!(ran.exits(2).stderr().contains("would be written over"), "{}", ran.stderr());
    assert_eq!(lab.read("d.csv"), before);
    std::fs::create_dir(lab.path("out")).expect("a folder can be made");
    std::os::unix::fs::symlink(lab.path("d.csv"), lab.path("out/d.csv")).expect("a link");
    lab.run(["run", "workflow.yaml", "--out", "out"]).exits(2);
    assert_eq!(lab.read("d.csv"), before);
    lab.run(["run", "workflow.yaml", "--out", "elsewhere"]).success();
}

#[test]
fn outputs_are_never_written_over_a_text_of_the_workflow() {
    let stage = "uses: load.csv\n    with: { path: d.csv, id: { column: \"${{ params.id }}\" } }\n";
    let lab = Lab::with_workflow(&format!(
        "fuseline: 1\nname: over\nparams: {{ id: {{ type: string }} }}\ninclude: [stages.yaml]\n\
         stages:\n  g:\n    {stage}outputs:\n  OUTPUT: f\n  g.csv: g\n"
    ));
    lab.write("d.csv", "id,a\nx,1\ny,2\n");
    lab.write("params.yaml", "id: id\n");
    lab.write("stages.yaml", format!("fuseline: 1\nstages:\n  f:\n    {stage}"));
    let run =
        |out: &str| lab.run(["run", "workflow.yaml", "--params", "params.yaml", "--out", out]);
    let mut output = "OUTPUT".to_owned();
    for text in ["stages.yaml", "params.yaml", "workflow.yaml"] {
        lab.edit("workflow.yaml", &format!("  {output}: f"), &format!("  {text}: f"));
        output = text.to_owned();
        let before = lab.read(text);
        let ran = run(".");
        let refusal = format!("the output {text} would be written over");
        assert!(ran.exits(2).stderr().contains(&refusal), "{}", ran.stderr());
        assert_eq!(lab.read(text), before);
    }
    run("elsewhere").success();
}

#[test]
fn an_output_below_a_file_is_refused_before_anything_is_executed() {
    let lab = Lab::with_workflow(
        "fuseline: 1\nname: blocked\nstages:\n  f:\n    uses: load.csv\n    with: { path: d.csv, id: \
         { column: id } }\noutputs:\n  in/f.csv: f\n",
    );
    lab.write("d.csv", "id,a\nx,1\ny,2\n");
    lab.write("taken", "a note of mine\n");
    for out in ["taken", "taken/below"] {
        let ran = lab.run(["run", "workflow.yaml", "--out", out]);
        let refusal = "the output in/f.csv cannot be written, since taken is no folder";
        assert!(ran.exits(2).stderr().contains(refusal), "{out}: {}", ran.stderr());
    }
    assert!(!lab.path("cache").exists());
    // The folder is looked at again where nothing else has changed.
    lab.run(["run", "workflow.yaml", "--out", "elsewhere"]).success();
    lab.run(["run", "workflow.yaml", "--out", "taken"]).exits(2);
    assert_eq!(lab.read("taken"), b"a note of mine\n");
}

#[test]
fn a_reader_that_goes_away_changes_no_exit_code() {
    let lab = Lab::with_workflow("fuseline: 1\nname: no\nstages: { f: { uses: load.nothing } }\n");
    for command in ["run workflow.yaml --format json", "check workflow.yaml --format json"] {
        let script = format!("$0 {command} 2>/dev/null | true; exit ${{PIPESTATUS[0]}}");
        let ended = Command::new("bash")
            .args(["-c", &script])
            .arg(fuseline_tests::fuseline())
            .current_dir(lab.path(""))
            .status()
            .expect("bash is there");
        assert_eq!(ended.code(), Some(2), "{command}");
    }
}

#[test]
fn a_mistake_far_to_the_right_of_a_line_is_said_with_its_place() {
    let stages: Vec<String> = (0..900)
        .map(|n| {
            let group = if n == 899 { "group" } else { "groups" };
            format!(r#""c{n}":{{"uses":"simulate.cohort","with":{{"examples":20,"{group}":5}}}}"#)
        })
        .collect();
    let lab = Lab::new();
    let text = format!(r#"{{"fuseline":1,"name":"gen","stages":{{{}}}}}"#, stages.join(","));
    lab.write("gen.json", text);
    let ran = lab.run(["check", "gen.json"]);
    let said = ran.exits(2).stderr().to_owned();
    assert!(said.contains("at: gen.json:1:") && said.contains("did you mean"), "{said}");
    assert!(said.len() < 500_000, "{} bytes", said.len());
}

#[test]
fn a_deposit_of_somebodys_run_writes_nowhere_but_into_its_folder() {
    let lab = lab();
    run(&lab);
    let context = lab.run(["runs", "show", "latest", "--format", "json"]).json()["run"].clone();
    let path = format!("cache/runs/{}/context.json", context.as_str().expect("an id"));
    let sound = lab.read(&path);
    for name in ["../../up", "/absolute", ""] {
        let mut value: Value = serde_json::from_slice(&sound).expect("it is JSON");
        value["outputs"][0]["file"] = name.into();
        lab.write(&path, value.to_string());
        let ran = lab.run(["report", "--ro-crate", "deep/deposit"]);
        let said = ran.exits(2).stderr().to_owned();
        assert!(said.contains("is no file within a folder"), "{said}");
        assert!(!lab.path("up").exists() && !lab.path("deep/up").exists());
    }
    lab.write(&path, &sound);
    lab.run(["report", "--ro-crate", "deep/deposit"]).success();
}
