//! A small shop: a client that serves a release of one shard, to be given a part that a target made.

use std::sync::OnceLock;

use nearshelf::Digest;
use nearshelf::features::{Context, FeatureSchema, HistorySchema};
use nearshelf::recommend::{HistoryEvent, Recommender, Request};
use nearshelf::release::ObjectRef;
use nearshelf::shard::Shard;
use nearshelf::shard::columns::ColumnsView;
use nearshelf::sync::Assembly;
use nearshelf::towers::{InputKind, Op, Program, QueryTower, Unary};

/// Forty items with columns, which a test of the crate made.
const SHARD: &[u8] = include_bytes!("../fixtures/shop.nssh");
/// Dimensions of its embeddings.
pub const DIM: usize = 8;
const ITEMS: u32 = 40;

/// The digest of the towers that its shard is of.
pub fn towers() -> Digest {
    Digest::of(b"towers")
}

/// The bytes of a head.
pub fn head(version: u64, manifest: ObjectRef) -> String {
    format!(r#"{{"signed":{{"format":1,"version":{version},"manifest":{}}},"signatures":[]}}"#, object(manifest))
}

fn object(ObjectRef { digest, size }: ObjectRef) -> String {
    format!(r#"{{"digest":"{digest}","size":{size}}}"#)
}

/// A tower that negates the newest item of a history.
fn tower() -> &'static [u8] {
    static TOWER: OnceLock<Vec<u8>> = OnceLock::new();
    TOWER.get_or_init(|| {
        let history = HistorySchema::of_items(1, 1.0, 0.0);
        let schema = FeatureSchema { dim: DIM, history, categories: Vec::new(), user: None };
        let inputs = vec![(InputKind::Float, DIM), (InputKind::Float, 1)];
        let program = Program::new(inputs, Vec::new(), vec![Op::Unary { function: Unary::Neg, a: 0 }]);
        QueryTower::new(schema, program.expect("it is a program"), towers()).expect("they fit").write()
    })
}

fn manifest(tower: &[u8], more: &str) -> String {
    static COLUMNS: OnceLock<String> = OnceLock::new();
    let columns = COLUMNS.get_or_init(|| {
        let shard = Shard::open(SHARD.to_vec()).and_then(Shard::verify).expect("a test of the crate opens it, too");
        let columns = shard.columns();
        let columns = columns.iter().flat_map(ColumnsView::iter);
        columns.map(|column| format!(r#""{}: {}""#, column.name(), column.kind().name())).collect::<Vec<_>>().join(",")
    });
    format!(
        r#"{{"format":1,"name":"shop","towers":"{}","dim":{DIM},"engine":"program","layout":"single","query_tower":{},"shards":[{{"object":{},"count":{ITEMS}}}],"items":{ITEMS},"columns":[{columns}]{more}}}"#,
        towers(),
        object(ObjectRef::of(tower)),
        object(ObjectRef::of(SHARD)),
    )
}

/// A client that serves the release as it is.
fn client() -> Assembly {
    static CLIENT: OnceLock<Assembly> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        let manifest = manifest(tower(), "");
        let mut assembly = Assembly::default();
        let named = ObjectRef::of(manifest.as_bytes());
        assembly.set_head(head(1, named).as_bytes()).expect("the first head");
        for bytes in [manifest.as_bytes(), tower(), SHARD] {
            assembly.accept(Digest::of(bytes), bytes.to_vec()).expect("the shop's own objects are good");
        }
        assembly
    });
    client.clone()
}

/// The shop with `bytes` as the `part` of this name in its manifest: `rules`, `ranker` or `query_tower`. Nothing where the client refuses
/// them, and then goes on with what it had.
pub fn with(part: &str, bytes: &[u8]) -> Option<Recommender> {
    let manifest = match part {
        "query_tower" => manifest(bytes, ""),
        part => manifest(tower(), &format!(r#","{part}":{},"requires":["{part}"]"#, object(ObjectRef::of(bytes)))),
    };
    let mut client = client();
    client.set_head(head(2, ObjectRef::of(manifest.as_bytes())).as_bytes()).expect("the next head");
    client.accept(Digest::of(manifest.as_bytes()), manifest.into_bytes()).expect("the manifest is good");
    let taken = client.accept(Digest::of(bytes), bytes.to_vec()).is_ok();
    let release = client.ready().expect("what was served before");
    assert_eq!(release.version(), if taken { 2 } else { 1 }, "a good release is served, and none is lost to a bad one");
    taken.then(|| Recommender::of(release))
}

/// Asks for a row, for a shopper with a history.
pub fn ask(recommender: &mut Recommender, scenario: Option<&str>) {
    let event = |item: u32, event_type: &str| HistoryEvent {
        id: format!("1-item-{item}"),
        event_type: event_type.to_owned(),
        at_ms: Some(1_795_494_120_000 - i64::from(item) * 86_400_000),
    };
    let request = Request {
        limit: 9,
        history: vec![event(1, "purchase"), event(5, ""), event(70, "view"), event(2, "cart"), event(1, "purchase")],
        scenario: scenario.map(str::to_owned),
        shown: vec![("1-item-3".to_owned(), 5), ("1-item-4".to_owned(), 1000)],
        seed: 7,
        context: Context { now_ms: Some(1_795_494_120_000), ..Context::default() },
        ..Request::default()
    };
    let row = recommender.recommend(&request).expect("what a client took answers");
    assert!(row.len() <= request.limit, "a row is no longer than it was asked for");
    for (place, candidate) in row.iter().enumerate() {
        assert!(row[..place].iter().all(|other| other.id != candidate.id), "each item once");
    }
}
