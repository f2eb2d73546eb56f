//! How wide words are: measured with the fonts that the PNG is drawn with, kerning included.

use std::sync::LazyLock;

use harfrust::{FontRef, ShapeOptions, ShaperData, UnicodeBuffer};

/// How words are set: weight and size in pixels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Type {
    pub(super) weight: Weight,
    pub(super) size: i32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    SemiBold,
    Bold,
}

impl Weight {
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Regular => 400,
            Self::SemiBold => 600,
            Self::Bold => 700,
        }
    }

    pub(super) const fn font(self) -> &'static [u8] {
        match self {
            Self::Regular => include_bytes!("../../assets/fonts/NotoSans-Regular.ttf"),
            Self::SemiBold => include_bytes!("../../assets/fonts/NotoSans-SemiBold.ttf"),
            Self::Bold => include_bytes!("../../assets/fonts/NotoSans-Bold.ttf"),
        }
    }

    /// What a text in this weight is measured with; a font that cannot be read measures nothing, and a test reads them.
    pub(super) fn measure(self) -> Option<&'static Measure> {
        static REGULAR: LazyLock<Option<Measure>> = LazyLock::new(|| Measure::new(Weight::Regular));
        static SEMI_BOLD: LazyLock<Option<Measure>> = LazyLock::new(|| Measure::new(Weight::SemiBold));
        static BOLD: LazyLock<Option<Measure>> = LazyLock::new(|| Measure::new(Weight::Bold));
        match self {
            Self::Regular => REGULAR.as_ref(),
            Self::SemiBold => SEMI_BOLD.as_ref(),
            Self::Bold => BOLD.as_ref(),
        }
    }
}

/// The shaper that `png` draws with, so that what is measured is what is drawn, pairs of letters included.
pub(super) struct Measure {
    pub(super) font: FontRef<'static>,
    pub(super) shapes: ShaperData,
}

impl Measure {
    pub(super) fn new(weight: Weight) -> Option<Self> {
        let font = FontRef::new(weight.font()).ok()?;
        let shapes = ShaperData::new(&font);
        Some(Self { font, shapes })
    }

    /// In thousandths of the size, as the fonts count.
    pub(super) fn units(&self, text: &str) -> i32 {
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        buffer.guess_segment_properties();
        let shaped = self.shapes.shaper(&self.font).build().shape(buffer, ShapeOptions::new());
        shaped.glyph_positions().iter().map(|glyph| glyph.x_advance).sum()
    }
}

pub(super) const TITLE: Type = Type { weight: Weight::Bold, size: 16 };
pub(super) const LEAD: Type = Type { weight: Weight::SemiBold, size: 18 };
pub(super) const FIGURE: Type = Type { weight: Weight::Regular, size: 14 };
pub(super) const STRONG: Type = Type { weight: Weight::SemiBold, size: 14 };
pub(super) const QUIET: Type = Type { weight: Weight::Regular, size: 12 };
pub(super) const STATE: Type = Type { weight: Weight::SemiBold, size: 12 };
/// A letter beside a borrowed figure, and before its foot line.
pub(super) const MARK: Type = Type { weight: Weight::Regular, size: 11 };
pub(super) const SMALL_MARK: Type = Type { weight: Weight::Regular, size: 9 };

impl Type {
    /// Width of a text in tenths, rounded up.
    pub(super) fn width(self, text: &str) -> i32 {
        let units = self.weight.measure().map(|measure| measure.units(text)).unwrap_or_default();
        (units.saturating_mul(self.size) + 99) / 100
    }

    pub(super) const fn regular(self) -> Self {
        Self { weight: Weight::Regular, ..self }
    }

    /// A text that fits, cut short where it does not.
    pub(super) fn shortened(self, text: &str, room: i32) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let room = room - self.width("…");
        let mut short = String::new();
        for letter in text.chars() {
            short.push(letter);
            if self.width(&short) > room {
                short.pop();
                break;
            }
        }
        short.truncate(short.trim_end().len());
        short.push('…');
        short
    }

    /// Parts as lines, broken between parts and, where one alone is too wide, into pieces that are about as long.
    pub(super) fn lines<'a>(self, parts: impl IntoIterator<Item = &'a str>, room: i32) -> Vec<String> {
        let mut lines = vec![String::new()];
        for piece in parts.into_iter().flat_map(|part| self.pieces(part, room)) {
            let Some(line) = lines.last_mut() else { continue };
            if line.is_empty() || self.width(format!("{line}{piece}").trim_end()) <= room {
                line.push_str(&piece);
            } else {
                lines.push(piece);
            }
        }
        lines
    }

    pub(super) fn pieces(self, part: &str, room: i32) -> Vec<String> {
        let letters: Vec<char> = part.chars().collect();
        let cut = |pieces: usize| -> Vec<String> {
            letters
                .chunks(letters.len().div_ceil(pieces).max(1))
                .map(|piece| piece.iter().collect())
                .collect()
        };
        let fits = |pieces: &Vec<String>| pieces.iter().all(|piece| self.width(piece.trim_end()) <= room);
        (1..letters.len()).map(cut).find(fits).unwrap_or_else(|| cut(letters.len().max(1)))
    }
}
