//! Measured matrix products: by how much are the efficiencies of an accelerator at a precision off?

use super::{Refitted, median};
use crate::perf::{Device, roofline};
use capstan_types::catalog::{Catalog, GemmEfficiency};
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::origin::{Grade, Origin, Provenance};

/// A product of m × k by k × n, and its microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Product {
    /// Rows.
    pub m: f64,
    /// Columns.
    pub n: f64,
    /// Inner width.
    pub k: f64,
    /// Time.
    pub us: f64,
}

/// Refits both efficiencies of large products by one factor; the shape of the curve stays, since a few products do not show
/// it.
///
/// # Errors
/// Where nothing can be used, or the chip lacks the precision.
pub fn gemm(
    catalog: &Catalog,
    accelerator: &Accelerator,
    precision: Precision,
    measured: &[Product],
    provenance: &Provenance,
) -> Result<Refitted<GemmEfficiency>, String> {
    let device = Device::resolve(catalog, accelerator).map_err(|error| error.to_string())?;
    let old = *device.gemm(precision).map_err(|error| error.to_string())?;
    let (mut used, mut refused) = (Vec::new(), Vec::new());
    for (index, product) in measured.iter().enumerate() {
        let Product { m, n, k, us } = *product;
        let least = 2.0 * m * n * k / old.peak;
        let bad = [m, n, k, us].iter().any(|value| !(value.is_finite() && *value > 0.0));
        if bad {
            refused.push((index, "m, n, k and the time must be above zero".to_owned()));
        } else if us < least {
            refused.push((index, format!("{us} us, faster than physics: FLOPs alone take {least:.2} us")));
        } else {
            used.push(*product);
        }
    }
    if used.is_empty() {
        return Err("no product is left".to_owned());
    }
    let beyond = |curve: &_, one: &Product| {
        roofline::gemm_alone(curve, device.bandwidth, one.m, one.n, one.k) - old.t0_us
    };
    // Small products show the fixed time and not the efficiency; they count only where nothing else is there.
    let large: Vec<Product> = used.iter().copied().filter(|one| beyond(&old, one) > old.t0_us).collect();
    let judged = if large.is_empty() { &used } else { &large };
    let ratio = |one: &Product| ((one.us - old.t0_us) / beyond(&old, one)).max(0.1);
    let factor = median(judged.iter().map(ratio).collect()).unwrap_or(1.0);
    let mut new = old;
    new.compute = (old.compute / factor).clamp(1e-3, 1.0);
    new.memory = (old.memory / factor).clamp(1e-3, 1.5);
    let error = |curve: &_| {
        let of = |one: &Product| ((beyond(curve, one) + old.t0_us) / one.us - 1.0).abs();
        median(used.iter().map(of).collect()).unwrap_or(0.0)
    };
    let row = GemmEfficiency {
        accelerator: accelerator.id.clone(),
        precision,
        t0_us: new.t0_us,
        compute: new.compute,
        memory: new.memory,
        p: new.p,
        half_m: new.half_m,
        half_nk_m: new.half_nk_m,
        origin: Origin::Measured,
        provenance: Provenance { grade: Grade::Measured, ..provenance.clone() },
    };
    Ok(Refitted { row, before: error(&old), after: error(&new), refused })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    #[test]
    fn a_slower_chip_is_seen_and_what_physics_forbids_is_not_used() {
        let catalog = testing::catalog();
        let chip = catalog.accelerator("h100_sxm").unwrap();
        let device = Device::resolve(&catalog, chip).unwrap();
        let curve = *device.gemm(Precision::Bf16).unwrap();
        let product = |m: f64, slower: f64| {
            let alone = roofline::gemm_alone(&curve, device.bandwidth, m, 8192.0, 8192.0) - curve.t0_us;
            Product { m, n: 8192.0, k: 8192.0, us: curve.t0_us + slower * alone }
        };
        let mut measured: Vec<Product> = [16.0, 512.0, 2048.0, 8192.0].map(|m| product(m, 1.25)).to_vec();
        measured.push(product(8192.0, 0.3));
        measured.push(Product { m: 0.0, ..measured[0] });
        let fitted = gemm(&catalog, chip, Precision::Bf16, &measured, &chip.provenance).unwrap();
        assert!((fitted.row.compute * 1.25 / curve.compute - 1.0).abs() < 1e-9, "{fitted:?}");
        assert!(fitted.after < 1e-9 && fitted.before > 0.15);
        assert_eq!(fitted.refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [4, 5]);
    }
}
