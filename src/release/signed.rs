//! Who says so: Ed25519 signatures (RFC 8032) over the canonical form of what a file says.
//!
//! A signed file is an object with two fields, `signed`, any object, and `signatures`, a list of `{"key", "signature"}`: a public key of 32 bytes and
//! a signature of 64, as hexadecimal digits. What is signed is not the text of `signed` but its canonical form, which is made of the same parsed tree
//! that the file is then read from: nobody can have one thing signed and another one read.
//!
//! The canonical form is that of RFC 8785 for the JSON that is allowed here: no white space, the fields of an object in the order of their names,
//! texts with no other escapes than `\"` and `\\`. Refused are fields with the same name, names that are not ASCII, numbers that are not whole, below
//! zero or above 2<sup>53</sup> - 1, and control characters in texts.
//!
//! A [`Role`] is some keys and how many of them must have signed. Signatures of other keys, damaged ones and second ones of a key count for nothing, and
//! do no harm.

use std::fmt;
use std::str::FromStr;

use super::{MAX_VERSION, ReleaseError};
use crate::hex;
use crate::json::{Json, JsonError, Value, write};

/// Most keys of a role.
pub const MAX_KEYS: usize = 16;
/// Most signatures of a file: the work of checking one.
pub const MAX_SIGNATURES: usize = 2 * MAX_KEYS;

/// A public Ed25519 key. As text: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; PublicKey::LEN]);

impl PublicKey {
    /// Bytes in a key.
    pub const LEN: usize = 32;

    /// Takes the raw bytes of a key.
    pub const fn from_bytes(bytes: [u8; PublicKey::LEN]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; PublicKey::LEN] {
        &self.0
    }

    /// Whether this key made `signature` of `message`.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8; Signature::LEN]) -> bool {
        let signature = ed25519_compact::Signature::new(*signature);
        ed25519_compact::PublicKey::new(self.0).verify(message, &signature).is_ok()
    }

    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        json.text()?.parse().map_err(|_| json.wrong("64 lower-case hexadecimal digits"))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Text that is not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a public key: expected 64 lower-case hexadecimal digits")]
pub struct ParseKeyError;

impl FromStr for PublicKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; Self::LEN];
        if hex::parse(text, &mut bytes) { Ok(Self(bytes)) } else { Err(ParseKeyError) }
    }
}

/// A signature, and whose it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The key that made it.
    pub key: PublicKey,
    /// Its bytes.
    pub bytes: [u8; Signature::LEN],
}

impl Signature {
    /// Bytes in a signature.
    pub const LEN: usize = 64;

    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let (text, mut bytes) = (json.field("signature"), [0; Self::LEN]);
        if !hex::parse(text.text()?, &mut bytes) {
            return Err(text.wrong("128 lower-case hexadecimal digits"));
        }
        Ok(Self { key: PublicKey::from_json(&json.field("key"))?, bytes })
    }

    /// Adds its entry in a file.
    fn write(&self, out: &mut String) {
        let parts = [r#"{"key":""#, &*hex::text(&self.key.0), r#"","signature":""#, &*hex::text(&self.bytes), r#""}"#];
        parts.iter().for_each(|part| out.push_str(part));
    }
}

/// Whose signatures count, and how many of them are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// 1 to [`MAX_KEYS`] different keys.
    pub keys: Vec<PublicKey>,
    /// 1 to as many as there are keys.
    pub threshold: usize,
}

impl Role {
    /// Reads a role of a root.
    pub(super) fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let (list, threshold) = (json.field("keys"), json.field("threshold"));
        let keys = list.list()?.iter().map(PublicKey::from_json).collect::<Result<Vec<_>, _>>()?;
        let is_again = |(at, key): (usize, &PublicKey)| keys[..at].contains(key);
        if !(1..=MAX_KEYS).contains(&keys.len()) || keys.iter().enumerate().any(is_again) {
            return Err(list.wrong("1 to 16 different keys"));
        }
        let needed = threshold.number(keys.len() as u64)? as usize;
        if needed == 0 {
            return Err(threshold.wrong("1 to as many as there are keys"));
        }
        Ok(Self { keys, threshold: needed })
    }
}

/// What is signed, in its canonical form, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub(super) message: String,
    pub(super) signatures: Vec<Signature>,
}

impl Signed {
    /// Takes both out of a file.
    pub(super) fn from_json(file: &Json<'_>) -> Result<Self, JsonError> {
        let mut message = String::new();
        canonical(&file.field("signed"), &mut message)?;
        Ok(Self { message, signatures: signatures(file)? })
    }

    /// The file that says this, signed by these.
    pub(super) fn to_file(&self) -> String {
        let mut out = [r#"{"signed":"#, &self.message, r#","signatures":["#].concat();
        for (nth, signature) in self.signatures.iter().enumerate() {
            if nth > 0 {
                out.push(',');
            }
            signature.write(&mut out);
        }
        out.push_str("]}");
        out
    }

    /// That enough keys of the role have signed it.
    ///
    /// # Errors
    /// [`ReleaseError::Signatures`].
    pub(crate) fn check(&self, what: &'static str, role: &Role) -> Result<(), ReleaseError> {
        let has_signed = |key: &&PublicKey| {
            let mut own = self.signatures.iter().filter(|signature| signature.key == **key);
            own.any(|signature| key.has_signed(self.message.as_bytes(), &signature.bytes))
        };
        let found = role.keys.iter().filter(has_signed).count();
        if found < role.threshold {
            return Err(ReleaseError::Signatures { what, found, expected: role.threshold });
        }
        Ok(())
    }
}

/// The signatures of a file, unchecked.
pub(super) fn signatures(file: &Json<'_>) -> Result<Vec<Signature>, JsonError> {
    let list = file.field("signatures");
    let entries = list.list()?;
    if entries.len() > MAX_SIGNATURES {
        return Err(list.wrong("at most 32 signatures"));
    }
    entries.iter().map(Signature::from_json).collect()
}

/// Adds the canonical form of a value.
fn canonical(json: &Json<'_>, out: &mut String) -> Result<(), JsonError> {
    match json.value() {
        Some(Value::Object(fields)) => {
            let mut order: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            order.sort_unstable();
            let is_plain = |name: &&str| name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if order.windows(2).any(|pair| pair[0] == pair[1]) || !order.iter().all(is_plain) {
                return Err(json.wrong("fields with different names in ASCII"));
            }
            out.push('{');
            for (nth, name) in order.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                write::text(out, name);
                out.push(':');
                canonical(&json.field(name), out)?;
            }
            out.push('}');
        }
        Some(Value::Array(_)) => {
            out.push('[');
            for (nth, value) in json.list()?.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                canonical(value, out)?;
            }
            out.push(']');
        }
        Some(Value::Number(_)) => out.push_str(&json.number(MAX_VERSION)?.to_string()),
        Some(Value::Text(text)) if text.contains(|character| character < ' ') => {
            return Err(json.wrong("a text without control characters"));
        }
        Some(Value::Text(text)) => write::text(out, text),
        Some(Value::Bool(truth)) => out.push_str(if *truth { "true" } else { "false" }),
        Some(Value::Null) => out.push_str("null"),
        None => return Err(json.wrong("a value")),
    }
    Ok(())
}
