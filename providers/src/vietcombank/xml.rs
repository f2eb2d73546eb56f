//! `pXML.aspx`: rates in attributes, the board's time month-first. The bank asks for five minutes between calls.

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::{
    Answer, AsOf, Ask, Parsed, Request, currency, date,
    error::ParseError,
    json::clip,
    number::NumberFormat,
    quote::{Fx, Quote},
    request,
    sheet::{Rows, named},
    text,
    xml::{self, Element},
};

const COLUMNS: [&str; 3] = ["Buy", "Transfer", "Sell"];

pub(super) fn requests(ask: &Ask<'_>) -> Vec<Request> {
    vec![request::get("xml", ask.base, &[], request::XML)]
}

pub(super) fn parse(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    let text = answer.text()?;
    let elements = xml::elements(&text, "ExrateList", "XML with the root \"ExrateList\"")?;
    let Some(written) = elements.iter().find(|element| element.name == "DateTime").map(|time| &time.text)
    else {
        return Err(ParseError::Schema("the board has no <DateTime>".to_owned()));
    };
    let rows: Vec<&Element> = elements.iter().filter(|element| element.name == "Exrate").collect();
    if rows.is_empty() {
        return Err(ParseError::NoData("a board without rows".to_owned()));
    }
    xml::require_attributes(&rows, &["CurrencyCode"])?;
    xml::require_attributes(&rows, &COLUMNS)?;
    let as_of = date::american(written).ok_or_else(|| {
        ParseError::Schema(format!(
            "the board's time \"{}\" is none such as 9/2/2026 5:38:54 PM",
            text::name(&clip(written, 40))
        ))
    })?;
    let mut sheet = Rows::new();
    for row in rows {
        let label = row.attribute("CurrencyCode").unwrap_or_default();
        let Some((code, None)) = currency::read(label) else { continue };
        match rates(row) {
            Ok([None, None, None]) => {}
            Ok([buy_cash, buy_transfer, sell]) => sheet.add(Quote::Fx(Fx {
                currency: Cow::Borrowed(code),
                variant: None,
                name: named(row.attribute("CurrencyName")),
                per: 1,
                buy_cash,
                buy_transfer,
                sell,
                sell_cash: None,
            }))?,
            Err(error) => sheet.refuse(label, error),
        }
    }
    sheet.finish(AsOf::At(as_of), ParseError::NoData("no currency of the board has a rate".to_owned()))
}

fn rates(row: &Element) -> Result<[Option<Decimal>; 3], String> {
    let mut rates = [None; 3];
    for (rate, column) in rates.iter_mut().zip(COLUMNS) {
        let text = row.attribute(column).unwrap_or_default();
        *rate = NumberFormat::COMMA_GROUPS
            .price(text)
            .map_err(|error| error.to_string())
            .and_then(currency::rate)
            .map_err(|error| format!("{column}: {error}"))?;
    }
    Ok(rates)
}
