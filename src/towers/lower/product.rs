//! Matrix products.

use tract_onnx::tract_core::axes::Axis;
use tract_onnx::tract_core::ops::einsum::EinSum;

use super::{Lowering, Node, Source, Wire};
use crate::towers::{Op, TowerError};

impl Lowering<'_> {
    /// Any Einstein sum of two operands is a batch of matrix products between two permutations.
    pub(super) fn einsum(
        &mut self,
        node: &Node,
        op: &EinSum,
        inputs: &[Wire],
        shape: &[usize],
    ) -> Result<Source, TowerError> {
        if inputs.len() != 2 || op.q_params.is_some() {
            return self.refuse(node, "an Einstein sum that is no product of two");
        }
        let expression = format!("the Einstein sum {}", op.axes);
        let Some(plan) = ProductPlan::of(op) else { return self.refuse(node, &expression) };
        let long = inputs.iter().zip(&plan.units).any(|(wire, axes)| axes.iter().any(|axis| wire.shape[*axis] != 1));
        if long || plan.new_axes.iter().any(|axis| shape[*axis] != 1) {
            return self.refuse(node, &expression);
        }
        let a = Wire { source: self.permute(node, &inputs[0], &plan.orders[0])?, shape: vec![] };
        let b = Wire { source: self.permute(node, &inputs[1], &plan.orders[1])?, shape: vec![] };
        let size = |axes: &[usize], wire: &Wire| axes.iter().map(|axis| wire.shape[*axis] as u32).product::<u32>();
        let [batch, m, k] = plan.axes_of_a.each_ref().map(|axes| size(axes, &inputs[0]));
        let n = size(&plan.axes_of_b, &inputs[1]);
        let (a, b) = (self.operand(node, &a)?, self.operand(node, &b)?);
        let product = self.push(Op::MatMul { a, b, batch, m, n, k });
        let output = [&plan.new_axes[..], &plan.output].concat();
        let product_shape = output.iter().map(|axis| shape[*axis]).collect();
        let back: Vec<usize> =
            (0..shape.len()).filter_map(|axis| output.iter().position(|from| *from == axis)).collect();
        self.permute(node, &Wire { source: product, shape: product_shape }, &back)
    }
}

/// How an Einstein sum becomes a product: which axes of either operand are batch, rows and summed.
struct ProductPlan {
    /// Order of the axes of both operands: units, batch, own, summed.
    orders: [Vec<usize>; 2],
    /// Axes that only one operand has and that do not reach the output: of length 1, or it is no product.
    units: [Vec<usize>; 2],
    /// Axes that only the output has, of length 1.
    new_axes: Vec<usize>,
    /// Batch, own and summed axes of the left operand.
    axes_of_a: [Vec<usize>; 3],
    /// Own axes of the right operand.
    axes_of_b: Vec<usize>,
    /// Axes of the output in the order of the product: batch, left, right.
    output: Vec<usize>,
}

impl ProductPlan {
    fn of(op: &EinSum) -> Option<Self> {
        let mut groups: [Vec<&Axis>; 7] = Default::default();
        for axis in op.axes.iter_all_axes() {
            let slots = [&axis.inputs[0], &axis.inputs[1], &axis.outputs[0]];
            if slots.iter().any(|slot| slot.len() > 1) {
                return None;
            }
            let group = match slots.map(|slot| !slot.is_empty()) {
                [true, true, true] => 0,
                [true, false, true] => 1,
                [false, true, true] => 2,
                [true, true, false] => 3,
                [true, false, false] => 4,
                [false, true, false] => 5,
                [false, false, true] => 6,
                [false, false, false] => return None,
            };
            groups[group].push(axis);
        }
        let [batch, left, right, summed, unit_a, unit_b, new] = groups;
        let of = |axes: &[&Axis], operand: usize| axes.iter().map(|axis| axis.inputs[operand][0]).collect::<Vec<_>>();
        let outputs = [&batch, &left, &right].into_iter().flatten().map(|axis| axis.outputs[0][0]).collect();
        let axes_of_a = [of(&batch, 0), of(&left, 0), of(&summed, 0)];
        let axes_of_b = of(&right, 1);
        let units = [of(&unit_a, 0), of(&unit_b, 1)];
        let orders = [
            [&units[0][..], &axes_of_a.concat()].concat(),
            [units[1].clone(), of(&batch, 1), axes_of_b.clone(), of(&summed, 1)].concat(),
        ];
        let new_axes = new.iter().map(|axis| axis.outputs[0][0]).collect();
        Some(Self { orders, units, new_axes, axes_of_a, axes_of_b, output: outputs })
    }
}
