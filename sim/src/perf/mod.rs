//! How long one step takes and what it must hold: the physics behind every number.
//!
//! One description of hardware speed feeds the closed form, the simulator and the training estimate.
//! This module knows no clock, no queue and no price; times are spans of device and host work.
//!
//! - [`device`]: catalog rows of one accelerator, resolved, with documented fallbacks.
//! - [`operators`]: a model on some ranks as matrix multiplications, attention, experts and collectives.
//! - [`roofline`]: the time of each operator, never below what peak, memory or link allow.
//! - [`memory`]: what serving must hold; [`held`]: what an engine holds back; `training::memory`: what training must hold.
//! - [`split`]: how the ranks of a replica divide a layer.
//! - [`step`]: one serving step, prepared once per configuration.
//! - [`training`]: one training step, the best parallelism, and what failures take away.

pub mod coefficients;
pub mod device;
pub mod held;
pub mod memory;
pub mod operators;
pub mod parameters;
pub mod rejection;
pub mod roofline;
pub mod split;
pub mod step;
pub mod training;

pub use device::Device;
pub use held::Held;
pub use memory::{Fit, Limits, ServingMemory, Verdict, default_limits};
pub use rejection::Reason;
pub use split::Split;
pub use step::{Drafter, Floors, PreparedStep, Ranks, Setup, Speculation, StepShape};
