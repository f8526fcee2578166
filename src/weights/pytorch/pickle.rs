//! The stack machine of pickle protocol 2, cut down to what `torch.save` writes for a state dict.
//!
//! <https://github.com/python/cpython/blob/3.12/Lib/pickletools.py> describes the instructions. Containers lie in one
//! flat list and values name them by number: a pickle that nests a million tuples, or a tuple in itself, is as long as
//! its instructions and is freed without recursion.

use std::collections::BTreeMap;

use super::value::{Name, Pickle, Storage, Tensor, Value};
use super::{malformed, unsupported};
use crate::error::Result;

/// BERT-base takes about 8,000 instructions. One takes at most 130 bytes to remember: 32 MiB in all.
const MAX_INSTRUCTIONS: usize = 1 << 18;
/// Python writes the entries of a dict in groups of 1000, two values an entry.
const MAX_STACK: usize = 1 << 16;
const MAX_MEMO: usize = 1 << 16;
/// The longest name of a tensor, in bytes.
const MAX_STRING: usize = 4096;
/// Tensors and storages.
const MAX_TENSORS: usize = 1 << 13;
/// Axes of a tensor.
const MAX_AXES: usize = 8;

/// Reads one pickle at the front of `bytes`; returns what it said and how long it was.
///
/// # Errors
/// An instruction, name or call that a state dict does not need; a limit; an end before the end.
pub(super) fn read(bytes: &[u8]) -> Result<(Pickle<'_>, usize)> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), memo: BTreeMap::new(), pickle: Pickle::default() };
    for _ in 0..MAX_INSTRUCTIONS {
        let place = machine.at;
        if !machine.step().map_err(|e| e.at(format!("pickle at byte {place}")))? {
            return Ok((machine.pickle, machine.at));
        }
    }
    Err(malformed(format!("a pickle of more than {MAX_INSTRUCTIONS} instructions")))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    memo: BTreeMap<u32, Value<'a>>,
    pickle: Pickle<'a>,
}

impl<'a> Machine<'a> {
    /// One instruction; false after the last one.
    fn step(&mut self) -> Result<bool> {
        let [instruction] = self.take()?;
        match instruction {
            0x80 => self.protocol()?,
            b'.' => {
                self.pickle.value = Some(self.pop()?);
                return Ok(false);
            }
            b'(' => self.push(Value::Mark)?,
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' | b'M' | b'J' | 0x8a => self.integer(instruction)?,
            b'G' => {
                self.take::<8>()?;
                self.push(Value::Float)?;
            }
            b'X' | b'T' | b'U' => self.text(instruction)?,
            b')' | b']' | b't' | 0x85..=0x87 => self.sequence(instruction)?,
            b'}' => self.new_dict()?,
            b'a' | b'e' => self.append(instruction)?,
            b's' | b'u' => self.set_items(instruction)?,
            b'q' | b'r' | b'h' | b'j' => self.memory(instruction)?,
            b'c' => self.global()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b'Q' => self.persistent()?,
            other => {
                return Err(unsupported(format!(
                    "instruction {other:#04x} is not one that a state dict is written with"
                )));
            }
        }
        Ok(true)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let found = *found.ok_or_else(|| malformed("ends in the middle"))?;
        self.at += N;
        Ok(found)
    }

    fn take_slice(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len);
        let found = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| malformed("ends in the middle"))?;
        self.at += len;
        Ok(found)
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        if self.stack.len() == MAX_STACK {
            return Err(malformed(format!("a stack of more than {MAX_STACK} values")));
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value<'a>> {
        match self.stack.pop() {
            Some(Value::Mark) | None => Err(malformed("takes a value from an empty stack")),
            Some(value) => Ok(value),
        }
    }

    /// The values since the last mark, which goes too.
    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>> {
        let mark = self.stack.iter().rposition(|value| *value == Value::Mark);
        let mark = mark.ok_or_else(|| malformed("takes values since a mark that is not there"))?;
        let values = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(values)
    }

    fn protocol(&mut self) -> Result<()> {
        match self.take()? {
            [2] => Ok(()),
            [other] => Err(unsupported(format!("protocol {other}, expected 2, which torch.save writes"))),
        }
    }

    fn integer(&mut self, instruction: u8) -> Result<()> {
        let value = match instruction {
            b'K' => i64::from(self.take::<1>()?[0]),
            b'M' => i64::from(u16::from_le_bytes(self.take()?)),
            b'J' => i64::from(i32::from_le_bytes(self.take()?)),
            _ => {
                let [len] = self.take()?;
                if len > 8 {
                    return Err(malformed(format!("an integer of {len} bytes, expected at most 8")));
                }
                let digits = self.take_slice(usize::from(len))?;
                let negative = digits.last().is_some_and(|top| top & 0x80 != 0);
                let mut all = if negative { [0xff; 8] } else { [0; 8] };
                all[..digits.len()].copy_from_slice(digits);
                i64::from_le_bytes(all)
            }
        };
        self.push(Value::Int(value))
    }

    fn text(&mut self, instruction: u8) -> Result<()> {
        // `U` and `T` are the byte strings of Python 2, which wrote the oldest files.
        let len = match instruction {
            b'U' => usize::from(self.take::<1>()?[0]),
            _ => usize::try_from(u32::from_le_bytes(self.take()?)).unwrap_or(usize::MAX),
        };
        if len > MAX_STRING {
            return Err(malformed(format!("a text of {len} bytes, expected at most {MAX_STRING}")));
        }
        let text = std::str::from_utf8(self.take_slice(len)?).map_err(|_| malformed("a text that is not UTF-8"))?;
        self.push(Value::Text(text))
    }

    fn sequence(&mut self, instruction: u8) -> Result<()> {
        let items = match instruction {
            b')' | b']' => Vec::new(),
            b't' => self.pop_to_mark()?,
            // TUPLE1 to TUPLE3.
            _ => {
                let mut items = (0x84..instruction).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
                items.reverse();
                items
            }
        };
        self.pickle.sequences.push(items);
        self.push(Value::Sequence(self.pickle.sequences.len() - 1))
    }

    fn new_dict(&mut self) -> Result<()> {
        self.pickle.dicts.push(Vec::new());
        self.push(Value::Dict(self.pickle.dicts.len() - 1))
    }

    fn append(&mut self, instruction: u8) -> Result<()> {
        let items = if instruction == b'a' { vec![self.pop()?] } else { self.pop_to_mark()? };
        match self.stack.last() {
            Some(Value::Sequence(at)) => self.pickle.sequences[*at].extend(items),
            _ => return Err(malformed("appends to what is not a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, instruction: u8) -> Result<()> {
        let items = if instruction == b's' {
            let value = self.pop()?;
            vec![self.pop()?, value]
        } else {
            self.pop_to_mark()?
        };
        let Some(Value::Dict(at)) = self.stack.last() else {
            return Err(malformed("sets entries of what is not a dict"));
        };
        let (pairs, []) = items.as_chunks::<2>() else { return Err(malformed("a key without a value")) };
        self.pickle.dicts[*at].extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn memory(&mut self, instruction: u8) -> Result<()> {
        let key = match instruction {
            b'q' | b'h' => u32::from(self.take::<1>()?[0]),
            _ => u32::from_le_bytes(self.take()?),
        };
        if matches!(instruction, b'h' | b'j') {
            let value = self.memo.get(&key).ok_or_else(|| malformed(format!("nothing is remembered as {key}")))?;
            return self.push(*value);
        }
        let value = match self.stack.last() {
            Some(Value::Mark) | None => return Err(malformed("remembers nothing")),
            Some(value) => *value,
        };
        if self.memo.len() == MAX_MEMO {
            return Err(malformed(format!("more than {MAX_MEMO} values are remembered")));
        }
        self.memo.insert(key, value);
        Ok(())
    }

    fn global(&mut self) -> Result<()> {
        let module = self.line()?;
        let name = self.line()?;
        let known = Name::of(module, name).ok_or_else(|| {
            unsupported(format!(
                "asks for {:?}, which is not part of a tensor: nothing was run",
                format!("{module}.{name}")
            ))
        })?;
        self.push(Value::Name(known))
    }

    fn line(&mut self) -> Result<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().take(MAX_STRING).position(|&byte| byte == b'\n');
        let line = self.take_slice(len.ok_or_else(|| malformed("a name without an end"))?)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| malformed("a name that is not UTF-8"))
    }

    fn reduce(&mut self) -> Result<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let arguments = self.pickle.sequence(arguments).ok_or_else(|| malformed("calls without a tuple"))?;
        let value = match (callee, arguments) {
            (Value::Name(Name::OrderedDict), []) => return self.new_dict(),
            (Value::Name(Name::RebuildParameter), [tensor @ Value::Tensor(_), ..]) => *tensor,
            // (storage, offset, size, stride), and of the second version flags and hooks that no tensor needs.
            (
                Value::Name(Name::RebuildTensor | Name::RebuildTensorV2),
                [Value::Storage(storage), Value::Int(offset), size, stride, ..],
            ) => {
                let offset = u64::try_from(*offset).map_err(|_| malformed(format!("a tensor at {offset}")))?;
                let (shape, strides) = (self.axes(*size)?, self.axes(*stride)?);
                let storage = *storage;
                self.pickle.tensors.push(Tensor { storage, offset, shape, strides });
                Value::Tensor(self.pickle.tensors.len() - 1)
            }
            (Value::Name(name), _) => {
                return Err(malformed(format!("{name:?} with other arguments than a state dict has")));
            }
            _ => return Err(malformed("calls what is not a name")),
        };
        self.limit()?;
        self.push(value)
    }

    /// A size or a stride.
    fn axes(&self, value: Value<'_>) -> Result<Vec<u64>> {
        let items = self.pickle.sequence(value).ok_or_else(|| malformed("a shape that is not a tuple"))?;
        if items.len() > MAX_AXES {
            return Err(malformed(format!("{} axes, expected at most {MAX_AXES}", items.len())));
        }
        let axis = |item: &Value<'_>| match item {
            Value::Int(length) => u64::try_from(*length).map_err(|_| malformed(format!("an axis of {length}"))),
            _ => Err(malformed("an axis that is not a number")),
        };
        items.iter().map(axis).collect()
    }

    /// The state of an `OrderedDict` is its attributes, of which `_metadata` is the only one: of no use here.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        match (self.stack.last(), state) {
            (Some(Value::Dict(_)), Value::Dict(_)) => Ok(()),
            _ => Err(malformed("gives a state to what is not a dict")),
        }
    }

    /// `('storage', torch.FloatStorage, key, device, elements)`; the older form adds a view, which nothing writes.
    fn persistent(&mut self) -> Result<()> {
        let id = self.pop()?;
        let (kind, element, key, len) = match self.pickle.sequence(id) {
            Some([Value::Text(kind), Value::Name(Name::Storage(element)), Value::Text(key), _, Value::Int(len)])
            | Some(
                [
                    Value::Text(kind),
                    Value::Name(Name::Storage(element)),
                    Value::Text(key),
                    _,
                    Value::Int(len),
                    Value::None,
                ],
            ) => (*kind, *element, *key, *len),
            _ => return Err(unsupported("a persistent id that is not the plain one of a storage")),
        };
        if kind != "storage" {
            return Err(unsupported(format!("a persistent id of the kind {kind:?}, expected \"storage\"")));
        }
        let len = u64::try_from(len).map_err(|_| malformed(format!("a storage of {len} elements")))?;
        self.pickle.storages.push(Storage { key, element, len });
        self.limit()?;
        self.push(Value::Storage(self.pickle.storages.len() - 1))
    }

    fn limit(&self) -> Result<()> {
        if self.pickle.tensors.len() > MAX_TENSORS || self.pickle.storages.len() > MAX_TENSORS {
            return Err(malformed(format!("more than {MAX_TENSORS} tensors")));
        }
        Ok(())
    }
}
