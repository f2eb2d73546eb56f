//! One year of all feeds at their real cadence: what it takes on the disk, what a month of a kind by day costs in the store
//! and over HTTP, whether that grows with the table, and what streaming the year takes of memory. Run with
//! `cargo bench --bench year`, or `-- --store URL --month-store URL` over two empty stores elsewhere. Synthetic, seeded, and
//! shaped like the recorded series: boards of banks several times on working days, gold up to five times from Monday to
//! Saturday, steps of some hundredths of a percent, deposit rates that move every few weeks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the benchmark")]
#![allow(clippy::disallowed_methods, reason = "measures by the system's clock")]
#![allow(missing_docs, reason = "not a library")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use banggia::{
    app::{App, Mode},
    config::{self, Overrides},
    history::{Group, Line, Manner, Range, Step, Walk},
    store::{Answer, Attempt, Kept, Nature, Store},
};
use jiff::{ToSpan as _, civil::Date};
use providers::{AsOf, Kind, Quote, VIETNAM, WeightUnit};
use rust_decimal::Decimal;
use tokio::runtime::Runtime;

/// The year, and the month of it that is asked for.
const FIRST: Date = Date::constant(2025, 10, 1);
const LAST: Date = Date::constant(2026, 9, 30);
const MONTH: Date = Date::constant(2026, 9, 1);
/// Where the smaller table begins: deposit rates stay for weeks, and what was in force is part of the answer.
const BEFORE: Date = Date::constant(2026, 7, 1);
const SEED: u64 = 20_260_930;
const ASKED: usize = 300;
/// Goals.
const P99: Duration = Duration::from_millis(10);
/// Of a month in a table of a year, beside one that begins where what was in force before the month began to be.
const GROWTH_PERCENT: u128 = 200;

/// The figures of one feed, as they stand.
struct Feed {
    id: &'static str,
    source: &'static str,
    quotes: Vec<Kept>,
}

/// xorshift64*
struct Dice(u64);

impl Dice {
    /// Of `0..sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// Where figures are kept, whatever keeps them.
trait Target {
    fn keep(&mut self, answer: Answer);
}

impl Target for (&Runtime, &Store) {
    fn keep(&mut self, answer: Answer) {
        self.1.push(answer);
        self.0.block_on(self.1.flush());
        assert_eq!(self.1.waiting(), 0, "the store takes it");
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let year = option("--store").unwrap_or_else(|| url("year.db"));
    let month = option("--month-store").unwrap_or_else(|| url("month.db"));
    let runtime = Runtime::new().unwrap();
    let feeds = runtime.block_on(recorded());

    println!("one year of {} feeds, seed {SEED}", feeds.len());
    let begun = Instant::now();
    let per_feed = fill(&runtime, &year, &feeds, FIRST);
    println!("written in {:?}", begun.elapsed());
    let rows: u64 = per_feed.iter().map(|(_, rows)| rows).sum();
    let bytes = size(&year);
    if let Some(bytes) = bytes {
        println!("{rows} changes, {} kB: {} bytes a change", bytes / 1024, bytes / rows);
    }
    for (feed, own) in &per_feed {
        let size =
            bytes.map_or_else(String::new, |bytes| format!(", about {} kB", bytes / 1024 * own / rows));
        println!("  {feed}: {own} changes a year{size}");
    }
    fill(&runtime, &month, &feeds, BEFORE);

    let mut missed = Vec::new();
    for kind in [Kind::Gold, Kind::Fx, Kind::Deposit] {
        let [of_year, of_month] = [&year, &month].map(|url| in_store(&runtime, url, kind));
        // All figures of a kind, read anew each time: what readers wait for is measured over HTTP.
        told(&format!("a month of {} by day, in the store", kind.as_str()), &of_year, &mut Vec::new());
        let growth = of_year[ASKED / 2].as_nanos() * 100 / of_month[ASKED / 2].as_nanos().max(1);
        println!("  {growth} % of what it costs in a table of three months (goal ≤ {GROWTH_PERCENT} %)");
        if growth > GROWTH_PERCENT {
            missed.push(format!("{}: {growth} %", kind.as_str()));
        }
    }
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut service = start(folder.path(), &year, address);
    for (name, path) in [("gold", "gold"), ("fx", "fx"), ("deposit", "deposits")] {
        for coding in ["identity", "gzip", "br"] {
            let page = format!("/v1/history/{path}?from=2026-09-01&to=2026-09-30&group=day&limit=5000");
            let took = over_http(address, &page, coding);
            told(&format!("a month of {name} by day, over HTTP, {coding}"), &took, &mut missed);
        }
    }
    let (before, peak, bytes) = streamed(&service, address);
    println!(
        "the year of fx as CSV: {} kB, resident memory {before} kB before, {peak} kB at most",
        bytes / 1024
    );
    if peak > before + 16 * 1024 {
        missed.push(format!("memory: {before} kB, {peak} kB"));
    }
    assert!(Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap().success());
    service.wait().unwrap();
    assert!(missed.is_empty(), "missed: {missed:?}");
}

fn told(what: &str, took: &[Duration], missed: &mut Vec<String>) {
    let p99 = took[took.len() * 99 / 100];
    println!("{what}: p50 {:?}, p99 {p99:?} (goal ≤ {P99:?}) of {}", took[took.len() / 2], took.len());
    if p99 > P99 {
        missed.push(format!("{what}: {p99:?}"));
    }
}

const CONFIG: &str =
    "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n";

/// The figures of the built-in recordings, from which the year begins.
async fn recorded() -> Vec<Feed> {
    let config =
        config::assemble(Some((Path::new("bench.toml"), CONFIG)), &[], &Overrides::default()).unwrap();
    let app = App::start(config, Mode::Replay(None)).await.unwrap();
    let feeds = loop {
        let snapshot = app.snapshot().load_full();
        if snapshot.feeds.iter().all(|feed| !feed.quotes.is_empty()) {
            let of = |feed: &banggia::board::ServedFeed| Feed {
                id: feed.state.feed.id,
                source: feed.quotes[0].source.id,
                quotes: feed.quotes.iter().map(|quote| quote.kept.clone()).collect(),
            };
            break snapshot.feeds.iter().map(of).collect();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    app.stop().await;
    feeds
}

/// When a feed speaks on a day.
fn boards(feed: &str, day: Date, dice: &mut Dice) -> u64 {
    let weekend = day.weekday().to_monday_zero_offset();
    match feed {
        "bidv.fx" if weekend < 5 => 2 + dice.roll(5),
        "vietcombank.fx" if weekend < 5 => 3 + dice.roll(6),
        "doji.gold" if weekend < 6 => dice.roll(6),
        "tpbank.gold" if weekend < 6 => 1,
        "bidv.deposit" | "ocb.deposit" if dice.roll(20) == 0 => 1,
        _ => 0,
    }
}

fn moved(side: &mut Option<Decimal>, dice: &mut Dice) {
    if let Some(price) = side {
        // Up to a tenth of a percent, with the digits that the source gives.
        let step = *price * Decimal::new(i64::try_from(dice.roll(2001)).unwrap() - 1000, 6);
        *price = (*price + step).round_dp(price.scale());
    }
}

/// Writes from a day on to the end of the year; changes by feed.
fn fill(runtime: &Runtime, url: &str, feeds: &[Feed], from: Date) -> Vec<(&'static str, u64)> {
    let store = runtime.block_on(Store::open(url, Nature::Live)).unwrap();
    if store.is_shared() {
        // Only a leader writes.
        runtime.block_on(store.prepare()).unwrap();
        let epoch = runtime.block_on(store.take_lease(Duration::from_hours(2))).unwrap();
        assert!(epoch.is_some(), "the store is nobody's");
    }
    let mut target = (runtime, &store);
    let mut counts = Vec::new();
    for feed in feeds {
        let mut dice =
            Dice(SEED ^ u64::try_from(feed.id.len()).unwrap() << 32 ^ u64::from(feed.id.as_bytes()[0]));
        let (mut quotes, mut rows) = (feed.quotes.clone(), 0);
        let mut day = FIRST;
        while day <= LAST {
            let boards = boards(feed.id, day, &mut dice);
            for n in 0..boards {
                let second = 8 * 3600 + i64::try_from(n * 36_000 / boards + dice.roll(1800)).unwrap();
                let at = VIETNAM.to_timestamp(day.at(0, 0, 0, 0)).unwrap() + second.seconds();
                let mut changed = Vec::new();
                for kept in &mut quotes {
                    // Of a bank's board some figures stay as they are.
                    if dice.roll(5) == 0 {
                        continue;
                    }
                    match &mut kept.quote {
                        Quote::Gold(gold) => {
                            [&mut gold.buy, &mut gold.sell].map(|side| moved(side, &mut dice))
                        }
                        Quote::Fx(fx) => {
                            moved(&mut fx.buy_transfer, &mut dice);
                            [&mut fx.buy_cash, &mut fx.sell].map(|side| moved(side, &mut dice))
                        }
                        Quote::Deposit(deposit) => {
                            deposit.rate_percent += Decimal::new(i64::try_from(dice.roll(3)).unwrap() - 1, 1);
                            [(), ()]
                        }
                    };
                    (kept.fetched_at, kept.checked_at, kept.changed_at) = (at, at, at);
                    kept.as_of = AsOf::At(at);
                    changed.push((kept.clone(), true));
                }
                if day >= from {
                    rows += u64::try_from(changed.len()).unwrap();
                    target.keep(Answer {
                        feed: feed.id.into(),
                        source: feed.source.into(),
                        attempt: Attempt { at, outcome: "ok".to_owned(), reason: None },
                        quotes: changed,
                        dropped: Vec::new(),
                        keys: Vec::new(),
                        held: None,
                    });
                }
            }
            day = day.tomorrow().unwrap();
        }
        counts.push((feed.id, rows));
    }
    runtime.block_on(store.release_lease()).unwrap();
    runtime.block_on(store.close());
    counts
}

/// What a store takes on the disk: a file's length, or what the server says of its database.
fn size(url: &str) -> Option<u64> {
    if let Some(file) = banggia::store::file_of(url) {
        return Some(std::fs::metadata(file).unwrap().len());
    }
    let asked =
        Command::new("psql").args([url, "-Atc", "SELECT pg_database_size(current_database())"]).output();
    String::from_utf8(asked.ok()?.stdout).ok()?.trim().parse().ok()
}

fn second(day: Date) -> i64 {
    banggia::history::midnight(day).unwrap()
}

/// How long the month by day takes of all series of a kind, fastest first.
fn in_store(runtime: &Runtime, url: &str, kind: Kind) -> Vec<Duration> {
    runtime.block_on(async {
        let store = Store::open(url, Nature::Live).await.unwrap();
        let mut took = Vec::new();
        for turn in 0..ASKED + 10 {
            let begun = Instant::now();
            let mut lines = Vec::new();
            for (institution, feed) in providers::feeds().filter(|(_, feed)| feed.kind == kind) {
                for (id, quote) in store.series_of(feed.id).await.unwrap() {
                    lines.push(Line { id, institution, feed, quote, is_quoted: true });
                }
            }
            let range = Range { from: Some(second(MONTH)), until: second(LAST.tomorrow().unwrap()) };
            let manner = Manner { group: Some(Group::Day), unit: WeightUnit::Luong };
            let mut walk = Walk::new(lines, range, manner, (0, None));
            let mut points = 0_u32;
            while walk.read(&store).await.unwrap() {
                while let Some(step) = walk.pop() {
                    points += u32::from(matches!(step, Step::Point(_)));
                }
            }
            assert!(points > 0, "there is something to read");
            // The first ones warm up.
            if turn >= 10 {
                took.push(begun.elapsed());
            }
        }
        store.close().await;
        took.sort_unstable();
        took
    })
}

/// The service over the year, with sources that nobody answers for.
fn start(folder: &Path, store: &str, address: SocketAddr) -> Child {
    let mut text = format!(
        "[server]\nlisten = \"{address}\"\nops_listen = \"127.0.0.1:0\"\nrate_limit = 0\n[store]\nurl = \"{store}\"\nbackups = 0\n"
    );
    for (_, feed) in providers::feeds() {
        text.push_str(&format!("[feeds.{}]\nschedule = \"0 3 1 1 *\"\npaused = true\n", feed.id));
    }
    let config = folder.join("year.toml");
    std::fs::write(&config, text).unwrap();
    let service = Command::new(env!("CARGO_BIN_EXE_banggia"))
        .args(["serve", "--config"])
        .arg(config)
        // Over a server it keeps a copy of its board where it works.
        .current_dir(folder)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the service starts");
        std::thread::sleep(Duration::from_millis(20));
    }
    service
}

/// One request after the other on one connection, fastest first.
fn over_http(address: SocketAddr, path: &str, coding: &str) -> Vec<Duration> {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_ref().set_nodelay(true).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n\r\n");
    let mut took = Vec::new();
    for turn in 0..ASKED + 10 {
        let begun = Instant::now();
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0);
            assert!(!line.starts_with("HTTP/1.1") || line.starts_with("HTTP/1.1 200"), "{line}");
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        if turn >= 10 {
            took.push(begun.elapsed());
        }
    }
    took.sort_unstable();
    took
}

/// Resident memory in kB before and at most, and bytes of the year as CSV.
fn streamed(service: &Child, address: SocketAddr) -> (u64, u64, usize) {
    let memory = |which: &str| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(which)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let all = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let (mut bytes, mut buffer) = (0, vec![0; 1 << 16]);
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => return bytes,
                read => bytes += read,
            }
        }
    };
    // The first page takes what every page takes.
    all("/v1/history/fx.csv?from=2026-09-01");
    let before = memory("VmRSS");
    // proc(5): 5 resets the peak resident set size.
    std::fs::write(format!("/proc/{}/clear_refs", service.id()), "5").unwrap();
    let bytes = all("/v1/history/fx.csv");
    (before, memory("VmHWM"), bytes)
}
