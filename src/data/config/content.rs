//! What items say of themselves, as vectors.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Content vectors of items: one behind the other, first those of `text`, then those of `vectors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContentConfig {
    /// Vectors of an item's text, each a table of its own.
    pub text: Vec<TextConfig>,
    /// Vectors that were computed elsewhere, of images for instance, each a table of its own.
    pub vectors: Vec<VectorsConfig>,
    /// What makes an item's text, joined with blanks: `title`, `category` (all its levels), `brand` and names of
    /// `[catalogue.columns] attributes`.
    pub columns: Vec<String>,
}

impl Default for ContentConfig {
    fn default() -> Self {
        Self { text: Vec::new(), vectors: Vec::new(), columns: Self::OWN.map(str::to_owned).to_vec() }
    }
}

/// How texts become vectors of unit length: by `vectors` or by `encoder`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// A `tokenizer.json` of Hugging Face's tokenizers.
    pub tokenizer: PathBuf,
    /// One vector per token, safetensors with a single table `[tokens, width]`; a text is the mean of its tokens. Thousands of texts per
    /// second.
    pub vectors: Option<PathBuf>,
    /// A sentence encoder: `.onnx` with the inputs `input_ids`, `attention_mask` and, if it likes, `token_type_ids`, `[batch, length]`, and
    /// an output `[batch, length, width]`, of which the mean is taken, or `[batch, width]`; or the `.safetensors` of a BERT with its
    /// `config.json` beside it.
    pub encoder: Option<PathBuf>,
    /// With `encoder`, tokens of a text that are read, 8 to 512. Up: more of long texts, and time.
    #[serde(default = "default_max_tokens")]
    pub max_tokens: usize,
}

fn default_max_tokens() -> usize {
    64
}

/// Ready-made vectors. Items that have none get zeros.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorsConfig {
    /// `.parquet` with the columns `item` and `embedding` (lists of equally many numbers), or `.npy`, `[items, width]`.
    pub path: PathBuf,
    /// With `.npy`, a text file with the id of each row in a line.
    pub ids: Option<PathBuf>,
}

impl ContentConfig {
    /// The parts of a text that every shop has.
    pub const OWN: [&str; 3] = ["title", "category", "brand"];

    /// Makes relative paths start from `base`.
    pub(super) fn rebase(&mut self, base: &Path) {
        let text = self
            .text
            .iter_mut()
            .flat_map(|text| std::iter::once(&mut text.tokenizer).chain(&mut text.vectors).chain(&mut text.encoder));
        let vectors = self.vectors.iter_mut().flat_map(|table| std::iter::once(&mut table.path).chain(&mut table.ids));
        text.chain(vectors).for_each(|path| *path = base.join(&path));
    }
}
