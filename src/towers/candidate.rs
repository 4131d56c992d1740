//! The towers as the origin uses them: lowered, with their schemas.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::given::{self, GivenEmbeddings};
use super::train::files;
use super::train::long_term::LongTerm;
use super::{Input, Program, QueryTower, Scratch, TowerError, lower};
use crate::Digest;
use crate::data::{Config, Item};
use crate::features::FeatureSchema;
use crate::features::content::ContentSchema;
use crate::features::items::{ItemFeatures, ItemSchema, KnownItems};

/// What a run folder says about its other files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TowerSchemas {
    /// Inputs of the query tower.
    pub query: FeatureSchema,
    /// Inputs of the candidate tower.
    pub items: ItemSchema,
    /// How items become its content input; without sources it has none.
    #[serde(default)]
    pub content: ContentSchema,
    /// SHA-256 of `catalogue.json`.
    pub catalogue: Digest,
    /// SHA-256 of `query.onnx`.
    pub query_onnx: Digest,
    /// SHA-256 of `candidate.onnx`.
    pub candidate_onnx: Digest,
    /// SHA-256 of `user_factors.safetensors`, where the query tower reads long-term vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_factors: Option<Digest>,
    /// Identifies the epoch: the digest of the digests of both towers, and of what else goes into a score. Embeddings with another one do not mix with these.
    pub towers: Digest,
}

impl TowerSchemas {
    /// Describes the known items, two ONNX files and a factorisation, if there is one.
    pub fn new(
        query: FeatureSchema,
        (items, content): (ItemSchema, ContentSchema),
        [catalogue, query_onnx, candidate_onnx]: [&[u8]; 3],
        user_factors: Option<&[u8]>,
    ) -> Self {
        let (query_onnx, candidate_onnx) = (Digest::of(query_onnx), Digest::of(candidate_onnx));
        let (catalogue, user_factors) = (Digest::of(catalogue), user_factors.map(Digest::of));
        let trained = (&query.history.repeats, &query.user);
        let more = if trained == (&None, &None) { Vec::new() } else { format!("{trained:?}").into_bytes() };
        let factors = user_factors.as_ref().map_or(&[][..], |digest| &digest.as_bytes()[..]);
        let towers = Digest::of_parts([&query_onnx.as_bytes()[..], candidate_onnx.as_bytes(), &more, factors]);
        Self { query, items, content, catalogue, query_onnx, candidate_onnx, user_factors, towers }
    }
}

/// Both towers, ready to compute.
#[derive(Debug)]
pub struct Towers {
    /// The query tower, as clients run it.
    pub query: QueryTower,
    /// What makes long-term vectors of shoppers, where the query tower reads them.
    pub long_term: Option<LongTerm>,
    /// Why the query tower is an ONNX graph, if it is: what has no lowering.
    pub unlowered: Option<String>,
    candidates: Candidates,
}

/// Where candidate embeddings come from.
#[derive(Debug)]
enum Candidates {
    Trained(Box<Trained>),
    Given(GivenEmbeddings),
}

/// A candidate tower with what it was trained on.
#[derive(Debug)]
struct Trained {
    items: ItemSchema,
    known: KnownItems,
    tower: Program,
    content: ContentSchema,
    /// Names the content's sources.
    config: Config,
    /// The run's folder.
    run: PathBuf,
}

/// The share of a catalogue's items that towers must know. A catalogue changes; one of which they know less is another one, or
/// has changed so much that they should be trained again.
const KNOWN: f64 = 0.5;

impl Towers {
    /// The towers that a configuration names, or those of its run folder.
    ///
    /// # Errors
    /// As [`Towers::read`], [`TowerError::Untrained`] or [`TowerError::Embeddings`].
    pub fn of(config: &Config, run: &Path) -> Result<Self, TowerError> {
        let Some(given) = &config.towers else { return Self::trained(config, run) };
        let (query, unlowered, embeddings) = given::read(config, given)?;
        Ok(Self { query, long_term: None, unlowered, candidates: Candidates::Given(embeddings) })
    }

    /// The towers of a run folder, if they are of this shape.
    fn trained(config: &Config, run: &Path) -> Result<Self, TowerError> {
        let path = run.join(files::SCHEMAS);
        if !path.exists() {
            let (found, expected) = ("nothing".to_owned(), "trained towers".to_owned());
            return Err(TowerError::Untrained { path, found, expected });
        }
        let towers = Self::read(config, run)?;
        let shape = |dim: usize, length: usize, [decay, power]: [f32; 2]| {
            format!("dim {dim}, history {length}, decay {decay}, count power {power}")
        };
        let (schema, model) = (towers.query.schema(), &config.model);
        let found = &schema.history;
        let found = shape(schema.dim, found.length, [found.decay, found.count_power]);
        let expected = shape(model.dim, model.history, [model.history_decay, model.history_count_power]);
        if found == expected { Ok(towers) } else { Err(TowerError::Untrained { path, found, expected }) }
    }

    /// Reads a run folder: checks the digests, and compiles both ONNX files. `config` names the sources of content.
    ///
    /// # Errors
    /// [`TowerError::Io`], or [`TowerError::Onnx`] naming the file that does not belong to the run or has no lowering.
    pub fn read(config: &Config, run: &Path) -> Result<Self, TowerError> {
        let path = run.join(files::SCHEMAS);
        let schemas: TowerSchemas = serde_json::from_slice(&read(&path)?)
            .map_err(|error| not_json(&path, &error, "schemas of a training run"))?;
        let checked = |name: &str, expected: Digest| {
            let path = run.join(name);
            let bytes = read(&path)?;
            let found = Digest::of(&bytes);
            if found == expected {
                return Ok((path, bytes));
            }
            Err(TowerError::Onnx {
                path,
                place: "digest".to_owned(),
                found: found.to_string(),
                expected: expected.to_string(),
                remedy: "the file is not the one of this run: run `nearshelf train` again",
            })
        };
        let compile = |name: &str, expected: Digest| lower::compile(&checked(name, expected)?.0);
        let (path, bytes) = checked(files::CATALOGUE, schemas.catalogue)?;
        let known =
            KnownItems::from_json(&bytes).map_err(|error| not_json(&path, &error, "items of a training run"))?;
        let program = compile(files::QUERY, schemas.query_onnx)?;
        let candidate = compile(files::CANDIDATE, schemas.candidate_onnx)?;
        let query = QueryTower::new(schemas.query, program, schemas.towers)?;
        let factors = schemas.user_factors.map(|digest| checked(files::USER_FACTORS, digest)).transpose()?;
        let long_term = factors.map(|(path, bytes)| LongTerm::from_bytes(&path, &bytes)).transpose()?;
        let (items, content) = (schemas.items, schemas.content);
        let trained = Trained { items, known, tower: candidate, content, config: config.clone(), run: run.to_owned() };
        let candidates = Candidates::Trained(Box::new(trained));
        Ok(Self { query, long_term, unlowered: None, candidates })
    }

    /// The long-term vector of a shopper, given the ids of the items of all events; `None` where the query tower reads none. Items that
    /// the training did not know are passed over.
    pub fn user_vector<'i>(&self, items: impl Iterator<Item = &'i str>) -> Option<Vec<f32>> {
        let (long_term, Candidates::Trained(trained)) = (self.long_term.as_ref()?, &self.candidates) else {
            return None;
        };
        // Row 0 is the unknown item.
        Some(long_term.vector_of(items.filter_map(|id| trained.known.row(id).checked_sub(1))))
    }

    /// The candidate embeddings of a catalogue, `[items, dim]`, in the catalogue's order. Items that the towers do not know are
    /// placed by their words, category, brand and price.
    ///
    /// # Errors
    /// [`TowerError::Catalogue`] for a catalogue that has less than half of its items from the training, [`TowerError::Embeddings`] for
    /// one with an item whose embedding is not among the given ones.
    pub fn embed(&self, items: &[Item]) -> Result<Vec<f32>, TowerError> {
        let trained = match &self.candidates {
            Candidates::Given(given) => return given.of(items),
            Candidates::Trained(trained) => trained,
        };
        let Trained { items: schema, known: known_items, tower, content, config, run } = &**trained;
        let known = items.iter().filter(|item| known_items.holds(&item.id)).count();
        if (known as f64) < KNOWN * items.len() as f64 {
            return Err(TowerError::Catalogue { known, of: items.len() });
        }
        let placed = placed_by_content(items);
        let features = schema.features(&placed, known_items);
        let width = content.width();
        let contents = if width > 0 { content.rows(config, items, &run.join(files::CONTENT))? } else { Vec::new() };
        let embed = |scratch: &mut Scratch, (item, at): (&ItemFeatures, usize)| {
            embed_one(tower, schema.max_tokens, (item, &contents[at * width..][..width]), scratch)
        };
        let rows: Result<Vec<Vec<f32>>, TowerError> =
            features.par_iter().zip(0..features.len()).map_init(Scratch::default, embed).collect();
        Ok(rows?.concat())
    }
}

/// Forgets the ids of items without training events, where some have any: training gave each a row of its own and never moved it.
fn placed_by_content(items: &[Item]) -> Cow<'_, [Item]> {
    let untrained = |item: &Item| item.events == 0;
    if !items.iter().any(untrained) || items.iter().all(untrained) {
        return Cow::Borrowed(items);
    }
    let mut placed = items.to_vec();
    placed.iter_mut().filter(|item| untrained(item)).for_each(|item| item.id.clear());
    Cow::Owned(placed)
}

fn embed_one(
    tower: &Program,
    max_tokens: usize,
    (item, content): (&ItemFeatures, &[f32]),
    scratch: &mut Scratch,
) -> Result<Vec<f32>, TowerError> {
    let mut tokens = item.tokens.clone();
    let mut weights = vec![1.0; tokens.len()];
    tokens.resize(max_tokens, 0);
    weights.resize(max_tokens, 0.0);
    let id = [item.id];
    let mut inputs = vec![
        Input::Index(&id),
        Input::Index(&tokens),
        Input::Float(&weights),
        Input::Index(&item.labels),
        Input::Float(&item.numbers),
    ];
    if !content.is_empty() {
        inputs.push(Input::Float(content));
    }
    tower.run(&inputs, scratch).map(<[f32]>::to_vec)
}

fn read(path: &Path) -> Result<Vec<u8>, TowerError> {
    std::fs::read(path).map_err(|source| TowerError::Io { path: path.to_owned(), source })
}

fn not_json(path: &Path, error: &serde_json::Error, expected: &str) -> TowerError {
    TowerError::Onnx {
        path: path.to_owned(),
        place: format!("line {}", error.line()),
        found: error.to_string(),
        expected: expected.to_owned(),
        remedy: "run `nearshelf train` again",
    }
}
