//! Recurrent layers, step by step: histories are short and their lengths known.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::scan::{InputMapping, Scan, ScanInfo};

use super::parts::Entries;
use super::{Lowering, Node, Source, Wire, Wires};
use crate::towers::{Binary, Op, TowerError, Unary};

impl Lowering<'_> {
    /// A loop over an axis whose body is a graph: the body once for each step.
    pub(super) fn scan(&mut self, node: &Node, op: &Scan, inputs: &[Wire]) -> Result<Vec<Wire>, TowerError> {
        let scanned = op.input_mapping.iter().zip(inputs).find_map(|(mapping, input)| match mapping {
            InputMapping::Scan(info) => Some((info, input.shape[info.axis])),
            _ => None,
        });
        let Some((info, length)) = scanned.filter(|_| op.skip == 0) else {
            return self.refuse(node, "a loop without a sequence, or one that skips steps");
        };
        let steps = length.div_ceil(info.chunk.unsigned_abs());
        let mut states: Vec<Wire> = inputs
            .iter()
            .zip(&op.input_mapping)
            .filter(|(_, of)| of.is_state())
            .map(|(wire, _)| wire.clone())
            .collect();
        let mut collected: Vec<Vec<Wire>> = vec![Vec::new(); op.output_mapping.len()];
        for step in 0..steps {
            let outputs = self.body(node, op, inputs, (&states, step))?;
            let mappings = op.output_mapping.iter().zip(&outputs);
            states = mappings.filter(|(mapping, _)| mapping.state).map(|(_, wire)| wire.clone()).collect();
            collected.iter_mut().zip(outputs).for_each(|(all, wire)| all.push(wire));
        }
        let mut results = vec![None; node.outputs.len()];
        for (mapping, mut all) in op.output_mapping.iter().zip(collected) {
            if let Some((slot, info)) = &mapping.scan {
                let mut ordered = all.clone();
                if info.chunk < 0 {
                    ordered.reverse();
                }
                results[*slot] = Some(self.concat(node, &ordered, info.axis)?);
            }
            if let Some(slot) = mapping.last_value_slot {
                results[slot] = all.pop();
            }
        }
        results.into_iter().collect::<Option<Vec<_>>>().map_or_else(|| self.refuse(node, "an output of nothing"), Ok)
    }

    /// The outputs of one step of a loop.
    fn body(
        &mut self,
        node: &Node,
        op: &Scan,
        inputs: &[Wire],
        (states, step): (&[Wire], usize),
    ) -> Result<Vec<Wire>, TowerError> {
        let (mut wires, mut states) = (Wires::new(), states.iter());
        for ((mapping, input), outlet) in op.input_mapping.iter().zip(inputs).zip(&op.body.inputs) {
            let wire = match mapping {
                InputMapping::Full => Some(input.clone()),
                InputMapping::State => states.next().cloned(),
                InputMapping::Scan(ScanInfo { axis, chunk }) => {
                    let (count, length) = (chunk.unsigned_abs(), input.shape[*axis]);
                    let start = if *chunk < 0 { length.checked_sub((step + 1) * count) } else { Some(step * count) };
                    match start.filter(|start| start + count <= length) {
                        Some(start) => Some(self.take(node, input, *axis, Entries { start, count, step: 1 })?),
                        None => None,
                    }
                }
            };
            let Some(wire) = wire else { return self.refuse(node, "steps of different lengths") };
            wires.insert(*outlet, wire);
        }
        self.graph(&op.body, &mut wires)?;
        Ok(op.body.outputs.iter().map(|outlet| wires[outlet].clone()).collect())
    }

    /// The new state of a GRU, `[rows, hidden]`, from its input's and its state's products, `[rows, 3 * hidden]` each, and its
    /// state. Gates are in the order of ONNX: update, reset, candidate.
    pub(super) fn gru_cell(&mut self, node: &Node, [of_x, of_h, state]: [&Wire; 3]) -> Result<Wire, TowerError> {
        let axis = of_x.shape.len() - 1;
        let hidden = of_x.shape[axis] / 3;
        let gate = |this: &mut Self, wire: &Wire, nth: usize| {
            this.take(node, wire, axis, Entries { start: nth * hidden, count: hidden, step: 1 })
        };
        let sigmoid = |this: &mut Self, nth: usize| {
            let (x, h) = (gate(this, of_x, nth)?, gate(this, of_h, nth)?);
            let sum = this.combine(node, Binary::Add, &x, &h)?;
            this.apply(node, Unary::Sigmoid, &sum)
        };
        let (update, reset) = (sigmoid(self, 0)?, sigmoid(self, 1)?);
        let (x, h) = (gate(self, of_x, 2)?, gate(self, of_h, 2)?);
        let kept = self.combine(node, Binary::Mul, &reset, &h)?;
        let sum = self.combine(node, Binary::Add, &x, &kept)?;
        let candidate = self.apply(node, Unary::Tanh, &sum)?;
        let change = self.combine(node, Binary::Sub, state, &candidate)?;
        let change = self.combine(node, Binary::Mul, &update, &change)?;
        self.combine(node, Binary::Add, &candidate, &change)
    }

    /// The new states of an LSTM: hidden and cell, from the sum of all products, `[rows, 4 * hidden]`, and the cell's state. Gates
    /// are in the order of ONNX: input, output, forget, candidate.
    pub(super) fn lstm_cell(&mut self, node: &Node, inputs: &[Wire]) -> Result<Vec<Wire>, TowerError> {
        let (sums, cell) = (&inputs[0], &inputs[1]);
        let axis = sums.shape.len() - 1;
        let hidden = sums.shape[axis] / 4;
        let mut gates = Vec::with_capacity(4);
        for (nth, function) in [Unary::Sigmoid, Unary::Sigmoid, Unary::Sigmoid, Unary::Tanh].into_iter().enumerate() {
            let sum = self.take(node, sums, axis, Entries { start: nth * hidden, count: hidden, step: 1 })?;
            gates.push(self.apply(node, function, &sum)?);
        }
        let kept = self.combine(node, Binary::Mul, &gates[2], cell)?;
        let added = self.combine(node, Binary::Mul, &gates[0], &gates[3])?;
        let cell = self.combine(node, Binary::Add, &kept, &added)?;
        let shown = self.apply(node, Unary::Tanh, &cell)?;
        let hidden = self.combine(node, Binary::Mul, &shown, &gates[1])?;
        Ok(vec![hidden, cell])
    }

    /// A whole GRU, `[1, length, ..]`, whose state is multiplied before the reset.
    pub(super) fn gru(
        &mut self,
        node: &Node,
        op: &GruSeq,
        inputs: &[Wire],
        shapes: &[Vec<usize>],
    ) -> Result<Vec<Wire>, TowerError> {
        let (gates, rest) = (3 * op.hidden, if op.projected { &inputs[1..] } else { &inputs[2..] });
        let Some(initial) = inputs.last().filter(|_| inputs[0].shape[0] == 1) else {
            return self.refuse(node, "a batch of several sequences");
        };
        let length = inputs[0].shape[1];
        let bias = |this: &mut Self, start: usize| {
            let flat = Wire { source: rest[1].source.clone(), shape: vec![2 * gates] };
            this.take(node, &flat, 0, Entries { start, count: gates, step: 1 })
        };
        let biases = if op.has_bias { Some((bias(self, 0)?, bias(self, gates)?)) } else { None };
        let mut of_x = Wire { source: inputs[0].source.clone(), shape: vec![length, inputs[0].shape[2]] };
        if !op.projected {
            of_x = self.rows_by(node, &of_x, &inputs[1], gates)?;
            if let Some((of_input, _)) = &biases {
                of_x = self.combine(node, Binary::Add, &of_x, of_input)?;
            }
        }
        let mut state = Wire { source: initial.source.clone(), shape: vec![1, op.hidden] };
        let mut states = Vec::with_capacity(length);
        for step in 0..length {
            let at = if op.chunk < 0 { length - 1 - step } else { step };
            let x = self.take(node, &of_x, 0, Entries { start: at, count: 1, step: 1 })?;
            let mut h = self.rows_by(node, &state, &rest[0], gates)?;
            if let Some((_, of_state)) = &biases {
                h = self.combine(node, Binary::Add, &h, of_state)?;
            }
            state = self.gru_cell(node, [&x, &h, &state])?;
            states.push(state.clone());
        }
        if op.chunk < 0 {
            states.reverse();
        }
        let all =
            if op.emit_y { self.concat(node, &states, 0)?.source } else { Source::Constant(tensor0(0.0_f32).into()) };
        let of = |source: Source, shape: &[usize]| Wire { source, shape: shape.to_vec() };
        Ok(vec![of(all, &shapes[0]), of(state.source, shapes.get(1).map_or(&[], Vec::as_slice))])
    }

    /// The product of rows `[m, k]` with a matrix of rows `[n, k]`.
    fn rows_by(&mut self, node: &Node, rows: &Wire, matrix: &Wire, n: usize) -> Result<Wire, TowerError> {
        let (m, k) = (rows.shape[0], rows.shape[1]);
        let (a, b) = (self.operand(node, rows)?, self.operand(node, matrix)?);
        let source = self.push(Op::MatMul { a, b, batch: 1, m: m as u32, n: n as u32, k: k as u32 });
        Ok(Wire { source, shape: vec![m, n] })
    }
}
