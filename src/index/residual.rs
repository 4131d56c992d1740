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
use crate::kernels::{NIBBLE_BLOCK, nibble_stride};

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
    pub(super) fn coarse_scores(&self, query: &QueryCode) -> Scores<'a> {
        // The coarse code of a row is its nibble less 8, and stands for the middle of what its fine bits can say.
        Scores { steps: self.steps, factor: (1 << self.fine_bits.bits()) as f32, shift: -7.5 * query.sum() as f32 }
    }

    /// How the dot products of `query` with whole codes become scores.
    pub(super) fn whole_scores(&self, query: &QueryCode) -> Scores<'a> {
        Scores { steps: self.steps, factor: 1.0, shift: 0.5 * query.sum() as f32 }
    }

    pub(super) fn coarse_row(&self, node: NodeId) -> &'a [u8] {
        let stride = nibble_stride(self.dim);
        &self.coarse[node.row() * stride..][..stride]
    }

    /// The whole codes of a row, as signed numbers.
    pub(super) fn codes_into(&self, node: NodeId, out: &mut [i8]) {
        let coarse = self.coarse_row(node);
        let (bits, stride) = (self.fine_bits.bits(), self.fine_bits.stride(self.dim));
        for (block, out) in coarse.as_chunks::<{ NIBBLE_BLOCK / 2 }>().0.iter().zip(out.chunks_mut(NIBBLE_BLOCK)) {
            let mut codes = [0; NIBBLE_BLOCK];
            for (at, code) in codes.iter_mut().enumerate() {
                let (byte, shift) = nibble_place(at);
                *code = ((block[byte] >> shift & 0x0f) as i8 - 8) << bits;
            }
            out.copy_from_slice(&codes[..out.len()]);
        }
        let fine = &self.fine[node.row() * stride..][..stride];
        match self.fine_bits {
            FineBits::None => {}
            FineBits::Two => {
                for (byte, codes) in fine.iter().zip(out.chunks_mut(4)) {
                    codes.iter_mut().zip([0, 2, 4, 6]).for_each(|(code, shift)| *code |= (byte >> shift & 3) as i8);
                }
            }
            FineBits::Four => {
                for (byte, codes) in fine.iter().zip(out.chunks_mut(2)) {
                    codes.iter_mut().zip([0, 4]).for_each(|(code, shift)| *code |= (byte >> shift & 15) as i8);
                }
            }
        }
    }

    /// Adds the residual of `node` to `out`, which holds the centroid.
    pub(super) fn add_residual(&self, node: NodeId, codes: &mut [i8], out: &mut [f32]) {
        self.codes_into(node, codes);
        let step = self.steps.step(self.bytes[node.row()]);
        for (out, &code) in out.iter_mut().zip(codes.iter()) {
            *out += step * (f32::from(code) + 0.5);
        }
    }
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
