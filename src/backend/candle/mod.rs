//! candle: the engine of training, and the reference.
