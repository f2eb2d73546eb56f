//! The operator's listener: never public, and so behind no proxy's path. Health says whether this program can serve;
//! that sources are away is information here and never a reason to be called ill.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{any, get},
};

use super::{
    Problem, Site,
    admin::{self, Admin},
    cache::CachePolicy,
    docs, every_answer, pages, wanted,
};
use crate::{clock::rfc3339, control::Control, metrics::Form};

/// Health, metrics, and where the types of errors lead.
pub fn ops(site: Arc<Site>, control: Arc<Control>) -> Router {
    let operator = Router::new()
        .route("/admin", any(admin::admin))
        .route("/admin/{*rest}", any(admin::admin))
        .with_state(Admin::new(Arc::clone(&site), control));
    Router::new()
        .route("/livez", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(counted))
        .route("/docs/problems/{name}", get(docs::problem))
        .route("/assets/{name}", get(pages::asset))
        .fallback(|uri: Uri| async move { Problem::not_found(&uri) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move { Problem::method(&method, &uri) })
        .with_state(Arc::clone(&site))
        .merge(operator)
        .layer(from_fn_with_state((site, Arc::from("")), every_answer))
}

fn never_kept(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(CachePolicy::Never);
    response
}

/// Whether each check is asked for, as Kubernetes asks.
fn is_verbose(uri: &Uri) -> bool {
    wanted::pairs(uri.query().unwrap_or_default()).any(|(name, _)| name == "verbose")
}

/// Whoever answers is alive; nothing else is looked at.
async fn alive(uri: Uri) -> Response {
    never_kept(if is_verbose(&uri) { "[+]ping ok\nlivez check passed\n" } else { "ok\n" })
}

/// Whether requests should come here. The first snapshot is published before either listener opens, so whoever can
/// ask is served, until the service stops.
async fn ready(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let draining = site.draining.load(Ordering::Relaxed);
    if is_verbose(&uri) {
        let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        return never_kept((status, checks(&site, draining)));
    }
    if draining {
        return never_kept(Problem::unavailable(&uri, "the service is stopping", 1));
    }
    never_kept(format!("ok, version {}\n", site.snapshot.load().version))
}

/// One line a check, as Kubernetes prints them; `[i]` is what nobody need act on by sending requests elsewhere.
fn checks(site: &Site, draining: bool) -> String {
    let snapshot = site.snapshot.load();
    let mut text = format!("[+]snapshot ok: version {}\n", snapshot.version);
    text.push_str(if draining { "[-]serving failed: the service is stopping\n" } else { "[+]serving ok\n" });
    match site.metrics.store_trouble() {
        Some(trouble) if trouble.waiting == 0 => text.push_str(&format!("[+]store ok: {}\n", trouble.told())),
        Some(trouble) => {
            text.push_str(&format!("[i]store: {}; serving goes on from memory\n", trouble.told()));
        }
        None => text.push_str("[i]store: not watched yet\n"),
    }
    let now = site.clock.now();
    for feed in &snapshot.feeds {
        let (status, until) = match feed.best {
            Some((source, until)) => {
                let since = format!(" from {}, fresh until {}", source.id, rfc3339(until.fresh_until));
                (until.status(now), since)
            }
            None => (feed.status, String::new()),
        };
        let reason = feed.state.failure.as_ref();
        let reason = reason.map_or_else(String::new, |reason| format!(": {}", reason.code));
        text.push_str(&format!("[i]feed {}: {}{until}{reason}\n", feed.state.feed.id, status.as_str()));
    }
    text.push_str(if draining { "readyz check failed\n" } else { "readyz check passed\n" });
    text
}

/// What was counted, for Prometheus and its like.
async fn counted(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT);
    let form = Form::accepted(accept.iter().filter_map(|value| value.to_str().ok()));
    let Ok(text) = site.metrics.text(form) else { return Problem::internal(&uri).into_response() };
    never_kept(([(header::CONTENT_TYPE, form.content_type()), (header::VARY, "Accept")], text))
}
