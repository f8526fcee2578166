//! One opaque error for the whole crate.
//!
//! Messages are lower case, name the place and the values, and never contain note text: an error may be logged.

use std::fmt;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where and what to do about it. Never holds note text.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
}

/// The kinds of failure that a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller's text or options cannot be worked with.
    Input,
    /// A model file is not what its format says: truncated, malformed, missing.
    Format,
    /// A file differs from the sha256 that the manifest states.
    Hash,
    /// A tensor is missing or has another shape than the config asks for.
    Weights,
    /// The config names an architecture or a setting that this crate does not implement.
    Unsupported,
    /// The model learnt another task than the one that it is asked to do.
    Task,
    /// A line or record of a data file cannot be read.
    Data,
    /// A file could not be read or written.
    Io,
    /// The engine failed: a shape it cannot do, an error of its driver.
    Backend,
    /// There is no GPU adapter: no driver, or a browser that shows none.
    NoAdapter,
    /// The only GPU adapter is a program on the CPU, which nobody asked for.
    SoftwareAdapter,
    /// The GPU offers less than the kernels or the batch need.
    GpuLimits,
    /// The GPU's compiler refused a kernel.
    Shader,
    /// The GPU has no memory left.
    OutOfMemory,
    /// The GPU device is gone: the driver was reset, or the browser took it away.
    DeviceLost,
}

impl ErrorKind {
    /// The stable code of this kind, as JavaScript sees it in `error.code`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Input => "E_INPUT",
            Self::Format => "E_MODEL_FORMAT",
            Self::Hash => "E_MODEL_HASH",
            Self::Weights => "E_MODEL_WEIGHTS",
            Self::Unsupported => "E_UNSUPPORTED_ARCH",
            Self::Task => "E_MODEL_TASK",
            Self::Data => "E_DATA",
            Self::Io => "E_IO",
            Self::Backend => "E_BACKEND",
            Self::NoAdapter => "E_NO_ADAPTER",
            Self::SoftwareAdapter => "E_SOFTWARE_ADAPTER",
            Self::GpuLimits => "E_GPU_LIMITS",
            Self::Shader => "E_SHADER",
            Self::OutOfMemory => "E_OUT_OF_MEMORY",
            Self::DeviceLost => "E_DEVICE_LOST",
        }
    }
}

impl Error {
    /// An error of a kind with a message: lower case, no full stop, with the values that differ.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::boxed(kind, message.into())
    }

    #[inline(never)]
    fn boxed(kind: ErrorKind, message: String) -> Self {
        Self(Box::new(Inner { kind, message }))
    }

    /// The kind, for callers that react to it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The same error as one of another kind: what a reader of files refuses may be what a caller said.
    #[must_use]
    pub(crate) fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error with the place where it happened put in front: `place: message`.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.message = format!("{place}: {}", self.0.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({})", self.0.kind, self.0.message)
    }
}

impl std::error::Error for Error {}
