//! One shard: the candidates of a release, or a part of them, in one immutable file.
//!
//! [`ShardContent`] is what a shard says; [`ShardContent::write`] turns it into bytes. [`Shard::open`] reads the header of
//! such bytes and refuses what this build cannot read; [`Shard::verify`] checks everything else. Only a
//! [`Shard<Verified>`](Verified) can be searched. The bytes are laid out in [`mod@format`].
//!
//! Vectors of two towers never mix: a shard carries the digest of the towers that made its vectors.

#[cfg(feature = "build")]
mod clusters;
pub mod columns;
pub mod directory;
mod error;
pub mod format;
mod ids;
mod read;
mod write;

#[cfg(feature = "build")]
pub use clusters::{ClusterParams, ClusterPoint, ClusterReport, Clusters, CutError, RowColumns};
pub use error::ShardError;
pub use format::Header;
pub use read::{Shard, Unverified, Verified};
pub use write::ShardContent;

#[cfg(test)]
mod golden;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
