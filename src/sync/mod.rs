//! From what a host publishes to a release in memory, without a file, a clock or a network: the caller fetches.
//!
//! [`plan`](plan()) says what is missing, a pure function of what is wanted and what is held. [`Assembly`] keeps both:
//! it is given a head, says what to fetch, is given those objects in any order, and serves the release once it is whole.
//!
//! - A release is served whole or not at all: a new one replaces the old one when its tower and all its shards have been
//!   accepted, or, if its shards are clusters, its tower and its routing; clusters are fetched when a query asks for them
//!   ([`Assembly::fetch_of`]). Objects that both name are not fetched again.
//! - A host that computes SHA-256 itself hands the digest over beside the bytes ([`Assembly::accept_digested`]).
//! - Whatever fails changes nothing: the old release serves on, and the object stays on the list.
//! - A head of a lower version than one that was accepted is refused, so that an old release cannot come back.
//! - An overlay that the head names is on the list as soon as the manifest is held; the release does not wait for it, and a damaged one
//!   leaves the last good one in place.
//! - Cards of a release that is held whole are on the list, after everything else, until they are accepted; the release does not
//!   wait for them. Those of clusters are fetched for what a page shows ([`Assembly::cards_of`]).
//!
//! ```
//! # fn fetch(path: &str) -> Vec<u8> { Vec::new() }
//! # fn run(head: &[u8]) -> Result<(), nearshelf::sync::SyncError> {
//! let mut sync = nearshelf::sync::Assembly::default();
//! let mut missing = sync.set_head(head)?;
//! while let Some(next) = missing.first() {
//!     missing = sync.accept(next.digest, fetch(&next.path))?;
//! }
//! assert!(sync.ready().is_some());
//! # Ok(())
//! # }
//! ```

mod error;
mod held;
mod overlay;
mod plan;
mod state;
mod trust;

pub use error::SyncError;
pub use plan::{Fetch, Wants, plan};
pub use state::{Assembly, Next, Serving, Status, Stock};
pub use trust::{Checked, DEFAULT_HARD_LIMIT, Freshness, SKEW, Trust};

#[cfg(test)]
mod tests;
