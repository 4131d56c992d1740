//! Shapes, strides and constants of dense row-major values.

use tract_onnx::prelude::*;

pub(super) fn product(lengths: &[usize]) -> u32 {
    lengths.iter().product::<usize>() as u32
}

/// Numbers, or truth values as numbers.
pub(super) fn floats(tensor: &Tensor) -> Option<Vec<f32>> {
    match tensor.datum_type() {
        DatumType::F32 => tensor.to_plain_array_view::<f32>().ok().map(|view| view.iter().copied().collect()),
        DatumType::Bool => tensor
            .to_plain_array_view::<bool>()
            .ok()
            .map(|view| view.iter().map(|&truth| f32::from(u8::from(truth))).collect()),
        _ => None,
    }
}

pub(super) fn moved(rank: usize, from: usize, to: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rank).collect();
    let axis = order.remove(from);
    order.insert(to, axis);
    order
}

pub(super) fn strides(shape: &[usize]) -> Vec<u32> {
    let mut strides: Vec<u32> = shape
        .iter()
        .rev()
        .scan(1, |stride, length| {
            let this = *stride;
            *stride *= *length as u32;
            Some(this)
        })
        .collect();
    strides.reverse();
    strides
}

/// Length and stride of each axis of the result of a permutation.
pub(super) fn strided(shape: &[usize], order: &[usize]) -> Vec<[u32; 2]> {
    let strides = strides(shape);
    // Axes of length 1 move nothing, and programs run along the last axis.
    order.iter().filter(|axis| shape[**axis] != 1).map(|axis| [shape[*axis] as u32, strides[*axis]]).collect()
}

/// Length and both operands' strides of each axis longer than 1.
pub(super) fn broadcast(shape: &[usize], a: &[usize], b: &[usize]) -> Vec<[u32; 3]> {
    let (a, b) = (broadcast_one(shape, a), broadcast_one(shape, b));
    let axes = shape.iter().zip(a.iter().zip(&b)).filter(|(length, _)| **length != 1);
    axes.map(|(length, (a, b))| [*length as u32, *a, *b]).collect()
}

/// The strides of an operand along each axis of a result: 0 where the operand has length 1, or no such axis.
pub(super) fn broadcast_one(shape: &[usize], operand: &[usize]) -> Vec<u32> {
    let (strides, missing) = (strides(operand), shape.len() - operand.len());
    let stride = |axis: usize| {
        let axis = axis.checked_sub(missing)?;
        (operand[axis] != 1).then(|| strides[axis])
    };
    (0..shape.len()).map(|axis| stride(axis).unwrap_or(0)).collect()
}
