//! How sure is a prediction, and why not surer?
//!
//! Residuals of the catalog say what measurements were over predictions that were fitted without their cell. The
//! stratum of the engine is taken where it has cells enough. What the fit has never seen is wider, by what leaving all
//! of its kind out left: an accelerator, a precision, a model, an engine. Independent causes add in quadrature.

use super::{Identity, Kind};
use crate::fit::residuals::ENOUGH;
use capstan_types::catalog::{Catalog, Residual};

/// Ends of 90 %, as multiples of a prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// The lower.
    pub low: f64,
    /// The upper.
    pub high: f64,
    /// What makes it wider than usual, one cause each.
    pub because: Vec<String>,
}

/// Without any residual in the catalog: a factor of two and a half, about what unfitted models reach.
const UNKNOWN: f64 = 2.5;
/// Cells that a factor needs to count as known.
const SOME: u32 = 3;
/// Width in logarithms that a factor adds which fewer than three cells determine.
const THIN: f64 = 0.15;
/// Width in logarithms that a load outside of what was measured adds, per doubling beyond it.
const BEYOND: f64 = 0.10;

/// The interval of one prediction in the making.
pub struct Widening<'a> {
    residuals: Vec<&'a Residual>,
    low: f64,
    high: f64,
    because: Vec<String>,
}

impl<'a> Widening<'a> {
    /// Begins with the residuals of the row's engine, or of all.
    pub fn of(catalog: &'a Catalog, kind: Kind, quantity: &str, row: &Identity) -> Self {
        let own = |residual: &&Residual| residual.table == kind.word() && residual.quantity == quantity;
        let residuals: Vec<&Residual> = catalog.residuals.iter().filter(own).collect();
        let mut found =
            Self { residuals, low: -libm::log(UNKNOWN), high: libm::log(UNKNOWN), because: Vec::new() };
        let Some(all) = found.stratum("all") else {
            found.because.push("nothing was measured to hold predictions against".to_owned());
            return found;
        };
        let engine = found.stratum(&format!("engine={}", row.engine));
        let base = engine.filter(|residual| residual.cells as usize >= ENOUGH).unwrap_or(all);
        (found.low, found.high) = logs(base);
        found.special(row);
        found.unseen(row);
        found
    }

    fn stratum(&self, name: &str) -> Option<&'a Residual> {
        self.residuals.iter().copied().find(|residual| residual.stratum == name)
    }

    /// Widens to a stratum of few cells that is known to be worse; few may make an interval wider, not narrower.
    fn special(&mut self, row: &Identity) {
        let dp = row.strata.iter().any(|stratum| stratum == "attention-DP");
        let Some(worse) = self.stratum("attention-DP").filter(|_| dp) else {
            return;
        };
        let (low, high) = logs(worse);
        if low < self.low || high > self.high {
            (self.low, self.high) = (self.low.min(low), self.high.max(high));
            self.because.push("ranks with sequences of their own are predicted less well".to_owned());
        }
    }

    /// Widens for what the fit has not seen.
    fn unseen(&mut self, row: &Identity) {
        let parts = [
            ("accelerator", &row.accelerator),
            ("precision", &row.precision),
            ("model", &row.model),
            ("engine", &row.engine),
        ];
        let base = (self.low, self.high);
        for (part, name) in parts.into_iter().filter(|(_, name)| !name.is_empty()) {
            if self.stratum(&format!("{part}={name}")).is_some() {
                continue;
            }
            if let Some(left_out) = self.stratum(&format!("new {part}")) {
                let (low, high) = logs(left_out);
                let beyond = |new: f64, old: f64| (new * new - old * old).max(0.0).sqrt();
                let more = (beyond(low.min(0.0), base.0), beyond(high.max(0.0), base.1));
                self.widen(more, format!("no measurement of {part} {name} went into the fit"));
            }
        }
    }

    /// Adds a cause of so much in logarithms below and above.
    pub fn widen(&mut self, (below, above): (f64, f64), because: String) {
        self.low = -(self.low * self.low + below * below).sqrt();
        self.high = (self.high * self.high + above * above).sqrt();
        self.because.push(because);
    }

    /// Widens for a factor that rests on fewer than three cells.
    pub fn thin(&mut self, catalog: &Catalog, name: &str, words: &str) {
        let known = catalog.coefficients.iter().find(|row| row.name == name);
        if known.is_none_or(|row| row.cells < SOME) {
            self.widen((THIN, THIN), format!("{words} rest on fewer than three cells"));
        }
    }

    /// Widens for a load that is larger than any that was measured.
    pub fn beyond(&mut self, value: u32, most: u32, words: &str) {
        if value > most {
            let more = BEYOND * libm::log2(f64::from(value) / f64::from(most)).max(1.0);
            self.widen((more, more), format!("{value} {words} are more than were measured"));
        }
    }

    /// Returns the interval.
    pub fn done(self) -> Interval {
        Interval { low: libm::exp(self.low), high: libm::exp(self.high), because: self.because }
    }
}

/// Returns the logarithms of both ends, each on its side of the prediction.
fn logs(residual: &Residual) -> (f64, f64) {
    (libm::log(residual.low).min(0.0), libm::log(residual.high).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    fn catalog() -> Catalog {
        let mut catalog = testing::catalog();
        let line = |stratum: &str, low, high, cells| Residual {
            table: "serving_latency".to_owned(),
            quantity: "tpot_ms".to_owned(),
            stratum: stratum.to_owned(),
            low,
            high,
            cells,
            rows: 50,
            provenance: testing::provenance(),
        };
        catalog.residuals = vec![
            line("all", 0.5, 2.0, 20),
            line("engine=vllm", 0.8, 1.3, 9),
            line("engine=sglang", 0.9, 1.1, 4),
            line("accelerator=h100_sxm", 0.8, 1.2, 4),
            line("precision=fp8", 0.8, 1.2, 4),
            line("model=llama3_1_70b", 0.8, 1.2, 4),
            line("new accelerator", 0.4, 2.5, 20),
        ];
        catalog
    }

    fn row(engine: &str, accelerator: &str) -> Identity {
        Identity {
            cell: String::new(),
            model: "llama3_1_70b".to_owned(),
            accelerator: accelerator.to_owned(),
            engine: engine.to_owned(),
            precision: "fp8".to_owned(),
            mixture: Some(false),
            blackwell: false,
            strata: Vec::new(),
        }
    }

    fn ends(engine: &str, accelerator: &str) -> (f64, f64, usize) {
        let catalog = catalog();
        let found = Widening::of(&catalog, Kind::ServingLatency, "tpot_ms", &row(engine, accelerator)).done();
        ((found.low * 100.0).round() / 100.0, (found.high * 100.0).round() / 100.0, found.because.len())
    }

    #[test]
    fn a_stratum_with_cells_enough_counts_and_a_small_one_does_not() {
        assert_eq!(ends("vllm", "h100_sxm"), (0.8, 1.3, 0));
        assert_eq!(ends("sglang", "h100_sxm"), (0.5, 2.0, 0));
    }

    #[test]
    fn what_was_never_seen_is_wider_and_says_so() {
        let (low, high, causes) = ends("vllm", "mi300x");
        assert_eq!(causes, 1);
        assert_eq!((low, high), (0.4, 2.5));
    }

    #[test]
    fn without_residuals_little_is_claimed() {
        let catalog = testing::catalog();
        let row = row("vllm", "h100_sxm");
        let found = Widening::of(&catalog, Kind::ServingLatency, "tpot_ms", &row).done();
        assert!(found.low < 0.41 && found.high > 2.49 && found.because.len() == 1);
    }
}
