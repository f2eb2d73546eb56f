//! Writes one page for each state, language and theme of the panel into a directory, for people to look at and for
//! the browser tests to measure; beside them `text.json`, values with the text this crate makes of them.
//!
//! `cargo run -p widgets --example states -- DIRECTORY`

use std::{error::Error, fs, path::Path};

use jiff::{Timestamp, civil::Date};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use widgets::{Lang, PanelOptions, Theme, format, panel_page};

mod sample;

const LANGS: [Lang; 2] = [Lang::Vi, Lang::En];
const THEMES: [Theme; 4] = [Theme::Light, Theme::Dark, Theme::Auto, Theme::Transparent];

/// Values compared of each sort and language.
const VALUES: u32 = 400;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: states DIRECTORY")?;
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    let mut pages = Vec::new();
    for lang in LANGS {
        for theme in THEMES {
            for state in sample::STATES {
                let page = panel_page(&sample::panel(state), &PanelOptions { lang, theme })?;
                let file = format!("{state}-{lang}-{theme}.html");
                fs::write(directory.join(&file), page.html)?;
                let (lang, theme) = (lang.as_str(), theme.as_str());
                pages.push(json!({ "file": file, "state": state, "lang": lang, "theme": theme, "hash": page.style_hash }));
            }
        }
        for count in 1..=6 {
            let page = panel_page(&sample::columns(count), &PanelOptions { lang, theme: Theme::Auto })?;
            let file = format!("columns{count}-{lang}-auto.html");
            fs::write(directory.join(&file), page.html)?;
            let (state, lang) = (format!("columns{count}"), lang.as_str());
            pages.push(json!({ "file": file, "state": state, "lang": lang, "theme": "auto", "hash": page.style_hash }));
        }
    }
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
