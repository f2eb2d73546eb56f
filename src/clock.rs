//! The only clock. Live it is the system's; in a replay and in tests it starts where it is told to, runs at the
//! same speed and can be moved forward.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{Timestamp, civil::Date};
use providers::VIETNAM;

/// Tells the time in whole seconds: documents show no more.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Seconds added to the system's clock, or the second at which it stands.
    offset: Arc<AtomicI64>,
    /// Moved by hand only.
    stands: bool,
}

impl Clock {
    /// The system's time.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Shows `start` now and runs on.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        let clock = Self::system();
        clock.offset.store(start.as_second() - system_second(), Ordering::Relaxed);
        clock
    }

    /// Shows `start` until it is moved: a day that passes in seconds, the same in every run.
    #[must_use]
    pub fn standing_at(start: Timestamp) -> Self {
        Self { offset: Arc::new(AtomicI64::new(start.as_second())), stands: true }
    }

    /// Whether it is the machine's own.
    #[must_use]
    pub fn is_systems(&self) -> bool {
        !self.stands && self.offset.load(Ordering::Relaxed) == 0
    }

    /// Whether it is moved by hand only.
    #[must_use]
    pub const fn stands(&self) -> bool {
        self.stands
    }

    /// Now, in whole seconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        second(self.base() + self.offset.load(Ordering::Relaxed))
    }

    /// Moves forward to `instant`; never back.
    pub fn advance_to(&self, instant: Timestamp) {
        self.offset.fetch_max(instant.as_second() - self.base(), Ordering::Relaxed);
    }

    /// Shows `instant`, earlier or later, as a system's clock does that somebody sets.
    pub fn set(&self, instant: Timestamp) {
        self.offset.store(instant.as_second() - self.base(), Ordering::Relaxed);
    }

    fn base(&self) -> i64 {
        if self.stands { 0 } else { system_second() }
    }

    /// How long until `instant`; zero when it has passed.
    #[must_use]
    pub fn until(&self, instant: Timestamp) -> Duration {
        Duration::from_secs(u64::try_from(instant.as_second() - self.now().as_second()).unwrap_or(0))
    }
}

/// Notices that a clock was set, by one that nobody sets.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    looked: (Instant, Timestamp),
}

impl Watch {
    /// From now on.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self { looked: (Instant::now(), clock.now()) }
    }

    /// By how many seconds the clock was set since the last look, forth or back; rounding may make it one.
    pub fn step(&mut self, clock: &Clock) -> i64 {
        self.compare(Instant::now(), clock.now())
    }

    fn compare(&mut self, instant: Instant, now: Timestamp) -> i64 {
        let (then, shown) = std::mem::replace(&mut self.looked, (instant, now));
        let passed = i64::try_from(instant.saturating_duration_since(then).as_secs()).unwrap_or(i64::MAX);
        now.as_second().saturating_sub(shown.as_second()).saturating_sub(passed)
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the clock")]
fn system_second() -> i64 {
    Timestamp::now().as_second()
}

fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `at` plus whole seconds; the end of time instead of an overflow.
#[must_use]
pub fn later(at: Timestamp, by: Duration) -> Timestamp {
    i64::try_from(by.as_secs())
        .ok()
        .and_then(|seconds| at.as_second().checked_add(seconds))
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX)
}

/// The day in Vietnam.
#[must_use]
pub fn day(at: Timestamp) -> Date {
    VIETNAM.to_datetime(at).date()
}

/// RFC 3339 with `+07:00`, whole seconds: how documents write instants.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    second(at.as_second()).display_with_offset(VIETNAM).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_starts_where_it_is_told_and_never_goes_back() {
        let start: Timestamp = "2026-09-29T15:30:00+07:00".parse().unwrap();
        let clock = Clock::starting_at(start);
        assert!(clock.now().as_second() - start.as_second() <= 1);
        let next: Timestamp = "2026-09-30T10:05:00+07:00".parse().unwrap();
        clock.advance_to(next);
        clock.advance_to(start);
        assert!(clock.now() >= next);
        assert_eq!(clock.until(start), Duration::ZERO);
    }

    #[test]
    fn f22_a_clock_that_is_set_is_noticed_and_one_that_runs_is_not() {
        let start: Timestamp = "2026-09-29T15:30:00+07:00".parse().unwrap();
        let (began, clock) = (Instant::now(), Clock::standing_at(start));
        let mut watch = Watch { looked: (began, start) };
        let mut look = |seconds: u64, shown: i64| {
            let now = Timestamp::from_second(start.as_second() + shown).unwrap();
            watch.compare(began + Duration::from_secs(seconds), now)
        };
        assert_eq!([look(1, 1), look(600, 600)], [0, 0]);
        assert_eq!(look(601, 4201), 3600, "an hour forth");
        assert_eq!(look(602, 4202), 0, "once");
        assert_eq!(look(603, 603), -3600, "and back");
        assert_eq!(Watch::new(&clock).step(&clock), 0);
    }

    #[test]
    fn instants_are_written_in_vietnamese_time_to_the_second() {
        let at: Timestamp = "2026-09-30T03:05:03.25Z".parse().unwrap();
        assert_eq!(rfc3339(at), "2026-09-30T10:05:03+07:00");
        assert_eq!(day("2026-09-30T17:30:00Z".parse().unwrap()).to_string(), "2026-10-01");
    }
}
