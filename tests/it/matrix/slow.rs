//! Faults that are tried again within a run, or that are slow by nature. They wait far more than they work, so all
//! of them run at once, beside the other tests; each row's test asks for its own result.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use super::rig::{Asker, Fault, keep, place, settings, sources};
use crate::bank::{Reply, closed_port, full_backlog};

type Results = BTreeMap<&'static str, (usize, Vec<String>)>;

static RESULTS: LazyLock<Results> = LazyLock::new(|| {
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(all())
    })
    .join()
    .unwrap()
});

async fn all() -> Results {
    let (closed, refused) = closed_port();
    let (full, dropped): (Vec<_>, Vec<_>) = (1..=11).map(full_backlog).unzip();
    let started = Instant::now();
    let mut results = Results::new();
    // Starting a house is work: not all at the same instant.
    let gate = Arc::new(tokio::sync::Semaphore::new(48));
    let mut cases = tokio::task::JoinSet::new();
    let mut seen = std::collections::BTreeSet::new();
    for (row, fault) in faults(refused, dropped) {
        // Each row meets every source; further faults of a row only those that come first.
        let houses = if seen.insert(row) || super::full() { 3 } else { 1 };
        for nth in 0..houses {
            let (gate, fault) = (Arc::clone(&gate), fault.clone());
            cases.spawn(async move {
                let permit = gate.acquire().await.unwrap();
                let started = Instant::now();
                let name = fault.name.clone();
                let case = tokio::spawn(keep(nth, fault)).await;
                println!("{row} {name}, house {nth}: {:.1?}", started.elapsed());
                drop(permit);
                (row, case.err().map(|panic| said(panic.into_panic().as_ref())))
            });
        }
    }
    while let Some(case) = cases.join_next().await {
        let (row, wrong) = case.unwrap();
        let result = results.entry(row).or_default();
        result.0 += 1;
        result.1.extend(wrong);
    }
    drop((closed, full));
    println!("{} rows in {:.1?}", results.len(), started.elapsed());
    results
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic".to_owned())
}

fn faults(refused: std::net::SocketAddr, dropped: Vec<std::net::SocketAddr>) -> Vec<(&'static str, Fault)> {
    let private = |url: String| move |_: &str, _: &str| format!("url = \"{url}\"\nallow_private = true");
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    let part = move |good: &[u8], of: usize| [head(good.len()), good[..good.len() / of].to_vec()].concat();
    let again = |fault: Fault| Fault { tries: 3, ..fault };
    let mut faults = vec![
        ("F-01", Fault::moved("refused", private(format!("http://{refused}/x")), &["connect"])),
        (
            "F-02",
            Fault {
                timeout: "20s",
                ..Fault::moved(
                    "no answer to SYN",
                    // Each its own: a host is asked one thing at a time.
                    move |feed, id| {
                        format!("url = \"http://{}/x\"\nallow_private = true", dropped[place(feed, id)])
                    },
                    &["connect"],
                )
            },
        ),
        (
            "F-03",
            Fault::moved(
                "no such name",
                |feed, id| {
                    format!(
                        "url = \"http://{id}.{feed}.invalid/x\"
allow_private = true"
                    )
                },
                &["dns"],
            ),
        ),
        (
            "F-04",
            Fault {
                timeout: "2s",
                ..again(Fault::new(
                    "headers never end",
                    Reply::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec()),
                    &["timeout"],
                ))
            },
        ),
        (
            "F-05",
            Fault {
                timeout: "30s",
                ..again(Fault::made("the body drips", move |good| Reply::Drip(part(good, 2)), &["slow"]))
            },
        ),
        (
            "F-06",
            again(Fault::made("reset in the body", move |good| Reply::Reset(part(good, 2)), &["truncated"])),
        ),
        (
            "F-06",
            again(Fault::made(
                "reset in a body without a length",
                |good| {
                    Reply::Reset(
                        [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), good[..good.len() / 2].to_vec()].concat(),
                    )
                },
                &["truncated"],
            )),
        ),
        (
            "F-07",
            again(Fault::made(
                "a length longer than the body",
                |good| Reply::ok(good).with("Content-Length", (good.len() + 9).to_string()),
                &["truncated"],
            )),
        ),
        (
            "F-21",
            again(Fault::made(
                "reset between headers and body",
                move |good| Reply::Reset(head(good.len())),
                &["truncated"],
            )),
        ),
        ("F-21", again(Fault::new("reset before the headers", Reply::Reset(Vec::new()), &["truncated"]))),
        (
            "F-21",
            again(Fault::new(
                "reset within the headers",
                Reply::Reset(b"HTTP/1.1 200 OK\r\nX".to_vec()),
                &["truncated"],
            )),
        ),
        (
            "F-21",
            again(Fault::new(
                "a preface of HTTP/2",
                Reply::Raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
                &["protocol", "truncated"],
            )),
        ),
        (
            "F-21",
            again(Fault::new(
                "frames of HTTP/2",
                Reply::Raw(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0\0\x04\x01\0\0\0\0".to_vec()),
                &["protocol", "truncated"],
            )),
        ),
        (
            "F-06",
            again(Fault::new(
                "chunks that are none",
                Reply::Raw(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n".to_vec(),
                ),
                &["truncated", "protocol"],
            )),
        ),
        (
            "F-06",
            again(Fault::made(
                "chunks that do not end",
                |good| {
                    let mut raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                    raw.extend(format!("{:x}\r\n", good.len()).into_bytes());
                    raw.extend(good);
                    raw.extend(b"\r\n");
                    Reply::Raw(raw)
                },
                &["truncated"],
            )),
        ),
    ];
    for status in [500, 502, 503, 504] {
        faults.push((
            "F-09",
            again(Fault::new(format!("status {status}"), Reply::status(status), &["status"])),
        ));
    }
    faults
}

/// The row's houses were all as they should be.
fn row(id: &str) {
    let (houses, wrong) = &RESULTS[id];
    assert!(wrong.is_empty(), "{id}: {} of {houses} houses:\n{}", wrong.len(), wrong.join("\n"));
    println!("{id}: {houses} houses");
}

#[test]
fn f01_nobody_listens() {
    row("F-01");
}

#[test]
fn f02_nobody_answers_the_first_packet() {
    row("F-02");
}

#[tokio::test(flavor = "multi_thread")]
async fn f02_a_connection_that_does_not_come_is_given_up_after_five_seconds() {
    let (_held, dropped) = full_backlog(1);
    let settings = settings(&format!("http://{dropped}/"), true);
    let asker = Asker::new();
    let (started, one) = (Instant::now(), sources().next().unwrap());
    let request = providers::Request {
        step: "x",
        method: providers::Method::Get,
        url: settings.url.clone(),
        headers: &[],
        form: String::new(),
    };
    let result = asker.one(one, &settings, Duration::from_mins(1), &request).await;
    assert_eq!(result.unwrap_err().code(), "connect");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn f03_a_name_that_does_not_resolve() {
    row("F-03");
}

#[test]
fn f04_headers_that_never_end() {
    row("F-04");
}

#[test]
fn f05_a_body_that_drips() {
    row("F-05");
}

#[test]
fn f06_a_body_that_breaks_off() {
    row("F-06");
}

#[test]
fn f07_a_length_longer_than_the_body() {
    row("F-07");
}

#[test]
fn f09_a_server_that_fails() {
    row("F-09");
}

#[test]
fn f21_a_reset_before_the_body_and_http2() {
    row("F-21");
}
