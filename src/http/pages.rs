//! Pages for people, and the index: made on the first request, since they change only with the program and its
//! configuration.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    Problem, Site, api::Index, cache::CachePolicy, data, encoded::Encoded, never_framed,
    wanted::no_parameters,
};

/// Pages by name, each encoded once.
#[derive(Default)]
pub(super) struct Pages(Mutex<BTreeMap<&'static str, Arc<Encoded>>>);

impl Pages {
    /// `None` when it cannot be made; then the next request tries again.
    fn get(&self, name: &'static str, make: impl FnOnce() -> Option<Encoded>) -> Option<Arc<Encoded>> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = pages.get(name) {
            return Some(Arc::clone(page));
        }
        let page = Arc::new(make()?);
        pages.insert(name, Arc::clone(&page));
        Some(page)
    }
}

/// The page of this name, or a 304.
pub(super) fn page(
    site: &Site,
    request: Request,
    name: &'static str,
    policy: CachePolicy,
    make: impl FnOnce() -> Option<Encoded>,
) -> Response {
    match site.pages.get(name, make) {
        Some(page) => site.respond(&request.into_parts().0, &page, policy),
        None => Problem::internal(request.uri()).into_response(),
    }
}

/// A page whose style and script are files of their own.
pub(super) fn html(body: &str) -> Encoded {
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    headers.extend(never_framed());
    headers.push((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)));
    // For browsers that do not know frame-ancestors.
    headers.push((header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")));
    Encoded::new(headers, body)
}

/// A file of the pages, at an address with the hash of its bytes.
struct File {
    /// Relative to `/`.
    address: String,
    content_type: &'static str,
    bytes: &'static str,
}

static FILES: LazyLock<[File; 4]> = LazyLock::new(|| {
    let file = |name: &str, ending: &str, content_type, bytes: &'static str| File {
        address: format!("assets/{name}-{:016x}.{ending}", xxh3_64(bytes.as_bytes())),
        content_type,
        bytes,
    };
    [
        file("pages", "css", "text/css; charset=utf-8", include_str!("pages.css")),
        file("gallery", "js", "text/javascript; charset=utf-8", include_str!("gallery.js")),
        file("icon", "svg", "image/svg+xml; charset=utf-8", include_str!("icon.svg")),
        file("console", "css", "text/css; charset=utf-8", include_str!("console.css")),
    ]
});

/// Addresses of the pages' style, the gallery's script and the icon, relative to `/`.
pub(super) fn style() -> &'static str {
    &FILES[0].address
}

/// See [`style`].
pub(super) fn script() -> &'static str {
    &FILES[1].address
}

/// See [`style`].
pub(super) fn icon() -> &'static str {
    &FILES[2].address
}

/// What the console has beyond the pages' style; see [`style`].
pub(super) fn console_style() -> &'static str {
    &FILES[3].address
}

/// `GET /assets/{name}`
pub(super) async fn asset(State(site): State<Arc<Site>>, request: Request) -> Response {
    let name = request.uri().path().strip_prefix('/').unwrap_or_default();
    match FILES.iter().find(|file| file.address == name) {
        Some(file) => page(&site, request, &file.address, CachePolicy::Immutable, || {
            Some(data(file.content_type, file.bytes))
        }),
        None => Problem::not_found(request.uri()).into_response(),
    }
}

/// `GET /robots.txt`: the gallery and the reference may be found; widgets say themselves that they are parts of pages.
pub(super) async fn robots(State(site): State<Arc<Site>>, request: Request) -> Response {
    page(&site, request, "robots.txt", CachePolicy::Program, || {
        Some(data("text/plain; charset=utf-8", "User-agent: *\nDisallow:\n"))
    })
}

/// `GET /v1`
pub(super) fn index(site: &Site, request: Request) -> Response {
    if let Err(wrong) = no_parameters(request.uri().query()) {
        return Problem::parameters(request.uri(), wrong).into_response();
    }
    page(site, request, "index", CachePolicy::Program, || {
        let snapshot = site.snapshot.load();
        let derived = ["convert", "deposits.atom", "events", "fx.atom", "gold.atom"];
        let histories = ["history/gold", "history/fx", "history/deposits"];
        let names = snapshot.documents.keys().copied().chain(derived).chain(histories);
        let index = Index {
            version: "v1",
            software: concat!("banggia ", env!("CARGO_PKG_VERSION")),
            recorded: snapshot.recorded,
            documents: names.map(|name| (name.to_owned(), site.at(&format!("/v1/{name}")))).collect(),
            feeds: snapshot.feeds.iter().map(|feed| feed.state.feed.id).collect(),
            docs: site.at("/docs"),
            openapi: site.at("/openapi.json"),
        };
        Some(data("application/json", crate::document::encode(&index)))
    })
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
