//! The passes of a softmax over a row of scores, for training. Loops that compilers turn into SIMD, compiled for the baseline and on
//! x86-64 for AVX2 and AVX-512 too; no fused multiply-add, so that all give the same bits.
#![allow(unsafe_code)] // Calls of what is compiled for more than the baseline, behind a look at the processor.
#![allow(clippy::inline_always)] // What is not inlined into it is compiled for the baseline.

/// Lanes of a sum or a maximum.
const LANES: usize = 16;

/// Defines the run-time choice between a function compiled for what the processor has and the same compiled for the baseline.
macro_rules! passes {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)? $body:block)*) => {
        mod plain {
            #[allow(clippy::wildcard_imports, reason = "the same functions, once for each target")]
            use super::*;

            $(#[inline(always)]
            pub(super) fn $name($($arg: $type),*) $(-> $out)? $body)*
        }

        #[cfg(target_arch = "x86_64")]
        mod avx2 {
            use super::plain;

            $(#[target_feature(enable = "avx2")]
            pub(super) fn $name($($arg: $type),*) $(-> $out)? { plain::$name($($arg),*) })*
        }

        #[cfg(target_arch = "x86_64")]
        mod avx512 {
            use super::plain;

            $(#[target_feature(enable = "avx512f")]
            pub(super) fn $name($($arg: $type),*) $(-> $out)? { plain::$name($($arg),*) })*
        }

        $($(#[$doc])*
        pub(crate) fn $name($($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx512f") {
                // SAFETY: the function's one requirement is AVX-512F, which has just been detected.
                return unsafe { avx512::$name($($arg),*) };
            }
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                // SAFETY: the function's one requirement is AVX2, which has just been detected.
                return unsafe { avx2::$name($($arg),*) };
            }
            plain::$name($($arg),*)
        })*
    };
}

passes! {
    /// Subtracts `shift` from the scores; the largest of them.
    subtract_and_find_largest(scores: &mut [f32], shift: &[f32]) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for (scores, shift) in scores.chunks_mut(LANES).zip(shift.chunks(LANES)) {
            for ((lane, score), shift) in lanes.iter_mut().zip(scores).zip(shift) {
                *score -= shift;
                *lane = if *score > *lane { *score } else { *lane };
            }
        }
        lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    /// Replaces each score by `exp(score - largest)`; their sum.
    exp_and_sum(scores: &mut [f32], largest: f32) -> f32 {
        let mut lanes = [0.0_f32; LANES];
        for scores in scores.chunks_mut(LANES) {
            for (lane, score) in lanes.iter_mut().zip(scores) {
                *score = exp(*score - largest);
                *lane += *score;
            }
        }
        lanes.iter().sum()
    }

    /// Replaces each number by `number * factor - shift`.
    scale_and_subtract(numbers: &mut [f32], factor: f32, shift: f32) {
        for number in numbers {
            *number = *number * factor - shift;
        }
    }
}

/// Added to a small number it leaves the nearest integer in the low bits: `floor` is a call without SSE 4.1, and ends the SIMD.
const ROUND: f32 = 12_582_912.0;

/// `exp(x)` for `x <= 0` within 3e-7 relative, 0 below -87: a polynomial that compilers turn into SIMD, unlike the
/// library's call (Cephes `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let clamped = if x > -87.0 { x } else { -87.0 };
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let fraction = p * r * r + r + 1.0;
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { fraction * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomial_exponential_is_close_to_the_library() {
        for step in 0..=8_600 {
            let x = -0.01 * step as f32;
            let (found, expected) = (exp(x), x.exp());
            assert!((found - expected).abs() <= 3e-7 * expected, "{x} {found} {expected}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
    }

    #[test]
    fn what_the_processor_has_changes_no_bit() {
        let shift: Vec<f32> = (0..77).map(|at| (at as f32 * 0.7).sin()).collect();
        let scores: Vec<f32> = (0..77).map(|at| 9.0 * (at as f32 * 1.3).cos()).collect();
        macro_rules! results {
            ($($call:tt)*) => {{
                let mut scores = scores.clone();
                let largest = $($call)* subtract_and_find_largest(&mut scores, &shift);
                let sum = $($call)* exp_and_sum(&mut scores, largest);
                $($call)* scale_and_subtract(&mut scores, 0.3, 0.01);
                (largest, sum, scores)
            }};
        }
        let plain = results!(plain::);
        let differences = scores.iter().zip(&shift).map(|(score, shift)| score - shift);
        assert_eq!(plain.0, differences.fold(f32::NEG_INFINITY, f32::max));
        assert_eq!(results!(super::), plain);
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: AVX2 has just been detected.
            assert_eq!(unsafe { results!(avx2::) }, plain);
        }
    }
}
