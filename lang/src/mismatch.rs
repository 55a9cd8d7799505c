//! What is said where a quantity counts something else than its field?
//!
//! Shared by everything that compares the two: plan files, catalogs, the command line. Currencies are
//! not compared here, since a dated rate may stand between them.

use capstan_types::place::Place;
use capstan_types::quantity::{Base, Currency, Dimension, Quantity, in_base_units, parse_quantity};

use crate::codes;
use crate::diagnostic::Diagnostic;

/// What a field wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The field's name.
    pub field: &'a str,
    /// What it counts.
    pub dimension: Dimension,
    /// The plan's currency, for suggestions.
    pub currency: Option<Currency>,
    /// How it is usually written, such as `<= 500 ms`; may be empty.
    pub example: &'a str,
}

/// Returns the mistake of writing `found` (as `written`, at `place`) where `wanted` belongs; none where
/// the dimensions agree.
pub fn mismatch(wanted: Wanted<'_>, found: &Quantity, written: &str, place: Place) -> Option<Diagnostic> {
    if found.dimension == wanted.dimension {
        return None;
    }
    let Wanted { field, dimension, .. } = wanted;
    let verb = if is_count(dimension) { "counts" } else { "is" };
    let share = found.dimension.is_none() && found.unit == "%";
    let bare = found.dimension.is_none() && !share;
    let message = match (bare, share) {
        (true, _) => format!("`{field}` {verb} {dimension}, and `{written}` has no unit"),
        (_, true) => format!("`{field}` {verb} {dimension}, but `{written}` is a share"),
        _ => format!("`{field}` {verb} {dimension}, but `{written}` is {}", found.dimension),
    };
    let code = if bare { codes::UNIT_MISSING } else { codes::WRONG_DIMENSION };
    let mut diagnostic = Diagnostic::error(code, place, message);
    if !found.dimension.is_none() {
        let amount = in_base_units(found.value, found.dimension, found.currency);
        diagnostic = diagnostic.label(format!("this is {amount}"));
    }
    diagnostic.help = way_out(wanted, found);
    Some(diagnostic)
}

/// Things that are counted rather than measured.
fn is_count(dimension: Dimension) -> bool {
    const COUNTED: [Base; 8] = [
        Base::Token,
        Base::Request,
        Base::Accelerator,
        Base::Node,
        Base::Parameter,
        Base::Flop,
        Base::Io,
        Base::User,
    ];
    COUNTED.iter().any(|base| dimension == Dimension::of(*base))
}

fn way_out(wanted: Wanted<'_>, found: &Quantity) -> Option<String> {
    let Wanted { dimension, currency, .. } = wanted;
    let number = found.decimal?;
    if dimension.is_none() {
        return Some(format!("write the number alone: `{number}`"));
    }
    if let Some(unit) = usual_unit(wanted).filter(|_| found.dimension.is_none() && found.unit.is_empty()) {
        return Some(format!("write `{number} {unit}`, if that is what is meant"));
    }
    if let Some(better) = found.rewritten_as(dimension, currency) {
        let prefix = found.unit.strip_suffix('B').unwrap_or("");
        return Some(match scale(prefix) {
            Some(scale) => format!("{number} {scale} {dimension} are written `{better}`"),
            None => format!("write `{better}`, if that is what is meant"),
        });
    }
    let unit = &found.unit;
    if dimension.times(Dimension::TIME) == found.dimension {
        let usual = dimension.customary_unit(currency);
        let per = usual.as_deref().and_then(|usual| usual.rsplit_once('/')).map_or("s", |(_, per)| per);
        let others: Vec<String> = ["s", "h", "d", "mo", "y"]
            .iter()
            .filter(|other| **other != per)
            .map(|other| format!("`{other}`"))
            .collect();
        return Some(format!("it is a rate: `{number} {unit}/{per}`, or per {}", others.join(", ")));
    }
    if dimension == found.dimension.times(Dimension::TIME) {
        let amount = unit.rsplit_once('/').map_or(unit.as_str(), |(amount, _)| amount);
        return Some(format!("it is an amount and no rate: `{number} {amount}`"));
    }
    dimension.customary_unit(currency).map(|unit| format!("it is written with a unit such as `{unit}`"))
}

/// Returns the unit of the example, where that is an amount of what is wanted.
fn usual_unit(wanted: Wanted<'_>) -> Option<String> {
    let amount = wanted.example.trim_start_matches(|c: char| !c.is_ascii_digit());
    let shown = parse_quantity(amount).ok()?;
    // A plan in another currency is better served by the customary unit.
    (shown.dimension == wanted.dimension && shown.currency.is_none()).then_some(shown.unit)
}

fn scale(prefix: &str) -> Option<&'static str> {
    match prefix {
        "k" => Some("thousand"),
        "M" => Some("million"),
        "G" => Some("billion"),
        "T" => Some("trillion"),
        "P" => Some("quadrillion"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render_plain;
    use capstan_types::place::{FileId, Span};

    fn said(field: &str, dimension: Dimension, written: &str) -> String {
        let quantity = parse_quantity(written).expect(written);
        let place = Span::new(0, written.len() as u32).in_file(&FileId::new("x.plan"));
        let wanted = Wanted { field, dimension, currency: Some(Currency::EUR), example: "<= 500 ms" };
        mismatch(wanted, &quantity, written, place)
            .map_or(String::new(), |found| render_plain(&[found], |_| None))
    }

    #[test]
    fn tokens_are_not_bytes() {
        assert_eq!(
            said("tokens", Dimension::TOKENS, "15 TB"),
            "error[E0104]: `tokens` counts tokens, but `15 TB` is data\n  = help: 15 trillion tokens are written `15 Ttok`\n"
        );
        assert_eq!(said("tokens", Dimension::TOKENS, "15 Ttok"), "");
    }

    #[test]
    fn a_bare_number_gets_a_unit_offered() {
        assert_eq!(
            said("power", Dimension::POWER, "40"),
            "error[E0103]: `power` is power, and `40` has no unit\n  = help: write `40 kW`, if that is what is meant\n"
        );
        assert!(said("capex", Dimension::MONEY, "12").contains("`12 EUR`"));
        assert!(said("p99", Dimension::TIME, "300").contains("`300 ms`"));
    }

    #[test]
    fn rates_and_amounts_are_told_apart() {
        assert!(said("peak", Dimension::REQUEST_RATE, "40 req").contains("it is a rate: `40 req/s`"));
        assert!(said("opex", Dimension::MONEY_RATE, "40 kEUR").contains("it is a rate: `40 kEUR/mo`"));
        assert!(said("size", Dimension::DATA, "40 GB/s").contains("it is an amount and no rate: `40 GB`"));
        assert!(said("power", Dimension::POWER, "40%").contains("`40%` is a share"));
        assert!(said("replicas", Dimension::NONE, "4 GPU").contains("write the number alone: `4`"));
    }
}
