//! Ids: their compact form, and the way from an id to its node.

use std::hash::{DefaultHasher, Hasher};
use std::sync::OnceLock;

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
    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn new(kind: IdKind, block: &'a [u8]) -> Self {
        Self { kind, rest: block, number: 0, text: Vec::new() }
    }

    /// Reads the next id into `text`; whether there is a well formed one.
    #[cfg_attr(hot_is_fast, optimize(speed))]
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
    #[cfg_attr(hot_is_fast, optimize(speed))]
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

/// Where the blocks of ids start, and a hash table of nodes, which the first look-up by id makes; the ids themselves stay in
/// the shard.
#[derive(Debug)]
pub(super) struct IdTable {
    kind: IdKind,
    count: u32,
    blocks: Vec<u32>,
    seed: u64,
    slots: OnceLock<Slots>,
}

/// The hash table.
///
/// The hash starts from the shard's digest, so nobody can choose ids that collide without knowing the digest of the shard
/// that they end up in.
#[derive(Debug)]
struct Slots {
    nodes: Vec<u32>,
    /// A byte of the hash of each slot's id: most ids that are not the one are told by it.
    tags: Vec<u8>,
}

impl IdTable {
    /// Checks `count` ids, which must be all that `section` holds.
    ///
    /// # Errors
    /// [`ShardError::Id`].
    pub(super) fn open(kind: IdKind, section: &[u8], count: u32, seed: u64) -> Result<Self, ShardError> {
        let mut blocks = Vec::with_capacity((count as usize).div_ceil(ID_BLOCK));
        let mut ids = Ids::new(kind, section);
        for node in 0..count {
            if (node as usize).is_multiple_of(ID_BLOCK) {
                ids = Ids::new(kind, ids.rest);
                blocks.push((section.len() - ids.rest.len()) as u32);
            }
            ids.advance().ok_or(ShardError::Id { node, reason: "is cut or out of range" })?;
            // A number's digits are text.
            if kind == IdKind::Text && std::str::from_utf8(&ids.text).is_err() {
                return Err(ShardError::Id { node, reason: "is not UTF-8" });
            }
        }
        if ids.rest.is_empty() {
            Ok(Self { kind, count, blocks, seed, slots: OnceLock::new() })
        } else {
            Err(ShardError::Id { node: count, reason: "follows the last one" })
        }
    }

    /// Checks that each id occurs once.
    ///
    /// # Errors
    /// [`ShardError::DuplicateId`].
    pub(super) fn check_unique(&self, section: &[u8]) -> Result<(), ShardError> {
        for second in 0..self.count {
            let id = self.id(section, second);
            if let Some(first) = self.find(section, &id).filter(|&first| first != second) {
                return Err(ShardError::DuplicateId { id, first, second });
            }
        }
        Ok(())
    }

    /// The first node with this id.
    pub(super) fn find(&self, section: &[u8], wanted: &str) -> Option<u32> {
        let Slots { nodes, tags } = self.slots.get_or_init(|| self.enter(section));
        let (mut slot, tag) = self.start(wanted.as_bytes(), nodes.len());
        loop {
            match nodes[slot] {
                EMPTY => return None,
                node if tags[slot] == tag && self.text(section, node) == wanted.as_bytes() => return Some(node),
                _ => slot = after(slot, nodes.len()),
            }
        }
    }

    /// The id of a node.
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn id(&self, section: &[u8], node: u32) -> String {
        String::from_utf8(self.text(section, node)).unwrap_or_default()
    }

    /// Bytes of memory that the table takes.
    pub(super) fn memory(&self) -> usize {
        let slots =
            self.slots.get().map_or(0, |slots| size_of::<u32>() * slots.nodes.capacity() + slots.tags.capacity());
        size_of::<u32>() * self.blocks.capacity() + slots
    }

    /// Enters all nodes, in order: of two with one id, the first.
    fn enter(&self, section: &[u8]) -> Slots {
        // At most four fifths full.
        let len = self.count as usize + self.count as usize / 4 + 1;
        let mut slots = Slots { nodes: vec![EMPTY; len], tags: vec![0; len] };
        let mut ids = Ids::new(self.kind, section);
        for node in 0..self.count {
            if (node as usize).is_multiple_of(ID_BLOCK) {
                ids = Ids::new(self.kind, ids.rest);
            }
            // Every id was read when the table was opened.
            let _ = ids.advance();
            ids.finish();
            let (mut slot, tag) = self.start(&ids.text, len);
            // An id that is there already is not entered again: equal ids in a row of slots would take quadratic time.
            let is_there = |slots: &Slots, slot: usize| {
                slots.tags[slot] == tag && self.text(section, slots.nodes[slot]) == ids.text
            };
            while slots.nodes[slot] != EMPTY && !is_there(&slots, slot) {
                slot = after(slot, len);
            }
            if slots.nodes[slot] == EMPTY {
                slots.nodes[slot] = node;
                slots.tags[slot] = tag;
            }
        }
        slots
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn text(&self, section: &[u8], node: u32) -> Vec<u8> {
        let block = self.blocks[node as usize / ID_BLOCK] as usize;
        let mut ids = Ids::new(self.kind, &section[block..]);
        for _ in 0..=node as usize % ID_BLOCK {
            let _ = ids.advance();
        }
        ids.finish();
        ids.text
    }

    /// Where among `slots` the search for an id starts, and its tag.
    fn start(&self, id: &[u8], slots: usize) -> (usize, u8) {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write(id);
        let hash = hasher.finish();
        let slot = (((hash & 0xffff_ffff) * slots as u64) >> 32) as usize;
        (slot, (hash >> 56) as u8)
    }
}

/// The slot after this one.
fn after(slot: usize, slots: usize) -> usize {
    if slot + 1 == slots { 0 } else { slot + 1 }
}
