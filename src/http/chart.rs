//! Reading what a chart draws from the store: a few at a time, each once for all forms and looks of it, and never for longer
//! than a reader waits. While the store does not answer, what was read last is drawn, or the frame alone. Nothing is written.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use moka::future::Cache;
use providers::{Kind, Quote};
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::task::TaskTracker;
use widgets::{model::Point, reduce};

use crate::{
    board::{ServedFeed, Snapshot},
    filter::WrongParameter,
    store::{Store, StoreError},
    widget::chart::{self, Asked, Course, Found},
};

/// So many charts are read at once.
const TURNS: usize = 4;
/// So long one waits for its turn and its rows together.
const PATIENCE: Duration = Duration::from_secs(2);
/// Courses that are kept, and as many besides that were read last, whatever was published since. Each has 300 points and
/// 61 lines of a table at most: some 30 kB, so that all of them together are less than 4 MB.
const KEPT: u64 = 64;
/// From so many points on, those that cannot be seen are let go while reading.
const MANY: usize = 20_000;
/// So fine that nothing of what is drawn or told is lost.
const FINE: i64 = 4_000;
/// So many ids a refusal lists.
const MOST_IDS: usize = 40;
/// So often others of the feed are asked whether a long silence was one, a chart.
const MOST_QUESTIONS: usize = 400;

/// What a course is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    id: String,
    from: i64,
    to: i64,
    until: i64,
    version: i64,
}

/// Why there is no course.
#[derive(Debug, Clone)]
pub(super) enum NoCourse {
    /// The store does not answer in time, or too many others are being read.
    Away,
    /// Nobody ever quoted it.
    Unknown(WrongParameter),
}

/// Courses of series, read when they are first asked for.
pub struct Courses {
    store: Arc<Store>,
    kept: Cache<Key, Arc<Course>>,
    /// What was read last of a series and range.
    last: Cache<Asked, Arc<Course>>,
    turns: Semaphore,
    /// Who reads goes on for those who ask next.
    tracker: TaskTracker,
    /// Where rows are read: not on the thread that serves.
    runtime: Handle,
}

impl Courses {
    /// Of this store; rows are read on the runtime of the caller.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn new(store: Arc<Store>, tracker: TaskTracker) -> Self {
        let (turns, runtime) = (Semaphore::new(TURNS), Handle::current());
        Self { store, kept: Cache::new(KEPT), last: Cache::new(KEPT), turns, tracker, runtime }
    }

    /// Whether the store is known not to answer: then nobody waits for it.
    pub(super) fn is_away(&self) -> bool {
        self.store.is_away()
    }

    /// What a chart draws that is asked for; `None` where nothing could be asked for. It is unread where the store does not
    /// answer, but for the picture of a moment: what is kept for good is right or is not given.
    pub(super) async fn of(
        self: &Arc<Self>,
        snapshot: &Arc<Snapshot>,
        asked: &Asked,
        version: i64,
    ) -> Result<Option<Arc<Course>>, NoCourse> {
        let (courses, snapshot, asked) = (Arc::clone(self), Arc::clone(snapshot), asked.clone());
        let task = async move {
            let found = chart::find(&snapshot, &asked)?;
            let end = chart::end(&snapshot, &asked);
            let range = asked.bounds(end);
            let until = asked.behind(range);
            let (from, to) = (range.0.as_second(), range.1.as_second());
            let key = Key { id: found.id.clone(), from, to, until: until.as_second(), version };
            let read = async {
                match courses.kept.get(&key).await {
                    Some(known) => Ok(known),
                    None if courses.is_away() => Err(NoCourse::Away),
                    None => {
                        let read = courses.kept.try_get_with(key, courses.turn(&found, range, until)).await;
                        read.map_err(|missed| NoCourse::clone(&missed))
                    }
                }
            };
            let read = tokio::time::timeout(PATIENCE, read).await.unwrap_or(Err(NoCourse::Away));
            let of = Asked { series: Some(found.id.clone()), ..asked.clone() };
            Some(match read {
                Ok(course) if asked.of_a_moment => Ok(course),
                Ok(course) => {
                    courses.last.insert(of, Arc::clone(&course)).await;
                    Ok(course)
                }
                Err(NoCourse::Away) if !asked.of_a_moment => {
                    let last = courses.last.get(&of).await.unwrap_or_default();
                    Ok(Arc::new(last.known_of(range.0)))
                }
                Err(missed) => Err(missed),
            })
        };
        let read = self.tracker.spawn_on(task, &self.runtime).await;
        read.unwrap_or(Some(Err(NoCourse::Away))).transpose()
    }

    async fn turn(
        &self,
        found: &Found<'_>,
        range: (Timestamp, Timestamp),
        until: Timestamp,
    ) -> Result<Arc<Course>, NoCourse> {
        let _turn = self.turns.acquire().await.map_err(|_| NoCourse::Away)?;
        let course = self.read(found, range, until).await.map_err(|error| {
            tracing::warn!(%error, series = found.id, "the history of a chart cannot be read");
            NoCourse::Away
        })?;
        // A feed that was never read may still have it; one that was read knows what it has.
        if course.quote.is_none() && found.served.is_none() && !found.feed.quotes.is_empty() {
            return Err(NoCourse::Unknown(unknown(found)));
        }
        Ok(Arc::new(course))
    }

    async fn read(
        &self,
        found: &Found<'_>,
        range: (Timestamp, Timestamp),
        until: Timestamp,
    ) -> Result<Course, StoreError> {
        let (from, to) = range;
        let mut known: Vec<Point> = Vec::new();
        let mut quote: Option<Quote> = None;
        let mut mark = Some(self.store.mark_before(&found.id, from).await?);
        while let Some(behind) = mark {
            let page = self.store.page(&found.id, behind, until).await?;
            mark = page.next;
            for change in page.changes {
                let (buy, sell) = chart::prices(&change.quote);
                known.push(Point { at: change.at, buy, sell });
                quote = Some(change.quote);
            }
            if known.len() > MANY {
                known = reduce::thin(&known, range, FINE);
            }
        }
        let Some(last) = known.last().copied() else { return Ok(Course::default()) };
        // Behind the last point: what is served confirms it, unless another value came in between.
        let served = found.served.filter(|served| chart::prices(&served.kept.quote) == (last.buy, last.sell));
        let after = match served.map(|served| served.kept.checked_at) {
            Some(checked) if checked >= last.at => Some((checked, true)),
            _ => {
                let mark = self.store.mark_before(&found.id, until).await?;
                let page = self.store.page(&found.id, mark, Timestamp::MAX).await?;
                page.changes.iter().map(|change| change.at).find(|at| *at >= until).map(|at| (at, false))
            }
        };
        let mut gaps = BTreeMap::new();
        let mut questions = MOST_QUESTIONS;
        for pair in known.windows(2) {
            let [one, other] = pair else { continue };
            if let Some(end) = self.silence(found.feed, (one.at, other.at), &mut questions).await? {
                gaps.insert(one.at, end);
            }
        }
        let known_until = match after {
            // It was confirmed run by run.
            Some((checked, true)) => checked.min(to),
            Some((next, false)) => match self.silence(found.feed, (last.at, next), &mut questions).await? {
                Some(end) => end.min(to),
                None => to,
            },
            None => found.feed.state.rules.freshness(last.at).fresh_until.min(to),
        };
        let mut stretches = chart::stretches(&known, known_until, &gaps);
        // What was in force when the range begins is known from then on only.
        stretches.retain(|stretch| stretch.until >= from);
        for point in stretches.iter_mut().flat_map(|stretch| &mut stretch.points) {
            point.at = point.at.max(from);
        }
        Ok(Course::of(stretches, quote, range))
    }

    /// Whether nobody of a feed was heard for longer than its rules allow between two points of one series, and when the first
    /// ceased to be good. A deposit rate holds for months: of it silence says nothing.
    async fn silence(
        &self,
        feed: &ServedFeed,
        (known, next): (Timestamp, Timestamp),
        questions: &mut usize,
    ) -> Result<Option<Timestamp>, StoreError> {
        let rules = &feed.state.rules;
        if feed.state.feed.kind == Kind::Deposit {
            return Ok(None);
        }
        let mut heard = known;
        loop {
            let apart = u64::try_from(next.as_second() - heard.as_second()).unwrap_or_default();
            if apart <= rules.expire_after.as_secs() {
                return Ok(None);
            }
            let freshness = rules.freshness(heard);
            if next <= freshness.expires_at {
                return Ok(None);
            }
            // A price stood still, and others of the same board did not: so the board was read.
            let mut later = None;
            for other in &feed.quotes {
                if *questions == 0 {
                    return Ok(None);
                }
                *questions -= 1;
                let id = other.kept.quote.id(feed.state.feed.id);
                later = self.store.last_between(&id, heard, freshness.expires_at).await?;
                if later.is_some() {
                    break;
                }
            }
            match later {
                Some(later) => heard = later,
                None => return Ok(Some(freshness.fresh_until)),
            }
        }
    }
}

fn unknown(found: &Found<'_>) -> WrongParameter {
    let ids = found.feed.quotes.iter().map(|served| served.kept.quote.id(found.feed.state.feed.id));
    WrongParameter {
        parameter: "series".to_owned(),
        value: found.id.clone(),
        allowed: ids.take(MOST_IDS).collect(),
    }
}
