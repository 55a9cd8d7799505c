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
/// Something that a plan stands on is not what `plan.lock` pins.
pub const STALE_LOCK: Code = Code::error(507);

/// A `config.json` that is not JSON, or cut off.
pub const CONFIG_NOT_JSON: Code = Code::error(520);
/// An architecture, or a field of one, that is not understood.
pub const CONFIG_UNKNOWN: Code = Code::error(521);
/// A value of a `config.json` that cannot be.
pub const CONFIG_VALUE: Code = Code::error(522);
/// Two fields of a `config.json` that contradict each other.
pub const CONFIG_CONTRADICTION: Code = Code::error(523);
/// A `config.json` without a size.
pub const CONFIG_MISSING: Code = Code::error(524);
/// The configuration of an adapter.
pub const CONFIG_ADAPTER: Code = Code::error(525);
/// A part of a `config.json` that is not counted.
pub const CONFIG_UNCOUNTED: Code = Code::warning(526);

pub(super) const ENTRIES: [Entry; 13] = [
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
    Entry {
        code: STALE_LOCK,
        title: "something that a plan stands on is not what `plan.lock` pins",
        explanation: "A `plan.lock` beside a plan pins catalogs, prices and models by digest, so that a review answers \
            the same on every machine. Take the change with `capstan lock --update FILE`, and review it on its own; or \
            bring back the file that was pinned.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CONFIG_NOT_JSON,
        title: "a `config.json` that is not JSON",
        explanation: "The place given is where reading stopped. A file that ends in the middle of a value was not downloaded whole.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CONFIG_UNKNOWN,
        title: "an architecture, or a field of one, that is not understood",
        explanation: "Sizes are read where the architecture is known, and never guessed from fields that look familiar: a wrong size becomes a wrong purchase. State the sizes in a `model` block of the plan instead.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CONFIG_VALUE,
        title: "a value of a `config.json` that cannot be",
        explanation: "Sizes are whole numbers, written without quotes.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CONFIG_CONTRADICTION,
        title: "fields of a `config.json` that contradict each other",
        explanation: "Query heads are shared evenly by key-value heads, lists of layers have as many entries as there are layers, and a token visits no more experts than there are.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CONFIG_MISSING,
        title: "a `config.json` without a size",
        explanation: "Without it the size of the model is not known. A configuration of a tokenizer, of generation or of a processor is another file.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CONFIG_ADAPTER,
        title: "the configuration of an adapter",
        explanation: "An adapter changes a model and has no sizes of its own. Import the model that it adapts.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CONFIG_UNCOUNTED,
        title: "a part of a `config.json` that is not counted",
        explanation: "Everything else is; the memory of this part comes on top.",
        wrong: None,
        right: None,
    },
];
