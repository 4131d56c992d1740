//! From counts to strengths of interest.

use serde::{Deserialize, Serialize};

use super::Interactions;

/// How a count becomes the strength `r` of a user's interest in an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// 1 for every pair: how often does not matter.
    Binary,
    /// `ln(1 + count)`: repeats matter less and less.
    Log,
    /// The count itself: a few heavy repeaters dominate.
    Count,
    /// Okapi BM25 (Robertson et al. 1994) with users as documents and items as terms, k1 = 100, b = 0.8, as the
    /// recommender library `implicit` has it: popular items and users with long histories weigh less.
    Bm25,
}

impl Weighting {
    /// The weights of `history`, users by items.
    pub(crate) fn apply(self, history: &Interactions) -> Interactions {
        match self {
            Self::Binary => history.map(|_, _, _| 1.0),
            Self::Log => history.map(|_, _, count| count.ln_1p()),
            Self::Count => history.clone(),
            Self::Bm25 => bm25(history),
        }
    }
}

fn bm25(history: &Interactions) -> Interactions {
    const K1: f32 = 100.0;
    const B: f32 = 0.8;
    let users = history.rows() as f32;
    let lengths: Vec<f32> = (0..history.rows()).map(|user| history.row(user).1.iter().sum()).collect();
    let mean = lengths.iter().sum::<f32>() / users.max(1.0);
    let by_item = history.transpose();
    let idf: Vec<f32> =
        (0..by_item.rows()).map(|item| (users / (1.0 + by_item.row(item).0.len() as f32)).ln().max(0.0)).collect();
    history.map(|user, item, count| {
        let norm = 1.0 - B + B * lengths[user] / mean;
        count * (K1 + 1.0) / (K1 * norm + count) * idf[item as usize]
    })
}
