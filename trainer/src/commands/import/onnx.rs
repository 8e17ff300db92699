//! `TransformerNet` of pytorch/examples as an ONNX file, such as the model zoo's `candy`,
//! `mosaic`, `rain_princess`, `udnie` and `pointilism`.
//!
//! Names in such files depend on the version of PyTorch that wrote them. What a layer is
//! follows from its place: the operations are compared, one by one, with those of the
//! network, and the weights get the names that they had in PyTorch.

mod folding;

use super::tensors::Tensors;
use crate::io::onnx::proto::{self, FLOAT, FLOAT16};
use crate::io::torch_file::{ElementType, SavedTensor};
use anyhow::{Context, Result, bail, ensure};
use folding::{Known, Numbers};
use prost::Message;
use std::borrow::Cow;
use std::collections::HashMap;

/// The operations through which the picture goes. All others compute sizes.
const OPERATIONS: [&str; 7] = [
    "Pad",
    "Conv",
    "InstanceNormalization",
    "Relu",
    "Add",
    "Upsample",
    "Resize",
];

/// `epsilon` of the normalisation in PyTorch.
const EPSILON: f32 = 1e-5;

/// Whether `bytes` begin as an ONNX file does: with the format's version, then who wrote
/// it or another field of the model.
pub fn is_one(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x08, _, 0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a | 0x42, ..]
    )
}

/// The weights of the network in an ONNX file, by their names in PyTorch.
///
/// # Errors
/// The file is damaged, or its network is another one.
pub fn read(bytes: &[u8]) -> Result<Tensors<'static>> {
    let model = proto::Model::decode(bytes).context("a damaged ONNX file")?;
    let own = |entry: &proto::Entry| {
        entry.key.as_deref() == Some("format") && entry.value.as_deref() == Some("faststyle")
    };
    ensure!(
        !model.metadata_props.iter().any(own),
        "an ONNX file that export-onnx wrote: use the model that it was made from"
    );
    let graph = model.graph.context("an ONNX file without a network")?;
    let mut walk = Walk::new(&graph)?;
    walk.transformer_net()
        .context("an ONNX file, but not one of TransformerNet of pytorch/examples")?;
    Ok(walk.found)
}

/// The way of the picture through a graph.
struct Walk<'g> {
    constants: HashMap<&'g str, &'g proto::Tensor>,
    /// Borders, and what else is computed from whole numbers.
    numbers: Known<'g>,
    /// The operations that are still to come, in their order.
    nodes: std::iter::Peekable<std::vec::IntoIter<&'g proto::Node>>,
    /// The result of the last operation.
    picture: &'g str,
    found: Tensors<'static>,
}

impl<'g> Walk<'g> {
    fn new(graph: &'g proto::Graph) -> Result<Self> {
        let mut constants = HashMap::new();
        for tensor in &graph.initializer {
            constants.insert(name(&tensor.name), tensor);
        }
        for node in graph
            .node
            .iter()
            .filter(|node| name(&node.op_type) == "Constant")
        {
            let value = node.attribute("value").and_then(|value| value.t.as_ref());
            constants.extend(node.output.first().map(String::as_str).zip(value));
        }
        let of_tensor =
            |(name, tensor): (&&'g str, &&'g proto::Tensor)| Some((*name, Numbers::of(tensor)?));
        let mut numbers: Known = constants.iter().filter_map(of_tensor).collect();
        for node in &graph.node {
            let result = folding::fold(node, &numbers);
            numbers.extend(node.output.first().map(String::as_str).zip(result));
        }
        // Older files list the weights among the inputs.
        let inputs = graph.input.iter().map(|input| name(&input.name));
        let picture = inputs
            .filter(|name| !constants.contains_key(name))
            .collect::<Vec<_>>();
        let [picture] = picture[..] else {
            bail!("a network with {} inputs", picture.len());
        };
        let nodes = graph.node.iter();
        let nodes: Vec<_> = nodes
            .filter(|n| OPERATIONS.contains(&name(&n.op_type)))
            .collect();
        Ok(Walk {
            constants,
            numbers,
            nodes: nodes.into_iter().peekable(),
            picture,
            found: Tensors::new(),
        })
    }

    fn transformer_net(&mut self) -> Result<()> {
        for (layer, stride) in [(1, 1), (2, 2), (3, 2)] {
            self.convolution(&format!("conv{layer}"), stride)?;
            self.norm(&format!("in{layer}"))?;
            self.operation(&["Relu"])?;
        }
        for block in 1.. {
            if self.next_is(&["Upsample", "Resize"]) {
                break;
            }
            self.residual_block(&format!("res{block}"))?;
        }
        for layer in [1, 2] {
            self.upsampling()?;
            self.convolution(&format!("deconv{layer}"), 1)?;
            self.norm(&format!("in{}", layer + 3))?;
            self.operation(&["Relu"])?;
        }
        self.convolution("deconv3", 1)?;
        match self.nodes.next() {
            None => Ok(()),
            Some(node) => bail!("`{}` follows the last convolution", name(&node.op_type)),
        }
    }

    fn residual_block(&mut self, block: &str) -> Result<()> {
        let before = self.picture;
        for part in [1, 2] {
            self.convolution(&format!("{block}.conv{part}"), 1)?;
            self.norm(&format!("{block}.in{part}"))?;
            if part == 1 {
                self.operation(&["Relu"])?;
            }
        }
        let after = self.picture;
        let node = self
            .nodes
            .next()
            .context("the network ends within a block")?;
        let terms: Vec<&str> = node.input.iter().map(String::as_str).collect();
        ensure!(
            name(&node.op_type) == "Add" && (terms == [before, after] || terms == [after, before]),
            "`{}` in place of the sum at the end of {block}",
            name(&node.op_type)
        );
        self.picture = first(&node.output)?;
        Ok(())
    }

    /// A mirrored border and a convolution.
    fn convolution(&mut self, layer: &str, stride: i64) -> Result<()> {
        let pad = self.operation(&["Pad"])?;
        let convolution = self.operation(&["Conv"])?;
        let [_, weight, bias @ ..] = &convolution.input[..] else {
            bail!("{layer} has no weights");
        };
        let weight = self.tensor(weight)?;
        ensure!(
            weight.shape.len() == 4,
            "{layer} is no convolution of pictures"
        );
        let side = weight.shape[3] as i64;
        let reach = side / 2;
        ensure!(
            text(pad, "mode") == Some("reflect")
                && self.integers(pad, "pads", 1)? == [0, 0, reach, reach, 0, 0, reach, reach],
            "the border of {layer} is not mirrored as there"
        );
        let is = |attribute, expected: &[i64]| {
            let found = integers(convolution, attribute);
            found.is_none_or(|found| found == expected)
        };
        let group = convolution.attribute("group");
        ensure!(
            is("strides", &[stride; 2])
                && (stride == 1 || integers(convolution, "strides").is_some())
                && is("pads", &[0; 4])
                && is("dilations", &[1; 2])
                && is("kernel_shape", &[side; 2])
                && group.is_none_or(|group| group.i.unwrap_or(1) == 1),
            "{layer} is another convolution than there"
        );
        self.found.insert(format!("{layer}.conv2d.weight"), weight);
        if let Some(bias) = bias.first() {
            let bias = self.tensor(bias)?;
            self.found.insert(format!("{layer}.conv2d.bias"), bias);
        }
        Ok(())
    }

    fn norm(&mut self, layer: &str) -> Result<()> {
        let norm = self.operation(&["InstanceNormalization"])?;
        let [_, scale, shift] = &norm.input[..] else {
            bail!("{layer} has no scale or shift");
        };
        let epsilon = norm.attribute("epsilon");
        let epsilon = epsilon.and_then(|epsilon| epsilon.f).unwrap_or(EPSILON);
        ensure!(
            (epsilon - EPSILON).abs() < 1e-9,
            "{layer} has an epsilon of {epsilon}"
        );
        for (kind, number) in [("weight", scale), ("bias", shift)] {
            let tensor = self.tensor(number)?;
            self.found.insert(format!("{layer}.{kind}"), tensor);
        }
        Ok(())
    }

    /// To twice the size. Some versions of PyTorch wrote how it follows from the
    /// picture's size; then there is no number to compare.
    fn upsampling(&mut self) -> Result<()> {
        let node = self.operation(&["Upsample", "Resize"])?;
        let place = if name(&node.op_type) == "Resize" {
            2
        } else {
            1
        };
        let scales = match (node.attribute("scales"), node.input.get(place)) {
            (Some(listed), _) => Some(listed.floats.clone()),
            (None, Some(input)) => match self.constants.get(input.as_str()) {
                Some(_) => Some(self.tensor(input)?.floats()?),
                None => None,
            },
            (None, None) => None,
        };
        ensure!(
            matches!(text(node, "mode"), None | Some("nearest"))
                && scales.is_none_or(|s| s.is_empty() || s == [1.0, 1.0, 2.0, 2.0]),
            "the picture is enlarged in another way than there"
        );
        Ok(())
    }

    fn next_is(&mut self, operations: &[&str]) -> bool {
        let next = self.nodes.peek();
        next.is_none_or(|node| operations.contains(&name(&node.op_type)))
    }

    /// The next operation, which must be one of these on the picture as it is.
    fn operation(&mut self, expected: &[&str]) -> Result<&'g proto::Node> {
        let expected_name = expected.join(" or ");
        let Some(node) = self.nodes.next() else {
            bail!("the network ends where {expected_name} should follow");
        };
        let found = name(&node.op_type);
        ensure!(
            expected.contains(&found),
            "`{found}` in place of {expected_name}"
        );
        ensure!(
            node.input
                .first()
                .is_some_and(|input| input == self.picture),
            "a network that branches at `{found}`"
        );
        self.picture = first(&node.output)?;
        Ok(node)
    }

    /// The whole numbers of an attribute or, in later versions, of an input, which may be
    /// computed.
    fn integers(&self, node: &proto::Node, attribute: &str, input: usize) -> Result<Vec<i64>> {
        if let Some(found) = integers(node, attribute) {
            return Ok(found.to_vec());
        }
        let input = node.input.get(input).map_or("", String::as_str);
        let numbers = self.numbers.get(input);
        let numbers = numbers.with_context(|| format!("`{attribute}` is no list of numbers"))?;
        Ok(numbers.values.clone())
    }

    fn tensor(&self, name: &str) -> Result<SavedTensor<'static>> {
        let tensor = self
            .constants
            .get(name)
            .with_context(|| format!("`{name}` is computed"))?;
        saved(tensor).with_context(|| format!("tensor `{name}`"))
    }
}

fn saved(tensor: &proto::Tensor) -> Result<SavedTensor<'static>> {
    let element_type = match tensor.data_type {
        Some(FLOAT) => ElementType::Float,
        Some(FLOAT16) => ElementType::Half,
        _ => bail!("it does not hold floats"),
    };
    let data = match &tensor.raw_data {
        Some(raw) => raw.clone(),
        None => tensor
            .float_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
    };
    let sizes = tensor.dims.iter().map(|size| usize::try_from(*size).ok());
    let shape: Vec<usize> = sizes.collect::<Option<_>>().context("a negative size")?;
    let bytes = shape
        .iter()
        .try_fold(element_type.bytes(), |n, size| n.checked_mul(*size));
    ensure!(
        bytes == Some(data.len()),
        "its numbers are not in the file, or others"
    );
    Ok(SavedTensor {
        element_type,
        shape,
        data: Cow::Owned(data),
    })
}

fn name(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or_default()
}

fn first(names: &[String]) -> Result<&str> {
    names
        .first()
        .map(String::as_str)
        .context("an operation without a result")
}

fn integers<'n>(node: &'n proto::Node, attribute: &str) -> Option<&'n [i64]> {
    node.attribute(attribute).map(|found| &found.ints[..])
}

fn text<'n>(node: &'n proto::Node, attribute: &str) -> Option<&'n str> {
    std::str::from_utf8(node.attribute(attribute)?.s.as_deref()?).ok()
}
