//! How many switches and links does a network need whose host ports are given?
//!
//! Folded Clos networks of equal switches, of one, two or three tiers. The rule is the one that reproduces NVIDIA's
//! SuperPOD tables to the switch: leaves are filled evenly and come in whole sets of rails; the links of a leaf are
//! spread evenly over its spines. Rates and prices are not known here: a port is a port.

/// What a network has to connect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// Ports of hosts.
    pub host_ports: u32,
    /// Ports of a host that each go to a leaf of their own; 1 for a network that is not rail-optimised.
    pub rails: u32,
    /// Ports of a switch, at the rate of a host port.
    pub radix: u32,
    /// Ports of hosts of a leaf over its links to spines, at least 1.
    pub oversubscription: f64,
}

/// Switches and links of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clos {
    /// Tiers of switches: 1, 2 or 3.
    pub tiers: u32,
    /// Switches that hosts plug into.
    pub leaves: u32,
    /// Leaves that share their spines: all of them up to two tiers, those of a pod in three.
    pub leaves_per_pod: u32,
    /// Links of a leaf to spines.
    pub uplinks: u32,
    /// Spines of a pod.
    pub spines_per_pod: u32,
    /// Cores that each spine of a pod reaches; the spines with the same number in all pods reach the same ones.
    pub cores_per_spine: u32,
}

/// No network of three tiers has so many ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyPorts {
    /// Ports of hosts that were asked for.
    pub host_ports: u32,
    /// Ports that the switches can give.
    pub most: u64,
}

impl Clos {
    /// Returns the number of pods.
    pub fn pods(&self) -> u32 {
        self.leaves.div_ceil(self.leaves_per_pod)
    }

    /// Returns the number of spines.
    pub fn spines(&self) -> u32 {
        self.spines_per_pod * self.pods()
    }

    /// Returns the number of cores.
    pub fn cores(&self) -> u32 {
        self.cores_per_spine * self.spines_per_pod
    }
}

/// Returns the smallest network that connects what is asked.
///
/// # Errors
/// [`TooManyPorts`] where three tiers of these switches are too few.
pub fn clos(asked: &Asked) -> Result<Clos, TooManyPorts> {
    let Asked { host_ports, rails, radix, oversubscription } = *asked;
    if host_ports <= radix {
        return Ok(Clos {
            tiers: 1,
            leaves: 1,
            leaves_per_pod: 1,
            uplinks: 0,
            spines_per_pod: 0,
            cores_per_spine: 0,
        });
    }
    let up = |down: u32| (f64::from(down) / oversubscription - 1e-9).ceil().max(1.0) as u32;
    let down = (1..radix).rev().find(|&down| down + up(down) <= radix).unwrap_or(1);
    let rails = rails.clamp(1, down.max(1));
    let leaves = host_ports.div_ceil(down).next_multiple_of(rails);
    let uplinks = up(host_ports.div_ceil(leaves));
    let free = radix - host_ports.div_ceil(leaves);
    let flat = if leaves <= radix { spread(leaves, uplinks..=free, radix) } else { None };
    if let Some((spines_per_pod, uplinks)) = flat {
        return Ok(Clos {
            tiers: 2,
            leaves,
            leaves_per_pod: leaves,
            uplinks,
            spines_per_pod,
            cores_per_spine: 0,
        });
    }
    let half = radix / 2;
    let too_many = TooManyPorts { host_ports, most: u64::from(half * down) * u64::from(radix) };
    let pods = leaves.div_ceil(half);
    let leaves_per_pod = leaves.div_ceil(pods);
    let (spines_per_pod, uplinks) = spread(leaves_per_pod, uplinks..=free, half).ok_or(too_many)?;
    let links_per_group = (leaves * uplinks).div_ceil(spines_per_pod);
    if pods > radix {
        return Err(too_many);
    }
    let cores_per_spine = links_per_group.div_ceil(radix);
    Ok(Clos { tiers: 3, leaves, leaves_per_pod, uplinks, spines_per_pod, cores_per_spine })
}

/// Returns the fewest spines, and the links of a leaf, so that each leaf has the same number of links to each spine
/// and no spine needs more than `ports`.
fn spread(leaves: u32, uplinks: std::ops::RangeInclusive<u32>, ports: u32) -> Option<(u32, u32)> {
    let fewest = |up: u32| {
        let mut divisors = (1..=up).filter(|spines| up.is_multiple_of(*spines));
        divisors.find(|spines| leaves * (up / spines) <= ports).map(|spines| (spines, up))
    };
    uplinks.filter_map(fewest).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(host_ports: u32, rails: u32, radix: u32) -> (u32, u32, u32) {
        let clos = clos(&Asked { host_ports, rails, radix, oversubscription: 1.0 }).unwrap();
        (clos.leaves, clos.spines(), clos.cores())
    }

    /// NVIDIA DGX SuperPOD reference architectures; H100 rows with the four ports of the fabric manager.
    #[test]
    fn every_superpod_comes_out_to_the_switch() {
        let h100 = [(252, 8, 4, 0), (508, 16, 8, 0), (764, 24, 16, 0), (1020, 32, 16, 0)];
        let larger = [
            (512, 16, 8, 0),
            (1024, 32, 16, 0),
            (2048, 64, 32, 0),
            (4096, 128, 128, 64),
            (8192, 256, 256, 128),
            (16_384, 512, 512, 256),
        ];
        for (ports, leaves, spines, cores) in h100.into_iter().chain(larger) {
            assert_eq!(sized(ports, 8, 64), (leaves, spines, cores), "{ports} ports of 64");
        }
        // B300, each of two planes.
        for (ports, leaves, spines) in
            [(512, 8, 4), (1024, 16, 8), (2048, 32, 16), (4096, 64, 32), (8192, 128, 64)]
        {
            assert_eq!(sized(ports, 8, 128), (leaves, spines, 0), "{ports} ports of 128");
        }
        for (ports, leaves, spines) in
            [(576, 8, 4), (1152, 16, 8), (2304, 32, 18), (4608, 64, 36), (10_368, 144, 72)]
        {
            assert_eq!(sized(ports, 8, 144), (leaves, spines, 0), "{ports} ports of 144");
        }
    }

    #[test]
    fn nodes_of_eight_need_the_switches_that_are_known() {
        let switches = |nodes: u32| {
            let (leaves, spines, cores) = sized(nodes * 8, 8, 64);
            leaves + spines + cores
        };
        assert_eq!([128, 256, 4096].map(switches), [48, 96, 2560]);
    }

    /// A switch maker's guide: 64 servers with 4 ports of 400G, switches of 64 × 800G, one rail per leaf.
    #[test]
    fn four_rails_fill_four_leaves() {
        assert_eq!(sized(256, 4, 128), (4, 2, 0));
        assert_eq!(sized(256, 4, 64), (8, 4, 0));
    }

    #[test]
    fn a_single_switch_is_enough_while_its_ports_are() {
        assert_eq!(sized(64, 8, 64), (1, 0, 0));
        assert_eq!(sized(65, 8, 64).0, 8);
    }

    #[test]
    fn oversubscription_saves_links_and_never_more_than_asked() {
        let at = |oversubscription| {
            clos(&Asked { host_ports: 1024, rails: 1, radix: 64, oversubscription }).unwrap()
        };
        let (full, thin) = (at(1.0), at(3.0));
        assert_eq!((thin.leaves, thin.uplinks), (22, 16), "48 ports down, 16 up");
        assert!(thin.spines() < full.spines());
    }

    #[test]
    fn more_ports_than_three_tiers_have_are_refused() {
        let asked = Asked { host_ports: 65_537, rails: 8, radix: 64, oversubscription: 1.0 };
        assert_eq!(clos(&asked), Err(TooManyPorts { host_ports: 65_537, most: 65_536 }));
        assert!(clos(&Asked { host_ports: 65_536, ..asked }).is_ok());
    }
}
