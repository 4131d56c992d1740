//! The query tower as a client holds it: a feature schema and what computes, in one file.
//!
//! The [file](super::file) begins with [`MAGIC`]. Its schema is a [`FeatureSchema`]; its runner is a [program](super::program) or, with the
//! flag [`FLAG_ONNX`](super::FLAG_ONNX), an ONNX graph.
//!
//! The inputs of either are those of a [`FeatureVector`]: history `[length * dim]`, weights `[length]` and, where the schema has
//! them, marks `[length * marks]`, rows of categorical features and the long-term vector. Its output is the query embedding, `[dim]`.

use super::file::{File, wrong_schema};
use super::program::{Input, InputKind, MAX_VALUE, Scratch, check, program_error, show_inputs};
use super::{Runner, TowerError};
use crate::Digest;
use crate::features::{FeatureSchema, FeatureVector};
use crate::json::{self, Json};

/// The first bytes of the file.
pub const MAGIC: [u8; 4] = *b"NSQT";
/// Maps a shopper's moment to a query embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryTower {
    schema: FeatureSchema,
    runner: Runner,
    towers: Digest,
}

impl QueryTower {
    /// Puts a tower together and checks that schema and program or graph belong to each other.
    ///
    /// # Errors
    /// [`TowerError::Features`] or [`TowerError::Program`].
    pub fn new(schema: FeatureSchema, runner: impl Into<Runner>, towers: Digest) -> Result<Self, TowerError> {
        let runner = runner.into();
        schema.validate()?;
        let mut expected = vec![
            (InputKind::Float, schema.history.length * schema.dim),
            (InputKind::Float, schema.history.length),
            (InputKind::Index, schema.history.length * schema.history.marks_per_item()),
            (InputKind::Index, schema.categories.len()),
            (InputKind::Float, schema.user.as_ref().map_or(0, |user| user.default.len())),
        ];
        expected.retain(|(_, length)| *length > 0);
        if runner.inputs() != expected {
            return Err(program_error("inputs", show_inputs(runner.inputs()), show_inputs(&expected)));
        }
        if let Some(program) = runner.program() {
            // No moment may name a row that a table does not have: the tower would fail in the middle of a row of products. What names rows
            // stands behind history and weights.
            let mut input = 2;
            for rows in [schema.history.mark_rows(), schema.category_rows()] {
                if rows > 0 {
                    check("rows of a table", program.table_rows(input).unwrap_or(MAX_VALUE), rows as usize, MAX_VALUE)?;
                    input += 1;
                }
            }
        }
        if runner.output_len() != schema.dim {
            return Err(program_error("output", runner.output_len().to_string(), schema.dim.to_string()));
        }
        Ok(Self { schema, runner, towers })
    }

    /// Reads and checks a query tower file.
    ///
    /// # Errors
    /// A [`TowerError`] for anything that is not a whole, undamaged file of a readable version.
    pub fn open(bytes: &[u8]) -> Result<Self, TowerError> {
        let file = File::open(bytes, MAGIC)?;
        let schema = json::parse(file.schema).map_err(|error| wrong_schema(&error))?;
        let schema = FeatureSchema::from_json(&Json::new(&schema, "schema")).map_err(|error| wrong_schema(&error))?;
        Self::new(schema, Runner::decode(file.flags, file.runner)?, file.towers)
    }

    /// The tower as a file.
    ///
    /// # Panics
    /// Never: a schema always has a JSON form.
    pub fn write(&self) -> Vec<u8> {
        let schema = serde_json::to_vec(&self.schema).expect("a schema holds only text and finite numbers");
        let (flags, runner) = self.runner.encode();
        File { flags, towers: self.towers, schema: &schema, runner: &runner }.write(MAGIC)
    }

    /// The query embedding of `query`, `[dim]`, unit length.
    ///
    /// # Errors
    /// [`TowerError::Input`] if `query` was not assembled with this tower's schema; of a graph, [`Runner::run`]'s.
    pub fn embed<'s>(&self, query: &FeatureVector, scratch: &'s mut Scratch) -> Result<&'s [f32], TowerError> {
        let mut inputs = vec![Input::Float(&query.history), Input::Float(&query.weights)];
        for rows in [&query.marks, &query.categories] {
            if !rows.is_empty() {
                inputs.push(Input::Index(rows));
            }
        }
        if !query.user.is_empty() {
            inputs.push(Input::Float(&query.user));
        }
        self.runner.run(&inputs, scratch)
    }

    /// What the tower reads.
    pub fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// What computes.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// The digest of the towers: shards made by others do not fit.
    pub fn towers(&self) -> Digest {
        self.towers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Categorical, HistorySchema};
    use crate::towers::file::MAX_SCHEMA;
    use crate::towers::{Op, Program};

    fn tower(rows: usize) -> Result<QueryTower, TowerError> {
        let categories = vec![Categorical::Weekday, Categorical::Hour];
        let schema = FeatureSchema { dim: 8, history: HistorySchema::of_items(1, 1.0, 0.0), categories, user: None };
        let inputs = vec![(InputKind::Float, 8), (InputKind::Float, 1), (InputKind::Index, 2)];
        let ops = vec![Op::Gather { table: 3, indices: 2, width: 4 }];
        QueryTower::new(schema, Program::new(inputs, vec![vec![0.5; 4 * rows]], ops)?, Digest::of(b"towers"))
    }

    #[test]
    fn a_tower_has_a_row_for_everything_that_its_schema_tells_apart() {
        // "Missing" and seven days, "missing" and 24 hours.
        tower(33).unwrap();
        let error = tower(32).unwrap_err().to_string();
        assert!(error.contains("rows of a table"), "{error}");
    }

    #[test]
    fn a_schema_that_would_take_much_memory_is_refused_before_it_is_read() {
        let schema = "[".repeat(MAX_SCHEMA + 1);
        let file = File { flags: 0, towers: Digest::of(b"towers"), schema: schema.as_bytes(), runner: &[] };
        let error = QueryTower::open(&file.write(MAGIC)).unwrap_err().to_string();
        assert!(error.contains("schema length"), "{error}");
    }
}
