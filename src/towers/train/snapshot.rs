//! Both towers as they are in the middle of a training: compiled, as a client would run them, and the embeddings of all items.

use rayon::prelude::*;

use super::batch::Content;
use super::export;
use super::model::Model;
use super::sampler::Query;
use crate::Digest;
use crate::data::config::ModelConfig;
use crate::features::items::ItemFeatures;
use crate::features::{FeatureSchema, FeatureVector};
use crate::towers::{QueryTower, Scratch, TowerError, lower};

/// Items that are embedded at a time.
const PIECE: usize = 2048;

/// What stays the same while weights change.
#[derive(Clone, Copy)]
pub(super) struct Catalogue<'d> {
    pub(super) features: &'d [ItemFeatures],
    pub(super) content: Content<'d>,
    pub(super) config: &'d ModelConfig,
}

/// Towers of a moment.
pub(super) struct Snapshot {
    pub(super) tower: QueryTower,
    /// `[items, dim]`.
    pub(super) embeddings: Vec<f32>,
}

impl Snapshot {
    pub(super) fn of(model: &Model, schema: FeatureSchema, of: Catalogue<'_>) -> Result<Self, TowerError> {
        let folder = std::env::temp_dir();
        let failed = |source| TowerError::Io { path: folder.clone(), source };
        let file = tempfile::Builder::new().suffix(".onnx").tempfile().map_err(failed)?;
        std::fs::write(file.path(), export::query_onnx(model, &schema, of.config)).map_err(failed)?;
        let tower = QueryTower::new(schema, lower::compile(file.path())?, Digest::of(&[]))?;
        let items: Vec<u32> = (0..of.features.len() as u32).collect();
        let embeddings = items.chunks(PIECE).flat_map(|items| {
            let content = of.content.of(items);
            let (inputs, _) = model.candidate_inputs(of.features, &content, (items, &vec![false; items.len()]));
            model.candidate.forward(inputs).output
        });
        Ok(Self { embeddings: embeddings.collect(), tower })
    }

    /// The query embeddings of some queries with histories of their own, one behind the other.
    pub(super) fn embed(&self, queries: &[Query]) -> Result<Vec<f32>, TowerError> {
        let of_query =
            |scratch: &mut Scratch, query: &Query| self.tower.embed(&self.vector(query), scratch).map(<[f32]>::to_vec);
        let rows: Result<Vec<_>, _> = queries.par_iter().map_init(Scratch::default, of_query).collect();
        Ok(rows?.concat())
    }

    fn vector(&self, query: &Query) -> FeatureVector {
        let schema = self.tower.schema();
        let (dim, length) = (schema.dim, schema.history.length);
        let mut history = vec![0.0; length * dim];
        let mut weights = vec![0.0; length];
        let mut marks = Vec::with_capacity(length);
        for (at, past) in query.history.iter().enumerate() {
            history[at * dim..][..dim].copy_from_slice(&self.embeddings[past.item as usize * dim..][..dim]);
            weights[at] = past.weight;
            marks.push(past.marks);
        }
        let marks = schema.history.planes(&marks);
        let default = schema.user.as_ref().map(|user| user.default.clone()).unwrap_or_default();
        let user = if query.user.is_empty() { default } else { query.user.clone() };
        FeatureVector { history, weights, marks, categories: query.context.clone(), user }
    }
}
