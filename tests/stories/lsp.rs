//! The language server as editors meet it: transcripts of the protocol, from `initialize` to
//! `exit`.

mod client;
mod writing;

use std::path::{Path, PathBuf};

use fuseline_tests::{Lab, root};
use serde_json::{Value, json};

use client::{Client, offset, position, uri};

const SMALL: &str = include_str!("../cases/small.yaml");

/// The small study with as many permutations as its test needs: nothing is wrong with it.
fn fine() -> String {
    SMALL.replacen("permutations: 20\n", "permutations: 200\n", 1)
}

fn start(lab: &Lab) -> Client {
    Client::start(lab, json!({}), Value::Null)
}

/// A file with a name, opened in a server of its own.
fn opened(lab: &Lab, text: &str) -> (Client, PathBuf) {
    let path = lab.path("w.yaml");
    let mut client = start(lab);
    client.open(&path, text);
    (client, path)
}

/// `textDocument` and the position of the first byte of a needle, and some bytes further.
fn at(path: &Path, text: &str, needle: &str, further: usize) -> Value {
    let found = text.find(needle).unwrap_or_else(|| panic!("no {needle:?}"));
    json!({
        "textDocument": { "uri": uri(path) },
        "position": position(text, found + further),
    })
}

/// A text after the edits of a file in a workspace edit.
fn edited(text: &str, path: &Path, edit: &Value) -> String {
    let mut edits: Vec<(usize, usize, String)> = Vec::new();
    for change in edit["documentChanges"].as_array().expect("a list") {
        if change["textDocument"]["uri"] == uri(path).as_str() {
            for edit in change["edits"].as_array().expect("a list") {
                let place = |side: &str| offset(text, &edit["range"][side]);
                let new = edit["newText"].as_str().expect("text").to_owned();
                edits.push((place("start"), place("end"), new));
            }
        }
    }
    edits.sort();
    let mut text = text.to_owned();
    for (start, end, new) in edits.into_iter().rev() {
        text.replace_range(start..end, &new);
    }
    text
}

#[test]
fn a_conversation_begins_with_initialize_and_ends_with_exit() {
    let lab = Lab::new();
    let mut client = Client::raw(&lab);
    let early = client.request("textDocument/hover", json!({}));
    assert_eq!(client.answer(early)["error"]["code"], -32002, "nothing is answered before");
    drop(client);

    let mut client = start(&lab);
    let capabilities = client.initialized["capabilities"].clone();
    assert_eq!(capabilities["textDocumentSync"]["change"], 2, "incremental");
    assert_eq!(capabilities["positionEncoding"], "utf-16");
    assert_eq!(client.initialized["serverInfo"]["name"], "fuseline");
    let unknown = client.request("textDocument/colorPresentation", json!({}));
    assert_eq!(client.answer(unknown)["error"]["code"], -32601);
    let wrong = client.request("textDocument/hover", json!({ "nonsense": 1 }));
    assert_eq!(client.answer(wrong)["error"]["code"], -32602);
    client.ask("shutdown", Value::Null);
    let late = client.request("textDocument/hover", json!({}));
    assert_eq!(client.answer(late)["error"]["code"], -32600);
    client.tell("exit", Value::Null);
    assert_eq!(client.exited().code(), Some(0));

    let mut client = start(&lab);
    client.tell("exit", Value::Null);
    assert_eq!(client.exited().code(), Some(1), "an exit without shutdown is a failure");
    assert_eq!(start(&lab).vanish().code(), Some(1), "and so is a client that goes away");
    assert_eq!(start(&lab).end().code(), Some(0));
}

/// A place of `check --format json` as the protocol has it.
fn range_of(place: &Value, text: &str) -> Value {
    let side = |line: &str, column: &str| {
        let line = place[line].as_u64().expect("a line") as usize - 1;
        let column = place[column].as_u64().expect("a column") as usize - 1;
        let found = text.split('\n').nth(line).unwrap_or_default();
        let before: String = found.chars().take(column).collect();
        json!({ "line": line, "character": before.encode_utf16().count() })
    };
    json!({ "start": side("line", "column"), "end": side("end_line", "end_column") })
}

/// Diagnostics of `check` for a file, in the form in which the server should send them.
fn checked(lab: &Lab, path: &Path, text: &str) -> Vec<Value> {
    let ran = lab.run(["check".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
    let found: Value = serde_json::from_str(&ran.stdout()).expect("check prints JSON");
    let own = path.display().to_string();
    let convert = |found: &Value| {
        let place = |place: &Value| match place["file"] == own.as_str() {
            true => range_of(place, text),
            false => {
                let file = place["file"].as_str().expect("a file");
                range_of(place, &std::fs::read_to_string(file).unwrap_or_default())
            }
        };
        let related = found["related"].as_array().expect("a list").iter();
        let related: Vec<_> = related.map(|one| json!([one["message"], place(one)])).collect();
        let fix = match &found["fix"] {
            Value::Null => Value::Null,
            fix => json!([fix["title"], fix["text"], place(fix)]),
        };
        json!({
            "file": found["file"],
            "code": found["code"],
            "severity": if found["severity"] == "error" { 1 } else { 2 },
            "message": found["message"],
            "hint": found["hint"],
            "range": place(found),
            "related": related,
            "fix": fix,
        })
    };
    found["diagnostics"].as_array().expect("a list").iter().map(convert).collect()
}

/// A published diagnostic in the same form.
fn told(found: &Value, file: &Path) -> Value {
    let related = found["relatedInformation"].as_array().expect("a list").iter();
    let related: Vec<_> =
        related.map(|one| json!([one["message"], one["location"]["range"]])).collect();
    let fix = match &found["data"]["fix"] {
        Value::Null => Value::Null,
        fix => json!([fix["title"], fix["text"], fix["range"]]),
    };
    json!({
        "file": file.display().to_string(),
        "code": found["code"],
        "severity": found["severity"],
        "message": found["data"]["message"],
        "hint": found["data"]["hint"],
        "range": found["range"],
        "related": related,
        "fix": fix,
    })
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).expect("the cases are there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files
}

#[test]
fn every_faulty_file_and_every_leak_gives_the_diagnostics_of_check() {
    let mut files = yaml_files("crates/fuseline-workflow/tests/cases/faulty");
    assert!(files.len() >= 73, "{} faulty files", files.len());
    files.extend(yaml_files("tests/cases/plans"));
    files.extend(yaml_files("tests/cases/slips"));
    for folder in ["refused", "legal", "refused_while_running"] {
        files.extend(yaml_files(&format!("tests/cases/leaks/{folder}")));
    }
    let (first, second) = files.split_at(files.len() / 2);
    std::thread::scope(|scope| {
        for files in [first, second] {
            scope.spawn(move || {
                let lab = Lab::new();
                let mut client = start(&lab);
                for path in files {
                    let text = std::fs::read_to_string(path).expect("a case can be read");
                    client.open(path, &text);
                    let found = client.diagnostics(path, Some(1));
                    let found: Vec<_> = found.iter().map(|one| told(one, path)).collect();
                    let expected = checked(&lab, path, &text);
                    // Mistakes of an included file are shown there.
                    let own = path.display().to_string();
                    let expected: Vec<_> =
                        expected.into_iter().filter(|one| one["file"] == own.as_str()).collect();
                    assert_eq!(found, expected, "{}", path.display());
                    client.close(path);
                }
                assert_eq!(client.end().code(), Some(0));
            });
        }
    });
}

#[test]
fn diagnostics_follow_what_is_typed_and_not_what_is_saved() {
    let small = fine();
    let lab = Lab::with_workflow(&small);
    let (mut client, path) = opened(&lab, &small);
    assert_eq!(client.diagnostics(&path, Some(1)), Vec::<Value>::new());
    // A character at a time, in the middle of letters that take two code units.
    let with_comment = small.replacen("name:", "# 𝔘ä\nname:", 1);
    client.replace(&path, 2, &with_comment);
    assert_eq!(client.diagnostics(&path, Some(2)), Vec::<Value>::new());
    let kind = with_comment.find("simulate.cohort").expect("a kind") + "simulate.".len();
    let place = position(&with_comment, kind);
    client.tell(
        "textDocument/didChange",
        json!({
            "textDocument": { "uri": uri(&path), "version": 3 },
            "contentChanges": [
                { "range": { "start": place, "end": place }, "text": "x" },
                { "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 0, "character": 0 } }, "text": "# one line more\n" },
            ],
        }),
    );
    let found = client.diagnostics(&path, Some(3));
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(only["code"], "fuseline::unknown_kind");
    let line = place["line"].as_u64().expect("a line") + 1;
    assert_eq!(only["range"]["start"]["line"], line);
    assert_eq!(only["source"], "fuseline");
    let message = only["message"].as_str().expect("text");
    assert!(message.ends_with("help: did you mean `simulate.cohort`?"), "{message}");
    // Nothing of it was saved.
    lab.run(["check", "workflow.yaml"]).success();
    // The file is closed, and nothing is left beside it.
    client.close(&path);
    assert_eq!(client.diagnostics(&path, None), Vec::<Value>::new());
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn columns_are_those_that_the_client_counts() {
    let lab = Lab::new();
    let text = "fuseline: 1\nname: a\nstages:\n  s: { description: 𝔘ä, use: x }\n";
    for (encodings, unit, column) in
        [(json!(["utf-8", "utf-16"]), "utf-8", 28), (json!(["utf-16"]), "utf-16", 25)]
    {
        let general = json!({ "general": { "positionEncodings": encodings } });
        let mut client = Client::start(&lab, general, Value::Null);
        assert_eq!(client.initialized["capabilities"]["positionEncoding"], unit);
        let path = lab.path("w.yaml");
        client.open(&path, text);
        let found = client.diagnostics(&path, Some(1));
        let start = &found[0]["range"]["start"];
        assert_eq!(*start, json!({ "line": 3, "character": column }), "{unit}");
    }
}

#[test]
fn an_included_file_shows_what_is_wrong_with_it_and_is_read_as_it_is_typed() {
    let lab = Lab::new();
    let whole = "fuseline: 1\nname: w\ninclude: [parts/p.yaml]\nstages:\n  folds:\n    uses: \
        split.group_kfold\n    inputs: { cohort: cohort }\n    with: { folds: \"${{ params.folds \
        }}\" }\noutputs: { folds.parquet: folds }\n";
    let part = "params:\n  folds: 3\nstages:\n  cohort:\n    uses: simulate.cohort\n    with: { \
        examples: 60, groups: 12 }\n";
    lab.write("w.yaml", whole);
    lab.write("parts/p.yaml", part);
    let (path, piece) = (lab.path("w.yaml"), lab.path("parts/p.yaml"));
    let mut client = start(&lab);
    // The piece alone is open: the workflow that includes it is found in the folder.
    client.open(&piece, part);
    assert_eq!(client.diagnostics(&piece, Some(1)), Vec::<Value>::new());
    client.open(&path, whole);
    assert_eq!(client.diagnostics(&path, Some(1)), Vec::<Value>::new());
    client.replace(&piece, 2, &part.replace("folds: 3", "folds: none").replace("groups", "group"));
    let in_piece = client.diagnostics(&piece, Some(2));
    assert_eq!(in_piece[0]["code"], "fuseline::unknown_option");
    let in_whole = client.diagnostics(&path, None);
    assert_eq!(in_whole[0]["code"], "fuseline::option_type", "{in_whole:?}");
    // The value comes from the other file, and the diagnostic says so.
    let related = &in_whole[0]["relatedInformation"][0];
    assert_eq!(related["location"]["uri"], uri(&piece).as_str());
    // Names are one across the files.
    let definition =
        client.ask("textDocument/definition", at(&path, whole, "inputs: { cohort: cohort", 20));
    assert_eq!(definition[0]["uri"], uri(&piece).as_str());
    let mut ask = at(&piece, part, "cohort:", 2);
    ask["newName"] = "people".into();
    let edit = client.ask("textDocument/rename", ask);
    assert!(edited(whole, &path, &edit).contains("inputs: { cohort: people }"), "{edit}");
    assert!(edited(part, &piece, &edit).contains("  people:\n"), "{edit}");
    // Closed without saving, the piece is as it is on disk.
    client.close(&piece);
    assert_eq!(client.diagnostics(&path, None), Vec::<Value>::new());
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn params_come_from_the_settings_and_other_yaml_is_left_alone() {
    let lab = Lab::new();
    let text = fine().replacen("examples: 60", "examples: { type: int }", 1);
    assert_ne!(text, fine());
    let path = lab.path("w.yaml");
    let mut client = Client::start(&lab, json!({}), json!({ "set": { "examples": 60 } }));
    client.open(&path, &text);
    assert_eq!(client.diagnostics(&path, Some(1)), Vec::<Value>::new());
    client.tell(
        "workspace/didChangeConfiguration",
        json!({ "settings": { "fuseline": { "set": { "examples": "many" } } } }),
    );
    let found = client.diagnostics(&path, None);
    assert_eq!(found[0]["code"], "fuseline::param_value");
    assert!(found[0]["data"]["fix"].is_null(), "a setting is not mended in the file");
    let other = lab.path("docker-compose.yaml");
    let item = json!({ "uri": uri(&other), "languageId": "yaml", "version": 1, "text": "services:\n  a: { image: b }\n" });
    client.tell("textDocument/didOpen", json!({ "textDocument": item }));
    let symbols = json!({ "textDocument": { "uri": uri(&other) } });
    assert_eq!(client.ask("textDocument/documentSymbol", symbols), json!([]));
    client.replace(&path, 2, &text);
    client.diagnostics(&path, Some(2));
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn what_the_client_takes_back_is_not_answered() {
    let lab = Lab::new();
    let (mut client, path) = opened(&lab, SMALL);
    client.diagnostics(&path, Some(1));
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(client.request(
            "textDocument/foldingRange",
            json!({ "textDocument": { "uri": uri(&path) } }),
        ));
    }
    // All of it is on the way before the server can have read the last of it.
    let last = *ids.last().expect("fifty");
    client.tell("$/cancelRequest", json!({ "id": last }));
    let answers: Vec<_> = ids.iter().map(|id| client.answer(*id)).collect();
    let taken_back = |answer: &Value| answer["error"]["code"] == -32800;
    assert!(answers[..49].iter().all(|answer| !taken_back(answer)), "only one was taken back");
    // Every request has an answer, whichever came first.
    assert!(taken_back(&answers[49]) || answers[49].get("result").is_some());
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn no_text_and_no_position_ends_the_server() {
    let lab = Lab::new();
    let whole = std::fs::read_to_string(root().join("workflows/stressid.yaml")).expect("a study");
    let (mut client, path) = opened(&lab, &whole);
    let mut text = whole.clone();
    // A fixed stream of numbers: a mistake that it finds is found again.
    let mut state = 7_u64;
    let mut draw = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let pieces = [
        "{", "}", "[", "]", "\"", "'", ":", "- ", "${{", "}}", "\t", "\n", "|", "&a", "*a", "ä𝔘",
        "#", "? ", "!!x",
    ];
    let methods = [
        "completion",
        "hover",
        "definition",
        "references",
        "documentHighlight",
        "documentSymbol",
        "foldingRange",
        "inlayHint",
        "codeLens",
        "prepareRename",
        "rename",
    ];
    for version in 2..150 {
        let mut at = draw(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        match version % 3 {
            0 => {
                let mut end = (at + draw(40)).min(text.len());
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text.replace_range(at..end.max(at), "");
            }
            _ => text.insert_str(at, pieces[draw(pieces.len())]),
        }
        if text.len() < 200 {
            text.clone_from(&whole);
        }
        client.replace(&path, version, &text);
        let mut params = json!({
            "textDocument": { "uri": uri(&path) },
            "position": { "line": draw(100), "character": draw(120) },
            "context": { "includeDeclaration": true },
            "newName": "other",
            "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } },
        });
        let method = methods[draw(methods.len())];
        if method == "rename" {
            params["position"] = json!({ "line": 40, "character": 3 });
        }
        let id = client.request(&format!("textDocument/{method}"), params);
        let answer = client.answer(id);
        assert_ne!(answer["error"]["code"], -32603, "{method} failed on {text}");
    }
    client.replace(&path, 999, &whole);
    let found = client.diagnostics(&path, Some(999));
    assert!(found.iter().all(|one| one["code"] == "fuseline::missing_param"), "{found:?}");
    assert_eq!(client.end().code(), Some(0));
}

#[test]
fn check_reads_standard_input_as_a_file_would_be_read() {
    use std::io::Write as _;
    let lab = Lab::new();
    lab.write("sub/part.yaml", "params:\n  groups: 12\n");
    let text = SMALL.replacen("\nstages:", "\ninclude: [part.yaml]\nstages:", 1);
    let check = |arguments: &[&str]| {
        let mut command = lab.command(["check"].iter().chain(arguments));
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("fuseline can be started");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(text.as_bytes()).expect("it reads");
        drop(stdin);
        fuseline_tests::Ran(child.wait_with_output().expect("it ends"))
    };
    let ran = check(&["-", "--stdin-path", "sub/w.yaml"]);
    ran.exits(0);
    assert!(ran.stdout().starts_with("sub/w.yaml is fine"), "{}", ran.stdout());
    let ran = check(&["-", "--format=json"]);
    ran.exits(2);
    let found: Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    assert_eq!(found["diagnostics"][0]["code"], "fuseline::include", "{found}");
    assert_eq!(found["diagnostics"][0]["file"], "stdin");
    check(&["workflow.yaml", "--stdin-path", "sub/w.yaml"]).exits(2);
}
