//! When a feed is due. The cron text is read by croner exactly as tokio-cron-scheduler reads it, so that what
//! `check` prints, what freshness is reckoned from and what rings are the same runs. The scheduler only rings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, FixedOffset};
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use jiff::{
    Timestamp,
    civil::{Date, Weekday},
};
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use uuid::Uuid;

use crate::clock::{self, Clock};

/// Cron fields in Vietnamese time.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    cron: Cron,
}

/// Not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// croner's objection.
    #[error(
        "\"{text}\" is not a cron schedule: {why}; allowed are five fields (minute hour day month weekday) or six (second first)"
    )]
    Syntax {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A day that never comes, such as 30 February.
    #[error("\"{0}\" never comes due")]
    Never(String),
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let syntax = |why: String| ScheduleError::Syntax { text: text.to_owned(), why };
        let fields = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let six = match fields.split(' ').filter(|field| !field.is_empty()).count() {
            5 => format!("0 {fields}"),
            6 => fields,
            n => return Err(syntax(format!("it has {n} fields"))),
        };
        let cron = CronParser::builder()
            .seconds(Seconds::Required)
            .dom_and_dow(true)
            .build()
            .parse(&six)
            .map_err(|error| syntax(error.to_string()))?;
        let schedule = Self { text: text.to_owned(), cron };
        if schedule.after(Timestamp::UNIX_EPOCH).is_none() {
            return Err(ScheduleError::Never(text.to_owned()));
        }
        Ok(schedule)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Schedule {
    /// The first run after `at`.
    #[must_use]
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let at: DateTime<FixedOffset> =
            DateTime::from_timestamp(at.as_second(), 0)?.with_timezone(&vietnam());
        let next = self.cron.find_next_occurrence(&at, false).ok()?;
        Timestamp::from_second(next.timestamp()).ok()
    }

    /// The last run at or before `at`.
    #[must_use]
    pub fn last(&self, at: Timestamp) -> Option<Timestamp> {
        let at: DateTime<FixedOffset> =
            DateTime::from_timestamp(at.as_second(), 0)?.with_timezone(&vietnam());
        let last = self.cron.find_previous_occurrence(&at, true).ok()?;
        Timestamp::from_second(last.timestamp()).ok()
    }

    /// The next `n` runs after `at`.
    #[must_use]
    pub fn runs(&self, at: Timestamp, n: usize) -> Vec<Timestamp> {
        std::iter::successors(self.after(at), |previous| self.after(*previous)).take(n).collect()
    }

    /// The first run after `at` that counts for freshness: not on a holiday. Fetching goes on by the schedule.
    #[must_use]
    pub fn due_after(&self, at: Timestamp, calendar: &Calendar) -> Timestamp {
        let mut at = at;
        // A table of holidays is finite; the bound is against one that covers a whole year.
        for _ in 0..400 {
            let Some(next) = self.after(at) else { return Timestamp::MAX };
            let day = clock::day(next);
            if !calendar.is_holiday(day) {
                return next;
            }
            at = day
                .tomorrow()
                .ok()
                .and_then(|tomorrow| providers::VIETNAM.to_timestamp(tomorrow.at(0, 0, 0, 0)).ok())
                .map_or(Timestamp::MAX, |midnight| {
                    Timestamp::from_second(midnight.as_second() - 1).unwrap_or(midnight)
                });
        }
        at
    }

    /// Whether any run is on this day.
    #[must_use]
    pub fn is_due_on(&self, day: Date) -> bool {
        let Ok(midnight) = providers::VIETNAM.to_timestamp(day.at(0, 0, 0, 0)) else { return false };
        let before = Timestamp::from_second(midnight.as_second() - 1).unwrap_or(midnight);
        self.after(before).is_some_and(|run| clock::day(run) == day)
    }

    /// The shortest time between any of a dozen runs in a row: enough for every schedule with a rhythm.
    #[must_use]
    pub fn shortest_interval(&self) -> Duration {
        let runs = self.runs(Timestamp::UNIX_EPOCH, 12);
        runs.iter()
            .zip(runs.iter().skip(1))
            .filter_map(|(run, next)| u64::try_from(next.as_second() - run.as_second()).ok())
            .min()
            .map_or(Duration::MAX, Duration::from_secs)
    }

    /// Time between the next two runs: the yardstick of back-off.
    #[must_use]
    pub fn interval(&self, at: Timestamp) -> Duration {
        match self.runs(at, 2).as_slice() {
            [first, second] => {
                Duration::from_secs(u64::try_from(second.as_second() - first.as_second()).unwrap_or(0))
            }
            _ => Duration::MAX,
        }
    }
}

/// The +07:00 of chrono, which only the cron crates speak.
fn vietnam() -> FixedOffset {
    FixedOffset::east_opt(VIETNAM_SECONDS).unwrap_or_else(|| chrono::Offset::fix(&chrono::Utc))
}

const VIETNAM_SECONDS: i32 = 7 * 3600;

/// Of the solar calendar.
type MonthDay = (i8, i8);

/// First day of the lunar year and 10th day of its third month, by new moons and solar terms at 105° east (UTC+7).
/// In 2030 they are a day before China's.
const LUNAR: &[(i16, MonthDay, MonthDay)] = &[
    (2026, (2, 17), (4, 26)),
    (2027, (2, 6), (4, 16)),
    (2028, (1, 26), (4, 4)),
    (2029, (2, 13), (4, 23)),
    (2030, (2, 2), (4, 12)),
    (2031, (1, 23), (4, 1)),
    (2032, (2, 11), (4, 19)),
    (2033, (1, 31), (4, 9)),
    (2034, (2, 19), (4, 28)),
    (2035, (2, 8), (4, 17)),
];

/// Days on which no bank publishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar(BTreeSet<Date>);

impl Calendar {
    /// From single days.
    pub fn new(days: impl IntoIterator<Item = Date>) -> Self {
        Self(days.into_iter().collect())
    }

    /// Vietnamese public holidays (Labour Code 2019, article 112): New Year, Tết (five days, from the last of the old
    /// year), Hùng Kings (10th of the 3rd lunar month), 30 April, 1 May, National Day (2 September and the day before);
    /// for one that falls on a weekend the next working day is off (article 111). The Government settles the days of
    /// each year in the autumn before and may shift some: those belong into the configuration.
    #[must_use]
    pub fn built_in() -> Self {
        let mut days = BTreeSet::new();
        for (year, tet, hung_kings) in LUNAR {
            let fixed = [(1, 1), (4, 30), (5, 1), (9, 1), (9, 2), *hung_kings];
            days.extend(fixed.into_iter().filter_map(|(month, day)| Date::new(*year, month, day).ok()));
            let new_year = Date::new(*year, tet.0, tet.1).ok();
            let eve = new_year.and_then(|day| day.yesterday().ok());
            days.extend(std::iter::successors(eve, |day| day.tomorrow().ok()).take(5));
        }
        let is_weekend = |day: Date| matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        for holiday in days.clone().into_iter().filter(|day| is_weekend(*day)) {
            let instead = std::iter::successors(holiday.tomorrow().ok(), |day| day.tomorrow().ok())
                .take(14)
                .find(|day| !is_weekend(*day) && !days.contains(day));
            days.extend(instead);
        }
        Self(days)
    }

    /// Adds days.
    pub fn extend(&mut self, days: impl IntoIterator<Item = Date>) {
        self.0.extend(days);
    }

    /// The last day that it knows.
    #[must_use]
    pub fn last(&self) -> Option<Date> {
        self.0.last().copied()
    }

    /// Whether no run of this day counts.
    #[must_use]
    pub fn is_holiday(&self, day: Date) -> bool {
        self.0.contains(&day)
    }
}

/// Who is to be woken when: the schedules in force. The operator changes them while they are rung by.
#[derive(Debug, Default)]
pub struct Bells {
    hung: Mutex<BTreeMap<&'static str, (Schedule, Arc<Notify>)>>,
    changed: Notify,
}

impl Bells {
    /// Rings a feed's bell by this schedule from now on; `None`: no more.
    pub fn hang(&self, feed: &'static str, bell: Option<(Schedule, Arc<Notify>)>) {
        let mut hung = self.hung.lock().unwrap_or_else(PoisonError::into_inner);
        match bell {
            Some(bell) => drop(hung.insert(feed, bell)),
            None => drop(hung.remove(feed)),
        }
        self.changed.notify_one();
    }

    /// Waits until a bell is hung or taken away.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// All that hang now.
    #[must_use]
    pub fn hung(&self) -> BTreeMap<&'static str, (Schedule, Arc<Notify>)> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rings all of them.
    pub fn ring_all(&self) {
        for (_, bell) in self.hung().values() {
            bell.notify_one();
        }
    }
}

/// Rings each feed's bell when it is due, by the system's clock. It does nothing else: tokio-cron-scheduler
/// overlaps runs and does not wait for them, the workers behind the bells do not.
pub struct Ringer {
    scheduler: JobScheduler,
    jobs: BTreeMap<&'static str, (Schedule, Arc<Notify>, Uuid)>,
}

impl Ringer {
    /// Starts to ring.
    ///
    /// # Errors
    /// When the scheduler refuses a schedule that [`Schedule`] accepted, which a test rules out.
    pub async fn start(bells: &Bells) -> Result<Self, JobSchedulerError> {
        let mut ringer = Self { scheduler: JobScheduler::new().await?, jobs: BTreeMap::new() };
        ringer.follow(bells, None).await?;
        ringer.scheduler.start().await?;
        Ok(ringer)
    }

    /// Rings by what hangs now. A run that was due while a job was changed, from `since` on, is rung.
    ///
    /// # Errors
    /// As [`Ringer::start`].
    pub async fn follow(&mut self, bells: &Bells, since: Option<&Clock>) -> Result<(), JobSchedulerError> {
        let hung = bells.hung();
        let gone: Vec<&'static str> = self
            .jobs
            .iter()
            .filter(|(feed, (schedule, bell, _))| {
                !hung.get(*feed).is_some_and(|(now, own)| now == schedule && Arc::ptr_eq(own, bell))
            })
            .map(|(feed, _)| *feed)
            .collect();
        for feed in gone {
            if let Some((.., id)) = self.jobs.remove(feed) {
                self.scheduler.remove(&id).await?;
            }
        }
        for (feed, (schedule, bell)) in hung {
            if self.jobs.contains_key(feed) {
                continue;
            }
            let before = since.map(Clock::now);
            let id = self.scheduler.add(job(&schedule, Arc::clone(&bell))?).await?;
            if let Some((clock, before)) = since.zip(before)
                && schedule.after(before).is_some_and(|due| due <= clock.now())
            {
                bell.notify_one();
            }
            self.jobs.insert(feed, (schedule, bell, id));
        }
        Ok(())
    }

    /// Stops ringing.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::warn!(%error, "the scheduler did not stop cleanly");
        }
    }
}

/// The only thing that the scheduler runs.
fn job(schedule: &Schedule, bell: Arc<Notify>) -> Result<Job, JobSchedulerError> {
    Job::new_async_tz(schedule.cron.pattern.to_string(), vietnam(), move |_, _| {
        bell.notify_one();
        Box::pin(std::future::ready(()))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn five_fields_are_minutes_first_and_six_are_seconds_first_in_vietnamese_time() {
        let five: Schedule = "*/10 8-17 * * Mon-Fri".parse().unwrap();
        assert_eq!(five.after(at("2026-09-30T10:05:00+07:00")), Some(at("2026-09-30T10:10:00+07:00")));
        // Friday evening to Monday morning
        assert_eq!(five.after(at("2026-10-02T17:50:00+07:00")), Some(at("2026-10-05T08:00:00+07:00")));
        let six: Schedule = "*/2 * * * * *".parse().unwrap();
        assert_eq!(
            six.runs(at("2026-09-30T10:05:00+07:00"), 2),
            [at("2026-09-30T10:05:02+07:00"), at("2026-09-30T10:05:04+07:00")]
        );
    }

    #[test]
    fn the_last_run_includes_this_second() {
        let schedule: Schedule = "*/10 8-17 * * Mon-Fri".parse().unwrap();
        assert_eq!(schedule.last(at("2026-09-30T10:10:00+07:00")), Some(at("2026-09-30T10:10:00+07:00")));
        assert_eq!(schedule.last(at("2026-10-05T07:59:59+07:00")), Some(at("2026-10-02T17:50:00+07:00")));
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_reason() {
        for wrong in ["", "* * * *", "61 * * * *", "* * * * * * *", "often", "0 0 30 2 *"] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn holidays_move_the_reckoning_but_not_the_fetching() {
        let schedule: Schedule = "*/10 8-17 * * Mon-Fri".parse().unwrap();
        let before_tet = at("2027-02-04T17:50:00+07:00");
        assert_eq!(schedule.after(before_tet), Some(at("2027-02-05T08:00:00+07:00")));
        assert_eq!(schedule.due_after(before_tet, &Calendar::built_in()), at("2027-02-12T08:00:00+07:00"));
    }

    #[test]
    fn the_built_in_holidays_are_those_of_the_law_with_a_working_day_for_each_on_a_weekend() {
        let calendar = Calendar::built_in();
        let of = |from: &str, to: &str| -> Vec<String> {
            let (from, to): (Date, Date) = (from.parse().unwrap(), to.parse().unwrap());
            from.series(jiff::Span::new().days(1))
                .take_while(|day| *day <= to)
                .filter(|day| calendar.is_holiday(*day))
                .map(|day| day.strftime("%m-%d").to_string())
                .collect()
        };
        // Announced for 2026: Tết 16 to 20 February, Hùng Kings on a Sunday and therefore the Monday.
        assert_eq!(of("2026-02-01", "2026-02-28"), ["02-16", "02-17", "02-18", "02-19", "02-20"]);
        assert_eq!(of("2026-04-20", "2026-05-10"), ["04-26", "04-27", "04-30", "05-01"]);
        // Tết 2027 begins on a Saturday: five days, two of them on the weekend.
        assert_eq!(
            of("2027-02-01", "2027-02-28"),
            ["02-05", "02-06", "02-07", "02-08", "02-09", "02-10", "02-11"]
        );
        assert_eq!(of("2035-12-31", "2036-12-31"), Vec::<String>::new(), "what is not known is not guessed");
    }

    #[tokio::test]
    async fn the_scheduler_and_this_module_find_the_same_next_run() {
        let mut scheduler = JobScheduler::new().await.unwrap();
        for text in [
            "*/10 8-18 * * Mon-Sat",
            "0 8 * * Mon-Fri",
            // Day of month and day of week: both must fit, not either.
            "0 0 13 * 5",
            "15 6,12 * * *",
            "0 3 1 1 *",
            "30 0 23 * * Sun",
        ] {
            let schedule: Schedule = text.parse().unwrap();
            let before = Clock::system().now();
            let id = scheduler.add(job(&schedule, Arc::default()).unwrap()).await.unwrap();
            let theirs = scheduler.next_tick_for_job(id).await.unwrap().unwrap().timestamp();
            let ours = [before, Clock::system().now()].map(|now| schedule.after(now).unwrap().as_second());
            assert!(ours.contains(&theirs), "{text}: {theirs} is none of {ours:?}");
        }
        let both: Schedule = "0 0 13 * 5".parse().unwrap();
        assert_eq!(both.after(at("2026-09-30T00:00:00+07:00")), Some(at("2026-11-13T00:00:00+07:00")));
    }

    #[tokio::test]
    async fn the_scheduler_rings_when_this_module_says_that_a_run_is_due() {
        let bell = Arc::new(Notify::new());
        let schedule: Schedule = "* * * * * *".parse().unwrap();
        let bells = Bells::default();
        bells.hang("bidv.fx", Some((schedule, bell.clone())));
        let ringer = Ringer::start(&bells).await.unwrap();
        bell.notified().await;
        bell.notified().await;
        ringer.stop().await;
    }

    #[tokio::test]
    async fn a_schedule_that_is_changed_rings_within_its_own_next_second_and_no_longer_by_the_old_one() {
        let (bells, clock) = (Bells::default(), Clock::system());
        let (first, second) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let rare: Schedule = "0 3 1 1 *".parse().unwrap();
        let often: Schedule = "* * * * * *".parse().unwrap();
        bells.hang("bidv.fx", Some((rare.clone(), first.clone())));
        bells.hang("doji.gold", Some((often.clone(), second.clone())));
        let mut ringer = Ringer::start(&bells).await.unwrap();
        second.notified().await;
        bells.hang("bidv.fx", Some((often, first.clone())));
        bells.hang("doji.gold", Some((rare, second.clone())));
        bells.changed().await;
        ringer.follow(&bells, Some(&clock)).await.unwrap();
        // One that rang before the change may still be heard.
        let _ = second.notified().now_or_never();
        for _ in 0..3 {
            first.notified().await;
        }
        assert!(second.notified().now_or_never().is_none(), "three seconds, and the old schedule was silent");
        bells.hang("bidv.fx", None);
        ringer.follow(&bells, Some(&clock)).await.unwrap();
        assert!(ringer.jobs.len() == 1 && !ringer.jobs.contains_key("bidv.fx"));
        ringer.stop().await;
    }
}
