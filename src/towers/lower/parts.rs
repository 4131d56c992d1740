//! Parts of values, and values of parts.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;
use tract_onnx::tract_core::ops::array::{Gather, Slice};
use tract_onnx::tract_core::ops::downsample::Downsample;

use super::shapes::product;
use super::{Lowering, Node, Source, Wire};
use crate::towers::{Op, TowerError};

/// Which entries of an axis: `count` of them from `start` on, `step` apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entries {
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) step: i32,
}

impl Lowering<'_> {
    /// Some entries of an axis.
    pub(super) fn take(&mut self, node: &Node, x: &Wire, axis: usize, entries: Entries) -> Result<Wire, TowerError> {
        let Entries { start, count, step } = entries;
        let a = self.operand(node, x)?;
        let [outer, inner] = [&x.shape[..axis], &x.shape[axis + 1..]].map(product);
        let n = x.shape[axis] as u32;
        let source = self.push(Op::Slice { a, outer, n, inner, start: start as u32, count: count as u32, step });
        let mut shape = x.shape.clone();
        shape[axis] = count;
        Ok(Wire { source, shape })
    }

    pub(super) fn slice_op(&mut self, node: &Node, op: &Slice, x: &Wire) -> Result<Wire, TowerError> {
        let (Ok(start), Ok(end)) = (op.start.to_usize(), op.end.to_usize()) else {
            return self.refuse(node, "bounds that are not known");
        };
        self.take(node, x, op.axis, Entries { start, count: end.saturating_sub(start), step: 1 })
    }

    pub(super) fn downsample(
        &mut self,
        node: &Node,
        op: &Downsample,
        x: &Wire,
        shape: &[usize],
    ) -> Result<Wire, TowerError> {
        // A negative stride starts from the end.
        let start = if op.stride < 0 { x.shape[op.axis].saturating_sub(1) } else { op.modulo };
        if op.stride < 0 && op.modulo != 0 {
            return self.refuse(node, "a reversed part of an axis");
        }
        self.take(node, x, op.axis, Entries { start, count: shape[op.axis], step: op.stride as i32 })
    }

    pub(super) fn concat(&mut self, node: &Node, inputs: &[Wire], axis: usize) -> Result<Wire, TowerError> {
        let mut shape = inputs[0].shape.clone();
        shape[axis] = inputs.iter().map(|input| input.shape[axis]).sum();
        let outer = product(&shape[..axis]);
        let mut parts = Vec::with_capacity(inputs.len());
        for input in inputs {
            parts.push([self.operand(node, input)?, product(&input.shape[axis..])]);
        }
        Ok(Wire { source: self.push(Op::Concat { outer, parts }), shape })
    }

    /// Rows of a table that an input names, or entries of an axis that constants name.
    pub(super) fn gather(&mut self, node: &Node, op: &Gather, inputs: &[Wire]) -> Result<Wire, TowerError> {
        let [table, indices] = [&inputs[0], &inputs[1]];
        let (before, behind) = (&table.shape[..op.axis], &table.shape[op.axis + 1..]);
        let shape = [before, &indices.shape, behind].concat();
        let source = match &indices.source {
            Source::Input(position) if op.axis == 0 => {
                let width = product(behind);
                Op::Gather { table: self.operand(node, table)?, indices: *position, width }
            }
            Source::Constant(indices) => return self.gather_known(node, table, op.axis, (indices, shape)),
            Source::Input(_) => return self.refuse(node, "an axis other than 0"),
            Source::Result(_) => return self.refuse(node, "computed indices"),
        };
        Ok(Wire { source: self.push(source), shape })
    }

    fn gather_known(
        &mut self,
        node: &Node,
        table: &Wire,
        axis: usize,
        (indices, shape): (&Tensor, Vec<usize>),
    ) -> Result<Wire, TowerError> {
        let n = table.shape[axis] as i64;
        let indices = indices.cast_to::<i64>();
        let Some(indices) = indices.ok().and_then(|indices| {
            let view = indices.to_plain_array_view::<i64>().ok()?;
            view.iter().map(|&at| usize::try_from(if at < 0 { at + n } else { at }).ok()).collect::<Option<Vec<_>>>()
        }) else {
            return self.refuse(node, "indices that are no whole numbers");
        };
        let parts = indices.iter().map(|&start| self.take(node, table, axis, Entries { start, count: 1, step: 1 }));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let source =
            if let [part] = &parts[..] { part.source.clone() } else { self.concat(node, &parts, axis)?.source };
        Ok(Wire { source, shape })
    }
}
