//! Days that have passed, read where a source offers them: one request at a time with a pause between two, judged by the
//! bands of today, kept at the board's own instant. What is served now is not touched; what is kept is not asked for again.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Date};
use providers::{Ask, Feed, ParseError, Parsed, Past, Reason, Sheet, Source, VIETNAM};
use tokio::time::Instant;

use crate::{
    clock::{Clock, rfc3339},
    config::{self, Config},
    fetch::{Exchange, Fetcher, Outcome, Seen, Target},
    judge::{self, Case, Verdict},
    refresh::{self, MAX_HOPS, Trouble},
    schedule::Calendar,
    store::{self, PastBoard, StoreError},
};

/// No source is asked more often than this, whatever an operator wishes.
pub const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// So many days in a row that fail are enough.
const GIVE_UP_AFTER: u32 = 3;
/// A source that asks for a longer wait is left alone; the next run goes on.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// More days in a row without a board are no holidays but a source that says nothing: they are asked for again.
const LONGEST_HOLIDAYS: usize = 14;

/// The feeds that can be asked for past days.
pub fn feeds() -> impl Iterator<Item = &'static Feed> {
    providers::feeds().map(|(_, feed)| feed).filter(|feed| offering(feed).is_some())
}

/// The first source of a feed that offers past days.
#[must_use]
pub fn offering(feed: &Feed) -> Option<(&'static Source, Past)> {
    let (_, feed) = providers::feed(feed.id)?;
    feed.sources.iter().find_map(|source| Some((source, source.past?)))
}

/// Whether a source that offers past days is asked for this one.
#[must_use]
pub fn has_boards(past: &Past, calendar: &Calendar, day: Date) -> bool {
    let is_holiday = past.rests_on_holidays && calendar.is_holiday(day);
    !is_holiday && !past.rests.contains(&day.weekday())
}

/// Which days of a range are asked for, and why the others are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Oldest first.
    pub days: Vec<Date>,
    /// Days on which the source never had a board of its own.
    pub resting: usize,
    /// Days that are kept already.
    pub kept: usize,
}

/// What came of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Day {
    /// A board.
    Board {
        /// Figures of it that passed.
        figures: usize,
        /// Of these, so many that were not known.
        new: usize,
        /// Rows that were left out, and why.
        left_out: Vec<Reason>,
    },
    /// The source has none of that day; what it says instead.
    None(String),
    /// It could not be read: it is asked for again next time.
    Failed(Reason),
    /// The source asks to wait until then, and is asked again.
    Waits(Timestamp),
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    /// Days with a board.
    pub boards: usize,
    /// Figures that were not known before.
    pub new: usize,
    /// Days without one.
    pub none: usize,
    /// Days that failed.
    pub failed: usize,
    /// Why it ended early, and what of.
    pub stopped: Option<String>,
}

/// One run over past days of one source.
pub struct Backfill<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Settings of the feed.
    pub settings: &'a config::Feed,
    /// The feed.
    pub feed: &'static Feed,
    /// The source that offers them.
    pub source: &'static Source,
    /// And how.
    pub past: Past,
    /// The network.
    pub fetcher: Fetcher,
    /// Today.
    pub clock: Clock,
    /// Between the end of an exchange and the beginning of the next.
    pub pause: Duration,
}

impl Backfill<'_> {
    /// Days of a range, both ends included, without those that are kept or on which no board can be.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn plan(&self, store: &mut store::Past, from: Date, to: Date) -> Result<Plan, StoreError> {
        let settled = store.settled().await?;
        let mut plan = Plan::default();
        let days = std::iter::successors(Some(from), |day| day.tomorrow().ok());
        for day in days.take_while(|day| *day <= to) {
            if !has_boards(&self.past, &self.config.calendar, day) {
                plan.resting += 1;
            } else if settled.contains(&day) {
                plan.kept += 1;
            } else {
                plan.days.push(day);
            }
        }
        Ok(plan)
    }

    /// Asks for each day in turn; `tell` hears of it once it is kept.
    ///
    /// # Errors
    /// [`StoreError`]: what was told is kept.
    pub async fn run(
        &self,
        store: &mut store::Past,
        days: &[Date],
        mut tell: impl FnMut(Date, &Day),
    ) -> Result<Sum, StoreError> {
        let mut sum = Sum::default();
        if days.is_empty() {
            return Ok(sum);
        }
        // A clock that was set back must not make that a wait for ever.
        let waits = |until: &Timestamp| {
            (Duration::from_nanos(1)..=refresh::LONGEST_WAIT).contains(&self.clock.until(*until))
        };
        if let Some(until) = store.waits_until().await?.filter(waits) {
            sum.stopped = Some(format!("the source asked to be left alone until {}", rfc3339(until)));
            return Ok(sum);
        }
        let mut in_a_row = 0;
        let mut silent = Vec::new();
        let mut last = None;
        for &day in days {
            let pause = self.pause.saturating_mul(1 << in_a_row);
            let waits = |until| tell(day, &Day::Waits(until));
            let found = match self.ask_patiently(day, pause, &mut last, waits).await {
                Ok(Found::Board(board, left_out)) => {
                    let new = store.keep(&board, self.clock.now()).await?;
                    sum.boards += 1;
                    sum.new += new;
                    // A source that speaks again was silent because there was nothing to say.
                    self.keep_silent(store, &mut silent).await?;
                    Day::Board { figures: board.quotes.len(), new, left_out }
                }
                Ok(Found::None(why)) => {
                    sum.none += 1;
                    silent.push(day);
                    Day::None(why)
                }
                Err(Failure { reason, until }) => {
                    sum.failed += 1;
                    let reason = self.discreet(reason);
                    tell(day, &Day::Failed(reason.clone()));
                    in_a_row += 1;
                    if let Some(until) = until.filter(|until| self.clock.until(*until) > LONGEST_WAIT) {
                        store.keep_wait(until).await?;
                        sum.stopped = Some(reason.message);
                        break;
                    }
                    if in_a_row >= GIVE_UP_AFTER {
                        sum.stopped = Some(format!("{in_a_row} days in a row failed: {}", reason.message));
                        break;
                    }
                    continue;
                }
            };
            in_a_row = 0;
            tell(day, &found);
        }
        if sum.boards > 0 {
            self.keep_silent(store, &mut silent).await?;
        }
        Ok(sum)
    }

    async fn keep_silent(&self, store: &mut store::Past, days: &mut Vec<Date>) -> Result<(), StoreError> {
        if !days.is_empty() && days.len() <= LONGEST_HOLIDAYS {
            store.keep_none(days, self.clock.now()).await?;
        }
        days.clear();
        Ok(())
    }

    /// Asks for a day; once more after a wait that the source asked for, if that is not too long.
    async fn ask_patiently(
        &self,
        day: Date,
        pause: Duration,
        last: &mut Option<Instant>,
        tell: impl FnOnce(Timestamp),
    ) -> Result<Found, Failure> {
        let failure = match self.ask(day, pause, last).await {
            Err(failure) => failure,
            found => return found,
        };
        match failure.until.map(|until| (until, self.clock.until(until))) {
            Some((until, wait)) if wait <= LONGEST_WAIT => {
                tell(until);
                // Clocks tell whole seconds: one more, or we might be a moment early.
                tokio::time::sleep(wait + Duration::from_secs(1)).await;
                self.ask(day, pause, last).await
            }
            _ => Err(failure),
        }
    }

    async fn ask(&self, day: Date, pause: Duration, last: &mut Option<Instant>) -> Result<Found, Failure> {
        let config = self
            .settings
            .sources
            .get(self.source.id)
            .ok_or_else(|| Failure::setup("the source is not configured"))?;
        let now = VIETNAM
            .to_timestamp(day.at(23, 59, 59, 0))
            .map_err(|_| Failure::setup("the day is out of range"))?;
        let mut request = (self.past.request)(&Ask { now, base: &config.url, secrets: &self.config.secrets });
        for _ in 0..MAX_HOPS {
            if let Some(last) = *last {
                tokio::time::sleep_until(last + pause).await;
            }
            let target = Target {
                feed: self.feed.id,
                source: self.source.id,
                config,
                timeout: self.settings.timeout.0,
                run: 0,
                // A day that fails is asked for by the next run; that is soon enough for the past.
                retry: false,
                seen: &Seen::default(),
            };
            let answer = self.fetcher.fetch(target, &request, None).await;
            *last = Some(Instant::now());
            let body = match answer {
                Ok(Exchange::Body(body)) => Arc::new(body),
                // Nothing was asked conditionally.
                Ok(Exchange::NotModified) => {
                    return Err(Failure::setup("304 where nothing was asked conditionally"));
                }
                Err(outcome) => return Err(Trouble::Fetch(outcome).into()),
            };
            let (base, secrets) = (config.url.clone(), self.config.secrets.clone());
            match refresh::parse(self.source, base, request.step, body, secrets, now).await {
                Ok(Parsed::Follow(next)) => request = next,
                Ok(Parsed::Sheet(sheet)) => return self.judge(day, &sheet).map_err(Failure::from),
                Err(Trouble::Parse(ParseError::NoData(why))) if self.past.says_none => {
                    return Ok(Found::None(why));
                }
                Err(trouble) => return Err(trouble.into()),
            }
        }
        Err(Trouble::TooManyHops.into())
    }

    /// By the rules for a first answer: whatever was served before or after says nothing about another day.
    fn judge(&self, day: Date, sheet: &Sheet) -> Result<Found, Reason> {
        let other = |why: String| Err(Reason::new("other_day", format!("the answer for {day} {why}")));
        match sheet.as_of.day() {
            Some(own) if own == day => {}
            Some(earlier) if earlier < day => {
                return Ok(Found::None(format!("its last board before is of {earlier}")));
            }
            Some(later) => return other(format!("is the board of {later}")),
            None => return other("does not say of which day it is".to_owned()),
        }
        let limit = self.settings.max_jump.limit;
        let judgement =
            judge::judge(&Case::first(self.feed, sheet, &self.config.judge, limit, self.clock.now()));
        let mut reasons = judgement.reasons.into_iter();
        if judgement.verdict == Verdict::Reject {
            return Err(reasons.next().unwrap_or_else(|| Reason::new("rejected", "the answer was refused")));
        }
        let left_out = reasons.map(|reason| self.discreet(reason)).collect();
        Ok(Found::Board(PastBoard { day, as_of: sheet.as_of, quotes: judgement.accepted }, left_out))
    }

    fn discreet(&self, reason: Reason) -> Reason {
        let sensitive = self.config.sensitive();
        let message = sensitive.iter().fold(reason.message, |text, word| text.replace(word, "<redacted>"));
        Reason { message, ..reason }
    }
}

enum Found {
    Board(PastBoard, Vec<Reason>),
    None(String),
}

/// Why a day could not be read.
struct Failure {
    reason: Reason,
    /// When the source wants to be asked again.
    until: Option<Timestamp>,
}

impl Failure {
    fn setup(why: &'static str) -> Self {
        Reason::new("setup", why).into()
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self { reason, until: None }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        let until = match &trouble {
            Trouble::Fetch(Outcome::RetryAfter { until, .. }) => Some(*until),
            _ => None,
        };
        Self { reason: trouble.reason(), until }
    }
}
