//! The board where several machines share a store. The leader shows nothing that is not committed under its epoch; the others
//! show what it committed. Statuses pass by the clock on every replica alike, as a function of what was committed: so
//! equal versions have equal bytes everywhere, with the store or without it. It never reads the store.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use providers::{Feed, Institution, Reason};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Board, DISK_PATIENCE, FeedState, Snapshot, SourceState, Standing, Status, Tuning, Written, drawn,
    position, write,
};
use crate::{
    clock::Clock,
    config::{self, Config},
    events::{Follower, numbered},
    judge::hold::{self, Held},
    store::{Attempt, Kept, Publication, Published, StoreError},
};

/// Versions between two commits: as many passages of a status may lie between them, and a replica whose clock is a little
/// ahead has seen some of them already. What is committed next must not look older to its readers.
const STRIDE: i64 = 16;
/// After a night without a process there are some hundred passages to catch up with at most.
const MOST_PASSAGES: usize = 1000;

/// What a board that is shared knows besides.
pub(super) struct Sharing {
    /// Whether what workers bring is published.
    leads: bool,
    /// Whether something waits to be committed.
    pending: bool,
    /// Commits since the last good one of which nobody knows whether they took place: their numbers are not used again.
    failed: i64,
    /// A commit on its way: readers of what is served do not wait for it.
    under_way: Option<UnderWay>,
    /// What was committed last, as it is served.
    committed: BTreeMap<usize, Arc<FeedState>>,
    /// Documents that have changed since by the clock alone: the next commit tells of them, so that whoever adopts it has the
    /// same numbers as whoever saw them pass.
    passed: BTreeMap<String, Published>,
    /// What readers see next. Between a commit and what has passed since nobody is shown what stands in between: it
    /// would look older than what was there.
    draft: Option<Arc<Snapshot>>,
    /// What happened up to the draft is told already.
    is_told: bool,
    /// What is committed, to be kept on this machine.
    copies: watch::Sender<Option<Arc<Publication>>>,
}

/// What is being committed.
struct UnderWay {
    task: JoinHandle<Result<(), StoreError>>,
    states: BTreeMap<usize, Arc<FeedState>>,
    snapshot: Arc<Snapshot>,
    changed: Vec<(String, Published)>,
    /// Of every document, when it began.
    published: BTreeMap<String, Published>,
    /// Number of the last publish, when it began.
    before: i64,
    /// Who has seen the snapshot and told in the commit what happened.
    follower: Option<Follower>,
}

/// A feed as it travels between replicas: what its worker knows, without what every replica has from its configuration.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    sources: BTreeMap<String, ToldSource>,
    next_refresh_at: Option<Timestamp>,
    failure: Option<Reason>,
    paused: bool,
    missed: u32,
    missed_publishes: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct ToldSource {
    kept: Vec<Kept>,
    last_keys: Vec<String>,
    held: BTreeMap<String, Held>,
    last: Option<Attempt>,
    trends: BTreeMap<String, Vec<(Timestamp, Decimal)>>,
}

/// A feed's state as the leader tells it.
#[must_use]
fn told(state: &FeedState) -> String {
    let source = |source: &SourceState| {
        let told = ToldSource {
            kept: source.kept.values().cloned().collect(),
            last_keys: source.last_keys.clone(),
            held: source.held.clone(),
            last: source.last.clone(),
            trends: source.trends.clone(),
        };
        (source.source.id.to_owned(), told)
    };
    let told = Told {
        sources: state.sources.iter().map(source).collect(),
        next_refresh_at: state.next_refresh_at,
        failure: state.failure.clone(),
        paused: state.paused,
        missed: state.missed,
        missed_publishes: state.missed_publishes,
    };
    // Plain types whose keys are strings.
    serde_json::to_string(&told).unwrap_or_default()
}

/// The states that a publication tells, under this replica's configuration; a feed that is not in it has no values.
#[must_use]
pub fn states(config: &Config, publication: Option<&Publication>, recorded: bool) -> Vec<Arc<FeedState>> {
    let told = |feed: &Feed| -> Option<Told> {
        let (_, text) = publication?.feeds.iter().find(|(known, _)| known == feed.id)?;
        serde_json::from_str(text)
            .inspect_err(
                |error| tracing::error!(feed = feed.id, %error, "what the leader told cannot be read"),
            )
            .ok()
    };
    crate::app::enabled(config)
        .filter_map(|(institution, feed, _)| {
            let tuning = crate::app::tuning(config, feed, recorded)?;
            Some(Arc::new(state(institution, feed, &tuning, told(feed))))
        })
        .collect()
}

fn state(
    institution: &'static Institution,
    feed: &'static Feed,
    tuning: &Tuning,
    told: Option<Told>,
) -> FeedState {
    let mut told = told.unwrap_or_else(|| Told {
        sources: BTreeMap::new(),
        next_refresh_at: None,
        failure: None,
        paused: tuning.config.paused,
        missed: 0,
        missed_publishes: 0,
    });
    let source = |source: &'static providers::Source| {
        let own: &config::Source = tuning.config.sources.get(source.id)?;
        let told = told.sources.remove(source.id).unwrap_or_else(|| ToldSource {
            kept: Vec::new(),
            last_keys: Vec::new(),
            held: BTreeMap::new(),
            last: None,
            trends: BTreeMap::new(),
        });
        let last = |kept: &Kept| hold::remembered(&kept.quote, kept.previous.as_ref());
        Some(SourceState {
            source,
            standing: tuning.standings.get(source.id).cloned().unwrap_or(Standing::Off),
            url: config::shown(&own.url),
            sides: told.kept.iter().map(|kept| (kept.quote.key(), last(kept))).collect(),
            kept: told.kept.into_iter().map(|kept| (kept.quote.key(), kept)).collect(),
            last_keys: told.last_keys,
            held: told.held,
            last: told.last,
            trends: told.trends,
        })
    };
    FeedState {
        institution,
        feed,
        rules: tuning.rules.clone(),
        shown: BTreeMap::new(),
        sources: feed.sources.iter().filter_map(source).collect(),
        paused: told.paused,
        next_refresh_at: told.next_refresh_at,
        failure: told.failure,
        missed: told.missed,
        missed_publishes: told.missed_publishes,
    }
}

/// What happened among the replicas.
#[derive(Debug)]
pub enum Turn {
    /// Another publication counts.
    Adopt(Box<Publication>, Vec<Arc<FeedState>>),
    /// We lead, from these states on.
    Lead(Vec<Arc<FeedState>>),
    /// Another one leads, or nobody.
    Follow,
    /// Settings of this replica are others: the states, under them.
    Tuned(Vec<Arc<FeedState>>),
}

impl Sharing {
    pub(super) fn new() -> Self {
        Self {
            leads: false,
            pending: false,
            failed: 0,
            under_way: None,
            committed: BTreeMap::new(),
            passed: BTreeMap::new(),
            draft: None,
            is_told: false,
            copies: watch::Sender::new(None),
        }
    }

    pub(super) fn copies(&self) -> watch::Receiver<Option<Arc<Publication>>> {
        self.copies.subscribe()
    }
}

fn by_position(states: Vec<Arc<FeedState>>) -> BTreeMap<usize, Arc<FeedState>> {
    states.into_iter().map(|state| (position(state.feed.id), state)).collect()
}

/// The store's seconds: what is published must read back as it was.
fn whole_second(clock: &Clock) -> Timestamp {
    Timestamp::from_second(clock.now().as_second()).unwrap_or_default()
}

impl Board {
    /// Whether what workers bring counts here.
    pub(super) fn takes_states(&self) -> bool {
        self.sharing.as_ref().is_none_or(|sharing| sharing.leads)
    }

    /// Something waits until it is committed.
    pub(super) fn waits(&mut self) {
        if let Some(sharing) = &mut self.sharing {
            sharing.pending = true;
        }
    }

    /// Whether it should be tried again soon.
    pub(super) fn is_waiting(&self) -> bool {
        self.sharing.as_ref().is_some_and(|sharing| sharing.pending)
    }

    pub(super) async fn turn(&mut self, turn: Turn) {
        let Some(sharing) = &mut self.sharing else { return };
        match turn {
            Turn::Lead(states) => {
                sharing.leads = true;
                sharing.pending = true;
                self.states = by_position(states);
            }
            Turn::Follow => {
                sharing.leads = false;
                sharing.pending = false;
                // If it takes place after all, it comes back as everybody's.
                sharing.under_way = None;
                self.states = sharing.committed.clone();
            }
            Turn::Tuned(states) => {
                sharing.committed = by_position(states);
                if !sharing.leads {
                    self.states = sharing.committed.clone();
                }
                // Under other settings other instants count; numbers stay.
                let at = self.latest().at;
                self.show_committed(self.version, at).await;
            }
            Turn::Adopt(publication, states) => self.adopt(*publication, states).await,
        }
    }

    /// Shows what another replica has committed.
    pub(super) async fn adopt(&mut self, publication: Publication, states: Vec<Arc<FeedState>>) {
        let Some(sharing) = &mut self.sharing else { return };
        sharing.committed = by_position(states);
        sharing.passed.clear();
        self.states = sharing.committed.clone();
        sharing.copies.send_replace(Some(Arc::new(publication.clone())));
        if publication.version >= self.version {
            self.version = publication.version;
            self.published = publication.documents.into_iter().collect();
            self.show_committed(publication.version, publication.at).await;
        } else {
            // A store that was put back to an earlier day counts less than our readers have seen.
            tracing::warn!(
                published = publication.version,
                shown = self.version,
                "the store counts less than what was shown here; numbers go on from here"
            );
            self.show_committed(self.version + 1, publication.at).await;
        }
    }

    /// Commits what workers brought, and shows it; whether nothing waits any more.
    pub(super) async fn commit(&mut self) -> bool {
        if self.sharing.as_ref().is_some_and(|sharing| sharing.under_way.is_none())
            && !self.begin_commit().await
        {
            return false;
        }
        let Some(sharing) = &mut self.sharing else { return false };
        let Some(mut under_way) = sharing.under_way.take() else { return !sharing.pending };
        let Ok(ended) = tokio::time::timeout(DISK_PATIENCE, &mut under_way.task).await else {
            sharing.under_way = Some(under_way);
            return false;
        };
        let UnderWay { states, snapshot, changed, published, before, follower, .. } = under_way;
        let (version, at) = (snapshot.version, snapshot.at);
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                sharing.failed += 1;
                tracing::warn!(%error, "what was read is not committed yet; what was committed goes on being served");
                return false;
            }
            Err(_) => {
                sharing.failed += 1;
                tracing::error!("a commit panicked; what was committed goes on being served");
                return false;
            }
        }
        sharing.failed = 0;
        sharing.pending = states.len() != self.states.len()
            || !states.iter().zip(&self.states).all(|(one, other)| Arc::ptr_eq(one.1, other.1));
        sharing.committed = states;
        // What passed meanwhile passes again, after it, as it does for everybody else.
        sharing.passed.clear();
        if self.version == before {
            self.follower = follower;
        } else {
            // Its passages were told when they came.
            sharing.is_told = true;
        }
        self.version = self.version.max(version);
        self.published = published;
        self.published.extend(changed);
        let whole = Publication {
            version: self.version,
            at,
            documents: self.published.clone().into_iter().collect(),
            events: Vec::new(),
            feeds: sharing.committed.values().map(|state| (state.feed.id.to_owned(), told(state))).collect(),
        };
        sharing.copies.send_replace(Some(Arc::new(whole)));
        sharing.draft = Some(snapshot);
        self.age().await;
        !self.is_waiting()
    }

    /// Sends what workers brought to the store, unless it says nothing new; whether something is under way.
    async fn begin_commit(&mut self) -> bool {
        let Some(failed) = self.sharing.as_ref().map(|sharing| sharing.failed) else { return false };
        let at = whole_second(&self.clock);
        let version = self.version + STRIDE * (1 + failed);
        let states = self.states.clone();
        let Some(written) = self.written(states.clone(), version, at).await else { return false };
        let Some(sharing) = &mut self.sharing else { return false };
        let is_new = |at: &usize, state: &Arc<FeedState>| {
            failed > 0 || sharing.committed.get(at).is_none_or(|committed| !Arc::ptr_eq(committed, state))
        };
        let (is_nothing, changed) = (written.changed.is_empty(), written.changed.clone());
        let mut documents = sharing.passed.clone();
        documents.extend(changed.iter().cloned());
        let snapshot = drawn(written, self.recorded, version, at);
        let mut follower = self.follower.clone();
        let happened = follower.as_mut().map_or_else(Vec::new, |follower| {
            let happened = follower.step(Arc::clone(&snapshot));
            numbered(version, at, &happened)
        });
        let publication = Publication {
            version,
            at,
            events: happened,
            documents: documents.into_iter().collect(),
            feeds: states
                .iter()
                .filter(|(at, state)| is_new(at, state))
                .map(|(_, state)| (state.feed.id.to_owned(), told(state)))
                .collect(),
        };
        if is_nothing {
            sharing.pending = false;
            sharing.committed = states;
            return true;
        }
        let store = Arc::clone(&self.store);
        let task = self.tracker.spawn(async move { store.publish_for_all(&publication).await });
        let (published, before) = (self.published.clone(), self.version);
        sharing.under_way = Some(UnderWay { task, states, snapshot, changed, published, before, follower });
        true
    }

    /// Lets every status pass that is due, at its own instant and with a number of its own: each replica does the same. Then
    /// readers see it.
    pub(super) async fn age(&mut self) {
        let now = self.clock.now();
        for _ in 0..MOST_PASSAGES {
            let snapshot = self.latest();
            let Some(at) = passage(&snapshot).filter(|at| *at <= now) else { break };
            self.show_committed(self.version + 1, at).await;
            if self.latest().at <= snapshot.at {
                break;
            }
        }
        if let Some(draft) = self.sharing.as_mut().and_then(|sharing| sharing.draft.take()) {
            let happened = self.happened(&draft);
            let ours = self.sharing.as_mut().is_some_and(|sharing| {
                let is_told = std::mem::take(&mut sharing.is_told);
                sharing.leads && !is_told
            });
            if ours && !happened.is_empty() {
                // Readers are told by the store, on every replica alike: what a leader says that leads no more is nothing.
                let store = Arc::clone(&self.store);
                store.push_publish(Vec::new(), happened);
                self.tracker.spawn(async move {
                    store.flush().await;
                    store.notify().await;
                });
            }
            self.reveal(draft, Vec::new());
        }
    }

    fn latest(&self) -> Arc<Snapshot> {
        let draft = self.sharing.as_ref().and_then(|sharing| sharing.draft.clone());
        draft.unwrap_or_else(|| self.shared.load_full())
    }

    /// Readers see it when what has passed since is in it.
    fn show(&mut self, written: Written, at: Timestamp) {
        let snapshot = drawn(written, self.recorded, self.version, at);
        if let Some(sharing) = &mut self.sharing {
            sharing.draft = Some(snapshot);
        }
    }

    async fn show_committed(&mut self, version: i64, at: Timestamp) {
        let Some(sharing) = &self.sharing else { return };
        let Some(written) = self.written(sharing.committed.clone(), version, at).await else { return };
        if !written.changed.is_empty() {
            self.version = self.version.max(version);
            self.published.extend(written.changed.iter().cloned());
            if let Some(sharing) = &mut self.sharing {
                sharing.passed.extend(written.changed.iter().cloned());
            }
        }
        self.show(written, at);
    }

    async fn written(
        &self,
        states: BTreeMap<usize, Arc<FeedState>>,
        version: i64,
        at: Timestamp,
    ) -> Option<Written> {
        let (recorded, published, last) = (self.recorded, self.published.clone(), self.latest());
        let work = move || {
            let feeds = states.values().map(|state| state.serve(at)).collect();
            write(feeds, recorded, version, at, &published, &last)
        };
        let written = tokio::task::spawn_blocking(work).await;
        written.inspect_err(|_| tracing::error!("a publish panicked; the last snapshot stays")).ok()
    }

    /// Nobody but us has a store that is shared, so nothing is kept here.
    pub(super) const fn has_own_store(&self) -> bool {
        self.sharing.is_none()
    }
}

/// The next instant at which some status of a snapshot passes.
pub(super) fn passage(snapshot: &Snapshot) -> Option<Timestamp> {
    let quotes = snapshot.feeds.iter().flat_map(|feed| &feed.quotes);
    quotes
        .filter_map(|served| match served.status {
            Status::Fresh => Some(served.freshness.fresh_until),
            Status::Stale => Some(served.freshness.expires_at),
            _ => None,
        })
        .min()
}
