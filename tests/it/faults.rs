//! What sources really do, against the real service over real sockets: what is refused never replaces what is
//! served, and every refusal has a reason. Ids are those of the fault matrix.

use banggia::refresh::RunEnd;
use serde_json::{Value, json};

use crate::{
    bank::{Reply, closed_port},
    house::{House, path, recorded, source},
};

/// The failure's code, after a refresh that must not change what is served.
async fn refused(house: &House, feed: &str, name: &str, document: &str) -> String {
    let before = house.json(document).await["quotes"].clone();
    let end = house.refresh(feed).await;
    assert!(matches!(end, RunEnd::Failed(_)), "{end:?}");
    assert_eq!(house.json(document).await["quotes"], before, "what is served stays");
    let feed = house.feed(feed).await;
    let source = source(&feed, name).clone();
    assert_eq!(source["state"], "failing");
    assert!(feed["reason"]["message"].as_str().unwrap().len() > 10);
    source["reason"]["code"].as_str().unwrap().to_owned()
}

/// Also F-06 to F-11, F-13, F-15, F-18, F-19 and F-23: one each, against the gold of one bank.
#[tokio::test(flavor = "multi_thread")]
async fn f12_a_failing_source_never_replaces_what_is_served() {
    let html = "<!doctype html><html><head><title>Bảo trì</title></head><body>maintenance</body></html>";
    let good = recorded("tpbank.gold", "chart", 0, None);
    let cut = good[..good.len() - 20].to_vec();
    let scaled =
        String::from_utf8(good.clone()).unwrap().replace("00000,", "000000,").replace("00000}", "000000}");
    let cases: Vec<(&str, Reply, &str)> = vec![
        (
            "f06 reset in the body",
            Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"item\":[".to_vec()),
            "truncated",
        ),
        ("f07 length longer than the body", Reply::ok("{}").with("Content-Length", "500"), "truncated"),
        ("f08 cut json", Reply::ok(cut), "not_expected_content"),
        ("f09 status 404", Reply::status(404), "status"),
        ("f10 429 with retry-after", Reply::status(429).with("Retry-After", "120"), "retry_after"),
        (
            "f11 firewall page with status 200",
            Reply::ok(
                "<html><head><title>Request Rejected</title></head><body>The requested URL was rejected. Your support ID is: 1</body></html>",
            ),
            "blocked",
        ),
        ("f11 cloudflare", Reply::status(403).with("cf-mitigated", "challenge"), "blocked"),
        ("f12 maintenance page", Reply::ok(html), "not_expected_content"),
        ("f12 empty body", Reply::ok(""), "empty"),
        ("f12 empty list", Reply::ok("{\"item\":[]}"), "no_data"),
        ("f13 redirect", Reply::status(302).with("Location", "https://example.com/login"), "redirect"),
        ("f15 wrong coding", Reply::ok("{}").with("Content-Encoding", "gzip"), "coding"),
        ("f18 3 MB", Reply::ok(vec![b' '; 3 << 20]), "too_large"),
        (
            "f18 3 MB, length not said",
            Reply::Raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; 3 << 20]].concat()),
            "too_large",
        ),
        ("f19 not utf-8", Reply::ok(vec![b'{', 0xff, 0xfe, b'}']), "encoding"),
        ("f23 ten times the price", Reply::ok(scaled), "out_of_band"),
    ];
    // A service for each case, so that no back-off of another is in the way; all at once, since some retry.
    let mut cases: tokio::task::JoinSet<()> = cases
        .into_iter()
        .map(|(name, reply, code)| {
            let good = Reply::ok(good.clone());
            async move {
                let script =
                    |bank: &crate::bank::Bank| bank.script(&path("tpbank.gold", "chart"), [good, reply]);
                let house = House::with(script, |text| text).await;
                house.settled().await;
                assert_eq!(refused(&house, "tpbank.gold", "chart", "/v1/gold").await, code, "{name}");
                house.app.stop().await;
            }
        })
        .collect();
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_nobody_listens() {
    let (_held, closed) = closed_port();
    let house = House::with(
        |_| {},
        |text| {
            let line = text.lines().find(|line| line.contains("/tpbank.gold/chart")).unwrap().to_owned();
            text.replace(&line, &format!("url = \"http://{closed}/\""))
        },
    )
    .await;
    let feeds = house.wait("tpbank was asked", |feeds| feeds.to_string().contains("\"connect\"")).await;
    let feed =
        feeds["feeds"].as_array().unwrap().iter().find(|feed| feed["id"] == "tpbank.gold").unwrap().clone();
    assert_eq!((&feed["status"], &feed["checked_at"]), (&json!("unavailable"), &Value::Null));
    assert_eq!(house.get("/v1/gold").await.status(), 200);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f04_headers_that_never_end_are_given_up_at_the_deadline() {
    let house = House::with(
        |bank| bank.script(&path("tpbank.gold", "chart"), [Reply::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec())]),
        |text| text.replace("timeout = \"3s\"", "timeout = \"1s\""),
    )
    .await;
    house.wait("the deadline passed", |feeds| feeds.to_string().contains("\"timeout\"")).await;
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f09_a_passing_failure_is_retried_within_the_run() {
    let good = Reply::ok(recorded("tpbank.gold", "chart", 0, None));
    let house = House::with(
        |bank| bank.script(&path("tpbank.gold", "chart"), [Reply::status(503), good]),
        |text| text,
    )
    .await;
    house.settled().await;
    assert_eq!(house.feed("tpbank.gold").await["status"], "fresh");
    assert_eq!(house.bank.hits(&path("tpbank.gold", "chart")).len(), 2);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_a_private_address_is_refused_before_anything_is_sent() {
    let house = House::with(
        |_| {},
        // Built-in http sources may be http without allow_private, and so reach the guard itself.
        |text| {
            let (head, tail) = text.split_once("[feeds.doji.gold.sources.xml]").unwrap();
            let tail = tail.replacen("allow_private = true\n", "", 1);
            format!("{head}[feeds.doji.gold.sources.xml]{tail}\n[secrets]\ndoji_api_key = \"k\"\n")
        },
    )
    .await;
    house.settled().await;
    let feed = house.feed("doji.gold").await;
    assert_eq!(source(&feed, "xml")["reason"]["code"], "private_address");
    assert_eq!(feed["source"], "vangtoday", "the other sources go on");
    assert!(house.bank.hits(&path("doji.gold", "xml")).is_empty());
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_a_bomb_is_stopped_at_eight_megabytes() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        gzip.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let bomb = Reply::ok(gzip.finish().unwrap()).with("Content-Encoding", "gzip");
    let house = House::with(|bank| bank.script(&path("vietcombank.fx", "json"), [bomb]), |text| text).await;
    house.wait("the bomb was seen", |feeds| feeds.to_string().contains("too_large")).await;
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f29_a_missing_row_ages_and_half_a_board_is_refused() {
    let board = String::from_utf8(recorded("vietcombank.fx", "json", 0, None)).unwrap();
    let without = |codes: &[&str]| {
        let mut board: Value = serde_json::from_str(&board).unwrap();
        let rows = board["Data"].as_array_mut().unwrap();
        rows.retain(|row| !codes.contains(&row["currencyCode"].as_str().unwrap()));
        let count = rows.len();
        board["Count"] = json!(count);
        Reply::ok(board.to_string())
    };
    let house = House::with(
        |bank| {
            bank.script(
                &path("vietcombank.fx", "json"),
                [
                    Reply::ok(board.clone()),
                    without(&["KRW"]),
                    without(&["KRW", "EUR", "GBP", "JPY", "AUD", "SGD", "THB", "CAD"]),
                ],
            );
        },
        |text| text,
    )
    .await;
    house.settled().await;
    assert_eq!(house.refresh("vietcombank.fx").await, RunEnd::Good);
    assert_eq!(
        house.quote("/v1/fx", "vietcombank.fx.KRW").await["status"],
        "fresh",
        "it ages, it is not deleted"
    );
    house.refresh("vietcombank.fx").await;
    let feed = house.feed("vietcombank.fx").await;
    assert_eq!(source(&feed, "json")["reason"]["code"], "incomplete");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f36_a_304_and_an_unchanged_answer_advance_the_check_time_only() {
    let tag = "\"v1\"";
    let house = House::with(
        |bank| {
            let good = Reply::ok(recorded("tpbank.gold", "chart", 0, None)).with("ETag", tag);
            bank.script(
                &path("tpbank.gold", "chart"),
                [good, Reply::Http(304, vec![("ETag", tag.to_owned())], Vec::new())],
            );
        },
        |text| text,
    )
    .await;
    house.settled().await;
    assert_eq!(house.refresh("tpbank.gold").await, RunEnd::Good);
    let hits = house.bank.hits(&path("tpbank.gold", "chart"));
    assert!(
        hits.last().unwrap().head.to_lowercase().contains("if-none-match: \"v1\""),
        "{}",
        hits.last().unwrap().head
    );
    let feed = house.feed("tpbank.gold").await;
    assert_eq!(
        (&feed["status"], &source(&feed, "chart")["last_outcome"]),
        (&json!("fresh"), &json!("unchanged"))
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bidv_is_asked_for_the_days_list_then_for_the_newest_board() {
    let house = House::on_a_good_day().await;
    let lists = house.bank.hits(&path("bidv.fx", "board"));
    let boards = house.bank.hits("/bidv.fx/ExchangeDetailServlet");
    assert_eq!((lists.len(), boards.len()), (1, 1));
    assert_eq!(lists[0].method, "POST");
    assert!(
        lists[0].body.starts_with("date=") && boards[0].body.contains("&time="),
        "{} {}",
        lists[0].body,
        boards[0].body
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bidv_deposits_are_asked_by_post_and_then_by_get() {
    let good = Reply::ok(recorded("bidv.deposit", "rates", 0, None));
    let house = House::with(
        |bank| bank.script(&path("bidv.deposit", "rates"), [Reply::status(405), good]),
        |text| text,
    )
    .await;
    house.settled().await;
    let methods: Vec<String> =
        house.bank.hits(&path("bidv.deposit", "rates")).into_iter().map(|hit| hit.method).collect();
    assert_eq!(methods, ["POST", "GET"]);
    assert_eq!(house.feed("bidv.deposit").await["status"], "fresh");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_source_takes_over_and_is_named() {
    let xml = include_bytes!("../../providers/fixtures/vietcombank/fx.xml.2026-09-02.xml");
    let house = House::with(
        |bank| {
            bank.script(&path("vietcombank.fx", "json"), [Reply::ok("<html><title>x</title></html>")]);
            bank.script(&path("vietcombank.fx", "xml"), [Reply::ok(xml.to_vec())]);
        },
        |text| text,
    )
    .await;
    house.settled().await;
    let usd = house.quote("/v1/fx", "vietcombank.fx.USD").await;
    assert_eq!(
        (&usd["source"], &usd["via"], &usd["buy_cash"]),
        (&json!("xml"), &Value::Null, &json!("25850.00"))
    );
    let feed = house.feed("vietcombank.fx").await;
    assert_eq!(
        (&source(&feed, "json")["state"], &source(&feed, "xml")["state"]),
        (&json!("failing"), &json!("used"))
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_its_secret_is_skipped_and_says_so() {
    let house = House::on_a_good_day().await;
    let feed = house.feed("doji.gold").await;
    assert_eq!(source(&feed, "board")["state"], "skipped");
    assert!(source(&feed, "board")["reason"]["message"].as_str().unwrap().contains("doji_board_key"));
    assert!(house.bank.hits(&path("doji.gold", "board")).is_empty());
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_a_body_that_drips_is_given_up_after_five_seconds() {
    let reply = Reply::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec());
    let house = House::with(
        |bank| bank.script(&path("tpbank.gold", "chart"), [reply]),
        |text| text.replace("timeout = \"3s\"", "timeout = \"30s\""),
    )
    .await;
    // It is tried three times.
    house.wait("it was too slow", |feeds| feeds.to_string().contains("\"slow\"")).await;
    house.app.stop().await;
}

/// The board as the bank sends it: base64 of a random IV and AES-256-CBC.
pub fn envelope(plain: &[u8], key: &[u8; 32], iv: &[u8; 16]) -> Vec<u8> {
    use aes::cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7};
    use base64::Engine as _;
    let cipher = cbc::Encryptor::<aes::Aes256>::new(key.into(), iv.into());
    let data = [iv.as_slice(), &cipher.encrypt_padded_vec::<Pkcs7>(plain)].concat();
    format!(
        "{{\"status\":true,\"data\":\"{}\",\"messageObject\":{{\"code\":\"0000\",\"message\":\"Success\"}}}}",
        base64::engine::general_purpose::STANDARD.encode(data)
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_of_doji_opens_with_the_operators_key_and_a_changed_key_keeps_the_last_good_value() {
    // Keys of this test, drawn anew at every run; no key of DOJI's.
    let random = || {
        std::array::from_fn::<u8, 32, _>(|_| {
            use std::hash::{BuildHasher as _, Hasher as _};
            u8::try_from(std::collections::hash_map::RandomState::new().build_hasher().finish() & 0xff)
                .unwrap()
        })
    };
    let (key, other, iv) = (random(), random(), random());
    let iv: [u8; 16] = iv[..16].try_into().unwrap();
    let plain = include_bytes!("../../providers/fixtures/doji/gold.board.2026-08-31.json");
    let hex = key.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let house = House::with(
        |bank| {
            let (good, bad) = (envelope(plain, &key, &iv), envelope(plain, &other, &iv));
            bank.script(&path("doji.gold", "board"), [Reply::ok(good), Reply::ok(bad)]);
            bank.script(&path("doji.gold", "vangtoday"), [Reply::status(404)]);
        },
        |text| format!("{text}[secrets]\ndoji_board_key = \"{hex}\"\n"),
    )
    .await;
    house.settled().await;
    let bar = house.quote("/v1/gold", "doji.gold.sjc-bar").await;
    assert_eq!(
        (&bar["source"], &bar["via"], &bar["buy"]),
        (&json!("board"), &Value::Null, &json!("145700000"))
    );
    let ten = house.quote("/v1/gold", "doji.gold.raw-10k").await;
    assert_eq!((&ten["buy"], &ten["sell"]), (&json!("53480000"), &Value::Null));
    assert_eq!(refused(&house, "doji.gold", "board", "/v1/gold").await, "envelope_key");
    let feed = house.feed("doji.gold").await;
    assert_eq!(source(&feed, "board")["reason"]["message"], "the envelope does not open with this key");
    assert!(!house.get("/v1/feeds").await.text().await.unwrap().contains(&hex));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_asked_one_thing_at_a_time_and_a_feed_never_overlaps_itself() {
    let house = House::on_a_good_day().await;
    // All sources of this house are one host.
    let runs = providers::feeds().flat_map(|(_, feed)| [feed.id, feed.id]).map(|id| house.app.refresh(id));
    for end in futures_util::future::join_all(runs).await {
        assert_eq!(end, Some(RunEnd::Good));
    }
    assert_eq!(house.bank.hits(&path("tpbank.gold", "chart")).len(), 3);
    assert_eq!(house.bank.most_at_once(), 1);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_compressed_answers_are_read_and_nobody_else_is_imitated() {
    use std::io::Write as _;
    let plain = recorded("tpbank.gold", "chart", 0, None);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).unwrap();
    let mut brotli = Vec::new();
    brotli::BrotliCompress(&mut plain.as_slice(), &mut brotli, &brotli::enc::BrotliEncoderParams::default())
        .unwrap();
    for (coding, body) in [("gzip", gzip.finish().unwrap()), ("br", brotli)] {
        let reply = Reply::ok(body).with("Content-Encoding", coding);
        let house =
            House::with(|bank| bank.script(&path("tpbank.gold", "chart"), [reply]), |text| text).await;
        house.settled().await;
        assert_eq!(house.feed("tpbank.gold").await["status"], "fresh", "{coding}");
        let head = house.bank.hits(&path("tpbank.gold", "chart"))[0].head.to_lowercase();
        assert!(
            head.contains("user-agent: banggia/1") && head.contains("accept-encoding: gzip, br"),
            "{head}"
        );
        house.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_secrets_are_cut_out_of_what_a_source_repeats() {
    let house = House::with(
        |bank| {
            let location = bank.url("/login?api_key=CANARY-0815");
            bank.script(&path("doji.gold", "xml"), [Reply::status(302).with("Location", location)]);
            let said = "{\"success\":false,\"message\":\"key CANARY-0815 and CANARY-TOKEN are bad\"}";
            bank.script(&path("doji.gold", "vangtoday"), [Reply::ok(said)]);
        },
        |text| {
            let text = text.replace("/doji.gold/vangtoday\"", "/doji.gold/vangtoday?token=CANARY-TOKEN\"");
            format!("{text}[secrets]\ndoji_api_key = \"CANARY-0815\"\n")
        },
    )
    .await;
    house.settled().await;
    house.refresh("doji.gold").await;
    let hit = &house.bank.hits(&path("doji.gold", "xml"))[0].target;
    assert!(hit.contains("api_key=CANARY-0815"), "it is sent: {hit}");
    let feeds = house.get("/v1/feeds").await.text().await.unwrap();
    assert!(
        feeds.contains("/login, which is not followed") && feeds.contains("key \\u003credacted"),
        "{feeds}"
    );
    let file = house.folder.path().join("banggia.db");
    house.app.stop().await;
    for text in [feeds.into_bytes(), std::fs::read(file).unwrap()] {
        assert!(!text.windows(6).any(|window| window == b"CANARY"), "neither shown nor stored");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_source_is_no_change_of_value() {
    let json = recorded("vietcombank.fx", "json", 0, None);
    let rows: Value = serde_json::from_slice(&json).unwrap();
    let rows = rows["Data"].as_array().unwrap().iter().fold(String::new(), |rows, row| {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let (code, cash, transfer, sell) =
            (text("currencyCode"), text("cash"), text("transfer"), text("sell"));
        format!(
            "{rows}<Exrate CurrencyCode=\"{code}\" Buy=\"{cash}\" Transfer=\"{transfer}\" Sell=\"{sell}\" />"
        )
    });
    let xml = format!("<ExrateList><DateTime>9/29/2026 3:00:00 PM</DateTime>{rows}</ExrateList>");
    let house = House::with(
        |bank| {
            bank.script(&path("vietcombank.fx", "json"), [Reply::ok(json), Reply::status(404)]);
            bank.script(&path("vietcombank.fx", "xml"), [Reply::ok(xml)]);
        },
        |text| text,
    )
    .await;
    house.settled().await;
    let before = house.quote("/v1/fx", "vietcombank.fx.USD").await;
    house
        .wait("a second passed", |_| {
            jiff_now()
                > before["changed_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
        })
        .await;
    assert_eq!(house.refresh("vietcombank.fx").await, RunEnd::Good);
    let feed = house.feed("vietcombank.fx").await;
    assert_eq!(source(&feed, "xml")["last_outcome"], "ok");
    let after = house.quote("/v1/fx", "vietcombank.fx.USD").await;
    assert_eq!(after["changed_at"], before["changed_at"]);
    assert_eq!(after["change_sell"], Value::Null, "there never was another value");
    house.app.stop().await;
}

fn jiff_now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_figure_that_the_first_source_lost_comes_from_the_next_one() {
    let bar = "<Row Name='DOJI HN lẻ' Key='x' Sell='142,000' Buy='139,000' />";
    let ring = "<Row Name='Nhẫn Tròn 9999 Hưng Thịnh Vượng' Key='y' Sell='14,100' Buy='13,800' />";
    let xml = |rows: &str| {
        Reply::ok(format!(
            "<GoldList><DGPlist>{bar}</DGPlist><JewelryList>{bar}{rows}</JewelryList></GoldList>"
        ))
    };
    let catalogue = r#"{"success":true,"timestamp":1790670600,"prices":{
        "DOHNL":{"name":"DOJI HN","buy":139000000,"sell":142000000,"currency":"VND"},
        "DOJINHTV":{"name":"ring","buy":138100000,"sell":141100000,"currency":"VND"}}}"#;
    // Due every second: what is not read again is stale two seconds later.
    let hcm = "<Row Name='DOJI HCM lẻ' Sell='142,000' Buy='139,000' /><Row Name='Giá Nguyên Liệu 18K' Sell='-' Buy='10,360' /><Row Name='Giá Nguyên Liệu 14K' Sell='-' Buy='7,910' />";
    let house = House::with(
        |bank| {
            bank.script(&path("doji.gold", "xml"), [xml(&format!("{hcm}{ring}")), xml(hcm)]);
            bank.script(&path("doji.gold", "vangtoday"), [Reply::ok(catalogue)]);
        },
        |text| {
            let text = text.replace(
                "[feeds.doji.gold]\nschedule = \"0 3 1 1 *\"",
                "[feeds.doji.gold]\nstale_after = \"1s\"\nschedule = \"* * * * * *\"",
            );
            format!("{text}[secrets]\ndoji_api_key = \"k\"\n")
        },
    )
    .await;
    let gold = house
        .wait_for("/v1/gold", "the ring comes from the stand-in", |gold| {
            crate::house::find(gold, "doji.gold.ring-9999").is_some_and(|ring| ring["via"] == "vang.today")
        })
        .await;
    let ring = crate::house::find(&gold, "doji.gold.ring-9999").unwrap();
    assert_eq!((&ring["buy"], &ring["change_buy"]), (&json!("138100000"), &json!("100000")));
    let bar = crate::house::find(&gold, "doji.gold.sjc-bar.hanoi").unwrap();
    assert_eq!(
        (&bar["via"], &bar["source"]),
        (&Value::Null, &json!("xml")),
        "the first source keeps what it has"
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_that_part_replace_the_one_rate_for_both() {
    let both = recorded("bidv.deposit", "rates", 0, None);
    let mut apart: Value = serde_json::from_slice(&both).unwrap();
    for row in apart["hcm"]["data"].as_array_mut().unwrap() {
        let rate: rust_decimal::Decimal = row["VND"].as_str().unwrap().parse().unwrap();
        row["VND"] = json!((rate + rust_decimal::dec!(0.2)).to_string());
    }
    let house = House::with(
        |bank| {
            let replies = [Reply::ok(both.clone()), Reply::ok(apart.to_string()), Reply::ok(both)];
            bank.script(&path("bidv.deposit", "rates"), replies);
        },
        |text| text,
    )
    .await;
    house.settled().await;
    assert_eq!(house.quote("/v1/deposits", "bidv.deposit.counter.P12M").await["rate_percent"], "5.9");

    assert_eq!(house.refresh("bidv.deposit").await, RunEnd::Good, "the same board, told by region");
    let deposits = house.json("/v1/deposits").await;
    let rate = |id: &str| crate::house::find(&deposits, id).map(|quote| quote["rate_percent"].clone());
    assert_eq!(rate("bidv.deposit.counter.P12M.hanoi"), Some(json!("5.9")));
    assert_eq!(rate("bidv.deposit.counter.P12M.hcm"), Some(json!("6.1")));
    assert_eq!(rate("bidv.deposit.counter.P12M"), None, "what was replaced is not served beside it");

    let house = house.restart(|text| text).await;
    let deposits = house.json("/v1/deposits").await;
    assert!(crate::house::find(&deposits, "bidv.deposit.counter.P12M").is_none(), "nor after a restart");
    assert_eq!(house.refresh("bidv.deposit").await, RunEnd::Good);
    let deposits = house.json("/v1/deposits").await;
    assert!(crate::house::find(&deposits, "bidv.deposit.counter.P12M").is_some());
    assert!(crate::house::find(&deposits, "bidv.deposit.counter.P12M.hcm").is_none());
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_source_that_asks_for_no_wait_is_not_hammered() {
    let reply = Reply::status(503).with("Retry-After", "0");
    let house = House::with(|bank| bank.script(&path("tpbank.gold", "chart"), [reply]), |text| text).await;
    house.settled().await;
    let feed = house.feed("tpbank.gold").await;
    let at = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    let wait = at(&feed["next_refresh_at"]) - at(&source(&feed, "chart")["last_attempt_at"]);
    assert!((29..=31).contains(&wait), "{wait}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_used_where_one_is_set_and_does_not_open_the_private_network() {
    let far = "http://bank.example/chart";
    let house = House::with(
        |bank| bank.script(far, [Reply::ok(recorded("tpbank.gold", "chart", 0, None))]),
        |text| {
            let proxy = text.lines().find_map(|line| line.split_once("/tpbank.gold/chart")).unwrap().0;
            let proxy = proxy.trim_start_matches("url = \"").to_owned();
            let text = text.replace(&format!("{proxy}/tpbank.gold/chart"), far);
            // The built-in http source of DOJI stays on a private address, without allow_private.
            let (head, tail) = text.split_once("[feeds.doji.gold.sources.xml]").unwrap();
            let tail = tail.replacen("allow_private = true\n", "", 1);
            let secrets = "[secrets]\ndoji_api_key = \"k\"\n";
            format!("{head}[feeds.doji.gold.sources.xml]{tail}[fetch]\nproxy = \"{proxy}\"\n{secrets}")
        },
    )
    .await;
    house.settled().await;
    assert_eq!(house.feed("tpbank.gold").await["status"], "fresh");
    assert_eq!(house.bank.hits(far).len(), 1, "asked of the proxy, by its whole address");
    let doji = house.feed("doji.gold").await;
    assert_eq!(source(&doji, "xml")["reason"]["code"], "private_address");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f22_a_source_whose_clock_is_an_hour_off_is_read_and_counted() {
    let tape = || Reply::ok(recorded("tpbank.gold", "chart", 0, None));
    let an_hour_ago = jiff::Timestamp::from_second(jiff_now() - 3600).unwrap();
    let date = an_hour_ago.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let house = House::with(
        |bank| bank.script(&path("tpbank.gold", "chart"), [tape().with("Date", date)]),
        |text| text,
    )
    .await;
    house.settled().await;
    assert_eq!(house.feed("tpbank.gold").await["status"], "fresh");
    let metrics =
        crate::house::client().get(format!("http://{}/metrics", house.app.ops)).send().await.unwrap();
    let text = metrics.text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with("banggia_clock_skew_seconds{feed=\"tpbank.gold\""));
    let skew: i64 = line.unwrap_or_else(|| panic!("{text}")).rsplit(' ').next().unwrap().parse().unwrap();
    assert!((-3700..=-3590).contains(&skew), "{skew}");
    house.app.stop().await;
}
