//! The functions that operations apply to numbers, and the ways through the shapes that they run along.

use std::f32::consts::LOG2_E;

use super::MAX_RANK;
use crate::kernels::four::{Four, map, zip};
use crate::towers::TowerError;
use crate::towers::program::program_error;

/// One closed set of functions with a code per member.
macro_rules! functions {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$member_doc])* $member),+ }

        impl $name {
            /// Every member; the position is its code.
            pub const ALL: &[Self] = &[$(Self::$member),+];

            /// The member with this code.
            pub(super) fn of(code: u32) -> Result<Self, TowerError> {
                Self::ALL.get(code as usize).copied().ok_or_else(|| {
                    program_error(stringify!($name), code.to_string(), format!("below {}", Self::ALL.len()))
                })
            }
        }
    };
}

functions! {
    /// A function of two numbers.
    Binary {
        /// `a + b`
        Add,
        /// `a - b`
        Sub,
        /// `a * b`
        Mul,
        /// `a / b`
        Div,
        /// The larger one.
        Max,
        /// The smaller one.
        Min,
        /// 1 if `a > b`, else 0.
        Greater,
        /// 1 if `a >= b`, else 0.
        AtLeast,
        /// 1 if `a == b`, else 0.
        Equal,
    }
}

functions! {
    /// A function of one number. Transcendental ones are made of sums, products and quotients: the same bits everywhere.
    Unary {
        /// Square root.
        Sqrt,
        /// `1 / sqrt(x)`
        Rsqrt,
        /// `1 / x`
        Recip,
        /// `-x`
        Neg,
        /// `x * x`
        Square,
        /// `exp(x)`
        Exp,
        /// Hyperbolic tangent.
        Tanh,
        /// `1 / (1 + exp(-x))`
        Sigmoid,
        /// The error function.
        Erf,
    }
}

functions! {
    /// Folds an axis.
    Reducer {
        /// Sum, first to last.
        Sum,
        /// Largest.
        Max,
    }
}

/// Visits every position of a shape in row-major order. An axis is its length and the strides of the operands along it; what is
/// visited is the position, and those of the operands from place 1 on.
#[cfg_attr(hot_is_fast, optimize(speed))]
fn walk<const N: usize>(axes: &[[u32; N]], mut visit: impl FnMut(usize, [usize; N])) {
    let total: usize = axes.iter().map(|axis| axis[0] as usize).product();
    let mut counters = [0_u32; MAX_RANK];
    let mut places = [0_usize; N];
    for at in 0..total {
        visit(at, places);
        for (counter, axis) in counters.iter_mut().zip(axes).rev() {
            *counter += 1;
            places.iter_mut().zip(axis).for_each(|(place, stride)| *place += *stride as usize);
            if *counter < axis[0] {
                break;
            }
            places.iter_mut().zip(axis).for_each(|(place, stride)| *place -= axis[0] as usize * *stride as usize);
            *counter = 0;
        }
    }
}

/// Visits the rows of a shape, i.e. its last axis at every position of the others: the part of `out`, the strides along it, and where
/// it begins in the operands.
#[cfg_attr(hot_is_fast, optimize(speed))]
pub(super) fn rows<const N: usize>(
    axes: &[[u32; N]],
    out: &mut [f32],
    mut visit: impl FnMut(&mut [f32], [usize; N], [usize; N]),
) {
    let (last, outer) = axes.split_last().map_or(([1; N], axes), |(last, outer)| (last.map(|at| at as usize), outer));
    let length = last[0];
    walk(outer, |at, places| visit(&mut out[at * length..][..length], last, places));
}

impl Binary {
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn run(self, a: &[f32], b: &[f32], axes: &[[u32; 3]], out: &mut [f32]) {
        rows(axes, out, |out, [_, of_a, of_b], [_, i, j]| {
            let (a, b) = (&a[i..], &b[j..]);
            // What towers spend their time on has loops of its own.
            match (self, of_a, of_b) {
                (Self::Add, 1, 1) => zip(a, b, out, |a, b| a + b),
                (Self::Sub, 1, 1) => zip(a, b, out, |a, b| a - b),
                (Self::Mul, 1, 1) => zip(a, b, out, |a, b| a * b),
                (Self::Add, 1, 0) => map(a, out, |a| a + Four::splat(b[0])),
                (Self::Sub, 1, 0) => map(a, out, |a| a - Four::splat(b[0])),
                (Self::Mul, 1, 0) => map(a, out, |a| a * Four::splat(b[0])),
                (Self::Div, 1, 0) => map(a, out, |a| a / Four::splat(b[0])),
                _ => {
                    let f = self.function();
                    out.iter_mut().enumerate().for_each(|(at, out)| *out = f(a[at * of_a], b[at * of_b]));
                }
            }
        });
    }

    #[cfg_attr(hot_is_fast, optimize(speed))]
    fn function(self) -> fn(f32, f32) -> f32 {
        match self {
            Self::Add => |a, b| a + b,
            Self::Sub => |a, b| a - b,
            Self::Mul => |a, b| a * b,
            Self::Div => |a, b| a / b,
            Self::Max => larger,
            Self::Min => |a, b| if b < a { b } else { a },
            Self::Greater => |a, b| truth(a > b),
            Self::AtLeast => |a, b| truth(a >= b),
            Self::Equal => |a, b| truth(a == b),
        }
    }
}

#[cfg_attr(hot_is_fast, optimize(speed))]
fn truth(truth: bool) -> f32 {
    f32::from(u8::from(truth))
}

/// Written out because `f32::max` may return either zero of `max(0.0, -0.0)`.
#[cfg_attr(hot_is_fast, optimize(speed))]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

impl Unary {
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn run(self, a: &[f32], out: &mut [f32]) {
        let one = Four::splat(1.0);
        let each = |out: &mut [f32], f: fn(f32) -> f32| out.iter_mut().zip(a).for_each(|(out, x)| *out = f(*x));
        match self {
            Self::Sqrt => each(out, f32::sqrt),
            Self::Rsqrt => each(out, |x| 1.0 / x.sqrt()),
            Self::Recip => map(a, out, |x| one / x),
            Self::Neg => each(out, |x| -x),
            Self::Square => map(a, out, |x| x * x),
            Self::Exp => map(a, out, exp),
            Self::Tanh => map(a, out, tanh),
            Self::Sigmoid => map(a, out, |x| one / (one + exp(Four::splat(0.0) - x))),
            Self::Erf => map(a, out, erf),
        }
    }
}

/// The powers of `x` times their coefficients, the highest first. A macro, because a build for size leaves loops as they are.
macro_rules! polynomial {
    ($x:ident: $sum:expr) => { $sum };
    ($x:ident: $sum:expr, $next:literal $(, $rest:literal)*) => {
        polynomial!($x: $sum * $x + Four::splat($next) $(, $rest)*)
    };
}

/// The exponential function within 2e-7 of itself, as Cephes has it; 0 below `exp(-87.6)`, infinity above `exp(88.3)`.
#[inline]
#[cfg_attr(hot_is_fast, optimize(speed))]
fn exp(x: Four) -> Four {
    /// Adding it rounds to an integer, which then is in the lowest bits, here with the bias of an exponent.
    const ROUND: f32 = 12_582_912.0 + 127.0;
    let x = x.at_least(-88.0).at_most(89.0);
    let rounded = x * Four::splat(LOG2_E) + Four::splat(ROUND);
    let power = rounded - Four::splat(ROUND);
    // The logarithm of 2 in two parts; the products of small integers with the first are exact.
    let rest = x - power * Four::splat(0.693_359_4) + power * Four::splat(2.121_944_4e-4);
    let above =
        polynomial!(rest: Four::splat(1.987_569_1e-4), 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5);
    // An exponent of 0 is the number 0, and one of 255 infinity.
    (above * (rest * rest) + rest + Four::splat(1.0)) * rounded.of_exponents()
}

/// The hyperbolic tangent within 4e-7: a quotient of polynomials, as Eigen has it.
#[inline]
#[cfg_attr(hot_is_fast, optimize(speed))]
fn tanh(x: Four) -> Four {
    let x = x.at_least(-7.998_812).at_most(7.998_812);
    let square = x * x;
    let above = polynomial!(
        square: Four::splat(-2.760_768_5e-16),
        2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3
    );
    let below = polynomial!(square: Four::splat(1.198_258_4e-6), 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3);
    x * above / below
}

/// The error function within 4e-7: a quotient of polynomials, as Eigen has it.
#[inline]
#[cfg_attr(hot_is_fast, optimize(speed))]
fn erf(x: Four) -> Four {
    let x = x.at_least(-4.0).at_most(4.0);
    let square = x * x;
    let above = polynomial!(
        square: Four::splat(-2.726_142_3e-10),
        2.770_681_4e-8, -2.101_024e-6, -5.692_506_5e-5, -7.349_906_3e-4, -2.954_6e-3, -1.609_603_3e-2
    );
    let below = polynomial!(
        square: Four::splat(-1.456_607_2e-5),
        -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2
    );
    x * above / below
}

impl Reducer {
    #[cfg_attr(hot_is_fast, optimize(speed))]
    pub(super) fn run(self, a: &[f32], n: usize, inner: usize, out: &mut [f32]) {
        for (slab, out) in a.chunks_exact(n * inner).zip(out.chunks_exact_mut(inner)) {
            for (at, out) in out.iter_mut().enumerate() {
                // A range steps faster than an iterator.
                let column = (at..slab.len()).step_by(inner).map(|at| slab[at]);
                let folded = match self {
                    Self::Sum => column.reduce(|sum, x| sum + x),
                    Self::Max => column.reduce(larger),
                };
                *out = folded.unwrap_or(0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest distance from `f64`, relative to values above 1 and absolute below.
    fn worst(function: Unary, exact: fn(f64) -> f64) -> f64 {
        let numbers: Vec<f32> = (-340_000..340_000).map(|at| at as f32 * 2.5e-4).collect();
        let mut found = vec![0.0; numbers.len()];
        function.run(&numbers, &mut found);
        let distance = |(x, found): (&f32, &f32)| {
            let exact = exact(f64::from(*x));
            (f64::from(*found) - exact).abs() / exact.abs().max(1.0)
        };
        numbers.iter().zip(&found).map(distance).fold(0.0, f64::max)
    }

    #[test]
    fn transcendental_functions_are_as_near_as_they_say() {
        assert!(worst(Unary::Exp, libm::exp) < 2e-7);
        assert!(worst(Unary::Tanh, libm::tanh) < 4e-7);
        assert!(worst(Unary::Sigmoid, |x| 1.0 / (1.0 + libm::exp(-x))) < 2e-7);
        assert!(worst(Unary::Erf, libm::erf) < 4e-7);
    }

    #[test]
    fn small_powers_are_near_relatively_and_the_ends_are_ends() {
        let numbers = [-40.0, -87.0, -1e9, f32::NEG_INFINITY, 1e9, f32::INFINITY, f32::NAN, 0.0, -0.0];
        let mut found = [1.0; 9];
        Unary::Exp.run(&numbers, &mut found);
        for (x, found) in numbers.iter().zip(found).take(2) {
            assert!((f64::from(found) / libm::exp(f64::from(*x)) - 1.0).abs() < 2e-7, "exp({x}) = {found}");
        }
        assert_eq!(found[2..6], [0.0, 0.0, f32::INFINITY, f32::INFINITY]);
        assert!(found[6].is_nan());
        assert_eq!(found[7..], [1.0, 1.0]);
        let mut found = [0.0; 3];
        for function in [Unary::Tanh, Unary::Erf] {
            function.run(&[f32::NEG_INFINITY, f32::INFINITY, f32::NAN], &mut found);
            assert!((found[0] + 1.0).abs() < 4e-7 && (found[1] - 1.0).abs() < 4e-7 && found[2].is_nan(), "{found:?}");
        }
    }
}
