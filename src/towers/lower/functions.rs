//! Arithmetic, functions of numbers, and what is made of both: norms and softmax.

use std::f32::consts::FRAC_1_SQRT_2;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math::PowConst;
use tract_onnx::tract_core::ops::nn::{
    GeluApproximate, Reduce, Reducer as TractReducer, RmsNorm, Softmax, SoftmaxKind,
};

use super::shapes::{broadcast, broadcast_one, floats, product};
use super::{Lowering, Node, Source, Wire, number};
use crate::towers::{Binary, Op, Reducer, TowerError, Unary};

/// Of the tanh approximation of GELU (Hendrycks and Gimpel, 2016): the factor of the cube, and the square root of 2 / pi.
const GELU_CUBE: f32 = 0.044_715;
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

impl Lowering<'_> {
    /// A function of two values of which either may be broadcast.
    pub(super) fn combine(&mut self, node: &Node, function: Binary, a: &Wire, b: &Wire) -> Result<Wire, TowerError> {
        let rank = a.shape.len().max(b.shape.len());
        let length = |operand: &Wire, axis: usize| {
            (axis + operand.shape.len()).checked_sub(rank).map_or(1, |axis| operand.shape[axis])
        };
        let shape: Vec<usize> = (0..rank).map(|axis| length(a, axis).max(length(b, axis))).collect();
        let axes = broadcast(&shape, &a.shape, &b.shape);
        let (a, b) = (self.operand(node, a)?, self.operand(node, b)?);
        Ok(Wire { source: self.push(Op::Binary { function, a, b, axes }), shape })
    }

    /// A function of a value and a number.
    pub(super) fn with(&mut self, node: &Node, function: Binary, a: &Wire, number: f32) -> Result<Wire, TowerError> {
        self.combine(node, function, a, &super::number(number))
    }

    pub(super) fn apply(&mut self, node: &Node, function: Unary, a: &Wire) -> Result<Wire, TowerError> {
        let operand = self.operand(node, a)?;
        Ok(Wire { source: self.push(Op::Unary { function, a: operand }), shape: a.shape.clone() })
    }

    pub(super) fn binary(&mut self, node: &Node, op: &TypedBinOp, inputs: &[Wire]) -> Result<Wire, TowerError> {
        let (a, b) = (&inputs[0], &inputs[1]);
        let (function, a, b) = match op.0.name() {
            "Add" => (Binary::Add, a, b),
            "Sub" => (Binary::Sub, a, b),
            "Mul" | "And" => (Binary::Mul, a, b),
            "Div" => (Binary::Div, a, b),
            "Max" | "Or" => (Binary::Max, a, b),
            "Min" => (Binary::Min, a, b),
            "GT" => (Binary::Greater, a, b),
            "LT" => (Binary::Greater, b, a),
            "GTE" => (Binary::AtLeast, a, b),
            "LTE" => (Binary::AtLeast, b, a),
            "EQ" => (Binary::Equal, a, b),
            "NE" => {
                let equal = self.combine(node, Binary::Equal, a, b)?;
                return self.not(node, &equal);
            }
            _ => return self.refuse(node, "an unknown function"),
        };
        self.combine(node, function, a, b)
    }

    fn not(&mut self, node: &Node, truth: &Wire) -> Result<Wire, TowerError> {
        let one = number(1.0);
        self.combine(node, Binary::Sub, &one, truth)
    }

    /// Truth values are numbers already, and so are the rows of tables.
    pub(super) fn cast(&mut self, node: &Node, op: &Cast, input: &Wire) -> Result<Source, TowerError> {
        let is_index = op.to.is_integer() && matches!(input.source, Source::Input(_));
        let is_truth = op.to == DatumType::F32 && matches!(input.source, Source::Result(_));
        if is_index || is_truth { Ok(input.source.clone()) } else { self.refuse(node, "a cast") }
    }

    pub(super) fn select(&mut self, node: &Node, inputs: &[Wire], shape: &[usize]) -> Result<Source, TowerError> {
        let strides = inputs.iter().map(|input| broadcast_one(shape, &input.shape)).collect::<Vec<_>>();
        let axes =
            (0..shape.len()).map(|axis| [shape[axis] as u32, strides[0][axis], strides[1][axis], strides[2][axis]]);
        let axes = axes.collect();
        let [condition, a, b] = [&inputs[0], &inputs[1], &inputs[2]].map(|input| self.operand(node, input));
        Ok(self.push(Op::Select { condition: condition?, a: a?, b: b?, axes }))
    }

    pub(super) fn element_wise(&mut self, node: &Node, op: &ElementWiseOp, x: &Wire) -> Result<Wire, TowerError> {
        if let Some(power) = op.0.downcast_ref::<PowConst>() {
            return self.power(node, power.exponent, x);
        }
        if op.0.downcast_ref::<GeluApproximate>().is_some() {
            return self.gelu_by_tanh(node, x);
        }
        match op.0.name().as_ref() {
            "Not" => self.not(node, x),
            "GeluExact" => {
                let scaled = self.with(node, Binary::Mul, x, FRAC_1_SQRT_2)?;
                let erf = self.apply(node, Unary::Erf, &scaled)?;
                self.gelu_of(node, x, &erf)
            }
            "Silu" => {
                let gate = self.apply(node, Unary::Sigmoid, x)?;
                self.combine(node, Binary::Mul, x, &gate)
            }
            name => match unary(name) {
                Some(function) => self.apply(node, function, x),
                None => self.refuse(node, "an unknown function"),
            },
        }
    }

    fn gelu_by_tanh(&mut self, node: &Node, x: &Wire) -> Result<Wire, TowerError> {
        let cube = self.power(node, 3.0, x)?;
        let cube = self.with(node, Binary::Mul, &cube, GELU_CUBE)?;
        let sum = self.combine(node, Binary::Add, x, &cube)?;
        let scaled = self.with(node, Binary::Mul, &sum, SQRT_2_OVER_PI)?;
        let tanh = self.apply(node, Unary::Tanh, &scaled)?;
        self.gelu_of(node, x, &tanh)
    }

    /// `x / 2 * (gate + 1)`
    fn gelu_of(&mut self, node: &Node, x: &Wire, gate: &Wire) -> Result<Wire, TowerError> {
        let half = self.with(node, Binary::Mul, x, 0.5)?;
        let gate = self.with(node, Binary::Add, gate, 1.0)?;
        self.combine(node, Binary::Mul, &half, &gate)
    }

    fn power(&mut self, node: &Node, exponent: f32, x: &Wire) -> Result<Wire, TowerError> {
        match exponent {
            0.5 => self.apply(node, Unary::Sqrt, x),
            -0.5 => self.apply(node, Unary::Rsqrt, x),
            -1.0 => self.apply(node, Unary::Recip, x),
            2.0 => self.apply(node, Unary::Square, x),
            3.0 => {
                let square = self.apply(node, Unary::Square, x)?;
                self.combine(node, Binary::Mul, &square, x)
            }
            _ => self.refuse(node, "a power other than -1, -1/2, 1/2, 2 and 3"),
        }
    }

    /// Folds one axis.
    pub(super) fn fold(&mut self, node: &Node, function: Reducer, x: &Wire, axis: usize) -> Result<Wire, TowerError> {
        let a = self.operand(node, x)?;
        let [outer, inner] = [&x.shape[..axis], &x.shape[axis + 1..]].map(product);
        let source = self.push(Op::Reduce { function, a, outer, n: x.shape[axis] as u32, inner });
        let mut shape = x.shape.clone();
        shape[axis] = 1;
        Ok(Wire { source, shape })
    }

    /// Folds one axis after the other.
    fn fold_all(&mut self, node: &Node, function: Reducer, x: &Wire, axes: &[usize]) -> Result<Wire, TowerError> {
        axes.iter().try_fold(x.clone(), |folded, &axis| self.fold(node, function, &folded, axis))
    }

    pub(super) fn reduce(&mut self, node: &Node, op: &Reduce, x: &Wire) -> Result<Wire, TowerError> {
        match op.reducer {
            TractReducer::Sum => self.fold_all(node, Reducer::Sum, x, &op.axes),
            TractReducer::Max | TractReducer::Any => self.fold_all(node, Reducer::Max, x, &op.axes),
            TractReducer::MeanOfSquares => self.mean_of_squares(node, x, &op.axes),
            _ => self.refuse(node, "an unknown reducer"),
        }
    }

    fn mean_of_squares(&mut self, node: &Node, x: &Wire, axes: &[usize]) -> Result<Wire, TowerError> {
        let squares = self.apply(node, Unary::Square, x)?;
        let sum = self.fold_all(node, Reducer::Sum, &squares, axes)?;
        let count: usize = axes.iter().map(|&axis| x.shape[axis]).product();
        self.with(node, Binary::Mul, &sum, 1.0 / count as f32)
    }

    pub(super) fn rms_norm(&mut self, node: &Node, op: &RmsNorm, x: &Wire) -> Result<Wire, TowerError> {
        let Some(&[epsilon]) = floats(&op.eps).as_deref().and_then(|eps| eps.first_chunk()) else {
            return self.refuse(node, "an epsilon that is no number");
        };
        let mean = self.mean_of_squares(node, x, &[op.axis])?;
        let sum = self.with(node, Binary::Add, &mean, epsilon)?;
        let scale = self.apply(node, Unary::Rsqrt, &sum)?;
        self.combine(node, Binary::Mul, x, &scale)
    }

    pub(super) fn softmax(&mut self, node: &Node, op: &Softmax, x: &Wire) -> Result<Wire, TowerError> {
        if op.kind != SoftmaxKind::Softmax {
            return self.refuse(node, "a logarithm of a softmax");
        }
        let largest = self.fold_all(node, Reducer::Max, x, &op.axes)?;
        let below = self.combine(node, Binary::Sub, x, &largest)?;
        let powers = self.apply(node, Unary::Exp, &below)?;
        let sum = self.fold_all(node, Reducer::Sum, &powers, &op.axes)?;
        self.combine(node, Binary::Div, &powers, &sum)
    }
}

fn unary(name: &str) -> Option<Unary> {
    let functions = [
        ("Sqrt", Unary::Sqrt),
        ("Rsqrt", Unary::Rsqrt),
        ("Recip", Unary::Recip),
        ("Neg", Unary::Neg),
        ("Square", Unary::Square),
        ("Exp", Unary::Exp),
        ("Tanh", Unary::Tanh),
        ("Sigmoid", Unary::Sigmoid),
        ("Erf", Unary::Erf),
    ];
    functions.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
}
