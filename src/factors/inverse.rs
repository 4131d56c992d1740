//! The inverse of a large symmetric positive definite matrix.
//!
//! By halves: with `A = [P Q; Q^T R]`, `T = P^-1 Q` and the Schur complement `S = R - Q^T T`, the inverse is
//! `[P^-1 + T S^-1 T^T, -T S^-1; -(T S^-1)^T, S^-1]`, and both inverses on the diagonal are found the same way. That is `2/3 n^3`
//! multiplications, nearly all in matrix products. The products are cut into blocks of rows whose size does not follow the number of
//! threads, so neither does the result.

use rayon::prelude::*;

use crate::kernels::gemm::{MatrixRef, gemm_f32};

/// Matrices up to this size are inverted element by element, in double precision.
const SMALL: usize = 64;

/// Rows of a product per task.
const ROWS: usize = 256;

/// The inverse of `matrix`, `[n, n]`. Peak memory is about two such matrices.
pub(crate) fn inverse(matrix: Vec<f32>, n: usize) -> Vec<f32> {
    if n <= SMALL {
        return small_inverse(&matrix, n);
    }
    let (h, r) = (n / 2, n - n / 2);
    let block = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| -> Vec<f32> {
        rows.flat_map(|row| &matrix[row * n..][columns.clone()]).copied().collect()
    };
    let (p, q, mut s) = (block(0..h, 0..h), block(0..h, h..n), block(h..n, h..n));
    drop(matrix);
    let mut p = inverse(p, h);
    let t = product([h, r, h], MatrixRef::row_major(&p, h), MatrixRef::row_major(&q, r));
    subtract(&mut s, &product([r, r, h], MatrixRef::row_major(&q, r).transposed(), MatrixRef::row_major(&t, r)));
    drop(q);
    let s = inverse(s, r);
    // `-T S^-1`: the sign is on `T`, so that the correction of `P^-1` is subtracted, too.
    let mut off = product([h, r, r], MatrixRef::row_major(&t, r), MatrixRef::row_major(&s, r));
    off.par_iter_mut().for_each(|value| *value = -*value);
    subtract(&mut p, &product([h, h, r], MatrixRef::row_major(&off, r), MatrixRef::row_major(&t, r).transposed()));
    drop(t);
    let mut whole = vec![0.0; n * n];
    whole.par_chunks_mut(n).enumerate().for_each(|(row, values)| match row.checked_sub(h) {
        None => {
            values[..h].copy_from_slice(&p[row * h..][..h]);
            values[h..].copy_from_slice(&off[row * r..][..r]);
        }
        Some(row) => {
            values[..h].iter_mut().enumerate().for_each(|(column, value)| *value = off[column * r + row]);
            values[h..].copy_from_slice(&s[row * r..][..r]);
        }
    });
    whole
}

fn subtract(from: &mut [f32], what: &[f32]) {
    from.par_iter_mut().zip(what).for_each(|(from, what)| *from -= what);
}

/// `a b`, `[m, n]` of `[m, k]` and `[k, n]`.
fn product([m, n, k]: [usize; 3], a: MatrixRef<'_>, b: MatrixRef<'_>) -> Vec<f32> {
    let mut out = vec![0.0; m * n];
    out.par_chunks_mut(ROWS * n).enumerate().for_each(|(block, rows)| {
        let values = &a.values[block * ROWS * a.row_stride..];
        gemm_f32([rows.len() / n, n, k], rows, 1.0, MatrixRef { values, ..a }, b);
    });
    out
}

/// Gauss-Jordan without pivoting, which positive definite matrices do not need.
fn small_inverse(matrix: &[f32], n: usize) -> Vec<f32> {
    let mut a: Vec<f64> = matrix.iter().map(|&value| value.into()).collect();
    for k in 0..n {
        let pivot = 1.0 / a[k * n + k];
        a[k * n + k] = 1.0;
        a[k * n..(k + 1) * n].iter_mut().for_each(|value| *value *= pivot);
        let pivot_row = a[k * n..(k + 1) * n].to_vec();
        for row in (0..n).filter(|&row| row != k) {
            let factor = std::mem::take(&mut a[row * n + k]);
            a[row * n..][..n].iter_mut().zip(&pivot_row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    a.into_iter().map(|value| value as f32).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// `X^T X + I` for a random sparse `X`.
    fn positive(n: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
        let mut matrix = vec![0.0; n * n];
        for _ in 0..3 * n {
            let row: Vec<usize> = (0..5).map(|_| rng.random_range(0..n)).collect();
            row.iter().for_each(|&i| row.iter().for_each(|&j| matrix[i * n + j] += 1.0));
        }
        (0..n).for_each(|i| matrix[i * n + i] += 1.0);
        matrix
    }

    #[test]
    fn times_the_matrix_is_the_identity() {
        for n in [1, 2, 7, SMALL, SMALL + 1, 301] {
            let matrix = positive(n);
            let found = inverse(matrix.clone(), n);
            for row in 0..n {
                for column in 0..n {
                    let dot: f32 = (0..n).map(|k| matrix[row * n + k] * found[k * n + column]).sum();
                    let wanted = f32::from(u8::from(row == column));
                    assert!((dot - wanted).abs() < 1e-3, "seed and size {n}, at {row}, {column}: {dot}");
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| inverse(positive(700), 700))
        };
        assert_eq!(of(1), of(3));
    }
}
