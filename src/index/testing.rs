//! Numbers and embeddings for tests.

use super::random::SplitMix64;

/// The portable tests have no other source of numbers.
pub(crate) struct Random(SplitMix64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next()
    }

    #[cfg(feature = "build")]
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Uniform over -1 to 1, in steps that are exact in `f32`.
    pub(crate) fn component(&mut self) -> f32 {
        (self.next() >> 48) as f32 / 32768.0 - 1.0
    }

    pub(crate) fn vector(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.component()).collect()
    }

    /// Nearly normal, with variance 1: the sum of twelve uniform numbers, each of variance 1/3.
    #[cfg(feature = "build")]
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.component()).sum::<f32>() / 2.0
    }
}

/// `count` embeddings and `queries` query embeddings of unit length, shaped as those of a shop: clusters of very different
/// sizes, directions of different weight, and queries that are the mean of some items of one cluster and one of another.
#[cfg(feature = "build")]
pub(crate) fn mixture(seed: u64, count: usize, queries: usize, dim: usize) -> (Vec<f32>, Vec<f32>) {
    let mut random = Random::new(seed);
    let weights: Vec<f32> = (0..dim).map(|column| (1.0 + column as f32).powf(-0.3)).collect();
    let noise =
        |random: &mut Random, by: f32| weights.iter().map(|weight| random.normal() * weight * by).collect::<Vec<_>>();
    let centres: Vec<Vec<f32>> = (0..count.div_ceil(60)).map(|_| noise(&mut random, 1.0)).collect();
    let unit = |vector: &mut Vec<f32>| {
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in vector {
            *x /= norm;
        }
    };
    let near = |random: &mut Random, centre: usize| {
        let noise = noise(random, 0.6);
        let mut vector: Vec<f32> = centres[centre].iter().zip(noise).map(|(centre, noise)| centre + noise).collect();
        unit(&mut vector);
        vector
    };
    // The smaller of two draws is more often small: the first clusters are the large ones.
    let cluster = |random: &mut Random| random.below(centres.len()).min(random.below(centres.len()));
    let items = (0..count)
        .flat_map(|_| {
            let centre = cluster(&mut random);
            near(&mut random, centre)
        })
        .collect();
    let mut random = Random::new(!seed);
    let query = |_| {
        let mut query = vec![0.0; dim];
        let centre = cluster(&mut random);
        let other = cluster(&mut random);
        for centre in [centre, centre, centre, other] {
            query.iter_mut().zip(near(&mut random, centre)).for_each(|(sum, x)| *sum += x);
        }
        unit(&mut query);
        query
    };
    (items, (0..queries).flat_map(query).collect())
}
