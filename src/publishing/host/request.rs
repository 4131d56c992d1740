//! Asking a host.

use std::io::Read;
use std::time::Duration;

use ureq::Agent;

/// For a whole answer: an object may have some MB.
const WHOLE: Duration = Duration::from_mins(1);
/// Redirects within the host that are followed.
const REDIRECTS: usize = 5;

/// Who asks.
pub(super) struct Client {
    agent: Agent,
    origin: String,
}

/// What a host answered.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    /// No more than one byte beyond what was asked for.
    pub(super) body: Vec<u8>,
    /// Redirects that led to it.
    pub(super) redirects: usize,
    /// Where it would have led, if that is another host.
    pub(super) elsewhere: Option<String>,
}

impl Answer {
    /// A header, in lower case and without white space.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let found: Vec<&str> =
            self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect();
        if found.is_empty() { None } else { Some(found.join(",").to_ascii_lowercase().replace(' ', "")) }
    }

    /// Whether a directive is in `Cache-Control`.
    pub(super) fn caches(&self, directive: &str) -> bool {
        self.header("cache-control").is_some_and(|value| value.split(',').any(|other| other == directive))
    }

    /// Seconds that it may be cached.
    pub(super) fn max_age(&self) -> u64 {
        let value = self.header("cache-control").unwrap_or_default();
        value.split(',').find_map(|part| part.strip_prefix("max-age=")?.parse().ok()).unwrap_or_default()
    }

    /// What it says of caches, to show.
    pub(super) fn cache_control(&self) -> String {
        self.header("cache-control").unwrap_or_else(|| "no Cache-Control".to_owned())
    }
}

impl Client {
    pub(super) fn new(origin: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(WHOLE))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false);
        Self { agent: Agent::new_with_config(config.build()), origin: origin.to_owned() }
    }

    /// Asks for an address, with an origin and encodings that are taken, up to one byte beyond `limit`.
    pub(super) fn get(&self, url: &str, origin: bool, encodings: &str, limit: u64) -> Result<Answer, String> {
        let mut url = url.to_owned();
        for redirects in 0..=REDIRECTS {
            let mut request = self.agent.get(&url).header("Accept-Encoding", encodings);
            if origin {
                request = request.header("Origin", &self.origin);
            }
            let mut response = request.call().map_err(|error| error.to_string())?;
            let headers = response.headers().iter();
            let headers = headers.map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            });
            let mut answer = Answer {
                status: response.status().as_u16(),
                headers: headers.collect(),
                redirects,
                ..Answer::default()
            };
            let location = answer.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.clone());
            if let (300..=399, Some(location)) = (answer.status, location) {
                let Some(next) = same_host(&url, &location) else {
                    answer.elsewhere = Some(location);
                    return Ok(answer);
                };
                url = next;
                continue;
            }
            let mut body = response.body_mut().as_reader().take(limit + 1);
            body.read_to_end(&mut answer.body).map_err(|error| error.to_string())?;
            return Ok(answer);
        }
        Err(format!("more than {REDIRECTS} redirects"))
    }
}

/// Scheme, host and port of an address.
pub(super) fn origin_of(url: &str) -> Option<&str> {
    let host = url.find("://")? + 3;
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    Some(&url[..end])
}

/// Where a redirect leads, if it stays on its host.
fn same_host(from: &str, location: &str) -> Option<String> {
    let origin = origin_of(from)?;
    match location.strip_prefix('/') {
        Some(rest) if !rest.starts_with('/') => Some(format!("{origin}{location}")),
        _ if origin_of(location) == Some(origin) => Some(location.to_owned()),
        _ => None,
    }
}
