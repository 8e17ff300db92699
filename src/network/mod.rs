//! The style network: what it computes, and the file that holds it.
//!
//! The architecture is that of Johnson, Alahi and Fei-Fei, "Perceptual Losses
//! for Real-Time Style Transfer and Super-Resolution" (2016, supplementary
//! material, table 1) with the instance normalisation of Ulyanov, Vedaldi and
//! Lempitsky (2016) and nearest-neighbour upsampling before the convolutions
//! that enlarge (Odena et al. 2016: transposed ones draw checkerboards). What
//! others trained may differ from it: see [`Architecture`].

mod architecture;
mod error;
mod layers;
mod library;
mod model;
mod printable;
mod style;
mod style_mix;
mod transformer;

pub use crate::ops::{Padding, Step};
pub use architecture::{Architecture, OutputMap, Upsampling};
pub use error::ModelError;
pub use layers::{LayerSpec, Residual, SIDE_MULTIPLE, Tail};
pub use library::{Entry, Found, Library, NotFound};
pub use model::{Contents, FORMAT_VERSION, Model, ModelFile, is_stream, write_atomically};
pub use printable::{Printable, acts, printable, printable_lines, printable_path};
pub use style::Style;
pub use style_mix::StyleMix;
pub use transformer::Network;
