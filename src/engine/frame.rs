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

/// How the interleaved samples of a row lie in its bytes. Words are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// 8 bits, a byte each.
    Bytes,
    /// So many bits, the lowest of a word of 16.
    Low(u32),
    /// So many bits, the highest of a word of 16.
    High(u32),
    /// 10 bits, three in a word of 32 from the lowest bits up; the rows end
    /// with whole groups of four words.
    Tens,
    /// Three of 10 bits in a word of 32 from the lowest bits up, and opacity in
    /// the highest two.
    TensAndTwo,
}

impl Storage {
    /// Bits of a sample.
    const fn bits(self) -> u32 {
        match self {
            Storage::Bytes => 8,
            Storage::Low(bits) | Storage::High(bits) => bits,
            Storage::Tens | Storage::TensAndTwo => 10,
        }
    }

    /// Bytes that a row of samples takes.
    const fn bytes(self, samples: usize) -> usize {
        match self {
            Storage::Bytes | Storage::TensAndTwo => samples,
            Storage::Low(_) | Storage::High(_) => 2 * samples,
            Storage::Tens => samples.div_ceil(12) * 16,
        }
    }

    /// Samples that a row of bytes holds.
    pub(super) const fn samples(self, bytes: usize) -> usize {
        match self {
            Storage::Bytes | Storage::TensAndTwo => bytes,
            Storage::Low(_) | Storage::High(_) => bytes / 2,
            Storage::Tens => bytes / 16 * 12,
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

            pub(super) const fn storage(self) -> Storage {
                use Storage::*;
                match self { $(Format::$format => $storage),+ }
            }

            /// How many columns and how many rows of pixels share a sample of
            /// chroma: 1 or 2.
            pub const fn subsampling(self) -> (usize, usize) {
                match self { $(Format::$format => ($columns, $rows)),+ }
            }

            pub(super) const fn planes(self) -> &'static [&'static [Component]] {
                match self {
                    $(Format::$format => &[$(&[$(Component::$component),+]),+]),+
                }
            }
        }
    };
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
    V210      "v210"       (Tens, 2, 1) [Uv, Y];
    Rgba64Le  "RGBA64_LE"  (Low(16), 1, 1) [R, G, B, A];
    Argb64Le  ARGB64_LE    (Low(16), 1, 1) [A, R, G, B];
    Gray16Le  "GRAY16_LE"  (Low(16), 1, 1) [Y];
}

/// The shorter name means the order of bytes in the machine's words.
const ARGB64_LE: &str = match cfg!(target_endian = "little") {
    true => "ARGB64",
    false => "ARGB64_LE",
};

impl Format {
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

    /// Bits of each number; opacity may have fewer.
    pub fn bits(self) -> u32 {
        self.storage().bits()
    }

    /// How many pixels of a row hang together: part it at multiples of these.
    pub(super) fn pixels_per_group(self) -> usize {
        match self.storage() {
            Storage::Tens => 6,
            _ => self.subsampling().0,
        }
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
        match plane {
            0 => height,
            _ => height.div_ceil(self.subsampling().1),
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
pub const MAX_PLANES: usize = 3;

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
        let (_, rows) = format.subsampling();
        let y = if plane > 0 { y / rows } else { y };
        let start = y * stride + format.row_bytes(plane, x);
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
