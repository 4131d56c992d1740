//! The glue to the Workers runtime.

use worker::{Context, Env, Request, Response, Result, event};

use crate::answer;

/// The module's `fetch`.
#[event(fetch)]
async fn fetch(request: Request, _env: Env, _context: Context) -> Result<Response> {
    let answer = answer(request.method().as_ref(), &request.path());
    let mut response = Response::from_json(&answer.body)?.with_status(answer.status);
    let headers = response.headers_mut();
    // A status that somebody cached is a status of the past.
    headers.set("cache-control", "no-store")?;
    if let Some(allow) = answer.allow {
        headers.set("allow", allow)?;
    }
    Ok(response)
}
