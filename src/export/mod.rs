//! Results in the forms that others read.
