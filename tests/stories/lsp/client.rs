//! A client of the language server: sends the messages of an editor and keeps the answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fuseline_tests::Lab;
use serde_json::{Value, json};

/// Longer than anything takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Client {
    child: Child,
    to_server: Option<ChildStdin>,
    from_server: Receiver<Value>,
    /// Messages received while something else was waited for.
    kept: Vec<Value>,
    requests: i64,
    /// The server's answer to `initialize`.
    pub initialized: Value,
}

/// The address of a file.
pub fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// The position of a byte of a text, columns in code units of UTF-16.
pub fn position(text: &str, offset: usize) -> Value {
    let before = &text[..offset];
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    json!({
        "line": before.matches('\n').count(),
        "character": before[line..].encode_utf16().count(),
    })
}

/// The byte at a position.
pub fn offset(text: &str, position: &Value) -> usize {
    let line = position["line"].as_u64().expect("a line") as usize;
    let mut left = position["character"].as_u64().expect("a character") as usize;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    for (at, letter) in text[start..].char_indices() {
        if left == 0 {
            return start + at;
        }
        left -= letter.len_utf16();
    }
    text.len()
}

impl Client {
    /// Starts a server in the folder of a lab; capabilities and settings as an editor gives them.
    pub fn start(lab: &Lab, capabilities: Value, settings: Value) -> Self {
        let mut client = Self::raw(lab);
        let folder = uri(&lab.path(""));
        client.initialized = client.ask(
            "initialize",
            json!({
                "processId": null,
                "rootUri": null,
                "workspaceFolders": [{ "uri": folder, "name": "lab" }],
                "capabilities": capabilities,
                "initializationOptions": settings,
            }),
        );
        client.tell("initialized", json!({}));
        client
    }

    /// Starts a server without `initialize`.
    pub fn raw(lab: &Lab) -> Self {
        let mut command = lab.command(["lsp"]);
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().expect("fuseline can be started");
        let to_server = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, from_server) = channel();
        std::thread::spawn(move || {
            loop {
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if stdout.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                    let (name, value) = line.split_once(':').expect("a header");
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.trim().parse().expect("a number");
                    }
                }
                let mut body = vec![0; length];
                stdout.read_exact(&mut body).expect("a whole message");
                if sender.send(serde_json::from_slice(&body).expect("JSON")).is_err() {
                    return;
                }
            }
        });
        let (kept, initialized) = (Vec::new(), Value::Null);
        Self { child, to_server, from_server, kept, requests: 0, initialized }
    }

    /// Sends a message as it is.
    pub fn send(&mut self, message: Value) {
        let mut message = message;
        message["jsonrpc"] = "2.0".into();
        let body = message.to_string();
        let to_server = self.to_server.as_mut().expect("it is open");
        write!(to_server, "Content-Length: {}\r\n\r\n{body}", body.len()).expect("it listens");
        to_server.flush().expect("it listens");
    }

    pub fn tell(&mut self, method: &str, params: Value) {
        self.send(json!({ "method": method, "params": params }));
    }

    /// Sends a request without waiting for the answer.
    pub fn request(&mut self, method: &str, params: Value) -> i64 {
        self.requests += 1;
        self.send(json!({ "id": self.requests, "method": method, "params": params }));
        self.requests
    }

    /// The answer to a request, with its result or its error.
    #[track_caller]
    pub fn answer(&mut self, id: i64) -> Value {
        self.wait(|message| message["id"] == id && message.get("method").is_none())
    }

    /// The result of a request, which must have one.
    #[track_caller]
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.request(method, params);
        let answer = self.answer(id);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The first message that something holds of.
    #[track_caller]
    pub fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at);
        }
        loop {
            let message = self.from_server.recv_timeout(PATIENCE).expect("the server answers");
            if wanted(&message) {
                return message;
            }
            self.kept.push(message);
        }
    }

    pub fn open(&mut self, path: &Path, text: &str) {
        let item = json!({
            "uri": uri(path), "languageId": "fuseline", "version": 1, "text": text,
        });
        self.tell("textDocument/didOpen", json!({ "textDocument": item }));
    }

    pub fn close(&mut self, path: &Path) {
        self.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri(path) } }));
    }

    /// Replaces the whole text.
    pub fn replace(&mut self, path: &Path, version: i64, text: &str) {
        self.tell(
            "textDocument/didChange",
            json!({
                "textDocument": { "uri": uri(path), "version": version },
                "contentChanges": [{ "text": text }],
            }),
        );
    }

    /// The diagnostics of a file, of a version where one is given.
    #[track_caller]
    pub fn diagnostics(&mut self, path: &Path, version: Option<i64>) -> Vec<Value> {
        let uri = uri(path);
        let published = self.wait(|message| {
            message["method"] == "textDocument/publishDiagnostics"
                && message["params"]["uri"] == uri.as_str()
                && version.is_none_or(|version| message["params"]["version"] == version)
        });
        published["params"]["diagnostics"].as_array().expect("a list").clone()
    }

    /// Sends `shutdown` and `exit`, and waits for the server to end.
    pub fn end(mut self) -> ExitStatus {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        self.exited()
    }

    /// Exit status of the server.
    pub fn exited(&mut self) -> ExitStatus {
        self.child.wait().expect("it was started")
    }

    /// Closes the connection without `shutdown`.
    pub fn vanish(mut self) -> ExitStatus {
        self.to_server = None;
        self.exited()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A test that fails leaves no server behind; one that has ended is none.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
