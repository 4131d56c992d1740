//! Going back to what was published before.

use std::collections::HashMap;

use super::head::{Content, Keyring, Signing, copy_path, replace};
use super::publish::{Done, done};
use super::{OBJECTS, Published, PublishingError, Store};
use crate::release::{HEAD_FILE, HEAD_LIMIT, Head, Manifest, ObjectKind, ObjectRef};

/// Publishes what the head of an earlier version named, as a new version. Its overlay is the published one where that is of the same release, else the one that it had.
///
/// # Errors
/// If the version, or an object that it names, is not there any more, or nobody of the keys has signed it; what was published is as it was.
pub fn rollback(
    store: &dyn Store,
    version: u64,
    keys: Option<&Keyring>,
    days: u64,
    now: u64,
) -> Result<Done, PublishingError> {
    let missing = |path: &str| PublishingError::NoVersion { place: store.name(), path: path.to_owned() };
    let path = copy_path(version);
    let Some((bytes, _)) = store.get(&path, HEAD_LIMIT as u64)? else { return Err(missing(&path)) };
    let is_signed = |keys: &Keyring| keys.verified(&bytes).is_some_and(|named| named.version == version);
    if keys.is_some_and(|keys| !is_signed(keys)) {
        return Err(PublishingError::UnsignedCopy { path });
    }
    let old = Head::parse(&bytes)?;
    let replaced = replace(store, &Signing { keys, now, days, replaces: false }, |before| {
        let Some(Published { head, .. }) = before else { return Err(missing(HEAD_FILE)) };
        let overlay = if head.manifest == old.manifest { head.overlay } else { old.overlay };
        check(store, version, &old.manifest, overlay)?;
        Ok(Content { manifest: old.manifest, overlay, least: 1 })
    })?;
    Ok(done(replaced, (0, 0), (keys, now)))
}

/// That everything that a head would name is there.
fn check(
    store: &dyn Store,
    version: u64,
    object: &ObjectRef,
    overlay: Option<ObjectRef>,
) -> Result<(), PublishingError> {
    let Some((bytes, _)) = store.get(&object.path(), ObjectKind::Manifest.limit())? else {
        return Err(PublishingError::Gone { version, gone: 1, of: 1, example: object.path() });
    };
    object.check(ObjectKind::Manifest, &bytes)?;
    let manifest = Manifest::parse(&bytes)?;
    let sizes: HashMap<String, u64> = store.list(OBJECTS)?.into_iter().map(|entry| (entry.name, entry.size)).collect();
    let all: Vec<ObjectRef> = manifest.parts().map(|(_, object)| object).chain(overlay).collect();
    let is_gone = |object: &&ObjectRef| sizes.get(&object.digest.to_string()) != Some(&object.size);
    let gone: Vec<&ObjectRef> = all.iter().filter(is_gone).collect();
    match gone.first() {
        None => Ok(()),
        Some(first) => Err(PublishingError::Gone { version, gone: gone.len(), of: all.len(), example: first.path() }),
    }
}
