//! Candidates that are there already: those of lists.

use super::selection::Asked;
use super::{MAX_WIDENING, PASSING, RecommendError, Recommender, Request};
use crate::rank::Candidate;
use crate::release::{Absent, Found, Part};

/// Given candidates that a request looks at, at most: ten of the longest lists. What comes behind them in a longer list is left out.
pub const MAX_GIVEN: usize = 10_000;

impl Recommender {
    /// The given candidates that a request looks at, and what has to be held for that. Of a release in clusters they are the best few
    /// times as many as are shown, the directory says where they are, whether they are there and, mostly, whether they are in stock
    /// and, where something is asked of them, they are in no more clusters than another request under a filter would visit: whatever is
    /// held, they are the same.
    pub(super) fn considered<'g>(
        &self,
        given: &'g [(String, f32)],
        request: &Request,
    ) -> (Vec<&'g (String, f32)>, Vec<Absent>) {
        let given = given.iter().take(MAX_GIVEN);
        let mut best: Vec<&(String, f32)> = given.filter(|(id, _)| !request.exclude.contains(id)).collect();
        let is_better = |a: &(String, f32), b: &(String, f32)| a.1 > b.1 || a.1 == b.1 && a.0 < b.0;
        let routing = self.release.manifest().routing.as_ref();
        let most = routing.map_or(usize::MAX, |routing| (routing.probes as usize).saturating_mul(MAX_WIDENING));
        let count = routing.map_or(best.len(), |_| request.limit.saturating_mul(PASSING)).min(best.len());
        let asks = self.asks(request);
        let (mut considered, mut absent, mut visited) = (Vec::new(), Vec::new(), Vec::new());
        let mut taken = 0;
        for place in 0..best.len() {
            if taken == count {
                break;
            }
            // One after the other: a sort is more code than a client needs here. Where all are looked at, no order is needed.
            if routing.is_some() {
                let next = (place..best.len()).reduce(|a, b| if is_better(best[b], best[a]) { b } else { a });
                best.swap(place, next.unwrap_or(place));
            }
            let is_out = if routing.is_some() { self.is_out_unseen(&best[place].0) } else { Some(false) };
            if is_out == Some(true) {
                continue;
            }
            taken += 1;
            let at = match self.release.find(&best[place].0) {
                Ok(None) => continue,
                Ok(Some(found)) => found.shard,
                Err(parts) => {
                    let Some(&Absent(Part::Shard(at))) = parts.first() else {
                        add(&mut absent, parts);
                        continue;
                    };
                    at
                }
            };
            if (asks || is_out.is_none()) && !visited.contains(&at) {
                if visited.len() == most {
                    continue;
                }
                visited.push(at);
                if self.release.shards()[at].is_none() {
                    absent.push(Absent(Part::Shard(at)));
                }
            }
            considered.push(best[place]);
        }
        (considered, absent)
    }

    /// Those of the given candidates that a request lets pass.
    pub(super) fn passing(
        &mut self,
        given: &[(String, f32)],
        request: &Request,
    ) -> Result<Vec<Candidate>, RecommendError> {
        let asks = self.asks(request);
        let mut candidates = Vec::new();
        for (id, score) in self.considered(given, request).0 {
            let found = self.release.find(id).ok().flatten();
            let held = found.and_then(|found| Some((found, self.release.shards()[found.shard].as_ref()?)));
            let passes = match held {
                Some((Found { shard: at, node }, shard)) => self
                    .selection
                    .rows(Asked { at, shard, overlay: self.release.overlay() }, &[])?
                    .is_none_or(|rows| rows.contains(node)),
                // Nothing is asked of it, so it need not be held.
                None => !asks && self.is_out_unseen(id) == Some(false),
            };
            if passes {
                candidates.push(Candidate { id: id.clone(), score: *score, found, ..Candidate::default() });
            }
        }
        Ok(candidates)
    }
}

/// Adds parts that are not there yet.
pub(super) fn add(absent: &mut Vec<Absent>, parts: Vec<Absent>) {
    for part in parts {
        if !absent.contains(&part) {
            absent.push(part);
        }
    }
}
