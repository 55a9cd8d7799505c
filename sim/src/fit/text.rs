//! The fit as catalog text: the same numbers give the same bytes.

use super::kernels::Curve;
use super::knobs::Knob;
use super::residuals::Quantiles;
use std::fmt::Write as _;

/// How the generated files begin.
const HEAD: &str = "# Written by `capstan fit`; changes by hand are lost when it runs again.\n\n";
/// When the measurements were collected.
const AS_OF: &str = "2026-11-01";

fn source(text: &mut String, id: &str, words: &str, grade: &str) {
    let _ =
        write!(text, "[sources.{id}]\nsource = \"{words}\"\nas_of = \"{AS_OF}\"\ngrade = \"{grade}\"\n\n");
}

/// Returns a number with four significant digits.
pub fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let digits = 3 - libm::floor(libm::log10(value.abs())) as i32;
    let scale = libm::pow(10.0, f64::from(digits));
    let rounded = (value * scale).round() / scale;
    format!("{rounded:.*}", digits.clamp(0, 12) as usize)
}

/// Returns the catalog file of kernel curves.
pub fn kernels(gemm: &[Curve], experts: &[Curve]) -> String {
    const GEMM: [&str; 6] = ["t0", "compute", "memory", "p", "half_m", "half_nk"];
    const EXPERTS: [&str; 8] = ["t0", "per_expert", "compute", "memory", "p", "tile", "activation", "skew"];
    let mut text = HEAD.to_owned();
    source(&mut text, "tables", "fitted to published kernel tables, see docs/validation.md", "measured");
    source(&mut text, "copied", "copied from the nearest measured chip; no table exists", "recalled");
    for (kind, fields, curves) in [("gemm", &GEMM[..], gemm), ("experts", &EXPERTS[..], experts)] {
        for curve in curves {
            let (origin, from) =
                if curve.error.is_some() { ("measured", "tables") } else { ("assumed", "copied") };
            let _ = write!(
                text,
                "[[{kind}]]\naccelerator = \"{}\"\nprecision = \"{}\"\n",
                curve.accelerator,
                curve.precision.word()
            );
            for (field, value) in fields.iter().zip(&curve.values) {
                let number = short(*value);
                let _ = match *field {
                    "t0" | "per_expert" => writeln!(text, "{field} = \"{number} us\""),
                    "half_nk" => writeln!(text, "{field} = \"{number} Mparam\""),
                    _ => writeln!(text, "{field} = {number}"),
                };
            }
            let _ = write!(text, "origin = \"{origin}\"\nfrom = \"{from}\"\n\n");
        }
    }
    text
}

/// Returns the catalog file of factors, each with the cells that say something about it, and of residuals by table.
pub fn factors(factors: &[(Knob, f64, u32)], residuals: &[(&str, Vec<Quantiles>)]) -> String {
    let mut text = HEAD.to_owned();
    source(&mut text, "fit", "fitted to published measurements, see docs/validation.md", "measured");
    for (knob, value, cells) in factors.iter().filter(|(knob, ..)| knob.engine().is_none()) {
        // What fewer than three cells say is one configuration's, not the product's.
        let origin = if *cells < 3 { "assumed" } else { "measured" };
        let (name, value) = (knob.name, short(*value));
        let _ = write!(
            text,
            "[[coefficient]]\nname = \"{name}\"\nvalue = {value}\ncells = {cells}\norigin = \"{origin}\"\nfrom = \"fit\"\n\n"
        );
    }
    for (table, lines) in residuals {
        for line in lines {
            let (low, high) = (short(line.low), short(line.high));
            let Quantiles { quantity, stratum, cells, rows, .. } = line;
            let _ = write!(
                text,
                "[[residual]]\ntable = \"{table}\"\nquantity = \"{quantity}\"\nstratum = \"{stratum}\"\nlow = {low}\nhigh = {high}\ncells = {cells}\nrows = {rows}\nfrom = \"fit\"\n\n"
            );
        }
    }
    text
}

/// Returns a catalog file of engines with the fitted numbers in their places; all else stays as it is.
pub fn engines(old: &str, factors: &[(Knob, f64, u32)]) -> String {
    let mut engine = String::new();
    let mut text = String::with_capacity(old.len());
    for line in old.lines() {
        let (field, value) = line.split_once(" = ").unwrap_or((line, ""));
        if field == "id" {
            engine = value.trim_matches('"').to_owned();
        }
        let fitted = factors.iter().find(|(knob, ..)| knob.engine() == Some((engine.as_str(), field)));
        match fitted {
            Some((_, number, _)) if value.starts_with('"') => {
                let _ = writeln!(text, "{field} = \"{} us\"", short(*number));
            }
            Some((_, number, _)) => {
                let _ = writeln!(text, "{field} = {}", short(*number));
            }
            None => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::knobs;
    use crate::tables::Kind;

    #[test]
    fn numbers_keep_four_digits() {
        for (value, wanted) in [
            (0.0, "0"),
            (7.2e9, "7200000000"),
            (0.012_345, "0.01235"),
            (660.04, "660.0"),
            (12_345.6, "12350"),
        ] {
            assert_eq!(short(value), wanted);
        }
    }

    #[test]
    fn only_fitted_fields_of_the_named_engine_change() {
        let old = "# text\n[[engine]]\nid = \"vllm\"\nlayer = \"9.7 us\"\nfactor = 1.02\n\n[[engine]]\nid = \"sglang\"\nlayer = \"9 us\"\n";
        let all = knobs(Kind::ServingLatency).into_iter();
        let changed: Vec<_> = all
            .filter(|knob| knob.name == "vllm.layer" || knob.name == "vllm.factor")
            .map(|knob| (knob, 1.5, 4))
            .collect();
        let new = engines(old, &changed);
        assert_eq!(new, old.replace("9.7 us", "1.500 us").replace("1.02", "1.500"));
    }
}
