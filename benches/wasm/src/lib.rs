//! What benches call as WebAssembly. The search bench: a shard and its columns, opened, checked and searched, without the query tower
//! that the product has in front of them; `benches/search/library.rs` is the same natively. The towers bench: a query tower by itself.

use nearshelf::Digest;
use nearshelf::features::{Context, FeatureVector, PastEvent, PastItem};
use nearshelf::index::{Hit, Scratch, SearchParams};
use nearshelf::release::{ObjectKind, ObjectRef};
use nearshelf::shard::columns::{Columns, Predicate};
use nearshelf::shard::{Shard, Verified};
use nearshelf::towers::{self, QueryTower};
use wasm_bindgen::prelude::*;

/// The column that the filter asks for.
const COLUMN: &str = "group";

/// A shard that is searched.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Library {
    shard: Shard<Verified>,
    columns: Option<Columns>,
    scratch: Scratch,
}

/// The version of nearshelf.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

#[wasm_bindgen]
impl Library {
    /// Opens the bytes of a shard as a client opens what a manifest names: their SHA-256 must be `named`, then every value is
    /// checked. `computed` is the SHA-256 that the host computed over these bytes; without it, it is computed here.
    ///
    /// # Errors
    /// If they are not that shard, or none that this build reads.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: Vec<u8>, named: &[u8], computed: Option<Vec<u8>>) -> Result<Self, JsError> {
        let named = ObjectRef { digest: Digest::from_bytes(named.try_into()?), size: bytes.len() as u64 };
        let computed = match computed {
            Some(raw) => Digest::from_bytes(raw.try_into().map_err(|_| JsError::new("a digest has 32 bytes"))?),
            None => Digest::of(&bytes),
        };
        named.check_digested(ObjectKind::Shard, &bytes, computed)?;
        let shard = Shard::open(bytes)?.verify_values(computed)?;
        Ok(Self { shard, columns: None, scratch: Scratch::default() })
    }

    /// Takes the columns, which searches with a filter need.
    ///
    /// # Errors
    /// If they are not columns that this build reads.
    #[wasm_bindgen(js_name = setColumns)]
    pub fn set_columns(&mut self, bytes: Vec<u8>) -> Result<(), JsError> {
        self.columns = Some(Columns::open(bytes)?);
        Ok(())
    }

    /// The ids of the `k` best, as numbers.
    ///
    /// # Errors
    /// If an id is not a number.
    pub fn search(&mut self, query: &[f32], k: usize, probes: usize) -> Result<Vec<u32>, JsError> {
        let hits = self.shard.search(query, k, Some(self.params(probes)), &mut self.scratch, None);
        self.ids(&hits)
    }

    /// The ids of the `k` best of one group; what is asked of the columns is part of it.
    ///
    /// # Errors
    /// As [`Library::search`], and if there are no columns.
    #[wasm_bindgen(js_name = searchGroup)]
    pub fn search_group(&mut self, query: &[f32], k: usize, probes: usize, group: u32) -> Result<Vec<u32>, JsError> {
        let columns = self.columns.as_ref().ok_or_else(|| JsError::new("a search with a filter needs columns"))?.view();
        let (low, high) = (u64::from(group), u64::from(group));
        let passing = columns.rows_where(COLUMN, Predicate::Between { low, high })?;
        let hits = self.shard.search(query, k, Some(self.params(probes)), &mut self.scratch, Some(&passing));
        self.ids(&hits)
    }

    /// Bytes that the shard takes, with the table that the first look-up by id makes.
    pub fn memory(&self) -> usize {
        let _ = self.shard.node_of("");
        self.shard.memory()
    }

    fn params(&self, probes: usize) -> SearchParams {
        SearchParams { probes, ..self.shard.search_params() }
    }

    fn ids(&self, hits: &[Hit]) -> Result<Vec<u32>, JsError> {
        hits.iter().map(|hit| Ok(self.shard.id(hit.node).parse()?)).collect()
    }
}

/// A query tower with a history for each of its places.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Tower {
    model: QueryTower,
    query: FeatureVector,
    scratch: towers::Scratch,
}

#[wasm_bindgen]
impl Tower {
    /// Opens a query tower file, for a shopper of whom nothing else is known.
    ///
    /// # Errors
    /// If it is none.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: &[u8]) -> Result<Self, JsError> {
        let model = QueryTower::open(bytes)?;
        let schema = model.schema();
        let numbers = |place: usize| (0..schema.dim).map(move |at| ((place * 31 + at * 7) % 17) as f32 / 68.0 - 0.12);
        let rows: Vec<Vec<f32>> = (0..schema.history.length).map(|place| numbers(place).collect()).collect();
        let item = PastItem { newest: PastEvent { item: (), event_type: 0, at_ms: None }, count: 1 };
        let query = schema.assemble(rows.iter().map(|row| (&row[..], item)), &Context::default())?;
        Ok(Self { model, query, scratch: towers::Scratch::default() })
    }

    /// Items of the history.
    #[wasm_bindgen(getter)]
    pub fn items(&self) -> usize {
        self.query.weights.len()
    }

    /// Computes the query embedding; its first number.
    ///
    /// # Errors
    /// Never for what `new` made.
    pub fn run(&mut self) -> Result<f32, JsError> {
        Ok(self.model.embed(&self.query, &mut self.scratch)?[0])
    }
}
