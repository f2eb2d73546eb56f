//! A house in which every feed has exactly one source, so that after three of them each of the eleven sources has been
//! the one that is served; and what every fault has to leave as it was.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc};

use banggia::{
    clock::Clock,
    config,
    fetch::{Exchange, Fetcher, Live, Outcome, Seen, Target},
    refresh::RunEnd,
};
use providers::{Ask, Feed, Request, Secrets, Source};
use serde_json::Value;
use url::Url;

use crate::{
    bank::{Bank, Reply},
    faults::envelope,
    house::{House, path, recorded, source},
};

/// The source of each feed in each of three houses.
const CAST: &[(&str, [&str; 3])] = &[
    ("doji.gold", ["board", "xml", "vangtoday"]),
    ("tpbank.gold", ["chart", "chart", "chart"]),
    ("bidv.fx", ["board", "board", "board"]),
    ("vietcombank.fx", ["json", "xml", "json"]),
    ("bidv.deposit", ["rates", "rates", "rates"]),
    ("ocb.deposit", ["widget", "table", "cafef"]),
];

/// Which of them meet the fault; the others have a good day and must not notice.
const STRUCK: [&[&str]; 3] = [
    &["doji.gold", "bidv.fx", "vietcombank.fx", "bidv.deposit", "ocb.deposit"],
    &["doji.gold", "tpbank.gold", "vietcombank.fx", "ocb.deposit"],
    &["doji.gold", "ocb.deposit"],
];

/// Keys of these tests; no key of DOJI's.
const KEY: [u8; 32] = [0x5a; 32];
const IV: [u8; 16] = [0xa5; 16];
pub const API_KEY: &str = "matrix-api-key";

pub fn secrets() -> Secrets {
    let hex = KEY.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Secrets::new([("doji_board_key".to_owned(), hex), ("doji_api_key".to_owned(), API_KEY.to_owned())])
}

/// All eleven sources.
pub fn sources() -> impl Iterator<Item = (&'static Feed, &'static Source)> {
    providers::feeds().flat_map(|(_, feed)| feed.sources.iter().map(move |source| (feed, source)))
}

/// A good answer of a source, as it comes over the wire.
pub fn good(feed: &str, source: &str) -> Vec<u8> {
    match (feed, source) {
        ("doji.gold", "board") => {
            envelope(include_bytes!("../../../providers/fixtures/doji/gold.board.2026-08-31.json"), &KEY, &IV)
        }
        ("doji.gold", "xml") => {
            include_bytes!("../../../providers/fixtures/doji/gold.xml.2024-12-16.xml").to_vec()
        }
        ("vietcombank.fx", "xml") => {
            include_bytes!("../../../providers/fixtures/vietcombank/fx.xml.2026-09-02.xml").to_vec()
        }
        ("ocb.deposit", "table") => {
            include_bytes!("../../../providers/fixtures/ocb/deposit.table.2026-08-11.html").to_vec()
        }
        ("bidv.fx", "board") => recorded(feed, source, 0, Some("board")),
        _ => recorded(feed, source, 0, None),
    }
}

/// Which of the eleven a source is.
pub fn place(feed: &str, id: &str) -> usize {
    sources().position(|(of, source)| of.id == feed && source.id == id).unwrap()
}

/// Where a source is asked: its own address of the bank.
pub fn at(bank: &Bank, feed: &str, id: &str) -> String {
    format!("http://127.0.0.{}:{}{}", place(feed, id) + 1, bank.address.port(), path(feed, id))
}

/// All paths of a source.
pub fn paths(feed: &str, id: &str) -> Vec<String> {
    let mut paths = vec![path(feed, id)];
    if feed == "bidv.fx" {
        paths.push("/bidv.fx/ExchangeDetailServlet".to_owned());
    }
    paths
}

/// Lets every source answer well.
pub fn good_day(bank: &Bank) {
    for (feed, source) in sources() {
        bank.script(&path(feed.id, source.id), [Reply::ok(good(feed.id, source.id))]);
    }
    bank.script(&path("bidv.fx", "board"), [Reply::ok(recorded("bidv.fx", "board", 0, Some("boards")))]);
    bank.script("/bidv.fx/ExchangeDetailServlet", [Reply::ok(good("bidv.fx", "board"))]);
}

type Answering = dyn Fn(&[u8]) -> Reply + Send + Sync;
type Moving = dyn Fn(&str, &str) -> String + Send + Sync;

/// What a fault is done with.
#[derive(Clone)]
pub enum How {
    /// The bank answers so, made from the good answer.
    Answers(Arc<Answering>),
    /// The source is somewhere else: this address, and further settings of it.
    Moves(Arc<Moving>),
}

/// One fault and its class.
#[derive(Clone)]
pub struct Fault {
    pub name: String,
    pub how: How,
    /// Any of these.
    pub wanted: &'static [&'static str],
    pub timeout: &'static str,
    /// Seconds until the next try.
    pub wait: std::ops::RangeInclusive<i64>,
    /// Whether one way of asking is tried once, or also again.
    pub tries: usize,
}

impl Fault {
    pub fn new(name: impl Into<String>, reply: Reply, wanted: &'static [&'static str]) -> Self {
        Self::made(name, move |_| reply.clone(), wanted)
    }

    pub fn made(
        name: impl Into<String>,
        reply: impl Fn(&[u8]) -> Reply + Send + Sync + 'static,
        wanted: &'static [&'static str],
    ) -> Self {
        let how = How::Answers(Arc::new(reply));
        Self { name: name.into(), how, wanted, timeout: "5s", wait: 28..=35, tries: 1 }
    }

    pub fn moved(
        name: impl Into<String>,
        settings: impl Fn(&str, &str) -> String + Send + Sync + 'static,
        wanted: &'static [&'static str],
    ) -> Self {
        Self { how: How::Moves(Arc::new(settings)), ..Self::new(name, Reply::status(404), wanted) }
    }
}

fn config_text(bank: &Bank, store: &Path, nth: usize, fault: &Fault, moved: bool) -> String {
    // Only who is stopped and started again needs the disk.
    let store = match fault.how {
        How::Moves(_) => store.display().to_string(),
        How::Answers(_) => ":memory:".to_owned(),
    };
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:{store}\"\n[secrets]\n",
    );
    for name in Secrets::NAMES {
        writeln!(text, "{name} = \"{}\"", secrets().get(name).unwrap()).unwrap();
    }
    for (feed, source) in sources() {
        let cast = CAST.iter().find(|(id, _)| *id == feed.id).unwrap().1;
        if source.id == feed.sources[0].id {
            write!(
                text,
                "[feeds.{}]\nschedule = \"0 3 1 1 *\"\njitter = \"0s\"\ntimeout = \"{}\"\n",
                feed.id, fault.timeout
            )
            .unwrap();
        }
        let struck = moved && STRUCK[nth].contains(&feed.id);
        let settings = match &fault.how {
            How::Moves(settings) if struck => settings(feed.id, source.id),
            _ => format!("url = \"{}\"\nallow_private = true", at(bank, feed.id, source.id)),
        };
        let enabled = cast[nth] == source.id;
        writeln!(text, "[feeds.{}.sources.{}]\nenabled = {enabled}\n{settings}", feed.id, source.id).unwrap();
    }
    text
}

/// What readers see, feed by feed.
async fn seen(house: &House) -> (BTreeMap<String, Vec<Value>>, String) {
    let mut quotes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for document in ["/v1/gold", "/v1/fx", "/v1/deposits"] {
        for quote in house.json(document).await["quotes"].as_array().unwrap() {
            quotes.entry(quote["feed"].as_str().unwrap().to_owned()).or_default().push(quote.clone());
        }
    }
    let mut widgets = String::new();
    for widget in ["panel", "ticker"] {
        let response = house.get(&format!("/widgets/{widget}")).await;
        assert_eq!(response.status(), 200);
        let page = response.text().await.unwrap();
        let oembed = house.get(&format!("/oembed?url=http://127.0.0.1:8080/widgets/{widget}")).await;
        let oembed: Value = serde_json::from_str(&oembed.text().await.unwrap()).unwrap();
        let count = |what: &str| page.matches(what).count();
        let _ = write!(
            widgets,
            "{widget}: height {}, {} rows, {} cells, {} items; ",
            oembed["height"],
            count("<tr"),
            count("<td"),
            count("<li")
        );
    }
    (quotes, widgets)
}

fn instant(value: &Value) -> i64 {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no time"))
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_second()
}

/// One house, one fault: what is served stays byte for byte, the failure has its class, its time and its back-off,
/// and nobody else notices.
pub async fn keep(nth: usize, fault: Fault) {
    let name = &fault.name;
    let started = std::time::Instant::now();
    let mark = |what: &str| {
        if super::full() {
            println!("{name} {nth} {what} {:.1?}", started.elapsed());
        }
    };
    let bank = Bank::open_wide().await;
    good_day(&bank);
    let house = House::of(bank, |bank, store| config_text(bank, store, nth, &fault, false)).await;
    house.settled().await;
    mark("settled");
    let house = match &fault.how {
        How::Moves(_) => house.restart_with(|bank, store| config_text(bank, store, nth, &fault, true)).await,
        How::Answers(reply) => {
            for (feed, cast) in CAST {
                let id = cast[nth];
                let reply = reply(&good(feed, id));
                for path in STRUCK[nth].contains(feed).then(|| paths(feed, id)).into_iter().flatten() {
                    house.bank.script(&path, [reply.clone()]);
                }
            }
            house
        }
    };
    let feeds = house.json("/v1/feeds").await;
    let (before, height) = seen(&house).await;
    assert_eq!(before.len(), 6, "{name}: every feed is served before: {:?}\n{feeds:#}", before.keys());
    let hits = house.bank.all_hits();
    mark("seen");

    let ends = CAST.iter().map(|(feed, _)| house.refresh(feed));
    let ends = futures_util::future::join_all(ends).await;

    mark("refreshed");
    let (after, height_after) = seen(&house).await;
    assert_eq!(height_after, height, "{name}: the height of widgets");
    let metrics = house.metrics().await;
    for ((feed, cast), end) in CAST.iter().zip(ends) {
        let id = cast[nth];
        let now = house.feed(feed).await;
        let was = feeds["feeds"].as_array().unwrap().iter().find(|known| known["id"] == *feed).unwrap();
        let (now_source, was_source) = (source(&now, id), source(was, id));
        assert_eq!(now["status"], "fresh", "{name} {feed}");
        if !STRUCK[nth].contains(feed) {
            assert_eq!(end, RunEnd::Good, "{name}: {feed} has nothing to do with it");
            assert_eq!(after[*feed].len(), before[*feed].len(), "{name}: {feed}");
            assert!(now["reason"].is_null(), "{name}: {feed} {}", now["reason"]);
            continue;
        }
        assert!(matches!(&end, RunEnd::Failed(codes) if codes.len() == 1), "{name} {feed}.{id}: {end:?}");
        assert_eq!(after[*feed], before[*feed], "{name}: what {feed}.{id} serves");
        let class = now_source["last_outcome"].as_str().unwrap();
        assert!(
            fault.wanted.contains(&class),
            "{name} {feed}.{id}: {class} and not {:?}: {}",
            fault.wanted,
            now_source["reason"]
        );
        assert_eq!(now_source["state"], "failing", "{name} {feed}.{id}");
        assert_eq!(now["reason"]["code"], class, "{name} {feed}.{id}");
        assert!(now["reason"]["message"].as_str().unwrap().len() > 10, "{name} {feed}.{id}");
        assert!(!now.to_string().contains(API_KEY), "{name} {feed}.{id}");
        assert_eq!(now["checked_at"], was["checked_at"], "{name} {feed}.{id}: a failure is no check");
        assert!(instant(&now_source["last_attempt_at"]) >= instant(&was_source["last_attempt_at"]), "{name}");
        let wait = instant(&now["next_refresh_at"]) - instant(&now_source["last_attempt_at"]);
        assert!(fault.wait.contains(&wait), "{name} {feed}.{id}: next try after {wait} s");
        let counted = format!("banggia_fetch_total{{feed=\"{feed}\",source=\"{id}\",outcome=\"{class}\"}} 1");
        assert!(metrics.lines().any(|line| line == counted), "{name}: {counted}\n{metrics}");
    }
    if matches!(fault.how, How::Answers(_)) {
        // BIDV has two ways of being asked; those who have nothing to do with it ask as ever.
        let most = (STRUCK[nth].len() + 2) * fault.tries + 8;
        let asked = house.bank.all_hits() - hits;
        assert!(asked <= most, "{name}: {asked} requests, at most {most}");
    }
    mark("checked");
    house.app.stop().await;
    mark("stopped");
}

/// All faults of a row through all three houses, a few at a time; everything that is wrong is said.
pub async fn row(id: &str, faults: Vec<Fault>) {
    let started = std::time::Instant::now();
    let gate = Arc::new(tokio::sync::Semaphore::new(12));
    let mut cases = tokio::task::JoinSet::new();
    let count = faults.len();
    for (at, fault) in faults.into_iter().enumerate() {
        for nth in 0..STRUCK.len() {
            // Every fault meets every source; the sources that stand in less often when there are many.
            if nth > 0 && count > 4 && at % 4 != 0 && !super::full() {
                continue;
            }
            let (gate, fault) = (Arc::clone(&gate), fault.clone());
            cases.spawn(async move {
                let _permit = gate.acquire().await.unwrap();
                keep(nth, fault).await;
            });
        }
    }
    let houses = cases.len();
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
    println!("{id}: {count} faults, {houses} houses, {:.1?}", started.elapsed());
}

/// One exchange without a service around it.
pub struct Asker(pub Fetcher);

impl Asker {
    pub fn new() -> Self {
        Self(Fetcher::Live(Live::new(&crate::house::config("").fetch, Clock::system())))
    }

    /// Every way in which a source is asked, once each and without a second try.
    pub async fn ask(
        &self,
        (feed, source): (&'static Feed, &'static Source),
        config: &config::Source,
        timeout: std::time::Duration,
    ) -> Vec<Result<Exchange, Outcome>> {
        let ask = Ask { now: Clock::system().now(), base: &config.url, secrets: &secrets() };
        let mut results = Vec::new();
        for request in (source.requests)(&ask) {
            results.push(self.one((feed, source), config, timeout, &request).await);
        }
        results
    }

    pub async fn one(
        &self,
        (feed, source): (&'static Feed, &'static Source),
        config: &config::Source,
        timeout: std::time::Duration,
        request: &Request,
    ) -> Result<Exchange, Outcome> {
        let target = Target {
            feed: feed.id,
            source: source.id,
            config,
            timeout,
            run: 0,
            retry: false,
            seen: &Seen::default(),
        };
        self.0.fetch(target, request, None).await
    }
}

/// Settings of a source at an address.
pub fn settings(url: &str, allow_private: bool) -> config::Source {
    config::Source {
        enabled: true,
        url: Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}")),
        headers: BTreeMap::new(),
        ca_file: None,
        allow_private,
    }
}
