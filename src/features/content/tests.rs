//! Sources of ten words and random weights, against plain loops.

use std::fs;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView, serialize};
use tempfile::TempDir;

use super::*;
use crate::data::Attribute;
use crate::data::config::{ContentConfig, TextConfig, VectorsConfig};
use crate::onnx::{Axis, GraphBuilder};

const SEED: u64 = 7;
const WORDS: [&str; 10] = ["[UNK]", "[CLS]", "[SEP]", "red", "soap", "bar", "of", "fresh", "ice", "acme"];
const WIDTH: usize = 8;
const HEADS: usize = 2;
const INNER: usize = 12;
const PLACES: usize = 24;
const LAYERS: usize = 2;

/// A folder with `tokenizer.json`.
struct Shop {
    folder: TempDir,
    config: Config,
}

impl Shop {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let vocabulary: serde_json::Map<_, _> =
            WORDS.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
        let special = |id: usize| serde_json::json!({"SpecialToken": {"id": WORDS[id], "type_id": 0}});
        let mark = |id: usize| serde_json::json!({"id": WORDS[id], "ids": [id], "tokens": [WORDS[id]]});
        let tokenizer = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "decoder": null,
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [special(1), {"Sequence": {"id": "A", "type_id": 0}}, special(2)],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"[CLS]": mark(1), "[SEP]": mark(2)},
            },
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        });
        fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
        let text = "name = 't'\nevents = { path = 'e', columns = { user = 'u', item = 'i', time = 't' } }\n\
                    catalogue = { path = 'c', columns = { item = 'i', title = ['t'], attributes = { size = 's' } } }\n\
                    split = { test_from = '2020-01-01' }\ncontent = {}";
        let mut config: Config = toml::from_str(text).unwrap();
        folder.path().clone_into(&mut config.base);
        Self { folder, config }
    }

    fn content(&mut self) -> &mut ContentConfig {
        self.config.content.as_mut().unwrap()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.file(name), bytes).unwrap();
    }

    /// Takes static token vectors, random ones, and returns them.
    fn with_vectors(&mut self) -> Vec<f32> {
        let vectors = random(SEED, WORDS.len() * WIDTH);
        self.write("vectors.safetensors", safetensors(&[("table", vec![WORDS.len(), WIDTH], vectors.clone())]));
        self.content().text.push(text_config(Some("vectors.safetensors"), None));
        vectors
    }

    /// Takes the encoder of a file.
    fn with_encoder(&mut self, name: &str) {
        self.content().text.push(text_config(None, Some(name)));
    }

    fn fit(&self, items: &[Item]) -> Result<(ContentSchema, Vec<f32>), ContentError> {
        ContentSchema::fit(&self.config, items, &self.file("cache"))
    }
}

fn text_config(vectors: Option<&str>, encoder: Option<&str>) -> TextConfig {
    let path = |name: Option<&str>| name.map(Into::into);
    TextConfig { tokenizer: "tokenizer.json".into(), vectors: path(vectors), encoder: path(encoder), max_tokens: 20 }
}

fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn safetensors(tensors: &[(&str, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let view = |(name, shape, values): &'_ (&str, Vec<usize>, Vec<f32>)| {
        let bytes: &'static [u8] = bytemuck::cast_slice::<f32, u8>(values).to_vec().leak();
        ((*name).to_owned(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    };
    serialize(tensors.iter().map(view), None).unwrap()
}

fn item(id: &str, title: &str) -> Item {
    Item {
        id: id.into(),
        title: title.into(),
        category: Vec::new(),
        brand: None,
        price: None,
        events: 1,
        attributes: Vec::new(),
    }
}

fn items() -> Vec<Item> {
    let titles = ["red soap", "a bar of fresh ice ice ice ice ice", "", "ice", "Fresh  red soap of ACME", "ice"];
    titles.iter().enumerate().map(|(id, title)| item(&id.to_string(), title)).collect()
}

fn unit(vector: &[f64]) -> Vec<f64> {
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

/// The vectors of a source before centring.
fn raw(schema: &ContentSchema, rows: &[f32]) -> Vec<Vec<f32>> {
    let mean = &schema.sources[0].mean;
    rows.chunks_exact(mean.len()).map(|row| row.iter().zip(mean).map(|(x, mean)| x + mean).collect()).collect()
}

fn check_near(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{what}: found {found}, expected {expected}");
    }
}

#[test]
fn a_text_is_the_mean_of_its_tokens_and_rows_are_centred_by_the_catalogue() {
    let mut shop = Shop::new();
    let vectors = shop.with_vectors();
    let mut items = items();
    items[3].category = vec!["Ice".into()];
    items[3].brand = Some("acme".into());
    items[3].attributes = vec![Some(Attribute::Text("red".into()))];
    shop.content().columns = ["title", "brand", "size", "category"].map(str::to_owned).to_vec();
    let (schema, rows) = shop.fit(&items).unwrap();
    assert_eq!((schema.width(), schema.sources[0].missing), (WIDTH, 1));
    assert_eq!(rows[2 * WIDTH..3 * WIDTH], [0.0; WIDTH], "an item without a text");
    let texts: [&[usize]; 5] = [&[3, 4], &[0, 5, 6, 7, 8, 8, 8, 8, 8], &[8, 9, 3, 8], &[7, 3, 4, 6, 9], &[8]];
    let found = raw(&schema, &rows);
    for (row, tokens) in [0, 1, 3, 4, 5].into_iter().zip(texts) {
        let sum = |at: usize| tokens.iter().map(|token| f64::from(vectors[token * WIDTH + at])).sum::<f64>();
        check_near(&found[row], &unit(&(0..WIDTH).map(sum).collect::<Vec<_>>()), &items[row].title);
    }
    for column in 0..WIDTH {
        assert!(rows.iter().skip(column).step_by(WIDTH).sum::<f32>().abs() < 1e-5, "column {column} is not centred");
    }
    // An item alone has the row that it has among the others, with a schema that was written and read.
    let read: ContentSchema = serde_json::from_str(&serde_json::to_string(&schema).unwrap()).unwrap();
    let alone = read.rows(&shop.config, &items[4..5], &shop.file("cache")).unwrap();
    assert_eq!(alone, rows[4 * WIDTH..5 * WIDTH]);
}

type Tensors = Vec<(&'static str, Vec<usize>, Vec<f32>)>;

/// A BERT with random weights.
fn bert() -> Tensors {
    let mut tensors: Tensors = vec![
        ("bert.embeddings.word_embeddings.weight", vec![WORDS.len(), WIDTH], Vec::new()),
        ("bert.embeddings.position_embeddings.weight", vec![PLACES, WIDTH], Vec::new()),
        ("bert.embeddings.token_type_embeddings.weight", vec![2, WIDTH], Vec::new()),
        ("bert.embeddings.LayerNorm.weight", vec![WIDTH], Vec::new()),
        ("bert.embeddings.LayerNorm.bias", vec![WIDTH], Vec::new()),
    ];
    let parts = [
        ("attention.self.query", WIDTH, WIDTH),
        ("attention.self.key", WIDTH, WIDTH),
        ("attention.self.value", WIDTH, WIDTH),
        ("attention.output.dense", WIDTH, WIDTH),
        ("attention.output.LayerNorm", WIDTH, 0),
        ("intermediate.dense", INNER, WIDTH),
        ("output.dense", WIDTH, INNER),
        ("output.LayerNorm", WIDTH, 0),
    ];
    for (layer, (part, outputs, inputs)) in (0..LAYERS).flat_map(|layer| parts.map(|part| (layer, part))) {
        let name = |kind: &str| &*format!("bert.encoder.layer.{layer}.{part}.{kind}").leak();
        let shape = if inputs > 0 { vec![outputs, inputs] } else { vec![outputs] };
        tensors.extend([(name("weight"), shape, Vec::new()), (name("bias"), vec![outputs], Vec::new())]);
    }
    for (seed, (_, shape, values)) in (SEED..).zip(&mut tensors) {
        *values = random(seed, shape.iter().product());
    }
    tensors
}

fn bert_config() -> serde_json::Value {
    serde_json::json!({"model_type": "bert", "hidden_act": "gelu", "num_attention_heads": HEADS, "layer_norm_eps": 1e-12})
}

/// The same by loops: the mean of the last layer over the tokens, of unit length.
fn bert_by_loops(tensors: &Tensors, tokens: &[usize]) -> Vec<f64> {
    let weights = |name: &str| {
        let name = format!("bert.{name}");
        tensors.iter().find(|(found, ..)| *found == name).unwrap().2.iter().map(|x| f64::from(*x)).collect::<Vec<_>>()
    };
    let dense = |name: &str, rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
        let (weight, bias) = (weights(&format!("{name}.weight")), weights(&format!("{name}.bias")));
        let one = |row: &Vec<f64>| {
            let output =
                |(weights, bias): (&[f64], &f64)| weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>() + bias;
            weight.chunks_exact(row.len()).zip(&bias).map(output).collect()
        };
        rows.iter().map(one).collect()
    };
    let norm = |name: &str, rows: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
        let (gain, bias) = (weights(&format!("{name}.weight")), weights(&format!("{name}.bias")));
        let one = |row: Vec<f64>| {
            let mean = row.iter().sum::<f64>() / WIDTH as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / WIDTH as f64;
            let scaled = row.iter().map(|x| (x - mean) / (variance + 1e-12).sqrt());
            scaled.zip(&gain).zip(&bias).map(|((x, gain), bias)| x * gain + bias).collect()
        };
        rows.into_iter().map(one).collect()
    };
    let add = |a: Vec<Vec<f64>>, b: &[Vec<f64>]| -> Vec<Vec<f64>> {
        a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
    };
    let [words, places, types] =
        ["word", "position", "token_type"].map(|part| weights(&format!("embeddings.{part}_embeddings.weight")));
    let embed = |(place, token): (usize, &usize)| {
        let at = |i: usize| words[token * WIDTH + i] + places[place * WIDTH + i] + types[i];
        (0..WIDTH).map(at).collect()
    };
    let mut hidden = norm("embeddings.LayerNorm", tokens.iter().enumerate().map(embed).collect());
    for layer in 0..LAYERS {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let [q, k, v] = ["query", "key", "value"].map(|part| dense(&name(&format!("attention.self.{part}")), &hidden));
        let mut pooled = vec![vec![0.0; WIDTH]; tokens.len()];
        let head_width = WIDTH / HEADS;
        for (head, query) in (0..HEADS).flat_map(|head| (0..tokens.len()).map(move |query| (head, query))) {
            let range = head * head_width..(head + 1) * head_width;
            let dot = |key: &Vec<f64>| range.clone().map(|i| q[query][i] * key[i]).sum::<f64>();
            let weights: Vec<f64> = k.iter().map(|key| (dot(key) / (head_width as f64).sqrt()).exp()).collect();
            for (weight, value) in weights.iter().zip(&v) {
                range.clone().for_each(|i| pooled[query][i] += weight / weights.iter().sum::<f64>() * value[i]);
            }
        }
        let change = dense(&name("attention.output.dense"), &pooled);
        hidden = norm(&name("attention.output.LayerNorm"), add(change, &hidden));
        let mut inner = dense(&name("intermediate.dense"), &hidden);
        inner.iter_mut().flatten().for_each(|x| *x *= 0.5 * (1.0 + libm::erf(*x / 2.0_f64.sqrt())));
        let change = dense(&name("output.dense"), &inner);
        hidden = norm(&name("output.LayerNorm"), add(change, &hidden));
    }
    let sum = |at: usize| hidden.iter().map(|row| row[at]).sum::<f64>();
    unit(&(0..WIDTH).map(sum).collect::<Vec<_>>())
}

#[test]
fn a_bert_computes_what_loops_compute_whatever_else_is_encoded() {
    let mut shop = Shop::new();
    let tensors = bert();
    shop.write("model.safetensors", safetensors(&tensors));
    shop.write("config.json", bert_config().to_string());
    shop.with_encoder("model.safetensors");
    let items = items();
    let (schema, rows) = shop.fit(&items).unwrap();
    let found = raw(&schema, &rows);
    let texts: [(usize, &[usize]); 4] =
        [(0, &[1, 3, 4, 2]), (1, &[1, 0, 5, 6, 7, 8, 8, 8, 8, 8, 2]), (3, &[1, 8, 2]), (4, &[1, 7, 3, 4, 6, 9, 2])];
    for (row, tokens) in texts {
        check_near(&found[row], &bert_by_loops(&tensors, tokens), &items[row].title);
    }
    assert_eq!((schema.sources[0].missing, &rows[2 * WIDTH..3 * WIDTH]), (1, &[0.0; WIDTH][..]));

    // The same bits alone, on one thread, from the cache and as an ONNX file.
    let rows_of = |shop: &Shop, items: &[Item], cache: &str| {
        let schema = ContentSchema {
            sources: vec![SourceSchema {
                digest: shop.fit(items).unwrap().0.sources[0].digest,
                ..schema.sources[0].clone()
            }],
        };
        schema.rows(&shop.config, items, &shop.file(cache)).unwrap()
    };
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(one.install(|| rows_of(&shop, &items, "anew")), rows);
    assert_eq!(rows_of(&shop, &items[4..5], "alone"), rows[4 * WIDTH..5 * WIDTH]);
    assert_eq!(rows_of(&shop, &items, "cache"), rows);
    let (onnx, places) = bert::to_onnx(&shop.file("model.safetensors"), &safetensors(&tensors)).unwrap();
    assert_eq!(places, PLACES);
    shop.write("encoder.onnx", onnx);
    shop.content().text.clear();
    shop.with_encoder("encoder.onnx");
    assert_eq!(rows_of(&shop, &items, "onnx"), rows);
}

/// An encoder whose output is the sum of its rows of a table, and which also wants types.
fn pooled_onnx(input: &str) -> Vec<u8> {
    let mut graph = GraphBuilder::new("pooled");
    for input in [input, "token_type_ids"] {
        graph.index_input(input, &[Axis::Batch, Axis::Length]);
    }
    graph.floats("table", &[WORDS.len(), WIDTH], &random(SEED, WORDS.len() * WIDTH));
    graph.integers("axis", &[1]);
    graph.node("places", "Add", &[input, "token_type_ids"], &[]);
    graph.node("rows", "Gather", &["table", "places"], &[("axis", 0)]);
    graph.node("first", "ReduceMax", &["rows"], &[("keepdims", 0)]);
    graph.node("sentence_embedding", "ReduceSum", &["rows", "axis"], &[("keepdims", 0)]);
    graph.finish("sentence_embedding", &[Axis::Batch, Axis::Fixed(WIDTH)])
}

#[test]
fn an_encoder_may_pool_by_itself_and_want_types() {
    let mut shop = Shop::new();
    shop.write("encoder.onnx", pooled_onnx("input_ids"));
    shop.with_encoder("encoder.onnx");
    let (schema, rows) = shop.fit(&[item("1", "ice"), item("2", "red soap")]).unwrap();
    let table = random(SEED, WORDS.len() * WIDTH);
    // It sums over the padding, too: up to 8 places of token 0.
    let sum =
        |at: usize| [1, 8, 2, 0, 0, 0, 0, 0].iter().map(|token| f64::from(table[token * WIDTH + at])).sum::<f64>();
    check_near(&raw(&schema, &rows)[0], &unit(&(0..WIDTH).map(sum).collect::<Vec<_>>()), "ice");
}

fn write_npy(path: &Path, shape: (usize, usize), vectors: &[f32]) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape:?}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(vectors.iter().flat_map(|x| x.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

#[test]
fn ready_made_vectors_stand_behind_texts_scaled_and_centred() {
    let mut shop = Shop::new();
    shop.with_vectors();
    write_npy(&shop.file("images.npy"), (3, 2), &[30.0, 40.0, -30.0, 40.0, 99.0, 99.0]);
    shop.write("ids.txt", "3\n0\nother\n");
    shop.content().vectors.push(VectorsConfig { path: "images.npy".into(), ids: Some("ids.txt".into()) });
    let items = items();
    let (schema, rows) = shop.fit(&items).unwrap();
    assert_eq!((schema.width(), schema.sources[1].missing, schema.sources[1].digest), (WIDTH + 2, 4, None));
    let images: Vec<&[f32]> = rows.chunks_exact(WIDTH + 2).map(|row| &row[WIDTH..]).collect();
    for (image, expected) in images.iter().zip([[-0.6, 0.0], [0.0, 0.0], [0.0, 0.0], [0.6, 0.0], [0.0, 0.0]]) {
        assert!(image.iter().zip(expected).all(|(x, expected)| (x - expected).abs() < 1e-6), "{image:?} {expected:?}");
    }
    // The table grows: what was there stays where it was.
    write_npy(&shop.file("images.npy"), (4, 2), &[30.0, 40.0, -30.0, 40.0, 99.0, 99.0, 30.0, 40.0]);
    shop.write("ids.txt", "3\n0\nother\n4\n");
    let grown = schema.rows(&shop.config, &items, &shop.file("cache")).unwrap();
    assert_eq!(grown[..4 * (WIDTH + 2)], rows[..4 * (WIDTH + 2)]);
    assert_eq!(grown[5 * (WIDTH + 2) - 2..5 * (WIDTH + 2)], grown[4 * (WIDTH + 2) - 2..4 * (WIDTH + 2)]);
}

#[test]
fn without_sources_there_is_nothing_to_compute() {
    let mut shop = Shop::new();
    shop.config.content = None;
    assert_eq!(shop.fit(&items()).unwrap(), (ContentSchema::default(), Vec::new()));
}

#[test]
fn other_sources_than_those_of_the_training_are_refused() {
    let mut shop = Shop::new();
    shop.with_vectors();
    let (schema, _) = shop.fit(&items()).unwrap();
    let rows = |shop: &Shop| schema.rows(&shop.config, &items(), &shop.file("cache"));
    let check = |shop: &Shop| {
        let error = rows(shop).unwrap_err();
        assert!(matches!(error, ContentError::Changed { .. }), "{error}");
        assert!(error.to_string().contains("nearshelf train"), "{error}");
    };
    rows(&shop).unwrap();
    shop.content().columns = vec!["title".to_owned()];
    check(&shop);
    shop.content().columns = ContentConfig::default().columns;
    shop.with_vectors();
    check(&shop);
    shop.content().text.pop();
    rows(&shop).unwrap();
    shop.write("vectors.safetensors", safetensors(&[("table", vec![10, WIDTH], random(8, 10 * WIDTH))]));
    check(&shop);
}

#[test]
fn vectors_of_texts_are_kept_and_a_damaged_file_is_written_anew() {
    let folder = TempDir::new().unwrap();
    let encoder = Digest::of(b"encoder");
    let row = |text: &&str| (*text != " ").then(|| vec![text.len() as f32, 1.0]);
    let through = |texts: &[&str]| {
        let mut asked = Vec::new();
        let vectors = cache::through(folder.path(), &encoder, texts, |texts| {
            asked.extend(texts.iter().map(|text| (*text).to_owned()));
            Ok(Vectors { width: 2, rows: texts.iter().map(row).collect() })
        });
        assert_eq!(vectors.unwrap().rows, texts.iter().map(row).collect::<Vec<_>>());
        asked
    };
    assert_eq!(through(&["a", " ", "bb"]), ["a", " ", "bb"]);
    assert_eq!(through(&["bb", "ccc", "a"]), ["ccc"]);
    assert_eq!(through(&["ccc", "a"]).len(), 0);
    let file = folder.path().join(format!("{encoder}.safetensors"));
    let whole = fs::read(&file).unwrap();
    for len in 0..whole.len() {
        fs::write(&file, &whole[..len]).unwrap();
        assert_eq!(through(&["a"]), ["a"], "cut at {len}");
    }
}

/// That a catalogue is refused, and the error names what was found, what is expected and the remedy.
fn check_refused(shop: &Shop, parts: &[&str]) {
    let error = shop.fit(&items()).unwrap_err();
    let text = error.to_string();
    for part in parts.iter().chain(&[";"]) {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn damaged_and_foreign_files_are_refused_with_the_remedy() {
    let mut shop = Shop::new();
    shop.with_vectors();
    let whole = fs::read(shop.file("vectors.safetensors")).unwrap();
    for len in 0..whole.len() {
        shop.write("vectors.safetensors", &whole[..len]);
        check_refused(&shop, &["vectors.safetensors", "a whole safetensors file", "export the file again"]);
    }
    shop.write("vectors.safetensors", safetensors(&[("table", vec![4, WIDTH], random(1, 4 * WIDTH))]));
    check_refused(&shop, &["found token", "tokens below 4", "name the tokenizer"]);
    shop.write("vectors.safetensors", safetensors(&[("flat", vec![80], random(1, 80))]));
    check_refused(&shop, &["flat [80]", "one tensor, [tokens, width]"]);
    shop.write("vectors.safetensors", safetensors(&[("table", vec![10, 1], vec![f32::NAN; 10])]));
    check_refused(&shop, &["table", "NaN", "finite"]);
    fs::remove_file(shop.file("vectors.safetensors")).unwrap();
    check_refused(&shop, &["vectors.safetensors", "check the path"]);
    shop.write("tokenizer.json", "not JSON");
    check_refused(&shop, &["tokenizer.json", "a tokenizer.json of Hugging Face", "name another file"]);

    let mut shop = Shop::new();
    write_npy(&shop.file("images.npy"), (1, 2), &[1.0, 2.0]);
    shop.write("ids.txt", "nobody\n");
    shop.content().vectors.push(VectorsConfig { path: "images.npy".into(), ids: Some("ids.txt".into()) });
    check_refused(&shop, &["images.npy", "no vector of any of 6 items", "check the ids"]);
    shop.write("ids.txt", "1\n2\n");
    check_refused(&shop, &["ids.txt", "found 2, expected 1", "write the vectors again"]);
}

#[test]
fn encoders_that_cannot_be_run_are_refused_with_the_remedy() {
    let mut shop = Shop::new();
    shop.with_encoder("encoder.onnx");
    shop.write("encoder.onnx", "no ONNX");
    check_refused(&shop, &["encoder.onnx", "export the encoder again"]);
    shop.write("encoder.onnx", pooled_onnx("pixels"));
    check_refused(&shop, &["pixels", "expected input_ids, attention_mask and token_type_ids"]);

    shop.content().text.clear();
    shop.with_encoder("model.safetensors");
    shop.write("model.safetensors", safetensors(&bert()));
    check_refused(&shop, &["config.json", "check the path"]);
    let mut config = bert_config();
    config["num_attention_heads"] = 3.into();
    shop.write("config.json", config.to_string());
    check_refused(&shop, &["num_attention_heads 3", "a divisor of 8"]);
    config["hidden_act"] = "relu".into();
    shop.write("config.json", config.to_string());
    check_refused(&shop, &["hidden_act \"relu\"", "\"gelu\""]);
    shop.write("config.json", bert_config().to_string());
    shop.content().text[0].max_tokens = PLACES + 1;
    check_refused(&shop, &["found 24 of them, expected 25 at least", "lower max_tokens"]);
    shop.content().text[0].max_tokens = PLACES;
    for damage in 0..bert().len() {
        let mut tensors = bert();
        let name = tensors[damage].0;
        tensors[damage].1.push(1);
        shop.write("model.safetensors", safetensors(&tensors));
        check_refused(&shop, &["model.safetensors", name]);
    }
}
