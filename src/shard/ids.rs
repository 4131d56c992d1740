//! From an id to its node: open addressing over the ids of a shard.

use std::hash::{DefaultHasher, Hasher};

/// An empty slot.
const EMPTY: u32 = u32::MAX;

/// A hash table of nodes; the ids themselves stay in the shard.
///
/// The hash starts from the shard's digest, so nobody can choose ids that collide without knowing the digest of the shard
/// that they end up in.
#[derive(Debug)]
pub(super) struct IdTable {
    slots: Vec<u32>,
    seed: u64,
}

impl IdTable {
    /// Enters the ids of the nodes `0..count`. On a duplicate, gives both nodes.
    pub(super) fn build<'a>(count: u32, seed: u64, id: impl Fn(u32) -> &'a str) -> Result<Self, (u32, u32)> {
        // At most three quarters full.
        let slots = (count as usize + count as usize / 3 + 1).next_power_of_two();
        let mut table = Self { slots: vec![EMPTY; slots], seed };
        for node in 0..count {
            match table.find(id(node), &id) {
                Ok(first) => return Err((first, node)),
                Err(free) => table.slots[free] = node,
            }
        }
        Ok(table)
    }

    /// The node with this id, or the free slot where it would be.
    pub(super) fn find<'a>(&self, wanted: &str, id: impl Fn(u32) -> &'a str) -> Result<u32, usize> {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write(wanted.as_bytes());
        let mask = self.slots.len() - 1;
        let mut slot = hasher.finish() as usize & mask;
        loop {
            match self.slots[slot] {
                EMPTY => return Err(slot),
                node if id(node) == wanted => return Ok(node),
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}
