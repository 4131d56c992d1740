//! Deleting what nobody can need any more.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use super::head::{DAY, copy_path, object_path};
use super::{Entry, HEADS, OBJECTS, Published, PublishingError, Store};
use crate::Digest;
use crate::release::{HEAD_LIMIT, Head, Manifest, ObjectKind};

/// The fewest days that objects are kept: pages that are open, and publishers at work, need what was there when they began.
pub const LEAST_DAYS: u64 = 1;

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// Objects that are gone.
    pub deleted: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that stay.
    pub kept: usize,
    /// Heads that were published within the days, and whose objects stay.
    pub heads: usize,
}

impl fmt::Display for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deleted, bytes, kept, heads } = self;
        writeln!(f, "collected    {deleted} objects, {bytes} bytes; {kept} stay, for {heads} heads and what is new")
    }
}

/// Deletes the objects that no head named which was the published one within the last `days`, and that are older than that. Deletes nothing else.
///
/// # Errors
/// If the days are too few, the store does not answer, or a manifest whose objects must stay cannot be read: then nothing is deleted.
pub fn collect(store: &dyn Store, days: u64, now: SystemTime) -> Result<Collected, PublishingError> {
    if days < LEAST_DAYS {
        return Err(PublishingError::TooSoon { found: days, least: LEAST_DAYS });
    }
    let age = Duration::from_secs(days.saturating_mul(DAY));
    let Some(limit) = now.checked_sub(age) else {
        return Ok(Collected { deleted: 0, bytes: 0, kept: 0, heads: 0 });
    };
    // Listed first: what comes later is new.
    let objects = store.list(OBJECTS)?;
    let heads = heads(store, limit)?;
    let mut needed = HashSet::new();
    for head in &heads {
        needed.extend(head.overlay.map(|object| object.digest));
        if needed.insert(head.manifest.digest) {
            needed.extend(manifest(store, head)?.parts().map(|(_, object)| object.digest));
        }
    }
    let mut done = Collected { deleted: 0, bytes: 0, kept: 0, heads: heads.len() };
    let is_old = |entry: &Entry| entry.modified < limit;
    for entry in &objects {
        let digest = entry.name.parse::<Digest>();
        let is_free = digest.is_ok_and(|digest| !needed.contains(&digest)) && is_old(entry);
        let path = object_path(&entry.name);
        // A publisher that needs one which is old puts it again.
        if is_free && store.entry(&path)?.is_none_or(|entry| is_old(&entry)) {
            store.delete(&path)?;
            done.deleted += 1;
            done.bytes += entry.size;
        } else {
            done.kept += 1;
        }
    }
    Ok(done)
}

/// The published head, and those that were until after the limit.
fn heads(store: &dyn Store, limit: SystemTime) -> Result<Vec<Head>, PublishingError> {
    let version = |entry: &Entry| entry.name.strip_suffix(".json")?.parse::<u64>().ok();
    let mut copies: Vec<(u64, SystemTime)> =
        store.list(HEADS)?.iter().filter_map(|entry| Some((version(entry)?, entry.modified))).collect();
    copies.sort_unstable();
    let mut heads = Vec::new();
    for (nth, (version, _)) in copies.iter().enumerate() {
        let until = copies.get(nth + 1).map(|(_, modified)| *modified);
        if until.is_some_and(|until| until < limit) {
            continue;
        }
        if let Some((bytes, _)) = store.get(&copy_path(*version), HEAD_LIMIT as u64)? {
            heads.push(Head::parse(&bytes)?);
        }
    }
    heads.extend(Published::read(store)?.map(|published| published.head));
    Ok(heads)
}

fn manifest(store: &dyn Store, head: &Head) -> Result<Manifest, PublishingError> {
    let object = head.manifest;
    let Some((bytes, _)) = store.get(&object.path(), ObjectKind::Manifest.limit())? else {
        let version = head.version;
        return Err(PublishingError::Gone { version, gone: 1, of: 1, example: object.path() });
    };
    object.check(ObjectKind::Manifest, &bytes)?;
    Ok(Manifest::parse(&bytes)?)
}
