//! As much of Chromium's DevTools protocol as the tests need, over a plain WebSocket.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on should stop"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

static STARTED: AtomicU32 = AtomicU32::new(0);

/// A headless browser with a profile of its own; both end with it.
pub struct Browser {
    process: Child,
    folder: PathBuf,
    socket: TcpStream,
    last: u64,
}

impl Browser {
    /// Starts the browser, if there is one.
    pub fn start() -> Option<Self> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("fuseline-browser-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut process = Command::new("chromium")
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .args(["--disable-background-networking", "--no-first-run", "--window-size=1280,1000"])
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg("about:blank")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "chromium ended before it listened");
            if let Some((_, address)) = line.split_once("DevTools listening on ws://") {
                break address.trim().to_owned();
            }
        };
        // Keeps the pipe open and empty.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let (host, path) = address.split_once('/').unwrap();
        let mut socket = TcpStream::connect(host).unwrap();
        write!(
            socket,
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: ZnVzZWxpbmUgcmVwb3J0IQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        Some(Self { process, folder, socket, last: 0 })
    }

    /// Opens a page from a file of its own.
    pub fn open(&mut self, html: &str) -> Page<'_> {
        let file = self.folder.join("report.html");
        std::fs::write(&file, html).unwrap();
        self.open_address(&format!("file://{}", file.display()))
    }

    /// Opens the page at an address.
    pub fn open_address(&mut self, address: &str) -> Page<'_> {
        let mut events = Vec::new();
        let target =
            self.call(None, "Target.createTarget", json!({"url": "about:blank"}), &mut events);
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call(None, "Target.attachToTarget", attach, &mut events);
        let session = session["sessionId"].as_str().unwrap().to_owned();
        let mut page = Page { browser: self, session, events: Vec::new() };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.events.clear();
        page.go(address);
        page
    }

    fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: Value,
        events: &mut Vec<Value>,
    ) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        self.send(message.to_string().as_bytes());
        loop {
            let mut answer = self.receive();
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].take();
            }
            events.push(answer);
        }
    }

    /// One masked text frame; the mask is zero, so the bytes stay as they are.
    fn send(&mut self, text: &[u8]) {
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(short) if short < 126 => frame.push(0x80 | short as u8),
            Ok(middle) => {
                frame.push(0x80 | 126);
                frame.extend(middle.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text);
        self.socket.write_all(&frame).unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut text = Vec::new();
        loop {
            let mut head = [0; 2];
            self.socket.read_exact(&mut head).unwrap();
            let length = match head[1] & 0x7f {
                126 => {
                    let mut bytes = [0; 2];
                    self.socket.read_exact(&mut bytes).unwrap();
                    u64::from(u16::from_be_bytes(bytes))
                }
                127 => {
                    let mut bytes = [0; 8];
                    self.socket.read_exact(&mut bytes).unwrap();
                    u64::from_be_bytes(bytes)
                }
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.socket.read_exact(&mut payload).unwrap();
            // Text and its continuations; pings are not answered in the short life of a test.
            if head[0] & 0x0f <= 1 {
                text.extend(payload);
                if head[0] & 0x80 != 0 {
                    return serde_json::from_slice(&text).unwrap();
                }
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// One open page.
pub struct Page<'a> {
    browser: &'a mut Browser,
    session: String,
    events: Vec<Value>,
}

impl Page<'_> {
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.browser.call(Some(&self.session), method, params, &mut self.events)
    }

    /// Goes to an address and waits until it is loaded. What the pages before it asked and said is
    /// kept.
    pub fn go(&mut self, address: &str) {
        let before = self.events.len();
        self.call("Page.navigate", json!({ "url": address }));
        let is_loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        while !self.events[before..].iter().any(is_loaded) {
            let event = self.browser.receive();
            self.events.push(event);
        }
    }

    /// Waits until this number of pages have been loaded since it was opened: a page may lead on by
    /// itself.
    pub fn wait_for_loads(&mut self, loads: usize) {
        let is_loaded = |event: &&Value| event["method"] == "Page.loadEventFired";
        while self.events.iter().filter(is_loaded).count() < loads {
            let event = self.browser.receive();
            self.events.push(event);
        }
    }

    /// The value of an expression.
    pub fn evaluate(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "returnByValue": true, "awaitPromise": true});
        let mut result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{script}: {}", result["exceptionDetails"]);
        result["result"]["value"].take()
    }

    /// Waits until the page has handled its events.
    pub fn settle(&mut self) {
        self.evaluate("new Promise(done => setTimeout(done, 50))");
    }

    /// Gives the page another size.
    pub fn resize(&mut self, width: u32, height: u32) {
        let params =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true});
        self.call("Emulation.setDeviceMetricsOverride", params);
        self.settle();
    }

    /// Lays the page out as on paper.
    pub fn print(&mut self) {
        self.call("Emulation.setEmulatedMedia", json!({ "media": "print" }));
        // Size of A4 in landscape, in pixels.
        self.resize(1123, 794);
    }

    /// Asks for the dark scheme.
    pub fn prefer_dark(&mut self) {
        let feature = json!({"name": "prefers-color-scheme", "value": "dark"});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    /// Asks for the light scheme again.
    pub fn prefer_light(&mut self) {
        let feature = json!({"name": "prefers-color-scheme", "value": "light"});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    /// Messages of the console and of the browser's log.
    pub fn complaints(&mut self) -> Vec<String> {
        self.settle();
        self.events(&["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"])
    }

    /// Every request of the page.
    pub fn requests(&mut self) -> Vec<String> {
        self.settle();
        self.events(&["Network.requestWillBeSent"])
    }

    fn events(&self, methods: &[&str]) -> Vec<String> {
        self.events
            .iter()
            .filter(|event| methods.iter().any(|method| event["method"] == *method))
            .map(|event| event["params"].to_string())
            .collect()
    }
}
