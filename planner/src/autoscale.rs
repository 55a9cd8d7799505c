//! What does a workload's autoscaler aim at, and what does a new replica go through? The plan's words in the simulator's.

use crate::assemble::{IMAGE_BYTES, READ_BYTES_PER_S, WARM_UP_S};
use capstan_sim::serving::{Autoscaler, Behaviour, ColdStart, Pipe};
use capstan_types::blueprint::{Candidate, ServiceEstimate};
use capstan_types::spec::{Autoscale, Serve};
use capstan_types::units::Seconds;

/// Bytes per second that all starting replicas of a placement get from one store together.
///
/// Origin: Assumed; no storage is sized yet. 40 GB/s are the "good" aggregate reads of one scalable unit in the SuperPOD
/// H100 storage guidance, halved as those of a node are.
const SHARED_BYTES_PER_S: f64 = 20e9;

/// Share of an image that its program reads before it serves: Harter et al., "Slacker", FAST '16, 6.4 %.
const READ_FIRST: f64 = 0.064;

/// Share of the requests in flight at the planned load that is aimed at where the plan says nothing, so that more
/// replicas are on their way before those that are there are full. Origin: Assumed.
const AIM: f64 = 0.8;

/// Returns the requests in flight that a replica should have, when it is planned to serve `rate` requests per second:
/// by Little's law those it has then, times [`AIM`].
pub(crate) fn target(serve: &Serve, autoscale: &Autoscale, estimate: &ServiceEstimate, rate: f64) -> f64 {
    let stays = estimate.ttft.get() + estimate.tpot.get() * serve.load.output.mean;
    autoscale.target.unwrap_or(AIM * rate * stays).max(0.1)
}

/// Returns the autoscaler of a placement that has `initial` replicas to begin with, of at most `most`.
pub(crate) fn scaler(
    autoscale: &Autoscale,
    (candidate, estimate): (&Candidate, &ServiceEstimate),
    target: f64,
    initial: u32,
    most: u32,
) -> Autoscaler {
    let ns = |seconds: Seconds| (seconds.get() * 1e9) as u64;
    let nodes = f64::from(candidate.nodes_per_replica.max(1));
    let first = if autoscale.lazy_image { READ_FIRST } else { 1.0 };
    // Each node of a replica pulls the image and reads its part of the weights.
    let pipe = Pipe { shared: SHARED_BYTES_PER_S, own: READ_BYTES_PER_S * nodes };
    let least = autoscale.least.min(most);
    let base = Autoscaler::kubernetes(least, initial.clamp(least, most), target);
    Autoscaler {
        tolerance: autoscale.tolerance,
        up: Behaviour { window_ns: ns(autoscale.up_window), ..Behaviour::UP },
        down: Behaviour { window_ns: ns(autoscale.down_window), ..Behaviour::DOWN },
        cooldown_ns: ns(autoscale.cooldown),
        start: ColdStart {
            provision_ns: ns(autoscale.provision),
            image_bytes: IMAGE_BYTES * nodes * first,
            image_rest_bytes: IMAGE_BYTES * nodes * (1.0 - first),
            weight_bytes: estimate.weights.get() * f64::from(candidate.accelerators),
            registry: pipe,
            storage: pipe,
            warm_up_ns: ns(Seconds(WARM_UP_S)),
        },
        ..base
    }
}
