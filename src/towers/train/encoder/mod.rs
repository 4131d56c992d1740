//! What makes one vector of a history: the layers between candidate embeddings and the query tower's network, with gradients by burn.
//!
//! An encoder answers at every token of its rows ([`Rows`]): what it makes of the history up to it. Trained weights are exported as ONNX
//! by `export`, whose graphs compute the same for the newest item alone.

mod attention;
mod recurrent;

use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

pub(crate) use attention::Attention;
pub(crate) use recurrent::{Cell, Recurrent};

use super::dropout::Dropout;
use super::optimizer::{Rule, Weights};
use super::rows::Rows;
use crate::data::config::{EncoderConfig, ModelConfig};

/// An encoder that reads tokens; the weighted mean needs none of this.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Encoder {
    Attention(Box<Attention>),
    Recurrent(Recurrent),
}

impl Encoder {
    /// Fresh weights; `None` for the mean.
    pub(crate) fn new(config: &ModelConfig, rng: &mut ChaCha8Rng) -> Option<Self> {
        match config.encoder {
            EncoderConfig::Mean => None,
            EncoderConfig::Gru { hidden } => {
                Some(Self::Recurrent(Recurrent::new(Cell::Gru, [config.dim, hidden], rng)))
            }
            EncoderConfig::Lstm { hidden } => {
                Some(Self::Recurrent(Recurrent::new(Cell::Lstm, [config.dim, hidden], rng)))
            }
            EncoderConfig::Attention { layers, heads, feed_forward } => {
                let shape = [config.dim, heads, feed_forward, config.history];
                Some(Self::Attention(Box::new(Attention::new(shape, layers, rng))))
            }
        }
    }

    /// All weights, each with a name that is unique among them.
    pub(crate) fn named(&self) -> Vec<(String, &Weights)> {
        match self {
            Self::Attention(attention) => attention.named(),
            Self::Recurrent(recurrent) => recurrent.weights.iter().map(|w| (w.name.to_owned(), w)).collect(),
        }
    }

    /// As [`Encoder::named`], to be changed.
    pub(crate) fn named_mut(&mut self) -> Vec<(String, &mut Weights)> {
        match self {
            Self::Attention(attention) => attention.named_mut(),
            Self::Recurrent(recurrent) => recurrent.weights.iter_mut().map(|w| (w.name.to_owned(), w)).collect(),
        }
    }

    /// Encodes rows whose tokens have the vectors `x`, `[tokens, dim]`, zeros but for items.
    pub(crate) fn forward(&self, x: Vec<f32>, rows: &Rows, dropout: Option<Dropout>, device: &Device) -> Encoded {
        let mut graph = Graph { device: device.clone(), leaves: Vec::new(), dropout };
        let weights = self.named().into_iter().map(|(_, weights)| graph.weights(weights)).collect::<Vec<_>>();
        let (output, inputs) = match self {
            Self::Attention(attention) => attention.forward(x, rows, &weights, &mut graph),
            Self::Recurrent(recurrent) => recurrent.forward(&x, rows, &weights, &mut graph),
        };
        Encoded { output, inputs, weights: graph.leaves, device: graph.device, length: rows.length }
    }

    /// One step with the gradients of all weights, in the order of [`Encoder::named`].
    pub(crate) fn step(&mut self, gradients: &[Vec<f32>], rule: Rule) {
        for ((_, weights), gradient) in self.named_mut().into_iter().zip(gradients) {
            weights.step(gradient, rule);
        }
    }
}

/// What a forward pass shares.
struct Graph {
    device: Device,
    leaves: Vec<Tensor<2>>,
    dropout: Option<Dropout>,
}

impl Graph {
    fn weights(&mut self, weights: &Weights) -> Tensor<2> {
        let leaf = self.constant(weights.values.clone(), weights.shape).require_grad();
        self.leaves.push(leaf.clone());
        leaf
    }

    fn constant<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    fn drop<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        match &mut self.dropout {
            None => x,
            Some(dropout) => {
                let factors = dropout.factors(shape.iter().product());
                x * Tensor::from_data(TensorData::new(factors, shape), &self.device)
            }
        }
    }
}

/// Where the gradients of the inputs are found.
enum Inputs {
    /// One leaf, `[tokens, dim]`.
    Whole(Box<Tensor<2>>),
    /// One leaf per place of a row, `[rows, dim]` each.
    ByPlace(Vec<Tensor<2>>),
}

/// Encoded rows that can still be differentiated.
pub(crate) struct Encoded {
    output: Tensor<2>,
    inputs: Inputs,
    weights: Vec<Tensor<2>>,
    device: Device,
    length: usize,
}

impl Encoded {
    /// One vector per token, `[tokens, dim]`.
    pub(crate) fn values(&self) -> Vec<f32> {
        numbers(self.output.clone())
    }

    /// Given the gradient of the loss by each output, its gradients by the tokens' vectors and by the weights.
    pub(crate) fn backward(self, gradient: Vec<f32>) -> (Vec<f32>, Vec<Vec<f32>>) {
        let shape = self.output.dims();
        let gradient = Tensor::<2>::from_data(TensorData::new(gradient, shape), &self.device);
        let mut gradients = (self.output * gradient).sum().backward();
        let weights = self.weights.iter().map(|leaf| taken(leaf, &mut gradients)).collect();
        let inputs = match self.inputs {
            Inputs::Whole(leaf) => taken(&leaf, &mut gradients),
            Inputs::ByPlace(leaves) => {
                let by_place: Vec<Vec<f32>> = leaves.iter().map(|leaf| taken(leaf, &mut gradients)).collect();
                let (rows, dim) = (shape[0] / self.length, shape[1]);
                let places = (0..rows).flat_map(|row| by_place.iter().map(move |place| &place[row * dim..][..dim]));
                places.flatten().copied().collect()
            }
        };
        (inputs, weights)
    }
}

/// The gradient of a leaf; zeros where nothing depends on it.
fn taken(leaf: &Tensor<2>, gradients: &mut Gradients) -> Vec<f32> {
    leaf.grad_remove(gradients).map_or_else(|| vec![0.0; leaf.dims().iter().product()], numbers)
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("the backend computes in f32")
}

/// Fresh weights of a linear layer: uniform with the variance `gain^2 / inputs`.
fn fresh(name: &'static str, shape: [usize; 2], gain: f32, rng: &mut ChaCha8Rng) -> Weights {
    let limit = gain * (3.0 / shape[0] as f32).sqrt();
    Weights::new(name, shape, (0..shape[0] * shape[1]).map(|_| rng.random_range(-limit..limit)).collect())
}

fn filled(name: &'static str, shape: [usize; 2], value: f32) -> Weights {
    Weights::new(name, shape, vec![value; shape[0] * shape[1]])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::rows::Token;
    use super::*;

    const DIM: usize = 8;

    fn encoder(encoder: EncoderConfig) -> Encoder {
        let config = ModelConfig { dim: DIM, history: 4, encoder, ..ModelConfig::default() };
        let mut fresh = Encoder::new(&config, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
        // Weights that start at zero or one would hide mistakes.
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (_, weights) in fresh.named_mut() {
            weights.values.iter_mut().for_each(|value| *value += rng.random_range(-0.2..0.2));
        }
        fresh
    }

    const ALL: [EncoderConfig; 3] = [
        EncoderConfig::Attention { layers: 2, heads: 2, feed_forward: 12 },
        EncoderConfig::Gru { hidden: 6 },
        EncoderConfig::Lstm { hidden: 6 },
    ];

    /// Two rows with two histories in the first.
    fn rows() -> Rows {
        use Token::{Item, Padding, Start};
        let first = [Start, Item(1), Item(2), Start, Item(3), Item(1)];
        let second = [Start, Item(4), Item(5), Item(4), Item(6), Padding];
        Rows::new(([first, second].concat(), vec![[0, 0]; 12]), 6, 4)
    }

    fn vectors(rows: &Rows) -> Vec<f32> {
        let vector = |token: &Token| match token {
            Token::Item(item) => (0..DIM as u32).map(|at| ((item * 7 + at * 3) % 11) as f32 / 11.0 - 0.4).collect(),
            _ => vec![0.0; DIM],
        };
        rows.tokens.iter().flat_map(vector).collect()
    }

    #[test]
    fn gradients_are_those_of_the_outputs() {
        let device = Device::flex().autodiff();
        let rows = rows();
        for config in ALL {
            let mut encoder = encoder(config);
            let mut x = vectors(&rows);
            let pull: Vec<f32> = (0..x.len()).map(|at| ((at * 5) % 7) as f32 / 7.0 - 0.3).collect();
            let value = |encoder: &Encoder, x: &[f32]| {
                let output = encoder.forward(x.to_vec(), &rows, None, &device).values();
                output.iter().zip(&pull).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
            };
            let (d_x, d_weights) = encoder.forward(x.clone(), &rows, None, &device).backward(pull.clone());
            let step = 1e-2;
            for at in [8, 13, 16, 35, 71, 80] {
                let start = x[at];
                let [up, down] = [start + step, start - step].map(|moved| {
                    x[at] = moved;
                    value(&encoder, &x)
                });
                x[at] = start;
                let slope = ((up - down) / f64::from(2.0 * step)) as f32;
                assert!((slope - d_x[at]).abs() < 2e-3 + 0.02 * slope.abs(), "{config:?} x {at}: {slope} {}", d_x[at]);
            }
            for (tensor, gradient) in d_weights.iter().enumerate() {
                let at = gradient.len() / 2;
                let [up, down] = [step, -step].map(|change| {
                    let mut moved = encoder.clone();
                    moved.named_mut()[tensor].1.values[at] += change;
                    value(&moved, &x)
                });
                let slope = ((up - down) / f64::from(2.0 * step)) as f32;
                let name = encoder.named_mut()[tensor].0.clone();
                assert!((slope - gradient[at]).abs() < 2e-3 + 0.02 * slope.abs(), "{name}: {slope} {}", gradient[at]);
            }
        }
    }

    #[test]
    fn a_history_is_encoded_the_same_wherever_it_lies() {
        use Token::{Item, Padding, Start};
        let device = Device::flex().autodiff();
        let alone = Rows::new((vec![Padding, Padding, Padding, Start, Item(3), Item(1)], vec![[0, 0]; 6]), 6, 4);
        let packed = rows();
        for config in ALL {
            let encoder = encoder(config);
            let of = |rows: &Rows| encoder.forward(vectors(rows), rows, None, &device).values();
            let (alone, packed) = (of(&alone), of(&packed));
            for at in 3 * DIM..6 * DIM {
                assert!((alone[at] - packed[at]).abs() < 1e-5, "{config:?} {at}: {} {}", alone[at], packed[at]);
            }
        }
    }
}
