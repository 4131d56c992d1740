//! ONNX -> tract -> [`Program`]: the compiler that runs at the origin so that clients need none.
//!
//! tract reads the file, infers shapes and simplifies; what is left are some kinds of node, each of which becomes operations of a
//! program: arithmetic and functions (`functions`), matrix products (`product`), parts of values (`parts`), and recurrent layers,
//! whose steps are unrolled (`recurrent`). A node without a lowering is named in the error. Reshapes cost nothing: all values are
//! dense and row-major. Truth values are the numbers 0 and 1.

mod functions;
mod parts;
mod product;
mod recurrent;
mod shapes;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::AxisOp;
use tract_onnx::tract_core::ops::array::{Gather, MultiBroadcastTo, Slice, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::downsample::Downsample;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::gru_cell::GruEpilogue;
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::konst::Const;
use tract_onnx::tract_core::ops::logic::Iff;
use tract_onnx::tract_core::ops::lstm_cell::LstmEpilogue;
use tract_onnx::tract_core::ops::nn::{Reduce, RmsNorm, Softmax};
use tract_onnx::tract_core::ops::scan::Scan;
use tract_onnx::tract_core::ops::source::TypedSource;

use super::program::{InputKind, Program};
use super::{Binary, Op, TowerError, engine};
use shapes::{broadcast, floats, moved, strided};

type Node = TypedNode;

/// Reads an ONNX file with a batch of one, shapes inferred and simplified by tract.
///
/// # Errors
/// [`TowerError::Io`], or [`TowerError::Onnx`] naming the node that tract cannot read.
pub fn read(path: &Path) -> Result<TypedModel, TowerError> {
    let bytes = std::fs::read(path).map_err(|source| TowerError::Io { path: path.into(), source })?;
    engine::read(&bytes).map_err(|error| in_file(path, error))
}

/// Adds the file to an error of the engine.
pub(super) fn in_file(path: &Path, error: TowerError) -> TowerError {
    match error {
        TowerError::Graph { place, found, expected, remedy } => {
            TowerError::Onnx { path: path.into(), place, found, expected, remedy }
        }
        other => other,
    }
}

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
    let mut lowering = Lowering { path, inputs: Vec::new(), constants: Vec::new(), ops: Vec::new() };
    let mut wires = Wires::new();
    for (position, &outlet) in model.inputs.iter().enumerate() {
        let wire = lowering.input(position, model, outlet)?;
        wires.insert(outlet, wire);
    }
    lowering.graph(model, &mut wires)?;
    lowering.finish(model, &wires)
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

/// The values of a graph that are known.
type Wires = HashMap<OutletId, Wire>;

struct Lowering<'m> {
    path: &'m Path,
    inputs: Vec<(InputKind, usize)>,
    constants: Vec<Vec<f32>>,
    ops: Vec<Op>,
}

/// Operands are numbered by kind until the number of constants is known.
const CONSTANT: u32 = 1 << 30;
const RESULT: u32 = 1 << 31;

impl Lowering<'_> {
    fn refuse<T>(&self, node: &Node, found: &str) -> Result<T, TowerError> {
        let place = format!("node {:?} ({})", node.name, node.op.name());
        let remedy = "leave the operator out of the tower";
        Err(onnx_error(self.path, &place, &found, "an operator with a lowering", remedy))
    }

    fn input(&mut self, position: usize, model: &TypedModel, outlet: OutletId) -> Result<Wire, TowerError> {
        let node = &model.nodes[outlet.node];
        let fact = &node.outputs[outlet.slot].fact;
        let Some(shape) = fact.shape.as_concrete().map(<[usize]>::to_vec) else {
            return self.refuse(node, "a shape with more than one unknown");
        };
        let kind = match fact.datum_type {
            DatumType::F32 => InputKind::Float,
            DatumType::I64 | DatumType::I32 => InputKind::Index,
            other => return self.refuse(node, &format!("{other:?}")),
        };
        self.inputs.push((kind, shape.iter().product()));
        Ok(Wire { source: Source::Input(position as u32), shape })
    }

    /// Lowers the nodes of a graph whose inputs are known.
    fn graph(&mut self, model: &TypedModel, wires: &mut Wires) -> Result<(), TowerError> {
        let order = model.eval_order().map_err(|error| {
            onnx_error(self.path, "graph", &error, "a graph without circles", "report this as a defect")
        })?;
        for id in order {
            let node = &model.nodes[id];
            if node.op_is::<TypedSource>() {
                continue;
            }
            for (slot, wire) in self.node(node, wires)?.into_iter().enumerate() {
                wires.insert(OutletId::new(id, slot), wire);
            }
        }
        Ok(())
    }

    /// The outputs of a node.
    fn node(&mut self, node: &Node, wires: &Wires) -> Result<Vec<Wire>, TowerError> {
        let shapes: Option<Vec<Vec<usize>>> =
            node.outputs.iter().map(|output| output.fact.shape.as_concrete().map(<[usize]>::to_vec)).collect();
        let Some(shapes) = shapes else { return self.refuse(node, "a shape with more than one unknown") };
        let constant = node.op_as::<Const>().map(Const::val).or(node.outputs[0].fact.konst.as_ref());
        if let Some(constant) = constant {
            return Ok(vec![Wire { source: Source::Constant(Arc::clone(constant)), shape: shapes[0].clone() }]);
        }
        let inputs: Vec<Wire> = node.inputs.iter().map(|outlet| wires[outlet].clone()).collect();
        if let Some(scan) = node.op_as::<Scan>() {
            self.scan(node, scan, &inputs)
        } else if let Some(gru) = node.op_as::<GruSeq>() {
            self.gru(node, gru, &inputs, &shapes)
        } else if node.op_is::<LstmEpilogue>() {
            self.lstm_cell(node, &inputs)
        } else {
            let source = self.operation(node, &inputs, &shapes[0])?;
            Ok(vec![Wire { source, shape: shapes[0].clone() }])
        }
    }

    fn operation(&mut self, node: &Node, inputs: &[Wire], shape: &[usize]) -> Result<Source, TowerError> {
        let wire = if let Some(op) = node.op_as::<AxisOp>() {
            return match op {
                AxisOp::Move(from, to) => self.permute(node, &inputs[0], &moved(inputs[0].shape.len(), *from, *to)),
                _ => Ok(inputs[0].source.clone()),
            };
        } else if let Some(op) = node.op_as::<Cast>() {
            return self.cast(node, op, &inputs[0]);
        } else if let Some(op) = node.op_as::<EinSum>() {
            return self.einsum(node, op, inputs, shape);
        } else if let Some(op) = node.op_as::<TypedBinOp>() {
            self.binary(node, op, inputs)?
        } else if node.op_is::<Iff>() {
            return self.select(node, inputs, shape);
        } else if node.op_is::<MultiBroadcastTo>() {
            let (zero, a) = (number(0.0), self.operand(node, &inputs[0])?);
            let b = self.operand(node, &zero)?;
            let axes = broadcast(shape, &inputs[0].shape, &[]);
            return Ok(self.push(Op::Binary { function: Binary::Add, a, b, axes }));
        } else if let Some(op) = node.op_as::<ElementWiseOp>() {
            self.element_wise(node, op, &inputs[0])?
        } else if let Some(op) = node.op_as::<Reduce>() {
            self.reduce(node, op, &inputs[0])?
        } else if let Some(op) = node.op_as::<Softmax>() {
            self.softmax(node, op, &inputs[0])?
        } else if let Some(op) = node.op_as::<RmsNorm>() {
            self.rms_norm(node, op, &inputs[0])?
        } else if node.op_is::<GruEpilogue>() {
            self.gru_cell(node, [&inputs[0], &inputs[1], &inputs[2]])?
        } else if let Some(op) = node.op_as::<Gather>() {
            self.gather(node, op, inputs)?
        } else if let Some(op) = node.op_as::<Slice>() {
            self.slice_op(node, op, &inputs[0])?
        } else if let Some(op) = node.op_as::<Downsample>() {
            self.downsample(node, op, &inputs[0], shape)?
        } else if let Some(op) = node.op_as::<TypedConcat>() {
            self.concat(node, inputs, op.axis)?
        } else {
            return self.refuse(node, "an operator without a lowering");
        };
        Ok(wire.source)
    }

    fn push(&mut self, op: Op) -> Source {
        self.ops.push(op);
        Source::Result(self.ops.len() as u32 - 1)
    }

    fn operand(&mut self, node: &Node, wire: &Wire) -> Result<u32, TowerError> {
        Ok(match &wire.source {
            Source::Input(position) => *position,
            Source::Result(position) => RESULT | position,
            Source::Constant(tensor) => {
                let Some(values) = floats(tensor) else {
                    return self.refuse(node, "a constant that is neither numbers nor truth values");
                };
                // The steps of a recurrent layer share their weights.
                let known = self.constants.iter().position(|constant| *constant == values);
                let position = known.unwrap_or_else(|| {
                    self.constants.push(values);
                    self.constants.len() - 1
                });
                CONSTANT | position as u32
            }
        })
    }

    fn permute(&mut self, node: &Node, input: &Wire, order: &[usize]) -> Result<Source, TowerError> {
        let moves = order.iter().filter(|axis| input.shape[**axis] != 1);
        if moves.is_sorted() {
            return Ok(input.source.clone());
        }
        if let Source::Constant(tensor) = &input.source {
            let permuted = tensor.clone().into_tensor().permute_axes(order);
            return match permuted {
                Ok(tensor) => Ok(Source::Constant(Arc::new(tensor))),
                Err(error) => self.refuse(node, &error.to_string()),
            };
        }
        let (a, axes) = (self.operand(node, input)?, strided(&input.shape, order));
        Ok(self.push(Op::Permute { a, axes }))
    }

    fn finish(mut self, model: &TypedModel, wires: &Wires) -> Result<Program, TowerError> {
        let output = model.outputs[0];
        let (node, wire) = (&model.nodes[output.node], &wires[&output]);
        if !matches!(wire.source, Source::Result(position) if position as usize + 1 == self.ops.len()) {
            // A copy, so that it is the last value.
            let (a, axes) =
                (self.operand(node, wire)?, strided(&wire.shape, &(0..wire.shape.len()).collect::<Vec<_>>()));
            self.push(Op::Permute { a, axes });
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

/// A constant of one number that is broadcast to any shape.
fn number(number: f32) -> Wire {
    Wire { source: Source::Constant(Arc::new(tensor0(number))), shape: Vec::new() }
}
