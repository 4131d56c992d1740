//! Deleting what nobody can need any more.

use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use super::at_once::each;
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
    let is_old = |entry: &Entry| entry.modified < limit;
    let is_free =
        |entry: &&Entry| entry.name.parse::<Digest>().is_ok_and(|digest| !needed.contains(&digest)) && is_old(entry);
    let free: Vec<&Entry> = objects.iter().filter(is_free).collect();
    let deleted = each(&free, |entry| -> Result<Option<u64>, PublishingError> {
        let path = object_path(&entry.name);
        // A publisher that needs one which is old puts it again.
        if store.entry(&path)?.is_some_and(|entry| !is_old(&entry)) {
            return Ok(None);
        }
        store.delete(&path)?;
        Ok(Some(entry.size))
    })?;
    let deleted: Vec<u64> = deleted.into_iter().flatten().collect();
    let kept = objects.len() - deleted.len();
    Ok(Collected { deleted: deleted.len(), bytes: deleted.iter().sum(), kept, heads: heads.len() })
}

/// The published head, and those that were until after the limit.
fn heads(store: &dyn Store, limit: SystemTime) -> Result<Vec<Head>, PublishingError> {
    let version = |entry: &Entry| entry.name.strip_suffix(".json")?.parse::<u64>().ok();
    let mut copies: Vec<(u64, SystemTime)> =
        store.list(HEADS)?.iter().filter_map(|entry| Some((version(entry)?, entry.modified))).collect();
    copies.sort_unstable();
    let until = |nth: usize| copies.get(nth + 1).map(|(_, modified)| *modified);
    let recent = copies.iter().enumerate().filter(|(nth, _)| until(*nth).is_none_or(|until| until >= limit));
    let recent: Vec<u64> = recent.map(|(_, (version, _))| *version).collect();
    let read = each(&recent, |version| -> Result<Option<Head>, PublishingError> {
        let copy = store.get(&copy_path(*version), HEAD_LIMIT as u64)?;
        Ok(copy.map(|(bytes, _)| Head::parse(&bytes)).transpose()?)
    })?;
    let published = Published::read(store)?.map(|published| published.head);
    let mut heads: Vec<Head> = read.into_iter().flatten().collect();
    heads.extend(published.filter(|published| !recent.contains(&published.version)));
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
