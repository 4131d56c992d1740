//! From ids and places to the files of a directory.

use super::format::{
    Header, MAX_BUCKET_BYTES, MAX_BUCKETS, MAX_FINGERPRINT_BITS, MAX_GROUP_BITS, MIN_FINGERPRINT_BITS, Section,
    bucket_of_hash, put_bits,
};
use super::{DirectoryError, Place};
use crate::features::hashing::hash64;

/// Bits of a fingerprint beyond those that number the entries: an unknown id looks like a known one in less than one of 2 to
/// the power of this many lookups. The fewer, the more ids of known ones have to be stored, too.
const UNKNOWN_BITS: u32 = 11;

#[derive(Debug)]
struct Entry<'a> {
    hash: u64,
    id: &'a str,
    place: Place,
}

/// The files of a directory, bucket 0 first: the fewest, a power of two, that keep every one within
/// [`MAX_BUCKET_BYTES`]. The same entries in any order give the same bytes; none give one empty bucket.
///
/// # Errors
/// [`DirectoryError::DuplicateId`] if an id occurs twice, [`DirectoryError::Full`] if more ids of one hash are there than a
/// file can hold, [`DirectoryError::Field`] if there are more entries than `u32` counts.
pub fn write_directory<'a>(
    entries: impl IntoIterator<Item = (&'a str, Place)>,
) -> Result<Vec<Vec<u8>>, DirectoryError> {
    write_entries(entries.into_iter().map(|(id, place)| Entry { hash: hash64(id), id, place }).collect())
}

fn write_entries(mut entries: Vec<Entry<'_>>) -> Result<Vec<Vec<u8>>, DirectoryError> {
    DirectoryError::check("number of entries", entries.len() as u64, 0, u32::MAX.into())?;
    entries.sort_unstable_by(|a, b| (a.hash, a.id, a.place).cmp(&(b.hash, b.id, b.place)));
    if let Some([a, b]) = entries.array_windows().find(|[a, b]| (a.hash, a.id) == (b.hash, b.id)) {
        return Err(DirectoryError::DuplicateId { id: a.id.to_owned(), first: a.place, second: b.place });
    }
    let mut buckets = 1;
    loop {
        match write_buckets(&entries, buckets) {
            // More buckets than entries part nothing more but what has nearly one hash.
            Err(DirectoryError::Full { .. }) if buckets < MAX_BUCKETS && buckets as usize <= entries.len() => {
                buckets *= 2;
            }
            result => return result,
        }
    }
}

fn write_buckets(entries: &[Entry<'_>], buckets: u32) -> Result<Vec<Vec<u8>>, DirectoryError> {
    let mut later = entries;
    (0..buckets)
        .map(|bucket| {
            let count = later.partition_point(|entry| bucket_of_hash(entry.hash, buckets) <= bucket);
            let (own, rest) = later.split_at(count);
            later = rest;
            write_bucket(own, bucket, buckets)
        })
        .collect()
}

fn write_bucket(entries: &[Entry<'_>], bucket: u32, buckets: u32) -> Result<Vec<u8>, DirectoryError> {
    let (header, stored) = layout(entries, bucket, buckets);
    if header.file_len() > MAX_BUCKET_BYTES as u64 {
        return Err(DirectoryError::Full {
            id: entries.first().map(|entry| entry.id.to_owned()).unwrap_or_default(),
            found: header.file_len(),
            entries: entries.len() as u64,
            buckets,
        });
    }
    // From here on every count and every end fits `u16`.
    let mut bytes = header.to_bytes().to_vec();
    bytes.reserve_exact(header.file_len() as usize - bytes.len());
    for group in 0..1 << header.group_bits {
        let end = entries.partition_point(|entry| header.split(entry.hash).0 <= group);
        bytes.extend((end as u16).to_le_bytes());
    }
    let records = header.section_range(Section::Records);
    bytes.resize(records.end, 0);
    for (index, Entry { hash, place, .. }) in entries.iter().enumerate() {
        let mut at = index * header.record_bits() as usize;
        for (value, bits) in [
            (header.split(*hash).1, header.tail_bits()),
            (place.shard.into(), header.shard_bits.into()),
            (place.slot.into(), header.slot_bits.into()),
        ] {
            put_bits(&mut bytes[records.clone()], at, value);
            at += bits as usize;
        }
    }
    let mut end = 0;
    for &index in &stored {
        end += entries[index as usize].id.len();
        bytes.extend((end as u16).to_le_bytes());
    }
    stored.iter().for_each(|&index| bytes.extend(entries[index as usize].id.as_bytes()));
    debug_assert_eq!(bytes.len() as u64, header.file_len());
    Ok(bytes)
}

/// The header of the smallest file of these entries, and the entries whose ids it stores.
fn layout(entries: &[Entry<'_>], bucket: u32, buckets: u32) -> (Header, Vec<u32>) {
    let bits_of = |largest: Option<u32>| (u32::BITS - largest.unwrap_or(0).leading_zeros()) as u8;
    let header = Header {
        bucket,
        buckets,
        count: entries.len() as u32,
        fingerprint_bits: 0,
        group_bits: 0,
        shard_bits: bits_of(entries.iter().map(|entry| entry.place.shard).max()),
        slot_bits: bits_of(entries.iter().map(|entry| entry.place.slot).max()),
        id_count: 0,
        id_bytes: 0,
    };
    // How many bits after those of the bucket an entry has in common with a neighbour. Its id is stored if that is all of them.
    let shared = |a: &Entry<'_>, b: &Entry<'_>| header.after_bucket(a.hash ^ b.hash).leading_zeros();
    let mut alike = vec![0; entries.len()];
    for (index, [a, b]) in entries.array_windows().enumerate() {
        alike[index] = shared(a, b).max(alike[index]);
        alike[index + 1] = shared(a, b);
    }
    let stored = |bits: u32| (0..).zip(&alike).filter(move |&(_, &alike)| alike >= bits).map(|(index, _)| index);
    let with_bits = |bits: u32| {
        let id_bytes = stored(bits).map(|index: u32| entries[index as usize].id.len() as u64).sum::<u64>();
        let id_bytes = u32::try_from(id_bytes).unwrap_or(u32::MAX);
        Header { fingerprint_bits: bits as u8, id_count: stored(bits).count() as u32, id_bytes, ..header.clone() }
    };
    let fewest = u32::from(bits_of(Some(header.count))) + UNKNOWN_BITS;
    let bits = (fewest.clamp(MIN_FINGERPRINT_BITS, MAX_FINGERPRINT_BITS)..=MAX_FINGERPRINT_BITS)
        .min_by_key(|&bits| with_bits(bits).file_len())
        .unwrap_or(MAX_FINGERPRINT_BITS);
    let mut header = with_bits(bits);

    let len_with = |group_bits: u32| Header { group_bits: group_bits as u8, ..header.clone() }.file_len();
    header.group_bits = (0..=MAX_GROUP_BITS).min_by_key(|&group_bits| len_with(group_bits)).unwrap_or(0) as u8;
    (header, stored(bits).collect())
}
