//! Quality of recommendation lists: one definition each, for every part of the project.
//!
//! Two questions share the word recall, so the functions say which one they answer:
//!
//! - [`search_recall_at_k`]: how much of the *exact* nearest neighbours an approximate search found;
//! - [`heldout_recall_at_k`]: how much of what a user really did *afterwards* (the targets) was recommended.
//!
//! Of predicted probabilities: [`auc`] for their order, [`log_loss`] for their values, [`expected_calibration_error`] for their meaning.
//!
//! A list is best first and holds no id twice; targets are distinct, in any order. All results but [`self_information`], [`log_loss`] and
//! [`rank_correlation`] lie in 0 to 1, larger is better except for [`gini`] and what is called loss or error. `k` is at least 1. A list
//! shorter than `k` counts as if the rest were misses.

/// What the hits of a held-out recall are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecallNorm {
    /// `min(k, targets)`: a perfect list reaches 1 however many targets there are. The time-split protocol uses it for R@20,
    /// where many users have more than 20 targets.
    Achievable,
    /// `targets`: the share of all that the user did. The time-split protocol uses it for R@100.
    Targets,
}

/// Targets among the first `k` of `recommended`.
fn hits_at_k(recommended: &[u32], targets: &[u32], k: usize) -> usize {
    let head = &recommended[..k.min(recommended.len())];
    targets.iter().filter(|target| head.contains(target)).count()
}

/// Recall against held-out events: hits among the first `k`, divided as `norm` says. 0 without targets.
pub fn heldout_recall_at_k(recommended: &[u32], targets: &[u32], k: usize, norm: RecallNorm) -> f64 {
    let whole = match norm {
        RecallNorm::Achievable => k.min(targets.len()),
        RecallNorm::Targets => targets.len(),
    };
    ratio(hits_at_k(recommended, targets, k), whole)
}

/// Recall against exact search: the share of the first `k` of `exact` that is among the first `k` of `found`.
///
/// Where the index holds fewer than `k` items, `exact` is shorter than `k` and the whole of it is asked for; 1 if it is empty.
pub fn search_recall_at_k(found: &[u32], exact: &[u32], k: usize) -> f64 {
    let wanted = &exact[..k.min(exact.len())];
    if wanted.is_empty() { 1.0 } else { ratio(hits_at_k(found, wanted, k), wanted.len()) }
}

/// HR@k against held-out events: 1 if any of the first `k` is a target, else 0; the average over users is the hit rate.
pub fn hit_rate_at_k(recommended: &[u32], targets: &[u32], k: usize) -> f64 {
    f64::from(u8::from(hits_at_k(recommended, targets, k) > 0))
}

/// NDCG@k against held-out events, binary gains (Järvelin and Kekäläinen 2002): a hit at 0-based rank `r` gains
/// `1 / log2(r + 2)`; the sum is divided by that of the ideal list, which has `min(k, targets)` hits at its top.
/// 0 without targets.
pub fn ndcg_at_k(recommended: &[u32], targets: &[u32], k: usize) -> f64 {
    let ideal: f64 = (0..k.min(targets.len())).map(|rank| gain(rank as f64)).sum();
    let found: f64 = recommended
        .iter()
        .take(k)
        .enumerate()
        .filter(|(_, item)| targets.contains(item))
        .map(|(rank, _)| gain(rank as f64))
        .sum();
    // An empty sum is -0, which a table would show.
    if ideal > 0.0 { found / ideal + 0.0 } else { 0.0 }
}

/// What a hit at a 0-based rank gains.
fn gain(rank: f64) -> f64 {
    1.0 / (rank + 2.0).log2()
}

/// The 0-based rank of a single target among the scores of the candidates, its own among them: how many are better, and half of how
/// many others are equal, so that a scorer gains nothing by giving many the same score. `None` for a target that is not
/// recommended, with a score of negative infinity.
pub fn rank_with_ties(scores: impl IntoIterator<Item = f32>, target: f32) -> Option<f64> {
    if target == f32::NEG_INFINITY {
        return None;
    }
    let (mut better, mut equal) = (0_usize, 0_usize);
    for score in scores {
        better += usize::from(score > target);
        equal += usize::from(score == target);
    }
    Some(better as f64 + 0.5 * equal.saturating_sub(1) as f64)
}

/// [`hit_rate_at_k`] of a single target by its [rank](rank_with_ties).
pub fn hit_rate_of_rank(rank: Option<f64>, k: usize) -> f64 {
    f64::from(u8::from(rank.is_some_and(|rank| rank < k as f64)))
}

/// [`ndcg_at_k`] of a single target by its [rank](rank_with_ties).
pub fn ndcg_of_rank(rank: Option<f64>, k: usize) -> f64 {
    rank.filter(|&rank| rank < k as f64).map_or(0.0, gain)
}

/// Self-information of an item, in bits: `-log2` of the share of users who have it (Vargas and Castells 2011). What nobody has
/// counts as if one user had it. The mean over a list is its novelty, 0 for what everybody knows.
pub fn self_information(users_of_item: u64, users: u64) -> f64 {
    let users = users.max(1) as f64;
    (users / (users_of_item.max(1) as f64).min(users)).log2()
}

/// Intra-list diversity: 1 less the mean cosine of the category paths of all pairs of a list; 0 for fewer than two items.
///
/// A path is the set of its prefixes, numbered, the widest first; so the cosine is the number of levels that two items share over the
/// geometric mean of their levels. An item without a path is like no other.
pub fn intra_list_diversity(paths: &[&[u32]]) -> f64 {
    let pairs = paths.len() * paths.len().saturating_sub(1) / 2;
    if pairs == 0 {
        return 0.0;
    }
    let cosine = |a: &[u32], b: &[u32]| {
        let shared = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        if shared == 0 { 0.0 } else { shared as f64 / ((a.len() * b.len()) as f64).sqrt() }
    };
    let alike: f64 =
        paths.iter().enumerate().flat_map(|(at, a)| paths[at + 1..].iter().map(move |b| cosine(a, b))).sum();
    1.0 - alike / pairs as f64
}

/// Catalogue coverage: the share of the candidates that stands in at least one list.
///
/// `frequencies` holds, for every candidate, the number of lists it stands in; the lists' length makes it coverage@k.
pub fn coverage(frequencies: &[u64]) -> f64 {
    ratio(frequencies.iter().filter(|&&count| count > 0).count(), frequencies.len())
}

/// Gini coefficient of the recommendation frequencies: 0 if all candidates are recommended equally often, towards 1 if few
/// take everything. Candidates that are never recommended count. 0 if nothing is recommended.
///
/// With the frequencies ascending and `i` from 1 to `n`: `sum((2 i - n - 1) f_i) / (n sum(f_i))`.
pub fn gini(frequencies: &[u64]) -> f64 {
    let mut ascending = frequencies.to_vec();
    ascending.sort_unstable();
    let n = ascending.len() as f64;
    let total: f64 = ascending.iter().map(|&count| count as f64).sum();
    if total == 0.0 {
        return 0.0;
    }
    let weighted: f64 =
        ascending.iter().enumerate().map(|(i, &count)| (2.0 * (i as f64 + 1.0) - n - 1.0) * count as f64).sum();
    weighted / (n * total)
}

/// Places of the values in ascending order, from 1; equal values share the mean of theirs.
fn mean_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        equal.iter().for_each(|at| ranks[*at] = before as f64 + 0.5 * (equal.len() + 1) as f64);
        before += equal.len();
    }
    ranks
}

/// Area under the ROC curve: how probable it is that something that happened has a larger prediction than something that did not, where
/// equal predictions count half (Mann and Whitney 1947). 0.5 where all or none happened.
pub fn auc(predicted: &[f64], happened: &[bool]) -> f64 {
    let positives = happened.iter().filter(|happened| **happened).count() as f64;
    let negatives = happened.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return 0.5;
    }
    let ranks = mean_ranks(predicted);
    let sum: f64 = ranks.iter().zip(happened).filter(|(_, happened)| **happened).map(|(rank, _)| rank).sum();
    (sum - positives * (positives + 1.0) / 2.0) / (positives * negatives)
}

/// Mean negative log-likelihood of predicted probabilities, in nats; 0 of nothing. A probability counts as at least `1e-12` away
/// from 0 and 1, so that one wrong certainty does not make the mean infinite.
pub fn log_loss(predicted: &[f64], happened: &[bool]) -> f64 {
    let loss = |(p, happened): (&f64, &bool)| {
        let p = p.clamp(1e-12, 1.0 - 1e-12);
        if *happened { -p.ln() } else { -(-p).ln_1p() }
    };
    predicted.iter().zip(happened).map(loss).sum::<f64>() / predicted.len().max(1) as f64
}

/// Predictions that lie near each other, and what happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationBin {
    /// How many.
    pub count: usize,
    /// Mean of the predicted probabilities.
    pub predicted: f64,
    /// Share of what happened.
    pub observed: f64,
}

/// Cuts predictions, in ascending order, into at most `bins` bins of nearly equal counts. Equal predictions stay
/// together: the order in which they are given does not count.
pub fn calibration_bins(predicted: &[f64], happened: &[bool], bins: usize) -> Vec<CalibrationBin> {
    let mut order: Vec<usize> = (0..predicted.len()).collect();
    order.sort_unstable_by(|a, b| predicted[*a].total_cmp(&predicted[*b]));
    let (mut found, mut start) = (Vec::new(), 0);
    for end in 1..=order.len() {
        let is_full = end * bins >= (found.len() + 1) * order.len();
        if end < order.len() && (!is_full || predicted[order[end - 1]] == predicted[order[end]]) {
            continue;
        }
        let (members, count) = (&order[start..end], (end - start) as f64);
        found.push(CalibrationBin {
            count: end - start,
            predicted: members.iter().map(|at| predicted[*at]).sum::<f64>() / count,
            observed: members.iter().filter(|at| happened[**at]).count() as f64 / count,
        });
        start = end;
    }
    found
}

/// Expected calibration error: the mean distance of what was predicted from what happened over [`calibration_bins`], each
/// with its count (Naeini et al. 2015, with bins of equal counts as Nixon et al. 2019, because most probabilities of a shop are small). 0 is
/// calibrated.
pub fn expected_calibration_error(bins: &[CalibrationBin]) -> f64 {
    let total: usize = bins.iter().map(|bin| bin.count).sum();
    let off: f64 = bins.iter().map(|bin| bin.count as f64 * (bin.predicted - bin.observed).abs()).sum();
    off / total.max(1) as f64
}

/// Spearman's rank correlation, -1 to 1; equal values share a rank. 0 where one side is constant.
pub fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let centred = |values: &[f64]| {
        let ranks = mean_ranks(values);
        let mean = ranks.iter().sum::<f64>() / ranks.len().max(1) as f64;
        ranks.into_iter().map(|rank| rank - mean).collect::<Vec<_>>()
    };
    let (a, b) = (centred(a), centred(b));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = (product(&a, &a) * product(&b, &b)).sqrt();
    if norms > 0.0 { product(&a, &b) / norms } else { 0.0 }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn agree_with_cases_computed_by_hand() {
        let list = [7, 3, 9, 1];
        let targets = [1, 2, 3];
        assert!(close(heldout_recall_at_k(&list, &targets, 2, RecallNorm::Achievable), 1.0 / 2.0));
        assert!(close(heldout_recall_at_k(&list, &targets, 2, RecallNorm::Targets), 1.0 / 3.0));
        assert!(close(heldout_recall_at_k(&list, &targets, 4, RecallNorm::Achievable), 2.0 / 3.0));
        assert!(close(hit_rate_at_k(&list, &targets, 1), 0.0));
        assert!(close(hit_rate_at_k(&list, &targets, 2), 1.0));
        // Hits at ranks 2 and 4; the ideal has ranks 1 to 3: 1/log2(3) + 1/log2(5) over 1 + 1/log2(3) + 1/2.
        assert!(close(
            ndcg_at_k(&list, &targets, 4),
            (0.630_929_753_571_457_4 + 0.430_676_558_073_393_1) / 2.130_929_753_571_457_4
        ));
        assert!(close(search_recall_at_k(&[5, 6, 8], &[6, 7, 8], 2), 1.0 / 2.0));
        assert!(close(search_recall_at_k(&[5], &[5], 10), 1.0));
        assert!(close(coverage(&[0, 2, 0, 1]), 0.5));
        // Two of four take all, equally: (1 * 3 + 3 * 3) / (4 * 6) with frequencies 0, 0, 3, 3.
        assert!(close(gini(&[3, 0, 3, 0]), 0.5));
        assert!(close(gini(&[4, 4, 4]), 0.0));
        assert!(close(gini(&[0, 0]), 0.0));
    }

    #[test]
    fn a_tie_counts_half_a_rank() {
        let scores = [0.5, 0.9, 0.5, 0.1, 0.5, f32::NEG_INFINITY];
        assert_eq!(rank_with_ties(scores, 0.9), Some(0.0));
        // One is better, two others are equal.
        assert_eq!(rank_with_ties(scores, 0.5), Some(2.0));
        assert_eq!(rank_with_ties([0.0, 0.0], 0.0), Some(0.5));
        assert_eq!(rank_with_ties(scores, f32::NEG_INFINITY), None);
        assert!(close(hit_rate_of_rank(Some(9.5), 10), 1.0) && close(hit_rate_of_rank(Some(10.0), 10), 0.0));
        assert!(close(ndcg_of_rank(Some(2.0), 10), 0.5) && close(ndcg_of_rank(Some(10.0), 10), 0.0));
        assert!(close(hit_rate_of_rank(None, 10), 0.0) && close(ndcg_of_rank(None, 10), 0.0));
    }

    #[test]
    fn novelty_and_diversity_agree_with_cases_computed_by_hand() {
        assert!(close(self_information(2, 16), 3.0));
        assert!(close(self_information(0, 16), 4.0) && close(self_information(16, 16), 0.0));
        // Food > fruit, food > bread, home: cosines 1 / 2, 0 and 0.
        let (fruit, bread, home) = ([1, 2], [1, 3], [4]);
        assert!(close(intra_list_diversity(&[&fruit, &bread, &home]), 1.0 - 0.5 / 3.0));
        assert!(close(intra_list_diversity(&[&fruit, &fruit]), 0.0) && close(intra_list_diversity(&[&fruit]), 0.0));
        // An item of the shelf itself and one of a shelf below: 1 / sqrt(2). Without a path there is no likeness.
        assert!(close(intra_list_diversity(&[&[1], &fruit]), 1.0 - 0.5_f64.sqrt()));
        assert!(close(intra_list_diversity(&[&[], &[]]), 1.0));
    }

    #[test]
    fn nothing_to_find_is_zero_against_events_and_one_against_search() {
        assert!(close(heldout_recall_at_k(&[1], &[], 5, RecallNorm::Achievable), 0.0));
        assert!(close(ndcg_at_k(&[1], &[], 5), 0.0));
        assert!(close(search_recall_at_k(&[], &[], 5), 1.0));
        assert!(close(coverage(&[]), 0.0));
    }

    #[test]
    fn predictions_agree_with_cases_computed_by_hand() {
        let (predicted, happened) = ([0.1, 0.4, 0.4, 0.8], [false, true, false, true]);
        // Of four pairs three are right and one is a tie.
        assert!(close(auc(&predicted, &happened), 3.5 / 4.0));
        assert!(close(auc(&[0.3; 4], &happened), 0.5) && close(auc(&predicted, &[true; 4]), 0.5));
        let expected = -(0.9_f64.ln() + 0.4_f64.ln() + 0.6_f64.ln() + 0.8_f64.ln()) / 4.0;
        assert!(close(log_loss(&predicted, &happened), expected));
        assert!(log_loss(&[1.0], &[false]) < 28.0);
        let bins = calibration_bins(&predicted, &happened, 4);
        // The two equal ones stay together.
        assert_eq!(bins.iter().map(|bin| bin.count).collect::<Vec<_>>(), [1, 2, 1]);
        assert!(close(expected_calibration_error(&bins), (0.1 + 2.0 * 0.1 + 0.2) / 4.0));
        assert_eq!(calibration_bins(&[0.2; 5], &[true; 5], 3).len(), 1);
        assert!(calibration_bins(&[], &[], 3).is_empty());
        assert!(close(rank_correlation(&[1.0, 2.0, 9.0], &[0.1, 0.2, 0.3]), 1.0));
        assert!(close(rank_correlation(&[1.0, 2.0, 3.0], &[5.0, 5.0, 5.0]), 0.0));
        // Ranks 1, 2.5, 2.5 against 3, 1, 2: covariance -0.75 over the root of 1.5 * 2, doubled.
        assert!(close(rank_correlation(&[0.0, 7.0, 7.0], &[9.0, 1.0, 2.0]), -1.5 / 3.0_f64.sqrt()));
    }

    /// The mean absolute difference of all pairs over twice the mean: the definition that [`gini`] is a faster form of.
    fn gini_of_pairs(frequencies: &[u64]) -> f64 {
        let n = frequencies.len() as f64;
        let mean = frequencies.iter().sum::<u64>() as f64 / n;
        let difference: u64 = frequencies.iter().flat_map(|a| frequencies.iter().map(move |b| a.abs_diff(*b))).sum();
        if mean == 0.0 { 0.0 } else { difference as f64 / (n * n) / (2.0 * mean) }
    }

    proptest! {
        #[test]
        fn auc_is_the_share_of_pairs_in_order(rows in prop::collection::vec((0..8_u8, any::<bool>()), 2..40)) {
            let (predicted, happened): (Vec<f64>, Vec<bool>) = rows.iter().map(|(p, y)| (f64::from(*p), *y)).unzip();
            let (mut right, mut pairs) = (0.0, 0.0);
            for (a, _) in rows.iter().filter(|(_, y)| *y) {
                for (b, _) in rows.iter().filter(|(_, y)| !*y) {
                    pairs += 1.0;
                    right += f64::from(u8::from(a > b)) + 0.5 * f64::from(u8::from(a == b));
                }
            }
            let expected = if pairs > 0.0 { right / pairs } else { 0.5 };
            prop_assert!((auc(&predicted, &happened) - expected).abs() < 1e-9);
        }

        #[test]
        fn agree_with_their_definitions_over_sets(
            list in Just((0..40u32).collect::<Vec<_>>()).prop_shuffle(),
            length in 0..40usize,
            targets in prop::collection::btree_set(0..40u32, 1..40),
            k in 1..45usize,
        ) {
            let list = &list[..length];
            let head: BTreeSet<u32> = list.iter().copied().take(k).collect();
            let hits = head.intersection(&targets).count() as f64;
            let targets: Vec<u32> = targets.into_iter().collect();
            let achievable = heldout_recall_at_k(list, &targets, k, RecallNorm::Achievable);
            prop_assert!(close(achievable, hits / k.min(targets.len()) as f64));
            prop_assert!(close(heldout_recall_at_k(list, &targets, k, RecallNorm::Targets), hits / targets.len() as f64));
            prop_assert!(close(hit_rate_at_k(list, &targets, k), hits.min(1.0)));
            let ndcg = ndcg_at_k(list, &targets, k);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&ndcg) && (ndcg > 0.0) == (hits > 0.0));
            prop_assert!(close(ndcg_at_k(&targets, &targets, k), 1.0));
            if let [target] = targets[..] {
                let rank = list.iter().position(|item| *item == target).map(|rank| rank as f64);
                prop_assert!(close(ndcg_of_rank(rank, k), ndcg) && close(hit_rate_of_rank(rank, k), hits));
            }
            // No arrangement of the same hits beats the one with all of them at the top.
            let mut best: Vec<u32> = list.iter().copied().take(k).collect();
            best.sort_by_key(|item| !targets.contains(item));
            prop_assert!(ndcg <= ndcg_at_k(&best, &targets, k) + 1e-12);
        }

        #[test]
        fn gini_is_the_mean_difference_of_pairs(frequencies in prop::collection::vec(0..1000u64, 1..30)) {
            prop_assert!((gini(&frequencies) - gini_of_pairs(&frequencies)).abs() < 1e-9);
        }
    }
}
