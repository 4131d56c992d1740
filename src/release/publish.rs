//! Publishing an overlay of the release in a folder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::overlay::{Overlay, OverlayError};
use super::stock::{Matched, RowsById, Stock};
use super::verify::{open_of, read_buckets, read_head, read_object};
use super::write::{put, write};
use super::{HEAD_FILE, Head, MAX_VERSION, ObjectKind, ObjectRef, Part, Release, ReleaseError};
use crate::platform::files::locked;
use crate::shard::delta::Chain;

/// Publishes overlays of the release in one folder, again and again: the release is read when it is another one.
#[derive(Debug)]
pub struct OverlayPublisher {
    dir: PathBuf,
    most: f64,
    release: Option<Release>,
    /// What it wrote, oldest first.
    written: Vec<ObjectRef>,
}

/// Overlays of one publisher that stay: whoever read a head some minutes ago finds what it names. Each minute's would fill a disk.
const KEPT: usize = 16;

/// What an overlay was published with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedOverlay {
    /// The version of the head: one more than before if the overlay is another one.
    pub version: u64,
    /// Whether stock or prices are others than before. If not, nothing was written.
    pub changed: bool,
    /// Its bytes.
    pub bytes: u64,
    /// Candidates of the release.
    pub items: u64,
    /// Items that were named.
    pub named: usize,
    /// What they are.
    pub matched: Matched,
}

impl fmt::Display for PublishedOverlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, items, named, bytes, .. } = self;
        let Matched { out, priced, unknown, unknown_examples } = &self.matched;
        let change = if self.changed { "new" } else { "unchanged" };
        let share = 100.0 * *out as f64 / (*items).max(1) as f64;
        writeln!(f, "overlay      version {version} ({change}), {bytes} bytes")?;
        writeln!(f, "stock        {out} of {items} items are out of stock, {share:.1} %; {priced} have another price")?;
        write!(f, "named        {named} items")?;
        if *unknown > 0 {
            write!(f, ", {unknown} of which the release does not have, for example {}", unknown_examples.join(", "))?;
        }
        writeln!(f)
    }
}

/// An error of publishing an overlay. The head and the overlay before stay as they are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// So much is out of stock that it is more likely an error of the feed.
    #[error(
        "stock: {out} of {items} items are out of stock, {share:.1} %, expected at most {most:.1} %; nothing was published: check the \
         feed, or allow more with --most"
    )]
    TooMany {
        /// Items out of stock.
        out: usize,
        /// Candidates of the release.
        items: u64,
        /// Their share in percent.
        share: f64,
        /// The most that is allowed, in percent.
        most: f64,
    },
    /// Nothing that the feed names is in the release.
    #[error(
        "stock: none of {named} items is in the release, for example {example}, expected ids as in the catalogue; nothing was \
         published: check the column item, and that this is the feed of this shop"
    )]
    NoneKnown {
        /// Items that were named.
        named: usize,
        /// One of them.
        example: String,
    },
    /// The overlay could not be written.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The release could not be read or written.
    #[error(transparent)]
    Release(#[from] ReleaseError),
}

impl OverlayPublisher {
    /// A publisher for the release in `dir`, which refuses stock of which more than the share `most` is out.
    pub fn new(dir: impl Into<PathBuf>, most: f64) -> Self {
        Self { dir: dir.into(), most, release: None, written: Vec::new() }
    }

    /// Publishes the overlay of `stock`, of the moment `made_ms`: the object first, then the head that names it. Where it would say
    /// what the present one says, nothing is written, so that clients fetch nothing.
    ///
    /// # Errors
    /// A [`PublishError`].
    pub fn publish(&mut self, stock: &Stock, made_ms: u64) -> Result<PublishedOverlay, PublishError> {
        let _lock = locked(&self.dir);
        let head = read_head(&self.dir)?;
        if head.terms.is_some() {
            return Err(ReleaseError::SignedHead { path: self.dir.join(HEAD_FILE) }.into());
        }
        let release = match self.release.take().filter(|release| release.digest() == head.manifest.digest) {
            Some(release) => release,
            None => open_of(&self.dir, &head)?,
        };
        let release = self.release.insert(release);
        let manifest = release.manifest();
        let buckets = |of: fn(Part) -> bool| read_buckets(&self.dir, manifest, of);
        let directory = buckets(|part| matches!(part, Part::Directory(_)))?;
        let recent = buckets(|part| matches!(part, Part::Recent(_)))?;
        let chains: Vec<&Chain> = release.shards().iter().flatten().map(AsRef::as_ref).collect();
        let rows = RowsById::of(&chains, &directory, &recent);
        let (mut content, matched) = rows.overlay(release.digest(), made_ms, stock);
        check(&matched, stock, manifest.items, self.most)?;
        // One that cannot be read is replaced.
        let before = overlay_of(&self.dir, &head, release).ok().flatten();
        let mut published = PublishedOverlay {
            version: head.version,
            changed: false,
            bytes: 0,
            items: manifest.items,
            named: stock.len(),
            matched,
        };
        if let Some(before) = before {
            content.made_ms = before.made_ms();
            published.bytes = before.object().size;
            if content.to_bytes()? == before.bytes() {
                return Ok(published);
            }
            content.made_ms = made_ms;
        }
        let bytes = content.to_bytes()?;
        let object = ObjectRef::of(&bytes);
        let version = head.version + u64::from(head.version < MAX_VERSION);
        let head = Head { version, overlay: Some(object), ..head }.to_bytes()?;
        put(&self.dir, &bytes)?;
        write(&self.dir.join(HEAD_FILE), &head)?;
        (published.version, published.changed, published.bytes) = (version, true, object.size);
        self.delete_before(object);
        Ok(published)
    }

    /// Notes what was written, and deletes what was long ago.
    fn delete_before(&mut self, object: ObjectRef) {
        self.written.push(object);
        if self.written.len() > KEPT {
            let oldest = self.written.remove(0);
            // Who reads it has it open, and an old one that stays does no harm.
            if !self.written.contains(&oldest) {
                let _ = std::fs::remove_file(self.dir.join(oldest.path()));
            }
        }
    }
}

fn check(matched: &Matched, stock: &Stock, items: u64, most: f64) -> Result<(), PublishError> {
    let share = matched.out as f64 / items.max(1) as f64;
    if share > most {
        return Err(PublishError::TooMany { out: matched.out, items, share: share * 100.0, most: most * 100.0 });
    }
    match stock.keys().next() {
        Some(example) if matched.unknown == stock.len() => {
            Err(PublishError::NoneKnown { named: stock.len(), example: format!("{example:?}") })
        }
        _ => Ok(()),
    }
}

/// The overlay of the release in `dir`, which is `release`, if its head names one: what [`Release::with_overlay`] takes.
///
/// # Errors
/// If it cannot be read, or is damaged.
pub fn overlay(dir: &Path, release: &Release) -> Result<Option<Arc<Overlay>>, ReleaseError> {
    Ok(overlay_of(dir, &read_head(dir)?, release)?.map(Arc::new))
}

pub(super) fn overlay_of(dir: &Path, head: &Head, release: &Release) -> Result<Option<Overlay>, ReleaseError> {
    let Some(object) = head.overlay else { return Ok(None) };
    let bytes = read_object(dir, ObjectKind::Overlay, &object)?;
    Overlay::open(object, bytes, object.digest, (release.manifest(), head.manifest.digest)).map(Some)
}
