//! What a manifest may make a client hold.

use super::{Manifest, ManifestShard, Part, check_range};
use crate::release::ReleaseError;

/// Most bytes that a release makes a client hold before it answers a query: half of what WebAssembly can address, since what is opened takes
/// more than its bytes. Each object has a limit of its own, but a manifest of 1 MB has room for the names of ten thousand.
pub const MAX_AT_ONCE: u64 = 1 << 31;

impl Manifest {
    /// Checks that what a client needs at once is not too much: of shards by column those of one value, of clusters those that a query
    /// visits.
    pub(super) fn check_at_once(&self) -> Result<(), ReleaseError> {
        let all = self.parts().filter(|(part, _)| !matches!(part, Part::Shard(_) | Part::Delta(..)));
        let wanted = all.filter(|(part, _)| self.is_needed_at_once(*part, None));
        let bytes = wanted.fold(0, |sum: u64, (_, object)| sum.saturating_add(object.size));
        let sizes = |value: &Option<String>| {
            let shards = self.shards.iter().filter(move |shard| shard.value == *value);
            shards.fold(0, |sum: u64, shard| sum.saturating_add(size_of_shard(shard)))
        };
        let most = if let Some(routing) = &self.routing {
            // Any of them may be those that a query visits.
            let most = self.shards.iter().map(size_of_shard).max().unwrap_or(0);
            most.saturating_mul(routing.probes.into())
        } else {
            let is_first =
                |at: usize| self.shards.iter().position(|shard| shard.value == self.shards[at].value) == Some(at);
            let firsts = (0..self.shards.len()).filter(|at| is_first(*at));
            firsts.map(|at| sizes(&self.shards[at].value)).max().unwrap_or(0)
        };
        check_range("bytes that are needed at once", bytes.saturating_add(most), 0, MAX_AT_ONCE)
    }
}

/// Bytes of a shard with its deltas.
fn size_of_shard(shard: &ManifestShard) -> u64 {
    shard.deltas.iter().fold(shard.object.size, |sum, delta| sum.saturating_add(delta.object.size))
}
