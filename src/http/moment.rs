//! `at=`: a moment of the past, read in one way, and the boards of moments that somebody asked for lately. They are read from
//! the store: one read a moment however many ask, few at a time, none for long.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{Timestamp, civil::Date};
use moka::future::Cache;
use providers::VIETNAM;
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::task::TaskTracker;

use crate::{
    board::Snapshot,
    clock::{Clock, day, later, rfc3339},
    filter::WrongParameter,
    past,
    store::{Store, StoreError},
};

/// The parameter.
pub(super) const AT: &str = "at";
/// Nothing was kept before.
const FIRST: &str = "2000-01-01T00:00:00+07:00";
/// What happened since may still be on its way to the disk.
const SETTLED_AFTER: Duration = Duration::from_mins(5);
/// A board that may still change is read again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Boards that are at hand: some articles, each with some widgets.
const MOST: u64 = 16;
const IDLE: Duration = Duration::from_mins(10);
/// Reads at a time; one more for those who may only want to know whether something changed.
const READS: usize = 3;
const REVALIDATIONS: usize = 1;
/// For a turn, and for the store.
const PATIENCE: Duration = Duration::from_secs(2);

/// A moment, and what else is asked for.
pub(super) type Asked = (Timestamp, Vec<(String, String)>);

/// The moment that a query asks for, beside the rest of it; `None`: the present.
pub(super) fn split(query: &str, now: Timestamp) -> Result<Option<Asked>, WrongParameter> {
    // What is not there need not be decoded; a name may be.
    if !query.contains("at=") && !query.contains('%') {
        return Ok(None);
    }
    let (own, rest): (Vec<_>, Vec<_>) = super::wanted::pairs(query).partition(|(name, _)| name == AT);
    let mut found = None;
    for (parameter, value) in own {
        let wrong = |allowed| WrongParameter { parameter, value: value.clone(), allowed };
        match read(&value, now) {
            Ok(at) if found.is_some_and(|found| found != at) => {
                return Err(wrong(vec!["the parameter once".to_owned()]));
            }
            Ok(at) => found = Some(at),
            Err(allowed) => return Err(wrong(allowed)),
        }
    }
    Ok(found.map(|at| (at, rest)))
}

/// An instant, or a day of Vietnam that is over: its last second. The error is what is allowed.
pub(super) fn read(value: &str, now: Timestamp) -> Result<Timestamp, Vec<String>> {
    let first: Timestamp = FIRST.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let allowed = || {
        vec![
            format!("an instant from {FIRST} to {}, in whole seconds and with its zone", rfc3339(now)),
            format!("a day that is over, up to {}", day(now).yesterday().unwrap_or(day(now))),
        ]
    };
    let text = value.trim();
    let at = match text.len() {
        10 => text.parse::<Date>().ok().filter(|asked| *asked < day(now)).and_then(|asked| {
            let end = asked.at(23, 59, 59, 0);
            VIETNAM.to_timestamp(end).ok()
        }),
        20 | 25 => instant(text),
        _ => None,
    };
    at.filter(|at| (first..=now).contains(at)).ok_or_else(allowed)
}

/// `2026-09-30T10:05:00+07:00`; the plus sign may have come as the space that it means in a query.
fn instant(text: &str) -> Option<Timestamp> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let (local, zone) = text.split_at_checked(SHAPE.len())?;
    let shaped = local.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't'),
        _ => byte == *shape,
    });
    let zoned = match zone.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-' | b' ', h, i, b':', m, n] => [h, i, m, n].iter().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    (shaped && zoned).then(|| text.replacen(' ', "+", 1).parse().ok()).flatten()
}

/// A board of the past.
pub(super) struct Moment {
    /// As if it were the present.
    pub(super) snapshot: Snapshot,
    /// The service will add nothing to it.
    pub(super) settled: bool,
    /// Feeds of which somebody may still read a day of it after the fact.
    pub(super) fillable: BTreeSet<&'static str>,
    /// When the store was read.
    pub(super) read_at: Timestamp,
    /// Unlike that of every other read.
    pub(super) reading: i64,
}

/// Why there is none.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unread {
    /// Others are being read.
    Busy,
    /// The store does not answer.
    Slow,
    /// The store cannot be read.
    Failed,
    /// What is older than this was dropped.
    Dropped(Timestamp),
}

/// Boards of the past, at hand or read.
pub struct Moments {
    store: Arc<Store>,
    cache: Cache<Timestamp, Arc<Moment>>,
    reads: Arc<Semaphore>,
    revalidations: Arc<Semaphore>,
    readings: Arc<AtomicI64>,
    tracker: TaskTracker,
    runtime: Handle,
}

impl Moments {
    /// Of this store; read on this runtime.
    pub(super) fn new(store: Arc<Store>, tracker: TaskTracker, runtime: Handle) -> Self {
        Self {
            store,
            cache: Cache::builder().max_capacity(MOST).time_to_idle(IDLE).build(),
            reads: Arc::new(Semaphore::new(READS)),
            revalidations: Arc::new(Semaphore::new(REVALIDATIONS)),
            readings: Arc::default(),
            tracker,
            runtime,
        }
    }

    /// The store behind them.
    pub(super) const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// How often the store was read so far.
    #[must_use]
    pub fn readings(&self) -> i64 {
        self.readings.load(Ordering::Relaxed)
    }

    /// How many boards are at hand.
    pub async fn at_hand(&self) -> u64 {
        self.cache.run_pending_tasks().await;
        self.cache.entry_count()
    }

    /// The board of a moment under the settings of the present one. `revalidates`: whoever asks may have it already.
    pub(super) async fn at(
        &self,
        at: Timestamp,
        present: Arc<Snapshot>,
        clock: &Clock,
        revalidates: bool,
    ) -> Result<Arc<Moment>, Unread> {
        let now = clock.now();
        if let Some(known) = self.cache.get(&at).await {
            let lasts = known.settled && known.fillable.is_empty();
            if lasts || later(known.read_at, AGAIN_AFTER) > now {
                return Ok(known);
            }
            self.cache.invalidate(&at).await;
        }
        let turns = Arc::clone(if revalidates { &self.revalidations } else { &self.reads });
        let (store, readings) = (Arc::clone(&self.store), Arc::clone(&self.readings));
        let read = async move {
            let turn = tokio::time::timeout(PATIENCE, turns.acquire_owned()).await;
            let Ok(Ok(_turn)) = turn else { return Err(Unread::Busy) };
            let reading = readings.fetch_add(1, Ordering::Relaxed) + 1;
            // Before the read: what comes to wait while it lasts is of later than it.
            let settled = later(at, SETTLED_AFTER) <= now && store.waiting() == 0;
            let stands = async {
                // Behind the read: what is dropped meanwhile may be missing in it.
                let stands = store.stands(at).await?;
                Ok::<_, StoreError>((stands, store.whole_since().await?))
            };
            match tokio::time::timeout(PATIENCE, stands).await {
                Ok(Ok((_, Some(since)))) if at < since => Err(Unread::Dropped(since)),
                Ok(Ok((stands, _))) => {
                    let snapshot = past::board(&present, &stands.figures, at);
                    let fillable = past::fillable(&present, &stands.watched, at);
                    Ok(Arc::new(Moment { snapshot, settled, fillable, read_at: now, reading }))
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a board of the past cannot be read");
                    Err(Unread::Failed)
                }
                Err(_) => Err(Unread::Slow),
            }
        };
        let cache = self.cache.clone();
        // On a task of its own: whoever asked may go, others wait for the same.
        let found =
            self.tracker.spawn_on(async move { cache.try_get_with(at, read).await }, &self.runtime).await;
        match found {
            Ok(Ok(moment)) => Ok(moment),
            Ok(Err(unread)) => Err(*unread),
            Err(_) => Err(Unread::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-09-30T10:05:03+07:00".parse().unwrap()
    }

    #[test]
    fn a_moment_is_an_instant_or_the_end_of_a_day_that_is_over() {
        for (text, wanted) in [
            ("2026-09-30T10:05:03+07:00", "2026-09-30T10:05:03+07:00"),
            ("2026-09-30T03:05:03Z", "2026-09-30T10:05:03+07:00"),
            ("2026-09-30t03:05:03z", "2026-09-30T10:05:03+07:00"),
            ("2026-09-29T23:05:03-04:00", "2026-09-30T10:05:03+07:00"),
            ("2026-09-30T10:05:03 07:00", "2026-09-30T10:05:03+07:00"),
            ("2026-09-29", "2026-09-29T23:59:59+07:00"),
            ("2000-01-01", "2000-01-01T23:59:59+07:00"),
            ("2000-01-01T00:00:00+07:00", "2000-01-01T00:00:00+07:00"),
        ] {
            assert_eq!(read(text, now()).map(rfc3339).as_deref(), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-09-30",
            "2026-10-01",
            "1999-12-31",
            "2026-02-30",
            "1999-12-31T23:59:59+07:00",
            "2026-09-30T10:05:04+07:00",
            "2026-09-30T10:05:03",
            "2026-09-30 10:05:03+07:00",
            "2026-09-30T10:05:03.5+07:00",
            "2026-09-30T10:05+07:00",
            "2026-09-30T25:05:03+07:00",
            "2026-09-30T10:05:03+0700",
            "20260930T100503Z",
            "2026-09-30T10:05:03+07:00[Asia/Ho_Chi_Minh]",
            "１026-09-30",
            "1759201503",
            "-2026-09-30",
        ] {
            let allowed = read(text, now()).unwrap_err();
            assert!(allowed[0].contains("2000-01-01") && allowed[1].contains("2026-09-29"), "{text}");
        }
    }

    #[test]
    fn the_moment_is_taken_out_of_the_query_however_its_name_is_written() {
        let (at, rest) = split("rows=3&%61t=2026-09-29&lang=en", now()).unwrap().unwrap();
        assert_eq!((rfc3339(at).as_str(), rest.len()), ("2026-09-29T23:59:59+07:00", 2));
        assert_eq!(split("format=json&lang=vi", now()).unwrap(), None);
        assert_eq!(split("", now()).unwrap(), None);
        assert!(split("at=2026-09-29&at=2026-09-29", now()).unwrap().is_some());
        let wrong = split("at=2026-09-29&at=2026-09-28", now()).unwrap_err();
        assert_eq!(wrong.allowed, ["the parameter once"]);
    }
}
