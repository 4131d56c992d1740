//! Four numbers at a time: what element-wise functions are written in once, for every machine. Each operation is that of IEEE-754 on
//! each number, so the bits are the same everywhere.

use std::ops::{Add, Div, Mul, Sub};

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use self::simd128 as backend;
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
use portable as backend;

/// Four numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Four(backend::Register);

macro_rules! operators {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for Four {
            type Output = Self;

            #[inline]
            fn $method(self, other: Self) -> Self {
                Self(backend::$method(self.0, other.0))
            }
        }
    )*};
}

operators!(Add add, Sub sub, Mul mul, Div div);

impl Four {
    /// Four times `x`.
    #[inline]
    pub(crate) fn splat(x: f32) -> Self {
        Self(backend::splat(x))
    }

    /// Each number, or the bound where it is less; NaN stays.
    #[inline]
    pub(crate) fn at_least(self, bound: f32) -> Self {
        Self(backend::at_least(self.0, Self::splat(bound).0))
    }

    /// Each number, or the bound where it is more; NaN stays.
    #[inline]
    pub(crate) fn at_most(self, bound: f32) -> Self {
        Self(backend::at_most(self.0, Self::splat(bound).0))
    }

    /// The numbers whose exponent is in the lowest eight bits, already with its bias, and whose fraction is 0.
    #[inline]
    pub(crate) fn of_exponents(self) -> Self {
        Self(backend::of_exponents(self.0))
    }
}

impl From<[f32; 4]> for Four {
    #[inline]
    fn from(numbers: [f32; 4]) -> Self {
        Self(backend::from(numbers))
    }
}

impl From<Four> for [f32; 4] {
    #[inline]
    fn from(four: Four) -> Self {
        backend::to(four.0)
    }
}

/// `out[i] = f(a[i])`, four at a time.
///
/// # Panics
/// If `a` is shorter than `out`.
#[inline]
#[cfg_attr(hot_is_fast, optimize(speed))]
pub(crate) fn map(a: &[f32], out: &mut [f32], f: impl Fn(Four) -> Four) {
    zip(a, a, out, |a, _| f(a));
}

/// `out[i] = f(a[i], b[i])`, four at a time.
///
/// # Panics
/// If `a` or `b` is shorter than `out`.
#[inline]
#[cfg_attr(hot_is_fast, optimize(speed))]
pub(crate) fn zip(a: &[f32], b: &[f32], out: &mut [f32], f: impl Fn(Four, Four) -> Four) {
    let ((a, a_tail), (b, b_tail)) = (a[..out.len()].as_chunks::<4>(), b[..out.len()].as_chunks::<4>());
    let (out, tail) = out.as_chunks_mut::<4>();
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = f(Four::from(*a), Four::from(*b)).into();
    }
    if !tail.is_empty() {
        let last: [f32; 4] = f(padded(a_tail), padded(b_tail)).into();
        tail.copy_from_slice(&last[..tail.len()]);
    }
}

/// At most four numbers, and zeros behind them. Not inlined: it is the end of a row, and each function has one.
#[inline(never)]
fn padded(numbers: &[f32]) -> Four {
    let mut four = [0.0; 4];
    four[..numbers.len()].copy_from_slice(numbers);
    four.into()
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod portable {
    use std::array::from_fn;

    pub(super) type Register = [f32; 4];

    macro_rules! operators {
        ($($name:ident $operator:tt),*) => {$(
            #[inline]
            pub(super) fn $name(a: Register, b: Register) -> Register {
                from_fn(|at| a[at] $operator b[at])
            }
        )*};
    }

    operators!(add +, sub -, mul *, div /);

    #[inline]
    pub(super) fn at_least(a: Register, bound: Register) -> Register {
        from_fn(|at| if a[at] < bound[at] { bound[at] } else { a[at] })
    }

    #[inline]
    pub(super) fn at_most(a: Register, bound: Register) -> Register {
        from_fn(|at| if bound[at] < a[at] { bound[at] } else { a[at] })
    }

    #[inline]
    pub(super) fn of_exponents(a: Register) -> Register {
        a.map(|a| f32::from_bits(a.to_bits() << 23))
    }

    #[inline]
    pub(super) fn splat(x: f32) -> Register {
        [x; 4]
    }

    #[inline]
    pub(super) fn from(numbers: [f32; 4]) -> Register {
        numbers
    }

    #[inline]
    pub(super) fn to(register: Register) -> [f32; 4] {
        register
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd128 {
    pub(super) use std::arch::wasm32::{
        f32x4_add as add, f32x4_div as div, f32x4_mul as mul, f32x4_splat as splat, f32x4_sub as sub,
    };
    use std::arch::wasm32::{f32x4_pmax, f32x4_pmin, i32x4_shl, v128, v128_load, v128_store};

    pub(super) type Register = v128;

    #[inline]
    pub(super) fn at_least(a: Register, bound: Register) -> Register {
        f32x4_pmax(a, bound)
    }

    #[inline]
    pub(super) fn at_most(a: Register, bound: Register) -> Register {
        f32x4_pmin(a, bound)
    }

    #[inline]
    pub(super) fn of_exponents(a: Register) -> Register {
        i32x4_shl(a, 23)
    }

    #[inline]
    pub(super) fn from(numbers: [f32; 4]) -> Register {
        // SAFETY: `numbers` is 16 readable bytes; the load needs no alignment.
        unsafe { v128_load(numbers.as_ptr().cast()) }
    }

    #[inline]
    pub(super) fn to(register: Register) -> [f32; 4] {
        let mut numbers = [0.0; 4];
        // SAFETY: `numbers` is 16 writable bytes; the store needs no alignment.
        unsafe { v128_store(numbers.as_mut_ptr().cast(), register) };
        numbers
    }
}
