//! `export`: every change that the store keeps, on standard output, as it is read: memory does not grow with the years,
//! and a reader that goes away ends it quietly.

use std::{
    io::{BufWriter, ErrorKind, Write as _},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use jiff::{Timestamp, civil::Date};
use providers::{Feed, Kind, Quote, VIETNAM, WeightUnit};
use serde_json::Value;

use super::{Common, Failure, complain, date, load};
use crate::{
    board::{Freshness, Served, Status},
    clock::rfc3339,
    config::Overrides,
    document::{csv, shapes::QuoteJson},
    store::{Change, Course, Kept, Series, Store, shown_url},
};

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    common: Common,
    /// Only this kind; CSV needs it
    #[arg(long, value_name = "K")]
    kind: Option<KindName>,
    /// First day, such as 2026-09-01
    #[arg(long, value_name = "D")]
    from: Option<String>,
    /// Last day
    #[arg(long, value_name = "D")]
    to: Option<String>,
    /// One JSON object a line, or CSV with a header
    #[arg(long, value_name = "FORMAT", default_value = "ndjson")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindName {
    Gold,
    Fx,
    #[value(alias = "deposits")]
    Deposit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Ndjson,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Gold => Self::Gold,
            KindName::Fx => Self::Fx,
            KindName::Deposit => Self::Deposit,
        }
    }
}

/// Fields of a quote that are about now; a change has its instant instead.
const OF_NOW: &[&str] = &["checked_at", "changed_at", "fresh_until", "expires_at", "status"];
/// That instant.
const AT: &str = "at";

pub(super) async fn export(options: &Export) -> Result<ExitCode, Failure> {
    if options.format == Format::Csv && options.kind.is_none() {
        return Err(Failure::usage(
            "--format csv needs --kind gold, fx or deposit: each kind has columns of its own; ndjson takes all kinds",
        ));
    }
    let (from, until) = bounds(options)?;
    let config = load(&options.common, &Overrides::default())?;
    let name = &config.store.url;
    let Some(store) = Store::look(name).await? else {
        let name = shown_url(name);
        return Err(Failure::failed(format!("{name} does not exist yet: nothing has been fetched")));
    };
    let mut out = Output { to: BufWriter::new(std::io::stdout().lock()), format: options.format };
    let written = history(&store, name, options, (from, until), &mut out).await;
    let flushed = written.and_then(|damaged| out.to.flush().map(|()| damaged).map_err(Stop::Output));
    store.close().await;
    match flushed {
        Ok(0) => Ok(ExitCode::SUCCESS),
        Ok(damaged) => Err(Failure::failed(format!(
            "{damaged} rows of {} are not what was written and were left out",
            shown_url(name)
        ))),
        // Whoever read has seen enough.
        Err(Stop::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(Stop::Output(error)) => {
            Err(Failure::failed(format!("standard output cannot be written: {error}")))
        }
        Err(Stop::Store(error)) => Err(error.into()),
    }
}

/// Why nothing more is written.
enum Stop {
    Output(std::io::Error),
    Store(crate::store::StoreError),
}

fn bounds(options: &Export) -> Result<(Timestamp, Timestamp), Failure> {
    let day = |option: &str, text: &Option<String>| text.as_ref().map(|text| date(option, text)).transpose();
    let (from, to) = (day("--from", &options.from)?, day("--to", &options.to)?);
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(Failure::usage(format!("--from {from} is after --to {to}")));
    }
    let midnight = |day: Date| VIETNAM.to_timestamp(day.at(0, 0, 0, 0)).ok();
    Ok((
        from.and_then(midnight).unwrap_or(Timestamp::MIN),
        to.and_then(|day| day.tomorrow().ok()).and_then(midnight).unwrap_or(Timestamp::MAX),
    ))
}

/// All series, in the order of the documents; the number of rows that were left out.
async fn history(
    store: &Store,
    name: &str,
    options: &Export,
    (from, until): (Timestamp, Timestamp),
    out: &mut Output<impl std::io::Write>,
) -> Result<usize, Stop> {
    let kind = options.kind.map(Kind::from);
    if let Some(kind) = kind {
        out.header(kind).map_err(Stop::Output)?;
    }
    let mut series = store.series(name).await.map_err(Stop::Store)?;
    let place = |of: &Series| providers::feeds().position(|(_, feed)| feed.id == of.feed);
    series.sort_by_cached_key(|of| (place(of), of.id.clone()));
    let mut damaged = 0;
    for Series { id, feed } in series {
        let Some((institution, feed)) = providers::feed(&feed) else {
            complain(&format!("banggia: {id} is of a feed that this version does not know, and is left out"));
            continue;
        };
        if kind.is_some_and(|kind| kind != feed.kind) {
            continue;
        }
        let mark = store.mark_before(&id, from).await.map_err(Stop::Store)?;
        let mut course = Course::new(&id, mark, until, None);
        while let Some(changes) = course.more(store).await.map_err(Stop::Store)? {
            for (change, before) in changes.iter().filter(|(change, _)| change.at >= from) {
                let fields = fields(institution.id, feed, change, before.as_ref());
                out.row(feed.kind, &fields).map_err(Stop::Output)?;
            }
        }
        damaged += course.damaged;
    }
    Ok(damaged)
}

/// A change as the API would have shown the quote at that instant.
fn fields(provider: &'static str, feed: &'static Feed, change: &Change, previous: Option<&Quote>) -> Value {
    let at = change.at;
    // One that a later version dropped keeps its name only.
    let source = feed.sources.iter().find(|source| source.id == change.source);
    let Some(some) = source.or(feed.sources.first()) else { return Value::Null };
    let served = Served {
        kept: Kept {
            quote: change.quote.clone(),
            previous: previous.cloned(),
            as_of: change.as_of,
            fetched_at: at,
            checked_at: at,
            changed_at: at,
        },
        freshness: Freshness { fresh_until: at, expires_at: at },
        status: Status::Fresh,
        source: some,
        held: false,
    };
    let mut fields =
        serde_json::to_value(QuoteJson::of(feed, provider, &served, WeightUnit::Luong)).unwrap_or_default();
    if source.is_none() {
        fields["source"] = change.source.clone().into();
        fields["via"] = Value::Null;
    }
    fields[AT] = rfc3339(at).into();
    fields
}

/// The columns of a kind.
fn columns(kind: Kind) -> impl Iterator<Item = &'static str> {
    csv::columns(kind).iter().copied().filter(|name| !OF_NOW.contains(name)).chain([AT])
}

struct Output<W> {
    to: W,
    format: Format,
}

impl<W: std::io::Write> Output<W> {
    fn header(&mut self, kind: Kind) -> std::io::Result<()> {
        match self.format {
            Format::Csv => self.to.write_all(&csv::line(columns(kind).map(str::to_owned))),
            Format::Ndjson => Ok(()),
        }
    }

    fn row(&mut self, kind: Kind, fields: &Value) -> std::io::Result<()> {
        match self.format {
            Format::Csv => self.to.write_all(&csv::line(columns(kind).map(|name| csv::cell(&fields[name])))),
            Format::Ndjson => {
                // In the order of the columns, which a map would not keep.
                let pairs: Vec<String> =
                    columns(kind).map(|name| format!("\"{name}\":{}", fields[name])).collect();
                writeln!(self.to, "{{\"kind\":\"{}\",{}}}", kind.as_str(), pairs.join(","))
            }
        }
    }
}
