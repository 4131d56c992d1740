//! The bars, from what was measured.
//!
//! Rows for recall .95 are of one shard, with codes of 6 bits: it has to be small and fast at once. Those for .99, and of
//! building, are of 8 bits, which is what is built by default.

use super::super::row::{Bar, Row};
use super::measured::Measured;
use super::plan::{CHROMIUM, EIGHT_BITS, HNSWLIB, HUNDRED_THOUSAND, MILLION, NATIVE, NODE, SIX_BITS, THREADS, USEARCH};
use super::plan::{Changes, Cut};
use super::sides::{Changed, FirstQuery};

const RECALL: f64 = 0.95;
const HIGH_RECALL: f64 = 0.99;

/// All rows. One that lacks a measurement is there without a value, and why is printed.
pub(super) fn rows(all: &[Measured]) -> Vec<Row> {
    let bars = Bars { all };
    let mut rows = Vec::new();
    for (runtime, label, peer, times) in [
        (NODE, "WASM in Node", HNSWLIB, 3.0),
        (CHROMIUM, "WASM in Chromium", HNSWLIB, 3.0),
        (NATIVE, "native", USEARCH, 1.5),
    ] {
        // A quick run opens no browser.
        if runtime != CHROMIUM || all.iter().any(|measured| measured.runtime == CHROMIUM) {
            rows.extend([10, 100].map(|k| bars.time(label, (SIX_BITS, runtime), (peer, runtime), k, times)));
        }
    }
    rows.extend([
        bars.bytes("6-bit shard", SIX_BITS, RECALL, 48.0),
        bars.bytes("8-bit shard", EIGHT_BITS, HIGH_RECALL, 90.0),
        bars.load(),
        bars.build(),
    ]);
    rows.extend(bars.filter());
    rows.push(bars.memory());
    for row in rows.iter().filter(|row| row.holds().is_none()) {
        println!("{}: not measured; its own side or {} is absent or did not reach the recall", row.name, peer_of(row));
    }
    rows
}

/// The bars of a catalogue in clusters.
pub(super) fn first_query(cut: &Cut, found: &FirstQuery) -> [Row; 5] {
    let Cut { rows, k, recall_percent, bar_kb, .. } = *cut;
    let name = |what: &str| format!("{rows} in clusters, {what}");
    [
        Row::new(&name("bytes until the first result"), Some(found.bytes / 1000.0), "KB", Bar::AtMost(bar_kb)),
        Row::new(
            &name("the same after an update of all clusters"),
            Some(found.updated_bytes / 1000.0),
            "KB",
            Bar::AtMost(bar_kb),
        ),
        Row::new(
            &name(&format!("k={k}, of those")),
            Some(found.recall),
            &format!("recall@{k}"),
            Bar::AtLeast(recall_percent as f64 / 100.0),
        ),
        Row::new(&name("largest cluster over the mean"), Some(found.largest), "ratio", Bar::AtMost(2.0)),
        Row::new(&name("smallest cluster over the mean"), Some(found.smallest), "ratio", Bar::AtLeast(0.1)),
    ]
}

/// The bars of a catalogue that changes. A release that was built anew is what it is compared with, and may not find
/// notably more.
pub(super) fn changes(plan: &Changes, found: &[Changed]) -> Vec<Row> {
    let Changes { rows, permille, bar, .. } = *plan;
    let of = |found: &Changed| {
        let name = |what: &str| format!("{rows} in {}, {} % changed, {what}", found.layout, permille as f64 / 10.0);
        let share = Row::new(&name("bytes to be current"), Some(found.share), "of the index", Bar::AtMost(bar));
        let kept = found.recall / found.recall_anew;
        let recall = Row::new(&name("recall@100 over that of a build anew"), Some(kept), "ratio", Bar::AtLeast(0.995));
        [share.with_peer(ANEW, Some(found.share_anew)), recall]
    };
    found.iter().flat_map(of).collect()
}

/// What an update is compared with.
const ANEW: &str = "built anew";

fn peer_of(row: &Row) -> &str {
    row.peer.as_deref().unwrap_or("nobody else's")
}

struct Bars<'m> {
    all: &'m [Measured],
}

impl Bars<'_> {
    fn on(&self, set: &str, library: &str, runtime: &str) -> Option<&Measured> {
        self.all.iter().find(|measured| measured.set == set && measured.is(library, runtime))
    }

    fn time(&self, label: &str, own: (&str, &str), peer: (&str, &str), k: u64, times: f64) -> Row {
        let us =
            |(library, runtime)| Some(self.on(HUNDRED_THOUSAND, library, runtime)?.at(k, RECALL)?.typical_us(runtime));
        let name = format!("{label}, 100k, k={k} at recall@{k} >= {RECALL}");
        Row::new(&name, us(own), "us", Bar::PeerOver(times)).with_peer(peer.0, us(peer))
    }

    /// The whole file as it is sent, if a search in it finds enough.
    fn bytes(&self, label: &str, library: &str, recall: f64, bar: f64) -> Row {
        let bytes = |library| {
            let measured = self.on(HUNDRED_THOUSAND, library, NODE)?;
            measured.at(10, recall).and(measured.per_item("bytes_brotli"))
        };
        let name = format!("{label}, 100k, brotli, at recall@10 >= {recall}");
        Row::new(&name, bytes(library), "bytes per item", Bar::AtMost(bar)).with_peer(HNSWLIB, bytes(HNSWLIB))
    }

    fn load(&self) -> Row {
        let ms = |library| self.on(HUNDRED_THOUSAND, library, NODE)?.figure("load_ms");
        let row = Row::new(
            "WASM in Node, 100k, bytes in memory to the first result",
            ms(SIX_BITS),
            "ms",
            Bar::PeerOver(10.0),
        );
        row.with_peer(HNSWLIB, ms(HNSWLIB))
    }

    /// Of the largest set that was measured.
    fn build(&self) -> Row {
        let is_million = self.on(MILLION, EIGHT_BITS, NATIVE).is_some();
        let (set, label) = if is_million { (MILLION, "1M") } else { (HUNDRED_THOUSAND, "100k in place of 1M") };
        let seconds = |library| {
            let measured = self.on(set, library, NATIVE)?;
            measured.at(10, RECALL).and(measured.figure("build_s"))
        };
        let name = format!("build of {label}, {THREADS} threads, of which recall@10 >= {RECALL}");
        Row::new(&name, seconds(EIGHT_BITS), "s", Bar::PeerTimes(1.5)).with_peer(USEARCH, seconds(USEARCH))
    }

    fn filter(&self) -> [Row; 2] {
        let point = self.on(HUNDRED_THOUSAND, SIX_BITS, NODE).and_then(|measured| measured.filtered(RECALL));
        let (recall, ms) = (point.map(|point| point.recall), point.map(|point| point.p50_us / 1e3));
        let name = |what| format!("WASM in Node, 100k, filter that keeps 1 %, {what}");
        [
            Row::new(&name("k=10"), recall, "recall@10", Bar::AtLeast(RECALL)),
            Row::new(&name("time"), ms, "ms", Bar::AtMost(1.0)),
        ]
    }

    fn memory(&self) -> Row {
        let measured = self.on(HUNDRED_THOUSAND, SIX_BITS, NODE);
        let share = measured.and_then(|m| Some(m.figure("index_memory_bytes")? / m.figure("bytes_raw")?));
        Row::new("loaded 6-bit shard, 100k, memory over its raw bytes", share, "ratio", Bar::AtMost(1.3))
    }
}

#[cfg(test)]
mod tests {
    use super::super::measured::tests::measured;
    use super::*;

    fn quick() -> Vec<Measured> {
        let sides = [
            (SIX_BITS, NATIVE),
            (EIGHT_BITS, NATIVE),
            (USEARCH, NATIVE),
            (SIX_BITS, NODE),
            (EIGHT_BITS, NODE),
            (HNSWLIB, NODE),
        ];
        sides.map(|(library, runtime)| measured(library, runtime, HUNDRED_THOUSAND, 100_000)).into()
    }

    #[test]
    fn every_bar_has_a_row_and_what_was_not_measured_does_not_hold() {
        let rows = rows(&quick());
        assert_eq!(rows.len(), 11);
        let held = |name: &str| rows.iter().find(|row| row.name.starts_with(name)).unwrap().holds();
        // As fast as the others is not fast enough; building as fast as they do is.
        assert_eq!(held("WASM in Node, 100k, k=10"), Some(false));
        assert_eq!(held("native, 100k, k=100"), Some(false));
        assert_eq!(held("build of 100k in place of 1M"), Some(true));
        assert_eq!(held("6-bit shard"), Some(true));
        // Its recall stays below .99, it does not load, and it has no filter.
        for name in ["8-bit shard", "WASM in Node, 100k, bytes", "WASM in Node, 100k, filter", "loaded 6-bit shard"] {
            assert_eq!(held(name), None, "{name}");
        }
    }

    #[test]
    fn a_million_takes_the_place_of_its_stand_in() {
        let mut all = quick();
        all.push(measured(EIGHT_BITS, NATIVE, MILLION, 1_000_000));
        let rows = rows(&all);
        let row = rows.iter().find(|row| row.name.starts_with("build of 1M")).unwrap();
        assert_eq!((row.value, row.peer_value, row.holds()), (Some(2.0), None, None));
    }
}
