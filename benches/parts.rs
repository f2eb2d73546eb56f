//! What the parts cost that run for every refresh and every page: reading a source's answer, publishing the
//! documents, rendering the panel. Run with `cargo bench --bench parts`; works on the built-in recordings, so
//! without network and disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the benchmark")]
#![allow(missing_docs, reason = "not a library")]

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use banggia::{
    app::{App, Mode},
    board::{Scope, ServedFeed, Snapshot},
    config::{self, Config, Overrides},
    document::{self, Document},
    filter::Filter,
    store::Published,
    widget::{Options, content::content},
};
use criterion::Criterion;
use jiff::{Timestamp, civil::DateTime};
use providers::{Answer, Kind, Secrets, VIETNAM, replay::RECORDINGS};

const CONFIG: &str = "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n\
                      [store]\nurl = \"sqlite::memory:\"\n";

/// What the board publishes, in its order.
const SCOPES: [Scope; 5] =
    [Scope::Board, Scope::Kind(Kind::Gold), Scope::Kind(Kind::Fx), Scope::Kind(Kind::Deposit), Scope::Feeds];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    parse(&mut criterion);

    let config =
        config::assemble(Some((Path::new("bench.toml"), CONFIG)), &[], &Overrides::default()).unwrap();
    let snapshot = snapshot(config.clone());
    publish(&mut criterion, &snapshot);
    render(&mut criterion, &snapshot, &config);
    criterion.final_summary();
}

/// Each source's first recorded answer, step by step. One of OCB's is a page that says "not found".
fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let secrets = Secrets::default();
    let mut done = Vec::new();
    for recording in RECORDINGS {
        let name = [recording.feed, recording.source, recording.step.unwrap_or_default()].join(".");
        let name = name.trim_end_matches('.').to_owned();
        if done.contains(&name) {
            continue;
        }
        let (_, feed) = providers::feed(recording.feed).unwrap();
        let source = feed.sources.iter().find(|source| source.id == recording.source).unwrap();
        let base = source.url.parse().unwrap();
        let answer = Answer {
            body: recording.bytes,
            charset: None,
            last_modified: recording.last_modified.map(|day| day.parse().unwrap()),
            step: recording.step,
            now: VIETNAM.to_timestamp(DateTime::strptime("%Y-%m-%dT%H%M", recording.at).unwrap()).unwrap(),
            base: &base,
            secrets: &secrets,
        };
        group.bench_function(&name, |bencher| bencher.iter(|| (source.parse)(black_box(&answer))));
        done.push(name);
    }
    group.finish();
}

/// From the feeds' states to what is served of them, and from that to bytes.
fn publish(criterion: &mut Criterion, snapshot: &Snapshot) {
    let mut group = criterion.benchmark_group("publish");
    let now = snapshot.feeds.iter().filter_map(|feed| feed.state.next_refresh_at).min().unwrap();
    group.bench_function("what is served of all feeds", |bencher| {
        bencher
            .iter(|| snapshot.feeds.iter().map(|feed| feed.state.serve(black_box(now))).collect::<Vec<_>>());
    });
    for scope in SCOPES {
        let name = match scope {
            Scope::Kind(kind) => kind.as_str(),
            Scope::Board => "board",
            Scope::Feeds => "feeds",
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| document(scope, black_box(&snapshot.feeds), now));
        });
    }
    group.bench_function("all documents", |bencher| {
        bencher.iter(|| SCOPES.map(|scope| document(scope, black_box(&snapshot.feeds), now)));
    });
    group.finish();
}

/// One document, in every coding, as `Board::publish` makes it.
fn document(scope: Scope, feeds: &[ServedFeed], now: Timestamp) -> Document {
    let content = document::content(scope, feeds, true, &Filter::default());
    let published = Published { version: 1, generated_at: now, hash: content.hash.clone() };
    document::finish(scope, &content, &published, feeds)
}

/// Every widget, from the snapshot to what is sent.
fn render(criterion: &mut Criterion, snapshot: &Snapshot, config: &Config) {
    let mut group = criterion.benchmark_group("render");
    let look = widgets::Look::default();
    for kind in widgets::model::Kind::ALL {
        let name = kind.as_str();
        let options = Options::of(kind);
        let model = || content(black_box(snapshot), &options, &config.widgets, "http://127.0.0.1/");
        let widget = model();
        group.bench_function(format!("{name}, model"), |bencher| bencher.iter(model));
        group.bench_function(format!("{name}, page"), |bencher| {
            bencher.iter(|| widgets::page(black_box(&widget), &look, None).unwrap());
        });
        group.bench_function(format!("{name}, tree"), |bencher| {
            bencher.iter(|| widgets::tree(black_box(&widget), &look).unwrap());
        });
        group.bench_function(format!("{name}, PNG"), |bencher| {
            let picture = || widgets::png(&widgets::picture(black_box(&widget), &look), widgets::Scale::One);
            bencher.iter(|| picture().unwrap());
        });
    }
    group.finish();
}

/// What a replay serves once every feed has figures.
fn snapshot(config: Config) -> Arc<Snapshot> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let app = App::start(config, Mode::Replay(None)).await.unwrap();
        let shared = app.snapshot();
        let deadline = Instant::now() + Duration::from_secs(30);
        while shared.load().feeds.iter().any(|feed| feed.quotes.is_empty()) {
            assert!(Instant::now() < deadline, "waited half a minute for every feed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let snapshot = shared.load_full();
        app.stop().await;
        snapshot
    })
}
