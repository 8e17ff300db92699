//! Keys, from the terminal and from the window.

use crate::messages;
use anyhow::Result;
use gst::{PadProbeReturn, PadProbeType};
use gst_video::NavigationEvent;
use std::io::IsTerminal;
use std::sync::mpsc::Sender;
use std::thread;
use termion::event::Key;
use termion::input::TermRead;
use termion::raw::{IntoRawMode, RawTerminal};

/// A terminal that sends keys as they are typed, until this is dropped.
pub struct Terminal(Option<RawTerminal<std::fs::File>>);

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.0.take().is_some() {
            messages::set_raw(false);
        }
    }
}

/// Sends the keys typed in the terminal, or read from a pipe.
///
/// # Errors
/// The terminal cannot be opened.
pub fn of_terminal(keys: Sender<char>) -> Result<Terminal> {
    let stdin = std::io::stdin();
    let raw = match stdin.is_terminal() {
        true => Some(termion::get_tty()?.into_raw_mode()?),
        false => None,
    };
    messages::set_raw(raw.is_some());
    thread::spawn(move || {
        for key in stdin.keys().map_while(Result::ok) {
            let key = match key {
                Key::Right => 'n',
                Key::Left => 'p',
                Key::Up => '+',
                Key::Down => '-',
                // A raw terminal sends no signal.
                Key::Ctrl('c') => 'q',
                Key::Char(key) => key,
                _ => continue,
            };
            if keys.send(key).is_err() {
                break; // The receiver is gone.
            }
        }
    });
    Ok(Terminal(raw))
}

/// Sends the keys typed in the window, whose events pass this pad.
pub fn of_window(pad: &gst::Pad, keys: Sender<char>) {
    use gst::prelude::*;
    pad.add_probe(PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let event = info
            .event()
            .and_then(|event| NavigationEvent::parse(event).ok());
        if let Some(NavigationEvent::KeyPress { key, .. }) = event
            && let Some(key) = letter(&key)
        {
            // Without a receiver the program ends.
            let _ = keys.send(key);
        }
        PadProbeReturn::Ok
    });
}

/// The letter that a key of the X Window System means.
fn letter(name: &str) -> Option<char> {
    Some(match name {
        "Right" => 'n',
        "Left" => 'p',
        "Up" | "plus" | "KP_Add" => '+',
        "Down" | "minus" | "KP_Subtract" => '-',
        "Escape" => 'q',
        _ => {
            let mut letters = name.chars();
            letters.next().filter(|_| letters.next().is_none())?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_window_have_names() {
        let named = ["Right", "n", "plus", "Shift_L", "é"].map(letter);
        assert_eq!(named, [Some('n'), Some('n'), Some('+'), None, Some('é')]);
    }
}
