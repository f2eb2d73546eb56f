//! HTTP: the routes as one readable list, and what every answer has in common. Handlers clone bytes out of the
//! newest snapshot or derive them from it; none of them touches a source, and none but those of the past (`at=`,
//! histories) the store.

pub mod admin;
pub mod api;
pub mod cache;
pub mod chart;
mod console;
pub mod derived;
mod docs;
pub mod encoded;
mod events;
mod gallery;
pub mod history;
pub mod limit;
pub mod moment;
mod openapi;
mod ops;
mod pages;
pub mod problem;
pub mod serve;
mod stream;
mod wanted;
mod widget;
mod wire;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::{
    board::Shared,
    clock::Clock,
    config::{self, Network},
    live::Live,
    metrics::Metrics,
    store::Store,
};
use cache::CachePolicy;
use derived::Derived;
use encoded::Encoded;
use history::Histories;
use limit::Limiter;
use moment::Moments;
pub use openapi::document as openapi;
pub use ops::ops;
use pages::Pages;
pub use problem::Problem;
#[doc(hidden)]
pub use widget::own as own_widget;

/// Headers that scripts of other sites may read.
const EXPOSED: &str = "ETag, Date, Link, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id";
/// Methods of everything public.
const METHODS: &str = "GET, HEAD, OPTIONS";
/// Path and query of a request.
const MAX_URI: usize = 8000;
/// A body that nobody needs is read and dropped up to here.
const MAX_BODY: usize = 64 << 10;
/// It has so long to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What handlers read from.
pub struct Site {
    /// Newest snapshot.
    pub snapshot: Shared,
    /// Time, for cache lifetimes.
    pub clock: Clock,
    /// Absolute URLs start with this; the `Host` header is never used.
    pub public_url: Url,
    /// Its path without the slash at the end: where a proxy has mounted the public listener. Mostly empty.
    pub mount: Arc<str>,
    /// What widgets show without options.
    pub widgets: config::Widgets,
    /// Options of widgets by name.
    pub presets: BTreeMap<String, config::Preset>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// A bucket a client.
    pub limiter: Arc<Limiter>,
    /// Selections, conversions, pages with options.
    pub derived: Derived,
    /// Boards of the past.
    pub moments: Moments,
    /// Another bucket a client: to look whether what it has of the past is still so costs it nothing of the first.
    pub looks: Limiter,
    /// What is past.
    pub history: Histories,
    /// Who is told of events.
    pub live: Arc<Live>,
    /// What charts draw.
    pub courses: Arc<chart::Courses>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The service is about to stop: whoever sends it requests should send them elsewhere.
    pub draining: AtomicBool,
    pages: Pages,
}

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// What is read of what was kept, and who is told of what happens.
pub struct Kept {
    store: Arc<Store>,
    live: Arc<Live>,
    courses: Arc<chart::Courses>,
    history: Histories,
}

impl Kept {
    /// By a store.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn new(store: &Arc<Store>, live: Arc<Live>, config: &config::Config, tracker: &TaskTracker) -> Self {
        Self {
            store: Arc::clone(store),
            live,
            courses: Arc::new(chart::Courses::new(Arc::clone(store), tracker.clone())),
            history: Histories::new(Arc::clone(store), tracker.clone(), config.history),
        }
    }
}

impl Site {
    /// Over a snapshot; what costs work is done on the runtime of the caller.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn new(
        snapshot: Shared,
        clock: Clock,
        config: &config::Config,
        metrics: Arc<Metrics>,
        kept: Kept,
        tracker: TaskTracker,
    ) -> Self {
        let Kept { store, live, courses, history } = kept;
        live.configure(&config.server, serve::room_for_streams());
        Self {
            snapshot,
            clock,
            public_url: config.server.public_url.clone(),
            mount: config.server.public_url.path().trim_end_matches('/').into(),
            widgets: config.widgets.clone(),
            presets: config.presets.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            limiter: Arc::new(Limiter::new(config.server.rate_limit)),
            derived: Derived::new(tracker.clone(), Handle::current()),
            looks: Limiter::new(config.server.rate_limit),
            moments: Moments::new(store, tracker, Handle::current()),
            history,
            live,
            courses,
            metrics,
            draining: AtomicBool::new(false),
            pages: Pages::default(),
        }
    }

    /// The same service under another configuration: what clients have used up goes on counting, unless the limit is
    /// another one.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn renewed(&self, config: &config::Config, tracker: TaskTracker) -> Self {
        let (snapshot, clock) = (Arc::clone(&self.snapshot), self.clock.clone());
        let kept = Kept {
            store: Arc::clone(self.moments.store()),
            live: Arc::clone(&self.live),
            courses: Arc::clone(&self.courses),
            history: self.history.renewed(tracker.clone(), config.history),
        };
        let new = Self::new(snapshot, clock, config, Arc::clone(&self.metrics), kept, tracker);
        let limiter = if new.limiter.quota() == self.limiter.quota() { &self.limiter } else { &new.limiter };
        Self { limiter: Arc::clone(limiter), ..new }
    }

    /// An absolute URL.
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }
}

/// The public listener.
pub fn public(site: Arc<Site>) -> Router {
    public_with(api::routes().split_for_parts().0, site)
}

/// The public listener with the API's routes, which take a millisecond to describe themselves.
pub fn public_with(api: Router<Arc<Site>>, site: Arc<Site>) -> Router {
    let mount = Arc::clone(&site.mount);
    Router::new()
        .route("/assets/{name}", get(pages::asset))
        .route("/docs", get(docs::reference))
        .route("/docs/problems", get(docs::problems))
        .route("/docs/problems/{name}", get(docs::problem))
        .route("/openapi.json", get(docs::openapi))
        .route("/", get(answer))
        .route("/widgets/{name}", get(answer))
        .route("/fragments/{name}", get(answer))
        .route("/images/{name}", get(answer))
        .route("/embed/{name}", get(widget::asset))
        .route("/embed/{version}/{name}", get(widget::asset))
        .route("/oembed", get(widget::oembed))
        .route("/robots.txt", get(pages::robots))
        .merge(api)
        .fallback(|uri: Uri| async move { Problem::not_found(&uri) })
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move { Problem::method(&method, &uri) })
        .layer(from_fn_with_state((Arc::clone(&site), mount), every_answer))
        .with_state(site)
}

/// Prefixes whose answers may be framed or embedded anywhere; they set their own policy.
const EMBEDDABLE: &str = "/widgets/";

/// Prefixes whose answers any page may load.
const INCLUDED: [&str; 3] = ["/fragments/", "/images/", "/embed/"];

/// Policy of what is no page and belongs into no other.
const NEVER_FRAMED: &str = "default-src 'none'; frame-ancestors 'none'";

/// Headers of what no other page may show in a frame.
fn never_framed() -> [(HeaderName, HeaderValue); 2] {
    [
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(NEVER_FRAMED)),
    ]
}

/// Headers of what any page may show in a frame.
fn framed_anywhere() -> [(HeaderName, HeaderValue); 4] {
    framed_by(HeaderValue::from_static("default-src 'none'; frame-ancestors *"))
}

/// Headers of a page in a frame, with its own policy. Isolated hosts ask a page for both of the last two.
fn framed_by(policy: HeaderValue) -> [(HeaderName, HeaderValue); 4] {
    let embedder = HeaderName::from_static("cross-origin-embedder-policy");
    [
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, policy),
        for_any_page(),
        (embedder, HeaderValue::from_static("require-corp")),
    ]
}

/// Header of what pages of any origin may load.
fn for_any_page() -> (HeaderName, HeaderValue) {
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"))
}

/// What is published, or derived from it.
async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Bytes of this type that are data and no page.
pub(crate) fn data(content_type: &'static str, bytes: impl AsRef<[u8]>) -> Encoded {
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    headers.extend(never_framed());
    Encoded::new(headers, bytes)
}

/// What every answer has in common: refused requests, contained panics, problems, `Cache-Control` by policy, CORS.
async fn every_answer(
    State((site, mount)): State<(Arc<Site>, Arc<str>)>,
    request: Request,
    next: Next,
) -> Response {
    let uri = request.uri().clone();
    let unread = !is_read(request.method()) && !request.body().is_end_stream();
    // Whoever sends chunks may have given a length as well, which hyper drops without a word: such a request is answered,
    // and nothing behind it is read (RFC 9112 §6.1).
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = match arrived(request).await {
        Err(problem) => problem.into_response(),
        Ok(request) if request.method() == Method::OPTIONS && !is_operators(&uri) => preflight(),
        Ok(request) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(_) => Problem::internal(&uri).into_response(),
        },
    };
    let problem = response.extensions_mut().remove::<Problem>();
    let is_problem = problem.is_some();
    if let Some(problem) = problem {
        *response.body_mut() = problem.told(&mount).into();
    }
    let policy = response.extensions_mut().remove::<CachePolicy>().unwrap_or(CachePolicy::Never);
    let unchanged = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    if unread || chunked {
        // Nothing can be read behind it.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(header::CACHE_CONTROL, policy.header(site.clock.now()));
    let mut set = |name: HeaderName, value: HeaderValue| {
        headers.entry(name).or_insert(value);
    };
    if !is_operators(&uri) && (is_problem || !is_health(&uri)) {
        set(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    if unchanged {
        return response;
    }
    if INCLUDED.iter().any(|folder| uri.path().starts_with(folder)) {
        let (name, value) = for_any_page();
        set(name, value);
    }
    // Pages bring their own policy; this is for errors in their place.
    if uri.path().starts_with(EMBEDDABLE) {
        for (name, value) in framed_anywhere() {
            set(name, value);
        }
    } else {
        for (name, value) in never_framed() {
            set(name, value);
        }
    }
    response
}

/// Whether no page of another site may read or ask this, with whatever token.
fn is_operators(uri: &Uri) -> bool {
    uri.path() == "/admin" || uri.path().starts_with("/admin/")
}

/// Whether it says how the service is: a page of another site must not read that through an operator's browser.
fn is_health(uri: &Uri) -> bool {
    ["/livez", "/readyz", "/metrics"].contains(&uri.path())
}

/// A request that is well-formed and has arrived as a whole; a body is dropped, since nothing here needs one.
async fn arrived(request: Request) -> Result<Request, Problem> {
    let uri = request.uri().clone();
    if !serve::has_one_host(request.version(), request.headers()) {
        return Err(Problem::bad_request(uri.path(), "HTTP/1.1 asks for exactly one Host header"));
    }
    if is_too_long(&uri) {
        return Err(Problem::uri_too_long(uri.path()));
    }
    if !is_read(request.method()) || request.body().is_end_stream() {
        return Ok(request);
    }
    if request.body().size_hint().lower() > MAX_BODY as u64 {
        return Err(Problem::too_large(&uri));
    }
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(_)) => Ok(Request::from_parts(parts, Body::empty())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::too_large(&uri)),
        Ok(Err(_)) => Err(Problem::bad_request(uri.path(), "the body could not be read")),
        Err(_) => Err(Problem::timeout(uri.path())),
    }
}

/// Whether a body that comes with this method is read. Other methods are refused whatever they bring.
fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

fn is_too_long(uri: &Uri) -> bool {
    uri.path_and_query().is_some_and(|both| both.as_str().len() > MAX_URI)
}

/// Any page may read, so every preflight is granted, for a day.
fn preflight() -> Response {
    let allow = [
        (header::ALLOW, METHODS),
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, allow).into_response()
}
