//! What a pickle can speak of: plain values, and tensors and storages as it describes them.

/// A value on the stack. Text is borrowed from the pickle, containers are numbers into lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Mark,
    None,
    Bool(bool),
    Int(i64),
    /// A number that no tensor needs.
    Float,
    Text(&'a str),
    Name(Name),
    /// A tuple or a list.
    Sequence(usize),
    Dict(usize),
    Storage(usize),
    Tensor(usize),
}

/// The names that a pickle may say. None of them is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildParameter,
    Storage(Element),
}

/// What a storage holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// A storage as a pickle describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) element: Element,
    /// Elements that it claims to hold.
    pub(super) len: u64,
}

/// A tensor as a pickle describes it; everything in elements.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) storage: usize,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// What a pickle said.
#[derive(Default)]
pub(super) struct Pickle<'a> {
    /// Its last word.
    pub(super) value: Option<Value<'a>>,
    pub(super) storages: Vec<Storage<'a>>,
    pub(super) tensors: Vec<Tensor>,
    pub(super) sequences: Vec<Vec<Value<'a>>>,
    pub(super) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
}

impl<'a> Pickle<'a> {
    /// The items of a tuple or a list.
    pub(super) fn sequence(&self, value: Value<'_>) -> Option<&[Value<'a>]> {
        let Value::Sequence(at) = value else { return None };
        self.sequences.get(at).map(Vec::as_slice)
    }

    /// The entries of a dict, in order.
    pub(super) fn dict(&self, value: Value<'_>) -> Option<&[(Value<'a>, Value<'a>)]> {
        let Value::Dict(at) = value else { return None };
        self.dicts.get(at).map(Vec::as_slice)
    }
}

impl Name {
    /// The name `module.name`, if it is one of them.
    pub(super) fn of(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensorV2),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", storage) => storage.strip_suffix("Storage").and_then(Element::of).map(Self::Storage),
            _ => None,
        }
    }
}

impl Element {
    fn of(name: &str) -> Option<Self> {
        match name {
            "Double" => Some(Self::F64),
            "Float" => Some(Self::F32),
            "Half" => Some(Self::F16),
            "BFloat16" => Some(Self::BF16),
            "Long" => Some(Self::I64),
            "Int" => Some(Self::I32),
            "Short" => Some(Self::I16),
            "Char" => Some(Self::I8),
            "Byte" => Some(Self::U8),
            "Bool" => Some(Self::Bool),
            _ => None,
        }
    }

    /// Bytes of an element.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}
