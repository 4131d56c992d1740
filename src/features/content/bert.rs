//! A BERT as ONNX, from its safetensors: the encoder of Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (NAACL
//! 2019), post-norm, absolute positions, exact GELU.
//!
//! Inputs: `input_ids [batch, length]` and `attention_mask [batch, length]` (int64); output: `last_hidden_state [batch, length, width]`.
//! Every token is of the first type, as those of a text alone are. The names of tensors are those of Hugging Face's transformers,
//! with any prefix; a `config.json` beside the file says what the tensors do not.

use std::f32::consts::FRAC_1_SQRT_2;
use std::path::Path;

use serde::Deserialize;

use super::ContentError;
use super::tensors::Tensors;
use crate::onnx::{Axis, GraphBuilder};

/// Added to the scores of places that are no token: their weights become 0.
const MASKED: f32 = 1e9;
/// The element type that `Cast` turns truth values and counts into.
const FLOAT: i64 = 1;
const WORDS: &str = "embeddings.word_embeddings.weight";
const REMEDY: &str = "name a BERT with its config.json, or export the encoder as ONNX";

/// What is read of `config.json`.
#[derive(Debug, Deserialize)]
struct BertConfig {
    model_type: String,
    num_attention_heads: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f32,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn absolute() -> String {
    "absolute".to_owned()
}

fn layer_norm_eps() -> f32 {
    1e-12
}

/// The ONNX of the BERT in `bytes`, which `path` holds, and how many places a text may have.
pub(super) fn to_onnx(path: &Path, bytes: &[u8]) -> Result<(Vec<u8>, usize), ContentError> {
    let tensors = Tensors::open(path, bytes)?;
    let names = tensors.names();
    let words = names.iter().find(|name| name.ends_with(WORDS)).ok_or_else(|| {
        ContentError::wrong(path, "tensors", format!("none of {}", names.len()), format!("one named {WORDS}"), REMEDY)
    })?;
    let prefix = words.strip_suffix(WORDS).unwrap_or_default().to_owned();
    let layers = (0..).take_while(|layer| {
        let name = format!("{prefix}encoder.layer.{layer}.attention.self.query.weight");
        names.binary_search(&name.as_str()).is_ok()
    });
    let layers = layers.count();
    let [_, width] = tensors.shape(words)?;
    let [places, _] = tensors.shape(&format!("{prefix}embeddings.position_embeddings.weight"))?;
    let config = config(path, width)?;
    let graph = GraphBuilder::new("sentence encoder");
    let mut bert = Bert { tensors, prefix, graph, width, config };
    bert.inputs();
    let mut hidden = bert.embeddings(places)?;
    for layer in 0..layers {
        hidden = bert.layer(layer, &hidden)?;
    }
    let output = bert.graph.node("last_hidden_state", "Identity", &[&hidden], &[]);
    Ok((bert.graph.finish(&output, &[Axis::Batch, Axis::Length, Axis::Fixed(width)]), places))
}

fn config(path: &Path, width: usize) -> Result<BertConfig, ContentError> {
    let beside = path.with_file_name("config.json");
    let bytes = std::fs::read(&beside).map_err(ContentError::io(&beside))?;
    let wrong = |found: String, expected: String| ContentError::wrong(&beside, "encoder", found, expected, REMEDY);
    let config: BertConfig = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(error.to_string(), "the config.json of a BERT".to_owned()))?;
    let kinds = [("model_type", &config.model_type, "bert"), ("hidden_act", &config.hidden_act, "gelu")];
    let positions = ("position_embedding_type", &config.position_embedding_type, "absolute");
    for (key, found, expected) in kinds.into_iter().chain([positions]) {
        if found != expected {
            return Err(wrong(format!("{key} {found:?}"), format!("{expected:?}")));
        }
    }
    let heads = config.num_attention_heads;
    if heads == 0 || !width.is_multiple_of(heads) {
        return Err(wrong(format!("num_attention_heads {heads}"), format!("a divisor of {width}")));
    }
    Ok(config)
}

/// A graph in the making.
struct Bert<'b> {
    tensors: Tensors<'b>,
    prefix: String,
    graph: GraphBuilder,
    width: usize,
    config: BertConfig,
}

impl Bert<'_> {
    /// Declares the inputs and what all layers use: `mask_bias [batch, 1, 1, length]`, shapes and numbers.
    fn inputs(&mut self) {
        let heads = self.config.num_attention_heads;
        let graph = &mut self.graph;
        graph.index_input("input_ids", &[Axis::Batch, Axis::Length]);
        graph.index_input("attention_mask", &[Axis::Batch, Axis::Length]);
        graph.floats("epsilon", &[1], &[self.config.layer_norm_eps]);
        graph.floats("one", &[1], &[1.0]);
        graph.floats("half", &[1], &[0.5]);
        graph.floats("erf_scale", &[1], &[FRAC_1_SQRT_2]);
        graph.floats("masked", &[1], &[MASKED]);
        // 0 keeps an axis as long as it is.
        graph.integers("split", &[0, 0, heads as i64, (self.width / heads) as i64]);
        graph.integers("joined", &[0, 0, self.width as i64]);
        graph.integers("last_axis", &[-1]);
        graph.integers("mask_axes", &[1, 2]);
        graph.node("mask", "Cast", &["attention_mask"], &[("to", FLOAT)]);
        graph.node("mask_rows", "Unsqueeze", &["mask", "mask_axes"], &[]);
        graph.node("mask_less_one", "Sub", &["mask_rows", "one"], &[]);
        graph.node("mask_bias", "Mul", &["mask_less_one", "masked"], &[]);
    }

    /// Adds the embeddings of tokens, places and the first type, normalised.
    fn embeddings(&mut self, places: usize) -> Result<String, ContentError> {
        let name = |part: &str| format!("{}embeddings.{part}_embeddings.weight", self.prefix);
        let words = self.tensors.shape(&name("word"))?;
        let types = self.tensors.shape(&name("token_type"))?;
        let table = self.tensors.numbers(&name("word"), &words)?;
        let mut positions = self.tensors.numbers(&name("position"), &[places, self.width])?;
        let types = self.tensors.numbers(&name("token_type"), &[types[0], self.width])?;
        for row in positions.chunks_exact_mut(self.width) {
            row.iter_mut().zip(&types).for_each(|(position, kind)| *position += kind);
        }
        let graph = &mut self.graph;
        graph.floats("words", &words, &table);
        graph.floats("positions", &[places, self.width], &positions);
        graph.integers("zero", &[0]);
        graph.integers("second", &[1]);
        graph.node("shape", "Shape", &["input_ids"], &[]);
        graph.node("length", "Gather", &["shape", "second"], &[("axis", 0)]);
        graph.node("position_rows", "Slice", &["positions", "zero", "length", "zero"], &[]);
        graph.node("word_rows", "Gather", &["words", "input_ids"], &[("axis", 0)]);
        graph.node("embedded", "Add", &["word_rows", "position_rows"], &[]);
        self.norm("embeddings.LayerNorm", "embedded")
    }

    /// Adds one layer of attention and its network.
    fn layer(&mut self, layer: usize, hidden: &str) -> Result<String, ContentError> {
        let base = format!("encoder.layer.{layer}");
        let attention = format!("{base}.attention");
        let head_width = (self.width / self.config.num_attention_heads) as f32;
        let query = self.heads(&format!("{attention}.self.query"), hidden, &[0, 2, 1, 3], 1.0 / head_width.sqrt())?;
        let key = self.heads(&format!("{attention}.self.key"), hidden, &[0, 2, 3, 1], 1.0)?;
        let value = self.heads(&format!("{attention}.self.value"), hidden, &[0, 2, 1, 3], 1.0)?;
        let at = |part: &str| format!("{attention}.{part}");
        let graph = &mut self.graph;
        let scores = graph.node(&at("scores"), "MatMul", &[&query, &key], &[]);
        let masked = graph.node(&at("masked"), "Add", &[&scores, "mask_bias"], &[]);
        let weights = graph.node(&at("weights"), "Softmax", &[&masked], &[("axis", -1)]);
        let pooled = graph.node(&at("pooled"), "MatMul", &[&weights, &value], &[]);
        let turned = graph.transpose(&at("turned"), &pooled, &[0, 2, 1, 3]);
        let joined = graph.node(&at("joined"), "Reshape", &[&turned, "joined"], &[]);
        let change = self.dense(&at("output.dense"), &joined, Some(self.width), 1.0)?;
        let sum = self.graph.node(&at("sum"), "Add", &[&change, hidden], &[]);
        let hidden = self.norm(&at("output.LayerNorm"), &sum)?;

        let at = |part: &str| format!("{base}.{part}");
        let inner = self.dense(&at("intermediate.dense"), &hidden, None, 1.0)?;
        let graph = &mut self.graph;
        let scaled = graph.node(&at("scaled"), "Mul", &[&inner, "erf_scale"], &[]);
        let erf = graph.node(&at("erf"), "Erf", &[&scaled], &[]);
        let share = graph.node(&at("share"), "Add", &[&erf, "one"], &[]);
        let halved = graph.node(&at("halved"), "Mul", &[&inner, "half"], &[]);
        let gelu = graph.node(&at("gelu"), "Mul", &[&halved, &share], &[]);
        let change = self.dense(&at("output.dense"), &gelu, Some(self.width), 1.0)?;
        let sum = self.graph.node(&at("sum"), "Add", &[&change, &hidden], &[]);
        self.norm(&at("output.LayerNorm"), &sum)
    }

    /// Adds `scale * (x W + b)`, cut into heads and turned: `order` of `[batch, length, heads, head width]`.
    fn heads(&mut self, name: &str, input: &str, order: &[i64], scale: f32) -> Result<String, ContentError> {
        let dense = self.dense(name, input, Some(self.width), scale)?;
        let split = self.graph.node(&format!("{name}.split"), "Reshape", &[&dense, "split"], &[]);
        Ok(self.graph.transpose(&format!("{name}.heads"), &split, order))
    }

    /// Adds `scale * (x W + b)`. The file has the transpose of `W`, `[outputs, inputs]`.
    fn dense(&mut self, name: &str, input: &str, expected: Option<usize>, scale: f32) -> Result<String, ContentError> {
        let stored = format!("{}{name}", self.prefix);
        let [found, inputs] = self.tensors.shape(&format!("{stored}.weight"))?;
        let outputs = expected.unwrap_or(found);
        let weights = self.tensors.numbers(&format!("{stored}.weight"), &[outputs, inputs])?;
        let bias = self.tensors.numbers(&format!("{stored}.bias"), &[outputs])?;
        let turned = (0..inputs).flat_map(|input| (0..outputs).map(move |output| (input, output)));
        let turned: Vec<f32> = turned.map(|(input, output)| scale * weights[output * inputs + input]).collect();
        let bias: Vec<f32> = bias.into_iter().map(|number| scale * number).collect();
        let weight = self.graph.floats(&format!("{name}.weight"), &[inputs, outputs], &turned);
        let bias = self.graph.floats(&format!("{name}.bias"), &[outputs], &bias);
        let product = self.graph.node(&format!("{name}.product"), "MatMul", &[input, &weight], &[]);
        Ok(self.graph.node(name, "Add", &[&product, &bias], &[]))
    }

    /// Adds a layer norm over the last axis.
    fn norm(&mut self, name: &str, input: &str) -> Result<String, ContentError> {
        let stored = format!("{}{name}", self.prefix);
        let gain = self.tensors.numbers(&format!("{stored}.weight"), &[self.width])?;
        let bias = self.tensors.numbers(&format!("{stored}.bias"), &[self.width])?;
        let graph = &mut self.graph;
        let at = |part: &str| format!("{name}.{part}");
        let gain = graph.floats(&at("weight"), &[self.width], &gain);
        let bias = graph.floats(&at("bias"), &[self.width], &bias);
        let inverse = 1.0 / self.width as f32;
        let count = graph.floats(&at("count"), &[1], &[inverse]);
        let keep = [("keepdims", 1)];
        let total = graph.node(&at("total"), "ReduceSum", &[input, "last_axis"], &keep);
        let mean = graph.node(&at("mean"), "Mul", &[&total, &count], &[]);
        let centred = graph.node(&at("centred"), "Sub", &[input, &mean], &[]);
        let squares = graph.node(&at("squares"), "Mul", &[&centred, &centred], &[]);
        let total = graph.node(&at("total_squares"), "ReduceSum", &[&squares, "last_axis"], &keep);
        let variance = graph.node(&at("variance"), "Mul", &[&total, &count], &[]);
        let safe = graph.node(&at("safe"), "Add", &[&variance, "epsilon"], &[]);
        let deviation = graph.node(&at("deviation"), "Sqrt", &[&safe], &[]);
        let normal = graph.node(&at("normal"), "Div", &[&centred, &deviation], &[]);
        let scaled = graph.node(&at("scaled"), "Mul", &[&normal, &gain], &[]);
        Ok(graph.node(name, "Add", &[&scaled, &bias], &[]))
    }
}
