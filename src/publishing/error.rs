//! What can be wrong with publishing.

use std::path::PathBuf;

use crate::Digest;
use crate::keys::KeyError;
use crate::release::{PublicKey, ReleaseError};
use crate::sync::SyncError;

/// An error of the place that a release is published to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A place that is none.
    #[error(
        "{found:?}: {reason}, expected a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX; see docs/publishing.md for the settings of each"
    )]
    Place {
        /// What was named.
        found: String,
        /// Why it is none.
        reason: String,
    },
    /// Something in it could not be read or written.
    #[error(
        "{place}: {path}: {reason}, expected it to be read and written; check the connection, the bucket and its permissions, and try again"
    )]
    Failed {
        /// The store.
        place: String,
        /// The file in it.
        path: String,
        /// What the store said.
        reason: String,
    },
    /// A file is larger than it may be.
    #[error("{place}: {path}: {found} bytes, expected at most {limit}; it is no part of a release, check the place")]
    TooLarge {
        /// The store.
        place: String,
        /// The file in it.
        path: String,
        /// Its size.
        found: u64,
        /// The limit.
        limit: u64,
    },
}

/// An error of publishing. What was published is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishingError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The release.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The folder to publish is one that was published.
    #[error("{}: its head is signed, expected a folder that nearshelf build has made; publish that one", path.display())]
    Signed {
        /// The folder.
        path: PathBuf,
    },
    /// The folder to publish is the place to publish to.
    #[error("{}: is the build folder, expected another place; publish to a folder of its own, for the build folder keeps its unsigned head", path.display())]
    SamePlace {
        /// The folder.
        path: PathBuf,
    },
    /// There is no key to sign with.
    #[error(
        "found {found} head keys that can sign, expected {expected} of {known:?}; name them with --key, or publish with --unsigned for clients without a public key"
    )]
    TooFewKeys {
        /// Keys that can.
        found: usize,
        /// How many it takes.
        expected: usize,
        /// The head keys of the newest root.
        known: Vec<PublicKey>,
    },
    /// A key that is not in the newest root.
    #[error(
        "key {found}: is no head key of root {root}, expected one of {known:?}; name another one, or add it with nearshelf keys rotate head --new"
    )]
    OtherKey {
        /// The key.
        found: PublicKey,
        /// The version of the root.
        root: u64,
        /// The head keys of the newest root.
        known: Vec<PublicKey>,
    },
    /// The newest root has ended.
    #[error("root {version}: ended {days} days ago, expected one that counts; run nearshelf keys renew")]
    RootEnded {
        /// Its version.
        version: u64,
        /// Days since.
        days: u64,
    },
    /// Somebody published with newer keys.
    #[error(
        "the published head is signed under root {found}, expected at most {newest}, the newest here; get the newer files of root/ and try again, or, where nobody has made any, publish with --replace-head"
    )]
    OldKeys {
        /// The root of the published head.
        found: u64,
        /// The newest root that is known.
        newest: u64,
    },
    /// What is published has other keys.
    #[error(
        "{path}: the published root is another one, expected the one of these keys; check the place and the folder of the keys"
    )]
    OtherRoot {
        /// The file.
        path: String,
    },
    /// What is published is signed, and what should take its place is not.
    #[error(
        "the published head is signed, and pages with a public key take no other, expected keys to sign with; leave --unsigned out"
    )]
    WasSigned,
    /// The published head cannot be read.
    #[error("{place}: head.json: {source}. Nothing was published: restore it from heads/, or delete it")]
    Head {
        /// The store.
        place: String,
        /// What is wrong with it.
        source: Box<ReleaseError>,
    },
    /// Somebody without these keys wrote the published head.
    #[error(
        "the published head, version {version}, is not signed by head keys of any root here, expected it to be; see who can write there, and publish with --replace-head, which counts on from the signed copies in heads/ and compares nothing"
    )]
    Unverified {
        /// The version that it says.
        version: u64,
    },
    /// A copy of a head that nobody vouches for.
    #[error(
        "{path}: is not signed for this version by head keys of any root here, expected a copy of a head that they signed; publish its build folder again"
    )]
    UnsignedCopy {
        /// The file.
        path: String,
    },
    /// An unsigned head has a version that leaves few.
    #[error(
        "the published head is unsigned and has the version {found}, expected at most {most}, for the signed one has to count on from it; see who can write there, and publish with --replace-head"
    )]
    HighVersion {
        /// The version.
        found: u64,
        /// The most.
        most: u64,
    },
    /// There is no greater version.
    #[error(
        "the published head has the version {found}, expected less than that, the greatest there is; if it is not yours, change the head keys, delete head.json and heads/{found}.json, and publish again"
    )]
    LastVersion {
        /// The version.
        found: u64,
    },
    /// Somebody else published, again and again.
    #[error(
        "head.json was replaced by others {tries} times in a row, expected to be alone for a moment; see who publishes there, and try again"
    )]
    Contended {
        /// How often it was tried.
        tries: usize,
    },
    /// Too many items would be gone.
    #[error(
        "{found} items, {share:.1} % fewer than the {published} that are published, expected at most {most:.1} % fewer; check the catalogue, or publish with --force-loss items"
    )]
    FewerItems {
        /// Items of the release.
        found: u64,
        /// Items of the published one.
        published: u64,
        /// The share that is gone, in percent.
        share: f64,
        /// The most that is allowed, in percent.
        most: f64,
    },
    /// Searches would find less.
    #[error(
        "recall@100 is {found:.4}, and of what is published {published:.4}, expected at most {most:.4} less; check the index, or publish with --force-loss recall"
    )]
    LessRecall {
        /// Recall of the release.
        found: f64,
        /// Recall of the published one.
        published: f64,
        /// The most that may be lost.
        most: f64,
    },
    /// What is published cannot be compared with.
    #[error(
        "the published manifest {manifest}: {reason}, expected to compare with it; publish without a comparison with --force-loss items --force-loss recall"
    )]
    NoComparison {
        /// Its digest.
        manifest: Digest,
        /// Why.
        reason: String,
    },
    /// The release of an overlay is not the published one.
    #[error(
        "the folder's manifest is {found}, and {published} is published, expected the same, for an overlay alone is published; publish the release first with nearshelf publish"
    )]
    OtherRelease {
        /// The manifest of the folder.
        found: Digest,
        /// The published one, or none.
        published: String,
    },
    /// Nothing is there to go back from or to.
    #[error("{place}: no {path}, expected a version that was published there; see the files of heads/")]
    NoVersion {
        /// The store.
        place: String,
        /// The file.
        path: String,
    },
    /// What a head names is not there any more.
    #[error(
        "version {version}: {gone} of its {of} objects are gone or of another size, for one {example}, expected them all; build it again, or go back to another version"
    )]
    Gone {
        /// The version.
        version: u64,
        /// How many.
        gone: usize,
        /// Of how many.
        of: usize,
        /// One of them.
        example: String,
    },
    /// Objects of the last day may still be on their way to a page.
    #[error("{found} days, expected at least {least}; keep objects for longer")]
    TooSoon {
        /// Days that were given.
        found: u64,
        /// The fewest.
        least: u64,
    },
    /// A root that the head or the pin names is missing.
    #[error("{path}: is missing, expected the roots from the pinned one to the newest; publish again, which puts them")]
    NoRoot {
        /// The file.
        path: String,
    },
    /// A newer root has other head keys.
    #[error(
        "the head is signed by keys of root {found}, which root {newest} has replaced, expected keys of that; publish again with them, and see who published the head if it was not you"
    )]
    Superseded {
        /// The root that the head names.
        found: u64,
        /// The newest root that is published.
        newest: u64,
    },
    /// A root does not follow from the pin.
    #[error("{path}: {source}")]
    Untrusted {
        /// The file.
        path: String,
        /// What is wrong.
        source: Box<SyncError>,
    },
    /// What is signed has ended.
    #[error(
        "{what} ended {seconds} seconds ago, expected one that counts; publish again with nearshelf publish, or renew the root with nearshelf keys renew"
    )]
    Ended {
        /// Head or root.
        what: &'static str,
        /// Since when.
        seconds: u64,
    },
}
