//! `/api/exchangerates?date=`: any day can be asked for, and the day in the answer only echoes the question.

use std::borrow::Cow;

use jiff::{
    Timestamp,
    civil::{DateTime, time},
};
use rust_decimal::Decimal;

use crate::{
    Answer, AsOf, Ask, Parsed, Request, VIETNAM, currency, date,
    error::ParseError,
    json::{self, Object},
    number::NumberFormat,
    quote::{Fx, Quote},
    request,
    sheet::{Rows, named},
    text,
};

const COLUMNS: [&str; 3] = ["cash", "transfer", "sell"];

pub(super) fn requests(ask: &Ask<'_>) -> Vec<Request> {
    let day = date::vietnamese_day(ask.now).to_string();
    vec![request::get("json", ask.base, &[("date", &day)], request::JSON)]
}

/// Any day can be asked for; the board of one that has passed says its day and a time that is made up.
const PAST: &str = "past";

pub(super) fn past(ask: &Ask<'_>) -> Request {
    let day = date::vietnamese_day(ask.now).to_string();
    request::get(PAST, ask.base, &[("date", &day)], request::JSON)
}

pub(super) fn parse(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    let text = answer.text()?;
    let document = json::document(&text)?;
    if json::list(document).is_some() {
        return Err(ParseError::NotExpectedContent {
            expected: "an object with Count, UpdatedDate and Data",
            found: format!("{} (an earlier form of this address)", json::describe(document)),
        });
    }
    let body = Object::read(document)?;
    if !body.has("Data") || !body.has("Count") {
        return Err(ParseError::Schema(format!("no \"Data\" or no \"Count\"; the keys are {}", body.keys())));
    }
    let Some(data) = body.get("Data") else {
        return Err(ParseError::NoData("\"Data\" is null".to_owned()));
    };
    let data = json::list(data)
        .ok_or_else(|| ParseError::Schema(format!("\"Data\" is {} and not a list", json::describe(data))))?;
    let mut sheet = Rows::new();
    let rows = json::objects(&data, &mut sheet);
    let count = body.word("Count").unwrap_or_default();
    if count.parse() != Ok(data.len()) {
        return Err(ParseError::Schema(format!(
            "\"Count\" is {} and there are {} rows",
            json::clip(&count, 20),
            data.len()
        )));
    }
    if data.is_empty() {
        return Err(ParseError::NoData("a board without rows".to_owned()));
    }
    json::require_columns(&rows, &["currencyCode"])?;
    json::require_columns(&rows, &COLUMNS)?;
    let as_of = as_of(&body, answer.now, answer.step == Some(PAST))?;
    for row in &rows {
        let label = row.string("currencyCode").unwrap_or_default();
        let Some((code, None)) = currency::read(&label) else { continue };
        match rates(row) {
            Ok([None, None, None]) => {}
            Ok([buy_cash, buy_transfer, sell]) => sheet.add(Quote::Fx(Fx {
                currency: Cow::Borrowed(code),
                variant: None,
                name: named(row.string("currencyName").as_deref()),
                per: 1,
                buy_cash,
                buy_transfer,
                sell,
                sell_cash: None,
            }))?,
            Err(error) => sheet.refuse(&label, error),
        }
    }
    sheet.finish(as_of, ParseError::NoData("no currency of the board has a rate".to_owned()))
}

fn rates(row: &Object<'_>) -> Result<[Option<Decimal>; 3], String> {
    let mut rates = [None; 3];
    for (rate, column) in rates.iter_mut().zip(COLUMNS) {
        *rate = json::price(row.get(column), NumberFormat::PLAIN)
            .map_err(|error| format!("{column}: {error}"))?;
    }
    Ok(rates)
}

/// `UpdatedDate`, unless it is one of the times that the bank makes up: 23:00:00 sharp, or one still to come. Of a past
/// board the day still counts: a Sunday's answer said Saturday.
fn as_of(body: &Object<'_>, now: Timestamp, past: bool) -> Result<AsOf, ParseError> {
    let Some(written) = body.string("UpdatedDate").filter(|written| !written.trim().is_empty()) else {
        return Ok(AsOf::Unstated);
    };
    let written = written.trim();
    let instant: Result<Timestamp, _> = written
        .parse()
        .or_else(|_| written.parse::<DateTime>().and_then(|local| VIETNAM.to_timestamp(local)));
    let instant = instant.map_err(|_| {
        ParseError::Schema(format!("\"UpdatedDate\" {} is no time", text::name(&json::clip(written, 40))))
    })?;
    let local = VIETNAM.to_datetime(instant);
    let made_up = local.time() == time(23, 0, 0, 0) || instant > now;
    Ok(match (made_up || local.year() < 2000, past && local.year() >= 2000) {
        (false, _) => AsOf::At(instant),
        (true, true) => AsOf::On(local.date()),
        (true, false) => AsOf::Unstated,
    })
}
