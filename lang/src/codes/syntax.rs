//! Entries, fields, rules and operators: E01xx.

use super::Entry;
use crate::diagnostic::Code;

/// Something else should stand here.
pub const SYNTAX: Code = Code::error(101);
/// `<` or `>` in a limit.
pub const STRICT_LIMIT: Code = Code::error(105);
/// A comparison of a comparison.
pub const COMPARISON_CHAIN: Code = Code::error(106);
/// A limit that is a yes or no.
pub const BOOLEAN_LIMIT: Code = Code::error(107);
/// Two entries without a separator.
pub const SEPARATOR: Code = Code::error(111);
/// `=` and `==` mixed up.
pub const EQUALS: Code = Code::error(112);
/// A reserved word as a name.
pub const RESERVED: Code = Code::error(113);
/// `use`, `param` or `let` in a block.
pub const ONLY_AT_TOP: Code = Code::error(116);
/// A block, rule or change in a record.
pub const ONLY_FIELDS: Code = Code::error(117);
/// A name with `-`.
pub const DASH_IN_NAME: Code = Code::error(118);

pub(super) const ENTRIES: [Entry; 10] = [
    Entry {
        code: SYNTAX,
        title: "something else should stand here",
        explanation: "The message says what may stand at this place and what was found. A field is `name = \
            value`, a limit `name <= value`, a block `kind name { … }`, a rule `require condition`.",
        wrong: Some("serve chat { model }"),
        right: Some("serve chat { model = llama70b }"),
    },
    Entry {
        code: STRICT_LIMIT,
        title: "`<` or `>` in a limit",
        explanation: "A limit on a measured amount includes its bound; whether the bound itself is allowed \
            makes no difference that could be measured. One way to write it keeps plans comparable: \
            `<=` and `>=`. In a `require`, `<` and `>` are allowed.",
        wrong: Some("slo ttft { p99 < 500 ms }"),
        right: Some("slo ttft { p99 <= 500 ms }"),
    },
    Entry {
        code: COMPARISON_CHAIN,
        title: "a comparison of a comparison",
        explanation: "`a <= b <= c` would compare a yes or no with an amount.",
        wrong: Some("budget b { require 1 <= x.replicas <= 4 }"),
        right: Some("budget b { require 1 <= x.replicas and x.replicas <= 4 }"),
    },
    Entry {
        code: BOOLEAN_LIMIT,
        title: "a limit that is a yes or no",
        explanation: "After the `<=` or `>=` of a field an amount must stand. A condition is written as a \
            rule.",
        wrong: Some("serve chat { replicas >= true }"),
        right: Some("serve chat { replicas >= 2 }"),
    },
    Entry {
        code: SEPARATOR,
        title: "two entries without a separator",
        explanation: "Entries stand on lines of their own or are separated by `,` or `;`.",
        wrong: Some("plan p { seed = one minimize = cost }"),
        right: Some("plan p { seed = one, minimize = cost }"),
    },
    Entry {
        code: EQUALS,
        title: "`=` and `==` mixed up",
        explanation: "`=` states a fact in a field; `==` compares in a rule.",
        wrong: Some("budget b { require a.zones = 2 }"),
        right: Some("budget b { require a.zones == 2 }"),
    },
    Entry {
        code: RESERVED,
        title: "a reserved word as a name",
        explanation: "`in or and not else as true false` have a meaning everywhere and cannot be names.",
        wrong: Some("let a = x.in"),
        right: Some("let a = x.in_"),
    },
    Entry {
        code: ONLY_AT_TOP,
        title: "`use`, `param` or `let` in a block",
        explanation: "These name things for the whole file and stand at its top, outside all braces.",
        wrong: Some("serve chat { let half = 2 }"),
        right: Some("let half = 2\nserve chat { replicas = half }"),
    },
    Entry {
        code: ONLY_FIELDS,
        title: "a block, rule or change in a record",
        explanation: "A record holds only fields. Blocks and rules stand in the block around it; a record in a \
            record is written with `=`.",
        wrong: Some("site a { rack = { cooling { kind = air } } }"),
        right: Some("site a { rack = { cooling = { kind = air } } }"),
    },
    Entry {
        code: DASH_IN_NAME,
        title: "a name with `-`",
        explanation: "`a-b` is a difference. Names join words with `_`.",
        wrong: Some("serve my-chat { replicas = 2 }"),
        right: Some("serve my_chat { replicas = 2 }"),
    },
];
