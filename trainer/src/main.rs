#[allow(dead_code)]
mod dataset;
#[allow(dead_code)]
mod vgg_weights;

fn main() {}
