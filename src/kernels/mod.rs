//! Dot products: the arithmetic of retrieval, the same bits on every machine.
//!
//! Every function has a scalar form in [`scalar`], and, where the machine has it, one for simd128 (WebAssembly, chosen when
//! compiling) or AVX2 (x86-64, chosen at run time). They return equal bits:
//!
//! - integer sums are exact, so their order is free;
//! - `f32` sums run over [`LANES`] lanes, lane `i % LANES` takes element `i`, and [`scalar::reduce`] adds the lanes in one
//!   fixed order; products are rounded before they are added (no fused multiply-add, no relaxed SIMD).
//!
//! Slices of unequal length are a bug of the caller and panic. Lengths need not be multiples of anything.
#![allow(unsafe_code)]

pub(crate) mod four;
#[cfg(feature = "build")]
pub mod gemm;
pub mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128;
#[cfg(feature = "origin")]
pub(crate) mod softmax;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "wasm32", target_feature = "simd128"))))]
use scalar as backend;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use simd128 as backend;
#[cfg(target_arch = "x86_64")]
use x86 as backend;

/// Lanes of an `f32` sum.
pub const LANES: usize = 8;

/// Largest number of dimensions for which [`dot_i16_i8`] cannot overflow.
pub const MAX_DIM: usize = 1024;

/// Largest magnitude of a quantised query component: 14 bits with the sign.
pub const QUERY_MAX: i16 = (1 << 13) - 1;

/// Components of a row of nibbles that are stored together, in 16 bytes: see [`scalar::nibble_place`].
pub const NIBBLE_BLOCK: usize = 32;

/// Bytes of a row of nibbles with `dim` components: whole blocks, the rest of the last one zero.
pub const fn nibble_stride(dim: usize) -> usize {
    dim.div_ceil(NIBBLE_BLOCK) * (NIBBLE_BLOCK / 2)
}

/// A query in the order in which the kernels of this machine meet the components of a row of nibbles.
#[derive(Debug, Clone, Default)]
pub struct NibbleQuery {
    /// The components in their own order.
    plain: Vec<i16>,
    /// By pair of blocks, nibble, half of the pair and word; zeros where there is no component.
    #[cfg_attr(
        not(any(target_arch = "x86_64", all(target_arch = "wasm32", target_feature = "simd128"))),
        expect(dead_code, reason = "the scalar form reads the components in their own order")
    )]
    lanes: Vec<i16>,
}

impl NibbleQuery {
    /// Arranges the components of a query, each at most [`QUERY_MAX`] in magnitude.
    pub fn new(query: &[i16]) -> Self {
        let mut lanes = vec![0; query.len().div_ceil(2 * NIBBLE_BLOCK) * 2 * NIBBLE_BLOCK];
        for (at, &q) in query.iter().enumerate() {
            let (block, within) = (at / NIBBLE_BLOCK, at % NIBBLE_BLOCK);
            let (pair, half) = (block / 2, block % 2);
            let (nibble, word) = (within / 8, within % 8);
            lanes[((pair * 4 + nibble) * 2 + half) * 8 + word] = q;
        }
        Self { plain: query.to_vec(), lanes }
    }

    /// The components in their own order.
    pub fn components(&self) -> &[i16] {
        &self.plain
    }
}

/// The largest magnitude that a sum of products can reach: `MAX_DIM` times the largest query component times the largest
/// code (-128).
const LARGEST_DOT: i64 = MAX_DIM as i64 * QUERY_MAX as i64 * 128;
const _: () = assert!(LARGEST_DOT <= i32::MAX as i64);

/// The exact inner product of a quantised query and a code.
///
/// Exact while no component of `query` exceeds [`QUERY_MAX`] in magnitude and there are at most [`MAX_DIM`] of them; beyond
/// that it wraps, the same way everywhere.
///
/// # Panics
/// If the lengths differ.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn dot_i16_i8(query: &[i16], code: &[i8]) -> i32 {
    assert_eq!(query.len(), code.len(), "query and code differ in dimensions");
    backend::dot_i16_i8(query, code)
}

/// [`dot_i16_i8`] of `query` with the rows of `codes` (row-major, `query.len()` columns) that `rows` names; `out` is
/// replaced by one value per name.
///
/// # Panics
/// If a row lies outside `codes`.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn gather_i16_i8(query: &[i16], codes: &[i8], rows: &[u32], out: &mut Vec<i32>) {
    out.clear();
    out.reserve(rows.len());
    backend::gather_i16_i8(query, codes, rows, out);
}

/// [`dot_i16_i8`] of `query` with every row of `codes` (row-major, `[out.len(), query.len()]`).
///
/// # Panics
/// If the shapes disagree.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn scan_i16_i8(query: &[i16], codes: &[i8], out: &mut [i32]) {
    assert_eq!(codes.len(), out.len() * query.len(), "codes are not [rows, dim]");
    backend::scan_i16_i8(query, codes, out);
}

/// The exact inner products of `query` with every row of `codes`: rows of nibbles, each a component of 0 to 15.
///
/// # Panics
/// If `codes` does not hold `out.len()` rows of [`nibble_stride`] bytes.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn scan_i16_u4(query: &NibbleQuery, codes: &[u8], out: &mut [i32]) {
    assert_eq!(codes.len(), out.len() * nibble_stride(query.plain.len()), "codes are not rows of nibbles");
    backend::scan_i16_u4(query, codes, out);
}

/// [`scan_i16_u4`] of the rows that `rows` names; `out` is replaced by one value per name.
///
/// # Panics
/// If a row lies outside `codes`.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn gather_i16_u4(query: &NibbleQuery, codes: &[u8], rows: &[u32], out: &mut Vec<i32>) {
    out.clear();
    out.reserve(rows.len());
    backend::gather_i16_u4(query, codes, rows, out);
}

/// The inner product of two vectors, summed over [`LANES`] lanes.
///
/// # Panics
/// If the lengths differ.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors differ in dimensions");
    backend::dot_f32(a, b)
}

/// [`dot_f32`] of `x` with the rows of `matrix` (row-major, `x.len()` columns) that `rows` names; `out` is replaced by one value
/// per name.
///
/// # Panics
/// If a row lies outside `matrix`.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn gather_f32(x: &[f32], matrix: &[f32], rows: &[u32], out: &mut Vec<f32>) {
    out.clear();
    out.reserve(rows.len());
    backend::gather_f32(x, matrix, rows, out);
}

/// `out = matrix x`, where `matrix` is row-major `[out.len(), x.len()]`; each output is [`dot_f32`] of its row and `x`.
///
/// # Panics
/// If the shapes disagree.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn gemv_f32(matrix: &[f32], x: &[f32], out: &mut [f32]) {
    assert_eq!(matrix.len(), out.len() * x.len(), "matrix is not [rows, cols]");
    backend::gemv_f32(matrix, x, out);
}

/// `out[i, j] = dot_f32(a[i], b[j])`: the product of `a` (row-major, `k` columns) and the transpose of `b` (row-major, `k` columns).
///
/// # Panics
/// If `k` is 0 or the shapes disagree.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn matmul_f32(a: &[f32], b: &[f32], k: usize, out: &mut [f32]) {
    let (m, n) = (a.len() / k, b.len() / k);
    assert_eq!((a.len(), b.len(), out.len()), (m * k, n * k, m * n), "a is not [m, k], b not [n, k] or out not [m, n]");
    if !out.is_empty() {
        backend::matmul_f32(a, b, k, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs<A: Strategy, B: Strategy>(a: A, b: B) -> impl Strategy<Value = (Vec<A::Value>, Vec<B::Value>)> {
        prop::collection::vec((a, b), 0..200).prop_map(|pairs| pairs.into_iter().unzip())
    }

    fn component() -> impl Strategy<Value = f32> {
        prop_oneof![-1.0f32..1.0, -1e18f32..1e18, Just(0.0), Just(-0.0), Just(f32::MIN_POSITIVE)]
    }

    proptest! {
        #[test]
        fn integer_dots_equal_their_scalar_twin((query, code) in pairs(any::<i16>(), any::<i8>())) {
            prop_assert_eq!(dot_i16_i8(&query, &code), scalar::dot_i16_i8(&query, &code));
        }

        #[test]
        fn float_dots_have_the_bits_of_their_scalar_twin((a, b) in pairs(component(), component())) {
            prop_assert_eq!(dot_f32(&a, &b).to_bits(), scalar::dot_f32(&a, &b).to_bits());
        }

        #[test]
        fn scan_gather_and_gemv_are_dots_of_rows(dim in 1usize..70, rows in 0usize..11, seed in any::<u32>()) {
            let codes: Vec<i8> = (0..dim * rows).map(|i| (seed.wrapping_mul(i as u32 * 2 + 1) >> 24) as i8).collect();
            let query: Vec<i16> = (0..dim).map(|i| (seed.wrapping_add(i as u32 * 7919) % 16383) as i16 - 8191).collect();
            let expected: Vec<i32> = codes.chunks(dim).map(|row| scalar::dot_i16_i8(&query, row)).collect();
            let mut scanned = vec![0; rows];
            scan_i16_i8(&query, &codes, &mut scanned);
            prop_assert_eq!(&scanned, &expected);
            let mut gathered = vec![7];
            gather_i16_i8(&query, &codes, &(0..rows as u32).collect::<Vec<_>>(), &mut gathered);
            prop_assert_eq!(&gathered, &expected);

            let matrix: Vec<f32> = codes.iter().map(|&c| f32::from(c) / 3.0).collect();
            let x: Vec<f32> = query.iter().map(|&q| f32::from(q) / 7.0).collect();
            let mut out = vec![0.0; rows];
            gemv_f32(&matrix, &x, &mut out);
            let mut gathered = vec![7.0];
            gather_f32(&x, &matrix, &(0..rows as u32).rev().collect::<Vec<_>>(), &mut gathered);
            prop_assert_eq!(gathered.len(), rows);
            // Every row with every row.
            let mut products = vec![0.0; rows * rows];
            matmul_f32(&matrix, &matrix, dim, &mut products);
            for (product, pair) in products.iter().zip((0..rows).flat_map(|a| (0..rows).map(move |b| [a, b]))) {
                let [a, b] = pair.map(|row| &matrix[row * dim..][..dim]);
                prop_assert_eq!(product.to_bits(), scalar::dot_f32(a, b).to_bits());
            }
            for ((row, value), gathered) in matrix.chunks(dim).zip(out).zip(gathered.into_iter().rev()) {
                let expected = scalar::dot_f32(row, &x).to_bits();
                prop_assert_eq!((value.to_bits(), gathered.to_bits()), (expected, expected));
            }
        }
    }

    proptest! {
        #[test]
        fn nibbles_give_the_sums_of_their_components(
            dim in 1usize..150, rows in 0usize..11, seed in any::<u32>(),
        ) {
            let component = |i: usize| (seed.wrapping_mul(i as u32 * 2 + 1) >> 28) as u8;
            let stride = nibble_stride(dim);
            let mut codes = vec![0u8; rows * stride];
            for row in 0..rows {
                for at in 0..dim {
                    let (byte, shift) = scalar::nibble_place(at % NIBBLE_BLOCK);
                    codes[row * stride + at / NIBBLE_BLOCK * 16 + byte] |= component(row * dim + at) << shift;
                }
            }
            let query: Vec<i16> = (0..dim).map(|i| (seed.wrapping_add(i as u32 * 7919) % 16383) as i16 - 8191).collect();
            let sum = |row| (0..dim).map(|at| i32::from(query[at]) * i32::from(component(row * dim + at))).sum();
            let expected: Vec<i32> = (0..rows).map(sum).collect();
            let query = NibbleQuery::new(&query);
            let mut scanned = vec![0; rows];
            scan_i16_u4(&query, &codes, &mut scanned);
            prop_assert_eq!(&scanned, &expected);
            scalar::scan_i16_u4(&query, &codes, &mut scanned);
            prop_assert_eq!(&scanned, &expected);
            let mut gathered = vec![7];
            gather_i16_u4(&query, &codes, &(0..rows as u32).collect::<Vec<_>>(), &mut gathered);
            prop_assert_eq!(&gathered, &expected);
        }
    }

    #[test]
    fn the_largest_dot_fits() {
        let dot = dot_i16_i8(&[-QUERY_MAX; MAX_DIM], &[-128; MAX_DIM]);
        assert_eq!(i64::from(dot), LARGEST_DOT);
    }
}
