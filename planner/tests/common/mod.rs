//! Problems that several tests share.

use capstan_planner::program::{Column, Offer, Period, Pool, Problem, Runs, Terms, Workload, day_type_slots};

/// A stream of numbers from a seed: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
pub struct Stream(pub u64);

impl Stream {
    /// Returns the next number in 0..1.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns the next number in `low..high`.
    pub fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Returns the next index below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n - 1)
    }
}

/// 60 workloads × 25 columns × 12 pools × 4 offers × `n_periods` periods × 48 slots.
pub fn reference_instance(seed: u64, n_periods: usize) -> Problem {
    let mut stream = Stream(seed);
    let months = 36.0 / n_periods as f64;
    let pools: Vec<Pool> = (0..12).map(|_| reference_pool(&mut stream, n_periods)).collect();
    let workloads = (0..60).map(|_| reference_workload(&mut stream, n_periods, &pools)).collect();
    let yearly = |month: f64| 1.0 / (1.0 + 0.09 * month / 12.0);
    let period = |p: usize| {
        let start = p as f64 * months;
        Period {
            months,
            discount_at_start: yearly(start),
            discount: yearly(start + months / 2.0),
            opens: true,
        }
    };
    Problem {
        periods: (0..n_periods).map(period).collect(),
        slots: day_type_slots(),
        discount_at_end: yearly(36.0),
        pools,
        workloads,
        limits: Vec::new(),
    }
}

fn reference_pool(stream: &mut Stream, n_periods: usize) -> Pool {
    let hourly = stream.within(10.0, 60.0);
    let offer = |terms| Offer { terms, max_nodes: None, first_period: 0 };
    let spot = hourly * stream.within(0.3, 0.7);
    Pool {
        site: stream.below(4),
        accelerators_per_node: 8,
        power_kw_per_node: stream.within(5.0, 14.0),
        rack_units_per_node: 8.0,
        existing_nodes: vec![stream.below(4) as u32; n_periods],
        offers: vec![
            offer(Terms::Owned {
                capex_per_node: Some(hourly * stream.within(6000.0, 11000.0)),
                opex_per_node_month: hourly * stream.within(20.0, 60.0),
                residual_per_node: Vec::new(),
            }),
            offer(Terms::Reserved {
                term_months: 36.0,
                price_per_node_hour: Some(hourly * stream.within(0.35, 0.6)),
            }),
            offer(Terms::OnDemand { price_per_node_hour: Some(hourly) }),
            offer(Terms::Spot { price_per_node_hour: Some(spot) }),
        ],
    }
}

fn reference_workload(stream: &mut Stream, n_periods: usize, pools: &[Pool]) -> Workload {
    let peak = stream.within(200.0, 4000.0);
    let (trough, peak_at, weekend) = (stream.within(0.2, 0.6), stream.below(24), stream.within(0.4, 1.0));
    let growth = stream.within(1.0, 1.5);
    let demand = |p: usize| {
        let scale = peak * (1.0 + (growth - 1.0) * p as f64 / n_periods as f64);
        let hour = |h: usize| {
            // A triangle over the day: no transcendental function, same bytes everywhere.
            let away = (h % 24).abs_diff(peak_at).min(24 - (h % 24).abs_diff(peak_at)) as f64 / 12.0;
            scale * (1.0 - (1.0 - trough) * away) * if h < 24 { 1.0 } else { weekend }
        };
        (0..48).map(hour).collect()
    };
    let may_spot = stream.unit() < 0.3;
    let column = |stream: &mut Stream| {
        let pool = stream.below(pools.len());
        let accelerators = [1, 2, 4, 8][stream.below(4)];
        let Some(Terms::OnDemand { price_per_node_hour: Some(hourly) }) =
            pools[pool].offers.get(2).map(|o| o.terms.clone())
        else {
            unreachable!("the third offer is on demand")
        };
        // Money per unit varies within a factor of 2 between the ways to run a workload.
        let rate = hourly * f64::from(accelerators) / 8.0 * stream.within(0.5, 1.0);
        Column {
            pool,
            offers: if may_spot { vec![0, 1, 2, 3] } else { vec![0, 1, 2] },
            runs: Runs::Replicas {
                units_per_replica: rate,
                accelerators,
                min_replicas: 1,
                spare_replicas: u32::from(stream.unit() < 0.5),
            },
            paid: Vec::new(),
        }
    };
    Workload {
        demand: (0..n_periods).map(demand).collect(),
        columns: (0..25).map(|_| column(stream)).collect(),
    }
}
