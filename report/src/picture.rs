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
