//! CafeF's file of all banks, a stand-in: OCB's row only. It states no channel, and no day but `Last-Modified`.

use serde_json::value::RawValue;

use crate::{
    Answer, AsOf, Ask, Parsed, Request,
    error::ParseError,
    json::{self, Object},
    number::NumberFormat,
    quote::Term,
    request,
    sheet::Rows,
    term, text,
};

pub(super) fn requests(ask: &Ask<'_>) -> Vec<Request> {
    vec![request::get("banks", ask.base, &[], request::JSON)]
}

pub(super) fn parse(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    let text = answer.text()?;
    let body = Object::read(json::document(&text)?)?;
    if body.get("Success").is_some_and(|raw| raw.get() == "false") {
        let said = body.string("Message").unwrap_or_default();
        return Err(ParseError::NoData(format!("Success is false {}", text::name(&json::clip(&said, 80)))));
    }
    let banks = body
        .get("Data")
        .and_then(json::list)
        .ok_or_else(|| ParseError::Schema(format!("no list \"Data\"; the keys are {}", body.keys())))?;
    let mut sheet = Rows::new();
    let mut found = false;
    for bank in json::objects(&banks, &mut sheet) {
        if !is_ocb(&bank) {
            continue;
        }
        found = true;
        let rates = bank
            .get("interestRates")
            .and_then(json::list)
            .ok_or_else(|| ParseError::Schema("OCB has no list \"interestRates\"".to_owned()))?;
        for row in json::objects(&rates, &mut sheet) {
            let named = row.word("time").unwrap_or_default();
            match term_of(&named, &row) {
                Ok(term) => match json::percent(row.get("value"), NumberFormat::PLAIN) {
                    Ok(None) => {}
                    Ok(Some(rate)) => sheet.add(super::deposit(term, None, rate))?,
                    Err(error) => sheet.refuse(&format!("OCB {named}"), error),
                },
                Err(why) => sheet.refuse(&format!("OCB {named}"), why),
            }
        }
    }
    if !found {
        return Err(ParseError::NoData(format!(
            "none of its {} banks has the symbol OCB and OCB's name",
            banks.len()
        )));
    }
    let as_of = answer.last_modified.map_or(AsOf::Unstated, AsOf::On);
    sheet.finish(as_of, ParseError::NoData("no term of OCB has a rate".to_owned()))
}

/// Symbol and name: a symbol alone is not unique in this file.
fn is_ocb(bank: &Object<'_>) -> bool {
    let name = text::label(&bank.string("name").unwrap_or_default());
    bank.string("symbol").is_some_and(|symbol| symbol.trim() == "OCB")
        && (name.contains("ocb") || name.contains("phương đông"))
}

/// `6T` with `deposit` 6.
fn term_of(named: &str, row: &Object<'_>) -> Result<Term, String> {
    let term = term::read(named).ok_or("not a term that is known")?;
    let months = row.get("deposit").map(RawValue::get);
    match months {
        Some(months) if term.months().map(|n| n.to_string()).as_deref() != Some(months) => {
            Err(format!("\"deposit\" says {} and \"time\" says {term}", json::clip(months, 20)))
        }
        _ => Ok(term),
    }
}
