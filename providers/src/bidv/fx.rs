//! The day's list of boards, then its newest board; without a list, the board that the bank calls its newest.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::value::RawValue;
use url::Url;

use crate::{
    Answer, AsOf, Ask, Parsed, Request, currency, date,
    error::ParseError,
    json::{self, Object},
    number::NumberFormat,
    quote::{Fx, Quote},
    request,
    sheet::{Rows, named},
    text,
};

const LIST: &str = "ExchangeDetailSearchTimeServlet";
const BOARD: &str = "ExchangeDetailServlet";

/// The list of today's boards; without one, the newest board is the last day's.
const TODAYS: &str = "boards";
/// The list of a day that has passed; without one there is no board of it.
const PAST: &str = "past-boards";

pub(super) fn requests(ask: &Ask<'_>) -> Vec<Request> {
    vec![list(ask, TODAYS), newest(ask.base)]
}

pub(super) fn past(ask: &Ask<'_>) -> Request {
    list(ask, PAST)
}

fn list(ask: &Ask<'_>, step: &'static str) -> Request {
    let day = date::write_day_first(date::vietnamese_day(ask.now));
    let list = if ask.base.path().ends_with('/') { sibling(ask.base, LIST) } else { ask.base.clone() };
    request::post(step, &list, &[("date", &day)], request::JSON)
}

/// What the bank's own page sends.
fn newest(base: &Url) -> Request {
    request::post("newest", &sibling(base, BOARD), &[("date", ""), ("time", "")], request::JSON)
}

/// Another servlet of the same folder, with the operator's query.
fn sibling(base: &Url, name: &str) -> Url {
    let mut url = base.join(name).unwrap_or_else(|_| base.clone());
    url.set_query(base.query());
    url
}

pub(super) fn parse(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    let text = answer.text()?;
    let body = Object::read(json::document(&text)?)?;
    let asked_for_list = matches!(answer.step, Some(TODAYS | PAST));
    let newest_will_do = answer.step == Some(TODAYS);
    if body.get("status").map(RawValue::get).is_none_or(|status| status != "1" && status != "\"1\"") {
        if newest_will_do {
            return Ok(Parsed::Follow(newest(answer.base)));
        }
        let status = body.get("status").map_or_else(|| "missing".to_owned(), json::describe);
        return Err(ParseError::NoData(format!("its status is {status}")));
    }
    let rows = match body.get("data") {
        None => Vec::new(),
        Some(data) => json::list(data).ok_or_else(|| {
            ParseError::Schema(format!("\"data\" is {} and not a list", json::describe(data)))
        })?,
    };
    let mut sheet = Rows::new();
    let rows = json::objects(&rows, &mut sheet);
    if rows.is_empty() {
        return if newest_will_do {
            Ok(Parsed::Follow(newest(answer.base)))
        } else {
            Err(ParseError::NoData("a board without rows".to_owned()))
        };
    }
    if rows.iter().any(|row| row.has("namerecord")) {
        return if asked_for_list {
            follow(answer, &rows)
        } else {
            Err(ParseError::NotExpectedContent {
                expected: "a board of rates",
                found: format!("a list of {} boards of one day, not a board", rows.len()),
            })
        };
    }
    board(&body, &rows, sheet)
}

/// The board with the greatest ordinal: as a number, since "10" is after "9".
fn follow(answer: &Answer<'_>, rows: &[Object<'_>]) -> Result<Parsed, ParseError> {
    let mut newest: Option<(u32, String)> = None;
    for row in rows {
        let ordinal = row.word("time").and_then(|time| time.trim().parse::<u32>().ok());
        let name = row.word("namerecord").filter(|name| !name.trim().is_empty() && name.len() <= 200);
        let Some((ordinal, name)) = ordinal.zip(name) else {
            return Err(ParseError::Schema("a board of the day's list has no ordinal or no name".to_owned()));
        };
        match &newest {
            Some((best, first)) if *best == ordinal && *first != name => {
                return Err(ParseError::Conflict(format!(
                    "two boards of one day have the ordinal {ordinal}"
                )));
            }
            Some((best, _)) if *best >= ordinal => {}
            _ => newest = Some((ordinal, name)),
        }
    }
    let Some((_, name)) = newest else {
        return Err(ParseError::NoData("a list without boards".to_owned()));
    };
    let day = date::write_day_first(date::vietnamese_day(answer.now));
    let board = sibling(answer.base, BOARD);
    Ok(Parsed::Follow(request::post("board", &board, &[("date", &day), ("time", &name)], request::JSON)))
}

fn board(body: &Object<'_>, rows: &[Object<'_>], mut sheet: Rows) -> Result<Parsed, ParseError> {
    json::require_columns(rows, &["currency", "muaTm", "muaCk", "ban"])?;
    let as_of = as_of(body)?;
    for row in rows {
        let label = row.string("currency").unwrap_or_default();
        // Unknown codes, and XAU: gold in thousands of đồng per lượng, no currency.
        let Some((code, variant)) = currency::read(&label) else { continue };
        match rates(row) {
            Ok([None, None, None, None]) => {}
            Ok([buy_cash, buy_transfer, sell, sell_cash]) => sheet.add(Quote::Fx(Fx {
                currency: Cow::Borrowed(code),
                variant,
                name: named(row.string("nameVI").as_deref()),
                per: 1,
                buy_cash,
                buy_transfer,
                sell,
                sell_cash,
            }))?,
            Err(error) => sheet.refuse(&label, error),
        }
    }
    sheet.finish(as_of, ParseError::NoData("no currency of the board has a rate".to_owned()))
}

/// Buying in cash and by transfer, selling, selling in cash. `banCk` has been read by one client: where it is
/// quoted, `ban` is the price in cash.
fn rates(row: &Object<'_>) -> Result<[Option<Decimal>; 4], String> {
    let rate = |column: &str| {
        json::price(row.get(column), NumberFormat::COMMA_GROUPS)
            .map_err(|error| error.to_string())
            .and_then(currency::rate)
            .map_err(|error| format!("{column}: {error}"))
    };
    let (buy_cash, buy_transfer, sell) = (rate("muaTm")?, rate("muaCk")?, rate("ban")?);
    Ok(match rate("banCk")? {
        Some(by_transfer) => [buy_cash, buy_transfer, Some(by_transfer), sell],
        None => [buy_cash, buy_transfer, sell, None],
    })
}

/// The day that came back, never the day asked for.
fn as_of(body: &Object<'_>) -> Result<AsOf, ParseError> {
    let Some(written) = body.string("day_vi") else {
        return Err(ParseError::Schema(format!("the board has no \"day_vi\"; the keys are {}", body.keys())));
    };
    let day = date::day_first(&written).ok_or_else(|| {
        ParseError::Schema(format!(
            "the board's day \"{}\" is no date such as 10/12/2024",
            text::name(&json::clip(&written, 40))
        ))
    })?;
    let instant = body.string("hour").and_then(|hour| date::hour(&hour)).and_then(|hour| date::at(day, hour));
    Ok(instant.map_or(AsOf::On(day), AsOf::At))
}
