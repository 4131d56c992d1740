//! From what retrieval found to what is shown: the second stage.
//!
//! Candidates come from one or more shards, each list in order. [`best`] merges them into one list whose order depends on
//! nothing but scores and ids, so that a server and a browser with other shards in memory show the same.
//!
//! [`arrange`] fills the slots of a row as the shop's rules say; [`chance`] is what they leave to chance.
//!
//! A ranker predicts from [`ranking`](crate::features::ranking) how probable it is that each of them is clicked, put into the cart and bought.
//! It is trained and judged at the origin (`train`).

pub mod arrange;
pub mod chance;
#[cfg(feature = "origin")]
pub mod train;

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::release::Found;

/// Candidates that retrieval finds for the second stage, at least: what a ranker is trained on and what it ranks.
pub const RETRIEVED: usize = 100;

/// A retrieved candidate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidate {
    /// The shop's id of the item.
    pub id: String,
    /// Inner product of query and candidate embedding; larger is better.
    pub score: f32,
    /// The value of the ranker's objective; nothing where no ranker orders.
    pub value: Option<f32>,
    /// Where it is in the release; nothing where that is not held.
    pub found: Option<Found>,
    /// Whether a rule gave it its place.
    pub is_pinned: bool,
    /// Under exploration, how probable it was that it is in this row ([`chance`]).
    pub propensity: Option<f32>,
    /// What would be here if exploration had not drawn this one.
    pub instead_of: Option<String>,
}

/// The `limit` best candidates: by falling score, equal scores by id.
pub fn best(candidates: Vec<Candidate>, limit: usize) -> Vec<Candidate> {
    // A heap gives the few that are shown without ordering the rest, and is a tenth of a sort's code.
    let mut heap: BinaryHeap<Ranked> = candidates.into_iter().map(Ranked).collect();
    std::iter::from_fn(|| heap.pop()).map(|Ranked(candidate)| candidate).take(limit).collect()
}

/// A candidate in the order of [`best`]: the best is the greatest.
struct Ranked(Candidate);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.score.total_cmp(&other.0.score).then_with(|| other.0.id.cmp(&self.0.id))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_are_ordered_by_id_whatever_the_shards_said() {
        let candidate = |(id, score): (&str, f32)| Candidate { id: id.to_owned(), score, ..Candidate::default() };
        let list: Vec<_> = [("b", 0.5), ("c", 0.9), ("a", 0.5), ("d", -1.0)].map(candidate).into();
        let list = best(list, 3);
        let ids: Vec<&str> = list.iter().map(|candidate| candidate.id.as_str()).collect();
        assert_eq!(ids, ["c", "a", "b"]);
    }
}
