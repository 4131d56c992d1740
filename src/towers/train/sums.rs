//! Sums by rows of a table.
//!
//! Threads work off parts of the table. Each looks through all terms for its own rows, in the order of the terms: no bit depends on the
//! number of threads.

use rayon::prelude::*;

/// A term: a row, numbers and a factor of these.
pub(crate) type Term<'t> = (u32, &'t [f32], f32);

/// Parts of a table.
const PARTS: usize = 4;

/// Rows of a part; the last one may have less.
pub(crate) fn rows_of_part(rows: usize) -> usize {
    rows.div_ceil(PARTS).max(1)
}

/// The terms of one part, with the rows counted from its first.
pub(crate) fn terms_of_part<'t>(
    terms: impl Iterator<Item = Term<'t>>,
    part: usize,
    rows: usize,
) -> impl Iterator<Item = (usize, &'t [f32], f32)> {
    terms.filter_map(move |(row, numbers, factor)| {
        let row = (row as usize).wrapping_sub(part * rows);
        (row < rows).then_some((row, numbers, factor))
    })
}

/// Adds terms to the rows of `sums`, `[rows, width]`.
pub(crate) fn scatter<'t, I>(sums: &mut [f32], width: usize, terms: impl Fn() -> I + Sync)
where
    I: Iterator<Item = Term<'t>>,
{
    let rows = rows_of_part(sums.len() / width);
    sums.par_chunks_mut(rows * width).enumerate().for_each(|(part, sums)| {
        for (row, numbers, factor) in terms_of_part(terms(), part, rows) {
            add(&mut sums[row * width..][..width], numbers, factor);
        }
    });
}

/// `sum += scale * values`.
pub(crate) fn add(sum: &mut [f32], values: &[f32], scale: f32) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += scale * value;
    }
}

/// The sum of the rows, `width` numbers each.
pub(crate) fn column_sums(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    rows.chunks_exact(width).for_each(|row| add(&mut sums, row, 1.0));
    sums
}
