//! A firewall, a captcha or a script challenge in place of the answer. Only looked for when there is no board: by
//! status, or because the answer could not be read. So a good board that happens to hold one of these words is
//! never refused.

use std::io::Read;

use providers::ParseError;
use reqwest::header::HeaderMap;

use super::Body;

/// A firewall's page is small; what is longer is somebody's page.
const MOST: usize = 64 << 10;
/// And of a 200 that could not be read, smaller still: a real page that changed its form may load a captcha.
const MOST_OF_A_PAGE: usize = 16 << 10;

/// Headers that only a refusal carries.
const BY_HEADER: &[(&str, &str)] =
    &[("cf-mitigated", "Cloudflare"), ("x-sucuri-block", "Sucuri"), ("x-amzn-waf-action", "AWS WAF")];

/// Words that only a refusal carries, in lower case.
const BY_TEXT: &[(&str, &str)] = &[
    ("incapsula incident", "Incapsula"),
    ("_incapsula_resource", "Incapsula"),
    ("pardon our interruption", "Imperva"),
    ("the requested url was rejected", "F5"),
    ("<title>request rejected</title>", "F5"),
    ("attention required! | cloudflare", "Cloudflare"),
    ("challenges.cloudflare.com", "Cloudflare"),
    ("/cdn-cgi/challenge-platform", "Cloudflare"),
    ("_cf_chl_opt", "Cloudflare"),
    ("<title>access denied</title>", "Akamai or the like"),
    ("errors.edgesuite.net", "Akamai"),
    ("captcha-delivery.com", "DataDome"),
    ("awswafintegration", "AWS WAF"),
    ("ddos-guard", "DDoS-Guard"),
    ("sucuri website firewall", "Sucuri"),
    ("px-captcha", "HUMAN"),
    ("verify you are human", "a captcha"),
    ("verifying you are human", "a captcha"),
];

/// Whose refusal the headers are.
pub(super) fn by_headers(headers: &HeaderMap) -> Option<&'static str> {
    BY_HEADER.iter().find(|(name, _)| headers.contains_key(*name)).map(|(_, by)| *by)
}

/// Whose refusal the beginning of a body is, content coding undone as far as it goes.
pub(super) fn by_body(bytes: &[u8], coding: Option<&str>) -> Option<&'static str> {
    let mut plain = Vec::new();
    // A cut or damaged coding ends the text, and what came before is enough.
    let _ = match coding.map(str::trim) {
        Some("gzip" | "x-gzip") => {
            flate2::read::MultiGzDecoder::new(bytes).take(MOST as u64).read_to_end(&mut plain)
        }
        Some("br") => brotli::Decompressor::new(bytes, 4096).take(MOST as u64).read_to_end(&mut plain),
        _ => bytes.take(MOST as u64).read_to_end(&mut plain),
    };
    let text = String::from_utf8_lossy(&plain).to_lowercase();
    BY_TEXT.iter().find(|(mark, _)| text.contains(mark)).map(|(_, by)| *by)
}

/// Calls an answer that could not be read by its name, if it is a refusal.
#[must_use]
pub fn named(error: ParseError, body: &Body) -> ParseError {
    let by_text = || (body.bytes.len() <= MOST_OF_A_PAGE).then(|| by_body(&body.bytes, None)).flatten();
    match error {
        ParseError::Blocked(_)
        | ParseError::Conflict(_)
        | ParseError::EnvelopeKey
        | ParseError::SecretMissing(_) => error,
        _ => match body.wall.or_else(by_text) {
            Some(by) => ParseError::Blocked(format!("an answer of {by}")),
            None => error,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_known_in_text_and_json_and_only_in_place_of_a_board() {
        let body = |text: &str| Body { bytes: text.as_bytes().to_vec(), ..Body::default() };
        let unread = || ParseError::NoData("nothing".to_owned());
        for text in [
            "Request unsuccessful. Incapsula incident ID: 0-0",
            "{\"url\":\"https://geo.captcha-delivery.com/captcha/?x\"}",
            "<HTML><HEAD>\n<TITLE>Access Denied</TITLE></HEAD></HTML>",
        ] {
            assert_eq!(named(unread(), &body(text)).code(), "blocked", "{text}");
        }
        assert_eq!(named(unread(), &body("{\"note\":\"captcha\"}")), unread());
        let page = format!("challenges.cloudflare.com{}", " ".repeat(MOST_OF_A_PAGE));
        assert_eq!(named(unread(), &body(&page)), unread(), "a whole page may load a captcha");
        assert_eq!(named(unread(), &Body { wall: Some("Cloudflare"), ..body("x") }).code(), "blocked");
        assert_eq!(named(ParseError::EnvelopeKey, &body("incapsula incident")), ParseError::EnvelopeKey);
    }
}
