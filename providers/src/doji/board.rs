//! `GetTablePrice`: an envelope with an AES-256-CBC text inside, whose key the operator supplies. A saved answer
//! may be the envelope or the rows that it held.

use aes::{
    Aes256,
    cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::{
    Answer, AsOf, Ask, Parsed, Request,
    error::ParseError,
    json::{self, Object},
    number::{self, NumberFormat},
    quote::WeightUnit,
    request,
    sheet::Rows,
    text,
};

pub(super) const KEY: &str = "doji_board_key";

/// The site sends its prices without `=`; both ways are read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const BLOCK: usize = 16;

const BUY: &str = "priceDojiBuyIn";
const SELL: &str = "priceDojiSellOut";

const HEADERS: &[(&str, &str)] =
    &[("Accept", "application/json, text/plain, */*"), ("Referer", "https://banggia.doji.vn/gold-price")];

pub(super) fn requests(ask: &Ask<'_>) -> Vec<Request> {
    vec![request::get("board", ask.base, &[], HEADERS)]
}

pub(super) fn parse(answer: &Answer<'_>) -> Result<Parsed, ParseError> {
    let text = answer.text()?;
    let document = json::document(&text)?;
    if let Some(rows) = plain_rows(document)? {
        return board(&rows);
    }
    let envelope = Object::read(document)?;
    let opened = open(&envelope, answer.secrets.get(KEY))?;
    // From here on only the key can be wrong: a wrong one passes the padding check once in 256 times.
    let rows: &RawValue = serde_json::from_str(opened.trim()).map_err(|_| ParseError::EnvelopeKey)?;
    board(&plain_rows(rows)?.ok_or(ParseError::EnvelopeKey)?)
}

/// The rows of a list, or of a map such as `{"0": {…}, "1": {…}}`.
fn plain_rows(raw: &RawValue) -> Result<Option<Vec<&RawValue>>, ParseError> {
    if let Some(rows) = json::list(raw) {
        return Ok(Some(rows));
    }
    if !raw.get().starts_with('{') {
        return Ok(None);
    }
    let map = Object::read(raw)?;
    let mut rows: Vec<(&str, &RawValue)> = map.entries().collect();
    if rows.is_empty() || !rows.iter().all(|(key, _)| key.bytes().all(|b| b.is_ascii_digit())) {
        return Ok(None);
    }
    rows.sort_by_key(|(key, _)| (key.len(), *key));
    Ok(Some(rows.into_iter().map(|(_, row)| row).collect()))
}

fn open(envelope: &Object<'_>, key: Option<&str>) -> Result<String, ParseError> {
    if !envelope.has("status") && !envelope.has("data") {
        return Err(ParseError::Schema(format!(
            "neither an envelope nor rows; the keys are {}",
            envelope.keys()
        )));
    }
    let message = envelope.get("messageObject").map(Object::read).transpose()?;
    let code = message.as_ref().and_then(|message| message.word("code"));
    let status = envelope.get("status").map_or("missing", RawValue::get);
    if status != "true" || code.as_deref().is_some_and(|code| code != "0000") {
        let said = message.as_ref().and_then(|message| message.string("message")).unwrap_or_default();
        return Err(ParseError::NoData(format!(
            "status {}, code {} {}",
            json::clip(status, 20),
            text::name(&json::clip(code.as_deref().unwrap_or("missing"), 20)),
            text::name(&json::clip(&said, 80))
        )));
    }
    let Some(sealed) = envelope.get("data").filter(|raw| raw.get() != "\"\"") else {
        return Err(ParseError::NoData("an envelope with nothing inside".to_owned()));
    };
    let sealed = json::string(sealed).ok_or_else(|| {
        ParseError::Schema(format!("{} where the envelope's text belongs", json::describe(sealed)))
    })?;
    let key = key.ok_or(ParseError::SecretMissing(KEY))?;
    let key = hex_key(key).ok_or(ParseError::EnvelopeKey)?;
    let sealed = BASE64
        .decode(sealed.trim())
        .map_err(|error| ParseError::Schema(format!("the envelope's text is not base64 ({error})")))?;
    let length = sealed.len();
    let cut_short = || {
        ParseError::Schema(format!("the envelope holds {length} bytes, which is no whole number of blocks"))
    };
    let (iv, mut blocks) = match sealed.split_first_chunk::<BLOCK>() {
        Some((iv, blocks)) if !blocks.is_empty() && blocks.len().is_multiple_of(BLOCK) => {
            (*iv, blocks.to_vec())
        }
        _ => return Err(cut_short()),
    };
    let plain = cbc::Decryptor::<Aes256>::new(&key.into(), &iv.into())
        .decrypt_padded::<Pkcs7>(&mut blocks)
        .map_err(|_| ParseError::EnvelopeKey)?;
    std::str::from_utf8(plain).map(str::to_owned).map_err(|_| ParseError::EnvelopeKey)
}

/// 64 hex digits.
fn hex_key(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if text.len() != 64 {
        return None;
    }
    let mut key = [0; 32];
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

/// Our name for the house's code, and whether it sells it: 09 to 13 are bought only, whatever the row says.
fn product(code: &str) -> Option<(&'static str, bool)> {
    Some(match code {
        "01" => ("sjc-bar", true),
        "02" => ("avpl-bar", true),
        "03" => ("ring-9999", true),
        "04" => ("raw-9999", true),
        "05" => ("raw-999", true),
        "06" => ("jewelry-9999", true),
        "07" => ("jewelry-999", true),
        "08" => ("jewelry-99", true),
        "09" => ("raw-18k", false),
        "10" => ("raw-16k", false),
        "11" => ("raw-15k", false),
        "12" => ("raw-14k", false),
        "13" => ("raw-10k", false),
        _ => return None,
    })
}

/// Gold in thousands of đồng per chỉ. Silver and world prices share the list; `updateDate` is the time of the
/// reply, so that the board states no time.
fn board(rows: &[&RawValue]) -> Result<Parsed, ParseError> {
    if rows.is_empty() {
        return Err(ParseError::NoData("a board without rows".to_owned()));
    }
    let mut sheet = Rows::new();
    let rows = json::objects(rows, &mut sheet);
    // Without the last, rows that the house has switched off could not be told from the others.
    json::require_columns(&rows, &["materialCode", "type", BUY, SELL, "isActive"])?;
    for row in &rows {
        if row.string("type").as_deref() != Some("G")
            || row.get("isActive").is_some_and(|raw| raw.get() == "false")
        {
            continue;
        }
        let Some(code) = row.string("materialCode") else {
            sheet.refuse("without a code", "its \"materialCode\" is no text such as \"01\"");
            continue;
        };
        let code = code.trim();
        let Some((product, sells)) = product(code) else { continue };
        let name = row.string("materialName");
        let sides = price(row, BUY).and_then(|buy| Ok((buy, if sells { price(row, SELL)? } else { None })));
        match sides {
            Ok(sides) => {
                if let Some(quote) =
                    super::gold(product, None, Some(code.to_owned()), name.as_deref(), WeightUnit::Chi, sides)
                {
                    sheet.add(quote)?;
                }
            }
            Err(error) => sheet.refuse(&format!("{code} {}", name.unwrap_or_default()), error),
        }
    }
    sheet.finish(AsOf::Unstated, ParseError::NoData("no active gold row has a price".to_owned()))
}

/// Thousands of đồng per chỉ; 0 and 1 stand for "no price".
fn price(row: &Object<'_>, side: &str) -> Result<Option<Decimal>, String> {
    let raw = row.get(side);
    let price = json::price(raw, NumberFormat::PLAIN).map_err(|error| format!("{side}: {error}"))?;
    number::sold(price)
        .map(|price| super::thousands(price).ok_or_else(|| format!("{side}: {price} is beyond any price")))
        .transpose()
}
