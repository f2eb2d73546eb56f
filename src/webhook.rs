//! Tells one address of the operator's what happened: every event a signed POST by the convention of Standard Webhooks,
//! tried again until it is taken, for a day at most. One task; nothing on the way of a number waits for it. It reads
//! what is published and touches nothing else.

mod queue;

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    board::{Board, Shared},
    clock::{Clock, rfc3339},
    config::{self, Config},
    document,
    events::{Data, Event, Follower},
    fetch::post::Post,
    metrics::Metrics,
    store::Store,
};
use queue::{Message, Queue};

/// The least that the convention allows for a key.
const LEAST_KEY: usize = 24;
/// At a stop so long is waited for what is under way.
const DRAIN: Duration = Duration::from_secs(2);

/// What became of an event, or of one try to deliver it, as it is counted.
mod outcome {
    /// Taken by the receiver.
    pub(super) const DELIVERED: &str = "delivered";
    /// A try that failed; another one follows.
    pub(super) const RETRIED: &str = "retried";
    /// Too many wait: the oldest made room.
    pub(super) const DROPPED: &str = "dropped";
    /// Not taken for a day.
    pub(super) const GIVEN_UP: &str = "given_up";
    /// The receiver wants no more (410).
    pub(super) const GONE: &str = "gone";
    /// Not taken by the time of a stop, or by that at which the webhook was switched off.
    pub(super) const LOST: &str = "lost";

    pub(super) const ALL: [&str; 6] = [DELIVERED, RETRIED, DROPPED, GIVEN_UP, GONE, LOST];
}

/// What signs a message; never printed.
#[derive(Clone)]
pub struct Key {
    mac: Hmac<Sha256>,
    text: String,
}

impl Key {
    /// `v1,<base64>` of HMAC-SHA256 over id, time and body.
    #[must_use]
    pub fn sign(&self, id: &str, second: i64, body: &[u8]) -> String {
        let mac = self.mac.clone().chain_update(format!("{id}.{second}.")).chain_update(body);
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    }

    /// The texts by which somebody could give it away.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.text.as_str()).chain(self.text.strip_prefix("whsec_"))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "{what}; allowed are whsec_ and the base64 of at least {LEAST_KEY} bytes, such as `echo whsec_$(openssl rand -base64 32)` prints, or a text of at least {LEAST_KEY} bytes"
            )
        };
        let bytes = match text.strip_prefix("whsec_") {
            Some(coded) => BASE64.decode(coded).map_err(|_| wrong("what follows whsec_ is not base64"))?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() < LEAST_KEY {
            return Err(wrong(&format!("the key has {} bytes", bytes.len())));
        }
        let mac = Hmac::new_from_slice(&bytes).map_err(|error| wrong(&error.to_string()))?;
        Ok(Self { mac, text: text.to_owned() })
    }
}

/// What is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    webhook: config::Webhook,
    fetch: config::Fetch,
}

/// The running task, seen from outside: takes a new configuration.
#[derive(Debug, Clone)]
pub struct Webhook {
    settings: watch::Sender<Option<Settings>>,
    /// Nobody is woken by recordings.
    recorded: bool,
}

/// What the task reads, and where it counts.
pub struct Watched {
    snapshot: Shared,
    versions: watch::Receiver<i64>,
    published_before: Option<Timestamp>,
    clock: Clock,
    metrics: Arc<Metrics>,
    store: Arc<Store>,
}

impl Watched {
    /// Of a board that has published nothing but its first snapshot yet.
    #[must_use]
    pub fn of(board: &Board, clock: &Clock, metrics: &Arc<Metrics>) -> Self {
        Self {
            snapshot: board.shared(),
            versions: board.versions(),
            published_before: board.published_before(),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            store: Arc::clone(board.store()),
        }
    }
}

impl Webhook {
    /// Starts the task, which tells of what happens from now on. It ends after `stop`, within two seconds.
    #[must_use]
    pub fn start(config: &Config, watched: Watched, tracker: &TaskTracker, stop: CancellationToken) -> Self {
        let recorded = watched.snapshot.load().recorded;
        let webhook = Self { settings: watch::Sender::new(None), recorded };
        let settings = webhook.settings.subscribe();
        webhook.configure(config);
        let follower = Follower::new(watched.snapshot.load_full(), watched.published_before);
        let teller = Teller {
            watched,
            settings,
            follower,
            queue: Queue::default(),
            line: None,
            line_number: 0,
            under_way: FuturesUnordered::new(),
            fails: false,
        };
        tracker.spawn(teller.tell(stop));
        webhook
    }

    /// Another configuration: what waits goes where it says, and a receiver that was gone is asked again.
    pub fn configure(&self, config: &Config) {
        let webhook = config.webhook.clone().filter(|_| !self.recorded);
        let settings = webhook.map(|webhook| Settings { webhook, fetch: config.fetch.clone() });
        self.settings.send_replace(settings);
    }
}

/// A receiver, and how it is spoken to.
struct Line {
    settings: Settings,
    /// The reason, where no client can be set up.
    post: Result<Post, String>,
}

impl Line {
    fn of(settings: Settings) -> Self {
        let Settings { webhook, fetch } = &settings;
        let post = Post::new(fetch, webhook.url.clone(), webhook.allow_private, webhook.timeout.0);
        Self { post: post.map_err(|outcome| outcome.to_string()), settings }
    }

    /// Whose logs may show it: the rest of the address may be a secret.
    fn host(&self) -> &str {
        self.settings.webhook.url.host_str().unwrap_or_default()
    }
}

/// How a try ended.
enum End {
    Delivered,
    Gone,
    Failed { why: String, wait: Duration },
}

/// A try that has ended: the message, and the number of the line that it went over.
struct Tried {
    id: String,
    line: u64,
    end: End,
}

struct Teller {
    watched: Watched,
    settings: watch::Receiver<Option<Settings>>,
    follower: Follower,
    queue: Queue,
    /// `None`: nobody is told.
    line: Option<Line>,
    line_number: u64,
    under_way: FuturesUnordered<BoxFuture<'static, Tried>>,
    /// Whether the receiver's last answer was none, or no good one: that is told once and not a thousand times.
    fails: bool,
}

impl Teller {
    async fn tell(mut self, stop: CancellationToken) {
        self.connect();
        loop {
            self.send_what_is_due();
            self.watched.metrics.undelivered(self.queue.len());
            self.watched.metrics.tells(self.line.is_some());
            let wake = OptionFuture::from(self.queue.next_due().map(sleep_until));
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.watched.versions.changed() => {
                    self.look();
                    // The board is gone, and with it all that could happen.
                    if changed.is_err() { break }
                }
                changed = self.settings.changed() => {
                    if changed.is_err() { break }
                    // What happened before is told as it was to be told then.
                    self.look();
                    self.connect();
                }
                Some(tried) = self.under_way.next() => self.settle(tried),
                Some(()) = wake => {}
            }
        }
        self.drain().await;
    }

    /// Takes the newest configuration.
    fn connect(&mut self) {
        let settings = self.settings.borrow_and_update().clone();
        // Most reloads are about something else.
        if settings.is_some() && self.line.as_ref().map(|line| &line.settings) == settings.as_ref() {
            return;
        }
        self.line_number += 1;
        self.fails = false;
        self.line = settings.map(Line::of);
        match &self.line {
            Some(line) => {
                // Series that are there from the beginning can be alerted on.
                for outcome in outcome::ALL {
                    self.watched.metrics.delivered(outcome, 0);
                }
                self.queue.retry_now();
                let events: Vec<&str> =
                    line.settings.webhook.events.iter().map(|what| what.as_str()).collect();
                tracing::info!(host = line.host(), events = events.join(", "), "the webhook is on");
            }
            None => self.forget(outcome::LOST),
        }
    }

    /// Nothing that waits will be delivered.
    fn forget(&mut self, outcome: &'static str) {
        let forgotten = self.queue.clear();
        if forgotten > 0 {
            self.count(outcome, forgotten);
            tracing::warn!(events = forgotten, outcome, "events were not delivered");
        }
    }

    fn count(&self, outcome: &'static str, count: usize) {
        self.watched.metrics.delivered(outcome, u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Reads what is new, whether or not anybody is told: what happens while the webhook is off is no news later.
    fn look(&mut self) {
        self.watched.versions.mark_unchanged();
        let events = self.follower.step(self.watched.snapshot.load_full());
        // Of several replicas one tells; where none can know who, each does, under the same ids.
        let Some(line) = self.line.as_ref().filter(|_| self.watched.store.tells()) else { return };
        let wanted = events.iter().filter(|event| line.settings.webhook.events.contains(&event.what));
        let dropped: usize = wanted.map(|event| usize::from(self.queue.push(message(event)))).sum();
        if dropped > 0 {
            self.count(outcome::DROPPED, dropped);
            tracing::warn!(
                dropped,
                waiting = self.queue.len(),
                "too many events wait for the webhook's receiver; the oldest were dropped"
            );
        }
    }

    fn send_what_is_due(&mut self) {
        let Some(line) = &self.line else { return };
        while let Some(message) = self.queue.take_due() {
            let (id, number) = (message.id.clone(), self.line_number);
            let sent = attempt(line, message, &self.watched.clock);
            self.under_way.push(sent.map(move |end| Tried { id, line: number, end }).boxed());
        }
    }

    fn settle(&mut self, Tried { id, line: number, end }: Tried) {
        let host = self.line.as_ref().map_or_else(String::new, |line| line.host().to_owned());
        match end {
            End::Delivered => {
                self.queue.done(&id);
                self.count(outcome::DELIVERED, 1);
                if std::mem::take(&mut self.fails) {
                    tracing::info!(host, "the webhook's receiver takes events again");
                }
                tracing::debug!(host, id, "an event was delivered");
            }
            // Over a line that is no longer the operator's will.
            End::Gone | End::Failed { .. } if number != self.line_number => {
                self.queue.again(&id, Duration::ZERO);
            }
            End::Gone => {
                self.line = None;
                self.line_number += 1;
                tracing::warn!(
                    host,
                    "the webhook's receiver wants no more events (410): none are sent until the configuration is read again"
                );
                self.forget(outcome::GONE);
            }
            End::Failed { why, wait } if self.queue.fail(&id, wait) => {
                self.count(outcome::RETRIED, 1);
                if !std::mem::replace(&mut self.fails, true) {
                    tracing::warn!(host, why, "an event was not delivered and is tried again");
                }
                tracing::debug!(host, id, why, "a try failed");
            }
            End::Failed { why, .. } => {
                self.count(outcome::GIVEN_UP, 1);
                tracing::warn!(host, id, why, "an event could not be delivered for a day and is given up");
            }
        }
    }

    /// The last of what happened, and one more try for each feed's oldest event that failed before.
    async fn drain(mut self) {
        let deadline = Instant::now() + DRAIN;
        self.look();
        self.queue.retry_now();
        loop {
            self.send_what_is_due();
            let Ok(Some(tried)) = timeout_at(deadline, self.under_way.next()).await else { break };
            if let End::Failed { .. } = tried.end {
                // Who did not take this one now will not take the next ones of its feed.
                self.queue.wait_for_ever(&tried.id);
            } else {
                self.settle(tried);
            }
        }
        self.forget(outcome::LOST);
        self.watched.metrics.undelivered(0);
    }
}

/// What a message says.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: String,
    data: &'a Data,
}

fn message(event: &Event) -> Message {
    let Event { what, feed, at, data } = event;
    let body = document::encode(&Body { r#type: what.as_str(), timestamp: rfc3339(*at), data });
    // What is told is its name, so that it keeps it however often it is told.
    let digest = Sha256::digest(&body);
    let id = digest.iter().take(16).fold("msg_".to_owned(), |id, byte| format!("{id}{byte:02x}"));
    Message::new(id, feed, Bytes::from(body))
}

/// One try.
fn attempt(line: &Line, message: &Message, clock: &Clock) -> impl Future<Output = End> + Send + use<> {
    let (now, id, body, tries) = (clock.now(), message.id.clone(), message.body.clone(), message.tries);
    let signature = line.settings.webhook.key.sign(&id, now.as_second(), &body);
    let post = line.post.clone();
    async move {
        let sent = match post {
            Ok(post) => {
                let headers =
                    [("id", id), ("timestamp", now.as_second().to_string()), ("signature", signature)];
                let headers: HeaderMap =
                    headers.iter().filter_map(|(name, value)| header(name, value)).collect();
                post.send(headers, body, now).await.map_err(|outcome| outcome.to_string())
            }
            Err(why) => Err(why),
        };
        let asked = sent.as_ref().ok().and_then(|receipt| receipt.wait_until);
        let asked = asked.map_or(0, |until| until.as_second().saturating_sub(now.as_second()));
        let wait = queue::back_off(tries).max(Duration::from_secs(u64::try_from(asked).unwrap_or(0)));
        match sent.map(|receipt| receipt.status) {
            Ok(status) if status.is_success() => End::Delivered,
            Ok(StatusCode::GONE) => End::Gone,
            Ok(status) if status.is_redirection() => End::Failed {
                why: format!("the receiver redirects (status {status}), which is not followed"),
                wait,
            },
            Ok(status) => End::Failed { why: format!("the receiver answered with status {status}"), wait },
            Err(why) => End::Failed { why, wait },
        }
    }
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((format!("webhook-{name}").parse().ok()?, value.parse().ok()?))
}
