//! The old XML: one document, two units. The unit of a row follows from its list and its name, and a name that
//! stands in both lists must say the same in both.

use rust_decimal::Decimal;

use crate::{
    Answer, AsOf, Ask, Parsed, Request,
    error::ParseError,
    number::{self, NumberFormat},
    quote::{Quote, WeightUnit, convert_weight},
    request,
    sheet::{Rows, figure},
    text,
    xml::{self, Element},
};

pub(super) const KEY: &str = "doji_api_key";

pub(super) fn requests(ask: &Ask<'_>) -> Vec<Request> {
    let query: &[(&str, &str)] = match ask.secrets.get(KEY) {
        Some(key) => &[("api_key", key)],
        None => &[],
    };
    vec![request::get("xml", ask.base, query, request::XML)]
}

pub(super) fn parse(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    let text = answer.text()?;
    let elements = xml::elements(&text, "GoldList", "XML with the root \"GoldList\"")?;
    let rows: Vec<&Element> = elements
        .iter()
        .filter(|element| {
            element.name == "Row" && matches!(element.parent.as_str(), "DGPlist" | "JewelryList")
        })
        .collect();
    if rows.is_empty() {
        return Err(ParseError::NoData("neither price list has a row".to_owned()));
    }
    xml::require_attributes(&rows, &["Name", "Buy", "Sell"])?;
    let mut sheet = Rows::new();
    let mut read: Vec<(String, Quote)> = Vec::new();
    for row in rows {
        let name = text::name(row.attribute("Name").unwrap_or_default());
        let Some((product, place, unit)) = identify(&row.parent, &name.to_lowercase()) else { continue };
        let sides = price(row, "Buy").and_then(|buy| Ok((buy, price(row, "Sell")?)));
        let sides = match sides {
            Ok(sides) => sides,
            Err(error) => {
                sheet.refuse(&format!("{} of {}", name, row.parent), error);
                continue;
            }
        };
        let Some(quote) = super::gold(product, place, None, Some(&name), unit, sides) else { continue };
        match read.iter().find(|(_, other)| other.key() == quote.key()) {
            None => {
                sheet.add(quote.clone())?;
                read.push((name, quote));
            }
            Some((_, other)) if per_luong(other) == per_luong(&quote) => {}
            Some((_, other)) => {
                return Err(ParseError::Conflict(format!(
                    "\"{name}\" is {} in one place and {} in the other (buy / sell in đồng per lượng)",
                    written(other),
                    written(&quote)
                )));
            }
        }
    }
    // Both DateTime elements are useless: the epoch, or the time of the reply.
    sheet.finish(AsOf::Unstated, ParseError::NoData("no row of a known product has a price".to_owned()))
}

/// Product, place and unit of a row: `None` for what is not published, and for rows whose unit nobody documents.
fn identify(list: &str, name: &str) -> Option<(&'static str, Option<&'static str>, WeightUnit)> {
    let jewelry = list == "JewelryList";
    if let Some(rest) = name.strip_prefix("doji ") {
        let (place, trade) = rest.split_once(' ')?;
        let (place, unit) = match (place, jewelry) {
            ("hn", _) => ("hanoi", WeightUnit::Luong),
            ("hcm", false) => ("hcm", WeightUnit::Chi),
            ("hcm", true) => ("hcm", WeightUnit::Luong),
            ("đn", true) => ("danang", WeightUnit::Luong),
            ("ct", true) => ("cantho", WeightUnit::Luong),
            _ => return None,
        };
        let product = match trade {
            "lẻ" => "sjc-bar",
            "buôn" => "sjc-bar-wholesale",
            _ => return None,
        };
        return Some((product, Some(place), unit));
    }
    if !jewelry {
        return None;
    }
    let product = match name {
        "avpl" => "avpl-bar",
        "giá nguyên liệu 18k" => "raw-18k",
        "giá nguyên liệu 16k" => "raw-16k",
        "giá nguyên liệu 15k" => "raw-15k",
        "giá nguyên liệu 14k" => "raw-14k",
        "giá nguyên liệu 10k" => "raw-10k",
        _ if name == "vàng 24k" || name.starts_with("vàng 24k ") => "jewelry-24k",
        _ if name.starts_with("nhẫn tròn 9999") => "ring-9999",
        _ => return None,
    };
    Some((product, None, WeightUnit::Chi))
}

/// Thousands of đồng.
fn price(row: &Element, side: &str) -> Result<Option<Decimal>, String> {
    let text = row.attribute(side).unwrap_or_default();
    let price = NumberFormat::COMMA_GROUPS.price(text).map_err(|error| format!("{side}: {error}"))?;
    number::sold(price)
        .map(|price| super::thousands(price).ok_or_else(|| format!("{side}: {price} is beyond any price")))
        .transpose()
}

/// Both sides in đồng per lượng.
fn per_luong(quote: &Quote) -> Option<[Option<Decimal>; 2]> {
    let Quote::Gold(gold) = quote else { return None };
    Some([gold.buy, gold.sell].map(|side| convert_weight(side?, gold.unit, WeightUnit::Luong, "VND")))
}

fn written(quote: &Quote) -> String {
    let [buy, sell] = per_luong(quote).unwrap_or_default();
    format!("{} / {}", figure(buy), figure(sell))
}
