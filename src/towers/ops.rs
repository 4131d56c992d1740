//! The operations of a [`Program`](super::program::Program): what they check, how they run, how they are written.

mod functions;

use super::TowerError;
use super::program::{InputKind, MAX_VALUE, check, program_error, show_inputs};
use crate::bytes::Reader;
use crate::kernels;
use functions::rows;
pub use functions::{Binary, Reducer, Unary};

/// Most axes of a value.
pub(super) const MAX_RANK: usize = 6;

/// One operation. Operands (`a`, `b`, ...) are numbers of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Code 0: `out[p, i, j] = dot(a[p, i, ..], b[p, j, ..])`; shapes `[batch, m, k]`, `[batch, n, k]`, `[batch, m, n]`.
    MatMul {
        /// Left operand.
        a: u32,
        /// Right operand, its rows are the columns of the product.
        b: u32,
        /// Independent products.
        batch: u32,
        /// Rows of `a`.
        m: u32,
        /// Rows of `b`.
        n: u32,
        /// Length of a row.
        k: u32,
    },
    /// Code 1: an element-wise function; a stride of 0 repeats an operand along an axis.
    Binary {
        /// Which.
        function: Binary,
        /// Left operand.
        a: u32,
        /// Right operand.
        b: u32,
        /// Shape of the result and the strides of both operands, per axis.
        axes: Vec<[u32; 3]>,
    },
    /// Code 2: an element-wise function.
    Unary {
        /// Which.
        function: Unary,
        /// Operand.
        a: u32,
    },
    /// Code 3: folds the middle axis of `[outer, n, inner]`.
    Reduce {
        /// Which.
        function: Reducer,
        /// Operand.
        a: u32,
        /// Product of the axes before.
        outer: u32,
        /// The folded axis.
        n: u32,
        /// Product of the axes behind.
        inner: u32,
    },
    /// Code 4: rows of `table` (`[rows, width]`) named by an index input.
    Gather {
        /// The table.
        table: u32,
        /// An index input.
        indices: u32,
        /// Numbers in a row.
        width: u32,
    },
    /// Code 5: for each of `outer` steps, the next `chunk` numbers of each part.
    Concat {
        /// Steps.
        outer: u32,
        /// Operands and their chunks.
        parts: Vec<[u32; 2]>,
    },
    /// Code 6: the result's axis `i` is the operand's axis with this length and stride.
    Permute {
        /// Operand.
        a: u32,
        /// Length and stride per axis of the result.
        axes: Vec<[u32; 2]>,
    },
    /// Code 7: `count` entries of the middle axis of `[outer, n, inner]`, from `start` on, `step` apart (an `i32`).
    Slice {
        /// Operand.
        a: u32,
        /// Product of the axes before.
        outer: u32,
        /// The axis.
        n: u32,
        /// Product of the axes behind.
        inner: u32,
        /// The first entry.
        start: u32,
        /// Entries.
        count: u32,
        /// From one entry to the next; may be negative.
        step: i32,
    },
    /// Code 8: element-wise `a` where `condition` is not 0, else `b`.
    Select {
        /// What decides.
        condition: u32,
        /// Taken where it is not 0.
        a: u32,
        /// Taken where it is 0.
        b: u32,
        /// Shape of the result and the strides of the three operands, per axis.
        axes: Vec<[u32; 4]>,
    },
}

#[inline(never)]
fn product(factors: &[u32]) -> Result<usize, TowerError> {
    let product = factors.iter().try_fold(1_usize, |product, &factor| product.checked_mul(factor as usize));
    let product = product.unwrap_or(usize::MAX);
    check("size", product, 1, MAX_VALUE)?;
    Ok(product)
}

/// The places of a shape, whose axes begin with their lengths.
fn places<const N: usize>(axes: &[[u32; N]]) -> Result<usize, TowerError> {
    check("rank", axes.len(), 0, MAX_RANK)?;
    product(&column(axes, 0))
}

/// The last position that the strides at place `nth` of each axis reach, plus one.
fn extent<const N: usize>(axes: &[[u32; N]], nth: usize) -> Result<usize, TowerError> {
    reach(&column(axes, 0), &column(axes, nth))
}

fn column<const N: usize>(axes: &[[u32; N]], nth: usize) -> Vec<u32> {
    axes.iter().map(|axis| axis[nth]).collect()
}

#[inline(never)]
fn reach(lengths: &[u32], strides: &[u32]) -> Result<usize, TowerError> {
    let reach = lengths.iter().zip(strides).try_fold(1_usize, |reach, (&length, &stride)| {
        // The stride of an axis of one place, which reaches nowhere, is added all the same when a walk comes to its end.
        let step = Some(stride as usize).filter(|step| *step <= MAX_VALUE)?;
        reach.checked_add((length as usize).saturating_sub(1).checked_mul(step)?)
    });
    reach.ok_or_else(|| program_error("strides", "too large".to_owned(), format!("at most {MAX_VALUE}")))
}

impl Op {
    /// Checks operands and shapes; the length of the result.
    pub(super) fn check(&self, value: impl Fn(u32) -> Option<(InputKind, usize)>) -> Result<usize, TowerError> {
        let operand = |id: u32, kind: InputKind| match value(id) {
            Some((found, length)) if found == kind => Ok(length),
            other => {
                let found = [&*show_inputs(other.as_slice()), " as value ", &*id.to_string()].concat();
                Err(program_error("operand", found, ["an earlier ", kind.name()].concat()))
            }
        };
        let float = |id, need: usize| check("operand length", operand(id, InputKind::Float)?, need, need);
        match self {
            Self::MatMul { a, b, batch, m, n, k } => {
                float(*a, product(&[*batch, *m, *k])?)?;
                float(*b, product(&[*batch, *n, *k])?)?;
                product(&[*batch, *m, *n])
            }
            Self::Binary { a, b, axes, .. } => {
                let places = places(axes)?;
                float(*a, extent(axes, 1)?)?;
                float(*b, extent(axes, 2)?)?;
                Ok(places)
            }
            Self::Unary { a, .. } => operand(*a, InputKind::Float),
            Self::Reduce { a, outer, n, inner, .. } => {
                float(*a, product(&[*outer, *n, *inner])?)?;
                product(&[*outer, *inner])
            }
            Self::Gather { table, indices, width } => {
                let rows = operand(*table, InputKind::Float)?;
                let whole = *width != 0 && rows.is_multiple_of(*width as usize);
                check("table rows whole", usize::from(whole), 1, 1)?;
                product(&[operand(*indices, InputKind::Index)? as u32, *width])
            }
            Self::Concat { outer, parts } => {
                check("parts of a concatenation", parts.len(), 1, MAX_PARTS)?;
                for [id, chunk] in parts {
                    float(*id, product(&[*outer, *chunk])?)?;
                }
                let chunks = parts.iter().try_fold(0_u32, |sum, [_, chunk]| sum.checked_add(*chunk));
                product(&[*outer, chunks.unwrap_or(u32::MAX)])
            }
            Self::Permute { a, axes } => {
                let places = places(axes)?;
                float(*a, extent(axes, 1)?)?;
                Ok(places)
            }
            Self::Slice { a, outer, n, inner, start, count, step } => {
                float(*a, product(&[*outer, *n, *inner])?)?;
                let last = i64::from(*start) + (i64::from(*count) - 1) * i64::from(*step);
                check("first entry of a slice", *start as usize, 0, *n as usize - 1)?;
                let last = usize::try_from(last).unwrap_or(usize::MAX);
                check("last entry of a slice", last, 0, *n as usize - 1)?;
                product(&[*outer, *count, *inner])
            }
            Self::Select { condition, a, b, axes } => {
                let places = places(axes)?;
                for (nth, id) in [*condition, *a, *b].into_iter().enumerate() {
                    float(id, extent(axes, nth + 1)?)?;
                }
                Ok(places)
            }
        }
    }

    /// Steps of the operation, whose result has this length.
    pub(super) fn work(&self, length: usize) -> u64 {
        let of_each = match self {
            Self::MatMul { k, .. } => *k,
            Self::Reduce { n, .. } => *n,
            _ => 1,
        };
        length as u64 * u64::from(of_each)
    }

    /// Computes the result into `out`, which has the length that [`Op::check`] gave.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn run<'v>(
        &self,
        value: impl Fn(u32) -> &'v [f32],
        indices: impl Fn(u32) -> (usize, &'v [u32]),
        out: &mut [f32],
    ) -> Result<(), TowerError> {
        match self {
            Self::MatMul { a, b, m, n, k, .. } => {
                let (m, n, k) = (*m as usize, *n as usize, *k as usize);
                let operands = value(*a).chunks_exact(m * k).zip(value(*b).chunks_exact(n * k));
                for ((a, b), out) in operands.zip(out.chunks_exact_mut(m * n)) {
                    kernels::matmul_f32(a, b, k, out);
                }
            }
            Self::Binary { function, a, b, axes } => function.run(value(*a), value(*b), axes, out),
            Self::Unary { function, a } => function.run(value(*a), out),
            Self::Reduce { function, a, n, inner, .. } => {
                function.run(value(*a), *n as usize, *inner as usize, out);
            }
            Self::Gather { table, indices: from, width } => {
                let (table, width, (input, indices)) = (value(*table), *width as usize, indices(*from));
                for (out, index) in out.chunks_exact_mut(width).zip(indices) {
                    let start = (*index as usize).checked_mul(width);
                    let row = start.and_then(|start| table.get(start..)?.get(..width));
                    out.copy_from_slice(row.ok_or_else(|| TowerError::Input {
                        input,
                        found: format!("row {index}"),
                        expected: format!("below {}", table.len() / width),
                    })?);
                }
            }
            Self::Concat { outer, parts } => {
                let mut out = out;
                for step in 0..*outer as usize {
                    for [id, chunk] in parts {
                        let chunk = *chunk as usize;
                        let (head, tail) = out.split_at_mut(chunk);
                        head.copy_from_slice(&value(*id)[step * chunk..][..chunk]);
                        out = tail;
                    }
                }
            }
            Self::Permute { a, axes } => {
                let a = value(*a);
                rows(axes, out, |out, [_, stride], [_, from]| {
                    if stride == 1 {
                        out.copy_from_slice(&a[from..][..out.len()]);
                    } else {
                        out.iter_mut().enumerate().for_each(|(at, out)| *out = a[from + at * stride]);
                    }
                });
            }
            Self::Slice { a, n, inner, start, count, step, .. } => {
                let (n, inner, count) = (*n as usize, *inner as usize, *count as usize);
                let parts = value(*a).chunks_exact(n * inner).zip(out.chunks_exact_mut(count * inner));
                for (from, out) in parts {
                    for (nth, out) in out.chunks_exact_mut(inner).enumerate() {
                        let at = i64::from(*start) + nth as i64 * i64::from(*step);
                        out.copy_from_slice(&from[at as usize * inner..][..inner]);
                    }
                }
            }
            Self::Select { condition, a, b, axes } => {
                let (condition, a, b) = (value(*condition), value(*a), value(*b));
                rows(axes, out, |out, [_, by, of_a, of_b], [_, decides, from_a, from_b]| {
                    for (at, out) in out.iter_mut().enumerate() {
                        let decided = condition[decides + at * by] != 0.0;
                        *out = if decided { a[from_a + at * of_a] } else { b[from_b + at * of_b] };
                    }
                });
            }
        }
        Ok(())
    }

    /// The values that the operation reads, to be numbered anew.
    #[cfg(feature = "origin")]
    pub(super) fn operands_mut(&mut self) -> Vec<&mut u32> {
        match self {
            Self::MatMul { a, b, .. } | Self::Binary { a, b, .. } => vec![a, b],
            Self::Unary { a, .. } | Self::Reduce { a, .. } | Self::Permute { a, .. } | Self::Slice { a, .. } => vec![a],
            Self::Select { condition, a, b, .. } => vec![condition, a, b],
            Self::Gather { table, indices, .. } => vec![table, indices],
            Self::Concat { parts, .. } => parts.iter_mut().map(|[id, _]| id).collect(),
        }
    }

    /// Appends the bytes that [`Op::decode`] reads.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (code, fields): (u8, Vec<u32>) = match self {
            Self::MatMul { a, b, batch, m, n, k } => (0, vec![*a, *b, *batch, *m, *n, *k]),
            Self::Binary { function, a, b, axes } => {
                let head = [*function as u32, *a, *b, axes.len() as u32];
                (1, head.into_iter().chain(axes.iter().flatten().copied()).collect())
            }
            Self::Unary { function, a } => (2, vec![*function as u32, *a]),
            Self::Reduce { function, a, outer, n, inner } => (3, vec![*function as u32, *a, *outer, *n, *inner]),
            Self::Gather { table, indices, width } => (4, vec![*table, *indices, *width]),
            Self::Concat { outer, parts } => {
                (5, [*outer, parts.len() as u32].into_iter().chain(parts.iter().flatten().copied()).collect())
            }
            Self::Permute { a, axes } => {
                (6, [*a, axes.len() as u32].into_iter().chain(axes.iter().flatten().copied()).collect())
            }
            Self::Slice { a, outer, n, inner, start, count, step } => {
                (7, vec![*a, *outer, *n, *inner, *start, *count, step.cast_unsigned()])
            }
            Self::Select { condition, a, b, axes } => {
                let head = [*condition, *a, *b, axes.len() as u32];
                (8, head.into_iter().chain(axes.iter().flatten().copied()).collect())
            }
        };
        out.push(code);
        out.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, TowerError> {
        let code = reader.u8("operation")?;
        // By one piece of code for all of them: where each read can fail by itself, that takes most of the space.
        let head = *HEADS
            .get(code as usize)
            .ok_or_else(|| program_error("operation", code.to_string(), "0 to 8".to_owned()))?;
        let mut fields = [0; 7];
        for field in &mut fields[..head] {
            *field = reader.u32("operation")?;
        }
        let [first, second, third, ..] = fields;
        Ok(match code {
            0 => {
                let [a, b, batch, m, n, k, _] = fields;
                Self::MatMul { a, b, batch, m, n, k }
            }
            1 => {
                let function = Binary::of(first)?;
                Self::Binary { function, a: second, b: third, axes: decode_list(reader, MAX_RANK)? }
            }
            2 => Self::Unary { function: Unary::of(first)?, a: second },
            3 => {
                let [function, a, outer, n, inner, ..] = fields;
                Self::Reduce { function: Reducer::of(function)?, a, outer, n, inner }
            }
            4 => Self::Gather { table: first, indices: second, width: third },
            5 => Self::Concat { outer: first, parts: decode_list(reader, MAX_PARTS)? },
            6 => Self::Permute { a: first, axes: decode_list(reader, MAX_RANK)? },
            7 => {
                let [a, outer, n, inner, start, count, step] = fields;
                Self::Slice { a, outer, n, inner, start, count, step: step.cast_signed() }
            }
            _ => Self::Select { condition: first, a: second, b: third, axes: decode_list(reader, MAX_RANK)? },
        })
    }
}

/// Numbers that each operation begins with, by code.
const HEADS: [usize; 9] = [6, 3, 2, 5, 3, 1, 1, 7, 3];

/// Most operands of a concatenation.
const MAX_PARTS: usize = 256;

fn decode_list<const N: usize>(reader: &mut Reader<'_>, most: usize) -> Result<Vec<[u32; N]>, TowerError> {
    let count = reader.u32("list length")? as usize;
    check("list length", count, 0, most)?;
    let mut list = vec![[0; N]; count];
    for field in list.iter_mut().flatten() {
        *field = reader.u32("list")?;
    }
    Ok(list)
}
