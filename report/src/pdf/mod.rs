//! Blueprint → the paper that is signed: a cover with approvals, one page that decides, and everything behind it. Each page
//! carries the digest of the plan and the date of the oldest price.
//!
//! It does not look for fonts: whoever calls says which there are beside the built-in ones, and asks with [`without_font`]
//! which letters those lack.

mod data;
mod desk;

use capstan_types::blueprint::Blueprint;
use capstan_types::finance::Finance;
use data::Paper;
use desk::Desk;
use std::collections::BTreeSet;
use typst::foundations::{Datetime, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, Timestamp};

/// Why there is no paper: the typesetter refuses, which no input is known to cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPaper(String);

impl std::fmt::Display for NoPaper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the paper cannot be set: {}", self.0)
    }
}

impl std::error::Error for NoPaper {}

/// Returns the paper of a blueprint as PDF; `fonts` are files of fonts for letters that the built-in ones lack.
///
/// # Errors
/// See [`NoPaper`].
pub fn pdf(blueprint: &Blueprint, finance: &Finance, fonts: &[Vec<u8>]) -> Result<Vec<u8>, NoPaper> {
    let paper = Paper::of(blueprint, finance);
    let desk = Desk::new(&paper, fonts).map_err(NoPaper)?;
    let document: PagedDocument = typst::compile(&desk).output.map_err(|errors| refused(&errors))?;
    let day = blueprint.inputs.spec.frame.as_of;
    let made = Datetime::from_ymd_hms(i32::from(day.year()), day.month() as u8, day.day() as u8, 0, 0, 0);
    let options = PdfOptions {
        ident: Smart::Custom(paper.ident()),
        creator: Smart::Custom(Some(format!("Capstan {}", blueprint.tool))),
        timestamp: made.map(Timestamp::new_utc),
        ..PdfOptions::default()
    };
    let bytes = typst_pdf::pdf(&document, &options).map_err(|errors| refused(&errors));
    // What the typesetter remembers from one paper is of no use for the next.
    typst::comemo::evict(0);
    bytes
}

/// Returns the letters of the paper that the built-in fonts lack.
pub fn without_font(blueprint: &Blueprint, finance: &Finance) -> BTreeSet<char> {
    let fonts = desk::fonts(&[]);
    let known = |letter: &char| fonts.iter().any(|font| font.info().coverage.contains(u32::from(*letter)));
    let mut letters = Paper::of(blueprint, finance).letters();
    letters.retain(|letter| !known(letter));
    letters
}

fn refused(errors: &[typst::diag::SourceDiagnostic]) -> NoPaper {
    let said: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    NoPaper(said.join("; "))
}
