//! Arrays as NumPy writes them, of two axes: the [format](https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) of
//! `.npy`, versions 1 to 3, as far as vectors need it.

use crate::bytes::Reader;

const MAGIC: [u8; 6] = *b"\x93NUMPY";

/// Numbers `[rows, columns]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Npy {
    pub(super) shape: [usize; 2],
    pub(super) numbers: Vec<f32>,
}

/// The place of a fault, what is there and what can be read.
type Fault = (&'static str, String, &'static str);

impl Npy {
    /// Reads a whole file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let cut = |_| ("file", format!("{} bytes", bytes.len()), "a whole .npy file");
        let mut reader = Reader::new(bytes);
        let magic: [u8; 6] = reader.array("magic").map_err(cut)?;
        let [major, _]: [u8; 2] = reader.array("version").map_err(cut)?;
        if magic != MAGIC || !(1..=3).contains(&major) {
            return Err(("start", format!("{magic:02x?}, version {major}"), "a .npy file of version 1 to 3"));
        }
        let len = if major == 1 { reader.u16("header").map(u32::from) } else { reader.u32("header") };
        let header = reader.take(len.map_err(cut)? as usize, "header").map_err(cut)?;
        let header = String::from_utf8_lossy(header).replace(' ', "");
        let wrong = |expected| ("header", header.trim().to_owned(), expected);
        let shape = shape(&header).ok_or_else(|| wrong("'shape': (rows, columns)"))?;
        if !header.contains("'fortran_order':False") {
            return Err(wrong("'fortran_order': False"));
        }
        let width = match () {
            () if header.contains("'descr':'<f4'") => 4,
            () if header.contains("'descr':'<f8'") => 8,
            () => return Err(wrong("'descr': '<f4' or '<f8'")),
        };
        let size = shape[0].checked_mul(shape[1]).and_then(|count| count.checked_mul(width));
        if size != Some(reader.remaining()) {
            let found = format!("{} bytes of numbers", reader.remaining());
            return Err(("numbers", found, "as many as the shape says"));
        }
        let numbers = reader.take(reader.remaining(), "numbers").map_err(cut)?;
        let numbers = if width == 4 {
            bytemuck::pod_collect_to_vec::<u8, f32>(numbers)
        } else {
            bytemuck::pod_collect_to_vec::<u8, f64>(numbers).into_iter().map(|number| number as f32).collect()
        };
        Ok(Self { shape, numbers })
    }
}

/// Two lengths from a header without blanks.
fn shape(header: &str) -> Option<[usize; 2]> {
    let (_, rest) = header.split_once("'shape':(")?;
    let (lengths, _) = rest.split_once(')')?;
    let lengths: Vec<usize> = lengths.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    lengths.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, numbers: &[u8]) -> Vec<u8> {
        [&MAGIC[..], &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), numbers].concat()
    }

    #[test]
    fn arrays_of_single_and_double_precision_are_read_and_others_named() {
        let header = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}     \n")
        };
        let expected = Npy { shape: [2, 1], numbers: vec![0.5, -2.0] };
        let single: Vec<u8> = [0.5_f32, -2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        let double: Vec<u8> = [0.5_f64, -2.0].iter().flat_map(|number| number.to_le_bytes()).collect();
        assert_eq!(Npy::read(&file(&header("<f4", "False", "(2, 1)"), &single)), Ok(expected.clone()));
        let whole = file(&header("<f8", "False", "(2, 1)"), &double);
        assert_eq!(Npy::read(&whole), Ok(expected));
        for len in 0..whole.len() {
            assert!(Npy::read(&whole[..len]).is_err(), "cut at {len}");
        }
        for (descr, order, shape) in [
            ("<i4", "False", "(2, 1)"),
            ("<f4", "True", "(2, 1)"),
            ("<f4", "False", "(2,)"),
            ("<f4", "False", "(3, 1)"),
        ] {
            assert!(Npy::read(&file(&header(descr, order, shape), &single)).is_err(), "{descr} {order} {shape}");
        }
    }
}
