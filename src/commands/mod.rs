//! One file per command: its arguments, then what it does.

pub mod actuals;
pub mod apply;
pub mod baseline;
pub mod calibrate;
pub mod catalog;
pub mod check;
pub mod completions;
pub mod destroy;
pub mod diff;
pub mod drift;
pub mod emit;
pub mod estimate;
pub mod explain;
pub mod fit;
pub mod fmt;
pub mod import;
pub mod init;
pub mod lock;
pub mod man;
pub mod plan;
pub mod preflight;
pub mod replay;
pub mod report;
pub mod rollback;
pub mod simulate;
pub mod validate;
