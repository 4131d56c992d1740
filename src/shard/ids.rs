//! Ids: their compact form, and the way from an id to its node.

use std::hash::{DefaultHasher, Hasher};

use super::ShardError;
use super::format::{ID_BLOCK, IdKind, MAX_ID_BYTES};
use crate::bytes::{put_varint, put_varint_u64, read_varint, read_varint_u64};

/// Codes ids, in the smallest kind that holds them all.
///
/// # Errors
/// [`ShardError::IdLength`].
pub(super) fn write(ids: &[String]) -> Result<(IdKind, Vec<u8>), ShardError> {
    if let Some(id) = ids.iter().find(|id| id.len() > MAX_ID_BYTES) {
        return Err(ShardError::IdLength { start: id.chars().take(20).collect(), found: id.len() });
    }
    let numbers: Option<Vec<u64>> = ids.iter().map(|id| decimal(id)).collect();
    let mut bytes = Vec::new();
    let Some(numbers) = numbers else {
        for block in ids.chunks(ID_BLOCK) {
            let mut before = "";
            for id in block {
                let shared = before.bytes().zip(id.bytes()).take_while(|(a, b)| a == b).count();
                put_varint(shared as u32, &mut bytes);
                put_varint((id.len() - shared) as u32, &mut bytes);
                bytes.extend(&id.as_bytes()[shared..]);
                before = id;
            }
        }
        return Ok((IdKind::Text, bytes));
    };
    for block in numbers.chunks(ID_BLOCK) {
        let mut before = 0;
        for &number in block {
            let difference = number.wrapping_sub(before) as i64;
            put_varint_u64((difference << 1 ^ difference >> 63) as u64, &mut bytes);
            before = number;
        }
    }
    Ok((IdKind::Decimal, bytes))
}

/// The number whose text `id` is.
fn decimal(id: &str) -> Option<u64> {
    let plain = id.bytes().all(|byte| byte.is_ascii_digit()) && (id == "0" || !id.starts_with('0'));
    id.parse().ok().filter(|_| plain)
}

/// Reads ids one after the other from the start of a block.
struct Ids<'a> {
    kind: IdKind,
    rest: &'a [u8],
    number: u64,
    /// The last id that was read.
    text: Vec<u8>,
}

impl<'a> Ids<'a> {
    fn new(kind: IdKind, block: &'a [u8]) -> Self {
        Self { kind, rest: block, number: 0, text: Vec::new() }
    }

    /// Reads the next id into `text`; whether there is a well formed one.
    fn advance(&mut self) -> Option<()> {
        match self.kind {
            IdKind::Text => {
                let (shared, rest) = read_varint(self.rest)?;
                let (len, rest) = read_varint(rest)?;
                let (suffix, rest) = rest.split_at_checked(len as usize)?;
                let shared = shared as usize;
                if shared > self.text.len() || shared + suffix.len() > MAX_ID_BYTES {
                    return None;
                }
                self.text.truncate(shared);
                self.text.extend_from_slice(suffix);
                self.rest = rest;
            }
            IdKind::Decimal => {
                let (zigzag, rest) = read_varint_u64(self.rest)?;
                self.number = self.number.wrapping_add((zigzag >> 1) ^ (zigzag & 1).wrapping_neg());
                self.rest = rest;
            }
        }
        Some(())
    }

    /// Writes the number out, if the ids are numbers.
    fn finish(&mut self) {
        if self.kind == IdKind::Decimal {
            self.text.clear();
            let mut digits = [0; 20];
            let (mut number, mut at) = (self.number, digits.len());
            loop {
                at -= 1;
                digits[at] = b'0' + (number % 10) as u8;
                number /= 10;
                if number == 0 {
                    break;
                }
            }
            self.text.extend_from_slice(&digits[at..]);
        }
    }
}

/// An empty slot.
const EMPTY: u32 = u32::MAX;

/// Where the blocks of ids start, and a hash table of nodes; the ids themselves stay in the shard.
///
/// The hash starts from the shard's digest, so nobody can choose ids that collide without knowing the digest of the shard
/// that they end up in.
#[derive(Debug)]
pub(super) struct IdTable {
    kind: IdKind,
    blocks: Vec<u32>,
    slots: Vec<u32>,
    /// A byte of the hash of each slot's id: most ids that are not the one are told by it.
    tags: Vec<u8>,
    seed: u64,
}

impl IdTable {
    /// Reads and enters `count` ids, which must be all that `section` holds.
    ///
    /// # Errors
    /// [`ShardError::Id`] or [`ShardError::DuplicateId`].
    pub(super) fn build(kind: IdKind, section: &[u8], count: u32, seed: u64) -> Result<Self, ShardError> {
        // At most four fifths full.
        let slots = count as usize + count as usize / 4 + 1;
        let blocks = Vec::with_capacity((count as usize).div_ceil(ID_BLOCK));
        let mut table = Self { kind, blocks, slots: vec![EMPTY; slots], tags: vec![0; slots], seed };
        let mut ids = Ids::new(kind, section);
        for node in 0..count {
            if (node as usize).is_multiple_of(ID_BLOCK) {
                ids = Ids::new(kind, ids.rest);
                table.blocks.push((section.len() - ids.rest.len()) as u32);
            }
            ids.advance().ok_or(ShardError::Id { node, reason: "is cut or out of range" })?;
            ids.finish();
            let Ok(text) = std::str::from_utf8(&ids.text) else {
                return Err(ShardError::Id { node, reason: "is not UTF-8" });
            };
            let (slot, tag) = table.start(text);
            match table.probe(section, text, slot, tag) {
                Ok(first) => return Err(ShardError::DuplicateId { id: text.to_owned(), first, second: node }),
                Err(free) => {
                    table.slots[free] = node;
                    table.tags[free] = tag;
                }
            }
        }
        if ids.rest.is_empty() {
            Ok(table)
        } else {
            Err(ShardError::Id { node: count, reason: "follows the last one" })
        }
    }

    /// The node with this id.
    pub(super) fn find(&self, section: &[u8], wanted: &str) -> Option<u32> {
        let (slot, tag) = self.start(wanted);
        self.probe(section, wanted, slot, tag).ok()
    }

    /// The id of a node.
    pub(super) fn id(&self, section: &[u8], node: u32) -> String {
        String::from_utf8(self.text(section, node)).unwrap_or_default()
    }

    /// Bytes of memory that the table takes.
    pub(super) fn memory(&self) -> usize {
        size_of::<u32>() * (self.blocks.capacity() + self.slots.capacity()) + self.tags.capacity()
    }

    fn text(&self, section: &[u8], node: u32) -> Vec<u8> {
        let block = self.blocks[node as usize / ID_BLOCK] as usize;
        let mut ids = Ids::new(self.kind, &section[block..]);
        for _ in 0..=node as usize % ID_BLOCK {
            // Every id was read when the table was built.
            let _ = ids.advance();
        }
        ids.finish();
        ids.text
    }

    fn start(&self, wanted: &str) -> (usize, u8) {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write(wanted.as_bytes());
        let hash = hasher.finish();
        let slot = (((hash & 0xffff_ffff) * self.slots.len() as u64) >> 32) as usize;
        (slot, (hash >> 56) as u8)
    }

    /// The node with this id, or the free slot where it would be.
    fn probe(&self, section: &[u8], wanted: &str, mut slot: usize, tag: u8) -> Result<u32, usize> {
        loop {
            match self.slots[slot] {
                EMPTY => return Err(slot),
                node if self.tags[slot] == tag && self.text(section, node) == wanted.as_bytes() => return Ok(node),
                _ => slot = if slot + 1 == self.slots.len() { 0 } else { slot + 1 },
            }
        }
    }
}
