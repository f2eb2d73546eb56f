//! What is derived from a snapshot on demand: selections, conversions, pages with options. Keyed by the version of
//! the document or the feeds behind it, so nothing is ever invalidated by hand; rendered once however many ask at once; bounded
//! in bytes, in simultaneous work, and per client.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{future::Cache, policy::EvictionPolicy};
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::task::TaskTracker;

use super::{
    encoded::Encoded,
    limit::{Exhausted, Left},
};

/// Bytes of all entries together.
const CAPACITY: u64 = 3 << 20;
/// An entry without its bodies: key, node, counters.
const ENTRY: usize = 512;
/// What nobody asks for any more goes: keys of old versions never are.
const IDLE: Duration = Duration::from_mins(10);
/// So long a request waits for its turn to be rendered.
const PATIENCE: Duration = Duration::from_secs(2);

/// What an entry is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Path.
    pub path: &'static str,
    /// Of what is behind it: a document, or the feeds of a selection.
    pub version: i64,
    /// Canonical query.
    pub query: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy)]
pub enum Missed {
    /// The client has used up its share.
    Exhausted(Exhausted),
    /// Too much is being rendered.
    Busy,
    /// The renderer failed.
    Failed,
}

/// Renders an entry.
pub type Render = Arc<dyn Fn() -> Option<Encoded> + Send + Sync>;
/// Counts a render against a client.
pub type Charge = Arc<dyn Fn() -> Result<Option<Left>, Exhausted> + Send + Sync>;

/// The cache.
pub struct Derived {
    cache: Cache<Key, Arc<Encoded>>,
    turns: Arc<Semaphore>,
    renders: Arc<AtomicU64>,
    /// Renders outlive whoever asked first, since others wait for them too.
    tracker: TaskTracker,
    /// Where they run: not on the thread that serves.
    runtime: Handle,
}

impl Derived {
    /// Empty; work is done on `runtime`.
    #[must_use]
    pub fn new(tracker: TaskTracker, runtime: Handle) -> Self {
        let weigh = |key: &Key, encoded: &Arc<Encoded>| {
            u32::try_from(ENTRY + key.query.len() + encoded.weight()).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            .weigher(weigh)
            // With keys that change by the minute, a frequency-based policy turns newcomers away.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(IDLE)
            .build();
        // One thread of the main runtime stays free for the board.
        let turns = std::thread::available_parallelism().map_or(2, usize::from).saturating_sub(1).max(1);
        Self { cache, turns: Arc::new(Semaphore::new(turns)), renders: Arc::default(), tracker, runtime }
    }

    /// What is there already.
    pub async fn known(&self, key: &Key) -> Option<Arc<Encoded>> {
        self.cache.get(key).await
    }

    /// What is there, or is rendered now. What is left of the client's share comes with it when it was charged.
    ///
    /// # Errors
    /// [`Missed`]
    pub async fn get(
        &self,
        key: Key,
        charge: Charge,
        render: Render,
    ) -> Result<(Arc<Encoded>, Option<Left>), Missed> {
        loop {
            let first = Arc::new(AtomicBool::new(false));
            let left = Arc::new(std::sync::Mutex::new(None));
            let work = {
                let (first, left) = (Arc::clone(&first), Arc::clone(&left));
                let (charge, render) = (Arc::clone(&charge), Arc::clone(&render));
                let (turns, renders) = (Arc::clone(&self.turns), Arc::clone(&self.renders));
                async move {
                    first.store(true, Ordering::Release);
                    let charged = charge().map_err(Missed::Exhausted)?;
                    *left.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = charged;
                    let turn = tokio::time::timeout(PATIENCE, turns.acquire_owned()).await;
                    let Ok(Ok(turn)) = turn else { return Err(Missed::Busy) };
                    renders.fetch_add(1, Ordering::Relaxed);
                    // A millisecond of work, right here: handed to a pool of threads, each of them would keep the
                    // memory of an encoder.
                    let rendered = catch_unwind(AssertUnwindSafe(|| render()));
                    drop(turn);
                    rendered.ok().flatten().map(Arc::new).ok_or(Missed::Failed)
                }
            };
            let cache = self.cache.clone();
            let key = key.clone();
            let found = self
                .tracker
                .spawn_on(async move { cache.try_get_with(key, work).await }, &self.runtime)
                .await;
            let was_first = first.load(Ordering::Acquire);
            match found {
                Ok(Ok(encoded)) => {
                    let left = left.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                    return Ok((encoded, left));
                }
                // Somebody else's share was used up, not this client's.
                Ok(Err(missed)) if !was_first && matches!(*missed, Missed::Exhausted(_)) => {}
                Ok(Err(missed)) => return Err(*missed),
                Err(_) => return Err(Missed::Failed),
            }
        }
    }

    /// How often something was rendered.
    #[must_use]
    pub fn renders(&self) -> u64 {
        self.renders.load(Ordering::Relaxed)
    }

    /// Entries and their bytes, after tidying up.
    pub async fn size(&self) -> (u64, u64) {
        self.cache.run_pending_tasks().await;
        (self.cache.entry_count(), self.cache.weighted_size())
    }
}
