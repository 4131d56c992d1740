//! Int8 codes with one scale per vector.
//!
//! A component is `scale * code`, where `scale` is the vector's largest magnitude over 127. The query is quantised to 14
//! bits, which costs nothing measurable, so that a score is one exact integer sum and two multiplications.

use super::{IndexError, NodeId};
use crate::kernels::{self, MAX_DIM, NibbleQuery, QUERY_MAX};

/// Largest code of a component.
const CODE_MAX: f32 = 127.0;

/// Quantised vectors: row-major codes and one scale per row.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    dim: usize,
    rows: Vec<i8>,
    scales: Vec<f32>,
}

impl Codes {
    /// Quantises `vectors`, row-major with `dim` columns.
    ///
    /// # Errors
    /// [`IndexError::Limit`] if `dim` is not in `1..=`[`MAX_DIM`], [`IndexError::Shape`] if the rows are not whole,
    /// [`IndexError::NotFinite`] if a component is NaN or infinite.
    pub fn encode(vectors: &[f32], dim: usize) -> Result<Self, IndexError> {
        check_vectors(vectors, dim)?;
        let mut codes = Vec::with_capacity(vectors.len());
        let mut scales = Vec::with_capacity(vectors.len() / dim);
        for row in vectors.chunks_exact(dim) {
            let scale = largest_magnitude(row) / CODE_MAX;
            // The smallest magnitudes have no reciprocal; as codes they are zeros.
            let inverse = if scale >= f32::MIN_POSITIVE { scale.recip() } else { 0.0 };
            codes.extend(row.iter().map(|x| (x * inverse).round() as i8));
            scales.push(scale);
        }
        Ok(Self { dim, rows: codes, scales })
    }

    /// Joins codes (row-major, `dim` columns) and their scales.
    ///
    /// # Panics
    /// If there is not one scale per row, or `dim` is zero.
    pub fn from_parts(dim: usize, codes: Vec<i8>, scales: Vec<f32>) -> Self {
        assert!(dim > 0 && codes.len() == scales.len() * dim, "codes are not [scales, dim]");
        Self { dim, rows: codes, scales }
    }

    /// The codes, as searches read them.
    pub fn view(&self) -> CodesView<'_> {
        CodesView { dim: self.dim, codes: &self.rows, scales: &self.scales }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.scales.is_empty()
    }
}

/// Borrowed [`Codes`].
#[derive(Debug, Clone, Copy)]
pub struct CodesView<'a> {
    dim: usize,
    codes: &'a [i8],
    scales: &'a [f32],
}

impl<'a> CodesView<'a> {
    /// Joins codes (row-major, `dim` columns) and their scales.
    ///
    /// # Panics
    /// If there is not one scale per row, or `dim` is zero.
    pub fn new(dim: usize, codes: &'a [i8], scales: &'a [f32]) -> Self {
        assert!(dim > 0 && codes.len() == scales.len() * dim, "codes are not [scales, dim]");
        Self { dim, codes, scales }
    }

    /// Columns.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.scales.is_empty()
    }

    /// All codes, row-major.
    pub fn codes(&self) -> &'a [i8] {
        self.codes
    }

    /// One scale per row.
    pub fn scales(&self) -> &'a [f32] {
        self.scales
    }

    /// The score of a row, without the query's scale.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    pub(super) fn row_score(&self, node: NodeId, query: &QueryCode) -> f32 {
        let row = &self.codes[node.row() * self.dim..][..self.dim];
        kernels::dot_i16_i8(query.code(), row) as f32 * self.scales[node.row()]
    }

    /// Decodes the vector of `node` into `out`.
    ///
    /// # Panics
    /// If `out` does not have [`CodesView::dim`] places, or `node` is not of this index.
    pub fn vector_into(&self, node: NodeId, out: &mut [f32]) {
        assert_eq!(out.len(), self.dim, "the vector has another number of dimensions");
        let scale = self.scales[node.row()];
        for (out, &code) in out.iter_mut().zip(&self.codes[node.row() * self.dim..]) {
            *out = scale * f32::from(code);
        }
    }
}

/// A query embedding, quantised to 14 bits: a component is `scale * code`.
#[derive(Debug, Clone)]
pub struct QueryCode {
    code: NibbleQuery,
    /// The sum of the quantised components.
    sum: i32,
    scale: f32,
}

impl QueryCode {
    /// Quantises a query embedding. Components that are not finite count as zero.
    ///
    /// # Panics
    /// If there are more than [`MAX_DIM`] components.
    pub fn new(query: &[f32]) -> Self {
        assert!(query.len() <= MAX_DIM, "a query has at most {MAX_DIM} dimensions");
        let finite = |x: &f32| if x.is_finite() { *x } else { 0.0 };
        let largest = query.iter().map(|x| finite(x).abs()).fold(0.0, f32::max);
        let scale = largest / f32::from(QUERY_MAX);
        let inverse = if scale >= f32::MIN_POSITIVE { scale.recip() } else { 0.0 };
        let code = query.iter().map(|x| (finite(x) * inverse).round() as i16);
        let code: Vec<i16> = code.map(|q| q.clamp(-QUERY_MAX, QUERY_MAX)).collect();
        let sum = code.iter().map(|&q| i32::from(q)).sum();
        Self { code: NibbleQuery::new(&code), sum, scale }
    }

    /// The quantised components, at most [`QUERY_MAX`] in magnitude.
    pub fn code(&self) -> &[i16] {
        self.code.components()
    }

    /// The quantised components, as kernels over nibbles read them.
    pub(super) fn nibbles(&self) -> &NibbleQuery {
        &self.code
    }

    /// The sum of the quantised components: codes that do not lie around zero differ from those that do by a multiple of it.
    pub(super) fn sum(&self) -> i32 {
        self.sum
    }

    /// What one step of the quantised components is worth.
    pub fn scale(&self) -> f32 {
        self.scale
    }
}

/// Checks that `vectors` is a matrix of finite numbers with `dim` columns.
pub(crate) fn check_vectors(vectors: &[f32], dim: usize) -> Result<(), IndexError> {
    IndexError::check("dim", dim, 1, MAX_DIM)?;
    if !vectors.len().is_multiple_of(dim) {
        return Err(IndexError::Shape { found: vectors.len(), dim });
    }
    match vectors.iter().position(|x| !x.is_finite()) {
        Some(at) => Err(IndexError::NotFinite { row: at / dim, column: at % dim, found: vectors[at] }),
        None => Ok(()),
    }
}

fn largest_magnitude(row: &[f32]) -> f32 {
    row.iter().map(|x| x.abs()).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_vector_with_a_number_that_is_not_finite_is_refused_by_row_and_column() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = Codes::encode(&[0.0, 1.0, 2.0, bad], 2).unwrap_err();
            assert!(matches!(error, IndexError::NotFinite { row: 1, column: 1, .. }), "{error}");
        }
        assert!(matches!(Codes::encode(&[0.0; 3], 2), Err(IndexError::Shape { found: 3, dim: 2 })));
        assert!(matches!(Codes::encode(&[], 0), Err(IndexError::Limit { what: "dim", .. })));
    }

    proptest! {
        #[test]
        fn decoding_is_within_half_a_step(row in prop::collection::vec(prop_oneof![-1e3f32..1e3, -1e-3f32..1e-3, Just(0.0)], 1..40)) {
            let codes = Codes::encode(&row, row.len()).unwrap();
            let mut out = vec![0.0; row.len()];
            codes.view().vector_into(NodeId(0), &mut out);
            let step = codes.view().scales()[0];
            for (x, y) in row.iter().zip(out) {
                prop_assert!((x - y).abs() <= step * 0.5001, "{x} {y} {step}");
            }
            let query = QueryCode::new(&row);
            prop_assert!(query.code().iter().all(|q| q.abs() <= QUERY_MAX));
        }
    }
}
