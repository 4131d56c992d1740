//! The query tower as a client holds it: a feature schema and a program in one file.
//!
//! # Query tower file, format 1. Integers little-endian, no padding
//! | offset | size | field          | rule                                                               |
//! |-------:|-----:|----------------|--------------------------------------------------------------------|
//! |      0 |    4 | magic          | [`MAGIC`]                                                          |
//! |      4 |    2 | format_version | [`OLDEST_READABLE`]..=[`FORMAT_VERSION`]                            |
//! |      6 |    2 | reader_flags   | zero: a set bit is a feature that this build does not know         |
//! |      8 |   32 | towers         | digest of the towers, the same in every shard of the epoch         |
//! |     40 |    4 | schema_len     | bytes of the schema                                                |
//! |     44 |    4 | program_len    | bytes of the program                                               |
//! |     48 |    … | schema         | a [`FeatureSchema`] as JSON                                        |
//! |      … |    … | program        | see [`program`](super::program)                                    |
//! |      … |   32 | digest         | SHA-256 of all bytes before                                        |
//!
//! The program's inputs are those of a [`FeatureVector`]: history `[length * dim]`, weights `[length]` and, where the schema has
//! them, marks `[length * marks]`, rows of categorical features and the long-term vector. Its output is the query embedding, `[dim]`.

use super::TowerError;
use super::program::{Input, InputKind, Program, Scratch, program_error};
use crate::Digest;
use crate::bytes::Reader;
use crate::features::{FeatureSchema, FeatureVector};
use crate::json::Json;

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
    program: Program,
    towers: Digest,
}

impl QueryTower {
    /// Puts a tower together and checks that schema and program belong to each other.
    ///
    /// # Errors
    /// [`TowerError::Features`] or [`TowerError::Program`].
    pub fn new(schema: FeatureSchema, program: Program, towers: Digest) -> Result<Self, TowerError> {
        schema.validate()?;
        let mut expected = vec![
            (InputKind::Float, schema.history.length * schema.dim),
            (InputKind::Float, schema.history.length),
            (InputKind::Index, schema.history.length * schema.history.marks_per_item()),
            (InputKind::Index, schema.categories.len()),
            (InputKind::Float, schema.user.as_ref().map_or(0, |user| user.default.len())),
        ];
        expected.retain(|(_, length)| *length > 0);
        if program.inputs() != expected {
            return Err(program_error("inputs", format!("{:?}", program.inputs()), format!("{expected:?}")));
        }
        if program.output_len() != schema.dim {
            return Err(program_error("output", program.output_len().to_string(), schema.dim.to_string()));
        }
        Ok(Self { schema, program, towers })
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
        if flags != 0 {
            return Err(program_error("reader_flags", format!("{flags:#06x}"), "0".to_owned()));
        }
        let towers = Digest::from_bytes(reader.array("towers digest")?);
        let schema_len = reader.u32("schema length")? as usize;
        let program_len = reader.u32("program length")? as usize;
        let schema = reader.take(schema_len, "schema")?;
        let program = reader.take(program_len, "program")?;
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
        let schema = serde_json::from_slice(schema).map_err(|error| wrong(&error))?;
        let schema = FeatureSchema::from_json(&Json::new(&schema, "schema")).map_err(|error| wrong(&error))?;
        Self::new(schema, Program::decode(program)?, towers)
    }

    /// The tower as a file.
    ///
    /// # Panics
    /// Never: a schema always has a JSON form.
    pub fn write(&self) -> Vec<u8> {
        let schema = serde_json::to_vec(&self.schema).expect("a schema holds only text and finite numbers");
        let program = self.program.encode();
        let mut out = Vec::with_capacity(80 + schema.len() + program.len());
        out.extend(MAGIC);
        out.extend(FORMAT_VERSION.to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        out.extend(self.towers.as_bytes());
        out.extend((schema.len() as u32).to_le_bytes());
        out.extend((program.len() as u32).to_le_bytes());
        out.extend(schema);
        out.extend(program);
        let digest = Digest::of(&out);
        out.extend(digest.as_bytes());
        out
    }

    /// The query embedding of `query`, `[dim]`, unit length.
    ///
    /// # Errors
    /// [`TowerError::Input`] if `query` was not assembled with this tower's schema.
    pub fn embed<'s>(&self, query: &FeatureVector, scratch: &'s mut Scratch) -> Result<&'s [f32], TowerError> {
        let mut inputs = vec![Input::Float(&query.history), Input::Float(&query.weights)];
        inputs.extend(
            [&query.marks, &query.categories]
                .into_iter()
                .filter(|rows| !rows.is_empty())
                .map(|rows| Input::Index(rows)),
        );
        inputs.extend((!query.user.is_empty()).then_some(Input::Float(&query.user)));
        self.program.run(&inputs, scratch)
    }

    /// What the tower reads.
    pub fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// The program inside.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The digest of the towers: shards made by others do not fit.
    pub fn towers(&self) -> Digest {
        self.towers
    }
}
