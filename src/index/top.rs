//! The best of many keys.

use super::Key;

/// Keeps the best keys that it is offered: a buffer of twice their number, cut in half when it is full. An offer costs a
/// comparison, and a move where the key may be among the best.
#[derive(Debug, Default)]
pub(super) struct Top {
    wanted: usize,
    keys: Vec<Key>,
    /// What has to be exceeded: the worst of the best at the last cut.
    floor: Option<Key>,
    /// Its score: what lies below needs no key to be told by.
    floor_score: f32,
}

/// Most keys more than wanted that the buffer of a small number of them holds: cutting by ones and twos costs more.
const SMALL: usize = 16;

impl Top {
    /// Forgets everything, and is to keep `wanted` keys.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn start(&mut self, wanted: usize) {
        self.wanted = wanted;
        self.keys.clear();
        self.floor = None;
        self.floor_score = f32::NEG_INFINITY;
    }

    /// Offers a score and its row.
    #[inline]
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn offer_scored(&mut self, score: f32, row: u32) {
        // The order of keys decides for what is not below, equal scores and those that are no numbers among it.
        if score < self.floor_score {
            return;
        }
        self.offer(Key::new(score, row));
    }

    /// Offers a key.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn offer(&mut self, key: Key) {
        if self.floor.is_none_or(|floor| floor < key) {
            self.keys.push(key);
            if self.keys.len() >= self.wanted.saturating_add(self.wanted.max(SMALL)) {
                self.cut();
            }
        }
    }

    #[cold]
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn cut(&mut self) {
        if self.keys.len() > self.wanted
            && let Some(last) = self.wanted.checked_sub(1)
        {
            let worst = select(&mut self.keys, last);
            self.floor = Some(worst);
            self.floor_score = worst.score();
        }
        self.keys.truncate(self.wanted);
    }

    /// The best keys, in no order.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn finish(&mut self) -> &mut [Key] {
        self.cut();
        &mut self.keys
    }
}

/// Sorts keys, the best first. The standard library's sorts are some KB of what a client downloads; keys are integers that differ, so
/// that a plain quicksort does as well.
#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline(never)]
pub(super) fn best_first(mut keys: &mut [Key]) {
    while keys.len() > INSERTED {
        let place = split(keys);
        let (better, rest) = keys.split_at_mut(place);
        let rest = &mut rest[1..];
        let (shorter, longer) = if better.len() < rest.len() { (better, rest) } else { (rest, better) };
        best_first(shorter);
        keys = longer;
    }
    for end in 1..keys.len() {
        let key = keys[end];
        let mut place = end;
        while place > 0 && keys[place - 1] < key {
            keys[place] = keys[place - 1];
            place -= 1;
        }
        keys[place] = key;
    }
}

/// Most keys that are sorted by insertion.
const INSERTED: usize = 20;

/// Brings the key at place `nth` from the best to that place, and what is better in front of it.
#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline(never)]
pub(super) fn select(mut keys: &mut [Key], mut nth: usize) -> Key {
    loop {
        let place = split(keys);
        if nth == place {
            return keys[place];
        }
        if nth < place {
            keys = &mut keys[..place];
        } else {
            keys = &mut keys[place + 1..];
            nth -= place + 1;
        }
    }
}

/// Moves a key from about the middle of their order to its place among some keys, what is better in front of it and what is worse
/// behind; its place.
#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline(never)]
fn split(keys: &mut [Key]) -> usize {
    let quarter = keys.len() / 4;
    let [a, b, c] = [keys[quarter], keys[quarter * 2], keys[quarter * 3]];
    let middle = a.max(b).min(a.min(b).max(c));
    let from = if middle == a {
        quarter
    } else if middle == b {
        quarter * 2
    } else {
        quarter * 3
    };
    keys.swap(0, from);
    let mut better = 1;
    // Without a branch: each key changes places with the first one that is worse, which then is or is not one more of the better ones.
    for at in 1..keys.len() {
        let key = keys[at];
        keys.swap(at, better);
        better += usize::from(key > middle);
    }
    keys.swap(0, better - 1);
    better - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_kept(scores in prop::collection::vec(-5i8..5, 0..200), wanted in 0usize..20) {
            let mut top = Top::default();
            top.start(3);
            top.offer_scored(9.0, 9);
            top.start(wanted);
            scores.iter().zip(0..).for_each(|(&score, row)| top.offer_scored(f32::from(score), row));
            let mut expected: Vec<Key> = scores.iter().zip(0..).map(|(&s, row)| Key::new(f32::from(s), row)).collect();
            expected.sort_by(|a, b| b.cmp(a));
            let mut sorted: Vec<Key> = scores.iter().zip(0..).map(|(&s, row)| Key::new(f32::from(s), row)).collect();
            best_first(&mut sorted);
            prop_assert_eq!(&sorted, &expected);
            for (nth, expected) in expected.iter().enumerate() {
                sorted.reverse();
                prop_assert_eq!(&select(&mut sorted, nth), expected);
            }
            expected.truncate(wanted);
            let mut found = top.finish().to_vec();
            found.sort_by(|a, b| b.cmp(a));
            prop_assert_eq!(found, expected);
        }
    }
}
