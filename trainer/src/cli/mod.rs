//! The command line: what can be asked of the program, and in which words.

pub mod config;
pub mod preset;

use crate::logging::metrics::MetricsFormat;
use crate::objective::LossWeights;
use crate::objective::layers::LayerWeights;
use crate::objective::painting::Crop;
use crate::training::optimizer::OptimizerMethod;
use crate::training::schedule::Schedule;
use clap::{Args, Parser, Subcommand, ValueEnum};
use gstfaststyle::{DeviceChoice, Precision};
use preset::Preset;
use std::path::PathBuf;

/// Learns the style of a painting for the GStreamer element `faststyle`.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a style network from a painting and a folder of photos
    Train(Box<TrainArgs>),
    /// Repaint one photo by the slow method, without a network
    Optimize(OptimizeArgs),
    /// Measure how good a model is, against the slow method, and its flicker
    Evaluate(EvaluateArgs),
    /// Repaint pictures with a trained network
    Stylize(StylizeArgs),
    /// Tell what a model file holds and how it was trained
    Info(InfoArgs),
    /// Write a model as ONNX, for other programs
    ExportOnnx(ExportOnnxArgs),
    /// Make a model file of a network that another program trained
    Import(ImportArgs),
    /// Make VGG-19's weights, from a file of another program, ready for --vgg
    ImportVgg(ImportVggArgs),
}

/// The arguments of `stylize`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Pictures become NAME.STYLE.png, say photo.scream.png, beside the picture or in the folder
OUT, in which the folders below an input folder are made anew. What such a folder holds of
earlier results is passed over. No picture that is read is ever overwritten.
Ctrl-C ends it; no file is left half written.")]
pub struct StylizeArgs {
    /// The pictures (JPEG, PNG, WebP, BMP, GIF, TIFF), and folders of them with
    /// their subfolders
    #[arg(value_name = "PICTURE", required = true)]
    pub pictures: Vec<PathBuf>,
    /// The model file
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The file to write, if there is one picture, or the folder [default:
    /// beside each picture]
    #[arg(long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    /// How much of the style shows: 0 nothing, 1 all
    #[arg(long, value_name = "S", value_parser = fraction, default_value = "1")]
    pub strength: f64,
    /// Keep the picture's colours: its chroma with the painting's luma (BT.601)
    #[arg(long)]
    pub keep_color: bool,
    /// Scale pictures down whose longer side has more pixels
    #[arg(long, value_name = "PX", value_parser = count(1, 65535))]
    pub max_size: Option<u64>,
    /// Format of the files to write [default: that of OUT's name, or png]
    #[arg(long, value_enum)]
    pub format: Option<PictureFormat>,
    /// Quality of JPEG files, from 1 to 100; the others lose nothing
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100), default_value = "90")]
    pub quality: u8,

    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(
        long,
        value_name = "DEVICE",
        default_value = "auto",
        help_heading = "Running"
    )]
    pub device: DeviceChoice,
    /// How exactly to compute: auto, f32, f16, bf16, or fast where the CPU is
    /// faster with it
    #[arg(
        long,
        value_name = "PRECISION",
        default_value = "auto",
        help_heading = "Running"
    )]
    pub precision: Precision,
    /// Threads of the CPU to use, 0 for one a core
    #[arg(long, value_name = "N", value_parser = count(0, 1024), default_value = "0", help_heading = "Running")]
    pub threads: u64,
    /// Memory that painting may take besides the picture itself; larger
    /// pictures are painted in tiles, which looks the same and takes about
    /// nine times as long [default: half of what is free]
    #[arg(long, value_name = "MIB", value_parser = count(1, 1 << 30), help_heading = "Running")]
    pub memory: Option<u64>,
}

/// A format of pictures to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PictureFormat {
    /// Without loss, with transparency
    Png,
    /// Small, without transparency: what lets through becomes white
    Jpeg,
    /// Without loss, with transparency
    Webp,
}

/// The arguments of `info`.
#[derive(Clone, Debug, Args)]
pub struct InfoArgs {
    /// The model files
    #[arg(value_name = "MODEL", required = true)]
    pub models: Vec<PathBuf>,
    /// As JSON, one object a model
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `export-onnx`.
#[derive(Debug, Args)]
#[command(after_help = "\
The graph takes `input`, f32 [1, 3, height, width], RGB in 0..255, and gives
`output`, the same. Without --size, both sides must be multiples of 4.")]
pub struct ExportOnnxArgs {
    /// The model file to read
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// The file to write [default: MODEL with the extension .onnx]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// For pictures of this size only, whatever it is
    #[arg(long, value_name = "WxH", value_parser = picture_size)]
    pub size: Option<(usize, usize)>,
}

/// The arguments of `import-vgg`.
#[derive(Debug, Args)]
pub struct ImportVggArgs {
    /// The file to read
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
    /// The file to write
    #[arg(long, value_name = "OUT", default_value = "vgg19.safetensors")]
    pub output: PathBuf,
}

/// The arguments of `train`.
///
/// Those with a default are options here, so that on `--resume` it can be told
/// what was asked for from what the checkpoint already says.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Beside OUTPUT (say scream.safetensors) the training keeps
  scream.checkpoint.safetensors   all that --resume needs
  scream.report.html              how it goes, to read in a browser
  scream.metrics.csv              the losses of every step
  scream.preview-PHOTO.png        the pictures asked for by --preview
  scream.previews/                the same, small, at each checkpoint
Ctrl-C finishes the step, saves and says how to go on.")]
pub struct TrainArgs {
    /// The painting to learn from (JPEG, PNG, WebP, BMP, GIF, TIFF); repeated,
    /// the styles are blended
    #[arg(long, value_name = "PAINTING", required_unless_present = "resume")]
    pub style: Vec<PathBuf>,
    /// The folder of photos to practise on, with its subfolders
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    pub photos: Option<PathBuf>,
    /// The model file to write, for the element's property `model`
    #[arg(long, value_name = "MODEL")]
    pub output: PathBuf,

    /// Go on from the checkpoint beside OUTPUT, with the recipe it holds;
    /// --steps or --epochs, the learning rate, the weights of the losses,
    /// --photos, --vgg, --checkpoint-every, --preview, --metrics, --tensorboard
    /// and the painting's names can be changed
    #[arg(long, conflicts_with_all = ["init", "overwrite"])]
    pub resume: bool,
    /// Start anew even though OUTPUT is there, or a checkpoint beside it
    #[arg(long)]
    pub overwrite: bool,
    /// Start from the weights of another style's model rather than from random
    /// ones; with a multiple of its width as --width, from a wider network that
    /// paints the same
    #[arg(long, value_name = "MODEL")]
    pub init: Option<PathBuf>,
    /// A TOML file of settings: flags without dashes (`style-size = 512`); its
    /// paths begin at its own folder. Flags count more than it does
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Settings that belong together. Flags and the config file count more
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,

    /// Base width of the network: 16 for live video on a CPU, 32 as in the
    /// paper [default: 16]
    #[arg(long, value_name = "C", value_parser = count(1, 256), help_heading = "Network")]
    pub width: Option<u64>,
    /// Residual blocks of the network [default: 5]
    #[arg(long, value_name = "N", value_parser = count(0, 32), help_heading = "Network")]
    pub residual_blocks: Option<u64>,
    /// Whether the last convolution has a normalisation behind it, as in the
    /// paper; without it pictures pump less [default: true]
    #[arg(long, value_name = "true|false", help_heading = "Network")]
    pub output_norm: Option<bool>,

    /// Steps in total, one batch each [default: 40000]
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000_000), help_heading = "Recipe")]
    pub steps: Option<u64>,
    /// How often each photo is taken, in place of --steps
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000), conflicts_with = "steps", help_heading = "Recipe")]
    pub epochs: Option<u64>,
    /// Photos in a batch [default: 4]
    #[arg(long, value_name = "N", value_parser = count(1, 1024), help_heading = "Recipe")]
    pub batch: Option<u64>,
    /// Side of the squares cut from the photos, in pixels, a multiple of 16
    /// [default: 256]
    #[arg(long, value_name = "PX", value_parser = size, help_heading = "Recipe")]
    pub size: Option<u64>,
    /// How weights are moved against their gradients [default: adam]
    #[arg(long, value_enum, value_name = "METHOD", help_heading = "Recipe")]
    pub optimizer: Option<OptimizerMethod>,
    /// Learning rate [default: 0.001]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Recipe")]
    pub lr: Option<f64>,
    /// How the learning rate falls [default: cosine]
    #[arg(long, value_enum, value_name = "LINE", help_heading = "Recipe")]
    pub lr_schedule: Option<Schedule>,
    /// What fraction of the learning rate is left at the last step [default: 1,
    /// it does not fall]
    #[arg(long, value_name = "FRACTION", value_parser = fraction, help_heading = "Recipe")]
    pub lr_final: Option<f64>,
    /// Weight of the loss that keeps video from flickering: how differently the
    /// network paints a photo and the same photo with noise or moved, in another
    /// light [default: 0, no such loss]
    #[arg(long, value_name = "W", value_parser = weight, help_heading = "Recipe")]
    pub stability: Option<f64>,
    /// How much more that loss counts where the photo is the same but for noise
    /// than where it is moved [default: 8]
    #[arg(long, value_name = "FACTOR", value_parser = weight, help_heading = "Recipe")]
    pub stability_at_rest: Option<f64>,
    /// Steps in the beginning during which the learning rate rises to its full
    /// value [default: 0]
    #[arg(long, value_name = "STEPS", value_parser = count(0, 1_000_000_000), help_heading = "Recipe")]
    pub warmup: Option<u64>,
    /// Seed of the first weights and of the photos' order [default: 0]
    #[arg(long, value_name = "N", help_heading = "Recipe")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub loss: LossArgs,

    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(
        long,
        value_name = "DEVICE",
        default_value = "auto",
        help_heading = "Running"
    )]
    pub device: DeviceChoice,
    /// Save every so many steps [default: 200]
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000_000), help_heading = "Running")]
    pub checkpoint_every: Option<u64>,
    /// A photo to repaint at every checkpoint, to look at (can be repeated)
    #[arg(long, value_name = "PHOTO", help_heading = "Running")]
    pub preview: Vec<PathBuf>,
    /// How to write the losses of every step [default: csv]
    #[arg(long, value_name = "FORMAT", value_enum, help_heading = "Running")]
    pub metrics: Option<MetricsFormat>,
    /// Write losses and previews for TensorBoard, too, into a folder of
    /// OUTPUT's name in DIR
    #[arg(long, value_name = "DIR", help_heading = "Running")]
    pub tensorboard: Option<PathBuf>,

    #[command(flatten)]
    pub about: AboutArgs,
}

/// What a model file is to tell of the painting.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "About the painting")]
pub struct AboutArgs {
    /// The painting's title, to be told by the model file
    #[arg(long)]
    pub title: Option<String>,
    /// Who painted it
    #[arg(long)]
    pub artist: Option<String>,
    /// When: 1893, "c. 1831"
    #[arg(long)]
    pub year: Option<String>,
    /// Short name of the style [default: OUTPUT without folder and extension]
    #[arg(long)]
    pub name: Option<String>,
}

/// The arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Networks that can be imported: TransformerNet of pytorch/examples, fast_neural_style,
of any width, as torch.save wrote it (*.pth, *.model, *.pt: a state_dict, by itself or
in a checkpoint) or as a safetensors file; and that of lengstrom/fast-style-transfer, of
any width, as a safetensors file of its variables (Variable, Variable_1 and so on).")]
pub struct ImportArgs {
    /// The file to read
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
    /// The model file to write [default: FILE with the extension .safetensors]
    #[arg(long, value_name = "OUTPUT")]
    pub output: Option<PathBuf>,
    /// Write over OUTPUT if it is there
    #[arg(long)]
    pub overwrite: bool,

    #[command(flatten)]
    pub about: AboutArgs,
}

/// The arguments of `optimize`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The pixels themselves are moved until the loss that trains networks is small: the
method of Gatys, Ecker and Bethge, far slower than a trained network and as good as
one can become. Ctrl-C finishes the iteration and writes the picture as it is.")]
pub struct OptimizeArgs {
    /// The painting whose style is wanted (JPEG, PNG, WebP, BMP, GIF, TIFF);
    /// repeated, the styles are blended
    #[arg(long, value_name = "PAINTING", required = true)]
    pub style: Vec<PathBuf>,
    /// The photo to repaint
    #[arg(long, value_name = "PHOTO")]
    pub photo: PathBuf,
    /// The PNG file to write
    #[arg(long, value_name = "PICTURE")]
    pub output: PathBuf,

    /// Iterations at most, one step of L-BFGS each
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000), default_value = "500")]
    pub iterations: u64,
    /// Shorter side that the photo is scaled to, in pixels
    #[arg(long, value_name = "PX", value_parser = count(32, 4096), default_value = "256")]
    pub size: u64,
    /// What to begin with
    #[arg(long, value_enum, default_value = "photo")]
    pub start: Start,
    /// Seed of the noise to begin with
    #[arg(long, value_name = "N", default_value = "0")]
    pub seed: u64,
    /// Renew PICTURE every so many iterations, to look at
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000), default_value = "50")]
    pub preview_every: u64,
    /// Write the losses of every iteration to this CSV file
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,

    #[command(flatten)]
    pub loss: LossArgs,
}

/// What the slow method begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// The photo
    Photo,
    /// Noise
    Noise,
}

/// The arguments of `evaluate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Weights, layers, --style-size and the parts of the paintings are those the model was
trained with, as far as its file tells, unless they are given. The table goes to standard error. Ctrl-C ends it with the
photos that are done.")]
pub struct EvaluateArgs {
    /// The model file
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The painting it learned from; repeated, if there were several
    #[arg(long, value_name = "PAINTING", required = true)]
    pub style: Vec<PathBuf>,
    /// A folder of photos, with its subfolders; best some that it was not
    /// trained with
    #[arg(long, value_name = "DIR")]
    pub photos: PathBuf,

    /// Photos to take, spread evenly over the sorted list: the same each time
    #[arg(long, value_name = "N", value_parser = count(1, 64), default_value = "5")]
    pub count: u64,
    /// Side of the squares cut from the photos' middle, in pixels
    #[arg(long, value_name = "PX", value_parser = count(32, 2048), default_value = "256")]
    pub size: u64,
    /// Iterations of the slow method at most, for each photo; 0 leaves it out,
    /// and with it nearly all of the time
    #[arg(long, value_name = "N", value_parser = count(0, 1_000_000), default_value = "150")]
    pub max_iterations: u64,
    /// Write the figures to this JSON file rather than to standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write this PNG file: the painting and, for each photo, the photo, the
    /// network's picture, and the slow method's when it is as good
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,

    #[command(flatten)]
    pub loss: LossArgs,
}

/// The arguments that say what loss is made small.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Loss")]
pub struct LossArgs {
    /// Shorter side of the painting, in pixels, when its style is measured:
    /// larger gives larger strokes [default: --size]
    #[arg(long, value_name = "PX", value_parser = count(16, 8192))]
    pub style_size: Option<u64>,
    /// The part of the painting that counts, in its pixels: width, height, left
    /// and upper edge; of several, one for each, `none` for all of it
    #[arg(long, value_name = "WxH+X+Y", value_parser = crop, value_delimiter = ',')]
    pub style_crop: Vec<Option<Crop>>,
    /// How much each of several paintings counts, in their order, such as 3,1
    /// [default: all the same]
    #[arg(long, value_name = "W,W", value_parser = weight, value_delimiter = ',')]
    pub style_blend: Vec<f64>,
    /// Layers of VGG-19 that content is measured at, with their weights, such
    /// as conv3_1=0.5,conv4_2 [default: conv4_2]
    #[arg(long, value_name = "LAYER=W,...")]
    pub content_layers: Option<LayerWeights>,
    /// Layers that style is measured at, from conv1_1 to conv5_1 [default:
    /// conv1_1,conv2_1,conv3_1,conv4_1,conv5_1]
    #[arg(long, value_name = "LAYER=W,...")]
    pub style_layers: Option<LayerWeights>,
    /// Weight of the content loss [default: 10]
    #[arg(long, value_name = "W", value_parser = weight)]
    pub content_weight: Option<f64>,
    /// Weight of the style loss (differences of Gram matrices) [default: 100]
    #[arg(long, value_name = "W", value_parser = weight)]
    pub style_weight: Option<f64>,
    /// Weight of the total variation, which is low for smooth pictures
    /// [default: 0.004]
    #[arg(long, value_name = "W", value_parser = weight)]
    pub tv_weight: Option<f64>,
    /// VGG-19's weights, as import-vgg writes them [default: the built-in ones]
    #[arg(long, value_name = "FILE")]
    pub vgg: Option<PathBuf>,
}

impl LossArgs {
    /// The weights and layers they ask for: `known` where they ask for none.
    pub fn weights(&self, known: LossWeights) -> LossWeights {
        LossWeights {
            content: self.content_weight.unwrap_or(known.content),
            style: self.style_weight.unwrap_or(known.style),
            tv: self.tv_weight.unwrap_or(known.tv),
            content_layers: self.content_layers.clone().unwrap_or(known.content_layers),
            style_layers: self.style_layers.clone().unwrap_or(known.style_layers),
        }
    }
}

fn picture_size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=16384).contains(side));
    text.split_once('x')
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .ok_or_else(|| "not a size such as 640x480".into())
}

fn count(low: u64, high: u64) -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(low..=high)
}

fn size(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(size) if (32..=2048).contains(&size) && size % 16 == 0 => Ok(size),
        _ => Err("not a multiple of 16 within 32..=2048".into()),
    }
}

fn number(text: &str, fits: impl Fn(f64) -> bool, what: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && fits(value) => Ok(value),
        _ => Err(format!("not {what}")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, |rate| rate > 0.0, "a number above 0")
}

fn fraction(text: &str) -> Result<f64, String> {
    number(text, |f| (0.0..=1.0).contains(&f), "within 0..=1")
}

fn crop(text: &str) -> Result<Option<Crop>, String> {
    match text {
        "none" => Ok(None),
        _ => text.parse().map(Some),
    }
}

fn weight(text: &str) -> Result<f64, String> {
    number(text, |weight| weight >= 0.0, "a number of at least 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, CommandFactory};
    use std::collections::BTreeSet;

    /// clap's own `debug_assert` checks nothing in release builds.
    #[test]
    fn the_command_line_is_consistent() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands() {
            let name = command.get_name();
            let args: Vec<&Arg> = command.get_arguments().collect();
            let (mut ids, mut flags) = (BTreeSet::new(), BTreeSet::new());
            for arg in &args {
                assert!(ids.insert(arg.get_id()), "{name}: two of {arg}");
                let longs = arg.get_long_and_visible_aliases().into_iter().flatten();
                let shorts = arg.get_short_and_visible_aliases().into_iter().flatten();
                for flag in longs.map(String::from).chain(shorts.map(String::from)) {
                    assert!(flags.insert(flag), "{name}: two flags {arg}");
                }
                assert!(arg.get_help().is_some(), "{name}: no help for {arg}");
                // Panics if the other argument does not exist.
                command.get_arg_conflicts_with(arg);
            }
            for group in command.get_groups() {
                assert!(
                    group.get_args().all(|id| ids.contains(id)),
                    "{name}: {group:?}"
                );
            }
            let positionals: Vec<&Arg> = command.get_positionals().collect();
            let many = |arg: &&Arg| arg.get_num_args().is_some_and(|n| n.max_values() > 1);
            if let [front @ .., _] = &positionals[..] {
                assert!(
                    !front.iter().any(many),
                    "{name}: a list before the last argument"
                );
            }
        }
    }

    /// clap reads defaults only when it parses.
    #[test]
    fn every_command_accepts_its_own_defaults() {
        for line in [
            "train --style a --photos b --output c",
            "train --resume --output c",
            "optimize --style a --photo b --output c",
            "evaluate --style a --photos b --model c",
            "stylize a --model b",
            "info a",
            "export-onnx a",
            "import a",
            "import-vgg a",
        ] {
            let words = ["faststyle-train"].into_iter().chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
        assert!(Cli::try_parse_from(["faststyle-train", "train", "--output", "c"]).is_err());
    }
}
