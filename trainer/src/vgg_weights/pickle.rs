//! Python pickles as `torch.save` wrote them before PyTorch 1.6.
//!
//! Such a file is a few pickles in a row (magic number, protocol version,
//! facts about the writer, the saved object, the keys of its storages) and
//! then the raw storages. A pickle is a program for a small stack machine that
//! can in general call anything; this one knows only the instructions that a
//! dictionary of tensors needs, and the only "calls" it understands are those
//! that describe a tensor. Nothing is ever executed, and no memory is reserved
//! by what the file claims before the claim is checked against its real size.

use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i128 = 1001;

/// The genuine file takes some 1,600 instructions; the bound keeps a hostile
/// one from running for long.
const MAX_INSTRUCTIONS: usize = 100_000;

/// Containers within containers: the bound keeps the (recursive) drop of a
/// value from overflowing the thread's stack.
const MAX_DEPTH: usize = 16;

/// The element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `torch.ByteStorage`
    Byte,
    /// `torch.FloatStorage`
    Float,
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Kind::Byte => 1,
            Kind::Float => 4,
        }
    }
}

/// A tensor of the saved dictionary, its data still in the file's bytes.
#[derive(Debug)]
pub struct SavedTensor<'a> {
    pub kind: Kind,
    pub shape: Vec<usize>,
    /// Row-major, little-endian.
    pub data: &'a [u8],
}

impl SavedTensor<'_> {
    /// The values of a tensor of floats.
    pub fn floats(&self) -> Result<Vec<f32>> {
        ensure!(self.kind == Kind::Float, "it does not hold floats");
        let (words, _) = self.data.as_chunks::<4>();
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }
}

/// Whether `bytes` begin as a legacy `torch.save` file does.
pub fn is_legacy(bytes: &[u8]) -> bool {
    // PROTO 2, LONG1 of 10 bytes, the magic number.
    let magic = MAGIC.to_le_bytes();
    bytes.get(..4) == Some(&[0x80, 2, 0x8a, 10]) && bytes.get(4..14) == Some(&magic[..10])
}

/// The tensors, by name, of a dictionary written by `torch.save`'s legacy
/// format.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, SavedTensor<'_>>> {
    let mut input = Input { bytes, at: 0 };
    let magic = unpickle(&mut input).context("magic number")?;
    ensure!(
        matches!(magic, Value::Int(MAGIC)),
        "not a legacy torch.save file"
    );
    let protocol = unpickle(&mut input).context("protocol version")?;
    ensure!(
        matches!(protocol, Value::Int(PROTOCOL)),
        "torch.save protocol is not {PROTOCOL}"
    );
    check_byte_order(&unpickle(&mut input).context("system information")?)?;
    let tensors = named_tensors(unpickle(&mut input).context("saved object")?)?;
    let keys = storage_keys(unpickle(&mut input).context("storage keys")?)?;
    let storages = read_storages(&mut input, &keys, &tensors)?;
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            let saved = tensor
                .locate(&storages)
                .with_context(|| format!("tensor `{name}`"))?;
            Ok((name, saved))
        })
        .collect()
}

fn check_byte_order(system: &Value) -> Result<()> {
    let Value::Dict(system) = system else {
        bail!("system information is not a dictionary");
    };
    let little = system.items.iter().any(|(key, value)| {
        key.text() == Some("little_endian") && matches!(value, Value::Bool(true))
    });
    ensure!(little, "written by a machine that is not little-endian");
    Ok(())
}

fn named_tensors(object: Value) -> Result<BTreeMap<String, Rc<TensorInfo>>> {
    let Value::Dict(dict) = object else {
        bail!("the saved object is not a dictionary");
    };
    let mut tensors = BTreeMap::new();
    for (key, value) in dict.items {
        let name = key
            .text()
            .context("a key of the dictionary is not a text")?;
        let Value::Tensor(info) = value else {
            bail!("`{name}` is not a tensor");
        };
        ensure!(
            tensors.insert(name.to_string(), info).is_none(),
            "`{name}` is there twice"
        );
    }
    Ok(tensors)
}

fn storage_keys(object: Value) -> Result<Vec<Rc<str>>> {
    let Value::List(list) = object else {
        bail!("the storage keys are not a list");
    };
    list.items
        .into_iter()
        .map(|key| match key {
            Value::Text(key) => Ok(key),
            _ => bail!("a storage key is not a text"),
        })
        .collect()
}

/// The raw storages that end the file: for each key the number of elements
/// (64 bits), then the elements.
fn read_storages<'a>(
    input: &mut Input<'a>,
    keys: &[Rc<str>],
    tensors: &BTreeMap<String, Rc<TensorInfo>>,
) -> Result<HashMap<Rc<str>, &'a [u8]>> {
    let mut announced: HashMap<&str, &StorageInfo> = HashMap::new();
    for tensor in tensors.values() {
        let known = announced
            .entry(&tensor.storage.key)
            .or_insert(&tensor.storage);
        ensure!(
            **known == *tensor.storage,
            "storage {} is announced in two ways",
            tensor.storage.key
        );
    }
    let mut storages = HashMap::new();
    for key in keys {
        let info = announced
            .get(&**key)
            .with_context(|| format!("storage {key} belongs to no tensor"))?;
        let data = read_storage(input, info).with_context(|| format!("storage {key}"))?;
        ensure!(
            storages.insert(key.clone(), data).is_none(),
            "storage {key} is there twice"
        );
    }
    ensure!(
        input.at == input.bytes.len(),
        "there is more after the last storage"
    );
    Ok(storages)
}

fn read_storage<'a>(input: &mut Input<'a>, info: &StorageInfo) -> Result<&'a [u8]> {
    let count = u64::from_le_bytes(input.array()?);
    ensure!(
        usize::try_from(count) == Ok(info.count),
        "it has {count} elements where {} were announced",
        info.count
    );
    let bytes = info.count.checked_mul(info.kind.bytes());
    input.take(bytes.context("it is larger than memory")?)
}

/// What a pickle can hold here.
#[derive(Clone)]
enum Value {
    None,
    Bool(bool),
    /// 128 bits, for the sake of the 80 of the magic number.
    Int(i128),
    Text(Rc<str>),
    /// The name of a class or function: `torch FloatStorage`.
    Global(Rc<str>),
    Tuple(Rc<Container<Value>>),
    List(Container<Value>),
    Dict(Container<(Value, Value)>),
    Storage(Rc<StorageInfo>),
    Tensor(Rc<TensorInfo>),
}

#[derive(Clone)]
struct Container<T> {
    items: Vec<T>,
    /// How many containers one can go down from here, this one included.
    depth: usize,
}

impl<T> Container<T> {
    fn empty() -> Self {
        Container {
            items: Vec::new(),
            depth: 1,
        }
    }

    fn add(&mut self, item: T, depth: usize) -> Result<()> {
        self.depth = self.depth.max(depth + 1);
        ensure!(self.depth <= MAX_DEPTH, "too many containers in containers");
        self.items.push(item);
        Ok(())
    }
}

impl Value {
    fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn size(&self) -> Result<usize> {
        match self {
            Value::Int(number) => usize::try_from(*number).context("a size is out of range"),
            _ => bail!("a size is not a number"),
        }
    }

    fn tuple(&self) -> Result<&[Value]> {
        match self {
            Value::Tuple(tuple) => Ok(&tuple.items),
            _ => bail!("a tuple is missing"),
        }
    }

    fn sizes(&self) -> Result<Vec<usize>> {
        self.tuple()?.iter().map(Value::size).collect()
    }

    fn depth(&self) -> usize {
        match self {
            Value::Tuple(tuple) => tuple.depth,
            Value::List(list) => list.depth,
            Value::Dict(dict) => dict.depth,
            _ => 0,
        }
    }
}

#[derive(PartialEq, Eq)]
struct StorageInfo {
    kind: Kind,
    key: Rc<str>,
    count: usize,
}

impl StorageInfo {
    /// From `('storage', class, key, location, count, view)`.
    fn from_id(id: &Value) -> Result<Self> {
        let [tag, class, key, _location, count, _view] = id.tuple()? else {
            bail!("a storage is not described by six values");
        };
        ensure!(tag.text() == Some("storage"), "not a storage");
        let (Value::Global(class), Value::Text(key)) = (class, key) else {
            bail!("a storage has no class or no key");
        };
        let kind = match &**class {
            "torch ByteStorage" => Kind::Byte,
            "torch FloatStorage" => Kind::Float,
            other => bail!("storages of class `{other}` are not expected here"),
        };
        Ok(StorageInfo {
            kind,
            key: key.clone(),
            count: count.size()?,
        })
    }
}

struct TensorInfo {
    storage: Rc<StorageInfo>,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl TensorInfo {
    /// From the arguments of `torch._utils._rebuild_tensor_v2`.
    fn from_arguments(arguments: &[Value]) -> Result<Self> {
        let [Value::Storage(storage), offset, shape, strides, ..] = arguments else {
            bail!("a tensor has no storage, offset, shape or strides");
        };
        Ok(TensorInfo {
            storage: storage.clone(),
            offset: offset.size()?,
            shape: shape.sizes()?,
            strides: strides.sizes()?,
        })
    }

    fn locate<'a>(&self, storages: &HashMap<Rc<str>, &'a [u8]>) -> Result<SavedTensor<'a>> {
        let kind = self.storage.kind;
        let data = storages
            .get(&self.storage.key)
            .context("its storage is not in the file")?;
        let count = self.contiguous_count()?;
        let range = self
            .offset
            .checked_add(count)
            .and_then(|end| {
                Some(self.offset.checked_mul(kind.bytes())?..end.checked_mul(kind.bytes())?)
            })
            .and_then(|range| data.get(range))
            .context("it reaches beyond its storage")?;
        Ok(SavedTensor {
            kind,
            shape: self.shape.clone(),
            data: range,
        })
    }

    /// The number of elements, if they lie one after the other.
    fn contiguous_count(&self) -> Result<usize> {
        ensure!(
            self.shape.len() == self.strides.len(),
            "shape and strides differ in length"
        );
        let mut count = 1usize;
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            ensure!(size == 1 || stride == count, "it is not contiguous");
            count = count
                .checked_mul(size)
                .context("it is larger than memory")?;
        }
        Ok(count)
    }
}

/// The file's bytes and how far they are read.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self
            .at
            .checked_add(count)
            .and_then(|end| self.bytes.get(self.at..end))
            .context("truncated: the file ends too early")?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn text(&mut self, count: usize) -> Result<&'a str> {
        std::str::from_utf8(self.take(count)?).context("a text is not UTF-8")
    }

    /// The text up to the end of the line, which is taken too.
    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .context("truncated: a line does not end")?;
        let line = self.text(length)?;
        self.at += 1;
        Ok(line)
    }
}

/// The stack machine.
#[derive(Default)]
struct Machine {
    stack: Vec<Value>,
    /// Heights of the stack at which a sequence began.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

/// Runs one pickle, up to and with its `STOP`.
fn unpickle(input: &mut Input) -> Result<Value> {
    let mut machine = Machine::default();
    for _ in 0..MAX_INSTRUCTIONS {
        let start = input.at;
        let opcode = input.byte()?;
        if opcode == b'.' {
            return machine.pop();
        }
        machine
            .step(opcode, input)
            .with_context(|| format!("pickle instruction at byte {start}"))?;
    }
    bail!("the pickle has more than {MAX_INSTRUCTIONS} instructions")
}

impl Machine {
    fn step(&mut self, opcode: u8, input: &mut Input) -> Result<()> {
        match opcode {
            0x80 => ensure!(input.byte()? <= 2, "pickle protocol above 2"), // PROTO
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a => self.stack.push(Value::Int(integer(opcode, input)?)),
            b'X' => {
                let count = u32::from_le_bytes(input.array()?);
                let text = input.text(usize::try_from(count)?)?;
                self.stack.push(Value::Text(text.into()));
            }
            b'c' => {
                let name = format!("{} {}", input.line()?, input.line()?);
                self.stack.push(Value::Global(name.into()));
            }
            b'}' => self.stack.push(Value::Dict(Container::empty())),
            b']' => self.stack.push(Value::List(Container::empty())),
            b')' => self.push_tuple(Vec::new())?,
            b'(' => self.marks.push(self.stack.len()),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_tuple(items)?;
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push_tuple(items)?;
            }
            b'a' => self.append(1)?,
            b'e' => {
                let count = self.count_to_mark()?;
                self.append(count)?;
            }
            b's' => self.set_items(2)?,
            b'u' => {
                let count = self.count_to_mark()?;
                self.set_items(count)?;
            }
            b'q' => self.remember(u32::from(input.byte()?))?,
            b'r' => self.remember(u32::from_le_bytes(input.array()?))?,
            b'h' => self.recall(u32::from(input.byte()?))?,
            b'j' => self.recall(u32::from_le_bytes(input.array()?))?,
            b'Q' => {
                let info = StorageInfo::from_id(&self.pop()?)?;
                self.stack.push(Value::Storage(Rc::new(info)));
            }
            b'R' => self.call()?,
            other => bail!("instruction {other:#04x} is not one that tensors need"),
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Value> {
        let mark = self.marks.last().copied().unwrap_or(0);
        ensure!(self.stack.len() > mark, "a value is missing on the stack");
        self.stack.pop().context("the stack is empty")
    }

    /// The topmost `count` values, lowest first.
    fn pop_many(&mut self, count: usize) -> Result<Vec<Value>> {
        let start = self.stack.len().checked_sub(count);
        let mark = self.marks.last().copied().unwrap_or(0);
        match start {
            Some(start) if start >= mark => Ok(self.stack.split_off(start)),
            _ => bail!("a value is missing on the stack"),
        }
    }

    /// How many values lie above the last mark, which is taken away.
    fn count_to_mark(&mut self) -> Result<usize> {
        let mark = self.marks.pop().context("a mark is missing on the stack")?;
        // Values below a mark are never popped while it is there.
        Ok(self.stack.len().saturating_sub(mark))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>> {
        let count = self.count_to_mark()?;
        self.pop_many(count)
    }

    fn push_tuple(&mut self, items: Vec<Value>) -> Result<()> {
        let mut tuple = Container::empty();
        for item in items {
            let depth = item.depth();
            tuple.add(item, depth)?;
        }
        self.stack.push(Value::Tuple(Rc::new(tuple)));
        Ok(())
    }

    fn append(&mut self, count: usize) -> Result<()> {
        let items = self.pop_many(count)?;
        let Some(Value::List(list)) = self.stack.last_mut() else {
            bail!("there is no list to append to");
        };
        for item in items {
            let depth = item.depth();
            list.add(item, depth)?;
        }
        Ok(())
    }

    fn set_items(&mut self, count: usize) -> Result<()> {
        let items = self.pop_many(count)?;
        let Some(Value::Dict(dict)) = self.stack.last_mut() else {
            bail!("there is no dictionary to add to");
        };
        ensure!(items.len() % 2 == 0, "a key of a dictionary has no value");
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            let depth = key.depth().max(value.depth());
            dict.add((key, value), depth)?;
        }
        Ok(())
    }

    fn remember(&mut self, id: u32) -> Result<()> {
        let value = self.stack.last().context("there is nothing to remember")?;
        // Lists and dictionaries are remembered as Python does it, while still
        // empty; a full one would be copied here, time and again if need be.
        let filled = match value {
            Value::List(list) => !list.items.is_empty(),
            Value::Dict(dict) => !dict.items.is_empty(),
            _ => false,
        };
        ensure!(!filled, "a filled list or dictionary is remembered");
        self.memo.insert(id, value.clone());
        Ok(())
    }

    fn recall(&mut self, id: u32) -> Result<()> {
        let value = self.memo.get(&id).context("nothing was remembered there")?;
        ensure!(
            !matches!(value, Value::List(_) | Value::Dict(_)),
            "a list or dictionary is used in two places"
        );
        self.stack.push(value.clone());
        Ok(())
    }

    /// `REDUCE`: in Python a call of anything; here one of two known values.
    fn call(&mut self) -> Result<()> {
        let arguments = self.pop()?;
        let arguments = arguments.tuple()?;
        let Value::Global(function) = self.pop()? else {
            bail!("a call of something that has no name");
        };
        let value = match &*function {
            "torch._utils _rebuild_tensor_v2" => {
                Value::Tensor(Rc::new(TensorInfo::from_arguments(arguments)?))
            }
            // A tensor's list of backward hooks, empty in a saved one.
            "collections OrderedDict" if arguments.is_empty() => Value::None,
            other => bail!("a call of `{other}`, which no tensor needs, is refused"),
        };
        self.stack.push(value);
        Ok(())
    }
}

/// The operand of an instruction that pushes a whole number.
fn integer(opcode: u8, input: &mut Input) -> Result<i128> {
    Ok(match opcode {
        b'K' => input.byte()?.into(),
        b'M' => u16::from_le_bytes(input.array()?).into(),
        b'J' => i32::from_le_bytes(input.array()?).into(),
        _ => {
            let count = usize::from(input.byte()?);
            ensure!(count <= 16, "a number of {count} bytes");
            let digits = input.take(count)?;
            let negative = digits.last().is_some_and(|last| last & 0x80 != 0);
            let mut bytes = [if negative { 0xff } else { 0 }; 16];
            bytes[..count].copy_from_slice(digits);
            i128::from_le_bytes(bytes)
        }
    })
}

#[cfg(test)]
pub(super) mod tests;
