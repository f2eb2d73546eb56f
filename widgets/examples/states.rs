//! Writes every widget in each state, language and theme into a directory, as a page, a fragment, the element's tree and a
//! picture, for people to look at and for the browser tests to measure; beside them the element's script, the fragments'
//! style, and `text.json`, values with the text this crate makes of them.
//!
//! `cargo run -p widgets --example states -- DIRECTORY`

use std::{error::Error, fs, path::Path};

use jiff::{Timestamp, civil::Date};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use widgets::{
    Lang, Look, Theme, Width, embed_script, format, fragment, fragment_style, height,
    model::{Content, Kind, Widget},
    page, picture, tree,
};

mod sample;

const LANGS: [Lang; 2] = [Lang::Vi, Lang::En];
const THEMES: [Theme; 4] = [Theme::Light, Theme::Dark, Theme::Auto, Theme::Transparent];
/// Widths at which the browser measures.
const WIDTHS: [u32; 7] = [300, 320, 390, 680, 768, 1024, 1280];

/// Values compared of each sort and language.
const VALUES: u32 = 400;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: states DIRECTORY")?;
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    let mut pages = Vec::new();
    let mut write = |name: &str, widget: &Widget, look: Look| -> Result<(), Box<dyn Error>> {
        let page = page(widget, &look, None)?;
        let (kind, lang, theme) = (widget.content.kind().as_str(), look.lang.as_str(), look.theme.as_str());
        let file = format!("{kind}-{name}-{lang}-{theme}.html");
        fs::write(directory.join(&file), page.html)?;
        let stem = file.trim_end_matches(".html");
        fs::write(directory.join(format!("{stem}.fragment.html")), fragment(widget, &look)?)?;
        fs::write(directory.join(format!("{stem}.json")), tree(widget, &look)?)?;
        fs::write(directory.join(format!("{stem}.svg")), picture(widget, &look).svg)?;
        let heights: serde_json::Map<String, Value> = WIDTHS
            .iter()
            .map(|width| (width.to_string(), height(widget, &look, Width::new(*width)).into()))
            .collect();
        pages.push(json!({
            "file": file, "widget": kind, "state": name, "lang": lang, "theme": theme,
            "style": page.style_hash, "script": page.script_hash, "heights": heights,
        }));
        Ok(())
    };
    for lang in LANGS {
        for kind in Kind::ALL {
            for theme in THEMES {
                for state in sample::STATES {
                    write(state, &sample::widget(kind, state), Look { lang, theme, ..Look::default() })?;
                }
            }
            let fresh = sample::widget(kind, "fresh");
            write("compact", &fresh, Look { lang, compact: true, ..Look::default() })?;
            write("untitled", &fresh, Look { lang, title: false, link: false, ..Look::default() })?;
            write("accent", &fresh, Look { lang, accent: Some("c00000".parse()?), ..Look::default() })?;
        }
        for name in sample::COURSES {
            let chart = sample::around(Content::Chart(Box::new(sample::course(name))));
            for theme in [Theme::Auto, Theme::Light, Theme::Dark] {
                write(name, &chart, Look { lang, theme, ..Look::default() })?;
            }
        }
        let moving = sample::widget(Kind::Ticker, "fresh");
        write("moving", &moving, Look { lang, motion: true, ..Look::default() })?;
        for count in 1..=6 {
            let panel = sample::around(Content::Panel(sample::columns(count)));
            write(&format!("columns{count}"), &panel, Look { lang, ..Look::default() })?;
        }
    }
    fs::write(directory.join("v1.js"), embed_script("live.js"))?;
    fs::write(directory.join("v1.css"), fragment_style())?;
    fs::write(directory.join("pages.json"), serde_json::to_vec_pretty(&pages)?)?;
    fs::write(directory.join("text.json"), serde_json::to_vec(&texts()?)?)?;
    Ok(())
}

/// Knuth's MMIX generator: the same values on every run and machine.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(below)).unwrap_or_default()
    }
}

/// What `Intl` is asked to print again: `{ "lang", "sort", "value", "places", "text" }`.
fn texts() -> Result<Vec<Value>, Box<dyn Error>> {
    let mut draw = Draw(2026);
    let mut texts = Vec::new();
    for lang in LANGS {
        for _ in 0..VALUES {
            let digits = 10_i64.pow(draw.next(10));
            let number = i64::from(draw.next(u32::MAX)) % (digits * 10) - digits * 2;
            let value = Decimal::new(number, draw.next(5));
            let places = draw.next(3);
            let mut put = |sort, places, text| {
                texts.push(json!({ "lang": lang.as_str(), "sort": sort, "value": value.to_string(), "places": places, "text": text }));
            };
            put("number", places, format::number(value, places, lang));
            put("change", 2, format::change(value, 2, lang));
            let (whole, fraction) = format::exchange_rate(value, lang);
            let places = if fraction.is_some() { 2 } else { 0 };
            put("number", places, whole + &fraction.unwrap_or_default());
        }
        for _ in 0..VALUES {
            // Between 2000 and 2068: Vietnam has kept +07:00 throughout.
            let at = Timestamp::from_second(946_684_800 + i64::from(draw.next(u32::MAX / 2)))?;
            let day: Date = format::date_of(at);
            let mut put = |sort, value: String, text| {
                texts.push(json!({ "lang": lang.as_str(), "sort": sort, "value": value, "text": text }));
            };
            put("instant", at.to_string(), format::instant(at, lang));
            put("clock", at.to_string(), format::clock(at));
            put("date", day.to_string(), format::date(day, lang));
            if lang == Lang::En {
                put("day", day.to_string(), format::day_and_month(day, lang));
                put("short", at.to_string(), format::short_instant(at, lang));
            }
        }
    }
    Ok(texts)
}
