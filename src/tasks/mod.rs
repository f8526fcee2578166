//! Text in, meaning out.
