//! Explanation → document.

use crate::document::{Block, Cell, Document};
use capstan_types::explanation::Explanation;

/// Returns an explanation as a document.
pub fn explanation_document(explanation: &Explanation) -> Document {
    let mut document = Document { title: explanation.title.as_str().into(), blocks: Vec::new() };
    for section in &explanation.sections {
        let sentences = section.sentences.iter().map(|text| Cell::from(text.as_str())).collect();
        let facts = section.facts.iter().map(|(name, value)| (name.clone(), Cell::from(value.as_str())));
        document.section(&section.title, [Block::List(sentences), Block::Facts(facts.collect())]);
    }
    document
}
