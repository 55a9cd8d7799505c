//! What do measurements say about the numbers of the model, and how far off are predictions that never saw them?
//!
//! Rows in, factors and residuals out; pure and deterministic, so that the same rows give the same bytes. Kernel curves
//! are fitted to kernel tables alone ([`kernels`]). The factors between kernels and steps ([`knobs`]) have tight priors
//! and are found by Gauss–Newton on logarithms, with every cell of about the same weight and outliers of none.
//!
//! Leaving out ([`leave_out`]) uses the gradient at the optimum: without a cell the factors move by a percent or two, over
//! which predictions are straight lines. It does not know what was chosen with all cells in view: structure.

pub mod kernels;
pub mod knobs;
pub mod leave_out;
pub mod observations;
pub mod refit;
pub mod residuals;
pub mod score;
pub mod simplex;
pub mod solve;
pub mod text;
pub mod training;
pub mod validation;

pub use knobs::{Knob, knobs};
pub use leave_out::Left;
pub use observations::{Observations, Point};
pub use residuals::residuals;
pub use score::{Score, Scored, score};
