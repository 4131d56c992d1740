//! Matrix products for training, by the `gemm` crate.
#![allow(unsafe_code)] // The crate's interface is a raw-pointer one; the slices are checked here, once.

/// A matrix in a slice: element `[i, j]` is at `i * row_stride + j * column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct MatrixRef<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// Distance from a row to the next.
    pub row_stride: usize,
    /// Distance from a column to the next.
    pub column_stride: usize,
}

impl<'a> MatrixRef<'a> {
    /// A matrix whose rows lie one behind the other.
    pub fn row_major(values: &'a [f32], columns: usize) -> Self {
        Self { values, row_stride: columns, column_stride: 1 }
    }

    /// The same numbers with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let reach = |count: usize, stride: usize| count.checked_sub(1)?.checked_mul(stride);
        let last = reach(rows, self.row_stride).and_then(|row| row.checked_add(reach(columns, self.column_stride)?));
        last.is_some_and(|last| last < self.values.len() && isize::try_from(last).is_ok())
    }
}

/// `out = alpha * a * b` on the calling thread; `out` is `[m, n]` row by row, `a` is `[m, k]`, `b` is `[k, n]`.
///
/// # Panics
/// If a slice is too short for its shape or a dimension is 0.
pub fn gemm_f32(shape: [usize; 3], out: &mut [f32], alpha: f32, a: MatrixRef<'_>, b: MatrixRef<'_>) {
    product(shape, out, alpha, [a, b], false);
}

/// `out += alpha * a * b`, else as [`gemm_f32`].
///
/// # Panics
/// As [`gemm_f32`].
pub fn gemm_f32_add(shape: [usize; 3], out: &mut [f32], alpha: f32, a: MatrixRef<'_>, b: MatrixRef<'_>) {
    product(shape, out, alpha, [a, b], true);
}

fn product([m, n, k]: [usize; 3], out: &mut [f32], alpha: f32, [a, b]: [MatrixRef<'_>; 2], add: bool) {
    assert!(m > 0 && m.checked_mul(n) == Some(out.len()), "the result is m x n");
    assert!(a.holds(m, k) && b.holds(k, n), "the operands hold m x k and k x n");
    // SAFETY: `gemm` reads `lhs[i * lhs_rs + j * lhs_cs]` for i < m, j < k, likewise `rhs` for i < k, j < n, and writes
    // `dst[i * n + j]` for i < m, j < n. `holds` bounds the largest of the first two inside their slices (strides are
    // not negative, so 0 is the smallest), `out.len() == m * n` the last. `out` is borrowed mutably, so it overlaps
    // neither. The old content of `out` is read with `add` only, and is initialised as all slices are.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            // Factors of the old content and of the product.
            1.0,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_definition_also_transposed() {
        let (m, n, k) = (5, 7, 3);
        let a: Vec<f32> = (0..m * k).map(|i| i as f32 - 4.0).collect();
        let b: Vec<f32> = (0..n * k).map(|i| 0.5 * i as f32).collect();
        let mut out = vec![f32::NAN; m * n];
        let b_ref = MatrixRef::row_major(&b, k).transposed();
        gemm_f32([m, n, k], &mut out, 2.0, MatrixRef::row_major(&a, k), b_ref);
        for i in 0..m {
            for j in 0..n {
                let expected: f32 = (0..k).map(|l| 2.0 * a[i * k + l] * b[j * k + l]).sum();
                assert!((out[i * n + j] - expected).abs() < 1e-4, "{i} {j}");
            }
        }
        let once = out.clone();
        gemm_f32_add([m, n, k], &mut out, 2.0, MatrixRef::row_major(&a, k), b_ref);
        assert!(out.iter().zip(once).all(|(twice, once)| (twice - 2.0 * once).abs() < 1e-4));
    }

    #[test]
    #[should_panic(expected = "the operands hold")]
    fn a_short_operand_is_refused() {
        let mut out = [0.0; 4];
        gemm_f32([2, 2, 2], &mut out, 1.0, MatrixRef::row_major(&[0.0; 3], 2), MatrixRef::row_major(&[0.0; 4], 2));
    }
}
