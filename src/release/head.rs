//! The head: the one file of a release that changes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::manifest::{check_requires, open_json};
use super::{FORMAT_VERSION, ObjectKind, ObjectRef, ReleaseError};
use crate::json::{Json, JsonError};

/// Most bytes of a head.
pub const HEAD_LIMIT: usize = 2048;
/// The largest version: every JSON reader holds it exactly.
pub const MAX_VERSION: u64 = (1 << 53) - 1;

const WHAT: &str = "head";

/// The content of `head.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Goes up with every change.
    pub version: u64,
    /// The manifest of this version.
    pub manifest: ObjectRef,
    /// What is out of stock right now, where the origin says so.
    pub overlay: Option<ObjectRef>,
    /// The signatures as they stand in the file. This build does not check them.
    pub signatures: Vec<Value>,
}

/// What a client needs of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    /// As [`Head::version`].
    pub(crate) version: u64,
    /// As [`Head::manifest`].
    pub(crate) manifest: ObjectRef,
    /// As [`Head::overlay`].
    pub(crate) overlay: Option<ObjectRef>,
}

/// The rest of the file was read already.
#[derive(Deserialize)]
struct SignaturesOf {
    signatures: Vec<Value>,
}

#[derive(Serialize)]
struct File {
    signed: Signed,
    signatures: Vec<Value>,
}

#[derive(Serialize)]
struct Signed {
    format: u16,
    version: u64,
    manifest: ObjectRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<ObjectRef>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requires: Vec<String>,
}

impl Head {
    /// Reads a head.
    ///
    /// # Errors
    /// If the bytes are more than [`HEAD_LIMIT`], not JSON, of a format or with a requirement that this build does not
    /// know, or break a rule of the [format](super).
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        let Named { version, manifest, overlay } = Self::parse_signed(bytes)?;
        let file: SignaturesOf = serde_json::from_slice(bytes).map_err(|error| ReleaseError::json(WHAT, &error))?;
        Ok(Self { version, manifest, overlay, signatures: file.signatures })
    }

    /// What [`Head::parse`] reads and checks, less the signatures.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub(crate) fn parse_signed(bytes: &[u8]) -> Result<Named, ReleaseError> {
        if bytes.len() > HEAD_LIMIT {
            return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit: HEAD_LIMIT as u64 });
        }
        let value = open_json(WHAT, bytes, &["signed", "format"])?;
        let (json, wrong) = (Json::new(&value, WHAT), |error| ReleaseError::json(WHAT, &error));
        check_requires(WHAT, &json.field("signed").field("requires").texts().map_err(wrong)?)?;
        let named = Self::from_json(&json).map_err(wrong)?;
        named.check()?;
        Ok(named)
    }

    fn from_json(json: &Json<'_>) -> Result<Named, JsonError> {
        json.field("signatures").list()?;
        let signed = json.field("signed");
        let overlay = signed.field("overlay").optional().map(|overlay| ObjectRef::from_json(&overlay)).transpose()?;
        Ok(Named {
            version: signed.field("version").number(u64::MAX)?,
            manifest: ObjectRef::from_json(&signed.field("manifest"))?,
            overlay,
        })
    }

    /// The bytes of the head: the same head gives the same bytes.
    ///
    /// # Errors
    /// If the head breaks a rule of the [format](super).
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReleaseError> {
        let Self { version, manifest, overlay, .. } = *self;
        Named { version, manifest, overlay }.check()?;
        let signed = Signed { format: FORMAT_VERSION, version, manifest, overlay, requires: Vec::new() };
        let file = File { signed, signatures: self.signatures.clone() };
        let bytes = serde_json::to_vec(&file).map_err(|error| ReleaseError::json(WHAT, &error))?;
        if bytes.len() > HEAD_LIMIT {
            return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit: HEAD_LIMIT as u64 });
        }
        Ok(bytes)
    }
}

impl Named {
    fn check(&self) -> Result<(), ReleaseError> {
        if !(1..=MAX_VERSION).contains(&self.version) {
            let (found, expected) = (self.version.to_string(), ["1..=", &*MAX_VERSION.to_string()].concat());
            return Err(ReleaseError::Field { what: WHAT, field: "version", found, expected });
        }
        self.overlay.iter().try_for_each(|overlay| overlay.check_limit(ObjectKind::Overlay))?;
        self.manifest.check_limit(ObjectKind::Manifest)
    }
}
