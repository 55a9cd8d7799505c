//! Feasibility (E03xx), catalogs (E04xx), files (E05xx) and what is not planned yet (E0900).

use super::Entry;
use crate::diagnostic::Code;

/// No way to serve meets a limit on latency.
pub const NO_CANDIDATE: Code = Code::error(310);
/// A row of a catalog that cannot be used.
pub const CATALOG_ROW: Code = Code::error(401);
/// A catalog that is not TOML.
pub const CATALOG_TEXT: Code = Code::error(402);
/// A file that cannot be read.
pub const UNREADABLE_FILE: Code = Code::error(501);
/// Something that is understood and not planned yet.
pub const NOT_PLANNED: Code = Code::error(900);

pub(super) const ENTRIES: [Entry; 5] = [
    Entry {
        code: NO_CANDIDATE,
        title: "no way to serve meets a limit on latency",
        explanation: "Every way to run the workload that is allowed and fits in memory is slower than the \
            limit. The message names the nearest and what its time consists of; loosening the limit, \
            allowing other hardware or more parallelism are the ways out.",
        wrong: Some("serve chat { slo ttft { p99 <= 1 ms } }"),
        right: Some("serve chat { slo ttft { p99 <= 500 ms } }"),
    },
    Entry {
        code: CATALOG_ROW,
        title: "a row of a catalog that cannot be used",
        explanation: "The row lacks a required fact, or one of its facts is wrong.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CATALOG_TEXT,
        title: "a catalog that is not TOML",
        explanation: "The place given is where reading stopped.",
        wrong: None,
        right: None,
    },
    Entry {
        code: UNREADABLE_FILE,
        title: "a file that cannot be read",
        explanation: "The path in `use`, `huggingface` or `trace` leads nowhere, or outside the folder of the \
            plan file.",
        wrong: None,
        right: None,
    },
    Entry {
        code: NOT_PLANNED,
        title: "something that is understood and not planned yet",
        explanation: "The field is part of the language, but nothing in the plan would follow from it yet. It \
            is refused rather than ignored: a limit that is silently ignored is worse than none.",
        wrong: None,
        right: None,
    },
];
