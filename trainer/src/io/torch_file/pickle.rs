//! Python pickles, as far as a dictionary of tensors needs them.
//!
//! A pickle is a program for a small stack machine that can in general call
//! anything; this one knows only the instructions that dictionaries of tensors
//! are made of, and the only "calls" it understands are those that describe a
//! tensor or an ordered dictionary. Nothing is ever executed.

use super::saved_tensor::ElementType;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A network's checkpoint takes some thousands of instructions; the bound
/// keeps a hostile one from running for long.
pub const MAX_INSTRUCTIONS: usize = 1_000_000;

/// Containers within containers: the bound keeps the (recursive) drop of a
/// value from overflowing the thread's stack.
const MAX_DEPTH: usize = 16;

/// Sides of a tensor. Many tensors may share one tuple of them, which each
/// copies.
const MAX_DIMENSIONS: usize = 8;

/// What to do about a file with more than tensors in it.
const ADVICE: &str = "save the network's state_dict() alone";

/// The storages that a pickle announced, by their keys.
pub type Storages = BTreeMap<Rc<str>, Rc<StorageInfo>>;

/// The data of each storage, by its key.
pub type StorageData<'a> = HashMap<Rc<str>, &'a [u8]>;

/// The bytes that a storage should have.
pub fn storage_bytes(storages: &Storages, key: &str) -> Result<usize> {
    let info = storages
        .get(key)
        .with_context(|| format!("storage {key} belongs to no tensor"))?;
    info.count
        .checked_mul(info.element_type.bytes())
        .with_context(|| format!("storage {key} is larger than memory"))
}

/// What a pickle can hold here.
#[derive(Clone)]
pub enum Value {
    None,
    Bool(bool),
    /// 128 bits, for the sake of the 80 of the magic number.
    Int(i128),
    /// A real number; no tensor depends on which.
    Real,
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
pub struct Container<T> {
    pub items: Vec<T>,
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
    pub fn text(&self) -> Option<&str> {
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
        let sizes = self.tuple()?;
        ensure!(
            sizes.len() <= MAX_DIMENSIONS,
            "a tensor of {} dimensions",
            sizes.len()
        );
        sizes.iter().map(Value::size).collect()
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

/// A run of numbers that tensors share.
#[derive(PartialEq, Eq)]
pub struct StorageInfo {
    pub element_type: ElementType,
    pub key: Rc<str>,
    /// Its number of elements.
    pub count: usize,
}

impl StorageInfo {
    /// From `('storage', class, key, location, count)`, of which the legacy
    /// format has a sixth, for storages that are parts of others.
    fn from_id(id: &Value) -> Result<Self> {
        let id = id.tuple()?;
        ensure!(
            id.first().and_then(Value::text) != Some("module"),
            "it holds a whole network with its code: {ADVICE}"
        );
        let [tag, class, key, _location, count, view @ ..] = id else {
            bail!("a storage is not described by five values");
        };
        ensure!(tag.text() == Some("storage"), "not a storage");
        let (Value::Global(class), Value::Text(key)) = (class, key) else {
            bail!("a storage has no class or no key");
        };
        ensure!(
            matches!(view, [] | [Value::None]),
            "storage {key} is a part of another one"
        );
        Ok(StorageInfo {
            element_type: ElementType::from_class(class)?,
            key: key.clone(),
            count: count.size()?,
        })
    }
}

/// Where a tensor's numbers are.
pub struct TensorInfo {
    pub storage: Rc<StorageInfo>,
    /// Offset of the first element, in elements, as the strides are.
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl TensorInfo {
    /// From the arguments of `torch._utils._rebuild_tensor` or its second
    /// version.
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
}

/// The file's bytes and how far they are read.
pub struct Input<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Input<'a> {
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self
            .at
            .checked_add(count)
            .and_then(|end| self.bytes.get(self.at..end))
            .context("truncated: the file ends too early")?;
        self.at += count;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
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
struct Machine<'s> {
    stack: Vec<Value>,
    /// Heights of the stack at which a sequence began.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    storages: &'s mut Storages,
}

/// Runs one pickle, up to and with its `STOP`, and adds the storages that it
/// announces to `storages`.
pub fn unpickle(input: &mut Input, storages: &mut Storages) -> Result<Value> {
    let mut machine = Machine {
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        storages,
    };
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

impl Machine<'_> {
    fn step(&mut self, opcode: u8, input: &mut Input) -> Result<()> {
        match opcode {
            0x80 => ensure!(input.byte()? <= 2, "pickle protocol above 2"), // PROTO
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a => self.stack.push(Value::Int(integer(opcode, input)?)),
            b'G' => {
                input.take(8)?;
                self.stack.push(Value::Real);
            }
            // Unicode and, from Python 2, text of bytes: long and short.
            b'X' | b'T' => {
                let count = u32::from_le_bytes(input.array()?);
                self.push_text(input, usize::try_from(count)?)?;
            }
            b'U' => {
                let count = input.byte()?;
                self.push_text(input, count.into())?;
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
            b'Q' => self.push_storage()?,
            b'R' => self.call()?,
            b'b' => self.set_attributes()?,
            0x81 | b'i' | b'o' => bail!("it holds Python objects besides tensors: {ADVICE}"),
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

    fn push_text(&mut self, input: &mut Input, count: usize) -> Result<()> {
        self.stack.push(Value::Text(input.text(count)?.into()));
        Ok(())
    }

    fn push_storage(&mut self) -> Result<()> {
        let info = Rc::new(StorageInfo::from_id(&self.pop()?)?);
        let known = self.storages.entry(info.key.clone());
        let known = known.or_insert_with(|| info.clone());
        ensure!(
            *known == info,
            "storage {} is announced in two ways",
            info.key
        );
        self.stack.push(Value::Storage(known.clone()));
        Ok(())
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
        // So that nothing can grow beyond what was written: a tuple that holds
        // itself many times over, say.
        ensure!(
            matches!(value, Value::Tuple(_)) && value.depth() == 1 || value.depth() == 0,
            "a container is used in two places"
        );
        self.stack.push(value.clone());
        Ok(())
    }

    /// `BUILD`: gives an object its attributes. Those of a dictionary, such as
    /// the versions of a network's layers, matter to nobody here.
    fn set_attributes(&mut self) -> Result<()> {
        self.pop()?;
        let on_dictionary = matches!(self.stack.last(), Some(Value::Dict(_)));
        ensure!(
            on_dictionary,
            "it holds Python objects besides tensors: {ADVICE}"
        );
        Ok(())
    }

    /// `REDUCE`: in Python a call of anything; here one of a few known values.
    fn call(&mut self) -> Result<()> {
        let arguments = self.pop()?;
        let arguments = arguments.tuple()?;
        let Value::Global(function) = self.pop()? else {
            bail!("a call of something that has no name");
        };
        let value = match &*function {
            "torch._utils _rebuild_tensor" | "torch._utils _rebuild_tensor_v2" => {
                Value::Tensor(Rc::new(TensorInfo::from_arguments(arguments)?))
            }
            "torch._utils _rebuild_parameter" => match arguments {
                [tensor @ Value::Tensor(_), ..] => tensor.clone(),
                _ => bail!("a parameter without a tensor"),
            },
            "collections OrderedDict" => ordered_dictionary(arguments)?,
            other => bail!("a call of `{other}`, which no tensor needs, is refused: {ADVICE}"),
        };
        self.stack.push(value);
        Ok(())
    }
}

/// An `OrderedDict`, to be filled later or, from Python 2, made of a list of
/// pairs.
fn ordered_dictionary(arguments: &[Value]) -> Result<Value> {
    let mut dict = Container::empty();
    let pairs = match arguments {
        [] => &[][..],
        [Value::List(pairs)] => &pairs.items,
        _ => bail!("an ordered dictionary of something unknown"),
    };
    for pair in pairs {
        let pair = match pair {
            Value::List(pair) => &pair.items[..],
            pair => pair.tuple()?,
        };
        let [key, value] = pair else {
            bail!("an ordered dictionary of what are no pairs");
        };
        let depth = key.depth().max(value.depth());
        dict.add((key.clone(), value.clone()), depth)?;
    }
    Ok(Value::Dict(dict))
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
