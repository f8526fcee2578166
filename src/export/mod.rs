//! Results in the forms that others read. Offsets are converted here, once, from bytes to the unit of the reader.

pub mod json;
