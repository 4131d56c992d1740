//! tract is the oracle of the lowered programs; onnxruntime, where Python has it, the second one.

use std::path::Path;
use std::process::Command;

use nearshelf::towers::{Input, InputKind, Program, Scratch, lower};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::prelude::*;

use crate::{SEED, trained};

const INPUTS: usize = 1000;
const TOLERANCE: f32 = 1e-5;

/// Which input of either tower holds the weights of a mean.
const QUERY_WEIGHTS: usize = 1;
const TOKEN_WEIGHTS: usize = 2;

/// Values of one run of a tower: numbers or rows of a table, input by input.
enum Values {
    Float(Vec<f32>),
    Index(Vec<u32>),
}

/// Random inputs; `rows` bounds the indices of each index input, in order; input `weights` is not negative.
fn random_inputs(program: &Program, rows: &[u32], weights: usize, rng: &mut ChaCha8Rng) -> Vec<Values> {
    let mut rows = rows.iter();
    let draw = |(position, (kind, length)): (usize, &(InputKind, usize))| match kind {
        // Zeros are what padding looks like.
        InputKind::Float => {
            let least = if position == weights { 0.0 } else { -1.0 };
            let number = |_| if rng.random_bool(0.1) { 0.0 } else { rng.random_range(least..1.0_f32) };
            Values::Float((0..*length).map(number).collect())
        }
        InputKind::Index => {
            let below = *rows.next().unwrap();
            Values::Index((0..*length).map(|_| rng.random_range(0..below)).collect())
        }
    };
    program.inputs().iter().enumerate().map(draw).collect()
}

fn by_program(program: &Program, values: &[Values]) -> Vec<f32> {
    let inputs: Vec<Input<'_>> = values
        .iter()
        .map(|values| match values {
            Values::Float(values) => Input::Float(values),
            Values::Index(values) => Input::Index(values),
        })
        .collect();
    program.run(&inputs, &mut Scratch::default()).unwrap().to_vec()
}

fn by_tract(plan: &Arc<TypedRunnableModel>, values: &[Values]) -> Vec<f32> {
    let tensors = values.iter().enumerate().map(|(position, values)| {
        let shape = plan.model().input_fact(position).unwrap().shape.as_concrete().unwrap().to_vec();
        let tensor = match values {
            Values::Float(values) => Tensor::from_shape(&shape, values),
            Values::Index(values) => {
                Tensor::from_shape(&shape, &values.iter().map(|value| i64::from(*value)).collect::<Vec<_>>())
            }
        };
        tensor.unwrap().into_tvalue()
    });
    let outputs = plan.run(tensors.collect()).unwrap();
    outputs[0].to_plain_array_view::<f32>().unwrap().iter().copied().collect()
}

pub(crate) fn check_against_tract(file: &Path, rows: &[u32], weights: usize, count: usize) {
    let model = lower::read(file).unwrap();
    let program = lower::lower(file, &model).unwrap();
    let plan = model.into_runnable().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    for input in 0..count {
        let values = random_inputs(&program, rows, weights, &mut rng);
        let (ours, theirs) = (by_program(&program, &values), by_tract(&plan, &values));
        assert_eq!(ours.len(), theirs.len());
        let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= TOLERANCE, "seed {SEED}, input {input} of {}: off by {worst}", file.display());
    }
}

#[test]
fn the_query_tower_computes_what_tract_computes() {
    let trained = trained();
    let towers = nearshelf::towers::candidate::Towers::read(&crate::shop::config(), &trained.run()).unwrap();
    let schema = towers.query.schema();
    let rows = [schema.history.mark_rows(), schema.category_rows()];
    check_against_tract(&trained.run().join("query.onnx"), &rows, QUERY_WEIGHTS, INPUTS);
}

#[test]
fn the_candidate_tower_computes_what_tract_computes() {
    let items = trained().dataset.items.len() as u32 + 1;
    // Ids, words and labels: more rows than 16 have all tables but the one of labels.
    check_against_tract(&trained().run().join("candidate.onnx"), &[items, 4097, 12], TOKEN_WEIGHTS, 200);
}

/// Runs both towers with onnxruntime on inputs that this test wrote, and prints the largest difference.
const BY_ONNXRUNTIME: &str = r#"
import json, sys
import numpy
try:
    import onnxruntime
except ImportError:
    print("absent"); sys.exit(0)
worst = 0.0
for case in json.load(sys.stdin):
    session = onnxruntime.InferenceSession(case["file"], providers=["CPUExecutionProvider"])
    inputs = {}
    for info, values in zip(session.get_inputs(), case["inputs"]):
        shape = [-1 if isinstance(side, str) else side for side in info.shape]
        kind = numpy.int64 if "int64" in info.type else numpy.float32
        inputs[info.name] = numpy.array(values, dtype=kind).reshape(shape)
    output = session.run(None, inputs)[0]
    expected = numpy.array(case["output"], dtype=numpy.float32).reshape(output.shape)
    worst = max(worst, float(numpy.abs(output - expected).max()))
print(worst)
"#;

#[test]
fn onnxruntime_reads_the_towers_and_agrees() {
    let trained = trained();
    let towers = nearshelf::towers::candidate::Towers::read(&crate::shop::config(), &trained.run()).unwrap();
    let schema = towers.query.schema();
    let rows = vec![schema.history.mark_rows(), schema.category_rows()];
    let mut rng = ChaCha8Rng::seed_from_u64(SEED + 1);
    let items = trained.dataset.items.len() as u32 + 1;
    let mut cases = Vec::new();
    let towers = [("query.onnx", rows, QUERY_WEIGHTS), ("candidate.onnx", vec![items, 4097, 12], TOKEN_WEIGHTS)];
    for (name, rows, weights) in towers {
        let file = trained.run().join(name);
        let program = lower::compile(&file).unwrap();
        // Several rows at once: the batch is symbolic in the file.
        let batch: Vec<Vec<Values>> = (0..5).map(|_| random_inputs(&program, &rows, weights, &mut rng)).collect();
        let output: Vec<f32> = batch.iter().flat_map(|values| by_program(&program, values)).collect();
        let inputs: Vec<serde_json::Value> = (0..program.inputs().len())
            .map(|position| {
                let flat = batch.iter().map(|values| match &values[position] {
                    Values::Float(values) => serde_json::json!(values),
                    Values::Index(values) => serde_json::json!(values),
                });
                flat.flat_map(|list| list.as_array().unwrap().clone()).collect()
            })
            .collect();
        cases.push(serde_json::json!({ "file": file, "inputs": inputs, "output": output }));
    }
    let answer = python(BY_ONNXRUNTIME, &serde_json::to_string(&cases).unwrap());
    match answer.as_deref().map(str::trim) {
        None | Some("absent") => println!("skipped: Python has no onnxruntime and numpy (pip install onnxruntime)"),
        Some(worst) => {
            let worst: f32 = worst.parse().unwrap_or(f32::INFINITY);
            assert!(worst <= TOLERANCE, "seed {}: off by {worst}", SEED + 1);
        }
    }
}

/// What a script prints, given its standard input; `None` without Python or one of the script's modules.
fn python(script: &str, input: &str) -> Option<String> {
    use std::io::Write;
    use std::process::Stdio;
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // A script that ends early closes the pipe; its exit code tells why.
    let _ = child.stdin.take()?.write_all(input.as_bytes());
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.contains("ModuleNotFoundError") {
        return None;
    }
    assert!(output.status.success(), "{text}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
