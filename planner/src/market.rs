//! What can be had where: every shape at every site, with the quotes of every option that a workload may use.

use crate::periods::within;
use crate::pricing::{Basis, Quote, Quoted, quote};
use crate::refused::{Refused, refusal};
use capstan_types::blueprint::{Period, Unpriced};
use capstan_types::catalog::Catalog;
use capstan_types::hardware::NodeShape;
use capstan_types::offering::PurchaseOption;
use capstan_types::spec::{Buy, Site, Spec};
use rust_decimal::Decimal;

/// Machines of one shape at one site.
#[derive(Debug, Clone)]
pub struct Stand<'a> {
    /// Index of the site in the spec.
    pub site_index: usize,
    /// Where.
    pub site: &'a Site,
    /// The machine.
    pub shape: &'a NodeShape,
    /// What one more costs, by option; only options with a price.
    pub quotes: Vec<Quote>,
    /// Nodes that stand there already, by period.
    pub fleet: Vec<u32>,
    /// Contracts already signed on some of them.
    pub contracts: Vec<Contract>,
    /// On-demand price per node-hour in the same place.
    pub on_demand: Option<Decimal>,
}

/// What is paid by the hour for machines that stand there already, used or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// Price per node-hour.
    pub price: Decimal,
    /// Nodes of that price, by period.
    pub nodes: Vec<u32>,
}

impl Stand<'_> {
    /// Returns the lowest price of a node that is paid by the hour; infinite where none is.
    pub fn cheapest_per_hour(&self) -> f64 {
        let hourly = [PurchaseOption::OnDemand, PurchaseOption::Spot];
        let quotes = self.quotes.iter().filter(|quote| hourly.contains(&quote.option));
        quotes.map(|quote| quote.sum(Basis::NodeHour)).fold(f64::INFINITY, f64::min)
    }
}

/// Everything that can be had.
#[derive(Debug, Clone, Default)]
pub struct Market<'a> {
    /// Machines by site, then shape.
    pub stands: Vec<Stand<'a>>,
    /// Offerings passed over since nobody knows their price.
    pub unpriced: Vec<Unpriced>,
    /// Machines that a site cannot take.
    pub refused: Vec<Refused<'a>>,
}

/// Returns what can be had for the workloads of `spec`.
pub fn market<'a>(spec: &'a Spec, catalog: &'a Catalog, periods: &[Period]) -> Market<'a> {
    let mut market = Market::default();
    for (site_index, site) in spec.sites.iter().enumerate() {
        let options = wanted_options(spec, site);
        for shape in &catalog.shapes {
            let fleet = fleet_by_period(spec, site, shape, periods);
            let sold_here = shape.provider == site.provider;
            let is_asked = shape.accelerators > 0 || spec.apps.iter().any(|app| app.part.is_none());
            if !is_asked || !(sold_here || fleet.iter().any(|&nodes| nodes > 0)) {
                continue;
            }
            if let Some(why) = refusal(site, shape) {
                let is_priced = |&option: &PurchaseOption| {
                    matches!(quote(catalog, &spec.frame, site, shape, option), Quoted::Priced(_))
                };
                let is_to_be_had = fleet.iter().any(|&nodes| nodes > 0) || options.iter().any(is_priced);
                market.refused.push(Refused { site_index, shape, why, is_to_be_had });
                continue;
            }
            let stand = Stand {
                site_index,
                site,
                shape,
                quotes: Vec::new(),
                contracts: contracts(spec, site, shape, periods),
                fleet,
                on_demand: None,
            };
            add_quotes(&mut market, stand, spec, catalog, &options);
        }
    }
    drop_dearer_twins(&mut market.stands);
    market
}

/// Returns every option that some workload may use at a site, in the order of the enum.
fn wanted_options(spec: &Spec, site: &Site) -> Vec<PurchaseOption> {
    let serves = spec.serves.iter().map(|serve| (&serve.sites, &serve.buy));
    let trains = spec.trains.iter().map(|train| (&train.sites, &train.buy));
    let apps = spec.apps.iter().map(|app| (&app.sites, &app.buy));
    let batches = spec.batches.iter().map(|batch| (&batch.sites, &batch.buy));
    let here = serves
        .chain(trains)
        .chain(apps)
        .chain(batches)
        .filter(|(sites, _)| sites.as_ref().is_none_or(|names| names.contains(&site.name)));
    let mut options: Vec<PurchaseOption> =
        here.flat_map(|(_, buy)| buy.iter().map(|Buy { option, .. }| *option)).collect();
    options.sort_unstable();
    options.dedup();
    options
}

fn add_quotes<'a>(
    market: &mut Market<'a>,
    mut stand: Stand<'a>,
    spec: &Spec,
    catalog: &Catalog,
    options: &[PurchaseOption],
) {
    let ask = |option| quote(catalog, &spec.frame, stand.site, stand.shape, option);
    if let Quoted::Priced(quote) = ask(PurchaseOption::OnDemand) {
        stand.on_demand = Some(quote.row.price);
    }
    let mut unpriced = Vec::new();
    let mut quotes = Vec::new();
    for &option in options {
        match ask(option) {
            Quoted::Priced(quote) => quotes.push(*quote),
            Quoted::Unpriced => unpriced.push(Unpriced {
                site: stand.site.name.clone(),
                shape: stand.shape.id.clone(),
                option,
            }),
            Quoted::NotOffered => {}
        }
    }
    stand.quotes = quotes;
    market.unpriced.extend(unpriced);
    if !stand.quotes.is_empty() || stand.fleet.iter().any(|&nodes| nodes > 0) {
        market.stands.push(stand);
    }
}

fn fleet_by_period(spec: &Spec, site: &Site, shape: &NodeShape, periods: &[Period]) -> Vec<u32> {
    let here = spec.fleets.iter().filter(|fleet| fleet.site == site.name && fleet.shape == shape.id);
    let mut nodes = vec![0; periods.len()];
    for fleet in here {
        for period in within(periods, &fleet.months(&spec.frame)) {
            nodes[period] += fleet.count;
        }
    }
    nodes
}

/// Returns the contracts on machines that stand there, those of one price together.
fn contracts(spec: &Spec, site: &Site, shape: &NodeShape, periods: &[Period]) -> Vec<Contract> {
    let mut found: Vec<Contract> = Vec::new();
    for fleet in spec.fleets.iter().filter(|fleet| fleet.site == site.name && fleet.shape == shape.id) {
        let Some(price) = fleet.committed_price_per_hour else { continue };
        let known = found.iter().position(|contract| contract.price == price);
        let index = known.unwrap_or_else(|| {
            found.push(Contract { price, nodes: vec![0; periods.len()] });
            found.len() - 1
        });
        for period in within(periods, &fleet.months(&spec.frame)) {
            found[index].nodes[period] += fleet.count;
        }
    }
    found
}

/// Leaves out a shape at a site that the plan does not name where another such site sells it for no more.
///
/// Proven dominance: sites that the plan does not name carry no limit and no workload asks for one of them, so
/// whatever is bought at the dearer one can be bought at the cheaper one for at most the same money.
fn drop_dearer_twins(stands: &mut Vec<Stand<'_>>) {
    let mut kept: Vec<Stand<'_>> = Vec::new();
    for stand in stands.drain(..) {
        if stand.site.place.is_some() {
            kept.push(stand);
            continue;
        }
        let twins = |other: &Stand<'_>| other.site.place.is_none() && other.shape.id == stand.shape.id;
        if kept.iter().any(|other| twins(other) && is_no_dearer(other, &stand)) {
            continue;
        }
        kept.retain(|other| !(twins(other) && is_no_dearer(&stand, other)));
        kept.push(stand);
    }
    *stands = kept;
}

/// Returns whether `a` sells everything that `b` sells, for no more.
fn is_no_dearer(a: &Stand<'_>, b: &Stand<'_>) -> bool {
    b.quotes.iter().all(|theirs| {
        let ours = a.quotes.iter().find(|ours| ours.option == theirs.option);
        ours.is_some_and(|ours| ours.row.price <= theirs.row.price)
    })
}
