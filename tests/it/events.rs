//! The stream of events, by a client of the tests' own over a plain socket: what is told, to whom, from where on; how many
//! may listen, and what becomes of those who do not read.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use banggia::{
    clock::Clock,
    events::{Numbered, What},
    fetch::Outcome,
    live::{Live, Lost},
    store::{Nature, OF_A_KIND, Store},
};
use providers::Kind;
use rust_decimal::dec;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    canary::{search, tempdir},
    holds::scaled,
    house::{client, find},
    postgres::Postgres,
    service::{Service, until, write_config},
    world::{Simulation, at},
};

const DAY: &str = "2026-09-30T09:00:00+07:00";
const FEED: &str = "tpbank.gold";
/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a block of a stream says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    pub id: Option<i64>,
    pub event: Option<String>,
    pub data: Value,
    pub retry: Option<u64>,
    pub comment: bool,
}

/// A reader of `/v1/events`.
pub struct Listener {
    pub status: u16,
    pub head: String,
    socket: TcpStream,
    raw: Vec<u8>,
    text: String,
    chunked: bool,
    /// The last chunk was read.
    pub ended: bool,
}

impl Listener {
    pub async fn open(address: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Self {
        let headers: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        Self::say(address, &format!("GET /v1/events{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")).await
    }

    /// Opens a stream and reads what it begins with.
    async fn greeted(address: SocketAddr, query: &str, headers: &[(&str, &str)]) -> (Self, Block) {
        let mut listener = Self::open(address, query, headers).await;
        assert_eq!(listener.status, 200, "{}", listener.head);
        let first = listener.next().await.unwrap();
        (listener, first)
    }

    pub async fn say(address: SocketAddr, request: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        Self::answered(socket).await
    }

    async fn answered(mut socket: TcpStream) -> Self {
        let mut raw = Vec::new();
        let end = loop {
            if let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let read = timeout(PATIENCE, socket.read_buf(&mut raw)).await.expect("no answer").unwrap();
            assert!(read > 0, "closed: {}", String::from_utf8_lossy(&raw));
        };
        let head = String::from_utf8(raw.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let chunked = head.contains("transfer-encoding: chunked");
        Self { status, head, socket, raw, text: String::new(), chunked, ended: false }
    }

    /// The next block; `None`: the stream is over.
    pub async fn next(&mut self) -> Option<Block> {
        loop {
            self.unpack();
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                search("/v1/events", block.as_bytes());
                self.text = rest;
                return Some(read(&block));
            }
            if self.ended || !self.more().await {
                return None;
            }
        }
    }

    /// Reads on; whether there was anything.
    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.raw)).await.expect("nothing came");
        read.is_ok_and(|read| read > 0)
    }

    fn unpack(&mut self) {
        if !self.chunked {
            self.text.push_str(&String::from_utf8(std::mem::take(&mut self.raw)).unwrap());
            return;
        }
        while let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") {
            let length = std::str::from_utf8(&self.raw[..line]).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            let (from, to) = (line + 2, line + 2 + length);
            if self.raw.len() < to + 2 {
                return;
            }
            self.text.push_str(std::str::from_utf8(&self.raw[from..to]).unwrap());
            assert_eq!(&self.raw[to..to + 2], b"\r\n");
            self.raw.drain(..to + 2);
            self.ended = length == 0;
        }
    }

    /// The next event, whatever signs of life come before it.
    pub async fn event(&mut self) -> Block {
        loop {
            let block = self.next().await.expect("the stream is over");
            if block.event.is_some() {
                return block;
            }
        }
    }

    /// All of an answer that is no stream.
    async fn body(mut self) -> String {
        let length = self.head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        while self.raw.len() < length && self.more().await {}
        String::from_utf8(self.raw).unwrap()
    }
}

fn read(block: &str) -> Block {
    let mut read = Block::default();
    for line in block.lines() {
        match line.split_once(':').unwrap() {
            ("", _) => read.comment = true,
            ("id", id) => read.id = Some(id.trim().parse().unwrap()),
            ("event", event) => read.event = Some(event.trim().to_owned()),
            ("retry", retry) => read.retry = Some(retry.trim().parse().unwrap()),
            ("data", data) => read.data = serde_json::from_str(data).unwrap(),
            other => panic!("{other:?} in {block}"),
        }
    }
    read
}

/// The feed's recording times a factor, so that every price differs.
fn moves(house: &Simulation, factor: rust_decimal::Decimal) {
    house.world.says(FEED, "chart", scaled(FEED, "chart", factor));
}

/// A house whose feed has been read once.
async fn settled(more: &str) -> Simulation {
    let house = Simulation::at(DAY, more).await;
    house.refresh(FEED).await;
    house
}

/// Prices move; the event that tells of it.
async fn moved(house: &Simulation, listener: &mut Listener, factor: rust_decimal::Decimal) -> Block {
    moves(house, factor);
    house.refresh(FEED).await;
    listener.event().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_at_once_with_the_quote_as_the_documents_have_it() {
    let house = settled("").await;
    let (mut listener, first) = Listener::greeted(house.app.public, "", &[]).await;
    let retry = first.retry.unwrap();
    assert!((4000..=6000).contains(&retry), "{retry}");
    for header in [
        "content-type: text/event-stream",
        "cache-control: no-store",
        "x-accel-buffering: no",
        "access-control-allow-origin: *",
        "x-content-type-options: nosniff",
        "transfer-encoding: chunked",
        "date: ",
    ] {
        assert_eq!(listener.head.matches(header).count(), 1, "{header}: {}", listener.head);
    }
    for absent in ["etag", "content-encoding", "content-length"] {
        assert!(!listener.head.contains(absent), "{absent}: {}", listener.head);
    }

    let event = moved(&house, &mut listener, dec!(1.01)).await;
    assert_eq!(event.event.as_deref(), Some("quote.changed"));
    let id = event.data["id"].as_str().unwrap();
    let document = house.json("/v1/gold").await;
    assert_eq!(event.data["quote"], find(&document, id).unwrap());
    assert_eq!(event.data["at"], event.data["quote"]["changed_at"]);
    assert!(event.id > first.id);
    assert_eq!(event.id.unwrap() / 1024, document["version"].as_i64().unwrap(), "numbers are the publish's");

    // The same figures again are no news; a feed that is no longer read is.
    house.refresh(FEED).await;
    house.world.fails(FEED, "chart", || Outcome::Timeout(Duration::from_secs(20)));
    house.move_to(at("2026-09-30T12:00:00+07:00")).await;
    let stale = listener.event().await;
    assert_eq!((stale.event.as_deref(), &stale.data["id"]), (Some("feed.stale"), &FEED.into()));
    assert_eq!(stale.data["feed"]["status"], "stale");
    moves(&house, dec!(1.01));
    house.refresh(FEED).await;
    assert_eq!(listener.event().await.event.as_deref(), Some("feed.recovered"));
    // More than is believed at once.
    moves(&house, dec!(1.2));
    house.refresh(FEED).await;
    let held = listener.event().await;
    assert_eq!(held.event.as_deref(), Some("quote.held"));
    assert_ne!(held.data["candidate"], held.data["serving"]);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_is_told_of_what_it_asked_for_and_of_nothing_else() {
    let house = settled("").await;
    for (_, feed) in providers::feeds().filter(|(_, feed)| feed.id != FEED) {
        house.refresh(feed.id).await;
    }
    let id = house.json("/v1/gold?providers=tpbank").await["quotes"][0]["id"].as_str().unwrap().to_owned();
    let by_id = format!("?ids={id}");
    let told = [
        "",
        "?types=quote.changed",
        "?kinds=gold",
        "?feeds=tpbank.gold",
        &by_id,
        "?kinds=gold,fx&feeds=TPBANK.gold,bidv.fx&types=Quote.Changed,feed.stale",
    ];
    let not_told = [
        "?types=feed.stale",
        "?kinds=fx,deposit",
        "?feeds=doji.gold",
        "?ids=tpbank.gold.other",
        "?kinds=fx&feeds=tpbank.gold",
    ];
    let mut listeners = BTreeMap::new();
    for query in told.iter().chain(&not_told) {
        listeners.insert(query.to_string(), Listener::greeted(house.app.public, query, &[]).await.0);
    }
    moves(&house, dec!(1.01));
    house.refresh(FEED).await;
    for query in told {
        let event = listeners.get_mut(query).unwrap().event().await;
        assert_eq!(event.data["id"], id.as_str(), "{query}");
    }
    // The next block of the others is the sign of life that comes after it.
    for _ in 0..20 {
        house.app.site().live.tick();
    }
    for query in not_told {
        let next = listeners.get_mut(query).unwrap().next().await.unwrap();
        assert!(next.comment && next.event.is_none(), "{query}: {next:?}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_for_is_refused_by_name() {
    let house = settled("").await;
    for (query, parameter, allowed) in [
        ("?types=quote.gone", "types", "quote.changed"),
        ("?types=", "types", "feed.stale"),
        ("?kinds=silver", "kinds", "deposit"),
        ("?feeds=acb.fx", "feeds", "bidv.fx"),
        ("?ids=acb.fx.USD", "ids", "bidv.fx"),
        ("?ids=bidv.fx.%3Cb%3E", "ids", "bidv.fx"),
        ("?last_event_id=abc", "last_event_id", "decimal"),
        ("?last_event_id=-1", "last_event_id", "decimal"),
        ("?live=1", "live", "types"),
    ] {
        let answer = Listener::open(house.app.public, query, &[]).await;
        assert_eq!(answer.status, 422, "{query}");
        assert!(answer.head.contains("content-type: application/problem+json"), "{query}");
        let problem: Value = serde_json::from_str(&answer.body().await).unwrap();
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}");
        assert!(problem["errors"][0]["allowed"].to_string().contains(allowed), "{query}: {problem}");
    }
    for (header, value) in [("accept", "application/json"), ("accept-encoding", "gzip, identity;q=0")] {
        assert_eq!(Listener::open(house.app.public, "", &[(header, value)]).await.status, 406, "{header}");
    }
    let many = format!("?ids={}", vec!["bidv.fx.USD"; 51].join(","));
    assert_eq!(Listener::open(house.app.public, &many, &[]).await.status, 422);
    let post = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(Listener::say(house.app.public, post).await.status, 405);
    // What is only looked at takes no place, and the connection can be used on.
    let mut head = Listener::say(house.app.public, "HEAD /v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(head.status, 200);
    assert!(head.head.contains("content-type: text/event-stream"));
    head.socket.write_all(b"GET /v1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(Listener::answered(head.socket).await.status, 200);
    assert_eq!(streams(&house).await, 0);
    house.app.stop().await;
}

/// A number of `/metrics`.
async fn counted(house: &Simulation, series: &str) -> u64 {
    let text = client().get(format!("http://{}/metrics", house.app.ops)).send().await.unwrap();
    let text = text.text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("banggia_{series} ")));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

async fn streams(house: &Simulation) -> u64 {
    counted(house, "event_streams").await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_told_everything_since_once_and_in_order_also_after_a_restart() {
    let folder = tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("banggia.db").display());
    let house = Simulation::on(&url, DAY, "").await;
    moves(&house, dec!(1));
    house.refresh(FEED).await;
    let (mut listener, first) = Listener::greeted(house.app.public, "", &[]).await;
    let mut told = Vec::new();
    for factor in [dec!(1.01), dec!(1.02), dec!(1.03)] {
        told.push(moved(&house, &mut listener, factor).await);
    }
    assert!(told.is_sorted_by(|a, b| a.id < b.id), "{told:?}");

    // From each event on, by the header as browsers send it and by hand; from before the first by what it began with.
    let ids: Vec<String> = std::iter::once(first.id)
        .chain(told.iter().map(|event| event.id))
        .map(|id| id.unwrap().to_string())
        .collect();
    let resumes = async |house: &Simulation| {
        for (at, id) in ids.iter().enumerate() {
            let by_hand = format!("?last_event_id={id}");
            for (query, headers) in [("", vec![("last-event-id", id.as_str())]), (by_hand.as_str(), vec![])] {
                let (mut again, _) = Listener::greeted(house.app.public, query, &headers).await;
                for event in &told[at..] {
                    assert_eq!(again.event().await, *event, "after {id}");
                }
            }
            // The browser repeats the address as it was, and the header is newer.
            let (mut again, begun) = Listener::greeted(
                house.app.public,
                &format!("?last_event_id={}", ids[0]),
                &[("last-event-id", id)],
            )
            .await;
            assert_eq!(begun.id.unwrap().to_string(), *id);
            if let Some(next) = told.get(at) {
                assert_eq!(again.event().await, *next, "after {id}");
            }
        }
    };
    resumes(&house).await;
    house.app.stop().await;
    assert_eq!(listener.next().await, None);

    let house = Simulation::on(&url, "2026-09-30T09:10:00+07:00", "").await;
    resumes(&house).await;
    // What is read back and what happens meanwhile join without a gap.
    let (mut again, _) = Listener::greeted(house.app.public, "", &[("last-event-id", &ids[1])]).await;
    moves(&house, dec!(1.04));
    house.refresh(FEED).await;
    let mut all: Vec<Block> = Vec::new();
    while all.len() < 3 {
        all.push(again.event().await);
    }
    assert_eq!(all[..2], told[1..]);
    assert!(all[2].id > told[2].id);
    assert_eq!(all[2].data["quote"]["changed_at"], "2026-09-30T09:10:00+07:00");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_have_missed_something_is_told_to_read_the_documents_anew() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("banggia.db");
    let url = format!("sqlite:{}", file.display());
    let house = Simulation::on(&url, DAY, "").await;
    moves(&house, dec!(1));
    house.refresh(FEED).await;
    let (mut listener, _) = Listener::greeted(house.app.public, "", &[]).await;
    let event = moved(&house, &mut listener, dec!(1.01)).await;
    let newest = event.id.unwrap();
    // An event that never was, and one that is no number of ours.
    for odd in [(newest + 1).to_string(), "msg_x".to_owned()] {
        let (mut again, reset) =
            Listener::greeted(house.app.public, "?kinds=gold", &[("last-event-id", &odd)]).await;
        assert_eq!(
            (reset.event.as_deref(), reset.id),
            (Some("reset"), Some(house.app.site().live.newest())),
            "{odd}"
        );
        assert_eq!(reset.data["reason"], "unknown_id", "{odd}");
        assert_eq!(reset.data["documents"], serde_json::json!(["/v1/gold", "/v1/feeds"]));
        // From there on nothing is missed.
        let factor = if odd.starts_with('m') { dec!(1.02) } else { dec!(1.03) };
        assert_eq!(moved(&house, &mut again, factor).await.event.as_deref(), Some("quote.changed"));
    }
    house.app.stop().await;

    // The first of them was let go meanwhile.
    let store = Store::look(&url).await.unwrap().unwrap();
    let kept = store.events_until(i64::MAX, &[], None, 100).await.unwrap();
    assert_eq!(kept.iter().filter(|kept| kept.seq > newest).count(), 2);
    store.close().await;
    forget(&file, newest);
    let house = Simulation::on(&url, DAY, "").await;
    let (_, reset) = Listener::greeted(house.app.public, "", &[("last-event-id", &newest.to_string())]).await;
    assert_eq!((reset.event.as_deref(), &reset.data["reason"]), (Some("reset"), &"too_old".into()));
    assert_eq!(
        reset.data["documents"],
        serde_json::json!(["/v1/gold", "/v1/fx", "/v1/deposits", "/v1/feeds"])
    );
    house.app.stop().await;
}

/// Events up to this one are no longer kept.
fn forget(file: &Path, until: i64) {
    let text = format!("DELETE FROM event WHERE seq <= {until}");
    let done = std::process::Command::new("sqlite3").arg(file).arg(text).status();
    if !done.is_ok_and(|done| done.success()) {
        crate::service::missing("sqlite3");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_gives_a_sign_of_life_every_twenty_seconds_and_ends_cleanly_within_the_hour() {
    let house = settled("").await;
    let mut listeners = Vec::new();
    for _ in 0..20 {
        listeners.push(Listener::greeted(house.app.public, "", &[]).await.0);
    }
    let live = &house.app.site().live;
    for _ in 0..20 {
        live.tick();
    }
    for listener in &mut listeners {
        assert!(listener.next().await.unwrap().comment);
    }
    // An hour passes.
    for _ in 0..3600 {
        live.tick();
    }
    for listener in &mut listeners {
        while let Some(block) = listener.next().await {
            assert!(block.comment, "{block:?}");
        }
        assert!(listener.ended, "the end is no accident");
    }
    until("all places are given back", async || streams(&house).await == 0).await;
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_every_stream_cleanly_and_waits_for_none() {
    let house = settled("").await;
    let mut listeners = Vec::new();
    for _ in 0..20 {
        listeners.push(Listener::greeted(house.app.public, "", &[]).await.0);
    }
    let begun = std::time::Instant::now();
    house.app.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for listener in &mut listeners {
        assert_eq!(listener.next().await, None);
        assert!(listener.ended);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_speaks_http_1_0_gets_the_events_without_chunks() {
    let house = settled("").await;
    let mut old = Listener::say(house.app.public, "GET /v1/events HTTP/1.0\r\n\r\n").await;
    assert!(old.head.starts_with("HTTP/1.0 200 OK\r\n"), "{}", old.head);
    assert!(!old.head.contains("chunked"));
    assert!(old.next().await.unwrap().retry.is_some());
    let (mut new, _) = Listener::greeted(house.app.public, "", &[]).await;
    let event = moved(&house, &mut new, dec!(1.01)).await;
    assert_eq!(old.event().await, event);
    house.app.stop().await;
    assert_eq!(old.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_follows_other_answers_on_its_connection_comes_after_them() {
    let house = settled("").await;
    let both = "GET /v1 HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n";
    let first = Listener::say(house.app.public, both).await;
    let length = first.head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length: usize = length.parse().unwrap();
    let (mut socket, mut raw) = (first.socket, first.raw);
    while !raw[length.min(raw.len())..].windows(4).any(|four| four == b"\r\n\r\n") {
        assert!(socket.read_buf(&mut raw).await.unwrap() > 0);
    }
    assert!(raw[length..].starts_with(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a13_streams_are_capped_in_all_and_for_each_client_and_the_caps_can_be_changed() {
    let server = "event_streams = 5\nevent_streams_per_client = 2\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let folder = tempdir().unwrap();
    let config = |server: &str| {
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n{server}[store]\nurl = \"sqlite::memory:\"\n"
        )
    };
    let file = write_config(folder.path(), "banggia.toml", &config(server));
    let house = Simulation::of_file(&file, DAY).await;
    let open =
        async |client: &str| Listener::open(house.app.public, "", &[("x-forwarded-for", client)]).await;
    let refused = async |client: &str, why: &str| {
        let answer = open(client).await;
        assert_eq!(answer.status, 503, "{client}");
        assert!(answer.head.contains("retry-after: 60\r\n"), "{}", answer.head);
        assert!(answer.head.contains("content-type: application/problem+json"));
        let problem: Value = serde_json::from_str(&answer.body().await).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
    };
    let mut all = Vec::new();
    for client in ["203.0.113.7", "203.0.113.7", "2001:db8:1:2::7", "2001:db8:1:2::8"] {
        let listener = open(client).await;
        assert_eq!(listener.status, 200, "{client}");
        all.push(listener);
    }
    refused("203.0.113.7", "this client has 2 streams").await;
    refused("2001:db8:1:2:3:4:5:6", "this client has 2 streams").await;
    all.push(open("203.0.113.8").await);
    refused("203.0.113.9", "all 5 streams are taken").await;
    assert_eq!(streams(&house).await, 5);
    // Whoever goes makes room.
    drop(all.pop());
    until("a place is given back", async || streams(&house).await == 4).await;
    all.push(open("203.0.113.9").await);
    assert_eq!(all.last().unwrap().status, 200);

    // Other documents are answered all the while.
    assert_eq!(
        client().get(format!("http://{}/v1/gold", house.app.public)).send().await.unwrap().status(),
        200
    );

    std::fs::write(&file, config(&server.replace("= 5", "= 6"))).unwrap();
    house.app.control().reload(banggia::control::Via::Signal).await.unwrap();
    all.push(open("203.0.113.10").await);
    assert_eq!(all.last().unwrap().status, 200);
    refused("203.0.113.11", "all 6 streams").await;

    std::fs::write(&file, config(&server.replace("= 5", "= 0"))).unwrap();
    house.app.control().reload(banggia::control::Via::Signal).await.unwrap();
    for mut listener in all {
        while listener.next().await.is_some() {}
        assert!(listener.ended);
    }
    let off = open("203.0.113.12").await;
    assert_eq!(off.status, 404);
    assert!(off.body().await.contains("server.event_streams is 0"));
    house.app.stop().await;
}

/// A reader that asks and never reads, over a socket with as little room as there may be.
async fn deaf(address: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a13_a_reader_that_does_not_read_is_let_go_and_costs_the_others_nothing() {
    let house = settled("").await;
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    let live = &house.app.site().live;
    let deaf_one = deaf(house.app.public).await;
    let (mut good, _) = Listener::greeted(house.app.public, "", &[]).await;
    until("both listen", async || streams(&house).await == 2).await;
    // Prices go up and down by little; each time a feed's board is told as so many events.
    let mut told = 0;
    for round in 0..200 {
        if counted(&house, "event_readers_dropped_total").await == 1 {
            break;
        }
        let factor = if round % 2 == 0 { dec!(1.001) } else { dec!(1) };
        house.world.says("vietcombank.fx", "json", scaled("vietcombank.fx", "json", factor));
        house.refresh("vietcombank.fx").await;
        let newest = live.newest();
        loop {
            told += 1;
            if good.event().await.id == Some(newest) {
                break;
            }
        }
    }
    assert!(told > 1024, "{told} events");
    assert_eq!(counted(&house, "event_readers_dropped_total").await, 1);
    until("its place is given back", async || streams(&house).await == 1).await;
    drop(deaf_one);

    // Nor does one stay that takes nothing of less than the ring holds.
    let _deaf_one = deaf(house.app.public).await;
    until("it listens", async || streams(&house).await == 2).await;
    let mut round = 0;
    until("the socket is full", async || {
        for _ in 0..31 {
            live.tick();
        }
        round += 1;
        let factor = if round % 2 == 0 { dec!(1.001) } else { dec!(1) };
        house.world.says("vietcombank.fx", "json", scaled("vietcombank.fx", "json", factor));
        house.refresh("vietcombank.fx").await;
        counted(&house, "event_readers_dropped_total").await == 2
    })
    .await;
    house.app.stop().await;
}

/// Resident memory of a process in kilobytes.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a13_five_thousand_streams_take_less_than_sixty_four_megabytes() {
    const STREAMS: u64 = 5000;
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let room = rlimit::Resource::NOFILE.get_soft().unwrap();
    if room < 2 * 5000 + 9000 {
        crate::service::missing("room for 19,000 open files");
        return;
    }
    let folder = tempdir().unwrap();
    let text = "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\nevent_streams_per_client = 10000\n[store]\nurl = \"sqlite::memory:\"\n";
    let config = write_config(folder.path(), "banggia.toml", text);
    let mut command = crate::service::banggia();
    command.args(["serve", "--replay", "--config"]).arg(config);
    let service = Service::start_with(command);
    service.wait("/v1/feeds", "every feed is read", |feeds| {
        feeds["feeds"].as_array().unwrap().iter().all(|feed| !feed["checked_at"].is_null())
    });
    let before = resident(service.id());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listeners = runtime.block_on(async {
        let mut listeners = Vec::new();
        for _ in 0..STREAMS {
            listeners.push(Listener::greeted(service.public, "", &[]).await.0);
        }
        listeners
    });
    let after = resident(service.id());
    let more = after.saturating_sub(before);
    println!("{STREAMS} streams: {before} kB -> {after} kB, {} bytes a stream", more * 1024 / STREAMS);
    assert!(more <= 64 << 10, "{before} kB -> {after} kB");
    drop(listeners);
}

/// Titles of a feed's entries with their ids.
fn entries(feed: &str) -> Vec<(String, String)> {
    let document = roxmltree::Document::parse(feed).unwrap();
    let text = |node: roxmltree::Node<'_, '_>, name: &str| {
        let child = node.children().find(|child| child.tag_name().name() == name);
        child.unwrap_or_else(|| panic!("no {name}")).text().unwrap().to_owned()
    };
    let root = document.root_element();
    assert_eq!(root.tag_name().namespace(), Some("http://www.w3.org/2005/Atom"));
    // What RFC 4287 asks of a feed and of an entry.
    for name in ["title", "id", "updated", "author"] {
        text_or_child(root, name);
    }
    let entries = root.children().filter(|child| child.tag_name().name() == "entry");
    entries
        .map(|entry| {
            for name in ["title", "id", "updated", "link"] {
                text_or_child(entry, name);
            }
            assert!(text(entry, "updated").parse::<jiff::Timestamp>().is_ok());
            (text(entry, "title"), text(entry, "id"))
        })
        .collect()
}

fn text_or_child(node: roxmltree::Node<'_, '_>, name: &str) {
    assert!(node.children().any(|child| child.tag_name().name() == name), "no {name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_has_every_change_newest_first_under_ids_that_stay() {
    let folder = tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("banggia.db").display());
    let house = Simulation::on(&url, DAY, "").await;
    for (minute, factor) in [("09:00", dec!(1)), ("09:01", dec!(1.01)), ("09:02", dec!(1.005))] {
        house.move_to(at(&format!("2026-09-30T{minute}:00+07:00"))).await;
        moves(&house, factor);
        house.refresh(FEED).await;
    }
    let feed = house.text("/v1/gold.atom").await;
    let told = entries(&feed);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].0.starts_with("Vàng miếng (TPBank): mua ") && told[0].0.contains(" (▼"), "{told:?}");
    assert!(told[1].0.contains(", bán ") && told[1].0.contains(" (▲"), "{told:?}");
    assert!(!told[2].0.contains('('.to_string().repeat(2).as_str()) && !told[2].0.contains('▲'), "{told:?}");
    let ids: std::collections::BTreeSet<&String> = told.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 3);
    let english = entries(&house.text("/v1/gold.atom?lang=en&providers=tpbank").await);
    assert!(english[0].0.starts_with("Bar (TPBank): buy "), "{english:?}");
    assert_eq!(
        english.iter().map(|(_, id)| id).collect::<Vec<_>>(),
        told.iter().map(|(_, id)| id).collect::<Vec<_>>()
    );
    assert_eq!(entries(&house.text("/v1/gold.atom?products=ring-9999").await), []);
    assert_eq!(entries(&house.text("/v1/fx.atom").await), []);
    for query in ["unit=chi", "lang=fr", "live=1", "currencies=USD", "at=2026-09-29", "at=x"] {
        let answer =
            client().get(format!("http://{}/v1/gold.atom?{query}", house.app.public)).send().await.unwrap();
        assert_eq!(answer.status(), 422, "{query}");
    }
    house.app.stop().await;
    let house = Simulation::on(&url, "2026-09-30T09:03:00+07:00", "").await;
    assert_eq!(house.text("/v1/gold.atom").await, feed, "a restart changes nothing");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_let_go_is_old_and_neither_among_the_newest_nor_shown_by_the_feed_of_a_slow_kind() {
    let server = Postgres::start();
    let urls = server.iter().map(|server| server.url(&server.database()));
    for url in urls.chain(["sqlite::memory:".to_owned()]) {
        let store = Arc::new(Store::open(&url, Nature::Live).await.unwrap());
        store.take_lease(Duration::from_mins(5)).await.unwrap();
        let now = Clock::system().now();
        let event = |seq: i64, hours: i64, what, feed| Numbered {
            seq,
            at: now.checked_sub(jiff::SignedDuration::from_hours(hours)).unwrap(),
            what,
            feed,
            subject: format!("{feed}.x"),
            data: "{}".to_owned(),
        };
        // Deposits change some times a year; exchange rates moved a lot and then rested; gold moves now.
        let deposits = (1..=5).map(|n| event(n, 5000, What::Changed, "ocb.deposit"));
        let fx = (1001..=2500).map(|n| event(n, 72, What::Changed, "vietcombank.fx"));
        let other = (3001..=3010).map(|n| event(n, 71, What::Held, "bidv.fx"));
        let gold = (5001..=5900).map(|n| event(n, 1, What::Changed, "doji.gold"));
        store.push_publish(Vec::new(), deposits.chain(fx).chain(other).chain(gold).collect());
        store.flush().await;
        // A reader who has seen the first of all is told everything while everything is there.
        let live = Arc::new(Live::open(&store, tokio_util::task::TaskTracker::new()).await.unwrap());
        let before = store.events_whole_behind(now).await.unwrap();

        store.prune_events(now).await.unwrap();
        let kept = |kind| {
            let store = Arc::clone(&store);
            async move { store.changes_until(i64::MAX, kind).await.unwrap() }
        };
        assert_eq!(kept(Kind::Deposit).await.len(), 5, "{url}: nothing is lost of what is slow");
        let fx = kept(Kind::Fx).await;
        assert_eq!((fx.len(), fx[0].seq), (OF_A_KIND, 2301));
        assert_eq!(kept(Kind::Gold).await.len(), OF_A_KIND);
        let all = store.events_until(i64::MAX, &[], None, 10_000).await.unwrap();
        assert_eq!(all.len(), 5 + OF_A_KIND + 10 + 900, "{url}");
        // The newest thousand are whole: 900 of gold, ten that were held, ninety of exchange rates.
        let whole = store.events_whole_behind(now).await.unwrap();
        assert_eq!((before, whole), (2410, 2410));
        // What is kept for a feed alone does not pass for all that happened.
        for (seen, lost) in
            [(3, Some(Lost::TooOld)), (2350, Some(Lost::TooOld)), (2411, None), (3005, None), (5900, None)]
        {
            let start = live.resume(Some(seen)).await;
            assert_eq!(
                (start.lost, start.cursor),
                (lost, if lost.is_some() { 5900 } else { seen }),
                "{seen}"
            );
        }
        // Whoever has run since, and whoever starts now, have the same at hand.
        let fresh = Live::open(&store, tokio_util::task::TaskTracker::new()).await.unwrap();
        for kind in [Kind::Gold, Kind::Fx, Kind::Deposit] {
            let numbers = |live: &Live| live.recent(kind).iter().map(|frame| frame.seq).collect::<Vec<_>>();
            assert!(!numbers(&fresh).is_empty());
            assert_eq!(numbers(&live), numbers(&fresh), "{url}: {kind:?}");
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_before_anything_has_happened_misses_nothing_and_is_not_let_go() {
    let store = Arc::new(Store::open("sqlite::memory:", Nature::Live).await.unwrap());
    let live = Arc::new(Live::open(&store, tokio_util::task::TaskTracker::new()).await.unwrap());
    let away = Arc::new(Live::empty(&store, tokio_util::task::TaskTracker::new()));
    let event = Numbered {
        seq: 1024,
        at: Clock::system().now(),
        what: What::Changed,
        feed: "doji.gold",
        subject: "doji.gold.x".to_owned(),
        data: "{}".to_owned(),
    };
    store.push_publish(Vec::new(), vec![event]);
    store.flush().await;
    for live in [&live, &away] {
        live.begin().await.unwrap();
        live.tell(store.events_after(live.newest()).await.unwrap());
        assert_eq!(live.newest(), 1024);
        assert_eq!(live.recent(Kind::Gold).len(), 1, "once");
    }
    // Who began when there was nothing knows of all; who began without the store does not know what it missed.
    assert_eq!(live.resume(Some(0)).await.lost, None);
    assert_eq!(away.resume(Some(0)).await.lost, Some(Lost::TooOld));
    store.close().await;
}
