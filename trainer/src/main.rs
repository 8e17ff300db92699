#[allow(dead_code)]
mod vgg_weights;

fn main() {}
