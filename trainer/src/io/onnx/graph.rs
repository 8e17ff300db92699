//! An ONNX graph in the making: one operation after another.

use super::proto::{
    Attribute, Dimension, Entry, FLOAT, Graph, INT64, Length, Model, Node, OperatorSet, Tensor,
    TensorShape, TensorType, Type, ValueInfo,
};
use gstfaststyle::Size;
use prost::Message;

/// The version of the operators, and of the file that goes with it.
const OPERATORS: i64 = 17;
const IR_VERSION: i64 = 8;

/// A graph of one input and one output.
#[derive(Default)]
pub struct Builder {
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

impl Builder {
    /// Adds an operation; returns the name of its result.
    pub fn operation(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        let output = format!("{}_{}", operator.to_lowercase(), self.nodes.len());
        self.nodes.push(Node {
            input: inputs.iter().map(|name| name.to_string()).collect(),
            output: vec![output.clone()],
            name: Some(output.clone()),
            op_type: Some(operator.into()),
            attribute: attributes,
        });
        output
    }

    /// Adds numbers; returns their name.
    pub fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let data = values.iter().flat_map(|value| value.to_le_bytes());
        self.constant(name, FLOAT, dims, data.collect())
    }

    /// Adds whole numbers; returns their name.
    pub fn integers(&mut self, name: &str, values: &[usize]) -> String {
        let data = values
            .iter()
            .flat_map(|&value| (value as i64).to_le_bytes());
        self.constant(name, INT64, &[values.len()], data.collect())
    }

    fn constant(&mut self, name: &str, data_type: i32, dims: &[usize], data: Vec<u8>) -> String {
        // The same name twice stands for the same numbers.
        if !self
            .constants
            .iter()
            .any(|c| c.name.as_deref() == Some(name))
        {
            self.constants.push(Tensor {
                dims: dims.iter().map(|&dim| dim as i64).collect(),
                data_type: Some(data_type),
                name: Some(name.into()),
                raw_data: Some(data),
                ..Tensor::default()
            });
        }
        name.into()
    }

    /// The file: images `[1, 3, height, width]` from `input` to `output`, which
    /// the result called `last` becomes.
    pub fn finish(
        mut self,
        last: &str,
        size: Option<Size>,
        metadata: Vec<(String, String)>,
    ) -> Vec<u8> {
        self.nodes.push(Node {
            input: vec![last.into()],
            output: vec!["output".into()],
            name: Some("output".into()),
            op_type: Some("Identity".into()),
            attribute: Vec::new(),
        });
        let model = Model {
            ir_version: Some(IR_VERSION),
            producer_name: Some(env!("CARGO_PKG_NAME").into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            graph: Some(Graph {
                node: self.nodes,
                name: Some("style network".into()),
                initializer: self.constants,
                input: vec![image("input", size)],
                output: vec![image("output", size)],
            }),
            opset_import: vec![OperatorSet {
                domain: Some(String::new()),
                version: Some(OPERATORS),
            }],
            metadata_props: metadata
                .into_iter()
                .map(|(key, value)| Entry {
                    key: Some(key),
                    value: Some(value),
                })
                .collect(),
        };
        model.encode_to_vec()
    }
}

fn image(name: &str, size: Option<Size>) -> ValueInfo {
    let value = |value: usize| Length::Value(value as i64);
    let (height, width) = match size {
        Some(Size { width, height }) => (value(height), value(width)),
        None => (Length::Name("height".into()), Length::Name("width".into())),
    };
    let dim = [value(1), value(3), height, width]
        .map(|length| Dimension {
            length: Some(length),
        })
        .to_vec();
    ValueInfo {
        name: Some(name.into()),
        kind: Some(Type {
            tensor_type: Some(TensorType {
                elem_type: Some(FLOAT),
                shape: Some(TensorShape { dim }),
            }),
        }),
    }
}
