//! The head: the one file of a release that changes.

use serde::Serialize;

use super::manifest::{check_requires, open_json};
use super::root::{Root, check_type, name_of, positive};
use super::signed::{Signature, Signed, signatures};
use super::{FORMAT_VERSION, ObjectKind, ObjectRef, ReleaseError};
use crate::json::{Json, JsonError, parse};

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
    /// What a head that is meant to be signed says beside that.
    pub terms: Option<Terms>,
    /// Who has signed it, unchecked: a client's [`Trust`](crate::sync::Trust) does that.
    pub signatures: Vec<Signature>,
}

/// For which release a signed head is, and how long it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The name of the release, as in its root.
    pub name: String,
    /// The version of the newest root, by which a client that holds an older one notices.
    pub root: u64,
    /// When it was signed, in seconds since 1970-01-01 UTC.
    pub made: u64,
    /// When it ends, in the same seconds.
    pub expires: u64,
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
    /// As [`Terms::made`], 0 of a head that is not signed.
    pub(crate) made: u64,
    /// As [`Terms::expires`], [`MAX_VERSION`] of a head that is not signed.
    pub(crate) expires: u64,
}

#[derive(Serialize)]
struct File<'h> {
    signed: ToSign<'h>,
    signatures: [(); 0],
}

#[derive(Serialize)]
struct ToSign<'h> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'h str>,
    format: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'h str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<u64>,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    manifest: ObjectRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<ObjectRef>,
}

impl Head {
    /// A head that is not meant to be signed.
    pub fn unsigned(version: u64, manifest: ObjectRef, overlay: Option<ObjectRef>) -> Self {
        Self { version, manifest, overlay, terms: None, signatures: Vec::new() }
    }

    /// Reads a head, whoever has signed it.
    ///
    /// # Errors
    /// If the bytes are more than [`HEAD_LIMIT`], not JSON, of a format or with a requirement that this build does not
    /// know, or break a rule of the [format](super).
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        read(bytes, |json, Named { version, manifest, overlay, .. }| {
            let wrong = |error| ReleaseError::json(WHAT, &error);
            let terms = Self::terms_of(&json.field("signed")).map_err(wrong)?;
            Ok(Self { version, manifest, overlay, terms, signatures: signatures(json).map_err(wrong)? })
        })
    }

    fn terms_of(signed: &Json<'_>) -> Result<Option<Terms>, JsonError> {
        if signed.field("type").optional().is_none() {
            return Ok(None);
        }
        check_type(signed, WHAT)?;
        let (root, made) = (positive(&signed.field("root"))?, signed.field("made").number(MAX_VERSION)?);
        let expires = signed.field("expires").number(MAX_VERSION)?;
        Ok(Some(Terms { name: name_of(signed)?, root, made, expires }))
    }

    /// What [`Head::parse`] reads and checks, less what is about signatures.
    ///
    /// # Errors
    /// As [`Head::parse`].
    pub(crate) fn parse_unsigned(bytes: &[u8]) -> Result<Named, ReleaseError> {
        read(bytes, |_, named| Ok(Named { made: 0, expires: MAX_VERSION, ..named }))
    }

    /// What a head says that is for the release of this root, and that enough of its keys have signed.
    ///
    /// # Errors
    /// As [`Head::parse`], and if it is of another release or has too few signatures.
    pub(crate) fn parse_signed(bytes: &[u8], by: &Root) -> Result<Named, ReleaseError> {
        read(bytes, |json, named| {
            let wrong = |error| ReleaseError::json(WHAT, &error);
            let signed = json.field("signed");
            // First: of what nobody signed, nothing else needs to be said.
            Signed::from_json(json).map_err(wrong)?.check(WHAT, &by.head)?;
            let Some(Terms { name, made, expires, .. }) = Self::terms_of(&signed).map_err(wrong)? else {
                return Err(wrong(signed.field("type").wrong(WHAT)));
            };
            if name != by.name {
                let (found, expected) = (crate::show::text(&name), crate::show::text(&by.name));
                return Err(ReleaseError::Field { what: WHAT, field: "name", found, expected });
            }
            Ok(Named { made, expires, ..named })
        })
    }

    /// The version of the root that a head, which nobody has checked, says it is signed under; 0 where it does not say.
    pub(crate) fn hint_of_root(bytes: &[u8]) -> u64 {
        let hint = |json: &Json<'_>| json.field("signed").field("root").number(MAX_VERSION).ok();
        let value = if bytes.len() > HEAD_LIMIT { None } else { parse(bytes).ok() };
        value.and_then(|value| hint(&Json::new(&value, WHAT))).unwrap_or_default()
    }

    /// What the keys of the head's role sign.
    ///
    /// # Errors
    /// If the head breaks a rule of the [format](super).
    pub fn message(&self) -> Result<Vec<u8>, ReleaseError> {
        Ok(self.signed()?.message.into_bytes())
    }

    /// The bytes of the head: the same head gives the same bytes.
    ///
    /// # Errors
    /// If the head breaks a rule of the [format](super).
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReleaseError> {
        let bytes = if self.terms.is_none() { self.plain_bytes()? } else { self.signed()?.to_file().into_bytes() };
        if bytes.len() > HEAD_LIMIT {
            return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit: HEAD_LIMIT as u64 });
        }
        Ok(bytes)
    }

    fn signed(&self) -> Result<Signed, ReleaseError> {
        let bytes = self.plain_bytes()?;
        read(&bytes, |json, _| {
            let signed = Signed::from_json(json).map_err(|error| ReleaseError::json(WHAT, &error))?;
            Ok(Signed { signatures: self.signatures.clone(), ..signed })
        })
    }

    /// Without signatures.
    fn plain_bytes(&self) -> Result<Vec<u8>, ReleaseError> {
        let Self { version, manifest, overlay, terms, .. } = self;
        let (version, manifest, overlay) = (*version, *manifest, *overlay);
        Named { version, manifest, overlay, made: 0, expires: 0 }.check()?;
        let terms = terms.as_ref();
        let signed = ToSign {
            kind: terms.map(|_| WHAT),
            format: FORMAT_VERSION,
            name: terms.map(|terms| terms.name.as_str()),
            root: terms.map(|terms| terms.root),
            version,
            made: terms.map(|terms| terms.made),
            expires: terms.map(|terms| terms.expires),
            manifest,
            overlay,
        };
        let file = File { signed, signatures: [] };
        serde_json::to_vec(&file).map_err(|error| ReleaseError::json(WHAT, &error))
    }
}

/// Reads what every head says, and hands it on with the whole file.
fn read<T>(bytes: &[u8], then: impl FnOnce(&Json<'_>, Named) -> Result<T, ReleaseError>) -> Result<T, ReleaseError> {
    if bytes.len() > HEAD_LIMIT {
        return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit: HEAD_LIMIT as u64 });
    }
    let value = open_json(WHAT, bytes, &["signed", "format"])?;
    let (json, wrong) = (Json::new(&value, WHAT), |error| ReleaseError::json(WHAT, &error));
    check_requires(WHAT, &json.field("signed").field("requires").texts().map_err(wrong)?)?;
    let named = Named::from_json(&json).map_err(wrong)?;
    named.check()?;
    then(&json, named)
}

impl Named {
    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        json.field("signatures").list()?;
        let signed = json.field("signed");
        let overlay = signed.field("overlay").optional().map(|overlay| ObjectRef::from_json(&overlay)).transpose()?;
        let manifest = ObjectRef::from_json(&signed.field("manifest"))?;
        Ok(Self { version: signed.field("version").number(u64::MAX)?, manifest, overlay, made: 0, expires: 0 })
    }

    fn check(&self) -> Result<(), ReleaseError> {
        if !(1..=MAX_VERSION).contains(&self.version) {
            let (found, expected) = (self.version.to_string(), ["1..=", &*MAX_VERSION.to_string()].concat());
            return Err(ReleaseError::Field { what: WHAT, field: "version", found, expected });
        }
        self.overlay.iter().try_for_each(|overlay| overlay.check_limit(ObjectKind::Overlay))?;
        self.manifest.check_limit(ObjectKind::Manifest)
    }
}
