//! Tensors of a safetensors file, as single precision.

use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors};

use super::ContentError;

const REMEDY: &str = "copy or export the file again";

/// An opened file.
pub(super) struct Tensors<'b> {
    path: &'b Path,
    tensors: SafeTensors<'b>,
}

impl<'b> Tensors<'b> {
    /// Opens the bytes of `path`.
    pub(super) fn open(path: &'b Path, bytes: &'b [u8]) -> Result<Self, ContentError> {
        let unreadable = |error: safetensors::SafeTensorError| {
            ContentError::wrong(path, "file", error.to_string(), "a whole safetensors file", REMEDY)
        };
        Ok(Self { path, tensors: SafeTensors::deserialize(bytes).map_err(unreadable)? })
    }

    /// Names, sorted.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names = self.tensors.names();
        names.sort_unstable();
        names
    }

    /// The only table of the file: its shape `[rows, width]` and its numbers.
    pub(super) fn table(&self) -> Result<([usize; 2], Vec<f32>), ContentError> {
        let names = self.names();
        let wrong = |found: String| {
            let expected = "one tensor, [tokens, width]";
            ContentError::wrong(self.path, "tensors", found, expected, "name a file of static token vectors")
        };
        let [name] = names[..] else { return Err(wrong(format!("{} of them", names.len()))) };
        let shape = self.tensors.tensor(name).map(|tensor| tensor.shape().to_vec()).unwrap_or_default();
        match shape[..] {
            [rows, width] if rows > 0 && width > 0 => Ok(([rows, width], self.numbers(name, &shape)?)),
            _ => Err(wrong(format!("{name} {shape:?}"))),
        }
    }

    /// The shape of a tensor of two axes.
    pub(super) fn shape(&self, name: &str) -> Result<[usize; 2], ContentError> {
        let wrong = |found: String| ContentError::wrong(self.path, name, found, "a tensor of two axes", REMEDY);
        let tensor = self.tensors.tensor(name).map_err(|_| wrong("nothing".to_owned()))?;
        tensor.shape().try_into().map_err(|_| wrong(format!("{:?}", tensor.shape())))
    }

    /// The numbers of a tensor of this shape, all finite.
    pub(super) fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ContentError> {
        let expected = format!("{shape:?}, finite numbers");
        let wrong = |found: String| ContentError::wrong(self.path, name, found, expected.clone(), REMEDY);
        let tensor = self.tensors.tensor(name).map_err(|_| wrong("nothing".to_owned()))?;
        if tensor.shape() != shape {
            return Err(wrong(format!("{:?}", tensor.shape())));
        }
        let pairs = || tensor.data().as_chunks::<2>().0.iter().copied();
        let numbers: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F16 => pairs().map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
            Dtype::BF16 => pairs().map(|bytes| bf16::from_le_bytes(bytes).to_f32()).collect(),
            other => return Err(wrong(format!("numbers of type {other:?}"))),
        };
        match numbers.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(wrong(number.to_string())),
            None => Ok(numbers),
        }
    }
}
