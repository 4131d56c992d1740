//! What a host of JavaScript has already, and so need not be downloaded.

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// The number of double precision that is nearest to a decimal number: what the standard library does, too, in 12 KB.
    #[wasm_bindgen(js_name = Number)]
    pub(crate) fn parse_float(decimal: &str) -> f64;
}
