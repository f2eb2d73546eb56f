//! Widgets as pictures, for newsletters, feeds, print and previews: what a view says, laid out here as SVG and drawn as
//! PNG in this process with the fonts beside it. It fetches nothing, reads no font of the system and decides no word.
//!
//! Places across are in tenths of a pixel, because words end where they end; places down are in pixels, because lines
//! are. No floating point: what is measured comes in units of the font.

mod course;
mod drawing;
mod font;
mod grid;
pub(crate) mod pixels;

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use resvg::{tiny_skia::Transform, usvg};

use crate::{
    i18n,
    model::{Content, Kind, Widget},
    options::{Look, Theme, UnknownValue},
    view::{Direction, Icon, View},
};
use drawing::{Drawing, Escaped};
use grid::Grid;

/// A widget as a drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
    /// A whole document: attributes only, no style, script or reference, so that it may stand in any page as it is.
    pub svg: String,
}

/// How many pixels of the device make one CSS pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scale {
    /// As large as the drawing says.
    #[default]
    One,
    /// For dense screens and print.
    Two,
}

impl Scale {
    /// Values of the parameter `scale`.
    pub const ALLOWED: &'static [&'static str] = &["1", "2"];

    /// The parameter's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
        }
    }

    /// Device pixels per CSS pixel.
    #[must_use]
    pub const fn pixels(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    fn transform(self) -> Transform {
        match self {
            Self::One => Transform::identity(),
            Self::Two => Transform::from_scale(2.0, 2.0),
        }
    }
}

impl FromStr for Scale {
    type Err = UnknownValue;

    fn from_str(value: &str) -> Result<Self, UnknownValue> {
        match value {
            "1" => Ok(Self::One),
            "2" => Ok(Self::Two),
            _ => Err(UnknownValue { parameter: "scale", value: value.to_owned(), allowed: Self::ALLOWED }),
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A picture could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The drawing is not SVG.
    #[error("the drawing could not be read")]
    Svg(#[from] usvg::Error),
    /// No pixels, or more than fit into memory.
    #[error("{width} × {height} pixels cannot be drawn")]
    Size {
        /// Of the device.
        width: u32,
        /// Of the device.
        height: u32,
    },
    /// The pixels could not be written.
    #[error("the picture could not be written as PNG")]
    Png(#[from] png::EncodingError),
}

/// A widget as a drawing: 300 pixels wide, the tape 680, a chart 480, as high as its content. A matrix with more columns than fit is
/// wider. Automatic and transparent themes are drawn in dark ink: a picture cannot know what is around it.
#[must_use]
pub fn picture(widget: &Widget, look: &Look) -> Picture {
    let mut view = crate::view::view(widget, look);
    let words = i18n::words(look.lang);
    let side = if look.is_transparent() { 0 } else { SIDE };
    let width = match view.kind {
        Kind::Ticker => TAPE_WIDTH,
        Kind::Chart => CHART_WIDTH,
        Kind::Panel | Kind::Gold | Kind::Fx | Kind::Deposits => WIDTH,
    };
    let narrowest = tenths(width - 2 * side);
    if let (Content::Chart(chart), Some(laid)) = (&widget.content, &view.chart) {
        let frame = course::frame(laid, look, narrowest);
        view.chart = Some(crate::view::chart(chart, look, frame, words));
    }
    let needed =
        view.sections.iter().map(|section| Grid::narrowest(section, look, words)).max().unwrap_or_default();
    let inner = narrowest.max(tenths(pixels_up(needed)));
    let mut drawing = Drawing {
        out: String::new(),
        ink: Ink::of(look),
        words,
        look,
        left: tenths(side),
        right: tenths(side) + inner,
        y: 0,
    };
    let width = inner / TENTHS + 2 * side;
    drawing.widget(&view, width);
    let (width, height) = (positive(width), positive(drawing.y));
    let mut svg = String::with_capacity(drawing.out.len() + 1024);
    let _ = write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" lang="{lang}" xml:lang="{lang}" font-family="{FAMILIES}" font-size="14" font-variant="lining-nums tabular-nums" fill="{ink}"><title>{title}</title>"#,
        lang = look.lang,
        ink = drawing.ink.ink,
        title = Escaped(&title(&view, look)),
    );
    if let Some(chart) = &view.chart {
        let _ = write!(svg, "<desc>{}</desc>", Escaped(&chart.summary));
    }
    if !look.is_transparent() {
        let _ = write!(svg, r#"<path fill="{}" d="M0 0h{width}v{height}h-{width}z"/>"#, drawing.ink.paper);
    }
    svg.push_str(&drawing.out);
    svg.push_str("</svg>");
    Picture { width, height, svg }
}

/// What the picture is called: its subject and the first time in it, and that it is a sample where it is one.
fn title(view: &View, look: &Look) -> String {
    let mut title = i18n::heading(view.kind, look.lang).to_owned();
    if let Some(chart) = &view.chart {
        title = format!("{title}: {}", chart.title);
    }
    let of_section = view.sections.iter().find_map(|section| section.as_of.as_ref());
    let mut of_tape = view.tape.iter().flat_map(|tape| &tape.foot);
    // A line with an icon tells another time than that of its figures, except the clock.
    let of_tape = of_tape
        .find(|line| matches!(line.icon, Icon::None | Icon::Clock))
        .and_then(|line| line.time.as_ref());
    let of_chart = view.chart.as_ref().and_then(|chart| chart.as_of.as_ref());
    if let Some(time) = of_section.or(of_chart).or(of_tape) {
        title.push_str(", ");
        title.push_str(&time.text);
    }
    if let Some(band) = &view.band {
        title.push_str(". ");
        title.push_str(band);
    }
    title
}

/// Of the widget, in pixels.
const WIDTH: i32 = 300;
const TAPE_WIDTH: i32 = 680;
const CHART_WIDTH: i32 = 480;
/// The paper's padding.
const SIDE: i32 = 12;
const TOP: i32 = 8;
const TENTHS: i32 = 10;
/// Between columns, in tenths.
const GAP: i32 = 120;
/// The same where there are many, unless the picture grows with them.
const SMALL_GAP: i32 = 70;
/// Up to this many columns heads give way before the picture grows.
const FITS: usize = 6;
/// An icon and the room behind it, in tenths.
const ICON: i32 = 150;
/// An arrow and the room behind it, in tenths.
const ARROW: i32 = 100;
/// Between a foot's columns, and how narrow they may be, in tenths.
const FOOT_GAP: i32 = 240;
const FOOT_COLUMN: i32 = 2760;
/// Between two prices of the tape, where there is room and where there is not, in tenths.
const TAPE_GAP: i32 = 330;
const SMALL_TAPE_GAP: i32 = 170;

/// The fonts that pages ask for too; `png` knows Noto Sans only.
const FAMILIES: &str = "-apple-system, 'Segoe UI', Roboto, 'Noto Sans', system-ui, sans-serif";

const fn tenths(pixels: i32) -> i32 {
    pixels * TENTHS
}

/// Whole pixels that hold so many tenths.
const fn pixels_up(tenths: i32) -> i32 {
    (tenths + TENTHS - 1) / TENTHS
}

/// A picture of nothing still is one.
fn positive(pixels: i32) -> u32 {
    u32::try_from(pixels).unwrap_or_default().max(1)
}

fn count(things: usize) -> i32 {
    i32::try_from(things).unwrap_or(i32::MAX)
}

/// The colours of `assets/base.css`, which a picture cannot take from the page around it.
struct Ink {
    paper: &'static str,
    ink: &'static str,
    muted: &'static str,
    line: &'static str,
    up: &'static str,
    down: &'static str,
    accent: String,
}

impl Ink {
    fn of(look: &Look) -> Self {
        let own = look.accent.map(|accent| format!("#{accent}"));
        match look.theme {
            Theme::Light | Theme::Auto | Theme::Transparent => Self {
                paper: "#fff",
                ink: "#1b1a17",
                muted: "#5a564e",
                line: "#dcd7cc",
                up: "#0a6847",
                down: "#b3261e",
                accent: own.unwrap_or_else(|| "#a87400".to_owned()),
            },
            Theme::Dark => Self {
                paper: "#171613",
                ink: "#f1eee6",
                muted: "#b5afa2",
                line: "#3b3831",
                up: "#62c995",
                down: "#ff8f85",
                accent: own.unwrap_or_else(|| "#d4a32f".to_owned()),
            },
        }
    }

    const fn change(&self, direction: Direction) -> &'static str {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
            Direction::Unchanged => self.muted,
        }
    }
}
