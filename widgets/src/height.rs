//! How high a widget is, so that a page can keep the room free before anything has loaded: what it says in the snippets,
//! in oEmbed's answers and in pictures. The numbers are those of the style (14 px of type, 1 px lines); a browser test
//! holds every one against what Chromium draws.

use crate::{
    model::{Kind, Widget},
    options::Look,
    view::{self, Corner, Label, Layout, Section},
};

/// How wide a widget stands on its page, CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Width(u32);

impl Width {
    /// Narrower ones are not laid out for.
    pub const NARROWEST: u32 = 300;
    /// Wider ones gain nothing.
    pub const WIDEST: u32 = 1280;

    /// The nearest that is laid out for.
    #[must_use]
    pub fn new(pixels: u32) -> Self {
        Self(pixels.clamp(Self::NARROWEST, Self::WIDEST))
    }

    /// CSS pixels.
    #[must_use]
    pub const fn pixels(self) -> u32 {
        self.0
    }

    /// What suits a widget best where a page does not say.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Ticker => Self(680),
            Kind::Panel | Kind::Gold | Kind::Fx | Kind::Deposits | Kind::Chart => Self(300),
        }
    }

    const fn is_middle(self) -> bool {
        self.0 >= 340
    }

    const fn is_wide(self) -> bool {
        self.0 >= 560
    }

    const fn is_broad(self) -> bool {
        self.0 >= 1000
    }
}

/// Height in CSS pixels at a width.
#[must_use]
pub fn height(widget: &Widget, look: &Look, width: Width) -> u32 {
    let view = view::view(widget, look);
    let transparent = look.is_transparent();
    // The paper's padding, which a transparent widget has not.
    let mut height = if transparent { 0 } else { 8 };
    if view.band.is_some() {
        height += if transparent { 38 } else { 30 };
    }
    if let Some(tape) = &view.tape {
        // Rule, line of prices, foot.
        return height + 2 + 42 + foot(tape.foot.len() + 1, width, width.0, transparent);
    }
    if let Some(chart) = &view.chart {
        // Rule, caption, newest prices, plot and its dates, ranges, foot, the closed table. No state and no history changes it.
        let plot = if look.compact { 120 } else { 182 } + 24;
        let ranges = if chart.choices.is_empty() { 0 } else { 34 };
        let table = if look.compact { 0 } else { 36 };
        let column = column(width, true, false);
        return height
            + 2
            + 32
            + 54
            + plot
            + ranges
            + foot(chart.foot.len(), width, column, transparent)
            + table;
    }
    let sections: Vec<u32> = view
        .sections
        .iter()
        .enumerate()
        .map(|(at, section)| {
            section_height(section, look, width, at == 0 || view.home.is_none(), view.home.is_some())
        })
        .collect();
    let Some((first, rest)) = sections.split_first() else { return height };
    if view.home.is_none() {
        return height + sections.iter().sum::<u32>();
    }
    // The panel's columns: one, two under the first, or three.
    height += if width.is_broad() {
        sections.iter().copied().max().unwrap_or_default()
    } else if width.is_wide() {
        first + rest.chunks(2).map(|pair| pair.iter().copied().max().unwrap_or_default()).sum::<u32>()
    } else {
        sections.iter().sum::<u32>()
    };
    // What the board is, and that it is for reference.
    height + 1 + 6 + 18 + 8
}

fn section_height(section: &Section, look: &Look, width: Width, first: bool, in_panel: bool) -> u32 {
    let rule = if first || (in_panel && width.is_broad()) { 2 } else { 1 };
    let caption = 8 + 22 + 2;
    let column = column(width, first, in_panel);
    let head = 18 * head_lines(section, column - if look.is_transparent() { 0 } else { 24 }, width) + 2;
    let padding = if look.compact || !width.is_middle() { 6 } else { 8 };
    let lines = |row: &view::Row| match section.layout {
        Layout::Products if row_has_place(row) => 36,
        Layout::Products if look.compact => 20,
        // The change under the price; beside it where there is room, with the sparkline.
        Layout::Products if !width.is_wide() => 36,
        Layout::Products => 24,
        Layout::Matrix if matches!(row.label, Label::Side(_)) => lead(section, look, width, in_panel),
        Layout::Matrix | Layout::Rates => 20,
    };
    let rows: u32 =
        section.groups.iter().flat_map(|group| &group.rows).map(|row| 1 + padding + lines(row)).sum();
    // A house's name over its products.
    let houses = section.groups.iter().filter(|group| group.house.is_some()).count();
    let house = 1
        + 20
        + if look.compact {
            6
        } else if width.is_middle() {
            12
        } else {
            11
        };
    let notes = usize::from(section.note.as_ref().is_some_and(|note| !note.text.is_empty()));
    let lines = notes + section.foot.len() + section.spare_lines;
    rule + caption
        + head
        + rows
        + u32::try_from(houses).unwrap_or_default() * house
        + foot(lines, width, column, look.is_transparent())
}

/// How much of the widget's width a section has.
fn column(width: Width, first: bool, in_panel: bool) -> u32 {
    if in_panel && width.is_broad() {
        width.0 / 3
    } else if in_panel && width.is_wide() && !first {
        width.0 / 2
    } else {
        width.0
    }
}

/// Lines of the highest head. Two columns have room for any name; of more, a name takes as many lines as its parts
/// need at about 7 px a letter.
fn head_lines(section: &Section, inner: u32, width: Width) -> u32 {
    if section.layout == Layout::Rates {
        return 2;
    }
    // A product under its house, word by word, in a column of a third at least or of its equal share.
    let count = u32::try_from(section.heads.len()).unwrap_or(u32::MAX).max(1);
    let room = (inner * 31 / 100).min(inner * 80 / 100 / count).saturating_sub(10);
    let seconds = section.heads.iter().filter_map(|head| head.second.as_deref());
    if let Some(product) = seconds.map(|second| broken(second, room)).max() {
        return 1 + product;
    }
    if section.layout != Layout::Matrix || !section.many() {
        return 1;
    }
    let count = u32::try_from(section.heads.len()).unwrap_or(u32::MAX);
    // Many columns scroll in a table of at least this width.
    let inner = if section.scrolls() { inner.max(441) } else { inner };
    let first = inner * if width.is_wide() { 20 } else { 16 } / 100;
    let each = (inner - first) / count - if section.crowded() { 6 } else { 10 };
    let long = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX) * 7;
    let lines = |parts: &mut dyn Iterator<Item = u32>, room: u32| {
        let mut used = 0;
        let mut lines = 1;
        for part in parts {
            if used > 0 && used + part > room {
                lines += 1;
                used = 0;
            }
            used += part;
        }
        lines
    };
    let heads = section.heads.iter().map(|head| lines(&mut head.parts.iter().map(|part| long(part)), each));
    // The first column's head breaks between its two words.
    let corner = if matches!(section.corner, Corner::Term) && first < 84 { 2 } else { 1 };
    heads.max().unwrap_or(1).max(corner)
}

/// Lines of a text that breaks between its words, at about 6.5 px a letter.
fn broken(text: &str, room: u32) -> u32 {
    let (mut lines, mut used) = (1, 0);
    for word in text.split(' ') {
        let long = u32::try_from(word.chars().count() + 1).unwrap_or(u32::MAX).saturating_mul(13) / 2;
        if used > 0 && used + long > room {
            lines += 1;
            used = 0;
        }
        used += long;
    }
    lines
}

fn row_has_place(row: &view::Row) -> bool {
    matches!(row.label, Label::Product(_, Some(_)))
}

/// The large price of the panel with its change.
fn lead(section: &Section, look: &Look, width: Width, in_panel: bool) -> u32 {
    if look.compact {
        return 20;
    }
    match (section.crowded(), width.is_wide()) {
        (true, false) => 20 + 16,
        (true, true) | (false, false) => 22 + 16,
        (false, true) if in_panel && width.is_broad() => 22 + 16,
        (false, true) => 30,
    }
}

/// One line a source; side by side where there is room for two.
fn foot(lines: usize, width: Width, column: u32, transparent: bool) -> u32 {
    let inner = column - if transparent { 0 } else { 24 };
    let columns = if width.is_wide() && column == width.0 { ((inner + 24) / 300).max(1) } else { 1 };
    let lines = u32::try_from(lines).unwrap_or_default().div_ceil(columns);
    1 + 4 + 24 * lines + 8
}
