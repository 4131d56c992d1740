//! Texts as tokens, and texts as the mean of their tokens' vectors.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tokenizers::{PostProcessor, Tokenizer};

use super::tensors::Tensors;
use super::{ContentError, Vectors, normalise};

/// A tokenizer of Hugging Face.
pub(super) struct Tokens {
    path: PathBuf,
    tokenizer: Tokenizer,
}

impl Tokens {
    /// Reads the bytes of `path`.
    pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Self, ContentError> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| {
            let expected = "a tokenizer.json of Hugging Face's tokenizers";
            ContentError::wrong(path, "file", error.to_string(), expected, "name another file, or copy it again")
        })?;
        tokenizer.with_padding(None);
        // Only a stride can be refused.
        let _ = tokenizer.with_truncation(None);
        Ok(Self { path: path.to_owned(), tokenizer })
    }

    /// The tokens of a text as they are.
    fn plain(&self, text: &str) -> Result<Vec<u32>, ContentError> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|error| self.failed(text, &*error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokens of a text, at most `limit`, between those that an encoder wants around them.
    pub(super) fn marked(&self, text: &str, limit: usize) -> Result<Vec<u32>, ContentError> {
        let mut encoding = self.tokenizer.encode_fast(text, false).map_err(|error| self.failed(text, &*error))?;
        let marks = self.tokenizer.get_post_processor().map_or(0, |post| post.added_tokens(false));
        encoding.truncate(limit.saturating_sub(marks), 0, tokenizers::TruncationDirection::Right);
        let marked = self.tokenizer.post_process(encoding, None, true).map_err(|error| self.failed(text, &*error))?;
        // Marks alone may be more than the limit.
        Ok(marked.get_ids().iter().copied().take(limit).collect())
    }

    fn failed(&self, text: &str, error: &(dyn std::error::Error + Send + Sync)) -> ContentError {
        let place = format!("text {text:?}");
        ContentError::wrong(&self.path, place, error.to_string(), "tokens", "name a tokenizer that reads any text")
    }
}

/// One vector per token.
pub(super) struct TokenVectors {
    path: PathBuf,
    rows: usize,
    width: usize,
    /// `[rows, width]`
    vectors: Vec<f32>,
}

impl TokenVectors {
    /// Reads the bytes of `path`.
    pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Self, ContentError> {
        let ([rows, width], vectors) = Tensors::open(path, bytes)?.table()?;
        Ok(Self { path: path.to_owned(), rows, width, vectors })
    }

    /// The means of the texts' tokens, of unit length; none of a text without tokens.
    pub(super) fn of(&self, tokens: &Tokens, texts: &[&str]) -> Result<Vectors, ContentError> {
        let vectors: Vec<Option<Vec<f32>>> =
            texts.par_iter().map(|text| self.one(&tokens.plain(text)?, text)).collect::<Result<_, _>>()?;
        Ok(Vectors { width: self.width, rows: vectors })
    }

    fn one(&self, tokens: &[u32], text: &str) -> Result<Option<Vec<f32>>, ContentError> {
        let mut sum = vec![0.0; self.width];
        for token in tokens {
            let row = self.vectors.chunks_exact(self.width).nth(*token as usize).ok_or_else(|| {
                let (found, expected) = (format!("token {token}"), format!("tokens below {}", self.rows));
                let place = format!("text {text:?}");
                ContentError::wrong(
                    &self.path,
                    place,
                    found,
                    expected,
                    "name the tokenizer that belongs to the vectors",
                )
            })?;
            sum.iter_mut().zip(row).for_each(|(sum, number)| *sum += number);
        }
        // The length of the sum is taken away, so the mean needs no division.
        Ok(normalise(&mut sum).then_some(sum))
    }
}
