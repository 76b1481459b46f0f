//! Files and the addresses by which clients name them.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use lsp_types::Uri;

/// The path of a `file:` address; `None` for others, such as `untitled:`.
pub(crate) fn to_path(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.as_str().strip_prefix("file://")?;
    let (host, path) = rest.split_at(rest.find('/')?);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = decode(path)?;
    // `/c:/a` is a path with a drive.
    let drive = path.as_bytes().get(2) == Some(&b':') && path.as_bytes()[1].is_ascii_alphabetic();
    match host {
        "" | "localhost" if drive && cfg!(windows) => Some(PathBuf::from(&path[1..])),
        "" | "localhost" => Some(PathBuf::from(path)),
        host => Some(PathBuf::from(format!("//{host}{path}"))),
    }
}

/// The name behind the last slash of an address.
pub(crate) fn last_name(uri: &Uri) -> String {
    let last = uri.as_str().rsplit(['/', ':']).next().unwrap_or_default();
    decode(last).unwrap_or_else(|| last.to_owned())
}

/// The `file:` address of an absolute path.
pub(crate) fn from_path(path: &Path) -> Option<Uri> {
    let mut text = String::from("file://");
    let shown = path.to_string_lossy().replace('\\', "/");
    if !shown.starts_with('/') {
        text.push('/');
    }
    for byte in shown.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                text.push(byte as char);
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Uri::from_str(&text).ok()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_the_way_there_and_back() {
        for path in ["/a/b.yaml", "/a b/nä%h.yaml", "/a/#?[1].yaml"] {
            let uri = from_path(Path::new(path)).expect("an address");
            assert_eq!(to_path(&uri).as_deref(), Some(Path::new(path)), "{}", uri.as_str());
        }
        let escaped = Uri::from_str("file:///a%20b/n%c3%a4h.yaml").expect("an address");
        assert_eq!(to_path(&escaped), Some(PathBuf::from("/a b/näh.yaml")));
        let other = Uri::from_str("untitled:Untitled-1").expect("an address");
        assert_eq!((to_path(&other), last_name(&other).as_str()), (None, "Untitled-1"));
    }
}
