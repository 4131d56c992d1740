//! Directories from outside: round trips, collisions, damage, sizes, and the golden files.

use proptest::prelude::*;

use super::format::{FORMAT_VERSION, HEADER_LEN, Header, MAX_BUCKET_BYTES, Section, bits_at, put_bits, top};
use super::{DirectoryBucket, DirectoryError, Place, bucket_of, write_directory};
use crate::features::hashing::hash64;
use crate::index::testing::Random;
use crate::shard::golden;

/// Two texts of one FNV-1a, and so of one hash; with the same text behind both they stay so.
const COLLIDING: [&str; 2] = ["8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ"];

fn place(number: u32) -> Place {
    Place { shard: number / 700, slot: number % 700 }
}

fn write(ids: &[impl AsRef<str>]) -> Result<Vec<Vec<u8>>, DirectoryError> {
    write_directory((0..).zip(ids).map(|(number, id)| (id.as_ref(), place(number))))
}

fn open(files: Vec<Vec<u8>>) -> Vec<DirectoryBucket> {
    files.into_iter().map(|bytes| DirectoryBucket::open(bytes).unwrap()).collect()
}

fn find(buckets: &[DirectoryBucket], id: &str) -> Option<Place> {
    buckets[bucket_of(id, buckets.len() as u32) as usize].find(id)
}

/// One bucket with four entries, two of which have one hash.
fn small() -> Vec<u8> {
    write(&["apple", COLLIDING[0], "pear", COLLIDING[1]]).unwrap().remove(0)
}

#[test]
fn hashes_and_buckets_never_change() {
    let vectors = [
        ("", 0xefd0_1f60_ba99_2926, [0, 1, 239, 982_273]),
        ("a", 0x82a2_a958_a9be_ce5b, [0, 1, 130, 535_082]),
        ("item-0000001", 0xc2f9_bcca_8ca4_19ff, [0, 1, 194, 798_619]),
        ("4711", 0x9edd_a03f_dab1_3031, [0, 1, 158, 650_714]),
        ("Ünïted Émile 東京", 0xcfc0_ff1e_4a1e_7fe7, [0, 1, 207, 850_959]),
    ];
    for (id, hash, buckets) in vectors {
        let found = [1, 2, 256, 1 << 20].map(|buckets| bucket_of(id, buckets));
        assert_eq!((hash64(id), found), (hash, buckets), "{id}");
        assert_eq!(found[3], (hash >> 44) as u32);
        assert_eq!((bucket_of(id, 0), bucket_of(id, 3) < 3), (0, true));
    }
}

#[test]
fn a_bucket_built_from_the_table_is_read() {
    let id = "pear";
    let hash = hash64(id);
    let mut bytes = Vec::new();
    bytes.extend(b"NSDR");
    bytes.extend([1, 0]); // format_version
    bytes.extend([0, 0]); // reader_flags
    bytes.extend(((hash >> 60) as u32).to_le_bytes()); // bucket
    bytes.extend([16, 0, 0, 0]); // buckets
    bytes.extend([1, 0, 0, 0]); // count
    bytes.extend([16, 1, 5, 3]); // bits of fingerprint, group, shard, slot
    bytes.extend([0; 8]); // id_count, id_bytes
    bytes.extend([u8::from(hash >> 59 & 1 == 0), 0, 1, 0]); // group_ends
    let record = (hash >> 44 & 0x7fff) | 19 << 15 | 6 << 20;
    bytes.extend(&record.to_le_bytes()[..3]);

    let bucket = DirectoryBucket::open(bytes.clone()).unwrap();
    assert_eq!(bucket.find(id), Some(Place { shard: 19, slot: 6 }));
    assert_eq!(bucket.find("apple"), None);
    assert_eq!(bucket.header().to_bytes(), bytes[..HEADER_LEN]);
    assert_eq!((bucket.len(), bucket.is_empty(), bucket.bytes()), (1, false, &bytes[..]));
    assert!(bucket.check_bucket((hash >> 60) as u32, 16).is_ok());
    let error = bucket.check_bucket((hash >> 60) as u32, 32).unwrap_err();
    assert!(matches!(error, DirectoryError::Bucket { found_buckets: 16, expected_buckets: 32, .. }), "{error}");
}

#[test]
fn every_id_of_every_size_is_found_and_hardly_any_other() {
    for count in [0, 1, 2, 65_535, 65_536] {
        let ids: Vec<String> = (0..count).map(|number| format!("item-{number}")).collect();
        let buckets = open(write(&ids).unwrap());
        assert!(buckets.len().is_power_of_two());
        assert_eq!(buckets.iter().map(DirectoryBucket::len).sum::<usize>(), count as usize);
        for (number, id) in (0..).zip(&ids) {
            assert_eq!(find(&buckets, id), Some(place(number)), "{id} of {count}");
        }
        let mut places: Vec<Place> = buckets.iter().flat_map(DirectoryBucket::places).collect();
        places.sort_unstable();
        assert!(places.into_iter().eq((0..count).map(place)));
        let strangers = (0..20_000).filter(|number| find(&buckets, &format!("stranger-{number}")).is_some()).count();
        // At most one of 2048 on average; the ids are fixed.
        assert!(strangers < 20, "{strangers} of 20,000 unknown ids found among {count}");
    }
}

#[test]
fn every_bucket_keeps_to_its_size_and_there_are_no_more_than_it_takes() {
    let ids: Vec<String> = (0..200_000).map(|number| number.to_string()).collect();
    let files = write(&ids).unwrap();
    let (sum, largest) = (files.iter().map(Vec::len).sum::<usize>(), files.iter().map(Vec::len).max().unwrap());
    assert!(largest <= MAX_BUCKET_BYTES, "{largest}");
    assert!(sum > MAX_BUCKET_BYTES * files.len() / 3, "{sum} bytes in {} files", files.len());
    assert!(2 * sum < 9 * ids.len(), "{sum} bytes for {} ids", ids.len());
}

#[test]
fn ids_of_one_hash_are_told_apart() {
    assert_eq!(hash64(COLLIDING[0]), hash64(COLLIDING[1]));
    let behind = |text: &str| COLLIDING.map(|id| format!("{id}{text}"));
    let mut ids: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    ids.extend(["", "東京", "x"].map(behind).concat());
    let buckets = open(write(&ids).unwrap());
    assert_eq!(buckets[0].header().id_count, 6);
    for (number, id) in (0..).zip(&ids) {
        assert_eq!(find(&buckets, id), Some(place(number)), "{id}");
    }
    // One that is alone needs no id beside it, and its double is then by chance found: the caller compares ids.
    let buckets = open(write(&COLLIDING[..1]).unwrap());
    assert_eq!((buckets[0].header().id_count, find(&buckets, COLLIDING[1])), (0, Some(place(0))));
}

#[test]
fn ids_that_only_share_a_fingerprint_are_told_apart() {
    // Found by search among the numbers up to 4 million: equal in the highest 40 bits.
    let ids = ["362262", "733402"];
    assert_eq!(hash64(ids[0]) >> 24, hash64(ids[1]) >> 24);
    assert_ne!(hash64(ids[0]), hash64(ids[1]));
    let buckets = open(write(&ids).unwrap());
    assert_eq!((buckets.len(), buckets[0].header().id_count), (1, 2));
    assert_eq!(ids.map(|id| find(&buckets, id)), [Some(place(0)), Some(place(1))]);
}

#[test]
fn what_cannot_be_a_directory_is_refused_by_name() {
    let error = write(&["a", "b", "a"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "directory: found the id \"a\" at slot 0 of shard 0 and at slot 2 of shard 0, expected one place per id; remove \
         the duplicate"
    );
    let long = "x".repeat(MAX_BUCKET_BYTES / 2);
    let ids = COLLIDING.map(|id| format!("{id}{long}"));
    let error = write(&ids).unwrap_err();
    assert!(matches!(&error, DirectoryError::Full { entries: 2, buckets: 4, .. }), "{error}");
    // Alone, an id of any length is well.
    assert_eq!(find(&open(write(&["x".repeat(1 << 17)]).unwrap()), &"x".repeat(1 << 17)), Some(place(0)));
}

proptest! {
    #[test]
    fn what_is_written_is_found(
        ids in prop::collection::btree_set(".{0,8}", 0..100),
        places in prop::collection::vec(any::<(u32, u32)>(), 100),
        by in 0_usize..100,
    ) {
        let mut entries: Vec<(&str, Place)> =
            ids.iter().zip(places).map(|(id, (shard, slot))| (&**id, Place { shard, slot })).collect();
        let files = write_directory(entries.iter().copied()).unwrap();
        let by = by % entries.len().max(1);
        entries.rotate_left(by);
        entries.reverse();
        prop_assert_eq!(&write_directory(entries.iter().copied()).unwrap(), &files);
        let buckets = open(files);
        for (id, place) in entries {
            prop_assert_eq!(find(&buckets, id), Some(place));
        }
    }

    #[test]
    fn bits_are_read_as_they_are_put(fields in prop::collection::vec((0_u32..=57, any::<u64>()), 0..50)) {
        let mut bytes = vec![0; fields.iter().map(|field| field.0 as usize).sum::<usize>().div_ceil(8)];
        let mut at = 0;
        for &(width, value) in &fields {
            put_bits(&mut bytes, at, top(value, width));
            at += width as usize;
        }
        let mut at = 0;
        for (width, value) in fields {
            prop_assert_eq!(bits_at(&bytes, at, width), top(value, width));
            at += width as usize;
        }
    }

    #[test]
    fn random_damage_is_an_error_or_does_no_harm(seed in any::<u64>(), times in 1_usize..20) {
        let mut bytes = small();
        let mut random = Random::new(seed);
        for _ in 0..times {
            let at = random.next() as usize % bytes.len();
            bytes[at] = random.next() as u8;
        }
        use_somehow(bytes);
    }
}

/// Whatever passed can be used.
fn use_somehow(bytes: Vec<u8>) {
    if let Ok(bucket) = DirectoryBucket::open(bytes) {
        for id in ["apple", COLLIDING[0], "pear", COLLIDING[1], "unknown", ""] {
            let _ = bucket.find(id);
        }
        assert_eq!(bucket.places().count(), bucket.len());
    }
}

#[test]
fn a_bucket_that_is_cut_anywhere_or_goes_on_is_refused() {
    let whole = small();
    for len in 0..whole.len() {
        let error = DirectoryBucket::open(whole[..len].to_vec()).unwrap_err();
        let expected = if len < 4 { "directory/magic" } else { "directory/truncated" };
        assert_eq!(error.code(), expected, "cut at {len}: {error}");
    }
    let error = DirectoryBucket::open([&whole[..], &[0]].concat()).unwrap_err();
    assert!(matches!(error, DirectoryError::Trailing { need, have } if have == need + 1), "{error}");
}

#[test]
fn a_flipped_bit_is_found_or_does_no_harm() {
    let whole = small();
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        // Every field of the header is bound to the others, but for the bucket's number in a directory of one.
        if at / 8 < HEADER_LEN {
            assert!(DirectoryBucket::open(bytes.clone()).is_err(), "bit {at}");
        }
        use_somehow(bytes);
    }
}

#[test]
fn every_broken_value_is_named() {
    let with = |section: Section, at: usize, with: &[u8]| {
        let mut bytes = small();
        let start = Header::parse(&bytes).unwrap().section_range(section).start + at;
        bytes[start..start + with.len()].copy_from_slice(with);
        DirectoryBucket::open(bytes).unwrap_err()
    };
    let field = |error: DirectoryError| match error {
        DirectoryError::Field { what, found, .. } => (what, found),
        error => panic!("{error}"),
    };
    assert_eq!(field(with(Section::GroupEnds, 0, &[5, 0])), ("end of a group", 5));
    assert_eq!(field(with(Section::IdEnds, 0, &[41, 0])), ("end of an id", 41));
    assert_eq!(field(with(Section::IdEnds, 2, &[39, 0])), ("end of an id", 39));
    // Without a second entry of its fingerprint, no id is stored for the first.
    assert_eq!(field(with(Section::Records, 0, &[0; 3])).0, "id_count");
    let id = |error: DirectoryError| match error {
        DirectoryError::Id { expected, .. } => expected,
        error => panic!("{error}"),
    };
    assert_eq!(id(with(Section::IdText, 0, &[0xff])), "UTF-8");
    assert_eq!(id(with(Section::IdText, 0, b"a")), "one of the entry's fingerprint");
    let [first, second] = COLLIDING;
    assert_eq!(id(with(Section::IdText, 0, second.as_bytes())), "behind the one before in the order of hashes");
    assert_eq!(
        id(with(Section::IdText, 0, format!("{second}{first}").as_bytes())),
        "behind the one before in the order of hashes"
    );

    let header = |at: usize, byte: u8| {
        let mut bytes = small();
        bytes[at] = byte;
        DirectoryBucket::open(bytes).unwrap_err()
    };
    assert!(matches!(header(0, b'n'), DirectoryError::Magic { .. }));
    assert!(matches!(header(4, 0), DirectoryError::Version { found: 0 }));
    let later = FORMAT_VERSION + 1;
    let message = format!("directory format {later}, this build reads 1..=1; update the package");
    assert_eq!(header(4, later as u8).to_string(), message);
    assert!(matches!(header(6, 1), DirectoryError::Flags { found: 1, known: 0 }));
    for (at, byte, what) in [
        (8, 1, "bucket"),
        (12, 0, "buckets"),
        (12, 7, "number of bits in buckets"),
        (18, 1, "count"),
        (20, 15, "fingerprint_bits"),
        (20, 41, "fingerprint_bits"),
        (21, 13, "group_bits"),
        (22, 33, "shard_bits"),
        (23, 33, "slot_bits"),
        (24, 5, "id_count"),
        (30, 1, "id_bytes"),
    ] {
        assert_eq!(field(header(at, byte)).0, what, "byte {at}");
    }
}

#[test]
fn golden_directories_are_read_and_give_the_same_places() {
    let folder = golden::folder(&format!("directory-v{FORMAT_VERSION}"));
    let mut ids: Vec<String> = (0..5000).map(|number| format!("item-{number}")).collect();
    ids.extend(COLLIDING.map(str::to_owned));
    ids.extend(["", "東京"].map(str::to_owned));
    let files = write(&ids).unwrap();
    let mut buckets = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let bytes = golden::keep(&folder.join(format!("{number}-of-{}.nsdr", files.len())), || file.clone());
        assert_eq!(bytes, *file, "bucket {number} is no longer written as it was");
        buckets.push(DirectoryBucket::open(bytes).unwrap());
    }
    for (number, id) in (0..).zip(&ids) {
        assert_eq!(find(&buckets, id), Some(place(number)), "{id}");
    }
}
