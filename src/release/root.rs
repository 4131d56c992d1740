//! The root of trust: whose signatures count.

use std::fmt;
use std::str::FromStr;

use super::manifest::{MAX_NAME, open_json};
use super::signed::{PublicKey, Role, Signature, Signed};
use super::{FORMAT_VERSION, MAX_VERSION, ReleaseError};
use crate::Digest;
use crate::json::{Json, JsonError, write};

/// Most bytes of a root.
pub const ROOT_LIMIT: usize = 16 << 10;

const WHAT: &str = "root";

/// The content of `root/<version>.json`: the keys that sign heads, and those that sign the next root. Its own keys have signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Which release it is for: heads say the same, so that one release's head does not pass for another's where both use one key.
    pub name: String,
    /// One more than the root before.
    pub version: u64,
    /// When it ends, in seconds since 1970-01-01 UTC.
    pub expires: u64,
    /// Who signs roots: kept offline.
    pub root: Role,
    /// Who signs heads: online.
    pub head: Role,
    signed: Signed,
}

impl Root {
    /// Reads a root, and checks that its own keys have signed it.
    ///
    /// # Errors
    /// If the bytes are more than [`ROOT_LIMIT`], not JSON, of another format, break a rule of the [format](super), or have too few signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        let root = Self::parse_unsigned(bytes)?;
        root.signed.check(WHAT, &root.root)?;
        Ok(root)
    }

    /// [`Root::parse`] of one that is not signed by enough keys yet.
    ///
    /// # Errors
    /// As [`Root::parse`], but for signatures.
    pub fn parse_unsigned(bytes: &[u8]) -> Result<Self, ReleaseError> {
        if bytes.len() > ROOT_LIMIT {
            return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit: ROOT_LIMIT as u64 });
        }
        let value = open_json(WHAT, bytes, &["signed", "format"])?;
        Self::from_json(&Json::new(&value, WHAT)).map_err(|error| ReleaseError::json(WHAT, &error))
    }

    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let signed = json.field("signed");
        check_type(&signed, WHAT)?;
        let roles = signed.field("roles");
        Ok(Self {
            name: name_of(&signed)?,
            version: positive(&signed.field("version"))?,
            expires: signed.field("expires").number(MAX_VERSION)?,
            root: Role::from_json(&roles.field("root"))?,
            head: Role::from_json(&roles.field("head"))?,
            signed: Signed::from_json(json)?,
        })
    }

    /// That enough of these keys have signed it: those of the root before.
    ///
    /// # Errors
    /// [`ReleaseError::Signatures`].
    pub(crate) fn check_signed_by(&self, role: &Role) -> Result<(), ReleaseError> {
        self.signed.check(WHAT, role)
    }

    /// A root that nobody has signed yet.
    ///
    /// # Errors
    /// If it breaks a rule of the [format](super).
    pub fn new(name: &str, version: u64, expires: u64, [root, head]: [&Role; 2]) -> Result<Self, ReleaseError> {
        let quoted = |key: &PublicKey| format!(r#""{key}""#);
        let keys = |role: &Role| role.keys.iter().map(quoted).collect::<Vec<_>>().join(",");
        let role = |role: &Role| format!(r#"{{"keys":[{}],"threshold":{}}}"#, keys(role), role.threshold);
        let name = write::quoted(name);
        let text = format!(
            r#"{{"signed":{{"type":"root","format":{FORMAT_VERSION},"name":{name},"version":{version},"expires":{expires},"roles":{{"root":{},"head":{}}}}},"signatures":[]}}"#,
            role(root),
            role(head)
        );
        Self::parse_unsigned(text.as_bytes())
    }

    /// What its keys sign.
    pub fn message(&self) -> &[u8] {
        self.signed.message.as_bytes()
    }

    /// Who has signed it, unchecked.
    pub fn signatures(&self) -> &[Signature] {
        &self.signed.signatures
    }

    /// Whether a key has signed it.
    #[cfg(feature = "origin")]
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let mut own = self.signed.signatures.iter().filter(|signature| signature.key == *key);
        own.any(|signature| key.has_signed(self.message(), &signature.bytes))
    }

    /// Adds a signature, in place of one that the key made before.
    pub fn sign(&mut self, signature: Signature) {
        self.signed.signatures.retain(|other| other.key != signature.key);
        self.signed.signatures.push(signature);
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.signed.to_file().into_bytes()
    }

    /// Where the root of a version lies, from the folder of the release.
    pub fn path(version: u64) -> String {
        format!("root/{version}.json")
    }
}

/// That what is signed is a file of this kind: a signature over one kind must not pass for one over another.
pub(super) fn check_type(signed: &Json<'_>, expected: &'static str) -> Result<(), JsonError> {
    let kind = signed.field("type");
    if kind.text()? == expected { Ok(()) } else { Err(kind.wrong(expected)) }
}

/// The name of the release in what is signed.
pub(super) fn name_of(signed: &Json<'_>) -> Result<String, JsonError> {
    let name = signed.field("name");
    let text = name.text()?;
    if (1..=MAX_NAME).contains(&text.len()) { Ok(text.to_owned()) } else { Err(name.wrong("a name of 1 to 200 bytes")) }
}

/// A version.
pub(super) fn positive(json: &Json<'_>) -> Result<u64, JsonError> {
    let number = json.number(MAX_VERSION)?;
    if number > 0 { Ok(number) } else { Err(json.wrong("at least 1")) }
}

/// What an application knows of a release before it fetches anything: the version and the digest of one root. As text `1.<64 hexadecimal digits>`; the
/// package calls it the public key of the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootPin {
    /// The version of the root.
    pub version: u64,
    /// The digest of [what its keys sign](Root::message): signatures may be added later.
    pub digest: Digest,
}

impl RootPin {
    /// Pins this root.
    pub fn of(root: &Root) -> Self {
        Self { version: root.version, digest: Digest::of(root.message()) }
    }
}

impl fmt::Display for RootPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.digest)
    }
}

/// Text that pins no root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "publicKey: found {found_text}, expected a version, a dot and 64 lower-case hexadecimal digits, as nearshelf keys show prints them",
    found_text = crate::show::text(found)
)]
pub struct ParsePinError {
    /// The text that was found, at most 80 characters of it.
    pub found: String,
}

impl FromStr for RootPin {
    type Err = ParsePinError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pin = text.split_once('.').and_then(|(version, digest)| {
            let version = version.parse().ok().filter(|version| (1..=MAX_VERSION).contains(version))?;
            Some(Self { version, digest: digest.parse().ok()? })
        });
        pin.ok_or_else(|| ParsePinError { found: text.chars().take(80).collect() })
    }
}
