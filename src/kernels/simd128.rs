//! WebAssembly simd128. A module built with it runs only where simd128 exists, so there is nothing to detect.

use std::arch::wasm32::{
    f32x4_add, f32x4_mul, f32x4_splat, i16x8_extend_high_i8x16, i16x8_extend_low_i8x16, i16x8_splat, i32x4_add,
    i32x4_dot_i16x8, i32x4_extract_lane, i32x4_shuffle, i32x4_splat, u16x8_shr, v128, v128_and, v128_load, v128_store,
    v128_store64_lane,
};

use super::{LANES, NibbleQuery, nibble_stride, scalar};

#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn dot_i16_i8(query: &[i16], code: &[i8]) -> i32 {
    let (query, query_tail) = query.as_chunks::<16>();
    let (code, code_tail) = code.as_chunks::<16>();
    let (mut low, mut high) = (i32x4_splat(0), i32x4_splat(0));
    for (q, c) in query.iter().zip(code) {
        let (q_low, q_high) = q.split_at(8);
        // SAFETY: `c` is 16 readable bytes, and each half of `q` eight readable i16; the loads need no alignment.
        let (c, q_low, q_high) = unsafe {
            (v128_load(c.as_ptr().cast()), v128_load(q_low.as_ptr().cast()), v128_load(q_high.as_ptr().cast()))
        };
        low = i32x4_add(low, i32x4_dot_i16x8(q_low, i16x8_extend_low_i8x16(c)));
        high = i32x4_add(high, i32x4_dot_i16x8(q_high, i16x8_extend_high_i8x16(c)));
    }
    let sum = i32x4_add(low, high);
    i32x4_extract_lane::<0>(sum)
        .wrapping_add(i32x4_extract_lane::<1>(sum))
        .wrapping_add(i32x4_extract_lane::<2>(sum))
        .wrapping_add(i32x4_extract_lane::<3>(sum))
        .wrapping_add(scalar::dot_i16_i8(query_tail, code_tail))
}

#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn gather_i16_i8(query: &[i16], codes: &[i8], rows: &[u32], out: &mut Vec<i32>) {
    for &row in rows {
        out.push(dot_i16_i8(query, scalar::row(codes, row, query.len())));
    }
}

/// Adds the products of 16 components to `sum`.
#[inline(always)]
fn add_sixteen(sum: v128, [q_low, q_high]: [v128; 2], codes: &[i8; 16]) -> v128 {
    // SAFETY: `codes` is an array of 16 readable bytes; the load needs no alignment.
    let codes = unsafe { v128_load(codes.as_ptr().cast()) };
    let low = i32x4_dot_i16x8(q_low, i16x8_extend_low_i8x16(codes));
    let high = i32x4_dot_i16x8(q_high, i16x8_extend_high_i8x16(codes));
    i32x4_add(sum, i32x4_add(low, high))
}

/// Rows are taken by four, so that each part of the query is read once for them and their lanes are added together.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn scan_i16_i8(query: &[i16], codes: &[i8], out: &mut [i32]) {
    let row = |row: usize| &codes[row * query.len()..][..query.len()];
    let (sixteens, tail) = query.as_chunks::<16>();
    let first_of_tail = query.len() - tail.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let first_of_rest = fours.len() * 4;
    for (block, out) in fours.iter_mut().enumerate() {
        let first = block * 4;
        let rows = [row(first), row(first + 1), row(first + 2), row(first + 3)];
        let [row_a, row_b, row_c, row_d] = sixteens_of(rows);
        let zero = i32x4_splat(0);
        let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
        for (at, q) in sixteens.iter().enumerate() {
            let (low, high) = q.split_at(8);
            // SAFETY: each half is eight readable i16; the loads need no alignment.
            let q = unsafe { [v128_load(low.as_ptr().cast()), v128_load(high.as_ptr().cast())] };
            a = add_sixteen(a, q, &row_a[at]);
            b = add_sixteen(b, q, &row_b[at]);
            c = add_sixteen(c, q, &row_c[at]);
            d = add_sixteen(d, q, &row_d[at]);
        }
        *out = across([a, b, c, d]);
        for (out, row) in out.iter_mut().zip(rows) {
            *out = out.wrapping_add(scalar::dot_i16_i8(tail, &row[first_of_tail..]));
        }
    }
    for (r, out) in rest.iter_mut().enumerate() {
        *out = dot_i16_i8(query, row(first_of_rest + r));
    }
}

/// Four rows in parts of a register's length. Not `map` of an array, which a build for size calls.
#[inline(always)]
fn sixteens_of<T>([a, b, c, d]: [&[T]; 4]) -> [&[[T; 16]]; 4] {
    [a.as_chunks().0, b.as_chunks().0, c.as_chunks().0, d.as_chunks().0]
}

/// The sum of the lanes of each of four registers.
#[inline(always)]
fn across([a, b, c, d]: [v128; 4]) -> [i32; 4] {
    let low = i32x4_add(i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
    let high = i32x4_add(i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
    let sums = i32x4_add(i32x4_shuffle::<0, 1, 4, 5>(low, high), i32x4_shuffle::<2, 3, 6, 7>(low, high));
    let mut out = [0; 4];
    // SAFETY: `out` is an array of 16 writable bytes; the store needs no alignment.
    unsafe { v128_store(out.as_mut_ptr().cast(), sums) };
    out
}

/// Adds the products of one block of nibbles to `sum`. Inlined even where the build is for size: the registers are the point.
#[inline(always)]
fn add_block(sum: v128, query: [v128; 4], block: &[u8; 16]) -> v128 {
    let mask = i16x8_splat(0x0f);
    // SAFETY: `block` is an array of 16 readable bytes; the load needs no alignment.
    let codes = unsafe { v128_load(block.as_ptr().cast()) };
    let [q0, q1, q2, q3] = query;
    let first =
        i32x4_add(i32x4_dot_i16x8(q0, v128_and(codes, mask)), i32x4_dot_i16x8(q1, v128_and(u16x8_shr(codes, 4), mask)));
    let second =
        i32x4_add(i32x4_dot_i16x8(q2, v128_and(u16x8_shr(codes, 8), mask)), i32x4_dot_i16x8(q3, u16x8_shr(codes, 12)));
    i32x4_add(sum, i32x4_add(first, second))
}

/// The query's lanes for a block: a pair of blocks has the lanes of both behind each other, for each nibble.
#[inline(always)]
fn lanes_of(query: &[[i16; 8]], block: usize) -> [v128; 4] {
    let first = block / 2 * 8 + block % 2;
    // SAFETY: each is an array of 16 readable bytes; the loads need no alignment.
    let load = |at: usize| unsafe { v128_load(query[at].as_ptr().cast()) };
    [load(first), load(first + 2), load(first + 4), load(first + 6)]
}

#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline]
fn four_nibble_dots(query: &NibbleQuery, rows: [&[u8]; 4]) -> [i32; 4] {
    let (lanes, _) = query.lanes.as_chunks::<8>();
    let [row_a, row_b, row_c, row_d] = sixteens_of(rows);
    let zero = i32x4_splat(0);
    let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
    for (block, (((in_a, in_b), in_c), in_d)) in row_a.iter().zip(row_b).zip(row_c).zip(row_d).enumerate() {
        let query = lanes_of(lanes, block);
        a = add_block(a, query, in_a);
        b = add_block(b, query, in_b);
        c = add_block(c, query, in_c);
        d = add_block(d, query, in_d);
    }
    across([a, b, c, d])
}

#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline]
fn one_nibble_dot(query: &NibbleQuery, row: &[u8]) -> i32 {
    let (lanes, _) = query.lanes.as_chunks::<8>();
    let blocks = row.as_chunks::<16>().0.iter().enumerate();
    let sum = blocks.fold(i32x4_splat(0), |sum, (block, codes)| add_block(sum, lanes_of(lanes, block), codes));
    i32x4_extract_lane::<0>(sum)
        .wrapping_add(i32x4_extract_lane::<1>(sum))
        .wrapping_add(i32x4_extract_lane::<2>(sum))
        .wrapping_add(i32x4_extract_lane::<3>(sum))
}

#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn scan_i16_u4(query: &NibbleQuery, codes: &[u8], out: &mut [i32]) {
    let stride = nibble_stride(query.plain.len());
    let row = |row: usize| &codes[row * stride..][..stride];
    let (fours, rest) = out.as_chunks_mut::<4>();
    let first_of_rest = fours.len() * 4;
    for (block, out) in fours.iter_mut().enumerate() {
        let r = block * 4;
        *out = four_nibble_dots(query, [row(r), row(r + 1), row(r + 2), row(r + 3)]);
    }
    for (r, out) in rest.iter_mut().enumerate() {
        *out = one_nibble_dot(query, row(first_of_rest + r));
    }
}

#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn gather_i16_u4(query: &NibbleQuery, codes: &[u8], rows: &[u32], out: &mut Vec<i32>) {
    let stride = nibble_stride(query.plain.len());
    let row = |row: u32| &codes[row as usize * stride..][..stride];
    let (fours, rest) = rows.as_chunks::<4>();
    for &[a, b, c, d] in fours {
        out.extend(four_nibble_dots(query, [row(a), row(b), row(c), row(d)]));
    }
    for &r in rest {
        out.push(one_nibble_dot(query, row(r)));
    }
}

/// Eight neighbouring elements as two registers.
#[inline(always)]
fn load(chunk: &[f32; LANES]) -> [v128; 2] {
    let (low, high) = chunk.split_at(4);
    // SAFETY: each half is four readable f32; the loads need no alignment.
    unsafe { [v128_load(low.as_ptr().cast()), v128_load(high.as_ptr().cast())] }
}

/// The dot products of four rows with `x`. Rows and sums stand by themselves, not in arrays: a build for size keeps only these in
/// registers.
#[inline(always)]
fn four_dots((a, b, c, d): (&[f32], &[f32], &[f32], &[f32]), x: &[f32]) -> [f32; 4] {
    if !x.len().is_multiple_of(LANES) {
        return [dot_f32(a, x), dot_f32(b, x), dot_f32(c, x), dot_f32(d, x)];
    }
    let zero = [f32x4_splat(0.0); 2];
    let (mut of_a, mut of_b, mut of_c, mut of_d) = (zero, zero, zero, zero);
    for ((((x, a), b), c), d) in chunks(x).zip(chunks(a)).zip(chunks(b)).zip(chunks(c)).zip(chunks(d)) {
        let x = load(x);
        of_a = add_eight(of_a, x, a);
        of_b = add_eight(of_b, x, b);
        of_c = add_eight(of_c, x, c);
        of_d = add_eight(of_d, x, d);
    }
    let mut out = [0.0; 4];
    // SAFETY: `out` is four writable f32; the store needs no alignment.
    unsafe { v128_store(out.as_mut_ptr().cast(), reduce_four(of_a, of_b, of_c, of_d)) };
    out
}

#[inline(always)]
fn chunks(row: &[f32]) -> std::slice::Iter<'_, [f32; LANES]> {
    row.as_chunks().0.iter()
}

/// The order of `scalar::reduce`, for four sums at once: lanes of the two halves, then the first and third, the second and fourth.
#[inline(always)]
fn reduce_four(a: [v128; 2], b: [v128; 2], c: [v128; 2], d: [v128; 2]) -> v128 {
    let halves = |[low, high]: [v128; 2]| f32x4_add(low, high);
    let (a, b, c, d) = (halves(a), halves(b), halves(c), halves(d));
    let ab = f32x4_add(i32x4_shuffle::<0, 1, 4, 5>(a, b), i32x4_shuffle::<2, 3, 6, 7>(a, b));
    let cd = f32x4_add(i32x4_shuffle::<0, 1, 4, 5>(c, d), i32x4_shuffle::<2, 3, 6, 7>(c, d));
    f32x4_add(i32x4_shuffle::<0, 2, 4, 6>(ab, cd), i32x4_shuffle::<1, 3, 5, 7>(ab, cd))
}

/// The dot products of two rows with two others, of a length that is a multiple of [`LANES`]: `[ac, ad, bc, bd]`.
#[inline(always)]
fn two_by_two((a, b): (&[f32], &[f32]), (c, d): (&[f32], &[f32])) -> v128 {
    let zero = [f32x4_splat(0.0); 2];
    let (mut ac, mut ad, mut bc, mut bd) = (zero, zero, zero, zero);
    for (((a, b), c), d) in chunks(a).zip(chunks(b)).zip(chunks(c)).zip(chunks(d)) {
        let (a, b) = (load(a), load(b));
        ac = add_eight(ac, a, c);
        ad = add_eight(ad, a, d);
        bc = add_eight(bc, b, c);
        bd = add_eight(bd, b, d);
    }
    reduce_four(ac, ad, bc, bd)
}

/// Every product of two operands is read once for two rows of the other. Where rows end within a register, they are copied with zeros
/// behind them, which change no sum: those begin at +0 and so never are -0.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn matmul_f32(a: &[f32], b: &[f32], k: usize, out: &mut [f32]) {
    let n = b.len() / k;
    if !k.is_multiple_of(LANES) && a.len() > k {
        let padded = |rows: &[f32]| {
            let width = k.next_multiple_of(LANES);
            let mut padded = vec![0.0; rows.len() / k * width];
            padded.chunks_exact_mut(width).zip(rows.chunks_exact(k)).for_each(|(to, row)| to[..k].copy_from_slice(row));
            padded
        };
        return matmul_f32(&padded(a), &padded(b), k.next_multiple_of(LANES), out);
    }
    let (mut rows, mut pairs) = (a.chunks_exact(2 * k), out.chunks_exact_mut(2 * n));
    for (rows, out) in rows.by_ref().zip(pairs.by_ref()) {
        let (rows, (out_a, out_b)) = (rows.split_at(k), out.split_at_mut(n));
        let mut columns = b.chunks_exact(2 * k);
        let (mut places_a, mut places_b) = (out_a.chunks_exact_mut(2), out_b.chunks_exact_mut(2));
        for ((columns, to_a), to_b) in columns.by_ref().zip(places_a.by_ref()).zip(places_b.by_ref()) {
            let products = two_by_two(rows, columns.split_at(k));
            // SAFETY: both are two writable f32; the stores need no alignment.
            unsafe {
                v128_store64_lane::<0>(products, to_a.as_mut_ptr().cast());
                v128_store64_lane::<1>(products, to_b.as_mut_ptr().cast());
            }
        }
        if let ([to_a], [to_b]) = (places_a.into_remainder(), places_b.into_remainder()) {
            let column = columns.remainder();
            (*to_a, *to_b) = (dot_f32(column, rows.0), dot_f32(column, rows.1));
        }
    }
    let rest = pairs.into_remainder();
    if !rest.is_empty() {
        gemv_f32(b, rows.remainder(), rest);
    }
}

/// Adds the products of eight numbers to two registers of sums.
#[inline(always)]
fn add_eight([low, high]: [v128; 2], [x_low, x_high]: [v128; 2], row: &[f32; LANES]) -> [v128; 2] {
    let [row_low, row_high] = load(row);
    [f32x4_add(low, f32x4_mul(row_low, x_low)), f32x4_add(high, f32x4_mul(row_high, x_high))]
}

#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let zero = [f32x4_splat(0.0); 2];
    let [low, high] = a.iter().zip(b).fold(zero, |sums, (a, b)| add_eight(sums, load(b), a));
    let mut lanes = [0.0f32; LANES];
    let (first, second) = lanes.split_at_mut(4);
    // SAFETY: each half is four writable f32; the stores need no alignment.
    unsafe {
        v128_store(first.as_mut_ptr().cast(), low);
        v128_store(second.as_mut_ptr().cast(), high);
    }
    scalar::add_tail(&mut lanes, a_tail, b_tail);
    scalar::reduce(lanes)
}

#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn gather_f32(x: &[f32], matrix: &[f32], rows: &[u32], out: &mut Vec<f32>) {
    let row = |row: u32| scalar::row(matrix, row, x.len());
    let (fours, rest) = rows.as_chunks::<4>();
    for four in fours {
        let [a, b, c, d] = *four;
        out.extend(four_dots((row(a), row(b), row(c), row(d)), x));
    }
    for &r in rest {
        out.push(dot_f32(row(r), x));
    }
}

#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn gemv_f32(matrix: &[f32], x: &[f32], out: &mut [f32]) {
    let cols = x.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let (of_fours, of_rest) = matrix.split_at(fours.len() * 4 * cols);
    for (rows, out) in of_fours.chunks_exact((4 * cols).max(1)).zip(fours) {
        let (first, second) = rows.split_at(2 * cols);
        let ((a, b), (c, d)) = (first.split_at(cols), second.split_at(cols));
        *out = four_dots((a, b, c, d), x);
    }
    for (row, out) in of_rest.chunks_exact(cols.max(1)).zip(rest) {
        *out = dot_f32(row, x);
    }
}
