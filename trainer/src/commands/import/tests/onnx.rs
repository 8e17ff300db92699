//! ONNX files as several versions of PyTorch wrote them.

use super::*;
use crate::io::onnx::proto::{
    Attribute, FLOAT, FLOAT16, Graph, INT64, Model as File, Node, Tensor as Numbers, ValueInfo,
};
use prost::Message;

/// How a version of PyTorch writes networks.
#[derive(Clone, Copy)]
struct Version {
    /// Weights by numbers, listed among the inputs, and borders and sizes as attributes;
    /// otherwise by names, borders and sizes as constants.
    old: bool,
    /// The size of an enlarged picture is computed from that of the picture, and borders
    /// are put in order by the graph itself.
    computed: bool,
    /// Numbers of 16 bits.
    half: bool,
}

const OLD: Version = Version {
    old: true,
    computed: false,
    half: false,
};
const NEW: Version = Version {
    old: false,
    computed: false,
    half: false,
};

struct Writer {
    version: Version,
    graph: Graph,
    picture: String,
}

impl Writer {
    fn tensor(&mut self, name: &str) -> String {
        let tensors = TENSORS.iter().enumerate();
        let (number, (_, shape, _)) = tensors
            .clone()
            .find(|(_, (known, _, _))| *known == name)
            .unwrap();
        let name = match self.version.old {
            true => format!("{}", number + 1),
            false => name.to_string(),
        };
        let values = values(number, shape);
        let (data_type, raw) = match self.version.half {
            true => {
                let halves = values.iter().map(|v| half(*v).to_le_bytes());
                (FLOAT16, Some(halves.flatten().collect()))
            }
            false => (FLOAT, None),
        };
        self.graph.initializer.push(Numbers {
            dims: shape.iter().map(|size| *size as i64).collect(),
            data_type: Some(data_type),
            float_data: if raw.is_none() { values } else { Vec::new() },
            name: Some(name.clone()),
            raw_data: raw,
            ..Numbers::default()
        });
        name
    }

    fn constant(&mut self, numbers: Numbers) -> String {
        let name = format!("constant_{}", self.graph.node.len());
        let value = Attribute {
            name: Some("value".into()),
            t: Some(numbers),
            ..Attribute::default()
        };
        self.node("Constant", vec![], vec![value], &name);
        name
    }

    fn node(&mut self, kind: &str, input: Vec<String>, attribute: Vec<Attribute>, to: &str) {
        self.graph.node.push(Node {
            input,
            output: vec![to.into()],
            name: None,
            op_type: Some(kind.into()),
            attribute,
        });
    }

    fn step(&mut self, kind: &str, more: Vec<String>, attribute: Vec<Attribute>) {
        let to = format!("result_{}", self.graph.node.len());
        let input = [vec![self.picture.clone()], more].concat();
        self.node(kind, input, attribute, &to);
        self.picture = to;
    }

    fn convolution(&mut self, layer: &str, side: usize, stride: usize) {
        let reach = side / 2;
        let border = [0, 0, reach, reach, 0, 0, reach, reach];
        let mut attributes = vec![Attribute::string("mode", "reflect")];
        let mut more = Vec::new();
        match (self.version.old, self.version.computed) {
            (true, _) => attributes.push(Attribute::ints("pads", &border)),
            (false, true) => more.push(self.ordered_border(reach as i64)),
            (false, false) => more.push(
                self.constant(Numbers {
                    dims: vec![8],
                    data_type: Some(INT64),
                    raw_data: Some(
                        border
                            .iter()
                            .flat_map(|n| (*n as i64).to_le_bytes())
                            .collect(),
                    ),
                    ..Numbers::default()
                }),
            ),
        }
        self.step("Pad", more, attributes);
        let weights = ["weight", "bias"].map(|kind| self.tensor(&format!("{layer}.conv2d.{kind}")));
        self.step(
            "Conv",
            weights.into(),
            vec![
                Attribute::ints("dilations", &[1, 1]),
                Attribute::ints("kernel_shape", &[side, side]),
                Attribute::ints("pads", &[0, 0, 0, 0]),
                Attribute::ints("strides", &[stride, stride]),
            ],
        );
    }

    fn norm(&mut self, layer: &str) {
        let numbers = ["weight", "bias"].map(|kind| self.tensor(&format!("{layer}.{kind}")));
        let epsilon = vec![Attribute::float("epsilon", 1e-5)];
        self.step("InstanceNormalization", numbers.into(), epsilon);
    }

    fn upsampling(&mut self) {
        let mode = Attribute::string("mode", "nearest");
        let scales = [1.0f32, 1.0, 2.0, 2.0];
        match (self.version.old, self.version.computed) {
            (true, false) => {
                let listed = Attribute {
                    name: Some("scales".into()),
                    floats: scales.into(),
                    ..Attribute::default()
                };
                self.step("Upsample", vec![], vec![mode, listed]);
            }
            (true, true) => {
                let scales = self.computed_scales();
                self.step("Upsample", vec![scales], vec![mode]);
            }
            (false, _) => {
                let constant = self.constant(Numbers {
                    dims: vec![4],
                    data_type: Some(FLOAT),
                    float_data: scales.into(),
                    ..Numbers::default()
                });
                self.step("Resize", vec![String::new(), constant], vec![mode]);
            }
        }
    }

    /// The result of an operation on these inputs.
    fn result(&mut self, kind: &str, input: &[&str], attribute: Vec<Attribute>) -> String {
        let to = format!("number_{}", self.graph.node.len());
        let input = input.iter().map(|name| name.to_string()).collect();
        self.node(kind, input, attribute, &to);
        to
    }

    fn numbers(&mut self, dims: &[i64], values: &[i64]) -> String {
        self.constant(Numbers {
            dims: dims.to_vec(),
            data_type: Some(INT64),
            int64_data: values.to_vec(),
            ..Numbers::default()
        })
    }

    /// The four borders as PyTorch has them, the last direction first, filled up with
    /// zeros and put in the order of ONNX, as PyTorch writes it without folding.
    fn ordered_border(&mut self, reach: i64) -> String {
        let border = self.numbers(&[4], &[reach; 4]);
        let shape = self.result("Shape", &[&border], vec![]);
        let first = self.numbers(&[], &[0]);
        let count = self.result("Gather", &[&shape, &first], vec![int("axis", 0)]);
        let (rank, two) = (self.numbers(&[], &[4]), self.numbers(&[], &[2]));
        let all = self.result("Mul", &[&rank, &two], vec![]);
        let missing = self.result("Sub", &[&all, &count], vec![]);
        let border = self.result("Cast", &[&border], vec![int("to", INT64.into())]);
        let missing = self.result("Unsqueeze", &[&missing], vec![]);
        let zero = Attribute {
            name: Some("value".into()),
            t: Some(Numbers {
                dims: vec![1],
                data_type: Some(INT64),
                raw_data: Some(vec![0; 8]),
                ..Numbers::default()
            }),
            ..Attribute::default()
        };
        let zeros = self.result("ConstantOfShape", &[&missing], vec![zero]);
        let all = self.result("Concat", &[&border, &zeros], vec![int("axis", 0)]);
        let (pairs, list) = (self.numbers(&[2], &[-1, 2]), self.numbers(&[1], &[-1]));
        let all = self.result("Reshape", &[&all, &pairs], vec![]);
        let (from, to) = (self.numbers(&[1], &[-1]), self.numbers(&[1], &[-i64::MAX]));
        let (axis, step) = (self.numbers(&[1], &[0]), self.numbers(&[1], &[-1]));
        let all = self.result("Slice", &[&all, &from, &to, &axis, &step], vec![]);
        let all = self.result("Transpose", &[&all], vec![Attribute::ints("perm", &[1, 0])]);
        let all = self.result("Reshape", &[&all, &list], vec![]);
        self.result("Cast", &[&all], vec![int("to", INT64.into())])
    }

    /// How much larger a picture of twice the size is, from the sizes of both.
    fn computed_scales(&mut self) -> String {
        let picture = self.picture.clone();
        let size = self.result("Shape", &[&picture], vec![]);
        let mut sides = Vec::new();
        for axis in [2, 3] {
            let axis = self.numbers(&[], &[axis]);
            let side = self.result("Gather", &[&size, &axis], vec![int("axis", 0)]);
            let two = self.constant(Numbers {
                data_type: Some(FLOAT),
                float_data: vec![2.0],
                ..Numbers::default()
            });
            let side = self.result("Cast", &[&side], vec![int("to", FLOAT.into())]);
            let side = self.result("Mul", &[&side, &two], vec![]);
            let side = self.result("Floor", &[&side], vec![]);
            sides.push(self.result("Unsqueeze", &[&side], vec![]));
        }
        let sides: Vec<&str> = sides.iter().map(String::as_str).collect();
        let larger = self.result("Concat", &sides, vec![int("axis", 0)]);
        let slice = vec![
            Attribute::ints("starts", &[2]),
            Attribute::ints("ends", &[4]),
        ];
        let size = self.result("Slice", &[&size], slice);
        let size = self.result("Cast", &[&size], vec![int("to", FLOAT.into())]);
        let larger = self.result("Div", &[&larger, &size], vec![]);
        let ones = self.constant(Numbers {
            dims: vec![2],
            data_type: Some(FLOAT),
            float_data: vec![1.0; 2],
            ..Numbers::default()
        });
        self.result("Concat", &[&ones, &larger], vec![int("axis", 0)])
    }

    fn network(mut self) -> File {
        for (layer, side, stride) in [(1, 5, 1), (2, 3, 2), (3, 3, 2)] {
            self.convolution(&format!("conv{layer}"), side, stride);
            self.norm(&format!("in{layer}"));
            self.step("Relu", vec![], vec![]);
        }
        let before = self.picture.clone();
        self.convolution("res1.conv1", 3, 1);
        self.norm("res1.in1");
        self.step("Relu", vec![], vec![]);
        self.convolution("res1.conv2", 3, 1);
        self.norm("res1.in2");
        self.step("Add", vec![before], vec![]);
        for layer in [1, 2] {
            self.upsampling();
            self.convolution(&format!("deconv{layer}"), 3, 1);
            self.norm(&format!("in{}", layer + 3));
            self.step("Relu", vec![], vec![]);
        }
        self.convolution("deconv3", 5, 1);
        let input = |name: &str| ValueInfo {
            name: Some(name.into()),
            kind: None,
        };
        self.graph.input.push(input("input1"));
        if self.version.old {
            let weights = self.graph.initializer.iter();
            let weights: Vec<_> = weights.map(|w| input(w.name.as_deref().unwrap())).collect();
            self.graph.input.extend(weights);
        }
        self.graph.output.push(input(&self.picture));
        File {
            ir_version: Some(3),
            producer_name: Some("pytorch".into()),
            graph: Some(self.graph),
            ..File::default()
        }
    }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        name: Some(name.into()),
        i: Some(value),
        ..Attribute::default()
    }
}

/// The bits of the 16-bit float nearest to `value`, which is positive and not tiny.
fn half(value: f32) -> u16 {
    match value == 0.0 {
        true => 0,
        false => ((value.to_bits() - (112 << 23) + (1 << 12)) >> 13) as u16,
    }
}

fn written(version: Version) -> File {
    let writer = Writer {
        version,
        graph: Graph::default(),
        picture: "input1".into(),
    };
    writer.network()
}

fn refusal_of(spoil: impl Fn(&mut Graph)) -> String {
    let mut file = written(OLD);
    spoil(file.graph.as_mut().unwrap());
    refusal(&file.encode_to_vec())
}

/// The place of the operation `kind` number `number`.
fn place(graph: &Graph, kind: &str, number: usize) -> usize {
    let nodes = graph.node.iter().enumerate();
    let mut of_kind = nodes.filter(|(_, node)| node.op_type.as_deref() == Some(kind));
    of_kind.nth(number).unwrap().0
}

#[test]
fn files_of_all_versions_are_read() {
    for version in [
        OLD,
        NEW,
        Version {
            computed: true,
            ..OLD
        },
        Version {
            computed: true,
            ..NEW
        },
    ] {
        assert_is_the_network(&written(version).encode_to_vec());
    }
    let half = import(&written(Version { half: true, ..NEW }).encode_to_vec()).unwrap();
    let found: Vec<f32> = half.weights["up.1.norm.bias"].to_vec1().unwrap();
    let number = TENSORS
        .iter()
        .position(|(name, ..)| *name == "in5.bias")
        .unwrap();
    for (found, exact) in found.iter().zip(values(number, &[2])) {
        assert!((found - exact).abs() < 0.02, "{found}, not {exact}");
    }
}

#[test]
fn other_networks_and_damaged_files_are_refused() {
    let zeros = refusal_of(|graph| {
        graph.node[0].attribute = vec![Attribute::string("mode", "constant")];
    });
    assert!(zeros.contains("the border of conv1"), "{zeros}");
    let mut wide = written(Version {
        computed: true,
        ..NEW
    });
    let graph = wide.graph.as_mut().unwrap();
    let border = graph.node[0].attribute[0].t.as_mut().unwrap();
    border.int64_data[0] += 1;
    let wide = refusal(&wide.encode_to_vec());
    assert!(wide.contains("the border of conv1"), "{wide}");
    let stride = refusal_of(|graph| {
        let at = place(graph, "Conv", 1);
        graph.node[at].attribute = vec![Attribute::ints("strides", &[1, 1])];
    });
    assert!(stride.contains("conv2 is another convolution"), "{stride}");
    let tanh = refusal_of(|graph| {
        let last = graph.node.len() - 1;
        graph.node[last].op_type = Some("Relu".into());
    });
    assert!(tanh.contains("`Relu` in place of Conv"), "{tanh}");
    let branch = refusal_of(|graph| {
        let at = place(graph, "Relu", 2);
        graph.node[at].input = vec!["input1".into()];
    });
    assert!(branch.contains("branches at `Relu`"), "{branch}");
    let scale = refusal_of(|graph| {
        let at = place(graph, "Upsample", 0);
        graph.node[at].attribute[1].floats = vec![1.0, 1.0, 3.0, 3.0];
    });
    assert!(scale.contains("another way"), "{scale}");
    let short = refusal_of(|graph| graph.initializer[0].float_data.truncate(5));
    assert!(short.contains("tensor `1`"), "{short}");
    let missing = refusal_of(|graph| {
        graph.initializer.remove(0);
    });
    assert!(missing.contains("2 inputs"), "{missing}");
    let file = written(OLD).encode_to_vec();
    assert!(refusal(&file[..file.len() / 2]).contains("damaged ONNX file"));
    assert!(refusal(b"\x08\x03\x12\x07pytorch").contains("without a network"));

    let ours = Model::random(Architecture::with_width(1), 1).unwrap();
    let ours = crate::io::onnx::export(&ours, None).unwrap();
    assert!(
        refusal(&ours).contains("export-onnx wrote"),
        "{}",
        refusal(&ours)
    );
}

#[test]
fn corrupt_bytes_of_onnx_files_cause_no_panic() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let computed = Version {
        computed: true,
        ..NEW
    };
    for file in [OLD, NEW, computed].map(|version| written(version).encode_to_vec()) {
        for _ in 0..1000 {
            let mut spoilt = file.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..spoilt.len());
                spoilt[at] = random.random();
            }
            let _ = network(&spoilt, None);
        }
    }
}
