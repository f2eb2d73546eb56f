//! `backfill`: which days, how fast, and a progress bar where somebody looks; the reading itself is in `crate::backfill`.

use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::civil::Date;

use super::{Common, Failure, complain, date, load, print};
use crate::{
    backfill::{self, Day, LEAST_PAUSE, Plan, Sum},
    clock::{self, Clock, rfc3339},
    config::{Overrides, Span},
    fetch::{Fetcher, Live},
    store,
};

/// Ten years: nobody's source goes back further.
const MOST_DAYS: usize = 3660;

#[derive(Debug, Args)]
pub(super) struct Backfill {
    #[command(flatten)]
    common: Common,
    /// Feed: tpbank.gold, bidv.fx or vietcombank.fx
    feed: String,
    /// First day, such as 2026-09-01
    #[arg(long, value_name = "D")]
    from: String,
    /// Last day, before today
    #[arg(long, value_name = "D")]
    to: String,
    /// Time between two requests: 2s, 1m; at least 1s
    #[arg(long, value_name = "T", default_value = "2s")]
    pause: String,
}

pub(super) async fn backfill(options: &Backfill) -> Result<ExitCode, Failure> {
    let clock = Clock::system();
    let offered = || backfill::feeds().map(|feed| feed.id).collect::<Vec<_>>().join(", ");
    let Some((_, feed)) = providers::feed(&options.feed) else {
        return Err(Failure::usage(format!("there is no feed {}; allowed are {}", options.feed, offered())));
    };
    let Some((source, past)) = backfill::offering(feed) else {
        return Err(Failure::usage(format!(
            "no source of {} offers past days; allowed are {}",
            feed.id,
            offered()
        )));
    };
    let (from, to) = (date("--from", &options.from)?, date("--to", &options.to)?);
    range(from, to, clock::day(clock.now()))?;
    let least = source.min_interval.map_or(Duration::ZERO, |least| Duration::from_secs(least.into()));
    let pause = pause(&options.pause)?.max(least);
    let config = load(&options.common, &Overrides::default())?;
    let Some(settings) = config.feeds.get(feed.id) else {
        return Err(Failure::usage(format!("{} is switched off in the configuration", feed.id)));
    };
    if settings.sources.get(source.id).is_none_or(|source| !source.enabled) {
        return Err(Failure::usage(format!(
            "{}.{} is switched off in the configuration, and no other source of the feed offers past days",
            feed.id, source.id
        )));
    }
    let mut store = store::Past::open(&config.store.url, feed.id, source.id).await?;
    let fetcher = Fetcher::Live(Live::new(&config.fetch, clock.clone()));
    let run = backfill::Backfill { config: &config, settings, feed, source, past, fetcher, clock, pause };
    let plan = run.plan(&mut store, from, to).await?;
    let progress = Progress::new(plan.days.len());
    let result = run.run(&mut store, &plan.days, |day, found| progress.tell(day, found)).await;
    progress.end();
    let sum = result?;
    print(&format!("{} {}: {}\n", feed.id, source.id, summary(&plan, &sum)));
    let again = "run the same command again to go on, what was read is kept";
    match (&sum.stopped, sum.failed) {
        (Some(why), _) => Err(Failure::failed(format!("stopped: {why}; {again}"))),
        (None, 0) => Ok(ExitCode::SUCCESS),
        (None, failed) => Err(Failure::failed(format!("{failed} days could not be read; {again}"))),
    }
}

fn range(from: Date, to: Date, today: Date) -> Result<(), Failure> {
    if from > to {
        return Err(Failure::usage(format!("--from {from} is after --to {to}")));
    }
    if to >= today {
        return Err(Failure::usage(format!(
            "--to {to} has not passed yet: the last day can be {}; today is the service's to read",
            today.yesterday().unwrap_or(today)
        )));
    }
    let days = std::iter::successors(Some(from), |day| day.tomorrow().ok()).take_while(|day| *day <= to);
    if days.take(MOST_DAYS + 1).count() > MOST_DAYS {
        return Err(Failure::usage(format!("from {from} to {to} are more than {MOST_DAYS} days")));
    }
    Ok(())
}

fn pause(text: &str) -> Result<Duration, Failure> {
    let Span(pause) = text.parse().map_err(|why| Failure::usage(format!("--pause: {why}")))?;
    if pause < LEAST_PAUSE {
        return Err(Failure::usage(format!(
            "--pause {text} is too short: a source is asked at most once in {LEAST_PAUSE:?}"
        )));
    }
    Ok(pause)
}

fn summary(plan: &Plan, sum: &Sum) -> String {
    let left = plan.days.len() - sum.boards - sum.none - sum.failed;
    let mut parts = vec![
        format!("{} boards with {} new figures", sum.boards, sum.new),
        format!("{} days without", sum.none),
    ];
    for (count, what) in [
        (sum.failed, "failed"),
        (left, "not asked"),
        (plan.kept, "kept before"),
        (plan.resting, "weekends and holidays"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.join(", ")
}

/// A bar on a terminal, a line a day elsewhere. Failures go to standard error in both.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new(days: usize) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let days = u64::try_from(days).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(days), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} days  {eta} left  {msg}") {
            bar.set_style(style);
        }
        bar.tick();
        Self(Some(bar))
    }

    fn tell(&self, day: Date, found: &Day) {
        if let Day::Failed(reason) = found {
            self.aside(&format!("banggia: {day}: {}", reason.message));
        }
        if let Day::Board { left_out, .. } = found {
            for reason in left_out {
                self.aside(&format!("banggia: {day}: left out: {}", reason.message));
            }
        }
        if let Day::Waits(until) = found {
            return self.aside(&format!("banggia: {day}: the source asks to wait until {}", rfc3339(*until)));
        }
        let said = match found {
            Day::Board { figures, new, .. } => format!("{figures} figures, {new} new"),
            Day::None(why) => format!("no board: {why}"),
            Day::Failed(_) | Day::Waits(_) => "failed".to_owned(),
        };
        match &self.0 {
            Some(bar) => {
                bar.set_message(format!("{day}: {said}"));
                bar.inc(1);
            }
            None => print(&format!("{day}  {said}\n")),
        }
    }

    fn aside(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| complain(line)),
            None => complain(line),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_that_have_passed_can_be_asked_for_and_not_at_any_speed() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let today = day("2026-11-27");
        assert!(range(day("2026-11-01"), day("2026-11-26"), today).is_ok());
        for (from, to) in
            [("2026-11-27", "2026-11-27"), ("2026-11-02", "2026-11-01"), ("2010-01-01", "2026-11-26")]
        {
            assert_eq!(range(day(from), day(to), today).unwrap_err().0, 2, "{from} {to}");
        }
        assert_eq!(pause("1s").unwrap(), LEAST_PAUSE);
        for wrong in ["0s", "fast", "1"] {
            assert_eq!(pause(wrong).unwrap_err().0, 2, "{wrong}");
        }
    }
}
