//! Publishing a build folder.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::at_once::each;
use super::head::{Content, DAY, Replaced, Signing, replace};
use super::limits::manifest_of;
use super::progress::Progress;
use super::{Cached, Entry, Keyring, Limits, OBJECTS, Published, PublishingError, Store};
use crate::Digest;
use crate::release::overlay::Overlay;
use crate::release::{Head, Manifest, ObjectKind, ObjectRef, read_head, read_object, verify_head};

/// Days before the end of a root at which its renewal is asked for: it may take a journey to where the keys are.
const SOON: u64 = 30;
/// An object that no published head names may be deleted when it is old ([`collect`](super::collect())): one that is older than this is put again.
const OLD: Duration = Duration::from_hours(12);

/// What is published, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// The build folder.
    pub release: &'a Path,
    /// Who signs; nobody, where it is none.
    pub keys: Option<&'a Keyring>,
    /// How much worse than the published one it may be.
    pub limits: Limits,
    /// Days that the head counts.
    pub days: u64,
    /// Now, in seconds since 1970-01-01 UTC.
    pub now: u64,
    /// Publishes only another overlay of the release that is published, never another release.
    pub only_overlay: bool,
    /// Replaces a published head that the keys have not signed, without a comparison: its version is one more than that of the copies of heads that they have.
    pub replace_head: bool,
}

/// What was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// The head.
    pub head: Head,
    /// Whether it is another one than before.
    pub changed: bool,
    /// Whether it names what the one before named.
    pub renewed: bool,
    /// Objects that were put, and their bytes.
    pub put: (usize, u64),
    /// When the newest root ends, where there is one.
    pub root_ends: Option<u64>,
    /// Now, as it was given.
    pub now: u64,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Head { version, manifest, terms, .. } = &self.head;
        let what = match (self.changed, self.renewed) {
            (false, _) => "is published already, nothing to do",
            (true, true) => "the same release, signed again",
            (true, false) => "new",
        };
        writeln!(f, "release      version {version}: {what}, manifest {}", manifest.digest)?;
        writeln!(f, "objects      {} put, {} bytes", self.put.0, self.put.1)?;
        match terms {
            Some(terms) => {
                let days = self.root_ends.map(|ends| ends.saturating_sub(self.now) / DAY);
                if let Some(days) = days.filter(|days| *days < SOON) {
                    writeln!(f, "root         ends in {days} days, and all heads with it: run nearshelf keys renew")?;
                }
                if let Some(ahead) = terms.made.checked_sub(self.now).filter(|ahead| *ahead > 0) {
                    writeln!(
                        f,
                        "clock        the published head was made {ahead} seconds from now, so this one says so, too: look at the clocks of those who publish"
                    )?;
                }
                let hours = terms.expires.saturating_sub(self.now) / 3600;
                writeln!(f, "signed       for {:?} under root {}, counts for {hours} hours", terms.name, terms.root)
            }
            None => writeln!(f, "signed       by nobody: clients with a public key refuse it"),
        }
    }
}

/// Publishes the release of a build folder: objects first, then roots, then the head, which takes the place of the one that was compared with.
///
/// # Errors
/// A [`PublishingError`]; what was published is as it was.
pub fn publish(store: &dyn Store, what: &Publication<'_>) -> Result<Done, PublishingError> {
    let Publication { release, keys, days, now, .. } = *what;
    if is_same(store, release) {
        return Err(PublishingError::SamePlace { path: release.to_owned() });
    }
    let head = read_head(release)?;
    if head.terms.is_some() {
        return Err(PublishingError::Signed { path: release.to_owned() });
    }
    let bytes = read_object(release, ObjectKind::Manifest, &head.manifest)?;
    let manifest = Manifest::parse(&bytes)?;
    let mut is_verified = false;
    let mut put = (0, 0);
    let replaced = replace(store, &Signing { keys, now, days, replaces: what.replace_head }, |before| {
        let is_other = before.is_none_or(|before| before.head.manifest != head.manifest);
        if is_other {
            if what.only_overlay {
                let published = before.map_or("nothing".to_owned(), |before| before.head.manifest.digest.to_string());
                return Err(PublishingError::OtherRelease { found: head.manifest.digest, published });
            }
            if !is_verified {
                verify_head(release, &head)?;
                is_verified = true;
            }
            if let Some(before) = before {
                what.limits.check(store, before, &manifest)?;
            }
        }
        if let Some(object) = head.overlay {
            let bytes = read_object(release, ObjectKind::Overlay, &object)?;
            Overlay::open(object, bytes, object.digest, (&manifest, head.manifest.digest))?;
        }
        let (count, bytes) = put_objects(store, release, &lacking(store, before, (&head, &manifest))?)?;
        put = (put.0 + count, put.1 + bytes);
        Ok(Content { manifest: head.manifest, overlay: head.overlay, least: head.version })
    })?;
    Ok(done(replaced, put, (keys, now)))
}

pub(super) fn done(
    Replaced { head, before, changed }: Replaced,
    put: (usize, u64),
    (keys, now): (Option<&Keyring>, u64),
) -> Done {
    let names = |head: &Head| (head.manifest, head.overlay);
    let renewed = changed && before.is_some_and(|before| names(&before.head) == names(&head));
    Done { head, changed, renewed, put, root_ends: keys.and_then(Keyring::ends), now }
}

/// Whether a build folder is the folder to publish to.
fn is_same(store: &dyn Store, release: &Path) -> bool {
    let to = std::fs::canonicalize(store.name());
    to.is_ok_and(|to| std::fs::canonicalize(release).is_ok_and(|release| to == release))
}

/// The objects of a release that a store does not have, of whatever kind they are.
fn lacking(
    store: &dyn Store,
    before: Option<&Published>,
    (head, manifest): (&Head, &Manifest),
) -> Result<Vec<(ObjectKind, ObjectRef)>, PublishingError> {
    let overlay = head.overlay.map(|object| (ObjectKind::Overlay, object));
    // What the published head names is not deleted, however old it is. Where its manifest cannot be read, more is put than has to be.
    let is_same = before.is_some_and(|before| before.head.manifest == head.manifest);
    let of_before = match before {
        Some(before) if !is_same => manifest_of(store, before).ok(),
        _ => None,
    };
    let parts_named = of_before.as_ref().or_else(|| is_same.then_some(manifest));
    let named: HashSet<Digest> = parts_named
        .into_iter()
        .flat_map(|manifest| manifest.parts().map(|(_, object)| object.digest))
        .chain(before.filter(|_| is_same).map(|before| before.head.manifest.digest))
        .chain(before.and_then(|before| before.head.overlay).map(|overlay| overlay.digest))
        .collect();
    let there: HashMap<String, Entry> =
        store.list(OBJECTS)?.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
    let parts = manifest.parts().map(|(part, object)| (part.kind(), object));
    let all = parts.chain(overlay).chain([(ObjectKind::Manifest, head.manifest)]);
    let lacks = |object: &ObjectRef| {
        let entry = there.get(&object.digest.to_string()).filter(|entry| entry.size == object.size);
        entry.is_none_or(|entry| !named.contains(&object.digest) && is_old(entry))
    };
    Ok(all.filter(|(_, object)| lacks(object)).collect())
}

/// Whether an object may be deleted as one that nobody needs before a head that names it is published.
fn is_old(entry: &Entry) -> bool {
    SystemTime::now().duration_since(entry.modified).unwrap_or_default() > OLD
}

/// Puts objects of a build folder, several at once; how many, and their bytes.
fn put_objects(
    store: &dyn Store,
    release: &Path,
    objects: &[(ObjectKind, ObjectRef)],
) -> Result<(usize, u64), PublishingError> {
    let bytes = objects.iter().map(|(_, object)| object.size).sum();
    let progress = Progress::new(bytes);
    let put = each(objects, |(kind, object)| -> Result<(), PublishingError> {
        let bytes = read_object(release, *kind, object)?;
        store.put(&object.path(), bytes, Cached::Object)?;
        progress.add(object.size);
        Ok(())
    });
    progress.end();
    Ok((put?.len(), bytes))
}
