//! Reads random files of rules: whether one ends in a panic, or in an error whose place is not in the file.
//!
//! ```sh
//! cargo run --release --example bench-rules -- INPUTS SEED
//! ```
//! Prints a line of JSON. The first input of each kind that fails is printed to stderr, with its seed and number.

mod inputs;

use std::panic;
use std::time::Instant;

use nearshelf::rules::compile;
use serde_json::json;

/// Inputs that fail in one way.
#[derive(Default)]
struct Failures(u64);

impl Failures {
    fn add(&mut self, what: &str, (seed, number): (u64, u64), text: &str) {
        self.0 += 1;
        if self.0 == 1 {
            eprintln!("seed {seed}, input {number}: {what}\n{text}");
        }
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).map_while(|number| number.parse().ok());
    let (inputs, seed) = (numbers.next().unwrap_or(100_000_u64), numbers.next().unwrap_or(1));
    // Every panic is caught and counted.
    panic::set_hook(Box::new(|_| {}));
    let (mut right, mut panics, mut astray) = (0_u64, Failures::default(), Failures::default());
    let (columns, start) = (inputs::COLUMNS.map(str::to_owned), Instant::now());
    for number in 0..inputs {
        let text = inputs::input(seed, number);
        match panic::catch_unwind(|| compile(&text, &columns)) {
            Ok(Ok(_)) => right += 1,
            Ok(Err(error)) if inputs::has_place(&text, error.place.line, error.place.column) => {}
            Ok(Err(error)) => astray.add(&error.to_string(), (seed, number), &text),
            Err(_) => panics.add("a panic", (seed, number), &text),
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({ "inputs": inputs, "seed": seed, "right": right, "panics": panics.0, "astray": astray.0, "seconds": seconds })
    );
}
