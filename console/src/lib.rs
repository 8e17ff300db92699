//! What both programs do in a terminal.

mod interrupt;

pub use interrupt::on_request;
