//! On a published trace with block hashes, the share of input that a cache has read before is the published one.
//!
//! Needs the data folder (`CAPSTAN_DATA`): request-traces/mooncake-fast25, whose README prints the shares.

use std::io::Read;
use std::path::PathBuf;

use capstan_sim::serving::PrefixCache;

/// Tokens in a block of the traces; the last of a prompt may be partial.
const BLOCK_TOKENS: u64 = 512;

/// Rows of (input tokens, hashes), or `None` where there is no data and none is required.
fn trace(name: &str) -> Option<Vec<(u64, Vec<u64>)>> {
    #[expect(clippy::disallowed_methods, reason = "tests find their data through the environment")]
    let (data, required) = (std::env::var("CAPSTAN_DATA"), std::env::var("CAPSTAN_REQUIRE"));
    let Ok(data) = data else {
        assert!(!required.is_ok_and(|all| all.contains("data")), "CAPSTAN_DATA is required and not set");
        println!("skipped: needs CAPSTAN_DATA");
        return None;
    };
    let path = PathBuf::from(data).join(format!("request-traces/mooncake-fast25/{name}.csv.gz"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let rows = csv::Reader::from_reader(text.as_bytes())
        .records()
        .map(|row| {
            let row = row.unwrap();
            let hashes = row[3].split(' ').map(|hash| hash.parse().unwrap()).collect();
            (row[1].parse().unwrap(), hashes)
        })
        .collect();
    Some(rows)
}

fn percent_reusable(rows: &[(u64, Vec<u64>)], blocks: u32) -> f64 {
    let mut cache = PrefixCache::new(blocks);
    let (mut all, mut reused) = (0, 0);
    for (tokens, hashes) in rows {
        all += tokens;
        reused += (cache.leading_hits(hashes) as u64 * BLOCK_TOKENS).min(*tokens);
        cache.touch(hashes);
    }
    100.0 * reused as f64 / all as f64
}

fn check(name: &str, expect: [(u32, &str); 4]) {
    let Some(rows) = trace(name) else { return };
    for (blocks, percent) in expect {
        assert_eq!(format!("{:.1}", percent_reusable(&rows, blocks)), percent, "{name}, {blocks} blocks");
    }
}

#[test]
fn conversations_reuse_as_much_as_is_published() {
    check("conversation", [(1_000, "4.5"), (10_000, "21.5"), (50_000, "36.2"), (u32::MAX, "37.4")]);
}

#[test]
fn synthetic_requests_reuse_as_much_as_is_published() {
    check("synthetic", [(1_000, "8.4"), (10_000, "43.1"), (50_000, "65.1"), (u32::MAX, "65.1")]);
}
