//! Catalogs and prices: E04xx.

use super::Entry;
use crate::diagnostic::Code;

/// A row lacks a fact that it must have.
pub const CATALOG_FACT_MISSING: Code = Code::error(401);
/// The text is not TOML.
pub const CATALOG_NOT_TOML: Code = Code::error(402);
/// A table or a field that no catalog has.
pub const CATALOG_FIELD: Code = Code::error(403);
/// Two rows answer to one name.
pub const CATALOG_DUPLICATE: Code = Code::error(404);
/// A price below zero, or a zero that nobody vouches for.
pub const CATALOG_PRICE: Code = Code::error(405);
/// A value of the wrong kind: another unit, another type, out of range.
pub const CATALOG_VALUE: Code = Code::error(406);
/// A name that refers to no row.
pub const CATALOG_NAME: Code = Code::error(407);
/// A row without source or date.
pub const CATALOG_SOURCE: Code = Code::error(408);

pub(super) const ENTRIES: [Entry; 8] = [
    Entry {
        code: CATALOG_FACT_MISSING,
        title: "a row of a catalog lacks a fact",
        explanation: "A new row must have every fact that planning needs. A row that changes one that is there \
            has only its `id`, what it changes, `source` and `as_of`.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CATALOG_NOT_TOML,
        title: "a catalog that is not TOML",
        explanation: "The place given is where reading stopped.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CATALOG_FIELD,
        title: "a catalog has no such field",
        explanation: "Unknown tables and fields are refused, because a misspelt fact that is ignored would be \
            planned without.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CATALOG_DUPLICATE,
        title: "two rows of a catalog answer to one name",
        explanation: "Within the files that are read together each identifier and each name stands once. A \
            file given with `use` changes built-in rows by their identifier.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CATALOG_PRICE,
        title: "a price that cannot be",
        explanation: "Prices are never negative. What is not known is written `\"unknown\"`, not 0; what is \
            truly free needs its own `source` beside the price.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CATALOG_VALUE,
        title: "a value of the wrong kind in a catalog",
        explanation: "Facts with a dimension are texts with a unit, such as `memory = \"141 GB\"`; counts and \
            shares are plain numbers; words are among the choices of their field.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CATALOG_NAME,
        title: "a catalog refers to a row that is not there",
        explanation: "Prices refer to shapes and regions, shapes and efficiencies to accelerators, and `from` \
            to a table under `sources`.",
        wrong: None,
        right: None,
    },
    Entry {
        code: CATALOG_SOURCE,
        title: "a row of a catalog without source, date or grade",
        explanation: "Every fact and price carries where it was read, when it held and how sure that is: \
            `source`, `as_of` and `grade`, in the row or in the table that `from` names.",
        wrong: None,
        right: None,
    },
];
