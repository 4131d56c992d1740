//! What an encoder reads: rows of tokens, each row one or many histories, the oldest item of each first.
//!
//! A client gives its tower the latest distinct items, so a token sees, of the tokens before it in its history, only the newest one of
//! each item, at most as many as the tower reads; their distance is how many distinct items are newer. With items that come again
//! the states of older tokens differ a little from a client's, which knows of no item's earlier place.

use super::moments::{Marks, Past};

/// One place of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// Nothing.
    Padding,
    /// A history begins: what a shopper without any item has.
    Start,
    /// An item.
    Item(u32),
}

/// What a token does not see.
pub(crate) const HIDDEN: u16 = u16::MAX;

/// Rows of equal length.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rows {
    /// Tokens of a row.
    pub(crate) length: usize,
    /// Row by row.
    pub(crate) tokens: Vec<Token>,
    /// The marks of each token.
    pub(crate) marks: Vec<Marks>,
    /// Most items that a token sees.
    pub(crate) history: usize,
    /// For each token and each token of its row, `[rows, length, length]`: how many distinct items lie between, `history` for the
    /// start, or [`HIDDEN`].
    pub(crate) distances: Vec<u16>,
}

impl Rows {
    /// `tokens` are whole rows; a token sees itself, `history - 1` items before it and the start.
    pub(crate) fn new((tokens, marks): (Vec<Token>, Vec<Marks>), length: usize, history: usize) -> Self {
        let mut distances = vec![HIDDEN; tokens.len() * length];
        for (row, distances) in tokens.chunks_exact(length).zip(distances.chunks_exact_mut(length * length)) {
            for (at, seen) in distances.chunks_exact_mut(length).enumerate() {
                look_back(&row[..=at], history, seen);
            }
        }
        Self { length, tokens, marks, history, distances }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.tokens.len() / self.length
    }
}

/// What the last of some tokens sees.
fn look_back(tokens: &[Token], history: usize, seen: &mut [u16]) {
    let last = tokens.len() - 1;
    if tokens[last] == Token::Padding {
        // Softmax needs one; nobody reads the result.
        seen[last] = 0;
        return;
    }
    let mut items: Vec<u32> = Vec::with_capacity(history.min(tokens.len()));
    for (at, token) in tokens.iter().enumerate().rev() {
        match token {
            Token::Item(item) if items.len() < history && !items.contains(item) => {
                seen[at] = items.len() as u16;
                items.push(*item);
            }
            Token::Item(_) => {}
            Token::Start | Token::Padding => {
                seen[at] = history as u16;
                return;
            }
        }
    }
}

/// The rows of some histories, the newest item first in each, one row each: its last token is what a client's tower answers for it.
pub(crate) fn one_per_history<'h>(histories: impl ExactSizeIterator<Item = &'h [Past]>, history: usize) -> Rows {
    let length = history + 1;
    let mut tokens = Vec::with_capacity(histories.len() * length);
    let mut marks = Vec::with_capacity(histories.len() * length);
    for items in histories {
        tokens.extend((items.len() + 1..length).map(|_| Token::Padding));
        tokens.push(Token::Start);
        marks.resize(tokens.len(), [0, 0]);
        tokens.extend(items.iter().rev().map(|past| Token::Item(past.item)));
        marks.extend(items.iter().rev().map(|past| past.marks));
    }
    Rows::new((tokens, marks), length, history)
}

#[cfg(test)]
mod tests {
    use super::Token::{Item, Padding, Start};
    use super::*;

    #[test]
    fn a_token_sees_the_newest_place_of_each_item_of_its_own_history() {
        let tokens = vec![Start, Item(1), Item(2), Item(1), Item(3), Start, Item(1), Padding];
        let rows = Rows::new((tokens, vec![[0, 0]; 8]), 8, 3);
        let seen = |at: usize| rows.distances[at * 8..][..8].to_vec();
        let h = HIDDEN;
        assert_eq!(seen(0), [3, h, h, h, h, h, h, h]);
        assert_eq!(seen(2), [3, 1, 0, h, h, h, h, h]);
        assert_eq!(seen(3), [3, h, 1, 0, h, h, h, h]);
        assert_eq!(seen(4), [3, h, 2, 1, 0, h, h, h]);
        assert_eq!(seen(6), [h, h, h, h, h, 3, 0, h]);
        assert_eq!(seen(7), [h, h, h, h, h, h, h, 0]);
    }

    #[test]
    fn histories_end_at_the_end_of_their_row() {
        let past = |item| Past { item, weight: 1.0, marks: [item, 0] };
        let (long, short) = ([past(7), past(8)], [past(9)]);
        let rows = one_per_history([&long[..], &short[..], &[]].into_iter(), 2);
        assert_eq!(rows.tokens, [Start, Item(8), Item(7), Padding, Start, Item(9), Padding, Padding, Start]);
        assert_eq!(rows.marks[..3], [[0, 0], [8, 0], [7, 0]]);
        assert_eq!((rows.length, rows.rows()), (3, 3));
    }
}
