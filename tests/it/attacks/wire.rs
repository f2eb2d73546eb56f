//! What is no honest request: bytes over raw sockets.

use futures_util::future::join_all;

use super::unlimited;
use crate::{
    house::House,
    limits::{exchange, problem},
};

/// What an attacker hopes is taken for a request of the next client.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";

/// The statuses of the answers on one connection.
fn statuses(answers: &str) -> Vec<u16> {
    let lines = answers.split("HTTP/1.").filter_map(|rest| rest.get(2..5));
    lines.filter_map(|status| status.parse().ok()).collect()
}

fn get(headers_and_body: &str) -> String {
    format!("GET /v1/gold HTTP/1.1\r\nHost: x\r\n{headers_and_body}")
}

/// Requests whose end two readers may see in two places.
fn ambiguous() -> Vec<(&'static str, String)> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let hidden = HIDDEN;
    let length = hidden.len();
    vec![
        ("two lengths", get(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{hidden}"))),
        ("two lengths in one", get(&format!("Content-Length: {length}, 0\r\n\r\n{hidden}"))),
        ("the same length twice in one", get(&format!("Content-Length: 0, 0\r\n\r\n{hidden}"))),
        ("a length with a sign", get(&format!("Content-Length: +0\r\n\r\n{hidden}"))),
        ("a length below nothing", get(&format!("Content-Length: -1\r\n\r\n{hidden}"))),
        ("a hexadecimal length", get(&format!("Content-Length: 0x0\r\n\r\n{hidden}"))),
        ("a length of no digits", get(&format!("Content-Length: \r\n\r\n{hidden}"))),
        ("a length of two numbers", get(&format!("Content-Length: 0 0\r\n\r\n{hidden}"))),
        ("a length beyond all", get(&format!("Content-Length: 99999999999999999999999\r\n\r\n{hidden}"))),
        ("an unknown coding", get(&format!("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"))),
        (
            "chunks inside another coding",
            get(&format!("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}")),
        ),
        (
            "two codings in two lines",
            get(&format!("{chunked}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}")),
        ),
        ("a coding of no name", get(&format!("Transfer-Encoding: \r\n\r\n0\r\n\r\n{hidden}"))),
        ("a blank before the colon", get(&format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"))),
        ("a blank before the colon of the length", get(&format!("Content-Length : 0\r\n\r\n{hidden}"))),
        (
            "a vertical tab before the coding",
            get(&format!("Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n{hidden}")),
        ),
        ("a NUL in a header", get(&format!("X-A: a\0b\r\n\r\n{hidden}"))),
        ("a folded header", get(&format!("X-A: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"))),
        ("a folded coding", get(&format!("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{hidden}"))),
        (
            "a first header that is folded",
            format!("GET /v1/gold HTTP/1.1\r\n Host: x\r\nHost: x\r\n\r\n{hidden}"),
        ),
        ("a bare return inside a header", get(&format!("X-A: a\rContent-Length: 40\r\n\r\n{hidden}"))),
        ("chunks in HTTP/1.0", format!("GET /v1/gold HTTP/1.0\r\n{chunked}\r\n0\r\n\r\n{hidden}")),
        ("a chunk of negative size", get(&format!("{chunked}\r\n-1\r\n\r\n0\r\n\r\n{hidden}"))),
        ("a chunk of size 0x0", get(&format!("{chunked}\r\n0x0\r\n\r\n{hidden}"))),
        ("a chunk of no size", get(&format!("{chunked}\r\n\r\n\r\n{hidden}"))),
        ("a chunk beyond all sizes", get(&format!("{chunked}\r\nFFFFFFFFFFFFFFFFF\r\n{hidden}"))),
        ("a chunk longer than it says", get(&format!("{chunked}\r\n1\r\nab\r\n0\r\n\r\n{hidden}"))),
        ("a chunk that ends in a bare return", get(&format!("{chunked}\r\n1\r\na\r0\r\n\r\n{hidden}"))),
        ("an extension with a bare line feed", get(&format!("{chunked}\r\n0;a\nb\r\n\r\n{hidden}"))),
        ("no name of a header", get(&format!(": x\r\n\r\n{hidden}"))),
        ("a header without a colon", get(&format!("nothing\r\n\r\n{hidden}"))),
        ("two hosts", get(&format!("Host: y\r\n\r\n{hidden}"))),
        ("a third part of the version", format!("GET /v1/gold HTTP/1.1.1\r\nHost: x\r\n\r\n{hidden}")),
        ("a blank in the target", format!("GET /v1/gold /v1/fx HTTP/1.1\r\nHost: x\r\n\r\n{hidden}")),
        ("HTTP/0.9", format!("GET /v1/gold\r\n{hidden}")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a08_a_request_with_two_ends_is_refused_and_nothing_behind_it_is_read() {
    let house = House::on_a_good_day().await;
    let answers = join_all(ambiguous().into_iter().map(|(name, request)| {
        let house = &house;
        async move { (name, exchange(house, &[request.as_bytes()]).await) }
    }))
    .await;
    let mut wrong = Vec::new();
    for (name, answer) in answers {
        if statuses(&answer) != [400] {
            wrong.push(format!("{name}: {:?}, {answer:.200}", statuses(&answer)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(house.get("/v1/gold").await.status(), 200);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a08_an_odd_request_with_one_end_is_answered_once_and_what_follows_for_itself() {
    let house = unlimited().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let hidden = HIDDEN;
    let length = hidden.len();
    let last = "GET /v1/fx HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // The body is read as a body. Behind chunks the connection ends, since a length may have been given as well.
    for (name, request, wanted) in [
        (
            "a request as a body",
            get(&format!("Content-Length: {length}\r\n\r\n{hidden}{last}")),
            &[200, 200][..],
        ),
        (
            "the same length twice",
            get(&format!("Content-Length: {length}\r\nContent-Length: {length}\r\n\r\n{hidden}{last}")),
            &[200, 200],
        ),
        (
            "a length, then chunks",
            get(&format!("Content-Length: {length}\r\n{chunked}\r\n0\r\n\r\n{hidden}")),
            &[200],
        ),
        (
            "chunks, then a length",
            get(&format!("{chunked}Content-Length: 0\r\n\r\n{length:x}\r\n{hidden}\r\n0\r\n\r\n{last}")),
            &[200],
        ),
        (
            "chunks with extensions",
            get(&format!("{chunked}\r\n{length:x};a=\"b\"\r\n{hidden}\r\n0;c\r\n\r\n{last}")),
            &[200],
        ),
        (
            "chunks with a trailer",
            get(&format!("{chunked}\r\n0\r\nContent-Length: {length}\r\nHost: y\r\n\r\n{hidden}")),
            &[200],
        ),
        (
            "chunks with leading zeros",
            get(&format!("{chunked}\r\n0000{length:x}\r\n{hidden}\r\n0\r\n\r\n{last}")),
            &[200],
        ),
        (
            "lines that end in a line feed",
            "GET /v1/gold HTTP/1.1\nHost: x\n\nGET /v1/fx HTTP/1.1\nHost: x\nConnection: close\n\n"
                .to_owned(),
            &[200, 200],
        ),
        ("empty lines before", format!("\r\n\r\n{last}"), &[200]),
        (
            "a body of a POST",
            format!("POST /v1/gold HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{hidden}{last}"),
            &[405],
        ),
        (
            "another site's address",
            format!("GET http://evil.example/v1/gold HTTP/1.1\r\nHost: x\r\n\r\n{last}"),
            &[200, 200],
        ),
        (
            "a header that only looks like one",
            get(&format!("Content_Length: 40\r\nX-Transfer-Encoding: chunked\r\n\r\n{last}")),
            &[200, 200],
        ),
    ] {
        let answer = exchange(&house, &[request.as_bytes()]).await;
        assert_eq!(statuses(&answer), wanted, "{name}: {answer:.300}");
        assert!(!answer.contains("/hidden"), "{name}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_the_preface_of_http_2_and_upgrades_to_it_are_refused_cleanly() {
    let house = House::on_a_good_day().await;
    // Preface, SETTINGS, then a flood of PING and of RST_STREAM: answered once, in HTTP/1.1, and closed.
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec();
    for stream in 0..1_000_u32 {
        flood.extend_from_slice(b"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678");
        flood.extend_from_slice(b"\x00\x00\x04\x03\x00");
        flood.extend_from_slice(&stream.to_be_bytes());
        flood.extend_from_slice(&8_u32.to_be_bytes());
    }
    let answer = exchange(&house, &[&flood]).await;
    assert_eq!(statuses(&answer), [400], "{answer}");
    problem(&answer);
    // A wish to go on in HTTP/2 is not heard.
    let upgrade = get(
        "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
    );
    let answer = exchange(&house, &[upgrade.as_bytes()]).await;
    assert_eq!(statuses(&answer), [200], "{answer:.200}");
    assert!(!answer.to_lowercase().contains("upgrade: "), "{answer:.400}");
    house.app.stop().await;
}
