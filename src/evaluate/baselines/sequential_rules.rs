//! What came soon after what: a counter of ordered pairs that knows no user (sequential rules, Ludewig and Jannach 2018).
//!
//! Two events of a user with `d - 1` others between them, `d` up to `window`, count `decay^(d - 1)` for the rule "after the earlier
//! item, the later one". A rule's strength is its count over the `power` of all counts after its earlier item. The score of a candidate
//! is the sum over the user's last `history` events of `history_decay^age` times the strength of the rule to the candidate, the
//! newest event having the age 0.

use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::evaluate::Scorer;

/// Knobs of [`SequentialRules`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SequentialRulesParams {
    /// How far apart two events may be, 1 and up. Up: reach, memory, time.
    pub window: usize,
    /// What one event further apart counts, 0 to 1. Up: order matters less.
    pub decay: f32,
    /// Newest events that vote, 1 and up.
    pub history: usize,
    /// What the vote of the next older event counts, 0 to 1. Up: the last event matters less.
    pub history_decay: f32,
    /// How much popular earlier items are held back, 0 to 1: 0 counts, 1 is the conditional probability.
    pub power: f32,
}

impl Default for SequentialRulesParams {
    fn default() -> Self {
        Self { window: 5, decay: 0.8, history: 20, history_decay: 0.7, power: 0.5 }
    }
}

/// The counted rules.
#[derive(Debug, Clone)]
pub struct SequentialRules<'d> {
    dataset: &'d Dataset,
    params: SequentialRulesParams,
    /// `rules[offsets[i]..offsets[i + 1]]` are the items after item `i` with their strengths.
    offsets: Vec<usize>,
    rules: Vec<(u32, f32)>,
}

impl<'d> SequentialRules<'d> {
    /// Counts the training events of `dataset`.
    pub fn fit(dataset: &'d Dataset, params: &SequentialRulesParams) -> Self {
        let mut pairs: Vec<(u32, u32, f32)> = Vec::new();
        for user in 0..dataset.users.len() as u32 {
            let events = dataset.training_events(user);
            for (at, later) in events.iter().enumerate() {
                let mut weight = 1.0;
                for earlier in events[..at].iter().rev().take(params.window) {
                    pairs.push((earlier.item, later.item, weight));
                    weight *= params.decay;
                }
            }
        }
        // Stable: the weights of a rule are summed in the order of users.
        pairs.sort_by_key(|&(earlier, later, _)| (earlier, later));
        let (mut offsets, mut rules) = (vec![0], Vec::new());
        let mut of_item = pairs.chunk_by(|a, b| a.0 == b.0).peekable();
        for item in 0..dataset.items.len() as u32 {
            if let Some(pairs) = of_item.next_if(|pairs| pairs[0].0 == item) {
                let total: f32 = pairs.iter().map(|pair| pair.2).sum();
                let scale = total.powf(-params.power);
                let counts = pairs.chunk_by(|a, b| a.1 == b.1);
                rules.extend(counts.map(|same| (same[0].1, scale * same.iter().map(|pair| pair.2).sum::<f32>())));
            }
            offsets.push(rules.len());
        }
        Self { dataset, params: params.clone(), offsets, rules }
    }
}

impl Scorer for SequentialRules<'_> {
    fn name(&self) -> &str {
        "sequential rules"
    }

    fn score(&self, user: u32, scores: &mut [f32]) {
        scores.fill(0.0);
        let mut vote = 1.0;
        for event in self.dataset.query_events(user).iter().rev().take(self.params.history) {
            let item = event.item as usize;
            for &(later, strength) in &self.rules[self.offsets[item]..self.offsets[item + 1]] {
                scores[later as usize] += vote * strength;
            }
            vote *= self.params.history_decay;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Holdout;
    use crate::factors::testing::dataset;

    #[test]
    fn agrees_with_a_case_computed_by_hand() {
        // User 0 trains 0, 1, 2; user 1 trains 0, 2. Asked from their histories.
        let events = [(0, 0, 1, 0), (0, 1, 2, 0), (0, 2, 3, 0), (0, 1, 9, 0), (1, 0, 1, 0), (1, 2, 2, 0)];
        let data = dataset(&events, 9);
        let params = SequentialRulesParams { window: 2, decay: 0.5, history: 2, history_decay: 0.25, power: 1.0 };
        let model = SequentialRules::fit(&data, &params);
        // After 0: 1 once, 2 once at a distance of 2 and once at 1, so 1, 1.5 of 2.5. After 1: 2 alone. After 2: nothing.
        assert_eq!(model.offsets, [0, 2, 3, 3]);
        assert_eq!(model.rules, [(1, 0.4), (2, 0.6), (2, 1.0)]);
        let mut scores = [9.0; 3];
        model.score(0, &mut scores);
        assert_eq!(scores, [0.0, 0.0, 0.25]);
        model.score(1, &mut scores);
        assert_eq!(scores, [0.0, 0.1, 0.25 * 0.6]);
    }

    #[test]
    fn neither_counts_the_test_nor_the_validation_item() {
        let mut data = dataset(&[(0, 0, 1, 0), (0, 1, 2, 0), (0, 2, 3, 0), (0, 3, 4, 0)], 0);
        data.hold_out(Holdout::LeaveOneOut { untrained: 2 }, 0);
        let model = SequentialRules::fit(&data, &SequentialRulesParams::default());
        assert_eq!(model.rules.iter().map(|rule| rule.0).collect::<Vec<_>>(), [1]);
    }
}
