//! What everybody buys, and what this user buys.

use crate::data::Dataset;
use crate::evaluate::Scorer;
use crate::factors::Interactions;

/// Milliseconds of the window that popularity is counted over: the last 30 days of training.
pub const POPULARITY_WINDOW_MS: i64 = 30 * 24 * 3600 * 1000;

/// The most bought items of the last 30 days of training, the same for everybody: a candidate's score is its number
/// of users in that window.
#[derive(Debug, Clone)]
pub struct Popularity {
    counts: Vec<f32>,
}

impl Popularity {
    /// Counts the users of the last [`POPULARITY_WINDOW_MS`] of training.
    pub fn fit(dataset: &Dataset) -> Self {
        let mut counts = vec![0.0; dataset.items.len()];
        let since = dataset.end_of_training_ms() - POPULARITY_WINDOW_MS;
        let recent = Interactions::of_training_since(dataset, since);
        for user in 0..recent.rows() {
            recent.row(user).0.iter().for_each(|&item| counts[item as usize] += 1.0);
        }
        Self { counts }
    }

    /// Users per item in the window.
    pub fn counts(&self) -> &[f32] {
        &self.counts
    }
}

impl Scorer for Popularity {
    fn name(&self) -> &str {
        "popularity, last 30 days"
    }

    fn score(&self, _user: u32, scores: &mut [f32]) {
        scores.copy_from_slice(&self.counts);
    }
}

/// What the user bought most often, then [`Popularity`]. Equal counts are ordered by popularity.
#[derive(Debug, Clone)]
pub struct OwnCounts {
    queries: Interactions,
    /// Items less popular than this one (equal ones by index): exact in f32 up to 2^24 items, which sums of counts and
    /// fractions are not.
    by_popularity: Vec<f32>,
}

impl OwnCounts {
    /// Counts the events of `queries`, users by items.
    pub fn fit(dataset: &Dataset, queries: &Interactions) -> Self {
        let popularity = Popularity::fit(dataset);
        let mut ascending: Vec<usize> = (0..dataset.items.len()).collect();
        ascending.sort_by(|&a, &b| popularity.counts[a].total_cmp(&popularity.counts[b]).then(b.cmp(&a)));
        let mut by_popularity = vec![0.0; ascending.len()];
        for (rank, item) in ascending.into_iter().enumerate() {
            by_popularity[item] = rank as f32;
        }
        Self { queries: queries.clone(), by_popularity }
    }
}

impl Scorer for OwnCounts {
    fn name(&self) -> &str {
        "own counts, then popularity"
    }

    fn score(&self, user: u32, scores: &mut [f32]) {
        scores.copy_from_slice(&self.by_popularity);
        let (items, counts) = self.queries.row(user as usize);
        let mut own: Vec<(f32, f32, u32)> =
            items.iter().zip(counts).map(|(&item, &count)| (count, self.by_popularity[item as usize], item)).collect();
        own.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        for (rank, (_, _, item)) in own.into_iter().enumerate() {
            scores[item as usize] = (self.by_popularity.len() + rank) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    #[test]
    fn counts_users_of_the_window_and_puts_own_items_first() {
        let test = 2 * POPULARITY_WINDOW_MS;
        let events = [
            (0, 0, POPULARITY_WINDOW_MS - 1, 0),
            (0, 3, POPULARITY_WINDOW_MS, 0),
            (0, 3, test - 1, 0),
            (1, 1, test - 1, 0),
            (1, 3, test - 1, 0),
            (1, 2, test, 0),
        ];
        let data = dataset(&events, test);
        let popularity = Popularity::fit(&data);
        assert_eq!(popularity.counts(), [0.0, 1.0, 0.0, 2.0]);
        let mut scores = [0.0; 4];
        OwnCounts::fit(&data, &Interactions::of_training(&data)).score(0, &mut scores);
        let mut order = [0, 1, 2, 3];
        order.sort_by(|&a: &usize, &b| scores[b].total_cmp(&scores[a]));
        assert_eq!(order, [3, 0, 1, 2]);
    }
}
