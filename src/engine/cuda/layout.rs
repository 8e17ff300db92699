//! Frames as the kernels that read and write them want them described.

use crate::engine::frame::{ColorFamily, Component, Format, FrameInfo, Storage};
use crate::engine::pixels::color::{FromRgb, ToRgb};
use crate::engine::{Image, Size};
use crate::ops::cuda::parameters::{self, FrameLayout};

/// Where the planes of a frame lie: how far from the first, and how many bytes
/// their rows are apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planes {
    /// Bytes from the first plane to each.
    pub offsets: Vec<usize>,
    /// Bytes from row to row of each.
    pub strides: Vec<usize>,
    /// All bytes.
    pub len: usize,
}

impl Planes {
    /// Planes one behind the other, their rows without gaps.
    pub fn packed(info: &FrameInfo) -> Self {
        let mut planes = Planes::default();
        for plane in 0..info.format.plane_count() {
            let stride = info.format.row_bytes(plane, info.width);
            planes.offsets.push(planes.len);
            planes.strides.push(stride);
            let bytes = stride * info.format.plane_rows(plane, info.height);
            planes.len += bytes.next_multiple_of(256);
        }
        planes
    }
}

/// The number by which the kernels know how samples are stored.
fn storage_number(storage: Storage) -> Option<i32> {
    match storage {
        Storage::Bytes => Some(0),
        Storage::Low(_) => Some(1),
        Storage::High(_) => Some(2),
        // As in v210, whose rows end with whole groups.
        Storage::Tens(4) => Some(3),
        Storage::TensAndTwo => Some(4),
        _ => None,
    }
}

/// Whether the kernels read and write frames of this format.
pub fn is_known(format: Format) -> bool {
    let (columns, rows) = format.subsampling();
    storage_number(format.storage()).is_some()
        && columns.max(rows) <= 2
        && format.plane_count() <= FrameLayout::default().planes.len()
}

/// The layout of a frame of a format that [is known](is_known); the addresses are
/// still to be filled in.
pub fn of_frame(info: &FrameInfo, planes: &Planes) -> FrameLayout {
    let FrameInfo {
        format,
        width,
        height,
        ..
    } = *info;
    let family = format.family();
    let (into, back) = (ToRgb::new(info), FromRgb::new(info));
    let (shift_x, shift_y) = shifts(format);
    let mut layout = FrameLayout {
        storage: storage_number(format.storage()).unwrap_or_default(),
        family: match family {
            ColorFamily::Rgb => 0,
            ColorFamily::Yuv => 1,
            ColorFamily::Gray => 2,
        },
        bits: format.storage().bits() as i32,
        width: width as i32,
        height: height as i32,
        group_width: format.pixels_per_group() as i32,
        group_height: 1 << shift_y,
        opacity: parameters::ComponentLayout {
            plane: -1,
            ..parameters::ComponentLayout::default()
        },
        gain: into.gain,
        offset: into.offset,
        middle: into.middle,
        red_v: into.red_v,
        green_u: into.green_u,
        green_v: into.green_v,
        blue_u: into.blue_u,
        back_gain: back.gain,
        back_offset: back.offset,
        back: [back.y, back.u, back.v].map(|sum| {
            let [r, g, b] = sum.weights;
            [r, g, b, sum.offset]
        }),
        largest: back.largest,
        ..FrameLayout::default()
    };
    for (plane, components) in format.planes().iter().enumerate() {
        layout.strides[plane] = planes.strides[plane] as i64;
        let bytes = format.row_bytes(plane, width);
        layout.samples[plane] = format.storage().samples(bytes) as i32;
        let interleaved = components.len() as i32;
        for (place, component) in (0..).zip(*components) {
            let at = |first, step, shift_x, shift_y| parameters::ComponentLayout {
                plane: plane as i32,
                first,
                step,
                shift_x,
                shift_y,
            };
            let full = at(place, interleaved, 0, 0);
            let own = at(place, interleaved, shift_x, shift_y);
            // A component of U and V in turn is twice as long as one of them.
            let even = at(place, 2 * interleaved, shift_x, shift_y);
            let odd = at(place + interleaved, 2 * interleaved, shift_x, shift_y);
            match component {
                Component::R | Component::Y => layout.components[0] = full,
                Component::G => layout.components[1] = full,
                Component::B => layout.components[2] = full,
                Component::A | Component::X => layout.opacity = full,
                Component::U => layout.components[1] = own,
                Component::V => layout.components[2] = own,
                Component::Uv => [layout.components[1], layout.components[2]] = [even, odd],
                Component::Vu => [layout.components[2], layout.components[1]] = [even, odd],
            }
        }
    }
    layout
}

/// How often columns and rows of pixels are halved to those of chroma.
fn shifts(format: Format) -> (i32, i32) {
    let (columns, rows) = format.subsampling();
    (columns as i32 - 1, rows as i32 - 1)
}

/// The layout of an [`Image`] of this size.
pub fn of_image(Size { width, height }: Size) -> (FrameLayout, Planes) {
    let stride = width * size_of::<f32>();
    let plane = stride * height;
    let planes = Planes {
        offsets: vec![0, plane, 2 * plane],
        strides: vec![stride; 3],
        len: 3 * plane,
    };
    let component_of = |plane| parameters::ComponentLayout {
        plane,
        step: 1,
        ..parameters::ComponentLayout::default()
    };
    let layout = FrameLayout {
        strides: [stride as i64; 3],
        samples: [width as i32; 3],
        storage: 5,
        width: width as i32,
        height: height as i32,
        group_width: 1,
        group_height: 1,
        components: [0, 1, 2].map(component_of),
        opacity: component_of(-1),
        gain: 1.0,
        back_gain: 1.0,
        largest: 255.0,
        ..FrameLayout::default()
    };
    (layout, planes)
}

/// The layout with the planes from `address` on.
pub fn at(mut layout: FrameLayout, planes: &Planes, address: u64) -> FrameLayout {
    for (to, offset) in layout.planes.iter_mut().zip(&planes.offsets) {
        *to = address + *offset as u64;
    }
    layout
}

/// The bytes of an image, as [`of_image`] describes them.
pub fn image_bytes(image: &Image) -> &[u8] {
    bytes(&image.data)
}

/// Numbers as bytes.
pub fn bytes(numbers: &[f32]) -> &[u8] {
    // SAFETY: any f32 is four bytes.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// The same, to be written.
pub fn image_bytes_mut(image: &mut Image) -> &mut [u8] {
    let len = size_of_val(image.data.as_slice());
    // SAFETY: any four bytes are an f32.
    unsafe { std::slice::from_raw_parts_mut(image.data.as_mut_ptr().cast(), len) }
}
