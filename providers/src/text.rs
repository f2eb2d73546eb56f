//! From bytes to text: gzip sent unasked, byte-order marks, charsets, Unicode form.

use std::io::Read;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use unicode_normalization::UnicodeNormalization;

use crate::error::ParseError;

/// The largest text that is read; the same cap as the fetcher's.
const MAX_TEXT: u64 = 8 << 20;

/// Text of an answer. A byte-order mark wins over the declared charset, that over UTF-8; goldprice.org-style
/// gzip without a header is opened.
///
/// # Errors
/// [`ParseError::Empty`], or [`ParseError::Encoding`] where the bytes are not what they claim to be.
pub fn decode(bytes: &[u8], charset: Option<&str>) -> Result<String, ParseError> {
    if bytes.len() as u64 > MAX_TEXT {
        return Err(ParseError::Encoding("more than 8 MB".to_owned()));
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes)
            .take(MAX_TEXT + 1)
            .read_to_end(&mut plain)
            .map_err(|error| ParseError::Encoding(format!("gzip that does not open ({error})")))?;
        if plain.len() as u64 > MAX_TEXT {
            return Err(ParseError::Encoding("gzip of more than 8 MB".to_owned()));
        }
        return decode_plain(&plain, charset);
    }
    decode_plain(bytes, charset)
}

fn decode_plain(bytes: &[u8], charset: Option<&str>) -> Result<String, ParseError> {
    let declared = match charset {
        None => UTF_8,
        Some(label) => Encoding::for_label(label.as_bytes())
            .ok_or_else(|| ParseError::Encoding(format!("unknown charset \"{}\"", label.escape_debug())))?,
    };
    // UTF-16 without a mark: every second byte of what is mostly ASCII is zero.
    let declared = match bytes {
        [b'<' | b'{' | b'[', 0, ..] => UTF_16LE,
        [0, b'<' | b'{' | b'[', ..] => UTF_16BE,
        _ => declared,
    };
    let (text, used, malformed) = declared.decode(bytes);
    if malformed {
        return Err(ParseError::Encoding(format!("bytes that are not {}", used.name())));
    }
    if text.trim().is_empty() {
        return Err(ParseError::Empty);
    }
    Ok(text.into_owned())
}

/// A name as documents carry it: NFC, without control and invisible format characters, blanks folded and trimmed.
pub(crate) fn name(text: &str) -> String {
    // What is left out first may have kept a letter from its mark.
    let visible: String = text
        .chars()
        .filter(|c| !is_invisible(*c))
        .nfc()
        .map(|c| if c.is_whitespace() || c.is_control() || c == BRAILLE_BLANK { ' ' } else { c })
        .collect();
    visible.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The same in lower case, for comparing labels.
pub(crate) fn label(text: &str) -> String {
    name(text).to_lowercase()
}

/// Looks like a blank, and Unicode does not call it one.
const BRAILLE_BLANK: char = '\u{2800}';

/// Characters that let one name pass for another: Unicode's `Default_Ignorable_Code_Point` (zero widths, directions,
/// fillers, variation selectors, tags) and the rest of its category Cf. Joiners are among them: no name here needs one.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
        | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Undoes JavaScript's `escape()`: `%uXXXX` and Latin-1 `%XX`, as BIDV's notes carry it.
pub(crate) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let hex = |from: usize, len: usize| {
        let digits = bytes.get(from..from + len)?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let (unit, skip) = match (c, bytes.get(at + 1)) {
            ('%', Some(b'u')) => (hex(at + 2, 4), 5),
            ('%', Some(_)) => (hex(at + 1, 2), 2),
            _ => (None, 0),
        };
        if let Some(unit) = unit {
            units.push(unit);
            for _ in 0..skip {
                chars.next();
            }
        } else {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
        }
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        assert_eq!(decode(b"\xef\xbb\xbf{}", None).unwrap(), "{}");
        assert_eq!(decode(b"\xff\xfe{\0}\0", None).unwrap(), "{}");
        assert_eq!(decode(b"\xff\xfe{\0}\0", Some("utf-8")).unwrap(), "{}");
        assert_eq!(decode(b"{\0}\0", None).unwrap(), "{}");
    }

    #[test]
    fn a_declared_charset_is_used_and_a_wrong_one_is_refused() {
        let (bytes, ..) = encoding_rs::WINDOWS_1258.encode("Vàng");
        assert_eq!(decode(&bytes, Some("windows-1258")).unwrap(), "Vàng");
        assert_eq!(decode(&bytes, None).unwrap_err().code(), "encoding");
        assert_eq!(decode(b"{}", Some("no-such")).unwrap_err().code(), "encoding");
    }

    #[test]
    fn gzip_sent_unasked_is_opened() {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(b"{\"a\":1}").unwrap();
        let mut bytes = gzip.finish().unwrap();
        assert_eq!(decode(&bytes, None).unwrap(), "{\"a\":1}");
        bytes.truncate(bytes.len() - 5);
        assert_eq!(decode(&bytes, None).unwrap_err().code(), "encoding");
    }

    #[test]
    fn nothing_and_blanks_are_empty() {
        for empty in [&b""[..], b"  \r\n", b"\xef\xbb\xbf"] {
            assert_eq!(decode(empty, None), Err(ParseError::Empty));
        }
    }

    #[test]
    fn names_are_composed_trimmed_and_visible() {
        assert_eq!(name("US DOLLAR           "), "US DOLLAR");
        assert_eq!(name("Va\u{300}ng\u{a0} \u{202e}SJC\u{200b}"), "Vàng SJC");
    }

    #[test]
    fn a32_nothing_that_cannot_be_seen_is_part_of_a_name() {
        let unseen = "\u{0}\u{7}\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{34f}\u{600}\u{61c}\u{6dd}\u{70f}\u{890}\u{8e2}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\u{2064}\u{2066}\u{2067}\u{2068}\u{2069}\u{206f}\u{2800}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{fffb}\u{110bd}\u{13430}\u{1bca0}\u{1d173}\u{e0001}\u{e0041}\u{e0100}";
        for c in unseen.chars() {
            assert_eq!(name(&format!("{c}SJC{c}")), "SJC", "U+{:04X}", u32::from(c));
            // In the middle it is nothing, or a blank.
            let inside = name(&format!("S{c}JC"));
            assert!(["SJC", "S JC"].contains(&inside.as_str()), "U+{:04X}", u32::from(c));
        }
        assert_eq!(name("Va\u{34f}\u{300}ng"), "Vàng", "and the rest is composed");
        // What Vietnamese is written with stays.
        for seen in
            ["VÀNG MIẾNG SJC", "Tiền gửi ₫ — 24K (99,99 %)", "Nhẫn tròn 9999 Hưng Thịnh Vượng", "元 ¥ ກີບ"]
        {
            assert_eq!(name(seen), seen);
        }
    }

    #[test]
    fn escaped_notes_are_read_as_the_page_reads_them() {
        assert_eq!(unescape("L%E3i%20su%u1EA5t"), "Lãi suất");
        assert_eq!(unescape("100% %u12 %zz"), "100% %u12 %zz");
    }
}
