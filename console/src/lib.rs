//! What both programs do in a terminal.

mod interrupt;
mod lines;

pub use interrupt::on_request;
pub use lines::printable_lines;
