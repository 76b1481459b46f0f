//! An S3 bucket in this process with injected faults: it serves, and it fails, returns wrong data
//! and is slow.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The key and the secret that clients are given.
pub const ACCESS_KEY: &str = "AKIAHOSTILEBUCKET";
/// See [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "wJalrXUtnFEMIsecretsecret";

/// Misbehaviour of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it serves.
    None,
    /// It has no room: 507.
    Full,
    /// It takes nothing: 403, with the secret in the text.
    Denied,
    /// It answers 500.
    Broken,
    /// Objects have a bit flipped.
    LyingObjects,
    /// Packs have a bit flipped.
    LyingPacks,
    /// Objects are truncated, and the stated length agrees.
    ShortObjects,
    /// Objects are longer than they were.
    LongObjects,
    /// Nothing is answered.
    Silent,
    /// Bytes come one by one.
    Trickling,
    /// Connections are closed after the request.
    Closing,
    /// Every writer wins: If-None-Match counts for nothing.
    AllWin,
    /// A second writer gets 409 in place of 412.
    Conflict,
}

/// A bucket, on a port of this machine.
pub struct Bucket {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    fault: Mutex<Fault>,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    requests: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bucket {
    /// An empty bucket that serves.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            fault: Mutex::new(Fault::None),
            objects: Mutex::default(),
            requests: Mutex::default(),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // A client that goes away ends its thread.
                std::thread::spawn(move || _ = serving.serve(&stream));
            }
        });
        Self { address, shared }
    }

    /// From now on this happens to requests.
    pub fn fail(&self, fault: Fault) {
        *lock(&self.shared.fault) = fault;
    }

    /// The requests so far: method and path.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }

    /// The keys of the objects in it.
    pub fn keys(&self) -> Vec<String> {
        lock(&self.shared.objects).keys().cloned().collect()
    }

    /// Removes the objects of which the key contains a text.
    pub fn remove(&self, part: &str) {
        lock(&self.shared.objects).retain(|key, _| !key.contains(part));
    }

    /// Lets a command find the bucket, as `s3://lab/study`.
    pub fn offer_to(&self, command: &mut Command) {
        offer(command, self.address);
    }
}

/// Lets a command find a server of S3 at an address.
pub fn offer(command: &mut Command, address: SocketAddr) {
    command
        .env("AWS_ENDPOINT", format!("http://{address}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy");
}

/// A request.
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &mut BufReader<&TcpStream>) -> std::io::Result<Option<Self>> {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        Ok(Some(Self { method, path, query, headers, body }))
    }

    fn key(&self) -> String {
        self.path.trim_start_matches("/lab").trim_start_matches('/').to_owned()
    }

    fn is_conditional(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == "if-none-match")
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader)? {
            let fault = *lock(&self.fault);
            lock(&self.requests).push(format!("{} {}", request.method, request.key()));
            match fault {
                Fault::Silent => std::thread::sleep(Duration::from_secs(600)),
                Fault::Closing => return Ok(()),
                _ => {}
            }
            let (status, body) = self.answer(&request, fault);
            let head = format!(
                "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nETag: \"e\"\r\n\
                 Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n",
                body.len()
            );
            let mut stream = stream;
            stream.write_all(head.as_bytes())?;
            match (fault, request.method.as_str()) {
                (_, "HEAD") => {}
                (Fault::Trickling, _) => {
                    for byte in body {
                        stream.write_all(&[byte])?;
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
                _ => stream.write_all(&body)?,
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request, fault: Fault) -> (u16, Vec<u8>) {
        let key = request.key();
        let error = |status, code: &str| {
            let text = format!(
                "<Error><Code>{code}</Code><Message>{ACCESS_KEY} {SECRET_KEY}</Message></Error>"
            );
            (status, text.into_bytes())
        };
        if fault == Fault::Broken {
            return error(500, "InternalError");
        }
        let mut objects = lock(&self.objects);
        match request.method.as_str() {
            "PUT" if fault == Fault::Full => error(507, "InsufficientStorage"),
            "PUT" if fault == Fault::Denied => error(403, "AccessDenied"),
            "PUT" => {
                let is_there = objects.contains_key(&key) && request.is_conditional();
                match fault {
                    Fault::Conflict if is_there => error(409, "ConditionalRequestConflict"),
                    _ if is_there && fault != Fault::AllWin => error(412, "PreconditionFailed"),
                    _ => {
                        objects.insert(key, request.body.clone());
                        (200, Vec::new())
                    }
                }
            }
            "GET" | "HEAD" if request.query.contains("list-type=2") => {
                (200, listing(&objects, &request.query))
            }
            "GET" | "HEAD" => match objects.get(&key) {
                Some(bytes) => (200, spoil(bytes.clone(), &key, fault)),
                None => error(404, "NoSuchKey"),
            },
            _ => error(405, "MethodNotAllowed"),
        }
    }
}

fn spoil(mut bytes: Vec<u8>, key: &str, fault: Fault) -> Vec<u8> {
    let is_object = key.contains("/objects/");
    let middle = bytes.len() / 2;
    match fault {
        Fault::LyingObjects if is_object => bytes[middle] ^= 1,
        Fault::LyingPacks if !is_object => bytes[middle] ^= 1,
        Fault::ShortObjects if is_object => bytes.truncate(middle),
        Fault::LongObjects if is_object => bytes.push(0),
        _ => {}
    }
    bytes
}

fn listing(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> Vec<u8> {
    let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix="));
    let prefix = prefix.unwrap_or_default().replace("%2F", "/");
    let listed = objects.iter().filter(|(key, _)| key.starts_with(&prefix));
    let contents = listed.map(|(key, bytes)| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"e\"</ETag><Size>{}</Size></Contents>",
            bytes.len()
        )
    });
    let contents: String = contents.collect();
    let xml = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{contents}\
         </ListBucketResult>"
    );
    xml.into_bytes()
}
