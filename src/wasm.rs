//! The JavaScript border.
