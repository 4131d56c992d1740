//! What a manifest may make a client hold.

use super::{Manifest, ManifestShard, check_range};
use crate::release::{ObjectRef, ReleaseError};

/// Most bytes that a release makes a client hold before it answers a query: half of what WebAssembly can address, since what is opened takes
/// more than its bytes. Each object has a limit of its own, but a manifest of 1 MB has room for the names of ten thousand.
pub const MAX_AT_ONCE: u64 = 1 << 31;

impl Manifest {
    /// Checks that what a client needs at once is not too much, once no object is beyond the limit of its kind: of shards by column those of one value, of clusters those that a query
    /// visits.
    #[inline(never)]
    pub(super) fn check_at_once(&self) -> Result<(), ReleaseError> {
        let size = |object: &Option<ObjectRef>| object.map_or(0, |object| object.size);
        let mut bytes = self.query_tower.size + size(&self.rules) + size(&self.ranker);
        let sizes: Vec<u64> = self.shards.iter().map(size_of_shard).collect();
        let mut most = 0;
        for (at, shard) in self.shards.iter().enumerate() {
            let mut sum = sizes[at];
            if self.routing.is_none() {
                // Those before it have had theirs with it.
                let behind = self.shards.iter().zip(&sizes).skip(at + 1);
                behind.filter(|(other, _)| other.value == shard.value).for_each(|(_, size)| sum += size);
            }
            most = sum.max(most);
            // Nothing is larger than all of them.
            if self.by.is_none() && self.routing.is_none() {
                break;
            }
        }
        if let Some(routing) = &self.routing {
            // Any of them may be those that a query visits.
            (bytes, most) = (bytes + routing.object.size, most * u64::from(routing.probes));
        }
        check_range("bytes that are needed at once", bytes + most, 0, MAX_AT_ONCE)
    }
}

/// Bytes of a shard with its deltas.
fn size_of_shard(shard: &ManifestShard) -> u64 {
    shard.deltas.iter().fold(shard.object.size, |sum, delta| sum + delta.object.size)
}
