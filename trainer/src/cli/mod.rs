//! The command line: subcommands, flags and their help.

pub mod config;
pub mod preset;

use crate::logging::metrics::MetricsFormat;
use crate::objective::LossWeights;
use crate::objective::layers::LayerWeights;
use crate::objective::painting::Crop;
use crate::training::optimizer::OptimizerMethod;
use crate::training::schedule::Schedule;
use clap::{Args, Parser, Subcommand, ValueEnum};
use gstfaststyle::internals::engine::motion::DEFAULT_SMOOTHING;
use gstfaststyle::{DeviceChoice, Precision};
use preset::Preset;
use std::path::PathBuf;

/// Learns the style of a painting for the GStreamer element `faststyle`.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a style network from a painting and a folder of photos
    Train(Box<TrainArgs>),
    /// Learn one more style for a model, in minutes; its other styles stay as they
    /// are
    AddStyle(Box<AddStyleArgs>),
    /// Write one style of a model as a model of its own
    ExtractStyle(ExtractStyleArgs),
    /// Remove a style from a model
    RemoveStyle(RemoveStyleArgs),
    /// Paint photos in all styles of a model, side by side
    Sheet(SheetArgs),
    /// Repaint one photo by optimizing its pixels, without a network
    Optimize(OptimizeArgs),
    /// Measure a model's losses, against direct optimization, and its flicker, in
    /// photos and in films
    Evaluate(EvaluateArgs),
    /// Repaint pictures with a trained network
    Stylize(StylizeArgs),
    /// Show the models and styles that are found by their names
    List,
    /// Show what a model file contains and how it was trained
    Info(InfoArgs),
    /// Convert a model to ONNX
    ExportOnnx(ExportOnnxArgs),
    /// Convert a network that another program trained to a model file
    Import(ImportArgs),
    /// Convert VGG-19 weights from another program for --vgg
    ImportVgg(ImportVggArgs),
}

/// The arguments of `stylize`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Results are called NAME.STYLE.png, for example photo.scream.png. They are written beside
the picture, or into the folder OUT with the same subfolders as the input folder. Earlier
results in an input folder are skipped, and so are pictures of a folder whose results are
there. Input files are never overwritten. Orientation, transparency, colour profile, EXIF,
XMP and, in JPEG files, IPTC data are kept; what is not, more than 8 bits or animation, is
said.
Ctrl-C stops the program; no file is left incomplete.
With --smoothing, the pictures of a folder are the frames of a film, in the order of the
numbers in their names (9.png before 10.png): each painting is blended with the one before,
carried along the film's motion, as the element does. Frames after a cut, of another size, or
whose frame before is not painted by the same command begin anew.")]
pub struct StylizeArgs {
    /// Pictures (JPEG, PNG, WebP, BMP, GIF, TIFF) or folders of them, including
    /// subfolders
    #[arg(value_name = "PICTURE", required = true)]
    pub pictures: Vec<PathBuf>,
    /// The model: a file, or a name that `list` shows, such as scream
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The style, or a mix such as scream:0.7,starry-night:0.3 [default: the
    /// model's first]
    #[arg(long, value_name = "NAME")]
    pub style: Option<String>,
    /// Output file for one picture, or output folder [default: beside each
    /// picture]
    #[arg(long, value_name = "OUT")]
    pub output: Option<PathBuf>,
    /// Overwrite results that exist
    #[arg(long)]
    pub overwrite: bool,

    /// Strength of the style, from 0 (none) to 1 (full)
    #[arg(long, value_name = "S", value_parser = fraction, default_value = "1")]
    pub strength: f64,
    /// Keep the picture's colours: only the luma is painted (BT.601)
    #[arg(long)]
    pub keep_color: bool,
    /// Paint consecutive frames as a film that does not flicker: how much of the
    /// painting before is taken, from 0 (none) to 1; 0.8 is usual
    #[arg(long, value_name = "S", value_parser = fraction, default_value = "0")]
    pub smoothing: f64,
    /// Scale pictures down if their longer side has more pixels than this
    #[arg(long, value_name = "PX", value_parser = count(1, 65535))]
    pub max_size: Option<u64>,
    /// Output format [default: from the extension of OUT, or png]
    #[arg(long, value_enum)]
    pub format: Option<PictureFormat>,
    /// Quality of JPEG files, from 1 to 100; PNG and WebP are lossless
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
    /// Precision of the computation: auto, f32, f16, bf16, or fast, where the CPU
    /// is faster with it
    #[arg(
        long,
        value_name = "PRECISION",
        default_value = "auto",
        help_heading = "Running"
    )]
    pub precision: Precision,
    /// Number of CPU threads; 0 means one per core
    #[arg(long, value_name = "N", value_parser = count(0, 1024), default_value = "0", help_heading = "Running")]
    pub threads: u64,
    /// Memory limit for painting, without the picture itself; larger pictures are
    /// painted in tiles, which gives the same result and takes about nine
    /// times as long [default: half of the free memory]
    #[arg(long, value_name = "MIB", value_parser = count(1, 1 << 30), help_heading = "Running")]
    pub memory: Option<u64>,
}

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PictureFormat {
    /// Lossless, with transparency
    Png,
    /// Small files without transparency: transparent areas become white
    Jpeg,
    /// Lossless, with transparency
    Webp,
}

/// The arguments of `info`.
#[derive(Clone, Debug, Args)]
pub struct InfoArgs {
    /// The models: files, or names that `list` shows
    #[arg(value_name = "MODEL", required = true)]
    pub models: Vec<PathBuf>,
    /// Show this style alone
    #[arg(long, value_name = "NAME")]
    pub style: Option<String>,
    /// Print JSON, one object for each model
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `extract-style`.
#[derive(Clone, Debug, Args)]
pub struct ExtractStyleArgs {
    /// The model: a file, or a name that `list` shows, such as scream
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The style, or a mix such as scream:0.7,starry-night:0.3
    #[arg(long, value_name = "NAME")]
    pub style: String,
    /// The file to write [default: NAME.safetensors beside MODEL]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long)]
    pub overwrite: bool,
}

/// The arguments of `remove-style`.
#[derive(Clone, Debug, Args)]
pub struct RemoveStyleArgs {
    /// The model: a file, or a name that `list` shows, such as scream
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The style
    #[arg(long, value_name = "NAME")]
    pub style: String,
    /// The file to write [default: MODEL itself]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long)]
    pub overwrite: bool,
}

/// The arguments of `sheet`.
#[derive(Clone, Debug, Args)]
pub struct SheetArgs {
    /// The photos
    #[arg(value_name = "PHOTO", required = true)]
    pub photos: Vec<PathBuf>,
    /// The model: a file, or a name that `list` shows, such as scream
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The PNG file to write [default: NAME.sheet.png beside each photo]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// Scale photos down if their longer side has more pixels than this
    #[arg(long, value_name = "PX", value_parser = count(16, 4096), default_value = "512")]
    pub max_size: u64,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
}

/// The arguments of `add-style`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Only the numbers that each style has to itself are learned: the scales and shifts of the
norms. All other styles paint the same pictures as before, bit by bit. Training writes
files like those of `train`, named after MODEL and the style (here atelier.waves.*); at
its end the style is added to MODEL. Ctrl-C finishes the step and saves; --resume
continues.")]
pub struct AddStyleArgs {
    /// The model: a file, or a name that `list` shows, such as scream
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The painting to learn from (JPEG, PNG, WebP, BMP, GIF, TIFF); repeat it to
    /// blend several into one style
    #[arg(long, value_name = "PAINTING", required_unless_present = "resume")]
    pub style: Vec<PathBuf>,
    /// The folder of training photos, including subfolders
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    pub photos: Option<PathBuf>,
    /// The model file to write [default: MODEL itself]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Resume from the checkpoint
    #[arg(long)]
    pub resume: bool,
    /// Replace the style of the same name, or its unfinished training, and the
    /// file of --output
    #[arg(long)]
    pub overwrite: bool,

    /// Number of steps [default: 600]
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000_000), help_heading = "Recipe")]
    pub steps: Option<u64>,
    /// Photos per batch [default: 1]
    #[arg(long, value_name = "N", value_parser = count(1, 1024), help_heading = "Recipe")]
    pub batch: Option<u64>,
    /// Side of the squares cut from the photos, in pixels, a multiple of 16
    /// [default: 256]
    #[arg(long, value_name = "PX", value_parser = size, help_heading = "Recipe")]
    pub size: Option<u64>,
    /// Learning rate, which falls to a tenth [default: 0.01]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Recipe")]
    pub lr: Option<f64>,
    /// Weight of the stability loss, which reduces flicker in video [default: that
    /// of the model]
    #[arg(long, value_name = "W", value_parser = weight, help_heading = "Recipe")]
    pub stability: Option<f64>,
    /// Seed for the order of the photos [default: 0]
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
    /// A photo to paint at every checkpoint; can be repeated
    #[arg(long, value_name = "PHOTO", help_heading = "Running")]
    pub preview: Vec<PathBuf>,

    #[command(flatten)]
    pub about: AboutArgs,
}

/// The arguments of `export-onnx`.
#[derive(Debug, Args)]
#[command(after_help = "\
Input and output of the graph, `input` and `output`, are f32 [1, 3, height, width], RGB
in 0..255. Without --size, height and width must be multiples of 4.")]
pub struct ExportOnnxArgs {
    /// The model: a file, or a name that `list` shows
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// The style, or a mix such as scream:0.7,starry-night:0.3, if the model has
    /// several
    #[arg(long, value_name = "NAME")]
    pub style: Option<String>,
    /// The file to write [default: MODEL with the extension .onnx]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// Fix the picture size; any size is allowed
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
    /// Overwrite OUT if it exists
    #[arg(long)]
    pub overwrite: bool,
}

/// The arguments of `train`.
///
/// Flags with a default are optional here: on `--resume`, only the flags that
/// are given change what the checkpoint says.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = "\
Files that training writes beside OUTPUT (here scream.safetensors):
  scream.checkpoint.safetensors   everything that --resume needs
  scream.report.html              progress report, for a browser
  scream.metrics.csv              losses of every step
  scream.preview-PHOTO.png        the latest pictures of --preview
  scream.previews/                small copies of them, one for each checkpoint
Ctrl-C finishes the step, saves and prints the command that resumes training.")]
pub struct TrainArgs {
    /// The painting to learn from (JPEG, PNG, WebP, BMP, GIF, TIFF); repeat it to
    /// blend several into one style
    #[arg(long, value_name = "PAINTING", required_unless_present_any = ["resume", "styles"])]
    pub style: Vec<PathBuf>,
    /// Learn several styles in one network: each painting in this folder, or those
    /// that a TOML file lists, and a style `none` that shows the photo
    #[arg(long, value_name = "DIR|TOML", conflicts_with_all = [
        "style", "style_crop", "style_blend", "title", "artist", "year", "name",
    ])]
    pub styles: Option<PathBuf>,
    /// The folder of training photos, including subfolders
    #[arg(long, value_name = "DIR", required_unless_present = "resume")]
    pub photos: Option<PathBuf>,
    /// The model file to write, for the element's property `model`
    #[arg(long, value_name = "MODEL")]
    pub output: PathBuf,

    /// Resume from the checkpoint beside OUTPUT with its recipe; these can be
    /// changed: --steps or --epochs, the learning rate, the loss weights,
    /// --photos, --vgg, --checkpoint-every, --preview, --metrics, --tensorboard
    /// and the data about the painting
    #[arg(long, conflicts_with_all = ["init", "overwrite"])]
    pub resume: bool,
    /// Start a new training even if OUTPUT or another file that it writes exists
    #[arg(long)]
    pub overwrite: bool,
    /// Start from the weights of another style's model (a file, or a name that `list`
    /// shows) instead of random ones; a
    /// multiple of its width as --width starts from a wider network that paints
    /// the same
    #[arg(long, value_name = "MODEL")]
    pub init: Option<PathBuf>,
    /// A TOML file of settings, named like the flags (`style-size = 512`); its
    /// paths are relative to its folder. Flags override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A set of settings. Flags and the config file override it
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,

    /// Base width of the network: 16 for live video on a CPU, 32 as in the
    /// paper [default: 16]
    #[arg(long, value_name = "C", value_parser = count(1, 256), help_heading = "Network")]
    pub width: Option<u64>,
    /// Residual blocks of the network [default: 5]
    #[arg(long, value_name = "N", value_parser = count(0, 32), help_heading = "Network")]
    pub residual_blocks: Option<u64>,
    /// Whether an instance norm follows the last convolution, as in the paper;
    /// without it the brightness of video pumps less [default: true]
    #[arg(long, value_name = "true|false", help_heading = "Network")]
    pub output_norm: Option<bool>,

    /// Number of steps, one batch each [default: 40000]
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000_000), help_heading = "Recipe")]
    pub steps: Option<u64>,
    /// Number of passes over the photos, instead of --steps
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000), conflicts_with = "steps", help_heading = "Recipe")]
    pub epochs: Option<u64>,
    /// Photos per batch [default: 4]
    #[arg(long, value_name = "N", value_parser = count(1, 1024), help_heading = "Recipe")]
    pub batch: Option<u64>,
    /// Side of the squares cut from the photos, in pixels, a multiple of 16
    /// [default: 256]
    #[arg(long, value_name = "PX", value_parser = size, help_heading = "Recipe")]
    pub size: Option<u64>,
    /// Optimizer [default: adam]
    #[arg(long, value_enum, value_name = "METHOD", help_heading = "Recipe")]
    pub optimizer: Option<OptimizerMethod>,
    /// Learning rate [default: 0.001]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Recipe")]
    pub lr: Option<f64>,
    /// How the learning rate decays [default: cosine]
    #[arg(long, value_enum, value_name = "LINE", help_heading = "Recipe")]
    pub lr_schedule: Option<Schedule>,
    /// Fraction of the learning rate that is left at the last step [default: 1,
    /// no decay]
    #[arg(long, value_name = "FRACTION", value_parser = fraction, help_heading = "Recipe")]
    pub lr_final: Option<f64>,
    /// Weight of the stability loss, which reduces flicker in video: the
    /// difference between the painted photo and a painted copy with noise, or
    /// moved and in another light [default: 0, off]
    #[arg(long, value_name = "W", value_parser = weight, help_heading = "Recipe")]
    pub stability: Option<f64>,
    /// Factor for the stability loss of copies with noise alone, compared with
    /// moved copies [default: 8]
    #[arg(long, value_name = "FACTOR", value_parser = weight, help_heading = "Recipe")]
    pub stability_at_rest: Option<f64>,
    /// Number of first steps in which the learning rate rises to its full value
    /// [default: 0]
    #[arg(long, value_name = "STEPS", value_parser = count(0, 1_000_000_000), help_heading = "Recipe")]
    pub warmup: Option<u64>,
    /// Seed for the initial weights and the order of the photos [default: 0]
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
    /// Number of steps between checkpoints [default: 200]
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000_000), help_heading = "Running")]
    pub checkpoint_every: Option<u64>,
    /// A photo to paint at every checkpoint; can be repeated
    #[arg(long, value_name = "PHOTO", help_heading = "Running")]
    pub preview: Vec<PathBuf>,
    /// File format for the losses of every step [default: csv]
    #[arg(long, value_name = "FORMAT", value_enum, help_heading = "Running")]
    pub metrics: Option<MetricsFormat>,
    /// Also write losses and previews for TensorBoard, into a folder in DIR named
    /// after OUTPUT
    #[arg(long, value_name = "DIR", help_heading = "Running")]
    pub tensorboard: Option<PathBuf>,

    #[command(flatten)]
    pub about: AboutArgs,
}

/// What a model file says about the painting.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "About the painting")]
pub struct AboutArgs {
    /// The painting's title, stored in the model file
    #[arg(long)]
    pub title: Option<String>,
    /// The painter
    #[arg(long)]
    pub artist: Option<String>,
    /// When it was painted: 1893, "c. 1831"
    #[arg(long)]
    pub year: Option<String>,
    /// Short name of the style [default: file name of OUTPUT without extension]
    #[arg(long)]
    pub name: Option<String>,
}

/// The arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Supported networks, of any width:
  TransformerNet of pytorch/examples (fast_neural_style), as a state_dict that torch.save
  wrote (*.pth, *.model, *.pt; alone or in a checkpoint), as a safetensors file, or as an
  ONNX file such as the model zoo's candy, mosaic, rain_princess, udnie and pointilism;
  lengstrom/fast-style-transfer, as a safetensors file of its variables (Variable,
  Variable_1 and so on).")]
pub struct ImportArgs {
    /// The file to read
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
    /// The model file to write [default: FILE with the extension .safetensors]
    #[arg(long, value_name = "OUTPUT")]
    pub output: Option<PathBuf>,
    /// Overwrite OUTPUT if it exists
    #[arg(long)]
    pub overwrite: bool,
    /// What the names of the network's tensors begin with, if the file holds several
    /// networks, such as model_ema
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,

    #[command(flatten)]
    pub about: AboutArgs,
}

/// The arguments of `optimize`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Optimizes the pixels of the picture for the same loss that trains networks: the method
of Gatys, Ecker and Bethge. It is far slower than a trained network and gives the best
picture that a network could learn to paint. Ctrl-C finishes the iteration and writes the
picture as it is.")]
pub struct OptimizeArgs {
    /// The painting that gives the style (JPEG, PNG, WebP, BMP, GIF, TIFF);
    /// repeat it to blend several styles
    #[arg(long, value_name = "PAINTING", required = true)]
    pub style: Vec<PathBuf>,
    /// The photo to repaint
    #[arg(long, value_name = "PHOTO")]
    pub photo: PathBuf,
    /// The PNG file to write
    #[arg(long, value_name = "PICTURE")]
    pub output: PathBuf,
    /// Overwrite PICTURE and the file of --metrics if they exist
    #[arg(long)]
    pub overwrite: bool,

    /// Maximum number of iterations, one L-BFGS step each
    #[arg(long, value_name = "N", value_parser = count(1, 1_000_000), default_value = "500")]
    pub iterations: u64,
    /// Shorter side of the scaled photo, in pixels
    #[arg(long, value_name = "PX", value_parser = count(32, 4096), default_value = "256")]
    pub size: u64,
    /// Initial picture
    #[arg(long, value_enum, default_value = "photo")]
    pub start: Start,
    /// Seed of the initial noise
    #[arg(long, value_name = "N", default_value = "0")]
    pub seed: u64,
    /// Number of iterations between updates of PICTURE
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

/// The initial picture of the slow method.
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
Defaults for loss weights, layers, --style-size and crops of the paintings come from the
model file, if it was trained with them. The table is printed to standard error. Ctrl-C
stops after the current photo and reports the finished ones.

With --frames, the warp error is the mean difference of a painting from the one before,
carried along the film's motion, where the film itself agrees. The motion is found by the
engine, as for its own smoothing, but backwards in time, from each frame to the one before.
The gradient that is kept shows blur, which is calm as well. To take a film apart:
  ffmpeg -i film.mp4 -vf scale=640:-2 -frames:v 90 frames/%04d.png")]
pub struct EvaluateArgs {
    /// The model: a file, or a name that `list` shows, such as scream
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The style, or a mix such as scream:0.7,starry-night:0.3, if the model has
    /// several; --frames alone measures all of them by default
    #[arg(long, value_name = "NAME")]
    pub style: Option<String>,
    /// The painting that the style was learned from; repeat it for several
    #[arg(
        long,
        value_name = "PAINTING",
        requires = "photos",
        required_unless_present = "frames"
    )]
    pub painting: Vec<PathBuf>,
    /// A folder of photos, including subfolders; preferably photos that were not
    /// used for training
    #[arg(
        long,
        value_name = "DIR",
        requires = "painting",
        required_unless_present = "frames"
    )]
    pub photos: Option<PathBuf>,
    /// A folder of a film's frames, numbered pictures, to measure how restless its
    /// paintings are, frame by frame and smoothed
    #[arg(long, value_name = "DIR")]
    pub frames: Option<PathBuf>,
    /// How much of the painting before is taken to smooth frames, from 0 to 1, as
    /// the element's property
    #[arg(long, value_name = "S", value_parser = fraction, requires = "frames", default_value_t = DEFAULT_SMOOTHING)]
    pub smoothing: f64,

    /// Number of photos, spread evenly over the sorted list
    #[arg(long, value_name = "N", value_parser = count(1, 64), default_value = "5")]
    pub count: u64,
    /// Side of the squares cut from the centre of the photos, in pixels
    #[arg(long, value_name = "PX", value_parser = count(32, 2048), default_value = "256")]
    pub size: u64,
    /// Maximum iterations of direct optimization for each photo; 0 skips it, which
    /// saves nearly all of the time
    #[arg(long, value_name = "N", value_parser = count(0, 1_000_000), default_value = "150")]
    pub max_iterations: u64,
    /// Also write the results to this JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a PNG file with the painting and, for each photo, the photo, the
    /// network's picture and the optimized picture of the same loss
    #[arg(long, value_name = "FILE", requires = "photos")]
    pub sheet: Option<PathBuf>,
    /// Overwrite the files of --json and --sheet if they exist
    #[arg(long)]
    pub overwrite: bool,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,

    #[command(flatten)]
    pub loss: LossArgs,
}

/// The arguments that define the loss.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Loss")]
pub struct LossArgs {
    /// Shorter side of the scaled painting, in pixels; larger paintings give larger
    /// strokes [default: --size]
    #[arg(long, value_name = "PX", value_parser = count(16, 8192))]
    pub style_size: Option<u64>,
    /// Crop of the painting, in its pixels: width, height, left and top; one for
    /// each painting, `none` for all of it
    #[arg(long, value_name = "WxH+X+Y", value_parser = crop, value_delimiter = ',')]
    pub style_crop: Vec<Option<Crop>>,
    /// Weights of several paintings in the blend, in their order, such as 3,1
    /// [default: equal]
    #[arg(long, value_name = "W,W", value_parser = weight, value_delimiter = ',')]
    pub style_blend: Vec<f64>,
    /// Layers of VGG-19 for the content loss, with their weights, such as
    /// conv3_1=0.5,conv4_2 [default: conv4_2]
    #[arg(long, value_name = "LAYER=W,...")]
    pub content_layers: Option<LayerWeights>,
    /// Layers of VGG-19 for the style loss, from conv1_1 to conv5_1 [default:
    /// conv1_1,conv2_1,conv3_1,conv4_1,conv5_1]
    #[arg(long, value_name = "LAYER=W,...")]
    pub style_layers: Option<LayerWeights>,
    /// Weight of the content loss [default: 10]
    #[arg(long, value_name = "W", value_parser = weight)]
    pub content_weight: Option<f64>,
    /// Weight of the style loss (differences of Gram matrices) [default: 100]
    #[arg(long, value_name = "W", value_parser = weight)]
    pub style_weight: Option<f64>,
    /// Weight of the total variation, which makes pictures smoother [default:
    /// 0.004]
    #[arg(long, value_name = "W", value_parser = weight)]
    pub tv_weight: Option<f64>,
    /// Weights of VGG-19, as import-vgg writes them [default: built-in weights]
    #[arg(long, value_name = "FILE")]
    pub vgg: Option<PathBuf>,
}

impl LossArgs {
    /// The given weights and layers; those of `known` where none are given.
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
            "train --styles a --photos b --output c",
            "train --resume --output c",
            "optimize --style a --photo b --output c",
            "evaluate --painting a --photos b --model c",
            "evaluate --frames a --model b",
            "add-style --model a --style b --photos c",
            "extract-style --model a --style b",
            "remove-style --model a --style b",
            "sheet --model a b",
            "stylize a --model b",
            "list",
            "info a",
            "export-onnx a",
            "import a",
            "import-vgg a",
        ] {
            let words = ["faststyle-train"].into_iter().chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
        for line in [
            "train --output c",
            "evaluate --model a",
            "evaluate --model a --photos b",
            "evaluate --model a --frames b --painting c",
            "evaluate --model a --frames b --sheet c.png",
        ] {
            let words = ["faststyle-train"].into_iter().chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
