//! The newest picture, for any number of readers.

use axum::body::Bytes;
use tokio::sync::watch;

/// Numbered pictures, of which each reader gets the newest: slow ones miss some and
/// hold up no one.
#[derive(Clone, Debug)]
pub struct Pictures(watch::Sender<(u64, Bytes)>);

impl Default for Pictures {
    fn default() -> Self {
        Pictures(watch::Sender::new((0, Bytes::new())))
    }
}

impl Pictures {
    /// Shows a picture, the next in number.
    pub fn show(&self, jpeg: &[u8]) {
        let jpeg = Bytes::copy_from_slice(jpeg);
        self.0.send_modify(|(number, picture)| {
            *number += 1;
            *picture = jpeg;
        });
    }

    /// Waits for a picture other than number `after`, and newer unless counting
    /// began anew.
    pub async fn after(&self, after: u64) -> Option<(u64, Bytes)> {
        let mut newest = self.0.subscribe();
        let new = newest
            .wait_for(|(number, _)| *number != after && *number > 0)
            .await;
        new.ok().map(|new| new.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_get_the_newest() {
        let pictures = Pictures::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        pictures.show(b"one");
        pictures.show(b"two");
        let first = runtime.block_on(pictures.after(0)).unwrap();
        assert_eq!((first.0, &first.1[..]), (2, &b"two"[..]));
        let later = pictures.clone();
        let waiting = std::thread::spawn(move || runtime.block_on(later.after(2)).unwrap());
        pictures.show(b"three");
        let second = waiting.join().unwrap();
        assert_eq!((second.0, &second.1[..]), (3, &b"three"[..]));
    }
}
