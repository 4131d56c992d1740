//! The ranker as a client holds it: what it reads and what computes, in one [file](super::file) that begins with [`MAGIC`].
//!
//! Its schema is JSON:
//!
//! | field | holds |
//! |---|---|
//! | `features` | the names of the numbers, which must be those of this build |
//! | `dim` | length of the embeddings that it reads; 0 for none |
//! | `vectors` | whether it reads shelf and brand, and with `dim` above 0 the embeddings |
//! | `tasks` | names of the outputs: how probable it is that a candidate is clicked, put into the cart, bought |
//! | `history` | how many of the items that the shopper had last are counted |
//! | `own` | how many items that the shopper had are candidates beside those of retrieval |
//! | `objective` | what candidates are ordered by, see [`Objective`] |
//! | `shelves`, `brands` | shares of all purchases by number, in millionths |
//!
//! Inputs of its program: the numbers `[N]`, with `vectors` query and candidate embedding `[dim]` each and rows of shelf and brand `[1]`
//! each, and the slot `[1]`. Its output are the probabilities, one per task.

use super::file::{File, wrong_schema};
use super::program::{Input, InputKind, MAX_VALUE, Program, Scratch, check, program_error, show_inputs};
use super::{Objective, TowerError};
use crate::Digest;
use crate::features::ranking::{FEATURES, ItemFacts, Usual};
use crate::json::{self, Json, JsonError};

/// The first bytes of the file.
pub const MAGIC: [u8; 4] = *b"NSRK";
/// Most items that the shopper had among the candidates.
pub const MAX_OWN: usize = 1000;
/// Most steps of a run ([`Program::work`]): there is one for every candidate, of which a row has some hundreds. The network that is trained
/// by default takes some ten thousand.
pub const MAX_RANKER_WORK: usize = 1 << 22;
/// Most shelves, and most brands.
const MAX_NAMES: usize = 1 << 16;
/// What a share is stored as a multiple of.
const MILLIONTH: f32 = 1e-6;

/// What a ranker reads and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct RankerSchema {
    /// Length of the embeddings that it reads; 0 for none.
    pub dim: usize,
    /// Whether it reads shelf and brand.
    pub vectors: bool,
    /// Names of the outputs.
    pub tasks: Vec<String>,
    /// How many of the items that the shopper had last are counted.
    pub history: usize,
    /// How many of them are candidates, too.
    pub own: usize,
    /// What candidates are ordered by.
    pub objective: Objective,
    /// How much of each shelf and brand is bought.
    pub usual: Usual,
}

/// Says how probable it is that a shopper clicks, puts into the cart and buys a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranker {
    schema: RankerSchema,
    program: Program,
    /// Rows of the tables of shelves and brands, where it reads them.
    names: [u32; 2],
    towers: Digest,
}

/// The embeddings of a moment and a candidate.
#[derive(Debug, Clone, Copy)]
pub struct Embeddings<'e> {
    /// Of the moment.
    pub query: &'e [f32],
    /// Of the candidate.
    pub item: &'e [f32],
}

/// The rows of shelf and brand of an item in their tables; 0 for none.
pub fn name_rows(facts: &ItemFacts) -> [u32; 2] {
    [facts.shelf, facts.brand].map(|number| number.map_or(0, |number| number.saturating_add(1)))
}

/// The inputs of a ranker's program.
pub fn inputs<'a>(
    numbers: &'a [f32],
    embeddings: Embeddings<'a>,
    names: &'a [u32; 2],
    slot: &'a [u32; 1],
    vectors: bool,
) -> Vec<Input<'a>> {
    let mut inputs = vec![Input::Float(numbers)];
    if vectors {
        if !embeddings.query.is_empty() {
            inputs.extend([Input::Float(embeddings.query), Input::Float(embeddings.item)]);
        }
        inputs.extend([Input::Index(&names[..1]), Input::Index(&names[1..])]);
    }
    inputs.push(Input::Index(slot));
    inputs
}

impl Ranker {
    /// Puts a ranker together and checks that schema and program belong to each other.
    ///
    /// # Errors
    /// [`TowerError::Program`].
    pub fn new(schema: RankerSchema, program: Program, towers: Digest) -> Result<Self, TowerError> {
        let mut expected = vec![(InputKind::Float, FEATURES.len())];
        if schema.vectors {
            if schema.dim > 0 {
                expected.extend([(InputKind::Float, schema.dim); 2]);
            }
            expected.extend([(InputKind::Index, 1); 2]);
        }
        expected.push((InputKind::Index, 1));
        if program.inputs() != expected {
            return Err(program_error("inputs", show_inputs(program.inputs()), show_inputs(&expected)));
        }
        if program.output_len() != schema.tasks.len() {
            return Err(program_error("output", program.output_len().to_string(), schema.tasks.len().to_string()));
        }
        check("steps of a ranker", program.work(), 1, MAX_RANKER_WORK)?;
        // Shelf and brand stand before the slot, which is the last input.
        let rows = |before| program.table_rows((expected.len() as u32).saturating_sub(before)).unwrap_or(MAX_VALUE);
        let names = [3, 2].map(|before| rows(before) as u32);
        Ok(Self { schema, program, names, towers })
    }

    /// Reads and checks a ranker's file.
    ///
    /// # Errors
    /// A [`TowerError`] for anything that is not a whole, undamaged file of a readable version.
    pub fn open(bytes: &[u8]) -> Result<Self, TowerError> {
        let file = File::open(bytes, MAGIC)?;
        let schema = json::parse(file.schema).map_err(|error| wrong_schema(&error))?;
        let schema = RankerSchema::from_json(&Json::new(&schema, "schema")).map_err(|error| wrong_schema(&error))?;
        Self::new(schema, Program::decode(file.runner)?, file.towers)
    }

    /// The ranker as a file.
    #[cfg(any(feature = "origin", test))]
    pub fn write(&self) -> Vec<u8> {
        let schema = self.schema.to_json().to_string();
        let runner = self.program.encode();
        File { flags: 0, towers: self.towers, schema: schema.as_bytes(), runner: &runner }.write(MAGIC)
    }

    /// What it reads and gives.
    pub fn schema(&self) -> &RankerSchema {
        &self.schema
    }

    /// The digest of the towers whose candidates it ranks.
    pub fn towers(&self) -> Digest {
        self.towers
    }

    /// The probabilities of a candidate, one per task: `numbers` are those of [`FEATURES`].
    ///
    /// # Errors
    /// [`TowerError::Input`] for numbers that are not finite.
    pub fn probabilities<'s>(
        &self,
        numbers: &[f32],
        embeddings: Embeddings<'_>,
        facts: &ItemFacts,
        scratch: &'s mut Scratch,
    ) -> Result<&'s [f32], TowerError> {
        // What came into the catalogue later than the ranker is unknown to it.
        let known = |row: u32, rows: u32| if row < rows { row } else { 0 };
        let (rows, slot) = (name_rows(facts), [0]);
        let names = [known(rows[0], self.names[0]), known(rows[1], self.names[1])];
        self.program.run(&inputs(numbers, embeddings, &names, &slot, self.schema.vectors), scratch)
    }
}

impl RankerSchema {
    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let features = json.field("features");
        if features.texts()? != FEATURES {
            return Err(features.wrong("the numbers of this build"));
        }
        let tasks = json.field("tasks").texts()?;
        Ok(Self {
            dim: json.field("dim").number(1 << 16)? as usize,
            vectors: json.field("vectors").number(1)? == 1,
            history: json.field("history").number(MAX_OWN as u64)? as usize,
            own: json.field("own").number(MAX_OWN as u64)? as usize,
            objective: Objective::from_json(&json.field("objective"), &tasks)?,
            usual: Usual { shelves: shares(&json.field("shelves"))?, brands: shares(&json.field("brands"))? },
            tasks,
        })
    }

    #[cfg(any(feature = "origin", test))]
    fn to_json(&self) -> serde_json::Value {
        let shares = |shares: &[f32]| -> Vec<u32> {
            shares.iter().map(|share| libm::roundf(share / MILLIONTH) as u32).collect()
        };
        serde_json::json!({
            "features": FEATURES,
            "dim": self.dim,
            "vectors": u8::from(self.vectors),
            "tasks": self.tasks,
            "history": self.history,
            "own": self.own,
            "objective": self.objective.to_json(&self.tasks),
            "shelves": shares(&self.usual.shelves),
            "brands": shares(&self.usual.brands),
        })
    }
}

fn shares(json: &Json<'_>) -> Result<Vec<f32>, JsonError> {
    let numbers = json.list()?;
    if numbers.len() > MAX_NAMES {
        return Err(json.wrong("fewer names"));
    }
    numbers.iter().map(|number| Ok(number.number(1_000_000)? as f32 * MILLIONTH)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::towers::{Op, Unary};

    fn schema(tasks: usize) -> RankerSchema {
        RankerSchema {
            dim: 0,
            vectors: true,
            tasks: (0..tasks).map(|task| task.to_string()).collect(),
            history: 5,
            own: 3,
            objective: Objective::of_task(0),
            usual: Usual::default(),
        }
    }

    /// Says of each candidate what the tables of shelves, of two rows, and of brands, of three, hold.
    fn program(more: Vec<Op>) -> Result<Program, TowerError> {
        let inputs = vec![
            (InputKind::Float, FEATURES.len()),
            (InputKind::Index, 1),
            (InputKind::Index, 1),
            (InputKind::Index, 1),
        ];
        let gather = |table, indices| Op::Gather { table, indices, width: 1 };
        let ops = [gather(4, 1), gather(5, 2), Op::Concat { outer: 1, parts: vec![[6, 1], [7, 1]] }];
        Program::new(inputs, vec![vec![0.5, 0.25], vec![0.0, 1.0, 2.0]], ops.into_iter().chain(more).collect())
    }

    #[test]
    fn what_a_ranker_does_not_know_is_unknown_to_it() {
        let ranker = Ranker::new(schema(2), program(Vec::new()).unwrap(), Digest::of(b"towers")).unwrap();
        let ranker = Ranker::open(&ranker.write()).unwrap();
        let mut scratch = Scratch::default();
        let mut found = |shelf, brand| {
            let facts = ItemFacts { shelf: Some(shelf), brand: Some(brand), ..ItemFacts::default() };
            let embeddings = Embeddings { query: &[], item: &[] };
            ranker.probabilities(&[0.0; FEATURES.len()], embeddings, &facts, &mut scratch).unwrap().to_vec()
        };
        assert_eq!(found(0, 1), [0.25, 2.0]);
        assert_eq!((found(1, 2), found(u32::MAX, u32::MAX)), (vec![0.5, 0.0], vec![0.5, 0.0]));
    }

    #[test]
    fn a_ranker_that_would_take_too_long_for_a_row_is_refused() {
        let side = 1 << 11;
        let wide = Op::Binary { function: crate::towers::Binary::Add, a: 8, b: 8, axes: vec![[2, 1, 1], [side, 0, 0]] };
        let more = |k: u32| {
            vec![
                wide.clone(),
                Op::MatMul { a: 9, b: 9, batch: 1, m: 2 * side / k, n: 2 * side / k, k },
                Op::Slice { a: 10, outer: 1, n: (2 * side / k).pow(2), inner: 1, start: 0, count: 2, step: 1 },
                Op::Unary { function: Unary::Sigmoid, a: 11 },
            ]
        };
        let made = |k| Ranker::new(schema(2), program(more(k)).unwrap(), Digest::of(b"towers"));
        made(64).unwrap();
        assert!(made(2).unwrap_err().to_string().contains("steps of a ranker"));
    }

    #[test]
    fn terms_are_counted_before_they_are_compared() {
        let read = |tasks: usize, terms: usize| {
            let mut json = schema(tasks).to_json();
            json["objective"] = vec![1; terms].into();
            let text = json.to_string();
            RankerSchema::from_json(&Json::new(&json::parse(text.as_bytes()).unwrap(), "schema"))
                .unwrap_err()
                .to_string()
        };
        assert!(read(2, 100_000).contains("a formula with one value"));
    }
}
