//! What every picture has: it is SVG in memory, or there is a reason why not.

use plotters::coord::Shift;
use plotters::prelude::*;

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPicture(pub(crate) String);

impl std::fmt::Display for NoPicture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the picture cannot be drawn: {}", self.0)
    }
}

impl std::error::Error for NoPicture {}

/// What is drawn on.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What drawing returns; the library refuses in types of its own.
pub(crate) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Returns what `draw` draws on paper of this size, in points.
pub(crate) fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, NoPicture> {
    let refused = |error: &dyn std::fmt::Display| NoPicture(error.to_string());
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area).map_err(|error| refused(&error))?;
        area.present().map_err(|error| refused(&error))?;
    }
    Ok(text)
}

/// Colours in light and dark: paper, ink, grid, then one per series. Series colours are those of Okabe and Ito (2008),
/// which people tell apart who do not see red and green; dark ones are lightened.
pub(crate) const PAPER: (RGBColor, &str) = (RGBColor(255, 255, 255), "#16191D");
pub(crate) const INK: (RGBColor, &str) = (RGBColor(34, 38, 42), "#E6E8EA");
pub(crate) const GRID: (RGBColor, &str) = (RGBColor(222, 225, 228), "#363B40");
pub(crate) const SERIES: [(RGBColor, &str); 6] = [
    (RGBColor(0, 94, 156), "#56B4E9"),
    (RGBColor(190, 76, 0), "#F2A35E"),
    (RGBColor(0, 122, 88), "#3CCB9E"),
    (RGBColor(156, 74, 124), "#E29AC6"),
    (RGBColor(122, 104, 0), "#E5D54B"),
    (RGBColor(92, 92, 168), "#A9A9F0"),
];

fn hexadecimal(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

/// Returns the style sheet that replaces our colours where the reader prefers the dark.
pub(crate) fn dark_rules() -> String {
    let mut rules = String::new();
    for (light, dark) in [PAPER, INK, GRID].into_iter().chain(SERIES) {
        let light = hexadecimal(light);
        for attribute in ["fill", "stroke"] {
            rules.push_str(&format!("[{attribute}=\"{light}\"]{{{attribute}:{dark}}}"));
        }
    }
    format!("@media (prefers-color-scheme: dark){{{rules}}}")
}
