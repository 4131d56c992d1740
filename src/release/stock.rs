//! From ids to rows: the overlay that says of a release what a shop's systems say of its items.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};

use super::overlay::{Overlay, OverlayContent, PRICE, ShardStock};
use crate::Digest;
use crate::index::NodeId;
use crate::shard::delta::Chain;
use crate::shard::directory::{DirectoryBucket, Place, bucket_of};

/// What a shop's systems say right now, by the id of the item. Of what is not named, nothing is known: it counts as in stock at the
/// catalogue's price.
pub type Stock = BTreeMap<String, ItemStock>;

/// What is known of an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ItemStock {
    /// Whether it is in stock, where that is known.
    pub in_stock: Option<bool>,
    /// Its price in cents, where that is known.
    pub cents: Option<u64>,
}

/// The rows of a release by id.
#[derive(Debug)]
pub(super) struct RowsById<'a, C> {
    chains: &'a [C],
    rows: HashMap<String, (usize, NodeId)>,
    exact: Vec<bool>,
}

/// What became of a [`Stock`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    /// Items out of stock.
    pub out: usize,
    /// Items with another price than the catalogue's.
    pub priced: usize,
    /// Items that the release does not have.
    pub unknown: usize,
    /// The first of them.
    pub unknown_examples: Vec<String>,
}

/// How many unknown items are named.
const EXAMPLES: usize = 3;

impl<'a, C: Borrow<Chain>> RowsById<'a, C> {
    /// The rows of these shards, and whether the directory names them all, where there is one.
    pub(super) fn of(chains: &'a [C], directory: &[DirectoryBucket], recent: &[DirectoryBucket]) -> Self {
        let place_in = |buckets: &[DirectoryBucket], id: &str| {
            buckets.get(bucket_of(id, buckets.len() as u32) as usize).and_then(|bucket| bucket.find(id))
        };
        let (mut rows, mut exact) = (HashMap::new(), vec![!directory.is_empty(); chains.len()]);
        for (shard, chain) in chains.iter().map(Borrow::borrow).enumerate() {
            for node in chain.nodes() {
                let id = chain.id(node);
                let place = place_in(recent, &id).or_else(|| place_in(directory, &id));
                exact[shard] &= place == Some(Place { shard: shard as u32, slot: node.0 });
                rows.insert(id, (shard, node));
            }
        }
        Self { chains, rows, exact }
    }

    /// The overlay of this stock.
    pub(super) fn overlay(&self, manifest: Digest, made_ms: u64, stock: &Stock) -> (OverlayContent, Matched) {
        let mut matched = Matched::default();
        let entry = |(chain, exact): (&C, &bool)| ShardStock {
            rows: chain.borrow().rows() as u32,
            has_exact_slots: *exact,
            ..ShardStock::default()
        };
        let mut shards: Vec<ShardStock> = self.chains.iter().zip(&self.exact).map(entry).collect();
        for (id, item) in stock {
            let Some(&(shard, node)) = self.rows.get(id) else {
                matched.unknown += 1;
                if matched.unknown_examples.len() < EXAMPLES {
                    matched.unknown_examples.push(id.clone());
                }
                continue;
            };
            if item.in_stock == Some(false) {
                matched.out += 1;
                shards[shard].out.push(node.0);
            }
            if let Some(cents) = item.cents.filter(|cents| Some(*cents) != price(self.chains[shard].borrow(), node)) {
                matched.priced += 1;
                shards[shard].prices.push((node.0, cents));
            }
        }
        for shard in &mut shards {
            shard.out.sort_unstable();
            shard.prices.sort_unstable();
        }
        (OverlayContent { made_ms, manifest, shards }, matched)
    }
}

/// The catalogue's price of a row in cents.
fn price(chain: &Chain, node: NodeId) -> Option<u64> {
    let (shard, inner) = chain.of(node);
    let columns = shard.columns()?;
    let column = columns.column(PRICE)?;
    column.u64_at(inner).or_else(|| column.f32_at(inner).map(|cents| cents as u64))
}

/// What an overlay says of the items of its release. Rows of items that are gone say nothing.
pub(super) fn stock_of<C: Borrow<Chain>>(chains: &[C], overlay: &Overlay) -> Stock {
    let mut stock = Stock::new();
    for (shard, chain) in chains.iter().map(Borrow::borrow).enumerate() {
        for node in overlay.out_rows(shard).filter(|&node| chain.is_live(node)) {
            stock.entry(chain.id(node)).or_default().in_stock = Some(false);
        }
        for &(node, cents) in overlay.prices(shard).iter().filter(|(node, _)| chain.is_live(*node)) {
            stock.entry(chain.id(node)).or_default().cents = Some(cents);
        }
    }
    stock
}
