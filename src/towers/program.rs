//! The compact program that a client runs instead of an ONNX engine.
//!
//! A program is a list of operations over dense `f32` values with all shapes known. It is made from an ONNX tower by
//! `lower` at the origin and runs on portable kernels with a fixed order of every sum, so that native and WebAssembly
//! builds give the same bits.
//!
//! # Program, format 1. Integers little-endian, `f32` and `f16` IEEE-754, no padding
//! | part       | bytes | rule                                                                                  |
//! |------------|------:|---------------------------------------------------------------------------------------|
//! | inputs     |     1 | count, 1..=[`MAX_INPUTS`]; per input: kind (0 `f32`, 1 index) u8, length u32          |
//! | constants  |     4 | count u32, at most [`MAX_CONSTANTS`]; per constant: encoding (0 `f32`, 1 `f16`) u8, length u32, values |
//! | operations |     4 | count u32, 1..=[`MAX_OPERATIONS`]; per operation: code u8 and what [`Op`] lists, u32 each |
//!
//! Values are numbered: inputs, then constants, then the result of each operation; an operation may only use values
//! before its own. The last result is the output. No value is longer than [`MAX_VALUE`]. All results together have at most
//! [`MAX_RESULTS`] numbers, and a run takes at most [`MAX_WORK`] steps: a few bytes can ask for any number of either.

use half::f16;

use super::TowerError;
use super::ops::Op;
use crate::bytes::{Reader, Truncated};
use crate::json::decimal;
use crate::show;

/// Most inputs of a program.
pub const MAX_INPUTS: usize = 16;
/// Most operations of a program.
pub const MAX_OPERATIONS: usize = 4096;
/// Longest value, in numbers.
pub const MAX_VALUE: usize = 1 << 26;
/// Most constants: some for each operation. A short one takes several times its bytes in memory.
pub const MAX_CONSTANTS: usize = 1 << 16;
/// Most numbers of all results, which are kept from run to run: 128 MB. An encoder of 200 events and 128 dimensions has some 3 million a layer.
pub const MAX_RESULTS: usize = 1 << 25;
/// Most steps of a run, of which each multiplies and adds or makes a number of a result: about a second. An encoder of 200 events and 128
/// dimensions takes some 50 million a layer.
pub const MAX_WORK: usize = 1 << 30;

/// What an input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Finite numbers.
    Float,
    /// Rows of a table.
    Index,
}

impl InputKind {
    /// The kind in an error.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Float => "Float",
            Self::Index => "Index",
        }
    }
}

/// One input for [`Program::run`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input<'a> {
    /// Finite numbers.
    Float(&'a [f32]),
    /// Rows of a table.
    Index(&'a [u32]),
}

impl Input<'_> {
    fn describe(&self) -> (InputKind, usize) {
        match self {
            Self::Float(values) => (InputKind::Float, values.len()),
            Self::Index(values) => (InputKind::Index, values.len()),
        }
    }
}

/// A checked program: running it can fail only for its inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    inputs: Vec<(InputKind, usize)>,
    constants: Vec<Vec<f32>>,
    ops: Vec<Op>,
    /// Length of each operation's result.
    lengths: Vec<usize>,
}

/// Buffers that [`Program::run`] reuses from call to call.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    results: Vec<Vec<f32>>,
}

#[cfg(feature = "tract-engine")]
impl Scratch {
    /// Keeps one result, that of a run that had its own buffers.
    pub(super) fn keep(&mut self, result: Vec<f32>) -> &[f32] {
        self.results.clear();
        self.results.push(result);
        &self.results[0]
    }
}

impl Program {
    /// Puts a program together and checks every operand, shape and length.
    ///
    /// # Errors
    /// [`TowerError::Program`] for anything that [`Program::run`] could not run.
    pub fn new(inputs: Vec<(InputKind, usize)>, constants: Vec<Vec<f32>>, ops: Vec<Op>) -> Result<Self, TowerError> {
        check("inputs", inputs.len(), 1, MAX_INPUTS)?;
        check("operations", ops.len(), 1, MAX_OPERATIONS)?;
        for (_, length) in &inputs {
            check("input length", *length, 1, MAX_VALUE)?;
        }
        for constant in &constants {
            check("constant length", constant.len(), 1, MAX_VALUE)?;
            if constant.iter().any(|value| !value.is_finite()) {
                return Err(program_error("constant", "NaN or infinity".to_owned(), "finite numbers".to_owned()));
            }
        }
        let mut program = Self { inputs, constants, ops: Vec::with_capacity(ops.len()), lengths: Vec::new() };
        let mut results = 0;
        for op in ops {
            let length = op.check(|id| program.value(id))?;
            check("result length", length, 1, MAX_VALUE)?;
            results += length;
            check("numbers of all results", results, 1, MAX_RESULTS)?;
            program.ops.push(op);
            program.lengths.push(length);
        }
        check("steps of a run", program.work(), 1, MAX_WORK)?;
        Ok(program)
    }

    /// Kind and length of each input.
    pub fn inputs(&self) -> &[(InputKind, usize)] {
        &self.inputs
    }

    /// Length of the output.
    pub fn output_len(&self) -> usize {
        self.lengths.last().copied().unwrap_or(0)
    }

    /// Number of operations.
    pub fn operations(&self) -> &[Op] {
        &self.ops
    }

    /// Steps of a run: multiplications that are added, and numbers that are computed.
    #[inline(never)]
    pub fn work(&self) -> usize {
        let mut steps = 0_u64;
        for (op, length) in self.ops.iter().zip(&self.lengths) {
            // Of an operation at most 2^52.
            steps = steps.saturating_add(op.work(*length));
        }
        usize::try_from(steps).unwrap_or(usize::MAX)
    }

    /// The rows of the smallest table that an index input names rows of; `None` where nothing reads it.
    #[inline(never)]
    pub(super) fn table_rows(&self, input: u32) -> Option<usize> {
        let mut least = None;
        for op in &self.ops {
            if let Op::Gather { table, indices, width } = op
                && *indices == input
                && let Some((_, length)) = self.value(*table)
            {
                least = Some((length / *width as usize).min(least.unwrap_or(usize::MAX)));
            }
        }
        least
    }

    fn value(&self, id: u32) -> Option<(InputKind, usize)> {
        let mut id = id as usize;
        if let Some(input) = self.inputs.get(id) {
            return Some(*input);
        }
        id -= self.inputs.len();
        if let Some(constant) = self.constants.get(id) {
            return Some((InputKind::Float, constant.len()));
        }
        self.lengths.get(id - self.constants.len()).map(|length| (InputKind::Float, *length))
    }

    /// Runs the program.
    ///
    /// # Errors
    /// [`TowerError::Input`] for a wrong number, kind or length of inputs, a number that is not finite, or an index
    /// beyond its table.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub fn run<'s>(&self, inputs: &[Input<'_>], scratch: &'s mut Scratch) -> Result<&'s [f32], TowerError> {
        check_inputs(&self.inputs, inputs)?;
        scratch.results.resize_with(self.ops.len(), Vec::new);
        for (position, op) in self.ops.iter().enumerate() {
            let (before, rest) = scratch.results.split_at_mut(position);
            let out = &mut rest[0];
            // Every operation writes all of its result, so what an earlier run left there may stay.
            out.resize(self.lengths[position], 0.0);
            let value = |id: u32| self.resolve(id, inputs, before);
            op.run(value, |id| indices(inputs, id), out)?;
        }
        Ok(scratch.results.last().map_or(&[], Vec::as_slice))
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn resolve<'a>(&'a self, id: u32, inputs: &[Input<'a>], results: &'a [Vec<f32>]) -> &'a [f32] {
        let id = id as usize;
        let constants_from = self.inputs.len();
        let results_from = constants_from + self.constants.len();
        if id >= results_from {
            &results[id - results_from]
        } else if id >= constants_from {
            &self.constants[id - constants_from]
        } else {
            match inputs[id] {
                Input::Float(values) => values,
                Input::Index(_) => &[],
            }
        }
    }

    /// The program as bytes. A constant whose values are all exact in half precision takes half the space.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.inputs.len() as u8];
        for (kind, length) in &self.inputs {
            out.push(u8::from(*kind == InputKind::Index));
            out.extend((*length as u32).to_le_bytes());
        }
        out.extend((self.constants.len() as u32).to_le_bytes());
        for constant in &self.constants {
            let exact = constant.iter().all(|value| f16::from_f32(*value).to_f32().to_bits() == value.to_bits());
            out.push(u8::from(exact));
            out.extend((constant.len() as u32).to_le_bytes());
            if exact {
                out.extend(constant.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
            } else {
                out.extend(constant.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        out.extend((self.ops.len() as u32).to_le_bytes());
        for op in &self.ops {
            op.encode(&mut out);
        }
        out
    }

    /// Reads and checks a program.
    ///
    /// # Errors
    /// [`TowerError::Truncated`] or [`TowerError::Program`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TowerError> {
        let mut reader = Reader::new(bytes);
        let mut inputs = Vec::new();
        for _ in 0..reader.u8("inputs")? {
            let kind = match reader.u8("input kind")? {
                0 => InputKind::Float,
                1 => InputKind::Index,
                other => return Err(program_error("input kind", other.to_string(), "0 or 1".to_owned())),
            };
            inputs.push((kind, reader.u32("input length")? as usize));
        }
        let mut constants = Vec::new();
        let count = reader.u32("constants")? as usize;
        check("constants", count, 0, MAX_CONSTANTS)?;
        for _ in 0..count {
            constants.push(decode_constant(&mut reader)?);
        }
        let count = reader.u32("operations")? as usize;
        check("operations", count, 1, MAX_OPERATIONS)?;
        let ops = (0..count).map(|_| Op::decode(&mut reader)).collect::<Result<_, _>>()?;
        if reader.remaining() != 0 {
            return Err(program_error("end", format!("{} bytes more", reader.remaining()), "nothing".to_owned()));
        }
        Self::new(inputs, constants, ops)
    }
}

/// Checks that inputs are of these kinds and lengths, and finite.
pub(super) fn check_inputs(known: &[(InputKind, usize)], inputs: &[Input<'_>]) -> Result<(), TowerError> {
    let error = |input, found, expected| Err(TowerError::Input { input, found, expected });
    if inputs.len() != known.len() {
        return error(inputs.len(), format!("{} inputs", inputs.len()), format!("{}", known.len()));
    }
    for (position, (input, expected)) in inputs.iter().zip(known).enumerate() {
        if input.describe() != *expected {
            return error(position, show_inputs(&[input.describe()]), show_inputs(&[*expected]));
        }
        if let Input::Float(values) = input
            && let Some(at) = values.iter().position(|value| !value.is_finite())
        {
            return error(position, format!("{} at {at}", decimal(values[at])), "finite numbers".to_owned());
        }
    }
    Ok(())
}

fn indices<'a>(inputs: &[Input<'a>], id: u32) -> (usize, &'a [u32]) {
    match inputs.get(id as usize) {
        Some(Input::Index(values)) => (id as usize, values),
        _ => (id as usize, &[]),
    }
}

fn decode_constant(reader: &mut Reader<'_>) -> Result<Vec<f32>, TowerError> {
    let encoding = reader.u8("constant encoding")?;
    let length = reader.u32("constant length")? as usize;
    check("constant length", length, 1, MAX_VALUE)?;
    match encoding {
        0 => {
            let bytes = reader.take(4 * length, "constant")?;
            Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        }
        1 => {
            let bytes = reader.take(2 * length, "constant")?;
            Ok(bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect())
        }
        other => Err(program_error("constant encoding", other.to_string(), "0 or 1".to_owned())),
    }
}

/// Kinds and lengths in an error.
pub(super) fn show_inputs(inputs: &[(InputKind, usize)]) -> String {
    let shown = inputs.iter().map(|(kind, length)| ["(", kind.name(), ", ", &*length.to_string(), ")"].concat());
    show::joined(shown)
}

#[inline(never)]
pub(super) fn check(what: &'static str, found: usize, least: usize, most: usize) -> Result<(), TowerError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(program_error(what, found.to_string(), format!("{least} to {most}")))
    }
}

pub(super) fn program_error(what: &'static str, found: String, expected: String) -> TowerError {
    TowerError::Program { what, found, expected }
}

impl From<Truncated> for TowerError {
    fn from(Truncated { what, need, have }: Truncated) -> Self {
        Self::Truncated { what, need, have }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::towers::Binary;

    fn refused(constants: Vec<Vec<f32>>, ops: Vec<Op>) -> String {
        let inputs = vec![(InputKind::Float, 1)];
        Program::new(inputs, constants, ops).map_or_else(|error| error.to_string(), |_| "nothing".to_owned())
    }

    #[test]
    fn a_few_bytes_cannot_ask_for_any_memory_or_work() {
        let spread = |axes: Vec<[u32; 3]>| Op::Binary { function: Binary::Add, a: 0, b: 0, axes };
        let long = || spread(vec![[1 << 24, 0, 0]]);
        assert_eq!(refused(Vec::new(), vec![long(), long()]), "nothing");
        assert!(refused(Vec::new(), vec![long(), long(), long()]).contains("numbers of all results"));
        let product = |m, n, k| Op::MatMul { a: 1, b: 2, batch: 1, m, n, k };
        let ops = |m, n, k| vec![spread(vec![[m * k, 0, 0]]), spread(vec![[n * k, 0, 0]]), product(m, n, k)];
        assert_eq!(refused(Vec::new(), ops(1000, 1000, 1000)), "nothing");
        assert!(refused(Vec::new(), ops(1000, 1000, 1100)).contains("steps of a run"));
        let mut many = Program::new(vec![(InputKind::Float, 1)], vec![vec![1.0]; MAX_CONSTANTS], vec![long()]).unwrap();
        Program::decode(&many.encode()).unwrap();
        many.constants.push(vec![1.0]);
        assert!(Program::decode(&many.encode()).unwrap_err().to_string().contains("constants"));
        // A stride that no axis of one place follows would still be added, and 32 bits have no room for it.
        assert!(refused(Vec::new(), vec![spread(vec![[1, u32::MAX, 0]])]).contains("strides"));
    }

    #[test]
    fn steps_are_counted_by_what_each_number_of_a_result_takes() {
        let inputs = vec![(InputKind::Float, 6), (InputKind::Index, 2)];
        let ops = vec![
            Op::MatMul { a: 0, b: 2, batch: 1, m: 2, n: 4, k: 3 },
            Op::Reduce { function: crate::towers::Reducer::Sum, a: 3, outer: 2, n: 4, inner: 1 },
            Op::Gather { table: 2, indices: 1, width: 3 },
        ];
        let program = Program::new(inputs, vec![vec![1.0; 12]], ops).unwrap();
        assert_eq!(program.work(), 2 * 4 * 3 + 2 * 4 + 2 * 3);
        assert_eq!((program.table_rows(1), program.table_rows(0)), (Some(4), None));
    }
}
