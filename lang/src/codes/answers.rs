//! Feasibility (E03xx), files (E05xx) and what is not planned yet (E0900).

use super::Entry;
use crate::diagnostic::Code;

/// No way to serve meets a limit on latency.
pub const NO_CANDIDATE: Code = Code::error(310);
/// A file that cannot be read.
pub const UNREADABLE_FILE: Code = Code::error(501);
/// Something that is understood and not planned yet.
pub const NOT_PLANNED: Code = Code::error(900);

pub(super) const ENTRIES: [Entry; 3] = [
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
