//! The wasm-bindgen boundary: bytes and JSON in, JSON out. It converts; the work is done by [`sync`](crate::sync) and
//! [`recommend`](crate::recommend).
//!
//! Every error is a JavaScript `Error` with a stable `code`.

use wasm_bindgen::prelude::*;

use crate::Digest;
use crate::features::Context;
use crate::json::write::{self, Field};
use crate::json::{self, Json, JsonError, Value};
use crate::recommend::{By, Explanation, HistoryEvent, RecommendError, Recommender, Request};
use crate::release::Root;
use crate::release::rules::Boost;
use crate::shard::columns::ColumnFilter;
use crate::sync::{Assembly, DEFAULT_HARD_LIMIT, Fetch, Freshness, Serving, SyncError, Trust};

/// One shopper's engine: the release that is being fetched, and the one that recommends.
#[wasm_bindgen]
pub struct Engine {
    assembly: Assembly,
    recommender: Option<Recommender>,
}

#[wasm_bindgen]
impl Engine {
    /// An engine without a release.
    #[wasm_bindgen(constructor)]
    #[expect(clippy::new_without_default, reason = "JavaScript calls the constructor")]
    pub fn new() -> Self {
        Self { assembly: Assembly::default(), recommender: None }
    }

    /// Says which shards of a release by column are wanted, before the first head.
    #[wasm_bindgen(js_name = setSegment)]
    pub fn set_segment(&mut self, segment: String) {
        self.assembly.set_segment(Some(segment));
    }

    /// Says how many bytes of releases may be held, before the first head.
    #[wasm_bindgen(js_name = setBudget)]
    pub fn set_budget(&mut self, bytes: f64) {
        self.assembly.set_budget(bytes as u64);
    }

    /// Has signatures count, before the first head: those of the root that `pin` names, of heads until `hard_limit` seconds after their end.
    ///
    /// # Errors
    /// If the text pins no root.
    #[wasm_bindgen(js_name = setPin)]
    pub fn set_pin(&mut self, pin: &str, hard_limit: Option<f64>) -> Result<(), JsValue> {
        let pin = pin.parse().map_err(|error| js_error(&error, "request/public-key"))?;
        let hard_limit = hard_limit.map_or(DEFAULT_HARD_LIMIT, |seconds| seconds as u64);
        self.assembly.set_trust(Trust::pinned(pin, hard_limit));
        Ok(())
    }

    /// Where the root lies that [`Engine::add_root`] needs before this head can be taken.
    #[wasm_bindgen(js_name = rootBefore)]
    pub fn root_before(&self, head: &[u8]) -> Option<String> {
        self.assembly.trust().root_before(head).map(Root::path)
    }

    /// Where the root lies that may follow the newest one that is known, whatever a head says: an earlier visit may have kept it.
    #[wasm_bindgen(js_name = nextRoot)]
    pub fn next_root(&self) -> Option<String> {
        self.assembly.trust().next_root().map(Root::path)
    }

    /// Takes the bytes of a root.
    ///
    /// # Errors
    /// If it is not the next one, or not signed as it must be. What was trusted before is.
    #[wasm_bindgen(js_name = addRoot)]
    pub fn add_root(&mut self, bytes: &[u8]) -> Result<(), JsValue> {
        self.assembly.add_root(bytes).map_err(|error| sync_error(&error))
    }

    /// Takes up the head that an earlier visit took last: no lower one passes from now on. One that does not count any more is skipped.
    pub fn restore(&mut self, head: &[u8]) {
        self.assembly.restore(head);
    }

    /// Takes the bytes of `head.json` at the moment `now`, in seconds since 1970; what to fetch next, as JSON. Without a moment
    /// nothing has ended.
    ///
    /// # Errors
    /// If the head is damaged, goes back in time, has ended or is not signed as it must be. What served before serves on.
    #[wasm_bindgen(js_name = setHead)]
    pub fn set_head(&mut self, bytes: &[u8], now: Option<f64>) -> Result<String, JsValue> {
        let missing = self.assembly.set_head_at(bytes, seconds(now)).map_err(|error| sync_error(&error))?;
        self.renew();
        Ok(fetches(&missing))
    }

    /// Takes a fetched object; what is still missing, as JSON. `computed` is the SHA-256 that the host computed over exactly
    /// these bytes, in place of one computed here.
    ///
    /// # Errors
    /// If the bytes are not what the release names. What served before serves on.
    pub fn accept(&mut self, digest: &str, bytes: Vec<u8>, computed: Option<Vec<u8>>) -> Result<String, JsValue> {
        let digest = digest.parse().map_err(|error| js_error(&error, "request/digest"))?;
        let computed = match computed {
            Some(raw) => Digest::from_bytes(raw.try_into().map_err(|_| {
                js_error(&"the computed digest has another length than the 32 bytes of a SHA-256", "request/digest")
            })?),
            None => Digest::of(&bytes),
        };
        let missing = self.assembly.accept_digested(digest, bytes, computed).map_err(|error| sync_error(&error))?;
        self.renew();
        Ok(fetches(&missing))
    }

    /// Whether there is a release to recommend from.
    #[wasm_bindgen(js_name = isReady)]
    pub fn is_ready(&self) -> bool {
        self.recommender.is_some()
    }

    /// The release that serves, as JSON, at the moment `now`, in seconds since 1970.
    ///
    /// # Errors
    /// If there is none yet.
    pub fn status(&self, now: Option<f64>) -> Result<String, JsValue> {
        let (status, now) = (self.assembly.status(), seconds(now));
        let trust = self.assembly.freshness(now).map(|(freshness, ends)| {
            let mut fields = vec![("freshness", Field::Text(freshness.key()))];
            if freshness != Freshness::Unsigned {
                fields.push(("ends", Field::Whole(ends)));
                fields.push(("behind", Field::Whole(self.assembly.trust().behind(now))));
            }
            write::object(&fields)
        });
        let trust = trust.ok_or_else(not_ready)?;
        status.serving.as_ref().map(|release| serving(release, &trust)).ok_or_else(not_ready)
    }

    /// What to fetch before this request can be answered as if everything were held, as JSON. When that has been accepted,
    /// there may be more.
    ///
    /// # Errors
    /// As [`Engine::recommend`].
    pub fn absent(&mut self, request: &str) -> Result<String, JsValue> {
        let request = parse(request)?;
        let recommender = self.recommender.as_mut().ok_or_else(not_ready)?;
        let request = recommender.ruled(request).map_err(|error| request_error(&error))?;
        let absent = recommender.absent(&request).map_err(|error| request_error(&error))?;
        Ok(fetches(&self.assembly.fetch_of(&absent)))
    }

    /// What to fetch for the cards of an item, or without one for all there are; held or not, as JSON.
    #[expect(clippy::needless_pass_by_value, reason = "an optional text comes by value from JavaScript")]
    pub fn cards(&self, id: Option<String>) -> String {
        fetches(&self.assembly.cards_of(id.as_deref()))
    }

    /// What to fetch for the list of this name, as JSON: one object, or none where the release has no lists.
    pub fn lists(&self, name: &str) -> String {
        fetches(self.assembly.list_of(name).as_slice())
    }

    /// The query embedding of a request, as [`Engine::recommend`] computes it.
    ///
    /// # Errors
    /// As [`Engine::recommend`].
    pub fn embed(&mut self, request: &str) -> Result<Vec<f32>, JsValue> {
        let request = parse(request)?;
        let recommender = self.recommender.as_mut().ok_or_else(not_ready)?;
        let query = recommender.query(&request).map_err(|error| request_error(&error))?;
        Ok(query.embedding)
    }

    /// Recommends: request and answer as JSON.
    ///
    /// # Errors
    /// If there is no release yet, or the request is not right.
    pub fn recommend(&mut self, request: &str) -> Result<String, JsValue> {
        let request = parse(request)?;
        let recommender = self.recommender.as_mut().ok_or_else(not_ready)?;
        let started = now();
        let request = recommender.ruled(request).map_err(|error| request_error(&error))?;
        let query = recommender.query(&request).map_err(|error| request_error(&error))?;
        let embedded = now();
        let candidates = recommender.retrieve(&query, &request).map_err(|error| request_error(&error))?;
        let retrieved = now();
        let items = recommender.arrange(candidates, (&query, &request)).map_err(|error| request_error(&error))?;
        let reasons = recommender.reasons(&items, (&query, &request), request.reasons);
        let mut reasons = reasons.map_err(|error| request_error(&error))?.into_iter();
        let items = write::array(items.iter().map(|item| {
            let score = write::float(item.score);
            let propensity = item.propensity.map(write::float);
            let price = recommender.price(item);
            let mut fields = vec![("id", Field::Text(&item.id)), ("score", Field::Json(&score))];
            fields.extend(price.map(|price| ("price", Field::Whole(price))));
            fields.extend(item.is_pinned.then_some(("pinned", Field::Json("true"))));
            fields.extend(propensity.as_deref().map(|propensity| ("propensity", Field::Json(propensity))));
            let value = item.value.map(write::float);
            fields.extend(value.as_deref().map(|value| ("value", Field::Json(value))));
            let because = reasons.next().flatten();
            fields.extend(because.as_deref().map(|id| ("because", Field::Text(id))));
            fields.extend(item.instead_of.as_deref().map(|other| ("insteadOf", Field::Text(other))));
            write::object(&fields)
        }));
        let history = write::array(query.history.iter().map(|id| write::quoted(id)));
        let timings = [("tower", embedded - started), ("search", retrieved - embedded), ("rank", now() - retrieved)]
            .map(|(stage, milliseconds)| (stage, write::float(milliseconds as f32)));
        let timings = timings.each_ref().map(|(stage, milliseconds)| (*stage, Field::Json(milliseconds)));
        Ok(write::object(&[
            ("items", Field::Json(&items)),
            ("history", Field::Json(&history)),
            ("source", Field::Text(if query.history.is_empty() { "default" } else { "history" })),
            ("timings", Field::Json(&write::object(&timings))),
        ]))
    }
}

#[wasm_bindgen]
impl Engine {
    /// What every stage decides of an item when it answers a request: both as JSON.
    ///
    /// # Errors
    /// As [`Engine::recommend`].
    pub fn explain(&mut self, request: &str, id: &str) -> Result<String, JsValue> {
        let request = parse(request)?;
        let recommender = self.recommender.as_mut().ok_or_else(not_ready)?;
        let found = recommender.explain(&request, id, request.reasons).map_err(|error| request_error(&error))?;
        Ok(explanation(&found))
    }
}

impl Engine {
    /// Takes over a release that has become whole, or more of the one that serves.
    fn renew(&mut self) {
        let Some(release) = self.assembly.ready() else { return };
        match &mut self.recommender {
            Some(recommender) => recommender.renew(release),
            None => self.recommender = Some(Recommender::of(release)),
        }
    }
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;
}

fn parse(request: &str) -> Result<Request, JsValue> {
    let wrong = |error: &dyn std::fmt::Display| js_error(error, "request/json");
    let value = json::parse(request.as_bytes()).map_err(|error| wrong(&error))?;
    let json = Json::new(&value, "request");
    let mut request = read(&json).map_err(|error| wrong(&error))?;
    if let Some(filter) = json.field("where").optional() {
        let filter = filter.value().map(ColumnFilter::from_value).transpose();
        request.filter = filter.map_err(|error| request_error(&error.into()))?.unwrap_or_default();
    }
    Ok(request)
}

/// A moment in milliseconds. Beyond the range of dates in JavaScript, and for NaN, it counts as unknown.
fn moment(json: Json<'_>) -> Result<Option<i64>, JsonError> {
    let moment = json.optional().map(|moment| moment.float()).transpose()?;
    Ok(moment.filter(|moment| moment.abs() <= 8.64e15).map(|moment| moment as i64))
}

/// All but the filter.
fn read(json: &Json<'_>) -> Result<Request, JsonError> {
    let event = |event: &Json<'_>| {
        let event_type = event.field("type").optional().map_or(Ok(""), |name| name.text())?.to_owned();
        Ok(HistoryEvent { id: event.field("id").text()?.to_owned(), event_type, at_ms: moment(event.field("at"))? })
    };
    let events = |name| json.field(name).list_or_none()?.iter().map(event).collect::<Result<_, JsonError>>();
    let (history, past) = (events("history")?, events("past")?);
    let given = json.field("context");
    let now_ms = moment(given.field("now"))?;
    let location = given.field("location").optional().map(|name| name.text().map(str::to_owned)).transpose()?;
    let user = given.field("user").optional().map(|user| user.floats()).transpose()?;
    let candidate = |pair: &Json<'_>| {
        let pair = pair.list()?;
        let [id, score] = &pair[..] else { return Err(json.field("candidates").wrong("pairs of an id and a score")) };
        Ok((id.text()?.to_owned(), score.float()? as f32))
    };
    let candidates = json.field("candidates").optional();
    let candidates = candidates.map(|given| given.list()?.iter().map(candidate).collect()).transpose()?;
    let mut attributes = Vec::new();
    if let Some(named) = given.field("attributes").optional() {
        for (name, _) in named.fields()? {
            attributes.push((name.clone(), named.field(name).text()?.to_owned()));
        }
    }
    let shown = |pair: &Json<'_>| match &pair.list()?[..] {
        [id, times] => Ok((id.text()?.to_owned(), times.u32()?)),
        _ => Err(pair.wrong("an id and how often")),
    };
    Ok(Request {
        limit: json.field("limit").u32()? as usize,
        history,
        like: json.field("like").optional().map(|id| id.text().map(str::to_owned)).transpose()?,
        candidates,
        scenario: json.field("scenario").optional().map(|name| name.text().map(str::to_owned)).transpose()?,
        boosts: json.field("boosts").list_or_none()?.iter().map(Boost::read).collect::<Result<_, _>>()?,
        past,
        shown: json.field("shown").list_or_none()?.iter().map(shown).collect::<Result<_, _>>()?,
        unranked: matches!(json.field("unranked").value(), Some(Value::Bool(true))),
        reasons: json.field("reasons").optional().map_or(Ok(0), |events| events.number(100))? as usize,
        seed: json.field("seed").optional().map_or(Ok(0), |seed| seed.number(u64::MAX))?,
        exclude: json.field("exclude").texts()?,
        filter: ColumnFilter::default(),
        context: Context { now_ms, as_of_ms: None, location, attributes, user },
    })
}

fn explanation(found: &Explanation) -> String {
    let truth = |truth| if truth { "true" } else { "false" };
    let by = |by: Option<By>| by.map_or(Field::Json("null"), |by| Field::Text(by.name()));
    let pair = |name, place: Option<(usize, f32)>| {
        place.map_or("null".to_owned(), |(place, value)| {
            let value = write::float(value);
            write::object(&[("place", Field::Whole(place as u64)), (name, Field::Json(&value))])
        })
    };
    let (retrieved, ranked) = (pair("score", found.retrieved), pair("value", found.ranked));
    let because = write::array(found.because.iter().map(|(id, falls)| {
        let falls = write::float(*falls);
        write::object(&[("id", Field::Text(id)), ("score", Field::Json(&falls))])
    }));
    write::object(&[
        ("known", Field::Json(truth(found.known))),
        ("excluded", by(found.excluded)),
        ("filtered", by(found.filtered)),
        ("outOfStock", Field::Json(truth(found.out_of_stock))),
        ("candidates", Field::Whole(found.candidates as u64)),
        ("retrieved", Field::Json(&retrieved)),
        ("ranked", Field::Json(&ranked)),
        ("boost", Field::Json(&write::float(found.boost))),
        ("shown", Field::Whole(found.shown.into())),
        ("slot", found.slot.map_or(Field::Json("null"), |slot| Field::Whole(slot as u64))),
        ("pinned", Field::Json(truth(found.is_pinned))),
        ("because", Field::Json(&because)),
    ])
}

fn fetches(fetches: &[Fetch]) -> String {
    write::array(fetches.iter().map(|fetch| {
        write::object(&[
            ("path", Field::Text(&fetch.path)),
            ("digest", Field::Text(&fetch.digest.to_string())),
            ("size", Field::Whole(fetch.size)),
            ("kind", Field::Text(fetch.kind.key())),
        ])
    }))
}

/// The seconds of a moment; what is no such number is before everything.
fn seconds(now: Option<f64>) -> u64 {
    now.unwrap_or_default() as u64
}

fn serving(serving: &Serving, trust: &str) -> String {
    let stock = serving.overlay.as_ref().map(|stock| {
        write::object(&[
            ("made", Field::Whole(stock.made_ms)),
            ("out", Field::Whole(stock.out)),
            ("priced", Field::Whole(stock.priced as u64)),
        ])
    });
    write::object(&[
        ("name", Field::Text(&serving.name)),
        ("version", Field::Whole(serving.version)),
        ("towers", Field::Text(&serving.towers.to_string())),
        ("items", Field::Whole(serving.items)),
        ("dim", Field::Whole(serving.dim as u64)),
        ("shards", Field::Whole(serving.shards as u64)),
        ("bytes", Field::Whole(serving.bytes)),
        ("stock", Field::Json(stock.as_deref().unwrap_or("null"))),
        ("trust", Field::Json(trust)),
    ])
}

fn not_ready() -> JsValue {
    js_error(&"no release yet, expected one; fetch what setHead and accept name first", "sync/incomplete")
}

fn sync_error(error: &SyncError) -> JsValue {
    js_error(error, error.code())
}

fn request_error(error: &RecommendError) -> JsValue {
    js_error(error, error.code())
}

fn js_error(error: &dyn std::fmt::Display, code: &str) -> JsValue {
    let value = js_sys::Error::new(&error.to_string());
    // Setting a property of a fresh object cannot fail.
    let _ = js_sys::Reflect::set(&value, &"code".into(), &code.into());
    value.into()
}
