//! A video frame in memory: format, colorimetry, planes and their strides.
//!
//! Whoever makes a [`Frame`] or [`FrameMut`] gets an error if the planes are
//! too short for what they claim, so that the pixel code need not look again.

use crate::ops::Size;
use rayon::prelude::*;
use std::fmt;
use thiserror::Error;

/// Fewer bytes than these are not worth waking a thread for.
const COPIED_AT_ONCE: usize = 1 << 16;

/// One component of a pixel, whose samples a plane interleaves with those of
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    R,
    G,
    B,
    /// Opacity.
    A,
    /// Padding in the place of opacity.
    X,
    Y,
    U,
    V,
    /// U and V in turn, at the chroma's width.
    Uv,
    /// V and U in turn.
    Vu,
}

impl Component {
    /// Number of components.
    pub(super) const COUNT: usize = Component::Vu as usize + 1;

    /// How many samples of the component `width` pixels have, where `columns` of
    /// them share one of chroma.
    const fn len(self, width: usize, columns: usize) -> usize {
        match self {
            Component::U | Component::V => width.div_ceil(columns),
            Component::Uv | Component::Vu => width.div_ceil(columns) * 2,
            _ => width,
        }
    }
}

/// How the interleaved samples of a row lie in its bytes. Words are little-endian
/// where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// 8 bits, a byte each.
    Bytes,
    /// So many bits, the lowest of a word of 16.
    Low(u32),
    /// So many bits, the highest of a word of 16.
    High(u32),
    /// So many bits, the lowest of a big-endian word of 16.
    LowBe(u32),
    /// So many bits, the highest of a big-endian word of 16.
    HighBe(u32),
    /// 10 bits, three in a word of 32 from the lowest bits up; the rows end
    /// with whole groups of so many words.
    Tens(usize),
    /// Three of 10 bits in a word of 32 from the lowest bits up, and opacity in
    /// the highest two.
    TensAndTwo,
    /// The same in a big-endian word.
    TensAndTwoBe,
    /// 10 bits, four in five bytes, from each byte's lowest bits up.
    TensUp,
    /// 10 bits, four in five bytes, from each byte's highest bits down.
    TensDown,
    /// Three of 5 bits in a word of 16 from the lowest bits up.
    Fives,
    /// The same with 6 bits for the second.
    FiveSixFive,
}

impl Storage {
    /// Bits of the samples that the pixel code works on.
    pub(super) const fn bits(self) -> u32 {
        match self {
            Storage::Bytes => 8,
            Storage::Low(bits)
            | Storage::High(bits)
            | Storage::LowBe(bits)
            | Storage::HighBe(bits) => bits,
            Storage::Tens(_)
            | Storage::TensAndTwo
            | Storage::TensAndTwoBe
            | Storage::TensUp
            | Storage::TensDown => 10,
            // They are spread over all numbers of so many bits.
            Storage::Fives | Storage::FiveSixFive => 16,
        }
    }

    /// Samples and bytes of what rows consist of.
    const fn group(self) -> (usize, usize) {
        match self {
            Storage::Bytes | Storage::TensAndTwo | Storage::TensAndTwoBe => (1, 1),
            Storage::Low(_) | Storage::High(_) | Storage::LowBe(_) | Storage::HighBe(_) => (1, 2),
            Storage::Tens(words) => (3 * words, 4 * words),
            Storage::TensUp | Storage::TensDown => (4, 5),
            Storage::Fives | Storage::FiveSixFive => (3, 2),
        }
    }

    /// Bytes that a row of samples takes.
    const fn bytes(self, samples: usize) -> usize {
        match self.group() {
            // Asked for each tile: no division where none is needed.
            (1, bytes) => samples * bytes,
            (group, bytes) => samples.div_ceil(group) * bytes,
        }
    }

    /// Samples that a row of bytes holds.
    pub(super) const fn samples(self, bytes: usize) -> usize {
        match self.group() {
            (1, 1) => bytes,
            (1, 2) => bytes / 2,
            (samples, group) => bytes / group * samples,
        }
    }
}

/// What the numbers of a format stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorFamily {
    /// Red, green, blue.
    Rgb,
    /// Luma and chroma.
    Yuv,
    /// Luma alone.
    Gray,
}

/// One row a format: its name in GStreamer, how samples are stored, how many
/// columns and rows of pixels share a sample of chroma and, for each plane, the
/// components that are interleaved in it.
macro_rules! formats {
    ($(
        $format:ident $name:tt ($storage:expr, $columns:literal, $rows:literal)
        $([$($component:ident),+])+;
    )+) => {
        /// The layout of a frame's bytes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum Format { $($format),+ }

        impl Format {
            /// Every format.
            pub const ALL: &[Format] = &[$(Format::$format),+];

            /// Its name, as in GStreamer's caps.
            pub const fn name(self) -> &'static str {
                match self { $(Format::$format => $name),+ }
            }

            /// The format's row of the table.
            const fn layout(self) -> &'static Layout {
                use Storage::*;
                const LAYOUTS: &[Layout] = &[$(Layout {
                    storage: $storage,
                    subsampling: ($columns, $rows),
                    planes: &[$(&[$(Component::$component),+]),+],
                }),+];
                &LAYOUTS[self as usize]
            }
        }
    };
}

/// What the table says of a format beside its name. It is looked up for each tile of
/// pixels.
struct Layout {
    storage: Storage,
    subsampling: (usize, usize),
    planes: &'static [&'static [Component]],
}

formats! {
    Rgb   "RGB"   (Bytes, 1, 1) [R, G, B];
    Bgr   "BGR"   (Bytes, 1, 1) [B, G, R];
    Rgbx  "RGBx"  (Bytes, 1, 1) [R, G, B, X];
    Bgrx  "BGRx"  (Bytes, 1, 1) [B, G, R, X];
    Xrgb  "xRGB"  (Bytes, 1, 1) [X, R, G, B];
    Xbgr  "xBGR"  (Bytes, 1, 1) [X, B, G, R];
    Rgba  "RGBA"  (Bytes, 1, 1) [R, G, B, A];
    Bgra  "BGRA"  (Bytes, 1, 1) [B, G, R, A];
    Argb  "ARGB"  (Bytes, 1, 1) [A, R, G, B];
    Abgr  "ABGR"  (Bytes, 1, 1) [A, B, G, R];
    Yuy2  "YUY2"  (Bytes, 2, 1) [Y, Uv];
    Uyvy  "UYVY"  (Bytes, 2, 1) [Uv, Y];
    I420  "I420"  (Bytes, 2, 2) [Y] [U] [V];
    Yv12  "YV12"  (Bytes, 2, 2) [Y] [V] [U];
    Nv12  "NV12"  (Bytes, 2, 2) [Y] [Uv];
    Nv21  "NV21"  (Bytes, 2, 2) [Y] [Vu];
    Y42b  "Y42B"  (Bytes, 2, 1) [Y] [U] [V];
    Y444  "Y444"  (Bytes, 1, 1) [Y] [U] [V];
    Ayuv  "AYUV"  (Bytes, 1, 1) [A, Y, U, V];
    Vuya  "VUYA"  (Bytes, 1, 1) [V, U, Y, A];
    Gray8 "GRAY8" (Bytes, 1, 1) [Y];

    Rgb10A2Le "RGB10A2_LE" (TensAndTwo, 1, 1) [R, G, B, A];
    Bgr10A2Le "BGR10A2_LE" (TensAndTwo, 1, 1) [B, G, R, A];
    I420_10Le "I420_10LE"  (Low(10), 2, 2) [Y] [U] [V];
    I422_10Le "I422_10LE"  (Low(10), 2, 1) [Y] [U] [V];
    Y444_10Le "Y444_10LE"  (Low(10), 1, 1) [Y] [U] [V];
    P010_10Le "P010_10LE"  (High(10), 2, 2) [Y] [Uv];
    V210      "v210"       (Tens(4), 2, 1) [Uv, Y];
    Rgba64Le  "RGBA64_LE"  (Low(16), 1, 1) [R, G, B, A];
    Argb64    "ARGB64"     (NATIVE_16, 1, 1) [A, R, G, B];
    Gray16Le  "GRAY16_LE"  (Low(16), 1, 1) [Y];

    // 8 bits, or fewer.
    Yvyu "YVYU" (Bytes, 2, 1) [Y, Vu];
    Vyuy "VYUY" (Bytes, 2, 1) [Vu, Y];
    Nv16 "NV16" (Bytes, 2, 1) [Y] [Uv];
    Nv61 "NV61" (Bytes, 2, 1) [Y] [Vu];
    Nv24 "NV24" (Bytes, 1, 1) [Y] [U, V];
    Y41b "Y41B" (Bytes, 4, 1) [Y] [U] [V];
    Yuv9 "YUV9" (Bytes, 4, 4) [Y] [U] [V];
    Yvu9 "YVU9" (Bytes, 4, 4) [Y] [V] [U];
    V308 "v308" (Bytes, 1, 1) [Y, U, V];
    Iyu2 "IYU2" (Bytes, 1, 1) [U, Y, V];
    A420 "A420" (Bytes, 2, 2) [Y] [U] [V] [A];
    Av12 "AV12" (Bytes, 2, 2) [Y] [Uv] [A];
    Gbr "GBR" (Bytes, 1, 1) [G] [B] [R];
    Gbra "GBRA" (Bytes, 1, 1) [G] [B] [R] [A];
    Rgbp "RGBP" (Bytes, 1, 1) [R] [G] [B];
    Bgrp "BGRP" (Bytes, 1, 1) [B] [G] [R];
    Rgb15 "RGB15" (Fives, 1, 1) [B, G, R];
    Bgr15 "BGR15" (Fives, 1, 1) [R, G, B];
    Rgb16 "RGB16" (FiveSixFive, 1, 1) [B, G, R];
    Bgr16 "BGR16" (FiveSixFive, 1, 1) [R, G, B];

    // 10 bits.
    R210 "r210" (TensAndTwoBe, 1, 1) [B, G, R, X];
    Y410 "Y410" (TensAndTwo, 1, 1) [U, Y, V, A];
    Uyvp "UYVP" (TensDown, 2, 1) [Uv, Y];
    Gray10Le32 "GRAY10_LE32" (Tens(1), 1, 1) [Y];
    Nv12_10Le32 "NV12_10LE32" (Tens(1), 2, 2) [Y] [Uv];
    Nv16_10Le32 "NV16_10LE32" (Tens(1), 2, 1) [Y] [Uv];
    Nv12_10Le40 "NV12_10LE40" (TensUp, 2, 2) [Y] [Uv];
    Y210 "Y210" (High(10), 2, 1) [Y, Uv];
    I420_10Be "I420_10BE" (LowBe(10), 2, 2) [Y] [U] [V];
    I422_10Be "I422_10BE" (LowBe(10), 2, 1) [Y] [U] [V];
    Y444_10Be "Y444_10BE" (LowBe(10), 1, 1) [Y] [U] [V];
    P010_10Be "P010_10BE" (HighBe(10), 2, 2) [Y] [Uv];
    A420_10Le "A420_10LE" (Low(10), 2, 2) [Y] [U] [V] [A];
    A420_10Be "A420_10BE" (LowBe(10), 2, 2) [Y] [U] [V] [A];
    A422_10Le "A422_10LE" (Low(10), 2, 1) [Y] [U] [V] [A];
    A422_10Be "A422_10BE" (LowBe(10), 2, 1) [Y] [U] [V] [A];
    A444_10Le "A444_10LE" (Low(10), 1, 1) [Y] [U] [V] [A];
    A444_10Be "A444_10BE" (LowBe(10), 1, 1) [Y] [U] [V] [A];
    Gbr10Le "GBR_10LE" (Low(10), 1, 1) [G] [B] [R];
    Gbr10Be "GBR_10BE" (LowBe(10), 1, 1) [G] [B] [R];
    Gbra10Le "GBRA_10LE" (Low(10), 1, 1) [G] [B] [R] [A];
    Gbra10Be "GBRA_10BE" (LowBe(10), 1, 1) [G] [B] [R] [A];

    // 12 and 16 bits.
    I420_12Le "I420_12LE" (Low(12), 2, 2) [Y] [U] [V];
    I420_12Be "I420_12BE" (LowBe(12), 2, 2) [Y] [U] [V];
    I422_12Le "I422_12LE" (Low(12), 2, 1) [Y] [U] [V];
    I422_12Be "I422_12BE" (LowBe(12), 2, 1) [Y] [U] [V];
    Y444_12Le "Y444_12LE" (Low(12), 1, 1) [Y] [U] [V];
    Y444_12Be "Y444_12BE" (LowBe(12), 1, 1) [Y] [U] [V];
    Gbr12Le "GBR_12LE" (Low(12), 1, 1) [G] [B] [R];
    Gbr12Be "GBR_12BE" (LowBe(12), 1, 1) [G] [B] [R];
    Gbra12Le "GBRA_12LE" (Low(12), 1, 1) [G] [B] [R] [A];
    Gbra12Be "GBRA_12BE" (LowBe(12), 1, 1) [G] [B] [R] [A];
    P012Le "P012_LE" (High(12), 2, 2) [Y] [Uv];
    P012Be "P012_BE" (HighBe(12), 2, 2) [Y] [Uv];
    Y212Le "Y212_LE" (High(12), 2, 1) [Y, Uv];
    Y212Be "Y212_BE" (HighBe(12), 2, 1) [Y, Uv];
    Y412Le "Y412_LE" (High(12), 1, 1) [U, Y, V, A];
    Y412Be "Y412_BE" (HighBe(12), 1, 1) [U, Y, V, A];
    V216 "v216" (Low(16), 2, 1) [Uv, Y];
    P016Le "P016_LE" (High(16), 2, 2) [Y] [Uv];
    P016Be "P016_BE" (HighBe(16), 2, 2) [Y] [Uv];
    Y444_16Le "Y444_16LE" (Low(16), 1, 1) [Y] [U] [V];
    Y444_16Be "Y444_16BE" (LowBe(16), 1, 1) [Y] [U] [V];
    Rgba64Be "RGBA64_BE" (LowBe(16), 1, 1) [R, G, B, A];
    Argb64Le "ARGB64_LE" (Low(16), 1, 1) [A, R, G, B];
    Argb64Be "ARGB64_BE" (LowBe(16), 1, 1) [A, R, G, B];
    Bgra64Le "BGRA64_LE" (Low(16), 1, 1) [B, G, R, A];
    Bgra64Be "BGRA64_BE" (LowBe(16), 1, 1) [B, G, R, A];
    Abgr64Le "ABGR64_LE" (Low(16), 1, 1) [A, B, G, R];
    Abgr64Be "ABGR64_BE" (LowBe(16), 1, 1) [A, B, G, R];
    Gray16Be "GRAY16_BE" (LowBe(16), 1, 1) [Y];
    Ayuv64 "AYUV64" (NATIVE_16, 1, 1) [A, Y, U, V];
}

/// 16 bits in the machine's own order of bytes.
const NATIVE_16: Storage = match cfg!(target_endian = "little") {
    true => Storage::Low(16),
    false => Storage::LowBe(16),
};

impl Format {
    pub(super) const fn storage(self) -> Storage {
        self.layout().storage
    }

    pub(super) const fn planes(self) -> &'static [&'static [Component]] {
        self.layout().planes
    }

    /// How many columns and how many rows of pixels share a sample of chroma: 1, 2 or
    /// 4.
    pub const fn subsampling(self) -> (usize, usize) {
        self.layout().subsampling
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|f| f.name() == name)
    }

    /// What its numbers stand for.
    pub fn family(self) -> ColorFamily {
        match self.planes() {
            [[Component::Y]] => ColorFamily::Gray,
            _ if self.components().any(|component| component == Component::R) => ColorFamily::Rgb,
            _ => ColorFamily::Yuv,
        }
    }

    /// Whether it says how opaque each pixel is.
    pub fn has_alpha(self) -> bool {
        self.components().any(|component| component == Component::A)
    }

    /// Number of planes.
    pub fn plane_count(self) -> usize {
        self.planes().len()
    }

    /// Bits of each number; opacity may have fewer, and green one more.
    pub fn bits(self) -> u32 {
        match self.storage() {
            Storage::Fives | Storage::FiveSixFive => 5,
            storage => storage.bits(),
        }
    }

    /// How many pixels of a row hang together: part it at multiples of these.
    pub(super) fn pixels_per_group(self) -> usize {
        match self.storage() {
            Storage::Tens(_) => 6,
            Storage::TensUp | Storage::TensDown => 4,
            _ => self.subsampling().0,
        }
    }

    /// The place, at column `x` and row `y` or as little as possible left of it and
    /// above, where a picture can be cropped: one with bytes and a chroma sample of
    /// its own.
    pub fn crop_origin(self, x: usize, y: usize) -> (usize, usize) {
        let (_, rows) = self.subsampling();
        (x - x % self.pixels_per_group(), y - y % rows)
    }

    /// Bytes that `width` pixels take in a plane's row.
    pub fn row_bytes(self, plane: usize, width: usize) -> usize {
        let components = self.planes()[plane];
        let (columns, _) = self.subsampling();
        let longest = components
            .iter()
            .map(|component| component.len(width, columns))
            .max();
        self.storage()
            .bytes(components.len() * longest.unwrap_or(0))
    }

    /// Rows that `height` rows of pixels take in a plane.
    pub fn plane_rows(self, plane: usize, height: usize) -> usize {
        height.div_ceil(self.rows_per_plane_row(plane))
    }

    /// How many rows of pixels share a row of the plane.
    pub(super) fn rows_per_plane_row(self, plane: usize) -> usize {
        let (_, rows) = self.subsampling();
        match plane > 0 && rows > 1 && self.planes()[plane] != [Component::A] {
            true => rows,
            false => 1,
        }
    }

    pub(super) fn components(self) -> impl Iterator<Item = Component> {
        self.planes().iter().copied().flatten().copied()
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which numbers black and white have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorRange {
    /// Luma 16 to 235, chroma 16 to 240; 2^(n - 8) times as much with n bits.
    Limited,
    /// 0 to 255; 0 to 2^n - 1 with n bits.
    Full,
}

/// How luma and chroma make colors, and in which range of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colorimetry {
    /// Weight of red in luma.
    pub kr: f32,
    /// Weight of blue in luma.
    pub kb: f32,
    /// Range of all numbers of the frame.
    pub range: ColorRange,
}

impl Colorimetry {
    /// Standard definition, limited range.
    pub const BT601: Self = Self::new(0.299, 0.114, ColorRange::Limited);
    /// High definition, limited range.
    pub const BT709: Self = Self::new(0.2126, 0.0722, ColorRange::Limited);
    /// Ultra-high definition, limited range.
    pub const BT2020: Self = Self::new(0.2627, 0.0593, ColorRange::Limited);
    /// RGB as on a screen. Luma made of it is BT.601's.
    pub const SRGB: Self = Self::BT601.full();

    /// The weights of red and blue, and a range.
    pub const fn new(kr: f32, kb: f32, range: ColorRange) -> Self {
        Colorimetry { kr, kb, range }
    }

    /// The same weights in full range.
    pub const fn full(self) -> Self {
        Self::new(self.kr, self.kb, ColorRange::Full)
    }
}

/// Why planes do not make a frame.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum FrameError {
    /// No pixels, or more than can be addressed.
    #[error("a frame of {0} pixels cannot be")]
    Size(Size),

    /// Too many planes or too few.
    #[error("{format} has {expected} planes, not {found}")]
    PlaneCount {
        format: Format,
        expected: usize,
        found: usize,
    },

    /// A row does not fit into the stride.
    #[error("plane {plane}: rows of {row} bytes do not fit a stride of {stride}")]
    Stride {
        plane: usize,
        row: usize,
        stride: usize,
    },

    /// The plane ends before the frame.
    #[error("plane {plane}: {found} bytes, {needed} needed")]
    Short {
        plane: usize,
        needed: usize,
        found: usize,
    },

    /// A format that the CUDA kernels do not know.
    #[error("{format} frames cannot be painted in a device's memory")]
    NotOnDevice { format: Format },

    /// Two pictures that must be of one size are not.
    #[error("a picture of {found} pixels where {expected} are needed")]
    Mismatch { expected: Size, found: Size },
}

/// What a frame is, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameInfo {
    /// Layout of the bytes.
    pub format: Format,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Meaning of the numbers.
    pub colorimetry: Colorimetry,
}

impl FrameInfo {
    /// Width and height.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Bytes from a plane's first to its last pixel, rows being `stride` apart.
    ///
    /// # Errors
    /// [`FrameError::Size`] and [`FrameError::Stride`].
    pub fn plane_bytes(&self, plane: usize, stride: usize) -> Result<usize, FrameError> {
        let size_error = FrameError::Size(self.size());
        // Also bounds `row_bytes`, and the image of three f32 a pixel.
        let pixels = self.width.checked_mul(self.height);
        if pixels.is_none_or(|n| n == 0 || n > isize::MAX as usize / 16) {
            return Err(size_error);
        }
        let row = self.format.row_bytes(plane, self.width);
        if stride < row {
            return Err(FrameError::Stride { plane, row, stride });
        }
        let rows = self.format.plane_rows(plane, self.height);
        stride
            .checked_mul(rows - 1)
            .and_then(|bytes| bytes.checked_add(row))
            .ok_or(size_error)
    }

    /// Checks the lengths and strides of planes.
    fn check(
        &self,
        planes: impl ExactSizeIterator<Item = (usize, usize)>,
    ) -> Result<(), FrameError> {
        let expected = self.format.plane_count();
        if planes.len() != expected {
            return Err(FrameError::PlaneCount {
                format: self.format,
                expected,
                found: planes.len(),
            });
        }
        for (plane, (found, stride)) in planes.enumerate() {
            let needed = self.plane_bytes(plane, stride)?;
            if found < needed {
                return Err(FrameError::Short {
                    plane,
                    needed,
                    found,
                });
            }
        }
        Ok(())
    }
}

/// The most planes a format has.
pub const MAX_PLANES: usize = 4;

/// Bytes of a plane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plane<'a> {
    /// From the first row's first byte.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// Bytes of a plane, to be written.
#[derive(Debug, Default)]
pub struct PlaneMut<'a> {
    /// From the first row's first byte.
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A frame to read.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    info: FrameInfo,
    planes: [Plane<'a>; MAX_PLANES],
}

impl<'a> Frame<'a> {
    /// A frame of these planes, in the order of the format's.
    ///
    /// # Errors
    /// [`FrameError`] if they are not enough for it.
    pub fn new<I>(info: FrameInfo, planes: I) -> Result<Self, FrameError>
    where
        I: IntoIterator<Item = Plane<'a>, IntoIter: ExactSizeIterator + Clone>,
    {
        let planes = planes.into_iter();
        info.check(planes.clone().map(|p| (p.data.len(), p.stride)))?;
        let mut frame = Frame {
            info,
            planes: Default::default(),
        };
        frame
            .planes
            .iter_mut()
            .zip(planes)
            .for_each(|(to, p)| *to = p);
        Ok(frame)
    }

    /// What the frame is.
    pub fn info(&self) -> &FrameInfo {
        &self.info
    }

    /// Copies rows of a plane to `to`, without the gaps between them. Works on
    /// the current rayon pool.
    pub(super) fn pack(&self, plane: usize, rows: std::ops::Range<usize>, to: &mut [u8]) {
        let Plane { data, stride } = self.planes[plane];
        let row_bytes = self.info.format.row_bytes(plane, self.info.width);
        let from = &data[rows.start * stride..];
        (to.par_chunks_exact_mut(row_bytes))
            .zip(from.par_chunks(stride.max(1)))
            .with_min_len(COPIED_AT_ONCE.div_ceil(row_bytes))
            .for_each(|(to, row)| to.copy_from_slice(&row[..row_bytes]));
    }

    /// The bytes of pixels `x..x + n` in a plane, in the row that holds the
    /// pixels of row `y`. `x` is a multiple of the format's group.
    pub(super) fn row(&self, plane: usize, y: usize, x: usize, n: usize) -> &'a [u8] {
        let Plane { data, stride } = self.planes[plane];
        let format = self.info.format;
        let row = match format.rows_per_plane_row(plane) {
            1 => y,
            rows => y / rows,
        };
        let start = row * stride + format.row_bytes(plane, x);
        &data[start..][..format.row_bytes(plane, n)]
    }
}

/// A frame to write.
#[derive(Debug)]
pub struct FrameMut<'a> {
    pub(super) info: FrameInfo,
    pub(super) planes: [PlaneMut<'a>; MAX_PLANES],
}

impl<'a> FrameMut<'a> {
    /// A frame of these planes, in the order of the format's.
    ///
    /// # Errors
    /// [`FrameError`] if they are not enough for it.
    pub fn new<I>(info: FrameInfo, planes: I) -> Result<Self, FrameError>
    where
        I: IntoIterator<Item = PlaneMut<'a>>,
    {
        let mut frame = FrameMut {
            info,
            planes: Default::default(),
        };
        let mut found = 0;
        for plane in planes {
            if let Some(to) = frame.planes.get_mut(found) {
                *to = plane;
            }
            found += 1;
        }
        let sizes = |i: usize| match frame.planes.get(i) {
            Some(plane) => (plane.data.len(), plane.stride),
            None => (0, 0),
        };
        info.check((0..found).map(sizes))?;
        Ok(frame)
    }

    /// What the frame is.
    pub fn info(&self) -> &FrameInfo {
        &self.info
    }

    /// Takes rows of a plane from `from`, where there are no gaps between them.
    /// The frame's gaps are left alone. Works on the current rayon pool.
    pub(super) fn unpack(&mut self, plane: usize, rows: std::ops::Range<usize>, from: &[u8]) {
        let PlaneMut { data, stride } = &mut self.planes[plane];
        let row_bytes = self.info.format.row_bytes(plane, self.info.width);
        let to = &mut data[rows.start * *stride..];
        (from.par_chunks_exact(row_bytes))
            .zip(to.par_chunks_mut((*stride).max(1)))
            .with_min_len(COPIED_AT_ONCE.div_ceil(row_bytes))
            .for_each(|(from, row)| row[..row_bytes].copy_from_slice(from));
    }
}
