//! What a client with a public key would say of a release.

use std::fmt;
use std::path::Path;

use super::PublishingError;
use crate::platform::files::read_limited;
use crate::release::{HEAD_FILE, HEAD_LIMIT, Head, ROOT_LIMIT, ReleaseError, Root, RootPin};
use crate::sync::Trust;

/// A head that clients with this public key take.
#[derive(Debug, Clone, PartialEq)]
pub struct Trusted {
    /// The head.
    pub head: Head,
    /// The newest root.
    pub root: u64,
    /// When the head ends, or the root where that is earlier, in seconds since 1970-01-01 UTC.
    pub ends: u64,
    /// Now, as it was given.
    pub now: u64,
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.ends.saturating_sub(self.now) / 3600;
        writeln!(f, "signatures   right, under root {}, counts for {hours} hours", self.root)
    }
}

/// Checks a head as clients do: the roots from the pinned one to the newest that is there, which `get` reads, and the signatures of the head, at the moment `now`.
///
/// # Errors
/// The first thing that is wrong.
pub fn trusted(
    pin: RootPin,
    head: &[u8],
    now: u64,
    mut get: impl FnMut(&str) -> Result<Option<Vec<u8>>, PublishingError>,
) -> Result<Trusted, PublishingError> {
    let mut trust = Trust::pinned(pin, 0);
    let mut newest: Option<Root> = None;
    while let Some(version) = trust.root_before(head) {
        let path = Root::path(version);
        let Some(bytes) = get(&path)? else { return Err(PublishingError::NoRoot { path }) };
        trust.add_root(&bytes).map_err(|source| PublishingError::Untrusted { path, source: Box::new(source) })?;
        newest = Some(Root::parse(&bytes)?);
    }
    let Some(asked) = newest else { return Err(PublishingError::NoRoot { path: Root::path(pin.version) }) };
    // Who holds a key that was revoked names no root that lacks it. What does not follow is no root: anybody may have put it there.
    let mut root = asked.clone();
    while let Some(bytes) = get(&Root::path(root.version + 1))? {
        if trust.add_root(&bytes).is_err() {
            break;
        }
        root = Root::parse(&bytes)?;
    }
    let named = Head::parse_signed(head, &root).map_err(|error| match Head::parse_signed(head, &asked) {
        Ok(_) => PublishingError::Superseded { found: asked.version, newest: root.version },
        Err(_) => error.into(),
    })?;
    let left = |what, end: u64| match now.checked_sub(end) {
        Some(seconds) => Err(PublishingError::Ended { what, seconds }),
        None => Ok(()),
    };
    left("the root", root.expires)?;
    left("the head", named.expires)?;
    Ok(Trusted { head: Head::parse(head)?, root: root.version, ends: root.expires.min(named.expires), now })
}

/// [`trusted`] of the release in a folder.
///
/// # Errors
/// The first thing that is wrong.
pub fn trusted_folder(dir: &Path, pin: RootPin, now: u64) -> Result<Trusted, PublishingError> {
    let read = |path: &str, limit: usize| match read_limited(&dir.join(path), limit as u64) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReleaseError::Io { path: dir.join(path), source }.into()),
    };
    let head = read(HEAD_FILE, HEAD_LIMIT)?.unwrap_or_default();
    trusted(pin, &head, now, |path| read(path, ROOT_LIMIT))
}
