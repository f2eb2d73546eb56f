//! One exchange with a source: a deadline for all of it, caps on the wire and after decompression, no redirects,
//! no private addresses, certificates always checked. Says what happened as an [`Outcome`] that can be counted;
//! what the bytes mean is for the parsers.

pub mod blocked;
mod laps;
pub mod post;

use std::{
    collections::HashMap,
    error::Error as StdError,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use jiff::{Timestamp, civil::Date};
use providers::{Method, Request};
use reqwest::{
    Client, ClientBuilder, Proxy, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use url::{Host, Url};

use crate::{
    clock::{self, Clock},
    config,
    metrics::{Metrics, Phase},
    replay::Replay,
};
use laps::Laps;

/// Bytes that a source may send.
const MAX_WIRE: usize = 2 << 20;
/// Bytes that they may unpack to.
const MAX_DECODED: u64 = 8 << 20;
/// Bytes of response headers.
const MAX_HEADERS: usize = 32 << 10;
/// Slower than 1 kB/s over five seconds is a source that will never finish.
const RATE_WINDOW: Duration = Duration::from_secs(5);
const RATE_BYTES: usize = 5 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of these, so many for the name alone: a resolver that does not answer is told from a host that does not.
const NAME_TIMEOUT: Duration = Duration::from_secs(4);
/// A refusal's page is looked at so far and so long, to learn whose it is.
const MAX_PAGE: usize = 64 << 10;
const PAGE_PATIENCE: Duration = Duration::from_secs(2);
/// In one run: one try and at most two more.
const RETRIES: u32 = 2;
/// Seconds between two clocks that are more than a machine drifts.
const ODD_CLOCK: i64 = 300;
const RETRY_FROM_MS: u64 = 500;
const RETRY_TO_MS: u64 = 8_000;
/// A source may ask us to wait, but not for ever.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(6);

/// What a source sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// Content coding removed.
    pub bytes: Vec<u8>,
    /// `Content-Type`, as it came.
    pub content_type: Option<String>,
    /// Whose firewall the headers name, should the bytes turn out to be no answer.
    pub wall: Option<&'static str>,
    /// `charset` of the `Content-Type`.
    pub charset: Option<String>,
    /// `Last-Modified` as a day in Vietnam.
    pub last_modified: Option<Date>,
    /// To ask next time whether anything changed.
    pub validators: Validators,
}

/// `ETag` and `Last-Modified` of an accepted answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

impl Validators {
    /// Nothing to ask with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// A good exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// 200 with a body.
    Body(Body),
    /// 304: what was accepted before still stands.
    NotModified,
}

/// Why there is no answer. Each is a class that metrics count and a sentence that an operator understands.
#[derive(Debug, thiserror::Error)]
pub enum Outcome {
    /// The host's name does not resolve.
    #[error("the name {0} does not resolve")]
    Dns(String),
    /// Nobody listens, or the network is away.
    #[error("no connection to {0}")]
    Connect(String),
    /// The certificate is not valid for this host, or no common cipher.
    #[error("no trusted TLS connection to {host}: {why}")]
    Tls {
        /// Whom we asked.
        host: String,
        /// What rustls says.
        why: String,
        /// When the certificate ended, if that is what is wrong.
        ended: Option<i64>,
    },
    /// Not complete within the feed's `timeout`.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// Less than 1 kB/s.
    #[error("the answer came more slowly than 1 kB/s")]
    Slow,
    /// The connection broke inside the answer.
    #[error("the connection broke before the answer was complete")]
    Truncated,
    /// Not HTTP.
    #[error("the answer is not HTTP: {0}")]
    Protocol(String),
    /// Over a cap.
    #[error("the answer is larger than {0}")]
    TooLarge(&'static str),
    /// A content coding that was not asked for or does not open.
    #[error("the answer's content coding \"{0}\" does not open")]
    Coding(String),
    /// Not 200.
    #[error("the source answered with status {0}")]
    Status(StatusCode),
    /// A firewall's refusal, by its headers or its page.
    #[error("the source's firewall refused us (status {status}, {by})")]
    Blocked {
        /// Any but 200.
        status: StatusCode,
        /// Whose firewall.
        by: &'static str,
    },
    /// 429 or 503 with a wish.
    #[error("the source answered with status {status} and asks to wait until {}", clock::rfc3339(*until))]
    RetryAfter {
        /// 429 or 503.
        status: StatusCode,
        /// Not before.
        until: Timestamp,
    },
    /// Redirects are never followed: they lead to logins, to other domains and into private networks.
    #[error("the source redirects to {0}, which is not followed")]
    Redirect(String),
    /// A literal or resolved address that is not public.
    #[error("the address {0} is not public; allow_private = true permits it")]
    PrivateAddress(IpAddr),
    /// The client could not be built: a bad CA file, no roots of trust.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
    /// Nothing was recorded for this request.
    #[error("there is no recording of {0}")]
    NotRecorded(String),
}

impl Outcome {
    /// The class that is counted and shown.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::Tls { .. } => "tls",
            Self::Timeout(_) => "timeout",
            Self::Slow => "slow",
            Self::Truncated => "truncated",
            Self::Protocol(_) => "protocol",
            Self::TooLarge(_) => "too_large",
            Self::Coding(_) => "coding",
            Self::Status(_) => "status",
            Self::Blocked { .. } => "blocked",
            Self::RetryAfter { .. } => "retry_after",
            Self::Redirect(_) => "redirect",
            Self::PrivateAddress(_) => "private_address",
            Self::Setup(_) => "setup",
            Self::NotRecorded(_) => "not_recorded",
        }
    }

    /// Until when a source asked to be left alone, by the sentence of [`Outcome::RetryAfter`]: all that is kept of it.
    #[must_use]
    pub fn wait_told(message: &str) -> Option<Timestamp> {
        message.split_once("asks to wait until ")?.1.parse().ok()
    }

    /// Whether the next try may well succeed.
    fn is_passing(&self) -> bool {
        match self {
            Self::Dns(_)
            | Self::Connect(_)
            | Self::Timeout(_)
            | Self::Slow
            | Self::Truncated
            | Self::Protocol(_) => true,
            Self::Status(status) => status.is_server_error(),
            _ => false,
        }
    }

    /// Whether another address of the same source could fare better: not when the host itself is away.
    #[must_use]
    pub const fn is_about_the_host(&self) -> bool {
        matches!(
            self,
            Self::Dns(_)
                | Self::Connect(_)
                | Self::Tls { .. }
                | Self::PrivateAddress(_)
                | Self::Setup(_)
                | Self::RetryAfter { .. }
        )
    }
}

/// Who is asked, and how.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `bidv.fx`
    pub feed: &'static str,
    /// `board`
    pub source: &'static str,
    /// The operator's settings of this source.
    pub config: &'a config::Source,
    /// Deadline of one exchange.
    pub timeout: Duration,
    /// Which refresh this is, from 0: a replay answers with the recording of that number.
    pub run: usize,
    /// Whether a passing failure may be retried at once; not while the source keeps failing.
    pub retry: bool,
    /// What came, for the log.
    pub seen: &'a Seen,
}

/// What a source sent in one attempt, whatever became of it.
#[derive(Debug, Default)]
pub struct Seen {
    status: AtomicU16,
    bytes: AtomicUsize,
}

impl Seen {
    /// The status of the last answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|status| *status > 0)
    }

    /// An answer that came over no wire.
    fn of_memory(&self, exchange: &Exchange) {
        if let Exchange::Body(body) = exchange {
            self.bytes.fetch_add(body.bytes.len(), Ordering::Relaxed);
        }
    }

    /// Bytes of all bodies, as they came over the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Live sources or recordings.
#[allow(clippy::large_enum_variant, reason = "a program has one")]
pub enum Fetcher {
    /// Over the network.
    Live(Live),
    /// From recordings.
    Replay(Replay),
    /// From whoever simulates the sources.
    Simulated(Arc<dyn Transport>),
}

/// Sources in memory, for simulated days: no sockets, no waiting.
pub trait Transport: Send + Sync {
    /// What a source answers.
    ///
    /// # Errors
    /// Whatever the network could do.
    fn answer(
        &self,
        target: Target<'_>,
        request: &Request,
        known: Option<&Validators>,
    ) -> Result<Exchange, Outcome>;
}

impl Fetcher {
    /// Asks once, with retries where they make sense.
    ///
    /// # Errors
    /// The [`Outcome`] of the last try.
    pub async fn fetch(
        &self,
        target: Target<'_>,
        request: &Request,
        known: Option<&Validators>,
    ) -> Result<Exchange, Outcome> {
        match self {
            Self::Live(live) => live.fetch(target, request, known).await,
            Self::Replay(replay) => replay.answer(target, request).map(Exchange::Body).inspect(|exchange| {
                target.seen.of_memory(exchange);
            }),
            Self::Simulated(transport) => {
                transport.answer(target, request, known).inspect(|exchange| target.seen.of_memory(exchange))
            }
        }
    }

    /// Whether answers come from recordings.
    #[must_use]
    pub const fn is_replay(&self) -> bool {
        matches!(self, Self::Replay(_))
    }
}

/// Fetches over the network.
pub struct Live {
    config: ArcSwap<config::Fetch>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// Once is enough: what goes on shows in the metrics.
    skew_was_told: AtomicBool,
    names: Arc<dyn Names>,
    /// One answer is unpacked at a time: a decoder's window alone may be of megabytes.
    unpacking: Semaphore,
    /// One client a source: trust, proxy and the guard on addresses are the source's own.
    clients: Mutex<HashMap<String, (Client, Laps)>>,
    /// One request at a time per host.
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Live {
    /// With the operator's `[fetch]`.
    #[must_use]
    pub fn new(config: &config::Fetch, clock: Clock) -> Self {
        // A second installation is refused, and that is fine: the first is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            config: ArcSwap::from_pointee(config.clone()),
            clock,
            metrics: Arc::default(),
            skew_was_told: AtomicBool::new(false),
            names: Arc::new(SystemNames),
            unpacking: Semaphore::new(1),
            clients: Mutex::default(),
            hosts: Mutex::default(),
        }
    }

    /// Asks in another way from now on, with new connections: under another name, by another proxy, with other roots of
    /// trust.
    pub fn renew(&self, config: &config::Fetch) {
        self.config.store(Arc::new(config.clone()));
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Counts there.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// Asks somebody else than the system for addresses.
    #[must_use]
    pub fn with_names(self, names: Arc<dyn Names>) -> Self {
        Self { names, ..self }
    }

    async fn fetch(
        &self,
        target: Target<'_>,
        request: &Request,
        known: Option<&Validators>,
    ) -> Result<Exchange, Outcome> {
        if !target.config.allow_private {
            refuse_private_literal(&request.url)?;
        }
        let (client, laps) = self.client(target)?;
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let gate = Arc::clone(
            self.hosts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(host)
                .or_insert_with(|| Arc::new(Semaphore::new(1))),
        );
        let mut tries = 0;
        loop {
            // The gate is never closed, so a permit always comes.
            let permit = gate.acquire().await;
            let result = self.once((&client, &laps), target, request, known).await;
            drop(permit);
            match result {
                Err(outcome) if target.retry && tries < RETRIES && outcome.is_passing() => {
                    tries += 1;
                    tracing::debug!(
                        feed = target.feed,
                        source = target.source,
                        outcome = outcome.code(),
                        "retrying"
                    );
                    tokio::time::sleep(full_jitter(tries)).await;
                }
                other => return other,
            }
        }
    }

    fn client(&self, target: Target<'_>) -> Result<(Client, Laps), Outcome> {
        let key = format!("{}.{}", target.feed, target.source);
        let config = self.config.load();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let laps = Laps::default();
        let (names, allow_private) = (Arc::clone(&self.names), target.config.allow_private);
        let builder = guarded(&config.user_agent, config.proxy.as_ref(), allow_private, names, &laps)?;
        let mut builder = builder.connector_layer(laps.clone());
        if let Some(path) = &target.config.ca_file {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        let client = build(builder)?;
        clients.insert(key, (client.clone(), laps.clone()));
        Ok((client, laps))
    }

    async fn once(
        &self,
        (client, laps): (&Client, &Laps),
        target: Target<'_>,
        request: &Request,
        known: Option<&Validators>,
    ) -> Result<Exchange, Outcome> {
        let deadline = Instant::now() + target.timeout;
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let mut builder = match request.method {
            Method::Get => client.get(request.url.clone()),
            Method::Post => client
                .post(request.url.clone())
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::CONTENT_LENGTH, request.form.len())
                .body(request.form.clone()),
        };
        builder = builder.headers(headers(target, request, known));
        laps.begin();
        let sent = timeout_at(deadline, builder.send()).await;
        for (phase, took) in laps.end() {
            self.metrics.took(target.feed, phase, took);
        }
        let response = match sent {
            Err(_) => return Err(Outcome::Timeout(target.timeout)),
            Ok(Err(error)) => {
                let outcome = classify(error, host, target.timeout);
                if let Outcome::Tls { ended: Some(ended), .. } = outcome {
                    self.metrics.certificate(target.feed, target.source, ended);
                }
                return Err(outcome);
            }
            Ok(Ok(response)) => response,
        };
        if let Some(ends) = certificate_end(&response) {
            self.metrics.certificate(target.feed, target.source, ends);
        }
        self.compare_clocks(target, response.headers());
        let size: usize =
            response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if size > MAX_HEADERS {
            return Err(Outcome::TooLarge("32 kB of headers"));
        }
        let status = response.status();
        target.seen.status.store(status.as_u16(), Ordering::Relaxed);
        if status == StatusCode::NOT_MODIFIED && known.is_some_and(|known| !known.is_empty()) {
            return Ok(Exchange::NotModified);
        }
        self.refuse_status(&response)?;
        if status != StatusCode::OK {
            let by = refusal(response, deadline).await;
            return Err(by.map_or(Outcome::Status(status), |by| Outcome::Blocked { status, by }));
        }
        let meta = response.headers().clone();
        let began = Instant::now();
        let wire = read_capped(response, deadline, target.timeout, target.seen).await;
        self.metrics.took(target.feed, Phase::Body, began.elapsed());
        let wire = wire?;
        let codings: Vec<HeaderValue> = meta.get_all(header::CONTENT_ENCODING).iter().cloned().collect();
        let bytes = if codings.is_empty() {
            wire
        } else {
            // Eight megabytes are work, and the runtime has others to look after. This gate is never closed either.
            let _turn = self.unpacking.acquire().await;
            tokio::task::spawn_blocking(move || unpack(wire, codings.iter()))
                .await
                .unwrap_or_else(|_| Err(Outcome::Coding("which the decoder did not survive".to_owned())))?
        };
        Ok(Exchange::Body(Body {
            bytes,
            content_type: meta
                .get(header::CONTENT_TYPE)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            wall: blocked::by_headers(&meta),
            charset: charset(&meta),
            last_modified: meta.get(header::LAST_MODIFIED).and_then(http_date).map(clock::day),
            validators: Validators {
                etag: meta.get(header::ETAG).cloned(),
                last_modified: meta.get(header::LAST_MODIFIED).cloned(),
            },
        }))
    }

    /// What status and headers say by themselves. Other statuses than 200 may be a firewall's, by their page.
    /// A source whose clock is far from ours: one of the two is wrong, and ages are reckoned by ours.
    fn compare_clocks(&self, target: Target<'_>, headers: &HeaderMap) {
        // A cache's copy says how long it has had it.
        let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse::<i64>().ok());
        let Some(date) = headers.get(header::DATE).and_then(http_date) else { return };
        let theirs = date.as_second().saturating_add(age.unwrap_or(0));
        let skew = theirs.saturating_sub(self.clock.now().as_second());
        self.metrics.clock_skew(target.feed, target.source, skew);
        if skew.abs() > ODD_CLOCK && !self.skew_was_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                feed = target.feed,
                source = target.source,
                skew,
                "the source's clock and ours are many seconds apart; is this machine's time right?"
            );
        }
    }

    fn refuse_status(&self, response: &Response) -> Result<(), Outcome> {
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(());
        }
        let header = |name| response.headers().get(name);
        // 304 leads nowhere: it is an answer to a question that was not asked.
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let target = header(header::LOCATION)
                .map_or("nowhere", |value| value.to_str().unwrap_or("an unreadable address"));
            // Without its query: sources put keys there.
            let target = target.split(['?', '#']).next().unwrap_or_default();
            return Err(Outcome::Redirect(target.chars().take(200).flat_map(char::escape_debug).collect()));
        }
        if let Some(by) = blocked::by_headers(response.headers()) {
            return Err(Outcome::Blocked { status, by });
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            && let Some(until) =
                header(header::RETRY_AFTER).and_then(|value| retry_after(value, self.clock.now()))
        {
            return Err(Outcome::RetryAfter { status, until });
        }
        Ok(())
    }
}

/// A client that goes nowhere but where it is sent: no redirects, no proxy but the operator's, no address that is not
/// public unless that is allowed. Literal addresses are looked at before it is asked ([`refuse_private_literal`]).
fn guarded(
    user_agent: &str,
    proxy: Option<&Url>,
    allow_private: bool,
    names: Arc<dyn Names>,
    laps: &Laps,
) -> Result<ClientBuilder, Outcome> {
    let builder = Client::builder()
        .user_agent(user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(Duration::from_secs(15))
        .http1_only()
        .tls_info(true)
        .no_proxy()
        .dns_resolver(Guard {
            names,
            laps: laps.clone(),
            allow_private,
            proxy: proxy.and_then(|proxy| proxy.host_str().map(str::to_owned)),
        });
    match proxy {
        None => Ok(builder),
        Some(proxy) => {
            Ok(builder.proxy(Proxy::all(proxy.clone()).map_err(|error| Outcome::Setup(chain(&error)))?))
        }
    }
}

fn build(builder: ClientBuilder) -> Result<Client, Outcome> {
    builder.build().map_err(|error| {
        Outcome::Setup(format!("{} (is the package ca-certificates installed?)", chain(&error)))
    })
}

fn headers(target: Target<'_>, request: &Request, known: Option<&Validators>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
    for (name, value) in request.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.insert(name, value);
        }
    }
    if let Some(known) = known {
        if let Some(etag) = &known.etag {
            headers.insert(header::IF_NONE_MATCH, etag.clone());
        }
        if let Some(date) = &known.last_modified {
            headers.insert(header::IF_MODIFIED_SINCE, date.clone());
        }
    }
    for (name, value) in &target.config.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.insert(name, value);
        }
    }
    headers
}

/// Between half a second and `2^tries` seconds, at most eight: enough to let a blip pass, never in step.
fn full_jitter(tries: u32) -> Duration {
    let top = (RETRY_FROM_MS << (tries + 1)).min(RETRY_TO_MS);
    Duration::from_millis(RETRY_FROM_MS + dice() % (top - RETRY_FROM_MS))
}

/// A number that differs at every call: the standard library's own seed for hash maps.
pub(crate) fn dice() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

async fn read_capped(
    mut response: Response,
    deadline: Instant,
    timeout: Duration,
    seen: &Seen,
) -> Result<Vec<u8>, Outcome> {
    if response.content_length().is_some_and(|length| length > MAX_WIRE as u64) {
        return Err(Outcome::TooLarge("2 MB"));
    }
    let mut wire = Vec::new();
    let mut window = (Instant::now() + RATE_WINDOW, 0);
    loop {
        let next = match timeout_at(deadline.min(window.0), response.chunk()).await {
            Err(_) if Instant::now() >= deadline => return Err(Outcome::Timeout(timeout)),
            Err(_) if wire.len() - window.1 < RATE_BYTES => return Err(Outcome::Slow),
            Err(_) => {
                window = (Instant::now() + RATE_WINDOW, wire.len());
                continue;
            }
            Ok(next) => next,
        };
        match next {
            Err(_) => return Err(Outcome::Truncated),
            Ok(None) => return Ok(wire),
            Ok(Some(chunk)) => {
                if wire.len() + chunk.len() > MAX_WIRE {
                    return Err(Outcome::TooLarge("2 MB"));
                }
                wire.extend_from_slice(&chunk);
                seen.bytes.fetch_add(chunk.len(), Ordering::Relaxed);
            }
        }
        if Instant::now() >= window.0 {
            if wire.len() - window.1 < RATE_BYTES {
                return Err(Outcome::Slow);
            }
            window = (Instant::now() + RATE_WINDOW, wire.len());
        }
    }
}

/// Whose firewall a page with another status than 200 is, by its beginning.
async fn refusal(mut response: Response, deadline: Instant) -> Option<&'static str> {
    let deadline = deadline.min(Instant::now() + PAGE_PATIENCE);
    let mut page = Vec::new();
    while let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await {
        page.extend(chunk.iter().take(MAX_PAGE - page.len()));
        if page.len() == MAX_PAGE {
            break;
        }
    }
    let coding = response.headers().get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    blocked::by_body(&page, coding)
}

/// When the certificate of this connection ends, in seconds of Unix time.
fn certificate_end(response: &Response) -> Option<i64> {
    let info = response.extensions().get::<reqwest::tls::TlsInfo>()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(info.peer_certificate()?).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// Undoes one content coding; two in a row are somebody's bomb. Looked through first without keeping anything, so
/// that a bomb costs no memory.
fn unpack<'a>(wire: Vec<u8>, codings: impl Iterator<Item = &'a HeaderValue>) -> Result<Vec<u8>, Outcome> {
    let codings: Vec<String> = codings
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect();
    let coding = match codings.as_slice() {
        [] => return Ok(wire),
        [one] => one.as_str(),
        many => return Err(Outcome::Coding(many.join(", "))),
    };
    let wrong = || Outcome::Coding(coding.to_owned());
    let mut measured = opened(&wire, coding).ok_or_else(wrong)?;
    let size = std::io::copy(&mut measured, &mut std::io::sink()).map_err(|_| wrong())?;
    if size > MAX_DECODED {
        return Err(Outcome::TooLarge("8 MB after decompression"));
    }
    drop(measured);
    let mut plain = Vec::with_capacity(usize::try_from(size).map_err(|_| wrong())?);
    opened(&wire, coding).ok_or_else(wrong)?.read_to_end(&mut plain).map_err(|_| wrong())?;
    Ok(plain)
}

/// What is inside, up to a byte more than is allowed; `None`: a coding that nobody asked for.
fn opened<'a>(wire: &'a [u8], coding: &str) -> Option<std::io::Take<Box<dyn Read + 'a>>> {
    let inside: Box<dyn Read + 'a> = match coding {
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(wire)),
        "br" => Box::new(brotli::Decompressor::new(wire, 4096)),
        "deflate" => Box::new(flate2::read::ZlibDecoder::new(wire)),
        _ => return None,
    };
    Some(inside.take(MAX_DECODED + 1))
}

fn charset(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let charset = value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })?;
    Some(charset).filter(|charset| !charset.is_empty())
}

fn http_date(value: &HeaderValue) -> Option<Timestamp> {
    let text = value.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// RFC 9110 §10.2.3: seconds or a date; anything else is ignored, more than six hours is six hours.
/// Public for `tests/fuzz` only.
#[doc(hidden)]
#[must_use]
pub fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Timestamp> {
    let text = value.to_str().ok()?.trim();
    let latest = clock::later(now, MAX_RETRY_AFTER);
    let until = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(latest, |seconds| clock::later(now, Duration::from_secs(seconds)))
    } else {
        http_date(value)?
    };
    Some(until.clamp(now, latest))
}

/// The certificates of a PEM file.
///
/// # Errors
/// [`Outcome::Setup`] when it cannot be read or holds none.
pub(crate) fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, Outcome> {
    let wrong = |why: String| Outcome::Setup(format!("{}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(chain(&error)))?;
    if certificates.is_empty() { Err(wrong("holds no PEM certificate".to_owned())) } else { Ok(certificates) }
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn classify(error: reqwest::Error, host: String, timeout: Duration) -> Outcome {
    // Its text would carry the address, and the address may carry a key.
    let error = &error.without_url();
    match find::<Refused>(error) {
        Some(Refused::Private(address)) => return Outcome::PrivateAddress(*address),
        Some(Refused::Unknown) => return Outcome::Dns(host),
        None => {}
    }
    if let Some(why) = find::<rustls::Error>(error) {
        let ended = match why {
            rustls::Error::InvalidCertificate(rustls::CertificateError::ExpiredContext {
                not_after, ..
            }) => i64::try_from(not_after.as_secs()).ok(),
            _ => None,
        };
        return Outcome::Tls { host, why: why.to_string(), ended };
    }
    if error.is_timeout() {
        if error.is_connect() { Outcome::Connect(host) } else { Outcome::Timeout(timeout) }
    } else if error.is_connect() {
        Outcome::Connect(host)
    } else if chain(error).contains("connection closed")
        || chain(error).contains("reset")
        || chain(error).contains("incomplete")
    {
        Outcome::Truncated
    } else {
        Outcome::Protocol(chain(error))
    }
}

/// The first cause of a type. An `io::Error` gives its content's source as its own and so hides the content, which
/// is where rustls's word stands, wrapped more than once.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match inner {
        Some(inner) => find(inner as &(dyn StdError + 'static)),
        None => error.source().and_then(find),
    }
}

/// Literal addresses never reach a resolver, so they are looked at here. `url` has already read the exotic
/// spellings (`0x7f.1`, `2130706433`) as the addresses that they are.
pub(crate) fn refuse_private_literal(url: &Url) -> Result<(), Outcome> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        _ => return Ok(()),
    };
    if is_public(address) { Ok(()) } else { Err(Outcome::PrivateAddress(address)) }
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0} is not a public address")]
    Private(IpAddr),
    #[error("the name does not resolve")]
    Unknown,
}

/// Who knows the addresses of names.
pub trait Names: Send + Sync {
    /// All addresses of a name.
    fn addresses(&self, name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>>;
}

/// The system's resolver. It is asked anew for each connection: nothing is remembered here, a failure least of all.
struct SystemNames;

impl Names for SystemNames {
    fn addresses(&self, name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|address| address.ip()).collect())
        })
    }
}

/// Resolves names and refuses a name if any of its addresses is private: the connection would take any of them.
struct Guard {
    names: Arc<dyn Names>,
    laps: Laps,
    allow_private: bool,
    proxy: Option<String>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allow_private || self.proxy.as_deref() == Some(name.as_str());
        let answer = self.names.addresses(name.as_str().to_owned());
        let laps = self.laps.clone();
        Box::pin(async move {
            let lap = laps.name();
            let addresses = tokio::time::timeout(NAME_TIMEOUT, answer).await.map_err(|_| Refused::Unknown)?;
            drop(lap);
            let addresses = addresses.map_err(|_| Refused::Unknown)?;
            match addresses.iter().find(|address| !allowed && !is_public(**address)) {
                Some(private) => Err(Refused::Private(*private).into()),
                None if addresses.is_empty() => Err(Refused::Unknown.into()),
                None => {
                    Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
                }
            }
        })
    }
}

/// Whether an address is out in the Internet: the special-purpose registries of RFC 6890 and its successors.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

/// Only global unicast (`2000::/3`), and of that neither what wraps a v4 address nor documentation.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000
        && first != 0x2002 // 6to4
        && !(first == 0x2001 && second < 0x0200) // Teredo, ORCHID, benchmarking
        && !(first == 0x2001 && second == 0x0db8)
        && !(first == 0x3fff && second < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f10_a_wish_to_be_left_alone_can_be_read_off_its_sentence() {
        let until: Timestamp = "2026-09-30T10:05:03+07:00".parse().unwrap();
        let outcome = Outcome::RetryAfter { status: StatusCode::SERVICE_UNAVAILABLE, until };
        assert_eq!(Outcome::wait_told(&outcome.to_string()), Some(until));
        assert_eq!(Outcome::wait_told(&Outcome::Slow.to_string()), None);
    }

    #[test]
    fn private_addresses_are_known_in_every_spelling() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/",
            "http://10.0.0.1/",
            "http://172.16.0.1/",
            "http://192.168.1.1/",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[ff02::1]/",
            "http://224.0.0.1/",
            "http://[2002:7f00:1::]/",
        ] {
            let url: Url = url.parse().unwrap();
            assert!(matches!(refuse_private_literal(&url), Err(Outcome::PrivateAddress(_))), "{url}");
        }
        for url in ["http://1.1.1.1/", "http://[2606:4700::1111]/", "https://bidv.com.vn/"] {
            assert!(refuse_private_literal(&url.parse().unwrap()).is_ok(), "{url}");
        }
    }

    #[test]
    fn retry_after_is_honoured_up_to_six_hours_and_garbage_is_ignored() {
        let now: Timestamp = "2026-09-30T10:00:00+07:00".parse().unwrap();
        let until = |text: &str| {
            retry_after(&HeaderValue::from_str(text).unwrap(), now).map(|at| at.as_second() - now.as_second())
        };
        assert_eq!(until("120"), Some(120));
        assert_eq!(until("Wed, 30 Sep 2026 03:10:00 GMT"), Some(600));
        assert_eq!(until("Wed, 30 Sep 2020 03:10:00 GMT"), Some(0));
        assert_eq!(until("315360000"), Some(6 * 3600));
        assert_eq!(until("99999999999999999999999"), Some(6 * 3600));
        for garbage in ["soon", "-5", "1.5", ""] {
            assert_eq!(until(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_cap_and_nested_codings_are_refused() {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..64 {
            gzip.write_all(&zeros).unwrap();
        }
        let bomb = gzip.finish().unwrap();
        let coding = |text: &'static str| [HeaderValue::from_static(text)];
        assert!(matches!(unpack(bomb.clone(), coding("gzip").iter()), Err(Outcome::TooLarge(_))));
        assert!(matches!(unpack(bomb.clone(), coding("gzip, gzip").iter()), Err(Outcome::Coding(_))));
        assert!(matches!(unpack(bomb, coding("zstd").iter()), Err(Outcome::Coding(_))));
        assert_eq!(unpack(b"{}".to_vec(), coding("identity").iter()).unwrap(), b"{}");
    }

    #[test]
    fn the_charset_is_taken_from_the_content_type() {
        let of = |text: &'static str| {
            charset(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(text))]))
        };
        assert_eq!(of("text/xml; charset=utf-8").as_deref(), Some("utf-8"));
        assert_eq!(of("text/html; a=b; CHARSET=\"windows-1258\"").as_deref(), Some("windows-1258"));
        assert_eq!(of("text/html"), None);
    }

    #[test]
    fn retries_wait_between_half_a_second_and_eight() {
        for tries in [1, 2, 3, 9] {
            let wait = full_jitter(tries);
            assert!((Duration::from_millis(500)..Duration::from_secs(8)).contains(&wait), "{wait:?}");
        }
    }
}
