//! The bank's own pages. A table is known by its heading, whose labels may be Vietnamese or untranslated keys;
//! columns may stand in any order, and other tables (exchange rates, loans) are left alone.

use rust_decimal::Decimal;

use crate::{
    Answer, AsOf, Ask, Parsed, Request,
    error::ParseError,
    html::{self, Table},
    json::clip,
    number::{self, NumberFormat},
    quote::{Channel, Term},
    request,
    sheet::Rows,
    term, text,
};

pub(super) fn requests(ask: &Ask<'_>) -> Vec<Request> {
    vec![request::get("page", ask.base, &[], request::HTML)]
}

/// The widget: products are rows, terms are columns.
pub(super) fn parse_widget(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    parse(answer, "a table with the headings SAVING_TYPE and terms", widget)
}

/// The full table: terms are rows, products are columns.
pub(super) fn parse_table(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    parse(answer, "a table with the headings Kỳ hạn and Tiết kiệm", table)
}

/// Reads a table and says whether it is one of its kind.
type Reading = fn(&Table, &mut Rows) -> Result<bool, ParseError>;

fn parse(answer: &Answer<'_>, expected: &'static str, reading: Reading) -> Result<Parsed, ParseError> {
    let page = answer.text()?;
    if !page.trim_start().starts_with('<') {
        return Err(html::unexpected(&page, "an HTML page"));
    }
    let tables = html::tables(&page)?;
    let mut sheet = Rows::new();
    let mut known = false;
    // The first that fits. What follows under the same headings is for another money or other customers.
    for table in &tables {
        known = reading(table, &mut sheet)?;
        if known {
            break;
        }
    }
    if !known {
        let other = html::unexpected_page(&page, expected);
        let headings: Vec<String> = tables
            .iter()
            .filter_map(|table| table.rows.first())
            .take(4)
            .map(|row| {
                row.iter().take(6).map(|cell| text::name(&clip(cell, 30))).collect::<Vec<_>>().join(" | ")
            })
            .collect();
        return Err(match other {
            ParseError::NotExpectedContent { .. } if !headings.is_empty() => ParseError::Schema(format!(
                "there is no {}; the page has {}",
                expected.trim_start_matches("a "),
                headings.join("; ")
            )),
            other => other,
        });
    }
    sheet.finish(AsOf::Unstated, ParseError::NoData("no term of the table has a rate".to_owned()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Product {
    /// A saving product that is published, by its channel.
    Saving(Channel),
    /// Tiền gửi có kỳ hạn: another product, not published.
    Other,
}

fn product(label: &str) -> Option<Product> {
    Some(match label {
        "normally" | "thông thường" | "tiết kiệm thông thường" => {
            Product::Saving(Channel::Counter)
        }
        "online" | "tiết kiệm online" | "tiết kiệm trực tuyến" => {
            Product::Saving(Channel::Online)
        }
        "period" | "tiền gửi có kỳ hạn" | "có kỳ hạn" => Product::Other,
        _ => return None,
    })
}

/// A heading without its unit: `Kỳ hạn (tháng)`, `12 tháng (%/năm)`.
fn heading(text: &str) -> String {
    let label = text::label(text);
    label.split_once('(').map_or(label.as_str(), |(label, _)| label).trim().to_owned()
}

fn widget(table: &Table, sheet: &mut Rows) -> Result<bool, ParseError> {
    let Some((at, headings, terms)) = table.rows.iter().take(4).enumerate().find_map(|(at, row)| {
        let headings: Vec<String> = row.iter().map(|cell| heading(cell)).collect();
        let terms: Vec<(usize, Term)> = headings
            .iter()
            .enumerate()
            .filter_map(|(column, label)| Some((column, term::read(label)?)))
            .collect();
        (!terms.is_empty()).then_some((at, headings, terms))
    }) else {
        return Ok(false);
    };
    for (at, (_, term)) in terms.iter().enumerate() {
        if terms.iter().take(at).any(|(_, other)| other == term) {
            return Err(ParseError::Schema(format!("two columns of the table are for {term}")));
        }
    }
    let rows = || table.rows.iter().skip(at + 1);
    // The column of products is the one that has any, whatever its heading is called.
    let products: Vec<usize> = (0..headings.len())
        .filter(|column| terms.iter().all(|(term, _)| term != column))
        .filter(|column| {
            rows().any(|row| row.get(*column).is_some_and(|cell| product(&heading(cell)).is_some()))
        })
        .collect();
    let [product_column] = products.as_slice() else {
        let savings = headings.iter().any(|label| matches!(label.as_str(), "saving_type" | "loại tiết kiệm"));
        return if products.is_empty() && !savings {
            Ok(false)
        } else {
            let found = if products.is_empty() {
                "no column of the table names"
            } else {
                "two columns of the table name"
            };
            Err(ParseError::Schema(format!(
                "{found} a known product; the heading is {}",
                headings.join(" | ")
            )))
        };
    };
    for row in rows() {
        let named = row.get(*product_column).map_or("", String::as_str);
        let Some(Product::Saving(channel)) = product(&heading(named)) else { continue };
        if let Err(why) = same_width(row, headings.len()) {
            sheet.refuse(named, why);
            continue;
        }
        for &(column, term) in &terms {
            let cell = row.get(column).map_or("", String::as_str);
            add(sheet, &format!("{named}, {term}"), term, channel, cell)?;
        }
    }
    Ok(true)
}

fn table(table: &Table, sheet: &mut Rows) -> Result<bool, ParseError> {
    let Some((at, labels, headings)) = table.rows.iter().take(4).enumerate().find_map(|(at, row)| {
        let headings: Vec<String> = row.iter().map(|cell| heading(cell)).collect();
        let savings = headings
            .iter()
            .any(|label| label.contains("tiết kiệm") || matches!(product(label), Some(Product::Saving(_))));
        (savings && headings.iter().any(|label| is_term(label)))
            .then(|| (at, row.iter().map(|cell| text::label(cell)).collect::<Vec<_>>(), headings))
    }) else {
        return Ok(false);
    };
    let terms = places(&headings, is_term);
    let [term_column] = terms.as_slice() else {
        return Err(ParseError::Schema("two columns of the table name the term".to_owned()));
    };
    // Where the heading says months, a bare number is one.
    let in_months = labels.get(*term_column).is_some_and(|label| label.contains("tháng"));
    let columns: Vec<(usize, Channel)> = headings
        .iter()
        .enumerate()
        .filter_map(|(column, label)| match product(label) {
            Some(Product::Saving(channel)) => Some((column, channel)),
            _ => None,
        })
        .collect();
    for channel in [Channel::Counter, Channel::Online] {
        if columns.iter().filter(|(_, other)| *other == channel).count() > 1 {
            return Err(ParseError::Schema(format!("two columns of the table are for {}", channel.as_str())));
        }
    }
    if columns.is_empty() {
        return Err(ParseError::Schema(format!(
            "no column of a known product; the heading is {}",
            headings.join(" | ")
        )));
    }
    for row in table.rows.iter().skip(at + 1) {
        let named = row.get(*term_column).map_or("", String::as_str);
        let term = term::read(named).or_else(|| in_months.then(|| term::months_of(named)).flatten());
        if term.is_some()
            && let Err(why) = same_width(row, headings.len())
        {
            sheet.refuse(named, why);
            continue;
        }
        let Some(term) = term else {
            if columns
                .iter()
                .any(|(column, _)| row.get(*column).is_some_and(|cell| !number::not_quoted(cell)))
            {
                sheet.refuse(named, "not a term that is known");
            }
            continue;
        };
        for &(column, channel) in &columns {
            let cell = row.get(column).map_or("", String::as_str);
            add(sheet, &format!("{named}, {}", channel.as_str()), term, channel, cell)?;
        }
    }
    Ok(true)
}

/// Cells are known by the heading above them, so a row of another width cannot be told.
fn same_width(row: &[String], headings: usize) -> Result<(), String> {
    if row.len() == headings {
        Ok(())
    } else {
        Err(format!("it has {} cells under {headings} headings", row.len()))
    }
}

fn is_term(label: &str) -> bool {
    matches!(label, "kỳ hạn" | "kì hạn" | "kỳ hạn gửi" | "term" | "tenor")
}

fn places(labels: &[String], wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    labels.iter().enumerate().filter(|(_, label)| wanted(label)).map(|(at, _)| at).collect()
}

fn add(sheet: &mut Rows, row: &str, term: Term, channel: Channel, cell: &str) -> Result<(), ParseError> {
    match rate(cell) {
        Ok(None) => Ok(()),
        Ok(Some(rate)) => sheet.add(super::deposit(term, Some(channel), rate)),
        Err(why) => {
            sheet.refuse(row, why);
            Ok(())
        }
    }
}

/// `4.75`, `4,75`, `4,75%`. Whether the page will keep the point of its keys or turn Vietnamese is not known. A
/// rate has at most two digits before its mark and, here, at most two after it, so that neither mark can be one
/// of thousands; anything else is refused, never guessed.
fn rate(cell: &str) -> Result<Option<Decimal>, String> {
    let format = if cell.contains(',') { NumberFormat::DOT_GROUPS } else { NumberFormat::PLAIN };
    let Some(rate) = format.percent(cell).map_err(|error| error.to_string())?.filter(|rate| !rate.is_zero())
    else {
        return Ok(None);
    };
    if rate >= Decimal::ONE_HUNDRED || rate.scale() > 2 {
        return Err(format!(
            "\"{}\" is no rate such as 4.75 or 4,75",
            text::name(&crate::json::clip(cell, 40))
        ));
    }
    Ok(Some(rate))
}
