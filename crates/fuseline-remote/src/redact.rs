//! Removal of secrets from texts of others.

/// The longest text that is taken over from a server, in bytes.
const MAX_TEXT_BYTES: usize = 300;
/// Values of variables that are shorter are too common to be looked for.
const MIN_SECRET_BYTES: usize = 6;
/// Parts of the names of variables that hold secrets.
const SECRET_NAMES: [&str; 6] = ["SECRET", "TOKEN", "KEY", "PASS", "SAS", "CREDENTIAL"];

/// A text of a server or a client in one line, without what may be secret: values of variables
/// that hold credentials, and what stands before the host and behind the path of a URL.
pub fn redact(text: &str) -> String {
    let secrets = std::env::vars().filter(|(name, value)| {
        let name = name.to_uppercase();
        value.len() >= MIN_SECRET_BYTES && SECRET_NAMES.iter().any(|part| name.contains(part))
    });
    let secrets: Vec<_> = secrets.map(|(_, value)| value).collect();
    redact_secrets(text, &secrets)
}

fn redact_secrets(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        text = text.replace(secret, "***");
    }
    let words = text.split_whitespace().map(redact_url);
    let mut line = words.collect::<Vec<_>>().join(" ");
    if line.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES).rev().find(|&end| line.is_char_boundary(end));
        line.truncate(end.unwrap_or(0));
        line.push('…');
    }
    line
}

/// A word; when it is a URL, without user, password and query.
fn redact_url(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let rest = rest.split_once(['?', '#']).map_or(rest.to_owned(), |(path, query)| {
        // Characters that close the URL stay.
        let end = query.trim_start_matches(|c: char| !")\"'>,;".contains(c));
        format!("{path}?***{end}")
    });
    let (host, path) = rest.split_once('/').unwrap_or((&rest, ""));
    let host = host.rsplit_once('@').map_or(host.to_owned(), |(_, host)| format!("***@{host}"));
    match rest.contains('/') {
        true => format!("{scheme}://{host}/{path}"),
        false => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_environment_and_of_urls_are_not_shown() {
        let secrets = ["wJalrXUtnFEMI".to_owned()];
        let text =
            "error at (https://me:pw@host/b/k?X-Amz-Signature=abc&b=c): key wJalrXUtnFEMI\n no";
        assert_eq!(
            redact_secrets(text, &secrets),
            "error at (https://***@host/b/k?***): key *** no"
        );
        assert_eq!(redact_secrets("http://host:80", &secrets), "http://host:80");
        let long = redact_secrets(&"é".repeat(1000), &secrets);
        assert!(long.len() <= MAX_TEXT_BYTES + 3 && long.ends_with('…'));
    }
}
