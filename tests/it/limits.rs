//! What the listener refuses, and that it says so as a problem document; the bucket of each client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::house::{House, good_day};

/// Sends raw bytes and reads until the other end closes.
pub async fn exchange(house: &House, parts: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(house.app.public).await.unwrap();
    for part in parts {
        // A refusal may come before all is sent.
        if stream.write_all(part).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is closed: {}", String::from_utf8_lossy(&answer));
    String::from_utf8(answer).unwrap()
}

/// Status and body of an answer that must be a problem document.
pub fn problem(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let head = head.to_ascii_lowercase();
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    for line in [
        "content-type: application/problem+json",
        "cache-control: no-store",
        "access-control-allow-origin: *",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        "connection: close",
        &format!("content-length: {}", body.len()),
    ] {
        assert!(head.contains(line), "{line} is missing in {head}");
    }
    assert!(head.contains("date: ") && head.contains("x-request-id: "), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["status"], status);
    (status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_what_is_no_request_or_too_large_is_refused_with_a_problem_document() {
    let house = House::on_a_good_day().await;
    let long = "x".repeat(9_000);
    let longer = "x".repeat(64_000);
    let many = "X-A: b\r\n".repeat(65);
    let thousand = "X-A: b\r\n".repeat(1_000);
    let large = "y".repeat(20_000);
    for (request, status) in [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        (format!("{} / HTTP/1.1\r\nHost: x\r\n\r\n", "M".repeat(20_000)), 414),
        ("GET / HTTP/9.9\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("GET /v1/gold HTTP/1.1\r\nHo st: x\r\n\r\n".to_owned(), 400),
        ("GET /v1/gold HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /v1/gold HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 414),
        (format!("GET /v1/gold?providers={longer} HTTP/1.1\r\nHost: x\r\n\r\n"), 414),
        (format!("GET /v1/gold HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 431),
        (format!("GET /v1/gold HTTP/1.1\r\nHost: x\r\n{thousand}\r\n"), 431),
        (format!("GET /v1/gold HTTP/1.1\r\nHost: x\r\nX-Large: {large}\r\n\r\n"), 431),
        ("GET /v1/gold HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n".to_owned(), 413),
        (
            format!(
                "GET /v1/gold HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n{}\r\n",
                "z".repeat(65_537)
            ),
            413,
        ),
    ] {
        let shown: String = request.chars().take(70).collect();
        let (found, body) = problem(&exchange(&house, &[request.as_bytes()]).await);
        assert_eq!(found, status, "{shown}");
        assert!(body["type"].as_str().unwrap().starts_with("/docs/problems/"), "{body}");
        // Where the path is not known, or too long, the occurrence has a name still.
        let unknown = format!("#{}", body["request_id"].as_str().unwrap());
        let instance = body["instance"].as_str().unwrap();
        assert!(instance == "/v1/gold" || instance == unknown, "{shown}: {instance}");
        if status == 414 {
            assert!(body["detail"].as_str().unwrap().starts_with("the request line is too long"), "{body}");
        }
        // HEAD is GET without the body, whoever answers it.
        if let Some(rest) = request.strip_prefix("GET ") {
            let answer = exchange(&house, &[b"HEAD", b" ", rest.as_bytes()]).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && body.is_empty(), "{shown}: {answer}");
            assert!(!head.contains("content-length: 0"), "{head}");
        }
    }
    // A client that is refused while it is sending ten megabytes gets to read why.
    let body = "b".repeat(10_000_000);
    let sending = format!("GET /v1/gold HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let stream = TcpStream::connect(house.app.public).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sender = tokio::spawn(async move { write.write_all(sending.as_bytes()).await });
    let mut answer = vec![0; 12];
    read.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
    sender.abort();
    // And the service goes on.
    assert_eq!(house.get("/v1/gold").await.status(), 200);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a06_a_small_body_is_ignored_and_changes_nothing() {
    let house = House::on_a_good_day().await;
    let plain = exchange(&house, &[b"GET /v1/gold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]).await;
    let fat = exchange(
        &house,
        &[b"GET /v1/gold HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\nContent-Length: 14\r\n\r\nproviders=doji"],
    )
    .await;
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&plain), body(&fat));
    assert!(plain.starts_with("HTTP/1.1 200"));
    // HTTP/1.0 needs no Host.
    assert!(exchange(&house, &[b"GET /v1/gold HTTP/1.0\r\n\r\n"]).await.starts_with("HTTP/1.0 200"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_but_right_requests_are_answered() {
    let house = House::on_a_good_day().await;
    let close = "Host: x\r\nConnection: close\r\n\r\n";
    let absolute = format!("GET http://elsewhere.example/v1/gold HTTP/1.1\r\n{close}");
    let absolute = exchange(&house, &[absolute.as_bytes()]).await;
    assert!(absolute.starts_with("HTTP/1.1 200"));
    let asked = "GET /v1/gold HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/gold?unit=chi HTTP/1.1\r\nHost: x\r\n\r\n";
    let pipelined =
        exchange(&house, &[asked.as_bytes(), b"HEAD /v1/fx HTTP/1.1\r\n", close.as_bytes()]).await;
    assert_eq!(pipelined.matches("HTTP/1.1 200").count(), 3, "in order, on one connection");
    let expecting = format!("GET /v1/gold HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n{close}");
    let expecting = exchange(&house, &[expecting.as_bytes(), b"ab"]).await;
    assert!(expecting.starts_with("HTTP/1.1 100") && expecting.contains("HTTP/1.1 200"), "{expecting:.80}");
    // A mistake in HTTP/1.0 is told as well.
    assert!(exchange(&house, &[b"GET /nothing HTTP/1.0\r\n\r\n"]).await.starts_with("HTTP/1.0 404"));
    let fat = format!("OPTIONS /v1/gold HTTP/1.1\r\nContent-Length: 100000\r\n{close}");
    let fat = exchange(&house, &[fat.as_bytes(), &vec![b'x'; 100_000]]).await;
    assert_eq!(problem(&fat).0, 413);
    // The quick way and the long way refuse the same: this selection is warm, and its address too long.
    let long = format!("/v1/fx?currencies={}", vec!["USD"; 2_500].join(","));
    assert_eq!(house.get("/v1/fx?currencies=USD").await.status(), 200);
    assert_eq!(house.get(&long).await.status(), 414);
    // A path that is no reference as it stands becomes one; of a tunnel there is none.
    for (target, instance) in [
        ("/giá\\vàng", Some("/gi%C3%A1%5Cv%C3%A0ng")),
        ("//elsewhere.example/", Some("/.//elsewhere.example/")),
        (&format!("/{}", "x".repeat(199)), Some(&*format!("/{}", "x".repeat(199)))),
        (&format!("/{}", "x".repeat(200)), None),
    ] {
        let (status, body) =
            problem(&exchange(&house, &[format!("GET {target} HTTP/1.1\r\n{close}").as_bytes()]).await);
        let unknown = format!("#{}", body["request_id"].as_str().unwrap());
        assert_eq!(
            (status, body["instance"].as_str()),
            (404, Some(instance.unwrap_or(&unknown))),
            "{target}"
        );
    }
    let tunnel = format!("CONNECT example.vn:443 HTTP/1.1\r\n{close}");
    let (_, body) = problem(&exchange(&house, &[tunnel.as_bytes()]).await);
    assert_eq!(body["instance"], format!("#{}", body["request_id"].as_str().unwrap()));
    // A body that nobody reads ends the connection, and the answer says so; without one it stays.
    for body in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let post = format!("POST /v1/gold HTTP/1.1\r\nHost: x\r\n{body}");
        assert_eq!(problem(&exchange(&house, &[post.as_bytes()]).await).0, 405, "{body}");
    }
    let posts = format!("POST /v1/gold HTTP/1.1\r\nHost: x\r\n\r\nGET /v1 HTTP/1.1\r\n{close}");
    let posts = exchange(&house, &[posts.as_bytes()]).await;
    assert!(posts.starts_with("HTTP/1.1 405") && posts.contains("HTTP/1.1 200"), "{posts}");
    // Mistakes do not make an answer that outweighs them.
    let many = house.get(&format!("/v1/gold?{}", ["products="; 700].join("&"))).await;
    assert_eq!(many.status(), 422);
    assert!(many.text().await.unwrap().len() < 8_000);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a09_a_reader_that_takes_nothing_loses_the_connection() {
    let house = House::on_a_good_day().await;
    let mut stream = TcpStream::connect(house.app.public).await.unwrap();
    let some = "GET /v1/fx HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    // 24 kB for each of these: more than two sockets hold, so the service gets stuck, then gives up.
    let given_up = async {
        loop {
            // Past the first refusal to take more, one write tells whether the other end is still there.
            let write = stream.write_all(some.as_bytes());
            if let Ok(Err(_)) = tokio::time::timeout(Duration::from_millis(200), write).await {
                break;
            }
        }
    };
    let given_up = tokio::time::timeout(Duration::from_mins(1), given_up).await;
    assert!(given_up.is_ok(), "the connection is still open");
    assert_eq!(house.get("/v1/gold").await.status(), 200);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a09_half_sent_requests_are_told_and_idle_connections_let_go() {
    let house = House::on_a_good_day().await;
    let half = exchange(&house, &[b"GET /v1/gold HTTP/1.1\r\nHost: x\r\n"]);
    let half_head = exchange(&house, &[b"HEAD /v1/gold HTTP/1.1\r\nHost: x\r\n"]);
    let slow_body = exchange(&house, &[b"GET /v1/gold HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"]);
    let idle = exchange(&house, &[]);
    let used = exchange(&house, &[b"GET /v1/gold HTTP/1.1\r\nHost: x\r\n\r\n"]);
    let (half, half_head, slow_body, idle, used) = tokio::join!(half, half_head, slow_body, idle, used);
    assert_eq!(problem(&half).0, 408);
    assert!(half_head.starts_with("HTTP/1.1 408") && half_head.ends_with("\r\n\r\n"), "{half_head}");
    assert_eq!(problem(&slow_body).0, 408);
    assert_eq!(idle, "");
    assert!(
        used.starts_with("HTTP/1.1 200") && used.matches("HTTP/1.1").count() == 1,
        "no word after the answer"
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_begun_is_answered_before_the_service_stops() {
    let house = House::on_a_good_day().await;
    let address = house.app.public;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /v1/gold HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab").await.unwrap();
    // Answered on the same listener after it: so the request above has been accepted.
    house.get("/v1/gold").await;
    let app = house.app;
    let stopping = tokio::spawn(async move { app.stop().await });
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stream.write_all(b"cd").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('}'), "{answer}");
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_fails_no_request_that_was_sent() {
    let house = House::on_a_good_day().await;
    let address = house.app.public;
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                loop {
                    // Sent while the connection is open: it is answered, or the connection was closed before it came.
                    if stream.write_all(b"GET /v1/gold HTTP/1.1\r\nHost: x\r\n\r\n").await.is_err() {
                        return 0;
                    }
                    let mut head = vec![0; 15];
                    match stream.read_exact(&mut head).await {
                        Ok(_) => answered.fetch_add(1, Ordering::Relaxed),
                        Err(_) => return 1,
                    };
                    assert!(head.starts_with(b"HTTP/1.1 200"));
                    // The rest of the answer, which is much longer than the buffer of the next round.
                    let mut rest = vec![0; 64 << 10];
                    let mut text = head;
                    while !text.ends_with(b"]}") {
                        match stream.read(&mut rest).await {
                            Ok(read) if read > 0 => text.extend_from_slice(&rest[..read]),
                            _ => panic!("half an answer"),
                        }
                    }
                    if String::from_utf8_lossy(&text)
                        .to_ascii_lowercase()
                        .contains("\r\nconnection: close\r\n")
                    {
                        return 0;
                    }
                }
            })
        })
        .collect();
    while answered.load(Ordering::Relaxed) < 1_000 {
        tokio::task::yield_now().await;
    }
    house.app.stop().await;
    let mut failed = 0;
    for client in clients {
        failed += client.await.unwrap();
    }
    assert_eq!(failed, 0, "of {answered:?}");
}

async fn limited(config: &str) -> House {
    let lines = format!("[server]\n{config}\n");
    let house = House::with(|_| {}, |text| text.replacen("[server]\n", &lines, 1)).await;
    house.settled().await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_only_what_costs_work_counts_against_a_client() {
    let house = limited("rate_limit = 4").await;
    let left = async |path: &str, headers: &[(&str, &str)]| {
        let response = house.request(reqwest::Method::GET, path, headers).await;
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), header("ratelimit"), header("ratelimit-policy"), header("etag"))
    };
    // Fixed documents: never counted, never labelled.
    for _ in 0..20 {
        assert_eq!(left("/v1/fx", &[]).await.1, None);
    }
    // The first request for a selection costs one, the next ones nothing.
    let (status, state, policy, tag) = left("/v1/fx?currencies=USD", &[]).await;
    assert_eq!((status, policy.as_deref()), (200, Some("\"work\";q=4;w=60")));
    assert!(state.unwrap().starts_with("\"work\";r=3;t="));
    for _ in 0..20 {
        assert_eq!(left("/v1/fx?currencies=usd", &[]).await.1, None);
    }
    // Every conversion costs one, but a 304 nothing.
    let convert = "/v1/convert?from=USD&to=VND";
    let (_, state, _, converted) = left(convert, &[]).await;
    assert!(state.unwrap().starts_with("\"work\";r=2;"));
    for _ in 0..20 {
        assert_eq!(left(convert, &[("if-none-match", converted.as_ref().unwrap())]).await.0, 304);
    }
    assert!(left(convert, &[]).await.1.unwrap().starts_with("\"work\";r=1;"));
    assert!(left("/v1/fx?currencies=EUR", &[]).await.1.unwrap().starts_with("\"work\";r=0;"));

    // Nothing left: the problem says when, and what is at hand is still served.
    let response = house.get("/v1/fx?currencies=JPY").await;
    assert_eq!(response.status(), 429);
    let retry: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=15).contains(&retry), "{retry}");
    assert!(response.headers()["ratelimit"].to_str().unwrap().starts_with("\"work\";r=0;t="));
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(house.get(convert).await.status(), 429);
    assert_eq!(left("/v1/fx?currencies=EUR", &[]).await.0, 200);
    assert_eq!(left("/v1/fx?currencies=USD", &[("if-none-match", &tag.unwrap())]).await.0, 304);
    assert_eq!(left("/v1/fx", &[]).await.0, 200);
    assert_eq!(left("/v1/fx?currencies=XYZ", &[]).await.0, 422, "a mistake is told, and costs nothing");

    // Another bank's new board makes every selection of rates a miss, but a conversion at this bank's prices has
    // the bytes that it had: still a 304, still free.
    let version = house.json("/v1/fx").await["version"].as_i64().unwrap();
    good_day(&house.bank, 1);
    house.refresh("vietcombank.fx").await;
    assert!(house.json("/v1/fx").await["version"].as_i64().unwrap() > version);
    assert_eq!(left(convert, &[("if-none-match", converted.as_ref().unwrap())]).await.0, 304);
    assert_eq!(left("/v1/fx?currencies=EUR", &[]).await.0, 429);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_clients_behind_a_trusted_proxy_have_buckets_of_their_own() {
    let house = limited("rate_limit = 1\ntrusted_proxies = [\"127.0.0.1\"]").await;
    let status = async |forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded)];
        house.request(reqwest::Method::GET, "/v1/convert?from=USD&to=VND", &headers).await.status().as_u16()
    };
    assert_eq!(status("203.0.113.1").await, 200);
    assert_eq!(status("203.0.113.1").await, 429);
    assert_eq!(status("203.0.113.2").await, 200);
    assert_eq!(status("9.9.9.9, 203.0.113.2").await, 429, "what a client says of itself is not believed");
    assert_eq!(status("2001:db8:1:1::1").await, 200);
    assert_eq!(status("2001:db8:1:1:ffff::2").await, 429, "a /64 is one client");
    assert_eq!(status("2001:db8:1:2::1").await, 200);
    house.app.stop().await;

    let house = limited("rate_limit = 1").await;
    let status = async |forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded)];
        house.request(reqwest::Method::GET, "/v1/convert?from=USD&to=VND", &headers).await.status().as_u16()
    };
    assert_eq!(status("203.0.113.1").await, 200);
    assert_eq!(status("203.0.113.2").await, 429, "nobody is trusted by default");
    house.app.stop().await;
}
