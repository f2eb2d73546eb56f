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

const HOME: &str = include_str!("home.html");
const RECORDED: &str = "<aside class=\"recorded\">Số liệu mẫu, không phải giá hiện tại</aside>";
const HOME_CSS: &str = include_str!("home.css");

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

/// A page whose style is a file of its own.
pub(super) fn html(body: &str) -> Encoded {
    let policy = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    headers.extend(never_framed());
    headers.push((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)));
    // For browsers that do not know frame-ancestors.
    headers.push((header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")));
    Encoded::new(headers, body)
}

/// What this is, the panel, and where to go on. The gallery takes this place later.
pub(super) async fn home(State(site): State<Arc<Site>>, request: Request) -> Response {
    page(&site, request, "home", CachePolicy::Program, || {
        let recorded = if site.snapshot.load().recorded { RECORDED } else { "" };
        let text = HOME
            .replace("{base}", &escape(&site.at("")))
            .replace("{style}", style())
            .replace("{recorded}", recorded);
        Some(html(&text))
    })
}

/// The address of the style of the pages here, relative to `/`: with the hash of its bytes.
pub(super) fn style() -> &'static str {
    static STYLE: LazyLock<String> =
        LazyLock::new(|| format!("assets/pages-{:016x}.css", xxh3_64(HOME_CSS.as_bytes())));
    &STYLE
}

/// `GET /assets/{name}`
pub(super) async fn asset(State(site): State<Arc<Site>>, request: Request) -> Response {
    if request.uri().path().strip_prefix('/') != Some(style()) {
        return Problem::not_found(request.uri()).into_response();
    }
    page(&site, request, "style", CachePolicy::Immutable, || Some(data("text/css; charset=utf-8", HOME_CSS)))
}

/// `GET /v1`
pub(super) fn index(site: &Site, request: Request) -> Response {
    if let Err(wrong) = no_parameters(request.uri().query()) {
        return Problem::parameters(request.uri(), wrong).into_response();
    }
    page(site, request, "index", CachePolicy::Program, || {
        let snapshot = site.snapshot.load();
        let names = snapshot.documents.keys().copied().chain(["convert"]);
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
