//! Plan text in, meaning out; and catalogs, which are read the same way.

pub mod catalog;
pub mod diagnostic;
