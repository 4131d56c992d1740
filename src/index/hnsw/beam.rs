//! The search that finds a new node's candidates: algorithms 2 and 5 of Malkov and Yashunin (2016) over `f32` vectors.

use super::layers::Layer;
use crate::index::Key;
use crate::index::points::Points;

/// The working memory of searches, kept between them so that a search allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Beam {
    /// The nearest nodes found so far (W in the paper), the nearest first, at most `ef` of them.
    nearest: Vec<Key>,
    /// Which of `nearest` have been expanded; the others are the paper's C.
    expanded: Vec<bool>,
    /// The search that a node was last seen by.
    seen: Vec<u32>,
    search: u32,
    fresh: Vec<u32>,
    scores: Vec<f32>,
}

impl Beam {
    /// Starts at `entry`, for an index of `count` nodes.
    pub(super) fn start(&mut self, points: &Points, x: &[f32], entry: u32) {
        self.seen.resize(points.len(), 0);
        self.nearest.clear();
        points.scores(x, &[entry], &mut self.scores);
        self.nearest.push(Key::new(self.scores[0], entry));
    }

    /// The nodes found, the nearest first.
    pub(super) fn nearest(&self) -> &[Key] {
        &self.nearest
    }

    /// Walks from the nearest node to the nearest of `layer` that greedy steps reach.
    pub(super) fn descend(&mut self, points: &Points, layer: &Layer, x: &[f32]) {
        let mut best = self.nearest[0];
        loop {
            let links = layer.links(best.node());
            points.scores(x, links, &mut self.scores);
            let keys = links.iter().zip(&self.scores).map(|(&node, &score)| Key::new(score, node));
            match keys.max() {
                Some(key) if key > best => best = key,
                _ => break,
            }
        }
        self.nearest.clear();
        self.nearest.push(best);
    }

    /// Widens the nodes found on the layer above to the `ef` nearest found on `layer`.
    pub(super) fn widen(&mut self, points: &Points, layer: &Layer, x: &[f32], ef: usize) {
        self.search = self.search.wrapping_add(1);
        if self.search == 0 {
            self.seen.fill(0);
            self.search = 1;
        }
        for key in &self.nearest {
            self.seen[key.node() as usize] = self.search;
        }
        self.expanded.clear();
        self.expanded.resize(self.nearest.len(), false);
        let mut next = 0;
        while next < self.nearest.len() {
            if std::mem::replace(&mut self.expanded[next], true) {
                next += 1;
                continue;
            }
            let (seen, search) = (&mut self.seen, self.search);
            self.fresh.clear();
            let unseen = |&&node: &&u32| std::mem::replace(&mut seen[node as usize], search) != search;
            self.fresh.extend(layer.links(self.nearest[next].node()).iter().filter(unseen));
            points.scores(x, &self.fresh, &mut self.scores);
            for i in 0..self.fresh.len() {
                let key = Key::new(self.scores[i], self.fresh[i]);
                next = next.min(self.offer(key, ef));
            }
        }
    }

    /// Puts `key` into its place, if it is among the `ef` nearest; returns the place.
    fn offer(&mut self, key: Key, ef: usize) -> usize {
        if self.nearest.len() == ef {
            if self.nearest[ef - 1] > key {
                return ef;
            }
            self.nearest.pop();
            self.expanded.pop();
        }
        let place = self.nearest.partition_point(|&other| other > key);
        self.nearest.insert(place, key);
        self.expanded.insert(place, false);
        place
    }
}
