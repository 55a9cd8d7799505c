//! The nouns of Capstan: what every other crate talks about. No algorithms, no input or output.

pub mod place;
pub mod quantity;
