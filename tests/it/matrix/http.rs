//! Faults of HTTP: what comes is complete, and is no answer.

use std::{io::Write as _, time::Duration};

use banggia::fetch::{Body, blocked};

use super::{
    full,
    rig::{Asker, Fault, at, good, good_day, paths, row, settings, sources},
    sampled,
};
use crate::bank::{Bank, Reply};

/// What a parser calls a document that is not its own.
const NO_BOARD: &[&str] = &["not_expected_content", "no_data", "schema_drift", "empty"];

/// Every way of asking every source, once each, at one bank.
async fn everywhere(
    bank: &Bank,
    asker: &Asker,
    mut look: impl FnMut(&str, Result<banggia::fetch::Exchange, banggia::fetch::Outcome>),
) {
    for (feed, source) in sources() {
        let settings = settings(&at(bank, feed.id, source.id), true);
        for result in asker.ask((feed, source), &settings, Duration::from_secs(10)).await {
            look(&format!("{}.{}", feed.id, source.id), result);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f09_every_status_is_a_failure_of_its_own_class() {
    let (bank, asker) = (Bank::open_wide().await, Asker::new());
    for status in sampled("statuses", (201..=299).chain(400..=599).collect()) {
        for (feed, source) in sources() {
            for path in paths(feed.id, source.id) {
                bank.script(&path, [Reply::Http(status, Vec::new(), good(feed.id, source.id))]);
            }
        }
        everywhere(&bank, &asker, |who, result| {
            let outcome = result.unwrap_err();
            // No content has no body, and a good board under a bad status is no board.
            assert_eq!(outcome.code(), "status", "{who} {status}");
            assert!(outcome.to_string().contains(&status.to_string()), "{outcome}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_wish_to_wait_is_granted_up_to_six_hours() {
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(10);
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&later).unwrap();
    let case = |status: u16, value: &str, wanted: &'static [&'static str], wait| Fault {
        wait,
        ..Fault::new(
            format!("{status} Retry-After: {value}"),
            Reply::status(status).with("Retry-After", value),
            wanted,
        )
    };
    let six_hours = 6 * 3600;
    let faults = vec![
        case(429, "120", &["retry_after"], 118..=122),
        case(503, "120", &["retry_after"], 118..=122),
        case(429, "0", &["retry_after"], 28..=33),
        case(429, &date, &["retry_after"], 500..=605),
        case(429, "Wed, 30 Sep 2020 03:10:00 GMT", &["retry_after"], 28..=33),
        case(429, "315360000", &["retry_after"], six_hours - 5..=six_hours + 1),
        case(429, "99999999999999999999999", &["retry_after"], six_hours - 5..=six_hours + 1),
        case(429, "soon", &["status"], 28..=33),
        case(429, "-5", &["status"], 28..=33),
        case(404, "120", &["status"], 28..=33),
    ];
    row("F-10", faults).await;
}

/// Pages in the style of the firewalls, written for this test.
const WALLS: &[(&str, &str)] = &[
    (
        "Incapsula",
        "<html><head><META NAME=\"robots\" CONTENT=\"noindex,nofollow\"></head><body><iframe src=\"/_Incapsula_Resource?CWUDNSAI=9\">Request unsuccessful. Incapsula incident ID: 1-2</iframe></body></html>",
    ),
    ("Incapsula, bare", "Request unsuccessful. Incapsula incident ID: 877000010"),
    (
        "Cloudflare",
        "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><noscript>Enable JavaScript and cookies to continue</noscript><script>window._cf_chl_opt={}</script></body></html>",
    ),
    (
        "F5",
        "<html><head><title>Request Rejected</title></head><body>The requested URL was rejected. Please consult with your administrator. Your support ID is: 42</body></html>",
    ),
    (
        "Akamai",
        "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\nYou don't have permission to access this page on this server.<P>Reference 18.1 https://errors.edgesuite.net/18.1</BODY></HTML>",
    ),
    ("DataDome, JSON", "{\"url\":\"https://geo.captcha-delivery.com/captcha/?initialCid=1\"}"),
    (
        "a captcha",
        "<html><head><title>Captcha</title></head><body><form>Please verify you are human</form></body></html>",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn f11_a_firewall_in_place_of_the_answer_is_called_so_and_is_not_hammered() {
    let mut faults = Vec::new();
    for ((name, page), status) in WALLS.iter().zip([200, 403, 503].into_iter().cycle()) {
        faults.push(Fault::new(
            format!("{name} with {status}"),
            Reply::Http(status, Vec::new(), page.as_bytes().to_vec()),
            &["blocked"],
        ));
    }
    // Every page under every status but 200, which is for the parsers.
    let (bank, asker) = (Bank::open_wide().await, Asker::new());
    for (name, page) in WALLS {
        for status in [401, 403, 405, 406, 429, 500, 503] {
            for (feed, source) in sources() {
                for path in paths(feed.id, source.id) {
                    bank.script(&path, [Reply::Http(status, Vec::new(), page.as_bytes().to_vec())]);
                }
            }
            everywhere(&bank, &asker, |who, result| {
                assert_eq!(result.unwrap_err().code(), "blocked", "{who} {name} {status}");
            })
            .await;
        }
    }
    // And under 200, for every reader.
    for (name, page) in WALLS {
        for (_, source) in sources() {
            let body = Body { bytes: page.as_bytes().to_vec(), ..Body::default() };
            let error = super::content::parse(source, page.as_bytes(), None).unwrap_err();
            assert_eq!(blocked::named(error, &body).code(), "blocked", "{} {name}", source.id);
        }
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(WALLS[0].1.as_bytes()).unwrap();
    let packed = Reply::Http(403, Vec::new(), gzip.finish().unwrap()).with("Content-Encoding", "gzip");
    faults.push(Fault::new("packed", packed, &["blocked"]));
    for (name, value) in [("cf-mitigated", "challenge"), ("x-amzn-waf-action", "captcha")] {
        let reply = Reply::Http(200, Vec::new(), b"<p>wait</p>".to_vec()).with(name, value);
        faults.push(Fault::new(name, reply, &["blocked"]));
    }
    row("F-11", faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_nothing_is_not_a_board_without_prices() {
    let page = "<!doctype html><html><head><title>Hệ thống bảo trì</title></head><body><h1>Website đang bảo trì</h1></body></html>";
    let bodies = [
        "",
        "   \r\n",
        "[]",
        "null",
        "{}",
        "\"\"",
        "0",
        page,
        "{\"item\":[]}",
        "<ExrateList></ExrateList>",
        "<GoldList/>",
    ];
    let faults = bodies
        .into_iter()
        .map(|body| Fault::new(format!("the body {body:.30}"), Reply::ok(body), NO_BOARD))
        .chain([Fault::new("204", Reply::Http(204, Vec::new(), Vec::new()), &["status"])])
        .collect();
    row("F-12", faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_redirect_is_a_failure_that_names_its_target_and_nobody_goes_there() {
    let target = Bank::open().await;
    let places = [
        target.url("/login?token=CANARY"),
        "https://other.example/".to_owned(),
        "//other.example/x".to_owned(),
        "/bidv.fx/board".to_owned(),
        "http://0x7f.1/admin".to_owned(),
    ];
    let reply =
        |status: u16, place: &str| Reply::Http(status, vec![("Location", place.to_owned())], Vec::new());
    let faults = [301, 302, 307, 308]
        .into_iter()
        .zip(&places)
        .map(|(status, place)| {
            Fault::new(format!("{status} to {place}"), reply(status, place), &["redirect"])
        })
        .collect();
    row("F-13", faults).await;

    let bank = Bank::open_wide().await;
    let asker = Asker::new();
    for status in [300, 301, 302, 303, 305, 307, 308] {
        for place in &places {
            for (feed, source) in sources() {
                for path in paths(feed.id, source.id) {
                    bank.script(&path, [reply(status, place)]);
                }
            }
            everywhere(&bank, &asker, |who, result| {
                assert_eq!(result.unwrap_err().code(), "redirect", "{who} {status} {place}");
            })
            .await;
        }
    }
    assert_eq!(target.all_hits(), 0);
    for (feed, source) in sources() {
        for path in paths(feed.id, source.id) {
            let reply = Reply::status(302).with("Location", "https://login.example/sso?key=CANARY");
            bank.script(&path, [reply]);
        }
    }
    everywhere(&bank, &asker, |who, result| {
        let said = result.unwrap_err().to_string();
        assert!(said.contains("https://login.example/sso") && !said.contains("CANARY"), "{who}: {said}");
    })
    .await;
}

/// Much from little: the same compressed megabyte a thousand times, without ever holding it unpacked.
pub fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let megabyte = vec![b' '; 1 << 20];
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    // Members one after another are one file.
    let many_members = gzip(&megabyte).repeat(1024);
    let one_member = gzip(&megabyte.repeat(48));
    let deflate = {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..48 {
            zlib.write_all(&megabyte).unwrap();
        }
        zlib.finish().unwrap()
    };
    let mut brotli = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 1, ..Default::default() };
    brotli::BrotliCompress(&mut megabyte.repeat(12).as_slice(), &mut brotli, &params).unwrap();
    vec![("gzip", many_members), ("gzip", one_member), ("deflate", deflate), ("br", brotli)]
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_bombs_and_nested_codings_are_refused_whoever_sends_them() {
    let plain = b"{}".to_vec();
    let mut faults: Vec<Fault> = bombs()
        .into_iter()
        .map(|(coding, bomb)| {
            let name = format!("{} bytes of {coding}", bomb.len());
            Fault::new(name, Reply::ok(bomb).with("Content-Encoding", coding), &["too_large"])
        })
        .collect();
    // Sent unasked and unsaid, it is a matter of the parser.
    let unsaid = bombs().swap_remove(1).1;
    faults.push(Fault::new("gzip unsaid", Reply::ok(unsaid), &["encoding"]));
    for coding in ["gzip, gzip", "br"] {
        faults.push(Fault::new(
            format!("what is no {coding}"),
            Reply::ok(plain.clone()).with("Content-Encoding", coding),
            &["coding"],
        ));
    }
    let (bank, asker) = (Bank::open_wide().await, Asker::new());
    for coding in ["gzip, br", "br, br", "zstd", "compress", "gzip", "deflate", "x-nothing"] {
        for (feed, source) in sources() {
            for path in paths(feed.id, source.id) {
                bank.script(&path, [Reply::ok(plain.clone()).with("Content-Encoding", coding)]);
            }
        }
        everywhere(&bank, &asker, |who, result| {
            assert_eq!(result.unwrap_err().code(), "coding", "{who} {coding}");
        })
        .await;
    }
    row("F-15", faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f18_a_hundred_megabytes_are_cut_at_two() {
    const BODY: usize = 100 << 20;
    let said = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n").into_bytes();
    let unsaid = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    row(
        "F-18",
        vec![
            Fault::new("a length of 100 MB", Reply::Pour(said, BODY), &["too_large"]),
            Fault::new("100 MB, length not said", Reply::Pour(unsaid.clone(), BODY), &["too_large"]),
            Fault::new(
                "40 kB of headers",
                Reply::ok("{}").with("X", "x".repeat(40 << 10)),
                &["too_large", "protocol"],
            ),
        ],
    )
    .await;
    // What the far end got rid of: two megabytes, and what fits into the sockets' buffers.
    let (bank, asker) = (Bank::open_wide().await, Asker::new());
    let (feed, source) = sources().find(|(_, source)| source.id == "chart").unwrap();
    bank.script(&paths(feed.id, source.id)[0], [Reply::Pour(unsaid, BODY)]);
    let settings = settings(&at(&bank, feed.id, source.id), true);
    let result = asker.ask((feed, source), &settings, Duration::from_secs(20)).await.remove(0);
    assert_eq!(result.unwrap_err().code(), "too_large");
    assert!(bank.poured() < 24 << 20, "{} bytes left the bank", bank.poured());
}

/// The byte at which a reset comes: every 512th of every source's answer.
#[tokio::test(flavor = "multi_thread")]
async fn f06_a_reset_at_every_512th_byte_is_never_an_answer() {
    let (bank, asker) = (Bank::open_wide().await, Asker::new());
    let mut resets = 0;
    for (feed, source) in sources() {
        let body = good(feed.id, source.id);
        let settings = settings(&at(&bank, feed.id, source.id), true);
        for cut in (0..body.len()).step_by(if full() { 64 } else { 512 }) {
            let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            bytes.extend_from_slice(&body[..cut]);
            for path in paths(feed.id, source.id) {
                bank.script(&path, [Reply::Reset(bytes.clone())]);
            }
            for result in asker.ask((feed, source), &settings, Duration::from_secs(10)).await {
                let code = result.unwrap_err().code();
                assert_eq!(code, "truncated", "{}.{} cut at {cut}", feed.id, source.id);
                resets += 1;
            }
        }
    }
    println!("{resets} resets");
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_a_length_shorter_than_the_body_or_two_lengths() {
    let lengths = |first: usize, second: Option<usize>| {
        move |good: &[u8]| {
            let mut head = format!("HTTP/1.1 200 OK\r\nContent-Length: {first}\r\n");
            if let Some(second) = second {
                head.push_str(&format!("Content-Length: {second}\r\n"));
            }
            Reply::Raw([head.into_bytes(), b"\r\n".to_vec(), good.to_vec()].concat())
        }
    };
    let mut faults = vec![Fault::made(
        "shorter",
        lengths(40, None),
        &["not_expected_content", "schema_drift", "empty", "no_data"],
    )];
    // Tried again, since such a server may have been interrupted.
    faults.push(Fault {
        tries: 3,
        ..Fault::made("two lengths", lengths(40, Some(41)), &["protocol", "truncated"])
    });
    row("F-07", faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_a_body_that_ends_early_without_anybody_noticing() {
    // The tables of OCB stand in the middle of their pages: what comes after them may be missing.
    let faults = [2, 4, 10]
        .into_iter()
        .map(|of| {
            let cut = move |good: &[u8]| {
                let end = good.len() / of;
                Reply::Raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), good[..end].to_vec()].concat())
            };
            Fault::made(
                format!("a {of}th of it"),
                cut,
                &["not_expected_content", "schema_drift", "incomplete", "no_data", "envelope_key"],
            )
        })
        .collect();
    row("F-08", faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_an_answer_that_nothing_changed_to_a_question_that_was_not_asked() {
    let reply = Reply::Http(304, vec![("ETag", "\"x\"".to_owned())], Vec::new());
    row("F-36", vec![Fault::new("304 unasked", reply, &["status"])]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f37_a_challenge_that_wants_a_second_request_is_a_block_and_no_cookie_is_ever_sent() {
    let page = "<html><body><script>document.cookie=\"D1N=abc; path=/\";window.location.reload(true);</script></body></html>";
    let challenge = Reply::ok(page).with("Set-Cookie", "D1N=abc; path=/");
    row("F-37", vec![Fault::new("cookie and reload", challenge.clone(), &["blocked"])]).await;

    let (bank, asker) = (Bank::open_wide().await, Asker::new());
    good_day(&bank);
    for (feed, source) in sources() {
        for path in paths(feed.id, source.id) {
            bank.script(&path, [challenge.clone()]);
        }
    }
    for _ in 0..2 {
        everywhere(&bank, &asker, |_, _| {}).await;
    }
    for (feed, source) in sources() {
        for hit in bank.hits(&paths(feed.id, source.id)[0]) {
            assert!(!hit.head.to_lowercase().contains("cookie:"), "{}", hit.head);
        }
    }
}
