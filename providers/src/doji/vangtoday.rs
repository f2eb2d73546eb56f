//! vang.today's catalogue, a stand-in: only the rows that repeat DOJI's prices, in đồng per lượng.

use jiff::{SignedDuration, Timestamp, civil::DateTime};

use crate::{
    Answer, AsOf, Ask, Parsed, Request, VIETNAM, date,
    error::ParseError,
    json::{self, Object},
    number::{self, NumberFormat},
    quote::WeightUnit,
    request,
    sheet::Rows,
    text,
};

/// Their code, our product and place.
const ROWS: &[(&str, &str, Option<&str>)] = &[
    ("DOHNL", "sjc-bar", Some("hanoi")),
    ("DOHCML", "sjc-bar", Some("hcm")),
    ("DOJINHTV", "ring-9999", None),
];

pub(super) fn requests(ask: &Ask<'_>) -> Vec<Request> {
    vec![request::get("prices", ask.base, &[], request::JSON)]
}

pub(super) fn parse(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    let text = answer.text()?;
    let catalogue = Object::read(json::document(&text)?)?;
    match catalogue.get("success").map(serde_json::value::RawValue::get) {
        Some("true") => {}
        Some("false") => {
            let said = catalogue.string("message").unwrap_or_else(|| "success is false".to_owned());
            return Err(ParseError::NoData(text::name(&json::clip(&said, 120))));
        }
        Some(other) => {
            return Err(ParseError::Schema(format!("\"success\" is {} and not true", json::clip(other, 40))));
        }
        None => return Err(ParseError::Schema(format!("no \"success\"; the keys are {}", catalogue.keys()))),
    }
    let Some(prices) = catalogue.get("prices") else {
        return Err(ParseError::Schema(format!(
            "no map \"prices\": this is another answer of the same address; the keys are {}",
            catalogue.keys()
        )));
    };
    let prices = Object::read(prices)?;
    let as_of = as_of(&catalogue)?;
    let mut sheet = Rows::new();
    for &(code, product, place) in ROWS {
        let Some(row) = prices.get(code) else { continue };
        let row = match Object::read(row) {
            Ok(row) => row,
            Err(error) => {
                sheet.refuse(code, error);
                continue;
            }
        };
        if row.string("currency").as_deref() != Some("VND") {
            let currency = row.get("currency").map_or_else(|| "nothing".to_owned(), json::describe);
            sheet.refuse(code, format!("its currency is {currency} and not VND"));
            continue;
        }
        let price = |side: &str| {
            if !row.has(side) {
                return Err(format!("it has no \"{side}\""));
            }
            json::price(row.get(side), NumberFormat::PLAIN)
                .map(number::sold)
                .map_err(|error| format!("{side}: {error}"))
        };
        match price("buy").and_then(|buy| Ok((buy, price("sell")?))) {
            Ok(sides) => {
                let name = row.string("name");
                if let Some(quote) = super::gold(
                    product,
                    place,
                    Some(code.to_owned()),
                    name.as_deref(),
                    WeightUnit::Luong,
                    sides,
                ) {
                    sheet.add(quote)?;
                }
            }
            Err(error) => sheet.refuse(code, error),
        }
    }
    sheet.finish(as_of, ParseError::NoData("the catalogue has no DOJI row".to_owned()))
}

/// The catalogue's time, which is said twice.
fn as_of(catalogue: &Object<'_>) -> Result<AsOf, ParseError> {
    let clock = catalogue.string("date").zip(catalogue.string("time")).map(|(day, time)| {
        date::year_first(&day)
            .zip(date::hour(&time))
            .and_then(|(day, hour)| VIETNAM.to_timestamp(DateTime::from_parts(day, hour)).ok())
            .ok_or_else(|| {
                ParseError::Schema(format!(
                    "\"{}\" is no time",
                    text::name(&json::clip(&format!("{day} {time}"), 40))
                ))
            })
    });
    let clock = clock.transpose()?;
    let stamp = catalogue.word("timestamp").map(|seconds| {
        seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or_else(|| {
            ParseError::Schema(format!("the timestamp {} is no time", text::name(&json::clip(&seconds, 40))))
        })
    });
    match (stamp.transpose()?, clock) {
        (Some(stamp), Some(clock)) if stamp.duration_since(clock).abs() > SignedDuration::from_hours(1) => {
            Err(ParseError::Conflict(format!(
                "the timestamp says {} and date and time say {}",
                VIETNAM.to_datetime(stamp),
                VIETNAM.to_datetime(clock)
            )))
        }
        (Some(time), _) | (None, Some(time)) => Ok(AsOf::At(time)),
        (None, None) => {
            let day = catalogue.string("date").and_then(|day| date::year_first(&day));
            Ok(day.map_or(AsOf::Unstated, AsOf::On))
        }
    }
}
