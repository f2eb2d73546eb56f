//! Too much of everything, from loopback to loopback. What is here takes seconds; the same by the million is in
//! `benches/flood.rs`.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{body::Body, http::Request};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tower_service::Service as _;

use super::{EVERYTHING, header, unlimited};
use crate::house::{House, good_day};

/// Far beyond what a good client waits for on a busy machine of two cores; where it waits for a flood to end, it is longer.
const GENEROUS: Duration = Duration::from_secs(5);

/// Asks for the board so many times, and gives the longest that it took.
async fn good_client(house: &House, times: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        let begun = Instant::now();
        assert_eq!(house.get("/v1/board").await.status(), 200);
        longest = longest.max(begun.elapsed());
    }
    longest
}

/// A connection from an address of its own.
async fn connect_from(source: Ipv4Addr, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    socket.connect(address).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a09_two_thousand_half_sent_headers_keep_nobody_waiting() {
    // Both ends are in this process.
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let house = House::on_a_good_day().await;
    let address = house.app.public;
    let mut slow = Vec::new();
    for n in 0..2_000_u32 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let part =
            ["G", "GET /v1/gold HTTP/1.1\r\n", "GET /v1/gold HTTP/1.1\r\nHost: x\r\nX-A"][n as usize % 3];
        stream.write_all(part.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let longest = good_client(&house, 50).await;
    assert!(longest < GENEROUS, "{longest:?}");
    // They are told off and closed, while others go on being answered.
    let told = join_all(slow.into_iter().map(async |mut stream| {
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "still open");
        answer.starts_with(b"HTTP/1.1 408 ")
    }))
    .await;
    assert!(told.iter().all(|told| *told));
    assert!(good_client(&house, 5).await < GENEROUS);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_a_flood_from_many_addresses_reaches_neither_the_board_nor_another_client() {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 20\n", 1)).await;
    house.settled().await;
    let (address, site) = (house.app.public, Arc::clone(house.app.site()));
    let before = site.derived.renders();
    let (stop, refused, served) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let attackers: Vec<_> = (0..8_u8)
        .map(|n| {
            let (stop, refused, served) = (Arc::clone(&stop), Arc::clone(&refused), Arc::clone(&served));
            tokio::spawn(async move {
                let mut stream = connect_from(Ipv4Addr::new(127, 0, 66, n + 1), address).await.unwrap();
                let mut buffer = vec![0; 64 << 10];
                let mut at = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    at += 1;
                    let request = format!(
                        "GET /v1/convert?from=USD&to=VND&amount={at}.{n} HTTP/1.1\r\nHost: x\r\n\r\n"
                    );
                    stream.write_all(request.as_bytes()).await.unwrap();
                    // One small answer, which is all there in one piece or ends where its length says.
                    let mut answer = String::new();
                    while !answer.ends_with('}') {
                        let read = stream.read(&mut buffer).await.unwrap();
                        assert!(read > 0, "cut off");
                        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                    }
                    match answer.get(9..12).unwrap_or_default() {
                        "200" => served.fetch_add(1, Ordering::Relaxed),
                        "429" => refused.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}"),
                    };
                }
            })
        })
        .collect();
    while refused.load(Ordering::Relaxed) < 2_000 {
        tokio::task::yield_now().await;
    }
    // Meanwhile: what is fixed is free for all, and who has asked for nothing yet gets what costs work.
    let longest = good_client(&house, 50).await;
    assert!(longest < GENEROUS, "{longest:?}");
    assert_eq!(house.get("/v1/convert?from=EUR&to=VND&amount=7").await.status(), 200);
    stop.store(true, Ordering::Relaxed);
    for attacker in attackers {
        attacker.await.unwrap();
    }
    // Eight buckets of twenty, which fill by one in three seconds, and the good client's.
    let (served, renders) = (served.load(Ordering::Relaxed), site.derived.renders() - before);
    assert!((160..=320).contains(&served), "{served}");
    assert!(renders <= 330, "{renders}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a26_pictures_have_sizes_that_we_chose_and_are_drawn_once() {
    let house = unlimited().await;
    let site = house.app.site();
    let plain = house.get("/images/gold.png").await.bytes().await.unwrap();
    // Known options have a list or a range; whatever else is asked for is no option.
    for wrong in [
        "scale=3",
        "scale=0",
        "scale=1e9",
        "scale=-1",
        "scale=1.5",
        "rows=1000000000",
        "rows=-1",
        "accent=url(x)",
        "lang=xx",
        "theme=1e9",
    ] {
        for name in ["gold.png", "gold.svg"] {
            assert_eq!(house.get(&format!("/images/{name}?{wrong}")).await.status(), 422, "{name}?{wrong}");
        }
    }
    let before = site.derived.renders();
    for ignored in [
        "w=1e9",
        "width=1000000000&height=1000000000",
        "font=/etc/passwd",
        "text=%3Cb%3E",
        "url=http://evil.example/x.svg",
        "dpi=99999",
        "format=gif",
    ] {
        let response = house.get(&format!("/images/gold.png?{ignored}")).await;
        assert_eq!(response.bytes().await.unwrap(), plain, "{ignored}");
    }
    assert_eq!(site.derived.renders(), before, "kept");
    // IHDR: width and height.
    let double = house.get("/images/panel.png?scale=2").await.bytes().await.unwrap();
    for png in [&plain, &double] {
        let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert!(side(16) <= 2_000 && side(20) <= 4_000, "{} x {}", side(16), side(20));
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a26_a_flood_for_pictures_is_counted_and_stops_nobody() {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 12\n", 1)).await;
    house.settled().await;
    let before = house.app.site().derived.renders();
    let flood = join_all((0..120).map(async |n| {
        let response =
            house.get(&format!("/images/fx.png?accent={:06x}&rows={}", n * 4_099, n % 9 + 1)).await;
        response.status().as_u16()
    }));
    let (statuses, longest) = tokio::join!(flood, good_client(&house, 20));
    let seen: BTreeSet<u16> = statuses.iter().copied().collect();
    assert!(seen.contains(&429) && seen.iter().all(|status| [200, 429, 503].contains(status)), "{seen:?}");
    let drawn = house.app.site().derived.renders() - before;
    assert!((1..=16).contains(&drawn), "{drawn}");
    assert!(longest < GENEROUS * 2, "{longest:?}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a27_nothing_is_compressed_for_a_request() {
    let house = unlimited().await;
    let site = Arc::clone(house.app.site());
    let mut router = banggia::http::public(Arc::clone(&site));
    let mut compressed = 0;
    for (address, _) in EVERYTHING {
        // Made for the one that asks, from a hundred bytes of its own.
        if address.starts_with("/oembed") {
            continue;
        }
        for coding in ["br", "gzip", "identity"] {
            // Kept, or another body could get the same place.
            let mut bodies = Vec::new();
            for _ in 0..20 {
                let request = Request::get(*address).header("host", "x").header("accept-encoding", coding);
                let response = router.call(request.body(Body::empty()).unwrap()).await.unwrap();
                assert_eq!(response.status(), 200, "{address}");
                let sent =
                    response.headers().get("content-encoding").map(|sent| sent.to_str().unwrap().to_owned());
                compressed += usize::from(sent.is_some_and(|sent| sent == coding));
                let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
                bodies.push(body);
            }
            let places: BTreeSet<_> = bodies.iter().map(|body| (body.as_ptr(), body.len())).collect();
            assert_eq!(places.len(), 1, "{address} {coding}: the same bytes in the same place, and no copy");
        }
    }
    assert!(compressed > 1_000, "{compressed}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a31_a_partners_crowd_costs_one_render_a_board_and_takes_nothing_from_others() {
    // Readers of one page, behind a proxy that says who they are. Counts by origin come with the metrics.
    let house = House::with(
        |_| {},
        |text| {
            text.replacen("[server]\n", "[server]\nrate_limit = 5\ntrusted_proxies = [\"127.0.0.1\"]\n", 1)
        },
    )
    .await;
    house.settled().await;
    let site = house.app.site();
    let before = site.derived.renders();
    let crowd = async |round: u8| {
        let readers = (1..=200_u8).map(async |reader| {
            let client = format!("203.0.{round}.{reader}");
            let headers = [
                ("origin", "https://partner.example"),
                ("referer", "https://partner.example/"),
                ("x-forwarded-for", &client),
            ];
            house
                .request(reqwest::Method::GET, "/fragments/fx.json?currencies=USD,EUR,JPY&rows=3", &headers)
                .await
        });
        for response in join_all(readers).await {
            assert_eq!(response.status(), 200);
            assert_eq!(
                header(&response, "access-control-allow-origin"),
                "*",
                "no list of origins to be filled"
            );
        }
    };
    crowd(1).await;
    assert_eq!(site.derived.renders() - before, 1);
    good_day(&house.bank, 1);
    house.refresh("bidv.fx").await;
    crowd(2).await;
    assert_eq!(site.derived.renders() - before, 2);
    // One who scrapes under the partner's name pays alone.
    let scraper = async |n: u32, client: &str| {
        let headers = [("origin", "https://partner.example"), ("x-forwarded-for", client)];
        let address = format!("/v1/convert?from=USD&to=VND&amount={n}");
        house.request(reqwest::Method::GET, &address, &headers).await.status().as_u16()
    };
    let mut refused = 0;
    for n in 1..=20 {
        refused += usize::from(scraper(n, "203.0.113.9").await == 429);
    }
    assert!(refused >= 14, "{refused}");
    assert_eq!(scraper(99, "203.0.113.10").await, 200);
    house.app.stop().await;
}
