//! nearshelf at the edge: a Cloudflare Worker.
//!
//! Routes are pure functions from a request's parts to an [`Answer`], so that they are tested natively; only the folder's
//! own glue to the Workers runtime, compiled for WebAssembly alone, knows a `Request`. What the worker knows about
//! formats comes from [`nearshelf`].

use nearshelf::{release, shard, towers};
use serde_json::{Value, json};

#[cfg(target_arch = "wasm32")]
mod edge;

/// What a request gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The only methods that the path takes, when this was another.
    pub allow: Option<&'static str>,
    /// Body.
    pub body: Value,
}

/// Answers a request by its method and path.
pub fn answer(method: &str, path: &str) -> Answer {
    match (path, method) {
        ("/v1/status", "GET" | "HEAD") => Answer { status: 200, allow: None, body: status() },
        ("/v1/status", _) => Answer {
            status: 405,
            allow: Some("GET, HEAD"),
            body: json!({ "code": "http/method", "message": format!("{path} takes GET and HEAD, not {method}") }),
        },
        _ => Answer {
            status: 404,
            allow: None,
            body: json!({ "code": "http/path", "message": format!("nothing is at {path}; try /v1/status") }),
        },
    }
}

/// This build's version, and the versions of each format that it reads, oldest and newest: whoever publishes a release
/// can ask first whether the edge will read it. Recommendations are not served yet.
fn status() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "reads": {
            "release": [release::OLDEST_READABLE, release::FORMAT_VERSION],
            "shard": [shard::format::OLDEST_READABLE, shard::format::FORMAT_VERSION],
            "query_tower": [towers::OLDEST_READABLE, towers::FORMAT_VERSION],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_names_the_formats_that_it_reads() {
        let Answer { status, body, .. } = answer("GET", "/v1/status");
        assert_eq!(status, 200);
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
        for format in ["shard", "query_tower"] {
            let [oldest, newest] = [0, 1].map(|end| body["reads"][format][end].as_u64().unwrap());
            assert!(0 < oldest && oldest <= newest, "{format}: {oldest}..={newest}");
        }
    }

    #[test]
    fn other_methods_and_paths_are_refused_with_a_hint() {
        let post = answer("POST", "/v1/status");
        assert_eq!((post.status, post.allow), (405, Some("GET, HEAD")));
        for path in ["/", "/v1/status/", "/v1/../v1/status", ""] {
            let answer = answer("GET", path);
            assert_eq!((answer.status, &answer.body["code"]), (404, &json!("http/path")), "{path}");
        }
    }
}
