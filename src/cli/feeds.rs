//! `feeds`: every feed with its sources, as a table for people or as JSON for programs; from the store, without touching it.

use std::{process::ExitCode, sync::Arc};

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::{Common, Failure, load, print, states};
use crate::{
    board::{FeedState, SourceState, Standing},
    clock::Clock,
    config::Overrides,
    document::shapes::FeedDetail,
    store::shown_url,
};

#[derive(Debug, Args)]
pub(super) struct Feeds {
    #[command(flatten)]
    common: Common,
    /// A table for people, or JSON as `/v1/feeds` has it
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// What `--format json` prints.
#[derive(Serialize)]
struct Listing {
    store: String,
    /// Whether anything was ever kept.
    exists: bool,
    feeds: Vec<FeedDetail>,
}

pub(super) async fn feeds(options: &Feeds) -> Result<ExitCode, Failure> {
    let config = load(&options.common, &Overrides::default())?;
    let clock = Clock::system();
    let (states, exists) = states(&config, &clock).await?;
    let states: Vec<Arc<FeedState>> = states.into_iter().map(Arc::new).collect();
    if options.format == Format::Json {
        let feeds = states.iter().map(|state| FeedDetail::of(&state.serve(clock.now()))).collect();
        let listing = Listing { store: shown_url(&config.store.url), exists, feeds };
        let mut json = serde_json::to_string_pretty(&listing).map_err(Failure::failed)?;
        json.push('\n');
        print(&json);
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    if !exists {
        text.push_str(&format!(
            "# {} does not exist yet: nothing has been fetched\n\n",
            shown_url(&config.store.url)
        ));
    }
    text.push_str(&table(&overview(&states, clock.now())));
    text.push('\n');
    text.push_str(&table(&sources(&states)));
    let held = held(&states);
    if held.len() > 1 {
        text.push('\n');
        text.push_str(&table(&held));
    }
    print(&text);
    Ok(ExitCode::SUCCESS)
}

fn overview(states: &[Arc<FeedState>], now: Timestamp) -> Vec<Vec<String>> {
    let mut rows = vec![words(&["FEED", "STATUS", "CHECKED", "NEXT RUN", "MISSED", "SCHEDULE"])];
    for state in states {
        let served = state.serve(now);
        let kept = state.sources.iter().flat_map(|source| source.kept.values());
        let checked = kept.map(|kept| kept.checked_at).max();
        let missed = match (state.missed, state.missed_publishes) {
            (0, 0) => "-".to_owned(),
            (runs, 0) => format!("{runs} runs"),
            (runs, boards) => format!("{runs} runs, {boards} boards"),
        };
        rows.push(vec![
            state.feed.id.to_owned(),
            served.status.as_str().to_owned(),
            checked.map_or_else(|| "never".to_owned(), moment),
            state.next_refresh_at.map_or_else(|| "never".to_owned(), moment),
            missed,
            state.rules.schedule.to_string(),
        ]);
    }
    rows
}

fn sources(states: &[Arc<FeedState>]) -> Vec<Vec<String>> {
    let mut rows = vec![words(&["FEED", "SOURCE", "LAST ATTEMPT", "OUTCOME", "ADDRESS"])];
    for state in states {
        for source in &state.sources {
            let via = source.source.via.map_or_else(String::new, |via| format!(" via {}", via.name));
            rows.push(vec![
                state.feed.id.to_owned(),
                format!("{}{via}", source.source.id),
                source.last.as_ref().map_or_else(|| "-".to_owned(), |last| moment(last.at)),
                standing(source),
                source.url.clone(),
            ]);
        }
    }
    rows
}

fn standing(source: &SourceState) -> String {
    match &source.standing {
        Standing::Off => "off".to_owned(),
        Standing::Skipped(secret) => format!("skipped: the secret {secret} is not set"),
        Standing::On => match &source.last {
            None => "not asked yet".to_owned(),
            Some(last) => {
                let reason = last.reason.as_ref();
                let reason = reason.map_or_else(String::new, |reason| format!(": {}", reason.message));
                format!("{}{reason}", last.outcome)
            }
        },
    }
}

fn held(states: &[Arc<FeedState>]) -> Vec<Vec<String>> {
    let mut rows = vec![words(&["HELD BACK", "SOURCE", "SINCE", "STATE", "WHY"])];
    for state in states {
        for source in &state.sources {
            for (key, held) in &source.held {
                let why = held.reasons.first().map_or("", |reason| reason.message.as_str());
                rows.push(vec![
                    format!("{}.{key}", state.feed.id),
                    source.source.id.to_owned(),
                    moment(held.since),
                    if held.refused { "refused" } else { "held" }.to_owned(),
                    why.to_owned(),
                ]);
            }
        }
    }
    rows
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// As operators read it: the day of the week, Vietnamese time.
pub(super) fn moment(at: Timestamp) -> String {
    providers::VIETNAM.to_datetime(at).strftime("%a %Y-%m-%d %H:%M:%S").to_string()
}

/// Columns as wide as their widest cell, but for the last. What came from elsewhere cannot break a line.
fn table(rows: &[Vec<String>]) -> String {
    let visible = |cell: &String| -> String {
        cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(visible).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters_and_no_cell_breaks_a_line() {
        let rows = [words(&["A", "B"]), words(&["vàng", "1\n2"]), words(&["x", "3"])];
        assert_eq!(table(&rows), "A     B\nvàng  1 2\nx     3\n");
    }
}
