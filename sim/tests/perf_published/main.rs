//! The physics of a step against published measurements; each test needs CAPSTAN_DATA.

mod data;
mod gemm;
mod serving;
mod training;
