//! The address of a remote, as a person writes it.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

/// The address of a remote: `s3://bucket/prefix`, `https://host/path`, `gs://bucket/prefix`,
/// `az://container/prefix`, `file:///folder`, or the path of a folder.
///
/// It holds no credentials, so that it can be shown, logged and written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RemoteAddress {
    text: String,
    pub(crate) place: Place,
}

/// The kinds of places that an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Folder(PathBuf),
    S3(Url),
    Http(Url),
    Gcs(Url),
    Azure(Url),
}

/// A text that is no address of a remote, in words that follow the name of the option or setting.
/// Never shows the text: a secret may be in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Nothing was given.
    #[error("is empty: name a folder, or a URL such as s3://bucket/prefix")]
    Empty,
    /// It has a user, a password, a query or a fragment.
    #[error(
        "must hold no user, password or query: credentials belong into the variables of the store, \
         such as AWS_ACCESS_KEY_ID"
    )]
    Credentials,
    /// It cannot be parsed.
    #[error("is no URL: {0}")]
    Malformed(url::ParseError),
    /// Its scheme is not one of those that are known.
    #[error(
        "has the scheme {0}; a remote has s3, https, http, gs, az or file, or is the path of a folder"
    )]
    Scheme(String),
    /// It names no bucket.
    #[error("names no bucket or host")]
    NoBucket,
    /// It is a relative folder behind `file:`.
    #[error("names a folder that is not absolute: file:///folder has three slashes")]
    Relative,
}

impl RemoteAddress {
    /// The address of a folder.
    pub fn folder(path: &Path) -> Self {
        let path = resolve(path);
        Self { text: path.display().to_string(), place: Place::Folder(path) }
    }

    /// The address that a text gives; a folder is relative to another.
    pub fn parse(text: &str, relative_to: &Path) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if !text.contains("://") {
            return Ok(Self::folder(&relative_to.join(text)));
        }
        let url = Url::parse(text).map_err(AddressError::Malformed)?;
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if has_credentials || url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::Credentials);
        }
        let place = match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| AddressError::Relative)?;
                return Ok(Self::folder(&path));
            }
            "s3" => Place::S3(url.clone()),
            "http" | "https" => Place::Http(url.clone()),
            "gs" => Place::Gcs(url.clone()),
            "az" => Place::Azure(url.clone()),
            other => return Err(AddressError::Scheme(other.to_owned())),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(AddressError::NoBucket);
        }
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), place })
    }
}

/// The path by which a folder is known, be it that it is not there yet.
fn resolve(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolve(parent).join(name),
        _ => path.clone(),
    })
}

impl FromStr for RemoteAddress {
    type Err = AddressError;

    /// A folder is relative to the working directory.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text, Path::new(""))
    }
}

impl TryFrom<String> for RemoteAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<RemoteAddress> for String {
    fn from(address: RemoteAddress) -> Self {
        address.text
    }
}

impl JsonSchema for RemoteAddress {
    fn schema_name() -> Cow<'static, str> {
        "RemoteAddress".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_or_a_folder() {
        for (text, shown) in [
            ("s3://lab/fuseline/", "s3://lab/fuseline"),
            ("https://dav.example.org/lab", "https://dav.example.org/lab"),
            ("file:///srv/lab%20cache", "/srv/lab cache"),
            ("/srv/lab", "/srv/lab"),
        ] {
            assert_eq!(text.parse::<RemoteAddress>().unwrap().to_string(), shown);
        }
        let relative = RemoteAddress::parse("shared", Path::new("/srv/lab")).unwrap();
        assert_eq!(relative.to_string(), "/srv/lab/shared");
    }

    #[test]
    fn what_is_no_address_is_refused_and_a_secret_in_it_is_not_shown() {
        for text in [
            "",
            "s3://",
            "s3:///prefix",
            "ftp://host/x",
            "file://host/x",
            "s3://AKIA:hunter2secret@lab/x",
            "https://user@host/x",
            "https://host/x?sig=hunter2secret",
            "s3://[::1/hunter2secret",
        ] {
            let error = text.parse::<RemoteAddress>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
