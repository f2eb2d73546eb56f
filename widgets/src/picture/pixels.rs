//! A drawing as PNG with a palette.

use std::{
    collections::{HashMap, hash_map::Entry},
    iter,
    sync::{Arc, LazyLock},
};

use resvg::{
    tiny_skia::Pixmap,
    usvg::{self, fontdb},
};

use super::{Picture, PictureError, Scale, font::Weight};

/// The fonts beside this file and nothing else, so that a picture is the same on every machine.
pub(super) static OPTIONS: LazyLock<usvg::Options<'static>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    for weight in [Weight::Regular, Weight::SemiBold, Weight::Bold] {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(weight.font())));
    }
    fonts.set_sans_serif_family(FONT);
    fonts.set_serif_family(FONT);
    fonts.set_monospace_family(FONT);
    usvg::Options {
        font_family: FONT.to_owned(),
        fontdb: Arc::new(fonts),
        // A drawing may name no picture; if one did, it would not be looked for.
        image_href_resolver: usvg::ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..usvg::Options::default()
    }
});

pub(super) const FONT: &str = "Noto Sans";

/// A drawing as PNG with a palette: the same bytes for the same drawing.
///
/// # Errors
/// When the drawing is not one of [`super::picture()`], or too large for the memory.
pub fn png(picture: &Picture, scale: Scale) -> Result<Vec<u8>, PictureError> {
    let tree = usvg::Tree::from_str(&picture.svg, &OPTIONS)?;
    let width = picture.width.saturating_mul(scale.pixels());
    let height = picture.height.saturating_mul(scale.pixels());
    let mut pixels = Pixmap::new(width, height).ok_or(PictureError::Size { width, height })?;
    resvg::render(&tree, scale.transform(), &mut pixels.as_mut());
    let pixels: Vec<Colour> = pixels
        .pixels()
        .iter()
        .map(|pixel| {
            let colour = pixel.demultiply();
            [colour.red(), colour.green(), colour.blue(), colour.alpha()]
        })
        .collect();
    let Indexed { palette, pixels } = indexed(&pixels);

    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(
        palette.iter().flat_map(|[red, green, blue, _]| [*red, *green, *blue]).collect::<Vec<u8>>(),
    );
    if palette.iter().any(|[.., alpha]| *alpha < u8::MAX) {
        encoder.set_trns(palette.iter().map(|[.., alpha]| *alpha).collect::<Vec<u8>>());
    }
    // Neighbours in a palette are no neighbours in colour: filters only cost.
    encoder.set_filter(png::Filter::NoFilter);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(file)
}

/// Red, green, blue, alpha.
pub(super) type Colour = [u8; 4];

pub(super) struct Indexed {
    pub(super) palette: Vec<Colour>,
    pub(super) pixels: Vec<u8>,
}

/// At most 256 colours. Where there are more, those that differ least become one: colours that are equal in their first
/// seven bits, six, and so on, until few enough are left; the most frequent of them stands for all. So the colours of
/// the theme stay exact, and a small green arrow never turns grey because grey is more frequent.
pub(super) fn indexed(pixels: &[Colour]) -> Indexed {
    // Most of a picture is paper: looked up by the run and not by the pixel.
    let runs = || pixels.chunk_by(|one, next| one == next);
    let mut frequency: HashMap<Colour, usize> = HashMap::new();
    for run in runs() {
        *frequency.entry(run[0]).or_default() += run.len();
    }
    let mut colours: Vec<(Colour, usize)> = frequency.into_iter().collect();
    // Most frequent first; ties in the order of colours, so that the file is always the same.
    colours.sort_by(|(one, often), (other, seldom)| seldom.cmp(often).then(one.cmp(other)));

    let mut palette = Vec::new();
    let mut places: HashMap<Colour, u8> = HashMap::new();
    for bits in 0..u8::BITS {
        palette.clear();
        places.clear();
        let mut merged: HashMap<Colour, u8> = HashMap::new();
        let fits = colours.iter().all(|(colour, _)| {
            let place = match merged.entry(colour.map(|part| part >> bits)) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let Ok(place) = u8::try_from(palette.len()) else { return false };
                    palette.push(*colour);
                    *entry.insert(place)
                }
            };
            places.insert(*colour, place);
            true
        });
        if fits {
            break;
        }
    }
    let place = |run: &[Colour]| places.get(&run[0]).copied().unwrap_or_default();
    let pixels = runs().flat_map(|run| iter::repeat_n(place(run), run.len())).collect();
    Indexed { palette, pixels }
}
