//! How are the machines of an own site wired, and does that fit?
//!
//! A network between accelerators is sized for each shape of machine whose work spans machines, or that a `fabric`
//! block asks for: [`clos`] says how many switches, [`graph`] counts links and what they carry. Providers wire their own
//! machines. What switches and cables cost is not known here: owned machines carry a share for the network. What switches
//! draw is part of the power and the energy of their site.

mod bill;
pub mod clos;
pub mod graph;

pub use bill::bill;

use capstan_types::blueprint::{Network, Pool, SiteSummary};
use capstan_types::catalog::Catalog;
use capstan_types::figure;
use capstan_types::finding::{Finding, Severity};
use capstan_types::hardware::{Fabric, NodeShape};
use capstan_types::place::Place;
use capstan_types::spec::{FabricKind, FabricWish, Redundancy, Site, Spec};
use capstan_types::units::{BytesPerSecond, Watts};
use clos::{Asked, Clos};

use crate::assemble::Draft;
use crate::columns::spare_nodes;

/// No network of the switches allowed connects the machines.
const IMPOSSIBLE: &str = "E0370";
/// Machines and switches draw more than the site may.
const OVER_POWER: &str = "E0371";
/// A limit of the site is on something that nobody knows of its switches.
const UNKNOWN_FACT: &str = "E0381";
/// Nobody knows the ports of a machine.
const UNKNOWN_PORTS: &str = "W0372";

/// Returns the networks of a draft, and what is wrong with them.
pub fn networks(spec: &Spec, catalog: &Catalog, draft: &Draft) -> (Vec<Network>, Vec<Finding>) {
    let mut networks = Vec::new();
    let mut findings = Vec::new();
    for (_, pool) in &draft.pools {
        let site = spec.sites.iter().find(|site| site.name == pool.site);
        let (Some(site), Some(shape)) = (site, catalog.shape(&pool.shape)) else { continue };
        let wish = spec.fabrics.iter().find(|wish| wish.site == pool.site);
        let nodes = pool.most_nodes();
        if !site.is_own()
            || nodes < 2
            || shape.accelerators == 0
            || !(wish.is_some() || spans_machines(draft, pool))
        {
            continue;
        }
        match wired(&spec_of(site, wish), catalog, shape, nodes) {
            Ok(network) => networks.push(network),
            Err(finding) => findings.push(*finding),
        }
    }
    (networks, findings)
}

/// Says whether work runs on several machines of a pool at once.
fn spans_machines(draft: &Draft, pool: &Pool) -> bool {
    let here = |site: &str, shape: &str| site == pool.site && shape == pool.shape;
    let placements = draft.services.iter().flat_map(|service| &service.placements);
    let mut serving = placements.filter(|p| here(&p.site, &p.candidate.shape));
    let mut training = draft.trainings.iter().filter(|run| here(&run.site, &run.candidate.shape));
    let mut offline = draft.batches.iter().filter(|run| here(&run.site, &run.candidate.shape));
    serving.any(|placement| placement.candidate.nodes_per_replica > 1)
        || offline.any(|run| run.candidate.nodes_per_replica > 1)
        || training.any(|run| run.candidate.nodes > 1)
}

/// What is wished for a site, with defaults for what is not.
fn spec_of(site: &Site, wish: Option<&FabricWish>) -> FabricWish {
    wish.cloned().unwrap_or_else(|| FabricWish {
        name: String::new(),
        place: site.place.clone(),
        site: site.name.clone(),
        switch: None,
        kind: FabricKind::default(),
        oversubscription: 1.0,
        rails: None,
        planes: 1,
        management_ports: 0,
        redundancy: Redundancy::None,
    })
}

fn wired(
    wish: &FabricWish,
    catalog: &Catalog,
    shape: &NodeShape,
    nodes: u32,
) -> Result<Network, Box<Finding>> {
    let Some(scale_out) = shape.scale_out.filter(|rate| rate.get() > 0.0) else {
        let message =
            format!("nobody knows the network ports of {}, so `{}` is not wired", shape.id, wish.site);
        let ways_out = vec!["a row for the machine with `scale_out` in a catalog of your own".to_owned()];
        return Err(finding(UNKNOWN_PORTS, Severity::Warning, message, wish, ways_out));
    };
    let each = scale_out.get() / f64::from(shape.accelerators.max(1)) / f64::from(wish.planes);
    let sized = |switch| size(wish, switch, scale_out, nodes);
    let rate = figure::data(capstan_types::units::Bytes(each));
    let chosen = match &wish.switch {
        Some(id) => catalog.fabrics.iter().find(|row| row.id == *id).map(sized),
        None => {
            let same = |row: &&Fabric| (row.port.get() / each - 1.0).abs() < 1e-6;
            // Facts that are known best, then the fewest switches; the rows are in order of their names.
            let known = catalog.fabrics.iter().filter(same).map(|row| (row.provenance.grade, sized(row)));
            let switches = |size: &Result<Size<'_>, String>| size.as_ref().map_or(u32::MAX, Size::switches);
            known
                .min_by_key(|(grade, size)| (size.is_err(), *grade as u8, switches(size)))
                .map(|(_, size)| size)
        }
    };
    let why = match chosen {
        Some(Ok(size)) => return Ok(laid_out(wish, shape, nodes, &size)),
        Some(Err(why)) => why,
        None => format!(
            "no switch of the catalog has ports of {rate}/s, the rate of an accelerator of {}",
            shape.id
        ),
    };
    let message = format!("{nodes} × {} at `{}` cannot be wired: {why}", shape.id, wish.site);
    let ways_out = vec![
        "another `switch`, more `planes`, `kind = fat_tree`, or more `oversubscription` in a `fabric` block"
            .to_owned(),
    ];
    Err(finding(IMPOSSIBLE, Severity::Error, message, wish, ways_out))
}

/// Switches of one row of the catalog, as many as are needed.
struct Size<'a> {
    switch: &'a Fabric,
    planes: u32,
    ports_per_node: u32,
    rails: u32,
    host_ports: u32,
    clos: Clos,
}

impl Size<'_> {
    /// Of all planes.
    fn switches(&self) -> u32 {
        self.planes * (self.clos.leaves + self.clos.spines() + self.clos.cores())
    }
}

/// Returns how many of these switches are needed.
fn size<'a>(
    wish: &FabricWish,
    switch: &'a Fabric,
    scale_out: BytesPerSecond,
    nodes: u32,
) -> Result<Size<'a>, String> {
    let planes = wish.planes;
    let ports = switch.ports(scale_out, planes);
    let rails = match wish.kind {
        FabricKind::RailOptimised => wish.rails.unwrap_or(ports),
        FabricKind::FatTree | FabricKind::LeafSpine => wish.rails.unwrap_or(1),
    };
    let host_ports = nodes.saturating_mul(ports).saturating_add(wish.management_ports);
    let asked = Asked { host_ports, rails, radix: switch.radix, oversubscription: wish.oversubscription };
    let clos = clos::clos(&asked).map_err(|too_many| {
        format!(
            "{} ports are needed, three tiers of {} have {}",
            too_many.host_ports, switch.id, too_many.most
        )
    })?;
    if wish.kind == FabricKind::LeafSpine && clos.tiers > 2 {
        return Err(format!("two tiers of {} are too few for {host_ports} ports", switch.id));
    }
    Ok(Size { switch, planes, ports_per_node: ports, rails, host_ports, clos })
}

/// Lays the network out, so that links are counted and what they carry is computed.
fn laid_out(wish: &FabricWish, shape: &NodeShape, nodes: u32, size: &Size<'_>) -> Network {
    let Size { switch, planes, clos, .. } = size;
    let graph = graph::Network::new(clos, size.host_ports);
    let links = graph.links();
    Network {
        site: wish.site.clone(),
        shape: shape.id.clone(),
        nodes,
        switch: switch.id.clone(),
        kind: wish.kind,
        planes: *planes,
        ports_per_node: size.ports_per_node,
        port: switch.port,
        rails: size.rails,
        oversubscription: wish.oversubscription,
        tiers: clos.tiers,
        leaves: planes * clos.leaves,
        spines: planes * clos.spines(),
        cores: planes * clos.cores(),
        host_links: planes * links.host,
        spine_links: planes * links.spine,
        core_links: planes * links.core,
        bisection: switch.port * f64::from(planes * graph.bisection()),
        spares: spare_nodes(wish.redundancy, size.switches()),
        power: switch.switch_power.map(|each| Watts(each.get() * f64::from(size.switches()))),
    }
}

/// Returns the power of the switches of a site, none where nothing is wired, `None` where nobody knows it.
pub fn power_at(networks: &[Network], site: &str) -> Option<Watts> {
    let here = networks.iter().filter(|network| network.site == site);
    here.map(|network| network.power).try_fold(Watts::ZERO, |sum, power| Some(sum + power?))
}

/// Returns a finding for each own site whose machines and switches together draw more than it may.
pub fn over_power(spec: &Spec, sites: &[SiteSummary], networks: &[Network]) -> Vec<Finding> {
    let over = |site: &Site| {
        let limit = site.power.as_ref()?;
        let mut here = networks.iter().filter(|network| network.site == site.name);
        if let Some(network) = here.find(|network| network.power.is_none()) {
            return Some(unknown_power(site, &limit.place, network));
        }
        let switches = power_at(networks, &site.name)?;
        let told = sites.iter().find(|told| told.site == site.name)?;
        let (it, drawn) = (told.it_power?, told.facility_power?);
        if switches == Watts::ZERO || drawn.get() <= limit.value.get() {
            return None;
        }
        Some(Finding {
            code: OVER_POWER.to_owned(),
            severity: Severity::Error,
            message: format!(
                "`{}` draws {} with its switches, its limit is {}",
                site.name,
                figure::power(drawn),
                figure::power(limit.value)
            ),
            places: vec![(limit.place.clone(), "the limit".to_owned())],
            because: vec![format!(
                "machines {}, switches {}, times a PUE of {}",
                figure::power(it - switches),
                figure::power(switches),
                site.pue
            )],
            ways_out: vec![
                format!("power <= {:.0} W at `{}`", drawn.get().ceil(), site.name),
                "more `oversubscription` in a `fabric` block".to_owned(),
            ],
        })
    };
    spec.sites.iter().filter_map(over).collect()
}

/// An unknown power is not zero: the limit cannot be shown to hold with it.
fn unknown_power(site: &Site, limit: &Place, network: &Network) -> Finding {
    Finding {
        code: UNKNOWN_FACT.to_owned(),
        severity: Severity::Error,
        message: format!(
            "nobody knows the power of {}, so the limit at `{}` is not shown to hold",
            network.switch, site.name
        ),
        places: vec![(limit.clone(), "this limit".to_owned())],
        because: vec![format!("{} switches connect {} machines", network.switches(), network.nodes)],
        ways_out: vec![format!(
            "another `switch`, or a row for {} with `switch_power` in a catalog of your own",
            network.switch
        )],
    }
}

fn finding(
    code: &str,
    severity: Severity,
    message: String,
    wish: &FabricWish,
    ways_out: Vec<String>,
) -> Box<Finding> {
    let places = wish.place.iter().map(|place| (place.clone(), "wired here".to_owned())).collect();
    Box::new(Finding { code: code.to_owned(), severity, message, places, because: Vec::new(), ways_out })
}
