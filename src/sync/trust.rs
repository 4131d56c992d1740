//! Whether a head is the shop's, is not older than what was seen, and still counts.
//!
//! The rules are those of The Update Framework's client workflow (TUF specification 1.0.34, section 5) for what a release has: a root, which says whose
//! signatures count, and one signed file that changes, the head, in place of timestamp and snapshot. What the head names is named by digest and size, so the
//! rest needs no signature. Everything is a pure function of bytes and one reading of a clock; who calls fetches and stores.
//!
//! - **Root.** The application pins one by its digest. Each next root is one version more, and signed by enough keys of the root before it and of its own. Roots
//!   in between may have ended; the last one must not have.
//! - **Head.** Enough of the root's keys have signed it, for the release that the root names. Its version never goes back; one of the same version must
//!   say the same, which stops without an error.
//! - **Recovery.** When a root takes a key away, heads that the new keys did not sign no longer hold versions down: [`Trust::restore`] skips them, and so does
//!   [`Trust::add_root`]. So a stolen key that signed the highest version there is locks nobody out.
//! - **Time.** A head counts until it ends, a device's clock may be a day ahead. For as long as the application allows after that it is stale: it still is taken. Then it
//!   has ended, and is not taken anew. What serves already serves on: [`Assembly::freshness`](super::Assembly::freshness) tells, and the application decides. A clock that is behind what the
//!   shop signed is taken to be at that moment.
//!
//! Without a pin no signature is checked, nothing ends, and versions are what remains.

use super::SyncError;
use crate::release::{Head, Named, ReleaseError, Root, RootPin};

/// Seconds that a device's clock may be wrong by.
pub const SKEW: u64 = 24 * 60 * 60;
/// Seconds after its end that a head may still be taken, unless the application says otherwise.
pub const DEFAULT_HARD_LIMIT: u64 = 30 * 24 * 60 * 60;

/// What a client trusts.
#[derive(Debug, Clone)]
pub struct Trust {
    pin: Option<RootPin>,
    /// The newest root that is known; none before the pinned one came.
    root: Option<Root>,
    /// The highest head that was taken.
    head: Option<Highest>,
    hard_limit: u64,
}

/// The highest head that was taken.
#[derive(Debug, Clone)]
struct Highest {
    named: Named,
    /// Where signatures count.
    bytes: Vec<u8>,
    /// Whether that was here, and not on an earlier visit: what has ended since is not taken anew.
    is_of_this_visit: bool,
}

/// How old what a client serves is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Nobody says: signatures are not checked.
    Unsigned,
    /// It counts.
    Fresh,
    /// It has ended, but the application allows it.
    Stale,
    /// It has ended longer ago than the application allows.
    Expired,
}

impl Freshness {
    /// Its name in answers.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
        }
    }
}

/// A head that was checked, and is not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked(Named);

impl Checked {
    /// The version of the head.
    pub fn version(self) -> u64 {
        self.0.version
    }

    pub(super) fn named(self) -> Named {
        self.0
    }
}

impl Default for Trust {
    /// Checks no signatures.
    fn default() -> Self {
        Self { pin: None, root: None, head: None, hard_limit: DEFAULT_HARD_LIMIT }
    }
}

impl Trust {
    /// Trusts the root of this pin, and heads until `hard_limit` seconds after their end.
    pub fn pinned(pin: RootPin, hard_limit: u64) -> Self {
        Self { pin: Some(pin), hard_limit, ..Self::default() }
    }

    /// Which root is needed before this head, whose bytes nobody has checked, can be: none, or the version of one.
    pub fn root_before(&self, head: &[u8]) -> Option<u64> {
        let pin = self.pin?;
        match &self.root {
            None => Some(pin.version),
            Some(root) => (Head::hint_of_root(head) > root.version).then_some(root.version + 1),
        }
    }

    /// The version of the root that may follow the newest one that is known: what an earlier visit kept of it counts before anything that a host says.
    pub fn next_root(&self) -> Option<u64> {
        let pin = self.pin?;
        Some(self.root.as_ref().map_or(pin.version, |root| root.version + 1))
    }

    /// Takes the root that [`Trust::root_before`] asked for.
    ///
    /// # Errors
    /// If it is damaged, not the pinned one, not the next version, or not signed by enough keys. Then nothing has changed.
    pub fn add_root(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        let root = Root::parse(bytes)?;
        match (&self.root, self.pin) {
            (Some(before), _) => {
                if root.version != before.version + 1 {
                    return Err(SyncError::RootVersion { found: root.version, expected: before.version + 1 });
                }
                root.check_signed_by(&before.root)?;
                if root.name != before.name {
                    let (found, expected) = (crate::show::text(&root.name), crate::show::text(&before.name));
                    return Err(ReleaseError::Field { what: "root", field: "name", found, expected }.into());
                }
            }
            (None, Some(pin)) => {
                let found = RootPin::of(&root);
                if found != pin {
                    return Err(SyncError::RootPin { found, expected: pin });
                }
            }
            (None, None) => return Err(SyncError::NoPin),
        }
        self.head = self.head.take().filter(|highest| Head::parse_signed(&highest.bytes, &root).is_ok());
        self.root = Some(root);
        Ok(())
    }

    /// Takes up the highest head that was taken on an earlier visit: no lower one passes from now on. One that the root's keys did not sign is skipped.
    pub fn restore(&mut self, head: &[u8]) {
        let Ok(named) = self.read(head) else { return };
        if self.head.as_ref().is_none_or(|highest| highest.named.version < named.version) {
            self.head = Some(Highest { named, bytes: self.kept(head), is_of_this_visit: false });
        }
    }

    /// Checks a head at the moment `now`, in seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// If it is damaged, of another release or format, not signed by enough keys, lower than one that was taken, another one of the same version, or if it or
    /// the root has ended longer ago than is allowed.
    pub fn check(&self, head: &[u8], now: u64) -> Result<Checked, SyncError> {
        let named @ Named { version, .. } = self.read(head)?;
        if let Some(Highest { named: highest, is_of_this_visit, .. }) = &self.head {
            if version < highest.version {
                return Err(SyncError::Rollback { found: version, trusted: highest.version });
            }
            if version == highest.version && named != *highest {
                return Err(conflict(&named, highest));
            }
            if version == highest.version && *is_of_this_visit {
                return Ok(Checked(named));
            }
        }
        let ends = self.ends(&named);
        if self.freshness_of(ends, self.now(now)) == Freshness::Expired {
            return Err(SyncError::Expired { version, ended: ends, now, hard_limit: self.hard_limit });
        }
        Ok(Checked(named))
    }

    /// Takes a head that was checked.
    pub(super) fn take(&mut self, Checked(named): Checked, head: &[u8]) {
        self.head = Some(Highest { named, bytes: self.kept(head), is_of_this_visit: true });
    }

    /// What the highest head that was taken names.
    pub(super) fn trusted(&self) -> Option<Named> {
        self.head.as_ref().map(|highest| highest.named)
    }

    /// How old a head that was taken is.
    pub(super) fn freshness(&self, head: &Named, now: u64) -> Freshness {
        self.freshness_of(self.ends(head), self.now(now))
    }

    /// Seconds by which a clock that shows `now` is behind what the shop signed, 0 where it is not.
    pub fn behind(&self, now: u64) -> u64 {
        self.now(now) - now
    }

    fn read(&self, head: &[u8]) -> Result<Named, SyncError> {
        match (&self.root, self.pin) {
            (Some(root), _) => Ok(Head::parse_signed(head, root)?),
            (None, None) => Ok(Head::parse_unsigned(head)?),
            (None, Some(_)) => Err(SyncError::NoRoot),
        }
    }

    fn kept(&self, head: &[u8]) -> Vec<u8> {
        if self.pin.is_some() { head.to_vec() } else { Vec::new() }
    }

    /// The time: never before what the shop has signed.
    fn now(&self, now: u64) -> u64 {
        self.trusted().map_or(now, |named| named.made.max(now))
    }

    /// When a head ends, or the root where that is earlier.
    pub(super) fn ends(&self, named: &Named) -> u64 {
        self.root.as_ref().map_or(named.expires, |root| root.expires.min(named.expires))
    }

    fn freshness_of(&self, ends: u64, now: u64) -> Freshness {
        let ended = now.saturating_sub(ends);
        match self.pin {
            None => Freshness::Unsigned,
            Some(_) if ended <= SKEW => Freshness::Fresh,
            Some(_) if ended - SKEW <= self.hard_limit => Freshness::Stale,
            Some(_) => Freshness::Expired,
        }
    }
}

/// The error that two heads of one version differ, naming the first thing in which they do.
fn conflict(found: &Named, trusted: &Named) -> SyncError {
    let what = |head: &Named| match head.overlay {
        Some(overlay) if found.manifest == trusted.manifest => overlay.digest,
        _ => head.manifest.digest,
    };
    SyncError::Conflict { version: found.version, found: what(found), trusted: what(trusted) }
}
