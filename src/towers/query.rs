//! The query tower as a client holds it: a feature schema and what computes, in one file.
//!
//! # Query tower file, format 1. Integers little-endian, no padding
//! | offset | size | field          | rule                                                               |
//! |-------:|-----:|----------------|--------------------------------------------------------------------|
//! |      0 |    4 | magic          | [`MAGIC`]                                                          |
//! |      4 |    2 | format_version | [`OLDEST_READABLE`]..=[`FORMAT_VERSION`]                            |
//! |      6 |    2 | reader_flags   | [`FLAG_ONNX`](super::FLAG_ONNX) or zero: any other bit is a feature that this build does not know |
//! |      8 |   32 | towers         | digest of the towers, the same in every shard of the epoch         |
//! |     40 |    4 | schema_len     | bytes of the schema                                                |
//! |     44 |    4 | runner_len     | bytes of the program or graph                                      |
//! |     48 |    … | schema         | a [`FeatureSchema`] as JSON                                        |
//! |      … |    … | runner         | see [`program`](super::program); with `FLAG_ONNX` an ONNX graph    |
//! |      … |   32 | digest         | SHA-256 of all bytes before                                        |
//!
//! The inputs of either are those of a [`FeatureVector`]: history `[length * dim]`, weights `[length]` and, where the schema has
//! them, marks `[length * marks]`, rows of categorical features and the long-term vector. Its output is the query embedding, `[dim]`.

use super::program::{Input, InputKind, Scratch, program_error, show_inputs};
use super::{Runner, TowerError};
use crate::Digest;
use crate::bytes::Reader;
use crate::features::{FeatureSchema, FeatureVector};
use crate::json::{self, Json};

/// The first bytes of the file.
pub const MAGIC: [u8; 4] = *b"NSQT";
/// The version that this build writes.
pub const FORMAT_VERSION: u16 = 1;
/// The oldest version that this build reads.
pub const OLDEST_READABLE: u16 = 1;

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
        let mut reader = Reader::new(bytes);
        let magic = reader.array("magic")?;
        if magic != MAGIC {
            return Err(TowerError::Magic { found: magic, expected: MAGIC });
        }
        let version = reader.u16("version")?;
        if !(OLDEST_READABLE..=FORMAT_VERSION).contains(&version) {
            return Err(TowerError::Version { found: version, oldest: OLDEST_READABLE, newest: FORMAT_VERSION });
        }
        let flags = reader.u16("flags")?;
        Runner::check_flags(flags)?;
        let towers = Digest::from_bytes(reader.array("towers digest")?);
        let schema_len = reader.u32("schema length")? as usize;
        let runner_len = reader.u32("program length")? as usize;
        let schema = reader.take(schema_len, "schema")?;
        let runner = reader.take(runner_len, "program")?;
        let expected = Digest::from_bytes(reader.array("digest")?);
        let found = Digest::of(&bytes[..bytes.len() - reader.remaining() - Digest::LEN]);
        if found != expected {
            return Err(TowerError::Digest { found, expected });
        }
        if reader.remaining() != 0 {
            return Err(program_error("end", format!("{} bytes more", reader.remaining()), "nothing".to_owned()));
        }
        let wrong =
            |error: &dyn std::fmt::Display| program_error("schema", error.to_string(), "a feature schema".to_owned());
        let schema = json::parse(schema).map_err(|error| wrong(&error))?;
        let schema = FeatureSchema::from_json(&Json::new(&schema, "schema")).map_err(|error| wrong(&error))?;
        Self::new(schema, Runner::decode(flags, runner)?, towers)
    }

    /// The tower as a file.
    ///
    /// # Panics
    /// Never: a schema always has a JSON form.
    pub fn write(&self) -> Vec<u8> {
        let schema = serde_json::to_vec(&self.schema).expect("a schema holds only text and finite numbers");
        let (flags, runner) = self.runner.encode();
        let mut out = Vec::with_capacity(80 + schema.len() + runner.len());
        out.extend(MAGIC);
        out.extend(FORMAT_VERSION.to_le_bytes());
        out.extend(flags.to_le_bytes());
        out.extend(self.towers.as_bytes());
        out.extend((schema.len() as u32).to_le_bytes());
        out.extend((runner.len() as u32).to_le_bytes());
        out.extend(schema);
        out.extend(runner);
        let digest = Digest::of(&out);
        out.extend(digest.as_bytes());
        out
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
