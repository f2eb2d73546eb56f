//! What exists, in which order it starts and in which it stops. Start: store → last board → listeners → staggered
//! first fetches. Stop: no new connections → drain → workers → board → store.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use providers::{Feed, Institution};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    board::{self, Board, FeedState, Rules, Shared, SourceState, Standing, Update},
    clock::{Clock, Watch, later},
    config::{self, Config},
    evidence::Evidence,
    fetch::{Fetcher, Live, Transport},
    http::{
        self, Site,
        serve::{Front, Listener},
    },
    judge::hold,
    metrics::{Metrics, StoreTrouble},
    refresh::{FirstRound, Order, Request, RunEnd, Shop, Worker},
    replay::{Replay, ReplayError},
    schedule::Ringer,
    store::{Kept, Nature, Store, StoreError},
    webhook::{Watched, Webhook},
};

/// First fetches are this far apart, and the last one still starts within two seconds.
const STAGGER: Duration = Duration::from_millis(150);
/// Updates on their way to the board; workers wait when it is full.
const BOARD_QUEUE: usize = 64;
/// The clock of a replay is looked at this often.
const REPLAY_TICK: Duration = Duration::from_millis(200);
/// The system's clock is compared with one that nobody sets this often.
const CLOCK_LOOK: Duration = Duration::from_secs(1);
/// Seconds by which a clock does not drift in that time.
const CLOCK_STEP: i64 = 5;
/// Buckets of clients are looked through this often.
const TIDY: Duration = Duration::from_mins(1);
/// A little more than the listeners' own drain.
const SERVERS_STOP: Duration = Duration::from_secs(12);
/// How long workers may take to notice that they should stop.
const WORKERS_STOP: Duration = Duration::from_secs(5);

/// Why the service does not start; one sentence each.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The recordings.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An address.
    #[error("cannot listen on {address} ({key}): {why}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Where it was set.
        key: &'static str,
        /// The operating system's reason.
        why: String,
    },
    /// The board.
    #[error("the board cannot be published; the log says why")]
    FirstPublish,
    /// The system.
    #[error("cannot start a serving thread: {0}")]
    Threads(std::io::Error),
    /// The scheduler.
    #[error("the scheduler does not start: {0}")]
    Scheduler(String),
}

/// Live sources, or recordings.
#[derive(Clone, Default)]
pub enum Mode {
    /// Over the network.
    #[default]
    Live,
    /// Built-in recordings, or those of a folder.
    Replay(Option<PathBuf>),
    /// By a clock and a transport in somebody's hand: a day that passes in seconds. Nothing runs but what is asked for.
    Simulated(Clock, Arc<dyn Transport>),
}

/// A running service.
pub struct App {
    /// Where the API and the widgets are.
    pub public: SocketAddr,
    /// Where health is.
    pub ops: SocketAddr,
    snapshot: Shared,
    site: Arc<Site>,
    store: Arc<Store>,
    orders: BTreeMap<&'static str, mpsc::Sender<Request>>,
    updates: mpsc::Sender<Update>,
    webhook: Webhook,
    stop_ringing: CancellationToken,
    stop_listening: CancellationToken,
    stop_working: CancellationToken,
    stop_board: CancellationToken,
    servers: TaskTracker,
    workers: TaskTracker,
    board: TaskTracker,
}

impl App {
    /// Starts everything.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(config: Config, mode: Mode) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let (fetcher, clock, nature) = match mode {
            Mode::Live => {
                let clock = Clock::system();
                let live = Live::new(&config.fetch, clock.clone()).with_metrics(Arc::clone(&metrics));
                (Fetcher::Live(live), clock, Nature::Live)
            }
            Mode::Replay(folder) => {
                let replay = match folder {
                    Some(folder) => Replay::from_folder(&folder)?,
                    None => Replay::built_in()?,
                };
                let clock = replay.clock();
                (Fetcher::Replay(replay), clock, Nature::Recorded)
            }
            Mode::Simulated(clock, transport) => (Fetcher::Simulated(transport), clock, Nature::Live),
        };
        // Beside the store's first reads.
        let api = tokio::task::spawn_blocking(|| http::api::routes().split_for_parts().0);
        let recorded = nature == Nature::Recorded;
        let (store, states) = open_store(&config, nature, &clock).await?;

        let (public, ops) = listeners(&config.server).await?;
        let tracker = TaskTracker::new();
        let shared_states = states.iter().map(|(state, _)| Arc::new(state.clone())).collect();
        let board =
            Board::start(clock.clone(), Arc::clone(&store), recorded, shared_states, tracker.clone()).await?;
        let snapshot = board.shared();
        let watched = Arc::clone(&store);
        metrics.watch_store(move || StoreTrouble {
            errors: watched.errors(),
            waiting: u64::try_from(watched.waiting()).unwrap_or(u64::MAX),
            set_aside_at: watched.recovered().map_or(0, |recovery| recovery.at.as_second()),
        });
        // Stops with the board, so that what the last runs bring is told too.
        let stop_board = CancellationToken::new();
        let watched = Watched::of(&board, &clock, &metrics);
        let webhook = Webhook::start(&config, watched, &tracker, stop_board.clone());
        let (updates, inbox) = mpsc::channel(BOARD_QUEUE);
        let site = Arc::new(Site::new(
            Arc::clone(&snapshot),
            clock.clone(),
            &config,
            Arc::clone(&metrics),
            tracker.clone(),
        ));
        let mut app = Self {
            public: public.address,
            ops: ops.address,
            snapshot: Arc::clone(&snapshot),
            site: Arc::clone(&site),
            store: Arc::clone(&store),
            orders: BTreeMap::new(),
            updates: updates.clone(),
            webhook,
            stop_ringing: CancellationToken::new(),
            stop_listening: CancellationToken::new(),
            stop_working: CancellationToken::new(),
            stop_board,
            servers: TaskTracker::new(),
            workers: TaskTracker::new(),
            board: tracker,
        };
        app.board.spawn(board.run(inbox, app.stop_board.clone()));
        let front = Front {
            quick: Some(Arc::clone(&site)),
            router: match api.await {
                Ok(api) => http::public_with(api, Arc::clone(&site)),
                Err(_) => http::public(Arc::clone(&site)),
            },
            mount: Arc::clone(&site.mount),
        };
        public.serve_on_threads(&front, &app.stop_listening, &app.servers).map_err(StartError::Threads)?;
        let front = Front { quick: None, router: http::ops(Arc::clone(&site)), mount: "".into() };
        app.servers.spawn(ops.serve(front, app.stop_listening.clone()));
        app.servers.spawn(tidy_buckets(site, app.stop_listening.clone()));
        tracing::info!("public listener on http://{}", app.public);
        tracing::info!("ops listener on http://{}", app.ops);

        let evidence = Arc::new(Evidence::of(&config, recorded));
        app.servers.spawn(Arc::clone(&evidence).tidy(clock.clone(), app.stop_listening.clone()));
        let shop = Arc::new(Shop {
            clock: clock.clone(),
            fetcher,
            store,
            secrets: config.secrets.clone(),
            limits: config.judge.clone(),
            sensitive: config.sensitive(),
            metrics,
            evidence,
            tracker: app.workers.clone(),
            snapshot,
            board: updates,
            first_round: FirstRound::new(states.len()),
        });
        app.start_workers(&config, &shop, states).await?;
        let (backups, stop) = (config.store.backups(), app.stop_working.clone());
        app.workers.spawn(Arc::clone(&app.store).tend(backups, stop));
        Ok(app)
    }

    /// The values behind what is served, for health and metrics.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    async fn start_workers(
        &mut self,
        config: &Config,
        shop: &Arc<Shop>,
        states: Vec<(FeedState, bool)>,
    ) -> Result<(), StartError> {
        let mut bells = Vec::new();
        for (at, (state, due)) in (0..).zip(states) {
            let Some(feed) = config.feeds.get(state.feed.id) else { continue };
            for source in &state.sources {
                if let Some(at) = source.kept.values().map(|kept| kept.checked_at).max() {
                    shop.metrics.succeeded(state.feed.id, source.source.id, at);
                }
            }
            let bell = Arc::new(Notify::new());
            bells.push((feed.schedule.clone(), Arc::clone(&bell)));
            let offset = offset(state.feed.id, feed, shop.fetcher.is_replay());
            let id = state.feed.id;
            let (worker, orders) = Worker::new(Arc::clone(shop), feed.clone(), state, bell, offset);
            self.orders.insert(id, orders);
            let first = due
                .then(|| if shop.fetcher.is_replay() { Duration::ZERO } else { STAGGER * at })
                .filter(|_| !shop.clock.stands());
            self.workers.spawn(worker.work(first, self.stop_working.clone()));
        }
        if shop.fetcher.is_replay() {
            let stop = self.stop_working.clone();
            self.workers.spawn(ring_by_clock(shop.clock.clone(), bells, stop));
        } else if !shop.clock.stands() {
            let ringer = Ringer::start(bells.iter().cloned())
                .await
                .map_err(|error| StartError::Scheduler(error.to_string()))?;
            self.workers.spawn(mind_the_clock(ringer, bells, shop.clock.clone(), self.stop_ringing.clone()));
        }
        Ok(())
    }

    /// What is served now.
    #[must_use]
    pub fn snapshot(&self) -> Shared {
        Arc::clone(&self.snapshot)
    }

    /// Who is told of events.
    #[must_use]
    pub const fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// What the listeners serve from.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Runs a feed now and waits until what it brought is published; `None`: there is no such feed.
    pub async fn refresh(&self, feed: &str) -> Option<RunEnd> {
        self.order(feed, Order::Run).await
    }

    /// Serves a held value, or refuses it for as long as its source says the same. Failed with `not_held` where
    /// nothing waits under this key (the id without the feed's).
    pub async fn decide(&self, feed: &str, key: &str, accept: bool) -> Option<RunEnd> {
        let key = key.to_owned();
        self.order(feed, if accept { Order::Accept(key) } else { Order::Refuse(key) }).await
    }

    async fn order(&self, feed: &str, order: Order) -> Option<RunEnd> {
        let (sender, end) = oneshot::channel();
        self.orders.get(feed)?.send((order, sender)).await.ok()?;
        end.await.ok()
    }

    /// Publishes what the clock has brought about: for one that is moved by hand.
    pub async fn look_at_the_clock(&self) {
        let (sender, seen) = oneshot::channel();
        let update = Update { state: None, answer: Some((sender, RunEnd::Good)) };
        if self.updates.send(update).await.is_ok() {
            // Whoever stops the board meanwhile has no more use for it.
            let _ = seen.await;
        }
    }

    /// Stops in order.
    pub async fn stop(self) {
        self.stop_ringing.cancel();
        self.stop_listening.cancel();
        self.servers.close();
        if tokio::time::timeout(SERVERS_STOP, self.servers.wait()).await.is_err() {
            tracing::warn!("some connection did not end in time");
        }
        self.stop_working.cancel();
        self.workers.close();
        if tokio::time::timeout(WORKERS_STOP, self.workers.wait()).await.is_err() {
            tracing::warn!("some worker did not stop in time");
        }
        self.stop_board.cancel();
        self.board.close();
        self.board.wait().await;
        self.store.close().await;
        tracing::info!("stopped");
    }
}

async fn listeners(server: &config::Server) -> Result<(Listener, Listener), StartError> {
    let bind = async |address: SocketAddr, key| {
        Listener::bind(address).await.map_err(|error| StartError::Listen {
            address,
            key,
            why: error.to_string(),
        })
    };
    Ok((bind(server.listen, "server.listen").await?, bind(server.ops_listen, "server.ops_listen").await?))
}

/// The store and what it holds. Damage that only shows when the rows are read is treated like any other, once.
async fn open_store(
    config: &Config,
    nature: Nature,
    clock: &Clock,
) -> Result<(Arc<Store>, Vec<(FeedState, bool)>), StoreError> {
    let store = Arc::new(Store::open_or_recover(&config.store.url, nature, config.store.on_corrupt).await?);
    let recorded = nature == Nature::Recorded;
    let states = match load_states(config, &store, clock, recorded).await {
        Err(error) if error.is_damage() => {
            store.recover(&error.to_string()).await?;
            load_states(config, &store, clock, recorded).await?
        }
        states => states?,
    };
    Ok((store, states))
}

/// The state of each enabled feed as the store left it, and whether a run was missed meanwhile.
///
/// # Errors
/// When the store cannot be read.
pub async fn load_states(
    config: &Config,
    store: &Store,
    clock: &Clock,
    recorded: bool,
) -> Result<Vec<(FeedState, bool)>, StoreError> {
    let calendar = Arc::new(config.calendar.clone());
    let now = clock.now();
    let mut states = Vec::new();
    for (institution, feed, settings) in enabled(config) {
        let rules = Rules {
            schedule: settings.schedule.clone(),
            stale_after: settings.stale_after.0,
            expire_after: settings.expire_after.0,
            calendar: Arc::clone(&calendar),
        };
        let mut sources = Vec::new();
        for source in feed.sources {
            let Some(own) = settings.sources.get(source.id) else { continue };
            let kept = store.source(feed.id, source.id).await?;
            let standing = match source.secret {
                _ if !own.enabled => Standing::Off,
                Some(secret) if config.secrets.get(secret).is_none() => Standing::Skipped(secret),
                _ => Standing::On,
            };
            sources.push(SourceState {
                source,
                standing,
                url: config::shown(&own.url),
                kept: kept.quotes.into_iter().map(|kept| (kept.quote.key(), kept)).collect(),
                last_keys: kept.last_keys,
                sides: BTreeMap::new(),
                held: store.held(feed.id, source.id).await?,
                last: kept.last,
                trends: BTreeMap::new(),
            });
            if let Some(state) = sources.last_mut() {
                let last = |kept: &Kept| hold::remembered(&kept.quote, kept.previous.as_ref());
                state.sides = state.kept.iter().map(|(key, kept)| (key.clone(), last(kept))).collect();
                load_trends(state, feed.id, store, now).await?;
            }
        }
        // Why the last run before the stop brought nothing is still why nothing is here.
        let asked = || sources.iter().filter_map(|source| source.last.as_ref());
        let failure = if asked().any(|last| last.reason.is_none()) {
            None
        } else {
            asked().find_map(|last| last.reason.clone())
        };
        let asked_now = || sources.iter().filter(|source| source.standing == Standing::On);
        let checked =
            asked_now().flat_map(|source| source.kept.values()).map(|kept| kept.checked_at.min(now)).max();
        let due = recorded
            || checked.is_none_or(|checked| rules.schedule.after(checked).is_some_and(|missed| missed <= now))
            // A source that the operator has just added above the others.
            || asked_now().next().is_some_and(|source| source.last.is_none());
        let offset = offset(feed.id, settings, recorded);
        let next = rules.schedule.after(now).map(|next| later(next, offset));
        let next_refresh_at = if due { Some(now) } else { next };
        let mut state = FeedState {
            institution,
            feed,
            rules,
            sources,
            next_refresh_at,
            failure,
            missed: 0,
            missed_publishes: 0,
        };
        state.count_missed(now);
        states.push((state, due));
    }
    Ok(states)
}

/// The course of each price that is drawn, from the changes that the store kept.
async fn load_trends(
    state: &mut SourceState,
    feed: &str,
    store: &Store,
    now: Timestamp,
) -> Result<(), StoreError> {
    let since = now.saturating_sub(board::TREND).unwrap_or(Timestamp::MIN);
    let drawn = state.kept.values().filter(|kept| board::trend_price(&kept.quote).is_some());
    let ids: Vec<String> = drawn.map(|kept| kept.quote.id(feed)).collect();
    for id in ids {
        for (quote, at) in store.changes_since(&id, state.source.id, since).await? {
            state.extend_trend(&quote, at);
        }
    }
    Ok(())
}

/// Enabled feeds in document order.
pub fn enabled(
    config: &Config,
) -> impl Iterator<Item = (&'static Institution, &'static Feed, &config::Feed)> {
    providers::feeds().filter_map(|(institution, feed)| Some((institution, feed, config.feeds.get(feed.id)?)))
}

/// The feed's fixed offset from its due runs: a hash of its name, so that it is the same after every restart, mod
/// `jitter`. Jitter longer than the schedule's interval counts as that: no offset may reach the next run.
#[must_use]
pub fn offset(feed: &str, settings: &config::Feed, recorded: bool) -> Duration {
    match settings.jitter.0.min(settings.schedule.shortest_interval()).as_secs() {
        0 => Duration::ZERO,
        _ if recorded => Duration::ZERO,
        seconds => Duration::from_secs(xxh3_64(feed.as_bytes()) % seconds),
    }
}

/// Forgets clients that have not cost anything for a while.
async fn tidy_buckets(site: Arc<Site>, stop: CancellationToken) {
    while tokio::time::timeout(TIDY, stop.cancelled()).await.is_err() {
        site.limiter.tidy();
    }
}

/// Rings until `stop`. The scheduler sleeps until what the system's clock called the next run: when that clock is set, it
/// begins anew, and every feed is asked, whose times may have come to lie in the future.
async fn mind_the_clock(
    mut ringer: Ringer,
    bells: Vec<(crate::schedule::Schedule, Arc<Notify>)>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut watch = Watch::new(&clock);
    while tokio::time::timeout(CLOCK_LOOK, stop.cancelled()).await.is_err() {
        let off = watch.step(&clock);
        if off.abs() < CLOCK_STEP {
            continue;
        }
        tracing::warn!(
            seconds = off,
            "the clock was set; every feed is asked, and due runs are reckoned anew"
        );
        ringer.stop().await;
        ringer = loop {
            match Ringer::start(bells.iter().cloned()).await {
                Ok(ringer) => break ringer,
                Err(error) => tracing::error!(%error, "the scheduler does not start"),
            }
            if tokio::time::timeout(CLOCK_LOOK, stop.cancelled()).await.is_ok() {
                return;
            }
        };
        for (_, bell) in &bells {
            bell.notify_one();
        }
    }
    ringer.stop().await;
}

/// Rings by the clock of a replay, which the scheduler does not know.
async fn ring_by_clock(
    clock: Clock,
    bells: Vec<(crate::schedule::Schedule, Arc<Notify>)>,
    stop: CancellationToken,
) {
    let mut seen = clock.now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REPLAY_TICK) => {}
        }
        let now = clock.now();
        for (schedule, bell) in &bells {
            if schedule.after(seen).is_some_and(|due| due <= now) {
                bell.notify_one();
            }
        }
        seen = now;
    }
}
