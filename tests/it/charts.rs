//! Charts over the running service: what the store knows is what is drawn, a gap stays one, and whoever asks too much or the
//! wrong thing is told so.

use banggia::store::{Past, PastBoard};
use jiff::{Timestamp, ToSpan as _, civil::Date};
use providers::{AsOf, Fx, Quote, VIETNAM};
use rust_decimal::Decimal;

use crate::house::House;

/// A day that is so many days ago, in Vietnam.
fn ago(days: i64) -> Date {
    let day = Timestamp::now().checked_sub((days * 24).hours()).unwrap();
    VIETNAM.to_datetime(day).date()
}

/// What Vietcombank paid and asked for dollars at the noon of days that have passed.
async fn history(house: &House, days: impl IntoIterator<Item = (i64, i64)>) {
    history_of(house, "USD", days).await;
}

async fn history_of(house: &House, currency: &'static str, days: impl IntoIterator<Item = (i64, i64)>) {
    let url = format!("sqlite:{}", house.folder.path().join("banggia.db").display());
    let mut past = Past::open(&url, "vietcombank.fx", "json").await.unwrap();
    for (days, sell) in days {
        let day = ago(days);
        let fx = Fx {
            currency: currency.into(),
            variant: None,
            name: None,
            per: 1,
            buy_cash: None,
            buy_transfer: Some(Decimal::from(sell - 200)),
            sell: Some(Decimal::from(sell)),
            sell_cash: None,
        };
        let noon = VIETNAM.to_timestamp(day.at(12, 0, 0, 0)).unwrap();
        let board = PastBoard { day, as_of: AsOf::At(noon), quotes: vec![Quote::Fx(fx)] };
        assert_eq!(past.keep(&board, Timestamp::now()).await.unwrap(), 1, "{day}");
    }
}

fn summary(html: &str) -> String {
    let (_, rest) = html.split_once(r#"role="img" aria-label=""#).unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

async fn text(house: &House, path: &str) -> String {
    let response = house.get(path).await;
    assert_eq!(response.status(), 200, "{path}");
    response.text().await.unwrap()
}

/// Asked every day, and given up a day after a run was missed.
fn daily(text: &str) -> String {
    text.replace(
        "[feeds.vietcombank.fx]\nschedule = \"0 3 1 1 *\"",
        "[feeds.vietcombank.fx]\nstale_after = \"1h\"\nexpire_after = \"24h\"\nschedule = \"0 12 * * *\"",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_draws_what_the_store_keeps_in_every_way_in() {
    let house = House::on_a_good_day().await;
    history(&house, [(40, 25_000), (20, 26_500), (10, 26_100), (9, 26_100)]).await;
    let series = "series=vietcombank.fx.USD";
    let page = text(&house, &format!("/widgets/chart?{series}")).await;
    let told = summary(&page);
    assert!(told.starts_with("USD, Đô la Mỹ, Vietcombank, ĐVT: đồng. Từ "), "{told}");
    for part in ["Giá bán: đầu kỳ 25.000,", "cao nhất 26.500", "Giá mua: đầu kỳ 24.800,", "thấp nhất 24.800"]
    {
        assert!(told.contains(part), "{part} is missing: {told}");
    }
    assert!(!told.contains("Không có số liệu"), "its rules allow a year: {told}");
    assert!(page.contains("giá tham khảo") && page.contains("https://www.vietcombank.com.vn/"));
    let fragment = text(&house, &format!("/fragments/chart?{series}")).await;
    assert_eq!(summary(&fragment), told);
    let tree: serde_json::Value =
        serde_json::from_str(&text(&house, &format!("/fragments/chart.json?{series}")).await).unwrap();
    assert!(tree.to_string().contains("bgia-sell"));
    let svg = text(&house, &format!("/images/chart.svg?{series}&theme=dark&lang=en")).await;
    assert!(svg.len() <= 15_000 && svg.contains("<desc>USD, US dollar, Vietcombank"), "{svg}");
    let png = house.get(&format!("/images/chart.png?{series}&scale=2")).await.bytes().await.unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() <= 90_000);
    // Seven days begin with what was in force.
    let week = summary(&text(&house, &format!("/widgets/chart?{series}&range=7d")).await);
    assert!(week.contains("đầu kỳ 26.100") && !week.contains("26.500"), "{week}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_longer_than_the_rules_of_the_feed_is_left_open_and_said() {
    let house = House::with(|_| {}, |text| daily(&text)).await;
    house.settled().await;
    let days = (1..=25).rev().filter(|day| !(8..=16).contains(day));
    history(&house, days.map(|day| (day, 26_000 + day))).await;
    let page = text(&house, "/widgets/chart?series=vietcombank.fx.USD").await;
    let told = summary(&page);
    assert!(told.contains("Không có số liệu: "), "{told}");
    let sell = page.split_once("class=\"bgia-sell\" d=\"").unwrap().1.split_once('"').unwrap().0;
    assert_eq!(sell.matches('M').count(), 2, "one gap, two lines: {sell}");
    // Another currency of the same board was heard meanwhile: a price that stands still is not missing.
    history_of(&house, "EUR", (8..=16).rev().map(|day| (day, 30_000 + day))).await;
    let told = summary(&text(&house, "/widgets/chart?series=vietcombank.fx.USD&range=90d").await);
    assert!(told.contains("Giá bán") && !told.contains("Không có số liệu"), "{told}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_series_or_range_is_told_what_is_allowed() {
    let house = House::on_a_good_day().await;
    for (query, parameter, allowed) in [
        ("series=acb.gold.bar", "series", "doji.gold.…"),
        ("series=vietcombank.fx.XXX", "series", "vietcombank.fx.USD"),
        ("series=%3Cscript%3E", "series", "doji.gold.…"),
        ("range=2w", "range", "30d"),
        ("range=7d&from=2026-01-01", "range", "either range, or from and to"),
        ("from=tomorrow", "from", "2026-09-30"),
        ("from=2026-03-01&to=2026-02-01", "from", "before 2026-02-01"),
        ("from=2001-01-01", "from", "5 years at most"),
        ("lang=fr", "lang", "vi"),
    ] {
        for path in ["/widgets/chart", "/images/chart.svg", "/fragments/chart.json"] {
            let response = house.get(&format!("{path}?{query}")).await;
            assert_eq!(response.status(), 422, "{path}?{query}");
            let body = response.text().await.unwrap();
            assert!(body.contains(&format!("\"parameter\":\"{parameter}\"")), "{query}: {body}");
            assert!(body.contains(allowed) && !body.contains('<'), "{query}: {body}");
        }
    }
    assert_eq!(house.get("/widgets/chart?utm_source=zalo").await.status(), 200, "campaign tags are ignored");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_over_are_kept_for_a_day_and_days_without_a_price_are_an_empty_frame() {
    let house = House::on_a_good_day().await;
    history(&house, [(20, 26_500), (10, 26_100)]).await;
    let (from, to) = (ago(21), ago(9));
    let closed = format!("/widgets/chart?series=vietcombank.fx.USD&from={from}&to={to}");
    let response = house.get(&closed).await;
    let cache = response.headers()["cache-control"].to_str().unwrap().to_owned();
    assert!(cache.starts_with("public, max-age=86400"), "{cache}");
    let page = response.text().await.unwrap();
    assert!(page.contains(">26.100</span>"), "the price at its end, not today's");
    assert!(!page.contains(" data-f="), "and it grows no older");
    let foot = page.split_once("<ul class=\"bgia-foot\"").unwrap().1.split_once("</ul>").unwrap().0;
    assert!(
        foot.contains(&ago(9).strftime("%d/%m/%Y").to_string()),
        "the last day, not the one after: {foot}"
    );
    assert!(summary(&page).contains(&ago(9).strftime("đến %d/%m/%Y.").to_string()), "{}", summary(&page));
    let open = house.get("/widgets/chart?series=vietcombank.fx.USD").await;
    let cache = open.headers()["cache-control"].to_str().unwrap().to_owned();
    assert!(cache.contains("stale-while-revalidate=300"), "{cache}");
    let (from, to) = (ago(90), ago(80));
    let empty = text(&house, &format!("/widgets/chart?series=vietcombank.fx.USD&from={from}&to={to}")).await;
    assert!(empty.contains("Chưa có lịch sử để vẽ."));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_of_a_moment_is_headed_by_its_own_price_in_every_form_and_never_by_that_of_now() {
    let house = House::on_a_good_day().await;
    history(&house, [(20, 26_500), (2, 26_100), (1, 26_300)]).await;
    let quote = house.quote("/v1/fx", "vietcombank.fx.USD").await;
    let sold_now: i64 = quote["sell"].as_str().unwrap().split('.').next().unwrap().parse().unwrap();
    assert!(![26_100, 26_300].contains(&sold_now), "{quote}");
    let sold_now = format!("{}.{:03}", sold_now / 1000, sold_now % 1000);
    let at = |at: Timestamp| {
        let text = VIETNAM.to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S%%2B07:00").to_string();
        format!("series=vietcombank.fx.USD&at={text}")
    };
    let noon = VIETNAM.to_timestamp(ago(1).at(12, 0, 0, 0)).unwrap();
    // A moment ago, yesterday, and what came in that very second or is still to come in the next.
    for (asked, price) in [
        (Timestamp::now().checked_sub(4.minutes()).unwrap(), "26.300"),
        (
            noon.checked_add(2.hours()).unwrap().min(Timestamp::now().checked_sub(4.minutes()).unwrap()),
            "26.300",
        ),
        (noon, "26.300"),
        (noon.checked_sub(1.second()).unwrap(), "26.100"),
    ] {
        let query = at(asked);
        for path in ["/images/chart.svg", "/widgets/chart", "/fragments/chart"] {
            let response = house.get(&format!("{path}?{query}")).await;
            assert_eq!(response.status(), 200, "{path}?{query}");
            let cache = response.headers()["cache-control"].to_str().unwrap().to_owned();
            assert!(
                !cache.contains("immutable"),
                "a day of it may still be backfilled: {path}?{query} {cache}"
            );
            let body = response.text().await.unwrap();
            assert!(body.contains(&format!(">{price}<")), "{path}?{query} is not headed by {price}: {body}");
            assert!(!body.contains(&sold_now), "{path}?{query} shows what is sold at now: {body}");
            let day = VIETNAM.to_datetime(asked).strftime("%d/%m/%Y").to_string();
            assert!(body.contains(&day), "{path}?{query} does not say its day: {body}");
            assert!(body.contains(&format!("cuối kỳ {price}")), "{path}?{query}: {body}");
        }
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_series_is_gold_and_the_gallery_and_oembed_know_the_chart() {
    let house = House::on_a_good_day().await;
    let page = text(&house, "/widgets/chart").await;
    let told = summary(&page);
    // Its stand-in quotes a place; what was read a moment ago is there already.
    assert!(told.starts_with("Vàng miếng SJC") && told.contains("DOJI, tr.đ/lượng."), "{told}");
    assert!(told.contains("Giá bán: đầu kỳ 142,00") && page.contains("bgia-dot"), "{told}");
    let gallery = text(&house, "/?widget=chart&width=680").await;
    assert!(
        gallery.contains("&lt;bang-gia widget=&quot;chart&quot;")
            || gallery.contains("widget=\"chart\"")
            || gallery.contains("widget=&#34;chart&#34;"),
        "{gallery}"
    );
    let oembed: serde_json::Value = serde_json::from_str(
        &text(&house, "/oembed?url=http%3A%2F%2F127.0.0.1%3A8080%2Fwidgets%2Fchart%3Frange%3D7d").await,
    )
    .unwrap();
    assert_eq!(oembed["title"], "Biểu đồ giá");
    assert!(oembed["html"].as_str().unwrap().contains("/widgets/chart?range=7d"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a26_charts_are_counted_read_once_and_no_flood_stops_the_board() {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 12\n", 1)).await;
    house.settled().await;
    let flood = futures_util::future::join_all((0..80).map(async |n: i64| {
        let (from, to) = (ago(100 + n), ago(50));
        let path = format!("/images/chart.png?series=vietcombank.fx.USD&from={from}&to={to}");
        house.get(&path).await.status().as_u16()
    }));
    let (statuses, board) = tokio::join!(flood, house.get("/v1/board"));
    assert_eq!(board.status(), 200);
    assert!(statuses.contains(&429), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 429, 503].contains(status)), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 200).count() <= 14, "{statuses:?}");
    house.app.stop().await;
}

/// What the store's own connections are told from now on when they ask for changes.
async fn rename_changes(house: &House, from: &str, to: &str) {
    use sqlx::Connection as _;
    let url = format!("sqlite:{}", house.folder.path().join("banggia.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let text = format!("ALTER TABLE {from} RENAME TO {to}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// `Cache-Control` and what is drawn.
async fn drawn(house: &House, path: &str) -> (String, String) {
    let response = house.get(path).await;
    assert_eq!(response.status(), 200, "{path}");
    let cache = response.headers()["cache-control"].to_str().unwrap().to_owned();
    (cache, response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_does_not_answer_a_chart_is_drawn_as_far_as_it_is_known_and_asked_for_again_soon() {
    const SOON: &str = "public, max-age=5, stale-while-revalidate=300, stale-if-error=86400";
    let house = House::on_a_good_day().await;
    history(&house, [(40, 25_000), (20, 26_500), (10, 26_100)]).await;
    let series = "series=vietcombank.fx.USD";
    let (page, other) = (format!("/widgets/chart?{series}"), format!("/widgets/chart?{series}&range=90d"));
    let closed = format!("/images/chart.svg?{series}&lang=en&from={}&to={}", ago(21), ago(9));
    let whole = drawn(&house, &page).await.1;
    let (for_a_day, past) = drawn(&house, &closed).await;
    assert!(for_a_day.contains("max-age=86400"), "{for_a_day}");
    let before = house.quote("/v1/fx", "vietcombank.fx.USD").await;

    rename_changes(&house, "change", "elsewhere").await;
    house.bank.script(
        &crate::house::path("vietcombank.fx", "json"),
        [crate::bank::Reply::ok(crate::house::recorded("vietcombank.fx", "json", 1, None))],
    );
    house.refresh("vietcombank.fx").await;
    let now = house.quote("/v1/fx", "vietcombank.fx.USD").await;
    assert_ne!(now["sell"], before["sell"], "there is another version");
    let sold: i64 = now["sell"].as_str().unwrap().split('.').next().unwrap().parse().unwrap();
    let sold = format!(">{}.{:03}<", sold / 1000, sold % 1000);
    // The course of before under the price of now; twice, since it may be at hand then.
    for _ in 0..2 {
        let (cache, html) = drawn(&house, &page).await;
        assert_eq!(cache, SOON);
        assert!(html.contains(&sold) && !whole.contains(&sold), "{html}");
        let told = summary(&html);
        assert!(told.contains("cao nhất 26.500"), "{told}");
        assert!(told.ends_with("Hiện chưa đọc được đoạn mới nhất."), "{told}");
        assert!(!summary(&whole).contains("chưa đọc được"), "{}", summary(&whole));
    }
    for path in [format!("/fragments/chart?{series}"), format!("/fragments/chart.json?{series}")] {
        assert!(drawn(&house, &path).await.1.contains("26.500"), "one course for all forms: {path}");
    }
    // A range that is over is drawn as it was, and not kept for a day.
    let (cache, svg) = drawn(&house, &closed).await;
    assert!(cache.starts_with("public, max-age=5,") && !cache.contains("immutable"), "{cache}");
    assert!(svg.contains("highest 26,500") && past.contains("highest 26,500"), "{svg}");
    // Of what was never read there is the frame, the price, and why there is no more.
    for (path, words) in [
        (&other, "Hiện chưa đọc được lịch sử."),
        (
            &format!("/images/chart.svg?{series}&range=90d&lang=en"),
            "The history cannot be read at the moment.",
        ),
    ] {
        let (cache, body) = drawn(&house, path).await;
        assert_eq!(cache, SOON);
        assert!(body.contains(words) && !body.contains("Chưa có lịch sử"), "{path}: {body}");
        assert!(body.contains(&sold) || body.contains(&sold.replace('.', ",")), "{path}: {body}");
    }
    let png = house.get(&format!("/images/chart.png?{series}&range=7d")).await;
    assert_eq!((png.status().as_u16(), png.headers()["cache-control"].to_str().unwrap()), (200, SOON));
    assert!(png.bytes().await.unwrap().starts_with(b"\x89PNG"));
    // What somebody keeps for good is right or is not given.
    let moment = house.get(&format!("/images/chart.svg?{series}&at={}T12:00:00%2B07:00", ago(9))).await;
    assert_eq!(moment.status(), 503);
    assert!(moment.headers().contains_key("retry-after"));

    rename_changes(&house, "elsewhere", "change").await;
    let (_, html) = drawn(&house, &page).await;
    assert!(!html.contains("chưa đọc được") && summary(&html).contains("cao nhất 26.500"), "{html}");
    let (_, html) = drawn(&house, &other).await;
    assert!(summary(&html).contains("đầu kỳ 25.000"), "{}", summary(&html));
    let (cache, _) = drawn(&house, &closed).await;
    assert_eq!(cache, for_a_day);
    house.app.stop().await;
}
