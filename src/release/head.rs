//! The head: the one file of a release that changes.

use serde::Serialize;
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
    /// The signatures as they stand in the file. This build does not check them.
    pub signatures: Vec<Value>,
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
        if bytes.len() > HEAD_LIMIT {
            return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit: HEAD_LIMIT as u64 });
        }
        let value = open_json(WHAT, bytes, "/signed/format")?;
        let (json, wrong) = (Json::new(&value, WHAT), |error| ReleaseError::json(WHAT, &error));
        check_requires(WHAT, &json.field("signed").field("requires").texts().map_err(wrong)?)?;
        let head = Self::from_json(&json).map_err(wrong)?;
        head.check()?;
        Ok(head)
    }

    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let signed = json.field("signed");
        let version = signed.field("version").number(u64::MAX)?;
        let signatures = json.field("signatures").list()?.iter().filter_map(Json::value).cloned().collect();
        Ok(Self { version, manifest: ObjectRef::from_json(&signed.field("manifest"))?, signatures })
    }

    /// The bytes of the head: the same head gives the same bytes.
    ///
    /// # Errors
    /// If the head breaks a rule of the [format](super).
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReleaseError> {
        self.check()?;
        let signed =
            Signed { format: FORMAT_VERSION, version: self.version, manifest: self.manifest, requires: Vec::new() };
        let file = File { signed, signatures: self.signatures.clone() };
        let bytes = serde_json::to_vec(&file).map_err(|error| ReleaseError::json(WHAT, &error))?;
        if bytes.len() > HEAD_LIMIT {
            return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit: HEAD_LIMIT as u64 });
        }
        Ok(bytes)
    }

    fn check(&self) -> Result<(), ReleaseError> {
        if !(1..=MAX_VERSION).contains(&self.version) {
            return Err(ReleaseError::Field {
                what: WHAT,
                field: "version",
                found: self.version.to_string(),
                expected: format!("1..={MAX_VERSION}"),
            });
        }
        self.manifest.check_limit(ObjectKind::Manifest)
    }
}
