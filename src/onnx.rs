//! Writing ONNX: opset 17, IR version 8, symbolic batch size.

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto, type_proto,
};

/// Operator set of every file written here.
pub const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

/// Builds a graph node by node. Values are named by their producers.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: GraphProto,
}

/// An axis of an input: a fixed length, or a symbolic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Any number of rows.
    Batch,
    /// Any number of places in a sequence.
    Length,
    /// As many.
    Fixed(usize),
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new(name: &str) -> Self {
        Self { graph: GraphProto { name: name.to_owned(), ..GraphProto::default() } }
    }

    /// Declares an input of numbers.
    pub fn float_input(&mut self, name: &str, shape: &[Axis]) -> String {
        self.graph.input.push(value_info(name, DataType::Float, shape));
        name.to_owned()
    }

    /// Declares an input of table rows.
    pub fn index_input(&mut self, name: &str, shape: &[Axis]) -> String {
        self.graph.input.push(value_info(name, DataType::Int64, shape));
        name.to_owned()
    }

    /// Adds a constant of numbers.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, dims, DataType::Float, raw_data)
    }

    /// Adds a constant of integers, as shapes and axes are.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, &[values.len()], DataType::Int64, raw_data)
    }

    fn constant(&mut self, name: &str, dims: &[usize], data_type: DataType, raw_data: Vec<u8>) -> String {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: dims.iter().map(|dim| *dim as i64).collect(),
            data_type: data_type as i32,
            raw_data,
            ..TensorProto::default()
        });
        name.to_owned()
    }

    /// Adds a node with one output of the same name.
    pub fn node(&mut self, name: &str, op_type: &str, inputs: &[&str], attributes: &[(&str, i64)]) -> String {
        self.add(
            name,
            op_type,
            inputs,
            attributes.iter().map(|(name, value)| integer_attribute(name, *value)).collect(),
        )
    }

    /// Adds a `Transpose` with one output of the same name: axis `i` of it is axis `order[i]` of the input.
    pub fn transpose(&mut self, name: &str, input: &str, order: &[i64]) -> String {
        let order = AttributeProto {
            name: "perm".to_owned(),
            ints: order.to_vec(),
            r#type: AttributeType::Ints as i32,
            ..AttributeProto::default()
        };
        self.add(name, "Transpose", &[input], vec![order])
    }

    fn add(&mut self, name: &str, op_type: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        self.graph.node.push(NodeProto {
            name: name.to_owned(),
            op_type: op_type.to_owned(),
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![name.to_owned()],
            attribute,
            ..NodeProto::default()
        });
        name.to_owned()
    }

    /// Declares the output and returns the file's bytes.
    pub fn finish(mut self, output: &str, shape: &[Axis]) -> Vec<u8> {
        self.graph.output.push(value_info(output, DataType::Float, shape));
        let model = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "nearshelf".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            graph: Some(self.graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

fn integer_attribute(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i: value, r#type: AttributeType::Int as i32, ..AttributeProto::default() }
}

fn value_info(name: &str, data_type: DataType, shape: &[Axis]) -> ValueInfoProto {
    let dim = |axis: &Axis| tensor_shape_proto::Dimension {
        value: Some(match axis {
            Axis::Batch => tensor_shape_proto::dimension::Value::DimParam("batch".to_owned()),
            Axis::Length => tensor_shape_proto::dimension::Value::DimParam("length".to_owned()),
            Axis::Fixed(length) => tensor_shape_proto::dimension::Value::DimValue(*length as i64),
        }),
        ..tensor_shape_proto::Dimension::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: data_type as i32,
        shape: Some(TensorShapeProto { dim: shape.iter().map(dim).collect() }),
    };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() }),
        ..ValueInfoProto::default()
    }
}
