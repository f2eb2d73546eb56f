//! Sources in memory and a clock in the test's hand: a day passes in seconds, and each answer is the test's to say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use banggia::{
    app::{App, Mode},
    board::{ServedFeed, Snapshot, Status},
    clock::Clock,
    fetch::{Body, Exchange, Outcome, Target, Transport, Validators},
    judge::hold::figures,
    refresh::RunEnd,
};
use jiff::Timestamp;
use providers::{Answer, Feed, Parsed, Quote, Request, Secrets, Sheet, Source};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::canary;

/// What a source answers to a step.
pub type Script = Box<dyn FnMut(&Request) -> Result<Vec<u8>, Outcome> + Send>;

/// The sources.
#[derive(Default)]
pub struct World {
    scripts: Mutex<BTreeMap<String, Script>>,
    asked: Mutex<Vec<(String, &'static str, Timestamp)>>,
    clock: Clock,
}

impl Transport for World {
    fn answer(
        &self,
        target: Target<'_>,
        request: &Request,
        _: Option<&Validators>,
    ) -> Result<Exchange, Outcome> {
        let name = format!("{}/{}", target.feed, target.source);
        self.asked.lock().unwrap().push((name.clone(), request.step, self.clock.now()));
        let bytes = match self.scripts.lock().unwrap().get_mut(&name) {
            Some(script) => script(request)?,
            None => return Err(Outcome::Connect(name)),
        };
        // As OCB's stand-in says it.
        let last_modified = Some("2026-09-29".parse().unwrap());
        Ok(Exchange::Body(Body { bytes, last_modified, ..Body::default() }))
    }
}

/// A service in such a world.
pub struct Simulation {
    pub app: App,
    pub clock: Clock,
    pub world: Arc<World>,
}

/// The wire bytes of the recordings of a source, by step.
pub fn tape(feed: &str, source: &str, nth: usize) -> BTreeMap<String, Vec<u8>> {
    let recordings = || {
        providers::replay::RECORDINGS
            .iter()
            .filter(|recording| recording.feed == feed && recording.source == source)
    };
    let instants: BTreeSet<&str> = recordings().map(|recording| recording.at).collect();
    let at = instants.into_iter().nth(nth).unwrap_or_else(|| panic!("no recording {nth} of {feed} {source}"));
    recordings()
        .filter(|recording| recording.at == at)
        .map(|recording| (recording.step.unwrap_or_default().to_owned(), recording.bytes.to_vec()))
        .collect()
}

/// Sources of which there are recordings.
pub fn recorded_sources() -> Vec<(&'static Feed, &'static Source)> {
    providers::feeds()
        .flat_map(|(_, feed)| feed.sources.iter().map(move |source| (feed, source)))
        .filter(|(feed, source)| {
            providers::replay::RECORDINGS
                .iter()
                .any(|recording| recording.feed == feed.id && recording.source == source.id)
        })
        .collect()
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The step of a tape that holds the figures.
pub fn board_step(tape: &BTreeMap<String, Vec<u8>>) -> String {
    let step = tape.keys().find(|step| *step == "board").or_else(|| tape.keys().next());
    step.unwrap().clone()
}

/// Read as the service reads it.
pub fn sheet(source: &Source, bytes: &[u8], now: Timestamp) -> Result<Sheet, providers::ParseError> {
    let base = url::Url::parse(source.url).unwrap();
    let secrets = Secrets::default();
    let answer = Answer {
        body: bytes,
        charset: None,
        last_modified: Some("2026-09-29".parse().unwrap()),
        step: None,
        now,
        base: &base,
        secrets: &secrets,
    };
    match (source.parse)(&answer)? {
        Parsed::Sheet(sheet) => Ok(sheet),
        Parsed::Follow(request) => panic!("{} leads on to {}", source.id, request.step),
    }
}

/// Every figure of a sheet: row, side, value.
pub fn facts(quotes: &[Quote]) -> BTreeSet<(String, &'static str, Decimal)> {
    quotes
        .iter()
        .flat_map(|quote| {
            figures(quote)
                .into_iter()
                .map(|(side, figure)| (quote.key_without_place(), side, figure.normalize()))
                .collect::<Vec<_>>()
        })
        .collect()
}

impl World {
    pub fn script(&self, feed: &str, source: &str, script: Script) {
        self.scripts.lock().unwrap().insert(format!("{feed}/{source}"), script);
    }

    /// Answers with these bytes, by step.
    pub fn says(&self, feed: &str, source: &str, tape: BTreeMap<String, Vec<u8>>) {
        self.script(
            feed,
            source,
            Box::new(move |request| {
                let bytes = tape.get(request.step).or_else(|| tape.get(""));
                bytes.cloned().ok_or_else(|| Outcome::NotRecorded(request.step.to_owned()))
            }),
        );
    }

    /// Fails.
    pub fn fails(&self, feed: &str, source: &str, with: fn() -> Outcome) {
        self.script(feed, source, Box::new(move |_| Err(with())));
    }

    /// How often a source was asked.
    pub fn asked(&self, feed: &str) -> usize {
        let feed = format!("{feed}/");
        self.asked.lock().unwrap().iter().filter(|(name, ..)| name.starts_with(&feed)).count()
    }

    /// Every request so far.
    pub fn all_asked(&self) -> Vec<(String, &'static str, Timestamp)> {
        self.asked.lock().unwrap().clone()
    }
}

impl Simulation {
    /// At an instant, with every source answering as recorded on the first day. `more` is added to the configuration.
    pub async fn at(start: &str, more: &str) -> Self {
        let simulation = Self::silent(start, more).await;
        for (feed, source) in recorded_sources() {
            simulation.world.says(feed.id, source.id, tape(feed.id, source.id, 0));
        }
        simulation
    }

    /// At an instant, with every source away.
    pub async fn silent(start: &str, more: &str) -> Self {
        Self::on("sqlite::memory:", start, more).await
    }

    /// On a store of its own.
    pub async fn on(store: &str, start: &str, more: &str) -> Self {
        let clock = Clock::standing_at(at(start));
        let world = Arc::new(World { clock: clock.clone(), ..World::default() });
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\nrate_limit = 0\n[store]\nurl = \"{store}\"\n{more}"
        );
        canary::listen();
        let config = crate::house::config(&text);
        let transport: Arc<dyn Transport> = Arc::clone(&world) as _;
        let app = App::start(config, Mode::Simulated(clock.clone(), transport)).await.unwrap();
        Self { app, clock, world }
    }

    pub async fn refresh(&self, feed: &str) -> RunEnd {
        self.app.refresh(feed).await.unwrap()
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.app.snapshot().load_full()
    }

    pub fn feed(&self, id: &str) -> ServedFeed {
        self.snapshot().feeds.iter().find(|feed| feed.state.feed.id == id).unwrap().clone()
    }

    /// Moves the clock and publishes what that brings about; nobody is asked.
    pub async fn move_to(&self, instant: Timestamp) {
        self.clock.set(instant);
        self.app.look_at_the_clock().await;
    }

    /// The next instant at which a feed runs or a status passes.
    pub fn next(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let snapshot = self.snapshot();
        let runs = snapshot.feeds.iter().filter_map(|feed| feed.state.next_refresh_at);
        let passages =
            snapshot.feeds.iter().flat_map(|feed| &feed.quotes).filter_map(|quote| match quote.status {
                Status::Fresh => Some(quote.freshness.fresh_until),
                Status::Stale => Some(quote.freshness.expires_at),
                _ => None,
            });
        runs.chain(passages).map(|at| at.max(now)).min()
    }

    /// Lives until an instant: every passage is published and every due run done at its own second, in the order of
    /// the documents.
    pub async fn live_until(&self, end: Timestamp, mut after: impl FnMut(&Self, Timestamp)) {
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.move_to(next).await;
            let due: Vec<&'static str> = self
                .snapshot()
                .feeds
                .iter()
                .filter(|feed| feed.state.next_refresh_at.is_some_and(|at| at <= next))
                .map(|feed| feed.state.feed.id)
                .collect();
            for feed in due {
                self.refresh(feed).await;
            }
            after(self, next);
        }
        self.move_to(end).await;
        after(self, end);
    }

    /// A document as it is served, over the loopback.
    pub async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    pub async fn text(&self, path: &str) -> String {
        let answer =
            crate::house::client().get(format!("http://{}{path}", self.app.public)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let text = answer.text().await.unwrap();
        canary::search(path, text.as_bytes());
        text
    }
}
