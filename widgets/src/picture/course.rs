//! A chart as SVG: the lines of the view in a box of half pixels, the words around it where there is room for them.

use std::fmt::Write as _;

use super::{
    Drawing, TENTHS,
    drawing::{Anchor, Tenths},
    font::{FIGURE, LEAD, QUIET, STATE, TITLE},
    grid::change_width,
    tenths,
};
use crate::{
    chart::{Frame, Plot},
    options::Look,
    view::{ChartView, FigureCell},
};

/// Of the box, in pixels; a compact one is lower.
const HIGH: i32 = 182;
const LOW: i32 = 120;
/// For the dates under it.
const DATES: i32 = 24;
/// Left of the lines, behind the labels of the axis; right of the lines, for their names.
const GAP: i32 = 80;
const NAMES: i32 = 380;
/// Paths are drawn to the half pixel.
const FINE: i32 = 2;

/// A chart's title is cut where its unit begins, so that its height is always the same.
fn high(look: &Look) -> i32 {
    if look.compact { LOW } else { HIGH }
}

fn labels(plot: Option<&Plot>) -> i32 {
    let labels = plot.into_iter().flat_map(|plot| &plot.up);
    labels.map(|tick| QUIET.width(&tick.text)).max().unwrap_or_default() + GAP
}

/// What is left for lines in a room of so many tenths.
pub(super) fn frame(chart: &ChartView, look: &Look, room: i32) -> Frame {
    let width = (room - labels(chart.plot.as_ref()) - NAMES).max(tenths(100)) * FINE / TENTHS;
    let height = high(look);
    Frame {
        width: width.into(),
        height: (height * FINE).into(),
        apart: (14_000 / i64::from(height)).clamp(1, 500),
    }
}

impl Drawing<'_> {
    pub(super) fn chart(&mut self, chart: &ChartView) {
        self.opening(true);
        let unit = format!("{} · {}", chart.unit, self.words.reference);
        let room = self.right - self.left - QUIET.width(&unit) - tenths(8);
        let title = TITLE.shortened(&chart.title, room);
        self.caption(&title, chart.unit);
        self.newest(&chart.now);
        self.plot(chart);
        self.rule(1, self.ink.line);
        self.y += 4;
        for line in &chart.foot {
            self.foot_line(self.left, self.right - self.left, line);
            self.y += 24;
        }
        self.y += 8;
    }

    /// What is bought and sold at now, side by side.
    fn newest(&mut self, now: &[(&'static str, FigureCell)]) {
        let (ink, muted) = (self.ink.ink, self.ink.muted);
        let mut x = self.left;
        for (name, cell) in now {
            self.text(x, self.y + 13, Anchor::Start, QUIET, muted, name);
            let baseline = self.y + 18 + 17;
            let (text, colour) = match &cell.shown {
                Some(shown) => (shown.whole.as_str(), if shown.old { muted } else { ink }),
                None => ("–", muted),
            };
            self.text(x, baseline, Anchor::Start, LEAD, colour, text);
            let mut end = x + LEAD.width(text) + tenths(5);
            match &cell.shown {
                Some(shown) if shown.held => {
                    self.text(end, baseline, Anchor::Start, QUIET, muted, self.words.under_review);
                    end += QUIET.width(self.words.under_review);
                }
                Some(shown) => {
                    if let Some(change) = &shown.change {
                        end += change_width(change);
                        self.change(change, end, baseline);
                    }
                }
                None => {}
            }
            x = end.max(x + QUIET.width(name)) + tenths(20);
        }
        self.y += 18 + 22 + 14;
    }

    fn plot(&mut self, chart: &ChartView) {
        let (height, muted) = (high(self.look), self.ink.muted);
        let top = self.y;
        self.y += height + DATES;
        let Some(plot) = &chart.plot else {
            let text = chart.empty;
            let x = (self.left + self.right - FIGURE.width(text)) / 2;
            self.text(x, top + i32::midpoint(height, DATES), Anchor::Start, FIGURE, muted, text);
            return;
        };
        let (left, right) = (self.left + labels(Some(plot)), self.right - NAMES);
        let across = |place: i64| left + share(place, right - left);
        let down = |place: i64| top + share(place, height);
        let line = self.ink.line;
        for tick in &plot.up {
            let y = down(tick.place);
            let _ =
                write!(self.out, r#"<path stroke="{line}" d="M{} {y}.5H{}"/>"#, Tenths(left), Tenths(right));
            self.text(left - GAP, y + 4, Anchor::End, QUIET, muted, &tick.text);
        }
        let accent = self.ink.accent.clone();
        let _ = write!(
            self.out,
            r#"<g fill="none" transform="translate({} {top}) scale(.5)"><path fill="{line}" fill-opacity=".35" d="{}"/><path stroke="{muted}" stroke-width="3" stroke-dasharray="8 6" d="{}"/><path stroke="{accent}" stroke-width="4" d="{}"/></g>"#,
            Tenths(left),
            plot.band,
            plot.buy,
            plot.sell,
        );
        for end in &plot.ends {
            let (font, colour) = if end.main { (STATE, self.ink.ink) } else { (QUIET, muted) };
            self.text(right + tenths(9), down(end.y) + 4, Anchor::Start, font, colour, end.text);
        }
        for tick in &plot.across {
            let x = across(tick.place) - QUIET.width(&tick.text) / 2;
            self.text(x, top + height + 16, Anchor::Start, QUIET, muted, &tick.text);
        }
        if let Some(dot) = &plot.dot {
            let (x, y) = (across(dot.x), down(dot.y));
            let _ = write!(self.out, r#"<circle fill="{accent}" cx="{}" cy="{y}" r="3"/>"#, Tenths(x));
            if let Some(value) = &dot.value {
                let (x, anchor) = if dot.is_right() {
                    (x - tenths(6), Anchor::End)
                } else {
                    (x + tenths(6), Anchor::Start)
                };
                self.text(x, y - 8, anchor, STATE, self.ink.ink, value);
            }
        }
    }
}

/// So many thousandths of a length.
fn share(place: i64, length: i32) -> i32 {
    i32::try_from(place * i64::from(length) / 1000).unwrap_or_default()
}
