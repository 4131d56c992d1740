//! What clients need of a host.

use super::request::{Answer, Client, origin_of};
use super::{HostQuestion, HostReport, Verdict};
use crate::Digest;
use crate::publishing::{Cached, PublishingError, trusted};
use crate::release::{HEAD_FILE, HEAD_LIMIT, Head, ObjectKind, ObjectRef, ROOT_LIMIT, Root};

/// What a host should let be cached at least, in seconds.
const DAY: u64 = 24 * 60 * 60;
/// A head that ends sooner should have been signed again.
const SOON: u64 = DAY;

const PATH: &str = "serve the folder at this address, and publish into it";
const REDIRECT: &str = "serve the file at its own address: pages allow connections to the host that they know";
const CORS: &str = "send Access-Control-Allow-Origin: *, whether a request has an Origin or not";

/// Asks a host for a release, and says what clients would make of the answers.
pub fn check_host(question: &HostQuestion) -> HostReport {
    let base = question.url.trim_end_matches('/').to_owned();
    let mut check = Check {
        client: Client::new(&question.origin),
        report: HostReport { url: base.clone(), findings: Vec::new() },
        is_same_origin: origin_of(&base) == origin_of(&question.origin),
        base,
        question,
    };
    check.transport();
    if let Some(head) = check.head() {
        check.roots(&head);
        check.object(&head.manifest);
    }
    check.absent();
    check.report
}

struct Check<'q> {
    client: Client,
    report: HostReport,
    base: String,
    is_same_origin: bool,
    question: &'q HostQuestion,
}

impl Check<'_> {
    fn transport(&mut self) {
        let host = origin_of(&self.base).unwrap_or_default();
        let is_here =
            ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|here| host.starts_with(here));
        let is_safe = host.starts_with("https://") || is_here;
        let remedy = "use https: pages over https may not fetch it otherwise, and what is not signed could be changed on the way";
        self.report.judge("transport", is_safe, Verdict::Wrong, host, remedy);
    }

    /// Asks for a file; what is no good answer is reported.
    fn get(&mut self, what: &'static str, path: &str, limit: u64) -> Option<Answer> {
        let answer = match self.client.get(&format!("{}/{path}", self.base), true, "identity", limit) {
            Ok(answer) => answer,
            Err(error) => {
                self.report.add(what, Verdict::Wrong, error, PATH);
                return None;
            }
        };
        if let Some(elsewhere) = &answer.elsewhere {
            self.report.add(what, Verdict::Wrong, format!("a redirect to {elsewhere}"), REDIRECT);
            return None;
        }
        if answer.status != 200 {
            self.report.add(what, Verdict::Wrong, format!("status {}", answer.status), PATH);
            return None;
        }
        let found = if answer.redirects > 0 {
            format!("{path}, after {} redirects", answer.redirects)
        } else {
            path.to_owned()
        };
        self.report.judge(what, answer.redirects == 0, Verdict::Advice, found, REDIRECT);
        Some(answer)
    }

    fn head(&mut self) -> Option<Head> {
        let answer = self.get("head", HEAD_FILE, HEAD_LIMIT as u64)?;
        let is_fresh = answer.caches("no-store") || answer.caches("no-cache");
        let remedy = "send Cache-Control: no-store for head.json, or pages do not learn of new releases";
        self.report.judge("head caching", is_fresh, Verdict::Wrong, answer.cache_control(), remedy);
        self.cors("head CORS", HEAD_FILE, &answer);
        let read = Head::parse(&answer.body);
        let found = match &read {
            Ok(head) => format!("version {}, {} bytes", head.version, answer.body.len()),
            Err(error) => error.to_string(),
        };
        let remedy = "publish again, and have the host leave the bytes as they are";
        self.report.judge("head content", read.is_ok(), Verdict::Wrong, found, remedy);
        let head = read.ok()?;
        self.signatures(&answer.body, &head);
        Some(head)
    }

    fn signatures(&mut self, bytes: &[u8], head: &Head) {
        let now = self.question.now;
        let Some(pin) = self.question.pin else {
            let found = if head.terms.is_some() { "signed, not checked" } else { "unsigned" };
            let remedy = "give the public key with --public-key; make keys with nearshelf keys init";
            self.report.add("signatures", Verdict::Advice, found, remedy);
            return;
        };
        let (client, base) = (&self.client, &self.base);
        let get = |path: &str| -> Result<Option<Vec<u8>>, PublishingError> {
            let answer = client.get(&format!("{base}/{path}"), true, "identity", ROOT_LIMIT as u64);
            Ok(answer.ok().filter(|answer| answer.status == 200).map(|answer| answer.body))
        };
        match trusted(pin, bytes, now, get) {
            Ok(trusted) => {
                let left = trusted.ends.saturating_sub(now);
                let found = format!("right, under root {}, for {} hours", trusted.root, left / 3600);
                let remedy = "publish more often than heads end, or with more --days";
                self.report.judge("signatures", left > SOON, Verdict::Advice, found, remedy);
            }
            Err(error) => {
                let remedy =
                    "publish with the keys of this public key; pages that have it show nothing of this release";
                self.report.add("signatures", Verdict::Wrong, error.to_string(), remedy);
            }
        }
    }

    /// The newest root, where the head is signed.
    fn roots(&mut self, head: &Head) {
        let Some(terms) = &head.terms else { return };
        let Some(answer) = self.get("root", &Root::path(terms.root), ROOT_LIMIT as u64) else { return };
        let found = match Root::parse(&answer.body) {
            Ok(root) if root.version == terms.root => None,
            Ok(root) => Some(format!("version {}, expected {}", root.version, terms.root)),
            Err(error) => Some(error.to_string()),
        };
        if let Some(found) = found {
            self.report.add("root content", Verdict::Wrong, found, "publish again, which puts the roots");
        }
        self.cors("root CORS", &Root::path(terms.root), &answer);
    }

    /// One object stands for all: the manifest.
    fn object(&mut self, object: &ObjectRef) {
        let path = object.path();
        let Some(answer) = self.get("object", &path, ObjectKind::Manifest.limit()) else { return };
        let is_whole = object.check(ObjectKind::Manifest, &answer.body);
        let length = answer.header("content-length").and_then(|length| length.parse::<u64>().ok());
        let is_as_long = length.is_none_or(|length| length == object.size);
        let found = match (&is_whole, is_as_long) {
            (Err(error), _) => error.to_string(),
            (_, false) => format!("Content-Length {}, expected {}", length.unwrap_or_default(), object.size),
            _ => format!("{} bytes, the digest is right", object.size),
        };
        let remedy =
            "have the host leave the bytes as they are: no minifying, no change of text, no page in place of a file";
        self.report.judge("object content", is_whole.is_ok() && is_as_long, Verdict::Wrong, found, remedy);
        self.caching(&answer);
        self.content_type(&answer);
        self.cors("object CORS", &path, &answer);
        let nosniff = answer.header("x-content-type-options");
        let is_set = nosniff.as_deref() == Some("nosniff");
        let found = nosniff.unwrap_or_else(|| "no X-Content-Type-Options".to_owned());
        self.report.judge("nosniff", is_set, Verdict::Advice, found, "send X-Content-Type-Options: nosniff");
        self.compression(&path, length.is_some());
    }

    fn caching(&mut self, answer: &Answer) {
        let remedy =
            "send Cache-Control: public, max-age=31536000, immutable for objects/ and root/: they never change";
        let is_long = answer.max_age() >= 365 * DAY && answer.caches("immutable");
        let is_kept = answer.max_age() >= DAY && !answer.caches("no-store") && !answer.caches("no-cache");
        let verdict = match (is_long && is_kept, is_kept) {
            (true, _) => Verdict::Ok,
            (_, true) => Verdict::Advice,
            _ => Verdict::Wrong,
        };
        self.report.add("object caching", verdict, answer.cache_control(), remedy);
    }

    fn content_type(&mut self, answer: &Answer) {
        let found = answer.header("content-type").unwrap_or_else(|| "no Content-Type".to_owned());
        let verdict = match found.as_str() {
            found if found == Cached::Object.content_type() => Verdict::Ok,
            found if found.starts_with("text/") => Verdict::Wrong,
            _ => Verdict::Advice,
        };
        let remedy = "send Content-Type: application/octet-stream for objects/: hosts change what they take for text";
        self.report.add("object type", verdict, found, remedy);
    }

    /// Whether pages of another origin may read a file, also where a cache keeps the answer to a request without an origin.
    fn cors(&mut self, what: &'static str, path: &str, with: &Answer) {
        if self.is_same_origin {
            self.report.add(what, Verdict::Ok, "the origin of the shop, none is needed", "");
            return;
        }
        let allowed = |answer: &Answer| answer.header("access-control-allow-origin");
        let without = self.client.get(&format!("{}/{path}", self.base), false, "identity", 1 << 20);
        let (with_origin, without_origin) = (allowed(with), without.ok().and_then(|answer| allowed(&answer)));
        let own = self.question.origin.to_ascii_lowercase();
        let varies =
            with.header("vary").is_some_and(|vary| vary.split(',').any(|name| name == "origin" || name == "*"));
        let is_right = match with_origin.as_deref() {
            Some("*") => without_origin.as_deref() == Some("*") || varies,
            Some(allowed) => allowed == own && varies,
            None => false,
        };
        let shown = |allowed: Option<String>| allowed.unwrap_or_else(|| "nothing".to_owned());
        let found = format!("{} with an Origin, {} without", shown(with_origin), shown(without_origin));
        self.report.judge(what, is_right, Verdict::Wrong, found, CORS);
    }

    fn compression(&mut self, path: &str, has_length: bool) {
        let url = format!("{}/{path}", self.base);
        let asked = |encodings| self.client.get(&url, true, encodings, ObjectKind::Manifest.limit()).ok();
        let brotli = asked("br").and_then(|answer| answer.header("content-encoding"));
        // ureq unpacks gzip, and takes the length away that is no longer true then.
        let is_gzip = || has_length && asked("gzip").is_some_and(|answer| answer.header("content-length").is_none());
        let found = match brotli.as_deref() {
            Some("br") => "brotli",
            _ if is_gzip() => "gzip",
            _ => "none",
        };
        let remedy = "have the host compress objects/ with brotli or gzip, also as application/octet-stream; some do it only when told";
        self.report.judge("compression", found != "none", Verdict::Advice, found, remedy);
    }

    /// What is not there must not look as if it were.
    fn absent(&mut self) {
        let path = format!("objects/{}", Digest::from_bytes([0; Digest::LEN]));
        let remedy = "answer 404 for files that are not there: no page, no redirect";
        let (verdict, found) = match self.client.get(&format!("{}/{path}", self.base), true, "identity", 1 << 16) {
            Ok(Answer { elsewhere: Some(elsewhere), .. }) => (Verdict::Wrong, format!("a redirect to {elsewhere}")),
            Ok(Answer { status: status @ (404 | 410), .. }) => (Verdict::Ok, format!("status {status}")),
            Ok(Answer { status: 403, .. }) => (Verdict::Advice, "status 403".to_owned()),
            Ok(Answer { status, .. }) => (Verdict::Wrong, format!("status {status}")),
            Err(error) => (Verdict::Wrong, error),
        };
        self.report.add("absent files", verdict, found, remedy);
    }
}
