//! Query towers as other frameworks export them.

use std::path::{Path, PathBuf};

use nearshelf::towers::{Program, lower};

use crate::onnx::check_against_tract;

/// Written by `foreign.py` beside this file.
const TOWERS: [&str; 5] = ["pytorch-attention", "keras-dense", "pytorch-gru", "keras-gru", "pytorch-lstm"];
/// The input that is not negative.
const WEIGHTS: usize = 1;
const INPUTS: usize = 200;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx").join(name).with_extension("onnx")
}

#[test]
fn attention_norms_and_recurrent_layers_compute_what_tract_computes() {
    for name in TOWERS {
        let program = lower::compile(&path(name)).unwrap();
        println!("{name}: {} operations, {} bytes", program.operations().len(), program.encode().len());
        check_against_tract(&path(name), &[], WEIGHTS, INPUTS);
    }
}

#[test]
fn programs_come_back_from_bytes_and_damaged_ones_are_refused_or_checked() {
    for name in TOWERS {
        let program = lower::compile(&path(name)).unwrap();
        let bytes = program.encode();
        assert_eq!(Program::decode(&bytes).unwrap(), program, "{name}");
        for len in 0..bytes.len() {
            assert!(Program::decode(&bytes[..len]).is_err(), "{name} cut at {len}");
        }
        for at in 0..bytes.len() {
            for bit in [0, 3, 7] {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                // Weights may be others, but what is read is whole.
                if let Ok(read) = Program::decode(&damaged) {
                    assert_eq!(read.output_len() > 0, !read.operations().is_empty(), "{name}, bit {bit} of byte {at}");
                }
            }
        }
    }
}
