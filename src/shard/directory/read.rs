//! From the bytes of a bucket to places, in place.

use std::ops::Range;

use super::format::{Header, Section, bits_at, bucket_of_hash};
use super::{DirectoryError, Place};
use crate::features::hashing::hash64;

/// One bucket of a directory, held as the bytes of its file, every one of which has been checked.
#[derive(Debug, Clone)]
pub struct DirectoryBucket {
    bytes: Vec<u8>,
    header: Header,
    /// The entries whose ids are stored, ascending. Nearly always none.
    stored: Vec<u32>,
}

impl DirectoryBucket {
    /// Checks the file of a bucket, so that nothing later can fail. Its digest is the caller's to check.
    ///
    /// # Errors
    /// If the bytes are not a bucket, are cut or too long, a value breaks a rule of the [format](super::format), or this
    /// build cannot read them.
    pub fn open(bytes: Vec<u8>) -> Result<Self, DirectoryError> {
        let header = Header::parse(&bytes)?;
        header.check_file_len(bytes.len() as u64)?;
        let mut bucket = Self { bytes, header, stored: Vec::new() };
        bucket.check_groups()?;
        bucket.stored = bucket.check_fingerprints()?;
        bucket.check_ids()?;
        Ok(bucket)
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Checks that this is bucket `expected` of `expected_buckets`.
    ///
    /// # Errors
    /// [`DirectoryError::Bucket`] if it is not.
    pub fn check_bucket(&self, expected: u32, expected_buckets: u32) -> Result<(), DirectoryError> {
        let Header { bucket: found, buckets: found_buckets, .. } = self.header;
        if (found, found_buckets) == (expected, expected_buckets) {
            return Ok(());
        }
        Err(DirectoryError::Bucket { found, found_buckets, expected, expected_buckets })
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.header.count as usize
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.header.count == 0
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The place of a known id; for an unknown one `None`, or by chance the place of another: compare the id with the one
    /// that the shard has there.
    pub fn find(&self, id: &str) -> Option<Place> {
        let mut entries = self.entries_like(id);
        let entry = match entries.len() {
            0 => return None,
            1 => entries.start,
            _ => entries.find(|&entry| self.stored_id(entry) == Some(id.as_bytes()))?,
        };
        Some(self.place(entry))
    }

    /// All places, in the order of the fingerprints.
    pub fn places(&self) -> impl ExactSizeIterator<Item = Place> + '_ {
        (0..self.header.count).map(|entry| self.place(entry))
    }

    fn section(&self, section: Section) -> &[u8] {
        &self.bytes[self.header.section_range(section)]
    }

    /// The entries with the fingerprint of an id.
    fn entries_like(&self, id: &str) -> Range<u32> {
        let hash = hash64(id);
        if bucket_of_hash(hash, self.header.buckets) != self.header.bucket {
            return 0..0;
        }
        let (group, tail) = self.header.split(hash);
        let entries = self.group(group);
        self.first_from(entries.clone(), tail)..self.first_from(entries, tail + 1)
    }

    /// The first of the entries of one group whose tail is not below `tail`, or their end.
    fn first_from(&self, entries: Range<u32>, tail: u64) -> u32 {
        let Range { mut start, mut end } = entries;
        while start < end {
            let middle = start + (end - start) / 2;
            if self.tail(middle) < tail {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }

    /// The entries of a group, once the ends have been checked.
    fn group(&self, group: u32) -> Range<u32> {
        let ends = self.section(Section::GroupEnds).as_chunks::<2>().0;
        let end_of = |group: u32| u32::from(u16::from_le_bytes(ends[group as usize]));
        group.checked_sub(1).map_or(0, end_of)..end_of(group)
    }

    fn tail(&self, entry: u32) -> u64 {
        self.record(entry, 0, self.header.tail_bits())
    }

    fn place(&self, entry: u32) -> Place {
        let Header { shard_bits, slot_bits, .. } = self.header;
        let tail_bits = self.header.tail_bits();
        Place {
            shard: self.record(entry, tail_bits, shard_bits.into()) as u32,
            slot: self.record(entry, tail_bits + u32::from(shard_bits), slot_bits.into()) as u32,
        }
    }

    /// `width` bits of a record, from bit `at` of it on.
    fn record(&self, entry: u32, at: u32, width: u32) -> u64 {
        let start = entry as usize * self.header.record_bits() as usize;
        bits_at(self.section(Section::Records), start + at as usize, width)
    }

    /// The id that is stored for an entry, once the ends have been checked.
    fn stored_id(&self, entry: u32) -> Option<&[u8]> {
        let index = self.stored.binary_search(&entry).ok()?;
        let ends = self.section(Section::IdEnds).as_chunks::<2>().0;
        let end_of = |index: usize| u16::from_le_bytes(ends[index]) as usize;
        let start = index.checked_sub(1).map_or(0, end_of);
        Some(&self.section(Section::IdText)[start..end_of(index)])
    }

    fn check_groups(&self) -> Result<(), DirectoryError> {
        check_ends("end of a group", self.section(Section::GroupEnds), self.header.count)?;
        let records = self.section(Section::Records);
        let end = self.header.count as usize * self.header.record_bits() as usize;
        let padding = bits_at(records, end, (8 * records.len() - end) as u32);
        DirectoryError::check("padding of the records", padding, 0, 0)
    }

    /// Checks the order of the fingerprints, and gives the entries that share one.
    fn check_fingerprints(&self) -> Result<Vec<u32>, DirectoryError> {
        let mut stored = Vec::new();
        for group in 0..1 << self.header.group_bits {
            let entries = self.group(group);
            let mut before = 0;
            for entry in entries.clone() {
                let tail = self.tail(entry);
                DirectoryError::check("tail of a fingerprint", tail, before, u64::MAX)?;
                if entry > entries.start && tail == before {
                    if stored.last() != Some(&(entry - 1)) {
                        stored.push(entry - 1);
                    }
                    stored.push(entry);
                }
                before = tail;
            }
        }
        let count = stored.len() as u64;
        DirectoryError::check("id_count", self.header.id_count.into(), count, count)?;
        Ok(stored)
    }

    /// Checks that the stored ids are text, belong to their entries and differ.
    fn check_ids(&self) -> Result<(), DirectoryError> {
        check_ends("end of an id", self.section(Section::IdEnds), self.header.id_bytes)?;
        let mut before = None;
        for &entry in &self.stored {
            let wrong = |expected| DirectoryError::Id { entry, expected };
            let id = self.stored_id(entry).unwrap_or_default();
            let id = std::str::from_utf8(id).map_err(|_| wrong("UTF-8"))?;
            if !self.entries_like(id).contains(&entry) {
                return Err(wrong("one of the entry's fingerprint"));
            }
            let key = Some((hash64(id), id));
            if key <= before {
                return Err(wrong("behind the one before in the order of hashes"));
            }
            before = key;
        }
        Ok(())
    }
}

/// Checks that the ends in a section do not decrease, and that the last is `last`.
fn check_ends(what: &'static str, section: &[u8], last: u32) -> Result<(), DirectoryError> {
    let mut before = 0;
    for &end in section.as_chunks::<2>().0 {
        let end = u16::from_le_bytes(end).into();
        DirectoryError::check(what, end, before, last.into())?;
        before = end;
    }
    DirectoryError::check(what, before, last.into(), last.into())
}
