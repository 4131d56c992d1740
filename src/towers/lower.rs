//! ONNX -> tract -> [`Program`]: the compiler that runs at the origin so that clients need none.
//!
//! tract reads the file, infers shapes and simplifies; what is left are a few kinds of node, each of which becomes
//! operations of a program. A node without a lowering is named in the error. Reshapes cost nothing: all values are
//! dense and row-major.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::axes::Axis;
use tract_onnx::tract_core::internal::AxisOp;
use tract_onnx::tract_core::ops::array::{Gather, MultiBroadcastTo, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer as TractReducer};
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::infer::Factoid;

use super::program::{InputKind, Program};
use super::{Binary, Op, Reducer, TowerError, Unary};

type Node = TypedNode;

/// Reads an ONNX file with a batch of one, shapes inferred and simplified by tract.
///
/// # Errors
/// [`TowerError::Io`], or [`TowerError::Onnx`] naming the node that tract cannot read.
pub fn read(path: &Path) -> Result<TypedModel, TowerError> {
    let bytes = std::fs::read(path).map_err(|source| TowerError::Io { path: path.into(), source })?;
    let foreign =
        |error: TractError| onnx_error(path, "graph", &error, READABLE, "export the tower again as ONNX opset 17");
    let mut model = onnx().model_for_read(&mut &bytes[..]).map_err(foreign)?;
    let nothing = model.inputs.is_empty() || model.outputs.len() != 1;
    if nothing {
        let found = format!("{} inputs and {} outputs", model.inputs.len(), model.outputs.len());
        return Err(onnx_error(path, "graph", &found, "inputs and one output", "export the tower again"));
    }
    let batch = model.symbols.sym("batch");
    for input in 0..model.inputs.len() {
        let fact = model.input_fact(input).map_err(foreign)?.clone();
        let shape: Option<Vec<TDim>> = fact.shape.dims().map(Factoid::concretize).collect();
        let datum_type = fact.datum_type.concretize();
        let (Some(shape), Some(datum_type)) = (shape, datum_type) else {
            let place = format!("input {input}");
            return Err(onnx_error(path, &place, &format!("{fact:?}"), "a type and a shape", "export it with shapes"));
        };
        let one = SymbolValues::default().with(&batch, 1);
        let shape: Vec<TDim> = shape.iter().map(|dim| dim.eval(&one)).collect();
        model.set_input_fact(input, InferenceFact::dt_shape(datum_type, shape)).map_err(foreign)?;
    }
    model.into_typed().and_then(TypedModel::into_decluttered).map_err(foreign)
}

const READABLE: &str = "an ONNX graph that tract 0.23 can run";

fn onnx_error(
    path: &Path,
    place: &str,
    found: &impl std::fmt::Display,
    expected: &str,
    remedy: &'static str,
) -> TowerError {
    // tract's alternate form prints the whole chain of causes.
    let found = format!("{found:#}").replace('\n', " ");
    TowerError::Onnx { path: path.into(), place: place.to_owned(), found, expected: expected.to_owned(), remedy }
}

/// Lowers a model from [`read`].
///
/// # Errors
/// [`TowerError::Onnx`] naming the first node that has no lowering.
pub fn lower(path: &Path, model: &TypedModel) -> Result<Program, TowerError> {
    let failed = |error: TractError| onnx_error(path, "graph", &error, READABLE, "report this as a defect");
    let mut lowering = Lowering { path, model, ..Lowering::default_for(path, model) };
    for position in 0..model.inputs.len() {
        lowering.input(position).map_err(failed)??;
    }
    for id in model.eval_order().map_err(failed)? {
        lowering.node(&model.nodes[id])?;
    }
    let output = model.outputs[0];
    lowering.finish(output)
}

/// Reads and lowers an ONNX file.
///
/// # Errors
/// As [`read`] and [`lower`].
pub fn compile(path: &Path) -> Result<Program, TowerError> {
    lower(path, &read(path)?)
}

/// Where a value comes from, before values are numbered.
#[derive(Debug, Clone)]
enum Source {
    Input(u32),
    Constant(Arc<Tensor>),
    Result(u32),
}

#[derive(Debug, Clone)]
struct Wire {
    source: Source,
    shape: Vec<usize>,
}

struct Lowering<'m> {
    path: &'m Path,
    model: &'m TypedModel,
    inputs: Vec<(InputKind, usize)>,
    constants: Vec<Vec<f32>>,
    ops: Vec<Op>,
    wires: HashMap<OutletId, Wire>,
}

/// Operands are numbered by kind until the number of constants is known.
const CONSTANT: u32 = 1 << 30;
const RESULT: u32 = 1 << 31;

impl<'m> Lowering<'m> {
    fn default_for(path: &'m Path, model: &'m TypedModel) -> Self {
        Self { path, model, inputs: vec![], constants: vec![], ops: vec![], wires: HashMap::new() }
    }

    fn refuse<T>(&self, node: &Node, found: &str) -> Result<T, TowerError> {
        let place = format!("node {:?} ({})", node.name, node.op.name());
        let remedy = "leave the operator out of the query tower, or serve this tower with the tract engine";
        Err(onnx_error(self.path, &place, &found, "an operator with a lowering", remedy))
    }

    fn input(&mut self, position: usize) -> TractResult<Result<(), TowerError>> {
        let outlet = self.model.inputs[position];
        let fact = self.model.outlet_fact(outlet)?;
        let shape: Vec<usize> = match fact.shape.as_concrete() {
            Some(shape) => shape.to_vec(),
            None => return Ok(self.refuse(&self.model.nodes[outlet.node], "a shape with more than one unknown")),
        };
        let kind = match fact.datum_type {
            DatumType::F32 => InputKind::Float,
            DatumType::I64 | DatumType::I32 => InputKind::Index,
            other => return Ok(self.refuse(&self.model.nodes[outlet.node], &format!("{other:?}"))),
        };
        self.inputs.push((kind, shape.iter().product()));
        self.wires.insert(outlet, Wire { source: Source::Input(position as u32), shape });
        Ok(Ok(()))
    }

    fn node(&mut self, node: &Node) -> Result<(), TowerError> {
        if node.op_is::<TypedSource>() {
            return Ok(());
        }
        let outlet = OutletId::new(node.id, 0);
        let Some(shape) = node.outputs[0].fact.shape.as_concrete().map(<[usize]>::to_vec) else {
            return self.refuse(node, "a shape with more than one unknown");
        };
        let source = if let Some(constant) = node.op_as::<Const>() {
            Source::Constant(Arc::clone(constant.val()))
        } else if let Some(constant) = &node.outputs[0].fact.konst {
            Source::Constant(Arc::clone(constant))
        } else {
            let inputs: Vec<Wire> = node.inputs.iter().map(|outlet| self.wires[outlet].clone()).collect();
            self.operation(node, &inputs, &shape)?
        };
        self.wires.insert(outlet, Wire { source, shape });
        Ok(())
    }

    fn operation(&mut self, node: &Node, inputs: &[Wire], shape: &[usize]) -> Result<Source, TowerError> {
        if let Some(op) = node.op_as::<AxisOp>() {
            return match op {
                AxisOp::Move(from, to) => self.permute(node, &inputs[0], &moved(inputs[0].shape.len(), *from, *to)),
                _ => Ok(inputs[0].source.clone()),
            };
        }
        if let Some(op) = node.op_as::<Cast>() {
            let between_integers = op.to.is_integer() && matches!(inputs[0].source, Source::Input(_));
            return if between_integers { Ok(inputs[0].source.clone()) } else { self.refuse(node, "a cast") };
        }
        let op = if let Some(op) = node.op_as::<EinSum>() {
            return self.einsum(node, op, inputs, shape);
        } else if let Some(op) = node.op_as::<TypedBinOp>() {
            self.binary(node, op, inputs, shape)?
        } else if node.op_is::<MultiBroadcastTo>() {
            let zero = self.zero();
            let axes = broadcast(shape, &inputs[0].shape, &[]);
            Op::Binary { function: Binary::Add, a: self.operand(node, &inputs[0])?, b: zero, axes }
        } else if let Some(op) = node.op_as::<ElementWiseOp>() {
            let Some(function) = unary(&op.0.name()) else { return self.refuse(node, "an unknown function") };
            Op::Unary { function, a: self.operand(node, &inputs[0])? }
        } else if let Some(op) = node.op_as::<Reduce>() {
            return self.reduce(node, op, &inputs[0]);
        } else if let Some(op) = node.op_as::<Gather>() {
            self.gather(node, op, inputs)?
        } else if let Some(op) = node.op_as::<TypedConcat>() {
            let outer: usize = shape[..op.axis].iter().product();
            let mut parts = Vec::with_capacity(inputs.len());
            for input in inputs {
                let chunk: usize = input.shape[op.axis..].iter().product();
                parts.push([self.operand(node, input)?, chunk as u32]);
            }
            Op::Concat { outer: outer as u32, parts }
        } else {
            return self.refuse(node, "an operator without a lowering");
        };
        Ok(self.push(op))
    }

    fn push(&mut self, op: Op) -> Source {
        self.ops.push(op);
        Source::Result(self.ops.len() as u32 - 1)
    }

    fn zero(&mut self) -> u32 {
        self.constants.push(vec![0.0]);
        CONSTANT | (self.constants.len() as u32 - 1)
    }

    fn operand(&mut self, node: &Node, wire: &Wire) -> Result<u32, TowerError> {
        Ok(match &wire.source {
            Source::Input(position) => *position,
            Source::Result(position) => RESULT | position,
            Source::Constant(tensor) => {
                let Some(values) = floats(tensor) else { return self.refuse(node, "a constant that is not f32") };
                self.constants.push(values);
                CONSTANT | (self.constants.len() as u32 - 1)
            }
        })
    }

    fn binary(&mut self, node: &Node, op: &TypedBinOp, inputs: &[Wire], shape: &[usize]) -> Result<Op, TowerError> {
        let function = match op.0.name() {
            "Add" => Binary::Add,
            "Sub" => Binary::Sub,
            "Mul" => Binary::Mul,
            "Div" => Binary::Div,
            "Max" => Binary::Max,
            "Min" => Binary::Min,
            _ => return self.refuse(node, "an unknown function"),
        };
        let (a, b) = (self.operand(node, &inputs[0])?, self.operand(node, &inputs[1])?);
        Ok(Op::Binary { function, a, b, axes: broadcast(shape, &inputs[0].shape, &inputs[1].shape) })
    }

    /// Folds one axis after the other.
    fn reduce(&mut self, node: &Node, op: &Reduce, input: &Wire) -> Result<Source, TowerError> {
        let function = match op.reducer {
            TractReducer::Sum => Reducer::Sum,
            TractReducer::Max => Reducer::Max,
            _ => return self.refuse(node, "an unknown reducer"),
        };
        let mut wire = input.clone();
        for axis in &op.axes {
            let a = self.operand(node, &wire)?;
            let [outer, inner] = [&wire.shape[..*axis], &wire.shape[axis + 1..]].map(product);
            let op = Op::Reduce { function, a, outer, n: wire.shape[*axis] as u32, inner };
            wire.source = self.push(op);
            wire.shape[*axis] = 1;
        }
        Ok(wire.source)
    }

    fn gather(&mut self, node: &Node, op: &Gather, inputs: &[Wire]) -> Result<Op, TowerError> {
        let [table, indices] = [&inputs[0], &inputs[1]];
        let Source::Input(position) = indices.source else { return self.refuse(node, "computed indices") };
        if op.axis != 0 {
            return self.refuse(node, "an axis other than 0");
        }
        let width = product(&table.shape[1..]);
        Ok(Op::Gather { table: self.operand(node, table)?, indices: position, width })
    }

    fn permute(&mut self, node: &Node, input: &Wire, order: &[usize]) -> Result<Source, TowerError> {
        if order.is_sorted() {
            return Ok(input.source.clone());
        }
        let axes = strided(&input.shape, order);
        if let Source::Constant(tensor) = &input.source {
            let permuted = tensor.clone().into_tensor().permute_axes(order);
            return match permuted {
                Ok(tensor) => Ok(Source::Constant(Arc::new(tensor))),
                Err(error) => self.refuse(node, &error.to_string()),
            };
        }
        let a = self.operand(node, input)?;
        Ok(self.push(Op::Permute { a, axes }))
    }

    /// Any Einstein sum of two operands is a batch of matrix products between two permutations.
    fn einsum(&mut self, node: &Node, op: &EinSum, inputs: &[Wire], shape: &[usize]) -> Result<Source, TowerError> {
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

    fn finish(mut self, output: OutletId) -> Result<Program, TowerError> {
        let last = self.ops.len() as u32;
        let node = &self.model.nodes[output.node];
        if !matches!(self.wires[&output].source, Source::Result(position) if position + 1 == last) {
            return self.refuse(node, "an output that is not the last value");
        }
        let constants_from = self.inputs.len() as u32;
        let results_from = constants_from + self.constants.len() as u32;
        for op in &mut self.ops {
            for operand in op.operands_mut() {
                if *operand & RESULT != 0 {
                    *operand = (*operand & !RESULT) + results_from;
                } else if *operand & CONSTANT != 0 {
                    *operand = (*operand & !CONSTANT) + constants_from;
                }
            }
        }
        let remedy = "train the towers again";
        Program::new(self.inputs, self.constants, self.ops)
            .map_err(|error| onnx_error(self.path, "weights", &error, "finite numbers in shapes that fit", remedy))
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

fn product(lengths: &[usize]) -> u32 {
    lengths.iter().product::<usize>() as u32
}

fn floats(tensor: &Tensor) -> Option<Vec<f32>> {
    (tensor.datum_type() == DatumType::F32)
        .then(|| tensor.to_plain_array_view::<f32>().ok())?
        .map(|view| view.iter().copied().collect())
}

fn moved(rank: usize, from: usize, to: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rank).collect();
    let axis = order.remove(from);
    order.insert(to, axis);
    order
}

fn strides(shape: &[usize]) -> Vec<u32> {
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
fn strided(shape: &[usize], order: &[usize]) -> Vec<[u32; 2]> {
    let strides = strides(shape);
    order.iter().map(|axis| [shape[*axis] as u32, strides[*axis]]).collect()
}

/// Length and both operands' strides of each axis: 0 where an operand has length 1.
fn broadcast(shape: &[usize], a: &[usize], b: &[usize]) -> Vec<[u32; 3]> {
    let aligned = |operand: &[usize]| {
        let strides = strides(operand);
        let missing = shape.len() - operand.len();
        let stride = |axis: usize| {
            let axis = axis.checked_sub(missing)?;
            (operand[axis] != 1).then(|| strides[axis])
        };
        (0..shape.len()).map(|axis| stride(axis).unwrap_or(0)).collect::<Vec<_>>()
    };
    let (a, b) = (aligned(a), aligned(b));
    shape.iter().zip(a.iter().zip(&b)).map(|(length, (a, b))| [*length as u32, *a, *b]).collect()
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
    ];
    functions.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
}
