//! A document for people.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::artifact::{Artifact, Payload, Typed};
use crate::error::ArtifactError;
use crate::kind::ArtifactKind;

/// A document for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Media type of the bytes, such as `text/html`.
    pub media_type: String,
    /// The document.
    pub bytes: Vec<u8>,
}

impl Typed for Report {
    const KIND: ArtifactKind = ArtifactKind::Report;

    fn into_artifact(self) -> Result<Artifact, ArtifactError> {
        let payload =
            Payload::Bytes { media_type: self.media_type, bytes: Bytes::from(self.bytes) };
        Ok(Artifact { kind: Self::KIND, payload, metadata: BTreeMap::new() })
    }

    fn from_artifact(artifact: &Artifact) -> Result<Self, ArtifactError> {
        match &artifact.payload {
            Payload::Bytes { media_type, bytes } if artifact.kind == Self::KIND => {
                Ok(Self { media_type: media_type.clone(), bytes: bytes.to_vec() })
            }
            _ => Err(ArtifactError::WrongKind {
                expected: Self::KIND,
                found: artifact.kind.to_string(),
            }),
        }
    }
}
