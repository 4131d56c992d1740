//! From a folder that was built to where clients fetch from: a folder of a web server, a bucket of S3 or of Google Cloud Storage.
//!
//! ```text
//! objects/<sha256>    never changed; put before anything names them
//! root/<version>.json never changed
//! heads/<version>.json a copy of each head that was published: what a rollback goes back to
//! head.json           last, and only if it still is the one that was read before
//! ```
//!
//! - **One at a time.** A head replaces the very one whose version it counts on from ([`Store::replace`]). Who comes second reads again, compares again, and tries again; so
//!   versions go up by one, and whatever a head names was there before it.
//! - **Whole or not at all.** Whatever fails before the head is replaced leaves what was published as it was. Objects that were put by then are in nobody's way.
//! - **Not worse.** A release that fails the checks, or has far fewer items or finds far less than the published one, is refused ([`Limits`]).
//! - **Signed.** A head says when it was signed and when it ends; [`publish()`] of the same content signs it again when half of that time is over.
//!
//! The build folder holds an unsigned head, and versions of its own; that of the store is one more than what was published, and no less than the folder's.

mod at_once;
mod cloud;
mod collect;
mod error;
mod folder;
mod head;
pub mod host;
mod limits;
mod progress;
mod publish;
mod rollback;
mod store;
mod trusted;

pub use cloud::CloudStore;
pub use collect::{Collected, LEAST_DAYS, collect};
pub use error::{PublishingError, StoreError};
pub use folder::FolderStore;
pub use head::{Keyring, Published};
pub use limits::Limits;
pub use publish::{Done, Publication, publish};
pub use rollback::rollback;
pub use store::{Cached, Entry, Revision, Store, open};
pub use trusted::{Trusted, trusted, trusted_folder};

/// The folder of the copies of heads.
pub const HEADS: &str = "heads";
/// The folder of the objects.
const OBJECTS: &str = "objects";

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod s3_tests;
#[cfg(test)]
mod tests;
