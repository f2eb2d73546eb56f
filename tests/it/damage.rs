//! Damage that keeps the form of an answer: what units, columns and caches do to real boards. Works on the wire bytes
//! of any source: the numbers that are prices are found by what the adapter read.

use std::collections::BTreeSet;

use providers::{Quote, Sheet};
use rust_decimal::Decimal;

/// xorshift64*: small, seeded, good enough to pick.
pub struct Dice(pub u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        // Never 0, and seeds that are near each other part at once.
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.roll(1);
        dice
    }

    pub fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % below.max(1)
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len())]
    }
}

/// A number of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub start: usize,
    pub end: usize,
    pub text: String,
    /// The row whose figure it is, where that is known.
    pub row: String,
}

/// Digits without marks and without zeros at either end: what stays of a price in any unit and notation.
fn core(text: &str) -> String {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

/// The figures of a sheet as the source writes them.
fn written(sheet: &Sheet) -> BTreeSet<String> {
    sheet
        .quotes
        .iter()
        .flat_map(|quote| match quote {
            Quote::Gold(gold) => vec![gold.buy, gold.sell],
            Quote::Fx(fx) => vec![fx.buy_cash, fx.buy_transfer, fx.sell, fx.sell_cash],
            Quote::Deposit(deposit) => vec![Some(deposit.rate_percent)],
        })
        .flatten()
        .map(|figure: Decimal| core(&figure.to_string()))
        .collect()
}

/// The numbers of the text that are prices of this sheet.
pub fn prices(text: &str, sheet: &Sheet) -> Vec<Token> {
    let known = written(sheet);
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        // Not inside of a word, a date or a time; a colon before it is JSON's unless digits are before that.
        let byte = |back: usize| at.checked_sub(back).map(|at| bytes[at]);
        let inside = match byte(1) {
            Some(b':') => byte(2).is_some_and(|byte| byte.is_ascii_digit()),
            Some(before) => before.is_ascii_alphanumeric() || matches!(before, b'-' | b'/' | b'_' | b'.'),
            None => false,
        };
        let starts = bytes[at].is_ascii_digit() && !inside;
        if !starts {
            at += 1;
            continue;
        }
        let mut end = at;
        while end < bytes.len() && (bytes[end].is_ascii_digit() || matches!(bytes[end], b'.' | b',')) {
            end += 1;
        }
        while matches!(bytes[end - 1], b'.' | b',') {
            end -= 1;
        }
        let follows = bytes
            .get(end)
            .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'/' | b':' | b'_'));
        let token = &text[at..end];
        if !follows && known.contains(&core(token)) {
            tokens.push(Token { start: at, end, text: token.to_owned(), row: String::new() });
        }
        at = end.max(at + 1);
    }
    tokens
}

/// The text with tokens replaced; in their order.
pub fn replaced(text: &str, tokens: &[Token], with: impl Fn(usize, &Token) -> String) -> String {
    let mut out = String::new();
    let mut at = 0;
    for (nth, token) in tokens.iter().enumerate() {
        out.push_str(&text[at..token.start]);
        out.push_str(&with(nth, token));
        at = token.end;
    }
    out.push_str(&text[at..]);
    out
}

/// A number in its own notation, times a factor.
pub fn times(token: &str, factor: Decimal) -> String {
    let digits: String = token.chars().filter(char::is_ascii_digit).collect();
    let Ok(value) = digits.parse::<Decimal>() else { return token.to_owned() };
    let product = (value * factor).round().to_string();
    let mut rest: Vec<char> = product.chars().rev().collect();
    rest.reverse();
    if rest.len() < digits.len() {
        // Leading zeros where the notation has room for them: 0.05.
        let missing = digits.len() - rest.len();
        rest.splice(0..0, std::iter::repeat_n('0', missing));
    }
    // Marks stay where they are, counted from the right.
    let mut out: Vec<char> = Vec::new();
    let mut digits_left = rest.len();
    for mark in token.chars().rev() {
        if mark.is_ascii_digit() {
            if digits_left > 0 {
                digits_left -= 1;
                out.push(rest[digits_left]);
            }
        } else {
            out.push(mark);
        }
    }
    while digits_left > 0 {
        digits_left -= 1;
        out.push(rest[digits_left]);
    }
    out.iter().rev().collect()
}

/// All prices a little up or down: what a market does.
pub fn moved(bytes: &[u8], sheet: &Sheet, factor: Decimal) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let tokens = prices(&text, sheet);
    replaced(&text, &tokens, |_, token| times(&token.text, factor)).into_bytes()
}

/// The kinds of damage.
pub const KINDS: &[&str] = &[
    "one scaled",
    "all scaled",
    "shifted",
    "columns swapped",
    "rows swapped",
    "row copied",
    "dropped",
    "row dropped",
    "duplicated",
    "flipped",
    "truncated",
    "inverted",
];

const FACTORS: &[&str] = &["10", "100", "1000", "0.1", "0.01", "0.001", "37.5", "1000000"];

/// One damage of this kind.
pub fn damaged(bytes: &[u8], tokens: &[Token], kind: &str, dice: &mut Dice) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes.to_vec()) else { return bytes.to_vec() };
    let chosen = dice.roll(tokens.len());
    let other = dice.roll(tokens.len());
    // The same column in two rows.
    let nth_of = |row: &str, at: usize| tokens.iter().filter(|token| token.row == row).nth(at);
    let column = |nth: usize| tokens[..nth].iter().filter(|token| token.row == tokens[nth].row).count();
    let (row, other_row) = (&tokens[chosen].row, &tokens[other].row);
    let factor: Decimal = dice.pick(FACTORS).parse().unwrap();
    let out = match kind {
        "one scaled" => replaced(&text, tokens, |nth, token| {
            if nth == chosen { scaled(&token.text, factor) } else { token.text.clone() }
        }),
        "all scaled" => replaced(&text, tokens, |_, token| scaled(&token.text, factor)),
        // Each price stands where the next one belongs.
        "shifted" => {
            let by = 1 + dice.roll(3);
            replaced(&text, tokens, |nth, _| tokens[(nth + by) % tokens.len()].text.clone())
        }
        "columns swapped" => {
            let width = tokens.iter().filter(|token| token.row == *row).count();
            replaced(&text, tokens, |nth, token| {
                let at = column(nth);
                let swapped = nth_of(&token.row, (at + 1) % width.max(1)).unwrap_or(token);
                if token.row == *row || dice_is_even(chosen) {
                    swapped.text.clone()
                } else {
                    token.text.clone()
                }
            })
        }
        "rows swapped" | "row copied" => replaced(&text, tokens, |nth, token| {
            let of = if token.row == *row {
                other_row
            } else if token.row == *other_row && kind == "rows swapped" {
                row
            } else {
                return token.text.clone();
            };
            nth_of(of, column(nth)).unwrap_or(token).text.clone()
        }),
        "dropped" => replaced(
            &text,
            tokens,
            |nth, token| {
                if nth == chosen { String::new() } else { token.text.clone() }
            },
        ),
        "row dropped" | "duplicated" => return rows(&text, kind == "duplicated", dice).into_bytes(),
        "flipped" => replaced(&text, tokens, |_, token| {
            token
                .text
                .chars()
                .map(|c| {
                    if c == '.' {
                        ','
                    } else if c == ',' {
                        '.'
                    } else {
                        c
                    }
                })
                .collect()
        }),
        "inverted" => replaced(&text, tokens, |nth, token| {
            let value: Decimal = token.text.replace(',', "").parse().unwrap_or(Decimal::ONE);
            if nth == chosen {
                Decimal::ONE.checked_div(value).unwrap_or_default().round_dp(8).to_string()
            } else {
                token.text.clone()
            }
        }),
        _ => {
            let mut end = dice.roll(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text[..end].to_owned()
        }
    };
    out.into_bytes()
}

/// Half of the damages are to all rows.
fn dice_is_even(rolled: usize) -> bool {
    rolled.is_multiple_of(2)
}

/// The number times a factor, written plainly: a source that slips a unit does not keep its grouping.
fn scaled(token: &str, factor: Decimal) -> String {
    let fraction = token.rsplit_once(['.', ',']).map_or(0, |(_, fraction)| fraction.len());
    // A decimal part has one or two digits; three are a group of thousands.
    let decimals = if fraction == 3 || fraction == 0 { 0 } else { fraction };
    let digits: String = token.chars().filter(char::is_ascii_digit).collect();
    let Ok(mut value) = digits.parse::<Decimal>() else { return token.to_owned() };
    value.set_scale(u32::try_from(decimals).unwrap()).unwrap();
    (value * factor).normalize().to_string()
}

/// One row dropped or said twice: `{…}` in JSON, `<tr>…</tr>` in HTML, an element in XML.
fn rows(text: &str, twice: bool, dice: &mut Dice) -> String {
    const FORMS: &[(&str, &str)] = &[("<tr", "</tr>"), ("<Row ", ">"), ("<Exrate ", ">"), ("{", "}")];
    let (open, close) = *FORMS.iter().find(|(open, _)| text.contains(open)).unwrap();
    let starts: Vec<usize> = text.match_indices(open).map(|(at, _)| at).collect();
    let start = starts[dice.roll(starts.len())];
    let Some(length) = text[start..].find(close) else { return text.to_owned() };
    let end = start + length + close.len();
    let row = &text[start..end];
    // A comma more or less: otherwise it would only be broken JSON.
    let (after, comma) = match text[end..].strip_prefix(',') {
        Some(_) if open == "{" => (end + 1, ","),
        _ => (end, ""),
    };
    let glue = if open == "{" { "," } else { "" };
    if twice {
        format!("{}{row}{glue}{row}{comma}{}", &text[..start], &text[after..])
    } else {
        format!("{}{}", &text[..start], &text[after..])
    }
}
