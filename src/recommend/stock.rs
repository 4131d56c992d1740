//! What the overlay says of candidates.

use super::{Recommender, Request};
use crate::index::NodeId;
use crate::rank::Candidate;
use crate::release::Found;
use crate::shard::directory::Place;

impl Recommender {
    /// The price of a candidate in cents, where it is another than the catalogue's.
    pub fn price(&self, candidate: &Candidate) -> Option<u64> {
        let Found { shard, node } = candidate.found?;
        self.release.overlay()?.price(shard, node)
    }

    /// Whether something is out of stock where this is.
    pub(super) fn is_out(&self, Found { shard, node }: Found) -> bool {
        self.release.overlay().is_some_and(|overlay| overlay.is_out(shard, node))
    }

    /// Whether not every row of these shards passes.
    pub(super) fn asks_rows(&self, request: &Request, shards: &[usize]) -> bool {
        let has_out = |at: &usize| self.release.overlay().is_some_and(|overlay| overlay.out_of(*at) > 0);
        !request.filter.is_empty() || shards.iter().any(has_out)
    }

    /// Whether an item is out of stock, by what the directory says of it, so that its shard need not be held; nothing where only that
    /// tells.
    pub(super) fn is_out_unseen(&self, id: &str) -> Option<bool> {
        let Some(overlay) = self.release.overlay() else { return Some(false) };
        let Some(Place { shard, slot }) = self.release.place(id) else { return Some(false) };
        match overlay.out_of(shard as usize) {
            0 => Some(false),
            _ => overlay.has_exact_slots(shard as usize).then(|| overlay.is_out(shard as usize, NodeId(slot))),
        }
    }
}
