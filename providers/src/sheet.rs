//! Gathers the rows of one answer: the same row twice counts once, two different ones are a contradiction, and
//! a row that cannot be read is named and leaves the others alone.

use std::{collections::HashMap, fmt::Display};

use rust_decimal::Decimal;

use crate::{
    AsOf, Parsed, Sheet,
    error::{ParseError, Reason},
    json::clip,
    quote::Quote,
    text,
};

/// Refused rows that are named one by one; the rest is counted.
const NAMED: usize = 50;

#[derive(Debug, Default)]
pub(crate) struct Rows {
    quotes: Vec<Quote>,
    at: HashMap<String, usize>,
    refused: Vec<Reason>,
    unnamed: usize,
}

impl Rows {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, quote: Quote) -> Result<(), ParseError> {
        let key = quote.key();
        match self.at.get(&key).and_then(|at| self.quotes.get(*at)) {
            None => {
                self.at.insert(key, self.quotes.len());
                self.quotes.push(quote);
                Ok(())
            }
            Some(first) if first.same_figures(&quote) => Ok(()),
            Some(first) => Err(ParseError::Conflict(format!(
                "{key} occurs twice, as {} and as {}",
                figures(first),
                figures(&quote)
            ))),
        }
    }

    /// Leaves a row out and says why.
    pub(crate) fn refuse(&mut self, row: &str, why: impl Display) {
        if self.refused.len() < NAMED {
            let row = text::name(&clip(row, 60));
            self.refused.push(Reason::new("unreadable", format!("row \"{row}\": {why}")));
        } else {
            self.unnamed += 1;
        }
    }

    /// The sheet, or `nothing` if no row carries a figure.
    pub(crate) fn finish(mut self, as_of: AsOf, nothing: ParseError) -> Result<Parsed, ParseError> {
        if self.unnamed > 0 {
            self.refused.push(Reason::new("unreadable", format!("{} more rows", self.unnamed)));
        }
        if self.quotes.is_empty() {
            return Err(match self.refused.first() {
                Some(first) => ParseError::Schema(format!("no row could be read; {}", first.message)),
                None => nothing,
            });
        }
        Ok(Parsed::Sheet(Sheet { as_of, quotes: self.quotes, refused: self.refused }))
    }
}

/// The source's own text for a row; what is longer than any name is cut.
pub(crate) fn named(text: Option<&str>) -> Option<String> {
    Some(text::name(&clip(text?, 120))).filter(|name| !name.is_empty())
}

/// The figures of a row, for a message.
fn figures(quote: &Quote) -> String {
    let pair = |one: Option<Decimal>, two: Option<Decimal>| format!("{} / {}", figure(one), figure(two));
    match quote {
        Quote::Gold(gold) => format!("{} per {}", pair(gold.buy, gold.sell), gold.unit.as_str()),
        Quote::Fx(fx) => format!("{} / {}", figure(fx.buy_cash), pair(fx.buy_transfer, fx.sell)),
        Quote::Deposit(deposit) => format!("{} %", deposit.rate_percent),
    }
}

/// A figure, or a dash.
pub(crate) fn figure(value: Option<Decimal>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
