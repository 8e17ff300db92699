//! Style networks as ONNX, the format that most inference engines read.

mod graph;
pub mod proto;

use anyhow::{Result, ensure};
use candle_core::Tensor;
use graph::Builder;
use gstfaststyle::internals::network::{LayerSpec, Residual, Step, Tail};
use gstfaststyle::{Architecture, Model, OutputMap, Padding, Size, Upsampling};
use proto::Attribute;

/// The smallest side: a quarter of it must be larger than the border that is
/// mirrored there, if it is, and the whole larger than the outer kernel's.
const SMALLEST: usize = 32;

/// The network of `model` as the bytes of an ONNX file: from `input` to
/// `output`, both `f32` `[1, 3, height, width]`, RGB in 0..255. Without a
/// `size`, for all sides that are multiples of 4.
///
/// # Errors
/// A size too small for the mirrored borders, a model without its tensors.
pub fn export(model: &Model, size: Option<Size>) -> Result<Vec<u8>> {
    if let Some(size) = size {
        ensure!(
            size.width.min(size.height) >= SMALLEST,
            "{size}: both sides must be at least {SMALLEST}"
        );
    }
    let mut network = Export {
        model,
        graph: Builder::default(),
    };
    let last = network.network(size)?;
    let metadata = vec![
        ("format".into(), "faststyle".into()),
        (
            "architecture".into(),
            serde_json::to_string(&model.architecture)?,
        ),
        ("styles".into(), serde_json::to_string(&model.styles)?),
        ("training".into(), serde_json::to_string(&model.training)?),
    ];
    Ok(network.graph.finish(&last, size, metadata))
}

/// A network on its way into a graph. Methods take the name of what they work
/// on and return the name of the result.
struct Export<'a> {
    model: &'a Model,
    graph: Builder,
}

impl Export<'_> {
    fn network(&mut self, size: Option<Size>) -> Result<String> {
        let Architecture {
            output_map,
            input_range: [black, white],
            ..
        } = self.model.architecture;
        let mut x = match size {
            Some(size) => self.pad_to_multiple_of_4("input", size),
            None => "input".into(),
        };
        x = self.scalar("Mul", &x, "input_scale", ((white - black) / 255.0) as f32);
        x = self.scalar("Add", &x, "input_black", black as f32);
        let mut kept = String::new();
        for layer in self.model.architecture.layers() {
            if layer.residual == Residual::First {
                kept.clone_from(&x);
            }
            x = self.layer(&layer, &x)?;
            if layer.residual == Residual::Second {
                x = self.graph.operation("Add", &[&x, &kept], vec![]);
            }
        }
        x = match output_map {
            OutputMap::Tanh => self.tanh(&x, 127.5),
            OutputMap::Tanh150 => {
                let x = self.tanh(&x, 150.0);
                self.clip(&x)
            }
            OutputMap::Clamp => self.clip(&x),
        };
        Ok(match size {
            Some(size) => self.crop(&x, size),
            None => x,
        })
    }

    fn tanh(&mut self, x: &str, scale: f32) -> String {
        let x = self.graph.operation("Tanh", &[x], vec![]);
        let x = self.scalar("Mul", &x, "output_scale", scale);
        self.scalar("Add", &x, "output_middle", 127.5)
    }

    fn clip(&mut self, x: &str) -> String {
        let low = self.graph.floats("output_low", &[], &[0.0]);
        let high = self.graph.floats("output_high", &[], &[255.0]);
        self.graph.operation("Clip", &[x, &low, &high], vec![])
    }

    /// A convolution, normalisation or bias, and perhaps ReLU.
    fn layer(&mut self, layer: &LayerSpec, x: &str) -> Result<String> {
        let x = match (layer.step, self.model.architecture.upsampling) {
            (Step::Same, _) => self.convolve(layer, x, 1)?,
            (Step::Half, _) => self.convolve(layer, x, 2)?,
            (Step::Double, Upsampling::Nearest) => {
                let x = self.upsample(x);
                self.convolve(layer, &x, 1)?
            }
            (Step::Double, Upsampling::Transposed) => self.convolve_transposed(layer, x)?,
        };
        let x = match layer.tail {
            Tail::Norm => self.normalise(layer, &x)?,
            Tail::Bias => x,
        };
        Ok(match layer.relu {
            true => self.graph.operation("Relu", &[&x], vec![]),
            false => x,
        })
    }

    fn convolve(&mut self, layer: &LayerSpec, x: &str, stride: usize) -> Result<String> {
        let weight = self.tensor(&layer.weight())?;
        let bias = self.bias(layer)?;
        let side = layer.kernel;
        let mut attributes = vec![
            Attribute::ints("kernel_shape", &[side, side]),
            Attribute::ints("strides", &[stride, stride]),
        ];
        let x = match self.model.architecture.padding {
            Padding::Reflect => {
                let reach = side / 2;
                let border = [0, 0, reach, reach, 0, 0, reach, reach];
                self.pad(x, &format!("border_{reach}"), &border)
            }
            Padding::Same => {
                attributes.push(Attribute::ints("pads", &zeros(side, stride)));
                x.into()
            }
        };
        let inputs: Vec<&str> = [x.as_str(), &weight]
            .into_iter()
            .chain(bias.as_deref())
            .collect();
        Ok(self.graph.operation("Conv", &inputs, attributes))
    }

    fn convolve_transposed(&mut self, layer: &LayerSpec, x: &str) -> Result<String> {
        let name = layer.weight();
        // ONNX has a transposed convolution's inputs first.
        let weight = self.model.tensor(&name)?.transpose(0, 1)?;
        let weight = self.add(&name, &weight)?;
        let bias = self.bias(layer)?;
        let side = layer.kernel;
        let zeros = zeros(side, 2);
        // What the last input pixel and a kernel of 1x1 would not reach.
        let rest = (2 + zeros[0] + zeros[2]).saturating_sub(side);
        let attributes = vec![
            Attribute::ints("kernel_shape", &[side, side]),
            Attribute::ints("strides", &[2, 2]),
            Attribute::ints("pads", &zeros),
            Attribute::ints("output_padding", &[rest, rest]),
        ];
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        Ok(self.graph.operation("ConvTranspose", &inputs, attributes))
    }

    /// Adds the layer's bias, if it has one; returns its name.
    fn bias(&mut self, layer: &LayerSpec) -> Result<Option<String>> {
        match layer.tail {
            Tail::Norm => Ok(None),
            Tail::Bias => self.tensor(&layer.bias()).map(Some),
        }
    }

    fn normalise(&mut self, layer: &LayerSpec, x: &str) -> Result<String> {
        let scale = self.tensor(&layer.norm_scale())?;
        let shift = self.tensor(&layer.norm_shift())?;
        let eps = Attribute::float("epsilon", self.model.architecture.norm_eps as f32);
        Ok(self
            .graph
            .operation("InstanceNormalization", &[x, &scale, &shift], vec![eps]))
    }

    /// Adds a tensor of the model; returns its name.
    fn tensor(&mut self, name: &str) -> Result<String> {
        self.add(name, self.model.tensor(name)?)
    }

    /// Adds a tensor called `name`; returns its name.
    fn add(&mut self, name: &str, tensor: &Tensor) -> Result<String> {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        Ok(self.graph.floats(name, tensor.dims(), &values))
    }

    fn scalar(&mut self, operator: &str, x: &str, name: &str, value: f32) -> String {
        let value = self.graph.floats(name, &[], &[value]);
        self.graph.operation(operator, &[x, &value], vec![])
    }

    /// Mirrors at the borders, the outermost pixel not repeated.
    fn pad(&mut self, x: &str, name: &str, border: &[usize; 8]) -> String {
        if border.iter().all(|&pixels| pixels == 0) {
            return x.into();
        }
        let border = self.graph.integers(name, border);
        let mode = vec![Attribute::string("mode", "reflect")];
        self.graph.operation("Pad", &[x, &border], mode)
    }

    fn pad_to_multiple_of_4(&mut self, x: &str, Size { width, height }: Size) -> String {
        let missing = |len: usize| len.next_multiple_of(4) - len;
        let border = [0, 0, 0, 0, 0, 0, missing(height), missing(width)];
        self.pad(x, "border_to_4", &border)
    }

    fn crop(&mut self, x: &str, Size { width, height }: Size) -> String {
        if height % 4 == 0 && width % 4 == 0 {
            return x.into();
        }
        let start = self.graph.integers("crop_start", &[0, 0]);
        let end = self.graph.integers("crop_end", &[height, width]);
        let axes = self.graph.integers("crop_axes", &[2, 3]);
        self.graph
            .operation("Slice", &[x, &start, &end, &axes], vec![])
    }

    /// Each pixel twice, in both directions.
    fn upsample(&mut self, x: &str) -> String {
        let scales = self
            .graph
            .floats("upsample_scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = vec![
            Attribute::string("mode", "nearest"),
            Attribute::string("coordinate_transformation_mode", "asymmetric"),
            Attribute::string("nearest_mode", "floor"),
        ];
        self.graph
            .operation("Resize", &[x, "", &scales], attributes)
    }
}

/// Zeros at the top, left, bottom and right of an image whose sides the stride
/// divides, as all of a network's are.
fn zeros(kernel: usize, stride: usize) -> [usize; 4] {
    let (before, after) = Padding::Same.around(stride, kernel, stride);
    [before, before, after, after]
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    fn exported(architecture: Architecture, size: Option<Size>) -> proto::Graph {
        let model = Model::random(architecture, 1).unwrap();
        let bytes = export(&model, size).unwrap();
        proto::Model::decode(&bytes[..]).unwrap().graph.unwrap()
    }

    fn count(graph: &proto::Graph, operator: &str) -> usize {
        let of = |node: &&proto::Node| node.op_type.as_deref() == Some(operator);
        graph.node.iter().filter(of).count()
    }

    #[test]
    fn every_operation_has_its_inputs() {
        let clamped = Architecture {
            output_norm: false,
            output_map: OutputMap::Clamp,
            outer_kernel: 7,
            residual_blocks: 2,
            ..Architecture::with_width(3)
        };
        for architecture in [Architecture::with_width(4), clamped, of_tensorflow()] {
            for size in [None, Some(Size::new(67, 45))] {
                let graph = exported(architecture.clone(), size);
                let mut known = vec!["", "input"];
                known.extend(graph.initializer.iter().map(|tensor| tensor.name()));
                for node in &graph.node {
                    for input in &node.input {
                        assert!(
                            known.contains(&input.as_str()),
                            "{} lacks {input}",
                            node.name()
                        );
                    }
                    known.extend(node.output.iter().map(String::as_str));
                }
                assert!(known.contains(&"output"));
            }
        }
    }

    fn of_tensorflow() -> Architecture {
        Architecture {
            output_map: OutputMap::Tanh150,
            upsampling: Upsampling::Transposed,
            padding: Padding::Same,
            ..Architecture::with_width(3)
        }
    }

    #[test]
    fn zero_padding_and_transposed_convolutions_use_onnx_operators() {
        let graph = exported(of_tensorflow(), None);
        for (operator, expected) in [
            ("Conv", 14),
            ("ConvTranspose", 2),
            ("InstanceNormalization", 16),
            ("Relu", 10),
            ("Resize", 0),
            ("Pad", 0),
            ("Clip", 1),
        ] {
            assert_eq!(count(&graph, operator), expected, "{operator}");
        }
        let weight = graph.initializer.iter();
        let mut weight = weight.filter(|tensor| tensor.name() == "up.0.conv.weight");
        assert_eq!(weight.next().unwrap().dims, [12, 6, 3, 3]);
        assert_eq!(zeros(3, 2), [0, 0, 1, 1]);
        assert_eq!(zeros(9, 1), [4, 4, 4, 4]);
        assert_eq!(zeros(1, 2), [0, 0, 0, 0]);
    }

    #[test]
    fn the_graph_is_the_papers_network() {
        let graph = exported(Architecture::with_width(4), None);
        for (operator, expected) in [
            ("Conv", 16),
            ("InstanceNormalization", 16),
            ("Relu", 10),
            ("Resize", 2),
            ("Tanh", 1),
            ("Pad", 16),
            ("Slice", 0),
        ] {
            assert_eq!(count(&graph, operator), expected, "{operator}");
        }
        let first = &graph
            .initializer
            .iter()
            .find(|t| t.name() == "down.0.conv.weight");
        let first = first.unwrap();
        assert_eq!(first.dims, [4, 3, 9, 9]);
        assert_eq!(first.raw_data().len(), 4 * 4 * 3 * 81);
    }

    #[test]
    fn a_fixed_size_is_padded_to_a_multiple_of_4_and_cropped_back() {
        let graph = exported(Architecture::with_width(2), Some(Size::new(67, 44)));
        assert_eq!((count(&graph, "Pad"), count(&graph, "Slice")), (17, 1));
        let model = Model::random(Architecture::with_width(2), 1).unwrap();
        let error = export(&model, Some(Size::new(64, 8)))
            .unwrap_err()
            .to_string();
        assert!(error.contains("64x8"), "{error}");
    }
}
