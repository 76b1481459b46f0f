//! Rules that are scripts: a file that begins with `#!` and says what it is in a comment.
//!
//! The comment, on a line of its own in the first 4,096 bytes: `FUSELINE-FUSION protocol=1 id=org.example.rule`, after whatever marks a comment.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How far into the file the comment is looked for.
const HEAD: usize = 4096;

/// What the head of a file says.
pub(crate) enum Head {
    /// A rule that speaks the worker protocol of this version.
    Rule { id: String, protocol: u16 },
    /// The comment is there and wrong.
    Broken(String),
    /// No script, or no comment.
    Nothing,
}

/// Whether a file begins as a script does.
pub(crate) fn is_script(path: &Path) -> bool {
    let mut head = [0; 2];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head == *b"#!"
}

/// Reads the comment.
pub(crate) fn read(bytes: &[u8]) -> Head {
    if !bytes.starts_with(b"#!") {
        return Head::Nothing;
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD)]);
    let Some(tag) = head.lines().find_map(|line| line.split_once("FUSELINE-FUSION ")) else {
        return Head::Nothing;
    };
    let field = |name: &str| {
        tag.1.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    match (field("protocol").map(str::parse), field("id")) {
        (Some(Ok(protocol)), Some(id)) if fuseline_abi::is_id(id) => {
            Head::Rule { id: id.to_owned(), protocol }
        }
        (_, Some(id)) if !fuseline_abi::is_id(id) => {
            Head::Broken(format!("{id} is not a reverse domain name such as org.example.rule"))
        }
        _ => Head::Broken("its FUSELINE-FUSION comment does not say protocol= and id=".to_owned()),
    }
}
