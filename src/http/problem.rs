//! Errors as RFC 9457 problem documents: what was wrong, what is allowed, nothing of the inside.

use axum::{
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// An error answer.
#[derive(Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    instance: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Parameter>,
}

/// One wrong parameter.
#[derive(Debug, Serialize)]
pub struct Parameter {
    /// Its name.
    pub parameter: String,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub allowed: Vec<String>,
}

impl Problem {
    fn new(status: StatusCode, uri: &Uri, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            instance: uri.path().to_owned(),
            errors: Vec::new(),
        }
    }

    /// 404
    pub fn not_found(uri: &Uri) -> Self {
        Self::new(StatusCode::NOT_FOUND, uri, "there is nothing at this address; /v1 lists the documents")
    }

    /// 405
    pub fn method(method: &Method, uri: &Uri) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            uri,
            format!("{method} is not allowed here; GET and HEAD are"),
        )
    }

    /// 422, naming each parameter and what is allowed.
    pub fn parameters(uri: &Uri, detail: &str, errors: Vec<Parameter>) -> Self {
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, uri, detail) }
    }

    /// 500
    pub fn internal(uri: &Uri) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, uri, "this request failed; the service goes on")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers =
            [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        (status, headers, crate::document::encode(&self)).into_response()
    }
}
