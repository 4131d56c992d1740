//! The kernels without SIMD: what every other form is compared with.

use super::{LANES, NIBBLE_BLOCK, NibbleQuery, nibble_stride};

/// Adds the lanes of an `f32` sum in the one fixed order.
#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline]
pub fn reduce(lanes: [f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Adds the products of fewer than [`LANES`] last elements to their lanes.
#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline]
pub(super) fn add_tail(lanes: &mut [f32; LANES], a: &[f32], b: &[f32]) {
    for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
        *lane += a * b;
    }
}

/// See [`super::dot_i16_i8`].
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn dot_i16_i8(query: &[i16], code: &[i8]) -> i32 {
    query.iter().zip(code).fold(0i32, |sum, (&q, &c)| sum.wrapping_add(i32::from(q) * i32::from(c)))
}

/// See [`super::gather_i16_i8`].
pub fn gather_i16_i8(query: &[i16], codes: &[i8], rows: &[u32], out: &mut Vec<i32>) {
    out.extend(rows.iter().map(|&row| dot_i16_i8(query, self::row(codes, row, query.len()))));
}

/// See [`super::scan_i16_i8`].
pub fn scan_i16_i8(query: &[i16], codes: &[i8], out: &mut [i32]) {
    for (row, out) in out.iter_mut().enumerate() {
        *out = dot_i16_i8(query, &codes[row * query.len()..][..query.len()]);
    }
}

/// See [`super::scan_i16_u4`].
pub fn scan_i16_u4(query: &NibbleQuery, codes: &[u8], out: &mut [i32]) {
    let stride = nibble_stride(query.plain.len());
    for (row, out) in out.iter_mut().enumerate() {
        *out = dot_i16_u4(&query.plain, &codes[row * stride..][..stride]);
    }
}

/// See [`super::gather_i16_u4`].
pub fn gather_i16_u4(query: &NibbleQuery, codes: &[u8], rows: &[u32], out: &mut Vec<i32>) {
    let stride = nibble_stride(query.plain.len());
    out.extend(rows.iter().map(|&row| dot_i16_u4(&query.plain, &codes[row as usize * stride..][..stride])));
}

/// The inner product of a query in its own order and one row of nibbles.
fn dot_i16_u4(query: &[i16], row: &[u8]) -> i32 {
    let blocks = query.chunks(NIBBLE_BLOCK).zip(row.as_chunks::<{ NIBBLE_BLOCK / 2 }>().0);
    blocks.fold(0i32, |sum, (query, block)| {
        query.iter().enumerate().fold(sum, |sum, (at, &q)| {
            let (byte, shift) = nibble_place(at);
            sum.wrapping_add(i32::from(q) * i32::from(block[byte] >> shift & 0x0f))
        })
    })
}

/// Where component `at` of a block of nibbles lies: its byte, and the shift within it. Eight 16-bit words hold four nibbles
/// each, and word `at % 8` holds component `at` as its nibble `at / 8`: a shift and a mask give eight components as 16-bit
/// lanes, with nothing to widen.
pub const fn nibble_place(at: usize) -> (usize, usize) {
    let (word, nibble) = (at % 8, at / 8);
    (2 * word + nibble / 2, 4 * (nibble % 2))
}

/// See [`super::dot_f32`].
#[cfg_attr(hot_is_fast, optimize(speed))]
pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    add_tail(&mut lanes, a_tail, b_tail);
    reduce(lanes)
}

/// See [`super::gather_f32`].
pub fn gather_f32(x: &[f32], matrix: &[f32], rows: &[u32], out: &mut Vec<f32>) {
    out.extend(rows.iter().map(|&row| dot_f32(self::row(matrix, row, x.len()), x)));
}

/// See [`super::gemv_f32`].
pub fn gemv_f32(matrix: &[f32], x: &[f32], out: &mut [f32]) {
    for (row, out) in out.iter_mut().enumerate() {
        *out = dot_f32(&matrix[row * x.len()..][..x.len()], x);
    }
}

/// See [`super::matmul_f32`].
pub fn matmul_f32(a: &[f32], b: &[f32], k: usize, out: &mut [f32]) {
    for (row, out) in a.chunks_exact(k).zip(out.chunks_exact_mut(b.len() / k)) {
        gemv_f32(b, row, out);
    }
}

/// Row `row` of a row-major matrix with `dim` columns.
#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline]
pub(super) fn row<T>(matrix: &[T], row: u32, dim: usize) -> &[T] {
    &matrix[row as usize * dim..][..dim]
}
