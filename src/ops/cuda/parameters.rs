//! The parameters of the kernels: `kernels/parameters.h` in Rust, where the fields
//! are explained.

#![allow(missing_docs)]

use std::ffi::c_void;
use std::ptr;

/// A place in the device's memory; 0 is none.
pub type Address = u64;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Affine {
    pub factor: Address,
    pub offset: Address,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Convolution {
    pub input: Address,
    pub weights: Address,
    pub output: Address,
    pub moments: Address,
    pub pending: Affine,
    pub height: i32,
    pub width: i32,
    pub inputs: i32,
    pub outputs: i32,
    pub tiles_across: i32,
    pub tiles: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct First {
    pub picture: Address,
    pub weights: Address,
    pub output: Address,
    pub moments: Address,
    pub picture_height: i32,
    pub picture_width: i32,
    pub height: i32,
    pub width: i32,
    pub outputs: i32,
    pub tiles_across: i32,
    pub tiles: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Last {
    pub input: Address,
    pub weights: Address,
    pub output: Address,
    pub moments: Address,
    pub pending: Affine,
    pub height: i32,
    pub width: i32,
    pub inputs: i32,
    pub tiles_across: i32,
    pub tiles: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Residual {
    pub sum: Address,
    pub added: Address,
    pub affine: Affine,
    pub replace: i32,
    pub channels: i32,
    pub groups: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FinalizeNorm {
    pub moments: Address,
    pub scale: Address,
    pub shift: Address,
    pub eps: Address,
    pub factor: Address,
    pub offset: Address,
    pub rows: i32,
    pub channels: i32,
    pub pixels: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ComponentLayout {
    pub plane: i32,
    pub first: i32,
    pub step: i32,
    pub shift_x: i32,
    pub shift_y: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameLayout {
    pub planes: [Address; 3],
    pub strides: [i64; 3],
    pub samples: [i32; 3],
    pub storage: i32,
    pub family: i32,
    pub bits: i32,
    pub width: i32,
    pub height: i32,
    pub group_width: i32,
    pub group_height: i32,
    pub components: [ComponentLayout; 3],
    pub opacity: ComponentLayout,
    pub gain: f32,
    pub offset: f32,
    pub middle: f32,
    pub red_v: f32,
    pub green_u: f32,
    pub green_v: f32,
    pub blue_u: f32,
    pub back_gain: f32,
    pub back_offset: f32,
    pub back: [[f32; 4]; 3],
    pub largest: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Enter {
    pub frame: FrameLayout,
    pub picture: Address,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Tone {
    pub factor: f32,
    pub offset: f32,
    pub keep: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FindTone {
    pub picture: Address,
    pub height: i32,
    pub width: i32,
    pub moments: Address,
    pub rows: i32,
    pub tone: Address,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Styled {
    pub numbers: Address,
    pub width: i32,
    pub affine: Affine,
    pub span: f32,
    pub tone: Address,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Shrink {
    pub picture: Address,
    pub small: Address,
    pub height: i32,
    pub width: i32,
    pub small_height: i32,
    pub small_width: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    pub picture: Address,
    pub styled: Styled,
    pub fields: Address,
    pub height: i32,
    pub width: i32,
    pub sharpen_row: f32,
    pub sharpen_column: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Leave {
    pub before: FrameLayout,
    pub after: FrameLayout,
    pub styled: Styled,
    pub fields: Address,
    pub fields_height: i32,
    pub fields_width: i32,
    pub strength: f32,
    pub keep_color: i32,
    pub keep_opacity: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Gather {
    pub image: Address,
    pub height: i32,
    pub width: i32,
    pub channels: i32,
    pub batch: i32,
    pub down: i32,
    pub across: i32,
    pub stride: i32,
    pub before_y: i32,
    pub before_x: i32,
    pub taps_down: i32,
    pub taps_across: i32,
    pub block: i32,
    pub mirrored: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Product {
    pub gather: Gather,
    pub weights: Address,
    pub bias: Address,
    pub output: Address,
    pub output_height: i32,
    pub output_width: i32,
    pub outputs: i32,
    pub step: i32,
    pub first_y: i32,
    pub first_x: i32,
    pub relu: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PackWeights {
    pub weights: Address,
    pub packed: Address,
    pub column_stride: i32,
    pub channel_stride: i32,
    pub side: i32,
    pub first_y: i32,
    pub first_x: i32,
    pub step: i32,
    pub taps_down: i32,
    pub taps_across: i32,
    pub channels: i32,
    pub block: i32,
    pub columns: i32,
    pub padded_columns: i32,
    pub chunks: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct WeightGradient {
    pub gather: Gather,
    pub gradient: Address,
    pub outputs: i32,
    pub sums: Address,
    pub padded_rows: i32,
    pub padded_columns: i32,
    pub pixels_of_line: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SumWeightGradient {
    pub sums: Address,
    pub gradient: Address,
    pub lines: i32,
    pub padded_rows: i32,
    pub padded_columns: i32,
    pub outputs: i32,
    pub channels: i32,
    pub taps: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Norm {
    pub x: Address,
    pub scale: Address,
    pub shift: Address,
    pub y: Address,
    pub y_gradient: Address,
    pub x_gradient: Address,
    pub scale_gradient: Address,
    pub shift_gradient: Address,
    pub sums: Address,
    pub statistics: Address,
    pub means: Address,
    pub eps: f32,
    pub relu: i32,
    pub batch: i32,
    pub pixels: i32,
    pub channels: i32,
    pub slices: i32,
    pub pixels_of_slice: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Resize {
    pub from: Address,
    pub to: Address,
    pub large: Address,
    pub small: Address,
    pub batch: i32,
    pub height: i32,
    pub width: i32,
    pub channels: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    pub gradient: Address,
    pub result: Address,
    pub gated: Address,
    pub count: i64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Fold {
    pub mirrored: Address,
    pub folded: Address,
    pub batch: i32,
    pub height: i32,
    pub width: i32,
    pub channels: i32,
    pub reach: i32,
}

/// One of the structures above.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Parameters {
    Convolution(Convolution),
    First(First),
    Last(Last),
    Residual(Residual),
    FinalizeNorm(FinalizeNorm),
    Enter(Enter),
    FindTone(FindTone),
    Shrink(Shrink),
    Fields(Fields),
    Leave(Leave),
    Product(Product),
    PackWeights(PackWeights),
    WeightGradient(WeightGradient),
    SumWeightGradient(SumWeightGradient),
    Norm(Norm),
    Resize(Resize),
    Gate(Gate),
    Fold(Fold),
}

impl Parameters {
    /// The structure as launches take it.
    pub fn pointer(&self) -> *const c_void {
        match self {
            Parameters::Convolution(p) => ptr::from_ref(p).cast(),
            Parameters::First(p) => ptr::from_ref(p).cast(),
            Parameters::Last(p) => ptr::from_ref(p).cast(),
            Parameters::Residual(p) => ptr::from_ref(p).cast(),
            Parameters::FinalizeNorm(p) => ptr::from_ref(p).cast(),
            Parameters::Enter(p) => ptr::from_ref(p).cast(),
            Parameters::FindTone(p) => ptr::from_ref(p).cast(),
            Parameters::Shrink(p) => ptr::from_ref(p).cast(),
            Parameters::Fields(p) => ptr::from_ref(p).cast(),
            Parameters::Leave(p) => ptr::from_ref(p).cast(),
            Parameters::Product(p) => ptr::from_ref(p).cast(),
            Parameters::PackWeights(p) => ptr::from_ref(p).cast(),
            Parameters::WeightGradient(p) => ptr::from_ref(p).cast(),
            Parameters::SumWeightGradient(p) => ptr::from_ref(p).cast(),
            Parameters::Norm(p) => ptr::from_ref(p).cast(),
            Parameters::Resize(p) => ptr::from_ref(p).cast(),
            Parameters::Gate(p) => ptr::from_ref(p).cast(),
            Parameters::Fold(p) => ptr::from_ref(p).cast(),
        }
    }

    /// Bytes of the structure.
    pub fn size(&self) -> usize {
        match self {
            Parameters::Convolution(_) => size_of::<Convolution>(),
            Parameters::First(_) => size_of::<First>(),
            Parameters::Last(_) => size_of::<Last>(),
            Parameters::Residual(_) => size_of::<Residual>(),
            Parameters::FinalizeNorm(_) => size_of::<FinalizeNorm>(),
            Parameters::Enter(_) => size_of::<Enter>(),
            Parameters::FindTone(_) => size_of::<FindTone>(),
            Parameters::Shrink(_) => size_of::<Shrink>(),
            Parameters::Fields(_) => size_of::<Fields>(),
            Parameters::Leave(_) => size_of::<Leave>(),
            Parameters::Product(_) => size_of::<Product>(),
            Parameters::PackWeights(_) => size_of::<PackWeights>(),
            Parameters::WeightGradient(_) => size_of::<WeightGradient>(),
            Parameters::SumWeightGradient(_) => size_of::<SumWeightGradient>(),
            Parameters::Norm(_) => size_of::<Norm>(),
            Parameters::Resize(_) => size_of::<Resize>(),
            Parameters::Gate(_) => size_of::<Gate>(),
            Parameters::Fold(_) => size_of::<Fold>(),
        }
    }
}
