//! Seeds that nothing else in the repository has: programs with every operation. Each is made unless there is one.

use std::path::Path;

use nearshelf::Digest;
use nearshelf::features::ranking::FEATURES;
use nearshelf::features::{Ages, Categorical, FeatureSchema, HistorySchema, Repeats, UserVector};
use nearshelf::towers::ranker::MAGIC;
use nearshelf::towers::{Binary, FORMAT_VERSION, InputKind, Op, Program, QueryTower, Reducer, Unary};

const DIM: usize = 8;

fn keep(name: &str, bytes: impl FnOnce() -> Vec<u8>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    if !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes()).unwrap();
    }
}

/// Numbers that half precision has.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 7 % 31) as f32 - 15.0) / 16.0).collect()
}

fn binary(function: Binary, a: u32, b: u32, [length, of_a, of_b]: [u32; 3]) -> Op {
    Op::Binary { function, a, b, axes: vec![[length, of_a, of_b]] }
}

pub(crate) fn keep_programs() {
    let towers = Digest::of(b"towers");
    keep("program/negation.nsqt", || {
        let schema = FeatureSchema {
            dim: DIM,
            history: HistorySchema::of_items(1, 1.0, 0.0),
            categories: Vec::new(),
            user: None,
        };
        let inputs = vec![(InputKind::Float, DIM), (InputKind::Float, 1)];
        let program = Program::new(inputs, Vec::new(), vec![Op::Unary { function: Unary::Neg, a: 0 }]).unwrap();
        QueryTower::new(schema, program, towers).unwrap().write()
    });
    keep("program/every-operation.nsqt", || QueryTower::new(schema(), program(), towers).unwrap().write());
}

/// Everything that a query tower may read.
fn schema() -> FeatureSchema {
    let history = HistorySchema {
        types: vec!["cart".to_owned(), "view".to_owned()],
        ages: Some(Ages::Now),
        repeats: Some(Repeats { numbers: vec![0.25; 24] }),
        ..HistorySchema::of_items(3, 0.5, 0.5)
    };
    let ages = Categorical::Attribute { name: "age".to_owned(), values: vec!["19-24".to_owned(), "65+".to_owned()] };
    let categories =
        vec![Categorical::Hour, Categorical::Location { buckets: 3, level: 1 }, Categorical::Weekday, ages];
    FeatureSchema { dim: DIM, history, categories, user: Some(UserVector { default: vec![0.5, -0.25] }) }
}

/// Every operation, over the inputs of that schema: history 0, weights 1, marks 2, categories 3, user 4; constants are 5 to 8.
fn program() -> Program {
    let schema = schema();
    let inputs = vec![
        (InputKind::Float, 3 * DIM),
        (InputKind::Float, 3),
        (InputKind::Index, 6),
        (InputKind::Index, 4),
        (InputKind::Float, 2),
    ];
    let rows = [schema.history.mark_rows(), schema.category_rows()];
    let constants =
        vec![numbers(rows[0] as usize * DIM), numbers(rows[1] as usize * DIM), numbers(2 * DIM), numbers(DIM)];
    let ops = vec![
        Op::Permute { a: 0, axes: vec![[8, 1], [3, 8]] },
        Op::MatMul { a: 1, b: 9, batch: 1, m: 1, n: 8, k: 3 },
        Op::Gather { table: 5, indices: 2, width: 8 },
        Op::Reduce { function: Reducer::Sum, a: 11, outer: 1, n: 6, inner: 8 },
        Op::Gather { table: 6, indices: 3, width: 8 },
        Op::Reduce { function: Reducer::Max, a: 13, outer: 1, n: 4, inner: 8 },
        Op::MatMul { a: 4, b: 7, batch: 1, m: 1, n: 8, k: 2 },
        Op::Concat { outer: 1, parts: vec![[10, 8], [12, 8], [14, 8], [15, 8]] },
        Op::Reduce { function: Reducer::Sum, a: 16, outer: 1, n: 4, inner: 8 },
        binary(Binary::Add, 17, 8, [8, 1, 1]),
        Op::Unary { function: Unary::Tanh, a: 18 },
        Op::Slice { a: 19, outer: 1, n: 8, inner: 1, start: 7, count: 8, step: -1 },
        binary(Binary::Greater, 20, 19, [8, 1, 1]),
        Op::Select { condition: 21, a: 20, b: 19, axes: vec![[8, 1, 1, 1]] },
        Op::Unary { function: Unary::Square, a: 22 },
        Op::Reduce { function: Reducer::Sum, a: 23, outer: 1, n: 8, inner: 1 },
        Op::Unary { function: Unary::Rsqrt, a: 24 },
        binary(Binary::Mul, 22, 25, [8, 1, 0]),
    ];
    Program::new(inputs, constants, ops).unwrap()
}

pub(crate) fn keep_rankers() {
    keep("ranker/numbers.nsrk", || {
        let inputs = vec![(InputKind::Float, FEATURES.len()), (InputKind::Index, 1)];
        let ops = vec![
            Op::MatMul { a: 0, b: 2, batch: 1, m: 1, n: 2, k: FEATURES.len() as u32 },
            Op::Unary { function: Unary::Sigmoid, a: 3 },
        ];
        ranker(0, false, &Program::new(inputs, vec![numbers(2 * FEATURES.len())], ops).unwrap())
    });
    keep("ranker/embeddings.nsrk", || {
        let floats = [FEATURES.len(), DIM, DIM].map(|length| (InputKind::Float, length));
        let inputs = floats.into_iter().chain([(InputKind::Index, 1); 3]).collect();
        // Shelves, brands and slots are 6 to 8, the network is 9 and 10.
        let width = FEATURES.len() as u32 + 1 + 6;
        let constants = vec![numbers(10), numbers(6), numbers(4), numbers(4 * width as usize), numbers(8)];
        let gather = |table, indices| Op::Gather { table, indices, width: 2 };
        let ops = vec![
            Op::MatMul { a: 1, b: 2, batch: 1, m: 1, n: 1, k: 8 },
            gather(6, 3),
            gather(7, 4),
            gather(8, 5),
            Op::Concat { outer: 1, parts: vec![[0, FEATURES.len() as u32], [11, 1], [12, 2], [13, 2], [14, 2]] },
            Op::MatMul { a: 15, b: 9, batch: 1, m: 1, n: 4, k: width },
            Op::Unary { function: Unary::Tanh, a: 16 },
            Op::MatMul { a: 17, b: 10, batch: 1, m: 1, n: 2, k: 4 },
            Op::Unary { function: Unary::Sigmoid, a: 18 },
        ];
        ranker(DIM, true, &Program::new(inputs, constants, ops).unwrap())
    });
}

/// The file of a ranker of two tasks: only the origin writes one.
fn ranker(dim: usize, vectors: bool, program: &Program) -> Vec<u8> {
    let schema = serde_json::json!({
        "features": FEATURES, "dim": dim, "vectors": u8::from(vectors), "tasks": ["click", "purchase"], "history": 5, "own": 3,
        "objective": ["click", 0.5, "*", ".price", "log1p", "+", "purchase", ".price", 2, "*", "*", "+"],
        "shelves": [500_000, 250_000], "brands": [1000, 0, 999_000],
    });
    let (schema, program) = (schema.to_string(), program.encode());
    let mut bytes = [&MAGIC[..], &FORMAT_VERSION.to_le_bytes(), &[0; 2], Digest::of(b"towers").as_bytes()].concat();
    bytes.extend((schema.len() as u32).to_le_bytes());
    bytes.extend((program.len() as u32).to_le_bytes());
    bytes.extend(schema.bytes().chain(program));
    bytes.extend(*Digest::of(&bytes).as_bytes());
    bytes
}
