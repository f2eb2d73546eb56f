//! Answers made to hurt: every source reads them in linear time, and none of them is a sheet.

use std::time::{Duration, Instant};

use crate::support::case;

/// Megabyte-sized answers. The goal of a release build is 100 ms each; the limits leave room for a busy machine.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let mega = 1 << 20;
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY a0 \"lol\">{}]><ExrateList><DateTime>&a9;</DateTime><Exrate CurrencyCode=\"&a9;\" Buy=\"&a9;\" Transfer=\"&a9;\" Sell=\"&a9;\"/></ExrateList>",
        (1..10).fold(String::new(), |all, n| {
            let one = format!("&a{};", n - 1);
            format!("{all}<!ENTITY a{n} \"{}\">", one.repeat(10))
        })
    );
    let digits = "9".repeat(mega);
    vec![
        ("f17 lists in lists in HTML", "<ul><li>".repeat(128 << 7).into_bytes()),
        ("f17 tables in tables", "<table><tr><td>".repeat(mega / 15).into_bytes()),
        ("f17 brackets", vec![b'['; mega]),
        ("f17 braces", "{\"a\":".repeat(mega / 5).into_bytes()),
        ("f17 elements in elements", "<a>".repeat(mega / 3).into_bytes()),
        ("f17 elements below the root", format!("<GoldList>{}", "<a>".repeat(mega / 3)).into_bytes()),
        ("f16 entity bomb", bomb.into_bytes()),
        ("one tag of many attributes", format!("<table {}>", "a=1 ".repeat(mega / 4)).into_bytes()),
        ("one tag of different attributes", format!("<table {}>", (0..mega / 8).fold(String::new(), |all, n| all + &format!("a{n:06x} "))).into_bytes()),
        ("one end tag of many attributes", format!("<table></table {}>", "a=1 ".repeat(mega / 4)).into_bytes()),
        ("formatting elements that are never closed", format!("{}{}", "<font a=1>".repeat(500), "<p>x".repeat(mega / 4)).into_bytes()),
        ("comments that never end", "<!--".repeat(mega / 4).into_bytes()),
        ("tags that never end", "<td ".repeat(mega / 4).into_bytes()),
        ("quotes that never end", "<td a=\"".repeat(mega / 7).into_bytes()),
        ("scripts that never end", "<script></scrip".repeat(mega / 15).into_bytes()),
        ("scripts in comments in scripts", "<script><!--<script>".repeat(mega / 20).into_bytes()),
        ("titles that never end", "<title></titl".repeat(mega / 13).into_bytes()),
        ("less-than signs", vec![b'<'; mega]),
        ("end tags that never end", "</".repeat(mega / 2).into_bytes()),
        ("control characters in a page", format!("<table><tr><td>{}</table>", "\u{1}".repeat(mega)).into_bytes()),
        ("references that never end", format!("<table><tr><td>{}</table>", "&#1&notit".repeat(mega / 9)).into_bytes()),
        ("ampersands", format!("<table><tr><td>{}</table>", "&".repeat(mega)).into_bytes()),
        ("wide spans", format!("<table>{}</table>", "<tr><td colspan=64 rowspan=64>".repeat(mega / 30)).into_bytes()),
        ("long digits in JSON", format!(r#"{{"item":[{{"DATES":"05/17/2024","RATE_BUY":{digits},"RATE_SELL":1}}]}}"#).into_bytes()),
        ("long exponent in JSON", format!(r#"{{"item":[{{"DATES":"05/17/2024","RATE_BUY":1e{digits},"RATE_SELL":"{digits}"}}]}}"#).into_bytes()),
        ("long digits in XML", format!(r#"<ExrateList><DateTime>9/2/2026 5:38:54 PM</DateTime><Exrate CurrencyCode="USD" Buy="{digits}" Transfer="{digits}" Sell="{digits}"/></ExrateList>"#).into_bytes()),
        ("many rows that cannot be read", format!(r#"{{"status":1,"day_vi":"01/01/2026","data":[{}{{"currency":"USD","muaTm":"x","muaCk":"x","ban":"x"}}]}}"#, r#"{"currency":"USD","muaTm":"x"},"#.repeat(mega / 31)).into_bytes()),
        ("many keys", format!("{{{}\"z\":0}}", (0..mega / 12).fold(String::new(), |all, n| all + &format!("\"{n}\":{{}},"))).into_bytes()),
        ("combining marks", format!("{{\"{}\":1}}", "a\u{301}\u{302}".repeat(mega / 5)).into_bytes()),
        ("many combining marks on one letter", format!("<title>e{}</title>", "\u{301}\u{323}".repeat(mega / 4)).into_bytes()),
        ("zero bytes", vec![0; mega]),
        ("blanks and one letter", [vec![b' '; mega], b"x".to_vec()].concat()),
    ]
}

#[test]
fn a20_hostile_answers_are_refused_in_linear_time() {
    let limit = if cfg!(debug_assertions) { Duration::from_secs(10) } else { Duration::from_millis(250) };
    for (name, bytes) in hostile() {
        let mut slowest = Duration::ZERO;
        for (_, feed) in providers::feeds() {
            for source in feed.sources {
                let started = Instant::now();
                let parsed = case(feed.id, source.id).parse(&bytes);
                let took = started.elapsed();
                slowest = slowest.max(took);
                assert!(parsed.is_err(), "{name}: {} {} reads it", feed.id, source.id);
                assert!(took < limit, "{name}: {} {} took {took:?}", feed.id, source.id);
            }
        }
        println!("{slowest:>12?} {name} ({} bytes)", bytes.len());
    }
}

#[test]
fn hostile_names_never_become_identities() {
    let body = r#"{"status":1,"hour":"08:30","day_vi":"10/12/2024","data":[
        {"currency":"USD","nameVI":"</script><img src=x onerror=alert(1)>\u202e\u0000","muaTm":"25,170","muaCk":"25,170","ban":"25,470"},
        {"currency":"<b>","nameVI":"x","muaTm":"1","muaCk":"1","ban":"1"},
        {"currency":"USD(<b>)","nameVI":"x","muaTm":"1","muaCk":"1","ban":"1"}]}"#;
    let sheet = case("bidv.fx", "board").sheet(body.as_bytes());
    assert_eq!(crate::support::keys(&sheet), ["USD"]);
}
