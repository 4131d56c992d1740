//! Sorted texts that are stored by what they do not share with the one before.

use std::ops::Range;

use super::format::PATH_END;

/// Why bytes are not a dictionary: in which entry, and what was expected there.
type Broken = (u32, &'static str);

/// Texts in ascending order.
#[derive(Debug, Clone, Default)]
pub(super) struct Dictionary {
    text: String,
    ends: Vec<u32>,
}

impl Dictionary {
    /// Reads `entries` entries, of `text_bytes` in all, from exactly these bytes. At least two bytes per entry are there.
    pub(super) fn parse(bytes: &[u8], entries: u32, text_bytes: u32) -> Result<Self, Broken> {
        let mut rest = bytes;
        let mut text: Vec<u8> = Vec::with_capacity(bytes.len());
        let mut ends = Vec::with_capacity(entries as usize);
        let mut before = 0..0;
        for entry in 0..entries {
            let start = text.len();
            let mut number = || take_leb128(&mut rest).ok_or((entry, "whole"));
            let (shared, more) = (number()? as usize, number()? as usize);
            let (own, later) = rest.split_at_checked(more).ok_or((entry, "whole"))?;
            rest = later;
            if shared > before.len() {
                return Err((entry, "longer than what it shares with the one before"));
            }
            if start + shared + more > text_bytes as usize {
                return Err((entry, "within the length that the header states"));
            }
            text.extend_from_within(before.start..before.start + shared);
            text.extend_from_slice(own);
            if entry > 0 && text[start..] <= text[before] {
                return Err((entry, "greater than the one before"));
            }
            before = start..text.len();
            ends.push(text.len() as u32);
        }
        if !rest.is_empty() || text.len() != text_bytes as usize {
            return Err((entries, "where the header says that the dictionary ends"));
        }
        let text = String::from_utf8(text).map_err(|error| {
            let valid = error.utf8_error().valid_up_to() as u32;
            (ends.partition_point(|&end| end <= valid) as u32, "UTF-8")
        })?;
        match ends.iter().position(|&end| !text.is_char_boundary(end as usize)) {
            Some(entry) => Err((entry as u32, "UTF-8")),
            None => Ok(Self { text, ends }),
        }
    }

    /// The bytes of texts that ascend.
    pub(super) fn write(texts: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut before: &[u8] = &[];
        for text in texts.iter().map(|text| text.as_bytes()) {
            let shared = text.iter().zip(before).take_while(|(a, b)| a == b).count();
            put_leb128(&mut bytes, shared);
            put_leb128(&mut bytes, text.len() - shared);
            bytes.extend_from_slice(&text[shared..]);
            before = text;
        }
        bytes
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + size_of::<u32>() * self.ends.capacity()
    }

    pub(super) fn get(&self, entry: usize) -> Option<&str> {
        let end = *self.ends.get(entry)? as usize;
        let start = entry.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.text.get(start..end)
    }

    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let entry = self.first_not(|entry| entry < text);
        (self.get(entry as usize) == Some(text)).then_some(entry)
    }

    /// The entries that start with `prefix`.
    pub(super) fn starting_with(&self, prefix: &str) -> Range<u32> {
        let start = self.first_not(|entry| entry < prefix);
        start..self.first_not(|entry| entry < prefix || entry.starts_with(prefix))
    }

    /// The first entry that does not pass a test which only entries before it pass.
    fn first_not(&self, test: impl Fn(&str) -> bool) -> u32 {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = start + (end - start) / 2;
            if self.get(middle).is_some_and(&test) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start as u32
    }
}

/// A path as a dictionary has it, unless a part holds what ends parts.
pub(super) fn path_text<'a>(parts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut text = String::new();
    for part in parts {
        if part.contains(PATH_END) {
            return None;
        }
        text.push_str(part);
        text.push(PATH_END);
    }
    Some(text)
}

fn take_leb128(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0u64;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return u32::try_from(number).ok();
        }
    }
    None
}

fn put_leb128(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
