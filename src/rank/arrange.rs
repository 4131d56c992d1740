//! The order in which candidates are shown: boosts, rotation, chance, diversity, caps and pins, in this order of their say.
//!
//! Values are relevances from 0, the worst candidate, to 1, the best, plus what boosts add. [`chance`](super::chance) says what is left to
//! chance; [`arrange`] fills one slot after the other.

use super::Candidate;

/// A candidate as this stage sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arranged {
    /// What it is, with the score of retrieval.
    pub candidate: Candidate,
    /// Relevance and boosts.
    pub value: f32,
    /// What each cap counts it as; nothing where it counts as nothing.
    pub groups: Vec<Option<String>>,
    /// Its embedding, of length 1; empty where diversity has no say.
    pub vector: Vec<f32>,
    /// The slot that it is pinned to, from 1.
    pub slot: Option<usize>,
    /// The largest cosine with what is shown already; [`arrange`] says what it is.
    pub likeness: f32,
}

/// How candidates are arranged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arrangement {
    /// Slots.
    pub limit: usize,
    /// How much being unlike what is shown already counts against the value, 0 to 1.
    pub diversity: f32,
    /// How many of one group each cap lets through.
    pub at_most: Vec<usize>,
}

/// Relevances from scores: 1 for the best, 0 for the worst; 1 for all where they are equal.
pub fn relevances(scores: &[f32]) -> Vec<f32> {
    let least = scores.iter().copied().fold(f32::INFINITY, f32::min);
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of = |score: &f32| if most > least { (score - least) / (most - least) } else { 1.0 };
    scores.iter().map(of).collect()
}

/// Below this share of the best objective, candidates are equally bad.
const FLOOR: f32 = 1e-3;

/// Relevances from the values of an objective: the logarithm of each, 1 for the best, 0 for a thousandth of it or less; where none is above 0,
/// as of [scores](relevances).
pub fn relevances_of_values(values: &[f32]) -> Vec<f32> {
    let best = values.iter().copied().fold(0.0, f32::max);
    if best <= 0.0 {
        return relevances(values);
    }
    let of = |value: &f32| 1.0 - libm::logf((value / best).max(FLOOR)) / libm::logf(FLOOR);
    values.iter().map(of).collect()
}

/// Puts candidates in order: by falling value, equal values by falling score, equal scores by id.
pub fn order(candidates: &mut [Arranged]) {
    // They come nearly in order, and there are some hundreds: by insertion, since a sort is 3 KB of a client's download.
    for end in 1..candidates.len() {
        let mut at = end;
        while at > 0 && comes_before(&candidates[at], &candidates[at - 1]) {
            candidates.swap(at, at - 1);
            at -= 1;
        }
    }
}

fn comes_before(a: &Arranged, b: &Arranged) -> bool {
    let by_score = || b.candidate.score.total_cmp(&a.candidate.score);
    b.value.total_cmp(&a.value).then_with(by_score).then_with(|| a.candidate.id.cmp(&b.candidate.id)).is_lt()
}

/// Fills the slots from candidates in order: a slot gets what is pinned to it, else the best that the caps still let through, where being
/// like what is shown counts against it: `(1 - diversity) value - diversity likeness` (maximal marginal relevance, Carbonell and
/// Goldstein 1998), the likeness being the largest cosine with what is shown.
pub fn arrange(mut candidates: Vec<Arranged>, how: &Arrangement) -> Vec<Arranged> {
    let mut shown: Vec<Arranged> = Vec::new();
    for candidate in &mut candidates {
        candidate.likeness = f32::NEG_INFINITY;
    }
    while shown.len() < how.limit {
        let slot = shown.len() + 1;
        let is_pinned = |candidate: &Arranged| candidate.slot.is_some_and(|pinned| pinned <= slot);
        let next = candidates.iter().position(is_pinned).or_else(|| best(&candidates, how));
        let Some(next) = next else { break };
        let candidate = candidates.remove(next);
        if how.diversity > 0.0 {
            for other in &mut candidates {
                let cosine = crate::kernels::dot_f32(&other.vector, &candidate.vector);
                other.likeness = other.likeness.max(cosine);
            }
        }
        shown.push(candidate);
        drop_full(&mut candidates, &shown, how);
    }
    shown
}

/// Drops what the caps let through no more after the last that is shown, unless it is pinned: once for each slot, where a look at the caps
/// of every candidate would compare each with all that is shown.
fn drop_full(candidates: &mut Vec<Arranged>, shown: &[Arranged], how: &Arrangement) {
    let groups = shown.last().map_or(&[][..], |last| &last.groups);
    for (cap, (group, at_most)) in groups.iter().zip(&how.at_most).enumerate() {
        let is_same = |other: &Arranged| other.groups.get(cap) == Some(group);
        if group.is_some() && shown.iter().filter(|other| is_same(other)).count() >= *at_most {
            candidates.retain(|other| other.slot.is_some() || !is_same(other));
        }
    }
}

/// The place of the best candidate that is pinned nowhere.
fn best(candidates: &[Arranged], how: &Arrangement) -> Option<usize> {
    let mut found: Option<(usize, f32)> = None;
    for (place, candidate) in candidates.iter().enumerate() {
        let like = if candidate.likeness.is_finite() { candidate.likeness } else { 0.0 };
        let value = (1.0 - how.diversity) * candidate.value - how.diversity * like;
        // The first of equal ones stays: candidates are in order.
        if found.is_none_or(|(_, best)| value > best) && candidate.slot.is_none() {
            found = Some((place, value));
        }
        if how.diversity == 0.0 && found.is_some() {
            break;
        }
    }
    found.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, value: f32, group: &str, vector: &[f32]) -> Arranged {
        let groups = vec![(!group.is_empty()).then(|| group.to_owned())];
        let candidate = Candidate { id: id.to_owned(), score: value, ..Candidate::default() };
        Arranged { candidate, value, groups, vector: vector.to_vec(), ..Arranged::default() }
    }

    fn ids(list: &[Arranged]) -> String {
        list.iter().map(|one| one.candidate.id.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn sample() -> Vec<Arranged> {
        [
            ("a", 1.0, "x", [1.0, 0.0]),
            ("b", 0.9, "x", [1.0, 0.0]),
            ("c", 0.8, "x", [0.6, 0.8]),
            ("d", 0.5, "", [0.0, 1.0]),
        ]
        .map(|(id, value, group, vector)| candidate(id, value, group, &vector))
        .to_vec()
    }

    #[test]
    fn slots_are_filled_by_pins_then_by_value_within_the_caps() {
        let how = |at_most| Arrangement { limit: 4, diversity: 0.0, at_most: vec![at_most] };
        assert_eq!(ids(&arrange(sample(), &how(9))), "a b c d");
        assert_eq!(ids(&arrange(sample(), &how(2))), "a b d");
        let mut pinned = sample();
        pinned[3].slot = Some(2);
        pinned[1].slot = Some(9);
        assert_eq!(ids(&arrange(pinned.clone(), &how(9))), "a d c");
        // A pin counts for the caps and is held back by none.
        pinned[2].slot = Some(1);
        assert_eq!(ids(&arrange(pinned, &how(1))), "c d");
        assert_eq!(ids(&arrange(sample(), &Arrangement { limit: 2, ..how(9) })), "a b");
        assert_eq!(arrange(Vec::new(), &how(9)), []);
    }

    #[test]
    fn what_is_like_what_is_shown_waits() {
        let how = |diversity| Arrangement { limit: 4, diversity, at_most: vec![9] };
        assert_eq!(ids(&arrange(sample(), &how(0.0))), "a b c d");
        // After a: b .5 * .9 - .5 * 1, c .5 * .8 - .5 * .6, d .5 * .5 - 0.
        assert_eq!(ids(&arrange(sample(), &how(0.5))), "a d c b");
        assert_eq!(ids(&arrange(sample(), &how(1.0))), "a d c b");
        assert_eq!(ids(&arrange(sample(), &how(0.1))), "a b c d");
    }

    #[test]
    fn relevances_of_values_are_their_logarithms_down_to_a_thousandth() {
        let found = relevances_of_values(&[0.5, 0.005, 0.0005, 0.000_01, -1.0]);
        let expected = [1.0, 1.0 / 3.0, 0.0, 0.0, 0.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        assert_eq!(relevances_of_values(&[-1.0, -3.0, -2.0]), [1.0, 0.0, 0.5]);
    }

    #[test]
    fn relevances_go_from_nought_to_one() {
        assert_eq!(relevances(&[3.0, -1.0, 1.0]), [1.0, 0.0, 0.5]);
        assert_eq!(relevances(&[2.0, 2.0]), [1.0, 1.0]);
        assert!(relevances(&[]).is_empty());
    }
}
