//! What leaves a site, and what does that cost? The answers of services go to their users, who are elsewhere.
//!
//! Nothing else is known to leave: checkpoints and datasets lie where they are used, and a plan does not say where the
//! answers of offline inference or of other services go.

use crate::columns::{ServeColumn, ServeColumns};
use crate::demand::{hour_weight, requests};
use crate::market::Market;
use crate::pricing::decimal;
use capstan_types::blueprint::{Blueprint, CostKind, CostLine, DemandCurve, Period, Placement, Service};
use capstan_types::origin::Origin;
use capstan_types::spec::{Serve, Site, Spec};
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// How lines of the bill begin that pay for it, and what is said of it where it has no price.
pub(crate) const ITEM: &str = "data transfer out of";

/// Bytes of text of one token. Origin: Assumed; English has about 4, other scripts up to 6.
const TEXT_BYTES: f64 = 5.0;

/// What a server of the OpenAI protocol writes around the text of one token: each is an event of its own.
const EVENT: &str = "data: {\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion.chunk\",\
                     \"created\":1767225600,\"model\":\"model\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\
                     \"logprobs\":null,\"finish_reason\":null}]}\n\n";

/// What ends an answer.
const DONE: &str = "data: [DONE]\n\n";

/// Header of an answer over HTTP. Origin: Assumed.
const HEADER_BYTES: f64 = 200.0;

/// Bytes that one token of an answer takes.
pub(crate) const TOKEN_BYTES: f64 = TEXT_BYTES + EVENT.len() as f64;

/// Bytes that an answer takes beside its tokens: its header, an event at its start and one at its end.
pub(crate) const REQUEST_BYTES: f64 = HEADER_BYTES + (2 * EVENT.len() + DONE.len()) as f64;

/// Bytes of a gigabyte.
pub(crate) const GB: f64 = 1e9;

/// Decimal places of a quantity on the bill, in gigabytes.
const PLACES: u32 = 4;

/// Returns the gigabytes of the answers of a service in a period.
fn gigabytes(serve: &Serve, period: &Period) -> f64 {
    let (counted, _, output) = serve.counts();
    requests(&serve.load, period) * (counted * REQUEST_BYTES + output * TOKEN_BYTES) / GB
}

/// Returns the share of a period's requests that machines answer which carry so much of the demand of each hour.
fn share(demand: &[f64], period: &Period, carried: impl Fn(usize, f64) -> f64) -> f64 {
    let hours = || demand.iter().enumerate().map(|(hour, &rate)| (hour, rate, hour_weight(hour, period)));
    let all: f64 = hours().map(|(_, rate, weight)| rate * weight).sum();
    let mine: f64 = hours().map(|(hour, rate, weight)| carried(hour, rate).min(rate) * weight).sum();
    if all > 0.0 { mine / all } else { 1.0 }
}

/// Returns what a column of a service pays for what it sends, by period; empty where that is nothing.
///
/// What machines that stand there already carry of the service leaves from where they stand.
pub(crate) fn paid(
    serve: &ServeColumns<'_>,
    column: &ServeColumn,
    market: &Market<'_>,
    periods: &[Period],
) -> Vec<f64> {
    let price = |stand: usize| -> f64 {
        let price = market.stands[stand].site.egress_price_per_gb;
        price.and_then(|price| price.to_f64()).unwrap_or(0.0)
    };
    let (there, here) = (serve.base.as_ref().map_or(0.0, |base| price(base.stand)), price(column.stand));
    if there == 0.0 && here == 0.0 {
        return Vec::new();
    }
    let headroom = 1.0 + serve.serve.headroom;
    let each = periods.iter().enumerate().map(|(index, period)| {
        if !serve.periods.contains(&index) {
            return 0.0;
        }
        let demand: Vec<f64> = serve.demand.rates[index].iter().map(|rate| rate * headroom).collect();
        let of_base = serve
            .base
            .as_ref()
            .map_or(0.0, |base| share(&demand, period, |_, demand| demand - base.rest(demand, index)));
        gigabytes(serve.serve, period) * (of_base * there + (1.0 - of_base) * here)
    });
    each.collect()
}

/// What a service sends from one site.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The site.
    pub site: String,
    /// Gigabytes by period.
    pub gigabytes: Vec<f64>,
}

impl Sent {
    /// Returns the gigabytes over the horizon.
    pub fn all(&self) -> f64 {
        self.gigabytes.iter().sum()
    }
}

/// Returns what a service sends, by placement: in each period one after the other carries what it can, the last one that
/// runs then the rest.
pub(crate) fn sent(serve: &Serve, curve: &DemandCurve, service: &Service, periods: &[Period]) -> Vec<Sent> {
    let headroom = 1.0 + serve.headroom;
    let placements = &service.placements;
    let carried = |placement: &Placement, index: usize, hour: usize| {
        f64::from(placement.replicas[index][hour]) * placement.estimate.rate.get() * placement.derating
    };
    let mut all: Vec<Sent> = placements
        .iter()
        .map(|placement| Sent { site: placement.site.clone(), gigabytes: Vec::new() })
        .collect();
    for (index, period) in periods.iter().enumerate() {
        let runs = |placement: &Placement| placement.replicas[index].iter().any(|&replicas| replicas > 0);
        let last = placements.iter().rposition(runs).unwrap_or(placements.len().saturating_sub(1));
        let demand: Vec<f64> = curve.rates[index].iter().map(|rate| rate * headroom).collect();
        let up_to = |at: usize| {
            share(&demand, period, |hour, _| {
                placements[..=at].iter().map(|one| carried(one, index, hour)).sum()
            })
        };
        let mut before = 0.0;
        for (at, sent) in all.iter_mut().enumerate() {
            let until = if at < last { up_to(at) } else { 1.0 };
            sent.gigabytes.push(gigabytes(serve, period) * (until - before));
            before = until;
        }
    }
    all
}

/// Returns what a service of a blueprint sends.
pub(crate) fn of_placements(blueprint: &Blueprint, service: &Service) -> Vec<Sent> {
    let serve = blueprint.inputs.spec.serves.iter().find(|serve| serve.name == service.workload);
    let curve = blueprint.demand.iter().find(|curve| curve.workload == service.workload);
    let known = serve.zip(curve);
    known.map_or_else(Vec::new, |(serve, curve)| sent(serve, curve, service, &blueprint.periods))
}

/// Returns the lines of the bill for what leaves each site, and what of it has no price.
pub(crate) fn bill<'s>(
    spec: &Spec,
    periods: &[Period],
    sent: impl Iterator<Item = &'s Sent>,
) -> (Vec<CostLine>, Vec<String>) {
    let mut by_site: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for one in sent {
        let all = by_site.entry(&one.site).or_insert_with(|| vec![0.0; periods.len()]);
        all.iter_mut().zip(&one.gigabytes).for_each(|(sum, more)| *sum += more);
    }
    let (mut lines, mut unknown) = (Vec::new(), Vec::new());
    for site in &spec.sites {
        let Some(gigabytes) = by_site.get(site.name.as_str()) else { continue };
        match site.egress_price_per_gb {
            Some(price) if price.is_zero() => {}
            Some(_) => lines.extend(
                (0..).zip(gigabytes).filter_map(|(period, &gigabytes)| line(spec, site, period, gigabytes)),
            ),
            None => unknown.push(format!("{ITEM} {} (no `egress_price`)", site.name)),
        }
    }
    (lines, unknown)
}

fn line(spec: &Spec, site: &Site, period: u32, gigabytes: f64) -> Option<CostLine> {
    let unit_price = site.egress_price_per_gb?;
    let quantity = decimal(gigabytes).round_dp(PLACES);
    let billed = spec.frame.currency.round(quantity * unit_price);
    (!quantity.is_zero()).then(|| CostLine {
        item: format!("{ITEM} {}", site.name),
        site: site.name.clone(),
        shape: None,
        option: None,
        period,
        kind: CostKind::Opex,
        quantity,
        unit: "GB".to_owned(),
        unit_price,
        billed_cost: billed,
        effective_cost: billed,
        list_cost: None,
        origin: Origin::Assumed,
        source: format!("plan: egress_price; {TOKEN_BYTES:.0} bytes a token of an answer"),
    })
}

/// Returns whether a line of the bill pays for what leaves a site.
pub(crate) fn is_line(line: &CostLine) -> bool {
    line.shape.is_none() && line.item.starts_with(ITEM)
}

/// Returns what is assumed of it, where a site has a price for it and something is served.
pub(crate) fn assumption(spec: &Spec) -> Option<String> {
    let is_priced = spec.sites.iter().any(|site| site.egress_price_per_gb.is_some());
    (is_priced && !spec.serves.is_empty()).then(|| {
        format!(
            "an answer leaves its site with {TOKEN_BYTES:.0} bytes a token, {TEXT_BYTES:.0} of them text and the rest its event, and \
             {REQUEST_BYTES:.0} more, without what TCP and TLS add; nothing else is known to leave a site"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::chat_blueprint;

    #[test]
    fn an_answer_is_its_events() {
        let tokens = ["The", " cat", " sat"];
        let event = |text: &str| EVENT.replace("\"content\":\"\"", &format!("\"content\":\"{text}\""));
        let body: usize = [""].iter().chain(&tokens).chain(&[""]).map(|text| event(text).len()).sum();
        let text: usize = tokens.iter().map(|text| text.len()).sum();
        let counted = REQUEST_BYTES - HEADER_BYTES + tokens.len() as f64 * (TOKEN_BYTES - TEXT_BYTES);
        assert_eq!((body + DONE.len()) as f64, counted + text as f64);
        assert!(EVENT.starts_with("data: {") && EVENT.ends_with("}\n\n"), "{EVENT}");
    }

    #[test]
    fn what_two_places_send_is_what_the_service_sends() {
        let blueprint = chat_blueprint();
        let (serve, curve) = (&blueprint.inputs.spec.serves[0], &blueprint.demand[0]);
        let mut service = blueprint.services[0].clone();
        let whole = sent(serve, curve, &service, &blueprint.periods);
        assert_eq!(whole.len(), 1);
        let mut fleet = service.placements[0].clone();
        fleet.site = "hz1".to_owned();
        fleet.replicas.iter_mut().flatten().for_each(|replicas| *replicas = (*replicas).min(1));
        service.placements.insert(0, fleet);
        let two = sent(serve, curve, &service, &blueprint.periods);
        assert!(two[0].all() > 0.0 && two[1].all() > 0.0, "{two:?}");
        assert!((two[0].all() + two[1].all() - whole[0].all()).abs() < 1e-6 * whole[0].all(), "{two:?}");
    }
}
