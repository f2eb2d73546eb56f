//! Addresses: the base is asked as it is, and the adapter adds its own query to whatever the operator put there.

use url::Url;

use crate::{Method, Request};

/// Headers of a request for JSON.
pub(crate) const JSON: &[(&str, &str)] = &[("Accept", "application/json, text/plain, */*")];
/// Headers of a request for XML.
pub(crate) const XML: &[(&str, &str)] = &[("Accept", "text/xml, application/xml, */*")];
/// Headers of a request for a page.
pub(crate) const HTML: &[(&str, &str)] =
    &[("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Accept-Language", "vi")];

/// `GET base?…`
pub(crate) fn get(
    step: &'static str,
    base: &Url,
    query: &[(&str, &str)],
    headers: &'static [(&'static str, &'static str)],
) -> Request {
    let mut url = base.clone();
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Request { step, method: Method::Get, url, headers, form: String::new() }
}

/// `POST base` with a form.
pub(crate) fn post(
    step: &'static str,
    base: &Url,
    form: &[(&str, &str)],
    headers: &'static [(&'static str, &'static str)],
) -> Request {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    Request { step, method: Method::Post, url: base.clone(), headers, form }
}
