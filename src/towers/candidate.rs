//! The trained towers as the origin uses them: both lowered, with their schemas.

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::train::files;
use super::{Input, Program, QueryTower, Scratch, TowerError, lower};
use crate::Digest;
use crate::data::Item;
use crate::features::FeatureSchema;
use crate::features::items::{ItemFeatures, ItemSchema};

/// What a run folder says about its two ONNX files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TowerSchemas {
    /// Inputs of the query tower.
    pub query: FeatureSchema,
    /// Inputs of the candidate tower.
    pub items: ItemSchema,
    /// Digest of the trained items' ids, in order: embedding `i` of the id table is that of item `i`.
    pub catalogue: Digest,
    /// SHA-256 of `query.onnx`.
    pub query_onnx: Digest,
    /// SHA-256 of `candidate.onnx`.
    pub candidate_onnx: Digest,
    /// Identifies the epoch: the digest of both digests. Embeddings with another one do not mix with these.
    pub towers: Digest,
}

impl TowerSchemas {
    /// Describes two ONNX files.
    pub fn new(
        query: FeatureSchema,
        items: ItemSchema,
        catalogue: Digest,
        query_onnx: &[u8],
        candidate_onnx: &[u8],
    ) -> Self {
        let (query_onnx, candidate_onnx) = (Digest::of(query_onnx), Digest::of(candidate_onnx));
        let towers = Digest::of_parts([&query_onnx.as_bytes()[..], candidate_onnx.as_bytes()]);
        Self { query, items, catalogue, query_onnx, candidate_onnx, towers }
    }
}

/// Both towers of a run folder, ready to compute.
#[derive(Debug)]
pub struct Towers {
    /// The query tower, as clients run it.
    pub query: QueryTower,
    items: ItemSchema,
    catalogue: Digest,
    candidate: Program,
}

/// The digest that names a catalogue: of its ids, in order.
pub(crate) fn catalogue_digest(items: &[Item]) -> Digest {
    Digest::of_parts(items.iter().flat_map(|item| [item.id.as_bytes(), b"\n"]))
}

impl Towers {
    /// Reads a run folder: checks the digests, and compiles both ONNX files.
    ///
    /// # Errors
    /// [`TowerError::Io`], or [`TowerError::Onnx`] naming the file that does not belong to the run or has no lowering.
    pub fn read(run: &Path) -> Result<Self, TowerError> {
        let path = run.join(files::SCHEMAS);
        let text = std::fs::read(&path).map_err(|source| TowerError::Io { path: path.clone(), source })?;
        let schemas: TowerSchemas = serde_json::from_slice(&text).map_err(|error| TowerError::Onnx {
            path: path.clone(),
            place: format!("line {}", error.line()),
            found: error.to_string(),
            expected: "schemas of a training run".to_owned(),
            remedy: "run `nearshelf train` again",
        })?;
        let compile = |name: &str, expected: Digest| {
            let path = run.join(name);
            let bytes = std::fs::read(&path).map_err(|source| TowerError::Io { path: path.clone(), source })?;
            let found = Digest::of(&bytes);
            if found == expected {
                return lower::compile(&path);
            }
            Err(TowerError::Onnx {
                path,
                place: "digest".to_owned(),
                found: found.to_string(),
                expected: expected.to_string(),
                remedy: "the file is not the one of this run: run `nearshelf train` again",
            })
        };
        let program = compile(files::QUERY, schemas.query_onnx)?;
        let candidate = compile(files::CANDIDATE, schemas.candidate_onnx)?;
        let query = QueryTower::new(schemas.query, program, schemas.towers)?;
        Ok(Self { query, items: schemas.items, catalogue: schemas.catalogue, candidate })
    }

    /// The candidate embeddings of a catalogue, `[items, dim]`, in the catalogue's order, which must be the one of the
    /// training.
    ///
    /// # Errors
    /// [`TowerError::Catalogue`] for another catalogue.
    pub fn embed(&self, items: &[Item]) -> Result<Vec<f32>, TowerError> {
        let found = catalogue_digest(items);
        if found != self.catalogue {
            return Err(TowerError::Catalogue { found, expected: self.catalogue });
        }
        let features = self.items.features(items);
        let rows: Result<Vec<Vec<f32>>, TowerError> =
            features.par_iter().map_init(Scratch::default, |scratch, item| self.embed_one(item, scratch)).collect();
        Ok(rows?.concat())
    }

    fn embed_one(&self, item: &ItemFeatures, scratch: &mut Scratch) -> Result<Vec<f32>, TowerError> {
        let mut tokens = item.tokens.clone();
        let mut weights = vec![1.0; tokens.len()];
        tokens.resize(self.items.max_tokens, 0);
        weights.resize(self.items.max_tokens, 0.0);
        let inputs = [
            Input::Index(&[item.id]),
            Input::Index(&tokens),
            Input::Float(&weights),
            Input::Index(&item.labels),
            Input::Float(&item.numbers),
        ];
        self.candidate.run(&inputs, scratch).map(<[f32]>::to_vec)
    }
}
