//! `/admin` on the operator's listener: what the operator may see and change, as JSON; the page for people beside it is
//! `console.rs`. Whoever has the token may do everything, nobody else anything. No cookie is ever set or read, so no other
//! site can borrow an operator's browser. Everything that is done is done by `control.rs`.

#![allow(clippy::result_large_err, reason = "a problem is the answer, made once a request")]

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, Uri, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{BODY_TIMEOUT, Peer, Problem, Site, cache::CachePolicy, console, limit::Limiter, never_framed};
use crate::{
    app,
    board::ServedFeed,
    clock::{later, rfc3339},
    config::Config,
    control::{Control, Refusal, Via},
    document::{encode, shapes::FeedDetail},
    refresh::RunEnd,
    store::ActJson,
};

/// Wrong tokens a minute and client.
const TRIES: u32 = 10;
/// A form or an object.
const MAX_BODY: usize = 16 << 10;
/// Runs that are told ahead.
pub(super) const RUNS: usize = 5;
/// How long a request waits for a run that it asked for.
pub(super) const PATIENCE: Duration = Duration::from_secs(25);

/// What the handlers work with.
#[derive(Clone)]
pub struct Admin {
    pub(super) site: Arc<Site>,
    pub(super) control: Arc<Control>,
    door: Arc<Door>,
}

impl Admin {
    /// Over a running service.
    #[must_use]
    pub fn new(site: Arc<Site>, control: Arc<Control>) -> Self {
        Self { site, control, door: Arc::new(Door::new()) }
    }
}

/// Who may come in.
struct Door {
    failures: Limiter,
    shut: Mutex<HashMap<IpAddr, Instant>>,
}

impl Door {
    fn new() -> Self {
        Self { failures: Limiter::new(TRIES), shut: Mutex::default() }
    }

    /// Whether this is the token. Whoever was wrong too often is not even compared, so that nobody guesses on.
    fn opens(&self, wanted: &str, given: Option<&str>, client: IpAddr, uri: &Uri) -> Result<(), Problem> {
        let now = Instant::now();
        let mut shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        shut.retain(|_, until| *until > now);
        let told = |seconds: u64| {
            let detail = format!(
                "this client has sent a wrong token {TRIES} times in a minute; the next try is in {seconds} s"
            );
            Problem::too_soon(uri, detail, seconds)
        };
        if let Some(until) = shut.get(&client) {
            return Err(told(until.duration_since(now).as_secs() + 1));
        }
        if given.is_some_and(|given| is_same(given, wanted)) {
            return Ok(());
        }
        // Who sends none at all does not guess.
        if given.is_some()
            && let Err(exhausted) = self.failures.take(client)
        {
            shut.insert(client, now + Duration::from_secs(exhausted.retry_after));
            return Err(told(exhausted.retry_after));
        }
        Err(Problem::unauthorized(uri))
    }
}

/// Compares two texts in a time that tells nothing of either: by their hashes, all bytes of them.
#[must_use]
pub fn is_same(given: &str, wanted: &str) -> bool {
    Sha256::digest(given).as_slice().ct_eq(Sha256::digest(wanted).as_slice()).into()
}

/// Everything below `/admin`.
pub(super) async fn admin(State(admin): State<Admin>, request: Request) -> Response {
    let mut response = match admin.answer(request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    response.extensions_mut().insert(CachePolicy::Never);
    response
}

impl Admin {
    async fn answer(&self, request: Request) -> Result<Response, Problem> {
        let (parts, body) = request.into_parts();
        let uri = &parts.uri;
        let config = self.control.config();
        let Some(wanted) = config.admin.token.as_ref() else {
            return Err(Problem::unknown(uri, "the console is off until secrets.admin_token is set"));
        };
        let client = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0);
        if parts.method == Method::POST && !is_own(&parts.headers) {
            return Err(Problem::forbidden(
                uri,
                "what changes something is not taken from pages of other sites",
            ));
        }
        let path: Vec<&str> = uri.path().split('/').skip(2).filter(|part| !part.is_empty()).collect();
        let opens = |given: Option<&str>| self.door.opens(wanted.expose(), given, client, uri);
        if path.is_empty() {
            return match parts.method {
                Method::GET | Method::HEAD => match bearer(&parts.headers) {
                    // A person without a program: the page asks for the token.
                    None if accepts_pages(&parts.headers) => console::sign_in(uri),
                    given => opens(given).and_then(|()| console::page(self, uri, given)),
                },
                Method::POST => {
                    let form = read(body, uri).await?;
                    Ok(console::post(self, uri, &form, opens).await)
                }
                _ => Err(Problem::other_method(&parts.method, uri, "GET, HEAD, POST")),
            };
        }
        opens(bearer(&parts.headers))?;
        if matches!(parts.method, Method::GET | Method::HEAD) {
            return self.show(uri, &path, &config).map(IntoResponse::into_response);
        }
        if parts.method != Method::POST {
            return Err(Problem::other_method(&parts.method, uri, "GET, HEAD, POST"));
        }
        let is_json = |value: &str| {
            value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        };
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !kind.is_some_and(is_json) {
            return Err(Problem::media_type(uri));
        }
        let body = read(body, uri).await?;
        self.act(uri, &path, &body).await
    }

    fn show(&self, uri: &Uri, path: &[&str], config: &Config) -> Result<Response, Problem> {
        match path {
            ["feeds"] => Ok(json_of(&json!({ "feeds": self.feeds(config) }))),
            ["feeds", feed] => {
                let feeds = self.feeds(config);
                let known: Vec<&str> = feeds.iter().map(|known| known.id).collect();
                let missing = || {
                    Problem::unknown(
                        uri,
                        format!("there is no feed {feed}; allowed are {}", known.join(", ")),
                    )
                };
                feeds.iter().find(|known| known.id == *feed).map(json_of).ok_or_else(missing)
            }
            ["audit"] => {
                let acts = self.control.acts();
                Ok(json_of(&json!({ "acts": acts.iter().map(ActJson::from).collect::<Vec<_>>() })))
            }
            ["config"] => Ok(json_of(&self.configuration(config))),
            _ => Err(Problem::not_found(uri)),
        }
    }

    async fn act(&self, uri: &Uri, path: &[&str], body: &[u8]) -> Result<Response, Problem> {
        let refused = |refusal: Refusal| told(&refusal, uri);
        let control = &self.control;
        match path {
            ["reload"] => {
                let Nothing {} = parse(uri, body)?;
                let changes = control.reload(Via::Api).await.map_err(refused)?;
                Ok(json_of(&json!({ "changed": lines(&changes) })))
            }
            ["feeds", feed, "schedule"] => {
                let wish: Schedule = parse(uri, body)?;
                let changes = match &wish.schedule {
                    Some(schedule) => control.reschedule(Via::Api, feed, schedule, wish.persist).await,
                    None => control.reset_schedule(Via::Api, feed).await,
                };
                Ok(self.changed(feed, &changes.map_err(refused)?))
            }
            ["feeds", feed, "pause"] => {
                let Persist { persist } = parse(uri, body)?;
                Ok(self.changed(feed, &control.pause(Via::Api, feed, persist).await.map_err(refused)?))
            }
            ["feeds", feed, "resume"] => {
                // It is for good where the pause was.
                let Persist { persist: _ } = parse(uri, body)?;
                Ok(self.changed(feed, &control.resume(Via::Api, feed).await.map_err(refused)?))
            }
            ["feeds", feed, "refresh"] => {
                let Nothing {} = parse(uri, body)?;
                let Ok(end) = tokio::time::timeout(PATIENCE, control.refresh(Via::Api, feed)).await else {
                    return Ok(json_of(&json!({ "feed": feed, "outcome": "running" })));
                };
                let (outcome, codes) = match end.map_err(refused)? {
                    RunEnd::Good => ("good", Vec::new()),
                    RunEnd::Failed(codes) => ("failed", codes),
                };
                Ok(json_of(&json!({ "feed": feed, "outcome": outcome, "codes": codes })))
            }
            ["held", quote, word @ ("accept" | "reject")] => {
                let Nothing {} = parse(uri, body)?;
                control.decide(Via::Api, quote, *word == "accept").await.map_err(refused)?;
                Ok(json_of(&json!({ "quote": quote, "decision": word })))
            }
            _ => Err(Problem::not_found(uri)),
        }
    }

    fn changed(&self, feed: &str, changes: &[crate::config::Change]) -> Response {
        let feeds = self.feeds(&self.control.config());
        let feed = feeds.iter().find(|known| known.id == feed);
        json_of(&json!({ "changed": lines(changes), "feed": feed }))
    }

    /// Every feed with what will run when.
    pub(super) fn feeds(&self, config: &Config) -> Vec<FeedRuns> {
        let snapshot = self.site.snapshot.load();
        let now = self.site.clock.now();
        snapshot
            .feeds
            .iter()
            .map(|served| {
                let state = &served.state;
                let id = state.feed.id;
                let origin = |name: &str| {
                    let key = format!("feeds.{id}.{name}");
                    config.origin(&key).map_or_else(String::new, ToString::to_string)
                };
                FeedRuns {
                    id,
                    paused: state.paused,
                    next_runs: next_runs(served, config, snapshot.recorded, now)
                        .into_iter()
                        .map(rfc3339)
                        .collect(),
                    schedule_origin: origin("schedule"),
                    paused_origin: origin("paused"),
                    detail: FeedDetail::of(served),
                }
            })
            .collect()
    }

    fn configuration(&self, config: &Config) -> serde_json::Value {
        let last = self.control.last_reload();
        let (successful, changed, reason) = match &last.result {
            Ok(changes) => (true, lines(changes), None),
            Err(refusal) => (false, Vec::new(), Some(refusal.to_string())),
        };
        let effective: Vec<_> = config
            .effective
            .iter()
            .map(|(key, value, origin)| json!({ "key": key, "value": value.to_string(), "origin": origin.to_string() }))
            .collect();
        json!({
            "file": config.inputs.file,
            "overrides": config.overrides_file(),
            "last_reload": { "at": rfc3339(last.at), "successful": successful, "changed": changed, "reason": reason },
            "effective": effective,
        })
    }
}

/// A feed as `/v1/feeds` shows it, and what will run when.
#[derive(Serialize)]
pub(super) struct FeedRuns {
    #[serde(skip)]
    pub(super) id: &'static str,
    #[serde(flatten)]
    pub(super) detail: FeedDetail,
    pub(super) paused: bool,
    /// Where that is set.
    pub(super) paused_origin: String,
    /// Where the schedule is set.
    pub(super) schedule_origin: String,
    /// The next five, the feed's offset included; none while it is paused.
    pub(super) next_runs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Persist {
    #[serde(default)]
    persist: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schedule {
    /// `null`: what stands in the operator's own file. Whoever leaves it out has not said that.
    #[serde(deserialize_with = "Option::deserialize")]
    schedule: Option<String>,
    #[serde(default)]
    persist: bool,
}

/// The next five runs of a feed, its offset included; none while it is paused.
pub(super) fn next_runs(
    served: &ServedFeed,
    config: &Config,
    recorded: bool,
    now: Timestamp,
) -> Vec<Timestamp> {
    let (state, id) = (&served.state, served.state.feed.id);
    if state.paused {
        return Vec::new();
    }
    let settings = config.feeds.get(id);
    let offset = settings.map_or(Duration::ZERO, |settings| app::offset(id, settings, recorded));
    // The next one may be another try, or the first after a source's wish to be left alone.
    let next = state.next_refresh_at.filter(|next| *next > now);
    let from = next.and_then(|next| next.checked_sub(offset).ok()).unwrap_or(now).max(now);
    let due = state.rules.schedule.runs(from, RUNS).into_iter().map(|run| later(run, offset));
    next.into_iter().chain(due.filter(|run| Some(*run) > next)).take(RUNS).collect()
}

pub(super) fn lines(changes: &[crate::config::Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

/// A refusal as a problem.
pub(super) fn told(refusal: &Refusal, uri: &Uri) -> Problem {
    let why = refusal.to_string();
    match refusal {
        Refusal::NoFeed { .. } | Refusal::NotHeld { .. } => Problem::unknown(uri, why),
        Refusal::Invalid(_) => Problem::refused(uri, why),
        Refusal::Above { .. } | Refusal::NoPlace | Refusal::Follows { .. } => Problem::conflict(uri, why),
        Refusal::CoolingDown { seconds, .. } => Problem::too_soon(uri, why, *seconds),
        Refusal::NotKept { .. } | Refusal::Store(_) | Refusal::NothingToHandOver | Refusal::Stopping => {
            Problem::unavailable(uri, &why, 1)
        }
    }
}

/// The token of `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn accepts_pages(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"))
}

/// Whether a browser that says where a request comes from says that it comes from here.
fn is_own(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none")
}

async fn read(body: Body, uri: &Uri) -> Result<Vec<u8>, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(_)) => Err(Problem::too_large(uri)),
        Err(_) => Err(Problem::timeout(uri.path())),
    }
}

fn parse<T: DeserializeOwned>(uri: &Uri, body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::refused(uri, format!("the body is not what is expected here: {error}")))
}

fn json_of(value: &impl Serialize) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "application/json")], encode(value)).into_response();
    for (name, value) in never_framed() {
        response.headers_mut().insert(name, value);
    }
    response
}
