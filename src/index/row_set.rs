//! Sets of rows of one index, as bitmaps: what a filter lets pass.

use std::ops::Range;

use super::NodeId;

/// A set of the rows `0..len`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSet {
    len: usize,
    /// Row `i` is bit `i % 64` of word `i / 64`. The bits from `len` on are zero.
    words: Vec<u64>,
}

impl RowSet {
    /// No row of `len`.
    pub fn empty(len: usize) -> Self {
        Self { len, words: vec![0; len.div_ceil(64)] }
    }

    /// All rows of `len`.
    pub fn full(len: usize) -> Self {
        let mut set = Self { len, words: vec![u64::MAX; len.div_ceil(64)] };
        set.clear_tail();
        set
    }

    /// The rows of `len` that pass a test.
    pub fn of(len: usize, mut test: impl FnMut(NodeId) -> bool) -> Self {
        let mut set = Self::empty(len);
        for (index, word) in set.words.iter_mut().enumerate() {
            let rows = index * 64..len.min(index * 64 + 64);
            for (bit, row) in rows.enumerate() {
                *word |= u64::from(test(NodeId(row as u32))) << bit;
            }
        }
        set
    }

    /// Rows that there are, in the set or not.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Rows in the set.
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether a row is in the set. A row from [`RowSet::len`] on is not.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub fn contains(&self, node: NodeId) -> bool {
        let row = node.row();
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Takes a row into the set.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn insert(&mut self, node: NodeId) {
        let row = node.row();
        assert!(row < self.len, "row {row} of a set of {} rows", self.len);
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Takes a row out of the set.
    pub fn remove(&mut self, node: NodeId) {
        if let Some(word) = self.words.get_mut(node.row() / 64) {
            *word &= !(1 << (node.row() % 64));
        }
    }

    /// The rows of a range, numbered from its start.
    pub fn part(&self, rows: Range<u32>) -> Self {
        let mut part = Self::empty(rows.len());
        self.within(rows.clone()).for_each(|row| part.insert(NodeId(row - rows.start)));
        part
    }

    /// Keeps the rows that are in `other` too.
    ///
    /// # Panics
    /// If `other` is of another number of rows.
    pub fn and(&mut self, other: &Self) {
        self.zip(other, |word, other| word & other);
    }

    /// Adds the rows of `other`.
    ///
    /// # Panics
    /// If `other` is of another number of rows.
    pub fn or(&mut self, other: &Self) {
        self.zip(other, |word, other| word | other);
    }

    /// Swaps the rows in the set for those that are not.
    pub fn not(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        self.clear_tail();
    }

    /// The rows in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.within(0..self.len as u32).map(NodeId)
    }

    /// The rows of a range that are in the set, ascending: a word of 64 rows without any costs one step.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn within(&self, rows: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        let first = rows.start / 64;
        let words = self.words.get(first as usize..rows.end.div_ceil(64) as usize).unwrap_or_default();
        (first..).zip(words).flat_map(move |(index, &word)| {
            let start = index * 64;
            let from = u64::MAX << rows.start.saturating_sub(start).min(63);
            let to = if rows.end - start < 64 { (1 << (rows.end - start)) - 1 } else { u64::MAX };
            // Each step clears the lowest bit.
            let words = std::iter::successors(Some(word & from & to), |word| Some(word & word.wrapping_sub(1)));
            words.take_while(|&word| word != 0).map(move |word| start + word.trailing_zeros())
        })
    }

    fn zip(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
        assert_eq!(self.len, other.len, "sets of different numbers of rows");
        self.words.iter_mut().zip(&other.words).for_each(|(word, &other)| *word = combine(*word, other));
    }

    fn clear_tail(&mut self) {
        if let (Some(last), tail @ 1..) = (self.words.last_mut(), self.len % 64) {
            *last &= (1 << tail) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(len: usize, rows: &BTreeSet<usize>) -> RowSet {
        RowSet::of(len, |node| rows.contains(&node.row()))
    }

    #[test]
    fn whole_and_broken_words_end_where_the_rows_do() {
        for len in [0, 1, 63, 64, 65, 128, 65_535, 65_536] {
            let mut set = RowSet::full(len);
            assert_eq!((set.len(), set.count_ones(), set.iter().count()), (len, len, len));
            assert!(!set.contains(NodeId(len as u32)) && !set.contains(NodeId(u32::MAX)));
            assert_eq!(set, RowSet::of(len, |_| true));
            set.not();
            assert!(set.is_empty());
            assert_eq!(set, RowSet::empty(len));
        }
    }

    proptest! {
        #[test]
        fn it_does_what_sets_do(
            len in 1_usize..200,
            a in prop::collection::btree_set(0_usize..200, 0..80),
            b in prop::collection::btree_set(0_usize..200, 0..80),
            from in 0_usize..200,
            some in 0_usize..200,
        ) {
            let within = |rows: BTreeSet<usize>| -> BTreeSet<usize> { rows.into_iter().filter(|&row| row < len).collect() };
            let (a, b) = (within(a), within(b));
            let rows = |set: &RowSet| set.iter().map(NodeId::row).collect::<BTreeSet<_>>();
            let (left, right) = (set(len, &a), set(len, &b));
            prop_assert_eq!(rows(&left), a.clone());
            prop_assert!((0..len).all(|row| left.contains(NodeId(row as u32)) == a.contains(&row)));
            prop_assert_eq!((left.count_ones(), left.is_empty()), (a.len(), a.is_empty()));
            let changed = |change: fn(&mut RowSet, &RowSet)| {
                let mut set = left.clone();
                change(&mut set, &right);
                set
            };
            prop_assert_eq!(changed(RowSet::and), set(len, &(&a & &b)));
            prop_assert_eq!(changed(RowSet::or), set(len, &(&a | &b)));
            prop_assert_eq!(changed(|set, _| set.not()), set(len, &(0..len).filter(|row| !a.contains(row)).collect()));
            let (start, end) = (from.min(len), (from + some).min(len));
            let within: Vec<u32> = left.within(start as u32..end as u32).collect();
            prop_assert_eq!(within, a.range(start..end).map(|&row| row as u32).collect::<Vec<_>>());
            let mut fewer = left.clone();
            b.iter().for_each(|&row| fewer.remove(NodeId(row as u32)));
            prop_assert_eq!(fewer, set(len, &(&a - &b)));
            let mut one_by_one = RowSet::empty(len);
            a.iter().for_each(|&row| one_by_one.insert(NodeId(row as u32)));
            prop_assert_eq!(one_by_one, left);
        }
    }
}
