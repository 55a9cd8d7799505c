//! What measurements say of training: factors between kernels and steps, and how far predictions were off that never
//! saw what they predicted.
//!
//! Rows `residual` of the table `training` hold quantiles of measured over predicted, cells left out, for dense models,
//! for mixtures and for adapters, and the same with a whole accelerator, precision or model left out. Without them a
//! factor of two and a half is claimed.

use super::{Cluster, Job, Method};
use crate::perf::coefficients::Coefficients;
use capstan_types::catalog::{Catalog, Residual};

/// The word of residual rows.
pub const TABLE: &str = "training";
/// The word of a user's own measurements: what they were over predictions, by family, model, accelerator and precision.
pub const OWN: &str = "training_own";
/// The quantity of residual rows.
pub const QUANTITY: &str = "step_s";
/// Without any residual: what unfitted models reach.
const UNKNOWN: f64 = 2.5;
/// Gated linear attention was off by a factor of two to five, both ways, from one release to the next.
const UNMEASURED: f64 = 3.0;
/// Below this many micro-batches the model is too optimistic (measured 0.62, predicted 0.70 at six), by this much in
/// logarithms.
pub(super) const FEW: (u64, f64) = (16, 0.08);

/// Factors, and how sure they make a prediction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known {
    /// Factors between kernels and steps.
    pub factors: Coefficients,
    residuals: Vec<Residual>,
    own: Vec<Residual>,
}

/// What kind of job it is: each is predicted about equally well, and no other as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Every weight of a dense model is trained.
    Dense,
    /// A mixture of experts.
    Mixture,
    /// Only adapters are trained.
    Adapters,
}

impl Family {
    /// Returns the word of residual rows.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Mixture => "MoE",
            Self::Adapters => "adapters",
        }
    }

    /// Returns the kind of a job.
    pub fn of(job: &Job<'_>, method: &Method) -> Self {
        match (job.model.experts, method.adapters) {
            (Some(_), _) => Self::Mixture,
            (None, true) => Self::Adapters,
            (None, false) => Self::Dense,
        }
    }
}

/// Ends of 90 % in logarithms, and why they are wider than usual.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// The lower.
    pub low: f64,
    /// The upper.
    pub high: f64,
    /// Causes.
    pub because: Vec<String>,
}

impl Known {
    /// Returns what `catalog` says.
    pub fn of(catalog: &Catalog) -> Self {
        let of = |table: &str| catalog.residuals.iter().filter(|row| row.table == table).cloned().collect();
        Self { factors: Coefficients::of(catalog), residuals: of(TABLE), own: of(OWN) }
    }

    /// Returns the ends of 90 % of a job that was measured, as multiples of a prediction without its measurements.
    fn own(&self, cluster: &Cluster<'_>, job: &Job<'_>, method: &Method) -> Option<(f64, f64)> {
        let family = Family::of(job, method).word();
        let name =
            format!("{family} {} {} {}", job.model.known_as(), cluster.accelerator.id, job.precision.word());
        self.own.iter().find(|row| row.stratum == name).map(|row| (row.low, row.high))
    }

    /// Returns the factor that own measurements of a job put on its time; 1 without any.
    pub fn correction(&self, cluster: &Cluster<'_>, job: &Job<'_>, method: &Method) -> f64 {
        self.own(cluster, job, method).map_or(1.0, |(low, high)| (low * high).sqrt())
    }

    fn logs(&self, stratum: &str) -> Option<(f64, f64)> {
        let row = self.residuals.iter().find(|row| row.stratum == stratum)?;
        Some((libm::log(row.low).min(0.0), libm::log(row.high).max(0.0)))
    }

    /// Returns the interval around a step of `micro_batches` micro-batches.
    pub fn spread(
        &self,
        cluster: &Cluster<'_>,
        job: &Job<'_>,
        method: &Method,
        micro_batches: u64,
    ) -> Spread {
        let family = Family::of(job, method);
        if let Some((low, high)) = self.own(cluster, job, method) {
            let half = libm::log(high / low) / 2.0;
            return Spread { low: -half, high: half, because: Vec::new() };
        }
        let Some((low, high)) = self.logs(family.word()) else {
            let because = vec!["nothing was measured to hold predictions against".to_owned()];
            return Spread { low: -libm::log(UNKNOWN), high: libm::log(UNKNOWN), because };
        };
        let mut spread = Spread { low, high, because: Vec::new() };
        let parts = [
            ("accelerator", cluster.accelerator.id.as_str()),
            ("precision", job.precision.word()),
            ("model", job.model.known_as()),
        ];
        for (part, name) in parts {
            if self.logs(&format!("{} {part}={name}", family.word())).is_some() {
                continue;
            }
            if let Some((new_low, new_high)) = self.logs(&format!("{} new {part}", family.word())) {
                let beyond = |new: f64, old: f64| (new * new - old * old).max(0.0).sqrt();
                spread.widen(
                    (beyond(new_low, low), beyond(new_high, high)),
                    format!("no measurement of {part} {name} went into the fit"),
                );
            }
        }
        if job.model.linear.is_some() {
            let more = libm::log(UNMEASURED);
            spread.widen((more, more), "kernels of gated linear attention change by release".to_owned());
        }
        if micro_batches < FEW.0 {
            spread.low -= FEW.1;
            spread.high += FEW.1;
            spread.because.push(format!("fewer than {} micro-batches per step", FEW.0));
        }
        spread
    }
}

impl Spread {
    fn widen(&mut self, (below, above): (f64, f64), because: String) {
        self.low = -(self.low * self.low + below * below).sqrt();
        self.high = (self.high * self.high + above * above).sqrt();
        self.because.push(because);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::hardware::Precision;
    use capstan_types::testing;
    use capstan_types::units::Tokens;

    fn known() -> Known {
        let line = |stratum: &str, low, high| Residual {
            table: TABLE.to_owned(),
            quantity: QUANTITY.to_owned(),
            stratum: stratum.to_owned(),
            low,
            high,
            cells: 9,
            rows: 50,
            provenance: testing::provenance(),
        };
        let mut catalog = testing::catalog();
        catalog.residuals = vec![
            line("dense", 0.9, 1.1),
            line("dense accelerator=h100_sxm", 0.9, 1.1),
            line("dense precision=bf16", 0.9, 1.1),
            line("dense model=llama3_1_70b", 0.9, 1.1),
            line("dense new precision", 0.8, 1.3),
        ];
        Known::of(&catalog)
    }

    fn ends(known: &Known, precision: Precision, micro_batches: u64) -> (f64, f64, usize) {
        let catalog = testing::catalog();
        let accelerator = catalog.accelerator("h100_sxm").unwrap();
        let cluster = Cluster { known, accelerator, per_node: 8, nodes: 8, scale_out: None };
        let model = catalog.model("llama3_1_70b").unwrap();
        let job = Job { model, batch: Tokens(1e6), sequence: 8192, precision };
        let spread = known.spread(&cluster, &job, &Method::default(), micro_batches);
        let ends = [spread.low, spread.high].map(|log| (libm::exp(log) * 100.0).round() / 100.0);
        (ends[0], ends[1], spread.because.len())
    }

    #[test]
    fn what_was_seen_has_its_own_residuals_and_the_rest_is_wider() {
        let known = known();
        assert_eq!(ends(&known, Precision::Bf16, 64), (0.9, 1.1, 0));
        assert_eq!(ends(&known, Precision::Fp8, 64), (0.8, 1.3, 1));
        let few = ends(&known, Precision::Bf16, 4);
        assert!(few.0 < 0.9 && few.1 > 1.1 && few.2 == 1, "{few:?}");
    }

    #[test]
    fn without_residuals_little_is_claimed() {
        assert_eq!(ends(&Known::default(), Precision::Bf16, 64), (0.4, 2.5, 1));
    }
}
