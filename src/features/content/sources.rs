//! The sources that a configuration names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::encoder::Encoder;
use super::tokens::{TokenVectors, Tokens};
use super::{ContentError, Vectors, cache};
use crate::Digest;
use crate::data::config::{ContentConfig, TextConfig};
use crate::data::vectors::{VectorTable, Width};
use crate::data::{Attribute, Config, Item};

/// Where content vectors come from.
pub(super) enum Source {
    Text(Box<TextSource>),
    Table(VectorTable),
}

/// Turns texts into vectors.
pub(super) struct TextSource {
    path: PathBuf,
    digest: Digest,
    tokens: Tokens,
    model: TextModel,
}

enum TextModel {
    Tokens(TokenVectors),
    Encoder(Encoder),
}

/// Reads all sources of a configuration.
pub(super) fn sources(config: &Config) -> Result<Vec<Source>, ContentError> {
    let Some(content) = &config.content else { return Ok(Vec::new()) };
    let text = |text| TextSource::read(config, content, text).map(|source| Source::Text(Box::new(source)));
    let mut sources = content.text.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    for table in &content.vectors {
        let ids = table.ids.as_ref().map(|ids| config.resolve(ids));
        let table = VectorTable::read(config.resolve(&table.path), ids.as_deref(), Width::Any)?;
        sources.push(Source::Table(table));
    }
    Ok(sources)
}

impl Source {
    /// The file that errors name.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Text(text) => &text.path,
            Self::Table(table) => &table.path,
        }
    }

    pub(super) fn name(&self) -> String {
        self.path().display().to_string()
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        match self {
            Self::Text(text) => Some(text.digest),
            Self::Table(_) => None,
        }
    }

    /// The vectors of items.
    pub(super) fn vectors(&self, config: &Config, items: &[Item], cache: &Path) -> Result<Vectors, ContentError> {
        match self {
            Self::Table(table) => {
                let rows = items.iter().map(|item| table.of(&item.id).map(<[f32]>::to_vec)).collect();
                Ok(Vectors { width: table.width, rows })
            }
            Self::Text(text) => text.of_items(config, items, cache),
        }
    }
}

impl TextSource {
    fn read(config: &Config, content: &ContentConfig, text: &TextConfig) -> Result<Self, ContentError> {
        let bytes_of = |path: &Path| std::fs::read(path).map_err(ContentError::io(path));
        let tokenizer = config.resolve(&text.tokenizer);
        let tokenizer_bytes = bytes_of(&tokenizer)?;
        let tokens = Tokens::read(&tokenizer, &tokenizer_bytes)?;
        // What the ranges of the configuration let through: one of both.
        let (path, limit) = match (&text.vectors, &text.encoder) {
            (Some(vectors), _) => (config.resolve(vectors), None),
            (None, encoder) => (config.resolve(encoder.as_deref().unwrap_or(Path::new(""))), Some(text.max_tokens)),
        };
        let bytes = bytes_of(&path)?;
        let model = match limit {
            None => TextModel::Tokens(TokenVectors::read(&path, &bytes)?),
            Some(max_tokens) => TextModel::Encoder(Encoder::read(&path, &bytes, max_tokens)?),
        };
        let settings = format!("{limit:?} {:?}", content.columns);
        let parts = [&tokenizer_bytes[..], &bytes].map(Digest::of);
        let digest = Digest::of_parts([&parts[0].as_bytes()[..], parts[1].as_bytes(), settings.as_bytes()]);
        Ok(Self { path, digest, tokens, model })
    }

    /// The vectors of items, each text once.
    fn of_items(&self, config: &Config, items: &[Item], cache: &Path) -> Result<Vectors, ContentError> {
        let all: Vec<String> = items.iter().map(|item| text_of(config, item)).collect();
        let mut texts: Vec<&str> = Vec::new();
        let mut positions: HashMap<&str, usize> = HashMap::new();
        let positions: Vec<usize> = all
            .iter()
            .map(|text| {
                *positions.entry(text.as_str()).or_insert_with(|| {
                    texts.push(text);
                    texts.len() - 1
                })
            })
            .collect();
        let Vectors { width, rows } = match &self.model {
            TextModel::Tokens(vectors) => vectors.of(&self.tokens, &texts)?,
            TextModel::Encoder(encoder) => {
                cache::through(cache, &self.digest, &texts, |texts| encoder.of(&self.tokens, texts))?
            }
        };
        Ok(Vectors { width, rows: positions.into_iter().map(|position| rows[position].clone()).collect() })
    }
}

/// The text of an item: the configured parts that it has, joined with blanks.
fn text_of(config: &Config, item: &Item) -> String {
    let columns = config.content.as_ref().map_or(&[][..], |content| &content.columns);
    let mut parts: Vec<String> = Vec::new();
    for column in columns {
        match column.as_str() {
            "title" => parts.push(item.title.clone()),
            "category" => parts.extend(item.category.iter().cloned()),
            "brand" => parts.extend(item.brand.clone()),
            name => {
                let position = config.catalogue.columns.attributes.keys().position(|key| key == name);
                match position.and_then(|position| item.attributes.get(position)).and_then(Option::as_ref) {
                    Some(Attribute::Text(text)) => parts.push(text.clone()),
                    Some(Attribute::Number(number)) => parts.push(number.to_string()),
                    None => {}
                }
            }
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.join(" ")
}
