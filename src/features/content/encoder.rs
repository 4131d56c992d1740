//! A sentence encoder, run by tract.
//!
//! Texts are grouped by length, in steps of [`STEP`] tokens, and run [`BATCH`] at a time; a batch that is not full is filled up. So a
//! text's vector follows from the text alone: not from what else is encoded, nor from the number of threads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use super::tokens::Tokens;
use super::{ContentError, Vectors, bert, normalise};

/// Texts of a run. Up: fewer runs, and more of them filled up; the vectors may change in their last bits.
const BATCH: usize = 8;
/// Texts are padded to a multiple of this. Up: fewer plans to make, and more padding.
const STEP: usize = 8;
/// Outputs that are taken by their names, the first that there is; else the encoder's first output.
const OUTPUTS: [&str; 3] = ["sentence_embedding", "last_hidden_state", "token_embeddings"];
const REMEDY: &str = "export the encoder again, as docs/configuration.md says";

/// What an input is fed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Ids,
    Mask,
    Types,
}

/// An encoder that was read.
pub(super) struct Encoder {
    path: PathBuf,
    model: InferenceModel,
    inputs: Vec<(Role, DatumType)>,
    max_tokens: usize,
}

type Plan = Arc<TypedRunnableModel>;

impl Encoder {
    /// Reads the bytes of `path`: ONNX, or the safetensors of a BERT.
    pub(super) fn read(path: &Path, bytes: &[u8], max_tokens: usize) -> Result<Self, ContentError> {
        let is_onnx = path.extension().is_some_and(|extension| extension == "onnx");
        let (model, places) = if is_onnx {
            (parse(path, bytes)?, usize::MAX)
        } else {
            let (onnx, places) = bert::to_onnx(path, bytes)?;
            (parse(path, &onnx)?, places)
        };
        if places < max_tokens {
            let (found, expected) = (format!("{places} of them"), format!("{max_tokens} at least"));
            return Err(ContentError::wrong(path, "positions", found, expected, "lower max_tokens in nearshelf.toml"));
        }
        let inputs = inputs(path, &model)?;
        Ok(Self { path: path.to_owned(), model, inputs, max_tokens })
    }

    /// The vectors of texts, of unit length; none of a blank text.
    pub(super) fn of(&self, tokens: &Tokens, texts: &[&str]) -> Result<Vectors, ContentError> {
        let read = |text: &&str| match text.trim().is_empty() {
            true => Ok(Vec::new()),
            false => tokens.marked(text, self.max_tokens),
        };
        let tokens: Vec<Vec<u32>> = texts.par_iter().map(read).collect::<Result<_, _>>()?;
        let mut lengths: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (text, tokens) in tokens.iter().enumerate().filter(|(_, tokens)| !tokens.is_empty()) {
            let length = tokens.len().next_multiple_of(STEP).min(self.max_tokens);
            lengths.entry(length).or_default().push(text);
        }
        let progress = Progress::new(lengths.values().map(Vec::len).sum());
        let (mut rows, mut width) = (vec![None; texts.len()], 0);
        for (length, members) in &lengths {
            let plan = self.plan(*length)?;
            let run = |members: &[usize]| {
                let batch: Vec<&[u32]> = members.iter().map(|member| &*tokens[*member]).collect();
                let vectors = self.run(&plan, &batch, *length);
                progress.add(members.len());
                vectors
            };
            let vectors: Vec<_> = members.par_chunks(BATCH).map(run).collect::<Result<_, _>>()?;
            for (member, vector) in members.iter().zip(vectors.into_iter().flatten()) {
                width = vector.len();
                rows[*member] = Some(vector);
            }
        }
        progress.bar.finish_and_clear();
        Ok(Vectors { width, rows })
    }

    /// The encoder for batches of texts of this many tokens.
    fn plan(&self, length: usize) -> Result<Plan, ContentError> {
        let mut model = self.model.clone();
        for (input, (_, datum_type)) in self.inputs.iter().enumerate() {
            let fact = InferenceFact::dt_shape(*datum_type, [BATCH, length]);
            model.set_input_fact(input, fact).map_err(|error| self.failed(&error))?;
        }
        model.into_optimized().and_then(IntoRunnable::into_runnable).map_err(|error| self.failed(&error))
    }

    /// The vectors of at most [`BATCH`] texts.
    fn run(&self, plan: &Plan, batch: &[&[u32]], length: usize) -> Result<Vec<Vec<f32>>, ContentError> {
        let mut ids = vec![0_i64; BATCH * length];
        let mut mask = vec![0_i64; BATCH * length];
        for place in 0..BATCH {
            // A place without a text gets the last one.
            let tokens = batch[place.min(batch.len() - 1)];
            for (at, token) in tokens.iter().enumerate() {
                ids[place * length + at] = i64::from(*token);
                mask[place * length + at] = 1;
            }
        }
        let feed = |(role, datum_type): &(Role, DatumType)| {
            let zeros = vec![0; ids.len()];
            let numbers = match role {
                Role::Ids => &ids,
                Role::Mask => &mask,
                Role::Types => &zeros,
            };
            let tensor = Tensor::from_shape(&[BATCH, length], numbers)?.cast_to_dt(*datum_type)?.into_owned();
            Ok(tensor.into_tvalue())
        };
        let outputs = self.inputs.iter().map(feed).collect::<TractResult<TVec<TValue>>>();
        let outputs = outputs.and_then(|inputs| plan.run(inputs)).map_err(|error| self.failed(&error))?;
        let output = outputs[0].cast_to::<f32>().map_err(|error| self.failed(&error))?;
        let shape = output.shape().to_vec();
        let view = output.to_plain_array_view::<f32>().map_err(|error| self.failed(&error))?;
        let numbers: Vec<f32> = view.iter().copied().collect();
        let vectors: Vec<Vec<f32>> = match shape[..] {
            [BATCH, found, width] if found == length && width > 0 => {
                let texts = numbers.chunks_exact(length * width).zip(batch);
                texts.map(|(rows, tokens)| mean(rows, tokens.len(), width)).collect()
            }
            [BATCH, width] if width > 0 => numbers.chunks_exact(width).take(batch.len()).map(<[f32]>::to_vec).collect(),
            _ => return Err(self.wrong("output", format!("{shape:?}"), "[batch, length, width] or [batch, width]")),
        };
        vectors.into_iter().map(|vector| self.unit(vector)).collect()
    }

    fn unit(&self, mut vector: Vec<f32>) -> Result<Vec<f32>, ContentError> {
        if normalise(&mut vector) {
            return Ok(vector);
        }
        Err(self.wrong("output", "a vector without a direction".to_owned(), "finite numbers that are not all 0"))
    }

    fn wrong(&self, place: &str, found: String, expected: &str) -> ContentError {
        ContentError::wrong(&self.path, place, found, expected, REMEDY)
    }

    fn failed(&self, error: &TractError) -> ContentError {
        failed(&self.path, error)
    }
}

/// The mean of the first `count` rows, `[count, width]`.
fn mean(rows: &[f32], count: usize, width: usize) -> Vec<f32> {
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width).take(count) {
        mean.iter_mut().zip(row).for_each(|(mean, number)| *mean += number / count as f32);
    }
    mean
}

fn parse(path: &Path, onnx: &[u8]) -> Result<InferenceModel, ContentError> {
    let mut model = tract_onnx::onnx().model_for_read(&mut &onnx[..]).map_err(|error| failed(path, &error))?;
    let outputs = model.outputs.clone();
    let name = |outlet: &OutletId| model.outlet_label(*outlet).unwrap_or(&model.node(outlet.node).name).to_owned();
    let named = OUTPUTS.iter().find_map(|wanted| outputs.iter().find(|outlet| name(outlet) == *wanted));
    match named.or(outputs.first()) {
        Some(output) => model.select_output_outlets(&[*output]).map_err(|error| failed(path, &error))?,
        None => return Err(ContentError::wrong(path, "outputs", "none", "one at least", REMEDY)),
    }
    Ok(model)
}

fn inputs(path: &Path, model: &InferenceModel) -> Result<Vec<(Role, DatumType)>, ContentError> {
    let mut inputs = Vec::new();
    for (position, outlet) in model.inputs.iter().enumerate() {
        let name = &*model.node(outlet.node).name;
        let role = match name {
            "input_ids" => Role::Ids,
            "attention_mask" => Role::Mask,
            "token_type_ids" => Role::Types,
            _ => {
                let expected = "input_ids, attention_mask and token_type_ids";
                return Err(ContentError::wrong(path, format!("input {position}"), name, expected, REMEDY));
            }
        };
        let fact = model.input_fact(position).map_err(|error| failed(path, &error))?;
        inputs.push((role, fact.datum_type.concretize().unwrap_or(DatumType::I64)));
    }
    if inputs.iter().any(|(role, _)| *role == Role::Ids) {
        return Ok(inputs);
    }
    Err(ContentError::wrong(path, "inputs", format!("{} of them", inputs.len()), "input_ids among them", REMEDY))
}

fn failed(path: &Path, error: &TractError) -> ContentError {
    // tract's alternate form prints the whole chain of causes.
    let found = format!("{error:#}").replace('\n', " ");
    ContentError::wrong(path, "graph", found, "an ONNX graph that tract 0.23 can run", REMEDY)
}

/// A bar for what takes longer than two seconds.
struct Progress {
    bar: ProgressBar,
    started: Instant,
}

impl Progress {
    fn new(texts: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(texts as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("encode texts {wide_bar} {pos}/{len} {per_sec} {eta}");
        let bar = style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style));
        Self { bar, started: Instant::now() }
    }

    fn add(&self, texts: usize) {
        self.bar.inc(texts as u64);
        if self.bar.is_hidden() && self.started.elapsed() > Duration::from_secs(2) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}
