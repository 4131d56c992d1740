//! Small symmetric positive definite systems, the inner loop of alternating least squares.

/// A symmetric matrix of which the upper triangle is kept up to date, rows of `dim` values.
#[derive(Debug, Clone)]
pub(super) struct Normal {
    dim: usize,
    upper: Vec<f32>,
}

/// Rows of the update start at multiples of this, so that the inner loop runs over whole vector registers.
const LANES: usize = 8;

impl Normal {
    pub(super) fn zeros(dim: usize) -> Self {
        Self { dim, upper: vec![0.0; dim * dim] }
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.upper.copy_from_slice(&other.upper);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.upper.iter_mut().zip(&other.upper).for_each(|(sum, value)| *sum += value);
    }

    pub(super) fn add_diagonal(&mut self, value: f32) {
        (0..self.dim).for_each(|i| self.upper[i * self.dim + i] += value);
    }

    /// Adds `sum(weight * v v^T)` over vectors and weights, four at a time: the matrix is then read and written once for four.
    pub(super) fn add_outer<'a>(&mut self, vectors: impl Iterator<Item = (&'a [f32], f32)>) {
        let mut held: [(&[f32], f32); 4] = [(&[], 0.0); 4];
        let mut filled = 0;
        for vector in vectors {
            held[filled] = vector;
            filled += 1;
            if filled == held.len() {
                self.add_four(&held);
                filled = 0;
            }
        }
        for &(vector, weight) in &held[..filled] {
            self.add_four(&[(vector, weight), (vector, 0.0), (vector, 0.0), (vector, 0.0)]);
        }
    }

    fn add_four(&mut self, [(a, wa), (b, wb), (c, wc), (d, wd)]: &[(&[f32], f32); 4]) {
        for (i, row) in self.upper.chunks_exact_mut(self.dim).enumerate() {
            let from = i / LANES * LANES;
            let (sa, sb, sc, sd) = (wa * a[i], wb * b[i], wc * c[i], wd * d[i]);
            let vectors = a[from..].iter().zip(&b[from..]).zip(c[from..].iter().zip(&d[from..]));
            for (sum, ((a, b), (c, d))) in row[from..].iter_mut().zip(vectors) {
                *sum += (sa * a + sb * b) + (sc * c + sd * d);
            }
        }
    }

    /// Solves `self x = rhs` in place of `rhs` by Cholesky, `self = u^T u` with `u` upper triangular; `self` is overwritten.
    ///
    /// Pivots are kept above a tiny positive number: rounding may push one below zero when a row has no regularisation.
    pub(super) fn solve(&mut self, rhs: &mut [f32]) {
        let dim = self.dim;
        for k in 0..dim {
            let (above, below) = self.upper.split_at_mut((k + 1) * dim);
            let pivot_row = &mut above[k * dim..];
            let scale = 1.0 / pivot_row[k].max(f32::MIN_POSITIVE).sqrt();
            pivot_row[k..].iter_mut().for_each(|value| *value *= scale);
            for (row, i) in below.chunks_exact_mut(dim).zip(k + 1..) {
                let factor = pivot_row[i];
                row[i..].iter_mut().zip(&pivot_row[i..]).for_each(|(value, pivot)| *value -= factor * pivot);
            }
        }
        for k in 0..dim {
            let row = &self.upper[k * dim..(k + 1) * dim];
            let x = rhs[k] / row[k];
            rhs[k] = x;
            rhs[k + 1..].iter_mut().zip(&row[k + 1..]).for_each(|(value, u)| *value -= u * x);
        }
        for k in (0..dim).rev() {
            let row = &self.upper[k * dim..(k + 1) * dim];
            let known: f32 = row[k + 1..].iter().zip(&rhs[k + 1..]).map(|(u, x)| u * x).sum();
            rhs[k] = (rhs[k] - known) / row[k];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn solves_what_a_product_made(
            values in prop::collection::vec(-1.0f32..1.0, 11 * 19),
            wanted in prop::collection::vec(-1.0f32..1.0, 11),
        ) {
            let dim = wanted.len();
            let rows: Vec<&[f32]> = values.chunks_exact(dim).collect();
            let mut normal = Normal::zeros(dim);
            normal.add_outer(rows.iter().map(|row| (*row, 0.5)));
            normal.add_diagonal(1.0);
            let mut x: Vec<f32> = (0..dim)
                .map(|i| {
                    let product = |j: usize| rows.iter().map(|row| 0.5 * row[i] * row[j]).sum::<f32>();
                    wanted[i] + (0..dim).map(|j| product(j) * wanted[j]).sum::<f32>()
                })
                .collect();
            normal.solve(&mut x);
            for (found, wanted) in x.iter().zip(&wanted) {
                prop_assert!((found - wanted).abs() < 1e-3, "{found} {wanted}");
            }
        }
    }
}
