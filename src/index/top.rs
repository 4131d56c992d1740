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
    pub(super) fn start(&mut self, wanted: usize) {
        self.wanted = wanted;
        self.keys.clear();
        self.floor = None;
        self.floor_score = f32::NEG_INFINITY;
    }

    /// Offers a score and its row.
    #[inline]
    pub(super) fn offer_scored(&mut self, score: f32, row: u32) {
        // The order of keys decides for what is not below, equal scores and those that are no numbers among it.
        if score < self.floor_score {
            return;
        }
        self.offer(Key::new(score, row));
    }

    /// Offers a key.
    pub(super) fn offer(&mut self, key: Key) {
        if self.floor.is_none_or(|floor| floor < key) {
            self.keys.push(key);
            if self.keys.len() >= self.wanted.saturating_add(self.wanted.max(SMALL)) {
                self.cut();
            }
        }
    }

    #[cold]
    fn cut(&mut self) {
        if self.keys.len() > self.wanted
            && let Some(last) = self.wanted.checked_sub(1)
        {
            let (_, worst, _) = self.keys.select_nth_unstable_by(last, |a, b| b.cmp(a));
            self.floor = Some(*worst);
            self.floor_score = worst.score();
        }
        self.keys.truncate(self.wanted);
    }

    /// The best keys, in no order.
    pub(super) fn finish(&mut self) -> &mut [Key] {
        self.cut();
        &mut self.keys
    }
}

/// Sorts keys, the best first. Not inlined, as each copy of a sort is some KB of what a client downloads.
#[inline(never)]
pub(super) fn best_first(keys: &mut [Key]) {
    keys.sort_unstable_by(|a, b| b.cmp(a));
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
            expected.truncate(wanted);
            let mut found = top.finish().to_vec();
            found.sort_by(|a, b| b.cmp(a));
            prop_assert_eq!(found, expected);
        }
    }
}
