//! Manifests of the shared blueprint: what exactly is written, what it must say, and which rules it keeps.

mod apps;
mod common;
mod crds;
mod emitted;
mod families;
mod fetch;
mod golden;
mod hall;
mod levels;
mod lints;
mod models;
mod offline;
mod operations;
mod operators;
mod parts;
mod predictor;
mod trainings;
mod triton;
