//! The formats of the pixel code are GStreamer's: its own converter reads what
//! we write, and we read what it writes.

use crate::common::shared::random;
use crate::common::*;
use gst_video::{VideoConverter, VideoFormat, VideoFrame, VideoInfo};
use gstfaststyle::Image;
use gstfaststyle::internals::engine::pixels;

const WIDTH: usize = 26;
const HEIGHT: usize = 5;

fn info(format: VideoFormat) -> VideoInfo {
    crate::common::info(format, WIDTH as u32, HEIGHT as u32)
}

/// What chroma of neighbours cannot spoil: one colour, and greys.
fn pictures() -> [Image; 2] {
    let pixels = WIDTH * HEIGHT;
    let grey = random(1, pixels, 0.0..255.0);
    let colour = [200.0, 90.0, 30.0].map(|light| vec![light; pixels]);
    [colour.concat(), [&grey[..]; 3].concat()].map(|data| Image {
        width: WIDTH,
        height: HEIGHT,
        data,
    })
}

/// Through GStreamer's converter.
fn convert(from: &VideoInfo, bytes: Vec<u8>, to: &VideoInfo) -> Vec<u8> {
    let buffer = |bytes| gst::Buffer::from_mut_slice(bytes);
    let input = VideoFrame::from_buffer_readable(buffer(bytes), from).unwrap();
    let mut output = VideoFrame::from_buffer_writable(buffer(vec![0; to.size()]), to).unwrap();
    let converter = VideoConverter::new(from, to, None).unwrap();
    converter.frame(&input, &mut output);
    output.buffer().map_readable().unwrap().to_vec()
}

fn write(image: &Image, info: &VideoInfo) -> Vec<u8> {
    let mut bytes = vec![0; info.size()];
    with_frame_mut(info, &mut bytes, |mut frame| {
        pixels::write(image, None, None, &mut frame).unwrap();
    });
    bytes
}

#[test]
fn gstreamer_reads_what_we_write_and_we_read_what_it_writes() {
    init();
    let wide = info(VideoFormat::Argb64);
    for format in formats() {
        let info = info(format);
        for picture in pictures() {
            let mut picture = picture;
            if info.is_gray() {
                picture = read(&info, &write(&picture, &info));
            }
            let written = read(&wide, &convert(&info, write(&picture, &info), &wide));
            let found = read(&info, &convert(&wide, write(&picture, &wide), &info));
            for (way, image) in [("written", written), ("read", found)] {
                let pairs = image.data.iter().zip(&picture.data);
                let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                // GStreamer converts 8 bits less exactly, and does not round to 5.
                let most = match info.comp_depth(0) {
                    5 => 17.0,
                    8 => 3.0,
                    _ => 1.0,
                };
                assert!(off < most, "{format}, {way}: off by {off}");
            }
        }
    }
}
