//! HTTP: the routes as one readable list, and what every answer has in common. Handlers clone bytes out of the
//! newest snapshot; none of them touches a source or the store.

mod pages;
mod problem;
mod respond;
pub mod serve;

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::FutureExt as _;
use url::Url;

use crate::{board::Shared, clock::Clock, config};
pub use problem::Problem;

/// What handlers read from.
pub struct Site {
    /// Newest snapshot.
    pub snapshot: Shared,
    /// Time, for cache lifetimes.
    pub clock: Clock,
    /// Absolute URLs start with this; the `Host` header is never used.
    pub public_url: Url,
    /// What the panel shows.
    pub panel: config::Panel,
}

/// The public listener.
pub fn public(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/home.css", get(pages::home_css))
        .route("/v1", get(index))
        .route("/v1/board", get(|site, uri, request| document(site, uri, request, "board")))
        .route("/v1/gold", get(|site, uri, request| document(site, uri, request, "gold")))
        .route("/v1/fx", get(|site, uri, request| document(site, uri, request, "fx")))
        .route("/v1/deposits", get(|site, uri, request| document(site, uri, request, "deposits")))
        .route("/v1/feeds", get(|site, uri, request| document(site, uri, request, "feeds")))
        .route("/widgets/panel", get(pages::panel))
        .fallback(|uri: Uri| async move { Problem::not_found(&uri) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move { Problem::method(&method, &uri) })
        .with_state(site)
        .layer(from_fn(every_answer))
}

/// The operator's listener: never public.
pub fn ops(site: Arc<Site>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        // The first snapshot is published before either listener opens, so whoever can ask is served.
        .route(
            "/readyz",
            get(|State(site): State<Arc<Site>>| async move {
                format!("ok, version {}\n", site.snapshot.load().version)
            }),
        )
        .fallback(|uri: Uri| async move { Problem::not_found(&uri) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move { Problem::method(&method, &uri) })
        .with_state(site)
        .layer(from_fn(every_answer))
}

/// Prefixes whose answers may be framed or embedded anywhere; they set their own policy.
const EMBEDDABLE: &str = "/widgets/";

async fn every_answer(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let embeddable = uri.path().starts_with(EMBEDDABLE);
    let mut response = if request.method() == Method::OPTIONS {
        let allow = [
            (header::ALLOW, "GET, HEAD, OPTIONS"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ];
        (StatusCode::NO_CONTENT, allow).into_response()
    } else {
        match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(_) => Problem::internal(&uri).into_response(),
        }
    };
    let headers = response.headers_mut();
    let mut set = |name, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(header::ACCESS_CONTROL_EXPOSE_HEADERS, "ETag, Date, Retry-After, Link");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if embeddable {
        // Pages bring their own; this is for errors in their place.
        set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors *");
        set(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
        set(HeaderName::from_static("cross-origin-embedder-policy"), "require-corp");
    } else {
        set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
        set(header::X_FRAME_OPTIONS, "DENY");
    }
    if response.status() == StatusCode::NOT_MODIFIED {
        respond::strip_for_not_modified(response.headers_mut());
    }
    response
}

#[allow(clippy::unused_async, reason = "axum's handlers are async")]
async fn document(State(site): State<Arc<Site>>, uri: Uri, request: Request, name: &'static str) -> Response {
    if let Err(problem) = no_parameters(&uri) {
        return problem.into_response();
    }
    match site.snapshot.load().documents.get(name) {
        Some(document) => respond::document(request.headers(), document, site.clock.now()),
        None => Problem::not_found(&uri).into_response(),
    }
}

#[allow(clippy::unused_async, reason = "axum's handlers are async")]
async fn index(State(site): State<Arc<Site>>, uri: Uri, request: Request) -> Response {
    if let Err(problem) = no_parameters(&uri) {
        return problem.into_response();
    }
    let at = |path: &str| format!("{}{path}", site.public_url.as_str().trim_end_matches('/'));
    let snapshot = site.snapshot.load();
    let documents: serde_json::Map<String, serde_json::Value> = snapshot
        .documents
        .keys()
        .map(|name| ((*name).to_owned(), at(&format!("/v1/{name}")).into()))
        .collect();
    let body = crate::document::encode(&serde_json::json!({
        "version": "v1",
        "recorded": snapshot.recorded,
        "software": concat!("banggia ", env!("CARGO_PKG_VERSION")),
        "documents": documents,
        "feeds": snapshot.feeds.iter().map(|feed| feed.state.feed.id).collect::<Vec<_>>(),
        "docs": at("/"),
    }));
    respond::fixed(request.headers(), "application/json", body.into())
}

/// On `/v1` an unknown parameter is an error, since whoever wrote it expects an effect.
fn no_parameters(uri: &Uri) -> Result<(), Problem> {
    let errors: Vec<problem::Parameter> = pairs(uri)
        .map(|(parameter, value)| problem::Parameter { parameter, value, allowed: Vec::new() })
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Problem::parameters(uri, "this document takes no parameters", errors))
    }
}

/// The query, decoded.
fn pairs(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
}
