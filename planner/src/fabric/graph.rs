//! What do the switches and links of a network carry, counted link by link?
//!
//! The network is laid out as a graph of switches; the ports of the hosts of one leaf are one node. Links are counted in
//! it, and its bisection is the maximum flow from the hosts of one half of the leaves to those of the other, so that
//! an uneven or thin network shows what it really carries.

use petgraph::algo::dinics;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::clos::Clos;

/// A place in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Ports of the hosts of a leaf.
    Hosts,
    Leaf,
    Spine,
    Core,
    /// Either end of a flow.
    End,
}

/// Links by tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Links {
    /// From hosts to leaves.
    pub host: u32,
    /// From leaves to spines.
    pub spine: u32,
    /// From spines to cores.
    pub core: u32,
}

/// A network, link by link; parallel links are one edge with their number.
pub struct Network {
    graph: DiGraph<Place, u32>,
    hosts: Vec<NodeIndex>,
}

impl Network {
    /// Lays out `clos` for so many ports of hosts, spread evenly over the leaves.
    pub fn new(clos: &Clos, host_ports: u32) -> Self {
        let mut graph = DiGraph::new();
        let add = |graph: &mut DiGraph<_, _>, place, n: u32| -> Vec<NodeIndex> {
            (0..n).map(|_| graph.add_node(place)).collect()
        };
        let leaves = add(&mut graph, Place::Leaf, clos.leaves);
        let spines = add(&mut graph, Place::Spine, clos.spines());
        let cores = add(&mut graph, Place::Core, clos.cores());
        let hosts = add(&mut graph, Place::Hosts, clos.leaves);
        let mut network = Self { graph, hosts };
        let (each, more) = (host_ports / clos.leaves, host_ports % clos.leaves);
        for (index, &leaf) in leaves.iter().enumerate() {
            network.link(network.hosts[index], leaf, each + u32::from((index as u32) < more));
            let pod = index as u32 / clos.leaves_per_pod;
            for spine in 0..clos.spines_per_pod {
                let above = spines[(pod * clos.spines_per_pod + spine) as usize];
                network.link(leaf, above, clos.uplinks / clos.spines_per_pod);
            }
        }
        network.link_cores(clos, &spines, &cores);
        network
    }

    /// Spreads the links of each spine over the cores of its group, where the last spine left off.
    fn link_cores(&mut self, clos: &Clos, spines: &[NodeIndex], cores: &[NodeIndex]) {
        if cores.is_empty() {
            return;
        }
        let per_group = clos.cores_per_spine as usize;
        for number in 0..clos.spines_per_pod as usize {
            let group = &cores[number * per_group..(number + 1) * per_group];
            let mut next = 0;
            for pod in 0..clos.pods() {
                let leaves = (clos.leaves - pod * clos.leaves_per_pod).min(clos.leaves_per_pod);
                let spine = spines[pod as usize * clos.spines_per_pod as usize + number];
                let links = leaves * (clos.uplinks / clos.spines_per_pod);
                let mut counts = vec![0_u32; per_group];
                for _ in 0..links {
                    counts[next % per_group] += 1;
                    next += 1;
                }
                for (&core, count) in group.iter().zip(counts) {
                    self.link(spine, core, count);
                }
            }
        }
    }

    fn link(&mut self, below: NodeIndex, above: NodeIndex, links: u32) {
        if links > 0 {
            self.graph.add_edge(below, above, links);
            self.graph.add_edge(above, below, links);
        }
    }

    /// Returns the links of each tier.
    pub fn links(&self) -> Links {
        let between = |below, above| {
            let edges = self.graph.edge_references();
            let here =
                edges.filter(|edge| (self.graph[edge.source()], self.graph[edge.target()]) == (below, above));
            here.map(|edge| *edge.weight()).sum()
        };
        Links {
            host: between(Place::Hosts, Place::Leaf),
            spine: between(Place::Leaf, Place::Spine),
            core: between(Place::Spine, Place::Core),
        }
    }

    /// Returns the most ports that any switch uses.
    pub fn most_ports(&self) -> u32 {
        let switches = self.graph.node_indices().filter(|node| self.graph[*node] != Place::Hosts);
        let ports = switches.map(|node| self.graph.edges(node).map(|edge| *edge.weight()).sum());
        ports.max().unwrap_or(0)
    }

    /// Returns how many ports of hosts of one half of the leaves can send at once to as many of the other half.
    pub fn bisection(&self) -> u32 {
        let half = self.hosts.len() / 2;
        if half == 0 {
            let only = self.hosts.first().map_or(0, |hosts| self.ports_of(*hosts));
            return only / 2;
        }
        let mut graph = self.graph.clone();
        let (from, to) = (graph.add_node(Place::End), graph.add_node(Place::End));
        for &hosts in &self.hosts[..half] {
            graph.add_edge(from, hosts, self.ports_of(hosts));
        }
        for &hosts in &self.hosts[self.hosts.len() - half..] {
            graph.add_edge(hosts, to, self.ports_of(hosts));
        }
        dinics(&graph, from, to).0
    }

    fn ports_of(&self, hosts: NodeIndex) -> u32 {
        self.graph.edges(hosts).map(|edge| *edge.weight()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::clos::{Asked, clos};
    use super::*;

    fn network(host_ports: u32, rails: u32, radix: u32, oversubscription: f64) -> (Clos, Network) {
        let clos = clos(&Asked { host_ports, rails, radix, oversubscription }).unwrap();
        (clos, Network::new(&clos, host_ports))
    }

    /// Cables of the SuperPOD tables: node to leaf, leaf to spine, spine to core.
    #[test]
    fn links_are_those_of_the_superpods() {
        let rows = [
            (252, 64, (252, 256, 0)),
            (508, 64, (508, 512, 0)),
            (764, 64, (764, 768, 0)),
            (1020, 64, (1020, 1024, 0)),
            (2048, 64, (2048, 2048, 0)),
            (4096, 64, (4096, 4096, 4096)),
            (16_384, 64, (16_384, 16_384, 16_384)),
            (2304, 144, (2304, 2304, 0)),
            (10_368, 144, (10_368, 10_368, 0)),
        ];
        for (ports, radix, expected) in rows {
            let links = network(ports, 8, radix, 1.0).1.links();
            assert_eq!((links.host, links.spine, links.core), expected, "{ports} ports of {radix}");
        }
    }

    #[test]
    fn a_network_without_oversubscription_carries_half_of_its_hosts() {
        for (ports, radix) in [(504, 64), (1024, 64), (4096, 64), (4160, 64), (2304, 144), (128, 64)] {
            let (clos, network) = network(ports, 8, radix, 1.0);
            let halves = ports / clos.leaves * (clos.leaves / 2);
            assert!(network.bisection() >= halves, "{ports}: {} of {halves}", network.bisection());
        }
    }

    #[test]
    fn a_thin_network_carries_what_its_links_do() {
        let (clos, network) = network(1056, 1, 64, 3.0);
        assert_eq!(clos.leaves, 22);
        assert_eq!(network.bisection(), 11 * 16);
    }

    #[test]
    fn no_switch_uses_more_ports_than_it_has() {
        for radix in [32, 40, 64, 128, 144] {
            for ports in (1..600).map(|n| n * 17) {
                for (rails, oversubscription) in [(8, 1.0), (1, 1.0), (4, 2.0), (1, 3.0)] {
                    let Ok(clos) = clos(&Asked { host_ports: ports, rails, radix, oversubscription }) else {
                        continue;
                    };
                    let network = Network::new(&clos, ports);
                    assert!(network.most_ports() <= radix, "{ports} {rails} {radix} {clos:?}");
                    assert_eq!(network.links().host, ports);
                }
            }
        }
    }
}
