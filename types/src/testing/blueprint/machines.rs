//! Demand, replicas, nodes and purchases of the fixture.

use super::inputs::{OWNED_AS_OF, RENTED_AS_OF};
use super::{CLOUD, MODEL, OWN, decimal};
use crate::blueprint::{
    Band, Candidate, DemandCurve, HOURS, Network, Period, Placement, Pool, PriceRow, Purchase, Service,
    ServiceEstimate, ServiceInterval, SiteSummary, StepInterval, Store, StoreLimit, StoreRate, Stored,
    TrainingCandidate, TrainingRun,
};
use crate::hardware::Precision;
use crate::offering::PurchaseOption;
use crate::origin::{Origin, PriceGrade};
use crate::spec::FabricKind;
use crate::storage::{Protection, Tier};
use crate::units::{Bytes, BytesPerSecond, HOURS_PER_MONTH, RequestsPerSecond, Seconds, Tokens, Watts};
use jiff::civil::date;

/// Months of one period.
pub(super) const MONTHS: u32 = 6;

/// 1.09^(1/12): what a month of 9 % a year is worth.
const MONTHLY: f64 = 1.007_207_323_316_136_7;

/// Cosine of 0°, 15° … 180°.
const COSINE: [f64; 13] = [
    1.0,
    0.965_925_826_289,
    0.866_025_403_784,
    std::f64::consts::FRAC_1_SQRT_2,
    0.5,
    0.258_819_045_103,
    0.0,
    -0.258_819_045_103,
    -0.5,
    -std::f64::consts::FRAC_1_SQRT_2,
    -0.866_025_403_784,
    -0.965_925_826_289,
    -1.0,
];

/// Returns the present value of one unit paid at the end of `month`.
pub(super) fn month_discount(month: u32) -> f64 {
    (0..=month).fold(1.0, |value, _| value / MONTHLY)
}

/// Returns how many hours of a period fall on one of the 48 typical hours.
pub(super) fn hour_weight(months: u32, hour: usize) -> f64 {
    let days = if hour < 24 { 5.0 } else { 2.0 };
    f64::from(months) * HOURS_PER_MONTH * days / 7.0 / 24.0
}

pub(super) fn periods() -> Vec<Period> {
    (0..6)
        .map(|index| {
            let first_month = index * MONTHS;
            let value: f64 = (first_month..first_month + MONTHS).map(month_discount).sum();
            Period { first_month, months: MONTHS, discount: value / f64::from(MONTHS) }
        })
        .collect()
}

fn day_factor(hour: usize) -> f64 {
    let distance = (hour % 24).abs_diff(14);
    let weekend = if hour < 24 { 1.0 } else { 0.7 };
    weekend * (0.3 + 0.7 * (1.0 + COSINE[distance.min(24 - distance)]) / 2.0)
}

pub(super) fn demand(periods: &[Period]) -> Vec<DemandCurve> {
    let rates = periods
        .iter()
        .map(|period| {
            let growth = (1..period.first_month + period.months).fold(1.0, |rate, _| rate * 1.01);
            (0..HOURS).map(|hour| 40.0 * growth * day_factor(hour)).collect()
        })
        .collect();
    vec![DemandCurve { workload: "chat".to_owned(), rates }]
}

pub(super) fn service(demand: &[DemandCurve]) -> Service {
    let estimate = ServiceEstimate {
        rate: RequestsPerSecond(4.2),
        ttft: Seconds(0.431),
        tpot: Seconds(0.0402),
        kv_tokens: 438_000,
        weights: Bytes(35.3e9),
        memory: Bytes(76.9e9),
        batch: 36.2,
        bound_by: "ttft p99".to_owned(),
        origin: Origin::Analytic,
    };
    let derating = 0.95;
    let per_replica = estimate.rate.get() * derating;
    let replicas = demand[0]
        .rates
        .iter()
        .map(|hours| hours.iter().map(|rate| ((rate * 1.1 / per_replica).ceil() as u32).max(2)).collect());
    Service {
        workload: "chat".to_owned(),
        model: MODEL.to_owned(),
        placements: vec![Placement {
            site: CLOUD.0.to_owned(),
            candidate: Candidate {
                shape: CLOUD.1.to_owned(),
                accelerator: "h100_sxm".to_owned(),
                accelerators: 4,
                tensor: 4,
                pipeline: 1,
                data: 1,
                expert: 1,
                precision: Precision::Bf16,
                kv_precision: Precision::Bf16,
                engine: "vllm".to_owned(),
                max_sequences: 256,
                step_tokens: 8192,
                replicas_per_node: 2,
                nodes_per_replica: 1,
            },
            replicas: replicas.collect(),
            estimate,
            derating,
            fewest_that_hold: None,
            start: Seconds(185.0),
            start_origin: Origin::Analytic,
            in_flight_target: None,
            interval: Some(ServiceInterval {
                ttft: Band { low: 0.5, high: 2.4 },
                tpot: Band { low: 0.8, high: 1.3 },
                because: vec!["launch options are defaults".to_owned()],
            }),
        }],
    }
}

pub(super) fn training(periods: usize) -> TrainingRun {
    let hours = 3260.0;
    let mut shares = vec![0.0; periods];
    shares[0] = hours / (f64::from(MONTHS) * HOURS_PER_MONTH);
    TrainingRun {
        workload: "pretrain".to_owned(),
        model: MODEL.to_owned(),
        site: OWN.0.to_owned(),
        candidate: TrainingCandidate {
            shape: OWN.1.to_owned(),
            accelerator: "h100_sxm".to_owned(),
            nodes: 24,
            tensor: 8,
            pipeline: 2,
            data: 12,
            expert: 1,
            interleave: 1,
            micro_batch: 1,
            precision: Precision::Bf16,
            recompute: false,
        },
        spare_nodes: 1,
        start: date(2027, 2, 1),
        end: date(2027, 6, 16),
        hours,
        at_hours: Vec::new(),
        resume: Seconds(0.0),
        shares,
        batch: Tokens(4e6),
        step: Seconds(22.27),
        tokens_per_s: 179_600.0,
        goodput: 0.951,
        model_flops_utilization: 0.40,
        needed: Bytes(61.2e9),
        memory: Bytes(83.4e9),
        checkpoint_interval: Seconds(1800.0),
        checkpoint: Bytes(0.988e12),
        checkpoint_host: Bytes(2.0 * 0.988e12 / 24.0),
        host_memory: Some(Bytes(2.2e12)),
        failures: 12.4,
        interval: Some(StepInterval {
            step: Band { low: 0.9, high: 1.15 },
            because: vec!["no measurement of model llama went into the fit".to_owned()],
        }),
        origin: Origin::Analytic,
    }
}

fn price(provider: &str, region: &str, price: &str) -> PriceRow {
    let own = provider == "own";
    PriceRow {
        provider: provider.to_owned(),
        region: region.to_owned(),
        price: decimal(price),
        grade: if own { PriceGrade::Quoted } else { PriceGrade::List },
        source: if own { "reseller quotation" } else { "skypilot-catalog v8, aws" }.to_owned(),
        as_of: if own { OWNED_AS_OF } else { RENTED_AS_OF },
    }
}

/// Nodes for training, one spare of the job and one of the site; sixteen stand there, ten are bought.
pub(super) fn own_pool(periods: &[Period], training: &TrainingRun) -> Pool {
    let nodes = training.candidate.nodes + training.spare_nodes + 1;
    let needed = training.shares.iter().map(|&share| vec![if share > 0.0 { nodes } else { 0 }; HOURS]);
    Pool {
        site: OWN.0.to_owned(),
        shape: OWN.1.to_owned(),
        accelerators: 8,
        needed: needed.collect(),
        spares: 1,
        fleet: vec![16; periods.len()],
        purchases: vec![Purchase {
            option: PurchaseOption::Owned,
            nodes: 10,
            nodes_by_period: vec![10; periods.len()],
            node_hours_by_period: periods
                .iter()
                .map(|p| 10.0 * f64::from(p.months) * HOURS_PER_MONTH)
                .collect(),
            price: Some(price("own", "all", "317000")),
            busy_above: None,
        }],
    }
}

/// Nodes for chat: a node that is busy more than 20.69505 / 55.04 of the time is reserved.
pub(super) fn cloud_pool(periods: &[Period], service: &Service) -> Pool {
    let needed: Vec<Vec<u32>> = service.placements[0]
        .replicas
        .iter()
        .map(|hours| hours.iter().map(|replicas| replicas.div_ceil(2)).collect())
        .collect();
    let hours_above = |row: &[u32], months, held: u32| -> f64 {
        let extra =
            |(hour, nodes): (usize, &u32)| f64::from(nodes.saturating_sub(held)) * hour_weight(months, hour);
        row.iter().enumerate().map(extra).sum()
    };
    let total = |held| -> f64 { needed.iter().map(|row| hours_above(row, MONTHS, held)).sum() };
    let all_hours = 36.0 * HOURS_PER_MONTH;
    let reserved =
        (0..100).find(|&held| (total(held) - total(held + 1)) / all_hours < 20.69505 / 55.04).unwrap_or(0);
    let most: Vec<u32> = needed.iter().map(|row| row.iter().copied().max().unwrap_or(0)).collect();
    let bursts: Vec<u32> = most.iter().map(|nodes| nodes.saturating_sub(reserved)).collect();
    Pool {
        site: CLOUD.0.to_owned(),
        shape: CLOUD.1.to_owned(),
        accelerators: 8,
        spares: 0,
        fleet: vec![0; periods.len()],
        purchases: vec![
            Purchase {
                option: PurchaseOption::Reserved { term_months: 36 },
                nodes: reserved,
                nodes_by_period: vec![reserved; periods.len()],
                node_hours_by_period: periods
                    .iter()
                    .map(|p| f64::from(reserved) * f64::from(p.months) * HOURS_PER_MONTH)
                    .collect(),
                price: Some(price("aws", "us-east-1", "20.69505")),
                busy_above: Some(20.69505 / 55.04),
            },
            Purchase {
                option: PurchaseOption::OnDemand,
                nodes: bursts.iter().copied().max().unwrap_or(0),
                nodes_by_period: bursts,
                node_hours_by_period: needed.iter().map(|row| hours_above(row, MONTHS, reserved)).collect(),
                price: Some(price("aws", "us-east-1", "55.04")),
                busy_above: None,
            },
        ],
        needed,
    }
}

pub(super) fn networks(pools: &[Pool]) -> Vec<Network> {
    let nodes = pools[0].needed.iter().flatten().copied().max().unwrap_or(0);
    // 26 machines reach each of eight leaves; 28 links of a leaf spread evenly over four spines.
    let (leaves, spines, links) = (8, 4, nodes * 8);
    vec![Network {
        site: OWN.0.to_owned(),
        shape: pools[0].shape.clone(),
        nodes,
        switch: "ndr_infiniband".to_owned(),
        kind: FabricKind::RailOptimised,
        planes: 1,
        ports_per_node: 8,
        port: BytesPerSecond(50e9),
        rails: 8,
        oversubscription: 1.0,
        tiers: 2,
        leaves,
        spines,
        cores: 0,
        spares: 0,
        host_links: links,
        spine_links: leaves * 28,
        core_links: 0,
        bisection: BytesPerSecond(50e9 * f64::from(links / 2)),
        power: Some(Watts(747.0 * f64::from(leaves + spines))),
    }]
}

/// Five nodes for checkpoints: 5 × 100 TB raw, two copies, one node free, filled to 80 %.
pub(super) fn stores() -> Vec<Store> {
    vec![Store {
        site: OWN.0.to_owned(),
        tier: Tier::Fast,
        system: "boxes".to_owned(),
        protection: Protection::Copies { copies: 2 },
        fill: 0.8,
        nodes: 5,
        drives: 50,
        raw: Bytes(5e14),
        usable: Bytes(1.6e14),
        stored: vec![Stored { what: "3 checkpoints of pretrain".to_owned(), bytes: Bytes(1.5e14) }],
        read: BytesPerSecond(50e9),
        needed_read: BytesPerSecond(2e9),
        write: BytesPerSecond(62.5e9),
        needed_write: BytesPerSecond(20e9),
        operations: Some(StoreRate { all_per_s: Some(6e6), needed_per_s: 5e5 }),
        opens: None,
        binds: StoreLimit::Capacity,
        power: Some(Watts(5000.0)),
        height_u: Some(10.0),
    }]
}

pub(super) fn sites(pools: &[Pool]) -> Vec<SiteSummary> {
    let nodes = |pool: &Pool| pool.needed.iter().flatten().copied().max().unwrap_or(0);
    let (own, cloud) = (nodes(&pools[0]), nodes(&pools[1]));
    // With the five nodes that keep data, and twelve switches.
    let it_power = Watts(f64::from(own) * 10.2e3 + 5.0 * 1e3 + 12.0 * 747.0);
    vec![
        SiteSummary {
            site: OWN.0.to_owned(),
            nodes: own,
            accelerators: own * 8,
            it_power: Some(it_power),
            facility_power: Some(it_power * 1.25),
            power_limit: Some(Watts(1.2e6)),
            // Three nodes of 10.2 kW stay below the 40 kW of a rack.
            racks: Some(own.div_ceil(3) + 1),
        },
        SiteSummary {
            site: CLOUD.0.to_owned(),
            nodes: cloud,
            accelerators: cloud * 8,
            it_power: None,
            facility_power: None,
            power_limit: None,
            racks: None,
        },
    ]
}
