//! Entities as annotation tools give them back: a place and a type, for a text that is known.

use std::ops::Range;

use super::assertion::Assertion;
use super::input;
use crate::error::Result;
use crate::sort;
use crate::text::offsets::{self, OffsetUnit};

/// A marked part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// In bytes of the text.
    pub bytes: Range<usize>,
    /// The type.
    pub label: String,
    /// What is said of it, in forms that can say it and where it is said.
    pub assertion: Option<Assertion>,
}

/// A marked part by its code points.
pub(super) struct Marked {
    /// Where it stands in what was read, for messages: `line 3`.
    pub at: String,
    /// In code points.
    pub points: Range<usize>,
    pub label: String,
    pub assertion: Option<Assertion>,
}

/// Brings marks to their bytes, sorted by place.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for one that is empty or does not lie in the text, by where it stands.
pub(super) fn placed(text: &str, marks: Vec<Marked>) -> Result<Vec<Annotation>> {
    let length = OffsetUnit::CodePoint.length(text);
    if let Some(Marked { at, points: Range { start, end }, .. }) =
        marks.iter().find(|mark| mark.points.is_empty() || mark.points.end > length)
    {
        let message = format!("expected start < end, at most {length} code points, found {start} and {end}");
        return Err(input(format!("{at}: {message}")));
    }
    let points: Vec<usize> = marks.iter().flat_map(|mark| [mark.points.start, mark.points.end]).collect();
    let bytes = offsets::unordered(&points, |points| offsets::to_bytes(text, points, OffsetUnit::CodePoint))?;
    let annotation = |(mark, bytes): (Marked, &[usize])| Annotation {
        bytes: bytes[0]..bytes[1],
        label: mark.label,
        assertion: mark.assertion,
    };
    let mut annotations: Vec<_> = marks.into_iter().zip(bytes.chunks_exact(2)).map(annotation).collect();
    sort::by(&mut annotations, |a, b| (a.bytes.start, a.bytes.end).cmp(&(b.bytes.start, b.bytes.end)));
    Ok(annotations)
}
