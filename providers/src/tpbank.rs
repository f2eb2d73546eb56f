//! TPBank (earlier TienPhongBank): one gold price a day, from the bank's chart, whose dates are month-first.

use std::borrow::Cow;

use jiff::{ToSpan, civil::Weekday};

use crate::{
    Answer, AsOf, Ask, Feed, Institution, Kind, Parsed, Past, Request, Source, date,
    error::ParseError,
    json::{self, Object},
    number::{self, NumberFormat},
    quote::{Gold, Quote, WeightUnit},
    request,
    sheet::Rows,
    text,
};

pub(crate) const TPBANK: Institution =
    Institution { id: "tpbank", name: "TPBank", label: "TienPhongBank", feeds: &[GOLD] };

const GOLD: Feed = Feed {
    id: "tpbank.gold",
    kind: Kind::Gold,
    page: "https://tpb.vn/",
    schedule: "*/30 8-18 * * Mon-Sat",
    stale_after: "15m",
    expire_after: "72h",
    timeout: "20s",
    max_jump: "5%",
    required: &["bar"],
    sources: &[Source {
        id: "chart",
        url: "https://tpb.vn/CMCWPCoreAPI/api/public-service/get-gold-info-chart",
        secret: None,
        via: None,
        whole: true,
        min_interval: None,
        requests,
        // Saturdays have a price of their own, Sundays have not (the chart of May 2024). A day without one is answered
        // with the days before it; a chart without any is no answer.
        past: Some(Past {
            request: chart,
            rests: &[Weekday::Sunday],
            rests_on_holidays: false,
            says_none: false,
        }),
        parse,
    }],
};

fn requests(ask: &Ask<'_>) -> Vec<Request> {
    vec![chart(ask)]
}

/// Ten days reach over every holiday. The newest of them is the price; of a day that has passed likewise, since whether the
/// bank would answer for one day alone is not known.
fn chart(ask: &Ask<'_>) -> Request {
    let today = date::vietnamese_day(ask.now);
    let from = date::write_month_first(today.saturating_sub(10.days()));
    let to = date::write_month_first(today);
    request::get("chart", ask.base, &[("from_date", &from), ("to_date", &to)], request::JSON)
}

fn parse(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    let text = answer.text()?;
    let chart = Object::read(json::document(&text)?)?;
    let Some(item) = chart.get("item") else {
        let said = ["errMessage", "message", "error"].iter().find_map(|key| chart.string(key));
        return Err(match said {
            Some(said) => ParseError::NoData(text::name(&json::clip(&said, 120))),
            None => ParseError::Schema(format!("no list \"item\"; the keys are {}", chart.keys())),
        });
    };
    let item = json::list(item)
        .ok_or_else(|| ParseError::Schema(format!("\"item\" is {} and not a list", json::describe(item))))?;
    // A row or a day that cannot be read might be the newest.
    let rows = item.iter().map(|row| Object::read(row)).collect::<Result<Vec<_>, _>>()?;
    if !rows.is_empty() {
        json::require_columns(&rows, &["DATES", "RATE_BUY", "RATE_SELL"])?;
    }
    let mut newest: Option<(jiff::civil::Date, Vec<&Object<'_>>)> = None;
    for row in &rows {
        let day = row.string("DATES").unwrap_or_default();
        let day = date::month_first(&day).ok_or_else(|| {
            ParseError::Schema(format!(
                "\"{}\" is no month-first date such as 05/17/2024",
                text::name(&json::clip(&day, 40))
            ))
        })?;
        match &mut newest {
            Some((best, same)) if *best == day => same.push(row),
            Some((best, _)) if *best > day => {}
            _ => newest = Some((day, vec![row])),
        }
    }
    let Some((day, rows)) = newest else {
        return Err(ParseError::NoData("a chart without a day".to_owned()));
    };
    let mut sheet = Rows::new();
    for row in rows {
        let price = |side: &str| {
            if !row.has(side) {
                return Err(format!("it has no \"{side}\""));
            }
            json::price(row.get(side), NumberFormat::PLAIN)
                .map(number::sold)
                .map_err(|error| format!("{side}: {error}"))
        };
        match price("RATE_BUY").and_then(|buy| Ok((buy, price("RATE_SELL")?))) {
            Ok((None, None)) => {}
            Ok((buy, sell)) => sheet.add(Quote::Gold(Gold {
                product: Cow::Borrowed("bar"),
                place: None,
                code: None,
                name: None,
                unit: WeightUnit::Luong,
                currency: Cow::Borrowed("VND"),
                buy,
                sell,
            }))?,
            Err(error) => sheet.refuse(&day.to_string(), error),
        }
    }
    sheet.finish(AsOf::On(day), ParseError::NoData(format!("no price for {day}")))
}
