//! A release: everything that a client needs, as files that any static host serves.
//!
//! ```text
//! head.json           the one file that changes; names the manifest, and the overlay where there is one
//! objects/<sha256>    everything else; named by its own digest, and so never changed
//! ```
//!
//! A [`Head`] names a [`Manifest`], the manifest names one query tower, the shards and the cards. Every name is an
//! [`ObjectRef`]: a digest and a size. A reader compares both, and the size with the [limit](ObjectKind::limit) of its
//! kind, before it looks into the bytes. What belongs together is checked too: the query tower and all shards are of the
//! towers and the dimensions that the manifest states.
//!
//! With the feature `origin`, `ReleaseWriter` writes a release and `verify` checks the whole of one; [`inspect()`] prints
//! any of its files.
//!
//! # `head.json`, format 1
//! At most [`HEAD_LIMIT`] bytes.
//!
//! | field                    | rule                                                                              |
//! |--------------------------|-----------------------------------------------------------------------------------|
//! | `signed.format`          | [`OLDEST_READABLE`]`..=`[`FORMAT_VERSION`]                                        |
//! | `signed.version`         | `1..=`[`MAX_VERSION`]; a client never goes back to a lower one                    |
//! | `signed.manifest.digest` | SHA-256 of the manifest                                                           |
//! | `signed.manifest.size`   | its length in bytes                                                               |
//! | `signed.overlay`         | an object: what is out of stock right now, and other prices ([`overlay`](mod@overlay)); absent if there is none |
//! | `signed.requires`        | names of what a reader must understand; absent if there are none                  |
//! | `signed.type`            | `head`, absent if nobody signs it; where it is there, the next four are           |
//! | `signed.name`            | 1 to [`MAX_NAME`] bytes: the release, as in its root                              |
//! | `signed.root`            | the version of the newest root                                                    |
//! | `signed.made`            | when it was signed, in seconds since 1970-01-01 UTC                               |
//! | `signed.expires`         | when it ends, in the same seconds                                                 |
//! | `signatures`             | at most [`MAX_SIGNATURES`] of `{"key", "signature"}`, hexadecimal: Ed25519 over the [canonical form](Signed) of `signed` |
//!
//! A client that was given a [`RootPin`] takes no head but one that enough keys of its root have signed ([`Trust`](crate::sync::Trust)). Without one it
//! checks no signature: whoever can write to the host can publish a release, and digests only prove that the objects are those that the head names.
//!
//! # `root/<version>.json`, format 1
//! At most [`ROOT_LIMIT`] bytes, signed by its own `roles.root` and by that of the version before, and never changed.
//!
//! | field                | rule                                                                                  |
//! |----------------------|---------------------------------------------------------------------------------------|
//! | `signed.type`        | `root`                                                                                |
//! | `signed.format`      | as in the head                                                                        |
//! | `signed.name`        | 1 to [`MAX_NAME`] bytes: the release                                                  |
//! | `signed.version`     | one more than the root before                                                         |
//! | `signed.expires`     | when it ends, in seconds since 1970-01-01 UTC                                         |
//! | `signed.roles.root`  | `{"keys", "threshold"}`: 1 to [`MAX_KEYS`] different keys, and how many must sign     |
//! | `signed.roles.head`  | the same, of heads                                                                    |
//! | `signatures`         | as in the head                                                                        |
//!
//! # Manifest, format 1
//!
//! | field         | rule                                                                                         |
//! |---------------|----------------------------------------------------------------------------------------------|
//! | `format`      | [`OLDEST_READABLE`]`..=`[`FORMAT_VERSION`]                                                   |
//! | `name`        | 1 to [`MAX_NAME`] bytes                                                                      |
//! | `towers`      | digest of the towers; the same in the query tower and in every shard                         |
//! | `dim`         | dimensions of the embeddings                                                                 |
//! | `engine`      | [`ENGINE`]: the query tower is a compact program; [`ENGINE_TRACT`]: it is an ONNX graph      |
//! | `query_tower` | an object: `{"digest", "size"}`                                                              |
//! | `layout`      | [`LAYOUT_SINGLE`], [`LAYOUT_CLUSTERS`] or [`LAYOUT_BY_COLUMN`]                               |
//! | `by`          | the name of the column, with the layout by column only                                       |
//! | `shards`      | 1 to [`MAX_SHARDS`] of `{"object", "count", "deltas"}`, by column also `"value"`; those of one value together |
//! | `routing`     | `{"object", "probes"}`, with clusters only                                                   |
//! | `directory`   | objects, absent or a power of two of them: the buckets in order                              |
//! | `recent`      | as `directory`: of what is not there, or not where that says; only beside a directory        |
//! | `cards`       | objects, absent or one, or with clusters and by column one per shard; what a page shows of each candidate  |
//! | `lists`       | objects, absent or a power of two of them: the buckets of lists that a page asks for by name, in order |
//! | `rules`       | an object, absent if there are none: what the shop demands of its rows, as JSON ([`rules`]) |
//! | `ranker`      | an object, absent if there is none: what orders candidates ([`ranker`](crate::towers::ranker)) |
//! | `items`       | sum of the shards' counts, and what their deltas add, less what they remove                  |
//! | `recall`      | what the default search finds of exact search's best hundred, in ten-thousandths, as the build measured it; absent if it did not |
//! | `columns`     | `"NAME: KIND"` for each [column](crate::shard::columns) of every shard, in order; absent if there are none |
//! | `requires`    | names of what a reader must understand; absent if there are none                             |
//!
//! With the layout [`LAYOUT_SINGLE`] every query visits every shard, and a client fetches them all. With [`LAYOUT_CLUSTERS`]
//! each shard holds candidates that lie near each other, and the routing is a shard of their centroids: a query visits the
//! `probes` nearest, and a client fetches a shard when a query first visits it. The [directory](crate::shard::directory) says
//! in which shard and slot an item is. With [`LAYOUT_BY_COLUMN`] a client states its segment, a value of the column: it fetches the
//! shards of that value, and a query visits them all. No object is named twice.
//!
//! A shard may have up to [`MAX_DELTAS`] `deltas`, oldest first, each `{"object", "added", "removed"}`: what changed since it was
//! written, in rows ([`delta`](crate::shard::delta)). A client takes a shard with all its deltas or not at all, so `requires`
//! names [`REQUIRES_DELTAS`] where there are any. Items that moved to another shard, or came, are in the directory `recent`,
//! which is asked first; the slots of both are hints, because a shard may have been written again since.
//!
//! Fields that a reader does not know are skipped, so that a later build can add what an earlier one may ignore. What it
//! may not ignore is also named in `requires`, and a name there that a reader does not know is an error. A change that
//! neither way can express raises the format.

mod card_ids;
mod error;
mod head;
mod inspect;
mod loaded;
mod manifest;
mod object;
pub mod overlay;
mod root;
pub mod rules;
mod signed;

#[cfg(feature = "origin")]
mod build;
#[cfg(feature = "origin")]
mod cards;
#[cfg(feature = "origin")]
mod columns;
#[cfg(feature = "origin")]
mod compare;
#[cfg(feature = "origin")]
mod lists;
#[cfg(feature = "origin")]
mod plan;
#[cfg(feature = "origin")]
mod publish;
#[cfg(feature = "origin")]
mod refresh;
#[cfg(feature = "origin")]
mod stock;
#[cfg(feature = "build")]
mod update;
#[cfg(feature = "origin")]
mod verify;
#[cfg(feature = "origin")]
mod write;

#[cfg(feature = "origin")]
pub use build::{BuildError, BuildInput, BuildReport, RankerInput, SearchReport, build, build_params, sample};
pub use card_ids::card_ids;
#[cfg(feature = "origin")]
pub use cards::{Card, Cards};
#[cfg(feature = "origin")]
pub use columns::RankerColumns;
#[cfg(feature = "origin")]
pub use compare::{Comparison, compare};
pub use error::ReleaseError;
pub(crate) use head::Named;
pub use head::{HEAD_LIMIT, Head, MAX_VERSION, Terms};
pub use inspect::inspect;
#[cfg(feature = "origin")]
pub use lists::Lists;
pub use loaded::{Absent, Found, Release};
pub use manifest::{
    ENGINE, ENGINE_TRACT, LAYOUT_BY_COLUMN, LAYOUT_CLUSTERS, LAYOUT_SINGLE, MAX_AT_ONCE, MAX_DELTAS, MAX_NAME,
    MAX_SHARDS, Manifest, ManifestDelta, ManifestShard, Part, REQUIRES_DELTAS, REQUIRES_RANKER, REQUIRES_RULES,
    Routing,
};
pub use object::{ObjectKind, ObjectRef};
#[cfg(feature = "origin")]
pub use plan::{GOAL, MAX_SINGLE, Plan, PlanOption, SHARE_OF_CLUSTERS};
#[cfg(feature = "origin")]
pub use publish::{OverlayPublisher, PublishError, PublishedOverlay, overlay};
#[cfg(feature = "origin")]
pub use refresh::{Refreshed, UpdateReport, refresh};
pub use root::{ParsePinError, ROOT_LIMIT, Root, RootPin};
pub use signed::{MAX_KEYS, MAX_SIGNATURES, ParseKeyError, PublicKey, Role, Signature, Signed};
#[cfg(feature = "origin")]
pub use stock::{ItemStock, Matched, Stock};
#[cfg(feature = "origin")]
use update::update_within;
#[cfg(feature = "build")]
pub use update::{Anew, Catalogue, Change, Update, UpdateParams, update};
#[cfg(feature = "origin")]
pub use verify::{Report, open, verify};
#[cfg(feature = "origin")]
pub(crate) use verify::{read_head, read_object, verify_head};
#[cfg(feature = "origin")]
pub use write::{Carried, ReleaseContent, ReleaseWriter, Written};

/// The format of head and manifest that this build writes.
pub const FORMAT_VERSION: u16 = 1;
/// The oldest format of head and manifest that this build reads.
pub const OLDEST_READABLE: u16 = 1;
/// The name of the file that holds the head.
pub const HEAD_FILE: &str = "head.json";

/// The column of the shop's counts, which the ranker reads, too.
pub const POPULARITY: &str = "popularity";
/// A ranker's column: the number of an item's shelf.
pub const SHELF: &str = "ranker/shelf";
/// A ranker's column: the number of an item's brand.
pub const BRAND: &str = "ranker/brand";
/// A ranker's column: the step of an item's price rank, see [`price_rank`](crate::features::ranking::price_rank).
pub const PRICE_STEP: &str = "ranker/price";
/// A ranker's column: the events of an item in the last days.
pub const RECENT: &str = "ranker/recent";

/// What a reader may be required to understand.
const UNDERSTOOD: &[&str] = &[REQUIRES_DELTAS, REQUIRES_RULES, REQUIRES_RANKER];

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
