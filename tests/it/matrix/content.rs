//! Faults of content, through reader and judge of every adapter: every recording and every fixture, damaged in one
//! way after the other. Whatever is still accepted says what the undamaged answer said.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use banggia::judge::{Case, Verdict, judge};
use providers::{
    Answer, AsOf, Feed, ParseError, Parsed, Quote, Reason, Sheet, Source, WeightUnit, convert_weight,
};
use rust_decimal::{Decimal, dec};

use super::rig::{good, secrets, sources};

pub fn now() -> jiff::Timestamp {
    "2026-09-30T10:05:00+07:00".parse().unwrap()
}

/// One answer that some source may have sent.
pub struct Saved {
    pub feed: &'static Feed,
    pub source: &'static Source,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Every recording and fixture that is read and accepted when nothing is wrong with it.
pub fn answers() -> Vec<Saved> {
    let mut answers = Vec::new();
    for recording in providers::replay::RECORDINGS {
        let feed = providers::feed(recording.feed).unwrap().1;
        let source = feed.sources.iter().find(|source| source.id == recording.source).unwrap();
        let name = format!("{}.{} of {}", recording.feed, recording.source, recording.at);
        answers.push(Saved { feed, source, name, bytes: recording.bytes.to_vec() });
    }
    for (file, feed, source) in crate::fixtures::files() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        answers.push(Saved { feed, source, name, bytes: std::fs::read(file).unwrap() });
    }
    answers.retain(|saved| !accepted(saved, &saved.bytes, None).is_empty());
    for (feed, source) in sources() {
        let known = answers.iter().any(|saved| saved.feed.id == feed.id && saved.source.id == source.id);
        assert!(known, "{}.{} has no good answer", feed.id, source.id);
    }
    answers
}

pub fn parse(source: &'static Source, bytes: &[u8], charset: Option<&str>) -> Result<Parsed, ParseError> {
    let (base, secrets) = (url::Url::parse(source.url).unwrap(), secrets());
    (source.parse)(&Answer {
        body: bytes,
        charset,
        last_modified: None,
        step: None,
        now: now(),
        base: &base,
        secrets: &secrets,
    })
}

/// Read and judged, as a first answer, or as one after a board with these keys.
pub fn judged(
    saved: &Saved,
    bytes: &[u8],
    charset: Option<&str>,
    last: &[String],
) -> Result<(AsOf, Vec<Quote>), Vec<Reason>> {
    let sheet = match parse(saved.source, bytes, charset) {
        Ok(Parsed::Sheet(sheet)) => sheet,
        Ok(Parsed::Follow(_)) => return Err(vec![Reason::new("follow", "it leads on")]),
        Err(error) => return Err(vec![error.reason()]),
    };
    judged_sheet(saved.feed, &sheet, last)
}

pub fn judged_sheet(
    feed: &'static Feed,
    sheet: &Sheet,
    last: &[String],
) -> Result<(AsOf, Vec<Quote>), Vec<Reason>> {
    let limits = crate::bands::limits();
    let judgement = judge(&Case { last, ..Case::first(feed, sheet, limits, dec!(5), now()) });
    match judgement.verdict {
        Verdict::Reject => Err(judgement.reasons),
        _ => Ok((sheet.as_of, judgement.accepted)),
    }
}

/// Everything that the answer says, whether or not the judge takes it.
fn told(saved: &Saved) -> Vec<Quote> {
    match parse(saved.source, &saved.bytes, None) {
        Ok(Parsed::Sheet(sheet)) => sheet.quotes,
        _ => Vec::new(),
    }
}

pub fn accepted(saved: &Saved, bytes: &[u8], charset: Option<&str>) -> Vec<Quote> {
    judged(saved, bytes, charset, &[]).map(|(_, quotes)| quotes).unwrap_or_default()
}

/// Every figure of a quote by its side; a deposit has one.
pub fn figures(quote: &Quote) -> Vec<Option<Decimal>> {
    let normal = |side: Option<Decimal>| side.map(|side| side.normalize());
    match quote {
        // One figure may be told per chỉ in one place and per lượng in another.
        Quote::Gold(gold) => [gold.buy, gold.sell]
            .map(|side| convert_weight(side?, gold.unit, WeightUnit::Luong, &gold.currency))
            .map(normal)
            .to_vec(),
        Quote::Fx(fx) => [fx.buy_cash, fx.buy_transfer, fx.sell, fx.sell_cash].map(normal).to_vec(),
        Quote::Deposit(deposit) => vec![normal(Some(deposit.rate_percent))],
    }
}

pub fn by_key(quotes: &[Quote]) -> BTreeMap<String, Vec<Option<Decimal>>> {
    quotes.iter().map(|quote| (quote.key(), figures(quote))).collect()
}

/// Each figure is what the undamaged answer said of that side, or is not quoted. Where one region lost a figure that
/// both had, the other's stands alone, with its place.
pub fn assert_true(truth: &[Quote], found: &[Quote], how: &str) {
    let both: BTreeMap<_, _> =
        truth.iter().map(|quote| (quote.key_without_place(), figures(quote))).collect();
    let truth = by_key(truth);
    for quote in found {
        let (key, sides) = (quote.key(), figures(quote));
        let Some(said) = truth.get(&key).or_else(|| both.get(&quote.key_without_place())) else {
            panic!("{how}: {key} was never quoted: {sides:?}")
        };
        for (side, said) in sides.iter().zip(said) {
            assert!(side.is_none() || side == said, "{how}: {key} is {sides:?} and was {said:?}");
        }
    }
}

/// Ends of tokens: after each mark that ends something in JSON, XML or HTML.
fn tokens(bytes: &[u8]) -> Vec<usize> {
    let ends =
        |byte: u8| matches!(byte, b'"' | b',' | b':' | b'{' | b'}' | b'[' | b']' | b'<' | b'>' | b'\'');
    (0..bytes.len()).filter(|at| ends(bytes[*at])).flat_map(|at| [at, at + 1]).collect()
}

#[test]
fn f08_an_answer_cut_at_any_token_is_refused_whole_or_was_whole() {
    let mut cuts = 0;
    for saved in answers() {
        let truth = accepted(&saved, &saved.bytes, None);
        let last: Vec<String> = truth.iter().map(Quote::key_without_place).collect();
        let tokens = tokens(&saved.bytes);
        let step = if super::full() || tokens.len() < 800 { 1 } else { 7 };
        for end in tokens.into_iter().step_by(step) {
            cuts += 1;
            let Ok((_, found)) = judged(&saved, &saved.bytes[..end], None, &last) else { continue };
            assert_eq!(found, truth, "{} cut at {end}: a part was taken for the whole", saved.name);
        }
    }
    println!("{cuts} cuts, 0 partial boards");
}

/// Values that are no price. What is a way of saying "not quoted" takes the figure away; all others the row.
const NO_PRICES: &[&str] = &[
    "0",
    "-1",
    "-5.5",
    "NaN",
    "Infinity",
    "1e309",
    "-",
    "Liên hệ",
    "",
    " ",
    "null",
    "N/A",
    "+5",
    "1_000",
    "0x10",
    "٣",
    "1e999999999",
    "99999999999999999999999999999999999",
    "0.0000000000000000000000000000000001",
    "1,2,3",
    "1.2.3",
    "--",
    "∞",
    "²",
];

/// Whole tokens that are numbers: of JSON, in quotes, in an attribute or alone in a cell.
pub fn numbers(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let part = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b',');
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let mut end = at;
        while end < bytes.len() && part(bytes[end]) {
            end += 1;
        }
        // A comma at the end belongs to JSON.
        while matches!(bytes[end - 1], b',' | b'.') {
            end -= 1;
        }
        let before = at.checked_sub(1).map_or(b' ', |at| bytes[at]);
        let after = bytes.get(end).copied().unwrap_or(b' ');
        if matches!(before, b'"' | b'\'' | b':' | b'>' | b' ' | b'[' | b'\n')
            && matches!(after, b'"' | b'\'' | b',' | b'}' | b']' | b'<' | b' ' | b'%' | b'\n' | b'\r')
        {
            found.push(at..end);
        }
        at = end;
    }
    found
}

pub fn with(bytes: &[u8], range: &std::ops::Range<usize>, instead: &[u8]) -> Vec<u8> {
    [&bytes[..range.start], instead, &bytes[range.end..]].concat()
}

#[test]
fn f25_what_is_no_price_never_becomes_one_and_takes_only_its_row_along() {
    let (mut tried, mut read) = (0, 0);
    for saved in answers() {
        let truth = accepted(&saved, &saved.bytes, None);
        let numbers = numbers(&saved.bytes);
        let step = if super::full() { 1 } else { numbers.len().div_ceil(8).max(1) };
        for range in numbers.iter().step_by(step) {
            for value in NO_PRICES {
                let bytes = with(&saved.bytes, range, value.as_bytes());
                tried += 1;
                let found = accepted(&saved, &bytes, None);
                if found.is_empty() {
                    continue;
                }
                read += 1;
                let how = format!("{} at {} = {value:?}", saved.name, range.start);
                // A row that was refused for its spread may stand with one side.
                assert_true(&told(&saved), &found, &how);
                let missing = truth.len().saturating_sub(found.len());
                // A term's column, a region's day or a code is more than one row; a price is one.
                assert!(missing <= truth.len() * 3 / 10 + 3, "{how}: {missing} of {} rows gone", truth.len());
            }
        }
    }
    println!("{tried} answers, {read} of them read without the figure");
    assert!(read * 10 > tried, "{read} of {tried}: hardly anything was read");
}

#[test]
fn f26_a_board_that_buys_above_its_selling_price_is_refused_and_a_wide_row_alone() {
    let mut boards = 0;
    for saved in answers() {
        let Ok(Parsed::Sheet(sheet)) = parse(saved.source, &saved.bytes, None) else { continue };
        if saved.feed.kind == providers::Kind::Deposit {
            continue;
        }
        let truth = accepted(&saved, &saved.bytes, None);
        for at in 0..sheet.quotes.len() {
            boards += 1;
            let mut swapped = sheet.clone();
            let unequal = swap(&mut swapped.quotes[at]);
            let result = judged_sheet(saved.feed, &swapped, &[]);
            if unequal {
                let reasons = result.unwrap_err();
                assert!(
                    reasons.iter().any(|reason| reason.code == "order"),
                    "{} {at}: {reasons:?}",
                    saved.name
                );
            }
            let mut wide = sheet.clone();
            if widen(&mut wide.quotes[at]) {
                let key = wide.quotes[at].key();
                match judged_sheet(saved.feed, &wide, &[]) {
                    Ok((_, found)) => {
                        assert!(found.iter().all(|quote| quote.key() != key), "{} {key}", saved.name);
                        assert!(found.len() + 1 >= truth.len(), "{} {key}", saved.name);
                    }
                    // The required row, or a figure out of its band.
                    Err(reasons) => assert!(
                        reasons.iter().any(|reason| matches!(
                            reason.code.as_ref(),
                            "incomplete" | "out_of_band" | "spread"
                        )),
                        "{} {key}: {reasons:?}",
                        saved.name
                    ),
                }
            }
            // One side alone is a board.
            let mut one = sheet.clone();
            single(&mut one.quotes[at]);
            assert!(judged_sheet(saved.feed, &one, &[]).is_ok(), "{} {at}", saved.name);
        }
    }
    println!("{boards} boards");
}

fn swap(quote: &mut Quote) -> bool {
    let pair = match quote {
        Quote::Gold(gold) => (&mut gold.buy, &mut gold.sell),
        Quote::Fx(fx) => {
            (if fx.buy_transfer.is_some() { &mut fx.buy_transfer } else { &mut fx.buy_cash }, &mut fx.sell)
        }
        Quote::Deposit(_) => return false,
    };
    std::mem::swap(pair.0, pair.1);
    (*pair.0).zip(*pair.1).is_some_and(|(buy, sell)| buy > sell)
}

fn widen(quote: &mut Quote) -> bool {
    let (buy, sell) = match quote {
        Quote::Gold(gold) => (gold.buy, &mut gold.sell),
        Quote::Fx(fx) => (fx.buy_transfer, &mut fx.sell),
        Quote::Deposit(_) => return false,
    };
    let (Some(buy), Some(sell)) = (buy, sell) else { return false };
    *sell = buy * Decimal::new(162, 2);
    true
}

fn single(quote: &mut Quote) {
    match quote {
        Quote::Gold(gold) if gold.buy.is_some() => gold.sell = None,
        Quote::Fx(fx) if fx.buy_cash.is_some() || fx.buy_transfer.is_some() => fx.sell = None,
        _ => {}
    }
}

#[test]
fn f29_three_rows_in_ten_may_be_missing_and_no_more() {
    for saved in answers() {
        let Ok(Parsed::Sheet(sheet)) = parse(saved.source, &saved.bytes, None) else { continue };
        if !sheet.refused.is_empty() {
            continue;
        }
        let truth = accepted(&saved, &saved.bytes, None);
        let mut keys: Vec<String> = truth.iter().map(Quote::key_without_place).collect();
        keys.sort_unstable();
        keys.dedup();
        let required =
            |quote: &Quote| saved.feed.required.iter().any(|name| quote.key_without_place().contains(name));
        let mut loose: Vec<String> =
            truth.iter().filter(|quote| !required(quote)).map(Quote::key_without_place).collect();
        loose.sort_unstable();
        loose.dedup();
        for missing in 0..=loose.len() {
            let mut less = sheet.clone();
            less.quotes.retain(|quote| !loose[..missing].contains(&quote.key_without_place()));
            let left = keys.len() - missing;
            let result = judged_sheet(saved.feed, &less, &keys);
            if left * 100 >= keys.len() * 70 {
                assert!(result.is_ok(), "{}: {missing} of {} missing: {result:?}", saved.name, keys.len());
            } else {
                let code = result.unwrap_err().pop().unwrap().code;
                assert_eq!(code, "incomplete", "{}: {missing} of {}", saved.name, keys.len());
            }
        }
    }
}

#[test]
fn f34_thousands_for_decimals_and_the_other_way_round_are_never_another_figure() {
    let (mut tried, mut read) = (0, 0);
    for saved in answers() {
        let truth = accepted(&saved, &saved.bytes, None);
        for range in numbers(&saved.bytes) {
            let marks: Vec<usize> =
                range.clone().filter(|at| matches!(saved.bytes[*at], b'.' | b',')).collect();
            for flipped in [&marks[..], marks.get(..1).unwrap_or_default()] {
                if flipped.is_empty() {
                    continue;
                }
                let mut bytes = saved.bytes.clone();
                for at in flipped {
                    bytes[*at] = if bytes[*at] == b'.' { b',' } else { b'.' };
                }
                tried += 1;
                let found = accepted(&saved, &bytes, None);
                read += usize::from(!found.is_empty());
                assert_true(&truth, &found, &format!("{} at {}", saved.name, range.start));
            }
        }
    }
    println!("{tried} answers, {read} read without the figure");
    assert!(tried > 300, "{tried}");
}

#[test]
fn f16_entities_of_a_document_are_neither_expanded_nor_fetched() {
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let folder = crate::canary::tempdir().unwrap();
    let file = folder.path().join("price");
    std::fs::write(&file, "85,100").unwrap();
    let mut bomb = String::from("<!DOCTYPE x [<!ENTITY a0 \"lol\">");
    for level in 1..12 {
        bomb.push_str(&format!("<!ENTITY a{level} \"{}\">", format!("&a{};", level - 1).repeat(10)));
    }
    bomb.push_str("]>");
    let network = format!("<!DOCTYPE x SYSTEM \"http://{}/x.dtd\">", canary.local_addr().unwrap());
    let external = format!(
        "<!DOCTYPE x [<!ENTITY a11 SYSTEM \"file://{}\"><!ENTITY % p SYSTEM \"http://{}/p\"> %p;]>",
        file.display(),
        canary.local_addr().unwrap()
    );
    for (feed, source) in sources() {
        let name = format!("{}.{}", feed.id, source.id);
        let saved = Saved { feed, source, name, bytes: good(feed.id, source.id) };
        let truth = accepted(&saved, &saved.bytes, None);
        let text = String::from_utf8(saved.bytes.clone()).unwrap();
        for (what, kind) in [(&bomb, "bomb"), (&external, "external"), (&network, "network")] {
            for (from, to) in
                [("", ""), ("Sell='85,100'", "Sell='&a11;'"), ("Sell=\"19,060.63\"", "Sell=\"&a11;\"")]
            {
                let start = text.find("?>").map_or(0, |at| at + 2);
                let document = format!("{}{what}{}", &text[..start], text[start..].replace(from, to));
                let document = if from.is_empty() {
                    format!("{}{what}{}", &text[..start], &text[start..])
                } else {
                    document
                };
                let started = Instant::now();
                let found = accepted(&saved, document.as_bytes(), None);
                // Microseconds; the bound is for a machine that is busy.
                assert!(started.elapsed() < Duration::from_secs(1), "{} {kind}", saved.name);
                assert_true(&truth, &found, &format!("{} {kind}", saved.name));
                if from.is_empty() {
                    continue;
                }
                let names = format!("{found:?}");
                assert!(!names.contains("lollol"), "{} {kind}: {names}", saved.name);
            }
        }
    }
    assert!(canary.accept().is_err(), "somebody fetched an entity");
}

#[test]
fn f17_deep_nesting_is_refused_at_once() {
    let times = |text: &str, count: usize| text.repeat(count);
    let documents = [
        ("ul li", times("<ul><li>", (128 << 10) / 8)),
        ("div", times("<div>", 1 << 15)),
        ("b i", format!("<html><body>{}", times("<b><i>", 1 << 14))),
        ("table", times("<table><tr><td>", 1 << 13)),
        ("lists", times("[", 1 << 20)),
        ("objects", times("{\"a\":", 1 << 15)),
        ("mixed", times("[{\"Data\":", 1 << 14)),
        ("Data", format!("{{\"Data\":{}", times("[", 1 << 17))),
        ("closed lists", format!("{}{}", times("[", 1 << 17), times("]", 1 << 17))),
        ("XML", format!("<GoldList>{}", times("<Row>", 1 << 15))),
        ("XML", format!("<ExrateList>{}", times("<x>", 1 << 15))),
        (
            "attributes",
            format!("<ExrateList {}/>", (0..20_000).fold(String::new(), |all, n| format!("{all}a{n}='' "))),
        ),
        ("item", format!("{{\"item\":[{}", times("{\"DATES\":[", 1 << 14))),
    ];
    for (feed, source) in sources() {
        for (name, document) in &documents {
            let started = Instant::now();
            let result = parse(source, document.as_bytes(), None);
            assert!(result.is_err(), "{}.{} {name}", feed.id, source.id);
            // Milliseconds in a release build on a quiet machine; the service gives up at two seconds.
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "{}.{} {name}: {:?}",
                feed.id,
                source.id,
                started.elapsed()
            );
        }
    }
}

#[test]
fn f19_an_answer_in_another_charset_or_form_is_read_right_or_refused() {
    use encoding_rs::{WINDOWS_1252, WINDOWS_1258};
    let mut read = 0;
    for saved in answers() {
        if saved.bytes.is_empty() {
            continue;
        }
        let truth = accepted(&saved, &saved.bytes, None);
        let text = String::from_utf8(saved.bytes.clone()).unwrap();
        let wide = |unit: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
            let mark = mark.then_some(0xfeff);
            mark.into_iter().chain(text.encode_utf16()).flat_map(unit).collect()
        };
        let decomposed: String = decompose(&text);
        // As TCVN3 puts Vietnamese letters into the upper half of Latin 1.
        let tcvn3: Vec<u8> = text
            .chars()
            .map(|c| {
                if c.is_ascii() {
                    u8::try_from(c).unwrap()
                } else {
                    0xa1 + u8::try_from(u32::from(c) % 94).unwrap()
                }
            })
            .collect();
        let doubled = WINDOWS_1252.decode(text.as_bytes()).0.into_owned();
        let (vietnamese, ..) = WINDOWS_1258.encode(&decomposed);
        let plain_ascii = text.is_ascii();
        let marked = [b"\xef\xbb\xbf".as_slice(), text.as_bytes()].concat();
        // Name, bytes, declaration, whether all of it must be read.
        let variants: Vec<(&str, Vec<u8>, Option<&str>, bool)> = vec![
            ("a mark", marked.clone(), None, true),
            ("a mark and a lie", marked, Some("windows-1258"), true),
            ("UTF-16 LE", wide(u16::to_le_bytes, true), None, true),
            ("UTF-16 BE", wide(u16::to_be_bytes, true), Some("utf-8"), true),
            ("UTF-16 LE without a mark", wide(u16::to_le_bytes, false), None, text.is_ascii()),
            ("decomposed", decomposed.clone().into_bytes(), None, true),
            ("windows-1258", vietnamese.to_vec(), Some("windows-1258"), false),
            ("windows-1258, not said", vietnamese.to_vec(), None, false),
            ("TCVN3", tcvn3.clone(), None, false),
            ("TCVN3 said to be windows-1258", tcvn3, Some("windows-1258"), false),
            ("encoded twice", doubled.into_bytes(), None, plain_ascii),
            ("UTF-8 said to be Latin", text.clone().into_bytes(), Some("iso-8859-1"), plain_ascii),
            ("an unknown charset", text.clone().into_bytes(), Some("x-tcvn3"), false),
            ("half UTF-16", wide(u16::to_le_bytes, true)[..text.len() | 1].to_vec(), None, false),
        ];
        for (how, bytes, charset, whole) in variants {
            let found = accepted(&saved, &bytes, charset);
            let how = format!("{} in {how}", saved.name);
            assert_true(&truth, &found, &how);
            read += usize::from(!found.is_empty());
            if whole {
                assert_eq!(found, truth, "{how}: figures and names");
            }
        }
    }
    println!("{read} answers read");
}

/// Unicode NFD of the letters that Vietnamese has.
fn decompose(text: &str) -> String {
    const LETTERS: &[(char, &str)] = &[
        ('à', "a\u{300}"),
        ('á', "a\u{301}"),
        ('ả', "a\u{309}"),
        ('ã', "a\u{303}"),
        ('ạ', "a\u{323}"),
        ('ă', "a\u{306}"),
        ('ằ', "a\u{306}\u{300}"),
        ('ắ', "a\u{306}\u{301}"),
        ('â', "a\u{302}"),
        ('ấ', "a\u{302}\u{301}"),
        ('ầ', "a\u{302}\u{300}"),
        ('ậ', "a\u{323}\u{302}"),
        ('ẩ', "a\u{302}\u{309}"),
        ('ế', "e\u{302}\u{301}"),
        ('ề', "e\u{302}\u{300}"),
        ('ệ', "e\u{323}\u{302}"),
        ('ê', "e\u{302}"),
        ('ể', "e\u{302}\u{309}"),
        ('ì', "i\u{300}"),
        ('í', "i\u{301}"),
        ('ỉ', "i\u{309}"),
        ('ị', "i\u{323}"),
        ('ô', "o\u{302}"),
        ('ố', "o\u{302}\u{301}"),
        ('ồ', "o\u{302}\u{300}"),
        ('ộ', "o\u{323}\u{302}"),
        ('ơ', "o\u{31b}"),
        ('ờ', "o\u{31b}\u{300}"),
        ('ớ', "o\u{31b}\u{301}"),
        ('ợ', "o\u{31b}\u{323}"),
        ('ò', "o\u{300}"),
        ('ó', "o\u{301}"),
        ('ỏ', "o\u{309}"),
        ('ù', "u\u{300}"),
        ('ú', "u\u{301}"),
        ('ủ', "u\u{309}"),
        ('ụ', "u\u{323}"),
        ('ư', "u\u{31b}"),
        ('ừ', "u\u{31b}\u{300}"),
        ('ứ', "u\u{31b}\u{301}"),
        ('ữ', "u\u{31b}\u{303}"),
        ('ự', "u\u{31b}\u{323}"),
        ('ỳ', "y\u{300}"),
        ('ý', "y\u{301}"),
        ('ỹ', "y\u{303}"),
        ('À', "A\u{300}"),
        ('Á', "A\u{301}"),
        ('Ỳ', "Y\u{300}"),
    ];
    text.chars().fold(String::with_capacity(text.len() * 2), |mut all, c| {
        match LETTERS.iter().find(|(letter, _)| *letter == c) {
            Some((_, parts)) => all.push_str(parts),
            None => all.push(c),
        }
        all
    })
}
