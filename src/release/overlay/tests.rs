//! Overlays that are written, read, cut and damaged.

use proptest::prelude::*;

use super::*;
use crate::release::ManifestDelta;
use crate::release::testing::{Files, shard};

/// A manifest whose shards have so many rows, every third of them in a delta.
fn manifest(rows: &[u32]) -> Manifest {
    let mut manifest = Files::new(1, &[shard(1, 4)], false).manifest;
    let named = manifest.shards[0].clone();
    manifest.shards = rows
        .iter()
        .map(|rows| (rows / 3, rows - rows / 3))
        .map(|(added, count)| {
            let delta = ManifestDelta { object: named.object, added, removed: 0 };
            crate::release::ManifestShard { count, deltas: vec![delta], ..named.clone() }
        })
        .collect();
    manifest
}

fn of() -> Digest {
    Digest::of(b"a manifest")
}

fn open(bytes: &[u8], manifest: &Manifest) -> Result<Overlay, ReleaseError> {
    Overlay::open(ObjectRef::of(bytes), bytes.to_vec(), Digest::of(bytes), (manifest, of()))
}

/// Rows out of stock and prices of a shard of some rows.
fn stock() -> impl Strategy<Value = ShardStock> {
    (0_u32..3000, 0_u32..101, any::<u64>(), any::<bool>()).prop_map(|(rows, percent, seed, has_exact_slots)| {
        let mut random = crate::index::testing::Random::new(seed);
        let mut some =
            |percent: u32| (0..rows).filter(|_| random.next() % 100 < u64::from(percent)).collect::<Vec<_>>();
        let (out, priced) = (some(percent), some(100 - percent));
        let prices = priced.into_iter().map(|row| (row, (u64::from(row) * 7919) << (row % 40) & MAX_PRICE)).collect();
        ShardStock { rows, out, prices, has_exact_slots }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_is_read(shards in prop::collection::vec(stock(), 0..6), made_ms in 0..=MAX_MOMENT) {
        let manifest = manifest(&shards.iter().map(|shard| shard.rows).collect::<Vec<_>>());
        let content = OverlayContent { made_ms, manifest: of(), shards };
        let bytes = content.to_bytes().unwrap();
        let overlay = open(&bytes, &manifest).unwrap();
        prop_assert_eq!((overlay.made_ms(), overlay.manifest(), overlay.bytes()), (made_ms, of(), &bytes[..]));
        let sum = |count: fn(&ShardStock) -> usize| content.shards.iter().map(count).sum::<usize>();
        prop_assert_eq!((overlay.out() as usize, overlay.priced()), (sum(|shard| shard.out.len()), sum(|shard| shard.prices.len())));
        for (at, shard) in content.shards.iter().enumerate() {
            let out: Vec<u32> = overlay.out_rows(at).map(|node| node.0).collect();
            prop_assert_eq!(&out, &shard.out);
            prop_assert_eq!((overlay.out_of(at), overlay.has_exact_slots(at)), (out.len(), shard.has_exact_slots));
            let prices: Vec<(u32, u64)> = overlay.prices(at).iter().map(|(node, price)| (node.0, *price)).collect();
            prop_assert_eq!(&prices, &shard.prices);
            let mut rows = RowSet::full(shard.rows as usize);
            overlay.remove_out(at, &mut rows);
            prop_assert_eq!(rows, RowSet::of(shard.rows as usize, |node| shard.out.binary_search(&node.0).is_err()));
            for row in (0..shard.rows).step_by(97) {
                let price = shard.prices.iter().find(|(priced, _)| *priced == row).map(|(_, price)| *price);
                prop_assert_eq!(overlay.price(at, NodeId(row)), price);
                prop_assert_eq!(overlay.is_out(at, NodeId(row)), shard.out.contains(&row));
            }
        }
        let beyond = content.shards.len();
        prop_assert_eq!((overlay.out_of(beyond), overlay.prices(beyond).len()), (0, 0));
    }

    /// A damaged overlay is refused, or it says something else of rows that there are.
    #[test]
    fn what_is_damaged_is_refused_or_of_rows_that_there_are(shard in stock(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let manifest = manifest(&[shard.rows, 5]);
        let rows = shard.rows;
        let content = OverlayContent { made_ms: 7, manifest: of(), shards: vec![shard, ShardStock { rows: 5, ..ShardStock::default() }] };
        let mut bytes = content.to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        match open(&bytes, &manifest) {
            Err(ReleaseError::Overlay(error)) => prop_assert!(error.code().starts_with("overlay/"), "{}", error),
            Err(error) => prop_assert!(false, "{}", error),
            Ok(overlay) => {
                prop_assert!(overlay.out_rows(0).all(|node| node.0 < rows) && overlay.prices(0).iter().all(|(node, _)| node.0 < rows));
                prop_assert_eq!(overlay.out_rows(0).count(), overlay.out_of(0));
            }
        }
    }
}

fn small() -> (Vec<u8>, Manifest) {
    let shard = ShardStock { rows: 40, out: vec![0, 3, 39], prices: vec![(2, 199), (38, 0)], has_exact_slots: true };
    let content = OverlayContent { made_ms: 5, manifest: of(), shards: vec![shard.clone(), shard] };
    (content.to_bytes().unwrap(), manifest(&[40, 40]))
}

#[test]
fn a_header_is_as_the_table_says() {
    let (bytes, manifest) = small();
    let mut expected = b"NSOV\x01\0\0\0\x05\0\0\0\0\0\0\0".to_vec();
    expected.extend(of().as_bytes());
    expected.extend([2, 0, 0, 0, 7, 2, 6, 7, 2, 6]);
    // Gaps of 37 rows over 3 have 3 low bits, those of 38 over 2 have 4. From the lowest bit on: 1 000, 1 010, 00001 110; then 1 0100 with
    // the length 000100 and 11100011, 001 1100 with the length 000000.
    expected.extend([0b0101_0001, 0b0111_0000, 0b0000_0101, 0b0011_1001, 0b1110_0110, 0]);
    assert_eq!(bytes[..expected.len()], expected);
    assert_eq!(bytes.len(), expected.len() + 6);
    let header = Header::parse(&bytes).unwrap();
    assert_eq!((header.made_ms, header.manifest, header.shards), (5, of(), 2));
    assert_eq!(open(&bytes, &manifest).unwrap().out(), 6);
}

#[test]
fn an_overlay_that_is_cut_anywhere_is_refused_and_so_is_one_of_another_manifest() {
    let (bytes, whole) = small();
    for len in 0..bytes.len() {
        let error = open(&bytes[..len], &whole).unwrap_err();
        assert!(error.code().starts_with("overlay/"), "{len}: {error}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(open(&longer, &whole).unwrap_err().code(), "overlay/table");
    for rows in [&[40][..], &[40, 40, 40], &[40, 39], &[2, 40]] {
        assert!(open(&bytes, &manifest(rows)).unwrap_err().code().starts_with("overlay/"), "{rows:?}");
    }
    let object = ObjectRef::of(&bytes);
    let other = Overlay::open(object, bytes.clone(), object.digest, (&whole, Digest::of(b"another")));
    assert_eq!(other.unwrap_err().code(), "overlay/manifest");
    let other = Overlay::open(object, bytes.clone(), Digest::of(b"damaged"), (&whole, of()));
    assert_eq!(other.unwrap_err().code(), "release/digest");
    let mut newer = bytes;
    newer[4] = 2;
    let error = open(&newer, &whole).unwrap_err();
    assert!(error.code() == "overlay/version" && error.to_string().contains("update the package"), "{error}");
}

#[test]
fn rows_out_of_order_and_prices_beyond_their_limit_are_not_written() {
    let whole = ShardStock { rows: 9, ..ShardStock::default() };
    for shard in [
        ShardStock { out: vec![3, 3], ..whole.clone() },
        ShardStock { out: vec![9], ..whole.clone() },
        ShardStock { prices: vec![(4, 1), (2, 1)], ..whole.clone() },
        ShardStock { prices: vec![(4, MAX_PRICE + 1)], ..whole.clone() },
    ] {
        let content = OverlayContent { made_ms: 0, manifest: of(), shards: vec![shard] };
        assert_eq!(content.to_bytes().unwrap_err().code(), "overlay/field");
    }
}
