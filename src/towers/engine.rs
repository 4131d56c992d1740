//! The tract engine: runs a query tower as the ONNX graph that it came as, for towers that cannot be lowered.
//!
//! tract reads the file, infers shapes for a batch of one and simplifies, as it does for `lower`; then it chooses kernels of its own. Those
//! differ between machines, so native and WebAssembly builds need not agree to the last bit, as programs do.
//!
//! Outside data gives errors that name operator and node. What tract itself asserts is caught where a panic can be caught: natively,
//! where a build tries every graph before it publishes it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb::{GraphProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{DimLike, Fact, bail, format_err};
use tract_onnx::tract_core::model::Node;
use tract_onnx::tract_hir::infer::{Factoid, InferenceModel, InferenceModelExt};

use super::TowerError;
use super::program::{Input, InputKind, MAX_INPUTS, MAX_OPERATIONS, MAX_VALUE, check_inputs};

/// Most bytes of a graph.
pub const MAX_GRAPH: usize = 1 << 24;

/// Operators whose results chance decides: the same request must give the same list.
const RANDOM: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

const READABLE: &str = "an ONNX graph that tract 0.23 can run";
const EXPORT_AGAIN: &str = "export the tower again as ONNX opset 17";
const WITHOUT: &str = "export the tower without this operator, as ONNX opset 17";

/// An ONNX graph that is ready to run.
#[derive(Debug, Clone)]
pub struct Graph {
    onnx: Arc<[u8]>,
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<(InputKind, usize)>,
    output_len: usize,
}

impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        self.onnx == other.onnx
    }
}

impl Graph {
    /// Reads and compiles a graph.
    ///
    /// # Errors
    /// [`TowerError::Graph`] naming what tract cannot read, type or compile, or what is beyond a limit: [`MAX_GRAPH`] bytes,
    /// [`MAX_OPERATIONS`] nodes, [`MAX_VALUE`] numbers in a value, [`MAX_INPUTS`] inputs.
    pub fn open(onnx: &[u8]) -> Result<Self, TowerError> {
        if onnx.len() > MAX_GRAPH {
            let (found, expected) = (format!("{} bytes", onnx.len()), format!("at most {MAX_GRAPH}"));
            return Err(graph_error("graph", &found, &expected, "keep tables of many rows out of the query tower"));
        }
        let model = read(onnx)?;
        let inputs = model.inputs.iter().map(|&outlet| input_of(&model, outlet)).collect::<Result<Vec<_>, _>>()?;
        check_sizes(&model)?;
        let output_len = output_of(&model)?;
        let names = Names::of(&model.nodes);
        let plan = guarded(|| model.into_optimized()?.into_runnable(), |error| names.fail(error, WITHOUT))?;
        Ok(Self { onnx: onnx.into(), plan, inputs, output_len })
    }

    /// Kind and length of each input.
    pub fn inputs(&self) -> &[(InputKind, usize)] {
        &self.inputs
    }

    /// Length of the output.
    pub fn output_len(&self) -> usize {
        self.output_len
    }

    /// The file.
    pub fn onnx(&self) -> &[u8] {
        &self.onnx
    }

    /// Runs the graph.
    ///
    /// # Errors
    /// [`TowerError::Input`] for inputs that do not fit, [`TowerError::Graph`] naming the node that failed, or where the output is not of
    /// finite numbers.
    pub fn run(&self, inputs: &[Input<'_>]) -> Result<Vec<f32>, TowerError> {
        check_inputs(&self.inputs, inputs)?;
        let run = || {
            let tensors = inputs.iter().enumerate().map(|(position, input)| self.tensor(position, input));
            let outputs = self.plan.run(tensors.collect::<TractResult<_>>()?)?;
            let Some(output) = outputs.first() else { return Ok(Vec::new()) };
            Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect())
        };
        let output: Vec<f32> = guarded(run, |error| Names::of(&self.plan.model().nodes).fail(error, WITHOUT))?;
        let remedy = "guard the divisions, roots and logarithms of the tower, and export it again";
        if output.len() != self.output_len {
            return Err(graph_error("output", &format!("{} numbers", output.len()), &self.output_len, EXPORT_AGAIN));
        }
        match output.iter().position(|number| !number.is_finite()) {
            Some(at) => Err(graph_error("output", &format!("{} at {at}", output[at]), &"finite numbers", remedy)),
            None => Ok(output),
        }
    }

    fn tensor(&self, position: usize, input: &Input<'_>) -> TractResult<TValue> {
        let fact = self.plan.model().input_fact(position)?;
        let shape = fact.shape.eval_to_usize(&SymbolValues::default())?;
        let tensor = match input {
            Input::Float(values) => Tensor::from_shape(&shape, values)?,
            Input::Index(rows) => {
                let rows: Vec<i64> = rows.iter().map(|&row| i64::from(row)).collect();
                Tensor::from_shape(&shape, &rows)?.cast_to_dt(fact.datum_type)?.into_owned()
            }
        };
        Ok(tensor.into_tvalue())
    }

    /// Runs the graph on no history and on a full one, as a build does before it publishes a graph.
    ///
    /// # Errors
    /// As [`Graph::run`].
    pub fn trial(&self) -> Result<(), TowerError> {
        for number in [0.0, 1.0] {
            let values: Vec<(Vec<f32>, Vec<u32>)> =
                self.inputs.iter().map(|(_, length)| (vec![number; *length], vec![0; *length])).collect();
            let mut inputs = Vec::with_capacity(values.len());
            for ((kind, _), (floats, rows)) in self.inputs.iter().zip(&values) {
                inputs.push(match kind {
                    InputKind::Float => Input::Float(floats),
                    InputKind::Index => Input::Index(rows),
                });
            }
            self.run(&inputs)?;
        }
        Ok(())
    }
}

/// Reads an ONNX file with a batch of one, shapes inferred and simplified by tract.
///
/// # Errors
/// [`TowerError::Graph`] naming the operator and node that tract cannot read, or more than [`MAX_OPERATIONS`] of them.
pub fn read(onnx: &[u8]) -> Result<TypedModel, TowerError> {
    let mut model = parse(onnx)?;
    let names = Names::of(&model.nodes);
    guarded(|| fix_batch(&mut model).and_then(|()| model.analyse(false)), |error| names.fail(error, WITHOUT))?;
    let typed = guarded(|| model.into_typed(), |error| names.fail(error, WITHOUT))?;
    let names = Names::of(&typed.nodes);
    guarded(|| typed.into_decluttered(), |error| names.fail(error, WITHOUT))
}

fn parse(onnx: &[u8]) -> Result<InferenceModel, TowerError> {
    let reader = tract_onnx::onnx();
    let proto =
        guarded(|| reader.proto_model_for_read(&mut &onnx[..]), |error| Names::default().fail(error, EXPORT_AGAIN))?;
    let mut nodes = 0;
    proto.graph.iter().try_for_each(|graph| check_nodes(graph, &reader, &mut nodes))?;
    let nodes = proto.graph.iter().flat_map(|graph| &graph.node);
    let names = Names(nodes.map(|node| (format!("node {} ({})", node.name, node.op_type), place(node))).collect());
    let model = guarded(|| reader.model_for_proto_model(&proto), |error| names.fail(error, WITHOUT))?;
    if model.inputs.is_empty() || model.inputs.len() > MAX_INPUTS || model.outputs.len() != 1 {
        let found = format!("{} inputs and {} outputs", model.inputs.len(), model.outputs.len());
        return Err(graph_error("graph", &found, &format!("1 to {MAX_INPUTS} inputs and one output"), EXPORT_AGAIN));
    }
    Ok(model)
}

/// Names the first node, those inside of other nodes too, whose operator tract does not have or chance decides.
fn check_nodes(graph: &GraphProto, reader: &tract_onnx::Onnx, nodes: &mut usize) -> Result<(), TowerError> {
    for node in &graph.node {
        *nodes += 1;
        if *nodes > MAX_OPERATIONS {
            let expected = format!("at most {MAX_OPERATIONS}");
            return Err(graph_error("graph", &format!("more than {MAX_OPERATIONS} nodes"), &expected, EXPORT_AGAIN));
        }
        if RANDOM.contains(&node.op_type.as_str()) {
            return Err(graph_error(&place(node), &"an operator of chance", &"one that repeats its results", WITHOUT));
        }
        if !reader.op_register.0.contains_key(&node.op_type) {
            return Err(graph_error(&place(node), &"an operator that tract does not have", &READABLE, WITHOUT));
        }
        let inner = node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs));
        inner.into_iter().try_for_each(|graph| check_nodes(graph, reader, nodes))?;
    }
    Ok(())
}

/// A node without a name has that of its first output.
fn place(node: &NodeProto) -> String {
    let first = node.output.first().filter(|_| node.name.is_empty());
    format!("node {:?} ({})", first.unwrap_or(&node.name), node.op_type)
}

/// Sets `batch` to 1 in the inputs.
fn fix_batch(model: &mut InferenceModel) -> TractResult<()> {
    let one = SymbolValues::default().with(&model.symbols.sym("batch"), 1);
    for input in 0..model.inputs.len() {
        let fact = model.input_fact(input)?.clone();
        let shape: Option<Vec<TDim>> = fact.shape.dims().map(Factoid::concretize).collect();
        let (Some(shape), Some(datum_type)) = (shape, fact.datum_type.concretize()) else {
            bail!("input {input} is {fact:?}, expected a type and a shape");
        };
        let shape: Vec<TDim> = shape.iter().map(|dim| dim.eval(&one)).collect();
        model.set_input_fact(input, InferenceFact::dt_shape(datum_type, shape))?;
    }
    Ok(())
}

fn input_of(model: &TypedModel, outlet: OutletId) -> Result<(InputKind, usize), TowerError> {
    let node = &model.nodes[outlet.node];
    let fact = &node.outputs[outlet.slot].fact;
    let kind = match fact.datum_type {
        DatumType::F32 => Some(InputKind::Float),
        DatumType::I64 | DatumType::I32 => Some(InputKind::Index),
        _ => None,
    };
    if let (Some(kind), Some(shape)) = (kind, fact.shape.as_concrete()) {
        return Ok((kind, shape.iter().product()));
    }
    let place = format!("input {:?}", node.name);
    Err(graph_error(&place, &format!("{fact:?}"), &"f32 or i64, and only the batch not known", EXPORT_AGAIN))
}

fn output_of(model: &TypedModel) -> Result<usize, TowerError> {
    let fact = model.output_fact(0).map_err(|error| graph_error("output", &error, &"one", EXPORT_AGAIN))?;
    match fact.shape.as_concrete().filter(|_| fact.datum_type == DatumType::F32) {
        Some(shape) => Ok(shape.iter().product()),
        None => Err(graph_error("output", &format!("{fact:?}"), &"f32, and only the batch not known", EXPORT_AGAIN)),
    }
}

/// Every value has to be known to be small before anything is computed.
fn check_sizes(model: &TypedModel) -> Result<(), TowerError> {
    for node in &model.nodes {
        for output in &node.outputs {
            let length =
                output.fact.shape.iter().try_fold(1, |length: usize, dim| length.checked_mul(dim.to_usize().ok()?));
            if length.is_none_or(|length| length > MAX_VALUE) {
                let place = format!("node {:?} ({})", node.name, node.op.name());
                let expected = format!("a known shape of at most {MAX_VALUE} numbers");
                return Err(graph_error(&place, &format!("{:?}", output.fact), &expected, EXPORT_AGAIN));
            }
        }
    }
    Ok(())
}

/// How tract's errors name nodes, and how ours do.
#[derive(Debug, Default)]
struct Names(Vec<(String, String)>);

impl Names {
    fn of<F: Fact, O: std::fmt::Display>(nodes: &[Node<F, O>]) -> Self {
        Self(nodes.iter().map(|node| (node.to_string(), format!("node {:?} ({})", node.name, node.op))).collect())
    }

    /// tract's alternate form prints the whole chain of causes, outermost first; the last node that is named is the one at fault.
    fn fail(&self, error: &TractError, remedy: &'static str) -> TowerError {
        let found = format!("{error:#}").replace('\n', " ");
        let named = self.0.iter().filter_map(|(theirs, ours)| found.rfind(theirs).map(|at| (at, ours)));
        let place = named.max().map_or("graph", |(_, ours)| ours);
        graph_error(place, &found, &READABLE, remedy)
    }
}

fn graph_error(
    place: &str,
    found: &dyn std::fmt::Display,
    expected: &dyn std::fmt::Display,
    remedy: &'static str,
) -> TowerError {
    TowerError::Graph { place: place.to_owned(), found: found.to_string(), expected: expected.to_string(), remedy }
}

/// Calls tract, which asserts things of graphs that no exporter writes.
fn guarded<T>(
    call: impl FnOnce() -> TractResult<T>,
    wrong: impl FnOnce(&TractError) -> TowerError,
) -> Result<T, TowerError> {
    // What a panic leaves half done is dropped with it: all calls own what they change, or change nothing.
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format_err!("tract stopped: {}", text.unwrap_or("without a reason")))
    });
    result.map_err(|error| wrong(&error))
}
