//! AVX2 where the processor has it, the scalar form elsewhere.

use std::arch::x86_64::{
    __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_shuffle_epi32, _mm_storeu_si128, _mm256_add_epi32,
    _mm256_add_ps, _mm256_and_si256, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_extracti128_si256,
    _mm256_hadd_epi32, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_ps, _mm256_set1_epi16,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_srli_epi16, _mm256_storeu_ps, _mm256_zextsi128_si256,
};

use super::{LANES, NibbleQuery, nibble_stride, scalar};

/// Defines the run-time choice between the AVX2 form in [`avx2`] and the scalar twin. The standard library caches the
/// answer of the processor.
macro_rules! choose {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)?;)*) => {$(
        pub(super) fn $name($($arg: $type),*) $(-> $out)? {
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the function's one requirement is AVX2, which has just been detected.
                unsafe { avx2::$name($($arg),*) }
            } else {
                scalar::$name($($arg),*)
            }
        }
    )*};
}

choose! {
    dot_i16_i8(query: &[i16], code: &[i8]) -> i32;
    gather_i16_i8(query: &[i16], codes: &[i8], rows: &[u32], out: &mut Vec<i32>);
    scan_i16_i8(query: &[i16], codes: &[i8], out: &mut [i32]);
    scan_i16_u4(query: &NibbleQuery, codes: &[u8], out: &mut [i32]);
    gather_i16_u4(query: &NibbleQuery, codes: &[u8], rows: &[u32], out: &mut Vec<i32>);
    dot_f32(a: &[f32], b: &[f32]) -> f32;
    gather_f32(x: &[f32], matrix: &[f32], rows: &[u32], out: &mut Vec<f32>);
    gemv_f32(matrix: &[f32], x: &[f32], out: &mut [f32]);
    matmul_f32(a: &[f32], b: &[f32], k: usize, out: &mut [f32]);
}

mod avx2 {
    #[allow(clippy::wildcard_imports, reason = "the half of this file behind one target feature")]
    use super::*;

    #[target_feature(enable = "avx2")]
    pub(super) fn dot_i16_i8(query: &[i16], code: &[i8]) -> i32 {
        let (query, query_tail) = query.as_chunks::<16>();
        let (code, code_tail) = code.as_chunks::<16>();
        let mut sum = _mm256_setzero_si256();
        for (q, c) in query.iter().zip(code) {
            // SAFETY: `q` is an array of 32 readable bytes; the load needs no alignment.
            let q = unsafe { _mm256_loadu_si256(q.as_ptr().cast()) };
            // SAFETY: `c` is an array of 16 readable bytes; the load needs no alignment.
            let c = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(c.as_ptr().cast()) });
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(q, c));
        }
        add_lanes(sum).wrapping_add(scalar::dot_i16_i8(query_tail, code_tail))
    }

    #[target_feature(enable = "avx2")]
    fn add_lanes(sum: __m256i) -> i32 {
        let four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b00_00_11_10>(four));
        _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b00_00_00_01>(two)))
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn gather_i16_i8(query: &[i16], codes: &[i8], rows: &[u32], out: &mut Vec<i32>) {
        for &row in rows {
            out.push(dot_i16_i8(query, scalar::row(codes, row, query.len())));
        }
    }

    /// Adds the products of 16 components to `sum`.
    #[target_feature(enable = "avx2")]
    fn add_sixteen(sum: &mut __m256i, q: __m256i, codes: &[i8; 16]) {
        // SAFETY: `codes` is an array of 16 readable bytes; the load needs no alignment.
        let codes = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(codes.as_ptr().cast()) });
        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(q, codes));
    }

    /// Rows are taken by four, so that each part of the query is read once for them and their lanes are added together.
    /// Here and below nothing is mapped by a closure: what `map` calls is compiled without the function's instructions.
    #[target_feature(enable = "avx2")]
    pub(super) fn scan_i16_i8(query: &[i16], codes: &[i8], out: &mut [i32]) {
        let row = |row: usize| &codes[row * query.len()..][..query.len()];
        let (sixteens, tail) = query.as_chunks::<16>();
        let first_of_tail = query.len() - tail.len();
        let (fours, rest) = out.as_chunks_mut::<4>();
        let first_of_rest = fours.len() * 4;
        for (block, out) in fours.iter_mut().enumerate() {
            let r = block * 4;
            let rows = [row(r), row(r + 1), row(r + 2), row(r + 3)];
            let [a, b, c, d] = rows;
            let in_rows = a.as_chunks().0.iter().zip(b.as_chunks().0).zip(c.as_chunks().0).zip(d.as_chunks().0);
            let mut sums = [_mm256_setzero_si256(); 4];
            for (q, (((a, b), c), d)) in sixteens.iter().zip(in_rows) {
                // SAFETY: `q` is an array of 32 readable bytes; the load needs no alignment.
                let q = unsafe { _mm256_loadu_si256(q.as_ptr().cast()) };
                add_sixteen(&mut sums[0], q, a);
                add_sixteen(&mut sums[1], q, b);
                add_sixteen(&mut sums[2], q, c);
                add_sixteen(&mut sums[3], q, d);
            }
            *out = across(sums);
            if !tail.is_empty() {
                for (out, row) in out.iter_mut().zip(rows) {
                    *out = out.wrapping_add(scalar::dot_i16_i8(tail, &row[first_of_tail..]));
                }
            }
        }
        for (r, out) in rest.iter_mut().enumerate() {
            *out = dot_i16_i8(query, row(first_of_rest + r));
        }
    }

    /// Adds the products of one pair of blocks to `sum`: two blocks of codes against the query's lanes for them.
    #[target_feature(enable = "avx2")]
    fn add_nibbles(sum: __m256i, codes: __m256i, lanes: &[i16; 64]) -> __m256i {
        let mask = _mm256_set1_epi16(0x0f);
        let components = [
            _mm256_and_si256(codes, mask),
            _mm256_and_si256(_mm256_srli_epi16::<4>(codes), mask),
            _mm256_and_si256(_mm256_srli_epi16::<8>(codes), mask),
            _mm256_srli_epi16::<12>(codes),
        ];
        let (lanes, _) = lanes.as_chunks::<16>();
        components.into_iter().zip(lanes).fold(sum, |sum, (components, lanes)| {
            // SAFETY: `lanes` is an array of 32 readable bytes; the load needs no alignment.
            let query = unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) };
            _mm256_add_epi32(sum, _mm256_madd_epi16(query, components))
        })
    }

    /// The sums of `R` rows, not yet added across lanes: independent sums hide the latency of the multiplication.
    #[target_feature(enable = "avx2")]
    fn nibble_sums<const R: usize>(query: &NibbleQuery, rows: [&[u8]; R]) -> [__m256i; R] {
        let (pairs, _) = query.lanes.as_chunks::<64>();
        let mut sums = [_mm256_setzero_si256(); R];
        for (at, lanes) in pairs.iter().enumerate() {
            for (sum, row) in sums.iter_mut().zip(rows) {
                let (whole, rest) = row.as_chunks::<32>();
                let codes = match (whole.get(at), rest.first_chunk::<16>()) {
                    // SAFETY: `pair` is an array of 32 readable bytes; the load needs no alignment.
                    (Some(pair), _) => unsafe { _mm256_loadu_si256(pair.as_ptr().cast()) },
                    // SAFETY: `block` is an array of 16 readable bytes; the load needs no alignment.
                    (None, Some(block)) => _mm256_zextsi128_si256(unsafe { _mm_loadu_si128(block.as_ptr().cast()) }),
                    (None, None) => _mm256_setzero_si256(),
                };
                *sum = add_nibbles(*sum, codes, lanes);
            }
        }
        sums
    }

    #[target_feature(enable = "avx2")]
    fn four_nibble_dots(query: &NibbleQuery, rows: [&[u8]; 4]) -> [i32; 4] {
        across(nibble_sums(query, rows))
    }

    /// The sum of the lanes of each of four registers.
    #[target_feature(enable = "avx2")]
    fn across([a, b, c, d]: [__m256i; 4]) -> [i32; 4] {
        let sums = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let mut out = [0; 4];
        // SAFETY: `out` is an array of 16 writable bytes; the store needs no alignment.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
        out
    }

    #[target_feature(enable = "avx2")]
    fn one_nibble_dot(query: &NibbleQuery, row: &[u8]) -> i32 {
        add_lanes(nibble_sums(query, [row])[0])
    }

    #[target_feature(enable = "avx2")]
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

    #[target_feature(enable = "avx2")]
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

    #[target_feature(enable = "avx2")]
    pub(super) fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
        dots([a], b)[0]
    }

    /// The dot products of `R` rows with `x`: independent sums hide the latency of the addition.
    #[target_feature(enable = "avx2")]
    fn dots<const R: usize>(rows: [&[f32]; R], x: &[f32]) -> [f32; R] {
        let (x, x_tail) = x.as_chunks::<LANES>();
        let rows = rows.map(|row| row.as_chunks::<LANES>());
        let mut sums = [_mm256_setzero_ps(); R];
        for (i, x) in x.iter().enumerate() {
            // SAFETY: `x` is an array of eight readable f32; the load needs no alignment.
            let x = unsafe { _mm256_loadu_ps(x.as_ptr()) };
            for (sum, (row, _)) in sums.iter_mut().zip(&rows) {
                // SAFETY: the indexed element is an array of eight readable f32; the load needs no alignment.
                let row = unsafe { _mm256_loadu_ps(row[i].as_ptr()) };
                *sum = _mm256_add_ps(*sum, _mm256_mul_ps(row, x));
            }
        }
        let mut out = [0.0; R];
        for (out, (sum, (_, tail))) in out.iter_mut().zip(sums.into_iter().zip(rows)) {
            let mut lanes = [0.0; LANES];
            // SAFETY: `lanes` is an array of eight writable f32; the store needs no alignment.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
            scalar::add_tail(&mut lanes, tail, x_tail);
            *out = scalar::reduce(lanes);
        }
        out
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn gather_f32(x: &[f32], matrix: &[f32], rows: &[u32], out: &mut Vec<f32>) {
        let row = |row: u32| scalar::row(matrix, row, x.len());
        let (fours, rest) = rows.as_chunks::<4>();
        for four in fours {
            out.extend(dots(four.map(row), x));
        }
        for &r in rest {
            out.push(dot_f32(row(r), x));
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn gemv_f32(matrix: &[f32], x: &[f32], out: &mut [f32]) {
        let cols = x.len();
        let row = |r: usize| &matrix[r * cols..][..cols];
        let (fours, rest) = out.as_chunks_mut::<4>();
        let first_of_rest = fours.len() * 4;
        for (block, out) in fours.iter_mut().enumerate() {
            let r = block * 4;
            *out = dots([row(r), row(r + 1), row(r + 2), row(r + 3)], x);
        }
        for (r, out) in rest.iter_mut().enumerate() {
            *out = dot_f32(row(first_of_rest + r), x);
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn matmul_f32(a: &[f32], b: &[f32], k: usize, out: &mut [f32]) {
        for (row, out) in a.chunks_exact(k).zip(out.chunks_exact_mut(b.len() / k)) {
            gemv_f32(b, row, out);
        }
    }
}
