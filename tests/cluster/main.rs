//! A real Kubernetes API server, scheduler and controllers, and the program against them. Where Go is missing, each test
//! says "skipped: needs Go" and passes, unless CAPSTAN_REQUIRE contains `cluster`.

mod apply;
mod apps;
mod bench;
mod definitions;
mod emitted;
mod faults;
mod fetches;
mod groups;
mod hall;
mod jobs;
mod kills;
mod large;
mod mistakes;
mod operations;
mod oracle;
mod parts;
mod places;
mod predictors;
#[path = "../cli/surroundings.rs"]
#[expect(dead_code, reason = "the other program of tests uses all of it")]
mod surroundings;
