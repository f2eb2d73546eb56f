//! Answers that caches may keep: validators, lifetimes, 304.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use jiff::Timestamp;

use crate::document::{Document, etag};

/// A published document: lives until the first of its feeds is due again.
pub(super) fn document(request: &HeaderMap, document: &Document, now: Timestamp) -> Response {
    cacheable(request, "application/json", document.body.clone(), &document.etag, &lifetime(document, now))
}

/// Bytes that follow the same publishes as `document`.
pub(super) fn derived(
    request: &HeaderMap,
    content_type: &'static str,
    body: Bytes,
    document: &Document,
    now: Timestamp,
) -> Response {
    let tag = etag(&body);
    cacheable(request, content_type, body, &tag, &lifetime(document, now))
}

/// Bytes that change only with the program.
pub(super) fn fixed(request: &HeaderMap, content_type: &'static str, body: Bytes) -> Response {
    let tag = etag(&body);
    cacheable(request, content_type, body, &tag, "public, max-age=60")
}

/// Fresh for 5 to 60 s; while we are asked again, and when we cannot be asked, old bytes are better than none.
fn lifetime(document: &Document, now: Timestamp) -> String {
    let seconds_to = |at: Option<Timestamp>| at.map_or(0, |at| at.as_second() - now.as_second());
    format!(
        "public, max-age={}, stale-while-revalidate=300, stale-if-error={}",
        seconds_to(document.next_refresh_at).clamp(5, 60),
        seconds_to(document.expires_at).clamp(0, 86_400),
    )
}

fn cacheable(
    request: &HeaderMap,
    content_type: &'static str,
    body: Bytes,
    tag: &str,
    lifetime: &str,
) -> Response {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    for (name, value) in [(header::ETAG, tag), (header::CACHE_CONTROL, lifetime)] {
        // Both are made of digits, letters and quotes.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if matches(request, tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    (headers, Body::from(body)).into_response()
}

/// `If-None-Match`, by weak comparison as RFC 9110 §13.1.2 asks for.
fn matches(request: &HeaderMap, tag: &str) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// A 304 says only what a cache must know.
pub(super) fn strip_for_not_modified(headers: &mut HeaderMap) {
    for name in [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::CONTENT_SECURITY_POLICY,
        header::X_FRAME_OPTIONS,
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderName::from_static("cross-origin-embedder-policy"),
    ] {
        headers.remove(name);
    }
}
