//! Long notes as overlapping windows.
