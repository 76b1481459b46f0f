//! Access control of requests, and security headers of answers.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;

use crate::frame;

/// Bytes of a token.
const TOKEN_BYTES: usize = 16;
/// Content security policy of every page: its own style, script and events, and nothing from
/// elsewhere.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                          connect-src 'self'; frame-src 'self'; form-action 'self'; \
                          base-uri 'none'; frame-ancestors 'none'";

/// Checks requests to one server.
pub struct Guard {
    token: String,
    /// The names by which a browser of this machine may call the server.
    hosts: [String; 3],
    /// Browsers share cookies among the ports of a host, so that its name has the port.
    cookie: String,
}

impl Guard {
    /// A guard with a new token for the server at a port.
    pub fn new(port: u16) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let hosts = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
        Ok(Self { token, hosts, cookie: format!("fuseline-{port}") })
    }

    /// The address that lets a browser in.
    pub fn address(&self) -> String {
        format!("http://{}/?token={}", self.hosts[0], self.token)
    }

    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Judgement {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Judgement::Refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "Nothing can be changed here: only GET and HEAD are answered.",
            );
        }
        // A page of another site may have its name point to this machine; its own name stays in
        // these.
        let mut hosts = headers.get_all(header::HOST).iter();
        let host =
            hosts.next().and_then(|host| host.to_str().ok()).filter(|_| hosts.next().is_none());
        let is_ours = |name: &str| self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
        let authority = uri.authority().is_none_or(|authority| is_ours(authority.as_str()));
        if !host.is_some_and(is_ours) || !authority {
            return Judgement::Refuse(
                StatusCode::FORBIDDEN,
                "This server answers to localhost and 127.0.0.1 alone.",
            );
        }
        let given = uri.query().unwrap_or_default().split('&');
        let mut tokens = given.filter_map(|pair| pair.strip_prefix("token="));
        if tokens.next().is_some_and(|token| is_equal(token, &self.token)) {
            return Judgement::Welcome;
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies = cookies.flat_map(|line| line.split(';'));
        let is_known = cookies.any(|pair| {
            pair.trim()
                .split_once('=')
                .is_some_and(|(name, value)| name == self.cookie && is_equal(value, &self.token))
        });
        match is_known {
            true => Judgement::Pass,
            false => Judgement::Refuse(
                StatusCode::FORBIDDEN,
                "Open the address that fuseline ui has printed: it holds the token that lets you \
                 in.",
            ),
        }
    }

    fn set_cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.token)
    }
}

enum Judgement {
    Pass,
    /// The token is in the address.
    Welcome,
    Refuse(StatusCode, &'static str),
}

/// Compares without telling by the time it takes how much of a guess is right.
fn is_equal(given: &str, wanted: &str) -> bool {
    let differs = given.bytes().zip(wanted.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    given.len() == wanted.len() && differs == 0
}

/// Answers requests that may be answered, and gives every answer its headers.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.judge(request.method(), request.uri(), request.headers()) {
        Judgement::Pass => next.run(request).await,
        Judgement::Welcome => welcome(&guard, request.uri()),
        Judgement::Refuse(status, words) => refuse(status, words),
    };
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    response
}

/// Sets the cookie and goes on to the same address without the token. Not by a redirect: after a
/// click on the address in another site's page a browser would hold a strict cookie back.
fn welcome(guard: &Guard, uri: &Uri) -> Response {
    let mut response = frame::response(StatusCode::OK, frame::welcome(&without_token(uri)));
    if let Ok(cookie) = HeaderValue::from_str(&guard.set_cookie()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The address of a page of this server, without the token.
fn without_token(uri: &Uri) -> String {
    // Two slashes, of either kind, would begin the name of another host.
    let path = uri.path().trim_start_matches(['/', '\\']);
    let pairs = uri.query().unwrap_or_default().split('&');
    let pairs: Vec<&str> =
        pairs.filter(|pair| !pair.is_empty() && !pair.starts_with("token=")).collect();
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    format!("/{path}{query}")
}

fn refuse(status: StatusCode, words: &'static str) -> Response {
    let mut response = Response::new(Body::from(format!("{words}\n")));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_never_the_same() {
        let (one, other) = (Guard::new(80).unwrap(), Guard::new(80).unwrap());
        assert_eq!(one.token.len(), 2 * TOKEN_BYTES);
        assert_ne!(one.token, other.token);
        assert!(is_equal(&one.token, &one.token.clone()));
        assert!(!is_equal(&one.token[1..], &one.token));
        assert!(!is_equal("", &one.token));
    }
}
