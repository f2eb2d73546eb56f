//! Bodies encoded once: the bytes as they are, gzip, brotli, each with its own strong `ETag` and exact length. The
//! one place that chooses between them, answers conditional requests and `HEAD`, and decides what is acceptable.

use std::io::Write as _;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use xxhash_rust::xxh3::xxh3_128;

/// Above these nothing is gained that a board's size would notice.
const GZIP_LEVEL: u32 = 6;
const BROTLI_QUALITY: i32 = 5;
/// For bodies that are made for one reader, who waits for it.
const BROTLI_AT_ONCE: i32 = 3;
/// Some tens of milliseconds for a few kilobytes.
const BROTLI_BEST: i32 = 11;
/// Larger than any body here, and small enough that the encoder asks for little memory.
const BROTLI_WINDOW: i32 = 18;

/// About what a variant's header map takes.
const HEADERS: usize = 1600;

/// On 200 and 304 alike: what caches and scripts of other sites need.
const ALWAYS: [(HeaderName, HeaderValue); 3] = [
    (header::VARY, HeaderValue::from_static("Accept-Encoding")),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(super::EXPOSED)),
];

/// A body in every coding that is smaller than the bytes themselves.
#[derive(Debug)]
pub struct Encoded {
    identity: Variant,
    gzip: Option<Variant>,
    brotli: Option<Variant>,
}

#[derive(Debug)]
struct Variant {
    body: Bytes,
    tag: HeaderValue,
    /// All of a 200's but the length; cloning a map is half the cost of filling one.
    headers: HeaderMap,
}

/// Nothing that we have is what the request accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAcceptable {
    /// `Accept` leaves our media type out.
    Media,
    /// `Accept-Encoding` leaves out even the bytes as they are.
    Coding,
}

impl Encoded {
    /// Encodes. `own` are headers of a 200 beyond those that all answers have: `Content-Type` first of all.
    #[must_use]
    pub fn new(own: Vec<(HeaderName, HeaderValue)>, body: impl AsRef<[u8]>) -> Self {
        Self::with(own, body.as_ref(), BROTLI_QUALITY)
    }

    /// The same for what is encoded once in the life of the program, as small as it gets.
    #[must_use]
    pub fn for_good(own: Vec<(HeaderName, HeaderValue)>, body: impl AsRef<[u8]>) -> Self {
        Self::with(own, body.as_ref(), BROTLI_BEST)
    }

    /// What is answered to one request and kept for nobody: in the coding that it likes best, and as it is.
    #[must_use]
    pub fn for_one(own: Vec<(HeaderName, HeaderValue)>, body: impl AsRef<[u8]>, request: &HeaderMap) -> Self {
        let (body, headers) = (body.as_ref(), headers(own));
        let mut encoded = Self { identity: Variant::new(&headers, None, body), gzip: None, brotli: None };
        let Some(Wishes { brotli: br, gzip: gz, plain }) = wishes(request) else { return encoded };
        let smaller = |name: &'static str, bytes: Option<Vec<u8>>| {
            let bytes = bytes.filter(|bytes| bytes.len() < body.len())?;
            Some(Variant::new(&headers, Some(HeaderValue::from_static(name)), &bytes))
        };
        if br > 0 && br >= gz && br >= plain {
            encoded.brotli = smaller("br", brotli(body, BROTLI_AT_ONCE));
        } else if gz > 0 && gz >= plain {
            encoded.gzip = smaller("gzip", gzip(body));
        }
        encoded
    }

    /// What is compressed already.
    #[must_use]
    pub fn as_it_is(own: Vec<(HeaderName, HeaderValue)>, body: impl AsRef<[u8]>) -> Self {
        Self { identity: Variant::new(&headers(own), None, body.as_ref()), gzip: None, brotli: None }
    }

    fn with(own: Vec<(HeaderName, HeaderValue)>, body: &[u8], quality: i32) -> Self {
        let headers = headers(own);
        let smaller = |name: &'static str, bytes: Option<Vec<u8>>| {
            let bytes = bytes.filter(|bytes| bytes.len() < body.len())?;
            Some(Variant::new(&headers, Some(HeaderValue::from_static(name)), &bytes))
        };
        Self {
            gzip: smaller("gzip", gzip(body)),
            brotli: smaller("br", brotli(body, quality)),
            identity: Variant::new(&headers, None, body),
        }
    }

    /// The bytes as they are.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.identity.body
    }

    /// `Content-Type` without its parameters.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.identity
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or("*/*")
    }

    /// Bytes of the shortest coding.
    #[must_use]
    pub fn shortest(&self) -> usize {
        let variants = [Some(&self.identity), self.gzip.as_ref(), self.brotli.as_ref()];
        variants.into_iter().flatten().map(|variant| variant.body.len()).min().unwrap_or_default()
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let variants = [Some(&self.identity), self.gzip.as_ref(), self.brotli.as_ref()];
        variants.into_iter().flatten().map(|variant| variant.body.len() + HEADERS).sum()
    }

    /// 200 or 304.
    ///
    /// # Errors
    /// [`NotAcceptable`]: 406.
    pub fn answer(
        &self,
        method: &Method,
        request: &HeaderMap,
        cache_control: HeaderValue,
    ) -> Result<Response<Full<Bytes>>, NotAcceptable> {
        if !self.media_accepted(request) {
            return Err(NotAcceptable::Media);
        }
        let variant = self.choose(request).ok_or(NotAcceptable::Coding)?;
        if matches(request, &variant.tag) {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            let headers = response.headers_mut();
            headers.reserve(6);
            headers.insert(header::ETAG, variant.tag.clone());
            headers.extend(ALWAYS);
            headers.insert(header::CACHE_CONTROL, cache_control);
            return Ok(response);
        }
        let mut headers = variant.headers.clone();
        headers.insert(header::CACHE_CONTROL, cache_control);
        let body = if method == Method::HEAD {
            // Of a body that is sent, hyper writes the length itself.
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(variant.body.len()));
            Bytes::new()
        } else {
            variant.body.clone()
        };
        let mut response = Response::new(Full::new(body));
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Whether the request takes it in any form.
    ///
    /// # Errors
    /// [`NotAcceptable`]: 406.
    pub fn accepted(&self, request: &HeaderMap) -> Result<(), NotAcceptable> {
        if !self.media_accepted(request) {
            return Err(NotAcceptable::Media);
        }
        self.choose(request).map(|_| ()).ok_or(NotAcceptable::Coding)
    }

    /// Whether `Accept` allows our media type; without one everything is allowed.
    fn media_accepted(&self, request: &HeaderMap) -> bool {
        let ours = self.content_type();
        let mut accept = request.get_all(header::ACCEPT).iter().filter(|value| !value.is_empty()).peekable();
        if accept.peek().is_none() {
            return true;
        }
        let kind = ours.split('/').next().unwrap_or_default();
        // The most specific range decides (RFC 9110 §12.5.1).
        let mut best: Option<(u8, u16)> = None;
        for (range, quality) in weighted(accept) {
            let specific = match range {
                "*/*" => 0,
                _ if range.strip_suffix("/*").is_some_and(|range| range.eq_ignore_ascii_case(kind)) => 1,
                _ if range.eq_ignore_ascii_case(ours) => 2,
                _ => continue,
            };
            if best.is_none_or(|best| best <= (specific, quality)) {
                best = Some((specific, quality));
            }
        }
        best.is_some_and(|(_, quality)| quality > 0)
    }

    /// By `Accept-Encoding` (RFC 9110 §12.5.3): the coding that the client likes best; of equals the smallest.
    fn choose(&self, request: &HeaderMap) -> Option<&Variant> {
        let Some(Wishes { brotli, gzip, plain }) = wishes(request) else { return Some(&self.identity) };
        [(self.brotli.as_ref(), brotli), (self.gzip.as_ref(), gzip), (Some(&self.identity), plain)]
            .into_iter()
            .filter_map(|(variant, quality)| {
                variant.filter(|_| quality > 0).map(|variant| (quality, variant))
            })
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .map(|(_, variant)| variant)
    }
}

fn headers(own: Vec<(HeaderName, HeaderValue)>) -> HeaderMap {
    let mut headers: HeaderMap = ALWAYS.into_iter().collect();
    // Later ones replace: a page's own policy stands instead of the common one, not beside it.
    for (name, value) in own {
        headers.insert(name, value);
    }
    headers
}

/// What `Accept-Encoding` says of each coding, in thousandths.
struct Wishes {
    brotli: u16,
    gzip: u16,
    plain: u16,
}

/// `None`: the request does not say.
fn wishes(request: &HeaderMap) -> Option<Wishes> {
    let mut values = request.get_all(header::ACCEPT_ENCODING).iter().peekable();
    values.peek()?;
    let (mut gzip, mut brotli, mut identity, mut any) = (None, None, None, None);
    for (name, quality) in weighted(values) {
        let known = match name {
            "*" => &mut any,
            _ if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => &mut gzip,
            _ if name.eq_ignore_ascii_case("br") => &mut brotli,
            _ if name.eq_ignore_ascii_case("identity") => &mut identity,
            _ => continue,
        };
        *known = Some(quality);
    }
    let listed = |own: Option<u16>| own.or(any).unwrap_or(0);
    // Plain bytes need not be listed; then everything that is comes before them.
    let plain = identity.or(any).unwrap_or(1);
    Some(Wishes { brotli: listed(brotli), gzip: listed(gzip), plain })
}

impl Variant {
    fn new(headers: &HeaderMap, coding: Option<HeaderValue>, body: &[u8]) -> Self {
        let (tag, mut headers) = (tag(body), headers.clone());
        headers.insert(header::ETAG, tag.clone());
        headers.extend(coding.map(|coding| (header::CONTENT_ENCODING, coding)));
        // Its place: what it says is known only when it is asked for.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // A copy of just the length: an encoder's buffer is larger than what it wrote.
        Self { body: Bytes::copy_from_slice(body), tag, headers }
    }
}

/// Strong: of the bytes.
fn tag(bytes: &[u8]) -> HeaderValue {
    HeaderValue::try_from(format!("\"{:032x}\"", xxh3_128(bytes))).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The parts of list headers with their `q` in thousandths.
fn weighted<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> impl Iterator<Item = (&'a str, u16)> {
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(|part| {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        (name.trim(), quality(parameters))
    })
}

/// `q=0.8` in thousandths; 1 without one, 0 for one that cannot be read.
fn quality(parameters: &str) -> u16 {
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(value) = value else { return 1000 };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return 0;
    }
    match (whole, format!("{fraction:0<3}").parse::<u16>()) {
        ("0", Ok(thousandths)) => thousandths,
        ("1", Ok(0)) => 1000,
        _ => 0,
    }
}

/// `If-None-Match`, by weak comparison as RFC 9110 §13.1.2 asks for.
fn matches(request: &HeaderMap, tag: &HeaderValue) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|known| known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag.as_bytes())
}

/// `None` when the encoder fails, which in memory it does not: then the plain bytes are served.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn brotli(bytes: &[u8], quality: i32) -> Option<Vec<u8>> {
    let parameters = brotli::enc::BrotliEncoderParams {
        quality,
        lgwin: BROTLI_WINDOW,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut encoded = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut encoded, &parameters).ok()?;
    Some(encoded)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const LIFETIME: HeaderValue = HeaderValue::from_static("public, max-age=60");

    fn board() -> Encoded {
        Encoded::new(
            vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            "{\"price\":\"142500000\"}".repeat(200),
        )
    }

    fn asked(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    fn coding(accept: &str) -> Option<String> {
        let headers = asked(&[(header::ACCEPT_ENCODING, accept)]);
        let response = board().answer(&Method::GET, &headers, LIFETIME).ok()?;
        let coding = response.headers().get(header::CONTENT_ENCODING);
        Some(coding.map_or("identity".to_owned(), |coding| coding.to_str().unwrap().to_owned()))
    }

    #[test]
    fn the_coding_that_the_client_likes_best_is_served() {
        for (accept, wanted) in [
            ("gzip", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("gzip, deflate, br", Some("br")),
            ("gzip, deflate, br, zstd", Some("br")),
            ("br;q=0.1, gzip;q=0.9", Some("gzip")),
            ("gzip;q=0", Some("identity")),
            ("gzip;q=0.001", Some("gzip")),
            ("gzip;q=0.5, identity", Some("identity")),
            ("gzip ; q=0.5 , identity;q=0.5", Some("gzip")),
            ("deflate", Some("identity")),
            ("", Some("identity")),
            ("*", Some("br")),
            ("*;q=0.5, br;q=0", Some("gzip")),
            ("identity;q=0", None),
            ("*;q=0", None),
            ("identity;q=0, gzip", Some("gzip")),
            ("*;q=0, gzip;q=1.0", Some("gzip")),
            ("gzip;q=9", Some("identity")),
            ("gzip;q=1.001", Some("identity")),
            ("gzip;q=", Some("identity")),
        ] {
            assert_eq!(coding(accept).as_deref(), wanted, "{accept:?}");
        }
    }

    #[test]
    fn every_coding_holds_the_same_bytes_and_has_its_own_tag() {
        let board = board();
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&*board.gzip.as_ref().unwrap().body).read_to_end(&mut plain).unwrap();
        assert_eq!(&plain, board.bytes());
        plain.clear();
        brotli::Decompressor::new(&*board.brotli.as_ref().unwrap().body, 4096)
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(&plain, board.bytes());
        let tags = [&board.identity, board.gzip.as_ref().unwrap(), board.brotli.as_ref().unwrap()]
            .map(|variant| variant.tag.clone());
        assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
    }

    #[test]
    fn what_does_not_shrink_is_served_as_it_is() {
        let small = Encoded::new(Vec::new(), "ok");
        let headers = asked(&[(header::ACCEPT_ENCODING, "br, gzip")]);
        let response = small.answer(&Method::HEAD, &headers, LIFETIME).unwrap();
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "2");
    }

    #[test]
    fn a_known_tag_of_the_chosen_coding_is_answered_with_304() {
        let board = board();
        let get = |accept: &str, known: &str| {
            let headers = asked(&[(header::ACCEPT_ENCODING, accept), (header::IF_NONE_MATCH, known)]);
            board.answer(&Method::GET, &headers, LIFETIME).unwrap()
        };
        let tag = get("gzip", "\"x\"").headers()[header::ETAG].to_str().unwrap().to_owned();
        for known in [tag.as_str(), &format!("W/{tag}"), &format!("\"a\", {tag}"), "*"] {
            let response = get("gzip", known);
            assert_eq!(response.status(), 304, "{known}");
            let mut names: Vec<&str> = response.headers().keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(
                names,
                [
                    "access-control-allow-origin",
                    "access-control-expose-headers",
                    "cache-control",
                    "etag",
                    "vary"
                ]
            );
        }
        assert_eq!(get("br", &tag).status(), 200, "another coding is another body");
        assert_eq!(get("gzip", tag.trim_matches('"')).status(), 200);
    }

    #[test]
    fn only_media_that_we_have_are_acceptable() {
        for (accept, good) in [
            ("*/*", true),
            ("", true),
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/*;q=0.2", true),
            ("text/html, application/xhtml+xml, */*;q=0.8", true),
            ("text/html", false),
            ("application/json;q=0", false),
            ("application/json;q=0, */*", false),
            ("*/*;q=0", false),
            ("text/csv, application/xml", false),
        ] {
            let answer = board().answer(&Method::GET, &asked(&[(header::ACCEPT, accept)]), LIFETIME);
            assert_eq!(answer.is_ok(), good, "{accept}");
        }
    }

    #[test]
    fn head_is_get_without_the_body() {
        use http_body_util::BodyExt as _;
        let (board, headers) = (board(), asked(&[(header::ACCEPT_ENCODING, "br")]));
        let get = board.answer(&Method::GET, &headers, LIFETIME).unwrap();
        let mut head = board.answer(&Method::HEAD, &headers, LIFETIME).unwrap();
        let length = head.headers_mut().remove(header::CONTENT_LENGTH).unwrap();
        assert_eq!(length, http_body::Body::size_hint(get.body()).exact().unwrap().to_string().as_str());
        assert_eq!(get.headers(), head.headers());
        let body = futures_util::FutureExt::now_or_never(head.into_body().collect()).unwrap().unwrap();
        assert!(body.to_bytes().is_empty());
    }
}
