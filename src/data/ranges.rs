//! The ranges of what `[content]`, `[model]`, `[train]`, `[ranker]`, `[index]`, `[columns]` and `[lists]` say, so that nothing later has to doubt them.

use super::config::{
    ColumnsConfig, Config, ContentConfig, EncoderConfig, Examples, IndexConfig, Layout, ListsConfig, Loss, ModelConfig,
    RankerConfig, RateConfig, TrainConfig,
};
use super::{DataError, Task};
use crate::shard::columns::format::MAX_NAME_BYTES;

type Check = Result<(), DataError>;

fn number(key: &'static str, found: f32, fits: impl Fn(f32) -> bool, expected: &'static str) -> Check {
    if found.is_finite() && fits(found) {
        return Ok(());
    }
    Err(DataError::ConfigValue { key, found: found.to_string(), expected })
}

fn count(key: &'static str, found: usize, most: usize, expected: &'static str) -> Check {
    if (1..=most).contains(&found) {
        return Ok(());
    }
    Err(DataError::ConfigValue { key, found: found.to_string(), expected })
}

fn share(key: &'static str, found: f32) -> Check {
    number(key, found, |found| (0.0..=1.0).contains(&found), "a share from 0 to 1")
}

/// Checks everything but what preparation checks itself.
pub(super) fn check(config: &Config) -> Check {
    config.split.test_from_ms()?;
    content(config)?;
    model(&config.model)?;
    train(&config.train)?;
    examples(config)?;
    ranker(&config.ranker)?;
    index(&config.index)?;
    by(config)?;
    columns(config)?;
    lists(&config.lists)
}

fn content(config: &Config) -> Check {
    let Some(content) = &config.content else { return Ok(()) };
    let wrong = |key, found: &str, expected| Err(DataError::ConfigValue { key, found: found.to_owned(), expected });
    if content.text.is_empty() && content.vectors.is_empty() {
        return wrong("content", "empty", "text, vectors or both");
    }
    let is_part = |name: &String| {
        ContentConfig::OWN.contains(&name.as_str()) || config.catalogue.columns.attributes.contains_key(name)
    };
    if let Some(name) = content.columns.iter().find(|name| !is_part(name)) {
        return wrong("content.columns", name, "title, category, brand and names of catalogue.columns.attributes");
    }
    if content.columns.is_empty() && !content.text.is_empty() {
        return wrong("content.columns", "empty", "a column at least, or no content.text");
    }
    for text in &content.text {
        let found = match (&text.vectors, &text.encoder) {
            (Some(_), Some(_)) => "vectors and encoder",
            (None, None) => "neither vectors nor encoder",
            _ => continue,
        };
        return wrong("content.text", found, "either vectors or encoder");
    }
    if let Some(text) = content.text.iter().find(|text| !(8..=512).contains(&text.max_tokens)) {
        return wrong("content.text.max_tokens", &text.max_tokens.to_string(), "8 to 512");
    }
    Ok(())
}

fn by(config: &Config) -> Check {
    let is_by_column = config.index.layout == Some(Layout::ByColumn);
    let is_column = |name: &String| {
        ["brand", "category"].contains(&name.as_str()) || config.catalogue.columns.attributes.contains_key(name)
    };
    match &config.index.by {
        None if !is_by_column => Ok(()),
        Some(name) if is_by_column && is_column(name) => Ok(()),
        found => Err(DataError::ConfigValue {
            key: "index.by",
            found: found.clone().unwrap_or("nothing".to_owned()),
            expected: "brand, category or a name of catalogue.columns.attributes with layout = \"by column\", else nothing",
        }),
    }
}

fn model(model: &ModelConfig) -> Check {
    if !model.dim.is_multiple_of(8) || !(8..=512).contains(&model.dim) {
        let found = model.dim.to_string();
        return Err(DataError::ConfigValue { key: "model.dim", found, expected: "a multiple of 8 from 8 to 512" });
    }
    encoder(model)?;
    count("model.hidden", model.hidden, 4096, "1 to 4096")?;
    count("model.history", model.history, 1024, "1 to 1024")?;
    number("model.history_decay", model.history_decay, |decay| decay > 0.0 && decay <= 1.0, "above 0, at most 1")?;
    share("model.history_count_power", model.history_count_power)?;
    if let Some(user) = &model.user_vector {
        count("model.user_vector.factors", user.factors, 512, "1 to 512")?;
        number("model.user_vector.alpha", user.alpha, |found| found > 0.0, "above 0")?;
        number("model.user_vector.regularization", user.regularization, |found| found > 0.0, "above 0")?;
        share("model.user_vector.frequency_exponent", user.frequency_exponent)?;
    }
    count("model.context_dim", model.context_dim, 256, "1 to 256")?;
    count("model.location_buckets", model.location_buckets as usize, 1 << 20, "1 to 1048576")?;
    count("model.label_dim", model.label_dim, 256, "1 to 256")?;
    count("model.token_dim", model.token_dim, 512, "1 to 512")?;
    count("model.token_buckets", model.token_buckets as usize, 1 << 22, "1 to 4194304")?;
    count("model.max_tokens", model.max_tokens, 256, "1 to 256")?;
    let Some(prior) = &model.prior else { return Ok(()) };
    number("model.prior.strength", prior.strength, |found| found > 0.0 && found <= 1.0, "above 0, at most 1")?;
    number("model.prior.recent_days", prior.recent_days, |days| days > 0.0 && days <= 36_525.0, "above 0")?;
    share("model.prior.recent_weight", prior.recent_weight)
}

fn encoder(model: &ModelConfig) -> Check {
    match model.encoder {
        EncoderConfig::Mean => Ok(()),
        EncoderConfig::Gru { hidden } | EncoderConfig::Lstm { hidden } => {
            // Clients run a program that has every step of the history.
            count("model.history", model.history, 200, "1 to 200 with a GRU or an LSTM")?;
            count("model.encoder.hidden", hidden, 512, "1 to 512")
        }
        EncoderConfig::Attention { layers, heads, feed_forward } => {
            count("model.encoder.layers", layers, 8, "1 to 8")?;
            count("model.encoder.feed_forward", feed_forward, 4096, "1 to 4096")?;
            if heads > 0 && model.dim.is_multiple_of(heads) {
                return Ok(());
            }
            let found = format!("{heads} of model.dim = {}", model.dim);
            Err(DataError::ConfigValue { key: "model.encoder.heads", found, expected: "a divisor of model.dim" })
        }
    }
}

/// What training asks for must fit together.
fn examples(config: &Config) -> Check {
    let (train, encoder) = (&config.train, config.model.encoder);
    if train.examples == Examples::Sequences && encoder == EncoderConfig::Mean {
        let (key, found) = ("train.examples", "sequences with model.encoder = mean".to_owned());
        return Err(DataError::ConfigValue { key, found, expected: "baskets, or another encoder" });
    }
    if train.loss == Loss::Full && train.uniform_negatives > 0 {
        let (key, found) = ("train.uniform_negatives", train.uniform_negatives.to_string());
        return Err(DataError::ConfigValue { key, found, expected: "0 with train.loss = full, which has all items" });
    }
    if train.hard_negatives > 0 && (train.loss == Loss::Full || train.examples == Examples::Sequences) {
        let (key, found) = ("train.hard_negatives", train.hard_negatives.to_string());
        return Err(DataError::ConfigValue { key, found, expected: "0, or loss = sampled with examples = baskets" });
    }
    Ok(())
}

fn train(train: &TrainConfig) -> Check {
    count("train.steps", train.steps, usize::MAX, "1 or more")?;
    count("train.queries", train.queries, 1 << 16, "1 to 65536")?;
    count("train.targets", train.targets, 1 << 12, "1 to 4096")?;
    number("train.temperature", train.temperature, |found| (1e-3..=100.0).contains(&found), "0.001 to 100")?;
    let below_one = |found: f32| (0.0..1.0).contains(&found);
    number("train.label_smoothing", train.label_smoothing, below_one, "0 to below 1")?;
    number("train.dropout", train.dropout, below_one, "0 to below 1")?;
    if train.uniform_negatives > 1 << 16 {
        let found = train.uniform_negatives.to_string();
        return Err(DataError::ConfigValue { key: "train.uniform_negatives", found, expected: "0 to 65536" });
    }
    share("train.log_q", train.log_q)?;
    share("train.id_dropout", train.id_dropout)?;
    share("train.history_dropout", train.history_dropout)?;
    share("train.context_dropout", train.context_dropout)?;
    share("train.user_dropout", train.user_dropout)?;
    for weight in train.event_weights.values() {
        number("train.event_weights", *weight, |weight| (0.0..=1000.0).contains(&weight), "0 to 1000")?;
    }
    if train.hard_negatives > 64 {
        let found = train.hard_negatives.to_string();
        return Err(DataError::ConfigValue { key: "train.hard_negatives", found, expected: "0 to 64" });
    }
    count("train.mine_every", train.mine_every, usize::MAX, "1 or more")?;
    if let Some(stop) = &train.early_stopping {
        count("train.early_stopping.every", stop.every, usize::MAX, "1 or more")?;
        count("train.early_stopping.patience", stop.patience, usize::MAX, "1 or more")?;
        count("train.early_stopping.users", stop.users, usize::MAX, "1 or more")?;
        number("train.early_stopping.days", stop.days, |days| days > 0.0 && days <= 3660.0, "above 0, at most 3660")?;
    }
    number("train.half_life_days", train.half_life_days, |days| days >= 0.0, "0 or more")?;
    share("train.basket_power", train.basket_power)?;
    if let Some(warm) = &train.warm_start {
        number("train.warm_start.alpha", warm.alpha, |found| found > 0.0, "above 0")?;
        number("train.warm_start.regularization", warm.regularization, |found| found > 0.0, "above 0")?;
        share("train.warm_start.frequency_exponent", warm.frequency_exponent)?;
        number("train.warm_start.rate", warm.rate, |found| found > 0.0 && found <= 1.0, "above 0, at most 1")?;
    }
    rate(["train.table_rate.peak", "train.table_rate.warm_up", "train.table_rate.last"], &train.table_rate)?;
    rate(["train.dense_rate.peak", "train.dense_rate.warm_up", "train.dense_rate.last"], &train.dense_rate)
}

fn ranker(ranker: &RankerConfig) -> Check {
    count("ranker.steps", ranker.steps, 1 << 24, "1 to 16777216")?;
    count("ranker.batch", ranker.batch, 1 << 16, "1 to 65536")?;
    for (name, found, least, most, expected) in [
        ("ranker.vector", ranker.vector, 0, 64, "0 to 64"),
        ("ranker.experts", ranker.experts, 1, 8, "1 to 8"),
        ("ranker.own", ranker.own, 0, 1000, "0 to 1000"),
        ("ranker.windows", ranker.windows, 1, 12, "1 to 12"),
        ("ranker.history", ranker.history, 1, 1000, "1 to 1000"),
        ("ranker.top", ranker.top.len(), 0, 4, "at most 4 layers"),
    ] {
        if !(least..=most).contains(&found) {
            return Err(DataError::ConfigValue { key: name, found: found.to_string(), expected });
        }
    }
    for width in &ranker.top {
        count("ranker.top", *width, 1024, "widths of 1 to 1024")?;
    }
    count("ranker.bottom", ranker.bottom.len(), 4, "1 to 4 layers")?;
    for width in &ranker.bottom {
        count("ranker.bottom", *width, 1024, "widths of 1 to 1024")?;
    }
    // 0 is no layer.
    count("ranker.head", ranker.head.max(1), 1024, "0 to 1024")?;
    let weights = ["ranker.tasks.click", "ranker.tasks.cart", "ranker.tasks.purchase"];
    for (key, task) in weights.into_iter().zip(Task::ALL) {
        number(key, ranker.tasks.of(task), |weight| (0.0..=1e6).contains(&weight), "0 or more")?;
    }
    count("ranker.tasks", ranker.tasks.trained().len(), 3, "a weight above 0")?;
    count("ranker.positions", ranker.positions, 1 << 12, "1 to 4096")?;
    let dropout = ranker.position_dropout;
    number("ranker.position_dropout", dropout, |share| share > 0.0 && share <= 1.0, "above 0, at most 1")?;
    rate(["ranker.rate.peak", "ranker.rate.warm_up", "ranker.rate.last"], &ranker.rate)
}

fn rate([peak, warm_up, last]: [&'static str; 3], rate: &RateConfig) -> Check {
    number(peak, rate.peak, |found| found > 0.0 && found <= 10.0, "above 0, at most 10")?;
    share(warm_up, rate.warm_up)?;
    share(last, rate.last)
}

fn index(index: &IndexConfig) -> Check {
    if let Some(bits) = index.bits.filter(|bits| ![4, 6, 8].contains(bits)) {
        return Err(DataError::ConfigValue { key: "index.bits", found: bits.to_string(), expected: "4, 6 or 8" });
    }
    count("index.cluster_items", index.cluster_items, 1 << 16, "1 to 65536")?;
    count("index.cells", index.cells.unwrap_or(1), 1 << 16, "1 to 65536")?;
    count("index.probes", index.probes.unwrap_or(1), 1 << 16, "1 to 65536")
}

fn columns(config: &Config) -> Check {
    let attributes = &config.catalogue.columns.attributes;
    let fits = |name: &str| {
        (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
            && !ColumnsConfig::OWN.contains(&name)
    };
    if let Some(found) = attributes.keys().find(|name| !fits(name)).cloned() {
        let expected = "names of 1 to 64 letters, digits, _ and -, none of them price, category, brand or popularity";
        return Err(DataError::ConfigValue { key: "catalogue.columns.attributes", found, expected });
    }
    let names = config.columns.names.as_deref().unwrap_or_default();
    let known = |name: &String| ColumnsConfig::OWN.contains(&name.as_str()) || attributes.contains_key(name);
    match names.iter().enumerate().find(|(at, name)| !known(name) || names[..*at].contains(name)) {
        Some((_, found)) => Err(DataError::ConfigValue {
            key: "columns.names",
            found: found.clone(),
            expected: "price, category, brand, popularity and names of catalogue.columns.attributes, each once",
        }),
        None => Ok(()),
    }
}

fn lists(lists: &ListsConfig) -> Check {
    // 0 is no such list.
    count("lists.together", lists.together.max(1), 1000, "0 to 1000")?;
    count("lists.trending", lists.trending.max(1), 1000, "0 to 1000")?;
    count("lists.days", lists.days as usize, 366, "1 to 366")?;
    count("lists.min_shoppers", lists.min_shoppers as usize, u32::MAX as usize, "1 or more")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_named() {
        let base = "name = \"x\"\n[events]\npath = \"e\"\n[events.columns]\nuser = \"u\"\nitem = \"i\"\ntime = \"t\"\n\
                    [catalogue]\npath = \"c\"\n[catalogue.columns]\nitem = \"i\"\ntitle = []\n[split]\ntest_from = \"2020-01-01\"\n";
        let read = |more: &str| check(&toml::from_str(&format!("{base}{more}")).unwrap());
        assert!(read("").is_ok());
        let columns = "[catalogue.columns.attributes]\nweight-g = \"w\"\n[columns]\nnames = [\"weight-g\", \"price\"]";
        assert!(read("[index]\nlayout = \"by column\"\nby = \"brand\"").is_ok());
        assert!(read(columns).is_ok() && read("[columns]\nnames = []").is_ok());
        let encoder = "[[content.text]]\ntokenizer = \"t\"\nencoder = \"e\"";
        assert!(read(encoder).is_ok() && read("[[content.vectors]]\npath = \"v\"").is_ok());
        let short = format!("{encoder}\nmax_tokens = 7");
        let broken = [
            ("[content]", "content"),
            ("[content]\ncolumns = [\"colour\"]\nvectors = [{ path = \"v\" }]", "content.columns"),
            ("[content]\ncolumns = []\ntext = [{ tokenizer = \"t\", encoder = \"e\" }]", "content.columns"),
            ("[[content.text]]\ntokenizer = \"t\"", "content.text"),
            ("[[content.text]]\ntokenizer = \"t\"\nvectors = \"v\"\nencoder = \"e\"", "content.text"),
            (&*short, "content.text.max_tokens"),
            ("[model]\ndim = 12", "model.dim"),
            ("[model]\ntoken_buckets = 0", "model.token_buckets"),
            ("[model]\nlabel_dim = 0", "model.label_dim"),
            ("[model]\nprior = { strength = 0, recent_days = 1, recent_weight = 0 }", "model.prior.strength"),
            ("[train]\ncontext_dropout = 1.5", "train.context_dropout"),
            ("[train]\nid_dropout = nan", "train.id_dropout"),
            ("[train]\nqueries = 0", "train.queries"),
            ("[train]\nexamples = \"sequences\"", "train.examples"),
            ("[train]\nloss = \"full\"\nuniform_negatives = 8", "train.uniform_negatives"),
            ("[train]\nlabel_smoothing = 1", "train.label_smoothing"),
            ("[train]\nevent_weights = { view = -1 }", "train.event_weights"),
            ("[train]\nloss = \"full\"\nhard_negatives = 2", "train.hard_negatives"),
            ("[train]\nearly_stopping = { every = 0, patience = 1 }", "train.early_stopping.every"),
            (
                "[model]\nuser_vector = { factors = 0, alpha = 1, regularization = 1, frequency_exponent = 0 }",
                "model.user_vector.factors",
            ),
            (
                "[model]\nencoder = { kind = \"attention\", layers = 1, heads = 3, feed_forward = 9 }",
                "model.encoder.heads",
            ),
            ("[model]\nencoder = { kind = \"gru\", hidden = 0 }", "model.encoder.hidden"),
            ("[train]\ntemperature = 0", "train.temperature"),
            ("[ranker]\nbottom = []", "ranker.bottom"),
            ("[ranker]\nbottom = [32, 0]", "ranker.bottom"),
            ("[ranker.tasks]\nclick = -1", "ranker.tasks.click"),
            ("[ranker.tasks]\nclick = 0\ncart = 0\npurchase = 0", "ranker.tasks"),
            ("[ranker]\nposition_dropout = 0", "ranker.position_dropout"),
            ("[ranker.rate]\npeak = 0\nwarm_up = 0\nlast = 0", "ranker.rate.peak"),
            ("[index]\nbits = 5", "index.bits"),
            ("[index]\nprobes = 0", "index.probes"),
            ("[index]\nlayout = \"by column\"", "index.by"),
            ("[index]\nlayout = \"by column\"\nby = \"price\"", "index.by"),
            ("[index]\nby = \"brand\"", "index.by"),
            ("[lists]\ndays = 0", "lists.days"),
            ("[lists]\nmin_shoppers = 0", "lists.min_shoppers"),
            ("[lists]\ntogether = 1001", "lists.together"),
            ("[columns]\nnames = [\"colour\"]", "columns.names"),
            ("[columns]\nnames = [\"price\", \"price\"]", "columns.names"),
            ("[catalogue.columns.attributes]\nbrand = \"b\"", "catalogue.columns.attributes"),
            ("[catalogue.columns.attributes]\n\"a b\" = \"b\"", "catalogue.columns.attributes"),
            (
                "[train.warm_start]\nalpha = 1\nregularization = 0\nfrequency_exponent = 0.5\nrate = 0.1",
                "train.warm_start.regularization",
            ),
        ];
        for (more, expected) in broken {
            let error = read(more).unwrap_err();
            assert!(matches!(&error, DataError::ConfigValue { key, .. } if *key == expected), "{more}: {error}");
        }
    }
}
