//! The functions that operations apply to numbers, and the ways through the shapes that they run along.

use super::MAX_RANK;
use crate::bytes::Reader;
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

            pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, TowerError> {
                let code = reader.u32(stringify!($name))?;
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
    /// A function of one number. Transcendental ones are those of the `libm` crate: the same bits everywhere.
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
    pub(super) fn run(self, a: &[f32], b: &[f32], axes: &[[u32; 3]], out: &mut [f32]) {
        rows(axes, out, |out, [_, of_a, of_b], [_, i, j]| {
            let (a, b) = ((&a[i..], of_a), (&b[j..], of_b));
            match self {
                // What towers spend their time on has loops of its own.
                Self::Add => each(a, b, out, |a, b| a + b),
                Self::Sub => each(a, b, out, |a, b| a - b),
                Self::Mul => each(a, b, out, |a, b| a * b),
                _ => each(a, b, out, self.function()),
            }
        });
    }

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

/// Applies `f` along two operands with their strides.
fn each((a, of_a): (&[f32], usize), (b, of_b): (&[f32], usize), out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    match (of_a, of_b) {
        (1, 1) => out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = f(*a, *b)),
        (1, 0) => out.iter_mut().zip(a).for_each(|(out, a)| *out = f(*a, b[0])),
        _ => out.iter_mut().enumerate().for_each(|(at, out)| *out = f(a[at * of_a], b[at * of_b])),
    }
}

fn truth(truth: bool) -> f32 {
    f32::from(u8::from(truth))
}

/// Written out because `f32::max` may return either zero of `max(0.0, -0.0)`.
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

impl Unary {
    pub(super) fn apply(self, x: f32) -> f32 {
        match self {
            Self::Sqrt => x.sqrt(),
            Self::Rsqrt => 1.0 / x.sqrt(),
            Self::Recip => 1.0 / x,
            Self::Neg => -x,
            Self::Square => x * x,
            Self::Exp => libm::expf(x),
            Self::Tanh => libm::tanhf(x),
            Self::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
            Self::Erf => erf(x),
        }
    }
}

/// The error function within 4e-7: a quotient of polynomials (as Eigen has it), which takes a third of the time of `libm`'s and 2 KB less of
/// what a client downloads.
#[inline]
pub(super) fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let polynomial = |powers: &[f32]| powers.iter().fold(0.0, |sum, power| sum * square + power);
    let above = polynomial(&[
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_5e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ]);
    x * above / polynomial(&[-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2])
}

impl Reducer {
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
