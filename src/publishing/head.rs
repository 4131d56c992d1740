//! The head that takes the place of another one.

use super::{Cached, HEADS, OBJECTS, PublishingError, Revision, Store, StoreError};
use crate::keys::{KeyError, KeyFolder, KeySource, Passphrase, RoleName, Signer};
use crate::release::{
    HEAD_FILE, HEAD_LIMIT, Head, MAX_VERSION, Named, ObjectRef, PublicKey, ROOT_LIMIT, Root, RootPin, Terms,
};

/// Seconds of a day.
pub(super) const DAY: u64 = 24 * 60 * 60;
/// The most that a version may be which the newest root does not vouch for: who could write to the host, or had a key that is revoked, may have chosen it, and versions only go up.
const MOST_UNVOUCHED: u64 = 1 << 40;
/// How often a head is tried to replace that others replace at the same time.
const TRIES: usize = 20;

/// The keys that sign heads, and the roots that name them.
#[derive(Debug)]
pub struct Keyring {
    roots: Vec<Root>,
    signers: Vec<Signer>,
}

impl Keyring {
    /// Opens the keys that are named, or those of the folder, as the newest root of the folder demands.
    ///
    /// # Errors
    /// If the folder has no root, a key cannot be opened or is not in the newest root, or they are too few.
    pub fn open(folder: &KeyFolder, named: &[KeySource], passphrase: &Passphrase) -> Result<Self, PublishingError> {
        let roots = folder.roots()?;
        let newest = roots.last().ok_or_else(|| KeyError::NoRoot { path: folder.path().to_owned() })?;
        let signers = folder.signers((RoleName::Head, &newest.head), named, passphrase)?;
        Self::new(roots, signers)
    }

    /// Of roots that follow each other, and of keys of the newest.
    ///
    /// # Errors
    /// If a key is not in the newest root, or they are too few.
    pub fn new(roots: Vec<Root>, signers: Vec<Signer>) -> Result<Self, PublishingError> {
        let keyring = Self { roots, signers };
        let Some(newest) = keyring.newest() else {
            return Err(PublishingError::TooFewKeys { found: 0, expected: 1, known: Vec::new() });
        };
        let known = newest.head.keys.clone();
        let mut keys: Vec<PublicKey> = keyring.signers.iter().map(Signer::public_key).collect();
        if let Some(found) = keys.iter().find(|key| !known.contains(key)) {
            return Err(PublishingError::OtherKey { found: *found, root: newest.version, known });
        }
        keys.sort_unstable();
        keys.dedup();
        if keys.len() < newest.head.threshold {
            return Err(PublishingError::TooFewKeys { found: keys.len(), expected: newest.head.threshold, known });
        }
        Ok(keyring)
    }

    /// When the newest root ends, in seconds since 1970-01-01 UTC: no head counts for longer.
    pub fn ends(&self) -> Option<u64> {
        self.newest().map(|root| root.expires)
    }

    fn newest(&self) -> Option<&Root> {
        self.roots.last()
    }

    /// What a head says that enough head keys of one of the roots have signed.
    pub(super) fn verified(&self, bytes: &[u8]) -> Option<Named> {
        let newest = self.newest()?;
        let by_earlier = || self.roots.iter().rev().skip(1).find_map(|root| Head::parse_signed(bytes, root).ok());
        let is_likely = |named: &Named| named.version <= MOST_UNVOUCHED;
        Head::parse_signed(bytes, newest).ok().or_else(|| by_earlier().filter(is_likely))
    }

    /// What the copy of a head of this version says, if it is there and signed.
    fn copy(&self, store: &dyn Store, version: u64) -> Result<Option<Named>, PublishingError> {
        match store.get(&copy_path(version), HEAD_LIMIT as u64) {
            Ok(copy) => {
                let named = copy.and_then(|(bytes, _)| self.verified(&bytes));
                // A signed head of another version may have been copied there.
                Ok(named.filter(|named| named.version == version))
            }
            Err(StoreError::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The signed copy of the highest version.
    fn highest_copy(&self, store: &dyn Store) -> Result<Option<Named>, PublishingError> {
        for version in versions(store)?.into_iter().rev() {
            if let Some(named) = self.copy(store, version)? {
                return Ok(Some(named));
            }
        }
        Ok(None)
    }
}

/// A head that is published.
#[derive(Debug, Clone)]
pub struct Published {
    /// What it says.
    pub head: Head,
    /// Its bytes.
    pub bytes: Vec<u8>,
    pub(super) revision: Revision,
}

impl Published {
    /// Reads the head of a store; none where nothing is published yet.
    ///
    /// # Errors
    /// If the store does not answer, or the head is damaged.
    pub fn read(store: &dyn Store) -> Result<Option<Self>, PublishingError> {
        let Some((bytes, revision)) = store.get(HEAD_FILE, HEAD_LIMIT as u64)? else { return Ok(None) };
        let head = Head::parse(&bytes)
            .map_err(|source| PublishingError::Head { place: store.name(), source: Box::new(source) })?;
        Ok(Some(Self { head, bytes, revision }))
    }
}

/// Who signs, when, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signing<'a> {
    /// Nobody, where it is none.
    pub(super) keys: Option<&'a Keyring>,
    /// Now, in seconds since 1970-01-01 UTC.
    pub(super) now: u64,
    /// Days that a head counts.
    pub(super) days: u64,
    /// Replaces a published head that is not signed as it should be.
    pub(super) replaces: bool,
}

/// What a new head follows.
#[derive(Debug, Clone, Copy, Default)]
struct Base {
    /// The highest version that counts.
    version: u64,
    /// When it was signed, 0 where it was not.
    made: u64,
    /// Whether what the published head says may be believed.
    is_believed: bool,
}

/// What a head is to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) manifest: ObjectRef,
    pub(super) overlay: Option<ObjectRef>,
    /// The least version.
    pub(super) least: u64,
}

/// A head that was replaced, or is as it should be.
#[derive(Debug, Clone)]
pub(super) struct Replaced {
    pub(super) head: Head,
    pub(super) before: Option<Published>,
    pub(super) changed: bool,
}

/// Replaces the head of a store by one of the content that `decide` chooses, and has put, each time that another one is published. It is told only of a published head that may be believed.
pub(super) fn replace(
    store: &dyn Store,
    signing: &Signing<'_>,
    mut decide: impl FnMut(Option<&Published>) -> Result<Content, PublishingError>,
) -> Result<Replaced, PublishingError> {
    for _ in 0..TRIES {
        let before = Published::read(store)?;
        signing.check(before.as_ref())?;
        let base = signing.base(store, before.as_ref())?;
        let believed = before.as_ref().filter(|_| base.is_believed);
        let content = decide(believed)?;
        if let Some(before) = believed {
            keep(store, before.head.version, &before.bytes)?;
            if signing.is_fresh(before, &content) {
                return Ok(Replaced { head: before.head.clone(), before: Some(before.clone()), changed: false });
            }
        }
        put_roots(store, signing)?;
        let head = signing.next(&base, &content)?;
        let bytes = head.to_bytes()?;
        let revision = before.as_ref().map(|before| &before.revision);
        let is_done = store.replace(HEAD_FILE, bytes.clone(), revision)?;
        // A store may have done it and the answer was lost: then it was tried again, and found itself.
        if is_done || Published::read(store)?.is_some_and(|now| now.bytes == bytes) {
            keep(store, head.version, &bytes)?;
            let before = before.filter(|_| base.is_believed);
            return Ok(Replaced { head, before, changed: true });
        }
    }
    Err(PublishingError::Contended { tries: TRIES })
}

impl Signing<'_> {
    /// That the keys are those that count for what is published.
    fn check(&self, before: Option<&Published>) -> Result<(), PublishingError> {
        let terms = before.and_then(|before| before.head.terms.as_ref());
        let Some(newest) = self.keys.and_then(Keyring::newest) else {
            return if terms.is_some() { Err(PublishingError::WasSigned) } else { Ok(()) };
        };
        if newest.expires <= self.now {
            let (version, days) = (newest.version, (self.now - newest.expires) / DAY);
            return Err(PublishingError::RootEnded { version, days });
        }
        match terms {
            Some(terms) if terms.root > newest.version && !self.replaces => {
                Err(PublishingError::OldKeys { found: terms.root, newest: newest.version })
            }
            _ => Ok(()),
        }
    }

    /// Whether a head says this, and counts for more than half of its time yet.
    fn is_fresh(&self, before: &Published, content: &Content) -> bool {
        let Head { manifest, overlay, terms, .. } = &before.head;
        if (*manifest, *overlay) != (content.manifest, content.overlay) {
            return false;
        }
        let (Some(newest), Some(Terms { root, made, expires, .. })) = (self.keys.and_then(Keyring::newest), terms)
        else {
            return self.keys.is_none() && terms.is_none();
        };
        let left = newest.expires.min(*expires).saturating_sub(self.now);
        let is_signed = *root == newest.version && Head::parse_signed(&before.bytes, newest).is_ok();
        is_signed && left > expires.saturating_sub(*made) / 2
    }

    /// What the new head follows. With keys only what they, or those before them, have signed counts: anything else may be from whoever can write to the host.
    fn base(&self, store: &dyn Store, before: Option<&Published>) -> Result<Base, PublishingError> {
        let Some(keys) = self.keys else {
            let version = match before {
                Some(before) => before.head.version,
                // Somebody deleted the head: clients still know the highest version.
                None => versions(store)?.last().copied().unwrap_or_default(),
            };
            return Ok(Base { version, made: 0, is_believed: true });
        };
        if let Some(Named { version, made, .. }) = before.and_then(|before| keys.verified(&before.bytes)) {
            return Ok(Base { version, made, is_believed: true });
        }
        let copy = keys.highest_copy(store)?;
        let of_copy =
            copy.map_or_else(Base::default, |Named { version, made, .. }| Base { version, made, is_believed: false });
        let Some(Published { head, .. }) = before.filter(|_| !self.replaces) else { return Ok(of_copy) };
        // Says more of what is wrong, where the keys are those of another shop.
        keys.roots.iter().try_for_each(|root| is_put(store, root).map(drop))?;
        let version = head.version;
        if head.terms.is_some() || copy.is_some() {
            return Err(PublishingError::Unverified { version });
        }
        // Nothing was ever signed here.
        if version > MOST_UNVOUCHED {
            return Err(PublishingError::HighVersion { found: version, most: MOST_UNVOUCHED });
        }
        Ok(Base { version, made: 0, is_believed: true })
    }

    /// The head after another one.
    fn next(&self, base: &Base, content: &Content) -> Result<Head, PublishingError> {
        if base.version >= MAX_VERSION {
            return Err(PublishingError::LastVersion { found: base.version });
        }
        let version = (base.version + 1).max(content.least);
        let head = Head::unsigned(version, content.manifest, content.overlay);
        let Some((keys, newest)) = self.keys.and_then(|keys| Some((keys, keys.newest()?))) else { return Ok(head) };
        // Clients take none that was made before the one they know, whose publisher's clock may have run ahead.
        let made = self.now.max(base.made);
        let terms = Terms { name: newest.name.clone(), root: newest.version, made, expires: made + self.days * DAY };
        let mut head = Head { terms: Some(terms), ..head };
        let message = head.message()?;
        for signer in keys.signers.iter().take(newest.head.threshold) {
            head.signatures.push(signer.sign(&message)?);
        }
        // What clients would refuse is not published.
        Head::parse_signed(&head.to_bytes()?, newest)?;
        Ok(head)
    }
}

/// Puts the roots that are not there.
fn put_roots(store: &dyn Store, signing: &Signing<'_>) -> Result<(), PublishingError> {
    for root in signing.keys.iter().flat_map(|keys| &keys.roots) {
        if !is_put(store, root)? {
            store.put(&Root::path(root.version), root.to_bytes(), Cached::Json)?;
        }
    }
    Ok(())
}

/// Whether a root is there, and whole; one that says something else is of another shop.
fn is_put(store: &dyn Store, root: &Root) -> Result<bool, PublishingError> {
    let path = Root::path(root.version);
    let there = store.get(&path, ROOT_LIMIT as u64)?.map(|(bytes, _)| bytes);
    match there.map(|bytes| Root::parse(&bytes)) {
        Some(Ok(there)) if RootPin::of(&there) == RootPin::of(root) => Ok(true),
        Some(Ok(_)) => Err(PublishingError::OtherRoot { path }),
        Some(Err(_)) | None => Ok(false),
    }
}

pub(super) fn copy_path(version: u64) -> String {
    format!("{HEADS}/{version}.json")
}

/// Keeps a copy of a head. Only one that was published has its version.
fn keep(store: &dyn Store, version: u64, bytes: &[u8]) -> Result<(), PublishingError> {
    let path = copy_path(version);
    let has_size = store.entry(&path)?.is_some_and(|entry| entry.size == bytes.len() as u64);
    if !has_size || store.get(&path, HEAD_LIMIT as u64)?.is_none_or(|(there, _)| there != bytes) {
        store.put(&path, bytes.to_vec(), Cached::Json)?;
    }
    Ok(())
}

/// The versions that there are copies of, in order.
pub(super) fn versions(store: &dyn Store) -> Result<Vec<u64>, PublishingError> {
    let version =
        |name: &str| name.strip_suffix(".json")?.parse::<u64>().ok().filter(|version| *version <= MAX_VERSION);
    let mut versions: Vec<u64> = store.list(HEADS)?.iter().filter_map(|entry| version(&entry.name)).collect();
    versions.sort_unstable();
    Ok(versions)
}

/// Where an object is in a store.
pub(super) fn object_path(name: &str) -> String {
    format!("{OBJECTS}/{name}")
}
