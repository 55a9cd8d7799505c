//! Where the measured reference data lies.

use std::path::PathBuf;

/// Returns the folder of reference data, or `None`, saying so, where there is none and none is required.
///
/// `CAPSTAN_DATA` names it; where `CAPSTAN_REQUIRE` speaks of `data`, a test that cannot have it fails.
///
/// # Panics
/// Where the data is required and `CAPSTAN_DATA` is not set.
pub fn data() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find the data through the environment")]
    let (data, required) = (std::env::var("CAPSTAN_DATA").ok(), std::env::var("CAPSTAN_REQUIRE"));
    if data.is_none() {
        assert!(!required.is_ok_and(|all| all.contains("data")), "CAPSTAN_DATA is required and not set");
        println!("skipped: needs CAPSTAN_DATA");
    }
    data.map(PathBuf::from)
}
