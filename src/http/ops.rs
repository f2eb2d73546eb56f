//! The operator's listener: never public, and so behind no proxy's path.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{Method, Uri, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{any, get},
};

use super::{
    Problem, Site,
    admin::{self, Admin},
    cache::CachePolicy,
    docs, every_answer, pages,
};
use crate::{control::Control, metrics};

/// Health, metrics, and where the types of errors lead.
pub fn ops(site: Arc<Site>, control: Arc<Control>) -> Router {
    let operator = Router::new()
        .route("/admin", any(admin::admin))
        .route("/admin/{*rest}", any(admin::admin))
        .with_state(Admin::new(Arc::clone(&site), control));
    Router::new()
        .route("/livez", get(async || plain("ok\n".to_owned())))
        // The first snapshot is published before either listener opens, so whoever can ask is served.
        .route(
            "/readyz",
            get(async |State(site): State<Arc<Site>>| {
                plain(format!("ok, version {}\n", site.snapshot.load().version))
            }),
        )
        .route("/metrics", get(counted))
        .route("/docs/problems/{name}", get(docs::problem))
        .route("/assets/{name}", get(pages::asset))
        .fallback(|uri: Uri| async move { Problem::not_found(&uri) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move { Problem::method(&method, &uri) })
        .with_state(Arc::clone(&site))
        .merge(operator)
        .layer(from_fn_with_state((site, Arc::from("")), every_answer))
}

fn plain(text: String) -> Response {
    let mut response = text.into_response();
    response.extensions_mut().insert(CachePolicy::Never);
    response
}

/// What was counted, for Prometheus and its like.
async fn counted(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let Ok(text) = site.metrics.text() else { return Problem::internal(&uri).into_response() };
    let mut response = ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response();
    response.extensions_mut().insert(CachePolicy::Never);
    response
}
