//! Errors as RFC 9457 problem documents: what was wrong, what is allowed, nothing of the inside. Each type is a page
//! of `/docs/problems`. The type is a path, so that it is the same text on every host and leads to the host that
//! was asked.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::cache::CachePolicy;
use crate::filter::WrongParameter;

/// A stable kind of error.
#[derive(Debug)]
pub struct ProblemType {
    /// Last part of its address.
    pub name: &'static str,
    /// HTTP status.
    pub status: StatusCode,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it means and what to do, for the page.
    pub meaning: &'static str,
}

macro_rules! problem_types {
    ($($constant:ident = $status:ident, $name:literal, $title:literal, $meaning:literal;)*) => {
        $(const $constant: &ProblemType = &ProblemType {
            name: $name, status: StatusCode::$status, title: $title, meaning: $meaning,
        };)*
        /// Every kind of error, by status.
        pub const TYPES: &[&ProblemType] = &[$($constant),*];
    };
}

problem_types! {
    BAD_REQUEST = BAD_REQUEST, "bad-request", "The request is not HTTP/1.1",
        "The request line or a header could not be read, or the Host header is missing. The connection is closed.";
    NOT_FOUND = NOT_FOUND, "not-found", "Nothing is at this address",
        "Check the path; GET /v1 lists the documents and /docs describes them.";
    METHOD = METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here",
        "Everything public is read with GET or HEAD. The Allow header lists what is possible.";
    NOT_ACCEPTABLE = NOT_ACCEPTABLE, "not-acceptable", "The document has no such form",
        "Accept leaves out the only media type of this address, or Accept-Encoding leaves out gzip, br and the bytes as they are. Lists have a CSV twin at an address of its own.";
    TIMEOUT = REQUEST_TIMEOUT, "request-timeout", "The request was not finished in time",
        "A request has ten seconds to arrive. The connection is closed.";
    TOO_LARGE = PAYLOAD_TOO_LARGE, "content-too-large", "The request has too large a body",
        "Nothing here needs a body. One of up to 64 kB is ignored, a larger one refused and the connection closed.";
    URI_TOO_LONG = URI_TOO_LONG, "uri-too-long", "The address is too long",
        "Path and query together may have 8,000 bytes.";
    PARAMETER = UNPROCESSABLE_ENTITY, "invalid-parameter", "A parameter is unknown or has a value that is not allowed",
        "errors names each parameter with the value that was given and what is allowed. Under /v1 unknown parameters are refused, since whoever wrote one expects an effect; elsewhere they are ignored.";
    TOO_MANY = TOO_MANY_REQUESTS, "too-many-requests", "Too many requests that cost work",
        "Only what must be computed is counted: the first request for a selection after it changed, and every conversion. Fixed documents and answers that nothing changed (304) never are. Wait for as many seconds as Retry-After says.";
    HEADERS_TOO_LARGE = REQUEST_HEADER_FIELDS_TOO_LARGE, "header-fields-too-large", "The request has too many or too large headers",
        "At most 64 headers, 16 kB together. The connection is closed.";
    INTERNAL = INTERNAL_SERVER_ERROR, "internal", "The request failed",
        "A defect of this service; it goes on. The operator finds the request in the log by its request_id.";
    UNAVAILABLE = SERVICE_UNAVAILABLE, "unavailable", "Not available at the moment",
        "The figures have not been read yet, or too much is being computed at once. Wait for as many seconds as Retry-After says.";
}

/// An error answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable; the path of a page that explains it.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference", examples("/docs/problems/invalid-parameter"))]
    kind: String,
    /// What the type means, in a few words.
    title: &'static str,
    /// HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was wrong this time.
    detail: String,
    /// Path of the request.
    #[schema(format = "uri-reference", examples("/v1/fx"))]
    instance: String,
    /// Names this request in the service's log; also in the header `X-Request-Id`.
    request_id: String,
    /// Wrong parameters; empty where it is not a parameter that was wrong.
    errors: Vec<WrongParameter>,
    #[serde(skip)]
    #[schema(ignore)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Header with the same id as the body.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Unlike any other of this process, and of the one before.
fn request_id() -> String {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}", SEED.hash_one(NEXT.fetch_add(1, Ordering::Relaxed)))
}

impl Problem {
    fn new(kind: &'static ProblemType, instance: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/docs/problems/{}", kind.name),
            title: kind.title,
            status: kind.status.as_u16(),
            detail: detail.into(),
            instance: instance.to_owned(),
            request_id: request_id(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// After this answer nothing more is read.
    fn closing(self) -> Self {
        self.with(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// 400
    #[must_use]
    pub fn bad_request(instance: &str, detail: &str) -> Self {
        Self::new(BAD_REQUEST, instance, detail).closing()
    }

    /// 404
    #[must_use]
    pub fn not_found(uri: &Uri) -> Self {
        Self::new(NOT_FOUND, uri.path(), "there is nothing at this address")
    }

    /// 405
    #[must_use]
    pub fn method(method: &Method, uri: &Uri) -> Self {
        let detail = format!("{method} is not allowed here; GET, HEAD and OPTIONS are");
        Self::new(METHOD, uri.path(), detail).with(header::ALLOW, HeaderValue::from_static(super::METHODS))
    }

    /// 406
    #[must_use]
    pub fn not_acceptable(uri: &Uri, detail: &str) -> Self {
        Self::new(NOT_ACCEPTABLE, uri.path(), detail)
    }

    /// 408
    #[must_use]
    pub fn timeout(instance: &str) -> Self {
        Self::new(TIMEOUT, instance, "the request was not finished within ten seconds").closing()
    }

    /// 413
    #[must_use]
    pub fn too_large(uri: &Uri) -> Self {
        Self::new(TOO_LARGE, uri.path(), "the request's body is larger than 64 kB; none is needed here")
            .closing()
    }

    /// 414
    #[must_use]
    pub fn uri_too_long(instance: &str) -> Self {
        Self::new(URI_TOO_LONG, instance, "path and query have more than 8,000 bytes").closing()
    }

    /// 422, naming each parameter and what is allowed.
    #[must_use]
    pub fn parameters(uri: &Uri, errors: Vec<WrongParameter>) -> Self {
        let names: Vec<&str> = errors.iter().map(|error| error.parameter.as_str()).collect();
        let detail = format!("not allowed here: {}; see errors for what is", names.join(", "));
        Self { errors, ..Self::new(PARAMETER, uri.path(), detail) }
    }

    /// 429
    #[must_use]
    pub fn too_many(uri: &Uri, retry_after: u64) -> Self {
        let detail = format!("this client has used up its requests that cost work; more in {retry_after} s");
        Self::new(TOO_MANY, uri.path(), detail).with(header::RETRY_AFTER, retry_after)
    }

    /// 431
    #[must_use]
    pub fn headers_too_large(instance: &str) -> Self {
        Self::new(HEADERS_TOO_LARGE, instance, "more than 64 headers, or more than 16 kB of them").closing()
    }

    /// 500
    #[must_use]
    pub fn internal(uri: &Uri) -> Self {
        Self::new(INTERNAL, uri.path(), "this request failed; the service goes on")
    }

    /// 503
    #[must_use]
    pub fn unavailable(uri: &Uri, detail: &str, retry_after: u64) -> Self {
        Self::new(UNAVAILABLE, uri.path(), detail).with(header::RETRY_AFTER, retry_after)
    }

    /// With more headers.
    #[must_use]
    pub fn with_headers(mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// The whole answer as bytes, for requests that never reach a handler.
    #[must_use]
    pub fn raw(&self, now: &str) -> Vec<u8> {
        let body = crate::document::encode(self);
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut answer = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
             access-control-allow-origin: *\r\naccess-control-expose-headers: {}\r\nx-content-type-options: nosniff\r\n\
             x-request-id: {}\r\ndate: {now}\r\nconnection: close\r\n\r\n",
            self.status,
            reason.unwrap_or("Error"),
            body.len(),
            super::EXPOSED,
            self.request_id,
        )
        .into_bytes();
        answer.extend_from_slice(&body);
        answer
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (path, request_id) = (&self.instance, &self.request_id);
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => tracing::error!(path, request_id, "{}", self.detail),
            // Anybody can cause these, as many as they like.
            _ => tracing::debug!(status = self.status, path, request_id, "{}", self.detail),
        }
        let mut response = (status, crate::document::encode(&self)).into_response();
        response.extensions_mut().insert(CachePolicy::Never);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Ok(id) = HeaderValue::try_from(self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.extend(self.headers);
        response
    }
}
