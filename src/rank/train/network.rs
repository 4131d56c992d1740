//! The network: DLRM (Naumov et al. 2019) with a head per task.
//!
//! Numbers go through the bottom layers. Shelf, brand, query and candidate embedding become vectors as long as the numbers' own, and the
//! inner products of all of them go, with the numbers, through the top layers, which all tasks share (Caruana 1997), or of which each
//! task mixes several (MMoE, Ma et al. 2018). Each task has a head behind that.
//!
//! The slot adds to the log odds of the first task alone, from a table of its own (the "shallow tower" of Zhao et al. 2019): what stands
//! high up is seen more, and liked no better. Row 0 of that table is for no slot. It is trained on impressions whose slot is hidden, so
//! that served probabilities are those of a slot as slots come.
//!
//! [`Network::log_odds`] says once what is computed; training and the ONNX file are two [`Ops`].

use half::f16;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::config::RankerConfig;
use crate::features::ranking::FEATURES;
use crate::towers::train::optimizer::Weights;

/// A layer: `W [inputs, outputs]` and `b [1, outputs]`.
pub(super) type Layer = [Weights; 2];

/// How long the inputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sizes {
    /// Length of embeddings; 0 without towers.
    pub(super) dim: usize,
    /// Shelves that have a number.
    pub(super) shelves: usize,
    /// Brands that have one.
    pub(super) brands: usize,
}

/// All weights of a ranker.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    pub(super) sizes: Sizes,
    /// What is taken from each number, and what the rest is multiplied with: numbers of mean 0 and deviation 1.
    pub(super) scaling: [Vec<f32>; 2],
    bottom: usize,
    pub(super) vector: usize,
    top: usize,
    experts: usize,
    head: usize,
    tasks: usize,
    /// All layers, in the order in which they are computed.
    pub(super) layers: Vec<Layer>,
    /// Vectors of shelves and brands, `[1 + names, vector]`; row 0 is for none. Nothing without vectors.
    pub(super) tables: Vec<Weights>,
    /// Log odds of the first task by slot, `[1 + slots, 1]`.
    pub(super) slots: Weights,
}

/// What computes the network.
pub(super) trait Ops {
    /// A row of numbers for each row of the batch.
    type Value: Clone;
    /// The scaled numbers.
    fn numbers(&mut self) -> Self::Value;
    /// The query embedding.
    fn query(&mut self) -> Self::Value;
    /// The candidate embedding.
    fn item(&mut self) -> Self::Value;
    /// The rows of one of the tables: of shelves, or of brands.
    fn vector_of(&mut self, table: usize) -> Self::Value;
    /// `x W + b` of a layer by its place.
    fn layer(&mut self, x: &Self::Value, at: usize) -> Self::Value;
    /// 0 for what is below.
    fn relu(&mut self, x: &Self::Value) -> Self::Value;
    /// One behind the other.
    fn cat(&mut self, parts: &[Self::Value]) -> Self::Value;
    /// All inner products of vectors of this length.
    fn products(&mut self, vectors: &[Self::Value], length: usize) -> Self::Value;
    /// The mean of parts of this length, weighted by the softmax of `gate`.
    fn mixture(&mut self, gate: &Self::Value, parts: &[Self::Value], length: usize) -> Self::Value;
}

/// Goes through the layers.
struct Cursor<'o, O: Ops> {
    ops: &'o mut O,
    at: usize,
}

impl<O: Ops> Cursor<'_, O> {
    fn layer(&mut self, x: &O::Value) -> O::Value {
        self.at += 1;
        self.ops.layer(x, self.at - 1)
    }

    fn layers(&mut self, x: &O::Value, count: usize) -> O::Value {
        let mut x = x.clone();
        for _ in 0..count {
            let sums = self.layer(&x);
            x = self.ops.relu(&sums);
        }
        x
    }
}

impl Network {
    /// A fresh network that predicts for every row the shares of the steps, each among those that took the step before.
    pub(super) fn new(
        config: &RankerConfig,
        sizes: Sizes,
        scaling: [Vec<f32>; 2],
        shares: &[f64],
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let experts = if config.top.is_empty() { 1 } else { config.experts.max(1) };
        let rows = config.positions + 1;
        let mut network = Self {
            sizes,
            scaling,
            bottom: config.bottom.len(),
            vector: config.vector,
            top: config.top.len(),
            experts,
            head: usize::from(config.head > 0),
            tasks: shares.len(),
            layers: Vec::new(),
            tables: Vec::new(),
            slots: Weights::new("slots", [rows, 1], vec![0.0; rows]),
        };
        let inputs = network.add_inputs(config, rng);
        let mut width = inputs;
        for _ in 0..experts {
            width = network.stack(inputs, &config.top, rng);
        }
        for share in shares {
            if experts > 1 {
                network.stack(inputs, &[experts], rng);
            }
            let from = if config.head > 0 { network.stack(width, &[config.head], rng) } else { width };
            let mut last = fresh([from, 1], rng);
            last[0].values.iter_mut().for_each(|weight| *weight *= 0.1);
            let share = share.clamp(1e-6, 1.0 - 1e-6);
            last[1].values = vec![(share / (1.0 - share)).ln() as f32];
            network.layers.push(last);
        }
        network
    }

    /// Adds what is in front of the top, and says how wide that is.
    fn add_inputs(&mut self, config: &RankerConfig, rng: &mut ChaCha8Rng) -> usize {
        let width = self.stack(FEATURES.len(), &config.bottom, rng);
        if self.vector == 0 {
            return width;
        }
        let (own, mut vectors) = ([self.vector], 3);
        self.stack(width, &own, rng);
        if self.sizes.dim > 0 {
            self.stack(self.sizes.dim, &own, rng);
            self.stack(self.sizes.dim, &own, rng);
            vectors += 2;
        }
        for rows in [self.sizes.shelves + 1, self.sizes.brands + 1] {
            let values = (0..rows * self.vector).map(|_| rng.random_range(-0.1..0.1)).collect();
            self.tables.push(Weights::new("vectors", [rows, self.vector], values));
        }
        width + vectors * vectors
    }

    /// Adds layers, and says how wide the last one is.
    fn stack(&mut self, mut width: usize, widths: &[usize], rng: &mut ChaCha8Rng) -> usize {
        for to in widths {
            self.layers.push(fresh([width, *to], rng));
            width = *to;
        }
        width
    }

    /// Log odds of each step among those that took the step before, without the slot.
    pub(super) fn log_odds<O: Ops>(&self, ops: &mut O) -> Vec<O::Value> {
        let mut cursor = Cursor { ops, at: 0 };
        let numbers = cursor.ops.numbers();
        let mut x = cursor.layers(&numbers, self.bottom);
        if self.vector > 0 {
            let mut vectors = vec![cursor.layer(&x)];
            if self.sizes.dim > 0 {
                let (query, item) = (cursor.ops.query(), cursor.ops.item());
                vectors.extend([cursor.layer(&query), cursor.layer(&item)]);
            }
            vectors.extend([cursor.ops.vector_of(0), cursor.ops.vector_of(1)]);
            let products = cursor.ops.products(&vectors, self.vector);
            x = cursor.ops.cat(&[x, products]);
        }
        let experts: Vec<O::Value> = (0..self.experts).map(|_| cursor.layers(&x, self.top)).collect();
        let mut head = |_| {
            let mut of_head = experts[0].clone();
            if self.experts > 1 {
                let gate = cursor.layer(&x);
                let width = self.layers[cursor.at].first().map_or(0, |weights| weights.shape[0]);
                of_head = cursor.ops.mixture(&gate, &experts, width);
            }
            of_head = cursor.layers(&of_head, self.head);
            cursor.layer(&of_head)
        };
        (0..self.tasks).map(&mut head).collect()
    }

    /// Rounds what is stored to half precision, so that what is judged, written and run is the same.
    pub(super) fn halve(&mut self) {
        let Self { layers, tables, slots, .. } = self;
        for weights in layers.iter_mut().flatten().chain(tables).chain([slots]) {
            weights.values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32());
        }
    }
}

/// He initialisation.
fn fresh([inputs, outputs]: [usize; 2], rng: &mut ChaCha8Rng) -> Layer {
    let limit = (6.0 / inputs as f32).sqrt();
    let values = (0..inputs * outputs).map(|_| rng.random_range(-limit..limit)).collect();
    [Weights::new("w", [inputs, outputs], values), Weights::new("b", [1, outputs], vec![0.0; outputs])]
}
