//! The answer: complete, immutable, nothing left to choose when manifests are written.
