//! What comes otherwise than planned? A spike, or clients in place of a rate.

use super::Question;
use capstan_sim::engine::Time;
use capstan_sim::serving::{ClosedLoop, OpenLoop, ServingConfig, Window, Workload};
use capstan_types::units::Seconds;

/// More requests for a while, a third into the measured time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spike {
    /// Times the rate.
    pub factor: f64,
    /// For how long.
    pub lasts: Seconds,
}

/// After the window, until the last of its requests must be answered: clients go on asking.
const ANSWERED_WITHIN_S: f64 = 3600.0;

/// Returns what is simulated, as the question changes it. A trace is what it is; a client asks again once it has its whole
/// answer, which takes `outside_ns` beside what the scheduler sees.
pub(super) fn changed(
    (question, outside_ns): (&Question, f64),
    config: ServingConfig,
    workload: Workload,
    window: Window,
) -> (ServingConfig, Workload) {
    let Workload::Open(open) = workload else { return (config, workload) };
    if let Some(clients) = question.clients {
        let OpenLoop { name, lengths, max_tokens, .. } = open;
        let closed = ClosedLoop {
            name,
            clients,
            think_ns: outside_ns as u64,
            lengths,
            max_tokens,
            max_requests: u64::MAX,
        };
        let until = window.until.plus(Time::from_seconds(ANSWERED_WITHIN_S).ns());
        return (ServingConfig { until, ..config }, Workload::Closed(closed));
    }
    let Some(spike) = question.spike else { return (config, Workload::Open(open)) };
    let from = window.from.plus(window.until.since(window.from) / 3);
    let to = from.plus(Time::from_seconds(spike.lasts.get()).ns().max(1));
    let rate = open.rate.clone().raised(spike.factor, from, to);
    (config, Workload::Open(OpenLoop { rate, ..open }))
}
