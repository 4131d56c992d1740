//! Vectors among which a graph of nearest points is a graph of largest inner products.
//!
//! A further coordinate gives all points one norm and makes the two the same (Bachrach et al., "Speeding up the Xbox
//! recommender system using a Euclidean transformation for inner-product spaces", 2014): with
//! `lift(x) = sqrt(R² - |x|²)`, where `R` is the largest norm,
//! `|(x, lift(x)) - (y, lift(y))|² = 2 R² - 2 (x·y + lift(x) lift(y))`.

use crate::kernels::{self, LANES, dot_f32};

/// Bytes of a cache line.
const LINE: usize = 64;

/// Rows of whole lanes: a vector, its lift if norms differ, zeros.
pub(super) struct Points {
    width: usize,
    /// Where the first row starts: on a cache line, so that no row touches one line more than it must.
    start: usize,
    values: Vec<f32>,
}

impl Points {
    /// Lifts the rows of `vectors` (row-major, `dim` columns) that `order` names.
    pub(super) fn lift(vectors: &[f32], dim: usize, order: &[u32]) -> Self {
        let norms: Vec<f32> = vectors.chunks_exact(dim).map(|row| dot_f32(row, row)).collect();
        let largest = norms.iter().copied().fold(0.0, f32::max);
        // Vectors of one norm up to rounding need no further coordinate; rounding noise in it would only blur the distances.
        let unit = norms.iter().all(|norm| largest - norm <= 1e-5 * largest);
        let width = (dim + usize::from(!unit)).next_multiple_of(LANES);
        let mut values: Vec<f32> = Vec::with_capacity(order.len() * width + LINE / size_of::<f32>());
        let start = values.as_ptr().align_offset(LINE);
        values.resize(start, 0.0);
        for (place, &row) in order.iter().enumerate() {
            values.extend(&vectors[row as usize * dim..][..dim]);
            if !unit {
                values.push((largest - norms[row as usize]).max(0.0).sqrt());
            }
            values.resize(start + (place + 1) * width, 0.0);
        }
        Self { width, start, values }
    }

    /// Points.
    pub(super) fn len(&self) -> usize {
        (self.values.len() - self.start) / self.width
    }

    /// One point.
    pub(super) fn row(&self, point: u32) -> &[f32] {
        &self.values[self.start + point as usize * self.width..][..self.width]
    }

    /// Inner products of `x`, a row, with `points`, into `out`. Larger is nearer: it orders as the negative distance does.
    pub(super) fn scores(&self, x: &[f32], points: &[u32], out: &mut Vec<f32>) {
        kernels::gather_f32(x, &self.values[self.start..], points, out);
    }

    /// The inner product of two points.
    pub(super) fn score(&self, a: u32, b: u32) -> f32 {
        dot_f32(self.row(a), self.row(b))
    }
}
