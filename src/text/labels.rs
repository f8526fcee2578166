//! Labels of a model, and how rows of scores become spans.
