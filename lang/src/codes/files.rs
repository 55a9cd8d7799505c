//! Files beside the plan: paths and request traces, E05xx. Those that cannot be read are E0501.

use super::Entry;
use crate::diagnostic::Code;

/// A path that leaves the folder of the plan file.
pub const PATH_LEAVES_FOLDER: Code = Code::error(502);
/// A trace without a column that is needed.
pub const TRACE_COLUMNS: Code = Code::error(503);
/// A value of a trace that cannot be.
pub const TRACE_VALUE: Code = Code::error(504);
/// A trace that is not in the order of arrivals.
pub const TRACE_ORDER: Code = Code::error(505);
/// A trace without requests, or without duration.
pub const TRACE_EMPTY: Code = Code::error(506);

pub(super) const ENTRIES: [Entry; 5] = [
    Entry {
        code: PATH_LEAVES_FOLDER,
        title: "a path that leaves the folder of the plan file",
        explanation: "What a plan names lies in its folder or below, so that a plan from a stranger can be \
            checked safely: no absolute path, no `..`.",
        wrong: Some("use prices \"../prices.toml\""),
        right: Some("use prices \"prices.toml\""),
    },
    Entry {
        code: TRACE_COLUMNS,
        title: "a trace without a column that is needed",
        explanation: "A trace is CSV with the columns `arrival_s`, `input_tokens` and `output_tokens`; the \
            names of the Azure traces (`TIMESTAMP`, `ContextTokens`, `GeneratedTokens`) are understood \
            as well.",
        wrong: None,
        right: None,
    },
    Entry {
        code: TRACE_VALUE,
        title: "a value of a trace that cannot be",
        explanation: "Arrivals are seconds from 0 on; tokens are whole numbers from 1 on.",
        wrong: None,
        right: None,
    },
    Entry {
        code: TRACE_ORDER,
        title: "a trace that is not in the order of arrivals",
        explanation: "Each request arrives no earlier than the one above it. Sort the file by its first \
            column.",
        wrong: None,
        right: None,
    },
    Entry {
        code: TRACE_EMPTY,
        title: "a trace without requests, or without duration",
        explanation: "Rates and lengths are taken from the trace, so it needs at least two requests at \
            different times.",
        wrong: None,
        right: None,
    },
];
