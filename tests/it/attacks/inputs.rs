//! What strangers write into addresses and headers.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;

use super::{EVERYTHING, REFUSED, header, unlimited};
use crate::{
    bank::Bank,
    house::{House, config_text},
    limits::exchange,
};

/// For a query or a segment of a path.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Addresses with a parameter whose value follows.
const INPUTS: &[&str] = &[
    "/v1/gold?providers=",
    "/v1/gold?unit=",
    "/v1/gold.csv?products=",
    "/v1/fx?currencies=",
    "/v1/deposits?terms=",
    "/v1/deposits.csv?channel=",
    "/v1/feeds?x=",
    "/v1/convert?from=USD&to=VND&amount=",
    "/v1/convert?to=VND&from=",
    "/widgets/panel?theme=",
    "/widgets/gold?accent=",
    "/widgets/fx?preset=",
    "/fragments/fx?rows=",
    "/fragments/ticker.json?motion=",
    "/images/gold.svg?lang=",
    "/images/gold.png?scale=",
    "/?widget=",
    "/?width=",
    "/oembed?url=",
    "/oembed?url=http://127.0.0.1:8080/widgets/fx&maxwidth=",
    "/oembed?url=http://127.0.0.1:8080/widgets/",
    "/oembed?url=x&format=",
    "/v1/",
    "/widgets/",
    "/fragments/",
    "/images/",
    "/embed/",
    "/assets/",
    "/docs/problems/",
    "/",
];

#[tokio::test(flavor = "multi_thread")]
async fn a02_what_is_written_into_an_address_is_refused_in_a_problem_that_no_browser_runs() {
    let house = unlimited().await;
    // The whole list of payloads in a browser: tests/browser/xss.mjs.
    for payload in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "</title><svg/onload=alert(1)>",
        "javascript:alert(1)//",
        "';alert(1)//&#x27;",
    ] {
        for input in INPUTS {
            let address = format!("{input}{}", encoded(payload));
            let response = house.get(&address).await;
            let status = response.status().as_u16();
            assert!([404, 422, 501].contains(&status), "{address}: {status}");
            assert_eq!(header(&response, "content-type"), "application/problem+json", "{address}");
            assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{address}");
            assert!(
                header(&response, "content-security-policy").starts_with("default-src 'none'"),
                "{address}"
            );
            let body = response.text().await.unwrap();
            assert!(!body.contains(['<', '>', '&']), "{address}: {body}");
        }
    }
    // A name that nobody knows is ignored where campaign tags come, and shown nowhere.
    for page in ["/widgets/gold", "/fragments/gold", "/images/gold.svg", "/"] {
        let plain = house.get(page).await.bytes().await.unwrap();
        let tagged = house.get(&format!("{page}?{0}={0}", encoded("<script>alert(1)</script>"))).await;
        assert_eq!(tagged.bytes().await.unwrap(), plain, "{page}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a05_every_spelling_of_a_question_is_one_entry() {
    let house = unlimited().await;
    let site = house.app.site();
    for spellings in [
        &[
            "/v1/fx?currencies=USD,EUR&providers=bidv",
            "/v1/fx?currencies=EUR,USD&providers=bidv",
            "/v1/fx?providers=bidv&currencies=usd,eur",
            "/v1/fx?currencies=USD&providers=BIDV&currencies=EUR,USD,usd",
            "/v1/fx?currencies=%55SD%2CEUR&%70roviders=bidv",
            "/v1/fx?currencies=EUR,USD&providers=bidv&",
        ][..],
        &[
            "/widgets/fx?rows=3&lang=en",
            "/widgets/fx?lang=en&rows=3&utm_source=1",
            "/widgets/fx?utm_source=2&lang=en&rows=3&fbclid=x",
            "/widgets/fx?lang=%65n&rows=3&RND=0.5",
        ],
        &["/v1/deposits?terms=6,12", "/v1/deposits?terms=P12M&terms=6", "/v1/deposits?terms=12,P6M,6"],
    ] {
        let before = site.derived.renders();
        let mut bodies = Vec::new();
        for address in spellings {
            let response = house.get(address).await;
            assert_eq!(response.status(), 200, "{address}");
            bodies.push(response.bytes().await.unwrap());
        }
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{spellings:?}");
        assert_eq!(site.derived.renders() - before, 1, "{spellings:?}");
    }
    // What is refused leaves nothing behind.
    let before = site.derived.size().await;
    for n in 0..200 {
        assert_eq!(house.get(&format!("/v1/gold?x={n}")).await.status(), 422);
        assert_eq!(house.get(&format!("/widgets/gold?rows=x{n}")).await.status(), 422);
    }
    assert_eq!(site.derived.size().await.0, before.0);
    house.app.stop().await;
}

/// Headers of which some server or cache somewhere makes something.
const POISON: &[(&str, &str)] = &[
    ("host", "evil.example"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-proto", "evil"),
    ("x-forwarded-port", "666"),
    ("x-forwarded-prefix", "/evil"),
    ("x-forwarded-scheme", "evil"),
    ("x-forwarded-server", "evil.example"),
    ("x-forwarded-for", "203.0.113.66"),
    ("x-host", "evil.example"),
    ("x-original-url", "/evil"),
    ("x-rewrite-url", "/evil"),
    ("x-http-method-override", "DELETE"),
    ("x-method-override", "POST"),
    ("forwarded", "for=203.0.113.66;host=evil.example;proto=evil"),
    ("accept-language", "en-GB"),
    ("cookie", "lang=en; theme=dark; evil=1"),
    ("user-agent", "evil"),
    ("origin", "https://evil.example"),
    ("referer", "https://evil.example/evil"),
    ("authorization", "Bearer evil"),
    ("range", "bytes=0-9"),
    ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
    ("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("if-match", "\"evil\""),
    ("cache-control", "no-cache"),
    ("pragma", "no-cache"),
    ("content-type", "evil/evil"),
    ("save-data", "on"),
    ("sec-ch-prefers-color-scheme", "dark"),
    ("sec-fetch-dest", "iframe"),
    ("te", "trailers"),
    ("via", "1.1 evil"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a06_no_header_of_a_request_changes_what_is_sent_to_the_next_one() {
    let house = unlimited().await;
    let shown = async |address: &str, headers: &[(&str, &str)]| {
        let response = house.request(Method::GET, address, headers).await;
        let mut own: Vec<(String, String)> = response
            .headers()
            .iter()
            .filter(|(name, _)| !["date", "cache-control", "x-request-id"].contains(&name.as_str()))
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        own.sort();
        (response.status().as_u16(), own, response.bytes().await.unwrap())
    };
    for (address, _) in EVERYTHING {
        // First the attacker, alone with each header and with all of them, then a reader.
        let all = shown(address, POISON).await;
        let mut each = Vec::new();
        // The way of the quick answer, and that of what is computed.
        if ["/v1/board", "/widgets/panel", "/oembed?url=http://127.0.0.1:8080/widgets/fx", "/"]
            .contains(address)
        {
            for header in POISON {
                each.push(shown(address, &[*header]).await);
            }
        }
        let plain = shown(address, &[]).await;
        assert_eq!(plain.0, 200, "{address}");
        assert_eq!(all, plain, "{address}");
        assert!(each.iter().all(|one| *one == plain), "{address}");
        let body = String::from_utf8_lossy(&plain.2);
        assert!(!body.contains("evil"), "{address}");
        let vary = plain.1.iter().find(|(name, _)| name == "vary").map(|(_, value)| value.as_str());
        assert_eq!(vary, Some("Accept-Encoding"), "{address}");
    }
    // Errors are kept by nobody.
    for (address, status) in REFUSED {
        let response = house.request(Method::GET, address, POISON).await;
        assert_eq!(
            (response.status().as_u16(), &*header(&response, "cache-control")),
            (*status, "no-store"),
            "{address}"
        );
        let body = response.text().await.unwrap();
        assert!(
            !body.replace("http://evil.example/widgets/fx", "").contains("evil.example"),
            "{address}: {body}"
        );
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a07_no_line_end_in_any_input_becomes_a_header() {
    let house = unlimited().await;
    for payload in [
        "%0d%0aX-Injected:%20yes",
        "%0aX-Injected:%20yes",
        "%0d%0a%0d%0aHTTP/1.1%20200%20OK%0d%0aX-Injected:%20yes",
        "%E5%98%8A%E5%98%8DX-Injected:%20yes",
        "%00%0d%0aX-Injected:%20yes",
    ] {
        for input in INPUTS {
            let response = house.get(&format!("{input}{payload}")).await;
            let status = response.status().as_u16();
            assert!([404, 422, 501].contains(&status), "{input}{payload}: {status}");
            assert!(!response.headers().contains_key("x-injected"), "{input}{payload}");
            let said = response
                .headers()
                .values()
                .any(|value| value.as_bytes().windows(8).any(|part| part == b"Injected"));
            assert!(!said, "{input}{payload}: in a value of a header");
        }
    }
    // As they are, over the wire: in the target, in a name, in a value.
    let requests = [
        "GET /v1/gold\rX-Injected: yes HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/gold?unit=chi\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/gold HTTP/1.1\r\nHost: x\rX-Injected: yes\r\n\r\n",
        "GET /v1/gold HTTP/1.1\r\nHost: x\r\nOrigin: a\r\r\nX: y\r\n\r\n",
        "GET /v1/gold HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"a\rb\"\r\n\r\n",
        "GET /v1/gold HTTP/1.1\r\nHost: x\r\nX\rInjected: yes\r\n\r\n",
    ];
    let answers = join_all(requests.iter().map(|request| {
        let house = &house;
        async move { exchange(house, &[request.as_bytes()]).await }
    }))
    .await;
    for (request, answer) in requests.iter().zip(answers) {
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
        assert!(!answer.to_lowercase().contains("injected"), "{request:?}");
    }
    house.app.stop().await;
    // Nor what an operator pastes into the one header that is made of configuration.
    let bank = Bank::open().await;
    for ancestors in [
        "https://a.example\\r\\nX-Injected: yes",
        "https://a.example; script-src *",
        "https://a.example, *",
        "https://a.example 'unsafe-inline'",
    ] {
        let text = config_text(&bank, std::path::Path::new("x.db"))
            + &format!("[presets.p]\nwidget = \"fx\"\nframe_ancestors = [\"{ancestors}\"]\n");
        let read = banggia::config::assemble(
            Some((std::path::Path::new("b.toml"), &text)),
            &[],
            &banggia::config::Overrides::default(),
        );
        assert!(read.is_err(), "{ancestors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_no_path_leads_out_of_the_program() {
    let house = unlimited().await;
    let up = [
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "..%c0%af",
        "%c0%ae%c0%ae/",
        "..%252f",
        "....//",
        "..;/",
        ".%00./",
        "%u002e%u002e/",
    ];
    let mut targets: Vec<String> = [
        "/assets/",
        "/embed/",
        "/embed/0.1.0/",
        "/images/",
        "/fragments/",
        "/widgets/",
        "/docs/problems/",
        "/v1/",
        "/",
    ]
    .iter()
    .flat_map(|folder| {
        up.iter().flat_map(move |up| {
            ["etc/passwd", "Cargo.toml", "banggia.db"].map(|file| format!("{folder}{}{file}", up.repeat(5)))
        })
    })
    .collect();
    for one in [
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
        "//etc/passwd",
        "/etc/passwd",
        "/assets/file:///etc/passwd",
        "/embed/v1.js%00.css",
        "/embed/./v1.js",
        "/embed/x/../v1.js",
        "/embed/v1.js/",
        "/embed/V1.JS",
        "/embed/v1.js::$DATA",
        "/assets/.",
        "/assets/..",
        "/assets/%2e",
        "/images/gold.png%2f..%2f..",
        "/proc/self/environ",
        "/.git/config",
        "/.env",
        "/banggia.toml",
        "/assets/CON",
        "/~root",
        "/assets/*",
        "/docs/problems/not-found/../../../Cargo.toml",
    ] {
        targets.push(one.to_owned());
    }
    let answers = join_all(targets.iter().map(|target| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let house = &house;
        async move { exchange(house, &[request.as_bytes()]).await }
    }))
    .await;
    for (target, answer) in targets.iter().zip(answers) {
        let status = answer.get(9..12).unwrap_or_default();
        assert!(["404", "400"].contains(&status), "{target}: {answer:.100}");
        assert!(
            !answer.contains("root:") && !answer.contains("[package]") && !answer.contains("SQLite"),
            "{target}"
        );
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a15_nothing_leads_to_where_a_stranger_wants() {
    let house = unlimited().await;
    let evil = [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "https:evil.example",
        "http:///evil.example",
        "///evil.example",
        "/%09/evil.example",
        "%2f%2fevil.example",
        "javascript:alert(1)//evil.example",
        "data:text/html,evil.example",
        "https://127.0.0.1:8080@evil.example",
        "http://127.0.0.1:8080.evil.example",
        "http://127.0.0.1:8080\\@evil.example",
        "http://127.0.0.1:8080%2f@evil.example",
        "http://evil.example#http://127.0.0.1:8080/widgets/fx",
        "http://evil.example?http://127.0.0.1:8080/widgets/fx",
        "ht\ntp://evil.example",
        "http://evil.example\\@127.0.0.1:8080/widgets/fx",
        "http://127.0.0.1:80801/widgets/fx?x=evil.example",
        "http://[::ffff:127.0.0.1]:8080/widgets/fx?x=evil.example",
    ];
    let mut addresses: Vec<String> = Vec::new();
    for target in evil {
        let value = encoded(target);
        for name in
            ["url", "next", "redirect", "redirect_uri", "return", "returnTo", "goto", "continue", "r", "u"]
        {
            for page in ["/", "/v1", "/v1/gold", "/docs", "/widgets/fx", "/oembed"] {
                addresses.push(format!("{page}?{name}={value}"));
            }
        }
        for inside in
            [format!("{target}/widgets/fx"), format!("http://127.0.0.1:8080/widgets/fx?url={value}")]
        {
            addresses.push(format!("/oembed?url={}", encoded(&inside)));
        }
        addresses.push(format!("/{value}/.."));
        addresses.push(format!("/docs/problems/{value}"));
    }
    // What other programs mend with a redirect, one that begins with two slashes included.
    for path in [
        "//evil.example/",
        "//evil.example/%2e%2e",
        "/v1/",
        "/docs/",
        "/widgets/",
        "/widgets/fx/",
        "/embed",
        "/v1//gold",
        "/./v1/gold",
        "/V1/Gold",
    ] {
        addresses.push(path.to_owned());
    }
    for address in &addresses {
        let response = house.get(address).await;
        let status = response.status().as_u16();
        assert!([200, 404, 422, 501].contains(&status), "{address}: {status}");
        for name in ["location", "refresh", "content-location", "link", "set-cookie"] {
            assert!(!response.headers().contains_key(name), "{address}: {name}");
        }
        if status == 200 {
            let html = header(&response, "content-type").starts_with("text/html");
            let body = response.text().await.unwrap();
            assert!(!body.contains("evil.example"), "{address}: {body}");
            assert!(!html || !body.to_lowercase().contains("http-equiv=\"refresh"), "{address}");
            if address.starts_with("/oembed") {
                let answer: Value = serde_json::from_str(&body).unwrap();
                let html = answer["html"].as_str().unwrap();
                for (_, rest) in html.match_indices("=\"http").map(|(at, _)| html.split_at(at + 2)) {
                    assert!(rest.starts_with("http://127.0.0.1:8080/widgets/fx"), "{address}: {html}");
                }
            }
        }
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_an_address_in_a_request_is_never_asked() {
    let house = unlimited().await;
    // Somebody who would notice.
    let canary = Bank::open().await;
    let own = canary.address;
    for address in [
        format!("http://{own}/widgets/fx"),
        format!("http://127.0.0.1:8080@{own}/widgets/fx"),
        format!("http://localhost:{}/widgets/fx", own.port()),
        format!("http://2130706433:{}/widgets/fx", own.port()),
        format!("http://[::ffff:127.0.0.1]:{}/widgets/fx", own.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1:11211/_stats".to_owned(),
    ] {
        for input in
            ["/oembed?url=", "/widgets/fx?preset=", "/v1/gold?providers=", "/v1/convert?to=VND&from="]
        {
            let status = house.get(&format!("{input}{}", encoded(&address))).await.status();
            assert!([404, 422].contains(&status.as_u16()), "{input}{address}: {status}");
        }
    }
    // Nor is our own: what oEmbed says comes out of the snapshot.
    let asked = house.bank.all_hits();
    assert_eq!(house.get("/oembed?url=http://127.0.0.1:8080/widgets/fx").await.status(), 200);
    assert_eq!((canary.all_hits(), house.bank.all_hits()), (0, asked));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_a_configured_address_in_the_private_network_is_refused_in_every_spelling() {
    let canary = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = canary.local_addr().unwrap().port();
    let hosts = [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "169.254.169.254",
        "10.0.0.1",
        "[fd00::1]",
        "100.64.0.1",
    ];
    for some in hosts.chunks(9) {
        let mut hosts = some.iter().cycle();
        let house = House::with(
            |_| {},
            |text| {
                let lines = text.lines().filter(|line| !line.starts_with("allow_private")).map(|line| {
                    if line.starts_with("url = \"http:") {
                        format!("url = \"https://{}:{port}/\"\n", hosts.next().unwrap())
                    } else {
                        format!("{line}\n")
                    }
                });
                lines.collect()
            },
        )
        .await;
        house.settled().await;
        let feeds = house.json("/v1/feeds").await;
        let mut refused = 0;
        for source in
            feeds["feeds"].as_array().unwrap().iter().flat_map(|feed| feed["sources"].as_array().unwrap())
        {
            if source["state"] != "skipped" {
                assert_eq!(source["reason"]["code"], "private_address", "{source}");
                refused += 1;
            }
        }
        assert!(refused >= some.len() - 2, "{refused}: all are asked but those without their secret");
        assert_eq!(house.bank.all_hits(), 0);
        house.app.stop().await;
    }
    assert!(futures_util::FutureExt::now_or_never(canary.accept()).is_none(), "nobody came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_a_replay_asks_nobody_whatever_its_recordings_say() {
    let bank = Bank::open().await;
    let folder = crate::canary::tempdir().unwrap();
    let house = folder.path().join("tpbank");
    std::fs::create_dir(&house).unwrap();
    // Addresses inside, and a link to a file outside, which is read as an answer and as nothing else.
    let text = format!(
        "<html><meta http-equiv=refresh content='0;url={0}'><img src={0}></html>",
        bank.url("/tpbank.gold/chart")
    );
    std::fs::write(house.join("gold.chart.2026-09-29T1530.json"), text).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", house.join("gold.chart.2026-09-30T1005.json")).unwrap();
    let text =
        config_text(&bank, std::path::Path::new("unused.db")).replace("sqlite:unused.db", "sqlite::memory:");
    let mode = banggia::app::Mode::Replay(Some(folder.path().to_owned()));
    let app = banggia::app::App::start(crate::house::config(&text), mode).await.unwrap();
    for _ in 0..3 {
        app.refresh("tpbank.gold").await.unwrap();
    }
    let feeds = crate::house::client()
        .get(format!("http://{}/v1/feeds", app.public))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(!feeds.contains("root:"), "{feeds}");
    assert_eq!(bank.all_hits(), 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a20_no_value_takes_longer_to_read_than_it_is_long() {
    let house = unlimited().await;
    let most = 7_800;
    let hostile: Vec<String> = [
        "a",
        ",",
        "0",
        "9",
        "-",
        "P9",
        "1,",
        "%41",
        "%C3%A1",
        "%cc%81",
        "%00",
        "%20",
        "USD,",
        "usd,EUR,",
        "(a+)+",
        "a%0a",
        "P6M,",
        "....",
        "%26",
        "http%3A%2F%2F",
    ]
    .iter()
    .map(|part| part.repeat(most / part.len()))
    .collect();
    let begun = Instant::now();
    let mut asked = 0;
    for value in &hostile {
        for input in INPUTS {
            let room = most - input.len();
            let value: String = value.chars().take(room - room % 3 % 2).collect();
            let status = house.get(&format!("{input}{value}")).await.status().as_u16();
            assert!([200, 404, 414, 422, 501].contains(&status), "{input}{value:.20}: {status}");
            asked += 1;
        }
    }
    let each = begun.elapsed() / asked;
    // A millisecond or two; whatever is quadratic in 8 kB takes far longer.
    assert!(each < Duration::from_millis(100), "{each:?}");
    house.app.stop().await;
}
