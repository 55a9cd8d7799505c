//! Are the machines wired with ports that exist, and do the links carry what was asked?

use super::{Check, same};
use crate::columns::spare_nodes;
use capstan_types::blueprint::{AuditCheck, Blueprint, Network};

/// Every network has a port for every link, a link for every port of a machine, and carries what was asked.
pub(super) fn wired(blueprint: &Blueprint) -> AuditCheck {
    let mut check = Check::new("networks: ports, links and bisection of every network");
    for network in &blueprint.networks {
        let name = format!("{} at {}", network.shape, network.site);
        check.that(nodes_of(blueprint, network) <= network.nodes, || {
            format!("{name}: {} machines are wired, more stand there", network.nodes)
        });
        let Some(row) = blueprint.inputs.catalog.fabrics.iter().find(|row| row.id == network.switch) else {
            check.that(false, || format!("{name}: nothing is known about the switch {}", network.switch));
            continue;
        };
        let plugged = network.nodes * network.ports_per_node * network.planes;
        check.that(network.host_links >= plugged, || {
            format!("{name}: {} links for {plugged} ports of machines", network.host_links)
        });
        for (tier, switches, links) in tiers(network) {
            check.that(u64::from(links) <= u64::from(switches) * u64::from(row.radix), || {
                format!("{name}: {links} links end at {switches} {tier} switches of {} ports", row.radix)
            });
        }
        if network.tiers > 1 {
            let out = f64::from(network.spine_links) * network.oversubscription;
            check.that(out >= f64::from(network.host_links) * (1.0 - super::TOLERANCE), || {
                format!("{name}: {} links out of the leaves are too few", network.spine_links)
            });
        }
        let most = f64::from(network.host_links) / 2.0 * network.port.get();
        check.that(network.bisection.get() <= most * (1.0 + super::TOLERANCE), || {
            format!("{name}: half of the machines send more than their ports do")
        });
        let wish = blueprint.inputs.spec.fabrics.iter().find(|wish| wish.site == network.site);
        let asked = wish.map_or(0, |wish| spare_nodes(wish.redundancy, network.switches()));
        check.that(network.spares == asked, || {
            format!("{name}: {} switches lie ready, {asked} are asked", network.spares)
        });
        let power = row.switch_power.map(|each| each.get() * f64::from(network.switches()));
        let told = network.power.map(|power| power.get());
        check.that(
            match (power, told) {
                (Some(power), Some(told)) => same(power, told),
                (power, told) => power.is_none() && told.is_none(),
            },
            || format!("{name}: {told:?} W of switches told, {power:?} W seen"),
        );
    }
    check.done()
}

/// Links that end at each tier of switches.
fn tiers(network: &Network) -> [(&'static str, u32, u32); 3] {
    [
        ("leaf", network.leaves, network.host_links + network.spine_links),
        ("spine", network.spines, network.spine_links + network.core_links),
        ("core", network.cores, network.core_links),
    ]
}

fn nodes_of(blueprint: &Blueprint, network: &Network) -> u32 {
    let pools = blueprint.pools.iter();
    let here = pools.filter(|pool| pool.site == network.site && pool.shape == network.shape);
    here.map(|pool| (0..blueprint.periods.len()).map(|p| super::most_needed(pool, p)).max().unwrap_or(0))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::caught_by;

    const NETWORKS: &str = "networks";

    #[test]
    fn a_machine_too_few_is_seen() {
        caught_by(NETWORKS, |blueprint| blueprint.networks[0].spares = 1);
        caught_by(NETWORKS, |blueprint| blueprint.networks[0].nodes -= 1);
    }

    #[test]
    fn links_without_ports_are_seen() {
        caught_by(NETWORKS, |blueprint| blueprint.networks[0].spines = 1);
        caught_by(NETWORKS, |blueprint| blueprint.networks[0].host_links -= 1);
    }

    #[test]
    fn more_than_the_links_carry_is_seen() {
        caught_by(NETWORKS, |blueprint| blueprint.networks[0].spine_links /= 2);
        caught_by(NETWORKS, |blueprint| blueprint.networks[0].bisection.0 *= 2.1);
    }

    #[test]
    fn power_that_the_switches_do_not_draw_is_seen() {
        caught_by(NETWORKS, |blueprint| blueprint.networks[0].power = None);
    }
}
