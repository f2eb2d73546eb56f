//! Deposit rates of the bank's two regions.

use std::{borrow::Cow, collections::HashMap};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::{
    Answer, AsOf, Ask, Parsed, Request, date,
    error::ParseError,
    json::{self, Object},
    number::NumberFormat,
    quote::{Channel, Customer, Deposit, Quote, Term},
    request,
    sheet::Rows,
    term, text,
};

/// Region, and what we call it as a place.
const REGIONS: [&str; 2] = ["hanoi", "hcm"];

const HEADERS: &[(&str, &str)] = &[
    ("Accept", "application/json, text/plain, */*"),
    ("Referer", "https://bidv.com.vn/vn/tra-cuu-lai-suat"),
];

/// Some clients post, some get.
pub(super) fn requests(ask: &Ask<'_>) -> Vec<Request> {
    vec![request::post("post", ask.base, &[], HEADERS), request::get("get", ask.base, &[], HEADERS)]
}

/// One region's board.
struct Region {
    place: &'static str,
    since: Date,
    rates: Vec<(Term, Decimal)>,
}

pub(super) fn parse(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    let text = answer.text()?;
    let body = Object::read(json::document(&text)?)?;
    if body.get("status").map(RawValue::get).is_none_or(|status| status != "1" && status != "\"1\"") {
        let status = body.get("status").map_or_else(|| "missing".to_owned(), json::describe);
        let note = text::name(&json::clip(&text::unescape(&body.string("note_vi").unwrap_or_default()), 120));
        let note = if note.is_empty() { note } else { format!("; its note says: {note}") };
        return Err(ParseError::NoData(format!("its status is {status} and not 1{note}")));
    }
    let mut sheet = Rows::new();
    let mut regions = Vec::new();
    for place in REGIONS {
        let region = body.get(place).ok_or_else(|| {
            ParseError::Schema(format!("no region \"{place}\"; the keys are {}", body.keys()))
        })?;
        regions.push(region_of(place, &Object::read(region)?, &mut sheet)?);
    }
    let mut as_of: Option<Date> = None;
    let mut terms: Vec<Term> = Vec::new();
    for region in &regions {
        as_of = as_of.max(Some(region.since));
        terms.extend(region.rates.iter().map(|(term, _)| *term));
    }
    let mut seen = std::collections::HashSet::new();
    terms.retain(|term| seen.insert(*term));
    let by_term: Vec<HashMap<Term, Decimal>> =
        regions.iter().map(|region| region.rates.iter().copied().collect()).collect();
    for term in terms {
        let found: Vec<(&Region, Decimal)> = regions
            .iter()
            .zip(&by_term)
            .filter_map(|(region, rates)| Some((region, *rates.get(&term)?)))
            .collect();
        match found.as_slice() {
            // Since when it holds in both.
            [(one, rate), (two, other)] if rate == other => {
                sheet.add(quote(term, None, *rate, one.since.max(two.since)))?;
            }
            some => {
                for (region, rate) in some {
                    sheet.add(quote(term, Some(region.place), *rate, region.since))?;
                }
            }
        }
    }
    let nothing = ParseError::NoData("no term has a rate in đồng".to_owned());
    sheet.finish(as_of.map_or(AsOf::Unstated, AsOf::On), nothing)
}

fn region_of(place: &'static str, region: &Object<'_>, sheet: &mut Rows) -> Result<Region, ParseError> {
    let Some(written) = region.string("day_vi") else {
        return Err(ParseError::Schema(format!(
            "the region {place} has no \"day_vi\"; the keys are {}",
            region.keys()
        )));
    };
    let since = date::day_first(&written).ok_or_else(|| {
        ParseError::Schema(format!(
            "the day \"{}\" of {place} is no date such as 13/04/2026",
            text::name(&json::clip(&written, 40))
        ))
    })?;
    let data = region.get("data").and_then(json::list);
    let data = data.ok_or_else(|| ParseError::Schema(format!("the region {place} has no list \"data\"")))?;
    let rows = json::objects(&data, sheet);
    if rows.is_empty() {
        return Err(ParseError::Schema(format!("the region {place} has no rows")));
    }
    json::require_columns(&rows, &["VND"])?;
    let mut rates: Vec<(Term, Decimal)> = Vec::new();
    let mut at: HashMap<Term, Decimal> = HashMap::new();
    for row in &rows {
        let titles = [row.string("title_vi"), row.string("title_en")];
        let named = titles.iter().flatten().next().cloned().unwrap_or_default();
        let label = format!("{place}: {named}");
        let term = match term_of(&titles) {
            Ok(term) => term,
            Err(why) => {
                sheet.refuse(&label, why);
                continue;
            }
        };
        match json::percent(row.get("VND"), NumberFormat::PLAIN) {
            Ok(None) => {}
            Ok(Some(rate)) => match at.insert(term, rate) {
                None => rates.push((term, rate)),
                Some(first) if first == rate => {}
                Some(first) => {
                    return Err(ParseError::Conflict(format!(
                        "{label} occurs twice, as {first} % and as {rate} %"
                    )));
                }
            },
            Err(error) => sheet.refuse(&label, error),
        }
    }
    Ok(Region { place, since, rates })
}

/// Both titles, where both are there, must name one term.
fn term_of(titles: &[Option<String>; 2]) -> Result<Term, String> {
    let mut found: Option<Term> = None;
    for title in titles.iter().flatten().filter(|title| !title.trim().is_empty()) {
        let Some(term) = term::read(title) else {
            return Err("not a term that is known".to_owned());
        };
        match found {
            Some(first) if first != term => {
                return Err(format!("its titles name two terms, {first} and {term}"));
            }
            _ => found = Some(term),
        }
    }
    found.ok_or_else(|| "no term".to_owned())
}

fn quote(term: Term, place: Option<&'static str>, rate_percent: Decimal, since: Date) -> Quote {
    Quote::Deposit(Deposit {
        term,
        channel: Some(Channel::Counter),
        customer: Customer::Personal,
        payout: None,
        place: place.map(Cow::Borrowed),
        // The id has no currency: only đồng are published, and the bank quotes nothing else.
        currency: Cow::Borrowed("VND"),
        min_amount: None,
        rate_percent,
        effective_from: Some(since),
    })
}
