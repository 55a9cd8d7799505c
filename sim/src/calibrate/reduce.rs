//! All-reduce measured by nccl-tests: by how much is the link's efficiency off?

use super::{Refitted, median};
use crate::perf::{Device, roofline};
use capstan_types::catalog::{Catalog, CollectiveEfficiency};
use capstan_types::hardware::Accelerator;
use capstan_types::origin::{Grade, Origin, Provenance};

/// Messages from here on show the rate of the link and not its latency.
const LARGE_BYTES: f64 = 16_777_216.0;
/// Switches that add send n + 1 where a ring sends 2 (n - 1), so that the rate may seem to be up to twice the link's.
const MOST: f64 = 2.0;

/// Refits the efficiency of large messages to (bytes, microseconds) of `ranks` ranks inside one machine.
///
/// # Errors
/// Where nothing can be used.
pub fn all_reduce(
    catalog: &Catalog,
    accelerator: &Accelerator,
    ranks: u32,
    measured: &[(f64, f64)],
    provenance: &Provenance,
) -> Result<Refitted<CollectiveEfficiency>, String> {
    let device = Device::resolve(catalog, accelerator).map_err(|error| error.to_string())?;
    if ranks < 2 {
        return Err("an all-reduce has two ranks at least".to_owned());
    }
    let t = f64::from(ranks);
    let (mut used, mut refused) = (Vec::new(), Vec::new());
    for (index, &(bytes, us)) in measured.iter().enumerate() {
        let least = roofline::wire(t) * bytes / device.collective.link;
        if us < least {
            refused
                .push((index, format!("{us} us, faster than physics: the link alone takes {least:.1} us")));
        } else if bytes >= LARGE_BYTES {
            used.push((bytes, us));
        }
    }
    if used.is_empty() {
        return Err(
            "no message of 16 MiB or more is left, and smaller ones show latency, not the link".to_owned()
        );
    }
    let ideal = |bytes: f64| 2.0 * (t - 1.0) / t * bytes / device.collective.link;
    let old = device.collective;
    let latency = old.latency_us * libm::pow(t, old.exponent);
    let grown = |exponent: f64| libm::pow(t / 2.0, exponent);
    let (share, root) = (grown(old.growth.0), old.root * grown(old.growth.1));
    let beyond = |bytes: f64| latency + root * ideal(bytes).sqrt();
    let error = |efficiency: f64| {
        let of = |&(bytes, us): &(f64, f64)| {
            ((beyond(bytes) + ideal(bytes) / (share * efficiency)) / us - 1.0).abs()
        };
        median(used.iter().map(of).collect()).unwrap_or(0.0)
    };
    // What a message takes beyond latency passes at the rate of the link × its efficiency.
    let each = |&(bytes, us): &(f64, f64)| ideal(bytes) / (us - beyond(bytes)).max(1e-9) / share;
    let efficiency = median(used.iter().map(each).collect()).unwrap_or(old.efficiency);
    let efficiency = efficiency.clamp(1e-3, MOST);
    let curve = old;
    let row = CollectiveEfficiency {
        accelerator: accelerator.id.clone(),
        latency_us: curve.latency_us,
        exponent: curve.exponent,
        efficiency,
        root: curve.root,
        efficiency_exponent: curve.growth.0,
        root_exponent: curve.growth.1,
        origin: Origin::Measured,
        provenance: Provenance { grade: Grade::Measured, ..provenance.clone() },
    };
    Ok(Refitted { row, before: error(old.efficiency), after: error(efficiency), refused })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    #[test]
    fn a_slower_link_is_seen_and_what_physics_forbids_is_not_used() {
        let mut catalog = testing::catalog();
        // A link whose efficiency is the same for any number of ranks, so that the one that comes out can be told.
        let row = catalog.collectives.iter_mut().find(|row| row.accelerator == "h100_sxm").unwrap();
        (row.latency_us, row.exponent, row.efficiency, row.root) = (3.4, 0.21, 0.77, 1.6);
        (row.efficiency_exponent, row.root_exponent) = (0.0, 0.0);
        let chip = catalog.accelerator("h100_sxm").unwrap();
        let link = chip.scale_up.bandwidth.get() / 1e6;
        // 300 GB/s of bus bandwidth on 450 GB/s links.
        let us = |bytes: f64| 1.75 * bytes / (0.667 * link) + 8.0;
        let mut measured: Vec<(f64, f64)> =
            [24, 26, 28, 30].map(|power| f64::from(1_u32 << power)).map(|bytes| (bytes, us(bytes))).to_vec();
        measured.push((1e9, 10.0));
        let provenance = chip.provenance.clone();
        let fitted = all_reduce(&catalog, chip, 8, &measured, &provenance).unwrap();
        assert!((fitted.row.efficiency - 0.667).abs() < 0.05, "{fitted:?}");
        assert!(fitted.after < 0.03 && fitted.after < fitted.before);
        assert_eq!(fitted.refused.len(), 1);
        assert!(fitted.refused[0].1.contains("faster than physics") && fitted.refused[0].0 == 4);
        assert!(all_reduce(&catalog, chip, 8, &measured[4..], &provenance).is_err());
    }
}
