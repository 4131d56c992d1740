//! Residual codes: what a vector is beyond the centroid of its cell, in 4, 6 or 8 bits per component.
//!
//! A component is `step * (code + 1/2)`, where `code` is a whole number of `4 + fine` bits. Its upper four bits make the
//! *coarse* plane, which a search scans; the `fine` lower bits make a plane of their own, which is read only for a short list.
//! A step is one byte: `2^exponent * 2^((byte - 255) / 8)`, or 0 for the byte 0, with one exponent for all rows.
//!
//! Codes are chosen so that the error hurts where it counts. A query that finds `x` points about where `x` points, so an error
//! along `x` changes its score more than one across it (Guo et al., "Accelerating large-scale inference with anisotropic
//! vector quantization", 2020): the encoder minimises `|e|² + η (e·x/|x|)²`.

use super::{NodeId, QueryCode};
use crate::kernels::scalar::nibble_place;
use crate::kernels::{self, NIBBLE_BLOCK, nibble_stride};

/// Steps per octave.
const STEPS_PER_OCTAVE: i32 = 8;
/// `2^(i/8)`, rounded to `f32`.
const OCTAVE: [f32; STEPS_PER_OCTAVE as usize] =
    [1.0, 1.090_507_7, 1.189_207_1, 1.296_839_6, std::f32::consts::SQRT_2, 1.542_210_8, 1.681_792_9, 1.834_008_1];

/// Bits per component of the fine plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FineBits {
    /// No fine plane: 4 bits per component in all.
    None,
    /// 6 bits per component in all.
    Two,
    /// 8 bits per component in all.
    Four,
}

impl FineBits {
    /// From the coarsest to the finest.
    pub const ALL: [Self; 3] = [Self::None, Self::Two, Self::Four];

    /// How many bits.
    pub const fn bits(self) -> usize {
        match self {
            Self::None => 0,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// The plane with so many bits.
    pub const fn from_bits(bits: usize) -> Option<Self> {
        match bits {
            0 => Some(Self::None),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            _ => None,
        }
    }

    /// Bytes of a row of the fine plane.
    pub const fn stride(self, dim: usize) -> usize {
        (dim * self.bits()).div_ceil(8)
    }
}

/// The exponents that steps may have: what is beyond has no use and would overflow.
pub const EXPONENTS: std::ops::RangeInclusive<i8> = -90..=90;

/// All steps for one exponent, by byte.
#[derive(Debug, Clone)]
pub struct Steps([f32; 256]);

impl Steps {
    /// The steps for `exponent`, which lies in [`EXPONENTS`].
    pub fn new(exponent: i8) -> Self {
        Self(std::array::from_fn(|byte| match byte as i32 - 255 {
            -255 => 0.0,
            below => {
                let octaves = i32::from(exponent) + below.div_euclid(STEPS_PER_OCTAVE);
                let power = f32::from_bits(((octaves + 127).clamp(1, 254) as u32) << 23);
                power * OCTAVE[below.rem_euclid(STEPS_PER_OCTAVE) as usize]
            }
        }))
    }

    /// The step that a byte stands for.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    pub fn step(&self, byte: u8) -> f32 {
        self.0[usize::from(byte)]
    }
}

/// Residual codes of all rows, as searches read them.
#[derive(Debug, Clone, Copy)]
pub struct ResidualView<'a> {
    pub(super) dim: usize,
    pub(super) fine_bits: FineBits,
    pub(super) coarse: &'a [u8],
    pub(super) fine: &'a [u8],
    pub(super) bytes: &'a [u8],
    pub(super) steps: &'a Steps,
}

/// The working memory of [`ResidualView::refine`].
#[derive(Debug, Default)]
pub(super) struct FineScratch {
    codes: Vec<i8>,
    dots: Vec<i32>,
}

impl<'a> ResidualView<'a> {
    /// Joins the planes, row-major, and one step byte per row.
    ///
    /// # Panics
    /// If the lengths do not agree.
    pub fn new(
        (dim, fine_bits): (usize, FineBits),
        coarse: &'a [u8],
        fine: &'a [u8],
        bytes: &'a [u8],
        steps: &'a Steps,
    ) -> Self {
        let rows = bytes.len();
        assert_eq!(coarse.len(), rows * nibble_stride(dim), "the coarse plane has another number of rows");
        assert_eq!(fine.len(), rows * fine_bits.stride(dim), "the fine plane has another number of rows");
        Self { dim, fine_bits, coarse, fine, bytes, steps }
    }

    /// Components of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How the dot products of `query` with rows of the coarse plane become scores.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    pub(super) fn coarse_scores(&self, query: &QueryCode) -> Scores<'a> {
        // The coarse code of a row is its nibble less 8, and stands for the middle of what its fine bits can say.
        Scores { steps: self.steps, factor: (1 << self.fine_bits.bits()) as f32, shift: -7.5 * query.sum() as f32 }
    }

    /// How the dot products of `query` with whole codes become scores.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    pub(super) fn whole_scores(&self, query: &QueryCode) -> Scores<'a> {
        Scores { steps: self.steps, factor: 1.0, shift: 0.5 * query.sum() as f32 }
    }

    pub(super) fn coarse_row(&self, node: NodeId) -> &'a [u8] {
        let stride = nibble_stride(self.dim);
        &self.coarse[node.row() * stride..][..stride]
    }

    /// The exact inner products of `query` with the whole codes of `rows` in place of those with their coarse ones. `fine` is
    /// a buffer.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    pub(super) fn refine(&self, query: &QueryCode, rows: &[u32], dots: &mut [i32], fine: &mut FineScratch) {
        let FineScratch { codes, dots: of_fine } = fine;
        // A code is its nibble less 8, times what the fine bits count to, and those.
        let (shift, bits) = (8 * query.sum(), self.fine_bits.bits());
        dots.iter_mut().for_each(|dot| *dot = (*dot - shift) << bits);
        if self.fine_bits != FineBits::None {
            self.fine_into(rows, codes);
            of_fine.resize(rows.len(), 0);
            kernels::scan_i16_i8(query.code(), codes, of_fine);
            dots.iter_mut().zip(of_fine).for_each(|(dot, fine)| *dot += *fine);
        }
    }

    /// Puts the fine bits of `rows` into `out`, row-major, a number for each component.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn fine_into(&self, rows: &[u32], out: &mut Vec<i8>) {
        out.clear();
        // Eight are written at a time: what goes beyond the end of a row is overwritten by the next.
        out.resize(rows.len() * self.dim + 7, 0);
        match self.fine_bits {
            FineBits::None => {}
            FineBits::Two => self.spread_rows(rows, out, |packed: [u8; 2]| {
                let bytes = halves(u16::from_le_bytes(packed).into(), 24, 0x0000_00ff_0000_00ff);
                halves(halves(bytes, 12, 0x000f_000f_000f_000f), 6, 0x0303_0303_0303_0303)
            }),
            FineBits::Four => self.spread_rows(rows, out, |packed: [u8; 4]| {
                let words = halves(u32::from_le_bytes(packed).into(), 16, 0x0000_ffff_0000_ffff);
                halves(halves(words, 8, 0x00ff_00ff_00ff_00ff), 4, 0x0f0f_0f0f_0f0f_0f0f)
            }),
        }
        out.truncate(rows.len() * self.dim);
    }

    /// [`ResidualView::fine_into`], where `spread` makes eight bytes of as many packed numbers.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    fn spread_rows<const N: usize>(&self, rows: &[u32], out: &mut [i8], spread: impl Fn([u8; N]) -> u64) {
        let stride = self.fine_bits.stride(self.dim);
        for (&row, at) in rows.iter().zip((0..).step_by(self.dim)) {
            let (whole, rest) = self.fine[row as usize * stride..][..stride].as_chunks::<N>();
            let mut last = [0; N];
            last[..rest.len()].copy_from_slice(rest);
            let last = Some(last).filter(|_| !rest.is_empty());
            let eights = out[at..].as_chunks_mut::<8>().0;
            for (&packed, out) in whole.iter().chain(&last).zip(eights) {
                *out = bytemuck::cast(spread(packed).to_le_bytes());
            }
        }
    }

    /// Adds the residual of `node` to `out`, which holds the centroid.
    pub(super) fn add_residual(&self, node: NodeId, out: &mut [f32]) {
        let (step, bits) = (self.steps.step(self.bytes[node.row()]), self.fine_bits.bits());
        let (mut fine, coarse) = (Vec::new(), self.coarse_row(node));
        self.fine_into(&[node.0], &mut fine);
        for (at, (out, fine)) in out.iter_mut().zip(fine).enumerate() {
            let (byte, shift) = nibble_place(at % NIBBLE_BLOCK);
            let nibble = coarse[at / NIBBLE_BLOCK * (NIBBLE_BLOCK / 2) + byte] >> shift & 0x0f;
            let code = (i32::from(nibble) - 8) << bits | i32::from(fine);
            *out += step * (code as f32 + 0.5);
        }
    }
}

/// Moves the upper half of each group of bits away by so many; `mask` is where both halves are then.
#[cfg_attr(hot_is_fast, optimize(speed))]
#[inline]
fn halves(groups: u64, by: u32, mask: u64) -> u64 {
    (groups | groups << by) & mask
}

/// From dot products with codes to scores, which leave out the query's scale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scores<'a> {
    steps: &'a Steps,
    factor: f32,
    shift: f32,
}

impl Scores<'_> {
    /// The score of a row with this step byte, in a cell whose centroid has the score `base`.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    #[inline]
    pub(super) fn score(&self, base: f32, dot: i32, byte: u8) -> f32 {
        base + self.steps.step(byte) * (self.factor * (dot as f32 + self.shift))
    }
}

/// Residual codes that own their planes.
#[derive(Debug, Clone)]
pub struct ResidualCodes {
    dim: usize,
    fine_bits: FineBits,
    exponent: i8,
    coarse: Vec<u8>,
    fine: Vec<u8>,
    bytes: Vec<u8>,
    steps: Steps,
}

impl PartialEq for ResidualCodes {
    /// Steps follow from the exponent.
    fn eq(&self, other: &Self) -> bool {
        let Self { dim, fine_bits, exponent, coarse, fine, bytes, steps: _ } = self;
        (dim, fine_bits, exponent) == (&other.dim, &other.fine_bits, &other.exponent)
            && (coarse, fine, bytes) == (&other.coarse, &other.fine, &other.bytes)
    }
}

impl ResidualCodes {
    /// Joins the planes, row-major, and one step byte per row.
    ///
    /// # Panics
    /// If the lengths do not agree.
    pub fn from_parts(
        (dim, fine_bits, exponent): (usize, FineBits, i8),
        coarse: Vec<u8>,
        fine: Vec<u8>,
        bytes: Vec<u8>,
    ) -> Self {
        let codes = Self { dim, fine_bits, exponent, coarse, fine, bytes, steps: Steps::new(exponent) };
        let _ = codes.view();
        codes
    }

    /// The codes, as searches read them.
    pub fn view(&self) -> ResidualView<'_> {
        ResidualView::new((self.dim, self.fine_bits), &self.coarse, &self.fine, &self.bytes, &self.steps)
    }

    /// The exponent of the steps.
    pub fn exponent(&self) -> i8 {
        self.exponent
    }

    /// Bits of the fine plane.
    pub fn fine_bits(&self) -> FineBits {
        self.fine_bits
    }

    /// Coarse plane, fine plane and step bytes.
    pub fn parts(&self) -> (&[u8], &[u8], &[u8]) {
        (&self.coarse, &self.fine, &self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index::testing::Random;

    /// The whole code of a component, as the format has it.
    fn code(codes: &ResidualView<'_>, row: usize, at: usize) -> i32 {
        let bits = codes.fine_bits.bits();
        let (byte, shift) = nibble_place(at % NIBBLE_BLOCK);
        let block = row * nibble_stride(codes.dim) + at / NIBBLE_BLOCK * (NIBBLE_BLOCK / 2);
        let nibble = i32::from(codes.coarse[block + byte] >> shift & 0x0f);
        let fine = match bits {
            0 => 0,
            _ => {
                codes.fine[row * codes.fine_bits.stride(codes.dim) + at * bits / 8] >> (at * bits % 8)
                    & ((1 << bits) - 1)
            }
        };
        ((nibble - 8) << bits) + i32::from(fine)
    }

    proptest! {
        #[test]
        fn refined_dots_and_residuals_are_those_of_whole_codes(
            seed in any::<u64>(), dim in 1usize..80, count in 1usize..9, bits in 0usize..3,
        ) {
            let mut random = Random::new(seed);
            let fine_bits = FineBits::ALL[bits];
            let mut bytes = |len: usize| -> Vec<u8> { (0..len).map(|_| (random.next() >> 56) as u8).collect() };
            let planes = (bytes(count * nibble_stride(dim)), bytes(count * fine_bits.stride(dim)));
            let owned = ResidualCodes::from_parts((dim, fine_bits, -3), planes.0, planes.1, bytes(count));
            let codes = owned.view();
            let query = QueryCode::new(&random.vector(dim));
            let rows: Vec<u32> = (0..count as u32).rev().collect();
            let mut dots = Vec::new();
            kernels::gather_i16_u4(query.nibbles(), codes.coarse, &rows, &mut dots);
            codes.refine(&query, &rows, &mut dots, &mut FineScratch::default());
            for (&row, dot) in rows.iter().zip(dots) {
                let code = |at| code(&codes, row as usize, at);
                let expected: i32 = query.code().iter().zip(0..).map(|(&q, at)| i32::from(q) * code(at)).sum();
                prop_assert_eq!(dot, expected);
                let mut residual = vec![0.0; dim];
                codes.add_residual(NodeId(row), &mut residual);
                let step = codes.steps.step(codes.bytes[row as usize]);
                let expected: Vec<f32> = (0..dim).map(|at| step * (code(at) as f32 + 0.5)).collect();
                prop_assert_eq!(residual, expected);
            }
        }
    }
}
