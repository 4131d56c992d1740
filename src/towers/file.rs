//! The file that a query tower or a ranker is in. Integers little-endian, no padding.
//!
//! | offset | size | field          | rule                                                               |
//! |-------:|-----:|----------------|--------------------------------------------------------------------|
//! |      0 |    4 | magic          | says what it is                                                    |
//! |      4 |    2 | format_version | [`OLDEST_READABLE`]..=[`FORMAT_VERSION`]                            |
//! |      6 |    2 | reader_flags   | any bit that is not known is a feature that this build does not know |
//! |      8 |   32 | towers         | digest of the towers, the same in every shard of the epoch         |
//! |     40 |    4 | schema_len     | bytes of the schema                                                |
//! |     44 |    4 | runner_len     | bytes of the program or graph                                      |
//! |     48 |    … | schema         | what goes in and comes out, as JSON                                |
//! |      … |    … | runner         | what computes                                                      |
//! |      … |   32 | digest         | SHA-256 of all bytes before                                        |

use super::TowerError;
use super::program::{check, program_error};
use crate::Digest;
use crate::bytes::Reader;

/// The version that this build writes.
pub const FORMAT_VERSION: u16 = 1;
/// The oldest version that this build reads.
pub const OLDEST_READABLE: u16 = 1;

/// Most bytes of a schema: as a tree of JSON they take up to sixty times as many.
pub const MAX_SCHEMA: usize = 1 << 20;

/// What a file holds.
pub(super) struct File<'b> {
    pub(super) flags: u16,
    pub(super) towers: Digest,
    pub(super) schema: &'b [u8],
    pub(super) runner: &'b [u8],
}

impl<'b> File<'b> {
    /// Reads a file that begins with `expected`.
    #[inline(never)]
    pub(super) fn open(bytes: &'b [u8], expected: [u8; 4]) -> Result<Self, TowerError> {
        let mut reader = Reader::new(bytes);
        let magic = reader.array("magic")?;
        if magic != expected {
            return Err(TowerError::Magic { found: magic, expected });
        }
        let version = reader.u16("version")?;
        if !(OLDEST_READABLE..=FORMAT_VERSION).contains(&version) {
            return Err(TowerError::Version { found: version, oldest: OLDEST_READABLE, newest: FORMAT_VERSION });
        }
        let flags = reader.u16("flags")?;
        super::Runner::check_flags(flags)?;
        let towers = Digest::from_bytes(reader.array("towers digest")?);
        let schema_len = reader.u32("schema length")? as usize;
        let runner_len = reader.u32("program length")? as usize;
        check("schema length", schema_len, 0, MAX_SCHEMA)?;
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
        Ok(Self { flags, towers, schema, runner })
    }

    /// The bytes of the file.
    pub(super) fn write(&self, magic: [u8; 4]) -> Vec<u8> {
        let Self { flags, towers, schema, runner } = self;
        let mut out = Vec::with_capacity(80 + schema.len() + runner.len());
        out.extend(magic);
        out.extend(FORMAT_VERSION.to_le_bytes());
        out.extend(flags.to_le_bytes());
        out.extend(towers.as_bytes());
        out.extend((schema.len() as u32).to_le_bytes());
        out.extend((runner.len() as u32).to_le_bytes());
        out.extend(*schema);
        out.extend(*runner);
        let digest = Digest::of(&out);
        out.extend(digest.as_bytes());
        out
    }
}

/// A schema that is not right.
#[cold]
pub(super) fn wrong_schema(error: &dyn std::fmt::Display) -> TowerError {
    program_error("schema", error.to_string(), "what this build reads".to_owned())
}
