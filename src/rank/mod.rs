//! From what retrieval found to what is shown: the second stage.
//!
//! Candidates come from one or more shards, each list in order. [`best`] merges them into one list whose order depends on
//! nothing but scores and ids, so that a server and a browser with other shards in memory show the same.

/// A retrieved candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The shop's id of the item.
    pub id: String,
    /// Inner product of query and candidate embedding; larger is better.
    pub score: f32,
}

/// The `limit` best candidates: by falling score, equal scores by id.
pub fn best(mut candidates: Vec<Candidate>, limit: usize) -> Vec<Candidate> {
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    candidates.truncate(limit);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_are_ordered_by_id_whatever_the_shards_said() {
        let candidate = |(id, score): (&str, f32)| Candidate { id: id.to_owned(), score };
        let list: Vec<_> = [("b", 0.5), ("c", 0.9), ("a", 0.5), ("d", -1.0)].map(candidate).into();
        let list = best(list, 3);
        let ids: Vec<&str> = list.iter().map(|candidate| candidate.id.as_str()).collect();
        assert_eq!(ids, ["c", "a", "b"]);
    }
}
