//! The console at `/admin`: one page that a person tunes the service with, without any script. The token travels in the body of
//! each form (RFC 6750 §2.2), so nothing has to be kept in the browser but the page itself.

use axum::{
    http::{Uri, header},
    response::{IntoResponse, Response},
};

use super::{Problem, admin::Admin};

/// What the last act brought, at the top of the page.
pub(super) enum Said {
    /// Nothing was done.
    Nothing,
}

/// The page that asks for the token.
pub(super) fn sign_in(_uri: &Uri, _said: Option<&Problem>) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "sign in").into_response()
}

/// The console itself.
pub(super) fn page(_admin: &Admin, _uri: &Uri, _token: Option<&str>, _said: Said) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "console").into_response()
}

/// A form of the page.
pub(super) async fn post(
    admin: &Admin,
    uri: &Uri,
    _form: &[u8],
    opens: impl Fn(Option<&str>) -> Result<(), Problem>,
) -> Response {
    match opens(None) {
        Ok(()) => page(admin, uri, None, Said::Nothing),
        Err(problem) => sign_in(uri, Some(&problem)),
    }
}
