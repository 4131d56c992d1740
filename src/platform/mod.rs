//! What differs between the places that the crate runs in.

#[cfg(feature = "origin")]
pub mod files;
#[cfg(all(feature = "wasm", target_arch = "wasm32"))]
mod javascript;
#[cfg(feature = "origin")]
pub mod shell;

#[cfg(all(feature = "wasm", target_arch = "wasm32"))]
pub(crate) use javascript::parse_float;

/// The number of double precision that is nearest to a decimal number as JSON has it.
#[cfg(not(all(feature = "wasm", target_arch = "wasm32")))]
pub(crate) fn parse_float(decimal: &str) -> f64 {
    decimal.parse().unwrap_or(f64::NAN)
}
